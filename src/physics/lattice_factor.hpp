// The lattice factor F_latt: how strongly a block of Na x Nb x Nc cells scatters near a
// reflection, relative to one cell.
//
// Everything is a function of the distance to the nearest lattice point, d = h - h0 in
// (-1/2, 1/2] per axis, so that neither large indices nor exact Bragg positions lose digits.
#pragma once
#include <array>
#include "nablabragg/vec3.hpp"
#include "physics/lane.hpp"

namespace nablabragg::physics {

/// Symmetric 3x3 form; rad2 = d . M d is the squared radius of a spot in units of its width.
template <class T>
struct SpotMetric {
  T aa, bb, cc, ab, bc, ca;
};

template <class T>
NABLA_INLINE T spot_radius2(const SpotMetric<T>& m, const Vec3<T>& d) {
  return d.x * d.x * m.aa + d.y * d.y * m.bb + d.z * d.z * m.cc +
         T(2) * (d.x * d.y * m.ab + d.y * d.z * m.bc + d.z * d.x * m.ca);
}

/// Where d + u h comes closest to zero; its squared radius is radius2 + curvature (u - at)^2.
template <class T>
struct Approach {
  T at, radius2, curvature;
};

template <class T>
NABLA_INLINE Approach<T> closest_approach(const SpotMetric<T>& m, const Vec3<T>& d,
                                          const Vec3<T>& h) {
  const Vec3<T> mh{m.aa * h.x + m.ab * h.y + m.ca * h.z, m.ab * h.x + m.bb * h.y + m.bc * h.z,
                   m.ca * h.x + m.bc * h.y + m.cc * h.z};
  const T curvature = dot(h, mh) + constant<T>(1e-30);  // in the direct beam h is zero
  const T at = -dot(d, mh) / curvature;
  return {at, spot_radius2(m, d + at * h), curvature};
}

/// The product over the axes of sin(pi t)/sin(pi x), for x that are not zero and t in [-1/2, 1/2].
template <class T>
NABLA_INLINE T sine_quotient(const Vec3<T>& t, const Vec3<T>& x) {
  const auto sines = sin_pi(std::array<T, 6>{t.x, t.y, t.z, x.x, x.y, x.z});
  return sines[0] * sines[1] * sines[2] / (sines[3] * sines[4] * sines[5]);
}

/// N x without its whole turns, which change the sign of a sine at most.
template <class T>
NABLA_INLINE Vec3<T> short_turns(const Vec3<T>& x, const Vec3<T>& cells) {
  const Vec3<T> turns{cells.x * x.x, cells.y * x.y, cells.z * x.z};
  return {turns.x - round_even(turns.x), turns.y - round_even(turns.y),
          turns.z - round_even(turns.z)};
}

/// Parallelepiped: the product over the axes of sin(pi N h)/sin(pi h), N at a lattice point.
///
/// The sign (-1)^(h0 (N-1)) is dropped: callers square the factor, so it cannot be seen.  N d is
/// reduced by its own nearest integer for the same reason, which keeps the sine short for any N.
template <class T>
NABLA_INLINE T square_lattice_factor(const Vec3<T>& d, const Vec3<T>& cells) {
  // At a lattice point both sines vanish and their quotient is N; close enough, it is, too.
  const Vec3<T> x{not_zero(d.x), not_zero(d.y), not_zero(d.z)};
  return sine_quotient(short_turns(x, cells), x);
}

/// 3 (sin x - x cos x)/x^3 as a function of x^2: the transform of a ball, 1 at 0.
template <class T>
NABLA_INLINE T ball_transform(T x2) {
  using std::cos;
  using std::sin;
  using std::sqrt;
  // Below 1/2 the closed form cancels; the series is cut off below 1e-14.
  const T series = T(1) + x2 * (constant<T>(-1.0 / 10) +
                                x2 * (constant<T>(1.0 / 280) +
                                      x2 * (constant<T>(-1.0 / 15120) +
                                            x2 * (constant<T>(1.0 / 1330560) -
                                                  x2 * constant<T>(1.0 / 172972800)))));
  const auto small = x2 < T(0.25);
  const T safe2 = select(small, T(1), x2);
  const T x = sqrt(safe2);
  return select(small, series, T(3) * (sin(x) / x - cos(x)) / safe2);
}

/// Ellipsoid with the edges Na a, Nb b, Nc c.
template <class T>
NABLA_INLINE T round_lattice_factor(const Vec3<T>& d, const Vec3<T>& cells, T fudge) {
  constexpr double pi2 = 9.86960440108935861883;
  const Vec3<T> r{d.x * cells.x, d.y * cells.y, d.z * cells.z};
  return cells.x * cells.y * cells.z * constant<T>(0.723601254558268) *
         ball_transform(constant<T>(pi2) * dot(r, r) * fudge);
}

template <class T>
NABLA_INLINE T gauss_lattice_factor(T radius2, T cell_count, T fudge) {
  using std::exp;
  return cell_count * exp(-(radius2 * (fudge / constant<T>(0.63))));
}

template <class T>
NABLA_INLINE T tophat_lattice_factor(T radius2, T cell_count, T fudge) {
  return select(radius2 * fudge < constant<T>(0.3969), cell_count, T(0));
}

}  // namespace nablabragg::physics
