// What a launch of a derivative in closed form is about.  Read by the compiler of the program and
// by that of the kernels.
#pragma once
#include "engine/cuda/device_plan.hpp"

namespace nablabragg::engine::cuda {

/// Pixels of the box of a spot, row by row: as many as a warp goes back from.
struct SpotPart {
  std::uint32_t spot;
  int fast_min, slow_min, columns;  ///< of the box, as far as it lies in the job's pixels
  int first, end;                   ///< among its pixels
};

/// A derivative goes through these in their order.
enum class ClosedStage {
  light,    ///< what spots add to each pixel before its factors; forwards, with its slopes
  factors,  ///< what the factors of that light come to, and the background
  spots     ///< in reverse: what the points of spots come to
};

struct ClosedGradientJob {
  ClosedStage stage = ClosedStage::light;
  const DeviceClosed* closed = nullptr;  ///< on the host
  const DevicePlan* plan = nullptr;      ///< on the host
  /// In reverse a rectangle without a mask: where nothing is wanted, weights are zero.
  DevicePixels pixels;
  int blocks = 0;  ///< of threads, which share the tiles of pixels in a fixed way
  /// Layer by layer, a number for each pixel, in the precision of the spots: its light before its
  /// factors and, in reverse, once these are known, they times the pixel's weight.
  void* light = nullptr;

  // In reverse
  const double* weights = nullptr;  ///< one for each pixel; null: forwards
  double* of_blocks = nullptr;      ///< blocks x sums_of_view
  double* sums = nullptr;           ///< sums_of_view
  const SpotPart* parts = nullptr;
  int part_count = 0;
  double* of_parts = nullptr;  ///< sums_of_spot() for each part

  // Forwards, for each pixel
  double* photons = nullptr;
  double* slopes = nullptr;                 ///< tangent_count of them for each pixel
  const DeviceTangent* tangents = nullptr;  ///< on the device
  /// For each tangent and each spot of the panel, by how much a slope grows with each of
  /// sums_of_spot(), in the precision of the spots.
  const void* spot_tangents = nullptr;
  int spot_count = 0;     ///< of the panel
  int tangent_count = 0;  ///< at most most_tangents
};

/// Those of for_each_number_of_view(), and the value.
inline constexpr int sums_of_view = 34;
/// Of a curved panel, those of for_each_number_of_panel() and the wavenumber.
inline constexpr int sums_of_curved_panel = 24;
/// Those of for_each_sum_of_spot(), as if the beam diverged; of a curved panel its own behind them.
constexpr int sums_of_spot(const physics::SpotTerms& terms, bool curved) {
  return 9 + (terms.second ? 27 : 0) + (terms.slice ? 26 : 0) + (terms.band ? 4 : 0) + 4 +
         (curved ? sums_of_curved_panel : 10);
}

}  // namespace nablabragg::engine::cuda
