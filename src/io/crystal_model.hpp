// A crystal of atoms, as its file describes it: PDB, mmCIF or the core CIF of small molecules.
// C++17, as everything that includes gemmi.
#pragma once
#include <gemmi/model.hpp>     // for Model
#include <gemmi/symmetry.hpp>  // for SpaceGroup
#include <gemmi/unitcell.hpp>  // for UnitCell
#include <string>
#include <vector>

namespace nablabragg::io {

struct CrystalModel {
  gemmi::UnitCell cell;  ///< with the group's operators as its images
  const gemmi::SpaceGroup* group = nullptr;
  /// Occupied atoms of the asymmetric unit, each with a tabulated scattering factor.  The sum over
  /// all operators of the group counts an atom by its occupancy here once for each operator, so
  /// that it is already divided where several leave the atom in its place.
  gemmi::Model atoms{"1"};
  /// What was decided where the file leaves a choice or is unusual: a sentence each.
  std::vector<std::string> notes;
};

/// The format is told by the content; gzipped files are unpacked.  Of several models it takes the
/// first.  Throws InputError that names what is missing or makes no sense.
CrystalModel read_crystal_model(const std::string& path);

template <typename Func>
void for_each_atom(const gemmi::Model& model, Func&& func) {
  for (const gemmi::Chain& chain : model.chains)
    for (const gemmi::Residue& residue : chain.residues)
      for (const gemmi::Atom& atom : residue.atoms) func(residue, atom);
}

/// The same with atoms that may be changed.
template <typename Func>
void for_each_atom(gemmi::Model& model, Func&& func) {
  for (gemmi::Chain& chain : model.chains)
    for (gemmi::Residue& residue : chain.residues)
      for (gemmi::Atom& atom : residue.atoms) func(residue, atom);
}

/// "ZN of ZN 1", or the label alone where atoms belong to no residue.
std::string name_of(const gemmi::Residue& residue, const gemmi::Atom& atom);

/// The smallest B [A^2] along any direction.
double min_b(const gemmi::Atom& atom);

/// No smaller than B [A^2] along any direction; the sum of the semi-axes bounds it.
double max_b(const gemmi::Atom& atom);

}  // namespace nablabragg::io
