// One pixel: the sum over sensor layers, sub-pixels, rays and orientations, as the formulas read.
// In double precision it is the reference engine; on a SIMD lane type it sums as many pixels at
// once.  GPU threads can call it, too: tests/gpu/walk_plan.cu.
//
// The order of the loops is part of the definition: nanoBragg's running products and its
// interpolation cutoff depend on it.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include "engine/material_sum.hpp"
#include "engine/sensor_geometry.hpp"
#include "physics/interpolation.hpp"
#include "physics/shapes.hpp"
#include "plan/energy_terms.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

using physics::any;
using physics::floor_of;
using physics::round_half_down;
using physics::select;
using physics::value_at;

/// Every factor of one step, for those who watch the sum.
struct StepRecord {
  SubPixel at;
  int ray = 0, phi = 0, domain = 0;
  Vec3d q;             ///< scattering vector [1/m]
  Vec3d hkl, nearest;  ///< fractional and nearest Miller indices
  double lattice_factor = 0, structure_factor = 0;
  bool interpolated = false;
  double solid_angle = 0, polarization = 1, capture = 1;
  double term = 0;  ///< F_cell^2 F_latt^2 x weight
  double sum = 0;   ///< after this step
};

/// A visitor that watches nothing and costs nothing.
struct NoVisitor {
  static constexpr bool active = false;
  void operator()(const StepRecord&) const {}
  /// Asked at each spot of the sensor; false: the sum ends there, and its result is none.
  NABLA_INLINE static constexpr bool goes_on() { return true; }
};

inline constexpr std::int64_t all_steps = std::numeric_limits<std::int64_t>::max();

template <class T>
struct BasicPixelSum {
  T photons{0};  ///< the pixel's value before it is rounded to float
  T sum{0};      ///< the accumulator, before scale and factors
  T solid_angle{0}, polarization{0}, capture{0};  ///< the last values in use
  T solid_angle_sum{0};                           ///< over layers and sub-pixels
  /// Lookups that interpolated before a neighbourhood first left the grid; all_steps: none did, or
  /// T is not double.
  std::int64_t first_miss = all_steps;
};
using PixelSum = BasicPixelSum<double>;

/// The grid as the inner loop wants it.
struct GridView {
  const double* values = nullptr;
  Vec3d min, max;
  double stride_h = 0, stride_k = 0;
  // Where F follows the energy: F^2 is the sum of the products of what a reflection has and what a
  // ray has, `terms` of each
  int terms = 0;
  double terms_of_rest = 0;  ///< where those are that stand for what is not on the grid
  const double *of_reflections = nullptr, *of_rays = nullptr;

  /// Of a plan: with the energy's part, where rays have several F.
  explicit GridView(const PlanLattice& lattice) : GridView(lattice.grid.get()) {
    if (!lattice.by_energy || lattice.by_energy->groups() < 2) return;
    const LightTerms& light = lattice.by_energy->light_terms();
    terms = light.terms;
    terms_of_rest = static_cast<double>(lattice.grid->values().size());
    of_reflections = light.of_reflections.data();
    of_rays = light.of_rays.data();
  }
  explicit GridView(const StructureFactorGrid* grid) {
    if (!grid) return;
    values = grid->values().data();
    const auto& lo = grid->min();
    const auto& hi = grid->max();
    min = {double(lo[0]), double(lo[1]), double(lo[2])};
    max = {double(hi[0]), double(hi[1]), double(hi[2])};
    stride_k = grid->extent(2);
    stride_h = stride_k * grid->extent(1);
  }

  /// Where integral indices that are on the grid have their value.
  template <class T>
  NABLA_INLINE T offset(const Vec3<T>& h) const {
    return (h.x - T(min.x)) * T(stride_h) + (h.y - T(min.y)) * T(stride_k) + (h.z - T(min.z));
  }
  template <class T>
  NABLA_INLINE auto holds(const Vec3<T>& h) const {
    return (h.x >= T(min.x)) & (h.x <= T(max.x)) & (h.y >= T(min.y)) & (h.y <= T(max.y)) &
           (h.z >= T(min.z)) & (h.z <= T(max.z));
  }
  /// nanoBragg's test: one index stricter on each side than four nodes need.
  template <class T>
  NABLA_INLINE auto surrounds(const Vec3<T>& h) const {
    return (h.x - T(2) >= T(min.x)) & (h.x + T(2) <= T(max.x)) & (h.y - T(2) >= T(min.y)) &
           (h.y + T(2) <= T(max.y)) & (h.z - T(2) >= T(min.z)) & (h.z + T(2) <= T(max.z));
  }
};

/// Calls `work(corner, mask)` once for each different offset of the wanted lanes.
template <class Work>
NABLA_INLINE void for_each_offset(double offset, bool wanted, Work&& work) {
  if (wanted) work(static_cast<std::int64_t>(offset), true);
}

