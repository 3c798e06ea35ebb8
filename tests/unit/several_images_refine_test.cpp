// Refinement of several images at once: which numbers are shared and which each image has for
// itself, and crystals that are found again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <random>

#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/refine.hpp"
#include "nablabragg/series.hpp"
#include "refine/free_parameters.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using namespace refinement;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

const std::string crystal =
    "-corrected -cell 60 65 70 90 90 90 -N 15 -gauss_xtal -mosaic 0.2 -mosaic_model gaussian "
    "-lambda 1 -distance 60 -detpixels 400 -pixel 0.1 -Xbeam 20.1 -Ybeam 20.3 -default_F 100 "
    "-fluence 2e27 ";
const std::string wedge = crystal + "-misset 12 -7 33 -phi 20 -osc 0.5 ";

RefineOptions options_for(std::vector<std::string> shared, std::vector<std::string> own) {
  RefineOptions o;
  o.parameters = std::move(shared);
  o.own = std::move(own);
  o.most_shoeboxes = 60;  // a fit of all of them is no better a test, and takes five times as long
  return o;
}

std::vector<SettledExperiment> settled(const std::vector<Experiment>& experiments) {
  return {experiments.begin(), experiments.end()};
}

/// Images of experiments, counted above a sky of 1.5 photons.
std::vector<Measurement> counted(const std::vector<Experiment>& truths, unsigned seed) {
  std::vector<Measurement> all;
  std::mt19937_64 random(seed);
  for (const Experiment& truth : truths) {
    Measurement& m = all.emplace_back();
    m.counts = simulate(truth).image;
    for (float& p : m.counts.pixels)
      p = static_cast<float>(std::poisson_distribution<long>(static_cast<double>(p) + 1.5)(random));
  }
  return all;
}

/// A crystal that every image has as the truth, all changed alike.
template <class Change>
std::vector<Experiment> changed(std::vector<Experiment> experiments, const Change& change) {
  for (Experiment& e : experiments) change(e);
  return experiments;
}

std::vector<Experiment> scan_of(const std::string& flags, int images) {
  const Series series(test::experiment_of(flags), images);
  std::vector<Experiment> all;
  for (int i = 0; i < images; ++i) all.push_back(series.experiment(i));
  return all;
}

std::vector<Experiment> stills_of(int images, std::int64_t seed) {
  const Series series(test::experiment_of(crystal), random_missets_deg(images, seed));
  std::vector<Experiment> all;
  for (int i = 0; i < images; ++i) all.push_back(series.experiment(i));
  return all;
}

/// How far a number is from that of the truth, in standard deviations.
double pull_of(const RefinedNumber& n, const std::vector<Experiment>& truths) {
  std::string name = n.name;
  std::size_t image = 0;
  if (name.starts_with("image[")) {
    image = std::stoul(name.substr(6));
    name = name.substr(name.find("].") + 2);
  }
  const FreeParameters truth(truths[image], options_for({name}, {}));
  return (n.value - truth.start()[0]) / n.deviation;
}

void expect_found(const std::vector<Experiment>& truths, const Refinement& r) {
  for (const RefinedNumber& n : r.numbers)
    EXPECT_LT(std::abs(pull_of(n, truths)), 4.5) << n.name << ' ' << n.value << ' ' << n.deviation;
  EXPECT_NEAR(r.stages.back().residual, 1, 0.1);
}

// ---- Which numbers there are --------------------------------------------------------------------

