// The cpu engine from outside: which code it chooses, which pixels it computes, what it counts.
// That its numbers are right is for tests/golden and tests/property.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// Triclinic, so that no two pixels are alike; 37 x 21 of them are three by two tiles
/// with edges.
const std::string odd_edges =
    "-cell 70 80 90 85 95 105 -misset 10 20 30 -default_F 100 -N 5 -lambda 1 -distance 100 "
    "-detpixels_f 37 -detpixels_s 21 -pixel 1 -oversample 2 ";

std::shared_ptr<const Mask> mask_without(int fast_pixels, int slow_pixels,
                                         const std::vector<PixelIndex>& dark) {
  Mask mask{fast_pixels, slow_pixels,
            std::vector<std::uint8_t>(static_cast<std::size_t>(fast_pixels * slow_pixels), 1)};
  for (const auto& [fast, slow, panel] : dark)
    mask.keep[static_cast<std::size_t>(slow * fast_pixels + fast)] = 0;
  return std::make_shared<const Mask>(std::move(mask));
}

/// What on_work was told, by all threads.
class Work {
 public:
  ComputeOptions watched(ComputeOptions options) {
    options.on_work = [this](const WorkSpan& span) {
      const std::lock_guard lock(mutex_);
      steps_ += span.steps;
      skipped_ += span.skipped;
    };
    return options;
  }
  std::int64_t steps() const { return steps_; }
  std::int64_t skipped() const { return skipped_; }

 private:
  std::mutex mutex_;
  std::int64_t steps_ = 0, skipped_ = 0;
};

// ---- Which code ---------------------------------------------------------------------------------

TEST(Engine, UnknownInstructionSetIsAUsageErrorThatListsTheChoices) {
  const ForcedTarget target("avx9");
  const std::string text = message_of<UsageError>(
      [] { simulate(experiment_of(odd_edges), cpu_engine(Precision::float32)); });
  EXPECT_THAT(text, HasSubstr("'avx9'"));
  for (const std::string& name : engine::instruction_sets()) EXPECT_THAT(text, HasSubstr(name));
}

TEST(Engine, EveryInstructionSetOfTheMachineIsUsedWhenItIsAskedFor) {
  const std::map<std::string, std::string> in_words{
      {"avx512", "AVX-512"}, {"avx2", "AVX2"}, {"sse4", "SSE4"}, {"scalar", "scalar"}};
  const Experiment e = experiment_of(odd_edges);
  for (const std::string& name : engine::instruction_sets()) {
    const ForcedTarget target(name);
    for (const Precision precision : {Precision::float32, Precision::float64})
      EXPECT_EQ(simulate(e, cpu_engine(precision)).engine.instruction_set, in_words.at(name));
  }
  EXPECT_FALSE(engine::instruction_sets().empty());
}

TEST(Engine, OneStructureFactorFarAboveTheOthersLeavesTheirLight) {
  Experiment e = experiment_of(odd_edges);
  const auto table = [](double largest) {
    auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-40, -40, -40},
                                                      MillerIndex{40, 40, 40}, 100.0);
    grid->at(40, 40, 40) = largest;  // beyond the panel's resolution
    return grid;
  };
  e.structure_factors.grid = table(100);
  const std::vector<float> usual = simulate(e, cpu_engine(Precision::float32)).image.pixels;
  const float brightest = *std::max_element(usual.begin(), usual.end());
  for (const double largest : {1e10, 1e17, 1e26}) {
    e.structure_factors.grid = table(largest);
    const Simulation got = simulate(e, cpu_engine(Precision::float32));
    EXPECT_EQ(got.engine.kernel.ends_with("double precision"), largest > 1e17) << got.engine.kernel;
    for (std::size_t i = 0; i < usual.size(); ++i)
      EXPECT_NEAR(got.image.pixels[i], usual[i], 1e-5 * brightest) << largest << ' ' << i;
    const std::vector<double> weights(usual.size(), 1);
    const auto gradient = value_and_gradient(e, weights, cpu_engine(Precision::float32));
    double sum = 0;
    for (const float x : usual) sum += x;
    EXPECT_NEAR(gradient.value, sum, 1e-5 * sum);
    EXPECT_NEAR(gradient.gradient.parameters.at("fluence")[0] * e.beam.fluence_per_m2, sum,
                1e-5 * sum);
  }
}

