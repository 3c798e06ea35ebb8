// The images of a series are those of its experiments, however many are made at a time.
#include "nablabragg/series.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <numbers>
#include <set>

#include "api/series_images.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/series_truth.hpp"
#include "nablabragg/spectra.hpp"
#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string crystal =
    "-corrected -gauss_xtal -cell 60 70 80 -default_F 100 -N 12 -misset 10 20 30 -lambda 1.1 "
    "-fluence 1e24 -distance 80 -pixel 0.2 -phi 70 -osc 0.3 -mosaic 0.3 -mosaic_domains 3 "
    "-phisteps 2 -oversample 1 ";

/// Small images, of which each thread makes its own, and large ones, which are shared.
std::vector<Series> series() {
  const Experiment small = experiment_of(crystal + "-detpixels_f 150 -detpixels_s 90");
  Experiment still = small;
  still.scan = {};
  const Experiment large = experiment_of(crystal + "-detpixels 1100 -mosaic_domains 1");
  return {Series(small, 9), Series(still, random_missets_deg(7, 3)), Series(large, 4)};
}

TEST(SeriesOfExperiments, AreMadeInOrderWithTheBitsOfSimulate) {
  for (const Series& s : series())
    for (const int threads : {1, 3}) {
      ComputeOptions options = cpu_engine(Precision::float32);
      options.threads = threads;
      std::vector<int> wanted, taken;
      for (int i = 0; i < s.images(); ++i)
        if (i != 2) wanted.push_back(i);
      std::atomic<int> wrong{0};
      double last = 0;
      options.progress = [&](double share) {
        EXPECT_GE(share, last);
        last = share;
        return true;
      };
      make_images(
          s, wanted, options, nullptr,
          [&](int i, MadeImage& made) {
            const Simulation& simulation = made.simulation;
            ComputeOptions alone = options;
            alone.progress = {};
            const Simulation expected = simulate(s.experiment(i), alone);
            wrong += simulation.image.pixels != expected.image.pixels ||
                     simulation.statistics.sum != expected.statistics.sum ||
                     simulation.statistics.solid_angle_sr != expected.statistics.solid_angle_sr;
            EXPECT_GT(expected.statistics.sum, 0);
            return i;
          },
          [&](int i, int result) {
            EXPECT_EQ(i, result);
            taken.push_back(i);
          });
      EXPECT_EQ(wrong, 0);
      EXPECT_EQ(taken, wanted);
      EXPECT_EQ(last, 1);
    }
}

TEST(SeriesOfExperiments, EndWhenTheCallerWantsNoMore) {
  for (const Series& s : series()) {
    ComputeOptions options = cpu_engine(Precision::float32);
    options.progress = [](double share) { return share < 0.5; };
    std::vector<int> wanted(static_cast<std::size_t>(s.images()));
    for (int i = 0; i < s.images(); ++i) wanted[static_cast<std::size_t>(i)] = i;
    int taken = 0;
    EXPECT_THROW(make_images(
                     s, wanted, options, nullptr, [](int i, MadeImage&) { return i; },
                     [&](int, int) { ++taken; }),
                 Cancelled);
    EXPECT_LT(taken, s.images());
  }
}

TEST(SeriesOfExperiments, GiveTheFirstFailureToTheCaller) {
  const Series s = series()[0];
  const std::vector<int> wanted = {0, 1, 2, 3, 4};
  EXPECT_THAT(message_of<OutputError>([&] {
                make_images(
                    s, wanted, cpu_engine(Precision::float32), nullptr,
                    [](int i, MadeImage&) {
                      if (i == 3) throw OutputError("the disk is full");
                      return i;
                    },
                    [](int, int) {});
              }),
              HasSubstr("the disk is full"));
}

