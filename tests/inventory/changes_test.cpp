// What changed between two inventories.
#include "inventory/changes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nablabragg::inventory {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Loop loop(const std::string& id, LoopClass loop_class, int vectorized) {
  Loop l;
  l.id = id;
  l.header = "for (" + id + ")";
  l.function = "nablabragg::f";
  l.loop_class = loop_class;
  l.reason = "of class " + std::string(name_of(loop_class));
  l.verdicts = {{"avx2", "g++", vectorized, 1 - vectorized, 0, 32, 0, {}}};
  if (vectorized == 0) l.verdicts[0].reasons = {"control flow"};
  return l;
}

Inventory of(std::vector<Loop> loops) {
  Inventory i;
  i.compilers = {"g++", "clang++"};
  i.loops = std::move(loops);
  return i;
}

TEST(Changes, OfTheSameInventoryAreNone) {
  const Inventory i = of({loop("a", LoopClass::vectorized, 1), loop("b", LoopClass::todo, 0)});
  const Changes changes = find_changes(i, i, {});
  EXPECT_EQ(changes_text(changes), "no changes\n");
  EXPECT_FALSE(changes.lost_in_hot_loop());
}

TEST(Changes, NameLostVectorisationWithItsCompilerAndReason) {
  const Changes changes = find_changes(of({loop("a", LoopClass::vectorized, 1)}),
                                       of({loop("a", LoopClass::todo, 0)}), {});
  EXPECT_THAT(changes.lost,
              ElementsAre(VectorisationChange{"a", "", "", "of class todo", true},
                          VectorisationChange{"a", "avx2", "g++", "control flow", true}));
  EXPECT_THAT(changes.classes,
              ElementsAre(ClassChange{"a", LoopClass::vectorized, LoopClass::todo}));
  EXPECT_TRUE(changes.lost_in_hot_loop());
  EXPECT_THAT(changes_text(changes), HasSubstr("HOT a (avx2, g++): control flow"));
}

TEST(Changes, AreNotMadeOfCompilersThatOnlyOneInventoryAsked) {
  Loop before = loop("a", LoopClass::cold, 1), after = loop("a", LoopClass::cold, 0);
  after.verdicts[0].compiler = "clang++";
  EXPECT_THAT(find_changes(of({before}), of({after}), {}).lost, IsEmpty());
}

TEST(Changes, OfTheSecondOpinionMatterToNobody) {
  Loop before = loop("a", LoopClass::vectorized, 1), after = loop("a", LoopClass::vectorized, 0);
  before.verdicts[0].compiler = after.verdicts[0].compiler = "clang++";
  const Changes changes = find_changes(of({before}), of({after}), {});
  EXPECT_EQ(changes.lost.size(), 1U);
  EXPECT_FALSE(changes.lost_in_hot_loop());
}

TEST(Changes, AreHotWhereAProfileSaysSo) {
  const Inventory before = of({loop("a", LoopClass::cold, 1), loop("b", LoopClass::cold, 1)}),
                  after = of({loop("a", LoopClass::cold, 0), loop("b", LoopClass::cold, 0)});
  EXPECT_FALSE(find_changes(before, after, {}).lost_in_hot_loop());
  const Changes changes = find_changes(before, after, std::vector<std::string>{"b"});
  ASSERT_EQ(changes.lost.size(), 2U);
  EXPECT_FALSE(changes.lost[0].hot);
  EXPECT_TRUE(changes.lost[1].hot);
}

TEST(Changes, AreHotNowhereWhereAProfileNamesNoLoop) {
  const Changes changes = find_changes(of({loop("a", LoopClass::vectorized, 1)}),
                                       of({loop("a", LoopClass::todo, 0)}),
                                       std::vector<std::string>{});
  EXPECT_EQ(changes.lost.size(), 2U);
  EXPECT_FALSE(changes.lost_in_hot_loop());
}

TEST(Changes, NameWhatIsGained) {
  const Changes changes = find_changes(of({loop("a", LoopClass::todo, 0)}),
                                       of({loop("a", LoopClass::vectorized, 1)}), {});
  EXPECT_EQ(changes.gained.size(), 2U);
  EXPECT_THAT(changes.lost, IsEmpty());
}

TEST(Changes, FollowLoopsThatANewOneRenumbers) {
  const auto numbered = [](const std::string& header, int number, LoopClass c, int vectorized) {
    Loop l = loop("a.cpp:f:for:" + std::to_string(number), c, vectorized);
    l.header = header;
    return l;
  };
  const Changes changes = find_changes(of({numbered("for (x)", 1, LoopClass::vectorized, 1),
                                           numbered("for (y)", 2, LoopClass::todo, 0)}),
                                       of({numbered("for (new)", 1, LoopClass::todo, 0),
                                           numbered("for (x)", 2, LoopClass::vectorized, 1),
                                           numbered("for (y)", 3, LoopClass::todo, 0)}),
                                       {});
  EXPECT_THAT(changes.lost, IsEmpty());
  EXPECT_THAT(changes.appeared, ElementsAre("a.cpp:f:for:1"));
  EXPECT_EQ(changes.moved.size(), 2U);
}

TEST(Changes, FollowALoopWhoseHeaderChanges) {
  Loop before = loop("a", LoopClass::vectorized, 1), after = loop("a", LoopClass::todo, 0);
  after.header = "for (other)";
  EXPECT_TRUE(find_changes(of({before}), of({after}), {}).lost_in_hot_loop());
}

TEST(Changes, TellMovedLoopsFromNewAndGoneOnes) {
  Loop here = loop("old.cpp:f:for:1", LoopClass::vectorized, 1), there = here;
  there.id = "new.cpp:f:for:1";
  there.function = "nablabragg::other::f";
  there.verdicts[0].vectorized = 0;
  const Changes changes = find_changes(of({here, loop("gone", LoopClass::todo, 0)}),
                                       of({there, loop("appeared", LoopClass::todo, 0)}),
                                       std::vector<std::string>{"old.cpp:f:for:1"});
  EXPECT_THAT(changes.moved, ElementsAre(MovedLoop{here.id, there.id}));
  EXPECT_THAT(changes.appeared, ElementsAre("appeared"));
  EXPECT_THAT(changes.gone, ElementsAre("gone"));
  EXPECT_TRUE(changes.lost_in_hot_loop()) << "though its id is another now";
}

}  // namespace
}  // namespace nablabragg::inventory
