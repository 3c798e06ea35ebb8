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
  Vec3<T> y, z;
};

/// `light`: adjoint of the value's logarithm, but for the slice, whose exponents' adjoints are
/// `by_x` and `by_half`.
template <bool band, bool slice, class T, class Real>
NABLA_INLINE ExponentAdjoints<T> pull_back_exponents(const GaussianSpot<Real>& s,
                                                     const SpotPoint<T>& p,
                                                     const SpotExponents<T>& e, const T& light,
                                                     const T& by_x, const T& by_half,
                                                     GaussianSpot<T>& adjoints) {
  const Vec3<T>&y = p.y, &z = p.z;
  const T none(0), half(0.5f), two(2), band2 = number<T>(s.bandwidth2);
  ExponentAdjoints<T> out{{none, none, none}, {none, none, none}};
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
  if constexpr (!band) {
    out.y = {-light * y.x, -light * y.y, by_x};
    adjoints.half_slice = adjoints.half_slice + by_half;
    return out;
  } else {
    const T by_xi = by_x * e.narrower;
    adjoints.half_slice = adjoints.half_slice + by_half * e.narrower;
    // of the logarithm of the ratio of across2 to norm2
    const T by_ratio = half * (by_x * e.x + by_half * e.half_slice);
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
  const SpotExponents<T> e = spot_exponents<band, slice>(s, p);
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
  const auto by = detail::pull_back_exponents<band, slice>(s, p, e, light, by_x, by_half, adjoints);
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
    Vec3<T> v = back(s.rotation, w) - light * as_vector(s.tilt);
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
      const T by_at = phi * as(s.per_turn_length) - free.z, limit = as(s.half_slice);
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

  // The turn
  add(to_spindle, half * cross(s.turn, adjoints.bend));
  add(to_turn, half * cross(adjoints.bend, of.spindle));
  const bool turns = s.turn_length > Real(0);
  if (turns) {
    const Real T = s.turn_length;
    const Real to_turn2 = (adjoints.turn_length - adjoints.per_turn_length / (T * T) +
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
