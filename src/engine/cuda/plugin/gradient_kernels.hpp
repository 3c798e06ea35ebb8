// The gradient kernels of the cuda engine: the pixel loop once more, with each step's slopes, in
// reverse or forwards.  What a pixel sees of a step goes back to it by the functions that the cpu
// engine has, too (light_adjoints.hpp); what the pixels' adjoints come to is added up in fixed
// orders: lanes of a warp, tiles of a block, warps, blocks.
#pragma once
#include "engine/cuda/plugin/image_kernels.hpp"
#include "engine/light_adjoints.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine::cuda {

constexpr int gradient_warps = 4, gradient_threads = 32 * gradient_warps;
constexpr int pairs_of_chunk = 32;
constexpr int most_gradient_blocks = 528;

// ---- Tiles --------------------------------------------------------------------------------------

/// A warp has 8 x 4 pixels, a tile 16 x 8 or as many of a list.
inline __host__ __device__ int gradient_tiles(const DevicePixels& pixels) {
  if (pixels.list) return (pixels.listed + gradient_threads - 1) / gradient_threads;
  return ((pixels.columns + 15) / 16) * ((pixels.rows + 7) / 8);
}

template <class Real>
__device__ __forceinline__ PixelOfThread pixel_of_tile(const DevicePixels& pixels,
                                                       const BasicPlanFrame<Real>& frame,
                                                       int tile) {
  const int thread = static_cast<int>(threadIdx.x);
  if (pixels.list) {
    const int i = tile * gradient_threads + thread;
    if (i >= pixels.listed) return {pixels.list[0].fast, pixels.list[0].slow, -1};
    return {pixels.list[i].fast, pixels.list[i].slow, i};
  }
  const int lane = thread & 31, warp = thread >> 5, across = (pixels.columns + 15) / 16;
  return pixel_of_rectangle(pixels, frame, tile % across * 16 + (warp & 1) * 8 + (lane & 7),
                            tile / across * 8 + (warp >> 1) * 4 + (lane >> 3));
}

// ---- Sums over a warp ---------------------------------------------------------------------------

/// Which of n values a lane holds the sum of, in the end.
struct Holding {
  int number = 0;
  int real = 0;  ///< values in the lane's part that are no padding
  bool copy = false;

  __device__ bool is_one() const { return real > 0 && !copy; }
};

/// The sums of n values over the 32 lanes, each in one lane: halves of the values are exchanged for
/// halves, so that n + 1 exchanges do.
template <int n, int mask, class Real>
__device__ __forceinline__ void fold(Real* values, Holding& holding) {
  if constexpr (mask > 0) {
    constexpr int half = (n + 1) / 2;
    const bool upper = (threadIdx.x & mask) != 0;
    if constexpr (n > 1) {
      for (int i = 0; i < half; ++i) {
        const Real low = values[i], high = half + i < n ? values[half + i] : Real(0);
        values[i] = (upper ? high : low) + __shfl_xor_sync(~0u, upper ? low : high, mask);
      }
      holding.number += upper ? half : 0;
      holding.real = upper ? holding.real - half : min(holding.real, half);
    } else {
      values[0] += __shfl_xor_sync(~0u, values[0], mask);
      holding.copy |= upper;
    }
    fold<half, mask / 2>(values, holding);
  }
}

/// Adds the sums of n values over a warp to `sums`.
template <int n, class Real>
__device__ __forceinline__ void add_over_warp(Real (&values)[n], double* sums) {
  Holding holding;
  holding.real = n;
  fold<n, 16>(values, holding);
  if (holding.is_one()) sums[holding.number] += static_cast<double>(values[0]);
}

// ---- A chunk of pairs ---------------------------------------------------------------------------

/// A vector that needs no constructor, as shared memory has none.
template <class Real>
struct SharedVector {
  Real x, y, z;

  __device__ operator Vec3<Real>() const { return {x, y, z}; }
};
template <class Real, class From>
__device__ SharedVector<Real> shared_vector(const Vec3<From>& v) {
  return {static_cast<Real>(v.x), static_cast<Real>(v.y), static_cast<Real>(v.z)};
}

