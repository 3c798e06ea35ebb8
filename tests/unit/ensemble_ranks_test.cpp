// How ranks are found, how shots are dealt to them, and how the failure of one is that of all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "ensemble/deal.hpp"
#include "ensemble/shared_factors.hpp"
#include "memory/shared_table.hpp"
#include "mpi/open_ranks.hpp"
#include "mpi/together.hpp"
#include "support/experiment.hpp"

namespace nablabragg {
namespace {

using ensemble::Block;
using ensemble::dealt;
using ensemble::Shards;

// ---- Whether there are several ------------------------------------------------------------------

mpi::Launch launch_in(const std::map<std::string, std::string>& environment) {
  return mpi::launch_of([&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(Launch, OfMpirunHasItsSizeAndRank) {
  const mpi::Launch launch = launch_in(
      {{"OMPI_COMM_WORLD_SIZE", "8"}, {"OMPI_COMM_WORLD_RANK", "3"}, {"SLURM_NTASKS", "16"}});
  EXPECT_EQ(launch.by, "mpirun");
  EXPECT_EQ(launch.tasks, 8);
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch_in({{"PMI_SIZE", "4"}, {"PMI_RANK", "1"}}).tasks, 4);
}

TEST(Launch, OfSrunIsAStepAndOfABatchShellIsNone) {
  const std::map<std::string, std::string> batch{
      {"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}, {"SLURM_NPROCS", "4"}};
  EXPECT_EQ(launch_in(batch).by, "");
  EXPECT_EQ(launch_in(batch).tasks, 1);
  auto step = batch;
  step["SLURM_STEP_NUM_TASKS"] = "4";
  step["SLURM_PROCID"] = "2";
  EXPECT_EQ(launch_in(step).by, "srun");
  EXPECT_EQ(launch_in(step).tasks, 4);
  EXPECT_EQ(launch_in(step).rank, 2);
  EXPECT_FALSE(launch_in(step).by_pmix);
  auto by_pmi2 = step, by_pmix = step;
  by_pmi2.insert({{"PMI_SIZE", "4"}, {"PMI_RANK", "2"}});  // srun --mpi=pmi2
  by_pmix.insert({{"PMIX_RANK", "2"}, {"PMIX_NAMESPACE", "slurm.pmix.7.0"}});
  EXPECT_EQ(launch_in(by_pmi2).by, "srun");
  EXPECT_FALSE(launch_in(by_pmi2).by_pmix);
  EXPECT_EQ(launch_in(by_pmix).by, "srun");
  EXPECT_TRUE(launch_in(by_pmix).by_pmix);
}

TEST(Launch, OfMpirunInsideASlurmJobIsMpiruns) {
  // Its helper was started by srun, one a node.
  const mpi::Launch launch = launch_in({{"SLURM_STEP_NUM_TASKS", "2"},
                                        {"SLURM_PROCID", "1"},
                                        {"OMPI_COMM_WORLD_SIZE", "16"},
                                        {"OMPI_COMM_WORLD_RANK", "9"}});
  EXPECT_EQ(launch.by, "mpirun");
  EXPECT_EQ(launch.tasks, 16);
  const mpi::Launch of_mpich = launch_in({{"SLURM_STEP_NUM_TASKS", "1"},
                                          {"SLURM_PROCID", "0"},
                                          {"PMI_SIZE", "16"},
                                          {"PMI_RANK", "9"}});
  EXPECT_EQ(of_mpich.by, "mpirun");
  EXPECT_EQ(of_mpich.tasks, 16);
  EXPECT_EQ(of_mpich.rank, 9);
}

// ---- Ranks as threads ---------------------------------------------------------------------------

/// What the ranks of a test share.
struct World {
  explicit World(int ranks) : size(ranks), texts(static_cast<std::size_t>(ranks)), meeting(ranks) {}
  int size, ranks_of_machine = size;
  std::vector<std::string> texts;
  std::barrier<> meeting;
  std::array<std::atomic<std::int64_t>, mpi::shared_numbers> numbers{};
};

class ThreadRank final : public mpi::Ranks {
 public:
  ThreadRank(World& world, int rank) : world_(world), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return world_.size; }
  int rank_on_node() const override { return rank_ % world_.ranks_of_machine; }
  int size_on_node() const override { return world_.ranks_of_machine; }
  int first_on_node() const override { return rank_ - rank_on_node(); }
  int threads() const override { return 1; }
  std::int64_t fetch_add(mpi::Shared number, std::int64_t more) override {
    return world_.numbers[static_cast<std::size_t>(number)].fetch_add(more);
  }
  std::vector<std::string> gather(const std::string& mine, const mpi::Idle&) override {
    world_.texts[static_cast<std::size_t>(rank_)] = mine;
    world_.meeting.arrive_and_wait();
    std::vector<std::string> all = rank_ == 0 ? world_.texts : std::vector<std::string>();
    world_.meeting.arrive_and_wait();
    return all;
  }
  std::string broadcast(const std::string& of_rank_0, const mpi::Idle&) override {
    if (rank_ == 0) world_.texts[0] = of_rank_0;
    world_.meeting.arrive_and_wait();
    std::string text = world_.texts[0];
    world_.meeting.arrive_and_wait();
    return text;
  }
  std::unique_ptr<io::LaidOutFile> open_laid_out(const std::string& path) override {
    return io::open_laid_out(path);
  }

 private:
  World& world_;
  int rank_;
};

/// What together() threw on each of four ranks, where `work(rank)` is what they do.
std::vector<std::string> thrown(const std::function<void(int)>& work) {
  World world(4);
  std::vector<std::string> all(4, "nothing");
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 4; ++rank)
    threads.emplace_back([&, rank] {
      ThreadRank self(world, rank);
      std::string& text = all[static_cast<std::size_t>(rank)];
      try {
        mpi::together(self, [&] { work(rank); });
      } catch (const mpi::FailedElsewhere& error) {
        text = "elsewhere " + std::to_string(static_cast<int>(error.failure()));
      } catch (const UsageError& error) {
        text = std::string("usage: ") + error.what();
      } catch (const InputError& error) {
        text = std::string("input: ") + error.what();
      } catch (const OutputError& error) {
        text = std::string("output: ") + error.what();
      } catch (const Cancelled&) {
        text = "cancelled";
      } catch (const std::exception& error) {
        text = std::string("other: ") + error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return all;
}

TEST(Together, GoesOnWhereNoRankFails) {
  EXPECT_THAT(thrown([](int) {}), testing::Each("nothing"));
}

TEST(Together, FailsOnAllRanksWithTheKindOfErrorAndTheRank) {
  EXPECT_THAT(thrown([](int rank) {
                if (rank == 2) throw OutputError("cannot write x");
              }),
              testing::ElementsAre("output: rank 2: cannot write x", "elsewhere 3", "elsewhere 3",
                                   "elsewhere 3"));
  EXPECT_EQ(thrown([](int rank) {
              if (rank == 1) throw std::bad_alloc();
            })[0]
                .substr(0, 29),
            "other: rank 1: out of memory;");
}

TEST(Together, NamesNoRankWhereAllSayTheSame) {
  EXPECT_EQ(thrown([](int) { throw InputError("e.yaml", 7, "is wrong"); })[0],
            "input: e.yaml:7: is wrong");
}

TEST(Together, PrefersAnErrorToAStop) {
  EXPECT_EQ(thrown([](int rank) {
              if (rank < 3) throw Cancelled();
              throw UsageError("no such shot");
            })[0],
            "usage: rank 3: no such shot");
  EXPECT_EQ(thrown([](int rank) {
              if (rank == 1) throw Cancelled();
            })[0],
            "cancelled");
}

// ---- Tables in common ---------------------------------------------------------------------------

/// What four ranks of two machines, or of one, have of the tables that they have read.
std::vector<ensemble::SharedFactors> shared_of(
    int machines, const std::function<std::shared_ptr<const StructureFactorGrid>(int)>& read) {
  World world(4);
  world.ranks_of_machine = 4 / machines;
  std::vector<ensemble::SharedFactors> all(4);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 4; ++rank)
    threads.emplace_back([&, rank] {
      ThreadRank self(world, rank);
      all[static_cast<std::size_t>(rank)] = ensemble::shared_factors(read(rank), self);
    });
  for (std::thread& thread : threads) thread.join();
  return all;
}

/// Of the memory itself: each rank has it at an address of its own.
std::uint64_t number_of_memory(const ensemble::SharedFactors& factors) {
  struct stat found {};
  EXPECT_TRUE(factors.grid->shared());
  EXPECT_EQ(fstat(factors.grid->shared()->address().file, &found), 0);
  return found.st_ino;
}

TEST(SharedFactors, AreOneTableOnEachMachine) {
  for (const int machines : {1, 2}) {
    const auto all = shared_of(machines, [](int) { return test::cube_table(); });
    for (const ensemble::SharedFactors& each : all) {
      EXPECT_FALSE(each.differ);
      EXPECT_EQ(each.why_not, "");
      EXPECT_TRUE(std::ranges::equal(each.grid->values(), test::cube_table()->values()));
    }
    EXPECT_EQ(number_of_memory(all[0]), number_of_memory(all[1]));
    EXPECT_EQ(number_of_memory(all[2]), number_of_memory(all[3]));
    EXPECT_EQ(number_of_memory(all[0]) == number_of_memory(all[2]), machines == 1);
  }
}

TEST(SharedFactors, OfARankThatHasReadOthersAreNot) {
  const auto all = shared_of(1, [](int rank) {
    auto grid = std::make_shared<StructureFactorGrid>(*test::cube_table());
    if (rank == 2) grid->at(1, 1, 1) += 1;
    return grid;
  });
  for (const int rank : {0, 1, 3}) EXPECT_FALSE(all[static_cast<std::size_t>(rank)].differ);
  EXPECT_TRUE(all[2].differ);
}

TEST(SharedFactors, AreEachRanksOwnWhereThereIsNoMemoryInCommonAndRankZeroSaysWhy) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto all = shared_of(2, [](int) { return test::cube_table(); });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const ensemble::SharedFactors& each : all) {
    EXPECT_FALSE(each.differ);
    EXPECT_FALSE(each.grid->shared());
    EXPECT_TRUE(std::ranges::equal(each.grid->values(), test::cube_table()->values()));
  }
  EXPECT_THAT(all[0].why_not, testing::HasSubstr("Too many open files"));
  EXPECT_EQ(all[1].why_not, "");
}

TEST(SharedFactors, WithoutATableAreNone) {
  for (const auto& each : shared_of(1, [](int) { return nullptr; })) EXPECT_FALSE(each.grid);
}

// ---- The deal -----------------------------------------------------------------------------------

std::vector<Block> all_shards(int shots, int shots_per_shard) {
  const Shards shards{shots, shots_per_shard};
  std::vector<Block> all;
  for (int i = 0; i < shards.count(); ++i) all.push_back(shards.block_of(i));
  return all;
}

TEST(Deal, GivesOneRankWholeShards) {
  EXPECT_EQ(dealt(all_shards(25, 10), 1), (std::vector<Block>{{0, 10}, {10, 10}, {20, 5}}));
}

TEST(Deal, GivesEveryMissingShotOnceAndNoBlockOfTwoShards) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const int shots = 1 + static_cast<int>(random() % 3000),
              per_shard = 1 + static_cast<int>(random() % 200),
              ranks = 1 + static_cast<int>(random() % 40);
    std::vector<Block> missing;
    for (const Block& shard : all_shards(shots, per_shard))
      if (random() % 3 > 0) missing.push_back(shard);
    std::vector<int> expected, given;
    for (const Block& block : missing)
      for (int i = block.first; i < block.end(); ++i) expected.push_back(i);
    for (const Block& block : dealt(missing, ranks)) {
      ASSERT_GT(block.count, 0);
      EXPECT_EQ(block.first / per_shard, (block.end() - 1) / per_shard);
      for (int i = block.first; i < block.end(); ++i) given.push_back(i);
    }
    EXPECT_EQ(given, expected);
  }
}

TEST(Deal, OfManyShotsBeginsWithWholeShardsAndEndsWithSingleShots) {
  const std::vector<Block> blocks = dealt(all_shards(100000, 100), 10);
  const Shards shards{100000, 100};
  EXPECT_TRUE(shards.is_whole(blocks.front()));
  EXPECT_EQ(blocks.back().count, 1);
  std::int64_t whole = 0;
  for (const Block& block : blocks) whole += shards.is_whole(block) ? block.count : 0;
  EXPECT_GT(whole, 97000) << "only the last 2 x 10 x 100 shots are in parts of shards";
}

/// A counter that answers one rank after the other.
struct Counter {
  double answer_s = 0;      ///< its time for one
  double round_trip_s = 0;  ///< of what is asked and answered
};

/// The share of all ranks' time in which they compute nothing: they wait for the counter, and at
/// the end for the last one.  Each shot takes `seconds(shot)`, and each rank asks for a block when
/// it has done the one before.
double idle_share(const std::vector<Block>& blocks, int ranks, const Counter& counter,
                  const std::function<double(int)>& seconds) {
  std::vector<double> free_at(static_cast<std::size_t>(ranks), 0);  // a heap, the earliest in front
  double work = 0, end = 0, counter_free_at = 0;
  for (const Block& block : blocks) {
    std::pop_heap(free_at.begin(), free_at.end(), std::greater<>());
    double& time = free_at.back();
    counter_free_at = std::max(counter_free_at, time + counter.round_trip_s / 2) + counter.answer_s;
    time = counter_free_at + counter.round_trip_s / 2;
    for (int shot = block.first; shot < block.end(); ++shot) {
      time += seconds(shot);
      work += seconds(shot);
    }
    end = std::max(end, time);
    std::push_heap(free_at.begin(), free_at.end(), std::greater<>());
  }
  return 1 - work / (ranks * end);
}

TEST(Deal, LeavesTenThousandRanksIdleForLessThanAFiftiethFromAHundredShotsEachOn) {
  constexpr int ranks = 10000, most = 200;
  // Ten times as long as others, every order of magnitude alike; a second on the mean
  std::vector<double> seconds;
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(0, 1);
  const double mean = 9 / std::log(10.0);
  for (int i = 0; i < most * ranks; ++i) seconds.push_back(std::pow(10, exponent(random)) / mean);
  const auto of = [&](int shot) { return seconds[static_cast<std::size_t>(shot)]; };
  const std::vector<Counter> counters{{0, 0}, {1e-6, 5e-6}, {10e-6, 1.6e-3}, {100e-6, 1.6e-3}};
  std::printf("shots a rank   blocks a rank   idle: ideal counter   1 us   10 us   100 us\n");
  for (const int per_rank : {10, 50, 100, 200}) {
    const std::vector<Block> blocks = dealt(all_shards(per_rank * ranks, 1000), ranks);
    std::printf("%12d %15.1f %20.2f %%", per_rank, static_cast<double>(blocks.size()) / ranks,
                100 * idle_share(blocks, ranks, counters[0], of));
    for (std::size_t i = 1; i < counters.size(); ++i) {
      const double idle = idle_share(blocks, ranks, counters[i], of);
      std::printf(" %5.2f %%", 100 * idle);
      if (per_rank >= 100 && counters[i].answer_s < 50e-6) {
        EXPECT_LT(idle, 0.02) << per_rank;
      }
    }
    std::printf("\n");
  }
}

TEST(Deal, OfWholeShardsAloneWouldLeaveRanksIdle) {
  constexpr int ranks = 100;
  const auto second = [](int) { return 1.0; };
  const std::vector<Block> shards = all_shards(100 * ranks, 130);
  EXPECT_GT(idle_share(shards, ranks, {}, second), 0.2);
  EXPECT_LT(idle_share(dealt(shards, ranks), ranks, {}, second), 0.02);
}

}  // namespace
}  // namespace nablabragg
