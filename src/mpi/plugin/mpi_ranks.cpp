// The ranks of an MPI run.  Every call of MPI holds one lock, as MPI_THREAD_SERIALIZED asks for,
// and none of them waits inside MPI for another rank's work: that would take a core.
//
// The shared numbers lie with rank 0, which the others ask by messages.  A window of one-sided
// communication would do on one machine, and Debian's Open MPI 4.1.4 makes none for ranks of
// several that talk by TCP (findings/openmpi-has-no-windows-over-tcp-on-debian.sh).
#include <sched.h>  // for sched_getaffinity

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>  // for std::uncaught_exceptions
#include <mutex>
#include <numeric>  // for std::exclusive_scan
#include <thread>

#define OMPI_SKIP_MPICXX 1  // the C++ functions, which the standard has dropped
#include <mpi.h>

#ifdef NABLA_PARALLEL_HDF5
#include "mpi/plugin/file_of_ranks.hpp"
#endif
#include "mpi/ranks.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::mpi {

namespace {

/// Between two looks of one who waits.
constexpr std::chrono::microseconds pause{1000}, pause_of_a_question{100};

/// Of messages about the shared numbers.
constexpr int question = 1, answer = 2;

class MpiRanks final : public Ranks {
 public:
  MpiRanks() {
    int level = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level);
    if (level < MPI_THREAD_SERIALIZED) {
      MPI_Finalize();
      throw UsageError("this MPI cannot be called by several threads, one at a time");
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm node = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &rank_on_node_);
    MPI_Comm_size(node, &size_on_node_);
    first_on_node_ = rank_;
    MPI_Bcast(&first_on_node_, 1, MPI_INT, 0, node);
    threads_ = threads_of(node);
    MPI_Comm_free(&node);

    MPI_Comm_dup(MPI_COMM_WORLD, &of_numbers_);
    if (rank_ == 0) answers_ = std::thread([this] { answer_all(); });
  }

  ~MpiRanks() override {
    if (std::uncaught_exceptions() > 0 && !all_fail_) MPI_Abort(MPI_COMM_WORLD, 1);
    wait_for_all();  // rank 0 answers as long as anybody may ask
    done_ = true;
    if (answers_.joinable()) answers_.join();
    MPI_Comm_free(&of_numbers_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int rank_on_node() const override { return rank_on_node_; }
  int size_on_node() const override { return size_on_node_; }
  int first_on_node() const override { return first_on_node_; }
  int threads() const override { return threads_; }

  std::int64_t fetch_add(Shared number, std::int64_t more) override {
    if (rank_ == 0) return add(number, more);
    const std::array<std::int64_t, 2> asked{static_cast<std::int64_t>(number), more};
    std::int64_t before = 0;
    std::array<MPI_Request, 2> requests{};
    {
      // Both at once: of several threads that ask, each gets the answer to its own question.
      const std::lock_guard lock(mutex_);
      MPI_Irecv(&before, 1, MPI_INT64_T, 0, answer, of_numbers_, &requests[0]);
      MPI_Isend(asked.data(), 2, MPI_INT64_T, 0, question, of_numbers_, &requests[1]);
    }
    while (!are_over(requests)) std::this_thread::sleep_for(pause_of_a_question);
    return before;
  }

  std::vector<std::string> gather(const std::string& mine, const Idle& idle) override {
    const bool root = rank_ == 0;
    const int length = static_cast<int>(mine.size());
    std::vector<int> lengths(root ? static_cast<std::size_t>(size_) : 0), begins(lengths.size());
    wait(idle, [&](MPI_Request* request) {
      MPI_Igather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, 0, MPI_COMM_WORLD, request);
    });
    std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), 0);
    std::string all(root ? static_cast<std::size_t>(begins.back() + lengths.back()) : 0, '\0');
    wait(idle, [&](MPI_Request* request) {
      MPI_Igatherv(mine.data(), length, MPI_CHAR, all.data(), lengths.data(), begins.data(),
                   MPI_CHAR, 0, MPI_COMM_WORLD, request);
    });
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < lengths.size(); ++i)
      texts.push_back(
          all.substr(static_cast<std::size_t>(begins[i]), static_cast<std::size_t>(lengths[i])));
    return texts;
  }

  std::string broadcast(const std::string& of_rank_0, const Idle& idle) override {
    std::string text = of_rank_0;
    int length = static_cast<int>(text.size());
    wait(idle, [&](MPI_Request* request) {
      MPI_Ibcast(&length, 1, MPI_INT, 0, MPI_COMM_WORLD, request);
    });
    text.resize(static_cast<std::size_t>(length));
    wait(idle, [&](MPI_Request* request) {
      MPI_Ibcast(text.data(), length, MPI_CHAR, 0, MPI_COMM_WORLD, request);
    });
    return text;
  }