TEST(NumbersOfSeveralImages, AreSharedFirstThenEachImagesOwn) {
  const auto starts = settled(stills_of(3, 1));
  const FreeParameters free(starts, options_for({"cell[0]", "distance"}, {"misset[1]", "fluence"}));
  std::vector<std::string> names;
  for (const FreeNumber& n : free.numbers()) names.push_back(n.name);
  EXPECT_THAT(names, ElementsAre("cell[0]", "distance", "image[0].misset[1]", "image[0].fluence",
                                 "image[1].misset[1]", "image[1].fluence", "image[2].misset[1]",
                                 "image[2].fluence"));
  EXPECT_EQ(free.shared(), 2u);
  EXPECT_EQ(free.own(), 2u);
  EXPECT_THAT(free.numbers_of(1), ElementsAre(0u, 1u, 4u, 5u));

  const std::vector<double> values{61, 59, 1, 2e27, 2, 3e27, 3, 4e27};
  for (std::size_t image = 0; image < 3; ++image) {
    const Experiment e = free.experiment(values, image);
    EXPECT_EQ(e.crystal.cell->a_A, 61);
    EXPECT_EQ(parameter(e, "distance").values[0], 59);
    const Vec3d before = starts[image].experiment().crystal.misset_deg;
    EXPECT_EQ(e.crystal.misset_deg.x, before.x);
    EXPECT_EQ(e.crystal.misset_deg.y, static_cast<double>(image + 1));
    EXPECT_DOUBLE_EQ(e.beam.fluence_per_m2, static_cast<double>(image + 2) * 1e27);
  }
}

TEST(NumbersOfSeveralImages, HaveBoundsAndRestraintsOfAllImagesOrOfOne) {
  const auto starts = settled(scan_of(wedge, 2));
  RefineOptions o = options_for({"distance"}, {"misset", "fluence"});
  o.restraints = {{"misset[1]", 0.1, {}}, {"image[1].misset[2]", 0.2, 33.5}};
  o.bounds = {{"image[0].fluence", 1e27, 3e27}};
  const FreeParameters free(starts, o);
  for (const FreeNumber& n : free.numbers()) {
    const double deviation = n.name.ends_with("misset[1]")    ? 0.1
                             : n.name == "image[1].misset[2]" ? 0.2
                                                              : 0;
    EXPECT_EQ(n.restraint_deviation, deviation) << n.name;
    EXPECT_EQ(std::isfinite(n.upper), n.name == "image[0].fluence") << n.name;
    if (n.name.ends_with("misset[1]")) {
      EXPECT_EQ(n.restrained_to, -7);
    }
    if (n.name == "image[1].misset[2]") {
      EXPECT_EQ(n.restrained_to, 33.5);
    }
  }
}

TEST(NumbersOfSeveralImages, AreRefusedWhereTheyContradictEachOther) {
  std::vector<Experiment> starts = scan_of(wedge, 3);
  const auto complaint = [&](const RefineOptions& o) {
    return test::message_of<UsageError>([&] { FreeParameters(settled(starts), o); });
  };
  EXPECT_THAT(complaint(options_for({"misset[1]"}, {"misset"})),
              HasSubstr("misset[1] is named twice"));
  EXPECT_THAT(complaint(options_for({}, {"misset", "misset[0]"})),
              HasSubstr("misset[0] is named twice"));
  RefineOptions o = options_for({"distance"}, {"misset"});
  o.restraints = {{"image[3].misset[0]", 0.1, {}}};
  EXPECT_THAT(complaint(o), HasSubstr("a restraint is given for 'image[3].misset[0]', which is not "
                                      "refined; refined are distance, image[0].misset[0]"));
  starts[2].detector.distance_mm = 61;
  EXPECT_THAT(complaint(options_for({"distance"}, {"misset"})),
              HasSubstr("distance starts from 60 in image[0] and from 61 in image[2]"));
  EXPECT_NO_THROW(FreeParameters(settled(starts), options_for({"cell"}, {"distance"})));
}

