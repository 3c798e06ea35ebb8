// Writing NXmx: where each field stands and what the readers make of it is in docs/files.md.
#include <time.h>  // for timegm

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>  // for memcpy
#include <ctime>
#include <future>
#include <limits>
#include <numbers>
#include <type_traits>

#include "io/atomic_file.hpp"
#include "io/hdf5_handles.hpp"
#include "io/hdf5_tree.hpp"
#include "io/image_series.hpp"
#include "io/nxmx.hpp"
#include "io/nxmx_shards.hpp"
#include "io/quotes.hpp"
#include "io/shuffled_deflate.hpp"
#include "io/tall_image.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

/// From imgCIF's frame to that of NeXus and back: x and z the other way.
Vec3d turned(const Vec3d& v) { return {0 - v.x, v.y, 0 - v.z}; }  // no -0

double largest(const Vec3d& v) { return std::max({std::abs(v.x), std::abs(v.y), std::abs(v.z)}); }

// ---- What NXmx can hold ------------------------------------------------------------------------

/// As dxtbx calls it; empty for what it does not know.
std::string sensor_of(const std::string& material) {
  if (material == "Silicon") return "Si";
  for (const char* known : {"Si", "CdTe", "GaAs"})
    if (material == known) return material;
  return {};
}

std::string panel_name(const Geometry& geometry, std::size_t i) {
  const std::string& name = geometry.panels[i].name;
  return name.empty() ? "panel " + std::to_string(i) : "the panel " + in_quotes(name);
}

/// Whether all panels state the same; NXmx has one place for it.
template <class Member>
bool differ(const Geometry& geometry, Member member) {
  return std::any_of(geometry.panels.begin(), geometry.panels.end(), [&](const GeometryPanel& p) {
    return !(p.*member == geometry.panels[0].*member);
  });
}

double wavelength_of(const ImageSeries& series, std::size_t image) {
  const double own = series.images[image].wavelength_A;
  return own > 0 ? own : series.geometry.beam->wavelength_A;
}

bool wavelengths_differ(const ImageSeries& series) {
  for (std::size_t i = 1; i < series.images.size(); ++i)
    if (wavelength_of(series, i) != wavelength_of(series, 0)) return true;
  return false;
}

/// A scan whose images have no width is a series of stills: DIALS finds nothing in it otherwise.
bool is_sweep(const ImageSeries& series) {
  return series.geometry.scan && series.geometry.scan->width_deg > 0;
}

std::string why_not_packed(const std::string& compression) {
  if (compression.empty() || compression == nxmx_deflate) return {};
  if (compression != nxmx_bitshuffle)
    return std::string("NXmx is packed by ") + nxmx_deflate + " or " + nxmx_bitshuffle + ", not " +
           in_quotes(compression);
  const hdf5::Session session;
  if (H5Zfilter_avail(hdf5::bitshuffle_filter) > 0) return {};
  return "HDF5 has no filter bitshuffle (32008) here; install Debian's package bitshuffle, or "
         "write with deflate";
}

std::string why_not(const ImageSeries& series) {
  const Geometry& geometry = series.geometry;
  if (std::string why = why_no_place(geometry); !why.empty()) return why;
  if (series.images.empty()) return "a file of images needs at least one";
  if (geometry.panels.empty()) return "a file of images needs a panel";
  if (!geometry.beam || !(geometry.beam->wavelength_A > 0))
    return "NXmx needs the wavelength of the beam";
  const GeometryBeam& beam = *geometry.beam;
  constexpr double straight = 1e-9;
  if (largest(unit(beam.direction) - Vec3d{0, 0, -1}) > straight)
    return "NXmx has the beam along its z axis; turn the geometry into imgCIF's frame";
  if (beam.spectrum_A.size() != beam.spectrum_weights.size())
    return "the spectrum has " + std::to_string(beam.spectrum_A.size()) + " wavelengths and " +
           std::to_string(beam.spectrum_weights.size()) + " weights";

  double pixels = 0;
  int most_fast = 0;
  for (std::size_t i = 0; i < geometry.panels.size(); ++i) {
    const GeometryPanel& panel = geometry.panels[i];
    if (panel.fast_pixels < 1 || panel.slow_pixels < 1)
      return panel_name(geometry, i) + " has no pixels";
    pixels += panel.slow_pixels;
    most_fast = std::max(most_fast, panel.fast_pixels);
    if (sensor_of(panel.sensor_material).empty() || !(panel.sensor_thickness_mm > 0))
      return "readers of NXmx take no sensor but Si, CdTe or GaAs of a stated thickness, and " +
             panel_name(geometry, i) +
             (panel.sensor_material.empty() ? " states none"
              : sensor_of(panel.sensor_material).empty()
                  ? " has one of " + in_quotes(panel.sensor_material)
                  : " states no thickness") +
             "; give it one (-sensor Si 450), or write CBF or .expt";
    constexpr double dxtbx_takes = 1e-7;
    if (std::abs(dot(panel.fast_axis, panel.slow_axis)) > dxtbx_takes)
      return "readers of NXmx take no panel whose axes are not perpendicular, as those of " +
             panel_name(geometry, i) + " are not; make them so, or write CBF";
  }
  constexpr double most_chunk_bytes = std::numeric_limits<std::uint32_t>::max();
  if (pixels * most_fast * sizeof(std::int32_t) > most_chunk_bytes)
    return "an image of 4 GiB or more does not fit a chunk of HDF5; write the panels as CBF";

  if (differ(geometry, &GeometryPanel::sensor_material) ||
      differ(geometry, &GeometryPanel::sensor_thickness_mm))
    return "NXmx has one sensor for all panels, and these differ; write CBF or .expt";
  if (differ(geometry, &GeometryPanel::underload) || differ(geometry, &GeometryPanel::saturation))
    return "NXmx has one trusted range for all panels, and these differ; write CBF or .expt";
  if (differ(geometry, &GeometryPanel::gain) || differ(geometry, &GeometryPanel::pedestal))
    return "NXmx has one gain and one pedestal for all panels, and these differ; write CBF or "
           ".expt";
  const GeometryPanel& first = geometry.panels[0];
  if (geometry.panels.size() == 1 && first.origin_mm.z > 0 &&
      std::abs(unit(cross(first.fast_axis, first.slow_axis)).z) > 0.99)
    return "readers of NXmx move a panel that faces the beam from upstream to the other side of "
           "the sample; write CBF or .expt";

  if (const std::string problem = why_not_packed(series.compression); !problem.empty())
    return problem;

  if (is_sweep(series)) {
    const GeometryScan& scan = *geometry.scan;
    const double allowed_deg = 1e-6 * std::max(1.0, scan.width_deg);
    for (std::size_t i = 0; i < series.images.size(); ++i)
      if (std::abs(series.images[i].phi_deg -
                   (scan.start_deg + static_cast<double>(i) * scan.width_deg)) > allowed_deg)
        return "readers of NXmx take a scan to go on from image to image, and image " +
               std::to_string(i + 1) + " begins elsewhere; write CBF, an image a file";
    if (wavelengths_differ(series))
      return "readers of NXmx take the first wavelength for all images of a scan, and these "
             "differ; write CBF, an image a file";
  }
  return {};
}

