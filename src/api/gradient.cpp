#include "nablabragg/gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "api/cost.hpp"
#include "description/lift.hpp"
#include "description/parameter_table.hpp"
#include "engine/engine.hpp"
#include "model/resolve.hpp"
#include "nablabragg/error.hpp"
#include "physics/dual.hpp"
#include "plan/make_plan.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg {

namespace {

using description::default_F_name;

/// Directions that one pass of dual numbers through the model follows.  One width for all uses:
/// model and plan are compiled once.
constexpr std::size_t width = 4;
using Real = physics::Dual<width>;

void check_differentiable(const Plan& plan) {
  if (plan.rules.running())
    throw UsageError(
        "nanoBragg's running products (-oversample_thick, -oversample_polar, -oversample_omega) "
        "have no useful derivative; give -corrected");
}

Plan plan_of(const SettledExperiment& e) { return make_plan(e.experiment(), e.resolved()); }

std::vector<double> photons_of(engine::Loaded& loaded, const engine::Pixels& pixels) {
  std::vector<double> values(pixels.all ? loaded.plan().pixels() : pixels.list.size());
  loaded.render(pixels, std::span(values));
  return values;
}

/// An experiment in the hands of its engine.
struct Prepared {
  const Experiment& experiment;  ///< settled
  Plan plan;
  std::unique_ptr<engine::Loaded> loaded;

  Prepared(const SettledExperiment& e, const engine::Pixels& pixels, const ComputeOptions& options)
      : experiment(e.experiment()), plan(plan_of(e)) {
    check_differentiable(plan);
    if (!pixels.all) check_pixels(plan, pixels.list);
    check_cost(e, plan, pixels, options);
    loaded = engine::load(plan, options);
  }
  std::vector<double> photons(const engine::Pixels& pixels) const {
    return photons_of(*loaded, pixels);
  }
};

void check_weights(std::size_t wanted, std::size_t given, const char* what) {
  if (wanted != given)
    throw UsageError("there are " + std::to_string(given) + " weights for " +
                     std::to_string(wanted) + " pixels of the " + what);
}

/// The plan of the experiment and its slopes along `width` directions; `seed` puts them in.
template <class Seed>
BasicPlan<Real> dual_plan(const Experiment& settled, Seed&& seed) {
  auto e = description::lifted<Real>(settled);
  seed(e);
  return make_plan(e, model::resolve(e));
}

// ---- From the gradient of a plan to that of the parameters --------------------------------------

/// One scalar of a parameter.
struct Place {
  std::string name;
  std::size_t index;  ///< in the parameter
};

bool is_of_source_list(std::string_view name) { return name.starts_with("source_"); }

/// All scalars but those of a source list and default_F, in the order of the table.
std::vector<Place> places_of(const Experiment& settled) {
  std::vector<Place> places;
  description::for_each_parameter(settled,
                                  [&](const char* name, const auto&, const auto& shape, auto&&) {
                                    if (is_of_source_list(name)) return;
                                    std::size_t count = 1;
                                    for (const std::size_t extent : shape) count *= extent;
                                    for (std::size_t i = 0; i < count; ++i)
                                      places.push_back({name, i});
                                  });
  return places;
}

/// Gives the numbers at these places a slope of 1 each along their own direction.
void seed_places(const Experiment& settled, std::span<const Place> places,
                 BasicExperiment<Real>& e) {
  description::for_each_parameter(settled,
                                  [&](const char* name, const auto&, const auto&, auto&& numbers) {
                                    std::size_t index = 0;
                                    numbers(e, [&](Real& x) {
                                      for (std::size_t k = 0; k < places.size(); ++k)
                                        if (places[k].name == name && places[k].index == index)
                                          x.slopes[k] = 1;
                                      ++index;
                                    });
                                  });
}

/// Each source makes its own ray, so that all of them may share four directions.
static_assert(width >= 4);
void add_source_list(const Experiment& settled, const Plan& adjoints, NamedValues& out) {
  const auto& sources = settled.beam.sources;
  const std::size_t n = sources.size();
  const auto plan = dual_plan(settled, [](auto& e) {
    for (auto& source : e.beam.sources) {
      source.position.x.slopes[0] = source.position.y.slopes[1] = source.position.z.slopes[2] = 1;
      source.wavelength_A.slopes[3] = 1;
    }
  });
  auto &directions = out["source_directions"], &weights = out["source_weights"],
       &wavelengths = out["source_wavelengths"];
  double total = 0, mean_adjoint = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::array<double, width> sum{};
    for_each_number_of_ray(
        [&](const double& adjoint, const Real& x) {
          for (std::size_t k = 0; k < width; ++k) sum[k] += adjoint * x.slopes[k];
        },
        adjoints.light.rays[i], plan.light.rays[i]);
    directions.insert(directions.end(), {sum[0], sum[1], sum[2]});
    wavelengths.push_back(sum[3]);
    total += sources[i].weight;
    mean_adjoint += adjoints.light.rays[i].weight * sources[i].weight;
  }
  // Of weights over their mean
  for (std::size_t i = 0; i < n; ++i)
    weights.push_back(settled.quirks.source_weights_ignored
                          ? 0
                          : (adjoints.light.rays[i].weight - mean_adjoint / total) * double(n) /
                                total);
}

