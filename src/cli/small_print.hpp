// Words and numbers in a grey picture: capitals and digits of five rows.
#pragma once
#include <array>
#include <string_view>

namespace nablabragg::cli {

struct SmallGlyph {
  char letter;
  std::array<std::string_view, 5> rows;
};

inline constexpr std::array small_glyphs{
    SmallGlyph{'0', {"###", "# #", "# #", "# #", "###"}},
    SmallGlyph{'1', {" # ", "## ", " # ", " # ", "###"}},
    SmallGlyph{'2', {"###", "  #", "###", "#  ", "###"}},
    SmallGlyph{'3', {"###", "  #", " ##", "  #", "###"}},
    SmallGlyph{'4', {"# #", "# #", "###", "  #", "  #"}},
    SmallGlyph{'5', {"###", "#  ", "###", "  #", "###"}},
    SmallGlyph{'6', {"###", "#  ", "###", "# #", "###"}},
    SmallGlyph{'7', {"###", "  #", " # ", " # ", " # "}},
    SmallGlyph{'8', {"###", "# #", "###", "# #", "###"}},
    SmallGlyph{'9', {"###", "# #", "###", "  #", "###"}},
    SmallGlyph{'-', {"  ", "  ", "##", "  ", "  "}},
    SmallGlyph{' ', {"  ", "  ", "  ", "  ", "  "}},
    SmallGlyph{'A', {" # ", "# #", "###", "# #", "# #"}},
    SmallGlyph{'D', {"## ", "# #", "# #", "# #", "## "}},
    SmallGlyph{'E', {"###", "#  ", "## ", "#  ", "###"}},
    SmallGlyph{'F', {"###", "#  ", "## ", "#  ", "#  "}},
    SmallGlyph{'I', {"#", "#", "#", "#", "#"}},
    SmallGlyph{'L', {"#  ", "#  ", "#  ", "#  ", "###"}},
    SmallGlyph{'M', {"#   #", "## ##", "# # #", "#   #", "#   #"}},
    SmallGlyph{'N', {"#  #", "## #", "# ##", "#  #", "#  #"}},
    SmallGlyph{'R', {"## ", "# #", "## ", "# #", "# #"}},
    SmallGlyph{'S', {"###", "#  ", "###", "  #", "###"}},
    SmallGlyph{'T', {"###", " # ", " # ", " # ", " # "}},
    SmallGlyph{'U', {"# #", "# #", "# #", "# #", "###"}}};

constexpr int small_dot = 2;  ///< edge [pixels]
constexpr int small_height = 5 * small_dot;

/// Calls `pixel(x, y)` for each black pixel of a text whose upper left corner is (x, y).  What has
/// no glyph is left out.
template <class Pixel>
void print_small(int x, int y, std::string_view text, const Pixel& pixel) {
  for (const char letter : text)
    for (const SmallGlyph& glyph : small_glyphs) {
      if (glyph.letter != letter) continue;
      const int width = static_cast<int>(glyph.rows[0].size()) * small_dot;
      for (int j = 0; j < small_height; ++j)
        for (int i = 0; i < width; ++i)
          if (glyph.rows[static_cast<std::size_t>(j / small_dot)]
                        [static_cast<std::size_t>(i / small_dot)] == '#')
            pixel(x + i, y + j);
      x += width + small_dot;
    }
}

}  // namespace nablabragg::cli
