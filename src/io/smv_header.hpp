#pragma once
#include <string>
#include "nablabragg/resolved.hpp"

namespace nablabragg::io {

/// The header of an SMV image of this experiment, up to the first pixel.
std::string smv_header(const Experiment& experiment, const Resolved& resolved);

}  // namespace nablabragg::io
