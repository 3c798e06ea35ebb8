// The kernels of images in closed form.  Compiled once for each instruction set, like
// cpu/kernels.cpp.
#include "engine/closed/closed_kernels.hpp"

#include "engine/closed/closed_lanes.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

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
      if (SubPixels<S>::fit(spot)) {
        list_lit_pixels(spot, blocks, tile, some);
        points.begin(spot);
        const bool near = is_near<S>(spot);
        const auto value_at = [&](const P& x, const P& y) {
          return physics::spot_value<band, slice, second>(
              n.spot, offset_at<P>(plan, flat, near, spot, n, x, y), plan.diverges, spot.narrow);
        };
        for (size_t first = 0; first < some.count; first += points.at_once()) {
          const size_t listed = std::min(points.at_once(), some.count - first),
                       filled = points.place(some, first, listed);
          for (size_t j = 0; j < filled; j += P::count)
            value_at(P::load(points.x.data() + j), P::load(points.y.data() + j))
                .store(points.x.data() + j);
          for (size_t j = 0; j < listed; ++j)
            light[static_cast<size_t>(some.place[first + j])] += n.amplitude *
                                                                 points.sum(points.x.data(), j);
        }
        continue;
      }
      const int subs_fast = spot.subpixels_fast, subs_slow = spot.subpixels_slow;
      const auto value_at = [&](const T& x, const T& y) {
        return physics::spot_value<band, slice, second>(
            n.spot, offset_at<T>(plan, flat, false, spot, n, x, y), plan.diverges, spot.narrow);
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
  static constexpr ClosedKernelSet set = {
      .single = kernel_of<float>, .wide = kernel_of<double>, .find_spots = find_spots};
  return set;
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
