// The flat solvent of Jiang and Bruenger (1994, J. Mol. Biol. 243, 100), with radii for which
// 0.35 electrons/A^3 and 46 A^2 are the customary mean values (Fokine and Urzhumtsev, 2002,
// Acta Cryst. D58, 1387).  The cell is computed in boxes that a processor's cache holds, and boxes
// that no atom reaches are not computed at all, so that large cells cost what their atoms cost.
#include "io/solvent_mask.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>  // for max, min, fill
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <gemmi/solmask.hpp>  // for cctbx_vdw_radius

#include "io/crystal_model.hpp"  // for for_each_atom

namespace nablabragg::io {
namespace {

constexpr double probe_A = 1.11, shrink_A = 0.9;

/// Finer points of a box's edge, about.
constexpr int box_points = 128;

using Index = std::array<int, 3>;

/// An atom near a box; its place is in units of the cell, beyond it where it is a neighbour's.
struct PlacedAtom {
  gemmi::Fractional place;
  double radius_A;
};

// Of a point: beyond all atoms and probes; within reach of such a point.  Without either it is an
// atom's.
constexpr std::uint8_t solvent = 1, regained = 2;

struct Offset {
  Index by;
  bool nearest;  ///< one of those that a surface is recognised by
};

class SolventMask {
 public:
  SolventMask(gemmi::Grid<float>& grid, const gemmi::Model& atoms, int finer)
      : grid_(grid), finer_(finer), coarse_{grid.nu, grid.nv, grid.nw} {
    for (std::size_t i = 0; i < 3; ++i) {
      fine_[i] = finer * coarse_[i];
      spacing_A_[i] = grid.spacing[i] / finer;
      margin_[i] = static_cast<int>(std::floor(shrink_A / spacing_A_[i]));
      box_coarse_[i] = std::max(1, box_points / finer);
      boxes_[i] = (coarse_[i] + box_coarse_[i] - 1) / box_coarse_[i];
    }
    find_offsets();
    const std::size_t count = static_cast<std::size_t>(boxes_[0]) *
                              static_cast<std::size_t>(boxes_[1]) *
                              static_cast<std::size_t>(boxes_[2]);
    atoms_.resize(count);
    for_each_atom(atoms, [&](const gemmi::Residue&, const gemmi::Atom& atom) {
      const double radius_A = static_cast<double>(gemmi::cctbx_vdw_radius(atom.element.elem)) +
                              probe_A;
      const gemmi::Fractional place = grid.unit_cell.fractionalize(atom.pos);
      put(place.wrap_to_unit(), radius_A);
      for (const gemmi::FTransform& image : grid.unit_cell.images)
        put(image.apply(place).wrap_to_unit(), radius_A);
    });
  }

  void fill(const std::function<void(double)>& tick) {
    const int layer = boxes_[0] * boxes_[1];
    for (int w = 0; w < boxes_[2]; ++w) {
      tbb::parallel_for(0, layer, [&](int uv) { fill_box({uv % boxes_[0], uv / boxes_[0], w}); });
      tick((w + 1.0) / boxes_[2]);
    }
  }

 private:
  /// The atoms that come near a box.
  std::vector<PlacedAtom>& atoms_near(const Index& box) {
    return atoms_[static_cast<std::size_t>((box[2] * boxes_[1] + box[1]) * boxes_[0] + box[0])];
  }

  /// Fine points of a box along an axis, without margin.
  int begin(std::size_t axis, int box) const {
    return finer_ * box_coarse_[axis] * box - finer_ / 2;
  }
  int end(std::size_t axis, int box) const {
    return finer_ * std::min(coarse_[axis], box_coarse_[axis] * (box + 1)) - finer_ / 2;
  }
  /// What a box holds beyond its edge: points within the shrinking radius, and those near them.
  int reach(std::size_t axis) const { return 2 * margin_[axis]; }
  /// What of that is looked at: whether the former lie at a surface.
  int seen(std::size_t axis) const { return margin_[axis] + surface_[axis]; }

  int extent(std::size_t axis, double radius_A) const {
    return static_cast<int>(std::ceil(radius_A / spacing_A_[axis]));
  }

