// `nablabragg bench --device cuda` on the stand-in, or on a card.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "instruments/bench_cases.hpp"
#include "instruments/benchmark_report.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using testing::HasSubstr;

class DeviceBench : public testing::Test {
 protected:
  Outcome run(const std::string& line) const {
    return test::run_program(folder.path(), "bench --outdir b --device cuda " + line);
  }
  /// This program as nanoBraggCUDA would be.
  std::string reference() const {
    const std::string path = folder.file("reference",
                                         "#!/bin/sh\nexec '" NABLA_PROGRAM "' \"$@\"\n");
    fs::permissions(path, fs::perms::owner_all);
    return "--reference ./reference ";
  }
  nlohmann::json results() const {
    return nlohmann::json::parse(folder.content("b/benchmark_results.json"))["device_results"];
  }

  test::TempDir folder;
};

TEST_F(DeviceBench, MeasuresKernelsByTheGpusClockAndWholeProcesses) {
  const Outcome outcome = run("--sizes 16 --cases cubic,pink-gauss --iterations 2 " + reference());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json all = results();
  ASSERT_EQ(all.size(), 2u);
  for (const nlohmann::json& r : all) {
    SCOPED_TRACE(r.dump());
    EXPECT_EQ(r["kernel_seconds"].size(), 2u);
    EXPECT_EQ(r["image_seconds"].size(), 2u);
    EXPECT_EQ(r["process_seconds_warm"].size(), 2u);
    EXPECT_GT(r["kernel_seconds_min"], 0);
    EXPECT_LE(r["kernel_seconds_min"],
              *std::min_element(r["image_seconds"].begin(), r["image_seconds"].end()));
    EXPECT_LE(r["over_max"], 1e-6);
    EXPECT_TRUE(r["kernel_aim_s"].is_null());
  }
  EXPECT_EQ(all[0]["steps"], 16 * 16);
  EXPECT_EQ(all[0]["reference"]["seconds_warm"].size(), 2u);
  EXPECT_GT(all[0]["correlation"], 0.999999);
  EXPECT_GT(all[0]["process_ratio"], 0);
  EXPECT_EQ(all[1]["steps"], 16 * 16 * 2500);
  EXPECT_THAT(all[1]["kernel"].get<std::string>(), HasSubstr("bands of wavelengths"));
  EXPECT_TRUE(all[1]["reference"].is_null());  // it has no Gaussian spots
  EXPECT_THAT(outcome.out, HasSubstr("| cubic 16 x 16 | float32 | "));
  EXPECT_THAT(folder.content("b/summary.md"), HasSubstr("Device: "));
  EXPECT_THAT(folder.content("b/commands.txt"), HasSubstr("-device cuda"));
  EXPECT_FALSE(fs::exists(folder / "b/runs"));
}

TEST_F(DeviceBench, MeasuresSumsInClosedForm) {
  const Outcome outcome = run("--sizes 8 --cases cubic,pink-closed --iterations 1 --dtype float64");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ASSERT_EQ(results().size(), 2u);
  EXPECT_EQ(results()[0]["dtype"], "float64");
  EXPECT_THAT(results()[1]["kernel"].get<std::string>(), HasSubstr("closed form"));
  EXPECT_LE(results()[1]["over_max"].get<double>(), 1e-7);
}

TEST_F(DeviceBench, ATableSaysWhatTheEngineDoesNotDo) {
  instruments::DeviceMeasurement none;
  none.why_not = "the cuda engine does not do this";
  instruments::DeviceResult result{};
  result.bench_case = &instruments::bench_cases()[0];
  result.size = 8;
  result.dtype = "float32";
  result.ours = instruments::read_device_measurement(instruments::device_measurement_json(none));
  EXPECT_THAT(instruments::device_table_row(result),
              HasSubstr("| float32 | not run: the cuda engine does not do this |"));
}

TEST_F(DeviceBench, SaysInASentenceThatThereIsNoSuchGpu) {
  const Outcome outcome = test::run_program(folder.path(), "bench --outdir b --device cuda:99");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("error: there is no GPU cuda:99; this machine has "));
  EXPECT_FALSE(fs::exists(folder / "b"));
}

}  // namespace
}  // namespace nablabragg
