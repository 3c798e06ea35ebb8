// The cuda engine from outside: what it is asked for, how it cuts and keeps its work, what it says
// where there is no GPU.  ctest runs these on the host stand-in (on_cpu/cuda_runtime.h), ./dev gpu
// on a card.  That its numbers are right, tests/property and tests/golden say, which run on it,
// too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/cuda/open_device.hpp"
#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "support/cuda.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

using testing::HasSubstr;

const std::string triclinic =
    "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 5 -lambda 1 -distance 100 "
    "-detpixels_f 37 -detpixels_s 21 -pixel 1 -oversample 2 ";

Plan plan_of(const Experiment& e) { return make_plan(e, resolve(e)); }

std::vector<float> image_on(const Experiment& e, const ComputeOptions& options) {
  return simulate(e, options).image.pixels;
}

// ---- What is asked for --------------------------------------------------------------------------

TEST(CudaEngine, IsNamedAsAnEngineAndByTheNumberOfTheGpu) {
  ComputeOptions options;
  EXPECT_TRUE(choose_engine("cuda", options));
  EXPECT_EQ(options.engine, Engine::cuda);
  EXPECT_EQ(options.device, 0);
  EXPECT_TRUE(choose_engine("cuda:3", options));
  EXPECT_EQ(options.device, 3);
  EXPECT_TRUE(choose_engine("auto", options));
  EXPECT_EQ(options.engine, Engine::automatic);
  for (const char* wrong : {"cuda:", "cuda:x", "cuda:-1", "cuda:01", "cpu:0", "gpu", ""})
    EXPECT_FALSE(choose_engine(wrong, options)) << wrong;
}

TEST(CudaEngine, AGpuThatIsNotThereIsSaidInOneSentence) {
  const Experiment e = experiment_with_table(triclinic);
  EXPECT_THAT(why_not(e, cuda_engine(Precision::float32, "cuda:99")),
              HasSubstr("there is no GPU cuda:99; this machine has "));
  if (!is_stand_in()) GTEST_SKIP() << "this machine has a GPU";
  const StandIn none("NABLABRAGG_ON_CPU_DEVICES", "0");
  EXPECT_EQ(message_of<UsageError>([&] { simulate(e, cuda_engine()); }),
            "no GPU that CUDA knows is at hand (no CUDA-capable device is detected); -device cpu "
            "does without one");
}

TEST(CudaEngine, WhatItDoesNotDoItSays) {
  const Experiment polarized_once = experiment_with_table(
      triclinic + "-compat -dmin 2.5 -hdivrange 3 -hdivsteps 5 ");
  EXPECT_THAT(message_of<UsageError>([&] {
                value_and_gradient(polarized_once, std::vector<double>(777, 1.0), cuda_engine());
              }),
              testing::AllOf(HasSubstr("-dmin"), HasSubstr("-device cpu")));
}

TEST(CudaEngine, AutoTakesTheCpuForWhatIsSmall) {
  const Experiment small = experiment_with_table(triclinic);
  EXPECT_EQ(simulate(small, cuda_engine(Precision::float32, "auto")).engine.device, "");
}

// ---- What it does -------------------------------------------------------------------------------

TEST(CudaEngine, SaysWhichKernelItTookAndWhy) {
  const auto used = [](const std::string& flags, Precision precision = Precision::float32) {
    return simulate(experiment_with_table(triclinic + flags), cuda_engine(precision)).engine;
  };
  EXPECT_THAT(used("").kernel, HasSubstr("square, nearest F, phases in fixed point"));
  EXPECT_THAT(used("-N 300").reason, HasSubstr("so many cells"));
  EXPECT_THAT(used("-tophat_spots").reason, HasSubstr("sharp edge"));
  EXPECT_THAT(used("-interpolate").reason, HasSubstr("interpolation"));
  EXPECT_THAT(used("-curved_det").kernel, HasSubstr("double precision, step by step"));
  EXPECT_EQ(used("", Precision::float64).reason, "-dtype float64");
  const EngineUsed any = used("");
  EXPECT_EQ(any.steps, 37 * 21 * 4);
  EXPECT_EQ(any.device, first_device()->device->name());
  EXPECT_EQ(any.instruction_set, "");
}

TEST(CudaEngine, TellsHowLongItsKernelsTook) {
  const Simulation got = simulate(experiment_with_table(triclinic + "-mosaic 0.4"), cuda_engine());
  EXPECT_GT(got.engine.device_seconds, 0);
  EXPECT_LE(got.engine.device_seconds, got.seconds);
}