TEST(SeriesOfExperiments, GoOnFromImageToImage) {
  const Experiment e = experiment_of(crystal + "-detpixels 10");
  const Series scan(e, 5);
  EXPECT_TRUE(scan.is_scan());
  EXPECT_EQ(scan.experiment(0).scan.phi_deg, 70);
  EXPECT_DOUBLE_EQ(scan.experiment(3).scan.phi_deg, 70.9);
  EXPECT_EQ(geometry_of(scan).scan->images, 5);
  Experiment still = e;
  still.scan = {};
  const Series stills(still, {{1, 2, 3}, {4, 5, 6}});
  EXPECT_FALSE(stills.is_scan());
  EXPECT_EQ(stills.experiment(1).crystal.misset_deg, (Vec3d{4, 5, 6}));
  EXPECT_THAT(message_of<UsageError>([&] { stills.experiment(2); }), HasSubstr("no image 2"));
}

// ---- Seeds and orientations
// ------------------------------------------------------------------------

TEST(SeedsOfImages, DifferAndAreReproducible) {
  std::set<std::int64_t> seeds;
  for (const std::int64_t seed : {-3, 0, 1, 2, 3})
    for (int i = 0; i < 1000; ++i) seeds.insert(seed_of_image(seed, i));
  EXPECT_EQ(seeds.size(), 5000u);
  EXPECT_EQ(seed_of_image(42, 0), 42);
  EXPECT_EQ(seed_of_image(42, 1), seed_of_image(42, 1));
  EXPECT_LT(*seeds.rbegin(), std::int64_t{1} << 53) << "a double holds it";
}

TEST(MissetAngles, OfARotationTurnLikeIt) {
  for (const Vec3d& deg :
       {Vec3d{0, 0, 0}, Vec3d{10, 20, 30}, Vec3d{-170, 80, 100}, Vec3d{5, 90, 40},
        Vec3d{5, -90, 40}, Vec3d{5, 90 - 1e-9, 40}, Vec3d{180, 45, -180}}) {
    const Mat3d rotation = rotation_of_misset(deg),
                again = rotation_of_misset(misset_deg_of(rotation));
    EXPECT_LT(
        length(again.a - rotation.a) + length(again.b - rotation.b) + length(again.c - rotation.c),
        1e-14);
  }
  EXPECT_NEAR(misset_deg_of(rotation_of_misset({10, 20, 30})).y, 20, 1e-12);
}

TEST(RandomOrientations, AreUniform) {
  const int count = 20000;
  const std::vector<Vec3d> missets = random_missets_deg(count, 1);
  // Where a crystal's axis points is uniform on the sphere, so that each component is between -1
  // and 1; the angle of the rotation has (1 - cos) / pi (R. E. Miles, Biometrika 52, 1965, 636).
  std::vector<double> components, angles;
  for (const Vec3d& misset : missets) {
    const Mat3d r = rotation_of_misset(misset);
    components.push_back((r.a.x + 1) / 2);
    const double angle = std::acos(std::clamp((r.a.x + r.b.y + r.c.z - 1) / 2, -1.0, 1.0));
    angles.push_back((angle - std::sin(angle)) / std::numbers::pi);
  }
  for (std::vector<double>* values : {&components, &angles}) {
    std::ranges::sort(*values);
    double largest = 0;  // Kolmogorov and Smirnov's
    for (int i = 0; i < count; ++i)
      largest = std::max(largest,
                         std::abs((*values)[static_cast<std::size_t>(i)] - (i + 0.5) / count));
    EXPECT_LT(largest, 1.63 / std::sqrt(count)) << "one in a hundred seeds would be off by more";
  }
  EXPECT_EQ(random_missets_deg(5, 1)[4], missets[4])
      << "an image does not depend on how many there are";
}

// ---- Truth
// -----------------------------------------------------------------------------------------