/// What the threads of a block share of some pairs.
struct GradientChunk {
  int first, count;                              ///< among the plan's pairs
  SharedVector<double> rows[pairs_of_chunk][3];  ///< wavenumber x (a, b, c)
  int rays[pairs_of_chunk];                      ///< of the plan
  bool first_orientation[pairs_of_chunk];

  __device__ Vec3d row(int o, int axis) const { return rows[o][axis]; }
};

__device__ __forceinline__ void load_chunk(const PlanView& view, int first, int count,
                                           GradientChunk& chunk) {
  const int orientations = static_cast<int>(view.lattice.orientations.size());
  for (int i = static_cast<int>(threadIdx.x); i < 3 * count; i += gradient_threads) {
    const int o = i / 3, axis = i % 3, ray = (first + o) / orientations,
              orientation = (first + o) % orientations;
    const Mat3d& axes = view.lattice.orientations[static_cast<std::size_t>(orientation)];
    chunk.rows[o][axis] = shared_vector<double>(
        view.light.rays[static_cast<std::size_t>(ray)].wavenumber * (axis == 0   ? axes.a
                                                                     : axis == 1 ? axes.b
                                                                                 : axes.c));
    if (axis != 0) continue;
    chunk.rays[o] = ray;
    chunk.first_orientation[o] = orientation == 0;
  }
  if (threadIdx.x != 0) return;
  chunk.first = first;
  chunk.count = count;
}

/// The adjoints of a pixel, or of many.
template <class Real>
struct PixelAdjoints {
  BasicPixelNumbers<Real> numbers;  ///< some in other units until complete_adjoints()
  BasicPlanRay<Real> first_ray;     ///< of the polarization that stands for all
};

// ---- Where adjoints go: in reverse --------------------------------------------------------------

/// The adjoints of all pixels of a block, added up.
template <class Real>
class Reverse {
 public:
  struct Shared {
    double pairs[gradient_warps][pairs_of_chunk][sums_of_pair];
    double rays[gradient_warps][pairs_of_chunk][sums_of_ray];  ///< in the order of the chunk's
    double sums[gradient_threads];
  };

  using Room = PixelAdjoints<double>;

  __device__ Reverse(const GradientJob& job, Shared& shared, Room* room)
      : job_(job), shared_(shared), numbers_(room->numbers), first_ray_(room->first_ray) {
    for_each_number([](double& x) { x = 0; }, numbers_);
    for_each_number_of_ray([](double& x) { x = 0; }, first_ray_);
  }

  __device__ double weight_of(const PixelOfThread& pixel) const {
    return pixel.place >= 0 ? job_.weights[pixel.place] : 0;
  }

  __device__ void begin_chunk(const PlanView&, const GradientChunk&) {
    double* const pairs = &shared_.pairs[0][0][0];
    double* const rays = &shared_.rays[0][0][0];
    for (unsigned i = threadIdx.x; i < sizeof shared_.pairs / sizeof(double); i += gradient_threads)
      pairs[i] = 0;
    for (unsigned i = threadIdx.x; i < sizeof shared_.rays / sizeof(double); i += gradient_threads)
      rays[i] = 0;
  }
  __device__ void begin_pixel() {}

