#pragma once
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <optional>

namespace nablabragg::engine {

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
