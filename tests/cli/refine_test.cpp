// `nablabragg refine` as a user runs it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>  // for sscanf
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "nablabragg/experiment_json.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/reflection_table.hpp"
#include "nablabragg/simulate.hpp"
#include "support/damage.hpp"
#include "support/json_schema.hpp"
#include "support/program.hpp"
#include "support/refined_numbers.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using testing::UnorderedElementsAre;

const std::string crystal =
    "-corrected -N 15 -gauss_xtal -mosaic_domains 20 -lambda 1 -detpixels 256 -pixel 0.2 "
    "-oversample 1 -default_F 100 -water 0.07 -distance 60 ";
const std::string truth = crystal +
                          "-cell 40 45 50 90 90 90 -misset 12 -7 33 -mosaic 0.6 -fluence 3e27 "
                          "-Xbeam 25.5 -Ybeam 25.7 ";
const std::string start = crystal +
                          "-cell 40 45.2 50 90 90 90 -misset 12.3 -7.3 33.3 -mosaic 0.42 "
                          "-fluence 3e27 -Xbeam 25.8 -Ybeam 25.4 ";
const std::string numbers = "misset,cell[0-2],beam_center,mosaic_spread,fluence";

class Refine : public testing::Test {
 protected:
  Refine() {
    const Outcome made = test::run_program(
        folder.path(), truth + "-noisefile still.img -floatfile still.f32 -seed 1");
    EXPECT_EQ(made.exit_code, 0) << made.err;
  }

  Outcome run(const std::string& options, const std::string& model = start) const {
    return test::run_program(folder.path(),
                             "refine --quiet --outdir r " + options + " -- " + model);
  }

  nlohmann::json result() const { return nlohmann::json::parse(folder.content("r/refined.json")); }

  /// That its flags and its experiment.json make one and the same image, to the last bit.
  void expect_flags_make_the_refined_image(const std::string& model) const {
    std::vector<std::string> again = test::split_arguments(model);
    const nlohmann::json r = result();
    for (const nlohmann::json& argument : r["refined_flags"]) again.push_back(argument);
    again.insert(again.end(), {"-floatfile", "again.f32"});
    const Outcome outcome = test::run_program(folder.path(), again);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    std::shared_ptr<const StructureFactorGrid> table;
    if (!r["structure_factors"].empty()) {
      Repeats repeats;
      table = std::make_shared<StructureFactorGrid>(
          grid_of(io::read_reflections(folder / "r/refined.hkl").reflections, 100, repeats));
    }
    const Experiment refined = experiment_from_json(folder.content("r/experiment.json"), table);
    EXPECT_EQ(test::read_floats(folder / "again.f32"), simulate(refined).image.pixels);
  }

  void expect_sentence(const Outcome& outcome, int code, const std::string& part) const {
    SCOPED_TRACE(part);
    EXPECT_EQ(outcome.exit_code, code);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("nablabragg: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_FALSE(fs::exists(folder / "r/refined.json"));
    EXPECT_FALSE(fs::exists(folder / "r/refined.png"));
  }

  test::TempDir folder;
};

TEST_F(Refine, FindsTheModelOfACountedImageAndWritesNumbersAndPicture) {
  const Outcome outcome = run("--image still.img --parameters " + numbers);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("misset[0]"));
  const nlohmann::json r = result();
  const std::vector<double> expected{12, -7, 33, 40, 45, 50, 25.5, 25.7, 0.6, 3e27};
  ASSERT_EQ(r["numbers"].size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE(r["numbers"][i].dump());
    const double deviation = r["numbers"][i]["deviation"];
    EXPECT_NEAR(r["numbers"][i]["value"], expected[i], 4.5 * deviation);
    EXPECT_LT(deviation, 0.01 * std::abs(expected[i]));
    EXPECT_EQ(r["correlations"][i][i], 1);
  }
  EXPECT_NEAR(r["residual"], 1, 0.1);
  EXPECT_THAT(folder.content("r/refined.png"), StartsWith("\x89PNG"));
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder / "r"))
    left.push_back(entry.path().filename().string());
  EXPECT_THAT(
      left, UnorderedElementsAre("refined.json", "refined.png", "refined.expt", "experiment.json"));
}

TEST_F(Refine, SaysTheRefinedModelInFlagsThatMakeItsImage) {
  ASSERT_EQ(run("--image still.img --parameters " + numbers).exit_code, 0);
  std::vector<std::string> again = test::split_arguments(start);
  const nlohmann::json r = result();
  for (const nlohmann::json& argument : r["refined_flags"]) again.push_back(argument);
  again.insert(again.end(), {"-floatfile", "again.f32"});
  ASSERT_EQ(test::run_program(folder.path(), again).exit_code, 0);
  const auto was = test::read_floats(folder / "still.f32"),
             is = test::read_floats(folder / "again.f32");
  double off = 0, all = 0;
  for (std::size_t i = 0; i < was.size(); ++i) {
    off += std::abs(static_cast<double>(is[i] - was[i]));
    all += static_cast<double>(was[i]);
  }
  EXPECT_LT(off, 0.02 * all);
}

