// The way back from the light of matter before a beamstop: for numbers and SIMD lanes.
#pragma once
#include "engine/beamstop_shadow.hpp"
#include "engine/material_adjoints.hpp"

namespace nablabragg::engine {

/// Through in_edges(); returns the adjoint of `across`.
template <class T>
NABLA_INLINE Vec3<T> pull_back_edges(const PlanBeamstop& stop, const Vec3<T>& across,
                                     const T& adjoint, BasicPlanBeamstop<T>& to) {
  using physics::not_zero;
  using physics::select;
  using std::sqrt;
  const auto as = [](double x) { return physics::constant<T>(x); };
  const Vec3<T> offset = vec3_as<T>(stop.offset);
  const T towards = dot(across, offset), size2 = dot(across, across), radius = as(stop.radius),
          room = radius * radius - dot(offset, offset),
          root = not_zero(sqrt(size2 * room + towards * towards));
  const T edges = (root - towards) / room;
  T of_disk = adjoint;
  Vec3<T> across_adjoint{T(0), T(0), T(0)};
  if (stop.half_width > 0) {
    const Vec3<T> arm = vec3_as<T>(stop.arm), beam = vec3_as<T>(stop.beam);
    const T beside = dot(across, cross(beam, arm)), per_m = as(1 / stop.half_width);
    const T of_arm = select(beside < T(0), -beside, beside) * per_m;
    const auto on_its_side = dot(across, arm) > T(0);
    const auto in_arm = on_its_side & (of_arm < edges);
    of_disk = select(in_arm, T(0), adjoint);
    const T arm_adjoint = adjoint - of_disk;
    const T beside_adjoint = select(beside < T(0), -arm_adjoint, arm_adjoint) * per_m;
    add(to.half_width, -arm_adjoint * of_arm * per_m);
    add(to.beam, beside_adjoint * cross(arm, across));
    add(to.arm, beside_adjoint * cross(across, beam));
    across_adjoint = beside_adjoint * cross(beam, arm);
  }
  const T per_room = of_disk / room, root_adjoint = per_room / root,
          towards_adjoint = root_adjoint * towards - per_room,
          room_adjoint = T(0.5) * root_adjoint * size2 - per_room * edges;
  add(to.radius, T(2) * radius * room_adjoint);
  add(to.offset, towards_adjoint * across + (T(-2) * room_adjoint) * offset);
  return across_adjoint + towards_adjoint * offset + (root_adjoint * room) * across;
}

/// Through shadow_begins(), where it follows the edge of the stop; `adjoint` is zero elsewhere.
/// Returns the adjoint of the position.
template <class T>
NABLA_INLINE Vec3<T> pull_back_shadow(const PlanBeamstop& stop, const Vec3<T>& position,
                                      const T& adjoint, BasicPlanBeamstop<T>& to) {
  using physics::not_zero;
  const Vec3<T> beam = vec3_as<T>(stop.beam);
  const T distance = physics::constant<T>(stop.distance), along = dot(position, beam),
          behind = along - distance;
  const Vec3<T> across = position - along * beam;
  const T beyond = not_zero(in_edges(stop, across) - T(1)), per_beyond = adjoint / beyond;
  add(to.distance, adjoint + per_beyond);
  const Vec3<T> across_adjoint = pull_back_edges(stop, across, per_beyond * behind / beyond, to);
  const T along_adjoint = -per_beyond - dot(across_adjoint, beam);
  add(to.beam, along_adjoint * position - along * across_adjoint);
  return across_adjoint + along_adjoint * beam;
}

/// As pull_back_material(), of one that is not at the sample.
template <class T>
NABLA_INLINE T pull_back_shadowed(const Plan& plan, const PanelNumbers& panel, const PlanRay& ray,
                                  const MaterialView& material, const T& fast, const T& slow,
                                  const T& weight, MaterialAdjoints<T>& to,
                                  BasicPlanBeamstop<T>& to_stop) {
  using physics::not_zero;
  using physics::select;
  const auto as = [](double x) { return physics::constant<T>(x); };
  const PlanBeamstop& stop = plan.beamstop;
  const double samples = double(plan.light.rays.size()) * plan.oversample * plan.oversample;
  const T none(0);
  T light(0);
  BasicSubPixel<T> at;
  for (at.layer = 0; at.layer < panel.sensor.layers; ++at.layer)
    for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
        place(panel, plan.oversample, fast, slow, at);
        const ShadowedPath<T> path = shadowed_path(stop, material, at.position);
        T start(0), turn(0), end(0);  // adjoints
        const auto stretch = [&](const T& from, const T& until, const T& share, T& from_adjoint,
                                 T& until_adjoint) {
          T of_stretch(0);
          for (const PathPoint& point : material.points) {
            T along(0);
            add(of_stretch,
                pull_back_matter(plan, panel, ray, material, at,
                                 from + as(point.along) * (until - from),
                                 weight * share * as(point.weight / samples), along, to));
            add(from_adjoint, as(1 - point.along) * along);
            add(until_adjoint, as(point.along) * along);
          }
          return of_stretch;
        };
        const T seen = stretch(path.start, path.turn, path.seen, start, turn);
        T hidden(0);
        if (stop.transmission > 0) {
          hidden = stretch(path.turn, path.end, as(stop.transmission) * path.hidden, turn, end);
          add(to_stop.transmission, hidden * as(1 / stop.transmission));
        } else {
          T behind(0);
          add_stretch(plan, panel, ray, material, at, path.turn, path.end - path.turn, behind);
          add(to_stop.transmission, weight * as(material.per_sr / samples) * path.hidden * behind);
        }
        add(light, seen + hidden);
        if (material.start < material.end) {
          const T per_length = (seen / not_zero(path.seen) - hidden / not_zero(path.hidden)) /
                               (path.end - path.start);
          add(turn, per_length);
          add(start, -path.hidden * per_length);
          add(end, -path.seen * per_length);
        }
        const auto before = path.begins < path.start, behind = path.end < path.begins;
        add(to.material.start, start + select(before, turn, none));
        add(to.material.end, end + select(behind, turn, none));
        const T begins = select(before, none, select(behind, none, turn));
        const SensorSpot<T> spot{at.fast, at.slow, T(1) / at.distance, at.direction, at.layer};
        pull_back_position(panel, spot, pull_back_shadow(stop, at.position, begins, to_stop),
                           to.numbers);
      }
  return light;
}

}  // namespace nablabragg::engine
