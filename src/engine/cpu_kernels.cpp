// The kernels of the cpu engine.  This file is compiled once for each instruction set, all of it in
// the namespace of that set; tools/check-kernels makes sure that nothing leaks out of it.
#include "engine/cpu_kernels.hpp"

#include "engine/lanes.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

using std::size_t;

constexpr int lanes = Single::count;
constexpr int chunk_size = 32;  // terms summed in single precision before they join the double sum

NABLA_INLINE Single single(double x) { return Single(static_cast<float>(x)); }
NABLA_INLINE Vec3<Single> single(const Vec3d& v) { return {single(v.x), single(v.y), single(v.z)}; }

// ---- In double precision throughout ------------------------------------------------------------

/// The reference engine's loop, as many pixels at once as there are lanes.
template <CrystalShape Shape, Lookup lookup>
void render_wide(const CpuPlan& p, const Tile& tile, TileSums& out) {
  for (int first = 0; first < tile.blocks * block_pixels; first += Double::count) {
    const auto sums = sum_pixels<Shape, lookup == Lookup::tricubic>(
        *p.plan, p.grid, Double::load(tile.fast.data() + first),
        Double::load(tile.slow.data() + first), all_steps, NoVisitor{});
    sums.photons.store(out.photons.data() + first);
    sums.solid_angle_sum.store(out.solid_angle.data() + first);
  }
}

// ---- Anchors: the middles of the blocks ---------------------------------------------------------

struct Anchors {
  alignas(64) std::array<double, tile_blocks> near, x, y, z;  ///< 1/distance [1/m] and direction
  /// How far directions in the block differ from the middle's, at most.
  alignas(64) std::array<double, tile_blocks> radius;
  double largest_radius = 0;
};

/// Highest |R^2/R0^2 - 1| for which the series below are good to single precision.
constexpr double series_limit = 0.05;

/// 1/sqrt(1 + z) - 1 and sqrt(1 + z) - 1: binomial series.
NABLA_INLINE Single inverse_root_change(const Single& z) {
  return z * (z * (z * (z * (z * -0.24609375f + 0.2734375f) - 0.3125f) + 0.375f) - 0.5f);
}
NABLA_INLINE Single root_change(const Single& z) {
  return z * (z * (z * (z * (z * 0.02734375f - 0.0390625f) + 0.0625f) - 0.125f) + 0.5f);
}

void find_anchors(const Plan& plan, const Tile& tile, Anchors& anchors) {
  const PlanFrame& f = plan.frame;
  const double half_depth = plan.sensor.layer_step * (plan.sensor.layers - 1) / 2;
  const Double within_pixel(0.5 - 0.5 / plan.oversample), pixel(f.pixel), half(0.5);
  for (size_t first = 0; first < tile_blocks; first += lanes) {
    const auto at = [&](const auto& values) { return Double::load(values.data() + first); };
    const Vec3<Double> position = (pixel * (at(tile.middle_fast) + half)) *
                                      vec3_as<Double>(f.fast) +
                                  (pixel * (at(tile.middle_slow) + half)) *
                                      vec3_as<Double>(f.slow) +
                                  vec3_as<Double>(f.origin + half_depth * f.normal);
    const Double distance = length(position), near = Double(1) / distance;
    // The axes need not be perpendicular: the sum of the half widths bounds any diagonal.
    const Double reach = pixel * (at(tile.half_fast) + at(tile.half_slow) + within_pixel +
                                  within_pixel) +
                         Double(half_depth);
    const Double spread = select(reach < distance * Double(0.5), reach / (distance - reach),
                                 Double(2));
    near.store(anchors.near.data() + first);
    (position.x * near).store(anchors.x.data() + first);
    (position.y * near).store(anchors.y.data() + first);
    (position.z * near).store(anchors.z.data() + first);
    spread.store(anchors.radius.data() + first);
  }
  for (const double radius : anchors.radius)
    anchors.largest_radius = radius > anchors.largest_radius ? radius : anchors.largest_radius;
}

// ---- Operators: one for each ray and orientation, taking directions to Miller indices -----------

enum Kind : std::uint8_t {
  dark,     ///< nothing of it reaches the block
  uniform,  ///< all of the block lies in the cell of one lattice point
  mixed
};

