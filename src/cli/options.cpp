#include "cli/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/subcommands.hpp"
#include "flags/flags.hpp"
#include "nablabragg/error.hpp"
#include "options/command.hpp"

namespace nablabragg::cli {

namespace {

/// CLI11 would read -hkl as -h -k -l, which is a question for help.
void refuse_single_dashes(const CLI::App& app, const std::vector<std::string>& arguments) {
  for (const std::string& word : arguments) {
    if (word == "--") return;
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
      throw UsageError(app.get_name() + " has no option " + name +
                       options::suggestion(options::described(app), name));
  }
}

}  // namespace

bool parse_options(CLI::App& app, const std::vector<std::string>& arguments, std::ostream& out) {
  app.set_help_flag("-h,--help", "this text");
  if (describe_if_asked(arguments, options::described(app), out)) return false;
  // -help is a flag of the simulator, and would be read as -h -e -l -p
  if (std::find(arguments.begin(), arguments.end(), "-help") != arguments.end()) {
    out << app.help();
    return false;
  }
  refuse_single_dashes(app, arguments);
  try {
    options::parse(app, arguments);
  } catch (const CLI::CallForHelp&) {
    out << app.help();
    return false;
  }
  return true;
}

}  // namespace nablabragg::cli
