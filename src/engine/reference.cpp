#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "engine/engine.hpp"
#include "engine/pixel_sum.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::engine {

namespace {

enum class Lookups { interpolated, nearest };

class Renderer {
 public:
  Renderer(const Plan& plan, std::span<float> pixels, const ComputeOptions& options)
      : plan_(plan),
        panel_(plan.panels.front()),
        grid_(plan.lattice.grid.get()),
        pixels_(pixels),
        options_(options),
        rows_(static_cast<std::size_t>(panel_.roi.slow_max - panel_.roi.slow_min + 1)),
        steps_of_pixel_(steps_of_pixel(plan, panel_)) {}

  Report run() {
    for_each_row([&](int slow) {
      // Past a known miss of the latch everything is nearest, whatever an earlier row may still
      // find.
      const bool interpolate = plan_.lattice.tricubic &&
                               slow <= first_latched_row_.load(std::memory_order_relaxed);
      return render_row(slow, interpolate ? Lookups::interpolated : Lookups::nearest);
    });
    Report report;
    if (plan_.lattice.tricubic) report.miss = first_miss();
    if (report.miss && plan_.lattice.out_of_range == OutOfRange::nearest_for_all)
      apply_latch(*report.miss);
    report.used = {"reference", "-engine reference", "", steps_, 0};
    for (const Row& row : rows_) report.solid_angle_sum += row.solid_angle_sum;
    return report;
  }

 private:
  struct Row {
    double solid_angle_sum = 0;
    Lookups lookups = Lookups::nearest;
    std::optional<TableMiss> miss;
  };

  Row& row_at(int slow) { return rows_[static_cast<std::size_t>(slow - panel_.roi.slow_min)]; }

  template <class Body>
  void for_each_row(Body&& body) {
    tbb::task_group_context context;
    std::atomic<int> done{0};
    std::atomic<bool> stopped{false};
    std::mutex reporting;
    const auto total = static_cast<double>(rows_.size());
    const auto body_and_progress = [&](const tbb::blocked_range<int>& range) {
      WorkSpan span;
      span.begin = std::chrono::steady_clock::now();
      for (int slow = range.begin(); slow != range.end() && !stopped; ++slow) {
        span.steps += body(slow) * steps_of_pixel_;
        const int finished = ++done;
        if (!options_.progress) continue;
        const std::unique_lock lock(reporting, std::try_to_lock);
        if (lock && !options_.progress(finished / total)) stopped = true;
      }
      span.end = std::chrono::steady_clock::now();
      steps_ += span.steps;
      if (options_.on_work) options_.on_work(span);
    };
    tbb::parallel_for(tbb::blocked_range<int>(panel_.roi.slow_min, panel_.roi.slow_max + 1),
                      body_and_progress, tbb::auto_partitioner{}, context);
    if (stopped) throw Cancelled();
  }

  /// Returns the number of pixels.
  std::int64_t render_row(int slow, Lookups lookups) {
    Row& row = row_at(slow);
    row.lookups = lookups;
    row.solid_angle_sum = 0;
    std::int64_t pixels = 0;
    for (int fast = panel_.roi.fast_min; fast <= panel_.roi.fast_max; ++fast) {
      if (!panel_.visits(fast, slow)) continue;
      ++pixels;
      const PixelSum pixel = put(fast, slow, lookups == Lookups::interpolated ? all_steps : 0);
      row.solid_angle_sum += pixel.solid_angle_sum;
      if (pixel.first_miss != all_steps && !row.miss) {
        row.miss = TableMiss{fast, slow, pixel.first_miss};
        if (plan_.lattice.out_of_range == OutOfRange::nearest_for_all) {
          latch_at(slow);
          lookups = Lookups::nearest;  // right if no earlier row misses; if one does, the row is
                                       // computed again
        }
      }
    }
    return pixels;
  }

  PixelSum put(int fast, int slow, std::int64_t tricubic_steps) {
    const PixelSum pixel = sum_pixel(plan_, panel_, grid_, fast, slow, tricubic_steps, NoVisitor{});
    pixels_[panel_.offset_of(fast, slow)] = static_cast<float>(pixel.photons);
    return pixel;
  }

  void latch_at(int slow) {
    int known = first_latched_row_.load(std::memory_order_relaxed);
    while (slow < known && !first_latched_row_.compare_exchange_weak(known, slow)) {
    }
  }

  std::optional<TableMiss> first_miss() const {
    for (const Row& row : rows_)
      if (row.miss) return row.miss;
    return std::nullopt;
  }

  /// Raster order decides: what follows the first miss is computed again without interpolation.
  void apply_latch(const TableMiss& miss) {
    put(miss.fast, miss.slow, miss.lookup);
    for_each_row([&](int slow) {
      // The same steps over again: they are not counted twice.
      if (slow > miss.slow && row_at(slow).lookups == Lookups::interpolated)
        render_row(slow, Lookups::nearest);
      return std::int64_t{0};
    });
  }

  const Plan& plan_;
  const PlanPanel& panel_;
  const GridView grid_;
  std::span<float> pixels_;
  const ComputeOptions& options_;
  std::vector<Row> rows_;
  const std::int64_t steps_of_pixel_;
  std::atomic<std::int64_t> steps_{0};
  std::atomic<int> first_latched_row_{std::numeric_limits<int>::max()};
};

}  // namespace

Report render_reference(const Plan& plan, std::span<float> pixels, const ComputeOptions& options) {
  return with_threads(options.threads, [&] { return Renderer(plan, pixels, options).run(); });
}

}  // namespace nablabragg::engine
