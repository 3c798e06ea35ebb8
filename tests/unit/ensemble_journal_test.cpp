// The journal of an ensemble on file systems as clusters have them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "ensemble/shard_journal.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace {
int error_of_flock = 0;
}

/// In place of the system's, which it calls where no error is asked for.
extern "C" int flock(int file, int operation) noexcept;
extern "C" int flock(int file, int operation) noexcept {
  if (error_of_flock == 0) return static_cast<int>(syscall(SYS_flock, file, operation));
  errno = error_of_flock;
  return -1;
}

namespace nablabragg::ensemble {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(JournalFile, IsOneRunsAtATime) {
  const test::TempDir folder;
  const EnsembleRun run{folder.path(), "checksum", "date", 2};
  const JournalFile first(run, name_of_journal, 0, 1);
  EXPECT_THAT(test::message_of<UsageError>([&] { JournalFile(run, name_of_journal, 0, 1); }),
              HasSubstr("another run is at work in " + run.folder));
}

TEST(JournalFile, NeedsAFileSystemThatHasLocksAndSaysSo) {
  const test::TempDir folder;
  const EnsembleRun run{folder.path(), "checksum", "date", 2};
  error_of_flock = ENOSYS;  // as Lustre has it where it is mounted without flock
  const std::string message = test::message_of<OutputError>(
      [&] { JournalFile(run, name_of_journal, 0, 1); });
  error_of_flock = 0;
  EXPECT_THAT(message, AllOf(HasSubstr("cannot lock " + run.folder +
                                       "/journal.jsonl: Function not "
                                       "implemented"),
                             HasSubstr("mounted with -o flock")));
  JournalFile(run, name_of_journal, 0, 1);
}

TEST(JournalFile, OfAnotherRevisionOfTheShotsIsRefused) {
  const test::TempDir folder;
  EnsembleRun run{folder.path(), "checksum", "date", 2};
  JournalFile(run, name_of_journal, 0, 1);
  run.revision = 3;
  EXPECT_THAT(
      test::message_of<InputError>([&] { JournalFile(run, name_of_journal, 0, 1); }),
      AllOf(HasSubstr("was begun by another build"), HasSubstr("revision 2, and this is 3")));
  run.revision = 2;
  JournalFile(run, name_of_journal, 0, 1);
}

}  // namespace
}  // namespace nablabragg::ensemble
