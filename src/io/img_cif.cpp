#include "io/img_cif.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "io/image_series.hpp"
#include "io/img_cif_frames.hpp"
#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::io {

namespace {

constexpr double most_mm = 1e6, most_degrees = 1e6, most_pixel_mm = 100;
constexpr std::string_view
    corner_remark = "# The setting of the first pixel is that of its outer corner, as in DIALS";

/// What stands on an axis with this setting.
Frame moved(const Frame& parent, bool rotates, const Vec3d& vector, const Vec3d& offset,
            double setting) {
  Frame frame = parent;
  frame.origin = parent.placed(rotates ? offset : offset + setting * vector);
  if (rotates) {
    frame.x = parent.turned(rotated({1, 0, 0}, vector, setting));
    frame.y = parent.turned(rotated({0, 1, 0}, vector, setting));
    frame.z = parent.turned(rotated({0, 0, 1}, vector, setting));
  }
  return frame;
}

// ---- Writing ------------------------------------------------------------------------------------

/// The rotation that takes a frame's axes from x, y, z to these.
struct AxisAndAngle {
  Vec3d axis{0, 0, 1};
  double degrees = 0;
};

AxisAndAngle rotation_to(const Frame& f) {
  // By the quaternion's largest component, of which the others are ratios.
  const double trace = f.x.x + f.y.y + f.z.z;
  const std::array squares{trace, f.x.x, f.y.y, f.z.z};
  const auto largest = std::ranges::max_element(squares) - squares.begin();
  double w = 0;
  Vec3d v;
  if (largest == 0) {
    w = 1 + trace;
    v = {f.y.z - f.z.y, f.z.x - f.x.z, f.x.y - f.y.x};
  } else if (largest == 1) {
    w = f.y.z - f.z.y;
    v = {1 + 2 * f.x.x - trace, f.y.x + f.x.y, f.z.x + f.x.z};
  } else if (largest == 2) {
    w = f.z.x - f.x.z;
    v = {f.y.x + f.x.y, 1 + 2 * f.y.y - trace, f.z.y + f.y.z};
  } else {
    w = f.x.y - f.y.x;
    v = {f.z.x + f.x.z, f.z.y + f.y.z, 1 + 2 * f.z.z - trace};
  }
  const double sine = length(v);
  if (sine == 0) return {};
  return {v / sine, units::degrees_from_radians(2 * std::atan2(sine, w))};
}

Frame frame_of(const GeometryGroup& group) {
  return {group.fast_axis, group.slow_axis, cross(group.fast_axis, group.slow_axis),
          group.origin_mm};
}

/// Words that CIF and CBFlib take without quotes, one for each; `otherwise` and a number where a
/// name says nothing or stands twice.
class Names {
 public:
  std::string name(const std::string& wanted, const std::string& otherwise, std::size_t number) {
    std::string word;
    for (const char c : wanted)
      word += std::isalnum(static_cast<unsigned char>(c)) || c == '-' ? c : '_';
    constexpr std::size_t longest = 60;
    if (word.empty() || word.size() > longest || !taken_.insert(word).second)
      for (word = otherwise + std::to_string(number); !taken_.insert(word).second;) word += '_';
    return word;
  }

