// Included by the one unit of each shape, which instantiates GradientLaunches for it.
#pragma once
#include "engine/cuda/plugin/gradient_kernels.hpp"
#include "engine/cuda/plugin/launches.hpp"

namespace nablabragg::engine::cuda {

template <class Shape, Lookup lookup, class Real, bool curved>
void launch_gradient(const GradientJob& job) {
  const auto kernel = job.weights ? pull_back_tiles<Shape, lookup, Real, curved, Reverse>
                                  : pull_back_tiles<Shape, lookup, Real, curved, Forwards>;
  launch(kernel, dim3(static_cast<unsigned>(job.blocks)), gradient_threads, *job.plan, job);
}

template <class Shape>
void GradientLaunches<Shape>::launch_one(const GradientJob& job) {
  with_lookup(job.lookup, [&]<Lookup lookup>() {
    // Curved panels are rare: in double precision whatever is asked for.
    if (job.plan->view.panel.frame.curvature != Curvature::flat)
      launch_gradient<Shape, lookup, double, true>(job);
    else if (job.method == Method::float32)
      launch_gradient<Shape, lookup, float, false>(job);
    else
      launch_gradient<Shape, lookup, double, false>(job);
  });
}

}  // namespace nablabragg::engine::cuda
