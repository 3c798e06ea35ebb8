// Single pixels and totals of the reference engine.  The numbers were printed by the C program
// nanoBragg (one thread) for the flags that stand next to them.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>  // for accumulate
#include <string>
#include <vector>

#include "support/experiment.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::image_of;
using test::pixel_of;

double total(const Simulation& s) {
  return std::accumulate(s.image.pixels.begin(), s.image.pixels.end(), 0.0,
                         [](double sum, float pixel) { return sum + static_cast<double>(pixel); });
}
double total(const std::string& flags) { return total(image_of(flags)); }

/// Pixels are stored as floats.
constexpr double float_digits = 1e-7;

// ---- One pixel ------------------------------------------------------------------------------

TEST(PixelSum, OnePixelOfATiltedDetectorStepByStep) {
  const auto watched = pixel_of(
      "-cell 100 -N 5 -default_F 100 -detpixels 256 -oversample 1 "
      "-detector_rotx 5 -detector_roty 3 -detector_rotz 2",
      200, 10);
  ASSERT_EQ(watched.steps.size(), 1U);
  const engine::StepRecord& step = watched.last();
  EXPECT_CLOSE(step.at.position,
               (Vec3d{0.100036333240114, 0.0111898281645138, 0.00814441069349509}));
  EXPECT_CLOSE(step.at.distance, 0.100989165993303);
  EXPECT_CLOSE(step.solid_angle, 9.68981327722117e-07);
  EXPECT_CLOSE(step.at.direction,
               (Vec3d{0.990565000276845, 0.110802263336404, 0.0806463803655453}));
  EXPECT_CLOSE(step.q, (Vec3d{-94349997.2315509, 1108022633.36404, 806463803.655453}));
  EXPECT_CLOSE(step.hkl, (Vec3d{-0.943499972315508, 11.0802263336404, 8.06463803655453}));
  EXPECT_EQ(step.nearest, (Vec3d{-1, 11, 8}));
  EXPECT_CLOSE(std::abs(step.lattice_factor), 70.6486110122893);
  EXPECT_CLOSE(std::abs(step.lattice_factor),
               4.3920162547098 * 3.81808778795357 * 4.21302250766811);
  EXPECT_CLOSE(step.polarization, 0.990609509886733);
  EXPECT_CLOSE(watched.pixel.photons, 47.9098881343549);
}

/// The crystal and detector of the next numbers
const std::string sixteen =
    "-cell 70 80 90 85 95 105 -misset 10 20 30 -default_F 100 -lambda 1.2 -distance 150 "
    "-detpixels 16 -pixel 0.8 ";

TEST(PixelSum, EachShapeOfCrystalHasItsFactor) {
  struct Shape {
    const char* flags;
    double lattice_factor, sum, photons;
  };
  for (const Shape& expected : std::vector<Shape>{
           {"-N 5", 102.025481754242, 104091989.271851, 2955.40625},
           {"-N 5 -round_xtal", 76.6483657145745, 58749719.6671516, 1668.037109375},
           {"-N 3 -gauss_xtal", 26.9748044112515, 7276400.73025276, 206.59342956543},
           {"-N 3 -tophat_spots", 27, 7290000, 206.979537963867},
       }) {
    SCOPED_TRACE(expected.flags);
    const auto watched = pixel_of(sixteen + "-oversample 1 -polar 0.7 -fudge 1.3 " + expected.flags,
                                  11, 3);
    ASSERT_EQ(watched.steps.size(), 1U);
    const engine::StepRecord& step = watched.last();
    EXPECT_CLOSE(step.at.position, (Vec3d{0.15, 0.0044, 0.002}));
    EXPECT_CLOSE(length(step.q) / 2, 134203831.032263);
    EXPECT_CLOSE(step.hkl, (Vec3d{0.0139589412153118, 1.95173116769531, 0.949852599987545}));
    EXPECT_EQ(step.nearest, (Vec3d{0, 2, 1}));
    EXPECT_CLOSE(step.polarization, 0.999720112807325);
    EXPECT_CLOSE(step.solid_angle, 2.84002043816981e-05);
    EXPECT_EQ(step.capture, 1);
    EXPECT_CLOSE(std::abs(step.lattice_factor), expected.lattice_factor);
    EXPECT_CLOSE(watched.pixel.sum, expected.sum);
    EXPECT_CLOSE_WITHIN(float_digits, watched.pixel.photons, expected.photons);
  }
}

