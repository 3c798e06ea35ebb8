// SMV images that DIALS, fabio and nanoBragg's -denzo read to the right pixel.
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>

#include "io/image_series.hpp"
#include "io/input_bytes.hpp"
#include "io/smv_images.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

std::string why_not_smv(const ImageSeries& series) {
  const Geometry& geometry = series.geometry;
  if (std::string why = why_no_place(geometry); !why.empty()) return why;
  if (!series.counts) return "SMV holds counts of 16 bits, not photons; NXmx (.nxs) holds them";
  if (geometry.panels.empty() || !geometry.beam)
    return "SMV states a detector and a beam, and there is none";
  if (geometry.panels.size() > 1)
    return "SMV holds one panel, and there are " + std::to_string(geometry.panels.size()) +
           "; NXmx (.nxs) and CBF (.cbf) hold them";
  const GeometryPanel& panel = geometry.panels[0];
  if (panel.fast_pixel_mm != panel.slow_pixel_mm)
    return "SMV states one size of pixels, and these are not square; NXmx (.nxs) and CBF (.cbf) "
           "state both";
  if (!is_plain(geometry))
    return "SMV is read as a panel square to the beam with its rows along the spindle, and this "
           "one "
           "is tilted, turned or mirrored; NXmx (.nxs) and CBF (.cbf) state its axes";
  return "";
}

/// "Sat Nov 28 18:50:08 2026", as ADSC writes it.
std::string adsc_date(const std::string& iso_date) {
  const std::string date = header_date(iso_date);
  const auto part = [&](std::size_t begin, std::size_t digits) {
    return parse_number<int>(std::string_view(date).substr(begin, digits)).value_or(1);
  };
  using namespace std::chrono;
  const year_month_day day{year(part(0, 4)), month(static_cast<unsigned>(part(5, 2))),
                           std::chrono::day(static_cast<unsigned>(part(8, 2)))};
  if (!day.ok()) return "Thu Jan  1 00:00:00 1970";
  constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return std::string(days[weekday(sys_days(day)).c_encoding()]) + ' ' +
         months[static_cast<unsigned>(day.month()) - 1] + ' ' + date.substr(8, 2) + ' ' +
         date.substr(11, 8) + ' ' + date.substr(0, 4);
}

/// What a value may hold: readers split at = and ; and nanoBragg looks for keys in it.
std::string value_text(std::string_view text) {
  std::string value = plain_text(text);
  for (char& c : value)
    if (std::string_view("=;{}").find(c) != std::string_view::npos) c = '?';
  for (std::size_t at; (at = value.find("HEADER_BYTES")) != std::string::npos;) value[at] = '?';
  return value;
}

std::string header_text(const ImageSeries& series, std::size_t image, std::size_t bytes) {
  const Geometry& geometry = series.geometry;
  const GeometryPanel& panel = geometry.panels[0];
  const PlainPanel place = plain_panel(geometry);
  const Turn turn = turn_of(series, image);
  const Provenance& made = series.provenance;
  std::string text = "{\n";
  const auto line = [&](const char* key, const std::string& value) {
    text += std::string(key) + '=' + value + ";\n";
  };
  const auto number = [&](const char* key, double value) { line(key, fixed_text(value)); };
  line("HEADER_BYTES", std::to_string(bytes));
  if (!made.program.empty()) line("PROGRAM", value_text(made.program));
  if (!made.command_line.empty()) line("COMMAND_LINE", value_text(made.command_line));
  line("CONVENTION", "denzo");
  line("PIVOT", "beam");
  line("DIM", "2");
  line("BYTE_ORDER", "little_endian");
  line("TYPE", "unsigned_short");
  line("SIZE1", std::to_string(panel.fast_pixels));
  line("SIZE2", std::to_string(panel.slow_pixels));
  number("PIXEL_SIZE", panel.fast_pixel_mm);
  line("DETECTOR_SN", "000");
  line("DATE", adsc_date(made.date));
  number("TIME", geometry.scan ? geometry.scan->exposure_s : 0);
  number("DISTANCE", place.distance_mm);
  number("WAVELENGTH", wavelength_A(series, image));
  number("PHI", turn.start_deg);
  number("OSC_START", turn.start_deg);
  number("OSC_RANGE", turn.width_deg);
  line("AXIS", "phi");
  line("TWOTHETA", "0");
  number("IMAGE_PEDESTAL", smv_pedestal + panel.pedestal);
  number("GAIN", panel.gain);
  number("BEAM_CENTER_X", place.slow_mm);
  number("BEAM_CENTER_Y", place.fast_mm);
  number("DENZO_XBEAM", place.slow_mm);
  number("DENZO_YBEAM", place.fast_mm);
  number("ADXV_CENTER_X", place.fast_mm);
  number("ADXV_CENTER_Y", panel.slow_pixels * panel.slow_pixel_mm - place.slow_mm);
  number("XDS_ORGX", place.fast_mm / panel.fast_pixel_mm + 0.5);
  number("XDS_ORGY", place.slow_mm / panel.slow_pixel_mm + 0.5);
  number("CLOSE_DISTANCE", place.distance_mm);
  return text + "}\f";
}

