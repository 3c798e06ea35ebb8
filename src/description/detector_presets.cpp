#include "nablabragg/detector_presets.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>

#include "description/digits.hpp"
#include "description/edit_distance.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg {

namespace {

// ---- Where panels lie
// ----------------------------------------------------------------------------

/// A turn in the detector's plane and a shift.
struct Placement {
  double x_mm = 0, y_mm = 0, turn_deg = 0;

  Vec3d turned(double x, double y) const {
    // Quarter turns are exact.
    const double quarters = turn_deg / 90;
    const bool exact = quarters == std::round(quarters);
    const double angle = units::radians_from_degrees(turn_deg);
    const double c = exact ? std::round(std::cos(angle)) : std::cos(angle),
                 s = exact ? std::round(std::sin(angle)) : std::sin(angle);
    return {c * x - s * y, s * x + c * y, 0};
  }
  Vec3d placed(double x, double y) const { return Vec3d{x_mm, y_mm, 0} + turned(x, y); }
  /// This one seen from the outer frame.
  Placement in(const Placement& outer) const {
    const Vec3d there = outer.placed(x_mm, y_mm);
    return {there.x, there.y, turn_deg + outer.turn_deg};
  }
};

GeometryPanel panel_of(const DetectorPreset& preset, std::string name, int group,
                       const Placement& place, double corner_x_mm, double corner_y_mm) {
  GeometryPanel panel;
  panel.name = std::move(name);
  panel.group = group;
  panel.fast_pixels = preset.fast_pixels;
  panel.slow_pixels = preset.slow_pixels;
  panel.fast_pixel_mm = panel.slow_pixel_mm = preset.pixel_mm;
  panel.origin_mm = place.placed(corner_x_mm, corner_y_mm);
  panel.fast_axis = place.turned(1, 0);
  panel.slow_axis = place.turned(0, -1);
  return panel;
}

int add_group(Geometry& geometry, std::string name, int parent, const Placement& place) {
  geometry.groups.push_back(
      {std::move(name), parent, place.placed(0, 0), place.turned(1, 0), place.turned(0, 1)});
  return static_cast<int>(geometry.groups.size()) - 1;
}

std::string numbered(std::string_view before, int number) {
  return std::string(before).append(std::to_string(number));
}

/// The corners of the modules of one image; dead columns and gaps are masked.
void mask_gaps(const DetectorPreset& preset, GeometryPanel& panel) {
  const auto module_length = [](int pixels, int modules, int gap) {
    return (pixels - (modules - 1) * gap) / modules;
  };
  const int fast = module_length(preset.fast_pixels, preset.fast_modules, preset.fast_gap_px),
            slow = module_length(preset.slow_pixels, preset.slow_modules, preset.slow_gap_px);
  for (int i = 1; i < preset.fast_modules && preset.fast_gap_px > 0; ++i) {
    const int end = i * (fast + preset.fast_gap_px);
    panel.masked.push_back({end - preset.fast_gap_px, end, 0, preset.slow_pixels});
  }
  for (int i = 1; i < preset.slow_modules && preset.slow_gap_px > 0; ++i) {
    const int end = i * (slow + preset.slow_gap_px);
    panel.masked.push_back({0, preset.fast_pixels, end - preset.slow_gap_px, end});
  }
  const int dead = preset.sensors.empty() ? 0 : preset.sensors[preset.sensor].dead_columns;
  for (int i = 0; i < preset.fast_modules && dead > 0; ++i) {
    const int begin = i * (fast + preset.fast_gap_px) + fast / 2 - 1;
    panel.masked.push_back({begin, begin + dead, 0, preset.slow_pixels});
  }
}

/// JUNGFRAU 16M: nine columns of modules around the beam, windmill of 68 pixels.
Geometry jungfrau_16m(const DetectorPreset& preset) {
  // In the frame of CrystFEL's example, whose x runs against ours; pixels.
  constexpr double first_x = 2146, first_y = 2102, column = 550, row = 1038.7, step = 68;
  Geometry geometry;
  const int group = add_group(geometry, "detector", -1, {});
  int module = 0;
  for (int k = 0; k < 9; ++k)
    for (int r = 0; r < 4; ++r) {
      const bool only_the_middle = k == 0 || k == 8;
      if (only_the_middle && (r == 0 || r == 3)) continue;
      const double x = first_x - k * column + (r < 2 ? 0 : step);
      const double y = first_y - r * row + (k == 0 ? step : k < 4 ? 0 : -step);
      // fast runs down and slow to our right
      GeometryPanel panel = panel_of(preset, numbered("m", module++), group, {}, 0, 0);
      panel.origin_mm = {-x * preset.pixel_mm, y * preset.pixel_mm, 0};
      panel.fast_axis = {0, -1, 0};
      panel.slow_axis = {1, 0, 0};
      geometry.panels.push_back(std::move(panel));
    }
  return geometry;
}

/// CSPAD: four quadrants, each turned by a right angle against the one before, of eight sensors of
/// two chips.
Geometry cspad(const DetectorPreset& preset) {
  constexpr std::array<Placement, 8> sensors = {{{-38.4, 18.0, 90},
                                                 {-14.9, 18.0, 90},
                                                 {-73.15, 30.6, 0},
                                                 {-73.15, 7.2, 0},
                                                 {-61.2, 65.35, 270},
                                                 {-84.3, 65.35, 270},
                                                 {-26.15, 74.5, 0},
                                                 {-26.15, 51.2, 0}}};
  constexpr int seam_px = 3;
  const double chip_mm = preset.fast_pixels * preset.pixel_mm,
               half_seam_mm = seam_px * preset.pixel_mm / 2,
               top_mm = preset.slow_pixels * preset.pixel_mm / 2;
  Geometry geometry;
  const int detector = add_group(geometry, "detector", -1, {});
  for (int q = 0; q < 4; ++q) {
    const Placement quadrant{0, 0, -90.0 * q};
    const std::string quadrant_name = numbered("quad", q);
    const int quad = add_group(geometry, quadrant_name, detector, quadrant);
    for (int s = 0; s < 8; ++s) {
      const Placement place = sensors[static_cast<std::size_t>(s)].in(quadrant);
      const std::string name = numbered(numbered("q", q).append("s"), s);
      const int sensor = add_group(geometry, name, quad, place);
      for (int a = 0; a < 2; ++a)
        geometry.panels.push_back(panel_of(preset, numbered(name + "a", a), sensor, place,
                                           a == 0 ? -chip_mm - half_seam_mm : half_seam_mm,
                                           top_mm));
    }
  }
  return geometry;
}

/// ePix10k2M: four quadrants of four modules of 2 x 2 chips, whose pixels at the seams are 2.25
/// pixels wide and masked.
Geometry epix10k2m(const DetectorPreset& preset) {
  constexpr std::array<Placement, 4> modules = {
      {{-23.37, -59.17, 0}, {-63.92, -59.17, 0}, {-23.37, -17.26, 0}, {-63.92, -17.26, 0}}};
  const double half_wider_mm = 1.25 * preset.pixel_mm,
               fast_mm = preset.fast_pixels * preset.pixel_mm,
               slow_mm = preset.slow_pixels * preset.pixel_mm;
  Geometry geometry;
  const int detector = add_group(geometry, "detector", -1, {});
  for (int m = 0; m < 16; ++m) {
    const int q = m / 4;
    const Placement quadrant{0, 0, 270.0 - 90.0 * q};
    if (m % 4 == 0) add_group(geometry, numbered("quad", q), detector, quadrant);
    const int quad = detector + 1 + 5 * q;
    const Placement place = modules[static_cast<std::size_t>(m % 4)].in(quadrant);
    const int module = add_group(geometry, numbered("m", m), quad, place);
    for (int a = 0; a < 4; ++a) {
      const bool right = a % 2 == 1, lower = a / 2 == 1;
      GeometryPanel panel = panel_of(preset, numbered(numbered("m", m).append("a"), a), module,
                                     place, right ? half_wider_mm : -half_wider_mm - fast_mm,
                                     lower ? -half_wider_mm : half_wider_mm + slow_mm);
      const int column = right ? 0 : preset.fast_pixels - 1,
                row = lower ? 0 : preset.slow_pixels - 1;
      panel.masked = {{column, column + 1, 0, preset.slow_pixels},
                      {0, preset.fast_pixels, row, row + 1}};
      geometry.panels.push_back(std::move(panel));
    }
  }
  return geometry;
}

/// AGIPD 1M: four quadrants of four modules of eight tiles.
Geometry agipd_1m(const DetectorPreset& preset) {
  struct Corner {
    double x_px, y_px;  // of the first pixel, x to the left seen along the beam
    int x_way, y_way;
  };
  constexpr std::array<Corner, 4> quadrants = {
      {{-525, 625, 1, -1}, {-550, -10, 1, -1}, {520, -160, -1, 1}, {542.5, 475, -1, 1}}};
  constexpr double tile_gap_px = 2, module_gap_px = 29;
  Geometry geometry;
  const int detector = add_group(geometry, "detector", -1, {});
  for (int m = 0; m < 16; ++m) {
    const int q = m / 4;
    const Corner& corner = quadrants[static_cast<std::size_t>(q)];
    const Vec3d fast{0, static_cast<double>(corner.y_way), 0},
        slow{-static_cast<double>(corner.x_way), 0, 0};
    const auto at = [&](double module, double tile) {
      return Vec3d{-(corner.x_px + corner.x_way * (preset.slow_pixels + tile_gap_px) * tile),
                   corner.y_px - (preset.fast_pixels + module_gap_px) * module, 0};
    };
    if (m % 4 == 0) {
      geometry.groups.push_back(
          {numbered("quad", q), detector, preset.pixel_mm * at(0, 0), fast, slow});
    }
    const int quad = detector + 1 + 5 * q;
    geometry.groups.push_back({numbered("m", m), quad, preset.pixel_mm * at(m % 4, 0), fast, slow});
    const int module = static_cast<int>(geometry.groups.size()) - 1;
    for (int t = 0; t < 8; ++t) {
      GeometryPanel panel = panel_of(preset, numbered(numbered("m", m).append("t"), t), module, {},
                                     0, 0);
      panel.origin_mm = preset.pixel_mm * at(m % 4, t);
      panel.fast_axis = fast;
      panel.slow_axis = slow;
      geometry.panels.push_back(std::move(panel));
    }
  }
  return geometry;
}

/// MPCCD octal: two columns of four sensors that lie on their sides.
Geometry mpccd_octal(const DetectorPreset& preset) {
  struct Corner {
    double x_mm, y_mm;
  };
  constexpr std::array<Corner, 8> corners = {{{-1.755, 51.711},
                                              {-1.711, 24.944},
                                              {0.817, -1.808},
                                              {0.812, -28.466},
                                              {-0.792, 28.544},
                                              {-0.781, 1.840},
                                              {1.650, -24.900},
                                              {1.655, -51.626}}};
  Geometry geometry;
  const int detector = add_group(geometry, "detector", -1, {});
  for (int i = 0; i < 8; ++i) {
    GeometryPanel panel = panel_of(preset, numbered("p", i), detector, {}, 0, 0);
    const Corner& corner = corners[static_cast<std::size_t>(i)];
    const double way = i < 4 ? -1 : 1;
    panel.origin_mm = {corner.x_mm, corner.y_mm, 0};
    panel.fast_axis = {0, way, 0};
    panel.slow_axis = {way, 0, 0};
    geometry.panels.push_back(std::move(panel));
  }
  return geometry;
}

// ---- The table
// -----------------------------------------------------------------------------------

std::vector<DetectorPreset> make_table() {
  using Sensors = std::vector<PresetSensor>;
  const Sensors pilatus_sensors = {{"Si", 0.45}, {"Si", 0.32}, {"Si", 1.0}, {"CdTe", 1.0, 3}};
  const Sensors eiger2_sensors = {{"Si", 0.45}, {"CdTe", 0.75, 2}};
  const Sensors phosphor = {{"Gd2O2S", 0.04}}, not_stated = {{}};
  constexpr std::string_view
      pilatus_source = "dxtbx FormatPilatusHelpers; pyFAI _dectris.py; counter of 20 bits";
  constexpr std::string_view
      eiger_source = "pyFAI _dectris.py; files of 16 bits, of which 65535 is no count";
  constexpr std::string_view
      eiger2_source = "pyFAI _dectris.py; nexgen; files of 16 bits, of which 65535 is no count";
  constexpr std::string_view jungfrau_source = "pyFAI _psi.py; nexgen; about 1e4 photons";

  std::vector<DetectorPreset> table;
  const auto add = [&](DetectorPreset preset) { table.push_back(std::move(preset)); };
  const auto pilatus = [&](const char* size, int fast, int slow) {
    add({.family = "PILATUS3",
         .size = size,
         .also = {"PILATUS", "PILATUS3 X", "PILATUS3 S", "PILATUS3 R"},
         .fast_pixels = 494 * fast - 7,
         .slow_pixels = 212 * slow - 17,
         .pixel_mm = 0.172,
         .fast_modules = fast,
         .slow_modules = slow,
         .fast_gap_px = 7,
         .slow_gap_px = 17,
         .sensors = pilatus_sensors,
         .underload = 0,
         .saturation = 1048575,
         .source = pilatus_source});
  };
  pilatus("12M", 5, 24);
  pilatus("6M", 5, 12);
  pilatus("2M", 3, 8);
  pilatus("1M", 2, 5);
  pilatus("300K", 1, 3);
  const auto eiger = [&](const char* size, int fast, int slow) {
    add({.family = "EIGER X",
         .size = size,
         .also = {"EIGER", "EIGER R"},
         .fast_pixels = 1040 * fast - 10,
         .slow_pixels = 551 * slow - 37,
         .pixel_mm = 0.075,
         .fast_modules = fast,
         .slow_modules = slow,
         .fast_gap_px = 10,
         .slow_gap_px = 37,
         .sensors = {{"Si", 0.45}},
         .underload = 0,
         .saturation = 65534,
         .source = eiger_source});
  };
  eiger("16M", 4, 8);
  eiger("9M", 3, 6);
  eiger("4M", 2, 4);
  eiger("1M", 1, 2);
  const auto eiger2 = [&](const char* size, int fast, int slow) {
    add({.family = "EIGER2",
         .size = size,
         .also = {"EIGER2 X", "EIGER2 XE", "EIGER2 R", "EIGER2 S"},
         .fast_pixels = 1040 * fast - 12,
         .slow_pixels = 550 * slow - 38,
         .pixel_mm = 0.075,
         .fast_modules = fast,
         .slow_modules = slow,
         .fast_gap_px = 12,
         .slow_gap_px = 38,
         .sensors = eiger2_sensors,
         .underload = 0,
         .saturation = 65534,
         .source = eiger2_source});
  };
  eiger2("16M", 4, 8);
  eiger2("9M", 3, 6);
  eiger2("4M", 2, 4);
  eiger2("1M", 1, 2);
  add({.family = "SINGLA",
       .size = "1M",
       .fast_pixels = 1028,
       .slow_pixels = 1062,
       .pixel_mm = 0.075,
       .slow_modules = 2,
       .fast_gap_px = 12,
       .slow_gap_px = 38,
       .sensors = {{"Si", 0.45}},
       .underload = 0,
       .saturation = 199996,
       .source = "nexgen"});
  add({.family = "JUNGFRAU",
       .size = "4M",
       .fast_pixels = 2068,
       .slow_pixels = 2164,
       .pixel_mm = 0.075,
       .fast_modules = 2,
       .slow_modules = 4,
       .fast_gap_px = 8,
       .slow_gap_px = 36,
       .sensors = {{"Si", 0.32}},
       .underload = -10,
       .saturation = 10000,
       .source = jungfrau_source});
  add({.family = "JUNGFRAU",
       .size = "16M",
       .fast_pixels = 1030,
       .slow_pixels = 514,
       .panels = 32,
       .pixel_mm = 0.075,
       .sensors = {{"Si", 0.32}},
       .underload = -10,
       .saturation = 10000,
       .layout = "32 free modules in nine columns around the beam",
       .nominal = true,
       .source = "places after CrystFEL's example jf-swissfel-16M.geom, on a regular grid; nexgen",
       .placed = jungfrau_16m});
  add({.family = "ePix10k2M",
       .also = {"ePix10k 2M", "ePix10ka2M"},
       .fast_pixels = 192,
       .slow_pixels = 176,
       .panels = 64,
       .pixel_mm = 0.1,
       .sensors = {{"Si", 0.5}},
       .underload = -1,
       .saturation = 11000,
       .layout = "4 quadrants of 4 modules of 2 x 2 chips; the wide pixels at the seams are masked",
       .nominal = true,
       .source = "arXiv 1903.06805; dxtbx FormatXTCEpix; places: mean of the quadrants of LCLS' "
                 "geometries; 11000 photons of 8 keV",
       .placed = epix10k2m});
  add({.family = "CSPAD",
       .fast_pixels = 194,
       .slow_pixels = 185,
       .panels = 64,
       .pixel_mm = 0.10992,
       .sensors = {{"Si", 0.5}},
       .underload = -400,
       .saturation = 90000,
       .layout = "4 quadrants of 8 sensors of 2 chips",
       .nominal = true,
       .source = "places: mean of the quadrants of a refined detector (abismal, "
                 "tests/data/stills.expt), to 0.05 mm; limits from there",
       .placed = cspad});
  add({.family = "AGIPD",
       .size = "1M",
       .fast_pixels = 128,
       .slow_pixels = 64,
       .panels = 128,
       .pixel_mm = 0.2,
       .sensors = {{"Si", 0.5}},
       .saturation = 10000,
       .layout = "4 quadrants of 4 modules of 8 tiles, 2 pixels between tiles",
       .nominal = true,
       .source = "EXtra-geom's example of quadrants; J. Synchrotron Rad. 26, 74 (2019): 1e4 "
                 "photons "
                 "of 12 keV",
       .placed = agipd_1m});
  add({.family = "MPCCD",
       .size = "octal",
       .fast_pixels = 512,
       .slow_pixels = 1024,
       .panels = 8,
       .pixel_mm = 0.05,
       .sensors = {{"Si", 0.05}, {"Si", 0.3}},
       .underload = 0,
       .saturation = 65535,
       .gain = 10,
       .layout = "8 free panels in two columns; phase III has 300 um",
       .nominal = true,
       .source = "dxtbx FormatHDF5SaclaMPCCD, whose turns of up to 0.12 degrees are left out",
       .placed = mpccd_octal});
  const auto rayonix = [&](std::string_view family, const char* size, int pixels, double edge_mm) {
    add({.family = family,
         .size = size,
         .also = {family.substr(family.find(' ') + 1)},
         .fast_pixels = pixels,
         .slow_pixels = pixels,
         .pixel_mm = edge_mm / pixels,
         .sensors = phosphor,
         .underload = 0,
         .saturation = 65535,
         .source = "pyFAI _rayonix.py; dxtbx; no gaps in its images"});
  };
  rayonix("Rayonix MX170-HS", "", 3840, 170);
  rayonix("Rayonix MX170-HS", "binned", 1920, 170);
  rayonix("Rayonix MX340-HS", "", 7680, 340);
  rayonix("Rayonix MX340-HS", "binned", 3840, 340);
  const auto adsc = [&](std::string_view family, const char* size, int pixels, double pixel_mm,
                        int modules, int gap) {
    add({.family = family,
         .size = size,
         .also = {family.substr(family.find(' ') + 1)},
         .fast_pixels = pixels,
         .slow_pixels = pixels,
         .pixel_mm = pixel_mm,
         .fast_modules = modules,
         .slow_modules = modules,
         .fast_gap_px = gap,
         .slow_gap_px = gap,
         .sensors = not_stated,
         .underload = 0,
         .saturation = 65535,
         .gain = 1.25,
         .pedestal = 40,
         .nominal = gap > 0,
         .source = gap > 0 ? "pyFAI _adsc.py; seam as cctbx' adsc.img shows it; dxtbx: gain"
                           : "pyFAI _adsc.py; dxtbx: gain; seams are not known and not masked"});
  };
  adsc("ADSC Q315r", "", 6144, 0.0513, 3, 0);
  adsc("ADSC Q315r", "binned", 3072, 0.1026, 3, 0);
  adsc("ADSC Q210r", "", 4096, 0.051, 2, 0);
  adsc("ADSC Q210r", "binned", 2048, 0.102, 2, 0);
  adsc("ADSC Q4", "", 2304, 0.0816, 2, 6);
  adsc("ADSC Q4", "binned", 1152, 0.1632, 2, 2);
  const auto plate = [&](const char* family, const char* size, int pixels, double pixel_mm,
                         double saturation, const char* source) {
    add({.family = family,
         .size = size,
         .fast_pixels = pixels,
         .slow_pixels = pixels,
         .pixel_mm = pixel_mm,
         .sensors = not_stated,
         .underload = 0,
         .saturation = saturation,
         .source = source});
  };
  plate("Rigaku Saturn 944", "", 2084, 0.045, 65535, "dxtbx FormatSMVRigakuSaturn");
  plate("Rigaku Saturn A200", "", 2048, 0.1, 65535, "dxtbx FormatSMVRigakuA200");
  plate("R-AXIS IV", "", 3000, 0.1, 65535, "dxtbx FormatRAXIS; counts above 32767 are compressed");
  plate("mar345", "150", 2300, 0.15, 65535, "detectors.lib; round: its corners hold no counts");
  plate("mar345", "100", 3450, 0.1, 65535, "detectors.lib; round: its corners hold no counts");
  return table;
}

/// Letters and digits alone, in lower case.
std::string plain(std::string_view name) {
  std::string result;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)))
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

