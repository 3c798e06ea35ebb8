#include "engine/cuda/plugin/closed_kernels.hpp"
#include "engine/cuda/plugin/launches.hpp"

namespace nablabragg::engine::cuda {

namespace {

template <bool curved, class Real>
void launch_spots(const DeviceSpots<Real>& spots, const RenderJob& job, const LaunchSize& size,
                  const TileOutput& out) {
  physics::with_terms(job.closed->terms, [&]<bool band, bool slice, bool second>() {
    launch(render_spots<Real, curved, band, slice, second>,
           dim3(static_cast<unsigned>(size.blocks)), threads_of_block, spots, job.pixels, out);
  });
}

}  // namespace

void launch_closed(const RenderJob& job, const LaunchSize& size, const TileOutput& out) {
  const DeviceClosed& closed = *job.closed;
  if (closed.single)
    launch_spots<false>(*closed.single, job, size, out);
  else if (closed.wide->view.panel.frame.curvature == Curvature::flat)
    launch_spots<false>(*closed.wide, job, size, out);
  else
    launch_spots<true>(*closed.wide, job, size, out);
}

}  // namespace nablabragg::engine::cuda