// ---- Where things are --------------------------------------------------------------------------

/// A frame of orthonormal axes; a rotation is one as well.
struct Frame {
  Vec3d x{1, 0, 0}, y{0, 1, 0}, z{0, 0, 1}, origin;

  Vec3d into(const Vec3d& v) const { return {dot(x, v), dot(y, v), dot(z, v)}; }
};

Frame frame_of(const GeometryGroup& group) {
  Frame frame;
  frame.x = unit(group.fast_axis);
  frame.z = unit(cross(frame.x, group.slow_axis));
  frame.y = cross(frame.z, frame.x);
  frame.origin = group.origin_mm;
  return frame;
}

struct Turn {
  double angle_deg = 0;
  Vec3d axis{0, 0, 1};
};

/// The rotation that takes the coordinate axes to those of the frame, by its quaternion, whose
/// largest part is found first (Shepperd 1978) so that no small number is divided by.
Turn turn_to(const Frame& f) {
  const double trace = f.x.x + f.y.y + f.z.z;
  double w = 0;
  Vec3d v;
  if (trace >= std::max({f.x.x, f.y.y, f.z.z})) {
    w = 1 + trace;
    v = {f.y.z - f.z.y, f.z.x - f.x.z, f.x.y - f.y.x};
  } else if (f.x.x >= std::max(f.y.y, f.z.z)) {
    w = f.y.z - f.z.y;
    v = {1 + f.x.x - f.y.y - f.z.z, f.x.y + f.y.x, f.z.x + f.x.z};
  } else if (f.y.y >= f.z.z) {
    w = f.z.x - f.x.z;
    v = {f.x.y + f.y.x, 1 - f.x.x + f.y.y - f.z.z, f.y.z + f.z.y};
  } else {
    w = f.x.y - f.y.x;
    v = {f.z.x + f.x.z, f.y.z + f.z.y, 1 - f.x.x - f.y.y + f.z.z};
  }
  if (largest(v) == 0) return {};
  return {2 * std::atan2(length(v), w) * 180 / std::numbers::pi, unit(v)};
}

/// Where the beam meets the plane of a panel, in pixels, and how far that is from the sample.
struct BeamCentre {
  double fast = 0, slow = 0, distance_mm = 0;
  bool on_panel = false;
};

std::optional<BeamCentre> beam_centre(const GeometryPanel& panel) {
  const Vec3d normal = cross(panel.fast_axis, panel.slow_axis);
  if (normal.z == 0) return std::nullopt;
  const double z = dot(panel.origin_mm, normal) / normal.z;
  const Vec3d on = Vec3d{0, 0, z} - panel.origin_mm;
  BeamCentre centre{dot(on, panel.fast_axis) / panel.fast_pixel_mm,
                    dot(on, panel.slow_axis) / panel.slow_pixel_mm, std::abs(z), false};
  if (!std::isfinite(centre.fast) || !std::isfinite(centre.slow)) return std::nullopt;
  centre.on_panel = z < 0 && centre.fast >= 0 && centre.fast <= panel.fast_pixels &&
                    centre.slow >= 0 && centre.slow <= panel.slow_pixels;
  return centre;
}

// ---- Times -------------------------------------------------------------------------------------

