#include "nablabragg/geometry.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "description/digits.hpp"
#include "description/sensors.hpp"
#include "model/crystal_axes.hpp"
#include "model/panel.hpp"
#include "model/rays.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg {

namespace {

Vec3d mm_of(const Vec3d& metres) {
  return {units::mm_from_metres(metres.x), units::mm_from_metres(metres.y),
          units::mm_from_metres(metres.z)};
}
Vec3d metres_of(const Vec3d& mm) {
  return {units::metres_from_mm(mm.x), units::metres_from_mm(mm.y), units::metres_from_mm(mm.z)};
}

GeometryPanel panel_of(const Detector& d, const Panel& placed, const Sensor& sensor,
                       const std::shared_ptr<const Mask>& mask,
                       const std::vector<GeometryGroup>& groups) {
  GeometryPanel p;
  p.name = d.name;
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (groups[i].name == d.group && !d.group.empty()) p.group = static_cast<int>(i);
  p.fast_pixels = placed.fast_pixels;
  p.slow_pixels = placed.slow_pixels;
  p.fast_pixel_mm = units::mm_from_metres(placed.pixel);
  p.slow_pixel_mm = units::mm_from_metres(placed.slow_pixel);
  p.origin_mm = mm_of(placed.origin);
  p.fast_axis = placed.fast;
  p.slow_axis = placed.slow;
  p.sensor_material = d.sensor_material;
  p.sensor_thickness_mm = units::mm_from_metres(sensor.thickness);
  p.attenuation_per_mm = sensor.thickness > 0 ? sensor.absorption_per_m / 1000 : 0;
  p.underload = d.underload;
  p.saturation = d.saturation;
  p.gain = d.gain;
  if (mask) p.masked = masked_rectangles(*mask);
  p.curved = d.curved;
  return p;
}

/// The frames of the groups where they have moved to.
std::vector<GeometryGroup> groups_of(const Experiment& e) {
  std::vector<GeometryGroup> groups;
  for (const DetectorGroup& group : e.detector_groups) {
    // A panel in the frame's place moves as the frame does.
    Panel frame;
    frame.origin = metres_of(group.origin_mm);
    frame.fast = unit(group.fast_axis);
    frame.slow = unit(group.slow_axis);
    frame.normal = unit(cross(frame.fast, frame.slow));
    Detector in_it;
    in_it.group = group.name;
    model::detail::move_panel(e, in_it, frame);
    GeometryGroup g{group.name, -1, mm_of(frame.origin), frame.fast, frame.slow};
    for (std::size_t i = 0; i < groups.size(); ++i)
      if (groups[i].name == group.parent && !group.parent.empty()) g.parent = static_cast<int>(i);
    groups.push_back(std::move(g));
  }
  return groups;
}

/// Whether it says how deep photons come.
bool stops_photons(const GeometryPanel& p) {
  return p.attenuation_per_mm > 0 || !p.sensor_material.empty();
}

Detector detector_of(const GeometryPanel& p, const Geometry& geometry) {
  if (p.fast_pixels <= 0 || p.slow_pixels <= 0 || !(p.fast_pixel_mm > 0) || !(p.slow_pixel_mm > 0))
    throw UsageError("the panel '" + p.name +
                     "' has no pixels; give their number and size along both axes");
  Detector d;
  d.name = p.name;
  if (p.group >= 0) d.group = geometry.groups.at(static_cast<std::size_t>(p.group)).name;
  d.convention = Convention::custom;
  d.pivot = Pivot::sample;
  d.fast_pixels = p.fast_pixels;
  d.slow_pixels = p.slow_pixels;
  d.pixel_mm = p.fast_pixel_mm;
  if (p.slow_pixel_mm != p.fast_pixel_mm) d.slow_pixel_mm = p.slow_pixel_mm;
  d.origin_m = metres_of(p.origin_mm);
  d.fast_axis = p.fast_axis;
  d.slow_axis = p.slow_axis;
  d.shift_mm = d.turn_deg = Vec3d{};
  if (p.sensor_thickness_mm > 0 && stops_photons(p)) {
    d.sensor_material = p.sensor_material;
    d.sensor_thickness_um = p.sensor_thickness_mm * 1000;
    if (p.attenuation_per_mm > 0) d.attenuation_depth_um = 1000 / p.attenuation_per_mm;
    d.sensor_layers = description::layers_of(d.sensor_thickness_um);
  }
  d.underload = p.underload;
  d.saturation = p.saturation;
  d.gain = p.gain;
  return d;
}

/// The light of a spectrum comes along the beam, wherever that runs.
void turn_spectrum(const Vec3d& before, const Vec3d& now, Experiment& e) {
  const auto along_beam = [&](const Source& s) {
    return length(unit(s.position) + unit(before)) < 1e-6;
  };
  if (!std::ranges::all_of(e.beam.sources, along_beam)) return;
  for (Source& s : e.beam.sources) s.position = -length(s.position) * unit(now);
}

void set_beam(const GeometryBeam& beam, Experiment& e) {
  e.beam.tilt_horizontal_mrad = e.beam.tilt_vertical_mrad = 0;
  e.beam.wavelength_A = beam.wavelength_A;
  e.beam.direction = beam.direction;
  e.beam.polarization_axis = unit(cross(beam.polarization_normal, beam.direction));
  if (beam.polarization) e.beam.polarization_fraction = *beam.polarization;
  if (beam.spectrum_A.empty()) return;
  e.beam.sources.clear();
  for (std::size_t i = 0; i < beam.spectrum_A.size(); ++i)
    e.beam.sources.push_back(
        {-10.0 * unit(beam.direction), beam.spectrum_weights.at(i), beam.spectrum_A[i]});
}

/// `given`, or the custom frame's own; where that runs along the beam, an axis that does not.
Vec3d across(const Vec3d& beam, const std::optional<Vec3d>& given, const Vec3d& of_frame) {
  const Vec3d axis = given.value_or(of_frame);
  const auto is_along = [&](const Vec3d& v) { return length(cross(unit(v), unit(beam))) < 1e-6; };
  if (!is_along(axis)) return axis;
  return is_along({1, 0, 0}) ? Vec3d{0, 1, 0} : Vec3d{1, 0, 0};
}

/// What panels in a frame leave open of the beam and the spindle.
void set_frame(const Geometry& geometry, Experiment& e) {
  const model::ConventionFrame custom = model::convention_frame(Convention::custom);
  if (!geometry.beam) {
    e.beam.direction = geometry.beam_direction;
    e.beam.polarization_axis = across(geometry.beam_direction, e.beam.polarization_axis,
                                      custom.polarization_axis);
  }
  if (!geometry.scan)
    e.scan.spindle_axis = across(*e.beam.direction, e.scan.spindle_axis, custom.spindle);
}

/// MOSFLM's matrix holds the reciprocal axes as columns, times the wavelength.
Mat3d mosflm_matrix_of(const Mat3d& real_axes_A, double wavelength_A) {
  const Mat3d& r = real_axes_A;
  const double volume = dot(r.a, cross(r.b, r.c));
  if (!(volume > 0))
    throw UsageError(
        "the crystal's axes are left-handed or lie in a plane; they need a right-"
        "handed cell");
  const double scale = wavelength_A / volume;
  const Vec3d a = scale * cross(r.b, r.c), b = scale * cross(r.c, r.a), c = scale * cross(r.a, r.b);
  return {{a.x, b.x, c.x}, {a.y, b.y, c.y}, {a.z, b.z, c.z}};
}

}  // namespace

