#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "io/img_cif_frames.hpp"
#include "io/mini_cbf.hpp"
#include "io/quotes.hpp"
#include "io/smv_images.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/conventions.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"  // for SmvFile, AdscCentre
#include "nablabragg/plausible.hpp"

namespace nablabragg::io {

namespace {

constexpr std::array<std::string_view, 1> mm{"mm"};
constexpr std::array<std::string_view, 4> angstrom{"A", "angstrom", "Angstroms", "Angstrom"};
constexpr std::array<std::string_view, 3> degree{"deg", "degree", "degrees"};
constexpr std::array<std::string_view, 3> second{"s", "sec", "seconds"};
constexpr double most_mm = 1e6, most_degrees = 1e6, most_seconds = 1e9, least_pixel_mm = 1e-4,
                 most_pixel_mm = 100;

class Header {
 public:
  explicit Header(const SmvFile& file) : file_(file) {}

  [[noreturn]] void refuse(const std::string& problem) const {
    throw InputError(file_.path, 0, problem);
  }

  std::optional<double> number(const std::string& key, std::span<const std::string_view> units,
                               double least, double most) const {
    if (!file_.text(key)) return std::nullopt;
    const auto value = file_.number(key, units);
    if (!(*value >= least && *value <= most))
      refuse(key + " cannot be meant: " + in_quotes(*file_.text(key)));
    return value;
  }

  /// The same of a key that is needed.
  double needed(const std::string& key, std::span<const std::string_view> units, double least,
                double most) {
    const auto value = number(key, units, least, most);
    if (!value) miss(key);
    return value.value_or(0);
  }

  /// So many numbers; fewer where `missing` says that the key is not there.
  std::vector<double> numbers(const std::string& key, std::size_t count) {
    const auto text = file_.text(key);
    if (!text) {
      miss(key);
      return std::vector<double>(count);
    }
    std::vector<double> values;
    std::string_view rest = *text;
    for (std::string_view word = next_word(rest); !word.empty() && values.size() < count;
         word = next_word(rest))
      values.push_back(finite_number(file_.path, 0, key, word));
    if (values.size() < count)
      refuse(key + " should hold " + std::to_string(count) + " numbers: " + in_quotes(*text));
    for (const double value : values)
      if (std::abs(value) > most_mm) refuse(key + " cannot be meant: " + in_quotes(*text));
    return values;
  }

  Vec3d vector(const std::string& key) {
    const std::vector<double> v = numbers(key, 3);
    return {v[0], v[1], v[2]};
  }

  void miss(const std::string& key) {
    if (std::ranges::find(missing_, key) == missing_.end()) missing_.push_back(key);
  }

  std::string missing() const {
    std::string text;
    for (std::size_t i = 0; i < missing_.size(); ++i)
      text += (i == 0 ? "" : i + 1 == missing_.size() ? " and " : ", ") + missing_[i];
    return text;
  }

  const SmvFile& file() const { return file_; }

