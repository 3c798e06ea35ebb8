#include "io/crystfel_geometry.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "io/trimmed.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::io {

namespace {

constexpr double mm_per_m = 1000;

/// A number with what stands behind it, or a place in the image files.
struct Quantity {
  std::optional<double> number;
  std::string unit, text;
  long line = 0;
};

/// What is stated of a panel, or at the top for those that are first named later.
struct PanelLines {
  std::string name;
  long line = 0;
  std::map<std::string, Quantity> values;
  std::optional<Vec3d> fs, ss;
  std::optional<double> less_than, more_than;
  std::string fs_dim, ss_dim;  ///< which axis of the array: "dim1"
};

struct BadRegion {
  std::string name, panel;
  long line = 0;
  std::map<std::string, double> limits;
};

/// A group by the panels in it, whatever way it was stated.
struct Members {
  std::string name;
  std::set<int> panels;
};

/// Keys of a panel that hold a number.
constexpr std::array panel_numbers = {"min_fs",   "max_fs",   "min_ss",           "max_ss",
                                      "corner_x", "corner_y", "adu_per_eV",       "adu_per_photon",
                                      "res",      "coffset",  "mask_edge_pixels", "max_adu"};
/// ... and those that say where pixels stand in a file, which the geometry does not need.
constexpr std::array data_places = {"data",
                                    "dim",
                                    "badrow_direction",
                                    "peak_list",
                                    "peak_info_location",
                                    "photon_energy_bandwidth"};
constexpr std::array top_keys = {"clen",
                                 "photon_energy",
                                 "wavelength",
                                 "bandwidth",
                                 "electron_voltage",
                                 "detector_shift_x",
                                 "detector_shift_y"};
constexpr std::array region_limits = {"min_x",  "max_x",  "min_y",  "max_y",
                                      "min_fs", "max_fs", "min_ss", "max_ss"};

template <std::size_t n>
bool is_one_of(std::string_view key, const std::array<const char*, n>& keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool is_data_place(std::string_view key) {
  return std::any_of(data_places.begin(), data_places.end(),
                     [&](const char* begin) { return key.starts_with(begin); });
}

std::string number_text(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", x);
  return text;
}

class Reader {
 public:
  Reader(const std::string& path, const CrystfelValues& given) : path_(path), given_(given) {}

  Geometry read() {
    read_lines();
    geometry_.beam = beam();
    geometry_.beam_direction = {0, 0, 1};
    const auto shift_x = shift("detector_shift_x"), shift_y = shift("detector_shift_y");
    for (const PanelLines& panel : panels_) add_panel(panel, shift_x, shift_y);
    if (squared_ > 0)
      notice(
          "the axes of " + std::to_string(squared_) + (squared_ == 1 ? " panel" : " panels") +
          " are not quite at right angles; squared about the middle of the panel, pixels move by "
          "up to " +
          number_text(largest_move_px_) + " pixels");
    for (const BadRegion& region : regions_) add_region(region);
    for (const auto& [names, line] : group_lines_) read_group(names.first, names.second, line);
    add_groups();
    if (const auto band = top_.find("bandwidth"); band != top_.end())
      notice("its bandwidth of " + band->second.text + " is not taken");
    return std::move(geometry_);
  }

  std::vector<PixelRectangle> read_places() {
    read_lines();
    std::vector<PixelRectangle> places;
    for (const PanelLines& lines : panels_) {
      if (!lines.fs_dim.empty() && !lines.ss_dim.empty() && lines.fs_dim < lines.ss_dim)
        refuse(lines.line, "panel " + in_quotes(lines.name) + " has " + lines.fs_dim +
                               " = fs and " + lines.ss_dim +
                               " = ss, so that pixels of a row are not beside each other in the "
                               "array; such arrays are not cut into panels");
      places.push_back(place_of(lines));
    }
    return places;
  }

 private:
  void read_lines() {
    const std::string text = read_text(path_);
    Lines lines(text);
    while (lines.next()) read_line(lines.line(), lines.number());
    if (panels_.empty())
      throw InputError(path_, 0,
                       "describes no panel (name/corner_x = ...): not a CrystFEL geometry");
  }

  [[noreturn]] void refuse(long line, const std::string& problem) const {
    throw InputError(path_, line, problem);
  }
  void notice(std::string sentence) { geometry_.notices.push_back(std::move(sentence)); }
  void notice_once(const std::string& sentence) {
    if (said_.insert(sentence).second) notice(sentence);
  }

  // ---- Lines
  // -------------------------------------------------------------------------------------

  void read_line(std::string_view whole, long line) {
    const std::string_view content = trimmed(whole.substr(0, whole.find(';')));
    if (content.empty()) return;
    const std::size_t equals = content.find('=');
    if (equals == std::string_view::npos)
      refuse(line, "the line " + in_quotes(content) + " has no '='; CrystFEL states key = value");
    const std::string_view key = trimmed(content.substr(0, equals));
    const std::string value(trimmed(content.substr(equals + 1)));
    const std::size_t slash = key.find('/');
    if (slash == std::string_view::npos) {
      read_top(std::string(key), value, line);
      return;
    }
    const std::string name(key.substr(0, slash)), field(key.substr(slash + 1));
    if (name.empty()) refuse(line, "there is no name before the '/'");
    if (name.starts_with("bad"))
      read_region(name, field, value, line);
    else
      read_panel_field(panel_named(name, line), field, value, line);
  }

  void read_top(const std::string& key, const std::string& value, long line) {
    if (key.starts_with("rigid_group") || key.starts_with("group_")) {
      // A collection is a list of rigid groups and moves nothing itself.
      if (key.starts_with("rigid_group_collection")) return;
      const std::string name = key.substr(
          key.find("group_") == std::string::npos ? key.size() : key.find("group_") + 6);
      group_lines_.push_back({{name, value}, line});
    } else if (is_one_of(key, top_keys)) {
      top_[key] = quantity(key, value, line);
    } else {
      read_panel_field(defaults_, key, value, line);
    }
  }

  Quantity quantity(const std::string& key, const std::string& value, long line) const {
    Quantity result;
    result.text = value;
    result.line = line;
    if (value.empty()) refuse(line, "'" + key + "' has no value");
    std::string_view rest = value;
    const std::string_view first = next_word(rest);
    result.number = parse_number<double>(first);
    if (result.number && !std::isfinite(*result.number))
      refuse(line, "'" + key + "' is " + in_quotes(first) + ", no finite number");
    result.unit = std::string(trimmed(rest));
    return result;
  }

  double number(const std::string& key, const std::string& value, long line) const {
    return finite_number(path_, line, "'" + key + "'", value);
  }

  PanelLines& panel_named(const std::string& name, long line) {
    const auto [at, is_new] = panel_places_.emplace(name, panels_.size());
    if (is_new) {
      panels_.push_back(defaults_);
      panels_.back().name = name;
      panels_.back().line = line;
    }
    return panels_[at->second];
  }

  void read_panel_field(PanelLines& panel, const std::string& key, const std::string& value,
                        long line) {
    if (key == "fs" || key == "ss") {
      (key == "fs" ? panel.fs : panel.ss) = direction(key, value, line);
    } else if (key == "clen") {  // of a panel, as older files have it
      panel.values[key] = quantity(key, value, line);
    } else if (key == "no_index") {
      const bool yes = value == "true" || value == "True" || value == "TRUE" ||
                       (value != "false" && value != "False" && value != "FALSE" &&
                        number(key, value, line) != 0);
      Quantity& masked = panel.values[key];
      masked.number = yes ? 1 : 0;
    } else if (is_one_of(key, panel_numbers)) {
      Quantity& stated = panel.values[key];
      stated.number = number(key, value, line);
      stated.text = value;
      stated.line = line;
    } else if (key.starts_with("dim") && (value == "fs" || value == "ss")) {
      (value == "fs" ? panel.fs_dim : panel.ss_dim) = key;
    } else if (key == "flag_lessthan") {
      panel.less_than = number(key, value, line);
    } else if (key == "flag_morethan") {
      panel.more_than = number(key, value, line);
    } else if (key == "flag_equal") {
      notice_once("pixels that are equal to " + in_quotes(value) +
                  " (flag_equal) are not told from others");
    } else if (key.starts_with("mask")) {
      notice_once("its masks (mask, mask_good...) are not taken: they stand in the image files");
    } else if (key.starts_with("saturation_map")) {
      notice_once("its saturation_map is not taken: it stands in the image files");
    } else if (!is_data_place(key)) {
      notice_once("its key " + in_quotes(key) + " is not known and left out");
    }
  }

  /// "-0.005x +0.99y": the sum of its terms.
  Vec3d direction(const std::string& key, const std::string& value, long line) const {
    Vec3d sum;
    std::string packed;
    std::copy_if(value.begin(), value.end(), std::back_inserter(packed),
                 [](char c) { return c != ' ' && c != '\t'; });
    std::string_view rest = packed;
    const auto bad = [&] {
      refuse(line, "'" + key + "' is " + in_quotes(value) + "; it should be like -0.005x +0.99y");
    };
    while (!rest.empty()) {
      const std::size_t axis = rest.find_first_of("xyz");
      if (axis == std::string_view::npos) bad();
      std::string_view factor = rest.substr(0, axis);
      double sign = 1;
      if (factor.starts_with('+') || factor.starts_with('-')) {
        sign = factor[0] == '-' ? -1 : 1;
        factor.remove_prefix(1);
      }
      const auto size = factor.empty() ? 1.0 : parse_number<double>(factor);
      if (!size || !std::isfinite(*size) || *size < 0) bad();
      double& component = rest[axis] == 'x' ? sum.x : rest[axis] == 'y' ? sum.y : sum.z;
      component += sign * *size;
      rest.remove_prefix(axis + 1);
      if (!rest.empty() && rest[0] != '+' && rest[0] != '-') bad();
    }
    if (!(length(sum) > 0) || !std::isfinite(length(sum))) bad();
    return sum;
  }

  void read_region(const std::string& name, const std::string& key, const std::string& value,
                   long line) {
    auto found = std::find_if(regions_.begin(), regions_.end(),
                              [&](const BadRegion& r) { return r.name == name; });
    if (found == regions_.end()) {
      regions_.push_back({name, {}, line, {}});
      found = regions_.end() - 1;
    }
    if (key == "panel")
      found->panel = value;
    else if (is_one_of(key, region_limits))
      found->limits[key] = number(key, value, line);
    else
      notice_once("its key " + in_quotes(key) + " is not known and left out");
  }

  // ---- Beam
  // --------------------------------------------------------------------------------------

  const Quantity* top(const char* key) const {
    const auto found = top_.find(key);
    return found == top_.end() ? nullptr : &found->second;
  }

  double scaled(const char* key, const Quantity& stated,
                std::initializer_list<std::pair<const char*, double>> factors) const {
    for (const auto& [unit, factor] : factors)
      if (stated.unit == unit) return *stated.number * factor;
    refuse(stated.line, "'" + std::string(key) + "' has the unit " + in_quotes(stated.unit) +
                            ", which is none of CrystFEL's");
  }

  std::optional<GeometryBeam> beam() {
    GeometryBeam result;
    result.direction = {0, 0, 1};
    const auto in_files = [&](const char* key, const Quantity& stated) {
      notice(std::string("its ") + key + " is " + in_quotes(stated.text) +
             ", a place in the image files, and not known");
    };
    if (given_.photon_energy_eV) {
      result.wavelength_A = units::angstrom_from_ev(*given_.photon_energy_eV);
    } else if (const Quantity* energy = top("photon_energy")) {
      if (!energy->number) return in_files("photon_energy", *energy), std::nullopt;
      const double eV = scaled("photon_energy", *energy, {{"", 1}, {"eV", 1}, {"keV", 1000}});
      if (!(eV > 0)) refuse(energy->line, "'photon_energy' must be positive");
      result.wavelength_A = units::angstrom_from_ev(eV);
    } else if (const Quantity* wavelength = top("wavelength")) {
      if (!wavelength->number) return in_files("wavelength", *wavelength), std::nullopt;
      result.wavelength_A = scaled("wavelength", *wavelength, {{"A", 1}, {"m", 1e10}});
      if (!(result.wavelength_A > 0)) refuse(wavelength->line, "'wavelength' must be positive");
    } else {
      if (top("electron_voltage")) notice("its beam is one of electrons and is not taken");
      return std::nullopt;
    }
    return result;
  }

  /// Millimetres; 0 where there is none.
  double shift(const char* key) {
    const Quantity* const stated = top(key);
    if (!stated) return 0;
    if (!stated->number) {
      notice(std::string("its ") + key + " is " + in_quotes(stated->text) +
             ", a place in the image files: the shift of each image is not taken");
      return 0;
    }
    return scaled(key, *stated, {{"", mm_per_m}, {"m", mm_per_m}, {"mm", 1}});
  }

  double camera_length_mm(const PanelLines& panel) const {
    if (given_.camera_length_mm) return *given_.camera_length_mm;
    const auto own = panel.values.find("clen");
    const Quantity* const stated = own != panel.values.end() ? &own->second : top("clen");
    if (!stated)
      refuse(0, "states no 'clen', the distance of the detector; add clen = 100 mm or so");
    if (!stated->number)
      refuse(stated->line, "'clen' is " + in_quotes(stated->text) +
                               ", a place in the image files: give the distance, or write it here "
                               "(clen = 100 mm)");
    return scaled("clen", *stated, {{"", mm_per_m}, {"m", mm_per_m}, {"mm", 1}});
  }

  // ---- Panels
  // ------------------------------------------------------------------------------------

  const Quantity& needed(const PanelLines& panel, const char* key) const {
    const auto found = panel.values.find(key);
    if (found == panel.values.end())
      refuse(panel.line, "panel " + in_quotes(panel.name) + " has no '" + key + "'");
    return found->second;
  }

  int pixel_index(const PanelLines& panel, const char* key) const {
    const Quantity& stated = needed(panel, key);
    constexpr double most = 1 << 28;
    if (*stated.number != std::floor(*stated.number) || *stated.number < 0 || *stated.number > most)
      refuse(stated.line, "'" + panel.name + "/" + key + "' is " + in_quotes(stated.text) +
                              "; it should be the number of a pixel");
    return static_cast<int>(*stated.number);
  }

  /// In the array that holds it.
  PixelRectangle place_of(const PanelLines& lines) const {
    const int min_fs = pixel_index(lines, "min_fs"), max_fs = pixel_index(lines, "max_fs"),
              min_ss = pixel_index(lines, "min_ss"), max_ss = pixel_index(lines, "max_ss");
    if (max_fs < min_fs || max_ss < min_ss)
      refuse(lines.line, "panel " + in_quotes(lines.name) + " ends before its first pixel");
    return {min_fs, max_fs + 1, min_ss, max_ss + 1};
  }

  void add_panel(const PanelLines& lines, double shift_x_mm, double shift_y_mm) {
    GeometryPanel panel;
    panel.name = lines.name;
    const PixelRectangle place = place_of(lines);
    constexpr int most_pixels = 1 << 20;
    panel.fast_pixels = place.fast_end - place.fast_begin;
    panel.slow_pixels = place.slow_end - place.slow_begin;
    if (panel.fast_pixels > most_pixels || panel.slow_pixels > most_pixels)
      refuse(lines.line, "panel " + in_quotes(lines.name) + " has more than " +
                             std::to_string(most_pixels) + " pixels in a row");
    corners_.push_back({place.fast_begin, place.slow_begin});
    const Quantity& resolution = needed(lines, "res");
    if (!(*resolution.number > 0)) refuse(resolution.line, "'res' must be positive");
    const double pitch_mm = mm_per_m / *resolution.number;
    if (!lines.fs || !lines.ss)
      refuse(lines.line,
             "panel " + in_quotes(lines.name) + " has no '" + (lines.fs ? "ss" : "fs") + "'");
    panel.fast_pixel_mm = pitch_mm * length(*lines.fs);
    panel.slow_pixel_mm = pitch_mm * length(*lines.ss);
    panel.fast_axis = unit(*lines.fs);
    panel.slow_axis = unit(*lines.ss);
    const auto offset = lines.values.find("coffset");
    panel.origin_mm = {*needed(lines, "corner_x").number * pitch_mm + shift_x_mm,
                       *needed(lines, "corner_y").number * pitch_mm + shift_y_mm,
                       camera_length_mm(lines) +
                           (offset == lines.values.end() ? 0 : *offset->second.number * mm_per_m)};
    square(panel, lines);
    add_response(panel, lines);
    add_edges(panel, lines);
    geometry_.panels.push_back(std::move(panel));
  }

  void square(GeometryPanel& panel, const PanelLines& lines) {
    const double off = dot(panel.fast_axis, panel.slow_axis);
    constexpr double exact = 1e-9, most = 0.01;
    if (std::abs(off) < exact) return;
    if (std::abs(off) > most)
      refuse(lines.line, "panel " + in_quotes(lines.name) + " has axes fs and ss that are " +
                             number_text(units::degrees_from_radians(std::acos(off))) +
                             " degrees apart; its pixels should be rectangles");
    const double fast_mm = panel.fast_pixels * panel.fast_pixel_mm / 2,
                 slow_mm = panel.slow_pixels * panel.slow_pixel_mm / 2;
    const auto at = [&](double f, double s) {
      return panel.origin_mm + (fast_mm * (1 + f)) * panel.fast_axis +
             (slow_mm * (1 + s)) * panel.slow_axis;
    };
    const Vec3d middle = at(0, 0), corner = at(1, 1), other = at(1, -1);
    const Vec3d sum = unit(panel.fast_axis + panel.slow_axis),
                difference = unit(panel.fast_axis - panel.slow_axis);
    panel.fast_axis = unit(sum + difference);
    panel.slow_axis = unit(sum - difference);
    panel.origin_mm = middle - fast_mm * panel.fast_axis - slow_mm * panel.slow_axis;
    ++squared_;
    largest_move_px_ = std::max({largest_move_px_, length(at(1, 1) - corner) / panel.fast_pixel_mm,
                                 length(at(1, -1) - other) / panel.fast_pixel_mm});
  }

  void add_response(GeometryPanel& panel, const PanelLines& lines) {
    const auto stated = [&](const char* key) -> std::optional<double> {
      const auto found = lines.values.find(key);
      return found == lines.values.end() ? std::nullopt : found->second.number;
    };
    const auto per_photon = stated("adu_per_photon"), per_eV = stated("adu_per_eV");
    if (per_photon) {
      panel.gain = *per_photon;
    } else if (per_eV && geometry_.beam) {
      panel.gain = *per_eV * units::ev_angstrom / geometry_.beam->wavelength_A;
    } else if (per_eV) {
      notice_once("its adu_per_eV is not taken, because the photon energy is not known");
    }
    if (!(panel.gain > 0))
      refuse(lines.line, "panel " + in_quotes(lines.name) +
                             " has a gain (adu_per_photon, adu_per_eV) that is not positive");
    panel.saturation = stated("max_adu");
    if (lines.more_than && (!panel.saturation || *lines.more_than < *panel.saturation))
      panel.saturation = lines.more_than;
    panel.underload = lines.less_than;
  }

  void add_edges(GeometryPanel& panel, const PanelLines& lines) const {
    const int fast = panel.fast_pixels, slow = panel.slow_pixels;
    const auto bad = lines.values.find("no_index");
    if (bad != lines.values.end() && *bad->second.number != 0) {
      panel.masked.push_back({0, fast, 0, slow});
      return;
    }
    const auto edge = lines.values.find("mask_edge_pixels");
    if (edge == lines.values.end()) return;
    const int width = pixel_index(lines, "mask_edge_pixels");
    if (width == 0) return;
    if (2 * width >= std::min(fast, slow)) {
      panel.masked.push_back({0, fast, 0, slow});
      return;
    }
    panel.masked.push_back({0, fast, 0, width});
    panel.masked.push_back({0, fast, slow - width, slow});
    panel.masked.push_back({0, width, width, slow - width});
    panel.masked.push_back({fast - width, fast, width, slow - width});
  }

  // ---- Bad regions
  // -------------------------------------------------------------------------------

  void add_region(const BadRegion& region) {
    const bool in_data = region.limits.contains("min_fs") || region.limits.contains("max_fs") ||
                         region.limits.contains("min_ss") || region.limits.contains("max_ss");
    const auto limit = [&](const char* key) {
      const auto found = region.limits.find(key);
      if (found == region.limits.end())
        refuse(region.line, "bad region " + in_quotes(region.name) + " has no '" + key + "'");
      return found->second;
    };
    if (!in_data) {
      const double min_x = limit("min_x"), max_x = limit("max_x"), min_y = limit("min_y"),
                   max_y = limit("max_y");
      for (std::size_t i = 0; i < panels_.size(); ++i)
        mask_in_laboratory(geometry_.panels[i], panels_[i], min_x, max_x, min_y, max_y);
      return;
    }
    if (region.limits.size() > 4)
      refuse(region.line, "bad region " + in_quotes(region.name) + " mixes x/y and fs/ss");
    const double min_fs = limit("min_fs"), max_fs = limit("max_fs"), min_ss = limit("min_ss"),
                 max_ss = limit("max_ss");
    const std::size_t at = panel_of(region);
    GeometryPanel& panel = geometry_.panels[at];
    const auto clipped = [](double x, int pixels) {
      return static_cast<int>(std::clamp(x, 0.0, static_cast<double>(pixels)));
    };
    const PixelRectangle r{clipped(min_fs - corners_[at][0], panel.fast_pixels),
                           clipped(max_fs - corners_[at][0] + 1, panel.fast_pixels),
                           clipped(min_ss - corners_[at][1], panel.slow_pixels),
                           clipped(max_ss - corners_[at][1] + 1, panel.slow_pixels)};
    if (r.fast_begin < r.fast_end && r.slow_begin < r.slow_end) panel.masked.push_back(r);
  }

  std::size_t panel_of(const BadRegion& region) const {
    if (region.panel.empty()) {
      if (panels_.size() == 1) return 0;
      refuse(region.line, "bad region " + in_quotes(region.name) + " names no 'panel'");
    }
    const auto found = panel_places_.find(region.panel);
    if (found == panel_places_.end())
      refuse(region.line, "bad region " + in_quotes(region.name) + " is on panel " +
                              in_quotes(region.panel) + ", which there is not");
    return found->second;
  }

  /// Pixels whose first corner lies within, as CrystFEL asks; row by row, equal rows joined.
  void mask_in_laboratory(GeometryPanel& panel, const PanelLines& lines, double min_x, double max_x,
                          double min_y, double max_y) const {
    const double corner_x = *needed(lines, "corner_x").number,
                 corner_y = *needed(lines, "corner_y").number;
    std::optional<PixelRectangle> open;
    for (int slow = 0; slow < panel.slow_pixels; ++slow) {
      // From where to where both coordinates are within.
      double from = 0, to = panel.fast_pixels - 1;
      const auto limit = [&](double step, double start, double low, double high) {
        if (step == 0) {
          if (!(start > low && start < high)) to = -1;
          return;
        }
        const double a = (low - start) / step, b = (high - start) / step;
        from = std::max(from, std::floor(std::min(a, b)) + 1);
        to = std::min(to, std::ceil(std::max(a, b)) - 1);
      };
      limit(lines.fs->x, slow * lines.ss->x + corner_x, min_x, max_x);
      limit(lines.fs->y, slow * lines.ss->y + corner_y, min_y, max_y);
      if (open && (from > to || open->fast_begin != from || open->fast_end != to + 1)) {
        panel.masked.push_back(*open);
        open.reset();
      }
      if (from > to) continue;
      if (!open)
        open = PixelRectangle{static_cast<int>(from), static_cast<int>(to) + 1, slow, slow};
      open->slow_end = slow + 1;
    }
    if (open) panel.masked.push_back(*open);
  }

  // ---- Groups
  // ------------------------------------------------------------------------------------

  void read_group(const std::string& name, const std::string& value, long line) {
    Members group{name, {}};
    std::string_view rest = value;
    for (auto word = next_word(rest, ","); !word.empty(); word = next_word(rest, ",")) {
      const std::string member(word);
      if (const auto panel = panel_places_.find(member); panel != panel_places_.end()) {
        group.panels.insert(static_cast<int>(panel->second));
        continue;
      }
      const auto inner = std::find_if(groups_.begin(), groups_.end(),
                                      [&](const Members& g) { return g.name == member; });
      if (inner == groups_.end())
        refuse(line, "group " + in_quotes(name) + " has a member " + in_quotes(member) +
                         ", which is neither a panel nor a group before it");
      group.panels.insert(inner->panels.begin(), inner->panels.end());
    }
    if (!group.panels.empty()) groups_.push_back(std::move(group));
  }

  /// A group is in the smallest one that holds all of it.
  void add_groups() {
    std::stable_sort(groups_.begin(), groups_.end(), [](const Members& a, const Members& b) {
      return a.panels.size() > b.panels.size();
    });
    std::vector<const Members*> kept;
    for (const Members& group : groups_) {
      int parent = -1;
      bool clashes = false;
      for (std::size_t i = 0; i < kept.size(); ++i) {
        const std::set<int>& outer = kept[i]->panels;
        const auto shared = std::count_if(group.panels.begin(), group.panels.end(),
                                          [&](int p) { return outer.contains(p); });
        if (static_cast<std::size_t>(shared) == group.panels.size())
          parent = static_cast<int>(i);
        else if (shared > 0)
          clashes = true;
      }
      if (clashes) {
        notice("its group " + in_quotes(group.name) +
               " shares panels with another one that does not hold all of it, and is left out");
        continue;
      }
      const int own = static_cast<int>(kept.size());
      Vec3d middle;
      for (const int i : group.panels) {
        GeometryPanel& panel = geometry_.panels[static_cast<std::size_t>(i)];
        panel.group = own;
        middle = middle + panel.origin_mm +
                 (panel.fast_pixels * panel.fast_pixel_mm / 2) * panel.fast_axis +
                 (panel.slow_pixels * panel.slow_pixel_mm / 2) * panel.slow_axis;
      }
      kept.push_back(&group);
      geometry_.groups.push_back({group.name,
                                  parent,
                                  middle / static_cast<double>(group.panels.size()),
                                  {1, 0, 0},
                                  {0, 1, 0}});
    }
  }

  std::string path_;
  CrystfelValues given_;
  Geometry geometry_;
  std::map<std::string, Quantity> top_;
  PanelLines defaults_;
  std::vector<PanelLines> panels_;
  std::vector<std::array<int, 2>> corners_;  ///< first pixel of each panel in the data
  std::map<std::string, std::size_t> panel_places_;
  std::vector<BadRegion> regions_;
  std::vector<std::pair<std::pair<std::string, std::string>, long>> group_lines_;
  std::vector<Members> groups_;
  std::set<std::string> said_;
  std::size_t squared_ = 0;
  double largest_move_px_ = 0;
};

}  // namespace

bool begins_as_crystfel_geometry(std::string_view head) {
  if (head.find('\0') != std::string_view::npos) return false;
  // The last line may be cut.
  head = head.substr(0,
                     head.rfind('\n') == std::string_view::npos ? head.size() : head.rfind('\n'));
  bool known = false;
  Lines lines(head);
  while (lines.next()) {
    const std::string_view content = trimmed(lines.line().substr(0, lines.line().find(';')));
    if (content.empty()) continue;
    const std::size_t equals = content.find('=');
    if (equals == std::string_view::npos) return false;
    std::string_view key = trimmed(content.substr(0, equals));
    if (const std::size_t slash = key.find('/'); slash != std::string_view::npos)
      key.remove_prefix(slash + 1);
    known = known || key == "fs" || key == "ss" || key == "mask_good" ||
            is_one_of(key, panel_numbers) || is_one_of(key, top_keys) ||
            is_one_of(key, region_limits);
  }
  return known;
}

Geometry read_crystfel_geometry(const std::string& path, const CrystfelValues& given) {
  return Reader(path, given).read();
}

std::vector<PixelRectangle> read_crystfel_places(const std::string& path) {
  return Reader(path, {}).read_places();
}

FileFormat geom_format() {
  return {.name = "CrystFEL .geom",
          .endings = {".geom"},
          .written = "",
          .geometry = "panels and their groups",
          .begins = begins_as_crystfel_geometry,
          .read_geometry = [](const std::string& path, int, std::optional<double> distance_mm) {
            return read_crystfel_geometry(path, {distance_mm, {}});
          }};
}

}  // namespace nablabragg::io
