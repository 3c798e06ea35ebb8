// The kernels of derivatives in closed form.  Compiled once for each instruction set, like
// cpu/kernels.cpp.
#include "engine/closed/closed_gradient.hpp"

#include "engine/closed/closed_lanes.hpp"
#include "engine/cpu/spot_adjoints.hpp"
#include "physics/gaussian_spot_adjoints.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

template <class T>
NABLA_INLINE SensorSpot<T> sensor_spot(const BasicSubPixel<T>& at) {
  return {at.fast, at.slow, T(1) / at.distance, at.direction, at.layer};
}

/// The adjoints of panel and light that many lanes add to.
template <class T>
struct ViewAdjoints {
  BasicPixelNumbers<T> numbers;
  BasicPlanRay<T> ray;

  NABLA_INLINE void clear() {
    for_each_number([](T& x) { x = T(0); }, numbers);
    for_each_number_of_ray([](T& x) { x = T(0); }, ray);
  }
  /// Calls f(adjoint, number of the plan).
  template <class F, class AnyPlan>
  NABLA_INLINE void for_each(F&& f, AnyPlan& plan, size_t panel) {
    for_each_number_of_panel(f, numbers.panel, plan.panels[panel]);
    for_each_number_of_light(f, numbers.light, plan.light);
    for_each_number_of_ray(f, ray, plan.light.rays.front());
    f(numbers.background.per_sr, plan.background.per_sr);
  }
};

template <class S, bool band, bool slice, bool second>
class ClosedPullBack {
 public:
  using T = ClosedLanes<S>;

  ClosedPullBack(const ClosedPlan& plan, std::span<const std::uint32_t> numbers, const Tile& tile,
                 const std::array<double, tile_pixels>& weights, ClosedSink& sink)
      : plan_(plan),
        p_(*plan.plan),
        number_of_panel_(static_cast<size_t>(tile.panel)),
        panel_(p_.panels[number_of_panel_]),
        flat_(panel_.frame.curvature == Curvature::flat),
        in_lanes_(panel_in<S>(panel_)),
        ray_in_lanes_(ray_in<S>(p_.light.rays.front())),
        spots_(plan.panels[number_of_panel_]),
        numbers_(numbers),
        tile_(tile),
        weights_(weights),
        sink_(sink),
        forwards_(!sink.tangents.empty()) {
    for (size_t b = 0; b < static_cast<size_t>(tile.blocks); ++b) {
      bool any_weight = false;
      for (size_t i = b * block_pixels; i < (b + 1) * block_pixels; i += Double::count)
        any_weight |= any(Double::load(weights.data() + i) != Double(0));
      weighted_ |= static_cast<std::uint32_t>(any_weight) << b;
    }
  }

  void run() {
    view_.clear();
    const UntilStopped until(tile_.stopped);
    for (size_t i = 0; i < numbers_.size() && until.goes_on();) {
      const int layer = spots_[numbers_[i]]->layer;
      size_t end = i;
      std::uint32_t lit = 0;
      while (end < numbers_.size() && spots_[numbers_[end]]->layer == layer) ++end;
      for (size_t j = i; j < end; ++j) {
        sink_.blocks[j] = weighted_ & lit_blocks<band, slice, second>(plan_, flat_,
                                                                      *spots_[numbers_[j]], tile_);
        lit |= sink_.blocks[j];
      }
      for_each_group(lit, [&](size_t first) {
        (weight(first) * factors_at(layer, first).all).store(product_.data() + first);
        T(0).store(light_.data() + first);
      });
      for (size_t j = i; j < end; ++j) {
        if (sink_.blocks[j] == 0) continue;
        if (forwards_)
          push_forward_spot(j, sink_.blocks[j]);
        else
          pull_back_spot(j, sink_.blocks[j]);
      }
      for_each_group(lit, [&](size_t first) {
        pull_back_factors(layer, first, T::load(light_.data() + first));
      });
      i = end;
    }
    if (p_.background.per_sr != 0) pull_back_background();
    if (forwards_) return;
    complete_frame(panel_.frame, view_.numbers.panel.frame);
    view_.for_each([](const T& adjoint, double& to) { to += lane_sum(adjoint); }, *sink_.adjoints,
                   number_of_panel_);
  }

