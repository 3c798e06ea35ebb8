// Ctrl-C and the other signals that end a run early.
#pragma once
#include <string>

namespace nablabragg::cli {

/// Called by main(): from now on such a signal stops the program within a second.
void watch_for_signals();

/// Whether one has come; what takes long looks and throws Cancelled.
bool interrupted();

/// What is said when one ends the run: that of a simulation, until a command sets its own; empty:
/// nothing.
void set_stop_sentence(const std::string& sentence);
std::string stop_sentence();

/// 128 and the number of the signal, as shells have it; that of Ctrl-C where none came.
int stop_exit_code();

/// Nobody reads what is printed; nothing is said about that.
bool reader_is_gone();

}  // namespace nablabragg::cli
