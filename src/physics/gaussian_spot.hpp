// A reflection whose block shape, mosaicity, divergence, spectrum and slice of phi are Gaussians
// (the slice a box): its spot in closed form.
//
// With q0 = (s1 - s0)/lambda at a point of the detector, g the reciprocal-lattice vector and
// d = q0 - g, all in 1/m, to first order the spot is a Gaussian in d,
//   sqrt(det C_shape/det C) exp(-d C^-1 d/2),
//   C = C_shape + [g]x S [g]x^T + D k0^2 + (the pixel's box) + s^2 q0 q0^T,
// S the covariance of the domains' rotation, D that of the incident direction, s the relative
// standard deviation of the wavenumber.  A turn of phi moves g along t = spindle x g.
//
// Second order is about the turn that each point itself asks for, as the arcs of a mosaic crystal
// are bent by more than a spot's width soon: d is turned back by the most likely rotation w of the
// domain and phi of the slice; what other rotations do on the mean is a constant of the reflection
// (`offset`), and the covariance is that of the turned g (`tilt`).  Across a slice the spot goes on
// as a parabola in phi about that turn: how fast it does and how narrow it is changes with the
// residual, too (`lean`, `stretch`), as what the block's own width adds to g turns with it.
//
// In the whitened frame C without the spectrum is the unit matrix, and the turn of phi goes along
// its third axis: neither the slice's integral nor what is left of d across it cancels digits.
#pragma once
#include <cmath>
#include "physics/box_gaussian.hpp"
#include "physics/lane.hpp"
#include "physics/matrix.hpp"

