// How work that takes long ends before it is complete.
#pragma once
#include <atomic>
#include "engine/pixel_sum.hpp"

namespace nablabragg::engine {

/// Set by the driver when the caller wants no more.  Loops that may take long look at it now and
/// then, and end without a result.
using StopFlag = std::atomic<bool>;
inline const StopFlag never_stopped{false};

/// A visitor that watches nothing, for sums that end when they are told to.
struct UntilStopped : NoVisitor {
  const StopFlag& stopped;

  explicit UntilStopped(const StopFlag& flag) : stopped(flag) {}
  NABLA_INLINE bool goes_on() const { return !stopped.load(std::memory_order_relaxed); }
};

}  // namespace nablabragg::engine
