// From the adjoint of what a spot of the sensor sees of a ray to those of the panel and of the
// light: for SIMD lanes, for numbers, and on a GPU.
//
// What is not asked for in every step is kept out of line: the kernels are many.
#pragma once
#include "engine/pixel_sum.hpp"
#include "physics/detection.hpp"
#include "physics/rotation.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

template <class T>
NABLA_INLINE void add(T& to, const T& more) {
  to = to + more;
}
template <class T>
NABLA_INLINE void add(Vec3<T>& to, const Vec3<T>& more) {
  to = to + more;
}
template <class T>
NABLA_INLINE void add(physics::SpotMetric<T>& to, const physics::SpotMetric<T>& more) {
  physics::for_each_number_of_metric([](T& number, const T& its) { add(number, its); }, to, more);
}

/// F^2 F_latt^2 of a step and the adjoints of F and F_latt; `coefficient`: that of the square.
template <class T>
struct Scattered {
  T intensity, factor_adjoint, F_adjoint;

  NABLA_INLINE Scattered(const T& coefficient, const T& F, const T& factor) {
    const T amplitude = F * factor, scaled = T(2) * coefficient * amplitude;
    intensity = amplitude * amplitude;
    factor_adjoint = scaled * F;
    F_adjoint = scaled * factor;
  }
};

/// A sub-pixel as the light of a step sees it.
template <class T>
struct SensorSpot {
  T fast, slow;  ///< on the panel [m]
  T near;        ///< 1 / distance [1/m]
  Vec3<T> direction;
  int layer;
};

template <class T>
NABLA_OUT_OF_LINE T capture_of(const PanelNumbers& panel, const SensorSpot<T>& spot) {
  return physics::capture_fraction(
      T(static_cast<float>(spot.layer)), physics::constant<T>(panel.sensor.layer_step),
      physics::constant<T>(panel.sensor.absorption_per_m), obliquity(panel.frame, spot.direction));
}

/// From the adjoint of a position on the flat panel [m] to those of the frame; that of a
/// sub-pixel's size follows from them (complete()).
template <class T>
NABLA_INLINE void pull_back_flat(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                 const Vec3<T>& adjoint, BasicPixelNumbers<T>& adjoints) {
  const PlanFrame& f = panel.frame;
  add(adjoints.panel.frame.origin, adjoint);
  add(adjoints.panel.frame.fast, spot.fast * adjoint);
  add(adjoints.panel.frame.slow, spot.slow * adjoint);
  if (spot.layer > 0) {
    add(adjoints.panel.frame.normal,
        physics::constant<T>(panel.sensor.layer_step * spot.layer) * adjoint);
    add(adjoints.panel.sensor.layer_step,
        T(static_cast<float>(spot.layer)) * dot(adjoint, physics::constant<T>(f.normal)));
  }
}

/// The same for a curved panel: back through the two rotations of place().
template <class T>
NABLA_OUT_OF_LINE void pull_back_curved(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                        const Vec3<T>& adjoint, BasicPixelNumbers<T>& adjoints) {
  const PlanFrame& f = panel.frame;
  const auto number = [](double x) { return physics::constant<T>(x); };
  const bool spherical = f.curvature == Curvature::spherical;
  const double deep = panel.sensor.layer_step * spot.layer;
  const double radius = spherical ? f.curvature_radius + deep : f.curvature_radius;
  const Vec3<T> fast_axis = physics::constant<T>(f.fast), slow_axis = physics::constant<T>(f.slow);
  const T per_radius = number(1 / f.curvature_radius);
  const auto [along, about_slow, about_fast] = bend_of(
      f, deep, flat_position(f, deep, spot.fast, spot.slow), spot.fast, spot.slow);
  const auto second = physics::pull_back_rotation(
      physics::rotate_about(along, slow_axis, about_slow), fast_axis, about_fast, adjoint);
  const auto first = physics::pull_back_rotation(along, slow_axis, about_slow, second.v);
  add(adjoints.panel.frame.fast, second.axis);
  add(adjoints.panel.frame.slow, first.axis);
  add(adjoints.panel.frame.beam, number(radius) * first.v);
  const T radius_adjoint = dot(first.v, physics::constant<T>(f.beam));
  add(adjoints.panel.frame.curvature_radius,
      radius_adjoint - (first.angle * about_slow + second.angle * about_fast) * per_radius);
  T fast_adjoint, slow_adjoint;
  if (spherical) {
    add(adjoints.panel.sensor.layer_step, T(static_cast<float>(spot.layer)) * radius_adjoint);
    fast_adjoint = number(f.handedness) * first.angle * per_radius;
    slow_adjoint = number(-f.handedness) * second.angle * per_radius;
    add(adjoints.panel.frame.beam_fast, -fast_adjoint);
    add(adjoints.panel.frame.beam_slow, -slow_adjoint);
  } else {
    const Vec3<T> position{T(0), first.angle * per_radius, second.angle * per_radius};
    pull_back_flat(panel, spot, position, adjoints);
    fast_adjoint = dot(position, fast_axis);
    slow_adjoint = dot(position, slow_axis);
  }
  add(adjoints.panel.frame.subpixel,
      (fast_adjoint * spot.fast + slow_adjoint * spot.slow) * number(1 / f.subpixel));
}

