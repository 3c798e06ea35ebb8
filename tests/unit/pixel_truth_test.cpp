// What the light of each pixel is made of.
#include "nablabragg/pixel_truth.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/lattices.hpp"
#include "engine/pixel_sum.hpp"
#include "nablabragg/background.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/simulate.hpp"
#include "plan/make_plan.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

const std::string crystal =
    "-corrected -cell 60 70 80 85 95 105 -misset 10 20 30 -default_F 100 -lambda 1 -distance 60 "
    "-detpixels 60 -pixel 1 -fluence 1e24 ";

struct ByReflection {
  static constexpr bool active = true;
  static constexpr bool goes_on() { return true; }
  std::map<MillerIndex, double>& light;
  void operator()(const engine::StepRecord& r) const {
    light[{int(r.nearest.x), int(r.nearest.y), int(r.nearest.z)}] += r.term * r.solid_angle *
                                                                     r.polarization * r.capture;
  }
};

/// A crystal and its reflection.
using Origin = std::pair<std::int32_t, MillerIndex>;

/// The light of each reflection in a pixel, term by term.
std::map<Origin, double> light_of_reflections(const Plan& whole, int fast, int slow) {
  std::map<Origin, double> all;
  for (std::size_t lattice = 0; lattice <= whole.more_lattices.size(); ++lattice) {
    const Plan plan = engine::plan_of_lattice(whole, lattice);
    std::map<MillerIndex, double> light;
    const engine::GridView grid(plan.lattice);
    engine::sum_pixel(plan, plan.panels[0], grid, fast, slow, 0, ByReflection{light});
    for (const auto& [hkl, photons] : light)
      all[{static_cast<std::int32_t>(lattice), hkl}] = plan.scale * photons;
  }
  return all;
}

/// F that differ by much, so that one of several reflections in a pixel is the strongest.
std::shared_ptr<StructureFactorGrid> uneven_factors() {
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-40, -40, -40},
                                                    MillerIndex{40, 40, 40}, 0.0);
  std::uint64_t state = 1;
  for (double& F : grid->values()) {
    state = state * 6364136223846793005U + 1;
    F = 1 + 100 * double(state >> 40U) / 16777216.0;
  }
  return grid;
}

/// Of an experiment of 60 x 60 pixels in which reflections overlap.
void expect_strongest_told(const Experiment& e) {
  const PixelTruth truth = pixel_truth(e);
  const Plan plan = make_plan(e, resolve(e));
  ASSERT_EQ(truth.hkl.size(), 3600U);
  ASSERT_EQ(truth.crystal.size(), e.more_crystals.empty() ? 0U : 3600U);
  int told = 0, mixed = 0, told_of_mixed = 0, strongest_of_mixed = 0;
  std::vector<int> of_crystal(1 + e.more_crystals.size());
  for (int slow = 0; slow < 60; ++slow)
    for (int fast = 0; fast < 60; ++fast) {
      const auto pixel = static_cast<std::size_t>(slow * 60 + fast);
      const auto light = light_of_reflections(plan, fast, slow);
      double all = 0;
      Origin strongest{};
      double most = 0;
      for (const auto& [origin, photons] : light) {
        all += photons;
        if (photons > most) most = photons, strongest = origin;
      }
      const double share = most / all;
      if (std::abs(share - 0.5) < 1e-3) continue;  // single precision may see it on either side
      const Origin origin{truth.crystal.empty() ? 0 : truth.crystal[pixel], truth.hkl[pixel]};
      if (share > 0.5) {
        ++told;
        ++of_crystal[static_cast<std::size_t>(strongest.first)];
        EXPECT_TRUE(truth.has_hkl[pixel]) << slow << ' ' << fast << ' ' << share;
        EXPECT_EQ(origin, strongest) << slow << ' ' << fast;
        continue;
      }
      ++mixed;
      if (!truth.has_hkl[pixel]) continue;
      ++told_of_mixed;
      strongest_of_mixed += origin == strongest;
      ASSERT_TRUE(light.contains(origin)) << slow << ' ' << fast;
      EXPECT_GT(light.at(origin), most / 2) << slow << ' ' << fast;
    }
  EXPECT_GT(told, 1000);
  EXPECT_THAT(of_crystal, testing::Each(testing::Gt(50)));
  EXPECT_GT(mixed, 100);
  EXPECT_LT(told_of_mixed, mixed / 2);
  EXPECT_GT(strongest_of_mixed, told_of_mixed * 3 / 4);
}