struct Spelling {
  std::string text;
  std::size_t preset, sensor;
};

/// All ways to write a detector and its sensor.
std::vector<Spelling> spellings() {
  std::vector<Spelling> result;
  const auto presets = detector_presets();
  for (std::size_t i = 0; i < presets.size(); ++i) {
    const DetectorPreset& preset = presets[i];
    std::vector<std::string_view> families = {preset.family};
    families.insert(families.end(), preset.also.begin(), preset.also.end());
    for (const std::string_view family : families) {
      const std::string head = plain(family), size = plain(preset.size);
      result.push_back({head + size, i, 0});
      for (std::size_t s = 0; s < preset.sensors.size(); ++s) {
        const PresetSensor& sensor = preset.sensors[s];
        if (sensor.material.empty()) continue;
        const std::string material = plain(sensor.material),
                          thickness = std::to_string(std::lround(sensor.thickness_mm * 1000));
        const bool first = std::none_of(
            preset.sensors.begin(), preset.sensors.begin() + static_cast<std::ptrdiff_t>(s),
            [&](const PresetSensor& other) { return other.material == sensor.material; });
        for (const std::string& words :
             {material, material + thickness, material + thickness + "um"}) {
          if (words == material && !first) continue;
          result.push_back({head + size + words, i, s});
          if (!size.empty()) result.push_back({head + words + size, i, s});
        }
      }
    }
  }
  return result;
}

