// The kernels of the cpu engine.  This file is compiled once for each instruction set, all of it in
// the namespace of that set; scripts/check-kernels makes sure that nothing leaks out of it.
#include "engine/beamstop_shadow.hpp"
#include "engine/closed/closed_gradient.hpp"
#include "engine/cpu/pairs.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

// ---- In double precision throughout ------------------------------------------------------------

/// The reference engine's loop, as many pixels at once as there are lanes.
template <class Shape, Lookup lookup>
void render_wide(const CpuPlan& p, const Tile& tile, TileSums& out) {
  const auto pixels = static_cast<size_t>(tile.blocks) * block_pixels;
  for (size_t first = 0; first < pixels; first += lanes) {
    const auto sums = sum_lattice<Shape, lookup == Lookup::tricubic>(
        *p.plan, *p.panel, p.grid, widen(load<1>(tile.fast, first)),
        widen(load<1>(tile.slow, first)), all_steps, UntilStopped(tile.stopped));
    sums.photons.store(out.photons.data() + first);
    sums.solid_angle_sum.store(out.solid_angle.data() + first);
  }
}

// ---- Steps --------------------------------------------------------------------------------------

/// F between the lattice points, where nanoBragg interpolates; arguments as neighbourhood_of().
template <int K>
NABLA_INLINE Singles<K> interpolated_F(const CpuPlan& p, const Vec3<Singles<K>>& cell,
                                       const Vec3<Singles<K>>& d) {
  const auto at = neighbourhood_of<K>(p, cell, d);
  const auto weights = physics::tricubic_weights(at.between.x, at.between.y, at.between.z);
  return interpolated(p.grid, p.F.data(), at.corner, at.inside, weights, Singles<K>(p.default_F));
}

NABLA_INLINE size_t number_of_beam(const Chunk& chunk, size_t o) {
  return static_cast<size_t>(chunk.first_beam) + static_cast<size_t>(chunk.beam[o]);
}
NABLA_INLINE const Beam& beam_of(const CpuPlan& p, const Chunk& chunk, size_t o) {
  return p.beams[number_of_beam(chunk, o)];
}

/// F^2 F_latt^2 with anchored phases.  `unsure` are pixels so close to where the value jumps that
/// they may be on either side: to the border between two lattice points or, where F is
/// interpolated, to the plane through one.
template <class Shape, Lookup lookup, bool one_cell, int K>
NABLA_INLINE Singles<K> anchored_intensity(const CpuPlan& p, const Chunk& chunk,
                                           const size_t (&o)[K], const std::array<size_t, K>& block,
                                           const Vec3<Singles<K>>& change,
                                           typename Singles<K>::Mask& unsure) {
  constexpr float doubt = 1e-6f;
  Vec3<Singles<K>> cell;
  const auto d = anchored_distance<one_cell, K>(chunk, o, block, change, cell);
  if constexpr (lookup == Lookup::tricubic) {
    const Singles<K> plane(doubt);
    unsure = (magnitude(d.x) < plane) | (magnitude(d.y) < plane) | (magnitude(d.z) < plane);
  } else if constexpr (lookup == Lookup::nearest && !one_cell) {
    const Singles<K> border(0.5f - doubt);
    unsure = (magnitude(d.x) > border) | (magnitude(d.y) > border) | (magnitude(d.z) > border);
  }
  const Singles<K> latt = Shape::factor(p.lattice, d), latt2 = latt * latt;
  if constexpr (lookup == Lookup::constant) return latt2;
  if constexpr (lookup == Lookup::nearest && one_cell)
    return by_part<K>([&](int i) {
             const auto part = static_cast<size_t>(i);
             return chunk.F2[o[part]][block[part]];
           }) *
           latt2;
  if constexpr (lookup == Lookup::tricubic) {
    const Singles<K> F = interpolated_F<K>(p, cell, d);
    return (F * F) * latt2;
  } else {
    return nearest_F2<lookup, K>(p, cell, [&](size_t i) { return number_of_beam(chunk, o[i]); }) *
           latt2;
  }
}