 private:
  std::set<std::string> taken_;
};

std::string quoted(std::string text) {
  text = plain_text(text);
  std::ranges::replace(text, '\'', '?');
  return '\'' + text + '\'';
}

std::string vector_text(const Vec3d& v) {
  return shortest_text(v.x) + ' ' + shortest_text(v.y) + ' ' + shortest_text(v.z);
}

class CifText {
 public:
  void line(const std::string& text) { text_.append(text) += '\n'; }
  void item(const std::string& name, const std::string& value) { line('_' + name + ' ' + value); }
  void loop(const std::string& category, std::initializer_list<const char*> columns) {
    line("");
    line("loop_");
    for (const char* const column : columns) line('_' + category + '.' + column);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// The names of panels and groups, which both the tables and the pixels use.
struct PartNames {
  std::vector<std::string> panels, groups;

  explicit PartNames(const Geometry& geometry) {
    Names panel_names, group_names;
    for (std::size_t i = 0; i < geometry.panels.size(); ++i)
      panels.push_back(panel_names.name(geometry.panels[i].name, "PANEL_", i));
    for (std::size_t i = 0; i < geometry.groups.size(); ++i)
      groups.push_back("GROUP_" + group_names.name(geometry.groups[i].name, "", i));
  }
};

int depth_of(const Geometry& geometry, int group) {
  int depth = 0;
  for (; group >= 0; group = geometry.groups[static_cast<std::size_t>(group)].parent) ++depth;
  return depth;
}

}  // namespace

bool says_pilatus(const Geometry& geometry) {
  return geometry.panels.size() == 1 && geometry.scan && geometry.scan->width_deg > 0 &&
         is_pilatus(geometry.panels[0]) && !sensor_line(geometry).empty();
}

std::string img_cif_array_row(const Geometry& geometry, std::size_t panel) {
  if (geometry.panels.size() == 1) return "";
  return "ARRAY_" + PartNames(geometry).panels[panel] + ' ' + std::to_string(panel + 1) + '\n';
}

std::string img_cif_text(const ImageSeries& series, std::size_t image) {
  const Geometry& g = series.geometry;
  const PartNames names(g);
  const std::size_t panels = g.panels.size();
  const Turn turn = turn_of(series, image);
  const bool turns = g.scan && turn.width_deg > 0;
  const int number = (g.scan ? g.scan->first_image : 1) + static_cast<int>(image);
  CifText cif;
  if (says_pilatus(g)) cif.item("array_data.header_convention", "\"PILATUS_1.2\"");
  if (panels == 1) cif.line(std::string(corner_remark));
  cif.line(sensor_line(g) + provenance_lines(series.provenance));

  cif.item("diffrn.id", "DIFFRN");
  cif.item("diffrn_source.diffrn_id", "DIFFRN");
  cif.item("diffrn_source.source", "simulation");
  cif.item("diffrn_source.type",
           series.provenance.program.empty() ? "?" : quoted(series.provenance.program));
  // Nothing of polarization: DIALS takes the dictionary's ratio for its fraction.
  cif.loop("diffrn_radiation", {"diffrn_id", "wavelength_id", "probe"});
  cif.line("DIFFRN WAVELENGTH x-ray");
  cif.loop("diffrn_radiation_wavelength", {"id", "wavelength", "wt"});
  cif.line("WAVELENGTH " + shortest_text(wavelength_A(series, image)) + " 1.0");

  cif.loop("diffrn_detector", {"diffrn_id", "id", "type", "number_of_axes"});
  cif.line("DIFFRN DETECTOR " + quoted(g.detector_name.empty() ? "simulated" : g.detector_name) +
           ' ' + std::to_string(1 + g.groups.size()));
  cif.loop("diffrn_detector_axis", {"detector_id", "axis_id"});
  cif.line("DETECTOR DETECTOR_FRAME");
  for (const std::string& name : names.groups) cif.line("DETECTOR " + name);
  cif.loop("diffrn_detector_element", {"id", "detector_id"});
  for (const std::string& name : names.panels) cif.line("ELEMENT_" + name + " DETECTOR");
  cif.loop("diffrn_data_frame", {"id", "detector_element_id", "array_id", "binary_id"});
  for (std::size_t i = 0; i < panels; ++i)
    cif.line("FRAME ELEMENT_" + names.panels[i] + " ARRAY_" + names.panels[i] + ' ' +
             std::to_string(i + 1));

  if (turns) {
    cif.loop("diffrn_measurement", {"diffrn_id", "id", "number_of_axes", "method"});
    cif.line("DIFFRN GONIOMETER 1 rotation");
    cif.loop("diffrn_measurement_axis", {"measurement_id", "axis_id"});
    cif.line("GONIOMETER SPINDLE");
  }

  // Axes.  Panels stand on their groups, in components as DIALS takes them apart.
  struct Setting {
    std::string axis;
    double degrees;
  };
  std::vector<Setting> settings{{"DETECTOR_FRAME", 0}};
  cif.loop("axis", {"id", "type", "equipment", "depends_on", "vector[1]", "vector[2]", "vector[3]",
                    "offset[1]", "offset[2]", "offset[3]", "equipment_component"});
  const auto axis = [&](const std::string& id, const char* type, const char* equipment,
                        const std::string& on, const Vec3d& vector, const Vec3d* offset,
                        const std::string& component) {
    cif.line(id + ' ' + type + ' ' + equipment + ' ' + on + ' ' + vector_text(vector) + ' ' +
             (offset ? vector_text(*offset) : ". . .") + ' ' + component);
  };
  const auto level = [](int depth) { return "detector_level_" + std::to_string(depth); };
  axis("SOURCE", "general", "source", ".", -g.beam->direction, nullptr, ".");
  axis("GRAVITY", "general", "gravity", ".", {0, -1, 0}, nullptr, ".");
  if (turns) axis("SPINDLE", "rotation", "goniometer", ".", g.scan->spindle_axis, nullptr, ".");
  const Vec3d nowhere;
  axis("DETECTOR_FRAME", "translation", "detector", ".", {0, 0, 1}, &nowhere, level(0));
  const auto parent_of = [&](int group) {
    return group < 0 ? Frame{} : frame_of(g.groups[static_cast<std::size_t>(group)]);
  };
  const auto parent_name = [&](int group) {
    return group < 0 ? std::string("DETECTOR_FRAME")
                     : names.groups[static_cast<std::size_t>(group)];
  };
  for (std::size_t i = 0; i < g.groups.size(); ++i) {
    const GeometryGroup& group = g.groups[i];
    const Frame parent = parent_of(group.parent), own = frame_of(group);
    const AxisAndAngle rotation = rotation_to(
        {parent.seen(own.x), parent.seen(own.y), parent.seen(own.z), {}});
    const Vec3d offset = parent.seen(own.origin - parent.origin);
    axis(names.groups[i], "rotation", "detector", parent_name(group.parent), rotation.axis, &offset,
         level(depth_of(g, static_cast<int>(i))));
    settings.push_back({names.groups[i], rotation.degrees});
  }
  for (std::size_t i = 0; i < panels; ++i) {
    const GeometryPanel& panel = g.panels[i];
    const Frame parent = parent_of(panel.group);
    const Vec3d offset = parent.seen(panel.origin_mm - parent.origin);
    const std::string component = level(depth_of(g, panel.group) + 1);
    axis("SLOW_" + names.panels[i], "translation", "detector", parent_name(panel.group),
         parent.seen(panel.slow_axis), &offset, component);
    axis("FAST_" + names.panels[i], "translation", "detector", "SLOW_" + names.panels[i],
         parent.seen(panel.fast_axis), &nowhere, component);
    settings.push_back({"SLOW_" + names.panels[i], 0});
    settings.push_back({"FAST_" + names.panels[i], 0});
  }

  cif.loop("diffrn_scan", {"id", "frame_id_start", "frame_id_end", "frames"});
  cif.line("SCAN FRAME FRAME 1");
  cif.loop("diffrn_scan_axis",
           {"scan_id", "axis_id", "angle_start", "angle_range", "angle_increment",
            "displacement_start", "displacement_range", "displacement_increment"});
  if (turns)
    cif.line("SCAN SPINDLE " + shortest_text(turn.start_deg) + ' ' + shortest_text(turn.width_deg) +
             ' ' + shortest_text(turn.width_deg) + " 0 0 0");
  for (const Setting& setting : settings)
    cif.line("SCAN " + setting.axis + ' ' + shortest_text(setting.degrees) + " 0 0 0 0 0");
  cif.loop("diffrn_scan_frame",
           {"frame_id", "frame_number", "integration_time", "scan_id", "date"});
  cif.line("FRAME " + std::to_string(number) + ' ' + fixed_text(g.scan ? g.scan->exposure_s : 0) +
           " SCAN " + header_date(series.provenance.date));
  cif.loop("diffrn_scan_frame_axis", {"frame_id", "axis_id", "angle", "displacement"});
  if (turns) cif.line("FRAME SPINDLE " + shortest_text(turn.start_deg) + " 0");
  for (const Setting& setting : settings)
    cif.line("FRAME " + setting.axis + ' ' + shortest_text(setting.degrees) + " 0");

  // Arrays.  With several panels DIALS goes by the axes alone, so that the dictionary's centre of
  // the first pixel can be said; with one it takes this setting for the corner.
  const double first = panels > 1 ? 0.5 : 0;
  cif.loop("array_structure_list",
           {"array_id", "index", "dimension", "precedence", "direction", "axis_set_id"});
  for (std::size_t i = 0; i < panels; ++i) {
    const std::string& name = names.panels[i];
    cif.line("ARRAY_" + name + " 1 " + std::to_string(g.panels[i].fast_pixels) +
             " 1 increasing FAST_" + name);
    cif.line("ARRAY_" + name + " 2 " + std::to_string(g.panels[i].slow_pixels) +
             " 2 increasing SLOW_" + name);
  }
  cif.loop("array_structure_list_axis",
           {"axis_set_id", "axis_id", "displacement", "displacement_increment"});
  for (std::size_t i = 0; i < panels; ++i) {
    const std::string& name = names.panels[i];
    const GeometryPanel& panel = g.panels[i];
    cif.line("FAST_" + name + " FAST_" + name + ' ' + shortest_text(first * panel.fast_pixel_mm) +
             ' ' + shortest_text(panel.fast_pixel_mm));
    cif.line("SLOW_" + name + " SLOW_" + name + ' ' + shortest_text(first * panel.slow_pixel_mm) +
             ' ' + shortest_text(panel.slow_pixel_mm));
  }
  cif.loop("array_element_size", {"array_id", "index", "size"});  // in metres
  for (std::size_t i = 0; i < panels; ++i) {
    cif.line("ARRAY_" + names.panels[i] + " 1 " + shortest_text(g.panels[i].fast_pixel_mm / 1000));
    cif.line("ARRAY_" + names.panels[i] + " 2 " + shortest_text(g.panels[i].slow_pixel_mm / 1000));
  }
  cif.loop("array_intensities", {"array_id", "binary_id", "linearity", "gain", "gain_esd",
                                 "overload", "undefined_value"});
  for (std::size_t i = 0; i < panels; ++i)
    cif.line("ARRAY_" + names.panels[i] + ' ' + std::to_string(i + 1) + " linear " +
             shortest_text(g.panels[i].gain) + " . " +
             fixed_text(g.panels[i].saturation.value_or(std::numeric_limits<std::int32_t>::max())) +
             ' ' + std::to_string(gap_pixel));
  cif.loop("array_structure", {"id", "encoding_type", "compression_type", "byte_order"});
  for (const std::string& name : names.panels)
    cif.line("ARRAY_" + name + " \"signed 32-bit integer\" byte_offsets little_endian");
  cif.line("");
  if (panels > 1) cif.loop("array_data", {"array_id", "binary_id", "data"});
  return cif.take();
}

// ---- Reading ------------------------------------------------------------------------------------

namespace {

/// A table that may be absent, and what its rows say.
class Table {
 public:
  Table(const std::string& path, const std::map<std::string, CifTable>& tables, std::string name)
      : path_(path), name_(std::move(name)) {
    const auto found = tables.find(name_);
    if (found != tables.end()) table_ = &found->second;
  }

