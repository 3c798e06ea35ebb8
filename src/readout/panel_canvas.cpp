#include "readout/panel_canvas.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace nablabragg::readout {

namespace {

/// The plane of the picture: normal to the beam, x along the first panel's rows.
struct Plane {
  Vec3d x, y;

  Plane(const ViewedPanel& first, const Vec3d& beam) {
    const auto across = [&](const Vec3d& v) { return v - dot(v, beam) * beam; };
    x = across(first.fast);
    // A panel that the beam runs along shows its edge.
    if (length(x) < 1e-6) x = across(first.slow);
    x = unit(x);
    y = unit(cross(beam, x));
    if (dot(y, first.slow) < 0) y = -y;
  }
  CanvasPoint of(const Vec3d& v) const { return {dot(v, x), dot(v, y)}; }
};

}  // namespace

PanelCanvas::PanelCanvas(const View& view, int most) : view_(view) {
  if (view.panels.size() > 1) {
    place_panels(most);
    return;
  }
  width = view.panels[0].fast_pixels;
  height = view.panels[0].slow_pixels;
  if (!view.placed) return;
  if (const auto spot = view.beam_on(0)) beam_ = place_of(*spot);
}

void PanelCanvas::place_panels(int most) {
  const std::vector<ViewedPanel>& panels = view_.panels;
  const Plane plane(panels[0], view_.beam);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CanvasPoint low{infinity, infinity}, high{-infinity, -infinity};
  for (const ViewedPanel& p : panels)
    for (const double fast : {0.0, p.fast_size()})
      for (const double slow : {0.0, p.slow_size()}) {
        const CanvasPoint at = plane.of(p.origin + fast * p.fast + slow * p.slow);
        low = {std::min(low.x, at.x), std::min(low.y, at.y)};
        high = {std::max(high.x, at.x), std::max(high.y, at.y)};
      }
  const double step = std::max(panels[0].pixel, std::max(high.x - low.x, high.y - low.y) / most);
  step_ = step;
  width = std::max(1, static_cast<int>(std::ceil((high.x - low.x) / step - 1e-6)));
  height = std::max(1, static_cast<int>(std::ceil((high.y - low.y) / step - 1e-6)));
  pixels_.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), -1);
  beam_ = CanvasPoint{-low.x / step, -low.y / step};

  for (const ViewedPanel& p : panels) {
    const CanvasPoint origin = plane.of(p.origin), fast = plane.of(p.fast), slow = plane.of(p.slow);
    const double area = fast.x * slow.y - fast.y * slow.x;
    const double a = p.pixel / step, b = p.slow_pixel / step;
    panels_.push_back({{(origin.x - low.x) / step, (origin.y - low.y) / step},
                       {a * fast.x, a * fast.y},
                       {b * slow.x, b * slow.y},
                       std::abs(area) < 1e-6 ? 0 : a * b * area});
    if (std::abs(area) < 1e-6) continue;  // seen from its edge
    std::array<CanvasPoint, 4> corners{origin, origin, origin, origin};
    for (std::size_t i = 0; i < 4; ++i) {
      const double f = i % 2 != 0 ? p.fast_size() : 0, s = i / 2 != 0 ? p.slow_size() : 0;
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
                static_cast<std::size_t>(column)] = static_cast<std::ptrdiff_t>(p.first_pixel) +
                                                    static_cast<std::ptrdiff_t>(s) * p.fast_pixels +
                                                    static_cast<std::ptrdiff_t>(f);
      }
  }
}

PanelPoint PanelCanvas::on_panel(std::size_t panel, const CanvasPoint& at) const {
  if (panels_.empty()) return {0, at.x, at.y};
  const Affine& a = panels_[panel];
  const double x = at.x - a.origin.x, y = at.y - a.origin.y;
  return {static_cast<int>(panel), (x * a.slow.y - y * a.slow.x) / a.area,
          (y * a.fast.x - x * a.fast.y) / a.area};
}

std::optional<PanelPoint> PanelCanvas::seen_at(const CanvasPoint& at) const {
  const int x = static_cast<int>(std::floor(at.x)), y = static_cast<int>(std::floor(at.y));
  if (x < 0 || y < 0 || x >= width || y >= height) return std::nullopt;
  const std::ptrdiff_t number = pixel(x, y);
  if (number < 0) return std::nullopt;
  const auto behind = std::ranges::upper_bound(view_.panels, static_cast<std::size_t>(number), {},
                                               &ViewedPanel::first_pixel);
  return on_panel(static_cast<std::size_t>(behind - view_.panels.begin()) - 1, at);
}

std::optional<CanvasPoint> PanelCanvas::place_of(const PanelPoint& point) const {
  if (panels_.empty()) return CanvasPoint{point.fast_px, point.slow_px};
  const Affine& a = panels_[static_cast<std::size_t>(point.panel)];
  if (a.area == 0) return std::nullopt;
  return CanvasPoint{a.origin.x + point.fast_px * a.fast.x + point.slow_px * a.slow.x,
                     a.origin.y + point.fast_px * a.fast.y + point.slow_px * a.slow.y};
}

}  // namespace nablabragg::readout
