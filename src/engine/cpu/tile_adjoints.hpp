// What the adjoints of a tile are gathered in, and where they go from there.
// For the files that are compiled once for each instruction set, like lanes.hpp.
#pragma once
#include "engine/cpu/spot_adjoints.hpp"
#include "engine/cpu/table_adjoints.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

template <class T>
HWY_NOINLINE void complete(const CpuPlan& p, Lookup lookup, BasicPixelNumbers<T>& adjoints) {
  const Plan& plan = *p.plan;
  const PixelNumbers numbers{plan, *p.panel, plan.light, plan.lattice};
  physics::with_shape(plan.lattice.shape, [&]<class Shape>() {
    complete_adjoints<Shape>(numbers, p.largest_F, lookup == Lookup::constant, adjoints);
  });
}

/// What the derivatives of a tile are asked of.
struct TileTask {
  const CpuPlan& p;
  const Tile& tile;
  const std::array<double, tile_pixels>& weights;
  GradientSink& sink;
  const Anchors& anchors;

  const Plan& plan() const { return *p.plan; }
  const PanelNumbers& panel() const { return *p.panel; }
  bool forwards() const { return !sink.tangents.empty(); }
};

/// The adjoints of the numbers of a tile, one in each lane: those of all pairs, and those of
/// the pairs and beams of a chunk.
template <class T>
class TileAdjoints {
 public:
  BasicPixelNumbers<T> numbers;  ///< some in other units until complete()
  T axes[chunk_size][9];         ///< of a, b, c times the wavenumber, whose own follows from them
  BasicPlanRay<T> first_ray;     ///< of the polarization that stands for all
  Wide<T> table_slope;           ///< along the table's tangent

  explicit TileAdjoints(const TileTask& task, const Chunk& chunk)
      : task_(task), p_(task.p), sink_(task.sink), chunk_(chunk) {
    if (task_.forwards()) {
      for (double& photons : sink_.photons) photons = 0;  // fill() might not be inlined
      std::fill_n(sink_.slopes, tile_pixels * sink_.tangents.size(), 0.0);
    }
    clear_tile();
  }

  /// `begin`: of the chunk, among the pairs.
  void begin_chunk(size_t begin) {
    begin_ = begin;
    clear_chunk();
  }

  const Beam& beam_of(int b) const {
    const int beam = chunk_.first_beam + b;
    return p_.beams[static_cast<size_t>(beam)];
  }

  /// Of a beam.
  NABLA_INLINE BasicPlanRay<T>& ray(int b) { return rays_[static_cast<size_t>(b)]; }

  /// In reverse: the light of a group of pixels is added to that of others in double precision, as
  /// in the image.
  NABLA_INLINE void keep_light() {
    const auto keep = [](Wide<T>& to, T& light) {
      to = to + widened(light);
      light = T(0);
    };
    keep(terms_, numbers.scale);
    const PlanBackground& background = p_.plan->background;
    if (background.starting_sum != 0) keep(starting_sum_, numbers.background.starting_sum);
    if (background.per_sr != 0) keep(background_, numbers.background.per_sr);
  }