template <class T>
NABLA_INLINE T nearest_structure_factor(const GridView& grid, const T& default_F,
                                        const Vec3<T>& nearest) {
  if (!grid.values) return default_F;
  const auto inside = grid.holds(nearest);
  return select(inside, value_at(grid.values, grid.offset(nearest), inside), default_F);
}

/// F^2 for one of several rays.
template <class T>
NABLA_INLINE T nearest_intensity(const GridView& grid, std::size_t ray, const Vec3<T>& nearest) {
  const auto everywhere = T(0) < T(1);
  const T first = T(double(grid.terms)) *
                  select(grid.holds(nearest), grid.offset(nearest), T(grid.terms_of_rest));
  const double* const of_ray = grid.of_rays + ray * static_cast<std::size_t>(grid.terms);
  T sum(0);
  for (int k = 0; k < grid.terms; ++k)
    sum = sum + T(of_ray[k]) * value_at(grid.of_reflections + k, first, everywhere);
  return sum;
}

/// Between the nodes of a table of the grid's size, from the corner of a neighbourhood on where it
/// is `inside`; `otherwise` elsewhere.
template <class T, class Real, class Mask>
NABLA_INLINE T interpolated(const GridView& grid, const Real* values, const T& corner,
                            const Mask& inside, const physics::TricubicWeights<T>& weights,
                            const T& otherwise) {
  const auto stride_h = static_cast<std::int64_t>(grid.stride_h),
             stride_k = static_cast<std::int64_t>(grid.stride_k);
  T found = otherwise;
  for_each_offset(corner, inside, [&](std::int64_t offset, const Mask& mask) {
    const Real* nodes = values + offset;
    const auto node = [&](int i, int j, int k) {
      return T(nodes[i * stride_h + j * stride_k + k]);
    };
    found = select(mask, physics::tricubic(weights, node), found);
  });
  return found;
}

/// Where `inside`; `otherwise` elsewhere.
template <class T, class Mask>
NABLA_INLINE T tricubic_structure_factor(const GridView& grid, const T& otherwise, const Vec3<T>& h,
                                         const Mask& inside) {
  const Vec3<T> base{floor_of(h.x), floor_of(h.y), floor_of(h.z)};
  const auto weights = physics::tricubic_weights(h.x - base.x, h.y - base.y, h.z - base.z);
  return interpolated(grid, grid.values, grid.offset(base - Vec3<T>{T(1), T(1), T(1)}), inside,
                      weights, otherwise);
}

/// Not beyond the resolution limit [m]: the spacing of the planes that scatter along q is 1/|q|.
template <class T>
NABLA_INLINE auto within_dmin(double dmin, const Vec3<T>& q) {
  const T stol = T(0.5) * length(q);
  return !((stol > T(0)) & (T(dmin) > T(0.5) / stol));
}

/// The factors of a pixel as a walk over its spots and rays has them; zero: not yet known.
template <class T>
struct WalkedFactors {
  T solid_angle{0}, polarization{0}, capture{1};
};

/// Walks over the spots of the sensor at which pixels (fast, slow) of one panel are sampled and
/// over the rays, in nanoBragg's order, and renews the factors by the rules of a Plan or, on a GPU,
/// a PlanView.  Calls on_spot(at) at each spot, which returns false to end the walk, and
/// on_ray(at, number, q, kept) for each ray that light can come from there: q is the scattering
/// vector [1/m], `kept` where -dmin lets the lattice scatter it.
template <class AnyPlan, class Real, class T, class OnSpot, class OnRay>
NABLA_INLINE void walk_rays(const AnyPlan& plan, const BasicPanelNumbers<Real>& panel,
                            const T& fast, const T& slow, WalkedFactors<T>& factors,
                            OnSpot&& on_spot, OnRay&& on_ray) {
  const auto& rules = plan.rules;
  const auto& rays = plan.light.rays;
  const auto as = [](const auto& x) { return physics::number<T>(x); };
  const T none(0);
  const auto everywhere = none < T(1);
  const bool absorbs = panel.sensor.absorbs();
  // A term's own solid angle is that of its own layer.
  const Real own_depth = rules.each_solid_angle() ? panel.sensor.layer_step : Real(0);
  const auto renew = [&](Apply rule, T& factor, const auto& where, auto&& value) {
    const auto now = rule == Apply::once ? where & (factor == none) : where;
    if (any(now)) factor = select(now, value(), factor);
  };
  factors = {none, T(rules.polarized ? 0.0f : 1.0f), T(1)};
  BasicSubPixel<T> at;
  for (at.layer = 0; at.layer < panel.sensor.layers; ++at.layer) {
    if (absorbs) factors.capture = none;
    for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
        place(panel, plan.oversample, fast, slow, at);
        renew(rules.solid_angle, factors.solid_angle, everywhere, [&] {
          return solid_angle(panel.frame, T(1) / at.distance, own_depth * Real(double(at.layer)));
        });
        if (absorbs)
          renew(rules.capture, factors.capture, everywhere, [&] {
            return physics::capture_fraction(as(double(at.layer)), as(panel.sensor.layer_step),
                                             as(panel.sensor.absorption_per_m),
                                             obliquity(panel.frame, at.direction));
          });
        if (!on_spot(at)) return;

        for (std::size_t number = 0; number < rays.size(); ++number) {
          const auto& ray = rays[number];
          const Vec3<T> incident = vec3_as<T>(ray.incident);
          const Vec3<T> q = as(ray.wavenumber) * (at.direction - incident);
          auto kept = everywhere;
          if (plan.dmin > 0) kept = within_dmin(plan.dmin, q);
          // The background is not cut off.
          const auto seen = plan.background.per_sr == Real(0) ? kept : everywhere;
          if (!any(seen)) continue;
          if (rules.polarized)
            renew(rules.polarization, factors.polarization, seen, [&] {
              return physics::kahn_polarization(dot(incident, at.direction),
                                                dot(at.direction, vec3_as<T>(ray.magnetic)),
                                                as(plan.light.polarization_fraction));
            });
          on_ray(at, number, q, kept);
        }
      }
  }
}

