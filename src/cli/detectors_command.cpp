// nablabragg detectors: the detectors that have names, as a table, one by one, and as pictures.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/stopping.hpp"
#include "cli/subcommands.hpp"
#include "io/named_files.hpp"
#include "io/quotes.hpp"
#include "nablabragg/detector_presets.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/materials.hpp"
#include "options/command.hpp"

namespace nablabragg::cli {

namespace {

const options::Command& detectors() {
  static const options::Command command{
      "nablabragg detectors",
      "[NAME [--picture FILE.png]]",
      "Lists the detectors that have names, or tells what is known of one and draws it.",
      {{{},
        "NAME",
        "a detector by any beginning of its name that only one has, and its sensor: EIGER2-16M, "
        "\"PILATUS3 6M Si 1000\", eiger2_4m_cdte; without NAME: all of them",
        "",
        detector_words()},
       {{"--picture"},
        "FILE",
        "its panels in their places, seen along the beam; a dark corner is that of the first "
        "pixel, the cross the beam",
        "",
        {},
        true},
       {{"-h", "--help"}, "", "this text"}}};
  return command;
}

std::string pixels_of(const DetectorPreset& preset) {
  std::string text = fmt::format("{} x {}", preset.fast_pixels, preset.slow_pixels);
  if (preset.panels > 1) text += fmt::format(" x {}", preset.panels);
  return text;
}

std::string sensors_of(const DetectorPreset& preset) {
  std::string text;
  DetectorPreset each = preset;
  for (each.sensor = 0; each.sensor < preset.sensors.size(); ++each.sensor) {
    const std::string name = each.sensor_name();
    if (!name.empty()) text += (text.empty() ? "" : ", ") + name;
  }
  return text.empty() ? "not stated" : text;
}

std::string layout_of(const DetectorPreset& preset) {
  if (!preset.layout.empty()) return std::string(preset.layout);
  if (preset.fast_modules * preset.slow_modules == 1) return "one image";
  std::string text = fmt::format("{} x {} modules", preset.fast_modules, preset.slow_modules);
  if (preset.fast_gap_px > 0 || preset.slow_gap_px > 0)
    text += fmt::format(", {} and {} pixels between", preset.fast_gap_px, preset.slow_gap_px);
  return text;
}

std::string limits_of(const DetectorPreset& preset) {
  const auto limit = [](const std::optional<double>& x) {
    return x ? fmt::format("{:.10g}", *x) : std::string("?");
  };
  return limit(preset.underload) + " to " + limit(preset.saturation);
}

void write_table(std::ostream& out) {
  std::size_t widest = 0, widest_pixels = 0, widest_sensors = 0;
  for (const DetectorPreset& preset : detector_presets()) {
    widest = std::max(widest, preset.name().size());
    widest_pixels = std::max(widest_pixels, pixels_of(preset).size());
    widest_sensors = std::max(widest_sensors, sensors_of(preset).size());
  }
  const auto row = [&](const std::string& name, const std::string& pixels, const std::string& pitch,
                       const std::string& sensors, const std::string& layout) {
    fmt::print(out, "{:<{}}  {:<{}}  {:>7}  {:<{}}  {}\n", name, widest, pixels, widest_pixels,
               pitch, sensors, widest_sensors, layout);
  };
  row("name", "pixels", "um", "sensors", "layout");
  for (const DetectorPreset& preset : detector_presets())
    row(preset.name(), pixels_of(preset), fmt::format("{:.5g}", preset.pixel_mm * 1000),
        sensors_of(preset), layout_of(preset) + (preset.nominal ? " (nominal)" : ""));
  out << "\nnominal: places by design; a real detector is calibrated and comes as a file.\n"
         "nablabragg detectors NAME tells more of one.\n";
}

void write_details(std::ostream& out, const DetectorPreset& preset) {
  const auto line = [&](const char* what, const std::string& value) {
    fmt::print(out, "{:<12} {}\n", what, value);
  };
  line("detector", preset.name());
  line("panels", std::to_string(preset.panels));
  line("pixels", fmt::format("{} x {} of each panel, {:.6g} um", preset.fast_pixels,
                             preset.slow_pixels, preset.pixel_mm * 1000));
  line("layout", layout_of(preset) + (preset.nominal ? " (nominal)" : ""));
  const std::string sensor = preset.sensor_name();
  line("sensor", sensor.empty() ? "not stated: photons are captured at the surface" : sensor);
  if (preset.sensors.size() > 1) line("to be had", sensors_of(preset));
  line("counts",
       limits_of(preset) + (preset.gain == 1 ? "" : fmt::format(", {:g} a photon", preset.gain)) +
           (preset.pedestal == 0 ? "" : fmt::format(", {:g} without one", preset.pedestal)));
  line("source", std::string(preset.source));
}

// ---- The picture
// ---------------------------------------------------------------------------------

/// Looks along the beam at panels that are normal to it: x to the right, y up.
class View {
 public:
  explicit View(const Geometry& geometry) : geometry_(geometry) {
    double left = std::numeric_limits<double>::infinity(), right = -left, bottom = left,
           top = -left;
    for (const GeometryPanel& panel : geometry.panels)
      for (const double f : {0.0, static_cast<double>(panel.fast_pixels)})
        for (const double s : {0.0, static_cast<double>(panel.slow_pixels)}) {
          const Vec3d corner = place(panel, f, s);
          left = std::min(left, corner.x);
          right = std::max(right, corner.x);
          bottom = std::min(bottom, corner.y);
          top = std::max(top, corner.y);
        }
    constexpr double longest_side = 400;
    mm_ = std::max(right - left, top - bottom) / longest_side;
    left_ = left - margin * mm_;
    top_ = top + margin * mm_;
    width_ = static_cast<int>(std::ceil((right - left) / mm_ + 2 * margin));
    height_ = static_cast<int>(std::ceil((top - bottom) / mm_ + 2 * margin));
  }

