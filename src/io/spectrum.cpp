#include "nablabragg/spectrum.hpp"

#include <algorithm>
#include <cctype>

#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace {

using io::Lines;

constexpr std::string_view separators = ",;\"";  // quotes as tables in CSV have them

/// The units that a title names: "photon energy [eV]", "wavelength_A", "Angstrom", the letter of
/// Angstrom.
std::vector<SpectrumUnit> units_in(std::string_view title) {
  std::vector<std::string> words(1);
  for (const char c : title) {
    if (std::isalpha(static_cast<unsigned char>(c)))
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!words.back().empty())
      words.emplace_back();
  }
  const auto has = [&](const char* word) { return std::ranges::find(words, word) != words.end(); };
  std::vector<SpectrumUnit> units;
  if (has("ev")) units.push_back(SpectrumUnit::eV);
  if (has("kev")) units.push_back(SpectrumUnit::keV);
  const bool letter = title.find("\xC3\x85") != title.npos ||
                      title.find("\xE2\x84\xAB") != title.npos;
  if (has("angstrom") || has("angstroms") || letter ||
      (has("a") && (has("wavelength") || has("lambda"))))
    units.push_back(SpectrumUnit::angstrom);
  return units;
}

struct Row {
  double value, weight;
  long line;
};

/// The rows, and the lines before them.
struct Table {
  std::vector<Row> rows;
  std::vector<std::string> titles;
};

Table table_of(const std::string& path) {
  const std::string text = io::read_text(path);
  Table table;
  Lines lines(text);
  while (lines.next()) {
    std::string_view rest = io::without_comment(lines.line());
    const std::string_view first = io::next_word(rest, separators),
                           second = io::next_word(rest, separators),
                           third = io::next_word(rest, separators);
    // A row that is none may stand at the beginning, too
    const bool is_title = first.empty() || std::string_view("0123456789+-.").find(first[0]) ==
                                               std::string_view::npos;
    if (is_title && !io::parse_number<double>(first) && table.rows.empty()) {
      table.titles.emplace_back(lines.line());
      continue;
    }
    if (first.empty()) continue;
    if (second.empty() || !third.empty())
      throw InputError(path, lines.number(),
                       std::string("has ") +
                           (second.empty() ? "one column" : "more than two columns") +
                           "; a spectrum has two: energy or wavelength, and weight");
    const Row row{io::finite_number(path, lines.number(), "energy or wavelength", first),
                  io::finite_number(path, lines.number(), "weight", second), lines.number()};
    table.rows.push_back(row);
  }
  if (table.rows.empty()) throw InputError(path, 0, "holds no rows of energy and weight");
  return table;
}

SpectrumUnit stated_unit(const std::string& path, const Table& table) {
  constexpr const char* say = "; -spectrum_unit eV, keV or A says what its first column is";
  // The last line that names one is nearest to the columns
  for (auto title = table.titles.rbegin(); title != table.titles.rend(); ++title) {
    const std::vector<SpectrumUnit> units = units_in(*title);
    if (units.size() > 1)
      throw InputError(path, 0,
                       "names several units above its rows (" + io::in_quotes(*title) + ")" + say);
    if (units.size() == 1) return units[0];
  }
  throw InputError(path, 0,
                   std::string("does not say whether its rows are in eV, keV or Angstrom") + say);
}

}  // namespace

Spectrum read_spectrum(const std::string& path, std::optional<SpectrumUnit> unit) {
  const Table table = table_of(path);
  const SpectrumUnit of_rows = unit ? *unit : stated_unit(path, table);
  std::vector<double> values, weights;
  for (const Row& row : table.rows) {
    values.push_back(row.value);
    weights.push_back(row.weight);
    try {  // that row is named which is wrong
      check_channel(row.value, row.weight, of_rows);
    } catch (const UsageError& error) {
      throw InputError(path, row.line, error.what());
    }
  }
  try {
    return spectrum_of(values, weights, of_rows);
  } catch (const UsageError& error) {
    throw InputError(path, 0, error.what());
  }
}

}  // namespace nablabragg
