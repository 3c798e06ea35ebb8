// The photons of an image -> what its detector records.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>

#include "api/response_steps.hpp"
#include "memory/huge_pages.hpp"
#include "nablabragg/detector_response.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "readout/response.hpp"

namespace nablabragg {

namespace {

using Kind = DetectorResponse::Kind;

std::string text_of(double x) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), x).ptr};
}

void check_within(double x, double from, double to, const char* what) {
  if (!(x >= from && x <= to))
    throw UsageError("the detector's " + std::string(what) + " is " + text_of(from) + " to " +
                     text_of(to) + ", not " + text_of(x));
}

std::size_t pixels_of(const Resolved& resolved) {
  std::size_t pixels = 0;
  for (std::size_t i = 0; i <= resolved.more_panels.size(); ++i) {
    const Panel& panel = panel_of(resolved, i);
    pixels += PanelExtent{panel.fast_pixels, panel.slow_pixels}.pixels();
  }
  return pixels;
}

void check_map(const PixelFactors& map, const Experiment& experiment, const std::string& what) {
  if (const std::size_t pixels = pixels_of(resolve(experiment)); map.size() != pixels)
    throw UsageError("the detector's " + what + " has " + std::to_string(map.size()) +
                     " pixels, and the experiment has " + std::to_string(pixels));
  const auto is_none = [](float x) { return !(x >= 0 && std::isfinite(x)); };
  if (const auto count = std::ranges::count_if(map, is_none); count > 0)
    throw UsageError("the detector's " + what + " has no factor from 0 on in " +
                     std::to_string(count) + (count == 1 ? " pixel" : " pixels"));
}

/// Where nothing is counted.
void mark(const RegionOfInterest& roi, const Mask* mask, const readout::PixelGrid& panel,
          std::span<std::int32_t> counts) {
  const auto width = static_cast<std::size_t>(panel.fast_pixels);
  for (int slow = 0; slow < panel.slow_pixels; ++slow) {
    const std::span row = counts.subspan(static_cast<std::size_t>(slow) * width, width);
    const bool visited = slow >= roi.slow_min && slow <= roi.slow_max &&
                         roi.fast_min <= roi.fast_max;
    const auto from = visited ? static_cast<std::size_t>(roi.fast_min) : width,
               to = visited ? static_cast<std::size_t>(roi.fast_max) + 1 : width;
    std::fill_n(row.begin(), from, masked_pixel);
    std::fill(row.begin() + static_cast<std::ptrdiff_t>(to), row.end(), masked_pixel);
    if (mask)
      for (std::size_t i = 0; i < width; ++i)
        if (!mask->keep[static_cast<std::size_t>(slow) * width + i]) row[i] = gap_pixel;
  }
}

/// Of a map; empty where there is none.
std::string mean_in_words(const std::shared_ptr<const PixelFactors>& map) {
  if (!map) return {};
  const double sum = std::accumulate(map->begin(), map->end(), 0.0);
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(),
                                 sum / static_cast<double>(map->size()), std::chars_format::general,
                                 4);
  return " of mean " + std::string(text.data(), end.ptr);
}

double largest_count(const DetectorResponse& response, const Detector& detector) {
  constexpr double largest = std::numeric_limits<std::int32_t>::max();
  double limit = std::min(detector.saturation.value_or(largest), largest);
  if (response.bits) limit = std::min(limit, std::exp2(*response.bits) - 1);
  return limit;
}

std::span<const float> part_of(const std::shared_ptr<const PixelFactors>& map, std::size_t first,
                               std::size_t pixels) {
  if (!map) return {};
  return std::span(*map).subspan(first, pixels);
}

}  // namespace

const char* name_of(PointSpread::Shape shape) {
  return shape == PointSpread::Shape::gauss ? "gauss" : "fiber";
}

void check_point_spread(const PointSpread& spread) {
  if (!(spread.fwhm_um > 0 && spread.fwhm_um <= 1e5))
    throw UsageError(
        "the full width at half maximum of a point spread is above 0 and at most 1e+05 "
        "um, not " +
        text_of(spread.fwhm_um));
}

