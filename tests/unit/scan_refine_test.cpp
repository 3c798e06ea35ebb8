// Refinement of an image that was taken while the crystal turned, with a free intensity for each
// spot: its pieces against numbers that are known otherwise, and crystals that are found again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "nablabragg/error.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/predicted_spots.hpp"
#include "nablabragg/refine.hpp"
#include "refine/free_intensities.hpp"
#include "refine/free_parameters.hpp"
#include "refine/spot_positions.hpp"
#include "refine/uncertainty.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using namespace refinement;
using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

const std::string scan =
    "-corrected -cell 60 60 60 90 90 90 -misset 12 -7 33 -N 15 -gauss_xtal -mosaic 0.05 "
    "-mosaic_model gaussian -lambda 1 -distance 60 -detpixels 512 -pixel 0.1 -Xbeam 25.5 -Ybeam "
    "25.7 -phi 20 -osc 1 -fluence 4e27 -default_F 100 ";

// ---- Where spots are ----------------------------------------------------------------------------

TEST(SpotGeometryOfAScan, HasSpotsWhereThePredictionHasThem) {
  const Experiment e = test::experiment_of(scan);
  const SpotGeometry geometry(resolve(e));
  EXPECT_TRUE(geometry.turns());
  const std::vector<PredictedSpot> predicted = predicted_spots(geometry_of(e), 2);
  ASSERT_GT(predicted.size(), 200u);
  for (const PredictedSpot& p : predicted) {
    const auto expected = geometry.expected(p.hkl);
    ASSERT_TRUE(expected);
    EXPECT_NEAR(expected->fast + 0.5, p.fast_px, 1e-6);
    EXPECT_NEAR(expected->slow + 0.5, p.slow_px, 1e-6);
    EXPECT_EQ(expected->missed_by_rad, 0);
    EXPECT_GT(expected->within_by_rad, 0);
  }
}

TEST(SpotGeometryOfAScan, SaysByHowMuchALatticePointMissesTheSphere) {
  // What crosses it while the crystal turns on for a tenth of a degree misses it by no more
  Experiment e = test::experiment_of(scan);
  const SpotGeometry geometry(resolve(e));
  e.scan.phi_deg = 21;
  e.scan.oscillation_deg.range = 0.1;
  const double most = 0.1 / 57.29;
  const std::vector<PredictedSpot> next = predicted_spots(geometry_of(e), 2);
  ASSERT_GT(next.size(), 20u);
  double largest = 0;
  for (const PredictedSpot& p : next) {
    const double missed = std::abs(geometry.expected(p.hkl)->missed_by_rad);
    EXPECT_GT(missed, 0);
    EXPECT_LT(missed, most * 1.01);
    largest = std::max(largest, missed);
  }
  EXPECT_GT(largest, most / 2);
}

TEST(SpotGeometryOfAScan, GivesEachSpotTheIndexItHas) {
  const Experiment e = test::experiment_of(scan);
  const SpotGeometry geometry(resolve(e));
  const auto of_i = [](const MillerIndex& hkl) { return allowed(Centring::I, hkl); };
  std::size_t right = 0, all = 0;
  for (const PredictedSpot& p : predicted_spots(geometry_of(e), 2)) {
    Spot spot;
    spot.fast = p.fast_px - 0.5;
    spot.slow = p.slow_px - 0.5;
    const auto point = geometry.nearest_point(spot, of_i);
    const std::optional<MillerIndex> index = point ? std::optional(point->index) : std::nullopt;
    if (!of_i(p.hkl)) {
      EXPECT_NE(index, p.hkl);
      continue;
    }
    ++all;
    if (index == p.hkl) ++right;
  }
  // Two lattice points may scatter to one place at two angles
  ASSERT_GT(all, 100u);
  EXPECT_GT(right, 0.97 * static_cast<double>(all));
}

TEST(SpotGeometryOfAScan, MayTurnByFiveDegreesAndNoMore) {
  EXPECT_FALSE(why_no_spot_stage(resolve(test::experiment_of(scan + "-osc 5"))));
  EXPECT_THAT(why_no_spot_stage(resolve(test::experiment_of(scan + "-osc 6"))).value_or(""),
              HasSubstr("more than five degrees"));
}

TEST(SpotStage, NeedsEveryPanelFlat) {
  Experiment e = test::experiment_of(scan + "-osc 1");
  e.more_panels.push_back({e.detector, {}, {}});
  EXPECT_FALSE(why_no_spot_stage(resolve(e)));
  e.more_panels.back().detector.curved = true;
  EXPECT_THAT(why_no_spot_stage(resolve(e)).value_or(""), HasSubstr("curved (-curved_det)"));
}

