// The image kernels of the cuda engine.  A warp has a patch of neighbouring pixels, which ask for
// the same structure factors and light up together; a thread has P pixels, so that what it reads of
// a pair (a ray and an orientation) serves all of them.
#pragma once
#include "engine/cuda/plugin/language.hpp"
#include "engine/pixel_sum.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::engine::cuda {

constexpr int warps = 8, threads_of_block = 32 * warps;
constexpr int chunk_of_pairs = 64;   ///< of whose indices a block keeps the way to compute them
constexpr int terms_in_single = 32;  ///< that are added up before a double takes the sum

// ---- Pixels -------------------------------------------------------------------------------------

/// The patch of a warp is 8 pixels wide and 4 P high, that of a block 16 and 16 P.
template <int P>
struct PatchSize {
  static constexpr int width = 16, height = (warps / 2) * 4 * P;
};

template <int P>
int blocks_of(const DevicePixels& pixels) {
  if (pixels.list) {
    constexpr int most = threads_of_block * P;
    return (pixels.listed + most - 1) / most;
  }
  const auto patches = [](int count, int size) { return (count + size - 1) / size; };
  return patches(pixels.columns, PatchSize<P>::width) * patches(pixels.rows, PatchSize<P>::height);
}

/// A pixel of a thread; `place` is where its value goes, negative where it has none.
struct PixelOfThread {
  int fast, slow, place;
};

template <class Real>
__device__ __forceinline__ PixelOfThread pixel_of_rectangle(const DevicePixels& pixels,
                                                            const BasicPlanFrame<Real>& frame,
                                                            int column, int row) {
  PixelOfThread pixel{pixels.fast_min + column, pixels.slow_min + row, -1};
  if (column >= pixels.columns || row >= pixels.rows) return pixel;
  const auto in_panel = static_cast<long long>(pixel.slow) * frame.fast_pixels + pixel.fast;
  if (pixels.keep && pixels.keep[in_panel] == 0) return pixel;
  pixel.place = row * pixels.columns + column;
  return pixel;
}

template <int P, class Real>
__device__ __forceinline__ PixelOfThread pixel_of_thread(const DevicePixels& pixels,
                                                         const BasicPlanFrame<Real>& frame,
                                                         int which) {
  const int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  if (pixels.list) {
    const int i = (block * P + which) * threads_of_block + thread;
    if (i >= pixels.listed) return {pixels.list[0].fast, pixels.list[0].slow, -1};
    return {pixels.list[i].fast, pixels.list[i].slow, i};
  }
  using Patch = PatchSize<P>;
  const int lane = thread & 31, warp = thread >> 5;
  const int across = (pixels.columns + Patch::width - 1) / Patch::width;
  return pixel_of_rectangle(
      pixels, frame, block % across * Patch::width + (warp & 1) * 8 + (lane & 7),
      block / across * Patch::height + (warp >> 1) * 4 * P + 4 * which + (lane >> 3));
}

// ---- Steps --------------------------------------------------------------------------------------

/// Of a kernel.  In fixed point: as the accumulator of an index starts at 1.5 x 2^20 + 1/2, whose
/// last bit is 2^-32, the low word of the sum is the fraction of the index in 32 bits, and its high
/// word less a constant is the nearest lattice point, ties down where the operator is negated: no
/// rounding, no conversion.
template <class Shape, Method method>
struct Kind {
  static constexpr bool fixed_point = method == Method::fixed_point;
  using Real = std::conditional_t<method == Method::float64, double, float>;
  /// With two, what tells a dark spot from a faint one would not fit into registers.
  static constexpr int pixels = fixed_point && !Shape::width_in_metric ? 2 : 1;
};
constexpr int blocks_of_processor = 2;

constexpr double fixed_point_start = 1572864.5;
constexpr int high_word_of_start = 0x41380000;

struct FixedPoint {
  int lattice_point;
  int distance;  ///< in units of 2^-32, never zero
};

/// `sum`: start - index, as the accumulator has it.
__device__ __forceinline__ FixedPoint fixed_point_of(double sum) {
  return {high_word_of_start - __double2hiint(sum),
          (__double2loint(sum) ^ static_cast<int>(0x80000000u)) | 1};
}

/// u sin(pi v/u), u = 2^32: in a quotient of sines the unit cancels.
__device__ __forceinline__ float sine_of_fixed_point(float v) {
  return physics::sin_pi_over_x_of((v * 0x1p-64f) * v) * v;
}

struct ToSingle {
  __device__ __forceinline__ float operator()(double x) const { return static_cast<float>(x); }
};

