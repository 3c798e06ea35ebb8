// Geometry for pyFAI.
#pragma once
#include <string>
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {

FileFormat poni_format();

/// A .poni file, version 2, of a detector with one panel.  The azimuth begins at the polarization's
/// plane; where pyFAI's frame would have the panel from behind, it runs the other way around.
/// Throws UsageError for several panels, for one that the beam does not fall on from the front, and
/// for a geometry without a beam; OutputError as all writers.
void write_poni(const std::string& path, const Geometry& geometry);

}  // namespace nablabragg::io
