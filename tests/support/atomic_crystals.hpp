// Random crystals of atoms in any setting of any space group, and their structure factors as the
// textbook has them: a sum over atoms and the distinct places to which the operators take them.
// Of gemmi these use the list of settings, the operators and the scattering factors of the
// elements.
#pragma once
#include <gemmi/elem.hpp>      // for find_element
#include <gemmi/it92.hpp>      // for IT92
#include <gemmi/symmetry.hpp>  // for SpaceGroup

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstdlib>  // for abs
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include "nablabragg/crystallography.hpp"

namespace nablabragg::test {

using Vector = std::array<double, 3>;
using Matrix = std::array<Vector, 3>;

inline Vector operator*(const Matrix& m, const Vector& v) {
  Vector result{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) result[i] += m[i][j] * v[j];
  return result;
}

/// x' = rotation x + shift, in fractional coordinates.
struct Operator {
  Matrix rotation;
  Vector shift;
};

inline std::vector<Operator> operators_of(const gemmi::SpaceGroup& group) {
  std::vector<Operator> result;
  for (const gemmi::Op& op : group.operations()) {
    Operator o{};
    for (std::size_t i = 0; i < 3; ++i) {
      o.shift[i] = op.tran[i] / double(gemmi::Op::DEN);
      for (std::size_t j = 0; j < 3; ++j) o.rotation[i][j] = op.rot[i][j] / double(gemmi::Op::DEN);
    }
    result.push_back(o);
  }
  return result;
}

struct CrystalAtom {
  std::string element;
  Vector place;      ///< fractional
  double occupancy;  ///< of the site
  double b_A2;
  std::array<double, 6> u_A2{};  ///< 11 22 33 12 13 23 of the reciprocal axes; of all 0: b_A2
  int order = 1;                 ///< operators that leave it in its place

