// The reflections that light up pixels in closed form, ready for the kernels.
#pragma once
#include <cstddef>
#include <vector>
#include "engine/closed/closed_spot.hpp"
#include "engine/engine.hpp"
#include "nablabragg/reflection.hpp"  // for MillerIndex
#include "physics/gaussian_spot.hpp"
#include "physics/shapes/gauss.hpp"
#include "plan/plan.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

/// Along each edge: finer ones see nothing that the variance of their boxes does not tell.  A user
/// may ask for more.
inline constexpr int most_subpixels = 64;

/// One reflection on one layer of a panel, from one slice of phi.
struct ClosedSpot {
  SpotNumbers<double> wide;
  SpotNumbers<float> single;
  MillerIndex hkl{};
  int panel = 0, layer = 0, orientation = 0;
  int subpixels_fast = 1, subpixels_slow = 1;
  bool narrow = true;  ///< slice: see narrow_box
  bool near = false;   ///< a flat panel's pixels that it may reach have |e| <= near_e
  double anchor_fast = 0, anchor_slow = 0;  ///< the middle of a pixel [pixels]
  double reach = 0;                         ///< of spot_darkness(), where the spot ends
  // The darkness as a parabola of pixels: `least` at the centre, curvature (fast2, both, slow2)
  double fast = 0, slow = 0, least = 0, fast2 = 0, both = 0, slow2 = 0;
  double bend = 0;  ///< by how much the spot leaves the parabola's ellipse [pixels]
  int fast_min = 0, fast_max = -1, slow_min = 0, slow_max = -1;  ///< pixels that it may reach
};

template <class Real>
NABLA_INLINE const SpotNumbers<Real>& numbers_of(const ClosedSpot& spot) {
  if constexpr (std::is_same_v<Real, float>)
    return spot.single;
  else
    return spot.wide;
}

template <class Real>
NABLA_INLINE SpotEllipse<Real> ellipse_of(const ClosedSpot& spot) {
  const auto as = [](double x) { return static_cast<Real>(x); };
  // How far it leaves the parabola's ellipse, and the outer sub-pixels the middle
  const auto twice = [&](int subpixels) { return as(2 * spot.bend + 1 - 1.0 / subpixels); };
  return {as(0.5 - spot.fast),
          as(0.5 - spot.slow),
          as(spot.fast2),
          as(spot.both),
          as(spot.slow2),
          as(spot.reach - spot.least),
          twice(spot.subpixels_fast),
          twice(spot.subpixels_slow)};
}

/// Spots of each panel in the order of their layers, slices and indices: the order in which pixels
/// add them.
struct ClosedPlan {
  const Plan* plan = nullptr;
  physics::SpotTerms terms{};
  bool diverges = false;
  std::vector<std::vector<const ClosedSpot*>> panels;  ///< of those that were found
  std::int64_t candidates = 0;                         ///< reflections that were looked at

  /// Those of one index h of one slice, on all panels: the first `count`.  The others are memory
  /// that is used again.
  struct Found {
    std::vector<ClosedSpot> spots;
    std::size_t count = 0;
    std::int64_t candidates = 0;

    ClosedSpot& next();  ///< one more spot, not cleared
  };
  std::vector<Found> found;  ///< memory that is used again
};

/// `skip_below` as in ComputeOptions, not empty.  Whatever `closed` holds, its memory is used
/// again: new memory for the spots of a large cell would cost as much as to find them.
void make_closed_plan(const Plan& plan, double skip_below, const ComputeOptions& options,
                      ClosedPlan& closed);

/// F of the table, or default_F.
double structure_factor(const PlanLattice& lattice, const MillerIndex& hkl);

/// What computes a plan, in words: its terms, the precision, how many spots it has.
std::string kernel_in_words(const ClosedPlan& plan, Precision precision);

