// The pieces that measure: child processes, plots, rankings, the cases of the benchmark.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "instruments/bench_cases.hpp"
#include "instruments/benchmark.hpp"
#include "instruments/child_process.hpp"
#include "instruments/float_files.hpp"
#include "instruments/gradient_benchmark.hpp"
#include "instruments/machine.hpp"
#include "instruments/stage_ranking.hpp"
#include "instruments/svg_plot.hpp"
#include "instruments/synthetic_hkl.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::instruments {
namespace {

using test::TempDir;
using testing::HasSubstr;
using testing::Not;

ChildCommand shell(const TempDir& folder, const std::string& script) {
  ChildCommand command;
  command.arguments = {"sh", "-c", script};
  command.directory = folder.path().string();
  command.out_file = "out";
  command.err_file = "err";
  return command;
}

TEST(ChildProcess, KeepsWhatIsPrintedAndTheExitCode) {
  const TempDir folder;
  const ChildOutcome outcome = run_child(shell(folder, "pwd; echo oh >&2; exit 7"));
  EXPECT_EQ(outcome.exit_code, 7);
  EXPECT_EQ(folder.content("out"), std::filesystem::canonical(folder.path()).string() + "\n");
  EXPECT_EQ(folder.content("err"), "oh\n");
}

TEST(ChildProcess, ThatASignalEndsHasOneHundredTwentyEightAndItsNumber) {
  const TempDir folder;
  EXPECT_EQ(run_child(shell(folder, "kill -9 $$")).exit_code, 128 + 9);
}

TEST(ChildProcess, IsTimedFromStartToEnd) {
  const TempDir folder;
  const ChildOutcome outcome = run_child(shell(folder, "sleep 0.2"));
  EXPECT_GE(outcome.seconds, 0.2);
  EXPECT_LT(outcome.cpu_seconds, 0.15);
  EXPECT_GT(outcome.peak_bytes, 0);
}

TEST(ChildProcess, SeesWhatIsAddedToTheEnvironment) {
  const TempDir folder;
  ChildCommand command = shell(folder, "echo $OMP_NUM_THREADS $HOME");
  command.environment = {{"OMP_NUM_THREADS", "3"}, {"HOME", "elsewhere"}};
  run_child(command);
  EXPECT_EQ(folder.content("out"), "3 elsewhere\n");
}

TEST(ChildProcess, ThatCannotBeStartedIsAnErrorOfItsName) {
  const TempDir folder;
  ChildCommand command = shell(folder, "");
  command.arguments = {"./no-such-program"};
  EXPECT_THROW(run_child(command), InputError);
}

TEST(ChildProcess, ShellLineQuotesWhatAShellWouldTakeApart) {
  ChildCommand command;
  command.arguments = {"prog", "-hkl", "my file", "it's", "", "-N=5"};
  command.directory = "/tmp/a b";
  command.environment = {{"N", "1"}};
  EXPECT_EQ(shell_line(command), "cd '/tmp/a b' && N=1 prog -hkl 'my file' 'it'\\''s' '' -N=5");
}

TEST(LastLine, IsTheLastThatIsNotBlank) {
  const TempDir folder;
  EXPECT_EQ(last_line(folder.file("a", "one\ntwo\n\n  \n")), "two");
  EXPECT_EQ(last_line(folder.file("b", "")), "");
  EXPECT_EQ(last_line(folder / "none"), "");
}

TEST(FindShape, BelievesTheSmvHeaderThenThePrintedLineThenASquare) {
  const TempDir folder;
  const std::string image = folder.file("f", std::string(4 * 6 * 6, '\0'));
  const std::string printed = folder.file("p", "one\n  pixel=0.0001 meters (4x9 pixels)\n");
  std::string header = "{\nHEADER_BYTES=512;\nSIZE1=12;\nSIZE2=3;\n}";
  header.resize(512, ' ');
  io::write_smv(folder / "s", header, 12, 3, [](int, std::span<std::uint16_t>) {});
  EXPECT_EQ(find_shape(image, folder / "s", printed).shape, (ImageShape{12, 3}));
  EXPECT_EQ(find_shape(image, "none", printed).shape, (ImageShape{4, 9}));
  EXPECT_EQ(find_shape(image, "none", "none").shape, (ImageShape{6, 6}));
}

TEST(FindShape, PassesOverWhatDoesNotFitTheFile) {
  const TempDir folder;
  const std::string image = folder.file("f", std::string(4 * 9, '\0'));
  EXPECT_EQ(find_shape(image, "none", folder.file("p", "(4x9 pixels)\n")).shape,
            (ImageShape{3, 3}));
  EXPECT_THROW(find_shape(folder.file("g", std::string(4 * 7, '\0')), "none", "none"), InputError);
  EXPECT_THROW(find_shape(folder / "none", "none", "none"), InputError);
}

TEST(CompareFloatFiles, SeesTheRegionOnly) {
  const TempDir folder;
  io::write_float_image(folder / "a", Image{3, 2, {1, 2, 3, 4, 5, 6}});
  io::write_float_image(folder / "b", Image{3, 2, {9, 9, 9, 9, 5, 7}});
  const PairStatistics pair = compare_float_files(folder / "a", folder / "b", {3, 2}, {1, 2, 1, 1});
  EXPECT_EQ(pair.count(), 2);
  EXPECT_EQ(pair.largest_difference(), 1);
  EXPECT_THROW(compare_float_files(folder / "a", folder / "b", {3, 3}, {0, 0, 0, 0}), InputError);
}

TEST(RankStages, AddsUpEachNameAndPutsTheLongestFirst) {
  const TempDir folder;
  const std::string trace = folder.file(
      "t.json",
      R"({"traceEvents":[{"name":"write","ph":"X","ts":3000000,"dur":1000000,"tid":1,"pid":1},
          {"name":"render","ph":"X","ts":0,"dur":3000000,"tid":1,"pid":1,"args":{"rows":4}},
          {"name":"render","ph":"X","ts":0,"dur":2000000,"tid":2,"pid":1},
          {"name":"thread_name","ph":"M","pid":1}]})");
  const std::vector<StageTime> stages = rank_stages(trace);
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0].name, "render");
  EXPECT_DOUBLE_EQ(stages[0].seconds, 5);
  EXPECT_EQ(stages[0].calls, 2);
  EXPECT_EQ(stages[0].threads, 2);
  EXPECT_DOUBLE_EQ(stages[0].share, 1.25);
  EXPECT_DOUBLE_EQ(stages[1].share, 0.25);
}