  /// Forwards: the adjoints of each lane times the tangents.  `lit`: bits of pairs.
  void finish_group(size_t first, std::uint32_t lit, Lookup lookup) {
    const Wide<T> photons = widened(numbers.scale) + widened(numbers.background.starting_sum) +
                            widened(numbers.background.per_sr);
    (photons + Wide<T>::load(sink_.photons.data() + first)).store(sink_.photons.data() + first);
    complete(p_, lookup, numbers);
    int pairs[chunk_size];
    const int count = list_bits(lit, pairs);
    if (!p_.bands) {
      for (int i = 0; i < count; ++i) {
        const int o = pairs[i];
        T& adjoint = ray(chunk_.beam[o]).wavenumber;
        for (size_t column = 0; column < 9; ++column)
          add(adjoint, physics::constant<T>(chunk_.wide[o][column]) * axes[o][column]);
      }
      for (int b = 0; b < chunk_.beams; ++b) {
        T& adjoint = ray(b).wavenumber;
        adjoint = physics::constant<T>(1 / beam_of(b).wavenumber) * adjoint;
      }
    }
    alignas(64) double changes[T::count];
    for (size_t t = 0; t < sink_.tangents.size(); ++t) {
      const Tangent& direction = sink_.tangents[t];
      const Plan& tangent = *direction.plan;
      Wide<T> change(0);
      const auto along = [&](const double& slope, const T& adjoint) {
        if (slope != 0) change = change + Wide<T>(slope) * widened(adjoint);
      };
      for_each_number_at(along, tangent, p_.panel_number, std::as_const(numbers));
      for_each_number_of_ray(along, tangent.light.rays[0], std::as_const(first_ray));
      for (int b = 0; b < chunk_.beams; ++b)
        for_each_number_of_ray(along, ray_of(tangent, b), std::as_const(ray(b)));
      if constexpr (std::is_same_v<T, Single>)
        if (p_.bands && !direction.bands.weight.empty()) {
          change = change + band_change(direction.bands);
          if (p_.plan->background.per_sr != 0)
            for (int b = 0; b < chunk_.beams; ++b)
              for_each_ray(beam_of(b), [&](size_t, size_t number) {
                if (number != static_cast<size_t>(beam_of(b).ray))
                  along(tangent.light.rays[number].weight, ray(b).weight);
              });
        }
      if (direction.turns_crystal)
        for (int i = 0; i < count; ++i) {
          const int o = pairs[i];
          const Wide<T> wavenumber(wavenumber_of(o));
          size_t column = 0;
          for_each_number_of_axes(
              [&](const double& slope) {
                change = change + Wide<T>(slope) * (wavenumber * widened(axes[o][column++]));
              },
              tangent.lattice.orientations[orientation_of(o)]);
        }
      if (sink_.table_tangent && t + 1 == sink_.tangents.size())
        change = change + table_slope * Wide<T>(1 / p_.largest_F);
      change.store(changes);
      for (size_t lane = 0; lane < static_cast<size_t>(T::count); ++lane)
        slope_of(first + lane, t) += changes[lane];
    }
    clear_tile();
    clear_chunk();
  }

  /// In reverse: the adjoints of all lanes added up.
  void finish_chunk() {
    if (p_.bands) finish_bands();
    for (int b = 0; b < chunk_.beams; ++b)
      for_each_number_of_ray([](double& to, const T& adjoint) { to += lane_sum(adjoint); },
                             ray_of(*sink_.adjoints, b), ray(b));
    for (int o = 0; o < chunk_.count; ++o) {
      const double wavenumber = wavenumber_of(o);
      double of_wavenumber = 0;  // times it
      size_t column = 0;
      for_each_number_of_axes(
          [&](double& to) {
            const double adjoint = lane_sum(axes[o][column]);
            to += wavenumber * adjoint;
            of_wavenumber += chunk_.wide[o][column++] * adjoint;
          },
          sink_.adjoints->lattice.orientations[orientation_of(o)]);
      if (!p_.bands)
        ray_of(*sink_.adjoints, chunk_.beam[o]).wavenumber += of_wavenumber / wavenumber;
    }
  }

  void finish_tile(Lookup lookup) {
    BasicPixelNumbers<double> sums = zero_numbers<double>();
    for_each_number([](double& to, const T& adjoint) { to = lane_sum(adjoint); }, sums, numbers);
    sums.scale = lane_sum(terms_);
    sums.background.starting_sum = lane_sum(starting_sum_);
    sums.background.per_sr = lane_sum(background_);
    for_each_number_of_ray([](double& to, const T& adjoint) { to += lane_sum(adjoint); },
                           sink_.adjoints->light.rays[0], std::as_const(first_ray));
    sink_.value += sums.scale + sums.background.starting_sum + sums.background.per_sr;
    complete(p_, lookup, sums);
    for_each_number_at([](double& to, const double& adjoint) { to += adjoint; }, *sink_.adjoints,
                       p_.panel_number, sums);
  }

