// The derivatives of a tile: the pixel loop of kernels.cpp run once more, with each step's slopes.
//
// Every number x of the plan gets its adjoint, d(loss)/dx, summed over the lanes of a tile (in
// reverse) or contracted with tangents for each lane on its own (forwards).  Factors of a term
// enter as their logarithms: omega's adjoint times omega is the light itself, so nothing is divided
// by.  For the files that are compiled once for each instruction set, like lanes.hpp.
#pragma once
#include "engine/cpu/pairs.hpp"
#include "engine/cpu/spot_walk.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

/// How the steps of the lattice are taken.
enum class Steps {
  wide,      ///< indices in double precision
  anchored,  ///< indices relative to the middle of each block, in single precision
  in_bands   ///< in double precision, over the rays of a band at once
};

/// The derivatives of a tile, in the precision T of the shapes.
template <class T, class Shape, Lookup lookup, Steps steps>
class TilePullBack {
 public:
  explicit TilePullBack(const TileTask& task)
      : p_(task.p),
        plan_(task.plan()),
        panel_(task.panel()),
        tile_(task.tile),
        weights_(task.weights),
        sink_(task.sink),
        forwards_(task.forwards()),
        anchors_(task.anchors),
        walk_(task, chunk_),
        adjoints_(walk_.adjoints),
        nodes_(p_, sink_.table),
        nearest_(sink_.table) {}

  void run() {
    const size_t orientations = plan_.lattice.orientations.size(),
                 pairs = p_.beams.size() * orientations,
                 pixels = static_cast<size_t>(tile_.blocks) * block_pixels;
    const bool has_background = plan_.background.per_sr != 0;
    const UntilStopped until(tile_.stopped);
    for (size_t begin = 0; begin < pairs && until.goes_on();
         begin += static_cast<size_t>(chunk_.count)) {
      begin_ = begin;
      // A table that single precision cannot index has no dark entries here.
      fill_chunk<is_wide<T> ? Lookup::constant : lookup, true>(
          p_, anchors_, tile_.blocks, begin / orientations, begin % orientations, chunk_);
      adjoints_.begin_chunk(begin);
      for (size_t first = 0; first < pixels; first += T::count) {
        const Wide<T> wide_weight = Wide<T>::load(weights_.data() + first);
        if (!any(wide_weight != Wide<T>(0))) continue;
        const T weight = shaped<T>(wide_weight);
        blocks_ = blocks_of<registers>(first);
        reached_ = reached_by < anchored && lookup != Lookup::tricubic > (chunk_, blocks_);
        const bool has_start = begin == 0 && plan_.background.starting_sum != 0;
        if (lit() == 0 && !has_start && !has_background) continue;
        if (lit() != 0 || has_start) pull_back_group(first, weight);
        if (has_background) walk_.pull_back_background(begin, first, weight);
        if (forwards_)
          adjoints_.finish_group(first, lit(), lookup);
        else
          adjoints_.keep_light();
      }
      if (forwards_) continue;
      if constexpr (anchored && lookup == Lookup::nearest) nearest_.flush();
      adjoints_.finish_chunk();
    }
    if (!forwards_) adjoints_.finish_tile(lookup);
  }

 private:
  static constexpr bool anchored = steps == Steps::anchored;
  /// Of pixels that are computed side by side.
  static constexpr int registers = T::count / lanes;
  using Phase = typename SpotWalk<T, anchored>::Phase;

  static NABLA_INLINE T number(double x) { return physics::constant<T>(x); }
  std::uint32_t lit() const { return reached_.one_cell | reached_.many_cells; }

  // ---- A group of pixels, one in each lane ------------------------------------------------------

