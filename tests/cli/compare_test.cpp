// `nablabragg compare` as a user runs it; the reference is this program or a small script.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using testing::HasSubstr;
using testing::StartsWith;

constexpr int alike = 0, program_failed = 1, usage = 2, below = 3, shapes_differ = 4, files = 5;

const std::string experiment = "-cell 100 -default_F 100 -N 5 -detpixels 32 -distance 500 ";

class Compare : public testing::Test {
 protected:
  Outcome run(const std::string& line) const {
    return test::run_program(folder.path(), "compare " + line);
  }

  /// The same against this program.
  Outcome run_self(const std::string& options, const std::string& arguments) const {
    return run(options + " --reference " NABLA_PROGRAM " -- " + arguments);
  }

  /// A shell script next to the images, executable.
  std::string script(const std::string& name, const std::string& text) const {
    const std::string path = folder.file(name, "#!/bin/sh\n" + text + "\n");
    fs::permissions(path, fs::perms::owner_all);
    return "./" + name;
  }

  /// A program that takes our arguments and changes some of them, or what comes out.
  std::string altered(const std::string& name, const std::string& more) const {
    return script(name, "exec '" NABLA_PROGRAM "' \"$@\" " + more);
  }

  fs::path run_directory(const std::string& under = "comparisons") const {
    fs::path found;
    for (const auto& entry : fs::directory_iterator(folder.path() / under)) found = entry.path();
    return found;
  }

  nlohmann::json summary() const {
    return nlohmann::json::parse(test::read_file(run_directory() / "summary.json"));
  }

