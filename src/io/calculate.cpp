// Structure factors of a crystallographic model, to seed a simulation without measured data:
// density of the atoms on a grid, FFT, plus a flat bulk solvent, and what anomalous scattering
// multiplies.  No overall scale, no anisotropic correction.  Measured amplitudes are
// reflection_file.cpp's.
#include <algorithm>  // for copy, max, min
#include <array>
#include <cmath>  // for exp, lround, sqrt
#include <complex>
#include <cstdint>
#include <cstdio>   // for snprintf
#include <cstdlib>  // for abs
#include <exception>
#include <limits>
#include <new>  // for bad_alloc
#include <string>
#include <utility>  // for move
#include <vector>

#include <gemmi/dencalc.hpp>  // for DensityCalculator
// With vectors, pocketfft calls aligned_alloc with sizes that the standard forbids and
// AddressSanitizer refuses; the transforms are a few per cent of the time.
#define POCKETFFT_NO_VECTORS
// Those of readout/point_spread.cpp have vectors, and larger buffers: one name for both would let
// the linker take the buffers of one for the other.
#define pocketfft pocketfft_without_vectors
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
// In transforms whose length has large prime factors, which density grids avoid.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <gemmi/fourier.hpp>  // for transform_map_to_f_phi
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#undef pocketfft
#include <gemmi/it92.hpp>    // for IT92
#include <gemmi/sfcalc.hpp>  // for StructureFactorCalculator

#include "io/crystal_model.hpp"
#include "io/gemmi_errors.hpp"  // for throw_input_error
#include "io/solvent_mask.hpp"
#include "memory/available.hpp"
#include "nablabragg/crystallography.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {
namespace {

using Table = gemmi::IT92<double>;
using Density = gemmi::DensityCalculator<Table, float>;
using Complex = std::complex<double>;

// The Gaussian fits of International Tables (1992) hold for sin(theta)/lambda < 2/A.
constexpr double min_dmin_A = 0.25;

// Grid points per dmin/2.  The grid folds indices beyond 1/spacing - 1/dmin = 3/dmin onto the
// ones in use; there the blurred atoms below have exp(-8 * 5 / 4) = 4.5e-5 of their amplitude at
// dmin.
constexpr double grid_rate = 2.0;
constexpr double blurred_b_per_dmin2 = 5.0;
// Density [electrons/A^3] at which an atom ends; it sets the error: against direct summation R is
// 2e-6 for 1UBQ to 1.8 A, and would be 2e-5 with 1e-5, for a quarter less time.
constexpr float density_cutoff = 1e-6F;

// The solvent's edge is rounded to points.  For 1UBQ the solvent fraction is 0.240 in the limit,
// 0.232 with 0.3 A and 0.198 with 0.6 A.  Cells to some 450 000 A^3 have a grid of 0.3 A, whatever
// dmin is; those of larger ones are no finer than dmin asks for, and their points are shares of
// finer ones.
constexpr double mask_spacing_A = 0.3, coarsest_edge_A = 0.5;
constexpr double max_fine_mask_points = 1 << 24;
constexpr double mask_points_per_dmin = 4.0;

/// Where a calculation is, and whether it goes on.
class Course {
 public:
  explicit Course(const StructureFactorProgress& progress) : progress_(progress) {}

  /// What is told next are shares of the part of all work from `begin` to `end`.
  void enter(double begin, double end) {
    begin_ = begin;
    end_ = end;
    at(0);
  }
  /// Throws Cancelled where the caller does not want to go on.
  void at(double share) const {
    if (progress_ && !progress_(begin_ + (end_ - begin_) * share)) throw Cancelled();
  }

