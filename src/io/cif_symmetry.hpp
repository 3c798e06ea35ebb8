// The space group of a CIF, of atoms or of reflections, by whichever item names it.  C++17, as
// everything that includes gemmi.
#pragma once
#include <gemmi/cifdoc.hpp>    // for Block, Document
#include <gemmi/symmetry.hpp>  // for SpaceGroup, GroupOps
#include <string>
#include <vector>

namespace nablabragg::io {

struct CifSymmetry {
  const gemmi::SpaceGroup* group = nullptr;  ///< empty: a setting that has no name
  gemmi::GroupOps operators;
};

/// Writes all tags as the core dictionary had them before its third version: `_cell.length_a` as
/// `_cell_length_a`.
void undot_tags(gemmi::cif::Document& document);

/// Operators before Hall symbol, Hermann-Mauguin symbol and number; where one contradicts another,
/// a note says so.  Of the block, else of the first of the others that says.  `document` has no
/// dots in its tags; the angles of the cell [degree] tell settings apart, 0: unknown.  Throws
/// InputError where there is nothing, or nothing that is known.
CifSymmetry symmetry_of(gemmi::cif::Document& document, gemmi::cif::Block& block, double alpha,
                        double gamma, const std::string& path, std::vector<std::string>& notes);

}  // namespace nablabragg::io
