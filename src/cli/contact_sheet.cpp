#include "cli/contact_sheet.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cli/grey_canvas.hpp"
#include "nablabragg/picture.hpp"

namespace nablabragg::cli {

Thumbnail thumbnail_of(const Resolved& resolved, std::span<const float> shown,
                       const std::string& words) {
  PictureStyle style;
  style.inverted = true;
  const Picture whole(resolved, shown, style);
  style.reduced = (std::max(whole.width(), whole.height()) - 1) / Thumbnail::most_edge + 1;
  const Picture picture(resolved, shown, style);
  Thumbnail t{picture.width(), picture.height(), {}, words};
  std::vector<std::uint16_t> row(static_cast<std::size_t>(t.width));
  for (int y = 0; y < t.height; ++y) {
    picture.fill_row(y, row);
    t.greys.insert(t.greys.end(), row.begin(), row.end());
  }
  return t;
}

void write_contact_sheet(const std::string& path, std::span<const Thumbnail> thumbnails) {
  constexpr int gap = 6, words = GreyCanvas::letter_height + 5;
  const int count = static_cast<int>(thumbnails.size());
  const int columns = static_cast<int>(std::ceil(std::sqrt(count)));
  const int rows = (count - 1) / columns + 1;
  int width = 0, height = 0;
  for (const Thumbnail& t : thumbnails) {
    width = std::max({width, t.width, GreyCanvas::width_of(t.words)});
    height = std::max(height, t.height);
  }
  GreyCanvas canvas(gap + columns * (width + gap), gap + rows * (height + words + gap));
  for (int i = 0; i < count; ++i) {
    const Thumbnail& t = thumbnails[static_cast<std::size_t>(i)];
    const int left = gap + i % columns * (width + gap),
              top = gap + i / columns * (height + words + gap);
    canvas.fill(left - 1, top - 1, t.width + 2, t.height + 2, 128);
    for (int y = 0; y < t.height; ++y)
      for (int x = 0; x < t.width; ++x)
        canvas.fill(left + x, top + y, 1, 1,
                    t.greys[static_cast<std::size_t>(y) * static_cast<std::size_t>(t.width) +
                            static_cast<std::size_t>(x)]);
    canvas.write(left, top + t.height + 3, t.words);
  }
  canvas.write_png(path);
}

}  // namespace nablabragg::cli
