#include "engine/closed/closed_gradient.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>

#include "engine/threads.hpp"
#include "physics/dual.hpp"
#include "physics/gaussian_spot_adjoints.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

/// What spots of one slice have in common, and how it changes.
template <class Real>
struct SliceAxes {
  Mat3<Real> a_star, shape;
};
template <class Real>
std::vector<SliceAxes<Real>> axes_of_slices(const BasicPlan<Real>& plan) {
  std::vector<SliceAxes<Real>> all;
  for (const Mat3<Real>& axes : plan.lattice.orientations) {
    const Mat3<Real> a_star = reciprocal_axes(axes);
    all.push_back({a_star, shape_covariance(plan.lattice, a_star)});
  }
  return all;
}

void add(Vec3d& to, const Vec3d& more) { to = to + more; }
void add(Mat3d& to, const Mat3d& more) { to = to + more; }
Mat3d symmetric(const Mat3d& m) { return 0.5 * (m + transposed(m)); }

/// From the adjoints of a pixel's steps to those of the panel, the light and g.
void pull_back_flat_view(const Plan& plan, const ClosedSpot& spot, const Vec3d& g,
                         const PixelSteps<double>& to_steps,
                         physics::GaussianSpotSource<double>& to_source, Plan& out) {
  const PanelNumbers& panel = plan.panels[static_cast<std::size_t>(spot.panel)];
  const PlanFrame& f = panel.frame;
  const FlatView<double> view(plan, panel, spot.layer, g);
  auto& to_panel = out.panels[static_cast<std::size_t>(spot.panel)];
  double to_per_pixel = 0;
  Vec3d to_direction;
  const auto pull_back_axis = [&](const Vec3d& axis, const Vec3d& to_step, Vec3d& to_axis) {
    const double along = dot(view.direction, axis);
    to_per_pixel += dot(to_step, axis - along * view.direction);
    const Vec3d to_across = view.per_pixel * to_step;
    const double to_along = -dot(view.direction, to_across);
    add(to_axis, to_across + to_along * view.direction);
    add(to_direction, to_along * axis - along * to_across);
  };
  pull_back_axis(f.fast, to_steps.fast, to_panel.frame.fast);
  pull_back_axis(f.slow, to_steps.slow, to_panel.frame.slow);
  const double by_log = to_per_pixel * view.per_pixel;
  out.light.rays.front().wavenumber += by_log / plan.light.rays.front().wavenumber;
  to_panel.frame.subpixel += by_log / f.subpixel;
  // distance = normal . origin/(normal . direction)
  const double away = dot(f.normal, view.origin), facing = dot(f.normal, view.direction);
  const Vec3d to_origin = (-by_log / away) * f.normal;
  add(to_panel.frame.normal, (-by_log / away) * view.origin + (by_log / facing) * view.direction);
  add(to_direction, (by_log / facing) * f.normal);
  add(to_panel.frame.origin, to_origin);
  add(to_panel.frame.normal, (panel.sensor.layer_step * spot.layer) * to_origin);
  to_panel.sensor.layer_step += spot.layer * dot(to_origin, f.normal);
  const Vec3d to_outgoing = (1 / view.length) *
                            (to_direction - dot(view.direction, to_direction) * view.direction);
  add(to_source.g, to_outgoing);
  add(to_source.incident, to_outgoing);
}

}  // namespace

