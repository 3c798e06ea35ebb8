// What gradients promise in addition to being right: both directions agree, single precision is
// close, the bits do not depend on threads, corners are finite, errors say what to do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fstream>
#include <limits>
#include <numeric>

#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"
#include "plan/make_plan.hpp"
#include "plan/plan_calculus.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"
#include "support/random_experiment.hpp"
#include "support/seldom.hpp"

namespace nablabragg::test {
namespace {

ComputeOptions options_of(Precision precision, int threads = 1) {
  ComputeOptions options = fast_engine(precision);
  options.threads = threads;
  return options;
}

/// Running products have no gradient.
Experiment any_differentiable() {
  Experiment e = *any_experiment_of_either_mode();
  e.quirks.running_products = false;
  return differentiable_here(e);
}

std::vector<double> any_weights(std::size_t count) {
  std::vector<double> weights(count);
  for (double& w : weights) w = *any_between(-1, 1);
  return weights;
}

double dot_product(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

void expect_finite(const Gradient& gradient) {
  for (const auto& [name, slopes] : gradient.parameters)
    for (const double slope : slopes) EXPECT_TRUE(std::isfinite(slope)) << name;
}

TEST(Gradients, OfAScanThatTurnsBackwardsAreThoseOfItsMirroredAngles) {
  const std::string still = any_crystal +
                            "-corrected -N 5 -detpixels 12 -pixel 1 -oversample 1 "
                            "-misset 10 20 30 -phi 3 -phisteps 4 -osc ";
  const std::vector<double> ones(144, 1.0);
  const auto options = options_of(Precision::float64);
  const auto value_at = [&](double osc, double phi) {
    Experiment e = experiment_of(still + "-2");
    e.scan.oscillation_deg.range = osc;
    e.scan.phi_deg = phi;
    return value_and_gradient(e, ones, options);
  };
  const auto got = value_at(-2, 3).gradient.parameters;
  constexpr double h = 1e-4;
  const double by_osc = (value_at(-2 + h, 3).value - value_at(-2 - h, 3).value) / (2 * h),
               by_phi = (value_at(-2, 3 + h).value - value_at(-2, 3 - h).value) / (2 * h);
  ASSERT_GT(std::abs(by_osc), 1);
  EXPECT_NEAR(got.at("oscillation")[0], by_osc, 1e-5 * std::abs(by_osc));
  EXPECT_NEAR(got.at("phi")[0], by_phi, 1e-5 * std::abs(by_phi));
  // From 3 to 1 degrees is from 1 to 3 degrees.
  EXPECT_NEAR(value_at(-2, 3).value, value_at(2, 1).value, 1e-9 * value_at(2, 1).value);
}

// ---- Both directions ----------------------------------------------------------------------------

RC_GTEST_PROP(BothDirections, AreAdjoint, ()) {
  const Experiment e = any_differentiable();
  const auto pixels = visited_pixels(e);
  const auto weights = any_weights(pixels.size());
  const auto options = options_of(Precision::float64);
  const auto pulled = value_and_gradient(e, pixels, weights, options);
  NamedValues direction;
  double along = 0, scale = 0;
  const auto add = [&](double v, double slope) {
    along += v * slope;
    scale += std::abs(v * slope);
  };
  for (const Parameter& p : parameters(e))
    for (std::size_t i = 0; i < p.values.size(); ++i) {
      direction[p.name].push_back(*any_between(-1, 1) * (std::abs(p.values[i]) + 0.1));
      add(direction[p.name][i], pulled.gradient.parameters.at(p.name)[i]);
    }
  std::shared_ptr<StructureFactorGrid> table;
  if (e.structure_factors.grid) {
    table = std::make_shared<StructureFactorGrid>(*e.structure_factors.grid);
    for (std::size_t i = 0; i < table->values().size(); ++i) {
      table->values()[i] = std::sin(static_cast<double>(i));
      add(table->values()[i], pulled.gradient.structure_factors->values()[i]);
    }
  }
  const auto pushed = jvp(e, direction, pixels, options, table.get());
  RC_ASSERT(std::abs(dot_product(pushed, weights) - along) <= 1e-10 * scale);
}

Seldom& cut_off = Seldom::at_most(0.25, "experiments whose table nanoBragg's lookups leave");

RC_GTEST_PROP(BothDirections, HaveTheValueOfTheImage, ()) {
  const Experiment e = any_differentiable();
  const auto pixels = visited_pixels(e);
  const auto weights = any_weights(pixels.size());
  const auto options = options_of(Precision::float64);
  const auto light = photons(e, pixels, options);
  double scale = 0;
  for (std::size_t i = 0; i < light.size(); ++i) scale += std::abs(light[i] * weights[i]);
  // The pixel in which nanoBragg's interpolation ends is differentiated as if it ended with its
  // first lookup.
  if (cut_off.happens(e.quirks.interpolation_latch && simulate(e).table_miss)) return;
  RC_ASSERT(std::abs(value_and_gradient(e, pixels, weights, options).value -
                     dot_product(light, weights)) <= 1e-9 * scale);
  const std::vector<std::string> names{"cells", "pixel_size"};
  const auto forwards = jacobian(e, names, pixels, options);
  for (std::size_t i = 0; i < pixels.size(); ++i)
    RC_ASSERT(std::abs(forwards.photons[i] - light[i]) <=
              1e-9 * std::abs(light[i]) + 1e-12 * scale);
}

TEST(BothDirections, AgreeOnEachColumnOfTheJacobian) {
  const Experiment e = experiment_of(
      "-corrected -cell 50 60 70 85 95 105 -misset 10 20 30 -default_F 100 -N 5 -mosaic 0.5 "
      "-mosaic_domains 40 -detpixels 16 -pixel 0.8 -hdivrange 1 -hdivsteps 3");
  const auto pixels = visited_pixels(e);
  const std::vector<std::string> names{"misset", "wavelength", "default_F", "cell"};
  const auto options = options_of(Precision::float64);
  const auto j = jacobian(e, names, pixels, options);
  EXPECT_THAT(j.columns, testing::ElementsAre("misset[0]", "misset[1]", "misset[2]", "wavelength",
                                              "default_F", "cell[0]", "cell[1]", "cell[2]",
                                              "cell[3]", "cell[4]", "cell[5]"));
  std::vector<double> ones(pixels.size(), 1.0), sums(j.columns.size());
  for (std::size_t i = 0; i < j.slopes.size(); ++i) sums[i % sums.size()] += j.slopes[i];
  const auto slopes = value_and_gradient(e, pixels, ones, options).gradient.parameters;
  EXPECT_NEAR(sums[1], slopes.at("misset")[1], 1e-9 * std::abs(sums[1]));
  EXPECT_NEAR(sums[3], slopes.at("wavelength")[0], 1e-9 * std::abs(sums[3]));
  EXPECT_NEAR(sums[4], slopes.at("default_F")[0], 1e-9 * std::abs(sums[4]));
  EXPECT_NEAR(sums[9], slopes.at("cell")[4], 1e-9 * std::abs(sums[9]));
  EXPECT_NE(sums[9], 0);
}

// ---- Precision and threads ----------------------------------------------------------------------

/// The error of the value, in units of the light in it.
double error_of_value(const Experiment& e, double lowest_weight) {
  const auto pixels = visited_pixels(e);
  std::vector<double> weights(pixels.size());
  for (double& w : weights) w = *any_between(lowest_weight, 1);
  const auto options = options_of(Precision::float32);
  const auto light = photons(e, pixels, options);
  double value = 0, all = 0;
  for (std::size_t i = 0; i < light.size(); ++i) {
    value += weights[i] * light[i];
    all += std::abs(weights[i] * light[i]);
  }
  if (all == 0) return 0;
  return std::abs(value_and_gradient(e, pixels, weights, options).value - value) / all;
}

RC_GTEST_PROP(SinglePrecision, HasTheValueOfItsImage, ()) {
  const Experiment e = any_differentiable();
  if (cut_off.happens(e.quirks.interpolation_latch && simulate(e).table_miss)) return;
  RC_ASSERT(error_of_value(e, -1) <= 5e-7);
}

RC_GTEST_PROP(SinglePrecision, HasTheValueOfAnImageOfManySteps, ()) {
  const Experiment e = experiment_of(
      "-cell 50 60 70 85 95 105 -misset 10 20 30 -default_F 100 -N 5 -mosaic 0.5 "
      "-mosaic_domains 40 -oversample 4 -detpixels 32 -pixel 0.8 -water 20 -corrected");
  RC_ASSERT(error_of_value(e, 0.9) <= 4e-8);
}

TEST(SinglePrecision, GivesEachPixelOfOneOrientationItsOwnSlopes) {
  // Two registers of pixels are side by side; in some of them the lattice point is in the table, in
  // others it is not.
  const auto table = std::make_shared<StructureFactorGrid>(MillerIndex{-3, -4, -3},
                                                           MillerIndex{3, 4, 3}, 80.0);
  for (const char* interpolation : {"-nointerpolate ", "-interpolate "})
    for (const bool has_table : {true, false})
      for (const char* shape : {"-square_xtal", "-round_xtal"}) {
        Experiment e = experiment_of(
            std::string("-corrected -cell 50 60 70 85 95 105 -misset 10 20 30 -default_F 50 -N 5 "
                        "-lambda 1 -distance 100 -detpixels 160 -pixel 0.1 -oversample 1 ") +
            interpolation + shape);
        if (has_table) e.structure_factors.grid = table;
        if (!has_table && e.structure_factors.interpolation == Interpolation::tricubic) continue;
        if (tested_engine() == "cpu") {
          ASSERT_THAT(simulate(e, options_of(Precision::float32)).engine.kernel,
                      testing::HasSubstr("middle of each block"));
        }
        const auto pixels = visited_pixels(e);
        const std::vector<std::string> names{"misset", "wavelength", "default_F", "cells",
                                             "distance"};
        const auto quick = jacobian(e, names, pixels, options_of(Precision::float32)),
                   exact = jacobian(e, names, pixels, options_of(Precision::float64));
        const std::size_t columns = exact.columns.size();
        for (std::size_t column = 0; column < columns; ++column) {
          double largest = 0, off = 0;
          for (std::size_t i = column; i < exact.slopes.size(); i += columns) {
            largest = std::max(largest, std::abs(exact.slopes[i]));
            off = std::max(off, std::abs(quick.slopes[i] - exact.slopes[i]));
          }
          EXPECT_GT(largest, 0) << exact.columns[column];
          EXPECT_LE(off, 2e-5 * largest)
              << exact.columns[column] << ' ' << interpolation << shape << ' ' << has_table;
        }
      }
}

TEST(SinglePrecision, GivesEachReflectionItsOwnSlope) {
  // Neighbouring pixels see several reflections, and some that are not in the table; orientations
  // share them.
  for (const char* domains : {"1", "25"})
    for (const char* pixel : {"0.1", "0.4"}) {
      Experiment e = experiment_of(
          std::string("-corrected -cell 50 60 70 85 95 105 -misset 10 20 30 -default_F 50 -N 5 "
                      "-lambda 1 -distance 100 -detpixels 40 -oversample 1 -nointerpolate "
                      "-mosaic 0.3 -mosaic_domains ") +
          domains + " -pixel " + pixel);
      e.structure_factors.grid = std::make_shared<StructureFactorGrid>(MillerIndex{-2, -2, -2},
                                                                       MillerIndex{2, 2, 2}, 80.0);
      const auto pixels = visited_pixels(e);
      const std::vector<double> ones(pixels.size(), 1.0);
      const auto slopes = [&](Precision precision) {
        const auto all = value_and_gradient(e, pixels, ones, options_of(precision)).gradient;
        std::vector<double> of_F = all.structure_factors->values();
        of_F.push_back(all.parameters.at("default_F")[0]);
        return of_F;
      };
      const auto quick = slopes(Precision::float32), exact = slopes(Precision::float64);
      const double largest = *std::max_element(exact.begin(), exact.end());
      for (std::size_t i = 0; i < exact.size(); ++i)
        EXPECT_NEAR(quick[i], exact[i], 1e-5 * largest) << domains << ' ' << pixel << ' ' << i;
    }
}

/// Of images darker than this, much is not computed in single precision (-skip_below).
constexpr double dark = 1e-20;
// Narrow spots of many wavelengths leave a fifth of such small images dark.
Seldom& dark_images = Seldom::at_most(0.35, "images too dark for single precision");

/// Relative to the sum of what the pixels contribute, which may cancel; `of_light`: allowed of the
/// light, where within a pixel the changes that make up a slope cancel.
void check_single_precision(const Experiment& e, double of_light = 1e-6,
                            std::string_view except = {}) {
  const auto pixels = visited_pixels(e);
  const auto weights = any_weights(pixels.size());
  const auto exact = value_and_gradient(e, pixels, weights, options_of(Precision::float64));
  const auto quick = value_and_gradient(e, pixels, weights, options_of(Precision::float32));
  std::vector<std::string> names;
  for (const auto& [name, slopes] : exact.gradient.parameters)
    if (name != except) names.push_back(name);
  const auto j = jacobian(e, names, pixels, options_of(Precision::float64));
  std::vector<double> scales(j.columns.size());
  double light = 0;
  for (std::size_t i = 0; i < j.slopes.size(); ++i)
    scales[i % scales.size()] += std::abs(j.slopes[i] * weights[i / scales.size()]);
  for (std::size_t i = 0; i < pixels.size(); ++i) light += std::abs(j.photons[i] * weights[i]);
  if (dark_images.happens(light < dark)) return;
  std::size_t column = 0;
  for (const std::string& name : names) {
    const auto &a = exact.gradient.parameters.at(name), &b = quick.gradient.parameters.at(name);
    for (std::size_t i = 0; i < a.size(); ++i, ++column)
      if (!(std::abs(a[i] - b[i]) <= 1e-3 * scales[column] + of_light * light))
        RC_FAIL(j.columns[column] + ": " + std::to_string(b[i]) + " instead of " +
                std::to_string(a[i]) + ", scale " + std::to_string(scales[column]));
  }
  if (!e.structure_factors.grid) return;
  const auto &table = exact.gradient.structure_factors->values(),
             &quick_table = quick.gradient.structure_factors->values();
  const double largest = std::abs(*std::max_element(
      table.begin(), table.end(), [](double x, double y) { return std::abs(x) < std::abs(y); }));
  for (std::size_t i = 0; i < table.size(); ++i)
    RC_ASSERT(std::abs(table[i] - quick_table[i]) <= 1e-3 * largest + 1e-6 * light);
}

RC_GTEST_PROP(SinglePrecision, GivesGradientsToAThousandth, ()) {
  check_single_precision(any_differentiable());
}

// ---- Bands of wavelengths -----------------------------------------------------------------------

/// Many wavelengths of one direction or of a few, which the kernels of single precision may take
/// together.
Experiment any_pink() {
  Experiment e = any_differentiable();
  e.crystal.shape = CrystalShape::gauss;
  e.crystal.cells = {double(*any_count(10, 60)), double(*any_count(10, 60)),
                     double(*any_count(10, 60))};
  e.structure_factors.interpolation = Interpolation::nearest;
  e.beam.sources.clear();
  e.beam.dispersion_percent = {*any_between(0.1, 4), {}, *any_count(20, 60)};
  e.sampling.dmin_A = 0;
  e.detector.curved = false;
  return e;
}

Seldom& rays_apart = Seldom::at_most(0.2, "experiments whose wavelengths are no bands");

bool takes_bands(const Experiment& e) {
  return simulate(e, options_of(Precision::float32)).engine.kernel.find("bands") !=
         std::string::npos;
}

RC_GTEST_PROP(Bands, HaveTheGradientsOfTheirRaysToAThousandth, ()) {
  const Experiment e = any_pink();
  rays_apart.happens(!takes_bands(e));
  // In the direct beam nanoBragg's spots do not depend on the cell: what its indices and its
  // metric do to narrow spots cancels.  So does, nearly, what the beam does by itself and by the
  // detector that it turns; all of that with bands or without.
  check_single_precision(e, 1e-4, "beam_direction");
}

/// Reverse and forwards, for a direction of all numbers of a plan; rays apart from each other.
RC_GTEST_PROP(Bands, AreAdjoint, ()) {
  const Experiment e = any_pink();
  rays_apart.happens(!takes_bands(e));
  const auto pixels = visited_pixels(e);
  const auto weights = any_weights(pixels.size());
  Plan plan = make_plan(e, resolve(e));
  for (PlanRay& ray : plan.light.rays) ray.weight = *any_between(0.1, 3);
  Plan direction = zero_plan(plan);
  for_each_number_of_plan(
      [](double& to, const double& x) { to = *any_between(-1, 1) * 1e-3 * std::abs(x); }, direction,
      plan);
  for (PlanRay& ray : direction.light.rays) {  // as those of a grid
    ray.incident = direction.light.rays[0].incident;
    ray.magnetic = direction.light.rays[0].magnetic;
  }
  const auto options = options_of(Precision::float32);
  const auto loaded = engine::load(plan, options);
  const auto pulled = loaded->pull_back(engine::Pixels(pixels), weights);
  const auto exact = engine::load(plan, options_of(Precision::float64))
                         ->pull_back(engine::Pixels(pixels), weights);
  double along = 0, exactly = 0, scale = 0;
  for_each_number_of_plan(
      [&](const double& v, const double& bar, const double& exact_bar) {
        along += v * bar;
        exactly += v * exact_bar;
        scale += std::abs(v * exact_bar);
      },
      direction, pulled.adjoint, exact.adjoint);
  const Plan* const tangent = &direction;
  std::vector<double> light(pixels.size()), slopes(pixels.size());
  loaded->push_forward(engine::Pixels(pixels), {&tangent, 1}, nullptr, light, slopes);
  double total = 0;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    scale += std::abs(weights[i] * slopes[i]);
    total += std::abs(weights[i] * light[i]);
  }
  if (dark_images.happens(total < dark)) return;
  scale += 1e-3 * total;
  RC_ASSERT(std::abs(along - exactly) <= 1e-3 * scale);
  RC_ASSERT(std::abs(along - dot_product(slopes, weights)) <= 1e-4 * scale);
}

/// Two directions of 40 wavelengths.
Experiment pink_experiment(const std::string& more) {
  return experiment_of(
      "-corrected -cell 50 60 70 85 95 105 -misset 10 20 30 -default_F 100 -N 20 -gauss_xtal "
      "-mosaic 0.5 -mosaic_domains 2 -detpixels 32 -pixel 0.8 -oversample 1 -dispersion 1 "
      "-dispsteps 40 -hdivrange 1 -hdivsteps 2 " +
      more);
}

TEST(Bands, GiveEachRayItsWavelengthAndItsWeight) {
  for (const char* more : {"", "-water 5", "-nopolar",
                           "-oversample 2 -detector_thick 100 "
                           "-detector_abs 200 -thicksteps 2"}) {
    const Experiment e = pink_experiment(more);
    ASSERT_TRUE(takes_bands(e));
    Plan plan = make_plan(e, resolve(e));
    for (std::size_t i = 0; i < plan.light.rays.size(); ++i)
      plan.light.rays[i].weight = 1 + 0.5 * std::sin(double(i));
    std::vector<double> weights(1024);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 1 + std::sin(double(3 * i));
    const auto bars = [&](Precision precision) {
      return engine::load(plan, options_of(precision))->pull_back({}, weights).adjoint.light.rays;
    };
    const auto quick = bars(Precision::float32), exact = bars(Precision::float64);
    double wavenumber = 0, weight = 0;
    for (const PlanRay& ray : exact) {
      wavenumber = std::max(wavenumber, std::abs(ray.wavenumber));
      weight = std::max(weight, std::abs(ray.weight));
    }
    EXPECT_GT(wavenumber, 0);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      EXPECT_NEAR(quick[i].wavenumber, exact[i].wavenumber, 1e-4 * wavenumber) << more << i;
      EXPECT_NEAR(quick[i].weight, exact[i].weight, 1e-4 * weight) << more << i;
    }
  }
}

TEST(Bands, LeaveASourceListItsDirections) {
  Experiment e = pink_experiment("");
  e.beam.horizontal_divergence_mrad = e.beam.dispersion_percent = {};
  for (int i = 0; i < 40; ++i)
    e.beam.sources.push_back({{-10, 0, 0}, 1 + 0.1 * i, 0.995 + 0.00025 * i});
  ASSERT_TRUE(takes_bands(e));
  const std::vector<double> ones(1024, 1.0);
  const auto slopes = [&](Precision precision) {
    return value_and_gradient(e, ones, options_of(precision))
        .gradient.parameters.at("source_directions");
  };
  const auto quick = slopes(Precision::float32), exact = slopes(Precision::float64);
  double largest = 0;
  for (const double slope : exact) largest = std::max(largest, std::abs(slope));
  for (std::size_t i = 0; i < exact.size(); ++i)
    EXPECT_NEAR(quick[i], exact[i], 1e-3 * largest) << i;
}

TEST(Threads, DoNotChangeABitOfAGradient) {
  const Experiment e = experiment_of(
      "-corrected -cell 50 60 70 85 95 105 -misset 10 20 30 -default_F 100 -N 5 -mosaic 0.5 "
      "-mosaic_domains 10 -detpixels 100 -pixel 0.8 -oversample 1");
  const std::vector<double> weights(10000, 0.5);
  for (const Precision precision : {Precision::float32, Precision::float64}) {
    const auto one = value_and_gradient(e, weights, options_of(precision, 1));
    for (const int threads : {2, 3, 8}) {
      const auto many = value_and_gradient(e, weights, options_of(precision, threads));
      EXPECT_EQ(many.value, one.value);
      EXPECT_EQ(many.gradient.parameters, one.gradient.parameters) << threads;
    }
  }
}

// ---- Losses -------------------------------------------------------------------------------------

TEST(Losses, OfAnyKindAreDifferentiatedThroughTheirSlopes) {
  const Experiment e = experiment_of(
      "-corrected -cell 50 60 70 85 95 105 -default_F 100 -N 5 -detpixels 16 -pixel 0.8");
  const auto options = options_of(Precision::float64);
  const Loss squares = [](std::span<const double> image, std::span<double> slopes) {
    double sum = 0;
    for (std::size_t i = 0; i < image.size(); ++i) {
      sum += image[i] * image[i];
      slopes[i] = 2 * image[i];
    }
    return sum;
  };
  const auto got = value_and_gradient(e, squares, options);
  EXPECT_EQ(got.photons.size(), 256U);
  EXPECT_NEAR(got.gradient.parameters.at("fluence")[0] * e.beam.fluence_per_m2, 2 * got.value,
              1e-9 * got.value);
}

TEST(Losses, SeeOnlyTheRegionOfInterest) {
  Experiment e = experiment_of(
      "-corrected -cell 50 60 70 85 95 105 -default_F 100 -N 5 -detpixels 16 -pixel 0.8 "
      "-roi 3 8 5 9");
  const auto options = options_of(Precision::float64);
  const auto pixels = visited_pixels(e);
  EXPECT_EQ(pixels.size(), 30U);
  EXPECT_NEAR(value_and_gradient(e, std::vector<double>(256, 1.0), options).value,
              value_and_gradient(e, pixels, std::vector<double>(30, 1.0), options).value, 1e-3);
}

// ---- Corners ------------------------------------------------------------------------------------

void expect_finite_everywhere(const std::string& line) {
  const Experiment e = experiment_of(line);
  const std::size_t pixels = photons(e).size();
  for (const Precision precision : {Precision::float32, Precision::float64})
    expect_finite(
        value_and_gradient(e, std::vector<double>(pixels, 1.0), options_of(precision)).gradient);
}

TEST(Corners, AreFiniteInTheDirectBeamForEveryShape) {
  for (const char* shape : {"", "-round_xtal", "-gauss_xtal", "-tophat_spots"})
    expect_finite_everywhere(
        std::string("-corrected -cell 100 100 100 90 90 90 -default_F 100 -N 5 -detpixels 9 "
                    "-pixel 0.1 -oversample 1 -detector_thick 100 -detector_abs 50 ") +
        shape);
}

TEST(Corners, TheDirectBeamOfACubicCrystalIsAMaximum) {
  const Experiment e = experiment_of(
      "-corrected -cell 100 100 100 90 90 90 -default_F 100 -N 5 -detpixels 9 -pixel 0.1 "
      "-oversample 1");
  const std::vector<PixelIndex> middle{{4, 4}};
  const auto got = value_and_gradient(e, middle, std::vector<double>{1.0},
                                      options_of(Precision::float64));
  const auto& slopes = got.gradient.parameters;
  for (const double slope : slopes.at("cell")) EXPECT_NEAR(slope, 0, 1e-12 * got.value);
  for (const double slope : slopes.at("misset")) EXPECT_NEAR(slope, 0, 1e-12 * got.value);
  EXPECT_NEAR(slopes.at("cells")[0], 2 * got.value / 5, 1e-9 * got.value);
}

TEST(Corners, OneCellHasNoFringes) {
  const Experiment e = experiment_of(
      "-corrected -cell 50 60 70 85 95 105 -default_F 100 -N 1 -detpixels 16 -pixel 0.8 -nopolar "
      "-point_pixel");
  const std::vector<double> ones(256, 1.0);
  const auto got = value_and_gradient(e, ones, options_of(Precision::float64));
  for (const double slope : got.gradient.parameters.at("misset"))
    EXPECT_NEAR(slope, 0, 1e-10 * got.value);
}

TEST(Corners, TheSpindleTurnsTheCrystalAtPhiZeroToo) {
  const std::string
      line = "-corrected -cell 50 60 70 85 95 105 -default_F 100 -N 5 -detpixels 16 -pixel 0.8 ";
  const auto slope = [&](const Experiment& e) {
    return value_and_gradient(e, std::vector<double>(256, 1.0), options_of(Precision::float64))
        .gradient.parameters.at("phi")[0];
  };
  const double at_zero = slope(experiment_of(line));
  EXPECT_NE(at_zero, 0);
  EXPECT_NEAR(slope(experiment_of(line + "-phi 1e-7")), at_zero, 1e-4 * std::abs(at_zero));
}

TEST(Corners, ATopHatIsFlatButForItsHeight) {
  const Experiment e = experiment_of(
      "-corrected -cell 50 60 70 85 95 105 -default_F 100 -N 5 -tophat_spots -detpixels 64 "
      "-pixel 0.2 -nopolar -point_pixel -oversample 1 -roi 20 30 20 30");
  const auto got = value_and_gradient(e, std::vector<double>(4096, 1.0),
                                      options_of(Precision::float64));
  for (const double slope : got.gradient.parameters.at("misset")) EXPECT_EQ(slope, 0);
  EXPECT_EQ(got.gradient.parameters.at("fudge")[0], 0);
}

// ---- Parameters ---------------------------------------------------------------------------------

RC_GTEST_PROP(Parameters, SetToWhatTheyAreLeaveTheImage, ()) {
  const Experiment e = any_differentiable();
  const auto options = options_of(Precision::float64);
  const auto before = photons(e, options);
  const double largest = *std::max_element(before.begin(), before.end());
  const auto all = parameters(e);
  const Parameter&
      p = all[static_cast<std::size_t>(*any_count(0, static_cast<int>(all.size()) - 1))];
  const auto after = photons(with_parameter(e, p.name, p.values), options);
  // Kinks aside a unit in the last place of a position changes little.
  std::size_t changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i)
    changed += !(std::abs(after[i] - before[i]) <= 1e-7 * largest);
  RC_ASSERT(changed <= before.size() / 50);
}

