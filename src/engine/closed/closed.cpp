// The sum over rotations, wavelengths, directions and phi in closed form: reflections -> spots ->
// the tiles that they reach -> pixels.
#include "engine/closed/closed.hpp"

#include <algorithm>
#include <optional>

#include "engine/closed/closed_gradient.hpp"
#include "engine/closed/spots_of_tiles.hpp"
#include "engine/cpu/add_background.hpp"
#include "engine/cpu/material_gradient.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/driver.hpp"
#include "engine/pixel_sum.hpp"
#include "nablabragg/error.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

static_assert(spots_tile_side == tile_side);

class ClosedLoaded final : public Loaded {
 public:
  ClosedLoaded(const Plan& plan, const ComputeOptions& options, Precision precision)
      : Loaded(plan, options), precision_(precision), kernels_(kernels_of_this_machine()) {}

  Report render_spots(const Pixels& pixels, std::span<float> values) override {
    return rendered(pixels, values);
  }
  Report render_spots(const Pixels& pixels, std::span<double> values) override {
    return rendered(pixels, values);
  }

 private:
  PlanGradient pull_back_finite(const Pixels& pixels, std::span<const double> weights) override;
  void push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, std::span<double> photons,
                           std::span<double> slopes) override;

  void forget_light() override { is_prepared_ = false; }
  void forget_lattice(bool) override { is_prepared_ = false; }

  struct Prepared {
    ClosedPlan plan;
    std::vector<SpotsOfTiles> tiles;  ///< of each panel
  };
  const Prepared& prepared() {
    if (is_prepared_) return prepared_;
    make_closed_plan(plan_, options_.skip_below.value_or(default_skip_below_closed), options_,
                     prepared_.plan);
    prepared_.tiles.clear();
    for (std::size_t i = 0; i < plan_.panels.size(); ++i)
      prepared_.tiles.emplace_back(plan_.panels[i].frame, prepared_.plan.panels[i]);
    is_prepared_ = true;
    return prepared_;
  }

  /// The spots that reach a tile; `room`: for those of a list's.
  static std::span<const std::uint32_t> spots_of(const Prepared& all, const Tiling& tiling,
                                                 int index, const Tile& tile,
                                                 std::vector<std::uint32_t>& room) {
    const SpotsOfTiles& tiles = all.tiles[static_cast<std::size_t>(tile.panel)];
    if (tiling.of_image()) {
      const auto [fast, slow] = tiling.corner_of(index);
      return tiles.at(fast, slow);
    }
    room.clear();
    std::span<const std::uint32_t> last;
    for (std::size_t i = 0; i < static_cast<std::size_t>(tile.blocks) * block_pixels; ++i) {
      const auto some = tiles.at(static_cast<int>(tile.fast[i]), static_cast<int>(tile.slow[i]));
      if (some.data() != last.data() || some.size() != last.size())
        room.insert(room.end(), some.begin(), some.end());
      last = some;
    }
    std::sort(room.begin(), room.end());
    room.erase(std::unique(room.begin(), room.end()), room.end());
    return room;
  }

  static WantedSpots spots_of_all(const Prepared& all, const Tiling& tiling) {
    WantedSpots wanted;
    for (const auto& spots : all.plan.panels) wanted.emplace_back(spots.size(), tiling.of_image());
    std::vector<std::uint32_t> room;
    for (int index = 0; index < tiling.count() && !tiling.of_image(); ++index) {
      Tile tile(never_stopped);
      tiling.fill(index, tile);
      for (const std::uint32_t spot : spots_of(all, tiling, index, tile, room))
        wanted[static_cast<std::size_t>(tile.panel)][spot] = 1;
    }
    return wanted;
  }

  /// Of all pixels; it follows from the panels.
  const Tiling& whole_image() {
    if (!whole_image_) whole_image_.emplace(plan_, Pixels{});
    return *whole_image_;
  }

  /// Whether no spot reaches the tile of an image.
  bool is_dark(const Prepared& all, const Tiling& tiling, int index) const {
    if (!tiling.of_image() || plan_.has_background()) return false;
    const auto [fast, slow] = tiling.corner_of(index);
    return all.tiles[static_cast<std::size_t>(tiling.panel_of(index))].at(fast, slow).empty();
  }

  const ClosedGradientKernelSet& gradient_kernels() const {
    if (!kernels_.closed_gradient)
      throw UsageError(
          "this program was built without gradients; ./dev build builds all of it (cmake "
          "-DNABLA_GRADIENTS=ON)");
    return kernels_.closed_gradient();
  }
  ClosedGradientKernel kernel_of(const ClosedGradientKernelSet& kernels) const {
    return (precision_ == Precision::float64 ? kernels.wide : kernels.single)(prepared_.plan.terms);
  }

  template <class Number>
  Report rendered(const Pixels& pixels, std::span<Number> values) {
    const Prepared& all = prepared();
    std::optional<Tiling> of_list;
    if (!pixels.all) of_list.emplace(plan_, pixels);
    const Tiling& tiling = of_list ? *of_list : whole_image();
    const auto kernel = (precision_ == Precision::float64
                             ? kernels_.closed().wide
                             : kernels_.closed().single)(all.plan.terms);
    KeptBackground* const kept = tiling.of_image() ? kept_background() : nullptr;
    std::vector<int> lit;
    for (int index = 0; index < tiling.count(); ++index)
      if (!is_dark(all, tiling, index)) lit.push_back(index);
    const auto compute = [&](int part, const StopFlag& stopped) -> WorkDone {
      const int index = lit[static_cast<std::size_t>(part)];
      Tile tile(stopped);
      tiling.fill(index, tile);
      if (tile.blocks == 0) return {};
      std::vector<std::uint32_t> room;
      TileSums sums;
      kernel(all.plan, spots_of(all, tiling, index, tile, room), tile, sums);
      add_background(kernels_, plan_, tile, index, tiling.count(), kept, sums);
      write_pixels(tiling, index, tile, sums, values);
      return {tile.wanted, 0};
    };
    const WorkDone done = for_each_part(static_cast<int>(lit.size()), options_, compute);
    Report report;
    if (pixels.all) {
      report.solid_angle_sums = solid_angles();
      report.written.emplace();
      for (const int index : lit) report.written->push_back(region_of(tiling, index));
    } else {
      report.solid_angle_sums.resize(plan_.panels.size());
    }
    report.used = used(all, done);
    return report;
  }

  /// What of a tile is in the region of interest.
  PanelRegion region_of(const Tiling& tiling, int index) const {
    const int panel = tiling.panel_of(index);
    const RegionOfInterest& roi = plan_.panels[static_cast<std::size_t>(panel)].roi;
    const auto [fast, slow] = tiling.corner_of(index);
    return {panel,
            {std::max(fast, roi.fast_min), std::min(fast + tile_side - 1, roi.fast_max),
             std::max(slow, roi.slow_min), std::min(slow + tile_side - 1, roi.slow_max)}};
  }

  template <class Number>
  void write_pixels(const Tiling& tiling, int index, const Tile& tile, const TileSums& sums,
                    std::span<Number> values) const {
    const auto write = [&](std::size_t i, std::size_t place) {
      values[place] = static_cast<Number>(sums.photons[i]);
    };
    if (!tiling.of_image()) return tiling.for_each_wanted(index, tile, write);
    const PlanPanel& panel = plan_.panels[static_cast<std::size_t>(tile.panel)];
    Number* image = values.data() + panel.first_pixel;
    const auto width = static_cast<std::size_t>(panel.frame.fast_pixels);
    if constexpr (std::is_same_v<Number, float>)
      kernels_.write_floats(tile, sums, image, width);
    else
      kernels_.write_doubles(tile, sums, image, width);
    tiling.for_each_wanted_of_partial_blocks(tile, write);
  }

  /// By the middle of each tile's pixels; they follow from the panels.
  const std::vector<double>& solid_angles() {
    if (!solid_angles_.empty()) return solid_angles_;
    std::vector<double>& sums = solid_angles_;
    sums.resize(plan_.panels.size());
    for (std::size_t p = 0; p < sums.size(); ++p) {
      const PlanPanel& panel = plan_.panels[p];
      const RegionOfInterest& roi = panel.roi;
      for (int slow = roi.slow_min; slow <= roi.slow_max; slow += tile_side)
        for (int fast = roi.fast_min; fast <= roi.fast_max; fast += tile_side) {
          const int right = std::min(fast + tile_side - 1, roi.fast_max),
                    top = std::min(slow + tile_side - 1, roi.slow_max);
          int wanted = (right - fast + 1) * (top - slow + 1);
          if (panel.mask) {
            wanted = 0;
            for (int y = slow; y <= top; ++y)
              for (int x = fast; x <= right; ++x) wanted += panel.visits(x, y);
          }
          if (wanted == 0) continue;
          for (int layer = 0; layer < panel.sensor.layers; ++layer) {
            const auto at = seen_at(static_cast<const PanelNumbers&>(panel), layer,
                                    plan_.oversample, 0.5 * (fast + right + 1),
                                    0.5 * (slow + top + 1));
            sums[p] += double(plan_.oversample) * plan_.oversample * wanted *
                       solid_angle(panel.frame, 1 / at.distance, panel.sensor.layer_step * layer);
          }
        }
    }
    return sums;
  }

  EngineUsed used(const Prepared& all, const WorkDone& done) const {
    EngineUsed used;
    used.kernel = kernel_in_words(all.plan, precision_);
    used.reason = plan_.spread.reason;
    used.instruction_set = kernels_.instruction_set;
    used.steps = done.steps;
    return used;
  }

  const Precision precision_;
  const KernelSet& kernels_;
  Prepared prepared_;
  bool is_prepared_ = false;
  std::optional<Tiling> whole_image_;
  std::vector<double> solid_angles_;
};

