// Which spots reach which tiles of a panel: what a pixel looks at.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>
#include "engine/closed/closed_plan.hpp"

namespace nablabragg::engine {

class SpotsOfTiles {
 public:
  SpotsOfTiles(const PlanFrame& frame, const std::vector<const ClosedSpot*>& spots)
      : width_((frame.fast_pixels + spots_tile_side - 1) / spots_tile_side),
        starts_(static_cast<std::size_t>(width_) *
                        static_cast<std::size_t>((frame.slow_pixels + spots_tile_side - 1) /
                                                 spots_tile_side) +
                    1,
                0) {
    const auto for_each_tile = [&](const ClosedSpot& spot, auto&& work) {
      for (int slow = spot.slow_min / spots_tile_side; slow <= spot.slow_max / spots_tile_side;
           ++slow)
        for (int fast = spot.fast_min / spots_tile_side; fast <= spot.fast_max / spots_tile_side;
             ++fast)
          work(static_cast<std::size_t>(slow) * static_cast<std::size_t>(width_) +
               static_cast<std::size_t>(fast));
    };
    for (const ClosedSpot* spot : spots)
      for_each_tile(*spot, [&](std::size_t tile) { ++starts_[tile + 1]; });
    for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
    numbers_.resize(starts_.back());
    std::vector<std::size_t> next(starts_.begin(), starts_.end() - 1);
    for (std::size_t i = 0; i < spots.size(); ++i)
      for_each_tile(*spots[i], [&](std::size_t tile) {
        numbers_[next[tile]++] = static_cast<std::uint32_t>(i);
      });
  }

  /// Of the tile that holds a pixel, in the order of the spots.
  std::span<const std::uint32_t> at(int fast, int slow) const {
    const auto tile = static_cast<std::size_t>(slow / spots_tile_side) *
                          static_cast<std::size_t>(width_) +
                      static_cast<std::size_t>(fast / spots_tile_side);
    return std::span(numbers_).subspan(starts_[tile], starts_[tile + 1] - starts_[tile]);
  }

  int width() const { return width_; }  ///< [tiles]
  /// Of all tiles, row by row: the spots of tile i are numbers()[starts()[i]] to
  /// numbers()[starts()[i + 1]].
  const std::vector<std::size_t>& starts() const { return starts_; }
  const std::vector<std::uint32_t>& numbers() const { return numbers_; }

 private:
  int width_;
  std::vector<std::size_t> starts_;
  std::vector<std::uint32_t> numbers_;
};

}  // namespace nablabragg::engine
