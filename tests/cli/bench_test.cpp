// `nablabragg bench` as a user runs it; the reference is this program or a small script.
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
using testing::Not;
using testing::StartsWith;

class Bench : public testing::Test {
 protected:
  Outcome run(const std::string& line) const {
    return test::run_program(folder.path(), "bench --outdir b " + line);
  }

  /// An executable shell script.
  std::string script(const std::string& name, const std::string& text) const {
    const std::string path = folder.file(name, "#!/bin/sh\n" + text + "\n");
    fs::permissions(path, fs::perms::owner_all);
    return "./" + name;
  }

  /// This program as a nanoBragg would be: without the flags that only ours has.
  std::string reference(const std::string& more = "") const {
    return script("reference", "exec '" NABLA_PROGRAM "' \"$@\" -threads $OMP_NUM_THREADS " + more);
  }

  nlohmann::json gradients() const { return json("b/benchmark_results.json")["gradients"]; }
  nlohmann::json results() const { return json("b/benchmark_results.json")["results"]; }
  nlohmann::json json(const std::string& name) const {
    return nlohmann::json::parse(folder.content(name));
  }

  static void expect_sentence(const Outcome& outcome, int code, const std::string& part) {
    EXPECT_EQ(outcome.exit_code, code);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("nablabragg: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }

  test::TempDir folder;
};

TEST_F(Bench, OfSweepsCountsImagesASecondAndSaysOfWhat) {
  const Outcome outcome = run("--sweep --images 1 --iterations 1 --threads 2");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 7) << outcome.out;
  for (const char* part : {"| ubiquitin | 2 |", "| tetragonal | 2 |", "| large-cell | 2 |",
                           "| water | 2 |", "| water-layers | 2 |", "| 300 |", "| - |", "N 20",
                           "skip_below 1e-6", "140 mm", "F to 1.5 A"})
    EXPECT_THAT(outcome.out, HasSubstr(part));
  expect_sentence(run("--sweep --gradient"), 2, "--sweep goes with");
}

TEST_F(Bench, WithAReferenceWritesResultsEnvironmentCommandsSummaryAndPlots) {
  const Outcome outcome = run(
      "--sizes 16,32 --cases cubic,mosaic --threads 1,2 --iterations 2 "
      "--require-parity --reference " +
      reference());
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json all = results();
  ASSERT_EQ(all.size(), 8u);
  for (const nlohmann::json& r : all) {
    SCOPED_TRACE(r.dump());
    EXPECT_EQ(r["correlation_cold"], 1);
    EXPECT_EQ(r["correlation_warm"], 1);
    EXPECT_EQ(r["sum_ratio"], 1);
    EXPECT_EQ(r["parity"], "passed");
    EXPECT_GT(r["speedup_cold"], 0);
    EXPECT_GT(r["speedup_warm"], 0);
    for (const char* program : {"ours", "reference"}) {
      EXPECT_GT(r[program]["seconds_cold"], 0);
      EXPECT_EQ(r[program]["seconds_warm"].size(), 2u);
      EXPECT_EQ(r[program]["seconds_one_pixel"].size(), 2u);
      EXPECT_LE(r[program]["whole_image_seconds_warm_min"],
                r[program]["whole_image_seconds_warm_max"]);
      EXPECT_GT(r[program]["peak_memory_bytes"], 1 << 20);
    }
  }
  EXPECT_EQ(all[0]["case"], "cubic");
  EXPECT_EQ(all[1]["size"], 32);
  EXPECT_EQ(all[1]["steps"], 32 * 32);
  EXPECT_EQ(all[2]["steps"], 16 * 16 * 250);
  EXPECT_EQ(all[4]["threads"], 2);

  const nlohmann::json environment = json("b/env.json");
  for (const char* key : {"cpu", "instruction_set", "compiler", "compiler_flags", "version",
                          "threads", "load_averages_before", "load_averages_after", "begun"})
    EXPECT_TRUE(environment.contains(key)) << key;

  const std::string summary = folder.content("b/summary.md");
  EXPECT_THAT(summary, HasSubstr("## 1 thread\n"));
  EXPECT_THAT(summary, HasSubstr("## 2 threads\n"));
  EXPECT_THAT(summary, HasSubstr("| mosaic 32 x 32 |"));
  EXPECT_THAT(folder.content("b/speed-t1.svg"), HasSubstr("cubic, reference"));
  EXPECT_TRUE(fs::exists(folder / "b/speed-t2.svg"));
  EXPECT_FALSE(fs::exists(folder / "b/runs"));
  EXPECT_THAT(outcome.out, HasSubstr("| cubic 16 x 16 |"));
}

TEST_F(Bench, ListsCommandsThatCanBeTypedAgain) {
  ASSERT_EQ(run("--sizes 16 --cases cubic --threads 1 --iterations 1 --keep-artifacts").exit_code,
            0);
  const std::string commands = folder.content("b/commands.txt");
  const std::string first = commands.substr(0, commands.find('\n'));
  EXPECT_EQ(std::count(commands.begin(), commands.end(), '\n'), 3);  // cold, warm, one pixel
  const fs::path image = folder.path() / "b/runs/cubic-16-t1/ours/image.f32";
  const std::vector<float> before = test::read_floats(image);
  fs::remove(image);
  ASSERT_EQ(std::system((first + " >/dev/null 2>&1").c_str()), 0) << first;
  EXPECT_EQ(test::read_floats(image), before);
}

TEST_F(Bench, WithoutAReferenceMeasuresOursAlone) {
  ASSERT_EQ(run("--sizes 16 --cases cubic,source-generation --threads 1 --iterations 1").exit_code,
            0);
  const nlohmann::json all = results();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0]["reference"].is_null());
  EXPECT_TRUE(all[0]["speedup_warm"].is_null());
  EXPECT_EQ(all[0]["parity"], "not compared");
  EXPECT_TRUE(all[1]["size"].is_null());
  EXPECT_TRUE(all[1]["ours"]["kernel_seconds"].is_null());
}

