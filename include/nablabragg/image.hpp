#pragma once
#include <cstddef>  // for std::size_t
#include <cstdint>  // for std::int32_t
#include <span>
#include <vector>

namespace nablabragg {

struct PixelIndex {
  int fast = 0, slow = 0;
  int panel = 0;  ///< 0: Experiment::detector; i: Experiment::more_panels[i - 1]
};

/// What integer images hold where there is no count: outside the region of interest, where the
/// mask leaves a pixel out.
inline constexpr std::int32_t masked_pixel = -2, gap_pixel = -1;

/// Photons per pixel of one panel, fast axis contiguous; the pixels are those of an Image.
struct PanelImage {
  int fast_pixels = 0, slow_pixels = 0;
  std::size_t first_pixel = 0;  ///< in the image
  std::span<const float> pixels;

  float at(int fast, int slow) const {
    return pixels[static_cast<std::size_t>(slow) * static_cast<std::size_t>(fast_pixels) +
                  static_cast<std::size_t>(fast)];
  }
  std::span<const float> row(int slow) const {
    const auto width = static_cast<std::size_t>(fast_pixels);
    return pixels.subspan(static_cast<std::size_t>(slow) * width, width);
  }
};

/// How many pixels a panel has along its axes.
struct PanelExtent {
  int fast_pixels = 0, slow_pixels = 0;
  std::size_t pixels() const {
    return static_cast<std::size_t>(fast_pixels) * static_cast<std::size_t>(slow_pixels);
  }
};

/// Photons per pixel of all panels in one buffer.  Most images have one panel: its extent, at() and
/// row() stand here; panel(i) gives any of them.
struct Image {
  int fast_pixels = 0, slow_pixels = 0;  ///< of the first panel
  std::vector<float> pixels;             ///< panel by panel, each with its fast axis contiguous
  std::vector<PanelExtent> more_panels = {};

  std::size_t panels() const { return 1 + more_panels.size(); }
  PanelImage panel(std::size_t index) const {
    std::size_t first = 0;
    PanelExtent extent{fast_pixels, slow_pixels};
    for (std::size_t i = 0; i < index; ++i) {
      first += extent.pixels();
      extent = more_panels.at(i);
    }
    return {extent.fast_pixels, extent.slow_pixels, first,
            std::span(pixels).subspan(first, extent.pixels())};
  }
  /// The only panel: for what one panel can hold.  Throws UsageError when there are several.
  PanelImage only() const;

  float at(int fast, int slow) const {
    return pixels[static_cast<std::size_t>(slow) * static_cast<std::size_t>(fast_pixels) +
                  static_cast<std::size_t>(fast)];
  }
  float at(const PixelIndex& pixel) const {
    return panel(static_cast<std::size_t>(pixel.panel)).at(pixel.fast, pixel.slow);
  }
  std::span<const float> row(int slow) const {
    return {pixels.data() + static_cast<std::size_t>(slow) * static_cast<std::size_t>(fast_pixels),
            static_cast<std::size_t>(fast_pixels)};
  }
};

}  // namespace nablabragg
