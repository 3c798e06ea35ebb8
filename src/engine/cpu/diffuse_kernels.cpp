// Light between the spots, and its derivatives.  Compiled once for each instruction set.
#include "engine/cpu/diffuse_kernels.hpp"

#include "engine/cpu/adjoint_lanes.hpp"
#include "engine/diffuse_adjoints.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

NABLA_INLINE Double pixels_at(const std::array<float, tile_pixels>& values, size_t first) {
  return widen(Single::load(values.data() + first));
}

/// The halo of any lattice point at the W of some pixels, in single precision.
class Halos {
 public:
  NABLA_INLINE explicit Halos(const HaloTable& table)
      : table_(table), pole_(table.pole()), minus_two_poles_(-2 * table.pole()) {}

  void set_W(const Double& W) {
    // Rows of W through a parabola
    const Single of_W = narrow(W), at = of_W * Single(1 / HaloTable::step);
    const Single last(double(table_.row_count() - 2));
    Single middle = round_even(at);
    middle = select(middle < Single(1), Single(1), middle);
    middle = select(last < middle, last, middle);
    const Single u = at - middle, half(0.5f);
    const Single below = half * u * (u - Single(1)), same = Single(1) - u * u,
                 above = half * u * (u + Single(1));
    const hn::RebindToSigned<Single::D> whole;
    const auto size = static_cast<int>(table_.row_size());
    const auto row = hn::Mul(hn::ConvertTo(whole, middle.part[0]), hn::Set(whole, size));
    const auto column = [&](const float* at_row, size_t i) {
      return Single::of([&](int) { return hn::GatherIndex(Single::D(), at_row + i, row); });
    };
    for (size_t i = 0; i < table_.row_size(); ++i) {
      const float* const rows = table_.rows();
      numbers_[i] = below * column(rows - size, i) + same * column(rows, i) +
                    above * column(rows + size, i);
    }
    W_ = of_W;
    first_ = of_W * exp(-of_W);
  }
  /// Beyond the stencil.
  NABLA_INLINE Single outside() const { return first_ * numbers_[table_.coefficients()]; }
  /// Of what at() sums.
  NABLA_INLINE const Single& first_order() const { return first_; }

  /// Over the weight of the first order.
  NABLA_INLINE Single at(const Single& x) const {
    const Single a = x + Single(1), b = x + Single(4), c = x + pole_, ab = a * b;
    const Single all = Single(1) / (ab * c);
    const Single near_a = all * b * c, near_b = all * a * c, near_c = all * ab;
    const Single t = Single(1) + minus_two_poles_ * near_c;
    Single p = numbers_[0];
    for (size_t i = 1; i < table_.coefficients(); ++i) p = p * t + numbers_[i];
    return near_a * near_a + W_ * near_b * near_b + p * near_c * near_c;
  }

 private:
  const HaloTable& table_;
  const Single pole_, minus_two_poles_;
  Single W_, first_;
  Single numbers_[HaloTable::most_coefficients + 1];
};

/// |F|^2 of the lattice points around pixels, which in most blocks share them.
class NearF2 {
 public:
  NABLA_INLINE NearF2(const DiffuseLight& light, const Vec3<Double>& nearest) {
    const auto& grid = light.tables.F2;
    // A stencil's points lie on the grid wherever a panel looks.
    const auto inside = grid.holds(nearest);
    const Double middle = grid.offset(Vec3<Double>{Double(0), Double(0), Double(0)});
    const Single offset = narrow(select(inside, grid.offset(nearest), middle));
    const hn::RebindToSigned<Single::D> whole;
    offset_ = hn::ConvertTo(whole, offset.part[0]);
    const auto first = hn::GetLane(offset_);
    shared_ = hn::AllTrue(whole, hn::Eq(offset_, hn::Set(whole, first)));
    F2_ = light.F2;
    if (shared_) F2_ += first;
    stride_h_ = static_cast<std::int64_t>(grid.stride_h);
    stride_k_ = static_cast<std::int64_t>(grid.stride_k);
  }
  NABLA_INLINE Single at(int i, int j, int k) const {
    const float* const from = F2_ + i * stride_h_ + j * stride_k_ + k;
    return Single::of([&](int) {
      return shared_ ? hn::Set(Single::D(), *from) : hn::GatherIndex(Single::D(), from, offset_);
    });
  }

 private:
  const float* F2_;
  bool shared_;
  hn::Vec<hn::RebindToSigned<Single::D>> offset_;
  std::int64_t stride_h_, stride_k_;
};