  std::size_t rows() const { return table_ ? table_->rows.size() : 0; }

  /// Empty where the file says nothing.
  std::string text(std::size_t row, std::string_view column) const {
    if (row >= rows()) return "";
    const auto index = table_->column(column);
    if (!index || *index >= table_->rows[row].size()) return "";
    return table_->rows[row][*index];
  }

  std::optional<double> number(std::size_t row, std::string_view column, double most) const {
    const std::string word = text(row, column);
    if (word.empty()) return std::nullopt;
    const auto value = parse_number<double>(word);
    if (!value || !(std::abs(*value) <= most))
      throw InputError(path_, 0,
                       '_' + name_ + '.' + std::string(column) +
                           " is no number that can be meant: " + in_quotes(word));
    return value;
  }

  std::optional<std::size_t> row_where(std::string_view column, std::string_view value) const {
    for (std::size_t row = 0; row < rows(); ++row)
      if (text(row, column) == value) return row;
    return std::nullopt;
  }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw InputError(path_, 0, problem);
  }

 private:
  const std::string& path_;
  std::string name_;
  const CifTable* table_ = nullptr;
};

struct Axis {
  std::string id, type, equipment, parent, component;
  Vec3d vector, offset;
};

class Reader {
 public:
  Reader(const CbfFile& file, const std::map<std::string, CifTable>& tables)
      : file_(file), tables_(tables) {
    read_axes();
  }

