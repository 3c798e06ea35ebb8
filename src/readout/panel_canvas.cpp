#include "readout/panel_canvas.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace nablabragg::readout {

namespace {

struct Point {
  double x, y;
};

/// The plane of the picture: normal to the beam, x along the first panel's rows.
struct Plane {
  Vec3d x, y;

  explicit Plane(const Panel& first) {
    const Vec3d& beam = first.beam;
    const auto across = [&](const Vec3d& v) { return v - dot(v, beam) * beam; };
    x = across(first.fast);
    // A panel that the beam runs along shows its edge.
    if (length(x) < 1e-6) x = across(first.slow);
    x = unit(x);
    y = unit(cross(beam, x));
    if (dot(y, first.slow) < 0) y = -y;
  }
  Point of(const Vec3d& v) const { return {dot(v, x), dot(v, y)}; }
};

}  // namespace

PanelCanvas::PanelCanvas(const Resolved& resolved, const Image& image, int most) {
  if (image.panels() > 1) {
    place_panels(resolved, image, most);
    return;
  }
  width = image.fast_pixels;
  height = image.slow_pixels;
}

void PanelCanvas::place_panels(const Resolved& resolved, const Image& image, int most) {
  std::vector<Panel> panels{resolved.panel};
  for (const ResolvedPanel& further : resolved.more_panels) panels.push_back(further.panel);
  const Plane plane(resolved.panel);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Point low{infinity, infinity}, high{-infinity, -infinity};
  for (const Panel& p : panels)
    for (const double fast : {0.0, p.fast_size})
      for (const double slow : {0.0, p.slow_size}) {
        const Point at = plane.of(p.origin + fast * p.fast + slow * p.slow);
        low = {std::min(low.x, at.x), std::min(low.y, at.y)};
        high = {std::max(high.x, at.x), std::max(high.y, at.y)};
      }
  const double step = std::max(resolved.panel.pixel,
                               std::max(high.x - low.x, high.y - low.y) / most);
  width = std::max(1, static_cast<int>(std::ceil((high.x - low.x) / step - 1e-6)));
  height = std::max(1, static_cast<int>(std::ceil((high.y - low.y) / step - 1e-6)));
  pixels_.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), -1);

  for (std::size_t number = 0; number < panels.size(); ++number) {
    const Panel& p = panels[number];
    const PanelImage part = image.panel(number);
    const Point origin = plane.of(p.origin), fast = plane.of(p.fast), slow = plane.of(p.slow);
    const double area = fast.x * slow.y - fast.y * slow.x;
    if (std::abs(area) < 1e-6) continue;  // seen from its edge
    std::array<Point, 4> corners{origin, origin, origin, origin};
    for (std::size_t i = 0; i < 4; ++i) {
      const double f = i % 2 != 0 ? p.fast_size : 0, s = i / 2 != 0 ? p.slow_size : 0;
      corners[i].x += f * fast.x + s * slow.x;
      corners[i].y += f * fast.y + s * slow.y;
    }
    const auto [left,
                right] = std::minmax({corners[0].x, corners[1].x, corners[2].x, corners[3].x});
    const auto [top,
                bottom] = std::minmax({corners[0].y, corners[1].y, corners[2].y, corners[3].y});
    const auto point_of = [&](double at, double from, int most_points) {
      return std::clamp(static_cast<int>((at - from) / step), 0, most_points - 1);
    };
    for (int row = point_of(top, low.y, height); row <= point_of(bottom, low.y, height); ++row)
      for (int column = point_of(left, low.x, width); column <= point_of(right, low.x, width);
           ++column) {
        const double x = low.x + (column + 0.5) * step - origin.x,
                     y = low.y + (row + 0.5) * step - origin.y;
        const double f = std::floor((x * slow.y - y * slow.x) / area / p.pixel),
                     s = std::floor((y * fast.x - x * fast.y) / area / p.slow_pixel);
        if (!(f >= 0 && f < p.fast_pixels && s >= 0 && s < p.slow_pixels)) continue;
        pixels_[static_cast<std::size_t>(row) * static_cast<std::size_t>(width) +
                static_cast<std::size_t>(column)] = static_cast<std::ptrdiff_t>(part.first_pixel) +
                                                    static_cast<std::ptrdiff_t>(s) *
                                                        part.fast_pixels +
                                                    static_cast<std::ptrdiff_t>(f);
      }
  }
}

}  // namespace nablabragg::readout
