// Orientation matrices of MOSFLM.
#include <array>

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

Mat3d read_mosflm_matrix(const std::string& path) {
  const std::string text = read_text(path);
  std::array<double, 9> numbers{};
  std::size_t count = 0;
  Lines lines(text);
  // What follows, the misset angles, U and the cell, is not needed.
  while (count < numbers.size() && lines.next()) {
    std::string_view rest = lines.line();
    while (count < numbers.size()) {
      const std::string_view word = next_word(rest);
      if (word.empty()) break;
      const std::string name = "number " + std::to_string(count + 1) + " of the orientation matrix";
      numbers[count++] = finite_number(path, lines.number(), name, word);
    }
  }
  if (count < numbers.size())
    throw InputError(
        path, 0,
        "holds only " + std::to_string(count) + " of the nine numbers of an orientation matrix");
  const auto& m = numbers;
  return {{m[0], m[1], m[2]}, {m[3], m[4], m[5]}, {m[6], m[7], m[8]}};
}

}  // namespace nablabragg::io