TEST(RankStages, RefusesWhatIsNoTrace) {
  const TempDir folder;
  EXPECT_THROW(rank_stages(folder.file("a", "rubbish")), InputError);
  EXPECT_THROW(rank_stages(folder.file("b", "{}")), InputError);
  EXPECT_THROW(rank_stages(folder / "none"), InputError);
}

TEST(Svg, LeavesOutWhatALogarithmCannotShowAndEscapesNames) {
  const std::string text = svg(
      {"a < b & c",
       "x",
       "y",
       {{"s", {{1, 10}, {10, 0}, {100, 1000}, {5, std::nan("")}}, 0, true}}});
  EXPECT_THAT(text, HasSubstr("a &lt; b &amp; c"));
  EXPECT_THAT(text, HasSubstr("stroke-dasharray"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
  std::size_t circles = 0;
  for (std::size_t at = 0; (at = text.find("<circle", at)) != std::string::npos; ++at) ++circles;
  EXPECT_EQ(circles, 2u);
  EXPECT_THAT(svg({"empty", "x", "y", {}}), HasSubstr("</svg>"));
}

TEST(SyntheticHkl, HoldsTheWholeBoxWithEqualFriedelMatesThatFallOff) {
  const TempDir folder;
  write_synthetic_hkl(folder / "F.hkl", UnitCell{10, 8, 6}, 2, 1);
  const std::vector<Reflection> all = io::read_hkl(folder / "F.hkl");
  ASSERT_EQ(all.size(), 13u * 11 * 9);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].amplitude, all[all.size() - 1 - i].amplitude);
    EXPECT_GT(all[i].amplitude, 0);
  }
  EXPECT_LT(all.front().amplitude, all[all.size() / 2].amplitude / 2);
}

TEST(BenchCases, CoverTheSameAreaWithAnyNumberOfPixels) {
  const std::string arguments = quoted(bench_arguments(*find_bench_case("cubic"), 256, ""));
  EXPECT_THAT(arguments, HasSubstr("-detpixels 256 -pixel 0.4"));
}

TEST(BenchCases, PutTheStructureFactorFileIntoTheirArguments) {
  const BenchCase& mosaic = *find_bench_case("mosaic");
  EXPECT_TRUE(needs_structure_factors(mosaic));
  EXPECT_THAT(quoted(bench_arguments(mosaic, 64, "/x/F.hkl")), HasSubstr("-hkl /x/F.hkl -cell"));
  EXPECT_EQ(find_bench_case("no-such-case"), nullptr);
}

TEST(BenchCases, TimeTheReferenceOnARegionWhereTheWholeWouldTakeTooLong) {
  EXPECT_EQ(reference_region(*find_bench_case("cubic"), 4096), std::nullopt);
  EXPECT_EQ(reference_region(*find_bench_case("pink-gauss"), 1024), 64);
  EXPECT_EQ(reference_region(*find_bench_case("pink-gauss"), 32), std::nullopt);
  EXPECT_EQ(reference_region(*find_bench_case("sources"), 1024), 128);
}

TEST(Timings, ScaleTheKernelOfARegionAndNotWhatARunTakesAnyway) {
  Timings t;
  t.cold = 3;
  t.warm = {2.5, 2, 4};
  t.overhead = {1, 1.5, 1.25};
  EXPECT_DOUBLE_EQ(t.kernel_min(), 1);
  EXPECT_DOUBLE_EQ(t.kernel_median(), 1.25);
  EXPECT_DOUBLE_EQ(t.whole_min(), 2);
  t.pixel_factor = 4;
  EXPECT_DOUBLE_EQ(t.kernel_min(), 4);
  EXPECT_DOUBLE_EQ(t.whole_min(), 5);
  EXPECT_DOUBLE_EQ(t.whole_median(), 7);
  EXPECT_DOUBLE_EQ(t.whole_max(), 13);
  EXPECT_DOUBLE_EQ(t.whole_cold(), 9);
}

