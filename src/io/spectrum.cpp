#include "nablabragg/spectrum.hpp"

#include <algorithm>
#include <cctype>

#include "io/quotes.hpp"
#include "io/two_columns.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace {

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

SpectrumUnit stated_unit(const std::string& path, const io::TwoColumns& table) {
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
  const io::TwoColumns table = io::read_two_columns(path,
                                                    {"spectrum", "energy or wavelength", "weight"});
  const SpectrumUnit of_rows = unit ? *unit : stated_unit(path, table);
  std::vector<double> values, weights;
  for (const io::TwoColumnRow& row : table.rows) {
    values.push_back(row.first);
    weights.push_back(row.second);
    try {  // that row is named which is wrong
      check_channel(row.first, row.second, of_rows);
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