/// Some operators at all anchors of a tile.
struct Chunk {
  int count = 0;
  int first_ray = 0, rays = 0;
  int ray[chunk_size];  ///< from first_ray
  Mat3d wide[chunk_size];
  Mat3<float> matrix[chunk_size];
  // Of each operator at each anchor: Miller indices = cell + lattice minimum + high + low
  alignas(64) float high[chunk_size][3][tile_blocks];  ///< multiples of 2^-20 in [-1/2, 1/2]
  alignas(64) float low[chunk_size][3][tile_blocks];
  alignas(64) float cell[chunk_size][3][tile_blocks];
  alignas(64) float F2[chunk_size][tile_blocks];  ///< of the nearest lattice point
  alignas(64) float kind[chunk_size][tile_blocks];
};

/// F of nearest lattice points, counted from the corner of the table.
template <Lookup lookup>
NABLA_INLINE Single nearest_F(const CpuPlan& p, const Vec3<Single>& cell) {
  if constexpr (lookup == Lookup::constant) return Single(p.default_F);
  const Vec3<Single> extent = single(p.extent);
  const Single none(0.0f);
  const auto inside = (cell.x >= none) & (cell.x < extent.x) & (cell.y >= none) &
                      (cell.y < extent.y) & (cell.z >= none) & (cell.z < extent.z);
  const Single offset = (cell.x * extent.y + cell.y) * extent.z + cell.z;
  return select(inside, value_at(p.F.data(), offset, inside), Single(p.default_F));
}

/// Interpolated where the neighbourhood is in the table, default_F elsewhere.
NABLA_INLINE Single tricubic_F(const CpuPlan& p, const Vec3<Double>& h) {
  const Vec3<Double> base{physics::floor_of(h.x), physics::floor_of(h.y), physics::floor_of(h.z)};
  const auto inside = narrow(select(p.grid.surrounds(h), Double(1), Double(0))) != Single(0.0f);
  const Vec3<Single> t = narrow(h - base), extent = single(p.extent);
  const Vec3<Single> corner = narrow(base - vec3_as<Double>(p.grid.min + Vec3d{1, 1, 1}));
  const auto stride_k = static_cast<std::int64_t>(p.extent.z),
             stride_h = static_cast<std::int64_t>(p.extent.y) * stride_k;
  Single F(p.default_F);
  for_each_offset((corner.x * extent.y + corner.y) * extent.z + corner.z, inside,
                  [&](std::int64_t offset, const Single::Mask& who) {
                    const float* nodes = p.F.data() + offset;
                    const auto node = [&](int i, int j, int k) {
                      return Single(nodes[i * stride_h + j * stride_k + k]);
                    };
                    F = select(who, physics::tricubic(t.x, t.y, t.z, node), F);
                  });
  return F;
}