TEST(PixelSum, ATableIsInterpolatedForACrystalOfTwoCells) {
  const auto watched = pixel_of(
      test::experiment_with_table(sixteen + "-oversample 1 -polar 0.7 -N 2"), 11, 3);
  ASSERT_EQ(watched.steps.size(), 1U);
  EXPECT_TRUE(watched.last().interpolated);
  EXPECT_CLOSE(watched.last().structure_factor, 99.3220419563471);
  EXPECT_CLOSE(std::abs(watched.last().lattice_factor), 7.80275061231171);
  EXPECT_CLOSE_WITHIN(float_digits, watched.pixel.photons, 17.0524444580078);
}

TEST(PixelSum, FactorsAreThoseOfTheFirstSubPixelAndTheLastLayer) {
  //
  const auto watched = pixel_of(sixteen +
                                    "-oversample 2 -polar 0.7 -N 5 -detector_thick 300 "
                                    "-detector_abs 400 -detector_thicksteps 4",
                                11, 3);
  EXPECT_EQ(watched.steps.size(), 16U);
  EXPECT_CLOSE(watched.pixel.solid_angle, 2.83982374566113e-05);
  EXPECT_CLOSE(watched.pixel.polarization, 0.99973681873879);
  EXPECT_CLOSE(watched.pixel.capture, 0.104494441957197);
  EXPECT_CLOSE(watched.pixel.sum, 681356250.258569);
  EXPECT_CLOSE(watched.plan.scale * watched.pixel.sum, 170339062.564642);
  EXPECT_CLOSE_WITHIN(float_digits, watched.pixel.photons, 505.340972900391);
}

TEST(PixelSum, AtAShortDistanceTheFirstSubPixelIsFarFromTheLast) {
  const std::string flags = test::any_crystal +
                            "-N 5 -detpixels 64 -pixel 0.5 -distance 20 -Xbeam 2 -Ybeam 4 "
                            "-oversample 2 ";
  const auto once = pixel_of(flags, 60, 30);
  ASSERT_EQ(once.steps.size(), 4U);
  EXPECT_CLOSE(once.steps[0].at.position, (Vec3d{0.02, -0.012875, 0.025875}));
  EXPECT_CLOSE_WITHIN(1e-9, once.pixel.solid_angle, 0.0001151651905);
  EXPECT_CLOSE_WITHIN(1e-9, once.pixel.polarization, 0.6619064484);

  const auto each = pixel_of(flags + "-oversample_omega -oversample_polar", 60, 30);
  EXPECT_CLOSE_WITHIN(1e-9, each.steps[0].solid_angle, 0.0001151651905);
  EXPECT_CLOSE_WITHIN(1e-9, each.last().solid_angle, 0.0001124910508);
  EXPECT_CLOSE_WITHIN(1e-9, each.last().polarization, 0.659390332);
}

TEST(PixelSum, SubPixelsAreVisitedFastFirstThenSlowThenLayers) {
  const auto steps = pixel_of(sixteen + "-oversample 2 -N 5 -detector_thick 300", 11, 3).steps;
  ASSERT_EQ(steps.size(), 8U);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(steps[i].at.sub_fast, static_cast<int>(i % 2));
    EXPECT_EQ(steps[i].at.sub_slow, static_cast<int>(i / 2 % 2));
    EXPECT_EQ(steps[i].at.layer, static_cast<int>(i / 4));
    EXPECT_CLOSE(steps[i].at.fast, 0.8e-3 * 11 + 0.4e-3 * static_cast<double>(i % 2) + 0.2e-3);
    EXPECT_CLOSE(steps[i].at.slow, 0.8e-3 * 3 + 0.4e-3 * static_cast<double>(i / 2 % 2) + 0.2e-3);
  }
  EXPECT_CLOSE(steps[7].at.position.x, 0.15 + 150e-6);
}

