// What the shapes of a crystal block have in common.  A shape is a type in this folder; the list of
// them is physics/shapes.hpp.  It has
//   id, name, title, flags, help     how it is told from others, in code, files and on the command
//                                    line; `title` is what the summary calls it
//   of_nanobragg                     whether the C program has it, and its flags by prefix
//   has_fudge                        whether BlockNumbers::fudge widens its spots
//   width_in_metric                  whether BlockNumbers::cells only scale it: its width is in the
//                                    metric
//   why_double                       why distances in single precision are not good enough for it;
//                                    null: they are
//   sums_along_lines                 whether kernels may sum it over wavelengths as a Gaussian
//   factor(), slopes()               F_latt, and how it changes
//   width_adjoint(), complete()      the way back from the adjoint of F_latt: at each step to the
//                                    cells or the metric, once to the rest of a block
//   metric(), dark_radius2()         how far from a lattice point it may be left out
//
// F_latt is how strongly a block of Na x Nb x Nc cells scatters near a reflection, relative to one
// cell.  It is a function of the distance to the nearest lattice point, d = h - h0 in
// (-1/2, 1/2] per axis, so that neither large indices nor exact Bragg positions lose digits.
//
// A kernel in mixed precision has d in double precision and hands factor() and slopes() a function
// `narrow` to that of the result: each shape knows best which of its steps want the digits.
#pragma once
#include <array>
#include <cstddef>
#include <limits>
#include <type_traits>
#include "nablabragg/crystal.hpp"  // for CrystalShape
#include "nablabragg/vec3.hpp"
#include "physics/lane.hpp"
#include "physics/spot_metric.hpp"

namespace nablabragg::physics {

/// What of a lattice shapes its spots.
template <class Real>
struct BlockNumbers {
  Vec3<Real> cells;  ///< Na, Nb, Nc
  Real fudge{1};     ///< scales squared radii
  SpotMetric<Real> metric{};
};

/// The number of cells of a block.
template <class T, class Real>
NABLA_INLINE T cell_count(const BlockNumbers<Real>& block) {
  return number<T>(block.cells.x * block.cells.y * block.cells.z);
}
template <class T, class Real>
NABLA_INLINE Vec3<T> cells_as(const BlockNumbers<Real>& block) {
  return {number<T>(block.cells.x), number<T>(block.cells.y), number<T>(block.cells.z)};
}

/// Calls f(number of the block, adjoint) for all numbers that the width of a shape's spots depends
/// on, fudge aside; `adjoints`: as width_adjoint() has them.
template <class F, class T, class U>
NABLA_INLINE void for_each_width(F&& f, BlockNumbers<T>& block, const Vec3<U>& adjoints) {
  f(block.cells.x, adjoints.x);
  f(block.cells.y, adjoints.y);
  f(block.cells.z, adjoints.z);
}
template <class F, class T, class U>
NABLA_INLINE void for_each_width(F&& f, BlockNumbers<T>& block, const SpotMetric<U>& adjoints) {
  for_each_number_of_metric(f, block.metric, adjoints);
}

/// For those who compute in one precision.
struct Unchanged {
  template <class T>
  NABLA_INLINE const T& operator()(const T& x) const {
    return x;
  }
};

template <class Narrow, class T>
NABLA_INLINE auto narrowed(const Narrow& narrow, const Vec3<T>& v) {
  using N = std::decay_t<decltype(narrow(v.x))>;
  return Vec3<N>{narrow(v.x), narrow(v.y), narrow(v.z)};
}

/// A lattice factor and how it changes: with the distance to the lattice point, and with the number
/// of cells along each axis where it shapes the spot (that it also scales it is left to the caller,
/// who knows the factor).
template <class T>
struct LatticeSlopes {
  T factor;
  Vec3<T> distance, cells;
  T radius2{0};  ///< with the squared radius, of a shape whose width is in the metric
};

/// The adjoint of the number of cells where a block's factor is proportional to it; `peak`: the sum
/// of the factor times its adjoint.
template <class T>
NABLA_INLINE void add_scaling(const BlockNumbers<double>& block, const T& peak,
                              BlockNumbers<T>& adjoints) {
  const Vec3d& n = block.cells;
  adjoints.cells = adjoints.cells + peak * constant<T>(Vec3d{1 / n.x, 1 / n.y, 1 / n.z});
}

}  // namespace nablabragg::physics