/// So many seconds after an ISO 8601 date of UTC; the date itself where it is none.
std::string later(const std::string& date, double seconds) {
  std::tm parts{};
  const char* const end = strptime(date.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (!end || !(seconds < 1e9)) return date;
  const std::time_t time = timegm(&parts) + static_cast<std::time_t>(seconds);
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return text.data() + std::string(end);
}

/// Equal numbers with as many digits as they need to sort as text: 00, 01 ... 63.
std::string numbered(const std::string& word, std::size_t i, std::size_t count) {
  const std::string number = std::to_string(i);
  return word + "_" + std::string(std::to_string(count - 1).size() - number.size(), '0') + number;
}

// ---- The file ----------------------------------------------------------------------------------

/// An axis of a chain: one value, or one for each image.
struct Axis {
  std::vector<double> values;
  std::string unit;
  bool rotation = false;
  Vec3d vector;     ///< in the frame of NeXus
  Vec3d offset_mm;  ///< likewise
  std::string depends_on;
  std::string component;  ///< empty: none
  std::string local_name;
};

void put_axis(const hdf5::Tree& tree, const hdf5::Object& in, const std::string& name,
              const Axis& axis) {
  const hdf5::Object made = tree.numbers<double>(in, name, axis.values, {axis.values.size()});
  tree.attribute(made, "transformation_type", axis.rotation ? "rotation" : "translation");
  tree.attribute(made, "units", axis.unit);
  tree.attribute(made, "vector", axis.vector);
  tree.attribute(made, "offset", axis.offset_mm);
  tree.attribute(made, "offset_units", "mm");
  tree.attribute(made, "depends_on", axis.depends_on);
  if (!axis.component.empty()) tree.attribute(made, "equipment_component", axis.component);
  if (!axis.local_name.empty()) tree.attribute(made, "local_name", axis.local_name);
}

void put_sample(const hdf5::Tree& tree, const hdf5::Object& entry, const ImageSeries& series) {
  const hdf5::Object sample = tree.group(entry, "sample", "NXsample");
  tree.text(sample, "name", "simulated sample");
  if (!is_sweep(series)) {
    tree.text(sample, "depends_on", ".");
    return;
  }
  tree.text(sample, "depends_on", "/entry/sample/transformations/omega");
  const hdf5::Object transformations = tree.group(sample, "transformations", "NXtransformations");
  std::vector<double> begin, end;
  for (const ImageState& image : series.images) {
    begin.push_back(image.phi_deg);
    end.push_back(image.phi_deg + series.geometry.scan->width_deg);
  }
  put_axis(tree, transformations, "omega",
           {begin, "deg", true, turned(unit(series.geometry.scan->spindle_axis)), {}, ".", {}, {}});
  tree.attribute(tree.numbers<double>(transformations, "omega_end", end, {end.size()}), "units",
                 "deg");
}

/// As NXbeam has it: [channels], or [images, channels].
struct BeamSpectrum {
  std::vector<double> wavelength_A, weights;
  std::vector<hsize_t> wavelength_shape, weight_shape;
};

BeamSpectrum spectrum_of(const ImageSeries& series) {
  if (!series.spectra) {
    const GeometryBeam& beam = *series.geometry.beam;
    const std::vector<hsize_t> shape{beam.spectrum_A.size()};
    return {beam.spectrum_A, beam.spectrum_weights, shape, shape};
  }
  const Spectra& spectra = *series.spectra;
  const auto shots = static_cast<hsize_t>(spectra.shots());
  if (!spectra.options().channels) {
    const std::span<const double> weights = spectra.weights();
    const hsize_t channels = spectra.wavelength_A().size();
    return {
        spectra.wavelength_A(), {weights.begin(), weights.end()}, {channels}, {shots, channels}};
  }
  // The channels of thinned shots are their own.
  const std::size_t channels = spectra.most_channels();
  BeamSpectrum all{{}, {}, {shots, channels}, {shots, channels}};
  for (int i = 0; i < spectra.shots(); ++i) {
    const Spectrum shot = spectra.shot(i);
    all.wavelength_A.insert(all.wavelength_A.end(), shot.wavelength_A.begin(),
                            shot.wavelength_A.end());
    all.weights.insert(all.weights.end(), shot.weight.begin(), shot.weight.end());
    // Rows are as long as the longest, by channels without light.
    const std::size_t length = channels * static_cast<std::size_t>(i + 1);
    all.wavelength_A.resize(length, shot.wavelength_A.back());
    all.weights.resize(length, 0);
  }
  return all;
}

void put_beam(const hdf5::Tree& tree, const hdf5::Object& instrument, const ImageSeries& series) {
  const GeometryBeam& beam = *series.geometry.beam;
  const hdf5::Object group = tree.group(instrument, "beam", "NXbeam");
  const std::string name = "incident_wavelength";
  std::vector<double> wavelengths(1, wavelength_of(series, 0));
  std::vector<hsize_t> shape;
  if (wavelengths_differ(series)) {
    for (std::size_t i = 1; i < series.images.size(); ++i)
      wavelengths.push_back(wavelength_of(series, i));
    shape = {wavelengths.size()};
  }
  const hdf5::Object wavelength = tree.numbers<double>(group, name, wavelengths, shape);
  tree.attribute(wavelength, "units", "angstrom");
  const BeamSpectrum spectrum = spectrum_of(series);
  if (!spectrum.wavelength_A.empty()) {
    // Where the array itself were incident_wavelength, dxtbx 3.11 would take its first element.
    const std::string variant = name + "_1Dspectrum";
    tree.attribute(wavelength, "variant", variant);
    tree.attribute(
        tree.numbers<double>(group, variant, spectrum.wavelength_A, spectrum.wavelength_shape),
        "units", "angstrom");
    tree.numbers<double>(group, variant + "_weights", spectrum.weights, spectrum.weight_shape);
  }
  if (beam.polarization) {
    // Along the electric vector; I, Q along x, U along the diagonal.
    const Vec3d electric = turned(unit(cross(beam.polarization_normal, beam.direction)));
    const double angle = 2 * std::atan2(electric.y, electric.x);
    std::vector<double> stokes;
    for (std::size_t i = 0; i < series.images.size(); ++i)
      stokes.insert(stokes.end(), {1, *beam.polarization * std::cos(angle),
                                   *beam.polarization * std::sin(angle), 0});
    tree.numbers<double>(group, "incident_polarization_stokes", stokes, {stokes.size() / 4, 4});
  }
}

/// The axes of the groups, as dxtbx's own writer has them; returns the path of each, and behind
/// them that of the axis that all panels share: without one dxtbx gives all of them the place of
/// the last.
std::vector<std::string> put_groups(const hdf5::Tree& tree, const hdf5::Object& detector,
                                    const std::vector<GeometryGroup>& groups) {
  const std::string folder = "/entry/instrument/detector/transformations/";
  const hdf5::Object transformations = tree.group(detector, "transformations", "NXtransformations");
  put_axis(tree, transformations, "laboratory", {{0}, "mm", false, {0, 0, 1}, {}, ".", {}, {}});
  std::vector<std::string> paths;
  std::vector<int> levels;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const GeometryGroup& group = groups[i];
    const auto parent = static_cast<std::size_t>(group.parent);
    const Frame own = frame_of(group),
                above = group.parent < 0 ? Frame{} : frame_of(groups[parent]);
    const Turn turn = turn_to({above.into(own.x), above.into(own.y), above.into(own.z), {}});
    levels.push_back(group.parent < 0 ? 1 : levels[parent] + 1);
    const std::string name = numbered("group", i, groups.size());
    put_axis(tree, transformations, name,
             {{turn.angle_deg},
              "deg",
              true,
              turned(turn.axis),
              turned(above.into(own.origin - above.origin)),
              group.parent < 0 ? folder + "laboratory" : paths[parent],
              "detector_level_" + std::to_string(levels.back()),
              group.name});
    paths.push_back(folder + name);
  }
  paths.push_back(folder + "laboratory");
  return paths;
}

