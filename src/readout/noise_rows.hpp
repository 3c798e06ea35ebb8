// The noise image of an experiment, a row at a time.
#pragma once
#include <cstdint>
#include "nablabragg/image.hpp"
#include "nablabragg/resolved.hpp"
#include "readout/noise.hpp"  // for NanobraggPoisson

namespace nablabragg::readout {

/// Counts the photons of the pixels in the region of interest, masked ones included.  Where
/// `in_turn()`, rows must be drawn once each in raster order: nanoBragg's generator is one stream
/// .  Else they may be drawn in any order, by several threads.
class NoiseRows {
 public:
  /// `seed` is what -seed is given.  The arguments must outlive this.
  NoiseRows(const Experiment& experiment, const Resolved& resolved, const Image& image,
            std::int64_t seed);

  bool in_turn() const { return one_stream_; }

  /// Calls `put(fast, photons)` for each pixel of the row that is in the region of interest.
  template <class Put>
  void row(int slow, Put&& put) {
    if (slow < roi_.slow_min || slow > roi_.slow_max) return;
    for (int fast = roi_.fast_min; fast <= roi_.fast_max; ++fast) put(fast, draw(fast, slow));
  }

 private:
  double draw(int fast, int slow);

  const Image& image_;
  RegionOfInterest roi_;
  std::uint64_t seed_;
  bool one_stream_;
  NanobraggPoisson nanobragg_;
};

}  // namespace nablabragg::readout
