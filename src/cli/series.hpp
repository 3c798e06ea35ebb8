// Simulations of several images: a scan (-images) or stills (-orientations).
#pragma once
#include <ostream>
#include <string>
#include <vector>
#include "flags/request.hpp"
#include "nablabragg/series.hpp"

namespace nablabragg::cli {

/// Makes them, each with files of its own (sweep_####.cbf) or all in one (sweep.nxs), and goes on
/// with an interrupted run (-continue).
void simulate_series(flags::Request request, const std::vector<std::string>& arguments,
                     std::ostream& out, std::ostream& err);

/// The images of a request that has its inputs and asks for several.
Series requested_series(const flags::Request& request);

/// Throws UsageError for names and flags that only a series has.
void check_names_of_one_image(const flags::Request& request);

}  // namespace nablabragg::cli
