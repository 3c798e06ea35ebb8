#include "instruments/benchmark_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "instruments/machine.hpp"
#include "instruments/svg_plot.hpp"
#include "nablabragg/version.hpp"

namespace nablabragg::instruments {

namespace {

using Json = nlohmann::ordered_json;

double per_second(const BenchResult& result, const Timings& timings) {
  return static_cast<double>(result.steps) / timings.kernel_min();
}

/// A number, or a dash where there is none.
std::string cell(double value, const char* unit = "", int digits = 3) {
  return std::isfinite(value) ? fmt::format("{:.{}g}{}", value, digits, unit) : "-";
}

std::string seconds(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f} s", value) : "-";
}

std::string title(const BenchCase& bench_case, int size) {
  return bench_case.sized ? fmt::format("{0} {1} x {1}", bench_case.name, size)
                          : std::string(bench_case.name);
}

std::string title(const BenchResult& result) { return title(*result.bench_case, result.size); }

std::string mebibytes(std::int64_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / (1024.0 * 1024.0));
}

std::string parity(const BenchResult& result) {
  if (!result.reference || !result.bench_case->same_image) return "not compared";
  return has_parity(result) ? "passed" : "failed";
}

Json timings_json(const BenchResult& result, const Timings& t) {
  return {{"seconds_cold", t.cold},
          {"seconds_warm", t.warm},
          {"seconds_one_pixel", t.overhead},
          {"pixel_factor", t.pixel_factor},
          {"whole_image_seconds_cold", t.whole_cold()},
          {"whole_image_seconds_warm_min", t.whole_min()},
          {"whole_image_seconds_warm_median", t.whole_median()},
          {"whole_image_seconds_warm_max", t.whole_max()},
          {"kernel_seconds", t.kernel_min()},
          {"kernel_seconds_of_medians", t.kernel_median()},
          {"steps_per_s", per_second(result, t)},
          {"peak_memory_bytes", t.peak_bytes}};
}

Json result_json(const BenchResult& result) {
  Json json{{"case", result.bench_case->name},
            {"description", result.bench_case->description},
            {"size", result.bench_case->sized ? Json(result.size) : Json(nullptr)},
            {"threads", result.threads},
            {"arguments", quoted(result.arguments)},
            {"arguments_of_ours_alone", result.bench_case->only_ours},
            {"steps", result.steps},
            {"ours", timings_json(result, result.ours)},
            {"reference", nullptr}};
  if (result.reference) json["reference"] = timings_json(result, *result.reference);
  json["reference_region"] = result.region ? Json(*result.region) : Json(nullptr);
  json["correlation_cold"] = result.correlation_cold;
  json["correlation_warm"] = result.correlation_warm;
  json["sum_ratio"] = result.sum_ratio;
  json["parity"] = parity(result);
  json["speedup_cold"] = result.speedup_cold();
  json["speedup_warm"] = result.speedup_warm();
  json["kernel_speedup"] = result.kernel_speedup();
  Json stages = Json::array();
  for (const StageTime& stage : result.stages)
    stages.push_back({{"stage", stage.name},
                      {"seconds", stage.seconds},
                      {"share", stage.share},
                      {"calls", stage.calls},
                      {"threads", stage.threads}});
  if (!stages.empty()) json["stages"] = stages;
  return json;
}

std::string loads(const std::array<double, 3>& load) {
  return fmt::format("{:.2f} {:.2f} {:.2f}", load[0], load[1], load[2]);
}

/// When, where and how it was measured.
std::string surroundings(const BenchContext& context) {
  return fmt::format(
      "# Benchmark of nablaBragg {}\n\n{} to {}, {}, {} on {} processors; built by {} with `{}`. "
      "Load averages before: {}; after: {}.\n\n",
      version(), context.begun, context.ended, context.device + ", " + context.dtype, cpu_model(),
      usable_processors(), compiler(), compiler_flags(), loads(context.load_before),
      loads(context.load_after));
}

/// What each case is, of those that `measured` knows, and where F came from.
template <class Measured>
std::string descriptions(const BenchContext& context, Measured&& measured) {
  std::string text = "\n## Cases\n\n";
  for (const BenchCase& bench_case : bench_cases())
    if (measured(bench_case))
      text += fmt::format("- *{}*: {}\n", bench_case.name, bench_case.description);
  if (!context.structure_factors.empty())
    text += fmt::format("\nStructure factors: {}.\n", context.structure_factors);
  return text;
}

