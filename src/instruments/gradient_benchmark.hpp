// How long a gradient takes compared with its image, and how much memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>
#include "nablabragg/gradient.hpp"  // for NamedValues, ComputeOptions, Experiment

namespace nablabragg::instruments {

/// Fixed pseudo-random weights of the pixels, in [0, 1): 24 bits of splitmix64 of the index, so
/// that other programs can make the same and float32 holds them exactly.
std::vector<double> pixel_weights(std::size_t pixels);

/// What one process found: an image and the gradient of sum(weights x image), several times.
struct GradientMeasurement {
  std::vector<double> image_seconds;  ///< the image alone, in the engine
  std::vector<double> seconds;        ///< value and gradient, from the experiment to the result
  /// Largest resident size of the process when it had made an image, and at its end.
  std::int64_t image_peak_bytes = 0, peak_bytes = 0;
  double value = 0;
  NamedValues gradient;

  double image_min() const;  ///< not a number where there is none
  double gradient_min() const;
};

/// Images and gradients in turn.  Throws what value_and_gradient() throws.
GradientMeasurement measure_gradient(const Experiment& experiment, const ComputeOptions& options,
                                     int iterations);

/// One line of JSON, and back: of another program's line only "seconds" and "peak_memory_bytes"
/// are needed.  Throws Error for what is no such line.
std::string measurement_json(const GradientMeasurement& measurement);
GradientMeasurement read_measurement(const std::string& json);

/// How far two programs are apart: of the value and of each parameter that both have, the largest
/// difference over the largest number, in the order of their names.
struct GradientDifference {
  std::string name;  ///< "value" or a parameter's
  double relative = 0;
};
std::vector<GradientDifference> differences(const GradientMeasurement& ours,
                                            const GradientMeasurement& reference);

}  // namespace nablabragg::instruments
