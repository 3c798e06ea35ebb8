// Refinement of several crystals in one beam: whose spots are whose, and crystals that are found
// again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "nablabragg/error.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/predicted_spots.hpp"
#include "nablabragg/refine.hpp"
#include "nablabragg/simulate.hpp"
#include "refine/free_parameters.hpp"
#include "refine/spot_positions.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using namespace refinement;
using testing::HasSubstr;
using testing::SizeIs;

const std::string first_crystal =
    "-corrected -cell 40 45 50 90 90 90 -misset 12 -7 33 -N 15 -gauss_xtal -mosaic 0.6 "
    "-mosaic_domains 20 -lambda 1 -distance 60 -detpixels 256 -pixel 0.2 -Xbeam 25.5 -Ybeam 25.7 "
    "-oversample 1 -fluence 3e27 -default_F 100 ";
const std::string both_crystals = first_crystal + "-more_crystal -40 15 70 0.4 ";

struct Case {
  Experiment truth, start;
  Measurement measurement;
};

Case two_crystals(unsigned seed) {
  Case c;
  c.truth = test::experiment_of(both_crystals);
  c.measurement.counts = simulate(c.truth).image;
  std::mt19937_64 random(seed);
  for (float& p : c.measurement.counts.pixels)
    p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p) + 1.5)(random));
  c.start = c.truth;
  c.start.crystal.misset_deg = {12.3, -7.3, 33.3};
  c.start.crystal.cell->b_A *= 1.005;
  c.start.detector.beam_x_mm = 25.8;
  c.start.detector.beam_y_mm = 25.4;
  c.start.more_crystals[0].misset_deg = {-40.3, 15.3, 69.8};
  c.start.more_crystals[0].weight = 0.6;
  return c;
}

RefineOptions options_for(std::vector<std::string> names) {
  RefineOptions o;
  o.parameters = std::move(names);
  return o;
}

/// Where it does not count how well they are fitted.
RefineOptions few_boxes(std::vector<std::string> names) {
  RefineOptions o = options_for(std::move(names));
  o.most_shoeboxes = 40;
  return o;
}

void expect_found(const Case& c, const Refinement& r) {
  for (const RefinedNumber& n : r.numbers) {
    const FreeParameters truth(c.truth, options_for({n.name}));
    EXPECT_LT(std::abs(n.value - truth.start()[0]), 4.5 * n.deviation) << n.name;
  }
  EXPECT_NEAR(r.stages.back().residual, 1, 0.1);
}

TEST(SpotGeometryOfSeveralCrystals, GivesEachSpotTheCrystalAndTheIndexItHas) {
  const Experiment e = test::experiment_of(both_crystals + "-phi 20 -osc 1 ");
  const SpotGeometry geometry(resolve(e));
  ASSERT_EQ(geometry.crystals(), 2u);
  std::size_t right = 0, of_second = 0;
  const std::vector<PredictedSpot> predicted = predicted_spots(geometry_of(e), 2);
  for (const PredictedSpot& p : predicted) {
    const auto expected = geometry.expected(LatticePoint{p.hkl, p.experiment});
    ASSERT_TRUE(expected);
    EXPECT_NEAR(expected->fast + 0.5, p.fast_px, 1e-6);
    EXPECT_NEAR(expected->slow + 0.5, p.slow_px, 1e-6);
    Spot spot;
    spot.fast = p.fast_px - 0.5;
    spot.slow = p.slow_px - 0.5;
    const auto point = geometry.nearest_point(spot, [](const MillerIndex&) { return true; });
    if (point && point->index == p.hkl && point->crystal == p.experiment) ++right;
    if (p.experiment == 1) ++of_second;
  }
  EXPECT_GT(of_second, 50u);
  EXPECT_GT(predicted.size() - of_second, 50u);
  // Lattice points of both may scatter to one place
  EXPECT_GT(right, 0.97 * static_cast<double>(predicted.size()));
}

TEST(RefineOfSeveralCrystals, FindsHowEachLiesAndItsShare) {
  const Case c = two_crystals(1);
  const Refinement r = refine(c.start, c.measurement,
                              options_for({"misset", "cell[0-2]", "beam_center", "mosaic_spread",
                                           "fluence", "crystal[1].misset", "crystal[1].weight"}));
  expect_found(c, r);
  EXPECT_THAT(r.warnings, SizeIs(0));
  EXPECT_EQ(r.stages[0].stage, RefineStage::spot_positions);
  EXPECT_EQ(r.numbers.back().name, "crystal[1].weight");
  EXPECT_LT(r.numbers.back().deviation, 0.01);
  std::set<int> crystals;
  for (const Shoebox& box : r.shoeboxes)
    if (box.hkl) crystals.insert(box.crystal);
  EXPECT_EQ(crystals, (std::set{0, 1}));
  // The light of the second is no noise
  Experiment alone = c.truth;
  alone.more_crystals.clear();
  EXPECT_GT(refine(alone, c.measurement, few_boxes({"fluence"})).stages.back().residual,
            1.5 * r.stages.back().residual);
}