TEST(Engine, WithoutARequestTheBestInstructionSetIsUsed) {
  const Experiment e = experiment_of(odd_edges);
  const auto used = [&] { return simulate(e, cpu_engine(Precision::float32)).engine; };
  std::string best;
  {
    const ForcedTarget target(engine::instruction_sets().front());
    best = used().instruction_set;
  }
  EXPECT_EQ(used().instruction_set, best);
  const ForcedTarget none("");
  EXPECT_EQ(used().instruction_set, best);
}

TEST(Engine, RunningSumsAreComputedInDoublePrecisionAndTheReasonIsReported) {
  const std::string sensor = odd_edges +
                             "-detector_thick 450 -detector_abs 234 -detector_thicksteps 3 ";
  for (const char* flag : {"-oversample_thick", "-oversample_polar", "-oversample_omega"}) {
    const Experiment e = experiment_of(sensor + flag);
    const Simulation got = simulate(e, cpu_engine(Precision::float32));
    EXPECT_THAT(got.engine.kernel, HasSubstr("double precision")) << flag;
    EXPECT_THAT(got.engine.kernel, Not(HasSubstr("single"))) << flag;
    EXPECT_THAT(got.engine.reason, HasSubstr("running sum")) << flag;
    EXPECT_THAT(got.engine.reason, HasSubstr(flag));
    const Agreement found = agreement(got.image.pixels, image_of(e).image.pixels);
    EXPECT_EQ(found.broken_double_bounds(), "") << flag;
  }
}

TEST(Engine, ABackgroundOnFactorsThatAreTakenOnceIsTheReferencesInMixedPrecision) {
  Experiment e = experiment_of(odd_edges +
                               "-detector_thick 450 -detector_abs 234 -detector_thicksteps 3 "
                               "-hdivrange 20 -hdivsteps 3 -water 300 ");
  e.quirks.water_scaled_twice = false;
  const Image reference = image_of(e).image;
  Experiment dry = e;
  dry.water_um = 0;
  ASSERT_GT(agreement(image_of(dry).image.pixels, reference.pixels).over_max, 1e-3);
  for (const std::string& set : engine::instruction_sets()) {
    const ForcedTarget target(set);
    const Simulation got = simulate(e, cpu_engine(Precision::float32));
    EXPECT_THAT(got.engine.kernel, HasSubstr("single precision")) << set;
    EXPECT_EQ(agreement(got.image.pixels, reference.pixels).broken_bounds(), "") << set;
  }
}

TEST(Engine, DoublePrecisionThatWasAskedForIsTheReason) {
  const EngineUsed used = simulate(experiment_of(odd_edges), cpu_engine(Precision::float64)).engine;
  EXPECT_THAT(used.kernel, HasSubstr("double precision"));
  EXPECT_EQ(used.reason, "-dtype float64");
}

// ---- Which pixels -------------------------------------------------------------------------------

TEST(Engine, EdgesThatAreNoMultipleOfATileHaveEveryPixel) {
  for (const auto& [fast, slow] : {std::pair{37, 21}, {1, 1}, {16, 17}, {3, 50}, {33, 4}}) {
    Experiment e = experiment_of(odd_edges);
    e.detector.fast_pixels = fast;
    e.detector.slow_pixels = slow;
    const Image reference = image_of(e).image;
    for (const std::string& set : engine::instruction_sets()) {
      const ForcedTarget target(set);
      const Image image = simulate(e, cpu_engine(Precision::float32)).image;
      EXPECT_THAT(image.pixels, Each(testing::Gt(0.0F))) << fast << " x " << slow << ' ' << set;
      EXPECT_EQ(agreement(image.pixels, reference.pixels).broken_bounds(), "")
          << fast << " x " << slow << ' ' << set;
    }
  }
}

