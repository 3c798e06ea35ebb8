// The cpu engine: tiles of pixels shared among threads, each computed by a kernel of the best
// instruction set at hand.  The tiles follow from the image alone, so its bits do not depend on the
// number of threads.
#include <atomic>
#include <numeric>

#include "engine/closed/closed.hpp"
#include "engine/cpu/add_background.hpp"
#include "engine/cpu/kernels.hpp"
#include "engine/cpu/table_spread.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/cutoff.hpp"
#include "engine/driver.hpp"
#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "physics/shapes.hpp"
#if NABLA_GRADIENTS
#include "engine/cpu/derivatives.hpp"
#endif

namespace nablabragg::engine {

class CpuDerivatives;

namespace {

class CpuLoaded final : public Loaded {
 public:
  CpuLoaded(const Plan& plan, const ComputeOptions& options)
      : Loaded(plan, options), kernels_(kernels_of_this_machine()) {}

  Report render_spots(const Pixels& pixels, std::span<float> values) override {
    return rendered(pixels, values);
  }
  Report render_spots(const Pixels& pixels, std::span<double> values) override {
    return rendered(pixels, values);
  }

 private:
#if NABLA_GRADIENTS
  PlanGradient pull_back_finite(const Pixels& pixels, std::span<const double> weights) override {
    return derivatives().pull_back(pixels, weights);
  }
  void push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, std::span<double> photons,
                           std::span<double> slopes) override {
    derivatives().push_forward(pixels, tangents, table_tangent, photons, slopes);
  }
  CpuDerivatives& derivatives() {
    if (!derivatives_)
      derivatives_ = std::make_shared<CpuDerivatives>(plan_, table(), cutoff_.get(false), options_);
    return *derivatives_;
  }
#else
  PlanGradient pull_back_finite(const Pixels&, std::span<const double>) override {
    throw_no_gradients();
  }
  void push_forward_finite(const Pixels&, std::span<const Plan* const>, const StructureFactorGrid*,
                           std::span<double>, std::span<double>) override {
    throw_no_gradients();
  }
#endif

  struct LoadedPanel {
    CpuPlan plan;
    std::string obstacle;  ///< why it is in double precision; empty: it is not
    Kernel nearest, tricubic;
  };

  // ---- What is prepared, when it is first asked for ---------------------------------------------

  void forget_light() override {
    panels_.clear();
    derivatives_.reset();
    cutoff_.forget();
  }
  void forget_lattice(bool same_table) override {
    forget_light();
    if (!same_table) table_.reset();
  }

  const SingleTable& table() {
    if (!table_) table_.emplace(plan_.lattice);
    return *table_;
  }
  const std::vector<LoadedPanel>& panels() {
    if (!panels_.empty()) return panels_;
    const Lookup nearest = plan_.lattice.grid ? Lookup::nearest : Lookup::constant;
    for (std::size_t i = 0; i < plan_.panels.size(); ++i) {
      std::string obstacle = options_.precision == Precision::float64 ? "-dtype float64"
                                                                      : needs_wide(plan_);
      if (obstacle.empty()) obstacle = why_table_needs_double(plan_.lattice, table());
      const auto kernel = obstacle.empty() ? kernels_.single : kernels_.wide;
      panels_.push_back(
          {make_cpu_plan(plan_, i, table(), options_.skip_below.value_or(default_skip_below)),
           obstacle, kernel(plan_.lattice.shape, nearest),
           kernel(plan_.lattice.shape, plan_.lattice.tricubic ? Lookup::tricubic : nearest)});
    }
    return panels_;
  }

  // ---- Images -----------------------------------------------------------------------------------

  template <class Number>
  Report rendered(const Pixels& pixels, std::span<Number> values) {
    const InterpolationCutoff& ends = cutoff_.get(pixels.all);
    panels();
    const Tiling tiling(plan_, pixels);
    std::vector<double> solid_angles(static_cast<std::size_t>(tiling.count()));
    anchored_ = others_ = 0;
    KeptBackground* const kept = tiling.of_image() ? kept_background() : nullptr;
    const auto render = [&](int index, const StopFlag& stopped) {
      Tile tile(stopped);
      tiling.fill(index, tile);
      TileSums sums;
      const WorkDone work = render_tile(ends, tile, sums, [&](TileSums& to) {
        add_background(kernels_, plan_, tile, index, tiling.count(), kept, to);
      });
      solid_angles[static_cast<std::size_t>(index)] = write_pixels(tiling, index, tile, sums,
                                                                   values);
      return work;
    };
    const WorkDone done = for_each_part(tiling.count(), options_, render);
    Report report;
    report.miss = ends.first_miss();
    report.solid_angle_sums.resize(plan_.panels.size());
    for (int i = 0; i < tiling.count(); ++i)
      report.solid_angle_sums[static_cast<std::size_t>(
          tiling.panel_of(i))] += solid_angles[static_cast<std::size_t>(i)];
    report.used = used(done);
    return report;
  }

