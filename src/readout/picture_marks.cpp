#include "readout/picture_marks.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "nablabragg/units.hpp"
#include "readout/letters.hpp"

namespace nablabragg::readout {

namespace {

std::string text_of(double number) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number, std::chars_format::general, 6);
  return {text, end.ptr};
}

/// 1, 2 or 5 times a power of ten.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double digit : {1.0, 2.0, 5.0})
    if (digit * power >= least * (1 - 1e-9)) return digit * power;
  return 10 * power;
}

/// Round numbers along `length` points, the first of which is `first`; `of_point` each.
std::vector<Tick> ticks(double first, double of_point, int length, double least_points,
                        double least_step) {
  const double step = std::max(round_step(least_points * of_point), least_step);
  std::vector<Tick> all;
  for (double n = std::ceil(first / step - 1e-9); n * step <= first + length * of_point + 1e-9; ++n)
    all.push_back({(n * step - first) / of_point, text_of(n * step + 0.0)});  // no -0
  return all;
}

int widest(const std::vector<Tick>& ticks) {
  int most = 0;
  for (const Tick& tick : ticks) most = std::max(most, width_of(tick.text));
  return most;
}

struct Box {
  int x, y, width, height;
  bool meets(const Box& b) const {
    return x < b.x + b.width && b.x < x + width && y < b.y + b.height && b.y < y + height;
  }
};

/// Where the number of a ring is written: on it, up and to the right of the beam where it can.
Box place_of_number(const std::vector<std::pair<int, int>>& ring, const PixelArea& area,
                    const CanvasPoint& middle, int width, int height,
                    const std::vector<Box>& taken) {
  Box best{};
  double best_score = -10;
  for (const auto& [x, y] : ring) {
    const Box box{
        std::clamp(x - width / 2, area.left, std::max(area.left, area.left + area.width - width)),
        std::clamp(y - height / 2, area.top, std::max(area.top, area.top + area.height - height)),
        width, height};
    const double dx = x - middle.x, dy = y - middle.y, radius = std::hypot(dx, dy);
    double score = radius > 0 ? (dx - dy) / radius : 0;
    const bool moved = std::abs(box.x + width / 2 - x) > 1 || std::abs(box.y + height / 2 - y) > 1;
    if (moved) score -= 3;
    if (std::ranges::any_of(taken, [&](const Box& other) { return box.meets(other); })) score -= 5;
    if (score <= best_score) continue;
    best_score = score;
    best = box;
  }
  return best;
}

}  // namespace

std::vector<double> draw_rings(Overlay& overlay, const PixelArea& area, const PanelCanvas& canvas,
                               const View& view, const std::vector<double>& rings_A,
                               const MarkColors& colors) {
  std::vector<double> rings;
  for (const double d_A : rings_A) rings.push_back(1 / units::metres_from_angstrom(d_A));
  const double thick = std::max(1.2, 0.6 * area.letters), point = 1 / area.scale;
  const auto value = [&](std::size_t panel, const CanvasPoint& at) {
    const PanelPoint p = canvas.on_panel(panel, at);
    return view.panels[panel].at(p.fast_px, p.slow_px);
  };
  // No more than so many metres are between neighbouring points; bending brings them no farther
  // apart.
  const auto on_plane = [&](std::size_t panel, const CanvasPoint& at) {
    const PanelPoint p = canvas.on_panel(panel, at);
    return view.panels[panel].on_plane(p.fast_px, p.slow_px);
  };
  std::vector<double> strides;
  for (std::size_t i = 0; i < view.panels.size(); ++i) {
    const bool seen = canvas.place_of({static_cast<int>(i), 0, 0}).has_value();
    const Vec3d here = seen ? on_plane(i, {0, 0}) : Vec3d{};
    strides.push_back(
        seen ? length(on_plane(i, {point, 0}) - here) + length(on_plane(i, {0, point}) - here) : 0);
  }

  std::vector<std::vector<std::pair<int, int>>> points(rings.size());
  for (int y = area.top; y < area.top + area.height; ++y)
    for (int x = area.left; x < area.left + area.width; ++x) {
      const CanvasPoint at = area.canvas(x + 0.5, y + 0.5);
      const auto seen = canvas.seen_at(at);
      if (!seen) continue;
      const auto panel = static_cast<std::size_t>(seen->panel);
      const Vec3d place = view.panels[panel].at(seen->fast_px, seen->slow_px);
      const double here = view.inverse_d(place);
      // No ring is nearer than the steepest slope says.
      const double reach = (thick + 1) * strides[panel] / (view.wavelength * length(place));
      for (std::size_t i = 0; i < rings.size(); ++i) {
        const double off = std::abs(here - rings[i]);
        if (off > reach) continue;
        const double slope = std::hypot(view.inverse_d(value(panel, {at.x + point, at.y})) - here,
                                        view.inverse_d(value(panel, {at.x, at.y + point})) - here);
        const double cover = std::clamp(thick / 2 + 0.5 - off / slope, 0.0, 1.0);
        if (!(cover > 0)) continue;
        overlay.dot(x, y, colors.line, 0.8 * cover);
        if (cover > 0.5) points[i].emplace_back(x, y);
      }
    }

  std::vector<double> unseen;
  std::vector<Box> taken;
  const CanvasPoint beam = canvas.beam().value_or(
      CanvasPoint{canvas.width / 2.0, canvas.height / 2.0});
  const CanvasPoint middle{area.x(beam.x), area.y(beam.y)};
  for (std::size_t i = 0; i < rings.size(); ++i) {
    if (points[i].empty()) {
      unseen.push_back(rings_A[i]);
      continue;
    }
    const std::string text = text_of(rings_A[i]) + " A";
    const int margin = area.letters;
    const Box box = place_of_number(points[i], area, middle,
                                    width_of(text) * area.letters + 2 * margin,
                                    letter_height * area.letters + 2 * margin, taken);
    overlay.write_edged(box.x + margin, box.y + margin, text, area.letters, colors.line,
                        colors.edge);
    taken.push_back(box);
  }
  return unseen;
}