/// F^2 F_latt^2 with phases in double precision.
template <class Shape, Lookup lookup>
NABLA_INLINE Single double_phase_intensity(const CpuPlan& p, const Chunk& chunk, size_t o,
                                           const Vec3<Double>& direction) {
  const Vec3<Double> h = miller_indices(chunk.wide[o],
                                        direction - vec3_as<Double>(beam_of(p, chunk, o).incident));
  const Vec3<Double> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
  const Single latt = Shape::factor(p.lattice, h - nearest, Shaped<Single>());
  if constexpr (lookup == Lookup::constant) return latt * latt;
  if constexpr (lookup == Lookup::tricubic) {
    // In double precision: the weights have both signs, and nodes may cancel.
    const Single F = single(1 / p.largest_F) *
                     narrow(tricubic_structure_factor(p.grid, Double(p.plan->lattice.default_F), h,
                                                      p.grid.surrounds(h)));
    return (F * F) * (latt * latt);
  } else {
    return nearest_F2<lookup, 1>(p, narrow(nearest - vec3_as<Double>(p.grid.min)),
                                 [&](size_t) { return number_of_beam(chunk, o); }) *
           (latt * latt);
  }
}

/// The same for any pixels, from scratch.
template <class Shape, Lookup lookup>
HWY_NOINLINE Single double_phase_intensity(const CpuPlan& p, const Tile& tile, size_t first,
                                           const Sample& sample, const Chunk& chunk, size_t o) {
  DoublePhase phase(p, tile, {}, first);
  phase.place(p, tile, first, sample);
  return double_phase_intensity<Shape, lookup>(p, chunk, o, phase.at.direction);
}

// ---- Bands --------------------------------------------------------------------------------------

/// The sum of F^2 F_latt^2 over the rays of a band.
NABLA_INLINE Single band_intensity(const CpuPlan& p, const Beam& beam, const Vec3<Double>& d,
                                   const Vec3<Double>& h, const Single& F2,
                                   std::int64_t& lit_rays) {
  const BandOfPixels band(p, beam, d, h);
  alignas(64) float sums[lanes];
  const Single none(0.0f);
  none.store(sums);
  using Two = BandOfPixels::Two;
  const Two count = single<2>(p.lattice.cells.x), fudge = single<2>(p.lattice.fudge);
  for_each_lane(band.lit & (F2 > none), [&](size_t lane) {
    Two sum(0.0f);
    lit_rays += band.for_each_lit_ray(lane, [&](int j, const Two&, const Two& beyond) {
      const Two latt = physics::Gauss::factor_at(Two(band.leasts[lane]) + beyond, count, fudge);
      sum = sum + Two::load(p.band_weight.data() + j) * (latt * latt);
    });
    sums[lane] = sum_of(nth<1>(sum, 0) + nth<1>(sum, 1));
  });
  return F2 * Single::load(sums);
}

/// The same where rays have several F; `first`: where the terms of the lattice point are.  F^2 of
/// the light on the whole says whether there are any.
NABLA_INLINE Single band_intensity(const CpuPlan& p, const Beam& beam, const Vec3<Double>& d,
                                   const Vec3<Double>& h, const NearestF<1>& nearest,
                                   std::int64_t& lit_rays) {
  const BandOfPixels band(p, beam, d, h);
  alignas(64) float sums[lanes], offsets[lanes];
  const Single none(0.0f);
  none.store(sums);
  const auto rest = static_cast<float>(p.F.size());
  select(nearest.inside, nearest.offset, Single(rest)).store(offsets);
  using Two = BandOfPixels::Two;
  const Two count = single<2>(p.lattice.cells.x), fudge = single<2>(p.lattice.fudge);
  const size_t terms = static_cast<size_t>(p.terms), stride = p.band_weight.size();
  for_each_lane(band.lit & (nearest.F != none), [&](size_t lane) {
    const float* const of_reflection = p.of_reflections.data() +
                                       terms * static_cast<size_t>(offsets[lane]);
    const float* const of_rays = p.band_terms.data();
    Two sum(0.0f);
    lit_rays += band.for_each_lit_ray(lane, [&](int j, const Two&, const Two& beyond) {
      const Two latt = physics::Gauss::factor_at(Two(band.leasts[lane]) + beyond, count, fudge);
      Two F2 = Two(of_reflection[0]) * Two::load(p.band_weight.data() + j);
      for (size_t k = 1; k < terms; ++k)
        F2 = F2 + Two(of_reflection[k]) * Two::load(of_rays + (k - 1) * stride + j);
      sum = sum + F2 * (latt * latt);
    });
    sums[lane] = sum_of(nth<1>(sum, 0) + nth<1>(sum, 1));
  });
  return Single::load(sums);
}