void check_response(const DetectorResponse& r, const Experiment& experiment) {
  if (r.point_spread) check_point_spread(*r.point_spread);
  check_within(r.flicker, 0, 1, "flicker");
  check_within(r.calibration, 0, 1, "calibration");
  check_within(r.photon_spread, 0, 10, "photon spread");
  check_within(r.gain_spread, 0, 1, "gain spread");
  check_within(r.readout_noise, 0, 1e6, "readout noise [counts]");
  check_within(r.offset, 0, 1e6, "offset [counts]");
  check_within(r.dead_time_ns, 0, 1e9, "dead time [ns]");
  if (r.bits) check_within(*r.bits, 1, 31, "number of bits");
  check_within(r.dead_pixels, 0, 1, "share of dead pixels");
  check_within(r.hot_pixels, 0, 1, "share of hot pixels");
  check_within(r.dead_pixels + r.hot_pixels, 0, 1, "share of dead and hot pixels");
  check_within(r.photon_charge_e, 0, 1e7, "charge of a photon [electrons]");
  check_within(r.dark_current_e_s, 0, 1e12, "dark current [electrons/s]");
  check_within(r.full_well_e, 0, 1e12, "full well [electrons]");
  if (r.calibration_map) check_map(*r.calibration_map, experiment, "calibration map");
  if (r.gain_map) check_map(*r.gain_map, experiment, "gain map");
  const auto none_of = [](double x, const char* what, const char* kind, const char* other) {
    if (x != 0)
      throw UsageError("a detector with " + std::string(what) + " is " + other +
                       ", and the response is of " + kind + " one");
  };
  if (r.kind == Kind::counting) {
    none_of(r.photon_spread, "a photon spread", "a counting", "integrating");
    none_of(r.gain_spread, "a gain spread", "a counting", "integrating");
    none_of(r.readout_noise, "readout noise", "a counting", "integrating");
    none_of(r.dark_current_e_s, "a dark current", "a counting", "integrating");
    none_of(r.full_well_e, "a full well", "a counting", "integrating");
    none_of(r.photon_charge_e, "a charge of a photon", "a counting", "integrating");
    none_of(r.gain_map ? 1 : 0, "a gain map", "a counting", "integrating");
  } else {
    none_of(r.dead_time_ns, "a dead time", "an integrating", "counting");
  }
  if (r.dead_time_ns > 0 && !(experiment.beam.exposure_s > 0))
    throw UsageError("a dead time needs the exposure [s] in which the photons arrive");
  if (r.dark_current_e_s > 0 && !(experiment.beam.exposure_s > 0))
    throw UsageError("a dark current needs the exposure [s] in which its charge is collected");
  if ((r.dark_current_e_s > 0 || r.full_well_e > 0) && r.photon_charge_e == 0)
    throw UsageError(
        "a dark current and a full well are told in electrons, and how many of them a "
        "photon sets free is not given (-photon_charge)");
  if (r.photon_charge_e > 0 && r.dark_current_e_s == 0 && r.full_well_e == 0)
    throw UsageError(
        "the charge of a photon is that of a dark current or a full well, and neither "
        "is given");
  for (std::size_t i = 0; r.kind == Kind::counting && i <= experiment.more_panels.size(); ++i)
    if (const double gain = detector_of(experiment, i).gain; gain != 1)
      throw UsageError("a counting detector counts a photon once, and panel " + std::to_string(i) +
                       " has a gain of " + text_of(gain) +
                       " counts; take an integrating one, or a gain of 1");
}

