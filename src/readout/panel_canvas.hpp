// Several panels in one picture, each in its place.
#pragma once
#include <cstddef>
#include <vector>
#include "nablabragg/image.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg::readout {

/// Which pixel of an image each point of a picture shows: along the beam, the first panel's rows
/// across the picture.
struct PanelCanvas {
  int width = 0, height = 0;

  /// The only panel as it is, or several in their places, no wider than `most` points.
  PanelCanvas(const Resolved& resolved, const Image& image, int most = 8192);

  /// The number in the image of the pixel at a point; -1: none.
  std::ptrdiff_t pixel(int x, int y) const {
    const std::ptrdiff_t point = std::ptrdiff_t{y} * width + x;
    return pixels_.empty() ? point : pixels_[static_cast<std::size_t>(point)];
  }

 private:
  void place_panels(const Resolved& resolved, const Image& image, int most);

  std::vector<std::ptrdiff_t> pixels_;  ///< of the points, row by row; empty: of the only panel
};

}  // namespace nablabragg::readout
