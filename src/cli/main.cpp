#include <iostream>

#include "cli/commands.hpp"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  nablabragg::cli::install_interrupt_handler();
  return nablabragg::cli::run({argv + 1, argv + argc}, std::cout, std::cerr);
}
