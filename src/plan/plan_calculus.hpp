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

/// Calls f with the same number of each of some panels, once for each number that images depend on
/// smoothly, of any number types; so do the others for their parts.
template <class F, class... Panels>
NABLA_INLINE void for_each_number_of_panel(F&& f, Panels&... p) {
  for_each_component(f, p.frame.origin...);
  for_each_component(f, p.frame.fast...);
  for_each_component(f, p.frame.slow...);
  for_each_component(f, p.frame.normal...);
  f(p.frame.area...);
  f(p.frame.subpixel...);
  f(p.frame.close_distance...);
  for_each_component(f, p.frame.beam...);
  f(p.frame.curvature_radius...);
  f(p.frame.beam_fast...);
  f(p.frame.beam_slow...);
  f(p.sensor.layer_step...);
  f(p.sensor.absorption_per_m...);
}

/// Orientations and structure factors aside.
template <class F, class... Lattices>
NABLA_INLINE void for_each_number_of_lattice(F&& f, Lattices&... l) {
  for_each_component(f, l.cells...);
  f(l.fudge...);
  physics::for_each_number_of_metric(f, l.metric...);
  f(l.default_F...);
}

/// Rays aside.
template <class F, class... Lights>
NABLA_INLINE void for_each_number_of_light(F&& f, Lights&... l) {
  f(l.polarization_fraction...);
}

/// Of what all parts share.
template <class F, class... Numbers>
NABLA_INLINE void for_each_shared_number(F&& f, Numbers&... p) {
  f(p.scale...);
  f(p.background.starting_sum...);
  f(p.background.per_sr...);
}

/// The arguments are BasicPixelNumbers.
template <class F, class... Numbers>
NABLA_INLINE void for_each_number(F&& f, Numbers&... p) {
  for_each_number_of_panel(f, p.panel...);
  for_each_number_of_lattice(f, p.lattice...);
  for_each_number_of_light(f, p.light...);
  for_each_shared_number(f, p...);
}

/// The same for a plan, with one of its panels, and BasicPixelNumbers.
template <class F, class AnyPlan, class Numbers>
NABLA_INLINE void for_each_number_at(F&& f, AnyPlan& plan, std::size_t panel, Numbers& p) {
  for_each_number_of_panel(f, plan.panels[panel], p.panel);
  for_each_number_of_lattice(f, plan.lattice, p.lattice);
  for_each_number_of_light(f, plan.light, p.light);
  for_each_shared_number(f, plan, p);
}

template <class F, class... Rays>
NABLA_INLINE void for_each_number_of_ray(F&& f, Rays&... r) {
  for_each_component(f, r.incident...);
  for_each_component(f, r.magnetic...);
  f(r.wavenumber...);
  f(r.weight...);
}

template <class F, class... Materials>
NABLA_INLINE void for_each_number_of_material(F&& f, Materials&... m) {
  f(m.per_sr...);
  f(m.start...);
  f(m.end...);
  f(m.ring_middle...);
  f(m.ring_width...);
  f(m.ring_wavelength...);
}

/// What lies beyond the stencil aside.
template <class F, class... Diffuse>
NABLA_INLINE void for_each_number_of_diffuse(F&& f, Diffuse&... d) {
  physics::for_each_number_of_metric(f, d.displacement...);
  physics::for_each_number_of_metric(f, d.correlation...);
  f(d.peak...);
}

template <class F, class... Stops>
NABLA_INLINE void for_each_number_of_beamstop(F&& f, Stops&... s) {
  for_each_component(f, s.beam...);
  f(s.distance...);
  f(s.radius...);
  for_each_component(f, s.offset...);
  f(s.half_width...);
  for_each_component(f, s.arm...);
  f(s.transmission...);
}

template <class F, class... Matrices>
NABLA_INLINE void for_each_number_of_axes(F&& f, Matrices&... m) {
  for_each_component(f, m.a...);
  for_each_component(f, m.b...);
  for_each_component(f, m.c...);
}