// ---- A tile in mixed precision ------------------------------------------------------------------

enum class Phases { wide, anchored };
enum class Rays { apart, in_bands };

/// Solid angle, capture and polarization of a spot of the sensor, by the rules of a plan.  A copy
/// of what they want to know: nothing that is stored can change it, so that it stays in registers.
template <int K>
struct SpotFactors {
  using Narrow = Singles<K>;

  PlanFrame frame;
  PlanSensor sensor;
  bool each_omega, each_capture, one_capture, each_polarization, one_polarization;
  Narrow polarization_fraction, layer_step, absorption;
  Vec3<Narrow> first_incident, first_magnetic;
  double own_depth;  ///< of a layer behind the one before, for its own solid angle [m]

  NABLA_INLINE explicit SpotFactors(const CpuPlan& p)
      : frame(p.panel->frame),
        sensor(p.panel->sensor),
        each_omega(p.plan->rules.each_solid_angle()),
        each_capture(p.plan->rules.each_capture(sensor)),
        one_capture(p.plan->rules.once_capture(sensor)),
        each_polarization(p.plan->rules.each_polarization()),
        one_polarization(p.plan->rules.once_polarization()),
        polarization_fraction(single<K>(p.plan->light.polarization_fraction)),
        layer_step(single<K>(sensor.layer_step)),
        absorption(single<K>(sensor.absorption_per_m)),
        first_incident(single<K>(p.plan->light.rays[0].incident)),
        first_magnetic(single<K>(p.plan->light.rays[0].magnetic)),
        own_depth(each_omega ? sensor.layer_step : 0) {}

  NABLA_INLINE Narrow solid_angle_of(const Spot<K>& spot, int layer) const {
    return solid_angle(frame, spot.near, own_depth * layer);
  }
  NABLA_INLINE Narrow capture_of(const Spot<K>& spot, int layer) const {
    return physics::capture_fraction(single<K>(layer), layer_step, absorption,
                                     obliquity(frame, spot.direction));
  }
  NABLA_INLINE Narrow polarization_of(const Spot<K>& spot, const Vec3<Narrow>& incident,
                                      const Vec3<Narrow>& magnetic) const {
    return physics::kahn_polarization(dot(incident, spot.direction), dot(spot.direction, magnetic),
                                      polarization_fraction);
  }
  NABLA_INLINE Narrow first_polarization_of(const Spot<K>& spot) const {
    return polarization_of(spot, first_incident, first_magnetic);
  }
};

/// What the pixels of a tile gather over the chunks.
struct Gathered {
  alignas(64) std::array<double, tile_pixels> sums;
  alignas(64) std::array<float, tile_pixels> once;  ///< solid angle and polarization taken once
  alignas(64) std::array<float, tile_pixels> captures;
};

/// From the sums over the steps to photons.
struct ToPhotons {
  double start, unit;
  bool one_capture;

  NABLA_INLINE ToPhotons(const CpuPlan& p, bool captures_once)
      : start(p.plan->scale * p.plan->background.starting_sum),
        unit(p.unit),
        one_capture(captures_once) {}

  template <int K>
  NABLA_INLINE Doubles<K> of(const Doubles<K>& sum, const Gathered& gathered, size_t first) const {
    using Wide = Doubles<K>;
    Wide photons = (Wide(start) + Wide(unit) * sum) * widen(load<K>(gathered.once, first));
    if (one_capture) photons = photons * widen(load<K>(gathered.captures, first));
    return photons;
  }
};

template <int TwoK>
NABLA_INLINE void keep(const Lanes<double, TwoK>& value, bool is_first,
                       std::array<double, tile_pixels>& total, size_t first) {
  double* const at = total.data() + first;
  if (is_first)
    value.store(at);
  else
    (value + Lanes<double, TwoK>::load(at)).store(at);
}

/// Wanted pixels of some registers, times the registers of a block, which share its pixels.
template <size_t K>
NABLA_INLINE std::int64_t wanted_pixels(const Tile& tile, const std::array<size_t, K>& blocks) {
  std::int64_t wanted = 0;
  for (const size_t block : blocks)
    if (block < static_cast<size_t>(tile.blocks))
      wanted += std::int64_t{tile.pixels[block]} * lanes;
  return wanted;
}

