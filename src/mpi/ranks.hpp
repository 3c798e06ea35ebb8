// The processes of one run, its ranks: what they share and what they tell each other.  MPI itself
// is behind it, in a plugin, so that the program runs where there is none.
#pragma once
#include <cstddef>  // for std::size_t
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>
#include "io/laid_out_file.hpp"

namespace nablabragg::mpi {

/// Numbers that all ranks share, 0 in the beginning.
enum class Shared { next, done, complete, stop, next_shard };
inline constexpr int shared_numbers = 5;

/// Called some hundred times a second while a rank waits for others.
using Idle = std::function<void()>;

/// This process as one of them.  Its functions may be called from any thread; gather() and
/// broadcast() from one at a time, and by all ranks in the same order.
class Ranks {
 public:
  Ranks() = default;
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  virtual ~Ranks() = default;

  virtual int rank() const = 0;  ///< from 0
  virtual int size() const = 0;
  virtual int rank_on_node() const = 0;  ///< from 0, among those of the same machine
  virtual int size_on_node() const = 0;
  virtual int first_on_node() const = 0;  ///< rank() of the first one of this machine
  /// How many threads this rank may run so that those of a machine share its cores.
  virtual int threads() const = 0;

  /// Returns what it was before.
  virtual std::int64_t fetch_add(Shared number, std::int64_t more) = 0;
  /// Rank 0 gets what each gave, by rank; the others nothing.
  virtual std::vector<std::string> gather(const std::string& mine, const Idle& idle) = 0;
  /// All get what rank 0 gave.
  virtual std::string broadcast(const std::string& of_rank_0, const Idle& idle) = 0;
  /// Why they cannot write into one file together, as a sentence; empty: they can.
  virtual std::string why_not_one_file() const { return {}; }
  /// By all ranks, as its close() and its end.  Throws OutputError, on all of them, where one of
  /// them cannot open it.
  virtual std::unique_ptr<io::LaidOutFile> open_laid_out(const std::string& path) = 0;
  /// All ranks are about to end with an exception.  One that does so alone ends the others, who
  /// would wait for it.
  virtual void all_fail() {}
};

/// A process by itself.
std::unique_ptr<Ranks> one_rank();

/// Two sides that do not belong together differ in it.
inline constexpr std::size_t plugin_version = 5;

struct Plugin {
  std::size_t version;
  /// Starts MPI, once in a process; it ends with what is returned.  Throws UsageError.
  std::unique_ptr<Ranks> (*open)();
  /// Whether it finds the processes that srun started by PMIx alone.  Before open().
  bool (*needs_pmix)();
};

/// `extern "C" const nablabragg::mpi::Plugin* nablabragg_mpi_plugin();`
inline constexpr const char* plugin_entry = "nablabragg_mpi_plugin";

}  // namespace nablabragg::mpi
