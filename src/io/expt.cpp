#include "io/expt.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "io/atomic_file.hpp"
#include "io/image_series.hpp"
#include "io/input_bytes.hpp"
#include "io/quotes.hpp"
#include "io/symmetry.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/materials.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::io {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view list_mark = "ExperimentList";
constexpr std::size_t most_bytes = std::size_t{512} << 20;
/// What dxtbx writes where a limit of the trusted range is not known.
constexpr double no_limit = 0x7FFFFFFF;
/// Cosine of an angle that is a right one but for rounding.
constexpr double right_angle = 1e-6;

std::string short_number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", x);
  return text;
}

// ---- Values with their places, for messages ----------------------------------------------------

/// A value of the file and how it is reached: detector[0].panels[3].fast_axis
class Value {
 public:
  Value(const json& value, std::string where, const std::string& path)
      : json_(&value), where_(std::move(where)), path_(&path) {}

  [[noreturn]] void refuse(const std::string& problem) const {
    throw InputError(*path_, 0, (where_.empty() ? "it" : "'" + where_ + "'") + " " + problem);
  }

  bool is_null() const { return json_->is_null(); }
  /// The member, unless it is missing or null.
  std::optional<Value> find(const char* key) const {
    if (!json_->is_object()) refuse("is no {...}");
    const auto found = json_->find(key);
    if (found == json_->end() || found->is_null()) return std::nullopt;
    return Value(*found, where_.empty() ? key : where_ + "." + key, *path_);
  }
  Value at(const char* key) const {
    if (auto found = find(key)) return *found;
    refuse(std::string("has no '") + key + "', which an experiment of dxtbx needs");
  }
  std::size_t size() const {
    if (!json_->is_array()) refuse("is no list");
    return json_->size();
  }
  Value entry(std::size_t index) const {
    if (index >= size()) refuse("has no entry " + std::to_string(index));
    return Value((*json_)[index], where_ + "[" + std::to_string(index) + "]", *path_);
  }

  double number() const {
    if (!json_->is_number()) refuse("is no number");
    return json_->get<double>();
  }
  double positive() const {
    const double value = number();
    if (!(value > 0)) refuse("is " + short_number(value) + "; it must be positive");
    return value;
  }
  double not_negative() const {
    const double value = number();
    if (!(value >= 0)) refuse("is " + short_number(value) + "; it must not be negative");
    return value;
  }
  int integer(int least, int most) const {
    const double value = number();
    if (value != std::floor(value)) refuse("is " + short_number(value) + ", no whole number");
    if (!(value >= least && value <= most))
      refuse("is " + short_number(value) + "; it must be between " + std::to_string(least) +
             " and " + std::to_string(most));
    return static_cast<int>(value);
  }
  std::string text() const {
    if (!json_->is_string()) refuse("is no text");
    return json_->get<std::string>();
  }
  void check_size(std::size_t wanted) const {
    if (size() != wanted)
      refuse("has " + std::to_string(size()) + " numbers; there must be " + std::to_string(wanted));
  }
  Vec3d vector() const {
    check_size(3);
    return {entry(0).number(), entry(1).number(), entry(2).number()};
  }
  Vec3d direction() const {
    const Vec3d v = vector();
    const double norm = length(v);
    if (!(norm > 0 && std::isfinite(norm))) refuse("is no direction: its length is 0");
    return unit(v);
  }
  /// Nine numbers, row by row; a rotation.
  Mat3d rotation() const {
    check_size(9);
    const auto row = [&](std::size_t i) {
      return Vec3d{entry(i).number(), entry(i + 1).number(), entry(i + 2).number()};
    };
    const Mat3d m{row(0), row(3), row(6)};
    const auto off = [](double a, double b) { return !(std::abs(a - b) < right_angle); };
    if (off(dot(m.a, m.a), 1) || off(dot(m.b, m.b), 1) || off(dot(m.a, m.b), 0) ||
        off(dot(cross(m.a, m.b), m.c), 1))
      refuse("is no rotation");
    return m;
  }

 private:
  const json* json_;
  std::string where_;
  const std::string* path_;
};

// ---- Vectors and rotations
// -----------------------------------------------------------------------

Mat3d transposed(const Mat3d& m) {
  return {{m.a.x, m.b.x, m.c.x}, {m.a.y, m.b.y, m.c.y}, {m.a.z, m.b.z, m.c.z}};
}

Mat3d product(const Mat3d& a, const Mat3d& b) {
  const Mat3d columns = transposed(b);
  return transposed({a * columns.a, a * columns.b, a * columns.c});
}

Mat3d rotation_about(const Vec3d& axis, double angle_deg) {
  const double angle = units::radians_from_degrees(angle_deg);
  const auto turned = [&](const Vec3d& v) {
    return std::cos(angle) * v + std::sin(angle) * cross(axis, v) +
           ((1 - std::cos(angle)) * dot(axis, v)) * axis;
  };
  return transposed({turned({1, 0, 0}), turned({0, 1, 0}), turned({0, 0, 1})});
}

