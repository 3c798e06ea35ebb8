// Images with their geometry, in the formats that other programs process.
//
// Readers throw InputError("FILE: problem, what to do"), which names the key that is missing;
// writers throw UsageError for what a format cannot say, with one that can, and OutputError for
// what could not be written; they leave no half-written file.
#pragma once
#include <cstddef>  // for std::byte
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>  // for std::pair
#include <vector>
#include "nablabragg/geometry.hpp"
#include "nablabragg/image.hpp"            // for gap_pixel, masked_pixel
#include "nablabragg/io.hpp"               // for FillRow, PngText
#include "nablabragg/predicted_spots.hpp"  // for PredictedSpot
#include "nablabragg/spectra.hpp"

namespace nablabragg::io {

/// How images were made: what their files repeat.
struct Provenance {
  std::string program;       ///< with its version; empty: nothing is said
  std::string command_line;  ///< as command_line_text() makes it
  std::int64_t seed = 0;
  std::string experiment = {};  ///< JSON; empty: none
  std::string date = {};        ///< ISO 8601, UTC
};

/// Now, as Provenance::date takes it; or, for files that are the same bit for bit, the second since
/// 1970 that SOURCE_DATE_EPOCH in the environment states.
std::string date_now();

/// What an image of a series has for itself.
struct ImageState {
  double phi_deg = 0;                          ///< spindle angle where it begins; of stills 0
  double wavelength_A = 0;                     ///< 0: that of the geometry's beam
  std::vector<GeometryCrystal> crystals = {};  ///< of a still; empty: those of the geometry
};

/// What a file of images holds.  The pixels of an image are those of its panels, one after the
/// other, fast axis contiguous.
struct ImageSeries {
  Geometry geometry;               ///< in imgCIF's frame: see in_imgcif_frame()
  std::vector<ImageState> images;  ///< one for each, in their order
  /// A shot for each image; null: all have the spectrum of the geometry's beam.
  std::shared_ptr<const Spectra> spectra = {};
  bool counts = true;  ///< int32 counts; false: float32 photons
  Provenance provenance;
  std::string compression = {};  ///< one of the format's; empty: its first
};

/// A file of images that is being written.  Nothing stands under its name before close().
class ImageWriter {
 public:
  virtual ~ImageWriter() = default;
  /// The next image of the series, of the kind that the series states.
  virtual void add(std::span<const std::int32_t> counts) = 0;
  virtual void add(std::span<const float> photons) = 0;
  virtual void close() = 0;
  /// Pixels so far that held more than the format can, and got the most it can.
  virtual std::int64_t clipped() const { return 0; }
};

/// Bytes of a file.
struct FilePart {
  std::uint64_t at = 0, bytes = 0;
};

/// A file of all images of a series, which are packed by any thread and put there in their order.
class SeriesWriter : public ImageWriter {
 public:
  /// An image as put() takes it; by several threads at a time, for different images.
  virtual std::vector<std::byte> pack(std::span<const std::int32_t> counts) const = 0;
  virtual std::vector<std::byte> pack(std::span<const float> photons) const = 0;
  /// The next image.  Returns where it lies in the file.
  virtual FilePart put(std::vector<std::byte> packed) = 0;
  /// The same of the bytes that lay in another file, which such a writer made of the same series.
  virtual FilePart put_stored(std::span<const std::byte> bytes) = 0;
  /// Whether what pack() gives is what the file will hold.
  virtual bool stores_as_packed() const = 0;
};

/// Pixels and geometry of one image of a file.
struct ImageFile {
  std::string format;  ///< "CBF"
  Geometry geometry;
  std::vector<double> pixels;  ///< panel by panel; what holds no count is NaN
  int images = 1;              ///< that the file holds
};

/// A format of files with images, or with what describes them.  What is null it does not do.
struct FileFormat {
  const char* name;                  ///< "NXmx"
  std::vector<const char*> endings;  ///< ".nxs", "_master.h5": the first fits most
  const char* written;               ///< what a file holds that is written, for docs/files.md
  const char* geometry;              ///< what of the geometry it states, for the same

