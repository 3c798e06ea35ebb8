// -profile: where the time of a run went, as a trace in Chrome's format, which Perfetto and
// chrome://tracing open.
#pragma once
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>
#include "nablabragg/simulate.hpp"  // for WorkSpan

namespace nablabragg::cli {

/// Only remembers while the run goes on; the text is made at the end.
class Profile {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  /// The calling thread is the one named "main"; `start` is the trace's time 0.
  explicit Profile(Time start);

  /// What the calling thread did between two moments.  Returns the span's number.
  std::size_t add_span(std::string name, Time begin, Time end);
  void end_span(std::size_t span);
  /// Tiles, from the thread that computed them.
  void add_work(const WorkSpan& tile);
  /// When the last tile ended; nothing when there was none.
  std::optional<Time> last_work() const;

  std::string json() const;

 private:
  struct Span {
    std::string name;
    int thread;
    Time begin, end;
  };
  struct Tile {
    WorkSpan work;
    int thread;
  };
  int number_of_this_thread();

  const Time start_;
  mutable std::mutex mutex_;
  std::map<std::thread::id, int> threads_;
  std::vector<Span> spans_;
  std::vector<Tile> tiles_;
};

/// A span from here to the end of the scope.  Without a profile it does nothing.
class Stage {
 public:
  Stage(Profile* profile, const char* name, const std::string& object = {});
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage();

 private:
  Profile* profile_;
  std::size_t span_ = 0;
};

}  // namespace nablabragg::cli
