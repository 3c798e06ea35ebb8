#include "engine/lattices.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "memory/huge_pages.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

/// Two are loaded: the first lattice, with all that falls on the pixels besides, and in turn each
/// of the others, as the images of a sweep are, so that tables are prepared once.
class Lattices final : public Loaded {
 public:
  Lattices(const Engine& engine, const Plan& plan, const ComputeOptions& options)
      : Loaded(plan, options, DiffuseLight::of_parts), engine_(engine) {}

  Report render_spots(const Pixels& pixels, std::span<float> values) override {
    return rendered(pixels, values);
  }
  Report render_spots(const Pixels& pixels, std::span<double> values) override {
    return rendered(pixels, values);
  }

 private:
  std::size_t count() const { return 1 + plan_.more_lattices.size(); }

  /// Images in single precision are added in it: of memory, that of two images is walked over,
  /// which counts where a pixel has few steps.  Each sum rounds once.
  template <class Number>
  Report rendered(const Pixels& pixels, std::span<Number> values) {
    Report report = lattice(0).render(pixels, values);
    std::vector<Number> more;
    memory::reserve_in_huge_pages(more, values.size());
    more.resize(values.size());
    for (std::size_t number = 1; number < count(); ++number) {
      const Report of_part = lattice(number).render(pixels, std::span(more));
      const bool last = number + 1 == count();
      for_each_run(of_part, more.size(), [&](std::size_t first, std::size_t end) {
        for (std::size_t i = first; i < end; ++i) values[i] += more[i];
        if (!last) std::fill_n(more.data() + first, end - first, Number(0));
      });
      if (!report.miss) report.miss = of_part.miss;
      report.used.steps += of_part.used.steps;
      report.used.skipped += of_part.used.skipped;
      report.used.device_seconds += of_part.used.device_seconds;
    }
    report.written.reset();
    report.used.reason += (report.used.reason.empty() ? "" : "; ") + std::to_string(count()) +
                          " lattices one after another";
    return report;
  }

  /// The shares of the lattices follow each other.
  ComputeOptions options_of_parts() const {
    ComputeOptions options = options_;
    const auto parts = static_cast<double>(count());
    // Of what may be left out of a pixel each has its part; in closed form the bound is one on
    // spots.
    if (!plan_.spread.closed)
      options.skip_below = options.skip_below.value_or(default_skip_below) / parts;
    if (options.progress)
      options.progress = [this, parts](double share) {
        return options_.progress((static_cast<double>(number_) + share) / parts);
      };
    return options;
  }
  Loaded& lattice(std::size_t number) {
    number_ = number;
    std::unique_ptr<Loaded>& loaded = number == 0 ? first_ : further_;
    if (!loaded) {
      loaded = load_with(engine_, plan_of_lattice(plan_, number), options_of_parts());
      if (number == 0)
        loaded->share_background(*this);
      else
        shown_ = number;
    } else if (number > 0 && shown_ != number) {
      loaded->set_lattice(plan_of_lattice(plan_, number));
      shown_ = number;
    }
    return *loaded;
  }
  void forget_light() override {
    if (first_) first_->set_light(plan_of_lattice(plan_, 0));
    if (further_) further_->set_light(plan_of_lattice(plan_, 1));
    shown_ = 0;
  }
  void forget_lattice(bool) override {
    if (first_) first_->set_lattice(plan_of_lattice(plan_, 0));
    shown_ = 0;
  }

  /// Calls work(first, end) for the places in the image that a report says were written.
  template <class Work>
  void for_each_run(const Report& report, std::size_t values, Work&& work) const {
    if (!report.written) return work(std::size_t{0}, values);
    for (const PanelRegion& region : *report.written) {
      const PlanPanel& panel = plan_.panels[static_cast<std::size_t>(region.panel)];
      const RegionOfInterest& r = region.pixels;
      for (int slow = r.slow_min; slow <= r.slow_max; ++slow) {
        const std::size_t first = panel.first_pixel + panel.offset_of(r.fast_min, slow);
        work(first, first + static_cast<std::size_t>(r.fast_max - r.fast_min + 1));
      }
    }
  }

  /// From the derivatives of a further lattice's light to those of all.
  static void add(const PlanGradient& part, std::size_t number, PlanGradient& to) {
    to.value += part.value;
    const auto sum = [](double& x, const double& more) { x += more; };
    const Plan& from = part.adjoint;
    Plan& whole = to.adjoint;
    for (std::size_t i = 0; i < whole.panels.size(); ++i)
      for_each_number_of_panel(sum, whole.panels[i], from.panels[i]);
    for_each_number_of_light(sum, whole.light, from.light);
    for (std::size_t i = 0; i < whole.light.rays.size(); ++i)
      for_each_number_of_ray(sum, whole.light.rays[i], from.light.rays[i]);
    if (whole.diffuse.present) {
      for_each_number_of_diffuse(sum, whole.diffuse, from.diffuse);
      for (std::size_t i = 0; i < whole.diffuse.outside.size(); ++i)
        whole.diffuse.outside[i] += from.diffuse.outside[i];
    }
    FurtherLattice& further = whole.more_lattices[number - 1];
    further.lattice = from.lattice;
    further.spread = from.spread;
    further.scale = from.scale;
    // Structure factors are those of the first.
    whole.lattice.default_F += from.lattice.default_F;
    further.lattice.default_F = 0;
    if (to.table)
      std::transform(to.table->values().begin(), to.table->values().end(),
                     part.table->values().begin(), to.table->values().begin(), std::plus<>());
    for (std::size_t i = 0; i < to.moments.size(); ++i) to.moments[i] += part.moments[i];
  }

  PlanGradient pull_back_finite(const Pixels& pixels, std::span<const double> weights) override {
    PlanGradient total = lattice(0).pull_back(pixels, weights);
    total.adjoint.more_lattices.resize(plan_.more_lattices.size());
    for (std::size_t number = 1; number < count(); ++number)
      add(lattice(number).pull_back(pixels, weights), number, total);
    return total;
  }

  void push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, std::span<double> photons,
                           std::span<double> slopes) override {
    std::vector<double> some_photons(photons.size()), some_slopes(slopes.size());
    for (std::size_t number = 0; number < count(); ++number) {
      std::vector<Plan> of_lattice;
      std::vector<const Plan*> pointers;
      for (const Plan* tangent : tangents) of_lattice.push_back(plan_of_lattice(*tangent, number));
      for (const Plan& tangent : of_lattice) pointers.push_back(&tangent);
      std::fill(some_photons.begin(), some_photons.end(), 0.0);
      std::fill(some_slopes.begin(), some_slopes.end(), 0.0);
      lattice(number).push_forward(pixels, pointers, table_tangent, some_photons, some_slopes);
      const auto sum = [](std::span<double> to, const std::vector<double>& more) {
        std::transform(to.begin(), to.end(), more.begin(), to.begin(), std::plus<>());
      };
      sum(photons, some_photons);
      sum(slopes, some_slopes);
    }
  }

  const Engine& engine_;
  std::unique_ptr<Loaded> first_, further_;
  std::size_t number_ = 0;  ///< that is computed
  std::size_t shown_ = 0;   ///< that further_ has; 0: none of this plan's
};

}  // namespace

std::unique_ptr<Loaded> load_lattices(const Engine& engine, const Plan& plan,
                                      const ComputeOptions& options) {
  return std::make_unique<Lattices>(engine, plan, options);
}

}  // namespace nablabragg::engine
