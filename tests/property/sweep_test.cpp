// The images of a sweep are those of its experiments, whatever was there before.
#include "nablabragg/sweep.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

using testing::HasSubstr;

const std::string crystal =
    "-corrected -gauss_xtal -cell 60 70 80 -default_F 100 -N 12 -misset 10 20 30 -lambda 1.1 "
    "-fluence 1e24 -distance 80 -detpixels_f 150 -detpixels_s 90 -pixel 0.2 -phi 70 -osc 0.3 ";

std::shared_ptr<Mask> stripes(int fast_pixels, int slow_pixels) {
  auto mask = std::make_shared<Mask>();
  mask->fast_pixels = fast_pixels;
  mask->slow_pixels = slow_pixels;
  for (int i = 0; i < fast_pixels * slow_pixels; ++i) mask->keep.push_back(i % 7 != 0);
  return mask;
}

/// Mosaic crystals alone, in all light, in two slices an image, behind masks and sensors, on
/// several panels, under water; and sums over steps.
std::vector<std::pair<std::string, Experiment>> experiments() {
  std::vector<std::pair<std::string, Experiment>> all;
  const auto add = [&](const std::string& flags) -> Experiment& {
    return all.emplace_back(flags, experiment_of(crystal + flags)).second;
  };
  const std::string mosaic = "-mosaic 0.3 -mosaic_model gaussian ";
  add(mosaic);
  add("-mosaic_axes 0.1 0.3 0.2 -mosaic_model gaussian -dispersion 1 -spectrum_model gaussian "
      "-divergence 1 -beam_model gaussian -osc -0.7");
  add(mosaic + "-roi 21 117 9 71").sampling.mask = stripes(150, 90);
  add(mosaic + "-detector_thick 450 -detector_abs 234 -thicksteps 3 -curved_det");
  const std::string water = "-water 3 -detector_thick 450 -detector_abs 234 -thicksteps 3 ";
  const std::string steps = "-mosaic 0.3 -mosaic_domains 5 -phisteps 3 -oversample 1 ";
  add(mosaic + "-water 3 -oversample 2");
  add(steps);
  for (const std::string& lattice : {mosaic, steps}) {
    add(lattice + water + "-roi 21 117 9 71").sampling.mask = stripes(150, 90);
    Experiment& wet = add(lattice + water + "-polar 0.9 -detector_rotx 5 -curved_det");
    FurtherPanel beside;
    beside.detector = wet.detector;
    beside.detector.fast_pixels = 70;
    beside.detector.distance_mm = 95;
    wet.more_panels = {beside};
  }
  add(steps + water + "-dispersion 1 -dispsteps 3");
  Experiment& panels = add(mosaic + "-dispersion 0.5 -spectrum_model gaussian");
  FurtherPanel further;
  further.detector = panels.detector;
  further.detector.fast_pixels = 70;
  further.detector.distance_mm = 95;
  panels.more_panels = {further, further};
  panels.more_panels[1].roi = no_pixels;
  return all;
}

template <class Number>
std::vector<Number> alone(const Experiment& e, const ComputeOptions& options) {
  if constexpr (std::is_same_v<Number, float>)
    return simulate(e, options).image.pixels;
  else
    return photons(e, options);
}

template <class Number>
void expect_images_of_experiments(const Experiment& e, Precision precision, int threads) {
  ComputeOptions options = cpu_engine(precision);
  options.threads = threads;
  Sweep sweep(e, 40, options);
  std::vector<Number> buffer(sweep.pixels(), Number(7));
  // Neighbours, far away and back
  for (const int i : {0, 1, 2, 39, 1}) {
    SCOPED_TRACE(i);
    Experiment turned = e;
    turned.scan.phi_deg = e.scan.phi_deg + i * *e.scan.oscillation_deg.range;
    const std::vector<Number> expected = alone<Number>(turned, options);
    ASSERT_GT(*std::max_element(expected.begin(), expected.end()), 0);
    sweep.render(i, std::span(buffer));
    EXPECT_TRUE(buffer == expected);
    EXPECT_TRUE(std::ranges::equal(sweep.image<Number>(i), expected));
    const LitPixels<Number>& lit = sweep.lit_pixels<Number>(i);
    EXPECT_TRUE(std::ranges::is_sorted(lit.pixels));
    std::vector<Number> filled(expected.size());
    for (std::size_t k = 0; k < lit.pixels.size(); ++k) {
      ASSERT_NE(lit.photons[k], 0);
      filled[static_cast<std::size_t>(lit.pixels[k])] = lit.photons[k];
    }
    EXPECT_TRUE(filled == expected);
  }
}

