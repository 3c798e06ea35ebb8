// What nablabragg-inventory can do, each with the arguments after its name.
#pragma once
#include <ostream>
#include <string>
#include <vector>

namespace nablabragg::inventory {

/// Exit codes that scripts branch on.
enum ExitCode { done = 0, usage_error = 1, not_parsed = 2, refused = 3 };

/// Writes loop_inventory.json, loop_inventory.md, commands.txt and env.json, with --compare also
/// changes.md.  Returns `refused` for what --fail-on names.  A source that cannot be read, or
/// not by one of the compilers, is named on `err` and in the files.  Throws UsageError for the
/// arguments, InputError where no source or not the compilation database can be read, OutputError.
int inventory_command(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err);

/// Writes hot_loops.csv, correlation.md and backlog.md.  Throws UsageError for the arguments,
/// InputError and OutputError for files; `done` otherwise.
int correlate_command(const std::vector<std::string>& arguments, std::ostream& out);

}  // namespace nablabragg::inventory
