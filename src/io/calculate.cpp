// Structure factors of a crystallographic model, to seed a simulation without measured data:
// density of the atoms on a grid, FFT, plus a flat bulk solvent.  No anomalous scattering, no
// overall scale, no anisotropic correction.  Measured amplitudes are reflections.cpp's.
#include <algorithm>  // for max, min
#include <cmath>      // for exp, sqrt
#include <complex>
#include <exception>
#include <functional>  // for function
#include <limits>
#include <new>  // for bad_alloc
#include <string>
#include <string_view>
#include <utility>  // for move
#include <vector>

#include <gemmi/cif.hpp>      // for cif::read_memory
#include <gemmi/dencalc.hpp>  // for DensityCalculator
// With vectors, pocketfft calls aligned_alloc with sizes that the standard forbids and
// AddressSanitizer refuses; the transforms are a few per cent of the time.
#define POCKETFFT_NO_VECTORS
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
// In transforms whose length has large prime factors, which density grids avoid.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <gemmi/fourier.hpp>  // for transform_map_to_f_phi
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#include <gemmi/gz.hpp>       // for MaybeGzipped
#include <gemmi/it92.hpp>     // for IT92
#include <gemmi/mmcif.hpp>    // for make_structure
#include <gemmi/pdb.hpp>      // for read_pdb_from_memory
#include <gemmi/sfcalc.hpp>   // for StructureFactorCalculator
#include <gemmi/solmask.hpp>  // for SolventMasker

#include "io/gemmi_errors.hpp"  // for throw_input_error
#include "nablabragg/crystallography.hpp"

