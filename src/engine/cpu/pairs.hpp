// What the kernels of the cpu engine share: where the pixels of a tile are seen, and which pairs of
// a ray (or a band of rays) and an orientation of the crystal light them.  Such a pair takes
// directions to Miller indices by one matrix.  For the files that are compiled once for each
// instruction set, like lanes.hpp.
#pragma once
#include "engine/cpu/kernels.hpp"
#include "engine/cpu/lanes.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

using std::size_t;

inline constexpr int lanes = Single::count;
inline constexpr int chunk_size = 32;  // terms summed in single precision before they join the
                                       // double sum

template <int K = 1>
NABLA_INLINE Singles<K> single(double x) {
  return Singles<K>(static_cast<float>(x));
}
template <int K = 1>
NABLA_INLINE Vec3<Singles<K>> single(const Vec3d& v) {
  return {single<K>(v.x), single<K>(v.y), single<K>(v.z)};
}

template <int K>
NABLA_INLINE Singles<K> load(const std::array<float, tile_pixels>& values, size_t first) {
  return Singles<K>::load(values.data() + first);
}

// ---- Anchors: the middles of the blocks ---------------------------------------------------------

struct Anchors {
  alignas(64) std::array<double, tile_blocks> x, y, z;  ///< direction
  /// How far directions in the block differ from the middle's, at most.
  alignas(64) std::array<double, tile_blocks> radius;
  double largest_radius = 0;
  /// What phases relative to the middles take, in single precision.
  struct Middles {
    alignas(64) std::array<float, tile_blocks> fast, slow, near, x, y, z;  ///< near: 1/distance
                                                                           ///< [1/m]
  } middles;
  Vec3<float> to_next_fast, to_next_slow;  ///< from a pixel to the next along an axis [m]
};

/// Highest |R^2/R0^2 - 1| for which the series below are good to single precision.
inline constexpr double series_limit = 0.05;

/// 1/sqrt(1 + z) - 1: binomial series.
template <class T>
NABLA_INLINE T inverse_root_change(const T& z) {
  return z * (z * (z * (z * (z * -0.24609375f + 0.2734375f) - 0.3125f) + 0.375f) - 0.5f);
}

inline void find_anchors(const CpuPlan& p, const Tile& tile, Anchors& anchors) {
  const PlanFrame& f = p.panel->frame;
  const PlanSensor& sensor = p.panel->sensor;
  const double half_depth = sensor.layer_step * (sensor.layers - 1) / 2;
  const Double within_pixel(0.5 - 0.5 / p.plan->oversample), pixel(f.pixel), half(0.5),
      edge(f.slow_edge);
  Double largest_radius(0);
  for (size_t first = 0; first < tile_blocks; first += lanes) {
    const auto at = [&](const auto& values) { return Double::load(values.data() + first); };
    const Vec3<Double> position = (pixel * (at(tile.middle_fast) + half)) *
                                      vec3_as<Double>(f.fast) +
                                  (pixel * (at(tile.middle_slow) + half)) *
                                      vec3_as<Double>(f.slow) +
                                  vec3_as<Double>(f.origin + half_depth * f.normal);
    const Double distance = length(position), near = Double(1) / distance;
    const Double half_fast = at(tile.half_fast) + within_pixel,
                 half_slow = (at(tile.half_slow) + within_pixel) * edge;
    const Double skew(2 * std::abs(dot(f.fast, f.slow)) / f.slow_edge);
    const Double reach = pixel * sqrt(half_fast * half_fast + half_slow * half_slow +
                                      skew * half_fast * half_slow) +
                         Double(half_depth);
    const Double spread = select(reach < distance * Double(0.5), reach / (distance - reach),
                                 Double(2));
    const auto keep = [first](const Double& value, std::array<float, tile_blocks>& in_single) {
      narrow(value).store(in_single.data() + first);
    };
    const auto keep_both = [&](const Double& value, std::array<double, tile_blocks>& in_double,
                               std::array<float, tile_blocks>& in_single) {
      value.store(in_double.data() + first);
      keep(value, in_single);
    };
    Anchors::Middles& middles = anchors.middles;
    keep(at(tile.middle_fast), middles.fast);
    keep(at(tile.middle_slow), middles.slow);
    keep(near, middles.near);
    keep_both(position.x * near, anchors.x, middles.x);
    keep_both(position.y * near, anchors.y, middles.y);
    keep_both(position.z * near, anchors.z, middles.z);
    spread.store(anchors.radius.data() + first);
    largest_radius = select(spread > largest_radius, spread, largest_radius);
  }
  anchors.largest_radius = largest_of(largest_radius);
  anchors.to_next_fast = vec3_as<float>(f.pixel * f.fast);
  anchors.to_next_slow = vec3_as<float>(f.pixel * f.slow);
}