 private:
  const StructureFactorProgress& progress_;
  double begin_ = 0, end_ = 1;
};

/// Every operator but the identity, for a grid.  gemmi's own list forgets the centring of A 1, B 1,
/// C 1, I 1 and F 1.
template <typename T>
std::vector<gemmi::GridOp> operators_of(const gemmi::Grid<T>& grid) {
  std::vector<gemmi::GridOp> operators;
  const int points[3] = {grid.nu, grid.nv, grid.nw};
  for (gemmi::Op op : grid.spacegroup->operations()) {
    if (op == gemmi::Op::identity()) continue;
    for (std::size_t i = 0; i < 3; ++i) {
      op.tran[i] = op.tran[i] * points[i] / gemmi::Op::DEN;
      for (std::size_t j = 0; j < 3; ++j) op.rot[i][j] /= gemmi::Op::DEN;
    }
    operators.push_back({op});
  }
  return operators;
}

double smallest_b(const gemmi::Model& model) {
  double b = std::numeric_limits<double>::max();
  for_each_atom(
      model, [&](const gemmi::Residue&, const gemmi::Atom& atom) { b = std::min(b, min_b(atom)); });
  return b;
}

/// Whether every atom ends within one cell: gemmi cuts the box of an atom at the cell's size.
bool atoms_fit_grid(const Density& density, const gemmi::Model& model) {
  const auto& grid = density.grid;
  double radius = 0;
  for_each_atom(model, [&](const gemmi::Residue&, const gemmi::Atom& atom) {
    const double b = max_b(atom) + density.blur;
    radius = std::max(radius, density.estimate_radius(
                                  Table::get(atom.element.elem).precalculate_density_iso(b), b));
  });
  return radius < grid.spacing[0] * (grid.nu - 1) && radius < grid.spacing[1] * (grid.nv - 1) &&
         radius < grid.spacing[2] * (grid.nw - 1);
}

/// F of the atoms, by FFT or, where the cell is smaller than a blurred atom, atom by atom.
void add_atoms(const CrystalModel& model, double dmin_A, const std::vector<MillerIndex>& indices,
               std::vector<Complex>& factors, Course& course) {
  Density density;
  density.d_min = dmin_A;
  density.rate = grid_rate;
  density.cutoff = density_cutoff;
  density.grid.unit_cell = model.cell;
  density.grid.spacegroup = model.group;
  density.blur = std::max(0.0, blurred_b_per_dmin2 * dmin_A * dmin_A - smallest_b(model.atoms));
  density.initialize_grid();
  if (!atoms_fit_grid(density, model.atoms)) {
    gemmi::StructureFactorCalculator<Table> calculator(model.cell);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      course.at(static_cast<double>(i) / static_cast<double>(indices.size()));
      factors[i] = calculator.calculate_sf_from_model(model.atoms, indices[i]);
    }
    return;
  }
  std::size_t atoms = 0, done = 0;
  for_each_atom(model.atoms, [&](const gemmi::Residue&, const gemmi::Atom&) { ++atoms; });
  for_each_atom(model.atoms, [&](const gemmi::Residue&, const gemmi::Atom& atom) {
    course.at(0.6 * static_cast<double>(done++) / static_cast<double>(atoms));
    density.add_atom_density_to_grid(atom);
  });
  constexpr std::uint32_t sums_at_a_time = 1 << 20;
  std::uint32_t sums = 0;
  density.grid.symmetrize_using_ops(operators_of(density.grid), [&](float a, float b) {
    if (++sums % sums_at_a_time == 0) course.at(0.65);
    return a + b;
  });
  course.at(0.7);
  const auto f = gemmi::transform_map_to_f_phi(density.grid, /*half_l=*/true);
  course.at(0.9);
  for (std::size_t i = 0; i < indices.size(); ++i)
    factors[i] = Complex(f.get_value_by_hkl(indices[i])) *
                 std::exp(0.25 * density.blur * f.unit_cell.calculate_1_d2(indices[i]));
}

struct MaskGrid {
  double spacing_A;
  int finer;
};

MaskGrid mask_grid_of(const gemmi::UnitCell& cell, double dmin_A) {
  const double points = cell.volume / (mask_spacing_A * mask_spacing_A * mask_spacing_A);
  if (points < max_fine_mask_points) return {std::min(dmin_A / 3, mask_spacing_A), 1};
  const double spacing_A = dmin_A / mask_points_per_dmin;
  int finer = 1 + 2 * static_cast<int>(std::lround((spacing_A / mask_spacing_A - 1) / 2));
  if (spacing_A / finer > coarsest_edge_A) finer += 2;
  return {spacing_A, finer};
}

