#include "readout/response.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>

#include "memory/huge_pages.hpp"
#include "readout/keyed_bits.hpp"
#include "readout/noise.hpp"
#include "readout/row_kernels.hpp"

namespace nablabragg::readout {

namespace {

/// What random numbers are drawn for; the photons have the streams of KeyedPoisson.
enum class Step : std::uint64_t {
  flicker = 1,
  absorption = 2,
  gain = 3,
  dead_time = 4,
  signal = 5,
  readout = 6,
  dark = 7,
  bad_pixels = 8
};

std::uint64_t key_of(std::int64_t seed, Step step, std::size_t panel) {
  const std::uint64_t of_seed = mixed(static_cast<std::uint64_t>(seed) + golden);
  const std::uint64_t of_step = mixed(of_seed + static_cast<std::uint64_t>(step) * golden);
  return mixed(of_step + panel * golden);
}

/// Numbers of a part of the pixels, in whole registers.
using Numbers = std::array<double, poisson_chunk>;

std::size_t whole(std::size_t pixels) {
  return (pixels + normal_block - 1) / normal_block * normal_block;
}

/// Adds up what `work` returns for parts of the pixels.
template <class Work>
std::int64_t by_parts(std::size_t pixels, Work work) {
  std::atomic<std::int64_t> sum{0};
  const std::size_t parts = (pixels + poisson_chunk - 1) / poisson_chunk;
  tbb::parallel_for(tbb::blocked_range<std::size_t>(0, parts, 64), [&](const auto& some) {
    std::int64_t of_some = 0;
    for (std::size_t i = some.begin(); i < some.end(); ++i)
      of_some += work(i * poisson_chunk, std::min((i + 1) * poisson_chunk, pixels));
    sum += of_some;
  });
  return sum;
}

/// Pixel by pixel by 1 + spread x a normal deviate of the key, and no less than nothing.
void multiply_by_pattern(const RowKernels& kernels, std::uint64_t key, double spread,
                         std::size_t begin, std::size_t pixels, Numbers& values) {
  if (spread == 0) return;
  Numbers normals;
  kernels.draw_normals(key, begin, whole(pixels), normals.data());
  kernels.multiply_by_pattern(normals.data(), pixels, spread, values.data());
}

void multiply(std::span<const float> map, std::size_t begin, std::size_t pixels, Numbers& values) {
  if (map.empty()) return;
  for (std::size_t i = 0; i < pixels; ++i) values[i] *= static_cast<double>(map[begin + i]);
}

class PanelRecorder {
 public:
  PanelRecorder(const DetectorResponse& response, const RecordedPanel& panel, std::int64_t seed,
                PixelProbe* probe)
      : response_(response),
        panel_(panel),
        probe_(probe),
        kernels_(row_kernels()),
        photons_(static_cast<std::uint64_t>(seed)),
        dark_(key_of(seed, Step::dark, 0)),
        flicker_(flicker_factor(response, seed)) {
    for (const Step step : {Step::dead_time, Step::signal, Step::readout})
      keys_[static_cast<std::size_t>(step)] = key_of(seed, step, panel.number);
    for (const Step step : {Step::absorption, Step::gain})
      keys_[static_cast<std::size_t>(step)] = key_of(response.calibration_seed, step, panel.number);
  }

  /// A counting detector: the mean is spread, then counted.
  std::int64_t count(std::span<const float> light, std::span<std::int32_t> counts) const {
    note_light(light);
    const auto spread_light = spread(light);
    const std::span<const float> arrived = spread_light ? std::span<const float>(spread_light.get(),
                                                                                 light.size())
                                                        : light;
    return by_parts(light.size(), [&](std::size_t begin, std::size_t end) {
      Numbers means, drawn;
      count_photons(arrived, begin, end, means, drawn);
      if (panel_.dead_time_share > 0) {
        kernels_.lose_to_dead_time(
            key(Step::dead_time), begin, means.data(), whole(end - begin), panel_.dead_time_share,
            response_.dead_time_model == DetectorResponse::DeadTime::paralysable, drawn.data());
        note(Stage::dead_time, begin, end, drawn);
      }
      blind(drawn, begin, end);
      const std::int64_t above = kernels_.round_counts(drawn.data(), end - begin, panel_.limit,
                                                       counts.data() + begin);
      note(Stage::count, begin, end, counts.subspan(begin));
      heat(counts, begin, end);
      return above;
    });
  }