TEST(Engine, RegionsBetweenTheSpotsKeepTheBoundsOfTheirOwnBrightestPixel) {
  // Near the zeros of the fringes a small error of the index is a large share of what is there
  Experiment e = experiment_of(
      "-corrected -cell 30 30 30 90 90 90 -misset 10 20 30 -default_F 100 -N 22 -lambda 1.4 "
      "-distance 90 -detpixels 256 -pixel 0.5 -oversample 1");
  Agreement worst;
  for (int slow = 0; slow < 256; slow += 16)
    for (int fast = 0; fast < 256; fast += 16) {
      e.sampling.roi = RegionOfInterest{fast, fast + 15, slow, slow + 15};
      const Agreement found = agreement(simulate(e, cpu_engine(Precision::float32)).image.pixels,
                                        image_of(e).image.pixels);
      if (found.over_max > worst.over_max) worst = found;
    }
  EXPECT_EQ(worst.broken_bounds(), "");
}

/// Rows and columns that begin and end within tiles, and a mask with a whole block and single
/// pixels.
Experiment experiment_in_parts() {
  Experiment e = experiment_of(odd_edges);
  e.sampling.roi = RegionOfInterest{3, 33, 2, 18};
  std::vector<PixelIndex> dark{{0, 0}, {5, 5}, {33, 18}, {17, 16}, {36, 20}};
  for (int slow = 8; slow < 12; ++slow)
    for (int fast = 20; fast < 24; ++fast) dark.push_back({fast, slow});
  e.sampling.mask = mask_without(37, 21, dark);
  return e;
}

TEST(Engine, PixelsOutsideTheRegionOrMaskedStayZeroAndTheOthersAreThoseOfTheWholeImage) {
  const Experiment e = experiment_in_parts();
  const Image whole = simulate(experiment_of(odd_edges), cpu_engine(Precision::float32)).image;
  const Image part = simulate(e, cpu_engine(Precision::float32)).image;
  const RegionOfInterest& roi = *e.sampling.roi;
  for (int slow = 0; slow < 21; ++slow)
    for (int fast = 0; fast < 37; ++fast) {
      const bool visited = fast >= roi.fast_min && fast <= roi.fast_max && slow >= roi.slow_min &&
                           slow <= roi.slow_max &&
                           e.sampling.mask->keep[static_cast<std::size_t>(slow * 37 + fast)] != 0;
      EXPECT_EQ(part.at(fast, slow), visited ? whole.at(fast, slow) : 0) << fast << ' ' << slow;
    }
}

TEST(Engine, StepsAreThoseOfTheVisitedPixels) {
  Experiment e = experiment_in_parts();
  e.detector.sensor_thickness_um = 450;
  e.detector.sensor_layers = 3;
  e.crystal.mosaic_spread_deg = 0.5;
  e.crystal.mosaic_domains = 5;
  // 31 x 17 less the dark ones among them; sub-pixels x layers x domains
  const std::int64_t visited = 31 * 17 - 3 - 16, steps_of_one = 4 * 3 * 5;
  for (const Precision precision : {Precision::float32, Precision::float64}) {
    Work work;
    const Simulation got = simulate(e, work.watched(cpu_engine(precision)));
    EXPECT_EQ(got.engine.steps, visited * steps_of_one);
    EXPECT_EQ(work.steps(), got.engine.steps);
    EXPECT_EQ(work.skipped(), got.engine.skipped);
  }
}

// ---- Listed pixels ------------------------------------------------------------------------------

TEST(Engine, ListedPixelOffThePanelIsAUsageErrorThatNamesIt) {
  const Experiment e = experiment_of(odd_edges);
  for (const PixelIndex off : {PixelIndex{37, 0}, {0, 21}, {-1, 3}, {3, -1}}) {
    const std::vector<PixelIndex> list{{0, 0}, off};
    EXPECT_THAT(message_of<UsageError>([&] { simulate_pixels(e, list); }),
                HasSubstr("fast " + std::to_string(off.fast) + " slow " + std::to_string(off.slow) +
                          " is not on the 37 x 21"));
  }
}

