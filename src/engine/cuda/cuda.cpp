// The cuda engine: what of a plan goes to the device, when it goes there anew, and images cut into
// launches that fit into its memory and end soon enough to be stopped.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>

#include "engine/cpu/cpu_plan.hpp"
#include "engine/cpu/table_spread.hpp"
#include "engine/cuda/open_device.hpp"
#include "engine/cutoff.hpp"
#include "engine/driver.hpp"
#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::engine {

namespace {

using namespace cuda;

constexpr double steps_of_launch = 1e10;   ///< a tenth of a second
constexpr int least_pixels = 1 << 17;      ///< at once: fewer do not fill a card
constexpr double furthest_index = 524287;  ///< that the kernels' fixed-point numbers hold

class CudaLoaded final : public Loaded {
 public:
  CudaLoaded(const Plan& plan, const ComputeOptions& options)
      : Loaded(plan, options), opened_(open_device(options.device)) {}

  Report render(const Pixels& pixels, std::span<float> values) override {
    return rendered(pixels, values);
  }
  Report render(const Pixels& pixels, std::span<double> values) override {
    return rendered(pixels, values);
  }

 private:
  PlanGradient pull_back_finite(const Pixels&, std::span<const double>) override {
    throw UsageError(cuda_engine().why_no_gradients());
  }
  void push_forward_finite(const Pixels&, std::span<const Plan* const>, const StructureFactorGrid*,
                           std::span<double>, std::span<double>) override {
    throw UsageError(cuda_engine().why_no_gradients());
  }

  // ---- What is on the device, and is made when it is first asked for ----------------------------

  struct LoadedPanel {
    DevicePlan plan;
    Method method;
    std::string reason;  ///< of the method
    DeviceArray<unsigned char> keep;
  };

  void forget_light() override {
    panels_.clear();
    rays_ = {};
    cutoff_.reset();
    knows_misses_ = false;
  }
  void forget_lattice(bool same_table) override {
    panels_.clear();
    orientations_ = {};
    cutoff_.reset();
    knows_misses_ = false;
    if (same_table) return;
    table_.reset();
    F_ = {};
    grid_ = {};
  }

  Device& device() const { return *opened_->device; }

  const InterpolationCutoff& cutoff(bool wants_misses) {
    if (!cutoff_ || (wants_misses && !knows_misses_))
      with_threads(options_.threads, [&] { cutoff_.emplace(plan_, wants_misses, options_); });
    knows_misses_ = knows_misses_ || wants_misses;
    return *cutoff_;
  }

  const std::vector<LoadedPanel>& panels() {
    if (!panels_.empty()) return panels_;
    const PlanLattice& lattice = plan_.lattice;
    if (!table_) table_.emplace(lattice);
    if (rays_.size() == 0)
      rays_ = on_device(device(), plan_.light.rays.data(), plan_.light.rays.size());
    if (orientations_.size() == 0)
      orientations_ = on_device(device(), lattice.orientations.data(), lattice.orientations.size());
    for (std::size_t i = 0; i < plan_.panels.size(); ++i) panels_.push_back(loaded_panel(i));
    return panels_;
  }