/// `ray` and `orientation` are where the chunk begins.
template <Lookup lookup>
void fill_chunk(const CpuPlan& p, const Anchors& anchors, int blocks, size_t ray,
                size_t orientation, Chunk& chunk) {
  const Plan& plan = *p.plan;
  chunk.first_ray = static_cast<int>(ray);
  chunk.count = 0;
  const Single half_cell(0.5f - 1e-5f), none(0.0f);
  for (; chunk.count < chunk_size && ray < plan.rays.size(); ++chunk.count) {
    const auto o = static_cast<size_t>(chunk.count);
    const PlanRay& r = plan.rays[ray];
    const Mat3d& axes = plan.orientations[orientation];
    const Mat3d m{r.wavenumber * axes.a, r.wavenumber * axes.b, r.wavenumber * axes.c};
    chunk.wide[o] = m;
    chunk.matrix[o] = {vec3_as<float>(m.a), vec3_as<float>(m.b), vec3_as<float>(m.c)};
    chunk.ray[o] = static_cast<int>(ray) - chunk.first_ray;
    chunk.rays = chunk.ray[o] + 1;
    if (++orientation == plan.orientations.size()) {
      orientation = 0;
      ++ray;
    }

    const Vec3<Double> incident = vec3_as<Double>(r.incident);
    for (int first = 0; first < blocks; first += lanes) {
      const auto at = [&](const auto& values) { return Double::load(values.data() + first); };
      const Vec3<Double> h = Mat3<Double>{vec3_as<Double>(m.a), vec3_as<Double>(m.b),
                                          vec3_as<Double>(m.c)} *
                             (Vec3<Double>{at(anchors.x), at(anchors.y), at(anchors.z)} - incident);
      const Single spread = narrow(at(anchors.radius));
      Single outside(0.0f), within(1.0f);
      Vec3<Single> cell;
      const auto axis = [&](const Double& index, double minimum, double edge, double reach,
                            size_t which, Single& lattice_point) {
        const Double nearest = round_even(index), fraction = index - nearest;
        // Pushes all bits below 2^-20 out of the mantissa
        const Double shift(6442450944.0), high = (fraction + shift) - shift;
        lattice_point = narrow(nearest - Double(minimum));
        const Single size = magnitude(narrow(fraction)),
                     span = spread * single(edge * r.wavenumber);
        narrow(high).store(chunk.high[o][which] + first);
        narrow(fraction - high).store(chunk.low[o][which] + first);
        lattice_point.store(chunk.cell[o][which] + first);
        outside = select(size - span > single(reach), Single(1.0f), outside);
        within = select(size + span < half_cell, within, none);
      };
      axis(h.x, p.grid.min.x, p.edges_m.x, p.reach.x, 0, cell.x);
      axis(h.y, p.grid.min.y, p.edges_m.y, p.reach.y, 1, cell.y);
      axis(h.z, p.grid.min.z, p.edges_m.z, p.reach.z, 2, cell.z);

      const Single kind = select(within == none, Single(static_cast<float>(mixed)),
                                 Single(static_cast<float>(uniform)));
      if constexpr (lookup != Lookup::tricubic) {
        const Single F = nearest_F<lookup>(p, cell), F2 = F * F;
        F2.store(chunk.F2[o] + first);
        if (p.skips) outside = select((within != none) & (F2 == none), Single(1.0f), outside);
      }
      select(outside != none, Single(static_cast<float>(dark)), kind).store(chunk.kind[o] + first);
    }
  }
}

// ---- Phases -------------------------------------------------------------------------------------

/// Where pixels are seen, as far as every phase needs it.
struct Spot {
  Single near;             ///< 1 / distance [1/m]
  Vec3<Single> direction;  ///< unit vector
};

/// Directions as differences to the middle of the block, in single precision: the error of an
/// index is about 1e-7 times its distance to the index at the middle.
struct AnchoredPhase {
  Vec3<Single> from_middle, anchor;  ///< in units of the distance of the middle
  Single anchor_near;
  Vec3<Single> change;  ///< of the direction

  NABLA_INLINE AnchoredPhase(const CpuPlan& p, const Tile& tile, const Anchors& anchors, int block,
                             int first) {
    const PlanFrame& f = p.plan->frame;
    const auto b = static_cast<size_t>(block);
    const auto offset = [&](const auto& pixels, const auto& middle) {
      return narrow(Double::load(pixels.data() + first) - Double(middle[b]));
    };
    const double width = f.pixel * anchors.near[b];
    from_middle = offset(tile.fast, tile.middle_fast) * single(width * f.fast) +
                  offset(tile.slow, tile.middle_slow) * single(width * f.slow);
    anchor = single(Vec3d{anchors.x[b], anchors.y[b], anchors.z[b]});
    anchor_near = single(anchors.near[b]);
  }

  /// `offset`: from the middle of a pixel to the sub-pixel and layer [m].
  NABLA_INLINE Spot place(const CpuPlan&, const Tile&, int, const SubPixel&, const Vec3d& offset) {
    const Vec3<Single> step = from_middle + anchor_near * single(offset);
    const Single z = dot(step, step + single(2.0) * anchor);
    const Single shrink = single(1.0) + inverse_root_change(z);
    change = shrink * (step - root_change(z) * anchor);
    return {anchor_near * shrink, anchor + change};
  }

