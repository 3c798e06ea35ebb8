// Structure factors between the lattice points: four-point Lagrange interpolation along each
// axis.  It reproduces the nodes; its slope jumps there.
#pragma once
#include <array>
#include "physics/lane.hpp"

namespace nablabragg::physics {

/// Weights of the nodes -1, 0, 1, 2 at t in [0, 1).
template <class T>
NABLA_INLINE std::array<T, 4> cubic_weights(T t) {
  const T before = t + T(1), back = t - T(1), ahead = t - T(2);
  return {-t * back * ahead / T(6), before * back * ahead / T(2), -before * t * ahead / T(2),
          before * t * back / T(6)};
}

/// Their derivatives with respect to t.
template <class T>
NABLA_INLINE std::array<T, 4> cubic_weight_slopes(T t) {
  const T three_t2 = T(3) * t * t;
  return {-(three_t2 - T(6) * t + T(2)) / T(6), (three_t2 - T(4) * t - T(1)) / T(2),
          -(three_t2 - T(2) * t - T(2)) / T(2), (three_t2 - T(1)) / T(6)};
}

/// `node(i, j, k)` is the value at offsets i, j, k = 0..3 from the corner of the neighbourhood.
template <class T, class Node>
NABLA_INLINE T tricubic(T tx, T ty, T tz, Node&& node) {
  const auto wx = cubic_weights(tx), wy = cubic_weights(ty), wz = cubic_weights(tz);
  T sum(0);
  for (int i = 0; i < 4; ++i) {
    T plane(0);
    for (int j = 0; j < 4; ++j) {
      T line(0);
      for (int k = 0; k < 4; ++k) line = line + wz[static_cast<std::size_t>(k)] * node(i, j, k);
      plane = plane + wy[static_cast<std::size_t>(j)] * line;
    }
    sum = sum + wx[static_cast<std::size_t>(i)] * plane;
  }
  return sum;
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
