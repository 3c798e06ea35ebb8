// Descriptions of ensembles, and which experiment each shot is of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ensemble/ensemble.hpp"
#include "ensemble/labels.hpp"
#include "ensemble/shot_images.hpp"
#include "ensemble/yaml_field.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/materials.hpp"
#include "nablabragg/series.hpp"
#include "nablabragg/units.hpp"
#include "physics/matrix.hpp"
#include "support/hdf5_file.hpp"
#include "support/json_schema.hpp"
#include "support/message_of.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::ensemble {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string flags =
    "-corrected -cell 50 60 70 90 90 90 -default_F 100 -N 8 -gauss_xtal -mosaic 0.3 "
    "-mosaic_domains "
    "3 -lambda 1 -distance 80 -detpixels 60 -pixel 0.8 -fluence 1e24 -polar 0.5 -oversample 1 "
    "-water 0.1";

class Ensembles : public testing::Test {
 protected:
  std::string written(const std::string& text) const {
    const std::string path = folder / "e.yaml";
    test::write_file(path, text);
    return path;
  }
  Ensemble made(const std::string& text) const {
    const Description d = read_description(written(text));
    return {d, Ensemble::base_of(d)};
  }
  /// With all that a description needs.
  Ensemble with(const std::string& more, int shots = 5) const {
    return made("ensemble: 1\nbase: " + flags + "\nshots: " + std::to_string(shots) +
                "\noutput: out\n" + more);
  }
  std::string complaint(const std::string& text) const {
    return test::message_of<InputError>([&] { made(text); });
  }
  std::string complaint_with(const std::string& more) const {
    return test::message_of<InputError>([&] { with(more); });
  }

  test::TempDir folder;
};

// ---- Descriptions -------------------------------------------------------------------------------

TEST_F(Ensembles, AreDescribedByJsonAsWellAsByYaml) {
  const Ensemble yaml = with(
      "seed: 4\norientation: random\nvary:\n  distance: {uniform: [79, 81]}\n");
  const nlohmann::json json{{"ensemble", 1},
                            {"base", flags},
                            {"shots", 5},
                            {"seed", 4},
                            {"orientation", "random"},
                            {"vary", {{"distance", {{"uniform", {79, 81}}}}}},
                            {"output", "out"}};
  EXPECT_EQ(made(json.dump()).checksum(), yaml.checksum());
  EXPECT_EQ(made(json.dump(2)).checksum(), yaml.checksum());
}

TEST_F(Ensembles, OfAnotherDescriptionHaveAnotherChecksum) {
  const std::string one = with("vary:\n  distance: {uniform: [79, 81]}\n").checksum();
  EXPECT_EQ(with("vary: {distance: {uniform: [79, 81]}}\n").checksum(), one);
  for (const char* other :
       {"vary:\n  distance: {uniform: [79, 82]}\n", "vary:\n  distance: {normal: [79, 81]}\n",
        "seed: 2\nvary:\n  distance: {uniform: [79, 81]}\n",
        "orientation: random\nvary:\n  distance: {uniform: [79, 81]}\n",
        "readout: photons\nvary:\n  distance: {uniform: [79, 81]}\n"})
    EXPECT_NE(with(other).checksum(), one) << other;
}

