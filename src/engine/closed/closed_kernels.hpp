// Between the closed form and its kernels, which are compiled once for each instruction set.
#pragma once
#include <cstdint>
#include <span>
#include "engine/closed/closed_plan.hpp"
#include "engine/closed/closed_search.hpp"
#include "engine/cpu/kernels.hpp"  // for Tile, TileSums

namespace nablabragg::engine {

/// Adds up the spots with these numbers in the pixels of a tile; solid angles are left at zero.
using ClosedKernel = void (*)(const ClosedPlan&, std::span<const std::uint32_t> spots, const Tile&,
                              TileSums&);

/// The reflections of one index h, in the order of their indices; replaces what was found before.
using FindSpots = void (*)(const SpotSearch&, int h, ClosedPlan::Found&);

/// In single precision, and in double.
struct ClosedKernelSet {
  ClosedKernel (*single)(const physics::SpotTerms&);
  ClosedKernel (*wide)(const physics::SpotTerms&);
  FindSpots find_spots;
};

#define NABLA_CLOSED_KERNEL_SET(target)                          \
  namespace target {                                             \
  const ClosedKernelSet& closed_kernel_set();                    \
  void find_spots(const SpotSearch&, int h, ClosedPlan::Found&); \
  }
NABLA_CLOSED_KERNEL_SET(N_AVX3)
NABLA_CLOSED_KERNEL_SET(N_AVX2)
NABLA_CLOSED_KERNEL_SET(N_SSE4)
NABLA_CLOSED_KERNEL_SET(N_SCALAR)
#undef NABLA_CLOSED_KERNEL_SET

}  // namespace nablabragg::engine
