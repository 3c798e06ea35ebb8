// The walk back over the spots of the sensor that a group of pixels is sampled at, apart from the
// steps of the lattice: factors that stand for many terms, and the background.
// For the files that are compiled once for each instruction set, like lanes.hpp.
#pragma once
#include "engine/cpu/tile_adjoints.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

/// Where the pixels of a group see their sub-pixels: in double precision ...
template <class T, bool anchored>
struct GroupPhase {
  const Tile& tile;
  BasicSubPixel<Wide<T>> at;

  NABLA_INLINE GroupPhase(const CpuPlan&, const Tile& t, const Anchors&, size_t) : tile(t) {}

  NABLA_INLINE SensorSpot<T> see(const CpuPlan& p, size_t first, const SubPixel& which) {
    at.layer = which.layer;
    at.sub_slow = which.sub_slow;
    at.sub_fast = which.sub_fast;
    locate(p, widen(load<1>(tile.fast, first)), widen(load<1>(tile.slow, first)), at);
    return spot_of<T>(at);
  }
};

/// ... or relative to the middle of each block, in single.
template <int K>
struct GroupPhase<Singles<K>, true> {
  const Tile& tile;
  AnchoredPhase<K> phase;

  NABLA_INLINE GroupPhase(const CpuPlan& p, const Tile& t, const Anchors& anchors, size_t first)
      : tile(t), phase(p, t, anchors, first) {}

  NABLA_INLINE SensorSpot<Singles<K>> see(const CpuPlan& p, size_t first, const SubPixel& which) {
    const Sample& sample = p.sample(which.layer, which.sub_slow, which.sub_fast);
    const auto spot = phase.place(p, tile, first, sample);
    const Singles<K> pixel = single<K>(p.panel->frame.pixel), half = single<K>(0.5);
    return {pixel * (load<K>(tile.fast, first) + half) + Singles<K>(sample.right),
            pixel * (load<K>(tile.slow, first) + half) + Singles<K>(sample.up), spot.near,
            spot.direction, which.layer};
  }
};

/// The spots of the sensor, and the way back from what depends on them alone to the adjoints.
template <class T, bool anchored>
class SpotWalk {
 public:
  using Phase = GroupPhase<T, anchored>;

  const bool each_omega, each_capture, once_capture, each_polarization, once_polarization;
  const double own_depth;  ///< of a layer behind the one before, for its own solid angle [m]
  TileAdjoints<T> adjoints;
  SensorSpot<T> capturing;  ///< of a group: where the capture that stands for many terms comes from

  SpotWalk(const TileTask& task, const Chunk& chunk)
      : each_omega(task.plan().rules.each_solid_angle()),
        each_capture(task.plan().rules.each_capture(task.panel().sensor)),
        once_capture(task.plan().rules.once_capture(task.panel().sensor)),
        each_polarization(task.plan().rules.each_polarization()),
        once_polarization(task.plan().rules.once_polarization()),
        own_depth(each_omega ? task.panel().sensor.layer_step : 0),
        adjoints(task, chunk),
        p_(task.p),
        plan_(task.plan()),
        panel_(task.panel()),
        tile_(task.tile),
        anchors_(task.anchors),
        chunk_(chunk) {}

  /// Factors that stand for all terms of a group.
  struct OnceFactors {
    T solid_angle{1}, polarization{1};
  };
  /// Adjoints of the factors that stand for many terms.
  struct OnceAdjoints {
    T light{0};         ///< of the logarithms of solid angle and capture
    T polarization{0};  ///< not of its logarithm: the factor itself may be zero
  };

  NABLA_INLINE OnceFactors once_factors(Phase& phase, size_t first) {
    OnceFactors once;
    if (!each_omega || once_polarization) first_spot_ = phase.see(p_, first, SubPixel());
    if (!each_omega) once.solid_angle = solid_angle(panel_.frame, first_spot_.near, 0.0);
    if (once_polarization) {
      if (plan_.dmin == 0)
        first_polarization_.take_first(plan_, first_spot_);
      else
        first_polarization_.find(p_, widened(load_pixels(tile_.fast, first)),
                                 widened(load_pixels(tile_.slow, first)));
      once.polarization = first_polarization_.factor;
    }
    return once;
  }
  static NABLA_INLINE auto load_pixels(const std::array<float, tile_pixels>& values, size_t first) {
    return load<T::count / lanes>(values, first);
  }

  NABLA_INLINE void pull_back_once(const OnceAdjoints& once, size_t first) {
    SpotAdjoints<T> light;
    if (!each_omega) light.solid_angle = once.light;
    if (once_polarization && plan_.dmin == 0)
      return pull_back_first_polarization(first, once.polarization, light);
    if (!each_omega) pull_back_other_spot(panel_, first_spot_, light, adjoints.numbers);
    if (once_polarization) pull_back_first_polarization(first, once.polarization, {});
  }

