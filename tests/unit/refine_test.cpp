// The pieces of a refinement against numbers that are known otherwise, and a small crystal that is
// found again.
#include "nablabragg/refine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>

#include "nablabragg/beamstop_shadow.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/parameters.hpp"
#include "refine/free_parameters.hpp"
#include "refine/likelihood.hpp"
#include "refine/shoeboxes.hpp"
#include "refine/spot_positions.hpp"
#include "refine/spots.hpp"
#include "refine/uncertainty.hpp"
#include "support/damage.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using namespace refinement;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// ---- Likelihood -------------------------------------------------------------------------------

TEST(PoissonResidual, SquaredIsTwiceTheLogOfTheLikelihoodRatio) {
  const auto log_likelihood = [](double n, double m) { return n * std::log(m) - m; };
  for (const double n : {1.0, 3.0, 250.0})
    for (const double m : {0.2, 2.9, 40.0, 260.0}) {
      const double r = poisson_residual(n, m).value;
      EXPECT_NEAR(r * r, 2 * (log_likelihood(n, n) - log_likelihood(n, m)), 1e-9 * (1 + r * r));
      EXPECT_EQ(r > 0, m > n);
    }
  const double none = poisson_residual(0, 3).value;
  EXPECT_NEAR(none * none, 6, 1e-12);
}

TEST(PoissonResidual, HasTheSlopeOfItsValue) {
  for (const double n : {0.0, 1.0, 7.0, 900.0})
    for (const double m : {-2.0, -0.1, 0.004, 0.02, 0.9, 6.9999, 7.0003, 20.0, 901.0}) {
      const double step = 1e-6 * (1 + std::abs(m));
      const double estimate = (poisson_residual(n, m + step).value -
                               poisson_residual(n, m - step).value) /
                              (2 * step);
      EXPECT_NEAR(poisson_residual(n, m).slope, estimate, 2e-5 * (1 + std::abs(estimate)))
          << "n " << n << " m " << m;
    }
}

TEST(PoissonResidual, IsSmoothWhereAsManyPhotonsCameAsWereExpected) {
  for (const double n : {1.0, 100.0, 1e6}) {
    const Residual r = poisson_residual(n, n);
    EXPECT_EQ(r.value, 0);
    EXPECT_DOUBLE_EQ(r.slope, 1 / std::sqrt(n));
    EXPECT_NEAR(poisson_residual(n, n * (1 + 1e-5)).value, std::sqrt(n) * 1e-5,
                1e-9 * std::sqrt(n));
  }
}

TEST(PoissonResidual, GrowsBelowZeroExpectedPhotons) {
  double before = std::abs(poisson_residual(2, 0.01).value);
  for (const double m : {0.0, -0.1, -1.0, -10.0}) {
    const double now = std::abs(poisson_residual(2, m).value);
    EXPECT_GT(now, before);
    before = now;
  }
}

TEST(GaussResidual, IsTheDifferenceInStandardDeviations) {
  const Residual r = gauss_residual(10, 16, 4);
  EXPECT_DOUBLE_EQ(r.value, 3);
  EXPECT_DOUBLE_EQ(r.slope, 0.5);
}

/// ln of the probability of n photons or more where m are expected, by the sum of the rest.
double log_of_n_or_more(int n, double m) {
  double below = 0, above = 0;
  const auto term = [&](int k) { return std::exp(k * std::log(m) - m - std::lgamma(k + 1.0)); };
  for (int k = 0; k < n; ++k) below += term(k);
  for (int k = n; k < n + 2000; ++k) above += term(k);
  return below < 0.5 ? std::log1p(-below) : std::log(above);
}

TEST(SaturatedPixels, HaveTheLikelihoodOfAsManyPhotonsOrMore) {
  for (const int n : {5, 20, 50, 300})
    for (const double deviations : {-8.0, -3.0, -1.0, 0.0, 0.5, 2.0, 5.0}) {
      const double m = n + deviations * std::sqrt(n);
      if (!(m > 0)) continue;
      SCOPED_TRACE(testing::Message() << "n " << n << " m " << m);
      const double r = poisson_residual(Seen{n - 0.5, true}, m).value, log = log_of_n_or_more(n, m);
      EXPECT_LE(r, 0);
      EXPECT_NEAR(-r * r / 2, log, 3e-3 + 0.015 * std::abs(log));
    }
  // Of a normal distribution: half a standard deviation below
  const double r = gauss_residual(Seen{100, true}, 95, 100).value;
  EXPECT_NEAR(-r * r / 2, std::log(0.3085375387259869), 1e-12);
}

TEST(SaturatedPixels, HaveTheSlopeOfTheirResidual) {
  for (const double n : {50.5, 65534.5})
    for (const double share : {0.01, 0.5, 0.9, 0.999, 1.001, 1.1, 1.3, 2.0, 10.0}) {
      const Seen seen{n, true};
      const double m = share * n, step = 1e-6 * m;
      const double estimate = (poisson_residual(seen, m + step).value -
                               poisson_residual(seen, m - step).value) /
                              (2 * step);
      EXPECT_NEAR(poisson_residual(seen, m).slope, estimate, 1e-6 * (1e-3 + std::abs(estimate)))
          << "n " << n << " m " << m;
    }
}

TEST(SaturatedPixels, SayNothingWhereManyMorePhotonsAreExpected) {
  const Residual r = poisson_residual(Seen{50, true}, 5000);
  EXPECT_EQ(r.value, 0);
  EXPECT_EQ(r.slope, 0);
  EXPECT_EQ(evidence(Seen{50, true}, 5000, 5000).information, 0);
}

TEST(SaturatedPixels, PullAndInformAsTheSlopeAndTheCurvatureOfTheLikelihoodSay) {
  const double variance = 40, step = 1e-3;
  for (const double m : {-400.0, 20.0, 90.0, 100.0, 104.0, 130.0}) {
    const auto log = [&](double expected) {
      const double r = gauss_residual(Seen{100, true}, expected, variance).value;
      return -r * r / 2;
    };
    const Evidence e = evidence(Seen{100, true}, m, variance);
    const double sigma = std::sqrt(variance);
    EXPECT_NEAR(e.pull, sigma * (log(m + step) - log(m - step)) / (2 * step),
                1e-5 * (1 + std::abs(e.pull)));
    EXPECT_NEAR(e.information,
                -variance * (log(m + step) - 2 * log(m) + log(m - step)) / (step * step), 1e-4);
  }
  const Evidence counted = evidence(Seen{100, false}, 110, variance);
  EXPECT_DOUBLE_EQ(counted.pull, -10 / std::sqrt(variance));
  EXPECT_EQ(counted.information, 1);
}

// ---- Spots and shoeboxes ----------------------------------------------------------------------

PhotonImage flat_image(int fast, int slow, double level) {
  const auto pixels = static_cast<std::size_t>(fast) * static_cast<std::size_t>(slow);
  return {fast, slow, std::vector<double>(pixels, level), std::vector<std::uint8_t>(pixels, 1),
          std::vector<std::uint8_t>(pixels, 0)};
}

