// What a command takes, as its man page, the shells' completion and its own help need it.
#pragma once
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Validator;
}  // namespace CLI

namespace nablabragg::options {

struct Option {
  std::vector<std::string> names = {};  ///< "--rings"; empty: an argument that its place tells
  std::string values = {};              ///< as shown: "FILE", "x y z"; empty: it takes none
  std::string help = {};
  std::string standard = {};            ///< what counts where it is not given
  std::vector<std::string> words = {};  ///< all that the value may be; empty: anything
  bool file = false;                    ///< the value may be the name of a file
  std::string group = {};               ///< the heading that it stands under
};

struct Command {
  std::string name;      ///< "nablabragg show"
  std::string synopsis;  ///< what follows the name: "FILE [-o FILE.png]"
  std::string summary;   ///< one sentence or more
  std::vector<Option> options;
  std::string footer = {};
};

/// From CLI11's own lists.
Command described(const CLI::App& app);

/// The only argument of a command that is to print to_json() of itself instead of doing anything.
inline constexpr std::string_view as_json = "--options-as-json";

std::string to_json(const Command& command);
Command command_from_json(const std::string& text);

/// usage, and a line or more for each option.
void write_usage(std::ostream& out, const Command& command);

/// "; did you mean --rings?", or " (nablabragg show --help shows those it has)": the end of a
/// sentence about an option that the command does not have.
std::string suggestion(const Command& command, std::string_view typed);

/// Checks of an option's number, in words: "--gain: must be above 0, and is -1".
CLI::Validator above_zero();
CLI::Validator not_negative();

/// Throws UsageError with one sentence, for an option that is not there with the one that is near,
/// and for numbers that are not finite; CLI::CallForHelp passes.
void parse(CLI::App& app, const std::vector<std::string>& arguments);

/// The words of a text in lines of so many characters.
std::vector<std::string> lines_of(std::string_view text, std::size_t width);

}  // namespace nablabragg::options
