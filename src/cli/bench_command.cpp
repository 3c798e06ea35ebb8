// nablabragg bench: how fast the program is, alone and compared with a reference.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <tbb/global_control.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>  // for getenv
#include <filesystem>
#include <iterator>
#include <set>
#include <sstream>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/options.hpp"
#include "cli/outputs.hpp"
#include "cli/stopping.hpp"
#include "engine/cuda/open_device.hpp"
#include "flags/command_line.hpp"
#include "flags/inputs.hpp"
#include "instruments/benchmark_report.hpp"
#include "instruments/machine.hpp"
#include "instruments/sweep_benchmark.hpp"
#include "instruments/synthetic_hkl.hpp"
#include "io/atomic_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/crystal.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::cli {

namespace {

namespace fs = std::filesystem;
using namespace instruments;

constexpr int parity_failed = 1;
constexpr const char* benchmark_hkl = "synthetic.hkl";

struct BenchRequest {
  std::vector<int> sizes, threads{usable_processors()};
  std::vector<std::string> cases, dtypes;  ///< dtypes: empty where nobody named one
  std::string device = "cpu", reference, ours, hkl_file, outdir = "benchmark";
  std::string gradient_reference;
  std::vector<std::string> experiment;  ///< arguments after --
  int iterations = 5, images = 50;
  bool profile = false, keep = false, require_parity = false, scaling = false, help = false;
  bool gradient = false, sweep = false, names_dtype = false;
};

std::string case_list() {
  std::string names;
  for (const BenchCase& c : bench_cases()) names.append(names.empty() ? "" : ", ").append(c.name);
  return names;
}

bool on_gpu(const BenchRequest& request) { return request.device != "cpu"; }

BenchRequest parse(const std::vector<std::string>& arguments, std::ostream& out) {
  BenchRequest request;
  CLI::App app("Measures cases of several sizes: whole processes, and the kernel alone.",
               "nablabragg bench");
  app.add_option("--sizes", request.sizes,
                 "pixels along an edge, separated by commas (each case's own)")
      ->delimiter(',')
      ->check(CLI::Range(1, 32768));
  app.add_option("--cases", request.cases, "of: " + case_list() + " (all)")->delimiter(',');
  app.add_option("--threads", request.threads, "numbers of threads, separated by commas (all)")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  app.add_option("--iterations", request.iterations, "warm runs (5)")->check(CLI::Range(1, 10000));
  app.add_option("--device", request.device,
                 "cpu, or cuda or cuda:1: kernels by the GPU's clock, and whole processes (cpu)");
  std::string dtype;
  app.add_option("--dtype", dtype, "float32 or float64 (float32; with --gradient both)")
      ->check(CLI::IsMember({"float32", "float64"}));
  app.add_option("--reference", request.reference,
                 "nanoBragg program to run in turn with ours ($NB_C_BIN; with --device cuda "
                 "nanoBraggCUDA, $NB_CUDA_BIN)");
  app.add_option("--ours", request.ours, "program to measure (this one)");
  app.add_option("--hkl", request.hkl_file,
                 "P1 structure factors for the cases that need them (made)");
  app.add_option("--outdir", request.outdir, "folder for everything that is written (benchmark)");
  app.add_flag("--profile", request.profile, "one more run of each case with -profile");
  app.add_flag("--scaling", request.scaling,
               "how time grows with pixels, domains and sources as well");
  app.add_flag("--keep-artifacts", request.keep, "keep the images of the runs");
  app.add_flag("--require-parity", request.require_parity,
               "exit with 1 when an image differs from the reference's");
  app.add_flag("--gradient", request.gradient,
               "value and gradient of sum(weights x image) compared with the image alone");
  app.add_option("--gradient-reference", request.gradient_reference,
                 "command, in words separated by blanks, that measures the gradient of the flags "
                 "that follow it and prints JSON");
  app.add_flag("--sweep", request.sweep,
               "how many images of sweeps are made in a second, in this process; nothing is kept");
  app.add_option("--images", request.images, "with --sweep: of each pass (50)")
      ->check(CLI::Range(1, 100000));
  app.footer(
      "nablabragg bench --gradient [--iterations N] -- FLAGS measures the gradient of one "
      "experiment in this process and prints a line of JSON; with --device cuda instead of "
      "--gradient, its image on a GPU.");
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  request.help = !parse_options(app, {arguments.begin(), dashes}, out);
  if (request.help) return request;
  if (dashes != arguments.end()) {
    request.experiment.assign(dashes + 1, arguments.end());
    if (!(request.gradient || on_gpu(request)) || request.experiment.empty())
      throw UsageError(
          "-- stands before the flags of an experiment whose --gradient is measured, or its image "
          "with --device cuda");
  }
  if (request.sweep) {
    if (request.gradient || !request.cases.empty() || !request.sizes.empty() ||
        !request.reference.empty() || !request.ours.empty() || request.profile || request.keep ||
        request.require_parity || request.scaling || on_gpu(request))
      throw UsageError(
          "--sweep goes with --threads, --iterations, --images, --dtype, --hkl and --outdir alone");
    request.dtypes = {dtype.empty() ? "float32" : dtype};
    return request;
  }
  ComputeOptions options;
  if (!choose_engine(request.device, options) ||
      (options.engine != Engine::cpu && options.engine != Engine::cuda))
    throw UsageError("--device is cpu, cuda or cuda:1 and so on, not '" + request.device + "'");
  if (options.engine == Engine::cuda)
    if (const std::string why = engine::cuda::why_no_device(options.device); !why.empty())
      throw UsageError(why);
  if (on_gpu(request) && (request.profile || request.scaling || request.require_parity))
    throw UsageError("--device cuda goes without --profile, --scaling and --require-parity");
  request.names_dtype = !dtype.empty();
  if (request.names_dtype)
    request.dtypes = {dtype};
  else if (request.gradient)
    request.dtypes = {"float32", "float64"};
  else
    request.dtypes = {"float32"};
  const char* variable = on_gpu(request) ? "NB_CUDA_BIN" : "NB_C_BIN";
  if (const char* program = std::getenv(variable); program && request.reference.empty())
    if (!request.gradient) request.reference = program;
  if (request.gradient && (!request.reference.empty() || request.profile || request.keep ||
                           request.require_parity || request.scaling))
    throw UsageError(
        "--gradient goes without --reference, --profile, --scaling, --keep-artifacts and "
        "--require-parity");
  if (!request.gradient_reference.empty() && !request.gradient)
    throw UsageError("--gradient-reference is for --gradient");
  for (const std::string& name : request.cases)
    if (!find_bench_case(name))
      throw UsageError("bench has no case '" + name + "'; it has " + case_list());
  if (request.require_parity && request.reference.empty())
    throw UsageError("--require-parity needs a --reference program, or its name in NB_C_BIN");
  return request;
}

void write_text(const fs::path& path, const std::string& text) {
  io::AtomicFile file(path.string());
  file.write(text);
  file.commit();
}

std::vector<const BenchCase*> chosen_cases(const BenchRequest& request) {
  std::vector<const BenchCase*> chosen;
  for (const BenchCase& c : bench_cases())
    if (request.cases.empty()
            ? (request.gradient ? c.gradient_by_default : c.image_by_default)
            : std::find(request.cases.begin(), request.cases.end(), c.name) != request.cases.end())
      chosen.push_back(&c);
  return chosen;
}

std::vector<int> chosen_sizes(const BenchRequest& request, const BenchCase& bench_case) {
  return bench_case.sized && !request.sizes.empty() ? request.sizes
                                                    : std::vector<int>{bench_case.headline_size};
}

struct SizedCase {
  const BenchCase* bench_case;
  int size;
  std::string dtype;
};

/// Of a GPU: those of the table, or what is asked for.
std::vector<SizedCase> chosen_device_cases(const BenchRequest& request,
                                           const std::vector<const BenchCase*>& cases) {
  std::vector<SizedCase> chosen;
  if (request.cases.empty() && request.sizes.empty() && !request.names_dtype) {
    for (const DeviceCase& c : device_cases())
      chosen.push_back({find_bench_case(c.name), c.size, std::string(c.dtype)});
    return chosen;
  }
  for (const BenchCase* c : cases) {
    std::vector<int> sizes = chosen_sizes(request, *c);
    for (const DeviceCase& of_table : device_cases())
      if (request.sizes.empty() && of_table.name == c->name) sizes = {of_table.size};
    for (const int size : sizes)
      for (const std::string& dtype : request.dtypes) chosen.push_back({c, size, dtype});
  }
  return chosen;
}

/// The file, and in words what it holds.
std::pair<std::string, std::string> structure_factors(const BenchRequest& request,
                                                      const std::vector<const BenchCase*>& cases) {
  if (std::none_of(cases.begin(), cases.end(),
                   [](const BenchCase* c) { return needs_structure_factors(*c); }))
    return {};
  if (!request.hkl_file.empty()) {
    if (!fs::exists(request.hkl_file)) throw InputError(request.hkl_file, 0, "does not exist");
    return {fs::absolute(request.hkl_file).string(), request.hkl_file};
  }
  // The detector's corner is at 1.62 A
  const std::string path = (fs::path(request.outdir) / benchmark_hkl).string();
  write_synthetic_hkl(path, UnitCell{50.84, 42.77, 28.95}, 1.6, 3);
  return {path, std::string(benchmark_hkl) +
                    ", made by a formula, all of the box around 1.6 Angstrom and three more"};
}

/// The arguments of a command; those that name files are made absolute, since it runs elsewhere.
std::vector<std::string> command_arguments(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> arguments{std::istream_iterator<std::string>(in), {}};
  for (std::string& argument : arguments)
    if (fs::exists(argument)) argument = fs::absolute(argument).string();
  return arguments;
}

/// One experiment, in this process.
void measure_experiment(const BenchRequest& request, std::ostream& out) {
  set_stop_sentence("stopped before the experiment was measured");
  flags::Request experiment = flags::parse_command_line(request.experiment);
  flags::check_is_of_one_image(experiment, "bench");
  flags::load_inputs(experiment);
  ComputeOptions options = compute_options(experiment);
  options.progress = [](double) { return !interrupted(); };
  std::optional<tbb::global_control> limit;
  if (options.threads > 0)
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(options.threads));
  if (request.gradient)
    out << measurement_json(measure_gradient(experiment.experiment, options, request.iterations));
  else
    out << device_measurement_json(
        measure_on_device(experiment.experiment, options, request.iterations));
  out << '\n';
}

