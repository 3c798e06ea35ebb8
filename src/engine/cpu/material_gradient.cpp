#include "engine/cpu/material_gradient.hpp"

#include "engine/cpu/gradient_kernels.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/driver.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

/// The progress of the lattice's derivatives is all there is; whether to go on is asked on.
ComputeOptions behind_the_lattice(const ComputeOptions& options) {
  ComputeOptions behind = options;
  if (options.progress) behind.progress = [&](double) { return options.progress(1); };
  return behind;
}

}  // namespace

void add_materials(const Plan& plan, const Pixels& pixels, std::span<const double> weights,
                   const ComputeOptions& options, PlanGradient& to) {
  if (plan.materials.empty()) return;
  const MaterialKernel kernel = kernels_of_this_machine().material_gradient;
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
  const auto add = [&](const Part& part) {
    to.value += part.value;
    for_each_number_of_plan([](double& x, const double& more) { x += more; }, to.adjoint,
                            *part.adjoint);
  };
  constexpr int tiles_per_batch = 16;
  add_in_order(tiling.count(), tiles_per_batch, behind_the_lattice(options), compute, add);
}

void add_materials(const Plan& plan, const Pixels& pixels, std::span<const Plan* const> tangents,
                   const ComputeOptions& options, std::span<double> photons,
                   std::span<double> slopes) {
  if (plan.materials.empty()) return;
  const MaterialKernel kernel = kernels_of_this_machine().material_gradient;
  const Tiling tiling(plan, pixels);
  const std::size_t columns = tangents.size();
  for_each_part(tiling.count(), behind_the_lattice(options),
                [&](int index, const StopFlag& stopped) -> WorkDone {
                  Tile tile(stopped);
                  std::array<double, tile_pixels> ones{};
                  tiling.fill(index, tile);
                  tiling.for_each_wanted(index, tile,
                                         [&](std::size_t i, std::size_t) { ones[i] = 1; });
                  std::vector<double> changes(tile_pixels * columns);
                  MaterialSink sink;
                  sink.tangents = tangents;
                  sink.slopes = changes.data();
                  kernel(plan, tile, ones, sink);
                  tiling.for_each_wanted(index, tile, [&](std::size_t i, std::size_t place) {
                    photons[place] += sink.photons[i];
                    for (std::size_t t = 0; t < columns; ++t)
                      slopes[place * columns + t] += changes[i * columns + t];
                  });
                  return {};
                });
}

}  // namespace nablabragg::engine