TEST(PixelTruth, TellsWhoseReflectionMostOfTheLatticesLightIsStepByStep) {
  // Domains so wide, cells so few that reflections overlap
  Experiment e = test::experiment_of(
      crystal + "-N 6 -oversample 2 -mosaic 4 -mosaic_domains 6 -dispersion 3 -dispsteps 3");
  e.structure_factors.grid = uneven_factors();
  e.structure_factors.default_F = 0;
  expect_strongest_told(e);
}

TEST(PixelTruth, TellsWhichOfSeveralCrystalsMostOfTheLatticesLightIsOf) {
  Experiment e = test::experiment_of(crystal +
                                     "-N 6 -oversample 2 -mosaic 2 -mosaic_domains 3 -more_crystal "
                                     "40 5 80 0.6 7 6 8 1");
  e.structure_factors.grid = uneven_factors();
  e.structure_factors.default_F = 0;
  expect_strongest_told(e);
}

TEST(PixelTruth, OfSeveralCrystalsInClosedFormIsThatOfEachWhereTheyDoNotOverlap) {
  const std::string narrow = crystal +
                             "-detpixels 80 -pixel 0.2 -N 12 -gauss_xtal -mosaic 0.4 "
                             "-mosaic_model gaussian -osc 0.5 -fluence 1e28 ";
  const PixelTruth both = pixel_truth(test::experiment_of(narrow + "-more_crystal 40 5 80 0.3")),
                   first = pixel_truth(test::experiment_of(narrow)),
                   second = pixel_truth(test::experiment_of(narrow + "-misset 40 5 80"));
  const auto &light = first.parts[0].photons, &other = second.parts[0].photons;
  const double least = 0.01 * *std::ranges::max_element(both.parts[0].photons);
  std::array<int, 2> compared{};
  for (std::size_t i = 0; i < light.size(); ++i) {
    const double mine = light[i], its = 0.3 * other[i];
    EXPECT_NEAR(both.parts[0].photons[i], mine + its, 1e-5 * least);
    const bool is_first = mine > 100 * its && mine > least,
               is_second = its > 100 * mine && its > least;
    if (!is_first && !is_second) continue;
    ++compared[is_second];
    EXPECT_EQ(both.hkl[i], (is_second ? second : first).hkl[i]);
    EXPECT_EQ(both.crystal[i], is_second);
  }
  EXPECT_THAT(compared, testing::Each(testing::Gt(50)));
}

TEST(PixelTruth, TellsTheReflectionsOfAnImageInClosedForm) {
  Experiment e = test::experiment_of(
      crystal +
      "-detpixels 80 -pixel 0.2 -N 12 -gauss_xtal -mosaic 0.4 -mosaic_model gaussian -osc 0.5");
  const PixelTruth closed = pixel_truth(e);
  e.sampling.summation = Summation::sampled;
  e.sampling.oversample = 1;
  e.crystal.mosaic_domains = 50;
  e.scan.oscillation_deg.steps = 3;
  const PixelTruth sampled = pixel_truth(e);
  const auto& light = closed.parts[0].photons;
  const auto& other = sampled.parts[0].photons;
  const double least = 0.01 * *std::ranges::max_element(light),
               least_of_other = 0.01 * *std::ranges::max_element(other);
  int compared = 0, differ = 0;
  for (std::size_t i = 0; i < light.size(); ++i)
    if (light[i] > least && other[i] > least_of_other && closed.has_hkl[i] && sampled.has_hkl[i]) {
      ++compared;
      differ += closed.hkl[i] != sampled.hkl[i];
    }
  EXPECT_GT(compared, 50);
  EXPECT_EQ(differ, 0);
}

TEST(PixelTruth, HasPartsThatAddUpToTheImageAndAreWhatEachWouldBeAlone) {
  Experiment e = test::experiment_of(crystal +
                                     "-N 6 -water 200 -diffuse_sigma 0.4 -diffuse_gamma 20");
  for (Material& gas : gas_in_beam(-10, 20)) e.materials.push_back(gas);
  const PixelTruth truth = pixel_truth(e);
  std::vector<std::string> names;
  for (const PartOfLight& part : truth.parts) names.push_back(part.name);
  EXPECT_EQ(names, (std::vector<std::string>{"lattice", "diffuse", "water", e.materials[0].name,
                                             e.materials[1].name}));
  const Image image = simulate(e).image;
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    double sum = 0;
    for (const PartOfLight& part : truth.parts) sum += part.photons[i];
    EXPECT_NEAR(sum, double(image.pixels[i]), 1e-6 * sum);
    for (const PartOfLight& part : truth.parts) EXPECT_GT(part.photons[i], 0) << part.name;
  }
}

