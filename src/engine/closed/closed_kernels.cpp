// The kernels of images in closed form.  Compiled once for each instruction set, like
// cpu/kernels.cpp.
#include "engine/closed/closed_kernels.hpp"

#include "engine/closed/closed_lanes.hpp"
#include "physics/detection.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

/// What a pixel's light on one layer is multiplied by.
template <class T>
NABLA_INLINE T factors_at(const Plan& plan, const PanelNumbers& panel, int layer, const T& x,
                          const T& y) {
  const auto at = seen_at(panel, layer, plan.oversample, x, y);
  T factor = solid_angle(panel.frame, T(1) / at.distance, panel.sensor.layer_step * layer);
  if (plan.rules.polarized) {
    const PlanRay& ray = plan.light.rays.front();
    factor = factor *
             physics::kahn_polarization(dot(vec3_as<T>(ray.incident), at.direction),
                                        dot(at.direction, vec3_as<T>(ray.magnetic)),
                                        physics::number<T>(plan.light.polarization_fraction));
  }
  if (panel.sensor.absorbs())
    factor = factor * physics::capture_fraction(physics::number<T>(double(layer)),
                                                physics::number<T>(panel.sensor.layer_step),
                                                physics::number<T>(panel.sensor.absorption_per_m),
                                                obliquity(panel.frame, at.direction));
  return factor;
}

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
      const T to_fast(static_cast<S>(0.5 - spot.anchor_fast)),
          to_slow(static_cast<S>(0.5 - spot.anchor_slow)), amplitude(n.amplitude);
      for (std::uint32_t left = blocks; left != 0; left &= left - 1) {
        const size_t begin = static_cast<size_t>(std::countr_zero(left)) * block_pixels;
        for (size_t first = begin; first < begin + block_pixels; first += T::count) {
          const T x = load_as<T>(tile.fast.data() + first) + to_fast,
                  y = load_as<T>(tile.slow.data() + first) + to_slow;
          T sum(0);
          const double step = 1.0 / spot.subpixels;
          for (int sub_slow = 0; sub_slow < spot.subpixels; ++sub_slow)
            for (int sub_fast = 0; sub_fast < spot.subpixels; ++sub_fast) {
              const T sub_x = x + T(static_cast<S>((sub_fast + 0.5) * step - 0.5)),
                      sub_y = y + T(static_cast<S>((sub_slow + 0.5) * step - 0.5));
              sum = sum + physics::spot_value<band, slice, second>(
                              n.spot, offset_at<T>(plan, flat, spot, n, sub_x, sub_y),
                              plan.diverges, spot.narrow);
            }
          (T::load(light.data() + first) + amplitude * sum).store(light.data() + first);
        }
      }
    }
    for (std::uint32_t left = lit; left != 0; left &= left - 1) {
      const size_t begin = static_cast<size_t>(std::countr_zero(left)) * block_pixels;
      for (size_t first = begin; first < begin + block_pixels; first += T::count) {
        const T half(static_cast<S>(0.5));
        const T factor = factors_at(p, panel, layer, load_as<T>(tile.fast.data() + first) + half,
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
