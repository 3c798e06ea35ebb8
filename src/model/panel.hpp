// Detector conventions, beam centres, pivots and rotations -> the panel in its place.
#pragma once
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include "model/value_of.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"

namespace nablabragg::model {

/// The frame that a convention stands for, before anything is rotated.
struct ConventionFrame {
  Vec3d beam, fast, slow, normal, two_theta_axis, polarization_axis, spindle;
  Pivot pivot;
};

inline ConventionFrame convention_frame(Convention convention) {
  constexpr Vec3d x{1, 0, 0}, y{0, 1, 0}, z{0, 0, 1};
  switch (convention) {
    case Convention::adxv:
      return {z, x, -y, z, -x, x, x, Pivot::beam};
    case Convention::mosflm:
    case Convention::denzo:
      return {x, z, -y, x, -z, z, z, Pivot::beam};
    case Convention::xds:
      return {z, x, y, z, x, x, x, Pivot::sample};
    case Convention::dials:
      return {z, x, y, z, y, y, y, Pivot::sample};
    case Convention::custom:
      break;
  }
  return {x, z, -y, x, y, z, z, Pivot::beam};
}

/// A position on the panel [m], along its fast and slow edges from the corner of pixel (0,0).
template <class Real>
struct PanelPoint {
  Real fast, slow;
};

/// From a convention's named beam centre (Xbeam, Ybeam) to the panel.
template <class Real>
PanelPoint<Real> panel_point_of_named(Convention convention, const Real& x, const Real& y,
                                      const Real& pixel, const Real& slow_size) {
  switch (convention) {
    case Convention::adxv:
      return {x, slow_size - y};
    case Convention::mosflm:
      return {y + Real(0.5) * pixel, x + Real(0.5) * pixel};
    case Convention::denzo:
      return {y, x};
    default:
      return {x, y};
  }
}

/// The inverse of panel_point_of_named: (Xbeam, Ybeam).
template <class Real>
std::array<Real, 2> named_of_panel_point(Convention convention, const PanelPoint<Real>& point,
                                         const Real& pixel, const Real& slow_size) {
  switch (convention) {
    case Convention::adxv:
      return {point.fast, slow_size - point.slow};
    case Convention::mosflm:
      return {point.slow - Real(0.5) * pixel, point.fast - Real(0.5) * pixel};
    case Convention::denzo:
      return {point.slow, point.fast};
    default:
      return {point.fast, point.slow};
  }
}

namespace detail {

/// Pixel counts and edge lengths; an explicit count beats a size.
template <class Real>
void set_size(const BasicDetector<Real>& detector, BasicPanel<Real>& panel) {
  using std::ceil;
  const auto edge = [&](int pixels, const Real& size_mm, const Real& pixel, int& count,
                        Real& size) {
    size = units::metres_from_mm(size_mm);
    if (pixels != 0) size = pixel * Real(pixels);
    const Real whole = ceil(size / pixel - Real(0.5));
    if (!(whole < Real(std::numeric_limits<int>::max())))
      throw UsageError(
          "the detector has more pixels along an edge than can be counted; "
          "check -detsize, -detpixels and -pixel");
    if (whole < Real(1))
      throw UsageError(
          "the detector has no pixel along one of its edges; check -detpixels, -detsize and "
          "-pixel");
    count = static_cast<int>(value_of(whole));
  };
  edge(detector.fast_pixels, detector.fast_size_mm, panel.pixel, panel.fast_pixels,
       panel.fast_size);
  edge(detector.slow_pixels, detector.slow_size_mm, panel.slow_pixel, panel.slow_pixels,
       panel.slow_size);
}

/// (Xbeam, Ybeam) when nobody says: the middle, or nanoBragg's up to a pixel off it.
template <class Real>
std::array<Real, 2> default_named_beam(const BasicPanel<Real>& panel, bool off_the_middle) {
  const Real &pixel = panel.pixel, &width = panel.fast_size, &height = panel.slow_size;
  if (off_the_middle && panel.convention == Convention::adxv)
    return {(width + pixel) / 2.0, (height - pixel) / 2.0};
  if (off_the_middle &&
      (panel.convention == Convention::mosflm || panel.convention == Convention::denzo))
    return {(height + pixel) / 2.0, (width + pixel) / 2.0};
  return named_of_panel_point(panel.convention, PanelPoint<Real>{width / 2.0, height / 2.0}, pixel,
                              height);
}

/// Where the beam and the normal meet the panel, by nanoBragg's rules: each convention reads only
/// the flags it knows.
template <class Real>
void set_centres_as_nanobragg(const Quirks& quirks, const BasicDetector<Real>& d,
                              BasicPanel<Real>& panel) {
  const Real &pixel = panel.pixel, &width = panel.fast_size, &height = panel.slow_size;
  panel.near_fast = d.org_x_px ? (*d.org_x_px - Real(0.5)) * pixel : width / 2.0;
  panel.near_slow = d.org_y_px ? (*d.org_y_px - Real(0.5)) * pixel : height / 2.0;
  panel.named_close_x = d.close_x_mm ? units::metres_from_mm(*d.close_x_mm) : panel.near_fast;
  panel.named_close_y = d.close_y_mm ? units::metres_from_mm(*d.close_y_mm) : panel.near_slow;

  std::array<Real, 2> standard{panel.named_close_x, panel.named_close_y};
  const bool measures_from_beam = panel.convention != Convention::custom &&
                                  convention_frame(panel.convention).pivot == Pivot::beam;
  if (measures_from_beam) standard = default_named_beam(panel, quirks.default_beam_centre_offset);
  panel.named_beam_x = d.beam_x_mm ? units::metres_from_mm(*d.beam_x_mm) : standard[0];
  panel.named_beam_y = d.beam_y_mm ? units::metres_from_mm(*d.beam_y_mm) : standard[1];

  const auto spot = panel_point_of_named(panel.convention, panel.named_beam_x, panel.named_beam_y,
                                         pixel, height);
  panel.beam_fast = spot.fast;
  panel.beam_slow = spot.slow;
  if (panel.convention == Convention::custom) {
    panel.near_fast = panel.named_beam_x;
    panel.near_slow = panel.named_beam_y;
  }
}

/// The same, as meant: beam-centre flags act in every convention, the default is the middle.
/// `beam_shift` is where the near point lies from the direct-beam spot on the unrotated panel.
template <class Real>
void set_centres_as_meant(const Quirks& quirks, const BasicDetector<Real>& d,
                          const PanelPoint<Real>& beam_shift, BasicPanel<Real>& panel) {
  const Real &pixel = panel.pixel, &height = panel.slow_size;

  // The conventions swap the axes, so ask which panel axis each named number ends on.
  const bool swapped = panel.convention == Convention::mosflm ||
                       panel.convention == Convention::denzo;
  const auto standard = default_named_beam(panel, quirks.default_beam_centre_offset);
  const Real x = d.beam_x_mm ? units::metres_from_mm(*d.beam_x_mm) : standard[0];
  const Real y = d.beam_y_mm ? units::metres_from_mm(*d.beam_y_mm) : standard[1];
  const auto given = panel_point_of_named(panel.convention, x, y, pixel, height);
  const bool fast_given = swapped ? d.beam_y_mm.has_value() : d.beam_x_mm.has_value();
  const bool slow_given = swapped ? d.beam_x_mm.has_value() : d.beam_y_mm.has_value();

  const auto near = [&](const std::optional<Real>& org, const std::optional<Real>& close_mm) {
    std::optional<Real> at;
    if (close_mm) at = units::metres_from_mm(*close_mm);
    if (org) at = (*org - Real(0.5)) * pixel;
    return at;
  };
  const auto settle = [&](const std::optional<Real>& near_given, bool beam_given,
                          const Real& beam_at, const Real& shift, Real& near_out, Real& beam_out) {
    beam_out = !beam_given && near_given ? *near_given - shift : beam_at;
    near_out = near_given ? *near_given : beam_at + shift;
  };
  settle(near(d.org_x_px, d.close_x_mm), fast_given, given.fast, beam_shift.fast, panel.near_fast,
         panel.beam_fast);
  settle(near(d.org_y_px, d.close_y_mm), slow_given, given.slow, beam_shift.slow, panel.near_slow,
         panel.beam_slow);
}

/// Beam, panel, polarization, spindle and two-theta axes before the rotations.
template <class Real>
void set_axes(const BasicExperiment<Real>& e, const BasicDetector<Real>& d,
              BasicPanel<Real>& panel) {
  const auto settled = [](const std::optional<Vec3<Real>>& given, const Vec3d& standard) {
    return given.value_or(Vec3<Real>{Real(standard.x), Real(standard.y), Real(standard.z)});
  };
  // One beam and one spindle for all panels
  const ConventionFrame frame = convention_frame(d.convention),
                        lab = convention_frame(e.detector.convention);
  panel.beam = unit(settled(e.beam.direction, lab.beam));
  panel.fast = unit(settled(d.fast_axis, frame.fast));
  panel.slow = unit(settled(d.slow_axis, frame.slow));
  panel.normal = settled(d.normal, frame.normal);
  panel.polarization_axis = unit(settled(e.beam.polarization_axis, lab.polarization_axis));
  panel.spindle = unit(settled(e.scan.spindle_axis, lab.spindle));
  panel.vertical = unit(cross(panel.beam, panel.polarization_axis));
  panel.two_theta_axis = settled(d.two_theta_axis, frame.two_theta_axis);
  if (!e.quirks.two_theta_axis_is_two_theta) panel.two_theta_axis = unit(panel.two_theta_axis);
  const bool forced = e.quirks.convention_forces_pivot && d.convention != Convention::custom;
  panel.pivot = forced ? frame.pivot : d.pivot.value_or(frame.pivot);
}

/// Replaces a normal that does not fit the panel by fast x slow.
template <class Real>
void set_normal(const BasicDetector<Real>& d, bool keep_custom, BasicPanel<Real>& panel) {
  using std::abs;
  const Vec3<Real> generated = unit(cross(panel.fast, panel.slow));
  if (keep_custom) {
    panel.normal_generated = length(panel.normal) != Real(1);
    if (panel.normal_generated) panel.normal = generated;
    return;
  }
  panel.normal = unit(panel.normal);
  const bool orthogonal = abs(dot(panel.normal, panel.fast)) < Real(1e-6) &&
                          abs(dot(panel.normal, panel.slow)) < Real(1e-6);
  panel.normal_generated = !orthogonal || ((d.fast_axis || d.slow_axis) && !d.normal);
  if (panel.normal_generated)
    panel.normal = dot(generated, panel.beam) < Real(0) ? -generated : generated;
}

/// beam . normal, never zero: what turns distances along the normal into distances along the beam.
template <class Real>
Real beam_ratio(const Vec3<Real>& beam, const Vec3<Real>& normal) {
  const Real ratio = dot(beam, normal);
  return ratio == Real(0) ? Real(std::numeric_limits<double>::min()) : ratio;
}

/// Corner of pixel (0,0) where a user put it, before the rotations -> after them.
template <class Real, class Swing>
Vec3<Real> swung_origin(const Vec3<Real>& origin, const BasicPanel<Real>& panel, Swing&& swung) {
  using std::abs;
  if (panel.pivot == Pivot::sample) return swung(origin);
  const Real facing = dot(panel.beam, panel.normal);
  if (!(abs(facing) > Real(1e-9)))
    throw UsageError(
        "the beam runs along the detector that -pix0_vector places, so it cannot pivot about the "
        "beam spot; give -pivot sample");
  const Vec3<Real> spot = dot(origin, panel.normal) / facing * panel.beam;
  const Vec3<Real> from_corner = spot - origin;
  return spot - dot(from_corner, panel.fast) * swung(panel.fast) -
         dot(from_corner, panel.slow) * swung(panel.slow);
}

/// Turns a panel by three angles [rad] about the axes of a frame, through a point, then shifts it
/// along these axes [m].
template <class Real>
struct Motion {
  Vec3<Real> about, fast, slow, normal;  ///< the frame; normal is fast x slow
  Vec3<Real> shift, angles;