void pull_back_spots(const ClosedPlan& closed,
                     const std::vector<std::vector<ClosedSpotAdjoints>>& spots,
                     const ClosedGradientKernelSet& kernels, const ComputeOptions& options,
                     PlanGradient& gradient) {
  const Plan& plan = *closed.plan;
  Plan& out = gradient.adjoint;
  const PlanRay& ray = plan.light.rays.front();
  const auto slices = axes_of_slices(plan);
  // With respect to rows a*, b*, c*, and to the shape's covariance
  std::vector<SliceAxes<double>> to_slices(slices.size());
  double light = 0;
  Vec3d to_incident;
  for (std::size_t p = 0; p < spots.size(); ++p) {
    struct OfSpot {
      Vec3d g;
      physics::GaussianSpotSource<double> source;  ///< adjoints
      PixelSteps<double> steps, to_steps;
    };
    std::vector<OfSpot> all(spots[p].size());
    with_threads(options.threads, [&] {
      tbb::parallel_for(std::size_t{0}, all.size(), [&](std::size_t i) {
        const ClosedSpotAdjoints& from = spots[p][i];
        if (from.light == 0 && from.d == Vec3d{}) return;
        const ClosedSpot& spot = *closed.panels[p][i];
        OfSpot& to = all[i];
        const auto o = static_cast<std::size_t>(spot.orientation);
        auto source = spot_source(plan, slices[o].a_star, slices[o].shape, spot.hkl, o);
        to.g = source.g;
        to.steps = pixel_steps(plan, spot, to.g);
        const BoxVariances<double> variances = box_variances(plan, spot);
        source.pixel = pixel_box(variances, to.steps);
        to.source = physics::pull_back_source(source, physics::prepare_spot(source), from.spot,
                                              from.d, from.light);
        add(to.source.g, -from.d);
        const Mat3d by_box = 2.0 * symmetric(to.source.pixel);
        to.to_steps = {variances.fast * (by_box * to.steps.fast),
                       variances.slow * (by_box * to.steps.slow)};
      });
    });
    std::vector<SeenPoint> points;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const ClosedSpotAdjoints& from = spots[p][i];
      if (from.light == 0 && from.d == Vec3d{}) continue;
      const ClosedSpot& spot = *closed.panels[p][i];
      auto& [g, source, steps, to_steps] = all[i];
      const bool flat = plan.panels[p].frame.curvature == Curvature::flat;
      if (plan.spread.pixels_are_boxes && flat)
        pull_back_flat_view(plan, spot, g, to_steps, source, out);
      const auto o = static_cast<std::size_t>(spot.orientation);
      Mat3d& to_axes = to_slices[o].a_star;
      add(to_axes.a, double(spot.hkl[0]) * source.g);
      add(to_axes.b, double(spot.hkl[1]) * source.g);
      add(to_axes.c, double(spot.hkl[2]) * source.g);
      add(to_slices[o].shape, source.shape);
      add(out.spread.mosaic[o], symmetric(source.mosaic));
      add(out.spread.divergence, symmetric(source.divergence));
      out.spread.bandwidth2 += source.bandwidth2;
      add(out.spread.spindle, source.spindle);
      out.spread.half_slice += plan.spread.half_slice < 0 ? -source.half_slice : source.half_slice;
      add(to_incident, source.incident);

      light += from.light;
      const double F = structure_factor(plan.lattice, spot.hkl), by_F = 2 * from.light / F;
      const auto& [h, k, l] = spot.hkl;
      if (plan.lattice.grid && plan.lattice.grid->contains(h, k, l))
        gradient.table->at(h, k, l) += by_F;
      else
        out.lattice.default_F += by_F;

      if (!plan.spread.pixels_are_boxes || flat) continue;
      // steps.fast = k (direction(x + 1/2) - direction(x - 1/2))
      out.light.rays.front().wavenumber += (dot(steps.fast, to_steps.fast) +
                                            dot(steps.slow, to_steps.slow)) /
                                           ray.wavenumber;
      const double x = spot.anchor_fast, y = spot.anchor_slow;
      const Vec3d by_fast = ray.wavenumber * to_steps.fast,
                  by_slow = ray.wavenumber * to_steps.slow;
      points.insert(points.end(), {{x + 0.5, y, spot.layer, by_fast},
                                   {x - 0.5, y, spot.layer, -by_fast},
                                   {x, y + 0.5, spot.layer, by_slow},
                                   {x, y - 0.5, spot.layer, -by_slow}});
    }
    kernels.pull_back_points(plan, p, points, out);
  }

  // The incident wave vector
  PlanRay& to_ray = out.light.rays.front();
  to_ray.wavenumber += dot(to_incident, ray.incident);
  add(to_ray.incident, ray.wavenumber * to_incident);
  // The amplitude: scale x weight x (Na Nb Nc)^2
  const PlanLattice& lattice = plan.lattice;
  out.scale += light / plan.scale;
  to_ray.weight += light / ray.weight;
  add(out.lattice.cells,
      (2 * light) * Vec3d{1 / lattice.cells.x, 1 / lattice.cells.y, 1 / lattice.cells.z});
  // The axes: covariance = a*^T C a*
  const Mat3d in_indices = index_covariance(lattice);
  Mat3d to_indices;
  for (std::size_t o = 0; o < slices.size(); ++o) {
    const Mat3d& a_star = slices[o].a_star;
    Mat3d& to_axes = to_slices[o].a_star;
    const Mat3d weighted = a_star * symmetric(to_slices[o].shape);
    add(to_axes, 2.0 * (in_indices * weighted));
    add(to_indices, weighted * transposed(a_star));
    // a_star = axes^-T
    add(out.lattice.orientations[o], -1.0 * (a_star * transposed(to_axes) * a_star));
  }
  // C = width2/(4 fudge) M^-1; a number off the diagonal of M stands for two.
  const double per_fudge = trace(in_indices * to_indices) / lattice.fudge;
  const Mat3d to_metric = (-4 * lattice.fudge / physics::Gauss::width2) *
                          (in_indices * to_indices * in_indices);
  out.lattice.fudge -= per_fudge;
  auto& to = out.lattice.metric;
  to.aa += to_metric.a.x;
  to.bb += to_metric.b.y;
  to.cc += to_metric.c.z;
  to.ab += 2 * to_metric.a.y;
  to.bc += 2 * to_metric.b.z;
  to.ca += 2 * to_metric.c.x;
}

