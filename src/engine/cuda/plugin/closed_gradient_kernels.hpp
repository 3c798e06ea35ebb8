// The derivatives in closed form on a GPU.  In reverse light goes the other way round: first the
// light of each pixel, then what panel and light are of it, then what each spot is.  A warp goes
// back from the lit pixels of a part of a spot, whose sums the host adds up in the order of the
// parts.  Forwards a thread has a pixel and walks over the spots of its tile, as in an image.
#pragma once
#include "engine/closed/closed_adjoints.hpp"
#include "engine/cuda/closed_gradient_job.hpp"
#include "engine/cuda/plugin/closed_kernels.hpp"
#include "engine/cuda/plugin/gradient_kernels.hpp"

namespace nablabragg::engine::cuda {

/// The same panel.  What bends one would be called, out of line, wherever it is not known to be
/// flat.
template <bool curved, class Panel>
__device__ __forceinline__ Panel known_panel(const Panel& panel) {
  Panel known = panel;
  if constexpr (!curved) known.frame.curvature = Curvature::flat;
  return known;
}

/// Puts the sums of n values over a warp behind each other.
template <int n, class Real>
__device__ __forceinline__ void put_over_warp(Real* values, double* to) {
  constexpr int some = n < 32 ? n : 32;
  Holding holding;
  holding.real = some;
  fold<some, 16>(values, holding);
  if (holding.is_one()) to[holding.number] = static_cast<double>(values[0]);
  if constexpr (n > 32) put_over_warp<n - 32>(values + 32, to + 32);
}

__device__ __forceinline__ long long count_of(const DevicePixels& pixels) {
  return pixels.list ? pixels.listed : static_cast<long long>(pixels.columns) * pixels.rows;
}

__device__ __forceinline__ double* slopes_of(const ClosedGradientJob& job,
                                             const PixelOfThread& pixel) {
  return job.slopes + static_cast<long long>(pixel.place) * job.tangent_count;
}

/// Adds what adjoints of a pixel come to along each tangent; they are complete.
template <class Real>
__device__ __forceinline__ void add_along_tangents(const ClosedGradientJob& job,
                                                   const ViewAdjoints<Real>& adjoints,
                                                   double* slopes) {
  for (int t = 0; t < job.tangent_count; ++t) {
    const DeviceTangent& tangent = job.tangents[t];
    double change = 0;
    const auto along = [&](const Real& adjoint, const double& slope) {
      if (slope != 0) change += slope * static_cast<double>(adjoint);
    };
    for_each_number_of_panel(along, adjoints.numbers.panel, tangent.numbers.panel);
    for_each_number_of_light(along, adjoints.numbers.light, tangent.numbers.light);
    for_each_number_of_ray(along, adjoints.ray, tangent.first_ray);
    along(adjoints.numbers.background.per_sr, tangent.numbers.background.per_sr);
    slopes[t] += change;
  }
}

// ---- Factors ------------------------------------------------------------------------------------

template <class Real, bool curved, bool forwards>
__global__ void __launch_bounds__(gradient_threads, 2)
    pull_back_view(const __grid_constant__ DevicePlan p,
                   const __grid_constant__ ClosedView<Real> seen,
                   const __grid_constant__ ClosedGradientJob job) {
  ClosedView<Real> view = seen;
  view.panel = known_panel<curved>(seen.panel);
  const PanelNumbers panel = known_panel<curved>(p.view.panel);
  Real* const light = static_cast<Real*>(job.light);
  const long long pixels = count_of(job.pixels);
  ViewAdjoints<double> room;
  ViewAdjoints<double>& total = *in_memory(&room);
  double value = 0;
  if constexpr (!forwards) total.clear();

  const int tiles = gradient_tiles(job.pixels);
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += static_cast<int>(gridDim.x)) {
    const PixelOfThread pixel = pixel_of_tile(job.pixels, p.view.panel.frame, tile);
    if (pixel.place < 0) continue;
    const double weight = forwards ? 1 : job.weights[pixel.place];
    if (weight == 0) {
      for (int layer = 0; layer < panel.sensor.layers; ++layer)
        light[layer * pixels + pixel.place] = 0;
      continue;
    }
    const Real x = static_cast<Real>(pixel.fast) + Real(0.5),
               y = static_cast<Real>(pixel.slow) + Real(0.5), w = static_cast<Real>(weight);
    ViewAdjoints<Real> adjoints;
    adjoints.clear();
    Real photons = 0;
    for (int layer = 0; layer < panel.sensor.layers; ++layer) {
      Real& here = light[layer * pixels + pixel.place];
      const LayerFactors<Real> factors = layer_factors(view, panel, p.view.light, layer, x, y);
      photons += factors.all * here;
      pull_back_factors(view, panel, p.view.light, factors, w * here, adjoints);
      if constexpr (!forwards) here = w * factors.all;
    }
    if (p.view.background.per_sr != 0)
      photons += pull_back_background(p.view, view, panel, x, y, w, adjoints);
    if constexpr (forwards) {
      job.photons[pixel.place] = static_cast<double>(photons);
      complete_frame(panel.frame, adjoints.numbers.panel.frame);
      add_along_tangents(job, adjoints, slopes_of(job, pixel));
    } else {
      value += weight * static_cast<double>(photons);
      for_each_number_of_view([](double& to, const Real& more) { to += static_cast<double>(more); },
                              total, adjoints);
    }
  }
  if constexpr (!forwards) {
    __shared__ double shared_sums[gradient_threads];
    double* to = job.of_blocks + static_cast<long long>(blockIdx.x) * sums_of_view;
    const auto finish = [&](double mine) {
      const double sum = sum_over_threads<gradient_threads>(mine, shared_sums);
      if (threadIdx.x == 0) *to = sum;
      ++to;
      __syncthreads();
    };
    for_each_number_of_view([&](const double& mine) { finish(mine); }, total);
    finish(value);
  }
}