  /// Of a step; all lanes of a warp call it.
  __device__ __forceinline__ void add_pair(int o, const Vec3<Real>& adjoint,
                                           const Vec3<Real>& away) {
    if (__any_sync(~0u, adjoint.x != 0 || adjoint.y != 0 || adjoint.z != 0) == 0) return;
    Real values[sums_of_pair] = {adjoint.x * away.x, adjoint.x * away.y, adjoint.x * away.z,
                                 adjoint.y * away.x, adjoint.y * away.y, adjoint.y * away.z,
                                 adjoint.z * away.x, adjoint.z * away.y, adjoint.z * away.z,
                                 adjoint.x,          adjoint.y,          adjoint.z};
    add_over_warp(values, shared_.pairs[threadIdx.x >> 5][o]);
  }
  /// Of a ray at a spot; all lanes of a warp call it.  `number`: among the chunk's.
  __device__ __forceinline__ void add_ray(int number, int, const BasicPlanRay<Real>& adjoint,
                                          bool polarizes) {
    double* const sums = shared_.rays[threadIdx.x >> 5][number];
    if (!polarizes) {
      Real value[1] = {adjoint.weight};
      return add_over_warp(value, sums);
    }
    Real values[sums_of_ray] = {adjoint.weight,     adjoint.incident.x, adjoint.incident.y,
                                adjoint.incident.z, adjoint.magnetic.x, adjoint.magnetic.y,
                                adjoint.magnetic.z};
    add_over_warp(values, sums);
  }
  /// The adjoint of one entry of the table.
  __device__ __forceinline__ void add_F(long long offset, Real adjoint) {
    if (!job_.table) return;
    constexpr int words = words_of_table(std::is_same_v<Real, float> ? Method::float32
                                                                     : Method::float64);
    double left = static_cast<double>(adjoint) * job_.table_scale;
    for (int word = 0; word < words && left != 0; ++word, left *= next_word) {
      const long long whole = __double2ll_rn(left);
      if (whole != 0)
        atomicAdd(job_.table + word * job_.table_size + offset,
                  static_cast<unsigned long long>(whole));
      left -= static_cast<double>(whole);
    }
  }

  template <class Shape>
  __device__ void finish_pixel(const DevicePlan&, const PixelOfThread&, bool,
                               BasicPixelNumbers<Real>& numbers, BasicPlanRay<Real>& first_ray) {
    for_each_number([](double& to, const Real& more) { to += static_cast<double>(more); }, numbers_,
                    numbers);
    for_each_number_of_ray([](double& to, const Real& more) { to += static_cast<double>(more); },
                           first_ray_, first_ray);
  }

  /// After all tiles: the chunk's sums of the block.
  __device__ void finish_chunk(const GradientChunk& chunk) {
    double* const rays = of_block() + sums_of_numbers + sums_of_first_ray;
    double* const pairs = rays + sums_of_ray * job_.rays;
    const auto over_warps = [](const auto& value_of) {
      double sum = 0;
      for (int warp = 0; warp < gradient_warps; ++warp) sum += value_of(warp);
      return sum;
    };
    for (int i = static_cast<int>(threadIdx.x); i < chunk.count * sums_of_pair;
         i += gradient_threads) {
      const int o = i / sums_of_pair, which = i % sums_of_pair;
      pairs[(chunk.first - job_.first_pair) * sums_of_pair + i] = over_warps(
          [&](int warp) { return shared_.pairs[warp][o][which]; });
    }
    // A ray may have begun with the chunk before.
    const int count = chunk.rays[chunk.count - 1] - chunk.rays[0] + 1;
    for (int i = static_cast<int>(threadIdx.x); i < count * sums_of_ray; i += gradient_threads) {
      const int number = i / sums_of_ray, which = i % sums_of_ray;
      double& to = rays[(chunk.rays[0] - job_.first_ray) * sums_of_ray + i];
      const double sum = over_warps([&](int warp) { return shared_.rays[warp][number][which]; });
      // Threads of the block before this one wrote it, behind a barrier.
      const bool goes_on = number == 0 && chunk.first > job_.first_pair &&
                           !chunk.first_orientation[0];
      to = goes_on ? to + sum : sum;
    }
  }
  __device__ void finish_block() {
    double* const to = of_block();
    int number = 0;
    for_each_number([&](const double& x) { finish_sum(x, to[number++]); }, numbers_);
    for (const Vec3d* v : {&first_ray_.incident, &first_ray_.magnetic})
      for (const double x : {v->x, v->y, v->z}) finish_sum(x, to[number++]);
  }

 private:
  __device__ double* of_block() const {
    return job_.of_blocks + static_cast<long long>(blockIdx.x) * sums_of_gradient(job_);
  }
  __device__ void finish_sum(double value, double& to) {
    const double sum = sum_over_threads<gradient_threads>(value, shared_.sums);
    if (threadIdx.x == 0) to = sum;
    __syncthreads();
  }