TEST_F(Ensembles, ThatAreMisdescribedAreRefusedByLineAndKey) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"vari: {}\n", "e.yaml:5: vari: is no key; did you mean vary?"},
      {"seed: one\n", "e.yaml:5: seed: is \"one\", where a whole number"},
      {"orientation: randon\n",
       "e.yaml:5: orientation: is \"randon\", and one of base, random, random_each"},
      {"hit_rate: 2\n", "e.yaml:5: hit_rate: is a share"},
      {"seed: 1\nseed: 2\n", "e.yaml:6: seed: stands there twice"},
      {"vary:\n  distanse: {uniform: [1, 2]}\n",
       "e.yaml:6: vary.distanse: \"distanse\" is no parameter of the base experiment; did you mean "
       "distance?"},
      {"vary:\n  distance: {uniform: [2, 1]}\n", "e.yaml:6: vary.distance.uniform: ends below"},
      {"vary:\n  distance: {uniform: [1]}\n", "e.yaml:6: vary.distance.uniform: has 1 numbers"},
      {"vary:\n  distance: {gauss: [1, 2]}\n", "e.yaml:6: vary.distance.gauss: is no key of"},
      {"vary:\n  distance: {unifrom: [1, 2]}\n", "did you mean uniform?"},
      {"vary:\n  distance: {uniform: [1, 2], normal: [1, 2]}\n", "is one distribution, and"},
      {"vary:\n  distance: {uniform: [1, 2], weights: [1]}\n", "is of another distribution"},
      {"vary:\n  distance: {normal: [80, -1]}\n", "negative standard deviation"},
      {"vary:\n  distance: {normal: [80, 1], within: [300, 400]}\n", "none of the distribution"},
      {"vary:\n  distance: {log_normal: [0, 1]}\n", "median that is not positive"},
      {"vary:\n  distance: {within: [1, 2]}\n", "names no distribution"},
      {"vary:\n  distance: {choice: [1, [2, 3]]}\n", "e.yaml:6: vary.distance.choice[1]: has 2"},
      {"vary:\n  distance: {choice: [1, 2], weights: [1]}\n", "has 1 numbers"},
      {"vary:\n  distance: {choice: [1, 2], weights: [0, 0]}\n", "none above it"},
      {"vary:\n  cells: {uniform: [5, 9]}\n", "cells[0] is the first"},
      {"vary:\n  cell[6]: {uniform: [5, 9]}\n", "cell has the numbers [0] to [5]"},
      {"vary:\n  distance[0]: {uniform: [5, 9]}\n", "distance is one number, without"},
      {"vary:\n  cell[0]: 50\n  cell: [50, 60, 70, 90, 90, 90]\n",
       "e.yaml:7: vary.cell: is stated"},
      {"vary:\n  mosaic_domains: {choice: [5, 9]}\n", "whole number that all shots share"},
      {"vary:\n  distance: {column: x}\n", "whose file is missing"},
      {"orientation: random\nvary:\n  misset[0]: 5\n", "both say how the crystal lies"},
      {"orientation: random_each\nvary:\n  misset[0]: 5\n",
       "e.yaml:7: vary.misset[0]: and orientation: random_each both say how the crystal lies"},
      {"correlated: []\n", "is an empty list"},
      {"correlated:\n  - {parameters: [distance, fluence], covariance: [[1, 2], [2, 1]]}\n",
       "e.yaml:6: correlated[0].covariance: is not symmetric, or no numbers vary so"},
      {"correlated:\n  - {parameters: [distance], sd: [1]}\n", "needs covariance, or else sd and"},
      {"correlated:\n  - {parameters: [distance, cell], covariance: [[1, 0], [0, 1]]}\n",
       "which is 6 numbers"},
      {"readout: noise\n", "one of counts, photons"},
      {"spectra: {channels: 5}\n", "e.yaml:5: spectra: names no file"},
      {"vary: 5\n", "where keys with their values are wanted"},
      {"vary: [\n", "is no YAML"},
  };
  for (const auto& [more, sentence] : wrong)
    EXPECT_THAT(complaint_with(more), HasSubstr(sentence)) << more;
}

TEST_F(Ensembles, NeedWhatTheirFormNeeds) {
  const std::string all = "ensemble: 1\nbase: " + flags + "\nshots: 5\noutput: out\n";
  EXPECT_THAT(complaint(""), HasSubstr("is empty"));
  EXPECT_THAT(complaint("- 1\n"), HasSubstr("is a list"));
  EXPECT_THAT(complaint("base: " + flags + "\nshots: 5\noutput: o\n"),
              HasSubstr("lacks the key ensemble"));
  EXPECT_THAT(complaint("ensemble: 1\nshots: 5\noutput: o\n"), HasSubstr("lacks the key base"));
  EXPECT_THAT(complaint("ensemble: 2\nbase: " + flags + "\n"),
              HasSubstr("e.yaml:1: ensemble: is 2, and this program reads form 1"));
  EXPECT_THAT(complaint("ensemble: 1\nbase: " + flags + "\nshots: 0\noutput: o\n"),
              HasSubstr("e.yaml:3: shots: is \"0\", where a whole number from 1"));
}

TEST_F(Ensembles, SayWhatTheirBaseMustNotHave) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {flags + " -floatfile a.bin", "has flags that name files to write"},
      {flags + " -seed 5", "has -seed; seed is the ensemble's"},
      {flags + " -images 5 -osc 1", "has -images"},
      {flags + " -osc 1", "has an oscillation"},
      {flags + " -trace_pixel 3 4", "look at one image"},
      {"-cell 50 60 70 90 90 90 -default_F 100 -N 8", "has no -corrected"},
      {flags + " -lamda 1", "e.yaml:2: base: "},
      {"\"-corrected 'a\"", "quotation mark without its partner"},
  };
  for (const auto& [base, sentence] : wrong)
    EXPECT_THAT(complaint("ensemble: 1\nbase: " + base + "\nshots: 5\noutput: out\n"),
                HasSubstr(sentence))
        << base;
}

