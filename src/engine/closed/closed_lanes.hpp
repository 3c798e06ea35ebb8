// Spots in closed form on SIMD lanes.  For the files that are compiled once for each instruction
// set, like lanes.hpp.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include "engine/closed/closed_kernels.hpp"
#include "engine/cpu/lanes.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

/// Registers that are computed side by side: no more than a block of pixels has.
inline constexpr int closed_registers = Single::count > 1 && Single::count < block_pixels ? 2 : 1;

template <class S>
struct ClosedLanesOf;
template <>
struct ClosedLanesOf<float> {
  using type = Singles<closed_registers>;
};
template <>
struct ClosedLanesOf<double> {
  using type = Doubles<closed_registers>;
};
template <class S>
using ClosedLanes = typename ClosedLanesOf<S>::type;

/// As many lanes as T has, of single precision numbers from memory.
template <class T>
NABLA_INLINE T load_as(const float* from) {
  if constexpr (std::is_same_v<physics::Scalar<T>, float>)
    return T::load(from);
  else
    return widen(ClosedLanes<float>::load(from));
}

/// q0 - g with the spot's offset, x and y pixels from its anchor.
template <class T>
HWY_NOINLINE Vec3<T> curved_offset_at(const ClosedPlan& plan, const ClosedSpot& spot, const T& x,
                                      const T& y) {
  using W = Wide<T>;
  const Plan& p = *plan.plan;
  W wide_x, wide_y;
  if constexpr (is_wide<T>)
    wide_x = x, wide_y = y;
  else
    wide_x = widen(x), wide_y = widen(y);
  const Vec3<W> d = curved_offset(spot.wide, p.panels[static_cast<size_t>(spot.panel)], spot.layer,
                                  p.oversample, p.light.rays.front().wavenumber,
                                  wide_x + W(spot.anchor_fast), wide_y + W(spot.anchor_slow));
  if constexpr (is_wide<T>)
    return d;
  else
    return narrow(d);
}

template <class T>
NABLA_INLINE Vec3<T> offset_at(const ClosedPlan& plan, bool flat, const ClosedSpot& spot,
                               const SpotNumbers<physics::Scalar<T>>& n, const T& x, const T& y) {
  return flat ? flat_offset(n, x, y) : curved_offset_at(plan, spot, x, y);
}

/// Which blocks of a tile a spot may light, one bit each: by the tangent of its darkness, which is
/// convex, at the middle of each block.
template <bool band, bool slice, bool second>
inline std::uint32_t lit_blocks(const ClosedPlan& plan, bool flat, const ClosedSpot& spot,
                                const Tile& tile) {
  alignas(64) std::array<float, tile_blocks> x, y, low;
  const auto blocks = static_cast<size_t>(tile.blocks);
  const auto pad = [&](double half) { return half + std::min(spot.bend, 1.0); };
  std::uint32_t lit = 0;
  if (spot.bend <= 1) {
    for (size_t b = 0; b < blocks; ++b) {
      const double dx = tile.middle_fast[b] + 0.5 - spot.fast,
                   dy = tile.middle_slow[b] + 0.5 - spot.slow;
      const double by_x = spot.fast2 * dx + spot.both * dy, by_y = spot.both * dx + spot.slow2 * dy;
      const double darkness = spot.least + dx * by_x + dy * by_y -
                              2 * (std::abs(by_x) * pad(tile.half_fast[b]) +
                                   std::abs(by_y) * pad(tile.half_slow[b]));
      lit |= static_cast<std::uint32_t>(darkness <= spot.reach) << b;
    }
    return lit;
  }
  // An arc: its own darkness, and how it changes towards both axes
  using T = ClosedLanes<float>;
  for (size_t b = 0; b < tile_blocks; ++b) {
    const size_t from = std::min(b, blocks - 1);
    x[b] = static_cast<float>(tile.middle_fast[from] + 0.5 - spot.anchor_fast);
    y[b] = static_cast<float>(tile.middle_slow[from] + 0.5 - spot.anchor_slow);
  }
  const SpotNumbers<float>& n = spot.single;
  const auto darkness = [&](const T& at_x, const T& at_y) {
    return physics::spot_darkness<band, slice, second>(
        n.spot, offset_at<T>(plan, flat, spot, n, at_x, at_y), plan.diverges, T(n.narrowing2));
  };
  const T step(1.0f), fast2(spot.fast2), slow2(spot.slow2);
  for (size_t first = 0; first < blocks; first += T::count) {
    const T at_x = T::load(x.data() + first), at_y = T::load(y.data() + first);
    const T here = darkness(at_x, at_y);
    const T by_x = darkness(at_x + step, at_y) - here - fast2,
            by_y = darkness(at_x, at_y + step) - here - slow2;
    const T half(static_cast<float>(0.5 * block_side));
    (here - half * (magnitude(by_x) + magnitude(by_y))).store(low.data() + first);
  }
  // A list's blocks may be larger than an image's.
  for (size_t b = 0; b < blocks; ++b) {
    const bool large = tile.half_fast[b] > 0.5 * block_side || tile.half_slow[b] > 0.5 * block_side;
    lit |= static_cast<std::uint32_t>(large || low[b] <= spot.reach) << b;
  }
  return lit;
}

/// Pixels of a tile that a spot may light, in a row of their own.
struct LitPixels {
  static constexpr size_t room = tile_pixels + Single::count;  ///< whole registers are written
  size_t count = 0;
  // `place`: in the tile
  alignas(64) std::array<float, room> fast, slow, place;

  NABLA_INLINE LitPixels() {}  // nothing is filled
};

/// Those of lit blocks.
NABLA_INLINE void list_lit_pixels(const ClosedSpot& spot, std::uint32_t blocks, const Tile& tile,
                                  LitPixels& out) {
  const Single::D d;
  const SpotEllipse<float> ellipse = ellipse_of<float>(spot);
  out.count = 0;
  for (; blocks != 0; blocks &= blocks - 1) {
    const size_t begin = static_cast<size_t>(std::countr_zero(blocks)) * block_pixels;
    for (size_t first = begin; first < begin + block_pixels; first += Single::count) {
      const Single fast = Single::load(tile.fast.data() + first),
                   slow = Single::load(tile.slow.data() + first);
      const auto lit = ellipse.may_light(fast, slow);
      const auto keep = [&](const auto& lanes, auto& row) {
        return hn::CompressStore(lanes, lit.part[0], d, row.data() + out.count);
      };
      keep(fast.part[0], out.fast);
      keep(slow.part[0], out.slow);
      out.count += keep(hn::Iota(d, static_cast<float>(first)), out.place);
    }
  }
}

/// The sum of some numbers, behind which a register may be read.
template <class S>
NABLA_INLINE S sum_of_row(const S* row, size_t count) {
  using T = Lanes<S, 1>;
  const typename T::D d;
  T sum(0);
  for (size_t i = 0; i < count; i += T::count) {
    const auto wanted = hn::FirstN(d, count - i);
    sum.part[0] = hn::Add(sum.part[0], hn::IfThenElseZero(wanted, hn::LoadU(d, row + i)));
  }
  return sum_of(sum);
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
