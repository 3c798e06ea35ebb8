#include "inventory/report.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <map>

#include "inventory/text.hpp"

namespace nablabragg::inventory {

namespace {

constexpr std::array<LoopClass, 4> all_classes{LoopClass::vectorized, LoopClass::cold,
                                               LoopClass::todo, LoopClass::uncertain};
using Counts = std::array<int, all_classes.size()>;

/// "N_AVX2 g++ 32 bytes x3; N_SSE4 clang++ missed x1"
std::string said(const Loop& loop) {
  std::string text;
  for (const Verdict& v : loop.verdicts) {
    if (!text.empty()) text += "; ";
    text += v.compiler + " " + v.target + " ";
    if (v.vectorized == 0)
      text += "missed";
    else if (v.bytes > 0)
      text += fmt::format("{} bytes", v.bytes);
    else
      text += fmt::format("{} lanes x {}", v.width, v.interleave);
    const int places = v.vectorized > 0 ? v.vectorized : v.missed;
    if (places > 1) text += fmt::format(" ({} places)", places);
    if (v.vectorized > 0 && v.missed > 0) text += fmt::format(", {} missed", v.missed);
  }
  return text.empty() ? "-" : text;
}

}  // namespace

std::string counts_by_class(const Inventory& inventory) {
  std::string text;
  for (const LoopClass c : all_classes) {
    int count = 0;
    for (const Loop& loop : inventory.loops) count += loop.loop_class == c ? 1 : 0;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name_of(c));
  }
  return text;
}

std::string to_markdown(const Inventory& inventory) {
  std::string text = fmt::format(
      "# Loops of {}\n\n{} loops: {}. What the classes and rules mean: docs/vectorization.md.\n\n",
      inventory.package, inventory.loops.size(), counts_by_class(inventory));
  auto out = std::back_inserter(text);
  if (!inventory.unread.empty()) {
    text += "Not read:\n\n";
    for (const Unread& u : inventory.unread)
      fmt::format_to(out, "- {}: {}\n", u.file, one_line(u.reason, 400));
    text += '\n';
  }
  std::map<std::string, Counts> modules;
  Counts total{};
  for (const Loop& loop : inventory.loops)
    for (std::size_t i = 0; i < all_classes.size(); ++i)
      if (loop.loop_class == all_classes.at(i)) {
        ++modules[loop.module].at(i);
        ++total.at(i);
      }
  text += "| module | vectorized | cold | to do | uncertain |\n|---|---|---|---|---|\n";
  const auto row = [&](const std::string& name, const Counts& n) {
    fmt::format_to(out, "| {} | {} | {} | {} | {} |\n", name, n[0], n[1], n[2], n[3]);
  };
  for (const auto& [name, counts] : modules) row(cell(name), counts);
  row("all", total);

  text +=
      "\n| loop | depth | over | turns | class | rule: reason | the compilers | header |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const Loop& loop : inventory.loops)
    fmt::format_to(out, "| {}:{} {} | {} | {} | {} | {} | {}: {} | {} | `{}` |\n", loop.file,
                   loop.line, cell(loop.function), loop.depth, name_of(loop.driver),
                   loop.trip_count ? std::to_string(*loop.trip_count) : "",
                   name_of(loop.loop_class), loop.rule, cell(loop.reason), cell(said(loop), 400),
                   cell(loop.header));
  return text;
}

}  // namespace nablabragg::inventory