TEST_F(Ensembles, MayHaveAnExperimentsFileForTheirBase) {
  const Ensemble stated = with("vary:\n  distance: {uniform: [79, 81]}\n");
  const std::string file = folder / "experiment.json";
  test::write_file(file, to_json(stated.request().experiment));
  const std::string rest = "\nshots: 5\noutput: out\nvary:\n  distance: {uniform: [79, 81]}\n";
  const Ensemble taken = made("ensemble: 1\nbase: {experiment: " + file + "}" + rest);
  EXPECT_EQ(to_json(taken.shot(3).experiment), to_json(stated.shot(3).experiment));
  EXPECT_THAT(
      complaint("ensemble: 1\nbase: {experiment: " + file + ", flags: -distance 90}" + rest),
      HasSubstr("the flags state the experiment twice"));
}

TEST_F(Ensembles, TakeTheDetectorsResponseOfAnExperimentsFileUnlessFlagsStateOne) {
  const Ensemble stated = with("");
  DetectorResponse ccd;
  ccd.kind = DetectorResponse::Kind::integrating;
  ccd.readout_noise = 2.5;
  const std::string file = folder / "recorded.json";
  test::write_file(file, to_json(stated.request().experiment, ccd));
  const std::string rest = "\nshots: 5\noutput: out\n";
  const auto base = [&](const std::string& words) {
    return made("ensemble: 1\nbase: {experiment: " + file + words + "}" + rest).request();
  };
  ASSERT_TRUE(base("").responds);
  EXPECT_EQ(to_json({}, base("").response), to_json({}, ccd));
  EXPECT_EQ(base(", flags: -response counting -psf gauss").response.kind,
            DetectorResponse::Kind::counting);
  EXPECT_FALSE(stated.request().responds);
}

TEST_F(Ensembles, FollowTheSchema) {
  const auto schema = nlohmann::json::parse(
      test::read_file(NABLA_SOURCE_DIR "/docs/ensemble.schema.json"));
  nlohmann::json all{{"ensemble", 1},
                     {"base", {{"flags", {"-corrected"}}, {"experiment", "e.json"}}},
                     {"shots", 10},
                     {"seed", 3},
                     {"orientation", "random"},
                     {"hit_rate", 0.5},
                     {"readout", "photons"},
                     {"vary",
                      {{"distance", {{"normal", {100, 1}}, {"within", {90, 110}}}},
                       {"fluence", {{"log_normal", {1e24, 0.5}}}},
                       {"cell[0]", {{"uniform", {50, 51}}}},
                       {"cells", {{"choice", {{5, 5, 5}, {9, 9, 9}}}, {"weights", {1, 2}}}},
                       {"water", {{"column", "w"}, {"file", "t.txt"}, {"rows", "random"}}},
                       {"mosaic_spread", 0.2}}},
                     {"correlated",
                      {{{"parameters", {"beam_center[0]", "beam_center[1]"}},
                        {"mean", {50, 50}},
                        {"sd", {1, 1}},
                        {"correlation", {{1, 0.5}, {0.5, 1}}}},
                       {{"parameters", {"two_theta"}}, {"covariance", {{1}}}}}},
                     {"spectra",
                      {{"file", "s.h5"},
                       {"scale", "absolute"},
                       {"channels", 10},
                       {"unit", "eV"},
                       {"rows", "random"}}},
                     {"output",
                      {{"folder", "out"},
                       {"shots_per_shard", 10},
                       {"compression", "deflate"},
                       {"reflections", true},
                       {"spot_mask", 0.5}}}};
  EXPECT_EQ(test::fault_by_schema(all, schema), "");
  all["base"] = flags;
  all["output"] = "out";
  all["orientation"] = "random_each";
  all["spectra"] = "s.h5";
  EXPECT_EQ(test::fault_by_schema(all, schema), "");
  for (const auto& [key, wrong] : std::vector<std::pair<std::string, nlohmann::json>>{
           {"ensemble", 2}, {"shots", 0}, {"seed", "one"}, {"orientation", "up"}, {"more", 1}}) {
    nlohmann::json other = all;
    other[key] = wrong;
    EXPECT_NE(test::fault_by_schema(other, schema), "") << key;
  }
  nlohmann::json no_photon = all;
  no_photon["output"] = {{"folder", "out"}, {"spot_mask", 0}};
  EXPECT_NE(test::fault_by_schema(no_photon, schema), "");
  all["vary"]["distance"] = {{"gauss", {1, 2}}};
  EXPECT_NE(test::fault_by_schema(all, schema), "");
}