/// Rows and columns that are no multiple of a patch, a region, a mask, several panels.
TEST(CudaEngine, HasEveryPixelThatIsWantedAndNoOther) {
  for (const auto& [fast, slow] : {std::pair{37, 21}, {1, 1}, {16, 32}, {3, 50}, {33, 4}}) {
    Experiment e = experiment_with_table(triclinic);
    e.detector.fast_pixels = fast;
    e.detector.slow_pixels = slow;
    if (fast == 37) e.sampling.roi = RegionOfInterest{3, 33, 2, 18};
    if (fast == 3 || fast == 37) {
      Mask mask{fast, slow, std::vector<std::uint8_t>(static_cast<std::size_t>(fast * slow), 1)};
      for (std::size_t i = 0; i < mask.keep.size(); i += 7) mask.keep[i] = 0;
      e.sampling.mask = std::make_shared<const Mask>(std::move(mask));
    }
    for (const Precision precision : {Precision::float32, Precision::float64}) {
      const Simulation reference = image_of(e), got = simulate(e, cuda_engine(precision));
      EXPECT_EQ(agreement(got.image.pixels, reference.image.pixels).broken_bounds(), "")
          << fast << " x " << slow;
      for (std::size_t i = 0; i < got.image.pixels.size(); ++i)
        EXPECT_EQ(got.image.pixels[i] == 0, reference.image.pixels[i] == 0) << i;
      EXPECT_NEAR(got.statistics.solid_angle_sr / reference.statistics.solid_angle_sr, 1, 1e-6);
      EXPECT_EQ(got.statistics.pixels, reference.statistics.pixels);
    }
  }
}

/// As many rays and orientations as are cut into parts, with all that may differ between them.
const std::string
    many_pairs = triclinic +
                 "-mosaic 0.4 -mosaic_domains 12 -hdivrange 3 -hdivsteps 5 -dispersion 1 "
                 "-dispsteps 7 -detector_thick 450 -detector_abs 234 "
                 "-detector_thicksteps 2 ";

TEST(CudaEngine, SumsOfManyPairsInPartsAreTheReferences) {
  for (const char* flags : {"", "-water 100 ", "-dmin 2.2 ", "-compat -oversample 2 -water 50 "}) {
    const Experiment e = experiment_with_table(many_pairs + flags);
    const Image reference = image_of(e, 2).image;
    for (const Precision precision : {Precision::float32, Precision::float64})
      EXPECT_EQ(agreement(image_on(e, cuda_engine(precision)), reference.pixels).broken_bounds(),
                "")
          << flags;
  }
}

/// Many wavelengths of two directions, and Gaussian spots so small that a band of them passes one
/// lattice point at most.
const std::string pink_gauss = triclinic +
                               "-gauss_xtal -dispersion 3 -dispsteps 60 -hdivrange 3 -hdivsteps 2 "
                               "-mosaic 0.4 -mosaic_domains 5 ";

TEST(CudaEngine, TakesBandsOfWavelengthsOfSmallGaussianSpots) {
  // In fixed point, near its most cells along an edge, and beyond those
  for (const char* cells : {"-N 40 ", "-Na 250 -Nb 30 -Nc 40 ", "-Na 40 -Nb 900 -Nc 30 "})
    for (const char* flags : {"", "-water 0.1 ", "-default_F 3 ", "-nopolar ",
                              "-detector_thick 450 -detector_abs 234 -detector_thicksteps 2 "}) {
      const Experiment e = experiment_with_table(pink_gauss + cells + flags);
      const Simulation got = simulate(e, cuda_engine());
      EXPECT_THAT(got.engine.kernel, HasSubstr("gauss, nearest F, bands of wavelengths, phases in"))
          << cells << flags;
      EXPECT_GT(got.statistics.max, 1) << cells << flags;
      const Agreement found = agreement(got.image.pixels, image_of(e, 2).image.pixels);
      EXPECT_EQ(found.broken_bounds(), "") << cells << flags;
      EXPECT_LE(found.over_max, 1e-6) << cells << flags;
      EXPECT_THAT(simulate(e, cuda_engine(Precision::float64)).engine.kernel,
                  testing::Not(HasSubstr("bands")));
    }
  const EngineUsed
      one_F = simulate(experiment_of(pink_gauss + "-N 40 -default_F 3 "), cuda_engine()).engine;
  EXPECT_THAT(one_F.kernel, HasSubstr("gauss, one F, bands of wavelengths, phases in fixed point"));
  EXPECT_EQ(one_F.steps, std::int64_t{37} * 21 * 4 * 120 * 5);  // rays, each for itself
}

TEST(CudaEngine, WeighsEachRayOfABand) {
  const Experiment e = experiment_with_table(pink_gauss + "-N 40 ");
  Plan plan = plan_of(e);
  double weight = 0.1;
  for (PlanRay& ray : plan.light.rays) ray.weight = weight += 0.01;
  const auto image = [&](const ComputeOptions& options) {
    std::vector<float> values(plan.pixels());
    engine::load(plan, options)->render({}, std::span(values));
    return values;
  };
  EXPECT_EQ(agreement(image(cuda_engine()), image(reference_engine())).broken_bounds(), "");
}

