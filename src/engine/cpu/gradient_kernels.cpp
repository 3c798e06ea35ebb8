// The derivatives of a tile: the pixel loop of kernels.cpp run once more, with each step's slopes.
//
// Every number of the plan gets its bar, d(loss)/d(number), summed over the lanes of a tile (in
// reverse) or contracted with tangents for each lane on its own (forwards).  Factors of a term
// enter as their logarithms: omega's bar times omega is the light itself, so nothing is divided by.
// Compiled once for each instruction set.
#include "engine/cpu/gradient_kernels.hpp"

#include "engine/cpu/operators.hpp"
#include "plan/plan_calculus.hpp"

#if HWY_ARCH_X86
#include <xmmintrin.h>  // for _mm_setcsr
#endif

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

template <class T>
inline constexpr bool is_wide = std::is_same_v<T, Double>;

/// From double precision to that of the shapes.
template <class T>
NABLA_INLINE T shaped(const Double& x) {
  if constexpr (is_wide<T>)
    return x;
  else
    return narrow(x);
}
template <class T>
struct Shaped {
  NABLA_INLINE T operator()(const Double& x) const { return shaped<T>(x); }
};
template <class T>
NABLA_INLINE Vec3<T> shaped(const Vec3<Double>& v) {
  return {shaped<T>(v.x), shaped<T>(v.y), shaped<T>(v.z)};
}
NABLA_INLINE Double widened(const Double& x) { return x; }
NABLA_INLINE Double widened(const Single& x) { return widen(x); }

NABLA_INLINE double lane_sum(const Double& x) {
  double sum = 0;
  for (int i = 0; i < static_cast<int>(std::size(x.part)); ++i)
    sum += hn::GetLane(hn::SumOfLanes(hn::ScalableTag<double>(), x.part[i]));
  return sum;
}
NABLA_INLINE double lane_sum(const Single& x) { return lane_sum(widen(x)); }

template <class T>
NABLA_INLINE void add(T& to, const T& more) {
  to = to + more;
}
template <class T>
NABLA_INLINE void add(Vec3<T>& to, const Vec3<T>& more) {
  to = to + more;
}

// What is not asked for in every step is kept out of line: the kernels are many.

HWY_NOINLINE void locate(const CpuPlan& p, const Double& fast, const Double& slow,
                         BasicSubPixel<Double>& at) {
  place(*p.panel, p.plan->oversample, fast, slow, at);
}

// ---- One spot of the sensor ---------------------------------------------------------------------

/// A sub-pixel as the light of a step sees it.
template <class T>
struct SensorSpot {
  T fast, slow;  ///< on the panel [m]
  T near;        ///< 1 / distance [1/m]
  Vec3<T> direction;
  int layer;
};

template <class T>
NABLA_INLINE SensorSpot<T> spot_of(const BasicSubPixel<Double>& at) {
  return {shaped<T>(at.fast), shaped<T>(at.slow), shaped<T>(Double(1) / at.distance),
          shaped<T>(at.direction), at.layer};
}

template <class T>
NABLA_INLINE T obliquity(const PlanFrame& frame, const SensorSpot<T>& spot) {
  return frame.curvature == Curvature::spherical
             ? T(1)
             : dot(spot.direction, physics::constant<T>(frame.normal));
}

template <class T>
HWY_NOINLINE T capture_of(const PanelNumbers& panel, const SensorSpot<T>& spot) {
  return physics::capture_fraction(
      T(static_cast<float>(spot.layer)), physics::constant<T>(panel.sensor.layer_step),
      physics::constant<T>(panel.sensor.absorption_per_m), obliquity(panel.frame, spot));
}

/// From the bar of a position on the flat panel [m] to those of the frame.
template <class T>
NABLA_INLINE void pull_back_flat(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                 const Vec3<T>& bar, BasicPixelNumbers<T>& bars) {
  const PlanFrame& f = panel.frame;
  add(bars.panel.frame.origin, bar);
  add(bars.panel.frame.fast, spot.fast * bar);
  add(bars.panel.frame.slow, spot.slow * bar);
  if (spot.layer > 0) {
    add(bars.panel.frame.normal, physics::constant<T>(panel.sensor.layer_step * spot.layer) * bar);
    add(bars.panel.sensor.layer_step,
        T(static_cast<float>(spot.layer)) * dot(bar, physics::constant<T>(f.normal)));
  }
  add(bars.panel.frame.subpixel, (dot(bar, physics::constant<T>(f.fast)) * spot.fast +
                                  dot(bar, physics::constant<T>(f.slow)) * spot.slow) *
                                     physics::constant<T>(1 / f.subpixel));
}

/// The same for a curved panel: back through the two rotations of place().
template <class T>
HWY_NOINLINE void pull_back_curved(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                   const Vec3<T>& bar, BasicPixelNumbers<T>& bars) {
  const PlanFrame& f = panel.frame;
  const auto number = [](double x) { return physics::constant<T>(x); };
  const bool spherical = f.curvature == Curvature::spherical;
  const double deep = panel.sensor.layer_step * spot.layer;
  const double radius = spherical ? f.curvature_radius + deep : f.curvature_radius;
  const Vec3<T> fast_axis = physics::constant<T>(f.fast), slow_axis = physics::constant<T>(f.slow);
  const Vec3<T> beam = physics::constant<T>(f.beam), along = number(radius) * beam;
  const T bend = number(1 / f.curvature_radius);
  T about_slow, about_fast;
  if (spherical) {
    about_slow = number(f.handedness) * (spot.fast - number(f.beam_fast)) * bend;
    about_fast = number(-f.handedness) * (spot.slow - number(f.beam_slow)) * bend;
  } else {
    const Vec3<T> flat = spot.fast * fast_axis + spot.slow * slow_axis +
                         number(deep) * physics::constant<T>(f.normal) +
                         physics::constant<T>(f.origin);
    about_slow = flat.y * bend;
    about_fast = flat.z * bend;
  }
  const auto second = physics::pull_back_rotation(
      physics::rotate_about(along, slow_axis, about_slow), fast_axis, about_fast, bar);
  const auto first = physics::pull_back_rotation(along, slow_axis, about_slow, second.v);
  add(bars.panel.frame.fast, second.axis);
  add(bars.panel.frame.slow, first.axis);
  add(bars.panel.frame.beam, number(radius) * first.v);
  const T radius_bar = dot(first.v, beam);
  add(bars.panel.frame.curvature_radius,
      radius_bar - (first.angle * about_slow + second.angle * about_fast) * bend);
  if (!spherical)
    return pull_back_flat(panel, spot, {T(0), first.angle * bend, second.angle * bend}, bars);
  add(bars.panel.sensor.layer_step, T(static_cast<float>(spot.layer)) * radius_bar);
  const T fast_bar = number(f.handedness) * first.angle * bend,
          slow_bar = number(-f.handedness) * second.angle * bend;
  add(bars.panel.frame.beam_fast, -fast_bar);
  add(bars.panel.frame.beam_slow, -slow_bar);
  add(bars.panel.frame.subpixel,
      (fast_bar * spot.fast + slow_bar * spot.slow) * number(1 / f.subpixel));
}

/// The light of a spot, by which of its factors it comes.
template <class T>
struct SpotBars {
  Vec3<T> direction{T(0), T(0), T(0)};
  T solid_angle{0}, capture{0};  ///< bars of their logarithms
};

