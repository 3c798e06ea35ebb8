#include "inventory/correlation_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "inventory/csv.hpp"
#include "inventory/text.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

const std::vector<std::string> columns{"module",       "line",       "loop_id", "percent_inclusive",
                                       "percent_self", "call_count", "class",   "notes"};

void add_functions(std::string& text, const std::string& title,
                   const std::vector<NamedShare>& shares, double least_percent) {
  if (shares.empty() || shares[0].percent < least_percent) return;
  text += fmt::format("\n## {}\n\n| function | % |\n|---|---:|\n", title);
  for (const NamedShare& share : shares)
    if (share.percent >= least_percent)
      text += fmt::format("| `{}` | {:.2f} |\n", cell(share.name), share.percent);
}

/// Loops whose class says other than their instructions.
void add_disagreements(std::string& text, const Inventory& inventory,
                       const Correlation& correlation, double least_percent) {
  std::string lines;
  for (const LoopShare& share : correlation.loops) {
    const Loop& loop = inventory.loops[share.loop];
    const bool vectorised = loop.loop_class == LoopClass::vectorized;
    if (share.self < least_percent || !(vectorised ? is_scalar(share) : is_packed(share))) continue;
    const OperationMix& mix = vectorised ? share.mix_inside : share.mix;
    lines += fmt::format("- `{}` is {}, but packed by {:.0f} %\n", ascii(loop.id),
                         name_of(loop.loop_class), 100 * mix.packed_part());
  }
  if (!lines.empty()) text += "\n## Classes that the machine code contradicts\n\n" + lines;
}

}  // namespace

std::string hot_loops_csv(const Inventory& inventory, const Correlation& correlation,
                          double least_percent) {
  std::string text = csv_line(columns);
  for (const LoopShare& share : correlation.loops) {
    if (std::max(share.inclusive, share.self) < least_percent) continue;
    const Loop& loop = inventory.loops[share.loop];
    text += csv_line({loop.module, std::to_string(loop.line), loop.id,
                      fmt::format("{:.3f}", share.inclusive), fmt::format("{:.3f}", share.self),
                      fmt::format("{:.0f}", share.calls), name_of(loop.loop_class), share.notes});
  }
  return text;
}

bool is_packed(const LoopShare& share) { return share.mix.packed_part() >= 0.5; }

bool is_scalar(const LoopShare& share) {
  return share.mix_inside.packed_part() < 0.1 && share.mix_inside.scalar_part() > 0.1;
}

VectorisedShare vectorised_share(const Inventory& inventory, const Correlation& correlation) {
  VectorisedShare result;
  result.outside_loops = correlation.simd_outside;
  for (const LoopShare& share : correlation.loops) {
    if (inventory.loops[share.loop].loop_class == LoopClass::vectorized) {
      result.loops += share.self;
      result.called_by_them += share.called;
    } else {
      result.in_other_loops += is_packed(share) ? share.self - share.called : share.simd_code;
    }
  }
  return result;
}

std::string correlation_markdown(const Inventory& inventory, const Correlation& correlation,
                                 double least_percent, const std::vector<std::string>& about) {
  std::string text = "# Where the time goes, by loop\n\n";
  for (const std::string& line : about) text += "- " + ascii(line) + "\n";
  text += fmt::format("- {}\n", correlation.method);
  text += fmt::format("- Total: {:.6g} {}", correlation.total, correlation.unit);
  if (correlation.total < correlation.whole)
    text += fmt::format(", {:.1f} % of the run's {:.6g}",
                        100 * correlation.total / correlation.whole, correlation.whole);
  text += ".\n";

  const VectorisedShare vectorised = vectorised_share(inventory, correlation);
  text += "\n## Vectorised\n\n| what | % of the total |\n|---|---:|\n";
  const auto row = [&](const std::string& what, double percent) {
    text += fmt::format("| {} | {:.2f} |\n", what, percent);
  };
  row("in vectorised loops (by the innermost loop)", vectorised.loops);
  row("... of it in functions called there, which have no loops", vectorised.called_by_them);
  row("in code of vector types outside of loops", vectorised.outside_loops);
  row("in loops of other classes: code of vector types, or packed by half or more",
      vectorised.in_other_loops);
  row("**all vectorised**", vectorised.all());
  if (const OperationMix& mix = correlation.mix; mix.total() > 0) {
    row("packed instructions, as executed", 100 * mix.packed / correlation.total);
    row("scalar floating-point instructions, as executed", 100 * mix.scalar() / correlation.total);
  }

  text += "\n## By class of the innermost loop\n\n| class | % |\n|---|---:|\n";
  for (const LoopClass c :
       {LoopClass::vectorized, LoopClass::cold, LoopClass::todo, LoopClass::uncertain})
    row(name_of(c), share_of_class(inventory, correlation, c));
  row("no loop, vector types", correlation.simd_outside);
  row("no loop", correlation.outside);

  std::map<std::string, double> modules;
  for (const LoopShare& share : correlation.loops)
    modules[inventory.loops[share.loop].module] += share.self;
  text += "\n## By module, in loops\n\n| module | % |\n|---|---:|\n";
  for (const auto& [module, percent] : modules) row(module, percent);

  text += fmt::format(
      "\n## Loops with {:g} % or more\n\nCalls: {}.\n\n"
      "| self % | inclusive % | calls | class | loop | line | notes |\n"
      "|---:|---:|---:|---|---|---:|---|\n",
      least_percent, correlation.calls_are);
  for (const LoopShare& share : correlation.loops) {
    if (std::max(share.inclusive, share.self) < least_percent) continue;
    const Loop& loop = inventory.loops[share.loop];
    text += fmt::format("| {:.2f} | {:.2f} | {:.0f} | {} | `{}` | {} | {} |\n", share.self,
                        share.inclusive, share.calls, name_of(loop.loop_class), cell(loop.id),
                        loop.line, cell(share.notes));
  }
  add_disagreements(text, inventory, correlation, least_percent);
  add_functions(text, "Code of vector types outside of loops", correlation.simd_outside_by,
                least_percent);
  add_functions(text, "Code outside of loops", correlation.outside_by, least_percent);
  return text;
}

std::vector<HotLoop> read_hot_loops(const std::string& file) {
  const auto table = parse_csv(io::read_text(file), file);
  if (table.empty() || table[0] != columns)
    throw InputError(file, 1, "is no hot_loops.csv of nablabragg-inventory correlate");
  std::vector<HotLoop> loops;
  for (std::size_t i = 1; i < table.size(); ++i) {
    const auto number = [&](std::size_t column) {
      return io::finite_number(file, static_cast<long>(i) + 1, columns[column], table[i][column]);
    };
    if (table[i].size() != columns.size())
      throw InputError(file, static_cast<long>(i) + 1,
                       fmt::format("has {} fields, not {}", table[i].size(), columns.size()));
    loops.push_back({table[i][2], number(3), number(4)});
  }
  return loops;
}

}  // namespace nablabragg::inventory