TEST(CudaEngine, SumsThousandsOfWavelengthsOfABandAsTheReferenceDoes) {
  const Experiment e = experiment_of(
      "-corrected -cell 30 40 50 90 90 90 -misset 10 20 30 -N 20 -lambda 1 -distance 60 "
      "-detpixels 24 -pixel 3 -gauss_xtal -dispersion 1 -dispsteps 4000 -default_F 10 "
      "-mosaic 2 -mosaic_domains 5 -oversample 1");
  const Simulation got = simulate(e, cuda_engine());
  EXPECT_THAT(got.engine.kernel, HasSubstr("bands of wavelengths"));
  EXPECT_GT(got.statistics.max, 1);
  const Agreement found = agreement(got.image.pixels, image_of(e, 2).image.pixels);
  EXPECT_EQ(found.broken_bounds(), "");
  EXPECT_LE(found.over_max, 1e-6);
}

void expect_the_same_bits_in_any_order_of_threads(const std::string& line) {
  const Experiment e = experiment_with_table(line);
  for (const Precision precision : {Precision::float32, Precision::float64}) {
    const Simulation in_order = simulate(e, cuda_engine(precision));
    for (const char* order : {"7", "12345", "99"}) {
      const StandIn shuffled("NABLABRAGG_ON_CPU_ORDER", order);
      const Simulation got = simulate(e, cuda_engine(precision));
      EXPECT_EQ(got.image.pixels, in_order.image.pixels) << line << order;
      EXPECT_EQ(got.statistics.solid_angle_sr, in_order.statistics.solid_angle_sr);
    }
  }
}

TEST(CudaEngine, GivesTheSameBitsInWhateverOrderThreadsRun) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's threads can be told when to run";
  for (const std::string& line :
       {many_pairs, many_pairs + "-water 100 ", triclinic + "-interpolate ", pink_gauss + "-N 40 "})
    expect_the_same_bits_in_any_order_of_threads(line);
}

TEST(CudaEngine, GivesTheSameBitsFromRunToRun) {
  for (const std::string& line : {many_pairs, pink_gauss + "-N 40 "}) {
    const Experiment e = experiment_with_table(line);
    const auto first = image_on(e, cuda_engine());
    for (int i = 0; i < 3; ++i) EXPECT_EQ(image_on(e, cuda_engine()), first);
  }
}

TEST(CudaEngine, AnotherLightOrLatticeGivesTheBitsOfAPlanLoadedAnew) {
  const auto image_of_loaded = [](engine::Loaded& loaded) {
    std::vector<float> values(loaded.plan().pixels());
    loaded.render({}, std::span(values));
    return values;
  };
  const Experiment e = experiment_with_table(triclinic);
  const auto loaded = engine::load(plan_of(e), cuda_engine());
  const auto before = image_of_loaded(*loaded);

  const Plan pink = plan_of(experiment_with_table(triclinic + "-dispersion 1 -dispsteps 30"));
  loaded->set_light(pink);
  const auto under_pink_light = image_of_loaded(*loaded);
  EXPECT_EQ(under_pink_light, image_of_loaded(*engine::load(pink, cuda_engine())));
  EXPECT_NE(under_pink_light, before);

  Experiment turned = e, brighter = e;
  turned.crystal.misset_deg = {1, 2, 3};
  auto scaled = std::make_shared<StructureFactorGrid>(*e.structure_factors.grid);
  for (double& F : scaled->values()) F *= 3;
  brighter.structure_factors.grid = scaled;
  const auto again = engine::load(plan_of(e), cuda_engine());
  image_of_loaded(*again);
  for (const Experiment& next : {turned, brighter}) {
    const Plan after = plan_of(next);
    again->set_lattice(after);
    const auto got = image_of_loaded(*again);
    EXPECT_EQ(got, image_of_loaded(*engine::load(after, cuda_engine())));
    EXPECT_NE(got, before);
  }
}

// ---- Sums in closed form ------------------------------------------------------------------------

/// Slices of phi, layers, spots that are arcs of several pixels, and sub-pixels, beside the beam.
const std::string in_closed_form =
    "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 12 -gauss_xtal -lambda 1 "
    "-distance 100 -detpixels_f 37 -detpixels_s 21 -pixel 0.3 -Xbeam 12 -Ybeam 3 -mosaic 0.6 "
    "-mosaic_model gaussian "
    "-dispersion 1 -spectrum_model gaussian -divergence 1 -beam_model gaussian -osc 0.7 "
    "-detector_thick 450 -detector_abs 234 -detector_thicksteps 2 ";

/// Of all panels.
std::vector<float> image_of_plan(const Plan& plan, const ComputeOptions& options) {
  std::vector<float> values(plan.pixels());
  engine::load(plan, options)->render({}, std::span(values));
  return values;
}

