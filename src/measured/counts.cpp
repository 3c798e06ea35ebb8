#include "measured/counts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"  // for visited_pixels

namespace nablabragg::measured {

namespace {

/// As many share the largest count where a detector has one; of a symmetric image eight may.
constexpr std::size_t few = 10;
/// Photons differ from pixel to pixel where there are many.
constexpr double bright_photons = 50;
constexpr float no_count = std::numeric_limits<float>::quiet_NaN();

/// Mean, and variance from differences of diagonal neighbours, in which a gradient has no part: of
/// the black or of the white fields of a square of the board.
struct Half {
  double mean = 0, variance = 0;
};

/// Both halves have light of their own, so that what is chosen by one is not biased in the other.
struct Block {
  std::array<Half, 2> halves;
};

/// The square whose first pixel is given; empty where a pixel holds no count.
std::optional<Block> block_at(const PanelImage& panel, int fast0, int slow0, int edge,
                              double overload) {
  Block block;
  std::array<double, 2> sums{}, squares{};
  std::array<int, 2> counts{}, pairs{};
  const auto count_at = [&](int i, int j) {
    return static_cast<double>(panel.at(fast0 + i, slow0 + j));
  };
  for (int j = 0; j < edge; ++j)
    for (int i = 0; i < edge; ++i) {
      const double count = count_at(i, j);
      if (!(count < overload)) return std::nullopt;
      const auto half = static_cast<std::size_t>((i + j) % 2);
      sums[half] += count;
      ++counts[half];
      if (i + 1 == edge || j + 1 == edge) continue;
      const double off = count_at(i + 1, j + 1) - count;
      squares[half] += off * off / 2;
      ++pairs[half];
    }
  for (std::size_t half = 0; half < 2; ++half)
    block.halves[half] = {sums[half] / counts[half], squares[half] / pairs[half]};
  return block;
}

double median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

/// The counts of the region and the mask alone; NaN elsewhere, and where there were more.
Image counts_of_model(const Measurement& m, const SettledExperiment& model) {
  Image seen = m.counts;
  std::fill(seen.pixels.begin(), seen.pixels.end(), no_count);
  std::vector<PanelImage> panels;
  for (std::size_t i = 0; i < seen.panels(); ++i) panels.push_back(m.counts.panel(i));
  for (const PixelIndex& p : visited_pixels(model)) {
    const PanelImage& panel = panels[static_cast<std::size_t>(p.panel)];
    const auto pixel = panel.first_pixel +
                       static_cast<std::size_t>(p.slow) *
                           static_cast<std::size_t>(panel.fast_pixels) +
                       static_cast<std::size_t>(p.fast);
    if (m.at_least.empty() || !m.at_least[pixel]) seen.pixels[pixel] = m.counts.pixels[pixel];
  }
  return seen;
}

/// Leaves out -1 and -2 where nothing else is below zero: photons are not, and noise has no floor
/// there.
void leave_out_signed_marks(Reading& reading, const std::string& name, const Image& seen,
                            std::vector<std::string>& lines) {
  Measurement& m = reading.measurement;
  if (m.readout_noise > 0) return;
  const auto is_mark = [](float count) { return count == -1 || count == -2; };
  if (!std::ranges::all_of(seen.pixels,
                           [&](float count) { return !(count < 0) || is_mark(count); }))
    return;
  const auto marked = std::ranges::count_if(seen.pixels, is_mark);
  if (marked == 0) return;
  std::ranges::replace_if(m.counts.pixels, is_mark, no_count);
  lines.push_back(
      fmt::format("{}: {} pixel{} -1 or -2, the marks of pixels without a count, and nothing else "
                  "is below zero; left out",
                  name, marked, marked == 1 ? " holds" : "s hold"));
}

/// Leaves out what holds -1 and -2 without a sign.
void leave_out_marks(Reading& reading, const std::string& name, const Image& seen,
                     std::vector<std::string>& lines) {
  const double largest = reading.known.largest_count;
  if (largest != 65535) return;
  for (const auto& [mark, meaning] : {std::pair{largest - 1, "-2"}, std::pair{largest, "-1"}}) {
    const auto value = static_cast<float>(mark);
    const auto marked = std::count(seen.pixels.begin(), seen.pixels.end(), value);
    std::replace(reading.measurement.counts.pixels.begin(), reading.measurement.counts.pixels.end(),
                 value, no_count);
    if (marked >= static_cast<std::ptrdiff_t>(few) || (marked > 0 && mark < largest))
      lines.push_back(
          fmt::format("{}: {} pixel{} {:.0f} counts, which is {} and marks {}; left out", name,
                      marked, marked == 1 ? " holds" : "s hold", mark, meaning,
                      mark < largest ? "pixels without a measurement" : "overloads and gaps"));
  }
}

void find_saturation(Reading& reading, const std::string& name, const Image& seen,
                     std::vector<std::string>& lines) {
  Measurement& m = reading.measurement;
  double largest = -std::numeric_limits<double>::infinity();
  std::size_t at_largest = 0;
  for (const float pixel : seen.pixels) {
    const double count = pixel;
    if (!(count < m.overload)) continue;
    if (count > largest) largest = count, at_largest = 0;
    if (count == largest) ++at_largest;
  }
  if (at_largest < few || (largest - m.offset) / m.counts_per_photon < bright_photons) return;
  if (reading.known.overload) {
    lines.push_back(fmt::format(
        "{}: {} pixels share the largest count below --overload, {:g}, so the detector seems to "
        "saturate there; --overload {:g} takes them for as many counts or more",
        name, at_largest, largest, largest));
    return;
  }
  m.overload = largest;
  lines.push_back(fmt::format(
      "{}: {} pixels share the largest count, {:g}, so the detector seems to saturate there and "
      "they counted that or more (--overload sets another limit, --saturated left-out leaves them "
      "out)",
      name, at_largest, largest));
}

void refuse_too_large_offset(const Reading& reading, const std::string& name, const Image& seen) {
  const Measurement& m = reading.measurement;
  const double margin = std::max(m.readout_noise, 1.0);
  std::size_t pixels = 0, below = 0;
  for (const float pixel : seen.pixels) {
    const double count = pixel;
    if (!(count < m.overload)) continue;
    ++pixels;
    if (count + margin <= m.offset) ++below;
  }
  if (2 * below <= pixels || pixels == 0) return;
  throw InputError(name, 0,
                   fmt::format("{} of {} pixels are below the {:g} counts of a dark pixel; "
                               "--offset gives what a dark pixel has, --offset 0 for a detector "
                               "without pedestal",
                               below, pixels, m.offset));
}

}  // namespace

std::optional<OffsetEstimate> estimate_offset(const Measurement& m,
                                              const SettledExperiment& model) {
  constexpr int edge = 8;
  constexpr std::size_t least_blocks = 40;
  constexpr double flat_share = 0.25, outlier = 6;
  const Image seen = counts_of_model(m, model);
  const double readout_variance = m.readout_noise * m.readout_noise;
  const auto offset_of = [&](const Half& half) {
    return half.mean - (half.variance - readout_variance) / m.counts_per_photon;
  };
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < seen.panels(); ++i) {
    const PanelImage panel = seen.panel(i);
    for (int slow = 0; slow + edge <= panel.slow_pixels; slow += edge)
      for (int fast = 0; fast + edge <= panel.fast_pixels; fast += edge)
        if (const auto block = block_at(panel, fast, slow, edge, m.overload))
          blocks.push_back(*block);
  }
  if (blocks.size() < least_blocks) return std::nullopt;

