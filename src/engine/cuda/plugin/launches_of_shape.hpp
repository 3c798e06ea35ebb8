// Included by the one unit of each shape, which instantiates Launches for it.
#pragma once
#include "engine/cuda/plugin/launches.hpp"

namespace nablabragg::engine::cuda {

template <class Shape>
void Launches<Shape>::tiles(const RenderJob& job, const LaunchSize& size, const TileOutput& out) {
  const dim3 blocks(static_cast<unsigned>(size.blocks), static_cast<unsigned>(size.parts));
  with_lookup(job.lookup, [&]<Lookup lookup>() {
    auto kernel = job.method == Method::float64 ? render_tiles<Shape, lookup, Method::float64>
                                                : render_tiles<Shape, lookup, Method::float32>;
    if constexpr (has_fixed_point(Shape::id, lookup))
      if (job.method == Method::fixed_point)
        kernel = render_tiles<Shape, lookup, Method::fixed_point>;
    launch(kernel, blocks, threads_of_block, *job.plan, job.pixels, job.cutoff, out);
  });
}

template <class Shape>
void Launches<Shape>::walk(const RenderJob& job, const LaunchSize& size) {
  const auto kernel = job.lookup == Lookup::tricubic ? walk_pixels<Shape, true>
                                                     : walk_pixels<Shape, false>;
  launch(kernel, dim3(static_cast<unsigned>(size.blocks)), threads_of_block, *job.plan, job.pixels,
         job.cutoff, job.values, job.double_values, job.solid_angles);
}

}  // namespace nablabragg::engine::cuda