TEST(Timings, HaveNoKernelWhereOnePixelTakesAsLong) {
  Timings t;
  t.warm = {1};
  t.overhead = {1};
  EXPECT_TRUE(std::isnan(t.kernel_min()));
}

TEST(PixelWeights, AreTheTopBitsOfSplitmix64OfTheIndex) {
  const std::vector<double> weights = pixel_weights(1000);
  // The first two outputs of splitmix64 from 0 are e220a8397b1dcdaf and 6e789e6aa1b965f4
  EXPECT_EQ(weights[0], 0xe220a8 / 16777216.0);
  EXPECT_EQ(weights[1], 0x6e789e / 16777216.0);
  EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0) / 1000, 0.5, 0.03);
}

TEST(PeakResidentBytes, CountWhatWasTouched) {
  const std::int64_t before = peak_resident_bytes();
  ASSERT_GT(before, 0);
  const std::vector<double> large(std::size_t{1} << 23, 1.5);
  EXPECT_EQ(large.back(), 1.5);
  EXPECT_GE(peak_resident_bytes(), before + (std::int64_t{1} << 25));
}

TEST(MeasureGradient, FindsTheGradientOfTheWeightedSum) {
  Experiment e;
  e.crystal.cell = UnitCell{70, 80, 90};
  e.crystal.cells = {5, 5, 5};
  e.structure_factors.default_F = 100;
  e.detector.fast_pixels = e.detector.slow_pixels = 16;
  e.detector.pixel_mm = 1;
  ComputeOptions options;
  options.precision = Precision::float64;
  const GradientMeasurement found = measure_gradient(e, options, 2);
  const ValueAndGradient expected = value_and_gradient(e, pixel_weights(256), options);
  EXPECT_EQ(found.value, expected.value);
  EXPECT_EQ(found.gradient, expected.gradient.parameters);
  EXPECT_EQ(found.image_seconds.size(), 2u);
  EXPECT_EQ(found.seconds.size(), 2u);
  EXPECT_GE(found.peak_bytes, found.image_peak_bytes);
}

TEST(GradientMeasurement, IsTheSameAfterItsLineOfJson) {
  GradientMeasurement m;
  m.image_seconds = {2, 1};
  m.seconds = {4, 3};
  m.image_peak_bytes = 10;
  m.peak_bytes = 20;
  m.value = 0.1;
  m.gradient["cell"] = {1, 2, 3};
  const GradientMeasurement again = read_measurement(measurement_json(m));
  EXPECT_EQ(again.image_min(), 1);
  EXPECT_EQ(again.gradient_min(), 3);
  EXPECT_EQ(again.image_peak_bytes, 10);
  EXPECT_EQ(again.peak_bytes, 20);
  EXPECT_EQ(again.value, 0.1);
  EXPECT_EQ(again.gradient, m.gradient);
}

TEST(GradientMeasurement, OfAnotherProgramNeedsSecondsAndMemory) {
  const GradientMeasurement m = read_measurement(R"({"seconds": [3], "peak_memory_bytes": 5})");
  EXPECT_TRUE(std::isnan(m.image_min()));
  EXPECT_TRUE(std::isnan(m.value));
  for (const char* text :
       {"", "seconds", "[]", "{}", R"({"seconds": [3]})",
        R"({"seconds": 3, "peak_memory_bytes": 5})", R"({"seconds": [], "peak_memory_bytes": 5})",
        R"({"seconds": [1], "peak_memory_bytes": 5, "gradient": {"cell": 4}})"})
    EXPECT_THROW(read_measurement(text), Error) << text;
}

TEST(GradientDifferences, AreOfWhatBothProgramsHave) {
  GradientMeasurement ours, theirs;
  ours.value = 2;
  ours.gradient = {{"cell", {1, -4}}, {"distance", {0}}, {"misset", {1, 2, 3}}, {"phi", {1}}};
  theirs.value = 2.5;
  theirs.gradient = {{"cell", {1.5, -3}}, {"distance", {0}}, {"misset", {1}}, {"flux", {1}}};
  const std::vector<GradientDifference> all = differences(ours, theirs);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].name, "value");
  EXPECT_DOUBLE_EQ(all[0].relative, 0.25);
  EXPECT_EQ(all[1].name, "cell");
  EXPECT_DOUBLE_EQ(all[1].relative, 0.25);
  EXPECT_EQ(all[2].name, "distance");
  EXPECT_EQ(all[2].relative, 0);
}

TEST(LastExponent, IsOneWhereTwiceAsManyTakeTwiceAsLong) {
  EXPECT_DOUBLE_EQ(last_exponent({"x", {{1, 9}, {4, 2}, {8, 4}}}), 1);
  EXPECT_TRUE(std::isnan(last_exponent({"x", {{1, 9}}})));
}

}  // namespace
}  // namespace nablabragg::instruments
