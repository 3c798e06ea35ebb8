// CBF images: mini-CBF headers of DECTRIS' detectors, and full imgCIF.
#pragma once
#include <string>
#include <string_view>
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {

/// Integer counts with byte-offset compression and MD5, one image a file (files_of_series() has
/// their names).  A panel that mini-CBF's readers have right gets such a header; tilted, turned or
/// several panels and other spindles get imgCIF's axes.
FileFormat cbf_format();

/// What of the series programs will not find in the files, a sentence each.
std::vector<std::string> cbf_notices(const ImageSeries& series);

/// From the first bytes of a file.
bool is_cbf(std::string_view head);

/// `image` is 0: a file holds one.  A header that does not say where the detector is leaves the
/// panels without a place, with a notice that names what is missing.  Negative pixels and those of
/// imgCIF's undefined value hold no count.
ImageFile read_cbf(const std::string& path, int image);

/// Throws InputError that names the keys that are missing.
Geometry read_cbf_geometry(const std::string& path);

}  // namespace nablabragg::io