  /// What the lattice scatters, and the sum that a pixel begins with.
  void pull_back_group(size_t first, const T& weight) {
    Phase phase(p_, tile_, anchors_, first);
    const auto once = walk_.once_factors(phase, first);
    const int last_layer = panel_.sensor.layers - 1;
    T for_all = once.solid_angle;
    if (walk_.once_capture) {
      SubPixel at;
      at.layer = last_layer;
      walk_.capturing = phase.see(p_, first, at);
      for_all = for_all * capture_of(panel_, walk_.capturing);
    }

    typename SpotWalk<T, anchored>::OnceAdjoints of_once;
    if (begin_ == 0 && plan_.background.starting_sum != 0) {
      const T unpolarized = weight * number(plan_.scale * plan_.background.starting_sum) * for_all;
      const T light = unpolarized * once.polarization;
      add(adjoints_.numbers.background.starting_sum, light);
      of_once = {light, unpolarized};
    }
    const T scaled = weight * number(p_.unit) * for_all;
    for (int layer = 0; layer <= last_layer; ++layer)
      walk_.for_each_spot(
          phase, first, layer, [&](const SensorSpot<T>& spot, const SubPixel&) NABLA_INLINE_LAMBDA {
            T each = scaled;
            if (walk_.each_omega)
              each = each * solid_angle(panel_.frame, spot.near, walk_.own_depth * layer);
            if (walk_.each_capture) each = each * capture_of(panel_, spot);
            SpotAdjoints<T> light;
            pull_back_beams(phase, spot, each, once.polarization, light, of_once);
            walk_.pull_back_spot_of(spot, light);
          });
    if (walk_.once_capture) {
      SpotAdjoints<T> light;
      light.capture = of_once.light;
      pull_back_other_spot(panel_, walk_.capturing, light, adjoints_.numbers);
    }
    walk_.pull_back_once(of_once, first);
  }

  // ---- The beams at a spot ----------------------------------------------------------------------

  /// A beam at a spot: what its terms are multiplied by.
  struct LitBeam {
    T polarization, coefficient;
    // With indices in double precision, where -dmin may cut it off
    Vec3<T> away;  ///< direction - incident
    T factor;      ///< without the polarization, which may be zero
  };

  /// `each`: what a term is multiplied by, the ray's own factors aside.
  NABLA_INLINE void pull_back_beams(const Phase& phase, const SensorSpot<T>& spot, const T& each,
                                    const T& once_polarization, SpotAdjoints<T>& light,
                                    typename SpotWalk<T, anchored>::OnceAdjoints& of_once) {
    const T none(0);
    std::uint32_t beams = 0;
    for (std::uint32_t left = lit(); left != 0; left &= left - 1) {
      const int b = chunk_.beam[std::countr_zero(left)];
      if ((beams >> b & 1) != 0) continue;
      beams |= std::uint32_t{1} << b;
      const Beam& beam = adjoints_.beam_of(b);
      LitBeam& at = beams_[static_cast<size_t>(b)];
      T factor = each;
      if constexpr (!anchored) {
        at.away = shaped<T>(away_from(beam, phase));
        if (plan_.dmin > 0) factor = select(keeps<T>(plan_, beam, phase.at.direction), each, none);
        at.factor = factor;
      }
      at.polarization = walk_.each_polarization ? walk_.polarization_of(beam, spot)
                                                : once_polarization;
      at.coefficient = factor * weight_of(b) * at.polarization;
    }

    std::uint32_t left = lit();  // pairs that have a step here
    if constexpr (anchored) {
      if constexpr (lookup != Lookup::tricubic)
        pull_back_pairs<true>(phase.phase, reached_.one_cell);
      pull_back_pairs<false>(phase.phase, reached_.many_cells);
    } else {
      for (std::uint32_t asked = left; asked != 0; asked &= asked - 1) {
        const int o = std::countr_zero(asked);
        const Beam& beam = adjoints_.beam_of(chunk_.beam[o]);
        if constexpr (steps == Steps::in_bands) {
          if (!pull_back_band(o, beam, away_from(beam, phase))) left &= ~(std::uint32_t{1} << o);
        } else {
          pull_back_step(o, away_from(beam, phase));
        }
      }
    }

    T all(0), all_unpolarized(0);
    while (left != 0) {
      const int b = chunk_.beam[std::countr_zero(left)];
      const LitBeam& at = beams_[static_cast<size_t>(b)];
      Vec3<T> away;
      T factor;
      if constexpr (anchored) {
        away = spot.direction - incident_of(b);
        factor = each;
      } else {
        away = at.away;
        factor = at.factor;
      }
      Vec3<T> away_adjoint{none, none, none};
      T intensity(0);
      for (; left != 0 && chunk_.beam[std::countr_zero(left)] == b; left &= left - 1) {
        const auto o = static_cast<size_t>(std::countr_zero(left));
        add(intensity, steps_[o].intensity);
        add_index(o, steps_[o].index_adjoint, away, away_adjoint);
      }
      BasicPlanRay<T>& ray = adjoints_.ray(b);
      // h = k A (direction - incident)
      add(light.direction, away_adjoint);
      ray.incident = ray.incident - away_adjoint;
      if constexpr (steps != Steps::in_bands) add(ray.weight, factor * at.polarization * intensity);
      const T unpolarized = factor * weight_of(b) * intensity;
      add(all, unpolarized * at.polarization);
      if (walk_.each_polarization)
        walk_.pull_back_polarization_of(b, spot, unpolarized, light);
      else
        add(all_unpolarized, unpolarized);
    }
    add(adjoints_.numbers.scale, all);
    add(of_once.light, all);
    if (walk_.each_omega) add(light.solid_angle, all);
    if (walk_.each_capture) add(light.capture, all);
    add(of_once.polarization, all_unpolarized);
  }

