#include "readout/overlay.hpp"

#include <algorithm>
#include <cmath>

#include "readout/letters.hpp"

namespace nablabragg::readout {

void Overlay::fill(int x, int y, int width, int height, const Rgb& color, double cover) {
  for (int j = std::max(y, 0); j < std::min(y + height, height_); ++j)
    for (int i = x; i < x + width; ++i) dot(i, j, color, cover);
}

void Overlay::line(double x0, double y0, double x1, double y1, int thick, const Rgb& color,
                   double cover) {
  const double longest = std::max(std::abs(x1 - x0), std::abs(y1 - y0));
  const int steps = std::max(1, static_cast<int>(std::ceil(longest)));
  for (int i = 0; i <= steps; ++i) {
    const double share = static_cast<double>(i) / steps;
    const auto corner = [&](double from, double to) {
      return static_cast<int>(std::floor(from + share * (to - from) - (thick - 1) / 2.0));
    };
    fill(corner(x0, x1), corner(y0, y1), thick, thick, color, cover);
  }
}

void Overlay::write(int x, int y, std::string_view text, int zoom, const Rgb& color) {
  draw_letters(text, [&](int i, int j) { fill(x + zoom * i, y + zoom * j, zoom, zoom, color); });
}

void Overlay::write_upwards(int x, int y, std::string_view text, int zoom, const Rgb& color) {
  draw_letters(text,
               [&](int i, int j) { fill(x + zoom * j, y - zoom * (i + 1), zoom, zoom, color); });
}

void Overlay::write_edged(int x, int y, std::string_view text, int zoom, const Rgb& color,
                          const Rgb& edge) {
  draw_letters(text, [&](int i, int j) {
    fill(x + zoom * i - 1, y + zoom * j - 1, zoom + 2, zoom + 2, edge);
  });
  write(x, y, text, zoom, color);
}

void Overlay::cover_row(int y, std::span<double> rgb) const {
  for (const Dot& dot : rows_[static_cast<std::size_t>(y)])
    for (std::size_t i = 0; i < dot.color.size(); ++i) {
      double& below = rgb[3 * static_cast<std::size_t>(dot.x) + i];
      below += dot.cover * (dot.color[i] - below);
    }
}

}  // namespace nablabragg::readout
