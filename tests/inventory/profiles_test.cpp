// Reading what profilers write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "inventory/callgrind.hpp"
#include "inventory/chrome_trace.hpp"
#include "inventory/perf_script.hpp"
#include "inventory/profile.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::inventory {
namespace {

using test::message_of;
using test::TempDir;
using testing::HasSubstr;

constexpr const char* with_addresses = R"(# callgrind format
version: 1
creator: callgrind-3.19.0
cmd: ./program
part: 1
positions: instr line
events: Ir Dr
summary: 110 1

ob=(1) /path/program
fl=(1) /src/main.cpp
fn=(1) main
0x1000 10 5 1
+4 +1 7
* * 3
fi=(2) /src/lane.hpp
+6 -6 10
fe=(1)
cob=(2) /lib/libm.so
cfi=(3) ???
cfn=(2) exp
calls=4 0x5000 0
-2 12 80
jcnd=3/4 +8 13
+2 12
+4 13 5

ob=(2)
fl=(3)
fn=(2)
0x5000 0 80
totals: 110 1
)";

double sum(const Profile& p) {
  return std::accumulate(p.costs.begin(), p.costs.end(), 0.0,
                         [](double s, const SelfCost& c) { return s + c.cost; });
}

TEST(Callgrind, ReadsNamesPositionsAndCosts) {
  const Profile p = parse_callgrind(with_addresses, "cg.out");
  EXPECT_EQ(p.unit, "Ir");
  EXPECT_TRUE(p.has_addresses);
  ASSERT_EQ(p.functions.size(), 2U);
  EXPECT_EQ(p.functions[0].name, "main");
  EXPECT_EQ(p.functions[1].name, "exp");
  EXPECT_EQ(p.objects[p.functions[1].object], "/lib/libm.so");
  ASSERT_EQ(p.costs.size(), 6U);
  EXPECT_EQ(sum(p), 110);
  EXPECT_EQ(p.costs[1].place.address, 0x1004U);
  EXPECT_EQ(p.costs[1].place.line, 11);
  EXPECT_EQ(p.costs[2].place, p.costs[1].place);
  EXPECT_EQ(p.files[p.costs[3].place.file], "/src/lane.hpp");
  EXPECT_EQ(p.costs[3].place.address, 0x100AU);
  EXPECT_EQ(p.costs[3].place.line, 5);
}

TEST(Callgrind, CountsTheCostOfACallAsNoneOfTheCallers) {
  const Profile p = parse_callgrind(with_addresses, "cg.out");
  ASSERT_EQ(p.calls.size(), 1U);
  EXPECT_EQ(p.calls[0].caller, 0);
  EXPECT_EQ(p.calls[0].callee, 1);
  EXPECT_EQ(p.calls[0].count, 4);
  EXPECT_EQ(p.calls[0].inclusive, 80);
  EXPECT_EQ(p.calls[0].place.address, 0x1008U);
  EXPECT_EQ(p.files[p.calls[0].place.file], "/src/main.cpp");
}

TEST(Callgrind, TakesPositionsAfterAJumpFromItsOwnLine) {
  const Profile p = parse_callgrind(with_addresses, "cg.out");
  EXPECT_EQ(p.costs[4].place.address, 0x100EU);
  EXPECT_EQ(p.costs[4].place.line, 13);
}

TEST(Callgrind, ReadsFilesWithoutAddressesAndWithoutNumbersForNames) {
  const Profile p = parse_callgrind(
      "events: Ir\nfl=a.cpp\nfn=(below main)\n1 2\ncfn=f\ncalls=1 7\n2 30\n\nfn=f\n7 30\n", "x");
  EXPECT_FALSE(p.has_addresses);
  EXPECT_EQ(p.functions[0].name, "(below main)");
  EXPECT_EQ(sum(p), 32);
  EXPECT_EQ(p.calls.at(0).place.line, 2);
}

TEST(Callgrind, NamesFileAndLineOfWhatItCannotRead) {
  const auto error = [](const std::string& text) {
    return message_of<InputError>([&] { parse_callgrind(text, "cg.out"); });
  };
  EXPECT_THAT(error("events: Ir\nfn=f\n1 x\n"), HasSubstr("cg.out:3: expects a number"));
  EXPECT_THAT(error("events: Ir\nfn=(3)\n"), HasSubstr("cg.out:2: uses a number"));
  EXPECT_THAT(error("events: Ir\n1 2\n"), HasSubstr("cg.out:2: has a cost before fn="));
  EXPECT_THAT(error("fn=f\n1 2\n"), HasSubstr("cg.out:2: has a cost before the events"));
  EXPECT_THAT(error("events: Ir\nfn=f\n5 1\n-7 1\n"), HasSubstr("cg.out:4: goes back"));
  EXPECT_THAT(error("events: Ir\nfn=f\ncfn=g\ncalls=1 1\n"), HasSubstr("ends within a call"));
  EXPECT_THAT(error("events: Ir\nhello\n"), HasSubstr("cg.out:2: is no line"));
  EXPECT_THAT(error("version: 1\n"), HasSubstr("holds no events"));
  EXPECT_THAT(error("events: Ir\nsummary: 9\nfn=f\n1 8\n"),
              HasSubstr("costs of 8, not the 9 that its summary: says; it is not complete"));
}