TEST(Parameters, AreNamedInFieldUnits) {
  const Experiment e = experiment_of(
      "-cell 70 80 90 85 95 105 -default_F 100 -N 5 -lambda 1.2 -distance 150 -detpixels 100");
  EXPECT_THAT(parameter(e, "cell").values, testing::ElementsAre(70, 80, 90, 85, 95, 105));
  EXPECT_EQ(parameter(e, "wavelength").values[0], 1.2);
  EXPECT_THAT(parameter(e, "wavelength").units, testing::ElementsAre("A"));
  EXPECT_THAT(parameter(e, "cell").units, testing::ElementsAre("A", "A", "A", "deg", "deg", "deg"));
  EXPECT_NEAR(parameter(e, "beam_center").values[0], 5.05, 1e-12);
  EXPECT_EQ(parameter(with_parameter(e, "distance", std::vector{151.0}), "distance").values[0],
            151);
}

TEST(Parameters, ANewWavelengthLeavesALatticeThatAMatrixGave) {
  Experiment e = experiment_of("-cell 70 80 90 85 95 105 -default_F 100 -N 5 -lambda 1.2");
  state_crystal_as_matrix(e);
  const Experiment changed = with_parameter(e, "wavelength", std::vector{1.3});
  EXPECT_NEAR(resolve(changed).axes.real_A.b.y, resolve(e).axes.real_A.b.y, 1e-10);
}