void put_module(const hdf5::Tree& tree, const hdf5::Object& detector, const std::string& name,
                const GeometryPanel& panel, int first_row, const Frame& above,
                const std::string& depends_on) {
  const hdf5::Object module = tree.group(detector, name, "NXdetector_module");
  if (!panel.name.empty()) tree.attribute(module, "local_name", panel.name);
  const std::array<std::int64_t, 2> origin = {first_row, 0},
                                    size = {panel.slow_pixels, panel.fast_pixels};
  tree.numbers<std::int64_t>(module, "data_origin", origin, {2});
  tree.numbers<std::int64_t>(module, "data_size", size, {2});
  const Vec3d place = above.into(panel.origin_mm - above.origin);
  const double far = length(place);
  const Vec3d towards = far > 0 ? place / far : Vec3d{0, 0, 1};
  put_axis(tree, module, "module_offset",
           {{far}, "mm", false, turned(towards), {}, depends_on, {}, {}});
  const std::string offset = "/entry/instrument/detector/" + name + "/module_offset";
  for (const bool fast : {true, false})
    put_axis(tree, module, fast ? "fast_pixel_direction" : "slow_pixel_direction",
             {{fast ? panel.fast_pixel_mm : panel.slow_pixel_mm},
              "mm",
              false,
              turned(above.into(fast ? panel.fast_axis : panel.slow_axis)),
              {},
              offset,
              {},
              {}});
}

void put_count(const hdf5::Tree& tree, const hdf5::Object& in, const char* name, double value) {
  if (std::abs(value) < 1e15 && value == std::floor(value))
    tree.number(in, name, static_cast<std::int64_t>(value));
  else
    tree.number(in, name, value);
}

/// One byte a pixel: 1 (a gap) for what is masked.
void put_pixel_mask(const hdf5::Tree& tree, const hdf5::Object& detector,
                    const std::vector<GeometryPanel>& panels, const TallImage& image) {
  std::vector<std::byte> mask(image.pixels());
  bool any = false;
  for_each_masked_row(panels, [&](std::size_t row, std::size_t first, std::size_t count) {
    any |= count > 0;
    std::fill_n(mask.begin() +
                    static_cast<std::ptrdiff_t>(row * static_cast<std::size_t>(image.fast) + first),
                count, std::byte{1});
  });
  // Of panels that do not fill their rows dxtbx 3.11 reads no mask, and then no image.
  if (!any || !image.equal_widths) return;
  const hdf5::Object made = tree.image_data(detector, "pixel_mask", H5T_STD_U8LE, 0,
                                            static_cast<hsize_t>(image.slow),
                                            static_cast<hsize_t>(image.fast), false);
  const std::vector<std::byte> chunk = shuffle_and_deflate(mask, 1, hdf5::deflate_level);
  const std::array<hsize_t, 2> whole = {0, 0};
  tree.check(H5Dwrite_chunk(made.get(), H5P_DEFAULT, 0, whole.data(), chunk.size(), chunk.data()));
}

void put_detector(const hdf5::Tree& tree, const hdf5::Object& instrument, const ImageSeries& series,
                  const TallImage& image) {
  const Geometry& geometry = series.geometry;
  const std::vector<GeometryPanel>& panels = geometry.panels;
  const GeometryPanel& first = panels[0];
  const hdf5::Object detector = tree.group(instrument, "detector", "NXdetector");
  if (!geometry.detector_name.empty()) tree.text(detector, "description", geometry.detector_name);
  tree.text(detector, "type", "Pixel");
  tree.text(detector, "sensor_material", sensor_of(first.sensor_material));
  tree.number(detector, "sensor_thickness", first.sensor_thickness_mm, "mm");
  if (first.saturation) put_count(tree, detector, "saturation_value", *first.saturation);
  put_count(tree, detector, "underload_value", first.underload.value_or(0));
  if (geometry.scan && geometry.scan->exposure_s > 0)
    for (const char* name : {"count_time", "frame_time"})
      tree.number(detector, name, geometry.scan->exposure_s, "s");
  if (!differ(geometry, &GeometryPanel::fast_pixel_mm) &&
      !differ(geometry, &GeometryPanel::slow_pixel_mm)) {
    tree.number(detector, "x_pixel_size", first.fast_pixel_mm / 1000, "m");
    tree.number(detector, "y_pixel_size", first.slow_pixel_mm / 1000, "m");
  }
  int row = 0;
  for (const GeometryPanel& panel : panels) {
    const std::optional<BeamCentre> centre = beam_centre(panel);
    if (centre && (centre->on_panel || panels.size() == 1)) {
      tree.number(detector, "beam_center_x", centre->fast, "pixel");
      tree.number(detector, "beam_center_y", centre->slow + row, "pixel");
      tree.number(detector, "distance", centre->distance_mm / 1000, "m");
      break;
    }
    row += panel.slow_pixels;
  }

  const std::vector<std::string> paths = put_groups(tree, detector, geometry.groups);
  tree.text(detector, "depends_on", paths.back());
  row = 0;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const auto group = static_cast<std::size_t>(panels[i].group);
    const bool grouped = panels[i].group >= 0;
    put_module(tree, detector, panels.size() == 1 ? "module" : numbered("module", i, panels.size()),
               panels[i], row, grouped ? frame_of(geometry.groups[group]) : Frame{},
               grouped ? paths[group] : paths.back());
    row += panels[i].slow_pixels;
  }
  put_pixel_mask(tree, detector, panels, image);
}

