// The kernels of images in closed form.  Compiled once for each instruction set, like
// cpu/kernels.cpp.
#include "engine/closed/closed_kernels.hpp"

#include "engine/closed/closed_lanes.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

/// Two registers, whose long chains of operations hide each other's latency.
template <class S>
using PointLanes = std::conditional_t<
    Single::count == 1, ClosedLanes<S>,
    std::conditional_t<std::is_same_v<S, float>, Singles<2>, Doubles<2>>>;

/// Sub-pixels of many pixels side by side: those of one seldom fill the lanes.
template <class S>
struct SubPixels {
  static constexpr size_t most = most_subpixels * most_subpixels;  ///< of one pixel
  static constexpr size_t room = most + 2 * PointLanes<S>::count;  ///< whole registers are read
  alignas(64) std::array<S, room> x, y;            ///< from the spot's anchor [pixels]
  alignas(64) std::array<S, room> from_x, from_y;  ///< from the middle of the pixel

  NABLA_INLINE SubPixels() {}  // nothing is filled
};

template <class S, bool band, bool slice, bool second>
void render(const ClosedPlan& plan, std::span<const std::uint32_t> numbers, const Tile& tile,
            TileSums& out) {
  using T = ClosedLanes<S>;
  using P = PointLanes<S>;
  const Plan& p = *plan.plan;
  const PlanPanel& panel = p.panels[static_cast<size_t>(tile.panel)];
  const bool flat = panel.frame.curvature == Curvature::flat;
  const std::vector<const ClosedSpot*>& spots = plan.panels[static_cast<size_t>(tile.panel)];
  const auto pixels = static_cast<size_t>(tile.blocks) * block_pixels;
  std::fill_n(out.photons.begin(), pixels, 0.0);
  std::fill_n(out.solid_angle.begin(), pixels, 0.0);
  alignas(64) std::array<S, tile_pixels> light;
  LitPixels some;
  SubPixels<S> points;
  const ClosedView<S> view = view_in<S>(plan, panel);
  const UntilStopped until(tile.stopped);
  for (size_t i = 0; i < numbers.size() && until.goes_on();) {
    const int layer = spots[numbers[i]]->layer;
    std::uint32_t lit = 0;
    for (; i < numbers.size() && spots[numbers[i]]->layer == layer; ++i) {
      const ClosedSpot& spot = *spots[numbers[i]];
      const SpotNumbers<S>& n = numbers_of<S>(spot);
      const std::uint32_t blocks = lit_blocks<band, slice, second>(plan, flat, spot, tile);
      for (std::uint32_t left = blocks & ~lit; left != 0; left &= left - 1)
        std::fill_n(light.begin() + std::countr_zero(left) * block_pixels, block_pixels, S(0));
      lit |= blocks;
      const int subs_fast = spot.subpixels_fast, subs_slow = spot.subpixels_slow;
      if (subs_fast * subs_slow > 1 && std::max(subs_fast, subs_slow) <= most_subpixels &&
          spot.bend <= 1) {
        list_lit_pixels(spot, blocks, tile, some);
        const auto subs = static_cast<size_t>(subs_fast * subs_slow);
        for (int sub_slow = 0, sub = 0; sub_slow < subs_slow; ++sub_slow)
          for (int sub_fast = 0; sub_fast < subs_fast; ++sub_fast, ++sub) {
            points.from_x[static_cast<size_t>(sub)] = sub_offset<S>(sub_fast, subs_fast);
            points.from_y[static_cast<size_t>(sub)] = sub_offset<S>(sub_slow, subs_slow);
          }
        P(0).store(points.from_x.data() + subs);
        P(0).store(points.from_y.data() + subs);
        const bool near = std::is_same_v<S, float> && spot.near;
        const auto value_at = [&](const P& x, const P& y) {
          return physics::spot_value<band, slice, second>(
              n.spot, near ? flat_offset<true>(n, x, y) : offset_at<P>(plan, flat, spot, n, x, y),
              plan.diverges, spot.narrow);
        };
        const auto to_fast = static_cast<S>(0.5 - spot.anchor_fast),
                   to_slow = static_cast<S>(0.5 - spot.anchor_slow);
        const size_t at_once = SubPixels<S>::most / subs;
        for (size_t first = 0; first < some.count; first += at_once) {
          const size_t some_pixels = std::min(at_once, some.count - first);
          const size_t filled = some_pixels * subs;
          // Each pixel's last lanes are the next one's.
          for (size_t j = 0; j < some_pixels; ++j) {
            const P x(static_cast<S>(some.fast[first + j]) + to_fast),
                y(static_cast<S>(some.slow[first + j]) + to_slow);
            for (size_t sub = 0; sub < subs; sub += P::count) {
              (x + P::load(points.from_x.data() + sub)).store(points.x.data() + j * subs + sub);
              (y + P::load(points.from_y.data() + sub)).store(points.y.data() + j * subs + sub);
            }
          }
          P(points.x[0]).store(points.x.data() + filled);
          P(points.y[0]).store(points.y.data() + filled);
          for (size_t j = 0; j < filled; j += P::count)
            value_at(P::load(points.x.data() + j), P::load(points.y.data() + j))
                .store(points.x.data() + j);
          for (size_t j = 0; j < some_pixels; ++j)
            light[static_cast<size_t>(some.place[first + j])] += n.amplitude *
                                                                 sum_of_row(
                                                                     points.x.data() + j * subs,
                                                                     subs);
        }
        continue;
      }
      const auto value_at = [&](const T& x, const T& y) {
        return physics::spot_value<band, slice, second>(
            n.spot, offset_at<T>(plan, flat, spot, n, x, y), plan.diverges, spot.narrow);
      };
      const auto light_at = [&](const T& x, const T& y) {
        T sum(0);
        for (int sub_slow = 0; sub_slow < subs_slow; ++sub_slow)
          for (int sub_fast = 0; sub_fast < subs_fast; ++sub_fast)
            sum = sum + value_at(x + T(sub_offset<S>(sub_fast, subs_fast)),
                                 y + T(sub_offset<S>(sub_slow, subs_slow)));
        return T(n.amplitude) * sum;
      };
      const T to_fast(static_cast<S>(0.5 - spot.anchor_fast)),
          to_slow(static_cast<S>(0.5 - spot.anchor_slow));
      for (std::uint32_t left = blocks; left != 0; left &= left - 1) {
        const size_t begin = static_cast<size_t>(std::countr_zero(left)) * block_pixels;
        for (size_t first = begin; first < begin + block_pixels; first += T::count) {
          const T x = load_as<T>(tile.fast.data() + first) + to_fast,
                  y = load_as<T>(tile.slow.data() + first) + to_slow;
          (T::load(light.data() + first) + light_at(x, y)).store(light.data() + first);
        }
      }
    }
    for (std::uint32_t left = lit; left != 0; left &= left - 1) {
      const size_t begin = static_cast<size_t>(std::countr_zero(left)) * block_pixels;
      for (size_t first = begin; first < begin + block_pixels; first += T::count) {
        const T half(static_cast<S>(0.5));
        const T factor = view.factor(layer, load_as<T>(tile.fast.data() + first) + half,
                                     load_as<T>(tile.slow.data() + first) + half)
                             .all;
        const T photons = factor * T::load(light.data() + first);
        Wide<T> wide;
        if constexpr (is_wide<T>)
          wide = photons;
        else
          wide = widen(photons);
        (Wide<T>::load(out.photons.data() + first) + wide).store(out.photons.data() + first);
      }
    }
  }
}

template <class S>
ClosedKernel kernel_of(const physics::SpotTerms& terms) {
  return physics::with_terms(terms, []<bool band, bool slice, bool second>() -> ClosedKernel {
    return render<S, band, slice, second>;
  });
}

}  // namespace

const ClosedKernelSet& closed_kernel_set() {
  static constexpr ClosedKernelSet set = {.single = kernel_of<float>, .wide = kernel_of<double>};
  return set;
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
