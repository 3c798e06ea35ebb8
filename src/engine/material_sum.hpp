// The light of matter in the beam that is no crystal: for numbers, SIMD lanes and GPU threads.
#pragma once
#include "engine/sensor_geometry.hpp"
#include "physics/detection.hpp"
#include "physics/scattering.hpp"

namespace nablabragg::engine {

/// F and its slope by sin(theta)/lambda [1/m].
template <class T>
struct CurveValue {
  T F, slope;
};

/// At sin(theta)/lambda [1/m].
template <class T>
NABLA_INLINE CurveValue<T> curve_at(const ScatteringCurveView& curve, const T& stol) {
  using physics::any;
  using physics::floor_of;
  using physics::select;
  using physics::value_at;
  const auto real = [](double x) { return physics::constant<T>(x); };
  const T none(0);
  T bucket = floor_of((stol - real(curve.least)) * real(curve.buckets_per_step));
  bucket = select(bucket < none, none, bucket);
  bucket = select(real(curve.last_bucket) < bucket, real(curve.last_bucket), bucket);
  const auto known = stol == stol;
  T row = value_at(curve.rows_before, bucket, known);
  while (true) {
    const auto behind = known & (value_at(curve.rows, row, known) <= stol);
    if (!any(behind)) break;
    row = select(behind, row + T(1), row);
  }
  const T at = row * real(ScatteringCurveView::numbers_of_interval);
  const auto number = [&](int i) { return value_at(curve.intervals, at + T(double(i)), known); };
  const T x = stol - number(0), c1 = number(2), c2 = number(3), c3 = number(4);
  return {number(1) + x * (c1 + x * (c2 + x * c3)), c1 + x * (T(2) * c2 + x * (T(3) * c3))};
}

/// The angle to the beam at which a ring's wavelength has sin(theta)/lambda [1/m], and the cosine
/// of half of it.
template <class T>
struct RingAngle {
  T angle, cosine;
};
template <class Material, class T>
NABLA_INLINE RingAngle<T> ring_angle(const Material& material, const T& stol) {
  using physics::not_zero;
  using physics::select;
  using std::sqrt;
  T sine = physics::number<T>(material.ring_wavelength) * stol;
  sine = select(T(1) < sine, T(1), sine);
  return {T(2) * physics::arc_sine(sine), sqrt(not_zero(T(1) - sine * sine))};
}

/// F and its slope where F^2 is a Gaussian of the angle to the beam.
template <class Material, class T>
NABLA_INLINE CurveValue<T> ring_at(const Material& material, const T& stol) {
  using std::exp;
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  const auto [angle, cosine] = ring_angle(material, stol);
  const T off = (angle - as(material.ring_middle)) / as(material.ring_width);
  const T F = exp(T(-0.25) * off * off);
  return {F, -F * off * as(material.ring_wavelength) / (as(material.ring_width) * cosine)};
}

/// A point of matter on the beam as a spot of the sensor sees it.
template <class T>
struct SeenMatter {
  T near;             ///< 1 / distance [1/m]
  Vec3<T> direction;  ///< from the point to the spot
  Vec3<T> away;       ///< direction - incident
  T twice_sine;       ///< 2 sin(theta), of the scattering angle 2 theta
  T close;            ///< distance that enters the oblique solid angle [m]
  T solid_angle, capture;
};

/// `along`: where on the beam, from the sample on [m].
template <class Real, class T>
NABLA_INLINE SeenMatter<T> see_matter(const BasicPanelNumbers<Real>& panel,
                                      const BasicSubPixel<T>& at, const Vec3<T>& incident,
                                      const T& along) {
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  SeenMatter<T> seen;
  const Vec3<T> position = at.position - along * incident;
  seen.near = T(1) / length(position);
  seen.direction = seen.near * position;
  seen.away = seen.direction - incident;
  using physics::not_zero;
  seen.twice_sine = not_zero(length(seen.away));
  const auto& f = panel.frame;
  const auto layer = as(double(at.layer));
  seen.close = as(f.close_distance) + layer * as(panel.sensor.layer_step) -
               along * dot(incident, vec3_as<T>(f.normal));
  seen.solid_angle = seen.near * seen.near;
  if (f.solid_angle != SolidAngle::per_area) seen.solid_angle = as(f.area) * seen.solid_angle;
  if (f.solid_angle == SolidAngle::oblique)
    seen.solid_angle = seen.close * seen.near * seen.solid_angle;
  seen.capture = T(1);
  if (panel.sensor.absorbs())
    seen.capture = physics::capture_fraction(layer, as(panel.sensor.layer_step),
                                             as(panel.sensor.absorption_per_m),
                                             obliquity(f, seen.direction));
  return seen;
}

/// What a molecule of a material scatters of a ray.
template <class AnyPlan, class Ray, class Material, class T>
NABLA_INLINE physics::ScatteredRay<T> scattered_by(const AnyPlan& plan, const Ray& ray,
                                                   const Material& material,
                                                   const SeenMatter<T>& seen) {
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  const T wavenumber = as(ray.wavenumber);
  const T stol = T(0.5) * wavenumber * seen.twice_sine;
  const auto [F, slope] = material.ring_width == 0 ? curve_at(material.curve, stol)
                                                   : ring_at(material, stol);
  return physics::times_F2(physics::scattered_ray(dot(vec3_as<T>(ray.incident), seen.direction),
                                                  dot(seen.direction, vec3_as<T>(ray.magnetic)),
                                                  as(plan.light.polarization_fraction), wavenumber,
                                                  plan.rules.polarized, material.compton),
                           F, slope);
}

/// Adds what a stretch of a material's path, from `from` on and so long [m], scatters of a ray:
/// the mean of its points.
template <class AnyPlan, class Real, class Ray, class Material, class T>
NABLA_INLINE void add_stretch(const AnyPlan& plan, const BasicPanelNumbers<Real>& panel,
                              const Ray& ray, const Material& material, const BasicSubPixel<T>& at,
                              const T& from, const T& path, T& light) {
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  for (const PathPoint& point : material.points) {
    const auto seen = see_matter(panel, at, vec3_as<T>(ray.incident),
                                 from + as(point.along) * path);
    light = light + as(point.weight) * as(ray.weight) * seen.solid_angle * seen.capture *
                        scattered_by(plan, ray, material, seen).value;
  }
}

/// Photons of a material in pixels (fast, slow) of one panel.
template <class AnyPlan, class Real, class Material, class T>
NABLA_HOST_DEVICE T material_photons(const AnyPlan& plan, const BasicPanelNumbers<Real>& panel,
                                     const Material& material, const T& fast, const T& slow) {
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  const T start = as(material.start), path = as(material.end) - start;
  T light(0);
  BasicSubPixel<T> at;
  for (at.layer = 0; at.layer < panel.sensor.layers; ++at.layer)
    for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
        place(panel, plan.oversample, fast, slow, at);
        for (const auto& ray : plan.light.rays)
          add_stretch(plan, panel, ray, material, at, start, path, light);
      }
  return as(material.per_sr) * light /
         T(double(plan.light.rays.size()) * double(plan.oversample) * double(plan.oversample));
}

}  // namespace nablabragg::engine
