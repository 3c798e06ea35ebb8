#include "io/mini_cbf.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "io/image_series.hpp"
#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "io/trimmed.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/plausible.hpp"

namespace nablabragg::io {

namespace {

constexpr double mm_of_a_metre = 1000;
constexpr double most_mm = 1e6, least_pixel_mm = 1e-4, most_pixel_mm = 100, most_px = 1e7;

// ---- Modules of DECTRIS' detectors -------------------------------------------------------------

struct Tiling {
  const char* name;
  int fast, slow, fast_gap, slow_gap;
};
constexpr Tiling pilatus{"PILATUS", 487, 195, 7, 17};
constexpr std::array eigers{Tiling{"EIGER", 1030, 514, 10, 37}, Tiling{"EIGER", 1028, 512, 12, 38}};

/// How many modules make up so many pixels; 0: no number of them.
int modules_along(int pixels, int module, int gap) {
  const int modules = (pixels + gap) / (module + gap);
  return modules > 0 && modules * (module + gap) - gap == pixels ? modules : 0;
}

/// Empty where the panel has not the size of such a detector.
std::optional<std::vector<PixelRectangle>> gaps_of(const Tiling& tiling, int fast_pixels,
                                                   int slow_pixels) {
  const int across = modules_along(fast_pixels, tiling.fast, tiling.fast_gap),
            down = modules_along(slow_pixels, tiling.slow, tiling.slow_gap);
  if (across == 0 || down == 0) return std::nullopt;
  std::vector<PixelRectangle> gaps;
  for (int i = 1; i < across; ++i) {
    const int end = i * (tiling.fast + tiling.fast_gap);
    gaps.push_back({end - tiling.fast_gap, end, 0, slow_pixels});
  }
  for (int i = 1; i < down; ++i) {
    const int end = i * (tiling.slow + tiling.slow_gap);
    gaps.push_back({0, fast_pixels, end - tiling.slow_gap, end});
  }
  return gaps;
}

/// Whether the masked rectangles, however they are cut, leave no pixel of this one.
bool is_covered(const PixelRectangle& part, std::span<const PixelRectangle> masked) {
  if (part.fast_begin >= part.fast_end || part.slow_begin >= part.slow_end) return true;
  for (std::size_t i = 0; i < masked.size(); ++i) {
    const int f0 = std::max(part.fast_begin, masked[i].fast_begin),
              f1 = std::min(part.fast_end, masked[i].fast_end),
              s0 = std::max(part.slow_begin, masked[i].slow_begin),
              s1 = std::min(part.slow_end, masked[i].slow_end);
    if (f0 >= f1 || s0 >= s1) continue;
    const auto others = masked.subspan(i + 1);
    return is_covered({part.fast_begin, part.fast_end, part.slow_begin, s0}, others) &&
           is_covered({part.fast_begin, part.fast_end, s1, part.slow_end}, others) &&
           is_covered({part.fast_begin, f0, s0, s1}, others) &&
           is_covered({f1, part.fast_end, s0, s1}, others);
  }
  return false;
}

bool has_gaps(const Tiling& tiling, const GeometryPanel& panel) {
  const auto gaps = gaps_of(tiling, panel.fast_pixels, panel.slow_pixels);
  return gaps && std::ranges::all_of(*gaps, [&](const PixelRectangle& gap) {
           return is_covered(gap, panel.masked);
         });
}

std::string capitals(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

bool holds(const std::string& text, std::string_view word) {
  return capitals(text).find(word) != std::string::npos;
}

// ---- Reading ------------------------------------------------------------------------------------

struct Entry {
  std::string value;
  bool contradicted = false;  ///< by another of its key
};

/// "# Key value" lines by their keys; the last of several counts.
std::map<std::string, Entry, std::less<>> entries_of(std::string_view text) {
  std::map<std::string, Entry, std::less<>> entries;
  Lines lines(text);
  while (lines.next()) {
    if (!lines.line().starts_with('#')) continue;
    std::string line(lines.line().substr(1));
    std::erase_if(line, [](char c) { return c == '=' || c == ':'; });
    std::string_view rest = line;
    const std::string_view key = next_word(rest);
    if (key.empty()) continue;
    const std::string value(trimmed(rest));
    const auto [entry, is_new] = entries.try_emplace(std::string(key), Entry{value});
    if (is_new) continue;
    entry->second.contradicted |= entry->second.value != value;
    entry->second.value = value;
  }
  return entries;
}

struct Unit {
  std::string_view name;
  double factor;
};

class MiniHeader {
 public:
  MiniHeader(const std::string& path, std::string_view text)
      : path_(path), entries_(entries_of(text)) {}

  const std::string* find(std::string_view key) const {
    const auto entry = entries_.find(key);
    return entry == entries_.end() ? nullptr : &entry->second.value;
  }

  [[noreturn]] void refuse(std::string_view key, std::string_view what) const {
    throw InputError(path_, 0,
                     std::string(key) + ' ' + std::string(what) + ": " + in_quotes(*find(key)));
  }

  /// The number that begins `rest`, times the factor of its unit; the first unit may be left out.
  double take(std::string_view key, std::string_view& rest, std::span<const Unit> units,
              double least, double most) const {
    if (entries_.find(key)->second.contradicted)
      refuse(key, "stands twice in the header, differently");
    const auto number = parse_number<double>(next_word(rest, "(),"));
    if (!number || !std::isfinite(*number)) refuse(key, "is no number");
    double factor = units.empty() ? 1 : units[0].factor;
    std::string_view after = rest;
    const std::string_view unit = trimmed(next_word(after, "(),"), ".");
    const auto known = std::ranges::find(units, unit, &Unit::name);
    if (known != units.end()) {
      factor = known->factor;
      rest = after;
    } else if (!unit.empty() && std::isalpha(static_cast<unsigned char>(unit[0])) &&
               !is_times(unit)) {
      refuse(key, "has a unit that is not known");
    }
    const double value = *number * factor;
    if (!(value >= least && value <= most)) refuse(key, "cannot be meant");
    return value;
  }

  std::optional<double> number(std::string_view key, std::span<const Unit> units, double least,
                               double most) const {
    const std::string* const value = find(key);
    if (!value) return std::nullopt;
    std::string_view rest = *value;
    return take(key, rest, units, least, most);
  }

  /// "172e-6 m x 172e-6 m", "(243.82, 326.75) pixels".
  std::optional<std::pair<double, double>> pair(std::string_view key, std::span<const Unit> units,
                                                double least, double most) const {
    const std::string* const value = find(key);
    if (!value) return std::nullopt;
    std::string_view rest = *value;
    const double first = take(key, rest, units, least, most);
    std::string_view after = rest;
    if (is_times(next_word(after, "(),"))) rest = after;
    if (trimmed(rest, "(), ").empty()) refuse(key, "has one number and needs two");
    const double second = take(key, rest, units, least, most);
    return std::pair(first, second);
  }

 private:
  static bool is_times(std::string_view word) { return word == "x" || word == "X"; }

  const std::string& path_;
  std::map<std::string, Entry, std::less<>> entries_;
};

constexpr std::array metres{Unit{"m", mm_of_a_metre}, Unit{"mm", 1.0}, Unit{"um", 1e-3}};
constexpr std::array angstroms{Unit{"A", 1.0}, Unit{"Angstrom", 1.0}, Unit{"nm", 10.0}};
constexpr std::array pixels{Unit{"pixels", 1.0}, Unit{"pixel", 1.0}, Unit{"px", 1.0}};
constexpr std::array degrees{Unit{"deg", 1.0}};
constexpr std::array counts{Unit{"counts", 1.0}};
constexpr std::array seconds{Unit{"s", 1.0}, Unit{"ms", 1e-3}};
constexpr double most_degrees = 1e6;

struct Material {
  const char *header, *symbol;
};
constexpr std::array materials{Material{"Silicon", "Si"}, Material{"CdTe", "CdTe"},
                               Material{"GaAs", "GaAs"}};

void read_sensor(const MiniHeader& header, GeometryPanel& panel) {
  for (const auto& [name, symbol] : materials) {
    const std::string* const value = header.find(name);
    constexpr std::string_view thickness = "thickness";
    const std::size_t at = value ? value->find(thickness) : std::string::npos;
    if (at == std::string::npos) continue;
    std::string_view rest = std::string_view(*value).substr(at + thickness.size());
    panel.sensor_thickness_mm = header.take(name, rest, metres, 0, most_pixel_mm);
    if (panel.sensor_thickness_mm > 0) panel.sensor_material = symbol;
    return;
  }
}

/// What such headers may say and no reader of them takes.
void note_ignored(const MiniHeader& header, Geometry& geometry) {
  std::string ignored;
  const std::string* const start = header.find("Start_angle");
  for (const std::string_view key : {"Detector_2theta", "Detector_Voffset", "Alpha", "Kappa", "Chi",
                                     "Phi", "Oscillation_axis", "Polarization"}) {
    const std::string* const value = header.find(key);
    if (!value || value->empty()) continue;
    std::string_view rest = *value;
    const auto number = parse_number<double>(next_word(rest));
    if (number && *number == 0) continue;
    if (key == "Phi" && start && *value == *start) continue;
    if (key == "Oscillation_axis" && value->starts_with("X")) continue;
    ignored += (ignored.empty() ? "" : ", ") + std::string(key) + ' ' + in_quotes(*value);
  }
  if (!ignored.empty())
    geometry.notices.push_back("the header says " + ignored +
                               ", which is left out, as in DIALS: the panel is taken to be square "
                               "to the beam, and the spindle along its rows");
}

std::string list(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

}  // namespace

Geometry complete(const std::string& path, HeaderGeometry header) {
  if (!header.missing.empty()) throw InputError(path, 0, "the header holds no " + header.missing);
  return std::move(header.geometry);
}

Geometry with_notice(HeaderGeometry header) {
  if (!header.missing.empty())
    header.geometry.notices.push_back("the header holds no " + header.missing +
                                      ", so it does not say where the detector is");
  return std::move(header.geometry);
}

HeaderGeometry without_geometry(int fast_pixels, int slow_pixels, std::string missing) {
  HeaderGeometry header;
  header.geometry.panels.resize(1);
  header.geometry.panels[0].fast_pixels = fast_pixels;
  header.geometry.panels[0].slow_pixels = slow_pixels;
  header.missing = std::move(missing);
  return header;
}

bool has_mini_header(std::string_view text) {
  const auto entries = entries_of(text);
  return std::ranges::any_of(
      std::array{"Detector", "Pixel_size", "Detector_distance", "Beam_xy", "Wavelength"},
      [&](const char* key) { return entries.contains(key); });
}

HeaderGeometry read_mini_header(const std::string& path, std::string_view text, int fast_pixels,
                                int slow_pixels) {
  const MiniHeader header(path, text);
  HeaderGeometry result = without_geometry(fast_pixels, slow_pixels, "");
  Geometry& geometry = result.geometry;
  GeometryPanel& panel = geometry.panels[0];

  if (const std::string* const name = header.find("Detector"))
    geometry.detector_name = plain_text(name->substr(0, name->find(',')));
  const auto pixel_mm = header.pair("Pixel_size", metres, least_pixel_mm, most_pixel_mm);
  const auto distance_mm = header.number("Detector_distance", metres, 1e-3, most_mm);
  const auto beam = header.pair("Beam_xy", pixels, -most_px, most_px);
  const auto wavelength = header.number("Wavelength", angstroms, plausible::shortest_wavelength_A,
                                        plausible::longest_wavelength_A);
  std::vector<std::string> missing;
  if (!pixel_mm) missing.emplace_back("Pixel_size");
  if (!distance_mm) missing.emplace_back("Detector_distance");
  if (!beam) missing.emplace_back("Beam_xy");
  if (!wavelength) missing.emplace_back("Wavelength");
  result.missing = list(missing);

  if (pixel_mm) std::tie(panel.fast_pixel_mm, panel.slow_pixel_mm) = *pixel_mm;
  if (wavelength) {
    geometry.beam.emplace();
    geometry.beam->wavelength_A = *wavelength;
  }
  if (pixel_mm && distance_mm && beam) {
    panel.fast_axis = {1, 0, 0};
    panel.slow_axis = {0, -1, 0};
    panel.origin_mm = {-beam->first * panel.fast_pixel_mm, beam->second * panel.slow_pixel_mm,
                       -*distance_mm};
  }
  panel.underload = 0;
  panel.saturation = header.number("Count_cutoff", counts, 0, 1e18);
  read_sensor(header, panel);

  const auto start = header.number("Start_angle", degrees, -most_degrees, most_degrees),
             width = header.number("Angle_increment", degrees, -most_degrees, most_degrees);
  if (start && width && *width != 0) {
    GeometryScan& scan = geometry.scan.emplace();
    const double sign = *width < 0 ? -1 : 1;
    scan.spindle_axis = {sign, 0, 0};
    scan.start_deg = sign * *start;
    scan.width_deg = std::abs(*width);
    scan.exposure_s = header.number("Exposure_period", seconds, 0, 1e9).value_or(0);
  }

  // As DIALS: no pixel lies between the modules.
  if (holds(geometry.detector_name, pilatus.name)) {
    if (auto gaps = gaps_of(pilatus, fast_pixels, slow_pixels)) panel.masked = std::move(*gaps);
  } else if (holds(geometry.detector_name, eigers[0].name)) {
    for (const Tiling& tiling : eigers)
      if (auto gaps = gaps_of(tiling, fast_pixels, slow_pixels)) panel.masked = std::move(*gaps);
  }
  note_ignored(header, geometry);
  return result;
}

void read_sensor_line(const std::string& path, std::string_view text, Geometry& geometry) {
  const MiniHeader header(path, text);
  for (GeometryPanel& panel : geometry.panels) read_sensor(header, panel);
}

// ---- Writing ------------------------------------------------------------------------------------

std::string sensor_line(const Geometry& geometry) {
  const GeometryPanel& first = geometry.panels[0];
  const bool shared = std::ranges::all_of(geometry.panels, [&](const GeometryPanel& panel) {
    return panel.sensor_material == first.sensor_material &&
           panel.sensor_thickness_mm == first.sensor_thickness_mm;
  });
  if (!shared || !(first.sensor_thickness_mm > 0)) return "";
  const auto material = std::ranges::find(materials, first.sensor_material, [](const Material& m) {
    return std::string_view(m.symbol);
  });
  if (material == materials.end()) return "";
  return std::string("# ") + material->header + " sensor, thickness " +
         fixed_text(first.sensor_thickness_mm / mm_of_a_metre) + " m\n";
}

std::string provenance_lines(const Provenance& made) {
  std::string lines;
  if (!made.program.empty()) lines += "# Program: " + plain_text(made.program) + "\n";
  // Readers look for words behind # and CBFlib for lines that are not too long.
  constexpr std::size_t longest = 1000;
  std::string command = plain_text(made.command_line);
  std::ranges::replace(command, '#', '?');
  for (std::size_t begin = 0; begin < command.size(); begin += longest)
    lines += "# Command_line: " + command.substr(begin, longest) + "\n";
  return lines;
}

bool is_pilatus(const GeometryPanel& panel) { return has_gaps(pilatus, panel); }

std::string mini_cbf_text(const ImageSeries& series, std::size_t image) {
  const Geometry& geometry = series.geometry;
  const GeometryPanel& panel = geometry.panels[0];
  const PlainPanel place = plain_panel(geometry);
  const Turn turn = turn_of(series, image);
  const std::string sensor = sensor_line(geometry);
  // By the name of a PILATUS or an EIGER DIALS expects its modules, and its sensor where none is
  // said.
  std::string name = plain_text(geometry.detector_name);
  const bool misleads = (holds(name, "PILATUS") && !has_gaps(pilatus, panel)) ||
                        (holds(name, "EIGER") &&
                         !(std::ranges::any_of(
                               eigers, [&](const Tiling& t) { return has_gaps(t, panel); }) &&
                           (panel.sensor_material == "Si" || panel.sensor_material == "CdTe") &&
                           !sensor.empty())) ||
                        holds(name, "TIMEPIX") || name.find_first_of("#=:") != std::string::npos;
  if (name.empty() || misleads || series.provenance.date.empty()) name = "simulated";
  const auto metre = [](double mm) { return fixed_text(mm / mm_of_a_metre); };
  const double saturation = std::clamp<double>(
      std::floor(panel.saturation.value_or(std::numeric_limits<std::int32_t>::max())), 0,
      std::numeric_limits<std::int32_t>::max());
  const std::string exposure = fixed_text(geometry.scan ? geometry.scan->exposure_s : 0);

  std::string text =
      "_array_data.header_convention \"GENERIC_MINI\"\n"
      "_array_data.header_contents\n;\n";
  const auto line = [&](const std::string& words) { text += "# " + words + "\n"; };
  line("Detector: " + name);
  if (!series.provenance.date.empty()) line(header_date(series.provenance.date));
  line("Pixel_size " + metre(panel.fast_pixel_mm) + " m x " + metre(panel.slow_pixel_mm) + " m");
  text += sensor;
  line("Exposure_time " + exposure + " s");
  line("Exposure_period " + exposure + " s");
  line("Count_cutoff " + fixed_text(saturation) + " counts");
  line("Wavelength " + fixed_text(wavelength_A(series, image)) + " A");
  line("Detector_distance " + metre(place.distance_mm) + " m");
  line("Beam_xy (" + fixed_text(place.fast_mm / panel.fast_pixel_mm) + ", " +
       fixed_text(place.slow_mm / panel.slow_pixel_mm) + ") pixels");
  line("Start_angle " + fixed_text(turn.start_deg) + " deg.");
  line("Angle_increment " + fixed_text(turn.width_deg) + " deg.");
  return text + provenance_lines(series.provenance) + ";\n";
}

}  // namespace nablabragg::io
