#include "inventory/verdicts.hpp"

#include <gtest/gtest.h>

namespace nablabragg::inventory {
namespace {

/// Two loops, one in the other: lines 10 to 20 and 12 to 18 of /r/a.cpp.
std::vector<FoundLoop> nest() {
  FoundLoop outer, inner;
  outer.loop.file = inner.loop.file = "a.cpp";
  outer.loop.line = 10;
  outer.loop.column = 3;
  outer.loop.end_line = 20;
  outer.loop.end_column = 4;
  outer.body_line = 11;
  outer.body_column = 8;
  inner.loop.line = 12;
  inner.loop.column = 5;
  inner.loop.end_line = 18;
  inner.loop.end_column = 6;
  inner.body_line = 12;
  inner.body_column = 40;
  return {outer, inner};
}

Remark remark(int line, int column, bool vectorized = true) {
  Remark r;
  r.file = "/r/a.cpp";
  r.line = line;
  r.column = column;
  r.vectorized = vectorized;
  r.bytes = vectorized ? 32 : 0;
  if (!vectorized) r.reason = "control flow";
  return r;
}

TEST(Remarks, BelongToTheLoopInWhoseHeaderTheyLie) {
  auto loops = nest();
  EXPECT_EQ(
      add_verdicts(loops, {remark(10, 20), remark(12, 5), remark(12, 30, false)}, "/r", "t", "g++"),
      0);
  ASSERT_EQ(loops[0].loop.verdicts.size(), 1U);
  EXPECT_EQ(loops[0].loop.verdicts[0].vectorized, 1);
  ASSERT_EQ(loops[1].loop.verdicts.size(), 1U);
  EXPECT_EQ(loops[1].loop.verdicts[0].vectorized, 1);
  EXPECT_EQ(loops[1].loop.verdicts[0].missed, 1);
  EXPECT_EQ(loops[1].loop.verdicts[0].bytes, 32);
}

TEST(Remarks, InABodyBelongToTheInnermostLoopAround) {
  auto loops = nest();
  EXPECT_EQ(add_verdicts(loops, {remark(14, 9), remark(19, 1, false)}, "/r", "t", "g++"), 0);
  EXPECT_EQ(loops[1].loop.verdicts.at(0).vectorized, 1);
  EXPECT_EQ(loops[0].loop.verdicts.at(0).missed, 1);
}

TEST(Remarks, OutsideOfAllLoopsAreCounted) {
  auto loops = nest();
  Remark elsewhere = remark(10, 20);
  elsewhere.file = "/usr/include/x.h";
  EXPECT_EQ(add_verdicts(loops, {remark(30, 1), elsewhere}, "/r", "t", "g++"), 1);
  EXPECT_TRUE(loops[0].loop.verdicts.empty());
}

TEST(Verdicts, AreOneForEachCompilerAndTargetWithTheMostFrequentReasonFirst) {
  auto loops = nest();
  Remark rare = remark(10, 20, false);
  rare.reason = "a rare one";
  add_verdicts(loops, {rare, remark(10, 20, false), remark(10, 21, false)}, "/r", "avx2", "g++");
  add_verdicts(loops, {remark(10, 20)}, "/r", "avx2", "clang++");
  rank_reasons(loops);
  const auto& verdicts = loops[0].loop.verdicts;
  ASSERT_EQ(verdicts.size(), 2U);
  EXPECT_EQ(verdicts[0].compiler, "clang++");
  EXPECT_EQ(verdicts[1].reasons, (std::vector<std::string>{"control flow", "a rare one"}));
}

}  // namespace
}  // namespace nablabragg::inventory
