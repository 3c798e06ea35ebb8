// Where the reflections of one crystal in one slice of phi are looked for: what closed_plan.cpp
// says to the kernels that find them and set up their spots.
#pragma once
#include <array>
#include <cstddef>
#include <vector>
#include "nablabragg/vec3.hpp"
#include "physics/gaussian_spot.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// exp(-87): what a float still holds of a peak of one.
inline constexpr double longest_reach = 174;

struct LayerOfPanel {
  int panel, layer;
};

struct SpotSearch {
  const Plan* plan = nullptr;
  std::vector<LayerOfPanel> layers;  ///< of all panels
  double per_F2 = 0;                 ///< photons_per_F2()
  double skip_below = 0;             ///< [photons], above 0
  double largest_solid_angle = 0;    ///< of a pixel [sr]
  double deviations = 0;             ///< how many of them the brightest spot reaches
  double band = 0, divergence = 0;   ///< standard deviations

  // Of the slice
  std::size_t orientation = 0;
  Mat3d a_star;
  physics::GaussianSpotSource<double> common;  ///< of its reflections, g aside
  double width = 0;                            ///< of the shape, in its widest direction [1/m]
  double mosaic = 0;                           ///< largest standard deviation of a rotation [rad]
  // Its indices, and the largest |g| [1/m]
  std::array<int, 3> low{}, high{};
  double largest_g = 0;

  double wavenumber() const { return plan->light.rays.front().wavenumber; }
};

/// What a spot of that |g| is spread over across q [1/m].
template <class T>
NABLA_INLINE T spread_of(const SpotSearch& s, const T& g) {
  using std::sqrt;
  const double k = s.wavenumber();
  return T(s.deviations) * sqrt(T(s.width * s.width + k * k * s.divergence * s.divergence) +
                                g * g * T(s.mosaic * s.mosaic)) +
         g * T(s.common.half_slice + s.deviations * s.deviations * s.mosaic * s.mosaic);
}

}  // namespace nablabragg::engine