TEST_F(Refine, FindsTwoCrystalsAndSaysBothInFlagsThatMakeTheirImage) {
  const std::string second = "-more_crystal -40 15 70 0.4 ";
  ASSERT_EQ(
      test::run_program(folder.path(), truth + second + "-noisefile two.img -seed 3").exit_code, 0);
  ASSERT_EQ(test::run_program(folder.path(), truth + second + "-o two.refl").exit_code, 0);
  const std::string begin = start + "-more_crystal -40.3 15.3 69.8 0.6 ";
  for (const std::string spots : {"", " --spots-of two.refl"}) {
    SCOPED_TRACE(spots);
    const Outcome outcome = run(
        "--image two.img --parameters " + numbers + ",crystal[1].misset,crystal[1].weight" + spots,
        begin);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    const nlohmann::json r = result();
    const std::vector<double> expected{12,   -7,  33,   40,  45, 50, 25.5,
                                       25.7, 0.6, 3e27, -40, 15, 70, 0.4};
    test::expect_refined_to(expected, r);
    std::ifstream in(NABLA_SOURCE_DIR "/docs/refinement.schema.json");
    EXPECT_EQ(test::fault_by_schema(r, nlohmann::json::parse(in)), "");
    std::vector<int> of_crystal(2);
    for (const nlohmann::json& box : r["shoeboxes"])
      if (box["hkl"].is_array()) ++of_crystal.at(box["crystal"].get<std::size_t>());
    EXPECT_GT(of_crystal[0], 30);
    EXPECT_GT(of_crystal[1], 30);
    expect_flags_make_the_refined_image(begin);
    EXPECT_EQ(nlohmann::json::parse(folder.content("r/refined.expt"))["crystal"].size(), 2U);
  }
}

TEST_F(Refine, SaysEveryRefinedParameterInFlagsOrInASentence) {
  const Outcome outcome = run(
      "--image still.img --parameters two_theta,detector_rotation,cells,beam_direction "
      "--iterations 1 --no-spot-stage");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json r = result();
  const std::vector<std::string> flags = r["refined_flags"];
  const auto value_after = [&](const std::string& flag) {
    const auto at = std::find(flags.begin(), flags.end(), flag);
    return at == flags.end() ? std::nan("") : std::stod(*(at + 1));
  };
  EXPECT_EQ(value_after("-twotheta"), r["numbers"][0]["value"]);
  EXPECT_EQ(value_after("-detector_rotx"), r["numbers"][1]["value"]);
  EXPECT_EQ(value_after("-detector_roty"), r["numbers"][2]["value"]);
  EXPECT_EQ(value_after("-detector_rotz"), r["numbers"][3]["value"]);
  const std::vector<std::string> not_in_flags = r["not_in_flags"];
  EXPECT_THAT(not_in_flags,
              UnorderedElementsAre("cells: -Na, -Nb, -Nc take whole numbers only",
                                   "beam_direction: -beam_vector would choose the custom "
                                   "convention, which is not this model's"));
  for (const std::string& line : not_in_flags) EXPECT_THAT(outcome.err, HasSubstr(line));
}

TEST_F(Refine, CountsAsManyIterationsAsItMade) {
  for (const int limit : {1, 2}) {
    const Outcome outcome = run(
        "--image still.img --parameters misset --no-spot-stage --iterations " +
        std::to_string(limit));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err,
                HasSubstr("the stage 'measured spots' had not converged after " +
                          std::to_string(limit) + (limit == 1 ? " iteration\n" : " iterations\n")));
  }
}

TEST_F(Refine, SaysWhatAnImageOfTheModelCostsBeforeItBegins) {
  const std::string costly =
      "refine --image still.img --parameters misset -- -corrected "
      "-default_F 100 -cell 50 60 70 90 90 90 -xtalsize 0.05 -detpixels 1024 "
      "-pixel 0.2 -lambda 1 ";
  const Outcome refused = test::run_program(folder.path(), costly);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(StartsWith("nablabragg: error: the automatic oversampling ("),
                                 HasSubstr("-fold) asks for "), HasSubstr("-block_size")));
  // Its pixels are not those of the model, which is found before the first step
  const Outcome compat = test::run_program(folder.path(), costly + "-compat");
  EXPECT_EQ(compat.exit_code, 3);
  EXPECT_THAT(compat.err, HasSubstr("nablabragg: Q-51: the automatic oversampling ("));
}

TEST_F(Refine, ReadsFloatImagesAndKeepsToMaskedRegions) {
  ASSERT_EQ(run("--image still.f32 --parameters misset", truth + "-roi 0 255 0 127").exit_code, 0);
  const nlohmann::json r = result();
  EXPECT_NEAR(r["numbers"][0]["value"], 12, 1e-3);
  const std::size_t half = r["stages"].back()["pixels"];
  ASSERT_EQ(run("--image still.f32 --parameters misset", truth).exit_code, 0);
  EXPECT_GT(result()["stages"].back()["pixels"].get<std::size_t>(), half);
}

TEST_F(Refine, FitsAllPixelsWhereAsked) {
  const Outcome outcome = run("--image still.img --all-pixels --parameters misset,water,fluence",
                              truth + "-misset 12.02 -7.02 33.02");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json r = result();
  EXPECT_EQ(r["stages"].size(), 1u);
  EXPECT_EQ(r["stages"][0]["pixels"], 256 * 256);
  EXPECT_NEAR(r["numbers"][0]["value"], 12, 0.01);
}

