#include "nablabragg/gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "api/cost.hpp"
#include "description/lift.hpp"
#include "description/parameter_table.hpp"
#include "engine/engine.hpp"
#include "model/resolve.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"
#include "physics/dual.hpp"
#include "plan/energy_terms.hpp"
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
    loaded = engine::load(plan, options, engine::Use::gradients);
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

// ---- Directions in the space of parameters ------------------------------------------------------

using description::ParameterKey;
using description::ParameterOwner;

/// One scalar of a parameter.
struct Place {
  std::string name;
  std::size_t index;  ///< in the parameter
  ParameterOwner owner;
  bool of_source_list;
};

/// All scalars but default_F, in the order of the table.
std::vector<Place> places_of(const Experiment& settled) {
  std::vector<Place> places;
  description::for_each_parameter(
      settled, [&](const ParameterKey& key, const auto&, const auto& shape, auto&&) {
        std::size_t count = 1;
        for (const std::size_t extent : shape) count *= extent;
        for (std::size_t i = 0; i < count; ++i)
          places.push_back(
              {key.name(settled), i, key.owner, std::string_view(key.row).starts_with("source_")});
      });
  return places;
}

/// Some of the places, by number.
using Places = std::vector<std::size_t>;

/// Those of a parameter.  Throws UsageError where the experiment has no such parameter.
Places places_named(const SettledExperiment& e, std::span<const Place> places,
                    std::string_view name) {
  Places found;
  for (std::size_t i = 0; i < places.size(); ++i)
    if (places[i].name == name) found.push_back(i);
  if (found.empty()) parameter(e, name);
  return found;
}

/// How an experiment changes: the number at a place, by its slope along one direction.
struct Change {
  std::size_t place;
  std::size_t direction;
  double slope;
};

/// The plan of the experiment and its slopes along `width` directions.
BasicPlan<Real> dual_plan(const Experiment& settled, std::span<const Change> changes,
                          std::size_t places) {
  auto e = description::lifted<Real>(settled);
  std::vector<std::array<double, width>> slopes(places);
  for (const Change& change : changes) slopes[change.place][change.direction] = change.slope;
  std::size_t place = 0;
  description::for_each_parameter(
      settled, [&](const ParameterKey&, const auto&, const auto&, auto&& numbers) {
        numbers(e, [&](Real& x) {
          for (std::size_t k = 0; k < width; ++k) x.slopes[k] += slopes[place][k];
          ++place;
        });
      });
  return make_plan(e, model::resolve(e));
}

// ---- From the gradient of a plan to that of the parameters --------------------------------------