/// Adjoints of the terms that a plan has.
void add_adjoints(const ClosedPlan& plan, physics::GaussianSpot<double>& to,
                  const physics::GaussianSpot<double>& more) {
  physics::with_terms(plan.terms, [&]<bool band, bool slice, bool second>() {
    physics::for_each_used_number<band, slice, second>([](double& x, const double& y) { x += y; },
                                                       plan.diverges, to, more);
  });
}

using Weights = std::array<double, tile_pixels>;

PlanGradient ClosedLoaded::pull_back_finite(const Pixels& pixels, std::span<const double> weights) {
  const ClosedGradientKernelSet& kernels = gradient_kernels();
  const Prepared& all = prepared();
  const auto kernel = kernel_of(kernels);
  const Tiling tiling(plan_, pixels);
  PlanGradient total;
  total.adjoint = zero_plan(plan_);
  if (plan_.lattice.grid)
    total.table = std::make_shared<StructureFactorGrid>(plan_.lattice.grid->min(),
                                                        plan_.lattice.grid->max(), 0.0);
  std::vector<std::vector<ClosedSpotAdjoints>> spots;
  for (const auto& of_panel : all.plan.panels) spots.emplace_back(of_panel.size());
  struct OfTile {
    int panel;
    double value;
    std::vector<std::pair<std::uint32_t, ClosedSpotAdjoints>> spots;
  };
  struct Part {
    std::shared_ptr<Plan> adjoints;  ///< empty: all tiles were dark
    std::vector<OfTile> tiles;
  };
  const auto compute = [&](int first, int end, const StopFlag& stopped) {
    Part part;
    std::vector<std::uint32_t> room;
    for (int index = first; index < end && !stopped; ++index) {
      if (is_dark(all, tiling, index)) continue;
      Tile tile(stopped);
      Weights tile_weights{};
      tiling.fill(index, tile);
      if (tile.blocks == 0) continue;
      tiling.for_each_wanted(
          index, tile, [&](std::size_t i, std::size_t place) { tile_weights[i] = weights[place]; });
      if (std::all_of(tile_weights.begin(), tile_weights.end(), [](double w) { return w == 0; }))
        continue;
      if (!part.adjoints) part.adjoints = std::make_shared<Plan>(zero_plan(plan_));
      const auto numbers = spots_of(all, tiling, index, tile, room);
      std::vector<ClosedSpotAdjoints> of_spots(numbers.size());
      std::vector<std::uint32_t> blocks(numbers.size());
      ClosedSink sink;
      sink.blocks = blocks;
      sink.adjoints = part.adjoints.get();
      sink.spots = of_spots;
      kernel(all.plan, numbers, tile, tile_weights, sink);
      OfTile& done = part.tiles.emplace_back(OfTile{tile.panel, sink.value, {}});
      for (std::size_t i = 0; i < numbers.size(); ++i)
        if (of_spots[i].lit) done.spots.emplace_back(numbers[i], of_spots[i]);
    }
    return part;
  };
  const auto add = [&](const Part& part) {
    if (!part.adjoints) return;
    for_each_number_of_plan([](double& to, const double& more) { to += more; }, total.adjoint,
                            *part.adjoints);
    for (const auto& [panel, value, of_tile] : part.tiles) {
      total.value += value;
      for (const auto& [number, more] : of_tile) {
        ClosedSpotAdjoints& to = spots[static_cast<std::size_t>(panel)][number];
        add_adjoints(all.plan, to.spot, more.spot);
        to.d = to.d + more.d;
        to.light += more.light;
      }
    }
  };
  constexpr int tiles_per_batch = 64;
  add_in_order(tiling.count(), tiles_per_batch, options_, compute, add);
  pull_back_spots(all.plan, spots, kernels, options_, total);
  add_materials(plan_, pixels, weights, options_, total);
  return total;
}

