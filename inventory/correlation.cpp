#include "inventory/correlation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "inventory/source_map.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

/// What there is to know of an instruction, or of a line where there are no addresses.
struct Where {
  int loop = -1;           // innermost
  std::vector<int> loops;  // all around it
  int simd_function = -1;  // explicit_simd, and inside of `loop`
  bool within = false;     // inlined into a function that was asked for
  std::optional<Operation> operation;
};

bool contains_any(const std::string& text, const std::vector<std::string>& parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const std::string& part) { return text.find(part) != std::string::npos; });
}

/// Answers are kept: the same places come again and again.
class Places {
 public:
  Places(const Inventory& inventory, const Profile& profile, const LoadedCode& loaded,
         const std::vector<std::string>& within)
      : inventory_(inventory), loaded_(loaded), map_(inventory) {
    for (int f = 0; f < profile.files.size(); ++f)
      profile_files_.push_back(map_.file_number(profile.files[f]));
    if (!loaded.code) return;
    for (int f = 0; f < loaded.code->files.size(); ++f)
      code_files_.push_back(map_.file_number(loaded.code->files[f]));
    for (int f = 0; f < loaded.code->functions.size(); ++f)
      code_within_.push_back(!within.empty() &&
                             contains_any(demangled(loaded.code->functions[f]), within));
  }

  const Where& at(const CodePlace& place) {
    if (loaded_.code && place.object == loaded_.object) {
      const std::uint64_t address = place.address - static_cast<std::uint64_t>(loaded_.offset);
      const auto stack = loaded_.code->stacks.find(address);
      if (stack != loaded_.code->stacks.end()) {
        const auto [at, is_new] = by_address_.try_emplace(address);
        if (is_new) at->second = of_stack(address, stack->second);
        return at->second;
      }
    }
    const auto [at, is_new] = by_line_.try_emplace({place.file, place.line});
    if (is_new && place.file >= 0)
      look(at->second, profile_files_[static_cast<std::size_t>(place.file)], place.line);
    return at->second;
  }

 private:
  void look(Where& where, int file, int line) const {
    if (file < 0 || line == 0) return;
    const std::vector<int>& loops = map_.loops_at(file, line);
    const int function = map_.function_at(file, line);
    if (where.loop < 0 && !loops.empty())
      where.loop = loops[0];
    else if (where.loop < 0 && where.simd_function < 0 && function >= 0 &&
             inventory_.functions[static_cast<std::size_t>(function)].explicit_simd)
      where.simd_function = function;
    for (const int loop : loops)
      if (std::find(where.loops.begin(), where.loops.end(), loop) == where.loops.end())
        where.loops.push_back(loop);
  }

  Where of_stack(std::uint64_t address, const std::vector<InlineFrame>& stack) const {
    Where where;
    for (const InlineFrame& frame : stack) {
      look(where, code_files_[static_cast<std::size_t>(frame.file)], frame.line);
      where.within |= code_within_[static_cast<std::size_t>(frame.function)];
    }
    const auto operation = loaded_.code->operations.find(address);
    if (operation != loaded_.code->operations.end()) where.operation = operation->second;
    return where;
  }

  const Inventory& inventory_;
  const LoadedCode& loaded_;
  SourceMap map_;
  std::vector<int> profile_files_, code_files_;
  std::vector<bool> code_within_;
  std::unordered_map<std::uint64_t, Where> by_address_;
  std::map<std::pair<int, int>, Where> by_line_;
};

/// Sums in the profile's unit, as they come.
class Sums {
 public:
  explicit Sums(const Inventory& inventory)
      : inventory_(inventory), loops_(inventory.loops.size()) {}

  LoopShare& share_of(int number) { return loops_[static_cast<std::size_t>(number)]; }

