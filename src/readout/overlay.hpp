// Lines and letters over a picture, of which only the points that they touch are kept.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>
#include "readout/heat.hpp"

namespace nablabragg::readout {

class Overlay {
 public:
  Overlay(int width, int height)
      : width_(width), height_(height), rows_(static_cast<std::size_t>(height)) {}

  int width() const { return width_; }
  int height() const { return height_; }

  /// `cover`: how much of what is below is hidden, from 0 to 1.  What lies outside is left out.
  void dot(int x, int y, const Rgb& color, double cover = 1) {
    if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
    rows_[static_cast<std::size_t>(y)].push_back({x, cover, color});
  }
  void fill(int x, int y, int width, int height, const Rgb& color, double cover = 1);
  /// From point to point, both included, one point wide or `thick` ones.
  void line(double x0, double y0, double x1, double y1, int thick, const Rgb& color, double cover);
  /// `zoom` points for each of a letter's.
  void write(int x, int y, std::string_view text, int zoom, const Rgb& color);
  /// From below upwards; (x, y) is the lower left corner.
  void write_upwards(int x, int y, std::string_view text, int zoom, const Rgb& color);
  /// With an edge, to be read on any ground.
  void write_edged(int x, int y, std::string_view text, int zoom, const Rgb& color,
                   const Rgb& edge);

  /// Over the red, green and blue of a row.
  void cover_row(int y, std::span<double> rgb) const;

 private:
  struct Dot {
    int x;
    double cover;
    Rgb color;
  };

  int width_, height_;
  std::vector<std::vector<Dot>> rows_;  ///< in the order in which they were drawn
};

}  // namespace nablabragg::readout
