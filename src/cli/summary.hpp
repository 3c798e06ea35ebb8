// What a run prints on standard output: nanoBragg's lines, in its order, so that scripts that
// look for them keep working, and a few more.
#pragma once
#include <ostream>
#include "flags/request.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::cli {

void print_setup(std::ostream& out, const flags::Request& request, const Resolved& resolved);
/// -printout plan: which code computed the image, and how fast.
void print_plan(std::ostream& out, const flags::Request& request, const Resolved& resolved,
                const Simulation& simulation);
void print_statistics(std::ostream& out, const flags::Request& request, const Resolved& resolved,
                      const Simulation& simulation);

}  // namespace nablabragg::cli