  // Spots make variance without photons of their own mean: they are where one half says that the
  // offset is low, and the other half of what is left has no part in the choice.
  std::vector<double> offsets;
  for (std::size_t chooser = 0; chooser < 2; ++chooser) {
    const auto kept = static_cast<std::ptrdiff_t>(flat_share * static_cast<double>(blocks.size()));
    std::ranges::nth_element(blocks, blocks.begin() + kept, std::greater(),
                             [&](const Block& b) { return offset_of(b.halves[chooser]); });
    for (std::ptrdiff_t i = 0; i < kept; ++i)
      offsets.push_back(offset_of(blocks[static_cast<std::size_t>(i)].halves[1 - chooser]));
  }
  // A spot may lie on fields of one colour
  const double middle = median(offsets);
  std::vector<double> off;
  for (const double x : offsets) off.push_back(std::abs(x - middle));
  const double reach = outlier * 1.4826 * median(off);
  double sum = 0, sum2 = 0, count = 0;
  for (const double x : offsets)
    if (std::abs(x - middle) <= reach)
      sum += x - middle, sum2 += (x - middle) * (x - middle), ++count;
  const double mean = sum / count;
  // Variances are skew: by as much as mean and middle differ the choice may have moved the mean
  const double by_chance = std::sqrt(std::max(sum2 / count - mean * mean, 0.0) / count);
  return OffsetEstimate{middle + mean, std::hypot(by_chance, mean)};
}

std::vector<std::string> settle_counts(Reading& reading, const std::string& name,
                                       const SettledExperiment& model) {
  Measurement& m = reading.measurement;
  // Images of another size than the model's are refused by whoever fits them
  if (!has_panels_of(m.counts, model.resolved())) return {};
  std::vector<std::string> lines;
  leave_out_signed_marks(reading, name, counts_of_model(m, model), lines);
  leave_out_marks(reading, name, counts_of_model(m, model), lines);
  if (!reading.known.offset) {
    // Two photons more or less under each pixel are as many as there often are
    constexpr double coarse_photons = 2;
    constexpr double deviations = 3;
    const auto estimate = reading.known.gain ? estimate_offset(m, model) : std::nullopt;
    const double coarse = coarse_photons * m.counts_per_photon;
    if (estimate && estimate->counts < -std::max(deviations * estimate->deviation, coarse))
      throw InputError(
          name, 0,
          fmt::format("does not say what a dark pixel counts, and counts vary more than photons do "
                      "at {:g} counts per photon, by which it would count {:.3g} +- {:.2g}; give "
                      "--offset, or the --gain that is right",
                      m.counts_per_photon, estimate->counts, estimate->deviation));
    if (!estimate || estimate->deviation > coarse)
      throw InputError(
          name, 0,
          reading.known.gain
              ? "does not say what a dark pixel counts, and has too few flat and dim places to "
                "estimate it; give --offset"
              : "says neither what a dark pixel counts nor its gain; give --offset (0 for a "
                "detector that counts photons, 40 for images of nanoBragg), or --gain, by which "
                "the offset is estimated");
    // Detectors that count photons have none
    const bool none = std::abs(estimate->counts) <= deviations * estimate->deviation;
    m.offset = none ? 0 : estimate->counts;
    lines.push_back(fmt::format(
        "{}: does not say what a dark pixel counts; by how counts vary it is {:.3g} +- {:.2g} at "
        "{:g} counts per photon, {} is taken (--offset sets another number)",
        name, estimate->counts, estimate->deviation, m.counts_per_photon,
        none ? "0" : fmt::format("{:.4g}", estimate->counts)));
  }
  const Image seen = counts_of_model(m, model);
  refuse_too_large_offset(reading, name, seen);
  find_saturation(reading, name, seen, lines);
  return lines;
}

}  // namespace nablabragg::measured