std::string names_of(const std::vector<std::size_t>& presets) {
  std::string names;
  for (const std::size_t i : presets)
    names.append(names.empty() ? "" : ", ").append(detector_presets()[i].name());
  return names;
}

}  // namespace

std::string DetectorPreset::name() const {
  std::string both(family);
  if (!size.empty()) both.append(" ").append(size);
  return both;
}

std::string DetectorPreset::sensor_name() const {
  if (sensors.empty() || sensors[sensor].material.empty()) return {};
  return std::string(sensors[sensor].material) + " " +
         description::digits(sensors[sensor].thickness_mm * 1000, 6) + " um";
}

std::span<const DetectorPreset> detector_presets() {
  static const std::vector<DetectorPreset> table = make_table();
  return table;
}

DetectorPreset find_detector_preset(std::string_view name) {
  const auto presets = detector_presets();
  const std::string wanted = plain(name);
  const std::vector<Spelling> all = spellings();
  const auto chosen = [&](const Spelling& spelling) {
    DetectorPreset preset = presets[spelling.preset];
    preset.sensor = spelling.sensor;
    return preset;
  };
  for (const Spelling& spelling : all)
    if (spelling.text == wanted) return chosen(spelling);

  std::vector<std::size_t> begun;
  const Spelling* shortest = nullptr;
  for (const Spelling& spelling : all) {
    if (wanted.empty() || !spelling.text.starts_with(wanted)) continue;
    if (begun.empty() || begun.back() != spelling.preset) begun.push_back(spelling.preset);
    // The usual sensor, unless only another one's name begins so
    if (!shortest || spelling.sensor < shortest->sensor) shortest = &spelling;
  }
  // A name that all the others go on from is meant itself: "ADSC Q315" with and without binning.
  for (const std::size_t i : begun)
    if (std::all_of(begun.begin(), begun.end(), [&](std::size_t other) {
          return plain(presets[other].name()).starts_with(plain(presets[i].name()));
        }))
      return begun.size() == 1 ? chosen(*shortest) : presets[i];
  const std::string lead = "no detector is called '" + std::string(name) + "'";
  if (begun.size() > 1) throw UsageError(lead + ", and several names begin so: " + names_of(begun));

  std::size_t best = std::numeric_limits<std::size_t>::max(), nearest = 0;
  for (const Spelling& spelling : all) {
    const std::size_t distance = description::edit_distance(wanted, spelling.text);
    if (distance < best) {
      best = distance;
      nearest = spelling.preset;
    }
  }
  if (!wanted.empty() && best <= std::max<std::size_t>(2, wanted.size() / 4))
    throw UsageError(lead + "; did you mean " + presets[nearest].name() + "?");
  throw UsageError(lead + "; nablabragg detectors lists those there are");
}

