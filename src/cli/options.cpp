#include "cli/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "flags/flags.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::cli {

namespace {

/// CLI11 would read -hkl as -h -k -l, which is a question for help.
void refuse_single_dashes(const CLI::App& app, const std::vector<std::string>& arguments) {
  for (const std::string& word : arguments) {
    const std::string name = word.substr(0, word.find('='));
    if (!word.starts_with('-') || word == "-h" || word == "-" || flags::is_number(word) ||
        app.get_option_no_throw(name))
      continue;
    if (!name.starts_with("--") && app.get_option_no_throw('-' + name))
      throw UsageError(name + " takes two dashes in " + app.get_name() + ": -" + name);
    if (flags::find_flag(word))
      throw UsageError(word + " is a flag of the simulator; such flags stand behind --: " +
                       app.get_name() + " [options] -- " + word + " ...");
    if (!name.starts_with("--"))
      throw UsageError(app.get_name() + " has no option " + name + " (" + app.get_name() +
                       " --help shows those it has)");
  }
}

}  // namespace

bool parse_options(CLI::App& app, const std::vector<std::string>& arguments, std::ostream& out) {
  app.set_help_flag("-h,--help", "this text");
  // -help is a flag of the simulator, and would be read as -h -e -l -p
  if (std::find(arguments.begin(), arguments.end(), "-help") != arguments.end()) {
    out << app.help();
    return false;
  }
  refuse_single_dashes(app, arguments);
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
