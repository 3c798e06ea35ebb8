// A range that is sampled in steps, as a user states it: any of the three may be left open.
#pragma once
#include <optional>

namespace nablabragg {

/// How a range of rotations, wavelengths or directions is filled.
enum class Distribution {
  uniform,  ///< evenly up to its ends: the steps of nanoBragg
  gaussian  ///< a normal distribution (corrected arithmetic only)
};

template <class Real>
struct SampledRange {
  std::optional<Real> range;  ///< full width
  std::optional<Real> step;
  std::optional<int> steps;

  bool empty() const { return !range && !step && !steps; }
};

}  // namespace nablabragg
