// Statistics and integer images of whole runs, as the C program nanoBragg (one thread) printed and
// wrote them.
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>  // for pair
#include <vector>

#include "io/smv_header.hpp"
#include "model/resolve.hpp"
#include "nablabragg/io.hpp"
#include "readout/integer_image.hpp"
#include "readout/noise.hpp"
#include "readout/statistics.hpp"
#include "support/engines.hpp"  // for ForcedTarget
#include "support/experiment.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

/// As %g prints
constexpr double six_digits = 5e-6;

struct Rendered {
  Experiment experiment;
  Simulation simulation;
  const Statistics& statistics() const { return simulation.statistics; }
  const Image& image() const { return simulation.image; }
};

Rendered rendered(const Experiment& experiment) { return {experiment, test::image_of(experiment)}; }

void expect_statistics(const Statistics& got, double max, double mean, double rms, double rmsd) {
  EXPECT_CLOSE_WITHIN(six_digits, got.max, max);
  EXPECT_CLOSE_WITHIN(six_digits, got.mean, mean);
  EXPECT_CLOSE_WITHIN(six_digits, got.rms, rms);
  EXPECT_CLOSE_WITHIN(six_digits, got.rmsd, rmsd);
}

struct Noise {
  std::vector<std::uint16_t> pixels;
  double photons = 0;
  std::int64_t overloads = 0;
};

/// The noise image over the region of interest, in raster order.
Noise noise_of(const Rendered& run, std::int64_t seed, double adc) {
  const Resolved& resolved = run.simulation.resolved;
  readout::NanobraggPoisson poisson(
      model::random_after_resolving(run.experiment, static_cast<int>(resolved.domains.size())),
      seed);
  Noise noise;
  const RegionOfInterest& roi = resolved.roi;
  for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow)
    for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast) {
      const double photons = poisson(run.image().at(fast, slow));
      noise.photons += photons;
      noise.overloads += readout::saturates(photons, adc) ? 1 : 0;
      noise.pixels.push_back(readout::to_count(photons, adc));
    }
  return noise;
}

/// The integer image over the region of interest, in raster order.
std::vector<std::uint16_t> integers_of(const Rendered& run, double adc) {
  const double scale = readout::integer_scale(0, run.statistics().max);
  std::vector<std::uint16_t> pixels;
  const RegionOfInterest& roi = run.simulation.resolved.roi;
  for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow)
    for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast)
      pixels.push_back(readout::to_integer(run.image().at(fast, slow), scale, adc));
  return pixels;
}

std::string cube(const std::string& flags) {
  return "-cell 100 100 100 90 90 90 -default_F 100 -N 5 -lambda 1 -distance 100 -pixel 0.1 " +
         flags;
}

// ---- A cubic crystal ------------------------------------------------------------------------

TEST(Statistics, OfACubicCrystalAreTheReferences) {
  const Rendered run = rendered(test::experiment_of(cube("-detpixels 32")));
  expect_statistics(run.statistics(), 97.2806, 5.5518, 18.7158, 17.8726);
  EXPECT_CLOSE_WITHIN(six_digits, run.statistics().max_fast_m, 0.001775);
  EXPECT_CLOSE_WITHIN(six_digits, run.statistics().max_slow_m, 0.001775);
  EXPECT_EQ(run.statistics().max_fast, 17);
  EXPECT_EQ(run.statistics().max_slow, 17);
  EXPECT_EQ(run.statistics().pixels, 1024);
  const double int_scale = readout::integer_scale(0, run.statistics().max);
  EXPECT_CLOSE_WITHIN(six_digits, int_scale, 565.375);
  EXPECT_CLOSE_WITHIN(six_digits, readout::greymap_scale(0, run.statistics().rmsd, int_scale),
                      2.79758);
  EXPECT_EQ(noise_of(run, 1, 40).photons, 5784);
}

