// nanoBragg's SMV header, line for line; what a program reads from it is in
// docs/coming-from-nanobragg.md.
#include "io/smv_header.hpp"

#include <bit>
#include <cstdio>

#include "nablabragg/units.hpp"

namespace nablabragg::io {

namespace {

/// As printf's %g.
std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string body(const Experiment& e, const Resolved& r, std::size_t header_bytes) {
  const Panel& p = r.panel;
  std::string text = "{\n";
  const auto line = [&](const char* key, const std::string& value, const char* end = ";\n") {
    text += std::string(key) + '=' + value + end;
  };
  const auto mm = [](double metres) { return number(metres * 1000.0); };
  line("HEADER_BYTES", std::to_string(header_bytes));
  line("DIM", "2");
  line("BYTE_ORDER", std::endian::native == std::endian::little ? "little_endian" : "big_endian");
  line("TYPE", "unsigned_short");
  line("SIZE1", std::to_string(p.fast_pixels));
  line("SIZE2", std::to_string(p.slow_pixels));
  line("PIXEL_SIZE", mm(p.pixel));
  line("DISTANCE", mm(p.distance));
  line("WAVELENGTH", number(r.wavelength * 1e10));
  line("BEAM_CENTER_X", mm(p.named_beam_x));
  line("BEAM_CENTER_Y", mm(p.named_beam_y));
  line("ADXV_CENTER_X", mm(p.beam_fast));
  line("ADXV_CENTER_Y", mm(p.slow_size - p.beam_slow));
  line("MOSFLM_CENTER_X", mm(p.beam_slow - 0.5 * p.pixel));
  line("MOSFLM_CENTER_Y", mm(p.beam_fast - 0.5 * p.pixel));
  line("DENZO_X_BEAM", mm(p.beam_slow));
  line("DENZO_Y_BEAM", mm(p.beam_fast));
  line("DIALS_ORIGIN",
       number(p.dials_origin_mm.x) + ',' + number(p.dials_origin_mm.y) + ',' +
           number(p.dials_origin_mm.z),
       e.quirks.short_smv_header ? "\n" : ";\n");
  line("XDS_ORGX", number(p.org_x));
  line("XDS_ORGY", number(p.org_y));
  line("CLOSE_DISTANCE", mm(p.close_distance));
  line("PHI", number(e.scan.phi_deg));
  line("OSC_START", number(e.scan.phi_deg));
  line("OSC_RANGE", number(units::degrees_from_radians(r.scan.range)));
  line("TWOTHETA", number(e.detector.two_theta_deg));
  line("DETECTOR_SN", "000");
  line("BEAMLINE", "fake");
  return text + "}\f";
}

}  // namespace

std::string smv_header(const Experiment& e, const Resolved& r) {
  std::size_t bytes = 512;
  std::string text = body(e, r, bytes);
  while (text.size() > bytes && !e.quirks.short_smv_header) {
    bytes += 512;
    text = body(e, r, bytes);
  }
  if (text.size() < bytes) text.resize(bytes, ' ');
  return text;
}

}  // namespace nablabragg::io