void bench_device(const BenchRequest& request, const std::vector<const BenchCase*>& cases,
                  BenchContext& context, Benchmark& benchmark, std::ostream& out) {
  std::vector<DeviceResult> results;
  std::set<std::string> dtypes;
  out << device_table_heading();
  for (const SizedCase& c : chosen_device_cases(request, cases)) {
    results.push_back(benchmark.run_on_device(*c.bench_case, c.size, request.threads[0], c.dtype));
    dtypes.insert(c.dtype);
    out << device_table_row(results.back()) << std::flush;
  }
  context.dtype = fmt::format("{}", fmt::join(dtypes, ", "));
  context.load_after = load_averages();
  context.ended = utc_time();
  const fs::path folder = request.outdir;
  write_text(folder / "benchmark_results.json", device_results_json(results));
  write_text(folder / "summary.md", device_summary_markdown(context, results));
}

/// Sweeps, in this process.
void bench_sweeps(const BenchRequest& request, std::ostream& out) {
  set_stop_sentence("stopped before all sweeps were measured");
  std::string hkl = request.hkl_file;
  if (hkl.empty()) {
    hkl = (fs::path(request.outdir) / benchmark_hkl).string();
    write_synthetic_hkl(hkl, UnitCell{50.84, 42.77, 28.95}, 1.5, 0);
  }
  out << sweep_table_heading();
  for (const int threads : request.threads)
    for (const SweepCase& c : sweep_cases()) {
      flags::Request experiment = flags::parse_command_line(sweep_arguments(c, hkl));
      flags::load_inputs(experiment);
      ComputeOptions options;
      options.threads = threads;
      options.skip_below = experiment.skip_below;
      options.precision = request.dtypes[0] == "float64" ? Precision::float64 : Precision::float32;
      const auto passes = measure_sweep(experiment.experiment, request.images, options,
                                        request.iterations, interrupted);
      out << sweep_table_row(c, threads, request.images, passes) << std::flush;
    }
}