/// What each beam of a chunk weighs at a spot, where that differs.
template <int K>
struct BeamFactors {
  alignas(64) float values[chunk_size][Singles<K>::count];

  NABLA_INLINE Singles<K> of_pair(const Chunk& chunk, size_t o) const {
    return Singles<K>::load(values[chunk.beam[o]]);
  }
};

/// A spot of the sensor in some registers of pixels, and the pairs of which some reach it.
struct LitSpot {
  const CpuPlan& p;
  const Tile& tile;
  size_t first;  ///< pixel
  const Sample& sample;
  const Chunk& chunk;
};

/// anchored_intensity(), and in double precision where that is unsure.
/// `registers`: of pixels; 1 where N pairs share one.
template <class Shape, Lookup lookup, bool one_cell, int registers, int N>
NABLA_INLINE Singles<N> sure_intensity(const LitSpot& at, const size_t (&o)[N],
                                       const std::array<size_t, N>& blocks,
                                       const Vec3<Singles<N>>& change) {
  typename Singles<N>::Mask unsure;
  auto term = anchored_intensity<Shape, lookup, one_cell, N>(at.p, at.chunk, o, blocks, change,
                                                             unsure);
  if constexpr (lookup == Lookup::tricubic || (lookup == Lookup::nearest && !one_cell))
    if (any(unsure)) [[unlikely]]
      for (size_t k = 0; k < N; ++k)
        term.part[k] = double_phase_intensity<Shape, lookup>(
                           at.p, at.tile, at.first + (registers == 1 ? 0 : k * lanes), at.sample,
                           at.chunk, o[k])
                           .part[0];
  return term;
}

/// F^2 F_latt^2 of the plan's only pair, weighed: two registers of pixels side by side hide
/// each other's latencies.
template <class Shape, Lookup lookup, bool one_cell>
NABLA_INLINE Singles<2> sum_of_pairs(const LitSpot& at, const Vec3<Singles<2>>& change,
                                     std::uint32_t bits, const BeamFactors<2>& beam_factors) {
  if (bits == 0) return {0.0f};
  const size_t o[] = {0, 0};
  const Singles<2> term = sure_intensity<Shape, lookup, one_cell, 2, 2>(
      at, o, blocks_of<2>(at.first), change);
  return at.p.ray_factors ? term * beam_factors.of_pair(at.chunk, 0) : term;
}

/// The same for one register of pixels and several pairs: two pairs are side by side.
template <class Shape, Lookup lookup, bool one_cell>
NABLA_INLINE Single sum_of_pairs(const LitSpot& at, const Vec3<Single>& change, std::uint32_t bits,
                                 const BeamFactors<1>& beam_factors) {
  size_t list[chunk_size];
  const size_t n = list_bits(bits, list), block = block_of(at.first);
  const bool weighed = at.p.ray_factors;
  const Vec3<Singles<2>> changes{repeated<2>(change.x), repeated<2>(change.y),
                                 repeated<2>(change.z)};
  Singles<2> both(0.0f);
  size_t i = 0;
  for (; i + 2 <= n; i += 2) {
    const size_t o[] = {list[i], list[i + 1]};
    auto term = sure_intensity<Shape, lookup, one_cell, 1, 2>(at, o, {block, block}, changes);
    if (weighed)
      term = term *
             Singles<2>::of([&](int k) { return beam_factors.of_pair(at.chunk, o[k]).part[0]; });
    both = both + term;
  }
  const Single terms = nth<1>(both, 0) + nth<1>(both, 1);
  if (i == n) return terms;
  const size_t o[] = {list[i]};
  const Single term = sure_intensity<Shape, lookup, one_cell, 1, 1>(at, o, {block}, change);
  return weighed ? terms + term * beam_factors.of_pair(at.chunk, list[i]) : terms + term;
}