  void own(const Where& where, double cost) {
    if (where.operation) {
      mix_.add(*where.operation, cost);
      for (const int around : where.loops) share_of(around).mix_inside.add(*where.operation, cost);
    }
    if (where.loop >= 0) {
      LoopShare& share = share_of(where.loop);
      share.self += cost;
      if (where.operation) share.mix.add(*where.operation, cost);
      if (where.simd_function >= 0) share.simd_code += cost;
    } else if (where.simd_function >= 0) {
      const Function& f = inventory_.functions[static_cast<std::size_t>(where.simd_function)];
      simd_outside_[f.file + ":" + f.name] += cost;
    }
  }
  /// A function without loops, which the loop calls.
  void called(int loop, const Where& where, double cost) {
    LoopShare& share = share_of(loop);
    share.self += cost;
    share.called += cost;
    if (where.operation) share.mix_called.add(*where.operation, cost);
  }
  void outside(const std::string& name, double cost) {
    if (cost > 0) outside_[name] += cost;
  }

  /// As per cent of result.total.
  Correlation finish(Correlation about) {
    about.mix = mix_;
    const double percent = about.total > 0 ? 100 / about.total : 0;
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      LoopShare& share = loops_[i];
      if (share.inclusive <= 0 && share.self <= 0) continue;
      share.loop = i;
      for (double* value : {&share.inclusive, &share.self, &share.called, &share.simd_code})
        *value *= percent;
      about.loops.push_back(std::move(share));
    }
    std::stable_sort(about.loops.begin(), about.loops.end(),
                     [](const LoopShare& a, const LoopShare& b) {
                       return a.self != b.self ? a.self > b.self : a.inclusive > b.inclusive;
                     });
    about.simd_outside_by = ranked(simd_outside_, percent, about.simd_outside);
    about.outside_by = ranked(outside_, percent, about.outside);
    return about;
  }

 private:
  static std::vector<NamedShare> ranked(const std::map<std::string, double>& costs, double percent,
                                        double& sum) {
    std::vector<NamedShare> shares;
    for (const auto& [name, cost] : costs) {
      shares.push_back({name, cost * percent});
      sum += cost * percent;
    }
    std::stable_sort(shares.begin(), shares.end(), [](const NamedShare& a, const NamedShare& b) {
      return a.percent > b.percent;
    });
    return shares;
  }

  const Inventory& inventory_;
  std::vector<LoopShare> loops_;
  OperationMix mix_;
  std::map<std::string, double> simd_outside_, outside_;
};

std::string shares_in_words(const LoopShare& share) {
  std::vector<std::string> parts;
  const auto of = [](double part, double all) { return 100 * part / all; };
  const OperationMix &mix = share.mix, &inside = share.mix_inside;
  if (mix.total() > 0)
    parts.push_back(fmt::format("packed {:.0f} %, scalar floating {:.0f} % of its instructions",
                                100 * mix.packed_part(), 100 * mix.scalar_part()));
  if (inside.total() > 1.005 * mix.total())
    parts.push_back(
        fmt::format("with loops inlined into it packed {:.0f} %, scalar floating {:.0f} %",
                    100 * inside.packed_part(), 100 * inside.scalar_part()));
  if (share.self > 0 && share.called > 0.005 * share.self)
    parts.push_back(
        fmt::format("of it {:.0f} % in called functions", of(share.called, share.self)));
  if (share.self > 0 && share.simd_code > 0.005 * share.self)
    parts.push_back(
        fmt::format("of it {:.0f} % code of vector types", of(share.simd_code, share.self)));
  return fmt::format("{}", fmt::join(parts, "; "));
}

/// The graph of calls.  For each function there are fractions of its cost: what runs within the
/// functions asked for, and how much of that has a loop around or belongs to it.
class CallGraph {
 public:
  CallGraph(const Profile& profile, Places& places, const std::vector<std::string>& within)
      : profile_(profile),
        within_(profile.functions.size(), within.empty() ? 1.0 : 0.0),
        entries_(profile.functions.size(), 0.0),
        callers_(profile.functions.size()) {
    for (const CallCost& call : profile.calls) {
      const Where& where = places.at(call.place);
      entries_[static_cast<std::size_t>(call.callee)] += call.count;
      // A function that calls itself says nothing of who calls it, but for loops around the call
      if (call.caller == call.callee && where.loops.empty()) continue;
      callers_[static_cast<std::size_t>(call.callee)].push_back(
          {call.caller, &where, call.inclusive, call.count});
    }
    for (std::vector<Edge>& edges : callers_) weigh(edges);
    sort();
    if (!within.empty()) find_within(within);
  }

