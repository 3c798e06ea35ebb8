// Completion of a program's command lines in bash, zsh and fish.
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "options/command.hpp"

namespace nablabragg::options {

/// Its flags, which may also stand behind the -- of a subcommand, and its subcommands.
struct Program {
  Command flags;
  std::vector<Command> subcommands;
};

void write_bash_completion(std::ostream& out, const Program& program);
void write_zsh_completion(std::ostream& out, const Program& program);
void write_fish_completion(std::ostream& out, const Program& program);

}  // namespace nablabragg::options
