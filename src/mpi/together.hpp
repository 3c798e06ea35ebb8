// Work that all ranks do, or none: a failure of one of them is that of all.
#pragma once
#include <functional>
#include <string>
#include "mpi/ranks.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::mpi {

/// What the error on another rank was.
enum class Failure { none, usage, input, output, stopped, other };

/// Thrown on the ranks that have nothing to say of it.
class FailedElsewhere : public Error {
 public:
  explicit FailedElsewhere(Failure failure)
      : Error("another rank of the run failed, and says why"), failure_(failure) {}
  Failure failure() const { return failure_; }

 private:
  Failure failure_;
};

/// Calls `work`, and waits until all ranks have done so.  Where it throws on one of them, the
/// number Shared::stop is above 0 from then on, and together() throws on all: on rank 0 an error of
/// that kind, which names the rank where it is not that of all, on the others FailedElsewhere.
/// Cancelled counts where there is no other error.
void together(
    Ranks& ranks, const std::function<void()>& work, const Idle& idle = [] {});

}  // namespace nablabragg::mpi
