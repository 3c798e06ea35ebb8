// Reading NXmx as dxtbx does, and what of NeXus its files have besides: units, axes and links of
// all kinds.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>  // for strnlen
#include <filesystem>
#include <map>
#include <numbers>
#include <tuple>

#include "io/hdf5_reader.hpp"
#include "io/input_file.hpp"
#include "io/named_files.hpp"
#include "io/nxmx.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

using hdf5::Node, hdf5::Object, hdf5::product, hdf5::Shape;

constexpr hsize_t most_image_pixels = hdf5::most_elements;
constexpr std::size_t most_steps = 100;

Vec3d turned(const Vec3d& v) { return {0 - v.x, v.y, 0 - v.z}; }  // no -0

// ---- Rigid motions -----------------------------------------------------------------------------

struct Motion {
  Mat3d turn = Mat3d::identity();
  Vec3d shift;

  Vec3d operator()(const Vec3d& v) const { return turn * v + shift; }
};

/// First `before`, then `after`.
Motion joined(const Motion& after, const Motion& before) {
  const auto column = [&](Vec3d unit_vector) { return after.turn * (before.turn * unit_vector); };
  const Vec3d x = column({1, 0, 0}), y = column({0, 1, 0}), z = column({0, 0, 1});
  return {{{x.x, y.x, z.x}, {x.y, y.y, z.y}, {x.z, y.z, z.z}}, after(before.shift)};
}

/// Rodrigues' formula.
Mat3d rotation(const Vec3d& axis, double angle) {
  const Vec3d u = unit(axis);
  const double c = std::cos(angle), s = std::sin(angle), d = 2 * std::pow(std::sin(angle / 2), 2);
  return {{c + d * u.x * u.x, d * u.x * u.y - s * u.z, d * u.x * u.z + s * u.y},
          {d * u.x * u.y + s * u.z, c + d * u.y * u.y, d * u.y * u.z - s * u.x},
          {d * u.x * u.z - s * u.y, d * u.y * u.z + s * u.x, c + d * u.z * u.z}};
}

bool is_identity(const Motion& m) {
  return m.turn.a == Vec3d{1, 0, 0} && m.turn.b == Vec3d{0, 1, 0} && m.turn.c == Vec3d{0, 0, 1} &&
         m.shift == Vec3d{};
}

// ---- Units -------------------------------------------------------------------------------------

enum class Quantity { length_mm, angle_rad, time_s, wavelength_A };

/// How many of ours one of theirs is.
std::optional<double> factor_of(Quantity quantity, std::string_view unit) {
  struct Unit {
    std::string_view name;
    double factor;
  };
  static constexpr std::array metres = {Unit{"m", 1},
                                        Unit{"meter", 1},
                                        Unit{"metre", 1},
                                        Unit{"meters", 1},
                                        Unit{"metres", 1},
                                        Unit{"cm", 1e-2},
                                        Unit{"mm", 1e-3},
                                        Unit{"millimeter", 1e-3},
                                        Unit{"millimetre", 1e-3},
                                        Unit{"millimeters", 1e-3},
                                        Unit{"millimetres", 1e-3},
                                        Unit{"um", 1e-6},
                                        Unit{"µm", 1e-6},
                                        Unit{"μm", 1e-6},
                                        Unit{"micron", 1e-6},
                                        Unit{"microns", 1e-6},
                                        Unit{"micrometer", 1e-6},
                                        Unit{"micrometre", 1e-6},
                                        Unit{"micrometers", 1e-6},
                                        Unit{"micrometres", 1e-6},
                                        Unit{"nm", 1e-9},
                                        Unit{"nanometer", 1e-9},
                                        Unit{"nanometre", 1e-9},
                                        Unit{"angstrom", 1e-10},
                                        Unit{"angstroms", 1e-10},
                                        Unit{"Angstrom", 1e-10},
                                        Unit{"Angstroms", 1e-10},
                                        Unit{"A", 1e-10},
                                        Unit{"Å", 1e-10},
                                        Unit{"Å", 1e-10},
                                        Unit{"pm", 1e-12}};
  constexpr double degree = std::numbers::pi / 180;
  static constexpr std::array radians = {
      Unit{"deg", degree}, Unit{"degree", degree}, Unit{"degrees", degree}, Unit{"°", degree},
      Unit{"rad", 1},      Unit{"radian", 1},      Unit{"radians", 1},      Unit{"mrad", 1e-3}};
  static constexpr std::array seconds = {
      Unit{"s", 1},     Unit{"sec", 1},   Unit{"second", 1}, Unit{"seconds", 1}, Unit{"ms", 1e-3},
      Unit{"us", 1e-6}, Unit{"µs", 1e-6}, Unit{"ns", 1e-9},  Unit{"fs", 1e-15},  Unit{"min", 60}};
  const auto find = [&](const auto& units) -> std::optional<double> {
    for (const Unit& u : units)
      if (u.name == unit) return u.factor;
    return std::nullopt;
  };
  switch (quantity) {
    case Quantity::angle_rad:
      return find(radians);
    case Quantity::time_s:
      return find(seconds);
    case Quantity::length_mm:
    case Quantity::wavelength_A:
      break;
  }
  const std::optional<double> metre = find(metres);
  if (!metre) return metre;
  // The quotient, not a product with 1e-7, is exact for the usual units.
  return quantity == Quantity::length_mm ? *metre / 1e-3 : *metre / 1e-10;
}

const char* name_of(Quantity quantity) {
  switch (quantity) {
    case Quantity::angle_rad:
      return "an angle";
    case Quantity::time_s:
      return "a time";
    default:
      return "a length";
  }
}

// ---- Objects of the file -----------------------------------------------------------------------

/// What of NeXus its values have besides: units.
class Reader : public hdf5::Reader {
 public:
  using hdf5::Reader::Reader;

  /// By the attribute `units`; where that is missing, nothing.
  std::optional<double> unit_factor(const Node& data, Quantity quantity,
                                    const char* attribute = "units") const {
    const std::optional<std::string> unit = text_attribute(data, attribute);
    if (!unit) return std::nullopt;
    const std::optional<double> factor = factor_of(quantity, *unit);
    if (!factor)
      fail(data.path + "@" + attribute, "is " + in_quotes(*unit) +
                                            ", which is not known here as the unit of " +
                                            name_of(quantity));
    return factor;
  }

