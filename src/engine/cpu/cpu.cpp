// The cpu engine: tiles of pixels shared among threads, each computed by a kernel of the best
// instruction set at hand.  The tiles follow from the image alone, so its bits do not depend on the
// number of threads.
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>

#include "engine/cpu/kernels.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/engine.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::engine {

namespace {

const char* name_of(CrystalShape shape) {
  switch (shape) {
    case CrystalShape::square:
      return "square";
    case CrystalShape::round:
      return "round";
    case CrystalShape::gauss:
      return "gauss";
    case CrystalShape::tophat:
      break;
  }
  return "top hat";
}

const char* name_of(Lookup lookup) {
  switch (lookup) {
    case Lookup::constant:
      return "one F";
    case Lookup::nearest:
      return "nearest F";
    case Lookup::tricubic:
      break;
  }
  return "tricubic F";
}

class CpuRenderer {
 public:
  CpuRenderer(const Plan& plan, const ComputeOptions& options)
      : plan_(plan),
        panel_(plan.panels.front()),
        options_(options),
        cpu_plan_(make_cpu_plan(plan, 0, options.skip_below)),
        steps_of_pixel_(steps_of_pixel(plan, panel_)),
        kernels_(kernels_of_this_machine()) {
    const std::string obstacle = needs_wide(plan, panel_);
    wide_ = options.precision == Precision::float64 || !obstacle.empty();
    reason_ = options.precision == Precision::float64 ? "-dtype float64" : obstacle;
    const Lookup nearest = plan.lattice.grid ? Lookup::nearest : Lookup::constant;
    const auto kernel = [&](Lookup lookup) {
      return (wide_ ? kernels_.wide : kernels_.single)(plan.lattice.shape, lookup);
    };
    nearest_ = kernel(nearest);
    tricubic_ = plan.lattice.tricubic ? kernel(Lookup::tricubic) : nearest_;
    used_.instruction_set = kernels_.instruction_set;
    used_.kernel.append(name_of(plan.lattice.shape)).append(", ");
    used_.kernel.append(name_of(plan.lattice.tricubic ? Lookup::tricubic : nearest)).append(", ");
  }

  template <class Number>
  Report image(std::span<Number> pixels) {
    Report report;
    if (plan_.lattice.tricubic) miss_ = report.miss = find_first_miss(plan_);
    const RegionOfInterest& roi = panel_.roi;
    const int left = roi.fast_min / tile_side, bottom = roi.slow_min / tile_side;
    const int across = roi.fast_max / tile_side - left + 1;
    const int upward = roi.slow_max / tile_side - bottom + 1;
    std::vector<double> solid_angles(static_cast<std::size_t>(across) *
                                     static_cast<std::size_t>(upward));
    for_each_tile(across * upward, [&](int index) {
      Tile tile;
      fill_tile(panel_, (left + index % across) * tile_side, (bottom + index / across) * tile_side,
                tile);
      TileSums sums;
      const WorkDone done = render(tile, sums);
      solid_angles[static_cast<std::size_t>(index)] = write_pixels(tile, sums, pixels);
      return done;
    });
    report.solid_angle_sum = std::accumulate(solid_angles.begin(), solid_angles.end(), 0.0);
    report.used = used();
    return report;
  }

  template <class Number>
  Report list(std::span<const PixelIndex> pixels, std::span<Number> values) {
    Report report;
    // nanoBragg's latch falls with a pixel of the whole panel, listed or not.
    if (plan_.lattice.tricubic && plan_.lattice.out_of_range == OutOfRange::nearest_for_all)
      miss_ = report.miss = find_first_miss(plan_);
    const std::vector<std::size_t> order = order_of_tiles(pixels);
    std::vector<PixelIndex> sorted;
    sorted.reserve(pixels.size());
    for (const std::size_t i : order) sorted.push_back(pixels[i]);

    const std::size_t tiles = (pixels.size() + tile_pixels - 1) / tile_pixels;
    std::vector<double> solid_angles(tiles);
    for_each_tile(static_cast<int>(tiles), [&](int index) {
      const std::size_t begin = static_cast<std::size_t>(index) * tile_pixels;
      const std::size_t count = std::min<std::size_t>(tile_pixels, sorted.size() - begin);
      Tile tile;
      fill_tile(std::span(sorted).subspan(begin, count), tile);
      TileSums sums;
      const WorkDone done = render(tile, sums);
      for (std::size_t i = 0; i < count; ++i) {
        values[order[begin + i]] = static_cast<Number>(sums.photons[i]);
        solid_angles[static_cast<std::size_t>(index)] += sums.solid_angle[i];
      }
      return done;
    });
    report.solid_angle_sum = std::accumulate(solid_angles.begin(), solid_angles.end(), 0.0);
    report.used = used();
    return report;
  }

