// The images of an ensemble, made by all threads and handed on in their order.
#pragma once
#include <tbb/parallel_pipeline.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "api/series_images.hpp"  // for SeriesProgress
#include "engine/threads.hpp"
#include "ensemble/ensemble.hpp"
#include "ensemble/shot_images.hpp"

namespace nablabragg::ensemble {

/// Calls `make(shot, simulation)` for each shot that `next()` names, until it names none, on any
/// thread and several at a time, and `take(result)` with what that returned, one at a time and in
/// their order.  Large images are shared among the threads, of small ones each thread makes its
/// own.  `options.progress` hears how far `shots` of them are.  Throws what ShotImages and the
/// three throw, and Cancelled.
template <class Next, class Make, class Take>
void make_shots(const Ensemble& ensemble, std::size_t shots, const ComputeOptions& options,
                Next&& next, Make&& make, Take&& take) {
  using Result = std::decay_t<decltype(make(std::declval<Shot&>(), std::declval<Simulation&>()))>;
  struct Made {
    Shot shot;
    Simulation simulation;
  };
  using MadePointer = std::shared_ptr<Made>;
  using ResultPointer = std::shared_ptr<Result>;
  struct Worker {
    int number = 0;
    std::shared_ptr<ShotImages> images;
  };

  SeriesProgress progress(options.progress, shots);
  std::mutex mutex;  // guards what follows
  std::vector<Worker> idle;
  std::vector<Image> used_images;
  std::shared_ptr<ShotImages> first;
  int workers = 0;
  const auto options_of = [&](int worker) {
    ComputeOptions own = options;
    own.progress = [&progress, worker](double share) { return progress(worker, share); };
    return own;
  };
  const auto make_image = [&](int i) {
    Worker worker;
    Image used;
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        worker = std::move(idle.back());
        idle.pop_back();
      } else {
        worker.number = workers++;
      }
      if (!used_images.empty()) {
        used = std::move(used_images.back());
        used_images.pop_back();
      }
    }
    if (!worker.images)
      worker.images = std::make_shared<ShotImages>(*first, options_of(worker.number));
    auto made = std::make_shared<Made>(Made{ensemble.shot(i), {}});
    made->simulation = worker.images->simulation(made->shot, std::move(used));
    progress.finish_image(worker.number);
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(worker));
    return made;
  };
  using tbb::filter_mode;
  engine::with_threads(options.threads, [&] {
    // The first one alone: it prepares what the others share.
    const auto first_number = next();
    if (!first_number) return;
    idle.push_back({workers++, std::make_shared<ShotImages>(ensemble, options_of(0))});
    first = idle.back().images;
    MadePointer first_made = make_image(*first_number);
    constexpr std::size_t small_pixels = std::size_t{1} << 20;  // as in make_images()
    const bool small = first_made->simulation.image.pixels.size() < small_pixels;

    bool first_is_out = false;
    const auto number = [&](tbb::flow_control& control) {
      if (!std::exchange(first_is_out, true)) return *first_number;
      const auto i = next();
      if (!i) control.stop();
      return i.value_or(0);
    };
    const auto render = [&](int i) {
      return i == *first_number ? std::exchange(first_made, nullptr) : make_image(i);
    };
    const auto make_result = [&](const MadePointer& made) {
      auto result = std::make_shared<Result>(make(made->shot, made->simulation));
      const std::lock_guard lock(mutex);
      used_images.push_back(std::move(made->simulation.image));
      return result;
    };
    const auto take_result = [&](const ResultPointer& result) { take(std::move(*result)); };
    const auto threads = static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
    tbb::parallel_pipeline(
        small ? threads + 2 : 3,
        tbb::make_filter<void, int>(filter_mode::serial_in_order, number) &
            tbb::make_filter<int, MadePointer>(
                small ? filter_mode::parallel : filter_mode::serial_in_order, render) &
            tbb::make_filter<MadePointer, ResultPointer>(filter_mode::parallel, make_result) &
            tbb::make_filter<ResultPointer, void>(filter_mode::serial_in_order, take_result));
  });
}

}  // namespace nablabragg::ensemble