 private:
  template <class Work>
  static NABLA_INLINE void for_each_group(std::uint32_t blocks, Work&& work) {
    for (; blocks != 0; blocks &= blocks - 1) {
      const size_t begin = static_cast<size_t>(std::countr_zero(blocks)) * block_pixels;
      for (size_t first = begin; first < begin + block_pixels; first += T::count) work(first);
    }
  }
  static NABLA_INLINE T number(double x) { return physics::constant<T>(x); }
  NABLA_INLINE T weight(size_t first) const {
    const Wide<T> wide = Wide<T>::load(weights_.data() + first);
    return shaped<T>(wide);
  }
  /// Pixels from the corner of the panel, at the middle of each.
  NABLA_INLINE T fast(size_t first) const {
    return load_as<T>(tile_.fast.data() + first) + number(0.5);
  }
  NABLA_INLINE T slow(size_t first) const {
    return load_as<T>(tile_.slow.data() + first) + number(0.5);
  }
  NABLA_INLINE SensorSpot<T> see(int layer, const T& x, const T& y) const {
    return sensor_spot(seen_at(in_lanes_, layer, p_.oversample, x, y));
  }
  const PlanRay& ray() const { return p_.light.rays.front(); }
  NABLA_INLINE Vec3<T> incident() const { return vec3_as<T>(ray_in_lanes_.incident); }
  NABLA_INLINE Vec3<T> magnetic() const { return vec3_as<T>(ray_in_lanes_.magnetic); }

  /// Along each tangent, what adjoints of these lanes come to; `at(tangent)`: other slopes.
  template <class At>
  NABLA_INLINE void contract(size_t first, At&& at) {
    const size_t columns = sink_.tangents.size();
    complete_frame(panel_.frame, view_.numbers.panel.frame);
    for (size_t t = 0; t < columns; ++t) {
      T slope = at(sink_.tangents[t]);
      view_.for_each(
          [&](const T& adjoint, const double& change) {
            if (change != 0) slope = slope + adjoint * number(change);
          },
          *sink_.tangents[t].plan, number_of_panel_);
      alignas(64) std::array<S, T::count> each;
      slope.store(each.data());
      for (size_t i = 0; i < each.size(); ++i)
        sink_.slopes[(first + i) * columns + t] += static_cast<double>(each[i]);
    }
    view_.clear();
  }

  // ---- Factors of a layer -----------------------------------------------------------------------

  struct Factors {
    T all, unpolarized, polarization;
    SensorSpot<T> spot;
  };
  NABLA_INLINE Factors factors_at(int layer, const T& x, const T& y) const {
    Factors f;
    f.spot = see(layer, x, y);
    f.unpolarized = solid_angle(in_lanes_.frame, f.spot.near,
                                in_lanes_.sensor.layer_step * static_cast<S>(layer));
    if (panel_.sensor.absorbs()) f.unpolarized = f.unpolarized * capture_of(panel_, f.spot);
    f.polarization = number(1);
    if (p_.rules.polarized)
      f.polarization = polarization_of(p_.light, incident(), magnetic(), f.spot.direction);
    f.all = f.unpolarized * f.polarization;
    return f;
  }
  NABLA_INLINE Factors factors_at(int layer, size_t first) const {
    return factors_at(layer, fast(first), slow(first));
  }

  /// Of `bare`, the light that is multiplied by them, times its weight.
  NABLA_INLINE void pull_back(const Factors& factors, const T& bare) {
    SpotAdjoints<T> light;
    light.solid_angle = light.capture = bare * factors.all;
    if (p_.rules.polarized)
      pull_back_polarization(p_.light, incident(), magnetic(), factors.spot.direction,
                             bare * factors.unpolarized, view_.ray, light.direction, view_.numbers);
    pull_back_spot_of_factors(factors.spot, light);
  }
  HWY_NOINLINE void pull_back_spot_of_factors(const SensorSpot<T>& spot,
                                              const SpotAdjoints<T>& light) {
    engine::pull_back_spot(panel_, spot, true, panel_.sensor.layer_step, light, view_.numbers);
  }

