// Costs come to the loops that they belong to.
#include "inventory/correlation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "inventory/backlog.hpp"
#include "inventory/callgrind.hpp"
#include "inventory/chrome_trace.hpp"
#include "inventory/commands.hpp"
#include "inventory/correlation_report.hpp"
#include "inventory/csv.hpp"
#include "inventory/perf_script.hpp"
#include "inventory/source_map.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::inventory {
namespace {

using test::message_of;
using test::TempDir;
using testing::HasSubstr;

Loop loop(const std::string& id, const std::string& file, int line, int end_line,
          LoopClass loop_class = LoopClass::todo) {
  Loop l;
  l.id = id;
  l.file = file;
  l.module = file.substr(file.find('/') + 1, file.rfind('/') - file.find('/') - 1);
  l.line = line;
  l.end_line = end_line;
  l.function = "nablabragg::" + id;
  l.loop_class = loop_class;
  return l;
}

/// outer (10-20) around inner (12-15); other (40-45) elsewhere in the file.  lane.hpp computes with
/// vectors and has no loops.
Inventory example() {
  Inventory i;
  i.loops = {loop("outer", "src/engine/a.cpp", 10, 20, LoopClass::cold),
             loop("inner", "src/engine/a.cpp", 12, 15, LoopClass::vectorized),
             loop("other", "src/engine/a.cpp", 40, 45)};
  i.loops[1].parent = "outer";
  i.functions = {{"engine", "src/engine/a.cpp", 5, 25, false},
                 {"lane_add", "src/engine/lane.hpp", 1, 9, true}};
  return i;
}

const LoopShare& share_of(const Inventory& inventory, const Correlation& c, const std::string& id) {
  for (const LoopShare& share : c.loops)
    if (inventory.loops[share.loop].id == id) return share;
  throw std::runtime_error(id + " has no share");
}

Correlation by_lines(const Inventory& inventory, const std::string& callgrind,
                     const std::vector<std::string>& within = {}) {
  return correlate(inventory, parse_callgrind("events: Ir\n" + callgrind, "cg.out"), {}, within);
}

TEST(SourceMap, FindsTheInnermostLoopOfALine) {
  const Inventory inventory = example();
  const SourceMap map(inventory);
  const int file = map.file_number("/home/me/project/src/engine/../engine/a.cpp");
  ASSERT_GE(file, 0);
  EXPECT_THAT(map.loops_at(file, 13), testing::ElementsAre(1, 0));
  EXPECT_THAT(map.loops_at(file, 16), testing::ElementsAre(0));
  EXPECT_THAT(map.loops_at(file, 30), testing::IsEmpty());
  EXPECT_THAT(map.loops_at(file, 3000), testing::IsEmpty());
  EXPECT_EQ(map.function_at(file, 6), 0);
  EXPECT_EQ(map.file_number("/other/a.cpp"), -1);
  EXPECT_EQ(map.file_number("/home/my_src/engine/a.cpp"), -1);
}

TEST(Correlation, GivesNestedLoopsTheirOwnAndTheirInclusiveCost) {
  const Inventory inventory = example();
  const Correlation c = by_lines(inventory,
                                 "fl=/x/src/engine/a.cpp\nfn=engine\n6 10\n11 30\n13 50\n18 10\n");
  EXPECT_EQ(c.total, 100);
  EXPECT_DOUBLE_EQ(share_of(inventory, c, "outer").self, 40);
  EXPECT_DOUBLE_EQ(share_of(inventory, c, "outer").inclusive, 90);
  EXPECT_DOUBLE_EQ(share_of(inventory, c, "inner").self, 50);
  EXPECT_DOUBLE_EQ(share_of(inventory, c, "inner").inclusive, 50);
  EXPECT_DOUBLE_EQ(c.outside, 10);
  ASSERT_EQ(c.outside_by.size(), 1U);
  EXPECT_EQ(c.outside_by[0].name, "engine");
  EXPECT_DOUBLE_EQ(share_of_class(inventory, c, LoopClass::vectorized), 50);
}

TEST(Correlation, GivesFunctionsWithoutLoopsToTheirCallersLoopsInProportion) {
  const Inventory inventory = example();
  const Correlation c = by_lines(inventory,
                                 "fl=/x/src/engine/a.cpp\nfn=engine\n13 20\n"
                                 "cfi=/libm.c\ncfn=wrap\ncalls=3 1\n13 45\n"
                                 "cfi=/libm.c\ncfn=wrap\ncalls=1 1\n18 15\n"
                                 "cfi=/libm.c\ncfn=wrap\ncalls=1 1\n30 20\n"
                                 "fl=/libm.c\nfn=wrap\n1 16\ncfn=exp\ncalls=5 1\n2 64\n"
                                 "fn=exp\n9 64\n");
  EXPECT_EQ(c.total, 100);
  const LoopShare &inner = share_of(inventory, c, "inner"),
                  &outer = share_of(inventory, c, "outer");
  EXPECT_NEAR(inner.self, 65, 1e-9);
  EXPECT_NEAR(inner.called, 45, 1e-9);
  EXPECT_NEAR(outer.self, 15, 1e-9);
  EXPECT_NEAR(outer.inclusive, 80, 1e-9);
  EXPECT_NEAR(c.outside, 20, 1e-9);
  EXPECT_THAT(inner.notes, HasSubstr("of it 69 % in called functions"));
}

TEST(Correlation, NeverCountsRecursionTwice) {
  const Inventory inventory = example();
  // callgrind's inclusive costs of recursive calls are larger than the whole
  const Correlation c = by_lines(inventory,
                                 "fl=/x/src/engine/a.cpp\nfn=main\n30 10\ncfn=walk\ncalls=1 11\n"
                                 "31 90\n"
                                 "fn=walk\n11 30\ncfn=helper\ncalls=9 50\n12 400\n"
                                 "fn=helper\n50 60\ncfn=walk\ncalls=8 11\n51 350\n"
                                 "cfn=helper\ncalls=2 50\n52 100\n");
  EXPECT_EQ(c.total, 100);
  EXPECT_NEAR(share_of(inventory, c, "outer").inclusive, 90, 1e-4);
  EXPECT_NEAR(share_of(inventory, c, "inner").inclusive, 60 + 30 * 350.0 / 440, 1e-4)
      << "walk's own cost, as far as walk was called by helper, which inner calls";
  EXPECT_NEAR(share_of(inventory, c, "inner").self, 60, 1e-4);
  EXPECT_NEAR(c.outside, 10, 1e-4);
}

TEST(Correlation, CountsTheCallsOfTheFunctionsThatHoldALoop) {
  const Inventory inventory = example();
  const Correlation c = by_lines(inventory,
                                 "fl=/x/src/engine/a.cpp\nfn=main\n30 10\ncfn=engine\ncalls=7 11\n"
                                 "31 90\nfn=engine\n13 90\n");
  EXPECT_EQ(share_of(inventory, c, "inner").calls, 7);
}

TEST(Correlation, IsRestrictedToWhatRunsUnderAFunction) {
  const Inventory inventory = example();
  // The helper costs 30 under simulate and 10 under main
  const std::string text =
      "fl=/x/src/engine/a.cpp\nfn=main\n40 50\ncfn=helper\ncalls=1 1\n41 10\n"
      "cfn=simulate(int)\ncalls=1 1\n60 100\n"
      "fn=simulate(int)\n13 70\ncfn=helper\ncalls=1 1\n18 30\nfn=helper\n80 40\n";
  const Correlation c = by_lines(inventory, text, {"simulate"});
  EXPECT_EQ(c.whole, 160);
  EXPECT_NEAR(c.total, 100, 1e-9);
  EXPECT_NEAR(share_of(inventory, c, "inner").self, 70, 1e-9);
  EXPECT_NEAR(share_of(inventory, c, "outer").self, 30, 1e-9);
  EXPECT_NEAR(c.outside, 0, 1e-9);
  EXPECT_THROW(share_of(inventory, c, "other"), std::runtime_error);
  EXPECT_THAT(message_of<InputError>([&] { by_lines(inventory, text, {"nothing"}); }),
              HasSubstr("under a function named nothing"));
}

/// 0x10: lane.hpp, inlined into inner; 0x14: lane.hpp, inlined where there is no loop; 0x18: inner
/// itself; 0x1c: lane.hpp, inlined into outer.
MachineCode example_code() {
  MachineCode code;
  const std::string lane = "lane_add\n/x/src/engine/lane.hpp:3\n",
                    at = "engine\n/x/src/engine/a.cpp:";
  parse_addr2line("0x10\n" + lane + at + "13\n0x14\n" + lane + at + "22\n0x18\n" + at +
                      "14\n0x1c\n" + lane + at + "18\n",
                  "program", code);
  code.operations = {{0x10, Operation::packed},
                     {0x14, Operation::packed},
                     {0x18, Operation::scalar_double},
                     {0x1c, Operation::packed}};
  return code;
}

TEST(Correlation, FollowsInlinedCodeToTheLoopThatItIsInlinedInto) {
  const Inventory inventory = example();
  const MachineCode code = example_code();
  const Profile profile = parse_callgrind(
      "positions: instr line\nevents: Ir\nob=/x/program\nfl=/x/src/engine/a.cpp\nfn=engine\n"
      "fi=/x/src/engine/lane.hpp\n0x1010 3 60\n0x1014 3 20\nfe=/x/src/engine/a.cpp\n"
      "0x1018 14 15\n0x101c 3 5\n",
      "cg.out");
  const Correlation c = correlate(inventory, profile, {&code, 0, 0x1000});
  const LoopShare& inner = share_of(inventory, c, "inner");
  EXPECT_DOUBLE_EQ(inner.self, 75);
  EXPECT_DOUBLE_EQ(inner.mix.packed, 60);
  EXPECT_DOUBLE_EQ(inner.mix.scalar_double, 15);
  EXPECT_THAT(inner.notes, HasSubstr("packed 80 %, scalar floating 20 %"));
  EXPECT_DOUBLE_EQ(share_of(inventory, c, "outer").inclusive, 80);
  EXPECT_DOUBLE_EQ(c.simd_outside, 20);
  ASSERT_EQ(c.simd_outside_by.size(), 1U);
  EXPECT_EQ(c.simd_outside_by[0].name, "src/engine/lane.hpp:lane_add");
  EXPECT_DOUBLE_EQ(c.outside, 0);
  const VectorisedShare vectorised = vectorised_share(inventory, c);
  EXPECT_DOUBLE_EQ(vectorised.loops, 75);
  EXPECT_DOUBLE_EQ(vectorised.outside_loops, 20);
  EXPECT_DOUBLE_EQ(vectorised.in_other_loops, 5);
}

TEST(Correlation, RestrictsToFunctionsThatAreInlined) {
  const Inventory inventory = example();
  const MachineCode code = example_code();
  const Profile profile = parse_callgrind(
      "positions: instr line\nevents: Ir\nob=/x/program\nfl=/x/b.cpp\nfn=engine\n"
      "0x10 3 60\n0x18 14 40\n",
      "cg.out");
  const Correlation c = correlate(inventory, profile, {&code, 0, 0}, {"lane"});
  EXPECT_EQ(c.total, 60);
}

TEST(Correlation, FollowsTheChainsOfSamples) {
  const Inventory inventory = example();
  const MachineCode code = example_code();
  const Profile profile = parse_perf_script(
      "p 1 2.0: 70 cycles:\n\t5f0 exp+0x0 (/lib/libm.so)\n\t11 engine+0x1 (/x/program)\n"
      "\t1d engine+0xd (/x/program)\n\n"
      "p 1 2.1: 30 cycles:\n\t5f0 read+0x0 (/lib/libc.so)\n\n",
      "perf.txt");
  const Correlation c = correlate(inventory, profile, {&code, 1, 0});
  const LoopShare& inner = share_of(inventory, c, "inner");
  EXPECT_DOUBLE_EQ(inner.self, 70);
  EXPECT_DOUBLE_EQ(inner.called, 70);
  EXPECT_EQ(inner.calls, 1);
  EXPECT_DOUBLE_EQ(share_of(inventory, c, "outer").inclusive, 70) << "once, though on two frames";
  EXPECT_DOUBLE_EQ(c.outside, 30);
  EXPECT_EQ(correlate(inventory, profile, {&code, 1, 0}, {"engine"}).total, 70);
}

TEST(Correlation, GivesATracesSpansToTheLoopsOfTheirLines) {
  Inventory inventory = example();
  inventory.spans = {{"write ", "src/engine/a.cpp", 38, 50}, {"w", "src/engine/a.cpp", 1, 2}};
  const Profile profile = parse_chrome_trace(
      R"([{"name":"write a.img","ph":"X","tid":1,"ts":0,"dur":60},
          {"name":"read","ph":"X","tid":1,"ts":60,"dur":40}])",
      "t.json");
  const Correlation c = correlate(inventory, profile, {});
  EXPECT_DOUBLE_EQ(share_of(inventory, c, "other").self, 60);
  EXPECT_THAT(share_of(inventory, c, "other").notes, HasSubstr("at most"));
  ASSERT_EQ(c.outside_by.size(), 1U);
  EXPECT_EQ(c.outside_by[0].name, "span read");
}