/// A crystal stated by its cell and misset, and the same by its matrix alone, some turned further.
std::pair<Experiment, Experiment> by_cell_and_by_matrix() {
  Experiment cell = experiment_of(
      "-corrected -cell 70 80 90 85 95 105 -misset 10 -20 30 -default_F 100 -N 5 -gauss_xtal "
      "-lambda 1.2 -detpixels 16 -pixel 2 -oversample 1");
  Experiment matrix = cell;
  state_crystal_as_matrix(matrix);
  return {cell, matrix};
}

TEST(Parameters, OfAMatrixAreThoseOfItsCellToo) {
  const auto [cell, matrix] = by_cell_and_by_matrix();
  const Parameter p = parameter(matrix, "cell");
  EXPECT_EQ(p.units, parameter(cell, "cell").units);
  for (std::size_t i = 0; i < 6; ++i)
    EXPECT_NEAR(p.values[i], parameter(cell, "cell").values[i], 1e-11);
  const std::vector<double> other{71, 79, 91, 86, 94, 106};
  const Mat3d got = resolve(with_parameter(matrix, "cell", other)).axes.real_A,
              wanted = resolve(with_parameter(cell, "cell", other)).axes.real_A;
  EXPECT_LT(length(got.a - wanted.a), 1e-11);
  EXPECT_LT(length(got.b - wanted.b), 1e-11);
  EXPECT_LT(length(got.c - wanted.c), 1e-11);
  // The cell that it has leaves it as it is, to the last bit
  const Experiment same = with_parameter(matrix, "cell", p.values);
  EXPECT_EQ(to_json(same), to_json(SettledExperiment(matrix).experiment()));
}