TEST(Sweep, HasTheImagesOfItsExperimentsToTheLastBitForAnyNumberOfThreads) {
  for (const auto& [flags, e] : experiments())
    for (const int threads : {1, 2, 3}) {
      SCOPED_TRACE(flags + " with " + std::to_string(threads) + " threads");
      expect_images_of_experiments<float>(e, Precision::float32, threads);
      expect_images_of_experiments<double>(e, Precision::float64, threads);
    }
}

/// A table from (-4 -4 -4) to (4 4 4): at these angles some lookups leave it.
TEST(Sweep, WhoseInterpolationEndsInTheMiddleOfATileKeepsItsWaterThere) {
  Experiment e = experiment_of(
      "-cell 60 70 80 90 90 90 -default_F 100 -N 5 -lambda 1.1 -distance 80 -detpixels 50 -pixel 1 "
      "-phi 10 -osc "
      "0.3 -phisteps 2 -interpolate -oversample 2 -water 2");
  e.quirks.water_scaled_twice = false;
  e.structure_factors.grid = cube_table();
  ASSERT_TRUE(simulate(e).table_miss);
  expect_images_of_experiments<float>(e, Precision::float32, 2);
  expect_images_of_experiments<double>(e, Precision::float64, 2);
}

TEST(Sweep, WorksBesideAnotherOnOneBackground) {
  const Experiment e = experiment_of(crystal + "-mosaic 0.3 -mosaic_model gaussian -water 3");
  constexpr int images = 24;
  Sweep first(e, images);
  std::vector<std::vector<float>> made(images);
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 3; ++worker)
    workers.emplace_back([&, worker] {
      ComputeOptions options;
      options.threads = 1;
      Sweep own(first, options);
      for (int i = worker; i < images; i += 3) {
        const auto image = own.image(i);
        made[static_cast<std::size_t>(i)].assign(image.begin(), image.end());
      }
    });
  for (std::thread& worker : workers) worker.join();
  for (int i = 0; i < images; ++i)
    EXPECT_EQ(made[static_cast<std::size_t>(i)],
              simulate(first.series().experiment(i)).image.pixels)
        << i;
}

/// Shots of 12 channels about 1.1 Angstrom, each with some dark ones.
std::shared_ptr<const Spectra> shots(int count, const SpectraOptions& options = {}) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> weight(-0.5, 1);
  std::vector<double> axis, weights;
  for (int i = 0; i < 12; ++i) axis.push_back(11200 + 12 * i);
  for (int i = 0; i < 12 * count; ++i) weights.push_back(std::max(0.0, weight(random)));
  return std::make_shared<const Spectra>(axis, weights, SpectrumUnit::eV, options);
}

/// Stills and scans in the light of shots.
std::vector<std::pair<std::string, Series>> series_of_shots() {
  const std::string still = "-osc 0 ", steps = "-mosaic 0.3 -mosaic_domains 3 -oversample 1 ",
                    water = "-water 3 -detector_thick 450 -detector_abs 234 -thicksteps 3 ";
  const SpectraOptions thin{5, ShotLight::absolute};
  const auto experiment = [](const std::string& flags) {
    Experiment e = experiment_of(crystal + flags);
    if (e.scan.oscillation_deg.range == 0.0) e.scan.oscillation_deg = {};
    return e;
  };
  std::vector<std::pair<std::string, Series>> all;
  all.emplace_back("stills in one orientation",
                   Series(experiment(still + steps + water), shots(6)));
  all.emplace_back("stills, thinned, of their own light",
                   Series(experiment(still + steps + water), random_missets_deg(6, 3))
                       .in_light_of(shots(6, thin)));
  all.emplace_back("stills of other blocks",
                   Series(experiment(still + "-mosaic_model gaussian -mosaic 0.1 -mosaic_domains 4 "
                                             "-square_xtal -N 4 -flux 1e15 -exposure 2"),
                          random_missets_deg(6, 3))
                       .in_light_of(shots(6, thin)));
  all.emplace_back("a scan",
                   Series(experiment("-phisteps 2 " + steps + water), 6).in_light_of(shots(6)));
  return all;
}