bool is_identity(const Mat3d& m) {
  const Mat3d one = Mat3d::identity();
  return length(m.a - one.a) + length(m.b - one.b) + length(m.c - one.c) < right_angle;
}

/// Where a node of the detector's hierarchy is and how it is turned.
struct Frame {
  Vec3d origin, fast{1, 0, 0}, slow{0, 1, 0};

  Vec3d turned(const Vec3d& v) const { return v.x * fast + v.y * slow + v.z * cross(fast, slow); }
  Vec3d turned_back(const Vec3d& v) const {
    return {dot(v, fast), dot(v, slow), dot(v, cross(fast, slow))};
  }
  Frame in_laboratory(const Frame& local) const {
    return {origin + turned(local.origin), turned(local.fast), turned(local.slow)};
  }
  Frame to_local(const Frame& laboratory) const {
    return {turned_back(laboratory.origin - origin), turned_back(laboratory.fast),
            turned_back(laboratory.slow)};
  }
  bool is_the_laboratory() const {
    return origin == Vec3d{} && fast == Vec3d{1, 0, 0} && slow == Vec3d{0, 1, 0};
  }
};

// ---- Reading
// -------------------------------------------------------------------------------------

class Reader {
 public:
  Reader(const Value& root, int experiment) : root_(root), geometry_() {
    const Value experiments = root_.at("experiment");
    const std::size_t count = experiments.size();
    if (count == 0) experiments.refuse("is empty: the file holds no experiment");
    if (experiment < 0 || static_cast<std::size_t>(experiment) >= count)
      experiments.refuse("has no entry " + std::to_string(experiment) + ": they go from 0 to " +
                         std::to_string(count - 1));
    const Value chosen = experiments.entry(static_cast<std::size_t>(experiment));
    if (count > 1) say_which(experiments, chosen, experiment);

    const auto detector = model(chosen, "detector");
    if (!detector) chosen.refuse("names no detector");
    read_detector(*detector);
    if (const auto beam = model(chosen, "beam")) read_beam(*beam);
    const std::optional<Value> goniometer = model(chosen, "goniometer");
    Mat3d setting = Mat3d::identity(), fixed = Mat3d::identity();
    Vec3d axis{1, 0, 0};
    if (goniometer) read_goniometer(*goniometer, setting, fixed, axis);
    double still_deg = 0;
    if (const auto scan = model(chosen, "scan"))
      still_deg = read_scan(*scan, goniometer ? std::optional(setting * axis) : std::nullopt);
    if (const auto crystal = model(chosen, "crystal")) {
      const Mat3d start = rotation_about(axis, still_deg);
      const Mat3d turn = product(setting, product(start, fixed));
      if (!geometry_.scan && !is_identity(turn))
        notice("its goniometer turns the crystal of this still, and is taken into its orientation");
      read_crystal(*crystal, turn);
    }
    if (const auto imageset = model(chosen, "imageset")) read_imageset(*imageset);
    for (const char* left_out : {"profile", "scaling_model"})
      if (model(chosen, left_out)) notice(std::string("its ") + left_out + " is not taken");
  }

  Geometry take() { return std::move(geometry_); }

 private:
  void notice(std::string sentence) { geometry_.notices.push_back(std::move(sentence)); }

  /// What an experiment names by its index.
  std::optional<Value> model(const Value& experiment, const char* kind) const {
    const auto index = experiment.find(kind);
    if (!index) return std::nullopt;
    const Value list = root_.at(kind);
    const int at = index->integer(0, std::numeric_limits<int>::max());
    if (static_cast<std::size_t>(at) >= list.size())
      index->refuse("is " + std::to_string(at) + ", and there are only " +
                    std::to_string(list.size()));
    const Value found = list.entry(static_cast<std::size_t>(at));
    if (found.is_null()) return std::nullopt;
    return found;
  }

  void say_which(const Value& experiments, const Value& chosen, int experiment) {
    std::size_t same_images = 0;
    const auto index_of = [](const Value& e, const char* kind) {
      const auto index = e.find(kind);
      return index ? index->integer(0, std::numeric_limits<int>::max()) : -1;
    };
    for (std::size_t i = 0; i < experiments.size(); ++i) {
      const Value other = experiments.entry(i);
      if (static_cast<int>(i) != experiment && index_of(other, "imageset") >= 0 &&
          index_of(other, "imageset") == index_of(chosen, "imageset") &&
          index_of(other, "scan") == index_of(chosen, "scan"))
        ++same_images;
    }
    std::string sentence = "experiment " + std::to_string(experiment) + " of " +
                           std::to_string(experiments.size()) + " (counted from 0) is taken";
    if (same_images > 0)
      sentence += "; " + std::to_string(same_images) +
                  (same_images == 1 ? " other has" : " others have") +
                  " the same images, and their crystals are left out";
    notice(std::move(sentence));
  }

  Frame read_frame(const Value& node) const {
    const Frame frame{node.at("origin").vector(), node.at("fast_axis").direction(),
                      node.at("slow_axis").direction()};
    if (!(std::abs(dot(frame.fast, frame.slow)) < right_angle))
      node.refuse("has a fast_axis and a slow_axis that are not at right angles");
    return frame;
  }

