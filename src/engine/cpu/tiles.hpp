// Which pixels are computed together.
#pragma once
#include <span>
#include "engine/cpu/kernels.hpp"   // for Tile
#include "nablabragg/simulate.hpp"  // for PixelIndex

namespace nablabragg::engine {

inline constexpr int block_side = 4, tile_side = 16;  ///< [pixels], in images

/// The tile of an image whose first pixel is (fast, slow); blocks without a wanted pixel are left
/// out.
void fill_tile(const Plan& plan, int fast, int slow, Tile& tile);

/// A tile of listed pixels, at most tile_pixels.
void fill_tile(std::span<const PixelIndex> pixels, Tile& tile);

}  // namespace nablabragg::engine
