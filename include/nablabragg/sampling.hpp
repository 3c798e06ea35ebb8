// The rotation scan and how finely everything is sampled.
#pragma once
#include <cstdint>  // for std::uint8_t
#include <memory>   // for std::shared_ptr
#include <optional>
#include <vector>
#include "nablabragg/sampled_range.hpp"  // for SampledRange
#include "nablabragg/vec3.hpp"           // for Vec3

namespace nablabragg {

template <class Real>
struct BasicScan {
  Real phi_deg{0};                         ///< spindle angle where the scan begins
  SampledRange<Real> oscillation_deg;      ///< empty: a still
  std::optional<Vec3<Real>> spindle_axis;  ///< empty: the convention's
};

using Scan = BasicScan<double>;

/// Pixels that are computed, both ends included.
struct RegionOfInterest {
  int fast_min = 0, fast_max = 0, slow_min = 0, slow_max = 0;
  friend bool operator==(const RegionOfInterest&, const RegionOfInterest&) = default;
};

/// Non-zero: compute this pixel.
struct Mask {
  int fast_pixels = 0, slow_pixels = 0;
  std::vector<std::uint8_t> keep;  ///< slow * fast_pixels + fast
};

/// How the light of all rotations, wavelengths and directions is added up.
enum class Summation {
  automatic,  ///< closed where a Gaussian is asked for and nothing stands against it, else sampled
  closed,     ///< one Gaussian for each reflection (docs/closed-form.md)
  sampled     ///< step by step
};

struct Sampling {
  int oversample = 0;  ///< sub-pixels along each axis; 0: as many as the crystal needs
  /// Recompute a factor at every sub-pixel.  The corrected arithmetic always does.
  bool oversample_thick = false, oversample_polar = false, oversample_omega = false;
  Summation summation = Summation::automatic;
  double dmin_A = 0;  ///< leave out what scatters beyond this d-spacing; 0: nothing
  std::optional<RegionOfInterest> roi;  ///< of Experiment::detector, as is the mask
  std::shared_ptr<const Mask> mask;
};

}  // namespace nablabragg
