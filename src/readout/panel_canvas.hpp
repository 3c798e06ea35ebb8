// Several panels in one picture, each in its place.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>
#include "readout/view.hpp"

namespace nablabragg::readout {

/// A place in a picture: x to the right, y downwards, from the corner of the first point.
struct CanvasPoint {
  double x = 0, y = 0;
};

/// Which pixel of an image each point of a picture shows: along the beam, the first panel's rows
/// across the picture.
class PanelCanvas {
 public:
  int width = 0, height = 0;

  /// The only panel as it is, or several in their places, no wider than `most` points.
  explicit PanelCanvas(const View& view, int most = 8192);

  /// The number in the image of the pixel at a point; -1: none.
  std::ptrdiff_t pixel(int x, int y) const {
    const std::ptrdiff_t point = std::ptrdiff_t{y} * width + x;
    return pixels_.empty() ? point : pixels_[static_cast<std::size_t>(point)];
  }

  /// Which panel is seen at a point, and where on it.
  std::optional<PanelPoint> seen_at(const CanvasPoint& at) const;
  /// The point of that panel's plane.
  PanelPoint on_panel(std::size_t panel, const CanvasPoint& at) const;
  /// Where a point of a panel is seen; empty: of one that is seen from its edge.
  std::optional<CanvasPoint> place_of(const PanelPoint& point) const;
  /// Where the beam passes; empty: that is not known, or the only panel is not met by it.
  const std::optional<CanvasPoint>& beam() const { return beam_; }
  /// The edge of a point of several panels [m].
  double step() const { return step_; }

 private:
  /// Of the points of a panel in the picture: place = origin + fast_px * fast + slow_px * slow.
  struct Affine {
    CanvasPoint origin, fast, slow;
    double area = 0;  ///< 0: seen from its edge
  };

  void place_panels(int most);

  const View& view_;
  double step_ = 0;
  std::optional<CanvasPoint> beam_;
  std::vector<Affine> panels_;          ///< of several
  std::vector<std::ptrdiff_t> pixels_;  ///< of the points, row by row; empty: of the only panel
};

}  // namespace nablabragg::readout
