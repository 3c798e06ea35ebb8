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

}  // namespace nablabragg::physics
