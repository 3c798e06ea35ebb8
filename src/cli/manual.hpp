// Man pages and completion of this program, from its table of flags and its subcommands' options.
#pragma once
#include <ostream>
#include <string>

namespace nablabragg::cli {

/// The man page of a subcommand; empty: of the program.
void write_manual(std::ostream& out, const std::string& subcommand);

/// `shell`: bash, zsh or fish; throws UsageError for others.
void write_completion(std::ostream& out, const std::string& shell);

/// All of them below a folder, where /usr/share or ~/.local/share has them.
void write_pages(std::ostream& out, const std::string& folder);

}  // namespace nablabragg::cli
