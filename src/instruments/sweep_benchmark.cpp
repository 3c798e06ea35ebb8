#include "instruments/sweep_benchmark.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "instruments/bench_cases.hpp"  // for words_of
#include "nablabragg/error.hpp"

namespace nablabragg::instruments {

namespace {

// clang-format off
constexpr std::array cases{
    SweepCase{"ubiquitin", "cell 51 43 29, N 20, mosaic 0.1, F to 1.5 A, 140 mm, 1e24 photons/m2, skip_below 1e-6",
              "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -N 20", 300},
    SweepCase{"tetragonal", "cell 78 78 37, N 30, mosaic 0.1, F everywhere, 140 mm, 1e24 photons/m2, skip_below 1e-6",
              "-default_F 100 -cell 78 78 37 90 90 90 -N 30", 200},
    SweepCase{"large-cell", "cell 150 150 150, N 20, mosaic 0.1, F to 1.5 A, 140 mm, 1e24 photons/m2, skip_below 1e-6",
              "-default_F 100 -cell 150 150 150 90 90 90 -N 20 -dmin 1.5", 25},
    SweepCase{"water", "the first with -water 0.5, its sensor 450 um of silicon in one layer",
              "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -N 20 -water 0.5 -sensor Si 450 -thicksteps 1", 0},
    SweepCase{"water-layers", "the same in nine layers",
              "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -N 20 -water 0.5 -sensor Si 450 -thicksteps 9", 0},
};
constexpr std::string_view shared =
    "-corrected -gauss_xtal -mosaic 0.1 -mosaic_model gaussian -misset 10 20 30 -phi 1 -osc 0.1 -lambda 1 "
    "-fluence 1e24 -distance 140 -pixel 0.075 -detpixels_f 2068 -detpixels_s 2162 -skip_below 1e-6";
// clang-format on

}  // namespace

std::span<const SweepCase> sweep_cases() { return cases; }

std::vector<std::string> sweep_arguments(const SweepCase& sweep_case, const std::string& hkl_file) {
  std::vector<std::string> arguments = words_of(shared);
  for (const std::string& word : words_of(sweep_case.arguments))
    arguments.push_back(word == "HKL" ? hkl_file : word);
  return arguments;
}

std::vector<SweepTime> measure_sweep(const Experiment& experiment, int images,
                                     const ComputeOptions& options, int passes,
                                     const std::function<bool()>& interrupted) {
  Sweep sweep(experiment, images + 1, options);
  for (const int first : {0, 1}) sweep.image(first);
  std::vector<SweepTime> times;
  for (int pass = 0; pass < passes; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t worked = std::clock();
    for (int i = 1; i <= images; ++i) {
      if (interrupted()) throw Cancelled();
      sweep.image(i);
    }
    times.push_back(
        {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
         static_cast<double>(std::clock() - worked) / CLOCKS_PER_SEC});
  }
  return times;
}

std::string sweep_table_heading() {
  return "| sweep | threads | images/s | aim | processor ms an image | what it is |\n"
         "|---|---|---|---|---|---|\n";
}

std::string sweep_table_row(const SweepCase& sweep_case, int threads, int images,
                            const std::vector<SweepTime>& passes) {
  double fastest = passes[0].seconds, least = passes[0].processor_seconds;
  for (const SweepTime& pass : passes) {
    fastest = std::min(fastest, pass.seconds);
    least = std::min(least, pass.processor_seconds);
  }
  const std::string aim = sweep_case.aim == 0 ? "-" : fmt::format("{:g}", sweep_case.aim);
  return fmt::format("| {} | {} | {:.1f} | {} | {:.2f} | {} |\n", sweep_case.name, threads,
                     images / fastest, aim, 1e3 * least / images, sweep_case.description);
}

}  // namespace nablabragg::instruments
