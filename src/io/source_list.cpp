// Tables whose columns may be separated by punctuation: lists of sources, and structure factors of
// amorphous matter (which nanoBragg reads and never uses).
#include <array>
#include <cmath>

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

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

}  // namespace

std::vector<Source> read_source_list(const std::string& path, const Source& defaults) {
  const std::string text = read_text(path);
  const std::array<std::string, 5> names{"X", "Y", "Z", "the weight", "the wavelength"};
  std::vector<Source> sources;
  Lines lines(text);
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
    if (column == columns.size()) {
      const double metres = source.wavelength_A;
      source.wavelength_A = to_angstrom(metres);
      if (!(metres > 0) || !std::isfinite(source.wavelength_A))
        throw InputError(path, lines.number(),
                         "the fifth column must be a wavelength in metres, like 1e-10");
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
