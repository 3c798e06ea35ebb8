// Images in closed form beside sums over many steps of the same distributions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

const std::string crystal =
    "-corrected -gauss_xtal -cell 60 70 80 -default_F 100 -N 12 -misset 10 20 30 -lambda 1.1 "
    "-fluence 1e24 -distance 80 -detpixels 64 -pixel 0.2 -oversample 1 ";

std::vector<double> image(Experiment e, Summation summation, double skip_below = 1e-12) {
  e.sampling.summation = summation;
  ComputeOptions options;
  options.precision = Precision::float64;
  options.skip_below = skip_below;
  return photons(SettledExperiment(e), options);
}

struct Compared {
  double L1 = 0, sum = 0;  ///< over the light of the sum; sum: of all pixels
};
Compared compared(const std::vector<double>& closed, const std::vector<double>& sampled) {
  double light = 0, off = 0, sum = 0;
  for (std::size_t i = 0; i < closed.size(); ++i) {
    light += sampled[i];
    sum += closed[i];
    off += std::abs(closed[i] - sampled[i]);
  }
  EXPECT_GT(light, 0);
  return {off / light, std::abs(sum / light - 1)};
}
Compared compared(const std::string& flags) {
  const Experiment e = experiment_of(crystal + flags);
  return compared(image(e, Summation::closed), image(e, Summation::sampled));
}

TEST(ClosedForm, OfOneBlockIsTheSumOfOneStep) {
  const auto [L1, sum] = compared("");
  EXPECT_LT(L1, 1e-9);
  EXPECT_LT(sum, 1e-9);
}

TEST(ClosedForm, OfEveryMetricIsTheSumOfOneStep) {
  for (const std::string kind : {"reciprocal", "round"}) {
    const auto [L1, sum] = compared("-cell 60 70 80 75 95 110 -N 8 -spot_metric " + kind);
    EXPECT_LT(L1, 1e-9) << kind;
    EXPECT_LT(sum, 1e-9) << kind;
  }
}

TEST(ClosedForm, IsWhatSumsOverMoreAndMoreDomainsComeTo) {
  const std::string flags = "-mosaic 0.3 -mosaic_model gaussian -mosaic_domains ";
  const double few = compared(flags + "101").L1, some = compared(flags + "1001").L1,
               many = compared(flags + "10001").L1;
  EXPECT_LT(some, 0.5 * few);
  EXPECT_LT(many, 0.5 * some);
  EXPECT_LT(many, 1e-3);
}

TEST(ClosedForm, OfThreeMosaicSpreadsIsWhatTheSumComesToAtAnyPhi) {
  const auto [L1, sum] = compared(
      "-mosaic_axes 0.1 0.3 0.2 -mosaic_model gaussian -mosaic_domains 10001 -phi 70");
  EXPECT_LT(L1, 1e-3);
  EXPECT_LT(sum, 3e-4);
}

TEST(ClosedForm, OfASpectrumIsWhatTheSumComesTo) {
  const auto [L1, sum] = compared("-dispersion 3 -spectrum_model gaussian -dispsteps 400");
  // The sum ends at five standard deviations.
  EXPECT_LT(L1, 1e-5);
  EXPECT_LT(sum, 1e-5);
}

TEST(ClosedForm, OfADivergentBeamIsWhatTheSumComesTo) {
  const auto [L1, sum] = compared("-hdivrange 2 -vdivrange 4 -beam_model gaussian -divsteps 40");
  EXPECT_LT(L1, 1e-4);
  EXPECT_LT(sum, 1e-4);
}

TEST(ClosedForm, OfASliceIsWhatTheSumComesTo) {
  const auto [L1, sum] = compared("-phi 20 -osc 0.4 -phisteps 400");
  EXPECT_LT(L1, 1e-3);
  EXPECT_LT(sum, 3e-4);
}

TEST(ClosedForm, OfAllTogetherIsWhatTheSumComesTo) {
  const auto [L1, sum] = compared(
      "-mosaic 0.2 -mosaic_model gaussian -mosaic_domains 501 -dispersion 1 -spectrum_model "
      "gaussian "
      "-dispsteps 20 -divergence 1 -beam_model gaussian -divsteps 8 -osc 0.2 -phisteps 8 "
      "-roi 8 27 30 49");
  EXPECT_LT(L1, 3e-3);
  EXPECT_LT(sum, 1e-3);
}

