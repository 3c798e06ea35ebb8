#include "inventory/source_map.hpp"

#include <algorithm>
#include <filesystem>
#include <tuple>

namespace nablabragg::inventory {

namespace {

std::string_view last_part(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_or_ends_with(std::string_view path, std::string_view end) {
  return path == end || (path.size() > end.size() && path.ends_with(end) &&
                         path[path.size() - end.size() - 1] == '/');
}

}  // namespace

SourceMap::SourceMap(const Inventory& inventory) {
  std::unordered_map<std::string, std::size_t> numbers;
  const auto lines_of = [&](const std::string& path) -> Lines& {
    const auto [at, is_new] = numbers.try_emplace(path, files_.size());
    if (is_new) {
      by_name_[std::string(last_part(path))].push_back(static_cast<int>(files_.size()));
      files_.push_back({path, {}, {}});
    }
    return files_[at->second];
  };

  // The outermost first, so that the innermost ends in front
  const auto is_before = [](const auto& a, const auto& b) {
    return std::tuple(b.end_line - b.line, a.line) < std::tuple(a.end_line - a.line, b.line);
  };
  std::vector<std::size_t> order(inventory.loops.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    const Loop &a = inventory.loops[i], &b = inventory.loops[j];
    if (is_before(a, b) || is_before(b, a)) return is_before(a, b);
    return a.depth < b.depth;
  });
  for (const std::size_t i : order) {
    const Loop& loop = inventory.loops[i];
    Lines& lines = lines_of(loop.file);
    const auto end = static_cast<std::size_t>(std::max(loop.line, loop.end_line));
    if (lines.loops.size() <= end) lines.loops.resize(end + 1);
    for (auto line = static_cast<std::size_t>(loop.line); line <= end; ++line)
      lines.loops[line].insert(lines.loops[line].begin(), static_cast<int>(i));
  }

  order.resize(inventory.functions.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    return is_before(inventory.functions[i], inventory.functions[j]);
  });
  for (const std::size_t i : order) {
    const Function& function = inventory.functions[i];
    Lines& lines = lines_of(function.file);
    const auto end = static_cast<std::size_t>(std::max(function.line, function.end_line));
    if (lines.functions.size() <= end) lines.functions.resize(end + 1, -1);
    std::fill(lines.functions.begin() + function.line,
              lines.functions.begin() + static_cast<std::ptrdiff_t>(end) + 1, static_cast<int>(i));
  }
}

int SourceMap::file_number(std::string_view path) const {
  const auto found = by_name_.find(std::string(last_part(path)));
  if (found == by_name_.end()) return -1;
  const std::string normal = std::filesystem::path(path).lexically_normal().string();
  for (const int file : found->second)
    if (is_or_ends_with(normal, files_[static_cast<std::size_t>(file)].path)) return file;
  return -1;
}

const std::vector<int>& SourceMap::loops_at(int file, int line) const {
  static const std::vector<int> none;
  if (file < 0 || line < 0) return none;
  const Lines& lines = files_[static_cast<std::size_t>(file)];
  const auto at = static_cast<std::size_t>(line);
  return at < lines.loops.size() ? lines.loops[at] : none;
}

int SourceMap::function_at(int file, int line) const {
  if (file < 0 || line < 0) return -1;
  const Lines& lines = files_[static_cast<std::size_t>(file)];
  const auto at = static_cast<std::size_t>(line);
  return at < lines.functions.size() ? lines.functions[at] : -1;
}

}  // namespace nablabragg::inventory