void bench_gradients(const BenchRequest& request, const std::vector<const BenchCase*>& cases,
                     BenchContext& context, Benchmark& benchmark, std::ostream& out) {
  std::vector<GradientResult> results;
  out << gradient_table_heading(!request.gradient_reference.empty());
  for (const int threads : request.threads)
    for (const BenchCase* c : cases)
      for (const int size : chosen_sizes(request, *c))
        for (const std::string& dtype : request.dtypes) {
          results.push_back(benchmark.run_gradient(*c, size, threads, dtype));
          out << gradient_table_row(results.back()) << std::flush;
        }
  context.load_after = load_averages();
  context.ended = utc_time();
  const fs::path folder = request.outdir;
  write_text(folder / "benchmark_results.json", gradient_results_json(results));
  write_text(folder / "summary.md", gradient_summary_markdown(context, results));
}

/// Everything is known beforehand, and what is in the folders of the runs is removed when they
/// begin.
void check_bench_files(const BenchRequest& request) {
  const fs::path folder = request.outdir;
  std::vector<io::NamedFile> inputs{
      {"--ours", request.ours}, {"--reference", request.reference}, {"--hkl", request.hkl_file}},
      outputs;
  for (const std::string& word : command_arguments(request.gradient_reference))
    inputs.push_back({"--gradient-reference", word});
  std::erase_if(inputs, [](const io::NamedFile& file) { return !fs::exists(file.path); });
  for (const char* name :
       {"benchmark_results.json", "summary.md", "env.json", "commands.txt", "scaling.svg"})
    outputs.push_back({"--outdir", (folder / name).string()});
  for (const int threads : std::set(request.threads.begin(), request.threads.end()))
    outputs.push_back({"--outdir", (folder / fmt::format("speed-t{}.svg", threads)).string()});
  if (request.hkl_file.empty()) outputs.push_back({"--outdir", (folder / benchmark_hkl).string()});
  check_files(inputs, outputs);
  std::error_code ignored;
  const std::string runs = fs::weakly_canonical(folder / "runs", ignored).string() + '/';
  for (const io::NamedFile& input : inputs)
    if (fs::weakly_canonical(input.path, ignored).string().starts_with(runs))
      throw UsageError("--outdir would destroy what " + input.role + " reads, " +
                       io::quoted_name(input.path) + "; give the output another name");
}