  ImgCif read() {
    geometry().detector_name = table("diffrn_detector").text(0, "type");
    read_panels();
    read_beam();
    read_scan();
    return std::move(result_);
  }

 private:
  Table table(const char* name) const { return {file_.path, tables_, name}; }
  [[noreturn]] void refuse(const std::string& problem) const {
    throw InputError(file_.path, 0, problem);
  }
  Geometry& geometry() { return result_.header.geometry; }

  void read_axes() {
    const Table table = this->table("axis");
    for (std::size_t row = 0; row < table.rows(); ++row) {
      Axis axis{table.text(row, "id"),
                table.text(row, "type"),
                table.text(row, "equipment"),
                table.text(row, "depends_on"),
                table.text(row, "equipment_component"),
                {},
                {}};
      const auto vector = [&](const char* what, double otherwise) {
        const auto part = [&](const char* index) {
          return table.number(row, std::string(what) + index, most_mm).value_or(otherwise);
        };
        return Vec3d{part("[1]"), part("[2]"), part("[3]")};
      };
      axis.offset = vector("offset", 0);
      axis.vector = unit(vector("vector", 0));
      if (axis.id.empty()) refuse("an axis has no _axis.id");
      const bool known = axes_.contains(axis.id);
      if (known) refuse("the axis " + in_quotes(axis.id) + " stands twice in _axis.id");
      axes_.emplace(axis.id, std::move(axis));
    }
  }