/// Spots from half to a seventh of a pixel wide, as long as that or as arcs of a pixel, at all
/// angles to the pixels' edges.
std::vector<Experiment> narrow_spots() {
  std::vector<Experiment> all;
  for (const std::string cells : {"6", "12", "20"})
    for (const std::string mosaic : {"0.05", "0.5"}) {
      all.push_back(
          experiment_of(crystal + "-mosaic_model gaussian -N " + cells + " -mosaic " + mosaic));
      all.back().sampling.oversample = 0;
    }
  return all;
}

TEST(ClosedForm, WithItsOwnSubPixelsHasThePhotonsOfManyPlainOnes) {
  for (Experiment e : narrow_spots()) {
    SCOPED_TRACE(testing::Message()
                 << e.crystal.cells.x << " cells, mosaic " << *e.crystal.mosaic_spread_deg);
    const auto own = image(e, Summation::closed);
    e.sampling.oversample = 32;
    const auto plain = image(e, Summation::closed);
    const auto [L1, sum] = compared(own, plain);
    EXPECT_LT(L1, 1e-3);
    EXPECT_LT(sum, 1e-4);
  }
}

TEST(ClosedForm, OfNarrowSpotsIsTheSameInSinglePrecision) {
  for (const Experiment& e : narrow_spots()) {
    SCOPED_TRACE(testing::Message()
                 << e.crystal.cells.x << " cells, mosaic " << *e.crystal.mosaic_spread_deg);
    ComputeOptions single;
    single.skip_below = 1e-12;
    const auto photons = image(e, Summation::closed);
    const auto floats = simulate(e, single).image.pixels;
    const double brightest = *std::max_element(photons.begin(), photons.end());
    for (std::size_t i = 0; i < photons.size(); ++i)
      ASSERT_NEAR(floats[i], photons[i], 2e-6 * brightest) << i;
  }
}

TEST(ClosedForm, KeepsThePhotonsOfAScanInHoweverManySlices) {
  const auto photons_in = [&](const std::string& flags) {
    double sum = 0;
    for (const double x : image(experiment_of(crystal + flags), Summation::closed)) sum += x;
    return sum;
  };
  const double whole = photons_in("-phi 10 -osc 2");
  double parts = 0;
  for (int i = 0; i < 20; ++i)
    parts += photons_in("-phi " + std::to_string(10 + 0.1 * i) + " -osc 0.1") / 20;
  EXPECT_NEAR(parts / whole, 1, 1e-4);
}

TEST(ClosedForm, EndsSpotsWhereTheyAddLessThanSkipBelow) {
  const Experiment e = experiment_of(crystal + "-mosaic 0.3 -mosaic_model gaussian");
  const auto all = image(e, Summation::closed, 1e-15);
  double brightest = 0;
  for (const double x : all) brightest = std::max(brightest, x);
  for (const double part : {1e-8, 1e-5, 1e-3}) {
    const auto some = image(e, Summation::closed, part * brightest);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_LE(some[i], all[i] * (1 + 1e-12));
      // Of a few spots at a pixel
      EXPECT_LE(all[i] - some[i], 4 * part * brightest);
    }
  }
}

TEST(ClosedForm, HasTheSameBitsForAnyNumberOfThreadsAndForListsOfPixels) {
  const SettledExperiment e(experiment_of(
      crystal +
      "-mosaic 0.3 -mosaic_model gaussian -dispersion 1 -spectrum_model gaussian -osc 0.2 "
      "-water 2"));
  ComputeOptions one, two;
  one.threads = 1;
  two.threads = 2;
  const auto whole = simulate(e.experiment(), one).image.pixels;
  EXPECT_EQ(whole, simulate(e.experiment(), two).image.pixels);
  std::vector<PixelIndex> list;
  for (int i = 0; i < 64 * 64; i += 7) list.push_back({i % 64, i / 64});
  const auto some = simulate_pixels(e.experiment(), list, one);
  const float brightest = *std::max_element(whole.begin(), whole.end());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const float full = whole[static_cast<std::size_t>(list[i].slow * 64 + list[i].fast)];
    EXPECT_NEAR(some[i], full, 1e-5F * full + 1e-6F + 1e-7F * brightest);
  }
}

