#include "engine/cpu/tiles.hpp"

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <limits>

namespace nablabragg::engine {

namespace {

/// Fills the blocks behind the used ones, which are computed in part and never read.
void pad(Tile& tile) {
  const auto repeat = [&](auto& values) {
    for (auto b = static_cast<std::size_t>(tile.blocks); b < tile_blocks; ++b)
      values[b] = values[0];
  };
  repeat(tile.middle_fast);
  repeat(tile.middle_slow);
  repeat(tile.half_fast);
  repeat(tile.half_slow);
  if (tile.blocks == tile_blocks) return;
  // Two blocks may be computed side by side.
  const auto end = static_cast<std::ptrdiff_t>(tile.blocks) * block_pixels;
  std::copy_n(tile.fast.begin(), block_pixels, tile.fast.begin() + end);
  std::copy_n(tile.slow.begin(), block_pixels, tile.slow.begin() + end);
}

constexpr double half_block = (block_side - 1) / 2.0;

/// Most tiles of an image are whole, and where there is one step a pixel they take time to list.
void fill_whole_tile(int tile_fast, int tile_slow, Tile& tile) {
  constexpr std::size_t across = tile_side / block_side;
  tile.blocks = tile_blocks;
  tile.wanted = tile_pixels;
  for (std::size_t b = 0; b < tile_blocks; ++b) {
    const int left = tile_fast + block_side * static_cast<int>(b % across),
              bottom = tile_slow + block_side * static_cast<int>(b / across);
    tile.middle_fast[b] = left + half_block;
    tile.middle_slow[b] = bottom + half_block;
    tile.half_fast[b] = tile.half_slow[b] = half_block;
    tile.pixels[b] = block_pixels;
    const auto fast = static_cast<float>(left), slow = static_cast<float>(bottom);
    float* const fasts = tile.fast.data() + b * block_pixels;
    float* const slows = tile.slow.data() + b * block_pixels;
    for (std::size_t i = 0; i < block_pixels; ++i) {
      const std::size_t column = i % block_side, row = i / block_side;
      fasts[i] = fast + static_cast<float>(column);
      slows[i] = slow + static_cast<float>(row);
    }
  }
}

/// Of an image.
void fill_tile(const PlanPanel& panel, int tile_fast, int tile_slow, Tile& tile) {
  const RegionOfInterest& roi = panel.roi;
  if (!panel.mask && tile_fast >= roi.fast_min && tile_fast + tile_side - 1 <= roi.fast_max &&
      tile_slow >= roi.slow_min && tile_slow + tile_side - 1 <= roi.slow_max) {
    fill_whole_tile(tile_fast, tile_slow, tile);
    return;
  }
  tile.blocks = tile.wanted = 0;
  for (int slow = tile_slow; slow < tile_slow + tile_side; slow += block_side)
    for (int fast = tile_fast; fast < tile_fast + tile_side; fast += block_side) {
      const int left = std::max(fast, roi.fast_min),
                right = std::min(fast + block_side - 1, roi.fast_max),
                bottom = std::max(slow, roi.slow_min),
                top = std::min(slow + block_side - 1, roi.slow_max);
      int wanted = std::max(0, right - left + 1) * std::max(0, top - bottom + 1);
      if (panel.mask) {
        wanted = 0;
        for (int s = bottom; s <= top; ++s)
          for (int f = left; f <= right; ++f) wanted += panel.visits(f, s);
      }
      if (wanted == 0) continue;
      const auto b = static_cast<std::size_t>(tile.blocks++);
      tile.middle_fast[b] = fast + half_block;
      tile.middle_slow[b] = slow + half_block;
      tile.half_fast[b] = tile.half_slow[b] = half_block;
      tile.pixels[b] = wanted;
      tile.wanted += wanted;
      for (int y = 0; y < block_side; ++y)
        for (int x = 0; x < block_side; ++x) {
          const std::size_t i = b * block_pixels + static_cast<std::size_t>(y * block_side + x);
          tile.fast[i] = static_cast<float>(fast + x);
          tile.slow[i] = static_cast<float>(slow + y);
        }
    }
  pad(tile);
}

std::vector<std::size_t> order_of_tiles(std::span<const PixelIndex> list) {
  struct Place {
    std::uint64_t tile, pixel;
    std::size_t number;
    auto operator<=>(const Place&) const = default;
  };
  std::vector<Place> places;
  places.reserve(list.size());
  for (const auto& [fast, slow, panel] : list) {
    // Less than 2^24 pixels along an edge
    const auto f = static_cast<std::uint64_t>(fast), s = static_cast<std::uint64_t>(slow);
    places.push_back(
        {static_cast<std::uint64_t>(panel) << 40 | s / tile_side << 20 | f / tile_side,
         s / block_side << 40 | f / block_side << 16 | s % block_side << 8 | f % block_side,
         places.size()});
  }
  // Long lists are often in this order
  if (!std::ranges::is_sorted(places)) std::ranges::sort(places);
  std::vector<std::size_t> order;
  order.reserve(places.size());
  for (const Place& place : places) order.push_back(place.number);
  return order;
}

/// Of listed pixels, at most tile_pixels.
void fill_tile(std::span<const PixelIndex> pixels, Tile& tile) {
  tile.blocks = 0;
  tile.wanted = static_cast<int>(pixels.size());
  for (std::size_t begin = 0; begin < pixels.size(); begin += block_pixels) {
    const auto block = pixels.subspan(begin,
                                      std::min<std::size_t>(block_pixels, pixels.size() - begin));
    const auto b = static_cast<std::size_t>(tile.blocks++);
    const auto [left, right] = std::minmax_element(
        block.begin(), block.end(),
        [](const PixelIndex& x, const PixelIndex& y) { return x.fast < y.fast; });
    const auto [bottom, top] = std::minmax_element(
        block.begin(), block.end(),
        [](const PixelIndex& x, const PixelIndex& y) { return x.slow < y.slow; });
    tile.middle_fast[b] = (left->fast + right->fast) / 2.0;
    tile.half_fast[b] = (right->fast - left->fast) / 2.0;
    tile.middle_slow[b] = (bottom->slow + top->slow) / 2.0;
    tile.half_slow[b] = (top->slow - bottom->slow) / 2.0;
    tile.pixels[b] = static_cast<int>(block.size());
    for (std::size_t i = 0; i < block_pixels; ++i) {
      const PixelIndex& pixel = block[std::min(i, block.size() - 1)];
      tile.fast[b * block_pixels + i] = static_cast<float>(pixel.fast);
      tile.slow[b * block_pixels + i] = static_cast<float>(pixel.slow);
    }
  }
  pad(tile);
}

}  // namespace

Tiling::Tiling(const Plan& plan, const Pixels& pixels) : plan_(plan) {
  if (pixels.all) {
    for (std::size_t p = 0; p < plan.panels.size(); ++p) {
      const RegionOfInterest& roi = plan.panels[p].roi;
      const auto start = [](int first) { return first / tile_side * tile_side; };
      for (int slow = start(roi.slow_min); slow <= roi.slow_max; slow += tile_side)
        for (int fast = start(roi.fast_min); fast <= roi.fast_max; fast += tile_side)
          tiles_.push_back({static_cast<int>(p), fast, slow, 0, 0});
    }
    return;
  }
  order_ = order_of_tiles(pixels.list);
  sorted_.reserve(order_.size());
  for (const std::size_t i : order_) sorted_.push_back(pixels.list[i]);
  for (std::size_t first = 0, size = 0; first < sorted_.size(); first += size) {
    const int panel = sorted_[first].panel;
    size = 1;
    while (size < tile_pixels && first + size < sorted_.size() &&
           sorted_[first + size].panel == panel)
      ++size;
    tiles_.push_back({panel, 0, 0, first, size});
  }
}

void Tiling::fill(int index, Tile& tile) const {
  const Place& place = tiles_[static_cast<std::size_t>(index)];
  tile.panel = place.panel;
  if (of_image())
    fill_tile(plan_.panels[static_cast<std::size_t>(place.panel)], place.fast, place.slow, tile);
  else
    fill_tile(std::span(sorted_).subspan(place.first, place.size), tile);
}

TileCutoff::TileCutoff(const Plan& plan, const InterpolationCutoff& cutoff, const Tile& tile)
    : cutoff_(cutoff), tile_(tile) {
  for (std::size_t b = 0; b < static_cast<std::size_t>(tile.blocks); ++b) {
    const int side = plan.lattice.tricubic
                         ? cutoff.side_of_rows(tile.panel, tile.middle_slow[b] - tile.half_slow[b],
                                               tile.middle_slow[b] + tile.half_slow[b])
                         : -1;
    if (side != 0) {
      (side > 0 ? interpolate_ : nearest_) += block_pixels;
      continue;
    }
    for (std::size_t i = b * block_pixels; i < (b + 1) * block_pixels; ++i) {
      const std::int64_t n = lookups(i);
      interpolate_ += n != 0;
      nearest_ += n != std::numeric_limits<std::int64_t>::max();
    }
  }
}

}  // namespace nablabragg::engine
