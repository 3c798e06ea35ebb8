// The space group of a CIF, by whichever item names it.  C++17, as everything that includes gemmi.
#pragma once
#include <gemmi/cifdoc.hpp>    // for Block
#include <gemmi/symmetry.hpp>  // for SpaceGroup, GroupOps
#include <gemmi/unitcell.hpp>  // for UnitCell
#include <string>
#include <vector>

namespace nablabragg::io {

struct CifSymmetry {
  const gemmi::SpaceGroup* group = nullptr;  ///< empty: a setting that has no name
  gemmi::GroupOps operators;
};

/// Writes all tags as the core dictionary had them before its third version: `_cell.length_a` as
/// `_cell_length_a`.
void undot_tags(gemmi::cif::Block& block);

/// Operators before Hall symbol, Hermann-Mauguin symbol and number; where one contradicts another,
/// a note says so.  `block` has no dots in its tags.  Throws InputError where there is nothing, or
/// nothing that is known.
CifSymmetry symmetry_of(gemmi::cif::Block& block, const gemmi::UnitCell& cell,
                        const std::string& path, std::vector<std::string>& notes);

}  // namespace nablabragg::io
