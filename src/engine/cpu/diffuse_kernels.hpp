// Between the driver of diffuse scattering and its kernels, which are compiled once for each
// instruction set.
#pragma once
#include <array>
#include <span>
#include <vector>
#include "engine/cpu/gradient_kernels.hpp"
#include "engine/cpu/halo_table.hpp"
#include "engine/diffuse_sum.hpp"

namespace nablabragg::engine {

/// What the kernels sum.
struct DiffuseLight {
  const Plan* plan;  ///< of the lattice whose cells scatter
  const PlanDiffuse* diffuse;
  DiffuseView tables;
  // In mixed precision
  const HaloTable* halos = nullptr;  ///< null: all orders, in double precision
  const float* F2 = nullptr;         ///< as tables.F2 has it
};

/// A direction in the space of plans.
struct DiffuseTangent {
  const Plan* plan;
  const double* F2;      ///< changes of the table of |F|^2; null: none
  const double* shells;  ///< and of its means
};

/// What becomes of the derivatives of a tile's pixels.
struct DiffuseSink {
  // In reverse, added to
  Plan* adjoints = nullptr;  ///< null: forwards
  double value = 0;
  TableAdjoints F2;
  std::vector<double> shells;

  // Forwards, added to
  std::span<const DiffuseTangent> tangents;
  double* slopes = nullptr;  ///< tile_pixels x tangents
  alignas(64) std::array<double, tile_pixels> photons{};
};

/// Photons of the pixels of a tile.
using DiffuseKernel = void (*)(const DiffuseLight&, const Tile&, double* photons);
/// Their derivatives, in double precision; pixels of a weight of zero may be left out.
using DiffuseGradientKernel = void (*)(const DiffuseLight&, const Tile&,
                                       const std::array<double, tile_pixels>& weights,
                                       DiffuseSink&);

}  // namespace nablabragg::engine
