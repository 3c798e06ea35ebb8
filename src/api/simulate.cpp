#include "nablabragg/simulate.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "api/cost.hpp"
#include "api/run_plan.hpp"
#include "engine/cuda/open_device.hpp"
#include "engine/engine.hpp"
#include "memory/huge_pages.hpp"
#include "nablabragg/error.hpp"
#include "plan/make_plan.hpp"
#include "readout/statistics.hpp"

namespace nablabragg {

namespace {

void check_memory(const Plan& plan) {
  const PlanFrame& first = plan.panels.front().frame;
  const double bytes = 4.0 * static_cast<double>(plan.pixels());
  if (bytes > static_cast<double>(StructureFactorGrid::default_max_bytes()))
    throw UsageError(
        "an image of " +
        (plan.panels.size() > 1 ? std::to_string(plan.panels.size()) + " panels"
                                : std::to_string(first.fast_pixels) + " x " +
                                      std::to_string(first.slow_pixels) + " pixels") +
        " needs " + std::to_string(static_cast<long long>(bytes / 1048576)) +
        " MiB, more than half of this machine's memory; check -detpixels, -detsize and -pixel");
}

/// In the memory of `used`.
Image blank_image(const Plan& plan, Image used) {
  check_memory(plan);
  const PlanFrame& first = plan.panels.front().frame;
  const std::size_t pixels = plan.pixels();
  Image image{first.fast_pixels, first.slow_pixels, {}};
  for (std::size_t i = 1; i < plan.panels.size(); ++i)
    image.more_panels.push_back(
        {plan.panels[i].frame.fast_pixels, plan.panels[i].frame.slow_pixels});
  image.pixels = std::move(used.pixels);
  if (image.pixels.size() == pixels) {
    std::fill(image.pixels.begin(), image.pixels.end(), 0.0F);
  } else {
    memory::reserve_in_huge_pages(image.pixels, pixels);
    image.pixels.assign(pixels, 0.0F);
  }
  return image;
}

/// What the engine said, without its sums.
void tell(const Plan& plan, engine::Report& report, Simulation& s) {
  s.engine = std::move(report.used);
  s.table_miss = report.miss;
  if (report.miss) s.warnings.push_back(table_miss_warning(plan, *report.miss));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::string table_miss_warning(const Plan& plan, const TableMiss& miss) {
  const char* consequence = plan.lattice.out_of_range == OutOfRange::nearest_for_all
                                ? ": from there on the nearest value is taken"
                                : ": default_F is taken where a neighbourhood is not in the table";
  return "tricubic interpolation met the edge of the structure-factor table, first at pixel fast " +
         std::to_string(miss.fast) + " slow " + std::to_string(miss.slow) +
         (plan.panels.size() > 1 ? " of panel " + std::to_string(miss.panel) : "") + consequence;
}

namespace {

Simulation run_on(Image blank, const Experiment& experiment, const Resolved& resolved,
                  engine::Loaded& loaded) {
  const Plan& plan = loaded.plan();
  Simulation s;
  s.warnings = resolved.warnings;
  s.image = std::move(blank);
  const auto start = std::chrono::steady_clock::now();
  engine::Report report = loaded.render({}, std::span(s.image.pixels));
  s.seconds = seconds_since(start);

  s.statistics = readout::image_statistics(plan, s.image, experiment.quirks.statistics_count_masked,
                                           report.written);
  for (std::size_t i = 0; i < plan.panels.size(); ++i) {
    const double samples = experiment.quirks.statistics_count_masked
                               ? static_cast<double>(resolved.steps)
                               : double(plan.panels[i].sensor.layers) * double(plan.oversample) *
                                     double(plan.oversample);
    s.statistics.solid_angle_sr += report.solid_angle_sums[i] / samples;
  }
  tell(plan, report, s);
  if (!std::isfinite(s.statistics.sum))
    s.not_finite = not_finite_warning(experiment, s.image.pixels);
  if (s.statistics.sum == 0) s.dark = dark_warning(experiment, s.image.pixels);
  for (const std::string& sentence : {s.not_finite, s.dark})
    if (!sentence.empty()) s.warnings.push_back(sentence);
  return s;
}

}  // namespace

Simulation run_plan(const Experiment& experiment, const Resolved& resolved, const Plan& plan,
                    const ComputeOptions& options) {
  Image image = blank_image(plan, {});
  const auto start = std::chrono::steady_clock::now();
  const std::unique_ptr<engine::Loaded> loaded = engine::load(plan, options);
  const double loading = seconds_since(start);
  Simulation s = run_on(std::move(image), experiment, resolved, *loaded);
  s.seconds += loading;
  return s;
}

Simulation run_loaded(const Experiment& experiment, const Resolved& resolved,
                      engine::Loaded& loaded, Image used) {
  return run_on(blank_image(loaded.plan(), std::move(used)), experiment, resolved, loaded);
}

std::optional<CountedSimulation> count_loaded(const Experiment& experiment,
                                              const Resolved& resolved, engine::Loaded& loaded,
                                              std::int64_t seed) {
  const auto rule = count_rule(experiment, seed);
  if (!rule) return std::nullopt;
  check_memory(loaded.plan());
  CountedSimulation c;
  const auto start = std::chrono::steady_clock::now();
  auto counted = loaded.count(*rule, c.counted.counts);
  if (!counted) return std::nullopt;
  c.counted.saturated = counted->saturated;
  c.simulation.seconds = seconds_since(start);
  c.simulation.warnings = resolved.warnings;
  tell(loaded.plan(), counted->report, c.simulation);
  return c;
}

Simulation simulate(const Experiment& experiment, const ComputeOptions& options) {
  Resolved resolved = resolve(experiment);
  const Plan plan = make_plan(experiment, resolved);
  check_cost(experiment, resolved, plan, {}, options);
  Simulation s = run_plan(experiment, resolved, plan, options);
  s.resolved = std::move(resolved);
  return s;
}

PanelImage Image::only() const {
  if (!more_panels.empty())
    throw UsageError("this image has " + std::to_string(panels()) +
                     " panels where one is wanted; take one of them");
  return panel(0);
}

std::vector<EngineInfo> engines() {
  std::vector<EngineInfo> all;
  for (const engine::Engine* engine : engine::engines())
    all.push_back({engine->id(), engine->name(), engine->description(), engine->why_not_here()});
  return all;
}

bool choose_engine(const std::string& name, ComputeOptions& options) {
  options.device = 0;
  options.engine = Engine::automatic;
  if (name == "auto") return true;
  const std::size_t colon = name.find(':');
  for (const engine::Engine* engine : engine::engines()) {
    if (name.substr(0, colon) != engine->name()) continue;
    options.engine = engine->id();
    if (colon == std::string::npos) return true;
    const std::string number = name.substr(colon + 1);
    options.device = std::atoi(number.c_str());
    return options.engine == Engine::cuda && number == std::to_string(options.device) &&
           options.device >= 0;
  }
  return false;
}

void start_device(const ComputeOptions& options) {
  if (options.engine != Engine::cuda) return;
  if (std::string reason = engine::cuda::why_no_device(options.device); !reason.empty())
    throw UsageError(reason);
  engine::cuda::begin_opening(options.device);
}

std::string why_not(const Experiment& experiment, const ComputeOptions& options) {
  const Plan plan = make_plan(experiment, resolve(experiment));
  return engine::engine_of(plan, options).why_not(plan, options);
}

std::vector<float> simulate_pixels(const Experiment& experiment, std::span<const PixelIndex> pixels,
                                   const ComputeOptions& options) {
  const Resolved resolved = resolve(experiment);
  const Plan plan = make_plan(experiment, resolved);
  check_pixels(plan, pixels);
  check_cost(experiment, resolved, plan, engine::Pixels(pixels), options);
  std::vector<float> values(pixels.size());
  engine::load(plan, options)->render(engine::Pixels(pixels), std::span(values));
  return values;
}

}  // namespace nablabragg