Geometry geometry_of(const SettledExperiment& experiment) {
  const Experiment& e = experiment.experiment();
  const Resolved& r = experiment.resolved();
  Geometry g;
  g.groups = groups_of(e);
  g.panels.push_back(panel_of(e.detector, r.panel, r.sensor, e.sampling.mask, g.groups));
  for (std::size_t i = 0; i < e.more_panels.size(); ++i)
    g.panels.push_back(panel_of(e.more_panels[i].detector, r.more_panels[i].panel,
                                r.more_panels[i].sensor, e.more_panels[i].mask, g.groups));

  GeometryBeam beam;
  beam.wavelength_A = r.wavelength * 1e10;
  beam.direction = model::tilted(r.panel.beam, e.beam, r.panel);
  beam.polarization = e.beam.polarization_correction ? e.beam.polarization_fraction : 0;
  beam.polarization_normal = unit(cross(beam.direction, r.panel.polarization_axis));
  double light = 0, of_wavelengths = 0;
  for (const Source& source : e.beam.sources) {
    beam.spectrum_A.push_back(source.wavelength_A);
    beam.spectrum_weights.push_back(source.weight);
    light += source.weight;
    of_wavelengths += source.weight * source.wavelength_A;
  }
  if (light > 0) beam.wavelength_A = of_wavelengths / light;
  g.beam = beam;

  if (e.scan.oscillation_deg.range && *e.scan.oscillation_deg.range != 0) {
    GeometryScan scan;
    const double width = *e.scan.oscillation_deg.range;
    // A spindle that turns the other way is one that points the other way.
    scan.spindle_axis = width < 0 ? -r.panel.spindle : r.panel.spindle;
    scan.start_deg = width < 0 ? -e.scan.phi_deg : e.scan.phi_deg;
    scan.width_deg = std::abs(width);
    scan.exposure_s = e.beam.exposure_s;
    g.scan = scan;
  }
  const auto add_crystal = [&](Mat3d axes) {
    // Without a scan nobody turns the crystal when the file is read.
    if (!g.scan)
      axes = physics::rotate_about(axes, r.panel.spindle,
                                   units::radians_from_degrees(e.scan.phi_deg));
    g.crystals.push_back({axes, {}});
  };
  add_crystal(r.axes.real_A);
  for (const Resolved& further : r.more_crystals) add_crystal(further.axes.real_A);
  return g;
}

