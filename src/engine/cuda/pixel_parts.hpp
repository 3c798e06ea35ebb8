// Pixels in parts of bounded size, for what is kept of each pixel on a GPU.
#pragma once
#include <vector>
#include "engine/cuda/device_plan.hpp"
#include "engine/engine.hpp"

namespace nablabragg::engine::cuda {

/// Some pixels of a panel, and where their values are among those of the caller.
struct PixelPart {
  std::size_t panel = 0;
  DevicePixels pixels;  ///< without pointers
  std::vector<ListedPixel> list;
  std::vector<std::size_t> places;  ///< of the pixels, in their order

  std::size_t count() const { return places.size(); }
};

std::vector<PixelPart> parts_of(const Plan& plan, const Pixels& pixels, int pixels_at_once);

}  // namespace nablabragg::engine::cuda
