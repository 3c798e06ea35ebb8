// The table of subcommands: it calls them, and makes the usage, man pages and completion.
#pragma once
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "options/command.hpp"

namespace nablabragg::cli {

struct Subcommand {
  std::string_view name, takes;  ///< "show", "FILE [-o FILE.png]"
  std::string_view does;         ///< in some words
  /// Returns the exit code; null: this program was built without it.
  int (*run)(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);
  std::string_view left_out = {};  ///< which options of CMake build it
};

/// In the order in which they are listed.
std::span<const Subcommand> subcommands();

/// Null: there is none of that name.
const Subcommand* find_subcommand(std::string_view name);

/// What the subcommand says of itself; empty options where it was left out.
options::Command described(const Subcommand& subcommand);

/// The simulator's flags as those of a command.
options::Command described_simulator();

/// The names of detectors, each as one word: EIGER2-16M.
std::vector<std::string> detector_words();

/// True where the arguments ask for it: what the command takes was printed.
bool describe_if_asked(const std::vector<std::string>& arguments, const options::Command& command,
                       std::ostream& out);

}  // namespace nablabragg::cli
