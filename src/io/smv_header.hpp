#pragma once
#include <span>
#include <string>
#include "nablabragg/image_files.hpp"  // for Provenance
#include "nablabragg/resolved.hpp"

namespace nablabragg::io {

/// Arguments in one line of printable ASCII that a shell takes apart again.  Characters that end a
/// value, a line or a header somewhere ( ; = { } and control bytes) stand as \xNN between $' and '.
std::string command_line_text(std::span<const std::string> arguments);

/// The header of an SMV image of this experiment, up to the first pixel.
std::string smv_header(const Experiment& experiment, const Resolved& resolved,
                       const Provenance& provenance = {});

}  // namespace nablabragg::io