TEST(Spots, AreFoundWithCentroidAndPhotonsAboveTheBackground) {
  PhotonImage image = flat_image(60, 50, 4);
  image.photons[image.at(20, 30)] += 100;
  image.photons[image.at(21, 30)] += 300;
  image.photons[image.at(50, 10)] += 90;
  const std::vector<Spot> spots = find_spots(image, 50);
  ASSERT_THAT(spots, SizeIs(2));
  EXPECT_NEAR(spots[0].fast, 20.75, 1e-9);
  EXPECT_NEAR(spots[0].slow, 30, 1e-9);
  EXPECT_NEAR(spots[0].photons, 400, 1e-9);
  EXPECT_EQ(spots[0].pixels, 2);
  EXPECT_NEAR(spots[1].photons, 90, 1e-9);
  EXPECT_THAT(find_spots(image, 100), SizeIs(1));
}

TEST(Spots, AreNotMadeOfPixelsThatMayNotBeUsed) {
  PhotonImage image = flat_image(40, 40, 1);
  image.photons[image.at(20, 20)] = 500;
  image.usable[image.at(20, 20)] = 0;
  EXPECT_THAT(find_spots(image, 10), SizeIs(0));
}

TEST(Shoeboxes, GiveEachPixelToTheNearestSpotAndEndAtThePanel) {
  const PhotonImage image = flat_image(40, 30, 0);
  const std::vector<ShoeboxPlace> places{{10, 10}, {14, 10}, {39, 29}};
  const std::vector<Shoebox> boxes = make_shoeboxes({{image}}, places, 9);
  ASSERT_THAT(boxes, SizeIs(3));
  EXPECT_THAT(boxes[2].pixels, SizeIs(25));
  std::vector<int> seen(image.photons.size());
  for (const Shoebox& box : boxes)
    for (const PixelIndex& p : box.pixels) ++seen[image.at(p.fast, p.slow)];
  EXPECT_EQ(*std::max_element(seen.begin(), seen.end()), 1);
  for (const PixelIndex& p : boxes[0].pixels) EXPECT_LE(p.fast, 12);
  for (const PixelIndex& p : boxes[1].pixels) EXPECT_GE(p.fast, 12);
}

TEST(Spots, OfSeveralPanelsKeepTheirPanelAndStayOnIt) {
  PhotonImages images{{flat_image(40, 30, 2), flat_image(50, 20, 2)}};
  // A streak that ends with the first panel and one that begins with the second are two spots
  images.panels[0].photons[images.panels[0].at(39, 10)] += 200;
  images.panels[1].photons[images.panels[1].at(0, 10)] += 300;
  const std::vector<Spot> spots = find_spots(images, 50);
  ASSERT_THAT(spots, SizeIs(2));
  EXPECT_EQ(spots[0].panel, 1);
  EXPECT_NEAR(spots[0].photons, 300, 1e-9);
  EXPECT_EQ(spots[1].panel, 0);
  EXPECT_EQ(images.seen({0, 10, 1}).photons, 302);

  const std::vector<ShoeboxPlace> places{{spots[0].fast, spots[0].slow, spots[0].panel},
                                         {spots[1].fast, spots[1].slow, spots[1].panel}};
  const std::vector<Shoebox> boxes = make_shoeboxes(images, places, 9);
  ASSERT_THAT(boxes, SizeIs(2));
  for (const Shoebox& box : boxes) {
    EXPECT_THAT(box.pixels, SizeIs(45));
    for (const PixelIndex& p : box.pixels) EXPECT_EQ(p.panel, box.panel);
  }
  const std::vector<Shoebox> whole = whole_panels(images);
  ASSERT_THAT(whole, SizeIs(2));
  EXPECT_THAT(whole[1].pixels, SizeIs(1000));
  EXPECT_EQ(whole[1].panel, 1);
}

TEST(Shoeboxes, BeginWithTheLevelUnderTheirSpot) {
  PhotonImage image = flat_image(30, 30, 3);
  image.photons[image.at(15, 15)] = 1000;
  const std::vector<ShoeboxPlace> places{{15, 15}};
  std::vector<Shoebox> boxes = make_shoeboxes({{image}}, places, 15);
  std::vector<double> model(boxes[0].pixels.size(), 0.0);
  start_background({{image}}, Background::plane, model, boxes[0]);
  EXPECT_THAT(boxes[0].background, ElementsAre(3, 0, 0));
  model.assign(model.size(), 1.0);
  model[100] = 900;
  start_background({{image}}, Background::constant, model, boxes[0]);
  EXPECT_THAT(boxes[0].background, ElementsAre(2));
}

// ---- Positions of spots -----------------------------------------------------------------------

/// Of the model's spots from where they are expected: [pixels] and [rad].
void expect_spots_in_place(const std::string& sensor) {
  const Experiment e = test::experiment_of(
      "-corrected -cell 50 60 70 80 95 100 -misset 10 20 30 -default_F 100 -N 20 -gauss_xtal "
      "-lambda 1.2 -distance 90 -detpixels 400 -pixel 0.2 -Xbeam 38 -Ybeam 41 -twotheta 10 "
      "-detector_rotx 2 -mosaic 0.4 -mosaic_domains 60 -oversample 3 -fluence 1e27 " +
      sensor);
  const Simulation s = simulate(e);
  PhotonImage image = flat_image(400, 400, 0);
  for (std::size_t i = 0; i < image.photons.size(); ++i)
    image.photons[i] = static_cast<double>(s.image.pixels[i]);
  const SpotGeometry geometry(s.resolved);
  const std::vector<Spot> spots = find_spots(image, 1000);
  const std::vector<IndexedSpot> indexed = index_spots(geometry, spots, 1e9);
  ASSERT_GT(indexed.size(), 30u);
  double off2 = 0, missed2 = 0;
  for (const IndexedSpot& i : indexed) {
    const auto expected = geometry.expected(i.point);
    off2 += std::pow(expected->fast - i.spot.fast, 2) + std::pow(expected->slow - i.spot.slow, 2);
    missed2 += expected->missed_by_rad * expected->missed_by_rad;
  }
  const auto n = static_cast<double>(indexed.size());
  EXPECT_LT(std::sqrt(off2 / n), 0.5);
  EXPECT_LT(std::sqrt(missed2 / n), 0.4 / 57);
}

TEST(SpotGeometry, ExpectsSpotsWhereTheModelMakesThem) { expect_spots_in_place(""); }

TEST(SpotGeometry, ExpectsSpotsOfAThickSensorInItsDepth) {
  // Caught 0.78 mm behind the surface, which puts spots up to two pixels further out
  expect_spots_in_place("-detector_thick 2000 -detector_abs 1500 -detector_thicksteps 5");
}

// ---- Uncertainty ------------------------------------------------------------------------------

TEST(Uncertainty, IsTheInverseOfAKnownMatrix) {
  // [[4, 2], [2, 3]] has the inverse [[3, -2], [-2, 4]] / 8
  const std::vector<double> information{4, 2, 2, 3};
  const Uncertainty u = uncertainty(information, 2);
  EXPECT_NEAR(u.deviations[0], std::sqrt(3.0 / 8), 1e-14);
  EXPECT_NEAR(u.deviations[1], std::sqrt(4.0 / 8), 1e-14);
  EXPECT_NEAR(u.correlations[1], -2 / std::sqrt(12.0), 1e-14);
  EXPECT_EQ(u.correlations[0], 1);
  EXPECT_THAT(u.undetermined, SizeIs(0));
}

