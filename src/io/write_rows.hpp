// The pixels of an image file, a few megabytes at a time so that no second image is held.
#pragma once
#include <tbb/parallel_for.h>
#include <algorithm>
#include <span>
#include <vector>
#include "io/atomic_file.hpp"
#include "nablabragg/io.hpp"  // for FillRow, RowOrder

namespace nablabragg::io {

/// `header` and the rows behind it.
template <class Pixel>
void write_rows(AtomicFile& file, const std::string& header, int fast_pixels, int slow_pixels,
                const FillRow<Pixel>& fill, RowOrder order) {
  constexpr std::size_t band_bytes = std::size_t{2} << 20;
  const auto width = static_cast<std::size_t>(fast_pixels);
  const int most_rows = static_cast<int>(
      std::clamp<std::size_t>(band_bytes / std::max<std::size_t>(width * sizeof(Pixel), 1), 1,
                              static_cast<std::size_t>(std::max(slow_pixels, 1))));
  file.expect(header.size() + width * static_cast<std::size_t>(slow_pixels) * sizeof(Pixel));
  file.write(header);
  std::vector<Pixel> band(width * static_cast<std::size_t>(most_rows));
  for (int first = 0; first < slow_pixels; first += most_rows) {
    const int rows = std::min(most_rows, slow_pixels - first);
    const auto fill_row = [&](int row) {
      fill(first + row, std::span(band).subspan(static_cast<std::size_t>(row) * width, width));
    };
    if (order == RowOrder::any)
      tbb::parallel_for(0, rows, fill_row);
    else
      for (int row = 0; row < rows; ++row) fill_row(row);
    file.write(std::as_bytes(std::span(band).first(static_cast<std::size_t>(rows) * width)));
  }
}

}  // namespace nablabragg::io
