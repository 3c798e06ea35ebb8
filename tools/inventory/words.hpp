// What the words of a loop's header tell.
#pragma once
#include <string>

#include "inventory.hpp"

namespace nablabragg::inventory {

/// What a loop goes over, by the words of its header and, where these tell nothing, the name of
/// its function.
Driver driver_of(const std::string& header, const std::string& function);

/// Blanks and line ends become one blank; what is no ASCII becomes '?'; at most `limit` characters.
std::string one_line(const std::string& text, std::size_t limit = 120);

}  // namespace nablabragg::inventory
