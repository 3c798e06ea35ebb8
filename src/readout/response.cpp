#include "readout/response.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>

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

class PanelRecorder {
 public:
  PanelRecorder(const DetectorResponse& response, const RecordedPanel& panel, std::int64_t seed)
      : response_(response),
        panel_(panel),
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
    const auto spread_light = spread(light);
    const std::span<const float> arrived = spread_light ? std::span<const float>(spread_light.get(),
                                                                                 light.size())
                                                        : light;
    return by_parts(light.size(), [&](std::size_t begin, std::size_t end) {
      Numbers means, drawn;
      count_photons(arrived, begin, end, means, drawn);
      if (panel_.dead_time_share > 0)
        kernels_.lose_to_dead_time(
            key(Step::dead_time), begin, means.data(), whole(end - begin), panel_.dead_time_share,
            response_.dead_time_model == DetectorResponse::DeadTime::paralysable, drawn.data());
      blind(drawn, begin, end);
      const std::int64_t above = kernels_.round_counts(drawn.data(), end - begin, panel_.limit,
                                                       counts.data() + begin);
      heat(counts, begin, end);
      return above;
    });
  }

  /// An integrating one: photons are drawn, their signal is spread, then digitized.
  std::int64_t integrate(std::span<const float> light, std::span<std::int32_t> counts) const {
    if (!response_.point_spread)
      return by_parts(light.size(), [&](std::size_t begin, std::size_t end) {
        Numbers signal;
        draw_signal(light, begin, end, signal);
        return digitize(signal, begin, end, counts);
      });
    const auto signals = std::make_unique_for_overwrite<float[]>(light.size());
    by_parts(light.size(), [&](std::size_t begin, std::size_t end) {
      Numbers signal;
      draw_signal(light, begin, end, signal);
      std::transform(signal.begin(), signal.begin() + static_cast<std::ptrdiff_t>(end - begin),
                     signals.get() + begin, [](double x) { return static_cast<float>(x); });
      return 0;
    });
    const auto spread_signals = spread({signals.get(), light.size()});
    return by_parts(light.size(), [&](std::size_t begin, std::size_t end) {
      Numbers signal;
      std::copy(spread_signals.get() + begin, spread_signals.get() + end, signal.begin());
      return digitize(signal, begin, end, counts);
    });
  }

 private:
  static std::size_t whole(std::size_t pixels) {
    return (pixels + normal_block - 1) / normal_block * normal_block;
  }
  std::uint64_t key(Step step) const { return keys_[static_cast<std::size_t>(step)]; }

  /// Adds up what `work` returns for parts of the pixels.
  template <class Work>
  static std::int64_t by_parts(std::size_t pixels, Work work) {
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

  std::unique_ptr<float[]> spread(std::span<const float> light) const {
    if (!response_.point_spread) return nullptr;
    auto result = std::make_unique_for_overwrite<float[]>(light.size());
    spread_panel(*response_.point_spread, panel_.grid, light,
                 std::span(result.get(), light.size()));
    return result;
  }

  /// Of the panel's pixels from `begin` on.
  void draw_normals(Step step, std::size_t begin, std::size_t pixels, Numbers& normals) const {
    kernels_.draw_normals(key(step), begin, whole(pixels), normals.data());
  }

  /// Pixel by pixel by 1 + spread x a normal deviate, and no less than nothing.
  void multiply_by_pattern(Step step, double spread, std::size_t begin, std::size_t pixels,
                           Numbers& values) const {
    if (spread == 0) return;
    Numbers normals;
    draw_normals(step, begin, pixels, normals);
    for (std::size_t i = 0; i < pixels; ++i) values[i] *= std::max(1 + spread * normals[i], 0.0);
  }

  static void multiply(std::span<const float> map, std::size_t begin, std::size_t pixels,
                       Numbers& values) {
    if (map.empty()) return;
    for (std::size_t i = 0; i < pixels; ++i) values[i] *= static_cast<double>(map[begin + i]);
  }

  /// Dead pixels see nothing.
  void blind(Numbers& signal, std::size_t begin, std::size_t end) const {
    if (response_.dead_pixels == 0) return;
    for (std::size_t i = begin; i < end; ++i)
      if (pixel_state(response_, panel_.number, i) == PixelState::dead) signal[i - begin] = 0;
  }
  void heat(std::span<std::int32_t> counts, std::size_t begin, std::size_t end) const {
    if (response_.hot_pixels == 0) return;
    for (std::size_t i = begin; i < end; ++i)
      if (pixel_state(response_, panel_.number, i) == PixelState::hot)
        counts[i] = static_cast<std::int32_t>(panel_.limit);
  }

  void count_photons(std::span<const float> light, std::size_t begin, std::size_t end,
                     Numbers& means, Numbers& drawn) const {
    const std::size_t pixels = end - begin;
    for (std::size_t i = 0; i < pixels; ++i)
      means[i] = static_cast<double>(light[begin + i]) * flicker_;
    std::fill(means.begin() + static_cast<std::ptrdiff_t>(pixels),
              means.begin() + static_cast<std::ptrdiff_t>(whole(pixels)), 0.0);
    multiply(panel_.calibration_map, begin, pixels, means);
    multiply_by_pattern(Step::absorption, response_.calibration, begin, pixels, means);
    const std::size_t all = whole(pixels);
    photons_(std::span<const double>(means.data(), all), panel_.first_pixel + begin,
             std::span(drawn.data(), all));
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
    }
    multiply(panel_.gain_map, begin, pixels, signal);
    multiply_by_pattern(Step::gain, response_.gain_spread, begin, pixels, signal);
    const double gain = panel_.gain, offset = response_.offset, noise = response_.readout_noise;
    for (std::size_t i = 0; i < pixels; ++i) signal[i] = signal[i] * gain + offset;
    if (noise > 0) {
      Numbers normals;
      draw_normals(Step::readout, begin, pixels, normals);
      for (std::size_t i = 0; i < pixels; ++i) signal[i] += noise * normals[i];
    }
    std::int64_t saturated = kernels_.round_counts(signal.data(), pixels, panel_.limit,
                                                   counts.data() + begin);
    if (response_.full_well_e > 0)
      for (std::size_t i = 0; i < pixels; ++i)
        saturated += is_full[i] && counts[begin + i] < panel_.limit;
    heat(counts, begin, end);
    return saturated;
  }

  const DetectorResponse& response_;
  const RecordedPanel& panel_;
  RowKernels kernels_;
  KeyedPoisson photons_, dark_;
  double flicker_;
  std::array<std::uint64_t, 7> keys_{};  ///< by step
};

}  // namespace

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
                          std::span<std::int32_t> counts) {
  const PanelRecorder recorder(response, panel, seed);
  return response.kind == DetectorResponse::Kind::counting ? recorder.count(light, counts)
                                                           : recorder.integrate(light, counts);
}

}  // namespace nablabragg::readout
