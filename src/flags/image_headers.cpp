#include "flags/image_headers.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>

#include "flags/geometry_files.hpp"
#include "nablabragg/conventions.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::flags {

namespace {

using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 1> mm{"mm"};
constexpr std::array<std::string_view, 4> angstrom{"A", "angstrom", "Angstroms", "Angstrom"};
constexpr std::array<std::string_view, 3> degree{"deg", "degree", "degrees"};
constexpr std::array<std::string_view, 3> px{"px", "pixel", "pixels"};
// A pixel of an instrument, finer than which no emulsion is; a calculation may have smaller ones.
constexpr double finest_detector_mm = 1e-4;
constexpr double most_mm = plausible::farthest_mm, most_px = plausible::most_pixels;
using plausible::most_degrees, plausible::notable_difference, plausible::refused_difference;
const char* const kept = "; as in nanoBragg it counts all the same; -corrected refuses it";

/// Keys by which d*TREK states what -img takes from others.
std::vector<std::string> keys_of_dtrek(const io::SmvFile& file) {
  std::vector<std::string> found;
  for (const std::string& key : file.keys()) {
    const bool whole = key == "SOURCE_WAVELENGTH" || key == "ROTATION" || key == "SCAN_ROTATION";
    const bool ending = key.ends_with("SPATIAL_DISTORTION_INFO") || key.ends_with("GONIO_VALUES");
    if ((whole || ending) && std::ranges::find(found, key) == found.end()) found.push_back(key);
  }
  return found;
}

std::string list(const std::vector<std::string>& words) {
  if (words.size() < 2) return words.empty() ? std::string() : words[0];
  return fmt::format("{} and {}", fmt::join(words.begin(), words.end() - 1, ", "), words.back());
}

/// That the file was made with, where it says so.
std::optional<Convention> convention_of(const io::SmvFile& file) {
  const auto text = file.text("CONVENTION");
  return text ? convention_named(*text) : std::nullopt;
}

double relative_difference(double a, double b) {
  return a == b ? 0 : std::abs(a - b) / std::max(std::abs(a), std::abs(b));
}

void apply_mask(const io::SmvFile& file, Request& request) {
  auto mask = std::make_shared<Mask>();
  mask->fast_pixels = file.fast_pixels;
  mask->slow_pixels = file.slow_pixels;
  mask->keep.reserve(file.pixels.size());
  for (const float pixel : file.pixels) mask->keep.push_back(pixel != 0);
  request.experiment.sampling.mask = std::move(mask);
}

}  // namespace

/// A number of the experiment that a header may state.
struct ImageHeaders::Number {
  std::array<std::string_view, 2> keys;  ///< the first that is there counts
  Words units;                           ///< that may follow it
  double least, most;                    ///< what it can be
  std::vector<std::string_view> flags;   ///< that state the same
  std::vector<std::string_view> others;  ///< that state the same together
  void (*set)(Experiment&, double value, const io::SmvFile&, bool is_mask);
  /// Of the experiment; empty where it is not compared.
  std::optional<double> (*of)(const Experiment&) = nullptr;
  bool needed = false;   ///< -img without it leaves the geometry open
  bool certain = false;  ///< 5 % off cannot be meant
};