/// Through the capture in the sensor.
template <class T>
HWY_NOINLINE void pull_back_capture(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                    const T& light, Vec3<T>& direction_bar,
                                    BasicPixelNumbers<T>& bars) {
  const PlanSensor& sensor = panel.sensor;
  const auto number = [](double x) { return physics::constant<T>(x); };
  const T rho = obliquity(panel.frame, spot);
  const T depth = number(sensor.layer_step * sensor.absorption_per_m) / rho;
  const T per_log_depth = light * depth *
                          physics::capture_log_slope(T(static_cast<float>(spot.layer)), depth);
  add(bars.panel.sensor.layer_step, per_log_depth * number(1 / sensor.layer_step));
  add(bars.panel.sensor.absorption_per_m, per_log_depth * number(1 / sensor.absorption_per_m));
  if (panel.frame.curvature == Curvature::spherical) return;
  const T rho_bar = -per_log_depth / rho;
  add(direction_bar, rho_bar * physics::constant<T>(panel.frame.normal));
  add(bars.panel.frame.normal, rho_bar * spot.direction);
}

/// Through the solid angle; `own_depth`: as in solid_angle(), for each layer.
template <class T>
NABLA_INLINE T pull_back_solid_angle(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                     double own_depth, const T& light, BasicPixelNumbers<T>& bars) {
  const PlanFrame& f = panel.frame;
  if (f.solid_angle != SolidAngle::per_area)
    add(bars.panel.frame.pixel, light * physics::constant<T>(2 / f.pixel));
  if (f.solid_angle != SolidAngle::oblique) return T(-2) * light;
  const T close = light * physics::constant<T>(1 / (f.close_distance + own_depth * spot.layer));
  add(bars.panel.frame.close_distance, close);
  if (own_depth > 0) add(bars.panel.sensor.layer_step, T(static_cast<float>(spot.layer)) * close);
  return T(-3) * light;
}

/// `has_solid_angle`: the light of a term has the solid angle of its own spot.
template <class T>
NABLA_INLINE void pull_back_spot(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                 bool has_solid_angle, double own_depth, const SpotBars<T>& light,
                                 BasicPixelNumbers<T>& bars) {
  Vec3<T> direction = light.direction;
  if (panel.sensor.absorbs()) pull_back_capture(panel, spot, light.capture, direction, bars);
  T radial = -dot(direction, spot.direction);
  if (has_solid_angle)
    add(radial, pull_back_solid_angle(panel, spot, own_depth, light.solid_angle, bars));
  const Vec3<T> position = spot.near * (direction + radial * spot.direction);
  if (panel.frame.curvature == Curvature::flat)
    pull_back_flat(panel, spot, position, bars);
  else
    pull_back_curved(panel, spot, position, bars);
}

/// The same, of spots that only some plans have.
template <class T>
HWY_NOINLINE void pull_back_other_spot(const PanelNumbers& panel, const SensorSpot<T>& spot,
                                       const SpotBars<T>& light, BasicPixelNumbers<T>& bars) {
  pull_back_spot(panel, spot, true, 0, light, bars);
}

template <class T>
NABLA_INLINE T polarization_of(const LightNumbers& light, const Vec3<T>& incident,
                               const Vec3<T>& magnetic, const Vec3<T>& direction) {
  return physics::kahn_polarization(dot(incident, direction), dot(direction, magnetic),
                                    physics::constant<T>(light.polarization_fraction));
}

template <class T>
NABLA_INLINE void pull_back_polarization(const LightNumbers& light, const Vec3<T>& incident,
                                         const Vec3<T>& magnetic, const Vec3<T>& direction,
                                         const T& bar, BasicPlanRay<T>& ray, Vec3<T>& direction_bar,
                                         BasicPixelNumbers<T>& bars) {
  const auto slopes = physics::kahn_polarization_slopes(
      dot(incident, direction), dot(direction, magnetic),
      physics::constant<T>(light.polarization_fraction));
  const T c = bar * slopes.c, e_b = bar * slopes.e_b;
  add(direction_bar, c * incident + e_b * magnetic);
  add(ray.incident, c * direction);
  add(ray.magnetic, e_b * direction);
  add(bars.light.polarization_fraction, bar * slopes.fraction);
}

/// Is the light of a beam not cut off by -dmin here?  As a mask of T's lanes.
template <class T, class AnyRay>
NABLA_INLINE auto keeps(const Plan& plan, const AnyRay& ray, const Vec3<Double>& direction) {
  const auto kept = within_dmin(
      plan.dmin, Double(ray.wavenumber) * (direction - vec3_as<Double>(ray.incident)));
  return shaped<T>(select(kept, Double(1), Double(0))) != T(0);
}

/// The first polarization factor found in a pixel, where one stands for all.
template <class T>
struct FirstPolarization {
  T factor;
  SensorSpot<T> spot;  ///< but for its layer, which find() finds lane by lane
  T layer;
  Vec3<T> incident, magnetic;
  T ray;    ///< its number
  T found;  ///< 1, or 0 where -dmin cuts off all of them: then nothing depends on it

  /// That of the first ray at the first sub-pixel.
  NABLA_INLINE void take_first(const Plan& plan, const SensorSpot<T>& first) {
    spot = first;
    found = T(1);
    incident = physics::constant<T>(plan.light.rays[0].incident);
    magnetic = physics::constant<T>(plan.light.rays[0].magnetic);
    factor = polarization_of(plan.light, incident, magnetic, spot.direction);
  }

  /// That of the first ray that -dmin does not cut off, another one in each pixel.
  HWY_NOINLINE void find(const CpuPlan& p, const Double& fast, const Double& slow) {
    const Plan& plan = *p.plan;
    factor = layer = ray = found = T(0);
    T open(1);
    BasicSubPixel<Double> at;
    for (at.layer = 0; at.layer < p.panel->sensor.layers; ++at.layer)
      for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
        for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
          locate(p, fast, slow, at);
          const SensorSpot<T> here = spot_of<T>(at);
          if (at.layer == 0 && at.sub_slow == 0 && at.sub_fast == 0) {
            // Where nothing is ever found, its light is none but its place must be one.
            spot = here;
            incident = physics::constant<T>(plan.light.rays[0].incident);
            magnetic = physics::constant<T>(plan.light.rays[0].magnetic);
          }
          for (size_t r = 0; r < plan.light.rays.size(); ++r) {
            const PlanRay& candidate = plan.light.rays[r];
            auto now = open != T(0);
            if (plan.background.per_sr == 0) now = now & keeps<T>(plan, candidate, at.direction);
            if (!any(now)) continue;
            const Vec3<T> i = physics::constant<T>(candidate.incident),
                          m = physics::constant<T>(candidate.magnetic);
            take(now, here.fast, spot.fast);
            take(now, here.slow, spot.slow);
            take(now, here.near, spot.near);
            take(now, here.direction, spot.direction);
            take(now, i, incident);
            take(now, m, magnetic);
            take(now, T(static_cast<float>(at.layer)), layer);
            take(now, T(static_cast<float>(r)), ray);
            take(now, polarization_of(plan.light, i, m, here.direction), factor);
            take(now, T(0), open);
            found = T(1) - open;
            if (!any(open != T(0))) return;
          }
        }
  }

 private:
  template <class Mask>
  static NABLA_INLINE void take(const Mask& where, const T& from, T& to) {
    to = select(where, from, to);
  }
  template <class Mask>
  static NABLA_INLINE void take(const Mask& where, const Vec3<T>& from, Vec3<T>& to) {
    take(where, from.x, to.x);
    take(where, from.y, to.y);
    take(where, from.z, to.z);
  }
};