/// Each source makes its own ray, so that all of them may share four directions.
static_assert(width >= 4);
void add_source_list(const Experiment& settled, const Plan& adjoints, NamedValues& out) {
  const auto& sources = settled.beam.sources;
  const std::size_t n = sources.size();
  auto e = description::lifted<Real>(settled);
  for (auto& source : e.beam.sources) {
    source.position.x.slopes[0] = source.position.y.slopes[1] = source.position.z.slopes[2] = 1;
    source.wavelength_A.slopes[3] = 1;
  }
  const auto plan = make_plan(e, model::resolve(e));
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

/// The panels whose plan depends on what each group has: those that are in it, or in a group in it.
std::vector<std::vector<std::size_t>> panels_of_groups(const Experiment& e) {
  const auto& groups = e.detector_groups;
  std::vector<std::vector<std::size_t>> panels(groups.size());
  for (std::size_t i = 0; i <= e.more_panels.size(); ++i) {
    const std::string* name = &detector_of(e, i).group;
    while (!name->empty()) {
      const auto& group = model::detail::group_named(e, *name);
      panels[static_cast<std::size_t>(&group - groups.data())].push_back(i);
      name = &group.parent;
    }
  }
  return panels;
}

/// Which numbers are followed along one and the same direction.
struct Direction {
  struct Follower {
    std::size_t place;
    std::vector<std::size_t> panels;  ///< that depend on it, and on no other of the direction
    bool beside_panels;               ///< the rest of the plan does so, too
  };
  std::vector<Follower> followers;
  std::vector<bool> taken;  ///< panels
};

/// As few as there are with a panel's plan, or all of it, for one number alone in each.
std::vector<Direction> shared_directions(const Experiment& e, std::span<const Place> places) {
  using Kind = ParameterOwner::Kind;
  const std::size_t panels = 1 + e.more_panels.size();
  const auto of_groups = panels_of_groups(e);
  std::vector<std::size_t> all(panels);
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::vector<Direction> directions;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const ParameterOwner& owner = places[i].owner;
    if (places[i].of_source_list) continue;
    // What is not of panels shares its direction with nothing
    const bool beside_panels = owner.kind != Kind::panel && owner.kind != Kind::group;
    const auto mine = beside_panels               ? all
                      : owner.kind == Kind::group ? of_groups[owner.index]
                                                  : std::vector{owner.index};
    const auto free = [&](const Direction& d) {
      return std::none_of(mine.begin(), mine.end(), [&](std::size_t p) { return d.taken[p]; });
    };
    auto direction = std::find_if(directions.begin(), directions.end(), free);
    if (direction == directions.end())
      direction = directions.insert(directions.end(), {{}, std::vector<bool>(panels)});
    for (const std::size_t panel : mine) direction->taken[panel] = true;
    direction->followers.push_back({i, mine, beside_panels});
  }
  return directions;
}

/// adjoint * d(number)/d(direction), added up for each of `width` directions.
struct Contraction {
  std::array<double, width> sums{};
  void operator()(const double& adjoint, const Real& x) {
    if (adjoint == 0) return;
    for (std::size_t k = 0; k < width; ++k) sums[k] += adjoint * x.slopes[k];
  }
};

NamedValues gradient_of_parameters(const Experiment& settled, const Plan& adjoints) {
  NamedValues out;
  const std::vector<Place> places = places_of(settled);
  std::vector<double> values(places.size());
  const std::vector<Direction> directions = shared_directions(settled, places);
  for (std::size_t first = 0; first < directions.size(); first += width) {
    const auto some = std::span(directions)
                          .subspan(first, std::min(width, directions.size() - first));
    std::vector<Change> changes;
    for (std::size_t k = 0; k < some.size(); ++k)
      for (const auto& follower : some[k].followers) changes.push_back({follower.place, k, 1.0});
    const auto plan = dual_plan(settled, changes, places.size());
    std::vector<Contraction> of_panels(plan.panels.size());
    for (std::size_t i = 0; i < plan.panels.size(); ++i)
      for_each_number_of_panel(of_panels[i], adjoints.panels[i], plan.panels[i]);
    Contraction of_rest;
    for_each_number_besides_panels(of_rest, adjoints, plan);
    for (std::size_t k = 0; k < some.size(); ++k)
      for (const auto& follower : some[k].followers) {
        double& value = values[follower.place];
        for (const std::size_t panel : follower.panels) value += of_panels[panel].sums[k];
        if (follower.beside_panels) value += of_rest.sums[k];
      }
  }
  for (std::size_t i = 0; i < places.size(); ++i)
    if (!places[i].of_source_list) out[places[i].name].push_back(values[i]);
  if (!settled.beam.sources.empty()) add_source_list(settled, adjoints, out);
  out[std::string(default_F_name)] = {adjoints.lattice.default_F};
  return out;
}

/// A number for f' and f'' in each row of each curve; all zero.
std::vector<DispersionSlopes> zero_slopes(const EnergyTerms& terms) {
  std::vector<DispersionSlopes> slopes;
  for (const AnomalousSpecies& species : terms.of->anomalous()->species) {
    const std::vector<double> none(species.curve.energy_eV.size());
    slopes.push_back({species.curve.element, none, none});
  }
  return slopes;
}

