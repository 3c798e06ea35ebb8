// Between the cpu engine and its kernels, which are compiled once for each instruction set.
#pragma once
#include <array>
#include <cstdint>
#include <vector>
#include "engine/cpu/cpu_plan.hpp"
#include "engine/lookup.hpp"
#include "engine/stopping.hpp"

namespace nablabragg::engine {

inline constexpr int block_side = 4;  ///< [pixels], in images
inline constexpr int block_pixels = block_side * block_side, tile_blocks = 16,
                     tile_pixels = block_pixels * tile_blocks;

/// Pixels that are computed together, in blocks whose pixels lie close to each other.
struct Tile {
  const StopFlag& stopped;  ///< where it is set, sums and derivatives are none
  int panel = 0;            ///< that all its pixels belong to
  int blocks = 0;
  int wanted = 0;  ///< pixels; the blocks' others are computed with them
  alignas(64) std::array<float, tile_pixels> fast, slow;
  // Of each block: the middle, how far its pixels lie from it, how many are wanted
  alignas(64) std::array<double, tile_blocks> middle_fast, middle_slow, half_fast, half_slow;
  std::array<int, tile_blocks> pixels;

  /// Only the numbers above are set: what is filled is not filled twice.
  explicit Tile(const StopFlag& stop) : stopped(stop) {}
};

struct TileSums {
  alignas(64) std::array<double, tile_pixels> photons;
  alignas(64) std::array<double, tile_pixels> solid_angle;  ///< [sr], summed like the photons
  std::int64_t skipped = 0;                                 ///< steps
  bool anchored = false;  ///< phases relative to the middle of each block
};

/// Computes the light of the lattice in a tile, without the background.
using Kernel = void (*)(const CpuPlan&, const Tile&, TileSums&);

struct GradientSink;
struct MaterialSink;
struct DiffuseLight;
struct DiffuseSink;

/// Computes the derivatives of a tile.  `weights`: of the photons of each pixel in the loss; pixels
/// of a weight of zero may be left out.
using GradientKernel = void (*)(const CpuPlan&, const Tile&,
                                const std::array<double, tile_pixels>& weights, GradientSink&);

/// The derivatives of the light of materials, in double precision.  `weights`: likewise.
using MaterialKernel = void (*)(const Plan&, const Tile&,
                                const std::array<double, tile_pixels>& weights, MaterialSink&);

struct ClosedKernelSet;
struct ClosedGradientKernelSet;

struct KernelSet {
  const char* instruction_set;
  /// Shapes in single precision; phases in double or anchored.
  Kernel (*single)(CrystalShape, Lookup);
  /// Any plan, in double precision.
  Kernel (*wide)(CrystalShape, Lookup);
  /// The background's photons in the pixels of a tile.
  void (*background)(const Plan&, const Tile&, double* photons);
  /// The same two kinds, of derivatives; null in a build without gradients.
  GradientKernel (*single_gradient)(CrystalShape, Lookup) = nullptr;
  GradientKernel (*wide_gradient)(CrystalShape, Lookup) = nullptr;
  MaterialKernel material_gradient = nullptr;
  // Of materials before a beamstop, all that the plan has
  void (*shadowed)(const Plan&, const Tile&, double* photons);
  MaterialKernel shadowed_gradient = nullptr;
  // Of light between the spots (diffuse_kernels.hpp)
  void (*diffuse)(const DiffuseLight&, const Tile&, double* photons);
  void (*diffuse_gradient)(const DiffuseLight&, const Tile&,
                           const std::array<double, tile_pixels>& weights, DiffuseSink&) = nullptr;
  /// Of a tile of an image, not of a list: copies the photons of the blocks that are wanted whole
  /// into the image, of `width` pixels a row; returns the sum of their solid angles [sr].
  double (*write_floats)(const Tile&, const TileSums&, float* image, std::size_t width);
  // Of sums in closed form; null likewise
  const ClosedKernelSet& (*closed)();
  const ClosedGradientKernelSet& (*closed_gradient)() = nullptr;
  double (*write_doubles)(const Tile&, const TileSums&, double* image, std::size_t width);
};

/// The best that the processor has, or the one that the environment's NABLABRAGG_TARGET names;
/// throws UsageError when that is none of this processor's.
const KernelSet& kernels_of_this_machine();

#define NABLA_KERNEL_SET(target)                                                                  \
  namespace target {                                                                              \
  const KernelSet& kernel_set();                                                                  \
  GradientKernel single_gradient_kernel(CrystalShape, Lookup lookup);                             \
  GradientKernel wide_gradient_kernel(CrystalShape, Lookup lookup);                               \
  void material_gradient(const Plan&, const Tile&, const std::array<double, tile_pixels>&,        \
                         MaterialSink&);                                                          \
  void shadowed_gradient(const Plan&, const Tile&, const std::array<double, tile_pixels>&,        \
                         MaterialSink&);                                                          \
  void diffuse(const DiffuseLight&, const Tile&, double* photons);                                \
  void diffuse_gradient(const DiffuseLight&, const Tile&, const std::array<double, tile_pixels>&, \
                        DiffuseSink&);                                                            \
  }
NABLA_KERNEL_SET(N_AVX3)
NABLA_KERNEL_SET(N_AVX2)
NABLA_KERNEL_SET(N_SSE4)
NABLA_KERNEL_SET(N_SCALAR)
#undef NABLA_KERNEL_SET

}  // namespace nablabragg::engine