 private:
  struct WorkDone {
    std::int64_t steps = 0, skipped = 0;
  };

  /// Into the image; returns the sum of solid angles [sr].
  template <class Number>
  double write_pixels(const Tile& tile, const TileSums& sums, std::span<Number> image) const {
    const RegionOfInterest& roi = panel_.roi;
    const auto width = static_cast<std::size_t>(panel_.frame.fast_pixels);
    const auto write_blocks = [&] {
      if constexpr (std::is_same_v<Number, float>)
        return kernels_.write_floats;
      else
        return kernels_.write_doubles;
    }();
    double solid_angle = write_blocks(tile, sums, image.data(), width);
    if (tile.wanted == tile.blocks * block_pixels) return solid_angle;
    for (std::size_t b = 0; b < static_cast<std::size_t>(tile.blocks); ++b) {
      if (tile.pixels[b] == block_pixels) continue;
      for (std::size_t i = b * block_pixels; i < (b + 1) * block_pixels; ++i) {
        const int fast = static_cast<int>(tile.fast[i]), slow = static_cast<int>(tile.slow[i]);
        if (fast < roi.fast_min || fast > roi.fast_max || slow < roi.slow_min ||
            slow > roi.slow_max || !panel_.visits(fast, slow))
          continue;
        image[static_cast<std::size_t>(slow) * width +
              static_cast<std::size_t>(fast)] = static_cast<Number>(sums.photons[i]);
        solid_angle += sums.solid_angle[i];
      }
    }
    return solid_angle;
  }

  WorkDone render(const Tile& tile, TileSums& sums) {
    WorkDone done;
    if (tile.blocks == 0) return done;
    done.steps = steps_of_pixel_ * tile.wanted;

    const std::size_t used = static_cast<std::size_t>(tile.blocks) * block_pixels;
    const auto interpolated = [&](std::size_t i) {
      return interpolating_lookups(plan_, miss_, static_cast<int>(tile.fast[i]),
                                   static_cast<int>(tile.slow[i]));
    };
    std::size_t all = plan_.lattice.tricubic ? used : 0, none = used - all;
    if (plan_.lattice.tricubic && miss_ &&
        plan_.lattice.out_of_range == OutOfRange::nearest_for_all) {
      all = none = 0;
      for (std::size_t b = 0; b < static_cast<std::size_t>(tile.blocks); ++b) {
        // Most blocks lie on one side of the row in which the latch falls.
        if (tile.middle_slow[b] + tile.half_slow[b] < miss_->slow) {
          all += block_pixels;
        } else if (tile.middle_slow[b] - tile.half_slow[b] > miss_->slow) {
          none += block_pixels;
        } else {
          for (std::size_t i = b * block_pixels; i < (b + 1) * block_pixels; ++i) {
            all += interpolated(i) == all_steps;
            none += interpolated(i) == 0;
          }
        }
      }
    }
    (none == used ? nearest_ : tricubic_)(cpu_plan_, tile, sums);
    if (all != used && none != used) {
      // The latch falls in this tile.
      TileSums after;
      nearest_(cpu_plan_, tile, after);
      for (std::size_t i = 0; i < used; ++i) {
        const std::int64_t steps = interpolated(i);
        if (steps == all_steps) continue;
        sums.photons[i] = after.photons[i];
        if (steps == 0) continue;
        sums.photons[i] = sum_pixel(plan_, panel_, cpu_plan_.grid, static_cast<int>(tile.fast[i]),
                                    static_cast<int>(tile.slow[i]), steps, NoVisitor{})
                              .photons;
      }
    }
    (sums.anchored ? anchored_ : others_).fetch_add(1, std::memory_order_relaxed);
    done.skipped = sums.skipped;
    return done;
  }