 private:
  const SmvFile& file_;
  std::vector<std::string> missing_;
};

/// A scan of this start and width; a negative one turns the axis over.
std::optional<GeometryScan> scan_of(const Vec3d& axis, std::optional<double> start,
                                    std::optional<double> width, std::optional<double> exposure) {
  if (!start || !width || *width == 0) return std::nullopt;
  const double sign = *width < 0 ? -1 : 1;
  GeometryScan scan;
  scan.spindle_axis = sign * axis;
  scan.start_deg = sign * *start;
  scan.width_deg = sign * *width;
  scan.exposure_s = exposure.value_or(0);
  return scan;
}

// ---- d*TREK -------------------------------------------------------------------------------------

/// The word before the detector's keys, "CCD_"; empty where the header is none of d*TREK's.
std::string dtrek_prefix(const SmvFile& file) {
  const auto names = file.text("DETECTOR_NAMES");
  if (!names) return "";
  std::string_view rest = *names;
  return std::string(next_word(rest));
}

void read_dtrek(Header& header, const std::string& prefix, Geometry& geometry) {
  GeometryPanel& panel = geometry.panels[0];
  const SmvFile& file = header.file();
  const std::vector<double> axes = header.numbers(prefix + "DETECTOR_VECTORS", 6),
                            info = header.numbers(prefix + "SPATIAL_DISTORTION_INFO", 4);
  std::vector<double> mixed{1, 0, 0, 1};
  if (file.text(prefix + "SPATIAL_DISTORTION_VECTORS"))
    mixed = header.numbers(prefix + "SPATIAL_DISTORTION_VECTORS", 4);
  if (const auto type = file.text(prefix + "SPATIAL_DISTORTION_TYPE");
      type && *type != "Simple_spatial" && *type != "None")
    header.refuse(prefix + "SPATIAL_DISTORTION_TYPE is " + in_quotes(*type) +
                  ", and only Simple_spatial can be read");
  const Vec3d first{axes[0], axes[1], axes[2]}, second_axis{axes[3], axes[4], axes[5]};
  Frame detector;
  detector.x = mixed[0] * first + mixed[1] * second_axis;
  detector.y = mixed[2] * first + mixed[3] * second_axis;
  panel.fast_pixel_mm = info[2];
  panel.slow_pixel_mm = info[3];
  detector.origin = -((info[0] * info[2]) * detector.x + (info[1] * info[3]) * detector.y);

  // What stands first in the list stands on all others.
  const std::string units_key = prefix + "GONIO_UNITS", values_key = prefix + "GONIO_VALUES";
  const auto units = file.text(units_key);
  if (!units) header.miss(units_key);
  std::vector<std::string> words;
  std::string_view rest = units ? std::string_view(*units) : std::string_view();
  for (std::string_view word = next_word(rest); !word.empty() && words.size() < 12;
       word = next_word(rest))
    words.emplace_back(word);
  const std::vector<double> values = header.numbers(values_key, words.size()),
                            vectors = header.numbers(prefix + "GONIO_VECTORS", 3 * words.size());
  for (std::size_t i = words.size(); i-- > 0;) {
    const Vec3d axis{vectors[3 * i], vectors[3 * i + 1], vectors[3 * i + 2]};
    if (words[i] == "deg") {
      if (values[i] == 0) continue;
      if (length(axis) == 0) header.refuse(prefix + "GONIO_VECTORS has an axis of no length");
      detector.x = rotated(detector.x, unit(axis), values[i]);
      detector.y = rotated(detector.y, unit(axis), values[i]);
      detector.origin = rotated(detector.origin, unit(axis), values[i]);
    } else if (words[i] == "mm") {
      detector.origin = detector.origin + values[i] * axis;
    } else {
      header.refuse(units_key + " is " + in_quotes(words[i]) + ", and only deg and mm can be read");
    }
  }
  panel.fast_axis = unit(detector.x);
  panel.slow_axis = unit(detector.y);
  panel.origin_mm = detector.origin;
  panel.underload = 0;
  panel.saturation = header.number("SATURATED_VALUE", {}, 0, 1e18);

  GeometryBeam& beam = geometry.beam.emplace();
  const Vec3d source = header.vector("SOURCE_VECTORS");
  beam.direction = -unit(source);
  if (file.text("SCAN_WAVELENGTH")) {
    beam.wavelength_A = header.needed("SCAN_WAVELENGTH", angstrom, plausible::shortest_wavelength_A,
                                      plausible::longest_wavelength_A);
  } else {
    // How many there are stands before them.
    const std::vector<double> wavelengths = header.numbers("SOURCE_WAVELENGTH", 2);
    beam.wavelength_A = wavelengths[1];
  }
  if (header.missing().empty()) {
    if (!(beam.wavelength_A >= plausible::shortest_wavelength_A &&
          beam.wavelength_A <= plausible::longest_wavelength_A))
      header.refuse("SOURCE_WAVELENGTH cannot be meant: " +
                    in_quotes(file.text("SOURCE_WAVELENGTH").value_or("")));
    for (const double pixel : {panel.fast_pixel_mm, panel.slow_pixel_mm})
      if (!(pixel >= least_pixel_mm && pixel <= most_pixel_mm))
        header.refuse(prefix + "SPATIAL_DISTORTION_INFO states pixels that cannot be meant: " +
                      in_quotes(*file.text(prefix + "SPATIAL_DISTORTION_INFO")));
    for (const auto& [axis, key] : {std::pair(panel.fast_axis, prefix + "DETECTOR_VECTORS"),
                                    std::pair(panel.slow_axis, prefix + "DETECTOR_VECTORS"),
                                    std::pair(beam.direction, std::string("SOURCE_VECTORS"))})
      if (length(axis) == 0) header.refuse(key + " has an axis of no length");
    if (std::abs(dot(panel.fast_axis, panel.slow_axis)) > 1e-3)
      header.refuse(prefix + "DETECTOR_VECTORS are not at right angles");
  }
  if (file.text("ROTATION") && file.text("ROTATION_VECTOR")) {
    const std::vector<double> turn = header.numbers("ROTATION", 4);
    const Vec3d axis = unit(header.vector("ROTATION_VECTOR"));
    if (length(axis) > 0) geometry.scan = scan_of(axis, turn[0], turn[2], std::max(0.0, turn[3]));
  }
  if (file.text("SOURCE_POLARZ"))
    geometry.notices.emplace_back("SOURCE_POLARZ of the header is left out");
}

// ---- ADSC, nanoBragg ----------------------------------------------------------------------------

std::string pixel_text(const BeamSpot& spot, double pixel_mm) {
  const auto text = [&](double value) { return std::to_string(std::lround(value / pixel_mm)); };
  return "fast " + text(spot.fast_mm) + ", slow " + text(spot.slow_mm);
}

/// How nanoBragg's conventions look in imgCIF's frame.
struct Looks {
  Convention convention;
  Vec3d fast, slow;
};
constexpr std::array<Looks, 5> looks{{{Convention::mosflm, {1, 0, 0}, {0, -1, 0}},
                                      {Convention::denzo, {1, 0, 0}, {0, -1, 0}},
                                      {Convention::xds, {1, 0, 0}, {0, -1, 0}},
                                      {Convention::adxv, {1, 0, 0}, {0, 1, 0}},
                                      {Convention::dials, {0, 1, 0}, {1, 0, 0}}}};

void read_adsc(Header& header, Geometry& geometry) {
  const SmvFile& file = header.file();
  GeometryPanel& panel = geometry.panels[0];
  const double pixel_mm = header.needed("PIXEL_SIZE", mm, least_pixel_mm, most_pixel_mm);
  panel.fast_pixel_mm = panel.slow_pixel_mm = pixel_mm;
  const double distance_mm = header.needed("DISTANCE", mm, 1e-3, most_mm);
  if (file.text("WAVELENGTH")) {
    geometry.beam.emplace();
    geometry.beam->wavelength_A = header.needed(
        "WAVELENGTH", angstrom, plausible::shortest_wavelength_A, plausible::longest_wavelength_A);
  } else {
    header.miss("WAVELENGTH");
  }
  for (const char* const key : {"TWOTHETA", "DETECTOR_ROTX", "DETECTOR_ROTY", "DETECTOR_ROTZ"})
    if (const auto angle = header.number(key, degree, -most_degrees, most_degrees);
        angle && *angle != 0)
      header.refuse(std::string(key) +
                    " turns the detector, and the header does not say about "
                    "which axis; give the geometry by flags or an .expt file");
  const auto said = file.text("CONVENTION");
  const auto convention = said ? convention_named(*said) : std::nullopt;
  const auto look = std::ranges::find(looks, convention.value_or(Convention::denzo),
                                      &Looks::convention);
  if (look == looks.end())
    header.refuse(
        "was made with vectors of its own, which the header does not hold; give the "
        "geometry by flags or an .expt file");

  BeamSpot spot;
  // nanoBragg's headers, in each of its conventions
  if (file.text("DENZO_X_BEAM") && file.text("DENZO_Y_BEAM")) {
    spot.slow_mm = header.needed("DENZO_X_BEAM", mm, -most_mm, most_mm);
    spot.fast_mm = header.needed("DENZO_Y_BEAM", mm, -most_mm, most_mm);
    if (!convention)
      geometry.notices.emplace_back(
          "the header does not name its convention, so the spindle is taken to lie along the rows");
  } else if (file.text("BEAM_CENTER_X") && file.text("BEAM_CENTER_Y")) {
    const AdscCentre centre = adsc_centre(file);
    if (!centre.spot) header.refuse("the beam centre " + centre.how);
    spot = *centre.spot;
    geometry.notices.push_back("the beam centre " + centre.how);
  } else {
    for (const char* const key : {"BEAM_CENTER_X", "BEAM_CENTER_Y"})
      if (!file.text(key)) header.miss(key);
  }
  panel.fast_axis = look->fast;
  panel.slow_axis = look->slow;
  panel.origin_mm = Vec3d{0, 0, -distance_mm} - spot.fast_mm * panel.fast_axis -
                    spot.slow_mm * panel.slow_axis;
  if (const auto pedestal = header.number("IMAGE_PEDESTAL", {}, -1e9, 1e9))
    panel.pedestal = *pedestal;
  if (const auto gain = header.number("GAIN", {}, 1e-9, 1e9)) panel.gain = *gain;
  if (std::isfinite(file.largest_count)) panel.saturation = file.largest_count - 1;
  const auto start = file.text("PHI")
                         ? header.number("PHI", degree, -most_degrees, most_degrees)
                         : header.number("OSC_START", degree, -most_degrees, most_degrees);
  geometry.scan = scan_of({1, 0, 0}, start,
                          header.number("OSC_RANGE", degree, -most_degrees, most_degrees),
                          header.number("TIME", second, 0, most_seconds));
}

HeaderGeometry read_header(const SmvFile& file) {
  HeaderGeometry result = without_geometry(file.fast_pixels, file.slow_pixels, "");
  Header header(file);
  const std::string prefix = dtrek_prefix(file);
  const bool dtrek = !prefix.empty() && file.text(prefix + "DETECTOR_VECTORS");
  if (dtrek)
    read_dtrek(header, prefix, result.geometry);
  else
    read_adsc(header, result.geometry);
  result.missing = header.missing();
  if (!result.missing.empty()) {
    GeometryPanel& panel = result.geometry.panels[0];
    panel.fast_axis = panel.slow_axis = panel.origin_mm = {};
  }
  return result;
}

}  // namespace

AdscCentre adsc_centre(const SmvFile& file) {
  Header header(file);
  const double pixel_mm = header.needed("PIXEL_SIZE", mm, least_pixel_mm, most_pixel_mm),
               x = header.needed("BEAM_CENTER_X", mm, -most_mm, most_mm),
               y = header.needed("BEAM_CENTER_Y", mm, -most_mm, most_mm);
  if (!header.missing().empty()) return {std::nullopt, "lacks " + header.missing()};
  const BeamSpot as_adsc{x, file.slow_pixels * pixel_mm - y}, as_denzo{y, x};
  const auto apart = [&](const BeamSpot& a, const BeamSpot& b) {
    return std::max(std::abs(a.fast_mm - b.fast_mm), std::abs(a.slow_mm - b.slow_mm)) / pixel_mm;
  };
  const std::string
      adsc = "BEAM_CENTER_X counts along the rows and BEAM_CENTER_Y from the last row",
      denzo = "BEAM_CENTER_X counts along the columns and BEAM_CENTER_Y along the rows";
  // Headers round to 0.01 mm, and the panel's edge is not always that of its pixels.
  constexpr double same_pixels = 3;
  const auto denzo_x = header.number("DENZO_XBEAM", mm, -most_mm, most_mm),
             denzo_y = header.number("DENZO_YBEAM", mm, -most_mm, most_mm);
  if (denzo_x && denzo_y) {
    const BeamSpot spot{*denzo_y, *denzo_x};
    const double to_adsc = apart(spot, as_adsc), to_denzo = apart(spot, as_denzo);
    if (std::min(to_adsc, to_denzo) <= same_pixels) {
      const bool is_adsc = to_adsc < to_denzo;
      return {is_adsc ? as_adsc : as_denzo,
              "is at " + pixel_text(is_adsc ? as_adsc : as_denzo, pixel_mm) + " pixels: " +
                  (is_adsc ? adsc : denzo) + ", as DENZO_XBEAM and DENZO_YBEAM agree"};
    }
    return {std::nullopt,
            "cannot be told: BEAM_CENTER_X and BEAM_CENTER_Y do not agree with DENZO_XBEAM and "
            "DENZO_YBEAM in any convention; -Xbeam and -Ybeam set it"};
  }
  if (apart(as_adsc, as_denzo) <= 0.5)
    return {as_denzo,
            "is at " + pixel_text(as_denzo, pixel_mm) + " pixels, as all conventions have it"};
  return {std::nullopt, "can be meant in two ways: by ADSC's convention it is at " +
                            pixel_text(as_adsc, pixel_mm) + " pixels, by DENZO's and DIALS' at " +
                            pixel_text(as_denzo, pixel_mm) +
                            "; -adxv or -denzo says which, or -Xbeam and -Ybeam set it"};
}

ImageFile read_smv_image(const std::string& path) {
  const SmvFile file = read_smv(path);
  ImageFile image;
  image.format = "SMV";
  image.geometry = with_notice(read_header(file));
  image.pixels.assign(file.pixels.begin(), file.pixels.end());
  if (image.geometry.panels[0].pedestal > 0)
    std::ranges::replace(image.pixels, 0.0, std::numeric_limits<double>::quiet_NaN());
  return image;
}

Geometry read_smv_geometry(const std::string& path) {
  const SmvFile file = read_smv(path);
  return complete(path, read_header(file));
}

}  // namespace nablabragg::io