template <class T>
NABLA_INLINE void pull_back_position(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                     const Vec3<T>& adjoint, BasicPixelNumbers<T>& adjoints) {
  if (panel.frame.curvature == Curvature::flat)
    pull_back_flat(panel, spot, adjoint, adjoints);
  else
    pull_back_curved(panel, spot, adjoint, adjoints);
}

/// The light of a spot, by which of its factors it comes.
template <class T>
struct SpotAdjoints {
  Vec3<T> direction{T(0), T(0), T(0)};
  T solid_angle{0}, capture{0};  ///< adjoints of their logarithms
};

/// Through the capture in the sensor.
template <class T>
NABLA_OUT_OF_LINE void pull_back_capture(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                         const T& light, Vec3<T>& direction_adjoint,
                                         BasicPixelNumbers<T>& adjoints) {
  const PlanSensor& sensor = panel.sensor;
  const auto number = [](double x) { return physics::constant<T>(x); };
  const T rho = obliquity(panel.frame, spot.direction);
  const T depth = number(sensor.layer_step * sensor.absorption_per_m) / rho;
  const T per_log_depth = light * depth *
                          physics::capture_log_slope(T(static_cast<float>(spot.layer)), depth);
  add(adjoints.panel.sensor.layer_step, per_log_depth * number(1 / sensor.layer_step));
  add(adjoints.panel.sensor.absorption_per_m, per_log_depth * number(1 / sensor.absorption_per_m));
  if (panel.frame.curvature == Curvature::spherical) return;
  const T rho_adjoint = -per_log_depth / rho;
  add(direction_adjoint, rho_adjoint * physics::constant<T>(panel.frame.normal));
  add(adjoints.panel.frame.normal, rho_adjoint * spot.direction);
}

/// Through the solid angle; `own_depth`: as in solid_angle(), for each layer.  The adjoint of the
/// pixel's area is that of its logarithm (complete()).
template <class T>
NABLA_INLINE T pull_back_solid_angle(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                     double own_depth, const T& light,
                                     BasicPixelNumbers<T>& adjoints) {
  const PlanFrame& f = panel.frame;
  if (f.solid_angle != SolidAngle::per_area) add(adjoints.panel.frame.area, light);
  if (f.solid_angle != SolidAngle::oblique) return T(-2) * light;
  const T per_m = light * physics::constant<T>(1 / (f.close_distance + own_depth * spot.layer));
  add(adjoints.panel.frame.close_distance, per_m);
  if (own_depth > 0)
    add(adjoints.panel.sensor.layer_step, T(static_cast<float>(spot.layer)) * per_m);
  return T(-3) * light;
}

/// From the adjoints of the direction of a spot and of the logarithm of its distance to those of
/// the panel.
template <class T>
NABLA_INLINE void pull_back_direction(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                      const Vec3<T>& direction, const T& log_distance,
                                      BasicPixelNumbers<T>& adjoints) {
  T radial = -dot(direction, spot.direction);
  add(radial, log_distance);
  pull_back_position(panel, spot, spot.near * (direction + radial * spot.direction), adjoints);
}

