// What formats share that hold one image a file.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "io/atomic_file.hpp"
#include "nablabragg/detector_response.hpp"
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {

/// The files of a series, as file_of_image() names them; numbers begin with the scan's first image.
/// Without # a single image has the name itself.
std::vector<std::string> files_of_series(const std::string& path, const ImageSeries& series);

/// The wavelength of one image.
double wavelength_A(const ImageSeries& series, std::size_t image);

/// Where the spindle stands when the image begins, and how far it turns.
struct Turn {
  double start_deg = 0, width_deg = 0;
};
Turn turn_of(const ImageSeries& series, std::size_t image);

/// Below it a header that says nothing of polarization misleads: DIALS takes such a beam for fully
/// polarized.
inline constexpr double most_polarization_unsaid = 0.99;

/// Pixels of all panels together.
std::size_t pixels_of(const Geometry& geometry);

/// As many of 15 significant digits as the number needs, without an exponent.
std::string fixed_text(double value);
/// The same, with an exponent where that is shorter.
std::string shortest_text(double value);

/// What is told of pixels that a format could not hold.
std::string clipped_notice(std::int64_t pixels, const std::string& name);

/// Printable ASCII on one line: what a header may hold of somebody's text.
std::string plain_text(std::string_view text);

/// "2026-11-28T18:50:08" of an ISO 8601 date: what headers of images take, without fractions and
/// zone; 1970-01-01T00:00:00 for what is no date.
std::string header_date(std::string_view iso_date);

/// Why no file states where the pixels are, as a sentence; empty: one can.
std::string why_no_place(const Geometry& geometry);

/// Whether readers that know of no axes have it right: one panel, square to a beam along -z, fast
/// along x, slow against y, in front of the source, and the spindle, where there is one, along x.
bool is_plain(const Geometry& geometry);

/// Of a plain geometry.
struct PlainPanel {
  double distance_mm;
  double fast_mm, slow_mm;  ///< where the beam meets the panel, from the outer corner of pixel
                            ///< (0,0)
};
PlainPanel plain_panel(const Geometry& geometry);

/// The offset of an integrating detector, which files state as their pedestal.
void state_offset(ImageSeries& series, const DetectorResponse& response);

/// One image a file, each written aside; they get their names at close().
class OneImageAFile : public ImageWriter {
 public:
  OneImageAFile(const std::string& path, const ImageSeries& series);
  void add(std::span<const std::int32_t> counts) final;
  void add(std::span<const float> photons) final;
  void close() final;

 protected:
  const ImageSeries& series() const { return series_; }
  const std::vector<std::string>& files() const { return files_; }
  /// The whole file of one image.
  virtual void write(AtomicFile& file, std::size_t image, std::span<const std::int32_t> counts) = 0;

 private:
  ImageSeries series_;
  std::vector<std::string> files_;
  std::size_t written_ = 0;
  FileSeries aside_;
};

}  // namespace nablabragg::io
