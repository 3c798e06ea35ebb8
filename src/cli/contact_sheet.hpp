// Small pictures of several images on one sheet.
#pragma once
#include <span>
#include <string>
#include <vector>
#include "nablabragg/image.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg::cli {

/// A square or less of a sheet: dark spots on white, each as dark as its darkest pixel.
struct Thumbnail {
  static constexpr int most_edge = 256;
  int width = 0, height = 0;
  std::vector<std::uint16_t> greys;
  std::string words;  ///< below it
};

/// `shown` are the numbers to be seen, one for each pixel of the image.  Images that are larger
/// than a thumbnail are made smaller, block by block, by whole factors.
Thumbnail thumbnail_of(const Resolved& resolved, std::span<const float> shown,
                       const std::string& words);

/// As many in a row as there are rows, or one more.
void write_contact_sheet(const std::string& path, std::span<const Thumbnail> thumbnails);

}  // namespace nablabragg::cli
