// What nablabragg-inventory can do, each with the words behind its name.
#pragma once
#include <ostream>
#include <string>
#include <vector>

namespace nablabragg::inventory {

/// Exit codes that scripts branch on.
enum ExitCode { done = 0, usage_error = 1, not_parsed = 2, refused = 3 };

/// A source, record or profile that cannot be read is an InputError; `refused` is what --fail-on
/// asked for.
int inventory_command(const std::vector<std::string>& words, std::ostream& out, std::ostream& err);

}  // namespace nablabragg::inventory
