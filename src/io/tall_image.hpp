// How an image of several panels lies in one array: below each other.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>
#include "nablabragg/geometry.hpp"
#include "nablabragg/image.hpp"  // for gap_pixel, masked_pixel

namespace nablabragg::io {

/// Panels below each other; those that are narrower than the widest are filled up with gap.
struct TallImage {
  int fast = 0, slow = 0;
  bool equal_widths = true;

  explicit TallImage(const std::vector<GeometryPanel>& panels) {
    for (const GeometryPanel& panel : panels) {
      fast = std::max(fast, panel.fast_pixels);
      slow += panel.slow_pixels;
    }
    for (const GeometryPanel& panel : panels) equal_widths &= panel.fast_pixels == fast;
  }
  std::size_t pixels() const {
    return static_cast<std::size_t>(fast) * static_cast<std::size_t>(slow);
  }
};

/// Calls visit(row of the tall image, first pixel, pixels) for every row of the masked rectangles.
template <class Visit>
void for_each_masked_row(const std::vector<GeometryPanel>& panels, Visit&& visit) {
  int first_row = 0;
  for (const GeometryPanel& panel : panels) {
    for (const PixelRectangle& block : panel.masked) {
      const int begin = std::clamp(block.fast_begin, 0, panel.fast_pixels);
      const int end = std::clamp(block.fast_end, begin, panel.fast_pixels);
      const int slow_begin = std::clamp(block.slow_begin, 0, panel.slow_pixels);
      const int slow_end = std::clamp(block.slow_end, slow_begin, panel.slow_pixels);
      for (int slow = slow_begin; slow < slow_end; ++slow)
        visit(static_cast<std::size_t>(first_row + slow), static_cast<std::size_t>(begin),
              static_cast<std::size_t>(end - begin));
    }
    first_row += panel.slow_pixels;
  }
}

/// Pixels, panel by panel, as the tall image has them; `gap` is where there is no panel.
template <class Pixel>
void lay_out(const std::vector<GeometryPanel>& panels, std::span<const Pixel> pixels, Pixel gap,
             Pixel* tall) {
  const TallImage image(panels);
  if (image.equal_widths) {
    std::ranges::copy(pixels, tall);
    return;
  }
  const auto fast = static_cast<std::size_t>(image.fast);
  const Pixel* from = pixels.data();
  for (const GeometryPanel& panel : panels)
    for (int slow = 0; slow < panel.slow_pixels; ++slow, tall += fast) {
      const auto own = static_cast<std::size_t>(panel.fast_pixels);
      std::copy_n(from, own, tall);
      std::fill(tall + own, tall + fast, gap);
      from += own;
    }
}

/// Counts or photons likewise, with marks where nothing was measured.
template <class Pixel>
void lay_out_marked(const std::vector<GeometryPanel>& panels, std::span<const Pixel> pixels,
                    Pixel* tall) {
  const TallImage image(panels);
  lay_out(panels, pixels, static_cast<Pixel>(gap_pixel), tall);
  for_each_masked_row(panels, [&](std::size_t row, std::size_t first, std::size_t count) {
    Pixel* const begin = tall + row * static_cast<std::size_t>(image.fast) + first;
    std::for_each_n(begin, count, [](Pixel& pixel) {
      if (pixel >= 0) pixel = static_cast<Pixel>(masked_pixel);
    });
  });
  // DIALS loses all spots beyond a pixel that is no number.
  if constexpr (std::is_floating_point_v<Pixel>)
    std::replace_if(
        tall, tall + image.pixels(), [](Pixel p) { return !std::isfinite(p); },
        static_cast<Pixel>(masked_pixel));
}

}  // namespace nablabragg::io
