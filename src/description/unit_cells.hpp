// Unit cells side by side: that of a file and that of the experiment.
#pragma once
#include <array>
#include <string>
#include "nablabragg/crystal.hpp"

namespace nablabragg::description {

/// a b c [Angstrom] alpha beta gamma [degree].
UnitCell unit_cell(const std::array<double, 6>& numbers);

/// The largest relative difference of an edge, or of an angle as a share of 90 degrees.
double cell_difference(const UnitCell& cell, const UnitCell& reference);

double volume_A3(const UnitCell& cell);

/// "40 50 60 90 90 90"
std::string text_of(const UnitCell& cell);

}  // namespace nablabragg::description
