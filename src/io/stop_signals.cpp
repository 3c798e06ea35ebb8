#include "io/stop_signals.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

#include "io/temporary_files.hpp"

namespace nablabragg::io {

namespace {

constexpr int patience_ms = 700;

// All that the handler touches
std::atomic<int> first_signal = 0;
std::array<std::atomic<pid_t>, 256> children{};
std::array<int, 2> wake{-1, -1};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free);

void signal_children(int signal) {
  for (const std::atomic<pid_t>& child : children)
    if (const pid_t process = child.load(); process > 0) kill(process, signal);
}

void handle(int signal) {
  const int error = errno;
  int none = 0;
  const bool first = first_signal.compare_exchange_strong(none, signal);
  if (first) signal_children(SIGTERM);
  if (first || signal == SIGINT) static_cast<void>(!write(wake[1], "", 1));
  errno = error;
}

void wait_and_end(void (*end)(int)) {
  pollfd woken{wake[0], POLLIN, 0};
  const auto wait = [&](int milliseconds) {
    char byte = 0;
    if (poll(&woken, 1, milliseconds) > 0) return read(wake[0], &byte, 1) == 1;
    return false;
  };
  while (!wait(-1)) {
  }
  wait(patience_ms);  // or until the second Ctrl-C
  signal_children(SIGKILL);
  remove_temporary_files();
  end(first_signal);
}

}  // namespace

int stop_signal() { return first_signal; }

void watch_stop_signals(void (*end)(int signal)) {
  if (pipe2(wake.data(), O_CLOEXEC | O_NONBLOCK) != 0) return;  // signals end it as ever
  // Signals are for the other threads: a wait that one of them interrupts would not last.
  sigset_t all, usual;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &usual);
  bool watched = true;
  try {
    std::thread(wait_and_end, end).detach();
  } catch (const std::system_error&) {
    watched = false;
  }
  pthread_sigmask(SIG_SETMASK, &usual, nullptr);
  if (!watched) return;
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    // As nohup wants it.  But shells let a script's background jobs ignore SIGINT, which would take
    // kill -INT away from them.
    if (before.sa_handler == SIG_IGN && signal != SIGINT) continue;
    sigaction(signal, &action, nullptr);
  }
}

StoppableChild::StoppableChild(pid_t process) {
  for (std::size_t i = 0; i < children.size() && slot_ < 0; ++i) {
    pid_t none = 0;
    if (children.at(i).compare_exchange_strong(none, process)) slot_ = static_cast<int>(i);
  }
  // The signal may have come between the child's start and this.
  if (stop_signal() != 0) kill(process, SIGTERM);
}

StoppableChild::~StoppableChild() {
  if (slot_ >= 0) children.at(static_cast<std::size_t>(slot_)) = 0;
}

}  // namespace nablabragg::io
