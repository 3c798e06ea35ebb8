// The run of an ensemble: shards of shots in a folder, and one file that shows all of them.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>
#include "ensemble/ensemble.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::ensemble {

struct RunSettings {
  /// `progress` hears what share of the shots that are to be made is done; false stops.
  ComputeOptions compute;
  /// Of the base experiment: geometry in imgCIF's frame, counts or photons, provenance,
  /// compression.  Its images, spectra and date are the run's.
  io::ImageSeries series;
  /// After each shard that is complete, with the shots that are in complete ones.
  std::function<void(int shots)> on_shard = [](int) {};
};

struct RunResult {
  int kept = 0, made = 0;         ///< shots
  int dark = 0, saturated = 0;    ///< of those made: 0 everywhere; with pixels at saturation
  double seconds = 0;             ///< of making
  std::uint64_t shard_bytes = 0;  ///< of all shards
  std::string master;             ///< file
};

/// "shard_00000.nxs"
std::string name_of_shard(int shard);

/// Makes the shots that no complete shard of the folder holds.  Throws InputError for a folder of
/// another ensemble, UsageError where a shot is no experiment or NXmx cannot hold the images,
/// OutputError, which leaves complete shards and nothing else, and Cancelled.
RunResult run_ensemble(const Ensemble& ensemble, const RunSettings& settings);

}  // namespace nablabragg::ensemble
