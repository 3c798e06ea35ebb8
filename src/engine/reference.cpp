// The reference engine: each pixel by the sum as its formulas read.
#include <algorithm>

#include "engine/closed/closed.hpp"
#include "engine/cutoff.hpp"
#include "engine/driver.hpp"
#include "engine/engine.hpp"
#include "engine/pixel_sum.hpp"

namespace nablabragg::engine {

namespace {

class ReferenceLoaded final : public Loaded {
 public:
  ReferenceLoaded(const Plan& plan, const ComputeOptions& options) : Loaded(plan, options) {}

  Report render_spots(const Pixels& pixels, std::span<float> values) override {
    return rendered(pixels, values);
  }
  Report render_spots(const Pixels& pixels, std::span<double> values) override {
    return rendered(pixels, values);
  }

 private:
  PlanGradient pull_back_finite(const Pixels& pixels, std::span<const double> weights) override {
    std::vector<double> photons(weights.size());
    rendered(pixels, std::span(photons));
    PlanGradient gradient = derivatives().pull_back(pixels, weights);
    // Where no panel looks, the photons are zero and the weight may be no number.
    gradient.value = 0;
    for (std::size_t i = 0; i < photons.size(); ++i)
      if (photons[i] != 0) gradient.value += weights[i] * photons[i];
    return gradient;
  }

  void push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, std::span<double> photons,
                           std::span<double> slopes) override {
    derivatives().push_forward(pixels, tangents, table_tangent, photons, slopes);
    std::fill(photons.begin(), photons.end(), 0.0);
    rendered(pixels, photons);
  }

  void forget_light() override { derivatives_.reset(); }
  void forget_lattice(bool) override { derivatives_.reset(); }

  /// In double precision with every step, by the adjoints of the same formulas.
  Loaded& derivatives() {
    if (!derivatives_) {
      ComputeOptions options = options_;
      options.precision = Precision::float64;
      options.skip_below = 0;
      derivatives_ = cpu_engine().load(plan_, options);
    }
    return *derivatives_;
  }

  /// Some pixels of one panel: a row of its region of interest, or a stretch of a list.
  struct Part {
    const PlanPanel* panel;
    int panel_number, slow;   ///< of a row
    std::size_t first, last;  ///< of a list
  };

  std::vector<Part> parts_of(const Pixels& pixels) const {
    std::vector<Part> parts;
    if (pixels.all) {
      for (std::size_t i = 0; i < plan_.panels.size(); ++i) {
        const PlanPanel& panel = plan_.panels[i];
        for (int slow = panel.roi.slow_min; slow <= panel.roi.slow_max; ++slow)
          parts.push_back({&panel, static_cast<int>(i), slow, 0, 0});
      }
      return parts;
    }
    constexpr std::size_t stretch = 64;
    for (std::size_t first = 0; first < pixels.list.size(); first += stretch)
      parts.push_back({nullptr, 0, 0, first, std::min(first + stretch, pixels.list.size())});
    return parts;
  }

  template <class Number>
  Report rendered(const Pixels& pixels, std::span<Number> values) {
    const GridView grid(plan_.lattice);
    const InterpolationCutoff cutoff = with_threads(
        options_.threads, [&] { return InterpolationCutoff(plan_, pixels.all, options_); });
    const std::vector<Part> parts = parts_of(pixels);
    Report report;
    report.solid_angle_sums.resize(plan_.panels.size());
    std::vector<double> solid_angles(parts.size());

    const auto put = [&](const PlanPanel& panel, const PixelIndex& at, Number& value,
                         const StopFlag& stopped) {
      const PixelSum pixel = sum_pixel(plan_, panel, grid, at.fast, at.slow,
                                       cutoff.interpolating_lookups(at), UntilStopped(stopped));
      value = static_cast<Number>(pixel.photons);
      return pixel.solid_angle_sum;
    };
    const auto render_row = [&](const Part& part, double& solid_angle, const StopFlag& stopped) {
      const PlanPanel& panel = *part.panel;
      std::int64_t visited = 0;
      for (int fast = panel.roi.fast_min; fast <= panel.roi.fast_max; ++fast) {
        if (!panel.visits(fast, part.slow)) continue;
        ++visited;
        solid_angle += put(panel, {fast, part.slow, part.panel_number},
                           values[panel.first_pixel + panel.offset_of(fast, part.slow)], stopped);
      }
      return visited * steps_of_pixel(plan_, panel);
    };
    const auto render_stretch = [&](const Part& part, const StopFlag& stopped) {
      std::int64_t steps = 0;
      for (std::size_t i = part.first; i < part.last; ++i) {
        const PlanPanel& panel = plan_.panel_of(pixels.list[i]);
        put(panel, pixels.list[i], values[i], stopped);
        steps += steps_of_pixel(plan_, panel);
      }
      return steps;
    };
    const WorkDone done = for_each_part(static_cast<int>(parts.size()), options_,
                                        [&](int number, const StopFlag& stopped) -> WorkDone {
                                          const auto i = static_cast<std::size_t>(number);
                                          const Part& part = parts[i];
                                          return {part.panel
                                                      ? render_row(part, solid_angles[i], stopped)
                                                      : render_stretch(part, stopped),
                                                  0};
                                        });
    report.miss = cutoff.first_miss();
    report.used = {"reference", "-engine reference", "", "", done.steps, 0};
    for (std::size_t i = 0; i < parts.size(); ++i)
      report.solid_angle_sums[static_cast<std::size_t>(parts[i].panel_number)] += solid_angles[i];
    return report;
  }

  std::unique_ptr<Loaded> derivatives_;
};

class ReferenceEngine final : public Engine {
 public:
  nablabragg::Engine id() const override { return nablabragg::Engine::reference; }
  const char* name() const override { return "reference"; }
  const char* description() const override {
    return "double precision and plain loops: what the others are tested against";
  }
  std::string why_not_here() const override { return {}; }
  std::string why_not(const Plan&, const ComputeOptions&) const override { return {}; }
  bool takes_several_F(const Plan& plan, const ComputeOptions&) const override {
    return !plan.lattice.tricubic;
  }
  std::unique_ptr<Loaded> load(const Plan& plan, const ComputeOptions& options) const override {
    if (plan.spread.closed) return load_closed(plan, options, Precision::float64);
    return std::make_unique<ReferenceLoaded>(plan, options);
  }
};

}  // namespace

const Engine& reference_engine() {
  static const ReferenceEngine engine;
  return engine;
}

}  // namespace nablabragg::engine
