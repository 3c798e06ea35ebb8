// Experiments as DIALS keeps them: dxtbx's .expt, a text in JSON.
#pragma once
#include <string>
#include <string_view>
#include <vector>
#include "nablabragg/image_files.hpp"  // for ImageSeries, Geometry

namespace nablabragg::io {

FileFormat expt_format();

/// Whether a file that begins so is a dxtbx experiment list.
bool begins_as_expt(std::string_view head);

/// Beam, panels with their groups, scan and crystal of one of its experiments, from 0.  What of it
/// is not taken, and how many experiments there are, is said in the notices.  Throws InputError.
Geometry read_expt_geometry(const std::string& path, int experiment = 0);

/// What write_expt() states of a panel's sensor: its own value, or that of its material; 0:
/// neither.
double attenuation_per_mm_of(const GeometryPanel& panel, double wavelength_A);

/// The names that write_expt() gives its experiments, and that reflections refer to.
std::vector<std::string> expt_identifiers(const ImageSeries& series);

}  // namespace nablabragg::io