  /// Throws where there is no unit and the value is not 0 in any.
  std::vector<double> quantities(const Node& data, Quantity quantity) const {
    std::vector<double> values = numbers(data);
    const std::optional<double> factor = unit_factor(data, quantity);
    if (!factor && std::any_of(values.begin(), values.end(), [](double v) { return v != 0; }))
      missing(data.path + "@units", std::string("the unit of ") + name_of(quantity));
    for (double& value : values) value *= factor.value_or(1);
    return values;
  }

  std::optional<double> quantity(const Node& in, const std::string& name, Quantity kind) const {
    const Node data = find(in, name);
    if (!data) return std::nullopt;
    const std::vector<double> values = quantities(data, kind);
    if (values.size() != 1)
      fail(data.path, "has " + std::to_string(values.size()) + " values where one is expected");
    return values[0];
  }
};

// ---- Chains of axes ----------------------------------------------------------------------------

/// A step of a chain: a translation or rotation by each of its values, and a fixed offset.
struct Step {
  std::string path, name;
  bool rotation = false;
  std::vector<double> values;  ///< mm or rad
  Vec3d vector, offset_mm;
  std::string component;  ///< equipment_component; empty: none

  double value(std::size_t image) const { return values[values.size() > image ? image : 0]; }

  Motion motion(std::size_t image) const {
    if (rotation) return {rotation_by(value(image)), offset_mm};
    return {Mat3d::identity(), value(image) * vector + offset_mm};
  }

 private:
  Mat3d rotation_by(double angle) const {
    return angle == 0 ? Mat3d::identity() : io::rotation(vector, angle);
  }
};

/// The closest to what depends on it first.
using Chain = std::vector<Step>;