  /// An integrating one: photons are drawn, their signal is spread, then digitized.
  std::int64_t integrate(std::span<const float> light, std::span<std::int32_t> counts) const {
    note_light(light);
    if (!response_.point_spread)
      return by_parts(light.size(), [&](std::size_t begin, std::size_t end) {
        Numbers signal;
        draw_signal(light, begin, end, signal);
        return digitize(signal, begin, end, counts);
      });
    const auto signals = memory::array_in_huge_pages<float>(light.size());
    by_parts(light.size(), [&](std::size_t begin, std::size_t end) {
      Numbers signal;
      draw_signal(light, begin, end, signal);
      kernels_.narrow(signal.data(), end - begin, signals.get() + begin);
      return 0;
    });
    const auto spread_signals = spread({signals.get(), light.size()});
    return by_parts(light.size(), [&](std::size_t begin, std::size_t end) {
      Numbers signal;
      kernels_.widen(spread_signals.get() + begin, end - begin, 1, signal.data());
      note(Stage::point_spread, begin, end, signal);
      return digitize(signal, begin, end, counts);
    });
  }

 private:
  std::uint64_t key(Step step) const { return keys_[static_cast<std::size_t>(step)]; }
  bool counts_photons() const { return response_.kind == DetectorResponse::Kind::counting; }

  /// For the probe, of the pixels from `begin` on.
  bool looks_within(std::size_t begin, std::size_t end) const {
    return probe_ && probe_->pixel >= begin && probe_->pixel < end;
  }
  template <class Values>
  void note(Stage stage, std::size_t begin, std::size_t end, const Values& values) const {
    if (looks_within(begin, end))
      (*probe_)[stage] = static_cast<double>(values[probe_->pixel - begin]);
  }
  void note_light(std::span<const float> light) const {
    note(Stage::light, 0, light.size(), light);
    if (probe_ && response_.flicker > 0)
      (*probe_)[Stage::flicker] = *(*probe_)[Stage::light] * flicker_;
  }

  std::unique_ptr<float[]> spread(std::span<const float> light) const {
    if (!response_.point_spread) return nullptr;
    auto result = memory::array_in_huge_pages<float>(light.size());
    spread_panel(*response_.point_spread, panel_.grid, light,
                 std::span(result.get(), light.size()));
    return result;
  }

  /// Of the panel's pixels from `begin` on.
  void draw_normals(Step step, std::size_t begin, std::size_t pixels, Numbers& normals) const {
    kernels_.draw_normals(key(step), begin, whole(pixels), normals.data());
  }

  /// Dead pixels see nothing.
  void blind(Numbers& signal, std::size_t begin, std::size_t end) const {
    if (response_.dead_pixels == 0) return;
    for (std::size_t i = begin; i < end; ++i)
      if (pixel_state(response_, panel_.number, i) == PixelState::dead) {
        signal[i - begin] = 0;
        note(Stage::dead_pixel, i, i + 1, signal.begin() + static_cast<std::ptrdiff_t>(i - begin));
      }
  }
  void heat(std::span<std::int32_t> counts, std::size_t begin, std::size_t end) const {
    if (response_.hot_pixels == 0) return;
    for (std::size_t i = begin; i < end; ++i)
      if (pixel_state(response_, panel_.number, i) == PixelState::hot) {
        counts[i] = static_cast<std::int32_t>(panel_.limit);
        note(Stage::hot_pixel, i, i + 1, counts.subspan(i));
      }
  }

