// Where the sub-pixels of a panel lie, and what of their light the panel takes: for numbers, SIMD
// lanes and GPU threads.
#pragma once
#include <cmath>
#include "physics/detection.hpp"
#include "physics/lane.hpp"
#include "physics/rotation.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// Where the sub-pixel lies and what it sees of the sensor.
template <class T>
struct BasicSubPixel {
  int layer = 0, sub_slow = 0, sub_fast = 0;
  T fast{0}, slow{0};  ///< on the panel [m]
  Vec3<T> position;    ///< from the sample [m]
  T distance{0};
  Vec3<T> direction;
};
using SubPixel = BasicSubPixel<double>;

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

template <class Real, class T>
NABLA_INLINE void place(const BasicPanelNumbers<Real>& panel, double oversample, const T& fast,
                        const T& slow, BasicSubPixel<T>& at) {
  const auto& f = panel.frame;
  at.fast = T(f.subpixel) * (fast * T(oversample) + T(double(at.sub_fast))) +
            T(f.subpixel / Real(2.0));
  at.slow = T(f.subpixel) * (slow * T(oversample) + T(double(at.sub_slow))) +
            T(f.subpixel / Real(2.0));
  const Real deep = panel.sensor.layer_step * Real(double(at.layer));
  at.position = flat_position(f, deep, at.fast, at.slow);
  if (f.curvature != Curvature::flat) [[unlikely]]
    at.position = curved_position(f, deep, at.position, at.fast, at.slow);
  at.distance = length(at.position);
  at.direction = (T(1) / at.distance) * at.position;
}

/// From `near`, one over the distance; `depth`: how far behind the front of the sensor.
template <class Real, class T>
NABLA_INLINE T solid_angle(const BasicPlanFrame<Real>& f, const T& near, const Real& depth) {
  switch (f.solid_angle) {
    case SolidAngle::oblique:
      return physics::number<T>(f.area * (f.close_distance + depth)) * near * near * near;
    case SolidAngle::facing:
      return physics::number<T>(f.area) * near * near;
    case SolidAngle::per_area:
      break;
  }
  return near * near;
}

/// Cosine of the angle at which light meets the sensor.
template <class Real, class T>
NABLA_INLINE T obliquity(const BasicPlanFrame<Real>& f, const Vec3<T>& direction) {
  return f.curvature == Curvature::spherical ? T(1) : dot(direction, vec3_as<T>(f.normal));
}

}  // namespace nablabragg::engine