  void read_detector(const Value& detector) {
    const Value panels = detector.at("panels");
    if (panels.size() == 0) panels.refuse("is empty");
    for (std::size_t i = 0; i < panels.size(); ++i)
      geometry_.panels.push_back(read_panel(panels.entry(i)));
    if (const auto hierarchy = detector.find("hierarchy")) {
      if (hierarchy->find("panel")) hierarchy->refuse("is a panel; it must be a group");
      std::vector<bool> placed(geometry_.panels.size());
      place(*hierarchy, Frame{}, -1, 0, placed);
      for (std::size_t i = 0; i < placed.size(); ++i)
        if (!placed[i])
          hierarchy->refuse("does not hold panel " + std::to_string(i) +
                            ", so that its place is not known");
    }
    if (by_old_convention_ > 0)
      notice("the trusted range of " + panels_in_words(by_old_convention_) +
             " begins at -1: by the convention of dxtbx up to 3.11 its ends are not part of it, "
             "and it is taken as 0 to one less than its upper end");
    if (simple_sensors_ > 0)
      notice(panels_in_words(simple_sensors_) +
             " with a thick sensor is mapped by DIALS as if photons stopped at its surface; the "
             "sensor is taken as it is stated");
    if (with_offsets_ > 0)
      notice("the corrections of pixel positions of " + panels_in_words(with_offsets_) +
             " are not taken");
  }

  std::string panels_in_words(std::size_t count) const {
    if (geometry_.panels.size() == 1) return "the panel";
    return count == geometry_.panels.size() ? "each panel"
                                            : "each of " + std::to_string(count) + " panels";
  }

  GeometryPanel read_panel(const Value& value) {
    GeometryPanel panel;
    const auto text = [&](const char* key) {
      const auto found = value.find(key);
      return found ? found->text() : std::string();
    };
    const auto number = [&](const char* key) {
      const auto found = value.find(key);
      return found ? found->not_negative() : 0;
    };
    panel.name = text("name");
    const Frame frame = read_frame(value);
    panel.origin_mm = frame.origin;
    panel.fast_axis = frame.fast;
    panel.slow_axis = frame.slow;
    constexpr int most_pixels = 1 << 20;
    const Value size = value.at("image_size"), pixel = value.at("pixel_size");
    size.check_size(2);
    pixel.check_size(2);
    panel.fast_pixels = size.entry(0).integer(1, most_pixels);
    panel.slow_pixels = size.entry(1).integer(1, most_pixels);
    panel.fast_pixel_mm = pixel.entry(0).positive();
    panel.slow_pixel_mm = pixel.entry(1).positive();
    panel.sensor_material = text("material");
    panel.sensor_thickness_mm = number("thickness");
    panel.attenuation_per_mm = number("mu");
    panel.gain = number("gain");
    if (panel.gain == 0) panel.gain = 1;  // not stated
    if (const auto pedestal = value.find("pedestal")) panel.pedestal = pedestal->number();
    if (const auto range = value.find("trusted_range")) read_trusted_range(*range, panel);
    if (const auto mask = value.find("mask"))
      for (std::size_t i = 0; i < mask->size(); ++i) read_mask(mask->entry(i), panel);
    if (const auto strategy = value.find("px_mm_strategy")) {
      const std::string type = strategy->at("type").text();
      const bool simple = type.find("Parallax") == std::string::npos;
      if (simple && panel.sensor_thickness_mm > 0) ++simple_sensors_;
      if (type.find("Offset") != std::string::npos) ++with_offsets_;
    }
    return panel;
  }

  void read_trusted_range(const Value& range, GeometryPanel& panel) {
    range.check_size(2);
    const double lower = range.entry(0).number(), upper = range.entry(1).number();
    if (lower == 0 && upper == 0) return;  // dxtbx's empty panel
    if (!(lower <= upper))
      range.refuse("ends at " + short_number(upper) + " and begins at " + short_number(lower));
    // An end between two counts is none itself.
    const auto is_between = [](double x) { return x - std::floor(x) == 0.5; };
    const bool old = lower == -1;
    if (old) ++by_old_convention_;
    if (lower > -no_limit) panel.underload = old ? 0 : is_between(lower) ? lower + 0.5 : lower;
    if (upper < no_limit)
      panel.saturation = old ? upper - 1 : is_between(upper) ? upper - 0.5 : upper;
  }

  static void read_mask(const Value& rectangle, GeometryPanel& panel) {
    rectangle.check_size(4);
    constexpr int most = std::numeric_limits<int>::max();
    const auto limited = [&](std::size_t i, int pixels) {
      return std::clamp(rectangle.entry(i).integer(-most, most), 0, pixels);
    };
    const PixelRectangle r{limited(0, panel.fast_pixels), limited(2, panel.fast_pixels),
                           limited(1, panel.slow_pixels), limited(3, panel.slow_pixels)};
    if (r.fast_begin < r.fast_end && r.slow_begin < r.slow_end) panel.masked.push_back(r);
  }