std::span<const ImageHeaders::Number> ImageHeaders::numbers() {
  using E = Experiment;
  using File = io::SmvFile;
  static const std::vector<Number> table{
      {{"PIXEL_SIZE"},
       mm,
       finest_detector_mm,
       plausible::largest_pixel_mm,
       {"-pixel"},
       {},
       [](E& e, double x, const File&, bool) { e.detector.pixel_mm = x; },
       [](const E& e) { return std::optional(e.detector.pixel_mm); },
       true,
       true},
      {{"DISTANCE"},
       mm,
       plausible::nearest_mm,
       most_mm,
       {"-distance", "-close_distance"},
       {},
       [](E& e, double x, const File&, bool) { e.detector.distance_mm = x; },
       [](const E& e) {
         return e.detector.close_distance_mm ? std::nullopt : std::optional(e.detector.distance_mm);
       },
       true},
      {{"CLOSE_DISTANCE"},
       mm,
       -most_mm,
       most_mm,
       {"-close_distance", "-distance"},
       {},
       [](E& e, double x, const File&, bool) { e.detector.close_distance_mm = x; },
       [](const E& e) { return e.detector.close_distance_mm; }},
      {{"WAVELENGTH"},
       angstrom,
       plausible::shortest_wavelength_A,
       plausible::longest_wavelength_A,
       {"-lambda", "-energy"},
       {},
       [](E& e, double x, const File&, bool) { e.beam.wavelength_A = x; },
       [](const E& e) { return std::optional(e.beam.wavelength_A); },
       true,
       true},
      {{"CONVENTION_XBEAM", "BEAM_CENTER_X"},
       mm,
       -most_mm,
       most_mm,
       {"-Xbeam"},
       {"-ORGX", "-ORGY"},
       [](E& e, double x, const File&, bool) { e.detector.beam_x_mm = x; },
       [](const E& e) { return e.detector.beam_x_mm; }},
      {{"CONVENTION_YBEAM", "BEAM_CENTER_Y"},
       mm,
       -most_mm,
       most_mm,
       {"-Ybeam"},
       {"-ORGX", "-ORGY"},
       [](E& e, double y, const File& file, bool is_mask) {
         e.detector.beam_y_mm = is_mask ? e.detector.pixel_mm * file.slow_pixels - y : y;
       },
       [](const E& e) { return e.detector.beam_y_mm; }},
      {{"XDS_ORGX", "ORGX"},
       px,
       -most_px,
       most_px,
       {"-ORGX", "-Xclose"},
       {"-Xbeam", "-Ybeam"},
       [](E& e, double x, const File&, bool) { e.detector.org_x_px = x; }},
      {{"XDS_ORGY", "ORGY"},
       px,
       -most_px,
       most_px,
       {"-ORGY", "-Yclose"},
       {"-Xbeam", "-Ybeam"},
       [](E& e, double y, const File&, bool) { e.detector.org_y_px = y; }},
      {{"PHI", "OSC_START"},
       degree,
       -most_degrees,
       most_degrees,
       {"-phi"},
       {},
       [](E& e, double x, const File&, bool) { e.scan.phi_deg = x; },
       [](const E& e) { return std::optional(e.scan.phi_deg); }},
      {{"OSC_RANGE"},
       degree,
       -most_degrees,
       most_degrees,
       {"-osc"},
       {},
       [](E& e, double x, const File&, bool) { e.scan.oscillation_deg.range = x; },
       [](const E& e) { return e.scan.oscillation_deg.range; }},
      {{"TWOTHETA"},
       degree,
       -most_degrees,
       most_degrees,
       {"-twotheta"},
       {},
       [](E& e, double x, const File&, bool) { e.detector.two_theta_deg = x; }},
      {{"DETECTOR_ROTX"},
       degree,
       -most_degrees,
       most_degrees,
       {"-detector_rotx"},
       {},
       [](E& e, double x, const File&, bool) { e.detector.rotation_deg.x = x; }},
      {{"DETECTOR_ROTY"},
       degree,
       -most_degrees,
       most_degrees,
       {"-detector_roty"},
       {},
       [](E& e, double x, const File&, bool) { e.detector.rotation_deg.y = x; }},
      {{"DETECTOR_ROTZ"},
       degree,
       -most_degrees,
       most_degrees,
       {"-detector_rotz"},
       {},
       [](E& e, double x, const File&, bool) { e.detector.rotation_deg.z = x; }},
  };
  return table;
}

std::vector<HeaderCheck> header_checks() {
  std::vector<HeaderCheck> all;
  for (const ImageHeaders::Number& n : ImageHeaders::numbers())
    all.push_back({fmt::format("`{}`{}", n.keys[0],
                               n.keys[1].empty() ? "" : fmt::format(", `{}`", n.keys[1])),
                   fmt::format("between {:g} and {:g} {}", n.least, n.most, n.units.back()),
                   std::string(n.flags[0]), n.needed, n.of != nullptr, n.certain});
  return all;
}

const FlagUse* ImageHeaders::last_of(Words flags) const {
  const auto found = std::find_if(uses_.rbegin(), uses_.rend(), [&](const FlagUse& use) {
    return std::ranges::find(flags, use.flag->spellings[0]) != flags.end();
  });
  return found == uses_.rend() ? nullptr : &*found;
}

bool ImageHeaders::all_given(Words flags) const {
  return !flags.empty() && std::ranges::all_of(flags, [&](const std::string_view& flag) {
    return last_of({&flag, 1});
  });
}

