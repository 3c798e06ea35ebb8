// The lines that say which of nanoBragg's quirks touch a run, and what each does to the image.
#pragma once
#include <string>
#include <vector>
#include "cli/request.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg::cli {

/// One sentence for each quirk that is reproduced, said, and changes this run.
std::vector<std::string> quirk_notices(const Request& request, const Resolved& resolved);

}  // namespace nablabragg::cli
