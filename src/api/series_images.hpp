// The images of a series, made by all threads and handed on in their order.
#pragma once
#include <tbb/parallel_pipeline.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/threads.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/sweep.hpp"

namespace nablabragg {

/// Of images that are made side by side: tells the caller how far all of them are.
class SeriesProgress {
 public:
  SeriesProgress(const std::function<bool(double)>& progress, std::size_t images)
      : progress_(progress), images_(static_cast<double>(images)) {}

  /// `share` of what `worker` has in its hands is done; false: the caller wants no more.
  bool operator()(int worker, double share) {
    const std::lock_guard lock(mutex_);
    shares_[worker] = share;
    return ask();
  }
  /// Throws Cancelled where the caller wants no more.
  void finish_image(int worker) {
    const std::lock_guard lock(mutex_);
    shares_[worker] = 0;
    ++done_;
    if (!ask()) throw Cancelled();
  }

 private:
  bool ask() {
    double done = done_;
    for (const auto& [worker, share] : shares_) done += share;
    told_ = std::max(told_, std::min(1.0, done / images_));  // shares of several workers are
                                                             // rounded
    stopped_ = stopped_ || (progress_ && !progress_(told_));
    return !stopped_;
  }

  const std::function<bool(double)>& progress_;
  const double images_;
  std::mutex mutex_;  ///< guards what follows
  std::map<int, double> shares_;
  double done_ = 0, told_ = 0;
  bool stopped_ = false;
};

/// What make_images() hands out.
struct MadeImage {
  Simulation simulation;
  std::optional<CountedImage> counted;  ///< by the engine: then the simulation has no pixels
};

/// For each of `wanted`, numbers of images in rising order: calls `make(i, made)` with what
/// simulate() gives for it, on any thread and several at a time, and `take(i, result)` with what
/// that returned, one at a time and in their order.  With `count_seed`, the seed by number of
/// image, nothing but the counts of count_photons() is wanted of an image that the engine can draw
/// them of. Large images are shared among the threads, of small ones each thread makes its own, and
/// only a few are in memory at a time. `options.progress` hears how far all of them are.  Throws
/// what a Sweep throws.
template <class Make, class Take>
void make_images(const Series& series, std::span<const int> wanted, const ComputeOptions& options,
                 const std::function<std::int64_t(int)>& count_seed, Make&& make, Take&& take) {
  if (wanted.empty()) return;
  using Result = std::decay_t<decltype(make(0, std::declval<MadeImage&>()))>;
  struct Made {
    int number = 0;
    MadeImage image;
  };
  struct Taken {
    int number = 0;
    Result result;
  };
  using MadePointer = std::shared_ptr<Made>;
  using TakenPointer = std::shared_ptr<Taken>;

  SeriesProgress progress(options.progress, wanted.size());
  std::mutex mutex;  // guards what follows
  std::vector<std::pair<int, std::shared_ptr<Sweep>>> idle_sweeps;
  std::vector<Image> idle_images;
  int sweeps = 0;
  const auto options_of = [&](int worker) {
    ComputeOptions own = options;
    own.progress = [&progress, worker](double share) { return progress(worker, share); };
    return own;
  };
  const auto first_sweep = std::make_shared<Sweep>(series, options_of(sweeps));
  idle_sweeps.emplace_back(sweeps, first_sweep);
  ++sweeps;

  const auto make_image = [&](Sweep& sweep, int number, Image used) {
    if (count_seed)
      if (auto counted = sweep.counted_by_engine(number, count_seed(number)))
        return MadeImage{std::move(counted->simulation), std::move(counted->counted)};
    return MadeImage{sweep.simulation(number, std::move(used)), std::nullopt};
  };

  /// Below it threads wait for each other more than they compute.
  constexpr std::size_t small_pixels = std::size_t{1} << 20;
  const bool small = first_sweep->pixels() < small_pixels;
  const auto render = [&](int number) {
    std::pair<int, std::shared_ptr<Sweep>> sweep;
    Image used;
    {
      const std::lock_guard lock(mutex);
      if (idle_sweeps.empty()) {
        sweep.first = sweeps++;
      } else {
        sweep = std::move(idle_sweeps.back());
        idle_sweeps.pop_back();
      }
      if (!idle_images.empty()) {
        used = std::move(idle_images.back());
        idle_images.pop_back();
      }
    }
    if (!sweep.second)
      sweep.second = std::make_shared<Sweep>(*first_sweep, options_of(sweep.first));
    auto made = std::make_shared<Made>(
        Made{number, make_image(*sweep.second, number, std::move(used))});
    progress.finish_image(sweep.first);
    const std::lock_guard lock(mutex);
    idle_sweeps.push_back(std::move(sweep));
    return made;
  };
  std::size_t next = 0;
  const auto next_number = [&](tbb::flow_control& control) {
    if (next == wanted.size()) control.stop();
    return next == wanted.size() ? 0 : wanted[next++];
  };
  const auto make_result = [&](const MadePointer& made) {
    auto taken = std::make_shared<Taken>(Taken{made->number, make(made->number, made->image)});
    const std::lock_guard lock(mutex);
    idle_images.push_back(std::move(made->image.simulation.image));
    return taken;
  };
  const auto take_result = [&](const TakenPointer& taken) {
    take(taken->number, std::move(taken->result));
  };
  using tbb::filter_mode;
  engine::with_threads(options.threads, [&] {
    const auto threads = static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
    const std::size_t in_memory = small ? threads + 2 : 3;
    tbb::parallel_pipeline(
        in_memory,
        tbb::make_filter<void, int>(filter_mode::serial_in_order, next_number) &
            tbb::make_filter<int, MadePointer>(
                small ? filter_mode::parallel : filter_mode::serial_in_order, render) &
            tbb::make_filter<MadePointer, TakenPointer>(filter_mode::parallel, make_result) &
            tbb::make_filter<TakenPointer, void>(filter_mode::serial_in_order, take_result));
  });
}

}  // namespace nablabragg