template <class F, class... Spreads>
void for_each_number_of_spread(F&& f, Spreads&... s) {
  const auto& first = std::get<0>(std::tie(s...));
  for (std::size_t i = 0; i < first.mosaic.size(); ++i) for_each_number_of_axes(f, s.mosaic[i]...);
  for_each_number_of_axes(f, s.divergence...);
  f(s.bandwidth2...);
  for_each_component(f, s.spindle...);
  f(s.half_slice...);
}

template <class F, class... Lattices>
void for_each_number_of_further_lattice(F&& f, Lattices&... l) {
  const auto& first = std::get<0>(std::tie(l...));
  for_each_number_of_lattice(f, l.lattice...);
  for (std::size_t i = 0; i < first.lattice.orientations.size(); ++i)
    for_each_number_of_axes(f, l.lattice.orientations[i]...);
  for_each_number_of_spread(f, l.spread...);
  f(l.scale...);
}

/// Of plans, panels aside.
template <class F, class... Plans>
void for_each_number_besides_panels(F&& f, Plans&... plans) {
  const auto& first = std::get<0>(std::tie(plans...));
  for_each_number_of_lattice(f, plans.lattice...);
  for_each_number_of_light(f, plans.light...);
  for_each_shared_number(f, plans...);
  for (std::size_t i = 0; i < first.light.rays.size(); ++i)
    for_each_number_of_ray(f, plans.light.rays[i]...);
  for (std::size_t i = 0; i < first.lattice.orientations.size(); ++i)
    for_each_number_of_axes(f, plans.lattice.orientations[i]...);
  for (std::size_t i = 0; i < first.materials.size(); ++i)
    for_each_number_of_material(f, plans.materials[i]...);
  if (first.diffuse.present) {
    for_each_number_of_diffuse(f, plans.diffuse...);
    for (std::size_t i = 0; i < first.diffuse.outside.size(); ++i) f(plans.diffuse.outside[i]...);
  }
  if (first.beamstop.present) for_each_number_of_beamstop(f, plans.beamstop...);
  for_each_number_of_spread(f, plans.spread...);
  for (std::size_t i = 0; i < first.more_lattices.size(); ++i)
    for_each_number_of_further_lattice(f, plans.more_lattices[i]...);
}

/// All of the plans' numbers, panels, rays and orientations included.
template <class F, class... Plans>
void for_each_number_of_plan(F&& f, Plans&... plans) {
  const auto& first = std::get<0>(std::tie(plans...));
  for (std::size_t i = 0; i < first.panels.size(); ++i)
    for_each_number_of_panel(f, plans.panels[i]...);
  for_each_number_besides_panels(f, plans...);
}

/// Numbers that are all zero, of any number type.
template <class Real>
NABLA_INLINE BasicPixelNumbers<Real> zero_numbers() {
  BasicPixelNumbers<Real> zero;
  for_each_number([](Real& x) { x = Real(0); }, zero);
  return zero;
}

/// A plan with as many panels, rays and orientations as `like`, all numbers zero.
template <class AnyPlan>
Plan zero_plan(const AnyPlan& like) {
  Plan zero;
  zero.panels.resize(like.panels.size());
  zero.light.rays.resize(like.light.rays.size());
  zero.lattice.orientations.resize(like.lattice.orientations.size());
  zero.materials.resize(like.materials.size());
  zero.diffuse.present = like.diffuse.present;
  zero.diffuse.outside.resize(like.diffuse.outside.size());
  zero.beamstop.present = like.beamstop.present;
  zero.spread.mosaic.resize(like.spread.mosaic.size());
  for (const auto& further : like.more_lattices) {
    auto& made = zero.more_lattices.emplace_back();
    made.lattice.orientations.resize(further.lattice.orientations.size());
    made.spread.mosaic.resize(further.spread.mosaic.size());
  }
  for_each_number_of_plan([](double& x) { x = 0; }, zero);
  return zero;
}

}  // namespace nablabragg