  /// Of a beam; in single precision from where it needs no conversion.
  NABLA_INLINE T weight_of(int b) const {
    if constexpr (anchored)
      return T(chunk_.weight[b]);
    else
      return number(adjoints_.beam_of(b).weight);
  }
  NABLA_INLINE Vec3<T> incident_of(int b) const {
    const float(&incident)[3] = chunk_.incident[b];
    return {T(incident[0]), T(incident[1]), T(incident[2])};
  }
  NABLA_INLINE LitBeam& beam_of_pair(size_t o) {
    return beams_[static_cast<size_t>(chunk_.beam[o])];
  }
  NABLA_INLINE Vec3<Wide<T>> away_from(const Beam& beam, const Phase& phase) const {
    return phase.at.direction - vec3_as<Wide<T>>(beam.incident);
  }

  // ---- One orientation: its fringes and its structure factor ------------------------------------

  /// What a step leaves to those who sum over the pairs of a pixel or over the pixels of a pair.
  struct Step {
    Vec3<T> index_adjoint;
    T intensity;  ///< F^2 F_latt^2
    // Of nearest F: where in the table each lane's is, -1: not there, and last that of the middle
    // of the block
    T F_adjoint;
    alignas(64) float places[registers][2 * lanes];
  };
  using Widths = decltype(Shape::width_adjoint(physics::LatticeSlopes<T>(), Vec3<T>(), T()));

  /// With anchored phases.
  template <bool one_cell>
  NABLA_INLINE void pull_back_pairs(const AnchoredPhase<registers>& phase, std::uint32_t bits) {
    size_t list[chunk_size];
    const size_t n = list_bits(bits, list);
    // Copies, which no store can change: they stay in registers.
    const physics::BlockNumbers<double> block = p_.lattice;
    const TableOfF table(p_);
    const Vec3<T> change = phase.change;
    Widths widths = no_widths();
    for (size_t i = 0; i < n; ++i)
      pull_back_anchored<one_cell>(list[i], block, table, change, widths);
    physics::for_each_width([](T& to, const T& more) { add(to, more); }, adjoints_.numbers.lattice,
                            std::as_const(widths));
    if constexpr (lookup == Lookup::nearest)
      for (size_t i = 0; i < n; ++i) add_nearest<one_cell>(list[i]);
  }
  static NABLA_INLINE Widths no_widths() {
    const T none(0);
    if constexpr (Shape::width_in_metric)
      return {none, none, none, none, none, none};
    else
      return {none, none, none};
  }

  template <bool one_cell>
  NABLA_INLINE void pull_back_anchored(size_t o, const physics::BlockNumbers<double>& block,
                                       const TableOfF& table, const Vec3<T>& change,
                                       Widths& widths) {
    size_t pairs[registers];
    for (size_t& pair : pairs) pair = o;
    Vec3<T> cell;
    const Vec3<T> distance = anchored_distance<one_cell, registers>(chunk_, pairs, blocks_, change,
                                                                    cell);
    const auto amplitude = anchored_amplitude<one_cell>(pairs, table, cell, distance);
    const auto latt = Shape::slopes(block, distance);
    const Scattered<T> term(beam_of_pair(o).coefficient, amplitude.F, latt.factor);
    Step& step = steps_[o];
    step.index_adjoint = term.factor_adjoint * latt.distance;
    step.intensity = term.intensity;
    add(widths, Shape::width_adjoint(latt, distance, term.factor_adjoint));
    if constexpr (lookup == Lookup::nearest) {
      step.F_adjoint = term.F_adjoint;
      if constexpr (!one_cell) {
        const T offset = select(amplitude.inside, amplitude.offset, T(-1.0f));
        for (int part = 0; part < registers; ++part) nth<1>(offset, part).store(step.places[part]);
      }
    }
    if constexpr (lookup == Lookup::tricubic) {
      step.index_adjoint = step.index_adjoint + term.F_adjoint * amplitude.slope;
      add_amplitude(amplitude, term.F_adjoint);
    }
  }