class SmvWriter final : public OneImageAFile {
 public:
  using OneImageAFile::OneImageAFile;
  std::int64_t clipped() const override { return clipped_; }

 private:
  void write(AtomicFile& file, std::size_t image, std::span<const std::int32_t> counts) override {
    std::size_t bytes = 512;
    std::string header = header_text(series(), image, bytes);
    while (header.size() > bytes) {
      bytes += 512;
      header = header_text(series(), image, bytes);
    }
    header.resize(bytes, ' ');
    file.expect(bytes + counts.size() * sizeof(std::uint16_t));
    file.write(header);
    constexpr std::size_t block = std::size_t{1} << 16;
    std::vector<std::uint16_t> pixels;
    for (std::size_t begin = 0; begin < counts.size(); begin += block) {
      const auto some = counts.subspan(begin, std::min(block, counts.size() - begin));
      pixels.resize(some.size());
      std::ranges::transform(some, pixels.begin(), [&](std::int32_t count) -> std::uint16_t {
        if (count < 0) return 0;
        clipped_ += count > smv_largest_count;
        return static_cast<std::uint16_t>(std::min(count, smv_largest_count) + smv_pedestal);
      });
      file.write(std::as_bytes(std::span<const std::uint16_t>(pixels)));
    }
  }

  std::int64_t clipped_ = 0;
};

}  // namespace

FileFormat smv_format() {
  return {
      .name = "SMV",
      .endings = {".img", ".smv"},
      .written = "counts to 65495, one image a file",
      .geometry = "one panel square to the beam, scan",
      .begins = begins_as_smv,
      .read = [](const std::string& path, int) { return read_smv_image(path); },
      .read_geometry = [](const std::string& path, int, auto) { return read_smv_geometry(path); },
      .open = [](const std::string& path,
                 const ImageSeries& series) -> std::unique_ptr<ImageWriter> {
        if (const std::string why = why_not_smv(series); !why.empty()) throw UsageError(why);
        return std::make_unique<SmvWriter>(path, series);
      },
      .why_not = why_not_smv,
      .notices = smv_notices};
}

std::vector<std::string> smv_notices(const ImageSeries& series) {
  const Geometry& geometry = series.geometry;
  std::vector<std::string> notices;
  if (!geometry.beam || geometry.panels.empty()) return notices;
  if (geometry.beam->polarization.value_or(1) < most_polarization_unsaid)
    notices.emplace_back(
        "SMV files say nothing of polarization, and DIALS takes the beam for fully polarized; an "
        ".expt file says it");
  if (geometry.beam->spectrum_A.size() > 1)
    notices.emplace_back("SMV files hold the mean wavelength, not the spectrum");
  if (geometry.panels[0].sensor_thickness_mm > 0)
    notices.emplace_back(
        "SMV files do not state the sensor, and DIALS does not correct for the depth at which it "
        "captures photons; NXmx (.nxs) and .expt files state it");
  if (!(geometry.scan && geometry.scan->width_deg > 0))
    notices.emplace_back(
        "DIALS reads a still's SMV file as a scan of no width, which it indexes and cannot "
        "integrate; NXmx (.nxs) holds stills");
  return notices;
}

}  // namespace nablabragg::io
