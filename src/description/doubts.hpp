// What is most likely a mistake: numbers outside their ranges, and numbers that contradict each
// other.
#pragma once
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg::description {

/// A sentence each.
struct Doubts {
  std::vector<std::string> wrong;     ///< no experiment; nanoBragg takes it all the same
  std::vector<std::string> unlikely;  ///< worth a word
};

/// What the description alone shows.
Doubts doubts_about(const Experiment& experiment);

/// What shows when it is resolved.
Doubts doubts_about(const Experiment& experiment, const Resolved& resolved);

/// That light falls between the sub-pixels, where it does; else empty.  It is in
/// Resolved::warnings.
std::string subpixel_warning(const Resolved& resolved);

/// How many phi steps a scan has whose steps were left open; empty where they were not, and in
/// closed form.
std::string phi_step_notice(const Experiment& experiment, const Resolved& resolved);

}  // namespace nablabragg::description
