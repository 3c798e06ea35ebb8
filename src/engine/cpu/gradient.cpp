#include "engine/cpu/derivatives.hpp"

#include <algorithm>

#include "engine/cpu/gradient_kernels.hpp"
#include "engine/cpu/material_gradient.hpp"
#include "engine/cpu/table_spread.hpp"
#include "engine/driver.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

void BandAdjoints::clear(std::size_t rows, std::size_t begin, std::size_t size) {
  begin_ = begin;
  size_ = size;
  adjoints_.wavenumber.assign(rows * size, 0.0F);
  adjoints_.weight.assign(rows * size, 0.0F);
}

namespace {

using Weights = std::array<double, tile_pixels>;

/// Where there is one step only that a factor can come from, it may as well be that step's own.
Plan with_own_factors(Plan plan) {
  const auto layered = [](const PlanPanel& panel) { return panel.sensor.layers > 1; };
  if (plan.oversample > 1 || plan.background.starting_sum != 0 ||
      std::any_of(plan.panels.begin(), plan.panels.end(), layered))
    return plan;
  const auto own = [](Apply& rule) {
    if (rule == Apply::once) rule = Apply::to_each_term;
  };
  own(plan.rules.solid_angle);
  own(plan.rules.capture);
  if (plan.light.rays.size() == 1) own(plan.rules.polarization);
  return plan;
}

/// The rays' part of a tangent, with zeros behind each band as CpuPlan has them.
BandNumbers band_tangent(const CpuPlan& p, const Plan& tangent) {
  BandNumbers numbers;
  const auto changes = [](const PlanRay& ray) { return ray.wavenumber != 0 || ray.weight != 0; };
  if (!p.bands || std::none_of(tangent.light.rays.begin(), tangent.light.rays.end(), changes))
    return numbers;
  numbers.wavenumber.resize(p.band_ray.size());
  numbers.weight.resize(p.band_ray.size());
  for (const Beam& beam : p.beams)
    for (int i = 0; i < beam.rays; ++i) {
      const int number = beam.first + i;
      const auto j = static_cast<std::size_t>(number);
      const PlanRay& ray = tangent.light.rays[static_cast<std::size_t>(p.band_ray[j])];
      numbers.wavenumber[j] = static_cast<float>(ray.wavenumber);
      numbers.weight[j] = static_cast<float>(ray.weight);
    }
  return numbers;
}

bool turns_crystal(const Plan& tangent) {
  const auto turns = [](const Mat3d& m) {
    return !(m.a == Vec3d{} && m.b == Vec3d{} && m.c == Vec3d{});
  };
  return std::any_of(tangent.lattice.orientations.begin(), tangent.lattice.orientations.end(),
                     turns);
}

}  // namespace

CpuDerivatives::CpuDerivatives(const Plan& plan, const SingleTable& table,
                               const InterpolationCutoff& cutoff, const ComputeOptions& options)
    : plan_(with_own_factors(plan)), cutoff_(cutoff), options_(options) {
  const KernelSet& kernels = kernels_of_this_machine();
  const auto shape = plan.lattice.shape;
  for (std::size_t i = 0; i < plan_.panels.size(); ++i) {
    const bool wide = options.precision == Precision::float64 || !needs_wide(plan_).empty() ||
                      !why_table_needs_double(plan_.lattice, table).empty();
    const auto kernel = wide ? kernels.wide_gradient : kernels.single_gradient;
    panels_.push_back(
        {make_cpu_plan(plan_, i, table, options.skip_below.value_or(default_skip_below),
                       !wide && plan_.light.shared_directions),
         kernel(shape, plan.lattice.grid ? Lookup::nearest : Lookup::constant),
         plan.lattice.tricubic ? kernel(shape, Lookup::tricubic) : nullptr});
  }
}

/// Enough of them that passing a batch on costs little.
int CpuDerivatives::tiles_per_batch() const {
  constexpr double steps_of_batch = 1e6;
  const double steps = static_cast<double>(steps_of_pixel(plan_, plan_.panels.front())) *
                       tile_pixels;
  return static_cast<int>(std::clamp(steps_of_batch / steps, 1.0, 64.0));
}

