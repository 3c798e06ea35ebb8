// Orientation matrices of MOSFLM.
#include <array>
#include <cmath>
#include <vector>

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

namespace {

constexpr std::size_t matrix_numbers = 9;

/// The geometry file of XDS tells itself by its title, or, where that is gone, by the numbers of
/// its lines: image, angle, oscillation and spindle; wavelength and beam; group and cell.
void refuse_xparm(const std::string& path, std::string_view text) {
  const auto is_title = [](std::string_view line) {
    return line.find("XPARM") != std::string_view::npos;
  };
  std::vector<std::size_t> counts;
  Lines lines(text);
  bool titled = false, numbers_only = true;
  while (counts.size() < 3 && lines.next()) {
    std::string_view rest = lines.line();
    titled = titled || is_title(rest);
    std::size_t count = 0;
    for (auto word = next_word(rest); !word.empty(); word = next_word(rest), ++count)
      numbers_only = numbers_only && parse_number<double>(word);
    if (count > 0) counts.push_back(count);
  }
  if (titled || (numbers_only && counts == std::vector<std::size_t>{6, 4, 7}))
    throw InputError(path, 0,
                     "is XPARM.XDS or GXPARM.XDS of XDS, not a matrix of MOSFLM; its axes stand in "
                     "another frame and another order");
}

}  // namespace

MatrixFile read_mosflm_matrix(const std::string& path) {
  const std::string text = read_text(path);
  refuse_xparm(path, text);
  // The matrix, three misset angles, U, the cell, three misset angles: MOSFLM writes all of them.
  constexpr std::size_t cell_begin = matrix_numbers + 3 + 9;
  std::vector<double> numbers;
  Lines lines(text);
  bool only_numbers = true;
  while (only_numbers && numbers.size() < cell_begin + 6 && lines.next()) {
    std::string_view rest = lines.line();
    for (auto word = next_word(rest); only_numbers && !word.empty(); word = next_word(rest)) {
      if (numbers.size() < matrix_numbers) {
        numbers.push_back(finite_number(
            path, lines.number(),
            "number " + std::to_string(numbers.size() + 1) + " of the orientation matrix", word));
        continue;
      }
      // What follows may be missing, or words.
      const auto number = parse_number<double>(word);
      only_numbers = number && std::isfinite(*number);
      if (only_numbers) numbers.push_back(*number);
    }
  }
  if (numbers.size() < matrix_numbers)
    throw InputError(path, 0,
                     "holds only " + std::to_string(numbers.size()) +
                         " of the nine numbers of an orientation matrix");
  const auto& m = numbers;
  MatrixFile file{{{m[0], m[1], m[2]}, {m[3], m[4], m[5]}, {m[6], m[7], m[8]}}, std::nullopt};
  if (m.size() >= cell_begin + 6) {
    CellNumbers cell{};
    for (std::size_t i = 0; i < cell.size(); ++i) cell[i] = m[cell_begin + i];
    // Some programs leave zeros here.
    if (cell[0] > 0 && cell[1] > 0 && cell[2] > 0) file.cell = cell;
  }
  return file;
}

}  // namespace nablabragg::io
