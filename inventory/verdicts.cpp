#include "inventory/verdicts.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <tuple>

namespace nablabragg::inventory {

namespace {

using Place = std::pair<int, int>;

bool holds(const FoundLoop& found, Place at) {
  const Loop& l = found.loop;
  return Place{l.line, l.column} <= at && at <= Place{l.end_line, l.end_column};
}

bool in_header(const FoundLoop& found, Place at) {
  const Loop& l = found.loop;
  const Place body{found.body_line, found.body_column};
  if (l.kind == LoopKind::algorithm || l.kind == LoopKind::parallel) return holds(found, at);
  return holds(found, at) &&
         (at <= body || (l.kind == LoopKind::do_loop && at.first == l.end_line));
}

Verdict& verdict_of(Loop& loop, const std::string& target, const std::string& compiler) {
  for (Verdict& verdict : loop.verdicts)
    if (verdict.target == target && verdict.compiler == compiler) return verdict;
  loop.verdicts.emplace_back();
  loop.verdicts.back().target = target;
  loop.verdicts.back().compiler = compiler;
  return loop.verdicts.back();
}

}  // namespace

int add_verdicts(std::vector<FoundLoop>& loops, const std::vector<Remark>& remarks,
                 const std::string& root, const std::string& target, const std::string& compiler) {
  std::map<std::string, std::vector<FoundLoop*>> of_file;
  for (FoundLoop& found : loops)
    of_file[(std::filesystem::path(root) / found.loop.file).string()].push_back(&found);
  int lost = 0;
  std::map<std::string, std::string> without_links;
  for (const Remark& remark : remarks) {
    const auto [name, is_new] = without_links.try_emplace(remark.file);
    if (is_new) name->second = std::filesystem::weakly_canonical(remark.file).string();
    const auto file = of_file.find(name->second);
    if (file == of_file.end()) continue;
    const Place at{remark.line, remark.column};
    FoundLoop *innermost = nullptr, *around = nullptr;
    for (FoundLoop* found : file->second) {
      if (in_header(*found, at)) innermost = found;
      if (holds(*found, at)) around = found;
    }
    // Of a loop whose condition was moved, g++ names the first statement.
    if (!innermost) innermost = around;
    if (!innermost) {
      ++lost;
      continue;
    }
    Verdict& verdict = verdict_of(innermost->loop, target, compiler);
    (remark.vectorized ? verdict.vectorized : verdict.missed) += 1;
    verdict.width = std::max(verdict.width, remark.width);
    verdict.bytes = std::max(verdict.bytes, remark.bytes);
    verdict.interleave = std::max(verdict.interleave, remark.interleave);
    if (!remark.reason.empty()) verdict.reasons.push_back(remark.reason);
  }
  return lost;
}

void rank_reasons(std::vector<FoundLoop>& loops) {
  constexpr std::size_t most = 3;
  for (FoundLoop& found : loops) {
    for (Verdict& verdict : found.loop.verdicts) {
      std::map<std::string, int> counts;
      for (const std::string& reason : verdict.reasons) ++counts[reason];
      verdict.reasons.clear();
      for (const auto& [reason, count] : counts) verdict.reasons.push_back(reason);
      std::stable_sort(
          verdict.reasons.begin(), verdict.reasons.end(),
          [&](const std::string& a, const std::string& b) { return counts.at(a) > counts.at(b); });
      verdict.reasons.resize(std::min(most, verdict.reasons.size()));
    }
    auto& verdicts = found.loop.verdicts;
    std::sort(verdicts.begin(), verdicts.end(), [](const Verdict& a, const Verdict& b) {
      return std::tie(a.compiler, a.target) < std::tie(b.compiler, b.target);
    });
  }
}

}  // namespace nablabragg::inventory