// ---- One step -----------------------------------------------------------------------------------

/// Structure factors in units of the largest, and how they change with the indices.
template <class T>
struct AmplitudeSlopes {
  T F{1};
  Vec3<T> slope;  ///< of interpolation
  Double offset;  ///< in the table, of the nearest node or the neighbourhood's corner
  typename Double::Mask inside;  ///< is in the table
  Vec3<T> between;               ///< where in its cell, of interpolation
};

template <Lookup lookup, class T>
NABLA_INLINE AmplitudeSlopes<T> amplitude_slopes(const CpuPlan& p, const Vec3<Double>& h,
                                                 const Vec3<Double>& nearest) {
  AmplitudeSlopes<T> found;
  if constexpr (lookup == Lookup::constant) return found;  // F is part of the unit
  const Double unit(1 / p.largest_F), otherwise(p.plan->lattice.default_F);
  if constexpr (lookup == Lookup::nearest) {
    found.inside = p.grid.holds(nearest);
    found.offset = p.grid.offset(nearest);
    found.F = shaped<T>(unit * select(found.inside,
                                      value_at(p.grid.values, found.offset, found.inside),
                                      otherwise));
  }
  if constexpr (lookup == Lookup::tricubic) {
    const Double one(1), none(0);
    const Vec3<Double> base{floor_of(h.x), floor_of(h.y), floor_of(h.z)}, t = h - base;
    found.inside = p.grid.surrounds(h);
    found.offset = p.grid.offset(base - Vec3<Double>{one, one, one});
    const auto stride_h = static_cast<std::int64_t>(p.grid.stride_h),
               stride_k = static_cast<std::int64_t>(p.grid.stride_k);
    physics::TricubicSlopes<Double> here{otherwise, {none, none, none}};
    for_each_offset(
        found.offset, found.inside, [&](std::int64_t corner, const typename Double::Mask& who) {
          const double* nodes = p.grid.values + corner;
          const auto theirs = physics::tricubic_slopes(t.x, t.y, t.z, [&](int i, int j, int k) {
            return Double(nodes[i * stride_h + j * stride_k + k]);
          });
          here = {
              select(who, theirs.value, here.value),
              {select(who, theirs.slope.x, here.slope.x), select(who, theirs.slope.y, here.slope.y),
               select(who, theirs.slope.z, here.slope.z)}};
        });
    found.F = shaped<T>(unit * here.value);
    found.slope = shaped<T>(unit * here.slope);
    found.between = shaped<T>(t);
  }
  return found;
}

/// Bars of interpolated structure factors, lane by lane until another neighbourhood is asked for.
template <class T>
class NodeBars {
 public:
  NABLA_INLINE void add(std::int64_t corner, const T& bar, const Vec3<T>& t) {
    Neighbourhood& here = cache_[static_cast<size_t>(corner) % std::size(cache_)];
    if (here.corner != corner) {
      flush(here);
      here.corner = corner;
      for (T& sum : here.sums) sum = T(0);
    }
    const auto wx = physics::cubic_weights(t.x), wy = physics::cubic_weights(t.y),
               wz = physics::cubic_weights(t.z);
    for (size_t i = 0; i < 4; ++i)
      for (size_t j = 0; j < 4; ++j) {
        const T plane = bar * wx[i] * wy[j];
        for (size_t k = 0; k < 4; ++k) {
          T& sum = here.sums[16 * i + 4 * j + k];
          sum = sum + plane * wz[k];
        }
      }
  }

  explicit NodeBars(const CpuPlan& p, TableBars& table) : p_(p), table_(table) {}
  ~NodeBars() {
    for (Neighbourhood& each : cache_) flush(each);
  }
  NodeBars(const NodeBars&) = delete;
  NodeBars& operator=(const NodeBars&) = delete;

 private:
  struct Neighbourhood {
    std::int64_t corner = -1;
    T sums[64];
  };

  void flush(Neighbourhood& here) {
    if (here.corner < 0) return;
    const auto stride_h = static_cast<std::int64_t>(p_.grid.stride_h),
               stride_k = static_cast<std::int64_t>(p_.grid.stride_k);
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        for (int k = 0; k < 4; ++k)
          table_.add(here.corner + i * stride_h + j * stride_k + k,
                     lane_sum(here.sums[16 * i + 4 * j + k]));
    here.corner = -1;
  }

  const CpuPlan& p_;
  TableBars& table_;
  Neighbourhood cache_[7];
};

// ---- A tile -------------------------------------------------------------------------------------

/// What is left to do once for all lanes of a tile: bars that follow from other bars.
template <class T>
HWY_NOINLINE void complete(const CpuPlan& p, Lookup lookup, BasicPixelNumbers<T>& bars) {
  const Plan& plan = *p.plan;
  const auto number = [](double x) { return physics::constant<T>(x); };
  const T twice_light = T(2) * bars.scale;  // of the terms, which are in units of the scale
  physics::with_shape(plan.lattice.shape, [&]<class Shape>() {
    Shape::complete(plan.lattice, twice_light, bars.lattice);
  });
  if (lookup == Lookup::constant)
    bars.lattice.default_F = plan.lattice.default_F == 0
                                 ? T(0)
                                 : twice_light * number(1 / plan.lattice.default_F);
  else
    bars.lattice.default_F = bars.lattice.default_F * number(1 / p.largest_F);
  bars.scale = (bars.scale + bars.background.starting_sum) * number(1 / plan.scale);
  if (plan.background.starting_sum != 0)
    bars.background.starting_sum = bars.background.starting_sum *
                                   number(1 / plan.background.starting_sum);
  if (plan.background.per_sr != 0)
    bars.background.per_sr = bars.background.per_sr * number(1 / plan.background.per_sr);
}

/// What a tile's bars are gathered in, and where they go: all that does not depend on the kernel.
template <class T>
class TileBars {
 protected:
  TileBars(const CpuPlan& p, const Tile& tile, const std::array<double, tile_pixels>& weights,
           GradientSink& sink)
      : p_(p),
        plan_(*p.plan),
        panel_(*p.panel),
        tile_(tile),
        weights_(weights),
        sink_(sink),
        absorbs_(panel_.sensor.absorbs()),
        each_omega_(plan_.rules.each_solid_angle()),
        each_capture_(plan_.rules.each_capture(panel_.sensor)),
        once_capture_(plan_.rules.once_capture(panel_.sensor)),
        each_polarization_(plan_.rules.each_polarization()),
        once_polarization_(plan_.rules.once_polarization()),
        lights_background_(plan_.background.per_sr != 0),
        forwards_(!sink.tangents.empty()) {
    find_anchors(p_, tile_, anchors_);
    if (forwards_) {
      for (double& photons : sink_.photons) photons = 0;  // fill() might not be inlined
      std::fill_n(sink_.slopes, tile_pixels * sink_.tangents.size(), 0.0);
    }
    clear_tile();
  }

