// The kernels of gradients in double precision.  Compiled once for each instruction set.
#include "engine/cpu/gradient_kernels.hpp"
#include "engine/cpu/tile_pull_back.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

template <class Shape, Lookup lookup>
void pull_back_tile(const CpuPlan& p, const Tile& tile,
                    const std::array<double, tile_pixels>& weights, GradientSink& sink) {
  Anchors anchors;
  find_anchors(p, tile, anchors);
  TilePullBack<Double, Shape, lookup, Steps::wide>({p, tile, weights, sink, anchors}).run();
}

}  // namespace

GradientKernel wide_gradient_kernel(CrystalShape shape, Lookup lookup) {
  return gradient_kernel(shape, lookup, []<class Shape, Lookup of>() -> GradientKernel {
    return pull_back_tile<Shape, of>;
  });
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
