#include "engine/cutoff.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>

#include "engine/driver.hpp"  // for Watch
#include "engine/pixel_sum.hpp"
#include "engine/threads.hpp"

namespace nablabragg::engine {

namespace {

/// Does any step of the pixel have a neighbourhood that is not in the table, lit or not?
bool may_miss(const Plan& plan, const PlanPanel& panel, const GridView& grid, int fast, int slow,
              const UntilStopped& until) {
  SubPixel at;
  for (at.layer = 0; at.layer < panel.sensor.layers; ++at.layer)
    for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
        place(panel, plan.oversample, double(fast), double(slow), at);
        if (!until.goes_on()) return false;
        for (const PlanRay& ray : plan.light.rays) {
          const Vec3d q = ray.wavenumber * (at.direction - ray.incident);
          for (const Mat3d& axes : plan.lattice.orientations)
            if (!grid.surrounds(axes * q)) return true;
        }
      }
  return false;
}

/// Among the pixels of a row.
std::optional<TableMiss> first_miss_between(const Plan& plan, const PlanPanel& panel,
                                            const GridView& grid, int begin, int end, int slow,
                                            const UntilStopped& until) {
  for (int fast = begin; fast < end; ++fast) {
    if (!panel.visits(fast, slow) || !may_miss(plan, panel, grid, fast, slow, until)) continue;
    const PixelSum pixel = sum_pixel(plan, panel, grid, fast, slow, all_steps, until);
    if (pixel.first_miss != all_steps) return TableMiss{fast, slow, 0, pixel.first_miss};
  }
  return std::nullopt;
}

/// Squares of pixels none of whose steps can leave the table.
class SafeSquares {
 public:
  static constexpr int side = 32;
  /// Where the square of a pixel ends.
  static int end_of(int pixel) { return (pixel / side + 1) * side; }

  SafeSquares(const Plan& plan, const PlanPanel& panel, const GridView& grid,
              const UntilStopped& until)
      : across_(panel.frame.fast_pixels / side + 1),
        safe_(static_cast<std::size_t>(across_) *
              static_cast<std::size_t>(panel.frame.slow_pixels / side + 1)) {
    if (panel.frame.curvature != Curvature::flat) return;
    tbb::parallel_for(std::size_t{0}, safe_.size(), [&](std::size_t index) {
      safe_[index] = is_safe(plan, panel, grid, static_cast<int>(index) % across_ * side,
                             static_cast<int>(index) / across_ * side, until);
    });
  }

  bool holds(int fast, int slow) const {
    return safe_[static_cast<std::size_t>(slow / side) * static_cast<std::size_t>(across_) +
                 static_cast<std::size_t>(fast / side)] != 0;
  }

 private:
  static bool is_safe(const Plan& plan, const PlanPanel& panel, const GridView& grid, int fast,
                      int slow, const UntilStopped& until) {
    const PlanFrame& f = panel.frame;
    const double half_depth = panel.sensor.layer_step * (panel.sensor.layers - 1) / 2;
    const Vec3d middle = (f.pixel * (fast + side / 2.0)) * f.fast +
                         (f.pixel * (slow + side / 2.0)) * f.slow + half_depth * f.normal +
                         f.origin;
    const double distance = length(middle),
                 reach = f.pixel * std::max(1.0, f.slow_edge) * side + half_depth;
    if (reach >= distance / 2) return false;
    const double spread = reach / (distance - reach);
    const Vec3d direction = (1 / distance) * middle;
    for (const PlanRay& ray : plan.light.rays) {
      if (!until.goes_on()) return false;
      const Vec3d q = ray.wavenumber * (direction - ray.incident);
      for (const Mat3d& axes : plan.lattice.orientations) {
        const Vec3d h = axes * q, edges{length(axes.a), length(axes.b), length(axes.c)};
        const Vec3d span = (ray.wavenumber * spread) * edges;
        if (!grid.surrounds(h - span) || !grid.surrounds(h + span)) return false;
      }
    }
    return true;
  }

  int across_;
  std::vector<char> safe_;
};

}  // namespace

std::optional<TableMiss> find_first_miss(const Plan& plan, int panel_number,
                                         const StopFlag& stopped) {
  const PlanPanel& panel = plan.panels[static_cast<std::size_t>(panel_number)];
  const GridView grid(plan.lattice.grid.get());
  const UntilStopped until(stopped);
  const SafeSquares safe(plan, panel, grid, until);
  const RegionOfInterest& roi = panel.roi;
  std::vector<std::optional<TableMiss>> misses(
      static_cast<std::size_t>(roi.slow_max - roi.slow_min + 1));
  std::atomic<int> first_row{roi.slow_max + 1};
  tbb::parallel_for(
      tbb::blocked_range<int>(roi.slow_min, roi.slow_max + 1, 1),
      [&](const tbb::blocked_range<int>& rows) {
        for (int slow = rows.begin(); slow != rows.end(); ++slow) {
          std::optional<TableMiss> miss;
          for (int begin = roi.fast_min; begin <= roi.fast_max && !miss;
               begin = SafeSquares::end_of(begin)) {
            if (slow > first_row.load(std::memory_order_relaxed)) return;
            if (safe.holds(begin, slow)) continue;
            const int end = std::min(SafeSquares::end_of(begin), roi.fast_max + 1);
            miss = first_miss_between(plan, panel, grid, begin, end, slow, until);
          }
          if (!miss) continue;
          misses[static_cast<std::size_t>(slow - roi.slow_min)] = miss;
          int known = first_row.load(std::memory_order_relaxed);
          while (slow < known && !first_row.compare_exchange_weak(known, slow)) {
          }
        }
      },
      tbb::simple_partitioner{});
  for (auto& miss : misses)
    if (miss) {
      miss->panel = panel_number;
      return miss;
    }
  return std::nullopt;
}

std::int64_t interpolating_lookups(const Plan& plan, const std::optional<TableMiss>& miss,
                                   const PixelIndex& pixel) {
  if (!plan.lattice.tricubic) return 0;
  if (!miss || plan.lattice.out_of_range != OutOfRange::nearest_for_all) return all_steps;
  if (pixel.slow != miss->slow) return pixel.slow < miss->slow ? all_steps : 0;
  if (pixel.fast != miss->fast) return pixel.fast < miss->fast ? all_steps : 0;
  return miss->lookup;
}

InterpolationCutoff::InterpolationCutoff(const Plan& plan, bool wants_misses,
                                         const ComputeOptions& options)
    : plan_(plan), misses_(plan.panels.size()) {
  if (!plan.lattice.tricubic) return;
  if (!wants_misses && plan.lattice.out_of_range != OutOfRange::nearest_for_all) return;
  Watch watch(options, 1);
  for (std::size_t i = 0; i < misses_.size(); ++i)
    misses_[i] = find_first_miss(plan, static_cast<int>(i), watch.stopped());
  watch.check();
}

std::optional<TableMiss> InterpolationCutoff::first_miss() const {
  for (const auto& miss : misses_)
    if (miss) return miss;
  return std::nullopt;
}

const InterpolationCutoff& RememberedCutoff::get(bool wants_misses) {
  if (!found_ || (wants_misses && !knows_misses_))
    with_threads(options_.threads, [&] { found_.emplace(plan_, wants_misses, options_); });
  knows_misses_ = knows_misses_ || wants_misses;
  return *found_;
}

}  // namespace nablabragg::engine