/// How often the background of a layer is sampled.
template <class AnyPlan>
NABLA_INLINE double background_samples(const AnyPlan& plan) {
  return double(plan.light.rays.size()) * double(plan.oversample) * double(plan.oversample);
}

/// Photons of the background, which rides on the factors of each spot and ray alone.
template <class AnyPlan, class Real, class T>
NABLA_HOST_DEVICE T background_photons(const AnyPlan& plan, const BasicPanelNumbers<Real>& panel,
                                       const T& fast, const T& slow) {
  WalkedFactors<T> factors;
  T light(0);
  walk_rays(
      plan, panel, fast, slow, factors, [](const auto&) { return true; },
      [&](const auto&, std::size_t number, const auto&, const auto&) NABLA_INLINE_LAMBDA {
        light = light + physics::number<T>(plan.light.rays[number].weight) * factors.solid_angle *
                            factors.polarization * factors.capture;
      });
  return physics::number<T>(plan.background.per_sr) * light /
         physics::number<T>(background_samples(plan));
}

/// Whether a plan may tell of displacements that weaken its spots; a GPU's view does not.
template <class AnyPlan>
inline constexpr bool knows_displacements = requires(const AnyPlan& plan) {
  plan.diffuse;
};

/// The lattice's light in pixels (fast, slow) of one panel.  The first `tricubic_steps` lookups
/// interpolate where the plan asks for it, the rest are nearest: how the interpolation cutoff
/// (OutOfRange::nearest_for_all) reaches a pixel.  Only double can count them; lanes take all_steps
/// or 0.
template <class Shape, bool Tricubic, class AnyPlan, class Real, class T, class Visitor>
NABLA_HOST_DEVICE BasicPixelSum<T> sum_lattice(const AnyPlan& plan,
                                               const BasicPanelNumbers<Real>& panel,
                                               const GridView& grid, const T& fast, const T& slow,
                                               std::int64_t tricubic_steps, Visitor&& visit) {
  using Visits = std::remove_reference_t<Visitor>;
  constexpr bool counts = std::is_same_v<T, double>;
  const auto& rules = plan.rules;
  const auto& lattice = plan.lattice;
  const bool running = rules.running();
  const std::int64_t asked = tricubic_steps;
  const int orientations = static_cast<int>(lattice.orientations.size());
  const T default_F(lattice.default_F), none(0);
  const bool zero_counts = !(plan.background.starting_sum == Real(0));

  WalkedFactors<T> factors;
  const auto combined = [&](Apply rule) {
    const auto at_rule = [&](Apply of_factor, const T& factor) {
      return of_factor == rule ? factor : T(1);
    };
    return at_rule(rules.capture, factors.capture) *
           at_rule(rules.polarization, factors.polarization) *
           at_rule(rules.solid_angle, factors.solid_angle);
  };
  BasicPixelSum<T> out;
  T sum(plan.background.starting_sum);
  const auto on_spot = [&](const auto&) NABLA_INLINE_LAMBDA {
    out.solid_angle_sum = out.solid_angle_sum + factors.solid_angle;
    return visit.goes_on();
  };
  const auto on_ray = [&]([[maybe_unused]] const BasicSubPixel<T>& at, std::size_t ray_index,
                          const Vec3<T>& q, const auto& kept) NABLA_INLINE_LAMBDA {
    if (!any(kept)) return;
    const auto& ray = plan.light.rays[ray_index];
    const T weight(ray.weight);
    const T running_factor = running ? combined(Apply::to_running_sum) : T(1);

    T ray_sum(0);
    for (int o = 0; o < orientations; ++o) {
      const auto& axes = lattice.orientations[static_cast<std::size_t>(o)];
      const Vec3<T> h = Mat3<T>{vec3_as<T>(axes.a), vec3_as<T>(axes.b), vec3_as<T>(axes.c)} * q;
      const Vec3<T> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
      const T latt = Shape::factor(lattice, h - nearest);
      const auto scatters = zero_counts ? kept : kept & !(latt == none);
      if (!any(scatters)) continue;

      T F, F2;
      [[maybe_unused]] bool interpolated = false;
      if (!Tricubic && grid.terms > 0) {
        F2 = nearest_intensity(grid, ray_index, nearest);
        if constexpr (Visits::active) F = std::sqrt(F2);
      } else if (Tricubic && tricubic_steps > 0) {
        const auto inside = grid.surrounds(h);
        F = tricubic_structure_factor(grid, default_F, h, inside & scatters);
        if constexpr (counts) {
          --tricubic_steps;
          interpolated = inside;
          if (!interpolated && out.first_miss == all_steps)
            out.first_miss = asked - tricubic_steps - 1;
        }
        F2 = F * F;
      } else {
        F = nearest_structure_factor(grid, default_F, nearest);
        F2 = F * F;
      }
      if constexpr (knows_displacements<AnyPlan>) {
        // An engine's table has the factor already (diffuse_tables.hpp).
        using std::exp;
        if (plan.diffuse.damps()) {
          const T factor = exp(
              T(-0.5) * spot_radius2(physics::metric_as<T>(plan.diffuse.displacement), nearest));
          F = F * factor;
          F2 = F2 * factor * factor;
        }
      }
      const T term = F2 * latt * latt;
      if (running)
        sum = select(scatters, (sum + weight * term) * running_factor, sum);
      else
        ray_sum = ray_sum + select(scatters, term, none);

      if constexpr (Visits::active) {
        StepRecord record;
        record.at = at;
        record.ray = static_cast<int>(ray_index);
        record.phi = o / lattice.domains;
        record.domain = o % lattice.domains;
        record.q = q;
        record.hkl = h;
        record.nearest = nearest;
        record.lattice_factor = latt;
        record.structure_factor = F;
        record.interpolated = interpolated;
        record.solid_angle = factors.solid_angle;
        record.polarization = factors.polarization;
        record.capture = factors.capture;
        record.term = ray.weight * term;
        record.sum = running ? sum : sum + ray_sum * ray.weight * combined(Apply::to_each_term);
        visit(record);
      }
    }
    if (!running) sum = sum + ray_sum * weight * combined(Apply::to_each_term);
  };
  walk_rays(plan, panel, fast, slow, factors, on_spot, on_ray);

  out.sum = sum;
  out.solid_angle = factors.solid_angle;
  out.polarization = factors.polarization;
  out.capture = factors.capture;
  out.photons = T(plan.scale) * sum * combined(Apply::once);
  return out;
}

