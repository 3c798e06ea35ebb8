// Structure factors that look like a crystal's, made from nothing: the same on every machine.
#pragma once
#include <string>
#include "nablabragg/crystal.hpp"  // for UnitCell

namespace nablabragg::instruments {

/// Writes "h k l F" for every index of the box that the sphere to `dmin` fits into, and `margin`
/// more on each side (interpolation looks at neighbours).  F falls off with the resolution as atoms
/// with a temperature factor do, and varies between half and one and a half of that; Friedel mates
/// are equal.  For a cell of right angles.
void write_synthetic_hkl(const std::string& path, const UnitCell& cell, double dmin_A, int margin);

}  // namespace nablabragg::instruments