/// F_latt^2 of a shape in single precision; zero where the spot is dark.
template <class Shape>
__device__ __forceinline__ float intensity_of(const DevicePlan& p, const FixedPoint& h,
                                              const FixedPoint& k, const FixedPoint& l) {
  if constexpr (std::is_same_v<Shape, physics::Square>) {
    const auto turns = [&](int distance, int whole, double cells) {
      // Whole numbers of cells turn exactly, whatever wraps around.
      if (p.cells_are_whole)
        return static_cast<float>(
            static_cast<int>(static_cast<unsigned>(distance) * static_cast<unsigned>(whole)));
      const double all = static_cast<double>(distance) * cells;
      return static_cast<float>(all - 0x1p32 * physics::round_even(0x1p-32 * all));
    };
    const Vec3d& cells = p.wide_block.cells;
    const float above = sine_of_fixed_point(turns(h.distance, p.whole_cells[0], cells.x)) *
                        sine_of_fixed_point(turns(k.distance, p.whole_cells[1], cells.y)) *
                        sine_of_fixed_point(turns(l.distance, p.whole_cells[2], cells.z));
    const float below = sine_of_fixed_point(static_cast<float>(h.distance)) *
                        sine_of_fixed_point(static_cast<float>(k.distance)) *
                        sine_of_fixed_point(static_cast<float>(l.distance));
    const float latt = above * reciprocal(below);
    return latt * latt;
  } else {
    const Vec3<float> d{0x1p-32f * static_cast<float>(h.distance),
                        0x1p-32f * static_cast<float>(k.distance),
                        0x1p-32f * static_cast<float>(l.distance)};
    if constexpr (!Shape::width_in_metric) {
      const float latt = Shape::factor(p.block, d);
      return latt * latt;
    } else {
      // Whether it is dark single precision can tell; how faint, it cannot.
      if (!(physics::spot_radius2(p.block.metric, d) < p.dark_radius2)) return 0;
      const Vec3d wide{0x1p-32 * h.distance, 0x1p-32 * k.distance, 0x1p-32 * l.distance};
      const auto& metric = p.wide_block.metric;
      const float latt = Shape::factor_at(static_cast<float>(physics::spot_radius2(metric, wide)),
                                          physics::cell_count<float>(p.block), p.block.fudge);
      return latt * latt;
    }
  }
}

__device__ __forceinline__ float nearest_F(const DevicePlan& p, int h, int k, int l) {
  const int i = h - p.minimum[0], j = k - p.minimum[1], m = l - p.minimum[2];
  const bool inside = (static_cast<unsigned>(i) < static_cast<unsigned>(p.extent[0])) &
                      (static_cast<unsigned>(j) < static_cast<unsigned>(p.extent[1])) &
                      (static_cast<unsigned>(m) < static_cast<unsigned>(p.extent[2]));
  return inside ? __ldg(p.F + (i * p.extent[1] + j) * p.extent[2] + m) : p.default_F;
}

/// F^2 F_latt^2 in units of the sums, with indices in double precision.
template <class Shape, Lookup lookup, class Real>
__device__ __forceinline__ Real wide_term(const DevicePlan& p, const Vec3d& h, bool interpolates) {
  const Vec3d nearest{physics::round_half_down(h.x), physics::round_half_down(h.y),
                      physics::round_half_down(h.z)};
  Real latt;
  if constexpr (std::is_same_v<Real, float>)
    latt = Shape::factor(p.wide_block, h - nearest, ToSingle());
  else
    latt = Shape::factor(p.wide_block, h - nearest);
  if (latt == Real(0)) return 0;
  if constexpr (lookup == Lookup::constant) return latt * latt;
  double F;
  if (lookup == Lookup::tricubic && interpolates)
    F = tricubic_structure_factor(p.grid, p.view.lattice.default_F, h, p.grid.surrounds(h));
  else
    F = nearest_structure_factor(p.grid, p.view.lattice.default_F, nearest);
  const Real unit_F = static_cast<Real>(F / p.largest_F);
  return (unit_F * unit_F) * (latt * latt);
}

// ---- Factors ------------------------------------------------------------------------------------

template <class Real>
struct SpotOfPixel {
  Vec3d direction;   ///< unit vector
  Real near;         ///< 1 / distance [1/m]
  double right, up;  ///< on the panel [m]
};