TEST(Gradients, OfTheCellOfAMatrixAreThoseOfTheSameCellWithMisset) {
  const auto [cell, matrix] = by_cell_and_by_matrix();
  std::vector<double> weights(256);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(double(i));
  ComputeOptions options;
  options.precision = Precision::float64;
  const auto wanted = value_and_gradient(cell, weights, options).gradient.parameters,
             got = value_and_gradient(matrix, weights, options).gradient.parameters;
  for (std::size_t i = 0; i < 6; ++i) {
    const double expected = wanted.at("cell")[i];
    EXPECT_NEAR(got.at("cell")[i], expected, 1e-7 * std::abs(expected)) << i;
  }
}

TEST(Parameters, ThatDoNotExistAreAnsweredWithThoseThatDo) {
  const Experiment e = experiment_of("-cell 70 80 90 85 95 105 -default_F 100 -N 5");
  EXPECT_THAT(message_of<UsageError>([&] { parameter(e, "cel"); }),
              testing::HasSubstr("no parameter 'cel'; there are cell, misset, cells, "));
  EXPECT_THAT(message_of<UsageError>([&] { with_parameter(e, "cell", std::vector{1.0}); }),
              testing::HasSubstr("'cell' is 6 numbers, not 1"));
}

RC_GTEST_PROP(Parameters, AreAllDocumented, ()) {
  std::ifstream in(NABLA_SOURCE_DIR "/docs/gradients.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  for (const Parameter& p : parameters(any_differentiable())) {
    // Without the number of the panel or the name of the group
    const std::string name = p.name.substr(p.name.rfind('.') + 1);
    RC_ASSERT(text.find('`' + name + '`') != std::string::npos);
  }
}