std::string to_string(const DetectorResponse& r) {
  std::string text = r.kind == Kind::counting ? "counting" : "integrating";
  const auto add = [&](bool is_there, const std::string& words) {
    if (is_there) text += ", " + words;
  };
  if (const auto& spread = r.point_spread)
    text += std::string(", point spread ") + name_of(spread->shape) + " of " +
            text_of(spread->fwhm_um) + " um";
  add(r.flicker > 0, "flicker " + text_of(r.flicker));
  add(r.calibration > 0, "calibration " + text_of(r.calibration));
  add(r.calibration_map != nullptr, "calibration map" + mean_in_words(r.calibration_map));
  add(r.photon_spread > 0, "photon spread " + text_of(r.photon_spread));
  add(r.dark_current_e_s > 0, "dark current " + text_of(r.dark_current_e_s) + " e-/s");
  add(r.full_well_e > 0, "full well " + text_of(r.full_well_e) + " e-");
  add(r.photon_charge_e > 0, text_of(r.photon_charge_e) + " e- a photon");
  add(r.gain_spread > 0, "gain spread " + text_of(r.gain_spread));
  add(r.gain_map != nullptr, "gain map" + mean_in_words(r.gain_map));
  add(r.dead_pixels > 0, "dead pixels " + text_of(r.dead_pixels));
  add(r.hot_pixels > 0, "hot pixels " + text_of(r.hot_pixels));
  add(r.calibration > 0 || r.gain_spread > 0 || r.dead_pixels > 0 || r.hot_pixels > 0,
      "calibration seed " + std::to_string(r.calibration_seed));
  add(r.readout_noise > 0, "readout noise " + text_of(r.readout_noise));
  add(r.kind == Kind::integrating, "offset " + text_of(r.offset));
  add(r.dead_time_ns > 0,
      std::string(r.dead_time_model == DetectorResponse::DeadTime::paralysable ? "paralysable"
                                                                               : "nonparalysable") +
          " dead time " + text_of(r.dead_time_ns) + " ns");
  add(r.bits.has_value(), std::to_string(r.bits.value_or(0)) + " bits");
  return text;
}

/// A transform would spread one such number over the whole panel.
template <class Number>
void check_light(std::span<const Number> light) {
  // In the bits, which a compiler looks at in registers of them
  using Bits = std::conditional_t<sizeof(Number) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits exponent = std::bit_cast<Bits>(std::numeric_limits<Number>::infinity());
  Bits count = 0;
  for (const Number x : light) count += (std::bit_cast<Bits>(x) & exponent) == exponent;
  if (count > 0)
    throw UsageError("the light is NaN or infinite in " + std::to_string(count) +
                     (count == 1 ? " pixel" : " pixels") + ", which no detector records");
}

namespace {

/// The panels, in the order of the image, whose pixels they name.
std::vector<readout::RecordedPanel> recorded_panels(const Experiment& experiment,
                                                    const Resolved& resolved,
                                                    const DetectorResponse& response) {
  std::vector<readout::RecordedPanel> panels;
  std::size_t first = 0;
  for (std::size_t i = 0; i <= resolved.more_panels.size(); ++i) {
    const readout::PixelGrid grid = readout::grid_of(panel_of(resolved, i));
    const std::size_t pixels = PanelExtent{grid.fast_pixels, grid.slow_pixels}.pixels();
    const Detector& detector = detector_of(experiment, i);
    panels.push_back({.number = i,
                      .first_pixel = first,
                      .grid = grid,
                      .gain = detector.gain,
                      .limit = largest_count(response, detector),
                      .dead_time_share = response.dead_time_ns > 0 ? response.dead_time_ns * 1e-9 /
                                                                         experiment.beam.exposure_s
                                                                   : 0,
                      .dark_charge_e = response.dark_current_e_s > 0
                                           ? response.dark_current_e_s * experiment.beam.exposure_s
                                           : 0,
                      .calibration_map = part_of(response.calibration_map, first, pixels),
                      .gain_map = part_of(response.gain_map, first, pixels)});
    first += pixels;
  }
  return panels;
}

std::size_t pixels_of(const readout::RecordedPanel& panel) {
  return PanelExtent{panel.grid.fast_pixels, panel.grid.slow_pixels}.pixels();
}

/// Where nothing is recorded.
void mark_panel(const Experiment& experiment, const Resolved& resolved,
                const readout::RecordedPanel& panel, std::span<std::int32_t> counts) {
  const std::size_t i = panel.number;
  const auto& mask = i == 0 ? experiment.sampling.mask : experiment.more_panels[i - 1].mask;
  mark(i == 0 ? resolved.roi : resolved.more_panels[i - 1].roi, mask.get(), panel.grid, counts);
}

void check_pixels(std::size_t given, std::size_t pixels, const char* what) {
  if (given != pixels)
    throw UsageError(std::string(what) + " that of " + std::to_string(given) +
                     " pixels, and the experiment has " + std::to_string(pixels));
}

/// The experiment, once it is known that the response is one of it and the image, too.
Resolved resolve_recorded(const Experiment& experiment, const Image& image,
                          const DetectorResponse& response) {
  check_response(response, experiment);
  Resolved resolved = resolve(experiment);
  if (!has_panels_of(image, resolved))
    throw UsageError("the image is none of this experiment: its panels have other sizes");
  check_light(std::span<const float>(image.pixels));
  return resolved;
}

struct StageWords {
  std::string_view name, unit;
};
/// In the order of readout::Stage.
constexpr std::array words_of_stages{StageWords{"light", "photons"},
                                     StageWords{"flicker", "photons"},
                                     StageWords{"calibration", "photons"},
                                     StageWords{"photon statistics", "photons"},
                                     StageWords{"photon spread", "photons"},
                                     StageWords{"point spread", "photons"},
                                     StageWords{"dead time", "photons"},
                                     StageWords{"dead pixel", "photons"},
                                     StageWords{"dark charge", "photons"},
                                     StageWords{"full well", "photons"},
                                     StageWords{"gain", "counts"},
                                     StageWords{"offset, readout noise", "counts"},
                                     StageWords{"rounding, limit", "counts"},
                                     StageWords{"hot pixel", "counts"}};
static_assert(words_of_stages.size() == readout::stage_count);

}  // namespace