TEST(CudaClosedForm, IsThatOfTheCpuEngine) {
  for (const char* flags :
       {"", "-mosaic 0 ", "-mosaic 3 -N 40 ", "-dispersion 0 ", "-osc 0 ", "-divergence 0 ",
        "-osc 0 -mosaic 0 -divergence 0 ", "-osc 0 -mosaic 0 -divergence 0 -dispersion 0 ",
        "-oversample 1 ", "-oversample 3 ", "-curved_det ", "-water 50 ", "-nopolar ", "-dmin 2.5 ",
        "-detector_thicksteps 1 ", "-air -5 50 ", "-curved_det -water 50 "}) {
    const Experiment e = experiment_with_table(in_closed_form + flags);
    ComputeOptions double_precision = cpu_engine(Precision::float64);
    const Simulation expected = simulate(e, double_precision);
    ASSERT_GT(expected.statistics.max, 1) << flags;
    for (const Precision precision : {Precision::float32, Precision::float64}) {
      const Simulation got = simulate(e, cuda_engine(precision));
      const Agreement found = agreement(got.image.pixels, expected.image.pixels);
      EXPECT_EQ(found.broken_bounds(), "") << flags;
      EXPECT_LE(found.over_max, precision == Precision::float64 ? 1e-7 : 3e-6) << flags;
      EXPECT_EQ(got.statistics.pixels, expected.statistics.pixels);
    }
  }
}

TEST(CudaClosedForm, SeesTheSolidAngleOfEachPixel) {
  const Experiment step_by_step = experiment_with_table(
      "-corrected -cell 70 80 90 85 95 105 -N 12 -lambda 1 -distance 100 -detpixels_f 37 "
      "-detpixels_s 21 -pixel 0.3 -Xbeam 12 -Ybeam 3 -oversample 1 -detector_thick 450 "
      "-detector_abs 234 "
      "-detector_thicksteps 2 ");
  const Simulation got = simulate(experiment_with_table(in_closed_form + "-oversample 1 "),
                                  cuda_engine());
  EXPECT_NEAR(got.statistics.solid_angle_sr / image_of(step_by_step).statistics.solid_angle_sr, 1,
              1e-6);
}

TEST(CudaClosedForm, SaysHowItWasComputed) {
  const auto used = [](const std::string& flags, Precision precision = Precision::float32) {
    return simulate(experiment_with_table(in_closed_form + flags), cuda_engine(precision)).engine;
  };
  const EngineUsed all = used("");
  EXPECT_THAT(all.kernel, HasSubstr("closed form, second order, spectrum, slices of phi, single "
                                    "precision: "));
  EXPECT_EQ(all.reason, "all distributions are Gaussian");
  EXPECT_EQ(all.steps, 37 * 21);
  EXPECT_EQ(all.device, first_device()->device->name());
  EXPECT_GT(all.device_seconds, 0);
  EXPECT_THAT(used("", Precision::float64).kernel, HasSubstr("double precision: "));
  EXPECT_THAT(used("-curved_det ").kernel, HasSubstr("double precision: "));
  EXPECT_THAT(used("-curved_det ").reason, HasSubstr("curved"));
}

/// A region, a mask, and a second panel beside the first.
TEST(CudaClosedForm, HasEveryPixelThatIsWantedOnEveryPanelAndNoOther) {
  Experiment e = experiment_with_table(in_closed_form);
  FurtherPanel second{e.detector, {}, {}};
  second.detector.beam_x_mm = 2.0;
  second.detector.rotation_deg = {1, 2, 3};
  e.more_panels.push_back(second);
  e.sampling.roi = RegionOfInterest{3, 33, 2, 18};
  Mask mask{37, 21, std::vector<std::uint8_t>(std::size_t{37} * 21, 1)};
  for (std::size_t i = 0; i < mask.keep.size(); i += 7) mask.keep[i] = 0;
  e.more_panels[0].mask = std::make_shared<const Mask>(std::move(mask));
  const Plan plan = plan_of(e);
  const auto expected = image_of_plan(plan, cpu_engine(Precision::float32)),
             got = image_of_plan(plan, cuda_engine());
  EXPECT_EQ(agreement(got, expected).broken_bounds(), "");
  for (const PlanPanel& panel : plan.panels)
    for (int slow = 0; slow < 21; ++slow)
      for (int fast = 0; fast < 37; ++fast)
        if (!panel.wants(fast, slow)) {
          EXPECT_EQ(got[panel.first_pixel + panel.offset_of(fast, slow)], 0);
        }
}