  /// The adjoint of the F of a step's lattice points.
  template <bool one_cell>
  NABLA_INLINE void add_nearest(size_t o) {
    const Single none(0.0f);
    Step& step = steps_[o];
    for (int part = 0; part < registers; ++part) {
      const Single adjoint = nth<1>(step.F_adjoint, part);
      const float home = chunk_.offset[o][blocks_[static_cast<size_t>(part)]];
      if constexpr (one_cell) {
        if (home < 0)
          add_default(part, adjoint);
        else if (sink_.wants_table)
          nearest_.add(static_cast<std::int32_t>(home), adjoint);
        continue;
      }
      float(&places)[2 * lanes] = step.places[part];
      const Single offset = Single::load(places);
      auto left = offset >= none;
      if (any(!left)) add_default(part, select(left, none, adjoint));
      if (!sink_.wants_table) continue;
      const auto add_those_at = [&](float place) {
        const auto there = left & (offset == Single(place));
        left = left & !there;
        nearest_.add(static_cast<std::int32_t>(place), select(there, adjoint, none));
      };
      const auto next = [&] {
        constexpr std::uint32_t middle = std::uint32_t{1} << (2 * lanes - 1);
        return places[std::countr_zero(bits_of(left) | middle)];
      };
      // Most lanes are at the middle's lattice point, most others at a second one: it is asked for
      // without a branch, which no processor would foresee.
      if (home >= 0) {
        places[2 * lanes - 1] = home;
        add_those_at(home);
        add_those_at(next());
      }
      while (any(left)) add_those_at(next());
    }
  }
  NABLA_INLINE void add_default(int part, const Single& adjoint) {
    auto& all = adjoints_.numbers.lattice.default_F.part[part];
    all = hn::Add(all, adjoint.part[0]);
  }

  /// F as the images have it; `cell` and `d`: the nearest lattice point and the way from there.
  template <bool one_cell>
  NABLA_INLINE AmplitudeSlopes<T, T, lookup> anchored_amplitude(const size_t (&o)[registers],
                                                                const TableOfF& table,
                                                                const Vec3<T>& cell,
                                                                const Vec3<T>& d) const {
    constexpr int K = registers;
    AmplitudeSlopes<T, T, lookup> found;
    if constexpr (lookup == Lookup::constant) {
      found.F = T(1.0f);  // part of the unit
    } else if constexpr (lookup == Lookup::tricubic) {
      const auto at = neighbourhood_of<K>(table, cell, d);
      const auto here = interpolated_slopes(p_.grid, table.F.data(), at.corner, at.inside,
                                            at.between, T(table.default_F));
      found.F = here.value;
      found.slope = here.slope;
      found.offset = at.corner;
      found.inside = at.inside;
      found.between = at.between;
    } else if constexpr (one_cell) {
      found.F = by_part<K>([&](int i) { return chunk_.F[o[i]][blocks_[static_cast<size_t>(i)]]; });
    } else {
      const auto at = look_up_nearest<K>(table, cell);
      found.F = at.F;
      found.offset = at.offset;
      found.inside = at.inside;
    }
    return found;
  }

  /// From the adjoint of a pair's indices to those of its axes and of where it looks.
  NABLA_INLINE void add_index(size_t o, const Vec3<T> adjoint, const Vec3<T>& away,
                              Vec3<T>& away_adjoint) {
    T(&axes)[9] = adjoints_.axes[o];
    const auto row = [&](size_t first, const T& along) NABLA_INLINE_LAMBDA {
      add(axes[first], along * away.x);
      add(axes[first + 1], along * away.y);
      add(axes[first + 2], along * away.z);
      const auto entry = [&](size_t i) {
        if constexpr (is_wide<T>)
          return T(chunk_.wide[o][first + i]);
        else
          return T(chunk_.matrix[o][first + i]);
      };
      add(away_adjoint, along * Vec3<T>{entry(0), entry(1), entry(2)});
    };
    row(0, adjoint.x);
    row(3, adjoint.y);
    row(6, adjoint.z);
  }