  void count_photons(std::span<const float> light, std::size_t begin, std::size_t end,
                     Numbers& means, Numbers& drawn) const {
    const std::size_t pixels = end - begin;
    kernels_.widen(light.data() + begin, pixels, flicker_, means.data());
    if (counts_photons() && response_.point_spread) note(Stage::point_spread, begin, end, means);
    std::fill(means.begin() + static_cast<std::ptrdiff_t>(pixels),
              means.begin() + static_cast<std::ptrdiff_t>(whole(pixels)), 0.0);
    multiply(panel_.calibration_map, begin, pixels, means);
    multiply_by_pattern(kernels_, key(Step::absorption), response_.calibration, begin, pixels,
                        means);
    if (response_.calibration > 0 || !panel_.calibration_map.empty())
      note(Stage::calibration, begin, end, means);
    const std::size_t all = whole(pixels);
    photons_(std::span<const double>(means.data(), all), panel_.first_pixel + begin,
             std::span(drawn.data(), all));
    note(Stage::photons, begin, end, drawn);
  }

  void draw_signal(std::span<const float> light, std::size_t begin, std::size_t end,
                   Numbers& signal) const {
    Numbers means;
    count_photons(light, begin, end, means, signal);
    if (response_.photon_spread == 0) return;
    Numbers normals;
    draw_normals(Step::signal, begin, end - begin, normals);
    kernels_.spread_signal(normals.data(), whole(end - begin), response_.photon_spread,
                           signal.data());
    note(Stage::photon_spread, begin, end, signal);
  }

  /// The charge that nobody's photon set free, of whole electrons [photons].
  void add_dark_charge(std::size_t begin, std::size_t pixels, Numbers& signal) const {
    if (panel_.dark_charge_e == 0) return;
    Numbers means, electrons;
    const std::size_t all = whole(pixels);
    std::fill_n(means.begin(), all, panel_.dark_charge_e);
    dark_(std::span<const double>(means.data(), all), panel_.first_pixel + begin,
          std::span(electrons.data(), all));
    for (std::size_t i = 0; i < pixels; ++i) signal[i] += electrons[i] / response_.photon_charge_e;
    note(Stage::dark_charge, begin, begin + pixels, signal);
  }

  std::int64_t digitize(Numbers& signal, std::size_t begin, std::size_t end,
                        std::span<std::int32_t> counts) const {
    const std::size_t pixels = end - begin;
    blind(signal, begin, end);
    add_dark_charge(begin, pixels, signal);
    std::array<bool, poisson_chunk> is_full;
    if (response_.full_well_e > 0) {
      const double full_well = response_.full_well_e / response_.photon_charge_e;  // [photons]
      for (std::size_t i = 0; i < pixels; ++i) {
        is_full[i] = signal[i] > full_well;
        signal[i] = std::min(signal[i], full_well);
      }
      note(Stage::full_well, begin, end, signal);
    }
    multiply(panel_.gain_map, begin, pixels, signal);
    multiply_by_pattern(kernels_, key(Step::gain), response_.gain_spread, begin, pixels, signal);
    const double gain = panel_.gain, offset = response_.offset, noise = response_.readout_noise;
    if (looks_within(begin, end)) (*probe_)[Stage::gain] = signal[probe_->pixel - begin] * gain;
    Numbers normals;
    if (noise > 0) draw_normals(Step::readout, begin, pixels, normals);
    kernels_.amplify(gain, offset, noise, noise > 0 ? normals.data() : nullptr, pixels,
                     signal.data());
    note(Stage::readout, begin, end, signal);
    std::int64_t saturated = kernels_.round_counts(signal.data(), pixels, panel_.limit,
                                                   counts.data() + begin);
    if (response_.full_well_e > 0)
      for (std::size_t i = 0; i < pixels; ++i)
        saturated += is_full[i] && counts[begin + i] < panel_.limit;
    note(Stage::count, begin, end, counts.subspan(begin));
    heat(counts, begin, end);
    return saturated;
  }

