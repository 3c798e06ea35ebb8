// Image and statistics -> files, in nanoBragg's order and with its lines.
#pragma once
#include <ostream>
#include "cli/profile.hpp"
#include "flags/request.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::cli {

/// Throws OutputError before any work is done when one of the files could not be written.
void check_outputs(const flags::Request& request);

void write_outputs(std::ostream& out, const flags::Request& request, const Resolved& resolved,
                   const Simulation& simulation, Profile* profile);

}  // namespace nablabragg::cli