  const Axis& axis(const std::string& id) const {
    const auto found = axes_.find(id);
    if (found == axes_.end()) refuse("the axis " + in_quotes(id) + " is not in _axis.id");
    return found->second;
  }

  /// From the laboratory to it.
  std::vector<const Axis*> chain(const std::string& id) const {
    std::vector<const Axis*> chain{&axis(id)};
    while (!chain.back()->parent.empty()) {
      if (chain.size() > axes_.size())
        refuse("the axis " + in_quotes(id) + " depends on itself (_axis.depends_on)");
      chain.push_back(&axis(chain.back()->parent));
    }
    std::ranges::reverse(chain);
    return chain;
  }

  /// In the image: the frame's own where that is stated, else the start of the scan's.
  double setting(const Axis& axis) const {
    const bool rotates = axis.type == "rotation";
    const double most = rotates ? most_degrees : most_mm;
    const Table frames = table("diffrn_scan_frame_axis"), scans = table("diffrn_scan_axis");
    if (const auto row = frames.row_where("axis_id", axis.id))
      if (const auto value = frames.number(*row, rotates ? "angle" : "displacement", most))
        return *value;
    if (const auto row = scans.row_where("axis_id", axis.id))
      return scans.number(*row, rotates ? "angle_start" : "displacement_start", most).value_or(0);
    return 0;
  }

  Frame on(const Frame& parent, const Axis& axis, double setting) const {
    const bool rotates = axis.type == "rotation", slides = axis.type == "translation";
    if (!rotates && !slides) {
      if (setting != 0 || axis.type != "general")
        refuse("_axis.type of " + in_quotes(axis.id) + " is " + in_quotes(axis.type) +
               ", and only rotation and translation can be read");
      return moved(parent, false, {}, axis.offset, 0);
    }
    if (length(axis.vector) == 0) refuse("the axis " + in_quotes(axis.id) + " has no _axis.vector");
    return moved(parent, rotates, axis.vector, axis.offset, setting);
  }

