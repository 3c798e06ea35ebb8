// Plan -> pixels.  An engine knows no flags, no files and no units.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/simulate.hpp"  // for ComputeOptions, TableMiss
#include "plan/plan.hpp"

namespace nablabragg::engine {

struct Report {
  double solid_angle_sum = 0;  ///< over visited pixels, layers and sub-pixels [sr]
  std::optional<TableMiss> miss;
  EngineUsed used;
};

/// The first lookup, in raster order, that asks for a neighbourhood which is not in the table.
std::optional<TableMiss> find_first_miss(const Plan& plan);

/// How many lookups of a pixel interpolate, given the first miss of the whole image.
std::int64_t interpolating_lookups(const Plan& plan, const std::optional<TableMiss>& miss, int fast,
                                   int slow);

/// Sub-pixels x layers x rays x orientations.
inline std::int64_t steps_of_pixel(const Plan& plan, const PlanPanel& panel) {
  return static_cast<std::int64_t>(plan.light.rays.size() * plan.lattice.orientations.size()) *
         plan.oversample * plan.oversample * panel.sensor.layers;
}

/// Double precision and plain loops; the same bits for any number of threads.
/// `pixels` holds fast_pixels x slow_pixels values, zero on entry; pixels outside the region of
/// interest or masked out are left as they are.  Throws Cancelled.
Report render_reference(const Plan& plan, std::span<float> pixels, const ComputeOptions& options);

/// What NABLABRAGG_TARGET may name on this machine, best first: avx512, avx2, sse4, scalar.
std::vector<std::string> instruction_sets();

/// SIMD lanes and tiles, in the precision that `options` names; the same bits for any number of
/// threads.  `pixels`, of float or double, as above.  Throws Cancelled, and UsageError when the
/// environment's NABLABRAGG_TARGET names no instruction set of this processor.
template <class Number>
Report render_cpu(const Plan& plan, std::span<Number> pixels, const ComputeOptions& options);

/// The listed pixels alone, wherever the region of interest and the mask are: one value for each.
template <class Number>
Report render_cpu(const Plan& plan, std::span<const PixelIndex> list, std::span<Number> values,
                  const ComputeOptions& options);

/// Of sum(weights x photons): the value, and its derivative with respect to every number of the
/// plan.
struct PlanGradient {
  double value = 0;
  Plan bars;  ///< each number is the derivative with respect to that number of the plan
  std::shared_ptr<StructureFactorGrid> table;  ///< with respect to F; empty without a table
};

/// One weight for each pixel of the image or of the list.  The same bits for any number of threads.
/// The plan must have no factor that multiplies a running sum.  Throws as render_cpu().
PlanGradient pull_back_cpu(const Plan& plan, std::span<const double> weights,
                           const ComputeOptions& options);
PlanGradient pull_back_cpu(const Plan& plan, std::span<const PixelIndex> list,
                           std::span<const double> weights, const ComputeOptions& options);

/// The photons of listed pixels, and their change along each tangent of the plan: slopes has a row
/// of as many numbers as there are tangents for each pixel.  `table_tangent`, which may be null,
/// belongs to the last tangent.  `photons` and `slopes` are zero on entry.
void push_forward_cpu(const Plan& plan, std::span<const Plan* const> tangents,
                      const StructureFactorGrid* table_tangent, std::span<const PixelIndex> list,
                      std::span<double> photons, std::span<double> slopes,
                      const ComputeOptions& options);

}  // namespace nablabragg::engine