// ---- Spots --------------------------------------------------------------------------------------

/// Calls f with each of a spot's sums, those of the divergence whether there is one or not.
template <bool curved, bool band, bool slice, bool second, class F, class Sums>
__device__ __forceinline__ void for_each_sum(F&& f, Sums& sums) {
  for_each_sum_of_spot<band, slice, second>(f, true, !curved, sums);
}

/// Those that the points of a flat panel have no room for.
struct NoAdjoints {};
template <bool curved, class Real>
using AdjointsOfCurved = std::conditional_t<curved, ViewAdjoints<Real>, NoAdjoints>;

/// The room, all zero.
template <bool curved, class Adjoints>
__device__ __forceinline__ Adjoints& room_of_curved(Adjoints& room) {
  if constexpr (curved) {
    Adjoints& kept = *in_memory(&room);
    kept.clear();
    return kept;
  } else {
    return room;
  }
}

/// Back from a point, x and y pixels from the spot's anchor; the spot's value there.  `scaled`:
/// what that is multiplied by.  `panel`: of a curved one, its adjoints.
template <bool curved, bool band, bool slice, bool second, class Real>
__device__ __forceinline__ Real pull_back_point(const ClosedView<Real>& view,
                                                const DeviceSpot<Real>& spot, Real x, Real y,
                                                Real scaled, SpotSums<Real>& sums,
                                                AdjointsOfCurved<curved, Real>& panel) {
  const SpotNumbers<Real>& n = spot.numbers;
  if constexpr (curved) {
    const Real from_edge_x = x + spot.anchor_fast, from_edge_y = y + spot.anchor_slow;
    const Vec3<Real> offset = curved_offset(n, view.panel, spot.layer, view.oversample,
                                            view.ray.wavenumber, from_edge_x, from_edge_y);
    const auto pulled = pull_back_light<band, slice, second>(n.spot, offset, scaled, view.diverges,
                                                             spot.narrow, sums);
    pull_back_curved_point(
        view.panel,
        sensor_spot(seen_at(view.panel, spot.layer, view.oversample, from_edge_x, from_edge_y)),
        view.ray.wavenumber, pulled.d, panel);
    return pulled.value;
  } else {
    const FlatPoint<Real> point = flat_point<false>(n, x, y);
    const auto pulled = pull_back_light<band, slice, second>(n.spot, point.offset(n), scaled,
                                                             view.diverges, spot.narrow, sums);
    pull_back_flat_point(n, point, x, y, pulled.d, sums);
    return pulled.value;
  }
}