TEST(CudaClosedForm, ListedPixelsHaveTheBitsOfTheImage) {
  const Experiment e = experiment_with_table(in_closed_form + "-water 20 ");
  const auto whole = image_on(e, cuda_engine());
  std::vector<PixelIndex> list;
  for (int i = 0; i < 37 * 21; i += 5) list.push_back({(i * 7) % 37, (i * 11) % 21});
  const auto some = simulate_pixels(e, list, cuda_engine());
  for (std::size_t i = 0; i < list.size(); ++i)
    EXPECT_EQ(some[i], whole[static_cast<std::size_t>(list[i].slow * 37 + list[i].fast)]) << i;
}

TEST(CudaClosedForm, GivesTheSameBitsInWhateverOrderThreadsRun) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's threads can be told when to run";
  for (const char* flags : {"", "-water 20 ", "-curved_det "})
    expect_the_same_bits_in_any_order_of_threads(in_closed_form + flags);
}

TEST(CudaClosedForm, AnotherLightOrLatticeGivesTheBitsOfAPlanLoadedAnew) {
  const Experiment e = experiment_with_table(in_closed_form + "-water 20 ");
  const auto loaded = engine::load(plan_of(e), cuda_engine());
  const auto image_now = [&] {
    std::vector<float> values(loaded->plan().pixels());
    loaded->render({}, std::span(values));
    return values;
  };
  const auto before = image_now();
  Experiment turned = e, brighter = e;
  turned.scan.phi_deg = 10;
  const Plan after = plan_of(turned);
  loaded->set_lattice(after);
  EXPECT_EQ(image_now(), image_of_plan(after, cuda_engine()));
  EXPECT_NE(image_now(), before);
  loaded->set_lattice(plan_of(e));
  EXPECT_EQ(image_now(), before);
  brighter.beam.fluence_per_m2 *= 2;
  const Plan bright = plan_of(brighter);
  loaded->set_light(bright);
  EXPECT_EQ(image_now(), image_of_plan(bright, cuda_engine()));
  EXPECT_NE(image_now(), before);
}

TEST(CudaClosedForm, CutsAnImageThatDoesNotFitAndKeepsItsBits) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's memory can be made small";
  for (const char* flags : {"", "-roi 2 30 3 18 ", "-water 20 "}) {
    const Experiment e = experiment_with_table(in_closed_form + flags);
    const auto whole = image_on(e, cuda_engine());
    const std::size_t free = first_device()->device->free_bytes();
    const auto loaded = engine::load(plan_of(e), cuda_engine());
    std::vector<float> values(loaded->plan().pixels());
    loaded->render({}, std::span(values));
    const std::size_t spots = free - first_device()->device->free_bytes();
    // Room for the spots and some rows
    for (const std::size_t rows : {20, 4}) {
      const StandIn small("NABLABRAGG_ON_CPU_MEMORY", std::to_string(spots + rows * 37 * 30));
      std::fill(values.begin(), values.end(), 0.0f);
      loaded->render({}, std::span(values));
      EXPECT_EQ(values, whole) << flags << rows;
    }
  }
}

TEST(CudaClosedForm, LeavesNoMemoryBehind) {
  const Experiment e = experiment_with_table(in_closed_form);
  image_on(e, cuda_engine());  // kernels in use take some, once
  const std::size_t free = first_device()->device->free_bytes();
  for (int i = 0; i < 5; ++i) image_on(e, cuda_engine());
  EXPECT_EQ(first_device()->device->free_bytes(), free);
}

TEST(CudaClosedForm, StopsWhenProgressSaysSo) {
  ComputeOptions options = cuda_engine();
  options.progress = [](double) { return false; };
  EXPECT_THROW(simulate(experiment_with_table(in_closed_form), options), Cancelled);
}

// ---- Gradients ----------------------------------------------------------------------------------

/// All numbers of a gradient, bit by bit.
void expect_same_gradient(const ValueAndGradient& a, const ValueAndGradient& b) {
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.gradient.parameters, b.gradient.parameters);
  EXPECT_EQ(a.gradient.structure_factors->values(), b.gradient.structure_factors->values());
}

std::vector<double> some_weights(std::size_t count) {
  std::vector<double> weights(count);
  for (std::size_t i = 0; i < count; ++i) weights[i] = std::sin(double(i));
  return weights;
}

const std::string several_tiles = triclinic +
                                  "-mosaic 0.4 -mosaic_domains 9 -hdivrange 3 -hdivsteps 5 "
                                  "-detector_thick 450 -detector_abs 234 -detector_thicksteps 2 ";

TEST(CudaGradients, HaveTheSameBitsInWhateverOrderThreadsRun) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's threads can be told when to run";
  for (const char* flags : {"", "-interpolate -mosaic_domains 1 "})
    for (const Precision precision : {Precision::float32, Precision::float64}) {
      const Experiment e = experiment_with_table(several_tiles + flags);
      const auto weights = some_weights(777);
      const auto in_order = value_and_gradient(e, weights, cuda_engine(precision));
      for (const char* order : {"7", "12345", "99"}) {
        const StandIn shuffled("NABLABRAGG_ON_CPU_ORDER", order);
        expect_same_gradient(value_and_gradient(e, weights, cuda_engine(precision)), in_order);
      }
    }
}