// ---- Ray-orientation pairs ----------------------------------------------------------------------

/// Some pairs at all anchors of a tile.
struct Chunk {
  int count, first_beam, beams;
  int beam[chunk_size];                               ///< from first_beam
  double wide[chunk_size][9];                         ///< a, b, c [m] times the wavenumber
  float matrix[chunk_size][9];                        ///< the same
  float weight[chunk_size], incident[chunk_size][3];  ///< of each beam, where gradients ask for it
  // Of each pair at each anchor: Miller indices = cell + lattice minimum + high + low
  alignas(64) float high[chunk_size][3][tile_blocks];  ///< multiples of 2^-20 in [-1/2, 1/2]
  alignas(64) float low[chunk_size][3][tile_blocks];
  alignas(64) float cell[chunk_size][3][tile_blocks];
  // Of the nearest lattice point
  alignas(64) float F2[chunk_size][tile_blocks];
  alignas(64) float F[chunk_size][tile_blocks];       ///< where gradients ask for it
  alignas(64) float offset[chunk_size][tile_blocks];  ///< in the table, -1: not there; the same
  // Which pairs reach each block, and of which all of the block lies in the cell of one lattice
  // point: a bit for each pair; up to the last register that holds a block of the tile
  static_assert(chunk_size == 32);
  alignas(64) std::uint32_t lit[tile_blocks];
  alignas(64) std::uint32_t one_cell[tile_blocks];

  NABLA_INLINE std::uint32_t all() const { return ~std::uint32_t{0} >> (chunk_size - count); }
};

/// Writes the numbers of the bits that are set, the lowest first; returns how many.
template <class Index>
NABLA_INLINE Index list_bits(std::uint32_t bits, Index (&list)[chunk_size]) {
  Index count = 0;
  for (; bits != 0; bits &= bits - 1) list[count++] = static_cast<Index>(std::countr_zero(bits));
  return count;
}

NABLA_INLINE Vec3<Double> miller_indices(const double (&m)[9], const Vec3<Double>& v) {
  const auto row = [&](int i) {
    return Double(m[i]) * v.x + Double(m[i + 1]) * v.y + Double(m[i + 2]) * v.z;
  };
  return {row(0), row(3), row(6)};
}

template <int K>
struct PlaceInTable {
  Singles<K> offset;
  typename Singles<K>::Mask inside;
};

/// What of a plan tells where structure factors are.
struct TableOfF {
  std::span<const float> F;
  float default_F;
  Vec3d extent;

  NABLA_INLINE explicit TableOfF(const CpuPlan& p)
      : F(p.F), default_F(p.default_F), extent(p.extent) {}
};

/// `p`: a plan, or its TableOfF; `cell`: lattice points, counted from the corner of the table.
template <int K, class Table>
NABLA_INLINE PlaceInTable<K> place_in_table(const Table& p, const Vec3<Singles<K>>& cell) {
  const auto extent = single<K>(p.extent);
  const Singles<K> none(0.0f);
  const auto inside = (cell.x >= none) & (cell.x < extent.x) & (cell.y >= none) &
                      (cell.y < extent.y) & (cell.z >= none) & (cell.z < extent.z);
  return {(cell.x * extent.y + cell.y) * extent.z + cell.z, inside};
}

/// F of nearest lattice points, and where in the table it is.
template <int K>
struct NearestF {
  Singles<K> F, offset;
  typename Singles<K>::Mask inside;
};

template <int K, class Table>
NABLA_INLINE NearestF<K> look_up_nearest(const Table& p, const Vec3<Singles<K>>& cell) {
  const auto [offset, inside] = place_in_table<K>(p, cell);
  return {select(inside, value_at(p.F.data(), offset, inside), Singles<K>(p.default_F)), offset,
          inside};
}
template <Lookup lookup, int K>
NABLA_INLINE Singles<K> nearest_F(const CpuPlan& p, const Vec3<Singles<K>>& cell) {
  if constexpr (lookup == Lookup::constant) return Singles<K>(1.0f);  // F is part of the unit
  return look_up_nearest<K>(p, cell).F;
}