/// F of a flat solvent: `k_e_per_A3` wherever no atom is near.
void add_solvent(const CrystalModel& model, double dmin_A, const BulkSolvent& solvent,
                 const std::vector<MillerIndex>& indices, std::vector<Complex>& factors,
                 Course& course) {
  const MaskGrid resolution = mask_grid_of(model.cell, dmin_A);
  gemmi::Grid<float> mask;
  mask.spacegroup = model.group;
  mask.set_unit_cell(model.cell);
  mask.set_size_from_spacing(resolution.spacing_A, /*denser=*/true);
  fill_with_solvent(mask, model.atoms, resolution.finer,
                    [&](double share) { course.at(0.7 * share); });
  const auto f = gemmi::transform_map_to_f_phi(mask, /*half_l=*/true);
  course.at(0.9);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const MillerIndex& hkl = indices[i];
    const double box = transform_of_box(hkl[0], mask.nu, resolution.finer) *
                       transform_of_box(hkl[1], mask.nv, resolution.finer) *
                       transform_of_box(hkl[2], mask.nw, resolution.finer);
    factors[i] += solvent.k_e_per_A3 * std::exp(-solvent.b_A2 * model.cell.calculate_stol_sq(hkl)) *
                  Complex(f.get_value_by_hkl(hkl)) / box;
  }
}

/// The reflections of P1 to a resolution, and which of them are equivalent.
class Sphere {
 public:
  Sphere(const gemmi::UnitCell& cell, double dmin_A)
      : cell_(cell),
        max_inv_d2_((1 + rounding) / (dmin_A * dmin_A)),
        limit_(cell.get_hkl_limits(dmin_A * (1 - rounding))) {}

  /// Of a box around the sphere.
  double indices() const { return extent(0) * extent(1) * extent(2); }

  /// Returns the unique reflections, in the asymmetric unit of the group.
  std::vector<MillerIndex> find_unique(const gemmi::SpaceGroup& group, Course& course) {
    const gemmi::GroupOps operations = group.operations();
    const gemmi::ReciprocalAsu asu(&group);
    // A dense box, so that each is found once.
    unique_.assign(static_cast<std::size_t>(indices()), -1);
    std::vector<MillerIndex> found;
    for_each(
        [&](const MillerIndex& hkl) {
          if (unique_[offset(hkl)] >= 0) return;
          const auto number = static_cast<std::int32_t>(found.size());
          found.push_back(asu.to_asu(hkl, operations).first);
          for (const gemmi::Op& op : operations.sym_ops) {
            const MillerIndex image = op.apply_to_hkl(hkl);
            for (const int sign : {1, -1}) {
              const MillerIndex mate{sign * image[0], sign * image[1], sign * image[2]};
              // Outside only where the cell does not quite obey its space group.
              if (std::abs(mate[0]) <= limit_[0] && std::abs(mate[1]) <= limit_[1] &&
                  std::abs(mate[2]) <= limit_[2])
                unique_[offset(mate)] = number;
            }
          }
        },
        course);
    return found;
  }

  /// The same of complex factors, whose phases differ between equivalents; calls
  /// work(number of the unique one, turn, is its mate) for each reflection: F is that of the unique
  /// one, or its conjugate, times `turn`.
  template <typename Func>
  void for_each_equivalent(const gemmi::SpaceGroup& group, Func&& work, Course& course) const {
    const gemmi::GroupOps operations = group.operations();
    const gemmi::ReciprocalAsu asu(&group);
    for_each(
        [&](const MillerIndex& hkl) {
          const int isym = asu.to_asu(hkl, operations).second;
          const gemmi::Op& op = operations.sym_ops[static_cast<std::size_t>((isym - 1) / 2)];
          work(static_cast<std::size_t>(unique_[offset(hkl)]),
               std::polar(1.0, -op.phase_shift(hkl)), isym % 2 == 0);
        },
        course);
  }

  /// Amplitudes on the whole sphere; symmetry-equivalent ones are equal to the last bit.
  std::vector<Reflection> expand(const std::vector<Complex>& factors, Course& course) const {
    std::vector<double> amplitudes;
    amplitudes.reserve(factors.size());
    for (const Complex& f : factors) amplitudes.push_back(std::abs(f));
    std::vector<Reflection> all;
    for_each(
        [&](const MillerIndex& hkl) {
          all.push_back({hkl, amplitudes[static_cast<std::size_t>(unique_[offset(hkl)])]});
        },
        course);
    return all;
  }

 private:
  static constexpr double rounding = 1e-9;  // keeps a reflection that lies on the limit

  double extent(std::size_t axis) const { return 2.0 * limit_[axis] + 1; }

