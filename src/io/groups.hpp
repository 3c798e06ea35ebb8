// Space groups as gemmi knows them, for whoever reads operators or names of groups.  C++17, as
// everything that includes gemmi.
#pragma once
#include <gemmi/symmetry.hpp>  // for SpaceGroup, GroupOps
#include <string>
#include <vector>
#include "io/symmetry.hpp"

namespace nablabragg::io {

/// From operators in the manner of "x+1/2,-y,-z".  Throws Error, which names it, for one that is
/// none, and for operators that are not the whole of a group.
gemmi::GroupOps group_of_operators(const std::vector<std::string>& triplets);

/// As CCP4 counts.  The angles [degree] tell the hexagonal setting of a trigonal group from the
/// rhombohedral one; 0: unknown.  Empty where there is no such number.
const gemmi::SpaceGroup* group_of_number(int number, double alpha, double gamma);

/// What of a group matters to amplitudes.
Symmetry symmetry_of(const gemmi::GroupOps& group, std::string name);

}  // namespace nablabragg::io