TEST(Engine, EmptyListGivesNoValues) {
  EXPECT_THAT(simulate_pixels(experiment_of(odd_edges), {}), IsEmpty());
}

TEST(Engine, ListedPixelsComeInTheirOrderAndMayBeRepeatedMaskedAndOutsideTheRegion) {
  const Image whole = simulate(experiment_of(odd_edges), cpu_engine(Precision::float32)).image;
  const std::vector<PixelIndex> list{{36, 20}, {5, 5}, {0, 0}, {5, 5}, {36, 20}, {5, 5}, {20, 8}};
  const std::vector<float> values = simulate_pixels(experiment_in_parts(), list);
  ASSERT_EQ(values.size(), list.size());
  const double allowed = 1e-5 * double(*std::max_element(whole.pixels.begin(), whole.pixels.end()));
  for (std::size_t i = 0; i < list.size(); ++i)
    EXPECT_NEAR(values[i], whole.at(list[i].fast, list[i].slow), allowed) << i;
  EXPECT_EQ(values[1], values[3]);
  EXPECT_EQ(values[1], values[5]);
}

TEST(Engine, ListedPixelsTakeStepsInProportionToTheirNumber) {
  const Experiment e = experiment_of(odd_edges);
  for (const int count : {1, 7, 256, 300}) {
    std::vector<PixelIndex> list;
    for (int i = 0; i < count; ++i) list.push_back({i * 5 % 37, i * 3 % 21});
    Work work;
    simulate_pixels(e, list, work.watched(cpu_engine(Precision::float32)));
    EXPECT_EQ(work.steps(), count * 4);
  }
}

// ---- Interpolation that ends within the image ---------------------------------------------------

TEST(Engine, TheInterpolationCutoffFallsWithinATileAndTheImageIsTheReferencesOnAnyNumberOfThreads) {
  // The table ends at 6, and indices grow from the beam, on the first row, most to the right
  const Experiment e = experiment_with_table(
      "-cell 30 40 50 80 95 105 -misset 5 10 15 -N 5 -lambda 1 -distance 100 -detpixels 48 "
      "-pixel 0.3 -oversample 2 -interpolate -Xbeam 0 -Ybeam 6 ");
  const Simulation reference = simulate(e, reference_engine());
  ASSERT_TRUE(reference.table_miss);
  const TableMiss miss = *reference.table_miss;
  // Some pixels of its tile come before it in raster order, and some after it
  EXPECT_GT(miss.slow, 0);
  EXPECT_THAT(miss.slow % 16, testing::AllOf(testing::Gt(0), testing::Lt(15)));
  // and so do lookups of its own pixel
  EXPECT_GT(miss.lookup, 0);
  for (const std::string& set : engine::instruction_sets()) {
    const ForcedTarget target(set);
    for (const Precision precision : {Precision::float32, Precision::float64}) {
      ComputeOptions options = cpu_engine(precision);
      options.threads = 1;
      const Simulation one = simulate(e, options);
      options.threads = 7;
      const Simulation seven = simulate(e, options);
      EXPECT_EQ(one.image.pixels, seven.image.pixels) << set;
      const Agreement found = agreement(one.image.pixels, reference.image.pixels);
      EXPECT_EQ(
          precision == Precision::float64 ? found.broken_double_bounds() : found.broken_bounds(),
          "")
          << set;
      for (const Simulation& got : {one, seven}) {
        ASSERT_TRUE(got.table_miss) << set;
        EXPECT_THAT((std::array{std::int64_t{got.table_miss->fast},
                                std::int64_t{got.table_miss->slow}, got.table_miss->lookup}),
                    ElementsAre(miss.fast, miss.slow, miss.lookup));
      }
    }
  }
}

}  // namespace
}  // namespace nablabragg::test