// ---- Shots --------------------------------------------------------------------------------------

TEST_F(Ensembles, GiveEachShotItsNumbersAndLeaveTheRest) {
  const Ensemble e = with(
      "vary:\n  distance: {uniform: [79, 81]}\n  cell[1]: {normal: [60, 0.1]}\n"
      "  cells: {choice: [[5, 6, 7]]}\ncorrelated:\n  - parameters: ['beam_center[0]', "
      "'beam_center[1]']\n    mean: [24, 25]\n    covariance: [[1, 1], [1, 1]]\n",
      50);
  double least = 100, most = 0;
  for (int i = 0; i < 50; ++i) {
    const Experiment x = e.shot(i).experiment;
    least = std::min(least, x.detector.distance_mm);
    most = std::max(most, x.detector.distance_mm);
    EXPECT_EQ(x.crystal.cell->a_A, 50);
    EXPECT_NE(x.crystal.cell->b_A, 60);
    EXPECT_EQ(x.crystal.cells.z, 7);
    EXPECT_NEAR(*x.detector.beam_y_mm - *x.detector.beam_x_mm, 1, 1e-9) << "fully correlated";
    EXPECT_EQ(x.crystal.misset_deg.x, 0);
  }
  EXPECT_GT(least, 79);
  EXPECT_LT(most, 81);
  EXPECT_GT(most - least, 1.5);
}

TEST_F(Ensembles, AbsorbInTheSensorAtTheWavelengthOfEachShot) {
  const auto of_shots = [&](const std::string& sensor, const std::string& more) {
    return made("ensemble: 1\nbase: " + flags + sensor +
                "\nshots: 6\noutput: out\nvary:\n  wavelength: {uniform: [0.9, 2]}\n" + more);
  };
  const Ensemble silicon = of_shots(" -sensor Si 450", ""),
                 stated = of_shots(" -sensor Si 450 -detector_abs 100", ""),
                 drawn = of_shots(" -sensor Si 450", "  attenuation_depth: {uniform: [7, 8]}\n");
  for (int i = 0; i < 6; ++i) {
    const Experiment x = silicon.shot(i).experiment;
    const double energy_eV = units::ev_angstrom / x.beam.wavelength_A;
    EXPECT_DOUBLE_EQ(*x.detector.attenuation_depth_um, 1000 / attenuation_per_mm("Si", energy_eV));
    EXPECT_EQ(stated.shot(i).experiment.detector.attenuation_depth_um, 100);
    EXPECT_LT(*drawn.shot(i).experiment.detector.attenuation_depth_um, 8);
  }
}

TEST_F(Ensembles, HaveWholeCells) {
  const Ensemble e = with("vary:\n  cells[0]: {uniform: [0.2, 3.4]}\n", 200);
  std::vector<int> counts(4);
  for (int i = 0; i < 200; ++i) {
    const Shot shot = e.shot(i);
    const double cells = shot.experiment.crystal.cells.x;
    ASSERT_EQ(cells, std::round(cells));
    ASSERT_EQ(shot.values[0][0], cells) << "the label is what was computed";
    ASSERT_GE(cells, 1);
    ++counts[static_cast<std::size_t>(cells)];
  }
  for (int cells = 1; cells <= 3; ++cells) EXPECT_GT(counts[static_cast<std::size_t>(cells)], 20);
}

TEST_F(Ensembles, DrawAParameterAlikeWhateverElseVaries) {
  const Ensemble one = with("vary:\n  distance: {uniform: [79, 81]}\n");
  const Ensemble more = with(
      "orientation: random\nhit_rate: 0.5\nvary:\n  fluence: {log_normal: [1e24, 1]}\n"
      "  distance: {uniform: [79, 81]}\n",
      9);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(one.shot(i).experiment.detector.distance_mm,
              more.shot(i).experiment.detector.distance_mm);
}

TEST_F(Ensembles, TurnAndCountAsASeriesOfTheSameSeed) {
  const Ensemble e = with("seed: 6\norientation: random\n");
  const std::vector<Vec3d> missets = random_missets_deg(5, 6);
  for (int i = 0; i < 5; ++i) {
    const Shot shot = e.shot(i);
    EXPECT_EQ(shot.experiment.crystal.misset_deg.y, missets[static_cast<std::size_t>(i)].y);
    EXPECT_EQ(shot.seed, seed_of_image(6, i));
  }
}