  void pull_back_factors(int layer, size_t first, const T& light) {
    const Factors factors = factors_at(layer, first);
    const T weighted = weight(first) * light, photons = light * factors.all;
    add_photons(first, photons);
    pull_back(factors, weighted);
    if (forwards_) contract(first, [](const ClosedTangent&) { return T(0); });
  }
  NABLA_INLINE void add_photons(size_t first, const T& photons) {
    if (forwards_) {
      alignas(64) std::array<S, T::count> each;
      photons.store(each.data());
      for (size_t i = 0; i < each.size(); ++i)
        sink_.photons[first + i] += static_cast<double>(each[i]);
    } else {
      sink_.value += lane_sum(weight(first) * photons);
    }
  }

  // ---- A spot -----------------------------------------------------------------------------------

  /// What the points of a spot add up to.
  struct SpotSums {
    physics::GaussianSpot<T> numbers;
    T light;
    Vec3<T> d;
    // On a flat panel, of a position over k/(distance of the anchor): itself and times x and y,
    // pixels from the anchor; `along`: of the length of q0
    Vec3<T> position, by_x, by_y;
    T along;

    NABLA_INLINE void clear(bool diverges) {
      const T none(0);
      physics::for_each_used_number<band, slice, second>([&](T& x) { x = none; }, diverges,
                                                         numbers);
      light = along = none;
      d = position = by_x = by_y = {none, none, none};
    }
  };

  /// A point x and y pixels from the anchor; the value there.
  NABLA_INLINE T pull_back_point(const ClosedSpot& spot, bool near, const T& x, const T& y,
                                 const T& scaled, SpotSums& sums) {
    const SpotNumbers<S>& n = numbers_of<S>(spot);
    const T none(0);
    FlatPoint<T> p{none, none, {none, none, none}};
    Vec3<T> offset;
    if (flat_) {
      p = flat_point(near, n, x, y);
      offset = p.offset(n);
    } else {
      offset = curved_offset_at(plan_, spot, x, y);
    }
    const auto pulled = physics::pull_back_spot_value<band, slice, second>(
        n.spot, offset, scaled, plan_.diverges, spot.narrow, sums.numbers);
    sums.light = sums.light + scaled * pulled.value;
    sums.d = sums.d + pulled.d;
    if (!flat_) {
      pull_back_curved_point(spot, x, y, pulled.d);
      return pulled.value;
    }
    // q0 = k r/|r|: a change of r across it turns it.  By the length that q has here, so that
    // nothing is left along it.
    const Vec3<T> q = p.across + vec3_as<T>(n.outwards);
    const T along = p.longer * dot(q, pulled.d);
    const Vec3<T> to = p.longer * pulled.d - (along * inverse_of(dot(q, q))) * q;
    sums.along = sums.along + along;
    sums.position = sums.position + to;
    sums.by_x = sums.by_x + x * to;
    sums.by_y = sums.by_y + y * to;
    return pulled.value;
  }
  HWY_NOINLINE void pull_back_curved_point(const ClosedSpot& spot, const T& x, const T& y,
                                           const Vec3<T>& d) {
    const SensorSpot<T> seen = see(spot.layer, x + number(spot.anchor_fast),
                                   y + number(spot.anchor_slow));
    add(view_.ray.wavenumber, dot(d, seen.direction));
    pull_back_direction(panel_, seen, T(ray_in_lanes_.wavenumber) * d, T(0), view_.numbers);
  }

  /// From the sums over a spot's points to what panel and light take from them.
  HWY_NOINLINE void pull_back_view(const ClosedSpot& spot, const SpotSums& sums) {
    const T k(ray_in_lanes_.wavenumber);
    // q0 = k (direction - incident)
    add(view_.ray.incident, -k * sums.d);
    add(view_.ray.wavenumber, -dot(sums.d, incident()));
    if (!flat_) return;
    add(view_.ray.wavenumber, sums.along * T(1 / ray_in_lanes_.wavenumber));
    const SensorSpot<T> anchor = see(spot.layer, number(spot.anchor_fast),
                                     number(spot.anchor_slow));
    const T per_distance = k * anchor.near, per_pixel = per_distance * number(panel_.frame.pixel);
    pull_back_position(panel_, anchor, per_distance * sums.position, view_.numbers);
    add(view_.numbers.panel.frame.fast, per_pixel * sums.by_x);
    add(view_.numbers.panel.frame.slow, per_pixel * sums.by_y);
  }

