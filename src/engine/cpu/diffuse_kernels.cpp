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

}  // namespace

void diffuse(const DiffuseLight& light, const Tile& tile, double* photons) {
  const UntilStopped until(tile.stopped);
  const PanelNumbers& panel = light.plan->panels[static_cast<size_t>(tile.panel)];
  const size_t pixels = static_cast<size_t>(tile.blocks) * block_pixels;
  for (size_t first = 0; first < pixels && until.goes_on(); first += lanes)
    diffuse_photons(*light.plan, *light.diffuse, light.tables, panel, pixels_at(tile.fast, first),
                    pixels_at(tile.slow, first))
        .store(photons + first);
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
  const auto forwards = [&](const double* DiffuseTangent::* table, const Double& offset,
                            const auto& wanted, const Double& adjoint) {
    for (size_t t = 0; t < tangents; ++t)
      if (const double* const change = sink.tangents[t].*table)
        changes[t] = changes[t] + select(wanted, value_at(change, offset, wanted) * adjoint,
                                         Double(0));
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
  const Double photons = pull_back_diffuse(plan, *light.diffuse, light.tables, plan.panels[panel],
                                           plan.light.rays[ray], pixels_at(tile.fast, first),
                                           pixels_at(tile.slow, first), weight, adjoints, on_F2,
                                           on_shell);
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
    for (size_t first = 0; first < static_cast<size_t>(tile.blocks) * block_pixels && until.goes_on();
         first += lanes) {
      const Double weight = Double::load(weights.data() + first);
      if (any(weight != Double(0)))
        pull_back_group(light, tile, ray, first, weight, adjoints, sink);
    }
}

#endif

}  // namespace nablabragg::engine::HWY_NAMESPACE