  /// The neighbours within the shrinking radius.
  void find_offsets() {
    const gemmi::UnitCell& cell = grid_.unit_cell;
    const double nearest_A = std::max({cell.a / fine_[0], cell.b / fine_[1], cell.c / fine_[2]});
    for (int w = -margin_[2]; w <= margin_[2]; ++w)
      for (int v = -margin_[1]; v <= margin_[1]; ++v)
        for (int u = -margin_[0]; u <= margin_[0]; ++u) {
          const gemmi::Fractional by(u * (1.0 / fine_[0]), v * (1.0 / fine_[1]),
                                     w * (1.0 / fine_[2]));
          const double squared = cell.orthogonalize_difference(by).length_sq();
          if (squared > shrink_A * shrink_A || squared == 0) continue;
          const Index by_points{u, v, w};
          const bool nearest = squared < nearest_A * nearest_A + 1e-6;
          offsets_.push_back({by_points, nearest});
          for (std::size_t i = 0; i < 3 && nearest; ++i)
            surface_[i] = std::max(surface_[i], by_points[i]);
        }
  }

  /// Notes an atom of the cell at the boxes that it or its neighbours in other cells come near.
  void put(const gemmi::Fractional& place, double radius_A) {
    struct Reached {
      int box;
      double shift;
    };
    std::array<std::vector<Reached>, 3> reached;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double centre = place.at(static_cast<int>(axis)) * fine_[axis];
      const int size = extent(axis, radius_A) + 1 + seen(axis);
      for (int box = 0; box < boxes_[axis]; ++box) {
        const double first = std::ceil((begin(axis, box) - size - centre) / fine_[axis]);
        const double last = std::floor((end(axis, box) + size - centre) / fine_[axis]);
        for (double shift = first; shift <= last; ++shift) reached[axis].push_back({box, shift});
      }
    }
    for (const Reached& w : reached[2])
      for (const Reached& v : reached[1])
        for (const Reached& u : reached[0])
          atoms_near({u.box, v.box, w.box})
              .push_back({place + gemmi::Fractional(u.shift, v.shift, w.shift), radius_A});
  }

  void fill_box(const Index& box) {
    const std::vector<PlacedAtom>& atoms = atoms_near(box);
    Index from, size;
    for (std::size_t i = 0; i < 3; ++i) {
      from[i] = begin(i, box[i]) - reach(i);
      size[i] = end(i, box[i]) + reach(i) - from[i];
    }
    std::vector<std::uint8_t> points;
    if (!atoms.empty()) {
      points.assign(static_cast<std::size_t>(size[0]) * static_cast<std::size_t>(size[1]) *
                        static_cast<std::size_t>(size[2]),
                    solvent);
      for (const PlacedAtom& atom : atoms) paint(atom, box, from, size, points);
      shrink(size, points);
    }
    average(box, size, points);
  }

  static std::size_t index(const Index& size, int u, int v, int w) {
    return (static_cast<std::size_t>(w) * static_cast<std::size_t>(size[1]) +
            static_cast<std::size_t>(v)) *
               static_cast<std::size_t>(size[0]) +
           static_cast<std::size_t>(u);
  }

  void paint(const PlacedAtom& atom, const Index& box, const Index& from, const Index& size,
             std::vector<std::uint8_t>& points) const {
    Index low, high;
    for (std::size_t i = 0; i < 3; ++i) {
      const int centre = static_cast<int>(
          std::lround(atom.place.at(static_cast<int>(i)) * fine_[i]));
      const int half = extent(i, atom.radius_A);
      low[i] = std::max(begin(i, box[i]) - seen(i), centre - half);
      high[i] = std::min(end(i, box[i]) + seen(i) - 1, centre + half);
    }
    const gemmi::UnitCell& cell = grid_.unit_cell;
    const gemmi::Vec3 along_u = cell.orth.mat.column_copy(0) * (1.0 / fine_[0]);
    const double squared_radius = atom.radius_A * atom.radius_A;
    const double per_squared_step = 1 / along_u.length_sq();
    for (int w = low[2]; w <= high[2]; ++w)
      for (int v = low[1]; v <= high[1]; ++v) {
        const gemmi::Vec3 start = cell.orthogonalize_difference(
            atom.place - gemmi::Fractional(0, v * (1.0 / fine_[1]), w * (1.0 / fine_[2])));
        const auto inside = [&](double u) {
          return (start - along_u * u).length_sq() < squared_radius;
        };
        // Where the line of points enters and leaves the sphere: about, and then exactly
        const double towards = start.dot(along_u);
        const double squared_half = squared_radius - start.length_sq() +
                                    towards * towards * per_squared_step;
        if (squared_half < -1e-9) continue;
        const double middle = towards * per_squared_step;
        const double half = std::sqrt(std::max(0.0, squared_half) * per_squared_step) + 1e-6;
        int first = std::max(low[0], static_cast<int>(std::ceil(middle - half)));
        int last = std::min(high[0], static_cast<int>(std::floor(middle + half)));
        while (first <= last && !inside(first)) ++first;
        while (first <= last && !inside(last)) --last;
        if (first > last) continue;
        std::uint8_t* const row = &points[index(size, 0, v - from[1], w - from[2])];
        std::fill(row + (first - from[0]), row + (last + 1 - from[0]), std::uint8_t{0});
      }
  }

