// Experiment -> image.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/image.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg {

struct ComputeOptions {
  int threads = 0;  ///< 0: as many as the machine has; the image does not depend on it
  /// Called now and then with the share of the work that is done; return false to stop.
  std::function<bool(double share)> progress;
};

/// Of the rendered pixels.
struct Statistics {
  double max = 0;                         ///< [photons]
  int max_fast = -1, max_slow = -1;       ///< first pixel that holds it; -1: no positive pixel
  double max_fast_m = 0, max_slow_m = 0;  ///< its last sub-pixel on the panel [m]
  double sum = 0, mean = 0, rms = 0;
  double rmsd = 0;  ///< about the mean
  std::int64_t pixels = 0;
  double solid_angle_sr = 0;
};

/// The first lookup, in raster order, whose tricubic neighbourhood is not in the table.
struct TableMiss {
  int fast = 0, slow = 0;
  std::int64_t lookup = 0;  ///< how many lookups of that pixel came before it
};

struct Simulation {
  Image image;
  Statistics statistics;
  Resolved resolved;
  double seconds = 0;  ///< in the engine
  std::optional<TableMiss> table_miss;
  std::vector<std::string> warnings;  ///< what was decided for the user, one sentence each
};

/// Throws UsageError for a description of no experiment, Cancelled when progress returned false.
Simulation simulate(const Experiment& experiment, const ComputeOptions& options = {});

}  // namespace nablabragg
