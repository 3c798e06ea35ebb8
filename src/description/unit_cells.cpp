#include "description/unit_cells.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>  // for snprintf

#include "description/digits.hpp"
#include "model/crystal_axes.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg::description {

UnitCell unit_cell(const std::array<double, 6>& numbers) {
  return {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]};
}

UnitCell cell_of_matrix(const Mat3d& matrix, double wavelength_A) {
  return unit_cell_of(
      model::axes_from_reciprocal<double>(
          model::reciprocal_from_mosflm(matrix, units::metres_from_angstrom(wavelength_A)), nullptr,
          0)
          .real_A);
}

UnitCell cell_of(const Experiment& e) {
  if (e.crystal.cell) return *e.crystal.cell;
  return cell_of_matrix(*e.crystal.mosflm_matrix, e.beam.wavelength_A);
}

double cell_difference(const UnitCell& cell, const UnitCell& reference) {
  constexpr double right_angle_deg = 90;
  const auto edge = [](double a, double b) { return std::abs(a / b - 1); };
  const auto angle = [](double a, double b) { return std::abs(a - b) / right_angle_deg; };
  return std::max({edge(cell.a_A, reference.a_A), edge(cell.b_A, reference.b_A),
                   edge(cell.c_A, reference.c_A), angle(cell.alpha_deg, reference.alpha_deg),
                   angle(cell.beta_deg, reference.beta_deg),
                   angle(cell.gamma_deg, reference.gamma_deg)});
}

double volume_A3(const UnitCell& cell) {
  return model::reciprocal_basis<double>(cell, false).volume_A3;
}

bool is_plausible(const UnitCell& cell) {
  for (const double edge_A : {cell.a_A, cell.b_A, cell.c_A})
    if (!(edge_A >= plausible::shortest_edge_A && edge_A <= plausible::longest_edge_A))
      return false;
  return true;
}

std::string text_of(const UnitCell& cell) {
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(), "%.6g %.6g %.6g %.5g %.5g %.5g", cell.a_A, cell.b_A,
                cell.c_A, cell.alpha_deg, cell.beta_deg, cell.gamma_deg);
  return text.data();
}

namespace {

std::string per_cent(double difference) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %% from it", 100 * difference);
  return text.data();
}

}  // namespace

std::optional<Doubt> doubt_of_data(const UnitCell& held, const UnitCell& given,
                                   const std::string& who) {
  const double difference = cell_difference(given, held);
  if (difference <= plausible::notable_difference) return std::nullopt;
  return Doubt{"of the cell " + text_of(held) + ", and " + who + ' ' + text_of(given) + ", " +
                   per_cent(difference),
               !(difference <= plausible::refused_difference)};
}

std::optional<Doubt> doubt_of_matrix(const Mat3d& matrix, double wavelength_A, const UnitCell& held,
                                     const std::string& who, const std::string& how) {
  const UnitCell made = cell_of_matrix(matrix, wavelength_A);
  const double difference = cell_difference(made, held);
  if (difference <= plausible::notable_difference) return std::nullopt;
  Doubt doubt{"matrix makes the cell " + text_of(made) + " at " + digits(wavelength_A, 6) +
                  " Angstrom, and " + who + ' ' + text_of(held) + ", " + per_cent(difference),
              !(difference <= plausible::refused_difference)};
  // A is in units of the wavelength, so that a wrong one scales all edges alike.
  const double fitting_A = wavelength_A * std::cbrt(volume_A3(held) / volume_A3(made));
  if (cell_difference(cell_of_matrix(matrix, fitting_A), held) <= plausible::notable_difference)
    doubt.problem += "; it fits " + how + ' ' + digits(fitting_A, 6);
  return doubt;
}

std::vector<Doubt> doubts_of(const Experiment& e) {
  std::vector<Doubt> doubts;
  if (e.crystal.cell && e.crystal.mosflm_matrix)
    if (auto doubt = doubt_of_matrix(*e.crystal.mosflm_matrix, e.beam.wavelength_A, *e.crystal.cell,
                                     "cell is", "a wavelength of")) {
      doubt->problem.insert(0, "the A ");
      doubts.push_back(*std::move(doubt));
    }
  const StructureFactors& factors = e.structure_factors;
  if (factors.stated_cell && (e.crystal.cell || e.crystal.mosflm_matrix))
    if (auto doubt = doubt_of_data(*factors.stated_cell, cell_of(e),
                                   e.crystal.cell ? "cell is" : "a_matrix makes")) {
      doubt->problem.insert(0, "the structure factors are ");
      if (doubt->refused)
        doubt->problem += "; for isomorphous data give structure_factors.replace(stated_cell=None)";
      doubts.push_back(*std::move(doubt));
    }
  if (factors.stated_wavelength_A && e.beam.sources.empty() &&
      !(std::abs(e.beam.wavelength_A / *factors.stated_wavelength_A - 1) <=
        plausible::notable_difference))
    doubts.push_back({"the structure factors were measured at " +
                      digits(*factors.stated_wavelength_A, 6) +
                      " Angstrom, and the wavelength is " + digits(e.beam.wavelength_A, 6)});
  return doubts;
}

}  // namespace nablabragg::description
