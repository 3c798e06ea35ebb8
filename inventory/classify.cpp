#include "inventory/classify.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

LoopClass class_named(const std::string& name, const std::string& file, int line) {
  for (const LoopClass c :
       {LoopClass::vectorized, LoopClass::cold, LoopClass::todo, LoopClass::uncertain})
    if (name == name_of(c)) return c;
  throw InputError(file, line,
                   "'" + name + "' is no class; there are vectorized, cold, todo and uncertain");
}

std::string text_at(const YAML::Node& node, const char* name, const std::string& file) {
  const YAML::Node value = node.IsMap() ? node[name] : YAML::Node();
  if (!value || !value.IsScalar() || value.as<std::string>().empty())
    throw InputError(file, node.Mark().line + 1, std::string("an entry needs a '") + name + "'");
  return value.as<std::string>();
}

/// Folders that hold set-up, input and output or tests in most code bases.
const std::string* cold_folder(const std::string& file) {
  static const std::set<std::string> names{"bench", "benchmark", "benchmarks", "cli",  "doc",
                                           "docs",  "example",   "examples",   "fuzz", "io",
                                           "test",  "testing",   "tests",      "tool", "tools"};
  for (std::size_t begin = 0, end = file.find('/'); end != std::string::npos;
       begin = end + 1, end = file.find('/', begin)) {
    const auto at = names.find(file.substr(begin, end - begin));
    if (at != names.end()) return &*at;
  }
  return nullptr;
}

constexpr long few_turns = 8;

std::string reason_missed(const Loop& loop) {
  for (const Verdict& verdict : loop.verdicts)
    if (!verdict.reasons.empty()) return verdict.compiler + ": " + verdict.reasons.front();
  return "no compiler said why";
}

void set(Loop& loop, LoopClass c, const char* rule, std::string reason) {
  loop.loop_class = c;
  loop.rule = rule;
  loop.reason = std::move(reason);
}

bool is_in(const Loop& loop, const Annotations::OfFolder& folder) {
  return loop.file == folder.path || loop.file.starts_with(folder.path + '/');
}

void classify_alone(Loop& loop, const Annotations& annotations, const std::string& compiler) {
  if (loop.explicit_simd)
    return set(loop, LoopClass::vectorized, "V1", "computes with vector types");
  // The build's compiler decides, for all instruction sets; the other one is asked as well.
  const Verdict *yes = nullptr, *no = nullptr, *other = nullptr;
  for (const Verdict& verdict : loop.verdicts) {
    if (verdict.compiler != compiler)
      other = verdict.vectorized > 0 ? &verdict : other;
    else
      (verdict.vectorized > 0 ? yes : no) = &verdict;
  }
  if (yes && no)
    return set(loop, LoopClass::uncertain, "U3",
               "vectorised for " + yes->target + ", not for " + no->target);
  if (yes)
    return set(loop, LoopClass::vectorized, "V2",
               yes->compiler + ": " +
                   (yes->bytes > 0 ? std::to_string(yes->bytes) + "-byte vectors"
                                   : std::to_string(yes->width) + " lanes"));
  if (other)
    return set(loop, LoopClass::uncertain, "U1",
               "only " + other->compiler + " vectorises it; " + reason_missed(loop));
  if (loop.kind == LoopKind::parallel)
    return set(loop, LoopClass::cold, "C5", "hands blocks of work to threads");
  for (const Annotations::OfFolder& folder : annotations.cold)
    if (is_in(loop, folder)) return set(loop, LoopClass::cold, "C1", folder.reason);
  if (const std::string* folder = cold_folder(loop.file))
    return set(loop, LoopClass::cold, "C1", "in a folder named " + *folder);
  if (loop.driver == Driver::file)
    return set(loop, LoopClass::cold, "C2", "goes over lines or bytes of text");
  if (loop.trip_count && *loop.trip_count <= few_turns)
    return set(loop, LoopClass::cold, "C3",
               std::to_string(*loop.trip_count) + " turns, known when compiled");
  if (loop.driver != Driver::other)
    return set(loop, LoopClass::todo, "T1",
               std::string("goes over each ") + name_of(loop.driver) + "; " + reason_missed(loop));
  set(loop, LoopClass::uncertain, "U2", reason_missed(loop));
}

}  // namespace

Annotations read_annotations(const std::string& file) {
  Annotations annotations;
  try {
    const YAML::Node root = YAML::Load(io::read_text(file));
    if (root.IsNull()) return annotations;
    if (!root.IsMap()) throw InputError(file, 1, "is no map; it has 'loops', 'cold', 'span_types'");
    for (const auto& entry : root) {
      const auto name = entry.first.as<std::string>();
      if (name != "loops" && name != "cold" && name != "span_types")
        throw InputError(file, entry.first.Mark().line + 1,
                         "'" + name + "' is not known; there are loops, cold and span_types");
    }
    for (const YAML::Node& node : root["loops"])
      annotations.loops.push_back(
          {text_at(node, "id", file),
           class_named(text_at(node, "class", file), file, node.Mark().line + 1),
           text_at(node, "reason", file)});
    for (const YAML::Node& node : root["cold"])
      annotations.cold.push_back({text_at(node, "path", file), text_at(node, "reason", file)});
    for (const YAML::Node& node : root["span_types"])
      annotations.span_types.push_back(node.as<std::string>());
  } catch (const YAML::Exception& error) {
    throw InputError(file, error.mark.line + 1, error.msg);
  }
  return annotations;
}

bool fits(const std::string& pattern, const std::string& text) {
  // The last star takes one character more whenever what follows it does not fit.
  std::size_t p = 0, t = 0, star = std::string::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string::npos;
}

std::vector<std::string> classify(Inventory& inventory, const Annotations& annotations) {
  const std::string compiler = inventory.compilers.empty() ? "" : inventory.compilers.front();
  for (Loop& loop : inventory.loops) classify_alone(loop, annotations, compiler);

  // What holds a vectorised loop drives it.
  std::map<std::string, Loop*> by_id;
  for (Loop& loop : inventory.loops) by_id[loop.id] = &loop;
  for (const Loop& loop : inventory.loops) {
    if (loop.loop_class != LoopClass::vectorized) continue;
    for (auto outer = by_id.find(loop.parent); outer != by_id.end();
         outer = by_id.find(outer->second->parent))
      if (outer->second->loop_class == LoopClass::todo ||
          outer->second->loop_class == LoopClass::uncertain)
        set(*outer->second, LoopClass::cold, "C4", "drives loops that are vectorised");
  }

  std::vector<std::string> unused;
  for (const Annotations::OfLoops& annotation : annotations.loops) {
    bool used = false;
    for (Loop& loop : inventory.loops)
      if (fits(annotation.id, loop.id)) {
        set(loop, annotation.loop_class, "annotation", annotation.reason);
        used = true;
      }
    if (!used) unused.push_back(annotation.id);
  }
  for (const Annotations::OfFolder& folder : annotations.cold)
    if (std::none_of(inventory.loops.begin(), inventory.loops.end(),
                     [&](const Loop& loop) { return is_in(loop, folder); }))
      unused.push_back(folder.path);
  return unused;
}

}  // namespace nablabragg::inventory
