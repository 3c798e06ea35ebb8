#include "engine/cpu/material_gradient.hpp"

#include "engine/cpu/added_light.hpp"
#include "engine/cpu/gradient_kernels.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/driver.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

void add(MaterialKernel kernel, const Plan& plan, const Pixels& pixels,
         std::span<const double> weights, const ComputeOptions& options, PlanGradient& to) {
  if (plan.materials.empty()) return;
  const Tiling tiling(plan, pixels);
  struct Part {
    std::shared_ptr<Plan> adjoint;
    double value = 0;
  };
  const auto compute = [&](int first, int end, const StopFlag& stopped) {
    Part part{std::make_shared<Plan>(zero_plan(plan)), 0};
    MaterialSink sink;
    sink.adjoints = part.adjoint.get();
    for (int index = first; index < end; ++index) {
      Tile tile(stopped);
      std::array<double, tile_pixels> of_tile{};
      tiling.fill(index, tile);
      tiling.for_each_wanted(
          index, tile, [&](std::size_t i, std::size_t place) { of_tile[i] = weights[place]; });
      kernel(plan, tile, of_tile, sink);
    }
    part.value = sink.value;
    return part;
  };
  const auto add_part = [&](const Part& part) {
    to.value += part.value;
    for_each_number_of_plan([](double& x, const double& more) { x += more; }, to.adjoint,
                            *part.adjoint);
  };
  constexpr int tiles_per_batch = 16;
  add_in_order(tiling.count(), tiles_per_batch, behind_the_spots(options), compute, add_part);
}

void add(MaterialKernel kernel, const Plan& plan, const Pixels& pixels,
         std::span<const Plan* const> tangents, const ComputeOptions& options,
         std::span<double> photons, std::span<double> slopes) {
  if (plan.materials.empty()) return;
  const Tiling tiling(plan, pixels);
  MaterialSink sink;
  sink.tangents = tangents;
  push_forward_tiles(
      tiling, options, tangents.size(), sink,
      [&](const Tile& tile, const auto& ones, MaterialSink& to) { kernel(plan, tile, ones, to); },
      photons, slopes);
}

}  // namespace

void add_materials(const Plan& plan, const Pixels& pixels, std::span<const double> weights,
                   const ComputeOptions& options, PlanGradient& to) {
  add(kernels_of_this_machine().material_gradient, plan, pixels, weights, options, to);
}

void add_materials(const Plan& plan, const Pixels& pixels, std::span<const Plan* const> tangents,
                   const ComputeOptions& options, std::span<double> photons,
                   std::span<double> slopes) {
  add(kernels_of_this_machine().material_gradient, plan, pixels, tangents, options, photons,
      slopes);
}

void add_shadowed_materials(const Plan& plan, const Pixels& pixels, std::span<const double> weights,
                            const ComputeOptions& options, PlanGradient& to) {
  add(kernels_of_this_machine().shadowed_gradient, plan, pixels, weights, options, to);
}

void add_shadowed_materials(const Plan& plan, const Pixels& pixels,
                            std::span<const Plan* const> tangents, const ComputeOptions& options,
                            std::span<double> photons, std::span<double> slopes) {
  add(kernels_of_this_machine().shadowed_gradient, plan, pixels, tangents, options, photons,
      slopes);
}

}  // namespace nablabragg::engine