Json measurement(const GradientMeasurement& m) {
  Json gradient = Json::object();
  for (const auto& [name, values] : m.gradient) gradient[name] = values;
  return {{"image_seconds", m.image_seconds},
          {"image_seconds_min", m.image_min()},
          {"image_peak_memory_bytes", m.image_peak_bytes},
          {"seconds", m.seconds},
          {"seconds_min", m.gradient_min()},
          {"peak_memory_bytes", m.peak_bytes},
          {"value", m.value},
          {"gradient", gradient}};
}

std::string milliseconds(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g} ms", 1000 * value) : "-";
}

/// 0: there is none for this size.
double kernel_aim_s(const DeviceResult& result) {
  for (const DeviceCase& aim : device_cases())
    if (aim.name == result.bench_case->name && aim.size == result.size && aim.dtype == result.dtype)
      return aim.kernel_aim_s;
  return 0;
}

/// Paths may hold bytes that are no UTF-8.
std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace

std::string results_json(const std::vector<BenchResult>& results,
                         const std::vector<ScalingSeries>& scaling) {
  Json json{{"version", version()}, {"results", Json::array()}};
  for (const BenchResult& result : results) json["results"].push_back(result_json(result));
  for (const ScalingSeries& series : scaling) {
    Json points = Json::array();
    for (const auto& [count, kernel] : series.points)
      points.push_back({{"count", count}, {"kernel_seconds", kernel}});
    json["scaling"].push_back(
        {{"what", series.name}, {"points", points}, {"last_exponent", last_exponent(series)}});
  }
  return text_of(json);
}

std::string environment_json(const BenchContext& context) {
  const Json json{
      {"begun", context.begun},
      {"ended", context.ended},
      {"version", version()},
      {"cpu", cpu_model()},
      {"usable_processors", usable_processors()},
      {"instruction_set", instruction_set()},
      {"compiler", compiler()},
      {"compiler_flags", compiler_flags()},
      {"device", context.device},
      {"dtype", context.dtype},
      {"threads", context.threads},
      {"iterations", context.iterations},
      {"load_averages_before", context.load_before},
      {"load_averages_after", context.load_after},
      {"program", context.ours},
      {"reference", context.reference.empty() ? Json(nullptr) : Json(context.reference)},
      {"structure_factors", context.structure_factors}};
  return text_of(json);
}

std::string table_heading() {
  return "| case | steps | reference, kernel | ours, kernel | kernel ratio | reference, process | "
         "ours, process | process ratio |\n|---|---|---|---|---|---|---|---|\n";
}

std::string table_row(const BenchResult& result) {
  const auto theirs = [&](double (Timings::*figure)() const) {
    if (!result.reference) return std::string("-");
    return seconds((*result.reference.*figure)()) + (result.region ? "*" : "");
  };
  return fmt::format("| {} | {:.3g} | {} | {} | {} | {} | {} | {} |\n", title(result),
                     static_cast<double>(result.steps), theirs(&Timings::kernel_min),
                     seconds(result.ours.kernel_min()), cell(result.kernel_speedup()),
                     theirs(&Timings::whole_min), seconds(result.ours.whole_min()),
                     cell(result.speedup_warm()));
}

