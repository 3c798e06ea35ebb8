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

/// M d.
template <class T>
NABLA_INLINE Vec3<T> stretched(const SpotMetric<T>& m, const Vec3<T>& d) {
  return {m.aa * d.x + m.ab * d.y + m.ca * d.z, m.ab * d.x + m.bb * d.y + m.bc * d.z,
          m.ca * d.x + m.bc * d.y + m.cc * d.z};
}

/// Where d + u h comes closest to zero; its squared radius is radius2 + curvature (u - at)^2.
template <class T>
struct Approach {
  T at, radius2, curvature;
};

template <class T>
NABLA_INLINE Approach<T> closest_approach(const SpotMetric<T>& m, const Vec3<T>& d,
                                          const Vec3<T>& h) {
  const Vec3<T> mh = stretched(m, h);
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

/// A lattice factor and how it changes: with the distance to the lattice point, and with the number
/// of cells along each axis where it shapes the spot (that it also scales it is left to the caller,
/// who knows the factor).
template <class T>
struct LatticeSlopes {
  T factor;
  Vec3<T> distance, cells;
  T radius2{0};  ///< of a Gaussian: with the squared radius
};

/// Where one axis of a block is among its fringes: x = |d|, not zero, and N x = whole + turns.
template <class T>
struct FringePosition {
  T x, turns, whole, cells, d;
};
template <class T>
NABLA_INLINE FringePosition<T> fringe_position(const T& d, const T& cells) {
  const T x = not_zero(d), turns = cells * x, whole = round_even(turns);
  return {x, turns - whole, whole, cells, d};
}

/// Per axis, with P(x^2) = sin(pi x)/x, t = N x without its m whole turns and S = t P(t)/(x P(x)):
///   dS/dx = ( m P(t)/x + 2 N t^2 P'(t) - 2 S x^2 P'(x) ) / (x P(x)),
///   dS/dN = ( P(t) + 2 t^2 P'(t) ) / P(x) at fixed x, without the turns.
/// The terms of the textbook form that cancel near a lattice point are gone, so that a Bragg peak
/// needs no series of its own: m is 0 there and the rest is of the order of x.
template <class T>
NABLA_INLINE LatticeSlopes<T> square_lattice_slopes(const FringePosition<T>& h,
                                                    const FringePosition<T>& k,
                                                    const FringePosition<T>& l) {
  struct Axis {
    T S, slope, per_cell;
  };
  const auto P_h = sin_pi_over_x(h.x), P_k = sin_pi_over_x(k.x), P_l = sin_pi_over_x(l.x);
  // One division for all: 1/(x P(x)) of each axis is this times the other two sines.
  const T sine_h = h.x * P_h.over_x, sine_k = k.x * P_k.over_x, sine_l = l.x * P_l.over_x;
  const T inverse = T(1) / (sine_h * sine_k * sine_l);
  const T two(2), none(0);
  const auto along = [&](const FringePosition<T>& at, const SineOverX<T>& P,
                         const T& inverse_sine) -> Axis {
    const T &x = at.x, &t = at.turns;
    const auto Q = sin_pi_over_x(t);
    const T S = t * Q.over_x * inverse_sine, turning = two * t * t * Q.slope;
    const T whole_over_x = at.whole * P.over_x * inverse_sine;
    const T slope = (Q.over_x * whole_over_x + at.cells * turning - two * S * x * x * P.slope) *
                    inverse_sine;
    return {S, select(at.d < none, -slope, slope), (Q.over_x + turning) * x * inverse_sine};
  };
  const Axis a = along(h, P_h, inverse * sine_k * sine_l),
             b = along(k, P_k, inverse * sine_l * sine_h),
             c = along(l, P_l, inverse * sine_h * sine_k);
  const T bc = b.S * c.S, ca = c.S * a.S, ab = a.S * b.S;
  return {a.S * bc,
          {a.slope * bc, b.slope * ca, c.slope * ab},
          {a.per_cell * bc, b.per_cell * ca, c.per_cell * ab}};
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

/// d(ball_transform)/d(x^2).
template <class T>
NABLA_INLINE T ball_transform_slope(T x2) {
  using std::cos;
  using std::sin;
  using std::sqrt;
  const T series = constant<T>(-1.0 / 10) +
                   x2 * (constant<T>(1.0 / 140) +
                         x2 * (constant<T>(-1.0 / 5040) + x2 * (constant<T>(1.0 / 332640) -
                                                                x2 * constant<T>(1.0 / 34594560))));
  const auto small = x2 < T(is_single<T> ? 1.0f : 0.25f);
  const T safe2 = select(small, T(1), x2);
  const T x = sqrt(safe2), sine = sin(x) / x;
  const T ball = T(3) * (sine - cos(x)) / safe2;
  return select(small, series, constant<T>(1.5) * (sine - ball) / safe2);
}

/// Ellipsoid with the edges Na a, Nb b, Nc c.
template <class T>
NABLA_INLINE T round_lattice_factor(const Vec3<T>& d, const Vec3<T>& cells, T fudge) {
  constexpr double pi2 = 9.86960440108935861883;
  const Vec3<T> r{d.x * cells.x, d.y * cells.y, d.z * cells.z};
  return cells.x * cells.y * cells.z * constant<T>(0.723601254558268) *
         ball_transform(constant<T>(pi2) * dot(r, r) * fudge);
}

/// `factor` is round_lattice_factor of the same arguments.
template <class T>
NABLA_INLINE LatticeSlopes<T> round_lattice_slopes(const Vec3<T>& d, const Vec3<T>& cells,
                                                   T fudge) {
  constexpr double pi2 = 9.86960440108935861883;
  const Vec3<T> r{d.x * cells.x, d.y * cells.y, d.z * cells.z};
  const T scale = constant<T>(pi2) * fudge;
  const T slope = T(2) * scale * cells.x * cells.y * cells.z * constant<T>(0.723601254558268) *
                  ball_transform_slope(scale * dot(r, r));
  return {round_lattice_factor(d, cells, fudge),
          {slope * r.x * cells.x, slope * r.y * cells.y, slope * r.z * cells.z},
          {slope * r.x * d.x, slope * r.y * d.y, slope * r.z * d.z}};
}

template <class T>
NABLA_INLINE T gauss_lattice_factor(T radius2, T cell_count, T fudge) {
  using std::exp;
  return cell_count * exp(-(radius2 * (fudge / constant<T>(0.63))));
}

/// With the squared radius d . M d, and so with d.
template <class T>
NABLA_INLINE LatticeSlopes<T> gauss_lattice_slopes(const SpotMetric<T>& m, const Vec3<T>& d,
                                                   T cell_count, T fudge) {
  const T factor = gauss_lattice_factor(spot_radius2(m, d), cell_count, fudge);
  const T slope = -(factor * (fudge / constant<T>(0.63)));
  return {factor, (T(2) * slope) * stretched(m, d), {T(0), T(0), T(0)}, slope};
}

/// The squared factor relative to its peak.
template <class T>
NABLA_INLINE T gauss_intensity(T radius2, T fudge) {
  return gauss_lattice_factor(radius2, T(1), T(2) * fudge);
}

/// Intensities I_j at the points c + u_j h of a line: the sums of I_j, u_j I_j and u_j^2 I_j.
template <class T>
struct LineMoments {
  T zeroth{0}, first{0}, second{0};
};

/// How the sum of gauss_intensity() over the points of a line changes: with the indices, where
/// those of each point are (1 + at + u) times what changes, and with the metric.
template <class T>
struct LineSlopes {
  Vec3<T> index;
  SpotMetric<T> metric;
};

/// d(I)/d(point) = -4 fudge/0.63 I M point and d(I)/d(M) = -2 fudge/0.63 I point x point, summed.
/// Off the diagonal a number of the metric stands for two of the matrix.
template <class T>
NABLA_INLINE LineSlopes<T> gauss_line_slopes(const SpotMetric<T>& m, const Vec3<T>& c,
                                             const Vec3<T>& h, const T& at,
                                             const LineMoments<T>& sums, T fudge) {
  const T per_radius2 = T(-2) * (fudge / constant<T>(0.63)), twice = T(2) * per_radius2;
  const T stretch = T(1) + at;
  const Vec3<T> stretched_points = (stretch * sums.zeroth + sums.first) * c +
                                   (stretch * sums.first + sums.second) * h;
  // The sum of point x point is c x c_sum + h x h_sum.
  const Vec3<T> c_sum = sums.zeroth * c + sums.first * h, h_sum = sums.first * c + sums.second * h;
  return {
      twice * stretched(m, stretched_points),
      {per_radius2 * (c.x * c_sum.x + h.x * h_sum.x), per_radius2 * (c.y * c_sum.y + h.y * h_sum.y),
       per_radius2 * (c.z * c_sum.z + h.z * h_sum.z), twice * (c.x * c_sum.y + h.x * h_sum.y),
       twice * (c.y * c_sum.z + h.y * h_sum.z), twice * (c.z * c_sum.x + h.z * h_sum.x)}};
}

template <class T>
NABLA_INLINE T tophat_lattice_factor(T radius2, T cell_count, T fudge) {
  return select(radius2 * fudge < constant<T>(0.3969), cell_count, T(0));
}

}  // namespace nablabragg::physics
