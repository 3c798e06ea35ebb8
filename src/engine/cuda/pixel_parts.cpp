#include "engine/cuda/pixel_parts.hpp"

#include <algorithm>

namespace nablabragg::engine::cuda {

std::vector<PixelPart> parts_of(const Plan& plan, const Pixels& pixels, int pixels_at_once) {
  std::vector<PixelPart> parts;
  for (std::size_t number = 0; number < plan.panels.size(); ++number) {
    const PlanPanel& panel = plan.panels[number];
    if (!pixels.all) {
      PixelPart part;
      part.panel = number;
      for (std::size_t i = 0; i < pixels.list.size(); ++i) {
        const PixelIndex& pixel = pixels.list[i];
        if (pixel.panel != static_cast<int>(number)) continue;
        part.list.push_back({pixel.fast, pixel.slow});
        part.places.push_back(i);
        if (part.count() < static_cast<std::size_t>(pixels_at_once)) continue;
        parts.push_back(std::move(part));
        part = {};
        part.panel = number;
      }
      if (part.count() > 0) parts.push_back(std::move(part));
      continue;
    }
    const RegionOfInterest& roi = panel.roi;
    const int columns = roi.fast_max - roi.fast_min + 1;
    if (columns <= 0) continue;
    const int rows = std::max(1, pixels_at_once / columns);
    for (int slow = roi.slow_min; slow <= roi.slow_max; slow += rows) {
      PixelPart part;
      part.panel = number;
      part.pixels.fast_min = roi.fast_min;
      part.pixels.slow_min = slow;
      part.pixels.columns = columns;
      part.pixels.rows = std::min(rows, roi.slow_max - slow + 1);
      for (int row = 0; row < part.pixels.rows; ++row)
        for (int column = 0; column < columns; ++column)
          part.places.push_back(panel.first_pixel +
                                panel.offset_of(roi.fast_min + column, slow + row));
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

}  // namespace nablabragg::engine::cuda