template <bool rigid>
Double sum_of_halos(const DiffuseLight& light, const Vec3<Double>& h, const Halos& halos) {
  const PlanDiffuse& d = *light.diffuse;
  const auto form = physics::metric_as<Single>(d.correlation);
  const Vec3<Double> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
  const Vec3<Single> away{narrow(h.x - nearest.x), narrow(h.y - nearest.y),
                          narrow(h.z - nearest.z)};
  const NearF2 F2(light, nearest);
  const int m = d.stencil;
  const Single two_bc = Single(2) * form.bc, two_ca = Single(2) * form.ca,
               two_ab = Single(2) * form.ab;
  Single sum(0);
  for (int i = -m; i <= m; ++i) {
    const Single x = away.x - Single(i);
    for (int j = -m; j <= m; ++j) {
      const Single y = away.y - Single(j), flat = x * (form.aa * x + two_ab * y) + form.bb * y * y,
                   slope = two_ca * x + two_bc * y;
      for (int k = -m; k <= m; ++k) {
        const Single z = away.z - Single(k);
        const Single one = halos.at(flat + z * (slope + form.cc * z));
        if constexpr (rigid)
          sum = sum + one;
        else
          sum = sum + F2.at(i, j, k) * one;
      }
    }
  }
  return widen(halos.first_order() * sum);
}

/// Of pixels (fast, slow) of one panel, in mixed precision.
template <bool rigid>
Double mixed_photons(const DiffuseLight& light, const PanelNumbers& panel, const Double& fast,
                     const Double& slow) {
  const Plan& plan = *light.plan;
  const PlanDiffuse& d = *light.diffuse;
  const auto displacement = physics::metric_as<Double>(d.displacement);
  const Double peak(d.peak);
  Halos halos(*light.halos);
  WalkedFactors<Double> factors;
  Double photons(0);
  walk_rays(
      plan, panel, fast, slow, factors, [](const auto&) { return true; },
      [&](const auto&, size_t number, const Vec3<Double>& q, const auto& kept) {
        if (!any(kept)) return;
        const ShellMean<Double> mean = rigid ? ShellMean<Double>{}
                                             : shell_mean(light.tables, length(q));
        Double of_ray(0);
        bool has_W = false;
        for (size_t o = 0; o < plan.lattice.orientations.size(); ++o) {
          const Mat3d& axes = plan.lattice.orientations[o];
          const Double counts(light.tables.weight(o));
          const Vec3<Double> h = Mat3<Double>{vec3_as<Double>(axes.a), vec3_as<Double>(axes.b),
                                              vec3_as<Double>(axes.c)} *
                                 q;
          if (!has_W || !d.isotropic) halos.set_W(spot_radius2(displacement, h));
          has_W = true;
          const Double outside = widen(halos.outside());
          if constexpr (rigid) {
            Double per_F2 = outside;
            if (d.peak > 0) per_F2 = per_F2 + peak * sum_of_halos<true>(light, h, halos);
            of_ray = of_ray + counts * (per_F2 * F2_between(light.tables, h).value);
          } else {
            of_ray = of_ray +
                     counts * (peak * sum_of_halos<false>(light, h, halos) + outside * mean.value);
          }
        }
        photons = photons + select(kept,
                                   Double(plan.light.rays[number].weight) * factors.solid_angle *
                                       factors.polarization * factors.capture * of_ray,
                                   Double(0));
      });
  const auto& cells = plan.lattice.cells;
  return Double(plan.scale * cells.x * cells.y * cells.z) * photons;
}

}  // namespace

void diffuse(const DiffuseLight& light, const Tile& tile, double* photons) {
  const UntilStopped until(tile.stopped);
  const PanelNumbers& panel = light.plan->panels[static_cast<size_t>(tile.panel)];
  const size_t pixels = static_cast<size_t>(tile.blocks) * block_pixels;
  const bool rigid = light.diffuse->motion == DiffuseMotion::rigid;
  for (size_t first = 0; first < pixels && until.goes_on(); first += lanes) {
    const Double fast = pixels_at(tile.fast, first), slow = pixels_at(tile.slow, first);
    if (!light.halos)
      diffuse_photons(*light.plan, *light.diffuse, light.tables, panel, fast, slow)
          .store(photons + first);
    else if (rigid)
      mixed_photons<true>(light, panel, fast, slow).store(photons + first);
    else
      mixed_photons<false>(light, panel, fast, slow).store(photons + first);
  }
}

#ifdef NABLA_GRADIENTS

