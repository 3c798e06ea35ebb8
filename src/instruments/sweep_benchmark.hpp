// How many images of a sweep are made in a second, by this process.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "nablabragg/sweep.hpp"

namespace nablabragg::instruments {

struct SweepCase {
  std::string_view name, description;
  std::string_view arguments;  ///< nanoBragg's and ours; HKL stands for the file
  double aim;                  ///< images a second, two threads; 0: none
};

/// 2068 x 2162 pixels, images of 0.1 degrees.
std::span<const SweepCase> sweep_cases();

std::vector<std::string> sweep_arguments(const SweepCase& sweep_case, const std::string& hkl_file);

/// Of a pass over images, after some that set up what all share.
struct SweepTime {
  double seconds = 0;
  double processor_seconds = 0;  ///< of all threads: other programs make it no longer
};

/// Throws Cancelled when `interrupted` says so between two images.
std::vector<SweepTime> measure_sweep(const Experiment& experiment, int images,
                                     const ComputeOptions& options, int passes,
                                     const std::function<bool()>& interrupted);

std::string sweep_table_heading();
/// By the fastest pass, and by that of the least work.
std::string sweep_table_row(const SweepCase& sweep_case, int threads, int images,
                            const std::vector<SweepTime>& passes);

}  // namespace nablabragg::instruments