  /// Puts the panels of a group and its groups into the laboratory.
  void place(const Value& node, const Frame& parent, int group, int depth,
             std::vector<bool>& placed) {
    constexpr int most_levels = 32;
    if (depth > most_levels)
      node.refuse("lies more than " + std::to_string(most_levels) + " groups deep");
    const Frame frame = parent.in_laboratory(read_frame(node));
    const auto name = node.find("name");
    const std::string words = name ? name->text() : "";
    const bool is_only_a_list = depth == 0 && words.empty() && frame.is_the_laboratory();
    if (!is_only_a_list) {
      geometry_.groups.push_back({words, group, frame.origin, frame.fast, frame.slow});
      group = static_cast<int>(geometry_.groups.size()) - 1;
    }
    const Value children = node.at("children");
    for (std::size_t i = 0; i < children.size(); ++i) {
      const Value child = children.entry(i);
      const auto index = child.find("panel");
      if (!index) {
        place(child, frame, group, depth + 1, placed);
        continue;
      }
      const auto at = static_cast<std::size_t>(
          index->integer(0, static_cast<int>(geometry_.panels.size()) - 1));
      if (placed[at]) index->refuse("is " + std::to_string(at) + ", which has a place already");
      placed[at] = true;
      GeometryPanel& panel = geometry_.panels[at];
      const Frame there = frame.in_laboratory({panel.origin_mm, panel.fast_axis, panel.slow_axis});
      panel.group = group;
      panel.origin_mm = there.origin;
      panel.fast_axis = there.fast;
      panel.slow_axis = there.slow;
    }
  }

  void read_beam(const Value& value) {
    GeometryBeam beam;
    beam.direction = -value.at("direction").direction();
    if (const auto range = value.find("wavelength_range"); range && !value.find("wavelength")) {
      range->check_size(2);
      const double from = range->entry(0).positive(), to = range->entry(1).positive();
      if (to < from) range->refuse("ends below its beginning");
      beam.wavelength_A = (from + to) / 2;
      notice("its beam is polychromatic, from " + short_number(from) + " to " + short_number(to) +
             " A, and the file holds no spectrum: the middle, " + short_number(beam.wavelength_A) +
             " A, is taken");
    } else {
      beam.wavelength_A = value.at("wavelength").positive();
    }
    if (const auto fraction = value.find("polarization_fraction")) {
      const double f = fraction->number();
      if (!(f >= 0 && f <= 1)) fraction->refuse("is " + short_number(f) + ", not between 0 and 1");
      beam.polarization = 2 * f - 1;
    }
    if (const auto normal = value.find("polarization_normal"))
      beam.polarization_normal = normal->direction();
    if (const auto probe = value.find("probe"); probe && probe->text() != "x-ray")
      notice("its beam is one of " + in_quotes(probe->text()) +
             "; X-rays of its wavelength are taken");
    for (const auto& [key, usual, words] : {std::tuple("divergence", 0.0, "divergence"),
                                            {"flux", 0.0, "flux"},
                                            {"transmission", 1.0, "transmission"}})
      if (const auto found = value.find(key); found && found->number() != usual)
        notice(std::string("the ") + words + " of its beam is not taken");
    if (const auto changing = value.find("s0_at_scan_points"); changing && changing->size() > 0)
      notice("its beam changes from image to image, and only its mean is taken");
    geometry_.beam = std::move(beam);
  }

  void read_goniometer(const Value& value, Mat3d& setting, Mat3d& fixed, Vec3d& axis) {
    if (const auto axes = value.find("axes")) {
      const Value angles = value.at("angles");
      if (axes->size() == 0) axes->refuse("is empty");
      angles.check_size(axes->size());
      const auto scan_axis = static_cast<std::size_t>(
          value.at("scan_axis").integer(0, static_cast<int>(axes->size()) - 1));
      // From the crystal to the base; what turns is left out.
      for (std::size_t i = 0; i < axes->size(); ++i) {
        const Mat3d turn = rotation_about(axes->entry(i).direction(), angles.entry(i).number());
        if (i < scan_axis) fixed = product(turn, fixed);
        if (i > scan_axis) setting = product(turn, setting);
      }
      axis = axes->entry(scan_axis).direction();
    } else {
      axis = value.at("rotation_axis").direction();
      if (const auto rotation = value.find("fixed_rotation")) fixed = rotation->rotation();
      if (const auto rotation = value.find("setting_rotation")) setting = rotation->rotation();
    }
    if (const auto changing = value.find("setting_rotation_at_scan_points");
        changing && changing->size() > 0)
      notice("its goniometer changes from image to image, and only its mean is taken");
  }

  /// Start and width; no width of an exposure without rotation.
  struct Oscillation {
    double start_deg = 0, width_deg = 0;
  };

