// What of the light before a beamstop reaches a spot of the sensor: for numbers and SIMD lanes.
#pragma once
#include <array>
#include <cmath>
#include <utility>
#include "engine/material_sum.hpp"

namespace nablabragg::engine {

/// How far from the beam a point lies, where the edge of the stop in its direction is at 1;
/// `across`: from the beam to it [m], or anything in proportion to that, as the result then is.
/// Seen from the beam, each point of disk and arm hides none of their others.
template <class Stop, class T>
NABLA_INLINE T in_edges(const Stop& stop, const Vec3<T>& across) {
  using physics::select;
  using std::sqrt;
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  const Vec3<T> offset = vec3_as<T>(stop.offset);
  const T towards = dot(across, offset), radius = as(stop.radius),
          room = radius * radius - dot(offset, offset);
  T edges = (sqrt(dot(across, across) * room + towards * towards) - towards) / room;
  if (stop.half_width > decltype(stop.half_width)(0)) {
    const Vec3<T> arm = vec3_as<T>(stop.arm);
    const T beside = dot(across, cross(vec3_as<T>(stop.beam), arm));
    const T of_arm = select(beside < T(0), -beside, beside) / as(stop.half_width);
    const auto on_its_side = dot(across, arm) > T(0);
    edges = select(on_its_side & (of_arm < edges), of_arm, edges);
  }
  return edges;
}

/// Where on the beam the part begins whose light to a place behind the stop is hidden [m]; it ends
/// at the stop.  At the stop: none is.
template <class Stop, class T>
NABLA_INLINE T shadow_begins(const Stop& stop, const Vec3<T>& position) {
  using physics::not_zero;
  using physics::select;
  const Vec3<T> beam = vec3_as<T>(stop.beam);
  const T distance = physics::number<T>(stop.distance), along = dot(position, beam),
          behind = along - distance, beyond = in_edges(stop, position - along * beam) - T(1);
  // A place straight behind the stop sees nothing of what is before it.
  const T nothing = physics::constant<T>(-1e9);
  const T begins = select(beyond > T(0), distance - behind / not_zero(beyond), nothing);
  return select(behind > T(0), begins, distance);
}

/// The parts of a material's path, all of it before the stop or behind it, that a spot sees, and
/// that the stop hides from it.
template <class T>
struct ShadowedPath {
  T begins;        ///< shadow_begins()
  T start, end;    ///< of the path
  T turn;          ///< where the first part ends and the second begins
  T seen, hidden;  ///< shares of the path's light
};

template <class Stop, class Material, class T>
NABLA_INLINE ShadowedPath<T> shadowed_path(const Stop& stop, const Material& material,
                                           const Vec3<T>& position) {
  using physics::select;
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  ShadowedPath<T> path;
  // Nothing of what is behind the stop is hidden.
  path.begins = material.start < stop.distance ? shadow_begins(stop, position)
                                               : physics::constant<T>(1e9);
  path.start = as(material.start);
  path.end = as(material.end);
  path.turn = select(path.begins < path.start, path.start,
                     select(path.end < path.begins, path.end, path.begins));
  path.seen = material.start < material.end ? (path.turn - path.start) / (path.end - path.start)
                                            : select(path.start < path.begins, T(1), T(0));
  path.hidden = T(1) - path.seen;
  return path;
}

/// Photons of a material that is not at the sample, in pixels (fast, slow) of one panel.
template <class AnyPlan, class Real, class Material, class T>
NABLA_INLINE T shadowed_photons(const AnyPlan& plan, const BasicPanelNumbers<Real>& panel,
                                const Material& material, const T& fast, const T& slow) {
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  const auto& stop = plan.beamstop;
  T light(0);
  BasicSubPixel<T> at;
  for (at.layer = 0; at.layer < panel.sensor.layers; ++at.layer)
    for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
        place(panel, plan.oversample, fast, slow, at);
        const ShadowedPath<T> path = shadowed_path(stop, material, at.position);
        T seen(0), hidden(0);
        for (const auto& ray : plan.light.rays) {
          add_stretch(plan, panel, ray, material, at, path.start, path.turn - path.start, seen);
          if (stop.transmission > Real(0))
            add_stretch(plan, panel, ray, material, at, path.turn, path.end - path.turn, hidden);
        }
        light = light + path.seen * seen + as(stop.transmission) * path.hidden * hidden;
      }
  return as(material.per_sr) * light /
         T(double(plan.light.rays.size()) * double(plan.oversample) * double(plan.oversample));
}

/// How much of a square of edge 1 lies where a function is positive that is linear on it and has
/// these values at its corners.
template <class Real>
Real positive_share(const Real& at00, const Real& at10, const Real& at01, const Real& at11) {
  using std::abs;
  const Real half(0.5), none(0), middle = Real(0.25) * (at00 + at10 + at01 + at11);
  Real a = half * abs(at10 + at11 - at00 - at01), b = half * abs(at01 + at11 - at00 - at10);
  if (a < b) std::swap(a, b);
  constexpr double least = 1e-6;  // of an edge along the square, in whose limit two terms cancel
  if (b < Real(least) * a) b = Real(least) * a;
  if (half * (a + b) <= middle) return Real(1);
  if (middle <= -(half * (a + b))) return none;
  const auto square_of_positive = [&](const Real& x) { return x > none ? x * x : none; };
  const Real far = half * (a + b), near = half * (a - b);
  return (square_of_positive(middle + far) - square_of_positive(middle + near) -
          square_of_positive(middle - near) + square_of_positive(middle - far)) /
         (Real(2) * a * b);
}

/// Positive where the stop hides the sample, 1 straight behind it.
template <class Real>
Real depth_in_shadow(const BasicPlanBeamstop<Real>& stop, const BasicPanelNumbers<Real>& panel,
                     int oversample, double fast, double slow) {
  // From pixels, whose corner is at 0, to what place() takes, which is of the first sub-pixel
  const double middle = 0.5 / oversample;
  BasicSubPixel<Real> at;
  place(panel, oversample, Real(fast - middle), Real(slow - middle), at);
  const Real along = dot(at.position, stop.beam);
  if (!(along > stop.distance)) return Real(-1);
  return Real(1) - stop.distance / along * in_edges(stop, at.position - along * stop.beam);
}

/// Of a pixel.  `Real` as BasicPlan has it.
template <class Real>
Real hidden_share(const BasicPlanBeamstop<Real>& stop, const BasicPanelNumbers<Real>& panel,
                  int oversample, int fast, int slow) {
  constexpr int cells = 4;  // along each edge, on each of which the stop's edge is straight
  std::array<Real, cells + 1> before{}, row{};
  Real sum(0);
  for (int y = 0; y <= cells; ++y) {
    for (int x = 0; x <= cells; ++x)
      row[static_cast<std::size_t>(x)] = depth_in_shadow(
          stop, panel, oversample, fast + double(x) / cells, slow + double(y) / cells);
    for (std::size_t x = 0; y > 0 && x < cells; ++x)
      sum = sum + positive_share(before[x], before[x + 1], row[x], row[x + 1]);
    std::swap(before, row);
  }
  return Real(1.0 / (cells * cells)) * sum;
}

}  // namespace nablabragg::engine
