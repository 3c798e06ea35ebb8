// Frames that stand on one another, as files of detectors on axes state them.
#pragma once
#include <cmath>
#include "nablabragg/units.hpp"
#include "nablabragg/vec3.hpp"

namespace nablabragg::io {

/// A frame: where its origin is and how its axes are turned.
struct Frame {
  Vec3d x{1, 0, 0}, y{0, 1, 0}, z{0, 0, 1}, origin;

  Vec3d turned(const Vec3d& v) const { return v.x * x + v.y * y + v.z * z; }
  Vec3d placed(const Vec3d& v) const { return origin + turned(v); }
  /// Components of a direction along its axes.
  Vec3d seen(const Vec3d& v) const { return {dot(x, v), dot(y, v), dot(z, v)}; }
};

/// By the right-hand rule, about a unit vector.
inline Vec3d rotated(const Vec3d& v, const Vec3d& axis, double degrees) {
  const double angle = units::radians_from_degrees(degrees);
  return std::cos(angle) * v + std::sin(angle) * cross(axis, v) +
         ((1 - std::cos(angle)) * dot(axis, v)) * axis;
}

}  // namespace nablabragg::io
