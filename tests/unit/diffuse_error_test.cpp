// Diffuse light at few pixels of few orientations in place of all, against that of all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>

#include "engine/diffuse_nodes.hpp"
#include "engine/engine.hpp"
#include "engine/few_orientations.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"  // for photons
#include "nablabragg/pixel_truth.hpp"
#include "nablabragg/simulate.hpp"
#include "physics/matrix.hpp"
#include "plan/make_plan.hpp"
#include "support/engines.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

/// Halos of some pixels, away from the beam, of 25 domains of a cell whose F differ.
Experiment halos() {
  Experiment e;
  e.crystal.cell = UnitCell{30, 34, 26, 90, 90, 90};
  e.crystal.misset_deg = {10, 20, 30};
  e.crystal.mosaic_spread_deg = 0.3;
  e.crystal.mosaic_domains = 25;
  e.crystal.diffuse_sigma_A = {0.4, 0.4, 0.4};
  e.crystal.diffuse_gamma_A = {18, 18, 18};
  e.crystal.diffuse_stencil = 2;
  e.crystal.diffuse_error = 0.01;
  auto table = std::make_shared<StructureFactorGrid>(MillerIndex{-20, -20, -20},
                                                     MillerIndex{20, 20, 20}, 0.0);
  std::mt19937 random(7);
  for (double& F : table->values()) F = 5 + double(random() % 20);
  e.structure_factors.grid = table;
  e.detector.fast_pixels = 90;
  e.detector.slow_pixels = 77;
  e.detector.pixel_mm = 0.1;
  e.detector.distance_mm = 100;
  e.detector.beam_x_mm = -20;
  e.detector.beam_y_mm = -15;
  e.sampling.oversample = 1;
  e.beam.wavelength_A = 1;
  e.beam.fluence_per_m2 = 1e26;
  return e;
}

/// Without spots.
std::vector<double> light_of(const Experiment& e, const engine::Pixels& pixels = {},
                             Precision precision = Precision::float64, int threads = 0) {
  const engine::SplitPlan split(make_plan(e, resolve(e)));
  std::vector<double> values(pixels.all ? split.spots.pixels() : pixels.list.size());
  ComputeOptions options = test::cpu_engine(precision);
  options.threads = threads;
  split.diffuse.add_photons(split.spots, pixels, options, std::span(values));
  return values;
}

std::string how(const Experiment& e) {
  const engine::SplitPlan split(make_plan(e, resolve(e)));
  return split.diffuse.how(split.spots);
}

struct Difference {
  double largest;  ///< over the brightest pixel
  double typical;  ///< root of the mean square of what it is relative to each pixel
};

Difference difference(const std::vector<double>& few, const std::vector<double>& all) {
  Difference d{0, 0};
  const double brightest = *std::max_element(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    d.largest = std::max(d.largest, std::abs(few[i] - all[i]) / brightest);
    d.typical += std::pow(few[i] / all[i] - 1, 2) / double(all.size());
  }
  d.typical = std::sqrt(d.typical);
  return d;
}

TEST(NodesOfEdge, KeepPolynomialsOfTheFifthDegreeAtEveryPixel) {
  const auto polynomial = [](int pixel) {
    const double x = 0.02 * pixel - 1;
    return ((((0.7 * x - 1.1) * x + 0.3) * x + 2) * x - 0.9) * x + 0.4;
  };
  for (int step = 1; step <= 8; ++step)
    for (const int pixels : {1, 2, 3, 17, 64, 97, 100}) {
      const engine::NodesOfEdge edge(pixels, step);
      for (int pixel = 0; pixel < pixels; ++pixel) {
        const auto value = engine::between_nodes(
            edge.of(pixel), [&](int node) { return polynomial(edge.pixel(node)); });
        EXPECT_NEAR(value, polynomial(pixel), 1e-13) << step << ' ' << pixels << ' ' << pixel;
        const bool near_edge = pixel <= 2 * step || pixel >= pixels - 1 - 2 * step;
        if (near_edge || pixel % step == 0) {
          EXPECT_EQ(edge.of(pixel).count, 1);
        }
      }
      EXPECT_EQ(edge.pixel(0), 0);
      EXPECT_EQ(edge.pixel(edge.count() - 1), pixels - 1);
      if (pixels == 97) {
        EXPECT_LE(edge.count(), pixels / step + 6 * step);
      }
    }
}

TEST(NodesOfEdge, AreAsFarApartAsTheErrorBetweenThemAllows) {
  // A halo's errors by an independent program (numpy), for steps of u
  EXPECT_NEAR(engine::error_between_nodes(0.125), 4.6e-5, 0.1e-5);
  EXPECT_NEAR(engine::error_between_nodes(0.25), 1.9e-3, 0.05e-3);
  EXPECT_NEAR(engine::error_between_nodes(0.5), 3.8e-2, 0.1e-2);
}