TEST(Centrings, AllowTheReflectionsOfTheirLattices) {
  const auto count = [](Centring centring) {
    int n = 0;
    for (int h = -6; h < 6; ++h)
      for (int k = -6; k < 6; ++k)
        for (int l = -6; l < 6; ++l)
          if (allowed(centring, {h, k, l})) ++n;
    return n;
  };
  const int all = 12 * 12 * 12;
  EXPECT_EQ(count(Centring::P), all);
  for (const Centring half : {Centring::A, Centring::B, Centring::C, Centring::I})
    EXPECT_EQ(count(half), all / 2);
  EXPECT_EQ(count(Centring::F), all / 4);
  EXPECT_EQ(count(Centring::R), all / 3);
  EXPECT_TRUE(allowed(Centring::I, {1, -3, 4}));
  EXPECT_FALSE(allowed(Centring::I, {1, -3, 5}));
  EXPECT_TRUE(allowed(Centring::A, {1, 1, 1}) && !allowed(Centring::A, {1, 1, 2}));
  EXPECT_TRUE(allowed(Centring::B, {1, 2, 1}) && !allowed(Centring::B, {1, 1, 2}));
  EXPECT_TRUE(allowed(Centring::C, {1, 1, 2}) && !allowed(Centring::C, {1, 2, 1}));
  EXPECT_TRUE(allowed(Centring::F, {1, 1, 3}) && !allowed(Centring::F, {1, 1, 2}));
  EXPECT_TRUE(allowed(Centring::R, {1, 0, 1}) && !allowed(Centring::R, {1, 0, -1}));
}

TEST(Uncertainty, IsThatOfThePartsWhereTheyDisagreeMore) {
  const std::vector<double> information{4, 2, 2, 3};
  Uncertainty u = uncertainty(information, 2);
  const std::vector<double> before = u.deviations;
  widen(u, information, information);
  EXPECT_NEAR(u.deviations[0], before[0], 1e-12);
  std::vector<double> pulls = information;
  for (double& p : pulls) p *= 9;
  widen(u, information, pulls);
  EXPECT_NEAR(u.deviations[0], 3 * before[0], 1e-12);
  EXPECT_NEAR(u.deviations[1], 3 * before[1], 1e-12);
  for (double& p : pulls) p /= 100;
  widen(u, information, pulls);
  EXPECT_NEAR(u.deviations[0], 3 * before[0], 1e-12);
}

// ---- Numbers that stay equal --------------------------------------------------------------------

RefineOptions options_for(std::vector<std::string> names, std::vector<std::string> equal = {}) {
  RefineOptions o;
  o.parameters = std::move(names);
  o.equal = std::move(equal);
  return o;
}

TEST(FreeParameters, ThatStayEqualAreOneNumber) {
  const Experiment e = test::experiment_of(scan);
  const FreeParameters free(e, options_for({"misset[0]", "cell"}, {"cell[0-2]"}));
  ASSERT_EQ(free.size(), 5u);
  EXPECT_EQ(free.numbers()[1].name, "cell[0-2]");
  EXPECT_EQ(free.numbers()[2].name, "cell[3]");
  const Experiment changed = free.experiment(std::vector<double>{12, 61, 90, 91, 92});
  EXPECT_EQ(changed.crystal.cell->a_A, 61);
  EXPECT_EQ(changed.crystal.cell->c_A, 61);
  EXPECT_EQ(changed.crystal.cell->beta_deg, 91);
  const auto complaint = [](const Experiment& of, const RefineOptions& o) {
    return test::message_of<UsageError>([&] { FreeParameters(of, o); });
  };
  EXPECT_THAT(complaint(e, options_for({"cell[0-1]"}, {"cell[0-2]"})),
              HasSubstr("'cell[0-1]' has only some of the numbers of cell that are to be equal"));
  EXPECT_THAT(complaint(e, options_for({"misset"}, {"cell[0-2]"})),
              HasSubstr("cell[0-2] are to be equal and are not refined"));
  EXPECT_THAT(complaint(e, options_for({"misset"}, {"misset[0-2]"})),
              HasSubstr("misset[0-2] are to be equal and do not start so"));
  EXPECT_THAT(complaint(e, options_for({"cell"}, {"cell"})), HasSubstr("could be equal"));
}

// ---- The whole way ------------------------------------------------------------------------------

/// F that differ from reflection to reflection, some of them nothing, of a body-centred lattice.
std::shared_ptr<StructureFactorGrid> random_factors(unsigned seed) {
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-36, -36, -36},
                                                    MillerIndex{36, 36, 36}, 0.0);
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> intensity(1);
  for (int h = -36; h <= 36; ++h)
    for (int k = -36; k <= 36; ++k)
      for (int l = -36; l <= 36; ++l) {
        const double f = 100 * std::sqrt(intensity(random));
        if (allowed(Centring::I, {h, k, l})) grid->at(h, k, l) = f;
      }
  return grid;
}