  const GradientJob& job_;
  Shared& shared_;
  BasicPixelNumbers<double>& numbers_;
  BasicPlanRay<double>& first_ray_;
};

// ---- Where adjoints go: forwards ----------------------------------------------------------------

/// The adjoints of one pixel times some tangents.
template <class Real>
class Forwards {
 public:
  struct Shared {
    /// How the rows of a chunk's pairs change, and what the index does besides: that of the
    /// incident direction.
    SharedVector<Real> rows[most_tangents][pairs_of_chunk][3];
    Real indices[most_tangents][pairs_of_chunk][3];
  };

  struct Room {
    double changes[most_tangents], F_changes[most_tangents];
  };

  __device__ Forwards(const GradientJob& job, Shared& shared, Room* room)
      : job_(job), shared_(shared), changes_(room->changes), F_changes_(room->F_changes) {}

  __device__ double weight_of(const PixelOfThread& pixel) const { return pixel.place >= 0; }

  __device__ void begin_chunk(const PlanView& view, const GradientChunk& chunk) {
    const int orientations = static_cast<int>(view.lattice.orientations.size());
    for (int i = static_cast<int>(threadIdx.x); i < 3 * chunk.count * job_.tangent_count;
         i += gradient_threads) {
      const int t = i / (3 * chunk.count), o = i / 3 % chunk.count, axis = i % 3;
      const DeviceTangent& tangent = job_.tangents[t];
      const auto orientation = static_cast<std::size_t>((chunk.first + o) % orientations);
      const PlanRay &ray = view.light.rays[static_cast<std::size_t>(chunk.rays[o])],
                    &change = tangent.rays[chunk.rays[o]];
      const auto row_of = [&](const Mat3d& axes) {
        return axis == 0 ? axes.a : axis == 1 ? axes.b : axes.c;
      };
      const Vec3d edge = row_of(view.lattice.orientations[orientation]);
      shared_.rows[t][o][axis] = shared_vector<Real>(
          ray.wavenumber * row_of(tangent.orientations[orientation]) + change.wavenumber * edge);
      shared_.indices[t][o][axis] = static_cast<Real>(-ray.wavenumber * dot(edge, change.incident));
    }
  }
  __device__ void begin_pixel() {
    for (int t = 0; t < most_tangents; ++t) changes_[t] = F_changes_[t] = 0;
  }

  __device__ __forceinline__ void add_pair(int o, const Vec3<Real>& adjoint,
                                           const Vec3<Real>& away) {
    for (int t = 0; t < job_.tangent_count; ++t) {
      const auto index = [&](int axis) {
        return dot(Vec3<Real>(shared_.rows[t][o][axis]), away) + shared_.indices[t][o][axis];
      };
      changes_[t] += static_cast<double>(adjoint.x * index(0) + adjoint.y * index(1) +
                                         adjoint.z * index(2));
    }
  }
  __device__ __forceinline__ void add_ray(int, int ray, const BasicPlanRay<Real>& adjoint, bool) {
    for (int t = 0; t < job_.tangent_count; ++t) {
      const PlanRay& change = job_.tangents[t].rays[ray];
      changes_[t] += static_cast<double>(adjoint.weight) * change.weight +
                     dot(vec3_as<double>(adjoint.incident), change.incident) +
                     dot(vec3_as<double>(adjoint.magnetic), change.magnetic);
    }
  }
  __device__ __forceinline__ void add_F(long long offset, Real adjoint) {
    for (int t = 0; t < job_.tangent_count; ++t)
      if (const double* table = job_.tangents[t].table)
        F_changes_[t] += static_cast<double>(adjoint) * table[offset];
  }