TEST(Gradients, OfRunningProductsAreRefused) {
  const Experiment e = experiment_of(
      "-cell 70 80 90 85 95 105 -default_F 100 -N 5 -detpixels 16 -oversample_omega");
  EXPECT_THAT(message_of<UsageError>([&] { value_and_gradient(e, std::vector<double>(256, 1.0)); }),
              testing::HasSubstr("give -corrected"));
}

// ---- Weights, losses and directions that are no numbers -----------------------------------------

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// Narrow spots: most tiles are dark, and passed over.
Experiment mostly_dark() {
  return experiment_with_table(
      "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 40 -lambda 1 -distance 100 "
      "-detpixels 48 -pixel 0.4 -oversample 1 -gauss_xtal -dispersion 1 -dispsteps 3 ");
}

std::vector<ComputeOptions> every_engine() {
  return {reference_engine(), cpu_engine(Precision::float32), cpu_engine(Precision::float64)};
}

void expect_nan(const Gradient& gradient, const Experiment& e) {
  for (const Parameter& p : parameters(e)) {
    const auto& slopes = gradient.parameters.at(p.name);
    EXPECT_EQ(slopes.size(), p.values.size()) << p.name;
    for (const double slope : slopes) EXPECT_TRUE(std::isnan(slope)) << p.name;
  }
  ASSERT_EQ(gradient.structure_factors != nullptr, e.structure_factors.grid != nullptr);
  if (!gradient.structure_factors) return;
  EXPECT_THAT(gradient.structure_factors->values(), testing::Each(testing::IsNan()));
}

