#include "nablabragg/simulate.hpp"

#include "api/run_plan.hpp"
#include "engine/engine.hpp"
#include "memory/huge_pages.hpp"
#include "nablabragg/error.hpp"
#include "plan/make_plan.hpp"
#include "readout/statistics.hpp"

namespace nablabragg {

namespace {

Image blank_image(int fast_pixels, int slow_pixels) {
  const double bytes = 4.0 * fast_pixels * slow_pixels;
  if (bytes > static_cast<double>(StructureFactorGrid::default_max_bytes()))
    throw UsageError(
        "an image of " + std::to_string(fast_pixels) + " x " + std::to_string(slow_pixels) +
        " pixels needs " + std::to_string(static_cast<long long>(bytes / 1048576)) +
        " MiB, more than half of this machine's memory; check -detpixels, -detsize and -pixel");
  Image image{fast_pixels, slow_pixels, {}};
  const std::size_t pixels = static_cast<std::size_t>(fast_pixels) *
                             static_cast<std::size_t>(slow_pixels);
  memory::reserve_in_huge_pages(image.pixels, pixels);
  image.pixels.resize(pixels);
  return image;
}

using RenderImage = engine::Report(const Plan&, std::span<float>, const ComputeOptions&);

}  // namespace

std::string table_miss_warning(const Plan& plan, const TableMiss& miss) {
  const char* consequence = plan.lattice.out_of_range == OutOfRange::nearest_for_all
                                ? ": from there on the nearest value is taken"
                                : ": default_F is taken where a neighbourhood is not in the table";
  return "tricubic interpolation met the edge of the structure-factor table, first at pixel fast " +
         std::to_string(miss.fast) + " slow " + std::to_string(miss.slow) + consequence;
}

Simulation run_plan(const Experiment& experiment, const Resolved& resolved, const Plan& plan,
                    const ComputeOptions& options) {
  const PlanPanel& panel = plan.panels.front();
  Simulation s;
  s.warnings = resolved.warnings;
  s.image = blank_image(panel.frame.fast_pixels, panel.frame.slow_pixels);
  const auto start = std::chrono::steady_clock::now();
  const auto render = options.engine == Engine::reference
                          ? static_cast<RenderImage*>(engine::render_reference)
                          : static_cast<RenderImage*>(engine::render_cpu<float>);
  engine::Report report = render(plan, s.image.pixels, options);
  s.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  s.statistics = readout::image_statistics(plan, s.image,
                                           experiment.quirks.statistics_count_masked);
  const double samples = experiment.quirks.statistics_count_masked
                             ? static_cast<double>(resolved.steps)
                             : double(panel.sensor.layers) * double(plan.oversample) *
                                   double(plan.oversample);
  s.statistics.solid_angle_sr = report.solid_angle_sum / samples;
  s.engine = std::move(report.used);
  s.table_miss = report.miss;
  if (report.miss) s.warnings.push_back(table_miss_warning(plan, *report.miss));
  return s;
}

Simulation simulate(const Experiment& experiment, const ComputeOptions& options) {
  Resolved resolved = resolve(experiment);
  const Plan plan = make_plan(experiment, resolved);
  Simulation s = run_plan(experiment, resolved, plan, options);
  s.resolved = std::move(resolved);
  return s;
}

std::vector<float> simulate_pixels(const Experiment& experiment, std::span<const PixelIndex> pixels,
                                   const ComputeOptions& options) {
  const Plan plan = make_plan(experiment, resolve(experiment));
  check_pixels(plan, pixels);
  std::vector<float> values(pixels.size());
  engine::render_cpu<float>(plan, pixels, values, options);
  return values;
}

}  // namespace nablabragg
