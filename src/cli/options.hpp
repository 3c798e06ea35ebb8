// Long options of the subcommands; nanoBragg's flags are read elsewhere (flags.hpp).
#pragma once
#include <ostream>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace nablabragg::cli {

/// False when help was asked for, and printed, or what the command takes as JSON.  Throws
/// UsageError, also for a flag of the simulator, whose place is behind --.
bool parse_options(CLI::App& app, const std::vector<std::string>& arguments, std::ostream& out);

}  // namespace nablabragg::cli
