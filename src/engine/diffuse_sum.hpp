// Light between the spots: for numbers and SIMD lanes.
#pragma once
#include <span>
#include "engine/pixel_sum.hpp"
#include "physics/diffuse.hpp"

namespace nablabragg::engine {

/// What a sum asks of DiffuseTables, and of FewOrientations.
struct DiffuseView {
  GridView F2;
  std::span<const double> shells;
  double thickness;                      ///< of a shell [1/m]
  std::span<const double> weights = {};  ///< of the plan's orientations; empty: all 1

  NABLA_INLINE double weight(std::size_t orientation) const {
    return weights.empty() ? 1 : weights[orientation];
  }
};

/// |F|^2 of a lattice point without the displacements.
template <class T>
NABLA_INLINE T F2_at(const DiffuseView& tables, const Vec3<T>& index) {
  return nearest_structure_factor(tables.F2, T(0), index);
}

/// The mean |F|^2 at |q| [1/m], and its slope.
template <class T>
struct ShellMean {
  T value, slope;
  T below, share;  ///< between this shell and the next: how much of the latter
};

template <class T>
NABLA_INLINE ShellMean<T> shell_mean(const DiffuseView& tables, const T& q) {
  const T none(0), at = q * physics::constant<T>(1 / tables.thickness) - T(0.5);
  const T last = physics::constant<T>(double(tables.shells.size()) - 2);
  ShellMean<T> mean;
  mean.below = floor_of(at);
  mean.below = select(mean.below < none, none, mean.below);
  mean.below = select(last < mean.below, last, mean.below);
  const T share = at - mean.below;
  const auto is_between = !(share < none);
  mean.share = select(is_between, share, none);
  const auto everywhere = none < T(1);
  const T low = value_at(tables.shells.data(), mean.below, everywhere),
          step = value_at(tables.shells.data(), mean.below + T(1), everywhere) - low;
  mean.value = low + mean.share * step;
  mean.slope = select(is_between, step * physics::constant<T>(1 / tables.thickness), none);
  return mean;
}

/// |F|^2 between the lattice points, and its slopes: linear along each axis.
template <class T>
struct F2Between {
  T value;
  Vec3<T> slopes;
};

/// Calls work(lattice point, weight, slopes of the weight) for the eight points around h.
template <class T, class Work>
NABLA_INLINE void for_each_corner(const Vec3<T>& h, Work&& work) {
  const Vec3<T> base{floor_of(h.x), floor_of(h.y), floor_of(h.z)}, up = h - base;
  for (int corner = 0; corner < 8; ++corner) {
    const auto along = [&](int axis, const T& x) {
      return (corner >> axis & 1) != 0 ? x : T(1) - x;
    };
    const auto step = [&](int axis) { return T(double(corner >> axis & 1)); };
    const auto sign = [&](int axis) { return T(2) * step(axis) - T(1); };
    const T x = along(0, up.x), y = along(1, up.y), z = along(2, up.z);
    work(base + Vec3<T>{step(0), step(1), step(2)}, x * y * z,
         Vec3<T>{sign(0) * y * z, x * sign(1) * z, x * y * sign(2)});
  }
}

template <class T>
NABLA_INLINE F2Between<T> F2_between(const DiffuseView& tables, const Vec3<T>& h) {
  F2Between<T> out{T(0), {T(0), T(0), T(0)}};
  for_each_corner(h, [&](const Vec3<T>& point, const T& weight, const Vec3<T>& slopes) {
    const T F2 = F2_at(tables, point);
    out.value = out.value + weight * F2;
    out.slopes = out.slopes + F2 * slopes;
  });
  return out;
}

/// Calls work(lattice point) for those of the stencil around h.
template <class T, class Work>
NABLA_INLINE void for_each_of_stencil(int stencil, const Vec3<T>& h, Work&& work) {
  const Vec3<T> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
  for (int i = -stencil; i <= stencil; ++i)
    for (int j = -stencil; j <= stencil; ++j)
      for (int k = -stencil; k <= stencil; ++k)
        work(nearest + Vec3<T>{T(double(i)), T(double(j)), T(double(k))});
}

/// Over r_e^2 fluence, of one cell, at indices h and |q| [1/m].
template <class AnyDiffuse, class T>
NABLA_INLINE T diffuse_of_cell(const AnyDiffuse& d, const DiffuseView& tables, const Vec3<T>& h,
                               const T& q) {
  const auto displacement = physics::metric_as<T>(d.displacement),
             correlation = physics::metric_as<T>(d.correlation);
  const T peak = physics::number<T>(d.peak), W = spot_radius2(displacement, h),
          outside = physics::sum_outside(W, d.outside).value;
  const std::size_t orders = d.outside.size();
  const bool rigid = d.motion == DiffuseMotion::rigid;
  T halos(0);
  if (d.peak > decltype(d.peak)(0))
    for_each_of_stencil(d.stencil, h, [&](const Vec3<T>& point) {
      const T one = physics::sum_of_orders(W, spot_radius2(correlation, h - point), orders).value;
      halos = halos + (rigid ? one : F2_at(tables, point) * one);
    });
  if (rigid) return (peak * halos + outside) * F2_between(tables, h).value;
  return peak * halos + outside * shell_mean(tables, q).value;
}

/// Photons in pixels (fast, slow) of one panel.
template <class AnyPlan, class AnyDiffuse, class Real, class T>
T diffuse_photons(const AnyPlan& plan, const AnyDiffuse& d, const DiffuseView& tables,
                  const BasicPanelNumbers<Real>& panel, const T& fast, const T& slow) {
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  WalkedFactors<T> factors;
  T light(0);
  walk_rays(
      plan, panel, fast, slow, factors, [](const auto&) { return true; },
      [&](const auto&, std::size_t number, const Vec3<T>& q, const auto& kept) NABLA_INLINE_LAMBDA {
        if (!any(kept)) return;
        const T size = length(q);
        T of_ray(0);
        std::size_t orientation = 0;
        for (const auto& axes : plan.lattice.orientations)
          of_ray = of_ray +
                   physics::constant<T>(tables.weight(orientation++)) *
                       diffuse_of_cell(
                           d, tables,
                           Mat3<T>{vec3_as<T>(axes.a), vec3_as<T>(axes.b), vec3_as<T>(axes.c)} * q,
                           size);
        light = light + select(kept,
                               as(plan.light.rays[number].weight) * factors.solid_angle *
                                   factors.polarization * factors.capture * of_ray,
                               T(0));
      });
  const auto& cells = plan.lattice.cells;
  return as(plan.scale) * as(cells.x) * as(cells.y) * as(cells.z) * light;
}

}  // namespace nablabragg::engine
