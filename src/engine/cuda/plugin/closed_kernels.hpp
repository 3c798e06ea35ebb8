// Sums in closed form on a GPU: a thread has a pixel and walks over the spots of its tile in their
// order.  What a pixel adds up follows from the pixel alone, so that it has the same bits in an
// image, in a piece of one and in a list.
#pragma once
#include "engine/cuda/plugin/image_kernels.hpp"

namespace nablabragg::engine::cuda {

/// A spot's light in a pixel, before the factors of the view.
template <bool curved, bool band, bool slice, bool second, class Real>
__device__ __forceinline__ Real light_of_spot(const ClosedView<Real>& view,
                                              const DeviceSpot<Real>& spot, Real fast, Real slow) {
  // Whole numbers, in single precision too
  const Real x = fast + (Real(0.5) - spot.anchor_fast), y = slow + (Real(0.5) - spot.anchor_slow);
  Real sum = 0;
  for (int sub_slow = 0; sub_slow < spot.subpixels_slow; ++sub_slow)
    for (int sub_fast = 0; sub_fast < spot.subpixels_fast; ++sub_fast) {
      const Real sub_x = x + sub_offset<Real>(sub_fast, spot.subpixels_fast),
                 sub_y = y + sub_offset<Real>(sub_slow, spot.subpixels_slow);
      Vec3<Real> d;
      if constexpr (curved)
        d = curved_offset(spot.numbers, view.panel, spot.layer, view.oversample,
                          view.ray.wavenumber, sub_x + spot.anchor_fast, sub_y + spot.anchor_slow);
      else
        d = flat_point<false>(spot.numbers, sub_x, sub_y).offset(spot.numbers);
      sum += physics::spot_value<band, slice, second>(spot.numbers.spot, d, view.diverges,
                                                      spot.narrow);
    }
  return spot.numbers.amplitude * sum;
}

/// The body of the kernels.
template <bool curved, bool band, bool slice, bool second, class Real>
__device__ __forceinline__ void sum_spots(const ClosedView<Real>& view, const DeviceSpots<Real>& of,
                                          const DevicePixels& pixels, const TileOutput& out) {
  __shared__ double shared_sums[threads_of_block];
  const PixelOfThread pixel = pixel_of_thread<1>(pixels, view.panel.frame, 0);
  double seen = 0;
  if (pixel.place >= 0) {
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
      const FactorOnLayer<Real> factor = view.factor(layer, fast + Real(0.5), slow + Real(0.5));
      photons += static_cast<double>(factor.all * light);
      seen += view.oversample * view.oversample * static_cast<double>(factor.solid_angle);
    }
    if (out.parts)
      out.parts[pixel.place] = photons;
    else
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
                 const __grid_constant__ DevicePixels pixels, const TileOutput out) {
  if constexpr (curved) {
    sum_spots<curved, band, slice, second>(of.view, of, pixels, out);
  } else {
    // What bends a panel would be called, out of line, wherever this is not known.
    ClosedView<Real> flat = of.view;
    flat.panel.frame.curvature = Curvature::flat;
    sum_spots<curved, band, slice, second>(flat, of, pixels, out);
  }
}

}  // namespace nablabragg::engine::cuda