namespace nablabragg::physics {

/// What the spot of one reflection follows from.
template <class Real>
struct GaussianSpotSource {
  Vec3<Real> g;           ///< [1/m]
  Mat3<Real> shape;       ///< covariance of the block's shape [1/m^2]
  Mat3<Real> mosaic;      ///< S [rad^2]
  Mat3<Real> divergence;  ///< D [rad^2]
  Mat3<Real> pixel;       ///< covariance of a pixel's box [1/m^2]
  Vec3<Real> incident;    ///< k0 s0 [1/m]
  Vec3<Real> spindle;     ///< unit vector
  Real half_slice{0};     ///< of phi [rad], not negative
  Real bandwidth2{0};     ///< s^2
};

/// The same, prepared for its points.
template <class Real>
struct GaussianSpot {
  Mat3<Real> whiten;  ///< L
  Vec3<Real> g, whitened_g;
  Mat3<Real> rotation;    ///< w of a whitened residual
  Vec3<Real> tilt;        ///< change of log sqrt(det C) with a whitened residual
  Mat3<Real> deflection;  ///< k0 times that of the beam, of a whitened residual
  Vec3<Real> shortening;  ///< s0/(2 k0): a deflected beam is shorter along its mean direction
  Vec3<Real> spindle, turn, bend;           ///< bend: half of spindle x turn
  Real turn_length{0}, per_turn_length{0};  ///< of the whitened turn; per: 0 of no turn
  Real half_slice{0};                       ///< of the whitened turn
  /// Of a whitened residual v: the turn's precision is 1 + stretch.v, and it begins as v.z +
  /// v.(Lv), L symmetric with `lean` in its diagonal and half of `lean_across` beside it (yz, zx,
  /// xy).
  Vec3<Real> stretch, lean, lean_across;
  // Of a divergent beam: what of these a whitened turn changes itself, and log sqrt(det C)
  Vec3<Real> turning_lean;
  Real turning_stretch{0}, turning_tilt{0};
  Real bandwidth2{0};
};

/// Which of its terms a spot has.
struct SpotTerms {
  bool band, slice, second;
};

/// Returns work.operator()<band, slice, second>(): a slice has all terms of second order.
template <class Work>
auto with_terms(const SpotTerms& terms, Work&& work) {
  const auto of = [&]<bool slice, bool second>() {
    return terms.band ? work.template operator()<true, slice, second>()
                      : work.template operator()<false, slice, second>();
  };
  if (terms.slice) return of.template operator()<true, true>();
  return terms.second ? of.template operator()<false, true>()
                      : of.template operator()<false, false>();
}

template <class F, class... Spots>
NABLA_INLINE void for_each_number_of_spot(F&& f, Spots&... s) {
  const auto vector = [&](auto&... v) { f(v.x...), f(v.y...), f(v.z...); };
  const auto matrix = [&](auto&... m) { vector(m.a...), vector(m.b...), vector(m.c...); };
  matrix(s.whiten...);
  vector(s.g...);
  vector(s.whitened_g...);
  matrix(s.rotation...);
  vector(s.tilt...);
  matrix(s.deflection...);
  vector(s.shortening...);
  vector(s.spindle...);
  vector(s.turn...);
  vector(s.bend...);
  f(s.turn_length...);
  f(s.per_turn_length...);
  f(s.half_slice...);
  vector(s.stretch...);
  vector(s.lean...);
  vector(s.lean_across...);
  vector(s.turning_lean...);
  f(s.turning_stretch...);
  f(s.turning_tilt...);
  f(s.bandwidth2...);
}

/// Those alone that spots with these terms follow from.
template <bool band, bool slice, bool second, class F, class... Spots>
NABLA_INLINE void for_each_used_number(F&& f, bool diverges, Spots&... s) {
  const auto vector = [&](auto&... v) { f(v.x...), f(v.y...), f(v.z...); };
  const auto matrix = [&](auto&... m) { vector(m.a...), vector(m.b...), vector(m.c...); };
  matrix(s.whiten...);
  if constexpr (second) {
    matrix(s.rotation...);
    vector(s.g...);
    vector(s.tilt...);
    if (diverges) {
      matrix(s.deflection...);
      vector(s.shortening...);
    }
  }
  if constexpr (slice) {
    vector(s.spindle...);
    vector(s.turn...);
    vector(s.bend...);
    f(s.turn_length...);
    f(s.per_turn_length...);
    f(s.half_slice...);
    vector(s.stretch...);
    vector(s.lean...);
    vector(s.lean_across...);
    if (diverges) {
      vector(s.turning_lean...);
      f(s.turning_stretch...);
      f(s.turning_tilt...);
    }
  }
  if constexpr (band) {
    vector(s.whitened_g...);
    f(s.bandwidth2...);
  }
}

template <class Real>
struct PreparedSpot {
  GaussianSpot<Real> spot;
  Vec3<Real> offset;  ///< to be added to q0 - g
  Real peak;          ///< sqrt(det C_shape/det C), the spectrum aside
};

/// The sum of m_jk e_j x e_k over the axes.
template <class T>
NABLA_INLINE Vec3<T> twist(const Mat3<T>& m) {
  return {m.b.z - m.c.y, m.c.x - m.a.z, m.a.y - m.b.x};
}

namespace detail {

template <class Condition, class T>
NABLA_INLINE Vec3<T> select_vector(const Condition& which, const Vec3<T>& yes, const Vec3<T>& no) {
  return {select(which, yes.x, no.x), select(which, yes.y, no.y), select(which, yes.z, no.z)};
}

}  // namespace detail

/// What the third axis of the whitened frame stands for: the turn, or any direction without one.
template <class Real, class Condition>
Vec3<Real> whitening_axis(const GaussianSpot<Real>& spot, const Condition& turns) {
  return detail::select_vector(turns, spot.turn, Vec3<Real>{Real(0), Real(0), Real(1)});
}
/// A direction that is not its.
template <class Real>
Vec3<Real> aside_of(const Vec3<Real>& v) {
  return detail::select_vector(v.x * v.x * Real(3) > dot(v, v),
                               Vec3<Real>{Real(0), Real(1), Real(0)},
                               Vec3<Real>{Real(1), Real(0), Real(0)});
}

/// What a turn of phi does beyond first order.
template <class Real>
struct SecondTurn {
  Vec3<Real> precise, arm;   ///< C^-1 t; g x C^-1 t
  Vec3<Real> with;           ///< dw/dphi of the most likely w
  Vec3<Real> both, between;  ///< the spindle and `with`; and half of it
  Vec3<Real> deflecting;     ///< the same of k0 times the beam's deflection
  Vec3<Real> lever;          ///< what S and g turn, see `stretch`
  // GaussianSpot's, not whitened, `lean` not symmetric
  Vec3<Real> stretch, turning_lean;
  Mat3<Real> lean;
  Real turning_stretch;
};
/// With the most likely w and deflection e of each phi, the residual changes by
///   -(k + w') x (g + r) - e' + (w + phi k) x e' - 2 e.e' shortening ...
/// a radian, r what the block's width has of it.  Its slope and curvature there, to first order in
/// r, w and e, are those of chi^2.
template <class Real>
SecondTurn<Real> second_turn(const GaussianSpotSource<Real>& of, const GaussianSpot<Real>& spot,
                             const Mat3<Real>& precision) {
  const Real two(2);
  const Vec3<Real>&g = of.g, &turn = spot.turn, &shortening = spot.shortening;
  const Mat3<Real> g_cross = cross_matrix(g), rotating = of.mosaic * g_cross;
  const Mat3<Real> divergence = dot(of.incident, of.incident) * of.divergence;
  SecondTurn<Real> s;
  s.precise = precision * turn;
  s.arm = cross(g, s.precise);
  s.with = -(of.mosaic * s.arm);
  s.both = of.spindle + s.with;
  s.between = of.spindle + Real(0.5) * s.with;
  s.deflecting = -(divergence * s.precise);
  s.lever = cross(s.between, s.arm) + cross(s.deflecting, s.precise);
  const Vec3<Real> bent = cross(s.with, cross(s.with, g) + two * turn) + cross(of.spindle, turn) +
                          two * cross(s.both, s.deflecting) +
                          two * dot(s.deflecting, s.deflecting) * shortening;
  const Vec3<Real> seen = divergence * s.deflecting;
  s.stretch = bent + two * (of.shape * cross(s.precise, s.both) + cross(g, of.mosaic * s.lever)) -
              Real(4) * dot(s.precise, shortening) * seen;
  s.lean = cross_matrix(s.both) * of.shape +
           transposed(g_cross) * (cross_matrix(s.between) * rotating) +
           cross_matrix(s.deflecting) * rotating - two * outer(shortening, seen);
  s.turning_lean = cross(s.deflecting, of.spindle);
  s.turning_stretch = two * dot(s.precise, s.turning_lean);
  return s;
}

template <class Real>
PreparedSpot<Real> prepare_spot(const GaussianSpotSource<Real>& of) {
  using std::sqrt;
  const Vec3<Real>& g = of.g;
  const Mat3<Real> g_cross = cross_matrix(g), to_g = transposed(g_cross);
  const Real k2 = dot(of.incident, of.incident);
  const Mat3<Real> arcs = of.mosaic * to_g;  // of w, with w x g
  const Mat3<Real> covariance = of.shape + g_cross * arcs + k2 * of.divergence + of.pixel;
  const Mat3<Real> precision = inverse(covariance);

  PreparedSpot<Real> out;
  GaussianSpot<Real>& s = out.spot;
  s.g = g;
  s.spindle = of.spindle;
  s.turn = cross(of.spindle, g);
  s.bend = Real(0.5) * cross(of.spindle, s.turn);
  s.bandwidth2 = of.bandwidth2;

  // Rows l_i with l_i C l_j = delta_ij and only the third along the turn
  const Real turn2 = dot(s.turn, precision * s.turn);
  const auto turns = select(of.half_slice > Real(0), turn2, Real(0)) > Real(1e-24);
  const Vec3<Real> third = whitening_axis(s, turns), aside = aside_of(third);
  const auto normed = [&](const Vec3<Real>& row) {
    return Real(Real(1) / sqrt(dot(row, covariance * row))) * row;
  };
  s.whiten.a = normed(cross(third, aside));
  s.whiten.b = normed(cross(third, covariance * s.whiten.a));
  s.whiten.c = normed(precision * third);
  s.turn_length = select(turns, Real(sqrt(turn2)), Real(0));
  s.per_turn_length = select(turns, Real(Real(1) / s.turn_length), Real(0));
  s.half_slice = of.half_slice * s.turn_length;
  s.whitened_g = s.whiten * g;

  // The most likely rotation w = S g x C^-1 d, and what is left open of it
  const Mat3<Real> back = transposed(s.whiten);
  s.rotation = of.mosaic * g_cross * back;
  const Mat3<Real> open = of.mosaic - arcs * precision * g_cross * of.mosaic;
  out.offset = Real(0.5) * (open * g - trace(open) * g);
  // tr(C^-1 [e]x S [g]x^T) for each axis e
  s.tilt = s.whiten * (of.shape * twist(arcs * precision));

  // The same for the direction of the beam
  const Mat3<Real> divergence = k2 * of.divergence, seen = precision * divergence;
  s.deflection = divergence * back;
  s.shortening = Real(Real(0.5) / k2) * of.incident;
  out.offset = out.offset + trace(divergence - divergence * seen) * s.shortening -
               twist(of.mosaic * g_cross * seen);
  s.tilt = s.tilt -
           Real(2) * (s.whiten * (divergence * (divergence * (precision * s.shortening)))) -
           transposed_times(s.rotation, twist(seen));
  if (any(turns)) {
    const SecondTurn<Real> second = second_turn(of, s, precision);
    const Real per = s.per_turn_length, per2 = per * per;
    s.stretch = per2 * (s.whiten * second.stretch);
    const Mat3<Real> lean = per * (s.whiten * second.lean * back);
    s.lean = {lean.a.x, lean.b.y, lean.c.z};
    s.lean_across = {lean.b.z + lean.c.y, lean.c.x + lean.a.z, lean.a.y + lean.b.x};
    s.turning_lean = per2 * (s.whiten * second.turning_lean);
    s.turning_stretch = per * per2 * second.turning_stretch;
    s.turning_tilt = per * dot(of.spindle, twist(seen));
  }
  out.peak = sqrt(determinant(of.shape) / determinant(covariance));
  return out;
}

/// The steps of a point that its value and its adjoints go through.
template <class T>
struct SpotPoint {
  Vec3<T> y, z;  ///< whitened residual; whitened q0
  // Second order: before it
  Vec3<T> y1, z1, free, v;  ///< `free`: before the spectrum takes its part
  T per_norm1, kappa1, along1, at, phi;
  Vec3<T> w, across, lag, E, deflected;  ///< lag: of half the turn behind the residual, turned by w
  T log_tilt;
};

namespace detail {

template <class T>
NABLA_INLINE T clamped(const T& x, const T& limit) {
  const T low = select(x < -limit, -limit, x);
  return select(limit < low, limit, low);
}

/// Where along the third axis a residual is nearest, given its other two components.
template <bool band, class T>
NABLA_INLINE T nearest_turn(const Vec3<T>& y, const Vec3<T>& z, const T& band2) {
  if constexpr (!band)
    return y.z;
  else
    return y.z - band2 * inverse_of(T(T(1) + band2 * (z.x * z.x + z.y * z.y))) * z.z *
                     (z.x * y.x + z.y * y.y);
}

}  // namespace detail

/// d: q0 - g + offset.
template <bool band, bool slice, bool second, class T, class Real>
NABLA_INLINE SpotPoint<T> spot_point(const GaussianSpot<Real>& s, const Vec3<T>& d, bool diverges) {
  const auto as = [](const auto& x) { return number<T>(x); };
  const auto as_vector = [&](const Vec3<Real>& v) { return Vec3<T>{as(v.x), as(v.y), as(v.z)}; };
  const auto times = [&](const Mat3<Real>& m, const Vec3<T>& v) {
    return Vec3<T>{dot(as_vector(m.a), v), dot(as_vector(m.b), v), dot(as_vector(m.c), v)};
  };
  SpotPoint<T> p;
  p.y = times(s.whiten, d);
  if constexpr (band) p.z = p.y + as_vector(s.whitened_g);
  p.log_tilt = T(0);
  if constexpr (!second) return p;
  const T band2 = as(s.bandwidth2);
  p.y1 = p.y;
  p.z1 = p.z;
  p.free = p.y;
  if constexpr (slice) {
    p.at = detail::clamped(detail::nearest_turn<band>(p.y, p.z, band2), as(s.half_slice));
    p.phi = p.at * as(s.per_turn_length);
    p.free.z = p.free.z - p.at;
  }
  p.v = p.free;
  if constexpr (band) {
    p.per_norm1 = inverse_of(T(T(1) + band2 * dot(p.z, p.z)));
    p.kappa1 = band2 * p.per_norm1;
    p.along1 = dot(p.z, p.free);
    p.v = p.free - (p.kappa1 * p.along1) * p.z;
  }
  p.w = times(s.rotation, p.v);
  p.across = cross(p.w, as_vector(s.g));
  Vec3<T> from_mean = d;
  if (diverges) {
    p.deflected = times(s.deflection, p.v);
    from_mean = d - p.deflected;
  }
  p.lag = T(0.5f) * p.across - from_mean;
  if constexpr (slice) p.lag = p.lag + p.phi * as_vector(s.turn);
  p.E = cross(p.w, p.lag);
  if constexpr (slice)
    p.E = p.E + p.phi * (p.phi * as_vector(s.bend) - cross(as_vector(s.spindle), from_mean));
  if (diverges) p.E = p.E + dot(p.deflected, p.deflected) * as_vector(s.shortening);
  p.log_tilt = -dot(as_vector(s.tilt), p.v);
  if constexpr (slice)
    if (diverges) p.log_tilt = p.log_tilt - as(s.turning_tilt) * p.at;
  p.y = p.y + times(s.whiten, p.E);
  if constexpr (band) {
    Vec3<T> moved = p.across;
    if (diverges) moved = moved + p.deflected;
    p.z = p.y + as_vector(s.whitened_g) - times(s.whiten, moved);
    if constexpr (slice) p.z.z = p.z.z - p.phi * as(s.turn_length);
  }
  return p;
}

/// What a point's light follows from.
template <class T>
struct SpotExponents {
  T chi2;           ///< across the turn; of a still in all directions
  T x, half_slice;  ///< the slice's, in standard deviations
  // The spectrum widens the spot: 1 over by how much, in square, is what its squared height is
  // multiplied by
  T per_norm2, zz, along, kappa;  ///< zz: z.z, of a slice across the turn
  // Of a slice.  The spectrum makes the turn `narrower`; at x1 it is nearest to first order, which
  // is `ahead` of the point's own turn; `root`: of the turn's precision
  T per_across2, narrower, x1, ahead, least, precision, root, per_root, wanted, limit, centre;
};

/// v.(Lv), see GaussianSpot.
template <class T, class Real>
NABLA_INLINE T lean_of(const GaussianSpot<Real>& s, const Vec3<T>& v) {
  const auto as = [](const auto& x) { return number<T>(x); };
  return v.x * (as(s.lean.x) * v.x + as(s.lean_across.z) * v.y) +
         v.y * (as(s.lean.y) * v.y + as(s.lean_across.x) * v.z) +
         v.z * (as(s.lean.z) * v.z + as(s.lean_across.y) * v.x);
}
/// Far from a spot these parabolas mean nothing: no residual makes the turn's precision less than
/// this share of what it is in the middle,
inline constexpr float least_precision = 0.5f;
/// nor a point beyond the slice's end more likely than by this change of chi2, so that no digits of
/// the slice's integral are lost.  A slice of no width knows neither.
inline constexpr float most_gained = 2;

template <bool band, bool slice, class T, class Real>
NABLA_INLINE SpotExponents<T> spot_exponents(const GaussianSpot<Real>& s, const SpotPoint<T>& p,
                                             bool diverges) {
  const auto as = [](const auto& x) { return number<T>(x); };
  const auto as_vector = [&](const Vec3<Real>& u) { return Vec3<T>{as(u.x), as(u.y), as(u.z)}; };
  const T band2 = as(s.bandwidth2);
  const Vec3<T>&y = p.y, &z = p.z;
  SpotExponents<T> e;
  if constexpr (!slice) {
    e.chi2 = dot(y, y);
    if constexpr (band) {
      e.zz = dot(z, z);
      e.per_norm2 = inverse_of(T(T(1) + band2 * e.zz));
      e.along = dot(z, y);
      e.kappa = band2 * e.per_norm2;
      e.chi2 = e.chi2 - e.kappa * e.along * e.along;
    }
  } else {
    using std::sqrt;
    const Vec3<T>& v = p.v;
    e.chi2 = y.x * y.x + y.y * y.y;
    T x = y.z, narrower = T(1), narrower2 = T(1);
    if constexpr (band) {
      e.zz = z.x * z.x + z.y * z.y;
      const T across2 = T(1) + band2 * e.zz;
      e.per_across2 = inverse_of(across2);
      e.per_norm2 = inverse_of(T(across2 + band2 * z.z * z.z));
      e.along = z.x * y.x + z.y * y.y;
      e.kappa = band2 * e.per_across2;
      e.chi2 = e.chi2 - e.kappa * e.along * e.along;
      narrower2 = across2 * e.per_norm2;
      narrower = sqrt(narrower2);
      x = (y.z - e.kappa * z.z * e.along) * narrower;
    }
    e.narrower = narrower;
    e.x1 = x;
    e.ahead = x - narrower * p.at;
    T follows = narrower2 + dot(as_vector(s.stretch), v);
    T begins = narrower * e.ahead + lean_of(s, v) + as(s.tilt.z);
    if (diverges) {
      follows = follows + as(s.turning_stretch) * p.at;
      begins = begins + p.at * dot(as_vector(s.turning_lean), v) - as(s.turning_tilt);
    }
    e.least = T(least_precision) * narrower2;
    e.precision = select(e.least < follows, follows, e.least);
    e.root = sqrt(e.precision);
    e.per_root = T(1) / e.root;
    e.wanted = begins * e.per_root;
    e.limit = sqrt(e.ahead * e.ahead + T(most_gained));
    e.centre = detail::clamped(e.wanted, e.limit);
    e.chi2 = e.chi2 + (e.ahead - e.centre) * (e.ahead + e.centre);
    e.x = p.at * e.root + e.centre;
    e.half_slice = as(s.half_slice) * e.root;
  }
  return e;
}

/// The spot at a point, its peak (PreparedSpot::peak) aside.  `narrow`: the slice is no wider than
/// narrow_box.
template <bool band, bool slice, bool second, class T, class Real>
NABLA_INLINE T spot_value(const GaussianSpot<Real>& s, const Vec3<T>& d, bool diverges,
                          bool narrow) {
  using std::exp;
  using std::sqrt;
  const auto p = spot_point<band, slice, second>(s, d, diverges);
  const auto e = spot_exponents<band, slice>(s, p, diverges);
  T value = exp(T(-0.5f) * e.chi2 + p.log_tilt);
  if constexpr (band) value = value * sqrt(e.per_norm2);
  if constexpr (slice) {
    value = value * (narrow ? narrow_box_gaussian(e.x, e.half_slice)
                            : wide_box_gaussian(e.x, e.half_slice,
                                                T(number<T>(Real(1) / s.half_slice) * e.per_root)));
  }
  return value;
}

/// How dark a point is, as a smooth function whose value is at most `reach` where the spot is
/// brighter than exp(-reach/2) of its peak: the slice's box is taken as a wider Gaussian.
template <bool band, bool slice, bool second, class T, class Real>
NABLA_INLINE T spot_darkness(const GaussianSpot<Real>& s, const Vec3<T>& d, bool diverges,
                             const T& narrowing2) {
  const auto p = spot_point<band, slice, second>(s, d, diverges);
  const auto e = spot_exponents<band, slice>(s, p, diverges);
  if constexpr (!slice) {
    return e.chi2;
  } else {
    // Where the turn is more precise, the slice is as much wider in its deviations
    const T narrower2 = e.narrower * e.narrower;
    const T share = select(narrower2 < e.precision, narrower2 * e.per_root * e.per_root, T(1));
    return e.chi2 + narrowing2 * e.x * e.x * share;
  }
}

}  // namespace nablabragg::physics