  /// `place`: among those of the tile.
  void pull_back_spot(size_t place, std::uint32_t blocks) {
    const std::uint32_t which = numbers_[place];
    const ClosedSpot& spot = *spots_[which];
    SpotSums sums;
    sums.clear(plan_.diverges);
    if (SubPixels<S>::fit(spot))
      pull_back_listed(spot, blocks, sums);
    else
      for_each_group(blocks, [&](size_t first) { pull_back_group(spot, first, sums); });
    pull_back_view(spot, sums);
    ClosedSpotAdjoints& out = sink_.spots[place];
    out.lit = true;
    physics::for_each_used_number<band, slice, second>(
        [](const T& adjoint, double& to) { to = lane_sum(adjoint); }, plan_.diverges, sums.numbers,
        out.spot);
    out.d = {lane_sum(sums.d.x), lane_sum(sums.d.y), lane_sum(sums.d.z)};
    out.light = lane_sum(sums.light);
  }

  /// Of the pixels that it lights alone.
  HWY_NOINLINE void pull_back_listed(const ClosedSpot& spot, std::uint32_t blocks, SpotSums& sums) {
    const S amplitude = numbers_of<S>(spot).amplitude;
    const bool near = is_near<S>(spot);
    list_lit_pixels(spot, blocks, tile_, some_);
    points_.begin(spot);
    const size_t subs = points_.of_pixel();
    for (size_t first = 0; first < some_.count; first += points_.at_once()) {
      const size_t pixels = std::min(points_.at_once(), some_.count - first),
                   filled = points_.place(some_, first, pixels);
      for (size_t j = 0; j < pixels; ++j)
        std::fill_n(scaled_.begin() + j * subs, subs,
                    amplitude * product_[static_cast<size_t>(some_.place[first + j])]);
      T(0).store(scaled_.data() + filled);
      for (size_t j = 0; j < filled; j += T::count)
        pull_back_point(spot, near, T::load(points_.x.data() + j), T::load(points_.y.data() + j),
                        T::load(scaled_.data() + j), sums)
            .store(values_.data() + j);
      for (size_t j = 0; j < pixels; ++j)
        light_[static_cast<size_t>(some_.place[first + j])] += amplitude *
                                                               points_.sum(values_.data(), j);
    }
  }

  NABLA_INLINE void pull_back_group(const ClosedSpot& spot, size_t first, SpotSums& sums) {
    const T amplitude(numbers_of<S>(spot).amplitude),
        scaled = T::load(product_.data() + first) * amplitude;
    const T x = fast(first) - number(spot.anchor_fast), y = slow(first) - number(spot.anchor_slow);
    T light(0);
    const int subs_fast = spot.subpixels_fast, subs_slow = spot.subpixels_slow;
    for (int sub_slow = 0; sub_slow < subs_slow; ++sub_slow)
      for (int sub_fast = 0; sub_fast < subs_fast; ++sub_fast)
        light = light + pull_back_point(spot, false, x + T(sub_offset<S>(sub_fast, subs_fast)),
                                        y + T(sub_offset<S>(sub_slow, subs_slow)), scaled, sums);
    (T::load(light_.data() + first) + amplitude * light).store(light_.data() + first);
  }

  /// Forwards: pixel by pixel.
  void push_forward_spot(size_t place, std::uint32_t blocks) {
    const std::uint32_t which = numbers_[place];
    const ClosedSpot& spot = *spots_[which];
    for_each_group(blocks, [&](size_t first) {
      SpotSums sums;
      sums.clear(plan_.diverges);
      pull_back_group(spot, first, sums);
      pull_back_view(spot, sums);
      contract(first, [&](const ClosedTangent& tangent) {
        const ClosedSpotTangent& change = tangent.panels[number_of_panel_][which];
        T slope = sums.light * number(change.amplitude) +
                  dot(sums.d, physics::constant<T>(change.d));
        physics::for_each_used_number<band, slice, second>(
            [&](const T& adjoint, const double& by) { slope = slope + adjoint * number(by); },
            plan_.diverges, sums.numbers, change.spot);
        return slope;
      });
    });
  }

  // ---- The background ---------------------------------------------------------------------------

