// The orientations of stills.
#include <string>
#include <vector>

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/series.hpp"  // for is_rotation, misset_deg_of

namespace nablabragg::io {

std::vector<Vec3d> read_orientations(const std::string& path) {
  const std::string text = read_text(path);
  std::vector<Vec3d> missets_deg;
  std::vector<double> numbers;
  Lines lines(text);
  while (lines.next()) {
    std::string_view rest = without_comment(lines.line());
    numbers.clear();
    for (auto word = next_word(rest); !word.empty(); word = next_word(rest))
      numbers.push_back(finite_number(path, lines.number(),
                                      "number " + std::to_string(numbers.size() + 1), word));
    if (numbers.empty()) continue;
    if (numbers.size() == 3) {
      missets_deg.push_back({numbers[0], numbers[1], numbers[2]});
      continue;
    }
    if (numbers.size() != 9)
      throw InputError(path, lines.number(),
                       "has " + std::to_string(numbers.size()) +
                           " numbers; an orientation is three angles in degrees or a rotation "
                           "matrix of nine numbers");
    const Mat3d matrix{{numbers[0], numbers[1], numbers[2]},
                       {numbers[3], numbers[4], numbers[5]},
                       {numbers[6], numbers[7], numbers[8]}};
    if (!is_rotation(matrix))
      throw InputError(path, lines.number(),
                       "is no rotation matrix: its rows are not at right angles, not 1 long or "
                       "left-handed");
    missets_deg.push_back(misset_deg_of(matrix));
  }
  if (missets_deg.empty()) throw InputError(path, 0, "holds no orientation");
  return missets_deg;
}

}  // namespace nablabragg::io