std::string summary_markdown(const BenchContext& context, const std::vector<BenchResult>& results,
                             const std::vector<ScalingSeries>& scaling) {
  std::string text;
  const auto add = [&]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
  };
  text += surroundings(context);
  add("Of {} warm runs the fastest counts; the programs ran in turn. *Process*: the whole program, "
      "files included. *Kernel*: that less the fastest run of one pixel (`-roi 0 0 0 0`). Ratios "
      "are "
      "reference over ours: above 1, ours is faster.\n",
      context.iterations);
  if (context.reference.empty()) add("\nNo reference program was named.\n");

  for (const int threads : context.threads) {
    add("\n## {} thread{}\n\n{}", threads, threads == 1 ? "" : "s", table_heading());
    for (const BenchResult& result : results)
      if (result.threads == threads) text += table_row(result);
  }
  for (const BenchCase& bench_case : bench_cases())
    for (const BenchResult& result : results)
      if (result.bench_case == &bench_case && result.region && result.threads == context.threads[0])
        add("\n\\* {}: the reference was timed on the {} x {} pixels in the middle, and its kernel "
            "seconds multiplied by {:g}.\n",
            title(result), *result.region, *result.region, result.reference->pixel_factor);

  add("\n## Speed, memory and parity\n\n"
      "| case | threads | reference, steps/s | ours, steps/s | reference, MiB | ours, MiB | cold "
      "ratio | correlation | sum ratio | parity |\n|---|---|---|---|---|---|---|---|---|---|\n");
  for (const BenchResult& result : results)
    add("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", title(result), result.threads,
        result.reference ? cell(per_second(result, *result.reference)) : "-",
        cell(per_second(result, result.ours)),
        result.reference ? mebibytes(result.reference->peak_bytes) : "-",
        mebibytes(result.ours.peak_bytes), cell(result.speedup_cold()),
        cell(result.correlation_warm, "", 9), cell(result.sum_ratio, "", 9), parity(result));

  text += descriptions(context, [&](const BenchCase& bench_case) {
    return std::any_of(results.begin(), results.end(),
                       [&](const BenchResult& r) { return r.bench_case == &bench_case; });
  });

  if (!scaling.empty()) {
    add("\n## Scaling\n\nKernel seconds of our program while one thing grows; the exponent is that "
        "between the two largest counts.\n\n| what | counts | seconds | exponent |\n"
        "|---|---|---|---|\n");
    for (const ScalingSeries& series : scaling) {
      std::string counts, times;
      for (const auto& [count, kernel] : series.points) {
        counts += fmt::format("{}{}", counts.empty() ? "" : ", ", count);
        times += fmt::format("{}{}", times.empty() ? "" : ", ", cell(kernel));
      }
      add("| {} | {} | {} | {} |\n", series.name, counts, times, cell(last_exponent(series)));
    }
  }

  for (const BenchResult& result : results) {
    if (result.stages.empty()) continue;
    add("\n## Profile: {}, {} thread{}\n\n| stage | inclusive | share of the run | calls | threads "
        "|\n"
        "|---|---|---|---|---|\n",
        title(result), result.threads, result.threads == 1 ? "" : "s");
    for (const StageTime& stage : result.stages)
      add("| {} | {:.4f} s | {:.1f} % | {} | {} |\n", stage.name, stage.seconds, 100 * stage.share,
          stage.calls, stage.threads);
  }
  return text;
}

std::string device_results_json(const std::vector<DeviceResult>& results) {
  Json json{{"version", version()}, {"device_results", Json::array()}};
  for (const DeviceResult& result : results) {
    const DeviceMeasurement& ours = result.ours;
    Json one{{"case", result.bench_case->name},
             {"description", result.bench_case->description},
             {"size", result.bench_case->sized ? Json(result.size) : Json(nullptr)},
             {"dtype", result.dtype},
             {"arguments", quoted(result.arguments)},
             {"arguments_of_ours_alone", result.bench_case->only_ours}};
    if (!ours.why_not.empty()) {
      one["why_not"] = ours.why_not;
    } else {
      one["device"] = ours.device;
      one["kernel"] = ours.kernel;
      one["steps"] = ours.steps;
      one["kernel_seconds"] = ours.kernel_seconds;
      one["kernel_seconds_min"] = ours.kernel_min();
      one["kernel_seconds_median"] = ours.kernel_median();
      one["kernel_aim_s"] = kernel_aim_s(result) > 0 ? Json(kernel_aim_s(result)) : Json(nullptr);
      one["steps_per_s"] = static_cast<double>(ours.steps) / ours.kernel_median();
      one["image_seconds"] = ours.seconds;
      one["first_image_seconds"] = ours.first_seconds;
      one["over_max"] = ours.over_max;
      one["process_seconds_cold"] = result.process.cold;
      one["process_seconds_warm"] = result.process.warm;
      one["reference"] = nullptr;
      if (const auto& reference = result.reference)
        one["reference"] = {{"seconds_cold", reference->cold},
                            {"seconds_warm", reference->warm},
                            {"seconds_one_pixel", reference->overhead},
                            {"kernel_seconds", reference->kernel_median()}};
      one["process_ratio"] = result.process_ratio();
      one["correlation"] = result.correlation;
      one["sum_ratio"] = result.sum_ratio;
    }
    json["device_results"].push_back(one);
  }
  return text_of(json);
}