TEST(ImagesAndExperiments, AreRefusedWhereTheyDoNotGoTogether) {
  const std::vector<Experiment> truths = scan_of(wedge, 2);
  std::vector<Measurement> images = counted(truths, 3);
  const RefineOptions o = options_for({"misset"}, {});
  EXPECT_THAT(test::message_of<UsageError>([&] { refine(truths, std::span(images).first(1), o); }),
              HasSubstr("there are 1 images and 2 experiments"));
  std::fill(images[1].counts.pixels.begin(), images[1].counts.pixels.end(), 0.0F);
  EXPECT_THAT(test::message_of<InputError>([&] { refine(truths, images, o); }),
              HasSubstr("no spot of 20 photons was found in image[1]"));
  images[1].counts = {10, 10, std::vector<float>(100)};
  EXPECT_THAT(test::message_of<InputError>([&] { refine(truths, images, o); }),
              HasSubstr("image[1] has 10 x 10 pixels"));
}

TEST(ImagesAndExperiments, MakeNothingBrighterWhereIntensitiesAreFree) {
  RefineOptions o = options_for({"misset"}, {"fluence"});
  o.intensities = Intensities::free;
  EXPECT_THAT(test::message_of<UsageError>([&] { check_options(o); }),
              HasSubstr("fluence cannot be refined where the intensities are free"));
}

TEST(ImagesAndExperiments, OfSeveralTablesOfStructureFactorsShareNoStructureFactors) {
  std::vector<Experiment> truths = scan_of(wedge, 2);
  const std::vector<Measurement> images = counted(truths, 3);
  for (Experiment& e : truths)
    e.structure_factors.grid = std::make_shared<StructureFactorGrid>(MillerIndex{-5, -5, -5},
                                                                     MillerIndex{5, 5, 5}, 100.0);
  RefineOptions o = options_for({"misset"}, {});
  o.structure_factor_deviation = 0.1;
  EXPECT_THAT(test::message_of<UsageError>([&] { refine(truths, images, o); }),
              HasSubstr("all images have the same table"));
}

// ---- Crystals that are found again --------------------------------------------------------------

TEST(RefineOfSeveralImages, FindsTheCrystalOfAWedgeAndTheBrightnessOfEachImage) {
  std::vector<Experiment> truths = scan_of(wedge, 4);
  for (std::size_t i = 0; i < truths.size(); ++i)
    truths[i].beam.fluence_per_m2 *= 1 + 0.2 * static_cast<double>(i);
  const std::vector<Experiment> starts = changed(scan_of(wedge, 4), [](Experiment& e) {
    e.crystal.misset_deg = {12.3, -7.3, 33.3};
    e.crystal.cell = UnitCell{60.2, 64.8, 70.2};
    e.detector.distance_mm = 60.3;
    e.detector.beam_x_mm = 20.3;
    e.crystal.mosaic_spread_deg = 0.15;
  });
  const RefineOptions o = options_for(
      {"misset", "cell[0-2]", "distance", "beam_center", "mosaic_spread"}, {"fluence"});
  const Refinement r = refine(starts, counted(truths, 5), o),
                   other = refine(starts, counted(truths, 6), o);
  double squares = 0;
  for (const Refinement* one : {&r, &other}) {
    expect_found(truths, *one);
    EXPECT_THAT(one->warnings, SizeIs(0));
    for (const RefinedNumber& n : one->numbers) squares += std::pow(pull_of(n, truths), 2);
  }
  EXPECT_NEAR(std::sqrt(squares / 28), 1, 0.4);
  ASSERT_THAT(r.experiments, SizeIs(4));
  EXPECT_THAT(r.numbers, SizeIs(10 + 4));
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(r.experiments[i].crystal.cell->a_A, r.numbers[3].value);
    EXPECT_EQ(r.experiments[i].beam.fluence_per_m2, r.numbers[10 + i].value);
    EXPECT_EQ(r.experiments[i].scan.phi_deg, 20 + 0.5 * static_cast<double>(i));
  }
  int last = 0;
  for (const Shoebox& box : r.shoeboxes) {
    EXPECT_GE(box.image, last);
    last = box.image;
  }
  EXPECT_EQ(last, 3);
}

