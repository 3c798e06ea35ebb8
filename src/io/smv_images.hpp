// SMV images with the geometry that their headers state: d*TREK's, ADSC's, nanoBragg's and our own.
#pragma once
#include <string>
#include <vector>
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {

/// Counts of 16 bits, with `smv_pedestal` of them where there is no photon, one image a file
/// (files_of_series() has their names).  For one flat panel that is square to the beam, with its
/// rows along the spindle.  Pixels that hold no count become 0.
FileFormat smv_format();

inline constexpr int smv_pedestal = 40;
inline constexpr int smv_largest_count = 65535 - smv_pedestal;

/// What of the series programs will not find in the files, a sentence each.
std::vector<std::string> smv_notices(const ImageSeries& series);

/// The pixels of an SMV file and its geometry; a header that does not say where the detector is
/// leaves the panel without a place, with a notice that names what is missing.  Zeros of a file
/// that states a pedestal (IMAGE_PEDESTAL) hold no count.
ImageFile read_smv_image(const std::string& path);

/// Throws InputError that names the keys that are missing, or that can be meant in two ways.
Geometry read_smv_geometry(const std::string& path);

}  // namespace nablabragg::io