  bool anisotropic() const { return u_A2[0] != 0; }
};

struct AtomicCrystal {
  const gemmi::SpaceGroup* group;
  std::array<double, 6> cell;
  std::vector<CrystalAtom> atoms;
};

/// Dot products of the axes.
inline Matrix metric_of(const std::array<double, 6>& cell) {
  Matrix g{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      g[i][j] = cell[i] * cell[j] *
                (i == j ? 1 : std::cos(cell[6 - i - j] * std::numbers::pi / 180));
  // cell[3 + k] is the angle between the two other axes: i + j + k = 3.
  return g;
}

inline double length_A(const Matrix& metric, const Vector& v) {
  const Vector gv = metric * v;
  return std::sqrt(v[0] * gv[0] + v[1] * gv[1] + v[2] * gv[2]);
}

inline double to_nearest_lattice_point_A(const Matrix& metric, Vector v) {
  for (double& x : v) x -= std::round(x);
  return length_A(metric, v);
}

inline Matrix inverse_of(const Matrix& m) {
  const auto cofactor = [&](std::size_t i, std::size_t j) {
    const std::size_t a = (i + 1) % 3, b = (i + 2) % 3, c = (j + 1) % 3, d = (j + 2) % 3;
    return m[a][c] * m[b][d] - m[a][d] * m[b][c];
  };
  const double determinant = m[0][0] * cofactor(0, 0) + m[0][1] * cofactor(0, 1) +
                             m[0][2] * cofactor(0, 2);
  Matrix result{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) result[j][i] = cofactor(i, j) / determinant;
  return result;
}

inline Vector image_of(const Operator& op, const Vector& place) {
  Vector image = op.rotation * place;
  for (std::size_t i = 0; i < 3; ++i) image[i] += op.shift[i];
  return image;
}

/// The distinct places of an atom, one operator for each.
inline std::vector<const Operator*> places_of(const Vector& place, const Matrix& metric,
                                              const std::vector<Operator>& operators) {
  constexpr double same_A = 1e-5;
  std::vector<const Operator*> distinct;
  for (const Operator& op : operators) {
    const Vector image = image_of(op, place);
    const bool known = std::any_of(distinct.begin(), distinct.end(), [&](const Operator* other) {
      Vector difference = image_of(*other, place);
      for (std::size_t i = 0; i < 3; ++i) difference[i] -= image[i];
      return to_nearest_lattice_point_A(metric, difference) < same_A;
    });
    if (!known) distinct.push_back(&op);
  }
  return distinct;
}

inline double inverse_d2(const AtomicCrystal& crystal, const MillerIndex& hkl) {
  const Matrix reciprocal = inverse_of(metric_of(crystal.cell));
  const double length = length_A(reciprocal, {double(hkl[0]), double(hkl[1]), double(hkl[2])});
  return length * length;
}

/// Every atom of the cell once.
class DirectSum {
 public:
  explicit DirectSum(const AtomicCrystal& crystal)
      : crystal_(crystal), operators_(operators_of(*crystal.group)) {
    metric_ = metric_of(crystal.cell);
    reciprocal_ = inverse_of(metric_);
    for (const CrystalAtom& atom : crystal.atoms)
      places_.push_back(places_of(atom.place, metric_, operators_));
  }

  std::complex<double> operator()(const MillerIndex& index) const {
    const Vector hkl{double(index[0]), double(index[1]), double(index[2])};
    const double length = length_A(reciprocal_, hkl), stol2 = 0.25 * length * length;
    std::complex<double> sum = 0;
    for (std::size_t n = 0; n < crystal_.atoms.size(); ++n) {
      const CrystalAtom& atom = crystal_.atoms[n];
      const double f = atom.occupancy *
                       gemmi::IT92<double>::get(gemmi::find_element(atom.element.c_str()))
                           .calculate_sf(stol2);
      for (const Operator* op : places_[n]) {
        const Vector image = image_of(*op, atom.place);
        const double turns = hkl[0] * image[0] + hkl[1] * image[1] + hkl[2] * image[2];
        sum += f * damping(atom, *op, hkl, stol2) * std::polar(1.0, 2 * std::numbers::pi * turns);
      }
    }
    return sum;
  }

 private:
  double damping(const CrystalAtom& atom, const Operator& op, const Vector& hkl,
                 double stol2) const {
    if (!atom.anisotropic()) return std::exp(-atom.b_A2 * stol2);
    // Of the image: the tensor of the atom with the index turned back, times the reciprocal axes.
    Vector s{};
    for (std::size_t j = 0; j < 3; ++j) {
      for (std::size_t i = 0; i < 3; ++i) s[j] += hkl[i] * op.rotation[i][j];
      s[j] *= std::sqrt(reciprocal_[j][j]);
    }
    const auto& u = atom.u_A2;
    const double sus = u[0] * s[0] * s[0] + u[1] * s[1] * s[1] + u[2] * s[2] * s[2] +
                       2 * (u[3] * s[0] * s[1] + u[4] * s[0] * s[2] + u[5] * s[1] * s[2]);
    return std::exp(-2 * std::numbers::pi * std::numbers::pi * sus);
  }

  const AtomicCrystal& crystal_;
  std::vector<Operator> operators_;
  Matrix metric_, reciprocal_;
  std::vector<std::vector<const Operator*>> places_;
};

/// A cell that the operators take into itself: a random metric, averaged over them.
inline std::array<double, 6> random_cell(const std::vector<Operator>& operators, double shortest_A,
                                         std::mt19937& random) {
  std::uniform_real_distribution<double> length(shortest_A, 1.6 * shortest_A), angle(75, 105);
  const Matrix metric = metric_of({length(random), length(random), length(random), angle(random),
                                   angle(random), angle(random)});
  Matrix sum{};
  for (const Operator& op : operators)
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j)
        for (std::size_t k = 0; k < 3; ++k)
          for (std::size_t l = 0; l < 3; ++l)
            sum[i][j] += op.rotation[k][i] * metric[k][l] * op.rotation[l][j] /
                         double(operators.size());
  const auto angle_of = [&](std::size_t i, std::size_t j) {
    return std::acos(sum[i][j] / std::sqrt(sum[i][i] * sum[j][j])) * 180 / std::numbers::pi;
  };
  return {std::sqrt(sum[0][0]), std::sqrt(sum[1][1]), std::sqrt(sum[2][2]),
          angle_of(1, 2),       angle_of(0, 2),       angle_of(0, 1)};
}

/// The middle of the places to which powers of a random operator take a random place.  Where the
/// operator has a fixed point, this is one.
inline Vector special_place(const std::vector<Operator>& operators, std::mt19937& random) {
  std::uniform_real_distribution<double> fraction(0, 1);
  std::uniform_int_distribution<std::size_t> which(0, operators.size() - 1);
  const Operator& op = operators[which(random)];
  const Vector place{fraction(random), fraction(random), fraction(random)};
  Vector sum{}, image = place;
  constexpr int order = 12;  // of any operator, a multiple
  for (int n = 0; n < order; ++n) {
    for (std::size_t i = 0; i < 3; ++i) sum[i] += image[i] / order;
    image = image_of(op, image);
  }
  return sum;
}

/// Atoms in general places, one of them anisotropic, and some in special ones.
inline AtomicCrystal random_crystal(const gemmi::SpaceGroup& group, double shortest_A,
                                    std::mt19937& random) {
  const std::vector<Operator> operators = operators_of(group);
  AtomicCrystal crystal{&group, random_cell(operators, shortest_A, random), {}};
  const Matrix metric = metric_of(crystal.cell);
  std::uniform_real_distribution<double> unit(0, 1);
  const char* const elements[] = {"C", "N", "O", "S", "Zn", "D"};
  const auto add = [&](const Vector& place, bool anisotropic) {
    CrystalAtom atom{elements[std::min<std::size_t>(5, std::size_t(6 * unit(random)))], place,
                     unit(random) < 0.5 ? 1.0 : 0.25 + 0.5 * unit(random), 8 + 20 * unit(random)};
    if (anisotropic)
      atom.u_A2 = {0.2 + 0.2 * unit(random), 0.2 + 0.2 * unit(random), 0.2 + 0.2 * unit(random),
                   0.1 * unit(random),       -0.1 * unit(random),      0.08 * unit(random)};
    // Neither clearly special nor clearly general: the sums would not agree on what it is.
    constexpr double same_A = 1e-5, apart_A = 1.1;
    for (const Operator& op : operators) {
      Vector difference = image_of(op, place);
      for (std::size_t i = 0; i < 3; ++i) difference[i] -= place[i];
      const double distance_A = to_nearest_lattice_point_A(metric, difference);
      if (distance_A > same_A && distance_A < apart_A) return false;
    }
    atom.order = int(operators.size() / places_of(place, metric, operators).size());
    if (atom.order > 1) atom.u_A2 = {};
    crystal.atoms.push_back(atom);
    return true;
  };
  for (int n = 0, tries = 0; n < 3 && tries < 1000; ++tries)
    n += add({unit(random), unit(random), unit(random)}, n == 0);
  for (int n = 0, tries = 0; n < 3 && tries < 1000; ++tries)
    n += add(special_place(operators, random), false);
  return crystal;
}

inline std::string cell_items(const AtomicCrystal& crystal, char separator) {
  const char* const names[] = {"length_a",    "length_b",   "length_c",
                               "angle_alpha", "angle_beta", "angle_gamma"};
  std::string text;
  for (std::size_t i = 0; i < 6; ++i)
    text += fmt::format("_cell{}{} {:.12g}\n", separator, names[i], crystal.cell[i]);
  return text;
}

/// With the operators, and with occupancies of the sites.
inline std::string core_cif_of(const AtomicCrystal& crystal) {
  std::string text = "data_random\n" + cell_items(crystal, '_') +
                     "loop_\n_space_group_symop_operation_xyz\n";
  for (const gemmi::Op& op : crystal.group->operations())
    text += fmt::format("'{}'\n", op.triplet());
  text +=
      "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
      "_atom_site_fract_z\n_atom_site_occupancy\n_atom_site_U_iso_or_equiv\n";
  const double u_to_b = 8 * std::numbers::pi * std::numbers::pi;
  std::string tensors;
  for (std::size_t n = 0; n < crystal.atoms.size(); ++n) {
    const CrystalAtom& a = crystal.atoms[n];
    text += fmt::format("A{} {} {:.12f} {:.12f} {:.12f} {:.9g}(3) {:.12g}\n", n, a.element,
                        a.place[0], a.place[1], a.place[2], a.occupancy, a.b_A2 / u_to_b);
    if (a.anisotropic())
      tensors += fmt::format("A{} {:.9g} {:.9g} {:.9g} {:.9g} {:.9g} {:.9g}\n", n, a.u_A2[0],
                             a.u_A2[1], a.u_A2[2], a.u_A2[3], a.u_A2[4], a.u_A2[5]);
  }
  if (!tensors.empty()) {
    text += "loop_\n_atom_site_aniso_label\n";
    for (const char* axes : {"11", "22", "33", "12", "13", "23"})
      text += std::string("_atom_site_aniso_U_") + axes + "\n";
    text += tensors;
  }
  return text;
}

/// With the name of the setting.  In turns, occupancies in special places are that of the site and
/// already divided.  Anisotropic atoms are written with their B.
inline std::string mmcif_of(const AtomicCrystal& crystal) {
  std::string text = "data_random\n" + cell_items(crystal, '.') +
                     fmt::format("_symmetry.space_group_name_H-M '{}'\n", crystal.group->xhm());
  text += "loop_\n";
  for (const char* item : {"group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id",
                           "label_comp_id", "label_asym_id", "auth_seq_id", "Cartn_x", "Cartn_y",
                           "Cartn_z", "occupancy", "B_iso_or_equiv"})
    text += std::string("_atom_site.") + item + "\n";
  // The PDB's frame: a along x, b in the xy plane.
  const Matrix g = metric_of(crystal.cell);
  Matrix axes{};
  axes[0][0] = std::sqrt(g[0][0]);
  axes[0][1] = g[0][1] / axes[0][0];
  axes[0][2] = g[0][2] / axes[0][0];
  axes[1][1] = std::sqrt(g[1][1] - axes[0][1] * axes[0][1]);
  axes[1][2] = (g[1][2] - axes[0][1] * axes[0][2]) / axes[1][1];
  axes[2][2] = std::sqrt(g[2][2] - axes[0][2] * axes[0][2] - axes[1][2] * axes[1][2]);
  for (std::size_t n = 0; n < crystal.atoms.size(); ++n) {
    const CrystalAtom& a = crystal.atoms[n];
    const Vector x = axes * a.place;
    const bool divided = a.occupancy < 1 || n % 2 == 0;
    text += fmt::format("HETATM {0} {1} X{0} . UNL A {0} {2:.9f} {3:.9f} {4:.9f} {5:.9g} {6:.9g}\n",
                        n + 1, a.element, x[0], x[1], x[2],
                        divided ? a.occupancy / a.order : a.occupancy, a.b_A2);
  }
  return text;
}

/// The largest difference of calculated factors from direct sums, over the largest amplitude: at
/// every `stride`-th reflection of the asymmetric unit with its phase, and at the amplitude of
/// every equivalent one on the sphere.
inline double worst_difference(const AtomicCrystal& crystal, const io::CalculatedFactors& factors,
                               std::size_t stride) {
  const DirectSum sum(crystal);
  double worst = 0, largest = 0;
  const auto compare = [&](double difference, double amplitude) {
    worst = std::max(worst, difference);
    largest = std::max(largest, amplitude);
  };
  for (std::size_t i = 0; i < factors.asymmetric_unit.size(); i += stride) {
    const io::CalculatedReflection& r = factors.asymmetric_unit[i];
    const std::complex<double> expected = sum(r.hkl);
    compare(std::abs(std::polar(r.amplitude, r.phase_deg * std::numbers::pi / 180) - expected),
            std::abs(expected));
  }
  for (std::size_t i = stride / 2; i < factors.reflections.size(); i += 8 * stride + 1) {
    const Reflection& r = factors.reflections[i];
    const double expected = std::abs(sum(r.hkl));
    compare(std::abs(r.amplitude - expected), expected);
  }
  return worst / largest;
}

}  // namespace nablabragg::test
