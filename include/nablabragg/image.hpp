#pragma once
#include <cstddef>  // for std::size_t
#include <span>
#include <vector>

namespace nablabragg {

struct PixelIndex {
  int fast = 0, slow = 0;
};

/// Photons per pixel, fast axis contiguous.
struct Image {
  int fast_pixels = 0, slow_pixels = 0;
  std::vector<float> pixels;

  float at(int fast, int slow) const {
    return pixels[static_cast<std::size_t>(slow) * static_cast<std::size_t>(fast_pixels) +
                  static_cast<std::size_t>(fast)];
  }
  std::span<const float> row(int slow) const {
    return {pixels.data() + static_cast<std::size_t>(slow) * static_cast<std::size_t>(fast_pixels),
            static_cast<std::size_t>(fast_pixels)};
  }
};

}  // namespace nablabragg