TEST(ClosedForm, OfTheReferenceEngineIsThatOfTheCpuEngine) {
  const Experiment e = experiment_of(crystal + "-mosaic 0.3 -mosaic_model gaussian -osc 0.2");
  ComputeOptions reference;
  reference.engine = Engine::reference;
  const auto a = simulate(e), b = simulate(e, reference);
  for (std::size_t i = 0; i < a.image.pixels.size(); ++i)
    EXPECT_NEAR(a.image.pixels[i], b.image.pixels[i], 1e-6 * b.statistics.max);
}

// ---- When --------------------------------------------------------------------------------------

TEST(Summation, IsClosedWhereAGaussianIsAskedForAndNothingStandsAgainstIt) {
  const auto closed = [](const std::string& flags) { return resolved_of(flags).closed; };
  EXPECT_FALSE(closed(crystal));
  EXPECT_TRUE(closed(crystal + "-mosaic 0.1 -mosaic_model gaussian"));
  EXPECT_TRUE(closed(crystal + "-dispersion 1 -spectrum_model gaussian"));
  EXPECT_TRUE(closed(crystal + "-divergence 1 -beam_model gaussian"));
  EXPECT_TRUE(closed(crystal + "-summation closed"));
  EXPECT_FALSE(closed(crystal + "-mosaic 0.1 -mosaic_model gaussian -summation sampled"));
  EXPECT_FALSE(closed(crystal + "-mosaic 0.1 -mosaic_model gaussian -dispersion 1"));
  EXPECT_FALSE(closed(crystal + "-mosaic 0.1 -mosaic_model gaussian -square_xtal"));
  EXPECT_FALSE(closed(crystal + "-mosaic 5 -mosaic_model gaussian"));
}

TEST(Summation, InClosedFormIsRefusedWithTheReason) {
  const auto complaint = [](const std::string& flags) {
    return message_of<UsageError>([&] { resolved_of(flags); });
  };
  using testing::HasSubstr;
  EXPECT_THAT(complaint(crystal + "-summation closed -mosaic 0.1"), HasSubstr("-mosaic_model"));
  EXPECT_THAT(complaint(crystal + "-summation closed -square_xtal"), HasSubstr("-gauss_xtal"));
  EXPECT_THAT(complaint(crystal + "-summation closed -dispersion 1"), HasSubstr("-spectrum_model"));
  EXPECT_THAT(complaint(crystal + "-summation closed -divergence 1"), HasSubstr("-beam_model"));
  EXPECT_THAT(complaint("-N 5 -detpixels 16 -pixel 1 -mosaic 0.1 -mosaic_model gaussian"),
              HasSubstr("-corrected"));
  EXPECT_THAT(complaint(crystal + "-mosaic_axes 1 2 3"), HasSubstr("-mosaic_model gaussian"));
  EXPECT_THAT(complaint(crystal + "-hdivrange 1 -hdivstep 0.1 -beam_model gaussian"),
              HasSubstr("step"));
}

TEST(Summation, InClosedFormWarnsOfArcsThatAreBentByManyWidthsOfASpot) {
  const auto warnings = [](const std::string& flags) { return resolved_of(flags).warnings; };
  const auto of_arcs = testing::Contains(testing::HasSubstr("mosaic arcs"));
  EXPECT_THAT(warnings(crystal + "-N 5000 -mosaic 1 -mosaic_model gaussian"), of_arcs);
  EXPECT_THAT(warnings(crystal + "-mosaic 1 -mosaic_model gaussian"), testing::Not(of_arcs));
  EXPECT_THAT(warnings(crystal + "-N 5000 -mosaic 1 -mosaic_model gaussian -summation sampled"),
              testing::Not(of_arcs));
}

TEST(Summation, SaysThatStepsOfPhiHaveNoEffect) {
  const Resolved r = resolved_of(crystal +
                                 "-mosaic 0.1 -mosaic_model gaussian -osc 1 -phisteps 10");
  EXPECT_THAT(r.warnings, testing::Contains(testing::HasSubstr("-phisteps")));
  EXPECT_EQ(r.phi.size(), 2);
}

}  // namespace
}  // namespace nablabragg::test
