// How a run is computed, and what it says about that: -engine, -dtype, -device, -skip_below,
// -printout plan and -profile.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <thread>

#include "cli/profile.hpp"
#include "flags/command_line.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string small =
    "-corrected -cell 70 80 90 85 95 105 -default_F 100 -N 5 -detpixels 48 -pixel 0.8 "
    "-oversample 2 -seed 1 ";

flags::Request parse(const std::string& line) {
  return flags::parse_command_line(test::split_arguments(line));
}

class Running : public test::ProgramTest {
 protected:
  void expect_usage_error(const std::string& line, const std::string& sentence) const {
    const Outcome outcome = run(small + "-floatfile f.bin " + line);
    EXPECT_EQ(outcome.exit_code, 2) << line;
    EXPECT_EQ(outcome.err, "nablabragg: error: " + sentence + '\n');
    EXPECT_THAT(folder.names(), IsEmpty());
  }
};

/// What stands behind "  key: " in the plan.
std::string plan_entry(const std::string& out, const std::string& key) {
  std::smatch found;
  if (std::regex_search(out, found, std::regex("\n  " + key + ": (.*)\n"))) return found[1];
  ADD_FAILURE() << key << " is not in\n" << out;
  return "0";
}

// ---- Engine, precision, device ---------------------------------------------------------------

TEST_F(Running, ChoosesTheCpuEngineInSinglePrecisionWhereNothingIsSpecified) {
  const flags::Request request = parse("-lambda 1");
  EXPECT_EQ(request.engine, Engine::cpu);
  EXPECT_FALSE(request.precision);
  EXPECT_EQ(request.skip_below, ComputeOptions{}.skip_below);
  EXPECT_EQ(parse("-engine reference -engine cpu").engine, Engine::cpu);
  EXPECT_EQ(parse("-engine reference").engine, Engine::reference);
  EXPECT_EQ(parse("-dtype float64").precision, Precision::float64);
  EXPECT_EQ(parse("-dtype float32").precision, Precision::float32);
  EXPECT_EQ(parse("-skip_below 0").skip_below, 0);
  EXPECT_EQ(parse("-skip_below 1e-3").skip_below, 1e-3);
}

TEST_F(Running, TakesEveryEngineAndPrecision) {
  for (const char* line :
       {"-engine reference", "-engine reference -dtype float64", "-engine cpu", "-dtype float32",
        "-engine cpu -dtype float64", "-device cpu", "-skip_below 0", "-skip_below 1e-3"}) {
    good_run(small + "-floatfile f.bin " + line);
    const std::vector<float> image = test::read_floats(folder / "f.bin");
    EXPECT_EQ(image.size(), 48u * 48);
    EXPECT_GT(*std::max_element(image.begin(), image.end()), 0) << line;
  }
}

TEST_F(Running, HelpNamesWhatIsThere) {
  const std::string help = good_run("-help").out;
  for (const char* line : {"-engine reference | cpu", "-dtype float32 | float64", "-device cpu",
                           "-skip_below photons", "-profile FILE", "-printout [plan]"})
    EXPECT_THAT(help, HasSubstr(line));
}

TEST_F(Running, RefusesAnEngineThatIsNotThere) {
  expect_usage_error("-engine gpu", "-engine needs one of: reference, cpu, cuda, not 'gpu'");
}

TEST_F(Running, RefusesAPrecisionThatIsNotThere) {
  expect_usage_error("-dtype float16", "-dtype needs one of: float32, float64, not 'float16'");
}

TEST_F(Running, RefusesADeviceThatIsNotThereAndSaysWhichIs) {
  for (const char* device : {"gpu", "CPU", "reference"})
    expect_usage_error(std::string("-device ") + device,
                       std::string("-device needs one of: cpu, cuda, auto, not '") + device + "'");
  for (const char* flag : {"-device", "-engine"}) {
    const Outcome outcome = run(small + "-floatfile f.bin " + flag + " cuda:99");
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, testing::AnyOf(HasSubstr("no GPU"), HasSubstr("drives GPUs")));
    EXPECT_THAT(outcome.err, HasSubstr("error: "));
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(folder.names(), testing::IsEmpty());
  }
}

