// Atoms that count more than once in one place.  C++17, as everything that includes gemmi.
#pragma once
#include "io/crystal_model.hpp"

namespace nablabragg::io {

/// Notes in the model, a sentence each with their count: atoms whose alternates (altloc) have
/// occupancies that add up to more than 1; and of the rest those that lie within 0.1 A of another
/// atom, or of its image by symmetry, where the occupancies add up to more than 1.
void say_crowded_atoms(CrystalModel& model);

}  // namespace nablabragg::io
