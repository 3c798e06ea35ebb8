// How long an image takes on a GPU.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>
#include "nablabragg/simulate.hpp"  // for ComputeOptions, Experiment

namespace nablabragg::instruments {

/// What one process found: an image several times.
struct DeviceMeasurement {
  std::string why_not;  ///< the engine cannot compute it, in a sentence; nothing else holds then
  std::string device, kernel;
  std::int64_t steps = 0;
  double first_seconds = 0;  ///< of the first image, with the start of the GPU
  // Of each image after it: from the experiment to the image in the host's memory, and what of
  // that its kernels took, by the GPU's clock
  std::vector<double> seconds, kernel_seconds;
  /// Largest difference to the cpu engine's image in double precision, over the largest pixel.
  double over_max = std::numeric_limits<double>::quiet_NaN();

  double image_min() const;
  double kernel_min() const;
  double kernel_median() const;
};

/// With the engine that the options name.  Throws what simulate() throws.
DeviceMeasurement measure_on_device(const Experiment& experiment, const ComputeOptions& options,
                                    int iterations);

/// One line of JSON, and back.  Throws Error for what is no such line.
std::string device_measurement_json(const DeviceMeasurement& measurement);
DeviceMeasurement read_device_measurement(const std::string& json);

}  // namespace nablabragg::instruments
