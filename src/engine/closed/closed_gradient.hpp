// Derivatives of images in closed form: tiles -> adjoints of spots -> those of the plan.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>
#include "engine/closed/closed_kernels.hpp"

namespace nablabragg::engine {

/// Of the numbers that the light of a spot follows from.
struct ClosedSpotAdjoints {
  physics::GaussianSpot<double> spot{};
  Vec3d d;           ///< of q0 - g + offset, summed over its pixels
  double light = 0;  ///< of the logarithm of its amplitude
  bool lit = false;  ///< false: nothing was added
};

/// How they change along a tangent of the plan.
struct ClosedSpotTangent {
  physics::GaussianSpot<double> spot{};
  Vec3d d;               ///< of offset - g
  double amplitude = 0;  ///< of its logarithm
};
struct ClosedTangent {
  const Plan* plan = nullptr;
  std::vector<std::vector<ClosedSpotTangent>> panels;
};

/// Where the derivatives of a tile go.  Whoever calls a kernel has the memory: what it would
/// allocate itself would be code outside of its namespace.
struct ClosedSink {
  std::span<std::uint32_t> blocks;  ///< room for a number of each spot
  // In reverse
  Plan* adjoints = nullptr;             ///< panels, ray, polarization, background
  std::span<ClosedSpotAdjoints> spots;  ///< of each spot of the tile
  double value = 0;
  // Forwards, for each pixel of the tile
  std::span<const ClosedTangent> tangents;
  double* slopes = nullptr;  ///< a row of as many as there are tangents
  double* photons = nullptr;
};

/// A point of a panel with the adjoint of the direction in which it is seen.
struct SeenPoint {
  double x, y;  ///< [pixels]
  int layer;
  Vec3d direction;
};

/// `weights`: of the photons of each pixel in the loss.
using ClosedGradientKernel = void (*)(const ClosedPlan&, std::span<const std::uint32_t> spots,
                                      const Tile&, const std::array<double, tile_pixels>& weights,
                                      ClosedSink&);

struct ClosedGradientKernelSet {
  ClosedGradientKernel (*single)(const physics::SpotTerms&);
  ClosedGradientKernel (*wide)(const physics::SpotTerms&);
  /// Adds to the adjoints of a panel.
  void (*pull_back_points)(const Plan&, std::size_t panel, std::span<const SeenPoint>,
                           Plan& adjoints);
};

#define NABLA_CLOSED_GRADIENT_KERNEL_SET(target)               \
  namespace target {                                           \
  const ClosedGradientKernelSet& closed_gradient_kernel_set(); \
  }
NABLA_CLOSED_GRADIENT_KERNEL_SET(N_AVX3)
NABLA_CLOSED_GRADIENT_KERNEL_SET(N_AVX2)
NABLA_CLOSED_GRADIENT_KERNEL_SET(N_SSE4)
NABLA_CLOSED_GRADIENT_KERNEL_SET(N_SCALAR)
#undef NABLA_CLOSED_GRADIENT_KERNEL_SET

/// Adds to the gradient what follows from the adjoints of the spots of all panels: crystal, light,
/// structure factors, and panels by the boxes of their pixels.
void pull_back_spots(const ClosedPlan& plan,
                     const std::vector<std::vector<ClosedSpotAdjoints>>& spots,
                     const ClosedGradientKernelSet& kernels, const ComputeOptions& options,
                     PlanGradient& gradient);

/// Which spots of each panel are asked about.
using WantedSpots = std::vector<std::vector<char>>;

/// The tangent of spots along one of the plan; `table_tangent` may be null.
ClosedTangent tangent_of_spots(const ClosedPlan& plan, const WantedSpots& wanted,
                               const Plan& tangent, const StructureFactorGrid* table_tangent,
                               const ComputeOptions& options);

}  // namespace nablabragg::engine
