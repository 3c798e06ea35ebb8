#include "verdicts.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <tuple>

namespace nablabragg::inventory {

namespace {

using Place = std::pair<int, int>;

bool in_header(const FoundLoop& found, Place at) {
  const Loop& l = found.loop;
  const Place begin{l.line, l.column}, end{l.end_line, l.end_column};
  if (l.kind == LoopKind::algorithm || l.kind == LoopKind::parallel) return begin <= at && at < end;
  const Place body{found.body_line, found.body_column};
  if (l.kind == LoopKind::do_loop) return (begin <= at && at <= body) || at.first == l.end_line;
  return begin <= at && at <= body;
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
  for (const Remark& remark : remarks) {
    const auto file = of_file.find(remark.file);
    if (file == of_file.end()) continue;
    const Place at{remark.line, remark.column};
    FoundLoop* innermost = nullptr;
    for (FoundLoop* found : file->second)
      if (in_header(*found, at)) innermost = found;
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

void sort_reasons(std::vector<FoundLoop>& loops) {
  for (FoundLoop& found : loops) {
    for (Verdict& verdict : found.loop.verdicts) {
      std::map<std::string, int> counts;
      for (const std::string& reason : verdict.reasons) ++counts[reason];
      verdict.reasons.clear();
      for (const auto& [reason, count] : counts) verdict.reasons.push_back(reason);
      std::stable_sort(
          verdict.reasons.begin(), verdict.reasons.end(),
          [&](const std::string& a, const std::string& b) { return counts.at(a) > counts.at(b); });
    }
    auto& verdicts = found.loop.verdicts;
    std::sort(verdicts.begin(), verdicts.end(), [](const Verdict& a, const Verdict& b) {
      return std::tie(a.compiler, a.target) < std::tie(b.compiler, b.target);
    });
  }
}

}  // namespace nablabragg::inventory