ClosedTangent tangent_of_spots(const ClosedPlan& closed, const WantedSpots& wanted,
                               const Plan& tangent, const StructureFactorGrid* table_tangent,
                               const ComputeOptions& options) {
  using Real = physics::Dual<1>;
  const Plan& plan = *closed.plan;
  BasicPlan<Real> dual;
  dual.oversample = plan.oversample;
  dual.panels.resize(plan.panels.size());
  for (std::size_t p = 0; p < plan.panels.size(); ++p) {
    auto& frame = dual.panels[p].frame;
    const PlanFrame& from = plan.panels[p].frame;
    frame.curvature = from.curvature;
    frame.handedness = from.handedness;
    dual.panels[p].sensor.layers = plan.panels[p].sensor.layers;
  }
  dual.light.rays.resize(1);
  dual.lattice.orientations.resize(plan.lattice.orientations.size());
  dual.materials.resize(plan.materials.size());
  dual.spread.mosaic.resize(plan.spread.mosaic.size());
  for_each_number_of_plan(
      [](Real& x, const double& value, const double& slope) {
        x = Real(value);
        x.slopes[0] = slope;
      },
      dual, plan, tangent);

  const auto slices = axes_of_slices(dual);
  const Real per_F2 = photons_per_F2(dual);
  ClosedTangent out{&tangent, {}};
  for (std::size_t p = 0; p < closed.panels.size(); ++p) {
    const auto& spots = closed.panels[p];
    auto& of_panel = out.panels.emplace_back(spots.size());
    with_threads(options.threads, [&] {
      tbb::parallel_for(std::size_t{0}, spots.size(), [&](std::size_t i) {
        if (!wanted[p][i]) return;
        const ClosedSpot& spot = *spots[i];
        const auto o = static_cast<std::size_t>(spot.orientation);
        auto source = spot_source(dual, slices[o].a_star, slices[o].shape, spot.hkl, o);
        source.pixel = pixel_box(box_variances(plan, spot), pixel_steps(dual, spot, source.g));
        const auto prepared = physics::prepare_spot(source);
        const auto slope = [](const Real& x) { return x.slopes[0]; };
        ClosedSpotTangent& to = of_panel[i];
        physics::for_each_number_of_spot([&](double& change, const Real& x) { change = slope(x); },
                                         to.spot, prepared.spot);
        const Vec3<Real> d = prepared.offset - source.g;
        to.d = {slope(d.x), slope(d.y), slope(d.z)};
        const auto& [h, k, l] = spot.hkl;
        const bool in_table = plan.lattice.grid && plan.lattice.grid->contains(h, k, l);
        const double by_F = in_table ? (table_tangent ? table_tangent->at(h, k, l) : 0)
                                     : tangent.lattice.default_F;
        to.amplitude = slope(per_F2) / per_F2.value + slope(prepared.peak) / prepared.peak.value +
                       2 * by_F / structure_factor(plan.lattice, spot.hkl);
      });
    });
  }
  return out;
}

}  // namespace nablabragg::engine