TEST(Statistics, OfARegionOfInterestAreTheReferences) {
  const Rendered run = rendered(test::experiment_of(cube("-detpixels 16 -roi 3 6 5 7")));
  expect_statistics(run.statistics(), 0.725326, 0.258017, 0.341395, 0.209585);
  EXPECT_EQ(run.statistics().pixels, 12);
  EXPECT_EQ(integers_of(run, 40.6), (std::vector<std::uint16_t>{6506, 6504, 8623, 11668,   //
                                                                8799, 8797, 11668, 15795,  //
                                                                30620, 30613, 40633, 55041}));
  // All 40, as 0 + 40.6 is cut off, except at (5,6), (3,7), (5,7) and (6,7)
  EXPECT_EQ(noise_of(run, 7, 40.6).pixels, (std::vector<std::uint16_t>{40, 40, 40, 40,  //
                                                                       40, 40, 41, 40,  //
                                                                       41, 40, 41, 42}));
  for (int fast = 0; fast < 16; ++fast) EXPECT_EQ(run.image().at(fast, 4), 0);
}

// ---- A triclinic one with a table -----------------------------------------------------------

const std::string triclinic =
    "-cell 70 80 90 85 95 105 -misset 10 20 30 -lambda 1.2 -distance 150 -detpixels 16 "
    "-pixel 0.8 -N 5 -oversample 2 ";

Rendered rendered_triclinic(const std::string& flags) {
  Experiment e = test::experiment_with_table(triclinic + flags);
  e.structure_factors.default_F = 0;
  return rendered(e);
}

TEST(Statistics, OfATriclinicCrystalAreTheReferences) {
  const Rendered run = rendered_triclinic("-roi 2 13 1 14");
  expect_statistics(run.statistics(), 1186.61, 35.245, 143.205, 138.773);
  // Where it says that the maximum lies, is its last sub-pixel.
  EXPECT_EQ(run.statistics().max_fast, 11);
  EXPECT_EQ(run.statistics().max_slow, 3);
  EXPECT_CLOSE_WITHIN(six_digits, run.statistics().max_fast_m, 0.0094);
  EXPECT_CLOSE_WITHIN(six_digits, run.statistics().max_slow_m, 0.003);
  const double int_scale = readout::integer_scale(0, run.statistics().max);
  EXPECT_CLOSE_WITHIN(six_digits, int_scale, 46.3506);
  EXPECT_CLOSE_WITHIN(six_digits, readout::greymap_scale(0, run.statistics().rmsd, int_scale),
                      0.360301);
}

TEST(Statistics, OfTheWholeTriclinicImageAreTheReferences) {
  const Rendered run = rendered_triclinic("");
  expect_statistics(run.statistics(), 1186.61, 33.9811, 128.76, 124.177);
  EXPECT_CLOSE_WITHIN(six_digits, run.statistics().solid_angle_sr, 0.00726764);
  EXPECT_EQ(noise_of(run, 7, 40).photons, 8702);
}

TEST(Statistics, TheFirstRowsOfEveryKindOfImageAreTheReferences) {
  const Rendered run = rendered_triclinic("-roi 2 13 1 14");
  const std::vector<double> photons = {
      0.928887248,  30.5520992,  24.6871738,  34.2811584,  116.418526,  0.0633344054,
      1.89235461,   0.505972981, 0.042517297, 28.9329586,  0.986918271, 0.0463715419,
      0.0723739043, 5.82803345,  2.26704168,  1.42242396,  11.0575953,  0.284021676,
      24.3720646,   4.18282175,  1.20962262,  14.181839,   0.750600457, 0.00775871007,
      1.43264437,   6.71052122,  3.71541476,  0.377331734, 0.347673118, 0.023644777,
      0.0877263099, 2.07853532,  7.39420748,  1186.60803,  8.05455971,  0.483665258};
  const std::vector<std::uint16_t> noise = {40, 68, 62, 78, 145, 40, 41, 40, 40, 76,   41, 40,  //
                                            40, 49, 43, 41, 49,  41, 61, 46, 40, 52,   40, 40,  //
                                            40, 44, 42, 40, 42,  40, 40, 42, 43, 1225, 47, 40};
  const std::vector<std::uint16_t> integers = {
      83,  1456, 1184, 1629, 5436, 43, 128,  63,  42,  1381,  86,  42,  //
      43,  310,  145,  106,  553,  53, 1170, 234, 96,  697,   75,  40,  //
      106, 351,  212,  57,   56,   41, 44,   136, 383, 55040, 413, 62};
  const Noise drawn = noise_of(run, 7, 40);
  const auto scaled = integers_of(run, 40);
  for (std::size_t i = 0; i < photons.size(); ++i) {
    SCOPED_TRACE(i);
    // The reference's own rounding: 6e-8, more next to the spots where terms cancel
    EXPECT_CLOSE_WITHIN(2e-7,
                        static_cast<double>(run.image().at(2 + static_cast<int>(i % 12),
                                                           1 + static_cast<int>(i / 12))),
                        photons[i]);
    EXPECT_EQ(drawn.pixels[i], noise[i]);
    EXPECT_EQ(scaled[i], integers[i]);
  }
  EXPECT_EQ(drawn.photons, 5871);
  EXPECT_EQ(drawn.overloads, 0);
}