constexpr const char* samples = R"(# captured on: today
program  4711 100.500:     250000 cycles:u: 
	    55550010 kernel+0x10 (/path/program)
	    55550105 helper (inlined)
	    55550105 std::vector<int, std::allocator<int> >::at(int)+0x5 (/path/program)
	    7f000020 [unknown] (/lib/libtbb.so)

  x y  4711 100.600:     750000 cycles:u: 
	    55550014 kernel+0x14 (/path/program)

)";

TEST(PerfScript, ReadsSamplesWithTheirChains) {
  const Profile p = parse_perf_script(samples, "perf.txt");
  EXPECT_EQ(p.unit, "cycles:u");
  ASSERT_EQ(p.samples.size(), 2U);
  EXPECT_EQ(p.samples[0].cost, 250000);
  EXPECT_EQ(p.samples[1].cost, 750000);
  ASSERT_EQ(p.samples[0].frames.size(), 3U);
  EXPECT_EQ(p.samples[0].frames[0].place.address, 0x55550010U);
  EXPECT_EQ(p.samples[0].frames[1].place.address, 0x55550104U) << "the call, not what follows it";
  EXPECT_EQ(p.functions[1].name, "std::vector<int, std::allocator<int> >::at(int)");
  EXPECT_EQ(p.functions[0].address, 0x55550000U);
  EXPECT_EQ(p.samples[0].frames[0].function, p.samples[1].frames[0].function);
}

TEST(PerfScript, NamesFileAndLineOfWhatItCannotRead) {
  const auto error = [](const std::string& text) {
    return message_of<InputError>([&] { parse_perf_script(text, "perf.txt"); });
  };
  EXPECT_THAT(error("p 1 2.0: 3 cycles:\n\thello\n"), HasSubstr("perf.txt:2: is no frame"));
  EXPECT_THAT(error("p 1 2.0: 3 cycles: 55 main (/p)\n"), HasSubstr("perf.txt:1: is no sample"));
  EXPECT_THAT(error("p 1 2.0: 3 cycles:\n\n"), HasSubstr("perf record needs -g"));
  EXPECT_THAT(error("\n"), HasSubstr("holds no samples"));
  EXPECT_THAT(
      error("p 1 2.0: 3 cycles:\n\t55 main (/p)\n\np 1 2.0: 3 instructions:\n\t55 main (/p)\n"),
      HasSubstr("perf.txt:4: counts \"instructions\" beside \"cycles\""));
}

TEST(ChromeTrace, TakesWhatLiesInsideASpanOfItsThreadOffItsOwnTime) {
  const Profile p = parse_chrome_trace(R"({"traceEvents":[
    {"name":"process_name","ph":"M","pid":1,"args":{}},
    {"name":"inner","ph":"X","pid":1,"tid":1,"ts":10.0,"dur":20.0},
    {"name":"all","ph":"X","pid":1,"tid":1,"ts":0.0,"dur":100.0},
    {"name":"next","ph":"X","pid":1,"tid":1,"ts":30.0,"dur":50.0},
    {"name":"innermost","ph":"X","pid":1,"tid":1,"ts":40.0,"dur":5.0},
    {"name":"tiles","ph":"X","pid":1,"tid":2,"ts":10.0,"dur":60.0}]})",
                                       "trace.json");
  std::vector<std::pair<std::string, double>> self;
  for (const SpanEvent& s : p.spans) self.emplace_back(s.name, s.self);
  EXPECT_THAT(self, testing::UnorderedElementsAre(
                        testing::Pair("all", 30.0), testing::Pair("inner", 20.0),
                        testing::Pair("next", 45.0), testing::Pair("innermost", 5.0),
                        testing::Pair("tiles", 60.0)));
}

TEST(ChromeTrace, NamesFileAndLineOfWhatItCannotRead) {
  const auto error = [](const std::string& text) {
    return message_of<InputError>([&] { parse_chrome_trace(text, "t.json"); });
  };
  EXPECT_THAT(error("{\n\"traceEvents\": [}"), HasSubstr("t.json:2: is no JSON"));
  EXPECT_THAT(error("{}"), HasSubstr("t.json: is no trace"));
  EXPECT_THAT(error("[]"), HasSubstr("no complete events"));
}

TEST(Profiles, AreToldApartByTheirContent) {
  const TempDir folder;
  const auto kind = [&](const std::string& text) {
    return read_profile(folder.file("profile", text)).kind;
  };
  EXPECT_EQ(kind(with_addresses), ProfileKind::calls);
  EXPECT_EQ(kind(samples), ProfileKind::samples);
  EXPECT_EQ(kind(R"([{"name":"a","ph":"X","pid":1,"tid":1,"ts":0,"dur":1}])"), ProfileKind::spans);
  EXPECT_THAT(message_of<InputError>([&] { kind(" \n"); }), HasSubstr("is empty"));
}

}  // namespace
}  // namespace nablabragg::inventory