TEST(PixelSum, RaysThenPhiThenDomainsAreTheInnerLoops) {
  const auto steps = pixel_of(sixteen +
                                  "-oversample 1 -N 5 -dispersion 1 -osc 1 -mosaic 1 "
                                  "-mosaic_domains 3",
                              11, 3)
                         .steps;
  ASSERT_EQ(steps.size(), 12U);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(steps[i].domain, static_cast<int>(i % 3));
    EXPECT_EQ(steps[i].phi, static_cast<int>(i / 3 % 2));
    EXPECT_EQ(steps[i].ray, static_cast<int>(i / 6));
  }
}

// ---- The curved detector --------------------------------------------------------------------

const std::string curved =
    "-cell 100 80 50 90 90 90 -default_F 100 -N 5 -detpixels 64 "
    "-oversample 1 -Xbeam 2 -Ybeam 4 ";

TEST(PixelSum, TheCurvedDetectorBendsAboutTheLaboratoryAxesAsInTheReference) {
  //
  const auto position = [](const std::string& flags) {
    return pixel_of(flags, 50, 10).steps.at(0).at.position;
  };
  EXPECT_CLOSE(position(curved), (Vec3d{0.1, 0.001, 0.001}));
  const Vec3d bent = position(curved + "-curved_det");
  EXPECT_CLOSE_WITHIN(1e-8, bent, (Vec3d{0.09999, 0.000999933, 0.000999983}));
  EXPECT_CLOSE(length(bent), 0.1);
}

TEST(PixelSum, TheCurvedDetectorTransposesThePictureAboutTheBeamAsInTheReference) {
  const Simulation flat = image_of(curved), bent = image_of(curved + "-curved_det");
  /// Brighter than everything within ten pixels, which is closer than the spots are.
  const auto is_spot = [](const Image& image, int fast, int slow) {
    const float peak = image.at(fast, slow);
    for (int j = std::max(slow - 10, 0); j <= std::min(slow + 10, 63); ++j)
      for (int i = std::max(fast - 10, 0); i <= std::min(fast + 10, 63); ++i)
        if (image.at(i, j) > peak) return false;
    return peak > 100;
  };
  for (const auto& [fast, slow] : {std::pair{20, 20}, {40, 45}, {40, 32}})
    EXPECT_TRUE(is_spot(flat.image, fast, slow)) << fast << ' ' << slow;
  for (const auto& [fast, slow] : {std::pair{40, 40}, {15, 20}, {28, 20}})
    EXPECT_TRUE(is_spot(bent.image, fast, slow)) << fast << ' ' << slow;
  // Where the beam runs along z there is nothing left of the picture.
  EXPECT_NEAR(image_of(curved + "-curved_det -xds").statistics.max, 5.2, 0.05);
}

TEST(PixelSum, TheCorrectedCurvedDetectorKeepsSpotsWhereTheyAre) {
  const Simulation flat = image_of(curved), bent = image_of(curved + "-curved_det -corrected");
  for (const auto& [fast, slow] : {std::pair{20, 20}, {40, 45}, {40, 32}})
    EXPECT_NEAR(bent.image.at(fast, slow) / flat.image.at(fast, slow), 1, 0.02);
}

// ---- Factors in the sum ---------------------------------------------------------------------

/// The image of the numbers below, 64 x 64 pixels
const std::string cube = "-cell 100 -default_F 100 -N 5 -distance 100 -detpixels 64 ";

TEST(PixelSum, FactorsOfOversampleFlagsMultiplyTheWholeSumAsInTheReference) {
  //
  EXPECT_NEAR(total(cube + "-oversample 2"), 25194, 0.5);
  EXPECT_NEAR(total(cube + "-oversample 2 -oversample_omega"), 6363, 0.5);
  EXPECT_NEAR(total(cube + "-oversample 2 -oversample_polar"), 25181, 0.5);
}

TEST(PixelSum, ARunningSumIsMultipliedAfterEveryTerm) {
  const auto watched = pixel_of(cube +
                                    "-oversample 3 -water 10 -oversample_omega "
                                    "-oversample_polar -oversample_thick -detector_thick 450",
                                45, 50);
  EXPECT_EQ(watched.steps.size(), 18U);
  double sum = watched.plan.background.starting_sum;
  EXPECT_GT(sum, 0);
  for (const engine::StepRecord& step : watched.steps) {
    sum = (sum + step.term) * step.capture * step.polarization * step.solid_angle;
    EXPECT_CLOSE(step.sum, sum);
  }
  EXPECT_CLOSE(watched.pixel.photons, watched.plan.scale * sum);
}