Motion motion_of(const Chain& chain, std::size_t image, std::size_t begin = 0) {
  Motion all;
  for (std::size_t i = begin; i < chain.size(); ++i) all = joined(chain[i].motion(image), all);
  return all;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

/// What an axis or group depends on; empty: nothing.
std::string without_end(const std::optional<std::string>& depends_on) {
  return depends_on && *depends_on != "." ? *depends_on : std::string();
}

Vec3d offset_of(const Reader& reader, const Node& axis) {
  const Vec3d offset = reader.vector_attribute(axis, "offset").value_or(Vec3d{});
  if (offset == Vec3d{}) return offset;
  std::optional<double> factor = reader.unit_factor(axis, Quantity::length_mm, "offset_units");
  // Files of some beamlines leave offset_units out and mean those of the value.
  if (!factor) factor = reader.unit_factor(axis, Quantity::length_mm);
  if (!factor) reader.missing(axis.path + "@offset_units", "the unit of a length");
  return *factor * offset;
}

Vec3d direction_of(const Reader& reader, const Node& axis) {
  const std::optional<Vec3d> vector = reader.vector_attribute(axis, "vector");
  if (!vector) reader.missing(axis.path + "@vector", "the direction of the axis");
  return *vector;
}

Step read_step(const Reader& reader, const Node& axis) {
  reader.need_data(axis);
  Step step;
  step.path = axis.path;
  const std::optional<std::string> local = reader.text_attribute(axis, "local_name");
  step.name = local ? *local : axis.path.substr(axis.path.rfind('/') + 1);
  step.component = reader.text_attribute(axis, "equipment_component").value_or("");
  step.offset_mm = offset_of(reader, axis);
  step.values = reader.numbers(axis);
  if (std::all_of(step.values.begin(), step.values.end(), [](double v) { return v == 0; })) {
    step.rotation = reader.text_attribute(axis, "transformation_type") == "rotation";
    step.vector = reader.vector_attribute(axis, "vector").value_or(Vec3d{0, 0, 1});
    return step;
  }
  const std::optional<std::string> type = reader.text_attribute(axis, "transformation_type");
  if (!type) reader.missing(axis.path + "@transformation_type", "translation or rotation");
  if (*type != "rotation" && *type != "translation")
    reader.fail(axis.path + "@transformation_type",
                "is " + in_quotes(*type) + ", not translation or rotation");
  step.rotation = *type == "rotation";
  step.values = reader.quantities(axis, step.rotation ? Quantity::angle_rad : Quantity::length_mm);
  step.vector = direction_of(reader, axis);
  constexpr double rounding = 1e-3;
  if (step.rotation && std::abs(length(step.vector) - 1) > rounding)
    reader.fail(axis.path + "@vector", "is no unit vector");
  return step;
}

/// From `depends_on` of something that stands in `folder`.
Chain read_chain(const Reader& reader, const Node& folder, const std::string& depends_on) {
  Chain chain;
  std::string next = depends_on, at = folder.path;
  while (!next.empty()) {
    if (chain.size() == most_steps)
      reader.fail(chain.back().path + "@depends_on", "goes round in a circle");
    const std::string path = Reader::joined_path(at, next);
    const Node axis = reader.needed(reader.root(), path, "an axis that something depends on");
    chain.push_back(read_step(reader, axis));
    chain.back().path = path;
    next = without_end(reader.text_attribute(axis, "depends_on"));
    at = folder_of(path);
  }
  return chain;
}

// ---- Detector ----------------------------------------------------------------------------------

/// Where the pixels of a panel are in the data: its first and how many, slow before fast; in data
/// of four axes the second is one of whole panels.
struct Block {
  std::string path;
  Shape begin, count;
};

Shape whole_numbers(const Reader& reader, const Node& data, double least) {
  Shape result;
  for (const double value : reader.numbers(data)) {
    if (!(value >= least && value <= 1e9 && value == std::floor(value)))
      reader.fail(data.path, "holds a value that is no number of pixels");
    result.push_back(static_cast<hsize_t>(value));
  }
  if (result.size() != 2 && result.size() != 3)
    reader.fail(data.path, "has " + std::to_string(result.size()) + " values, not two or three");
  return result;
}

Block block_of(const Reader& reader, const Node& module) {
  Block block{module.path,
              whole_numbers(reader, reader.needed(module, "data_origin", "the first pixel"), 0),
              whole_numbers(reader, reader.needed(module, "data_size", "the number of pixels"), 1)};
  if (block.begin.size() != block.count.size())
    reader.fail(module.path, "has a data_origin and a data_size of different length");
  if (block.count.size() == 3 && block.count[0] != 1)
    reader.fail(module.path + "/data_size", "spans more than one panel");
  const Node stride = reader.find(module, "data_stride");
  if (stride)
    for (const double value : reader.numbers(stride))
      if (value != 1) reader.fail(stride.path, "leaves pixels out, which is not read here");
  if (product(block.count) > most_image_pixels)
    reader.fail(module.path + "/data_size", "has more pixels than any detector");
  return block;
}

/// A panel that is read, with its groups.
class DetectorReader {
 public:
  DetectorReader(const Reader& reader, const Node& detector, std::size_t image, Geometry& geometry)
      : reader_(reader), detector_(detector), image_(image), geometry_(geometry) {}

  void read() {
    const std::vector<Node> modules = reader_.groups_of_class(detector_, "NXdetector_module");
    if (modules.empty())
      reader_.missing(detector_.path, "a group of class NXdetector_module within");
    geometry_.detector_name = reader_.text(detector_, "description").value_or("");
    common_ = common();
    hsize_t pixels = 0;
    for (const Node& module : modules) {
      blocks.push_back(block_of(reader_, module));
      pixels += product(blocks.back().count);
      if (pixels > most_image_pixels)
        reader_.fail(detector_.path, "has more pixels than any detector");
      read_panel(module, modules.size() == 1);
    }
    if (modules.size() == 1) look_upstream();
  }

  std::vector<Block> blocks;

 private:
  /// What NXmx states once for all panels.
  GeometryPanel common() {
    GeometryPanel panel;
    if (const auto material = reader_.text(detector_, "sensor_material"))
      panel.sensor_material = *material == "Silicon" ? "Si" : *material;
    const auto thickness = reader_.quantity(detector_, "sensor_thickness", Quantity::length_mm);
    if (thickness && *thickness < 0)
      reader_.fail(detector_.path + "/sensor_thickness", "is negative");
    panel.sensor_thickness_mm = thickness.value_or(0);
    if (panel.sensor_material.empty() || panel.sensor_thickness_mm == 0)
      geometry_.notices.push_back(quoted_name(detector_.path) +
                                  " states no sensor_material and sensor_thickness: all photons "
                                  "are taken to be captured at the surface");
    panel.underload = reader_.number(detector_, "underload_value");
    panel.saturation = reader_.number(detector_, "saturation_value");
    // Files of early EIGER detectors have it here alone.
    if (!panel.saturation)
      panel.saturation = reader_.number(detector_,
                                        "detectorSpecific/countrate_correction_count_cutoff");
    return panel;
  }

  void read_panel(const Node& module, bool alone) {
    const Node fast = reader_.needed(module, "fast_pixel_direction", "the pixel size and axis"),
               slow = reader_.needed(module, "slow_pixel_direction", "the pixel size and axis");
    GeometryPanel panel = common_;
    panel.name = reader_.text_attribute(module, "local_name").value_or(module.path);
    panel.fast_pixels = static_cast<int>(blocks.back().count.back());
    panel.slow_pixels = static_cast<int>(blocks.back().count.end()[-2]);
    panel.fast_pixel_mm = pixel_size(fast);
    panel.slow_pixel_mm = pixel_size(slow);

    const auto fast_depends = without_end(reader_.text_attribute(fast, "depends_on"));
    const std::optional<std::string> slow_states = reader_.text_attribute(slow, "depends_on");
    Chain chain = read_chain(reader_, module, fast_depends);
    const Chain slow_chain = slow_states ? read_chain(reader_, module, without_end(slow_states))
                                         : chain;
    if (chain.empty()) {
      // Files of early EIGER detectors end the chain here and go on behind the module's offset.
      const Node offset = reader_.find(module, "module_offset");
      if (offset)
        chain = read_chain(reader_, module,
                           without_end(reader_.text_attribute(offset, "depends_on")));
    }

    const Node& offset_states = reader_.vector_attribute(fast, "offset") ? fast : slow;
    Vec3d origin = offset_of(reader_, offset_states);
    Vec3d fast_axis = axis(fast), slow_axis = axis(slow);
    const Motion all = motion_of(chain, image_);
    panel.origin_mm = turned(all(origin));
    panel.fast_axis = unit(turned(all.turn * fast_axis));
    panel.slow_axis = unit(turned(motion_of(slow_chain, image_).turn * slow_axis));
    constexpr double perpendicular = 1e-3;
    if (std::abs(dot(panel.fast_axis, panel.slow_axis)) > perpendicular)
      reader_.fail(module.path, "has axes that are not perpendicular");
    if (alone)
      look_for_beam_centre(panel);
    else
      panel.group = group_of(chain, module.path);
    geometry_.panels.push_back(std::move(panel));
  }

  double pixel_size(const Node& axis) const {
    const std::vector<double> values = reader_.quantities(axis, Quantity::length_mm);
    if (values.size() != 1 || !(values[0] > 0)) reader_.fail(axis.path, "is no size of a pixel");
    return values[0];
  }

  Vec3d axis(const Node& node) const {
    const Vec3d vector = direction_of(reader_, node);
    if (vector == Vec3d{}) reader_.fail(node.path + "@vector", "has no direction");
    return unit(vector);
  }

  /// Files of early EIGER detectors have the place of the panel in beam_center_x and _y alone.
  void look_for_beam_centre(GeometryPanel& panel) {
    if (panel.origin_mm.x != 0 || panel.origin_mm.y != 0) return;
    const auto pixels = [&](const char* name, double pixel_mm) {
      const Node data = reader_.find(detector_, name);
      if (!data) return 0.0;
      const double value = reader_.number(data);
      const std::string unit = reader_.text_attribute(data, "units").value_or("pixel");
      if (unit == "pixel" || unit == "pixels" || unit == "px") return value;
      return value * reader_.unit_factor(data, Quantity::length_mm).value_or(0) / pixel_mm;
    };
    const double fast = pixels("beam_center_x", panel.fast_pixel_mm),
                 slow = pixels("beam_center_y", panel.slow_pixel_mm);
    if (fast == 0 || slow == 0) return;
    panel.origin_mm = panel.origin_mm - fast * panel.fast_pixel_mm * panel.fast_axis -
                      slow * panel.slow_pixel_mm * panel.slow_axis;
    geometry_.notices.push_back(
        "the axes put the corner of the panel into the beam, so its place is "
        "taken from beam_center_x and beam_center_y, as dxtbx does");
  }

  void look_upstream() {
    GeometryPanel& panel = geometry_.panels[0];
    if (std::abs(unit(cross(panel.fast_axis, panel.slow_axis)).z) <= 0.99 || panel.origin_mm.z <= 0)
      return;
    panel.origin_mm.z = -panel.origin_mm.z;
    geometry_.notices.push_back(
        "the axes put the panel between source and sample; it is taken to be "
        "as far on the other side, as dxtbx does");
  }

  /// The levels of the chain outside the module, the outermost first; steps of one
  /// equipment_component are one level.
  int group_of(const Chain& chain, const std::string& module) {
    int group = -1;
    for (std::size_t end = chain.size(); end > 0;) {
      std::size_t begin = end - 1;
      const std::string& component = chain[begin].component;
      while (begin > 0 && !component.empty() && chain[begin - 1].component == component) --begin;
      const Step& last = chain[begin];
      if (last.path.starts_with(module + "/")) break;
      const bool laboratory = end == chain.size() && component.empty();
      const Motion frame = motion_of(chain, image_, begin);
      end = begin;
      if (laboratory && is_identity(frame)) continue;
      const auto [known, is_new] = groups_.try_emplace(last.path,
                                                       static_cast<int>(geometry_.groups.size()));
      if (is_new)
        geometry_.groups.push_back({last.name, group, turned(frame.shift),
                                    turned(frame.turn * Vec3d{-1, 0, 0}),
                                    turned(frame.turn * Vec3d{0, 1, 0})});
      group = known->second;
    }
    return group;
  }

  const Reader& reader_;
  const Node& detector_;
  std::size_t image_;
  Geometry& geometry_;
  GeometryPanel common_;
  std::map<std::string, int> groups_;
};

// ---- Beam --------------------------------------------------------------------------------------

/// Of an image: all of an array of [m], or its row of one of [images, m].
std::vector<double> row_of(const Reader& reader, const Node& data, std::size_t image) {
  const Shape shape = reader.shape(data);
  if (shape.size() < 2) return reader.numbers(data);
  if (shape.size() > 2 || image >= shape[0])
    reader.fail(data.path, "has no values for image " + std::to_string(image + 1));
  return reader.row(data, image);
}

/// Those of the data, in Angstrom.
std::vector<double> in_angstrom(const Reader& reader, const Node& data,
                                std::vector<double> values) {
  const std::optional<double> factor = reader.unit_factor(data, Quantity::wavelength_A);
  if (!factor) reader.missing(data.path + "@units", "the unit of a length");
  for (double& value : values) {
    value *= *factor;
    if (!(value > 0)) reader.fail(data.path, "holds a wavelength that is not positive");
  }
  return values;
}

Node weights_of(const Reader& reader, const Node& beam, const std::string& name) {
  Node weights = reader.find(beam, name + "_weights");
  return weights ? std::move(weights) : reader.find(beam, name + "_weight");  // as it was spelt
}

void take_spectrum(const Reader& reader, const Node& wavelengths, const Node& weights,
                   std::size_t image, GeometryBeam& beam) {
  beam.spectrum_A = in_angstrom(reader, wavelengths, row_of(reader, wavelengths, image));
  beam.spectrum_weights = row_of(reader, weights, image);
  if (beam.spectrum_A.size() != beam.spectrum_weights.size())
    reader.fail(weights.path, "has another length than the wavelengths");
  double sum = 0;
  for (const double weight : beam.spectrum_weights) {
    if (weight < 0) reader.fail(weights.path, "holds a negative weight");
    sum += weight;
  }
  if (!(sum > 0)) reader.fail(weights.path, "holds no weight above 0");
}

/// As dxtbx has it: that of the mean energy.
double mean_wavelength_A(const GeometryBeam& beam) {
  double sum = 0, energies = 0;
  for (std::size_t i = 0; i < beam.spectrum_A.size(); ++i) {
    sum += beam.spectrum_weights[i];
    energies += beam.spectrum_weights[i] / beam.spectrum_A[i];
  }
  return sum / energies;
}

GeometryBeam read_beam(const Reader& reader, const Node& group, std::size_t image) {
  GeometryBeam beam;
  const std::string name = "incident_wavelength";
  const Node wavelength = reader.needed(group, name, "the wavelength");
  const Node weights = weights_of(reader, group, name);
  if (weights) {
    take_spectrum(reader, wavelength, weights, image, beam);
    beam.wavelength_A = mean_wavelength_A(beam);
  } else {
    const std::vector<double> values = in_angstrom(reader, wavelength, reader.numbers(wavelength));
    if (values.size() > 1 && image >= values.size())
      reader.fail(wavelength.path, "has " + std::to_string(values.size()) +
                                       " values and none for image " + std::to_string(image + 1));
    beam.wavelength_A = values[values.size() > 1 ? image : 0];
    std::string variant = reader.text_attribute(wavelength, "variant").value_or("");
    for (std::size_t steps = 0; !variant.empty() && steps < most_steps; ++steps) {
      const Node other = reader.needed(group, variant, "a variant of the wavelength");
      if (const Node spectrum = weights_of(reader, group, variant)) {
        take_spectrum(reader, other, spectrum, image, beam);
        break;
      }
      variant = reader.text_attribute(other, "variant").value_or("");
    }
  }
  for (const char* spelling : {"incident_polarization_stokes", "incident_polarisation_stokes"}) {
    const Node data = reader.find(group, spelling);
    if (!data) continue;
    const Shape shape = reader.shape(data);
    const std::vector<double> all = reader.numbers(data);
    const std::size_t row = shape.size() == 2 && image < shape[0] ? image : 0;
    if (shape.empty() || shape.back() != 4 || shape.size() > 2 || !(all[4 * row] > 0))
      reader.fail(data.path, "holds no Stokes vectors of a beam");
    const double* const stokes = all.data() + 4 * row;
    beam.polarization = std::hypot(stokes[1], stokes[2]) / stokes[0];
    if (*beam.polarization > 1 + 1e-9) reader.fail(data.path, "is polarized by more than 1");
    if (*beam.polarization > 0) {
      const double angle = std::atan2(stokes[2], stokes[1]) / 2;
      beam.polarization_normal = cross(beam.direction,
                                       turned({std::cos(angle), std::sin(angle), 0}));
    }
    break;
  }
  return beam;
}

// ---- Scan --------------------------------------------------------------------------------------

bool varies(const Step& step) {
  return std::any_of(step.values.begin(), step.values.end(),
                     [&](double v) { return v != step.values[0]; });
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

/// Of `images` images; nothing for stills without an axis and for scans that do not rotate.
std::optional<GeometryScan> read_scan(const Reader& reader, const Node& sample,
                                      const Node& detector, std::size_t images,
                                      std::vector<std::string>& notices) {
  const std::string depends_on = without_end(reader.text(sample, "depends_on"));
  const Chain chain = read_chain(reader, sample, depends_on);
  if (chain.empty()) return std::nullopt;
  const auto find = [&](bool rotation) {
    return std::find_if(chain.begin(), chain.end(),
                        [&](const Step& s) { return varies(s) && (s.rotation || !rotation); });
  };
  auto axis = find(true);
  if (axis == chain.end()) axis = find(false);
  if (axis == chain.end()) axis = chain.begin();
  if (!axis->rotation) {
    if (varies(*axis))
      notices.push_back("the images differ in " + quoted_name(axis->path) +
                        ", which does not rotate: they are taken as stills");
    return std::nullopt;
  }

  GeometryScan scan;
  constexpr double degrees = 180 / std::numbers::pi;
  const std::vector<double>& begin = axis->values;
  std::vector<double> widths;
  const Node end = reader.find(reader.root(), axis->path + "_end");
  if (end) {
    std::vector<double> values = reader.numbers(end);
    if (values.size() != begin.size()) reader.fail(end.path, "has another length than the axis");
    const Node own = reader.needed(reader.root(), axis->path, "the axis of the scan");
    const double factor = reader.unit_factor(own, Quantity::angle_rad).value_or(1);
    for (std::size_t i = 0; i < begin.size(); ++i) widths.push_back(values[i] * factor - begin[i]);
  } else {
    for (std::size_t i = 1; i < begin.size(); ++i) widths.push_back(begin[i] - begin[i - 1]);
  }
  double width = widths.empty() ? 0 : median(widths);
  const double tenth = std::abs(0.1 * width);
  if (std::any_of(widths.begin(), widths.end(),
                  [&](double w) { return std::abs(w - width) > tenth; }))
    notices.push_back("the steps of " + quoted_name(axis->path) +
                      " differ by more than 10 %: their median is taken");
  double start = begin[0];
  const auto after = static_cast<std::size_t>(axis - chain.begin()) + 1;
  scan.spindle_axis = unit(turned(motion_of(chain, 0, after).turn * axis->vector));
  if (width < 0) {
    scan.spindle_axis = -scan.spindle_axis;
    start = -start;
    width = -width;
  }
  scan.start_deg = start * degrees;
  scan.width_deg = width * degrees;
  scan.images = static_cast<int>(images);
  if (begin.size() < images && begin.size() > 1) {
    scan.images = static_cast<int>(begin.size());
    notices.push_back(quoted_name(axis->path) + " has " + std::to_string(begin.size()) +
                      " values for " + std::to_string(images) + " images: the others are left out");
  } else if (begin.size() == 1 && images > 1) {
    scan.width_deg = 0;  // all at one angle
  }
  scan.exposure_s = reader.quantity(detector, "frame_time", Quantity::time_s).value_or(0);
  return scan;
}

// ---- Pixels ------------------------------------------------------------------------------------

/// Images that follow each other, and how many they are.
struct Stack {
  Node data;
  Shape shape;  ///< of one image
  std::size_t images = 1;
};

Stack stack_of(const Reader& reader, Node data, std::size_t image_axes) {
  Stack stack;
  stack.shape = reader.shape(data);
  if (stack.shape.size() == image_axes + 1) {
    constexpr hsize_t most_images = 100'000'000;
    if (stack.shape[0] > most_images) reader.fail(data.path, "has more images than any file");
    stack.images = stack.shape[0];
    stack.shape.erase(stack.shape.begin());
  } else if (stack.shape.size() != image_axes) {
    reader.fail(data.path, "has " + std::to_string(stack.shape.size()) + " axes, not " +
                               std::to_string(image_axes + 1));
  }
  if (product(stack.shape) > most_image_pixels)
    reader.fail(data.path, "has images of more pixels than any detector");
  stack.data = std::move(data);
  return stack;
}

/// By its attribute `signal`, or what of its members begins with "data": files of DECTRIS's
/// servers have the images in data_000001, data_000002...
std::vector<Stack> find_stacks(const Reader& reader, const Node& entry, const Node& detector,
                               std::size_t image_axes) {
  std::vector<Node> groups = reader.groups_of_class(entry, "NXdata");
  std::vector<Stack> stacks;
  if (!groups.empty()) {
    const Node& group = groups[0];
    const std::string signal = reader.text_attribute(group, "signal").value_or("data");
    if (Node data = reader.find(group, signal)) {
      stacks.push_back(stack_of(reader, std::move(data), image_axes));
      return stacks;
    }
    for (const std::string& name : reader.names(group))
      if (name.starts_with("data_0"))
        stacks.push_back(stack_of(reader, reader.find(group, name), image_axes));
  }
  if (!stacks.empty()) return stacks;
  Node data = reader.find(detector, "data");
  if (!data) reader.missing(Reader::joined_path(entry.path, "data/data"), "the images");
  stacks.push_back(stack_of(reader, std::move(data), image_axes));
  return stacks;
}

std::size_t images_in(const std::vector<Stack>& stacks) {
  std::size_t images = 0;
  for (const Stack& stack : stacks) images += stack.images;
  return images;
}

std::string filter_problem(H5Z_filter_t filter, const std::string& name) {
  struct Known {
    H5Z_filter_t filter;
    const char *name, *package;
  };
  constexpr std::array known = {Known{32008, "bitshuffle", "bitshuffle"},
                                Known{32004, "LZ4", "hdf5-filter-plugin"},
                                Known{307, "bzip2", "hdf5-filter-plugin"},
                                Known{32000, "LZF", "hdf5-plugin-lzf"},
                                Known{32001, "Blosc", "hdf5-filter-plugin-blosc-serial"},
                                Known{32013, "ZFP", "hdf5-filter-plugin-zfp-serial"}};
  for (const Known& k : known)
    if (k.filter == filter)
      return std::string("is packed with the HDF5 filter ") + k.name + " (" +
             std::to_string(filter) + "), which is not installed; install Debian's package " +
             k.package;
  return "is packed with the HDF5 filter " + std::to_string(filter) +
         (name.empty() ? "" : " " + quoted_name(name)) +
         ", which is not installed; pack it anew with h5repack -f SHUF -f GZIP=1";
}

/// The text that a function of HDF5 gives for part i of a virtual data set.
template <class Get>
std::string virtual_text(hid_t creation, std::size_t i, Get get) {
  const ssize_t length = get(creation, i, nullptr, 0);
  std::string value(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
  if (length > 0) get(creation, i, value.data(), value.size() + 1);
  return value;
}

bool is_virtual(const Node& data) {
  const hdf5::Properties creation(H5Dget_create_plist(data.id()));
  return H5Pget_layout(creation.get()) == H5D_VIRTUAL;
}

/// HDF5 gives zeros for those parts of a virtual data set that it does not find.
void check_parts(const Reader& reader, const Stack& stack, std::size_t image, hid_t creation) {
  std::size_t parts = 0, found = 0;
  H5Pget_virtual_count(creation, &parts);
  const std::size_t axes = reader.shape(stack.data).size();
  for (std::size_t i = 0; i < parts; ++i) {
    const hdf5::Space space(H5Pget_virtual_vspace(creation, i));
    Shape begin(axes), end(axes);
    if (axes > stack.shape.size() &&
        H5Sget_select_bounds(space.get(), begin.data(), end.data()) >= 0 &&
        (image < begin[0] || image > end[0]))
      continue;
    ++found;
    const std::string name = virtual_text(creation, i, H5Pget_virtual_filename),
                      data = virtual_text(creation, i, H5Pget_virtual_dsetname);
    if (name == "." || name.find('%') != std::string::npos) continue;  // "%b": a series of files
    std::filesystem::path file = std::filesystem::path(reader.path()).parent_path() / name;
    std::error_code error;
    if (!std::filesystem::exists(file, error)) file = name;
    const hdf5::File opened(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
    if (!opened)
      reader.fail(stack.data.path, "has its images in the file " + quoted_name(name) +
                                       ", which cannot be opened; put it beside this one");
    if (!Object(H5Oopen(opened.get(), data.c_str(), H5P_DEFAULT)))
      reader.fail(stack.data.path, "has its images in " + quoted_name(data) + " of the file " +
                                       quoted_name(name) + ", which is not there");
  }
  if (found == 0)
    reader.fail(stack.data.path, "has no part that holds image " + std::to_string(image + 1));
}

/// That an image can be unpacked, is there, and is not larger than what it is packed in can be.
void check_storage(const Reader& reader, const Stack& stack, std::size_t image) {
  const hdf5::Properties creation(H5Dget_create_plist(stack.data.id()));
  // Deflate makes a thousandth of zeros; of what other filters do, less is known.
  double best_packed = 1100;
  for (int i = 0; i < H5Pget_nfilters(creation.get()); ++i) {
    unsigned flags = 0, options = 0;
    std::size_t no_options = 0;
    std::array<char, 64> name{};
    const H5Z_filter_t filter = H5Pget_filter2(creation.get(), static_cast<unsigned>(i), &flags,
                                               &no_options, nullptr, name.size() - 1, name.data(),
                                               &options);
    if (filter > 0 && H5Zfilter_avail(filter) <= 0)
      reader.fail(stack.data.path, filter_problem(filter, name.data()));
    if (filter > H5Z_FILTER_FLETCHER32) best_packed = 1e5;
  }
  const H5D_layout_t layout = H5Pget_layout(creation.get());
  if (layout == H5D_VIRTUAL) return check_parts(reader, stack, image, creation.get());
  Shape at_once = stack.shape;
  if (layout == H5D_CHUNKED) {
    at_once.resize(reader.shape(stack.data).size());
    if (H5Pget_chunk(creation.get(), static_cast<int>(at_once.size()), at_once.data()) < 0)
      reader.fail(stack.data.path, "cannot be read");
  }
  const hdf5::Type type(H5Dget_type(stack.data.id()));
  const double bytes = static_cast<double>(product(at_once)) *
                       static_cast<double>(H5Tget_size(type.get()));
  hsize_t file_bytes = 0;
  const hdf5::File file(H5Iget_file_id(stack.data.id()));
  if (H5Fget_filesize(file.get(), &file_bytes) >= 0 &&
      bytes > best_packed * static_cast<double>(file_bytes))
    reader.fail(stack.data.path, "states more pixels than its file can hold");
}

bool lies_within(const Block& block, const Shape& image) {
  for (std::size_t i = 0; i < image.size(); ++i)
    if (block.begin[i] + block.count[i] > image[i]) return false;
  return true;
}

[[noreturn]] void fail_outside(const Reader& reader, const Stack& stack, const Block& block) {
  reader.fail(block.path, "lies outside the images of " + quoted_name(stack.data.path));
}

/// One block of one image, panels of the block after each other.
void read_block(const Reader& reader, const Stack& stack, std::size_t image, const Block& block,
                double* to) {
  const hdf5::Space file(H5Dget_space(stack.data.id()));
  Shape begin, count;
  if (stack.shape.size() + 1 == reader.shape(stack.data).size()) {
    begin.push_back(image);
    count.push_back(1);
  }
  if (!lies_within(block, stack.shape)) fail_outside(reader, stack, block);
  begin.insert(begin.end(), block.begin.begin(), block.begin.end());
  count.insert(count.end(), block.count.begin(), block.count.end());
  const hdf5::Space memory(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr));
  if (H5Sselect_hyperslab(file.get(), H5S_SELECT_SET, begin.data(), nullptr, count.data(),
                          nullptr) < 0 ||
      H5Dread(stack.data.id(), H5T_NATIVE_DOUBLE, memory.get(), file.get(), H5P_DEFAULT, to) < 0)
    reader.fail(stack.data.path, reader.why_unreadable());
}

std::size_t pixels_of(const Block& block) {
  std::size_t pixels = 1;
  for (const hsize_t length : block.count) pixels *= length;
  return pixels;
}

/// Panel by panel whether a pixel is masked; empty where no mask is stated.
std::vector<std::vector<char>> read_masks(const Reader& reader, const Node& detector,
                                          const std::vector<Block>& blocks, std::size_t image) {
  std::vector<std::vector<char>> masks;
  for (const std::string& name : reader.names(detector)) {
    if (name != "pixel_mask" && !(name.starts_with("pixel_mask_") && name.size() > 11 &&
                                  name[11] >= '0' && name[11] <= '9'))
      continue;
    Node data = reader.find(detector, name);
    reader.need_numbers(data.path, hdf5::Type(H5Dget_type(data.id())));
    const Stack stack = stack_of(reader, std::move(data), blocks[0].begin.size());
    const std::size_t own = stack.images > image ? image : 0;
    check_storage(reader, stack, own);
    masks.resize(blocks.size());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      std::vector<double> bits(pixels_of(blocks[i]));
      read_block(reader, stack, own, blocks[i], bits.data());
      masks[i].resize(bits.size());
      for (std::size_t p = 0; p < bits.size(); ++p)
        if (bits[p] != 0) masks[i][p] = 1;
    }
  }
  return masks;
}

/// Rectangles that cover what is masked: runs of a row, made higher as long as the next row has the
/// same.
std::vector<PixelRectangle> rectangles_of(const std::vector<char>& mask, int fast_pixels) {
  std::vector<PixelRectangle> done;
  std::vector<PixelRectangle> open, next;
  const int slow_pixels = static_cast<int>(mask.size() / static_cast<std::size_t>(fast_pixels));
  for (int slow = 0; slow < slow_pixels; ++slow) {
    const char* const row = mask.data() +
                            static_cast<std::size_t>(slow) * static_cast<std::size_t>(fast_pixels);
    next.clear();
    auto above = open.begin();
    for (int fast = 0; fast < fast_pixels; ++fast) {
      if (!row[fast]) continue;
      PixelRectangle run{fast, fast, slow, slow + 1};
      while (run.fast_end < fast_pixels && row[run.fast_end]) ++run.fast_end;
      fast = run.fast_end;
      while (above != open.end() && above->fast_begin < run.fast_begin) done.push_back(*above++);
      if (above != open.end() && above->fast_begin == run.fast_begin &&
          above->fast_end == run.fast_end)
        run.slow_begin = (above++)->slow_begin;
      next.push_back(run);
    }
    done.insert(done.end(), above, open.end());
    open.swap(next);
  }
  done.insert(done.end(), open.begin(), open.end());
  std::sort(done.begin(), done.end(), [](const PixelRectangle& a, const PixelRectangle& b) {
    return std::tie(a.slow_begin, a.fast_begin) < std::tie(b.slow_begin, b.fast_begin);
  });
  return done;
}

// ---- The whole ---------------------------------------------------------------------------------

struct Contents {
  Geometry geometry;
  std::vector<Stack> stacks;
  std::vector<Block> blocks;
  std::vector<std::vector<char>> masks;
  std::optional<int> bit_depth;
};

/// Holds the sizes of the modules against the images.  Servers of EIGER detectors have stated that
/// of their one module with the fast axis first.
void settle_sizes(const Reader& reader, Contents& contents) {
  const Stack& stack = contents.stacks[0];
  if (contents.blocks.size() == 1 && !lies_within(contents.blocks[0], stack.shape)) {
    Block turned = contents.blocks[0];
    std::swap(turned.count.end()[-1], turned.count.end()[-2]);
    if (turned.count == stack.shape && lies_within(turned, stack.shape)) {
      contents.blocks[0] = turned;
      GeometryPanel& panel = contents.geometry.panels[0];
      std::swap(panel.fast_pixels, panel.slow_pixels);
      contents.geometry.notices.push_back(quoted_name(turned.path + "/data_size") +
                                          " has the fast axis first: the panel is taken to have " +
                                          std::to_string(panel.fast_pixels) + " x " +
                                          std::to_string(panel.slow_pixels) +
                                          " pixels, as the images have");
    }
  }
  for (const Block& block : contents.blocks)
    if (!lies_within(block, stack.shape)) fail_outside(reader, stack, block);
}

/// `image` is nothing where the geometry of all is asked for.
Contents read_contents(const Reader& reader, std::optional<int> image) {
  Contents contents;
  Geometry& geometry = contents.geometry;
  std::vector<Node> entries;
  for (Node& entry : reader.groups_of_class(reader.root(), "NXentry")) {
    const Node definition = reader.find(entry, "definition");
    if (definition && reader.text(entry, "definition") == "NXmx")
      entries.push_back(std::move(entry));
  }
  if (entries.empty()) {
    const std::vector<Node> without = reader.groups_of_class(reader.root(), "NXentry");
    const bool images_alone = std::any_of(without.begin(), without.end(), [&](const Node& entry) {
      return reader.find(entry, "data/data") && !reader.find(entry, "instrument");
    });
    reader.fail("is HDF5 and no NXmx: it has no group of class NXentry whose definition is NXmx" +
                std::string(images_alone ? "; it holds images alone, so give the file that links "
                                           "to it (..._master.h5)"
                                         : ""));
  }
  const auto only = [&](std::vector<Node>& nodes, const char* what) {
    if (nodes.size() > 1)
      geometry.notices.push_back(quoted_name(nodes[0].path) + " is the first " + what +
                                 " of the file; the others are left out");
    return std::move(nodes[0]);
  };
  const Node entry = only(entries, "entry");
  const auto first_of = [&](const Node& in, const char* nexus, const char* what) {
    std::vector<Node> nodes = reader.groups_of_class(in, nexus);
    if (nodes.empty())
      reader.missing(in.path, std::string("a group of class ") + nexus + " within");
    return only(nodes, what);
  };
  const Node instrument = first_of(entry, "NXinstrument", "instrument");
  const Node detector = first_of(instrument, "NXdetector", "detector");
  std::vector<Node> samples = reader.groups_of_class(entry, "NXsample");
  const Node sample = samples.empty() ? Node{} : only(samples, "sample");

  const auto index = static_cast<std::size_t>(std::max(0, image.value_or(0)));
  DetectorReader panels(reader, detector, index, geometry);
  panels.read();
  contents.blocks = std::move(panels.blocks);
  const std::size_t axes = contents.blocks[0].begin.size();
  for (const Block& block : contents.blocks)
    if (block.begin.size() != axes)
      reader.fail(block.path, "has a data_origin of another length than the first module");
  contents.stacks = find_stacks(reader, entry, detector, axes);
  settle_sizes(reader, contents);
  const std::size_t images = images_in(contents.stacks);
  if (image && (*image < 0 || index >= images))
    reader.fail("has no image " + std::to_string(*image + 1) + ": it holds " +
                std::to_string(images));

  std::vector<Node> beams = reader.groups_of_class(instrument, "NXbeam");
  if (beams.empty() && sample) beams = reader.groups_of_class(sample, "NXbeam");
  if (beams.empty()) reader.missing(instrument.path, "a group of class NXbeam within");
  geometry.beam = read_beam(reader, only(beams, "beam"), index);
  if (sample) geometry.scan = read_scan(reader, sample, detector, images, geometry.notices);
  if (geometry.scan && image) {
    GeometryScan& scan = *geometry.scan;
    scan.start_deg += *image * scan.width_deg;
    scan.first_image += *image;
    scan.images = 1;
  }

  std::vector<Node> data_groups = reader.groups_of_class(entry, "NXdata");
  for (const char* name : {"data_scaling_factor", "data_scale_factor"}) {
    if (data_groups.empty()) break;
    const Node data = reader.find(data_groups[0], name);
    if (!data || product(reader.shape(data)) != 1) continue;
    const double factor = reader.number(data);
    if (!(factor > 0)) reader.fail(data.path, "is not positive");
    for (GeometryPanel& panel : geometry.panels) panel.gain = 1 / factor;
  }
  if (!data_groups.empty()) {
    const Node offset = reader.find(data_groups[0], "data_offset");
    if (offset && product(reader.shape(offset)) == 1)
      for (GeometryPanel& panel : geometry.panels) panel.pedestal = -reader.number(offset);
  }

  try {
    contents.masks = read_masks(reader, detector, contents.blocks, index);
  } catch (const InputError& error) {
    // Panels are where they are without it: masters of beamlines have it in a file of its own.
    if (image) throw;
    geometry.notices.push_back(std::string("no pixel is taken to be masked: ") + error.what());
  }
  for (std::size_t i = 0; i < contents.masks.size(); ++i)
    geometry.panels[i].masked = rectangles_of(contents.masks[i], geometry.panels[i].fast_pixels);
  // The electronics of an EIGER count to 12 bits, and their sums are stored with more.
  for (const char* name : {"bit_depth_image", "bit_depth_readout"}) {
    if (!image || contents.bit_depth) break;
    const auto bits = reader.number(detector, name);
    if (bits && *bits >= 1 && *bits <= 64) contents.bit_depth = static_cast<int>(*bits);
  }
  return contents;
}

/// The two largest values that so many bits hold are DECTRIS's marks of no count; of 32 bits dxtbx
/// takes those of a number with a sign.
bool is_mark(double value, int bits, bool has_sign) {
  const double top = std::ldexp(1, has_sign ? bits - 1 : bits);
  // Of 64 bits a double holds the leading ones alone.
  return value <= top && value >= (bits > 53 ? top * (1 - 1e-15) : top - 2);
}

}  // namespace

bool is_nxmx(std::string_view head) {
  constexpr std::string_view mark = "\x89HDF\r\n\x1a\n";
  // HDF5 may begin behind what somebody put before it, at powers of two.
  for (const std::size_t at : {0u, 512u, 1024u, 2048u})
    if (at <= head.size() && head.substr(at).starts_with(mark)) return true;
  return false;
}

ImageFile read_nxmx(const std::string& path, int image) {
  const hdf5::Session session;
  const Reader reader(path);
  Contents contents = read_contents(reader, image);
  ImageFile file;
  file.format = "NXmx";
  file.geometry = std::move(contents.geometry);
  file.images = static_cast<int>(images_in(contents.stacks));

  auto index = static_cast<std::size_t>(image);
  auto stack = contents.stacks.begin();
  while (index >= stack->images) index -= (stack++)->images;
  const hdf5::Type type(H5Dget_type(stack->data.id()));
  reader.need_numbers(stack->data.path, type);
  check_storage(reader, *stack, index);
  if (H5Dget_storage_size(stack->data.id()) == 0 && !is_virtual(stack->data))
    reader.fail(stack->data.path, "holds no images: none was written");
  const bool whole = H5Tget_class(type.get()) == H5T_INTEGER;
  const bool is_unsigned = whole && H5Tget_sign(type.get()) == H5T_SGN_NONE;
  const int bits = static_cast<int>(8 * H5Tget_size(type.get()));

  std::size_t pixels = 0;
  for (const Block& block : contents.blocks) pixels += pixels_of(block);
  file.pixels.resize(pixels);
  double* to = file.pixels.data();
  for (std::size_t i = 0; i < contents.blocks.size(); ++i) {
    const std::size_t count = pixels_of(contents.blocks[i]);
    read_block(reader, *stack, index, contents.blocks[i], to);
    const std::optional<double> least = file.geometry.panels[i].underload;
    for (std::size_t p = 0; p < count; ++p) {
      const bool none = (!contents.masks.empty() && contents.masks[i][p]) ||
                        (least && to[p] < *least) ||
                        (whole && contents.bit_depth &&
                         is_mark(to[p], *contents.bit_depth, *contents.bit_depth == 32)) ||
                        (is_unsigned && bits >= 32 && is_mark(to[p], bits, false)) ||
                        !std::isfinite(to[p]);
      if (none) to[p] = std::numeric_limits<double>::quiet_NaN();
    }
    to += count;
  }
  return file;
}

Geometry read_nxmx_geometry(const std::string& path) {
  const hdf5::Session session;
  const Reader reader(path);
  return read_contents(reader, std::nullopt).geometry;
}

std::optional<NxmxExperiment> read_nxmx_experiment(const std::string& path) {
  constexpr std::size_t most = std::size_t{1} << 28;  // with the runs of a mask
  const hdf5::Session session;
  const Reader reader(path);
  for (const Node& entry : reader.groups_of_class(reader.root(), "NXentry")) {
    const Node process = reader.find(entry, "process");
    const Node note = process ? reader.find(process, "experiment") : Node{};
    if (!note || !note.is_group()) continue;
    std::optional<std::string> json = reader.text(note, "data", most);
    if (!json) continue;
    if (json->size() == most) reader.fail(note.path, "is too long");
    const int images = static_cast<int>(images_in(read_contents(reader, std::nullopt).stacks));
    return NxmxExperiment{std::move(*json), images};
  }
  return std::nullopt;
}

}  // namespace nablabragg::io
