#include "io/cbf.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "io/cbf_sections.hpp"
#include "io/cif_tables.hpp"
#include "io/image_series.hpp"
#include "io/img_cif.hpp"
#include "io/mini_cbf.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

// ---- Writing ------------------------------------------------------------------------------------

bool turns(const Geometry& geometry) { return geometry.scan && geometry.scan->width_deg > 0; }

/// Readers of mini-CBF take every count for a photon.  They read its sensor, which DIALS does not
/// in imgCIF, and take a still for a scan of no width, which imgCIF need not have: a still whose
/// sensor shifts no spot has it.
bool is_mini(const Geometry& geometry) {
  return is_plain(geometry) && geometry.panels[0].gain == 1 &&
         (turns(geometry) || geometry.panels[0].sensor_thickness_mm > 0);
}

std::string why_not_cbf(const ImageSeries& series) {
  const Geometry& geometry = series.geometry;
  if (std::string why = why_no_place(geometry); !why.empty()) return why;
  if (!series.counts)
    return "CBF holds integer counts that DIALS reads, not photons; NXmx (.nxs) holds them";
  if (geometry.panels.empty() || !geometry.beam)
    return "CBF states a detector and a beam, and there is none";
  const GeometryPanel& first = geometry.panels[0];
  for (const GeometryPanel& panel : geometry.panels) {
    if (panel.pedestal != 0)
      return "CBF states no pedestal, and the counts have one; SMV (.img) does";
    // DIALS gives all panels the size of the last one.
    if (panel.fast_pixels != first.fast_pixels || panel.slow_pixels != first.slow_pixels)
      return "DIALS reads panels of a CBF that differ in their number of pixels as if they did "
             "not; "
             "NXmx (.nxs) has them right";
  }
  return "";
}

class CbfWriter final : public OneImageAFile {
 public:
  using OneImageAFile::OneImageAFile;

 private:
  void write(AtomicFile& file, std::size_t image, std::span<const std::int32_t> counts) override {
    const Geometry& geometry = series().geometry;
    const bool mini = is_mini(geometry);
    // DIALS takes imgCIF with returns and byte offsets for one panel on a goniometer.
    const CbfLines lines = mini || (turns(geometry) && geometry.panels.size() == 1)
                               ? CbfLines::with_return
                               : CbfLines::bare;
    std::string head = "###CBF: VERSION 1.5\n\ndata_image_" + std::to_string(image + 1) + "\n\n";
    head += mini ? mini_cbf_text(series(), image) : img_cif_text(series(), image);
    if (geometry.panels.size() == 1) head += "\n_array_data.data\n";
    file.write(cbf_lines(std::move(head), lines));
    for (std::size_t i = 0; i < geometry.panels.size(); ++i) {
      const GeometryPanel& panel = geometry.panels[i];
      const std::size_t pixels = static_cast<std::size_t>(panel.fast_pixels) *
                                 static_cast<std::size_t>(panel.slow_pixels);
      const std::string row = mini ? "" : img_cif_array_row(geometry, i);
      file.write(cbf_lines(row + ";\n", lines));
      file.write(cbf_section(counts.first(pixels), static_cast<int>(i) + 1, panel.fast_pixels,
                             panel.slow_pixels, lines));
      file.write(cbf_lines(";\n", lines));
      counts = counts.subspan(pixels);
    }
  }
};

// ---- Reading ------------------------------------------------------------------------------------

/// What the header says, and which sections hold the panels.
ImgCif read_header(const CbfFile& file) {
  // A mini-CBF need not be a CIF that a parser takes.
  const auto has = [&](std::string_view tag) { return file.text.find(tag) != std::string::npos; };
  if (has("_axis.") && has("_array_structure_list")) {
    const std::map<std::string, CifTable> tables = read_cif_tables(file.path, file.text);
    if (has_img_cif_axes(tables)) return read_img_cif(file, tables);
  }
  int fast = 0, slow = 0;
  if (!file.sections.empty()) {
    const CbfSection& section = file.sections[0];
    check_dimensions(file, section);
    constexpr std::uint64_t most = 1000000;
    if (section.fast > most || section.slow > most)
      throw InputError(file.path, 0, "has more pixels than any detector");
    fast = static_cast<int>(section.fast);
    slow = static_cast<int>(section.slow);
  }
  ImgCif result;
  result.sections = {0};
  result.undefined = {std::nullopt};
  result.header = has_mini_header(file.text)
                      ? read_mini_header(file.path, file.text, fast, slow)
                      : without_geometry(fast, slow,
                                         "_array_data.header_contents (mini-CBF) and no _axis.id "
                                         "(imgCIF)");
  return result;
}