std::string device_table_heading() {
  return "| case | precision | kernel | aim | steps/s | image | first image | process | off "
         "float64 | reference, kernel | reference, process | process ratio | correlation |\n"
         "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
}

std::string device_table_row(const DeviceResult& result) {
  const DeviceMeasurement& ours = result.ours;
  const std::string name = title(*result.bench_case, result.size);
  if (!ours.why_not.empty())
    return fmt::format("| {} | {} | not run: {} | | | | | | | | | | |\n", name, result.dtype,
                       ours.why_not);
  const double aim = kernel_aim_s(result);
  return fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", name,
                     result.dtype, milliseconds(ours.kernel_median()),
                     aim > 0 ? milliseconds(aim) : "-",
                     cell(static_cast<double>(ours.steps) / ours.kernel_median()),
                     milliseconds(ours.image_min()), milliseconds(ours.first_seconds),
                     milliseconds(result.process.whole_min()), cell(ours.over_max, "", 2),
                     result.reference ? milliseconds(result.reference->kernel_median()) : "-",
                     result.reference ? milliseconds(result.reference->whole_min()) : "-",
                     cell(result.process_ratio()), cell(result.correlation, "", 9));
}

std::string device_summary_markdown(const BenchContext& context,
                                    const std::vector<DeviceResult>& results) {
  std::string text = surroundings(context);
  const auto ran = std::find_if(results.begin(), results.end(), [](const DeviceResult& result) {
    return result.ours.why_not.empty();
  });
  if (ran != results.end()) text += fmt::format("Device: {}.\n\n", ran->ours.device);
  text += fmt::format(
      "*Kernel*: what the GPU's kernels took by its own clock, the median of {} images of one "
      "process after its first; *aim*: on an H100. *Image*: from the experiment to the image in "
      "the host's memory, fastest of the same. *First image*: with the start of the GPU. "
      "*Process*: the whole program, files included, fastest of {}. *Off float64*: largest "
      "difference to the cpu engine's image in double precision, over the largest pixel. "
      "*Reference, kernel*: its process less that of one pixel (`-roi 0 0 0 0`), of the medians. "
      "*Process ratio*: reference over ours.\n\n",
      context.iterations, context.iterations);
  text += device_table_heading();
  for (const DeviceResult& result : results) text += device_table_row(result);
  text += "\n## Kernels\n\n";
  for (const DeviceResult& result : results)
    if (result.ours.why_not.empty())
      text += fmt::format("- {}, {}: {}\n", title(*result.bench_case, result.size), result.dtype,
                          result.ours.kernel);
  return text + descriptions(context, [&](const BenchCase& bench_case) {
           return std::any_of(results.begin(), results.end(),
                              [&](const DeviceResult& r) { return r.bench_case == &bench_case; });
         });
}

std::string gradient_results_json(const std::vector<GradientResult>& results) {
  Json json{{"version", version()}, {"gradients", Json::array()}};
  for (const GradientResult& result : results) {
    Json one{{"case", result.bench_case->name},
             {"description", result.bench_case->description},
             {"size", result.bench_case->sized ? Json(result.size) : Json(nullptr)},
             {"threads", result.threads},
             {"dtype", result.dtype},
             {"arguments", quoted(result.arguments)},
             {"arguments_of_ours_alone", result.bench_case->only_ours},
             {"ours", measurement(result.ours)},
             {"cost_ratio", result.cost_ratio()},
             {"cost_ratio_aim", result.bench_case->gradient_aim},
             {"reference", result.reference ? measurement(*result.reference) : Json(nullptr)},
             {"speedup", result.speedup()},
             {"memory_ratio", result.memory_ratio()},
             {"relative_differences", Json::object()}};
    if (result.reference)
      for (const GradientDifference& d : differences(result.ours, *result.reference))
        one["relative_differences"][d.name] = d.relative;
    json["gradients"].push_back(one);
  }
  return text_of(json);
}