  /// `light`: what else comes from the spot where the factor was found; without -dmin that is the
  /// first one in all lanes.
  HWY_NOINLINE void pull_back_first_polarization(size_t first, const T& light_over_factor,
                                                 SpotAdjoints<T> light) {
    const FirstPolarization<T>& from = first_polarization_;
    const T adjoint = light_over_factor * from.found;
    if (plan_.dmin == 0) {
      pull_back_polarization(plan_.light, from.incident, from.magnetic, from.spot.direction,
                             adjoint, adjoints.first_ray, light.direction, adjoints.numbers);
      return pull_back_other_spot(panel_, from.spot, light, adjoints.numbers);
    }
    BasicPlanRay<T> ray;
    for_each_number_of_ray([](T& x) { x = T(0); }, ray);
    pull_back_polarization(plan_.light, from.incident, from.magnetic, from.spot.direction, adjoint,
                           ray, light.direction, adjoints.numbers);
    // Which layer and which ray it was may differ from lane to lane.
    SensorSpot<T> spot = from.spot;
    for (spot.layer = 0; spot.layer < panel_.sensor.layers; ++spot.layer) {
      const auto here = from.layer == T(static_cast<float>(spot.layer));
      if (!any(here)) continue;
      SpotAdjoints<T> theirs;
      theirs.direction = select(here, T(1), T(0)) * light.direction;
      pull_back_other_spot(panel_, spot, theirs, adjoints.numbers);
    }
    adjoints.add_ray_of_each_lane(first, from.ray, ray);
  }

  NABLA_INLINE T polarization_of(const Beam& beam, const SensorSpot<T>& spot) const {
    return engine::polarization_of(plan_.light, physics::constant<T>(beam.incident),
                                   physics::constant<T>(beam.magnetic), spot.direction);
  }
  NABLA_INLINE void pull_back_polarization_of(int b, const SensorSpot<T>& spot,
                                              const T& unpolarized, SpotAdjoints<T>& light) {
    const Beam& beam = adjoints.beam_of(b);
    pull_back_polarization(plan_.light, physics::constant<T>(beam.incident),
                           physics::constant<T>(beam.magnetic), spot.direction, unpolarized,
                           adjoints.ray(b), light.direction, adjoints.numbers);
  }

  /// Of a spot with its own factors.  Out of line where many pairs share a spot.
  NABLA_INLINE void pull_back_spot_of(const SensorSpot<T>& spot, const SpotAdjoints<T>& light) {
    if constexpr (anchored && T::count > lanes)
      pull_back_spot(panel_, spot, each_omega, own_depth, light, adjoints.numbers);
    else
      pull_back_spot_out_of_line(spot, light);
  }

  /// Calls work(spot, at) for each sub-pixel of a layer.
  template <class Work>
  NABLA_INLINE void for_each_spot(Phase& phase, size_t first, int layer, Work&& work) {
    SubPixel at;
    at.layer = layer;
    const UntilStopped until(tile_.stopped);
    for (at.sub_slow = 0; at.sub_slow < plan_.oversample && until.goes_on(); ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan_.oversample; ++at.sub_fast)
        work(phase.see(p_, first, at), at);
  }

  /// The background rides on the factors of each spot and beam alone.
  /// `begin`: of the chunk, among the pairs.
  HWY_NOINLINE void pull_back_background(size_t begin, size_t first, const T& weight) {
    Phase phase(p_, tile_, anchors_, first);
    const OnceFactors once = once_factors(phase, first);
    const T share = weight * number(plan_.background.per_sr / background_samples(plan_));
    OnceAdjoints of_once;
    for (int layer = 0; layer < panel_.sensor.layers; ++layer) {
      T capture(1), captured(0);  // by the capture that stands for all of the layer
      for_each_spot(phase, first, layer, [&](const SensorSpot<T>& spot, const SubPixel& at) {
        const T omega = each_omega ? solid_angle(panel_.frame, spot.near, own_depth * layer)
                                   : once.solid_angle;
        if (each_capture) {
          capture = capture_of(panel_, spot);
        } else if (once_capture && at.sub_slow == 0 && at.sub_fast == 0) {
          capturing = spot;
          capture = capture_of(panel_, spot);
        }
        const T of_ray = share * omega * capture;
        SpotAdjoints<T> light;
        T all(0);
        // A beam whose orientations fill several chunks counts with its first one.
        const bool begins = begin % plan_.lattice.orientations.size() == 0;
        for (int b = begins ? 0 : 1; b < chunk_.beams; ++b) {
          const Beam& beam = adjoints.beam_of(b);
          const T polarization = each_polarization ? polarization_of(beam, spot)
                                                   : once.polarization;
          const T unpolarized = of_ray * number(beam.light);
          add(adjoints.ray(b).weight, of_ray * polarization);
          add(all, unpolarized * polarization);
          if (each_polarization)
            pull_back_polarization_of(b, spot, unpolarized, light);
          else
            add(of_once.polarization, unpolarized);
        }
        add(adjoints.numbers.background.per_sr, all);
        add(each_omega ? light.solid_angle : of_once.light, all);
        add(each_capture ? light.capture : captured, all);
        pull_back_spot_of(spot, light);
      });
      if (once_capture) {
        SpotAdjoints<T> light;
        light.capture = captured;
        pull_back_other_spot(panel_, capturing, light, adjoints.numbers);
      }
    }
    pull_back_once(of_once, first);
  }

 private:
  HWY_NOINLINE void pull_back_spot_out_of_line(const SensorSpot<T>& spot,
                                               const SpotAdjoints<T>& light) {
    pull_back_spot(panel_, spot, each_omega, own_depth, light, adjoints.numbers);
  }
  static NABLA_INLINE T number(double x) { return physics::constant<T>(x); }

  const CpuPlan& p_;
  const Plan& plan_;
  const PanelNumbers& panel_;
  const Tile& tile_;
  const Anchors& anchors_;
  const Chunk& chunk_;
  // Of a group: where factors that stand for many terms come from
  SensorSpot<T> first_spot_;
  FirstPolarization<T> first_polarization_;
};

}  // namespace nablabragg::engine::HWY_NAMESPACE