/// A sub-pixel of listed pixels, counted sub-pixels first: steps of a fixed number of them need no
/// division.
struct ListedPoint {
  int pixel, sub_slow, sub_fast;

  __device__ __forceinline__ ListedPoint(int number, int subpixels_fast, int subpixels_slow) {
    const int rows = number / subpixels_fast;
    sub_fast = number - rows * subpixels_fast;
    pixel = rows / subpixels_slow;
    sub_slow = rows - pixel * subpixels_slow;
  }
  __device__ __forceinline__ void add(const ListedPoint& step, int subpixels_fast,
                                      int subpixels_slow) {
    sub_fast += step.sub_fast;
    sub_slow += step.sub_slow;
    pixel += step.pixel;
    if (sub_fast >= subpixels_fast) sub_fast -= subpixels_fast, ++sub_slow;
    if (sub_slow >= subpixels_slow) sub_slow -= subpixels_slow, ++pixel;
  }
};

constexpr int spot_warps = 4, spot_threads = 32 * spot_warps;  ///< a warp has a part of a spot

template <class Real, bool curved, bool band, bool slice, bool second>
__global__ void __launch_bounds__(spot_threads, 2)
    pull_back_spots(const __grid_constant__ DeviceSpots<Real> of,
                    const __grid_constant__ ClosedGradientJob job) {
  __shared__ ListedPixel lists[spot_warps][64];
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5,
            number = static_cast<int>(blockIdx.x) * spot_warps + warp;
  if (number >= job.part_count) return;
  ListedPixel* const listed = lists[warp];
  const SpotPart part = job.parts[number];
  const DeviceSpot<Real>& spot = of.spots[part.spot];
  const Real* const factors = static_cast<const Real*>(job.light) +
                              spot.layer * count_of(job.pixels);
  const auto factor_of = [&](const ListedPixel& pixel) {
    return factors[static_cast<long long>(pixel.slow - job.pixels.slow_min) * job.pixels.columns +
                   (pixel.fast - job.pixels.fast_min)];
  };

  SpotSums<Real> sums;
  for_each_sum<curved, band, slice, second>([](Real& x) { x = 0; }, sums);
  AdjointsOfCurved<curved, Real> room;
  AdjointsOfCurved<curved, Real>& panel = room_of_curved<curved>(room);
  const ListedPoint begin(lane, spot.subpixels_fast, spot.subpixels_slow),
      step(32, spot.subpixels_fast, spot.subpixels_slow);
  int next = part.first, count = 0;
  while (true) {
    // Pixels that the spot lights in a row of their own
    for (; count < 32 && next < part.end; next += 32) {
      const int i = next + lane, row = i / part.columns;
      const ListedPixel pixel{part.fast_min + (i - row * part.columns), part.slow_min + row};
      const bool lit = i < part.end && factor_of(pixel) != 0 &&
                       spot.ellipse.may_light(static_cast<Real>(pixel.fast),
                                              static_cast<Real>(pixel.slow));
      const unsigned all = __ballot_sync(~0u, lit);
      if (lit) listed[count + __popc(all & ((1u << lane) - 1))] = pixel;
      count += __popc(all);
    }
    __syncwarp();
    if (count == 0) break;
    // Their sub-pixels side by side: a spot that is smaller than its pixels lights few of them.
    ListedPoint point = begin;
    for (const int pixels = min(count, 32); point.pixel < pixels;
         point.add(step, spot.subpixels_fast, spot.subpixels_slow)) {
      const ListedPixel pixel = listed[point.pixel];
      const Real x = static_cast<Real>(pixel.fast) + (Real(0.5) - spot.anchor_fast) +
                     sub_offset<Real>(point.sub_fast, spot.subpixels_fast),
                 y = static_cast<Real>(pixel.slow) + (Real(0.5) - spot.anchor_slow) +
                     sub_offset<Real>(point.sub_slow, spot.subpixels_slow);
      pull_back_point<curved, band, slice, second>(
          of.view, spot, x, y, factor_of(pixel) * spot.numbers.amplitude, sums, panel);
    }
    count = max(count - 32, 0);
    const ListedPixel later = lane < count ? listed[32 + lane] : ListedPixel{0, 0};
    __syncwarp();
    if (lane < count) listed[lane] = later;
  }

  constexpr int all = sums_of_spot({band, slice, second}, curved),
                own = all - (curved ? sums_of_curved_panel : 0);
  double* const to = job.of_parts + static_cast<long long>(number) * all;
  Real values[own];
  int place = 0;
  for_each_sum<curved, band, slice, second>([&](const Real& x) { values[place++] = x; }, sums);
  put_over_warp<own>(values, to);
  if constexpr (curved) {
    Real of_panel[sums_of_curved_panel];
    place = 0;
    for_each_number_of_panel([&](const Real& x) { of_panel[place++] = x; }, panel.numbers.panel);
    of_panel[place] = panel.ray.wavenumber;
    put_over_warp<sums_of_curved_panel>(of_panel, to + own);
  }
}

