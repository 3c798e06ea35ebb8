// Rotations, in the operation order that agrees with nanoBragg to the last bit.
#pragma once
#include <cmath>
#include "nablabragg/vec3.hpp"

namespace nablabragg::physics {

/// Right-handed, about laboratory x, then y, then z [rad].
template <class Real>
Vec3<Real> rotate(Vec3<Real> v, const Vec3<Real>& angle) {
  using std::cos;
  using std::sin;
  v = {v.x, v.y * cos(angle.x) - v.z * sin(angle.x), v.y * sin(angle.x) + v.z * cos(angle.x)};
  v = {v.x * cos(angle.y) + v.z * sin(angle.y), v.y, -v.x * sin(angle.y) + v.z * cos(angle.y)};
  return {v.x * cos(angle.z) - v.y * sin(angle.z), v.x * sin(angle.z) + v.y * cos(angle.z), v.z};
}

/// Right-handed about `axis`, whose length is taken as it is (Rodrigues' formula).
template <class Real>
NABLA_INLINE Vec3<Real> rotate_about(const Vec3<Real>& v, const Vec3<Real>& axis,
                                     const Real& angle) {
  using std::cos;
  using std::sin;
  const Real c = cos(angle), s = sin(angle);
  const Real along = dot(axis, v) * (Real(1) - c);
  const Vec3<Real> across = cross(axis, v);
  return {axis.x * along + v.x * c + across.x * s, axis.y * along + v.y * c + across.y * s,
          axis.z * along + v.z * c + across.z * s};
}

/// What a function of rotate_about(v, axis, angle) changes by, with each of the three; `adjoint` is
/// its derivative with respect to the result.
template <class Real>
struct RotationAdjoints {
  Vec3<Real> v, axis;
  Real angle;
};
template <class Real>
NABLA_INLINE RotationAdjoints<Real> pull_back_rotation(const Vec3<Real>& v, const Vec3<Real>& axis,
                                                       const Real& angle,
                                                       const Vec3<Real>& adjoint) {
  using std::cos;
  using std::sin;
  const Real c = cos(angle), s = sin(angle), t = Real(1) - c;
  const Real along = dot(axis, v), adjoint_along = dot(axis, adjoint);
  return {(t * adjoint_along) * axis + c * adjoint - s * cross(axis, adjoint),
          t * (along * adjoint + adjoint_along * v) + s * cross(v, adjoint),
          dot(adjoint, s * (along * axis - v) + c * cross(axis, v))};
}

template <class Real>
Mat3<Real> rotate_about(const Mat3<Real>& rows, const Vec3<Real>& axis, const Real& angle) {
  return {rotate_about(rows.a, axis, angle), rotate_about(rows.b, axis, angle),
          rotate_about(rows.c, axis, angle)};
}

/// The rotation by `angle` about the unit vector `axis` as a matrix.
template <class Real>
Mat3<Real> rotation_matrix(const Vec3<Real>& axis, const Real& angle) {
  using std::cos;
  using std::sin;
  const Real c = cos(angle), s = sin(angle), t = Real(1) - c;
  const auto& [x, y, z] = axis;
  return {{c + t * x * x, t * x * y - s * z, t * x * z + s * y},
          {t * x * y + s * z, c + t * y * y, t * y * z - s * x},
          {t * x * z - s * y, t * y * z + s * x, c + t * z * z}};
}

}  // namespace nablabragg::physics
