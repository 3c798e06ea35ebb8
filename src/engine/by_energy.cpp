#include "engine/by_energy.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"
#include "plan/energy_terms.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

constexpr double eV_m = 1e-10 * units::ev_angstrom;  ///< of a wavenumber of 1/m

/// What each group of rays gives is added up; an engine that takes several F has the images at
/// once.
class ByEnergy final : public Loaded {
 public:
  ByEnergy(const Engine& engine, const Plan& plan, const ComputeOptions& options)
      : Loaded(plan, options), engine_(engine) {}

  Report render_spots(const Pixels& pixels, std::span<float> values) override {
    if (at_once()) return loaded().render(pixels, values);
    std::vector<double> sums(values.size());
    Report report = render(pixels, std::span(sums));
    std::transform(sums.begin(), sums.end(), values.begin(),
                   [](double x) { return static_cast<float>(x); });
    return report;
  }
  Report render_spots(const Pixels& pixels, std::span<double> values) override {
    if (at_once()) return loaded().render(pixels, values);
    Report report;
    std::vector<double> more(values.size());
    for_each_part([&](const Plan& part, const Group* group) {
      std::fill(more.begin(), more.end(), 0.0);
      Report of_part = load_part(part, group)->render(pixels, std::span(more));
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += more[i];
      add(of_part, report);
    });
    report.used.reason += (report.used.reason.empty() ? "" : "; ") + std::string("the rays of ") +
                          std::to_string(terms().groups()) + " structure factors one after another";
    return report;
  }

 private:
  /// Rays of one F, by number.
  struct Group {
    std::size_t number;
    std::vector<std::size_t> rays;
    std::shared_ptr<const StructureFactorGrid> amplitudes;
  };

  const EnergyTerms& terms() const { return *plan_.lattice.by_energy; }
  bool at_once() {
    if (!at_once_) at_once_ = terms().groups() == 1 || engine_.takes_several_F(plan_, options_);
    return *at_once_;
  }
  /// With one F the plan of any other experiment.
  Plan plan_at_once() const {
    Plan plan = plan_;
    if (terms().groups() == 1) plan.lattice.by_energy.reset();
    return plan;
  }
  Loaded& loaded() {
    if (!loaded_) loaded_ = engine_.load(plan_at_once(), options_);
    return *loaded_;
  }
  /// The shares of the parts follow each other.
  std::unique_ptr<Loaded> load_part(const Plan& part, const Group* group) const {
    ComputeOptions options = options_;
    const auto parts = static_cast<double>(terms().groups()) + (plan_.has_background() ? 1 : 0),
               before = static_cast<double>(group ? group->number : terms().groups());
    // Of what may be left out, each has its part.
    if (terms().groups() > 1)
      options.skip_below = options.skip_below.value_or(default_skip_below) / parts;
    if (options.progress && terms().groups() > 1)
      options.progress = [told = options_.progress, parts, before](double share) {
        return told((before + share) / parts);
      };
    return engine_.load(part, options);
  }

  void forget_light() override {
    loaded_.reset();
    at_once_.reset();
  }
  void forget_lattice(bool) override {
    if (loaded_ && at_once())
      loaded_->set_lattice(plan_at_once());
    else
      loaded_.reset();
  }

  Plan plan_of(const Group& group) const {
    Plan part = plan_;
    part.lattice.by_energy.reset();
    part.lattice.grid = group.amplitudes;
    part.light.rays.clear();
    for (const std::size_t ray : group.rays) part.light.rays.push_back(plan_.light.rays[ray]);
    part.background.per_sr = 0;
    part.materials.clear();
    return part;
  }

  /// work(plan, group): the lattice's light, and then, without a group, what else there is.
  template <class Work>
  void for_each_part(Work&& work) const {
    if (terms().groups() == 1) {
      Group all{0, std::vector<std::size_t>(plan_.light.rays.size()), plan_.lattice.grid};
      std::iota(all.rays.begin(), all.rays.end(), std::size_t{0});
      return work(plan_at_once(), &all);
    }
    for (std::size_t g = 0; g < terms().groups(); ++g) {
      Group group{g, {}, nullptr};
      for (std::size_t ray = 0; ray < plan_.light.rays.size(); ++ray)
        if (terms().group_of_ray[ray] == g) group.rays.push_back(ray);
      group.amplitudes = std::make_shared<const StructureFactorGrid>(terms().amplitudes(g));
      work(plan_of(group), &group);
    }
    if (!plan_.has_background()) return;
    Plan rest = plan_;
    rest.lattice.by_energy.reset();
    rest.lattice.grid.reset();
    rest.lattice.tricubic = false;
    rest.lattice.default_F = 0;
    work(rest, nullptr);
  }

  static void add(Report& part, Report& to) {
    if (to.used.kernel.empty()) {
      to = std::move(part);
      to.written.reset();
      return;
    }
    if (!to.miss) to.miss = part.miss;
    to.used.steps += part.used.steps;
    to.used.skipped += part.used.skipped;
  }

