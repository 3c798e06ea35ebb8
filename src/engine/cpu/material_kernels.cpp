// The derivatives of the light of materials.  Compiled once for each instruction set.
#include "engine/cpu/adjoint_lanes.hpp"
#include "engine/cpu/gradient_kernels.hpp"
#include "engine/material_adjoints.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

/// Calls f(adjoint, number) with each number that the light of a material and a ray depends on.
template <class F, class AnyPlan>
NABLA_INLINE void for_each_adjoint(F&& f, MaterialAdjoints<Double>& from, AnyPlan& plan,
                                   size_t panel, size_t ray, size_t material) {
  for_each_number_of_panel(f, from.numbers.panel, plan.panels[panel]);
  for_each_number_of_light(f, from.numbers.light, plan.light);
  for_each_number_of_ray(f, from.ray, plan.light.rays[ray]);
  for_each_number_of_material(f, from.material, plan.materials[material]);
}

void pull_back_group(const Plan& plan, const Tile& tile, size_t material, size_t ray, size_t first,
                     const Double& weight, MaterialSink& sink) {
  const auto panel = static_cast<size_t>(tile.panel);
  MaterialAdjoints<Double> adjoints;
  adjoints.numbers = zero_numbers<Double>();
  for_each_number_of_ray([](Double& x) { x = Double(0); }, adjoints.ray);
  const auto pixels = [&](const auto& values) {
    return widen(Single::load(values.data() + first));
  };
  const Double light = pull_back_material(plan, plan.panels[panel], plan.light.rays[ray],
                                          view_of(plan.materials[material]), pixels(tile.fast),
                                          pixels(tile.slow), weight, adjoints);
  complete_frame(plan.panels[panel].frame, adjoints.numbers.panel.frame);
  if (sink.adjoints) {
    sink.value += lane_sum(light);
    for_each_adjoint([](const Double& adjoint, double& to) { to += lane_sum(adjoint); }, adjoints,
                     *sink.adjoints, panel, ray, material);
    return;
  }
  (light + Double::load(sink.photons.data() + first)).store(sink.photons.data() + first);
  for (size_t t = 0; t < sink.tangents.size(); ++t) {
    Double change(0);
    for_each_adjoint(
        [&](const Double& adjoint, const double& slope) {
          if (slope != 0) change = change + Double(slope) * adjoint;
        },
        adjoints, *sink.tangents[t], panel, ray, material);
    alignas(64) double of_lanes[lanes];
    change.store(of_lanes);
    for (size_t i = 0; i < static_cast<size_t>(lanes); ++i)
      sink.slopes[(first + i) * sink.tangents.size() + t] += of_lanes[i];
  }
}

}  // namespace

void material_gradient(const Plan& plan, const Tile& tile,
                       const std::array<double, tile_pixels>& weights, MaterialSink& sink) {
  const UntilStopped until(tile.stopped);
  for (size_t material = 0; material < plan.materials.size(); ++material)
    for (size_t ray = 0; ray < plan.light.rays.size() && until.goes_on(); ++ray)
      for (size_t first = 0; first < static_cast<size_t>(tile.blocks) * block_pixels;
           first += lanes) {
        const Double weight = Double::load(weights.data() + first);
        if (any(weight != Double(0)))
          pull_back_group(plan, tile, material, ray, first, weight, sink);
      }
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
