// What a shard says of its shots besides their pixels.
#pragma once
#include <cstdint>
#include <vector>
#include "ensemble/ensemble.hpp"
#include "io/nxmx_shards.hpp"
#include "nablabragg/predicted_spots.hpp"
#include "nablabragg/vec3.hpp"

namespace nablabragg::ensemble {

/// How a crystal lies in a shot.
struct CrystalLabels {
  Vec3d misset_deg;
  Mat3d axes_A;  ///< rows a, b, c in imgCIF's frame
};

/// Of one shot.
struct ShotLabels {
  int index = 0;
  std::int64_t seed = 0;
  bool hit = true;
  std::int64_t spectrum = 0;
  double relative_light = 1, wavelength_A = 0;
  double photons = 0, brightest = 0;  ///< expected: without noise
  std::int64_t saturated = 0;         ///< pixels
  std::vector<CrystalLabels> crystals;
  std::vector<std::vector<double>> values;
  std::vector<PredictedSpot> reflections;
  double resolution_A = 0;  ///< smallest d of the pixels of spots; infinite without any
};

/// The tables of some shots; those of the ensemble without any have its columns alone.
std::vector<io::ShotTable> tables_of(const Ensemble& ensemble,
                                     const std::vector<ShotLabels>& shots);

}  // namespace nablabragg::ensemble