TEST_F(Refine, WritesRefinedStructureFactorsAsATable) {
  std::string table;
  for (int h = -20; h <= 20; ++h)
    for (int k = -20; k <= 20; ++k)
      for (int l = -20; l <= 20; ++l)
        table += std::to_string(h) + " " + std::to_string(k) + " " + std::to_string(l) + " 110\n";
  folder.file("start.hkl", table);
  const Outcome outcome = run("--image still.img --parameters misset --structure-factors 0.2",
                              truth + "-hkl start.hkl");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json r = result();
  ASSERT_GT(r["structure_factors"].size(), 50u);
  double sum = 0;
  for (const nlohmann::json& f : r["structure_factors"]) sum += f["value"].get<double>();
  EXPECT_NEAR(sum / static_cast<double>(r["structure_factors"].size()), 100, 2);
  EXPECT_THAT(folder.content("r/refined.hkl"), HasSubstr("-20 -20 -20 110"));
  fs::remove_all(folder / "r");
  expect_sentence(run("--image still.img --parameters misset --structure-factors 0.2"), 2,
                  "only where there is a table");
}

TEST_F(Refine, InterruptedByControlCLeavesItsStateAndNothingElse) {
  // So many domains that an iteration takes a while
  const Outcome outcome = test::run_interrupted(
      folder.path(),
      "refine --quiet --outdir r --no-spot-stage --image still.img --parameters misset -- " +
          start + "-mosaic_domains 4000",
      [&](const fs::path&) { return fs::exists(folder / "r/resume.json"); });
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("--resume r/resume.json goes on from there"));
  EXPECT_FALSE(fs::exists(folder / "r/refined.json"));
  const nlohmann::json state = nlohmann::json::parse(folder.content("r/resume.json"));
  EXPECT_EQ(state["values"].size(), 3u);
  EXPECT_EQ(state["stages"].back()["stage"], "measured spots");
}

TEST_F(Refine, ComplainsInOneSentenceAndWritesNothing) {
  expect_sentence(run("--parameters misset"), 2, "refine needs --image");
  expect_sentence(run("--image still.img"), 2, "refine needs --parameters");
  expect_sentence(run("--image nothing.img --parameters misset"), 3, "nothing.img");
  expect_sentence(run("--image still.img --parameters colour"), 2, "colour");
  expect_sentence(run("--image still.img --parameters misset --bound misset"), 2, "no bound");
  expect_sentence(run("--image still.img --parameters misset --bound distance=1:100"), 2,
                  "'distance', which is not refined");
  expect_sentence(run("--image still.img --parameters misset --restrain misset[0]=x"), 2,
                  "is no number");
  expect_sentence(run("--image still.img --parameters misset --readout-noise 2"), 2, "gauss");
  expect_sentence(run("--image still.img --parameters misset --likelihood luck"), 2, "luck");
  expect_sentence(run("--image still.img --parameters misset", start + "-detpixels 128"), 3,
                  "256 x 256 pixels and the model's panel 128 x 128");
  expect_sentence(run("--image still.f32 --parameters misset", start + "-detpixels 128"), 3,
                  "still.f32");
  expect_sentence(run("--image still.img --parameters misset",
                      start + "-cell 97 31 77 81 92 103 -misset 50 60 70"),
                  3, "fit the starting lattice");
  folder.file("r.json", "{\"stage\": 3}");
  expect_sentence(run("--image still.img --parameters misset --resume r.json"), 3,
                  "no file of an interrupted refinement");
}

TEST_F(Refine, RefusesNumbersThatNoOptionMeansInWords) {
  for (const auto& [option, sentence] :
       {std::pair{"--gain 0", "--gain: must be above 0, and is 0"},
        {"--gain nan", "--gain: must be above 0, and is nan"},
        {"--overload -5", "--overload: must be above 0, and is -5"},
        {"--readout-noise -1", "--readout-noise: must not be negative, and is -1"},
        {"--offset nan", "--offset: must be a finite number, and is nan"},
        {"--offset inf", "--offset: must be a finite number, and is inf"},
        {"--gain 1e999", "--gain"},
        {"--resume", "--resume needs a value"}}) {
    const Outcome outcome = run(std::string("--image still.img --parameters misset ") + option);
    EXPECT_EQ(outcome.exit_code, 2) << option;
    EXPECT_THAT(outcome.err, testing::StartsWith(std::string("nablabragg: error: ") + sentence));
    EXPECT_LT(outcome.err.size(), 150u) << outcome.err;
  }
}

TEST_F(Refine, RefusesWhatIsNoFileOfAnInterruptedRun) {
  fs::create_directory(folder / "d");
  folder.file("digits", std::string(10'000'000, '1'));
  folder.file("broken.json", "{\"stage\": ");
  folder.file("words.json", R"({"form": 2, "of": 1, "stages": [{"stage": "x"}]})");
  folder.file("old.json", R"({"stage": "measured spots", "values": {"misset[0]": 12}})");
  folder.file("list.json", "[1, 2]");
  const std::string line = "--image still.img --parameters misset --resume ";
  for (const char* name : {"d", "digits", "broken.json", "words.json", "old.json", "list.json",
                           "/dev/zero", "nothing.json", "still.img"}) {
    const Outcome outcome = run(line + name);
    expect_sentence(outcome, 3, name);
    EXPECT_LT(outcome.err.size(), 200u);
  }
}