TEST_F(Ensembles, MissTheCrystalAsOftenAsTheirHitRateSays) {
  const Ensemble e = with("hit_rate: 0.3\n", 2000);
  int hits = 0;
  for (int i = 0; i < 2000; ++i) hits += e.shot(i).hit;
  EXPECT_NEAR(hits, 600, 5 * std::sqrt(2000 * 0.3 * 0.7));
}

TEST_F(Ensembles, NameTheFirstShotThatIsNoExperiment) {
  const Ensemble e = with("vary:\n  mosaic_spread: {normal: [0.3, 0.2]}\n", 200);
  int first = 0;
  while (e.shot(first).values[0][0] >= 0) ++first;
  const std::string problem = test::message_of<UsageError>([&] { e.check_shots(); });
  EXPECT_THAT(problem,
              AllOf(HasSubstr("shot " + std::to_string(first) + ": "), HasSubstr("within")));
  EXPECT_THAT(test::message_of<UsageError>([&] { static_cast<void>(e.shot(200)); }),
              HasSubstr("there is no shot 200"));
}

TEST_F(Ensembles, KnowWhatTheirFilesDoNotStateOfEachShot) {
  const Ensemble e = with(
      "orientation: random\nvary:\n  distance: 80\n  cell[0]: 50\n  fluence: 1e24\n  water: 1\n"
      "  polarization: 0.3\n  wavelength: 1\n  beam_direction[1]: 0\n  phi: 3\n");
  EXPECT_THAT(e.moving_parameters(), ElementsAre("distance", "polarization", "beam_direction"));
  EXPECT_TRUE(e.light_varies());
  EXPECT_TRUE(e.wavelengths_vary());
  const Ensemble turned = with("orientation: random\nvary:\n  cell[0]: 50\n");
  EXPECT_THAT(turned.moving_parameters(), testing::IsEmpty());
  EXPECT_FALSE(turned.light_varies());
  EXPECT_FALSE(turned.wavelengths_vary());
}

// ---- Images -------------------------------------------------------------------------------------

/// Shots made one after the other by what keeps the loaded plan, against each planned anew.
void expect_images_of_single_simulations(const Ensemble& e) {
  ShotImages images(e, {});
  bool differ = false;
  std::vector<float> before;
  for (int i = 0; i < e.shots(); ++i) {
    const Shot shot = e.shot(i);
    const Simulation made = images.simulation(shot);
    EXPECT_EQ(made.image.pixels, simulate(shot.experiment).image.pixels) << i;
    differ = differ || (!before.empty() && before != made.image.pixels);
    before = made.image.pixels;
  }
  EXPECT_TRUE(differ) << "nothing varied";
}

TEST_F(Ensembles, HaveTheImagesOfSingleSimulationsWhateverVaries) {
  for (const char* vary :
       {"cell[0]: {normal: [50, 0.2]}", "cells: {choice: [[6, 6, 6], [9, 8, 7]]}",
        "misset[1]: {uniform: [0, 5]}", "mosaic_spread: {uniform: [0.1, 0.5]}",
        "fudge: {uniform: [0.8, 1.2]}", "default_F: {uniform: [50, 100]}",
        "fluence: {log_normal: [1e24, 1]}", "wavelength: {normal: [1, 0.01]}",
        "polarization: {uniform: [-1, 1]}", "water: {uniform: [0, 1]}",
        "distance: {uniform: [79, 81]}", "beam_center[0]: {uniform: [23, 25]}",
        "pixel_size: {uniform: [0.7, 0.8]}", "two_theta: {uniform: [0, 10]}",
        "detector_rotation[0]: {uniform: [0, 3]}", "phi: {uniform: [0, 10]}",
        "beam_direction[1]: {uniform: [0, 0.01]}", "polarization_axis[1]: {uniform: [0, 1]}"}) {
    SCOPED_TRACE(vary);
    expect_images_of_single_simulations(with(std::string("vary:\n  ") + vary + "\n", 4));
  }
}

TEST_F(Ensembles, HaveTheImagesOfSingleSimulationsInClosedFormToo) {
  const std::string closed =
      "-corrected -cell 50 60 70 90 90 90 -default_F 100 -N 8 -gauss_xtal -mosaic 0.3 "
      "-mosaic_model "
      "gaussian -lambda 1 -distance 80 -detpixels 48 -pixel 0.3 -fluence 1e24 -sensor Si 450 "
      "-dispersion 0.5 -dispsteps 1 -spectrum_model gaussian ";
  for (const char* vary :
       {"cell[0]: {normal: [50, 0.2]}", "mosaic_spread: {uniform: [0.1, 0.5]}",
        "wavelength: {normal: [1, 0.01]}", "dispersion: {uniform: [0.1, 0.5]}",
        "sensor_thickness: {uniform: [300, 450]}", "fluence: {log_normal: [1e24, 1]}"}) {
    SCOPED_TRACE(vary);
    expect_images_of_single_simulations(made(
        "ensemble: 1\nbase: " + closed +
        "\nshots: 4\noutput: out\norientation: random\nhit_rate: 0.7\nvary:\n  " + vary + "\n"));
  }
}