TEST(Sweep, InTheLightOfShotsHasTheImagesOfItsExperimentsToTheLastBit) {
  for (const auto& [name, series] : series_of_shots())
    for (const Precision precision : {Precision::float32, Precision::float64})
      for (const int threads : {1, 3}) {
        SCOPED_TRACE(name + " with " + std::to_string(threads) + " threads");
        ComputeOptions options = cpu_engine(precision);
        options.threads = threads;
        Sweep sweep(series, options);
        std::vector<std::vector<double>> seen;
        for (const int i : {0, 1, 5, 2, 2, 0}) {
          const std::vector<double> expected = photons(series.experiment(i), options);
          ASSERT_GT(*std::max_element(expected.begin(), expected.end()), 0);
          EXPECT_TRUE(std::ranges::equal(sweep.image<double>(i), expected)) << i;
          EXPECT_TRUE(std::ranges::equal(sweep.image<float>(i),
                                         simulate(series.experiment(i), options).image.pixels))
              << i;
          const bool is_again = seen.size() >= 4;  // 2 and 0
          EXPECT_EQ(std::ranges::count(seen, expected) > 0, is_again) << i;
          seen.push_back(expected);
        }
      }
}

TEST(Sweep, InTheLightOfShotsHasItsImagesWithTheReferenceEngine) {
  const Series series(experiment_of("-corrected -cell 60 70 80 -default_F 100 -N 5 -lambda 1.1 "
                                    "-distance 80 -detpixels 20 -pixel 1.5 -oversample 1 -water 2"),
                      shots(3));
  Sweep sweep(series, reference_engine());
  for (const int i : {1, 0, 2})
    EXPECT_TRUE(std::ranges::equal(sweep.image<double>(i),
                                   photons(series.experiment(i), reference_engine())))
        << i;
}

TEST(Sweep, InTheLightOfShotsWorksBesideAnotherThatIsElsewhere) {
  const Series series = series_of_shots()[1].second;
  Sweep first(series);
  first.image(4);
  Sweep beside(first, {});
  for (const int i : {0, 3})
    EXPECT_TRUE(std::ranges::equal(beside.image(i), simulate(series.experiment(i)).image.pixels));
}

TEST(Sweep, InTheLightOfShotsIsOfTheirSpectraOrientationsAndPhotons) {
  const Experiment e = experiment_of(
      "-corrected -cell 60 -default_F 100 -N 5 -lambda 1.1 -detpixels 8 -pixel 1 -flux 1e12");
  const auto missets = random_missets_deg(4, 1);
  const auto spectra = shots(4, {{}, ShotLight::absolute});
  const Series series = Series(e, missets).in_light_of(spectra);
  EXPECT_FALSE(series.is_scan());
  for (int i = 0; i < 4; ++i) {
    const Experiment image = series.experiment(i);
    EXPECT_EQ(image.crystal.misset_deg, missets[static_cast<std::size_t>(i)]);
    EXPECT_EQ(image.beam.wavelength_A, 1.1) << "what follows from it is that of all images";
    ASSERT_EQ(image.beam.sources.size(), spectra->shot(i).weight.size());
    for (std::size_t k = 0; k < image.beam.sources.size(); ++k) {
      EXPECT_EQ(image.beam.sources[k].wavelength_A, spectra->shot(i).wavelength_A[k]);
      EXPECT_EQ(image.beam.sources[k].weight, spectra->shot(i).weight[k]);
      EXPECT_EQ(unit(image.beam.sources[k].position), -resolve(e).panel.beam);
    }
    EXPECT_EQ(*image.beam.flux_per_s, 1e12 * spectra->relative_light(i));
  }
  EXPECT_NE(spectra->relative_light(0), spectra->relative_light(1));
  EXPECT_EQ(series.in_mean_light().beam.sources.size(), 12U);
  EXPECT_EQ(*series.in_mean_light().beam.flux_per_s, 1e12);
}