/// On a flat panel.
template <class Real>
__device__ __forceinline__ SpotOfPixel<Real> spot_of(const PlanView& view, int fast, int slow,
                                                     int layer, int sub_slow, int sub_fast) {
  const PlanFrame& f = view.panel.frame;
  const double oversample = view.oversample;
  const double right = f.subpixel * (fast * oversample + sub_fast + 0.5),
               up = f.subpixel * (slow * oversample + sub_slow + 0.5);
  const Vec3d at = flat_position(f, view.panel.sensor.layer_step * layer, right, up);
  const double near = rsqrt(dot(at, at));
  return {near * at, static_cast<Real>(near), right, up};
}

template <class Real>
__device__ __forceinline__ Real capture_of(const PlanView& view, const SpotOfPixel<Real>& spot,
                                           int layer) {
  const PlanSensor& sensor = view.panel.sensor;
  return physics::capture_fraction(
      static_cast<Real>(layer), static_cast<Real>(sensor.layer_step),
      static_cast<Real>(sensor.absorption_per_m),
      dot(vec3_as<Real>(spot.direction), vec3_as<Real>(view.panel.frame.normal)));
}

template <class Real>
__device__ __forceinline__ Real polarization_of(const PlanView& view, const Vec3d& direction,
                                                const PlanRay& ray) {
  const Vec3<Real> d = vec3_as<Real>(direction);
  return physics::kahn_polarization(dot(vec3_as<Real>(ray.incident), d),
                                    dot(d, vec3_as<Real>(ray.magnetic)),
                                    static_cast<Real>(view.light.polarization_fraction));
}

/// What differs from ray to ray at a spot: its weight, its polarization, whether -dmin keeps it.
template <class Real>
__device__ __forceinline__ Real ray_factor(const PlanView& view, const Vec3d& direction,
                                           const PlanRay& ray) {
  Real factor = static_cast<Real>(ray.weight);
  if (view.rules.each_polarization()) factor *= polarization_of<Real>(view, direction, ray);
  if (view.dmin > 0 && !within_dmin(view.dmin, ray.wavenumber * (direction - ray.incident)))
    factor = 0;
  return factor;
}

// ---- What a pair adds ---------------------------------------------------------------------------

/// Of a ray and an orientation.
template <class Shape, Lookup lookup, Method method>
struct RayTerms : Kind<Shape, method> {
  using This = Kind<Shape, method>;
  using Real = typename This::Real;
  using Sum = Real;
  static constexpr bool interpolates = lookup == Lookup::tricubic;

  static __device__ __forceinline__ const PlanRay& beam(const DevicePlan& p, int number) {
    return p.view.light.rays[static_cast<std::size_t>(number)];
  }
  static __device__ __forceinline__ Real factor(const DevicePlan& p, const Vec3d& direction,
                                                int number) {
    return ray_factor<Real>(p.view, direction, beam(p, number));
  }
  /// `index`: as the accumulators have it.
  static __device__ __forceinline__ void add(const DevicePlan& p, int, const Vec3d& index,
                                             bool pixel_interpolates, Real factor, Sum& sum) {
    Real term;
    if constexpr (This::fixed_point) {
      const FixedPoint h = fixed_point_of(index.x), k = fixed_point_of(index.y),
                       l = fixed_point_of(index.z);
      term = intensity_of<Shape>(p, h, k, l);
      if constexpr (lookup == Lookup::nearest) {
        // Of a spot that is dark, F need not be known.
        if (!Shape::width_in_metric || term != 0) {
          const float F = nearest_F(p, h.lattice_point, k.lattice_point, l.lattice_point);
          term *= F * F;
        }
      }
    } else {
      term = wide_term<Shape, lookup, Real>(p, index, pixel_interpolates);
    }
    sum += p.ray_factors ? term * factor : term;
  }
};

// ---- A block of pixels --------------------------------------------------------------------------

