#include "cli/progress_bar.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace nablabragg::cli {

ProgressBar::ProgressBar(double steps, bool enabled, const char* name_of_steps)
    : steps_(steps),
      name_of_steps_(name_of_steps),
      enabled_(enabled && isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::show(double share) {
  const auto now = Clock::now();
  if (!enabled_ || now - last_ < std::chrono::milliseconds(100) || share <= 0) return;
  last_ = now;
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  constexpr int width = 30;
  const auto filled = static_cast<std::size_t>(share * width);
  const std::string rate = steps_ > 0 ? fmt::format("{:.3g} {}/s  ", share * steps_ / seconds,
                                                    name_of_steps_)
                                      : std::string();
  const std::string line = fmt::format("\r\033[K[{:<{}}] {:3.0f} %  {}{:.0f} s left",
                                       std::string(filled, '='), width, share * 100, rate,
                                       seconds * (1 - share) / share);
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace nablabragg::cli