ImageHeaders::ImageHeaders(std::span<const FlagUse> uses, Request& request) : uses_(uses) {
  std::vector<const FlagUse*> files;
  for (const std::string_view kind : {"-mask", "-img"})
    if (const FlagUse* use = last_of({&kind, 1}); use && is_smv_image(*use)) files.push_back(use);
  if (!request.experiment.quirks.image_header_wins) std::sort(files.begin(), files.end());
  for (const FlagUse* use : files) {
    Header header{use, io::read_smv(use->values[0]), {}};
    apply(header, request);
    if (header.is_mask()) apply_mask(header.file, request);
    header.file.pixels = {};
    headers_.push_back(std::move(header));
  }
}

void ImageHeaders::apply(Header& header, Request& request) const {
  Experiment& e = request.experiment;
  const io::SmvFile& file = header.file;
  e.detector.fast_pixels = file.fast_pixels;
  e.detector.slow_pixels = file.slow_pixels;
  if (!e.quirks.header_keys_by_substring) apply_frame(header, request);

  const auto set = [&](const Number& number, double value) {
    number.set(e, value, file, header.is_mask());
    if (number.keys[0] == "WAVELENGTH") request.wavelength_given = true;
  };
  for (const Number& number : numbers()) {
    const bool replaced = last_of(number.flags) || all_given(number.others);
    if (e.quirks.header_keys_by_substring) {
      // The last place that contains the shorter key is in the longer one, too.
      const std::string_view name = number.keys[1].empty() || number.keys[0] == "PHI"
                                        ? number.keys[0]
                                        : number.keys[1];
      const std::string key(name);
      if (key.starts_with("DETECTOR_ROT")) continue;
      const auto value = file.value(key, true);
      if (!value) continue;
      try {
        file.number(key, number.units);
        if (!std::isfinite(*value)) throw InputError(file.path, 0, key + " is no finite number");
      } catch (const InputError& error) {
        request.warnings.push_back(error.what() + std::string(kept));
      }
      header.stated.push_back({&number, name, *value, true});
      if (key == "TWOTHETA")
        request.header_two_theta_deg = *value;
      else
        set(number, *value);
      continue;
    }
    for (const std::string_view name : number.keys) {
      const std::string key(name);
      if (!file.text(key)) continue;
      const auto value = file.number(key, number.units);
      const bool possible = *value >= number.least && *value <= number.most;
      // A flag has the word then.
      if (!possible && !replaced && !(key == "DISTANCE" && file.text("CLOSE_DISTANCE")))
        throw InputError(
            file.path, 0,
            fmt::format("{}={:g} is not between {:g} and {:g} {}; {} sets it", key, *value,
                        number.least, number.most, number.units.back(), number.flags[0]));
      if (possible) header.stated.push_back({&number, name, *value, !replaced});
      if (!replaced) set(number, *value);
      break;
    }
  }
  if (!e.quirks.header_keys_by_substring && !header.is_mask()) apply_adsc_centre(header, request);
}

void ImageHeaders::apply_adsc_centre(const Header& header, Request& request) const {
  static constexpr std::array<std::string_view, 19> meant{
      "-mosflm",       "-adxv",        "-denzo",       "-xds",         "-dials",
      "-fdet_vector",  "-sdet_vector", "-odet_vector", "-beam_vector", "-polar_vector",
      "-spindle_axis", "-pix0_vector", "-Xbeam",       "-Ybeam",       "-ORGX",
      "-ORGY",         "-Xclose",      "-Yclose",      "-pixel"};
  const io::SmvFile& file = header.file;
  for (const char* const key : {"BEAM_CENTER_X", "BEAM_CENTER_Y", "PIXEL_SIZE"})
    if (!file.text(key)) return;
  // DENZO_X_BEAM is nanoBragg's own, beside which BEAM_CENTER is MOSFLM's.
  if (file.text("CONVENTION") || file.text("DENZO_X_BEAM") || last_of(meant)) return;
  const io::AdscCentre centre = io::adsc_centre(file);
  if (!file.text("DENZO_XBEAM") || !file.text("DENZO_YBEAM")) {
    if (!centre.spot)
      request.warnings.push_back(file.path + ": the beam centre " + centre.how +
                                 "; MOSFLM's, half a pixel from DENZO's, is taken");
    return;
  }
  if (!centre.spot) throw InputError(file.path, 0, "the beam centre " + centre.how);
  // MOSFLM's numbers, which count where no convention is chosen
  Detector& detector = request.experiment.detector;
  detector.beam_x_mm = centre.spot->slow_mm - 0.5 * detector.pixel_mm;
  detector.beam_y_mm = centre.spot->fast_mm - 0.5 * detector.pixel_mm;
  request.warnings.push_back(file.path + ": the beam centre " + centre.how);
}