RecordedPixel record_pixel(const Experiment& experiment, const Image& image,
                           const DetectorResponse& response, std::int64_t seed,
                           const PixelIndex& pixel) {
  const Resolved resolved = resolve_recorded(experiment, image, response);
  const auto panels = recorded_panels(experiment, resolved, response);
  const auto is_within = [](int x, auto size) { return x >= 0 && std::cmp_less(x, size); };
  if (!is_within(pixel.panel, panels.size()))
    throw UsageError("the detector has no panel " + std::to_string(pixel.panel));
  const readout::RecordedPanel& panel = panels[static_cast<std::size_t>(pixel.panel)];
  if (!is_within(pixel.fast, panel.grid.fast_pixels) ||
      !is_within(pixel.slow, panel.grid.slow_pixels))
    throw UsageError("pixel slow " + std::to_string(pixel.slow) + " fast " +
                     std::to_string(pixel.fast) + " is not on its panel");
  const auto at = static_cast<std::size_t>(pixel.slow) *
                      static_cast<std::size_t>(panel.grid.fast_pixels) +
                  static_cast<std::size_t>(pixel.fast);
  const std::span<const float> arriving = image.panel(panel.number).pixels;
  readout::PixelProbe drawn{at}, expected{at};
  std::vector<std::int32_t> counts(arriving.size());
  readout::record_panel(response, panel, seed, arriving, counts, &drawn);
  mark_panel(experiment, resolved, panel, counts);
  std::vector<double> means(arriving.size());
  readout::MeanOfPanel(response, panel)
      .counts(std::vector<double>(arriving.begin(), arriving.end()), means, &expected);
  RecordedPixel recorded{{}, counts[at]};
  for (const readout::Stage stage : readout::stages_of(response.kind))
    if (const auto& value = drawn[stage]) {
      const StageWords& words = words_of_stages[static_cast<std::size_t>(stage)];
      recorded.steps.push_back({words.name, words.unit, expected[stage].value(), *value});
    }
  return recorded;
}

CountedImage record_photons(const Experiment& experiment, const Image& image,
                            const DetectorResponse& response, std::int64_t seed) {
  const Resolved resolved = resolve_recorded(experiment, image, response);
  CountedImage recorded;
  memory::reserve_in_huge_pages(recorded.counts, image.pixels.size());
  recorded.counts.resize(image.pixels.size());
  for (const readout::RecordedPanel& panel : recorded_panels(experiment, resolved, response)) {
    const std::span counts = std::span(recorded.counts)
                                 .subspan(panel.first_pixel, pixels_of(panel));
    recorded.saturated += readout::record_panel(response, panel, seed,
                                                image.panel(panel.number).pixels, counts);
    mark_panel(experiment, resolved, panel, counts);
  }
  return recorded;
}