  LoadedPanel loaded_panel(std::size_t number) {
    const PlanLattice& lattice = plan_.lattice;
    const CpuPlan of_cpu = make_cpu_plan(plan_, number, *table_,
                                         options_.skip_below.value_or(default_skip_below), false);
    LoadedPanel loaded{DevicePlan(PlanView(plan_, number)), Method::walk, {}, {}};
    DevicePlan& p = loaded.plan;
    p.view.light.rays = {rays_.data(), rays_.size()};
    p.view.lattice.orientations = {orientations_.data(), orientations_.size()};
    choose_method(of_cpu, loaded);
    if (const auto& mask = plan_.panels[number].mask)
      loaded.keep = on_device(device(), mask->keep.data(), mask->keep.size());

    p.grid = of_cpu.grid;
    if (lattice.grid) {
      if (loaded.method == Method::fixed_point && F_.size() == 0)
        F_ = on_device(device(), table_->F.data(), table_->F.size());
      if (loaded.method != Method::fixed_point && grid_.size() == 0)
        grid_ = on_device(device(), lattice.grid->values().data(), lattice.grid->values().size());
      p.F = F_.data();
      p.grid.values = grid_.data();
      for (std::size_t axis = 0; axis < 3; ++axis) {
        p.minimum[axis] = lattice.grid->min()[axis];
        p.extent[axis] = lattice.grid->extent(static_cast<int>(axis));
      }
    }
    p.default_F = of_cpu.default_F;
    p.largest_F = of_cpu.largest_F;
    p.wide_block = of_cpu.lattice;
    p.block.cells = vec3_as<float>(p.wide_block.cells);
    p.block.fudge = static_cast<float>(p.wide_block.fudge);
    p.block.metric = physics::metric_as<float>(p.wide_block.metric);
    const std::array cells{p.wide_block.cells.x, p.wide_block.cells.y, p.wide_block.cells.z};
    p.cells_are_whole = std::all_of(cells.begin(), cells.end(), [](double n) {
      return n == std::floor(n) && n < std::numeric_limits<int>::max();
    });
    for (std::size_t axis = 0; p.cells_are_whole && axis < 3; ++axis)
      p.whole_cells[axis] = static_cast<int>(cells[axis]);
    p.dark_radius2 = of_cpu.dark_radius2 > 0 ? static_cast<float>(of_cpu.dark_radius2)
                                             : std::numeric_limits<float>::infinity();
    p.unit = of_cpu.unit;
    p.starting_sum = plan_.scale * plan_.background.starting_sum / of_cpu.unit;
    p.ray_factors = of_cpu.ray_factors || plan_.dmin > 0;
    return loaded;
  }

  void choose_method(const CpuPlan& of_cpu, LoadedPanel& loaded) const {
    const PlanFrame& frame = of_cpu.panel->frame;
    if (plan_.rules.running() || (plan_.dmin > 0 && plan_.rules.once_polarization())) {
      loaded.reason = needs_wide(plan_);
    } else if (frame.curvature != Curvature::flat) {
      loaded.reason = "a curved detector wants directions in double precision";
    } else if (!(std::abs(of_cpu.unit) > 0 && std::isfinite(of_cpu.unit))) {
      loaded.reason = "structure factors or fluence leave no light";
    } else {
      loaded.method = Method::float64;
      if (options_.precision == Precision::float64)
        loaded.reason = "-dtype float64";
      else
        loaded.reason = needs_wide(plan_);
      if (loaded.reason.empty()) loaded.reason = why_table_needs_double(plan_.lattice, *table_);
      if (!loaded.reason.empty()) return;
      loaded.method = Method::float32;
      loaded.reason = why_no_fixed_point(of_cpu);
      if (!loaded.reason.empty()) return;
      loaded.method = Method::fixed_point;
      loaded.reason = "32 bits of an index are enough for so few cells";
    }
  }

  /// An index is good to 2^-31.  On the flank of a spot, where a pixel may be the brightest one,
  /// this times the number of cells and ten is the error; of a ball, whose phases are in single
  /// precision, 2^-24 takes its place.
  std::string why_no_fixed_point(const CpuPlan& of_cpu) const {
    if (!has_fixed_point(plan_.lattice.shape, lookup()))
      return lookup() == Lookup::tricubic ? "interpolation wants indices in double precision"
                                          : physics::Tophat::why_double;
    const Vec3d& cells = plan_.lattice.cells;
    const double most_cells = plan_.lattice.shape == CrystalShape::round ? 20 : 256;
    if (std::max({cells.x, cells.y, cells.z}) > most_cells)
      return "so many cells want indices in double precision";
    const double largest_edge = std::max({of_cpu.edges_m.x, of_cpu.edges_m.y, of_cpu.edges_m.z});
    if (2 * of_cpu.max_wavenumber * largest_edge > furthest_index)
      return "indices go beyond what fixed-point numbers hold";
    return {};
  }

  // ---- Images -----------------------------------------------------------------------------------

  template <class Number>
  Report rendered(const Pixels& pixels, std::span<Number> values) {
    const InterpolationCutoff& ends = cutoff(pixels.all);
    const std::lock_guard turn(opened_->turn);
    panels();
    WorkSpan span;
    span.begin = std::chrono::steady_clock::now();
    Report report;
    report.miss = ends.first_miss();
    report.solid_angle_sums.resize(plan_.panels.size());
    Watch watch(options_, static_cast<int>(plan_.panels.size()));
    for (std::size_t i = 0; i < plan_.panels.size(); ++i) {
      const std::int64_t wanted = pixels.all
                                      ? render_panel(i, watch, values, report.solid_angle_sums[i])
                                      : render_list(i, pixels.list, watch, values);
      report.used.steps += wanted * steps_of_pixel(plan_, plan_.panels[i]);
      watch.finish_part();
      watch.check();
    }
    interpolate_up_to_the_cutoff(ends, pixels, values);
    span.end = std::chrono::steady_clock::now();
    span.steps = report.used.steps;
    if (options_.on_work) options_.on_work(span);
    describe(report.used);
    return report;
  }