/// F^2 at nearest lattice points where rays have several F; `beams`: one ray for each register.
template <int K>
HWY_NOINLINE Singles<K> several_F2(const CpuPlan& p, const Vec3<Singles<K>>& cell,
                                   const std::array<size_t, K>& beams) {
  const auto [offset, inside] = place_in_table<K>(p, cell);
  const Singles<K> at = select(inside, offset, Singles<K>(static_cast<float>(p.F.size()))) *
                        Singles<K>(static_cast<float>(p.terms));
  const auto terms = static_cast<size_t>(p.terms);
  Singles<K> F2(0.0f);
  for (size_t k = 0; k < terms; ++k)
    F2 = F2 + by_part<K>([&](int i) {
                return p.of_rays[beams[static_cast<size_t>(i)] * terms + k];
              }) * value_at(p.of_reflections.data() + k, at, at == at);
  return F2;
}

/// F^2 at nearest lattice points; beam(i) is that of register i.
template <Lookup lookup, int K, class BeamOf>
NABLA_INLINE Singles<K> nearest_F2(const CpuPlan& p, const Vec3<Singles<K>>& cell, BeamOf&& beam) {
  if constexpr (lookup == Lookup::nearest)
    if (p.terms > 0) [[unlikely]] {
      std::array<size_t, K> beams;
      for (size_t i = 0; i < K; ++i) beams[i] = beam(i);
      return several_F2<K>(p, cell, beams);
    }
  const Singles<K> F = nearest_F<lookup, K>(p, cell);
  return F * F;
}

/// The 4 x 4 x 4 entries of the table between which F is interpolated.
template <int K>
struct Neighbourhood {
  Vec3<Singles<K>> between;  ///< from its second node along each axis
  Singles<K> corner;         ///< where its first node is in the table
  typename Singles<K>::Mask inside;
};

/// `cell` and `d`: the nearest lattice point, counted from the corner of the table, and the way
/// from there.
template <int K, class Table>
NABLA_INLINE Neighbourhood<K> neighbourhood_of(const Table& p, const Vec3<Singles<K>>& cell,
                                               const Vec3<Singles<K>>& d) {
  const Singles<K> none(0.0f), one(1.0f), two(2.0f), three(3.0f);
  const auto below = [&](const Singles<K>& at, const Singles<K>& from) {
    return select(at < none, from - one, from);
  };
  const Vec3<Singles<K>> base{below(d.x, cell.x), below(d.y, cell.y), below(d.z, cell.z)};
  const auto beyond = [&](const Singles<K>& at) { return select(at < none, at + one, at); };
  // As GridView::surrounds(), but for indices that are whole.  Images are unsure of those and ask
  // again; gradients take the slope on either side and, at the rim of the table, of default_F.
  const auto extent = single<K>(p.extent);
  const auto inside = (base.x >= two) & (base.x + three < extent.x) & (base.y >= two) &
                      (base.y + three < extent.y) & (base.z >= two) & (base.z + three < extent.z);
  const Singles<K> corner = ((base.x - one) * extent.y + (base.y - one)) * extent.z +
                            (base.z - one);
  return {{beyond(d.x), beyond(d.y), beyond(d.z)}, corner, inside};
}

