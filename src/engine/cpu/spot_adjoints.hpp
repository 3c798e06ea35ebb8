// Spots of the sensor in lanes, and the first of them that polarizes a pixel.
// For the files that are compiled once for each instruction set, like lanes.hpp.
#pragma once
#include "engine/cpu/adjoint_lanes.hpp"
#include "engine/light_adjoints.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

template <class W>
HWY_NOINLINE void locate(const CpuPlan& p, const W& fast, const W& slow, BasicSubPixel<W>& at) {
  place(*p.panel, p.plan->oversample, fast, slow, at);
}

template <class T>
NABLA_INLINE SensorSpot<T> spot_of(const BasicSubPixel<Wide<T>>& at) {
  return {shaped<T>(at.fast), shaped<T>(at.slow), shaped<T>(Wide<T>(1) / at.distance),
          shaped<T>(at.direction), at.layer};
}

/// Is the light of a beam not cut off by -dmin here?  As a mask of T's lanes.
template <class T, class AnyRay>
NABLA_INLINE auto keeps(const Plan& plan, const AnyRay& ray, const Vec3<Wide<T>>& direction) {
  using W = Wide<T>;
  const auto kept = within_dmin(plan.dmin,
                                W(ray.wavenumber) * (direction - vec3_as<W>(ray.incident)));
  return shaped<T>(select(kept, W(1), W(0))) != T(0);
}

/// The first polarization factor found in a pixel, where one stands for all.
template <class T>
struct FirstPolarization {
  T factor;
  SensorSpot<T> spot;  ///< but for its layer, which find() finds lane by lane
  T layer;
  Vec3<T> incident, magnetic;
  T ray;    ///< its number
  T found;  ///< 1, or 0 where -dmin cuts off all of them: then nothing depends on it

  /// That of the first ray at the first sub-pixel.
  NABLA_INLINE void take_first(const Plan& plan, const SensorSpot<T>& first) {
    spot = first;
    found = T(1);
    incident = physics::constant<T>(plan.light.rays[0].incident);
    magnetic = physics::constant<T>(plan.light.rays[0].magnetic);
    factor = polarization_of(plan.light, incident, magnetic, spot.direction);
  }

  /// That of the first ray that -dmin does not cut off, another one in each pixel.
  HWY_NOINLINE void find(const CpuPlan& p, const Wide<T>& fast, const Wide<T>& slow) {
    const Plan& plan = *p.plan;
    factor = layer = ray = found = T(0);
    T open(1);
    BasicSubPixel<Wide<T>> at;
    for (at.layer = 0; at.layer < p.panel->sensor.layers; ++at.layer)
      for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
        for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
          locate(p, fast, slow, at);
          const SensorSpot<T> here = spot_of<T>(at);
          if (at.layer == 0 && at.sub_slow == 0 && at.sub_fast == 0) {
            // Where nothing is ever found, its light is none but its place must be one.
            spot = here;
            incident = physics::constant<T>(plan.light.rays[0].incident);
            magnetic = physics::constant<T>(plan.light.rays[0].magnetic);
          }
          for (size_t r = 0; r < plan.light.rays.size(); ++r) {
            const PlanRay& candidate = plan.light.rays[r];
            auto now = open != T(0);
            if (plan.background.per_sr == 0) now = now & keeps<T>(plan, candidate, at.direction);
            if (!any(now)) continue;
            const Vec3<T> i = physics::constant<T>(candidate.incident),
                          m = physics::constant<T>(candidate.magnetic);
            take(now, here.fast, spot.fast);
            take(now, here.slow, spot.slow);
            take(now, here.near, spot.near);
            take(now, here.direction, spot.direction);
            take(now, i, incident);
            take(now, m, magnetic);
            take(now, T(static_cast<float>(at.layer)), layer);
            take(now, T(static_cast<float>(r)), ray);
            take(now, polarization_of(plan.light, i, m, here.direction), factor);
            take(now, T(0), open);
            found = T(1) - open;
            if (!any(open != T(0))) return;
          }
        }
  }

 private:
  template <class Mask>
  static NABLA_INLINE void take(const Mask& where, const T& from, T& to) {
    to = select(where, from, to);
  }
  template <class Mask>
  static NABLA_INLINE void take(const Mask& where, const Vec3<T>& from, Vec3<T>& to) {
    take(where, from.x, to.x);
    take(where, from.y, to.y);
    take(where, from.z, to.z);
  }
};

}  // namespace nablabragg::engine::HWY_NAMESPACE