// ---- Forwards -----------------------------------------------------------------------------------

template <class Real, bool curved, bool band, bool slice, bool second>
__global__ void __launch_bounds__(gradient_threads, 2)
    push_forward_spots(const __grid_constant__ DeviceSpots<Real> of,
                       const __grid_constant__ ClosedGradientJob job) {
  const PixelOfThread pixel = pixel_of_tile(job.pixels, of.view.panel.frame,
                                            static_cast<int>(blockIdx.x));
  if (pixel.place < 0) return;
  ClosedView<Real> view = of.view;
  view.panel = known_panel<curved>(of.view.panel);
  constexpr int columns = sums_of_spot({band, slice, second}, false) - (curved ? 10 : 0);
  const long long pixels = count_of(job.pixels);
  const Real* const tangents = static_cast<const Real*>(job.spot_tangents);
  const Real fast = static_cast<Real>(pixel.fast), slow = static_cast<Real>(pixel.slow);
  const int tile = pixel.slow / spots_tile_side * of.tiles_across + pixel.fast / spots_tile_side;
  const std::uint32_t *number = of.numbers + of.starts[tile], *const end = of.numbers +
                                                                           of.starts[tile + 1];
  AdjointsOfCurved<curved, Real> room;
  AdjointsOfCurved<curved, Real>& panel = room_of_curved<curved>(room);
  double changes[most_tangents] = {};
  for (int layer = 0; layer < view.panel.sensor.layers; ++layer) {
    const Real factor = view.factor(layer, fast + Real(0.5), slow + Real(0.5)).all;
    Real light = 0;
    for (; number != end && of.spots[*number].layer == layer; ++number) {
      const DeviceSpot<Real>& spot = of.spots[*number];
      if (!spot.ellipse.may_light(fast, slow)) continue;
      SpotSums<Real> sums;
      for_each_sum<curved, band, slice, second>([](Real& x) { x = 0; }, sums);
      const Real scaled = factor * spot.numbers.amplitude;
      Real value = 0;
      for_each_sub_pixel(spot, fast, slow, [&](Real x, Real y) {
        value += pull_back_point<curved, band, slice, second>(view, spot, x, y, scaled, sums,
                                                              panel);
      });
      light += spot.numbers.amplitude * value;
      for (int t = 0; t < most_tangents; ++t) {
        if (t >= job.tangent_count) break;
        const Real* change = tangents +
                             (static_cast<long long>(t) * job.spot_count + *number) * columns;
        Real slope = 0;
        for_each_sum<curved, band, slice, second>([&](const Real& x) { slope += x * *change++; },
                                                  sums);
        changes[t] += static_cast<double>(slope);
      }
    }
    static_cast<Real*>(job.light)[layer * pixels + pixel.place] = light;
  }
  double* const slopes = slopes_of(job, pixel);
  for (int t = 0; t < most_tangents; ++t)
    if (t < job.tangent_count) slopes[t] += changes[t];
  if constexpr (curved) {
    complete_frame(view.panel.frame, panel.numbers.panel.frame);
    add_along_tangents(job, panel, slopes);
  }
}

}  // namespace nablabragg::engine::cuda
