// Plan -> pixels.  An engine knows no flags, no files and no units.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include "nablabragg/simulate.hpp"  // for TableMiss
#include "plan/plan.hpp"

namespace nablabragg::engine {

struct Control {
  int threads = 0;  ///< 0: as many as the machine has
  /// Called now and then with the share of the work that is done; returning false stops the engine.
  std::function<bool(double)> progress;
};

struct Report {
  double solid_angle_sum = 0;  ///< over visited pixels, layers and sub-pixels [sr]
  std::optional<TableMiss> miss;
};

/// How many lookups of a pixel interpolate, given the first miss of the whole image.
std::int64_t interpolating_lookups(const Plan& plan, const std::optional<TableMiss>& miss, int fast,
                                   int slow);

/// Double precision and plain loops; the same bits for any number of threads.
/// `pixels` holds fast_pixels x slow_pixels values, zero on entry; pixels outside the region of
/// interest or masked out are left as they are.  Throws Cancelled.
Report render_reference(const Plan& plan, std::span<float> pixels, const Control& control);

}  // namespace nablabragg::engine
