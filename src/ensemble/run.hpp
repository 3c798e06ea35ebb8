// The run of an ensemble: shards of shots in a folder, and one file that shows all of them; or one
// file that has them.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>
#include "ensemble/ensemble.hpp"
#include "mpi/ranks.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::ensemble {

struct RunSettings {
  /// `progress` hears what share of the shots that are to be made is done, by all ranks; false
  /// stops all of them.
  ComputeOptions compute;
  /// Of the base experiment: geometry in imgCIF's frame, counts or photons, provenance,
  /// compression.  Its images, spectra and date are the run's.
  io::ImageSeries series;
  /// With the shots that all ranks are to make, before the first.
  std::function<void(int missing)> on_begin = [](int) {};
  /// On rank 0, with the shots that are in complete shards and parts by now.
  std::function<void(int shots)> on_complete = [](int) {};
  /// On rank 0, what a run before this one left unfinished, or what damage there is, as a sentence.
  std::function<void(const std::string& sentence)> on_unfinished = [](const std::string&) {};
};

/// On rank 0, of all ranks.
struct RunResult {
  int kept = 0, made = 0;         ///< shots
  int dark = 0, saturated = 0;    ///< of those made: 0 everywhere; with pixels at saturation
  double seconds = 0;             ///< of making
  std::uint64_t shard_bytes = 0;  ///< of all shards, or of the one file
  std::string all;                ///< file of all shots
};

/// "shard_00000.nxs"
std::string name_of_shard(int shard);

/// Makes the shots that no complete shard of the folder holds, together with the other ranks, which
/// call this with the same ensemble.  Throws InputError for a folder of another ensemble,
/// UsageError where a shot is no experiment or NXmx cannot hold the images, OutputError, which
/// leaves what is complete and nothing else, Cancelled, and as mpi::together() on all ranks.
RunResult run_ensemble(const Ensemble& ensemble, const RunSettings& settings, mpi::Ranks& ranks);

}  // namespace nablabragg::ensemble