TEST(PixelSum, ASingleTermIsTheSameWithEveryOversampleFlag) {
  const auto photons = [](const std::string& flags) {
    return pixel_of(cube + "-oversample 1 " + flags, 45, 50).pixel.photons;
  };
  for (const char* flags : {"-oversample_omega", "-oversample_polar",
                            "-oversample_omega -oversample_polar -oversample_thick"})
    EXPECT_CLOSE(photons(flags), photons(""));
}

TEST(PixelSum, EachTermHasItsOwnFactorsInTheCorrectedArithmetic) {
  const std::string flags = cube + "-oversample 2 -corrected ";
  const auto watched = pixel_of(flags, 45, 50);
  double sum = 0;
  for (const engine::StepRecord& step : watched.steps)
    sum += step.term * step.polarization * step.solid_angle;
  EXPECT_CLOSE(watched.pixel.photons, watched.plan.scale * sum);
  EXPECT_EQ(total(flags), total(flags + "-oversample_omega -oversample_polar"));
}

TEST(PixelSum, LayersAreSummedAndScaledByTheLastOnesCaptureAsInTheReference) {
  //
  const double whole = total(cube + "-oversample 1");
  const std::string silicon = cube + "-oversample 1 -detector_thick 450 -detector_abs 234 ";
  EXPECT_NEAR(total(silicon) / whole, 0.4723, 0.00005);
  EXPECT_NEAR(total(silicon + "-thicksteps 5") / whole, 0.27885, 0.000005);
  EXPECT_NEAR(total(silicon + "-thicksteps 5 -oversample_thick") / whole, 0.0618, 0.00005);
}

TEST(PixelSum, SourcesUseTheirWavelengthsAndEqualWeights) {
  //
  const test::TempDir folder;
  const auto total_of = [&](const std::string& text, const std::string& flags = "") {
    return total(cube + "-oversample 1 -sourcefile " + folder.file("sources", text) + ' ' + flags);
  };
  const double two_colours = total_of("-10 0 0 1 1.0e-10\n-10 0.1 0 1 1.1e-10\n");
  EXPECT_CLOSE_WITHIN(1e-8, two_colours, 22901.617);
  EXPECT_EQ(total_of("-10 0 0 0.5 1.0e-10\n-10 0.1 0 7 1.1e-10\n"), two_colours);
  EXPECT_CLOSE_WITHIN(1e-9, total_of("-10 0 0 1 1.0e-10\n-10 0.1 0 1 1.0e-10\n"), 25632.9647);
  EXPECT_CLOSE_WITHIN(
      1e-9, total_of("-10 0 0 1 1.0e-10\n-10 0.1 0 1 1.1e-10\n", "-source_lambda cli"), 25632.9647);
}

TEST(PixelSum, ThePolarizationOfTheFirstSourceStandsForAllAsInTheReference) {
  //
  const std::string flags = cube + "-oversample 1 -hdivrange 100 -polar 1 ";
  const auto watched = pixel_of(flags, 45, 50);
  ASSERT_EQ(watched.steps.size(), 2U);
  EXPECT_EQ(watched.steps[1].polarization, watched.steps[0].polarization);
  const auto corrected = pixel_of(flags + "-corrected", 45, 50);
  EXPECT_NE(corrected.steps[1].polarization, corrected.steps[0].polarization);
}

TEST(PixelSum, StepsAtPhiZeroAreNotMixedUpWithTheLastOnes) {
  // where nanoBragg keeps the orientation of the last slice, the total is 24860.
  EXPECT_NEAR(total(cube + "-oversample 1 -phi 0 -osc 1 -phisteps 10"), 24957, 0.5);
}

// ---- Maxima of the shapes -------------------------------------------------------------------