/// `has_solid_angle`: the light of a term has the solid angle of its own spot.
template <class T>
NABLA_INLINE void pull_back_spot(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                 bool has_solid_angle, double own_depth,
                                 const SpotAdjoints<T>& light, BasicPixelNumbers<T>& adjoints) {
  Vec3<T> direction = light.direction;
  if (panel.sensor.absorbs()) pull_back_capture(panel, spot, light.capture, direction, adjoints);
  T log_distance(0);
  if (has_solid_angle)
    log_distance = pull_back_solid_angle(panel, spot, own_depth, light.solid_angle, adjoints);
  pull_back_direction(panel, spot, direction, log_distance, adjoints);
}

/// The same, of spots that only some plans have.
template <class T>
NABLA_OUT_OF_LINE void pull_back_other_spot(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                            const SpotAdjoints<T>& light,
                                            BasicPixelNumbers<T>& adjoints) {
  pull_back_spot(panel, spot, true, 0, light, adjoints);
}

template <class T>
NABLA_INLINE T polarization_of(const LightNumbers& light, const Vec3<T>& incident,
                               const Vec3<T>& magnetic, const Vec3<T>& direction) {
  return physics::kahn_polarization(dot(incident, direction), dot(direction, magnetic),
                                    physics::constant<T>(light.polarization_fraction));
}

template <class T>
NABLA_INLINE void pull_back_polarization(const LightNumbers& light, const Vec3<T>& incident,
                                         const Vec3<T>& magnetic, const Vec3<T>& direction,
                                         const T& adjoint, BasicPlanRay<T>& ray,
                                         Vec3<T>& direction_adjoint,
                                         BasicPixelNumbers<T>& adjoints) {
  const auto slopes = physics::kahn_polarization_slopes(
      dot(incident, direction), dot(direction, magnetic),
      physics::constant<T>(light.polarization_fraction));
  const T c = adjoint * slopes.c, e_b = adjoint * slopes.e_b;
  add(direction_adjoint, c * incident + e_b * magnetic);
  add(ray.incident, c * direction);
  add(ray.magnetic, e_b * direction);
  add(adjoints.light.polarization_fraction, adjoint * slopes.fraction);
}

/// Of a frame: the adjoint of a flat panel's sub-pixel follows from those of its axes; that of the
/// area is its logarithm's until here.
template <class T>
NABLA_INLINE void complete_frame(const PlanFrame& frame, BasicPlanFrame<T>& to) {
  if (frame.curvature == Curvature::flat)
    to.subpixel = (dot(physics::constant<T>(frame.fast), to.fast) +
                   dot(physics::constant<T>(frame.slow), to.slow)) *
                  physics::constant<T>(1 / frame.subpixel);
  to.area = to.area * physics::constant<T>(1 / frame.area);
}

/// What is left to do once for many steps: adjoints that follow from other adjoints.  `largest_F`:
/// the unit of the adjoints of F; `one_F`: there is no table, and F is part of the unit of the
/// terms.
template <class Shape, class Real, class T>
NABLA_INLINE void complete_adjoints(const BasicPixelNumbers<Real>& of, double largest_F, bool one_F,
                                    BasicPixelNumbers<T>& adjoints) {
  const auto scale = [](T& adjoint, double by) { adjoint = adjoint * physics::constant<T>(by); };
  const auto scale_inverse = [&](T& adjoint, double number) {
    if (number != 0) scale(adjoint, 1 / number);
  };
  const T twice_light = T(2) * adjoints.scale;  // of the terms, which are in units of the scale
  Shape::complete(of.lattice, twice_light, adjoints.lattice);
  if (one_F)
    adjoints.lattice.default_F = of.lattice.default_F == 0
                                     ? T(0)
                                     : twice_light * physics::constant<T>(1 / of.lattice.default_F);
  else
    scale(adjoints.lattice.default_F, 1 / largest_F);
  adjoints.scale = adjoints.scale + adjoints.background.starting_sum;
  scale(adjoints.scale, 1 / of.scale);
  scale_inverse(adjoints.background.starting_sum, of.background.starting_sum);
  scale_inverse(adjoints.background.per_sr, of.background.per_sr);
  complete_frame(of.panel.frame, adjoints.panel.frame);
}

}  // namespace nablabragg::engine
