// Where the time went, from the Chrome trace that a run with -profile writes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace nablabragg::instruments {

struct StageTime {
  std::string name;
  std::int64_t calls = 0;
  int threads = 0;     ///< on how many it ran
  double seconds = 0;  ///< inclusive: what it called counts too; of all threads together
  double share = 0;    ///< of the time from the first event's begin to the last one's end
};

/// Complete events ("ph": "X") by name, longest first.  Throws InputError for what is no trace.
std::vector<StageTime> rank_stages(const std::string& trace_file);

}  // namespace nablabragg::instruments
