// What the derivatives in closed form of all terms share.
#include "engine/cuda/plugin/closed_gradient_kernels.hpp"
#include "engine/cuda/plugin/launches.hpp"

namespace nablabragg::engine::cuda {

namespace {

template <class Real, bool curved>
void launch_factors(const ClosedView<Real>& view, const ClosedGradientJob& job) {
  const auto kernel = job.weights ? pull_back_view<Real, curved, false>
                                  : pull_back_view<Real, curved, true>;
  launch(kernel, dim3(static_cast<unsigned>(job.blocks)), gradient_threads, *job.plan, view, job);
  if (job.weights) add_blocks_of(job.of_blocks, job.blocks, sums_of_view, job.sums);
}

void launch_factors(const ClosedGradientJob& job) {
  const DeviceClosed& closed = *job.closed;
  if (closed.single)
    launch_factors<float, false>(closed.single->view, job);
  else if (closed.wide->view.panel.frame.curvature == Curvature::flat)
    launch_factors<double, false>(closed.wide->view, job);
  else
    launch_factors<double, true>(closed.wide->view, job);
}

}  // namespace

void launch_closed_gradient(const ClosedGradientJob& job) {
  switch (job.stage) {
    case ClosedStage::light:
      return job.weights ? launch_closed_light(job) : launch_push_forward_spots(job);
    case ClosedStage::factors:
      return launch_factors(job);
    case ClosedStage::spots:
      break;
  }
  launch_pull_back_spots(job);
}

}  // namespace nablabragg::engine::cuda
