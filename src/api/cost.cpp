#include "api/cost.hpp"

#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "description/digits.hpp"
#include "model/resolve.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg {

namespace {

using description::digits;

/// Steps a second on one thread that every kernel of every instruction set reaches.
constexpr double slowest_rate = 5e6;

double pixels_of(const PlanPanel& panel) {
  const RegionOfInterest& roi = panel.roi;
  if (!panel.mask) return (roi.fast_max - roi.fast_min + 1.0) * (roi.slow_max - roi.slow_min + 1.0);
  double count = 0;
  for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow)
    for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast) count += panel.visits(fast, slow);
  return count;
}

double count_of(const Plan& plan, const engine::Pixels& pixels) {
  if (!pixels.all) return double(pixels.list.size());
  double count = 0;
  for (const PlanPanel& panel : plan.panels) count += pixels_of(panel);
  return count;
}

double steps_of(const Plan& plan, const engine::Pixels& pixels) {
  double steps = 0;
  if (!pixels.all) {
    for (const PixelIndex& p : pixels.list)
      steps += double(engine::steps_of_pixel(plan, plan.panels[static_cast<std::size_t>(p.panel)]));
    return steps;
  }
  for (const PlanPanel& panel : plan.panels)
    steps += double(engine::steps_of_pixel(plan, panel)) * pixels_of(panel);
  return steps;
}

constexpr int patch_side = 4, patches = 16;

/// Patches of neighbours, which share work as those of an image do.
std::vector<PixelIndex> some_of(const Plan& plan, const engine::Pixels& pixels) {
  std::vector<PixelIndex> some;
  constexpr std::size_t per_patch = patch_side * patch_side;
  if (!pixels.all) {
    const std::size_t count = pixels.list.size();
    for (std::size_t i = 0; i < patches; ++i)
      for (std::size_t k = 0; k < per_patch; ++k)
        some.push_back(pixels.list[(i * count / patches + k) % count]);
    return some;
  }
  std::vector<std::size_t> computed;
  for (std::size_t p = 0; p < plan.panels.size(); ++p)
    if (!(plan.panels[p].roi == no_pixels)) computed.push_back(p);
  for (int i = 0; i < patches; ++i) {
    const std::size_t which = computed[static_cast<std::size_t>(i) % computed.size()];
    const RegionOfInterest& roi = plan.panels[which].roi;
    // Spread over the panel: in rows along one edge, by the golden section along the other
    const double along = (i + 0.5) / patches, across = std::fmod(0.6180339887 * (i + 1), 1.0);
    const auto place = [](int from, int to, double share) {
      const int last = std::max(from, to - patch_side + 1);
      return from + static_cast<int>(share * (last - from));
    };
    const int fast = place(roi.fast_min, roi.fast_max, along),
              slow = place(roi.slow_min, roi.slow_max, across);
    for (int y = 0; y < patch_side; ++y)
      for (int x = 0; x < patch_side; ++x)
        some.push_back({std::min(fast + x, roi.fast_max), std::min(slow + y, roi.slow_max),
                        static_cast<int>(which)});
  }
  return some;
}

/// The plan with fewer sub-pixels, and where those do not suffice fewer orientations, so that the
/// pixels take about `most_steps`.
Plan thinned(const Plan& plan, std::size_t pixels, double most_steps) {
  Plan thin = plan;
  double layers = 1;
  for (const PlanPanel& panel : plan.panels) layers = std::max(layers, double(panel.sensor.layers));
  const double others = double(pixels) * layers * double(plan.light.rays.size());
  const double lattices = 1.0 + double(plan.more_lattices.size()),
               affordable = std::max(1.0, std::floor(most_steps / others / lattices));
  double all_orientations = 0;
  const auto thin_out = [&](PlanLattice& lattice) {
    auto& orientations = lattice.orientations;
    if (double(orientations.size()) > affordable) {
      const auto stride = static_cast<std::size_t>(
          std::ceil(double(orientations.size()) / affordable));
      std::size_t kept = 0;
      for (std::size_t i = 0; i < orientations.size(); i += stride)
        orientations[kept++] = orientations[i];
      orientations.resize(kept);
      lattice.domains = 1;
    }
    all_orientations += double(orientations.size());
  };
  thin_out(thin.lattice);
  for (FurtherLattice& further : thin.more_lattices) thin_out(further.lattice);
  const double of_subpixel = others * all_orientations;
  thin.oversample = std::clamp(static_cast<int>(std::sqrt(most_steps / of_subpixel)), 1,
                               plan.oversample);
  for (PlanPanel& panel : thin.panels)
    panel.frame.subpixel = panel.frame.pixel / double(thin.oversample);
  return thin;
}