TEST(PixelSum, TheBrightestPixelOfEachShapeIsTheReferences) {
  //
  struct Shape {
    const char* flag;
    double oversampled, plain;
  };
  for (const Shape& expected : std::vector<Shape>{
           {"-square_xtal", 97.2806, 104.364},
           {"-round_xtal", 60.5216, 63.6355},
           {"-gauss_xtal", 151.504, 152.422},
           {"-tophat_spots", 156.25, 156.25},
           {"-binary_spots", 156.25, 156.25},
       }) {
    SCOPED_TRACE(expected.flag);
    EXPECT_CLOSE_WITHIN(5e-6, image_of(cube + expected.flag).statistics.max, expected.oversampled);
    EXPECT_CLOSE_WITHIN(5e-6, image_of(cube + "-oversample 1 " + expected.flag).statistics.max,
                        expected.plain);
  }
}

// ---- Water ----------------------------------------------------------------------------------

TEST(PixelSum, WaterIsWhereEverySumBeginsInTheReference) {
  //
  const auto starting_sum = [](const std::string& flags) {
    const Experiment e = test::experiment_of(cube + flags);
    return make_plan(e, resolve(e)).background.starting_sum;
  };
  EXPECT_CLOSE(starting_sum("-water 100"), 2.20975801715394e+17);
  EXPECT_CLOSE(starting_sum("-water 10"), 220975801715394.47);
  EXPECT_EQ(starting_sum(""), 0);
  // The number of steps divides what was added once.
  EXPECT_CLOSE_WITHIN(1e-8, total(cube + "-oversample 1 -water 1000"), 9.03879638e17);
  EXPECT_CLOSE_WITHIN(1e-8, total(cube + "-oversample 2 -water 1000"), 2.25969402e17);
}

TEST(PixelSum, WaterOfTheCorrectedArithmeticDependsOnNoStepsAndOnTheFluenceOnce) {
  const auto water = [](const std::string& flags) {
    const std::string all = cube + "-water 1000 -corrected " + flags;
    return pixel_of(all, 40, 40).pixel.photons -
           pixel_of(cube + "-corrected " + flags, 40, 40).pixel.photons;
  };
  const double plain = water("-oversample 1");
  EXPECT_CLOSE_WITHIN(1e-5, water("-oversample 4"), plain);
  EXPECT_CLOSE_WITHIN(1e-9, water("-oversample 1 -osc 1 -phisteps 5"), plain);
  EXPECT_CLOSE_WITHIN(1e-9, water("-oversample 1 -fluence 1.25932015286227e26"), plain / 1000);
}

// ---- Edges ----------------------------------------------------------------------------------

TEST(PixelSum, ResolutionLimitsSkipStepsAndKeepTheBeam) {
  // At pixel (45, 50) the one step has d = 1/|q|
  const auto watched = pixel_of(cube + "-oversample 1", 45, 50);
  const double d_A = 1e10 / length(watched.last().q);
  const auto steps = [&](double dmin_A, int fast, int slow, const std::string& flags = "") {
    Experiment e = test::experiment_of(cube + "-oversample 1 " + flags);
    e.sampling.dmin_A = dmin_A;
    return pixel_of(e, fast, slow);
  };
  EXPECT_EQ(steps(d_A * 1.0001, 45, 50).steps.size(), 0U);
  EXPECT_EQ(steps(d_A * 0.9999, 45, 50).steps.size(), 1U);
  // The direct beam, which has no resolution, passes every limit.
  EXPECT_EQ(steps(1e9, 32, 32, "-Xbeam 3.2 -Ybeam 3.2").steps.size(), 1U);

  // With nothing left the polarization is never known: black, water or not (unless asked to
  // multiply the sum itself).
  EXPECT_EQ(steps(1e9, 45, 50).pixel.photons, 0);
  EXPECT_EQ(steps(1e9, 45, 50, "-water 10").pixel.photons, 0);
  EXPECT_GT(steps(1e9, 45, 50, "-water 10 -nopolar").pixel.photons, 0);
  const auto kept = steps(1e9, 45, 50, "-water 10 -oversample_polar");
  EXPECT_CLOSE(kept.pixel.photons,
               kept.plan.scale * kept.plan.background.starting_sum * kept.pixel.solid_angle);
}

TEST(PixelSum, TermsWithoutALatticeFactorCountOnlyWithWater) {
  // A top hat is exactly zero between spots
  const std::string flags = cube + "-tophat_spots -oversample 1 ";
  EXPECT_EQ(pixel_of(flags, 38, 38).steps.size(), 0U);
  EXPECT_EQ(pixel_of(flags, 38, 38).pixel.photons, 0);
  EXPECT_EQ(pixel_of(flags + "-water 10", 38, 38).steps.size(), 1U);
}