/// The same with the background: all light of the pixels.
template <class Shape, bool Tricubic, class AnyPlan, class Real, class T, class Visitor>
NABLA_HOST_DEVICE BasicPixelSum<T> sum_pixels(const AnyPlan& plan,
                                              const BasicPanelNumbers<Real>& panel,
                                              const GridView& grid, const T& fast, const T& slow,
                                              std::int64_t tricubic_steps, Visitor&& visit) {
  BasicPixelSum<T> out = sum_lattice<Shape, Tricubic>(plan, panel, grid, fast, slow, tricubic_steps,
                                                      visit);
  if (!(plan.background.per_sr == Real(0)))
    out.photons = out.photons + background_photons(plan, panel, fast, slow);
  for (const auto& material : plan.materials)
    out.photons = out.photons + material_photons(plan, panel, view_of(material), fast, slow);
  return out;
}

/// The same of one pixel, with the shape and the kind of lookup that the plan names.
template <class Visitor>
PixelSum sum_pixel(const Plan& plan, const PlanPanel& panel, const GridView& grid, int fast,
                   int slow, std::int64_t tricubic_steps, Visitor&& visit) {
  const auto x = double(fast), y = double(slow);
  return physics::with_shape(plan.lattice.shape, [&]<class Shape>() {
    return plan.lattice.tricubic
               ? sum_pixels<Shape, true>(plan, panel, grid, x, y, tricubic_steps, visit)
               : sum_pixels<Shape, false>(plan, panel, grid, x, y, 0, visit);
  });
}

}  // namespace nablabragg::engine