TEST_F(Running, RefusesToSkipWhatIsNoNumberOfPhotons) {
  expect_usage_error("-skip_below -1",
                     "-skip_below needs a number of photons that is not negative, not '-1'");
  expect_usage_error("-skip_below some", "-skip_below needs a number, not 'some'");
  expect_usage_error("-skip_below nan", "-skip_below needs a number, not 'nan'");
}

TEST_F(Running, RefusesTheReferenceInSinglePrecisionInEitherOrder) {
  const std::string sentence =
      "-dtype float32 is not for -engine reference, which computes in double precision; leave "
      "-dtype out or take -engine cpu";
  expect_usage_error("-engine reference -dtype float32", sentence);
  expect_usage_error("-dtype float32 -engine reference", sentence);
}

TEST_F(Running, FlagsThatTakeAValueSaySoWhenNothingFollows) {
  expect_usage_error("-engine",
                     "-engine needs a value (reference | cpu | cuda), and nothing follows");
  expect_usage_error("-profile", "-profile needs a value (FILE), and nothing follows");
}

// ---- The plan --------------------------------------------------------------------------------

TEST_F(Running, EverySubcommandTakesAValueBehindAnEqualsSignOrASpace) {
  const std::string model = "-cell 100 -default_F 1 -N 5 -detpixels 16";
  struct Both {
    std::string line, answer;  ///< @: an equals sign or a space
  };
  for (const Both& each :
       {Both{"fcalc no.pdb --dmin@4 --o@x.hkl", "cannot read no.pdb"},
        Both{"bench --sizes@64 --cases@none", "bench has no case 'none'"},
        Both{"compare --reference@/no/such --outdir@x -- " + model, "/no/such"},
        Both{"refine --parameters@misset --bound@misset[0]=0:1 --image@no.img -- " + model,
             "cannot read no.img"},
        Both{"--detpixels@16 -cell@100 -default_F 1 -N 5 --skip_below@x",
             "needs a number, not 'x'"}})
    for (const char sign : {'=', ' '}) {
      std::string line = each.line;
      std::replace(line.begin(), line.end(), '@', sign);
      const Outcome outcome = run(line);
      EXPECT_NE(outcome.exit_code, 0) << line;
      EXPECT_THAT(outcome.err, HasSubstr(each.answer)) << line;
    }
}

TEST_F(Running, PrintsThePlanWhereItIsAskedFor) {
  const std::string out = good_run(small + "-printout plan -threads 1").out;
  EXPECT_THAT(out, HasSubstr("\nplan:\n"));
  for (const char* key : {"kernel", "why", "instruction set", "steps", "skipped", "time", "rate"})
    plan_entry(out, key);
  EXPECT_EQ(plan_entry(out, "threads"), "1");
  EXPECT_THAT(out, Not(HasSubstr("stol =")));
  EXPECT_THAT(good_run(small).out, Not(HasSubstr("\nplan:\n")));
}

TEST_F(Running, PlanNamesTheKernelTheReasonAndEveryStep) {
  for (const char* engine : {"-engine cpu ", "-engine reference "}) {
    const std::string out = good_run(small + engine + "-printout plan").out;
    EXPECT_NE(plan_entry(out, "kernel"), "") << engine;
    EXPECT_NE(plan_entry(out, "why"), "") << engine;
    EXPECT_EQ(plan_entry(out, "steps"), std::to_string(48 * 48 * 4)) << engine;
  }
}