  template <class Body>
  void for_each_tile(int count, Body&& body) {
    tbb::task_group_context context;
    std::atomic<int> finished{0};
    std::atomic<std::int64_t> steps{0}, skipped{0};
    std::atomic<bool> stopped{false};
    std::mutex reporting;
    tbb::parallel_for(
        tbb::blocked_range<int>(0, count),
        [&](const tbb::blocked_range<int>& range) {
          WorkSpan span;
          span.begin = std::chrono::steady_clock::now();
          for (int index = range.begin(); index != range.end() && !stopped; ++index) {
            const WorkDone done = body(index);
            span.steps += done.steps;
            span.skipped += done.skipped;
            const int now = ++finished;
            if (!options_.progress) continue;
            const std::unique_lock lock(reporting, std::try_to_lock);
            if (lock && !options_.progress(static_cast<double>(now) / count)) stopped = true;
          }
          span.end = std::chrono::steady_clock::now();
          steps += span.steps;
          skipped += span.skipped;
          if (options_.on_work) options_.on_work(span);
        },
        tbb::auto_partitioner{}, context);
    if (stopped) throw Cancelled();
    used_.steps = steps;
    used_.skipped = skipped;
  }

  EngineUsed used() const {
    EngineUsed used = used_;
    if (wide_) {
      used.kernel += "double precision";
      used.reason = reason_;
      return used;
    }
    const int anchored = anchored_, others = others_;
    if (cpu_plan_.bands) used.kernel += "bands of wavelengths, ";
    used.kernel += anchored >= others ? "phases from the middle of each block of pixels"
                                      : "phases in double precision";
    used.kernel += ", shapes in single precision";
    const auto share = std::to_string(anchored) + " of " + std::to_string(anchored + others) +
                       " tiles";
    if (!cpu_plan_.anchors_allowed)
      used.reason = "a curved detector or -dmin wants directions in double precision";
    else if (plan_.lattice.shape == CrystalShape::gauss ||
             plan_.lattice.shape == CrystalShape::tophat)
      used.reason =
          "the exponent of a Gaussian and the sharp edge of a top hat want indices in double "
          "precision";
    else
      used.reason = "phases from the middle of a block are accurate enough in " + share;
    return used;
  }

  const Plan& plan_;
  const PlanPanel& panel_;
  const ComputeOptions& options_;
  const CpuPlan cpu_plan_;
  const std::int64_t steps_of_pixel_;
  const KernelSet& kernels_;
  bool wide_ = false;
  std::string reason_;
  Kernel nearest_ = nullptr, tricubic_ = nullptr;
  std::optional<TableMiss> miss_;
  EngineUsed used_;
  std::atomic<int> anchored_{0}, others_{0};
};

}  // namespace

template <class Number>
Report render_cpu(const Plan& plan, std::span<Number> pixels, const ComputeOptions& options) {
  return with_threads(options.threads, [&] { return CpuRenderer(plan, options).image(pixels); });
}

template <class Number>
Report render_cpu(const Plan& plan, std::span<const PixelIndex> list, std::span<Number> values,
                  const ComputeOptions& options) {
  return with_threads(options.threads,
                      [&] { return CpuRenderer(plan, options).list(list, values); });
}

template Report render_cpu(const Plan&, std::span<float>, const ComputeOptions&);
template Report render_cpu(const Plan&, std::span<double>, const ComputeOptions&);
template Report render_cpu(const Plan&, std::span<const PixelIndex>, std::span<float>,
                           const ComputeOptions&);
template Report render_cpu(const Plan&, std::span<const PixelIndex>, std::span<double>,
                           const ComputeOptions&);

}  // namespace nablabragg::engine
