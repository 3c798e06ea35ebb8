// Which reflections an image holds, where they are and how much of its light is theirs.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "nablabragg/geometry.hpp"
#include "nablabragg/predicted_spots.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg {

namespace {

/// A spot's light is looked for this far from its middle along both axes.
constexpr int reach_px = 4;

/// The d-spacing of the farthest corner [Angstrom].
double smallest_d_A(const Resolved& r) {
  double largest_q = 0;
  const auto look_at = [&](const Panel& p) {
    for (const double fast : {0.0, p.fast_size})
      for (const double slow : {0.0, p.slow_size}) {
        const Vec3d towards = unit(p.origin + fast * p.fast + slow * p.slow);
        largest_q = std::max(largest_q, length(towards - p.beam) / r.wavelength);
      }
  };
  look_at(r.panel);
  for (const ResolvedPanel& further : r.more_panels) look_at(further.panel);
  return 1e10 / largest_q;
}

/// The pixels of a panel around a spot.
struct Box {
  int fast_begin, fast_end, slow_begin, slow_end;

  Box(const PredictedSpot& spot, const PanelImage& panel) {
    const auto around = [](double middle, int pixels, int& begin, int& end) {
      const int at = static_cast<int>(std::floor(middle));
      begin = std::clamp(at - reach_px, 0, pixels);
      end = std::clamp(at + reach_px + 1, 0, pixels);
    };
    around(spot.fast_px, panel.fast_pixels, fast_begin, fast_end);
    around(spot.slow_px, panel.slow_pixels, slow_begin, slow_end);
  }

  /// Calls f(number of the pixel in the image, its squared distance from the spot).
  template <class F>
  void for_each(const PredictedSpot& spot, const PanelImage& panel, F&& f) const {
    for (int slow = slow_begin; slow < slow_end; ++slow)
      for (int fast = fast_begin; fast < fast_end; ++fast) {
        const double x = fast + 0.5 - spot.fast_px, y = slow + 0.5 - spot.slow_px;
        f(panel.first_pixel +
              static_cast<std::size_t>(slow) * static_cast<std::size_t>(panel.fast_pixels) +
              static_cast<std::size_t>(fast),
          x * x + y * y);
      }
  }
};

}  // namespace

std::vector<PredictedSpot> true_spots(const SettledExperiment& experiment, const Image& image) {
  const Experiment& e = experiment.experiment();
  const double d_min = e.sampling.dmin_A > 0 ? e.sampling.dmin_A
                                             : smallest_d_A(experiment.resolved());
  std::vector<PredictedSpot> spots = predicted_spots(geometry_of(experiment), d_min);
  std::vector<PanelImage> panels;
  for (std::size_t i = 0; i < image.panels(); ++i) panels.push_back(image.panel(i));
  const auto panel_of = [&](const PredictedSpot& spot) -> const PanelImage& {
    return panels[static_cast<std::size_t>(spot.panel)];
  };

  // A pixel's light is that of the nearest spot.
  struct Owner {
    float distance2 = std::numeric_limits<float>::infinity();
    std::int32_t spot = -1;
  };
  std::vector<Owner> owners(image.pixels.size());
  for (std::size_t i = 0; i < spots.size(); ++i) {
    const PanelImage& panel = panel_of(spots[i]);
    Box(spots[i], panel).for_each(spots[i], panel, [&](std::size_t pixel, double distance2) {
      if (distance2 < double(owners[pixel].distance2))
        owners[pixel] = {static_cast<float>(distance2), static_cast<std::int32_t>(i)};
    });
  }
  for (std::size_t pixel = 0; pixel < owners.size(); ++pixel)
    if (owners[pixel].spot >= 0)
      spots[static_cast<std::size_t>(owners[pixel].spot)].photons += double(image.pixels[pixel]);
  std::erase_if(spots, [](const PredictedSpot& spot) { return !(spot.photons > 0); });
  return spots;
}

}  // namespace nablabragg
