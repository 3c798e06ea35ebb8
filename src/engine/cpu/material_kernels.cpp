// The derivatives of the light of materials.  Compiled once for each instruction set.
#include "engine/beamstop_adjoints.hpp"
#include "engine/cpu/adjoint_lanes.hpp"
#include "engine/cpu/gradient_kernels.hpp"
#include "engine/material_adjoints.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

/// Where the material is.
enum class Before { nothing, beamstop };

struct Adjoints : MaterialAdjoints<Double> {
  BasicPlanBeamstop<Double> stop;
};

/// Calls f(adjoint, number) with each number that the light of a material and a ray depends on.
template <Before before, class F, class AnyPlan>
NABLA_INLINE void for_each_adjoint(F&& f, Adjoints& from, AnyPlan& plan, size_t panel, size_t ray,
                                   size_t material) {
  if constexpr (before == Before::beamstop)
    for_each_number_of_beamstop(f, from.stop, plan.beamstop);
  for_each_number_of_panel(f, from.numbers.panel, plan.panels[panel]);
  for_each_number_of_light(f, from.numbers.light, plan.light);
  for_each_number_of_ray(f, from.ray, plan.light.rays[ray]);
  for_each_number_of_material(f, from.material, plan.materials[material]);
}

template <Before before>
void pull_back_group(const Plan& plan, const Tile& tile, size_t material, size_t ray, size_t first,
                     const Double& weight, MaterialSink& sink) {
  const auto panel = static_cast<size_t>(tile.panel);
  Adjoints adjoints;
  const auto clear = [](Double& x) { x = Double(0); };
  adjoints.numbers = zero_numbers<Double>();
  for_each_number_of_ray(clear, adjoints.ray);
  for_each_number_of_beamstop(clear, adjoints.stop);
  const auto pixels = [&](const auto& values) {
    return widen(Single::load(values.data() + first));
  };
  const PanelNumbers& numbers = plan.panels[panel];
  const PlanRay& of_ray = plan.light.rays[ray];
  const MaterialView of = view_of(plan.materials[material]);
  const Double fast = pixels(tile.fast), slow = pixels(tile.slow);
  Double light;
  if constexpr (before == Before::beamstop)
    light = pull_back_shadowed(plan, numbers, of_ray, of, fast, slow, weight, adjoints,
                               adjoints.stop);
  else
    light = pull_back_material(plan, numbers, of_ray, of, fast, slow, weight, adjoints);
  complete_frame(plan.panels[panel].frame, adjoints.numbers.panel.frame);
  if (sink.adjoints) {
    sink.value += lane_sum(light);
    for_each_adjoint<before>([](const Double& adjoint, double& to) { to += lane_sum(adjoint); },
                             adjoints, *sink.adjoints, panel, ray, material);
    return;
  }
  (light + Double::load(sink.photons.data() + first)).store(sink.photons.data() + first);
  for (size_t t = 0; t < sink.tangents.size(); ++t) {
    Double change(0);
    for_each_adjoint<before>(
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

template <Before before>
void gradient(const Plan& plan, const Tile& tile, const std::array<double, tile_pixels>& weights,
              MaterialSink& sink) {
  const UntilStopped until(tile.stopped);
  for (size_t material = 0; material < plan.materials.size(); ++material)
    for (size_t ray = 0; ray < plan.light.rays.size() && until.goes_on(); ++ray)
      for (size_t first = 0; first < static_cast<size_t>(tile.blocks) * block_pixels;
           first += lanes) {
        const Double weight = Double::load(weights.data() + first);
        if (any(weight != Double(0)))
          pull_back_group<before>(plan, tile, material, ray, first, weight, sink);
      }
}

}  // namespace

void material_gradient(const Plan& plan, const Tile& tile,
                       const std::array<double, tile_pixels>& weights, MaterialSink& sink) {
  gradient<Before::nothing>(plan, tile, weights, sink);
}

void shadowed_gradient(const Plan& plan, const Tile& tile,
                       const std::array<double, tile_pixels>& weights, MaterialSink& sink) {
  gradient<Before::beamstop>(plan, tile, weights, sink);
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