  void clear_tile() {
    bars_ = zero_numbers<T>();
    for_each_number_of_ray([](T& bar) { bar = T(0); }, first_ray_bars_);
    table_slope_ = Double(0);
  }

  void clear_chunk() {
    for (int o = 0; o < chunk_.count; ++o)
      for (T& bar : axes_bars_[o]) bar = T(0);
    for (int b = 0; b < chunk_.beams; ++b)
      for_each_number_of_ray([](T& bar) { bar = T(0); }, ray_bars_[b]);
    if (p_.bands) clear_band_bars();
  }

  // ---- The rays of bands ------------------------------------------------------------------------

  HWY_NOINLINE void clear_band_bars() {
    const Beam &first = beam_of(0), &last = beam_of(chunk_.beams - 1);
    sink_.band_bars.clear(forwards_ ? static_cast<size_t>(lanes) : 1,
                          static_cast<size_t>(first.first),
                          static_cast<size_t>(last.first + last.rays + most_lanes - first.first));
  }

  /// Calls work(j, number of the ray in the plan) for the rays of a band.
  template <class Work>
  void for_each_ray(const Beam& beam, Work&& work) const {
    const auto begin = static_cast<size_t>(beam.first);
    for (size_t j = begin; j < begin + static_cast<size_t>(beam.rays); ++j)
      work(j, static_cast<size_t>(p_.band_ray[j]));
  }

  /// The bars of the chunk's rays times a tangent.
  HWY_NOINLINE Double band_change(const BandNumbers& tangent) const {
    BandBars& bars = sink_.band_bars;
    alignas(64) double changes[lanes];
    for (size_t lane = 0; lane < static_cast<size_t>(lanes); ++lane) {
      const float *const wavenumbers = bars.wavenumber(lane), *const weights = bars.weight(lane);
      Single sum(0.0f);
      // Behind a band's last ray the tangents are zero, and there are more of them than lanes.
      for (size_t i = 0; i + lanes <= bars.size(); i += lanes) {
        const size_t j = bars.begin() + i;
        sum = sum + Single::load(wavenumbers + i) * Single::load(tangent.wavenumber.data() + j) +
              Single::load(weights + i) * Single::load(tangent.weight.data() + j);
      }
      changes[lane] = static_cast<double>(sum_of(sum));
    }
    return Double::load(changes);
  }

  /// In reverse.
  HWY_NOINLINE void finish_bands() {
    BandBars& from = sink_.band_bars;
    for (int b = 0; b < chunk_.beams; ++b) {
      // All rays of a band light the background.
      const double background = lane_sum(ray_bars_[b].weight);
      for_each_ray(beam_of(b), [&](size_t j, size_t ray) {
        PlanRay& bars = sink_.bars->light.rays[ray];
        bars.wavenumber += static_cast<double>(from.wavenumber(0)[j - from.begin()]);
        bars.weight += static_cast<double>(from.weight(0)[j - from.begin()]) + background;
      });
      ray_bars_[b].weight = T(0);
    }
  }

  /// `light`: what else comes from the spot where the factor was found; without -dmin that is the
  /// first one in all lanes.
  HWY_NOINLINE void pull_back_first_polarization(size_t first, const T& light_over_factor,
                                                 SpotBars<T> light) {
    const FirstPolarization<T>& from = first_polarization_;
    const T bar = light_over_factor * from.found;
    if (plan_.dmin == 0) {
      pull_back_polarization(plan_.light, from.incident, from.magnetic, from.spot.direction, bar,
                             first_ray_bars_, light.direction, bars_);
      return pull_back_other_spot(panel_, from.spot, light, bars_);
    }
    BasicPlanRay<T> ray;
    for_each_number_of_ray([](T& x) { x = T(0); }, ray);
    pull_back_polarization(plan_.light, from.incident, from.magnetic, from.spot.direction, bar, ray,
                           light.direction, bars_);
    // Which layer and which ray it was may differ from lane to lane.
    SensorSpot<T> spot = from.spot;
    for (spot.layer = 0; spot.layer < panel_.sensor.layers; ++spot.layer) {
      const auto here = from.layer == T(static_cast<float>(spot.layer));
      if (!any(here)) continue;
      SpotBars<T> theirs;
      theirs.direction = select(here, T(1), T(0)) * light.direction;
      pull_back_other_spot(panel_, spot, theirs, bars_);
    }
    alignas(64) double rays[lanes], bars_of_ray[8][lanes];
    widened(from.ray).store(rays);
    size_t column = 0;
    for_each_number_of_ray([&](const T& x) { widened(x).store(bars_of_ray[column++]); }, ray);
    for (size_t lane = 0; lane < static_cast<size_t>(lanes); ++lane) {
      const auto index = static_cast<size_t>(rays[lane]);
      column = 0;
      const auto add_lane = [&](double& to) { to += bars_of_ray[column++][lane]; };
      if (!forwards_) {
        for_each_number_of_ray(add_lane, sink_.bars->light.rays[index]);
        continue;
      }
      for (size_t t = 0; t < sink_.tangents.size(); ++t) {
        column = 0;
        for_each_number_of_ray(
            [&](const double& tangent) {
              slope_of(first + lane, t) += tangent * bars_of_ray[column++][lane];
            },
            sink_.tangents[t].plan->light.rays[index]);
      }
    }
  }

  // ---- Where the bars go ------------------------------------------------------------------------

  double& slope_of(size_t pixel, size_t tangent) {
    return sink_.slopes[pixel * sink_.tangents.size() + tangent];
  }
  const Beam& beam_of(int b) const {
    const int beam = chunk_.first_beam + b;
    return p_.beams[static_cast<size_t>(beam)];
  }
  /// The ray that a beam's bars belong to.  All rays of a band have the same derivatives of their
  /// direction (Plan::shared_directions), so that the first one may take the bars of all.
  template <class AnyPlan>
  auto& ray_of(AnyPlan& plan, int b) const {
    return plan.light.rays[static_cast<size_t>(beam_of(b).ray)];
  }
  size_t orientation_of(int o) const {
    return (begin_ + static_cast<size_t>(o)) % plan_.lattice.orientations.size();
  }
  double wavenumber_of(int o) const { return beam_of(chunk_.beam[o]).wavenumber; }