  /// The wanted rectangle of a panel, some rows at a time; returns the number of wanted pixels.
  template <class Number>
  std::int64_t render_panel(std::size_t number, Watch& watch, std::span<Number> values,
                            double& solid_angle) {
    const PlanPanel& panel = plan_.panels[number];
    const RegionOfInterest& roi = panel.roi;
    const LoadedPanel& loaded = panels_[number];
    const auto columns = static_cast<std::size_t>(roi.fast_max - roi.fast_min + 1),
               width = static_cast<std::size_t>(panel.frame.fast_pixels);
    if (roi.fast_max < roi.fast_min || roi.slow_max < roi.slow_min) return 0;
    DevicePixels all;
    all.fast_min = roi.fast_min;
    all.slow_min = roi.slow_min;
    all.columns = static_cast<int>(columns);
    all.rows = roi.slow_max - roi.slow_min + 1;
    all.keep = loaded.keep.data();
    const Launches launches = launches_of<Number>(loaded, all);
    const int rows_at_once = std::max(
        1, static_cast<int>(launches.pixels_at_once / static_cast<std::int64_t>(columns)));
    const DeviceArray<Number> on_card(
        device(), columns * static_cast<std::size_t>(std::min(rows_at_once, all.rows)));
    std::vector<Number> rows;
    for (int done = 0; done < all.rows && !watch.stopped(); done += rows_at_once) {
      DevicePixels some = all;
      some.slow_min += done;
      some.rows = std::min(rows_at_once, all.rows - done);
      if (loaded.keep.data()) device().clear(on_card.data(), on_card.bytes());
      solid_angle += compute(loaded, some, launches, watch, on_card.data());
      if (watch.stopped()) break;
      Number* const first = values.data() + panel.first_pixel +
                            panel.offset_of(some.fast_min, some.slow_min);
      if (columns == width) {
        device().download(first, on_card.data(), some.count() * sizeof(Number));
        continue;
      }
      rows.resize(some.count());
      device().download(rows.data(), on_card.data(), some.count() * sizeof(Number));
      for (std::size_t row = 0; row < static_cast<std::size_t>(some.rows); ++row)
        std::copy_n(rows.data() + row * columns, columns, first + row * width);
    }
    if (!panel.mask) return static_cast<std::int64_t>(columns) * all.rows;
    std::int64_t wanted = 0;
    for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow)
      for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast)
        wanted += panel.visits(fast, slow) ? 1 : 0;
    return wanted;
  }

  /// Those of a list that lie on a panel, some at a time; returns their number.
  template <class Number>
  std::int64_t render_list(std::size_t number, std::span<const PixelIndex> list, Watch& watch,
                           std::span<Number> values) {
    std::vector<ListedPixel> listed;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].panel != static_cast<int>(number)) continue;
      listed.push_back({list[i].fast, list[i].slow});
      places.push_back(i);
    }
    if (listed.empty()) return 0;
    const LoadedPanel& loaded = panels_[number];
    const auto at_device = on_device(device(), listed.data(), listed.size());
    DevicePixels all;
    all.list = at_device.data();
    all.listed = static_cast<int>(listed.size());
    const Launches launches = launches_of<Number>(loaded, all);
    const auto at_once = static_cast<int>(
        std::min<std::int64_t>(launches.pixels_at_once, all.listed));
    const DeviceArray<Number> on_card(device(), static_cast<std::size_t>(at_once));
    std::vector<Number> some_values(static_cast<std::size_t>(at_once));
    for (int done = 0; done < all.listed && !watch.stopped(); done += at_once) {
      DevicePixels some = all;
      some.list += done;
      some.listed = std::min(at_once, all.listed - done);
      compute(loaded, some, launches, watch, on_card.data());
      if (watch.stopped()) break;
      device().download(some_values.data(), on_card.data(), some.count() * sizeof(Number));
      for (std::size_t i = 0; i < some.count(); ++i)
        values[places[static_cast<std::size_t>(done) + i]] = some_values[i];
    }
    return all.listed;
  }

  /// How the work is cut.  Into which parts of pairs follows from the plan alone, for the same bits
  /// whatever memory is free.
  struct Launches {
    std::int64_t pixels_at_once = 0;
    int pairs = 0, pairs_at_once = 0, parts = 1;
    bool keeps_sums = false;  ///< pixels are not finished by the kernel that sums
  };

  template <class Number>
  Launches launches_of(const LoadedPanel& loaded, const DevicePixels& pixels) const {
    const PlanSensor& sensor = loaded.plan.view.panel.sensor;
    const double spots = double(sensor.layers) * plan_.oversample * plan_.oversample;
    const double pairs = double(plan_.light.rays.size()) *
                         double(plan_.lattice.orientations.size());
    Launches launches;
    launches.pairs = launches.pairs_at_once = static_cast<int>(pairs);
    const auto count = static_cast<std::int64_t>(pixels.count());
    const auto for_time = static_cast<std::int64_t>(
        std::min(double(count), std::max(double(least_pixels), steps_of_launch / (spots * pairs))));
    if (loaded.method != Method::walk) {
      const double at_once = steps_of_launch / (spots * double(for_time));
      constexpr int whole_parts = 64 * 32;  // see LaunchSize
      if (at_once < pairs)
        launches.pairs_at_once = std::max(1, static_cast<int>(at_once / whole_parts)) * whole_parts;
      RenderJob job = job_of(loaded, pixels);
      job.pairs = std::min(launches.pairs, launches.pairs_at_once);
      launches.parts = opened_->plugin->launch_size(job).parts;
      launches.keeps_sums = launches.parts > 1 || launches.pairs_at_once < launches.pairs ||
                            plan_.background.per_sr != 0;
    }
    const std::size_t bytes_of_pixel = sizeof(Number) +
                                       (launches.keeps_sums
                                            ? sizeof(double) * (1 + std::size_t(launches.parts))
                                            : 0);
    constexpr double share = 0.8;  // the driver's own needs grow with the kernels in use
    const auto for_memory = static_cast<std::int64_t>(share * double(device().free_bytes()) /
                                                      double(bytes_of_pixel));
    launches.pixels_at_once = std::min(for_time, for_memory);
    if (launches.pixels_at_once < std::min<std::int64_t>(count, std::max(1, pixels.columns)))
      throw DeviceError(
          "the GPU has no memory left for a row of pixels; end what else uses it, or "
          "take -device cpu");
    return launches;
  }

  RenderJob job_of(const LoadedPanel& loaded, const DevicePixels& pixels) const {
    RenderJob job;
    job.method = loaded.method;
    job.shape = plan_.lattice.shape;
    job.lookup = lookup();
    job.plan = &loaded.plan;
    job.pixels = pixels;
    return job;
  }
  Lookup lookup() const {
    return plan_.lattice.tricubic ? Lookup::tricubic
           : plan_.lattice.grid   ? Lookup::nearest
                                  : Lookup::constant;
  }

  /// Returns the sum of the solid angles of the pixels [sr].
  template <class Number>
  double compute(const LoadedPanel& loaded, const DevicePixels& pixels, const Launches& launches,
                 Watch& watch, Number* values) {
    RenderJob job = job_of(loaded, pixels);
    job.cutoff = device_cutoff(static_cast<int>(&loaded - panels_.data()));
    job.values = values;
    job.double_values = std::is_same_v<Number, double>;
    job.parts_count = launches.parts;
    DeviceArray<double> sums, parts;
    if (launches.keeps_sums) {
      sums = DeviceArray<double>(device(), pixels.count());
      parts = DeviceArray<double>(device(),
                                  pixels.count() * static_cast<std::size_t>(launches.parts));
      job.sums = sums.data();
      job.parts = parts.data();
    }
    const int blocks = opened_->plugin->launch_size(job).blocks;
    const DeviceArray<double> solid_angles(device(), static_cast<std::size_t>(blocks));
    for (int first = 0; first < launches.pairs && !watch.stopped();
         first += launches.pairs_at_once) {
      job.first_pair = first;
      job.pairs = std::min(launches.pairs_at_once, launches.pairs - first);
      job.is_first = first == 0;
      job.is_last = first + job.pairs == launches.pairs;
      job.solid_angles = job.is_first ? solid_angles.data() : nullptr;
      device().render(job);
      device().wait();
    }
    std::vector<double> of_blocks(solid_angles.size());
    device().download(of_blocks.data(), solid_angles.data(), solid_angles.bytes());
    double solid_angle = 0;
    for (const double of_block : of_blocks) solid_angle += of_block;
    return solid_angle;
  }

  DeviceCutoff device_cutoff(int panel) const {
    DeviceCutoff on_card;
    const auto& miss = cutoff_->miss_of(panel);
    if (!miss || plan_.lattice.out_of_range != OutOfRange::nearest_for_all) return on_card;
    on_card.ends = true;
    on_card.fast = miss->fast;
    on_card.slow = miss->slow;
    on_card.lookups = miss->lookup;
    return on_card;
  }

  /// The pixel in which nanoBragg's interpolation ends, which tiles interpolate in whole.
  template <class Number>
  void interpolate_up_to_the_cutoff(const InterpolationCutoff& ends, const Pixels& pixels,
                                    std::span<Number> values) {
    if (!plan_.lattice.tricubic) return;
    const GridView grid(plan_.lattice.grid.get());
    for (std::size_t i = 0; i < plan_.panels.size(); ++i) {
      const DeviceCutoff cutoff = device_cutoff(static_cast<int>(i));
      if (!cutoff.ends || panels_[i].method == Method::walk) continue;
      const PlanPanel& panel = plan_.panels[i];
      const PixelIndex at{cutoff.fast, cutoff.slow, static_cast<int>(i)};
      const auto put = [&](Number& value) {
        value = static_cast<Number>(sum_pixel(plan_, panel, grid, at.fast, at.slow,
                                              ends.interpolating_lookups(at), NoVisitor{})
                                        .photons);
      };
      if (pixels.all) {
        put(values[panel.first_pixel + panel.offset_of(at.fast, at.slow)]);
        continue;
      }
      for (std::size_t listed = 0; listed < pixels.list.size(); ++listed) {
        const PixelIndex& pixel = pixels.list[listed];
        if (pixel.panel == at.panel && pixel.fast == at.fast && pixel.slow == at.slow)
          put(values[listed]);
      }
    }
  }

  /// Of the first panel, where they are not all alike.
  void describe(EngineUsed& used) const {
    const LoadedPanel& panel = panels_.front();
    used.device = device().name();
    physics::with_shape(plan_.lattice.shape, [&]<class Shape>() { used.kernel = Shape::name; });
    used.kernel.append(", ").append(name_of(lookup())).append(", ");
    used.reason = panel.reason;
    switch (panel.method) {
      case Method::fixed_point:
        used.kernel += "phases in fixed point, shapes in single precision";
        break;
      case Method::float32:
        used.kernel += "phases in double precision, shapes in single precision";
        break;
      case Method::float64:
        used.kernel += "double precision";
        break;
      case Method::walk:
        used.kernel += "double precision, step by step";
    }
  }

  std::shared_ptr<OpenDevice> opened_;
  std::optional<SingleTable> table_;
  DeviceArray<float> F_;
  DeviceArray<double> grid_;
  DeviceArray<PlanRay> rays_;
  DeviceArray<Mat3d> orientations_;
  std::vector<LoadedPanel> panels_;
  std::optional<InterpolationCutoff> cutoff_;
  bool knows_misses_ = false;
};

