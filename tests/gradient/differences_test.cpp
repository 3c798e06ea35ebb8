// Gradients of random experiments against differences in 80-bit arithmetic, which share the
// formulas of the image with the engine and none of those of its derivatives.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <sstream>

#include "nablabragg/gradient.hpp"
#include "support/engines.hpp"
#include "support/extended.hpp"
#include "support/random_experiment.hpp"
#include "support/seldom.hpp"

namespace nablabragg::test {
namespace {

/// Some pixels of the panel and a weight of either sign for each.
struct Functional {
  std::vector<PixelIndex> pixels;
  std::vector<double> weights;
};

Functional draw_functional(const Experiment& e, int count) {
  Functional f;
  for (int i = 0; i < count; ++i) {
    f.pixels.push_back(
        {*any_count(0, e.detector.fast_pixels - 1), *any_count(0, e.detector.slow_pixels - 1)});
    f.weights.push_back(*any_between(-1, 1));
  }
  return f;
}

ComputeOptions in_double() {
  ComputeOptions options = fast_engine(Precision::float64);
  options.threads = 1;
  options.skip_below = 0;
  return options;
}

/// Running products have no gradient, and the interpolation cutoff acts on a whole image at once.
Experiment differentiable(Experiment e) {
  e.quirks.running_products = false;
  e.quirks.interpolation_latch = false;
  // At N = 1, the least there is, only half of a difference would mean anything.
  e.crystal.cells = e.crystal.cells + Vec3d{0.25, 0.5, 0.75};
  // The differences share neither exp(W) of a table that contains displacements nor the damped
  // nodes of an interpolation.
  e.crystal.diffuse_in_F = false;
  if (resolve(e).tricubic) e.crystal.diffuse_sigma_A = e.crystal.diffuse_gamma_A = {};
  // In the direct beam itself interpolated F bends.
  if (!e.detector.beam_x_mm) e.detector.beam_x_mm = 3.21;
  return differentiable_here(e);
}

/// Photons of the pixels and how they change with one number, by differences of fourth order.
struct Differences {
  std::vector<double> photons, slopes;
  double step;
  bool smooth = true;  ///< no pixel jumps or bends within the differences
};

template <class PlanAt>
Differences differences(const Functional& f, PlanAt&& plan_at, long double step) {
  const std::array shifts{0.0L, step, -step, 2 * step, -2 * step, step / 2, -step / 2};
  std::array<ExtendedPlan, 7> plans;
  for (std::size_t i = 0; i < plans.size(); ++i) plans[i] = plan_at(shifts[i]);
  Differences out{{}, {}, static_cast<double>(step)};
  for (const PixelIndex& p : f.pixels) {
    std::array<long double, 7> at;
    for (std::size_t i = 0; i < plans.size(); ++i) at[i] = photons_of(plans[i], p.fast, p.slow);
    const auto wide = static_cast<double>((8 * (at[1] - at[2]) - (at[3] - at[4])) / (12 * step)),
               narrow = static_cast<double>((8 * (at[5] - at[6]) - (at[1] - at[2])) / (6 * step));
    out.smooth &= std::abs(wide - narrow) <=
                  1e-8 * std::abs(wide) + 1e-15 * static_cast<double>(std::abs(at[0]) / step);
    // A bend at the very middle, where interpolated F has one, is the same in both: second
    // differences fall by 2 there, and by 4 where all is smooth.
    const auto bend = static_cast<double>(
        ((at[1] - 2 * at[0] + at[2]) - 4 * (at[5] - 2 * at[0] + at[6])) / step);
    out.smooth &= std::abs(bend) <=
                  1e-7 * std::abs(wide) + 1e-14 * static_cast<double>(std::abs(at[0]) / step);
    out.photons.push_back(static_cast<double>(at[0]));
    out.slopes.push_back(narrow);
  }
  return out;
}

Seldom& jumps = Seldom::at_most(0.05, "numbers with which a pixel jumps or bends");

/// `got` = sum of weights x slopes, to within 1e-7 of the sum of their sizes.  Slopes that cancel
/// within a pixel, like those of a single cell, leave rounding in proportion to the light.
void expect_gradient(double got, const Functional& f, const Differences& d,
                     const std::string& what) {
  if (jumps.happens(!d.smooth)) return;
  double sum = 0, scale = 0, light = 0;
  for (std::size_t i = 0; i < d.slopes.size(); ++i) {
    sum += f.weights[i] * d.slopes[i];
    scale += std::abs(f.weights[i] * d.slopes[i]);
    light += std::abs(f.weights[i] * d.photons[i]);
  }
  const double allowed = 1e-7 * scale + 5e-16 * light / d.step;
  if (!(std::abs(got - sum) <= allowed)) {
    std::ostringstream text;
    text << what << ": " << got << " instead of " << sum << ", off by " << got - sum << ", allowed "
         << allowed;
    RC_FAIL(text.str());
  }
}

/// Water and other matter that scatter about as much as the crystal: the differences of one do not
/// drown in the other.
void balance_background(const Functional& f, Experiment& e) {
  const auto light = [&](const Experiment& of) {
    double sum = 0;
    for (const double x : photons(of, f.pixels, in_double())) sum += x;
    return sum;
  };
  const double crystal = light(without_background(e));
  if (e.water_um != 0) {
    Experiment wet = e;
    wet.materials.clear();
    const double both = light(wet);
    e.water_um = both > crystal ? e.water_um * std::cbrt(crystal / (both - crystal)) : 0;
  }
  if (e.materials.empty()) return;
  Experiment dry = e;
  dry.water_um = 0;
  const double ratio = std::abs(light(dry) - crystal) / crystal;
  if (ratio > 0 && ratio < 1e200)
    for (Material& material : e.materials)
      for (double& F : material.F) F /= std::sqrt(ratio);
}

void expect_gradients_of(Experiment drawn) {
  // Engines weaken the table's F and interpolate then, the extended sum does it the other way
  // round.
  if (resolve(drawn).tricubic) {
    drawn.crystal.diffuse_sigma_A = drawn.crystal.diffuse_gamma_A = {};
    drawn.crystal.diffuse_in_F = false;
  }
  const Functional f = draw_functional(SettledExperiment(drawn).experiment(), 4);
  balance_background(f, drawn);
  const Experiment e = SettledExperiment(drawn).experiment();
  const auto result = value_and_gradient(drawn, f.pixels, f.weights, in_double());

  description::for_each_parameter(
      e, [&](const description::ParameterKey& key, const auto&, const auto&, auto&& numbers) {
        const std::string name = key.name(e);
        const std::vector<double>& got = result.gradient.parameters.at(name);
        for (std::size_t which = 0; which < got.size(); ++which) {
          double value = 0;
          const auto plan_at = [&](long double shift) {
            return extended_plan(e, [&](auto& x) {
              std::size_t index = 0;
              numbers(x, [&](Extended& n) {
                if (index++ != which) return;
                value = static_cast<double>(n.v);
                n = n + Extended::shift(shift);
              });
            });
          };
          plan_at(0);
          const long double step = 4e-6L * std::max(1.0, std::abs(value));
          expect_gradient(got[which], f, differences(f, plan_at, step),
                          name + ('[' + std::to_string(which) + ']'));
        }
      });

  const auto plan_with_default_F = [&](long double shift) {
    auto plan = extended_plan(e, [](auto&) {});
    plan.lattice.default_F = plan.lattice.default_F + Extended::shift(shift);
    return plan;
  };
  expect_gradient(result.gradient.parameters.at("default_F")[0], f,
                  differences(f, plan_with_default_F, 1e-3L), "default_F");
  if (!e.structure_factors.grid) return;
  const auto& bars = result.gradient.structure_factors->values();
  for (int i = 0; i < 3; ++i) {
    // Those that matter, where there are any
    std::size_t entry = static_cast<std::size_t>(*any_count(0, static_cast<int>(bars.size()) - 1));
    for (std::size_t tries = 0; tries < bars.size() && bars[entry] == 0; ++tries)
      entry = (entry + 1) % bars.size();
    const auto plan_at = [&](long double shift) {
      auto plan = extended_plan(e, [](auto&) {});
      auto changed = std::make_shared<StructureFactorGrid>(*plan.lattice.grid);
      changed->values()[entry] += static_cast<double>(shift);
      plan.lattice.grid = changed;
      return plan;
    };
    expect_gradient(bars[entry], f, differences(f, plan_at, 0.25L), "an F of the table");
  }
}

RC_GTEST_PROP(Gradient, EqualsDifferencesForAnyExperiment, ()) {
  expect_gradients_of(differentiable(*any_experiment_of_any_panel()));
}

/// The same crystal, beam and detector in other words, which have parameters of their own.
Experiment in_other_words(Experiment e) {
  Detector& detector = e.detector;
  if (*any_choice()) state_crystal_as_matrix(e);
  if (*any_choice()) {
    e.beam.flux_per_s = 1e21;
    e.beam.exposure_s = *any_between(0.1, 2);
    e.beam.size_mm = *any_between(0.01, 0.1);
  }
  if (*any_choice()) e.scan.spindle_axis = 2.0 * *any_direction();
  if (*any_choice()) {
    const Vec3d axis = *any_direction(), beam = resolve(e).panel.beam;
    // Along the beam, it has no plane
    if (length(cross(axis, beam)) > 0.1) e.beam.polarization_axis = 3.0 * axis;
  }
  if (*any_choice()) detector.two_theta_axis = *any_direction();
  switch (*any_count(0, 4)) {
    case 0:
      detector.close_distance_mm = detector.distance_mm;
      break;
    case 1:
      detector.org_x_px = *any_between(1, 20);
      detector.org_y_px = *any_between(1, 20);
      break;
    case 2:
      detector.close_x_mm = *any_between(1, 20);
      detector.close_y_mm = *any_between(1, 20);
      break;
    case 3:
      detector.origin_m = resolve(e).panel.origin;
      break;
    default: {
      // Axes of a custom frame need not be of unit length.
      const Panel panel = resolve(e).panel;
      e.beam.direction = 2.0 * panel.beam;
      e.beam.polarization_axis = panel.polarization_axis;  // the frame's may lie along the beam
      detector.convention = Convention::custom;
      detector.fast_axis = 2.0 * panel.fast;
      detector.slow_axis = 3.0 * panel.slow;
      // nanoBragg replaces one whose length is not 1 to the last bit by (1 0 0); light that runs
      // along the sensor, or into its back, is absorbed without bounds.
      if (!e.quirks.custom_normal_kept) {
        if (*any_choice()) detector.normal = panel.normal;
      } else if (panel.normal.x < 0.5) {
        detector.sensor_thickness_um = 0;
      }
      break;
    }
  }
  return e;
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForExperimentsInOtherWords, ()) {
  expect_gradients_of(in_other_words(differentiable(*any_experiment_of_either_mode())));
}

RC_GTEST_PROP(Gradient, EqualsDifferencesForDiffuseScattering, ()) {
  Experiment e = *any_experiment();
  e.structure_factors.interpolation = Interpolation::nearest;
  draw_diffuse(e);
  expect_gradients_of(differentiable(e));
}

/// A stop, with and without an arm, whose edge lies on the image of some pixel of the panel.
void draw_beamstop(Experiment& e) {
  const Resolved r = resolve(e);
  const Panel& panel = r.panel;
  const double fast = *any_between(0.2, 0.8) * panel.fast_pixels * panel.pixel,
               slow = *any_between(0.2, 0.8) * panel.slow_pixels * panel.slow_pixel;
  const Vec3d at = panel.origin + fast * panel.fast + slow * panel.slow;
  const double along = dot(at, panel.beam);
  if (along < 0.1 * length(at)) return;  // beside the sample, or behind it
  const double share = *any_between(0.2, 0.7);
  Beamstop& stop = e.beamstop;
  stop.distance_mm = 1e3 * share * along;
  stop.radius_mm = 1e3 * share * length(at - along * panel.beam);
  stop.offset_fast_mm = *any_between(-0.5, 0.5) * stop.radius_mm;
  stop.offset_slow_mm = *any_between(-0.5, 0.5) * stop.radius_mm;
  if (*any_choice()) stop.transmission = *any_between(0.1, 0.6);
  if (*any_choice()) {
    stop.arm_width_mm = *any_between(0.3, 1) * stop.radius_mm;
    stop.arm_deg = *any_between(-180, 180);
  }
  if (*any_choice()) {
    stop.ring_share = 1e-5 * *any_between(1, 5);
    stop.ring_deg = *any_between(1, 20);
    stop.ring_width_deg = *any_between(1, 5);
  }
}

RC_GTEST_PROP(Gradient, EqualsDifferencesBehindABeamstop, ()) {
  Experiment e = *any_experiment_of_any_panel();
  e.materials = draw_materials();
  e.quirks = Quirks::corrected();
  // The differences of a path take long
  e.materials.resize(1);
  e.sampling.oversample = 1;
  e.beam.horizontal_divergence_mrad = e.beam.vertical_divergence_mrad = {};
  e.beam.dispersion_percent = {};
  e = differentiable(e);
  draw_beamstop(e);
  if (*any_choice())
    e.beam.tilt_horizontal_mrad = *any_between(-5, 5), e.beam.tilt_vertical_mrad = 2;
  expect_gradients_of(e);
}

RC_GTEST_PROP(Gradient, EqualsDifferencesForManyBlocks, ()) {
  Experiment e = differentiable(*any_experiment_of_either_mode());
  e.crystal.blocks = *any_between(2, 50);
  expect_gradients_of(e);
}

RC_GTEST_PROP(Gradient, EqualsDifferencesForSeveralCrystalsAndSizesOfBlocks, ()) {
  Experiment e = differentiable(*any_experiment());
  for (int i = *any_count(1, 2); i > 0; --i) {
    FurtherCrystal crystal{*any_direction(), *any_between(0.2, 3), {}, {}};
    crystal.misset_deg = 180 * crystal.misset_deg;
    if (*any_choice())
      crystal.cells = Vec3d{*any_between(1.5, 6), *any_between(1.5, 6), *any_between(1.5, 6)};
    if (*any_choice()) crystal.mosaic_spread_deg = *any_between(0.1, 2);
    e.more_crystals.push_back(crystal);
  }
  if (*any_count(0, 2) == 0) {
    e.crystal.block_size_spread = *any_between(0.03, 0.1);
    // The differences of so many lattices take long
    e.crystal.mosaic_domains = e.sampling.oversample = 1;
  }
  expect_gradients_of(e);
}

/// A sensor so thick that -dmin cuts it off elsewhere in each layer: nanoBragg's polarization is
/// that of a pixel's first light, which neighbours find in different layers.
RC_GTEST_PROP(Gradient, EqualsDifferencesWhereDminEndsInAnotherLayerForEachPixel, ()) {
  Experiment e = *any_experiment();
  make_compat(e);
  e.beam = draw_beam(Convention::mosflm);
  e.beam.polarization_correction = true;
  e.sampling.oversample_polar = false;
  e.water_um = 0;  // its light is not cut off
  e.sampling.dmin_A = *any_between(2.2, 3.2) * e.beam.wavelength_A;
  e.detector = {};
  e.detector.fast_pixels = e.detector.slow_pixels = 16;
  e.detector.pixel_mm = 2.5;
  e.detector.distance_mm = 60;
  e.detector.beam_x_mm = e.detector.beam_y_mm = 0.4;
  e.detector.sensor_thickness_um = e.detector.attenuation_depth_um.emplace(60000);
  e.detector.sensor_layers = 4;
  expect_gradients_of(differentiable(e));
}

void expect_gradients_of_shape(CrystalShape shape, Interpolation interpolation) {
  Experiment e = differentiable(*any_experiment_of_either_mode());
  e.crystal.shape = shape;
  e.structure_factors.grid = table_of(*any_count(0, 1000), -8, 8);
  e.structure_factors.interpolation = interpolation;
  expect_gradients_of(e);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForSquareCrystalsWithTheNearestF, ()) {
  expect_gradients_of_shape(CrystalShape::square, Interpolation::nearest);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForSquareCrystalsWithInterpolatedF, ()) {
  expect_gradients_of_shape(CrystalShape::square, Interpolation::tricubic);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForRoundCrystalsWithTheNearestF, ()) {
  expect_gradients_of_shape(CrystalShape::round, Interpolation::nearest);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForRoundCrystalsWithInterpolatedF, ()) {
  expect_gradients_of_shape(CrystalShape::round, Interpolation::tricubic);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForGaussianSpotsWithTheNearestF, ()) {
  expect_gradients_of_shape(CrystalShape::gauss, Interpolation::nearest);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForGaussianSpotsWithInterpolatedF, ()) {
  expect_gradients_of_shape(CrystalShape::gauss, Interpolation::tricubic);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForGaussianSpotsOfEveryMetric, ()) {
  Experiment e = differentiable(*any_experiment());
  e.crystal.shape = CrystalShape::gauss;
  e.crystal.spot_metric = *rc::gen::element(SpotMetricKind::reciprocal, SpotMetricKind::round);
  expect_gradients_of(e);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForDomainsOfManyCells, ()) {
  Experiment e = differentiable(*any_experiment());
  e.crystal.mosaic_domains = *any_count(2, 5);
  e.crystal.cell_spread_A = Vec3d{*any_between(0.01, 0.3), *any_between(0.01, 0.3),
                                  *any_between(0.01, 0.3)};
  e.crystal.cell_angle_spread_deg = Vec3d{*any_between(0.01, 0.5), *any_between(0.01, 0.5),
                                          *any_between(0.01, 0.5)};
  expect_gradients_of(e);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForTopHatsWithTheNearestF, ()) {
  expect_gradients_of_shape(CrystalShape::tophat, Interpolation::nearest);
}
RC_GTEST_PROP(Gradient, EqualsDifferencesForTopHatsWithInterpolatedF, ()) {
  expect_gradients_of_shape(CrystalShape::tophat, Interpolation::tricubic);
}

}  // namespace
}  // namespace nablabragg::test