/// F^2 F_latt^2 of the pairs that reach a spot, weighed and summed.
template <class Shape, Lookup lookup, int K>
NABLA_INLINE Singles<K> sum_of_steps(const LitSpot& at, const AnchoredPhase<K>& phase,
                                     const Reached& reached, const BeamFactors<K>& beam_factors) {
  const Singles<K> terms = sum_of_pairs<Shape, lookup, false>(at, phase.change, reached.many_cells,
                                                              beam_factors);
  if constexpr (lookup == Lookup::tricubic) return terms;
  return terms +
         sum_of_pairs<Shape, lookup, true>(at, phase.change, reached.one_cell, beam_factors);
}
template <class Shape, Lookup lookup>
NABLA_INLINE Single sum_of_steps(const LitSpot& at, const DoublePhase& phase,
                                 const Reached& reached, const BeamFactors<1>& beam_factors) {
  size_t list[chunk_size];
  const size_t n = list_bits(reached.many_cells, list);
  Single terms(0.0f);
  for (size_t i = 0; i < n; ++i) {
    const size_t o = list[i];
    const Single term = double_phase_intensity<Shape, lookup>(at.p, at.chunk, o,
                                                              phase.at.direction);
    terms = at.p.ray_factors ? terms + term * beam_factors.of_pair(at.chunk, o) : terms + term;
  }
  return terms;
}

/// The same for pairs whose beams are bands.
template <Lookup lookup>
NABLA_INLINE Single sum_of_bands(const LitSpot& at, const DoublePhase& phase,
                                 const Reached& reached, const BeamFactors<1>& beam_factors,
                                 std::int64_t wanted, std::int64_t& skipped) {
  const CpuPlan& p = at.p;
  size_t list[chunk_size];
  const size_t n = list_bits(reached.many_cells, list);
  Single terms(0.0f);
  std::int64_t lit_rays = 0, all_rays = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t o = list[i];
    const Beam& beam = beam_of(p, at.chunk, o);
    all_rays += std::int64_t{beam.rays} * lanes;
    const Vec3<Double> h = miller_indices(at.chunk.wide[o],
                                          phase.at.direction - vec3_as<Double>(beam.incident));
    const Vec3<Double> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
    const Vec3<Single> cell = narrow(nearest - vec3_as<Double>(p.grid.min));
    Single term;
    if (lookup == Lookup::nearest && p.terms > 0) {
      term = band_intensity(p, beam, h - nearest, h, look_up_nearest<1>(p, cell), lit_rays);
    } else {
      const Single F = nearest_F<lookup, 1>(p, cell);
      term = band_intensity(p, beam, h - nearest, h, F * F, lit_rays);
    }
    terms = p.ray_factors ? terms + term * beam_factors.of_pair(at.chunk, o) : terms + term;
  }
  skipped += (all_rays - lit_rays) * wanted / (std::int64_t{block_pixels} * lanes);
  return terms;
}