/// Calls work(number of a moment of the light, its slope by f' and f'' in a row).
template <class Work>
void for_each_moment_slope(const EnergyTerms& terms, Work&& work) {
  std::vector<const DispersionCurve*> curves;
  for (const AnomalousSpecies& species : terms.of->anomalous()->species)
    curves.push_back(&species.curve);
  for (std::size_t g = 0; g < terms.groups(); ++g)
    for (const MomentSlope& s : moment_slopes(curves, terms.channels[g]))
      work(g * terms.moments_of_group() + s.moment, s);
}

/// From the derivative with respect to the moments of the light to that with respect to f', f''.
std::vector<DispersionSlopes> dispersion_slopes(const EnergyTerms& terms,
                                                std::span<const double> adjoints) {
  std::vector<DispersionSlopes> slopes = zero_slopes(terms);
  for_each_moment_slope(terms, [&](std::size_t moment, const MomentSlope& s) {
    slopes[s.species].f_prime[s.row] += adjoints[moment] * s.f_prime;
    slopes[s.species].f_double_prime[s.row] += adjoints[moment] * s.f_double_prime;
  });
  return slopes;
}

/// The way forwards: what a tangent of the plan has for its moments.
std::shared_ptr<const EnergyTerms> change_of_moments(const Plan& plan,
                                                     std::span<const DispersionSlopes> direction) {
  const EnergyTerms& terms = *plan.lattice.by_energy;
  std::vector<double> wavenumbers, weights;
  for (const PlanRay& ray : plan.light.rays) {
    wavenumbers.push_back(ray.wavenumber);
    weights.push_back(ray.weight);
  }
  auto change = std::make_shared<EnergyTerms>(terms.of, plan.lattice.default_F, wavenumbers,
                                              weights);
  std::ranges::fill(change->moments, 0.0);
  for_each_moment_slope(terms, [&](std::size_t moment, const MomentSlope& s) {
    change->moments[moment] += s.f_prime * direction[s.species].f_prime[s.row] +
                               s.f_double_prime * direction[s.species].f_double_prime[s.row];
  });
  return change;
}

