// nanoBragg's SMV header, line for line; what a program reads from it is in
// docs/coming-from-nanobragg.md.
#include "io/smv_header.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "io/image_series.hpp"  // for shortest_text
#include "nablabragg/conventions.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::io {

namespace {

/// As printf's %g, which nanoBragg uses.
std::string six_digits(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// Whether programs that know of no axes have the panel right: flat, square to the beam, its rows
/// along the spindle and its columns against what is then up.
bool is_plain(const Experiment& e, const Resolved& r) {
  const Panel& p = r.panel;
  constexpr double straight = 1e-9;
  const Vec3d down = cross(p.spindle, p.beam);
  return !e.detector.curved && r.more_panels.empty() && p.distance > 0 &&
         length(p.fast - p.spindle) < straight && length(p.slow + down) < straight &&
         std::abs(dot(p.beam, p.spindle)) < straight;
}

std::string body(const Experiment& e, const Resolved& r, const SmvProvenance& made,
                 std::size_t header_bytes) {
  const Panel& p = r.panel;
  const bool compat = e.quirks.short_smv_header;
  const auto number = [&](double value) {
    return compat ? six_digits(value) : shortest_text(value);
  };
  std::string text = "{\n";
  const auto line = [&](const char* key, const std::string& value, const char* end = ";\n") {
    text += std::string(key) + '=' + value + end;
  };
  const auto mm = [&](double metres) { return number(metres * 1000.0); };
  line("HEADER_BYTES", std::to_string(header_bytes));
  // Before the keys that nanoBragg looks for: it takes the last place that holds their text.
  if (!made.program.empty()) {
    line("PROGRAM", made.program);
    line("COMMAND_LINE", made.command_line);
    line("SEED", std::to_string(made.seed));
  }
  if (!compat) {
    line("CONVENTION", std::string(name_of(p.convention)));
    line("CONVENTION_XBEAM", mm(p.named_beam_x));
    line("CONVENTION_YBEAM", mm(p.named_beam_y));
    line("PIVOT", p.pivot == Pivot::beam ? "beam" : "sample");
    line("DETECTOR_ROTX", number(e.detector.rotation_deg.x));
    line("DETECTOR_ROTY", number(e.detector.rotation_deg.y));
    line("DETECTOR_ROTZ", number(e.detector.rotation_deg.z));
  }
  line("DIM", "2");
  line("BYTE_ORDER", std::endian::native == std::endian::little ? "little_endian" : "big_endian");
  line("TYPE", "unsigned_short");
  line("SIZE1", std::to_string(p.fast_pixels));
  line("SIZE2", std::to_string(p.slow_pixels));
  line("PIXEL_SIZE", mm(p.pixel));
  line("DISTANCE", mm(p.distance));
  line("WAVELENGTH", number(r.wavelength * 1e10));
  // Other programs take it as DENZO's, of a panel that is not tilted; without it they read none.
  if (compat || is_plain(e, r)) {
    line("BEAM_CENTER_X", mm(compat ? p.named_beam_x : p.beam_slow));
    line("BEAM_CENTER_Y", mm(compat ? p.named_beam_y : p.beam_fast));
  }
  line("ADXV_CENTER_X", mm(p.beam_fast));
  line("ADXV_CENTER_Y", mm(p.slow_size - p.beam_slow));
  line("MOSFLM_CENTER_X", mm(p.beam_slow - 0.5 * p.pixel));
  line("MOSFLM_CENTER_Y", mm(p.beam_fast - 0.5 * p.pixel));
  line("DENZO_X_BEAM", mm(p.beam_slow));
  line("DENZO_Y_BEAM", mm(p.beam_fast));
  line("DIALS_ORIGIN",
       number(p.dials_origin_mm.x) + ',' + number(p.dials_origin_mm.y) + ',' +
           number(p.dials_origin_mm.z),
       compat ? "\n" : ";\n");
  line("XDS_ORGX", number(p.org_x));
  line("XDS_ORGY", number(p.org_y));
  line("CLOSE_DISTANCE", mm(p.close_distance));
  line("PHI", number(e.scan.phi_deg));
  line("OSC_START", number(e.scan.phi_deg));
  line("OSC_RANGE", number(units::degrees_from_radians(r.scan.range)));
  line("TWOTHETA", number(e.detector.two_theta_deg));
  line("DETECTOR_SN", "000");
  if (compat) {
    line("BEAMLINE", "fake");  // by which DIALS takes the beam centre for another program's
  } else {
    line("TIME", number(e.beam.exposure_s));
    line("IMAGE_PEDESTAL", number(made.pedestal));
    line("GAIN", number(made.gain));
  }
  return text + "}\f";
}

}  // namespace

std::string command_line_text(std::span<const std::string> arguments) {
  constexpr std::size_t most = 60000;  // more would not fit where headers have five digits of bytes
  std::string line;
  for (const std::string& argument : arguments) {
    if (line.size() > most) return line.substr(0, most) + " ... (shortened)";
    if (!line.empty()) line += ' ';
    // nanoBragg would take the length of the header from there.
    const bool misleads = argument.find("HEADER_BYTES") != std::string::npos;
    const bool plain = !misleads && !argument.empty() && std::ranges::all_of(argument, [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) ||
             std::string_view("_@%+,./:-").find(c) != std::string_view::npos;
    });
    if (plain) {
      line += argument;
      continue;
    }
    line += "$'";
    for (const char c : argument) {
      const bool printable = c >= ' ' && c <= '~' && !(misleads && c == '_') &&
                             std::string_view(";={}'\\").find(c) == std::string_view::npos;
      if (printable) {
        line += c;
        continue;
      }
      std::array<char, 5> code{};
      std::snprintf(code.data(), code.size(), "\\x%02x", static_cast<unsigned char>(c));
      line += code.data();
    }
    line += '\'';
  }
  return line.size() > most ? line.substr(0, most) + " ... (shortened)" : line;
}

std::string smv_header(const Experiment& e, const Resolved& r, const SmvProvenance& made) {
  std::size_t bytes = 512;
  std::string text = body(e, r, made, bytes);
  while (text.size() > bytes && !e.quirks.short_smv_header) {
    bytes += 512;
    text = body(e, r, made, bytes);
  }
  if (text.size() < bytes) text.resize(bytes, ' ');
  return text;
}

}  // namespace nablabragg::io
