// Bright spots of an image: where they are and how many photons they hold.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace nablabragg::refinement {

/// Photons on the panel, and which of its pixels may be used.
struct PhotonImage {
  int fast_pixels = 0, slow_pixels = 0;
  std::vector<double> photons;
  std::vector<std::uint8_t> usable;

  std::size_t at(int fast, int slow) const {
    return static_cast<std::size_t>(slow) * static_cast<std::size_t>(fast_pixels) +
           static_cast<std::size_t>(fast);
  }
};

struct Spot {
  double fast = 0, slow = 0;  ///< centroid [pixels], whole numbers in the middle of a pixel
  double photons = 0;         ///< above the background
  int pixels = 0;
};

/// Groups of neighbouring pixels that stand out of their surroundings by six standard deviations,
/// with `least_photons` or more, brightest first.
std::vector<Spot> find_spots(const PhotonImage& image, double least_photons);

}  // namespace nablabragg::refinement
