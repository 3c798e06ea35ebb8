// One pixel on its way through the steps of a detector.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>
#include "nablabragg/detector_response.hpp"

namespace nablabragg {

/// What the pixel holds behind a step [unit].
struct ResponseStep {
  std::string_view name, unit;
  double expected;  ///< the mean over all seeds, as expected_counts() has it
  double drawn;     ///< of this seed
};

/// A pixel of the image that record_photons() makes of the same arguments.
struct RecordedPixel {
  std::vector<ResponseStep> steps;  ///< those that the detector has, in their order
  std::int32_t count = 0;           ///< masked_pixel or gap_pixel where none is recorded
};
/// Throws UsageError as record_photons(), and for a pixel that is on no panel.
RecordedPixel record_pixel(const Experiment& experiment, const Image& image,
                           const DetectorResponse& response, std::int64_t seed,
                           const PixelIndex& pixel);

}  // namespace nablabragg
