// A line on a terminal that shows how far the simulation is.
#pragma once
#include <chrono>

namespace nablabragg::cli {

class ProgressBar {
 public:
  /// `steps`: what all of it takes, whose rate is shown; 0: none.  Draws only when `enabled` and
  /// standard error is a terminal.
  ProgressBar(double steps, bool enabled, const char* name_of_steps = "steps");
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(double share);

 private:
  using Clock = std::chrono::steady_clock;
  double steps_;
  const char* name_of_steps_;
  bool enabled_, drawn_ = false;
  Clock::time_point start_, last_;
};

}  // namespace nablabragg::cli
