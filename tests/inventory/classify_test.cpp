#include "inventory/classify.hpp"

#include <gmock/gmock.h>

#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::inventory {
namespace {

using test::message_of;
using test::TempDir;

Loop loop_of(const std::string& file, Driver driver = Driver::pixel) {
  Loop loop;
  loop.id = file + ":f:for:1";
  loop.file = file;
  loop.driver = driver;
  return loop;
}

Verdict said(const std::string& compiler, bool vectorized) {
  Verdict v;
  v.compiler = compiler;
  v.target = "baseline";
  v.vectorized = vectorized ? 1 : 0;
  v.missed = vectorized ? 0 : 1;
  v.bytes = vectorized ? 16 : 0;
  if (!vectorized) v.reasons = {"control flow in loop."};
  return v;
}

/// Class and rule of one loop.
std::string rule_of(Loop loop, const Annotations& annotations = {}) {
  Inventory inventory;
  inventory.compilers = {"g++", "clang++"};
  inventory.loops = {std::move(loop)};
  classify(inventory, annotations);
  return std::string(name_of(inventory.loops[0].loop_class)) + " " + inventory.loops[0].rule;
}

TEST(Class, OfALoopOfVectorTypesIsVectorized) {
  Loop loop = loop_of("src/engine/a.cpp");
  loop.explicit_simd = true;
  EXPECT_EQ(rule_of(loop), "vectorized V1");
}

TEST(Class, IsWhatTheBuildsCompilerMadeOfTheLoop) {
  Loop loop = loop_of("src/engine/a.cpp");
  loop.verdicts = {said("g++", true), said("clang++", false)};
  EXPECT_EQ(rule_of(loop), "vectorized V2");
  loop.verdicts = {said("g++", false), said("clang++", true)};
  EXPECT_EQ(rule_of(loop), "uncertain U1");
  loop.verdicts = {said("g++", false)};
  EXPECT_EQ(rule_of(loop), "todo T1");
  loop.verdicts = {said("g++", false), said("g++", true)};
  loop.verdicts[1].target = "N_AVX2";
  EXPECT_EQ(rule_of(loop), "uncertain U3");
  EXPECT_EQ(rule_of(loop_of("src/engine/a.cpp", Driver::other)), "uncertain U2");
}

TEST(Class, IsColdWhereLoopsReadFilesOrAreFew) {
  EXPECT_EQ(rule_of(loop_of("src/io/a.cpp")), "cold C1");
  EXPECT_EQ(rule_of(loop_of("tests/a.cpp")), "cold C1");
  EXPECT_EQ(rule_of(loop_of("src/engine/a.cpp", Driver::file)), "cold C2");
  Loop three = loop_of("src/engine/a.cpp");
  three.trip_count = 3;
  EXPECT_EQ(rule_of(three), "cold C3");
  Loop threads = loop_of("src/engine/a.cpp");
  threads.kind = LoopKind::parallel;
  EXPECT_EQ(rule_of(threads), "cold C5");
}

TEST(Class, OfWhatDrivesAVectorizedLoopIsCold) {
  Inventory inventory;
  inventory.compilers = {"g++"};
  Loop outer = loop_of("src/a.cpp"), inner = loop_of("src/a.cpp");
  inner.id = "src/a.cpp:f:for:2";
  inner.parent = outer.id;
  inner.explicit_simd = true;
  inventory.loops = {outer, inner};
  classify(inventory, {});
  EXPECT_EQ(inventory.loops[0].rule, "C4");
  EXPECT_EQ(inventory.loops[1].rule, "V1");
}

TEST(Annotations, OverruleTheRulesAndTellWhenTheyAreOutOfDate) {
  Annotations annotations;
  annotations.loops = {{"src/engine/*:for:1", LoopClass::cold, "runs once"},
                       {"src/gone.cpp:*", LoopClass::cold, "was there"}};
  Inventory inventory;
  inventory.loops = {loop_of("src/engine/a.cpp")};
  EXPECT_EQ(classify(inventory, annotations), std::vector<std::string>{"src/gone.cpp:*"});
  EXPECT_EQ(inventory.loops[0].loop_class, LoopClass::cold);
  EXPECT_EQ(inventory.loops[0].rule, "annotation");
  EXPECT_EQ(inventory.loops[0].reason, "runs once");
}

TEST(Annotations, AreReadFromYaml) {
  const TempDir dir;
  const auto file = dir.file("a.yaml",
                             "# why\n"
                             "span_types: [Stage]\n"
                             "cold:\n"
                             "  - {path: src/refine, reason: fits}\n"
                             "loops:\n"
                             "  - id: src/a.cpp:*\n"
                             "    class: cold\n"
                             "    reason: a handful\n");
  const Annotations annotations = read_annotations(file);
  ASSERT_EQ(annotations.loops.size(), 1U);
  EXPECT_EQ(annotations.loops[0].reason, "a handful");
  EXPECT_EQ(annotations.span_types, std::vector<std::string>{"Stage"});
  EXPECT_EQ(rule_of(loop_of("src/refine/a.cpp"), annotations), "cold C1");
}

TEST(Annotations, ThatAreWrongAreNamedWithTheirLine) {
  const TempDir dir;
  const auto message = [&](const std::string& text) {
    const auto file = dir.file("a.yaml", text);
    return message_of<InputError>([&] { read_annotations(file); });
  };
  EXPECT_THAT(message("loops:\n  - id: x\n    class: cool\n    reason: y\n"),
              testing::HasSubstr("a.yaml:2: 'cool' is no class"));
  EXPECT_THAT(message("loops:\n  - id: x\n    class: cold\n"),
              testing::HasSubstr("a.yaml:2: an entry needs a 'reason'"));
  EXPECT_THAT(message("lops: []\n"), testing::HasSubstr("a.yaml:1: 'lops' is not known"));
  EXPECT_THAT(message("loops: [\n"), testing::HasSubstr("a.yaml:"));
  EXPECT_THAT(message_of<InputError>([&] { read_annotations(dir / "none"); }),
              testing::HasSubstr("none: No such file or directory"));
}

TEST(Pattern, FitsWithStarsForAnything) {
  EXPECT_TRUE(fits("a*c", "abbc"));
  EXPECT_TRUE(fits("*", ""));
  EXPECT_TRUE(fits("a*b*", "aXbYb"));
  EXPECT_FALSE(fits("a*c", "abb"));
  EXPECT_FALSE(fits("a", "ab"));
}

}  // namespace
}  // namespace nablabragg::inventory