  /// Of rays that differ from lane to lane; `index`: their numbers in the plan.
  void add_ray_of_each_lane(size_t first, const T& index, const BasicPlanRay<T>& ray) {
    alignas(64) double rays_of_lanes[T::count], values[8][T::count];
    widened(index).store(rays_of_lanes);
    size_t column = 0;
    for_each_number_of_ray([&](const T& x) { widened(x).store(values[column++]); }, ray);
    for (size_t lane = 0; lane < static_cast<size_t>(T::count); ++lane) {
      const auto number = static_cast<size_t>(rays_of_lanes[lane]);
      if (!task_.forwards()) {
        column = 0;
        for_each_number_of_ray([&](double& to) { to += values[column++][lane]; },
                               sink_.adjoints->light.rays[number]);
        continue;
      }
      for (size_t t = 0; t < sink_.tangents.size(); ++t) {
        column = 0;
        for_each_number_of_ray(
            [&](const double& tangent) {
              slope_of(first + lane, t) += tangent * values[column++][lane];
            },
            sink_.tangents[t].plan->light.rays[number]);
      }
    }
  }

 private:
  void clear_tile() {
    for_each_number([](T& adjoint) { adjoint = T(0); }, numbers);
    for_each_number_of_ray([](T& adjoint) { adjoint = T(0); }, first_ray);
    table_slope = Wide<T>(0);
  }
  void clear_chunk() {
    for (int o = 0; o < chunk_.count; ++o)
      for (T& adjoint : axes[o]) adjoint = T(0);
    for (int b = 0; b < chunk_.beams; ++b)
      for_each_number_of_ray([](T& adjoint) { adjoint = T(0); }, ray(b));
    if (p_.bands) clear_bands();
  }

  double& slope_of(size_t pixel, size_t tangent) {
    return sink_.slopes[pixel * sink_.tangents.size() + tangent];
  }
  /// The ray that a beam's adjoints belong to.  All rays of a band have the same derivatives of
  /// their direction (Plan::shared_directions), so that the first one may take those of all.
  template <class AnyPlan>
  auto& ray_of(AnyPlan& plan, int b) const {
    return plan.light.rays[static_cast<size_t>(beam_of(b).ray)];
  }
  size_t orientation_of(int o) const {
    return (begin_ + static_cast<size_t>(o)) % p_.plan->lattice.orientations.size();
  }
  double wavenumber_of(int o) const { return beam_of(chunk_.beam[o]).wavenumber; }

  // ---- The rays of bands ------------------------------------------------------------------------

  HWY_NOINLINE void clear_bands() {
    const Beam &first = beam_of(0), &last = beam_of(chunk_.beams - 1);
    sink_.bands.clear(task_.forwards() ? static_cast<size_t>(lanes) : 1,
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

  /// The adjoints of the chunk's rays times a tangent.
  HWY_NOINLINE Double band_change(const BandNumbers& tangent) const {
    BandAdjoints& adjoints = sink_.bands;
    alignas(64) double changes[lanes];
    for (size_t lane = 0; lane < static_cast<size_t>(lanes); ++lane) {
      const float *const wavenumbers = adjoints.wavenumber(lane), *const weights = adjoints.weight(
                                                                      lane);
      Single sum(0.0f);
      // Behind a band's last ray the tangents are zero, and there are more of them than lanes.
      for (size_t i = 0; i + lanes <= adjoints.size(); i += lanes) {
        const size_t j = adjoints.begin() + i;
        sum = sum + Single::load(wavenumbers + i) * Single::load(tangent.wavenumber.data() + j) +
              Single::load(weights + i) * Single::load(tangent.weight.data() + j);
      }
      changes[lane] = static_cast<double>(sum_of(sum));
    }
    return Double::load(changes);
  }

  /// In reverse.
  HWY_NOINLINE void finish_bands() {
    BandAdjoints& from = sink_.bands;
    for (int b = 0; b < chunk_.beams; ++b) {
      // All rays of a band light the background.
      const double background = lane_sum(ray(b).weight);
      for_each_ray(beam_of(b), [&](size_t j, size_t ray) {
        PlanRay& to = sink_.adjoints->light.rays[ray];
        to.wavenumber += static_cast<double>(from.wavenumber(0)[j - from.begin()]);
        to.weight += static_cast<double>(from.weight(0)[j - from.begin()]) + background;
      });
      ray(b).weight = T(0);
    }
  }

  const TileTask& task_;
  const CpuPlan& p_;
  GradientSink& sink_;
  const Chunk& chunk_;
  size_t begin_ = 0;
  Wide<T> terms_{0}, starting_sum_{0}, background_{0};  ///< light that is kept
  Unwritten<BasicPlanRay<T>, chunk_size> rays_;
};

}  // namespace nablabragg::engine::HWY_NAMESPACE