/// A panel in the precision of a kernel: its numbers are converted once, not at each pixel.
template <class Real>
NABLA_INLINE BasicPanelNumbers<Real> panel_in(const PanelNumbers& panel) {
  BasicPanelNumbers<Real> out;
  out.frame.fast_pixels = panel.frame.fast_pixels;
  out.frame.curvature = panel.frame.curvature;
  out.frame.handedness = panel.frame.handedness;
  out.frame.solid_angle = panel.frame.solid_angle;
  out.sensor.layers = panel.sensor.layers;
  for_each_number_of_panel([](Real& to, const double& from) { to = static_cast<Real>(from); }, out,
                           panel);
  return out;
}
template <class Real>
NABLA_INLINE BasicPlanRay<Real> ray_in(const PlanRay& ray) {
  BasicPlanRay<Real> out;
  for_each_number_of_ray([](Real& to, const double& from) { to = static_cast<Real>(from); }, out,
                         ray);
  return out;
}
template <class Real>
NABLA_INLINE ClosedView<Real> view_in(const ClosedPlan& closed, const PanelNumbers& panel) {
  const Plan& plan = *closed.plan;
  return {panel_in<Real>(panel),
          ray_in<Real>(plan.light.rays.front()),
          static_cast<Real>(plan.light.polarization_fraction),
          double(plan.oversample),
          plan.rules.polarized,
          closed.diverges};
}

/// What prepare_spot() takes, of a reflection on points: without the pixel's box.  Templated for
/// derivatives.
template <class Real>
physics::GaussianSpotSource<Real> spot_source(const BasicPlan<Real>& plan, const Mat3<Real>& a_star,
                                              const Mat3<Real>& shape, const MillerIndex& hkl,
                                              std::size_t orientation) {
  using std::abs;
  const auto& ray = plan.light.rays.front();
  physics::GaussianSpotSource<Real> of;
  of.g = transposed_times(
      a_star, Vec3<Real>{Real(double(hkl[0])), Real(double(hkl[1])), Real(double(hkl[2]))});
  of.shape = shape;
  of.mosaic = plan.spread.mosaic[orientation];
  of.divergence = plan.spread.divergence;
  of.incident = ray.wavenumber * ray.incident;
  of.spindle = plan.spread.spindle;
  of.half_slice = abs(plan.spread.half_slice);
  of.bandwidth2 = plan.spread.bandwidth2;
  return of;
}

/// Rows a*, b*, c* [1/m] of rows a, b, c [m].
template <class Real>
Mat3<Real> reciprocal_axes(const Mat3<Real>& axes) {
  return transposed(inverse(axes));
}

/// Covariance of a Gaussian block's spot in indices.
template <class Real>
Mat3<Real> index_covariance(const BasicPlanLattice<Real>& lattice) {
  const auto& m = lattice.metric;
  return (Real(physics::Gauss::width2 / 4) / lattice.fudge) *
         inverse(Mat3<Real>{{m.aa, m.ab, m.ca}, {m.ab, m.bb, m.bc}, {m.ca, m.bc, m.cc}});
}
/// The same in reciprocal space [1/m^2].
template <class Real>
Mat3<Real> shape_covariance(const BasicPlanLattice<Real>& lattice, const Mat3<Real>& a_star) {
  return transposed(a_star) * index_covariance(lattice) * a_star;
}

/// Photons of a spot over F^2 and its peak (PreparedSpot::peak), per steradian, on all sub-pixels.
template <class Real>
Real photons_per_F2(const BasicPlan<Real>& plan) {
  const Vec3<Real>& n = plan.lattice.cells;
  const Real cells = n.x * n.y * n.z;
  const double samples = double(plan.oversample) * plan.oversample;
  return Real(samples) * plan.scale * plan.light.rays.front().weight * cells * cells;
}

/// How q0 changes over a pixel.
template <class Real>
struct PixelSteps {
  Vec3<Real> fast, slow;  ///< [1/m]
};

/// On a flat panel, where light of the mean wavenumber that g turns towards q0 = g meets it: a
/// point that follows smoothly from the plan.
template <class Real>
struct FlatView {
  Vec3<Real> direction, origin;  ///< of the layer
  Real length, distance;         ///< of g + k s0; of the point
  Real per_pixel;                ///< k x pixel/distance