TEST(RefineOfSeveralImages, FindsStillsOfCrystalsThatLieInAnyWayAndShareACell) {
  const std::vector<Experiment> truths = stills_of(4, 11);
  std::vector<Experiment> starts = changed(truths, [](Experiment& e) {
    e.crystal.cell = UnitCell{60.2, 64.8, 70.2};
    e.detector.distance_mm = 60.2;
  });
  for (std::size_t i = 0; i < starts.size(); ++i)
    starts[i].crystal.misset_deg = starts[i].crystal.misset_deg +
                                   Vec3d{0.2, i % 2 == 0 ? 0.2 : -0.2, -0.2};
  const std::vector<Measurement> images = counted(truths, 6);
  const RefineOptions o = options_for({"cell[0-2]", "distance", "mosaic_spread"},
                                      {"misset", "fluence"});
  const Refinement together = refine(starts, images, o);
  expect_found(truths, together);
  EXPECT_THAT(together.warnings, SizeIs(0));
  // What they share they know better together than any of them alone
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const Refinement alone = refine(std::span(starts).subspan(i, 1),
                                    std::span(images).subspan(i, 1), o);
    for (std::size_t n = 0; n < 5; ++n)
      EXPECT_LT(together.numbers[n].deviation, alone.numbers[n].deviation) << alone.numbers[n].name;
  }
}

TEST(RefineOfSeveralImages, ThatShareNothingEndsWhereEachEndsAlone) {
  const std::vector<Experiment> truths = stills_of(2, 21);
  const std::vector<Experiment> starts = changed(truths, [](Experiment& e) {
    e.crystal.misset_deg = e.crystal.misset_deg + Vec3d{0.02, -0.02, 0.02};
  });
  const std::vector<Measurement> images = counted(truths, 7);
  for (const Background background : {Background::constant, Background::none}) {
    RefineOptions o = options_for({}, {"misset", "fluence"});
    o.spot_stage = false;
    o.background = background;
    const Refinement together = refine(starts, images, o);
    for (std::size_t i = 0; i < 2; ++i) {
      RefineOptions alone_options = options_for({"misset", "fluence"}, {});
      alone_options.spot_stage = false;
      alone_options.background = background;
      const Refinement alone = refine(starts[i], images[i], alone_options);
      for (std::size_t n = 0; n < 4; ++n) {
        const RefinedNumber &a = alone.numbers[n], &t = together.numbers[4 * i + n];
        EXPECT_EQ(t.name, "image[" + std::to_string(i) + "]." + a.name);
        EXPECT_NEAR(t.value, a.value, 0.03 * a.deviation) << t.name;
        EXPECT_NEAR(t.deviation, a.deviation, 1e-3 * a.deviation) << t.name;
      }
    }
    // Nothing that one image says is of another
    for (std::size_t n = 0; n < 4; ++n)
      for (std::size_t m = 4; m < 8; ++m) EXPECT_EQ(together.correlations[n * 8 + m], 0);
  }
}

TEST(RefineOfSeveralImages, OfTheSameImageTwiceKnowsASquareRootOfTwoMore) {
  const std::vector<Experiment> truths = stills_of(1, 31);
  const std::vector<Measurement> images = counted(truths, 8);
  const std::vector<Experiment> twice{truths[0], truths[0]};
  const std::vector<Measurement> both{images[0], images[0]};
  const RefineOptions o = options_for({"misset", "fluence"}, {});
  const Refinement one = refine(truths[0], images[0], o), two = refine(twice, both, o);
  for (std::size_t n = 0; n < one.numbers.size(); ++n) {
    EXPECT_NEAR(two.numbers[n].value, one.numbers[n].value, 0.05 * one.numbers[n].deviation);
    EXPECT_NEAR(two.numbers[n].deviation * std::sqrt(2), one.numbers[n].deviation,
                1e-2 * one.numbers[n].deviation);
  }
}

