#include "engine/diffuse.hpp"

#include <array>
#include <utility>

#include "engine/cpu/added_light.hpp"
#include "engine/cpu/diffuse_kernels.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/driver.hpp"
#include "engine/engine.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

DiffuseLight light_of(const Plan& plan, const Diffuse& diffuse) {
  const DiffuseTables& tables = diffuse.tables();
  return {&plan,
          &diffuse.numbers(),
          {GridView(&tables.F2()), tables.shells(), diffuse.numbers().shell}};
}

}  // namespace

void Diffuse::take_from(Plan& plan) {
  if (!plan.diffuse.present) {
    *this = {};
    return;
  }
  if (!tables_ || !tables_->are_of(plan)) {
    tables_ = std::make_shared<const DiffuseTables>(plan);
    const auto& F2 = tables_->F2().values();
    F2_ = std::make_shared<const std::vector<float>>(F2.begin(), F2.end());
  }
  if (numbers_.outside != plan.diffuse.outside) {
    auto made = HaloTable::make(plan.diffuse.outside);
    halos_ = made ? std::make_shared<const HaloTable>(std::move(*made)) : nullptr;
  }
  numbers_ = std::exchange(plan.diffuse, {});
  if (!tables_->spots()) return;
  plan.lattice.grid = tables_->spots();
  plan.lattice.default_F = 0;
}

SplitPlan::SplitPlan(const Plan& plan) : spots(plan) { diffuse.take_from(spots); }

template <class Number>
void Diffuse::add_photons(const Plan& plan, const Pixels& pixels, const ComputeOptions& options,
                          std::span<Number> values) const {
  DiffuseLight light = light_of(plan, *this);
  // Offsets are whole numbers in single precision.
  constexpr std::size_t most_entries = std::size_t{1} << 24;
  if (options.precision != Precision::float64 && options.engine != nablabragg::Engine::reference &&
      F2_->size() < most_entries) {
    light.halos = halos_.get();
    light.F2 = F2_->data();
  }
  const DiffuseKernel kernel = kernels_of_this_machine().diffuse;
  const Tiling tiling(plan, pixels);
  for_each_part(tiling.count(), behind_the_spots(options),
                [&](int index, const StopFlag& stopped) -> WorkDone {
                  Tile tile(stopped);
                  tiling.fill(index, tile);
                  alignas(64) std::array<double, tile_pixels> photons;
                  kernel(light, tile, photons.data());
                  tiling.for_each_wanted(index, tile, [&](std::size_t i, std::size_t place) {
                    values[place] = static_cast<Number>(double(values[place]) + photons[i]);
                  });
                  return {};
                });
}
template void Diffuse::add_photons(const Plan&, const Pixels&, const ComputeOptions&,
                                   std::span<float>) const;
template void Diffuse::add_photons(const Plan&, const Pixels&, const ComputeOptions&,
                                   std::span<double>) const;

double Diffuse::photons(const Plan& plan, const PixelIndex& pixel) const {
  return diffuse_photons(plan, numbers_, light_of(plan, *this).tables, plan.panel_of(pixel),
                         double(pixel.fast), double(pixel.slow));
}

void Diffuse::pull_back(const Plan& plan, const Pixels& pixels, std::span<const double> weights,
                        const ComputeOptions& options, PlanGradient& to) const {
  const DiffuseLight light = light_of(plan, *this);
  const DiffuseGradientKernel kernel = kernels_of_this_machine().diffuse_gradient;
  const Tiling tiling(plan, pixels);
  to.adjoint.diffuse.present = true;
  to.adjoint.diffuse.outside.assign(numbers_.outside.size(), 0.0);
  for_each_number_of_diffuse([](double& x) { x = 0; }, to.adjoint.diffuse);
  tables_->pull_back_spots(to.table, to.adjoint);

  StructureFactorGrid F2(tables_->F2().min(), tables_->F2().max(), 0.0);
  std::vector<double> shells(tables_->shells().size());
  struct Part {
    std::shared_ptr<Plan> adjoint;
    std::shared_ptr<DiffuseSink> sink;
  };
  const auto compute = [&](int first, int end, const StopFlag& stopped) {
    Part part{std::make_shared<Plan>(zero_plan(to.adjoint)), std::make_shared<DiffuseSink>()};
    part.sink->adjoints = part.adjoint.get();
    part.sink->shells.resize(shells.size());
    for (int index = first; index < end; ++index) {
      Tile tile(stopped);
      std::array<double, tile_pixels> of_tile{};
      tiling.fill(index, tile);
      tiling.for_each_wanted(
          index, tile, [&](std::size_t i, std::size_t place) { of_tile[i] = weights[place]; });
      kernel(light, tile, of_tile, *part.sink);
    }
    return part;
  };
  const auto add = [&](const Part& part) {
    to.value += part.sink->value;
    for_each_number_of_plan([](double& x, const double& more) { x += more; }, to.adjoint,
                            *part.adjoint);
    part.sink->F2.drain([&](std::int64_t offset, double more) {
      F2.values()[static_cast<std::size_t>(offset)] += more;
    });
    for (std::size_t i = 0; i < shells.size(); ++i) shells[i] += part.sink->shells[i];
  };
  constexpr int tiles_per_batch = 16;
  add_in_order(tiling.count(), tiles_per_batch, behind_the_spots(options), compute, add);
  tables_->pull_back_shells(shells, F2);
  tables_->pull_back_F2(F2, to.table.get(), to.adjoint);
}

void Diffuse::push_forward(const Plan& plan, const Pixels& pixels,
                           std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, const ComputeOptions& options,
                           std::span<double> photons, std::span<double> slopes) const {
  const DiffuseLight light = light_of(plan, *this);
  const DiffuseGradientKernel kernel = kernels_of_this_machine().diffuse_gradient;
  const Tiling tiling(plan, pixels);
  const std::size_t columns = tangents.size();
  std::vector<DiffuseTangent> directions;
  std::vector<std::unique_ptr<StructureFactorGrid>> F2;
  std::vector<std::vector<double>> shells;
  shells.reserve(columns);
  for (std::size_t t = 0; t < columns; ++t) {
    F2.push_back(
        tables_->push_forward_F2(*tangents[t], t + 1 == columns ? table_tangent : nullptr));
    DiffuseTangent& direction = directions.emplace_back(
        DiffuseTangent{tangents[t], nullptr, nullptr});
    if (!F2.back()) continue;
    shells.push_back(tables_->push_forward_shells(*F2.back()));
    direction.F2 = F2.back()->values().data();
    direction.shells = shells.back().data();
  }
  DiffuseSink sink;
  sink.tangents = directions;
  push_forward_tiles(
      tiling, options, columns, sink,
      [&](const Tile& tile, const auto& ones, DiffuseSink& to) { kernel(light, tile, ones, to); },
      photons, slopes);
}

}  // namespace nablabragg::engine