TEST(Csv, QuotesWhatNeedsIt) {
  EXPECT_EQ(csv_line({"a", "b,c", "say \"x\"", "two\nlines", "\xC3\xA5"}),
            "a,\"b,c\",\"say \"\"x\"\"\",two\\nlines,??\n");
  const auto table = parse_csv(csv_line({"a", "b,c", "say \"x\"", ""}), "t.csv");
  ASSERT_EQ(table.size(), 1U);
  EXPECT_THAT(table[0], testing::ElementsAre("a", "b,c", "say \"x\"", ""));
  EXPECT_THAT(message_of<InputError>([] { parse_csv("a\n\"b\n", "t.csv"); }),
              HasSubstr("t.csv:2: has a quotation"));
}

TEST(HotLoops, AreReadBackAsTheyWereWritten) {
  const TempDir folder;
  Inventory inventory = example();
  inventory.loops[2].id = "src/a.cpp:f(int, long):for:1";
  const Correlation c = by_lines(inventory, "fl=/x/src/engine/a.cpp\nfn=engine\n13 80\n41 20\n");
  const std::string text = hot_loops_csv(inventory, c, 1);
  EXPECT_THAT(text, HasSubstr("module,line,loop_id,percent_inclusive,percent_self,call_count,class,"
                              "notes\nengine,12,inner,80.000,80.000,0,vectorized,"));
  const std::vector<HotLoop> hot = read_hot_loops(folder.file("hot_loops.csv", text));
  ASSERT_EQ(hot.size(), 3U) << "outer, too, which has no cost of its own";
  EXPECT_EQ(hot[1].id, inventory.loops[2].id);
  EXPECT_DOUBLE_EQ(hot[1].percent_self, 20);
  const std::string broken = folder.file("broken.csv", text.substr(0, text.find('\n')) + "\na,b\n");
  EXPECT_THAT(message_of<InputError>([&] { read_hot_loops(broken); }),
              HasSubstr("broken.csv:2: has 2 fields"));
}