TEST_F(Ensembles, HaveTheImagesOfSingleSimulationsWhereShotsAreSummedInOtherWays) {
  // Closed form or one orientation, interpolated F or the nearest, one lattice or many
  const std::string crystal =
      "-corrected -cell 50 60 70 90 90 90 -default_F 100 -gauss_xtal -lambda 1 -distance 80 "
      "-detpixels 32 -pixel 0.5 -fluence 1e24 -sensor Si 450 -oversample 1 ";
  for (const auto& [base, vary] : {
           std::pair("-N 8 -mosaic 0.3 -mosaic_model gaussian",
                     "mosaic_spread: {choice: [0, 0.3]}"),
           std::pair("-N 8", "cells: {choice: [[2, 2, 2], [9, 8, 7]]}"),
           std::pair("-N 8 -block_size_spread 0.1", "block_size_spread: {choice: [0, 0.1, 0.2]}"),
           std::pair("-N 8 -more_crystal 10 20 30 0.5", "crystal[1].weight: {uniform: [0, 1]}"),
           std::pair("-N 8 -more_crystal 10 20 30 0.5", "crystal[1].misset[0]: {normal: [0, 9]}"),
       }) {
    SCOPED_TRACE(vary);
    for (const char* seed : {"1", "2", "3", "4"})  // others begin
      expect_images_of_single_simulations(
          made("ensemble: 1\nseed: " + std::string(seed) + "\nbase: " + crystal + base +
               "\nshots: 6\noutput: out\nhit_rate: 0.7\nvary:\n  " + vary + "\n"));
  }
}

TEST_F(Ensembles, HaveTheImagesOfSingleSimulationsWithDiffuseScattering) {
  // Near the beam few halos are seen, and soon summed.
  const std::string near = flags.substr(0, flags.find("-water")) +
                           "-diffuse_sigma 0.3 0.3 0.3 -diffuse_gamma 20 20 20 -distance 900";
  for (const char* vary : {"diffuse_sigma[0]: {uniform: [0.1, 0.5]}", "cell[0]: {normal: [50, 1]}"})
    expect_images_of_single_simulations(made("ensemble: 1\nbase: " + near +
                                             "\nshots: 6\noutput: out\nhit_rate: 0.7\nvary:\n  " +
                                             vary + "\n"));
}

TEST_F(Ensembles, TakeTheLightOfEachShotFromAFileOfSpectra) {
  const std::string file = folder / "spectra.h5";
  {
    const test::Hdf5File h(file);
    h.numbers("weights", {1, 2, 0, 3, 1, 1, 0, 1, 5}, {3, 3});
    h.numbers("energy_eV", {9490, 9500, 9510}, {3});
  }
  const std::string no_lambda = flags.substr(0, flags.find("-lambda")) +
                                flags.substr(flags.find("-distance"));
  const auto of = [&](const std::string& more, int shots) {
    return made("ensemble: 1\nbase: " + no_lambda + "\nshots: " + std::to_string(shots) +
                "\noutput: out\norientation: random\nspectra: {file: " + file +
                ", scale: absolute" + more + "}\n");
  };
  const Ensemble e = of("", 3);
  EXPECT_EQ(e.shot(1).experiment.beam.sources.size(), 3U);
  EXPECT_NEAR(e.shot(2).relative_light, 6 / (14 / 3.0), 1e-12);
  expect_images_of_single_simulations(e);
  EXPECT_THAT(test::message_of<InputError>([&] { of("", 4); }),
              HasSubstr("rows: random takes any of them"));
  const Ensemble again = of(", rows: random", 60);
  std::vector<int> rows(3);
  for (int i = 0; i < 60; ++i) ++rows[again.shot(i).spectrum];
  EXPECT_THAT(rows, testing::Each(testing::Gt(8)));
}

// ---- Several crystals ---------------------------------------------------------------------------

/// The rotation from where the first crystal lies to where the second does.
Mat3d between_crystals(const Experiment& e) {
  return transposed(rotation_of_misset(e.crystal.misset_deg)) *
         rotation_of_misset(e.more_crystals.at(0).misset_deg);
}

double difference(const Mat3d& m, const Mat3d& n) {
  return length(m.a - n.a) + length(m.b - n.b) + length(m.c - n.c);
}

