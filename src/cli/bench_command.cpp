// nablabragg bench: how fast the program is, alone and beside a reference.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>  // for getenv
#include <filesystem>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "io/atomic_file.hpp"
#include "nablabragg/crystal.hpp"
#include "nablabragg/error.hpp"
#include "tools/benchmark_report.hpp"
#include "tools/machine.hpp"
#include "tools/synthetic_hkl.hpp"

namespace nablabragg::cli {

namespace {

namespace fs = std::filesystem;
using namespace tools;

constexpr int parity_failed = 1;
constexpr const char* benchmark_hkl = "synthetic.hkl";

struct BenchRequest {
  std::vector<int> sizes, threads{usable_processors()};
  std::vector<std::string> cases;
  std::string device = "cpu", dtype = "float32", reference, ours, hkl_file, outdir = "benchmark";
  int iterations = 5;
  bool profile = false, keep = false, require_parity = false, scaling = false, help = false;
};

std::string case_list() {
  std::string names;
  for (const BenchCase& c : bench_cases()) names.append(names.empty() ? "" : ", ").append(c.name);
  return names;
}

BenchRequest parse(const std::vector<std::string>& words, std::ostream& out) {
  BenchRequest request;
  if (const char* program = std::getenv("NB_C_BIN")) request.reference = program;
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
  app.add_option("--device", request.device, "cpu")->check(CLI::IsMember({"cpu"}));
  app.add_option("--dtype", request.dtype, "float32 or float64 (float32)")
      ->check(CLI::IsMember({"float32", "float64"}));
  app.add_option("--reference", request.reference,
                 "nanoBragg program to run in turn with ours ($NB_C_BIN)");
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
  request.help = !parse_options(app, words, out);
  if (request.help) return request;
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
    if (request.cases.empty() ||
        std::find(request.cases.begin(), request.cases.end(), c.name) != request.cases.end())
      chosen.push_back(&c);
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

}  // namespace

int bench_command(const std::vector<std::string>& words, std::ostream& out) {
  BenchRequest request = parse(words, out);
  if (request.help) return 0;
  std::error_code error;
  request.outdir = fs::absolute(request.outdir).lexically_normal().string();
  fs::create_directories(request.outdir, error);
  if (error) throw OutputError("cannot make the folder " + request.outdir + ": " + error.message());

  const std::vector<const BenchCase*> cases = chosen_cases(request);
  BenchContext context;
  context.begun = utc_time();
  context.load_before = load_averages();
  context.threads = request.threads;
  context.iterations = request.iterations;
  context.device = request.device;
  context.dtype = request.dtype;
  context.ours = request.ours.empty() ? own_program() : resolved_program(request.ours);
  if (!request.reference.empty()) context.reference = resolved_program(request.reference);

  Benchmark::Options options;
  options.ours = context.ours;
  options.reference = context.reference;
  options.directory = request.outdir;
  std::tie(options.hkl_file, context.structure_factors) = structure_factors(request, cases);
  options.iterations = request.iterations;
  options.profile = request.profile;
  options.keep = request.keep;
  // The program's own default is not said, so that older ones can be measured
  if (request.dtype != "float32") options.more_ours = {"-dtype", request.dtype};
  options.interrupted = interrupted;
  Benchmark benchmark(options);

  std::vector<BenchResult> results;
  out << table_heading();
  for (const int threads : request.threads)
    for (const BenchCase* c : cases) {
      const std::vector<int> own_size{c->headline_size};
      for (const int size : c->sized && !request.sizes.empty() ? request.sizes : own_size) {
        results.push_back(benchmark.run(*c, size, threads));
        out << table_row(results.back()) << std::flush;
      }
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
  write_text(folder / "env.json", environment_json(context));
  write_text(folder / "commands.txt", fmt::format("{}\n", fmt::join(benchmark.commands(), "\n")));
  write_text(folder / "summary.md", summary_markdown(context, results, scaling));
  for (const int threads : request.threads)
    write_text(folder / fmt::format("speed-t{}.svg", threads), speed_svg(results, threads));
  if (request.scaling) write_text(folder / "scaling.svg", scaling_svg(scaling));
  fmt::print(out, "\nwriting {}, benchmark_results.json, env.json, commands.txt and plots\n",
             (folder / "summary.md").string());

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

}  // namespace nablabragg::cli
