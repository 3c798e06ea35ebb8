// The cuda engine: what of a plan goes to the device, when it goes there anew, and images cut into
// launches that fit into its memory and end soon enough to be stopped.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>

#if NABLA_GRADIENTS
#include "engine/cuda/closed_derivatives.hpp"
#include "engine/cuda/derivatives.hpp"
#endif
#include "engine/cuda/device_contents.hpp"
#include "engine/cuda/open_device.hpp"
#include "engine/cutoff.hpp"
#include "engine/driver.hpp"
#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::engine {

namespace {

using namespace cuda;

constexpr double steps_of_launch = 1e10;  ///< a tenth of a second
constexpr int least_pixels = 1 << 17;     ///< at once: fewer do not fill a card

/// The pixels of an image, with the device that they are on.
template <class Number>
struct ImageMemory {
  std::shared_ptr<OpenDevice> opened;
  DeviceArray<Number> array;

  ImageMemory(std::shared_ptr<OpenDevice> on, std::size_t pixels)
      : opened(std::move(on)), array(*opened->device, pixels) {}
};

template <class Number>
DeviceImage image_in(std::shared_ptr<ImageMemory<Number>> memory) {
  DeviceImage image;
  image.pixels = memory->array.size();
  image.is_double = std::is_same_v<Number, double>;
  image.memory = memory_of(*memory->opened);
  Number* const photons = memory->array.data();
  image.photons = std::shared_ptr<void>(std::move(memory), photons);
  return image;
}

class CudaLoaded final : public Loaded {
 public:
  CudaLoaded(const Plan& plan, const ComputeOptions& options)
      : Loaded(plan, options),
        opened_(open_device(options.device)),
        contents_(plan_, options_, *opened_->device) {}

  Report render_spots(const Pixels& pixels, std::span<float> values) override {
    return rendered(pixels, values);
  }
  Report render_spots(const Pixels& pixels, std::span<double> values) override {
    return rendered(pixels, values);
  }

