#include "cli/profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace nablabragg::cli {

namespace {

constexpr int process = 1, main_thread = 1;

double microseconds(Profile::Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

/// File names may hold anything; what is no UTF-8 is replaced.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// An event with the moment at which it stands in the file.
struct Event {
  double at, duration;
  std::string text;
};

Event complete(const std::string& name, int thread, double at, double duration,
               const std::string& args = "{}") {
  return {at, duration,
          fmt::format(R"({{"name":{},"ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},)"
                      R"("args":{}}})",
                      quoted(name), process, thread, at, duration, args)};
}

Event counter(const char* name, double at, double value) {
  return {
      at, 0,
      fmt::format(R"({{"name":"{0}","ph":"C","pid":{1},"ts":{2:.3f},"args":{{"{0}":{3:.6g}}}}})",
                  name, process, at, value)};
}

}  // namespace

Profile::Profile(Time start) : start_(start) { number_of_this_thread(); }

int Profile::number_of_this_thread() {
  const int next = static_cast<int>(threads_.size()) + main_thread;
  return threads_.try_emplace(std::this_thread::get_id(), next).first->second;
}

std::size_t Profile::add_span(std::string name, Time begin, Time end) {
  const std::scoped_lock lock(mutex_);
  spans_.push_back({std::move(name), number_of_this_thread(), begin, end});
  return spans_.size() - 1;
}

void Profile::end_span(std::size_t span) {
  const Time now = Clock::now();
  const std::scoped_lock lock(mutex_);
  spans_[span].end = now;
}

void Profile::add_work(const WorkSpan& tile) {
  const std::scoped_lock lock(mutex_);
  tiles_.push_back({tile, number_of_this_thread()});
}

std::optional<Profile::Time> Profile::last_work() const {
  const std::scoped_lock lock(mutex_);
  std::optional<Time> last;
  for (const Tile& tile : tiles_) last = std::max(last.value_or(tile.work.end), tile.work.end);
  return last;
}

std::string Profile::json() const {
  const std::scoped_lock lock(mutex_);
  std::vector<Event> events;
  events.reserve(spans_.size() + tiles_.size());
  for (const Span& s : spans_)
    events.push_back(
        complete(s.name, s.thread, microseconds(s.begin - start_), microseconds(s.end - s.begin)));

  double first = 0, last = 0;
  for (const auto& [work, thread] : tiles_) {
    const double at = microseconds(work.begin - start_),
                 duration = microseconds(work.end - work.begin);
    first = events.size() == spans_.size() ? at : std::min(first, at);
    last = std::max(last, at + duration);
    events.push_back(
        complete("tiles", thread, at, duration,
                 fmt::format(R"({{"steps":{},"skipped":{}}})", work.steps, work.skipped)));
  }

  // Steps spread evenly over the time that their tiles took
  if (last > first) {
    constexpr std::size_t bins = 100;
    const double width = (last - first) / bins;
    std::vector<double> steps(bins), skipped(bins);
    const auto bin_of = [&](double at) {
      return std::clamp(static_cast<int>((at - first) / width), 0, static_cast<int>(bins) - 1);
    };
    for (const auto& [work, thread] : tiles_) {
      const double begin = microseconds(work.begin - start_), end = microseconds(work.end - start_);
      for (int i = bin_of(begin); i <= bin_of(end); ++i) {
        const double low = std::max(begin, first + i * width),
                     high = std::min(end, first + (i + 1) * width);
        const double share = end > begin ? std::max(0.0, high - low) / (end - begin) : 1;
        steps[static_cast<std::size_t>(i)] += share * static_cast<double>(work.steps);
        skipped[static_cast<std::size_t>(i)] += share * static_cast<double>(work.skipped);
      }
    }
    for (std::size_t i = 0; i < bins; ++i) {
      const double at = first + static_cast<double>(i) * width;
      events.push_back(counter("steps/s", at, steps[i] / (width * 1e-6)));
      events.push_back(counter("skipped share", at, steps[i] > 0 ? skipped[i] / steps[i] : 0));
    }
    events.push_back(counter("steps/s", last, 0));
    events.push_back(counter("skipped share", last, 0));
  }

  // What encloses comes before what it holds
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.at != b.at ? a.at < b.at : a.duration > b.duration;
  });

  std::string text = fmt::format(
      R"({{"displayTimeUnit":"ms","traceEvents":[)"
      "\n"
      R"({{"name":"process_name","ph":"M","pid":{},"args":{{"name":"nablabragg"}}}})",
      process);
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    const int thread = static_cast<int>(i) + main_thread;
    text += fmt::format(
        ",\n"
        R"({{"name":"thread_name","ph":"M","pid":{},"tid":{},"args":{{"name":"{}"}}}})",
        process, thread, i == 0 ? "main" : fmt::format("worker {}", i));
  }
  for (const Event& event : events) text.append(",\n").append(event.text);
  return text.append("\n]}\n");
}

Stage::Stage(Profile* profile, const char* name, const std::string& object) : profile_(profile) {
  if (!profile_) return;
  const Profile::Time now = Profile::Clock::now();
  span_ = profile_->add_span(name + object, now, now);
}

Stage::~Stage() {
  if (profile_) profile_->end_span(span_);
}

}  // namespace nablabragg::cli