  double entries(int function) const { return entries_[static_cast<std::size_t>(function)]; }
  double within(int function) const { return within_[static_cast<std::size_t>(function)]; }

  /// Fractions of functions' costs by loop: `own`: code without a loop belongs to the loop;
  /// otherwise: the loop is around.
  class Fractions {
   public:
    Fractions(const CallGraph& graph, bool own, std::size_t loops)
        : loops_(loops), values_(graph.callers_.size() * loops) {
      std::vector<double> next(loops);
      graph.iterate([&](std::size_t f) {
        std::fill(next.begin(), next.end(), 0.0);
        for (const Edge& edge : graph.callers_[f]) {
          const double* caller = row(static_cast<std::size_t>(edge.caller));
          const bool ends = own && edge.where->loop >= 0;
          if (!ends)
            for (std::size_t l = 0; l < loops; ++l) next[l] += edge.weight * caller[l];
          if (ends) next[static_cast<std::size_t>(edge.where->loop)] += edge.weight;
          if (own) continue;
          for (const int around : edge.where->loops) {
            const auto l = static_cast<std::size_t>(around);
            next[l] += edge.weight * (1 - caller[l]);
          }
        }
        double change = 0;
        double* values = &values_[f * loops];
        for (std::size_t l = 0; l < loops; ++l) {
          change = std::max(change, std::abs(next[l] - values[l]));
          values[l] = next[l];
        }
        return change;
      });
    }
    const double* row(std::size_t function) const { return values_.data() + function * loops_; }

   private:
    std::size_t loops_;
    std::vector<double> values_;
  };

 private:
  struct Edge {
    int caller;
    const Where* where;
    double weight, count;
  };

  static void weigh(std::vector<Edge>& edges) {
    double sum = 0;
    for (const Edge& e : edges) sum += e.weight;
    if (sum <= 0) {
      for (Edge& e : edges) sum += e.weight = e.count;
    }
    for (Edge& e : edges) e.weight = sum > 0 ? e.weight / sum : 0;
  }

  /// Callers before what they call, but for cycles.
  void sort() {
    const std::size_t n = callers_.size();
    std::vector<char> seen(n, 0);
    struct Step {
      std::size_t function, next;
    };
    std::vector<Step> stack;
    for (std::size_t start = 0; start < n; ++start) {
      if (seen[start]) continue;
      seen[start] = 1;
      stack.push_back({start, 0});
      while (!stack.empty()) {
        Step& top = stack.back();
        const std::vector<Edge>& edges = callers_[top.function];
        if (top.next == edges.size()) {
          order_.push_back(top.function);
          stack.pop_back();
          continue;
        }
        const auto caller = static_cast<std::size_t>(edges[top.next++].caller);
        if (seen[caller]) continue;
        seen[caller] = 1;
        stack.push_back({caller, 0});
      }
    }
  }

  /// Cycles of calls converge; where one does so slowly, what is left has no loop.
  template <class Update>
  void iterate(Update&& update) const {
    constexpr int most_sweeps = 200;
    constexpr double exact_enough = 1e-7;
    for (int sweep = 0; sweep < most_sweeps; ++sweep) {
      double change = 0;
      for (const std::size_t f : order_) change = std::max(change, update(f));
      if (change < exact_enough) return;
    }
  }

  /// ... and from then on a function's callers weigh by what of them lies within.
  void find_within(const std::vector<std::string>& names) {
    std::vector<bool> named(callers_.size());
    for (std::size_t f = 0; f < named.size(); ++f)
      named[f] = contains_any(profile_.functions[f].name, names);
    const auto of_edge = [&](const Edge& e) {
      return e.where->within ? 1.0 : within_[static_cast<std::size_t>(e.caller)];
    };
    iterate([&](std::size_t f) {
      double value = named[f] ? 1 : 0;
      if (!named[f])
        for (const Edge& e : callers_[f]) value += e.weight * of_edge(e);
      return std::abs(std::exchange(within_[f], value) - value);
    });
    for (std::size_t f = 0; f < callers_.size(); ++f) {
      if (named[f] || within_[f] <= 0) continue;
      for (Edge& e : callers_[f]) e.weight *= of_edge(e);
      weigh(callers_[f]);
    }
  }

