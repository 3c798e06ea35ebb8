// Gaussian spots under many wavelengths of one direction: a pair is a band of wavelengths and an
// orientation.  A pixel's index moves along a straight line through the band and comes near to one
// lattice point at most, so that one interval of wavelengths lights it.
#pragma once
#include "engine/cuda/plugin/image_kernels.hpp"

namespace nablabragg::engine::cuda {

/// A lattice point, and the way from there to an index.
struct FromLatticePoint {
  int h, k, l;
  Vec3d d;
};

template <Lookup lookup, Method method>
struct BandTerms : Kind<physics::Gauss, method> {
  static_assert(lookup != Lookup::tricubic && method != Method::float64);
  using Real = float;
  using Sum = double;
  static constexpr bool interpolates = false, fixed_point = method == Method::fixed_point;

  static __device__ __forceinline__ const Beam& beam(const DevicePlan& p, int number) {
    return p.beams[number];
  }
  /// Weights are those of the rays.
  static __device__ __forceinline__ float factor(const DevicePlan& p, const Vec3d& direction,
                                                 int number) {
    if (!p.view.rules.each_polarization()) return 1;
    const auto first_ray = static_cast<std::size_t>(beam(p, number).ray);
    return polarization_of<float>(p.view, direction, p.view.light.rays[first_ray]);
  }

  static __device__ __forceinline__ FromLatticePoint nearest(const Vec3d& index) {
    if constexpr (fixed_point) {
      const FixedPoint h = fixed_point_of(index.x), k = fixed_point_of(index.y),
                       l = fixed_point_of(index.z);
      return {h.lattice_point,
              k.lattice_point,
              l.lattice_point,
              {-0x1p-32 * h.distance, -0x1p-32 * k.distance, -0x1p-32 * l.distance}};
    } else {
      const Vec3d at{physics::round_half_down(index.x), physics::round_half_down(index.y),
                     physics::round_half_down(index.z)};
      return {static_cast<int>(at.x), static_cast<int>(at.y), static_cast<int>(at.z), index - at};
    }
  }

  static __device__ __forceinline__ void add(const DevicePlan& p, int number, const Vec3d& index,
                                             bool, float factor, double& sum) {
    const FromLatticePoint from = nearest(index);
    // Most pixels stay dark, which single precision can tell.
    const Vec3<float> near = vec3_as<float>(from.d);
    const Vec3<float> there{static_cast<float>(from.h) + near.x,
                            static_cast<float>(from.k) + near.y,
                            static_cast<float>(from.l) + near.z};
    constexpr float doubt = 1.01f;
    if (physics::closest_approach(p.block.metric, near, there).radius2 >= doubt * p.dark_radius2)
      return;

    // Exponents are small differences of large numbers.
    const Vec3d h{from.h + from.d.x, from.k + from.d.y, from.l + from.d.z};
    const auto approach = physics::closest_approach(p.wide_block.metric, from.d, h);
    const Beam& band = beam(p, number);
    const auto at = static_cast<float>(approach.at),
               rest_of_at = static_cast<float>(approach.at - static_cast<double>(at)),
               least = static_cast<float>(approach.radius2),
               curvature = static_cast<float>(approach.curvature);
    const LitPart<float> part = lit_part(band, at, least, curvature, p.dark_radius2);
    if (!part.lit) return;
    const float F = lookup == Lookup::nearest ? nearest_F(p, from.h, from.k, from.l) : 1;
    if (F == 0) return;

    const int begin = p.band_bins[band.first_bin + bin_at(place_in_bins(band, part.low))].begin,
              end = p.band_bins[band.first_bin + bin_at(place_in_bins(band, part.high))].end;
    const float doublings = -p.halvings_per_radius2, of_least = doublings * least,
                of_change = doublings * curvature;
    for (int first = begin; first < end; first += terms_in_single) {
      const int last = min(first + terms_in_single, end);
      float rays = 0;
      // Four at once spill registers.
      NABLA_UNROLL_BY_2
      for (int j = first; j < last; ++j) {
        const BandRay ray = p.band_rays[j];
        const float off = (ray.change - at) + (ray.rest - rest_of_at);
        const float latt = p.band_cells * power_of_two(of_least + of_change * off * off);
        rays += ray.weight * latt * latt;
      }
      sum += static_cast<double>((F * F) * factor * rays);
    }
  }
};

template <Lookup lookup, Method method>
__global__ void __launch_bounds__(threads_of_block, blocks_of_processor)
    render_bands(const __grid_constant__ DevicePlan p, const __grid_constant__ DevicePixels pixels,
                 const __grid_constant__ DeviceCutoff cutoff, const TileOutput out) {
  sum_tile<BandTerms<lookup, method>>(p, pixels, cutoff, out);
}

}  // namespace nablabragg::engine::cuda