TEST(Uncertainty, DoesNotDependOnUnits) {
  const double huge = 1e25;
  const std::vector<double> information{4, 2 / huge, 2 / huge, 3 / huge / huge};
  const Uncertainty u = uncertainty(information, 2);
  EXPECT_NEAR(u.deviations[1] / huge, std::sqrt(4.0 / 8), 1e-12);
  EXPECT_NEAR(u.correlations[1], -2 / std::sqrt(12.0), 1e-12);
}

TEST(Uncertainty, NamesTheCombinationThatNothingIsKnownAbout) {
  // Only the sum of the first two is known
  const std::vector<double> information{1, 1, 0, 1, 1, 0, 0, 0, 4};
  const Uncertainty u = uncertainty(information, 3);
  EXPECT_TRUE(std::isinf(u.deviations[0]));
  EXPECT_TRUE(std::isinf(u.deviations[1]));
  EXPECT_NEAR(u.deviations[2], 0.5, 1e-14);
  ASSERT_THAT(u.undetermined, SizeIs(1));
  EXPECT_NEAR(u.undetermined[0][0] * u.undetermined[0][1], -1, 1e-9);
}

TEST(Uncertainty, TellsCombinationsApartThatAreEquallyUnknown) {
  // The first and the third, the second and the fourth are known by their sums alone.
  const std::vector<double> information{1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1};
  const Uncertainty u = uncertainty(information, 4);
  ASSERT_THAT(u.undetermined, SizeIs(2));
  for (const std::vector<double>& shares : u.undetermined) {
    const std::size_t first = std::abs(shares[0]) > 0.5 ? 0 : 1;
    EXPECT_NEAR(shares[first] * shares[first + 2], -1, 1e-9);
    EXPECT_NEAR(shares[1 - first], 0, 1e-9);
    EXPECT_NEAR(shares[3 - first], 0, 1e-9);
  }
}

// ---- Names ------------------------------------------------------------------------------------

const std::string small_crystal =
    "-corrected -cell 40 45 50 90 90 90 -misset 12 -7 33 -N 15 -gauss_xtal -mosaic 0.6 "
    "-mosaic_domains 20 -lambda 1 -distance 60 -detpixels 256 -pixel 0.2 -Xbeam 25.5 -Ybeam 25.7 "
    "-oversample 1 -fluence 3e27 -default_F 100 ";

RefineOptions options_for(std::vector<std::string> names) {
  RefineOptions o;
  o.parameters = std::move(names);
  return o;
}

TEST(FreeParameters, AreChosenByNameAndByNumber) {
  const Experiment e = test::experiment_of(small_crystal);
  const FreeParameters free(e, options_for({"cell[0-2]", "distance", "misset[1]"}));
  std::vector<std::string> names;
  for (const FreeNumber& n : free.numbers()) names.push_back(n.name);
  EXPECT_THAT(names, ElementsAre("cell[0]", "cell[1]", "cell[2]", "distance", "misset[1]"));
  EXPECT_EQ(free.numbers()[4].column, 6u + 1 + 1);
  const Experiment changed = free.experiment(std::vector<double>{41, 45, 50, 61, -6});
  EXPECT_EQ(changed.crystal.cell->a_A, 41);
  EXPECT_EQ(changed.crystal.misset_deg.y, -6);
  EXPECT_EQ(changed.crystal.misset_deg.z, 33);
  EXPECT_EQ(changed.detector.distance_mm, 61);
}

/// Four panels of 128 x 128 pixels, two and two in groups that are in one of all.
Experiment four_panels() {
  Experiment e = test::experiment_of(small_crystal);
  Geometry g = geometry_of(e);
  const GeometryPanel whole = g.panels[0];
  const Vec3d fast = whole.fast_axis, slow = whole.slow_axis;
  g.groups = {{"all", -1, {60, 0, 0}, fast, slow},
              {"left", 0, {60, 0, 0}, fast, slow},
              {"right", 0, {60, 0, 0}, fast, slow}};
  g.panels.clear();
  for (int i = 0; i < 4; ++i) {
    GeometryPanel p = whole;
    p.name = "p" + std::to_string(i);
    p.group = i % 2 == 0 ? 1 : 2;
    p.fast_pixels = p.slow_pixels = 128;
    // Gaps of a millimetre
    p.origin_mm = p.origin_mm + (i % 2 == 0 ? -0.5 : 26.1) * fast + (i < 2 ? -0.5 : 26.1) * slow;
    g.panels.push_back(p);
  }
  g.crystals.clear();
  return with_geometry(e, g);
}

TEST(FreeParameters, OfPanelsAndGroupsAreChosenByNameAndByNumber) {
  const Experiment e = four_panels();
  const FreeParameters free(
      e, options_for({"panel[3].shift[0-1]", "group[right].rotation", "panel[0].rotation[2]"}));
  std::vector<std::string> names;
  for (const FreeNumber& n : free.numbers()) names.push_back(n.name);
  EXPECT_THAT(names, ElementsAre("panel[3].shift[0]", "panel[3].shift[1]",
                                 "group[right].rotation[0]", "group[right].rotation[1]",
                                 "group[right].rotation[2]", "panel[0].rotation[2]"));
  const Experiment changed = free.experiment(std::vector<double>{1, 2, 3, 4, 5, 6});
  EXPECT_EQ(*changed.more_panels[2].detector.shift_mm, (Vec3d{1, 2, 0}));
  EXPECT_EQ(changed.detector_groups[2].rotation_deg, (Vec3d{3, 4, 5}));
  EXPECT_EQ(*changed.detector.turn_deg, (Vec3d{0, 0, 6}));
  const auto complaint = [&](const char* name) {
    return test::message_of<UsageError>([&] { FreeParameters(e, options_for({name})); });
  };
  EXPECT_THAT(complaint("panel[4].shift"), HasSubstr("no parameter 'panel[4].shift'"));
  EXPECT_THAT(complaint("group[middle].shift"), HasSubstr("no parameter 'group[middle].shift'"));
  EXPECT_THAT(complaint("group[left].shift[3]"), HasSubstr("group[left].shift has 3 numbers"));
  EXPECT_THAT(complaint("panel[1].shift[x]"), HasSubstr("names no numbers"));
  EXPECT_THAT(complaint("panel[1]"), HasSubstr("panel"));
}

TEST(FreeParameters, ComplainInASentence) {
  const Experiment e = test::experiment_of(small_crystal);
  const auto complaint = [&](const RefineOptions& o) {
    return test::message_of<UsageError>([&] { FreeParameters(e, o); });
  };
  EXPECT_THAT(complaint(options_for({})), HasSubstr("nothing is to be refined"));
  EXPECT_THAT(complaint(options_for({"mispet"})), HasSubstr("mispet"));
  EXPECT_THAT(complaint(options_for({"cell[6]"})), HasSubstr("cell has 6 numbers"));
  EXPECT_THAT(complaint(options_for({"cell[x]"})), HasSubstr("'cell[x]' names no numbers"));
  EXPECT_THAT(complaint(options_for({"cell", "cell[1]"})), HasSubstr("cell[1] is named twice"));
  RefineOptions o = options_for({"distance"});
  o.bounds = {{"distance", 61, 62}};
  EXPECT_THAT(complaint(o), HasSubstr("bounds of distance do not hold"));
  o.bounds = {{"misset[0]", -1, 20}};
  EXPECT_THAT(complaint(o), HasSubstr("'misset[0]', which is not refined"));
  o.bounds.clear();
  o.restraints = {{"distance", 0, {}}};
  EXPECT_THAT(complaint(o), HasSubstr("positive standard deviation"));
}