TEST(NoNumbers, AmongTheWeightsMakeEveryDerivativeNaNHoweverDarkTheImageIs) {
  const Experiment e = mostly_dark();
  const auto light = photons(e);
  const auto darkest = static_cast<std::size_t>(std::min_element(light.begin(), light.end()) -
                                                light.begin());
  ASSERT_EQ(light[darkest], 0);
  for (const ComputeOptions& options : every_engine())
    for (const double wrong : {nan, infinity, -infinity}) {
      std::vector<double> weights(light.size(), 1.0);
      weights[darkest] = wrong;
      const auto one = value_and_gradient(e, weights, options);
      EXPECT_TRUE(std::isnan(one.value));
      expect_nan(one.gradient, e);
      weights.assign(light.size(), wrong);
      const auto all = value_and_gradient(e, weights, options);
      EXPECT_TRUE(std::isnan(all.value));
      expect_nan(all.gradient, e);
      const std::vector<PixelIndex> pixels{{1, 2}, {3, 4}};
      expect_nan(value_and_gradient(e, pixels, std::vector{1.0, wrong}, options).gradient, e);
    }
}

TEST(NoNumbers, AreTheDerivativesOfSourcesWhoseWeightsAreIgnoredToo) {
  Experiment e = experiment_of(
      "-cell 70 80 90 85 95 105 -default_F 100 -N 5 -detpixels 16 -pixel 0.8 -oversample 1");
  e.beam.sources = {{{-1, 0, 0}, 1, 1.0}, {{-1, 0.01, 0}, 2, 1.1}};
  expect_nan(value_and_gradient(e, std::vector<double>(256, nan)).gradient, e);
}

