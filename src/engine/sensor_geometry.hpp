// Where the sub-pixels of a panel lie, and what of their light the panel takes: for numbers, SIMD
// lanes and GPU threads.
#pragma once
#include <cmath>
#include "physics/detection.hpp"
#include "physics/lane.hpp"
#include "plan/panel_positions.hpp"
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
