// A grey picture that squares and short words are drawn into.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include "readout/letters.hpp"

namespace nablabragg::cli {

class GreyCanvas {
 public:
  static constexpr int letter_width = readout::letter_width, letter_height = readout::letter_height;

  GreyCanvas(int width, int height)
      : width_(width),
        height_(height),
        greys_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 255) {}

  int width() const { return width_; }
  int height() const { return height_; }

  /// What lies outside is left out.
  void fill(int x, int y, int width, int height, std::uint16_t grey);
  /// In black, `zoom` pixels for each of a letter's.
  void write(int x, int y, std::string_view text, int zoom = 1);
  static int width_of(std::string_view text, int zoom = 1) {
    return readout::width_of(text) * zoom;
  }

  void write_png(const std::string& path) const;

 private:
  int width_, height_;
  std::vector<std::uint16_t> greys_;
};

}  // namespace nablabragg::cli
