// Plan -> pixels.  An engine knows no flags, no files and no units.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include "nablabragg/simulate.hpp"  // for ComputeOptions, TableMiss
#include "plan/plan.hpp"

namespace nablabragg::engine {

struct Report {
  double solid_angle_sum = 0;  ///< over visited pixels, layers and sub-pixels [sr]
  std::optional<TableMiss> miss;
  EngineUsed used;
};

/// How many lookups of a pixel interpolate, given the first miss of the whole image.
std::int64_t interpolating_lookups(const Plan& plan, const std::optional<TableMiss>& miss, int fast,
                                   int slow);

/// Double precision and plain loops; the same bits for any number of threads.
/// `pixels` holds fast_pixels x slow_pixels values, zero on entry; pixels outside the region of
/// interest or masked out are left as they are.  Throws Cancelled.
Report render_reference(const Plan& plan, std::span<float> pixels, const ComputeOptions& control);

}  // namespace nablabragg::engine
