// Which loops of a code base became vector instructions, what they cost and what to do about them.
#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <string_view>
#include <vector>

#include "inventory/commands.hpp"
#include "inventory/text.hpp"
#include "io/stop_signals.hpp"
#include "nablabragg/error.hpp"

namespace {

constexpr std::string_view
    stopped = "nablabragg-inventory: error: stopped before all files were written\n";

[[noreturn]] void end_process(int signal) {
  if (signal != SIGPIPE) static_cast<void>(!write(STDERR_FILENO, stopped.data(), stopped.size()));
  _exit(128 + signal);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace nablabragg;
  using namespace nablabragg::inventory;
  io::watch_stop_signals(end_process);
  const auto fail = [](ExitCode code, const std::exception& error) {
    // What fails then fails because its child was stopped
    if (const int signal = io::stop_signal()) end_process(signal);
    std::cout.flush();
    constexpr std::size_t longest = 1000;
    std::cerr << "nablabragg-inventory: error: " << one_line(error.what(), longest) << '\n';
    return code;
  };
  try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const bool correlate = !arguments.empty() && arguments[0] == "correlate";
    const int code = correlate
                         ? correlate_command({arguments.begin() + 1, arguments.end()}, std::cout)
                         : inventory_command(arguments, std::cout, std::cerr);
    std::cout.flush();
    if (!std::cout) throw OutputError("standard output could not be written");
    return code;
  } catch (const UsageError& error) {
    return fail(usage_error, error);
  } catch (const std::exception& error) {
    return fail(not_parsed, error);
  }
}