void draw_beam(Overlay& overlay, const PixelArea& area, const PanelCanvas& canvas,
               const MarkColors& colors) {
  if (!canvas.beam()) return;
  const double x_here = area.x(canvas.beam()->x), y_here = area.y(canvas.beam()->y);
  if (!(x_here >= area.left && x_here <= area.left + area.width && y_here >= area.top &&
        y_here <= area.top + area.height))
    return;
  const int x = static_cast<int>(std::floor(x_here)), y = static_cast<int>(std::floor(y_here));
  const int inner = 2 * area.letters, outer = 6 * area.letters, thick = area.letters;
  const auto arms = [&](int wider, const Rgb& color) {
    const int t = thick + 2 * wider, length = outer - inner + 2 * wider;
    overlay.fill(x - t / 2, y - outer - wider, t, length, color);
    overlay.fill(x - t / 2, y + inner + 1 - wider, t, length, color);
    overlay.fill(x - outer - wider, y - t / 2, length, t, color);
    overlay.fill(x + inner + 1 - wider, y - t / 2, length, t, color);
  };
  arms(1, colors.edge);
  arms(0, colors.line);
}

void draw_outlines(Overlay& overlay, const PixelArea& area, const PanelCanvas& canvas,
                   const View& view, const Rgb& color) {
  for (std::size_t i = 0; i < view.panels.size(); ++i) {
    const ViewedPanel& p = view.panels[i];
    const double fast = p.fast_pixels, slow = p.slow_pixels;
    const std::array corners{std::pair{0.0, 0.0}, std::pair{fast, 0.0}, std::pair{fast, slow},
                             std::pair{0.0, slow}, std::pair{0.0, 0.0}};
    for (std::size_t k = 0; k + 1 < corners.size(); ++k) {
      const int number = static_cast<int>(i);
      const auto from = canvas.place_of({number, corners[k].first, corners[k].second}),
                 to = canvas.place_of({number, corners[k + 1].first, corners[k + 1].second});
      if (!from || !to) continue;
      // Within the area, also at its right and lower edge
      const auto x = [&](const CanvasPoint& at) {
        return std::min(area.x(at.x), area.left + area.width - 0.5);
      };
      const auto y = [&](const CanvasPoint& at) {
        return std::min(area.y(at.y), area.top + area.height - 0.5);
      };
      overlay.line(x(*from), y(*from), x(*to), y(*to), std::max(1, area.letters / 2), color, 1);
    }
  }
}

