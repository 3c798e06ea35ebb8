#include "nablabragg/picture.hpp"

#include <algorithm>
#include <bit>  // for bit_cast
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "readout/panel_canvas.hpp"

namespace nablabragg {

// Positive floats are in the order of their bits, so the upper halves are counted first and then
// the lower halves of those that share the upper half sought: no second image is held.
double white_photons_of(std::span<const float> photons) {
  constexpr std::size_t halves = std::size_t{1} << 16;
  std::vector<std::int64_t> counts(halves);
  const auto count = [&](auto&& half_of) {
    std::fill(counts.begin(), counts.end(), 0);
    for (const float value : photons)
      if (value > 0)
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

struct Picture::Places {
  readout::PanelCanvas canvas;
};

Picture::Picture(const Resolved& resolved, const Image& image, std::span<const float> shown,
                 const PictureStyle& style)
    : places_(new Places{readout::PanelCanvas(resolved, image)}),
      shown_(shown),
      style_(style),
      white_(style.white_photons > 0 ? style.white_photons : white_photons_of(shown)) {}

Picture::~Picture() = default;

int Picture::width() const { return places_->canvas.width; }
int Picture::height() const { return places_->canvas.height; }

void Picture::fill_row(int y, std::span<std::uint16_t> greys) const {
  const double top = style_.bits == 16 ? 65535 : 255;
  for (int x = 0; x < width(); ++x) {
    const std::ptrdiff_t pixel = places_->canvas.pixel(x, y);
    const double photons = pixel < 0 ? 0
                                     : static_cast<double>(shown_[static_cast<std::size_t>(pixel)]);
    const double share = std::clamp(photons / white_, 0.0, 1.0);
    double level = share;
    if (style_.scale == PictureScale::sqrt) level = std::sqrt(share);
    // Three decades below white fade to black.
    if (style_.scale == PictureScale::log) level = std::log1p(1000 * share) / std::log1p(1000.0);
    if (style_.inverted) level = 1 - level;
    greys[static_cast<std::size_t>(x)] = static_cast<std::uint16_t>(std::lround(top * level));
  }
}

}  // namespace nablabragg
