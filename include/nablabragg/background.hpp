// Matter in the beam that is no crystal: liquids and glasses, powders, gases.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace nablabragg {

/// How F is found between the rows of a table.
enum class MaterialInterpolation {
  linear,   ///< between the two rows beside it; outside, that of the last row
  cubic,    ///< through four rows, three at the ends; outside, that of the last row.  For smooth,
            ///< dense tables: sharp lines overshoot
  nonbragg  ///< the same, but outside on the straight line through the last two rows, as nonBragg
            ///< and simtbx have it: F may change its sign there, and negative photons come out
};

/// What becomes of the photon.
enum class MaterialProcess {
  coherent,  ///< it keeps its energy
  compton    ///< it gives some to an electron: F is the square root of the incoherent scattering
             ///< function, and the Klein-Nishina formula holds
};

/// What one molecule of a material scatters, and how much of it there is.  The material fills the
/// beam.
template <class Real>
struct BasicMaterial {
  std::string name;                ///< what summaries and errors call it
  std::vector<double> stol_per_A;  ///< sin(theta)/wavelength of the rows, rising
  std::vector<double> F;           ///< [electrons a molecule]; a negative one counts as -F^2
  MaterialInterpolation interpolation = MaterialInterpolation::linear;
  MaterialProcess process = MaterialProcess::coherent;
  Real thickness_mm{0};  ///< along the beam, all of it at the sample
  /// Where a path along the beam begins and ends, counted from the sample on; where they differ,
  /// the light comes from all along it, and there is no thickness.
  Real start_mm{0}, end_mm{0};
  Real density_g_cm3{1}, molar_mass{18.015};  ///< [g/mol], of what F is of; those of water
};
using Material = BasicMaterial<double>;

/// A table of two columns, sin(theta)/lambda [1/Angstrom] and F [electrons a molecule], as
/// nanoBragg's and nonBragg's .stol files have them, in any order.  Thickness, density and molar
/// mass are left to be set.  Throws InputError for rows that are none, repeat a stol or have a
/// negative one, and for a file without rows.
Material read_background(const std::string& path);

enum class Gas { air, helium };

/// Pressure 101.325 kPa, 293.15 K.
struct GasState {
  Gas gas = Gas::air;
  double temperature_K = 293.15, pressure_kPa = 101.325;
};

/// What a gas along a path scatters, coherently and by the Compton effect.  Air is N2, O2 and Ar;
/// F^2 = 2 f^2 (1 + sin(x)/x) of a molecule of two atoms (Debye), f of the International Tables
/// (1992); the density is that of the ideal gas.  Throws UsageError for a temperature or pressure
/// that is not positive and for a path that does not lead along the beam.
std::vector<Material> gas_in_beam(double start_mm, double end_mm, const GasState& state = {});

/// What the electrons of a material scatter by the Compton effect, where `of` states how much of it
/// there is; `formula` is what its molar mass is of, as "H2O".  The incoherent scattering functions
/// are xraylib's.  Throws UsageError for a formula that is none or has another molar mass.
Material compton_of(const std::string& formula, const Material& of);

/// Crystals of hexagonal ice.
struct IceRings {
  double thickness_um = 0;
  double a_A = 4.4975, c_A = 7.3224;  ///< about 100 K; some 0.4 % longer at 250 K
  double size_A = 300;                ///< of the crystals, which broadens the rings
  double B_A2 = 1.4;
};

/// A powder of endless many crystals: rings, broadened as by crystals of that size (full width at
/// half maximum 0.94/size in 2 sin(theta)/lambda).  P 63/m m c, coordinates of Kuhs and Lehmann
/// (1983), rounded; rings to a spacing of 1 Angstrom.  Throws UsageError for what is not positive
/// and for crystals below 10 Angstrom and above 3000, whose rings are too sharp to be tabulated.
Material ice_rings(const IceRings& ice);

}  // namespace nablabragg
