#include "cli/grey_canvas.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "nablabragg/io.hpp"

namespace nablabragg::cli {

namespace {

struct Letter {
  char character;
  std::array<const char*, GreyCanvas::letter_height> rows;
};

constexpr std::array letters{
    Letter{'0', {" ### ", "#   #", "#  ##", "# # #", "##  #", "#   #", " ### "}},
    Letter{'1', {"  #  ", " ##  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "}},
    Letter{'2', {" ### ", "#   #", "    #", "  ## ", " #   ", "#    ", "#####"}},
    Letter{'3', {" ### ", "#   #", "    #", "  ## ", "    #", "#   #", " ### "}},
    Letter{'4', {"   # ", "  ## ", " # # ", "#  # ", "#####", "   # ", "   # "}},
    Letter{'5', {"#####", "#    ", "#### ", "    #", "    #", "#   #", " ### "}},
    Letter{'6', {" ### ", "#    ", "#    ", "#### ", "#   #", "#   #", " ### "}},
    Letter{'7', {"#####", "    #", "   # ", "   # ", "  #  ", "  #  ", "  #  "}},
    Letter{'8', {" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", " ### "}},
    Letter{'9', {" ### ", "#   #", "#   #", " ####", "    #", "    #", " ### "}},
    Letter{'-', {"     ", "     ", "     ", "#####", "     ", "     ", "     "}},
    Letter{'+', {"     ", "  #  ", "  #  ", "#####", "  #  ", "  #  ", "     "}},
    Letter{'=', {"     ", "     ", "#####", "     ", "#####", "     ", "     "}},
    Letter{'.', {"     ", "     ", "     ", "     ", "     ", "  ## ", "  ## "}},
    Letter{'a', {"     ", "     ", " ### ", "    #", " ####", "#   #", " ####"}},
    Letter{'b', {"#    ", "#    ", "#### ", "#   #", "#   #", "#   #", "#### "}},
    Letter{'c', {"     ", "     ", " ####", "#    ", "#    ", "#    ", " ####"}},
    Letter{'d', {"    #", "    #", " ####", "#   #", "#   #", "#   #", " ####"}},
    Letter{'e', {"     ", "     ", " ### ", "#   #", "#####", "#    ", " ####"}},
    Letter{'f', {"  ## ", " #   ", "#### ", " #   ", " #   ", " #   ", " #   "}},
    Letter{'g', {"     ", " ####", "#   #", "#   #", " ####", "    #", " ### "}},
    Letter{'h', {"#    ", "#    ", "#### ", "#   #", "#   #", "#   #", "#   #"}},
    Letter{'i', {"  #  ", "     ", " ##  ", "  #  ", "  #  ", "  #  ", " ### "}},
    Letter{'j', {"   # ", "     ", "  ## ", "   # ", "   # ", "#  # ", " ##  "}},
    Letter{'k', {"#    ", "#    ", "#  # ", "# #  ", "##   ", "# #  ", "#  # "}},
    Letter{'l', {" ##  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "}},
    Letter{'m', {"     ", "     ", "## # ", "# # #", "# # #", "# # #", "# # #"}},
    Letter{'n', {"     ", "     ", "#### ", "#   #", "#   #", "#   #", "#   #"}},
    Letter{'o', {"     ", "     ", " ### ", "#   #", "#   #", "#   #", " ### "}},
    Letter{'p', {"     ", "     ", "#### ", "#   #", "#### ", "#    ", "#    "}},
    Letter{'q', {"     ", "     ", " ####", "#   #", " ####", "    #", "    #"}},
    Letter{'r', {"     ", "     ", "# ## ", "##   ", "#    ", "#    ", "#    "}},
    Letter{'s', {"     ", "     ", " ####", "#    ", " ### ", "    #", "#### "}},
    Letter{'t', {" #   ", " #   ", "#### ", " #   ", " #   ", " #   ", "  ## "}},
    Letter{'u', {"     ", "     ", "#   #", "#   #", "#   #", "#   #", " ####"}},
    Letter{'v', {"     ", "     ", "#   #", "#   #", "#   #", " # # ", "  #  "}},
    Letter{'w', {"     ", "     ", "#   #", "#   #", "# # #", "# # #", " # # "}},
    Letter{'x', {"     ", "     ", "#   #", " # # ", "  #  ", " # # ", "#   #"}},
    Letter{'y', {"     ", "     ", "#   #", "#   #", " ####", "    #", " ### "}},
    Letter{'z', {"     ", "     ", "#####", "   # ", "  #  ", " #   ", "#####"}}};

}  // namespace

void GreyCanvas::fill(int x, int y, int width, int height, std::uint16_t grey) {
  const int right = std::min(x + width, width_), bottom = std::min(y + height, height_);
  for (int j = std::max(y, 0); j < bottom; ++j)
    for (int i = std::max(x, 0); i < right; ++i)
      greys_[static_cast<std::size_t>(j) * static_cast<std::size_t>(width_) +
             static_cast<std::size_t>(i)] = grey;
}

void GreyCanvas::write(int x, int y, std::string_view text, int zoom) {
  for (const char c : text) {
    for (const Letter& letter : letters) {
      if (letter.character != c) continue;
      for (int j = 0; j < letter_height; ++j)
        for (int i = 0; i + 1 < letter_width; ++i)
          if (letter.rows[static_cast<std::size_t>(j)][i] == '#')
            fill(x + zoom * i, y + zoom * j, zoom, zoom, 0);
    }
    x += zoom * letter_width;
  }
}

void GreyCanvas::write_png(const std::string& path) const {
  io::write_png(path, width_, height_, 8, [&](int slow, std::span<std::uint16_t> row) {
    const auto begin = greys_.begin() + static_cast<std::ptrdiff_t>(slow) * width_;
    std::copy(begin, begin + width_, row.begin());
  });
}

}  // namespace nablabragg::cli