 private:
#if NABLA_GRADIENTS
  /// Calls work() with what differentiates the plan.
  template <class Work>
  auto differentiated(Work&& work) {
    const InterpolationCutoff& ends = cutoff_.get(false);
    contents_.find_spots();
    const std::lock_guard turn(opened_->turn);
    if (plan_.spread.closed) {
      contents_.prepare();
      return work(ClosedDerivatives(plan_, options_, *opened_, contents_));
    }
    contents_.prepare_gradients();
    return work(CudaDerivatives(plan_, options_, *opened_, contents_, ends));
  }
  PlanGradient pull_back_finite(const Pixels& pixels, std::span<const double> weights) override {
    return differentiated(
        [&](auto&& derivatives) { return derivatives.pull_back(pixels, weights); });
  }
  void push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, std::span<double> photons,
                           std::span<double> slopes) override {
    differentiated([&](auto&& derivatives) {
      derivatives.push_forward(pixels, tangents, table_tangent, photons, slopes);
    });
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

  void forget_light() override {
    contents_.forget_light();
    cutoff_.forget();
  }
  void forget_lattice(bool same_table) override {
    contents_.forget_lattice(same_table);
    cutoff_.forget();
  }

  Device& device() const { return *opened_->device; }

  // ---- Images -----------------------------------------------------------------------------------

  template <class Number>
  Report rendered(const Pixels& pixels, std::span<Number> values) {
    const InterpolationCutoff& ends = cutoff_.get(pixels.all);
    Report report = over_panels(ends, [&](std::size_t panel, Watch& watch, double& solid_angle) {
      return pixels.all ? render_panel(panel, watch, values, solid_angle)
                        : render_list(panel, pixels.list, watch, values);
    });
    interpolate_up_to_the_cutoff(ends, pixels, values);
    return report;
  }

  std::optional<CountReport> count_spots(const CountRule& rule,
                                         std::vector<std::int32_t>& counts) override {
    counts.resize(plan_.pixels());
    CountTally seen;
    CountReport counted;
    counted.report = over_panels(
        cutoff_.get(true), [&](std::size_t panel, Watch& watch, double& solid_angle) {
          return count_panel(panel, watch, rule, counts, seen, solid_angle);
        });
    if (seen.lit == 0 || seen.undrawn > 0) return std::nullopt;
    counted.saturated = static_cast<std::int64_t>(seen.saturated);
    return counted;
  }

  std::optional<DeviceImage> render_spots_on_device(bool in_double) override {
    return in_double ? rendered_on_device<double>() : rendered_on_device<float>();
  }

  template <class Number>
  DeviceImage rendered_on_device() {
    std::shared_ptr<ImageMemory<Number>> photons;
    const auto put_panel = [&](std::size_t number, Watch& watch, double& solid_angle) {
      if (!photons) {
        photons = std::make_shared<ImageMemory<Number>>(opened_, plan_.pixels());
        device().clear(photons->array.data(), photons->array.bytes());
      }
      const PlanPanel& panel = plan_.panels[number];
      const auto cutoff = light_at_the_cutoff(cutoff_.get(true), number);
      return by_rows<Number>(
          number, watch, solid_angle, 0, [&](const DevicePixels& some, Number* values) {
            if (cutoff) put_at(cutoff->pixel, static_cast<Number>(cutoff->photons), some, values);
            const std::size_t bytes = static_cast<std::size_t>(some.columns) * sizeof(Number);
            device().copy_rows(photons->array.data() + panel.first_pixel +
                                   panel.offset_of(some.fast_min, some.slow_min),
                               static_cast<std::size_t>(panel.frame.fast_pixels) * sizeof(Number),
                               values, bytes, bytes, static_cast<std::size_t>(some.rows));
          });
    };
    over_panels(cutoff_.get(true), put_panel);
    return image_in<Number>(std::move(photons));
  }

  /// `work(panel, watch, solid_angle)` returns the number of wanted pixels.
  template <class Work>
  Report over_panels(const InterpolationCutoff& ends, Work&& work) {
    contents_.find_spots();
    const std::lock_guard turn(opened_->turn);
    contents_.prepare();
    device_seconds_ = 0;
    WorkSpan span;
    span.begin = std::chrono::steady_clock::now();
    Report report;
    report.miss = ends.first_miss();
    report.solid_angle_sums.resize(plan_.panels.size());
    Watch watch(options_, static_cast<int>(plan_.panels.size()));
    for (std::size_t i = 0; i < plan_.panels.size(); ++i) {
      const std::int64_t wanted = work(i, watch, report.solid_angle_sums[i]);
      report.used.steps += plan_.spread.closed ? wanted
                                               : wanted * steps_of_pixel(plan_, plan_.panels[i]);
      watch.finish_part();
      watch.check();
    }
    span.end = std::chrono::steady_clock::now();
    span.steps = report.used.steps;
    if (options_.on_work) options_.on_work(span);
    describe(report.used);
    return report;
  }

  template <class Number>
  std::int64_t render_panel(std::size_t number, Watch& watch, std::span<Number> values,
                            double& solid_angle) {
    std::vector<Number> rows;
    return by_rows<Number>(number, watch, solid_angle, 0,
                           [&](const DevicePixels& some, Number* on_card) {
                             download_rows(plan_.panels[number], some, on_card, rows, values);
                           });
  }

  /// Draws the counts where the light is, so that they alone leave the device.
  std::int64_t count_panel(std::size_t number, Watch& watch, const CountRule& rule,
                           std::span<std::int32_t> counts, CountTally& seen, double& solid_angle) {
    const PlanPanel& panel = plan_.panels[number];
    mark_outside(panel, counts);
    const DeviceArray<CountTally> tally = on_device(device(), &seen, 1);
    const auto cutoff = light_at_the_cutoff(cutoff_.get(true), number);
    DeviceArray<std::int32_t> counts_on_card;
    std::vector<std::int32_t> rows;
    const std::int64_t wanted = by_rows<float>(
        number, watch, solid_angle, sizeof(std::int32_t),
        [&](const DevicePixels& some, float* values) {
          if (counts_on_card.size() == 0)
            counts_on_card = DeviceArray<std::int32_t>(device(), some.count());
          if (cutoff) put_at(cutoff->pixel, static_cast<float>(cutoff->photons), some, values);
          CountJob job;
          job.pixels = some;
          job.values = values;
          job.fast_pixels = panel.frame.fast_pixels;
          job.key = rule.key;
          job.first_pixel = panel.first_pixel;
          job.counter = rule.panels[number];
          job.counts = counts_on_card.data();
          job.tally = tally.data();
          device().count(job);
          device_seconds_ += device().wait();
          download_rows(panel, some, counts_on_card.data(), rows, counts);
        });
    device().download(&seen, tally.data(), sizeof seen);
    return wanted;
  }

  /// One value, where it is among those of a rectangle.
  template <class Number>
  void put_at(const PixelIndex& pixel, Number value, const DevicePixels& among, Number* values) {
    const int column = pixel.fast - among.fast_min, row = pixel.slow - among.slow_min;
    if (column < 0 || column >= among.columns || row < 0 || row >= among.rows) return;
    device().upload(values + static_cast<std::ptrdiff_t>(row) * among.columns + column, &value,
                    sizeof value);
  }

  /// Where the kernel, which marks the pixels of the region of interest, does not come.
  static void mark_outside(const PlanPanel& panel, std::span<std::int32_t> counts) {
    const RegionOfInterest& roi = panel.roi;
    if (roi.fast_min == 0 && roi.slow_min == 0 && roi.fast_max == panel.frame.fast_pixels - 1 &&
        roi.slow_max == panel.frame.slow_pixels - 1)
      return;
    for (std::size_t i = 0; i < panel.pixels(); ++i)
      counts[panel.first_pixel + i] = panel.mask && !panel.mask->keep[i] ? gap_pixel : masked_pixel;
  }

  /// Copies what is of a rectangle of pixels to its place among those of the panel, through `rows`
  /// where they do not lie one after the other.
  template <class Number>
  void download_rows(const PlanPanel& panel, const DevicePixels& some, const Number* on_card,
                     std::vector<Number>& rows, std::span<Number> values) {
    const auto columns = static_cast<std::size_t>(some.columns),
               width = static_cast<std::size_t>(panel.frame.fast_pixels);
    Number* const first = values.data() + panel.first_pixel +
                          panel.offset_of(some.fast_min, some.slow_min);
    if (columns == width) {
      device().download(first, on_card, some.count() * sizeof(Number));
      return;
    }
    rows.resize(some.count());
    device().download(rows.data(), on_card, some.count() * sizeof(Number));
    for (std::size_t row = 0; row < static_cast<std::size_t>(some.rows); ++row)
      std::copy_n(rows.data() + row * columns, columns, first + row * width);
  }

  /// The wanted rectangle of a panel, some rows at a time: `take(pixels, values)` has them on the
  /// device, the values row by row, and may take `more_bytes` of memory there for each pixel.
  /// Returns the number of wanted pixels.
  template <class Number, class Take>
  std::int64_t by_rows(std::size_t number, Watch& watch, double& solid_angle,
                       std::size_t more_bytes, Take&& take) {
    const PlanPanel& panel = plan_.panels[number];
    const RegionOfInterest& roi = panel.roi;
    const DevicePanel& loaded = contents_.panel(number);
    const auto columns = static_cast<std::size_t>(roi.fast_max - roi.fast_min + 1);
    if (roi.fast_max < roi.fast_min || roi.slow_max < roi.slow_min) return 0;
    DevicePixels all;
    all.fast_min = roi.fast_min;
    all.slow_min = roi.slow_min;
    all.columns = static_cast<int>(columns);
    all.rows = roi.slow_max - roi.slow_min + 1;
    all.keep = loaded.keep.data();
    const Launches launches = launches_of(loaded, all, sizeof(Number) + more_bytes);
    const int rows_at_once = std::max(
        1, static_cast<int>(launches.pixels_at_once / static_cast<std::int64_t>(columns)));
    const DeviceArray<Number> on_card(
        device(), columns * static_cast<std::size_t>(std::min(rows_at_once, all.rows)));
    for (int done = 0; done < all.rows && !watch.stopped(); done += rows_at_once) {
      DevicePixels some = all;
      some.slow_min += done;
      some.rows = std::min(rows_at_once, all.rows - done);
      if (loaded.keep.data()) device().clear(on_card.data(), on_card.bytes());
      solid_angle += compute(loaded, some, launches, watch, on_card.data());
      if (watch.stopped()) break;
      take(some, on_card.data());
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
    const DevicePanel& loaded = contents_.panel(number);
    const auto at_device = on_device(device(), listed.data(), listed.size());
    DevicePixels all;
    all.list = at_device.data();
    all.listed = static_cast<int>(listed.size());
    const Launches launches = launches_of(loaded, all, sizeof(Number));
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

  /// `bytes_of_value`: that are kept for each pixel, whatever its sum takes.
  Launches launches_of(const DevicePanel& loaded, const DevicePixels& pixels,
                       std::size_t bytes_of_value) const {
    const PlanSensor& sensor = loaded.plan.view.panel.sensor;
    const DevicePlan& p = loaded.plan;
    const double beams = p.beams ? p.beam_count : double(plan_.light.rays.size()),
                 pairs = loaded.spots ? 1 : beams * double(plan_.lattice.orientations.size()),
                 steps_of_pair = loaded.spots
                                     ? loaded.spots->steps_of_pixel
                                     : double(plan_.light.rays.size()) / beams * sensor.layers *
                                           plan_.oversample * plan_.oversample;
    Launches launches;
    launches.pairs = launches.pairs_at_once = static_cast<int>(pairs);
    const auto count = static_cast<std::int64_t>(pixels.count());
    const auto for_time = static_cast<std::int64_t>(std::min(
        double(count), std::max(double(least_pixels), steps_of_launch / (steps_of_pair * pairs))));
    if (loaded.spots) {
      launches.keeps_sums = plan_.has_background();
    } else if (loaded.method != Method::walk) {
      const double at_once = steps_of_launch / (steps_of_pair * double(for_time));
      constexpr int whole_parts = 64 * 32;  // see LaunchSize
      if (at_once < pairs)
        launches.pairs_at_once = std::max(1, static_cast<int>(at_once / whole_parts)) * whole_parts;
      RenderJob job = job_of(loaded, pixels);
      job.pairs = std::min(launches.pairs, launches.pairs_at_once);
      launches.parts = opened_->plugin->launch_size(job).parts;
      launches.keeps_sums = launches.parts > 1 || launches.pairs_at_once < launches.pairs ||
                            plan_.has_background();
    }
    const std::size_t bytes_of_pixel = bytes_of_value +
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

  RenderJob job_of(const DevicePanel& loaded, const DevicePixels& pixels) const {
    RenderJob job{contents_.job_of(loaded)};
    job.pixels = pixels;
    if (loaded.spots) job.closed = &loaded.spots->closed;
    return job;
  }
  /// Returns the sum of the solid angles of the pixels [sr].
  template <class Number>
  double compute(const DevicePanel& loaded, const DevicePixels& pixels, const Launches& launches,
                 Watch& watch, Number* values) {
    RenderJob job = job_of(loaded, pixels);
    job.cutoff = device_cutoff(cutoff_.get(false), plan_, loaded.number);
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
      device_seconds_ += device().wait();
    }
    std::vector<double> of_blocks(solid_angles.size());
    device().download(of_blocks.data(), solid_angles.data(), solid_angles.bytes());
    double solid_angle = 0;
    for (const double of_block : of_blocks) solid_angle += of_block;
    return solid_angle;
  }

  /// The pixel of a panel in which nanoBragg's interpolation ends, which tiles interpolate in
  /// whole.
  struct CutoffPixel {
    PixelIndex pixel;
    double photons;
  };
  std::optional<CutoffPixel> light_at_the_cutoff(const InterpolationCutoff& ends,
                                                 std::size_t panel) const {
    if (!plan_.lattice.tricubic) return std::nullopt;
    const DeviceCutoff cutoff = device_cutoff(ends, plan_, panel);
    if (!cutoff.ends || contents_.panel(panel).method == Method::walk) return std::nullopt;
    const PixelIndex at{cutoff.fast, cutoff.slow, static_cast<int>(panel)};
    const GridView grid(plan_.lattice.grid.get());
    return CutoffPixel{at, sum_pixel(plan_, plan_.panels[panel], grid, at.fast, at.slow,
                                     ends.interpolating_lookups(at), NoVisitor{})
                               .photons};
  }

  template <class Number>
  void interpolate_up_to_the_cutoff(const InterpolationCutoff& ends, const Pixels& pixels,
                                    std::span<Number> values) {
    for (std::size_t i = 0; i < plan_.panels.size(); ++i) {
      const PlanPanel& panel = plan_.panels[i];
      const auto cutoff = light_at_the_cutoff(ends, i);
      if (!cutoff) continue;
      const PixelIndex& at = cutoff->pixel;
      if (pixels.all) {
        values[panel.first_pixel + panel.offset_of(at.fast, at.slow)] = static_cast<Number>(
            cutoff->photons);
        continue;
      }
      for (std::size_t listed = 0; listed < pixels.list.size(); ++listed) {
        const PixelIndex& pixel = pixels.list[listed];
        if (pixel.panel == at.panel && pixel.fast == at.fast && pixel.slow == at.slow)
          values[listed] = static_cast<Number>(cutoff->photons);
      }
    }
  }

  /// Of the first panel, where they are not all alike.
  void describe(EngineUsed& used) const {
    const DevicePanel& panel = contents_.panel(0);
    used.device = device().name();
    used.device_seconds = device_seconds_;
    if (panel.spots) {
      used.kernel = kernel_in_words(contents_.found_spots(), panel.spots->closed.single
                                                                 ? Precision::float32
                                                                 : Precision::float64);
      used.reason = panel.reason;
      return;
    }
    physics::with_shape(plan_.lattice.shape, [&]<class Shape>() { used.kernel = Shape::name; });
    used.kernel.append(", ").append(name_of(lookup_of(plan_.lattice))).append(", ");
    used.reason = panel.reason;
    if (panel.plan.beams) used.kernel += "bands of wavelengths, ";
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
  DeviceContents contents_;
  RememberedCutoff cutoff_{plan_, options_};
  double device_seconds_ = 0;  ///< of the image that is being computed
};

class CudaEngine final : public Engine {
 public:
  nablabragg::Engine id() const override { return nablabragg::Engine::cuda; }
  const char* name() const override { return "cuda"; }
  const char* description() const override {
    return "a GPU, by CUDA, in mixed or double precision";
  }
  std::string why_not_here() const override { return why_no_device(0); }
#if NABLA_GRADIENTS
  std::string why_no_gradients(const Plan& plan) const override {
    return CudaDerivatives::why_not(plan);
  }
#endif
  std::string why_not(const Plan& plan, const ComputeOptions& options) const override {
    if (std::string reason = why_no_device(options.device); !reason.empty()) return reason;
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

template <class Number>
DeviceImage cuda::image_on_device(int device, std::span<const Number> photons) {
  auto opened = open_device(device);
  const std::lock_guard turn(opened->turn);
  auto memory = std::make_shared<ImageMemory<Number>>(opened, photons.size());
  opened->device->upload(memory->array.data(), photons.data(), memory->array.bytes());
  return image_in<Number>(std::move(memory));
}
template DeviceImage cuda::image_on_device(int, std::span<const float>);
template DeviceImage cuda::image_on_device(int, std::span<const double>);

const Engine& cuda_engine() {
  static const CudaEngine engine;
  return engine;
}

}  // namespace nablabragg::engine