TEST_F(Running, SummarySaysInOneLineWhatWasSkipped) {
  // Reciprocal-lattice points are sharp at 200 cells, and 1e9 photons outshine the image
  const std::string line =
      "-corrected -cell 70 -default_F 10 -N 200 -detpixels 64 -gauss_xtal "
      "-oversample 1 -mosaic 0.1 -mosaic_domains 10 -printout plan ";
  const std::string out = good_run(line + "-skip_below 1e9").out;
  EXPECT_GT(std::stoll(plan_entry(out, "skipped")), 0);
  EXPECT_THAT(out, testing::ContainsRegex("\nskipped: [0-9.]+ % of the steps, known to add less "
                                          "than 1e\\+09 photons to a pixel\n"));
}

TEST_F(Running, SummaryDoesNotMentionSkippingWhereNothingWasSkipped) {
  for (const char* line : {"-skip_below 0", "-engine reference"})
    EXPECT_THAT(good_run(small + line).out, Not(HasSubstr("\nskipped: ")));
}

TEST_F(Running, PrintoutWithoutTheWordStillMeansWhatItMeansInNanoBragg) {
  const auto pixels = [&](const std::string& line) {
    const std::string out = good_run(line).out;
    const std::regex pixel(" +[0-9]+ +[0-9]+ : stol = ");
    return std::distance(std::sregex_iterator(out.begin(), out.end(), pixel), {});
  };
  EXPECT_EQ(pixels(small + "-printout -roi 3 5 7 8"), 6);
  EXPECT_EQ(pixels(small + "-roi 3 5 7 8 -printout"), 6);
  EXPECT_EQ(pixels(small + "-printout -roi 3 5 7 8 -printout plan"), 6);
  EXPECT_EQ(pixels(small + "-printout_pixel 4 7"), 1);
  EXPECT_EQ(pixels(small + "-printout_pixel 4 7 -printout plan"), 1);
}

TEST_F(Running, PrintoutTakesNoOtherWord) {
  for (const char* value : {"plans", "Plan", "17", "pixel"}) {
    const flags::Request request = parse(std::string("-printout ") + value);
    EXPECT_TRUE(request.printout) << value;
    EXPECT_FALSE(request.print_plan) << value;
    EXPECT_THAT(request.warnings,
                testing::ElementsAre(HasSubstr(std::string("'") + value + "' belongs to no flag")));
  }
  EXPECT_FALSE(parse("-printout plan").printout);
  EXPECT_TRUE(parse("-printout plan").print_plan);
  EXPECT_THAT(parse("-printout plan").warnings, IsEmpty());
}

// ---- The profile -----------------------------------------------------------------------------

struct Span {
  std::string name;
  int thread;
  double begin, end;
};

/// The events of a kind ("X", "M", "C").
std::vector<nlohmann::json> events_of(const nlohmann::json& trace, const std::string& kind) {
  std::vector<nlohmann::json> events;
  for (const auto& event : trace.at("traceEvents"))
    if (event.at("ph") == kind) events.push_back(event);
  return events;
}

std::vector<Span> spans_of(const nlohmann::json& trace) {
  std::vector<Span> spans;
  for (const auto& e : events_of(trace, "X"))
    spans.push_back({e.at("name"), e.at("tid"), e.at("ts"),
                     e.at("ts").get<double>() + e.at("dur").get<double>()});
  return spans;
}

std::vector<std::string> names_of(const nlohmann::json& trace) {
  std::vector<std::string> names;
  for (const Span& span : spans_of(trace)) names.push_back(span.name);
  return names;
}

/// Times never go back, and of two spans of a thread one holds the other or they do not meet.
void expect_sound(const nlohmann::json& trace) {
  double last = 0;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") == "M") continue;
    EXPECT_GE(event.at("ts").get<double>(), last);
    last = event.at("ts");
  }
  constexpr double rounding = 1e-6;  // of a sum of decimal fractions, in microseconds
  std::map<int, std::vector<Span>> open;
  for (const Span& span : spans_of(trace)) {
    EXPECT_LE(span.begin, span.end);
    auto& stack = open[span.thread];
    while (!stack.empty() && stack.back().end <= span.begin + rounding) stack.pop_back();
    if (!stack.empty()) {
      EXPECT_LE(span.end, stack.back().end + rounding) << span.name;
    }
    stack.push_back(span);
  }
}

