// What can be seen in the counts of an image before a model is fitted to them.
#pragma once
#include <string>
#include <vector>
#include "nablabragg/refine.hpp"
#include "nablabragg/settled.hpp"

namespace nablabragg::cli {

/// A sentence each for counts that lie below the offset, that end at one number below the overload,
/// and that are marks of a detector; of the pixels that the model's region and mask leave.
std::vector<std::string> pixel_warnings(const Measurement& measurement,
                                        const SettledExperiment& model);

}  // namespace nablabragg::cli