  /// Gives back to the solvent what only the probe kept from it.
  void shrink(const Index& size, std::vector<std::uint8_t>& points) const {
    std::vector<std::ptrdiff_t> all, nearest;
    for (const Offset& offset : offsets_) {
      const std::ptrdiff_t by = (static_cast<std::ptrdiff_t>(offset.by[2]) * size[1] +
                                 offset.by[1]) *
                                    size[0] +
                                offset.by[0];
      all.push_back(by);
      if (offset.nearest) nearest.push_back(by);
    }
    // Of a row: not 0 where a nearest neighbour is no solvent
    std::vector<std::uint8_t> surface(static_cast<std::size_t>(size[0]));
    for (int w = margin_[2]; w < size[2] - margin_[2]; ++w)
      for (int v = margin_[1]; v < size[1] - margin_[1]; ++v) {
        std::uint8_t* const row = &points[index(size, 0, v, w)];
        std::fill(surface.begin(), surface.end(), std::uint8_t{0});
        for (const std::ptrdiff_t by : nearest)
          for (int u = margin_[0]; u < size[0] - margin_[0]; ++u)
            surface[static_cast<std::size_t>(u)] |= ~row[u + by] & solvent;
        for (int u = margin_[0]; u < size[0] - margin_[0]; ++u)
          if ((row[u] & surface[static_cast<std::size_t>(u)]) != 0)
            for (const std::ptrdiff_t by : all) row[u + by] |= regained;
      }
  }

  void average(const Index& box, const Index& size, const std::vector<std::uint8_t>& points) {
    const double each = 1.0 / (static_cast<double>(finer_) * finer_ * finer_);
    Index first, last;
    for (std::size_t i = 0; i < 3; ++i) {
      first[i] = box_coarse_[i] * box[i];
      last[i] = std::min(coarse_[i], first[i] + box_coarse_[i]);
    }
    for (int w = first[2]; w < last[2]; ++w)
      for (int v = first[1]; v < last[1]; ++v)
        for (int u = first[0]; u < last[0]; ++u) {
          float& share = grid_.data[grid_.index_q(u, v, w)];
          if (points.empty()) {
            share = 1;
            continue;
          }
          int count = 0;
          for (int c = 0; c < finer_; ++c)
            for (int b = 0; b < finer_; ++b) {
              const std::uint8_t* const row = &points[index(
                  size, finer_ * (u - first[0]) + reach(0), finer_ * (v - first[1]) + b + reach(1),
                  finer_ * (w - first[2]) + c + reach(2))];
              for (int a = 0; a < finer_; ++a) count += row[a] != 0;
            }
          share = static_cast<float>(count * each);
        }
  }

  gemmi::Grid<float>& grid_;
  int finer_;
  Index coarse_, fine_{}, margin_{}, surface_{}, box_coarse_{}, boxes_{};
  std::array<double, 3> spacing_A_{};
  std::vector<Offset> offsets_;
  std::vector<std::vector<PlacedAtom>> atoms_;
};

}  // namespace

void fill_with_solvent(gemmi::Grid<float>& grid, const gemmi::Model& atoms, int finer,
                       const std::function<void(double)>& tick) {
  SolventMask(grid, atoms, finer).fill(tick);
}

double transform_of_box(int h, int points, int finer) {
  if (h == 0) return 1;
  const double angle = gemmi::pi() * h / points;
  return std::sin(angle) / (finer * std::sin(angle / finer));
}

}  // namespace nablabragg::io