/// Where `undefined` is below zero it and what is below it, else all that is.
void drop_undefined(std::vector<double>& pixels, std::optional<double> undefined) {
  const double most = undefined && *undefined < 0 ? *undefined : -0.5;
  for (double& pixel : pixels)
    if (pixel <= most) pixel = std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

FileFormat cbf_format() {
  return {
      .name = "CBF",
      .endings = {".cbf"},
      .written = "counts, one image a file (mini-CBF or imgCIF)",
      .geometry = "panels of one size, beam, scan",
      .begins = is_cbf,
      .read = read_cbf,
      .read_geometry = [](const std::string& path, int, auto) { return read_cbf_geometry(path); },
      .open = [](const std::string& path,
                 const ImageSeries& series) -> std::unique_ptr<ImageWriter> {
        if (const std::string why = why_not_cbf(series); !why.empty()) throw UsageError(why);
        return std::make_unique<CbfWriter>(path, series);
      },
      .why_not = why_not_cbf,
      .notices = cbf_notices};
}

std::vector<std::string> cbf_notices(const ImageSeries& series) {
  const Geometry& geometry = series.geometry;
  std::vector<std::string> notices;
  if (!geometry.beam || geometry.panels.empty()) return notices;
  if (geometry.beam->polarization.value_or(1) < most_polarization_unsaid)
    notices.emplace_back(
        "CBF files say nothing of polarization, and DIALS takes the beam for fully polarized; an "
        ".expt file says it");
  if (geometry.beam->spectrum_A.size() > 1)
    notices.emplace_back("CBF files hold the mean wavelength, not the spectrum");
  const bool sensed = std::ranges::any_of(
      geometry.panels, [](const GeometryPanel& panel) { return panel.sensor_thickness_mm > 0; });
  const bool said = is_mini(geometry) ? !sensor_line(geometry).empty() : says_pilatus(geometry);
  if (sensed && !said)
    notices.emplace_back(
        "DIALS does not read the sensor of such a CBF file, and does not correct for the depth at "
        "which it captures photons; NXmx (.nxs) and .expt files state it");
  if (is_mini(geometry) && !turns(geometry))
    notices.emplace_back(
        "DIALS reads a still's mini-CBF file as a scan of no width, which it indexes and cannot "
        "integrate; NXmx (.nxs) holds stills");
  return notices;
}

bool is_cbf(std::string_view head) { return head.starts_with("###CBF"); }

ImageFile read_cbf(const std::string& path, int image) {
  if (image != 0)
    throw InputError(path, 0,
                     "holds one image, and number " + std::to_string(image + 1) + " is asked for");
  CbfFile file;
  read_cbf_file(path, file);
  ImgCif header = read_header(file);
  ImageFile result;
  result.format = "CBF";
  std::vector<GeometryPanel>& panels = header.header.geometry.panels;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    if (header.sections[i] >= file.sections.size()) throw InputError(path, 0, "holds no pixels");
    const CbfSection& section = file.sections[header.sections[i]];
    std::vector<double> pixels = pixels_of(file, section);
    const auto fast = static_cast<std::uint64_t>(panels[i].fast_pixels),
               slow = static_cast<std::uint64_t>(panels[i].slow_pixels);
    if (section.fast != fast || section.slow != slow)
      throw InputError(path, 0,
                       "_array_structure_list states " + std::to_string(fast) + " x " +
                           std::to_string(slow) + " pixels, and there are " +
                           std::to_string(section.fast) + " x " + std::to_string(section.slow));
    drop_undefined(pixels, header.undefined[i]);
    if (result.pixels.empty())
      result.pixels = std::move(pixels);
    else
      result.pixels.insert(result.pixels.end(), pixels.begin(), pixels.end());
  }
  result.geometry = with_notice(std::move(header.header));
  return result;
}

Geometry read_cbf_geometry(const std::string& path) {
  CbfFile file;
  read_cbf_file(path, file);
  Geometry geometry = complete(path, read_header(file).header);
  if (geometry.panels[0].fast_pixels == 0)
    throw InputError(path, 0, "holds no pixels, and nothing else says how many there are");
  return geometry;
}

}  // namespace nablabragg::io
