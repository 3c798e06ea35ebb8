// One pixel explained: every factor of every step.
#pragma once
#include <optional>
#include <ostream>
#include "api/response_steps.hpp"
#include "flags/request.hpp"
#include "nablabragg/simulate.hpp"
#include "plan/plan.hpp"

namespace nablabragg::cli {

/// Throws UsageError when a pixel to explain is not on the detector.
void check_pixels(const flags::Request& request, const Plan& plan);

/// -trace_pixel: an aligned table or JSON.  `recorded` is what the detector makes of the pixel,
/// where it has a response (-response).
void print_trace(std::ostream& out, const flags::Request& request, const Plan& plan,
                 const std::optional<TableMiss>& miss,
                 const std::optional<RecordedPixel>& recorded);

/// -printout: the last step of every visited pixel, or of one.
void print_pixels(std::ostream& out, const flags::Request& request, const Plan& plan,
                  const std::optional<TableMiss>& miss);

}  // namespace nablabragg::cli