  static std::optional<Oscillation> read_oscillation(const Value& scan, int images) {
    const auto properties = scan.find("properties");
    if (!properties) {
      const auto old = scan.find("oscillation");
      if (!old) return std::nullopt;
      old->check_size(2);
      return Oscillation{old->entry(0).number(), old->entry(1).number()};
    }
    const auto starts = properties->find("oscillation");
    if (!starts) return std::nullopt;  // a scan of something else
    starts->check_size(static_cast<std::size_t>(images));
    Oscillation result{starts->entry(0).number(), 0};
    if (const auto widths = properties->find("oscillation_width"); widths && widths->size() > 0)
      result.width_deg = widths->entry(0).number();
    else if (images > 1)
      result.width_deg = (starts->entry(static_cast<std::size_t>(images) - 1).number() -
                          result.start_deg) /
                         (images - 1);
    for (std::size_t i = 0; i < starts->size(); ++i) {
      const double expected = result.start_deg + static_cast<double>(i) * result.width_deg;
      if (!(std::abs(starts->entry(i).number() - expected) <=
            1e-3 * std::abs(result.width_deg) + 1e-9))
        starts->refuse("does not rise by the same angle from image to image");
    }
    return result;
  }

  /// The angle of a still, which has no GeometryScan; else 0.
  double read_scan(const Value& value, const std::optional<Vec3d>& axis) {
    const Value range = value.at("image_range");
    range.check_size(2);
    constexpr int most = 100'000'000;
    const int first = range.entry(0).integer(-most, most),
              last = range.entry(1).integer(-most, most);
    if (last < first) range.refuse("ends before its first image");
    const int images = last - first + 1;
    const auto oscillation = read_oscillation(value, images);
    if (!oscillation) return 0;
    if (oscillation->width_deg == 0) return axis ? oscillation->start_deg : 0;
    if (!axis) value.refuse("turns the crystal, and the experiment names no goniometer");
    GeometryScan scan;
    const double sign = oscillation->width_deg < 0 ? -1 : 1;
    scan.spindle_axis = sign * *axis;
    scan.start_deg = sign * oscillation->start_deg;
    scan.width_deg = sign * oscillation->width_deg;
    scan.images = images;
    scan.first_image = first;
    const auto properties = value.find("properties");
    if (const auto times = (properties ? *properties : value).find("exposure_time");
        times && times->size() > 0) {
      scan.exposure_s = times->entry(0).not_negative();
      for (std::size_t i = 1; i < times->size(); ++i)
        if (times->entry(i).number() != scan.exposure_s) {
          notice("its images have different exposure times, and that of the first is taken");
          break;
        }
    }
    geometry_.scan = scan;
    return 0;
  }

  void read_crystal(const Value& value, const Mat3d& turn) {
    GeometryCrystal crystal;
    const Vec3d a = turn * value.at("real_space_a").vector(),
                b = turn * value.at("real_space_b").vector(),
                c = turn * value.at("real_space_c").vector();
    crystal.real_axes_A = {a, b, c};
    const double volume = dot(cross(a, b), c);
    if (!(volume > 0 && std::isfinite(volume)))
      value.refuse("has axes real_space_a, _b and _c that span no right-handed cell");
    if (const auto hall = value.find("space_group_hall_symbol"))
      crystal.space_group = group_name_of_hall_symbol(hall->text());
    if (const auto changing = value.find("A_at_scan_points"); changing && changing->size() > 0)
      notice("its crystal changes from image to image, and only its mean is taken");
    const auto is_positive = [&](const char* key) {
      const auto found = value.find(key);
      return found && found->number() > 0;
    };
    if (is_positive("mosaicity") || is_positive("ML_half_mosaicity_deg"))
      notice("the mosaicity of its crystal is not taken");
    if (is_positive("ML_domain_size_ang")) notice("the domain size of its crystal is not taken");
    geometry_.crystals.push_back(std::move(crystal));
  }

  void read_imageset(const Value& value) {
    for (const char* key : {"mask", "gain", "pedestal", "dx", "dy"})
      if (const auto file = value.find(key))
        notice(std::string("the ") + key + " of its images" +
               (key[0] == 'd' ? " (shifts of pixels)" : "") + " is not taken: it stands in a file");
  }

  Value root_;
  Geometry geometry_;
  std::size_t by_old_convention_ = 0, simple_sensors_ = 0, with_offsets_ = 0;
};

// ---- Writing
// -------------------------------------------------------------------------------------

ordered_json numbers(const Vec3d& v) { return {v.x, v.y, v.z}; }

std::string sensor_type(const std::string& material) {
  if (material.empty()) return "SENSOR_UNKNOWN";
  for (const char* pixels : {"Si", "Ge", "GaAs", "CdTe", "CdZnTe"})
    if (material == pixels) return "SENSOR_PAD";
  return "SENSOR_CCD";
}