TEST(Backlog, RanksByWhatWouldBeSaved) {
  Inventory inventory = example();
  inventory.loops[0].verdicts = {{"avx2", "clang++", 0, 1, 16, 0, 0, {}}};
  Correlation c;
  c.total = 100;
  LoopShare outer, inner, other;
  outer.loop = 0, outer.self = 30, outer.mix.scalar_float = 1, outer.mix.other = 9;
  inner.loop = 1, inner.self = 40;
  other.loop = 2, other.self = 10, other.called = 5, other.mix_called.scalar_double = 8,
  other.mix.other = 2;
  c.loops = {inner, outer, other};
  const std::vector<Candidate> ranked = rank_candidates(inventory, c, {}, 1);
  ASSERT_EQ(ranked.size(), 2U) << "what is vectorised needs nothing";
  EXPECT_EQ(ranked[0].loop, 2U);
  EXPECT_EQ(ranked[0].lanes, 4) << "doubles";
  EXPECT_DOUBLE_EQ(ranked[0].gain, 1 / (0.2 + 0.8 / 4));
  EXPECT_DOUBLE_EQ(ranked[0].saved, 10 * (1 - 0.4));
  EXPECT_DOUBLE_EQ(ranked[0].whole_gain(), 1 / 0.94);
  EXPECT_EQ(ranked[1].lanes, 16) << "as the compiler said";
  EXPECT_TRUE(ranked[1].lanes_said);
  EXPECT_TRUE(rank_candidates(inventory, c, {}, 35).empty());
  const std::string text = backlog_markdown(inventory, ranked, 1, {"Profile: cg.out."});
  EXPECT_THAT(text, HasSubstr("| 1 | `other` | 40 | 10.00 | 5.00 | todo |"));
  EXPECT_THAT(text, HasSubstr("none found"));
}

