// The noise image of an experiment, a row at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>
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
  void row(int slow, std::span<double> photons, std::size_t panel = 0);
  bool visits(int slow, std::size_t panel = 0) const {
    return slow >= rois_[panel].slow_min && slow <= rois_[panel].slow_max;
  }
  int first_pixel(std::size_t panel = 0) const { return rois_[panel].fast_min; }
  std::size_t pixels_of_a_row(std::size_t panel = 0) const {
    const int pixels = rois_[panel].fast_max - rois_[panel].fast_min + 1;
    return static_cast<std::size_t>(pixels);
  }

 private:
  std::vector<PanelImage> panels_;
  std::vector<RegionOfInterest> rois_;
  bool one_stream_;
  NanobraggPoisson nanobragg_;
  KeyedPoisson keyed_;
};

}  // namespace nablabragg::readout