std::string in_words(double seconds) {
  struct Unit {
    double seconds;
    const char* name;
  };
  constexpr Unit units[] = {{31557600, "years"}, {86400, "days"}, {3600, "hours"}, {60, "minutes"}};
  for (const Unit& unit : units) {
    if (seconds < 2 * unit.seconds) continue;
    char text[40];
    std::snprintf(text, sizeof text, "%.*g %s", seconds < 10 * unit.seconds ? 1 : 2,
                  seconds / unit.seconds, unit.name);
    return text;
  }
  return std::to_string(static_cast<int>(seconds)) + " seconds";
}

}  // namespace

std::optional<Cost> cost_of(const Plan& plan, const engine::Pixels& pixels,
                            const ComputeOptions& options, double longest_s) {
  const int machine = tbb::this_task_arena::max_concurrency();
  const double asked = options.threads > 0 ? std::min(options.threads, machine) : machine;
  // A thread takes a tile of 256 pixels at a time.
  const double threads = std::clamp(count_of(plan, pixels) / 256, 1.0, asked);
  Cost cost{steps_of(plan, pixels), 0};
  if (cost.steps < slowest_rate * longest_s * threads) return std::nullopt;

  ComputeOptions alone = options;
  alone.threads = 1;
  if (options.progress) alone.progress = [&](double) { return options.progress(0); };
  alone.on_work = {};
  const std::vector<PixelIndex> some = some_of(plan, pixels);
  Plan thin = thinned(plan, some.size(), 2e6);
  std::vector<float> values(some.size());
  const auto seconds_of = [&] {
    const auto loaded = engine::load(thin, alone);
    const auto seconds_of_one = [&] {
      const auto start = std::chrono::steady_clock::now();
      loaded->render(engine::Pixels(some), std::span(values));
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    seconds_of_one();  // prepares what the plan needs once
    const double seconds = seconds_of_one();
    // The shorter one: other programs run, too.
    return std::min(seconds, seconds_of_one());
  };
  // Few pixels have no neighbours that diffuse light is shared with.
  thin.diffuse.error = 0;
  double seconds = seconds_of();
  if (plan.diffuse.error > 0) {
    thin.diffuse = {};
    const double of_spots = seconds_of();
    seconds = of_spots + std::max(0.0, seconds - of_spots) *
                             engine::SplitPlan(plan).diffuse.share_of_steps(plan);
  }
  cost.seconds = cost.steps * seconds / steps_of(thin, engine::Pixels(some)) / threads;
  return cost;
}

namespace {

/// Whether the experiment would be taken, also by an estimate that comes out longer next time.
bool is_affordable(const Experiment& experiment, const engine::Pixels& pixels,
                   const ComputeOptions& options) {
  try {
    const std::optional<Cost> cost = cost_of(make_plan(experiment, resolve(experiment)), pixels,
                                             options);
    return !cost || cost->seconds < longest_unasked_s / 2;
  } catch (const UsageError&) {
    return false;
  }
}

/// The crystal as mosaic blocks of that size.
Experiment with_blocks(const Experiment& experiment, const Resolved& resolved, double size_mm) {
  Experiment changed = experiment;
  const Mat3d axes = model::axes_in_metres(resolved.axes);
  const auto cells = [&](double all, const Vec3d& edge) {
    return std::clamp(std::round(units::metres_from_mm(size_mm) / length(edge)), 1.0, all);
  };
  const Vec3d& all = resolved.cells;
  const Vec3d block{cells(all.x, axes.a), cells(all.y, axes.b), cells(all.z, axes.c)};
  changed.crystal.cells = block;
  changed.crystal.blocks = resolved.blocks * (all.x / block.x) * (all.y / block.y) *
                           (all.z / block.z);
  changed.crystal.size_mm = {};
  changed.crystal.block_size_mm = 0;
  return changed;
}

/// What makes the experiment affordable, as far as an estimate of each says that it does.
/// `experiment` leaves the sub-pixels open.
std::vector<std::string> ways_out(const Experiment& experiment, const Resolved& resolved,
                                  const Cost& cost, const engine::Pixels& pixels,
                                  const ComputeOptions& options) {
  std::vector<std::string> ways{"-oversample " + std::to_string(resolved.oversample) +
                                " if that is meant"};
  const double share = std::sqrt(longest_unasked_s / 2 / cost.seconds);
  // Spots, not only their fringes, fall between fewer sub-pixels than these.
  if (share > model::least_share_of_subpixels)
    ways.push_back("fewer sub-pixels (-oversample " +
                   std::to_string(static_cast<int>(share * resolved.oversample)) +
                   ", about a minute)");
  if (experiment.crystal.shape != CrystalShape::gauss) {
    Experiment gauss = experiment;
    gauss.crystal.shape = CrystalShape::gauss;
    if (is_affordable(gauss, pixels, options))
      ways.emplace_back("spots without fringes (-gauss_xtal)");
  }
  for (const double size_mm : {1e-3, 5e-4, 2e-4, 1e-4}) {
    const Experiment blocks = with_blocks(experiment, resolved, size_mm);
    if (!is_affordable(blocks, pixels, options)) continue;
    const Vec3d& n = blocks.crystal.cells;
    const auto whole = [](double cells) { return std::to_string(std::lround(cells)); };
    ways.push_back("mosaic blocks of " + digits(size_mm) + " mm (-block_size " + digits(size_mm) +
                   " with -xtalsize, or -Na " + whole(n.x) + " -Nb " + whole(n.y) + " -Nc " +
                   whole(n.z) + " -blocks " + digits(blocks.crystal.blocks) + ")");
    break;
  }
  return ways;
}

/// Of oversampling that was left to the program.
std::string of_automatic(Experiment experiment, const Resolved& resolved, const Plan& plan,
                         const engine::Pixels& pixels, const ComputeOptions& options) {
  if (plan.oversample <= 1 || (!pixels.all && pixels.list.empty())) return {};
  const std::optional<Cost> cost = cost_of(plan, pixels, options);
  if (!cost || cost->seconds <= longest_unasked_s) return {};
  char steps[32];
  std::snprintf(steps, sizeof steps, "%.2g", cost->steps);
  experiment.sampling.oversample = 0;
  const std::vector<std::string> ways = ways_out(experiment, resolved, *cost, pixels, options);
  std::string text = "the automatic oversampling (" + std::to_string(plan.oversample) +
                     "-fold) asks for " + steps + " steps, about " + in_words(cost->seconds) +
                     " on this machine; give " + ways.front();
  for (std::size_t i = 1; i < ways.size(); ++i)
    text += (i + 1 < ways.size() ? ", " : ways.size() > 2 ? ", or " : " or ") + ways[i];
  return text;
}

void check(const Experiment& experiment, const Resolved& resolved, const Plan& plan,
           const engine::Pixels& pixels, const ComputeOptions& options) {
  if (experiment.quirks.any_cost) return;
  const std::string problem = of_automatic(experiment, resolved, plan, pixels, options);
  if (!problem.empty()) throw UsageError(problem);
}

bool is_automatic(const Experiment& experiment) { return experiment.sampling.oversample <= 0; }

}  // namespace

std::string costly_oversampling(const Experiment& experiment, const Resolved& resolved,
                                const Plan& plan, const engine::Pixels& pixels,
                                const ComputeOptions& options) {
  return is_automatic(experiment) ? of_automatic(experiment, resolved, plan, pixels, options)
                                  : std::string();
}

void check_cost(const Experiment& experiment, const Resolved& resolved, const Plan& plan,
                const engine::Pixels& pixels, const ComputeOptions& options) {
  if (is_automatic(experiment)) check(experiment, resolved, plan, pixels, options);
}

void check_cost(const SettledExperiment& settled, const Plan& plan, const engine::Pixels& pixels,
                const ComputeOptions& options) {
  if (settled.oversample_is_automatic())
    check(settled.experiment(), settled.resolved(), plan, pixels, options);
}

}  // namespace nablabragg