  int width() const { return width_; }
  int height() const { return height_; }

  std::uint16_t grey(int column, int row) const {
    if (is_cross(column, row)) return 0;
    // Gaps are narrower than a point of the picture.
    constexpr int finer = 3;
    double sum = 0;
    for (int i = 0; i < finer * finer; ++i)
      sum += at(left_ + (column + (i % finer + 0.5) / finer) * mm_,
                top_ - (row + (static_cast<double>(i / finer) + 0.5) / finer) * mm_);
    return static_cast<std::uint16_t>(std::lround(sum / (finer * finer)));
  }

 private:
  static constexpr double margin = 10;
  static constexpr double background = 255, pixels = 170, first_corner = 60;

  static Vec3d place(const GeometryPanel& panel, double fast_px, double slow_px) {
    return panel.origin_mm + (fast_px * panel.fast_pixel_mm) * panel.fast_axis +
           (slow_px * panel.slow_pixel_mm) * panel.slow_axis;
  }

  bool is_cross(int column, int row) const {
    constexpr int arm = 9;
    const int x = static_cast<int>(std::lround(-left_ / mm_ - 0.5)),
              y = static_cast<int>(std::lround(top_ / mm_ - 0.5));
    return (column == x && std::abs(row - y) <= arm) || (row == y && std::abs(column - x) <= arm);
  }

  double at(double x, double y) const {
    for (const GeometryPanel& panel : geometry_.panels) {
      const Vec3d from = Vec3d{x, y, panel.origin_mm.z} - panel.origin_mm;
      const double fast = dot(from, panel.fast_axis) / panel.fast_pixel_mm,
                   slow = dot(from, panel.slow_axis) / panel.slow_pixel_mm;
      if (!(fast >= 0 && fast < panel.fast_pixels && slow >= 0 && slow < panel.slow_pixels))
        continue;
      for (const PixelRectangle& r : panel.masked)
        if (fast >= r.fast_begin && fast < r.fast_end && slow >= r.slow_begin && slow < r.slow_end)
          return background;
      const double corner_px = std::min(0.15 * std::min(panel.fast_pixels, panel.slow_pixels),
                                        12 * mm_ / panel.fast_pixel_mm);
      const bool is_first = fast + slow < corner_px;
      return is_first ? first_corner : pixels;
    }
    return background;
  }

