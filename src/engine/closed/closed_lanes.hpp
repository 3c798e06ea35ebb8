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

/// Whether the series is good enough for the pixels that a spot may light: in single precision
/// alone.
template <class S>
NABLA_INLINE bool is_near(const ClosedSpot& spot) {
  return std::is_same_v<S, float> && spot.near;
}
template <class T>
NABLA_INLINE FlatPoint<T> flat_point(bool near, const SpotNumbers<physics::Scalar<T>>& n,
                                     const T& x, const T& y) {
  return near ? flat_point<true>(n, x, y) : flat_point<false>(n, x, y);
}

/// q0 - g with the spot's offset on a curved panel, x and y pixels from its anchor.
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

/// On any panel.
template <class T>
NABLA_INLINE Vec3<T> offset_at(const ClosedPlan& plan, bool flat, bool near, const ClosedSpot& spot,
                               const SpotNumbers<physics::Scalar<T>>& n, const T& x, const T& y) {
  return flat ? flat_point(near, n, x, y).offset(n) : curved_offset_at(plan, spot, x, y);
}

/// What still passes for the ellipse of a spot's parabola, by how far it may lie beside it
/// [pixels]: in telling blocks, and, as that is what another pixel or two are worth, in telling
/// pixels of lit blocks.
inline constexpr double straight_bend = 1, listed_bend = 4;

/// Which blocks of a tile a spot may light, one bit each: by the tangent of its darkness, which is
/// convex, at the middle of each block.
template <bool band, bool slice, bool second>
inline std::uint32_t lit_blocks(const ClosedPlan& plan, bool flat, const ClosedSpot& spot,
                                const Tile& tile) {
  alignas(64) std::array<float, tile_blocks> x, y, low;
  const auto blocks = static_cast<size_t>(tile.blocks);
  const auto pad = [&](double half) { return half + spot.bend; };
  std::uint32_t lit = 0;
  if (spot.bend <= straight_bend) {
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
        n.spot, offset_at<T>(plan, flat, false, spot, n, at_x, at_y), plan.diverges,
        T(n.narrowing2));
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
  alignas(64) std::array<float, room> fast, slow;
  alignas(64) std::array<std::int32_t, room> place;  ///< in the tile

  NABLA_INLINE LitPixels() {}  // nothing is filled
};

/// Those of lit blocks; not for a spot that is an arc of more than listed_bend.
NABLA_INLINE void list_lit_pixels(const ClosedSpot& spot, std::uint32_t blocks, const Tile& tile,
                                  LitPixels& out) {
  const Single::D d;
  const hn::RebindToSigned<Single::D> whole;
  const SpotEllipse<float> ellipse = ellipse_of<float>(spot);
  out.count = 0;
  for (; blocks != 0; blocks &= blocks - 1) {
    const size_t begin = static_cast<size_t>(std::countr_zero(blocks)) * block_pixels;
    for (size_t first = begin; first < begin + block_pixels; first += Single::count) {
      const Single fast = Single::load(tile.fast.data() + first),
                   slow = Single::load(tile.slow.data() + first);
      const auto lit = ellipse.may_light(fast, slow).part[0];
      // Whole registers: to store some of their lanes takes longer on many processors.
      const auto places = hn::Iota(whole, static_cast<std::int32_t>(first));
      hn::StoreU(hn::Compress(fast.part[0], lit), d, out.fast.data() + out.count);
      hn::StoreU(hn::Compress(slow.part[0], lit), d, out.slow.data() + out.count);
      hn::StoreU(hn::Compress(places, hn::RebindMask(whole, lit)), whole,
                 out.place.data() + out.count);
      out.count += hn::CountTrue(d, lit);
    }
  }
}

/// Two registers, whose long chains of operations hide each other's latency.
template <class S>
using PointLanes = std::conditional_t<
    Single::count == 1, ClosedLanes<S>,
    std::conditional_t<std::is_same_v<S, float>, Singles<2>, Doubles<2>>>;

