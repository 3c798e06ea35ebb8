// The way back through gaussian_spot.hpp: from the adjoint of a spot's value at a point to those of
// the spot's numbers and of the point.
#pragma once
#include "physics/gaussian_spot.hpp"

namespace nablabragg::physics {

template <class T>
struct PulledBackPoint {
  T value;    ///< as spot_value()
  Vec3<T> d;  ///< adjoint of the residual
};

namespace detail {

/// Adds u v^T.
template <class T>
NABLA_INLINE void add_outer(Mat3<T>& to, const Vec3<T>& u, const Vec3<T>& v) {
  to.a = to.a + u.x * v;
  to.b = to.b + u.y * v;
  to.c = to.c + u.z * v;
}

/// The adjoints of what spot_exponents() takes.
template <class T>
struct ExponentAdjoints {
  Vec3<T> y, z, v;
  T at;
};

/// `light`: adjoint of the value's logarithm, but for the slice, whose exponents' adjoints are
/// `by_x` and `by_half`.
template <bool band, bool slice, class T, class Real>
NABLA_INLINE ExponentAdjoints<T> pull_back_exponents(const GaussianSpot<Real>& s,
                                                     const SpotPoint<T>& p,
                                                     const SpotExponents<T>& e, const T& light,
                                                     const T& by_x, const T& by_half, bool diverges,
                                                     GaussianSpot<T>& adjoints) {
  const Vec3<T>&y = p.y, &z = p.z;
  const T none(0), half(0.5f), two(2), band2 = number<T>(s.bandwidth2);
  const Vec3<T> nothing{none, none, none};
  ExponentAdjoints<T> out{nothing, nothing, nothing, none};
  if constexpr (!slice) {
    if constexpr (!band) {
      out.y = -light * y;
    } else {
      const T by_along = light * e.kappa * e.along, by_kappa = half * light * e.along * e.along;
      const T by_norm2 = -(e.per_norm2 * (half * light + by_kappa * e.kappa));
      out.y = by_along * z - light * y;
      out.z = by_along * y + (two * band2 * by_norm2) * z;
      adjoints.bandwidth2 = adjoints.bandwidth2 + by_kappa * e.per_norm2 + by_norm2 * e.zz;
    }
    return out;
  }
  // What a slice goes through is undone from its end
  const Vec3<T>& v = p.v;
  adjoints.half_slice = adjoints.half_slice + by_half * e.root;
  const T by_centre = by_x + light * e.centre;
  const auto held_above = !(e.wanted < e.limit), held_below = !(-e.limit < e.wanted);
  const T by_wanted = select(held_above, none, select(held_below, none, by_centre));
  const T by_begins = by_wanted * e.per_root;
  const T by_limit = select(held_above, by_centre, select(held_below, -by_centre, none));
  const T by_root = by_half * number<T>(s.half_slice) + by_x * p.at - by_begins * e.centre;
  T by_narrower = by_begins * e.ahead;
  const T by_x1 = by_begins * e.narrower + (by_limit * inverse_of(e.limit) - light) * e.ahead;
  out.at = by_x * e.root - by_x1 * e.narrower;
  const T by_precision = half * by_root * e.per_root, narrower2 = e.narrower * e.narrower;
  const auto follows = e.least < e.precision;
  const T by_stretch = select(follows, by_precision, none);
  const T by_narrower2 = select(follows, by_precision, T(least_precision) * by_precision);
  adjoints.stretch = adjoints.stretch + by_stretch * v;
  adjoints.lean = adjoints.lean + by_begins * Vec3<T>{v.x * v.x, v.y * v.y, v.z * v.z};
  adjoints.lean_across = adjoints.lean_across +
                         by_begins * Vec3<T>{v.y * v.z, v.z * v.x, v.x * v.y};
  const auto as_vector = [](const Vec3<Real>& u) {
    return Vec3<T>{number<T>(u.x), number<T>(u.y), number<T>(u.z)};
  };
  const Vec3<T> lean = as_vector(s.lean), across = as_vector(s.lean_across);
  out.v = by_stretch * as_vector(s.stretch) +
          by_begins * Vec3<T>{two * lean.x * v.x + across.z * v.y + across.y * v.z,
                              two * lean.y * v.y + across.x * v.z + across.z * v.x,
                              two * lean.z * v.z + across.y * v.x + across.x * v.y};
  adjoints.tilt.z = adjoints.tilt.z + by_begins;
  if (diverges) {
    const Vec3<T> turning = as_vector(s.turning_lean);
    const T by_turn = by_begins * p.at;
    out.v = out.v + by_turn * turning;
    out.at = out.at + by_begins * dot(turning, v) + by_stretch * number<T>(s.turning_stretch) -
             light * number<T>(s.turning_tilt);
    adjoints.turning_lean = adjoints.turning_lean + by_turn * v;
    adjoints.turning_stretch = adjoints.turning_stretch + by_stretch * p.at;
    adjoints.turning_tilt = adjoints.turning_tilt - (light * p.at + by_begins);
  }
  if constexpr (!band) {
    out.y = {-light * y.x, -light * y.y, by_x1};
    return out;
  } else {
    by_narrower = by_narrower - by_x1 * p.at;
    const T by_xi = by_x1 * e.narrower;
    // of the logarithm of the ratio of across2 to norm2
    const T by_ratio = half * (by_x1 * e.x1 + by_narrower * e.narrower) + by_narrower2 * narrower2;
    const T by_kappa = half * light * e.along * e.along - by_xi * z.z * e.along;
    const T by_along = light * e.kappa * e.along - by_xi * e.kappa * z.z;
    const T by_norm2 = -(e.per_norm2 * (half * light + by_ratio));
    const T by_across2 = e.per_across2 * (by_ratio - by_kappa * e.kappa) + by_norm2;
    out.y = {by_along * z.x - light * y.x, by_along * z.y - light * y.y, by_xi};
    out.z = {by_along * y.x + two * band2 * by_across2 * z.x,
             by_along * y.y + two * band2 * by_across2 * z.y,
             two * band2 * by_norm2 * z.z - by_xi * e.kappa * e.along};
    adjoints.bandwidth2 = adjoints.bandwidth2 + by_kappa * e.per_across2 + by_across2 * e.zz +
                          by_norm2 * z.z * z.z;
    return out;
  }
}

}  // namespace detail

/// `weight`: adjoint of the value.  Adds to the adjoints that for_each_used_number() walks over.
template <bool band, bool slice, bool second, class T, class Real>
NABLA_INLINE PulledBackPoint<T> pull_back_spot_value(const GaussianSpot<Real>& s, const Vec3<T>& d,
                                                     const T& weight, bool diverges, bool narrow,
                                                     GaussianSpot<T>& adjoints) {
  using std::exp;
  using std::sqrt;
  const auto as = [](const auto& x) { return number<T>(x); };
  const auto as_vector = [&](const Vec3<Real>& v) { return Vec3<T>{as(v.x), as(v.y), as(v.z)}; };
  const auto back = [&](const Mat3<Real>& m, const Vec3<T>& v) {
    return v.x * as_vector(m.a) + v.y * as_vector(m.b) + v.z * as_vector(m.c);
  };
  const auto add = [](auto& to, const auto& more) { to = to + more; };
  const T none(0), band2 = as(s.bandwidth2);

  const SpotPoint<T> p = spot_point<band, slice, second>(s, d, diverges);
  const SpotExponents<T> e = spot_exponents<band, slice>(s, p, diverges);
  PulledBackPoint<T> out;
  out.value = exp(T(-0.5f) * e.chi2 + p.log_tilt);
  if constexpr (band) out.value = out.value * sqrt(e.per_norm2);
  T by_x = none, by_half = none;
  if constexpr (slice) {
    const BoxGaussian<T> box = narrow ? narrow_box_gaussian_slopes(e.x, e.half_slice)
                                      : wide_box_gaussian_slopes(e.x, e.half_slice);
    by_x = weight * out.value * box.by_x;
    by_half = weight * out.value * box.by_r;
    out.value = out.value * box.value;
  }
  const T light = weight * out.value;
  const auto by = detail::pull_back_exponents<band, slice>(s, p, e, light, by_x, by_half, diverges,
                                                           adjoints);
  Vec3<T> y = by.y, z = by.z;

  if constexpr (!second) {
    if constexpr (band) {
      add(y, z);
      add(adjoints.whitened_g, z);
    }
    detail::add_outer(adjoints.whiten, y, d);
    out.d = back(s.whiten, y);
    return out;
  } else {
    const Vec3<T> zero{none, none, none};
    Vec3<T> moved = zero;
    T phi = none;
    if constexpr (band) {
      add(y, z);
      add(adjoints.whitened_g, z);
      Vec3<T> where = p.across;
      if (diverges) add(where, p.deflected);
      detail::add_outer(adjoints.whiten, -z, where);
      moved = -back(s.whiten, z);
      if constexpr (slice) {
        phi = -(as(s.turn_length) * z.z);
        adjoints.turn_length = adjoints.turn_length - p.phi * z.z;
      }
    }
    // y = y1 + L E
    detail::add_outer(adjoints.whiten, y, p.E);
    const Vec3<T> E = back(s.whiten, y);
    // E = w x lag + phi (phi bend - spindle x (d - deflected)) + |deflected|^2 shortening,
    // lag = across/2 + phi turn - (d - deflected)
    Vec3<T> w = cross(p.lag, E);
    const Vec3<T> lag = cross(E, p.w);
    out.d = -lag;
    if constexpr (slice) {
      const Vec3<T> from_mean = diverges ? d - p.deflected : d, turned = cross(E, from_mean);
      phi = phi + T(2) * p.phi * dot(E, as_vector(s.bend)) + dot(lag, as_vector(s.turn)) +
            dot(turned, as_vector(s.spindle));
      add(adjoints.bend, (p.phi * p.phi) * E);
      add(adjoints.turn, p.phi * lag);
      add(adjoints.spindle, p.phi * turned);
      add(out.d, p.phi * cross(as_vector(s.spindle), E));
    }
    Vec3<T> deflected = zero;
    if (diverges) {
      deflected = (T(2) * dot(E, as_vector(s.shortening))) * p.deflected - out.d;
      if constexpr (band) add(deflected, moved);
      add(adjoints.shortening, dot(p.deflected, p.deflected) * E);
    }
    // across = w x g
    Vec3<T> across = T(0.5f) * lag;
    if constexpr (band) add(across, moved);
    add(w, cross(as_vector(s.g), across));
    add(adjoints.g, cross(across, p.w));
    // w, deflected and tilt of v
    detail::add_outer(adjoints.rotation, w, p.v);
    Vec3<T> v = by.v + back(s.rotation, w) - light * as_vector(s.tilt);
    add(adjoints.tilt, -(light * p.v));
    if (diverges) {
      detail::add_outer(adjoints.deflection, deflected, p.v);
      add(v, back(s.deflection, deflected));
    }
    // v = free - kappa1 (z1 . free) z1
    Vec3<T> free = v, z1 = zero;
    if constexpr (band) {
      const T by_z = dot(v, p.z1), by_kappa = -(p.along1 * by_z), by_along = -(p.kappa1 * by_z);
      const T by_norm2 = -(by_kappa * p.kappa1) * p.per_norm1;
      add(free, by_along * p.z1);
      z1 = by_along * p.free - (p.kappa1 * p.along1) * v + (T(2) * band2 * by_norm2) * p.z1;
      adjoints.bandwidth2 = adjoints.bandwidth2 + by_kappa * p.per_norm1 +
                            by_norm2 * dot(p.z1, p.z1);
    }
    // free = y1 - at e3; phi = at/turn_length
    Vec3<T> y1 = y + free;
    if constexpr (slice) {
      const T by_at = by.at + phi * as(s.per_turn_length) - free.z, limit = as(s.half_slice);
      adjoints.per_turn_length = adjoints.per_turn_length + phi * p.at;
      const auto below = !(-limit < p.at), above = !(p.at < limit);
      const T inside = select(below, none, select(above, none, by_at));
      adjoints.half_slice = adjoints.half_slice + select(below, -by_at, select(above, by_at, none));
      y1.z = y1.z + inside;
      if constexpr (band) {
        const Vec3<T>&yy = p.y1, &zz = p.z1;
        const T across2 = zz.x * zz.x + zz.y * zz.y,
                per_norm2 = inverse_of(T(T(1) + band2 * across2)), kappa = band2 * per_norm2,
                along = zz.x * yy.x + zz.y * yy.y;
        const T by_along = -(inside * kappa * zz.z), by_kappa = -(inside * zz.z * along),
                by_norm2 = -(by_kappa * kappa) * per_norm2, twice = T(2) * band2 * by_norm2;
        y1.x = y1.x + by_along * zz.x;
        y1.y = y1.y + by_along * zz.y;
        add(z1, Vec3<T>{by_along * yy.x + twice * zz.x, by_along * yy.y + twice * zz.y,
                        -(inside * kappa * along)});
        adjoints.bandwidth2 = adjoints.bandwidth2 + by_kappa * per_norm2 + by_norm2 * across2;
      }
    }
    if constexpr (band) {
      add(y1, z1);
      add(adjoints.whitened_g, z1);
    }
    detail::add_outer(adjoints.whiten, y1, d);
    add(out.d, back(s.whiten, y1));
    return out;
  }
}

/// From the adjoints of a prepared spot to those of its source; `peak`: that of the logarithm of
/// PreparedSpot::peak.
template <class Real>
GaussianSpotSource<Real> pull_back_source(const GaussianSpotSource<Real>& of,
                                          const PreparedSpot<Real>& at,
                                          const GaussianSpot<Real>& adjoints,
                                          const Vec3<Real>& offset, const Real& peak) {
  using Vec = Vec3<Real>;
  using Mat = Mat3<Real>;
  const auto add = [](auto& to, const auto& more) { to = to + more; };
  const Real half(0.5), two(2);
  const GaussianSpot<Real>& s = at.spot;
  const Mat &S = of.mosaic, &L = s.whiten;
  // What prepare_spot() goes through
  const Mat G = cross_matrix(of.g), arcs = S * transposed(G), SG = S * G;
  const Real k2 = dot(of.incident, of.incident);
  const Mat D = k2 * of.divergence;
  const Mat C = of.shape + G * arcs + D + of.pixel, M = inverse(C);
  const Mat open = S - arcs * M * G * S;

  GaussianSpotSource<Real> out;
  Mat to_L = adjoints.whiten, to_C{}, to_M{}, to_S{}, to_G{}, to_D{}, to_arcs{},
      to_rotation = adjoints.rotation;
  Vec to_g = adjoints.g, to_turn = adjoints.turn, to_spindle = adjoints.spindle;
  Real to_k2(0);
  const auto untwisted = [](const Vec& v) { return transposed(cross_matrix(v)); };

  // The peak
  add(out.shape, half * peak * inverse(of.shape));
  add(to_C, -half * peak * M);

  // The beam's direction
  const Mat seen = M * D;
  const Vec& shortening = s.shortening;
  Mat to_seen{};
  Vec to_shortening = adjoints.shortening;
  {
    const Real to_trace = dot(offset, shortening);
    add(to_shortening, trace(D - D * seen) * offset);
    add(to_D, to_trace * (Mat::identity() - seen - transposed(seen)));
    add(to_M, -to_trace * (D * D));
    const Mat to_twisted = Real(-1) * untwisted(offset);
    add(to_S, to_twisted * transposed(Mat(G * seen)));
    add(to_G, transposed(S) * to_twisted * transposed(seen));
    add(to_seen, transposed(SG) * to_twisted);

    const Vec &tilt = adjoints.tilt, q1 = M * shortening, q2 = D * q1, q3 = D * q2;
    add(to_L, outer(Vec(-two * tilt), q3));
    const Vec to_q3 = -two * transposed_times(L, tilt), to_q2 = D * to_q3, to_q1 = D * to_q2;
    add(to_D, outer(to_q3, q2) + outer(to_q2, q1));
    add(to_M, outer(to_q1, shortening));
    add(to_shortening, M * to_q1);
    add(to_rotation, Real(-1) * outer(twist(seen), tilt));
    add(to_seen, untwisted(-(s.rotation * tilt)));

    add(to_D, adjoints.deflection * L);
    add(to_L, transposed(adjoints.deflection) * D);
    add(to_M, to_seen * D);
    add(to_D, M * to_seen);
    out.incident = (half / k2) * to_shortening;
    to_k2 = -dot(to_shortening, shortening) / k2;
  }

  // The tilt
  {
    const Vec twisted = twist(arcs * M);
    add(to_L, outer(adjoints.tilt, of.shape * twisted));
    const Vec shaped = transposed_times(L, adjoints.tilt);
    add(out.shape, outer(shaped, twisted));
    const Mat to_product = untwisted(of.shape * shaped);
    add(to_arcs, to_product * M);
    add(to_M, transposed(arcs) * to_product);
  }

  // The offset
  {
    const Mat to_open = half * (outer(offset, of.g) - dot(offset, of.g) * Mat::identity());
    add(to_g, half * (transposed_times(open, offset) - trace(open) * offset));
    const Mat GS = G * S, MGS = M * GS;
    add(to_S, to_open);
    add(to_arcs, Real(-1) * (to_open * transposed(MGS)));
    const Mat to_MGS = Real(-1) * (transposed(arcs) * to_open);
    add(to_M, to_MGS * transposed(GS));
    add(to_G, M * to_MGS * transposed(S));
    add(to_S, transposed(Mat(M * G)) * to_MGS);
  }

  // The rotation, the whitened g
  add(to_S, to_rotation * L * transposed(G));
  add(to_G, transposed(S) * to_rotation * L);
  add(to_L, transposed(to_rotation) * SG);
  add(to_L, outer(adjoints.whitened_g, of.g));
  add(to_g, transposed_times(L, adjoints.whitened_g));

  // What it does beyond first order
  const bool turns = s.turn_length > Real(0);
  Real to_per_turn_length = adjoints.per_turn_length;
  if (turns) {
    const Real per = s.per_turn_length, per2 = per * per;
    const SecondTurn<Real> turn = second_turn(of, s, M);
    const Vec &e = turn.deflecting, &p = turn.precise;
    const Vec &x = adjoints.lean, &y = adjoints.lean_across;
    const Mat to_lean{{x.x, y.z, y.y}, {y.z, x.y, y.x}, {y.y, y.x, x.z}};
    const Vec to_b = per2 * transposed_times(L, adjoints.stretch);
    const Mat to_N = per * (transposed(L) * to_lean * L);
    add(to_L, outer(Vec(per2 * adjoints.stretch), turn.stretch) +
                  outer(Vec(per2 * adjoints.turning_lean), turn.turning_lean) +
                  per * (to_lean * L * (turn.lean + transposed(turn.lean))));
    add(to_per_turn_length, Real((two * (dot(adjoints.stretch, s.stretch) +
                                         dot(adjoints.turning_lean, s.turning_lean)) +
                                  dot(x, s.lean) + dot(y, s.lean_across) +
                                  Real(3) * adjoints.turning_stretch * s.turning_stretch +
                                  adjoints.turning_tilt * s.turning_tilt) /
                                 per));
    // turning_tilt = spindle . twist(M D)
    const Real to_tilt = per * adjoints.turning_tilt;
    const Mat to_twisted = untwisted(to_tilt * of.spindle);
    add(to_spindle, to_tilt * twist(seen));
    add(to_M, to_twisted * D);
    add(to_D, M * to_twisted);
    // turning_stretch = 2 p . turning_lean, turning_lean = e x spindle
    const Real to_turning = two * per * per2 * adjoints.turning_stretch;
    const Vec to_turning_lean = per2 * transposed_times(L, adjoints.turning_lean) + to_turning * p;
    Vec to_p = to_turning * turn.turning_lean, to_e = cross(of.spindle, to_turning_lean);
    add(to_spindle, cross(to_turning_lean, e));
    // N = [both]x shape + (G^T [between]x + [e]x) S G - 2 shortening (D e)^T
    const Vec De = D * e;
    Vec to_both = -twist(to_N * of.shape), to_De = -two * transposed_times(to_N, shortening);
    Vec to_short = -two * (to_N * De);
    add(out.shape, transposed(cross_matrix(turn.both)) * to_N);
    const Mat between = cross_matrix(turn.between), to_Q = G * to_N;
    add(to_G, between * SG * transposed(to_N));
    Vec to_between = -twist(to_Q * transposed(SG));
    add(to_e, -twist(to_N * transposed(SG)));
    const Mat to_SG = transposed(between) * to_Q + transposed(cross_matrix(e)) * to_N;
    add(to_S, to_SG * transposed(G));
    add(to_G, transposed(S) * to_SG);
    // stretch = bent + 2 shape (p x both) + 2 g x S lever - 4 (p . shortening) D e,
    // lever = between x arm + e x p
    add(out.shape, outer(Vec(two * to_b), cross(p, turn.both)));
    const Vec to_cross = two * (of.shape * to_b), to_levered = two * cross(to_b, of.g),
              to_lever = transposed_times(S, to_levered);
    const Real by_De = Real(4) * dot(De, to_b);
    add(to_p, cross(turn.both, to_cross) + cross(to_lever, e) - by_De * shortening);
    add(to_both, cross(to_cross, p));
    add(to_g, two * cross(S * turn.lever, to_b));
    add(to_S, outer(to_levered, turn.lever));
    add(to_between, cross(turn.arm, to_lever));
    Vec to_arm = cross(to_lever, turn.between);
    add(to_e, cross(p, to_lever));
    add(to_short, -by_De * p);
    add(to_De, -Real(4) * dot(p, shortening) * to_b);
    // bent = with x (with x g + 2 turn) + spindle x turn + 2 both x e + 2 e^2 shortening
    const Vec inner = cross(turn.with, of.g) + two * s.turn, to_inner = cross(to_b, turn.with);
    Vec to_with = cross(inner, to_b) + cross(of.g, to_inner);
    add(to_g, cross(to_inner, turn.with));
    add(to_turn, two * to_inner + cross(to_b, of.spindle));
    add(to_both, two * cross(e, to_b));
    add(to_e, two * cross(to_b, turn.both) + Real(4) * dot(shortening, to_b) * e + D * to_De);
    add(to_short, two * dot(e, e) * to_b);
    add(to_D, outer(to_De, e));
    add(to_spindle, cross(s.turn, to_b) + to_both + to_between);
    add(to_with, to_both + half * to_between);
    // e = -D p; with = -S arm, arm = g x p, p = M turn
    add(to_D, Real(-1) * outer(to_e, p));
    add(to_p, -(D * to_e));
    add(to_S, Real(-1) * outer(to_with, turn.arm));
    add(to_arm, -transposed_times(S, to_with));
    add(to_g, cross(p, to_arm));
    add(to_p, cross(to_arm, of.g));
    add(to_M, outer(to_p, s.turn));
    add(to_turn, M * to_p);
    add(out.incident, (half / k2) * to_short);
    to_k2 = to_k2 - dot(to_short, shortening) / k2;
  }

  // The turn
  add(to_spindle, half * cross(s.turn, adjoints.bend));
  add(to_turn, half * cross(adjoints.bend, of.spindle));
  if (turns) {
    const Real T = s.turn_length;
    const Real to_turn2 = (adjoints.turn_length - to_per_turn_length / (T * T) +
                           adjoints.half_slice * of.half_slice) /
                          (two * T);
    out.half_slice = adjoints.half_slice * T;
    add(to_turn, two * to_turn2 * (M * s.turn));
    add(to_M, to_turn2 * outer_square(s.turn));
  }

  // The whitening's rows
  {
    const Vec third = whitening_axis(s, turns), aside = aside_of(third);
    Vec to_third{};
    const auto pull_back_normed = [&](const Vec& row, const Vec& adjoint) {
      using std::sqrt;
      const Vec weighted = C * row;
      const Real norm = Real(1) / sqrt(dot(row, weighted)), to_norm = dot(adjoint, row),
                 cubed = norm * norm * norm;
      add(to_C, Real(-half * to_norm * cubed) * outer_square(row));
      return Vec(norm * adjoint - Real(to_norm * cubed) * weighted);
    };
    const Vec to_m = pull_back_normed(M * third, to_L.c);
    add(to_M, outer(to_m, third));
    add(to_third, M * to_m);
    const Vec weighted = C * L.a, to_n2 = pull_back_normed(cross(third, weighted), to_L.b),
              to_weighted = cross(to_n2, third);
    add(to_third, cross(weighted, to_n2));
    add(to_C, outer(to_weighted, L.a));
    const Vec to_n1 = pull_back_normed(cross(third, aside), to_L.a + C * to_weighted);
    add(to_third, cross(aside, to_n1));
    if (turns) add(to_turn, to_third);
  }

  // The covariance
  add(to_C, Real(-1) * (M * to_M * M));
  add(out.shape, to_C);
  out.pixel = to_C;
  add(to_D, to_C);
  add(to_G, to_C * transposed(arcs));
  add(to_arcs, transposed(G) * to_C);
  add(to_S, to_arcs * G);
  add(to_G, transposed(to_arcs) * S);

  out.mosaic = to_S;
  out.divergence = k2 * to_D;
  to_k2 = to_k2 + dot(to_D.a, of.divergence.a) + dot(to_D.b, of.divergence.b) +
          dot(to_D.c, of.divergence.c);
  add(out.incident, two * to_k2 * of.incident);
  out.spindle = to_spindle + cross(of.g, to_turn);
  out.g = to_g - twist(to_G) + cross(to_turn, of.spindle);
  out.bandwidth2 = adjoints.bandwidth2;
  return out;
}

}  // namespace nablabragg::physics
