// The cpu engine, or another fast one (support/engines.hpp), against the reference engine, on
// random experiments of every kind: the differential fuzzer.  ctest runs it twice, shortly and for
// a minute; ./dev soak as long as wanted.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/closed/closed_plan.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/random_experiment.hpp"

namespace nablabragg::test {
namespace {

/// Domains of different cells, blocks of several sizes, several crystals.
void draw_lattices(Experiment& e) {
  if (e.crystal.mosaic_domains && *any_count(0, 3) == 0)
    e.crystal.cell_spread_A = Vec3d{*any_between(0, 1), *any_between(0, 1), *any_between(0, 1)};
  const Vec3d& n = e.crystal.cells;
  if (std::max({n.x, n.y, n.z}) < 10 && *any_count(0, 7) == 0)  // at most 256 sizes
    e.crystal.block_size_spread = *any_between(0.05, 0.3);
  if (*any_count(0, 7) != 0) return;
  FurtherCrystal& other = e.more_crystals.emplace_back();
  other.misset_deg = {*any_between(-180, 180), *any_between(-90, 90), *any_between(-180, 180)};
  other.weight = *any_between(0.1, 2);
}

/// Larger crystals and finer pixels than the properties of the physics need.
Experiment draw_for_engines() {
  Experiment e = *any_experiment_of_any_panel();
  if (*any_count(0, 2) == 0) {
    const int most = *rc::gen::element(30, 300, 1000);
    e.crystal.cells = {double(*any_count(1, most)), double(*any_count(1, most)),
                       double(*any_count(1, most))};
    e.detector.pixel_mm = *any_between(0.05, 0.5);
  }
  if (*any_count(0, 5) == 0) {  // many wavelengths of one direction
    e.crystal.shape = CrystalShape::gauss;
    e.crystal.cells = {double(*any_count(5, 60)), double(*any_count(5, 60)),
                       double(*any_count(5, 60))};
    e.beam.sources.clear();
    e.beam.dispersion_percent = {*any_between(0.1, 10), {}, *any_count(8, 60)};
    e.sampling.dmin_A = 0;
    e.detector.curved = false;
  }
  if (e.quirks == Quirks::corrected()) draw_lattices(e);
  // Where there is no reflection, whole blocks of pixels are dark.
  if (e.structure_factors.grid && *any_choice()) e.structure_factors.default_F = 0;
  if (*any_count(0, 3) == 0) {
    e.sampling.roi = RegionOfInterest{*any_count(0, 3), *any_count(4, 7), *any_count(0, 3),
                                      *any_count(4, 7)};
  }
  return e;
}

rc::Gen<Experiment> any_for_engines() { return rc::gen::exec(draw_for_engines); }

std::string any_target() {
  const auto sets = tested_targets();
  return sets[static_cast<std::size_t>(*any_count(0, static_cast<int>(sets.size()) - 1))];
}

/// Of images this small, several threads would mostly wait for each other.
ComputeOptions alone(ComputeOptions options) {
  options.threads = 1;
  return options;
}

RC_GTEST_PROP(Engines, MixedPrecisionKeepsItsBoundsOnEveryTarget, ()) {
  const Experiment e = *any_for_engines();
  const ForcedTarget target(any_target());
  const Image reference = simulate(e, alone(reference_engine())).image;
  const Simulation got = simulate(e, alone(fast_engine(Precision::float32)));
  RC_LOG() << got.engine.instruction_set << ": " << got.engine.kernel << '\n';
  RC_ASSERT(agreement(got.image.pixels, reference.pixels).broken_bounds() == "");
}

/// Far from the beam a flat panel would see light from 45 degrees, where no reflection is.
TEST(Engines, ACurvedPanelIsLitWhereAFlatOneWouldSeeNoReflection) {
  for (const std::string convention : {"", "-corrected "}) {
    Experiment e = experiment_of(
        convention +
        "-cell 20 20 20 90 90 90 -N 3 -default_F 1 -nointerpolate -lambda 1 "
        "-distance 60 -pixel 0.2 -detpixels 64 -Xbeam 60 -Ybeam 6 "
        "-curved_det -oversample 1");
    e.structure_factors.default_F = 0;
    const auto outer = std::make_shared<StructureFactorGrid>(*table_of(1, -20, 20));
    for (int h = -15; h <= 15; ++h)
      for (int k = -15; k <= 15; ++k)
        for (int l = -15; l <= 15; ++l) outer->at(h, k, l) = 0;
    e.structure_factors.grid = outer;
    for (const std::string& name : tested_targets()) {
      const ForcedTarget target(name);
      const Image reference = simulate(e, alone(reference_engine())).image;
      const Simulation got = simulate(e, alone(fast_engine(Precision::float32)));
      ASSERT_GT(largest(reference), 0);
      EXPECT_EQ(agreement(got.image.pixels, reference.pixels).broken_bounds(), "")
          << convention << name;
    }
  }
}

/// Fine pixels, whose phases single precision takes from the middle of a block, and a table so
/// small that its edge crosses the image.
RC_GTEST_PROP(Engines, InterpolateUpToTheEdgeOfTheTableOnEveryTarget, ()) {
  Experiment e = *any_for_engines();
  e.crystal.shape = *rc::gen::element(CrystalShape::square, CrystalShape::round);
  e.crystal.cells = {double(*any_count(1, 8)), double(*any_count(1, 8)), double(*any_count(1, 8))};
  // Interpolated from -1 or less to 1 or more: were an edge at 0, rounding would decide about the
  // direct beam.
  e.structure_factors.grid = table_of(*any_count(0, 1000), *any_count(-5, -3), *any_count(3, 5));
  e.structure_factors.interpolation = Interpolation::tricubic;
  e.detector.pixel_mm = *any_between(0.02, 0.5);
  e.detector.curved = false;
  e.sampling.dmin_A = 0;
  const ForcedTarget target(any_target());
  const Image reference = simulate(e, alone(reference_engine())).image;
  const Simulation got = simulate(e, alone(fast_engine(Precision::float32)));
  RC_LOG() << got.engine.instruction_set << ": " << got.engine.kernel << '\n';
  RC_CLASSIFY(got.engine.kernel.find("middle") != std::string::npos, "phases from the middle");
  RC_ASSERT(agreement(got.image.pixels, reference.pixels).broken_bounds() == "");
}

RC_GTEST_PROP(Engines, DoublePrecisionIsTheReferencesOnEveryTarget, ()) {
  const Experiment e = *any_for_engines();
  const ForcedTarget target(any_target());
  const Simulation reference = simulate(e, alone(reference_engine()));
  const Simulation got = simulate(e, alone(fast_engine(Precision::float64)));
  RC_LOG() << got.engine.instruction_set << ": " << got.engine.kernel << '\n';
  RC_ASSERT(agreement(got.image.pixels, reference.image.pixels).broken_double_bounds() == "");
  RC_ASSERT(std::abs(got.statistics.solid_angle_sr / reference.statistics.solid_angle_sr - 1) <
            1e-9);
  RC_ASSERT(got.table_miss.has_value() == reference.table_miss.has_value());
  if (got.table_miss) {
    RC_ASSERT(got.table_miss->fast == reference.table_miss->fast);
    RC_ASSERT(got.table_miss->slow == reference.table_miss->slow);
    RC_ASSERT(got.table_miss->lookup == reference.table_miss->lookup);
  }
}

RC_GTEST_PROP(Engines, ListedPixelsAreThoseOfTheImage, ()) {
  Experiment e = *any_for_engines();
  e.sampling.roi.reset();
  const Simulation whole = simulate(e, alone(fast_engine(Precision::float32)));
  std::vector<PixelIndex> list(static_cast<std::size_t>(*any_count(1, 60)));
  for (PixelIndex& p : list)
    p = {*any_count(0, whole.image.fast_pixels - 1), *any_count(0, whole.image.slow_pixels - 1)};
  const std::vector<float> values = simulate_pixels(e, list,
                                                    alone(fast_engine(Precision::float32)));
  RC_ASSERT(values.size() == list.size());
  const double allowed = 1e-5 * largest(whole.image);
  for (std::size_t i = 0; i < list.size(); ++i)
    RC_ASSERT(std::abs(double(values[i]) - double(whole.image.at(list[i].fast, list[i].slow))) <=
              allowed);
}

RC_GTEST_PROP(Engines, WhatIsSkippedStaysBelowTheLimit, ()) {
  Experiment e = *any_for_engines();
  e.crystal.shape = *rc::gen::element(CrystalShape::round, CrystalShape::gauss,
                                      CrystalShape::tophat);
  ComputeOptions options = alone(fast_engine(Precision::float32));
  options.skip_below = 0;
  const Simulation all = simulate(e, options);
  RC_ASSERT(all.engine.skipped == 0);
  options.skip_below = largest(all.image) * std::pow(10, -*any_between(0, 40)) + 1e-38;
  const Simulation some = simulate(e, options);
  RC_ASSERT(some.engine.skipped <= some.engine.steps);
  RC_ASSERT(some.engine.steps == all.engine.steps);
  for (std::size_t i = 0; i < all.image.pixels.size(); ++i) {
    const double full = double(all.image.pixels[i]), left = double(some.image.pixels[i]);
    // Another kernel may have computed it, which shows in the tails.
    RC_ASSERT(full - left <= *options.skip_below + 1e-4 * full);
    RC_ASSERT(left - full <= 1e-4 * full);
  }
}

// ---- Sums in closed form ------------------------------------------------------------------------

/// Gaussian blocks with Gaussian distributions, from spots of a part of a pixel to arcs.
Experiment draw_in_closed_form() {
  Experiment e = draw_experiment();
  if (*any_count(0, 3) == 0) move_panel(e);
  Crystal& c = e.crystal;
  c.shape = CrystalShape::gauss;
  c.cells = {double(*any_count(5, 60)), double(*any_count(5, 60)), double(*any_count(5, 60))};
  c.mosaic_model = Distribution::gaussian;
  if (c.mosaic_spread_deg) c.mosaic_spread_deg = *any_between(0, 1);
  if (c.mosaic_spread_deg && *any_choice()) {
    c.mosaic_spread_deg.reset();
    c.mosaic_spread_axes_deg = Vec3d{*any_between(0, 1), *any_between(0, 1), *any_between(0, 1)};
  }
  c.diffuse_sigma_A = c.diffuse_gamma_A = {};
  c.diffuse_in_F = false;
  e.beam.sources.clear();
  e.beam.spectrum_model = e.beam.divergence_model = Distribution::gaussian;
  e.beam.round_divergence = false;
  // As many reflections as a small image takes milliseconds for
  e.structure_factors.grid = table_of(*any_count(0, 1000), *any_count(-6, -3), *any_count(3, 6));
  e.structure_factors.default_F = 0;
  e.structure_factors.interpolation = Interpolation::nearest;
  if (e.scan.oscillation_deg.range) e.scan.oscillation_deg.range = *any_between(0.1, 1);
  e.detector.pixel_mm = *any_between(0.05, 1);
  if (e.detector.slow_pixel_mm) e.detector.slow_pixel_mm = *any_between(0.05, 1);
  e.sampling.oversample = *any_count(0, 2);
  if (*any_count(0, 3) == 0)
    e.sampling.roi = RegionOfInterest{*any_count(0, 3), *any_count(4, 7), *any_count(0, 3),
                                      *any_count(4, 7)};
  e.sampling.summation = Summation::closed;
  return e;
}
rc::Gen<Experiment> any_in_closed_form() { return rc::gen::exec(draw_in_closed_form); }

/// Spots go on until they are no numbers any more.
ComputeOptions unskipped(ComputeOptions options) {
  options.skip_below = 0;
  return alone(options);
}

/// What the middle of the brightest spot would give a pixel, in the image or beside it [photons].
double brightest_spot(const Experiment& e, const Simulation& simulation) {
  const Plan plan = make_plan(e, resolve(e));
  engine::ClosedPlan closed;
  engine::make_closed_plan(plan, 0, alone({}), closed);
  double brightest = 0;
  for (const engine::ClosedSpot* spot : closed.panels[0])
    brightest = std::max(brightest,
                         spot->wide.amplitude * spot->subpixels_fast * spot->subpixels_slow);
  const double looks = double(simulation.statistics.pixels) * plan.oversample * plan.oversample *
                       plan.panels[0].sensor.layers;
  return looks > 0 ? brightest * simulation.statistics.solid_angle_sr / looks : 0;
}

/// Single precision has so many digits of the middle of a spot, of which an image may show a tail.
RC_GTEST_PROP(Engines, InClosedFormMixedPrecisionKeepsItsBoundsOnEveryTarget, ()) {
  const Experiment e = *any_in_closed_form();
  const ForcedTarget target(any_target());
  const Simulation reference = simulate(e, unskipped(reference_engine()));
  const Simulation got = simulate(e, unskipped(fast_engine(Precision::float32)));
  RC_LOG() << got.engine.instruction_set << ": " << got.engine.kernel << '\n';
  RC_ASSERT(got.engine.kernel.rfind("closed form", 0) == 0);
  const double brightest = brightest_spot(e, reference);
  RC_CLASSIFY(largest(reference.image) > 1e-3 * brightest, "shows the middle of a spot");
  const double allowed = 1e-5 * largest(reference.image) + 1e-6 * brightest;
  for (std::size_t i = 0; i < got.image.pixels.size(); ++i)
    RC_ASSERT(std::abs(double(got.image.pixels[i]) - double(reference.image.pixels[i])) <= allowed);
}

RC_GTEST_PROP(Engines, InClosedFormDoublePrecisionIsTheReferencesOnEveryTarget, ()) {
  const Experiment e = *any_in_closed_form();
  const ForcedTarget target(any_target());
  const Simulation reference = simulate(e, unskipped(reference_engine()));
  const Simulation got = simulate(e, unskipped(fast_engine(Precision::float64)));
  RC_LOG() << got.engine.instruction_set << ": " << got.engine.kernel << '\n';
  const double allowed = 1e-6 * largest(reference.image) + 1e-13 * brightest_spot(e, reference);
  for (std::size_t i = 0; i < got.image.pixels.size(); ++i)
    RC_ASSERT(std::abs(double(got.image.pixels[i]) - double(reference.image.pixels[i])) <= allowed);
}

RC_GTEST_PROP(Engines, InClosedFormSpotsEndWhereTheyAddLessThanTheLimit, ()) {
  const Experiment e = *any_in_closed_form();
  const Simulation all = simulate(e, unskipped(fast_engine(Precision::float64)));
  ComputeOptions options = alone(fast_engine(Precision::float64));
  options.skip_below = largest(all.image) * std::pow(10, -*any_between(1, 12)) + 1e-30;
  const Image some = simulate(e, options).image;
  // As many spots may end at a pixel as there are layers of it and slices of phi, and some more.
  const double most = 20.0 * e.detector.sensor_layers.value_or(1);
  for (std::size_t i = 0; i < some.pixels.size(); ++i) {
    const double full = double(all.image.pixels[i]), left = double(some.pixels[i]);
    RC_ASSERT(left - full <= 1e-6 * full);
    RC_ASSERT(full - left <= most * *options.skip_below + 1e-6 * full);
  }
}

}  // namespace
}  // namespace nablabragg::test