TEST_F(Refine, WantsTheModelsFlagsBehindTwoDashes) {
  const auto without = [&](const std::string& line) {
    return test::run_program(folder.path(), "refine --outdir r " + line);
  };
  expect_sentence(without("--image still.img --parameters misset -hkl x.hkl -cell 40 45 50"), 2,
                  "-hkl is a flag of the simulator; such flags stand behind --: nablabragg refine "
                  "[options] -- -hkl ...");
  expect_sentence(without("--image still.img --parameters misset -corrected -- -cell 40"), 2,
                  "-corrected is a flag of the simulator");
  expect_sentence(without("--image still.img --parameters misset --lambda 1 -- -cell 40"), 2,
                  "--lambda is a flag of the simulator");
  expect_sentence(without("-image still.img --parameters misset -- -cell 40"), 2,
                  "-image takes two dashes in nablabragg refine: --image");
  expect_sentence(without("-zzz -- -cell 40"), 2, "nablabragg refine has no option -zzz");
  for (const char* help : {"--help", "-h", "-help"}) {
    const Outcome outcome = without(help);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("--parameters"));
  }
  EXPECT_EQ(run("--image still.img --parameters misset --offset -5 --iterations 1").exit_code, 0);
}

/// The refined model's own image, by its experiment.json and by its flags.
TEST_F(Refine, FindsTheCellOfAMatrixAndStatesItAsAMatrix) {
  // The crystal of the truth, its b axis and beta off
  folder.file("a.mat", R"(0.025 0 0
0 0.0221 0.0001
0 0 0.02
)");
  const std::string model = crystal +
                            "-mosaic 0.6 -fluence 3e27 -Xbeam 25.5 -Ybeam 25.7 "
                            "-misset 12 -7 33 -mat a.mat ";
  const Outcome outcome = run("--image still.img --parameters cell,misset", model);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json r = result();
  const std::vector<double> expected{40, 45, 50, 90, 90, 90, 12, -7, 33};
  test::expect_refined_to(expected, r);
  EXPECT_EQ(r["not_in_flags"].size(), 0u) << r["not_in_flags"];
  EXPECT_EQ(r["refined_flags"][0], "-mat");
  EXPECT_EQ(r["refined_flags"][1], "r/refined.mat");
  expect_flags_make_the_refined_image(model);
  fs::remove_all(folder / "r");
  expect_sentence(run("--image still.img --parameters cell[0],a_matrix", model), 2,
                  "a_matrix and cell say the same of the lattice");
}

TEST_F(Refine, StatesRefinedFactorsByAListThatMakesTheRefinedImage) {
  std::string table;
  for (int h = -20; h <= 20; ++h)
    for (int k = -20; k <= 20; ++k)
      for (int l = -20; l <= 20; ++l)
        if (h + k + l != 7) table += fmt::format("{} {} {} {}\n", h, k, l, 100 + 0.1 * (h - k));
  folder.file("start.hkl", table);
  const std::string model = truth + "-hkl start.hkl ";
  const Outcome outcome = run(
      "--image still.img --parameters misset,fluence,wavelength --structure-factors 0.2", model);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(result()["not_in_flags"].size(), 0u) << result()["not_in_flags"];
  expect_flags_make_the_refined_image(model);
}

TEST_F(Refine, SaysWhichQuirksTouchTheModel) {
  const Outcome outcome = test::run_program(
      folder.path(), "refine --quiet --outdir r --image still.img --parameters misset -- -compat " +
                         start.substr(start.find(' ')));
  EXPECT_THAT(outcome.err, HasSubstr("nablabragg: Q-31: "));
}

TEST_F(Refine, DestroysNothingThatItReads) {
  fs::create_directory(folder / "r");
  fs::copy_file(folder / "still.img", folder / "r/refined.png");
  folder.file("r/refined.hkl", "0 0 1 5\n");
  const auto expect_refused = [&](const Outcome& outcome, const std::string& part) {
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("--outdir would destroy what " + part));
  };
  expect_refused(run("--image r/refined.png --parameters misset"), "--image reads");
  expect_refused(run("--image still.img --parameters misset", start + "-hkl r/refined.hkl"),
                 "-hkl reads");
  folder.file("r/refined.json", "{}");
  expect_refused(run("--image still.img --parameters misset --resume r/refined.json"),
                 "--resume reads");
}

TEST_F(Refine, RefusesAnOffsetAboveHalfThePixels) {
  const std::string line = "--image still.img --parameters misset --iterations 1 ";
  const auto pixels = test::read_smv_pixels(folder / "still.img");
  const auto below = std::count_if(pixels.begin(), pixels.end(), [](auto n) { return n < 1000; });
  expect_sentence(run(line + "--offset 1000"), 3,
                  "still.img: " + std::to_string(below) +
                      " of 65536 pixels are below the 1000 counts of a dark pixel; --offset gives "
                      "what a dark pixel has, --offset 0 for a detector without pedestal");
  EXPECT_EQ(run(line + "--offset 41").exit_code, 0);
}