/// The sub-pixels of listed pixels side by side: those of one seldom fill the lanes.
template <class S>
class SubPixels {
  using P = PointLanes<S>;

 public:
  static constexpr size_t most = most_subpixels * most_subpixels;  ///< of one pixel
  static constexpr size_t room = most + 2 * P::count;              ///< whole registers are read
  alignas(64) std::array<S, room> x, y;  ///< from the spot's anchor [pixels]

  NABLA_INLINE SubPixels() {}  // nothing is filled

  /// Whether pixels of a spot can be listed and have room here.
  static bool fit(const ClosedSpot& spot) {
    return std::max(spot.subpixels_fast, spot.subpixels_slow) <= most_subpixels &&
           spot.bend <= listed_bend;
  }
  void begin(const ClosedSpot& spot) {
    count_ = static_cast<size_t>(spot.subpixels_fast * spot.subpixels_slow);
    to_fast_ = static_cast<S>(0.5 - spot.anchor_fast);
    to_slow_ = static_cast<S>(0.5 - spot.anchor_slow);
    if (count_ == 1) return;
    for (int slow = 0, i = 0; slow < spot.subpixels_slow; ++slow)
      for (int fast = 0; fast < spot.subpixels_fast; ++fast, ++i) {
        from_x_[static_cast<size_t>(i)] = sub_offset<S>(fast, spot.subpixels_fast);
        from_y_[static_cast<size_t>(i)] = sub_offset<S>(slow, spot.subpixels_slow);
      }
    P(0).store(from_x_.data() + count_);
    P(0).store(from_y_.data() + count_);
  }

  size_t of_pixel() const { return count_; }
  /// Pixels that there is room for.
  size_t at_once() const { return most / count_; }

  /// Fills x and y for some listed pixels, and the registers behind them with what was there.
  NABLA_INLINE size_t place(const LitPixels& lit, size_t first, size_t pixels) {
    const size_t filled = pixels * count_;
    if (count_ == 1) {
      const ClosedLanes<S> to_fast(to_fast_), to_slow(to_slow_);
      for (size_t j = 0; j < pixels; j += ClosedLanes<S>::count) {
        (load_as<ClosedLanes<S>>(lit.fast.data() + first + j) + to_fast).store(x.data() + j);
        (load_as<ClosedLanes<S>>(lit.slow.data() + first + j) + to_slow).store(y.data() + j);
      }
    } else {
      // Each pixel's last lanes are the next one's.
      for (size_t j = 0; j < pixels; ++j) {
        const P at_x(static_cast<S>(lit.fast[first + j]) + to_fast_),
            at_y(static_cast<S>(lit.slow[first + j]) + to_slow_);
        for (size_t sub = 0; sub < count_; sub += P::count) {
          (at_x + P::load(from_x_.data() + sub)).store(x.data() + j * count_ + sub);
          (at_y + P::load(from_y_.data() + sub)).store(y.data() + j * count_ + sub);
        }
      }
    }
    P(x[0]).store(x.data() + filled);
    P(y[0]).store(y.data() + filled);
    return filled;
  }

  /// The sum over the sub-pixels of one of them, of a row like x and y.
  NABLA_INLINE S sum(const S* row, size_t pixel) const {
    if (count_ == 1) return row[pixel];
    using T = Lanes<S, 1>;
    const typename T::D d;
    T sum(0);
    for (size_t i = 0; i < count_; i += T::count) {
      const auto wanted = hn::FirstN(d, count_ - i);
      const auto some = hn::LoadU(d, row + pixel * count_ + i);
      sum.part[0] = hn::Add(sum.part[0], hn::IfThenElseZero(wanted, some));
    }
    return sum_of(sum);
  }

 private:
  size_t count_ = 1;
  S to_fast_, to_slow_;
  alignas(64) std::array<S, room> from_x_, from_y_;  ///< from the middle of the pixel
};

}  // namespace nablabragg::engine::HWY_NAMESPACE