  void pull_back_background() {
    const double share = p_.background.per_sr * ray().weight / background_samples(p_);
    for_each_group(weighted_, [&](size_t first) {
      const T w = weight(first);
      for (int layer = 0; layer < panel_.sensor.layers; ++layer)
        for (int sub_slow = 0; sub_slow < p_.oversample; ++sub_slow)
          for (int sub_fast = 0; sub_fast < p_.oversample; ++sub_fast) {
            const auto shift = [&](int sub) { return number((sub + 0.5) / p_.oversample - 0.5); };
            const Factors factors = factors_at(layer, fast(first) + shift(sub_fast),
                                               slow(first) + shift(sub_slow));
            const T photons = number(share) * factors.all, weighted = w * photons;
            add_photons(first, photons);
            add(view_.numbers.background.per_sr, weighted * number(1 / p_.background.per_sr));
            add(view_.ray.weight, weighted * number(1 / ray().weight));
            pull_back(factors, w * number(share));
          }
      if (forwards_) contract(first, [](const ClosedTangent&) { return T(0); });
    });
  }

  const ClosedPlan& plan_;
  const Plan& p_;
  const size_t number_of_panel_;
  const PlanPanel& panel_;
  const bool flat_;
  const BasicPanelNumbers<S> in_lanes_;
  const BasicPlanRay<S> ray_in_lanes_;
  const std::vector<const ClosedSpot*>& spots_;
  const std::span<const std::uint32_t> numbers_;
  const Tile& tile_;
  const std::array<double, tile_pixels>& weights_;
  ClosedSink& sink_;
  const bool forwards_;
  std::uint32_t weighted_ = 0;  ///< blocks with a weight that is not zero
  ViewAdjoints<T> view_;
  LitPixels some_;
  SubPixels<S> points_;
  alignas(64) std::array<S, SubPixels<S>::room> scaled_, values_;
  // Of a layer: what the light of a pixel is multiplied by, with its weight; the light
  alignas(64) std::array<S, tile_pixels> product_, light_;
};

template <class S, bool band, bool slice, bool second>
void pull_back(const ClosedPlan& plan, std::span<const std::uint32_t> spots, const Tile& tile,
               const std::array<double, tile_pixels>& weights, ClosedSink& sink) {
  ClosedPullBack<S, band, slice, second>(plan, spots, tile, weights, sink).run();
}

template <class S>
ClosedGradientKernel kernel_of(const physics::SpotTerms& terms) {
  return physics::with_terms(terms,
                             []<bool band, bool slice, bool second>() -> ClosedGradientKernel {
                               return pull_back<S, band, slice, second>;
                             });
}

void pull_back_points(const Plan& plan, std::size_t number, std::span<const SeenPoint> points,
                      Plan& adjoints) {
  using T = Double;
  const PanelNumbers& panel = plan.panels[number];
  ViewAdjoints<T> view;
  view.clear();
  alignas(64) std::array<std::array<double, T::count>, 5> lanes;
  for (size_t i = 0; i < points.size();) {
    // As many of one layer as there are lanes; the others are without an adjoint
    const int layer = points[i].layer;
    for (auto& lane : lanes) lane.fill(0);
    for (size_t n = 0; n < T::count && i < points.size() && points[i].layer == layer; ++n, ++i) {
      const SeenPoint& point = points[i];
      lanes[0][n] = point.x;
      lanes[1][n] = point.y;
      lanes[2][n] = point.direction.x;
      lanes[3][n] = point.direction.y;
      lanes[4][n] = point.direction.z;
    }
    const auto lane = [&](size_t n) { return T::load(lanes[n].data()); };
    pull_back_direction(panel,
                        sensor_spot(seen_at(panel, layer, plan.oversample, lane(0), lane(1))),
                        Vec3<T>{lane(2), lane(3), lane(4)}, T(0), view.numbers);
  }
  complete_frame(panel.frame, view.numbers.panel.frame);
  view.for_each([](const T& adjoint, double& to) { to += lane_sum(adjoint); }, adjoints, number);
}

}  // namespace

const ClosedGradientKernelSet& closed_gradient_kernel_set() {
  static constexpr ClosedGradientKernelSet set = {
      .single = kernel_of<float>, .wide = kernel_of<double>, .pull_back_points = pull_back_points};
  return set;
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