/// The keys that a panel and a group have.
ordered_json node_json(const std::string& name, const Frame& local) {
  ordered_json node;
  node["name"] = name;
  node["type"] = "";
  node["fast_axis"] = numbers(local.fast);
  node["slow_axis"] = numbers(local.slow);
  node["origin"] = numbers(local.origin);
  node["raw_image_offset"] = {0, 0};
  node["image_size"] = {0, 0};
  node["pixel_size"] = {0.0, 0.0};
  node["trusted_range"] = {0.0, 0.0};
  node["thickness"] = 0.0;
  node["material"] = "";
  node["mu"] = 0.0;
  node["identifier"] = "";
  node["mask"] = ordered_json::array();
  node["gain"] = 1.0;
  node["pedestal"] = 0.0;
  node["px_mm_strategy"] = {{"type", "SimplePxMmStrategy"}};
  return node;
}

/// dxtbx up to 3.11 leaves the ends of the range out and later ones keep them: an end between two
/// counts means the same to both.
ordered_json trusted_range(const GeometryPanel& panel) {
  const auto is_count = [](double x) { return x == std::floor(x); };
  const double lower = panel.underload.value_or(0), upper = panel.saturation.value_or(no_limit);
  return {is_count(lower) ? lower - 0.5 : lower,
          panel.saturation && is_count(upper) ? upper + 0.5 : upper};
}

ordered_json panel_json(const GeometryPanel& panel, const Frame& parent, double wavelength_A) {
  ordered_json node = node_json(
      panel.name, parent.to_local({panel.origin_mm, panel.fast_axis, panel.slow_axis}));
  node["type"] = sensor_type(panel.sensor_material);
  node["image_size"] = {panel.fast_pixels, panel.slow_pixels};
  node["pixel_size"] = {panel.fast_pixel_mm, panel.slow_pixel_mm};
  node["trusted_range"] = trusted_range(panel);
  node["thickness"] = panel.sensor_thickness_mm;
  node["material"] = panel.sensor_material;
  const double per_mm = attenuation_per_mm_of(panel, wavelength_A);
  node["mu"] = per_mm;
  for (const PixelRectangle& r : panel.masked)
    node["mask"].push_back({r.fast_begin, r.slow_begin, r.fast_end, r.slow_end});
  node["gain"] = panel.gain;
  node["pedestal"] = panel.pedestal;
  if (per_mm > 0 && panel.sensor_thickness_mm > 0)
    node["px_mm_strategy"]["type"] = "ParallaxCorrectedPxMmStrategy";
  return node;
}

Frame frame_of(const GeometryGroup& group) {
  return {group.origin_mm, group.fast_axis, group.slow_axis};
}

/// The panels of a group and the groups in it; -1: those that are in none.
ordered_json children_json(const Geometry& geometry, int group, const Frame& frame) {
  ordered_json children = ordered_json::array();
  for (std::size_t i = 0; i < geometry.groups.size(); ++i) {
    const GeometryGroup& inner = geometry.groups[i];
    if (inner.parent != group || static_cast<int>(i) <= group) continue;
    ordered_json node = node_json(inner.name, frame.to_local(frame_of(inner)));
    node["children"] = children_json(geometry, static_cast<int>(i), frame_of(inner));
    children.push_back(std::move(node));
  }
  for (std::size_t i = 0; i < geometry.panels.size(); ++i)
    if (geometry.panels[i].group == group) children.push_back({{"panel", i}});
  return children;
}

ordered_json detector_json(const Geometry& geometry, double wavelength_A) {
  ordered_json panels = ordered_json::array();
  std::size_t ungrouped = 0, outermost = 0;
  for (const GeometryPanel& panel : geometry.panels) {
    const bool grouped = panel.group >= 0;
    if (!grouped) ++ungrouped;
    panels.push_back(panel_json(
        panel,
        grouped ? frame_of(geometry.groups.at(static_cast<std::size_t>(panel.group))) : Frame{},
        wavelength_A));
  }
  for (const GeometryGroup& group : geometry.groups)
    if (group.parent < 0) ++outermost;
  ordered_json root = node_json("", {});
  root["children"] = children_json(geometry, -1, {});
  // One group that holds all is the root itself.
  if (ungrouped == 0 && outermost == 1) root = ordered_json(root["children"].at(0));
  return {{"panels", std::move(panels)}, {"hierarchy", std::move(root)}};
}

ordered_json beam_json(const GeometryBeam& beam, double wavelength_A) {
  ordered_json result;
  result["__id__"] = "monochromatic";
  result["direction"] = numbers(-beam.direction);
  result["wavelength"] = wavelength_A;
  result["divergence"] = 0.0;
  result["sigma_divergence"] = 0.0;
  result["polarization_normal"] = numbers(beam.polarization_normal);
  if (beam.polarization) result["polarization_fraction"] = (1 + *beam.polarization) / 2;
  result["flux"] = 0.0;
  result["transmission"] = 1.0;
  return result;
}

ordered_json crystal_json(const GeometryCrystal& crystal) {
  const auto hall = hall_symbol_of_group(crystal.space_group.empty() ? "P 1" : crystal.space_group);
  if (!hall)
    throw UsageError("the space group " + in_quotes(crystal.space_group) +
                     " is none that an .expt can name; give a Hermann-Mauguin or Hall symbol");
  ordered_json result;
  result["__id__"] = "crystal";
  result["real_space_a"] = numbers(crystal.real_axes_A.a);
  result["real_space_b"] = numbers(crystal.real_axes_A.b);
  result["real_space_c"] = numbers(crystal.real_axes_A.c);
  result["space_group_hall_symbol"] = " " + *hall;
  return result;
}

