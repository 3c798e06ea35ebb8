// How long the stages of a simulation take, one at a time.
#include <benchmark/benchmark.h>

#include "engine/cpu/tiles.hpp"
#include "engine/cutoff.hpp"
#include "engine/engine.hpp"
#include "engine/pixel_sum.hpp"
#include "engine/threads.hpp"
#include "model/resolve.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg {

namespace {

Experiment cubic_crystal() {
  Experiment e;
  e.crystal.cell = UnitCell{100, 100, 100};
  e.crystal.cells = {5, 5, 5};
  e.structure_factors.default_F = 100;
  e.detector.fast_pixels = e.detector.slow_pixels = 64;
  e.sampling.oversample = 1;
  return e;
}

/// Divergence 25 x 25 and 9 wavelengths: 5625 rays.
void source_generation(benchmark::State& state) {
  Experiment e = cubic_crystal();
  e.beam.horizontal_divergence_mrad = e.beam.vertical_divergence_mrad = {5, {}, 25};
  e.beam.dispersion_percent = {1, {}, 9};
  e.beam.round_divergence = false;
  const Resolved r = resolve(e);
  for (auto _ : state) {
    const auto points = model::divergence_points(r.horizontal, r.vertical, false, false);
    const auto wavelengths = model::wavelength_points(r.dispersion, r.wavelength, false);
    benchmark::DoNotOptimize(model::rays_of_grid(points, wavelengths, r.panel.beam,
                                                 r.panel.polarization_axis, r.panel.vertical));
  }
}
BENCHMARK(source_generation)->Unit(benchmark::kMicrosecond);

void resolving(benchmark::State& state) {
  const Experiment e = cubic_crystal();
  for (auto _ : state) benchmark::DoNotOptimize(resolve(e));
}
BENCHMARK(resolving)->Unit(benchmark::kMicrosecond);

/// 1000 domains x 10 phi steps.
void orientations(benchmark::State& state) {
  Experiment e = cubic_crystal();
  e.crystal.mosaic_spread_deg = 0.5;
  e.crystal.mosaic_domains = 1000;
  e.scan.oscillation_deg = {1, {}, 10};
  for (auto _ : state) benchmark::DoNotOptimize(make_plan(e, resolve(e)));
}
BENCHMARK(orientations)->Unit(benchmark::kMillisecond);

/// Lists the 256 pixels of a tile in the middle of an image.
void listing_a_tile(benchmark::State& state) {
  const Experiment e = cubic_crystal();
  const Plan plan = make_plan(e, resolve(e));
  const engine::Tiling tiling(plan, {});
  engine::Tile tile(engine::never_stopped);
  for (auto _ : state) {
    tiling.fill(tiling.count() / 2, tile);
    benchmark::DoNotOptimize(tile.fast.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * engine::tile_pixels);
}
BENCHMARK(listing_a_tile);

void images(benchmark::State& state, const Experiment& e) {
  const Plan plan = make_plan(e, resolve(e));
  const int pixels = e.detector.fast_pixels * e.detector.slow_pixels;
  std::vector<float> image(static_cast<std::size_t>(pixels));
  ComputeOptions options;
  options.threads = 1;
  for (auto _ : state)
    benchmark::DoNotOptimize(engine::load(plan, options)->render({}, std::span(image)).miss);
  state.SetItemsProcessed(state.iterations() * pixels *
                          static_cast<std::int64_t>(plan.lattice.orientations.size()));
}

/// 512 x 512 pixels of one step: what surrounds the steps weighs as much as they do.
void image_of_one_step_pixels(benchmark::State& state) {
  Experiment e = cubic_crystal();
  e.detector.fast_pixels = e.detector.slow_pixels = 512;
  images(state, e);
}
BENCHMARK(image_of_one_step_pixels)->Unit(benchmark::kMicrosecond);

/// Where nanoBragg would stop to interpolate: nowhere, as the table surrounds all 512 x 512 pixels.
void looking_for_the_first_miss(benchmark::State& state) {
  constexpr int side = 512;
  Experiment e = cubic_crystal();
  e.detector.fast_pixels = e.detector.slow_pixels = side;
  e.structure_factors.interpolation = Interpolation::tricubic;
  const int most = 50;  // 35 in the corner of the panel; a square's spread and a margin come on top
  e.structure_factors.grid = std::make_shared<StructureFactorGrid>(
      MillerIndex{-most, -most, -most}, MillerIndex{most, most, most}, 100.0);
  const Plan plan = make_plan(e, resolve(e));
  if (engine::find_first_miss(plan, 0, engine::never_stopped))
    return state.SkipWithError("the table is too small");
  const auto find = [&] { return engine::find_first_miss(plan, 0, engine::never_stopped); };
  for (auto _ : state) benchmark::DoNotOptimize(engine::with_threads(1, find));
  state.SetItemsProcessed(state.iterations() * side * side);
}
BENCHMARK(looking_for_the_first_miss)->Unit(benchmark::kMicrosecond);

/// 25 domains x 10 phi steps, 64 x 64 pixels: operators listed for each block, then their steps.
void image_of_many_orientations(benchmark::State& state) {
  Experiment e = cubic_crystal();
  e.crystal.mosaic_spread_deg = 0.3;
  e.crystal.mosaic_domains = 25;
  e.scan.oscillation_deg = {1, {}, 10};
  images(state, e);
}
BENCHMARK(image_of_many_orientations)->Unit(benchmark::kMicrosecond);

template <class Shape>
void steps_of_one_pixel(benchmark::State& state) {
  Experiment e = cubic_crystal();
  e.crystal.shape = Shape::id;
  e.crystal.mosaic_spread_deg = 0.5;
  e.crystal.mosaic_domains = 1000;
  const Plan plan = make_plan(e, resolve(e));
  const engine::GridView grid(nullptr);
  for (auto _ : state)
    benchmark::DoNotOptimize(
        engine::sum_pixel(plan, plan.panels[0], grid, 20, 30, 0, engine::NoVisitor{}));
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(steps_of_one_pixel<physics::Square>);
BENCHMARK(steps_of_one_pixel<physics::Round>);
BENCHMARK(steps_of_one_pixel<physics::Gauss>);
BENCHMARK(steps_of_one_pixel<physics::Tophat>);

}  // namespace

}  // namespace nablabragg