  const Geometry& geometry_;
  double mm_ = 1, left_ = 0, top_ = 0;
  int width_ = 0, height_ = 0;
};

void write_picture(const std::string& path, const DetectorPreset& preset) {
  // Any distance: the picture is in the detector's plane.
  const Geometry geometry = detector_geometry(preset, 1);
  const View view(geometry);
  const std::vector<io::PngText> texts = {{"Title", preset.name()}};
  io::write_png(
      io::writable_name(path), view.width(), view.height(), 8,
      [&](int row, std::span<std::uint16_t> greys) {
        for (int column = 0; column < view.width(); ++column)
          greys[static_cast<std::size_t>(column)] = view.grey(column, row);
      },
      texts);
}

/// "EIGER2 16M" -> eiger2-16m
std::string file_name_of(const DetectorPreset& preset) {
  std::string name = preset.name();
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (c == ' ') c = '-';
  }
  return name + ".png";
}

}  // namespace

void detectors_command(const std::vector<std::string>& arguments, std::ostream& out,
                       std::ostream& err) {
  if (describe_if_asked(arguments, detectors(), out)) return;
  std::string name, picture;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "-h" || word == "-help" || word == "--help") {
      options::write_usage(out, detectors());
      return;
    }
    if (word == "-picture" || word == "--picture") {
      if (i + 1 == arguments.size()) throw UsageError(word + " needs a file, and nothing follows");
      picture = arguments[++i];
    } else if (word.starts_with('-') && word.size() > 1) {
      throw UsageError("detectors has no flag " + word + options::suggestion(detectors(), word));
    } else {
      name += (name.empty() ? "" : " ") + word;
    }
  }
  if (name.empty()) {
    if (!picture.empty()) throw UsageError("--picture needs the name of a detector to draw");
    write_table(out);
    return;
  }
  const DetectorPreset preset = find_detector_preset(name);
  if (!picture.empty()) {
    if (ending_of(picture) != ".png" && !io::is_standard_output(picture))
      throw UsageError("detectors draws PNG pictures: give " + io::quoted_name(picture) +
                       " a name that ends with .png");
    set_stop_sentence("stopped before the picture was complete; no file was written");
    write_picture(picture, preset);
  }
  write_details(picture.empty() || !io::is_standard_output(picture) ? out : err, preset);
}

void write_detectors_page(std::ostream& out) {
  out << "# Detectors\n\n"
         "Made from the program's table by `nablabragg docs detectors`.\n\n"
         "A detector is meant by any beginning of its name that only one has; case and what "
         "stands between its words do not matter, and a\n"
         "sensor may follow: `EIGER2-16M`, `eiger2_4m_cdte`, `\"PILATUS3 6M Si 1000\"`. "
         "`nablabragg detectors NAME` tells what is known of it,\n"
         "`--picture FILE.png` draws it.\n\n"
         "Pixels are those of each panel, fast x slow (x panels); the first sensor is the usual "
         "one; counts are those that can be trusted.\n"
         "*nominal*: panels stand where a drawing or an example puts them; those of a real "
         "detector are calibrated and come as a file\n"
         "(.expt, .geom). A detector is normal to the beam; the beam passes through the middle of "
         "one image, and where it does by design\n"
         "between several panels.\n\n"
         "| name | pixels | um | sensors | layout | counts | source "
         "|\n|---|---|---|---|---|---|---|\n";
  for (const DetectorPreset& preset : detector_presets())
    fmt::print(out, "| {} | {} | {:.5g} | {} | {}{} | {}{}{} | {} |\n", preset.name(),
               pixels_of(preset), preset.pixel_mm * 1000, sensors_of(preset), layout_of(preset),
               preset.nominal ? " *nominal*" : "", limits_of(preset),
               preset.gain == 1 ? "" : fmt::format("; {:g} a photon", preset.gain),
               preset.pedestal == 0 ? "" : fmt::format("; {:g} without", preset.pedestal),
               preset.source);
  out << "\n## Pictures\n\n"
         "Seen along the beam, which is the cross; a dark corner is that of a panel's first "
         "pixel.\n\n";
  for (const DetectorPreset& preset : detector_presets())
    fmt::print(out, "{}\n\n![{}](detectors/{})\n\n", preset.name(), preset.name(),
               file_name_of(preset));
  out << "## Sensors\n\n"
         "Attenuation is xraylib's total cross section times the density:\n\n"
         "| material | density g/cm3 | source of the density |\n|---|---|---|\n";
  for (const SensorMaterial& material : sensor_materials())
    fmt::print(out, "| {} | {:g} | {} |\n", material.name, material.density_g_per_cm3,
               material.source);
}

}  // namespace nablabragg::cli
