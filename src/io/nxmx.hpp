// NXmx, the application definition of NeXus for macromolecular crystallography: HDF5 files that
// DIALS, XDS, fabio and silx read.
//
// Written is the layout that all versions of dxtbx from 3.11 on read alike: the panels below each
// other in one image, the place of each in its module_offset, behind one axis that all share.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {

FileFormat nxmx_format();

/// How its images may be packed: deflated after shuffle, by all threads while the next image is
/// computed, or by HDF5's filter 32008 in the thread that adds the image.
inline constexpr const char *nxmx_deflate = "deflate", *nxmx_bitshuffle = "bitshuffle_lz4";

/// Throws UsageError for what NXmx's readers cannot hold and where HDF5 has no filter 32008, and
/// OutputError where the file cannot be made.
std::unique_ptr<ImageWriter> open_nxmx(const std::string& path, const ImageSeries& series);
std::unique_ptr<SeriesWriter> open_nxmx_series(const std::string& path, const ImageSeries& series,
                                               const std::string& unfinished);

/// An HDF5 file, by its first 2 KiB.
bool is_nxmx(std::string_view head);

/// As dxtbx reads it, by the first detector of the first entry.  Scan and wavelength are those of
/// the image, which counts from 0.  Throws InputError that names the field in question.
ImageFile read_nxmx(const std::string& path, int image = 0);

/// Without the pixels; the scan is that of all images, the wavelength that of the first.
Geometry read_nxmx_geometry(const std::string& path);

/// What nablaBragg writes of how it made the images.
struct NxmxExperiment {
  std::string json;  ///< of the experiment (experiment_json.hpp)
  int images = 0;    ///< that the file holds
};
/// Empty: the file has none.
std::optional<NxmxExperiment> read_nxmx_experiment(const std::string& path);

}  // namespace nablabragg::io