// ---- Masks ----------------------------------------------------------------------------------

TEST(Statistics, MaskedPixelsCountInTheDeviationAloneAsInTheReference) {
  // The mask is an image of the same run with one zero, whose header moves the beam centre.
  const test::TempDir folder;
  const Rendered source = rendered_triclinic("");
  const std::string mask = folder / "mask.img";
  io::write_smv(mask, io::smv_header(source.experiment, source.simulation.resolved), 16, 16,
                [](int slow, std::span<std::uint16_t> row) {
                  for (std::size_t i = 0; i < row.size(); ++i) row[i] = slow == 5 && i == 5 ? 0 : 1;
                });
  const Rendered run = rendered_triclinic("-roi 2 13 1 14 -mask " + mask);
  EXPECT_EQ(run.statistics().pixels, 167);
  EXPECT_EQ(run.image().at(5, 5), 0);
  EXPECT_CLOSE_WITHIN(six_digits, run.statistics().mean, 40.1878);
  EXPECT_CLOSE_WITHIN(six_digits, run.statistics().rms, 150.802);
  EXPECT_CLOSE_WITHIN(six_digits, run.statistics().rmsd, 144.912);
}

// ---- Against plain loops --------------------------------------------------------------------

/// An image of spots on a weak background, with a region of interest and perhaps a mask.
struct Sample {
  Plan plan;
  Image image;
};

Sample sample(bool masked) {
  Sample s;
  s.plan.panels.resize(1);
  s.image.fast_pixels = s.plan.panels[0].frame.fast_pixels = 301;
  s.image.slow_pixels = s.plan.panels[0].frame.slow_pixels = 203;
  s.plan.panels[0].frame.pixel = 1e-4;
  s.plan.panels[0].roi = {3, 290, 5, 200};
  std::mt19937 random(7);
  auto mask = std::make_shared<Mask>();
  for (int i = 0; i < 301 * 203; ++i) {
    const bool keep = random() % 5 != 0;
    mask->keep.push_back(keep);
    const auto value = static_cast<float>(static_cast<double>(random()) * 1e-9);
    s.image.pixels.push_back(masked && !keep ? 0 : value * value * value);
  }
  if (masked) s.plan.panels[0].mask = std::move(mask);
  return s;
}

void expect_as_by_plain_loops(const Sample& sample, bool count_masked) {
  // Lambdas cannot capture a structured binding with clang 14.
  const auto& plan = sample.plan;
  const auto& image = sample.image;
  Statistics plain;
  double squares = 0, deviation = 0;
  std::int64_t counted = 0;
  const auto visit = [&](auto&& action) {
    for (int slow = plan.panels[0].roi.slow_min; slow <= plan.panels[0].roi.slow_max; ++slow)
      for (int fast = plan.panels[0].roi.fast_min; fast <= plan.panels[0].roi.fast_max; ++fast)
        action(fast, slow, image.at(fast, slow));
  };
  visit([&](int fast, int slow, float value) {
    if (!plan.panels[0].visits(fast, slow)) return;
    ++plain.pixels;
    plain.sum += static_cast<double>(value);
    squares += static_cast<double>(value * value);
    if (static_cast<double>(value) > plain.max) {
      plain.max = static_cast<double>(value);
      plain.max_fast = fast;
      plain.max_slow = slow;
    }
  });
  plain.mean = plain.sum / static_cast<double>(plain.pixels);
  visit([&](int fast, int slow, float value) {
    if (!count_masked && !plan.panels[0].visits(fast, slow)) return;
    ++counted;
    deviation += std::pow(static_cast<double>(value) - plain.mean, 2);
  });

  const Statistics got = readout::image_statistics(plan, image, count_masked);
  EXPECT_EQ(got.pixels, plain.pixels);
  EXPECT_EQ(got.max, plain.max);
  EXPECT_EQ(got.max_fast, plain.max_fast);
  EXPECT_EQ(got.max_slow, plain.max_slow);
  EXPECT_CLOSE_WITHIN(1e-12, got.sum, plain.sum);
  EXPECT_CLOSE_WITHIN(1e-12, got.mean, plain.mean);
  EXPECT_CLOSE_WITHIN(1e-12, got.rms, std::sqrt(squares / static_cast<double>(plain.pixels - 1)));
  EXPECT_CLOSE_WITHIN(1e-12, got.rmsd, std::sqrt(deviation / static_cast<double>(counted - 1)));
}

