// Which pixels a fit looks at: squares about spots, each with its own background.
#pragma once
#include <span>
#include <vector>
#include "nablabragg/refine.hpp"  // for Shoebox, Background
#include "refine/spots.hpp"

namespace nablabragg::refinement {

/// Squares about places of one image.  A pixel belongs to the nearest of them only; boxes that are
/// left with too few pixels to determine a background are dropped.
std::vector<Shoebox> make_shoeboxes(const PhotonImages& images,
                                    std::span<const ShoeboxPlace> places, int edge_px);

/// All usable pixels of each panel as one box about its middle.
std::vector<Shoebox> whole_panels(const PhotonImages& images);

int background_terms(Background background);

/// What the terms of a background weigh in a pixel: 1, and the distances from the centre [px].
struct BackgroundTerms {
  double values[3];
};
inline BackgroundTerms background_at(const Shoebox& box, const PixelIndex& pixel) {
  return {{1, pixel.fast - box.fast, pixel.slow - box.slow}};
}

/// A background to begin with: the level of the dimmer half of the pixels, less that of the model's
/// photons, without slopes.
void start_background(const PhotonImages& images, Background background,
                      std::span<const double> model, Shoebox& box);

}  // namespace nablabragg::refinement