TEST(PixelTruth, HasPartsOfTheSameLightWhateverTheCrystalLeavesToTheSum) {
  // Without diffuse light, or F that is interpolated, these rays would have a closed form.
  const std::string gaussian =
      "-N 6 -gauss_xtal -dispersion 3 -spectrum_model gaussian -dispsteps 5 -hdivrange 20 "
      "-beam_model gaussian -hdivsteps 3 -water 200 -oversample 1 ";
  for (const char* sum : {"", "-diffuse_sigma 0.4 -diffuse_gamma 20", "-interpolate"}) {
    Experiment e = test::experiment_of(crystal + gaussian + sum);
    if (e.structure_factors.interpolation == Interpolation::tricubic)
      e.structure_factors.grid = uneven_factors();
    for (Material& gas : gas_in_beam(-10, 20)) e.materials.push_back(gas);
    const PixelTruth truth = pixel_truth(e);
    const Image image = simulate(e).image;
    for (std::size_t i = 0; i < image.pixels.size(); i += 7) {
      double all = 0;
      for (const PartOfLight& part : truth.parts) all += part.photons[i];
      EXPECT_NEAR(all, double(image.pixels[i]), 1e-6 * all) << sum;
    }
  }
}

TEST(PhotonsOfSpots, AreThoseOfAllCrystalsWithoutWaterMaterialsAndDiffuseLight) {
  const std::string one = crystal + "-N 6 -oversample 1 ", two = one + "-more_crystal 40 5 80 0.3 ";
  const std::string more = "-water 200 -air -10 20 -diffuse_sigma 0.4 -diffuse_gamma 20 ";
  const auto photons = [](const std::string& flags) {
    return photons_of_spots(test::experiment_of(flags));
  };
  const std::vector<double> weakened = photons(one + more);
  EXPECT_EQ(weakened, pixel_truth(test::experiment_of(one + more)).parts[0].photons);
  const std::string stop = "-beamstop_distance 30 -beamstop_radius 4 ";
  const std::vector<double> both = photons(two + stop + "-water 200 -air -10 20 ");
  const Image image = simulate(test::experiment_of(two + stop)).image;
  for (std::size_t i = 0; i < both.size(); ++i)
    ASSERT_NEAR(both[i], double(image.pixels[i]), 1e-6 * both[i]);
}

TEST(PixelTruth, KnowsTheReflectionsOfADefaultF) {
  const Experiment e = test::experiment_of(crystal + "-N 6 -oversample 1");
  const PixelTruth truth = pixel_truth(e);
  const Plan plan = make_plan(e, resolve(e));
  for (const int place : {0, 31 * 60 + 17, 59 * 60 + 59}) {
    const auto light = light_of_reflections(plan, place % 60, place / 60);
    ASSERT_EQ(light.size(), 1U);
    EXPECT_TRUE(truth.has_hkl[static_cast<std::size_t>(place)]);
    EXPECT_EQ(truth.hkl[static_cast<std::size_t>(place)], light.begin()->first.second);
  }
}

TEST(PixelTruth, TellsNoReflectionWhereFIsInterpolatedAndIsRefusedInCompatMode) {
  Experiment e = test::experiment_of(crystal + "-N 2");
  e.structure_factors.grid = std::make_shared<StructureFactorGrid>(MillerIndex{-40, -40, -40},
                                                                   MillerIndex{40, 40, 40}, 10.0);
  e.structure_factors.interpolation = Interpolation::tricubic;
  EXPECT_TRUE(pixel_truth(e).hkl.empty());
  EXPECT_EQ(test::message_of<UsageError>([] {
              pixel_truth(test::experiment_of("-cell 50 -default_F 1 -N 5 -detpixels 8"));
            }),
            "what the light of a pixel is made of is told with -corrected alone");
}

}  // namespace
}  // namespace nablabragg