TEST(Statistics, AreThoseOfPlainLoops) {
  expect_as_by_plain_loops(sample(false), false);
  for (const bool count_masked : {false, true})
    expect_as_by_plain_loops(sample(true), count_masked);
}

TEST(Statistics, AreTheSameToTheLastBitForAnyNumberOfThreads) {
  const Sample image = sample(false);
  const auto with = [&](std::size_t threads) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    return readout::image_statistics(image.plan, image.image, false);
  };
  const Statistics one = with(1);
  for (const std::size_t threads : {std::size_t{2}, std::size_t{3}, std::size_t{8}})
    for (int repetition = 0; repetition < 20; ++repetition) {
      const Statistics many = with(threads);
      EXPECT_EQ(many.sum, one.sum);
      EXPECT_EQ(many.rms, one.rms);
      EXPECT_EQ(many.rmsd, one.rmsd);
      EXPECT_EQ(many.max_fast, one.max_fast);
    }
}

TEST(Statistics, AreTheSameToTheLastBitOnEveryInstructionSet) {
  const Sample image = sample(false);
  const Statistics here = readout::image_statistics(image.plan, image.image, false);
  for (const std::string& set : engine::instruction_sets()) {
    const test::ForcedTarget target(set);
    const Statistics there = readout::image_statistics(image.plan, image.image, false);
    EXPECT_EQ(there.max, here.max) << set;
    EXPECT_EQ(there.sum, here.sum) << set;
    EXPECT_EQ(there.rms, here.rms) << set;
    EXPECT_EQ(there.rmsd, here.rmsd) << set;
  }
}

/// The same, dark outside of two regions side by side and one apart from them, all cut as tiles
/// are.
Sample partly_dark(bool masked, std::vector<PanelRegion>& written) {
  written = {{0, {3, 15, 5, 15}}, {0, {16, 31, 5, 15}}, {0, {160, 175, 192, 200}}};
  Sample s = sample(masked);
  for (int slow = 0; slow < 203; ++slow)
    for (int fast = 0; fast < 301; ++fast) {
      bool lit = false;
      for (const PanelRegion& region : written)
        lit |= fast >= region.pixels.fast_min && fast <= region.pixels.fast_max &&
               slow >= region.pixels.slow_min && slow <= region.pixels.slow_max;
      if (!lit) s.image.pixels[static_cast<std::size_t>(slow * 301 + fast)] = 0;
    }
  return s;
}

TEST(Statistics, OfAnImageOfWhichLittleWasWrittenAreThoseOfTheWholeImage) {
  for (const bool masked : {false, true}) {
    std::vector<PanelRegion> written;
    Sample s = partly_dark(masked, written);
    for (const bool count_masked : {false, true}) {
      const Statistics all = readout::image_statistics(s.plan, s.image, count_masked);
      const Statistics some = readout::image_statistics(s.plan, s.image, count_masked, written);
      EXPECT_EQ(some.pixels, all.pixels);
      EXPECT_EQ(some.max, all.max);
      EXPECT_EQ(some.max_fast, all.max_fast);
      EXPECT_EQ(some.max_slow, all.max_slow);
      EXPECT_EQ(some.max_slow_m, all.max_slow_m);
      EXPECT_CLOSE_WITHIN(1e-14, some.sum, all.sum);
      EXPECT_CLOSE_WITHIN(1e-14, some.rms, all.rms);
      EXPECT_CLOSE_WITHIN(1e-13, some.rmsd, all.rmsd);
    }
  }
}