// ---- The whole way ----------------------------------------------------------------------------

struct Case {
  Experiment truth, start;
  Measurement measurement;
};

Measurement counted(const Experiment& truth, unsigned seed) {
  Measurement m;
  m.counts = simulate(truth).image;
  std::mt19937_64 random(seed);
  for (float& p : m.counts.pixels)
    p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p) + 1.5)(random));
  return m;
}

Case small_case(unsigned seed) {
  Case c;
  c.truth = test::experiment_of(small_crystal);
  c.measurement = counted(c.truth, seed);
  c.start = c.truth;
  c.start.crystal.misset_deg = {12.3, -7.3, 33.3};
  c.start.crystal.cell->b_A *= 1.005;
  c.start.detector.beam_x_mm = 25.9;
  c.start.detector.beam_y_mm = 25.3;
  c.start.crystal.mosaic_spread_deg = 0.42;
  return c;
}

RefineOptions small_options() {
  return options_for({"misset", "cell[0-2]", "beam_center", "mosaic_spread", "fluence"});
}

/// Panels that stand elsewhere than where the start has them.
Case moved_case(unsigned seed, const std::vector<std::pair<std::string, std::vector<double>>>& by) {
  Case c;
  c.start = four_panels();
  c.truth = c.start;
  for (const auto& [name, values] : by) c.truth = with_parameter(c.truth, name, values);
  c.measurement = counted(c.truth, seed);
  return c;
}

void expect_found(const Case& c, const Refinement& r, double most_pull) {
  for (const RefinedNumber& n : r.numbers) {
    const FreeParameters truth(c.truth, options_for({n.name}));
    EXPECT_LT(std::abs(n.value - truth.start()[0]), most_pull * n.deviation) << n.name;
  }
  EXPECT_NEAR(r.stages.back().residual, 1, 0.1);
}

TEST(Refine, FindsASmallCrystalAgain) {
  const Case c = small_case(1);
  const Refinement r = refine(c.start, c.measurement, small_options());
  expect_found(c, r, 4.5);
  EXPECT_LT(r.numbers[0].deviation, 0.01);
  EXPECT_THAT(r.warnings, SizeIs(0));
  EXPECT_THAT(r.correlations, SizeIs(r.numbers.size() * r.numbers.size()));
  EXPECT_THAT(r.stages, SizeIs(3));
}

TEST(Refine, FindsItByTheGaussianLikelihoodOfGainOffsetAndReadoutNoiseToo) {
  Case c = small_case(2);
  std::mt19937_64 random(7);
  std::normal_distribution<float> readout(0, 3);
  for (float& p : c.measurement.counts.pixels) p = 100 + 2.5F * p + readout(random);
  c.measurement.counts_per_photon = 2.5;
  c.measurement.offset = 100;
  c.measurement.readout_noise = 3;
  RefineOptions o = small_options();
  o.likelihood = Likelihood::gauss;
  o.background = Background::plane;
  expect_found(c, refine(c.start, c.measurement, o), 4.5);
}

TEST(Refine, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Case c = small_case(3);
  RefineOptions o = small_options();
  o.compute.threads = 1;
  const Refinement one = refine(c.start, c.measurement, o);
  o.compute.threads = 3;
  const Refinement three = refine(c.start, c.measurement, o);
  for (std::size_t i = 0; i < one.numbers.size(); ++i) {
    EXPECT_EQ(one.numbers[i].value, three.numbers[i].value);
    EXPECT_EQ(one.numbers[i].deviation, three.numbers[i].deviation);
  }
}

/// Everything that a refinement says but the seconds.
void expect_same_end(const Refinement& a, const Refinement& b) {
  ASSERT_EQ(a.numbers.size(), b.numbers.size());
  for (std::size_t i = 0; i < a.numbers.size(); ++i) {
    EXPECT_EQ(a.numbers[i].value, b.numbers[i].value) << a.numbers[i].name;
    EXPECT_EQ(a.numbers[i].deviation, b.numbers[i].deviation) << a.numbers[i].name;
  }
  EXPECT_EQ(a.correlations, b.correlations);
  EXPECT_EQ(a.warnings, b.warnings);
  ASSERT_EQ(a.factors.size(), b.factors.size());
  for (std::size_t i = 0; i < a.factors.size(); ++i) {
    EXPECT_EQ(a.factors[i].value, b.factors[i].value);
    EXPECT_EQ(a.factors[i].deviation, b.factors[i].deviation);
  }
  ASSERT_EQ(a.stages.size(), b.stages.size());
  for (std::size_t i = 0; i < a.stages.size(); ++i) {
    EXPECT_EQ(a.stages[i].iterations, b.stages[i].iterations);
    EXPECT_EQ(a.stages[i].residual_before, b.stages[i].residual_before);
    EXPECT_EQ(a.stages[i].residual, b.stages[i].residual);
    EXPECT_EQ(a.stages[i].converged, b.stages[i].converged);
  }
  EXPECT_EQ(to_json(a.experiments[0]), to_json(b.experiments[0]));
  for (std::size_t i = 0; i < a.shoeboxes.size(); ++i)
    EXPECT_EQ(a.shoeboxes[i].background, b.shoeboxes[i].background);
}

/// The end of a refinement that was stopped after every two calls of progress(), and went on from
/// what a file of its state holds.  Steps that do not help are made again: where a stop comes
/// before one that does, the next one comes later.
Refinement with_stops(const Case& c, RefineOptions o) {
  int every = 2, stops = 0;
  while (true) {
    int calls = 0;
    o.progress = [&](const RefineProgress&) { return ++calls < every; };
    const Refinement r = refine(c.start, c.measurement, o);
    if (!r.stopped) {
      EXPECT_GT(stops, 2);
      return r;
    }
    ++stops;
    const StageReport before = o.resume ? o.resume->stages.back() : StageReport(),
                      now = r.state.stages.back();
    if (now.stage == before.stage && now.iterations == before.iterations) ++every;
    o.resume = refine_state_from_json(to_json(r.state));
  }
}

/// Stopped once, after `calls` calls of progress().  Empty: it had ended by then.
std::optional<Refinement> stopped_after(const Case& c, RefineOptions o, int calls) {
  int seen = 0;
  o.progress = [&](const RefineProgress&) { return ++seen < calls; };
  const Refinement first = refine(c.start, c.measurement, o);
  if (!first.stopped) return std::nullopt;
  o.progress = {};
  o.resume = refine_state_from_json(to_json(first.state));
  return refine(c.start, c.measurement, o);
}

void expect_same_end_wherever_stopped(const Case& c, const RefineOptions& o, int step = 1) {
  const Refinement whole = refine(c.start, c.measurement, o);
  int calls = 1;
  for (std::optional<Refinement> r; (r = stopped_after(c, o, calls)); calls += step) {
    SCOPED_TRACE("stopped after " + std::to_string(calls));
    expect_same_end(*r, whole);
  }
  EXPECT_GT(calls, 5);
}