  /// Whether a file that begins so is one; null: it is not read.
  bool (*begins)(std::string_view head) = nullptr;
  ImageFile (*read)(const std::string& path, int image) = nullptr;
  Geometry (*read_geometry)(const std::string& path, int experiment,
                            std::optional<double> distance_mm) = nullptr;

  // What a file is made from: one of these
  std::unique_ptr<ImageWriter> (*open)(const std::string& path,
                                       const ImageSeries& series) = nullptr;  ///< images
  /// All images of a series in one file; null: each has its own.  Until close() the file has the
  /// name `unfinished`, in the same folder, and keeps it where the program ends before.
  std::unique_ptr<SeriesWriter> (*open_series)(const std::string& path, const ImageSeries& series,
                                               const std::string& unfinished) = nullptr;
  /// The experiment, as write_expt() has it.
  void (*write_experiment)(const std::string& path, const ImageSeries& series,
                           const std::string& image_path) = nullptr;
  void (*write_true_spots)(const std::string& path, std::span<const PredictedSpot> spots,
                           const ImageSeries& series) = nullptr;
  /// As write_png() has them.
  void (*write_picture)(const std::string& path, int fast_pixels, int slow_pixels, int bits,
                        const FillRow<std::uint16_t>& fill, std::span<const PngText> texts,
                        int channels) = nullptr;

  /// Why it cannot hold the series, as a sentence that names a format that can; empty: it can.
  std::string (*why_not)(const ImageSeries& series) = [](const ImageSeries&) {
    return std::string();
  };
  /// What of the series programs will not find in the file, a sentence each.
  std::vector<std::string> (*notices)(const ImageSeries& series) = [](const ImageSeries&) {
    return std::vector<std::string>();
  };
  std::vector<const char*> compressions = {};  ///< that it has a choice of; the first is its own

  bool is_written() const { return open || write_experiment || write_true_spots || write_picture; }
};

/// The file of one image of a series.  A run of # in the name becomes the image's number, with at
/// least so many digits (lyso_####.cbf: lyso_0001.cbf); without one it stands before the ending
/// (lyso.cbf: lyso_00001.cbf), which DIALS and XDS take for a template.
std::string file_of_image(const std::string& path, int number);
/// The name with the # that it stands for: lyso_#####.cbf.
std::string template_of_images(const std::string& path);

/// All of them; a format is one file of src/io and one row.
std::span<const FileFormat> file_formats();

/// The one to be written, by the ending of the name.  Throws UsageError that lists the endings.
const FileFormat& format_to_write(const std::string& path);

/// CBF, NXmx (and HDF5 that names its pixels so), SMV, TIFF: told by content.  `image` counts from
/// 0.
ImageFile read_image(const std::string& path, int image = 0);

/// Whether the content is that of a format which read_image() or read_geometry() knows.  Throws
/// InputError where the file cannot be read.
bool is_known_format(const std::string& path);

/// The geometry alone: of the files that read_image() takes, of a dxtbx .expt and of a CrystFEL
/// .geom.  `experiment` is which one of an .expt, from 0; `distance_mm` is that of a .geom, which
/// may leave it to the image files.
Geometry read_geometry(const std::string& path, int experiment = 0,
                       std::optional<double> distance_mm = std::nullopt);

/// A dxtbx experiment list of a series, in the form that dxtbx 3.11 and later ones read.
/// `image_path` is the file with the pixels, or a template (image_####.cbf) of several; empty: no
/// images.  A scan becomes one experiment a crystal, stills one experiment an image and crystal.
/// Throws UsageError for what the format cannot say, and OutputError.
void write_expt(const std::string& path, const ImageSeries& series, const std::string& image_path);

/// Whether the file has an SMV header.  Throws InputError where it cannot be read.
bool is_smv(const std::string& path);

}  // namespace nablabragg::io
