// Unit cells side by side: that of a file and that of the experiment.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>
#include "nablabragg/crystal.hpp"
#include "nablabragg/experiment.hpp"

namespace nablabragg::description {

/// a b c [Angstrom] alpha beta gamma [degree].
UnitCell unit_cell(const std::array<double, 6>& numbers);

/// That an A matrix makes.
UnitCell cell_of_matrix(const Mat3d& matrix, double wavelength_A);

/// That of the cell, or of the matrix where there is none.
UnitCell cell_of(const Experiment& experiment);

/// The largest relative difference of an edge, or of an angle as a share of 90 degrees.
double cell_difference(const UnitCell& cell, const UnitCell& reference);

double volume_A3(const UnitCell& cell);

/// Whether a crystal may have its edges.
bool is_plausible(const UnitCell& cell);

/// "40 50 60 90 90 90"
std::string text_of(const UnitCell& cell);

/// Two statements of one thing that are more than 1 % apart.
struct Doubt {
  std::string problem;
  bool refused = false;  ///< more than 5 %
};

/// Of the cell that data are of, and one that `who` ("-cell gives") states.
std::optional<Doubt> doubt_of_data(const UnitCell& held, const UnitCell& given,
                                   const std::string& who);

/// Of the cell that an A matrix makes, and one that `who` ("the file says") states.  Says at which
/// wavelength, which is set by `how` ("-lambda"), the two would agree.
std::optional<Doubt> doubt_of_matrix(const Mat3d& matrix, double wavelength_A, const UnitCell& held,
                                     const std::string& who, const std::string& how);

/// All that an experiment states of its cell and its wavelength: cell beside matrix, and both
/// beside what the structure factors are of.
std::vector<Doubt> doubts_of(const Experiment& experiment);

}  // namespace nablabragg::description