/// The exit code.
int bench_images(const BenchRequest& request, const std::vector<const BenchCase*>& cases,
                 BenchContext& context, Benchmark& benchmark, std::ostream& out) {
  std::vector<BenchResult> results;
  out << table_heading();
  for (const int threads : request.threads)
    for (const BenchCase* c : cases)
      for (const int size : chosen_sizes(request, *c)) {
        results.push_back(benchmark.run(*c, size, threads));
        out << table_row(results.back()) << std::flush;
      }
  std::vector<ScalingSeries> scaling;
  if (request.scaling)
    scaling = benchmark.run_scaling(
        request.sizes.empty() ? 1024
                              : *std::max_element(request.sizes.begin(), request.sizes.end()),
        request.threads.back());
  context.load_after = load_averages();
  context.ended = utc_time();

  const fs::path folder = request.outdir;
  write_text(folder / "benchmark_results.json", results_json(results, scaling));
  write_text(folder / "summary.md", summary_markdown(context, results, scaling));
  for (const int threads : request.threads)
    write_text(folder / fmt::format("speed-t{}.svg", threads), speed_svg(results, threads));
  if (request.scaling) write_text(folder / "scaling.svg", scaling_svg(scaling));

  int status = 0;
  for (const BenchResult& result : results)
    if (request.require_parity && result.bench_case->same_image && !has_parity(result)) {
      fmt::print(out,
                 "no parity: {} {} with {} threads: correlation {:.6g} (at least 0.999), sum ratio "
                 "{:.6g} (1 within 0.005)\n",
                 result.bench_case->name, result.size, result.threads, result.correlation_warm,
                 result.sum_ratio);
      status = parity_failed;
    }
  return status;
}

}  // namespace

int bench_command(const std::vector<std::string>& arguments, std::ostream& out) {
  BenchRequest request = parse(arguments, out);
  if (request.help) return 0;
  if (!request.experiment.empty()) {
    measure_experiment(request, out);
    return 0;
  }
  std::error_code error;
  request.outdir = fs::absolute(request.outdir).lexically_normal().string();
  fs::create_directories(request.outdir, error);
  if (error) throw OutputError("cannot make the folder " + request.outdir + ": " + error.message());

  check_bench_files(request);
  if (request.sweep) {
    bench_sweeps(request, out);
    return 0;
  }
  set_stop_sentence("stopped before the benchmark was complete; what there is is in " +
                    request.outdir);

  const std::vector<const BenchCase*> cases = chosen_cases(request);
  BenchContext context;
  context.begun = utc_time();
  context.load_before = load_averages();
  context.threads = request.threads;
  context.iterations = request.iterations;
  context.device = request.device;
  context.dtype = fmt::format("{}", fmt::join(request.dtypes, ", "));
  context.ours = request.ours.empty() ? own_program() : resolved_program(request.ours);
  if (!request.reference.empty()) context.reference = resolved_program(request.reference);
  if (request.gradient) context.reference = request.gradient_reference;

  Benchmark::Options options;
  options.ours = context.ours;
  if (!request.reference.empty()) options.reference = context.reference;
  options.gradient_reference = command_arguments(request.gradient_reference);
  options.directory = request.outdir;
  options.device = request.device;
  std::tie(options.hkl_file, context.structure_factors) = structure_factors(request, cases);
  options.iterations = request.iterations;
  options.profile = request.profile;
  options.keep = request.keep;
  // The program's own default is not passed on, so that older ones can be measured
  if (request.dtypes[0] != "float32") options.more_ours = {"-dtype", request.dtypes[0]};
  options.interrupted = interrupted;
  Benchmark benchmark(options);

  int status = 0;
  if (request.gradient)
    bench_gradients(request, cases, context, benchmark, out);
  else if (on_gpu(request))
    bench_device(request, cases, context, benchmark, out);
  else
    status = bench_images(request, cases, context, benchmark, out);
  const fs::path folder = request.outdir;
  write_text(folder / "env.json", environment_json(context));
  write_text(folder / "commands.txt", fmt::format("{}\n", fmt::join(benchmark.commands(), "\n")));
  fmt::print(out, "\nwriting {}, benchmark_results.json, env.json, commands.txt{}\n",
             (folder / "summary.md").string(),
             request.gradient || on_gpu(request) ? "" : " and plots");
  return status;
}

}  // namespace nablabragg::cli