  static void expect_sentence(const Outcome& outcome, int code, const std::string& part) {
    EXPECT_EQ(outcome.exit_code, code);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("nablabragg: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }

  test::TempDir folder;
};

TEST_F(Compare, OfTheProgramWithItselfFindsNoDifference) {
  const Outcome outcome = run_self("", experiment);
  EXPECT_EQ(outcome.exit_code, alike);
  EXPECT_EQ(outcome.err, "");
  for (const char* name :
       {"reference/stdout.txt", "reference/stderr.txt", "reference/floatimage.bin",
        "ours/stdout.txt", "ours/stderr.txt", "ours/floatimage.bin", "reference.png", "ours.png",
        "difference.png", "summary.json"})
    EXPECT_TRUE(fs::exists(run_directory() / name)) << name;
  EXPECT_FALSE(fs::exists(run_directory() / "difference.f32"));
  const nlohmann::json s = summary();
  EXPECT_EQ(s["correlation"], 1);
  EXPECT_EQ(s["rmse"], 0);
  EXPECT_EQ(s["sum_ratio"], 1);
  EXPECT_NEAR(s["ssim"].get<double>(), 1, 1e-9);
  EXPECT_EQ(s["peaks"]["matched"], s["peaks"]["reference"]);
  EXPECT_EQ(s["pixels"], 32 * 32);
  EXPECT_TRUE(s["passed"]);
  EXPECT_GT(s["ours"]["seconds"], 0);
  EXPECT_THAT(outcome.out, HasSubstr("correlation"));
  EXPECT_THAT(outcome.out, HasSubstr("reference / ours"));
}

TEST_F(Compare, WritesNothingOutsideTheRunDirectory) {
  EXPECT_EQ(
      run_self("--outdir here", experiment + "-floatfile my.f32 -intfile " + (folder / "int.img"))
          .exit_code,
      alike);
  EXPECT_THAT(folder.names(), testing::ElementsAre("here"));
  EXPECT_TRUE(fs::exists(run_directory("here") / "ours/my.f32"));
  EXPECT_TRUE(fs::exists(run_directory("here") / "reference/int.img"));
}

TEST_F(Compare, FindsInputFilesNextToTheCaller) {
  folder.file("F.hkl", "0 0 0 10\n1 0 0 20\n0 1 0 30\n");
  folder.file("5", "a file whose name is a number");
  EXPECT_EQ(run_self("", "-cell 100 -hkl F.hkl -N 5 -detpixels 16 -distance 500").exit_code, alike);
}

TEST_F(Compare, GivesEachProgramItsOwnCopyOfTheCache) {
  folder.file("F.hkl", "0 0 0 10\n1 0 0 20\n0 1 0 30\n");
  const std::string arguments = "-cell 100 -N 5 -detpixels 16 -distance 500 ";
  ASSERT_EQ(test::run_program(folder.path(), arguments + "-hkl F.hkl -nopgm -nonoise").exit_code,
            0);
  ASSERT_TRUE(fs::exists(folder / "Fdump.bin"));
  EXPECT_EQ(run_self("", arguments).exit_code, alike);
  EXPECT_TRUE(fs::exists(run_directory() / "reference/Fdump.bin"));
  EXPECT_TRUE(fs::exists(run_directory() / "ours/Fdump.bin"));
}

TEST_F(Compare, ReportsADifferenceAndExitsWithThreeUnderTheThreshold) {
  const std::string other = altered("other", "-distance 100");
  const Outcome outcome = run("--save-diff --reference " + other + " -- " + experiment);
  EXPECT_EQ(outcome.exit_code, below);
  EXPECT_THAT(outcome.out, HasSubstr("UNDER the threshold of 0.95"));
  const nlohmann::json s = summary();
  EXPECT_FALSE(s["passed"]);
  EXPECT_LT(s["correlation"], 0.95);
  const auto difference = test::read_floats(run_directory() / "difference.f32"),
             ours = test::read_floats(run_directory() / "ours/floatimage.bin"),
             reference = test::read_floats(run_directory() / "reference/floatimage.bin");
  const auto at = s["largest_difference"]["slow"].get<std::size_t>() * 32 +
                  s["largest_difference"]["fast"].get<std::size_t>();
  EXPECT_FLOAT_EQ(difference.at(at), ours.at(at) - reference.at(at));
  EXPECT_NEAR(s["largest_difference"]["photons"].get<float>(), std::abs(difference.at(at)),
              1e-6f * std::abs(difference.at(at)));
}

TEST_F(Compare, PassesTheSameDifferenceUnderALowerThreshold) {
  const std::string other = altered("other", "-distance 100");
  EXPECT_EQ(run("--threshold -1 --reference " + other + " -- " + experiment).exit_code, alike);
}

TEST_F(Compare, LooksAtTheRegionOfInterestOnly) {
  // The reference leaves the lower rows dark
  const std::string other = altered("other", "-roi 0 31 0 15");
  EXPECT_EQ(
      run("--roi 2 31 0 15 --threshold 1 --reference " + other + " -- " + experiment).exit_code,
      alike);
  EXPECT_EQ(summary()["pixels"], 30 * 16);
  EXPECT_EQ(run("--outdir b --threshold 1 --reference " + other + " -- " + experiment).exit_code,
            below);
}

TEST_F(Compare, OfDifferentShapesExitsWithFourUnlessTheyMayBeResampled) {
  // The same area with half as many pixels along each edge
  const std::string other = altered("other", "-detpixels 16 -pixel 0.2 -oversample 2");
  const std::string arguments = " --reference " + other + " -- " + experiment + "-oversample 1";
  expect_sentence(run(arguments), shapes_differ, "16 x 16 pixels and ours 32 x 32; --resample");
  fs::remove_all(folder / "comparisons");
  EXPECT_EQ(run("--resample" + arguments).exit_code, alike);
  EXPECT_TRUE(summary()["resampled"]);
  EXPECT_EQ(summary()["pixels"], 16 * 16);
}

TEST_F(Compare, NamesTheProgramThatFailedItsExitCodeAndItsLastLine) {
  const std::string failing = script("failing", "echo first >&2; echo 'the end' >&2; exit 9");
  Outcome outcome = run("--reference " + failing + " -- " + experiment);
  expect_sentence(outcome, program_failed, "the reference program ");
  EXPECT_THAT(outcome.err, HasSubstr("failed with exit code 9, saying: the end"));
  EXPECT_EQ(test::read_file(run_directory() / "reference/stderr.txt"), "first\nthe end\n");
  outcome = run("--ours " + failing + " --reference " NABLA_PROGRAM " -- " + experiment);
  expect_sentence(outcome, program_failed, "our program ");
  outcome = run("--reference ./no-such-program -- " + experiment);
  expect_sentence(outcome, program_failed, "no-such-program: No such file");
}

TEST_F(Compare, ThatIsAskedForWronglyExitsWithOneAndRunsNothing) {
  expect_sentence(run("-- " + experiment), usage, "--reference PROGRAM");
  expect_sentence(run("--reference true"), usage, "after --");
  expect_sentence(run("--reference true --"), usage, "after --");
  expect_sentence(run("--reference true --bogus -- -cell"), usage, "--bogus");
  expect_sentence(run("--reference true --roi 1 2 3 -- -cell"), usage, "--roi");
  expect_sentence(run("--reference true --threshold 2 -- -cell"), usage, "--threshold");
  EXPECT_TRUE(folder.names().empty());
}

TEST_F(Compare, KeepsImagesInFilesAndNotInWhatAProgramPrints) {
  expect_sentence(run_self("", experiment + "-floatfile -"), 2,
                  "-floatfile - would be mixed with what a program prints; give it a file");
  EXPECT_FALSE(fs::exists(folder / "comparisons"));
}

TEST_F(Compare, RegionThatIsNotInTheImageIsAUsageError) {
  expect_sentence(run_self("--roi 0 32 0 5", experiment), usage, "32 x 32");
}

TEST_F(Compare, WithoutAnImageOrAFolderToWriteToExitsWithFive) {
  expect_sentence(run("--reference true -- " + experiment), files, "floatimage.bin");
  folder.file("plain", "");
  expect_sentence(run_self("--outdir plain/sub", experiment), files, "cannot make the folder");
}

TEST_F(Compare, ShowsHowItIsUsed) {
  for (const char* flag : {"--help", "-h", "-help"}) {
    const Outcome outcome = run(flag);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("--save-diff"));
  }
}

}  // namespace
}  // namespace nablabragg