  const DetectorResponse& response_;
  const RecordedPanel& panel_;
  PixelProbe* probe_;  ///< null: none
  RowKernels kernels_;
  KeyedPoisson photons_, dark_;
  double flicker_;
  std::array<std::uint64_t, 7> keys_{};  ///< by step
};

}  // namespace

std::span<const Stage> stages_of(DetectorResponse::Kind kind) {
  using enum Stage;
  static constexpr std::array counting{light,     flicker,    point_spread, calibration, photons,
                                       dead_time, dead_pixel, count,        hot_pixel};
  static constexpr std::array integrating{
      light,       flicker,   calibration, photons, photon_spread, point_spread, dead_pixel,
      dark_charge, full_well, gain,        readout, count,         hot_pixel};
  if (kind == DetectorResponse::Kind::counting) return counting;
  return integrating;
}

LiveShare live_share(double mean, double dead_time_share, DetectorResponse::DeadTime model) {
  const double busy = mean * dead_time_share;
  if (model == DetectorResponse::DeadTime::paralysable) {
    const double live = std::exp(-busy);
    return {live, live * (1 - busy)};
  }
  const double live = 1 / (1 + busy);
  return {live, live * live};
}

MeanOfPanel::MeanOfPanel(const DetectorResponse& response, const RecordedPanel& panel)
    : response_(response), panel_(panel) {
  const auto pixels = static_cast<std::size_t>(panel.grid.fast_pixels) *
                      static_cast<std::size_t>(panel.grid.slow_pixels);
  const RowKernels kernels = row_kernels();
  const auto pattern = [&](Step step, double spread, std::span<const float> map) {
    std::vector<double> factors(pixels, 1.0);
    if (spread == 0 && map.empty()) return factors;
    const std::uint64_t key = key_of(response.calibration_seed, step, panel.number);
    by_parts(pixels, [&](std::size_t begin, std::size_t end) {
      Numbers some;
      some.fill(1);
      multiply(map, begin, end - begin, some);
      multiply_by_pattern(kernels, key, spread, begin, end - begin, some);
      std::copy_n(some.begin(), end - begin, factors.begin() + static_cast<std::ptrdiff_t>(begin));
      return 0;
    });
    return factors;
  };
  std::vector<double> absorbed = pattern(Step::absorption, response.calibration,
                                         panel.calibration_map);
  if (response.kind == DetectorResponse::Kind::integrating) {
    before_ = std::move(absorbed);
    behind_ = pattern(Step::gain, response.gain_spread, panel.gain_map);
  } else {
    before_.assign(pixels, 1.0);
    behind_ = std::move(absorbed);
  }
  if (response.dead_pixels > 0 || response.hot_pixels > 0)
    for (std::size_t i = 0; i < pixels; ++i)
      states_.push_back(pixel_state(response, panel.number, i));
  else
    states_.assign(pixels, PixelState::good);
}

std::vector<double> MeanOfPanel::spread(std::vector<double> light) const {
  if (!response_.point_spread) return light;
  std::vector<double> result(light.size());
  spread_panel(*response_.point_spread, panel_.grid, std::span<const double>(light),
               std::span(result));
  return result;
}

/// Behind the point spread.
std::vector<double> MeanOfPanel::signal(std::span<const double> light) const {
  std::vector<double> absorbed(light.begin(), light.end());
  for (std::size_t i = 0; i < absorbed.size(); ++i) absorbed[i] *= before_[i];
  return spread(std::move(absorbed));
}

/// `light` falls on the pixel, `arrived` is what the point spread leaves of it and brings.
template <class Note>
double MeanOfPanel::count_of(std::size_t pixel, double light, double arrived,
                             const Note& note) const {
  const bool is_dead = states_[pixel] == PixelState::dead;
  note(Stage::light, light);
  note(Stage::flicker, light);
  double count = 0;
  if (response_.kind == DetectorResponse::Kind::counting) {
    note(Stage::point_spread, arrived);
    const double mean = behind_[pixel] * arrived;
    note(Stage::calibration, mean);
    note(Stage::photons, mean);
    const double live = mean *
                        live_share(mean, panel_.dead_time_share, response_.dead_time_model).share;
    note(Stage::dead_time, live);
    count = is_dead ? 0 : live;
    note(Stage::dead_pixel, count);
  } else {
    const double absorbed = light * before_[pixel];
    for (const Stage stage : {Stage::calibration, Stage::photons, Stage::photon_spread})
      note(stage, absorbed);
    note(Stage::point_spread, arrived);
    const double seen = is_dead ? 0 : arrived;
    note(Stage::dead_pixel, seen);
    const double dark = panel_.dark_charge_e == 0
                            ? 0
                            : panel_.dark_charge_e / response_.photon_charge_e;
    const double signal = seen + dark;
    note(Stage::dark_charge, signal);
    note(Stage::full_well, signal);
    const double amplified = behind_[pixel] * signal * panel_.gain;
    note(Stage::gain, amplified);
    count = amplified + response_.offset;
    note(Stage::readout, count);
  }
  note(Stage::count, count);
  if (states_[pixel] == PixelState::hot) count = panel_.limit;
  note(Stage::hot_pixel, count);
  return count;
}

void MeanOfPanel::counts(std::span<const double> light, std::span<double> result,
                         PixelProbe* probe) const {
  const std::vector<double> arrived = signal(light);
  for (std::size_t i = 0; i < arrived.size(); ++i)
    result[i] = count_of(i, light[i], arrived[i], [](Stage, double) {});
  if (probe)
    count_of(probe->pixel, light[probe->pixel], arrived[probe->pixel],
             [&](Stage stage, double value) { (*probe)[stage] = value; });
}

MeanOfPanel::Slopes MeanOfPanel::pull_back(std::span<const double> light,
                                           std::span<const double> slopes,
                                           std::span<double> by_light) const {
  const std::vector<double> arrived = signal(light);
  const bool counting = response_.kind == DetectorResponse::Kind::counting;
  const double charge = counting || panel_.dark_charge_e == 0 ? 0 : response_.photon_charge_e,
               dark = charge > 0 ? panel_.dark_charge_e / charge : 0;
  Slopes sums;
  std::vector<double> by_signal(arrived.size());
  for (std::size_t i = 0; i < arrived.size(); ++i) {
    if (states_[i] == PixelState::hot) continue;
    const bool sees = states_[i] != PixelState::dead;
    const double seen = sees ? arrived[i] : 0;
    if (counting) {
      const double slope = slopes[i] * live_share(behind_[i] * seen, panel_.dead_time_share,
                                                  response_.dead_time_model)
                                           .slope;
      by_signal[i] = sees ? slope * behind_[i] : 0;
      continue;
    }
    const double by_charge = slopes[i] * behind_[i] * panel_.gain;
    by_signal[i] = sees ? by_charge : 0;
    sums.gain += slopes[i] * behind_[i] * (seen + dark);
    sums.offset += slopes[i];
    if (charge > 0) sums.dark_charge_e += by_charge / charge;
  }
  if (response_.point_spread) {
    std::vector<double> changed(by_signal.size());
    spread_panel_slope(*response_.point_spread, panel_.grid, std::span<const double>(by_signal),
                       std::span(changed));
    for (std::size_t i = 0; i < changed.size(); ++i)
      sums.fwhm_um += before_[i] * light[i] * changed[i];
  }
  // The point spread is its own adjoint
  const std::vector<double> spread_back = spread(std::move(by_signal));
  for (std::size_t i = 0; i < by_light.size(); ++i) by_light[i] = before_[i] * spread_back[i];
  return sums;
}

PixelState pixel_state(const DetectorResponse& response, std::size_t panel, std::size_t pixel) {
  const std::uint64_t key = key_of(response.calibration_seed, Step::bad_pixels, panel);
  const double u = 0x1p-53 * static_cast<double>(mixed(key + (pixel + 1) * golden) >> 11U);
  if (u < response.dead_pixels) return PixelState::dead;
  return u < response.dead_pixels + response.hot_pixels ? PixelState::hot : PixelState::good;
}

double flicker_factor(const DetectorResponse& response, std::int64_t seed) {
  if (response.flicker == 0) return 1;
  std::array<double, normal_block> normals{};
  row_kernels().draw_normals(key_of(seed, Step::flicker, 0), 0, normal_block, normals.data());
  return std::max(1 + response.flicker * normals[0], 0.0);
}

std::int64_t record_panel(const DetectorResponse& response, const RecordedPanel& panel,
                          std::int64_t seed, std::span<const float> light,
                          std::span<std::int32_t> counts, PixelProbe* probe) {
  const PanelRecorder recorder(response, panel, seed, probe);
  return response.kind == DetectorResponse::Kind::counting ? recorder.count(light, counts)
                                                           : recorder.integrate(light, counts);
}

}  // namespace nablabragg::readout
