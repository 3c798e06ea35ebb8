// What is drawn over and around the pixels of a picture.
#pragma once
#include <string>
#include <vector>
#include "nablabragg/picture.hpp"
#include "readout/overlay.hpp"
#include "readout/panel_canvas.hpp"

namespace nablabragg::readout {

/// Where the points of a canvas are in a picture.
struct PixelArea {
  int left = 0, top = 0;  ///< of the picture, before the first pixel
  int width = 0, height = 0;
  double scale = 1;  ///< points of the picture for one of the canvas
  int letters = 1;   ///< points of the picture for one of a letter

  double x(double canvas_x) const { return left + canvas_x * scale; }
  double y(double canvas_y) const { return top + canvas_y * scale; }
  CanvasPoint canvas(double picture_x, double picture_y) const {
    return {(picture_x - left) / scale, (picture_y - top) / scale};
  }
};

/// Of what is drawn over pixels.
struct MarkColors {
  Rgb line, edge;
};

/// A number along an axis, and how far from the area's left or upper edge it stands.
struct Tick {
  double at;
  std::string text;
};

/// A value of the bar, and where it is on it: 0 at its foot, 1 at its top.
struct BarTick {
  double level;
  std::string text;
};

/// Where |d - ring| is less than half a line: each point's own d-spacing decides, so that rings are
/// right on panels of any tilt.  Returns those of which nothing is seen.
std::vector<double> draw_rings(Overlay& overlay, const PixelArea& area, const PanelCanvas& canvas,
                               const View& view, const std::vector<double>& rings_A,
                               const MarkColors& colors);

void draw_beam(Overlay& overlay, const PixelArea& area, const PanelCanvas& canvas,
               const MarkColors& colors);

/// Of several panels.
void draw_outlines(Overlay& overlay, const PixelArea& area, const PanelCanvas& canvas,
                   const View& view, const Rgb& color);

/// Axes around the pixels, and a bar with the colours of the levels beside them.
class PictureFrame {
 public:
  /// `area` has its size, and gets its place.
  PictureFrame(PixelArea& area, const PanelCanvas& canvas, const View& view,
               std::vector<BarTick> bar, std::string unit);

  int width() const { return width_; }
  int height() const { return height_; }
  /// `color_of`: of a level from 0 to 1.
  template <class ColorOf>
  void draw(Overlay& overlay, const ColorOf& color_of) const {
    for (int y = 0; y < area_.height; ++y)
      overlay.fill(bar_left_, area_.top + y, bar_width_, 1, color_of(1 - (y + 0.5) / area_.height));
    draw_lines(overlay);
  }

 private:
  void draw_lines(Overlay& overlay) const;

  PixelArea area_;
  std::vector<Tick> below_, left_, above_, right_;  ///< above and right: in mm, of one panel
  std::vector<BarTick> bar_;
  std::string below_title_, left_title_, above_title_, right_title_, unit_;
  int width_ = 0, height_ = 0, bar_left_ = 0, bar_width_ = 0;
};

}  // namespace nablabragg::readout
