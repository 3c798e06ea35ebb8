// The derivatives of the cpu engine: tiles shared among threads, their bars added up in the order
// of the tiles, so that the bits of a gradient do not depend on the number of threads.
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

#include "engine/cpu/gradient_kernels.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/engine.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

void BandBars::clear(std::size_t rows, std::size_t begin, std::size_t size) {
  begin_ = begin;
  size_ = size;
  bars_.wavenumber.assign(rows * size, 0.0F);
  bars_.weight.assign(rows * size, 0.0F);
}

namespace {

using Weights = std::array<double, tile_pixels>;

/// The tiles of an image or of a list of pixels, with the place of each of their pixels.
class Tiling {
 public:
  explicit Tiling(const PlanPanel& panel)
      : panel_(panel),
        left_(panel.roi.fast_min / tile_side),
        bottom_(panel.roi.slow_min / tile_side),
        across_(panel.roi.fast_max / tile_side - left_ + 1),
        count_(across_ * (panel.roi.slow_max / tile_side - bottom_ + 1)) {}
  Tiling(const PlanPanel& panel, std::span<const PixelIndex> list)
      : panel_(panel),
        order_(order_of_tiles(list)),
        count_(static_cast<int>((list.size() + tile_pixels - 1) / tile_pixels)) {
    sorted_.reserve(list.size());
    for (const std::size_t i : order_) sorted_.push_back(list[i]);
  }

  int count() const { return count_; }

  /// Fills the tile; `work(i, place)` for each of its wanted pixels: the pixel's number in the tile
  /// and in the image or list.
  template <class Work>
  void fill(int index, Tile& tile, Work&& work) const {
    if (!order_.empty()) {
      const std::size_t begin = static_cast<std::size_t>(index) * tile_pixels;
      const std::size_t size = std::min<std::size_t>(tile_pixels, sorted_.size() - begin);
      fill_tile(std::span(sorted_).subspan(begin, size), tile);
      for (std::size_t i = 0; i < size; ++i) work(i, order_[begin + i]);
      return;
    }
    fill_tile(panel_, (left_ + index % across_) * tile_side,
              (bottom_ + index / across_) * tile_side, tile);
    const RegionOfInterest& roi = panel_.roi;
    const auto width = static_cast<std::size_t>(panel_.frame.fast_pixels);
    for (std::size_t b = 0; b < static_cast<std::size_t>(tile.blocks); ++b) {
      if (tile.pixels[b] != block_pixels) continue;
      const std::size_t first = b * block_pixels;
      const std::size_t corner = static_cast<std::size_t>(tile.slow[first]) * width +
                                 static_cast<std::size_t>(tile.fast[first]);
      for (std::size_t y = 0; y < block_side; ++y)
        for (std::size_t x = 0; x < block_side; ++x)
          work(first + y * block_side + x, corner + y * width + x);
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(tile.blocks) * block_pixels; ++i) {
      if (tile.pixels[i / block_pixels] == block_pixels) continue;
      const int fast = static_cast<int>(tile.fast[i]), slow = static_cast<int>(tile.slow[i]);
      if (fast >= roi.fast_min && fast <= roi.fast_max && slow >= roi.slow_min &&
          slow <= roi.slow_max && panel_.visits(fast, slow))
        work(i, panel_.offset_of(fast, slow));
    }
  }

