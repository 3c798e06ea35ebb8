// The derivatives of the cpu engine: tiles shared among threads, their adjoints added up in the
// order of the tiles, so that the bits of a gradient do not depend on the number of threads.
#pragma once
#include <array>
#include <span>
#include <vector>
#include "engine/cpu/tiles.hpp"

namespace nablabragg::engine {

class CpuDerivatives {
 public:
  /// All of them must outlive it.
  CpuDerivatives(const Plan& plan, const SingleTable& table, const InterpolationCutoff& cutoff,
                 const ComputeOptions& options);
  CpuDerivatives(const CpuDerivatives&) = delete;
  CpuDerivatives& operator=(const CpuDerivatives&) = delete;

  /// As those of Loaded.
  PlanGradient pull_back(const Pixels& pixels, std::span<const double> weights);
  void push_forward(const Pixels& pixels, std::span<const Plan* const> tangents,
                    const StructureFactorGrid* table_tangent, std::span<double> photons,
                    std::span<double> slopes);

 private:
  using Weights = std::array<double, tile_pixels>;
  struct LoadedPanel {
    CpuPlan plan;
    GradientKernel nearest, tricubic;
  };

  int tiles_per_batch() const;
  /// `keep` is called after each kernel.
  template <class Keep>
  void run(const Tile& tile, const Weights& weights, GradientSink& sink, Keep&& keep) const;

  const Plan plan_;
  const InterpolationCutoff& cutoff_;
  const ComputeOptions& options_;
  std::vector<LoadedPanel> panels_;
};

}  // namespace nablabragg::engine