TEST(RefineOfSeveralImages, FindsACrystalWithoutABackgroundOfTheBoxesToo) {
  const std::vector<Experiment> truths = changed(stills_of(3, 41),
                                                 [](Experiment& e) { e.water_um = 0.07; });
  std::vector<Measurement> images = counted(truths, 9);
  for (Measurement& m : images) m.offset = 1.5;
  const std::vector<Experiment> starts = changed(truths, [](Experiment& e) {
    e.crystal.misset_deg = e.crystal.misset_deg + Vec3d{0.1, -0.1, 0.1};
    e.crystal.cell = UnitCell{60.1, 64.9, 70.1};
  });
  for (const Likelihood likelihood : {Likelihood::poisson, Likelihood::gauss}) {
    RefineOptions o = options_for({"cell[0-2]"}, {"misset"});
    o.background = Background::none;
    o.likelihood = likelihood;
    for (Measurement& m : images) m.readout_noise = likelihood == Likelihood::gauss ? 1.2 : 0;
    const Refinement r = refine(starts, images, o);
    for (const RefinedNumber& n : r.numbers)
      EXPECT_LT(std::abs(pull_of(n, truths)), 4.5) << n.name << ' ' << n.value;
  }
}

TEST(RefineOfSeveralImages, HoldsBoundsAndRestraintsOfOneImage) {
  const std::vector<Experiment> truths = stills_of(2, 51);
  RefineOptions o = options_for({"cell[0-2]"}, {"misset", "fluence"});
  o.bounds = {{"image[1].fluence", 1e27, 2.1e27}};
  o.restraints = {{"image[0].fluence", 1e20, 2.2e27}};
  const Refinement r = refine(truths, counted(truths, 10), o);
  for (const RefinedNumber& n : r.numbers) {
    if (n.name == "image[0].fluence") {
      EXPECT_NEAR(n.value, 2.2e27, 1e21);
    }
    if (n.name == "image[1].fluence") {
      EXPECT_LE(n.value, 2.1e27);
    }
  }
}

TEST(RefineOfSeveralImages, FindsFreeIntensitiesOfAWedge) {
  std::vector<Experiment> truths = scan_of(wedge, 3);
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-40, -40, -40},
                                                    MillerIndex{40, 40, 40}, 0.0);
  std::mt19937_64 random(12);
  std::exponential_distribution<double> intensity(1);
  for (int h = -40; h <= 40; ++h)
    for (int k = -40; k <= 40; ++k)
      for (int l = -40; l <= 40; ++l) grid->at(h, k, l) = 100 * std::sqrt(intensity(random));
  for (Experiment& e : truths) e.structure_factors.grid = grid;
  const std::vector<Measurement> images = counted(truths, 12);
  const std::vector<Experiment> starts = changed(scan_of(wedge, 3), [](Experiment& e) {
    e.crystal.misset_deg = {12.2, -7.2, 33.2};
    e.crystal.cell = UnitCell{60.2, 64.8, 70.2};
  });
  RefineOptions o = options_for({"misset", "cell[0-2]"}, {});
  o.intensities = Intensities::free;
  o.shoebox_px = 11;
  o.most_shoeboxes = 100;
  const Refinement r = refine(starts, images, o);
  for (const RefinedNumber& n : r.numbers)
    EXPECT_LT(std::abs(pull_of(n, truths)), 4.5) << n.name << ' ' << n.value << ' ' << n.deviation;
  ASSERT_TRUE(r.found_spots);
  EXPECT_GT(r.found_spots->placed, 150u);
  EXPECT_LT(r.found_spots->fast_rms_px, 0.3);
  double squares = 0;
  for (const RefinedFactor& f : r.factors)
    squares += std::pow((f.value - grid->at(f.hkl[0], f.hkl[1], f.hkl[2])) / f.deviation, 2);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(r.factors.size())), 1, 0.4);
  for (const Experiment& e : r.experiments)
    EXPECT_EQ(e.structure_factors.grid, r.experiments[0].structure_factors.grid);
}

