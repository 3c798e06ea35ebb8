// The way back from the light of spots in closed form, to what spots follow from and to the panel
// and the light that they are seen through: for numbers, SIMD lanes and GPU threads.
#pragma once
#include "engine/closed/closed_spot.hpp"
#include "engine/light_adjoints.hpp"
#include "physics/gaussian_spot_adjoints.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

template <class T>
NABLA_INLINE SensorSpot<T> sensor_spot(const BasicSubPixel<T>& at) {
  return {at.fast, at.slow, T(1) / at.distance, at.direction, at.layer};
}

/// The adjoints of panel and light that many points add to.
template <class T>
struct ViewAdjoints {
  BasicPixelNumbers<T> numbers;
  BasicPlanRay<T> ray;

  NABLA_INLINE void clear();
  /// Calls f(adjoint, number of the plan).
  template <class F, class AnyPlan>
  NABLA_INLINE void for_each(F&& f, AnyPlan& plan, std::size_t panel) {
    for_each_number_of_panel(f, numbers.panel, plan.panels[panel]);
    for_each_number_of_light(f, numbers.light, plan.light);
    for_each_number_of_ray(f, ray, plan.light.rays.front());
    f(numbers.background.per_sr, plan.background.per_sr);
  }
};

/// Calls f with the same number of each of some views.
template <class F, class... Views>
NABLA_INLINE void for_each_number_of_view(F&& f, Views&... v) {
  for_each_number_of_panel(f, v.numbers.panel...);
  for_each_number_of_light(f, v.numbers.light...);
  for_each_number_of_ray(f, v.ray...);
  f(v.numbers.background.per_sr...);
}

template <class T>
NABLA_INLINE void ViewAdjoints<T>::clear() {
  for_each_number_of_view([](T& x) { x = T(0); }, *this);
}

// ---- What light goes through --------------------------------------------------------------------

/// What the light of a layer is multiplied by at a point.
template <class T>
struct LayerFactors {
  T all, unpolarized, polarization;
  SensorSpot<T> spot;
};

/// `view`: of panel and light, in the precision of the kernel.
template <class T, class Real>
NABLA_INLINE LayerFactors<T> layer_factors(const ClosedView<Real>& view, const PanelNumbers& panel,
                                           const LightNumbers& light, int layer, const T& x,
                                           const T& y) {
  LayerFactors<T> f;
  f.spot = sensor_spot(seen_at(view.panel, layer, view.oversample, x, y));
  f.unpolarized = solid_angle(view.panel.frame, f.spot.near,
                              view.panel.sensor.layer_step * static_cast<Real>(layer));
  if (panel.sensor.absorbs()) f.unpolarized = f.unpolarized * capture_of(panel, f.spot);
  f.polarization = physics::constant<T>(1);
  if (view.polarized)
    f.polarization = polarization_of(light, vec3_as<T>(view.ray.incident),
                                     vec3_as<T>(view.ray.magnetic), f.spot.direction);
  f.all = f.unpolarized * f.polarization;
  return f;
}

namespace detail {

template <class T>
NABLA_OUT_OF_LINE void pull_back_layer_spot(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                            const SpotAdjoints<T>& light,
                                            BasicPixelNumbers<T>& adjoints) {
  pull_back_spot(panel, spot, true, panel.sensor.layer_step, light, adjoints);
}

}  // namespace detail

/// Of `bare`, the light that is multiplied by the factors, times its weight.
template <class T, class Real>
NABLA_INLINE void pull_back_factors(const ClosedView<Real>& view, const PanelNumbers& panel,
                                    const LightNumbers& light, const LayerFactors<T>& factors,
                                    const T& bare, ViewAdjoints<T>& adjoints) {
  SpotAdjoints<T> of_spot;
  of_spot.solid_angle = of_spot.capture = bare * factors.all;
  if (view.polarized)
    pull_back_polarization(light, vec3_as<T>(view.ray.incident), vec3_as<T>(view.ray.magnetic),
                           factors.spot.direction, bare * factors.unpolarized, adjoints.ray,
                           of_spot.direction, adjoints.numbers);
  detail::pull_back_layer_spot(panel, factors.spot, of_spot, adjoints.numbers);
}

/// The background of one ray in a pixel, whose middle is (x, y); returns its photons.
template <class T, class Real, class AnyPlan>
NABLA_INLINE T pull_back_background(const AnyPlan& plan, const ClosedView<Real>& view,
                                    const PanelNumbers& panel, const T& x, const T& y,
                                    const T& weight, ViewAdjoints<T>& adjoints) {
  const auto number = [](double value) { return physics::constant<T>(value); };
  const double per_sr = plan.background.per_sr, of_ray = plan.light.rays[0].weight;
  const T share = number(per_sr * of_ray / background_samples(plan));
  T photons(0);
  for (int layer = 0; layer < panel.sensor.layers; ++layer)
    for (int sub_slow = 0; sub_slow < plan.oversample; ++sub_slow)
      for (int sub_fast = 0; sub_fast < plan.oversample; ++sub_fast) {
        const auto shift = [&](int sub) { return number((sub + 0.5) / plan.oversample - 0.5); };
        const auto factors = layer_factors(view, panel, plan.light, layer, x + shift(sub_fast),
                                           y + shift(sub_slow));
        photons = photons + share * factors.all;
        pull_back_factors(view, panel, plan.light, factors, weight * share, adjoints);
      }
  add(adjoints.numbers.background.per_sr, weight * photons * number(1 / per_sr));
  add(adjoints.ray.weight, weight * photons * number(1 / of_ray));
  return photons;
}