class EnsemblesOfTwoCrystals : public Ensembles {
 protected:
  Ensemble two(const std::string& base, const std::string& more, int shots = 5) const {
    return made(description(base, more, shots));
  }
  std::string complaint_of_two(const std::string& base, const std::string& more) const {
    return complaint(description(base, more, 5));
  }

 private:
  static std::string description(const std::string& base, const std::string& more, int shots) {
    return "ensemble: 1\nbase: " + flags + " " + base + "\nshots: " + std::to_string(shots) +
           "\nseed: 6\noutput: out\n" + more;
  }
};

TEST_F(EnsemblesOfTwoCrystals, TurnThemTogetherAsASeriesDoes) {
  const Ensemble e = two("-misset 4 5 6 -more_crystal 10 20 30 0.5", "orientation: random\n");
  const Series series(e.base().experiment(), random_missets_deg(5, 6));
  for (int i = 0; i < 5; ++i) {
    const Experiment shot = e.shot(i).experiment, still = series.experiment(i);
    EXPECT_EQ(shot.crystal.misset_deg, still.crystal.misset_deg);
    EXPECT_EQ(shot.more_crystals[0].misset_deg, still.more_crystals[0].misset_deg);
    EXPECT_LT(difference(between_crystals(shot), between_crystals(e.base().experiment())), 1e-14);
  }
  expect_images_of_single_simulations(e);
}

TEST_F(EnsemblesOfTwoCrystals, TurnWhatWasDrawnOfTheSecondWithTheFirst) {
  const std::string vary =
      "vary:\n  crystal[1].misset[1]: {normal: [2, 1]}\n"
      "  crystal[1].cells: {choice: [[5.3, 6, 7]]}\n";
  const std::string base = "-more_crystal 1 2 3 0.5 5 5 5";
  const Ensemble still = two(base, vary), turned = two(base, "orientation: random\n" + vary);
  for (int i = 0; i < 5; ++i) {
    const Shot shot = turned.shot(i);
    EXPECT_LT(
        difference(between_crystals(shot.experiment), between_crystals(still.shot(i).experiment)),
        1e-14);
    EXPECT_GT(length(shot.experiment.more_crystals[0].misset_deg -
                     still.shot(i).experiment.more_crystals[0].misset_deg),
              1);
    const Vec3d deg = shot.experiment.more_crystals[0].misset_deg;
    EXPECT_THAT(shot.values[0], ElementsAre(deg.x, deg.y, deg.z)) << "labels say how it lies";
    EXPECT_EQ(shot.experiment.more_crystals[0].cells, (Vec3d{5, 6, 7})) << "fringes of whole cells";
  }
}

TEST_F(EnsemblesOfTwoCrystals, GiveEachItsOwnOrientationUniformOverAllRotations) {
  constexpr int many = 3000;
  const Ensemble e = two("-more_crystal 0 0 0 0.5", "orientation: random_each\n", many);
  const Ensemble of_one = with("seed: 6\norientation: random\n", many);
  // Elements of a uniform rotation have the mean 0 and the variance 1/3; so have those of the
  // rotation between two that know nothing of each other.
  double second = 0, between = 0;
  for (int i = 0; i < many; ++i) {
    const Experiment shot = e.shot(i).experiment;
    ASSERT_EQ(shot.crystal.misset_deg, of_one.shot(i).experiment.crystal.misset_deg);
    second += rotation_of_misset(shot.more_crystals[0].misset_deg).c.z;
    between += between_crystals(shot).c.z;
  }
  EXPECT_NEAR(second / many, 0, 5 * std::sqrt(1.0 / 3 / many));
  EXPECT_NEAR(between / many, 0, 5 * std::sqrt(1.0 / 3 / many));
  expect_images_of_single_simulations(two("-more_crystal 0 0 0 0.5", "orientation: random_each\n"));
}

TEST_F(EnsemblesOfTwoCrystals, RefuseTwoAnswersToHowACrystalLies) {
  EXPECT_THAT(complaint_of_two("-more_crystal 0 0 0",
                               "orientation: random_each\nvary:\n  crystal[1].misset[2]: 5\n"),
              HasSubstr("e.yaml:8: vary.crystal[1].misset[2]: and orientation: random_each both"));
  EXPECT_THAT(
      complaint_of_two("-more_crystal 0 0 0", "orientation: random\nvary:\n  misset[2]: 5\n"),
      HasSubstr("e.yaml:8: vary.misset[2]: and orientation: random both say how"));
  EXPECT_THAT(complaint_of_two("-misset 1 2 3 -more_crystal 0 0 0", "orientation: random_each\n"),
              HasSubstr("e.yaml:6: orientation: says how the crystal lies in each shot; leave "
                        "-misset out"));
  EXPECT_THAT(
      complaint_of_two("-more_crystal 0 0 0 -more_crystal 1 2 3", "orientation: random_each\n"),
      HasSubstr("e.yaml:6: orientation: says how each crystal lies in each shot; give "
                "crystal 2 of the base the angles 0 0 0, or say random"));
}