namespace {

/// Calls f(adjoint, number) with each number that the light of a ray depends on, tables aside.
template <class F, class AnyPlan>
NABLA_INLINE void for_each_adjoint(F&& f, DiffuseAdjoints<Double>& from, AnyPlan& plan,
                                   size_t panel, size_t ray) {
  for_each_number_of_panel(f, from.numbers.panel, plan.panels[panel]);
  for_each_number_of_light(f, from.numbers.light, plan.light);
  for_each_component(f, from.numbers.lattice.cells, plan.lattice.cells);
  f(from.numbers.scale, plan.scale);
  for_each_number_of_ray(f, from.ray, plan.light.rays[ray]);
  for_each_number_of_diffuse(f, from.diffuse, plan.diffuse);
  for (size_t i = 0; i < from.outside.size(); ++i) f(from.outside[i], plan.diffuse.outside[i]);
  for (size_t i = 0; i < from.orientations.size(); ++i)
    for_each_number_of_axes(f, from.orientations[i], plan.lattice.orientations[i]);
}

void clear(const DiffuseLight& light, DiffuseAdjoints<Double>& adjoints) {
  const auto zero = [](Double& x) { x = Double(0); };
  adjoints.numbers = zero_numbers<Double>();
  for_each_number_of_ray(zero, adjoints.ray);
  for_each_number_of_diffuse(zero, adjoints.diffuse);
  adjoints.outside.resize(light.diffuse->outside.size());
  for (Double& x : adjoints.outside) zero(x);
  adjoints.orientations.resize(light.plan->lattice.orientations.size());
  for (auto& axes : adjoints.orientations) for_each_number_of_axes(zero, axes);
}

void pull_back_group(const DiffuseLight& light, const Tile& tile, size_t ray, size_t first,
                     const Double& weight, DiffuseAdjoints<Double>& adjoints, DiffuseSink& sink) {
  const Plan& plan = *light.plan;
  const auto panel = static_cast<size_t>(tile.panel);
  const size_t tangents = sink.tangents.size();
  const auto everywhere = Double(0) < Double(1);
  clear(light, adjoints);
  std::vector<Double> changes(tangents, Double(0));
  const auto forwards = [&](const double* DiffuseTangent::*table, const Double& offset,
                            const auto& wanted, const Double& adjoint) {
    for (size_t t = 0; t < tangents; ++t)
      if (const double* const change = sink.tangents[t].*table)
        changes[t] = changes[t] +
                     select(wanted, value_at(change, offset, wanted) * adjoint, Double(0));
  };
  alignas(64) double places[lanes], more[lanes];
  const auto on_F2 = [&](const Vec3<Double>& point, const Double& adjoint) {
    const auto wanted = light.tables.F2.holds(point);
    const Double offset = select(wanted, light.tables.F2.offset(point), Double(0));
    if (!sink.adjoints) return forwards(&DiffuseTangent::F2, offset, wanted, adjoint);
    offset.store(places);
    select(wanted, adjoint, Double(0)).store(more);
    for (size_t i = 0; i < static_cast<size_t>(lanes); ++i)
      if (more[i] != 0) sink.F2.add(static_cast<std::int64_t>(places[i]), more[i]);
  };
  const auto on_shell = [&](const Double& shell, const Double& adjoint) {
    if (!sink.adjoints) return forwards(&DiffuseTangent::shells, shell, everywhere, adjoint);
    shell.store(places);
    adjoint.store(more);
    for (size_t i = 0; i < static_cast<size_t>(lanes); ++i)
      sink.shells[static_cast<size_t>(places[i])] += more[i];
  };
  const Double photons = pull_back_diffuse(
      plan, *light.diffuse, light.tables, plan.panels[panel], plan.light.rays[ray],
      pixels_at(tile.fast, first), pixels_at(tile.slow, first), weight, adjoints, on_F2, on_shell);
  complete_frame(plan.panels[panel].frame, adjoints.numbers.panel.frame);
  if (sink.adjoints) {
    sink.value += lane_sum(photons);
    for_each_adjoint([](const Double& adjoint, double& to) { to += lane_sum(adjoint); }, adjoints,
                     *sink.adjoints, panel, ray);
    return;
  }
  (photons + Double::load(sink.photons.data() + first)).store(sink.photons.data() + first);
  for (size_t t = 0; t < tangents; ++t) {
    Double change = changes[t];
    for_each_adjoint(
        [&](const Double& adjoint, const double& slope) {
          if (slope != 0) change = change + Double(slope) * adjoint;
        },
        adjoints, *sink.tangents[t].plan, panel, ray);
    change.store(more);
    for (size_t i = 0; i < static_cast<size_t>(lanes); ++i)
      sink.slopes[(first + i) * tangents + t] += more[i];
  }
}

}  // namespace

void diffuse_gradient(const DiffuseLight& light, const Tile& tile,
                      const std::array<double, tile_pixels>& weights, DiffuseSink& sink) {
  const UntilStopped until(tile.stopped);
  DiffuseAdjoints<Double> adjoints;
  for (size_t ray = 0; ray < light.plan->light.rays.size(); ++ray)
    for (size_t first = 0;
         first < static_cast<size_t>(tile.blocks) * block_pixels && until.goes_on();
         first += lanes) {
      const Double weight = Double::load(weights.data() + first);
      if (any(weight != Double(0)))
        pull_back_group(light, tile, ray, first, weight, adjoints, sink);
    }
}

#endif

}  // namespace nablabragg::engine::HWY_NAMESPACE
