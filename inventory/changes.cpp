#include "inventory/changes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "inventory/text.hpp"

namespace nablabragg::inventory {

namespace {

/// What a loop keeps when its file or the scope of its function gets another name.
using Likeness = std::tuple<std::string, std::string, LoopKind>;

Likeness likeness(const Loop& loop) {
  const std::size_t colons = loop.function.rfind("::");
  return {loop.header,
          colons == std::string::npos ? loop.function : loop.function.substr(colons + 2),
          loop.kind};
}

using Pair = std::pair<const Loop*, const Loop*>;  // before, after

/// Pairs those of equal keys, in the order of the files, and takes them off both lists.
template <class Key>
void take_pairs(std::vector<const Loop*>& before, std::vector<const Loop*>& after, Key&& key_of,
                std::vector<Pair>& pairs) {
  std::map<decltype(key_of(*before[0])), std::deque<const Loop*>> by_key;
  for (const Loop* loop : before) by_key[key_of(*loop)].push_back(loop);
  std::unordered_set<const Loop*> taken;
  for (const Loop* loop : after) {
    const auto found = by_key.find(key_of(*loop));
    if (found == by_key.end() || found->second.empty()) continue;
    pairs.emplace_back(found->second.front(), loop);
    taken.insert({found->second.front(), loop});
    found->second.pop_front();
  }
  const auto is_taken = [&](const Loop* loop) { return taken.contains(loop); };
  std::erase_if(before, is_taken);
  std::erase_if(after, is_taken);
}

std::vector<const Loop*> pointers(const Inventory& inventory) {
  std::vector<const Loop*> result;
  for (const Loop& loop : inventory.loops) result.push_back(&loop);
  return result;
}

/// The same loop with the same header; one like it elsewhere, since a new loop renumbers those
/// after it; the same loop with another header.
std::vector<Pair> pairs_of(const Inventory& before, const Inventory& after, Changes& changes) {
  std::vector<Pair> pairs;
  std::vector<const Loop*> old = pointers(before), now = pointers(after);
  take_pairs(
      old, now, [](const Loop& l) { return std::pair(l.id, l.header); }, pairs);
  take_pairs(
      old, now, [](const Loop& l) { return std::pair(l.file, likeness(l)); }, pairs);
  take_pairs(old, now, likeness, pairs);
  take_pairs(
      old, now, [](const Loop& l) { return l.id; }, pairs);
  for (const auto& [was, is] : pairs)
    if (was->id != is->id) changes.moved.push_back({was->id, is->id});
  for (const Loop* loop : now) changes.appeared.push_back(loop->id);
  for (const Loop* loop : old) changes.gone.push_back(loop->id);
  return pairs;
}

/// The second opinion may change; what the build's compiler makes of a hot loop may not.
void compare_verdicts(const Pair& pair, bool hot, const std::string& compiler, Changes& changes) {
  for (const Verdict& now : pair.second->verdicts) {
    const bool matters = hot && now.compiler == compiler;
    const auto& old = pair.first->verdicts;
    const auto then = std::find_if(old.begin(), old.end(), [&](const Verdict& v) {
      return v.target == now.target && v.compiler == now.compiler;
    });
    if (then == old.end() || (then->vectorized > 0) == (now.vectorized > 0)) continue;
    if (now.vectorized > 0)
      changes.gained.push_back({pair.second->id, now.target, now.compiler, "", matters});
    else
      changes.lost.push_back({pair.second->id, now.target, now.compiler,
                              now.reasons.empty() ? "no reason said" : now.reasons.front(),
                              matters});
  }
}

void compare_classes(const Pair& pair, bool hot, Changes& changes) {
  const auto& [before, after] = pair;
  if (before->loop_class == after->loop_class) return;
  changes.classes.push_back({after->id, before->loop_class, after->loop_class});
  if (before->loop_class == LoopClass::vectorized)
    changes.lost.push_back({after->id, "", "", after->reason, hot});
  if (after->loop_class == LoopClass::vectorized)
    changes.gained.push_back({after->id, "", "", "", hot});
}

void add_list(std::string& text, const std::string& title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  text += fmt::format("{}: {}\n", title, lines.size());
  for (const std::string& line : lines) text += "  " + ascii(line) + "\n";
}

std::string in_words(const VectorisationChange& change) {
  std::string text = change.hot ? "HOT " + change.loop : change.loop;
  text += change.target.empty() && change.compiler.empty()
              ? " (class)"
              : fmt::format(" ({}, {})", change.target, change.compiler);
  return change.reason.empty() ? text : text + ": " + change.reason;
}

template <class Items, class InWords>
std::vector<std::string> lines_of(const Items& items, InWords&& in_words_of) {
  std::vector<std::string> lines;
  lines.reserve(items.size());
  for (const auto& item : items) lines.push_back(in_words_of(item));
  return lines;
}

}  // namespace

bool Changes::lost_in_hot_loop() const {
  return std::any_of(lost.begin(), lost.end(), [](const auto& change) { return change.hot; });
}

Changes find_changes(const Inventory& before, const Inventory& after,
                     const std::optional<std::vector<std::string>>& hot) {
  Changes changes;
  std::unordered_set<std::string> hot_ids;
  if (hot) hot_ids.insert(hot->begin(), hot->end());
  for (const Pair& pair : pairs_of(before, after, changes)) {
    const auto busy = [](const Loop& loop) {
      return loop.loop_class == LoopClass::vectorized || loop.loop_class == LoopClass::todo;
    };
    const bool is_hot = hot ? hot_ids.contains(pair.first->id) || hot_ids.contains(pair.second->id)
                            : busy(*pair.first) || busy(*pair.second);
    compare_classes(pair, is_hot, changes);
    compare_verdicts(pair, is_hot, after.compilers.empty() ? "" : after.compilers.front(), changes);
  }
  return changes;
}

std::string changes_text(const Changes& changes) {
  std::string text;
  add_list(text, "lost vectorisation", lines_of(changes.lost, in_words));
  add_list(text, "gained vectorisation", lines_of(changes.gained, in_words));
  add_list(text, "other class", lines_of(changes.classes, [](const ClassChange& c) {
             return fmt::format("{}: {} -> {}", c.loop, name_of(c.before), name_of(c.after));
           }));
  add_list(text, "new loops", changes.appeared);
  add_list(text, "gone loops", changes.gone);
  add_list(text, "moved loops",
           lines_of(changes.moved, [](const MovedLoop& m) { return m.before + " -> " + m.after; }));
  return text.empty() ? "no changes\n" : text;
}

}  // namespace nablabragg::inventory
