#include "engine/cuda/plugin/closed_kernels.hpp"
#include "engine/cuda/plugin/launches.hpp"

namespace nablabragg::engine::cuda {

namespace {

void launch_spots(const DeviceClosed& closed, const DevicePixels& pixels, int blocks,
                  const TileOutput& out, const LightOutput& bare) {
  with_spots(closed, [&]<bool curved, bool band, bool slice, bool second, class Real>(
                         const DeviceSpots<Real>& spots) {
    launch(render_spots<Real, curved, band, slice, second>, dim3(static_cast<unsigned>(blocks)),
           threads_of_block, spots, pixels, out, bare);
  });
}

}  // namespace

void launch_closed(const RenderJob& job, const LaunchSize& size, const TileOutput& out) {
  launch_spots(*job.closed, job.pixels, size.blocks, out, {});
}

void launch_closed_light(const ClosedGradientJob& job) {
  launch_spots(*job.closed, job.pixels, blocks_of<1>(job.pixels), {},
               {job.light, job.weights, static_cast<long long>(job.pixels.count())});
}

}  // namespace nablabragg::engine::cuda
