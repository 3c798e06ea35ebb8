#include "cli/terminal_picture.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace nablabragg::cli {

namespace {

using Color = std::array<std::uint8_t, 3>;

std::vector<Color> row_of(const Picture& picture, int y) {
  const auto channels = static_cast<std::size_t>(picture.channels());
  std::vector<std::uint16_t> samples(static_cast<std::size_t>(picture.width()) * channels);
  picture.fill_row(y, samples);
  std::vector<Color> row(static_cast<std::size_t>(picture.width()));
  for (std::size_t x = 0; x < row.size(); ++x)
    for (std::size_t i = 0; i < 3; ++i)
      row[x][i] = static_cast<std::uint8_t>(samples[channels * x + (channels == 3 ? i : 0)]);
  return row;
}

/// Standard control sequences (ECMA-48): 38 colours what is written, 48 the ground.
void write_blocks(std::ostream& out, const Picture& picture) {
  for (int y = 0; y < picture.height(); y += 2) {
    const bool has_lower = y + 1 < picture.height();
    const std::vector<Color> upper = row_of(picture, y),
                             lower = has_lower ? row_of(picture, y + 1) : upper;
    std::string line;
    for (std::size_t x = 0; x < upper.size(); ++x) {
      const bool new_upper = x == 0 || upper[x] != upper[x - 1],
                 new_lower = has_lower && (x == 0 || lower[x] != lower[x - 1]);
      if (new_upper)
        fmt::format_to(std::back_inserter(line), "\x1b[38;2;{};{};{}m", upper[x][0], upper[x][1],
                       upper[x][2]);
      if (new_lower)
        fmt::format_to(std::back_inserter(line), "\x1b[48;2;{};{};{}m", lower[x][0], lower[x][1],
                       lower[x][2]);
      line += "\u2580";
    }
    out << line << "\x1b[0m\n";
  }
}

/// Which of a few colours stands for each, the most frequent ones for themselves.
class Palette {
 public:
  explicit Palette(const std::vector<std::vector<Color>>& rows) {
    std::map<Color, std::size_t> found;
    for (const auto& row : rows)
      for (const Color& color : row) ++found[rounded(color)];
    std::vector<std::pair<std::size_t, Color>> by_number;
    for (const auto& [color, number] : found) by_number.emplace_back(number, color);
    std::ranges::sort(by_number, std::greater{});
    constexpr std::size_t most = 256;
    for (const auto& [number, color] : by_number) {
      if (colors_.size() < most) colors_.push_back(color);
      index_[color] = nearest(color);
    }
  }

  const std::vector<Color>& colors() const { return colors_; }
  std::size_t of(const Color& color) const { return index_.at(rounded(color)); }

 private:
  static Color rounded(const Color& color) {
    Color few{};
    std::ranges::transform(color, few.begin(),
                           [](std::uint8_t x) { return static_cast<std::uint8_t>(x / 4 * 4 + 2); });
    return few;
  }
  std::size_t nearest(const Color& color) const {
    std::size_t best = 0;
    int least = std::numeric_limits<int>::max();
    for (std::size_t i = 0; i < colors_.size(); ++i) {
      int distance = 0;
      for (std::size_t k = 0; k < 3; ++k) {
        const int off = int{color[k]} - int{colors_[i][k]};
        distance += off * off;
      }
      if (distance >= least) continue;
      least = distance;
      best = i;
    }
    return best;
  }

  std::vector<Color> colors_;
  std::map<Color, std::size_t> index_;
};

/// Six points below each other are a character, its bits from above; colours follow each other on
/// the same six rows (VT330/VT340 Programmer Reference Manual, chapter 14).
void write_sixels(std::ostream& out, const Picture& picture) {
  std::vector<std::vector<Color>> rows;
  for (int y = 0; y < picture.height(); ++y) rows.push_back(row_of(picture, y));
  const Palette palette(rows);
  fmt::print(out, "\x1bPq\"1;1;{};{}", picture.width(), picture.height());
  for (std::size_t i = 0; i < palette.colors().size(); ++i) {
    const auto percent = [&](std::size_t k) {
      return (int{palette.colors()[i][k]} * 100 + 127) / 255;
    };
    fmt::print(out, "#{};2;{};{};{}", i, percent(0), percent(1), percent(2));
  }
  constexpr std::size_t band = 6;
  for (std::size_t top = 0; top < rows.size(); top += band) {
    std::map<std::size_t, std::string> of_colors;
    const auto width = static_cast<std::size_t>(picture.width());
    for (std::size_t j = 0; j < band && top + j < rows.size(); ++j)
      for (std::size_t x = 0; x < width; ++x) {
        std::string& bits = of_colors[palette.of(rows[top + j][x])];
        bits.resize(width, '\0');
        bits[x] = static_cast<char>(bits[x] | 1 << j);
      }
    for (auto of_color = of_colors.begin(); of_color != of_colors.end(); ++of_color) {
      const std::string& bits = of_color->second;
      fmt::print(out, "{}#{}", of_color == of_colors.begin() ? "" : "$", of_color->first);
      for (std::size_t x = 0; x < width;) {
        const std::size_t end = std::min(bits.find_first_not_of(bits[x], x), width);
        const char character = static_cast<char>('?' + bits[x]);
        if (end - x > 3)
          fmt::print(out, "!{}{}", end - x, character);
        else
          out << std::string(end - x, character);
        x = end;
      }
    }
    out << '-';
  }
  out << "\x1b\\\n";
}

}  // namespace

void write_in_terminal(std::ostream& out, const Picture& picture, TerminalPicture kind) {
  if (kind == TerminalPicture::sixel)
    write_sixels(out, picture);
  else
    write_blocks(out, picture);
}

}  // namespace nablabragg::cli