/// `Parts`: registers of pixels side by side, two for plans of one pair only.
template <Phases phases, class Shape, Lookup lookup, int Parts, Rays rays = Rays::apart>
void render_single(const CpuPlan& p, const Tile& tile, const Anchors& anchors, TileSums& out) {
  using Phase = std::conditional_t<phases == Phases::anchored, AnchoredPhase<Parts>, DoublePhase>;
  using Narrow = Singles<Parts>;
  using Wide = Doubles<Parts>;
  const Plan& plan = *p.plan;
  const SpotFactors<Parts> factors(p);
  const ToPhotons to_photons(p, factors.one_capture);
  const auto samples = static_cast<std::int64_t>(p.samples.size());
  const auto pixels = static_cast<size_t>(tile.blocks) * block_pixels;

  Gathered gathered;
  alignas(64) Chunk chunk;
  BeamFactors<Parts> beam_factors;
  const size_t orientations = plan.lattice.orientations.size(),
               pairs = p.beams.size() * orientations;
  const UntilStopped until(tile.stopped);
  for (size_t begin = 0; begin < pairs && until.goes_on();
       begin += static_cast<size_t>(chunk.count)) {
    fill_chunk<lookup>(p, anchors, tile.blocks, begin / orientations, begin % orientations, chunk);
    const bool first_chunk = begin == 0,
               last_chunk = begin + static_cast<size_t>(chunk.count) == pairs;

    for (size_t first = 0; first < pixels; first += Narrow::count) {
      const auto blocks = blocks_of<Parts>(first);
      constexpr bool knows_cells = phases == Phases::anchored && lookup != Lookup::tricubic;
      const Reached reached = reached_by<knows_cells>(chunk, blocks);
      if (std::uint32_t dark = reached.dark) {
        std::int64_t dark_rays = 0;
        for (; dark != 0; dark &= dark - 1)
          dark_rays += beam_of(p, chunk, static_cast<size_t>(std::countr_zero(dark))).rays;
        out.skipped += dark_rays * samples * wanted_pixels(tile, blocks) / block_pixels;
      }
      if ((reached.one_cell | reached.many_cells) == 0 && !first_chunk) {
        if (last_chunk)
          to_photons.of<Parts>(Wide::load(gathered.sums.data() + first), gathered, first)
              .store(out.photons.data() + first);
        continue;
      }

      Phase phase(p, tile, anchors, first);
      Wide sum(0);
      for (const Sample& at : p.samples) {
        // A pixel with one sub-pixel is soon done.
        if (at.sub_slow != 0 && at.sub_fast == 0 && !until.goes_on()) [[unlikely]]
          return;
        const Spot<Parts> spot = phase.place(p, tile, first, at);

        // Solid angle, capture and polarization of this spot of the sensor
        const bool first_spot = at.sub_slow == 0 && at.sub_fast == 0;
        const bool very_first = first_chunk && first_spot && at.layer == 0;
        Narrow omega(1.0f), capture(1.0f);
        if (very_first) {
          Narrow once(1.0f);
          if (!factors.each_omega) {
            once = factors.solid_angle_of(spot, 0);
            (Wide(static_cast<double>(samples)) * widen(once))
                .store(out.solid_angle.data() + first);
          }
          if (factors.one_polarization) once = once * factors.first_polarization_of(spot);
          once.store(gathered.once.data() + first);
        }
        if (factors.each_omega) {
          omega = factors.solid_angle_of(spot, at.layer);
          if (first_chunk) keep(widen(omega), very_first, out.solid_angle, first);
        }
        if (factors.each_capture) {
          capture = factors.capture_of(spot, at.layer);
        } else if (factors.one_capture && first_chunk && first_spot &&
                   at.layer == factors.sensor.layers - 1) {
          factors.capture_of(spot, at.layer).store(gathered.captures.data() + first);
        }
        if (p.ray_factors) {
          for (int i = 0; i < chunk.beams; ++i) {
            const Beam&
                beam = p.beams[static_cast<size_t>(chunk.first_beam) + static_cast<size_t>(i)];
            Narrow factor(1.0f);
            if (factors.each_polarization)
              factor = factors.polarization_of(spot, single<Parts>(beam.incident),
                                               single<Parts>(beam.magnetic));
            factor = single<Parts>(beam.weight) * factor;
            if constexpr (phases == Phases::wide)
              if (plan.dmin > 0)
                factor = factor * narrow(select(phase.within_dmin(p, beam), Double(1), Double(0)));
            factor.store(beam_factors.values[i]);
          }
        }

        const LitSpot lit{p, tile, first, at, chunk};
        Narrow terms;
        if constexpr (rays == Rays::in_bands)
          terms = sum_of_bands<lookup>(lit, phase, reached, beam_factors,
                                       wanted_pixels(tile, blocks), out.skipped);
        else
          terms = sum_of_steps<Shape, lookup>(lit, phase, reached, beam_factors);
        if (factors.each_omega) terms = terms * omega;
        if (factors.each_capture) terms = terms * capture;
        sum = sum + widen(terms);
      }
      if (!first_chunk) sum = sum + Wide::load(gathered.sums.data() + first);
      if (last_chunk)
        to_photons.of<Parts>(sum, gathered, first).store(out.photons.data() + first);
      else
        sum.store(gathered.sums.data() + first);
    }
  }
  out.anchored = phases == Phases::anchored;
}

void background(const Plan& plan, const Tile& tile, double* photons) {
  const PanelNumbers& panel = plan.panels[static_cast<size_t>(tile.panel)];
  const auto pixels = static_cast<size_t>(tile.blocks) * block_pixels;
  for (size_t first = 0; first < pixels; first += lanes) {
    const Double fast = widen(load<1>(tile.fast, first)), slow = widen(load<1>(tile.slow, first));
    Double sum(0);
    if (plan.background.per_sr != 0) sum = background_photons(plan, panel, fast, slow);
    for (const PlanMaterial& material : plan.materials)
      sum = sum + material_photons(plan, panel, view_of(material), fast, slow);
    sum.store(photons + first);
  }
}

