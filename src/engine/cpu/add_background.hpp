// The background of a tile, kept or computed: for sums step by step and in closed form.
#pragma once
#include "engine/cpu/kernels.hpp"
#include "engine/kept_background.hpp"

namespace nablabragg::engine {

static_assert(KeptBackground::part_pixels == tile_pixels);

/// Adds the background to the photons of a tile, the one with number `index` of `tiles`.  `kept`:
/// of an image; null where nothing is kept.  The bits are those of a background computed anew.
inline void add_background(const KernelSet& kernels, const Plan& plan, const Tile& tile, int index,
                           int tiles, KeptBackground* kept, TileSums& sums) {
  if (!plan.has_background()) return;
  alignas(64) std::array<double, tile_pixels> computed;
  const auto compute = [&](double* photons) { kernels.background(plan, tile, photons); };
  const double* photons = kept ? kept->part(index, tiles, compute) : nullptr;
  if (!photons) {
    compute(computed.data());
    photons = computed.data();
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(tile.blocks) * block_pixels; ++i)
    sums.photons[i] += photons[i];
}

}  // namespace nablabragg::engine