  // -- Panels

  struct Dimension {
    std::string axis;
    int pixels = 0;
    double pixel_mm = 0, first_mm = 0;
  };

  Dimension dimension(const std::string& array, const std::string& precedence) const {
    const Table list = table("array_structure_list"), sets = table("array_structure_list_axis");
    Dimension result;
    for (std::size_t row = 0; row < list.rows(); ++row) {
      const std::string id = list.text(row, "array_id");
      if ((!id.empty() && id != array) || list.text(row, "precedence") != precedence) continue;
      const std::string direction = list.text(row, "direction");
      if (!direction.empty() && direction != "increasing")
        refuse("_array_structure_list.direction is " + in_quotes(direction) +
               ", and only increasing can be read");
      const auto pixels = list.number(row, "dimension", 1e6);
      if (!pixels || *pixels < 1 || *pixels != std::floor(*pixels))
        refuse("_array_structure_list.dimension of " + in_quotes(array) +
               " is no whole number from 1 to 1000000");
      result.pixels = static_cast<int>(*pixels);
      const std::string set = list.text(row, "axis_set_id");
      for (std::size_t i = 0; i < sets.rows(); ++i) {
        if (sets.text(i, "axis_set_id") != set) continue;
        if (!result.axis.empty())
          refuse("several axes move with one index of " + in_quotes(array) +
                 " (_array_structure_list_axis), and only one can be read");
        // By CIF a set with one axis has its name.
        result.axis = sets.text(i, "axis_id").empty() ? set : sets.text(i, "axis_id");
        const auto step = sets.number(i, "displacement_increment", most_pixel_mm);
        if (!step || *step == 0)
          refuse("_array_structure_list_axis.displacement_increment of " + in_quotes(result.axis) +
                 " is missing");
        result.pixel_mm = *step;
        result.first_mm = sets.number(i, "displacement", most_mm).value_or(0);
      }
      if (result.axis.empty())
        refuse("_array_structure_list_axis holds no axis for " + in_quotes(set));
      return result;
    }
    refuse("_array_structure_list holds no row of precedence " + precedence + " for " +
           in_quotes(array));
  }

  /// The group that the chain's first axes, up to and with `last`, make up.
  int group_of(const std::vector<const Axis*>& chain, std::size_t last, const Frame& frame,
               int parent) {
    const std::string& name = chain[last]->id;
    auto& groups = geometry().groups;
    for (std::size_t i = 0; i < groups.size(); ++i)
      if (groups[i].name == name && groups[i].parent == parent) return static_cast<int>(i);
    groups.push_back({name, parent, frame.origin, frame.x, frame.y});
    return static_cast<int>(groups.size()) - 1;
  }

  void read_panels() {
    const Table frames = table("diffrn_data_frame"), list = table("array_structure_list");
    std::vector<std::string> arrays;
    for (std::size_t row = 0; row < frames.rows(); ++row) {
      const std::string array = frames.text(row, "array_id");
      if (std::ranges::find(arrays, array) != arrays.end())
        refuse("holds several images (_diffrn_data_frame), and only one can be read");
      arrays.push_back(array);
    }
    if (arrays.empty() && list.rows() > 0) arrays.push_back(list.text(0, "array_id"));
    if (arrays.empty()) refuse("the header holds no _diffrn_data_frame.array_id");
    if (table("array_structure_list_section").rows() > 0)
      refuse(
          "its panels are sections of one array (_array_structure_list_section), which cannot "
          "be read");
    constexpr std::size_t most_panels = 4096;
    if (arrays.size() > most_panels) refuse("has more panels than any detector");
    const bool several = arrays.size() > 1;
    for (const std::string& array : arrays) read_panel(array, several);
    if (!several && file_.text.find(corner_remark) == std::string::npos)
      geometry().notices.push_back(
          "the setting of the first pixel is taken for its outer corner, as in DIALS, where "
          "imgCIF's dictionary has its centre");
    read_sensor_line(file_.path, file_.text, geometry());
  }