void ClosedLoaded::push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                                       const StructureFactorGrid* table_tangent,
                                       std::span<double> photons, std::span<double> slopes) {
  const Prepared& all = prepared();
  const auto kernel = kernel_of(gradient_kernels());
  const Tiling tiling(plan_, pixels);
  const std::size_t columns = tangents.size();
  const WantedSpots wanted = spots_of_all(all, tiling);
  std::vector<ClosedTangent> of_spots;
  for (std::size_t t = 0; t < columns; ++t)
    of_spots.push_back(tangent_of_spots(all.plan, wanted, *tangents[t],
                                        t + 1 == columns ? table_tangent : nullptr, options_));
  for_each_part(tiling.count(), options_, [&](int index, const StopFlag& stopped) -> WorkDone {
    if (is_dark(all, tiling, index)) return {};
    Tile tile(stopped);
    Weights ones{};
    tiling.fill(index, tile);
    if (tile.blocks == 0) return {};
    tiling.for_each_wanted(index, tile, [&](std::size_t i, std::size_t) { ones[i] = 1; });
    std::vector<std::uint32_t> room;
    std::vector<double> changes(tile_pixels * columns), light(tile_pixels);
    ClosedSink sink;
    sink.photons = light.data();
    sink.tangents = of_spots;
    sink.slopes = changes.data();
    const auto numbers = spots_of(all, tiling, index, tile, room);
    std::vector<std::uint32_t> blocks(numbers.size());
    sink.blocks = blocks;
    kernel(all.plan, numbers, tile, ones, sink);
    tiling.for_each_wanted(index, tile, [&](std::size_t i, std::size_t place) {
      photons[place] = light[i];
      std::copy_n(changes.begin() + static_cast<std::ptrdiff_t>(i * columns), columns,
                  slopes.begin() + static_cast<std::ptrdiff_t>(place * columns));
    });
    return {tile.wanted, 0};
  });
  add_materials(plan_, pixels, tangents, options_, photons, slopes);
}

}  // namespace

std::unique_ptr<Loaded> load_closed(const Plan& plan, const ComputeOptions& options,
                                    Precision precision) {
  return std::make_unique<ClosedLoaded>(plan, options, precision);
}

}  // namespace nablabragg::engine