/// Each within a share of the largest of its parameter, of the table's F of the largest of these.
void expect_near_gradient(const ValueAndGradient& got, const ValueAndGradient& expected,
                          double of_parameters, double of_table, const std::string& where) {
  EXPECT_NEAR(got.value / expected.value, 1, of_parameters) << where;
  for (const auto& [name, slopes] : expected.gradient.parameters) {
    double scale = 0;
    for (const double slope : slopes) scale = std::max(scale, std::abs(slope));
    for (std::size_t i = 0; i < slopes.size(); ++i)
      EXPECT_NEAR(got.gradient.parameters.at(name)[i], slopes[i], of_parameters * scale)
          << name << where;
  }
  const auto &table = got.gradient.structure_factors->values(),
             &expected_table = expected.gradient.structure_factors->values();
  double largest = 0;
  for (const double slope : expected_table) largest = std::max(largest, std::abs(slope));
  ASSERT_GT(largest, 0) << where;
  for (std::size_t i = 0; i < table.size(); ++i)
    EXPECT_NEAR(table[i], expected_table[i], of_table * largest) << where;
}

TEST(CudaGradients, AreThoseOfTheCpuEngineForEveryRuleOfFactors) {
  for (const char* flags : {"", "-compat ", "-water 100 -detector_thicksteps 1 ", "-dmin 2.2 ",
                            "-gauss_xtal ", "-curved_det ", "-roi 3 30 2 18 "}) {
    const Experiment e = experiment_with_table(several_tiles + flags);
    const auto weights = some_weights(777);
    expect_near_gradient(value_and_gradient(e, weights, cuda_engine(Precision::float64)),
                         value_and_gradient(e, weights, cpu_engine(Precision::float64)), 1e-9,
                         1e-11, flags);
  }
}

TEST(CudaGradients, LeaveNoMemoryBehind) {
  const Experiment e = experiment_with_table(triclinic);
  const auto weights = some_weights(777);
  value_and_gradient(e, weights, cuda_engine());
  const std::size_t free = first_device()->device->free_bytes();
  for (int i = 0; i < 10; ++i) value_and_gradient(e, weights, cuda_engine());
  EXPECT_EQ(first_device()->device->free_bytes(), free);
}

// ---- Gradients in closed form -------------------------------------------------------------------

/// Of either sign, but so that no derivative is what is left of larger ones.
std::vector<double> uneven_weights(std::size_t count) {
  std::vector<double> weights(count);
  for (std::size_t i = 0; i < count; ++i) weights[i] = 0.3 + std::sin(0.37 * double(i));
  return weights;
}

/// What lies beyond -skip_below the engines leave out in other places.
constexpr double of_dark = 1e-7;

TEST(CudaClosedFormGradients, AreThoseOfTheCpuEngine) {
  const auto weights = uneven_weights(777);
  for (const char* flags :
       {"", "-mosaic 0 ", "-dispersion 0 ", "-osc 0 ", "-divergence 0 ",
        "-osc 0 -mosaic 0 -divergence 0 ", "-osc 0 -mosaic 0 -divergence 0 -dispersion 0 ",
        "-osc 0.02 ", "-mosaic 3 -N 40 -osc 0 ", "-oversample 2 ", "-curved_det ",
        "-curved_det -osc 0 -dispersion 0 ", "-water 50 -nopolar ", "-dmin 2.5 ", "-air -5 50 ",
        "-roi 3 30 2 18 "}) {
    const Experiment e = experiment_with_table(in_closed_form + flags);
    const auto expected = value_and_gradient(e, weights, cpu_engine(Precision::float64));
    expect_near_gradient(value_and_gradient(e, weights, cuda_engine(Precision::float64)), expected,
                         of_dark, of_dark, flags);
    expect_near_gradient(value_and_gradient(e, weights, cuda_engine()), expected, 1e-3, 1e-5,
                         std::string(flags) + "single");
  }
}

/// Names of all parameters.
std::vector<std::string> names_of(const Experiment& e) {
  std::vector<std::string> names;
  for (const Parameter& p : parameters(e)) names.push_back(p.name);
  return names;
}