void ImageHeaders::apply_frame(const Header& header, Request& request) const {
  const auto convention = convention_of(header.file);
  if (!convention) return;
  if (*convention != Convention::custom) request.experiment.detector.convention = *convention;
  const auto pivot = header.file.text("PIVOT");
  if (pivot == "beam" || pivot == "sample")
    request.implied_pivot = pivot == "beam" ? Pivot::beam : Pivot::sample;
}

void ImageHeaders::check_missing(const Header& header, Request& request) const {
  const io::SmvFile& file = header.file;
  std::vector<std::string> keys, flags;
  for (const Number& number : numbers()) {
    const bool stated = std::ranges::any_of(header.stated,
                                            [&](const Stated& s) { return s.number == &number; });
    if (!number.needed || stated || last_of(number.flags)) continue;
    if (number.keys[0] == "DISTANCE" && request.experiment.detector.close_distance_mm) continue;
    keys.emplace_back(number.keys[0]);
    flags.emplace_back(number.flags[0]);
  }
  const std::vector<std::string> unknown = keys_of_dtrek(file);
  const std::string dtrek = unknown.empty()
                                ? std::string()
                                : "; " + list(unknown) + " (d*TREK) " +
                                      (unknown.size() > 1 ? "are" : "is") + " not understood";
  if (!keys.empty() && !header.is_mask() && !keeps_nanobraggs_answer(request.experiment))
    throw InputError(file.path, 0,
                     "the header holds no " + list(keys) + ", so give " + list(flags) + dtrek);
  if (!keys.empty())
    request.warnings.push_back(file.path + ": the header holds no " + list(keys) +
                               ", so the program's own is taken; " + list(flags) +
                               (keys.size() > 1 ? " set them" : " sets it") + dtrek);
  else if (!unknown.empty())
    request.warnings.push_back(file.path + ':' + dtrek.substr(1) +
                               ", and what they say of the geometry is left out");

  check_centre(header, request);
}

void ImageHeaders::check_centre(const Header& header, Request& request) const {
  static constexpr std::array<std::string_view, 1> origin{"-pix0_vector"};
  if (header.is_mask() || last_of(origin)) return;
  const Detector& d = request.experiment.detector;
  // These count their X along the slow edge.
  const bool swapped = d.convention == Convention::mosflm || d.convention == Convention::denzo;
  const bool fast_known = d.org_x_px || d.close_x_mm, slow_known = d.org_y_px || d.close_y_mm;
  const bool x_known = d.beam_x_mm || (swapped ? slow_known : fast_known);
  const bool y_known = d.beam_y_mm || (swapped ? fast_known : slow_known);
  if (x_known && y_known) return;
  const char* const
      missing = x_known   ? "BEAM_CENTER_Y, so the convention's own is taken; -Ybeam sets it"
                : y_known ? "BEAM_CENTER_X, so the convention's own is taken; -Xbeam sets it"
                          : "beam centre (BEAM_CENTER_X, BEAM_CENTER_Y), so the convention's own "
                            "is taken; -Xbeam and -Ybeam set it";
  request.warnings.push_back(header.file.path + ": the header holds no " + missing);
}