  Vec3<Real> turned(const Vec3<Real>& v) const {
    const Vec3<Real> in_frame = physics::rotate(
        Vec3<Real>{dot(v, fast), dot(v, slow), dot(v, normal)}, angles);
    return in_frame.x * fast + in_frame.y * slow + in_frame.z * normal;
  }
  void move(BasicPanel<Real>& panel) const {
    panel.origin = about + turned(panel.origin - about) + shift.x * fast + shift.y * slow +
                   shift.z * normal;
    panel.fast = turned(panel.fast);
    panel.slow = turned(panel.slow);
    panel.normal = turned(panel.normal);
  }
};

/// The frame of two axes, the second of them made normal to the first.
template <class Real>
Motion<Real> motion_in(const Vec3<Real>& about, const Vec3<Real>& fast_axis,
                       const Vec3<Real>& slow_axis, const Vec3<Real>& shift_mm,
                       const Vec3<Real>& angles_deg) {
  Motion<Real> m;
  m.about = about;
  m.fast = unit(fast_axis);
  m.normal = unit(cross(m.fast, slow_axis));
  m.slow = cross(m.normal, m.fast);
  m.shift = {units::metres_from_mm(shift_mm.x), units::metres_from_mm(shift_mm.y),
             units::metres_from_mm(shift_mm.z)};
  m.angles = {units::radians_from_degrees(angles_deg.x), units::radians_from_degrees(angles_deg.y),
              units::radians_from_degrees(angles_deg.z)};
  return m;
}

/// The group of that name.  Throws UsageError where there is none.
template <class Real>
const BasicDetectorGroup<Real>& group_named(const BasicExperiment<Real>& e,
                                            const std::string& name) {
  for (const auto& group : e.detector_groups)
    if (group.name == name) return group;
  std::string names;
  for (const auto& group : e.detector_groups)
    names.append(names.empty() ? "" : ", ").append(group.name);
  throw UsageError("there is no group '" + name + "' of panels; " +
                   (names.empty() ? "the experiment has none" : "there are " + names));
}

/// By itself, with its group, with the group of that...
template <class Real>
void move_panel(const BasicExperiment<Real>& e, const BasicDetector<Real>& d,
                BasicPanel<Real>& panel) {
  if (d.shift_mm || d.turn_deg) {
    const Vec3<Real> middle = panel.origin + (panel.fast_size / 2.0) * panel.fast +
                              (panel.slow_size / 2.0) * panel.slow;
    motion_in(middle, panel.fast, panel.slow, d.shift_mm.value_or(Vec3<Real>{}),
              d.turn_deg.value_or(Vec3<Real>{}))
        .move(panel);
  }
  std::size_t left = e.detector_groups.size();
  for (std::string name = d.group; !name.empty();) {
    const auto& group = group_named(e, name);
    if (left-- == 0)
      throw UsageError("the group '" + name + "' of panels is in a group that is in it");
    const Vec3<Real> about{units::metres_from_mm(group.origin_mm.x),
                           units::metres_from_mm(group.origin_mm.y),
                           units::metres_from_mm(group.origin_mm.z)};
    motion_in(about, group.fast_axis, group.slow_axis, group.shift_mm, group.rotation_deg)
        .move(panel);
    name = group.parent;
  }
}

/// What image headers say of the panel where it now is.
template <class Real>
void describe_placed(const Quirks& quirks, const Real& ratio, BasicPanel<Real>& panel) {
  panel.near_fast = -dot(panel.origin, panel.fast);
  panel.near_slow = -dot(panel.origin, panel.slow);
  panel.close_distance = dot(panel.origin, panel.normal);
  panel.distance = panel.close_distance / ratio;
  const Vec3<Real> spot = panel.distance * panel.beam - panel.origin;
  panel.beam_fast = dot(panel.fast, spot);
  panel.beam_slow = dot(panel.slow, spot);
  panel.org_x = panel.near_fast / panel.pixel + Real(0.5);
  panel.org_y = panel.near_slow / panel.slow_pixel + Real(0.5);
  if (!quirks.beam_centre_needs_pivot) {
    const auto named = named_of_panel_point(panel.convention,
                                            PanelPoint<Real>{panel.beam_fast, panel.beam_slow},
                                            panel.pixel, panel.slow_size);
    panel.named_beam_x = named[0];
    panel.named_beam_y = named[1];
    panel.named_close_x = panel.near_fast;
    panel.named_close_y = panel.near_slow;
  }
  const auto mm_along = [&](double x, double y, double z) {
    return Real(1000.0) * dot(panel.origin, Vec3<Real>{Real(x), Real(y), Real(z)});
  };
  panel.dials_origin_mm = {mm_along(0, 0, 1), mm_along(0, 1, 0), mm_along(-1, 0, 0)};
  panel.xds_beam = {dot(panel.beam, panel.fast), dot(panel.beam, panel.slow),
                    dot(panel.beam, panel.normal)};
}

}  // namespace detail

/// A panel of the experiment: its detector or one of more_panels.  Throws UsageError when it cannot
/// be placed.
template <class Real>
BasicPanel<Real> place_panel(const BasicExperiment<Real>& e, const BasicDetector<Real>& d) {
  using std::abs;
  const Quirks& quirks = e.quirks;
  const bool origin_given = d.origin_m && !quirks.pix0_ignored;

  BasicPanel<Real> panel;
  panel.convention = d.convention;
  if (d.curved)
    panel.curvature = quirks.curved_about_lab_axes ? Curvature::about_lab_axes
                                                   : Curvature::spherical;
  panel.pixel = units::metres_from_mm(d.pixel_mm);
  panel.slow_pixel = d.slow_pixel_mm ? units::metres_from_mm(*d.slow_pixel_mm) : panel.pixel;
  detail::set_size(d, panel);
  detail::set_axes(e, d, panel);
  detail::set_normal(d, quirks.custom_normal_kept, panel);

  // Rotations
  panel.rotation = {units::radians_from_degrees(d.rotation_deg.x),
                    units::radians_from_degrees(d.rotation_deg.y),
                    units::radians_from_degrees(d.rotation_deg.z)};
  panel.two_theta = units::radians_from_degrees(d.two_theta_deg);
  const auto tilted = [&](const Vec3<Real>& v) { return physics::rotate(v, panel.rotation); };
  const auto swung = [&](const Vec3<Real>& v) {
    return physics::rotate_about(tilted(v), panel.two_theta_axis, panel.two_theta);
  };

  // Distances along the beam and along the normal
  Real ratio = detail::beam_ratio(
      panel.beam, quirks.ratio_without_two_theta ? tilted(panel.normal) : swung(panel.normal));
  const bool behind = !quirks.ratio_without_two_theta && !(ratio > Real(1e-9));
  if (behind && !origin_given && (panel.pivot == Pivot::beam || !d.close_distance_mm))
    throw UsageError(
        "the beam does not meet the front of the detector after its rotations, so -distance and "
        "the beam centre do not place it; give -close_distance and -pivot sample");
  const Real distance = units::metres_from_mm(d.distance_mm);
  panel.close_distance = d.close_distance_mm ? units::metres_from_mm(*d.close_distance_mm)
                                             : abs(ratio * distance);
  panel.distance = panel.close_distance / ratio;

  // Beam centre and near point
  if (quirks.beam_centre_needs_pivot) {
    detail::set_centres_as_nanobragg(quirks, d, panel);
  } else {
    const Real reach = panel.pivot == Pivot::beam ? panel.distance : panel.close_distance;
    const PanelPoint<Real> shift{-reach * dot(panel.beam, panel.fast),
                                 -reach * dot(panel.beam, panel.slow)};
    detail::set_centres_as_meant(quirks, d, shift, panel);
  }

  // Corner of pixel (0,0), and the axes where they end up
  if (origin_given)
    panel.origin = detail::swung_origin(*d.origin_m, panel, swung);
  else if (panel.pivot == Pivot::sample)
    panel.origin = swung(-panel.near_fast * panel.fast - panel.near_slow * panel.slow +
                         panel.close_distance * panel.normal);
  panel.fast = swung(panel.fast);
  panel.slow = swung(panel.slow);
  panel.normal = swung(panel.normal);
  if (!origin_given && panel.pivot == Pivot::beam)
    panel.origin = -panel.beam_fast * panel.fast - panel.beam_slow * panel.slow +
                   panel.distance * panel.beam;
  detail::move_panel(e, d, panel);
  if (!quirks.custom_normal_kept && dot(panel.origin, panel.normal) < Real(0))
    panel.normal = -panel.normal;

  if (!quirks.ratio_without_two_theta) ratio = detail::beam_ratio(panel.beam, panel.normal);
  detail::describe_placed(quirks, ratio, panel);
  return panel;
}

template <class Real>
BasicPanel<Real> place_panel(const BasicExperiment<Real>& e) {
  return place_panel(e, e.detector);
}

}  // namespace nablabragg::model