  /// Distances to the nearest lattice point, and which one it is where `cell` is asked for.
  template <bool one_cell>
  NABLA_INLINE Vec3<Single> fraction(const Chunk& chunk, size_t o, size_t block,
                                     Vec3<Single>& cell) const {
    const Mat3<float>& m = chunk.matrix[o];
    const auto axis = [&](const Vec3<float>& row, size_t which, Single& lattice_point) {
      const Single high(chunk.high[o][which][block]), low(chunk.low[o][which][block]);
      const Single away = ((Single(row.x) * change.x + low) + Single(row.y) * change.y) +
                          Single(row.z) * change.z;
      if constexpr (one_cell) return high + away;
      const Single nearest = physics::round_half_down(high + away);
      lattice_point = Single(chunk.cell[o][which][block]) + nearest;
      // Exact: both are multiples of 2^-20 below 8.
      return (high - nearest) + away;
    };
    return {axis(m.a, 0, cell.x), axis(m.b, 1, cell.y), axis(m.c, 2, cell.z)};
  }
};

/// Directions and indices in double precision.
struct DoublePhase {
  BasicSubPixel<Double> at;

  NABLA_INLINE DoublePhase(const CpuPlan&, const Tile&, const Anchors&, int, int) {}

  NABLA_INLINE Spot place(const CpuPlan& p, const Tile& tile, int first, const SubPixel& which,
                          const Vec3d&) {
    at.layer = which.layer;
    at.sub_slow = which.sub_slow;
    at.sub_fast = which.sub_fast;
    engine::place(*p.plan, Double::load(tile.fast.data() + first),
                  Double::load(tile.slow.data() + first), at);
    return {narrow(Double(1) / at.distance), narrow(at.direction)};
  }

  NABLA_INLINE Vec3<Double> indices(const CpuPlan& p, const Chunk& chunk, size_t o) const {
    const Mat3d& m = chunk.wide[o];
    const PlanRay& ray = p.plan->rays[static_cast<size_t>(chunk.first_ray + chunk.ray[o])];
    return Mat3<Double>{vec3_as<Double>(m.a), vec3_as<Double>(m.b), vec3_as<Double>(m.c)} *
           (at.direction - vec3_as<Double>(ray.incident));
  }

  NABLA_INLINE auto within_dmin(const CpuPlan& p, const PlanRay& ray) const {
    const Vec3<Double> q = Double(ray.wavenumber) * (at.direction - vec3_as<Double>(ray.incident));
    const Double stol = Double(0.5) * length(q);
    return !((stol > Double(0)) & (Double(p.plan->dmin) > Double(0.5) / stol));
  }
};

// ---- A tile in mixed precision ------------------------------------------------------------------

