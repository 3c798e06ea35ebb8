// The files of -o: images with their geometry, in formats that their names tell.
#pragma once
#include <ostream>
#include "cli/profile.hpp"
#include "flags/request.hpp"
#include "io/smv_header.hpp"  // for SmvProvenance
#include "nablabragg/settled.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::cli {

/// Throws UsageError, before any work is done, for a name whose ending is no format's and for what
/// a format cannot hold.
void check_image_outputs(const flags::Request& request);

/// What is worth a warning goes to `err`.
void write_image_outputs(std::ostream& out, std::ostream& err, const flags::Request& request,
                         const io::SmvProvenance& made, const Simulation& simulation,
                         Profile* profile);

}  // namespace nablabragg::cli
