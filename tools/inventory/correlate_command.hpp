// nablabragg-inventory correlate: an inventory and a profile together.
#pragma once
#include <ostream>
#include <string>
#include <vector>

namespace nablabragg::inventory {

/// Writes hot_loops.csv, correlation.md and backlog.md.  Throws UsageError for the words,
/// InputError and OutputError for files; 0 otherwise.
int correlate_command(const std::vector<std::string>& words, std::ostream& out);

}  // namespace nablabragg::inventory
