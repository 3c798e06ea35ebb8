// Tables whose columns may be separated by punctuation: lists of sources, and structure factors of
// amorphous matter (which nanoBragg reads and never uses).
#include <array>
#include <cmath>
#include <cstdio>  // for snprintf

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::io {

namespace {

constexpr std::string_view punctuation = ",;:!";

/// Of the Angstrom values next to the product, one that gives back the same double in metres where
/// there is one; elsewhere the last bit of the wavelength moves.
double to_angstrom(double metres) {
  constexpr double per_metre = 1e10;
  const double product = metres * per_metre;
  const double above = std::nextafter(product, INFINITY), below = std::nextafter(product, 0);
  const double far_above = std::nextafter(above, INFINITY), far_below = std::nextafter(below, 0);
  for (const double candidate : {product, below, above, far_below, far_above})
    if (candidate / per_metre == metres) return candidate;
  return product;
}

/// What a number that is no wavelength in metres might have been meant as.
std::string meant(double value) {
  const auto guess = [value](const char* unit, double angstrom) {
    char text[120];
    std::snprintf(text, sizeof text, "; did you mean %g %s? That is %.6ge-10", value, unit,
                  angstrom);
    return std::string(text);
  };
  if (value >= 0.01 && value < 5) return guess("Angstrom", value);
  if (value >= 5 && value <= 120) return guess("keV", units::angstrom_from_ev(1000 * value));
  if (value > 120 && value <= 1.3e6) return guess("eV", units::angstrom_from_ev(value));
  return {};
}

}  // namespace

std::vector<Source> read_source_list(const std::string& path, const Source& defaults,
                                     std::vector<std::string>* implausible) {
  const std::string text = read_text(path);
  const std::array<std::string, 5> names{"X", "Y", "Z", "the weight", "the wavelength"};
  const std::string in_metres = "the fifth column must be a wavelength in metres, like 1e-10";
  std::vector<Source> sources;
  bool weight_said = false, wavelength_said = false;
  Lines lines(text);
  const auto refuse = [&](const std::string& problem, bool& said) {
    const InputError error(path, lines.number(), problem);
    if (!implausible) throw error;
    if (!said) implausible->emplace_back(error.what());
    said = true;
  };
  while (lines.next()) {
    std::string_view rest = without_comment(lines.line());
    Source source = defaults;
    const std::array<double*, 5> columns{&source.position.x, &source.position.y, &source.position.z,
                                         &source.weight, &source.wavelength_A};
    std::size_t column = 0;
    for (; column < columns.size(); ++column) {
      const std::string_view word = next_word(rest, punctuation);
      if (word.empty()) break;
      *columns[column] = finite_number(path, lines.number(), names[column], word);
    }
    if (column == 0) continue;
    if (source.position == Vec3d{})
      throw InputError(path, lines.number(), "X Y Z are all zero, which is no direction");
    const double distance = length(source.position);
    if (!(distance > 0) || !std::isfinite(distance))
      throw InputError(path, lines.number(),
                       "X Y Z are too small or too large for a direction to be told");
    if (source.weight < 0)
      refuse("the weight is negative; a source gives no less than nothing", weight_said);
    if (column == columns.size()) {
      const double metres = source.wavelength_A;
      source.wavelength_A = to_angstrom(metres);
      if (!(metres > 0) || !std::isfinite(source.wavelength_A))
        throw InputError(path, lines.number(), in_metres);
      if (source.wavelength_A < plausible::shortest_wavelength_A ||
          source.wavelength_A > plausible::longest_wavelength_A)
        refuse(in_metres + meant(metres), wavelength_said);
    }
    sources.push_back(source);
  }
  if (sources.empty()) throw InputError(path, 0, "holds no sources");
  return sources;
}

void check_stol_table(const std::string& path) {
  const std::string text = read_text(path);
  Lines lines(text);
  while (lines.next()) {
    std::string_view rest = without_comment(lines.line());
    const auto stol = parse_number<double>(next_word(rest, punctuation));
    const auto amplitude = parse_number<double>(next_word(rest, punctuation));
    // A title line before the table does no harm to a table that nothing uses.
    if (stol && amplitude) return;
  }
  throw InputError(path, 0, "holds no table of sin(theta)/lambda and F");
}

}  // namespace nablabragg::io
