// The way back from the light of matter in the beam: for numbers, SIMD lanes and GPU threads.
#pragma once
#include "engine/light_adjoints.hpp"
#include "engine/material_sum.hpp"

namespace nablabragg::engine {

/// Adjoints of what the light of one material and one ray depends on.
template <class T>
struct MaterialAdjoints {
  BasicPixelNumbers<T> numbers;  ///< of the panel and of the polarization, until complete_frame()
  BasicPlanRay<T> ray;
  BasicMaterialNumbers<T> material;
};

/// Through one point of the path, `along` the beam [m].  `weight`: of the photons in the loss,
/// times the point's, over the number of samples.  Returns the light, times `weight`.
template <class AnyPlan, class Ray, class Material, class T>
NABLA_INLINE T pull_back_matter(const AnyPlan& plan, const PanelNumbers& panel, const Ray& ray,
                                const Material& material, const BasicSubPixel<T>& at,
                                const T& along, const T& weight, T& along_adjoint,
                                MaterialAdjoints<T>& to) {
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  const Vec3<T> incident = vec3_as<T>(ray.incident), magnetic = vec3_as<T>(ray.magnetic),
                normal = vec3_as<T>(panel.frame.normal);
  const SeenMatter<T> seen = see_matter(panel, at, incident, along);
  const physics::ScatteredRay<T> scattered = scattered_by(plan, ray, material, seen);
  const T per_F2 = weight * seen.solid_angle * seen.capture,
          common = as(material.per_sr * ray.weight) * per_F2, light = common * scattered.value;
  add(to.material.per_sr, as(ray.weight) * per_F2 * scattered.value);
  add(to.ray.weight, as(material.per_sr) * per_F2 * scattered.value);

  // What is scattered
  const T c = common * scattered.c, e_b = common * scattered.e_b, stol = common * scattered.stol;
  add(to.numbers.light.polarization_fraction, common * scattered.fraction);
  add(to.ray.wavenumber, common * scattered.wavenumber + T(0.5) * stol * seen.twice_sine);
  if (material.ring_width != 0) {
    const T at_stol = T(0.5) * as(ray.wavenumber) * seen.twice_sine;
    const auto [angle, cosine] = ring_angle(material, at_stol);
    const T off = (angle - as(material.ring_middle)) / as(material.ring_width),
            per_angle = stol * cosine / as(2 * material.ring_wavelength);
    add(to.material.ring_middle, -per_angle);
    add(to.material.ring_width, -off * per_angle);
    add(to.material.ring_wavelength, stol * at_stol / as(material.ring_wavelength));
  }
  const Vec3<T> away = (T(0.5) * as(ray.wavenumber) * stol / seen.twice_sine) * seen.away;
  Vec3<T> direction = c * incident + e_b * magnetic + away;
  add(to.ray.incident, c * seen.direction - away);
  add(to.ray.magnetic, e_b * seen.direction);

  // What the sensor takes of it
  const SensorSpot<T> spot{at.fast, at.slow, seen.near, seen.direction, at.layer};
  auto& frame = to.numbers.panel.frame;
  if (panel.sensor.absorbs()) pull_back_capture(panel, spot, light, direction, to.numbers);
  if (panel.frame.solid_angle != SolidAngle::per_area) add(frame.area, light);
  T log_distance = T(-2) * light;
  if (panel.frame.solid_angle == SolidAngle::oblique) {
    log_distance = T(-3) * light;
    const T per_m = light / seen.close;
    add(frame.close_distance, per_m);
    add(to.numbers.panel.sensor.layer_step, T(double(at.layer)) * per_m);
    add(along_adjoint, -per_m * dot(incident, normal));
    add(to.ray.incident, (-per_m * along) * normal);
    add(frame.normal, (-per_m * along) * incident);
  }

  // Where the spot lies from the point: position - along x incident
  const T radial = log_distance - dot(direction, seen.direction);
  const Vec3<T> position = seen.near * (direction + radial * seen.direction);
  pull_back_position(panel, spot, position, to.numbers);
  add(along_adjoint, -dot(position, incident));
  add(to.ray.incident, (-along) * position);
  return light;
}

/// From the weights of pixels (fast, slow) to the adjoints of one material and one ray, over all
/// spots of the sensor.  Returns the light, times `weight`.
template <class AnyPlan, class Ray, class Material, class T>
NABLA_HOST_DEVICE T pull_back_material(const AnyPlan& plan, const PanelNumbers& panel,
                                       const Ray& ray, const Material& material, const T& fast,
                                       const T& slow, const T& weight, MaterialAdjoints<T>& to) {
  const double samples = double(plan.light.rays.size()) * plan.oversample * plan.oversample;
  T light(0);
  BasicSubPixel<T> at;
  for (at.layer = 0; at.layer < panel.sensor.layers; ++at.layer)
    for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
        place(panel, plan.oversample, fast, slow, at);
        for (const PathPoint& point : material.points) {
          const auto as = [](double x) { return physics::constant<T>(x); };
          T along(0);
          add(light,
              pull_back_matter(plan, panel, ray, material, at,
                               as(material.start + point.along * (material.end - material.start)),
                               weight * as(point.weight / samples), along, to));
          add(to.material.start, as(1 - point.along) * along);
          add(to.material.end, as(point.along) * along);
        }
      }
  return light;
}

}  // namespace nablabragg::engine
