// Where the points of a planned panel are, flat or bent: for numbers, SIMD lanes and GPU threads.
#pragma once
#include "physics/lane.hpp"
#include "physics/rotation.hpp"
#include "plan/plan.hpp"

namespace nablabragg {

/// Of a flat panel; `deep`: in the sensor [m].
template <class Real, class T>
NABLA_INLINE Vec3<T> flat_position(const BasicPlanFrame<Real>& f, const Real& deep, const T& fast,
                                   const T& slow) {
  return fast * vec3_as<T>(f.fast) + slow * vec3_as<T>(f.slow) + T(deep) * vec3_as<T>(f.normal) +
         vec3_as<T>(f.origin);
}

/// How a point of a curved panel is reached: from one on the beam, by two rotations [rad].
template <class T>
struct Bend {
  Vec3<T> from;
  T about_slow, about_fast;
};

/// Of the point that is `flat` on the flat panel.
template <class Real, class T>
NABLA_INLINE Bend<T> bend_of(const BasicPlanFrame<Real>& f, const Real& deep, const Vec3<T>& flat,
                             const T& fast, const T& slow) {
  if (f.curvature == Curvature::spherical)
    return {vec3_as<T>((f.curvature_radius + deep) * f.beam),
            T(f.handedness) * (fast - T(f.beam_fast)) / T(f.curvature_radius),
            T(-f.handedness) * (slow - T(f.beam_slow)) / T(f.curvature_radius)};
  return {vec3_as<T>(f.curvature_radius * f.beam), flat.y / T(f.curvature_radius),
          flat.z / T(f.curvature_radius)};
}

/// Where a point of the flat panel comes to lie on a curved one.  Out of line, as it is rare and
/// long.
template <class Real, class T>
NABLA_NOINLINE Vec3<T> curved_position(const BasicPlanFrame<Real>& f, const Real& deep,
                                       Vec3<T> flat, T fast, T slow) {
  const Bend<T> bend = bend_of(f, deep, flat, fast, slow);
  return physics::rotate_about(
      physics::rotate_about(bend.from, vec3_as<T>(f.slow), bend.about_slow), vec3_as<T>(f.fast),
      bend.about_fast);
}

}  // namespace nablabragg