TEST(NoNumbers, OutsideTheRegionOfInterestAndTheMaskHaveNoEffect) {
  Experiment e = mostly_dark();
  auto mask = std::make_shared<Mask>();
  mask->fast_pixels = mask->slow_pixels = 48;
  mask->keep.assign(48 * 48, 1);
  mask->keep[5 * 48 + 7] = 0;
  e.sampling.mask = mask;
  e.sampling.roi = RegionOfInterest{2, 40, 3, 45};
  for (const ComputeOptions& options : every_engine()) {
    std::vector<double> weights(48 * 48, 1.0);
    const auto plain = value_and_gradient(e, weights, options);
    weights[5 * 48 + 7] = nan;                              // masked out
    weights[2 * 48 + 7] = weights[5 * 48 + 41] = infinity;  // beside the region of interest
    const auto same = value_and_gradient(e, weights, options);
    EXPECT_EQ(same.value, plain.value);
    EXPECT_EQ(same.gradient.parameters, plain.gradient.parameters);
    weights[5 * 48 + 8] = nan;
    expect_nan(value_and_gradient(e, weights, options).gradient, e);
  }
}

TEST(NoNumbers, ThatALossReturnsMakeEveryDerivativeNaN) {
  const Experiment e = mostly_dark();
  for (const ComputeOptions& options : every_engine())
    for (const double wrong : {nan, infinity, -infinity}) {
      // The loss without its slopes: also where there is no pixel at all.
      const auto loss = [&](auto, auto) { return wrong; };
      const auto value = value_and_gradient(e, loss, options);
      EXPECT_FALSE(std::isfinite(value.value));
      EXPECT_EQ(value.photons.size(), 48u * 48u);
      expect_nan(value.gradient, e);
      expect_nan(value_and_gradient(e, std::span<const PixelIndex>(), loss, options).gradient, e);
      // The slopes without the loss.
      const auto slopes = [&](auto, std::span<double> to) {
        to[0] = wrong;
        return 3.0;
      };
      const auto by_slopes = value_and_gradient(e, slopes, options);
      EXPECT_EQ(by_slopes.value, 3);
      expect_nan(by_slopes.gradient, e);
    }
}

