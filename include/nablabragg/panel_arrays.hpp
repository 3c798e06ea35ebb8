// Files that hold the panels of a detector as one array and do not say so: images, masks and maps
// in TIFF, and in CBF without a geometry.
#pragma once
#include <span>
#include <string>
#include <vector>
#include "nablabragg/geometry.hpp"     // for PixelRectangle
#include "nablabragg/image_files.hpp"  // for ImageFile

namespace nablabragg::io {

/// Which pixels the panels of a detector are of such an array: those that `path` says where it is a
/// CrystFEL .geom, else rows below each other.  Empty: of one panel.
std::vector<PixelRectangle> panels_in_array(const std::string& path, const Geometry& detector);
std::vector<PixelRectangle> panels_in_array(const std::string& path,
                                            const SettledExperiment& experiment);

/// Cuts an image that is one array without a place into these panels; any other one is left as it
/// is, and so is one for no panels.  Returns whether it was cut.  Throws InputError where the array
/// is of another size than the panels make up, and where two of them share a pixel.
bool cut_into_panels(ImageFile& image, const std::string& path,
                     std::span<const PixelRectangle> panels);

}  // namespace nablabragg::io