TEST(RefineOfSeveralCrystals, FindsTheCellsAndTheSpreadOfOneThatHasItsOwn) {
  Case c = two_crystals(2);
  c.truth.more_crystals[0].cells = c.start.more_crystals[0].cells = Vec3d{10, 12, 8};
  c.truth.more_crystals[0].mosaic_spread_deg = 0.4;
  c.start.more_crystals[0].mosaic_spread_deg = 0.5;
  c.truth.more_crystals[0].weight = 2;
  c.start.more_crystals[0].weight = 1.5;
  c.measurement.counts = simulate(c.truth).image;
  std::mt19937_64 random(2);
  for (float& p : c.measurement.counts.pixels)
    p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p) + 1.5)(random));
  expect_found(c, refine(c.start, c.measurement,
                         options_for({"misset", "cell[1]", "beam_center", "crystal[1].misset",
                                      "crystal[1].weight", "crystal[1].mosaic_spread"})));
}

TEST(RefineOfSeveralCrystals, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Case c = two_crystals(3);
  RefineOptions o = few_boxes(
      {"misset", "cell[1]", "beam_center", "crystal[1].misset", "crystal[1].weight"});
  o.compute.threads = 1;
  const Refinement one = refine(c.start, c.measurement, o);
  o.compute.threads = 3;
  const Refinement three = refine(c.start, c.measurement, o);
  for (std::size_t i = 0; i < one.numbers.size(); ++i)
    EXPECT_EQ(one.numbers[i].value, three.numbers[i].value) << one.numbers[i].name;
}

TEST(RefineOfSeveralCrystals, TakesSpotsOfEachFromFurtherAwayThanItsOwn) {
  Case c = two_crystals(4);
  c.start.crystal.misset_deg = {18, -13, 39};
  c.start.more_crystals[0].misset_deg = {-46, 21, 64};
  RefineOptions o = options_for(
      {"misset", "cell[1]", "beam_center", "crystal[1].misset", "crystal[1].weight"});
  EXPECT_THAT(test::message_of<InputError>([&] { refine(c.start, c.measurement, o); }),
              HasSubstr("of them fit the lattices of the starting crystals, which are too few"));
  const Image& image = c.measurement.counts;
  PhotonImage photons{256, 256, {image.pixels.begin(), image.pixels.end()}, {}, {}};
  photons.usable.assign(image.pixels.size(), 1);
  photons.at_least.assign(image.pixels.size(), 0);
  for (const IndexedSpot& s :
       index_spots(SpotGeometry(resolve(c.truth)), find_spots(photons, 200), 1e9))
    o.observed_spots.push_back(
        {s.spot.fast, s.spot.slow, 0, s.spot.photons, s.point.index, 0, s.point.crystal});
  ASSERT_GT(o.observed_spots.size(), 60u);
  const Refinement r = refine(c.start, c.measurement, o);
  expect_found(Case{c.truth, c.start, {}}, r);
  o.observed_spots[0].crystal = 2;
  EXPECT_THAT(test::message_of<InputError>([&] { refine(c.start, c.measurement, o); }),
              HasSubstr("an observed spot is of crystal 2, and the model has 2"));
}

TEST(RefineOfSeveralCrystals, FindsStructureFactorsThatTheyShare) {
  Case c = two_crystals(5);
  std::mt19937_64 random(5);
  std::lognormal_distribution<double> varied(std::log(100.0), 0.3), off(0, 0.1);
  auto truth = std::make_shared<StructureFactorGrid>(MillerIndex{-25, -28, -31},
                                                     MillerIndex{25, 28, 31}, 100.0);
  auto start = std::make_shared<StructureFactorGrid>(*truth);
  for (int h = -25; h <= 25; ++h)
    for (int k = -28; k <= 28; ++k)
      for (int l = -31; l <= 31; ++l) {
        truth->at(h, k, l) = varied(random);
        start->at(h, k, l) = truth->at(h, k, l) * off(random);
      }
  c.truth.structure_factors.grid = truth;
  c.measurement.counts = simulate(c.truth).image;
  for (float& p : c.measurement.counts.pixels)
    p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p) + 1.5)(random));
  c.start = c.truth;
  c.start.structure_factors.grid = start;
  RefineOptions o = options_for({"misset", "crystal[1].misset"});
  o.structure_factor_deviation = 0.1;
  const Refinement r = refine(c.start, c.measurement, o);
  ASSERT_GT(r.factors.size(), 100u);
  double before = 0, after = 0, pulls = 0;
  for (const RefinedFactor& f : r.factors) {
    const double is = truth->at(f.hkl[0], f.hkl[1], f.hkl[2]);
    before += std::pow(f.start / is - 1, 2);
    after += std::pow(f.value / is - 1, 2);
    pulls += std::pow((f.value - is) / f.deviation, 2);
  }
  EXPECT_LT(after, before / 4);
  EXPECT_NEAR(std::sqrt(pulls / static_cast<double>(r.factors.size())), 1, 0.4);
}

