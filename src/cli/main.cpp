#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

#include "cli/commands.hpp"
#include "cli/stopping.hpp"
#include "io/hdf5_exit.hpp"

namespace {

/// The next file to be opened would be given the descriptor of a stream that is closed, and take in
/// what is printed.  Reading and writing fail, as they would without.
void hold_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) == -1 && errno == EBADF)
      static_cast<void>(open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY));
}

}  // namespace

int main(int argc, char** argv) {
  hold_closed_streams();
  std::ios::sync_with_stdio(false);
  nablabragg::cli::watch_for_signals();
  nablabragg::io::leave_hdf5_at_exit();
  return nablabragg::cli::run({argv + 1, argv + argc}, std::cout, std::cerr);
}