NamedValues gradient_of_parameters(const Experiment& settled, const Plan& adjoints) {
  NamedValues out;
  const std::vector<Place> places = places_of(settled);
  for (std::size_t first = 0; first < places.size(); first += width) {
    const auto some = std::span(places).subspan(first, std::min(width, places.size() - first));
    const auto plan = dual_plan(settled, [&](auto& e) { seed_places(settled, some, e); });
    std::array<double, width> sums{};
    for_each_number_of_plan(
        [&](const double& adjoint, const Real& x) {
          if (adjoint == 0) return;
          for (std::size_t k = 0; k < width; ++k) sums[k] += adjoint * x.slopes[k];
        },
        adjoints, plan);
    for (std::size_t k = 0; k < some.size(); ++k) out[some[k].name].push_back(sums[k]);
  }
  if (!settled.beam.sources.empty()) add_source_list(settled, adjoints, out);
  out[std::string(default_F_name)] = {adjoints.lattice.default_F};
  return out;
}

ValueAndGradient finished(const Prepared& prepared, engine::PlanGradient&& of_plan) {
  ValueAndGradient out;
  out.value = of_plan.value;
  if (!std::isfinite(out.value)) {
    out.gradient = undefined_gradient(prepared.experiment);
    return out;
  }
  out.gradient.parameters = gradient_of_parameters(prepared.experiment, of_plan.adjoint);
  out.gradient.structure_factors = std::move(of_plan.table);
  return out;
}

ValueAndGradient of_weights(const Prepared& prepared, const engine::Pixels& pixels,
                            std::span<const double> weights) {
  return finished(prepared, prepared.loaded->pull_back(pixels, weights));
}

ValueAndGradient of_loss(const Prepared& prepared, const engine::Pixels& pixels, const Loss& loss) {
  std::vector<double> photons = prepared.photons(pixels), slopes(photons.size());
  const double value = loss(photons, slopes);
  ValueAndGradient out;
  if (std::isfinite(value))
    out = of_weights(prepared, pixels, slopes);
  else
    out.gradient = undefined_gradient(prepared.experiment);
  out.value = value;
  out.photons = std::move(photons);
  return out;
}

}  // namespace

Gradient undefined_gradient(const SettledExperiment& experiment) {
  constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
  Gradient gradient;
  for (const Parameter& p : parameters(experiment))
    gradient.parameters[p.name].assign(p.values.size(), undefined);
  if (const auto& grid = experiment.experiment().structure_factors.grid)
    gradient.structure_factors = std::make_shared<StructureFactorGrid>(grid->min(), grid->max(),
                                                                       undefined);
  return gradient;
}

std::vector<double> photons(const SettledExperiment& experiment, const ComputeOptions& options) {
  const Plan plan = plan_of(experiment);
  check_cost(experiment, plan, {}, options);
  return photons_of(*engine::load(plan, options), {});
}

std::vector<double> photons(const SettledExperiment& experiment, std::span<const PixelIndex> pixels,
                            const ComputeOptions& options) {
  const Plan plan = plan_of(experiment);
  check_pixels(plan, pixels);
  check_cost(experiment, plan, engine::Pixels(pixels), options);
  return photons_of(*engine::load(plan, options), engine::Pixels(pixels));
}

ValueAndGradient value_and_gradient(const SettledExperiment& experiment,
                                    std::span<const double> weights,
                                    const ComputeOptions& options) {
  const Prepared prepared(experiment, {}, options);
  check_weights(prepared.plan.pixels(), weights.size(), "panel");
  return of_weights(prepared, {}, weights);
}

ValueAndGradient value_and_gradient(const SettledExperiment& experiment,
                                    std::span<const PixelIndex> pixels,
                                    std::span<const double> weights,
                                    const ComputeOptions& options) {
  const Prepared prepared(experiment, engine::Pixels(pixels), options);
  check_weights(pixels.size(), weights.size(), "list");
  return of_weights(prepared, engine::Pixels(pixels), weights);
}

ValueAndGradient value_and_gradient(const SettledExperiment& experiment, const Loss& loss,
                                    const ComputeOptions& options) {
  return of_loss(Prepared(experiment, {}, options), {}, loss);
}

ValueAndGradient value_and_gradient(const SettledExperiment& experiment,
                                    std::span<const PixelIndex> pixels, const Loss& loss,
                                    const ComputeOptions& options) {
  const Prepared prepared(experiment, engine::Pixels(pixels), options);
  return of_loss(prepared, engine::Pixels(pixels), loss);
}

// ---- Forwards -----------------------------------------------------------------------------------

namespace {

/// The slopes along one direction of a plan of dual numbers.
Plan tangent_of(const Plan& like, const BasicPlan<Real>& plan, std::size_t direction) {
  Plan tangent = zero_plan(like);
  for_each_number_of_plan([&](double& to, const Real& x) { to = x.slopes[direction]; }, tangent,
                          plan);
  return tangent;
}

}  // namespace

