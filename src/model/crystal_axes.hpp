// Unit cell, A matrix and missetting -> the crystal's axes in the laboratory frame.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include "model/nanobragg_random.hpp"
#include "nablabragg/crystal.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"

namespace nablabragg::model {

/// Reciprocal vectors [1/A] in the standard setting (a* along x, b* in the xy plane) and the cell
/// volume.
template <class Real>
struct ReciprocalBasis {
  Mat3<Real> rows;
  Real volume_A3;
};

/// With `short_c_star` the last component of c* is c* V/(a b c sin gamma*) instead of 1/c.
/// Impossible angles are clamped so that numbers come out; `check_cell` is what refuses them.
template <class Real>
ReciprocalBasis<Real> reciprocal_basis(const BasicUnitCell<Real>& cell, bool short_c_star) {
  using std::abs;
  using std::cos;
  using std::sin;
  using std::sqrt;
  const Real a = cell.a_A, b = cell.b_A, c = cell.c_A;
  const Real alpha = units::radians_from_degrees(cell.alpha_deg);
  const Real beta = units::radians_from_degrees(cell.beta_deg);
  const Real gamma = units::radians_from_degrees(cell.gamma_deg);
  const Real smallest(std::numeric_limits<double>::min());

  const Real half_sum = (alpha + beta + gamma) / 2.0;
  const Real skew = abs(sin(half_sum) * sin(half_sum - alpha) * sin(half_sum - beta) *
                        sin(half_sum - gamma));
  Real volume = 2.0 * a * b * c * sqrt(skew);
  if (!(volume > Real(0))) volume = smallest;

  // In nanoBragg's order: what counts cells from a length hangs on the last bit.
  const Real volume_star = Real(1) / volume;
  const Real a_star = b * c * sin(alpha) * volume_star;
  const Real b_star = c * a * sin(beta) * volume_star;
  const Real c_star = a * b * sin(gamma) * volume_star;

  struct Angle {
    Real s, c;
  };
  const auto clamped = [](const Real& sine, const Real& cosine) -> Angle {
    return {std::clamp(sine, Real(-1), Real(1)), abs(cosine) > Real(1) ? Real(1) : cosine};
  };
  const Angle alpha_star = clamped(
      a * volume_star / b_star / c_star,
      (cos(beta) * cos(gamma) - cos(alpha)) / (sin(beta) * sin(gamma)));
  const Angle beta_star = clamped(
      b * volume_star / a_star / c_star,
      (cos(gamma) * cos(alpha) - cos(beta)) / (sin(gamma) * sin(alpha)));
  const Angle gamma_star = clamped(
      c * volume_star / a_star / b_star,
      (cos(alpha) * cos(beta) - cos(gamma)) / (sin(alpha) * sin(beta)));

  const Real c_star_z = short_c_star ? c_star * volume / (a * b * c * gamma_star.s) : Real(1) / c;
  return {{{a_star, Real(0), Real(0)},
           {b_star * gamma_star.c, b_star * gamma_star.s, Real(0)},
           {c_star * beta_star.c,
            c_star * (alpha_star.c - beta_star.c * gamma_star.c) / gamma_star.s, c_star_z}},
          volume};
}

/// MOSFLM's matrix holds a*, b*, c* times the wavelength as columns.
template <class Real>
Mat3<Real> reciprocal_from_mosflm(const Mat3<Real>& matrix, const Real& wavelength_m) {
  const Real scale = Real(1e-10) / wavelength_m;
  return {scale * Vec3<Real>{matrix.a.x, matrix.b.x, matrix.c.x},
          scale * Vec3<Real>{matrix.a.y, matrix.b.y, matrix.c.y},
          scale * Vec3<Real>{matrix.a.z, matrix.b.z, matrix.c.z}};
}

/// Euler angles (x, then y, then z) [rad] of a rotation matrix.
inline Vec3d euler_angles(const Mat3d& matrix) {
  const Vec3d x = unit(matrix.a), y = unit(matrix.b), z = unit(matrix.c);
  constexpr double pi = 3.14159265358979323846;
  if (z.x * z.x < 1.0)
    return {std::atan2(z.y, z.z), std::atan2(-z.x, std::sqrt(z.y * z.y + z.z * z.z)),
            std::atan2(y.x, x.x)};
  return {pi, pi / 2, std::atan2(x.y, -y.y)};
}

/// The matrix behind `-misset random`: nanoBragg means a cap of 90 degrees and passes 90 radians
///
inline Mat3d nanobragg_random_orientation(NanobraggRandom& random, std::int64_t& seed) {
  const RandomRotation r = random_rotation(random, seed);
  return physics::rotation_matrix(r.axis, static_cast<double>(90.0F * r.angle_over_cap));
}

/// Of three numbers between 0 and 1: uniform over all orientations if they are uniform (K.
/// Shoemake, Graphics Gems III, 1992, "Uniform random rotations").
inline Mat3d orientation_of(double u, double turn_v, double turn_w) {
  constexpr double two_pi = 6.28318530717958647692;
  const double v = two_pi * turn_v, w = two_pi * turn_w;
  const double x = std::sqrt(1 - u) * std::sin(v), y = std::sqrt(1 - u) * std::cos(v);
  const double z = std::sqrt(u) * std::sin(w), s = std::sqrt(u) * std::cos(w);
  return {{1 - 2 * (y * y + z * z), 2 * (x * y - z * s), 2 * (x * z + y * s)},
          {2 * (x * y + z * s), 1 - 2 * (x * x + z * z), 2 * (y * z - x * s)},
          {2 * (x * z - y * s), 2 * (y * z + x * s), 1 - 2 * (x * x + y * y)}};
}

inline Mat3d uniform_random_orientation(NanobraggRandom& random, std::int64_t& seed) {
  const double u = random.uniform(seed);
  const double v = static_cast<double>(random.uniform(seed));
  const double w = static_cast<double>(random.uniform(seed));
  return orientation_of(u, v, w);
}

/// Real-space axes from the (misset) reciprocal ones.  A user's cell forces edges and volume;
/// the reciprocal axes are then made again from the real ones.
template <class Real>
BasicCrystalAxes<Real> axes_from_reciprocal(const Mat3<Real>& reciprocal,
                                            const BasicUnitCell<Real>* cell,
                                            const Real& cell_volume) {
  const auto stretched = [](const Vec3<Real>& v, const Real& wanted) {
    const Real scale = wanted / length(v);
    return scale * v;
  };
  Real reciprocal_volume = dot(reciprocal.a, cross(reciprocal.b, reciprocal.c));
  Vec3<Real> bc = cross(reciprocal.b, reciprocal.c);
  Vec3<Real> ca = cross(reciprocal.c, reciprocal.a);
  Vec3<Real> ab = cross(reciprocal.a, reciprocal.b);
  if (cell) {
    bc = stretched(bc, cell->a_A / cell_volume);
    ca = stretched(ca, cell->b_A / cell_volume);
    ab = stretched(ab, cell->c_A / cell_volume);
    reciprocal_volume = Real(1) / cell_volume;
  }
  BasicCrystalAxes<Real> axes;
  axes.volume_A3 = Real(1) / reciprocal_volume;
  axes.real_A = {axes.volume_A3 * bc, axes.volume_A3 * ca, axes.volume_A3 * ab};
  axes.reciprocal_per_A = {reciprocal_volume * cross(axes.real_A.b, axes.real_A.c),
                           reciprocal_volume * cross(axes.real_A.c, axes.real_A.a),
                           reciprocal_volume * cross(axes.real_A.a, axes.real_A.b)};
  return axes;
}

/// a, b, c in metres, the rows that the plan rotates.
template <class Real>
Mat3<Real> axes_in_metres(const BasicCrystalAxes<Real>& axes) {
  const Real metres(1e-10);
  return {metres * axes.real_A.a, metres * axes.real_A.b, metres * axes.real_A.c};
}

}  // namespace nablabragg::model