  /// Forwards: the bars of each lane times the tangents.
  void finish_group(size_t first, Lookup lookup) {
    const Double photons = widened(bars_.scale) + widened(bars_.background.starting_sum) +
                           widened(bars_.background.per_sr);
    (photons + Double::load(sink_.photons.data() + first)).store(sink_.photons.data() + first);
    complete(p_, lookup, bars_);
    alignas(64) double changes[lanes];
    for (size_t t = 0; t < sink_.tangents.size(); ++t) {
      const Tangent& direction = sink_.tangents[t];
      const Plan& tangent = *direction.plan;
      Double change(0);
      const auto along = [&](const double& slope, const T& bar) {
        if (slope != 0) change = change + Double(slope) * widened(bar);
      };
      for_each_number_at(along, tangent, p_.panel_number, std::as_const(bars_));
      for_each_number_of_ray(along, tangent.light.rays[0], std::as_const(first_ray_bars_));
      for (int b = 0; b < chunk_.beams; ++b)
        for_each_number_of_ray(along, ray_of(tangent, b), std::as_const(ray_bars_[b]));
      if (p_.bands && !direction.bands.weight.empty()) {
        change = change + band_change(direction.bands);
        if (lights_background_)
          for (int b = 0; b < chunk_.beams; ++b)
            for_each_ray(beam_of(b), [&](size_t, size_t ray) {
              if (ray != static_cast<size_t>(beam_of(b).ray))
                along(tangent.light.rays[ray].weight, ray_bars_[b].weight);
            });
      }
      if (direction.turns_crystal)
        for (int next = 0; next < lit_count_; ++next) {
          const int o = lit_[next];
          const T(&axes)[9] = axes_bars_[o];
          const Double wavenumber(wavenumber_of(o));
          size_t column = 0;
          for_each_number_of_axes(
              [&](const double& slope) {
                change = change + Double(slope) * (wavenumber * widened(axes[column++]));
              },
              tangent.lattice.orientations[orientation_of(o)]);
        }
      if (sink_.table_tangent && t + 1 == sink_.tangents.size())
        change = change + table_slope_ * Double(1 / p_.largest_F);
      change.store(changes);
      for (size_t lane = 0; lane < static_cast<size_t>(lanes); ++lane)
        slope_of(first + lane, t) += changes[lane];
    }
    clear_tile();
    clear_chunk();
  }

  /// In reverse: the bars of all lanes added up.
  void finish_chunk() {
    if (p_.bands) finish_bands();
    for (int b = 0; b < chunk_.beams; ++b)
      for_each_number_of_ray([](double& to, const T& bar) { to += lane_sum(bar); },
                             ray_of(*sink_.bars, b), ray_bars_[b]);
    for (int o = 0; o < chunk_.count; ++o) {
      const double wavenumber = wavenumber_of(o);
      size_t column = 0;
      for_each_number_of_axes(
          [&](double& to) { to += wavenumber * lane_sum(axes_bars_[o][column++]); },
          sink_.bars->lattice.orientations[orientation_of(o)]);
    }
  }

  void finish_tile(Lookup lookup) {
    BasicPixelNumbers<double> sums = zero_numbers<double>();
    for_each_number([](double& to, const T& bar) { to = lane_sum(bar); }, sums, bars_);
    for_each_number_of_ray([](double& to, const T& bar) { to += lane_sum(bar); },
                           sink_.bars->light.rays[0], std::as_const(first_ray_bars_));
    sink_.value += sums.scale + sums.background.starting_sum + sums.background.per_sr;
    complete(p_, lookup, sums);
    for_each_number_at([](double& to, const double& bar) { to += bar; }, *sink_.bars,
                       p_.panel_number, sums);
  }

  const CpuPlan& p_;
  const Plan& plan_;
  const PanelNumbers& panel_;
  const Tile& tile_;
  const std::array<double, tile_pixels>& weights_;
  GradientSink& sink_;
  const bool absorbs_, each_omega_, each_capture_, once_capture_, each_polarization_,
      once_polarization_, lights_background_, forwards_;
  const double background_share_ = plan_.background.per_sr /
                                   (static_cast<double>(plan_.light.rays.size()) *
                                    plan_.oversample * plan_.oversample);
  Anchors anchors_;
  alignas(64) Chunk chunk_;
  size_t begin_ = 0;  ///< of the chunk, among the operators
  int lit_[chunk_size], lit_count_ = 0;
  T omega_once_, polarization_once_;
  FirstPolarization<T> first_polarization_;
  BasicPixelNumbers<T> bars_;
  T axes_bars_[chunk_size][9];            ///< of a, b, c times the wavenumber
  BasicPlanRay<T> ray_bars_[chunk_size];  ///< of a band: the weight's in the background alone
  BasicPlanRay<T> first_ray_bars_;        ///< of the polarization that stands for all
  Double table_slope_{0};
};

/// Where the pixels of a group see their sub-pixels: in double precision ...
template <class T, bool anchored>
struct GroupPhase {
  const Tile& tile;
  BasicSubPixel<Double> at;

  NABLA_INLINE GroupPhase(const CpuPlan&, const Tile& t, const Anchors&, size_t) : tile(t) {}

  NABLA_INLINE SensorSpot<T> see(const CpuPlan& p, size_t first, const SubPixel& which) {
    at.layer = which.layer;
    at.sub_slow = which.sub_slow;
    at.sub_fast = which.sub_fast;
    locate(p, widen(load<1>(tile.fast, first)), widen(load<1>(tile.slow, first)), at);
    return spot_of<T>(at);
  }
};

/// ... or relative to the middle of their block.
template <>
struct GroupPhase<Single, true> {
  const Tile& tile;
  AnchoredPhase<1> phase;

  NABLA_INLINE GroupPhase(const CpuPlan& p, const Tile& t, const Anchors& anchors, size_t first)
      : tile(t), phase(p, t, anchors, first) {}

  NABLA_INLINE SensorSpot<Single> see(const CpuPlan& p, size_t first, const SubPixel& which) {
    const Sample& sample = p.sample(which.layer, which.sub_slow, which.sub_fast);
    const auto spot = phase.place(p, tile, first, sample);
    const Single pixel = single(p.panel->frame.pixel), half = single(0.5);
    return {pixel * (load<1>(tile.fast, first) + half) + Single(sample.right),
            pixel * (load<1>(tile.slow, first) + half) + Single(sample.up), spot.near,
            spot.direction, which.layer};
  }
};

/// The derivatives of a tile, in the precision T of the shapes.
template <class T, class Shape, Lookup lookup, bool anchored, bool bands = false>
class TilePullBack : TileBars<T> {
 public:
  TilePullBack(const CpuPlan& p, const Tile& tile, const std::array<double, tile_pixels>& weights,
               GradientSink& sink)
      : TileBars<T>(p, tile, weights, sink), nodes_(p, sink.table) {}

  void run() {
    const size_t orientations = plan_.lattice.orientations.size(),
                 operators = p_.beams.size() * orientations,
                 pixels = static_cast<size_t>(tile_.blocks) * block_pixels;
    for (size_t begin = 0; begin < operators; begin += static_cast<size_t>(chunk_.count)) {
      begin_ = begin;
      // A table that single precision cannot index has no dark entries here.
      fill_chunk<is_wide<T> ? Lookup::constant : lookup>(
          p_, anchors_, tile_.blocks, begin / orientations, begin % orientations, chunk_);
      this->clear_chunk();
      for (size_t first = 0; first < pixels; first += lanes) {
        const Double weight = Double::load(weights_.data() + first);
        if (!any(weight != Double(0))) continue;
        if (!pull_back_group(first, shaped<T>(weight))) continue;
        if (forwards_) this->finish_group(first, lookup);
      }
      if (!forwards_) this->finish_chunk();
    }
    if (!forwards_) this->finish_tile(lookup);
  }

 private:
  using Phase = GroupPhase<T, anchored>;
  static NABLA_INLINE T number(double x) { return physics::constant<T>(x); }

  // ---- A group of pixels, one in each lane ------------------------------------------------------

  /// The light of a group by its factors, as far as one of them stands for many terms.
  struct OnceBars {
    T solid_angle{0}, terms{0};
    T polarization{0};  ///< not of its logarithm: the factor itself may be zero
  };