  const Profile& profile_;
  std::vector<double> within_, entries_;
  std::vector<std::vector<Edge>> callers_;  // by callee
  std::vector<std::size_t> order_;
};

void correlate_calls(const Inventory& inventory, const Profile& profile, Places& places,
                     const std::vector<std::string>& within, Sums& sums, Correlation& about) {
  const CallGraph graph(profile, places, within);
  const std::size_t loops = inventory.loops.size();
  const CallGraph::Fractions belongs(graph, true, loops), around(graph, false, loops);
  std::vector<std::vector<int>> held(profile.functions.size());  // loops, by function
  for (const SelfCost& c : profile.costs) {
    about.whole += c.cost;
    const Where& where = places.at(c.place);
    const auto f = static_cast<std::size_t>(c.function);
    held[f].insert(held[f].end(), where.loops.begin(), where.loops.end());
    const double cost = c.cost * (where.within ? 1 : graph.within(c.function));
    if (cost <= 0) continue;
    about.total += cost;
    sums.own(where, cost);
    const double* fractions = around.row(f);
    for (std::size_t l = 0; l < loops; ++l)
      if (fractions[l] > 0) sums.share_of(static_cast<int>(l)).inclusive += cost * fractions[l];
    for (const int loop : where.loops)
      sums.share_of(loop).inclusive += cost * (1 - fractions[static_cast<std::size_t>(loop)]);
    if (where.loop >= 0 || where.simd_function >= 0) continue;
    double left = 1;
    const double* of_loops = belongs.row(f);
    for (std::size_t l = 0; l < loops; ++l) {
      if (of_loops[l] <= 0) continue;
      sums.called(static_cast<int>(l), where, cost * of_loops[l]);
      left -= of_loops[l];
    }
    constexpr double rounding = 1e-6;
    if (left > rounding) sums.outside(profile.functions[f].name, cost * left);
  }
  for (std::size_t f = 0; f < held.size(); ++f) {
    std::sort(held[f].begin(), held[f].end());
    held[f].erase(std::unique(held[f].begin(), held[f].end()), held[f].end());
    for (const int loop : held[f]) sums.share_of(loop).calls += graph.entries(static_cast<int>(f));
  }
}

void correlate_samples(const Profile& profile, Places& places,
                       const std::vector<std::string>& within, Sums& sums, Correlation& about) {
  std::vector<bool> named;
  for (const CodeFunction& f : profile.functions) named.push_back(contains_any(f.name, within));
  std::vector<int> around;
  for (const ChainSample& sample : profile.samples) {
    about.whole += sample.cost;
    around.clear();
    int owner = -1;
    bool counts = within.empty();
    for (const ChainFrame& frame : sample.frames) {
      const Where& where = places.at(frame.place);
      counts = counts || where.within || named[static_cast<std::size_t>(frame.function)];
      if (owner < 0) owner = where.loop;
      around.insert(around.end(), where.loops.begin(), where.loops.end());
    }
    if (!counts) continue;
    about.total += sample.cost;
    std::sort(around.begin(), around.end());
    around.erase(std::unique(around.begin(), around.end()), around.end());
    for (const int loop : around) {
      sums.share_of(loop).inclusive += sample.cost;
      sums.share_of(loop).calls += 1;
    }
    const Where& where = places.at(sample.frames[0].place);
    sums.own(where, sample.cost);
    if (where.loop >= 0 || where.simd_function >= 0) continue;
    if (owner >= 0) {
      sums.called(owner, where, sample.cost);
    } else {
      sums.outside(profile.functions[static_cast<std::size_t>(sample.frames[0].function)].name,
                   sample.cost);
    }
  }
}

