// The kernels of derivatives in closed form.  Compiled once for each instruction set, like
// cpu/kernels.cpp.
#include "engine/closed/closed_gradient.hpp"

#include "engine/closed/closed_adjoints.hpp"
#include "engine/closed/closed_lanes.hpp"
#include "engine/cpu/spot_adjoints.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

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
        in_lanes_(view_in<S>(plan, panel_)),
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
    return sensor_spot(seen_at(in_lanes_.panel, layer, in_lanes_.oversample, x, y));
  }

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

  NABLA_INLINE LayerFactors<T> factors_at(int layer, size_t first) const {
    return layer_factors(in_lanes_, panel_, p_.light, layer, fast(first), slow(first));
  }

  void pull_back_factors(int layer, size_t first, const T& light) {
    const LayerFactors<T> factors = factors_at(layer, first);
    add_photons(first, light * factors.all);
    engine::pull_back_factors(in_lanes_, panel_, p_.light, factors, weight(first) * light, view_);
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

  NABLA_INLINE void clear(SpotSums<T>& sums) const {
    for_each_sum_of_spot<band, slice, second>([](T& x) { x = T(0); }, plan_.diverges, flat_, sums);
  }

  /// A point x and y pixels from the anchor; the value there.
  NABLA_INLINE T pull_back_point(const ClosedSpot& spot, bool near, const T& x, const T& y,
                                 const T& scaled, SpotSums<T>& sums) {
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
    const auto pulled = pull_back_light<band, slice, second>(n.spot, offset, scaled, plan_.diverges,
                                                             spot.narrow, sums);
    if (flat_)
      pull_back_flat_point(n, p, x, y, pulled.d, sums);
    else
      pull_back_curved_point(spot, x, y, pulled.d);
    return pulled.value;
  }
  HWY_NOINLINE void pull_back_curved_point(const ClosedSpot& spot, const T& x, const T& y,
                                           const Vec3<T>& d) {
    const SensorSpot<T> seen = see(spot.layer, x + number(spot.anchor_fast),
                                   y + number(spot.anchor_slow));
    engine::pull_back_curved_point(panel_, seen, T(in_lanes_.ray.wavenumber), d, view_);
  }

  /// From the sums over a spot's points to what panel and light take from them.
  HWY_NOINLINE void pull_back_view(const ClosedSpot& spot, const SpotSums<T>& sums) {
    pull_back_wave(in_lanes_.ray, sums, view_);
    if (!flat_) return;
    const SensorSpot<T> anchor = see(spot.layer, number(spot.anchor_fast),
                                     number(spot.anchor_slow));
    pull_back_anchor(panel_, in_lanes_.ray, anchor, sums, view_);
  }

  /// `place`: among those of the tile.
  void pull_back_spot(size_t place, std::uint32_t blocks) {
    const std::uint32_t which = numbers_[place];
    const ClosedSpot& spot = *spots_[which];
    SpotSums<T> sums;
    clear(sums);
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
  HWY_NOINLINE void pull_back_listed(const ClosedSpot& spot, std::uint32_t blocks,
                                     SpotSums<T>& sums) {
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

  NABLA_INLINE void pull_back_group(const ClosedSpot& spot, size_t first, SpotSums<T>& sums) {
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
      SpotSums<T> sums;
      clear(sums);
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
    for_each_group(weighted_, [&](size_t first) {
      add_photons(first, engine::pull_back_background(p_, in_lanes_, panel_, fast(first),
                                                      slow(first), weight(first), view_));
      if (forwards_) contract(first, [](const ClosedTangent&) { return T(0); });
    });
  }

  const ClosedPlan& plan_;
  const Plan& p_;
  const size_t number_of_panel_;
  const PlanPanel& panel_;
  const bool flat_;
  const ClosedView<S> in_lanes_;
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