namespace nablabragg::io {
namespace {

using Table = gemmi::IT92<double>;
using Density = gemmi::DensityCalculator<Table, float>;
using Complex = std::complex<double>;
using StructureFactor = std::function<Complex(const MillerIndex&)>;

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

// The solvent mask needs a grid of its own: its edge is rounded to grid points whatever dmin is.
// For 1UBQ the solvent fraction is 0.240 in the limit, 0.232 with 0.3 A and 0.198 with 0.6 A. Cells
// beyond some 10^7 A^3 get a coarser mask, to bound the memory.
constexpr double mask_spacing_A = 0.3;
constexpr double max_mask_points = 1 << 28;

// No displacement gives B < 0.  Slightly negative ones come out of refinements; below this, undoing
// the blur would amplify rounding.
constexpr double min_b_A2 = -10.0;

/// By content, because downloads lose their extensions: CIF starts with comments and "data_".
bool is_cif(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && line[first] != '#')
      return line.compare(first, 5, "data_") == 0;
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return false;
}

gemmi::Structure read_model(const std::string& path) {
  require_readable(path);
  try {
    // Whole, because reading a damaged .gz line by line would end quietly at the damage.
    const gemmi::CharArray file = gemmi::read_into_buffer(gemmi::MaybeGzipped(path));
    if (is_cif({file.data(), file.size()}))
      return gemmi::make_structure(gemmi::cif::read_memory(file.data(), file.size(), path.c_str()));
    return gemmi::read_pdb_from_memory(file.data(), file.size(), path);
  } catch (const std::exception& e) {
    throw_input_error(path, e.what());
  }
}

template <typename Func>
void for_each_atom(const gemmi::Model& model, Func&& func) {
  for (const gemmi::Chain& chain : model.chains)
    for (const gemmi::Residue& residue : chain.residues)
      for (const gemmi::Atom& atom : residue.atoms) func(residue, atom);
}

/// Unoccupied atoms neither scatter nor keep the solvent out.
void remove_unoccupied_atoms(gemmi::Model& model) {
  for (gemmi::Chain& chain : model.chains)
    for (gemmi::Residue& residue : chain.residues)
      gemmi::vector_remove_if(residue.atoms, [](const gemmi::Atom& atom) { return atom.occ == 0; });
}

/// Strict non-crystallographic symmetry (virus capsids) is stored as operators without the atoms.
void add_ncs_copies(gemmi::Structure& structure) {
  std::vector<gemmi::Chain>& chains = structure.models.front().chains;
  const std::size_t deposited = chains.size();
  for (const gemmi::NcsOp& op : structure.ncs) {
    if (op.given) continue;
    for (std::size_t i = 0; i < deposited; ++i) {
      gemmi::Chain copy = chains[i];
      for (gemmi::Residue& residue : copy.residues)
        for (gemmi::Atom& atom : residue.atoms) {
          atom.pos = op.apply(atom.pos);
          atom.aniso = atom.aniso.transformed_by<float>(op.tr.mat);
        }
      chains.push_back(std::move(copy));
    }
  }
  structure.ncs.clear();
}

double min_b(const gemmi::Atom& atom) {
  if (!atom.aniso.nonzero()) return static_cast<double>(atom.b_iso);
  const auto u = atom.aniso.calculate_eigenvalues();
  return gemmi::u_to_b() * std::min({u[0], u[1], u[2]});
}

/// The largest B along any direction; the sum of the semi-axes bounds it.
double max_b(const gemmi::Atom& atom) {
  if (!atom.aniso.nonzero()) return static_cast<double>(atom.b_iso);
  return gemmi::u_to_b() * static_cast<double>(atom.aniso.trace());
}

/// Throws InputError for an atom that has no density; returns the number of atoms.
int check_atoms(const gemmi::Model& model, const std::string& path) {
  int count = 0;
  for_each_atom(model, [&](const gemmi::Residue& residue, const gemmi::Atom& atom) {
    const auto problem = [&](const std::string& text) {
      throw InputError(
          path, 0, "atom " + atom.name + " of " + residue.name + " " + residue.seqid.str() + text);
    };
    constexpr double max_coordinate_A = 1e5;
    for (const double x : {atom.pos.x, atom.pos.y, atom.pos.z})
      if (!(std::abs(x) < max_coordinate_A)) problem(" has no sensible coordinates");
    if (!std::isfinite(atom.occ)) problem(" has no occupancy");
    if (!(min_b(atom) >= min_b_A2) || !std::isfinite(max_b(atom)))
      problem(" has an impossible temperature factor (below -10 A^2)");
    if (!Table::has(atom.element.elem))
      problem(std::string(" is ") + atom.element.name() +
              ", which has no tabulated scattering factor");
    ++count;
  });
  return count;
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

/// F of the atoms.  By FFT, or atom by atom where the cell is smaller than a blurred atom.
StructureFactor atoms_of(const gemmi::Structure& structure, const gemmi::SpaceGroup& group,
                         double dmin_A) {
  const gemmi::Model& model = structure.models.front();
  Density density;
  density.d_min = dmin_A;
  density.rate = grid_rate;
  density.cutoff = density_cutoff;
  density.grid.unit_cell = structure.cell;
  density.grid.spacegroup = &group;
  density.blur = std::max(0.0, blurred_b_per_dmin2 * dmin_A * dmin_A - smallest_b(model));
  density.initialize_grid();
  if (!atoms_fit_grid(density, model))
    return [&structure, &model](const MillerIndex& hkl) {
      gemmi::StructureFactorCalculator<Table> calculator(structure.cell);
      return calculator.calculate_sf_from_model(model, hkl);
    };
  density.add_model_density_to_grid(model);
  density.grid.symmetrize_sum();
  auto f = gemmi::transform_map_to_f_phi(density.grid, /*half_l=*/true);
  return [f = std::move(f), blur = density.blur](const MillerIndex& hkl) {
    return Complex(f.get_value_by_hkl(hkl)) *
           std::exp(0.25 * blur * f.unit_cell.calculate_1_d2(hkl));
  };
}

/// F of a flat solvent: one electron/A^3 wherever no atom is near.
StructureFactor solvent_mask_of(const gemmi::Structure& structure, const gemmi::SpaceGroup& group,
                                double dmin_A) {
  gemmi::Grid<float> mask;
  mask.spacegroup = &group;
  mask.set_unit_cell(structure.cell);
  const double coarsest_A = std::cbrt(structure.cell.volume / max_mask_points);
  mask.set_size_from_spacing(std::min(dmin_A / 3, std::max(mask_spacing_A, coarsest_A)),
                             /*denser=*/true);
  // Radii for which 0.35 electrons/A^3 and 46 A^2 are the customary mean values
  // (Fokine and Urzhumtsev, 2002, Acta Cryst. D58, 1387).
  const gemmi::SolventMasker masker(gemmi::AtomicRadiiSet::Cctbx);
  masker.clear(mask);
  // Not masker.mask_points(), which refuses cells narrower than two atoms.
  for_each_atom(structure.models.front(), [&](const gemmi::Residue&, const gemmi::Atom& atom) {
    const double radius = static_cast<double>(gemmi::cctbx_vdw_radius(atom.element.elem)) +
                          masker.rprobe;
    mask.use_points_around<true>(
        mask.unit_cell.fractionalize(atom.pos), radius, [](float& point, double) { point = 0; },
        /*fail_on_too_large_radius=*/false);
  });
  masker.symmetrize(mask);
  masker.shrink(mask);
  auto f = gemmi::transform_map_to_f_phi(mask, /*half_l=*/true);
  return [f = std::move(f)](const MillerIndex& hkl) { return Complex(f.get_value_by_hkl(hkl)); };
}

/// Amplitudes on the whole sphere; symmetry-equivalent ones are equal to the last bit.
std::vector<Reflection> amplitudes_in_p1(const gemmi::UnitCell& cell,
                                         const gemmi::SpaceGroup& group, double dmin_A,
                                         const StructureFactor& factor) {
  const gemmi::GroupOps operations = group.operations();
  const gemmi::ReciprocalAsu asu(&group);
  constexpr double rounding = 1e-9;  // keeps a reflection that lies on the limit
  const double max_inv_d2 = (1 + rounding) / (dmin_A * dmin_A);
  const gemmi::Miller limit = cell.get_hkl_limits(dmin_A * (1 - rounding));

  // The unique ones first, on a dense box, so that each is computed once.
  std::vector<double> box;
  const auto extent = [&](std::size_t axis) {
    return 2 * static_cast<std::size_t>(limit[axis]) + 1;
  };
  const auto offset = [&](const MillerIndex& hkl) {
    const auto index = [&](std::size_t axis) {
      const int from_corner = hkl[axis] + limit[axis];
      return static_cast<std::size_t>(from_corner);
    };
    return (index(0) * extent(1) + index(1)) * extent(2) + index(2);
  };
  box.assign(extent(0) * extent(1) * extent(2), -1.0);
  const auto for_each_in_sphere = [&](auto&& func) {
    MillerIndex hkl;
    for (hkl[0] = -limit[0]; hkl[0] <= limit[0]; ++hkl[0])
      for (hkl[1] = -limit[1]; hkl[1] <= limit[1]; ++hkl[1])
        for (hkl[2] = -limit[2]; hkl[2] <= limit[2]; ++hkl[2])
          if (cell.calculate_1_d2(hkl) <= max_inv_d2) func(hkl);
  };

  std::vector<Reflection> all;
  for_each_in_sphere([&](const MillerIndex& hkl) {
    if (box[offset(hkl)] < 0) {
      // Absences are zero by symmetry; a computed value would be rounding.
      const bool absent = operations.is_systematically_absent(hkl);
      const double amplitude = absent ? 0.0 : std::abs(factor(asu.to_asu(hkl, operations).first));
      for (const gemmi::Op& op : operations.sym_ops) {
        const MillerIndex image = op.apply_to_hkl(hkl);
        for (const int sign : {1, -1}) {
          const MillerIndex mate{sign * image[0], sign * image[1], sign * image[2]};
          // Outside only where the cell does not obey its space group.
          if (std::abs(mate[0]) <= limit[0] && std::abs(mate[1]) <= limit[1] &&
              std::abs(mate[2]) <= limit[2])
            box[offset(mate)] = amplitude;
        }
      }
    }
    all.push_back({hkl, box[offset(hkl)]});
  });
  return all;
}

/// gemmi counts grid points in int, and a mistyped dmin should not be answered by swapping.
void check_grid_size(const gemmi::UnitCell& cell, double dmin_A) {
  const double spacing_A = dmin_A / (2 * grid_rate);
  const double points = cell.volume / (spacing_A * spacing_A * spacing_A);
  if (points > 0.5 * std::numeric_limits<int>::max())
    throw UsageError("a cell of " + std::to_string(std::lround(cell.volume)) + " A^3 to " +
                     std::to_string(dmin_A) +
                     " A is too large for the density grid: choose a larger dmin");
}

}  // namespace

CalculatedFactors calculate_structure_factors(const std::string& model_path, double dmin_A,
                                              const BulkSolvent& solvent) {
  if (!(dmin_A >= min_dmin_A) || !std::isfinite(dmin_A))
    throw UsageError(
        "the resolution limit dmin must be at least 0.25 Angstrom, where the scattering factors "
        "are tabulated; it is " +
        std::to_string(dmin_A));
  if (!(solvent.k_e_per_A3 >= 0) || !(solvent.b_A2 >= 0) || !std::isfinite(solvent.k_e_per_A3))
    throw UsageError(
        "the density and the temperature factor of the bulk solvent must not be negative");

  gemmi::Structure structure = read_model(model_path);
  if (!structure.models.empty()) remove_unoccupied_atoms(structure.models.front());
  const int atoms = structure.models.empty() ? 0
                                             : check_atoms(structure.models.front(), model_path);
  if (atoms == 0) throw InputError(model_path, 0, "no occupied atoms: not a PDB or mmCIF model");
  if (!structure.cell.is_crystal() || !(structure.cell.volume > 0))
    throw InputError(model_path, 0,
                     "no unit cell (CRYST1 or _cell): a model without one has no crystal");
  if (structure.spacegroup_hm.empty())
    throw InputError(model_path, 0,
                     "no space group (CRYST1 or _symmetry): a model without one has no crystal");
  const gemmi::SpaceGroup* group = structure.find_spacegroup();
  if (!group)
    throw InputError(model_path, 0, "unknown space group '" + structure.spacegroup_hm + "'");
  check_grid_size(structure.cell, dmin_A);

  try {
    add_ncs_copies(structure);
    structure.cell.set_cell_images_from_spacegroup(group);
    const gemmi::UnitCell& cell = structure.cell;
    const StructureFactor f_atoms = atoms_of(structure, *group, dmin_A);
    const StructureFactor f_mask = solvent.k_e_per_A3 > 0
                                       ? solvent_mask_of(structure, *group, dmin_A)
                                       : StructureFactor();
    const auto f_total = [&](const MillerIndex& hkl) {
      Complex f = f_atoms(hkl);
      if (f_mask)
        f += solvent.k_e_per_A3 * std::exp(-solvent.b_A2 * cell.calculate_stol_sq(hkl)) *
             f_mask(hkl);
      return f;
    };
    CalculatedFactors result{amplitudes_in_p1(cell, *group, dmin_A, f_total),
                             {cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma},
                             group->xhm(),
                             0};
    for_each_atom(structure.models.front(),
                  [&](const gemmi::Residue&, const gemmi::Atom&) { ++result.atoms; });
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