// ---- A spot -------------------------------------------------------------------------------------

/// What the points of a spot add up to.
template <class T>
struct SpotSums {
  physics::GaussianSpot<T> numbers;
  T light;    ///< adjoint of the logarithm of its amplitude
  Vec3<T> d;  ///< of q0 - g
  // On a flat panel, of a position over k/(distance of the anchor): itself and times x and y,
  // pixels from the anchor; `along`: of the length of q0
  Vec3<T> position, by_x, by_y;
  T along;
};

/// Calls f with each of the sums that spots with these terms have; `flat`: on a flat panel.
template <bool band, bool slice, bool second, class F, class... Sums>
NABLA_INLINE void for_each_sum_of_spot(F&& f, bool diverges, bool flat, Sums&... s) {
  physics::for_each_used_number<band, slice, second>(f, diverges, s.numbers...);
  f(s.light...);
  for_each_component(f, s.d...);
  if (!flat) return;
  for_each_component(f, s.position...);
  for_each_component(f, s.by_x...);
  for_each_component(f, s.by_y...);
  f(s.along...);
}

/// From `scaled`, what the spot's value at `offset` is multiplied by, times its weight.
template <bool band, bool slice, bool second, class T, class Real>
NABLA_INLINE physics::PulledBackPoint<T> pull_back_light(const physics::GaussianSpot<Real>& spot,
                                                         const Vec3<T>& offset, const T& scaled,
                                                         bool diverges, bool narrow,
                                                         SpotSums<T>& sums) {
  const auto pulled = physics::pull_back_spot_value<band, slice, second>(
      spot, offset, scaled, diverges, narrow, sums.numbers);
  sums.light = sums.light + scaled * pulled.value;
  sums.d = sums.d + pulled.d;
  return pulled;
}

/// `d`: adjoint of the offset of the point, x and y pixels from the anchor.
template <class T, class Real>
NABLA_INLINE void pull_back_flat_point(const SpotNumbers<Real>& n, const FlatPoint<T>& p,
                                       const T& x, const T& y, const Vec3<T>& d,
                                       SpotSums<T>& sums) {
  using physics::inverse_of;
  // q0 = k r/|r|: a change of r across it turns it.  By the length that q has here, so that
  // nothing is left along it.
  const Vec3<T> q = p.across + vec3_as<T>(n.outwards);
  const T along = p.longer * dot(q, d);
  const Vec3<T> to = p.longer * d - (along * inverse_of(dot(q, q))) * q;
  sums.along = sums.along + along;
  sums.position = sums.position + to;
  sums.by_x = sums.by_x + x * to;
  sums.by_y = sums.by_y + y * to;
}

template <class T>
NABLA_INLINE void pull_back_curved_point(const PanelNumbers& panel, const SensorSpot<T>& seen,
                                         const T& wavenumber, const Vec3<T>& d,
                                         ViewAdjoints<T>& adjoints) {
  add(adjoints.ray.wavenumber, dot(d, seen.direction));
  pull_back_direction(panel, seen, wavenumber * d, T(0), adjoints.numbers);
}

/// From the sums over a spot's points to the incident wave: q0 = k (direction - incident).
template <class T, class Real>
NABLA_INLINE void pull_back_wave(const BasicPlanRay<Real>& ray, const SpotSums<T>& sums,
                                 ViewAdjoints<T>& adjoints) {
  add(adjoints.ray.incident, T(-ray.wavenumber) * sums.d);
  add(adjoints.ray.wavenumber, -dot(sums.d, vec3_as<T>(ray.incident)));
}

/// The same to a flat panel.
template <class T, class Real>
NABLA_INLINE void pull_back_anchor(const PanelNumbers& panel, const BasicPlanRay<Real>& ray,
                                   const SensorSpot<T>& anchor, const SpotSums<T>& sums,
                                   ViewAdjoints<T>& adjoints) {
  add(adjoints.ray.wavenumber, sums.along * T(1 / ray.wavenumber));
  const T per_distance = T(ray.wavenumber) * anchor.near,
          per_pixel = per_distance * physics::constant<T>(panel.frame.pixel);
  pull_back_position(panel, anchor, per_distance * sums.position, adjoints.numbers);
  add(adjoints.numbers.panel.frame.fast, per_pixel * sums.by_x);
  add(adjoints.numbers.panel.frame.slow, per_pixel * sums.by_y);
}

}  // namespace nablabragg::engine