  /// False where there is nothing to do.
  bool pull_back_group(size_t first, const T& weight) {
    block_ = block_of(first);
    lit_count_ = list_bits(chunk_.lit[block_], lit_);
    const bool first_chunk = begin_ == 0;
    if (lit_count_ == 0 && !(first_chunk && plan_.background.starting_sum != 0) &&
        !lights_background_)
      return false;
    const PlanSensor& sensor = panel_.sensor;
    Phase phase(p_, tile_, anchors_, first);
    SubPixel at;

    // Factors that stand for all terms, and the spots where they come from
    T once(1);
    SensorSpot<T> first_spot{};
    omega_once_ = T(1);
    if (!each_omega_ || once_polarization_) first_spot = phase.see(p_, first, at);
    if (!each_omega_) {
      omega_once_ = solid_angle(panel_.frame, first_spot.near, 0.0);
      once = once * omega_once_;
    }
    if (once_capture_) {
      at.layer = sensor.layers - 1;
      once = once * capture_of(panel_, phase.see(p_, first, at));
    }
    polarization_once_ = T(1);
    if (once_polarization_) {
      if (plan_.dmin == 0)
        first_polarization_.take_first(plan_, first_spot);
      else
        first_polarization_.find(p_, widen(load<1>(tile_.fast, first)),
                                 widen(load<1>(tile_.slow, first)));
      polarization_once_ = first_polarization_.factor;
    }

    OnceBars of_once;
    if (first_chunk && plan_.background.starting_sum != 0) {
      const T unpolarized = weight * number(plan_.scale * plan_.background.starting_sum) * once;
      const T light = unpolarized * polarization_once_;
      add(bars_.background.starting_sum, light);
      add(of_once.terms, light);
      add(of_once.polarization, unpolarized);
    }
    const T scaled = weight * number(p_.unit) * once;
    const double own_depth = each_omega_ ? sensor.layer_step : 0;
    for (at.layer = 0; at.layer < sensor.layers; ++at.layer) {
      // One layer's capture stands for all terms, each layer's own for its background.
      const bool layer_captures = once_capture_ &&
                                  (lights_background_ || at.layer == sensor.layers - 1);
      SensorSpot<T> first_of_layer{};
      SpotBars<T> layer_light;  // of the capture that stands for all of the layer
      T capture(1);
      for (at.sub_slow = 0; at.sub_slow < plan_.oversample; ++at.sub_slow)
        for (at.sub_fast = 0; at.sub_fast < plan_.oversample; ++at.sub_fast) {
          const SensorSpot<T> spot = phase.see(p_, first, at);
          T omega = omega_once_, each = scaled;
          if (each_omega_) {
            omega = solid_angle(panel_.frame, spot.near, own_depth * at.layer);
            each = each * omega;
          }
          if (each_capture_) {
            capture = capture_of(panel_, spot);
            each = each * capture;
          } else if (layer_captures && at.sub_slow == 0 && at.sub_fast == 0) {
            first_of_layer = spot;
            capture = capture_of(panel_, spot);
          }
          SpotBars<T> light;
          pull_back_beams(
              phase, spot, each,
              lights_background_ ? weight * number(background_share_) * omega * capture : T(0),
              light, once_capture_ ? layer_light : light, of_once);
          pull_back_spot(panel_, spot, each_omega_, own_depth, light, bars_);
        }
      if (layer_captures) {
        if (at.layer == sensor.layers - 1) add(layer_light.capture, of_once.terms);
        pull_back_other_spot(panel_, first_of_layer, layer_light, bars_);
      }
    }

    SpotBars<T> light;
    if (!each_omega_) light.solid_angle = of_once.terms + of_once.solid_angle;
    if (once_polarization_ && plan_.dmin == 0) {
      this->pull_back_first_polarization(first, of_once.polarization, light);
    } else {
      if (!each_omega_) pull_back_other_spot(panel_, first_spot, light, bars_);
      if (once_polarization_) this->pull_back_first_polarization(first, of_once.polarization, {});
    }
    return true;
  }

  /// `each`: what a term is multiplied by, ray's own factors aside; `background`: light of a ray of
  /// weight 1 in the background.
  NABLA_INLINE void pull_back_beams(const Phase& phase, const SensorSpot<T>& spot, const T& each,
                                    const T& background, SpotBars<T>& light,
                                    SpotBars<T>& of_capture, OnceBars& of_once) {
    const T none(0);
    for (int next = 0, b = 0; b < chunk_.beams; ++b) {
      const bool has_terms = next < lit_count_ && chunk_.beam[lit_[next]] == b;
      // A beam whose orientations fill several chunks lights the background with its first one.
      const bool has_background = lights_background_ &&
                                  (b > 0 || begin_ % plan_.lattice.orientations.size() == 0);
      if (!has_terms && !has_background) continue;
      const Beam& beam = this->beam_of(b);
      BasicPlanRay<T>& ray = ray_bars_[b];
      const Vec3<T> incident = physics::constant<T>(beam.incident),
                    magnetic = physics::constant<T>(beam.magnetic);
      const T polarization = each_polarization_
                                 ? polarization_of(plan_.light, incident, magnetic, spot.direction)
                                 : polarization_once_;
      const T beam_weight = number(beam.weight);
      T unpolarized(0);  // all light of the beam here, without a factor that may be zero
      if (has_terms) {
        T factor = each;
        Vec3<Double> away_wide;
        Vec3<T> away;
        if constexpr (anchored) {
          away = spot.direction - incident;
        } else {
          if (plan_.dmin > 0)
            factor = select(keeps<T>(plan_, beam, phase.at.direction), factor, none);
          away_wide = phase.at.direction - vec3_as<Double>(beam.incident);
          away = shaped<T>(away_wide);
        }
        const T coefficient = factor * beam_weight * polarization;
        T intensity(0);  // F^2 F_latt^2 of all orientations
        Vec3<T> away_bar{none, none, none};
        for (; next < lit_count_ && chunk_.beam[lit_[next]] == b; ++next) {
          if constexpr (bands)
            pull_back_band(lit_[next], beam, away_wide, away, factor, coefficient, intensity,
                           away_bar);
          else
            pull_back_step(lit_[next], phase, away_wide, away, coefficient, intensity, away_bar);
        }
        // h = k A (direction - incident)
        add(light.direction, away_bar);
        ray.incident = ray.incident - away_bar;
        if constexpr (!bands) {
          add(ray.wavenumber, number(1 / beam.wavenumber) * dot(away_bar, away));
          add(ray.weight, factor * polarization * intensity);
        }
        unpolarized = factor * beam_weight * intensity;
        const T terms = unpolarized * polarization;
        add(bars_.scale, terms);
        add(of_once.terms, terms);
        if (each_omega_) add(light.solid_angle, terms);
        if (each_capture_) add(light.capture, terms);
      }
      if (has_background) {
        add(ray.weight, background * polarization);
        const T bare = background * number(beam.light), lit = bare * polarization;
        add(bars_.background.per_sr, lit);
        add(each_omega_ ? light.solid_angle : of_once.solid_angle, lit);
        if (absorbs_) add(of_capture.capture, lit);
        add(unpolarized, bare);
      }
      if (each_polarization_)
        pull_back_polarization(plan_.light, incident, magnetic, spot.direction, unpolarized, ray,
                               light.direction, bars_);
      else
        add(of_once.polarization, unpolarized);
    }
  }