class CudaEngine final : public Engine {
 public:
  nablabragg::Engine id() const override { return nablabragg::Engine::cuda; }
  const char* name() const override { return "cuda"; }
  const char* description() const override {
    return "a GPU, by CUDA, in mixed or double precision; images, no gradients";
  }
  std::string why_not_here() const override { return why_no_device(0); }
  std::string why_no_gradients() const override {
    return "the cuda engine makes images, no gradients; -device cpu makes both";
  }
  std::string why_not(const Plan& plan, const ComputeOptions& options) const override {
    if (std::string reason = why_no_device(options.device); !reason.empty()) return reason;
    if (plan.spread.closed)
      return "the cuda engine sums step by step; -summation sampled asks for that, -device cpu has "
             "the closed form";
    if (double(plan.light.rays.size()) * double(plan.lattice.orientations.size()) >
        std::numeric_limits<int>::max() / 2)
      return "the cuda engine counts up to 1e9 rays times orientations; -device cpu has no limit";
    return {};
  }
  std::unique_ptr<Loaded> load(const Plan& plan, const ComputeOptions& options) const override {
    return std::make_unique<CudaLoaded>(plan, options);
  }
};

}  // namespace

const Engine& cuda_engine() {
  static const CudaEngine engine;
  return engine;
}

}  // namespace nablabragg::engine