std::string gradient_table_heading(bool with_reference) {
  const std::string heading =
                        "| case | precision | threads | image | gradient | ratio | aim | "
                        "image, MiB | gradient, MiB |",
                    rule = "|---|---|---|---|---|---|---|---|---|";
  if (!with_reference) return heading + '\n' + rule + '\n';
  return heading + " reference, gradient | time ratio | reference, MiB | memory ratio |\n" + rule +
         "---|---|---|---|\n";
}

std::string gradient_table_row(const GradientResult& result) {
  std::string row = fmt::format(
      "| {} | {} | {} | {} | {} | {} | {:g} | {} | {} |", title(*result.bench_case, result.size),
      result.dtype, result.threads, seconds(result.ours.image_min()),
      seconds(result.ours.gradient_min()), cell(result.cost_ratio()),
      result.bench_case->gradient_aim, mebibytes(result.ours.image_peak_bytes),
      mebibytes(result.ours.peak_bytes));
  if (result.reference)
    row += fmt::format(" {} | {} | {} | {} |", seconds(result.reference->gradient_min()),
                       cell(result.speedup()), mebibytes(result.reference->peak_bytes),
                       cell(result.memory_ratio()));
  return row + '\n';
}

std::string gradient_summary_markdown(const BenchContext& context,
                                      const std::vector<GradientResult>& results) {
  const bool with_reference = std::any_of(results.begin(), results.end(),
                                          [](const GradientResult& r) { return r.reference; });
  std::string text = surroundings(context);
  text += fmt::format(
      "Of {} runs in one process the fastest counts. *Image*: seconds in the engine. *Gradient*: "
      "value and gradient of sum(weights x image), by all parameters and all F, from the "
      "experiment to the result. *Ratio*: gradient over image. Memory: the largest resident size "
      "of the process when it had made an image, and at its end.\n\n",
      context.iterations);
  text += gradient_table_heading(with_reference);
  for (const GradientResult& result : results) text += gradient_table_row(result);
  if (with_reference) {
    text += "\n## Beside the reference\n\nLargest difference over the largest number of each:\n\n";
    for (const GradientResult& result : results) {
      text += fmt::format("- {}, {}, {} thread{}:", title(*result.bench_case, result.size),
                          result.dtype, result.threads, result.threads == 1 ? "" : "s");
      const char* separator = " ";
      for (const GradientDifference& d : differences(result.ours, *result.reference)) {
        text += fmt::format("{}{} {:.1e}", separator, d.name, d.relative);
        separator = ", ";
      }
      text += '\n';
    }
  }
  return text + descriptions(context, [&](const BenchCase& bench_case) {
           return std::any_of(results.begin(), results.end(),
                              [&](const GradientResult& r) { return r.bench_case == &bench_case; });
         });
}

std::string speed_svg(const std::vector<BenchResult>& results, int threads) {
  LogLogPlot plot{fmt::format("Speed with {} thread{}", threads, threads == 1 ? "" : "s"),
                  "pixels along an edge",
                  "steps per second, kernel",
                  {}};
  int colour = 0;
  for (const BenchCase& bench_case : bench_cases()) {
    if (!bench_case.sized) continue;
    PlotSeries ours{std::string(bench_case.name), {}, colour, false};
    PlotSeries reference{ours.name + ", reference", {}, colour, true};
    ++colour;
    for (const BenchResult& result : results) {
      if (result.bench_case != &bench_case || result.threads != threads) continue;
      ours.points.emplace_back(result.size, per_second(result, result.ours));
      if (result.reference)
        reference.points.emplace_back(result.size, per_second(result, *result.reference));
    }
    if (!ours.points.empty()) plot.series.push_back(ours);
    if (!reference.points.empty()) plot.series.push_back(reference);
  }
  return svg(plot);
}

std::string scaling_svg(const std::vector<ScalingSeries>& scaling) {
  LogLogPlot plot{
      "Time while one thing grows", "times as many as the fewest", "kernel seconds", {}};
  int colour = 0;
  for (const ScalingSeries& series : scaling) {
    PlotSeries line{series.name, {}, colour++, false};
    for (const auto& [count, kernel] : series.points)
      line.points.emplace_back(
          static_cast<double>(count) / static_cast<double>(series.points.front().first), kernel);
    plot.series.push_back(line);
  }
  return svg(plot);
}

}  // namespace nablabragg::instruments
