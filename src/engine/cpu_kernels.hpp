// Between the cpu engine and its kernels, which are compiled once for each instruction set.
#pragma once
#include <array>
#include <cstdint>
#include <vector>
#include "engine/pixel_sum.hpp"  // for GridView
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// A ray, or a band of wavelengths of one direction that is treated as a whole.
struct Beam {
  Vec3d incident, magnetic;  ///< unit vectors, as in PlanRay
  double wavenumber = 0;     ///< [1/m]; of a band, in its middle
  double weight = 1;         ///< of the terms
  double light = 1;          ///< weight of the background; of a band, of all its rays together
  int rays = 1;
  // Of a band: its rays, from CpuPlan::band_change[first] on, and the bins of that axis
  int first = 0, first_bin = 0;
  float low = 0, high = 0, bins_per_change = 0;
};

/// A plan with what the kernels want to know beforehand.
struct CpuPlan {
  const Plan* plan = nullptr;
  GridView grid{nullptr};

  // Structure factors in single precision, in units of the largest, l fastest; without a table F is
  // part of the unit
  std::vector<float> F;
  float default_F = 0;
  Vec3d extent;  ///< numbers of indices; zero: no table

  double largest_F = 1;      ///< the unit of F [electrons]
  PlanLattice lattice;       ///< its number of cells is part of the unit where it can be
  double unit = 1;           ///< photons of one unit of the kernels' sums, before factors
  bool ray_factors = false;  ///< terms of different rays have different factors
  std::vector<Beam> beams;
  bool bands = false;  ///< each beam is a band
  /// Of each ray of a band, sorted: wavenumber over that of the band, less one.  Weights of zero
  /// follow the last ray of a band, as many as two registers can hold.
  std::vector<float> band_change, band_weight;
  std::vector<double> band_change_wide;
  /// Where the rays of each bin of a band begin and end, a little too early and too late.
  std::vector<std::array<int, 2>> band_bins;
  double dark_radius2 = 0;  ///< beyond which a spot is dark

  Vec3d edges_m;  ///< longest a, b, c of all orientations
  double max_wavenumber = 0;
  bool anchors_allowed = false;
  Vec3d anchor_weight;  ///< 1 / the number of indices that a block may span with anchored phases
  bool skips = false;   ///< steps that are known to be dark
  Vec3d reach;          ///< how far from a lattice point light is seen; 1/2 or more: everywhere
};

inline constexpr int bins_of_band = 64, most_lanes = 32;
inline constexpr int block_pixels = 16, tile_blocks = 16, tile_pixels = block_pixels * tile_blocks;

/// Pixels that are computed together, in blocks whose pixels lie close to each other.
struct Tile {
  int blocks = 0;
  alignas(64) std::array<float, tile_pixels> fast, slow;  ///< unused ones repeat a used one
  // Of each block: the middle, how far its pixels lie from it, how many it has
  alignas(64) std::array<double, tile_blocks> middle_fast, middle_slow, half_fast, half_slow;
  std::array<int, tile_blocks> pixels;
};

struct TileSums {
  alignas(64) std::array<float, tile_pixels> photons;
  alignas(64) std::array<double, tile_pixels> solid_angle;  ///< [sr], summed like the photons
  std::int64_t skipped = 0;                                 ///< steps
  bool anchored = false;  ///< phases relative to the middle of each block
};

enum class Lookup { constant, nearest, tricubic };

/// Computes a tile.
using Kernel = void (*)(const CpuPlan&, const Tile&, TileSums&);

struct KernelSet {
  const char* instruction_set;
  /// Shapes in single precision; phases in double or anchored.
  Kernel (*single)(CrystalShape, Lookup);
  /// Any plan, in double precision.
  Kernel (*wide)(CrystalShape, Lookup);
};

#define NABLA_KERNEL_SET(target) \
  namespace target {             \
  const KernelSet& kernel_set(); \
  }
NABLA_KERNEL_SET(N_AVX3)
NABLA_KERNEL_SET(N_AVX2)
NABLA_KERNEL_SET(N_SSE4)
NABLA_KERNEL_SET(N_SCALAR)
#undef NABLA_KERNEL_SET

}  // namespace nablabragg::engine