TEST(Refine, StoppedAndResumedEndsWithTheSameBitsWhereverItWasStopped) {
  expect_same_end_wherever_stopped(small_case(4), small_options());
}

TEST(Refine, StoppedAndResumedEndsWithTheSameBitsWhereItDoesNotConverge) {
  Case c = small_case(4);
  c.start.crystal.misset_deg = {12.6, -7.6, 33.6};
  c.start.detector.distance_mm = 60.4;
  RefineOptions o = options_for({"misset", "distance", "cell[0-2]"});
  o.iterations = 7;
  o.most_shoeboxes = 25;
  o.spot_stage = false;
  o.bounds = {{"distance", 59.9, 60.5}};
  expect_same_end(with_stops(c, o), refine(c.start, c.measurement, o));
  const Refinement whole = refine(c.start, c.measurement, o);
  ASSERT_THAT(whole.warnings, testing::Contains(HasSubstr("had not converged after 7 iterations")));
  expect_same_end_wherever_stopped(c, o);
}

TEST(Refine, StoppedAndResumedEndsWithTheSameBitsByTheGaussianLikelihood) {
  Case c = small_case(5);
  c.start = c.truth;
  c.start.crystal.misset_deg = {12.02, -7.02, 33.02};
  RefineOptions o = options_for({"misset", "fluence"});
  o.likelihood = Likelihood::gauss;
  o.background = Background::plane;
  o.spot_stage = false;
  expect_same_end_wherever_stopped(c, o);
  expect_same_end(with_stops(c, o), refine(c.start, c.measurement, o));
}

TEST(Refine, StoppedAndResumedEndsWithTheSameBitsOnAllPixels) {
  Case c = small_case(6);
  c.start.crystal.misset_deg = {12.02, -7.02, 33.02};
  RefineOptions o = options_for({"misset", "fluence"});
  o.all_pixels = true;
  o.background = Background::none;
  const Refinement whole = refine(c.start, c.measurement, o);
  const auto resumed = stopped_after(c, o, 3);
  ASSERT_TRUE(resumed);
  expect_same_end(*resumed, whole);
}

// ---- The width of the point spread ------------------------------------------------------------

/// As a detector counts it behind a point spread, with 1.5 photons a pixel of something else.
Measurement spread_and_counted(const Experiment& truth, PointSpread spread, std::int64_t seed) {
  Measurement m;
  m.counts = simulate(truth).image;
  for (float& p : m.counts.pixels) p += 1.5F;
  DetectorResponse response;
  response.point_spread = spread;
  const CountedImage counted = record_photons(truth, m.counts, response, seed);
  m.counts.pixels.assign(counted.counts.begin(), counted.counts.end());
  m.point_spread = spread;
  return m;
}

Case case_behind(PointSpread::Shape shape, double start_um, double truth_um) {
  Case c = small_case(1);
  c.measurement = spread_and_counted(c.truth, {shape, truth_um}, 4);
  c.measurement.point_spread->fwhm_um = start_um;
  return c;
}

TEST(RefineWidth, FindsThatOfThePointSpreadWithTheModel) {
  for (const auto& [shape, start_um] :
       {std::pair(PointSpread::Shape::gauss, 500.0), std::pair(PointSpread::Shape::fiber, 80.0)}) {
    const double truth_um = shape == PointSpread::Shape::gauss ? 300 : 120;
    SCOPED_TRACE(testing::Message() << name_of(shape) << " from " << start_um);
    const Case c = case_behind(shape, start_um, truth_um);
    RefineOptions o = small_options();
    o.parameters.emplace_back("response.fwhm");
    o.most_shoeboxes = 100;
    const Refinement r = refine(c.start, c.measurement, o);
    const std::vector<double> truth{12, -7, 33, 40, 45, 50, 25.5, 25.7, 0.6, 3e27, truth_um};
    ASSERT_THAT(r.numbers, SizeIs(truth.size()));
    for (std::size_t i = 0; i < truth.size(); ++i)
      EXPECT_NEAR(r.numbers[i].value, truth[i], 4.5 * r.numbers[i].deviation) << r.numbers[i].name;
    const RefinedNumber& width = r.numbers.back();
    EXPECT_EQ(width.name, "response.fwhm");
    EXPECT_EQ(width.unit, "um");
    EXPECT_EQ(width.start, start_um);
    EXPECT_LT(width.deviation, 0.05 * truth_um);
    EXPECT_NEAR(r.stages.back().residual, 1, 0.1);
    EXPECT_EQ(r.point_spreads.at(0)->fwhm_um, width.value);
  }
}

TEST(RefineWidth, IsOffAsOftenAsItsDeviationSays) {
  constexpr int seeds = 8;
  double sum = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    Case c = small_case(1);
    c.start = c.truth;
    c.measurement = spread_and_counted(c.truth, {PointSpread::Shape::gauss, 300}, seed);
    c.measurement.point_spread->fwhm_um = 280;
    RefineOptions o = options_for({"response.fwhm", "mosaic_spread", "fluence"});
    o.spot_stage = false;
    o.most_shoeboxes = 40;
    const Refinement r = refine(c.start, c.measurement, o);
    sum += std::pow((r.numbers[0].value - 300) / r.numbers[0].deviation, 2);
  }
  // chi^2 of eight: 1.34 to 21.95 in 99 of 100 cases
  EXPECT_GT(sum, 1.34);
  EXPECT_LT(sum, 21.95);
}

TEST(RefineWidth, MayBeEachImagesOwn) {
  const Case c = small_case(1);
  std::vector<Measurement> measurements;
  for (const double truth_um : {240.0, 360.0}) {
    measurements.push_back(spread_and_counted(c.truth, {PointSpread::Shape::gauss, truth_um},
                                              measurements.size() + 1));
    measurements.back().point_spread->fwhm_um = 300;
  }
  const std::vector<Experiment> starts{c.start, c.start};
  RefineOptions o = small_options();
  o.own = {"response.fwhm"};
  o.restraints = {{"image[1].response.fwhm", 200, {}}};
  o.bounds = {{"response.fwhm", 100, 1000}};
  o.most_shoeboxes = 60;
  const Refinement r = refine(starts, measurements, o);
  ASSERT_THAT(r.numbers, SizeIs(12));
  for (const std::size_t image : {0U, 1U}) {
    const RefinedNumber& width = r.numbers[10 + image];
    EXPECT_EQ(width.name, "image[" + std::to_string(image) + "].response.fwhm");
    EXPECT_NEAR(width.value, image == 0 ? 240 : 360, 4.5 * width.deviation);
    EXPECT_EQ(r.point_spreads[image]->fwhm_um, width.value);
  }
}

TEST(RefineWidth, IsRefinedBesideStructureFactors) {
  Case c = case_behind(PointSpread::Shape::gauss, 280, 300);
  c.start = c.truth;
  auto table = std::make_shared<StructureFactorGrid>(MillerIndex{-20, -20, -20},
                                                     MillerIndex{20, 20, 20}, 100);
  c.start.structure_factors.grid = table;
  RefineOptions o = options_for({"response.fwhm", "mosaic_spread"});
  o.structure_factor_deviation = 0.2;
  o.spot_stage = false;
  const Refinement r = refine(c.start, c.measurement, o);
  EXPECT_TRUE(r.stages.back().converged);
  EXPECT_EQ(r.stages.back().stage, RefineStage::structure_factors);
  EXPECT_NE(r.numbers[0].value, r.numbers[0].start);
  EXPECT_NEAR(r.numbers[0].value, 300, 4.5 * r.numbers[0].deviation);
  // Where nothing else has room to move, the end is that of the width alone
  for (const RefinedFactor& f : r.factors) EXPECT_NEAR(f.value, 100, 6 * f.deviation);
}

