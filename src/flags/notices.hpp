// The lines that say which of nanoBragg's quirks touch a run, and what each does to the image.
#pragma once
#include <string>
#include <vector>
#include "flags/request.hpp"
#include "nablabragg/simulate.hpp"
#include "plan/plan.hpp"

namespace nablabragg::flags {

/// One sentence for each quirk that is reproduced, reported, and changes this run.
std::vector<std::string> quirk_notices(const Request& request, const Resolved& resolved);

/// The sentence about a lookup that left the table, found while the image was made.
std::string table_miss_notice(const Request& request, const Plan& plan, const TableMiss& miss);

/// Q-51, of what costly_oversampling() says.
std::string cost_notice(const std::string& cost);

}  // namespace nablabragg::flags
