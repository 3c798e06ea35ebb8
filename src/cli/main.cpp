#include <iostream>

#include "cli/commands.hpp"
#include "cli/stopping.hpp"
#include "io/hdf5_exit.hpp"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  nablabragg::cli::watch_for_signals();
  nablabragg::io::leave_hdf5_at_exit();
  return nablabragg::cli::run({argv + 1, argv + argc}, std::cout, std::cerr);
}