  /// With indices in double precision.
  NABLA_INLINE void pull_back_step(int o, const Vec3<Wide<T>>& away) {
    const Vec3<Wide<T>> h = miller_indices(chunk_.wide[o], away);
    const Vec3<Wide<T>> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
    const Vec3<Wide<T>> distance = h - nearest;
    const auto latt = Shape::slopes(p_.lattice, distance, Shaped<T>());
    const auto amplitude = amplitude_slopes<lookup, T>(p_, h, nearest);
    const auto pair = static_cast<size_t>(o);
    const Scattered<T> term(beam_of_pair(pair).coefficient, amplitude.F, latt.factor);
    Step& step = steps_[pair];
    step.intensity = term.intensity;
    step.index_adjoint = term.factor_adjoint * latt.distance;
    if constexpr (lookup == Lookup::tricubic)
      step.index_adjoint = step.index_adjoint + term.F_adjoint * amplitude.slope;
    physics::for_each_width([](T& to, const T& more) { add(to, more); }, adjoints_.numbers.lattice,
                            Shape::width_adjoint(latt, shaped<T>(distance), term.factor_adjoint));
    add_amplitude(amplitude, term.F_adjoint);
  }

  /// One orientation of a band of Gaussian spots; false: it leaves the pixels dark.
  NABLA_INLINE bool pull_back_band(int o, const Beam& beam, const Vec3<Wide<T>>& away) {
    const LitBeam& at = beam_of_pair(static_cast<size_t>(o));
    const Vec3<Wide<T>> h = miller_indices(chunk_.wide[o], away);
    const Vec3<Wide<T>> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
    const Vec3<Wide<T>> distance = h - nearest;
    const BandOfPixels band(p_, beam, distance, h);
    const T none(0);
    auto lit = band.lit & (at.factor != none);
    if (!any(lit)) return false;
    const auto amplitude = amplitude_slopes<lookup, T>(p_, h, nearest);
    lit = lit & (amplitude.F != none);

    // Intensities are relative to that of the closest approach in what follows.  A band that passes
    // a spot on both sides leaves a small difference of its rays' slopes: the rounding of an
    // exponent that they share does not show there.
    const LatticeNumbers& lattice = p_.lattice;
    const T closest = physics::Gauss::factor_at(band.least, number(lattice.cells.x),
                                                number(lattice.fudge));
    const T peak = closest * closest * amplitude.F, light = at.coefficient * (peak * amplitude.F);
    // A ray's point is c + u h with M c perpendicular to h, so that only its u counts:
    // d(log I)/d(wavenumber) = -4 fudge/width2 u h.M h / wavenumber of the band.
    const T along = light * band.curvature *
                    number(-4 * lattice.fudge / (physics::Gauss::width2 * beam.wavenumber));
    alignas(64) float lights[lanes], alongs[lanes];
    alignas(64) float sums[3][lanes];
    light.store(lights);
    along.store(alongs);
    for (float(&sum)[lanes] : sums) none.store(sum);
    using Two = BandOfPixels::Two;
    const Two fudge = single<2>(lattice.fudge);
    for_each_lane(lit, [&](size_t lane) {
      physics::LineMoments<Two> moments;
      const size_t row = forwards_ ? lane : 0;
      float *const wavenumbers = sink_.bands.wavenumber(row), *const weights = sink_.bands.weight(
                                                                  row);
      const Two per_weight(lights[lane]), per_wavenumber(alongs[lane]);
      band.for_each_lit_ray(lane, [&](int j, const Two& u, const Two& beyond) {
        const size_t ray = static_cast<size_t>(j) - sink_.bands.begin();
        const Two bare = physics::Gauss::intensity_at(beyond, fudge);
        const Two lit_by = Two::load(p_.band_weight.data() + j) * bare, first = lit_by * u;
        moments.zeroth = moments.zeroth + lit_by;
        moments.first = moments.first + first;
        moments.second = moments.second + first * u;
        (Two::load(weights + ray) + per_weight * bare).store(weights + ray);
        (Two::load(wavenumbers + ray) + per_wavenumber * first).store(wavenumbers + ray);
      });
      const auto sum = [](const Two& x) { return sum_of(nth<1>(x, 0) + nth<1>(x, 1)); };
      sums[0][lane] = sum(moments.zeroth);
      sums[1][lane] = sum(moments.first);
      sums[2][lane] = sum(moments.second);
    });
    const physics::LineMoments<T> moments{T::load(sums[0]), T::load(sums[1]), T::load(sums[2])};
    const auto slopes = physics::gauss_line_slopes(
        physics::metric_as<T>(lattice.metric), shaped<T>(distance + band.approach.at * h),
        shaped<T>(h), shaped<T>(band.approach.at), moments, number(lattice.fudge));
    Step& step = steps_[static_cast<size_t>(o)];
    step.intensity = peak * amplitude.F * moments.zeroth;
    step.index_adjoint = light * slopes.index;
    physics::for_each_number_of_metric([&](T& to, const T& more) { add(to, light * more); },
                                       adjoints_.numbers.lattice.metric,
                                       std::as_const(slopes.metric));
    add_amplitude(amplitude, T(2) * at.coefficient * peak * moments.zeroth);
    return true;
  }

