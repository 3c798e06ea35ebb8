#include "cli/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "nablabragg/error.hpp"

namespace nablabragg::cli {

bool parse_options(CLI::App& app, const std::vector<std::string>& arguments, std::ostream& out) {
  app.set_help_flag("-h,--help", "this text");
  // -help is a flag of the simulator, and would be read as -h -e -l -p
  if (std::find(arguments.begin(), arguments.end(), "-help") != arguments.end()) {
    out << app.help();
    return false;
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    out << app.help();
    return false;
  } catch (const CLI::ParseError& error) {
    throw UsageError(std::string(error.what()) + " (" + app.get_name() + " --help shows how)");
  }
  return true;
}

}  // namespace nablabragg::cli