TEST(RefineWidth, StoppedAndResumedEndsWithTheSameBits) {
  Case c = case_behind(PointSpread::Shape::gauss, 150, 300);
  c.start = c.truth;
  c.start.crystal.misset_deg = {12.02, -7.02, 33.02};
  RefineOptions o = options_for({"misset", "response.fwhm", "mosaic_spread"});
  o.most_shoeboxes = 25;
  o.spot_stage = false;
  expect_same_end_wherever_stopped(c, o, 2);
}

TEST(RefineWidth, NeedsAPointSpreadThatStartsAlike) {
  Case c = case_behind(PointSpread::Shape::gauss, 280, 300);
  const RefineOptions o = options_for({"response.fwhm"});
  std::vector<Measurement> two{c.measurement, c.measurement};
  two[1].point_spread->fwhm_um = 290;
  const std::vector<Experiment> starts{c.start, c.start};
  EXPECT_THAT(test::message_of<UsageError>([&] { refine(starts, two, o); }),
              HasSubstr("response.fwhm starts from 280 in image[0] and from 290 in image[1]"));
  c.measurement.point_spread.reset();
  EXPECT_EQ(test::message_of<UsageError>([&] { refine(c.start, c.measurement, o); }),
            "response.fwhm is the width of a point spread, and the detector has none; state its "
            "shape and a width to start from");
}

TEST(Refine, GoesOnOnlyWithWhatItWasStoppedAt) {
  Case c = small_case(4);
  RefineOptions o = small_options();
  o.progress = [](const RefineProgress& p) { return p.stage == RefineStage::spot_positions; };
  o.resume = refine(c.start, c.measurement, o).state;
  ASSERT_EQ(o.resume->stage(), RefineStage::measured_spots);
  o.progress = {};
  const auto complaint = [&] {
    return test::message_of<UsageError>([&] { refine(c.start, c.measurement, o); });
  };
  const auto other = HasSubstr("was of another image, model or options");
  o.shoebox_px = 17;
  EXPECT_THAT(complaint(), other);
  o.shoebox_px = 15;
  c.measurement.counts.pixels[1000] += 1;
  EXPECT_THAT(complaint(), other);
  c.measurement.counts.pixels[1000] -= 1;
  c.start.water_um = 1;
  EXPECT_THAT(complaint(), other);
  c.start.water_um = 0;
  o.parameters = {"misset"};
  EXPECT_THAT(complaint(), HasSubstr("resume with the same parameters"));
  o.parameters = small_options().parameters;
  o.iterations = 60;
  EXPECT_EQ(refine(c.start, c.measurement, o).stages.size(), 3u);
}

TEST(Refine, RefusesADamagedState) {
  const Case c = small_case(4);
  RefineOptions o = small_options();
  o.progress = [](const RefineProgress& p) { return p.stage == RefineStage::spot_positions; };
  const RefineState state = refine(c.start, c.measurement, o).state;
  o.progress = {};
  const auto complaint = [&](auto&& damage) {
    o.resume = state;
    damage(*o.resume);
    return test::message_of<UsageError>([&] { refine(c.start, c.measurement, o); });
  };
  const auto damaged = HasSubstr("is damaged; begin again");
  const double nan = std::nan("");
  EXPECT_THAT(complaint([](RefineState& s) { s.places[3].panel = 1; }), damaged);
  EXPECT_THAT(complaint([](RefineState& s) { s.places[3].fast = 1e300; }), damaged);
  EXPECT_THAT(complaint([&](RefineState& s) { s.places[3].slow = nan; }), damaged);
  EXPECT_THAT(complaint([&](RefineState& s) { s.values[0].second = nan; }), damaged);
  EXPECT_THAT(complaint([](RefineState& s) { s.round = 3; }), damaged);
  EXPECT_THAT(complaint([](RefineState& s) { s.round_values = {1}; }), damaged);
  EXPECT_THAT(complaint([](RefineState& s) { s.trust_radius = 0; }), damaged);
  EXPECT_THAT(complaint([](RefineState& s) { s.factors = {{{1, 2, 3}, 1, 1, 0}}; }), damaged);
  EXPECT_THAT(complaint([](RefineState& s) { s.stages.back().iterations = -1; }), damaged);
  EXPECT_THAT(
      complaint([](RefineState& s) { s.stages.back().stage = RefineStage::structure_factors; }),
      damaged);
  EXPECT_THAT(complaint([](RefineState& s) { s.own_of_boxes.pop_back(); }),
              HasSubstr("other shoeboxes; begin again"));
}

TEST(Refine, TakesNoTextOfAStateThatIsNotAsItWasWritten) {
  const Case c = small_case(4);
  RefineOptions o = small_options();
  o.progress = [](const RefineProgress& p) { return p.stage == RefineStage::spot_positions; };
  const std::string text = to_json(refine(c.start, c.measurement, o).state);
  EXPECT_EQ(to_json(refine_state_from_json(text)), text);
  EXPECT_EQ(to_json(refine_state_from_json(text + '\n')), text);
  // A digit of a place, which no range of numbers tells
  std::string other = text;
  char& digit = other[other.find('.', other.find("places")) + 1];
  digit = digit == '5' ? '6' : '5';
  EXPECT_EQ(test::message_of<UsageError>([&] { refine_state_from_json(other); }),
            "is damaged; begin again");
  std::mt19937 random(20261130);
  for (int i = 0; i < 2000; ++i) {
    const std::string damaged = test::damaged(text, random);
    if (damaged == text) continue;
    EXPECT_THROW(refine_state_from_json(damaged), UsageError) << i;
  }
}

TEST(Refine, StaysWithinBoundsAndSaysWhereItTouchesOne) {
  const Case c = small_case(5);
  RefineOptions o = small_options();
  o.bounds = {{"mosaic_spread", 0.4, 0.5}};
  const Refinement r = refine(c.start, c.measurement, o);
  for (const RefinedNumber& n : r.numbers)
    if (n.name == "mosaic_spread") {
      EXPECT_NEAR(n.value, 0.5, 1e-9);
      EXPECT_TRUE(n.at_bound);
    }
}

TEST(Refine, LetsARestraintDecideWhatTheImageDoesNot) {
  const Case c = small_case(6);
  RefineOptions o = options_for({"misset", "fluence", "default_F"});
  Experiment start = c.truth;
  start.crystal.misset_deg.x += 0.1;
  const Refinement loose = refine(start, c.measurement, o);
  EXPECT_THAT(loose.warnings, testing::Contains(HasSubstr("does not determine")));
  o.restraints = {{"default_F", 0.5, {}}};
  const Refinement tight = refine(start, c.measurement, o);
  EXPECT_TRUE(std::isfinite(tight.numbers[3].deviation));
  EXPECT_NEAR(tight.numbers[4].deviation, 0.5, 1e-3);
}

