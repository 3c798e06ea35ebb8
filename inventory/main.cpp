// Which loops of a code base became vector instructions, what they cost and what to do about them.
#include <exception>
#include <iostream>
#include <vector>

#include "inventory/commands.hpp"
#include "nablabragg/error.hpp"

int main(int argc, char** argv) {
  using namespace nablabragg;
  using namespace nablabragg::inventory;
  const auto fail = [](ExitCode code, const std::exception& error) {
    std::cout.flush();
    std::cerr << "nablabragg-inventory: error: " << error.what() << '\n';
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
