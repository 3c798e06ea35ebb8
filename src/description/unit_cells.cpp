#include "description/unit_cells.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>  // for snprintf

#include "model/crystal_axes.hpp"

namespace nablabragg::description {

UnitCell unit_cell(const std::array<double, 6>& numbers) {
  return {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]};
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

std::string text_of(const UnitCell& cell) {
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(), "%.6g %.6g %.6g %.5g %.5g %.5g", cell.a_A, cell.b_A,
                cell.c_A, cell.alpha_deg, cell.beta_deg, cell.gamma_deg);
  return text.data();
}

}  // namespace nablabragg::description
