// What a benchmark found, as text: JSON for programs, Markdown and SVG for people.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>
#include "instruments/benchmark.hpp"  // for BenchResult, ScalingSeries

namespace nablabragg::instruments {

/// What surrounded the measurement.
struct BenchContext {
  std::string begun, ended;  ///< UTC
  std::array<double, 3> load_before{}, load_after{};
  std::vector<int> threads;
  int iterations = 0;
  std::string device, dtype, ours, reference;  ///< the programs; the reference may be empty
  std::string structure_factors;               ///< where F came from; empty: none was needed
};

std::string results_json(const std::vector<BenchResult>& results,
                         const std::vector<ScalingSeries>& scaling);
std::string environment_json(const BenchContext& context);

/// The heading of a table of results, and one line of it.
std::string table_heading();
std::string table_row(const BenchResult& result);

std::string summary_markdown(const BenchContext& context, const std::vector<BenchResult>& results,
                             const std::vector<ScalingSeries>& scaling);

/// The same of gradients; where no result has a reference, its columns are left out.
std::string gradient_results_json(const std::vector<GradientResult>& results);
std::string gradient_table_heading(bool with_reference);
std::string gradient_table_row(const GradientResult& result);
std::string gradient_summary_markdown(const BenchContext& context,
                                      const std::vector<GradientResult>& results);

/// The same of a GPU.
std::string device_results_json(const std::vector<DeviceResult>& results);
std::string device_table_heading();
std::string device_table_row(const DeviceResult& result);
std::string device_summary_markdown(const BenchContext& context,
                                    const std::vector<DeviceResult>& results);

/// Steps a second against the size of the image, of the runs with this many threads.
std::string speed_svg(const std::vector<BenchResult>& results, int threads);
std::string scaling_svg(const std::vector<ScalingSeries>& scaling);

}  // namespace nablabragg::instruments
