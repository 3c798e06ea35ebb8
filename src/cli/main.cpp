#include <iostream>

#include "cli/commands.hpp"
#include "cli/stopping.hpp"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  nablabragg::cli::watch_for_signals();
  return nablabragg::cli::run({argv + 1, argv + argc}, std::cout, std::cerr);
}
