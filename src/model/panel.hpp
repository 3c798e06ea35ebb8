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
  const auto edge = [&](int pixels, const Real& size_mm, int& count, Real& size) {
    size = units::metres_from_mm(size_mm);
    if (pixels != 0) size = panel.pixel * Real(pixels);
    const Real whole = ceil(size / panel.pixel - Real(0.5));
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
  edge(detector.fast_pixels, detector.fast_size_mm, panel.fast_pixels, panel.fast_size);
  edge(detector.slow_pixels, detector.slow_size_mm, panel.slow_pixels, panel.slow_size);
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
void set_centres_as_nanobragg(const BasicExperiment<Real>& e, BasicPanel<Real>& panel) {
  const auto& d = e.detector;
  const Real &pixel = panel.pixel, &width = panel.fast_size, &height = panel.slow_size;
  panel.near_fast = d.org_x_px ? (*d.org_x_px - Real(0.5)) * pixel : width / 2.0;
  panel.near_slow = d.org_y_px ? (*d.org_y_px - Real(0.5)) * pixel : height / 2.0;
  panel.named_close_x = d.close_x_mm ? units::metres_from_mm(*d.close_x_mm) : panel.near_fast;
  panel.named_close_y = d.close_y_mm ? units::metres_from_mm(*d.close_y_mm) : panel.near_slow;

  std::array<Real, 2> standard{panel.named_close_x, panel.named_close_y};
  const bool measures_from_beam = panel.convention != Convention::custom &&
                                  convention_frame(panel.convention).pivot == Pivot::beam;
  if (measures_from_beam) standard = default_named_beam(panel, e.quirks.default_beam_centre_offset);
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
void set_centres_as_meant(const BasicExperiment<Real>& e, const PanelPoint<Real>& beam_shift,
                          BasicPanel<Real>& panel) {
  const auto& d = e.detector;
  const Real &pixel = panel.pixel, &height = panel.slow_size;

  // The conventions swap the axes, so ask which panel axis each named number ends on.
  const bool swapped = panel.convention == Convention::mosflm ||
                       panel.convention == Convention::denzo;
  const auto standard = default_named_beam(panel, e.quirks.default_beam_centre_offset);
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

}  // namespace detail

/// Throws UsageError when the panel cannot be placed.
template <class Real>
BasicPanel<Real> place_panel(const BasicExperiment<Real>& e) {
  const BasicDetector<Real>& d = e.detector;
  const Quirks& quirks = e.quirks;
  const auto vec = [](const Vec3d& v) { return Vec3<Real>{Real(v.x), Real(v.y), Real(v.z)}; };
  const ConventionFrame frame = convention_frame(d.convention);
  const bool custom = d.convention == Convention::custom;

  BasicPanel<Real> panel;
  panel.convention = d.convention;
  panel.pixel = units::metres_from_mm(d.pixel_mm);
  detail::set_size(d, panel);
  panel.beam = unit(e.beam.direction.value_or(vec(frame.beam)));
  panel.fast = unit(d.fast_axis.value_or(vec(frame.fast)));
  panel.slow = unit(d.slow_axis.value_or(vec(frame.slow)));
  panel.polarization_axis = unit(e.beam.polarization_axis.value_or(vec(frame.polarization_axis)));
  panel.spindle = unit(e.scan.spindle_axis.value_or(vec(frame.spindle)));
  panel.vertical = unit(cross(panel.beam, panel.polarization_axis));
  panel.two_theta_axis = d.two_theta_axis.value_or(vec(frame.two_theta_axis));
  if (!quirks.two_theta_axis_is_two_theta) panel.two_theta_axis = unit(panel.two_theta_axis);
  panel.pivot = quirks.convention_forces_pivot && !custom ? frame.pivot
                                                          : d.pivot.value_or(frame.pivot);

  // Normal
  const Vec3<Real> named_normal = d.normal.value_or(vec(frame.normal));
  const Vec3<Real> generated = unit(cross(panel.fast, panel.slow));
  panel.normal = named_normal;
  if (quirks.custom_normal_kept) {
    panel.normal_generated = length(named_normal) != Real(1);
    if (panel.normal_generated) panel.normal = generated;
  } else {
    using std::abs;
    panel.normal = unit(named_normal);
    const bool own_axes = d.fast_axis || d.slow_axis;
    const bool orthogonal = abs(dot(panel.normal, panel.fast)) < Real(1e-6) &&
                            abs(dot(panel.normal, panel.slow)) < Real(1e-6);
    panel.normal_generated = !orthogonal || (own_axes && !d.normal);
    if (panel.normal_generated)
      panel.normal = dot(generated, panel.beam) < Real(0) ? -generated : generated;
  }

  // Rotations
  const Vec3<Real> tilt{units::radians_from_degrees(d.rotation_deg.x),
                        units::radians_from_degrees(d.rotation_deg.y),
                        units::radians_from_degrees(d.rotation_deg.z)};
  panel.rotation = {tilt.x, tilt.y, tilt.z};
  panel.two_theta = units::radians_from_degrees(d.two_theta_deg);
  const auto swung = [&](const Vec3<Real>& v) {
    return physics::rotate_about(physics::rotate(v, tilt), panel.two_theta_axis, panel.two_theta);
  };

  // Distances: along the beam and along the normal
  using std::abs;
  const Vec3<Real> turned_normal = quirks.ratio_without_two_theta
                                       ? physics::rotate(panel.normal, tilt)
                                       : swung(panel.normal);
  Real ratio = dot(panel.beam, turned_normal);
  if (ratio == Real(0)) ratio = Real(std::numeric_limits<double>::min());
  const bool behind = !quirks.ratio_without_two_theta && !(ratio > Real(1e-9));
  if (behind && !d.origin_m && (panel.pivot == Pivot::beam || !d.close_distance_mm))
    throw UsageError(
        "the beam does not meet the front of the detector after its rotations, so -distance and "
        "the beam "
        "centre do not place it; give -close_distance and -pivot sample");
  const Real distance = units::metres_from_mm(d.distance_mm);
  panel.close_distance = d.close_distance_mm ? units::metres_from_mm(*d.close_distance_mm)
                                             : abs(ratio * distance);
  panel.distance = panel.close_distance / ratio;

  // Beam centre and near point
  if (quirks.beam_centre_needs_pivot) {
    detail::set_centres_as_nanobragg(e, panel);
  } else {
    const Real reach = panel.pivot == Pivot::beam ? panel.distance : panel.close_distance;
    const PanelPoint<Real> shift{-reach * dot(panel.beam, panel.fast),
                                 -reach * dot(panel.beam, panel.slow)};
    detail::set_centres_as_meant(e, shift, panel);
  }

  // Corner of pixel (0,0)
  if (d.origin_m && !quirks.pix0_ignored) {
    const Real facing = dot(panel.beam, panel.normal);
    if (panel.pivot == Pivot::beam && !(abs(facing) > Real(1e-9)))
      throw UsageError(
          "the beam runs along the detector that -pix0_vector places, so it cannot pivot about the "
          "beam spot; give -pivot sample");
    const Real reach = dot(*d.origin_m, panel.normal) / facing;
    const Vec3<Real> from_corner = reach * panel.beam - *d.origin_m;
    if (panel.pivot == Pivot::beam)
      panel.origin = reach * panel.beam - dot(from_corner, panel.fast) * swung(panel.fast) -
                     dot(from_corner, panel.slow) * swung(panel.slow);
    else
      panel.origin = swung(*d.origin_m);
  } else if (panel.pivot == Pivot::sample) {
    panel.origin = swung(-panel.near_fast * panel.fast - panel.near_slow * panel.slow +
                         panel.close_distance * panel.normal);
  }
  panel.fast = swung(panel.fast);
  panel.slow = swung(panel.slow);
  panel.normal = swung(panel.normal);
  if (panel.pivot == Pivot::beam && (!d.origin_m || quirks.pix0_ignored))
    panel.origin = -panel.beam_fast * panel.fast - panel.beam_slow * panel.slow +
                   panel.distance * panel.beam;
  if (!quirks.custom_normal_kept && dot(panel.origin, panel.normal) < Real(0))
    panel.normal = -panel.normal;

  // Centres and distances of the placed panel
  if (!quirks.ratio_without_two_theta) {
    ratio = dot(panel.beam, panel.normal);
    if (ratio == Real(0)) ratio = Real(std::numeric_limits<double>::min());
  }
  panel.near_fast = -dot(panel.origin, panel.fast);
  panel.near_slow = -dot(panel.origin, panel.slow);
  panel.close_distance = dot(panel.origin, panel.normal);
  panel.distance = panel.close_distance / ratio;
  const Vec3<Real> spot = panel.distance * panel.beam - panel.origin;
  panel.beam_fast = dot(panel.fast, spot);
  panel.beam_slow = dot(panel.slow, spot);
  panel.org_x = panel.near_fast / panel.pixel + Real(0.5);
  panel.org_y = panel.near_slow / panel.pixel + Real(0.5);
  if (!quirks.beam_centre_needs_pivot) {
    const auto named = named_of_panel_point(panel.convention,
                                            PanelPoint<Real>{panel.beam_fast, panel.beam_slow},
                                            panel.pixel, panel.slow_size);
    panel.named_beam_x = named[0];
    panel.named_beam_y = named[1];
    panel.named_close_x = panel.near_fast;
    panel.named_close_y = panel.near_slow;
  }
  panel.dials_origin_mm = {1000.0 * dot(panel.origin, vec({0, 0, 1})),
                           1000.0 * dot(panel.origin, vec({0, 1, 0})),
                           1000.0 * dot(panel.origin, vec({-1, 0, 0}))};
  panel.xds_beam = {dot(panel.beam, panel.fast), dot(panel.beam, panel.slow),
                    dot(panel.beam, panel.normal)};
  return panel;
}

}  // namespace nablabragg::model