  template <class Shape>
  __device__ void finish_pixel(const DevicePlan& p, const PixelOfThread& pixel, bool one_F,
                               BasicPixelNumbers<Real>& numbers, BasicPlanRay<Real>& first_ray) {
    if (pixel.place < 0) return;
    if (job_.first_column == 0)
      job_.photons[pixel.place] += static_cast<double>(numbers.scale) +
                                   static_cast<double>(numbers.background.starting_sum) +
                                   static_cast<double>(numbers.background.per_sr);
    complete_adjoints<Shape>(p.numbers(), p.largest_F, one_F, numbers);
    double* const slopes = job_.slopes + static_cast<long long>(pixel.place) * job_.columns +
                           job_.first_column;
    for (int t = 0; t < job_.tangent_count; ++t) {
      const DeviceTangent& tangent = job_.tangents[t];
      double change = changes_[t] + F_changes_[t] / p.largest_F;
      const auto along = [&](const double& slope, const Real& adjoint) {
        if (slope != 0) change += slope * static_cast<double>(adjoint);
      };
      for_each_number(along, tangent.numbers, numbers);
      for_each_number_of_ray(along, tangent.first_ray, first_ray);
      slopes[t] += change;
    }
  }
  __device__ void finish_chunk(const GradientChunk&) {}
  __device__ void finish_block() {}

 private:
  const GradientJob& job_;
  Shared& shared_;
  double (&changes_)[most_tangents], (&F_changes_)[most_tangents];
};

// ---- A pixel ------------------------------------------------------------------------------------

/// The structure factor of a step, in units of the largest.
template <class Real>
struct AmplitudeOfStep {
  Real F = 1;
  bool inside = false;
  long long offset = 0;  ///< in the table, of the node or of the corner of the neighbourhood
  Vec3<Real> slope{}, between{};
};

template <Lookup lookup, class Real>
__device__ __forceinline__ AmplitudeOfStep<Real> amplitude_of(const DevicePlan& p, const Vec3d& h,
                                                              const Vec3d& nearest,
                                                              bool interpolates) {
  AmplitudeOfStep<Real> found;
  if constexpr (lookup == Lookup::constant) return found;
  const double unit = 1 / p.largest_F;
  if (lookup == Lookup::tricubic && interpolates) {
    const Vec3d base{floor_of(h.x), floor_of(h.y), floor_of(h.z)}, between = h - base;
    found.inside = p.grid.surrounds(h);
    if (found.inside) {
      found.offset = static_cast<long long>(p.grid.offset(base - Vec3d{1, 1, 1}));
      const double* nodes = p.grid.values + found.offset;
      const auto stride_h = static_cast<long long>(p.grid.stride_h),
                 stride_k = static_cast<long long>(p.grid.stride_k);
      const auto here = physics::tricubic_slopes(
          between.x, between.y, between.z,
          [&](int i, int j, int k) { return nodes[i * stride_h + j * stride_k + k]; });
      found.F = static_cast<Real>(unit * here.value);
      found.slope = vec3_as<Real>(unit * here.slope);
      found.between = vec3_as<Real>(between);
      return found;
    }
  } else {
    found.inside = p.grid.holds(nearest);
    if (found.inside) {
      found.offset = static_cast<long long>(p.grid.offset(nearest));
      found.F = static_cast<Real>(unit * p.grid.values[found.offset]);
      return found;
    }
  }
  found.F = static_cast<Real>(unit * p.view.lattice.default_F);
  return found;
}

/// The walk back of one pixel, for the pairs of a chunk.
template <class Shape, Lookup lookup, class Real, bool curved, class Sink>
class PixelPullBack {
 public:
  /// `adjoints`: room for those of a pixel.
  __device__ PixelPullBack(const DevicePlan& p, const GradientChunk& chunk, Sink& sink,
                           PixelAdjoints<Real>* adjoints)
      : p_(p),
        view_(p.view),
        panel_(p.view.panel),
        chunk_(chunk),
        sink_(sink),
        numbers_(adjoints->numbers),
        first_ray_(adjoints->first_ray) {}

