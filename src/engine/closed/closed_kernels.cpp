// The kernels of images in closed form.  Compiled once for each instruction set, like
// cpu/kernels.cpp.
#include "engine/closed/closed_kernels.hpp"

#include "engine/closed/closed_lanes.hpp"
#include "physics/detection.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

/// What the light of a panel's pixels is multiplied by, in the precision of a kernel.
template <class S>
class Factors {
 public:
  Factors(const Plan& plan, const PanelNumbers& panel)
      : plan_(plan),
        panel_(panel_in<S>(panel)),
        ray_(ray_in<S>(plan.light.rays.front())),
        fraction_(static_cast<S>(plan.light.polarization_fraction)) {}

  /// On one layer.
  template <class T>
  NABLA_INLINE T at(int layer, const T& x, const T& y) const {
    const auto at = seen_at(panel_, layer, plan_.oversample, x, y);
    T factor = solid_angle(panel_.frame, T(1) / at.distance,
                           panel_.sensor.layer_step * static_cast<S>(layer));
    if (plan_.rules.polarized)
      factor = factor * physics::kahn_polarization(dot(vec3_as<T>(ray_.incident), at.direction),
                                                   dot(at.direction, vec3_as<T>(ray_.magnetic)),
                                                   T(fraction_));
    if (panel_.sensor.absorbs())
      factor = factor * physics::capture_fraction(T(static_cast<S>(layer)),
                                                  T(panel_.sensor.layer_step),
                                                  T(panel_.sensor.absorption_per_m),
                                                  obliquity(panel_.frame, at.direction));
    return factor;
  }

 private:
  const Plan& plan_;
  const BasicPanelNumbers<S> panel_;
  const BasicPlanRay<S> ray_;
  const S fraction_;
};

template <class S, bool band, bool slice, bool second>
void render(const ClosedPlan& plan, std::span<const std::uint32_t> numbers, const Tile& tile,
            TileSums& out) {
  using T = ClosedLanes<S>;
  const Plan& p = *plan.plan;
  const PlanPanel& panel = p.panels[static_cast<size_t>(tile.panel)];
  const bool flat = panel.frame.curvature == Curvature::flat;
  const std::vector<ClosedSpot>& spots = plan.panels[static_cast<size_t>(tile.panel)];
  const auto pixels = static_cast<size_t>(tile.blocks) * block_pixels;
  std::fill_n(out.photons.begin(), pixels, 0.0);
  std::fill_n(out.solid_angle.begin(), pixels, 0.0);
  alignas(64) std::array<S, tile_pixels> light;
  LitPixels<S> some;
  const Factors<S> factors(p, panel);
  const UntilStopped until(tile.stopped);
  for (size_t i = 0; i < numbers.size() && until.goes_on();) {
    const int layer = spots[numbers[i]].layer;
    std::uint32_t lit = 0;
    for (; i < numbers.size() && spots[numbers[i]].layer == layer; ++i) {
      const ClosedSpot& spot = spots[numbers[i]];
      const SpotNumbers<S>& n = numbers_of<S>(spot);
      const std::uint32_t blocks = lit_blocks<band, slice, second>(plan, flat, spot, tile);
      for (std::uint32_t left = blocks & ~lit; left != 0; left &= left - 1)
        std::fill_n(light.begin() + std::countr_zero(left) * block_pixels, block_pixels, S(0));
      lit |= blocks;
      const auto light_at = [&](const T& x, const T& y) {
        T sum(0);
        const double step = 1.0 / spot.subpixels;
        for (int sub_slow = 0; sub_slow < spot.subpixels; ++sub_slow)
          for (int sub_fast = 0; sub_fast < spot.subpixels; ++sub_fast) {
            const T sub_x = x + T(static_cast<S>((sub_fast + 0.5) * step - 0.5)),
                    sub_y = y + T(static_cast<S>((sub_slow + 0.5) * step - 0.5));
            sum = sum + physics::spot_value<band, slice, second>(
                            n.spot, offset_at<T>(plan, flat, spot, n, sub_x, sub_y), plan.diverges,
                            spot.narrow);
          }
        return T(n.amplitude) * sum;
      };
      if (spot.subpixels > 1 && spot.bend <= 1) {
        // Pixels cost more than the choice of them.
        list_lit_pixels(spot, blocks, tile, some);
        const size_t count = some.count;
        if (count == 0) continue;
        const size_t rest = std::min(count + static_cast<size_t>(T::count), some.x.size());
        std::fill(some.x.begin() + count, some.x.begin() + rest, some.x[0]);
        std::fill(some.y.begin() + count, some.y.begin() + rest, some.y[0]);
        for (size_t first = 0; first < count; first += T::count) {
          alignas(64) std::array<S, T::count> each;
          light_at(T::load(some.x.data() + first), T::load(some.y.data() + first))
              .store(each.data());
          const size_t lanes = std::min(static_cast<size_t>(T::count), count - first);
          for (size_t j = 0; j < lanes; ++j) light[some.place[first + j]] += each[j];
        }
        continue;
      }
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
        const T factor = factors.at(layer, load_as<T>(tile.fast.data() + first) + half,
                                    load_as<T>(tile.slow.data() + first) + half);
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
  if (p.background.per_sr == 0) return;
  using W = Wide<ClosedLanes<float>>;
  for (size_t first = 0; first < pixels; first += W::count) {
    const W light_of = background_photons(p, static_cast<const PanelNumbers&>(panel),
                                          load_as<W>(tile.fast.data() + first),
                                          load_as<W>(tile.slow.data() + first));
    (W::load(out.photons.data() + first) + light_of).store(out.photons.data() + first);
  }
}

template <class S>
ClosedKernel kernel_of(const physics::SpotTerms& terms) {
  if (terms.slice) return terms.band ? render<S, true, true, true> : render<S, false, true, true>;
  if (terms.second)
    return terms.band ? render<S, true, false, true> : render<S, false, false, true>;
  return terms.band ? render<S, true, false, false> : render<S, false, false, false>;
}

}  // namespace

const ClosedKernelSet& closed_kernel_set() {
  static constexpr ClosedKernelSet set = {.single = kernel_of<float>, .wide = kernel_of<double>};
  return set;
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