TEST(Refine, NamesANumberThatTheImageSaysNothingAboutInsteadOfAHugeDeviation) {
  Case c = small_case(6);
  c.start = c.truth;
  // Of a still, in which nothing turns
  const Refinement r = refine(c.start, c.measurement, options_for({"misset", "spindle_axis[0]"}));
  EXPECT_TRUE(std::isinf(r.numbers[3].deviation)) << r.numbers[3].deviation;
  EXPECT_LT(r.numbers[0].deviation, 0.1);
  EXPECT_THAT(r.warnings,
              testing::Contains(HasSubstr("the image does not determine spindle_axis[0]; leave it "
                                          "out or restrain it")));
}

TEST(Refine, TakesIndexedSpotsFromFurtherAwayThanItsOwn) {
  Case c = small_case(9);
  c.start.crystal.misset_deg = {18, -13, 39};
  RefineOptions o = options_for({"misset", "cell[0-2]", "beam_center"});
  const std::string lost = test::message_of<InputError>([&] { refine(c.start, c.measurement, o); });
  EXPECT_THAT(lost, HasSubstr("of them fit the starting lattice, which are too few"));
  // As another program would have found and indexed them, with a stray one that it could not index
  const SpotGeometry geometry(resolve(c.truth));
  PhotonImage image = flat_image(256, 256, 0);
  for (std::size_t i = 0; i < image.photons.size(); ++i)
    image.photons[i] = static_cast<double>(c.measurement.counts.pixels[i]);
  for (const IndexedSpot& s : index_spots(geometry, find_spots(image, 200), 1e9))
    o.observed_spots.push_back({s.spot.fast, s.spot.slow, 0, s.spot.photons, s.point.index});
  o.observed_spots.push_back({10, 10, 0, 5000, std::nullopt});
  ASSERT_GT(o.observed_spots.size(), 30u);
  const Refinement r = refine(c.start, c.measurement, o);
  EXPECT_EQ(r.stages[0].stage, RefineStage::spot_positions);
  for (const RefinedNumber& n : r.numbers) {
    const FreeParameters truth(c.truth, options_for({n.name}));
    EXPECT_NEAR(n.value, truth.start()[0], 0.05) << n.name;
  }
  o.observed_spots[0].panel = 1;
  EXPECT_THAT(test::message_of<InputError>([&] { refine(c.start, c.measurement, o); }),
              HasSubstr("an observed spot is on panel 1, and the model has 1"));
}

TEST(Refine, ConvergesWhereMostPixelsAreDark) {
  Case c = small_case(6);
  c.measurement = {};
  c.measurement.counts = simulate(c.truth).image;
  std::mt19937_64 random(6);
  for (float& p : c.measurement.counts.pixels)
    p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p))(random));
  const Refinement r = refine(c.start, c.measurement, small_options());
  for (const RefinedNumber& n : r.numbers) {
    const FreeParameters truth(c.truth, options_for({n.name}));
    EXPECT_LT(std::abs(n.value - truth.start()[0]), 4.5 * n.deviation) << n.name;
  }
  for (const StageReport& s : r.stages) EXPECT_TRUE(s.converged) << name_of(s.stage);
  EXPECT_LT(r.stages.back().iterations, 15);
  EXPECT_THAT(r.warnings, SizeIs(0));
}

// ---- Behind a beamstop --------------------------------------------------------------------------

/// A disk and an arm that hide a dozen spots and cut others.
Beamstop wide_stop() {
  Beamstop stop;
  stop.distance_mm = 30;
  stop.radius_mm = 4;
  stop.offset_fast_mm = 0.3;
  stop.arm_width_mm = 1.5;
  stop.arm_deg = 70;
  return stop;
}

Case stopped_case(unsigned seed) {
  Case c = small_case(seed);
  c.truth.beamstop = c.start.beamstop = wide_stop();
  c.measurement = counted(c.truth, seed);
  return c;
}

/// Whether a pixel has none of the light that it would have without the stop.
std::vector<bool> hidden_pixels(const Experiment& e) {
  Experiment open = e;
  open.beamstop = {};
  open.water_um = 1e-9;
  Experiment stopped = open;
  stopped.beamstop = e.beamstop;
  const auto dark = simulate(stopped).image.pixels, lit = simulate(open).image.pixels;
  std::vector<bool> hidden(lit.size());
  for (std::size_t i = 0; i < lit.size(); ++i) hidden[i] = dark[i] == 0 && lit[i] > 0;
  return hidden;
}

TEST(Refine, FindsACrystalAgainBehindABeamstopThatHidesAndCutsSpots) {
  const Case c = stopped_case(11);
  const auto hidden = std::ranges::count(hidden_pixels(c.truth), true);
  EXPECT_GT(hidden, 2000);
  const Refinement r = refine(c.start, c.measurement, small_options());
  expect_found(c, r, 4.5);
  EXPECT_THAT(r.warnings, SizeIs(0));
  // Those that are hidden whole, and those at the edge of the shadow
  ASSERT_THAT(r.pixels_in_shadow, SizeIs(1));
  const auto shares = shares_past_beamstop(SettledExperiment(c.start));
  const auto in_shadow = std::ranges::count_if(shares, [](double share) { return share < 1; });
  EXPECT_EQ(r.pixels_in_shadow[0], static_cast<std::size_t>(in_shadow));
  EXPECT_GT(in_shadow, hidden);
  // The stop is a part of the model: without it the spots that it hides pull
  Experiment open = c.start;
  open.beamstop = {};
  const Refinement without = refine(open, c.measurement, small_options());
  EXPECT_THAT(without.pixels_in_shadow, ElementsAre(0u));
  EXPECT_GT(without.stages.back().residual, 1.2 * r.stages.back().residual);
}

TEST(Refine, IsNotSpoiltByWhatIsCountedBehindTheBeamstop) {
  Case c = stopped_case(12);
  const Refinement clean = refine(c.start, c.measurement, small_options());
  // Light that the stop itself gives off, where the start, too, has its shadow
  const std::vector<bool> hidden = hidden_pixels(c.truth), expected = hidden_pixels(c.start);
  std::mt19937_64 random(12);
  for (std::size_t i = 0; i < hidden.size(); ++i)
    if (hidden[i] && expected[i])
      c.measurement.counts.pixels[i] = static_cast<float>(
          std::poisson_distribution<long>(200)(random));
  const Refinement r = refine(c.start, c.measurement, small_options());
  expect_found(c, r, 4.5);
  for (std::size_t i = 0; i < r.numbers.size(); ++i)
    EXPECT_EQ(r.numbers[i].value, clean.numbers[i].value) << r.numbers[i].name;
}

TEST(Refine, FindsTheBeamstopFromTheShadowThatItThrowsOnWater) {
  Case c;
  c.truth = test::experiment_of(small_crystal + "-water 0.03");
  c.truth.beamstop = wide_stop();
  c.measurement.counts = simulate(c.truth).image;
  std::mt19937_64 random(13);
  for (float& p : c.measurement.counts.pixels)
    p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p))(random));
  c.start = c.truth;
  c.start.beamstop.radius_mm = 3.9;
  c.start.beamstop.offset_slow_mm = 0.1;
  RefineOptions o = options_for({"beamstop_radius", "beamstop_offset", "fluence"});
  o.all_pixels = true;
  o.background = Background::none;
  o.spot_stage = false;
  const Refinement r = refine(c.start, c.measurement, o);
  expect_found(c, r, 4.5);
  EXPECT_LT(r.numbers[0].deviation, 0.01);
  EXPECT_THAT(r.pixels_in_shadow, ElementsAre(0u));  // which say where it stands
}