/// `beam` and `orientation` are where the chunk begins.
template <Lookup lookup, bool for_gradients = false>
void fill_chunk(const CpuPlan& p, const Anchors& anchors, int blocks, size_t beam,
                size_t orientation, Chunk& chunk) {
  const Plan& plan = *p.plan;
  chunk.first_beam = static_cast<int>(beam);
  chunk.count = 0;
  const hn::ScalableTag<std::uint32_t> bits32;
  for (int first = 0; first < blocks; first += lanes) {
    hn::Store(hn::Zero(bits32), bits32, chunk.lit + first);
    hn::Store(hn::Zero(bits32), bits32, chunk.one_cell + first);
  }
  // The adjoints of half a chunk stay in a cache of 48 KiB next to it.
  constexpr int most = for_gradients ? chunk_size / 2 : chunk_size;
  const Single half_cell(0.5f - 1e-5f), none(0.0f);
  for (; chunk.count < most && beam < p.beams.size(); ++chunk.count) {
    const auto o = static_cast<size_t>(chunk.count);
    const size_t number = beam;
    const Beam& r = p.beams[number];
    const Mat3d& axes = plan.lattice.orientations[orientation];
    const Vec3d* rows[] = {&axes.a, &axes.b, &axes.c};
    for (size_t i = 0; i < 3; ++i) {
      const double m[] = {r.wavenumber * rows[i]->x, r.wavenumber * rows[i]->y,
                          r.wavenumber * rows[i]->z};
      for (size_t j = 0; j < 3; ++j) {
        chunk.wide[o][3 * i + j] = m[j];
        chunk.matrix[o][3 * i + j] = static_cast<float>(m[j]);
      }
    }
    chunk.beam[o] = static_cast<int>(beam) - chunk.first_beam;
    chunk.beams = chunk.beam[o] + 1;
    if constexpr (for_gradients) {
      const auto b = static_cast<size_t>(chunk.beam[o]);
      chunk.weight[b] = static_cast<float>(r.weight);
      const double incident[] = {r.incident.x, r.incident.y, r.incident.z};
      for (size_t j = 0; j < 3; ++j) chunk.incident[b][j] = static_cast<float>(incident[j]);
    }
    if (++orientation == plan.lattice.orientations.size()) {
      orientation = 0;
      ++beam;
    }

    const Vec3<Double> incident = vec3_as<Double>(r.incident);
    for (int first = 0; first < blocks; first += lanes) {
      const auto at = [&](const auto& values) { return Double::load(values.data() + first); };
      const Vec3<Double> h = miller_indices(
          chunk.wide[o], Vec3<Double>{at(anchors.x), at(anchors.y), at(anchors.z)} - incident);
      const Single spread = narrow(at(anchors.radius)), sweep(r.high > -r.low ? r.high : -r.low);
      Single outside(0.0f), within(1.0f);
      Vec3<Single> cell;
      const auto axis = [&](const Double& index, double minimum, double edge, double reach,
                            size_t which, Single& lattice_point) {
        const Double nearest = round_even(index), fraction = index - nearest;
        // Pushes all bits below 2^-20 out of the mantissa
        const Double shift(6442450944.0), high = (fraction + shift) - shift;
        lattice_point = narrow(nearest - Double(minimum));
        const Single size = magnitude(narrow(fraction)),
                     span = spread * single(edge * r.wavenumber) * (Single(1.0f) + sweep) +
                            magnitude(narrow(index)) * sweep;
        narrow(high).store(chunk.high[o][which] + first);
        narrow(fraction - high).store(chunk.low[o][which] + first);
        lattice_point.store(chunk.cell[o][which] + first);
        outside = select(size - span > single(reach), Single(1.0f), outside);
        within = select(size + span < half_cell, within, none);
      };
      axis(h.x, p.grid.min.x, p.edges_m.x, p.reach.x, 0, cell.x);
      axis(h.y, p.grid.min.y, p.edges_m.y, p.reach.y, 1, cell.y);
      axis(h.z, p.grid.min.z, p.edges_m.z, p.reach.z, 2, cell.z);

      if constexpr (lookup == Lookup::nearest) {
        Single F2;
        // Of derivatives rays have one F, and that of a band is the mean of the light
        if (!for_gradients && p.terms > 0 && !p.bands) {
          F2 = several_F2<1>(p, cell, {number});
        } else {
          const auto found = look_up_nearest<1>(p, cell);
          F2 = found.F * found.F;
          if constexpr (for_gradients) {
            found.F.store(chunk.F[o] + first);
            select(found.inside, found.offset, Single(-1.0f)).store(chunk.offset[o] + first);
          }
        }
        F2.store(chunk.F2[o] + first);
        if (p.skips) outside = select((within != none) & (F2 == none), Single(1.0f), outside);
      }
      const auto reached = outside == none;
      const auto bit = hn::Set(bits32, std::uint32_t{1} << o);
      const auto set_bit = [&](std::uint32_t* bits, const Single::Mask& where) {
        const auto set = hn::IfThenElseZero(hn::RebindMask(bits32, where.part[0]), bit);
        hn::Store(hn::Or(hn::Load(bits32, bits), set), bits32, bits);
      };
      set_bit(chunk.lit + first, reached);
      set_bit(chunk.one_cell + first, reached & (within != none));
    }
  }
}

// ---- Phases -------------------------------------------------------------------------------------

