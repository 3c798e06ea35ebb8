// Files of the crystallography community, read through gemmi: MTZ, SF-mmCIF, PDB, mmCIF.
//
// Kept to C++17, apart from the other file formats (io.hpp): what includes gemmi 0.5's CIF headers
// is compiled as C++17, because clang rejects them as C++20.
#pragma once
#include <array>
#include <complex>
#include <functional>
#include <optional>
#include <string>
#include <vector>
#include "nablabragg/reflection.hpp"

namespace nablabragg::io {

/// a b c [Angstrom] alpha beta gamma [degree].
using CellNumbers = std::array<double, 6>;

/// The reflections of a file, and what the file says of them.
struct ReflectionFile {
  std::vector<Reflection> reflections;  ///< of the whole P1 sphere, each (h,k,l) once; a text as it
                                        ///< lists them
  std::string path;
  std::string format;  ///< "MTZ", "CIF", "text"...
  std::string taken;   ///< what the amplitudes are: "column FP (type F, with SIGFP)"; empty: F of a
                       ///< text
  bool anomalous = false;   ///< F(+) and F(-) are apart
  std::string space_group;  ///< by which the file was expanded; empty: not at all
  std::optional<CellNumbers> cell;
  double wavelength_A = 0;  ///< 0: the file does not say

  // Rows that do not count, and rows that state the same (h,k,l): the last one counts
  long missing = 0;        ///< marked as not measured
  long rejected = 0;       ///< marked as unreliable
  long negative = 0;       ///< negative intensities
  long repeated = 0;       ///< reflections, counted once with all equivalents, of several rows
  long contradicting = 0;  ///< those of them whose rows disagree
  MillerIndex first_contradiction{};
  long hands_differ = 0;  ///< rows of a centric reflection with an F(+) and another F(-)
  MillerIndex first_differing_hands{};

  std::vector<std::string> remarks;  ///< what else its user should know, in sentences
  /// Why these may be no amplitudes at all, in sentences: who does not want what nanoBragg would
  /// make of them refuses the file.
  std::vector<std::string> doubts;
};

/// Amplitudes of an MTZ file, expanded by its SYMM records (its space group where it has none) to
/// the whole P1 sphere.  `column` is the label of a column of amplitudes (type F, G) or intensities
/// (J, K), whose roots are taken; of F(+) and F(-) both are taken, each for its own half of the
/// sphere.  Empty: the first of: an F with a sigma; an F without a phase; F(+) and F(-); a
/// calculated F (FC, F-model) with a phase; an intensity; I(+) and I(-).  Never map coefficients.
/// Throws InputError.
ReflectionFile read_mtz(const std::string& path, const std::string& column = {});

/// Amplitudes of an SF-mmCIF file, or of the core CIF that SHELXL writes (.fcf), expanded like
/// read_mtz, by the file's symmetry operations where it lists them.  The first block with usable
/// reflections is taken.  `column` is the item name without "_refln."; empty: F_meas_au, F_meas,
/// pdbx_F_plus and _minus, pdbx_F_calc_with_solvent, F_calc_au, F_calc, then intensities.  Rows
/// with the status x or - are left out.
ReflectionFile read_sf_mmcif(const std::string& path, const std::string& column = {});

struct BulkSolvent {
  double k_e_per_A3 = 0.35;  ///< mean solvent electron density [electrons/Angstrom^3]; 0 leaves the
                             ///< solvent out
  double b_A2 = 46.0;        ///< its temperature factor [Angstrom^2]
};

struct CalculatedReflection {
  MillerIndex hkl;
  double amplitude;  ///< |F| [electrons]
  double phase_deg;  ///< -180 to 180
};

/// The part of one element's atoms in what anomalous scattering adds.
struct CalculatedSpecies {
  std::string element;                  ///< symbol
  std::vector<std::complex<double>> G;  ///< for each of CalculatedFactors::reflections
};

struct CalculatedFactors {
  std::vector<Reflection> reflections;  ///< every (h,k,l) of the sphere in P1, electrons
  // Where they are asked for, in the order of the reflections
  std::vector<std::complex<double>> F0;  ///< with their phases [electrons]
  std::vector<CalculatedSpecies> species;
  /// The reflections that are not equivalent by symmetry, without the systematic absences.
  std::vector<CalculatedReflection> asymmetric_unit;
  /// Of one energy, where mates differ: |F(h)| and |F(-h)| of the asymmetric unit.
  std::vector<std::array<double, 2>> hands;
  double wavelength_A = 0;  ///< likewise
  double cell[6];           ///< a b c [Angstrom] alpha beta gamma [degree]
  std::string space_group;  ///< Hermann-Mauguin symbol
  int atoms = 0;            ///< atoms of the asymmetric unit that were used
  int hydrogens = 0;        ///< how many of them are hydrogen or deuterium
  /// What was decided where the model leaves a choice or is unusual (atoms on special positions or
  /// of unknown element, ions, several models...), a sentence each.
  std::vector<std::string> notes;
};

/// Asked now and then, by the calling thread, with the share of the work that is done; false stops
/// the calculation.
using StructureFactorProgress = std::function<bool(double share)>;

/// Structure factors of a model to the resolution limit, all of P1.  The model is a PDB, an mmCIF
/// or a core CIF (small molecules) file, told by its content, also gzipped.
///
/// An atom on a special position counts once: in a core CIF its occupancy is divided by the number
/// of operators that leave it in place; in PDB and mmCIF files it is so divided already, and is
/// divided here where it would count more than one atom.  All elements scatter as neutral atoms,
/// without anomalous scattering.  `notes` of the result says to how many atoms this happened.
///
/// `anomalous`: F0 and the species are there, too: each element heavier than neon and those that
/// are named, by their symbols.
///
/// Throws InputError for a model that cannot be read or makes no sense, UsageError for a resolution
/// without sense or a calculation that does not fit into memory, Cancelled where `progress` asks
/// for it.
CalculatedFactors calculate_structure_factors(
    const std::string& model_path, double dmin_A, const BulkSolvent& solvent = {},
    const StructureFactorProgress& progress = {},
    const std::optional<std::vector<std::string>>& anomalous = {});

/// The bytes of an MTZ file with the asymmetric unit: H K L FC PHIC, or F(+) F(-) of one energy.
/// The title is cut after 70 characters, lines of the history after 80.
std::string mtz_of(const CalculatedFactors& factors, const std::string& title,
                   const std::vector<std::string>& history);

}  // namespace nablabragg::io