/// The index of the farthest q along a direction, of orientations that weigh as many as they stand
/// for: its mean and, about it, its mean square in each component.
std::pair<Vec3d, Vec3d> moments(std::span<const Mat3d> axes, std::span<const double> weights,
                                const Vec3d& q) {
  Vec3d mean, square;
  double sum = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    mean = mean + weights[i] * (axes[i] * q);
    sum += weights[i];
  }
  mean = mean / sum;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const Vec3d away = axes[i] * q - mean;
    square = square + (weights[i] / sum) * Vec3d{away.x * away.x, away.y * away.y, away.z * away.z};
  }
  return {mean, square};
}

TEST(FewOrientations, DisplaceHalosAsThoseThatTheyStandForDoOnTheMean) {
  Experiment e = halos();
  e.crystal.diffuse_error = 0.1;
  const Plan plan = make_plan(e, resolve(e));
  const auto& all = plan.lattice.orientations;
  const engine::FewOrientations few(all, plan.diffuse);
  ASSERT_TRUE(few.fewer());
  EXPECT_EQ(few.weights().size(), 4);
  const std::vector<double> ones(all.size(), 1);
  for (const Vec3d direction : {Vec3d{1, 0, 0}, Vec3d{0, 0.6, 0.8}, Vec3d{-0.6, 0.64, 0.48}}) {
    const Vec3d q = plan.diffuse.farthest * direction;
    const auto [mean, square] = moments(all, ones, q);
    const auto [few_mean, few_square] = moments(few.of(all), few.weights(), q);
    EXPECT_NEAR(length(few_mean - mean), 0, 1e-12);
    // Rotations are small, not infinitely so
    EXPECT_NEAR(few_square.x / square.x, 1, 0.01);
    EXPECT_NEAR(few_square.y / square.y, 1, 0.01);
    EXPECT_NEAR(few_square.z / square.z, 1, 0.01);
  }
}

TEST(FewOrientations, AreMoreWhereLessMayBeWrongAndAllWhereTheyDifferMuch) {
  Experiment e = halos();
  std::size_t before = 1;
  for (const double error : {0.1, 0.01, 0.003, 1e-5}) {
    e.crystal.diffuse_error = error;
    const Plan plan = make_plan(e, resolve(e));
    const engine::FewOrientations few(plan.lattice.orientations, plan.diffuse);
    const std::size_t count = few.fewer() ? few.weights().size() : 25;
    EXPECT_GE(count, before) << error;
    before = count;
    double sum = 0;
    for (const double weight : few.weights()) sum += weight;
    if (few.fewer()) {
      EXPECT_NEAR(sum, 25, 1e-12);
    }
  }
  EXPECT_EQ(before, 25);
  e.crystal.diffuse_error = 0.01;
  e.crystal.mosaic_spread_deg = 20;
  const Plan wide = make_plan(e, resolve(e));
  EXPECT_FALSE(engine::FewOrientations(wide.lattice.orientations, wide.diffuse).fewer());
}

TEST(FewOrientations, AreTwoForStepsOfARotation) {
  Experiment e = halos();
  e.crystal.mosaic_spread_deg = 0;
  e.crystal.mosaic_domains = 1;
  e.scan.oscillation_deg.range = 0.2;
  e.scan.oscillation_deg.steps = 20;
  const Plan plan = make_plan(e, resolve(e));
  const engine::FewOrientations few(plan.lattice.orientations, plan.diffuse);
  EXPECT_EQ(few.weights().size(), 2);
}

TEST(DiffuseError, IsWhatTheLightOfFewPixelsAndOrientationsHasAtMost) {
  Experiment exact = halos();
  exact.crystal.diffuse_error = 0;
  const std::vector<double> all = light_of(exact);
  double before = 0;
  for (const double error : {0.003, 0.01, 0.03}) {
    Experiment e = halos();
    e.crystal.diffuse_error = error;
    const Difference d = difference(light_of(e), all);
    EXPECT_LT(d.largest, error) << how(e);
    EXPECT_LT(d.typical, error) << how(e);
    EXPECT_GT(d.typical, before) << how(e);
    before = d.typical;
  }
  EXPECT_EQ(how(exact), "");
  EXPECT_NE(how(halos()).find("at pixels 2 apart and of "), std::string::npos) << how(halos());
}

