// What asks the program to end before it is done: Ctrl-C, SIGTERM, SIGHUP, and a pipe that nobody
// reads any more.
#pragma once
#include <sys/types.h>  // for pid_t

namespace nablabragg::io {

/// The first of these signals; 0 where none has come.  What takes longer than half a second looks
/// at it from time to time and throws Cancelled.
int stop_signal();

/// From now on they are watched for.  Work that looks at stop_signal() has most of a second to come
/// to its end.  What does not, because it waits for a file or another process or has not looked, is
/// ended: children are killed, temporary files removed, and `end` is called from a thread of its
/// own; it must end the process.  The second Ctrl-C does so at once.  Only for programs, once.
void watch_stop_signals(void (*end)(int signal));

/// A child process, which gets SIGTERM when the program is asked to stop.
class StoppableChild {
 public:
  explicit StoppableChild(pid_t process);
  StoppableChild(const StoppableChild&) = delete;
  StoppableChild& operator=(const StoppableChild&) = delete;
  /// To be called after the child has ended and before its number can be another process's.
  ~StoppableChild();

 private:
  int slot_ = -1;
};

}  // namespace nablabragg::io