/// The numbers that "f_prime[Fe]" or "f_double_prime[Fe]" names; null: none of these.
std::vector<double>* numbers_named(std::string_view name, std::span<DispersionSlopes> of) {
  for (DispersionSlopes& slopes : of) {
    if (name == "f_prime[" + slopes.element + "]") return &slopes.f_prime;
    if (name == "f_double_prime[" + slopes.element + "]") return &slopes.f_double_prime;
  }
  return nullptr;
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
  if (const auto& terms = prepared.plan.lattice.by_energy)
    out.gradient.dispersion = dispersion_slopes(*terms, of_plan.moments);
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
  const auto& grid = experiment.experiment().structure_factors.grid;
  if (grid && grid->anomalous())
    for (const AnomalousSpecies& species : grid->anomalous()->species) {
      const std::vector<double> all(species.curve.energy_eV.size(), undefined);
      gradient.dispersion.push_back({species.curve.element, all, all});
    }
  else if (grid)
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

namespace {

/// What a column of a Jacobian is by: a number of the experiment, one of a curve of f' or f'', or
/// neither, which is default_F.
struct JacobianColumn {
  std::optional<std::size_t> place;
  std::string curve;
  std::size_t row = 0;
};

std::string name_of_number(const std::string& parameter, std::size_t index) {
  return parameter + '[' + std::to_string(index) + ']';
}

}  // namespace

Jacobian jacobian(const SettledExperiment& experiment, std::span<const std::string> names,
                  std::span<const PixelIndex> pixels, const ComputeOptions& options) {
  const Prepared prepared(experiment, engine::Pixels(pixels), options);
  const std::vector<Place> places = places_of(prepared.experiment);
  const auto& terms = prepared.plan.lattice.by_energy;
  std::vector<DispersionSlopes> no_dispersion;
  if (terms) no_dispersion = zero_slopes(*terms);
  std::vector<JacobianColumn> columns;  // in the order of the names
  Jacobian out;
  for (const std::string& name : names) {
    if (const auto* const curve = numbers_named(name, no_dispersion)) {
      for (std::size_t row = 0; row < curve->size(); ++row) {
        columns.push_back({std::nullopt, name, row});
        out.columns.push_back(name_of_number(name, row));
      }
      continue;
    }
    const Places some = places_named(experiment, places, name);
    if (some.empty()) {
      columns.emplace_back();
      out.columns.push_back(name);
    }
    for (const std::size_t place : some) {
      columns.push_back({place, {}, 0});
      out.columns.push_back(some.size() == 1 ? name : name_of_number(name, places[place].index));
    }
  }
  out.photons.assign(pixels.size(), 0);
  out.slopes.resize(pixels.size() * columns.size());
  // Enough tangents to share a pass over the steps, few enough to stay small
  constexpr std::size_t most = 4 * width;
  for (std::size_t first = 0; first < std::max<std::size_t>(columns.size(), 1); first += most) {
    const std::size_t count = std::min(most, columns.size() - first);
    std::vector<Plan> tangents;
    for (std::size_t begin = 0; begin < count; begin += width) {
      const auto some = std::span(columns).subspan(first + begin, std::min(width, count - begin));
      std::vector<Change> changes;
      for (std::size_t k = 0; k < some.size(); ++k)
        if (some[k].place) changes.push_back({*some[k].place, k, 1.0});
      const auto plan = dual_plan(prepared.experiment, changes, places.size());
      for (std::size_t k = 0; k < some.size(); ++k) {
        tangents.push_back(tangent_of(prepared.plan, plan, k));
        if (!some[k].curve.empty()) {
          std::vector<DispersionSlopes> along = no_dispersion;
          (*numbers_named(some[k].curve, along))[some[k].row] = 1;
          tangents.back().lattice.by_energy = change_of_moments(prepared.plan, along);
        } else if (!some[k].place) {
          tangents.back().lattice.default_F = 1;
        }
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
                  out.slopes.begin() + static_cast<std::ptrdiff_t>(i * columns.size() + first));
  }
  return out;
}

std::vector<double> jvp(const SettledExperiment& experiment, const NamedValues& direction,
                        std::span<const PixelIndex> pixels, const ComputeOptions& options,
                        const StructureFactorGrid* structure_factors) {
  const Prepared prepared(experiment, engine::Pixels(pixels), options);
  const std::vector<Place> places = places_of(prepared.experiment);
  std::vector<Change> changes;
  const auto& terms = prepared.plan.lattice.by_energy;
  std::vector<DispersionSlopes> dispersion;
  if (terms) dispersion = zero_slopes(*terms);
  bool along_dispersion = false;
  for (const auto& [name, values] : direction) {
    std::vector<double>* const of_curve = numbers_named(name, dispersion);
    const Places some = of_curve ? Places() : places_named(experiment, places, name);
    const std::size_t wanted = of_curve ? of_curve->size() : std::max<std::size_t>(some.size(), 1);
    if (wanted != values.size())
      throw UsageError("the direction of '" + name + "' has " + std::to_string(values.size()) +
                       " numbers; the parameter has " + std::to_string(wanted));
    if (of_curve) *of_curve = values;
    along_dispersion |= of_curve != nullptr;
    for (std::size_t i = 0; i < some.size(); ++i) changes.push_back({some[i], 0, values[i]});
  }
  const auto& grid = prepared.plan.lattice.grid;
  if (structure_factors &&
      (!grid || grid->min() != structure_factors->min() || grid->max() != structure_factors->max()))
    throw UsageError("the direction of the structure factors is not on the box of their table");
  const auto plan = dual_plan(prepared.experiment, changes, places.size());
  Plan tangent = tangent_of(prepared.plan, plan, 0);
  if (const auto found = direction.find(default_F_name); found != direction.end())
    tangent.lattice.default_F = found->second[0];
  if (along_dispersion) tangent.lattice.by_energy = change_of_moments(prepared.plan, dispersion);
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
