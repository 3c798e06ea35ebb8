// The kernels of the cpu engine.  This file is compiled once for each instruction set, all of it in
// the namespace of that set; scripts/check-kernels makes sure that nothing leaks out of it.
#include "engine/cpu/operators.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

// ---- In double precision throughout ------------------------------------------------------------

/// The reference engine's loop, as many pixels at once as there are lanes.
template <CrystalShape Shape, Lookup lookup>
void render_wide(const CpuPlan& p, const Tile& tile, TileSums& out) {
  const auto pixels = static_cast<size_t>(tile.blocks) * block_pixels;
  for (size_t first = 0; first < pixels; first += lanes) {
    const auto sums = sum_pixels<Shape, lookup == Lookup::tricubic>(
        *p.plan, *p.panel, p.grid, widen(load<1>(tile.fast, first)),
        widen(load<1>(tile.slow, first)), all_steps, NoVisitor{});
    sums.photons.store(out.photons.data() + first);
    sums.solid_angle_sum.store(out.solid_angle.data() + first);
  }
}

// ---- Steps --------------------------------------------------------------------------------------

/// F^2 F_latt^2 with anchored phases.  `unsure` are pixels so close to the border between two
/// lattice points that the other one may be the nearest.
template <CrystalShape Shape, Lookup lookup, bool one_cell, int K>
NABLA_INLINE Singles<K> anchored_intensity(const CpuPlan& p, const Chunk& chunk,
                                           const size_t (&o)[K], const size_t (&block)[K],
                                           const Vec3<Singles<K>>& change,
                                           typename Singles<K>::Mask& unsure) {
  Vec3<Singles<K>> cell;
  const auto d = anchored_distance<one_cell, K>(chunk, o, block, change, cell);
  if constexpr (!one_cell) {
    const Singles<K> border(0.5f - 1e-6f);
    unsure = (magnitude(d.x) > border) | (magnitude(d.y) > border) | (magnitude(d.z) > border);
  }
  const Singles<K> latt = lattice_factor<Shape>(p.lattice, d);
  if constexpr (lookup == Lookup::constant) return latt * latt;
  if constexpr (one_cell)
    return by_part<K>([&](int i) { return chunk.F2[o[i]][block[i]]; }) * (latt * latt);
  const Singles<K> F = nearest_F<lookup, K>(p, cell);
  return (F * F) * (latt * latt);
}

/// The lattice factor in single precision, of distances in double.
template <CrystalShape Shape>
NABLA_INLINE Single narrow_lattice_factor(const LatticeNumbers& lattice, const Vec3<Double>& d) {
  if constexpr (Shape == CrystalShape::square) {
    // In double precision a large number of cells costs no digits of the turns.
    const Vec3<Double> x{not_zero(d.x, 0x1p-31), not_zero(d.y, 0x1p-31), not_zero(d.z, 0x1p-31)};
    return physics::sine_quotient(narrow(physics::short_turns(x, vec3_as<Double>(lattice.cells))),
                                  narrow(x));
  }
  // The edge of a top hat is sharp, the fringes of a ball are as many as its cells, the exponent of
  // a Gaussian may be large: all of that shows in pixels that are far from every lattice point.
  return narrow(lattice_factor<Shape>(lattice, d));
}

NABLA_INLINE const Beam& beam_of(const CpuPlan& p, const Chunk& chunk, size_t o) {
  return p.beams[static_cast<size_t>(chunk.first_beam) + static_cast<size_t>(chunk.beam[o])];
}

/// F^2 F_latt^2 with phases in double precision.
template <CrystalShape Shape, Lookup lookup>
NABLA_INLINE Single double_phase_intensity(const CpuPlan& p, const Chunk& chunk, size_t o,
                                           const Vec3<Double>& direction) {
  const Vec3<Double> h = miller_indices(chunk.wide[o],
                                        direction - vec3_as<Double>(beam_of(p, chunk, o).incident));
  const Vec3<Double> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
  const Single latt = narrow_lattice_factor<Shape>(p.lattice, h - nearest);
  if constexpr (lookup == Lookup::constant) return latt * latt;
  Single F;
  if constexpr (lookup == Lookup::tricubic)
    // In double precision: the weights have both signs, and nodes may cancel.
    F = single(1 / p.largest_F) *
        narrow(tricubic_structure_factor(p.grid, Double(p.plan->lattice.default_F), h,
                                         p.grid.surrounds(h)));
  else
    F = nearest_F<lookup, 1>(p, narrow(nearest - vec3_as<Double>(p.grid.min)));
  return (F * F) * (latt * latt);
}