void shadowed(const Plan& plan, const Tile& tile, double* photons) {
  const PanelNumbers& panel = plan.panels[static_cast<size_t>(tile.panel)];
  const auto pixels = static_cast<size_t>(tile.blocks) * block_pixels;
  for (size_t first = 0; first < pixels; first += lanes) {
    const Double fast = widen(load<1>(tile.fast, first)), slow = widen(load<1>(tile.slow, first));
    Double sum(0);
    for (const PlanMaterial& material : plan.materials)
      sum = sum + shadowed_photons(plan, panel, view_of(material), fast, slow);
    sum.store(photons + first);
  }
}

/// The lattice's light, with the phases that are accurate enough for the tile.
template <class Shape, Lookup lookup>
void render_mixed(const CpuPlan& p, const Tile& tile, TileSums& out) {
  Anchors anchors;
  find_anchors(p, tile, anchors);
  const bool anchored = suits_anchors(p, anchors);
  out.skipped = 0;
  if constexpr (Shape::sums_along_lines && lookup != Lookup::tricubic)
    if (p.bands)
      return render_single<Phases::wide, Shape, lookup, 1, Rays::in_bands>(p, tile, anchors, out);
  if constexpr (!Shape::why_double)
    if (anchored)
      return (p.beams.size() * p.plan->lattice.orientations.size() == 1
                  ? render_single<Phases::anchored, Shape, lookup, 2>
                  : render_single<Phases::anchored, Shape, lookup, 1>)(p, tile, anchors, out);
  render_single<Phases::wide, Shape, lookup, 1>(p, tile, anchors, out);
}

// ---- Into the image -----------------------------------------------------------------------------

template <class Number>
double write_blocks(const Tile& tile, const TileSums& sums, Number* image, size_t width) {
  const hn::CappedTag<double, block_side> row;
  const hn::Rebind<Number, decltype(row)> of_image;
  auto solid_angle = hn::Zero(row);
  for (size_t b = 0; b < static_cast<size_t>(tile.blocks); ++b) {
    if (tile.pixels[b] != block_pixels) continue;
    const size_t first = b * block_pixels;
    Number* to = image + static_cast<size_t>(tile.slow[first]) * width +
                 static_cast<size_t>(tile.fast[first]);
    for (size_t y = 0; y < block_side; ++y)
      for (size_t x = 0; x < block_side; x += hn::Lanes(row)) {
        const size_t i = first + y * block_side + x;
        const auto photons = hn::Load(row, sums.photons.data() + i);
        if constexpr (std::is_same_v<Number, double>) {
          hn::StoreU(photons, of_image, to + y * width + x);
        } else if constexpr (HWY_TARGET == HWY_SCALAR) {
          // DemoteTo would turn infinity into the largest float.
          to[y * width + x] = static_cast<float>(hn::GetLane(photons));
        } else {
          hn::StoreU(hn::DemoteTo(of_image, photons), of_image, to + y * width + x);
        }
        solid_angle = hn::Add(solid_angle, hn::Load(row, sums.solid_angle.data() + i));
      }
  }
  return hn::GetLane(hn::SumOfLanes(row, solid_angle));
}

Kernel single_kernel(CrystalShape shape, Lookup lookup) {
  return physics::with_shape(shape, [&]<class Shape>() -> Kernel {
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
  return physics::with_shape(shape, [&]<class Shape>() -> Kernel {
    return lookup == Lookup::tricubic ? render_wide<Shape, Lookup::tricubic>
                                      : render_wide<Shape, Lookup::nearest>;
  });
}

}  // namespace

const KernelSet& kernel_set() {
  static constexpr KernelSet set = {.instruction_set = NABLA_INSTRUCTION_SET,
                                    .single = single_kernel,
                                    .wide = wide_kernel,
                                    .background = background,
#ifdef NABLA_GRADIENTS
                                    .single_gradient = single_gradient_kernel,
                                    .wide_gradient = wide_gradient_kernel,
                                    .material_gradient = material_gradient,
#endif
                                    .shadowed = shadowed,
#ifdef NABLA_GRADIENTS
                                    .shadowed_gradient = shadowed_gradient,
#endif
                                    .diffuse = diffuse,
#ifdef NABLA_GRADIENTS
                                    .diffuse_gradient = diffuse_gradient,
#endif
                                    .write_floats = write_blocks<float>,
                                    .closed = closed_kernel_set,
#ifdef NABLA_GRADIENTS
                                    .closed_gradient = closed_gradient_kernel_set,
#endif
                                    .write_doubles = write_blocks<double>};
  return set;
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