std::vector<double> expected_counts(const Experiment& experiment, const DetectorResponse& response,
                                    std::span<const double> light) {
  check_response(response, experiment);
  const Resolved resolved = resolve(experiment);
  check_pixels(light.size(), pixels_of(resolved), "the light is");
  check_light(light);
  std::vector<double> counts(light.size());
  for (const readout::RecordedPanel& panel : recorded_panels(experiment, resolved, response))
    readout::MeanOfPanel(response, panel)
        .counts(light.subspan(panel.first_pixel, pixels_of(panel)),
                std::span(counts).subspan(panel.first_pixel, pixels_of(panel)));
  return counts;
}

ExpectedCountsSlopes pull_back_counts(const Experiment& experiment,
                                      const DetectorResponse& response,
                                      std::span<const double> light,
                                      std::span<const double> slopes) {
  check_response(response, experiment);
  const Resolved resolved = resolve(experiment);
  check_pixels(light.size(), pixels_of(resolved), "the light is");
  check_pixels(slopes.size(), pixels_of(resolved), "the derivative by the counts is");
  check_light(light);
  ExpectedCountsSlopes all;
  all.light.resize(light.size());
  for (const readout::RecordedPanel& panel : recorded_panels(experiment, resolved, response)) {
    const std::size_t pixels = pixels_of(panel);
    std::vector<std::int32_t> marks(pixels);
    mark_panel(experiment, resolved, panel, marks);
    const auto of_panel = slopes.subspan(panel.first_pixel, pixels);
    std::vector<double> that_count(of_panel.begin(), of_panel.end());
    for (std::size_t i = 0; i < pixels; ++i)
      if (marks[i] != 0) that_count[i] = 0;
    const auto sums = readout::MeanOfPanel(response, panel)
                          .pull_back(light.subspan(panel.first_pixel, pixels), that_count,
                                     std::span(all.light).subspan(panel.first_pixel, pixels));
    all.gain.push_back(sums.gain);
    all.offset += sums.offset;
    all.fwhm_um += sums.fwhm_um;
    all.dark_current_e_s += sums.dark_charge_e * experiment.beam.exposure_s;
  }
  return all;
}

std::function<double(std::span<const double>, std::span<double>)> loss_of_counts(
    const Experiment& experiment, const DetectorResponse& response,
    std::function<double(std::span<const double>, std::span<double>)> loss,
    ExpectedCountsSlopes* slopes) {
  return [experiment, response, loss = std::move(loss), slopes](std::span<const double> photons,
                                                                std::span<double> by_photons) {
    const std::vector<double> counts = expected_counts(experiment, response, photons);
    std::vector<double> by_counts(counts.size());
    const double value = loss(counts, by_counts);
    ExpectedCountsSlopes all = pull_back_counts(experiment, response, photons, by_counts);
    std::ranges::copy(all.light, by_photons.begin());
    if (slopes) *slopes = std::move(all);
    return value;
  };
}

std::vector<PixelState> pixel_states(const Experiment& experiment,
                                     const DetectorResponse& response) {
  check_response(response, experiment);
  const Resolved resolved = resolve(experiment);
  std::vector<PixelState> states;
  for (std::size_t i = 0; i <= resolved.more_panels.size(); ++i) {
    const Panel& panel = panel_of(resolved, i);
    const std::size_t pixels = PanelExtent{panel.fast_pixels, panel.slow_pixels}.pixels();
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
      states.push_back(readout::pixel_state(response, i, pixel));
  }
  return states;
}

std::vector<double> spread_light(const Experiment& experiment, const PointSpread& point_spread,
                                 std::span<const double> light) {
  check_point_spread(point_spread);
  const Resolved resolved = resolve(experiment);
  const std::size_t pixels = pixels_of(resolved);
  const std::size_t panels = 1 + resolved.more_panels.size();
  check_pixels(light.size(), pixels, "the light is");
  check_light(light);
  std::vector<double> result(pixels);
  std::size_t first = 0;
  for (std::size_t i = 0; i < panels; ++i) {
    const readout::PixelGrid grid = readout::grid_of(panel_of(resolved, i));
    const std::size_t size = PanelExtent{grid.fast_pixels, grid.slow_pixels}.pixels();
    readout::spread_panel(point_spread, grid, light.subspan(first, size),
                          std::span(result).subspan(first, size));
    first += size;
  }
  return result;
}

}  // namespace nablabragg