TEST(Correlation, NamesTheClassesThatTheMachineCodeContradicts) {
  const Inventory inventory = example();
  Correlation c;
  c.total = 100;
  LoopShare inner, other;
  inner.loop = 1, inner.self = 50, inner.mix_inside = {1, 0, 50, 49};
  other.loop = 2, other.self = 40, other.called = 10, other.mix = {60, 0, 0, 40};
  c.loops = {inner, other};
  const std::string text = correlation_markdown(inventory, c, 1, {});
  EXPECT_THAT(text, HasSubstr("`inner` is vectorized, but packed by 1 %"));
  EXPECT_THAT(text, HasSubstr("`other` is todo, but packed by 60 %"));
  EXPECT_DOUBLE_EQ(vectorised_share(inventory, c).in_other_loops, 30);
  EXPECT_TRUE(rank_candidates(inventory, c, {}, 1).empty());
}

TEST(Backlog, AssumesWithoutMachineCodeAndSaysSo) {
  const Inventory inventory = example();
  const Correlation c = by_lines(inventory, "fl=/x/src/engine/a.cpp\nfn=engine\n41 100\n");
  const std::vector<Candidate> ranked = rank_candidates(inventory, c, {}, 1);
  ASSERT_EQ(ranked.size(), 1U);
  EXPECT_FALSE(ranked[0].floating_seen);
  EXPECT_EQ(ranked[0].lanes, 8);
  EXPECT_THAT(backlog_markdown(inventory, ranked, 1, {}), HasSubstr("0.50 (assumed)"));
}

