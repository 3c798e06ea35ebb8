#include "instruments/benchmark.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "instruments/float_files.hpp"
#include "instruments/medians.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::instruments {

namespace {

namespace fs = std::filesystem;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr const char* image_file = "image.f32";
const std::vector<std::string> whole_image{"-floatfile", image_file};
// The later -floatfile and -roi count, so that the image of the whole run stays.
const std::vector<std::string> one_pixel{"-floatfile", "one-pixel.f32", "-roi", "0", "0", "0", "0"};

double positive(double value) { return value > 0 ? value : nan; }

std::vector<std::string> joined(std::vector<std::string> arguments,
                                const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

RegionOfInterest centred(int size, std::optional<int> edge) {
  const int width = edge.value_or(size), first = (size - width) / 2;
  return {first, first + width - 1, first, first + width - 1};
}

/// A folder of this name that holds nothing from an earlier benchmark.
std::string fresh_directory(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  fs::create_directories(path, error);
  if (error) throw OutputError("cannot make the folder " + path.string() + ": " + error.message());
  return path.string();
}

}  // namespace

double Timings::overhead_min() const { return minimum(overhead); }

double Timings::kernel_min() const {
  return positive((minimum(warm) - minimum(overhead)) * pixel_factor);
}

double Timings::kernel_median() const {
  return positive((median(warm) - median(overhead)) * pixel_factor);
}

double Timings::whole(double seconds) const {
  if (pixel_factor == 1) return seconds;
  const double fixed = minimum(overhead);
  return fixed + (seconds - fixed) * pixel_factor;
}

double Timings::whole_cold() const { return whole(cold); }
double Timings::whole_min() const { return whole(minimum(warm)); }
double Timings::whole_median() const { return whole(median(warm)); }
double Timings::whole_max() const { return whole(*std::max_element(warm.begin(), warm.end())); }

double DeviceResult::process_ratio() const {
  return reference ? reference->whole_min() / process.whole_min() : nan;
}

double BenchResult::speedup_cold() const {
  return reference ? reference->whole_cold() / ours.whole_cold() : nan;
}

double BenchResult::speedup_warm() const {
  return reference ? reference->whole_min() / ours.whole_min() : nan;
}

double BenchResult::kernel_speedup() const {
  return reference ? reference->kernel_min() / ours.kernel_min() : nan;
}

double GradientResult::cost_ratio() const { return ours.gradient_min() / ours.image_min(); }

double GradientResult::speedup() const {
  return reference ? reference->gradient_min() / ours.gradient_min() : nan;
}

double GradientResult::memory_ratio() const {
  return reference
             ? static_cast<double>(reference->peak_bytes) / static_cast<double>(ours.peak_bytes)
             : nan;
}

bool has_parity(const BenchResult& result) {
  return result.correlation_warm >= 0.999 && std::abs(result.sum_ratio - 1) <= 5e-3;
}

double last_exponent(const ScalingSeries& series) {
  if (series.points.size() < 2) return nan;
  const auto& [fewer, before] = series.points[series.points.size() - 2];
  const auto& [more, after] = series.points.back();
  return std::log(after / before) /
         std::log(static_cast<double>(more) / static_cast<double>(fewer));
}

ChildCommand Benchmark::ours(const std::vector<std::string>& arguments,
                             const std::string& directory, int threads) const {
  ChildCommand command;
  command.arguments = joined({options_.ours}, arguments);
  command.arguments = joined(std::move(command.arguments), options_.more_ours);
  command.arguments = joined(std::move(command.arguments), {"-nopgm", "-nonoise", "-noprogress",
                                                            "-threads", std::to_string(threads)});
  command.directory = directory;
  return command;
}

ChildCommand Benchmark::reference(const std::vector<std::string>& arguments,
                                  const std::string& directory, int threads) const {
  ChildCommand command;
  command.arguments = joined(joined({options_.reference}, arguments), {"-nopgm", "-nonoise"});
  command.directory = directory;
  command.environment = {{"OMP_NUM_THREADS", std::to_string(threads)}};
  return command;
}

ChildOutcome Benchmark::execute(ChildCommand command, const std::vector<std::string>& more) {
  if (options_.interrupted()) throw Cancelled();
  command.arguments = joined(std::move(command.arguments), more);
  command.err_file = "stderr.txt";
  commands_.push_back(shell_line(command));
  const ChildOutcome outcome = run_child(command);
  if (options_.interrupted()) throw Cancelled();
  if (outcome.exit_code != 0)
    throw InputError(fmt::format("{} ended with exit code {}, saying: {}; the command: {}",
                                 command.arguments[0], outcome.exit_code,
                                 last_line((fs::path(command.directory) / "stderr.txt").string()),
                                 shell_line(command)));
  return outcome;
}

BenchResult Benchmark::run(const BenchCase& bench_case, int size, int threads) {
  const std::string name = fmt::format("{}-{}-t{}", bench_case.name, size, threads);
  const fs::path root = fs::path(options_.directory) / "runs" / name;
  const std::string our_directory = fresh_directory(root / "ours"),
                    reference_directory = fresh_directory(root / "reference");
  BenchResult result{};
  result.bench_case = &bench_case;
  result.size = size;
  result.threads = threads;
  result.steps = bench_steps(bench_case, size);
  result.arguments = bench_arguments(bench_case, size, options_.hkl_file);
  result.correlation_cold = result.correlation_warm = result.sum_ratio = nan;

  std::vector<std::string> our_arguments = result.arguments;
  our_arguments = joined(std::move(our_arguments), words_of(bench_case.only_ours));
  const ChildCommand mine = ours(our_arguments, our_directory, threads);
  ChildCommand theirs;
  const bool both = !options_.reference.empty();
  std::vector<std::string> their_image = whole_image;
  if (both) {
    theirs = reference(result.arguments, reference_directory, threads);
    result.reference.emplace();
    result.region = reference_region(bench_case, size);
    if (result.region) {
      const RegionOfInterest r = centred(size, result.region);
      their_image.emplace_back("-roi");
      for (const int bound : {r.fast_min, r.fast_max, r.slow_min, r.slow_max})
        their_image.push_back(std::to_string(bound));
      result.reference->pixel_factor = std::pow(static_cast<double>(size) / *result.region, 2);
    }
  }

  const auto time = [&](Timings& timings, const ChildCommand& command,
                        const std::vector<std::string>& more) {
    const ChildOutcome outcome = execute(command, more);
    timings.peak_bytes = std::max(timings.peak_bytes, outcome.peak_bytes);
    return outcome.seconds;
  };
  const auto compare = [&] {
    return compare_float_files((fs::path(reference_directory) / image_file).string(),
                               (fs::path(our_directory) / image_file).string(), {size, size},
                               centred(size, result.region));
  };

  result.ours.cold = time(result.ours, mine, whole_image);
  if (both) {
    result.reference->cold = time(*result.reference, theirs, their_image);
    if (bench_case.same_image) result.correlation_cold = compare().correlation();
  }
  for (int i = 0; i < options_.iterations; ++i) {
    result.ours.warm.push_back(time(result.ours, mine, whole_image));
    if (both) result.reference->warm.push_back(time(*result.reference, theirs, their_image));
    if (!bench_case.sized) continue;
    result.ours.overhead.push_back(execute(mine, one_pixel).seconds);
    if (both) result.reference->overhead.push_back(execute(theirs, one_pixel).seconds);
  }
  if (both && bench_case.same_image) {
    const PairStatistics pair = compare();
    result.correlation_warm = pair.correlation();
    result.sum_ratio = pair.sum_ratio();
  }
  if (options_.profile) {
    const std::string trace = (fs::path(options_.directory) / fmt::format("profile-{}.json", name))
                                  .string();
    execute(mine, joined(whole_image, {"-profile", trace}));
    result.stages = rank_stages(trace);
  }
  if (!options_.keep) {
    std::error_code ignored;
    fs::remove_all(root, ignored);
    fs::remove(root.parent_path(), ignored);  // when it is empty
  }
  return result;
}

template <class Measurement>
Measurement Benchmark::measured(ChildCommand command, Measurement (*read)(const std::string&)) {
  command.out_file = "stdout.txt";
  execute(command, {});
  try {
    return read(last_line((fs::path(command.directory) / command.out_file).string()));
  } catch (const Error& error) {
    throw InputError(fmt::format("the last line that {} printed {}; the command: {}",
                                 command.arguments[0], error.what(), shell_line(command)));
  }
}

GradientResult Benchmark::run_gradient(const BenchCase& bench_case, int size, int threads,
                                       const std::string& dtype) {
  GradientResult result;
  result.bench_case = &bench_case;
  result.size = size;
  result.threads = threads;
  result.dtype = dtype;
  result.arguments = bench_arguments(bench_case, size, options_.hkl_file);
  const std::vector<std::string> last{"-threads", std::to_string(threads), "-dtype", dtype},
      on_device{"-device", options_.device};

  ChildCommand command;
  command.directory = fresh_directory(fs::path(options_.directory) / "runs" / "gradient");
  command.arguments = joined({options_.ours, "bench", "--gradient", "--iterations",
                              std::to_string(options_.iterations), "--"},
                             result.arguments);
  command.arguments = joined(std::move(command.arguments), words_of(bench_case.only_ours));
  command.arguments = joined(std::move(command.arguments), last);
  if (options_.device != "cpu") command.arguments = joined(std::move(command.arguments), on_device);
  result.ours = measured(command, read_measurement);
  if (!options_.gradient_reference.empty()) {
    command.arguments = joined(joined(options_.gradient_reference, result.arguments), last);
    result.reference = measured(command, read_measurement);
  }
  std::error_code ignored;
  fs::remove_all(command.directory, ignored);
  fs::remove(fs::path(command.directory).parent_path(), ignored);  // when it is empty
  return result;
}

DeviceResult Benchmark::run_on_device(const BenchCase& bench_case, int size, int threads,
                                      const std::string& dtype) {
  const fs::path root = fs::path(options_.directory) / "runs" /
                        fmt::format("{}-{}-{}", bench_case.name, size, dtype);
  const std::string our_directory = fresh_directory(root / "ours"),
                    reference_directory = fresh_directory(root / "reference");
  DeviceResult result;
  result.bench_case = &bench_case;
  result.size = size;
  result.dtype = dtype;
  result.arguments = bench_arguments(bench_case, size, options_.hkl_file);
  result.correlation = result.sum_ratio = nan;
  const std::vector<std::string> flags = joined(
      joined(result.arguments, words_of(bench_case.only_ours)),
      {"-device", options_.device, "-dtype", dtype});

  ChildCommand command;
  command.directory = our_directory;
  command.arguments = joined({options_.ours, "bench", "--device", options_.device, "--iterations",
                              std::to_string(options_.iterations), "--"},
                             flags);
  result.ours = measured<DeviceMeasurement>(std::move(command), read_device_measurement);
  if (result.ours.why_not.empty()) {
    const ChildCommand mine = ours(flags, our_directory, threads);
    const bool both = !options_.reference.empty() && runs_on_nanobragg_cuda(bench_case);
    ChildCommand theirs;
    result.process.cold = execute(mine, whole_image).seconds;
    if (both) {
      theirs = reference(result.arguments, reference_directory, threads);
      result.reference.emplace().cold = execute(theirs, whole_image).seconds;
    }
    for (int i = 0; i < options_.iterations; ++i) {
      result.process.warm.push_back(execute(mine, whole_image).seconds);
      if (!both) continue;
      result.reference->warm.push_back(execute(theirs, whole_image).seconds);
      result.reference->overhead.push_back(execute(theirs, one_pixel).seconds);
    }
    if (both && bench_case.same_image) {
      const PairStatistics pair = compare_float_files(
          (fs::path(reference_directory) / image_file).string(),
          (fs::path(our_directory) / image_file).string(), {size, size}, centred(size, {}));
      result.correlation = pair.correlation();
      result.sum_ratio = pair.sum_ratio();
    }
  }
  if (!options_.keep) {
    std::error_code ignored;
    fs::remove_all(root, ignored);
    fs::remove(root.parent_path(), ignored);  // when it is empty
  }
  return result;
}

double Benchmark::fastest_kernel(const std::vector<std::string>& arguments,
                                 const std::string& directory, int threads) {
  const ChildCommand command = ours(arguments, directory, threads);
  Timings timings;
  for (int i = 0; i < options_.iterations; ++i) {
    timings.warm.push_back(execute(command, whole_image).seconds);
    timings.overhead.push_back(execute(command, one_pixel).seconds);
  }
  return timings.kernel_min();
}

std::vector<ScalingSeries> Benchmark::run_scaling(int largest_size, int threads) {
  const std::string directory = fresh_directory(fs::path(options_.directory) / "runs" / "scaling");
  const BenchCase& cubic = *find_bench_case("cubic");
  const int small = std::max(1, largest_size / 4);
  std::vector<ScalingSeries> all;
  const auto measure = [&](const std::string& name, const std::vector<std::int64_t>& counts,
                           auto&& arguments) {
    ScalingSeries series{name, {}};
    for (const std::int64_t count : counts)
      series.points.emplace_back(count, fastest_kernel(arguments(count), directory, threads));
    all.push_back(series);
  };
  std::vector<std::int64_t> pixels;
  for (const int divisor : {8, 4, 2, 1})
    if (const int edge = largest_size / divisor; edge > 0)
      pixels.push_back(std::int64_t{edge} * edge);
  measure("pixels", pixels, [&](std::int64_t count) {
    return bench_arguments(
        cubic, static_cast<int>(std::lround(std::sqrt(static_cast<double>(count)))), "");
  });
  measure("domains", {1, 4, 16, 64, 256}, [&](std::int64_t count) {
    return joined(bench_arguments(cubic, small, ""),
                  {"-mosaic", "0.3", "-mosaic_domains", std::to_string(count)});
  });
  measure("sources", {1, 4, 16, 64, 256}, [&](std::int64_t count) {
    const std::string edge = std::to_string(std::lround(std::sqrt(static_cast<double>(count))));
    return joined(bench_arguments(cubic, small, ""),
                  {"-divergence", "1", "-hdivsteps", edge, "-vdivsteps", edge, "-square_div"});
  });
  if (!options_.keep) {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
    fs::remove(fs::path(directory).parent_path(), ignored);
  }
  return all;
}

}  // namespace nablabragg::instruments