  /// The adjoint of F, where it comes from.
  template <class Index>
  NABLA_INLINE void add_amplitude(const AmplitudeSlopes<T, Index, lookup>& amplitude,
                                  const T& shaped_adjoint) {
    if constexpr (lookup != Lookup::constant) {
      const auto to_shape = [](const Index& x) {
        if constexpr (std::is_same_v<Index, T>)
          return x;
        else
          return shaped<T>(x);
      };
      Index adjoint;
      if constexpr (std::is_same_v<Index, T>)
        adjoint = shaped_adjoint;
      else
        adjoint = widened(shaped_adjoint);
      const Index none(0);
      const auto lit = adjoint != none;
      if (!any(lit)) return;
      const auto in_table = amplitude.inside & lit;
      add(adjoints_.numbers.lattice.default_F, to_shape(select(amplitude.inside, none, adjoint)));
      if constexpr (!anchored)
        if (sink_.table_tangent)
          adjoints_.table_slope = adjoints_.table_slope +
                                  adjoint * table_change(amplitude, in_table);
      if (!sink_.wants_table) return;
      for_each_offset(amplitude.offset, in_table,
                      [&](std::int64_t offset, const typename Index::Mask& mask) {
                        const Index theirs = select(mask, adjoint, none);
                        if constexpr (lookup == Lookup::nearest)
                          sink_.table.add(offset, lane_sum(theirs));
                        else
                          nodes_.add(offset, to_shape(theirs), amplitude.between);
                      });
    }
  }

  /// The change of F along the table's tangent.
  NABLA_INLINE Wide<T> table_change(const AmplitudeSlopes<T, Wide<T>, lookup>& amplitude,
                                    const typename Wide<T>::Mask& in_table) const {
    if constexpr (lookup == Lookup::tricubic) {
      const auto weights = physics::tricubic_weights(
          widened(amplitude.between.x), widened(amplitude.between.y), widened(amplitude.between.z));
      return interpolated(p_.grid, sink_.table_tangent, amplitude.offset, in_table, weights,
                          Wide<T>(0));
    } else {
      return select(in_table, value_at(sink_.table_tangent, amplitude.offset, in_table),
                    Wide<T>(0));
    }
  }

  const CpuPlan& p_;
  const Plan& plan_;
  const PanelNumbers& panel_;
  const Tile& tile_;
  const std::array<double, tile_pixels>& weights_;
  GradientSink& sink_;
  const bool forwards_;
  const Anchors& anchors_;
  alignas(64) Chunk chunk_;
  size_t begin_ = 0;  ///< of the chunk, among the pairs
  SpotWalk<T, anchored> walk_;
  TileAdjoints<T>& adjoints_;  ///< of the walk
  NodeAdjoints<physics::Scalar<T>> nodes_;
  NearestAdjoints nearest_;
  std::array<size_t, registers> blocks_;  ///< of the group
  Reached reached_;                       ///< which pairs reach the group
  Unwritten<LitBeam, chunk_size> beams_;
  Unwritten<Step, chunk_size> steps_;  ///< of the pairs at a spot
};

/// `work`: called with the shape and the kind of lookup as template arguments.
template <class Work>
GradientKernel gradient_kernel(CrystalShape shape, Lookup lookup, Work&& work) {
  return physics::with_shape(shape, [&]<class Shape>() -> GradientKernel {
    switch (lookup) {
      case Lookup::constant:
        return work.template operator()<Shape, Lookup::constant>();
      case Lookup::nearest:
        return work.template operator()<Shape, Lookup::nearest>();
      case Lookup::tricubic:
        break;
    }
    return work.template operator()<Shape, Lookup::tricubic>();
  });
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