  /// All lanes of a warp call it; `weight` may be zero.
  __device__ __forceinline__ void run(const PixelOfThread& pixel, double weight,
                                      bool interpolates) {
    for_each_number([](Real& x) { x = 0; }, numbers_);
    for_each_number_of_ray([](Real& x) { x = 0; }, first_ray_);
    for_each_number_of_lattice([](Real& x) { x = 0; }, lattice_);
    sink_.begin_pixel();
    pixel_ = pixel;
    interpolates_ = interpolates;
    const FactorRules& rules = view_.rules;
    each_omega_ = rules.each_solid_angle();
    each_capture_ = rules.each_capture(panel_.sensor);
    each_polarization_ = rules.each_polarization();
    own_depth_ = each_omega_ ? panel_.sensor.layer_step : 0;

    const SensorSpot<Real> first = spot_at(0, 0, 0);
    const bool once_capture = rules.once_capture(panel_.sensor),
               once_polarization = rules.once_polarization();
    const int last_layer = panel_.sensor.layers - 1;
    SensorSpot<Real> capturing = first;
    Real for_all = 1;
    once_polarization_ = 1;
    if (!each_omega_) for_all *= solid_angle(panel_.frame, first.near, 0.0);
    if (once_polarization)
      once_polarization_ = polarization_of_ray(view_.light.rays[0], first.direction);
    if (once_capture) {
      if (last_layer > 0) capturing = spot_at(last_layer, 0, 0);
      for_all *= capture_of(panel_, capturing);
    }

    if (chunk_.first == 0 && view_.background.starting_sum != 0) {
      const Real unpolarized = static_cast<Real>(weight * view_.scale *
                                                 view_.background.starting_sum) *
                               for_all;
      numbers_.background.starting_sum = unpolarized * once_polarization_;
      once_light_ = numbers_.background.starting_sum;
      once_unpolarized_ = unpolarized;
    }
    const Real scaled = static_cast<Real>(weight * p_.unit) * for_all;
    const Real background = static_cast<Real>(weight * view_.background.per_sr /
                                              background_samples(view_)) *
                            for_all;
    for (int layer = 0; layer <= last_layer; ++layer)
      for (int sub_slow = 0; sub_slow < view_.oversample; ++sub_slow)
        for (int sub_fast = 0; sub_fast < view_.oversample; ++sub_fast) {
          const SensorSpot<Real> spot = spot_at(layer, sub_slow, sub_fast);
          Real own = 1;
          if (each_omega_) own *= solid_angle(panel_.frame, spot.near, own_depth_ * layer);
          if (each_capture_) own *= capture_of(panel_, spot);
          SpotAdjoints<Real> light;
          pull_back_pairs(spot, scaled * own, background * own, light);
          pull_back_spot(panel_, spot, each_omega_, own_depth_, light, numbers_);
        }

    if (once_capture) {
      SpotAdjoints<Real> light;
      light.capture = once_light_;
      pull_back_spot(panel_, capturing, true, 0, light, numbers_);
    }
    if (!each_omega_ || once_polarization) {
      SpotAdjoints<Real> light;
      if (!each_omega_) light.solid_angle = once_light_;
      if (once_polarization)
        pull_back_polarization(view_.light, vec3_as<Real>(view_.light.rays[0].incident),
                               vec3_as<Real>(view_.light.rays[0].magnetic), first.direction,
                               once_unpolarized_, first_ray_, light.direction, numbers_);
      pull_back_spot(panel_, first, true, 0, light, numbers_);
    }
    for_each_number_of_lattice([](Real& to, const Real& more) { to = more; }, numbers_.lattice,
                               lattice_);
    sink_.template finish_pixel<Shape>(p_, pixel, lookup == Lookup::constant, numbers_, first_ray_);
    once_light_ = once_unpolarized_ = 0;
  }

 private:
  __device__ __forceinline__ SensorSpot<Real> spot_at(int layer, int sub_slow, int sub_fast) {
    if constexpr (curved) {
      BasicSubPixel<double> at;
      at.layer = layer;
      at.sub_slow = sub_slow;
      at.sub_fast = sub_fast;
      place(panel_, view_.oversample, double(pixel_.fast), double(pixel_.slow), at);
      direction_ = at.direction;
      return {static_cast<Real>(at.fast), static_cast<Real>(at.slow),
              static_cast<Real>(1 / at.distance), vec3_as<Real>(direction_), layer};
    } else {
      const auto spot = spot_of<Real>(view_, pixel_.fast, pixel_.slow, layer, sub_slow, sub_fast);
      direction_ = spot.direction;
      return {static_cast<Real>(spot.right), static_cast<Real>(spot.up), spot.near,
              vec3_as<Real>(direction_), layer};
    }
  }

