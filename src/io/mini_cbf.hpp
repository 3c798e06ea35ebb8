// The comment header of DECTRIS' detectors, in mini-CBF and TIFF files: "# Wavelength 0.6894 A".
#pragma once
#include <string>
#include <string_view>
#include <vector>
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {

/// What a header says of the experiment, and what it should have said.
struct HeaderGeometry {
  Geometry geometry;
  /// Keys that are needed and not there, "Beam_xy" or "Beam_xy and Wavelength"; then the panels
  /// have a number of pixels and no place.
  std::string missing;
};

/// The geometry, or InputError that names the keys that are missing.
Geometry complete(const std::string& path, HeaderGeometry header);
/// The same for who wants the pixels alone: what is missing is a notice.
Geometry with_notice(HeaderGeometry header);

/// One panel with so many pixels and nothing else.
HeaderGeometry without_geometry(int fast_pixels, int slow_pixels, std::string missing);

/// Whether a text has such lines.
bool has_mini_header(std::string_view text);

/// As DIALS takes it: the panel is square to the beam, fast along the spindle.  Throws InputError
/// for what is no number of the right unit.
HeaderGeometry read_mini_header(const std::string& path, std::string_view text, int fast_pixels,
                                int slow_pixels);

/// Sensor of all panels, where a line states it.
void read_sensor_line(const std::string& path, std::string_view text, Geometry& geometry);

/// The line that states the sensor, where the panels share one; else empty.
std::string sensor_line(const Geometry& geometry);

/// Where the command line and the program that made an image are said, as comments.
std::string provenance_lines(const Provenance& made);

/// What stands between "data_" and the pixels, for a plain geometry.
std::string mini_cbf_text(const ImageSeries& series, std::size_t image);

/// Whether DIALS masks gaps of a PILATUS of this size, and the panel has them.
bool is_pilatus(const GeometryPanel& panel);

}  // namespace nablabragg::io
