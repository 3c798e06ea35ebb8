// Detectors as CrystFEL describes them: a .geom.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include "nablabragg/image_files.hpp"  // for FileFormat, Geometry

namespace nablabragg::io {

FileFormat geom_format();

/// What a .geom may leave to the image files.
struct CrystfelValues {
  std::optional<double> camera_length_mm = {};  ///< for `clen`
  std::optional<double> photon_energy_eV = {};
};

/// Whether a text that begins so is a CrystFEL geometry.
bool begins_as_crystfel_geometry(std::string_view head);

/// In CrystFEL's frame: z along the beam, y up.  Panels whose axes are not quite at right angles,
/// as refined ones are, are squared about their middles, which is said.  Given values replace those
/// of the file.  Throws InputError, which names the key, also where the camera length is a place in
/// the image files and none is given.
Geometry read_crystfel_geometry(const std::string& path, const CrystfelValues& given = {});

/// Which pixels its panels are of the arrays in the image files (min_fs to max_ss).  Throws
/// InputError.
std::vector<PixelRectangle> read_crystfel_places(const std::string& path);

}  // namespace nablabragg::io