/// The sum over the threads of a block, in a fixed order; of the first thread.
template <unsigned threads>
__device__ __forceinline__ double sum_over_threads(double value, double* shared) {
  shared[threadIdx.x] = value;
  for (unsigned half = threads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  return shared[0];
}

struct TileOutput {
  void* values;
  bool doubles;
  double* parts;  ///< null: pixels are finished here
  double* solid_angles;
  int first_pair, pairs, pairs_of_part;
};

__device__ __forceinline__ void put(void* values, bool doubles, int place, double photons) {
  if (doubles)
    static_cast<double*>(values)[place] = photons;
  else
    static_cast<float*>(values)[place] = static_cast<float>(photons);
}

/// The body of the kernels that sum over pairs.
template <class Terms>
__device__ __forceinline__ void sum_tile(const DevicePlan& p, const DevicePixels& pixels,
                                         const DeviceCutoff& cutoff, const TileOutput& out) {
  using Real = typename Terms::Real;
  using Sum = typename Terms::Sum;
  constexpr int P = Terms::pixels;
  const PlanView& view = p.view;
  const PlanFrame& frame = view.panel.frame;
  const int orientations = static_cast<int>(view.lattice.orientations.size());

  __shared__ double2 rows[chunk_of_pairs][3][2];  // of operators, and what is added to them
  __shared__ int beams[chunk_of_pairs];
  __shared__ double shared_sums[threads_of_block];

  PixelOfThread pixel[P];
  double total[P], seen = 0;
  Real once[P];
  bool wanted = false, interpolates[P];
  for (int q = 0; q < P; ++q) {
    pixel[q] = pixel_of_thread<P>(pixels, frame, q);
    interpolates[q] = Terms::interpolates && cutoff.lookups_of(pixel[q].fast, pixel[q].slow) > 0;
    wanted |= pixel[q].place >= 0;
    // What every sum begins with begins the first part's.
    total[q] = out.first_pair == 0 && blockIdx.y == 0 ? p.starting_sum : 0;
    once[q] = 1;
  }
  const bool each_omega = view.rules.each_solid_angle(),
             each_capture = view.rules.each_capture(view.panel.sensor),
             one_capture = view.rules.once_capture(view.panel.sensor),
             one_polarization = view.rules.once_polarization();

  const int begin = out.first_pair + static_cast<int>(blockIdx.y) * out.pairs_of_part,
            end = min(begin + out.pairs_of_part, out.first_pair + out.pairs);
  // A block that masks leave nothing of has nothing to sum.
  const int end_of_sums = __syncthreads_or(wanted) ? end : begin;
  for (int chunk = begin; chunk < end_of_sums; chunk += chunk_of_pairs) {
    const int n = min(chunk_of_pairs, end - chunk);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < 3 * n; i += threads_of_block) {
      const int o = i / 3, axis = i % 3, number = (chunk + o) / orientations;
      const auto& beam = Terms::beam(p, number);
      const Mat3d& axes = view.lattice
                              .orientations[static_cast<std::size_t>((chunk + o) % orientations)];
      const Vec3d edge = axis == 0 ? axes.a : axis == 1 ? axes.b : axes.c;
      const double sign = Terms::fixed_point ? -1 : 1;
      const Vec3d row = (sign * beam.wavenumber) * edge;
      const double start = Terms::fixed_point ? fixed_point_start : 0;
      rows[o][axis][0] = {row.x, row.y};
      rows[o][axis][1] = {row.z, start - dot(row, beam.incident)};
      if (axis == 0) beams[o] = number;
    }
    __syncthreads();

    for (int first = 0; first < n; first += terms_in_single) {
      const int last = min(first + terms_in_single, n);
      const bool very_first = chunk == begin && first == 0;
      for (int layer = 0; layer < view.panel.sensor.layers; ++layer)
        for (int sub_slow = 0; sub_slow < view.oversample; ++sub_slow)
          for (int sub_fast = 0; sub_fast < view.oversample; ++sub_fast) {
            const bool first_spot = sub_slow == 0 && sub_fast == 0;
            Vec3d direction[P];
            Real factor[P], of_beam[P];
            Sum sum[P];
            for (int q = 0; q < P; ++q) {
              const auto spot = spot_of<Real>(view, pixel[q].fast, pixel[q].slow, layer, sub_slow,
                                              sub_fast);
              direction[q] = spot.direction;
              pin(direction[q].x), pin(direction[q].y), pin(direction[q].z);
              factor[q] = 1, sum[q] = 0, of_beam[q] = 1;
              if (each_omega || very_first) {
                const double depth = each_omega ? view.panel.sensor.layer_step * layer : 0;
                const Real omega = solid_angle(frame, spot.near, depth);
                if (each_omega) factor[q] *= omega;
                if (!each_omega && first_spot && layer == 0) once[q] *= omega;
                if (very_first && pixel[q].place >= 0) {
                  // Taken once, it is that of the first spot for all of them.
                  const double spots = view.panel.sensor.layers * view.oversample * view.oversample;
                  if (each_omega)
                    seen += omega;
                  else if (first_spot && layer == 0)
                    seen += omega * spots;
                }
              }
              if (each_capture) factor[q] *= capture_of(view, spot, layer);
              if (very_first && first_spot) {
                if (one_capture && layer == view.panel.sensor.layers - 1)
                  once[q] *= capture_of(view, spot, layer);
                if (one_polarization && layer == 0)
                  once[q] *= polarization_of<Real>(view, spot.direction, view.light.rays[0]);
              }
            }
            int current = -1;
            for (int o = first; o < last; ++o) {
              if (p.ray_factors && beams[o] != current) {
                current = beams[o];
                for (int q = 0; q < P; ++q) of_beam[q] = Terms::factor(p, direction[q], current);
              }
              double row[3][4];
              for (int axis = 0; axis < 3; ++axis) {
                const double2 xy = rows[o][axis][0], zw = rows[o][axis][1];
                row[axis][0] = xy.x, row[axis][1] = xy.y, row[axis][2] = zw.x, row[axis][3] = zw.y;
              }
              for (int q = 0; q < P; ++q) {
                const Vec3d& s = direction[q];
                const auto index = [&](int axis) {
                  const double(&r)[4] = row[axis];
                  return fma(r[2], s.z, fma(r[1], s.y, fma(r[0], s.x, r[3])));
                };
                Terms::add(p, beams[o], {index(0), index(1), index(2)}, interpolates[q], of_beam[q],
                           sum[q]);
              }
            }
            for (int q = 0; q < P; ++q) total[q] += static_cast<double>(sum[q] * factor[q]);
          }
    }
  }

  for (int q = 0; q < P; ++q) {
    if (pixel[q].place < 0) continue;
    // The factors that are taken once are known to each part.
    const double sum = total[q] * static_cast<double>(once[q]);
    if (out.parts)
      out.parts[static_cast<long long>(pixel[q].place) * gridDim.y + blockIdx.y] = sum;
    else
      put(out.values, out.doubles, pixel[q].place, p.unit * sum);
  }
  if (out.solid_angles && blockIdx.y == 0) {
    const double of_block = sum_over_threads<threads_of_block>(seen, shared_sums);
    if (threadIdx.x == 0) out.solid_angles[blockIdx.x] = of_block;
  }
}

