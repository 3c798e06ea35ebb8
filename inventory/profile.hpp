// What a profiler saw of a run, in one shape for all that are read: callgrind (costs and calls),
// perf (samples with their call chains), our own Chrome trace (spans).  Where in the source that is
// says correlation.hpp.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nablabragg::inventory {

/// Numbers for texts that come up again and again.
class Names {
 public:
  int number(std::string_view text) {
    const auto [at, is_new] = numbers_.try_emplace(std::string(text), size());
    if (is_new) texts_.push_back(at->first);
    return at->second;
  }
  const std::string& operator[](int number) const {
    return texts_[static_cast<std::size_t>(number)];
  }
  int size() const { return static_cast<int>(texts_.size()); }

 private:
  std::unordered_map<std::string, int> numbers_;
  std::vector<std::string> texts_;
};

enum class ProfileKind { calls, samples, spans };

/// Where an instruction stands.  Profilers know one source line of it, if any: the innermost of
/// inlined code.
struct CodePlace {
  int object = -1;  ///< of Profile::objects; -1: not stated
  std::uint64_t address = 0;
  int file = -1;  ///< of Profile::files; -1: not stated
  int line = 0;
  bool operator==(const CodePlace&) const = default;
};

struct SelfCost {
  int function = 0;
  CodePlace place;
  double cost = 0;
};

struct CallCost {
  int caller = 0;
  CodePlace place;
  int callee = 0;
  double count = 0;
  double inclusive = 0;
};

struct ChainFrame {
  int function = 0;
  CodePlace place;
};

struct ChainSample {
  std::vector<ChainFrame> frames;  ///< the innermost first
  double cost = 0;
};

/// A complete event of a trace.
struct SpanEvent {
  std::string name;
  double inclusive = 0;
  double self = 0;  ///< without the events inside of it on its thread
};

struct CodeFunction {
  std::string name;
  int object = -1;
  /// Of its symbol, where the profiler says so; perf does, by the offset that it prints.
  std::uint64_t address = 0;
};

struct Profile {
  ProfileKind kind = ProfileKind::calls;
  std::string unit;  ///< of the costs: "Ir", "cycles:u", "us"
  bool has_addresses = false;
  Names files, objects;
  std::vector<CodeFunction> functions;
  std::vector<SelfCost> costs;       ///< kind calls
  std::vector<CallCost> calls;       ///< kind calls
  std::vector<ChainSample> samples;  ///< kind samples
  std::vector<SpanEvent> spans;      ///< kind spans
};

/// Finds out which of the three formats it is.  Throws InputError.
Profile read_profile(const std::string& file);

}  // namespace nablabragg::inventory