  /// From the derivatives of a part to those of the whole.
  void add(const PlanGradient& part, const Group* group, PlanGradient& to) const {
    to.value += part.value;
    const auto sum = [](double& x, const double& more) { x += more; };
    Plan& whole = to.adjoint;
    for (std::size_t i = 0; i < whole.panels.size(); ++i)
      for_each_number_of_panel(sum, whole.panels[i], part.adjoint.panels[i]);
    for_each_number_of_lattice(sum, whole.lattice, part.adjoint.lattice);
    for_each_number_of_light(sum, whole.light, part.adjoint.light);
    for_each_shared_number(sum, whole, part.adjoint);
    for (std::size_t i = 0; i < part.adjoint.light.rays.size(); ++i)
      for_each_number_of_ray(sum, whole.light.rays[group ? group->rays[i] : i],
                             part.adjoint.light.rays[i]);
    for (std::size_t i = 0; i < whole.lattice.orientations.size(); ++i)
      for_each_number_of_axes(sum, whole.lattice.orientations[i],
                              part.adjoint.lattice.orientations[i]);
    if (!group)
      for (std::size_t i = 0; i < whole.materials.size(); ++i)
        for_each_number_of_material(sum, whole.materials[i], part.adjoint.materials[i]);
    for_each_number_of_spread(sum, whole.spread, part.adjoint.spread);
  }

  /// Of the energies by their moments: to the wavenumbers.
  void add_energies(PlanGradient& gradient) const {
    const std::vector<double> energies = terms().energies_from(gradient.moments);
    std::vector<double> rays(energies.size());
    for (const std::size_t group : terms().group_of_ray) ++rays[group];
    // Rays of one energy have equal parts of what it does.
    for (std::size_t ray = 0; ray < plan_.light.rays.size(); ++ray) {
      const std::size_t group = terms().group_of_ray[ray];
      gradient.adjoint.light.rays[ray].wavenumber += eV_m * energies[group] / rays[group];
    }
  }

  PlanGradient pull_back_finite(const Pixels& pixels, std::span<const double> weights) override {
    PlanGradient total;
    if (terms().groups() == 1) {
      total = loaded().pull_back(pixels, weights);
      total.moments = terms().pull_back(*plan_.lattice.grid, *total.table);
    } else {
      total.adjoint = zero_plan(plan_);
      total.moments.resize(terms().moments.size());
      for_each_part([&](const Plan& part, const Group* group) {
        const PlanGradient of_part = load_part(part, group)->pull_back(pixels, weights);
        add(of_part, group, total);
        if (!group) return;
        const std::vector<double> moments = terms().pull_back(*group->amplitudes, *of_part.table);
        std::copy(
            moments.begin(), moments.end(),
            total.moments.begin() + static_cast<std::ptrdiff_t>(group->number * moments.size()));
      });
    }
    add_energies(total);
    return total;
  }

  /// One tangent at a time, as each has a change of F of its own.
  void push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, std::span<double> photons,
                           std::span<double> slopes) override {
    if (table_tangent)
      throw UsageError(
          "F follows the energy of the light, so that it has no direction that is a table of "
          "amplitudes");
    const std::size_t columns = tangents.size(), count = photons.size();
    std::vector<double> some_photons(count), some_slopes(count);
    std::vector<std::vector<double>> moments;
    for (const Plan* tangent : tangents) {
      std::vector<double> energies(terms().groups()), rays(terms().groups());
      for (const std::size_t group : terms().group_of_ray) ++rays[group];
      for (std::size_t ray = 0; ray < plan_.light.rays.size(); ++ray) {
        const std::size_t group = terms().group_of_ray[ray];
        energies[group] += eV_m * tangent->light.rays[ray].wavenumber / rays[group];
      }
      moments.push_back(terms().moments_along(energies));
      // What a tangent has for its moments is their change by f' and f''
      if (const auto& change = tangent->lattice.by_energy)
        std::transform(moments.back().begin(), moments.back().end(), change->moments.begin(),
                       moments.back().begin(), std::plus<>());
    }
    for_each_part([&](const Plan& part, const Group* group) {
      const std::unique_ptr<Loaded> part_loaded = load_part(part, group);
      for (std::size_t t = 0; t < columns; ++t) {
        Plan tangent = *tangents[t];
        std::optional<StructureFactorGrid> change;
        if (group) {
          tangent.light.rays.clear();
          for (const std::size_t ray : group->rays)
            tangent.light.rays.push_back(tangents[t]->light.rays[ray]);
          if (terms().groups() > 1) {
            tangent.background.per_sr = 0;
            tangent.materials.clear();
          }
          const std::size_t size = terms().moments_of_group();
          change = terms().push_forward(*group->amplitudes,
                                        std::span(moments[t]).subspan(group->number * size, size));
        } else {
          tangent.lattice.default_F = 0;
        }
        std::fill(some_photons.begin(), some_photons.end(), 0.0);
        std::fill(some_slopes.begin(), some_slopes.end(), 0.0);
        const Plan* const pointer = &tangent;
        part_loaded->push_forward(pixels, {&pointer, 1}, change ? &*change : nullptr, some_photons,
                                  some_slopes);
        for (std::size_t i = 0; i < count; ++i) {
          if (t == 0) photons[i] += some_photons[i];
          slopes[i * columns + t] += some_slopes[i];
        }
      }
    });
  }

  const Engine& engine_;
  std::unique_ptr<Loaded> loaded_;
  std::optional<bool> at_once_;
};

}  // namespace

std::unique_ptr<Loaded> load_by_energy(const Engine& engine, const Plan& plan,
                                       const ComputeOptions& options) {
  return std::make_unique<ByEnergy>(engine, plan, options);
}

}  // namespace nablabragg::engine