  __device__ __forceinline__ Real polarization_of_ray(const PlanRay& ray,
                                                      const Vec3<Real>& direction) const {
    return engine::polarization_of(view_.light, vec3_as<Real>(ray.incident),
                                   vec3_as<Real>(ray.magnetic), direction);
  }

  /// `scaled`, `background`: what a term of the lattice and of the background are multiplied by,
  /// the ray's own factors aside.
  __device__ __forceinline__ void pull_back_pairs(const SensorSpot<Real>& spot, Real scaled,
                                                  Real background, SpotAdjoints<Real>& light) {
    for (int begin = 0, end = 0; begin < chunk_.count; begin = end) {
      while (end < chunk_.count && chunk_.rays[end] == chunk_.rays[begin]) ++end;
      const int number = chunk_.rays[begin];
      const PlanRay& ray = view_.light.rays[static_cast<std::size_t>(number)];
      const Real weight = static_cast<Real>(ray.weight);
      const Real polarization = each_polarization_ ? polarization_of_ray(ray, spot.direction)
                                                   : once_polarization_;
      const Vec3d away = direction_ - ray.incident;
      const bool kept = !(view_.dmin > 0) || within_dmin(view_.dmin, ray.wavenumber * away);
      const Real factor = kept ? scaled : 0, coefficient = factor * weight * polarization;
      Real intensity = 0;
      Vec3<Real> away_adjoint{0, 0, 0};
      for (int o = begin; o < end; ++o)
        pull_back_step(o, away, coefficient, intensity, away_adjoint);

      // h = k A (direction - incident)
      add(light.direction, away_adjoint);
      Real unpolarized = factor * weight * intensity, terms = unpolarized * polarization;
      numbers_.scale += terms;
      BasicPlanRay<Real> of_ray{{0, 0, 0}, {0, 0, 0}, 0, factor * polarization * intensity};
      if (view_.background.per_sr != 0 && chunk_.first_orientation[begin]) {
        // It rides on the factors of each spot and ray alone.
        const Real all = background * weight * polarization;
        numbers_.background.per_sr += all;
        unpolarized += background * weight;
        terms += all;
        of_ray.weight += background * polarization;
      }
      once_light_ += terms;
      if (each_omega_) light.solid_angle += terms;
      if (each_capture_) light.capture += terms;
      if (each_polarization_)
        pull_back_polarization(view_.light, vec3_as<Real>(ray.incident),
                               vec3_as<Real>(ray.magnetic), spot.direction, unpolarized, of_ray,
                               light.direction, numbers_);
      else
        once_unpolarized_ += unpolarized;
      sink_.add_ray(number - chunk_.rays[0], number, of_ray, each_polarization_);
    }
  }

  __device__ __forceinline__ void pull_back_step(int o, const Vec3d& away, Real coefficient,
                                                 Real& intensity, Vec3<Real>& away_adjoint) {
    const Vec3d a = chunk_.row(o, 0), b = chunk_.row(o, 1), c = chunk_.row(o, 2);
    const Vec3d h{dot(a, away), dot(b, away), dot(c, away)};
    const Vec3d nearest{physics::round_half_down(h.x), physics::round_half_down(h.y),
                        physics::round_half_down(h.z)};
    const Vec3d d = h - nearest;
    const auto latt = slopes_of(d);
    const auto amplitude = amplitude_of<lookup, Real>(p_, h, nearest, interpolates_);
    const Scattered<Real> term(coefficient, amplitude.F, latt.factor);
    intensity += term.intensity;
    Vec3<Real> adjoint = term.factor_adjoint * latt.distance;
    if constexpr (lookup == Lookup::tricubic) adjoint = adjoint + term.F_adjoint * amplitude.slope;
    physics::for_each_width([](Real& to, const Real& more) { to += more; }, lattice_,
                            Shape::width_adjoint(latt, vec3_as<Real>(d), term.factor_adjoint));
    const Vec3<Real> narrow_away = vec3_as<Real>(away);
    away_adjoint = away_adjoint + adjoint.x * vec3_as<Real>(a) + adjoint.y * vec3_as<Real>(b) +
                   adjoint.z * vec3_as<Real>(c);
    sink_.add_pair(o, adjoint, narrow_away);
    if constexpr (lookup != Lookup::constant) {
      if (!amplitude.inside)
        lattice_.default_F += term.F_adjoint;
      else if (lookup == Lookup::tricubic && interpolates_)
        pull_back_nodes(amplitude, term.F_adjoint);
      else
        sink_.add_F(amplitude.offset, term.F_adjoint);
    }
  }