void put_provenance(const hdf5::Tree& tree, const hdf5::Object& entry,
                    const Provenance& provenance) {
  const std::size_t space = provenance.program.rfind(' ');
  const hdf5::Object process = tree.group(entry, "process", "NXprocess");
  const std::string program = provenance.program.substr(0, space);
  if (!program.empty()) tree.text(process, "program", program);
  if (space != std::string::npos)
    tree.text(process, "version", provenance.program.substr(space + 1));
  if (!provenance.date.empty()) tree.text(process, "date", provenance.date);
  const auto note = [&](const char* name, const char* type, const std::string& content) {
    if (content.empty()) return;
    const hdf5::Object made = tree.group(process, name, "NXnote");
    tree.text(made, "type", type);
    tree.text(made, "data", content);
  };
  note("command_line", "text/plain", provenance.command_line);
  note("experiment", "application/json", provenance.experiment);
}

/// All but the images; returns the group that they belong to.
hdf5::Object put_all_but_images(const hdf5::Tree& tree, const ImageSeries& series,
                                const TallImage& image) {
  const Provenance& provenance = series.provenance;
  const hdf5::Object root = tree.root();
  tree.attribute(root, "NX_class", "NXroot");
  tree.attribute(root, "default", "entry");
  tree.attribute(root, "creator", provenance.program);
  if (!provenance.date.empty()) tree.attribute(root, "file_time", provenance.date);
  const hdf5::Object entry = tree.group(root, "entry", "NXentry");
  tree.attribute(entry, "default", "data");
  tree.attribute(entry, "version", "1.0");
  tree.text(entry, "definition", "NXmx");
  if (!provenance.date.empty()) {
    const std::optional<GeometryScan>& scan = series.geometry.scan;
    tree.text(entry, "start_time", provenance.date);
    tree.text(entry, "end_time_estimated",
              later(provenance.date,
                    scan ? scan->exposure_s * static_cast<double>(series.images.size()) : 0));
  }
  const hdf5::Object source = tree.group(entry, "source", "NXsource");
  tree.text(source, "name", "simulation");
  tree.text(source, "probe", "x-ray");
  put_sample(tree, entry, series);
  const hdf5::Object instrument = tree.group(entry, "instrument", "NXinstrument");
  tree.text(instrument, "name", "simulation");
  put_beam(tree, instrument, series);
  put_detector(tree, instrument, series, image);
  put_provenance(tree, entry, provenance);

  hdf5::Object data = tree.group(entry, "data", "NXdata");
  tree.attribute(data, "signal", "data");
  const GeometryPanel& first = series.geometry.panels[0];
  // Photons are (count + data_offset) * data_scaling_factor; dxtbx spells it otherwise.
  if (first.gain != 1)
    for (const char* name : {"data_scaling_factor", "data_scale_factor"})
      tree.number(data, name, 1 / first.gain);
  if (first.pedestal != 0) tree.number(data, "data_offset", -first.pedestal);
  return data;
}

/// The images have a second name.
void put_link_to_images(const hdf5::Tree& tree, const hdf5::Object& data,
                        const hdf5::Object& images) {
  tree.attribute(images, "interpretation", "image");
  tree.check(H5Lcreate_hard(data.get(), "data", tree.root().get(),
                            "/entry/instrument/detector/data", H5P_DEFAULT, H5P_DEFAULT));
}

hid_t type_of_images(const ImageSeries& series) {
  return series.counts ? H5T_STD_I32LE : H5T_IEEE_F32LE;
}

/// A group by its path, made where it is not there; that in which it lies is.
hdf5::Object group_of_table(const hdf5::Tree& tree, const std::string& path) {
  if (H5Lexists(tree.root().get(), path.c_str(), H5P_DEFAULT) > 0) {
    hdf5::Object there(H5Gopen2(tree.root().get(), path.c_str(), H5P_DEFAULT));
    tree.check(there.get());
    return there;
  }
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return tree.group(tree.root(), path, "NXcollection");
  const hdf5::Object above(H5Gopen2(tree.root().get(), path.substr(0, slash).c_str(), H5P_DEFAULT));
  tree.check(above.get());
  return tree.group(above, path.substr(slash + 1), "NXcollection");
}

void put_column(const hdf5::Tree& tree, const hdf5::Object& group, const ShotColumn& column) {
  std::size_t numbers = 1;
  for (const std::size_t length : column.row) numbers *= length;
  std::visit(
      [&](const auto& values) {
        using Number = typename std::remove_cvref_t<decltype(values)>::value_type;
        std::vector<hsize_t> shape{values.size() / numbers};
        shape.insert(shape.end(), column.row.begin(), column.row.end());
        const hdf5::Object made = tree.numbers<Number>(group, column.name, values, shape);
        if (!column.unit.empty()) tree.attribute(made, "units", column.unit);
      },
      column.values);
}

/// The column, with room for so many rows.
void put_column_room(const hdf5::Tree& tree, const hdf5::Object& group, const ShotColumn& column,
                     std::size_t rows) {
  std::visit(
      [&](const auto& values) {
        using Number = typename std::remove_cvref_t<decltype(values)>::value_type;
        std::vector<hsize_t> shape{rows};
        shape.insert(shape.end(), column.row.begin(), column.row.end());
        const hdf5::Object made = tree.room<Number>(group, column.name, shape);
        if (!column.unit.empty()) tree.attribute(made, "units", column.unit);
      },
      column.values);
}

