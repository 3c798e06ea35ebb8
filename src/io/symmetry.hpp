// What amplitudes ask of a space group: which indices are equivalent.  gemmi's tables of groups
// stay behind this header.
//
// Kept to C++17, as crystallography.hpp.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>
#include "nablabragg/crystallography.hpp"
#include "nablabragg/reflection.hpp"

namespace nablabragg::io {

/// The rotational parts of a space group's operations, without an inversion that it does not have.
struct Symmetry {
  using Rotation = std::array<std::array<int, 3>, 3>;
  std::vector<Rotation> rotations;
  std::string name;  ///< Hermann-Mauguin symbol, or the operations where it has none
};

/// The index as a row vector times the rotation.
MillerIndex image_of(const MillerIndex& hkl, const Symmetry::Rotation& rotation);

/// From operations in the manner of "x+1/2,-y,-z".  Throws Error where one cannot be read or where
/// they are not the whole of a group.
Symmetry symmetry_of_operations(const std::vector<std::string>& operations);

/// Empty where nothing of this name is known.  The cell tells the hexagonal setting of a trigonal
/// group from the rhombohedral one where the name does not.
std::optional<Symmetry> symmetry_of_name(const std::string& hermann_mauguin,
                                         const std::optional<CellNumbers>& cell);
/// The Hermann-Mauguin symbol; where the setting has none, the Hall symbol itself.
std::string group_name_of_hall_symbol(const std::string& hall);
/// Of a Hermann-Mauguin symbol, or of a Hall symbol that no such one is written as.  Empty where it
/// is neither.
std::optional<std::string> hall_symbol_of_group(const std::string& group);
/// As CCP4 counts: 1 to 230 in the usual settings, others with thousands before them.
std::optional<Symmetry> symmetry_of_number(int number, const std::optional<CellNumbers>& cell);

/// What a group is called that has no symbol.
std::string name_without_symbol(std::size_t operators);

// What refinement and rounding leave of a cell's symmetry, and what another lattice is.
constexpr double rounded_cell = 0.001, rounded_angle_deg = 0.1;
constexpr double other_cell = 0.01, other_angle_deg = 1.0;

/// By how much rotations change a cell at most that has not their symmetry.
struct CellChange {
  double edges = 0;  ///< as a share of the edge
  double angles_deg = 0;

  bool is_rounding() const { return edges < rounded_cell && angles_deg < rounded_angle_deg; }
  bool is_of_another_cell() const { return edges > other_cell || angles_deg > other_angle_deg; }
};
CellChange change_of(const CellNumbers& cell, const Symmetry& symmetry);

/// Throws InputError where there are fewer bytes than `what` takes: "WHAT take about 20 GB...".
void check_memory_for(double bytes, const std::string& path, const std::string& what);

/// Says in the remarks that amplitudes of this number are negative; 0: nothing.
void note_negative_amplitudes(long count, ReflectionFile& file);

/// Whether both make the same indices equivalent.
bool same_rotations(const Symmetry& a, const Symmetry& b);

/// An amplitude as a row of a file states it for one index.
struct StatedAmplitude {
  MillerIndex hkl;
  double amplitude;
  std::size_t row;  ///< a row with F(+) and F(-) states two
};

/// Every equivalent of what is stated, each (h,k,l) once.  Of rows that state the same index the
/// last one counts; a Friedel mate takes the amplitude of the other where no row states its own.
/// Counts repeated rows in `file`, and doubts a cell of its own that has not the symmetry.  Throws
/// InputError where nothing is stated, and where the
/// equivalents do not fit into memory.
std::vector<Reflection> expand_to_p1(const std::vector<StatedAmplitude>& stated,
                                     const Symmetry& symmetry, ReflectionFile& file);

/// An intensity as it was measured, once of several times.
struct Observation {
  MillerIndex hkl;
  double intensity, sigma;
};

/// The means of equivalent observations, weighted by 1/sigma^2, as amplitudes; negative means are
/// left out and counted.  `friedel`: mates are equivalent.
std::vector<StatedAmplitude> merge_observations(const std::vector<Observation>& observations,
                                                const Symmetry& symmetry, bool friedel,
                                                ReflectionFile& file);

}  // namespace nablabragg::io
