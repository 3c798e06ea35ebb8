// The squared radius of a spot around its lattice point, in units of its width.
#pragma once
#include "nablabragg/vec3.hpp"
#include "physics/lane.hpp"

namespace nablabragg::physics {

/// Symmetric 3x3 form; rad2 = d . M d is the squared radius of a spot in units of its width.
template <class T>
struct SpotMetric {
  T aa, bb, cc, ab, bc, ca;
};

template <class F, class... Metrics>
NABLA_INLINE void for_each_number_of_metric(F&& f, Metrics&... m) {
  f(m.aa...);
  f(m.bb...);
  f(m.cc...);
  f(m.ab...);
  f(m.bc...);
  f(m.ca...);
}

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

template <class T, class Real>
NABLA_INLINE SpotMetric<T> metric_as(const SpotMetric<Real>& m) {
  const auto as = [](const Real& x) { return number<T>(x); };
  return {as(m.aa), as(m.bb), as(m.cc), as(m.ab), as(m.bc), as(m.ca)};
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

}  // namespace nablabragg::physics