Experiment with_geometry(const Experiment& experiment, const Geometry& geometry) {
  Experiment e = experiment;
  if (!geometry.panels.empty()) {
    e.detector_groups.clear();
    for (const GeometryGroup& group : geometry.groups) {
      DetectorGroup g;
      g.name = group.name;
      if (group.parent >= 0)
        g.parent = geometry.groups.at(static_cast<std::size_t>(group.parent)).name;
      g.origin_mm = group.origin_mm;
      g.fast_axis = group.fast_axis;
      g.slow_axis = group.slow_axis;
      e.detector_groups.push_back(std::move(g));
    }
    e.detector = detector_of(geometry.panels.front(), geometry);
    e.sampling.mask = mask_of(geometry.panels.front());
    e.sampling.roi.reset();
    e.more_panels.clear();
    for (std::size_t i = 1; i < geometry.panels.size(); ++i)
      e.more_panels.push_back(
          {detector_of(geometry.panels[i], geometry), {}, mask_of(geometry.panels[i])});
  }
  if (geometry.beam) {
    turn_spectrum(experiment.beam.direction.value_or(
                      model::convention_frame(experiment.detector.convention).beam),
                  geometry.beam->direction, e);
    set_beam(*geometry.beam, e);
  }
  if (!geometry.panels.empty()) set_frame(geometry, e);
  if (geometry.scan) {
    e.scan.phi_deg = geometry.scan->start_deg;
    const auto steps = e.scan.oscillation_deg.steps;
    e.scan.oscillation_deg = {};
    if (geometry.scan->width_deg != 0)
      e.scan.oscillation_deg = {geometry.scan->width_deg, {}, steps};
    e.scan.spindle_axis = geometry.scan->spindle_axis;
    if (geometry.scan->exposure_s > 0) e.beam.exposure_s = geometry.scan->exposure_s;
  }
  if (!geometry.crystals.empty()) {
    e.crystal.cell.reset();
    e.crystal.misset_deg = {};
    e.crystal.random_misset_seed.reset();
    e.crystal.mosflm_matrix = mosflm_matrix_of(geometry.crystals.front().real_axes_A,
                                               e.beam.wavelength_A);
    if (!geometry.scan && e.scan.oscillation_deg.empty()) e.scan.phi_deg = 0;
  }
  return e;
}

std::string unstated_sensors(const Geometry& geometry) {
  std::size_t count = 0;
  double thickness_mm = 0;
  for (const GeometryPanel& panel : geometry.panels)
    if (panel.sensor_thickness_mm > 0 && !stops_photons(panel)) {
      ++count;
      thickness_mm = panel.sensor_thickness_mm;
    }
  if (count == 0) return {};
  const std::size_t all = geometry.panels.size();
  return (all == 1       ? "its sensor"
          : count == all ? "the sensor of its panels"
                         : "the sensor of " + std::to_string(count) + " of " + std::to_string(all) +
                               " panels") +
         " is " + description::digits(thickness_mm) +
         " mm thick, of no stated material and attenuation: every photon is taken to be captured "
         "at "
         "its surface; -sensor MATERIAL um, in Python sensor_material, states one";
}