struct Case {
  Experiment truth, start;
  Measurement measurement;
};

Case turned_case(unsigned seed, const std::string& truth = "") {
  Case c;
  c.truth = test::experiment_of(scan + truth);
  c.truth.structure_factors.grid = random_factors(seed);
  c.measurement.counts = simulate(c.truth).image;
  std::mt19937_64 random(seed + 1000);
  for (float& p : c.measurement.counts.pixels)
    p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p) + 12)(random));
  c.start = test::experiment_of(scan);
  const auto sign = [&] { return random() % 2 == 0 ? 1.0 : -1.0; };
  c.start.crystal.misset_deg = c.start.crystal.misset_deg +
                               Vec3d{0.3 * sign(), 0.3 * sign(), 0.3 * sign()};
  const double a = 60 * (1 + 0.005 * sign());
  c.start.crystal.cell = UnitCell{a, a, a};
  return c;
}

RefineOptions free_options() {
  RefineOptions o = options_for({"misset", "cell[0-2]", "cells"}, {"cell[0-2]", "cells[0-2]"});
  o.intensities = Intensities::free;
  o.centring = Centring::I;
  o.shoebox_px = 11;
  o.most_shoeboxes = 100;
  return o;
}

double truth_of(const std::string& name) {
  if (name == "misset[0]") return 12;
  if (name == "misset[1]") return -7;
  if (name == "misset[2]") return 33;
  return name == "cell[0-2]" ? 60 : 15;
}

TEST(RefineOfAScan, ComesHomeFromATurnAndAnotherCellWithoutStructureFactors) {
  double squares = 0, count = 0, factor_squares = 0, factors = 0;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    const Case c = turned_case(seed);
    const Refinement r = refine(c.start, c.measurement, free_options());
    EXPECT_THAT(r.warnings, SizeIs(0)) << r.warnings.front();
    EXPECT_NEAR(r.stages.back().residual, 1, 0.1);
    for (const RefinedNumber& n : r.numbers) {
      const double pull = (n.value - truth_of(n.name)) / n.deviation;
      EXPECT_LT(std::abs(pull), 4.5) << n.name << ' ' << n.value << ' ' << n.deviation;
      squares += pull * pull;
      count += 1;
    }
    EXPECT_LT(r.numbers[1].deviation, 0.03);
    EXPECT_LT(r.numbers[3].deviation, 0.02);
    ASSERT_TRUE(r.found_spots);
    EXPECT_GT(r.found_spots->placed, 50u);
    EXPECT_LT(r.found_spots->fast_rms_px, 0.3);
    EXPECT_LT(r.found_spots->slow_rms_px, 0.3);

    ASSERT_GT(r.factors.size(), 50u);
    for (const RefinedFactor& f : r.factors) {
      const auto& [h, k, l] = f.hkl;
      const double off = f.value - c.truth.structure_factors.grid->at(h, k, l);
      factor_squares += std::pow(off / f.deviation, 2);
      factors += 1;
      EXPECT_EQ(r.experiments[0].structure_factors.grid->at(h, k, l), f.value);
    }
  }
  EXPECT_NEAR(std::sqrt(squares / count), 1, 0.4);
  EXPECT_NEAR(std::sqrt(factor_squares / factors), 1, 0.3);
}

TEST(RefineOfAScan, WithAModelOfAnotherShapeStillFindsTheLattice) {
  const Case c = turned_case(7, "-N 9 -mosaic 0.15 ");
  RefineOptions o = free_options();
  o.parameters = {"misset", "cell[0-2]"};
  o.equal = {"cell[0-2]"};
  const Refinement counted = refine(c.start, c.measurement, o);
  EXPECT_THAT(counted.warnings, Contains(HasSubstr("parts of the detector disagree")));
  EXPECT_EQ(counted.stages.back().misfit_share, 0);
  o.variances = Variances::fitted;
  const Refinement fitted = refine(c.start, c.measurement, o);
  EXPECT_GT(fitted.stages.back().misfit_share, 0.1);
  for (const Refinement* r : {&counted, &fitted})
    for (const RefinedNumber& n : r->numbers)
      EXPECT_LT(std::abs(n.value - truth_of(n.name)), 5 * n.deviation) << n.name;
  for (const Shoebox& box : fitted.shoeboxes) {
    ASSERT_TRUE(box.hkl);
    EXPECT_THAT(box.misfit_variance, SizeIs(box.pixels.size()));
  }
}

