// Calculated structure factors as an MTZ file.
#include <algorithm>  // for min, sort
#include <cstddef>
#include <numeric>  // for iota
#include <string>
#include <vector>

#define GEMMI_WRITE_IMPLEMENTATION
#include <gemmi/mtz.hpp>  // for Mtz

#include "nablabragg/crystallography.hpp"

namespace nablabragg::io {

namespace {

/// No longer than that, and no character of several bytes cut in two.
std::string cut(const std::string& text, std::size_t longest) {
  std::size_t end = std::min(text.size(), longest);
  const auto continues = [&] { return (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80; };
  while (end > 0 && end < text.size() && continues()) --end;
  return text.substr(0, end);
}

}  // namespace

std::string mtz_of(const CalculatedFactors& factors, const std::string& title,
                   const std::vector<std::string>& history) {
  constexpr std::size_t longest_title = 70, longest_line = 80;
  gemmi::Mtz mtz(/*with_base=*/true);
  mtz.title = cut(title, longest_title);
  for (const std::string& line : history) mtz.history.push_back(cut(line, longest_line));
  mtz.spacegroup = gemmi::find_spacegroup_by_name(factors.space_group);
  const double* const c = factors.cell;
  mtz.set_cell_for_all(gemmi::UnitCell(c[0], c[1], c[2], c[3], c[4], c[5]));
  mtz.add_dataset("calculated");
  const bool has_hands = !factors.hands.empty();
  if (has_hands) mtz.datasets.back().wavelength = factors.wavelength_A;
  mtz.add_column(has_hands ? "F(+)" : "FC", has_hands ? 'G' : 'F', -1, -1, false);
  mtz.add_column(has_hands ? "F(-)" : "PHIC", has_hands ? 'G' : 'P', -1, -1, false);
  mtz.nreflections = static_cast<int>(factors.asymmetric_unit.size());
  mtz.sort_order = {{1, 2, 3, 0, 0}};
  mtz.data.reserve(mtz.columns.size() * factors.asymmetric_unit.size());
  std::vector<std::size_t> sorted(factors.asymmetric_unit.size());
  std::iota(sorted.begin(), sorted.end(), std::size_t{0});
  std::sort(sorted.begin(), sorted.end(), [&](std::size_t a, std::size_t b) {
    return factors.asymmetric_unit[a].hkl < factors.asymmetric_unit[b].hkl;
  });
  for (const std::size_t i : sorted) {
    const CalculatedReflection& r = factors.asymmetric_unit[i];
    for (const int index : r.hkl) mtz.data.push_back(static_cast<float>(index));
    mtz.data.push_back(static_cast<float>(has_hands ? factors.hands[i][0] : r.amplitude));
    mtz.data.push_back(static_cast<float>(has_hands ? factors.hands[i][1] : r.phase_deg));
  }
  std::string bytes;
  mtz.write_to_string(bytes);
  return bytes;
}

}  // namespace nablabragg::io
