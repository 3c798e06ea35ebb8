// Runs another program to its end and says how long it took and how much memory it needed.
#pragma once
#include <cstdint>
#include <string>
#include <utility>  // for std::pair
#include <vector>

namespace nablabragg::instruments {

struct ChildCommand {
  std::vector<std::string> arguments;  ///< the program first; a bare name is looked for in PATH
  std::string directory;               ///< where it runs
  std::string out_file, err_file;      ///< what it prints, in `directory`; empty: thrown away
  std::vector<std::pair<std::string, std::string>> environment;  ///< in addition to the caller's
                                                                 ///< own
};

struct ChildOutcome {
  int exit_code = 0;       ///< 128 + its number for a signal
  double seconds = 0;      ///< from before it was started until it had ended
  double cpu_seconds = 0;  ///< user and system, all threads
  /// Resident.  Linux counts the memory of the caller at the moment of the start as well, so
  /// a child smaller than the caller shows the caller's size.
  std::int64_t peak_bytes = 0;
};

/// A signal that stops this program stops the child (io/stop_signals.hpp).
/// Throws InputError when the program cannot be started, OutputError when `out_file` or `err_file`
/// cannot be made.
ChildOutcome run_child(const ChildCommand& command);

/// The arguments, quoted where a shell would need it.
std::string quoted(const std::vector<std::string>& arguments);

/// What to type for the same run: "cd DIR && NAME=value PROGRAM ARGUMENTS".
std::string shell_line(const ChildCommand& command);

/// A name with a slash becomes absolute, since the child runs elsewhere; a bare name is left to
/// PATH.
std::string resolved_program(const std::string& name);

/// The program that is running.
std::string own_program();

/// The last line of a text file that is not blank; empty when there is none or no such file.
std::string last_line(const std::string& path);

}  // namespace nablabragg::instruments