/// The data set that each shard has under this path, one after the other; each has so many rows of
/// this shape.
hdf5::Object virtual_data(const hdf5::Tree& tree, const hdf5::Object& in, const std::string& name,
                          hid_t type, const std::string& path, const std::vector<hsize_t>& row,
                          std::span<const Shard> shards, const std::vector<std::size_t>& rows) {
  hsize_t all_rows = 0;
  for (const std::size_t count : rows) all_rows += count;
  std::vector<hsize_t> shape{all_rows};
  shape.insert(shape.end(), row.begin(), row.end());
  const auto space_of = [](const std::vector<hsize_t>& lengths) {
    return hdf5::Space(H5Screate_simple(static_cast<int>(lengths.size()), lengths.data(), nullptr));
  };
  const hdf5::Space space = space_of(shape);
  const hdf5::Properties creation(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_obj_track_times(creation.get(), false);
  std::vector<hsize_t> begin(shape.size()), count = shape;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (rows[i] == 0) continue;
    count[0] = rows[i];
    const hdf5::Space source = space_of(count);
    tree.check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, begin.data(), nullptr, count.data(),
                                   nullptr));
    tree.check(H5Pset_virtual(creation.get(), space.get(), shards[i].file.c_str(), path.c_str(),
                              source.get()));
    begin[0] += rows[i];
  }
  tree.check(H5Sselect_all(space.get()));
  const hid_t made = H5Dcreate2(in.get(), name.c_str(), type, space.get(), H5P_DEFAULT,
                                creation.get(), H5P_DEFAULT);
  tree.check(made);
  return hdf5::Object(made);
}

void put_virtual_column(const hdf5::Tree& tree, const hdf5::Object& group, const std::string& path,
                        const ShotColumn& column, std::span<const Shard> shards,
                        const std::vector<std::size_t>& rows) {
  const hid_t type = std::holds_alternative<std::vector<double>>(column.values) ? H5T_NATIVE_DOUBLE
                     : std::holds_alternative<std::vector<std::int64_t>>(column.values)
                         ? H5T_NATIVE_INT64
                     : std::holds_alternative<std::vector<std::int32_t>>(column.values)
                         ? H5T_NATIVE_INT32
                         : H5T_NATIVE_UINT8;
  const hdf5::Object made = virtual_data(tree, group, column.name, type,
                                         "/" + path + "/" + column.name,
                                         {column.row.begin(), column.row.end()}, shards, rows);
  if (!column.unit.empty()) tree.attribute(made, "units", column.unit);
}

/// As put_beam() has those of one file.
void put_virtual_spectra(const hdf5::Tree& tree, const std::vector<double>& wavelengths_A,
                         std::span<const Shard> shards, const std::vector<std::size_t>& images) {
  const std::string name = "incident_wavelength_1Dspectrum", folder = "/entry/instrument/beam/";
  const hdf5::Object beam(H5Gopen2(tree.root().get(), folder.c_str(), H5P_DEFAULT));
  tree.check(beam.get());
  const hdf5::Object wavelength(H5Dopen2(beam.get(), "incident_wavelength", H5P_DEFAULT));
  tree.check(wavelength.get());
  tree.attribute(wavelength, "variant", name);
  tree.attribute(tree.numbers<double>(beam, name, wavelengths_A, {wavelengths_A.size()}), "units",
                 "angstrom");
  virtual_data(tree, beam, name + "_weights", H5T_NATIVE_DOUBLE, folder + name + "_weights",
               {wavelengths_A.size()}, shards, images);
}

/// What becomes of an image before it is in a file.
class NxmxPacker final : public ImagePacker {
 public:
  NxmxPacker(std::string path, const ImageSeries& series)
      : path_(std::move(path)),
        image_(series.geometry.panels),
        panels_(series.geometry.panels),
        counts_(series.counts),
        bitshuffled_(series.compression == nxmx_bitshuffle) {}

  const TallImage& image() const { return image_; }
  bool counts() const { return counts_; }
  bool bitshuffled() const { return bitshuffled_; }

  std::vector<std::byte> pack(std::span<const std::int32_t> counts) const override {
    return packed(checked_image(counts, true), sizeof(std::int32_t));
  }
  std::vector<std::byte> pack(std::span<const float> photons) const override {
    return packed(checked_image(photons, false), sizeof(float));
  }
  std::vector<std::byte> pack_mask(std::span<const std::uint8_t> mask) const override {
    check_pixels(mask.size());
    std::vector<std::byte> bytes(image_.pixels());
    lay_out(panels_, mask, std::uint8_t{0}, reinterpret_cast<std::uint8_t*>(bytes.data()));
    return shuffle_and_deflate(std::move(bytes), 1, hdf5::deflate_level);
  }

  /// Laid out, where it is an image of this file.
  template <class Pixel>
  std::vector<std::byte> checked_image(std::span<const Pixel> pixels, bool counts) const {
    if (counts != counts_)
      throw UsageError(path_ + " was opened for " +
                       (counts_ ? "counts, not photons" : "photons, not counts"));
    check_pixels(pixels.size());
    std::vector<std::byte> bytes(image_.pixels() * sizeof(Pixel));
    lay_out_marked(panels_, pixels, reinterpret_cast<Pixel*>(bytes.data()));
    return bytes;
  }
  /// Deflated here, as HDF5 would do it by one thread; bitshuffled by HDF5's filter.
  std::vector<std::byte> packed(std::vector<std::byte> image, std::size_t width) const {
    return bitshuffled_ ? std::move(image)
                        : shuffle_and_deflate(std::move(image), width, hdf5::deflate_level);
  }

 private:
  std::size_t pixels_of_panels() const {
    std::size_t count = 0;
    for (const GeometryPanel& panel : panels_)
      count += static_cast<std::size_t>(panel.fast_pixels) *
               static_cast<std::size_t>(panel.slow_pixels);
    return count;
  }
  void check_pixels(std::size_t count) const {
    if (count != pixels_of_panels())
      throw UsageError("an image of " + path_ + " has " + std::to_string(pixels_of_panels()) +
                       " pixels, not " + std::to_string(count));
  }