Geometry detector_geometry(const DetectorPreset& preset, double distance_mm,
                           const std::optional<BeamOnDetector>& beam) {
  if (!(distance_mm > 0) || !std::isfinite(distance_mm))
    throw UsageError("the distance of the detector is " + description::digits(distance_mm, 6) +
                     " mm; it must be positive");
  Geometry geometry;
  const double width_mm = preset.fast_pixels * preset.pixel_mm,
               height_mm = preset.slow_pixels * preset.pixel_mm;
  if (preset.placed) {
    geometry = preset.placed(preset);
  } else {
    geometry.panels.push_back(panel_of(preset, "", -1, {}, -width_mm / 2, height_mm / 2));
    mask_gaps(preset, geometry.panels.back());
  }
  Vec3d shift{0, 0, -distance_mm};
  if (beam) {
    if (!std::isfinite(beam->fast) || !std::isfinite(beam->slow))
      throw UsageError("the place of the beam on the detector is no number");
    double left = std::numeric_limits<double>::infinity(), top = -left;
    for (const GeometryPanel& panel : geometry.panels)
      for (const double f : {0.0, panel.fast_pixels * panel.fast_pixel_mm})
        for (const double s : {0.0, panel.slow_pixels * panel.slow_pixel_mm}) {
          const Vec3d corner = panel.origin_mm + f * panel.fast_axis + s * panel.slow_axis;
          left = std::min(left, corner.x);
          top = std::max(top, corner.y);
        }
    const double unit_mm = beam->unit == LengthUnit::pixels ? preset.pixel_mm : 1;
    shift.x = -left - beam->fast * unit_mm;
    shift.y = -top + beam->slow * unit_mm;
  }
  for (GeometryGroup& group : geometry.groups) group.origin_mm = group.origin_mm + shift;
  for (GeometryPanel& panel : geometry.panels) {
    panel.origin_mm = panel.origin_mm + shift;
    if (!preset.sensors.empty()) {
      panel.sensor_material = preset.sensors[preset.sensor].material;
      panel.sensor_thickness_mm = preset.sensors[preset.sensor].thickness_mm;
    }
    panel.underload = preset.underload;
    panel.saturation = preset.saturation;
    panel.gain = preset.gain;
    panel.pedestal = preset.pedestal;
  }
  geometry.detector_name = preset.name();
  return geometry;
}

}  // namespace nablabragg