  __device__ __forceinline__ auto slopes_of(const Vec3d& d) const {
    if constexpr (std::is_same_v<Real, double>)
      return Shape::slopes(p_.wide_block, d);
    else
      return Shape::slopes(p_.wide_block, d, ToSingle());
  }

  __device__ void pull_back_nodes(const AmplitudeOfStep<Real>& at, Real adjoint) {
    if (adjoint == 0) return;
    const auto weights = physics::tricubic_weights(at.between.x, at.between.y, at.between.z);
    const auto stride_h = static_cast<long long>(p_.grid.stride_h),
               stride_k = static_cast<long long>(p_.grid.stride_k);
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        for (int k = 0; k < 4; ++k)
          sink_.add_F(at.offset + i * stride_h + j * stride_k + k,
                      adjoint * weights.x[static_cast<std::size_t>(i)] *
                          weights.y[static_cast<std::size_t>(j)] *
                          weights.z[static_cast<std::size_t>(k)]);
  }

  const DevicePlan& p_;
  const PlanView& view_;
  const PanelNumbers& panel_;
  const GradientChunk& chunk_;
  Sink& sink_;
  BasicPixelNumbers<Real>& numbers_;
  BasicPlanRay<Real>& first_ray_;
  BasicLatticeNumbers<Real> lattice_;  ///< what each step changes of the numbers
  PixelOfThread pixel_;
  bool interpolates_, each_omega_, each_capture_, each_polarization_;
  double own_depth_;  ///< of a layer behind the one before, for its own solid angle [m]
  Real once_polarization_;
  // Adjoints of the factors that stand for many terms: of the logarithms of solid angle and
  // capture, of the polarization itself
  Real once_light_ = 0, once_unpolarized_ = 0;
  Vec3d direction_;  ///< of the spot
};

template <class Shape, Lookup lookup, class Real, bool curved, template <class> class Sink>
__global__ void __launch_bounds__(gradient_threads, 2)
    pull_back_tiles(const __grid_constant__ DevicePlan p, const __grid_constant__ GradientJob job) {
  __shared__ GradientChunk chunk;
  __shared__ typename Sink<Real>::Shared shared;
  typename Sink<Real>::Room room;
  Sink<Real> sink(job, shared, in_memory(&room));
  PixelAdjoints<Real> adjoints;
  const int tiles = gradient_tiles(job.pixels), end = job.first_pair + job.pairs;
  for (int first = job.first_pair; first < end; first += pairs_of_chunk) {
    __syncthreads();
    load_chunk(p.view, first, min(pairs_of_chunk, end - first), chunk);
    __syncthreads();
    sink.begin_chunk(p.view, chunk);
    __syncthreads();
    PixelPullBack<Shape, lookup, Real, curved, Sink<Real>> pull_back(p, chunk, sink,
                                                                     in_memory(&adjoints));
    for (int tile = static_cast<int>(blockIdx.x); tile < tiles;
         tile += static_cast<int>(gridDim.x)) {
      const PixelOfThread pixel = pixel_of_tile(job.pixels, p.view.panel.frame, tile);
      const double weight = sink.weight_of(pixel);
      if (__any_sync(~0u, weight != 0) == 0) continue;
      pull_back.run(
          pixel, weight,
          lookup == Lookup::tricubic && job.cutoff.lookups_of(pixel.fast, pixel.slow) == all_steps);
    }
    __syncthreads();
    sink.finish_chunk(chunk);
  }
  sink.finish_block();
}

}  // namespace nablabragg::engine::cuda