void ImageHeaders::compare(const Header& header, Request& request) const {
  const Experiment& e = request.experiment;
  const io::SmvFile& file = header.file;
  for (const auto& [number, key, value, applied] : header.stated) {
    if (!number->of) continue;
    const auto got = number->of(e);
    if (!got) continue;
    const bool centre = number->keys[1].starts_with("BEAM_CENTER");
    double expected = value;
    if (header.is_mask() && number->keys[1] == "BEAM_CENTER_Y")
      expected = e.detector.pixel_mm * file.slow_pixels - value;
    const double edge = e.detector.pixel_mm * std::max(file.fast_pixels, file.slow_pixels);
    const double off = centre ? std::abs(*got - expected) / edge
                              : relative_difference(*got, expected);
    if (!(off > notable_difference)) continue;
    const FlagUse* const flag = last_of(number->flags);
    const std::string says = fmt::format("says {}={:g}", key, value);
    if (!flag) {
      if (headers_.size() > 1 && !centre)
        request.warnings.push_back(
            fmt::format("{}: {}, and {:g} of the other file counts", file.path, says, *got));
      continue;
    }
    const std::string means = fmt::format("{} means {:g} {}", flag->spelling, *got,
                                          number->units.back());
    if (number->certain && off > refused_difference && flag < header.use &&
        !keeps_nanobraggs_answer(e))
      throw InputError(file.path, 0,
                       fmt::format("{} where {}, more than 5 % apart; leave one out, or give {} "
                                   "after {} if it is meant",
                                   says, means, flag->spelling, header.use->spelling));
    request.warnings.push_back(fmt::format("{}: {}, and {}, which counts", file.path, says, means));
  }
  const auto has_the_size = [&](const Header& h) {
    return h.file.fast_pixels == e.detector.fast_pixels &&
           h.file.slow_pixels == e.detector.slow_pixels;
  };
  if (!header.is_mask() && !has_the_size(header)) {
    const auto other = std::ranges::find_if(headers_, has_the_size);
    request.warnings.push_back(
        fmt::format("{}: has {} x {} pixels, and the {} x {} {} count", file.path, file.fast_pixels,
                    file.slow_pixels, e.detector.fast_pixels, e.detector.slow_pixels,
                    other == headers_.end() ? "that the flags give it" : "of " + other->file.path));
  }
  static constexpr std::array<std::string_view, 3> sizes{"-detsize", "-detsize_f", "-detsize_s"};
  if (const FlagUse* const size = last_of(sizes))
    request.warnings.push_back(fmt::format(
        "{}: its number of pixels counts, not {}; -detpixels would", file.path, size->spelling));
}

void ImageHeaders::check(Request& request) const {
  const Experiment& e = request.experiment;
  for (const Header& header : headers_) {
    const io::SmvFile& file = header.file;
    check_missing(header, request);
    compare(header, request);
    if (e.quirks.header_keys_by_substring) continue;
    const auto phi = file.value("PHI", false), start = file.value("OSC_START", false);
    static constexpr std::array<std::string_view, 1> phi_flag{"-phi"};
    if (phi && start && *phi != *start && !last_of(phi_flag))
      request.warnings.push_back(
          fmt::format("{}: says PHI={:g} and OSC_START={:g}; PHI counts, -phi sets it", file.path,
                      *phi, *start));
    const auto written = convention_of(file);
    if (!written || *written == e.detector.convention) continue;
    if (*written == Convention::custom)
      throw InputError(file.path, 0,
                       "was made with vectors of its own, which the header does not hold; give "
                       "-fdet_vector and the others that its COMMAND_LINE shows");
    request.warnings.push_back(
        fmt::format("{}: was made with -{}, so its beam centre means another point in the "
                    "convention that the flags choose",
                    file.path, name_of(*written)));
  }
}

// ---- A measured image and its model -----------------------------------------------------------

namespace {

/// Collects what an image says otherwise than its model.
struct Comparison {
  const std::string& path;
  bool keeps;  ///< what cannot be meant is told, not refused
  std::vector<std::string>& found;

