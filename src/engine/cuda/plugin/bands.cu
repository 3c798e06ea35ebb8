#include "engine/cuda/plugin/band_kernels.hpp"
#include "engine/cuda/plugin/launches.hpp"

void nablabragg::engine::cuda::launch_bands(const RenderJob& job, const LaunchSize& size,
                                            const TileOutput& out) {
  const bool nearest = job.lookup == Lookup::nearest;
  const auto kernel = job.method == Method::fixed_point
                          ? (nearest ? render_bands<Lookup::nearest, Method::fixed_point>
                                     : render_bands<Lookup::constant, Method::fixed_point>)
                          : (nearest ? render_bands<Lookup::nearest, Method::float32>
                                     : render_bands<Lookup::constant, Method::float32>);
  launch(kernel, dim3(static_cast<unsigned>(size.blocks), static_cast<unsigned>(size.parts)),
         threads_of_block, *job.plan, job.pixels, job.cutoff, out);
}
