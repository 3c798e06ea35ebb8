// Structure factors that follow the energy of the light: F(h, E) = F0(h) + sum over species of
// (f'(E) + i f''(E)) G(h) (docs/anomalous.md).
#pragma once
#include <complex>
#include <memory>
#include <span>
#include <string>
#include <utility>  // for std::move
#include <vector>
#include "nablabragg/crystallography.hpp"
#include "nablabragg/structure_factors.hpp"

namespace nablabragg {

/// f' and f'' of an element by energy: straight lines between the rows.
struct DispersionCurve {
  std::string element;
  std::vector<double> energy_eV;                ///< increasing
  std::vector<double> f_prime, f_double_prime;  ///< [electrons]
  bool measured = false;  ///< of a file: it knows its edges; else of atoms that are alone
};

/// Complex numbers, one for each reflection of a table: its own, or in memory that processes have
/// in common, of which a copy is made where they are to be changed.
class ReflectionNumbers {
 public:
  using Number = std::complex<double>;

  ReflectionNumbers() = default;
  ReflectionNumbers(std::vector<Number> own) : own_(std::move(own)) {}
  /// The same numbers in that memory, which holds them as real and imaginary parts.
  ReflectionNumbers in(std::shared_ptr<const memory::SharedTable> shared) const;

  std::span<const Number> all() const { return shared_ ? in_shared_ : own_; }
  std::size_t size() const { return all().size(); }
  const Number& operator[](std::size_t i) const { return all()[i]; }
  Number& operator[](std::size_t i) {
    if (shared_) take_copy();
    return own_[i];
  }

 private:
  void take_copy();

  std::vector<Number> own_;
  std::shared_ptr<const memory::SharedTable> shared_;
  std::span<const Number> in_shared_;
};

/// The atoms of one element.
struct AnomalousSpecies {
  DispersionCurve curve;
  /// Sum over them of occupancy, temperature factor and e^(2 pi i h.x), in the order of the table.
  ReflectionNumbers G;
};

/// What a table of amplitudes (StructureFactorGrid) has where they follow the energy.
struct AnomalousFactors {
  ReflectionNumbers F0;  ///< in the order of the table [electrons]
  std::vector<AnomalousSpecies> species;
};

/// f' and f'' of an atom that is alone (Cromer & Liberman 1981, as in gemmi), with rows close
/// enough for straight lines (4e-4 electrons) from 2 to 60 keV, and at some energies more.  None is
/// within 0.5 eV of an edge.  Throws UsageError for what is no element from Li to U.
DispersionCurve dispersion_of_atom(const std::string& element,
                                   std::span<const double> also_eV = {});

/// Its K and L edges and those of the shells above, from 1 keV on.
std::vector<double> edges_eV(const std::string& element);

/// Rows of energy [eV], f' and f''.  Throws InputError.
DispersionCurve read_dispersion(const std::string& element, const std::string& path);

/// f' + i f'' at an energy.  Throws UsageError for one that the rows do not reach.
std::complex<double> dispersion_at(const DispersionCurve& curve, double energy_eV);

/// A table with the energy's part: the values are |F0|.  `measured` are curves for some elements;
/// each other one heavier than neon takes that of its atom.
std::shared_ptr<const StructureFactorGrid> anomalous_grid(const io::CalculatedFactors& calculated,
                                                          std::span<const DispersionCurve> measured,
                                                          double default_F,
                                                          std::span<const double> also_eV = {});

/// The amplitudes |F| at one energy, of the same box.  Throws UsageError for a table that does not
/// follow the energy and for an energy that a curve does not reach.
StructureFactorGrid amplitudes_at(const StructureFactorGrid& grid, double energy_eV);

/// What a user should know of energies near an edge of an element whose f' and f'' are those of
/// an atom that is alone: a sentence for each element.
std::vector<std::string> edge_warnings(const StructureFactorGrid& grid,
                                       std::span<const double> energies_eV);

}  // namespace nablabragg