 private:
  const PlanPanel& panel_;
  std::vector<std::size_t> order_;  ///< of a list; empty: an image
  std::vector<PixelIndex> sorted_;
  int left_ = 0, bottom_ = 0, across_ = 1, count_;
};

/// Where there is one step only that a factor can come from, it may as well be that step's own.
Plan with_own_factors(Plan plan) {
  if (plan.oversample > 1 || plan.panels.front().sensor.layers > 1 ||
      plan.background.starting_sum != 0)
    return plan;
  const auto own = [](Apply& rule) {
    if (rule == Apply::once) rule = Apply::to_each_term;
  };
  own(plan.rules.solid_angle);
  own(plan.rules.capture);
  if (plan.light.rays.size() == 1) own(plan.rules.polarization);
  return plan;
}

/// The rays' part of a tangent, with zeros behind each band as CpuPlan has them.
BandNumbers band_tangent(const CpuPlan& p, const Plan& tangent) {
  BandNumbers numbers;
  const auto changes = [](const PlanRay& ray) { return ray.wavenumber != 0 || ray.weight != 0; };
  if (!p.bands || std::none_of(tangent.light.rays.begin(), tangent.light.rays.end(), changes))
    return numbers;
  numbers.wavenumber.resize(p.band_ray.size());
  numbers.weight.resize(p.band_ray.size());
  for (const Beam& beam : p.beams)
    for (int i = 0; i < beam.rays; ++i) {
      const int number = beam.first + i;
      const auto j = static_cast<std::size_t>(number);
      const PlanRay& ray = tangent.light.rays[static_cast<std::size_t>(p.band_ray[j])];
      numbers.wavenumber[j] = static_cast<float>(ray.wavenumber);
      numbers.weight[j] = static_cast<float>(ray.weight);
    }
  return numbers;
}

bool turns_crystal(const Plan& tangent) {
  const auto turns = [](const Mat3d& m) {
    return !(m.a == Vec3d{} && m.b == Vec3d{} && m.c == Vec3d{});
  };
  return std::any_of(tangent.lattice.orientations.begin(), tangent.lattice.orientations.end(),
                     turns);
}

class Derivatives {
 public:
  Derivatives(const Plan& plan, const ComputeOptions& options)
      : plan_(with_own_factors(plan)),
        options_(options),
        wide_(options.precision == Precision::float64 || options.engine == Engine::reference ||
              !needs_wide(plan_, plan_.panels.front()).empty()),
        cpu_plan_(
            make_cpu_plan(plan_, 0, options.skip_below, !wide_ && plan_.light.shared_directions)) {
    const KernelSet& kernels = kernels_of_this_machine();
    const auto kernel = wide_ ? kernels.wide_gradient : kernels.single_gradient;
    const auto shape = plan.lattice.shape;
    nearest_ = kernel(shape, plan.lattice.grid ? Lookup::nearest : Lookup::constant);
    tricubic_ = plan.lattice.tricubic ? kernel(shape, Lookup::tricubic) : nullptr;
    if (plan.lattice.tricubic && plan.lattice.out_of_range == OutOfRange::nearest_for_all)
      miss_ = find_first_miss(plan);
  }

  PlanGradient pull_back(const Tiling& tiling, std::span<const double> weights) {
    PlanGradient total;
    total.bars = zero_plan(plan_);
    if (plan_.lattice.grid)
      total.table = std::make_shared<StructureFactorGrid>(plan_.lattice.grid->min(),
                                                          plan_.lattice.grid->max(), 0.0);
    const int per_batch = tiles_per_batch(), batches = (tiling.count() + per_batch - 1) / per_batch;
    int next = 0, finished = 0;
    std::atomic<bool> stopped{false};
    const auto batch_number = [&](tbb::flow_control& control) {
      if (next == batches || stopped) control.stop();
      return next++;
    };
    const auto compute = [&](int batch) {
      auto sink = std::make_shared<GradientSink>();
      auto bars = std::make_shared<Plan>(zero_plan(plan_));
      sink->bars = bars.get();
      sink->wants_table = plan_.lattice.grid != nullptr;
      const int end = std::min(tiling.count(), (batch + 1) * per_batch);
      for (int index = batch * per_batch; index < end && !stopped; ++index) {
        Tile tile;
        Weights tile_weights{};
        bool lit = false;
        tiling.fill(index, tile, [&](std::size_t i, std::size_t place) {
          tile_weights[i] = weights[place];
          lit |= weights[place] != 0;
        });
        if (lit) run(tile, tile_weights, *sink, [] {});
      }
      return std::pair{sink, bars};
    };
    using Part = std::pair<std::shared_ptr<GradientSink>, std::shared_ptr<Plan>>;
    const auto add = [&](const Part& part) {
      total.value += part.first->value;
      for_each_number_of_plan([](double& to, const double& bar) { to += bar; }, total.bars,
                              *part.second);
      part.first->table.drain([&](std::int64_t offset, double bar) {
        total.table->values()[static_cast<std::size_t>(offset)] += bar / cpu_plan_.largest_F;
      });
      ++finished;
      if (options_.progress && !options_.progress(static_cast<double>(finished) / batches))
        stopped = true;
    };
    const int tokens = 2 * tbb::this_task_arena::max_concurrency();
    tbb::parallel_pipeline(
        static_cast<std::size_t>(tokens),
        tbb::make_filter<void, int>(tbb::filter_mode::serial_in_order, batch_number) &
            tbb::make_filter<int, Part>(tbb::filter_mode::parallel, compute) &
            tbb::make_filter<Part, void>(tbb::filter_mode::serial_in_order, add));
    if (stopped) throw Cancelled();
    return total;
  }

