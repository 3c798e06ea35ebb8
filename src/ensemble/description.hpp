// What describes an ensemble of shots: a YAML file (JSON is YAML, too), as docs/ensembles.md has
// it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include "ensemble/distributions.hpp"

namespace nablabragg::ensemble {

/// Where something stands in the file, for messages about it.
struct Place {
  long line = 0;
  std::string path;  ///< "vary.cell[0]"
};

/// A parameter, or one number of it, and how it varies.
struct Varied {
  std::string name;  ///< "distance", "cell[0]"
  Distribution distribution;
  Place place;
};

/// Numbers of parameters that are drawn together.
struct Correlated {
  std::vector<std::string> names;
  std::optional<std::vector<double>> mean;  ///< empty: what the base experiment has
  std::vector<double> lower;                ///< Cholesky's factor of their covariance, row by row
  Place place;
};

struct SpectraFile {
  std::string file, scale = "relative", unit;  ///< as -spectra, -spectra_scale, -spectrum_unit
  std::optional<int> channels;                 ///< -spectrum_channels
  Rows rows = Rows::in_order;
  Place place;
};

/// How the crystals of a shot lie.
enum class Orientations {
  base,        ///< as the base experiment states
  random,      ///< turned together, so that they lie to one another as it states
  random_each  ///< each of them anyhow
};

struct Description {
  std::string file;
  std::vector<std::string> flags;  ///< of the base experiment
  std::string experiment_file;     ///< JSON; empty: the flags state the experiment
  Place base;
  int shots = 0;
  std::int64_t seed = 1;
  Orientations orientations = Orientations::base;
  double hit_rate = 1;  ///< the share of the shots that have the crystal in the beam
  Place orientation, hits;
  std::vector<Varied> vary;
  std::vector<Correlated> correlated;
  std::optional<SpectraFile> spectra;

  bool counts = true;  ///< false: photons, without noise
  std::string folder;
  bool one_file = false;  ///< no shards: one file of all shots, which is put together at the end
  int shots_per_shard = 1000;
  std::string compression;   ///< as -compression; empty: the format's own
  bool reflections = false;  ///< whether labels list them
  /// Pixels of spots are those with at least so many photons of the lattice; empty: no masks.
  std::optional<double> spot_mask_photons;
  Place output;

  /// Throws InputError: "FILE:LINE: PATH: problem".
  [[noreturn]] void fail(const Place& place, const std::string& problem) const;
};

/// The form that this program reads.
inline constexpr int description_version = 1;

/// Throws InputError, by line and key, for what is no description.
Description read_description(const std::string& path);

}  // namespace nablabragg::ensemble