template <class Keep>
void CpuDerivatives::run(const Tile& tile, const Weights& weights, GradientSink& sink,
                         Keep&& keep) const {
  const LoadedPanel& panel = panels_[static_cast<std::size_t>(tile.panel)];
  const auto run_kernel = [&](GradientKernel kernel, const Weights& some) {
    kernel(panel.plan, tile, some, sink);
    keep();
  };
  const TileCutoff cutoff(plan_, cutoff_, tile);
  if (cutoff.none_interpolates()) return run_kernel(panel.nearest, weights);
  if (cutoff.all_interpolate()) return run_kernel(panel.tricubic, weights);
  // Behind the cutoff all is nearest, and so is the pixel in which it falls.
  Weights interpolated{}, after{};
  for (std::size_t i = 0; i < static_cast<std::size_t>(tile.blocks) * block_pixels; ++i)
    (cutoff.lookups(i) == all_steps ? interpolated : after)[i] = weights[i];
  run_kernel(panel.tricubic, interpolated);
  run_kernel(panel.nearest, after);
}

PlanGradient CpuDerivatives::pull_back(const Pixels& pixels, std::span<const double> weights) {
  const Tiling tiling(plan_, pixels);
  PlanGradient total;
  total.adjoint = zero_plan(plan_);
  if (plan_.lattice.grid)
    total.table = std::make_shared<StructureFactorGrid>(plan_.lattice.grid->min(),
                                                        plan_.lattice.grid->max(), 0.0);
  struct Part {
    std::shared_ptr<GradientSink> sink = std::make_shared<GradientSink>();
    std::shared_ptr<Plan> adjoint;
  };
  const auto compute = [&](int first, int end, const StopFlag& stopped) {
    Part part;
    part.adjoint = std::make_shared<Plan>(zero_plan(plan_));
    part.sink->adjoints = part.adjoint.get();
    part.sink->wants_table = plan_.lattice.grid != nullptr;
    for (int index = first; index < end; ++index) {
      Tile tile(stopped);
      Weights tile_weights{};
      bool lit = false;
      tiling.fill(index, tile);
      tiling.for_each_wanted(index, tile, [&](std::size_t i, std::size_t place) {
        tile_weights[i] = weights[place];
        lit |= weights[place] != 0;
      });
      if (lit) run(tile, tile_weights, *part.sink, [] {});
    }
    return part;
  };
  const double largest_F = panels_.front().plan.largest_F;
  const auto add = [&](const Part& part) {
    total.value += part.sink->value;
    for_each_number_of_plan([](double& to, const double& more) { to += more; }, total.adjoint,
                            *part.adjoint);
    part.sink->table.drain([&](std::int64_t offset, double more) {
      total.table->values()[static_cast<std::size_t>(offset)] += more / largest_F;
    });
  };
  add_in_order(tiling.count(), tiles_per_batch(), options_, compute, add);
  add_materials(plan_, pixels, weights, options_, total);
  return total;
}

void CpuDerivatives::push_forward(const Pixels& pixels, std::span<const Plan* const> tangents,
                                  const StructureFactorGrid* table_tangent,
                                  std::span<double> photons, std::span<double> slopes) {
  const Tiling tiling(plan_, pixels);
  const std::size_t columns = tangents.size();
  std::vector<std::vector<Tangent>> directions(panels_.size());
  for (std::size_t i = 0; i < panels_.size(); ++i)
    for (const Plan* tangent : tangents)
      directions[i].push_back(
          {tangent, turns_crystal(*tangent), band_tangent(panels_[i].plan, *tangent)});
  for_each_part(tiling.count(), options_, [&](int index, const StopFlag& stopped) -> WorkDone {
    Tile tile(stopped);
    Weights ones{};
    std::vector<std::pair<std::size_t, std::size_t>> places;
    tiling.fill(index, tile);
    tiling.for_each_wanted(index, tile, [&](std::size_t i, std::size_t place) {
      ones[i] = 1;
      places.emplace_back(i, place);
    });
    std::vector<double> changes(tile_pixels * columns);
    GradientSink sink;
    sink.tangents = directions[static_cast<std::size_t>(tile.panel)];
    sink.slopes = changes.data();
    if (table_tangent) sink.table_tangent = table_tangent->values().data();
    run(tile, ones, sink, [&] {
      for (const auto& [i, place] : places) {
        photons[place] += sink.photons[i];
        for (std::size_t t = 0; t < columns; ++t)
          slopes[place * columns + t] += changes[i * columns + t];
      }
    });
    return {steps_of_pixel(plan_, plan_.panels[static_cast<std::size_t>(tile.panel)]) * tile.wanted,
            0};
  });
  add_materials(plan_, pixels, tangents, options_, photons, slopes);
}

}  // namespace nablabragg::engine
