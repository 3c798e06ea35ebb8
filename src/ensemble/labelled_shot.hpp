// One shot as data: what is recorded of it, and what is known of it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>
#include "ensemble/ensemble.hpp"
#include "ensemble/labels.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::ensemble {

struct LabelledShot {
  ShotLabels labels;
  std::vector<std::int32_t> counts;     ///< panel by panel; empty where the readout is photons
  std::vector<std::uint8_t> spot_mask;  ///< likewise, 1 in spots; empty: not asked for
};

/// The shot's own mean.
double wavelength_A(const Ensemble& ensemble, const Shot& shot);

/// The counts that the detector records of a shot.
CountedImage counts_of(const Ensemble& ensemble, const Shot& shot, const Image& image);

/// By several threads at a time, for different shots.
class ShotLabeller {
 public:
  /// Of `options` the engine and the threads of images that labels need besides the shot's own.
  ShotLabeller(const Ensemble& ensemble, const ComputeOptions& options);

  LabelledShot operator()(const Shot& shot, const Simulation& simulation) const;

 private:
  Mat3d axes_of(const Resolved& resolved) const;
  void find_spots(const Shot& shot, const Image& lattice, LabelledShot& made) const;

  const Ensemble& ensemble_;
  ComputeOptions options_;
  Mat3d frame_;  ///< turns the laboratory frame into imgCIF's: the images of its axes
};

}  // namespace nablabragg::ensemble
