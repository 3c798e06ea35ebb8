// Which pixels are computed together.
#pragma once
#include <cstddef>
#include <span>
#include <vector>
#include "engine/cpu/kernels.hpp"  // for Tile
#include "engine/cutoff.hpp"
#include "engine/engine.hpp"     // for Pixels
#include "nablabragg/image.hpp"  // for PixelIndex

namespace nablabragg::engine {

inline constexpr int tile_side = 16;  ///< [pixels], in images
static_assert(tile_side * tile_side == tile_pixels);

/// The tiles of some pixels, or of all that the panels want.
class Tiling {
 public:
  Tiling(const Plan& plan, const Pixels& pixels);

  int count() const { return static_cast<int>(tiles_.size()); }
  int panel_of(int index) const { return tiles_[static_cast<std::size_t>(index)].panel; }
  /// Of an image: the tile's first pixel (fast, slow), whole tiles from the panel's corner.
  std::array<int, 2> corner_of(int index) const {
    const Place& place = tiles_[static_cast<std::size_t>(index)];
    return {place.fast, place.slow};
  }
  bool of_image() const { return order_.empty(); }

  /// Blocks without a wanted pixel are left out.
  void fill(int index, Tile& tile) const;

  /// `work(i, place)` for each wanted pixel of a filled tile: its number in the tile and its place
  /// among the values, in the order of the blocks, whole ones first.
  template <class Work>
  void for_each_wanted(int index, const Tile& tile, Work&& work) const {
    if (!of_image()) {
      const std::size_t first = tiles_[static_cast<std::size_t>(index)].first;
      for (std::size_t i = 0; i < static_cast<std::size_t>(tile.wanted); ++i)
        work(i, order_[first + i]);
      return;
    }
    const PlanPanel& panel = plan_.panels[static_cast<std::size_t>(tile.panel)];
    const auto width = static_cast<std::size_t>(panel.frame.fast_pixels);
    for (std::size_t b = 0; b < static_cast<std::size_t>(tile.blocks); ++b) {
      if (tile.pixels[b] != block_pixels) continue;
      const std::size_t first = b * block_pixels;
      const std::size_t corner = panel.first_pixel +
                                 panel.offset_of(static_cast<int>(tile.fast[first]),
                                                 static_cast<int>(tile.slow[first]));
      for (std::size_t y = 0; y < block_side; ++y)
        for (std::size_t x = 0; x < block_side; ++x)
          work(first + y * block_side + x, corner + y * width + x);
    }
    for_each_wanted_of_partial_blocks(tile, work);
  }

  /// Those of blocks that are not wanted whole, of the tile of an image.
  template <class Work>
  void for_each_wanted_of_partial_blocks(const Tile& tile, Work&& work) const {
    const PlanPanel& panel = plan_.panels[static_cast<std::size_t>(tile.panel)];
    if (tile.wanted == tile.blocks * block_pixels) return;
    for (std::size_t b = 0; b < static_cast<std::size_t>(tile.blocks); ++b) {
      if (tile.pixels[b] == block_pixels) continue;
      for (std::size_t i = b * block_pixels; i < (b + 1) * block_pixels; ++i) {
        const int fast = static_cast<int>(tile.fast[i]), slow = static_cast<int>(tile.slow[i]);
        if (panel.wants(fast, slow)) work(i, panel.first_pixel + panel.offset_of(fast, slow));
      }
    }
  }

 private:
  struct Place {
    int panel = 0;
    int fast = 0, slow = 0;           ///< of an image: the tile's first pixel
    std::size_t first = 0, size = 0;  ///< of a list: its pixels among the sorted ones
  };
  const Plan& plan_;
  std::vector<Place> tiles_;
  // Of a list: neighbours together, as in one block they share most of their work
  std::vector<std::size_t> order_;  ///< empty: an image
  std::vector<PixelIndex> sorted_;
};

/// Which pixels of a tile interpolate: most tiles lie on one side of nanoBragg's cutoff.
class TileCutoff {
 public:
  TileCutoff(const Plan& plan, const InterpolationCutoff& cutoff, const Tile& tile);
  bool all_interpolate() const { return nearest_ == 0; }
  bool none_interpolates() const { return interpolate_ == 0; }
  /// How many lookups of a pixel interpolate.
  std::int64_t lookups(std::size_t i) const {
    return cutoff_.interpolating_lookups(
        {static_cast<int>(tile_.fast[i]), static_cast<int>(tile_.slow[i]), tile_.panel});
  }

 private:
  const InterpolationCutoff& cutoff_;
  const Tile& tile_;
  int interpolate_ = 0, nearest_ = 0;  ///< pixels with only such lookups
};

}  // namespace nablabragg::engine