TEST(CudaClosedFormGradients, ForwardsAreThoseOfTheCpuEngineInEachPixel) {
  for (const char* flags : {"", "-osc 0 -divergence 0 -dispersion 0 -water 20 ", "-curved_det "}) {
    const Experiment e = experiment_with_table(in_closed_form + flags);
    const auto pixels = visited_pixels(e);
    const auto names = names_of(e);
    const Jacobian expected = jacobian(e, names, pixels, cpu_engine(Precision::float64));
    for (const Precision precision : {Precision::float64, Precision::float32}) {
      const Jacobian got = jacobian(e, names, pixels, cuda_engine(precision));
      const bool wide = precision == Precision::float64;
      const std::size_t columns = expected.columns.size();
      ASSERT_EQ(got.columns, expected.columns);
      double brightest = 0;
      for (const double light : expected.photons) brightest = std::max(brightest, light);
      for (std::size_t i = 0; i < pixels.size(); ++i)
        EXPECT_NEAR(got.photons[i], expected.photons[i], (wide ? of_dark : 3e-6) * brightest);
      for (std::size_t k = 0; k < columns; ++k) {
        double largest = 0;
        for (std::size_t i = 0; i < pixels.size(); ++i)
          largest = std::max(largest, std::abs(expected.slopes[i * columns + k]));
        for (std::size_t i = 0; i < pixels.size(); ++i)
          EXPECT_NEAR(got.slopes[i * columns + k], expected.slopes[i * columns + k],
                      (wide ? of_dark : 1e-3) * largest)
              << expected.columns[k] << flags << i;
      }
    }
  }
}

/// Two panels, the second turned and with a mask, and two crystals.
Experiment two_panels_and_crystals() {
  Experiment e = experiment_with_table(in_closed_form + "-water 20 ");
  FurtherPanel second{e.detector, {}, {}};
  second.detector.beam_x_mm = 2.0;
  second.detector.rotation_deg = {1, 2, 3};
  Mask mask{37, 21, std::vector<std::uint8_t>(std::size_t{37} * 21, 1)};
  for (std::size_t i = 0; i < mask.keep.size(); i += 7) mask.keep[i] = 0;
  second.mask = std::make_shared<const Mask>(std::move(mask));
  e.more_panels.push_back(second);
  FurtherCrystal& other = e.more_crystals.emplace_back();
  other.misset_deg = {40, -20, 80};
  other.weight = 0.7;
  return e;
}

TEST(CudaClosedFormGradients, OfPanelsMasksAndCrystalsAreThoseOfTheCpuEngine) {
  const Experiment e = two_panels_and_crystals();
  const auto weights = uneven_weights(2 * 777);
  expect_near_gradient(value_and_gradient(e, weights, cuda_engine(Precision::float64)),
                       value_and_gradient(e, weights, cpu_engine(Precision::float64)), of_dark,
                       of_dark, "");
}

TEST(CudaClosedFormGradients, OfListedPixelsCountAPixelThatIsNamedTwiceTwice) {
  const Experiment e = two_panels_and_crystals();
  std::vector<PixelIndex> list;
  for (int i = 0; i < 150; ++i) list.push_back({(i * 7) % 37, (i * 11) % 21, i % 2});
  list.push_back(list[3]);
  const auto weights = uneven_weights(list.size());
  for (const Precision precision : {Precision::float64, Precision::float32}) {
    const bool wide = precision == Precision::float64;
    expect_near_gradient(value_and_gradient(e, list, weights, cuda_engine(precision)),
                         value_and_gradient(e, list, weights, cpu_engine(Precision::float64)),
                         wide ? of_dark : 1e-3, wide ? of_dark : 1e-5, "");
  }
}

TEST(CudaClosedFormGradients, AreTheSameInBothDirections) {
  const Experiment e = two_panels_and_crystals();
  std::vector<PixelIndex> list = visited_pixels(e);
  list.resize(1000);  // not of all of the second panel
  const auto weights = uneven_weights(list.size());
  const auto options = cuda_engine(Precision::float64);
  const auto pulled = value_and_gradient(e, list, weights, options);
  NamedValues direction;
  double along = 0, scale = 0;
  const auto add = [&](double change, double slope) {
    along += change * slope;
    scale += std::abs(change * slope);
  };
  for (const Parameter& p : parameters(e))
    for (std::size_t i = 0; i < p.values.size(); ++i) {
      direction[p.name].push_back(std::sin(double(i + p.name.size())) *
                                  (std::abs(p.values[i]) + 0.1));
      add(direction[p.name][i], pulled.gradient.parameters.at(p.name)[i]);
    }
  StructureFactorGrid table(*e.structure_factors.grid);
  for (std::size_t i = 0; i < table.values().size(); ++i) {
    table.values()[i] = std::sin(double(i));
    add(table.values()[i], pulled.gradient.structure_factors->values()[i]);
  }
  const auto pushed = jvp(e, direction, list, options, &table);
  double sum = 0;
  for (std::size_t i = 0; i < list.size(); ++i) sum += weights[i] * pushed[i];
  EXPECT_NEAR(sum, along, 1e-10 * scale);
}

