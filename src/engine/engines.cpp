#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/beamstop.hpp"
#include "engine/by_energy.hpp"
#include "engine/engine.hpp"
#include "engine/lattices.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"
#include "plan/energy_terms.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

/// Fewer of them a processor has done before a GPU is there.
constexpr double steps_worth_a_device = 2e9;

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

bool all_finite(std::span<const double> numbers) {
  // x - x is 0, or NaN.  Without a way out of the loop and in several sums, so that it takes
  // several numbers at a time.
  std::array<double, 16> sums{};
  std::size_t i = 0;
  for (; i + sums.size() <= numbers.size(); i += sums.size())
    for (std::size_t j = 0; j < sums.size(); ++j) sums[j] += numbers[i + j] - numbers[i + j];
  for (; i < numbers.size(); ++i) sums[0] += numbers[i] - numbers[i];
  return std::accumulate(sums.begin(), sums.end(), 0.0) == 0;
}

/// Of the pixels that a call is about.
bool weights_are_finite(const Plan& plan, const Pixels& pixels, std::span<const double> weights) {
  if (all_finite(weights)) return true;
  if (!pixels.all) return false;
  for (const PlanPanel& panel : plan.panels)
    for (int slow = panel.roi.slow_min; slow <= panel.roi.slow_max; ++slow)
      for (int fast = panel.roi.fast_min; fast <= panel.roi.fast_max; ++fast)
        if (panel.visits(fast, slow) &&
            !std::isfinite(weights[panel.first_pixel + panel.offset_of(fast, slow)]))
          return false;
  return true;
}

bool is_finite(const Plan& tangent) {
  bool finite = true;
  for_each_number_of_plan([&](const double& x) { finite = finite && std::isfinite(x); }, tangent);
  return finite;
}

bool same_beamstop(const PlanBeamstop& a, const PlanBeamstop& b) {
  bool same = a.present == b.present;
  if (same && a.present)
    for_each_number_of_beamstop([&](const double& x, const double& y) { same = same && x == y; }, a,
                                b);
  return same;
}

PlanGradient undefined_gradient(const Plan& plan) {
  PlanGradient gradient;
  gradient.value = undefined;
  gradient.adjoint = zero_plan(plan);
  for_each_number_of_plan([](double& x) { x = undefined; }, gradient.adjoint);
  if (const auto& grid = plan.lattice.grid)
    gradient.table = std::make_shared<StructureFactorGrid>(grid->min(), grid->max(), undefined);
  if (const auto& terms = plan.lattice.by_energy)
    gradient.moments.assign(terms->moments.size(), undefined);
  return gradient;
}

}  // namespace

PlanGradient Loaded::pull_back(const Pixels& pixels, std::span<const double> weights) {
  if (!weights_are_finite(plan_, pixels, weights)) return undefined_gradient(plan_);
  PlanGradient gradient = pull_back_finite(pixels, weights);
  if (diffuse_.present()) diffuse_.pull_back(plan_, pixels, weights, options_, gradient);
  return gradient;
}

void Loaded::push_forward_spots(const Pixels& pixels, std::span<const Plan* const> tangents,
                                const StructureFactorGrid* table_tangent, std::span<double> photons,
                                std::span<double> slopes) {
  std::vector<std::unique_ptr<StructureFactorGrid>> tables;
  for (std::size_t t = 0; t < tangents.size() && diffuse_.present(); ++t)
    tables.push_back(diffuse_.tables().push_forward_spots(
        *tangents[t], t + 1 == tangents.size() ? table_tangent : nullptr));
  if (std::none_of(tables.begin(), tables.end(), [](const auto& table) { return bool(table); }))
    return push_forward_finite(pixels, tangents, table_tangent, photons, slopes);
  // Engines follow one change of a table at a time.
  std::vector<double> of_one(photons.size());
  for (std::size_t t = 0; t < tangents.size(); ++t) {
    std::fill(photons.begin(), photons.end(), 0.0);
    std::fill(of_one.begin(), of_one.end(), 0.0);
    push_forward_finite(pixels, tangents.subspan(t, 1), tables[t].get(), photons, of_one);
    for (std::size_t i = 0; i < of_one.size(); ++i) slopes[i * tangents.size() + t] = of_one[i];
  }
}

void Loaded::push_forward(const Pixels& pixels, std::span<const Plan* const> tangents,
                          const StructureFactorGrid* table_tangent, std::span<double> photons,
                          std::span<double> slopes) {
  push_forward_spots(pixels, tangents, table_tangent, photons, slopes);
  if (diffuse_.present())
    diffuse_.push_forward(plan_, pixels, tangents, table_tangent, options_, photons, slopes);
  for (std::size_t t = 0; t < tangents.size(); ++t) {
    const bool has_table = table_tangent && t + 1 == tangents.size();
    if (is_finite(*tangents[t]) && !(has_table && !all_finite(table_tangent->values()))) continue;
    for (std::size_t i = t; i < slopes.size(); i += tangents.size()) slopes[i] = undefined;
  }
}

void throw_no_gradients() {
  throw UsageError(
      "this program was built without gradients; ./dev build builds all of it (cmake "
      "-DNABLA_GRADIENTS=ON)");
}

std::span<const Engine* const> engines() {
  static const Engine* const all[] = {&reference_engine(), &cpu_engine(), &cuda_engine()};
  return all;
}

const Engine& engine_of(const Plan& plan, const ComputeOptions& options, Use use) {
  if (options.engine == nablabragg::Engine::automatic) {
    double steps = 0;
    for (const PlanPanel& panel : plan.panels)
      steps += double(panel.pixels()) * double(steps_of_pixel(plan, panel));
    const Engine& cuda = cuda_engine();
    const bool can = use == Use::images || cuda.why_no_gradients(plan).empty();
    return can && steps > steps_worth_a_device && cuda.why_not(plan, options).empty()
               ? cuda
               : cpu_engine();
  }
  for (const Engine* engine : engines())
    if (engine->id() == options.engine) return *engine;
  throw UsageError("this program has no such engine");
}

std::unique_ptr<Loaded> load(const Plan& plan, const ComputeOptions& options, Use use) {
  check_threads(options.threads);
  const Engine& engine = engine_of(plan, options, use);
  std::string reason = engine.why_not(plan, options);
  if (reason.empty() && use == Use::gradients) reason = engine.why_no_gradients(plan);
  if (!reason.empty()) throw UsageError(reason);
  return load_with(engine, plan, options);
}

bool may_follow(const Plan& a, const Plan& b) {
  return a.more_lattices.empty() == b.more_lattices.empty() &&
         (a.lattice.by_energy == nullptr) == (b.lattice.by_energy == nullptr) &&
         a.spread.closed == b.spread.closed && a.lattice.tricubic == b.lattice.tricubic &&
         same_beamstop(a.beamstop, b.beamstop);
}

std::unique_ptr<Loaded> load_with(const Engine& engine, const Plan& plan,
                                  const ComputeOptions& options) {
  if (plan.beamstop.present) return load_behind_beamstop(engine, plan, options);
  if (!plan.more_lattices.empty()) return load_lattices(engine, plan, options);
  return plan.lattice.by_energy ? load_by_energy(engine, plan, options)
                                : engine.load(plan, options);
}

}  // namespace nablabragg::engine