Geometry in_imgcif_frame(const Geometry& geometry) {
  Geometry g = geometry;
  const Vec3d beam = unit(g.beam ? g.beam->direction : g.beam_direction);
  const Vec3d z = -beam;
  const auto across = [&](const Vec3d& v) { return v - dot(v, z) * z; };
  constexpr double along = 1e-6;
  Vec3d x = g.scan ? across(unit(g.scan->spindle_axis)) : Vec3d{};
  if (!(length(x) > along) && g.beam) {
    x = across(cross(g.beam->polarization_normal, beam));
    // A field has no sign: what is in such a frame already stays in it.
    if (x.x < -0.5) x = -x;
  }
  if (!(length(x) > along)) x = across(Vec3d{1, 0, 0});
  if (!(length(x) > along)) x = across(Vec3d{0, 1, 0});
  x = unit(x);
  const Mat3d turn{x, cross(z, x), z};
  const auto turned = [&](Vec3d& v) { v = turn * v; };

  for (GeometryGroup& group : g.groups)
    for (Vec3d* v : {&group.origin_mm, &group.fast_axis, &group.slow_axis}) turned(*v);
  for (GeometryPanel& panel : g.panels)
    for (Vec3d* v : {&panel.origin_mm, &panel.fast_axis, &panel.slow_axis}) turned(*v);
  g.beam_direction = {0, 0, -1};
  if (g.beam) {
    g.beam->direction = g.beam_direction;
    turned(g.beam->polarization_normal);
  }
  if (g.scan) turned(g.scan->spindle_axis);
  for (GeometryCrystal& crystal : g.crystals)
    for (Vec3d* v : {&crystal.real_axes_A.a, &crystal.real_axes_A.b, &crystal.real_axes_A.c})
      turned(*v);
  return g;
}

std::shared_ptr<const Mask> mask_of(const GeometryPanel& panel) {
  if (panel.masked.empty()) return nullptr;
  const auto width = static_cast<std::size_t>(panel.fast_pixels);
  auto mask = std::make_shared<Mask>(
      Mask{panel.fast_pixels, panel.slow_pixels,
           std::vector<std::uint8_t>(width * static_cast<std::size_t>(panel.slow_pixels), 1)});
  for (const PixelRectangle& r : panel.masked)
    for (int slow = std::max(r.slow_begin, 0); slow < std::min(r.slow_end, panel.slow_pixels);
         ++slow)
      for (int fast = std::max(r.fast_begin, 0); fast < std::min(r.fast_end, panel.fast_pixels);
           ++fast)
        mask->keep[static_cast<std::size_t>(slow) * width + static_cast<std::size_t>(fast)] = 0;
  return mask;
}

std::vector<PixelRectangle> masked_rectangles(const Mask& mask) {
  std::vector<PixelRectangle> done, open;
  const auto width = static_cast<std::size_t>(mask.fast_pixels);
  for (int slow = 0; slow <= mask.slow_pixels; ++slow) {
    std::vector<PixelRectangle> still_open;
    auto above = open.begin();
    for (int fast = 0; slow < mask.slow_pixels && fast < mask.fast_pixels;) {
      const auto left_out = [&](int at) {
        return at < mask.fast_pixels &&
               mask.keep[static_cast<std::size_t>(slow) * width + static_cast<std::size_t>(at)] ==
                   0;
      };
      const int begin = fast;
      while (left_out(fast)) ++fast;
      if (fast == begin) {
        ++fast;
        continue;
      }
      // A run of the row goes on the rectangle above it that is as wide; both are in turn.
      while (above != open.end() && above->fast_begin < begin) done.push_back(*above++);
      PixelRectangle r{begin, fast, slow, slow + 1};
      if (above != open.end() && above->fast_begin == begin) {
        if (above->fast_end == fast)
          r.slow_begin = above->slow_begin;
        else
          done.push_back(*above);
        ++above;
      }
      still_open.push_back(r);
    }
    done.insert(done.end(), above, open.end());
    open = std::move(still_open);
  }
  return done;
}

}  // namespace nablabragg
