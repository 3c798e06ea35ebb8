// Photons -> counts of an image of several panels.
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "api/run_plan.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/simulate.hpp"
#include "physics/photon_counter.hpp"
#include "readout/noise_rows.hpp"

namespace nablabragg {

namespace {

physics::PhotonCounter counter_of(const Detector& detector) {
  using physics::PhotonCounter;
  return {detector.gain,
          std::min(detector.saturation.value_or(PhotonCounter::largest), PhotonCounter::largest)};
}

/// `counts` are those of the panel; returns how many saturate.
std::int64_t count_panel(readout::NoiseRows& noise, std::size_t number, const PanelImage& panel,
                         const Mask* mask, const physics::PhotonCounter& count,
                         std::span<std::int32_t> counts) {
  const auto width = static_cast<std::size_t>(panel.fast_pixels);
  std::atomic<std::int64_t> saturated{0};
  const auto count_rows = [&](int begin, int end) {
    std::vector<double> photons(noise.pixels_of_a_row(number));
    for (int slow = begin; slow < end; ++slow) {
      const auto first = static_cast<std::size_t>(slow) * width;
      const std::span row = counts.subspan(first, width);
      std::fill(row.begin(), row.end(), masked_pixel);
      if (noise.visits(slow, number)) {
        noise.row(slow, photons, number);
        std::transform(photons.begin(), photons.end(), row.begin() + noise.first_pixel(number),
                       count);
        saturated += std::count_if(photons.begin(), photons.end(),
                                   [&](double x) { return count.saturates(x); });
      }
      if (mask)
        for (std::size_t i = 0; i < width; ++i)
          if (!mask->keep[first + i]) row[i] = gap_pixel;
    }
  };
  if (noise.in_turn())
    count_rows(0, panel.slow_pixels);
  else
    tbb::parallel_for(tbb::blocked_range<int>(0, panel.slow_pixels, 16),
                      [&](const auto& rows) { count_rows(rows.begin(), rows.end()); });
  return saturated;
}

}  // namespace

std::optional<engine::CountRule> count_rule(const Experiment& experiment, std::int64_t seed) {
  if (experiment.quirks.shared_random_stream) return std::nullopt;
  engine::CountRule rule;
  rule.key = readout::KeyedPoisson::key_of(static_cast<std::uint64_t>(seed));
  for (std::size_t i = 0; i <= experiment.more_panels.size(); ++i)
    rule.panels.push_back(counter_of(detector_of(experiment, i)));
  return rule;
}

CountedImage count_photons(const Experiment& experiment, const Image& image, std::int64_t seed) {
  const Resolved resolved = resolve(experiment);
  if (!has_panels_of(image, resolved))
    throw UsageError("the image is none of this experiment: its panels have other sizes");
  readout::NoiseRows noise(experiment, resolved, image, seed);
  CountedImage counted;
  counted.counts.resize(image.pixels.size());
  for (std::size_t i = 0; i < image.panels(); ++i) {
    const PanelImage panel = image.panel(i);
    const auto& mask = i == 0 ? experiment.sampling.mask : experiment.more_panels[i - 1].mask;
    counted.saturated += count_panel(
        noise, i, panel, mask.get(), counter_of(detector_of(experiment, i)),
        std::span(counted.counts).subspan(panel.first_pixel, panel.pixels.size()));
  }
  return counted;
}

}  // namespace nablabragg
