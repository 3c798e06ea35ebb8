// Sums in closed form on a GPU: a thread has a pixel and walks over the spots of its tile in their
// order.  What a pixel adds up follows from the pixel alone, so that it has the same bits in an
// image, in a piece of one and in a list.
#pragma once
#include "engine/cuda/plugin/image_kernels.hpp"

namespace nablabragg::engine::cuda {

/// Calls f(x, y) with each sub-pixel of a pixel, in pixels from the spot's anchor.
template <class Real, class F>
__device__ __forceinline__ void for_each_sub_pixel(const DeviceSpot<Real>& spot, Real fast,
                                                   Real slow, F&& f) {
  // Whole numbers, in single precision too
  const Real x = fast + (Real(0.5) - spot.anchor_fast), y = slow + (Real(0.5) - spot.anchor_slow);
  for (int sub_slow = 0; sub_slow < spot.subpixels_slow; ++sub_slow)
    for (int sub_fast = 0; sub_fast < spot.subpixels_fast; ++sub_fast)
      f(x + sub_offset<Real>(sub_fast, spot.subpixels_fast),
        y + sub_offset<Real>(sub_slow, spot.subpixels_slow));
}

/// A spot's light in a pixel, before the factors of the view.
template <bool curved, bool band, bool slice, bool second, class Real>
__device__ __forceinline__ Real light_of_spot(const ClosedView<Real>& view,
                                              const DeviceSpot<Real>& spot, Real fast, Real slow) {
  Real sum = 0;
  for_each_sub_pixel(spot, fast, slow, [&](Real x, Real y) {
    Vec3<Real> d;
    if constexpr (curved)
      d = curved_offset(spot.numbers, view.panel, spot.layer, view.oversample, view.ray.wavenumber,
                        x + spot.anchor_fast, y + spot.anchor_slow);
    else
      d = flat_point<false>(spot.numbers, x, y).offset(spot.numbers);
    sum += physics::spot_value<band, slice, second>(spot.numbers.spot, d, view.diverges,
                                                    spot.narrow);
  });
  return spot.numbers.amplitude * sum;
}

/// Where the light of spots goes that a gradient asks for: see ClosedGradientJob.
struct LightOutput {
  void* light = nullptr;  ///< null: it is an image
  const double* weights = nullptr;
  long long pixels = 0;
};

/// The body of the kernels.
template <bool curved, bool band, bool slice, bool second, class Real>
__device__ __forceinline__ void sum_spots(const ClosedView<Real>& view, const DeviceSpots<Real>& of,
                                          const DevicePixels& pixels, const TileOutput& out,
                                          const LightOutput& bare) {
  __shared__ double shared_sums[threads_of_block];
  const PixelOfThread pixel = pixel_of_thread<1>(pixels, view.panel.frame, 0);
  double seen = 0;
  if (pixel.place >= 0 && !(bare.light && bare.weights[pixel.place] == 0)) {
    const Real fast = static_cast<Real>(pixel.fast), slow = static_cast<Real>(pixel.slow);
    const int tile = pixel.slow / spots_tile_side * of.tiles_across + pixel.fast / spots_tile_side;
    const std::uint32_t *number = of.numbers + of.starts[tile], *const end = of.numbers +
                                                                             of.starts[tile + 1];
    double photons = 0;
    for (int layer = 0; layer < view.panel.sensor.layers; ++layer) {
      Real light = 0;
      for (; number != end && of.spots[*number].layer == layer; ++number) {
        const DeviceSpot<Real>& spot = of.spots[*number];
        if (spot.ellipse.may_light(fast, slow))
          light += light_of_spot<curved, band, slice, second>(view, spot, fast, slow);
      }
      if (bare.light) {
        static_cast<Real*>(bare.light)[layer * bare.pixels + pixel.place] = light;
        continue;
      }
      const FactorOnLayer<Real> factor = view.factor(layer, fast + Real(0.5), slow + Real(0.5));
      photons += static_cast<double>(factor.all * light);
      seen += view.oversample * view.oversample * static_cast<double>(factor.solid_angle);
    }
    if (out.parts)
      out.parts[pixel.place] = photons;
    else if (!bare.light)
      put(out.values, out.doubles, pixel.place, photons);
  }
  if (out.solid_angles) {
    const double of_block = sum_over_threads<threads_of_block>(seen, shared_sums);
    if (threadIdx.x == 0) out.solid_angles[blockIdx.x] = of_block;
  }
}

template <class Real, bool curved, bool band, bool slice, bool second>
__global__ void __launch_bounds__(threads_of_block, sizeof(Real) == sizeof(float) ? 2 : 1)
    render_spots(const __grid_constant__ DeviceSpots<Real> of,
                 const __grid_constant__ DevicePixels pixels, const TileOutput out,
                 const LightOutput bare) {
  if constexpr (curved) {
    sum_spots<curved, band, slice, second>(of.view, of, pixels, out, bare);
  } else {
    // What bends a panel would be called, out of line, wherever this is not known.
    ClosedView<Real> flat = of.view;
    flat.panel.frame.curvature = Curvature::flat;
    sum_spots<curved, band, slice, second>(flat, of, pixels, out, bare);
  }
}

/// Calls work.operator()<curved, band, slice, second>(spots) for those that a panel has.
template <class Work>
void with_spots(const DeviceClosed& closed, Work&& work) {
  physics::with_terms(closed.terms, [&]<bool band, bool slice, bool second>() {
    if (closed.single)
      work.template operator()<false, band, slice, second>(*closed.single);
    else if (closed.wide->view.panel.frame.curvature == Curvature::flat)
      work.template operator()<false, band, slice, second>(*closed.wide);
    else
      work.template operator()<true, band, slice, second>(*closed.wide);
  });
}

}  // namespace nablabragg::engine::cuda