TEST_F(Refine, SaysHowManyPixelsLieInTheShadowOfTheBeamstop) {
  const std::string stop = "-beamstop_distance 30 -beamstop_radius 4 ";
  ASSERT_EQ(
      test::run_program(folder.path(), truth + stop + "-noisefile stop.img -seed 4").exit_code, 0);
  const Outcome outcome = run("--image stop.img --parameters " + numbers, start + stop);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json r = result();
  const int hidden = r["images"][0]["pixels_in_shadow"];
  // A disk of 8 mm about the beam on the detector, in pixels of 0.2 mm, and those that its edge
  // cuts
  const double area = 3.14159 * 40 * 40, edge = 2 * 3.14159 * 40;
  EXPECT_GT(hidden, area);
  EXPECT_LT(hidden, area + 1.5 * edge);
  EXPECT_THAT(outcome.out, HasSubstr("left out: " + std::to_string(hidden) +
                                     " pixels in the shadow of the beamstop\n"));
  // Only those that would be used
  const Outcome upper = run("--image stop.img --parameters fluence",
                            truth + stop + "-roi 0 255 0 127 ");
  ASSERT_EQ(upper.exit_code, 0) << upper.err;
  EXPECT_NEAR(result()["images"][0]["pixels_in_shadow"], hidden / 2.0, 0.1 * hidden);
  ASSERT_EQ(run("--image still.img --parameters fluence", truth).exit_code, 0);
  EXPECT_EQ(result()["images"][0]["pixels_in_shadow"], 0);
}

TEST_F(Refine, WritesWhatItsSchemaDescribes) {
  std::ifstream in(NABLA_SOURCE_DIR "/docs/refinement.schema.json");
  const nlohmann::json schema = nlohmann::json::parse(in);
  const auto fault = [&] { return test::fault_by_schema(result(), schema); };
  ASSERT_EQ(run("--image still.img --overload 50000 --parameters " + numbers).exit_code, 0);
  EXPECT_EQ(fault(), "");
  const nlohmann::json r = result();
  EXPECT_EQ(r["images"][0]["path"], "still.img");
  EXPECT_EQ(r["images"][0]["offset"], 40);
  EXPECT_EQ(r["images"][0]["overload"], 50000);
  EXPECT_EQ(r["shoeboxes"].size(), r["stages"].back()["spots"]);
  int indexed = 0;
  double sum = 0, pixels = 0;
  for (const nlohmann::json& box : r["shoeboxes"]) {
    if (box["hkl"].is_array()) ++indexed;
    sum += box["residual"].get<double>() * box["pixels"].get<double>();
    pixels += box["pixels"].get<double>();
  }
  EXPECT_GT(indexed, 0.7 * double(r["shoeboxes"].size()));
  EXPECT_NEAR(sum / pixels, r["residual"], 1e-9);
  // Undetermined numbers, all pixels, several factors
  ASSERT_EQ(run("--image still.img --all-pixels --parameters fluence,default_F,spindle_axis", truth)
                .exit_code,
            0);
  EXPECT_EQ(fault(), "");
  EXPECT_EQ(result()["numbers"].back()["name"], "spindle_axis[2]");
  EXPECT_TRUE(result()["numbers"].back()["deviation"].is_null());
  folder.file("start.hkl", "0 0 3 100\n1 2 3 100\n-20 -20 -20 100\n20 20 20 100\n");
  ASSERT_EQ(run("--image still.img --parameters misset --structure-factors 0.2 --likelihood gauss",
                truth + "-hkl start.hkl")
                .exit_code,
            0);
  EXPECT_EQ(fault(), "");
  EXPECT_GT(result()["structure_factors"].size(), 50u);
  // The check itself finds what is wrong
  nlohmann::json wrong = r;
  wrong["numbers"][0]["deviation"] = "small";
  EXPECT_NE(test::fault_by_schema(wrong, schema), "");
  wrong = r;
  wrong["numbers"][0]["sigma"] = 1;
  EXPECT_NE(test::fault_by_schema(wrong, schema), "");
  wrong = r;
  wrong.erase("stages");
  EXPECT_NE(test::fault_by_schema(wrong, schema), "");
}

TEST_F(Refine, TakesTheSpotsOfARefl) {
  ASSERT_EQ(test::run_program(folder.path(), truth + "-water 0 -o true.refl").exit_code, 0);
  const std::string options = "--image still.img --parameters misset --spots-of true.refl ";
  // From where the nearest lattice points are others
  const std::string far = truth + "-misset 18 -13 39 ";
  const Outcome outcome = run(options, far);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json r = result();
  EXPECT_EQ(r["stages"][0]["stage"], "spot positions");
  const std::vector<double> expected{12, -7, 33};
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(r["numbers"][i]["value"], expected[i],
                4.5 * r["numbers"][i]["deviation"].get<double>());
  fs::remove_all(folder / "r");
  expect_sentence(run("--image still.img --parameters misset", far), 3, "too few");
  expect_sentence(run(options + "--spots-experiment 3", far), 3,
                  "true.refl: has no spots of experiment 3");
  expect_sentence(run("--image still.img --parameters misset --spots-of still.img", far), 3,
                  "still.img: is no reflection table (.refl) of DIALS");
}

