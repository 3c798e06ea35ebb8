// Whether this process is one of several that mpirun or srun started, and the way to the others.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include "mpi/ranks.hpp"

namespace nablabragg::mpi {

/// What the environment says of how a process was started.
struct Launch {
  std::string by;  ///< "mpirun", "srun"; empty: by itself
  int tasks = 1;   ///< 0: the environment does not say
  int rank = 0;
  bool by_pmix = false;  ///< what started them answers by PMIx which they are
};

/// As `variable(name)` has the environment: null where there is no such variable.  A batch script's
/// shell, which knows how many tasks its job has but is none of them, starts a process by itself.
Launch launch_of(const std::function<const char*(const char*)>& variable);

/// The ranks of this process' launch; one where it was started by itself.  To be called once.
/// Throws UsageError where several were started and the plugin is missing, or where MPI does not
/// know of the others; on all but the first FailedElsewhere.
std::unique_ptr<Ranks> open_ranks();

}  // namespace nablabragg::mpi