Jacobian jacobian(const SettledExperiment& experiment, std::span<const std::string> names,
                  std::span<const PixelIndex> pixels, const ComputeOptions& options) {
  const Prepared prepared(experiment, engine::Pixels(pixels), options);
  // In the order of the names
  std::vector<Place> places;
  for (const std::string& name : names) {
    const Parameter known = parameter(experiment, name);
    for (std::size_t i = 0; i < known.values.size(); ++i) places.push_back({name, i});
  }
  Jacobian out;
  const std::size_t columns = places.size();
  for (std::size_t i = 0; i < columns; ++i) {
    const bool alone = (i == 0 || places[i - 1].name != places[i].name) &&
                       (i + 1 == columns || places[i + 1].name != places[i].name);
    out.columns.push_back(alone ? places[i].name
                                : places[i].name + '[' + std::to_string(places[i].index) + ']');
  }
  out.photons.assign(pixels.size(), 0);
  out.slopes.resize(pixels.size() * columns);
  // Enough tangents to share a pass over the steps, few enough to stay small
  constexpr std::size_t most = 4 * width;
  for (std::size_t first = 0; first < std::max<std::size_t>(columns, 1); first += most) {
    const std::size_t count = std::min(most, columns - first);
    std::vector<Plan> tangents;
    for (std::size_t begin = 0; begin < count; begin += width) {
      const auto some = std::span(places).subspan(first + begin, std::min(width, count - begin));
      const auto plan = dual_plan(prepared.experiment,
                                  [&](auto& e) { seed_places(prepared.experiment, some, e); });
      for (std::size_t k = 0; k < some.size(); ++k) {
        tangents.push_back(tangent_of(prepared.plan, plan, k));
        if (some[k].name == default_F_name) tangents.back().lattice.default_F = 1;
      }
    }
    std::vector<const Plan*> pointers;
    pointers.reserve(tangents.size());
    for (const Plan& tangent : tangents) pointers.push_back(&tangent);
    std::vector<double> values(pixels.size()), slopes(pixels.size() * count);
    if (count == 0)
      values = prepared.photons(engine::Pixels(pixels));
    else
      prepared.loaded->push_forward(engine::Pixels(pixels), pointers, nullptr, values, slopes);
    out.photons = std::move(values);
    for (std::size_t i = 0; i < pixels.size(); ++i)
      std::copy_n(slopes.begin() + static_cast<std::ptrdiff_t>(i * count), count,
                  out.slopes.begin() + static_cast<std::ptrdiff_t>(i * columns + first));
  }
  return out;
}

std::vector<double> jvp(const SettledExperiment& experiment, const NamedValues& direction,
                        std::span<const PixelIndex> pixels, const ComputeOptions& options,
                        const StructureFactorGrid* structure_factors) {
  const Prepared prepared(experiment, engine::Pixels(pixels), options);
  for (const auto& [name, values] : direction) {
    const Parameter known = parameter(experiment, name);
    if (known.values.size() != values.size())
      throw UsageError("the direction of '" + name + "' has " + std::to_string(values.size()) +
                       " numbers; the parameter has " + std::to_string(known.values.size()));
  }
  const auto& grid = prepared.plan.lattice.grid;
  if (structure_factors &&
      (!grid || grid->min() != structure_factors->min() || grid->max() != structure_factors->max()))
    throw UsageError("the direction of the structure factors is not on the box of their table");
  const auto plan = dual_plan(prepared.experiment, [&](auto& e) {
    description::for_each_parameter(
        prepared.experiment, [&](const char* name, const auto&, const auto&, auto&& numbers) {
          const auto found = direction.find(std::string_view(name));
          if (found == direction.end()) return;
          std::size_t next = 0;
          numbers(e, [&](Real& x) { x.slopes[0] += found->second[next++]; });
        });
  });
  Plan tangent = tangent_of(prepared.plan, plan, 0);
  if (const auto found = direction.find(default_F_name); found != direction.end())
    tangent.lattice.default_F = found->second[0];
  // Also where the image does not depend on the parameter: 0 x NaN is NaN.
  for (const auto& [name, values] : direction)
    for (const double x : values)
      if (!std::isfinite(x)) tangent.scale = std::numeric_limits<double>::quiet_NaN();
  const Plan* const pointer = &tangent;
  std::vector<double> values(pixels.size()), slopes(pixels.size());
  prepared.loaded->push_forward(engine::Pixels(pixels), {&pointer, 1}, structure_factors, values,
                                slopes);
  return slopes;
}

std::vector<PixelIndex> visited_pixels(const SettledExperiment& experiment) {
  const Plan plan = plan_of(experiment);
  std::vector<PixelIndex> pixels;
  for (std::size_t i = 0; i < plan.panels.size(); ++i) {
    const PlanPanel& panel = plan.panels[i];
    for (int slow = panel.roi.slow_min; slow <= panel.roi.slow_max; ++slow)
      for (int fast = panel.roi.fast_min; fast <= panel.roi.fast_max; ++fast)
        if (panel.visits(fast, slow)) pixels.push_back({fast, slow, static_cast<int>(i)});
  }
  return pixels;
}

}  // namespace nablabragg
