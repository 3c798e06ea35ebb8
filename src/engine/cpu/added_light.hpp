// Light that is added to that of the spots, tile by tile: what the derivatives of all of it share.
#pragma once
#include <array>
#include <span>
#include <vector>
#include "engine/cpu/tiles.hpp"
#include "engine/driver.hpp"
#include "nablabragg/simulate.hpp"  // for ComputeOptions

namespace nablabragg::engine {

/// The progress of the spots is all there is; whether to go on is asked on.
inline ComputeOptions behind_the_spots(const ComputeOptions& options) {
  ComputeOptions behind = options;
  if (options.progress) behind.progress = [&](double) { return options.progress(1); };
  return behind;
}

/// Adds what `kernel(tile, weights, sink)` finds with a weight of one in each wanted pixel:
/// sink.photons, and sink.slopes along as many tangents as there are columns.  `like` is copied for
/// each tile, which are those of a Tiling or of DiffuseNodes.
template <class Tiles, class Sink, class Kernel>
void push_forward_tiles(const Tiles& tiling, const ComputeOptions& options, std::size_t columns,
                        const Sink& like, Kernel&& kernel, std::span<double> photons,
                        std::span<double> slopes) {
  for_each_part(tiling.count(), behind_the_spots(options),
                [&](int index, const StopFlag& stopped) -> WorkDone {
                  Tile tile(stopped);
                  std::array<double, tile_pixels> ones{};
                  tiling.fill(index, tile);
                  tiling.for_each_wanted(index, tile,
                                         [&](std::size_t i, std::size_t) { ones[i] = 1; });
                  std::vector<double> changes(tile_pixels * columns);
                  Sink sink = like;
                  sink.slopes = changes.data();
                  kernel(tile, ones, sink);
                  tiling.for_each_wanted(index, tile, [&](std::size_t i, std::size_t place) {
                    photons[place] += sink.photons[i];
                    for (std::size_t t = 0; t < columns; ++t)
                      slopes[place * columns + t] += changes[i * columns + t];
                  });
                  return {};
                });
}

}  // namespace nablabragg::engine