TEST(CudaClosedFormGradients, HaveTheSameBitsInWhateverOrderThreadsRun) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's threads can be told when to run";
  const auto weights = uneven_weights(777);
  const std::vector<std::string> names{"misset", "distance"};
  for (const char* flags : {"-water 20 ", "-osc 0 -divergence 0 -dispersion 0 -curved_det "})
    for (const Precision precision : {Precision::float32, Precision::float64}) {
      const Experiment e = experiment_with_table(in_closed_form + flags);
      const auto pixels = visited_pixels(e);
      const auto options = cuda_engine(precision);
      const auto in_order = value_and_gradient(e, weights, options);
      const auto slopes = jacobian(e, names, pixels, options).slopes;
      for (const char* order : {"7", "12345", "99"}) {
        const StandIn shuffled("NABLABRAGG_ON_CPU_ORDER", order);
        expect_same_gradient(value_and_gradient(e, weights, options), in_order);
        EXPECT_EQ(jacobian(e, names, pixels, options).slopes, slopes);
      }
    }
}

TEST(CudaClosedFormGradients, LeaveNoMemoryBehind) {
  const Experiment e = experiment_with_table(in_closed_form + "-osc 0 ");
  const auto weights = uneven_weights(777);
  const std::vector<std::string> names{"misset"};
  const auto differentiate = [&] {
    value_and_gradient(e, weights, cuda_engine());
    jacobian(e, names, visited_pixels(e), cuda_engine());
  };
  differentiate();
  const std::size_t free = first_device()->device->free_bytes();
  for (int i = 0; i < 3; ++i) differentiate();
  EXPECT_EQ(first_device()->device->free_bytes(), free);
}

TEST(CudaClosedFormGradients, StopWhenProgressSaysSo) {
  const Experiment e = experiment_with_table(in_closed_form);
  ComputeOptions options = cuda_engine();
  options.progress = [](double) { return false; };
  EXPECT_THROW(value_and_gradient(e, uneven_weights(777), options), Cancelled);
  const std::vector<std::string> names{"misset"};
  EXPECT_THROW(jacobian(e, names, visited_pixels(e), options), Cancelled);
}

// ---- Memory -------------------------------------------------------------------------------------

TEST(CudaEngine, LeavesNoMemoryBehind) {
  const Experiment e = experiment_with_table(many_pairs + "-interpolate -roi 2 30 3 18 ");
  image_on(e, cuda_engine());  // kernels in use take some, once
  const std::size_t free = first_device()->device->free_bytes();
  for (int i = 0; i < 10; ++i) image_on(e, cuda_engine());
  EXPECT_EQ(first_device()->device->free_bytes(), free);
}

TEST(CudaEngine, CutsAnImageThatDoesNotFitAndKeepsItsBits) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's memory can be made small";
  for (const char* flags : {"", "-roi 2 30 3 18 ", "-water 100 "}) {
    const Experiment e = experiment_with_table(many_pairs + flags);
    const auto whole = image_on(e, cuda_engine());
    // Room for the table, the rays and some rows
    for (const char* bytes : {"400000", "200000", "140000"}) {
      const StandIn small("NABLABRAGG_ON_CPU_MEMORY", bytes);
      EXPECT_EQ(image_on(e, cuda_engine()), whole) << bytes;
    }
  }
}

TEST(CudaEngine, TooLittleMemoryIsAnErrorThatSaysWhatToDo) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's memory can be made small";
  const Experiment e = experiment_with_table(many_pairs);
  const StandIn tiny("NABLABRAGG_ON_CPU_MEMORY", "1000");
  EXPECT_THAT(message_of<DeviceError>([&] { simulate(e, cuda_engine()); }),
              testing::AllOf(HasSubstr("out of memory"), HasSubstr("-device cpu")));
}

// ---- Stopping -----------------------------------------------------------------------------------

TEST(CudaEngine, StopsWhenProgressSaysSo) {
  ComputeOptions options = cuda_engine();
  int asked = 0;
  options.progress = [&](double) { return ++asked < 1; };
  EXPECT_THROW(simulate(experiment_with_table(many_pairs), options), Cancelled);
  options.progress = [](double) -> bool { throw InputError("reactor", 0, "scrammed"); };
  EXPECT_THROW(simulate(experiment_with_table(many_pairs), options), InputError);
}

TEST(CudaEngine, TellsHowMuchWorkWasDone) {
  ComputeOptions options = cuda_engine();
  std::int64_t steps = 0;
  options.on_work = [&](const WorkSpan& span) { steps += span.steps; };
  const Simulation got = simulate(experiment_with_table(many_pairs), options);
  EXPECT_EQ(steps, got.engine.steps);
  EXPECT_EQ(steps, std::int64_t{37} * 21 * 4 * 2 * 12 * 5 * 7);
}

}  // namespace
}  // namespace nablabragg::test