  FlatView(const BasicPlan<Real>& plan, const BasicPanelNumbers<Real>& panel, int layer,
           const Vec3<Real>& g)
      : FlatView(plan.light.rays.front(), plan.oversample, panel, layer, g) {}
  FlatView(const BasicPlanRay<Real>& ray, int oversample, const BasicPanelNumbers<Real>& panel,
           int layer, const Vec3<Real>& g) {
    const auto& f = panel.frame;
    const Vec3<Real> outgoing = g + ray.wavenumber * ray.incident;
    length = nablabragg::length(outgoing);
    direction = outgoing / length;
    origin = f.origin + Real(panel.sensor.layer_step * Real(double(layer))) * f.normal;
    distance = dot(f.normal, origin) / dot(f.normal, direction);
    per_pixel = ray.wavenumber * f.subpixel * Real(double(oversample)) / distance;
  }
  PixelSteps<Real> steps(const BasicPlanFrame<Real>& f) const {
    const auto across = [&](const Vec3<Real>& axis) {
      return per_pixel * (axis - dot(direction, axis) * direction);
    };
    return {across(f.fast), across(f.slow)};
  }
};

/// At the anchor of a spot, by the difference over its pixel.
template <class Real>
PixelSteps<Real> curved_pixel_steps(const Real& wavenumber, int oversample,
                                    const BasicPanelNumbers<Real>& panel, int layer,
                                    const Real& anchor_fast, const Real& anchor_slow) {
  const auto see = [&](double x, double y) {
    return seen_at(panel, layer, oversample, Real(anchor_fast + Real(x)),
                   Real(anchor_slow + Real(y)))
        .direction;
  };
  return {wavenumber * (see(0.5, 0) - see(-0.5, 0)), wavenumber * (see(0, 0.5) - see(0, -0.5))};
}

template <class Real>
PixelSteps<Real> pixel_steps(const BasicPlanRay<Real>& ray, int oversample,
                             const BasicPanelNumbers<Real>& panel, int layer,
                             const Real& anchor_fast, const Real& anchor_slow,
                             const Vec3<Real>& g) {
  return panel.frame.curvature == Curvature::flat
             ? FlatView<Real>(ray, oversample, panel, layer, g).steps(panel.frame)
             : curved_pixel_steps(ray.wavenumber, oversample, panel, layer, anchor_fast,
                                  anchor_slow);
}
template <class Real>
PixelSteps<Real> pixel_steps(const BasicPlan<Real>& plan, const ClosedSpot& spot,
                             const Vec3<Real>& g) {
  return pixel_steps(plan.light.rays.front(), plan.oversample,
                     static_cast<const BasicPanelNumbers<Real>&>(
                         plan.panels[static_cast<std::size_t>(spot.panel)]),
                     spot.layer, Real(spot.anchor_fast), Real(spot.anchor_slow), g);
}

/// Of a sub-pixel along both axes [pixels^2]; zero where it is a point.
template <class Real>
struct BoxVariances {
  Real fast, slow;
};
template <class Real>
BoxVariances<Real> box_variances(const Plan& plan, const Real& subpixels_fast,
                                 const Real& subpixels_slow) {
  const auto variance = [&](const Real& subpixels) {
    return plan.spread.pixels_are_boxes ? Real(Real(1) / (Real(12.0) * subpixels * subpixels))
                                        : Real(0);
  };
  return {variance(subpixels_fast), variance(subpixels_slow)};
}
inline BoxVariances<double> box_variances(const Plan& plan, const ClosedSpot& spot) {
  return box_variances<double>(plan, spot.subpixels_fast, spot.subpixels_slow);
}
template <class Real, class Number>
Mat3<Real> pixel_box(const BoxVariances<Number>& variances, const PixelSteps<Real>& steps) {
  return Real(variances.fast) * outer_square(steps.fast) +
         Real(variances.slow) * outer_square(steps.slow);
}

}  // namespace nablabragg::engine
