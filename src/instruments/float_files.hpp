// Raw float images, which carry no shape: how many pixels their edges have must come from
// elsewhere.
#pragma once
#include <optional>
#include <string>
#include "instruments/image_metrics.hpp"  // for PairStatistics
#include "nablabragg/image.hpp"           // for Image
#include "nablabragg/sampling.hpp"        // for RegionOfInterest

namespace nablabragg::instruments {

struct ImageShape {
  int fast_pixels = 0, slow_pixels = 0;
  bool operator==(const ImageShape&) const = default;
};

struct FoundShape {
  ImageShape shape;
  std::string from;  ///< "the header of intimage.img"
};

/// The shape of a float image, from the first of these that has as many pixels as the file: the
/// header of an SMV image of the same run, the line "(FASTxSLOW pixels)" of what the program
/// printed, a square.  Throws InputError when there is none.
FoundShape find_shape(const std::string& float_file, const std::string& smv_file,
                      const std::string& printed_file);

/// Throws InputError when the file has another number of pixels.
Image read_float_image(const std::string& path, const ImageShape& shape);

/// Compares two files row by row, so that neither image is ever held.
PairStatistics compare_float_files(const std::string& reference, const std::string& image,
                                   const ImageShape& shape, const RegionOfInterest& region);

}  // namespace nablabragg::instruments
