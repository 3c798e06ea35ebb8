#include "measured/measured_image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <span>
#include <string_view>

#include "flags/image_headers.hpp"
#include "io/input_bytes.hpp"
#include "io/input_file.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/panel_arrays.hpp"

namespace nablabragg::measured {

namespace {

constexpr float no_count = std::numeric_limits<float>::quiet_NaN();

/// The largest number that a pixel of an integer type holds marks gaps and dead pixels in some
/// files and overloads in others.
bool may_be_a_mark(double count) {
  for (const int bits : {15, 16, 31, 32})
    if (count == std::ldexp(1, bits) - 1) return true;
  return false;
}

/// How files begin that might be taken for images.
struct Beginning {
  std::string_view bytes;
  const char* format;
};
using namespace std::string_view_literals;
constexpr std::array other_formats{Beginning{"\x89PNG"sv, "a PNG picture"},
                                   Beginning{"PK\x03\x04"sv, "a zip archive"},
                                   Beginning{"P5"sv, "a PGM greymap"}};

/// What comes through a pipe cannot be looked at without using it up, and is taken for SMV.
bool is_regular_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

void check_number(const MeasuredImage& image, int images) {
  const int number = image.number.value_or(1);
  if (number < 1 || number > images)
    throw UsageError(fmt::format("--image-number {}: {} holds {} image{}", number, image.path,
                                 images, images == 1 ? "" : "s"));
}

/// As many counts a photon as the file states, which is worth a line.
double gain_of(const MeasuredImage& image, double stated, std::vector<std::string>& notices) {
  if (image.gain) return *image.gain;
  if (stated != 1)
    notices.push_back(fmt::format(
        "{}: states {:g} counts per photon, which are taken; --gain sets another number",
        image.path, stated));
  return stated;
}

void add(std::vector<std::string>& notices, std::vector<std::string> more) {
  notices.insert(notices.end(), more.begin(), more.end());
}

Reading read_smv(const MeasuredImage& image, const SettledExperiment& settled) {
  check_number(image, 1);
  const io::SmvFile file = io::read_smv(image.path);
  Reading r;
  add(r.notices, flags::contradictions(file, settled.experiment(), settled.resolved()));
  const auto pedestal = file.number("IMAGE_PEDESTAL", {}), gain = file.number("GAIN", {});
  const bool gain_stated = gain && *gain > 0;
  Measurement& m = r.measurement;
  m.counts = {file.fast_pixels, file.slow_pixels, file.pixels};
  m.counts_per_photon = gain_of(image, gain_stated ? *gain : 1, r.notices);
  m.offset = image.offset.value_or(pedestal.value_or(0));
  double saturated = file.largest_count;
  for (const char* const key : {"SATURATED_VALUE", "CCD_IMAGE_SATURATION"})  // d*TREK's, ADSC's
    if (const auto stated = file.number(key, {}); stated && *stated > 0)
      saturated = std::min(saturated, *stated);
  m.overload = image.overload.value_or(saturated);
  r.known = {image.offset || pedestal, image.gain || gain_stated, image.overload.has_value(),
             std::isfinite(file.largest_count) ? file.largest_count : 0};
  // Whole numbers below zero are marks, and so is the 0 of who adds a pedestal and says it.
  const bool whole = std::isfinite(file.largest_count);
  for (float& count : m.counts.pixels)
    if ((whole && count < 0) || (pedestal && *pedestal > 0 && count == 0)) count = no_count;
  return r;
}

/// Bare floats may begin with any bytes; their number tells.
Reading read_floats(const MeasuredImage& image, const SettledExperiment& settled) {
  check_number(image, 1);
  Reading r;
  r.known = {true, true, image.overload.has_value(), 0};  // photons of a simulation
  Measurement& m = r.measurement;
  m.counts = image_of(settled.resolved(), {});
  const PanelExtent first{m.counts.fast_pixels, m.counts.slow_pixels};
  std::size_t pixels = first.pixels();
  for (const PanelExtent& further : m.counts.more_panels) pixels += further.pixels();
  io::InputFile file(image.path);
  if (file.size() != pixels * sizeof(float)) {
    constexpr const char*
        what_is_read = "refine reads CBF, NXmx (HDF5), SMV and TIFF images and raw float32 ones";
    const std::string head(io::Input(image.path).head());
    for (const Beginning& other : other_formats)
      if (head.starts_with(other.bytes))
        throw InputError(image.path, 0,
                         fmt::format("looks like {}; {}", other.format, what_is_read));
    throw InputError(image.path, 0,
                     fmt::format("holds {} bytes, and {} float32 pixels are {}; {}", file.size(),
                                 m.counts.more_panels.empty()
                                     ? fmt::format("{} x {}", first.fast_pixels, first.slow_pixels)
                                     : fmt::format("{}", pixels),
                                 pixels * sizeof(float), what_is_read));
  }
  m.counts.pixels.resize(pixels);
  if (file.read(m.counts.pixels.data(), pixels * sizeof(float)) != pixels * sizeof(float))
    throw InputError(image.path, 0, "ended while it was being read");
  m.counts_per_photon = image.gain.value_or(1);
  m.offset = image.offset.value_or(0);
  if (image.overload) m.overload = *image.overload;
  return r;
}

std::span<float> pixels_of(Image& image, std::size_t panel) {
  const PanelImage p = image.panel(panel);
  return std::span(image.pixels).subspan(p.first_pixel, p.pixels.size());
}

/// One gain and one pedestal for all panels: where theirs differ, their counts become photons.
void join_panels(const MeasuredImage& image, const std::vector<GeometryPanel>& panels,
                 Measurement& m, std::vector<std::string>& notices) {
  const GeometryPanel& first = panels[0];
  const auto differ = [&](double GeometryPanel::*number) {
    return std::ranges::any_of(panels,
                               [&](const GeometryPanel& p) { return p.*number != first.*number; });
  };
  const bool gains = !image.gain && differ(&GeometryPanel::gain),
             pedestals = !image.offset && differ(&GeometryPanel::pedestal);
  if (gains && image.readout_noise > 0)
    throw UsageError("--readout-noise is in counts, and the panels of " + image.path +
                     " differ in their counts per photon; give one for all by --gain");
  if (!gains && !pedestals) {
    m.counts_per_photon = gain_of(image, first.gain, notices);
    m.offset = image.offset.value_or(first.pedestal);
    if (image.overload) m.overload = *image.overload;
    return;
  }
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const double gain = gains ? panels[i].gain : 1,
                 pedestal = image.offset.value_or(panels[i].pedestal);
    for (float& count : pixels_of(m.counts, i))
      count = static_cast<float>((static_cast<double>(count) - pedestal) / gain);
  }
  if (!gains) m.counts_per_photon = gain_of(image, first.gain, notices);
}

Reading read_panels(const MeasuredImage& image, const SettledExperiment& settled) {
  io::ImageFile file = io::read_image(image.path, image.number.value_or(1) - 1);
  check_number(image, file.images);
  Reading r;
  if (io::cut_into_panels(file, image.path, image.panels_in_array))
    r.notices.push_back(
        fmt::format("{}: is one array, which is cut into the {} panels of the model", image.path,
                    image.panels_in_array.size()));
  if (file.images > 1 && !image.number)
    r.notices.push_back(fmt::format(
        "{}: holds {} images, of which the first is taken; --image-number takes another",
        image.path, file.images));
  const std::vector<GeometryPanel>& panels = file.geometry.panels;
  add(r.notices, flags::contradictions(image.path, file.geometry, settled));
  // CBF and NXmx are of detectors that count photons from zero, or say otherwise; TIFF says nothing
  const bool says = file.format != "TIFF";
  r.known = {image.offset || says, image.gain || says, image.overload.has_value(), 0};
  Measurement& m = r.measurement;
  m.counts.fast_pixels = panels.at(0).fast_pixels;
  m.counts.slow_pixels = panels[0].slow_pixels;
  for (std::size_t i = 1; i < panels.size(); ++i)
    m.counts.more_panels.push_back({panels[i].fast_pixels, panels[i].slow_pixels});
  m.counts.pixels.assign(file.pixels.begin(), file.pixels.end());
  constexpr double infinite = std::numeric_limits<double>::infinity();
  std::size_t pixel = 0;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const double least = panels[i].underload.value_or(-infinite);
    // The largest count that a panel can be trusted in is one
    const double most = panels[i].saturation.value_or(infinite);
    const double from = image.overload.value_or(most + 1);
    const std::span<float> counts = pixels_of(m.counts, i);
    for (std::size_t k = 0; k < counts.size(); ++k, ++pixel) {
      const double count = file.pixels[pixel];  // beyond 2^24 float rounds
      if (count < least || (count >= from && may_be_a_mark(count))) counts[k] = no_count;
      if (!(count >= from) || std::isnan(counts[k])) continue;
      m.at_least.resize(m.counts.pixels.size());
      m.at_least[pixel] = 1;
      counts[k] = static_cast<float>(from);
    }
  }
  // Nobody says how many bits a pixel has: as many as hold the largest count
  double largest = 0;
  for (const double count : file.pixels) largest = std::max(largest, count);
  constexpr double of_16_bits = 65535;
  if (largest == of_16_bits || largest == of_16_bits - 1) r.known.largest_count = of_16_bits;
  join_panels(image, panels, m, r.notices);
  return r;
}

}  // namespace

