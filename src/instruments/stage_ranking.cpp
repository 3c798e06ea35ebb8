#include "instruments/stage_ranking.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "nablabragg/error.hpp"

namespace nablabragg::instruments {

std::vector<StageTime> rank_stages(const std::string& trace_file) {
  std::ifstream file(trace_file);
  if (!file) throw InputError(trace_file, 0, "cannot be read");
  std::map<std::string, StageTime> stages;
  std::map<std::string, std::set<std::int64_t>> threads;
  double begin = std::numeric_limits<double>::infinity(), end = -begin;
  try {
    const nlohmann::json trace = nlohmann::json::parse(file);
    for (const auto& event : trace.at("traceEvents")) {
      if (event.value("ph", "") != "X") continue;
      const auto name = event.at("name").get<std::string>();
      const auto start_us = event.at("ts").get<double>(), length_us = event.at("dur").get<double>();
      StageTime& stage = stages[name];
      stage.name = name;
      ++stage.calls;
      stage.seconds += 1e-6 * length_us;
      threads[name].insert(event.value("tid", std::int64_t{0}));
      begin = std::min(begin, start_us);
      end = std::max(end, start_us + length_us);
    }
  } catch (const nlohmann::json::exception& error) {
    throw InputError(trace_file, 0, std::string("is no trace of a profile: ") + error.what());
  }
  std::vector<StageTime> ranking;
  for (auto& [name, stage] : stages) {
    stage.threads = static_cast<int>(threads[name].size());
    stage.share = end > begin ? stage.seconds / (1e-6 * (end - begin)) : 0;
    ranking.push_back(stage);
  }
  std::stable_sort(ranking.begin(), ranking.end(),
                   [](const StageTime& a, const StageTime& b) { return a.seconds > b.seconds; });
  return ranking;
}

}  // namespace nablabragg::instruments