/// The same for any pixels, from scratch.
template <CrystalShape Shape, Lookup lookup>
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
  using Pair = BandOfPixels::Pair;
  const Pair count = single<2>(p.lattice.cells.x), fudge = single<2>(p.lattice.fudge);
  for_each_lane(band.lit & (F2 > none), [&](size_t lane) {
    Pair sum(0.0f);
    lit_rays += band.for_each_lit_ray(lane, [&](int j, const Pair&, const Pair& beyond) {
      const Pair latt = physics::gauss_lattice_factor(Pair(band.leasts[lane]) + beyond, count,
                                                      fudge);
      sum = sum + Pair::load(p.band_weight.data() + j) * (latt * latt);
    });
    sums[lane] = sum_of(first_half(sum) + second_half(sum));
  });
  return F2 * Single::load(sums);
}

// ---- A tile in mixed precision ------------------------------------------------------------------

/// `Parts`: registers of pixels side by side.  Two of them hide each other's latencies, for plans
/// of one operator only; where there are more, two operators do.
template <bool anchored, CrystalShape Shape, Lookup lookup, int Parts, bool bands = false>
void render_single(const CpuPlan& p, const Tile& tile, const Anchors& anchors, TileSums& out) {
  using Phase = std::conditional_t<anchored, AnchoredPhase<Parts>, DoublePhase>;
  using Narrow = Singles<Parts>;
  using Wide = Doubles<Parts>;
  const Plan& plan = *p.plan;
  const PlanFrame& frame = p.panel->frame;
  const PlanSensor& sensor = p.panel->sensor;
  const FactorRules& rules = plan.rules;
  const bool absorbs = sensor.absorbs();
  const bool each_omega = rules.each_solid_angle(), each_capture = rules.each_capture(sensor);
  const bool each_polarization = rules.each_polarization(),
             one_polarization = rules.once_polarization();
  const bool lights_background = plan.background.per_sr != 0;
  const double own_depth = each_omega ? sensor.layer_step : 0;
  const auto samples = static_cast<std::int64_t>(p.samples.size());
  const auto pixels = static_cast<size_t>(tile.blocks) * block_pixels;

  // What a pixel gathers over the chunks
  alignas(64) std::array<double, tile_pixels> sums, background;
  alignas(64) std::array<float, tile_pixels> omegas, polarizations, captures;

  alignas(64) Chunk chunk;
  alignas(64) float beam_factor[chunk_size][Narrow::count];
  const size_t orientations = plan.lattice.orientations.size(),
               operators = p.beams.size() * orientations;
  for (size_t begin = 0; begin < operators; begin += static_cast<size_t>(chunk.count)) {
    fill_chunk<lookup>(p, anchors, tile.blocks, begin / orientations, begin % orientations, chunk);
    const bool first_chunk = begin == 0;

    for (size_t first = 0; first < pixels; first += Narrow::count) {
      size_t blocks[Parts];
      for (size_t i = 0; i < Parts; ++i) blocks[i] = block_of(first + i * lanes);

      // Which operators reach these pixels
      std::uint32_t lit = chunk.lit[blocks[0]], alike = chunk.one_cell[blocks[0]];
      for (size_t i = 1; i < Parts; ++i) {
        lit |= chunk.lit[blocks[i]];
        alike &= chunk.one_cell[blocks[i]];
      }
      if constexpr (!anchored) alike = 0;
      const auto list_operators = [](std::uint32_t bits, size_t(&numbers)[chunk_size]) {
        if constexpr (Parts == 1) return list_bits(bits, numbers);
        numbers[0] = 0;  // the only operator: its bit is the count as well
        return size_t{bits};
      };
      size_t one_cell[chunk_size], many_cells[chunk_size];
      const size_t one_cells = list_operators(alike, one_cell),
                   many = list_operators(lit & ~alike, many_cells);
      const auto used_pixels = [&] {
        std::int64_t used = 0;
        for (size_t i = 0; i < Parts; ++i)
          if (blocks[i] < static_cast<size_t>(tile.blocks))
            used += tile.pixels[blocks[i]] * lanes;  // shared by the registers of a block
        return used;
      };
      if (std::uint32_t dark = chunk.all() & ~lit) {
        std::int64_t dark_rays = 0;
        for (; dark != 0; dark &= dark - 1)
          dark_rays += beam_of(p, chunk, static_cast<size_t>(std::countr_zero(dark))).rays;
        out.skipped += dark_rays * samples * used_pixels() / block_pixels;
      }
      if (one_cells + many == 0 && !first_chunk && !lights_background) continue;

      Phase phase(p, tile, anchors, first);
      Wide sum(0), solid_angles(0), light(0);
      for (const Sample& at : p.samples) {
        const auto spot = phase.place(p, tile, first, at);

        // Solid angle, capture and polarization of this spot of the sensor
        const bool first_spot = at.sub_slow == 0 && at.sub_fast == 0;
        const bool very_first = first_chunk && first_spot && at.layer == 0;
        Narrow omega(1.0f), capture(1.0f);
        if (each_omega || very_first) {
          omega = solid_angle(frame, spot.near, own_depth * at.layer);
          if (!each_omega) omega.store(omegas.data() + first);
        } else if (first_chunk || lights_background) {
          omega = Narrow::load(omegas.data() + first);
        }
        if (first_chunk) solid_angles = solid_angles + widen(omega);
        if (each_capture ||
            (absorbs && first_chunk && first_spot && at.layer == sensor.layers - 1)) {
          const Narrow rho = frame.curvature == Curvature::spherical
                                 ? Narrow(1.0f)
                                 : dot(spot.direction, single<Parts>(frame.normal));
          capture = physics::capture_fraction(single<Parts>(at.layer),
                                              single<Parts>(sensor.layer_step),
                                              single<Parts>(sensor.absorption_per_m), rho);
          if (!each_capture) capture.store(captures.data() + first);
        }
        const auto polarization_of = [&](const auto& beam) {
          return physics::kahn_polarization(dot(single<Parts>(beam.incident), spot.direction),
                                            dot(spot.direction, single<Parts>(beam.magnetic)),
                                            single<Parts>(plan.light.polarization_fraction));
        };
        if (very_first && one_polarization)
          polarization_of(plan.light.rays[0]).store(polarizations.data() + first);
        if (p.ray_factors)
          for (int i = 0; i < chunk.beams; ++i) {
            const Beam&
                beam = p.beams[static_cast<size_t>(chunk.first_beam) + static_cast<size_t>(i)];
            Narrow factor(1.0f);
            if (each_polarization) factor = polarization_of(beam);
            // A beam whose orientations fill several chunks counts with its first one.
            if (lights_background && (i > 0 || begin % orientations == 0))
              light = light + widen(single<Parts>(beam.light) * factor * omega * capture);
            factor = single<Parts>(beam.weight) * factor;
            if constexpr (!anchored)
              if (plan.dmin > 0)
                factor = factor * narrow(select(phase.within_dmin(p, beam), Double(1), Double(0)));
            factor.store(beam_factor[i]);
          }

        // The steps
        Narrow terms(0.0f);
        if constexpr (bands) {
          std::int64_t lit_rays = 0, all_rays = 0;
          for (size_t i = 0; i < many; ++i) {
            const size_t o = many_cells[i];
            const Beam& beam = beam_of(p, chunk, o);
            all_rays += std::int64_t{beam.rays} * lanes;
            const Vec3<Double> h = miller_indices(
                chunk.wide[o], phase.at.direction - vec3_as<Double>(beam.incident));
            const Vec3<Double> nearest{round_half_down(h.x), round_half_down(h.y),
                                       round_half_down(h.z)};
            const Single F = nearest_F<lookup, 1>(p, narrow(nearest - vec3_as<Double>(p.grid.min)));
            const Single term = band_intensity(p, beam, h - nearest, h, F * F, lit_rays);
            terms = p.ray_factors ? terms + term * Single::load(beam_factor[chunk.beam[o]])
                                  : terms + term;
          }
          out.skipped += (all_rays - lit_rays) * used_pixels() /
                         (std::int64_t{block_pixels} * lanes);
        } else if constexpr (anchored) {
          const auto add_all = [&](const size_t* list, size_t n, auto&& intensity) {
            size_t i = 0;
            if constexpr (Parts == 1) {
              const Vec3<Singles<2>> change{twice(phase.change.x), twice(phase.change.y),
                                            twice(phase.change.z)};
              Singles<2> pairs(0.0f);
              for (; i + 2 <= n; i += 2) {
                const size_t o[] = {list[i], list[i + 1]}, b[] = {blocks[0], blocks[0]};
                auto term = intensity(o, b, change);
                if (p.ray_factors)
                  term = term * Singles<2>::of([&](int k) {
                           return Single::load(beam_factor[chunk.beam[o[k]]]).part[0];
                         });
                pairs = pairs + term;
              }
              terms = terms + first_half(pairs) + second_half(pairs);
            }
            for (; i < n; ++i) {
              size_t o[Parts];
              for (size_t& same : o) same = list[i];
              const Narrow term = intensity(o, blocks, phase.change);
              terms = p.ray_factors ? terms + term * Narrow::load(beam_factor[chunk.beam[list[i]]])
                                    : terms + term;
            }
          };
          add_all(one_cell, one_cells, [&](const auto& o, const auto& b, const auto& change) {
            typename std::decay_t<decltype(change.x)>::Mask sure;
            return anchored_intensity<Shape, lookup, true>(p, chunk, o, b, change, sure);
          });
          add_all(many_cells, many, [&](const auto& o, const auto& b, const auto& change) {
            typename std::decay_t<decltype(change.x)>::Mask unsure;
            auto term = anchored_intensity<Shape, lookup, false>(p, chunk, o, b, change, unsure);
            if constexpr (lookup == Lookup::nearest)
              if (any(unsure)) [[unlikely]]
                for (size_t k = 0; k < std::size(o); ++k)
                  term.part[k] = double_phase_intensity<Shape, lookup>(
                                     p, tile, first + (Parts == 1 ? 0 : k * lanes), at, chunk, o[k])
                                     .part[0];
            return term;
          });
        } else {
          for (size_t i = 0; i < many; ++i) {
            const size_t o = many_cells[i];
            const Single term = double_phase_intensity<Shape, lookup>(p, chunk, o,
                                                                      phase.at.direction);
            terms = p.ray_factors ? terms + term * Single::load(beam_factor[chunk.beam[o]])
                                  : terms + term;
          }
        }
        if (each_omega) terms = terms * omega;
        if (each_capture) terms = terms * capture;
        sum = sum + widen(terms);
      }
      const auto keep = [&](const Wide& value, std::array<double, tile_pixels>& total) {
        (first_chunk ? value : value + Wide::load(total.data() + first))
            .store(total.data() + first);
      };
      keep(sum, sums);
      if (lights_background) keep(light, background);
      if (first_chunk) solid_angles.store(out.solid_angle.data() + first);
    }
  }

  for (size_t first = 0; first < pixels; first += lanes) {
    const auto factor = [&](bool once, const std::array<float, tile_pixels>& values) {
      return once ? widen(load<1>(values, first)) : Double(1);
    };
    const Double polarization = factor(one_polarization, polarizations);
    Double photons = Double(plan.scale * plan.background.starting_sum) +
                     Double(p.unit) * Double::load(sums.data() + first);
    photons = photons * factor(!each_omega, omegas) * polarization *
              factor(absorbs && !each_capture, captures);
    if (lights_background) {
      const double share = plan.background.per_sr / (static_cast<double>(plan.light.rays.size()) *
                                                     plan.oversample * plan.oversample);
      photons = photons + Double(share) * Double::load(background.data() + first) * polarization;
    }
    photons.store(out.photons.data() + first);
  }
  out.anchored = anchored;
}

/// With the phases that are accurate enough for the tile.
template <CrystalShape Shape, Lookup lookup>
void render_mixed(const CpuPlan& p, const Tile& tile, TileSums& out) {
  Anchors anchors;
  find_anchors(p, tile, anchors);
  const bool anchored = suits_anchors(p, anchors);
  out.skipped = 0;
  if constexpr (Shape == CrystalShape::gauss && lookup != Lookup::tricubic)
    if (p.bands) return render_single<false, Shape, lookup, 1, true>(p, tile, anchors, out);
  if constexpr ((Shape == CrystalShape::square || Shape == CrystalShape::round) &&
                lookup != Lookup::tricubic)
    if (anchored)
      return (p.beams.size() * p.plan->lattice.orientations.size() == 1
                  ? render_single<true, Shape, lookup, 2>
                  : render_single<true, Shape, lookup, 1>)(p, tile, anchors, out);
  render_single<false, Shape, lookup, 1>(p, tile, anchors, out);
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
  static constexpr KernelSet set = {
      NABLA_INSTRUCTION_SET, single_kernel,       wide_kernel,         single_gradient_kernel,
      wide_gradient_kernel,  write_blocks<float>, write_blocks<double>};
  return set;
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
