#include "inventory/chrome_trace.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "inventory/text.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

struct Event {
  double begin = 0, duration = 0;
  std::string name;
};

/// The events of one thread.
void nest(std::vector<Event>& events, std::vector<SpanEvent>& spans) {
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::tuple(a.begin, -a.duration) < std::tuple(b.begin, -b.duration);
  });
  struct Open {
    double end;
    std::size_t span;
  };
  std::vector<Open> open;
  for (const Event& event : events) {
    // The file's times are rounded to nanoseconds
    constexpr double rounding_us = 0.002;
    while (!open.empty() && open.back().end <= event.begin + rounding_us) open.pop_back();
    if (!open.empty()) {
      double& around = spans[open.back().span].self;
      around = std::max(0.0, around - event.duration);
    }
    open.push_back({event.begin + event.duration, spans.size()});
    spans.push_back({event.name, event.duration, event.duration});
  }
}

}  // namespace

Profile parse_chrome_trace(std::string_view text, const std::string& file) {
  using Json = nlohmann::json;
  Profile profile;
  profile.kind = ProfileKind::spans;
  profile.unit = "us";
  try {
    const Json document = Json::parse(text);
    const Json& events = document.is_array() ? document : document.at("traceEvents");
    std::map<std::pair<std::string, std::string>, std::vector<Event>> threads;
    for (const Json& event : events) {
      if (event.value("ph", "") != "X") continue;
      const auto id = [&](const char* key) {
        return event.contains(key) ? event.at(key).dump() : std::string();
      };
      threads[{id("pid"), id("tid")}].push_back(
          {event.at("ts"), event.at("dur"), event.at("name")});
    }
    for (auto& [thread, of_thread] : threads) nest(of_thread, profile.spans);
  } catch (const Json::parse_error& error) {
    const std::string_view before = text.substr(0, error.byte);
    throw InputError(file, 1 + std::count(before.begin(), before.end(), '\n'),
                     "is no JSON: " + one_line(error.what()));
  } catch (const Json::exception& error) {
    throw InputError(file, 0, "is no trace in Chrome's format: " + one_line(error.what()));
  }
  if (profile.spans.empty()) throw InputError(file, 0, "holds no complete events (ph: X)");
  return profile;
}

}  // namespace nablabragg::inventory
