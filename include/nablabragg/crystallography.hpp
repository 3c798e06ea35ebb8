// Files of the crystallography community, read through gemmi: MTZ, SF-mmCIF, PDB, mmCIF.
//
// Kept to C++17, apart from the other file formats (io.hpp): what includes gemmi 0.5's CIF headers
// is compiled as C++17, because clang rejects them as C++20.
#pragma once
#include <string>
#include <vector>
#include "nablabragg/reflection.hpp"

namespace nablabragg::io {

/// Amplitudes of an MTZ file, expanded by its space group to the whole P1 sphere with Friedel
/// mates. `column` is the label of an amplitude column; empty: the first column of type F.
std::vector<Reflection> read_mtz(const std::string& path, const std::string& column = {});

/// Amplitudes of an SF-mmCIF file, expanded like read_mtz.  `column` is the item name without
/// "_refln."; empty: F_meas_au, F_meas, pdbx_F_calc..., the first one present.
std::vector<Reflection> read_sf_mmcif(const std::string& path, const std::string& column = {});

struct BulkSolvent {
  double k_e_per_A3 = 0.35;  ///< mean solvent electron density [electrons/Angstrom^3]; 0 leaves the
                             ///< solvent out
  double b_A2 = 46.0;        ///< its temperature factor [Angstrom^2]
};

struct CalculatedFactors {
  std::vector<Reflection> reflections;  ///< every (h,k,l) of the sphere in P1, electrons
  double cell[6];                       ///< a b c [Angstrom] alpha beta gamma [degree]
  std::string space_group;              ///< Hermann-Mauguin symbol
  int atoms = 0;                        ///< atoms of the asymmetric unit that were used
};

/// Structure factors of a PDB or mmCIF model (also gzipped) to the resolution limit, all of P1.
CalculatedFactors calculate_structure_factors(const std::string& model_path, double dmin_A,
                                              const BulkSolvent& solvent = {});

}  // namespace nablabragg::io
