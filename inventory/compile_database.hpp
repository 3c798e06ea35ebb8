// The commands that a build compiles its files with: compile_commands.json.
#pragma once
#include <string>
#include <vector>

namespace nablabragg::inventory {

struct CompileCommand {
  std::string directory;
  std::string file;                    ///< absolute
  std::vector<std::string> arguments;  ///< the compiler first
  std::string object;                  ///< what -o names, absolute; empty: nothing
};

/// Throws InputError when the build folder has no such file or it cannot be read.
std::vector<CompileCommand> read_compile_database(const std::string& build);

/// The arguments without the compiler, -c, -o FILE, dependency files, records of the optimizer and
/// the source itself.
std::vector<std::string> flags_of(const CompileCommand& command);

/// What tells another compiler that a .c file is C, or C++ where g++ or clang++ compiles it;
/// nothing for files of other names, or where the flags say it.
std::vector<std::string> language_flags(const CompileCommand& command);

/// The command of one file for each set of flags: a file compiled twice alike is read once.
std::vector<CompileCommand> commands_of_package(const std::vector<CompileCommand>& all,
                                                const std::vector<std::string>& folders);

/// Is the file in one of the folders?  All absolute.
bool lies_in(const std::string& file, const std::vector<std::string>& folders);

}  // namespace nablabragg::inventory