template <class Phase, CrystalShape Shape, Lookup lookup>
void render_single(const CpuPlan& p, const Tile& tile, const Anchors& anchors, TileSums& out) {
  constexpr bool anchored = std::is_same_v<Phase, AnchoredPhase>;
  const Plan& plan = *p.plan;
  const PlanFrame& frame = plan.frame;
  const PlanSensor& sensor = plan.sensor;
  const bool absorbs = sensor.absorption_per_m > 0;
  const bool each_omega = plan.solid_angle == Apply::to_each_term;
  const bool each_capture = absorbs && plan.capture == Apply::to_each_term;
  const bool each_polarization = plan.polarized && plan.polarization == Apply::to_each_term;
  const double own_depth = each_omega ? sensor.layer_step : 0;
  const Single one(1.0f), none(0.0f);
  const double middle_layer = 0.5 * (sensor.layers - 1), middle_sub = 0.5 * (plan.oversample - 1);
  const std::int64_t samples = std::int64_t{sensor.layers} * plan.oversample * plan.oversample;

  // What a pixel gathers over the chunks
  alignas(64) std::array<double, tile_pixels> sums{}, background{};
  alignas(64) std::array<float, tile_pixels> omegas, polarizations, captures;
  out.solid_angle.fill(0);

  alignas(64) Chunk chunk;
  alignas(64) float ray_factor[chunk_size][lanes];
  const size_t orientations = plan.orientations.size(), operators = plan.rays.size() * orientations;
  for (size_t begin = 0; begin < operators; begin += static_cast<size_t>(chunk.count)) {
    fill_chunk<lookup>(p, anchors, tile.blocks, begin / orientations, begin % orientations, chunk);
    const bool first_chunk = begin == 0;

    for (int block = 0; block < tile.blocks; ++block) {
      const auto b = static_cast<size_t>(block);
      size_t one_cell[chunk_size], many_cells[chunk_size], one_cells = 0, many = 0;
      for (size_t o = 0; o < static_cast<size_t>(chunk.count); ++o) {
        const float kind = chunk.kind[o][b];
        one_cell[one_cells] = o;
        one_cells += anchored && kind == static_cast<float>(uniform);
        many_cells[many] = o;
        many += anchored ? kind == static_cast<float>(mixed) : kind != static_cast<float>(dark);
      }
      const auto lit = one_cells + many;
      out.skipped += (chunk.count - static_cast<std::int64_t>(lit)) * samples * tile.pixels[b];
      if (lit == 0 && !first_chunk && plan.background_per_sr == 0) continue;

      for (int first = block * block_pixels; first < (block + 1) * block_pixels; first += lanes) {
        const auto pixel = static_cast<size_t>(first);
        Phase phase(p, tile, anchors, block, first);
        Double sum = Double::load(sums.data() + pixel);
        SubPixel at;
        for (at.layer = 0; at.layer < sensor.layers; ++at.layer)
          for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
            for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
              const Vec3d offset = (frame.subpixel * (at.sub_fast - middle_sub)) * frame.fast +
                                   (frame.subpixel * (at.sub_slow - middle_sub)) * frame.slow +
                                   (sensor.layer_step * (at.layer - middle_layer)) * frame.normal;
              const Spot spot = phase.place(p, tile, first, at, offset);

              // Solid angle, capture and polarization of this spot of the sensor
              const bool first_spot = at.sub_slow == 0 && at.sub_fast == 0;
              Single omega = one, capture = one;
              if (each_omega || (first_chunk && first_spot && at.layer == 0)) {
                omega = solid_angle(frame, spot.near, own_depth * at.layer);
                if (!each_omega) omega.store(omegas.data() + pixel);
              } else {
                omega = Single::load(omegas.data() + pixel);
              }
              if (first_chunk)
                (Double::load(out.solid_angle.data() + pixel) + widen(omega))
                    .store(out.solid_angle.data() + pixel);
              if (each_capture ||
                  (absorbs && first_chunk && first_spot && at.layer == sensor.layers - 1)) {
                const Single rho = frame.curvature == Curvature::spherical
                                       ? one
                                       : dot(spot.direction, single(frame.normal));
                capture = physics::capture_fraction(single(at.layer), single(sensor.layer_step),
                                                    single(sensor.absorption_per_m), rho);
                if (!each_capture) capture.store(captures.data() + pixel);
              }
              const auto polarization_of = [&](const PlanRay& ray) {
                return physics::kahn_polarization(dot(single(ray.incident), spot.direction),
                                                  dot(spot.direction, single(ray.magnetic)),
                                                  single(plan.polarization_fraction));
              };
              if (first_chunk && first_spot && at.layer == 0 && plan.polarized &&
                  !each_polarization)
                polarization_of(plan.rays[0]).store(polarizations.data() + pixel);
              if (p.ray_factors)
                for (int r = 0; r < chunk.rays; ++r) {
                  const PlanRay& ray = plan.rays[static_cast<size_t>(chunk.first_ray + r)];
                  Single factor = single(ray.weight);
                  if (each_polarization) factor = factor * polarization_of(ray);
                  // A ray whose orientations fill several chunks counts with its first one.
                  if (plan.background_per_sr != 0 && (r > 0 || begin % orientations == 0)) {
                    Single light = factor * omega;
                    if (each_capture) light = light * capture;
                    (Double::load(background.data() + pixel) + widen(light))
                        .store(background.data() + pixel);
                  }
                  if constexpr (!anchored)
                    if (plan.dmin > 0)
                      factor = factor *
                               narrow(select(phase.within_dmin(p, ray), Double(1), Double(0)));
                  factor.store(ray_factor[r]);
                }

              // The steps
              Single terms(0.0f);
              const auto add = [&](size_t o, const Single& F2, const Single& latt) {
                const Single intensity = latt * latt;
                terms = p.ray_factors
                            ? terms + (F2 * Single::load(ray_factor[chunk.ray[o]])) * intensity
                            : terms + F2 * intensity;
              };
              Vec3<Single> cell;
              for (size_t i = 0; i < one_cells; ++i) {
                const size_t o = one_cell[i];
                if constexpr (anchored)
                  add(o, Single(chunk.F2[o][b]),
                      lattice_factor<Shape>(plan.lattice,
                                            phase.template fraction<true>(chunk, o, b, cell)));
              }
              for (size_t i = 0; i < many; ++i) {
                const size_t o = many_cells[i];
                if constexpr (anchored) {
                  const Vec3<Single> d = phase.template fraction<false>(chunk, o, b, cell);
                  const Single F = nearest_F<lookup>(p, cell);
                  add(o, F * F, lattice_factor<Shape>(plan.lattice, d));
                } else {
                  const Vec3<Double> h = phase.indices(p, chunk, o);
                  const Vec3<Double> nearest{physics::round_half_down(h.x),
                                             physics::round_half_down(h.y),
                                             physics::round_half_down(h.z)};
                  const Vec3<Double> d = h - nearest;
                  // The edge of a top hat is sharp: which side of it a pixel is on shows.
                  const Single latt = Shape == CrystalShape::tophat
                                          ? narrow(lattice_factor<Shape>(plan.lattice, d))
                                          : lattice_factor<Shape>(plan.lattice, narrow(d));
                  Single F;
                  if constexpr (lookup == Lookup::tricubic)
                    F = tricubic_F(p, h);
                  else
                    F = nearest_F<lookup>(p, narrow(nearest - vec3_as<Double>(p.grid.min)));
                  add(o, F * F, latt);
                }
              }
              if (each_omega) terms = terms * omega;
              if (each_capture) terms = terms * capture;
              sum = sum + widen(terms);
            }
        sum.store(sums.data() + pixel);
      }
    }
  }

  for (size_t pixel = 0; pixel < static_cast<size_t>(tile.blocks * block_pixels); pixel += lanes) {
    const auto factor = [&](bool once, const auto& values) {
      return once ? widen(Single::load(values.data() + pixel)) : Double(1);
    };
    Double photons = Double(plan.scale * plan.starting_sum) +
                     Double(p.unit) * Double::load(sums.data() + pixel);
    photons = photons * factor(!each_omega, omegas) *
              factor(plan.polarized && !each_polarization, polarizations) *
              factor(absorbs && !each_capture, captures);
    if (plan.background_per_sr != 0) {
      const double share = plan.background_per_sr / (static_cast<double>(plan.rays.size()) *
                                                     plan.oversample * plan.oversample);
      photons = photons + Double(share) * Double::load(background.data() + pixel) *
                              factor(plan.polarized && !each_polarization, polarizations);
    }
    photons.store(out.photons.data() + pixel);
  }
  out.anchored = anchored;
}