TEST(TrueReflectionsOfAScan, AddUpTheLightOfTheImagesThatTheyRockThrough) {
  Experiment e = experiment_of(crystal + "-detpixels 300 -osc 0.1 -phisteps 4 -mosaic_domains 20");
  const Series fine(e, 30);
  e.scan.oscillation_deg.range = 3;
  e.scan.oscillation_deg.steps = 120;
  const Series wide(e, 1);
  const auto truth_of = [](const Series& s) {
    SeriesTruth truth(s);
    // In any order
    for (int i = s.images(); i-- > 0;)
      truth.add(i, truth.light_of(i, simulate(s.experiment(i)).image));
    return truth.spots();
  };
  const std::vector<PredictedSpot> of_many = truth_of(fine), of_one = truth_of(wide);
  ASSERT_GT(of_one.size(), 30u);
  std::map<MillerIndex, PredictedSpot> one;
  for (const PredictedSpot& spot : of_one) one[spot.hkl] = spot;
  double light = 0, difference = 0;
  for (const PredictedSpot& spot : of_many) {
    const auto found = one.find(spot.hkl);
    if (found == one.end()) continue;
    EXPECT_NEAR(spot.frame, found->second.frame * 30, 1e-6);
    EXPECT_NEAR(spot.phi_deg, found->second.phi_deg, 1e-9);
    EXPECT_NEAR(spot.partiality, found->second.partiality, 1e-9);
    light += found->second.photons;
    // A wide image has the light of all images of a fine scan, thirty times as long exposed each.
    difference += std::abs(spot.photons / 30 - found->second.photons);
  }
  EXPECT_LT(difference, 0.05 * light);
}

TEST(TrueReflectionsOfAScan, ArePartialWhereItBeginsAndEnds) {
  Experiment e = experiment_of(crystal + "-detpixels 300 -osc 0.1 -phisteps 4 -mosaic_domains 20");
  const auto truth_of = [](const Experiment& first, int images) {
    const Series scan(first, images);
    SeriesTruth truth(scan);
    for (int i = 0; i < images; ++i)
      truth.add(i, truth.light_of(i, simulate(scan.experiment(i)).image));
    std::map<MillerIndex, PredictedSpot> spots;
    for (const PredictedSpot& spot : truth.spots()) spots[spot.hkl] = spot;
    return spots;
  };
  const auto part = truth_of(e, 20);
  e.scan.phi_deg -= 3;
  const auto all = truth_of(e, 80);
  int whole = 0, partial = 0;
  double difference = 0;
  for (const auto& [hkl, spot] : part) {
    if (!all.contains(hkl) || all.at(hkl).partiality < 0.99) continue;
    EXPECT_GT(spot.partiality, 0);
    EXPECT_LE(spot.partiality, 1);
    const double share = spot.photons / all.at(hkl).photons;
    if (spot.partiality > 0.999) {
      ++whole;
      EXPECT_NEAR(share, 1, 0.03);
    } else {
      ++partial;
      difference += std::abs(share - spot.partiality);
    }
  }
  EXPECT_GT(whole, 10);
  EXPECT_GT(partial, 10);
  EXPECT_LT(difference / partial, 0.1);
}

TEST(TrueReflectionsOfShots, AreThoseOfEachImageAloneInItsOwnLight) {
  Experiment still = experiment_of(crystal + "-detpixels_f 150 -detpixels_s 90");
  still.scan = {};
  const std::vector<double> axis{11000, 11300, 11600}, weights{1, 0, 0, 0, 0, 1, 1, 2, 1};
  const Series s(still, std::make_shared<const Spectra>(axis, weights, SpectrumUnit::eV));
  SeriesTruth truth(s);
  std::size_t before = 0;
  std::set<double> wavelengths;
  for (int i = 0; i < s.images(); ++i) {
    const Image image = simulate(s.experiment(i)).image;
    truth.add(i, truth.light_of(i, image));
    const std::vector<PredictedSpot> alone = true_spots(s.experiment(i), image),
                                     all = truth.spots();
    ASSERT_GT(alone.size(), 3U);
    ASSERT_EQ(all.size(), before + alone.size());
    for (std::size_t k = 0; k < alone.size(); ++k) {
      EXPECT_EQ(all[before + k].wavelength_A, alone[k].wavelength_A);
      EXPECT_EQ(all[before + k].fast_px, alone[k].fast_px);
      EXPECT_EQ(all[before + k].photons, alone[k].photons);
      EXPECT_EQ(all[before + k].experiment, i);
    }
    wavelengths.insert(geometry_of(s.experiment(i)).beam->wavelength_A);
    before = all.size();
  }
  EXPECT_EQ(wavelengths.size(), 3U);
}

}  // namespace
}  // namespace nablabragg::test