  void read_panel(const std::string& array, bool several) {
    const Dimension fast = dimension(array, "1"), slow = dimension(array, "2");
    const std::vector<const Axis*> fast_chain = chain(fast.axis), slow_chain = chain(slow.axis);
    const bool fast_on_slow = std::ranges::find(fast_chain, slow_chain.back()) != fast_chain.end();
    const bool slow_on_fast = std::ranges::find(slow_chain, fast_chain.back()) != slow_chain.end();
    if (!fast_on_slow && !slow_on_fast)
      refuse("neither of the axes " + in_quotes(fast.axis) + " and " + in_quotes(slow.axis) +
             " depends on the other");
    const auto& axes = fast_on_slow ? fast_chain : slow_chain;
    const bool grouped = several && !axes.back()->component.empty();

    GeometryPanel panel;
    panel.name = array;
    Frame frame;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const Axis& axis = *axes[i];
      const bool is_fast = axis.id == fast.axis, is_slow = axis.id == slow.axis;
      if (is_fast) panel.fast_axis = (fast.pixel_mm < 0 ? -1.0 : 1.0) * frame.turned(axis.vector);
      if (is_slow) panel.slow_axis = (slow.pixel_mm < 0 ? -1.0 : 1.0) * frame.turned(axis.vector);
      if ((is_fast || is_slow) && axis.type != "translation")
        refuse("pixels lie along the axis " + in_quotes(axis.id) +
               ", whose _axis.type is not translation");
      // With components DIALS goes by the axes' own settings.
      const double setting = is_fast && !grouped   ? fast.first_mm
                             : is_slow && !grouped ? slow.first_mm
                                                   : this->setting(axis);
      frame = on(frame, axis, setting);
      if (grouped && axis.component != axes.back()->component &&
          axes[i + 1]->component != axis.component)
        panel.group = group_of(axes, i, frame, panel.group);
    }
    panel.origin_mm = frame.origin;
    panel.fast_pixels = fast.pixels;
    panel.slow_pixels = slow.pixels;
    panel.fast_pixel_mm = std::abs(fast.pixel_mm);
    panel.slow_pixel_mm = std::abs(slow.pixel_mm);

    const Table intensities = table("array_intensities");
    const auto row = row_of(intensities, array);
    std::optional<double> undefined;
    if (row) {
      constexpr double most = 1e18;
      undefined = intensities.number(*row, "undefined_value", most);
      panel.saturation = intensities.number(*row, "overload", most);
      if (undefined) panel.underload = *undefined + 1;
      if (const auto gain = intensities.number(*row, "gain", most); gain && *gain > 0)
        panel.gain = *gain;
    }
    result_.undefined.push_back(undefined);
    result_.sections.push_back(section_of(array));
    geometry().panels.push_back(std::move(panel));
  }

  /// A single row need not name its array.
  static std::optional<std::size_t> row_of(const Table& table, const std::string& array) {
    if (table.rows() == 1 && table.text(0, "array_id").empty()) return 0;
    return table.row_where("array_id", array);
  }

  /// Which binary section the array's pixels are.
  std::size_t section_of(const std::string& array) const {
    const Table data = table("array_data");
    const auto row = row_of(data, array);
    constexpr std::string_view words = "binary section ";
    const std::string text = row ? data.text(*row, "data") : "";
    const std::size_t at = text.find(words);
    if (at == std::string::npos) return no_section;
    std::string_view rest = std::string_view(text).substr(at + words.size());
    return parse_number<std::size_t>(next_word(rest)).value_or(no_section);
  }

  // -- Beam

