// TIFF images of detectors.
#pragma once
#include <string>
#include <string_view>
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {

FileFormat tiff_format();

/// From the first bytes of a file.
bool is_tiff(std::string_view head);

/// The first image of a grey TIFF: integers of 8, 16 and 32 bits, reals of 32 and 64.  The geometry
/// is that of DECTRIS' comment header, where the file has one; else the panel has no place, and a
/// notice names what is missing.  Negative numbers of signed integers hold no count.
ImageFile read_tiff(const std::string& path);

/// Throws InputError that names the keys that are missing.
Geometry read_tiff_geometry(const std::string& path);

}  // namespace nablabragg::io
