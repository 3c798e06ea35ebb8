#include "cli/grey_canvas.hpp"

#include <algorithm>
#include <cstddef>

#include "nablabragg/io.hpp"

namespace nablabragg::cli {

void GreyCanvas::fill(int x, int y, int width, int height, std::uint16_t grey) {
  const int right = std::min(x + width, width_), bottom = std::min(y + height, height_);
  for (int j = std::max(y, 0); j < bottom; ++j)
    for (int i = std::max(x, 0); i < right; ++i)
      greys_[static_cast<std::size_t>(j) * static_cast<std::size_t>(width_) +
             static_cast<std::size_t>(i)] = grey;
}

void GreyCanvas::write(int x, int y, std::string_view text, int zoom) {
  readout::draw_letters(text,
                        [&](int i, int j) { fill(x + zoom * i, y + zoom * j, zoom, zoom, 0); });
}

void GreyCanvas::write_png(const std::string& path) const {
  io::write_png(path, width_, height_, 8, [&](int slow, std::span<std::uint16_t> row) {
    const auto begin = greys_.begin() + static_cast<std::ptrdiff_t>(slow) * width_;
    std::copy(begin, begin + width_, row.begin());
  });
}

}  // namespace nablabragg::cli