bool holds_many_images(const std::string& path) {
  for (const char* ending : {".h5", ".nxs", ".hdf5", ".nx5", ".cxi"})
    if (path.ends_with(ending)) return true;
  return false;
}

/// image_####.cbf, 12 -> image_0012.cbf
std::string numbered(const std::string& path, int number) {
  return path.find('#') == std::string::npos ? path : file_of_image(path, number);
}

/// dxtbx looks for images from the folder of the .expt.
std::string path_from(const std::string& expt, const std::string& image) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::absolute(expt).parent_path();
  std::error_code failure;
  const fs::path relative = fs::proximate(fs::absolute(image), folder, failure);
  return failure ? fs::absolute(image).string() : relative.string();
}

ordered_json imageset_json(const char* kind) {
  ordered_json result;
  result["__id__"] = kind;
  for (const char* key : {"mask", "gain", "pedestal", "dx", "dy"}) result[key] = nullptr;
  result["params"] = ordered_json::object();
  return result;
}

ordered_json scan_json(const GeometryScan& scan, std::size_t images) {
  ordered_json result;
  result["image_range"] = {scan.first_image, scan.first_image + static_cast<int>(images) - 1};
  result["batch_offset"] = 0;
  result["oscillation"] = {scan.start_deg, scan.width_deg};
  result["exposure_time"] = std::vector<double>(images, scan.exposure_s);
  result["epochs"] = std::vector<double>(images, 0.0);
  result["valid_image_ranges"] = ordered_json::object();
  return result;
}

ordered_json goniometer_json(const GeometryScan& scan) {
  const std::vector<double> none{1, 0, 0, 0, 1, 0, 0, 0, 1};
  ordered_json result;
  result["rotation_axis"] = numbers(scan.spindle_axis);
  result["fixed_rotation"] = none;
  result["setting_rotation"] = none;
  return result;
}

std::size_t image_count(const ImageSeries& series) {
  if (!series.images.empty()) return series.images.size();
  return series.geometry.scan ? static_cast<std::size_t>(series.geometry.scan->images) : 1;
}

std::string why_not_expt(const ImageSeries& series) {
  const Geometry& geometry = series.geometry;
  if (std::string why = why_no_place(geometry); !why.empty()) return why;
  if (!geometry.beam) return "an .expt needs a beam, and there is none";
  if (geometry.panels.empty()) return "an .expt needs a panel, and there is none";
  for (std::size_t i = 0; i < geometry.groups.size(); ++i)
    if (geometry.groups[i].parent >= static_cast<int>(i))
      return "group " + std::to_string(i) + " stands before the group that it is in";
  for (const GeometryPanel& panel : geometry.panels) {
    if (panel.group >= static_cast<int>(geometry.groups.size()))
      return "panel " + in_quotes(panel.name) + " is in a group that there is not";
    if (!(std::abs(dot(panel.fast_axis, panel.slow_axis)) < right_angle))
      return "panel " + in_quotes(panel.name) +
             " has axes that are not at right angles, which no .expt can state";
  }
  for (const ImageState& image : series.images)
    if (!image.crystals.empty() &&
        (geometry.scan || image.crystals.size() != geometry.crystals.size()))
      return geometry.scan
                 ? "the crystals of a scan are those of its geometry, not of an image"
                 : "an image has " + std::to_string(image.crystals.size()) +
                       " crystals and the geometry " + std::to_string(geometry.crystals.size());
  if (!geometry.scan) return "";
  if (image_count(series) != static_cast<std::size_t>(geometry.scan->images))
    return "the scan has " + std::to_string(geometry.scan->images) + " images and the series " +
           std::to_string(series.images.size());
  for (const ImageState& image : series.images)
    if (image.wavelength_A != 0 && image.wavelength_A != geometry.beam->wavelength_A)
      return "an .expt cannot state a wavelength for each image of a scan; write stills";
  return "";
}

/// One list of the file, in which equal entries stand once.
class ModelList {
 public:
  std::size_t add(ordered_json model) {
    const auto [at, is_new] = places_.emplace(model.dump(), list_.size());
    if (is_new) list_.push_back(std::move(model));
    return at->second;
  }
  ordered_json take() { return std::move(list_); }

 private:
  ordered_json list_ = ordered_json::array();
  std::map<std::string, std::size_t> places_;
};

}  // namespace

double attenuation_per_mm_of(const GeometryPanel& panel, double wavelength_A) {
  if (panel.attenuation_per_mm > 0 || panel.sensor_thickness_mm == 0 ||
      panel.sensor_material.empty())
    return panel.attenuation_per_mm;
  try {
    return attenuation_per_mm(panel.sensor_material, units::angstrom_from_ev(wavelength_A));
  } catch (const UsageError&) {
    return 0;  // a material that is only a name
  }
}

