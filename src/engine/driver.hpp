// How work is shared among threads: once for images and derivatives of all engines.  Parts follow
// from the pixels alone, so that no bit depends on the number of threads.
#pragma once
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/stopping.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/simulate.hpp"  // for ComputeOptions, WorkSpan

namespace nablabragg::engine {

struct WorkDone {
  std::int64_t steps = 0, skipped = 0;  ///< as in WorkSpan
};

/// Tells the caller how far the work is and hears from it whether to go on: after each part and,
/// as a part may take long, ten times a second.
class Watch {
 public:
  Watch(const ComputeOptions& options, int parts) : options_(options), parts_(parts) {
    if (options_.progress) asker_ = std::thread([this] { ask_until_done(); });
  }
  ~Watch() {
    if (!asker_.joinable()) return;
    {
      const std::lock_guard lock(asking_);
      done_ = true;
    }
    work_done_.notify_one();
    asker_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  const StopFlag& stopped() const { return stopped_; }
  /// A part is done.  Threads do not wait for each other: some of them report nothing.
  void finish_part() {
    ++finished_;
    if (!options_.progress) return;
    const std::unique_lock lock(asking_, std::try_to_lock);
    if (lock) ask();
  }
  /// Throws what the caller threw, and Cancelled where it wanted no more.
  void check() {
    const std::lock_guard lock(asking_);
    if (failure_) std::rethrow_exception(failure_);
    if (stopped_) throw Cancelled();
  }

 private:
  void ask_until_done() {
    std::unique_lock lock(asking_);
    while (!work_done_.wait_for(lock, std::chrono::milliseconds(100), [&] { return done_; })) ask();
  }
  void ask() {
    if (stopped_) return;
    try {
      if (options_.progress(finished_ / parts_)) return;
    } catch (...) {
      failure_ = std::current_exception();
    }
    stopped_ = true;
  }

  const ComputeOptions& options_;
  const double parts_;
  std::atomic<int> finished_{0};
  StopFlag stopped_{false};
  std::mutex asking_;  ///< guards what follows
  std::condition_variable work_done_;
  bool done_ = false;
  std::exception_ptr failure_;
  std::thread asker_;
};

/// Calls `compute(part, stopped)`, which returns the work that it did, for each part, in any
/// order.
template <class Compute>
WorkDone for_each_part(int parts, const ComputeOptions& options, Compute&& compute) {
  Watch watch(options, parts);
  std::atomic<std::int64_t> steps{0}, skipped{0};
  with_threads(options.threads, [&] {
    tbb::task_group_context context;
    tbb::parallel_for(
        tbb::blocked_range<int>(0, parts),
        [&](const tbb::blocked_range<int>& range) {
          WorkSpan span;
          span.begin = std::chrono::steady_clock::now();
          for (int part = range.begin(); part != range.end() && !watch.stopped(); ++part) {
            const WorkDone done = compute(part, watch.stopped());
            span.steps += done.steps;
            span.skipped += done.skipped;
            watch.finish_part();
          }
          span.end = std::chrono::steady_clock::now();
          steps += span.steps;
          skipped += span.skipped;
          if (options.on_work) options.on_work(span);
        },
        tbb::auto_partitioner{}, context);
  });
  watch.check();
  return {steps, skipped};
}

/// Calls `compute(first, end, stopped)` for batches of parts and `add(result)` for each result in
/// the order of the parts, one at a time.
template <class Compute, class Add>
void add_in_order(int parts, int parts_per_batch, const ComputeOptions& options, Compute&& compute,
                  Add&& add) {
  const int batches = (parts + parts_per_batch - 1) / parts_per_batch;
  Watch watch(options, batches);
  int next = 0;
  const auto batch_number = [&](tbb::flow_control& control) {
    if (next == batches || watch.stopped()) control.stop();
    return next++;
  };
  using Result = decltype(compute(0, 0, watch.stopped()));
  const auto compute_batch = [&](int batch) {
    const int first = batch * parts_per_batch;
    return compute(first, std::min(parts, first + parts_per_batch), watch.stopped());
  };
  const auto add_result = [&](const Result& result) {
    add(result);
    watch.finish_part();
  };
  with_threads(options.threads, [&] {
    const auto tokens = 2 * static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
    tbb::parallel_pipeline(
        tokens, tbb::make_filter<void, int>(tbb::filter_mode::serial_in_order, batch_number) &
                    tbb::make_filter<int, Result>(tbb::filter_mode::parallel, compute_batch) &
                    tbb::make_filter<Result, void>(tbb::filter_mode::serial_in_order, add_result));
  });
  watch.check();
}

}  // namespace nablabragg::engine