TEST_F(Bench, TakesTheReferenceFromTheEnvironment) {
  const std::string program = folder / "reference";
  reference();
  setenv("NB_C_BIN", program.c_str(), 1);
  const Outcome outcome = run("--sizes 16 --cases cubic --threads 1 --iterations 1");
  unsetenv("NB_C_BIN");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(results()[0]["correlation_warm"], 1);
}

TEST_F(Bench, TimesTheReferenceOfAnExpensiveCaseOnARegion) {
  folder.file("F.hkl", "0 0 0 100\n1 0 0 100\n");
  ASSERT_EQ(
      run("--sizes 66 --cases pink-gauss --hkl F.hkl --threads 2 --iterations 1 --reference " +
          reference("-dispsteps 1 -mosaic_domains 1"))
          .exit_code,
      0);
  const nlohmann::json result = results()[0];
  EXPECT_EQ(result["reference_region"], 64);
  EXPECT_NEAR(result["reference"]["pixel_factor"].get<double>(), 66.0 * 66 / (64 * 64), 1e-12);
  EXPECT_EQ(result["parity"], "not compared");
  EXPECT_THAT(folder.content("b/commands.txt"), HasSubstr("-roi 1 64 1 64"));
  EXPECT_THAT(folder.content("b/summary.md"), HasSubstr("64 x 64 pixels in the middle"));
}

TEST_F(Bench, ThatRequiresParityExitsWithOneWhereThereIsNone) {
  const std::string options = "--sizes 16 --cases cubic --threads 1 --iterations 1 --reference " +
                              reference("-default_F 110");
  EXPECT_EQ(run(options).exit_code, 0);
  EXPECT_EQ(results()[0]["parity"], "failed");
  const Outcome outcome = run("--require-parity " + options);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("no parity: cubic 16 with 1 threads"));
}

