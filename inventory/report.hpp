// An inventory for people: loop_inventory.md.
#pragma once
#include <string>

#include "inventory/inventory.hpp"

namespace nablabragg::inventory {

/// Counts by module and class, then a table of all loops.  Markdown, ASCII only.
std::string to_markdown(const Inventory& inventory);

/// "12 vectorized, 3 cold, 1 todo, 0 uncertain"
std::string counts_by_class(const Inventory& inventory);

}  // namespace nablabragg::inventory
