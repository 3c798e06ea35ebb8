#include "engine/threads.hpp"

#include <gtest/gtest.h>
#include <tbb/parallel_for.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

namespace nablabragg::test {
namespace {

double resident_MB() {
  std::ifstream statm("/proc/self/statm");
  double whole = 0, resident = 0;
  statm >> whole >> resident;
  return resident * double(sysconf(_SC_PAGESIZE)) / 1e6;
}

void many_loops(int threads) {
  for (int i = 0; i < 1000; ++i)
    engine::with_threads(threads, [] {
      tbb::parallel_for(0, 64, [](int n) {
        volatile double sum = 0;
        for (int k = 0; k < 200; ++k) sum = sum + std::sqrt(double(k + n));
      });
    });
}

}  // namespace

TEST(Threads, OfALoopCostNoMemoryHoweverOftenTheyAreAskedFor) {
  for (const int threads : {0, 5}) {
    many_loops(threads);
    const double before = resident_MB();
    many_loops(threads);
    EXPECT_LT(resident_MB() - before, 2) << threads << " threads";
  }
}

TEST(Threads, OfALoopWithinALoopMayBeMoreOrFewer) {
  int inner = 0;
  const int outer = engine::with_threads(3, [&] {
    inner = engine::with_threads(1, [] { return tbb::this_task_arena::max_concurrency(); });
    return tbb::this_task_arena::max_concurrency();
  });
  EXPECT_EQ(outer, 3);
  EXPECT_EQ(inner, 1);
}

}  // namespace nablabragg::test
