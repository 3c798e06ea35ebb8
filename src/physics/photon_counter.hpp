// Drawn photons -> the count of a pixel, the same on a GPU.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include "physics/keyed_random.hpp"  // for Unfused

namespace nablabragg::physics {

/// What a panel makes of the photons that arrive in a pixel.
struct PhotonCounter {
  static constexpr double largest = std::numeric_limits<std::int32_t>::max();
  double gain = 1, saturation = largest;  ///< no more than the largest

  /// Whether the count would be larger than it can.
  NABLA_INLINE bool saturates(double photons) const { return amplified(photons) > saturation; }
  NABLA_INLINE std::int32_t operator()(double photons) const {
    const double count = std::round(amplified(photons));
    return static_cast<std::int32_t>(saturation < count ? saturation : count);
  }

 private:
  NABLA_INLINE double amplified(double photons) const {
    return (Unfused{photons} * Unfused{gain}).value;
  }
};

}  // namespace nablabragg::physics
