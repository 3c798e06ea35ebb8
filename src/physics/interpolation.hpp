// Structure factors between the lattice points: four-point Lagrange interpolation along each
// axis.  It reproduces the nodes; its slope jumps there.
#pragma once
#include <array>
#include "physics/lane.hpp"

namespace nablabragg::physics {

/// Weights of the nodes -1, 0, 1, 2 at t in [0, 1).
template <class T>
NABLA_INLINE std::array<T, 4> cubic_weights(T t) {
  const T sixth = constant<T>(1.0 / 6), half = constant<T>(0.5);
  const T before = t + T(1), back = t - T(1), ahead = t - T(2);
  return {-t * back * ahead * sixth, before * back * ahead * half, -before * t * ahead * half,
          before * t * back * sixth};
}

/// Their derivatives with respect to t.
template <class T>
NABLA_INLINE std::array<T, 4> cubic_weight_slopes(T t) {
  const T sixth = constant<T>(1.0 / 6), half = constant<T>(0.5);
  const T three_t2 = T(3) * t * t;
  return {-(three_t2 - T(6) * t + T(2)) * sixth, (three_t2 - T(4) * t - T(1)) * half,
          -(three_t2 - T(2) * t - T(2)) * half, (three_t2 - T(1)) * sixth};
}

/// Of the nodes along each axis.
template <class T>
struct TricubicWeights {
  std::array<T, 4> x, y, z;
};
template <class T>
NABLA_INLINE TricubicWeights<T> tricubic_weights(T tx, T ty, T tz) {
  return {cubic_weights(tx), cubic_weights(ty), cubic_weights(tz)};
}

/// `node(i, j, k)` is the value at offsets i, j, k = 0..3 from the corner of the neighbourhood.
template <class T, class Node>
NABLA_INLINE T tricubic(const TricubicWeights<T>& w, Node&& node) {
  T sum(0);
  for (std::size_t i = 0; i < 4; ++i) {
    T plane(0);
    for (std::size_t j = 0; j < 4; ++j) {
      T line(0);
      for (std::size_t k = 0; k < 4; ++k)
        line = line + w.z[k] * node(static_cast<int>(i), static_cast<int>(j), static_cast<int>(k));
      plane = plane + w.y[j] * line;
    }
    sum = sum + w.x[i] * plane;
  }
  return sum;
}
template <class T, class Node>
NABLA_INLINE T tricubic(T tx, T ty, T tz, Node&& node) {
  return tricubic(tricubic_weights(tx, ty, tz), node);
}

/// A value between the nodes and its derivatives along the axes.
template <class T>
struct TricubicSlopes {
  T value;
  Vec3<T> slope;
};
template <class T, class Node>
NABLA_INLINE TricubicSlopes<T> tricubic_slopes(T tx, T ty, T tz, Node&& node) {
  const auto wx = cubic_weights(tx), wy = cubic_weights(ty), wz = cubic_weights(tz);
  const auto sx = cubic_weight_slopes(tx), sy = cubic_weight_slopes(ty),
             sz = cubic_weight_slopes(tz);
  TricubicSlopes<T> sum{T(0), {T(0), T(0), T(0)}};
  for (std::size_t i = 0; i < 4; ++i) {
    T plane(0), plane_y(0), plane_z(0);
    for (std::size_t j = 0; j < 4; ++j) {
      T line(0), line_z(0);
      for (std::size_t k = 0; k < 4; ++k) {
        const T value = node(static_cast<int>(i), static_cast<int>(j), static_cast<int>(k));
        line = line + wz[k] * value;
        line_z = line_z + sz[k] * value;
      }
      plane = plane + wy[j] * line;
      plane_y = plane_y + sy[j] * line;
      plane_z = plane_z + wy[j] * line_z;
    }
    sum.value = sum.value + wx[i] * plane;
    sum.slope = sum.slope + Vec3<T>{sx[i] * plane, wx[i] * plane_y, wx[i] * plane_z};
  }
  return sum;
}

}  // namespace nablabragg::physics
