#include "io/image_series.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"  // for check_writable

namespace nablabragg::io {

namespace {

/// A direction that is off by so much moves the far corner of a large panel by less than 1e-5
/// pixels.
constexpr double straight = 1e-9;

bool along(const Vec3d& axis, const Vec3d& direction) {
  return length(axis - direction) < straight;
}

/// Without what arithmetic left in the sixteenth digit, so that 172 um are 0.000172 m.
double rounded(double value) {
  std::array<char, 40> text;
  constexpr int digits = 15;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                 std::chars_format::scientific, digits - 1)
                       .ptr;
  std::from_chars(text.data(), end, value);
  return value;
}

std::string text_of(double value, std::chars_format format) {
  std::array<char, 400> text;    // the longest has 309 digits before the point
  value = rounded(value) + 0.0;  // never -0
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value, format);
  return {text.data(), error == std::errc{} ? end : text.data()};
}

std::string number_text(int number, std::size_t digits) {
  std::string text = std::to_string(number);
  return text.size() < digits ? std::string(digits - text.size(), '0') + text : text;
}

}  // namespace

std::string clipped_notice(std::int64_t pixels, const std::string& name) {
  const bool many = pixels > 1;
  return std::to_string(pixels) + (many ? " pixels of " : " pixel of ") + name +
         " would hold more than the format can and " + (many ? "hold" : "holds") +
         " the most that it can (overloads)";
}

std::string template_of_images(const std::string& path) {
  const std::size_t name = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  if (path.find('#', name) != std::string::npos) return path;
  const std::size_t dot = path.rfind('.');
  const std::size_t end = dot == std::string::npos || dot <= name ? path.size() : dot;
  return path.substr(0, end) + "_#####" + path.substr(end);
}

std::string file_of_image(const std::string& path, int number) {
  const std::string name = template_of_images(path);
  const std::size_t first = name.find('#', name.rfind('/') + 1);  // no / is npos
  const std::size_t end = std::min(name.find_first_not_of('#', first), name.size());
  return name.substr(0, first) + number_text(number, end - first) + name.substr(end);
}

std::vector<std::string> files_of_series(const std::string& path, const ImageSeries& series) {
  const std::size_t images = series.images.size();
  const std::size_t name = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  if (images == 1 && path.find('#', name) == std::string::npos) return {path};
  const int number = series.geometry.scan ? series.geometry.scan->first_image : 1;
  std::vector<std::string> files;
  files.reserve(images);
  for (std::size_t i = 0; i < images; ++i)
    files.push_back(file_of_image(path, number + static_cast<int>(i)));
  return files;
}

double wavelength_A(const ImageSeries& series, std::size_t image) {
  const double own = series.images[image].wavelength_A;
  return own > 0 || !series.geometry.beam ? own : series.geometry.beam->wavelength_A;
}

Turn turn_of(const ImageSeries& series, std::size_t image) {
  return {series.images[image].phi_deg, series.geometry.scan ? series.geometry.scan->width_deg : 0};
}

std::size_t pixels_of(const Geometry& geometry) {
  std::size_t pixels = 0;
  for (const GeometryPanel& panel : geometry.panels)
    pixels += static_cast<std::size_t>(panel.fast_pixels) *
              static_cast<std::size_t>(panel.slow_pixels);
  return pixels;
}

std::string fixed_text(double value) { return text_of(value, std::chars_format::fixed); }
std::string shortest_text(double value) { return text_of(value, std::chars_format::general); }

std::string plain_text(std::string_view text) {
  std::string plain(text);
  for (char& c : plain)
    if (c < ' ' || c > '~') c = '?';
  return plain;
}

std::string header_date(std::string_view iso_date) {
  constexpr std::string_view pattern = "0000-00-00T00:00:00";
  const std::string_view date = iso_date.substr(0, pattern.size());
  const bool valid = date.size() == pattern.size() &&
                     std::equal(date.begin(), date.end(), pattern.begin(), [](char c, char p) {
                       return p == '0' ? c >= '0' && c <= '9' : c == p;
                     });
  return std::string(valid ? date : "1970-01-01T00:00:00");
}

std::string why_no_place(const Geometry& geometry) {
  for (const GeometryPanel& panel : geometry.panels)
    if (panel.curved)
      return "files state flat panels, and this detector is curved (-curved_det); -floatfile holds "
             "its photons, and PNG (.png) a picture";
  return "";
}

bool is_plain(const Geometry& geometry) {
  if (geometry.panels.size() != 1 || !geometry.beam) return false;
  const GeometryPanel& panel = geometry.panels[0];
  const bool turns = geometry.scan && geometry.scan->width_deg > 0;
  return along(geometry.beam->direction, {0, 0, -1}) && along(panel.fast_axis, {1, 0, 0}) &&
         along(panel.slow_axis, {0, -1, 0}) && panel.origin_mm.z < 0 &&
         (!turns || along(geometry.scan->spindle_axis, {1, 0, 0}));
}

PlainPanel plain_panel(const Geometry& geometry) {
  const Vec3d& origin = geometry.panels[0].origin_mm;
  return {-origin.z, -origin.x, origin.y};
}

void state_offset(ImageSeries& series, const DetectorResponse& response) {
  if (response.kind != DetectorResponse::Kind::integrating) return;
  for (GeometryPanel& panel : series.geometry.panels) panel.pedestal = response.offset;
}

OneImageAFile::OneImageAFile(const std::string& path, const ImageSeries& series)
    : series_(series), files_(files_of_series(path, series)) {
  if (files_.empty()) throw UsageError(path + " would hold no image: the series is empty");
  for (const std::string& file : {files_.front(), files_.back()}) check_writable(file);
}

void OneImageAFile::add(std::span<const std::int32_t> counts) {
  if (written_ == files_.size())
    throw OutputError("cannot write " + files_.back() + ": the series has only " +
                      std::to_string(files_.size()) + " images");
  if (counts.size() != pixels_of(series_.geometry))
    throw OutputError("cannot write " + files_[written_] + ": the panels have " +
                      std::to_string(pixels_of(series_.geometry)) + " pixels, not " +
                      std::to_string(counts.size()));
  AtomicFile file(files_[written_]);
  write(file, written_, counts);
  file.commit_with(aside_);
  ++written_;
}

void OneImageAFile::add(std::span<const float>) {
  throw UsageError(files_.front() + " holds integer counts, not photons");
}

void OneImageAFile::close() {
  if (written_ != files_.size())
    throw OutputError("cannot write " + files_[written_] + ": only " + std::to_string(written_) +
                      " of " + std::to_string(files_.size()) + " images were made");
  aside_.commit();
}

}  // namespace nablabragg::io