  /// Into the image or list; returns the sum of solid angles [sr].
  template <class Number>
  double write_pixels(const Tiling& tiling, int index, const Tile& tile, const TileSums& sums,
                      std::span<Number> values) const {
    double solid_angle = 0;
    const auto write = [&](std::size_t i, std::size_t place) {
      values[place] = static_cast<Number>(sums.photons[i]);
      solid_angle += sums.solid_angle[i];
    };
    if (!tiling.of_image()) {
      tiling.for_each_wanted(index, tile, write);
      return solid_angle;
    }
    const PlanPanel& panel = plan_.panels[static_cast<std::size_t>(tile.panel)];
    const auto write_blocks = [&] {
      if constexpr (std::is_same_v<Number, float>)
        return kernels_.write_floats;
      else
        return kernels_.write_doubles;
    }();
    solid_angle = write_blocks(tile, sums, values.data() + panel.first_pixel,
                               static_cast<std::size_t>(panel.frame.fast_pixels));
    tiling.for_each_wanted_of_partial_blocks(tile, write);
    return solid_angle;
  }

  template <class AddBackground>
  WorkDone render_tile(const InterpolationCutoff& ends, const Tile& tile, TileSums& sums,
                       AddBackground&& add_background_to) {
    WorkDone done;
    if (tile.blocks == 0) return done;
    const LoadedPanel& panel = panels_[static_cast<std::size_t>(tile.panel)];
    done.steps = steps_of_pixel(plan_, *panel.plan.panel) * tile.wanted;
    const TileCutoff cutoff(plan_, ends, tile);
    (cutoff.none_interpolates() ? panel.nearest : panel.tricubic)(panel.plan, tile, sums);
    add_background_to(sums);
    if (!cutoff.none_interpolates() && !cutoff.all_interpolate()) {
      // The cutoff falls in this tile.
      TileSums after;
      panel.nearest(panel.plan, tile, after);
      add_background_to(after);
      for (std::size_t i = 0; i < static_cast<std::size_t>(tile.blocks) * block_pixels; ++i) {
        const std::int64_t steps = cutoff.lookups(i);
        if (steps == all_steps) continue;
        sums.photons[i] = after.photons[i];
        if (steps == 0) continue;
        sums.photons[i] = sum_pixel(plan_, *panel.plan.panel, panel.plan.grid,
                                    static_cast<int>(tile.fast[i]), static_cast<int>(tile.slow[i]),
                                    steps, UntilStopped(tile.stopped))
                              .photons;
      }
    }
    (sums.anchored ? anchored_ : others_).fetch_add(1, std::memory_order_relaxed);
    done.skipped = sums.skipped;
    return done;
  }

  /// Of the first panel, where they are not all alike.
  EngineUsed used(const WorkDone& done) const {
    const LoadedPanel& panel = panels_.front();
    const PlanLattice& lattice = plan_.lattice;
    const Lookup lookup = lattice.tricubic ? Lookup::tricubic
                          : lattice.grid   ? Lookup::nearest
                                           : Lookup::constant;
    EngineUsed used;
    used.instruction_set = kernels_.instruction_set;
    used.steps = done.steps;
    used.skipped = done.skipped;
    const char *shape = nullptr, *why_double = nullptr;
    physics::with_shape(lattice.shape, [&]<class Shape>() {
      shape = Shape::name;
      why_double = Shape::why_double;
    });
    used.kernel.append(shape).append(", ").append(name_of(lookup)).append(", ");
    if (!panel.obstacle.empty()) {
      used.kernel += "double precision";
      used.reason = panel.obstacle;
      return used;
    }
    const int anchored = anchored_, others = others_;
    if (panel.plan.bands) used.kernel += "bands of wavelengths, ";
    used.kernel += anchored >= others ? "phases from the middle of each block of pixels"
                                      : "phases in double precision";
    used.kernel += ", shapes in single precision";
    const auto share = std::to_string(anchored) + " of " + std::to_string(anchored + others) +
                       " tiles";
    if (!panel.plan.anchors_allowed)
      used.reason = "a curved detector or -dmin wants directions in double precision";
    else if (why_double)
      used.reason = why_double;
    else
      used.reason = "phases from the middle of a block are accurate enough in " + share;
    return used;
  }

  const KernelSet& kernels_;
  std::optional<SingleTable> table_;
  RememberedCutoff cutoff_{plan_, options_};
  std::vector<LoadedPanel> panels_;
  std::shared_ptr<CpuDerivatives> derivatives_;  ///< shared, as not every build knows the class
  std::atomic<int> anchored_{0}, others_{0};     ///< tiles
};

class CpuEngine final : public Engine {
 public:
  nablabragg::Engine id() const override { return nablabragg::Engine::cpu; }
  const char* name() const override { return "cpu"; }
  const char* description() const override {
    return "SIMD lanes, tiles and threads, in mixed or double precision";
  }
  std::string why_not_here() const override {
    try {
      kernels_of_this_machine();
    } catch (const UsageError& error) {
      return error.what();
    }
    return {};
  }
  std::string why_not(const Plan&, const ComputeOptions&) const override { return why_not_here(); }
  bool takes_several_F(const Plan& plan, const ComputeOptions&) const override {
    return !plan.lattice.tricubic;
  }
  std::unique_ptr<Loaded> load(const Plan& plan, const ComputeOptions& options) const override {
    if (plan.spread.closed) return load_closed(plan, options, options.precision);
    return std::make_unique<CpuLoaded>(plan, options);
  }
};

}  // namespace

const Engine& cpu_engine() {
  static const CpuEngine engine;
  return engine;
}

}  // namespace nablabragg::engine