class RefineCounts : public Refine {
 protected:
  /// The still with other pixels, and without some keys of its header.
  template <class Change>
  void spoil(const Change& change, const std::vector<std::string>& without = {}) const {
    std::string bytes = folder.content("still.img");
    auto* const pixels = reinterpret_cast<std::uint16_t*>(bytes.data() +
                                                          test::smv_header_bytes(bytes));
    for (std::size_t i = 0; i < 256u * 256; ++i)
      pixels[i] = static_cast<std::uint16_t>(change(i, pixels[i]));
    for (const std::string& key : without) {
      const std::size_t at = bytes.find(key + '='), end = bytes.find(';', at);
      ASSERT_NE(at, std::string::npos) << key;
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                bytes.begin() + static_cast<std::ptrdiff_t>(end) + 1, ' ');
    }
    folder.file("spoilt.img", bytes);
  }

  /// The truth, within what the image says about it.
  Outcome found_in_spoilt(const std::string& more = "") const {
    const Outcome outcome = run("--image spoilt.img --parameters " + numbers + ' ' + more);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const nlohmann::json r = result();
    const std::vector<double> expected{12, -7, 33, 40, 45, 50, 25.5, 25.7, 0.6, 3e27};
    for (std::size_t i = 0; i < expected.size(); ++i) {
      SCOPED_TRACE(r["numbers"][i].dump());
      EXPECT_NEAR(r["numbers"][i]["value"], expected[i],
                  4.5 * r["numbers"][i]["deviation"].get<double>());
    }
    EXPECT_NEAR(r["residual"], 1, 0.1);
    return outcome;
  }

  /// Of the offset, and its deviation, as they were said.
  static std::pair<double, double> estimate_in(const Outcome& outcome) {
    const std::string
        begin = "spoilt.img: does not say what a dark pixel counts; by how counts vary it is ";
    const std::size_t at = outcome.err.find(begin);
    double estimate = std::nan(""), deviation = estimate;
    if (at != std::string::npos)
      std::sscanf(outcome.err.c_str() + at + begin.size(), "%lf +- %lf", &estimate, &deviation);
    return {estimate, deviation};
  }
};

TEST_F(RefineCounts, AtWhichADetectorSaturatesAreLowerLimits) {
  spoil([](std::size_t, int n) { return std::min(n, 150); });
  EXPECT_THAT(found_in_spoilt().err,
              HasSubstr(" pixels share the largest count, 150, so the detector seems to saturate "
                        "there and they counted that or more (--overload sets another limit, "
                        "--saturated left-out leaves them out)"));
  EXPECT_THAT(run("--image spoilt.img --parameters misset --iterations 1 --overload 1000").err,
              HasSubstr("share the largest count below --overload, 150"));
  spoil([](std::size_t, int n) { return n; });
  EXPECT_THAT(found_in_spoilt().err, testing::Not(HasSubstr("saturate")));
}

TEST_F(RefineCounts, ThatAreLowerLimitsGiveTheFluenceThatIsTooLowWithoutThem) {
  spoil([](std::size_t, int n) { return std::min(n, 60); });  // a quarter of the pixels
  const auto fluence = [&](const std::string& more) {
    EXPECT_EQ(run("--image spoilt.img --overload 60 --parameters fluence --no-spot-stage "
                  "--all-pixels " +
                      more,
                  truth)
                  .exit_code,
              0);
    const nlohmann::json number = result()["numbers"][0];
    return std::pair(number["value"].get<double>(), number["deviation"].get<double>());
  };
  const auto [censored, deviation] = fluence("");
  EXPECT_NEAR(censored, 3e27, 4 * deviation);
  const auto [without, larger] = fluence("--saturated left-out");
  EXPECT_LT(deviation, larger);
  // What is left out are the pixels that happened to count more
  EXPECT_LT(without, 3e27 - 40 * larger);
}

TEST_F(Refine, RemovesWhatARefinementBeforeItLeftInTheFolder) {
  fs::create_directory(folder / "r");
  for (const char* name : {"r/refined.hkl", "r/refined.orientations", "r/experiment_0012.json",
                           "r/notes.txt", "r/refined_best.png"})
    folder.file(name, "older");
  const Outcome outcome = run("--image still.img --parameters misset --iterations 1");
  ASSERT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("removed from r, of a refinement before: "
                                     "experiment_0012.json, refined.hkl, refined.orientations\n"));
  EXPECT_FALSE(fs::exists(folder / "r/refined.hkl"));
  EXPECT_FALSE(fs::exists(folder / "r/experiment_0012.json"));
  // What is somebody else's stays
  EXPECT_EQ(folder.content("r/notes.txt"), "older");
  EXPECT_EQ(folder.content("r/refined_best.png"), "older");
  EXPECT_TRUE(fs::exists(folder / "r/experiment.json"));
  EXPECT_THAT(run("--image still.img --parameters misset --iterations 1").out,
              testing::Not(HasSubstr("removed")));
}

TEST_F(Refine, SendsTheModelsLightThroughThePointSpread) {
  ASSERT_EQ(test::run_program(folder.path(), truth + "-response counting -psf gauss -psf_fwhm 300 "
                                                     "-noisefile spread.img -seed 2")
                .exit_code,
            0);
  const std::vector<double> expected{12, -7, 33, 40, 45, 50, 25.5, 25.7, 0.6, 3e27};
  const auto expect_truth = [&](const std::string& options) {
    SCOPED_TRACE(options);
    const Outcome outcome = run("--image spread.img --psf gauss --psf-fwhm 300 --parameters " +
                                numbers + options);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const nlohmann::json r = result();
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(r["numbers"][i]["value"], expected[i],
                  4.5 * r["numbers"][i]["deviation"].get<double>())
          << r["numbers"][i].dump();
    EXPECT_NEAR(r["residual"], 1, 0.05);
    EXPECT_EQ(r["images"][0]["point_spread"]["shape"], "gauss");
    EXPECT_EQ(r["images"][0]["point_spread"]["fwhm_um"], 300);
  };
  expect_truth("");
  expect_truth(" --intensities model --variances fitted");
  // Without it the spots are too wide
  ASSERT_EQ(run("--image spread.img --parameters " + numbers).exit_code, 0);
  EXPECT_GT(result()["residual"], 1.3);
  EXPECT_EQ(result()["images"][0].count("point_spread"), 0U);
  fs::remove_all(folder / "r");
  expect_sentence(run("--image spread.img --psf gauss --parameters misset"), 2,
                  "a point spread is --psf and its width, --psf-fwhm; one of them is missing");
}