/// Where K registers of pixels are seen, as far as every phase needs it.
template <int K>
struct Spot {
  Singles<K> near;             ///< 1 / distance [1/m]
  Vec3<Singles<K>> direction;  ///< unit vector
};

NABLA_INLINE size_t block_of(size_t pixel) { return pixel / block_pixels; }

/// The blocks that K registers from pixel `first` on lie in; those of a block share its number,
/// which the compiler sees.
template <int K>
NABLA_INLINE std::array<size_t, K> blocks_of(size_t first) {
  std::array<size_t, K> blocks;
  for (size_t i = 0; i < K; ++i) blocks[i] = block_of(first) + i * lanes / block_pixels;
  return blocks;
}

/// Which pairs of a chunk reach the pixels of some registers, a bit for each: those for which
/// the pixels lie in the cell of one lattice point, others, and those that leave them dark.
struct Reached {
  std::uint32_t one_cell, many_cells, dark;
};
template <bool knows_cells, size_t K>
NABLA_INLINE Reached reached_by(const Chunk& chunk, const std::array<size_t, K>& blocks) {
  std::uint32_t lit = 0, alike = ~std::uint32_t{0};
  for (const size_t block : blocks) {
    lit |= chunk.lit[block];
    alike &= chunk.one_cell[block];
  }
  if constexpr (!knows_cells) alike = 0;
  return {alike, lit & ~alike, chunk.all() & ~lit};
}

/// Directions as differences to the middle of the block, in single precision: the error of an
/// index is about 1e-7 times its distance to the index at the middle.
template <int K>
struct AnchoredPhase {
  Vec3<Singles<K>> from_middle, anchor;  ///< in units of the distance of the middle
  Singles<K> anchor_near;
  Vec3<Singles<K>> change;  ///< of the direction

  NABLA_INLINE AnchoredPhase(const CpuPlan&, const Tile& tile, const Anchors& anchors,
                             size_t first) {
    const auto blocks = blocks_of<K>(first);
    const auto of_block = [&](const std::array<float, tile_blocks>& values) {
      return by_part<K>([&](int i) { return values[blocks[static_cast<size_t>(i)]]; });
    };
    const Anchors::Middles& middles = anchors.middles;
    anchor_near = of_block(middles.near);
    anchor = {of_block(middles.x), of_block(middles.y), of_block(middles.z)};
    // Half-integral, so that their difference is exact
    const Singles<K> right = anchor_near * (load<K>(tile.fast, first) - of_block(middles.fast)),
                     up = anchor_near * (load<K>(tile.slow, first) - of_block(middles.slow));
    from_middle = right * vec3_as<Singles<K>>(anchors.to_next_fast) +
                  up * vec3_as<Singles<K>>(anchors.to_next_slow);
  }

  NABLA_INLINE Spot<K> place(const CpuPlan&, const Tile&, size_t, const Sample& sample) {
    const Vec3<Singles<K>> step = from_middle + anchor_near * vec3_as<Singles<K>>(sample.offset);
    const Singles<K> z = dot(step, step + Singles<K>(2.0f) * anchor);
    // (anchor + step)/sqrt(1 + z) is the direction.
    const Singles<K> shorter = inverse_root_change(z);
    change = step + shorter * (anchor + step);
    return {anchor_near + anchor_near * shorter, anchor + change};
  }
};

/// Directions and indices in double precision.
struct DoublePhase {
  BasicSubPixel<Double> at;

  NABLA_INLINE DoublePhase(const CpuPlan&, const Tile&, const Anchors&, size_t) {}

  NABLA_INLINE Spot<1> place(const CpuPlan& p, const Tile& tile, size_t first,
                             const Sample& sample) {
    at.layer = sample.layer;
    at.sub_slow = sample.sub_slow;
    at.sub_fast = sample.sub_fast;
    engine::place(*p.panel, p.plan->oversample, widen(load<1>(tile.fast, first)),
                  widen(load<1>(tile.slow, first)), at);
    return {narrow(Double(1) / at.distance), narrow(at.direction)};
  }

  NABLA_INLINE auto within_dmin(const CpuPlan& p, const Beam& beam) const {
    return engine::within_dmin(
        p.plan->dmin, Double(beam.wavenumber) * (at.direction - vec3_as<Double>(beam.incident)));
  }
};

