// What is done to each pixel of an image once it is computed: noise and integers.  A row of 4096.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "readout/integer_image.hpp"
#include "readout/noise.hpp"

namespace nablabragg {

namespace {

constexpr std::size_t width = 4096;

/// Means between a fifth of `middle` and five times as much, as they change from pixel to pixel
/// near a spot.
std::vector<float> row_around(double middle) {
  std::vector<float> means;
  for (std::size_t i = 0; i < width; ++i)
    means.push_back(
        static_cast<float>(middle * std::pow(5, std::sin(0.05 * static_cast<double>(i)))));
  return means;
}

void count_pixels(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(width));
}

/// The argument: thousandths of a photon.
std::vector<float> means_of(const benchmark::State& state) {
  return row_around(static_cast<double>(state.range(0)) / 1000);
}

void nanobragg_noise(benchmark::State& state) {
  const std::vector<float> means = means_of(state);
  readout::NanobraggPoisson poisson({}, 1);
  std::vector<double> counts(width);
  for (auto _ : state) {
    poisson(means, counts);
    benchmark::DoNotOptimize(counts.data());
  }
  count_pixels(state);
}
BENCHMARK(nanobragg_noise)->Arg(10)->Arg(1000)->Arg(5000)->Arg(100000)->Arg(10000000);

void keyed_noise(benchmark::State& state) {
  const std::vector<float> means = means_of(state);
  const readout::KeyedPoisson poisson(1);
  std::vector<double> counts(width);
  std::uint64_t pixel = 0;
  for (auto _ : state) {
    poisson(std::span<const float>(means), pixel, counts);
    benchmark::DoNotOptimize(counts.data());
    pixel += width;
  }
  count_pixels(state);
}
BENCHMARK(keyed_noise)->Arg(10)->Arg(1000)->Arg(5000)->Arg(100000)->Arg(10000000);

void integers(benchmark::State& state) {
  const std::vector<float> values = row_around(100);
  std::vector<std::uint16_t> row(width);
  for (auto _ : state) {
    readout::to_integers(values, 12.5, 40, row);
    benchmark::DoNotOptimize(row.data());
  }
  count_pixels(state);
}
BENCHMARK(integers);

void greys(benchmark::State& state) {
  const std::vector<float> values = row_around(100);
  std::vector<std::uint8_t> row(width);
  for (auto _ : state) {
    readout::to_greys(values, 0.5, row);
    benchmark::DoNotOptimize(row.data());
  }
  count_pixels(state);
}
BENCHMARK(greys);

void counts(benchmark::State& state) {
  const std::vector<float> values = row_around(100);
  const std::vector<double> photons(values.begin(), values.end());
  std::vector<std::uint16_t> row(width);
  for (auto _ : state) {
    benchmark::DoNotOptimize(readout::to_counts(photons, 40, row));
    benchmark::DoNotOptimize(row.data());
  }
  count_pixels(state);
}
BENCHMARK(counts);

void sum(benchmark::State& state) {
  const std::vector<double> photons(width, 3);
  for (auto _ : state) benchmark::DoNotOptimize(readout::sum_of(photons));
  count_pixels(state);
}
BENCHMARK(sum);

}  // namespace

}  // namespace nablabragg