  void compare(const std::string& what, double value, double got, bool certain) const {
    const double off = relative_difference(value, got);
    if (!(off > notable_difference)) return;
    const std::string sentence = fmt::format("says {}{:g} where the model has {:g}", what, value,
                                             got);
    if (certain && off > refused_difference && !keeps)
      throw InputError(path, 0,
                       sentence + ", more than 5 % apart; give the model what the image says");
    found.push_back(path + ": " + sentence);
  }
};

/// Where the beam meets the plane of a panel.
struct BeamOnPanel {
  double distance_mm, fast_px, slow_px;
};

std::optional<BeamOnPanel> beam_on(const GeometryPanel& panel, const Vec3d& beam) {
  const Vec3d normal = cross(panel.fast_axis, panel.slow_axis);
  const double distance = dot(panel.origin_mm, normal) / dot(beam, normal);
  if (!std::isfinite(distance)) return std::nullopt;
  const Vec3d spot = distance * beam - panel.origin_mm;
  return BeamOnPanel{distance, dot(spot, panel.fast_axis) / panel.fast_pixel_mm,
                     dot(spot, panel.slow_axis) / panel.slow_pixel_mm};
}

Vec3d middle_of(const GeometryPanel& panel) {
  return panel.origin_mm + (panel.fast_pixels * panel.fast_pixel_mm / 2) * panel.fast_axis +
         (panel.slow_pixels * panel.slow_pixel_mm / 2) * panel.slow_axis;
}

/// In the axes of another panel, whatever the frame of the laboratory.
Vec3d seen_from(const GeometryPanel& panel, const Vec3d& place) {
  const Vec3d from = place - panel.origin_mm;
  return {dot(from, panel.fast_axis), dot(from, panel.slow_axis),
          dot(from, cross(panel.fast_axis, panel.slow_axis))};
}

/// Of a detector of one panel by distance and beam centre.
void compare_panel(const Comparison& comparison, const GeometryPanel& measured,
                   const Vec3d& measured_beam, const GeometryPanel& own, const Vec3d& own_beam) {
  const auto says = beam_on(measured, measured_beam), has = beam_on(own, own_beam);
  if (!says || !has) return;
  comparison.compare("a distance in mm of ", says->distance_mm, has->distance_mm, false);
  const double edge_px = std::max(own.fast_pixels, own.slow_pixels);
  if (std::max(std::abs(says->fast_px - has->fast_px), std::abs(says->slow_px - has->slow_px)) >
      notable_difference * edge_px)
    comparison.found.push_back(fmt::format(
        "{}: has the beam at fast {:.2f}, slow {:.2f} pixels where the model has it at {:.2f}, "
        "{:.2f}",
        comparison.path, says->fast_px, says->slow_px, has->fast_px, has->slow_px));
}

/// Of several panels by their middles: along the beam, beside it and from the first panel.
void compare_panels(const Comparison& comparison, const Geometry& measured, const Geometry& own) {
  const Vec3d measured_beam = unit(measured.beam ? measured.beam->direction
                                                 : measured.beam_direction),
              own_beam = unit(own.beam->direction);
  std::vector<std::size_t> off;
  double off_mm = 0;
  for (std::size_t i = 0; i < own.panels.size(); ++i) {
    const GeometryPanel& panel = own.panels[i];
    const double edge_mm = std::max(panel.fast_pixels * panel.fast_pixel_mm,
                                    panel.slow_pixels * panel.slow_pixel_mm);
    const Vec3d there = middle_of(measured.panels[i]), here = middle_of(panel);
    const double along_there = dot(there, measured_beam), along_here = dot(here, own_beam),
                 beside_there = length(there - along_there * measured_beam),
                 beside_here = length(here - along_here * own_beam);
    const double from_first = length(seen_from(measured.panels[0], there) -
                                     seen_from(own.panels[0], here));
    if (from_first > edge_mm / 2 && !comparison.keeps)
      throw InputError(comparison.path, 0,
                       fmt::format("has panel {} ('{}') {:.4g} mm from where the model has its "
                                   "panel {} ('{}'), seen from the first; they are of two "
                                   "detectors or in two orders, so give the model the image's "
                                   "panels (-img, -expt)",
                                   i, measured.panels[i].name, from_first, i, panel.name));
    const double most = std::max(
        {std::abs(along_there - along_here), std::abs(beside_there - beside_here), from_first});
    if (!(most > notable_difference * edge_mm)) continue;
    if (off.empty()) off_mm = most;
    off.push_back(i);
  }
  if (off.empty()) return;
  comparison.found.push_back(
      fmt::format("{}: has panel {} ('{}') {:.4g} mm from where the model has it{}",
                  comparison.path, off[0], measured.panels[off[0]].name, off_mm,
                  off.size() > 1 ? fmt::format(", and {} other panel{} elsewhere", off.size() - 1,
                                               off.size() > 2 ? "s" : "")
                                 : ""));
}

}  // namespace