TEST(Backlog, NamesTheTestsThatMentionALoop) {
  const TempDir folder;
  Loop l = loop("x", "src/io/pgm.cpp", 1, 2);
  l.function = "nablabragg::io::write_rows<float>";
  folder.file("a_test.cpp", "TEST(A, B) { write_rows(1); }");
  folder.file("b_test.cpp", "#include \"io/pgm.hpp\"");
  folder.file("c_test.cpp", "overwrite_rows(); write_rows_fast(); #include \"io/xpgm.hpp\"");
  folder.file("d.txt", "write_rows");
  EXPECT_THAT(tests_of(l, read_tests(folder.path().string())),
              testing::ElementsAre("a_test.cpp", "b_test.cpp"));
  l.function = "nablabragg::io::Rows::operator()";
  l.file = "src/io/none.cpp";
  EXPECT_THAT(tests_of(l, {{"a", "operator Rows io nablabragg"}}), testing::IsEmpty());
  l.function = "nablabragg::io::RowWriter::operator()";
  EXPECT_THAT(tests_of(l, {{"a", "operator()"}, {"b", "RowWriter w;"}}), testing::ElementsAre("b"));
  EXPECT_THROW(read_tests(folder / "missing"), InputError);
}

TEST(Backlog, KnowsWhatIsRisky) {
  Loop noise = loop("x", "src/readout/noise.cpp", 1, 2), sum = loop("y", "src/a.cpp", 1, 2),
       text = loop("z", "src/io/pgm.cpp", 1, 2);
  sum.verdicts = {{"avx2", "g++", 0, 1, 0, 0, 0, {"unsafe reduction"}}};
  EXPECT_THAT(risk_of(noise), HasSubstr("high"));
  EXPECT_THAT(risk_of(sum), HasSubstr("last bits"));
  EXPECT_THAT(risk_of(text), HasSubstr("bytes of files"));
}

TEST(Correlate, WritesItsThreeFiles) {
  const TempDir folder;
  const std::string inventory = folder.file("loop_inventory.json", to_json(example())),
                    profile = folder.file("cg.out",
                                          "events: Ir\nfl=/x/src/engine/a.cpp\nfn=engine\n13 80\n"
                                          "41 20\n");
  std::ostringstream out;
  EXPECT_EQ(correlate_command({"--inventory", inventory, "--profile", profile, "--outdir",
                               folder / "out", "--tests", folder.path().string()},
                              out),
            0);
  EXPECT_THAT(out.str(), HasSubstr("80.0 % in vectorised loops"));
  EXPECT_THAT(folder.content("out/hot_loops.csv"), HasSubstr("engine,40,other,20.000"));
  EXPECT_THAT(folder.content("out/correlation.md"), HasSubstr("| vectorized | 80.00 |"));
  EXPECT_THAT(folder.content("out/backlog.md"), HasSubstr("| 1 | `other` |"));
}

TEST(Correlate, SaysWhatIsMissingOrOfNoUse) {
  const TempDir folder;
  const std::string inventory = folder.file("loop_inventory.json", to_json(example())),
                    profile = folder.file("cg.out", "events: Ir\nfn=f\n1 1\n");
  std::ostringstream out;
  EXPECT_THAT(message_of<UsageError>([&] {
                correlate_command({"--inventory", inventory}, out);
              }),
              HasSubstr("needs --profile"));
  EXPECT_THAT(message_of<UsageError>([&] { correlate_command({"--nonsense"}, out); }),
              HasSubstr("--help"));
  EXPECT_THAT(message_of<InputError>([&] {
                correlate_command({"--inventory", inventory, "--profile", profile, "--outdir",
                                   folder / "out", "--binary", "/bin/true"},
                                  out);
              }),
              HasSubstr("no addresses"));
  EXPECT_EQ(correlate_command({"--help"}, out), 0);
  EXPECT_THAT(out.str(), HasSubstr("--within"));
}

}  // namespace
}  // namespace nablabragg::inventory