  std::size_t offset(const MillerIndex& hkl) const {
    const auto index = [&](std::size_t axis) {
      const int from_corner = hkl[axis] + limit_[axis];
      return static_cast<std::size_t>(from_corner);
    };
    const auto size = [&](std::size_t axis) { return static_cast<std::size_t>(extent(axis)); };
    return (index(0) * size(1) + index(1)) * size(2) + index(2);
  }

  template <typename Func>
  void for_each(Func&& func, Course& course) const {
    MillerIndex hkl;
    for (hkl[0] = -limit_[0]; hkl[0] <= limit_[0]; ++hkl[0]) {
      course.at((hkl[0] + limit_[0]) / extent(0));
      for (hkl[1] = -limit_[1]; hkl[1] <= limit_[1]; ++hkl[1])
        for (hkl[2] = -limit_[2]; hkl[2] <= limit_[2]; ++hkl[2])
          if (cell_.calculate_1_d2(hkl) <= max_inv_d2_) func(hkl);
    }
  }

  const gemmi::UnitCell& cell_;
  double max_inv_d2_;
  gemmi::Miller limit_;
  std::vector<std::int32_t> unique_;  ///< of each index of the box
};

/// The sum over atoms of an element with a form factor of one.
std::vector<Complex> sum_over_atoms(const CrystalModel& model, gemmi::Element element,
                                    const std::vector<MillerIndex>& indices) {
  struct Site {
    gemmi::Fractional at;
    const gemmi::Atom* atom;
  };
  std::vector<Site> sites;
  for_each_atom(model.atoms, [&](const gemmi::Residue&, const gemmi::Atom& atom) {
    if (atom.element.elem == element.elem)
      sites.push_back({model.cell.fractionalize(atom.pos), &atom});
  });
  gemmi::StructureFactorCalculator<Table> calculator(model.cell);
  std::vector<Complex> sums(indices.size());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    calculator.set_stol2_and_scattering_factors(indices[i]);
    for (const Site& site : sites)
      sums[i] += calculator.calculate_sf_from_atom_sf(site.at, *site.atom, indices[i], 1.0);
  }
  return sums;
}

/// Heavier than neon, or named; in the order of their numbers.
std::vector<gemmi::Element> anomalous_elements(const CrystalModel& model,
                                               const std::vector<std::string>& named) {
  std::vector<int> numbers;
  for_each_atom(model.atoms, [&](const gemmi::Residue&, const gemmi::Atom& atom) {
    const bool is_named = std::any_of(named.begin(), named.end(), [&](const std::string& name) {
      return atom.element == gemmi::find_element(name.c_str());
    });
    if (atom.element.atomic_number() > 10 || is_named) numbers.push_back(atom.element.ordinal());
  });
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  std::vector<gemmi::Element> elements;
  for (const int number : numbers) elements.emplace_back(static_cast<gemmi::El>(number));
  return elements;
}

/// Points of gemmi's grid, before it is made.
double grid_points(const CrystalModel& model, double spacing_A) {
  const gemmi::UnitCell& cell = model.cell;
  // Longer axes would not be counted in an int.
  constexpr double longest = 1e6;
  const std::array<double, 3> least{1 / (cell.ar * spacing_A), 1 / (cell.br * spacing_A),
                                    1 / (cell.cr * spacing_A)};
  if (std::max({least[0], least[1], least[2]}) > longest) return longest * longest;
  const std::array<int, 3> size = gemmi::good_grid_size(least, /*denser=*/true, model.group);
  return 1.0 * size[0] * size[1] * size[2];
}

std::string with_two_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

/// A mistyped dmin should not be answered by swapping, and gemmi counts points in int.
void check_memory(const CrystalModel& model, double dmin_A, const BulkSolvent& solvent,
                  const Sphere& sphere) {
  double points = grid_points(model, dmin_A / (2 * grid_rate));
  if (solvent.k_e_per_A3 > 0)
    points = std::max(points, grid_points(model, mask_grid_of(model.cell, dmin_A).spacing_A));
  // A map, half of its complex transform, and a mark for each point.
  constexpr double bytes_a_point = 4 + 4 + 0.125;
  // Of the box around the sphere, half is in it; twice what a growing list needs.
  constexpr double bytes_an_index = sizeof(std::int32_t) + 0.52 * 2 * sizeof(Reflection);
  const double bytes = points * bytes_a_point + sphere.indices() * bytes_an_index;
  const double free = memory::available_bytes();
  if (bytes <= free && points <= 0.5 * std::numeric_limits<int>::max() &&
      sphere.indices() <= std::numeric_limits<std::int32_t>::max())
    return;
  throw UsageError("structure factors of a cell of " + with_two_digits(model.cell.volume) +
                   " A^3 to " + with_two_digits(dmin_A) + " A take about " +
                   with_two_digits(bytes / 1e9) + " GB of memory, and " +
                   with_two_digits(free / 1e9) + " GB are free: choose a larger dmin");
}

}  // namespace

