// Counts from photons that are on the device: the deviates of physics/poisson.hpp, which round
// nothing differently from processor to card.
#include "engine/cuda/plugin/launches.hpp"
#include "physics/poisson.hpp"

namespace nablabragg::engine::cuda {

namespace {

__device__ constexpr physics::PoissonTables poisson_tables;

__global__ void __launch_bounds__(threads_of_block)
    count_pixels(const __grid_constant__ CountJob job) {
  const long long place = static_cast<long long>(blockIdx.x) * threads_of_block + threadIdx.x;
  bool is_lit = false;
  if (place < static_cast<long long>(job.pixels.columns) * job.pixels.rows) {
    const auto row = static_cast<int>(place / job.pixels.columns);
    const long long in_panel = static_cast<long long>(job.pixels.slow_min + row) * job.fast_pixels +
                               job.pixels.fast_min +
                               (place - static_cast<long long>(row) * job.pixels.columns);
    const auto mean = static_cast<double>(job.values[place]);
    is_lit = mean != 0;
    std::int32_t count = gap_pixel;
    if (!job.pixels.keep || job.pixels.keep[in_panel] != 0) {
      if (std::fabs(mean) <= physics::poisson_largest_mean) {
        const double photons = physics::poisson_count(
            poisson_tables, job.key, job.first_pixel + static_cast<std::uint64_t>(in_panel), mean);
        count = job.counter(photons);
        if (job.counter.saturates(photons)) atomicAdd(&job.tally->saturated, 1ULL);
      } else {
        atomicAdd(&job.tally->undrawn, 1ULL);
      }
    }
    job.counts[place] = count;
  }
  if (__syncthreads_or(is_lit) && threadIdx.x == 0) atomicAdd(&job.tally->lit, 1ULL);
}

}  // namespace

void launch_counts(const CountJob& job) {
  const std::size_t pixels = job.pixels.count();
  launch(count_pixels,
         dim3(static_cast<unsigned>((pixels + threads_of_block - 1) / threads_of_block)),
         threads_of_block, job);
}

}  // namespace nablabragg::engine::cuda
