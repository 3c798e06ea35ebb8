// Which pixels are computed together.
#pragma once
#include <cstddef>
#include <span>
#include <vector>
#include "engine/cpu/kernels.hpp"  // for Tile
#include "nablabragg/image.hpp"    // for PixelIndex

namespace nablabragg::engine {

inline constexpr int tile_side = 16;  ///< [pixels], in images
static_assert(tile_side * tile_side == tile_pixels);

/// The tile of an image whose first pixel is (fast, slow); blocks without a wanted pixel are left
/// out.
void fill_tile(const PlanPanel& panel, int fast, int slow, Tile& tile);

/// The numbers of listed pixels, neighbours together: in one block they share most of their work.
std::vector<std::size_t> order_of_tiles(std::span<const PixelIndex> list);

/// A tile of listed pixels, at most tile_pixels.
void fill_tile(std::span<const PixelIndex> pixels, Tile& tile);

}  // namespace nablabragg::engine