TEST(Statistics, OfAnImageOfWhichNothingWasWrittenAreThoseOfABlackOne) {
  Sample s = sample(false);
  std::fill(s.image.pixels.begin(), s.image.pixels.end(), 0.0F);
  const Statistics got = readout::image_statistics(s.plan, s.image, false,
                                                   std::vector<PanelRegion>{});
  EXPECT_EQ(got.pixels, 288 * 196);
  EXPECT_EQ(got.max_fast, -1);
  EXPECT_EQ(got.mean, 0);
  EXPECT_EQ(got.rmsd, 0);
}

TEST(Statistics, TheFirstOfEqualMaximaInRegionsSideBySideIsFirstByRows) {
  std::vector<PanelRegion> written;
  Sample s = partly_dark(false, written);
  s.image.pixels[301 * 9 + 5] = s.image.pixels[301 * 7 + 20] = s.image.pixels[301 * 7 + 25] = 1e9F;
  const Statistics got = readout::image_statistics(s.plan, s.image, false, written);
  EXPECT_EQ(got.max, 1e9);
  EXPECT_EQ(got.max_fast, 20);
  EXPECT_EQ(got.max_slow, 7);
}

TEST(Statistics, WherePixelsAreNoNumbersStillKnowTheMaximum) {
  Sample s = sample(false);
  s.image.pixels[301 * 100 + 50] = std::nanf("");
  s.image.pixels[301 * 100 + 51] = 1e9F;
  const Statistics got = readout::image_statistics(s.plan, s.image, false);
  EXPECT_EQ(got.max, 1e9);
  EXPECT_EQ(got.max_fast, 51);
  EXPECT_EQ(got.max_slow, 100);
  EXPECT_TRUE(std::isnan(got.mean));
}

// ---- Edges ----------------------------------------------------------------------------------

TEST(Statistics, TheFirstOfEqualMaximaCounts) {
  // A top hat is flat, and the four pixels around the beam see it under the same angle.
  const Simulation s = test::image_of(
      cube("-detpixels 16 -oversample 1 -tophat_spots -Xbeam 0.75 -Ybeam 0.75"));
  ASSERT_GT(s.statistics.max, 0);
  for (const auto& [fast, slow] : {std::pair{7, 7}, {8, 7}, {7, 8}, {8, 8}})
    EXPECT_EQ(static_cast<double>(s.image.at(fast, slow)), s.statistics.max);
  EXPECT_EQ(s.statistics.max_fast, 7);
  EXPECT_EQ(s.statistics.max_slow, 7);
}

TEST(Statistics, ABlackImageHasItsMaximumNowhere) {
  const Statistics s = test::image_of(cube("-detpixels 4 -fluence 0")).statistics;
  EXPECT_EQ(s.max, 0);
  EXPECT_EQ(s.max_fast, -1);
  EXPECT_EQ(s.max_fast_m, 0);
  EXPECT_EQ(s.max_slow_m, 0);
  EXPECT_EQ(s.mean, 0);
  EXPECT_EQ(s.rms, 0);
  EXPECT_EQ(s.rmsd, 0);
}

TEST(Statistics, ASinglePixelHasItselfForRootMeanSquare) {
  const Statistics s = test::image_of(cube("-detpixels 16 -roi 9 9 9 9")).statistics;
  EXPECT_EQ(s.pixels, 1);
  EXPECT_EQ(s.mean, s.max);
  EXPECT_CLOSE_WITHIN(1e-7, s.rms, s.max);
  EXPECT_EQ(s.rmsd, 0);
}

TEST(Statistics, TheSolidAngleSumGrowsWithTheLayersAsInTheReference) {
  // the sum over layers is divided by steps that do not count them.
  const auto solid_angle = [](const std::string& flags) {
    return test::image_of(cube("-detpixels 16 -oversample 1 " + flags)).statistics.solid_angle_sr;
  };
  const double one = solid_angle("");
  EXPECT_CLOSE_WITHIN(1e-3, one, 256e-6);
  EXPECT_CLOSE_WITHIN(1e-12, solid_angle("-detector_thick 450 -thicksteps 5"), 5 * one);
  EXPECT_CLOSE_WITHIN(1e-12, solid_angle("-osc 1 -phisteps 4"), one / 4);
}

}  // namespace
}  // namespace nablabragg