std::set<int> named_threads(const nlohmann::json& trace) {
  std::set<int> threads;
  for (const auto& event : events_of(trace, "M"))
    if (event.at("name") == "thread_name") threads.insert(event.at("tid").get<int>());
  return threads;
}

TEST_F(Running, ProfileHoldsTheStagesOfTheRunInTheirOrder) {
  const std::string out = good_run(small +
                                   "-profile trace.json -floatfile a.f32 -intfile a.img "
                                   "-pgmfile a.pgm -noisefile n.img -pngfile a.png")
                              .out;
  EXPECT_THAT(out, HasSubstr("writing trace.json"));
  const auto trace = nlohmann::json::parse(folder.content("trace.json"));
  expect_sound(trace);
  std::vector<std::string> stages;
  for (const std::string& name : names_of(trace))
    if (name != "tiles" && name != "statistics") stages.push_back(name);
  EXPECT_THAT(stages, testing::ElementsAre("read inputs", "plan", "print setup", "simulate",
                                           "write a.f32", "write a.img", "write a.pgm",
                                           "noise and write n.img", "write a.png"));
  for (const Span& span : spans_of(trace))
    EXPECT_THAT(named_threads(trace), Contains(span.thread)) << span.name;
}

TEST_F(Running, ProfileOfACompatRunWithATableHoldsTheCache) {
  folder.file("F.hkl", "0 0 0 1\n0 1 0 2\n");
  good_run("-cell 100 -hkl F.hkl -N 5 -detpixels 8 -seed 1 -profile t.json -trace_pixel 1 1");
  const auto names = names_of(nlohmann::json::parse(folder.content("t.json")));
  EXPECT_THAT(names, Contains("write Fdump.bin"));
  EXPECT_THAT(names, Contains("trace pixel"));
}

TEST_F(Running, ProfileHoldsTheTilesOfEveryThreadWithinTheSimulation) {
  const std::string
      out = good_run(small + "-detpixels 256 -threads 2 -printout plan -profile t.json").out;
  const auto trace = nlohmann::json::parse(folder.content("t.json"));
  expect_sound(trace);
  Span simulate{};
  for (const Span& span : spans_of(trace))
    if (span.name == "simulate") simulate = span;
  std::int64_t steps = 0, skipped = 0;
  for (const auto& e : events_of(trace, "X")) {
    if (e.at("name") != "tiles") continue;
    steps += e.at("args").at("steps").get<std::int64_t>();
    skipped += e.at("args").at("skipped").get<std::int64_t>();
    EXPECT_GE(e.at("ts").get<double>(), simulate.begin);
    EXPECT_LE(e.at("ts").get<double>() + e.at("dur").get<double>(), simulate.end);
    EXPECT_THAT(named_threads(trace), Contains(e.at("tid").get<int>()));
  }
  EXPECT_EQ(std::to_string(steps), plan_entry(out, "steps"));
  EXPECT_EQ(skipped, std::stoll(plan_entry(out, "skipped")));
  EXPECT_EQ(steps, 256 * 256 * 4);
  EXPECT_THAT(out, HasSubstr(fmt::format(" s, {:.4g} steps, ", static_cast<double>(steps))));
  EXPECT_THAT(names_of(trace), Contains("statistics"));
  EXPECT_THAT(events_of(trace, "C"), Not(IsEmpty()));
}

