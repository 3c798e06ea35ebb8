#pragma once
#include <cstdint>
#include <span>
#include <string>
#include "nablabragg/resolved.hpp"

namespace nablabragg::io {

/// How an image was made.  What nanoBragg would write does not hold it.
struct SmvProvenance {
  std::string program;       ///< with its version; empty: nothing is said
  std::string command_line;  ///< as command_line_text() makes it
  std::int64_t seed = 0;
  double pedestal = 0;  ///< counts of a pixel without photons
  double gain = 1;      ///< counts/photon
};

/// Arguments in one line of printable ASCII that a shell takes apart again.  Characters that end a
/// value, a line or a header somewhere ( ; = { } and control bytes) stand as \xNN between $' and '.
std::string command_line_text(std::span<const std::string> arguments);

/// The header of an SMV image of this experiment, up to the first pixel.
std::string smv_header(const Experiment& experiment, const Resolved& resolved,
                       const SmvProvenance& provenance = {});

}  // namespace nablabragg::io
