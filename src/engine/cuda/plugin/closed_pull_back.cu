#include "engine/cuda/plugin/closed_gradient_kernels.hpp"
#include "engine/cuda/plugin/launches.hpp"

void nablabragg::engine::cuda::launch_pull_back_spots(const ClosedGradientJob& job) {
  const int blocks = (job.part_count + spot_warps - 1) / spot_warps;
  with_spots(*job.closed, [&]<bool curved, bool band, bool slice, bool second, class Real>(
                              const DeviceSpots<Real>& spots) {
    launch(pull_back_spots<Real, curved, band, slice, second>, dim3(static_cast<unsigned>(blocks)),
           spot_threads, spots, job);
  });
}
