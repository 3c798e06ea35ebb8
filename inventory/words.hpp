// What the words of a loop's header say.
#pragma once
#include <string>

#include "inventory/inventory.hpp"

namespace nablabragg::inventory {

/// What a loop goes over, by the words of its header and, where these say nothing, the name of
/// its function.
Driver driver_of(const std::string& header, const std::string& function);

}  // namespace nablabragg::inventory
