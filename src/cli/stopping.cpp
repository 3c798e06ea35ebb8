#include "cli/stopping.hpp"

#include <unistd.h>

#include <csignal>
#include <mutex>

#include "io/stop_signals.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::cli {

namespace {

std::mutex sentence_mutex;
std::string& sentence() {
  static auto* const text = new std::string(Cancelled().what());  // outlives main()
  return *text;
}

[[noreturn]] void end_process(int) {
  if (!reader_is_gone() && !stop_sentence().empty()) {
    std::string text = isatty(STDERR_FILENO) != 0 ? "\r\033[K" : "";
    text += "nablabragg: error: " + stop_sentence() + '\n';
    static_cast<void>(!write(STDERR_FILENO, text.data(), text.size()));
  }
  _exit(stop_exit_code());
}

}  // namespace

void watch_for_signals() { io::watch_stop_signals(end_process); }

bool interrupted() { return io::stop_signal() != 0; }

void set_stop_sentence(const std::string& text) {
  const std::scoped_lock lock(sentence_mutex);
  sentence() = text;
}

std::string stop_sentence() {
  const std::scoped_lock lock(sentence_mutex);
  return sentence();
}

int stop_exit_code() { return 128 + (interrupted() ? io::stop_signal() : SIGINT); }

bool reader_is_gone() { return io::stop_signal() == SIGPIPE; }

}  // namespace nablabragg::cli
