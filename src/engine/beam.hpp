// Bands of wavelengths, as kernels of the processor and of GPUs have them.
#pragma once
#include <cmath>
#include "nablabragg/vec3.hpp"
#include "physics/lane.hpp"

namespace nablabragg::engine {

inline constexpr int bins_of_band = 64;

/// A ray, or a band of wavelengths of one direction that is treated as a whole.
struct Beam {
  Vec3d incident, magnetic;  ///< unit vectors, as in PlanRay
  double wavenumber = 0;     ///< [1/m]; of a band, in its middle
  double weight = 1;         ///< of the terms
  double light = 1;          ///< weight of the background; of a band, of all its rays together
  int rays = 1;
  int ray = 0;  ///< of the plan; of a band, its first one
  // Of a band: its rays, from CpuPlan::band_change[first] on, and the bins of that axis
  int first = 0, first_bin = 0;
  float low = 0, high = 0, bins_per_change = 0;
};

/// Which changes of a band's wavenumber light a pixel: those by which its index comes as near to a
/// lattice point as its spot is seen.
template <class T>
struct LitPart {
  T low, high;
  decltype(T(0) < T(0)) lit;  ///< whether the band has any of them
};

/// `at`, `least`, `curvature`: of the closest approach (physics/spot_metric.hpp).
template <class T>
NABLA_INLINE LitPart<T> lit_part(const Beam& band, const T& at, const T& least, const T& curvature,
                                 const T& dark_radius2) {
  using physics::select, std::sqrt;
  const T room = dark_radius2 - least, none(0.0f);
  const T half = sqrt(select(room > none, room / curvature, none));
  LitPart<T> part{at - half, at + half, room > none};
  part.lit = part.lit & (part.low <= T(band.high)) & (part.high >= T(band.low));
  return part;
}

/// The place of a change among the bins of a band, of which bin_at() makes a number.
template <class T>
NABLA_INLINE T place_in_bins(const Beam& band, const T& change) {
  return (change - T(band.low)) * T(band.bins_per_change);
}
NABLA_INLINE int bin_at(float place) {
  constexpr float last = bins_of_band - 1;
  return static_cast<int>(place > 0 ? (place < last ? place : last) : 0.0f);
}

}  // namespace nablabragg::engine