  /// One orientation: its fringes and its structure factor.
  NABLA_INLINE void pull_back_step(int o, const Phase& phase, const Vec3<Double>& away_wide,
                                   const Vec3<T>& away, const T& coefficient, T& intensity,
                                   Vec3<T>& away_bar) {
    if constexpr (anchored) {
      const size_t operators[] = {static_cast<size_t>(o)}, blocks[] = {block_};
      const bool one_cell = (chunk_.one_cell[block_] >> o & 1) != 0;
      Vec3<T> cell, distance;
      if (one_cell)
        distance = anchored_distance<true, 1>(chunk_, operators, blocks, phase.phase.change, cell);
      else
        distance = anchored_distance<false, 1>(chunk_, operators, blocks, phase.phase.change, cell);
      const auto latt = Shape::slopes(p_.lattice, distance);
      if constexpr (lookup == Lookup::nearest) {
        if (one_cell)
          cell = {T(chunk_.cell[o][0][block_]), T(chunk_.cell[o][1][block_]),
                  T(chunk_.cell[o][2][block_])};
        const Vec3<T> extent = physics::constant<T>(p_.extent);
        const T none(0), offset = (cell.x * extent.y + cell.y) * extent.z + cell.z;
        const auto inside = (cell.x >= none) & (cell.x < extent.x) & (cell.y >= none) &
                            (cell.y < extent.y) & (cell.z >= none) & (cell.z < extent.z);
        T F(p_.default_F);
        if (!one_cell)
          F = select(inside, value_at(p_.F.data(), offset, inside), F);
        else if (any(inside))
          F = T(p_.F[static_cast<size_t>(hn::GetLane(offset.part[0]))]);
        const T F_bar = add_step(o, latt, F, {}, distance, away, coefficient, intensity, away_bar);
        add(bars_.lattice.default_F, select(inside, none, F_bar));
        if (!sink_.wants_table) return;
        if (one_cell && any(inside))
          sink_.table.add(static_cast<std::int64_t>(hn::GetLane(offset.part[0])), sum_of(F_bar));
        else
          for_each_offset(offset, inside & (F_bar != none),
                          [&](std::int64_t where, const typename T::Mask& who) {
                            sink_.table.add(where, sum_of(select(who, F_bar, none)));
                          });
      } else {
        add_step(o, latt, T(1), {}, distance, away, coefficient, intensity, away_bar);
      }
    } else {
      const Vec3<Double> h = miller_indices(chunk_.wide[o], away_wide);
      const Vec3<Double> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
      const Vec3<Double> distance = h - nearest;
      const auto latt = Shape::slopes(p_.lattice, distance, Shaped<T>());
      const auto amplitude = amplitude_slopes<lookup, T>(p_, h, nearest);
      add_amplitude(amplitude, add_step(o, latt, amplitude.F, amplitude.slope, shaped<T>(distance),
                                        away, coefficient, intensity, away_bar));
    }
  }

  /// The bar of F, where it comes from.
  NABLA_INLINE void add_amplitude(const AmplitudeSlopes<T>& amplitude, const T& F_bar_shaped) {
    if constexpr (lookup != Lookup::constant) {
      const Double F_bar = widened(F_bar_shaped), none(0);
      const auto lit = F_bar != none;
      if (!any(lit)) return;
      const auto in_table = amplitude.inside & lit;
      add(bars_.lattice.default_F, shaped<T>(select(amplitude.inside, none, F_bar)));
      if (sink_.table_tangent)
        table_slope_ = table_slope_ + F_bar * table_change(amplitude, in_table);
      if (!sink_.wants_table) return;
      for_each_offset(amplitude.offset, in_table,
                      [&](std::int64_t offset, const typename Double::Mask& who) {
                        const Double theirs = select(who, F_bar, none);
                        if constexpr (lookup == Lookup::nearest)
                          sink_.table.add(offset, lane_sum(theirs));
                        else
                          nodes_.add(offset, shaped<T>(theirs), amplitude.between);
                      });
    }
  }

  /// One orientation of a band of Gaussian spots.  `factor`: the coefficient without polarization,
  /// which may be zero where the light without it is asked for.
  NABLA_INLINE void pull_back_band(int o, const Beam& beam, const Vec3<Double>& away_wide,
                                   const Vec3<T>& away, const T& factor, const T& coefficient,
                                   T& intensity, Vec3<T>& away_bar) {
    const Vec3<Double> h = miller_indices(chunk_.wide[o], away_wide);
    const Vec3<Double> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
    const Vec3<Double> distance = h - nearest;
    const BandOfPixels band(p_, beam, distance, h);
    const T none(0);
    auto lit = band.lit & (factor != none);
    if (!any(lit)) return;
    const auto amplitude = amplitude_slopes<lookup, T>(p_, h, nearest);
    lit = lit & (amplitude.F != none);

    // Intensities are relative to that of the closest approach in what follows.  A band that passes
    // a spot on both sides leaves a small difference of its rays' slopes: the rounding of an
    // exponent that they share does not show there.
    const LatticeNumbers& lattice = p_.lattice;
    const T closest = physics::Gauss::factor_at(band.least, number(lattice.cells.x),
                                                number(lattice.fudge));
    const T peak = closest * closest * amplitude.F, light = coefficient * (peak * amplitude.F);
    // A ray's point is c + u h with M c perpendicular to h, so that only its u counts:
    // d(log I)/d(wavenumber) = -4 fudge/width2 u h.M h / wavenumber of the band.
    const T along = light * band.curvature *
                    number(-4 * lattice.fudge / (physics::Gauss::width2 * beam.wavenumber));
    alignas(64) float lights[lanes], alongs[lanes];
    alignas(64) float sums[3][lanes];
    light.store(lights);
    along.store(alongs);
    for (float(&sum)[lanes] : sums) none.store(sum);
    using Pair = BandOfPixels::Pair;
    const Pair fudge = single<2>(lattice.fudge);
    for_each_lane(lit, [&](size_t lane) {
      physics::LineMoments<Pair> moments;
      const size_t row = forwards_ ? lane : 0;
      float *const wavenumbers = sink_.band_bars.wavenumber(row), *const weights = sink_.band_bars
                                                                                       .weight(row);
      const Pair per_weight(lights[lane]), per_wavenumber(alongs[lane]);
      band.for_each_lit_ray(lane, [&](int j, const Pair& u, const Pair& beyond) {
        const size_t ray = static_cast<size_t>(j) - sink_.band_bars.begin();
        const Pair bare = physics::Gauss::intensity_at(beyond, fudge);
        const Pair lit_by = Pair::load(p_.band_weight.data() + j) * bare, first = lit_by * u;
        moments.zeroth = moments.zeroth + lit_by;
        moments.first = moments.first + first;
        moments.second = moments.second + first * u;
        (Pair::load(weights + ray) + per_weight * bare).store(weights + ray);
        (Pair::load(wavenumbers + ray) + per_wavenumber * first).store(wavenumbers + ray);
      });
      const auto sum = [](const Pair& x) { return sum_of(first_half(x) + second_half(x)); };
      sums[0][lane] = sum(moments.zeroth);
      sums[1][lane] = sum(moments.first);
      sums[2][lane] = sum(moments.second);
    });
    const physics::LineMoments<T> moments{T::load(sums[0]), T::load(sums[1]), T::load(sums[2])};
    const auto slopes = physics::gauss_line_slopes(
        physics::metric_as<T>(lattice.metric), shaped<T>(distance + band.approach.at * h),
        shaped<T>(h), shaped<T>(band.approach.at), moments, number(lattice.fudge));
    intensity = intensity + peak * amplitude.F * moments.zeroth;
    add_index(o, light * slopes.index, away, away_bar);
    auto& metric = bars_.lattice.metric;
    add(metric.aa, light * slopes.metric.aa);
    add(metric.bb, light * slopes.metric.bb);
    add(metric.cc, light * slopes.metric.cc);
    add(metric.ab, light * slopes.metric.ab);
    add(metric.bc, light * slopes.metric.bc);
    add(metric.ca, light * slopes.metric.ca);
    add_amplitude(amplitude, T(2) * coefficient * peak * moments.zeroth);
  }