  void push_forward(const Tiling& tiling, std::span<const Plan* const> tangents,
                    const StructureFactorGrid* table_tangent, std::span<double> photons,
                    std::span<double> slopes) {
    const std::size_t columns = tangents.size();
    std::vector<Tangent> directions;
    for (const Plan* tangent : tangents)
      directions.push_back({tangent, turns_crystal(*tangent), band_tangent(cpu_plan_, *tangent)});
    std::atomic<int> finished{0};
    std::atomic<bool> stopped{false};
    std::mutex reporting;
    tbb::parallel_for(0, tiling.count(), [&](int index) {
      if (stopped) return;
      Tile tile;
      Weights ones{};
      std::vector<std::pair<std::size_t, std::size_t>> places;
      tiling.fill(index, tile, [&](std::size_t i, std::size_t place) {
        ones[i] = 1;
        places.emplace_back(i, place);
      });
      std::vector<double> changes(tile_pixels * columns);
      GradientSink sink;
      sink.tangents = directions;
      sink.slopes = changes.data();
      if (table_tangent) sink.table_tangent = table_tangent->values().data();
      const auto keep = [&] {
        for (const auto& [i, place] : places) {
          photons[place] += sink.photons[i];
          for (std::size_t t = 0; t < columns; ++t)
            slopes[place * columns + t] += changes[i * columns + t];
        }
      };
      run(tile, ones, sink, keep);
      const int now = ++finished;
      if (!options_.progress) return;
      const std::unique_lock lock(reporting, std::try_to_lock);
      if (lock && !options_.progress(static_cast<double>(now) / tiling.count())) stopped = true;
    });
    if (stopped) throw Cancelled();
  }

 private:
  /// `keep` is called after each kernel.
  template <class Keep>
  void run(const Tile& tile, const Weights& weights, GradientSink& sink, Keep&& keep) const {
    if (!plan_.lattice.tricubic) {
      nearest_(cpu_plan_, tile, weights, sink);
      return keep();
    }
    // Behind the latch all is nearest, and so is the pixel in which it falls.
    Weights interpolated = weights, after{};
    bool any_after = false, any_before = false;
    for (std::size_t i = 0; i < tile_pixels; ++i) {
      if (weights[i] == 0) continue;
      const bool before = interpolating_lookups(plan_, miss_, static_cast<int>(tile.fast[i]),
                                                static_cast<int>(tile.slow[i])) == all_steps;
      (before ? any_before : any_after) = true;
      if (!before) std::swap(interpolated[i], after[i]);
    }
    if (any_before) {
      tricubic_(cpu_plan_, tile, interpolated, sink);
      keep();
    }
    if (any_after) {
      nearest_(cpu_plan_, tile, after, sink);
      keep();
    }
  }

  /// Enough of them that passing a batch on costs little.
  int tiles_per_batch() const {
    constexpr double steps_of_batch = 1e6;
    const double steps = static_cast<double>(steps_of_pixel(plan_, plan_.panels.front())) *
                         tile_pixels;
    return static_cast<int>(std::clamp(steps_of_batch / steps, 1.0, 64.0));
  }

  const Plan plan_;
  const ComputeOptions& options_;
  const bool wide_;  ///< in double precision
  const CpuPlan cpu_plan_;
  GradientKernel nearest_ = nullptr, tricubic_ = nullptr;
  std::optional<TableMiss> miss_;
};

}  // namespace

PlanGradient pull_back_cpu(const Plan& plan, std::span<const double> weights,
                           const ComputeOptions& options) {
  return with_threads(options.threads, [&] {
    return Derivatives(plan, options).pull_back(Tiling(plan.panels.front()), weights);
  });
}

PlanGradient pull_back_cpu(const Plan& plan, std::span<const PixelIndex> list,
                           std::span<const double> weights, const ComputeOptions& options) {
  return with_threads(options.threads, [&] {
    return Derivatives(plan, options).pull_back(Tiling(plan.panels.front(), list), weights);
  });
}

void push_forward_cpu(const Plan& plan, std::span<const Plan* const> tangents,
                      const StructureFactorGrid* table_tangent, std::span<const PixelIndex> list,
                      std::span<double> photons, std::span<double> slopes,
                      const ComputeOptions& options) {
  with_threads(options.threads, [&] {
    Derivatives(plan, options)
        .push_forward(Tiling(plan.panels.front(), list), tangents, table_tangent, photons, slopes);
  });
}

}  // namespace nablabragg::engine
