#pragma once
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <optional>
#include <string>

#include "nablabragg/error.hpp"

namespace nablabragg::engine {

/// More than any machine has: each costs memory of its own.
inline constexpr int most_threads = 4096;
inline void check_threads(int threads) {
  if (threads < 0 || threads > most_threads)
    throw UsageError("the number of threads (-threads) is " + std::to_string(threads) +
                     "; it must be between 0, for as many as the machine has, and " +
                     std::to_string(most_threads));
}

/// Runs `work` where parallel loops use this many threads; 0: as many as the machine has.
template <class Work>
auto with_threads(int threads, Work&& work) {
  tbb::task_arena arena(threads > 0 ? threads : tbb::task_arena::automatic);
  // An arena alone is cut down to the machine's cores; asking for more is allowed, if slow.
  std::optional<tbb::global_control> limit;
  if (threads > 0)
    limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
  return arena.execute(work);
}

}  // namespace nablabragg::engine