CalculatedFactors calculate_structure_factors(
    const std::string& model_path, double dmin_A, const BulkSolvent& solvent,
    const StructureFactorProgress& progress,
    const std::optional<std::vector<std::string>>& anomalous) {
  if (!(dmin_A >= min_dmin_A) || !std::isfinite(dmin_A))
    throw UsageError(
        "the resolution limit dmin must be at least 0.25 Angstrom, where the scattering factors "
        "are tabulated; it is " +
        std::to_string(dmin_A));
  if (!(solvent.k_e_per_A3 >= 0) || !(solvent.b_A2 >= 0) || !std::isfinite(solvent.k_e_per_A3) ||
      !std::isfinite(solvent.b_A2))
    throw UsageError(
        "the density and the temperature factor of the bulk solvent must not be negative");

  Course course(progress);
  CrystalModel model = read_crystal_model(model_path);
  const gemmi::UnitCell& cell = model.cell;
  Sphere sphere(cell, dmin_A);
  check_memory(model, dmin_A, solvent, sphere);
  try {
    course.enter(0, 0.05);
    const std::vector<MillerIndex> unique = sphere.find_unique(*model.group, course);
    std::vector<Complex> factors(unique.size());
    course.enter(0.05, 0.5);
    add_atoms(model, dmin_A, unique, factors, course);
    course.enter(0.5, 0.95);
    if (solvent.k_e_per_A3 > 0) add_solvent(model, dmin_A, solvent, unique, factors, course);
    // Absences are zero by symmetry; a computed value would be rounding.
    const gemmi::GroupOps operations = model.group->operations();
    for (std::size_t i = 0; i < unique.size(); ++i)
      if (operations.is_systematically_absent(unique[i])) factors[i] = 0;

    course.enter(0.95, 1);
    CalculatedFactors result;
    result.reflections = sphere.expand(factors, course);
    if (anomalous) {
      const auto expanded = [&](const std::vector<Complex>& of_unique) {
        std::vector<Complex> all;
        all.reserve(result.reflections.size());
        sphere.for_each_equivalent(
            *model.group,
            [&](std::size_t number, const Complex& turn, bool mate) {
              all.push_back(turn * (mate ? std::conj(of_unique[number]) : of_unique[number]));
            },
            course);
        return all;
      };
      result.F0 = expanded(factors);
      for (const gemmi::Element& element : anomalous_elements(model, *anomalous)) {
        std::vector<Complex> G = sum_over_atoms(model, element, unique);
        for (std::size_t i = 0; i < unique.size(); ++i)
          if (operations.is_systematically_absent(unique[i])) G[i] = 0;
        result.species.push_back({element.name(), expanded(G)});
      }
    }
    for (std::size_t i = 0; i < unique.size(); ++i)
      if (!operations.is_systematically_absent(unique[i]))
        result.asymmetric_unit.push_back(
            {unique[i], std::abs(factors[i]), gemmi::deg(std::arg(factors[i]))});
    const double parameters[] = {cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma};
    std::copy(std::begin(parameters), std::end(parameters), result.cell);
    result.space_group = model.group->xhm();
    for_each_atom(model.atoms, [&](const gemmi::Residue&, const gemmi::Atom& atom) {
      ++result.atoms;
      result.hydrogens += atom.element.is_hydrogen();
    });
    result.notes = std::move(model.notes);
    return result;
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw UsageError("not enough memory for structure factors to " + std::to_string(dmin_A) +
                     " A: choose a larger dmin");
  } catch (const std::exception& e) {
    throw_input_error(model_path, e.what());
  }
}

}  // namespace nablabragg::io
