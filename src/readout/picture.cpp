#include "nablabragg/picture.hpp"

#include <algorithm>
#include <bit>  // for bit_cast
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <sstream>
#include <vector>

#include "nablabragg/error.hpp"
#include "nablabragg/experiment.hpp"
#include "nablabragg/units.hpp"
#include "readout/picture_marks.hpp"

namespace nablabragg {

// Positive floats are in the order of their bits, so the upper halves are counted first and then
// the lower halves of those that share the upper half sought: no second image is held.
double white_photons_of(std::span<const float> photons) {
  constexpr std::size_t halves = std::size_t{1} << 16;
  std::vector<std::int64_t> counts(halves);
  const auto count = [&](auto&& half_of) {
    std::fill(counts.begin(), counts.end(), 0);
    for (const float value : photons)
      if (value > 0 && std::isfinite(value))
        if (const auto half = half_of(std::bit_cast<std::uint32_t>(value))) ++counts[*half];
  };
  /// Which half holds the value of this rank; `rank` becomes the one within it.
  const auto find = [&](std::int64_t& rank) {
    std::uint32_t half = 0;
    for (; rank >= counts[half]; ++half) rank -= counts[half];
    return half;
  };

  count([](std::uint32_t bits) { return std::optional(bits >> 16); });
  const std::int64_t lit = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (lit == 0) return 1;
  auto rank = static_cast<std::int64_t>(0.999 * static_cast<double>(lit - 1));
  const std::uint32_t upper = find(rank);
  count([upper](std::uint32_t bits) {
    return bits >> 16 == upper ? std::optional(bits & 0xffff) : std::nullopt;
  });
  return static_cast<double>(std::bit_cast<float>(upper << 16 | find(rank)));
}

namespace {

/// A photon that is turned back has the smallest d there is.
void check_rings(const std::vector<double>& rings_A, double wavelength) {
  for (const double d_A : rings_A)
    if (units::metres_from_angstrom(d_A) * 2 < wavelength) {
      std::ostringstream sentence;
      sentence << "a ring of " << d_A << " Angstrom is beyond half the wavelength, "
               << wavelength * 5e9 << " Angstrom, which no light reaches";
      throw UsageError(sentence.str());
    }
}

}  // namespace

void check_picture(const Experiment& experiment, const PictureStyle& style) {
  if (style.rings_A.empty()) return;
  check_rings(style.rings_A, units::metres_from_angstrom(experiment.beam.wavelength_A));
}

struct Picture::Drawing {
  DetectorView seen;  ///< which the canvas looks at
  readout::PanelCanvas canvas;
  readout::PixelArea area;
  std::optional<readout::PictureFrame> frame;
  readout::Overlay overlay;
  std::vector<double> unseen_rings_A;
};

namespace {

using readout::Rgb;

constexpr float no_number = std::numeric_limits<float>::quiet_NaN();

/// From 0 to 1; what is no measurement is none.
std::optional<double> level_of(double photons, double white, PictureScale scale) {
  if (std::isnan(photons)) return std::nullopt;
  const double share = std::clamp(photons / white, 0.0, 1.0);
  if (scale == PictureScale::sqrt) return std::sqrt(share);
  // Three decades below white fade to black.
  if (scale == PictureScale::log) return std::log1p(1000 * share) / std::log1p(1000.0);
  return share;
}

Rgb color_of(std::optional<double> level, const PictureStyle& style) {
  if (!level) return style.inverted ? Rgb{0.75, 0.78, 0.82} : Rgb{0.28, 0.32, 0.38};
  const double shown = style.inverted ? 1 - *level : *level;
  return style.colors == PictureColors::heat ? readout::heat(shown) : Rgb{shown, shown, shown};
}

constexpr Rgb outline_color{0.6, 0.7, 0.8};

/// Legible on both ends of the levels, and no color of theirs.
readout::MarkColors mark_colors(const PictureStyle& style) {
  if (style.inverted) return {{0, 0.35, 0.8}, {1, 1, 1}};
  return {{0.3, 0.9, 1}, {0, 0, 0}};
}

/// Round numbers of photons, as many as have room.
std::vector<readout::BarTick> bar_ticks(double white, PictureScale scale, double least_distance) {
  std::vector<readout::BarTick> ticks;
  double last = 1 + least_distance;
  const int highest = static_cast<int>(std::floor(std::log10(white)));
  for (int power = highest; power > highest - 7; --power)
    for (const double digit : {5.0, 2.0, 1.0}) {
      const double value = digit * std::pow(10.0, power);
      if (value > white) continue;
      const double level = *level_of(value, white, scale);
      if (last - level < least_distance || level < least_distance) continue;
      std::ostringstream text;
      text << value;
      ticks.push_back({level, text.str()});
      last = level;
    }
  ticks.push_back({0, "0"});
  return ticks;
}

}  // namespace

Picture::Picture(const Resolved& resolved, std::span<const float> shown, const PictureStyle& style)
    : Picture(DetectorView(resolved), shown, style) {}

Picture::Picture(const Geometry& geometry, std::span<const float> shown, const PictureStyle& style)
    : Picture(DetectorView(geometry), shown, style) {}

Picture::Picture(const DetectorView& view, std::span<const float> shown, const PictureStyle& style)
    : shown_(shown),
      style_(style),
      white_(style.white_photons > 0 ? style.white_photons : white_photons_of(shown)) {
  if (!std::isfinite(white_)) throw UsageError("white needs a finite number of photons");
  const readout::View& seen = *view.view_;
  if (!seen.placed && seen.panels.size() > 1)
    throw UsageError("there are several panels, and nothing says where they are");
  if (!style.rings_A.empty()) {
    if (!seen.placed || !(seen.wavelength > 0))
      throw UsageError(
          "resolution rings need the place of the detector and the wavelength, and they are not "
          "stated");
    check_rings(style.rings_A, seen.wavelength);
  }
  readout::PanelCanvas canvas(seen);
  if (style.reduced > 1) reduce(canvas);
  readout::PixelArea area;
  const int longest = std::max(canvas.width, canvas.height);
  if (style.reduced > 1) {
    area.scale = 1.0 / style.reduced;
    area.width = (canvas.width + style.reduced - 1) / style.reduced;
    area.height = (canvas.height + style.reduced - 1) / style.reduced;
  } else {
    // Axes about a few pixels would be hard to read.
    constexpr int least_with_axes = 400;
    const int zoom = style.axes && longest < least_with_axes
                         ? (least_with_axes + longest - 1) / longest
                         : 1;
    area.scale = zoom;
    area.width = zoom * canvas.width;
    area.height = zoom * canvas.height;
  }
  const int edge = std::max(area.width, area.height);
  constexpr int edge_of_a_letter = 600;
  area.letters = std::max(style.axes ? 2 : 1, (edge + edge_of_a_letter / 2) / edge_of_a_letter);
  std::optional<readout::PictureFrame> frame;
  if (style.axes) {
    constexpr double letters_apart = 24;
    frame.emplace(area, canvas, seen,
                  bar_ticks(white_, style.scale, letters_apart * area.letters / area.height),
                  style.unit);
  }
  readout::Overlay overlay(frame ? frame->width() : area.width,
                           frame ? frame->height() : area.height);
  const readout::MarkColors colors = mark_colors(style);
  std::vector<double> unseen;
  if (frame) {
    frame->draw(overlay, [&](double level) { return color_of(level, style); });
    if (seen.panels.size() > 1) readout::draw_outlines(overlay, area, canvas, seen, outline_color);
  }
  if (!style.rings_A.empty())
    unseen = readout::draw_rings(overlay, area, canvas, seen, style.rings_A, colors);
  if (!style.rings_A.empty() || frame) readout::draw_beam(overlay, area, canvas, colors);
  drawing_.reset(new Drawing{view, std::move(canvas), area, std::move(frame), std::move(overlay),
                             std::move(unseen)});
}

Picture::~Picture() = default;

int Picture::width() const { return drawing_->overlay.width(); }
int Picture::height() const { return drawing_->overlay.height(); }

const std::vector<double>& Picture::unseen_rings_A() const { return drawing_->unseen_rings_A; }

void Picture::reduce(const readout::PanelCanvas& canvas) {
  const int edge = style_.reduced;
  for (int top = 0; top < canvas.height; top += edge)
    for (int left = 0; left < canvas.width; left += edge) {
      float most = -std::numeric_limits<float>::infinity();
      double sum = 0;
      int pixels = 0;
      for (int y = top; y < std::min(top + edge, canvas.height); ++y)
        for (int x = left; x < std::min(left + edge, canvas.width); ++x) {
          const std::ptrdiff_t pixel = canvas.pixel(x, y);
          const float value = pixel < 0 ? no_number : shown_[static_cast<std::size_t>(pixel)];
          if (std::isnan(value)) continue;
          most = std::max(most, value);
          sum += static_cast<double>(value);
          ++pixels;
        }
      reduced_.push_back(pixels == 0 ? no_number
                         : style_.as_one == PixelsAsOne::largest
                             ? most
                             : static_cast<float>(sum / pixels));
    }
}

float Picture::shown_at(int x, int y) const {
  const readout::PixelArea& area = drawing_->area;
  if (style_.reduced > 1)
    return reduced_[static_cast<std::size_t>(y) * static_cast<std::size_t>(area.width) +
                    static_cast<std::size_t>(x)];
  const int zoom = static_cast<int>(area.scale);
  const std::ptrdiff_t pixel = drawing_->canvas.pixel(x / zoom, y / zoom);
  return pixel < 0 ? no_number : shown_[static_cast<std::size_t>(pixel)];
}

void Picture::fill_row(int y, std::span<std::uint16_t> samples) const {
  const double top = style_.bits == 16 ? 65535 : 255;
  const auto sample = [&](double share) {
    return static_cast<std::uint16_t>(std::lround(top * share));
  };
  const auto level = [&](int column, int row) {
    return level_of(static_cast<double>(shown_at(column, row)), white_, style_.scale);
  };
  if (style_.is_grey()) {
    for (int x = 0; x < width(); ++x) {
      const double grey = level(x, y).value_or(0);
      samples[static_cast<std::size_t>(x)] = sample(style_.inverted ? 1 - grey : grey);
    }
    return;
  }
  const readout::PixelArea& area = drawing_->area;
  std::vector<double> rgb(samples.size(), 1);
  if (y >= area.top && y < area.top + area.height)
    for (int x = 0; x < area.width; ++x) {
      const Rgb color = color_of(level(x, y - area.top), style_);
      std::copy(color.begin(), color.end(), rgb.begin() + 3 * (std::ptrdiff_t{area.left} + x));
    }
  drawing_->overlay.cover_row(y, rgb);
  std::ranges::transform(rgb, samples.begin(), sample);
}

}  // namespace nablabragg