TEST_F(Running, ProfileOfAnOddNameIsStillJson) {
  folder.file("F.hkl", "0 0 0 1\n0 1 0 2\n");
  const Outcome outcome = test::run_program(
      folder.path(), {"-corrected", "-cell", "100", "-default_F", "1", "-N", "5", "-detpixels", "8",
                      "-profile", "t.json", "-floatfile", "a\"\\\n\xff b.bin"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(names_of(nlohmann::json::parse(folder.content("t.json"))),
              Contains("write a\"\\\n\xef\xbf\xbd b.bin"));
}

TEST_F(Running, ProfileThatCannotBeWrittenStopsTheRunBeforeItComputes) {
  const Outcome outcome = run(small + "-detpixels 4096 -mosaic 1 -mosaic_dom 10000 -profile no/t");
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.err, "nablabragg: error: cannot write no/t: No such file or directory\n");
  EXPECT_EQ(run(small + "-profile /dev/full").exit_code, 4);
}

TEST_F(Running, ProfileOfARunThatFailsIsNotWritten) {
  EXPECT_EQ(run(small + "-profile t.json -floatfile /dev/full").exit_code, 4);
  EXPECT_EQ(run(small + "-profile t.json -lambda 0").exit_code, 2);
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST_F(Running, ProfileDoesNotChangeTheImage) {
  good_run(small + "-floatfile a.bin");
  good_run(small + "-floatfile b.bin -profile t.json");
  EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
}

// ---- The recorder alone ----------------------------------------------------------------------

using std::chrono::milliseconds;

TEST(Profile, IsAnEmptyTraceAtFirst) {
  const cli::Profile profile(cli::Profile::Clock::now());
  EXPECT_FALSE(profile.last_work());
  const auto trace = nlohmann::json::parse(profile.json());
  EXPECT_THAT(spans_of(trace), IsEmpty());
  EXPECT_THAT(events_of(trace, "C"), IsEmpty());
  EXPECT_EQ(named_threads(trace), std::set<int>{1});
}

TEST(Profile, PutsTheWorkOfEveryThreadOnItsOwnLineAndNestsIt) {
  const auto start = cli::Profile::Clock::now();
  cli::Profile profile(start);
  profile.add_work({start + milliseconds(10), start + milliseconds(20), 600, 300});
  std::thread([&] {
    profile.add_work({start + milliseconds(12), start + milliseconds(30), 400, 0});
  }).join();
  profile.add_span("simulate", start + milliseconds(5), start + milliseconds(40));
  EXPECT_EQ(*profile.last_work(), start + milliseconds(30));

  const auto trace = nlohmann::json::parse(profile.json());
  expect_sound(trace);
  const std::vector<Span> spans = spans_of(trace);
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0].name, "simulate");
  EXPECT_EQ(spans[0].begin, 5000);
  EXPECT_EQ(spans[0].end, 40000);
  EXPECT_EQ(spans[1].thread, spans[0].thread);
  EXPECT_NE(spans[2].thread, spans[0].thread);
  EXPECT_EQ(named_threads(trace).size(), 2u);
}

TEST(Profile, CountsAsManyStepsOverTimeAsTheTilesHold) {
  const auto start = cli::Profile::Clock::now();
  cli::Profile profile(start);
  profile.add_work({start + milliseconds(10), start + milliseconds(20), 600, 300});
  profile.add_work({start + milliseconds(25), start + milliseconds(25), 50, 50});
  profile.add_work({start + milliseconds(20), start + milliseconds(30), 400, 0});
  std::map<double, double> rate;  // steps a second from each moment on
  for (const auto& e : events_of(nlohmann::json::parse(profile.json()), "C"))
    if (e.at("name") == "steps/s") rate[e.at("ts")] = e.at("args").at("steps/s");
  double steps = 0;
  for (auto at = rate.begin(); std::next(at) != rate.end(); ++at)
    steps += at->second * (std::next(at)->first - at->first) * 1e-6;
  EXPECT_NEAR(steps, 1050, 0.01);
  EXPECT_EQ(rate.rbegin()->second, 0);
}

}  // namespace
}  // namespace nablabragg