  void read_beam() {
    GeometryBeam beam;
    for (const auto& [id, axis] : axes_)
      if (axis.equipment == "source" && length(axis.vector) > 0) beam.direction = -axis.vector;
    const Table radiation = table("diffrn_radiation"),
                wavelengths = table("diffrn_radiation_wavelength");
    const std::string id = radiation.text(0, "wavelength_id");
    double sum = 0, weights = 0;
    for (std::size_t row = 0; row < wavelengths.rows(); ++row) {
      if (!id.empty() && wavelengths.text(row, "id") != id && wavelengths.rows() > 1) continue;
      const auto value = wavelengths.number(row, "wavelength", plausible::longest_wavelength_A);
      if (!value) continue;
      if (*value < plausible::shortest_wavelength_A)
        refuse("_diffrn_radiation_wavelength.wavelength cannot be meant: " +
               in_quotes(wavelengths.text(row, "wavelength")));
      const double weight = wavelengths.number(row, "wt", 1e18).value_or(1);
      if (!(weight >= 0)) refuse("_diffrn_radiation_wavelength.wt is negative");
      beam.spectrum_A.push_back(*value);
      beam.spectrum_weights.push_back(weight);
      sum += weight * *value;
      weights += weight;
    }
    if (!(weights > 0)) {
      result_.header.missing = "_diffrn_radiation_wavelength.wavelength";
      return;
    }
    beam.wavelength_A = sum / weights;
    if (beam.spectrum_A.size() == 1) {
      beam.wavelength_A = beam.spectrum_A[0];
      beam.spectrum_A.clear();
      beam.spectrum_weights.clear();
    }
    beam.polarization = radiation.number(0, "polarizn_source_ratio", 1);
    const double normal = units::radians_from_degrees(
        radiation.number(0, "polarizn_source_norm", most_degrees).value_or(0));
    beam.polarization_normal = {std::sin(normal), std::cos(normal), 0};
    geometry().beam = std::move(beam);
  }

  // -- Goniometer

  void read_scan() {
    const Table scans = table("diffrn_scan_axis");
    const Axis* spindle = nullptr;
    double width = 0, start = 0;
    for (std::size_t row = 0; row < scans.rows(); ++row) {
      const std::string id = scans.text(row, "axis_id");
      const auto found = axes_.find(id);
      if (found == axes_.end() || found->second.equipment != "goniometer" ||
          found->second.type != "rotation")
        continue;
      const double increment = scans.number(row, "angle_increment", most_degrees).value_or(0);
      if (increment == 0) continue;
      if (spindle)
        refuse("two axes of the goniometer turn, " + in_quotes(spindle->id) + " and " +
               in_quotes(id) + " (_diffrn_scan_axis.angle_increment)");
      spindle = &found->second;
      width = increment;
      start = scans.number(row, "angle_start", most_degrees).value_or(0);
    }
    if (!spindle) return;
    const Table frames = table("diffrn_scan_frame_axis"), frame = table("diffrn_scan_frame");
    if (const auto row = frames.row_where("axis_id", spindle->id))
      start = frames.number(*row, "angle", most_degrees).value_or(start);
    Frame base;
    for (const Axis* const axis : chain(spindle->id)) {
      if (axis == spindle) break;
      base = on(base, *axis, setting(*axis));
    }
    if (length(spindle->vector) == 0)
      refuse("the axis " + in_quotes(spindle->id) + " has no _axis.vector");
    const double sign = width < 0 ? -1 : 1;
    GeometryScan scan;
    scan.spindle_axis = sign * base.turned(spindle->vector);
    scan.start_deg = sign * start;
    scan.width_deg = sign * width;
    scan.exposure_s = std::max(0.0, frame.number(0, "integration_time", 1e9).value_or(0));
    if (const auto number = frame.number(0, "frame_number", 1e9); number && *number >= 0)
      scan.first_image = static_cast<int>(*number);
    geometry().scan = scan;
  }

 public:
  static constexpr std::size_t no_section = std::numeric_limits<std::size_t>::max();

 private:
  const CbfFile& file_;
  const std::map<std::string, CifTable>& tables_;
  std::map<std::string, Axis> axes_;
  ImgCif result_;
};

}  // namespace

bool has_img_cif_axes(const std::map<std::string, CifTable>& tables) {
  return tables.contains("axis") && tables.contains("array_structure_list");
}

ImgCif read_img_cif(const CbfFile& file, const std::map<std::string, CifTable>& tables) {
  return Reader(file, tables).read();
}

}  // namespace nablabragg::io
