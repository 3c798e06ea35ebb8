#include "engine/cuda/plugin/closed_gradient_kernels.hpp"
#include "engine/cuda/plugin/launches.hpp"

void nablabragg::engine::cuda::launch_push_forward_spots(const ClosedGradientJob& job) {
  const int blocks = gradient_tiles(job.pixels);
  with_spots(*job.closed, [&]<bool curved, bool band, bool slice, bool second, class Real>(
                              const DeviceSpots<Real>& spots) {
    launch(push_forward_spots<Real, curved, band, slice, second>,
           dim3(static_cast<unsigned>(blocks)), gradient_threads, spots, job);
  });
}