std::vector<std::string> contradictions(const std::string& path, const Geometry& measured,
                                        const SettledExperiment& model) {
  std::vector<std::string> found;
  const Experiment& e = model.experiment();
  const Geometry own = geometry_of(model);
  const Comparison comparison{path, keeps_nanobraggs_answer(e), found};
  if (measured.beam && measured.beam->wavelength_A > 0)
    comparison.compare("a wavelength in Angstrom of ", measured.beam->wavelength_A,
                       own.beam->wavelength_A, true);
  if (measured.scan) {
    comparison.compare("an oscillation in degrees of ", measured.scan->width_deg,
                       std::abs(units::degrees_from_radians(model.resolved().scan.range)), false);
    const double phi = own.scan ? own.scan->start_deg : e.scan.phi_deg;
    if (std::abs(measured.scan->start_deg - phi) > notable_difference)
      found.push_back(
          fmt::format("{}: says that phi begins at {:g} degrees where the model has "
                      "{:g}",
                      path, measured.scan->start_deg, phi));
  }
  // Panels of other sizes are refused by who fits them, and have no place to compare.
  if (!std::ranges::equal(measured.panels, own.panels, [](const auto& a, const auto& b) {
        return a.fast_pixels == b.fast_pixels && a.slow_pixels == b.slow_pixels;
      }))
    return found;
  const GeometryPanel& first = measured.panels[0];
  if (first.fast_pixel_mm > 0)
    comparison.compare("a pixel size in mm of ", first.fast_pixel_mm, own.panels[0].fast_pixel_mm,
                       true);
  const bool placed = std::ranges::all_of(measured.panels, [](const GeometryPanel& panel) {
    return length(panel.fast_axis) > 0 && panel.fast_pixel_mm > 0;
  });
  if (!placed) return found;
  if (measured.panels.size() == 1)
    compare_panel(comparison, first,
                  unit(measured.beam ? measured.beam->direction : measured.beam_direction),
                  own.panels[0], own.beam->direction);
  else
    compare_panels(comparison, measured, own);
  return found;
}

std::vector<std::string> contradictions(const io::SmvFile& measured, const Experiment& model,
                                        const Resolved& resolved) {
  std::vector<std::string> found;
  const Panel& panel = resolved.panel;
  const auto stated = [&](const std::string& key, Words units) -> std::optional<double> {
    try {
      return measured.number(key, units);
    } catch (const InputError& error) {
      found.emplace_back(error.what());
      return std::nullopt;
    }
  };
  const Comparison comparison{measured.path, keeps_nanobraggs_answer(model), found};
  const auto compare = [&](const std::string& key, Words units, double got, bool certain) {
    const auto value = stated(key, units);
    // 0: not known to who wrote it, but for the width of a still
    if (!value || (*value == 0 && key != "OSC_RANGE")) return;
    comparison.compare(key + "=", *value, got, certain);
  };
  compare("WAVELENGTH", angstrom, resolved.wavelength * 1e10, true);
  compare("PIXEL_SIZE", mm, panel.pixel * 1000, true);
  compare("DISTANCE", mm, panel.distance * 1000, false);
  compare("OSC_RANGE", degree, units::degrees_from_radians(resolved.scan.range), false);
  const char* const phi_key = measured.text("PHI") ? "PHI" : "OSC_START";
  if (const auto phi = stated(phi_key, degree);
      phi && std::abs(*phi - model.scan.phi_deg) > notable_difference)
    found.push_back(fmt::format("{}: says {}={:g} where the model has {:g}", measured.path, phi_key,
                                *phi, model.scan.phi_deg));

  // Panels of two sizes are refused by who fits them, and have no centre to compare.
  if (measured.fast_pixels != panel.fast_pixels || measured.slow_pixels != panel.slow_pixels)
    return found;
  // Own headers say where the beam meets the panel in every convention, others in one that they do
  // not name.
  const double edge_mm = 1000 * std::max(panel.fast_size, panel.slow_size);
  const auto centre = [&](const char* x_key, const char* y_key, double x_mm, double y_mm,
                          const char* hint) {
    const auto x = stated(x_key, mm), y = stated(y_key, mm);
    if (!x || !y) return false;
    if (std::max(std::abs(*x - x_mm), std::abs(*y - y_mm)) > notable_difference * edge_mm)
      found.push_back(
          fmt::format("{}: says {}={:g} and {}={:g} where the model has {:g} and {:g}{}",
                      measured.path, x_key, *x, y_key, *y, x_mm, y_mm, hint));
    return true;
  };
  if (!centre("ADXV_CENTER_X", "ADXV_CENTER_Y", panel.beam_fast * 1000,
              (panel.slow_size - panel.beam_slow) * 1000, ""))
    centre("BEAM_CENTER_X", "BEAM_CENTER_Y", panel.named_beam_x * 1000, panel.named_beam_y * 1000,
           "; the convention flags (-mosflm, -adxv, -denzo, -xds) say what they mean");
  return found;
}

}  // namespace nablabragg::flags
