// The point spread of a panel, integrated over its pixels.
//
// A photon arrives in the middle of its pixel.  What leaves the panel is lost, and nothing is
// renormalised: the sum over the panel is the share that share_on_panel() has in closed form.
#pragma once
#include <span>
#include "nablabragg/detector_response.hpp"  // for PointSpread
#include "nablabragg/resolved.hpp"           // for Panel

namespace nablabragg::readout {

/// The pixels of a panel.
struct PixelGrid {
  int fast_pixels = 0, slow_pixels = 0;
  double fast_um = 1, slow_um = 1;  ///< edges of a pixel
};

inline PixelGrid grid_of(const Panel& panel) {
  return {panel.fast_pixels, panel.slow_pixels, 1e6 * panel.pixel, 1e6 * panel.slow_pixel};
}

/// Of the light in the middle of a pixel, the share that the pixel so many away gets.
double share_of_pixel(const PointSpread& spread, const PixelGrid& grid, int fast, int slow);

/// What of that share changes with the full width at half maximum [1/um].
double share_slope_of_pixel(const PointSpread& spread, const PixelGrid& grid, int fast, int slow);

/// The share that stays on the panel, of light in the middle of this pixel.
double share_on_panel(const PointSpread& spread, const PixelGrid& grid, int fast, int slow);

/// The light of a panel, spread.  `Real` is float or double, and so precise is the sum.  Symmetric,
/// so its own adjoint; the same bits for any number of threads.  The arrays do not overlap.
template <class Real>
void spread_panel(const PointSpread& spread, const PixelGrid& grid, std::span<const Real> light,
                  std::span<Real> result);

/// What of that changes with the full width at half maximum [1/um]; symmetric, too.
void spread_panel_slope(const PointSpread& spread, const PixelGrid& grid,
                        std::span<const double> light, std::span<double> result);

}  // namespace nablabragg::readout