TEST_F(Bench, RanksTheStagesOfAProfile) {
  // The program as it is, and a trace
  const std::string ours = script(
      "ours",
      "trace=\n"
      "for argument; do\n"
      "  shift\n"
      "  if [ \"$argument\" = -profile ]; then trace=$1; set -- \"$@\" "
      "-floatfile\n"
      "  else set -- \"$@\" \"$argument\"; fi\n"
      "done\n"
      "[ -z \"$trace\" ] || echo '{\"traceEvents\":[{\"name\":\"render\","
      "\"ph\":\"X\",\"ts\":0,\"dur\":250000,\"tid\":1,\"pid\":1}]}' > "
      "\"$trace.json\"\n"
      "[ -z \"$trace\" ] || { mv \"$trace.json\" \"$trace\"; exit 0; }\n"
      "exec '" NABLA_PROGRAM "' \"$@\"");
  const Outcome outcome = run(
      "--sizes 16 --cases cubic --threads 1 --iterations 1 --profile --ours " + ours);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(folder.content("b/summary.md"), HasSubstr("| render | 0.2500 s | 100.0 % | 1 | 1 |"));
  EXPECT_EQ(results()[0]["stages"][0]["stage"], "render");
}

TEST_F(Bench, ShowsHowTimeGrowsWithPixelsDomainsAndSources) {
  ASSERT_EQ(run("--sizes 32 --cases cubic --threads 2 --iterations 1 --scaling").exit_code, 0);
  const nlohmann::json scaling = json("b/benchmark_results.json")["scaling"];
  ASSERT_EQ(scaling.size(), 3u);
  EXPECT_EQ(scaling[0]["what"], "pixels");
  EXPECT_EQ(scaling[0]["points"].back()["count"], 32 * 32);
  EXPECT_EQ(scaling[1]["what"], "domains");
  EXPECT_EQ(scaling[2]["what"], "sources");
  EXPECT_TRUE(fs::exists(folder / "b/scaling.svg"));
}

TEST_F(Bench, OfGradientsComparesThemWithTheImageInBothPrecisions) {
  const Outcome outcome = run(
      "--gradient --sizes 16 --cases mosaic,gauss --threads 1,2 --iterations 2");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json all = gradients();
  ASSERT_EQ(all.size(), 8u);
  for (const nlohmann::json& r : all) {
    SCOPED_TRACE(r.dump());
    EXPECT_EQ(r["ours"]["image_seconds"].size(), 2u);
    EXPECT_EQ(r["ours"]["seconds"].size(), 2u);
    EXPECT_GT(r["ours"]["value"], 0);
    EXPECT_EQ(r["ours"]["gradient"]["cell"].size(), 6u);
    EXPECT_GE(r["ours"]["peak_memory_bytes"], r["ours"]["image_peak_memory_bytes"]);
    EXPECT_NEAR(
        r["cost_ratio"].get<double>(),
        r["ours"]["seconds_min"].get<double>() / r["ours"]["image_seconds_min"].get<double>(),
        1e-9);
    EXPECT_TRUE(r["reference"].is_null());
  }
  EXPECT_EQ(all[0]["dtype"], "float32");
  EXPECT_EQ(all[1]["dtype"], "float64");
  EXPECT_EQ(all[2]["case"], "gauss");
  EXPECT_EQ(all[2]["cost_ratio_aim"], 2.5);
  EXPECT_EQ(all[4]["threads"], 2);
  EXPECT_THAT(folder.content("b/summary.md"), HasSubstr("| mosaic 16 x 16 | float64 | 2 |"));
  EXPECT_EQ(json("b/env.json")["dtype"], "float32, float64");
  EXPECT_THAT(folder.content("b/commands.txt"),
              HasSubstr("bench --gradient --iterations 2 -- -hkl"));
  EXPECT_FALSE(fs::exists(folder / "b/runs"));
}

