// The image that `nablabragg refine` fits a model to, in any format that images are read in.
#pragma once
#include <optional>
#include <ostream>
#include <string>
#include "flags/request.hpp"
#include "nablabragg/refine.hpp"

namespace nablabragg::cli {

struct MeasuredImage {
  std::string path;
  std::optional<int> number;  ///< of an image in a file of several, from 1
  // What counts in place of what the file states
  std::optional<double> gain, offset, overload;
  double readout_noise = 0;  ///< [counts]
};

/// Pixels that hold no count, and those that are outside what their panel can be trusted in, are
/// NaN.  What the file states and the model contradicts goes to `err`.  Throws InputError for a
/// file of no image, for one of another size than the model's panels where the file does not say
/// its size itself, and where the two contradict each other beyond doubt.
Measurement read_measurement(const MeasuredImage& image, const flags::Request& model,
                             const SettledExperiment& settled, std::ostream& err);

}  // namespace nablabragg::cli