/// F between 30 and 170, other ones for each seed.
std::shared_ptr<StructureFactorGrid> random_factors(unsigned seed) {
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-30, -30, -30},
                                                    MillerIndex{30, 30, 30}, 0.0);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> factors(30, 170);
  for (int h = -30; h <= 30; ++h)
    for (int k = -30; k <= 30; ++k)
      for (int l = -30; l <= 30; ++l) grid->at(h, k, l) = factors(random);
  return grid;
}

double median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

TEST(RefineOfSeveralCrystals, FindsHowEachLiesWithoutStructureFactors) {
  double squares = 0, count = 0;
  std::vector<double> pulls;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Case c = two_crystals(seed);
    c.truth.structure_factors.grid = random_factors(seed);
    c.truth.more_crystals[0].weight = 0.8;
    c.truth.beam.fluence_per_m2 = c.start.beam.fluence_per_m2 = 3e26;
    c.measurement.counts = simulate(c.truth).image;
    std::mt19937_64 random(seed + 100);
    for (float& p : c.measurement.counts.pixels)
      p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p) + 1.5)(random));
    c.start.more_crystals[0].weight = 0.8;
    RefineOptions o = options_for({"misset", "cell[0-2]", "beam_center", "crystal[1].misset"});
    o.intensities = Intensities::free;
    o.shoebox_px = 7;
    const Refinement r = refine(c.start, c.measurement, o);
    EXPECT_NEAR(r.stages.back().residual, 1, 0.1) << r.factors.size();
    for (const RefinedNumber& n : r.numbers) {
      const FreeParameters truth(c.truth, options_for({n.name}));
      const double pull = (n.value - truth.start()[0]) / n.deviation;
      EXPECT_LT(std::abs(pull), 4.5) << n.name << ' ' << n.value << ' ' << n.deviation;
      squares += pull * pull;
      count += 1;
    }
    std::set<int> crystals;
    for (const Shoebox& box : r.shoeboxes) crystals.insert(box.crystal);
    EXPECT_EQ(crystals, (std::set<int>{0, 1}));
    ASSERT_GT(r.factors.size(), 50u);
    for (const RefinedFactor& f : r.factors) {
      const double off = f.value - c.truth.structure_factors.grid->at(f.hkl[0], f.hkl[1], f.hkl[2]);
      pulls.push_back(std::abs(off) / f.deviation);
    }
  }
  EXPECT_NEAR(std::sqrt(squares / count), 1, 0.4);
  // Of a normal deviate it is 0.67; spots that lie on each other are further off
  EXPECT_NEAR(median(pulls), 0.67, 0.25);
}

TEST(RefineOfSeveralCrystals, TakesTheWeightOfEachForKnownWhereIntensitiesAreFree) {
  Case c = two_crystals(6);
  c.start = c.truth;
  RefineOptions o = options_for({"misset", "crystal[1].misset"});
  o.intensities = Intensities::free;
  o.shoebox_px = 7;
  // Twice the weight that it has: what its spots then say of F is less by the root of two
  c.start.more_crystals[0].weight = 0.8;
  const Refinement r = refine(c.start, c.measurement, o);
  std::set<MillerIndex> of_first;
  for (const Shoebox& box : r.shoeboxes)
    if (box.crystal == 0) of_first.insert(*box.hkl);
  std::vector<double> first, second;
  for (const RefinedFactor& f : r.factors)
    (of_first.contains(f.hkl) ? first : second).push_back(f.value / 100);
  EXPECT_NEAR(median(first), 1, 0.05);
  EXPECT_NEAR(median(second), std::sqrt(0.5), 0.05);
  o.parameters.emplace_back("crystal[1].weight");
  EXPECT_THAT(test::message_of<UsageError>([&] { refine(c.start, c.measurement, o); }),
              HasSubstr("crystal[1].weight cannot be refined where the intensities are free: it "
                        "makes all spots of that crystal brighter alike"));
}

}  // namespace
}  // namespace nablabragg
