// The kernels of gradients with shapes in single precision; those in double have a file of their
// own, as compiling takes long.  Compiled once for each instruction set.
#include "engine/cpu/gradient_kernels.hpp"

#include "engine/cpu/tile_pull_back.hpp"

#if HWY_ARCH_X86
#include <xmmintrin.h>  // for _mm_setcsr
#endif

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

/// While it lives, numbers in single precision below the smallest normal one (1.2e-38) are zero.
/// Far from its spot a Gaussian's slopes are made of them, and some processors take a hundred
/// cycles for each.
class WithoutSubnormals {
 public:
#if HWY_ARCH_X86
  WithoutSubnormals() : before_(_mm_getcsr()) {
    constexpr unsigned results_are_zero = 0x8000, arguments_are_zero = 0x0040;
    _mm_setcsr(before_ | results_are_zero | arguments_are_zero);
  }
  ~WithoutSubnormals() { _mm_setcsr(before_); }
#else
  WithoutSubnormals() {}
  ~WithoutSubnormals() {}
#endif
  WithoutSubnormals(const WithoutSubnormals&) = delete;
  WithoutSubnormals& operator=(const WithoutSubnormals&) = delete;

#if HWY_ARCH_X86
 private:
  unsigned before_;
#endif
};

template <class Shape, Lookup lookup>
void pull_back_tile(const CpuPlan& p, const Tile& tile,
                    const std::array<double, tile_pixels>& weights, GradientSink& sink) {
  [[maybe_unused]] const WithoutSubnormals guard;
  Anchors anchors;
  find_anchors(p, tile, anchors);
  const TileTask task{p, tile, weights, sink, anchors};
  if constexpr (!Shape::why_double) {
    if (suits_anchors(p, anchors) && !sink.table_tangent) {
      // A plan of one pair has two registers of pixels side by side.
      if (p.beams.size() * p.plan->lattice.orientations.size() == 1)
        return TilePullBack<Singles<2>, Shape, lookup, Steps::anchored>(task).run();
      return TilePullBack<Single, Shape, lookup, Steps::anchored>(task).run();
    }
  }
  if constexpr (lookup != Lookup::tricubic && Shape::sums_along_lines)
    if (p.bands) return TilePullBack<Single, Shape, lookup, Steps::in_bands>(task).run();
  TilePullBack<Single, Shape, lookup, Steps::wide>(task).run();
}

}  // namespace

GradientKernel single_gradient_kernel(CrystalShape shape, Lookup lookup) {
  return gradient_kernel(shape, lookup, []<class Shape, Lookup of>() -> GradientKernel {
    return pull_back_tile<Shape, of>;
  });
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