/// The loops that a span's lines hold, without those inside of other loops.  The tiles of the
/// engine name no lines: these are its parallel loops over tiles.
std::vector<int> loops_of_span(const Inventory& inventory, const TraceSpan* span,
                               const std::string& name) {
  std::vector<int> loops;
  for (std::size_t i = 0; i < inventory.loops.size(); ++i) {
    const Loop& loop = inventory.loops[i];
    const bool in_it = span ? loop.file == span->file && loop.line >= span->line &&
                                  loop.end_line <= span->end_line
                            : name == "tiles" && loop.kind == LoopKind::parallel &&
                                  loop.file.find("engine/") != std::string::npos &&
                                  loop.function.find("tile") != std::string::npos;
    if (in_it) loops.push_back(static_cast<int>(i));
  }
  const auto id_is = [&](const std::string& id) {
    return [&](int i) { return inventory.loops[static_cast<std::size_t>(i)].id == id; };
  };
  std::vector<int> outermost;
  for (const int i : loops) {
    const std::string& parent = inventory.loops[static_cast<std::size_t>(i)].parent;
    if (std::none_of(loops.begin(), loops.end(), id_is(parent))) outermost.push_back(i);
  }
  return outermost;
}

void correlate_spans(const Inventory& inventory, const Profile& profile, Sums& sums,
                     Correlation& about) {
  for (const SpanEvent& event : profile.spans) {
    about.whole += event.self;
    about.total += event.self;
    const TraceSpan* span = nullptr;
    for (const TraceSpan& s : inventory.spans)
      if (event.name.starts_with(s.name) && (!span || s.name.size() > span->name.size())) span = &s;
    const std::vector<int> loops = loops_of_span(inventory, span, event.name);
    if (loops.empty()) sums.outside("span " + (span ? span->name : event.name), event.self);
    for (const int loop : loops) {
      LoopShare& share = sums.share_of(loop);
      share.inclusive += event.inclusive;
      share.self += event.self / static_cast<double>(loops.size());
      share.calls += 1;
      share.notes = fmt::format(
          "at most: the span \"{}\" holds {} and code around", span ? span->name : event.name,
          loops.size() == 1 ? "this loop"
                            : fmt::format("{} loops, counted as equal,", loops.size()));
    }
  }
}

}  // namespace

void OperationMix::add(Operation operation, double cost) {
  switch (operation) {
    case Operation::packed:
      packed += cost;
      break;
    case Operation::scalar_float:
      scalar_float += cost;
      break;
    case Operation::scalar_double:
      scalar_double += cost;
      break;
    case Operation::other:
      other += cost;
      break;
  }
}

void OperationMix::add(const OperationMix& more) {
  packed += more.packed;
  scalar_float += more.scalar_float;
  scalar_double += more.scalar_double;
  other += more.other;
}

Correlation correlate(const Inventory& inventory, const Profile& profile, const LoadedCode& loaded,
                      const std::vector<std::string>& within) {
  Correlation about;
  about.unit = profile.unit;
  Sums sums(inventory);
  if (profile.kind == ProfileKind::spans) {
    about.method = "By the lines of the trace's spans: an upper bound for the loops in them.";
    about.calls_are = "events";
    correlate_spans(inventory, profile, sums, about);
    return sums.finish(std::move(about));
  }
  Places places(inventory, profile, loaded, within);
  about
      .method = loaded.code
                    ? "By addresses: each instruction's line and those that it is inlined into."
                    : "By lines: inlined code counts where it is written, not where it is inlined.";
  if (profile.kind == ProfileKind::calls) {
    about.method += "  Functions without loops: by who calls them, in proportion.";
    about.calls_are = "entries of the functions that hold the loop";
    correlate_calls(inventory, profile, places, within, sums, about);
  } else {
    about.method += "  Functions without loops: by the samples' call chains.";
    about.calls_are = "samples";
    correlate_samples(profile, places, within, sums, about);
  }
  if (!within.empty() && about.total <= 0)
    throw InputError(fmt::format("nothing of the profile runs under a function named {}",
                                 fmt::join(within, " or ")));
  Correlation result = sums.finish(std::move(about));
  for (LoopShare& share : result.loops) share.notes = shares_in_words(share);
  return result;
}

double share_of_class(const Inventory& inventory, const Correlation& correlation, LoopClass c) {
  double sum = 0;
  for (const LoopShare& share : correlation.loops)
    if (inventory.loops[share.loop].loop_class == c) sum += share.self;
  return sum;
}

}  // namespace nablabragg::inventory