TEST(NoNumbers, InADirectionMakeEveryChangeNaN) {
  const Experiment e = mostly_dark();
  const auto pixels = visited_pixels(e);
  for (const ComputeOptions& options : every_engine())
    for (const double wrong : {nan, infinity}) {
      for (const auto& [name, values] :
           NamedValues{{"misset", {0, wrong, 0}}, {"default_F", {wrong}}, {"phi", {wrong}}})
        EXPECT_THAT(jvp(e, {{name, values}}, pixels, options), testing::Each(testing::IsNan()))
            << name;
      StructureFactorGrid table = *e.structure_factors.grid;
      table.values()[3] = wrong;
      EXPECT_THAT(jvp(e, {}, pixels, options, &table), testing::Each(testing::IsNan()));
    }
}

TEST(NoNumbers, InAnEnginesOwnHandsLeaveNothingFinite) {
  const Experiment e = mostly_dark();
  const Plan plan = make_plan(e, resolve(e));
  for (const ComputeOptions& options : every_engine()) {
    const auto loaded = engine::load(plan, options);
    const auto gradient = loaded->pull_back({}, std::vector<double>(plan.pixels(), nan));
    EXPECT_TRUE(std::isnan(gradient.value));
    for_each_number_of_plan([](const double& x) { EXPECT_TRUE(std::isnan(x)); }, gradient.adjoint);
    // Of two tangents only the one that is NaN.
    Plan good = zero_plan(plan), bad = zero_plan(plan);
    good.scale = 1;
    bad.panels[0].frame.origin.x = nan;
    const std::vector<const Plan*> tangents{&good, &bad};
    std::vector<double> light(plan.pixels()), slopes(2 * plan.pixels());
    loaded->push_forward({}, tangents, nullptr, light, slopes);
    for (std::size_t i = 0; i < slopes.size(); ++i)
      EXPECT_EQ(std::isnan(slopes[i]), i % 2 == 1) << i;
  }
}

TEST(Gradients, WantAWeightForEveryPixel) {
  const Experiment e = experiment_of("-cell 70 80 90 85 95 105 -default_F 100 -N 5 -detpixels 16");
  EXPECT_THAT(message_of<UsageError>([&] { value_and_gradient(e, std::vector<double>(255, 1.0)); }),
              testing::HasSubstr("255 weights for 256 pixels"));
}

}  // namespace
}  // namespace nablabragg::test