TEST_F(Refine, FindsTheWidthOfThePointSpreadAndStatesTheDetectorWithIt) {
  ASSERT_EQ(test::run_program(folder.path(), truth + "-response counting -psf gauss -psf_fwhm 300 "
                                                     "-noisefile spread.img -seed 2")
                .exit_code,
            0);
  const Outcome outcome = run("--image spread.img --psf gauss --psf-fwhm 200 --parameters " +
                              numbers + ",response.fwhm");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("response.fwhm"));
  const nlohmann::json r = result();
  test::expect_refined_to({12, -7, 33, 40, 45, 50, 25.5, 25.7, 0.6, 3e27, 300}, r);
  std::ifstream in(NABLA_SOURCE_DIR "/docs/refinement.schema.json");
  EXPECT_EQ(test::fault_by_schema(r, nlohmann::json::parse(in)), "");
  expect_flags_make_the_refined_image(start);
  // What they and those of the detector record is the refined image behind the refined spread
  const nlohmann::json& flags = r["response_flags"];
  ASSERT_EQ(flags.size(), 6U);
  EXPECT_EQ(flags[5].get<std::string>(),
            fmt::format("{}", r["numbers"][10]["value"].get<double>()));
  std::vector<std::string> again = test::split_arguments(start);
  for (const char* list : {"refined_flags", "response_flags"})
    for (const nlohmann::json& flag : r[list]) again.push_back(flag);
  again.insert(again.end(), {"-noisefile", "again.img", "-seed", "3"});
  ASSERT_EQ(test::run_program(folder.path(), again).exit_code, 0);
  ASSERT_EQ(
      run("--image again.img --psf gauss --psf-fwhm 200 --parameters " + numbers + ",response.fwhm")
          .exit_code,
      0);
  const nlohmann::json second = result();
  const double deviation = second["numbers"][10]["deviation"];
  EXPECT_NEAR(second["numbers"][10]["value"], r["numbers"][10]["value"].get<double>(),
              4.5 * deviation);
  // An image that is read with a gain is that of an integrating detector
  ASSERT_EQ(run("--image spread.img --gain 2 --offset 40 --psf gauss --psf-fwhm 300 --parameters "
                "fluence")
                .exit_code,
            0);
  EXPECT_EQ(
      result()["response_flags"].dump(),
      R"(["-response","integrating","-psf","gauss","-psf_fwhm","300","-gain","2","-adc","40",)"
      R"("-readout_noise","0"])");
  ASSERT_EQ(run("--image still.img --parameters misset").exit_code, 0);
  EXPECT_EQ(result()["response_flags"].size(), 0U);
  fs::remove_all(folder / "r");
  expect_sentence(run("--image spread.img --parameters response.fwhm"), 2,
                  "response.fwhm is the width of a point spread, and the detector has none");
}

TEST_F(Refine, FitsStructureFactorsBehindAPointSpread) {
  folder.file("start.hkl", "0 0 3 100\n1 2 3 100\n-20 -20 -20 100\n20 20 20 100\n");
  ASSERT_EQ(test::run_program(folder.path(), truth + "-response counting -psf gauss -psf_fwhm 300 "
                                                     "-noisefile spread.img -seed 2")
                .exit_code,
            0);
  ASSERT_EQ(run("--image spread.img --psf gauss --psf-fwhm 300 --parameters misset "
                "--structure-factors 0.2",
                truth + "-hkl start.hkl")
                .exit_code,
            0);
  const nlohmann::json r = result();
  EXPECT_GT(r["structure_factors"].size(), 50u);
  std::vector<double> off;
  for (const nlohmann::json& f : r["structure_factors"])
    off.push_back(std::abs(f["value"].get<double>() - 100) / f["deviation"].get<double>());
  // The median of a normal deviate is 0.67; the deviations take spots that overlap for known
  std::nth_element(off.begin(), off.begin() + static_cast<std::ptrdiff_t>(off.size() / 2),
                   off.end());
  EXPECT_LT(off[off.size() / 2], 0.9);
}

TEST_F(RefineCounts, ThatMarkPixelsAreLeftOutAndCounted) {
  spoil([](std::size_t i, int n) { return i < 768 ? 65534 : i < 1280 ? 65535 : n; });
  EXPECT_THAT(found_in_spoilt().err,
              AllOf(HasSubstr("spoilt.img: 768 pixels hold 65534 counts, which is -2 and marks "
                              "pixels without a measurement; left out"),
                    HasSubstr("512 pixels hold 65535 counts, which is -1")));
}