  /// F^2 F_latt^2 of a step and its bars; returns that of F.
  NABLA_INLINE T add_step(int o, const physics::LatticeSlopes<T>& latt, const T& F,
                          const Vec3<T>& F_slope, const Vec3<T>& distance, const Vec3<T>& away,
                          const T& coefficient, T& intensity, Vec3<T>& away_bar) {
    const T scattered = F * latt.factor;
    intensity = intensity + scattered * scattered;
    const T scaled = T(2) * coefficient * scattered, lattice_bar = scaled * F,
            F_bar = scaled * latt.factor;
    Vec3<T> bar = lattice_bar * latt.distance;
    if constexpr (lookup == Lookup::tricubic) bar = bar + F_bar * F_slope;
    add_index(o, bar, away, away_bar);
    Shape::add_adjoint(latt, distance, lattice_bar, bars_.lattice);
    return F_bar;
  }

  /// From the bar of an operator's indices to those of its axes and of where it looks.
  NABLA_INLINE void add_index(int o, const Vec3<T>& bar, const Vec3<T>& away, Vec3<T>& away_bar) {
    T(&axes)[9] = axes_bars_[o];
    const auto row = [&](size_t first, const T& along) {
      add(axes[first], along * away.x);
      add(axes[first + 1], along * away.y);
      add(axes[first + 2], along * away.z);
      const auto entry = [&](size_t i) {
        if constexpr (is_wide<T>)
          return T(chunk_.wide[o][first + i]);
        else
          return T(chunk_.matrix[o][first + i]);
      };
      add(away_bar, along * Vec3<T>{entry(0), entry(1), entry(2)});
    };
    row(0, bar.x);
    row(3, bar.y);
    row(6, bar.z);
  }

  /// The change of F along the table's tangent.
  NABLA_INLINE Double table_change(const AmplitudeSlopes<T>& amplitude,
                                   const typename Double::Mask& in_table) const {
    if constexpr (lookup == Lookup::tricubic) {
      Double change(0);
      const auto stride_h = static_cast<std::int64_t>(p_.grid.stride_h),
                 stride_k = static_cast<std::int64_t>(p_.grid.stride_k);
      for_each_offset(
          amplitude.offset, in_table, [&](std::int64_t corner, const typename Double::Mask& who) {
            const double* nodes = sink_.table_tangent + corner;
            change = select(
                who,
                physics::tricubic(widened(amplitude.between.x), widened(amplitude.between.y),
                                  widened(amplitude.between.z),
                                  [&](int i, int j, int k) {
                                    return Double(nodes[i * stride_h + j * stride_k + k]);
                                  }),
                change);
          });
      return change;
    } else {
      return select(in_table, value_at(sink_.table_tangent, amplitude.offset, in_table), Double(0));
    }
  }

  using TileBars<T>::p_;
  using TileBars<T>::plan_;
  using TileBars<T>::panel_;
  using TileBars<T>::tile_;
  using TileBars<T>::weights_;
  using TileBars<T>::sink_;
  using TileBars<T>::absorbs_;
  using TileBars<T>::each_omega_;
  using TileBars<T>::each_capture_;
  using TileBars<T>::once_capture_;
  using TileBars<T>::each_polarization_;
  using TileBars<T>::once_polarization_;
  using TileBars<T>::lights_background_;
  using TileBars<T>::forwards_;
  using TileBars<T>::background_share_;
  using TileBars<T>::anchors_;
  using TileBars<T>::chunk_;
  using TileBars<T>::begin_;
  using TileBars<T>::lit_;
  using TileBars<T>::lit_count_;
  using TileBars<T>::omega_once_;
  using TileBars<T>::polarization_once_;
  using TileBars<T>::first_polarization_;
  using TileBars<T>::bars_;
  using TileBars<T>::axes_bars_;
  using TileBars<T>::ray_bars_;
  using TileBars<T>::table_slope_;

  NodeBars<T> nodes_;
  size_t block_ = 0;
};

/// While it lives, numbers in single precision below the smallest normal one (1.2e-38) are zero.
/// Far from its spot a Gaussian's slopes are made of them, and some processors take a hundred
/// cycles for each.
class WithoutSubnormals {
 public:
#if HWY_ARCH_X86
  WithoutSubnormals() : before_(_mm_getcsr()) {
    constexpr unsigned results_are_zero = 0x8000, arguments_are_zero = 0x0040;
    _mm_setcsr(before_ | results_are_zero | arguments_are_zero);
  }
  ~WithoutSubnormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#else
  WithoutSubnormals() {}
  ~WithoutSubnormals() {}
#endif
  WithoutSubnormals(const WithoutSubnormals&) = delete;
  WithoutSubnormals& operator=(const WithoutSubnormals&) = delete;
};

template <class T, class Shape, Lookup lookup>
void pull_back_tile(const CpuPlan& p, const Tile& tile,
                    const std::array<double, tile_pixels>& weights, GradientSink& sink) {
  [[maybe_unused]] const std::conditional_t<is_wide<T>, int, WithoutSubnormals> guard{};
  if constexpr (!is_wide<T> && lookup != Lookup::tricubic && !Shape::why_double) {
    Anchors anchors;
    find_anchors(p, tile, anchors);
    if (suits_anchors(p, anchors) && !sink.table_tangent)
      return TilePullBack<T, Shape, lookup, true>(p, tile, weights, sink).run();
  }
  if constexpr (!is_wide<T> && lookup != Lookup::tricubic && Shape::sums_along_lines)
    if (p.bands) return TilePullBack<T, Shape, lookup, false, true>(p, tile, weights, sink).run();
  TilePullBack<T, Shape, lookup, false>(p, tile, weights, sink).run();
}

template <class T>
GradientKernel gradient_kernel(CrystalShape shape, Lookup lookup) {
  return physics::with_shape(shape, [&]<class Shape>() -> GradientKernel {
    switch (lookup) {
      case Lookup::constant:
        return pull_back_tile<T, Shape, Lookup::constant>;
      case Lookup::nearest:
        return pull_back_tile<T, Shape, Lookup::nearest>;
      case Lookup::tricubic:
        break;
    }
    return pull_back_tile<T, Shape, Lookup::tricubic>;
  });
}

}  // namespace

GradientKernel single_gradient_kernel(CrystalShape shape, Lookup lookup) {
  return gradient_kernel<Single>(shape, lookup);
}
GradientKernel wide_gradient_kernel(CrystalShape shape, Lookup lookup) {
  return gradient_kernel<Double>(shape, lookup);
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
