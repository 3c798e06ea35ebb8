// The ranks of an MPI run.  Every call of MPI holds one lock, as MPI_THREAD_SERIALIZED asks for,
// and none of them waits inside MPI for another rank's work: that would take a core.
#include <sched.h>  // for sched_getaffinity

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>  // for std::uncaught_exceptions
#include <mutex>
#include <numeric>  // for std::exclusive_scan
#include <thread>

#define OMPI_SKIP_MPICXX 1  // the C++ functions, which the standard has dropped
#include <mpi.h>

#include "mpi/ranks.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::mpi {

namespace {

constexpr std::chrono::milliseconds pause{1};

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

    // The numbers lie with rank 0.
    const MPI_Aint bytes = rank_ == 0 ? shared_numbers * sizeof(std::int64_t) : 0;
    std::int64_t* numbers = nullptr;
    MPI_Win_allocate(bytes, sizeof(std::int64_t), MPI_INFO_NULL, MPI_COMM_WORLD, &numbers,
                     &window_);
    if (rank_ == 0) std::fill_n(numbers, shared_numbers, 0);
    MPI_Win_lock_all(MPI_MODE_NOCHECK, window_);
    MPI_Win_sync(window_);
    MPI_Barrier(MPI_COMM_WORLD);
    // Without hardware for it, what others ask of the numbers is done in rank 0's calls of MPI.
    if (rank_ == 0) progress_ = std::thread([this] { answer(); });
  }

  ~MpiRanks() override {
    if (std::uncaught_exceptions() > 0 && !all_fail_) MPI_Abort(MPI_COMM_WORLD, 1);
    done_ = true;
    if (progress_.joinable()) progress_.join();
    MPI_Win_unlock_all(window_);
    MPI_Win_free(&window_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int rank_on_node() const override { return rank_on_node_; }
  int size_on_node() const override { return size_on_node_; }
  int first_on_node() const override { return first_on_node_; }
  int threads() const override { return threads_; }

  std::int64_t fetch_add(Shared number, std::int64_t more) override {
    const std::lock_guard lock(mutex_);
    std::int64_t before = 0;
    MPI_Fetch_and_op(&more, &before, MPI_INT64_T, 0, static_cast<MPI_Aint>(number), MPI_SUM,
                     window_);
    MPI_Win_flush(0, window_);
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
    MPI_Request request = MPI_REQUEST_NULL;
    {
      const std::lock_guard lock(mutex_);
      begin(&request);
    }
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        int over = 0;
        MPI_Test(&request, &over, MPI_STATUS_IGNORE);
        if (over) return;
      }
      idle();
      std::this_thread::sleep_for(pause);
    }
  }

  void answer() {
    while (!done_) {
      {
        const std::lock_guard lock(mutex_);
        int any = 0;
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &any, MPI_STATUS_IGNORE);
      }
      std::this_thread::sleep_for(pause);
    }
  }

  int rank_ = 0, size_ = 1, rank_on_node_ = 0, size_on_node_ = 1, first_on_node_ = 0, threads_ = 1;
  MPI_Win window_ = MPI_WIN_NULL;
  std::mutex mutex_;
  std::atomic<bool> done_ = false, all_fail_ = false;
  std::thread progress_;
};

std::unique_ptr<Ranks> open() { return std::make_unique<MpiRanks>(); }

}  // namespace

}  // namespace nablabragg::mpi

extern "C" const nablabragg::mpi::Plugin* nablabragg_mpi_plugin();
extern "C" const nablabragg::mpi::Plugin* nablabragg_mpi_plugin() {
  static const nablabragg::mpi::Plugin plugin{nablabragg::mpi::plugin_version,
                                              nablabragg::mpi::open};
  return &plugin;
}