TEST(Sweep, InTheLightOfShotsRefusesWhatIsNone) {
  const std::string still = "-corrected -cell 60 -default_F 100 -N 5 -lambda 1.1 -detpixels 8 ";
  const auto complaint = [](auto&& work) { return message_of<UsageError>(work); };
  const Series three(experiment_of(still), random_missets_deg(3, 1));
  EXPECT_THAT(complaint([&] { three.in_light_of(shots(4)); }),
              HasSubstr("there are 4 spectra, and 3 images"));
  EXPECT_THAT(complaint([&] { Series(experiment_of(still + "-dispersion 1"), shots(2)); }),
              HasSubstr("without divergence and dispersion"));
  EXPECT_THAT(complaint([&] { Series(experiment_of(still + "-osc 1"), shots(2)); }),
              HasSubstr("an oscillation"));
}

TEST(Sweep, InNanoBraggsModeHasItsImages) {
  const Experiment e = experiment_of(
      "-cell 60 70 80 90 90 90 -default_F 100 -N 5 -lambda 1.1 -distance 80 -detpixels 40 -pixel 1 "
      "-phi 10 -osc 0.3 -phisteps 2 -mosaic 0.2 -mosaic_domains 3 -water 2");
  expect_images_of_experiments<float>(e, Precision::float32, 2);
}

TEST(Sweep, SaysWhichExperimentAnImageIsOf) {
  const Experiment e = experiment_of(crystal);
  const Sweep sweep(e, 3);
  EXPECT_EQ(sweep.images(), 3);
  EXPECT_EQ(sweep.series().experiment(2).scan.phi_deg, 70 + 2 * 0.3);
  EXPECT_EQ(sweep.pixels(), 150U * 90U);
}

TEST(Sweep, OfStepsAloneGoesOnByAllOfThem) {
  const Sweep sweep(experiment_of("-corrected -cell 60 -default_F 100 -N 5 -detpixels 8 -pixel 1 "
                                  "-phistep 0.1 -phisteps 4"),
                    3);
  EXPECT_NEAR(sweep.series().experiment(2).scan.phi_deg, 0.8, 1e-12);
}

TEST(Sweep, RefusesWhatIsNoneInASentence) {
  const Experiment e = experiment_of(crystal), still = experiment_of(crystal + "-osc 0");
  const auto complaint = [](auto&& work) { return message_of<UsageError>(work); };
  EXPECT_THAT(complaint([&] { Sweep(e, 0); }), HasSubstr("at least one image"));
  EXPECT_THAT(complaint([&] { Sweep(still, 2); }), HasSubstr("-osc"));
  Sweep(still, 1).image(0);
  Sweep sweep(e, 3);
  EXPECT_THAT(complaint([&] { sweep.image(3); }), HasSubstr("no image 3"));
  EXPECT_THAT(complaint([&] { sweep.image(-1); }), HasSubstr("no image -1"));
  std::vector<float> small(7);
  EXPECT_THAT(complaint([&] { sweep.render(0, std::span(small)); }), HasSubstr("13500 pixels"));
}

TEST(Sweep, ThatIsStoppedGoesOnWithTheNextImage) {
  bool goes_on = true;
  ComputeOptions options;
  options.progress = [&](double) { return goes_on; };
  const Experiment e = experiment_of(crystal + "-mosaic 0.3 -mosaic_model gaussian");
  Sweep sweep(e, 3, options);
  sweep.image(0);
  goes_on = false;
  EXPECT_THROW(sweep.image(1), Cancelled);
  goes_on = true;
  EXPECT_TRUE(
      std::ranges::equal(sweep.image(1), simulate(sweep.series().experiment(1)).image.pixels));
}

}  // namespace
}  // namespace nablabragg::test
