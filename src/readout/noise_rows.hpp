// The noise image of an experiment, a row at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include "nablabragg/image.hpp"
#include "nablabragg/resolved.hpp"
#include "readout/noise.hpp"  // for NanobraggPoisson, KeyedPoisson

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

  /// The photons of a row's pixels in the region of interest, `pixels_of_a_row()` of them.  Only
  /// for rows that are in it.
  void row(int slow, std::span<double> photons);
  bool visits(int slow) const { return slow >= roi_.slow_min && slow <= roi_.slow_max; }
  int first_pixel() const { return roi_.fast_min; }
  std::size_t pixels_of_a_row() const {
    const int pixels = roi_.fast_max - roi_.fast_min + 1;
    return static_cast<std::size_t>(pixels);
  }

 private:
  const Image& image_;
  RegionOfInterest roi_;
  bool one_stream_;
  NanobraggPoisson nanobragg_;
  KeyedPoisson keyed_;
};

}  // namespace nablabragg::readout
