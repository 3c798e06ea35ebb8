// The letters of pictures.
#pragma once
#include <array>
#include <cstddef>
#include <string_view>

namespace nablabragg::readout {

inline constexpr int letter_width = 6, letter_height = 7;  ///< with the space behind a letter

using LetterRows = std::array<const char*, letter_height>;
/// Of small letters, digits, '+', '-', '.', ',', '=', '/', '(' and ')'; 'A' is the sign of the
/// Angstrom.  Null: there is no such letter, and its place stays empty.
const LetterRows* rows_of(char letter);

inline int width_of(std::string_view text) { return static_cast<int>(text.size()) * letter_width; }

/// Calls mark(x, y) for each dark point of a line of text.
template <class Mark>
void draw_letters(std::string_view text, const Mark& mark) {
  int x = 0;
  for (const char c : text) {
    if (const LetterRows* rows = rows_of(c))
      for (int j = 0; j < letter_height; ++j)
        for (int i = 0; i + 1 < letter_width; ++i)
          if ((*rows)[static_cast<std::size_t>(j)][i] == '#') mark(x + i, j);
    x += letter_width;
  }
}

}  // namespace nablabragg::readout