/// A shot's numbers to six digits, and its photons to three.
std::string numbers_of(const Ensemble& e, int i) {
  const Shot shot = e.shot(i);
  std::string text = std::to_string(shot.seed) + (shot.hit ? " hit" : " miss");
  const auto add = [&](double number, const char* form) {
    std::array<char, 32> digits{};
    std::snprintf(digits.data(), digits.size(), form, number);
    text += digits.data();
  };
  for (const Vec3d& deg :
       {shot.experiment.crystal.misset_deg, shot.experiment.more_crystals.at(0).misset_deg})
    for (const double angle : {deg.x, deg.y, deg.z}) add(angle, " %.6g");
  for (const std::vector<double>& numbers : shot.values)
    for (const double number : numbers) add(number, " %.6g");
  double photons = 0;
  for (const float pixel : ShotImages(e, {}).simulation(shot).image.pixels) photons += pixel;
  add(photons, ", %.3g photons");
  return text;
}

TEST_F(EnsemblesOfTwoCrystals, OfOneRevisionAreAlwaysTheSameShots) {
  const auto shots = [&](const std::string& misset, const std::string& orientation) {
    const Ensemble e = two("-more_crystal " + misset + " 0.5",
                           "orientation: " + orientation +
                               "\nhit_rate: 0.8\nvary:\n  fluence: {log_normal: [1e24, 0.5]}\n"
                               "  cells[0]: {uniform: [5, 12]}\n"
                               "  distance: {normal: [80, 0.5], within: [79, 81]}\n"
                               "correlated:\n  - parameters: [\"cell[0]\", \"cell[1]\"]\n"
                               "    sd: [0.1, 0.2]\n    correlation: [[1, 0.5], [0.5, 1]]\n");
    return std::vector{numbers_of(e, 0), numbers_of(e, 1), numbers_of(e, 2)};
  };
  // Where these are others, ensembles that were begun before must not be gone on with: raise the
  // revision with them.
  EXPECT_EQ(shots_revision, 3);
  EXPECT_THAT(
      shots("10 20 30", "random"),
      ElementsAre("6 hit 167.574 -22.0645 30.9877 -168.772 -45.1493 -2.1218 4.84592e+23 7 8 8 "
                  "79.6486 50.0718 60.1928 70 90 90 90, 283 photons",
                  "6398165704504384 miss 34.8462 -4.86279 -132.429 36.8328 -3.25594 -96.8407 "
                  "3.30785e+24 5 8 8 79.469 50.1826 60.0986 70 90 90 90, 1.89e+03 photons",
                  "6413007270678357 hit -123.041 25.2623 -134.236 -138.366 32.3337 -174.215 "
                  "3.35996e+24 8 8 8 80.7577 49.8427 59.7712 70 90 90 90, 1.92e+03 photons"));
  EXPECT_THAT(
      shots("0 0 0", "random_each"),
      ElementsAre("6 hit 167.574 -22.0645 30.9877 54.2391 -52.544 84.7287 4.84592e+23 7 8 8 "
                  "79.6486 50.0718 60.1928 70 90 90 90, 283 photons",
                  "6398165704504384 miss 34.8462 -4.86279 -132.429 173.903 31.8448 -13.9158 "
                  "3.30785e+24 5 8 8 79.469 50.1826 60.0986 70 90 90 90, 1.89e+03 photons",
                  "6413007270678357 hit -123.041 25.2623 -134.236 46.5183 22.7813 76.7439 "
                  "3.35996e+24 8 8 8 80.7577 49.8427 59.7712 70 90 90 90, 1.93e+03 photons"));
}

TEST_F(EnsemblesOfTwoCrystals, HaveAnotherChecksumForEachWayToTurnThem) {
  const auto checksum = [&](const std::string& word) {
    return two("-more_crystal 0 0 0", "orientation: " + word + "\n").checksum();
  };
  EXPECT_NE(checksum("random"), checksum("random_each"));
  EXPECT_NE(checksum("base"), checksum("random_each"));
}

}  // namespace
}  // namespace nablabragg::ensemble
