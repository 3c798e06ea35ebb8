// The core CIF of small molecules.  C++17, as everything that includes gemmi.
#pragma once
#include <gemmi/cifdoc.hpp>  // for Block
#include <gemmi/model.hpp>   // for Structure
#include <string>
#include <vector>

namespace nablabragg::io {

/// Cell and atoms of a block whose tags have no dots, with coordinates in Angstrom and U as that
/// of the Cartesian axes.  An atom's serial is its _atom_site_site_symmetry_order, 0 where the file
/// does not have it.  The atoms belong to one residue without a name.  Throws InputError for an
/// atom whose numbers are none.
gemmi::Structure read_small_structure(gemmi::cif::Block& block, const std::string& path,
                                      std::vector<std::string>& notes);

}  // namespace nablabragg::io
