#pragma once
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <map>
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

/// Kept, for each thread that asks: those that are made anew for each loop stay in memory until the
/// workers come to rest (findings/tbb-arenas-pile-up.sh), which they do not in a long series.
inline tbb::task_arena& arena_of(int threads) {
  thread_local std::map<int, tbb::task_arena> kept;
  const int slots = threads > 0 ? threads : int{tbb::task_arena::automatic};
  return kept.try_emplace(threads, slots).first->second;
}

/// Runs `work` where parallel loops use this many threads; 0: as many as the machine has.
template <class Work>
auto with_threads(int threads, Work&& work) {
  // An arena alone is cut down to the machine's cores; asking for more is allowed, if slow.
  std::optional<tbb::global_control> limit;
  if (threads > 0)
    limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
  return arena_of(threads).execute(work);
}

}  // namespace nablabragg::engine