/// With the phases that are accurate enough for the tile.
template <CrystalShape Shape, Lookup lookup>
void render_mixed(const CpuPlan& p, const Tile& tile, TileSums& out) {
  Anchors anchors;
  find_anchors(*p.plan, tile, anchors);
  if constexpr (Shape != CrystalShape::tophat && lookup != Lookup::tricubic) {
    const double radius = anchors.largest_radius;
    const double spans = p.max_wavenumber * radius;
    const double error = spans * dot(p.anchor_weight, p.edges_m);
    const bool few_cells = spans * p.edges_m.x < 4 && spans * p.edges_m.y < 4 &&
                           spans * p.edges_m.z < 4;
    if (p.anchors_allowed && few_cells && error < 1 && 2.2 * radius < series_limit)
      return render_single<AnchoredPhase, Shape, lookup>(p, tile, anchors, out);
  }
  render_single<DoublePhase, Shape, lookup>(p, tile, anchors, out);
}

Kernel single_kernel(CrystalShape shape, Lookup lookup) {
  return with_shape(shape, [&]<CrystalShape Shape>() -> Kernel {
    switch (lookup) {
      case Lookup::constant:
        return render_mixed<Shape, Lookup::constant>;
      case Lookup::nearest:
        return render_mixed<Shape, Lookup::nearest>;
      case Lookup::tricubic:
        break;
    }
    return render_mixed<Shape, Lookup::tricubic>;
  });
}

Kernel wide_kernel(CrystalShape shape, Lookup lookup) {
  return with_shape(shape, [&]<CrystalShape Shape>() -> Kernel {
    return lookup == Lookup::tricubic ? render_wide<Shape, Lookup::tricubic>
                                      : render_wide<Shape, Lookup::nearest>;
  });
}

}  // namespace

const KernelSet& kernel_set() {
  static constexpr KernelSet set = {NABLA_INSTRUCTION_SET, single_kernel, wide_kernel};
  return set;
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