// ---- Precision ------------------------------------------------------------------------------

TEST(PixelSum, IndicesNearTheBeamLoseNoDigits) {
  // The largest crystal and shortest wave of interest: a phase is pi N h, so h needs 1e-12.  The
  // same chain in long double is the oracle.
  const Experiment e = test::experiment_of(
      "-cell 300 -default_F 1 -N 1000 -lambda 0.5 -oversample 1 -detpixels 1024 -distance 200 "
      "-misset 10 20 30");
  const Plan plan = make_plan(e, resolve(e));
  for (const auto& [fast, slow] : {std::pair{512, 512}, {513, 513}, {600, 480}, {0, 0}}) {
    const auto watched = pixel_of(e, fast, slow);
    ASSERT_EQ(watched.steps.size(), 1U);
    using Wide = Vec3<long double>;
    const auto wide = [](const Vec3d& v) { return Wide{v.x, v.y, v.z}; };
    const PlanFrame& f = plan.panels[0].frame;
    const long double pixel = f.pixel;
    const Wide position = (fast + 0.5L) * pixel * wide(f.fast) +
                          (slow + 0.5L) * pixel * wide(f.slow) + wide(f.origin);
    const Wide q = (unit(position) - wide(plan.light.rays[0].incident)) /
                   (1.0L / static_cast<long double>(plan.light.rays[0].wavenumber));
    const Mat3d& axes = plan.lattice.orientations[0];
    const Wide h{dot(wide(axes.a), q), dot(wide(axes.b), q), dot(wide(axes.c), q)};
    const Vec3d got = watched.last().hkl;
    EXPECT_LT(std::abs(static_cast<double>(got.x - h.x)), 1e-12);
    EXPECT_LT(std::abs(static_cast<double>(got.y - h.y)), 1e-12);
    EXPECT_LT(std::abs(static_cast<double>(got.z - h.z)), 1e-12);
  }
}

TEST(PixelSum, AMillionStepsHaveTheSameBitsWithAnyNumberOfThreads) {
  const Experiment e = test::experiment_of(cube + "-oversample 1000 -roi 30 30 29 31");
  const Simulation one = image_of(e, 1), many = image_of(e, 16);
  EXPECT_EQ(one.image.pixels, many.image.pixels);
  EXPECT_EQ(one.statistics.solid_angle_sr, many.statistics.solid_angle_sr);
  EXPECT_GT(one.statistics.max, 0);
}

TEST(PixelSum, AViewOfAPlanHasTheSameBits) {
  const Experiment e = test::experiment_with_table(
      "-cell 60 70 80 80 95 105 -N 2 -detpixels 64 -oversample 2 -mosaic 1 -mosaic_domains 3 "
      "-hdivrange 2 -hdivsteps 2 -detector_thick 300 -detector_abs 400 -thicksteps 2");
  const Plan plan = make_plan(e, resolve(e));
  ASSERT_EQ(plan.light.rays.size(), 2U);
  ASSERT_EQ(plan.panels[0].sensor.layers, 2);
  const PlanView view(plan, 0);
  const engine::GridView grid(plan.lattice.grid.get());
  const auto photons = [&]<bool Tricubic>(const auto& walked, const PanelNumbers& panel,
                                          double fast, double slow) {
    return engine::sum_pixels<physics::Square, Tricubic>(walked, panel, grid, fast, slow,
                                                         engine::all_steps, engine::NoVisitor{})
        .photons;
  };
  for (const auto& [fast, slow] : {std::pair{20.0, 40.0}, {33.0, 31.0}, {63.0, 0.0}}) {
    EXPECT_EQ(photons.operator()<false>(view, view.panel, fast, slow),
              photons.operator()<false>(plan, plan.panels[0], fast, slow));
    EXPECT_EQ(photons.operator()<true>(view, view.panel, fast, slow),
              photons.operator()<true>(plan, plan.panels[0], fast, slow));
    EXPECT_GT(photons.operator()<false>(view, view.panel, fast, slow), 0);
  }
}

}  // namespace
}  // namespace nablabragg