TEST(Refine, SaysThatCountsVaryLessThanPhotonsDo) {
  Case c = small_case(6);
  c.start = c.truth;
  for (float& p : c.measurement.counts.pixels) p += 40;  // a pedestal that nobody knows of
  EXPECT_THAT(refine(c.start, c.measurement, options_for({"misset"})).warnings,
              testing::Contains(HasSubstr("the counts vary less than photons do")));
}

TEST(Refine, PutsAPanelBackWhereItStands) {
  const Case c = moved_case(
      11, {{"panel[1].shift", {0.3, -0.25, 0.4}}, {"panel[1].rotation", {0.3, -0.2, 0.5}}});
  const Refinement r = refine(c.start, c.measurement,
                              options_for({"panel[1].shift", "panel[1].rotation"}));
  expect_found(c, r, 4.5);
  for (const RefinedNumber& n : r.numbers) EXPECT_LT(n.deviation, 0.05) << n.name;
  // In its own plane to a few micrometres
  EXPECT_LT(r.numbers[0].deviation, 0.005);
  EXPECT_LT(r.numbers[1].deviation, 0.005);
  EXPECT_THAT(r.warnings, SizeIs(0));
}

TEST(Refine, PutsAGroupBackTogetherWithAPanelOfAnotherAndTheCrystal) {
  Case c = moved_case(12, {{"group[right].shift", {-0.3, 0.2, 0}},
                           {"group[right].rotation", {0, 0, 0.3}},
                           {"panel[2].shift", {0.2, 0.2, 0}}});
  c.start.crystal.misset_deg = {12.2, -7.2, 33.2};
  c.start.crystal.cell->b_A *= 1.003;
  const Refinement r = refine(
      c.start, c.measurement,
      options_for({"group[right].shift", "group[right].rotation[2]", "panel[2].shift[0-1]",
                   "misset", "cell[0-2]", "mosaic_spread", "fluence"}));
  expect_found(c, r, 4.5);
  EXPECT_THAT(r.warnings, SizeIs(0));
}

TEST(Refine, SaysThatAPanelAndItsOnlyGroupCannotBeTold) {
  Case c = moved_case(13, {{"panel[1].shift", {0.1, 0, 0}}});
  c.start.detector.group = c.start.more_panels[1].detector.group = "left";
  c.start.more_panels[2].detector.group = "left";  // "right" holds panel 1 alone
  RefineOptions o = options_for({"panel[1].shift[0-1]", "group[right].shift[0-1]"});
  const Refinement loose = refine(c.start, c.measurement, o);
  EXPECT_THAT(loose.warnings,
              testing::Contains(HasSubstr("the image does not determine this combination: "
                                          "panel[1].shift[0], group[right].shift[0]")));
  for (const RefinedNumber& n : loose.numbers) EXPECT_TRUE(std::isinf(n.deviation)) << n.name;
  o.restraints = {{"group[right].shift[0]", 0.01, {}}, {"group[right].shift[1]", 0.01, {}}};
  const Refinement tight = refine(c.start, c.measurement, o);
  EXPECT_THAT(tight.warnings, SizeIs(0));
  EXPECT_NEAR(tight.numbers[0].value + tight.numbers[2].value, 0.1, 0.02);
  EXPECT_NEAR(tight.numbers[2].deviation, 0.01, 1e-3);
}

/// F's of their own, which the start has wrong by a tenth.
Case factor_case() {
  Case c = small_case(8);
  std::mt19937_64 random(8);
  const MillerIndex corner{40, 45, 50};
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-40, -45, -50}, corner, 0.0);
  for (double& f : grid->values()) f = std::uniform_real_distribution<>(60, 140)(random);
  c.truth.structure_factors.grid = grid;
  c.measurement = counted(c.truth, 8);
  auto wrong = std::make_shared<StructureFactorGrid>(*grid);
  for (double& f : wrong->values()) f *= std::exp(std::normal_distribution<>(0, 0.1)(random));
  c.start = c.truth;
  c.start.structure_factors.grid = wrong;
  c.start.crystal.misset_deg.x += 0.01;
  return c;
}

RefineOptions factor_options() {
  RefineOptions o = options_for({"misset"});
  o.structure_factor_deviation = 0.1;
  o.least_photons = 200;
  return o;
}

TEST(Refine, StoppedAndResumedEndsWithTheSameBitsAmongStructureFactors) {
  RefineOptions o = factor_options();
  o.spot_stage = false;
  expect_same_end_wherever_stopped(factor_case(), o, 15);
}

TEST(Refine, FindsStructureFactorsByTheAdjoint) {
  const Case c = factor_case();
  const StructureFactorGrid& grid = *c.truth.structure_factors.grid;
  const Refinement r = refine(c.start, c.measurement, factor_options());
  ASSERT_GT(r.factors.size(), 100u);
  EXPECT_TRUE(r.stages.back().converged);
  EXPECT_EQ(r.stages.back().stage, RefineStage::structure_factors);
  double before = 0, after = 0, pulls = 0;
  for (const RefinedFactor& f : r.factors) {
    const double truth = grid.at(f.hkl[0], f.hkl[1], f.hkl[2]);
    before += std::pow(f.start / truth - 1, 2);
    after += std::pow(f.value / truth - 1, 2);
    pulls += std::pow((f.value - truth) / f.deviation, 2);
  }
  EXPECT_LT(after, before / 9);
  const auto n = static_cast<double>(r.factors.size());
  EXPECT_NEAR(std::sqrt(pulls / n), 1, 0.4);
  EXPECT_LT(r.stages.back().residual, r.stages.back().residual_before);
  EXPECT_NEAR(r.numbers[0].value, 12, 0.005);
}

TEST(Refine, RefusesAnImageOfAnotherSizeOrWithoutSpots) {
  Case c = small_case(7);
  Measurement other;
  other.counts = {2, 2, {0, 0, 0, 0}};
  EXPECT_THAT(test::message_of<InputError>([&] { refine(c.start, other, small_options()); }),
              HasSubstr("2 x 2 pixels and the model's panel 256 x 256"));
  const Experiment four = four_panels();
  EXPECT_THAT(
      test::message_of<InputError>([&] { refine(four, c.measurement, options_for({"misset"})); }),
      HasSubstr("the image has 1 panel and the model 4 panels; give the model the panels"));
  other.counts = {128, 128, {}, {{128, 128}, {128, 127}, {128, 128}}};
  other.counts.pixels.resize(4 * 128 * 128);
  EXPECT_THAT(test::message_of<InputError>([&] { refine(four, other, options_for({"misset"})); }),
              HasSubstr("panel 2 of the image has 128 x 127 pixels and the model's panel 2 128 x "
                        "128"));
  for (float& p : c.measurement.counts.pixels) p = 1;
  EXPECT_THAT(
      test::message_of<InputError>([&] { refine(c.start, c.measurement, small_options()); }),
      HasSubstr("no spot of 20 photons"));
}

}  // namespace
}  // namespace nablabragg