  std::string path_;
  TallImage image_;
  std::vector<GeometryPanel> panels_;
  bool counts_;
  bool bitshuffled_;
};

/// "shots/spot_mask", taken apart.
struct PathOfMasks {
  std::string group, name;

  explicit PathOfMasks(const std::string& path)
      : group(path.substr(0, path.rfind('/'))), name(path.substr(path.rfind('/') + 1)) {}
};

/// All but pixels and tables.
struct NxmxDataSets {
  hdf5::Object images;
  hdf5::Object masks;  ///< null: the file has none
};

NxmxDataSets put_data_sets(const hdf5::Tree& tree, const ImageSeries& series,
                           const NxmxPacker& packer, const std::string& masks) {
  const TallImage& image = packer.image();
  const auto data_of_images = [&](const hdf5::Object& in, const char* name, hid_t type,
                                  bool bitshuffled) {
    return tree.image_data(in, name, type, series.images.size(), static_cast<hsize_t>(image.slow),
                           static_cast<hsize_t>(image.fast), bitshuffled);
  };
  const hdf5::Object data = put_all_but_images(tree, series, image);
  NxmxDataSets made{data_of_images(data, "data", type_of_images(series), packer.bitshuffled()), {}};
  put_link_to_images(tree, data, made.images);
  if (masks.empty()) return made;
  const PathOfMasks path(masks);
  made.masks = data_of_images(group_of_table(tree, path.group), path.name.c_str(), H5T_STD_U8LE,
                              false);
  return made;
}

class NxmxWriter final : public ShardWriter {
 public:
  NxmxWriter(FileAside aside, const ImageSeries& series, const std::string& masks = {})
      : tree_(std::move(aside)), packer_(tree_.path(), series), images_(series.images.size()) {
    const hdf5::Session session;
    auto [data, its_masks] = put_data_sets(tree_, series, packer_, masks);
    data_ = std::move(data);
    masks_ = std::move(its_masks);
  }

  void put_tables(std::span<const ShotTable> tables) override {
    const hdf5::Session session;
    for (const ShotTable& table : tables) {
      const hdf5::Object group = group_of_table(tree_, table.group);
      for (const ShotColumn& column : table.columns) put_column(tree_, group, column);
    }
  }

  ~NxmxWriter() override {
    if (deflated_.valid()) deflated_.wait();
    const hdf5::Session session;
    data_.reset();
    masks_.reset();
  }

  void add(std::span<const std::int32_t> counts) override { add_pixels(counts, true); }
  void add(std::span<const float> photons) override { add_pixels(photons, false); }

  std::vector<std::byte> pack(std::span<const std::int32_t> counts) const override {
    return packer_.pack(counts);
  }
  std::vector<std::byte> pack(std::span<const float> photons) const override {
    return packer_.pack(photons);
  }
  FilePart put(std::vector<std::byte> packed) override {
    write_deflated();
    check_room();
    if (packer_.bitshuffled())
      write_pixels(packed);
    else
      write_chunk(data_, packed);
    ++added_;
    return last_part();
  }
  void put_mask(std::span<const std::byte> packed) override {
    if (!masks_) throw UsageError(tree_.path() + " was opened without masks");
    write_chunk(masks_, packed);
  }
  bool stores_as_packed() const override { return !packer_.bitshuffled(); }
  FilePart put_stored(std::span<const std::byte> bytes) override {
    write_deflated();
    check_room();
    write_chunk(data_, bytes);
    ++added_;
    return last_part();
  }

  void close() override {
    write_deflated();
    if (added_ != images_)
      throw OutputError("cannot write " + tree_.path() + ": " + std::to_string(added_) +
                        " of its " + std::to_string(images_) + " images were made");
    const hdf5::Session session;
    data_.reset();
    masks_.reset();
    tree_.commit();
  }

 private:
  void check_room() const {
    if (added_ == images_)
      throw UsageError(tree_.path() + " was opened for " + std::to_string(images_) +
                       " images, and this is one more");
  }

  template <class Pixel>
  void add_pixels(std::span<const Pixel> pixels, bool counts) {
    write_deflated();  // of the image before
    check_room();
    std::vector<std::byte> image = packer_.checked_image(pixels, counts);
    if (packer_.bitshuffled()) {
      put(std::move(image));
    } else {
      deflated_ = std::async(std::launch::async, [this, image = std::move(image)]() mutable {
        return packer_.packed(std::move(image), sizeof(Pixel));
      });
    }
  }

  /// Through HDF5's filters.
  void write_pixels(std::span<const std::byte> image) {
    const hdf5::Session session;
    const std::array<hsize_t, 3> begin = {added_, 0, 0};
    const std::array<hsize_t, 3> one = {1, static_cast<hsize_t>(packer_.image().slow),
                                        static_cast<hsize_t>(packer_.image().fast)};
    const hdf5::Space memory(H5Screate_simple(3, one.data(), nullptr));
    const hdf5::Space file(H5Dget_space(data_.get()));
    tree_.check(H5Sselect_hyperslab(file.get(), H5S_SELECT_SET, begin.data(), nullptr, one.data(),
                                    nullptr));
    tree_.check(H5Dwrite(data_.get(), packer_.counts() ? H5T_NATIVE_INT32 : H5T_NATIVE_FLOAT,
                         memory.get(), file.get(), H5P_DEFAULT, image.data()));
  }

  /// Past them.
  void write_chunk(const hdf5::Object& data, std::span<const std::byte> chunk) {
    const hdf5::Session session;
    const std::array<hsize_t, 3> begin = {added_, 0, 0};
    tree_.check(
        H5Dwrite_chunk(data.get(), H5P_DEFAULT, 0, begin.data(), chunk.size(), chunk.data()));
  }