TEST(DiffuseError, TellsTheEstimateOfTimeWhatShareOfTheStepsIsSummed) {
  const auto share = [](const Experiment& e) {
    const engine::SplitPlan split(make_plan(e, resolve(e)));
    return split.diffuse.share_of_steps(split.spots);
  };
  const std::string says = how(halos());
  const auto orientations = std::stod(says.substr(says.find(" and of ") + 8));
  EXPECT_NEAR(share(halos()), orientations / 25 / 4, 1e-12) << says;
  Experiment exact = halos();
  exact.crystal.diffuse_error = 0;
  EXPECT_EQ(share(exact), 1);
}

TEST(DiffuseError, SpreadsTheStepsOfTheStencilByNoMoreThanTheyAre) {
  // Between the stencil of 27 and that of 125 lattice points is what the steps are made of.
  Experiment one = halos(), two = halos();
  one.crystal.diffuse_error = two.crystal.diffuse_error = 0;
  one.crystal.diffuse_stencil = 1;
  const auto all = light_of(one);
  const double of_stencil = difference(all, light_of(two)).typical;
  one.crystal.diffuse_error = 0.01;
  EXPECT_LT(difference(light_of(one), all).typical, 0.5 * of_stencil);
}

TEST(DiffuseError, LeavesWideStepsOfPixelsAndLightThatIsCutOffAlone) {
  Experiment e = halos();
  e.crystal.mosaic_domains = 1;
  e.crystal.mosaic_spread_deg = 0;
  EXPECT_NE(how(e), "");
  Experiment coarse = e;
  coarse.detector.pixel_mm = 1;
  EXPECT_EQ(how(coarse), "");
  e.sampling.dmin_A = 2;
  EXPECT_EQ(how(e), "");
}

TEST(DiffuseError, GivesAPixelTheSameBitsInAnyRegionMaskOrListAndOnAnyNumberOfThreads) {
  for (const Precision precision : {Precision::float32, Precision::float64}) {
    const Experiment whole = halos();
    const auto all = light_of(whole, {}, precision, 1);
    EXPECT_EQ(all, light_of(whole, {}, precision, 2));
    Experiment region = whole;
    region.sampling.roi = {13, 58, 21, 40};
    auto mask = std::make_shared<Mask>(Mask{90, 77, std::vector<std::uint8_t>(90 * 77)});
    for (std::size_t i = 0; i < mask->keep.size(); ++i) mask->keep[i] = i % 7 == 0;
    Experiment masked = whole;
    masked.sampling.mask = mask;
    const auto in_region = light_of(region, {}, precision),
               in_mask = light_of(masked, {}, precision);
    std::vector<PixelIndex> list;
    for (int i = 0; i < 300; ++i) list.push_back({i * 17 % 90, i * 31 % 77});
    const auto in_list = light_of(whole, engine::Pixels(list), precision);
    for (int slow = 0; slow < 77; ++slow)
      for (int fast = 0; fast < 90; ++fast) {
        const auto i = static_cast<std::size_t>(slow * 90 + fast);
        const bool inside = fast >= 13 && fast <= 58 && slow >= 21 && slow <= 40;
        EXPECT_EQ(in_region[i], inside ? all[i] : 0);
        EXPECT_EQ(in_mask[i], i % 7 == 0 ? all[i] : 0);
      }
    for (std::size_t i = 0; i < list.size(); ++i)
      EXPECT_EQ(in_list[i], all[static_cast<std::size_t>(list[i].slow * 90 + list[i].fast)]);
  }
}

TEST(DiffuseError, OfSeveralPanelsAndCrystalsIsThatOfEach) {
  Experiment e = halos();
  e.detector.curved = true;
  const auto curved = light_of(e);
  Experiment two = e;
  two.detector.curved = false;
  Detector behind = two.detector;
  behind.distance_mm = 300;  // nodes farther apart
  two.more_panels.push_back({behind, {}, {}});
  Experiment second = two;
  second.more_panels.clear();
  second.detector = behind;
  Experiment first = two;
  first.more_panels.clear();
  const auto both = light_of(two), near = light_of(first), far = light_of(second);
  for (std::size_t i = 0; i < near.size(); ++i) {
    EXPECT_NEAR(both[i] / near[i], 1, 1e-5);
    EXPECT_NEAR(both[near.size() + i] / far[i], 1, 1e-5);
  }
  Experiment exact = e;
  exact.crystal.diffuse_error = 0;
  EXPECT_LT(difference(curved, light_of(exact)).largest, 0.01);

  Experiment crystals = first;
  FurtherCrystal more;
  more.misset_deg = {40, -10, 5};
  more.weight = 0.5;
  crystals.more_crystals.push_back(more);
  const std::vector<double> together = photons(crystals, test::cpu_engine(Precision::float64));
  Experiment alone = first;
  const std::vector<double> one = photons(alone, test::cpu_engine(Precision::float64));
  alone.crystal.misset_deg = more.misset_deg;
  const std::vector<double> other = photons(alone, test::cpu_engine(Precision::float64));
  for (std::size_t i = 0; i < one.size(); ++i)
    EXPECT_NEAR(together[i], one[i] + 0.5 * other[i], 1e-9 * together[i]);
}

