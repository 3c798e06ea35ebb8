// Bright spots of an image: where they are and how many photons they hold.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>
#include "nablabragg/image.hpp"       // for PixelIndex
#include "nablabragg/reflection.hpp"  // for MillerIndex
#include "refine/likelihood.hpp"      // for Seen

namespace nablabragg::refinement {

/// Photons on a panel, and which of its pixels may be used.
struct PhotonImage {
  int fast_pixels = 0, slow_pixels = 0;
  std::vector<double> photons;
  std::vector<std::uint8_t> usable;
  std::vector<std::uint8_t> at_least;  ///< there may have been more; those are usable

  std::size_t at(int fast, int slow) const {
    return static_cast<std::size_t>(slow) * static_cast<std::size_t>(fast_pixels) +
           static_cast<std::size_t>(fast);
  }
};

/// Those of all panels of a detector.
struct PhotonImages {
  std::vector<PhotonImage> panels;
  double readout_variance = 0;  ///< [photons^2]
  std::size_t in_shadow = 0;    ///< pixels that are not usable because a beamstop hides them

  Seen seen(const PixelIndex& pixel) const {
    const PhotonImage& panel = panels[static_cast<std::size_t>(pixel.panel)];
    const std::size_t i = panel.at(pixel.fast, pixel.slow);
    return {panel.photons[i], panel.at_least[i] != 0};
  }
};

struct Spot {
  double fast = 0, slow = 0;  ///< centroid [pixels], whole numbers in the middle of a pixel
  double photons = 0;         ///< above the background
  int pixels = 0;
  int panel = 0;
  std::optional<MillerIndex> hkl = {};  ///< of whose spot it is, where that is known
  int crystal = 0;                      ///< whose reflection that is
};

/// Groups of neighbouring pixels that stand out of their surroundings by six standard deviations,
/// with `least_photons` or more, brightest first.
std::vector<Spot> find_spots(const PhotonImage& image, double least_photons);
/// Of all panels; no spot goes on from one to the next.
std::vector<Spot> find_spots(const PhotonImages& images, double least_photons);

}  // namespace nablabragg::refinement