std::vector<MeasuredImage> files_of_images(std::span<const std::string> names,
                                           const MeasuredImage& how, std::size_t count) {
  if (names.size() != 1 && names.size() != count)
    throw UsageError(
        count == 1 ? fmt::format("there are {} images (--image), and the model is of one: what "
                                 "each is of, a series states (-images N -osc D, or -orientations "
                                 "FILE)",
                                 names.size())
                   : fmt::format("there are {} images (--image), and the model is of {}",
                                 names.size(), count));
  if (names.size() > 1 && how.number)
    throw UsageError(
        "--image-number is of one file that holds several images, or of a name with #");
  const int first = how.number.value_or(1);
  std::vector<MeasuredImage> all(count, how);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& name = names[names.size() > 1 ? i : 0];
    const bool numbered = name.find('#', name.rfind('/') + 1) != std::string::npos;
    all[i].path = numbered ? io::file_of_image(name, first + static_cast<int>(i)) : name;
    if (numbered)
      all[i].number.reset();
    else if (names.size() == 1 && count > 1)
      all[i].number = first + static_cast<int>(i);
  }
  return all;
}

Reading read_measurement(const MeasuredImage& image, const SettledExperiment& model) {
  const bool looked_at = is_regular_file(image.path);
  Reading r = !looked_at || io::is_smv(image.path) ? read_smv(image, model)
              : io::is_known_format(image.path)    ? read_panels(image, model)
                                                   : read_floats(image, model);
  r.measurement.readout_noise = image.readout_noise;
  r.measurement.point_spread = image.point_spread;
  return r;
}

}  // namespace nablabragg::measured
