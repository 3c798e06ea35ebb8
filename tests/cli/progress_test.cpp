// The progress bar, seen as a terminal sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// What a run of about a second, with these flags added, writes to its terminal.
std::string on_a_terminal(const std::string& more) {
  const TempDir folder;
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    const std::string line = std::string("cd '") + (folder / "") +
                             "' && exec '" NABLA_PROGRAM
                             "' -corrected -cell 100 -default_F 100 -N 5 -detpixels 512 "
                             "-oversample 3 -mosaic 1 -mosaic_domains 25 -engine reference " +
                             more;
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(127);
  }
  std::string seen;
  std::array<char, 4096> bytes{};
  // Reading from a terminal whose other end is gone fails; that is the end.
  for (ssize_t n; (n = read(terminal, bytes.data(), bytes.size())) > 0;)
    seen.append(bytes.data(), static_cast<std::size_t>(n));
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << seen;
  return seen;
}

TEST(ProgressBar, OnATerminalShowsTheShareTheRateAndTheTimeLeft) {
  const std::string seen = on_a_terminal("");
  EXPECT_THAT(seen, HasSubstr(" %  "));
  EXPECT_THAT(seen, HasSubstr(" s left"));
}

TEST(ProgressBar, IsOffWhereItIsNotWanted) {
  EXPECT_THAT(on_a_terminal("-noprogress"), Not(HasSubstr(" s left")));
}

}  // namespace
}  // namespace nablabragg::test