TEST(DiffuseError, IsTheSameOnEveryEngineAndInTheTraceOfAPixel) {
  const Experiment e = halos();
  const auto reference = simulate(e, test::reference_engine()).image.pixels;
  const auto fast = simulate(e, test::fast_engine(Precision::float32)).image.pixels;
  const auto light = light_of(e);
  const engine::SplitPlan split(make_plan(e, resolve(e)));
  for (std::size_t i = 0; i < fast.size(); i += 41) {
    EXPECT_NEAR(fast[i] / reference[i], 1, 2e-5) << i;
    const PixelIndex at{static_cast<int>(i % 90), static_cast<int>(i / 90)};
    EXPECT_NEAR(split.diffuse.photons(split.spots, at) / light[i], 1, 1e-12);
  }
}

TEST(DiffuseError, LeavesDerivativesExactBackwardsForwardsAndByDifferences) {
  for (const bool by_list : {false, true}) {
    Experiment e = halos();
    e.crystal.diffuse_stencil = 1;
    e.structure_factors.grid = std::make_shared<StructureFactorGrid>(MillerIndex{-20, -20, -20},
                                                                     MillerIndex{20, 20, 20}, 14.0);
    e.sampling.roi = {30, 52, 20, 41};
    const SettledExperiment settled(e);
    ComputeOptions options = test::cpu_engine(Precision::float64);
    options.skip_below = 0;
    std::vector<PixelIndex> pixels;
    for (int i = 0; i < 40; ++i) pixels.push_back({30 + i * 5 % 23, 20 + i * 7 % 22});
    std::vector<double> weights(by_list ? pixels.size() : 90 * 77);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(double(i));
    const auto light_of_all = [&](const SettledExperiment& of) {
      return by_list ? photons(of, pixels, options) : photons(of, options);
    };
    const auto loss = [&](const SettledExperiment& of) {
      const auto light = light_of_all(of);
      double sum = 0;
      for (std::size_t i = 0; i < light.size(); ++i) sum += weights[i] * light[i];
      return sum;
    };
    const auto result = by_list ? value_and_gradient(settled, pixels, weights, options)
                                : value_and_gradient(settled, weights, options);
    EXPECT_NEAR(result.value / loss(settled), 1, 1e-10);
    double size = 0;
    for (const double light : light_of_all(settled)) size += std::abs(light);
    const std::vector<std::string> names{"diffuse_sigma", "diffuse_gamma", "cell",      "misset",
                                         "distance",      "mosaic_spread", "wavelength"};
    for (const std::string& name : names) {
      std::vector<double> values = parameter(settled, name).values;
      for (std::size_t k = 0; k < values.size(); ++k) {
        const double step = 1e-5 * std::max(values[k], 0.1), before = values[k];
        const auto at = [&](double x) {
          values[k] = x;
          return loss(with_parameter(settled, name, values));
        };
        const double difference = (at(before + step) - at(before - step)) / (2 * step);
        values[k] = before;
        const double got = result.gradient.parameters.at(name)[k];
        EXPECT_NEAR(got, difference, 2e-5 * std::abs(difference) + 1e-6 * size) << name << k;
        if (!by_list) continue;
        std::vector<double> direction(values.size());
        direction[k] = 1;
        const auto slopes = jvp(settled, {{name, direction}}, pixels, options);
        double forwards = 0;
        for (std::size_t i = 0; i < pixels.size(); ++i) forwards += weights[i] * slopes[i];
        EXPECT_NEAR(got, forwards, 1e-9 * std::abs(got) + 1e-11 * size) << name << k;
      }
    }
  }
}

TEST(DiffuseError, ComesBackFromJsonAndIsRefusedAboveATenth) {
  Experiment e = halos();
  e.structure_factors = {};
  EXPECT_EQ(experiment_from_json(to_json(e)).crystal.diffuse_error, 0.01);
  e.crystal.diffuse_error = 0.2;
  const std::string message = test::message_of<UsageError>([&] { resolve(e); });
  EXPECT_NE(message.find("(-diffuse_error) is 0.2; it must be between 0 and 0.1"),
            std::string::npos)
      << message;
}

}  // namespace
}  // namespace nablabragg