TEST_F(Bench, OfGradientsComparesWithWhatAnotherCommandPrints) {
  script("theirs",
         "echo 'noise'\n"
         "'" NABLA_PROGRAM
         "' bench --gradient --iterations 1 -- \"$@\" -fluence 2e28 |\n"
         "  sed 's/\"seconds\":\\[[^]]*\\]/\"seconds\":[7,6]/'");
  const Outcome outcome = run(
      "--gradient --sizes 16 --cases cubic --dtype float64 --threads 1 --iterations 1 "
      "--gradient-reference ./theirs");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json result = gradients().at(0);
  EXPECT_EQ(result["reference"]["seconds_min"], 6);
  EXPECT_NEAR(result["speedup"].get<double>() * result["ours"]["seconds_min"].get<double>(), 6,
              1e-9);
  EXPECT_GT(result["memory_ratio"], 0.5);
  // The default fluence is 1.26e29
  const double expected = 1 - 2e28 / 125932015286227086360700780544.0;
  EXPECT_NEAR(result["relative_differences"]["value"].get<double>(), expected, 1e-9);
  EXPECT_NEAR(result["relative_differences"]["fluence"].get<double>(), 0, 1e-9);
  EXPECT_THAT(folder.content("b/summary.md"),
              HasSubstr("- cubic 16 x 16, float64, 1 thread: value 8.4e-01"));
  EXPECT_THAT(outcome.out, HasSubstr("time ratio"));
}

TEST_F(Bench, OfGradientsSaysWhatAnotherCommandShouldHavePrinted) {
  script("theirs", "echo 3 seconds");
  expect_sentence(run("--gradient --sizes 16 --cases cubic --threads 1 --iterations 1 "
                      "--gradient-reference ./theirs"),
                  3, "theirs printed is no measurement of a gradient");
}

TEST_F(Bench, MeasuresTheGradientOfOneExperimentInItsOwnProcess) {
  const Outcome outcome = run(
      "--gradient --iterations 3 -- -cell 70 80 90 90 90 90 -default_F 100 -N 5 -detpixels 16 "
      "-pixel 1 -oversample 1");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json found = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(found["seconds"].size(), 3u);
  EXPECT_NE(found["gradient"]["distance"][0], 0);
  EXPECT_TRUE(folder.names().empty());
  expect_sentence(run("--gradient -- -cell 70 80 90 90 90 90 -default_F 100 -N 5 -detpixels 16 "
                      "-pixel 1 -oversample 2 -oversample_omega"),
                  2, "give -corrected");
}

TEST_F(Bench, NamesTheProgramThatFailsWithItsLastLine) {
  const std::string failing = script("failing", "echo 'no memory' >&2; exit 3");
  expect_sentence(run("--sizes 16 --cases cubic --iterations 1 --reference " + failing), 3,
                  "failing ended with exit code 3, saying: no memory");
}

TEST_F(Bench, ThatIsAskedForWronglyExitsWithTwoAndRunsNothing) {
  expect_sentence(run("--cases cubist"), 2, "'cubist'; it has cubic");
  expect_sentence(run("--sizes 0"), 2, "--sizes");
  expect_sentence(run("--sizes big"), 2, "--sizes");
  expect_sentence(run("--device abacus"), 2, "--device");
  expect_sentence(run("--dtype float16"), 2, "--dtype");
  expect_sentence(run("--iterations 0"), 2, "--iterations");
  expect_sentence(run("--require-parity"), 2, "--reference");
  expect_sentence(run("--gradient --require-parity --reference x"), 2, "--gradient goes without");
  expect_sentence(run("--gradient-reference x"), 2, "is for --gradient");
  expect_sentence(run("-- -cell 1"), 2, "--gradient is measured");
  expect_sentence(run("--gradient --"), 2, "--gradient is measured");
  expect_sentence(run("--bogus"), 2, "--bogus");
  EXPECT_TRUE(folder.names().empty());
}

TEST_F(Bench, WithoutItsInputOrAFolderToWriteToSaysSo) {
  expect_sentence(run("--cases mosaic --hkl no.hkl"), 3, "no.hkl");
  folder.file("plain", "");
  expect_sentence(test::run_program(folder.path(), "bench --outdir plain/b --cases cubic"), 4,
                  "cannot make the folder");
}

TEST_F(Bench, ShowsHowItIsUsed) {
  const Outcome outcome = run("--help");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("--require-parity"));
  EXPECT_THAT(outcome.out, HasSubstr("source-generation"));
}

}  // namespace
}  // namespace nablabragg