TEST_F(RefineCounts, OnAnUnknownOffsetTellItByHowTheyVary) {
  for (const int pedestal : {0, 40, 117}) {
    SCOPED_TRACE(pedestal);
    spoil([&](std::size_t, int n) { return n - 40 + pedestal; }, {"IMAGE_PEDESTAL"});
    const Outcome outcome = found_in_spoilt();
    const auto [estimate, deviation] = estimate_in(outcome);
    EXPECT_NEAR(estimate, pedestal, 4.5 * deviation + 0.005 * pedestal);
    EXPECT_LT(deviation, 0.5);
    EXPECT_THAT(outcome.err, HasSubstr("at 1 counts per photon"));
    if (pedestal == 0) {
      EXPECT_THAT(outcome.err, HasSubstr(", 0 is taken"));
    }
  }
}

TEST_F(RefineCounts, OnAnUnknownOffsetAndGainAskForOne) {
  spoil([](std::size_t, int n) { return n - 40; }, {"IMAGE_PEDESTAL", "GAIN"});
  expect_sentence(run("--image spoilt.img --parameters misset"), 3,
                  "says neither what a dark pixel counts nor its gain; give --offset (0 for a "
                  "detector that counts photons, 40 for images of nanoBragg), or --gain");
  EXPECT_EQ(run("--image spoilt.img --parameters misset --gain 1").exit_code, 0);
  found_in_spoilt("--offset 0");
}

TEST_F(RefineCounts, OfAnyGainThatIsKnownTellTheirOffset) {
  spoil([](std::size_t, int n) { return 3 * (n - 40) + 50; }, {"IMAGE_PEDESTAL", "GAIN"});
  const Outcome outcome = found_in_spoilt("--gain 3");
  const auto [estimate, deviation] = estimate_in(outcome);
  EXPECT_NEAR(estimate, 50, 4.5 * deviation);
  EXPECT_LT(deviation, 3 * 0.5);
  EXPECT_NEAR(result()["images"][0]["offset"], estimate, 0.05);
  EXPECT_THAT(outcome.err, HasSubstr(" at 3 counts per photon, "));
  EXPECT_EQ(result()["images"][0]["counts_per_photon"], 3);
}

TEST_F(RefineCounts, ThatVaryMoreThanTheGainAllowsTellNoOffset) {
  spoil([](std::size_t, int n) { return 3 * (n - 40); }, {"IMAGE_PEDESTAL", "GAIN"});
  expect_sentence(run("--image spoilt.img --parameters misset --gain 1"), 3,
                  "spoilt.img: does not say what a dark pixel counts, and counts vary more than "
                  "photons do at 1 counts per photon, by which it would count -");
  found_in_spoilt("--gain 3");
  EXPECT_EQ(result()["images"][0]["offset"], 0);
}

TEST_F(RefineCounts, OfAFewPixelsTellNoOffset) {
  spoil([](std::size_t, int n) { return n - 40; }, {"IMAGE_PEDESTAL"});
  const std::string line = "--image spoilt.img --parameters misset --all-pixels --no-spot-stage ";
  expect_sentence(run(line, truth + "-roi 0 39 0 39 "), 3,
                  "spoilt.img: does not say what a dark pixel counts, and has too few flat and dim "
                  "places to estimate it; give --offset");
  EXPECT_EQ(run(line + "--offset 0 --iterations 1", truth + "-roi 0 39 0 39 ").exit_code, 0);
}

TEST_F(RefineCounts, ThatContradictAStatedPedestalAreRefused) {
  spoil([](std::size_t, int n) { return n - 40; });
  expect_sentence(run("--image spoilt.img --parameters misset"), 3,
                  "pixels are below the 40 counts of a dark pixel");
}

TEST_F(Refine, GoesOnFromTheFileOfAnInterruptedRunToTheSameNumbers) {
  const std::string options = "--no-spot-stage --image still.img --parameters misset ";
  const std::string model = start + "-mosaic_domains 60";
  ASSERT_EQ(run(options, model).exit_code, 0);
  const nlohmann::json whole = result();
  fs::remove_all(folder / "r");
  const Outcome stopped = test::run_interrupted(
      folder.path(), "refine --quiet --outdir r " + options + "-- " + model,
      [&](const fs::path&) { return fs::exists(folder / "r/resume.json"); });
  ASSERT_EQ(stopped.exit_code, 130);
  fs::copy_file(folder / "r/resume.json", folder / "kept.json");
  const Outcome outcome = run(options + "--resume r/resume.json", model);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json r = result();
  EXPECT_EQ(r["numbers"], whole["numbers"]);
  EXPECT_EQ(r["correlations"], whole["correlations"]);
  EXPECT_EQ(r["refined_flags"], whole["refined_flags"]);
  EXPECT_EQ(r["stages"].size(), 2u);
  fs::remove_all(folder / "r");
  expect_sentence(
      run("--no-spot-stage --image still.img --parameters distance --resume kept.json", model), 2,
      "resume with the same parameters");
  expect_sentence(run(options + "--shoebox 11 --resume kept.json", model), 2,
                  "the interrupted refinement was of another image, model or options");
  // A file that an accident has changed
  const std::string kept = folder.content("kept.json");
  std::mt19937 random(20261130);
  for (int i = 0; i < 15; ++i) {
    const std::string text = test::damaged(kept, random);
    if (text == kept || text + '\n' == kept) continue;
    folder.file("damaged.json", text);
    expect_sentence(run(options + "--resume damaged.json", model), 3, "error: damaged.json:");
  }
}

}  // namespace
}  // namespace nablabragg