TEST(RefineOfAScan, OfAModelThatIsRightFitsHardlyAnyMisfit) {
  const Case c = turned_case(8);
  RefineOptions o = free_options();
  o.variances = Variances::fitted;
  const Refinement r = refine(c.start, c.measurement, o);
  EXPECT_LT(r.stages.back().misfit_share, 0.1);
  for (const RefinedNumber& n : r.numbers)
    EXPECT_LT(std::abs(n.value - truth_of(n.name)), 4.5 * n.deviation) << n.name;
}

TEST(RefineOfAScan, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Case c = turned_case(9);
  RefineOptions o = free_options();
  o.iterations = 3;
  o.compute.threads = 1;
  const Refinement one = refine(c.start, c.measurement, o);
  o.compute.threads = 3;
  const Refinement three = refine(c.start, c.measurement, o);
  for (std::size_t i = 0; i < one.numbers.size(); ++i) {
    EXPECT_EQ(one.numbers[i].value, three.numbers[i].value);
    EXPECT_EQ(one.numbers[i].deviation, three.numbers[i].deviation);
  }
}

TEST(RefineOfAScan, SaysThatASpreadHasGoneToZeroWhereSpotsAreNarrowerThanTheModelsBlocks) {
  const Case c = turned_case(10, "-N 18 -mosaic 1e-9 ");
  RefineOptions o = free_options();
  o.parameters = {"mosaic_spread"};
  o.equal.clear();
  o.spot_stage = false;
  Experiment start = test::experiment_of(scan);
  const Refinement r = refine(start, c.measurement, o);
  EXPECT_LT(r.numbers[0].value, 1e-4);
  EXPECT_THAT(r.warnings, Contains(HasSubstr("mosaic_spread has gone to zero")));
  EXPECT_TRUE(std::isinf(r.numbers[0].deviation));
}

TEST(RefineOfAScan, SaysThatAnImageIsNoCountOfPhotons) {
  Case c = turned_case(10);
  c.measurement.counts = simulate(c.truth).image;
  for (float& p : c.measurement.counts.pixels) p += 12;
  RefineOptions o = free_options();
  o.parameters = {"misset"};
  o.equal.clear();
  const Refinement r = refine(test::experiment_of(scan), c.measurement, o);
  EXPECT_THAT(r.warnings, Contains(HasSubstr("the counts vary less than photons do")));
}

TEST(RefineOfAScan, ThatWasStoppedEndsAsIfItHadNotBeen) {
  const Case c = turned_case(9);
  for (const Variances variances : {Variances::counted, Variances::fitted}) {
    RefineOptions o = free_options();
    o.variances = variances;
    o.iterations = 3;
    o.most_shoeboxes = 40;
    int iterations = 0;
    o.progress = [&](const RefineProgress&) { return ++iterations > 0; };
    const Refinement whole = refine(c.start, c.measurement, o);
    for (const int most : {3, iterations - 2}) {  // among spot positions and among pixels
      int left = most;
      o.progress = [&](const RefineProgress&) { return --left > 0; };
      const Refinement stopped = refine(c.start, c.measurement, o);
      ASSERT_TRUE(stopped.stopped);
      o.progress = {};
      o.resume = refine_state_from_json(to_json(stopped.state));
      const Refinement resumed = refine(c.start, c.measurement, o);
      o.resume.reset();
      ASSERT_EQ(resumed.numbers.size(), whole.numbers.size());
      for (std::size_t i = 0; i < whole.numbers.size(); ++i) {
        EXPECT_EQ(resumed.numbers[i].value, whole.numbers[i].value) << whole.numbers[i].name;
        EXPECT_EQ(resumed.numbers[i].deviation, whole.numbers[i].deviation);
      }
      EXPECT_EQ(resumed.stages.size(), whole.stages.size());
    }
  }
}

TEST(RefineOfAScan, RefusesWhatFreeIntensitiesLeaveNothingToSayAbout) {
  const Case c = turned_case(11);
  const auto complaint = [&](RefineOptions o) {
    return test::message_of<UsageError>([&] { refine(c.start, c.measurement, o); });
  };
  RefineOptions o = free_options();
  o.parameters = {"misset", "fluence"};
  o.equal.clear();
  EXPECT_THAT(complaint(o), HasSubstr("fluence cannot be refined where the intensities are free"));
  o = free_options();
  o.all_pixels = true;
  EXPECT_THAT(complaint(o), HasSubstr("free intensities need shoeboxes"));
  Experiment bent = c.start;
  bent.more_panels.push_back({bent.detector, {}, {}});
  bent.more_panels.back().detector.curved = true;
  EXPECT_THAT(test::message_of<UsageError>([&] { refine(bent, c.measurement, free_options()); }),
              HasSubstr("this detector is curved (-curved_det)"));
  o = free_options();
  o.structure_factor_deviation = 0.1;
  EXPECT_THAT(complaint(o), HasSubstr("where the intensities are free"));
}

}  // namespace
}  // namespace nablabragg