/// Distances to the nearest lattice point with anchored phases, each register for its own pair
/// and block, and which point it is.  `one_cell`: the same for all of the block, and not asked for.
template <bool one_cell, int K>
NABLA_INLINE Vec3<Singles<K>> anchored_distance(const Chunk& chunk, const size_t (&o)[K],
                                                const auto& block, const Vec3<Singles<K>>& change,
                                                Vec3<Singles<K>>& cell) {
  const auto axis = [&](size_t which, Singles<K>& lattice_point) {
    const auto entry = [&](size_t column) {
      return by_part<K>([&](int i) { return chunk.matrix[o[i]][3 * which + column]; });
    };
    const auto of_block = [&](const float(&values)[chunk_size][3][tile_blocks]) {
      return by_part<K>([&](int i) { return values[o[i]][which][block[static_cast<size_t>(i)]]; });
    };
    const Singles<K> high = of_block(chunk.high);
    const Singles<K> away = ((entry(0) * change.x + of_block(chunk.low)) + entry(1) * change.y) +
                            entry(2) * change.z;
    if constexpr (one_cell) return high + away;
    // Ties are among the pixels that anchored_intensity() is unsure of.
    const Singles<K> nearest = round_even(high + away);
    lattice_point = of_block(chunk.cell) + nearest;
    // Exact but for the last sum: both are multiples of 2^-20 below 8.
    return (high - nearest) + away;
  };
  return {axis(0, cell.x), axis(1, cell.y), axis(2, cell.z)};
}

/// Are anchored phases accurate enough for the tile?
inline bool suits_anchors(const CpuPlan& p, const Anchors& anchors) {
  const double radius = anchors.largest_radius;
  const double spans = p.max_wavenumber * radius;
  const double error = spans * dot(p.anchor_weight, p.edges_m);
  const bool few_cells = spans * p.edges_m.x < 4 && spans * p.edges_m.y < 4 &&
                         spans * p.edges_m.z < 4;
  return p.anchors_allowed && few_cells && error < 1 && 2.2 * radius < series_limit;
}

// ---- Bands: wavelengths of one direction, which move the indices along a straight line ----------

/// Which rays of a band of Gaussian spots light the pixels of a register: one interval of
/// wavelengths for each pixel.  `d`: distances to the lattice point of the band's middle, the only
/// one that the band comes near to; `h`: indices there.  Exponents are small differences of large
/// numbers, so all but the exponential itself is in double precision.
struct BandOfPixels {
  using Two = Singles<2>;

  const CpuPlan& p;
  const Beam& beam;
  physics::Approach<Double> approach;
  Single least, curvature;  ///< of the approach
  Single::Mask lit;
  alignas(64) float leasts[lanes], curvatures[lanes], lows[lanes], highs[lanes];
  alignas(64) double ats[lanes];

  NABLA_INLINE BandOfPixels(const CpuPlan& plan, const Beam& of, const Vec3<Double>& d,
                            const Vec3<Double>& h)
      : p(plan),
        beam(of),
        approach(physics::closest_approach(physics::metric_as<Double>(plan.lattice.metric), d, h)) {
    const Single at = narrow(approach.at);
    least = narrow(approach.radius2);
    curvature = narrow(approach.curvature);
    const auto part = lit_part(beam, at, least, curvature, single(p.dark_radius2));
    lit = part.lit;
    approach.at.store(ats);
    least.store(leasts);
    curvature.store(curvatures);
    place_in_bins(beam, part.low).store(lows);
    place_in_bins(beam, part.high).store(highs);
  }

  /// Calls work(j, u - u of the closest approach, squared radius - least) for two registers of lit
  /// rays at a time, which hide each other's latencies; j counts as in CpuPlan::band_change.
  /// Returns the number of rays.
  template <class Work>
  NABLA_INLINE int for_each_lit_ray(size_t lane, Work&& work) const {
    const std::array<int, 2>* bins = p.band_bins.data() + beam.first_bin;
    const int begin = bins[bin_at(lows[lane])][0], end = bins[bin_at(highs[lane])][1];
    for (int j = begin; j < end; j += Two::count) {
      const Two off = narrow(Doubles<2>::load(p.band_change.data() + j) - Doubles<2>(ats[lane]));
      work(j, off, Two(curvatures[lane]) * off * off);
    }
    return end - begin;
  }
};

}  // namespace nablabragg::engine::HWY_NAMESPACE