bool begins_as_expt(std::string_view head) {
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && head[first] == '{' &&
         head.find('"' + std::string(list_mark) + '"') != std::string_view::npos;
}

Geometry read_expt_geometry(const std::string& path, int experiment) {
  const InputBytes input = read_input(path, most_bytes);
  json root;
  try {
    root = json::parse(input.text());
  } catch (const json::exception& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::string what = e.what();
    throw InputError(
        path, 0,
        "is no JSON, which a dxtbx .expt is: " + printable(what.substr(what.find("] ") + 2)));
  }
  const Value file(root, "", path);
  if (!root.is_object() || file.at("__id__").text() != list_mark)
    throw InputError(path, 0, "is no experiment list of dxtbx: its '__id__' is not ExperimentList");
  return Reader(file, experiment).take();
}

std::vector<std::string> expt_identifiers(const ImageSeries& series) {
  const std::size_t crystals = std::max<std::size_t>(1, series.geometry.crystals.size());
  const std::size_t count = (series.geometry.scan ? 1 : image_count(series)) * crystals;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

void write_expt(const std::string& path, const ImageSeries& series, const std::string& image_path) {
  if (const std::string why = why_not_expt(series); !why.empty()) throw UsageError(why);
  const Geometry& geometry = series.geometry;
  const std::size_t images = image_count(series);
  const std::string image = image_path.empty() ? "" : path_from(path, image_path);
  const bool many = holds_many_images(image_path);
  ModelList experiments, imagesets, beams, detectors, goniometers, scans, crystals;
  const std::vector<std::string> identifiers = expt_identifiers(series);
  std::size_t next = 0;
  const std::size_t detector = detectors.add(detector_json(geometry, geometry.beam->wavelength_A));

  const auto add_experiments = [&](double wavelength_A, std::optional<std::size_t> imageset,
                                   std::span<const GeometryCrystal> lattices) {
    ordered_json experiment;
    experiment["__id__"] = "Experiment";
    experiment["identifier"] = "";
    experiment["beam"] = beams.add(beam_json(*geometry.beam, wavelength_A));
    experiment["detector"] = detector;
    if (geometry.scan) {
      experiment["goniometer"] = goniometers.add(goniometer_json(*geometry.scan));
      experiment["scan"] = scans.add(scan_json(*geometry.scan, images));
    }
    if (imageset) experiment["imageset"] = *imageset;
    for (std::size_t i = 0; i < std::max<std::size_t>(1, geometry.crystals.size()); ++i) {
      if (i < lattices.size()) experiment["crystal"] = crystals.add(crystal_json(lattices[i]));
      experiment["identifier"] = identifiers.at(next++);
      experiments.add(experiment);
    }
  };

  if (geometry.scan) {
    std::optional<std::size_t> imageset;
    if (!image.empty()) {
      ordered_json set = imageset_json("ImageSequence");
      set["template"] = image;
      if (many) {
        set["single_file_indices"] = ordered_json::array();
        for (std::size_t i = 0; i < images; ++i) set["single_file_indices"].push_back(i);
      }
      imageset = imagesets.add(std::move(set));
    }
    add_experiments(geometry.beam->wavelength_A, imageset, geometry.crystals);
  } else {
    for (std::size_t i = 0; i < images; ++i) {
      std::optional<std::size_t> imageset;
      if (!image.empty()) {
        ordered_json set = imageset_json("ImageSet");
        set["images"] = ordered_json::array({numbered(image, static_cast<int>(i) + 1)});
        if (many) set["single_file_indices"] = ordered_json::array({i});
        imageset = imagesets.add(std::move(set));
      }
      const double own = i < series.images.size() ? series.images[i].wavelength_A : 0;
      const bool own_crystals = i < series.images.size() && !series.images[i].crystals.empty();
      add_experiments(own > 0 ? own : geometry.beam->wavelength_A, imageset,
                      own_crystals ? series.images[i].crystals : geometry.crystals);
    }
  }

  ordered_json file;
  file["__id__"] = list_mark;
  file["experiment"] = experiments.take();
  file["imageset"] = imagesets.take();
  file["beam"] = beams.take();
  file["detector"] = detectors.take();
  file["goniometer"] = goniometers.take();
  file["scan"] = scans.take();
  file["crystal"] = crystals.take();
  file["profile"] = ordered_json::array();
  file["scaling_model"] = ordered_json::array();
  AtomicFile out(path);
  out.write(file.dump(1) + "\n");
  out.commit();
}

FileFormat expt_format() {
  return {.name = "dxtbx .expt",
          .endings = {".expt"},
          .written = "the experiment, and where its images are",
          .geometry = "all of it, polarization and crystal too",
          .begins = begins_as_expt,
          .read_geometry = [](const std::string& path, int which,
                              auto) { return read_expt_geometry(path, which); },
          .write_experiment = write_expt,
          .why_not = why_not_expt};
}

}  // namespace nablabragg::io
