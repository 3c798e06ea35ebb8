// Plans as vectors: the gradient of a plan has the same numbers, and so has a tangent.
#pragma once
#include <tuple>
#include "plan/plan.hpp"

namespace nablabragg {

template <class F, class... Vectors>
NABLA_INLINE void for_each_component(F&& f, Vectors&... v) {
  f(v.x...);
  f(v.y...);
  f(v.z...);
}

/// Calls f with the same number of each of some plans, once for each number that images depend on
/// smoothly; rays, orientations and structure factors aside.  The arguments are BasicPlanNumbers of
/// any number types.
template <class F, class... Numbers>
NABLA_INLINE void for_each_number(F&& f, Numbers&... p) {
  for_each_component(f, p.frame.origin...);
  for_each_component(f, p.frame.fast...);
  for_each_component(f, p.frame.slow...);
  for_each_component(f, p.frame.normal...);
  f(p.frame.pixel...);
  f(p.frame.subpixel...);
  f(p.frame.close_distance...);
  for_each_component(f, p.frame.beam...);
  f(p.frame.radius...);
  f(p.frame.beam_fast...);
  f(p.frame.beam_slow...);
  f(p.sensor.layer_step...);
  f(p.sensor.absorption_per_m...);
  for_each_component(f, p.lattice.cells...);
  f(p.lattice.fudge...);
  f(p.lattice.metric.aa...);
  f(p.lattice.metric.bb...);
  f(p.lattice.metric.cc...);
  f(p.lattice.metric.ab...);
  f(p.lattice.metric.bc...);
  f(p.lattice.metric.ca...);
  f(p.default_F...);
  f(p.polarization_fraction...);
  f(p.scale...);
  f(p.starting_sum...);
  f(p.background_per_sr...);
}

template <class F, class... Rays>
NABLA_INLINE void for_each_number_of_ray(F&& f, Rays&... r) {
  for_each_component(f, r.incident...);
  for_each_component(f, r.magnetic...);
  f(r.wavenumber...);
  f(r.weight...);
}

template <class F, class... Matrices>
NABLA_INLINE void for_each_number_of_axes(F&& f, Matrices&... m) {
  for_each_component(f, m.a...);
  for_each_component(f, m.b...);
  for_each_component(f, m.c...);
}

/// All of the plans' numbers, rays and orientations included.
template <class F, class... Plans>
void for_each_number_of_plan(F&& f, Plans&... plans) {
  for_each_number(f, plans...);
  const auto& first = std::get<0>(std::tie(plans...));
  for (std::size_t i = 0; i < first.rays.size(); ++i) for_each_number_of_ray(f, plans.rays[i]...);
  for (std::size_t i = 0; i < first.orientations.size(); ++i)
    for_each_number_of_axes(f, plans.orientations[i]...);
}

/// Numbers that are all zero, of any number type.
template <class Real>
NABLA_INLINE BasicPlanNumbers<Real> zero_numbers() {
  BasicPlanNumbers<Real> zero;
  for_each_number([](Real& x) { x = Real(0); }, zero);
  return zero;
}

/// A plan with as many rays and orientations as `like`, all numbers zero.
template <class AnyPlan>
Plan zero_plan(const AnyPlan& like) {
  Plan zero;
  static_cast<PlanNumbers&>(zero) = zero_numbers<double>();
  zero.rays.assign(like.rays.size(), PlanRay{{}, {}, 0, 0});
  zero.orientations.assign(like.orientations.size(), Mat3d{});
  return zero;
}

}  // namespace nablabragg
