// What a run prints on standard output: nanoBragg's lines, in its order, so that scripts that
// look for them keep working, and a few more.
#pragma once
#include <ostream>
#include "cli/request.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::cli {

void print_setup(std::ostream& out, const Request& request, const Resolved& resolved);
/// -printout plan: which code computed the image, and how fast.
void print_plan(std::ostream& out, const Request& request, const Simulation& simulation);
void print_statistics(std::ostream& out, const Request& request, const Resolved& resolved,
                      const Simulation& simulation);

}  // namespace nablabragg::cli