PictureFrame::PictureFrame(PixelArea& area, const PanelCanvas& canvas, const View& view,
                           std::vector<BarTick> bar, std::string unit)
    : bar_(std::move(bar)), unit_(std::move(unit)) {
  const int z = area.letters, gap = 2 * z, tick = 3 * z, letter = letter_height * z;
  const double across = 42.0 * z, down = 24.0 * z;  // between numbers
  const ViewedPanel& first = view.panels[0];
  if (view.panels.size() == 1) {
    const double pixel = 1 / area.scale;
    below_ = ticks(-0.5, pixel, area.width, across, 1);
    left_ = ticks(-0.5, pixel, area.height, down, 1);
    below_title_ = "fast (pixel)";
    left_title_ = "slow (pixel)";
    if (view.placed) {
      above_ = ticks(0, pixel * units::mm_from_metres(first.pixel), area.width, across, 0);
      right_ = ticks(0, pixel * units::mm_from_metres(first.slow_pixel), area.height, down, 0);
      above_title_ = "fast (mm)";
      right_title_ = "slow (mm)";
    }
  } else {
    const double mm = units::mm_from_metres(canvas.step());
    below_ = ticks(-canvas.beam()->x * mm, mm / area.scale, area.width, across, 0);
    left_ = ticks(-canvas.beam()->y * mm, mm / area.scale, area.height, down, 0);
    below_title_ = "mm from the beam";
    left_title_ = below_title_;
  }
  const auto beside = [&](const std::vector<Tick>& numbers) {
    return numbers.empty() ? gap : tick + gap + z * widest(numbers) + gap + letter + gap;
  };
  const int line = tick + gap + letter + gap + letter + gap;
  area.left = beside(left_);
  area.top = above_.empty() ? letter : line;
  bar_left_ = area.left + area.width + beside(right_) + 2 * gap;
  bar_width_ = 8 * z;
  int bar_numbers = 0;
  for (const BarTick& t : bar_) bar_numbers = std::max(bar_numbers, width_of(t.text));
  width_ = bar_left_ + bar_width_ + tick + gap + z * bar_numbers + gap + letter + gap;
  height_ = area.top + area.height + line;
  area_ = area;
}

void PictureFrame::draw_lines(Overlay& overlay) const {
  constexpr Rgb ink{0, 0, 0};
  const int z = area_.letters, gap = 2 * z, tick = 3 * z, letter = letter_height * z;
  const int thin = std::max(1, z / 2);
  const int left = area_.left, top = area_.top, right = left + area_.width,
            bottom = top + area_.height, middle = top + area_.height / 2;
  const auto box = [&](int x, int width) {
    overlay.fill(x - thin, top - thin, width + 2 * thin, thin, ink);
    overlay.fill(x - thin, bottom, width + 2 * thin, thin, ink);
    overlay.fill(x - thin, top, thin, area_.height, ink);
    overlay.fill(x + width, top, thin, area_.height, ink);
  };
  box(left, area_.width);
  box(bar_left_, bar_width_);

  const auto along = [&](const std::vector<Tick>& numbers, int tick_y, int text_y) {
    for (const Tick& t : numbers) {
      const int x = left + static_cast<int>(std::floor(t.at));
      overlay.fill(x - thin / 2, tick_y, thin, tick, ink);
      overlay.write(x - (width_of(t.text) - 1) * z / 2, text_y, t.text, z, ink);
    }
  };
  const auto centred = [&](const std::string& title, int y) {
    overlay.write(left + (area_.width - width_of(title) * z) / 2, y, title, z, ink);
  };
  const auto upwards = [&](const std::string& title, int x) {
    overlay.write_upwards(x, middle + width_of(title) * z / 2, title, z, ink);
  };
  along(below_, bottom + thin, bottom + tick + gap);
  centred(below_title_, bottom + tick + gap + letter + gap);
  along(above_, top - thin - tick, top - tick - gap - letter);
  centred(above_title_, top - tick - 2 * gap - 2 * letter);
  for (const Tick& t : left_) {
    const int y = top + static_cast<int>(std::floor(t.at));
    overlay.fill(left - thin - tick, y - thin / 2, tick, thin, ink);
    overlay.write(left - tick - gap - width_of(t.text) * z + z, y - letter / 2, t.text, z, ink);
  }
  upwards(left_title_, gap);
  for (const Tick& t : right_) {
    const int y = top + static_cast<int>(std::floor(t.at));
    overlay.fill(right + thin, y - thin / 2, tick, thin, ink);
    overlay.write(right + tick + gap, y - letter / 2, t.text, z, ink);
  }
  if (!right_.empty()) upwards(right_title_, right + tick + gap + z * widest(right_) + gap);
  for (const BarTick& t : bar_) {
    const int y = top + static_cast<int>(std::floor((1 - t.level) * (area_.height - 1)));
    overlay.fill(bar_left_ + bar_width_ + thin, y - thin / 2, tick, thin, ink);
    overlay.write(bar_left_ + bar_width_ + tick + gap, y - letter / 2, t.text, z, ink);
  }
  upwards(unit_, width_ - gap - letter);
}

}  // namespace nablabragg::readout
