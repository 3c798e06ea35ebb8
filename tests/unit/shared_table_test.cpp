// Tables that threads and processes have in common: the same numbers, once in memory.
#include "memory/shared_table.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using memory::in_units;
using memory::SharedTable;
using test::message_of;
using testing::HasSubstr;

std::vector<double> some_numbers(std::size_t count = 100'000) {
  std::vector<double> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = 100 * std::sin(double(i));
  return numbers;
}

std::shared_ptr<const StructureFactorGrid> shared(const StructureFactorGrid& grid) {
  return std::make_shared<const StructureFactorGrid>(
      grid.in(std::make_shared<const SharedTable>(grid.values())));
}

/// The exit code of another process that does this, ended by a signal: above 1000.
template <class Work>
int in_another_process(Work&& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(SharedTable, HasWhatFollowsFromItOnceForAllThatAsk) {
  const std::vector<double> numbers = some_numbers(), other(numbers.size(), 2);
  const SharedTable table(numbers), again(table.address(), numbers);
  int made = 0;
  const auto make = [&] {
    ++made;
    return other;
  };
  const auto first = table.derived(7, make), second = again.derived(7, make);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(made, 1);
  EXPECT_TRUE(std::ranges::equal(second->numbers(), other));
  EXPECT_EQ(second->single(2)[5], 1);
  EXPECT_TRUE(std::ranges::equal(again.numbers(), numbers));
  EXPECT_TRUE(table.derived(8, make));
  EXPECT_EQ(made, 2);
  EXPECT_FALSE(table.derived(9, make)) << "there is room for two";
}

TEST(SharedTable, HoldsTheNumbersAndWhatTheyAreInSinglePrecision) {
  const std::vector<double> numbers = some_numbers();
  const SharedTable table(numbers);
  EXPECT_TRUE(std::ranges::equal(table.numbers(), numbers));
  const auto single = table.single(7);
  ASSERT_EQ(single.size(), numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(single[i], in_units(numbers[i], 7));
  EXPECT_EQ(table.single(7).data(), single.data());
}

TEST(SharedTable, KeepsOneUnitAlone) {
  const SharedTable table(some_numbers());
  EXPECT_FALSE(table.single(7).empty());
  EXPECT_TRUE(table.single(8).empty());
  EXPECT_FALSE(table.single(7).empty());
}

TEST(SharedTable, MakesThemOnceForAllThatAskAtATime) {
  const std::vector<double> numbers = some_numbers();
  const SharedTable table(numbers);
  std::vector<std::thread> threads;
  std::vector<std::span<const float>> got(8);
  for (auto& each : got) threads.emplace_back([&] { each = table.single(3); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& each : got) {
    EXPECT_EQ(each.data(), got[0].data());
    EXPECT_EQ(each.size(), numbers.size());
  }
}

TEST(SharedTable, IsThatOfAnotherProcess) {
  const std::vector<double> numbers = some_numbers();
  const SharedTable table(numbers);
  const memory::TableAddress address = table.address();
  ASSERT_EQ(in_another_process([&] {
              const SharedTable same(address, numbers);
              const bool as_it_was = std::ranges::equal(same.numbers(), numbers);
              return as_it_was && same.single(5).size() == numbers.size() ? 0 : 1;
            }),
            0);
  // In single precision they are made, by a process that is no more, for another unit than this.
  EXPECT_TRUE(table.single(6).empty());
  EXPECT_EQ(table.single(5).back(), in_units(numbers.back(), 5));
}

TEST(SharedTable, TakesNoOther) {
  std::vector<double> numbers = some_numbers();
  const SharedTable table(numbers);
  numbers[77'777] += 1e-9;
  EXPECT_THAT(message_of<InputError>([&] { SharedTable(table.address(), numbers); }),
              HasSubstr("has read another table"));
  numbers.resize(5000);
  EXPECT_THAT(message_of<InputError>([&] { SharedTable(table.address(), numbers); }),
              HasSubstr("has read another table"));
}

TEST(SharedTable, OpensNoFileThatIsNone) {
  const std::vector<double> numbers = some_numbers();
  const int file = open("/dev/zero", O_RDWR | O_CLOEXEC);
  for (const int wrong : {file, 12345, -1})
    EXPECT_THAT(message_of<Error>([&] {
                  SharedTable({getpid(), wrong}, numbers);
                }),
                HasSubstr("the memory of another process cannot be found"));
  close(file);
}

TEST(SharedTable, IsNotWrittenToByMistake) {
  const SharedTable table(some_numbers(1000));
  EXPECT_EQ(in_another_process([&] {
              const_cast<double&>(table.numbers()[7]) = 1;
              return 0;
            }),
            1000 + SIGSEGV);
}

TEST(StructureFactorsInCommon, AreCopiedWhereTheyAreChanged) {
  const auto grid = shared(*test::cube_table());
  StructureFactorGrid copy = *grid;
  EXPECT_EQ(std::as_const(copy).values().data(), grid->values().data());
  copy.at(1, 2, 3) = 7;
  EXPECT_FALSE(copy.shared());
  EXPECT_EQ(copy.at(1, 2, 3), 7);
  EXPECT_EQ(copy.at(3, 2, 1), grid->at(3, 2, 1));
  EXPECT_EQ(grid->at(1, 2, 3), test::cube_table()->at(1, 2, 3));
  EXPECT_TRUE(grid->shared());
}

TEST(StructureFactorsInCommon, GiveTheSameImages) {
  const std::string line =
      "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 5 -lambda 1 -distance 100 "
      "-detpixels 40 -pixel 0.9 -oversample 1 -mosaic 0.3 -mosaic_domains 3 ";
  for (const char* more : {"", "-gauss_xtal -mosaic_model gaussian", "-default_F 900"})
    for (const ComputeOptions& options :
         {test::reference_engine(), test::cpu_engine(Precision::float32),
          test::cpu_engine(Precision::float64)}) {
      const Experiment own = test::experiment_with_table(line + more);
      Experiment common = own;
      common.structure_factors.grid = shared(*own.structure_factors.grid);
      EXPECT_EQ(simulate(common, options).image.pixels, simulate(own, options).image.pixels);
      // A second image, and a table whose unit is another one
      common.structure_factors.default_F = 5000;
      Experiment brighter = own;
      brighter.structure_factors.default_F = 5000;
      EXPECT_EQ(simulate(common, options).image.pixels, simulate(brighter, options).image.pixels);
    }
}

TEST(StructureFactorsInCommon, AreInSinglePrecisionOnceForAllEngines) {
  Experiment e = test::experiment_with_table(
      "-corrected -cell 70 80 90 85 95 105 -N 5 -lambda 1 -distance 100 -detpixels 10 -pixel 0.9");
  const auto grid = shared(*e.structure_factors.grid);
  e.structure_factors.grid = grid;
  simulate(e, test::cpu_engine(Precision::float32));
  const auto largest = std::ranges::max(grid->values());
  // In no other unit than the engine's
  EXPECT_TRUE(grid->shared()->single(0.5 * largest).empty());
  EXPECT_EQ(grid->shared()->single(largest).size(), grid->values().size());
}

}  // namespace
}  // namespace nablabragg