  FilePart last_part() const {
    const hdf5::Session session;
    const std::array<hsize_t, 3> begin = {added_ - 1, 0, 0};
    unsigned filters_left_out = 0;
    haddr_t at = 0;
    hsize_t bytes = 0;
    tree_.check(
        H5Dget_chunk_info_by_coord(data_.get(), begin.data(), &filters_left_out, &at, &bytes));
    return {at, bytes};
  }

  /// Waits for the image that is being compressed, if there is one.
  void write_deflated() {
    if (!deflated_.valid()) return;
    write_chunk(data_, deflated_.get());
    ++added_;
  }

  hdf5::Tree tree_;
  NxmxPacker packer_;
  std::size_t images_, added_ = 0;
  hdf5::Object data_;
  hdf5::Object masks_;  ///< null: the file has none
  std::future<std::vector<std::byte>> deflated_;
};

class LaidOutNxmx final : public NxmxLayout {
 public:
  LaidOutNxmx(FileAside aside, const ImageSeries& series, std::span<const PackedSizes> sizes,
              std::span<const ShotTable> tables, const std::vector<std::size_t>& rows,
              const std::string& masks)
      : tree_(std::move(aside)) {
    const hdf5::Session session;
    {
      const NxmxPacker packer(tree_.path(), series);
      const NxmxDataSets data = put_data_sets(tree_, series, packer, masks);
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        tree_.image_room(data.images, i, sizes[i].image);
        if (data.masks) tree_.image_room(data.masks, i, sizes[i].mask);
      }
      for (std::size_t t = 0; t < tables.size(); ++t) {
        const hdf5::Object group = group_of_table(tree_, tables[t].group);
        for (const ShotColumn& column : tables[t].columns)
          put_column_room(tree_, group, column, rows[t]);
      }
    }
    tree_.close();
  }
  void commit() override {
    const hdf5::Session session;
    tree_.commit();
  }

 private:
  hdf5::Tree tree_;
};

}  // namespace

std::unique_ptr<ImageWriter> open_nxmx(const std::string& path, const ImageSeries& series) {
  if (const std::string problem = why_not(series); !problem.empty()) throw UsageError(problem);
  return std::make_unique<NxmxWriter>(FileAside(path), series);
}

std::unique_ptr<SeriesWriter> open_nxmx_series(const std::string& path, const ImageSeries& series,
                                               const std::string& unfinished) {
  if (const std::string problem = why_not(series); !problem.empty()) throw UsageError(problem);
  return std::make_unique<NxmxWriter>(FileAside(path, unfinished), series);
}

std::unique_ptr<ImagePacker> nxmx_packer(const std::string& path, const ImageSeries& series) {
  return std::make_unique<NxmxPacker>(path, series);
}

std::unique_ptr<ShardWriter> open_nxmx_shard(const std::string& path, const ImageSeries& series,
                                             const std::string& masks) {
  if (const std::string problem = why_not(series); !problem.empty()) throw UsageError(problem);
  return std::make_unique<NxmxWriter>(FileAside(path), series, masks);
}

std::unique_ptr<NxmxLayout> lay_out_nxmx(const std::string& path, const std::string& unfinished,
                                         const ImageSeries& series,
                                         std::span<const PackedSizes> sizes,
                                         std::span<const ShotTable> tables,
                                         const std::vector<std::size_t>& rows,
                                         const std::string& masks) {
  if (const std::string problem = why_not(series); !problem.empty()) throw UsageError(problem);
  return std::make_unique<LaidOutNxmx>(FileAside(path, unfinished), series, sizes, tables, rows,
                                       masks);
}

void write_nxmx_of_shards(const std::string& path, const ImageSeries& series,
                          std::span<const Shard> shards, std::span<const ShotTable> tables,
                          const std::vector<double>& spectrum_wavelengths_A,
                          const std::string& masks) {
  if (const std::string problem = why_not(series); !problem.empty()) throw UsageError(problem);
  hdf5::Tree tree{FileAside(path)};
  const TallImage image(series.geometry.panels);
  const hdf5::Session session;
  std::vector<std::size_t> images;
  for (const Shard& shard : shards) images.push_back(shard.images);
  {
    const hdf5::Object data = put_all_but_images(tree, series, image);
    const hdf5::Object all = virtual_data(
        tree, data, "data", type_of_images(series), nxmx_images,
        {static_cast<hsize_t>(image.slow), static_cast<hsize_t>(image.fast)}, shards, images);
    put_link_to_images(tree, data, all);
    if (!spectrum_wavelengths_A.empty())
      put_virtual_spectra(tree, spectrum_wavelengths_A, shards, images);
    for (std::size_t t = 0; t < tables.size(); ++t) {
      const hdf5::Object group = group_of_table(tree, tables[t].group);
      std::vector<std::size_t> rows;
      for (const Shard& shard : shards) rows.push_back(shard.rows[t]);
      for (const ShotColumn& column : tables[t].columns)
        put_virtual_column(tree, group, tables[t].group, column, shards, rows);
    }
    if (!masks.empty()) {
      const PathOfMasks where(masks);
      virtual_data(tree, group_of_table(tree, where.group), where.name, H5T_STD_U8LE, "/" + masks,
                   {static_cast<hsize_t>(image.slow), static_cast<hsize_t>(image.fast)}, shards,
                   images);
    }
  }
  tree.commit();
}

FileFormat nxmx_format() {
  return {
      .name = "NXmx",
      .endings = {".nxs", "_master.h5", ".h5"},
      .written = "counts or photons of all images in one HDF5 file",
      .geometry = "panels, beam, spectrum, scan",
      .begins = is_nxmx,
      .read = read_nxmx,
      .read_geometry = [](const std::string& path, int, auto) { return read_nxmx_geometry(path); },
      .open = open_nxmx,
      .open_series = open_nxmx_series,
      .why_not = why_not,
      .compressions = {nxmx_deflate, nxmx_bitshuffle}};
}

}  // namespace nablabragg::io