TEST(RefineOfSeveralImages, FindsStructureFactorsThatTheyShare) {
  std::vector<Experiment> truths = stills_of(3, 61);
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-30, -30, -30},
                                                    MillerIndex{30, 30, 30}, 100.0);
  auto off = std::make_shared<StructureFactorGrid>(*grid);
  std::mt19937_64 random(13);
  std::normal_distribution<double> error(0, 0.05);
  for (int h = -30; h <= 30; ++h)
    for (int k = -30; k <= 30; ++k)
      for (int l = -30; l <= 30; ++l) off->at(h, k, l) *= std::exp(error(random));
  for (Experiment& e : truths) e.structure_factors.grid = grid;
  const std::vector<Measurement> images = counted(truths, 13);
  const std::shared_ptr<const StructureFactorGrid> started = off;
  const std::vector<Experiment> starts = changed(
      truths, [&](Experiment& e) { e.structure_factors.grid = started; });
  RefineOptions o = options_for({"cell[0-2]"}, {"misset"});
  o.structure_factor_deviation = 0.05;
  o.most_shoeboxes = 60;
  const Refinement r = refine(starts, images, o);
  ASSERT_GT(r.factors.size(), 60u);
  double squares = 0, before = 0;
  for (const RefinedFactor& f : r.factors) {
    squares += std::pow((f.value - 100) / f.deviation, 2);
    before += std::pow((f.start - 100) / f.deviation, 2);
    for (const Experiment& e : r.experiments)
      EXPECT_EQ(e.structure_factors.grid->at(f.hkl[0], f.hkl[1], f.hkl[2]), f.value);
  }
  const auto count = static_cast<double>(r.factors.size());
  EXPECT_LT(std::sqrt(squares / count), 1.5);
  EXPECT_GT(std::sqrt(before / count), 2 * std::sqrt(squares / count));
}

TEST(RefineOfSeveralImages, GivesTheSameBitsOnAnyNumberOfThreadsAndWhereverItWasStopped) {
  const std::vector<Experiment> truths = stills_of(2, 71);
  const std::vector<Measurement> images = counted(truths, 14);
  const std::vector<Experiment> starts = changed(truths, [](Experiment& e) {
    e.crystal.misset_deg = e.crystal.misset_deg + Vec3d{0.1, -0.1, 0.1};
    e.crystal.cell = UnitCell{60.1, 64.9, 70.1};
  });
  RefineOptions o = options_for({"cell[0-2]"}, {"misset", "fluence"});
  o.most_shoeboxes = 40;
  o.compute.threads = 1;
  const Refinement whole = refine(starts, images, o);
  const auto expect_same = [&](const Refinement& r) {
    ASSERT_EQ(r.numbers.size(), whole.numbers.size());
    for (std::size_t i = 0; i < whole.numbers.size(); ++i) {
      EXPECT_EQ(r.numbers[i].value, whole.numbers[i].value) << whole.numbers[i].name;
      EXPECT_EQ(r.numbers[i].deviation, whole.numbers[i].deviation);
    }
    for (std::size_t i = 0; i < starts.size(); ++i)
      EXPECT_EQ(to_json(r.experiments[i]), to_json(whole.experiments[i]));
  };
  o.compute.threads = 3;
  expect_same(refine(starts, images, o));
  int stops = 0;
  for (int calls = 1;; calls += 3) {
    int seen = 0;
    o.progress = [&](const RefineProgress&) { return ++seen < calls; };
    const Refinement first = refine(starts, images, o);
    if (!first.stopped) break;
    ++stops;
    o.progress = {};
    o.resume = refine_state_from_json(to_json(first.state));
    expect_same(refine(starts, images, o));
    o.resume.reset();
  }
  EXPECT_GT(stops, 3);
}

}  // namespace
}  // namespace nablabragg