#ifdef NABLA_PARALLEL_HDF5
  std::unique_ptr<io::LaidOutFile> open_laid_out(const std::string& path) override {
    return open_file_of_ranks(path, mutex_, [this] { wait_for_all(); });
  }
#else
  std::string why_not_one_file() const override {
    return "one file of several ranks is written by parallel HDF5, which the plugin for MPI was "
           "built without (Debian's libhdf5-openmpi-dev, docs/ensembles.md)";
  }
  std::unique_ptr<io::LaidOutFile> open_laid_out(const std::string&) override {
    throw UsageError(why_not_one_file());
  }
#endif

  void all_fail() override { all_fail_ = true; }

 private:
  /// The cores that the ranks of a machine have together, shared; a rank that is bound to fewer has
  /// those.
  static int threads_of(MPI_Comm node) {
    cpu_set_t mine, all;
    CPU_ZERO(&mine);
    CPU_ZERO(&all);
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) return 1;
    MPI_Allreduce(&mine, &all, sizeof mine, MPI_BYTE, MPI_BOR, node);
    int ranks = 1;
    MPI_Comm_size(node, &ranks);
    return std::clamp(CPU_COUNT(&all) / ranks, 1, CPU_COUNT(&mine));
  }

  template <class Begin>
  void wait(const Idle& idle, Begin&& begin) {
    std::array<MPI_Request, 1> request{MPI_REQUEST_NULL};
    {
      const std::lock_guard lock(mutex_);
      begin(&request[0]);
    }
    while (!are_over(request)) {
      idle();
      std::this_thread::sleep_for(pause);
    }
  }

  void wait_for_all() {
    wait([] {}, [](MPI_Request* request) { MPI_Ibarrier(MPI_COMM_WORLD, request); });
  }

  template <std::size_t n>
  bool are_over(std::array<MPI_Request, n>& requests) {
    const std::lock_guard lock(mutex_);
    int over = 0;
    MPI_Testall(n, requests.data(), &over, MPI_STATUSES_IGNORE);
    return over != 0;
  }

  // ---- The shared numbers, on rank 0 ------------------------------------------------------------

  std::int64_t add(Shared number, std::int64_t more) {
    return numbers_[static_cast<std::size_t>(number)].fetch_add(more);
  }

  void answer_all() {
    while (!done_) {
      while (answer_one()) {
      }
      std::this_thread::sleep_for(pause);
    }
  }

  /// False: nobody has asked.
  bool answer_one() {
    const std::lock_guard lock(mutex_);
    int any = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, question, of_numbers_, &any, &status);
    if (!any) return false;
    const int asker = status.MPI_SOURCE;
    std::array<std::int64_t, 2> asked{};
    MPI_Recv(asked.data(), 2, MPI_INT64_T, asker, question, of_numbers_, MPI_STATUS_IGNORE);
    const std::int64_t before = add(static_cast<Shared>(asked[0]), asked[1]);
    MPI_Send(&before, 1, MPI_INT64_T, asker, answer, of_numbers_);
    return true;
  }

  int rank_ = 0, size_ = 1, rank_on_node_ = 0, size_on_node_ = 1, first_on_node_ = 0, threads_ = 1;
  MPI_Comm of_numbers_ = MPI_COMM_NULL;
  std::array<std::atomic<std::int64_t>, shared_numbers> numbers_{};
  std::mutex mutex_;
  std::atomic<bool> done_ = false, all_fail_ = false;
  std::thread answers_;
};

std::unique_ptr<Ranks> open() { return std::make_unique<MpiRanks>(); }

/// Where srun came without PMIx, Open MPI 4 ends the process in MPI_Init_thread, unless it was
/// built for what came before (PMI-1, PMI-2).  Its variables tell which components it has.
bool needs_pmix() {
#ifdef OPEN_MPI
  int level = 0;
  if (MPI_T_init_thread(MPI_THREAD_SINGLE, &level) != MPI_SUCCESS) return false;
  const auto has = [](const char* component) {
    int index = 0;
    return MPI_T_category_get_index(component, &index) == MPI_SUCCESS;
  };
  const bool alone = has("opal_pmix") && !has("opal_pmix_s1") && !has("opal_pmix_s2");
  MPI_T_finalize();
  return alone;
#else
  return false;
#endif
}

}  // namespace

}  // namespace nablabragg::mpi

extern "C" __attribute__((visibility("default"))) const nablabragg::mpi::Plugin*
nablabragg_mpi_plugin();
extern "C" const nablabragg::mpi::Plugin* nablabragg_mpi_plugin() {
  static const nablabragg::mpi::Plugin plugin{nablabragg::mpi::plugin_version,
                                              nablabragg::mpi::open, nablabragg::mpi::needs_pmix};
  return &plugin;
}
