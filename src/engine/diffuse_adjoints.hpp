// The way back from light between the spots: for numbers and SIMD lanes.
#pragma once
#include <vector>
#include "engine/diffuse_sum.hpp"
#include "engine/light_adjoints.hpp"

namespace nablabragg::engine {

/// Adjoints of what the diffuse light of one ray depends on, tables aside.
template <class T>
struct DiffuseAdjoints {
  BasicPixelNumbers<T> numbers;  ///< of the panel, the light and the lattice, until
                                 ///< complete_frame()
  BasicPlanRay<T> ray;
  BasicDiffuseNumbers<T> diffuse;
  std::vector<T> outside;
  std::vector<Mat3<T>> orientations;
};

/// Adds the slopes of d.form.d, times `by`, to those of the form; returns those by d.
template <class T>
NABLA_INLINE Vec3<T> pull_back_form(const physics::SpotMetric<T>& form, const Vec3<T>& d,
                                    const T& by, physics::SpotMetric<T>& to) {
  const Vec3<T> scaled = by * d;
  add(to.aa, scaled.x * d.x);
  add(to.bb, scaled.y * d.y);
  add(to.cc, scaled.z * d.z);
  add(to.ab, T(2) * scaled.x * d.y);
  add(to.bc, T(2) * scaled.y * d.z);
  add(to.ca, T(2) * scaled.z * d.x);
  return T(2) * stretched(form, scaled);
}

/// Through diffuse_of_cell(), whose adjoint is `weight`.  Returns it; adds to the adjoints of h and
/// |q|.  Calls on_F2(lattice point, adjoint) and on_shell(number of a shell, adjoint).
template <class T, class OnF2, class OnShell>
NABLA_INLINE T pull_back_cell(const PlanDiffuse& d, const DiffuseView& tables, const Vec3<T>& h,
                              const T& q, const T& weight, Vec3<T>& h_adjoint, T& q_adjoint,
                              DiffuseAdjoints<T>& to, OnF2&& on_F2, OnShell&& on_shell) {
  const auto displacement = physics::metric_as<T>(d.displacement),
             correlation = physics::metric_as<T>(d.correlation);
  const T peak = physics::constant<T>(d.peak), W = spot_radius2(displacement, h);
  const auto outside = physics::sum_outside(W, d.outside);
  const std::size_t orders = d.outside.size();
  const bool rigid = d.motion == DiffuseMotion::rigid;
  const F2Between<T> between = rigid ? F2_between(tables, h) : F2Between<T>{};
  const ShellMean<T> mean = rigid ? ShellMean<T>{} : shell_mean(tables, q);
  const T far = rigid ? between.value : mean.value;

  T halos(0), W_adjoint = weight * far * outside.W;
  if (d.peak > 0)
    for_each_of_stencil(d.stencil, h, [&](const Vec3<T>& point) {
      const Vec3<T> away = h - point;
      const auto one = physics::sum_of_orders(W, spot_radius2(correlation, away), orders);
      const T F2 = rigid ? between.value : F2_at(tables, point), common = weight * peak * F2;
      add(halos, rigid ? one.value : F2 * one.value);
      add(W_adjoint, common * one.W);
      add(h_adjoint, pull_back_form(correlation, away, common * one.x, to.diffuse.correlation));
      if (!rigid) on_F2(point, weight * peak * one.value);
    });
  physics::OrderWeights<T> order(W);
  for (std::size_t n = 0; n < orders; ++n, order.next())
    add(to.outside[n], weight * far * order.weight());
  add(h_adjoint, pull_back_form(displacement, h, W_adjoint, to.diffuse.displacement));

  if (rigid) {
    const T per_F2 = peak * halos + outside.value;
    add(to.diffuse.peak, weight * halos * between.value);
    add(h_adjoint, weight * per_F2 * between.slopes);
    for_each_corner(h, [&](const Vec3<T>& point, const T& share, const Vec3<T>&) {
      on_F2(point, weight * per_F2 * share);
    });
    return per_F2 * between.value;
  }
  add(to.diffuse.peak, weight * halos);
  const T of_mean = weight * outside.value;
  add(q_adjoint, of_mean * mean.slope);
  on_shell(mean.below, of_mean * (T(1) - mean.share));
  on_shell(mean.below + T(1), of_mean * mean.share);
  return peak * halos + outside.value * mean.value;
}

/// From the weights of pixels (fast, slow) to the adjoints of one ray, over all spots of the
/// sensor.  Returns the light, times `weight`.
template <class T, class OnF2, class OnShell>
T pull_back_diffuse(const Plan& plan, const PlanDiffuse& d, const DiffuseView& tables,
                    const PanelNumbers& panel, const PlanRay& ray, const T& fast, const T& slow,
                    const T& weight, DiffuseAdjoints<T>& to, OnF2&& on_F2, OnShell&& on_shell) {
  const auto number = [](double x) { return physics::constant<T>(x); };
  const auto& cells = plan.lattice.cells;
  const Vec3<T> incident = vec3_as<T>(ray.incident), magnetic = vec3_as<T>(ray.magnetic);
  const T wavenumber = number(ray.wavenumber);
  T light(0), per_weight(0);
  BasicSubPixel<T> at;
  for (at.layer = 0; at.layer < panel.sensor.layers; ++at.layer)
    for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
        place(panel, plan.oversample, fast, slow, at);
        const SensorSpot<T> spot{at.fast, at.slow, T(1) / at.distance, at.direction, at.layer};
        const Vec3<T> away = at.direction - incident, q = wavenumber * away;
        T common = weight * number(plan.scale * cells.x * cells.y * cells.z) *
                   solid_angle(panel.frame, spot.near, panel.sensor.layer_step * at.layer);
        if (plan.dmin > 0) common = select(within_dmin(plan.dmin, q), common, T(0));
        if (panel.sensor.absorbs()) common = common * capture_of(panel, spot);
        const T polarization = plan.rules.polarized
                                   ? polarization_of(plan.light, incident, magnetic, at.direction)
                                   : T(1);
        const T per_cell = common * polarization, of_cell = number(ray.weight) * per_cell;

        using physics::not_zero;
        const T size = not_zero(length(q));
        Vec3<T> q_adjoint{T(0), T(0), T(0)};
        T size_adjoint(0), sum(0);
        for (std::size_t o = 0; o < plan.lattice.orientations.size(); ++o) {
          const Mat3d& axes = plan.lattice.orientations[o];
          const Vec3<T> a = vec3_as<T>(axes.a), b = vec3_as<T>(axes.b), c = vec3_as<T>(axes.c);
          const Vec3<T> h{dot(a, q), dot(b, q), dot(c, q)};
          Vec3<T> h_adjoint{T(0), T(0), T(0)};
          const T counts = number(tables.weight(o));
          add(sum, counts * pull_back_cell(d, tables, h, size, counts * of_cell, h_adjoint,
                                           size_adjoint, to, on_F2, on_shell));
          add(q_adjoint, h_adjoint.x * a + h_adjoint.y * b + h_adjoint.z * c);
          auto& turned = to.orientations[o];
          add(turned.a, h_adjoint.x * q);
          add(turned.b, h_adjoint.y * q);
          add(turned.c, h_adjoint.z * q);
        }
        add(q_adjoint, (size_adjoint / size) * q);
        const T of_spot = of_cell * sum;
        add(light, of_spot);
        add(per_weight, per_cell * sum);

        SpotAdjoints<T> adjoints;
        adjoints.solid_angle = adjoints.capture = of_spot;
        adjoints.direction = wavenumber * q_adjoint;
        add(to.ray.incident, -(wavenumber * q_adjoint));
        add(to.ray.wavenumber, dot(q_adjoint, away));
        if (plan.rules.polarized)
          pull_back_polarization(plan.light, incident, magnetic, at.direction,
                                 number(ray.weight) * common * sum, to.ray, adjoints.direction,
                                 to.numbers);
        pull_back_spot(panel, spot, true, panel.sensor.layer_step, adjoints, to.numbers);
      }
  add(to.ray.weight, per_weight);
  add(to.numbers.scale, light * number(1 / plan.scale));
  add(to.numbers.lattice.cells, Vec3<T>{light * number(1 / cells.x), light * number(1 / cells.y),
                                        light * number(1 / cells.z)});
  return light;
}

}  // namespace nablabragg::engine