template <class Shape, Lookup lookup, Method method>
__global__ void __launch_bounds__(threads_of_block, blocks_of_processor)
    render_tiles(const __grid_constant__ DevicePlan p, const __grid_constant__ DevicePixels pixels,
                 const __grid_constant__ DeviceCutoff cutoff, const TileOutput out) {
  sum_tile<RayTerms<Shape, lookup, method>>(p, pixels, cutoff, out);
}

/// Adds the parts of a launch to the sums of those before it and, after the last one, makes photons
/// of them.
template <int P>
__global__ void add_parts(const __grid_constant__ DevicePlan p,
                          const __grid_constant__ DevicePixels pixels, const double* parts,
                          int count, double* sums, bool is_first, bool is_last, void* values,
                          bool doubles) {
  const PixelOfThread pixel = pixel_of_thread<P>(pixels, p.view.panel.frame, 0);
  if (pixel.place < 0) return;
  double sum = is_first ? 0 : sums[pixel.place];
  for (int i = 0; i < count; ++i) sum += parts[static_cast<long long>(pixel.place) * count + i];
  if (!is_last) {
    sums[pixel.place] = sum;
    return;
  }
  double photons = p.unit * sum;
  if (p.view.background.per_sr != 0)
    photons += background_photons(p.view, p.view.panel, double(pixel.fast), double(pixel.slow));
  for (const MaterialView& material : p.view.materials)
    photons += material_photons(p.view, p.view.panel, material, double(pixel.fast),
                                double(pixel.slow));
  put(values, doubles, pixel.place, photons);
}

/// The reference engine's loop, one thread a pixel.
template <class Shape, bool tricubic>
__global__ void __launch_bounds__(threads_of_block, 1)
    walk_pixels(const __grid_constant__ DevicePlan p, const __grid_constant__ DevicePixels pixels,
                const __grid_constant__ DeviceCutoff cutoff, void* values, bool doubles,
                double* solid_angles) {
  __shared__ double shared_sums[threads_of_block];
  const PixelOfThread pixel = pixel_of_thread<1>(pixels, p.view.panel.frame, 0);
  double seen = 0;
  if (pixel.place >= 0) {
    const PixelSum sum = sum_pixels<Shape, tricubic>(
        p.view, p.view.panel, p.grid, double(pixel.fast), double(pixel.slow),
        tricubic ? cutoff.lookups_of(pixel.fast, pixel.slow) : 0, NoVisitor{});
    put(values, doubles, pixel.place, sum.photons);
    seen = sum.solid_angle_sum;
  }
  if (solid_angles) {
    const double of_block = sum_over_threads<threads_of_block>(seen, shared_sums);
    if (threadIdx.x == 0) solid_angles[blockIdx.x] = of_block;
  }
}

}  // namespace nablabragg::engine::cuda
