#include "view/turning.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>

#include "nablabragg/series.hpp"  // for misset_deg_of
#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"
#include "plan/panel_places.hpp"

namespace nablabragg::view {

namespace {

constexpr double two_pi = 2 * 3.14159265358979323846;

/// From the crystal towards a point of a panel, a unit vector.
Vec3d direction_of(const Resolved& r, const PanelPoint& point) {
  const Panel& p = panel_of(r, static_cast<std::size_t>(point.panel));
  return unit(place_on(p, point.fast_px, point.slow_px));
}

double middle_phi(const Resolved& r) {
  return std::accumulate(r.phi.begin(), r.phi.end(), 0.0) / static_cast<double>(r.phi.size());
}

}  // namespace

Turn turn_with_pointer(const Resolved& r, const PanelPoint& from, const PanelPoint& to) {
  const Vec3d a = direction_of(r, from), b = direction_of(r, to), axis = cross(a, b);
  if (length(axis) == 0) return {};
  return {unit(axis), std::atan2(length(axis), dot(a, b))};
}

Turn turn_about_beam(const Resolved& r, const PanelPoint& from, const PanelPoint& to) {
  const Vec3d& beam = r.panel.beam;
  const auto across = [&](const Vec3d& v) { return v - dot(v, beam) * beam; };
  const Vec3d a = across(direction_of(r, from)), b = across(direction_of(r, to));
  return {beam, std::atan2(dot(cross(a, b), beam), dot(a, b))};
}

Turn turn_towards(const Resolved& r, double fast, double slow, double angle_rad) {
  const Vec3d axis = cross(r.panel.beam, fast * r.panel.fast + slow * r.panel.slow);
  if (length(axis) == 0) return {};
  return {unit(axis), angle_rad};
}

Vec3d turned_misset_deg(const Resolved& r, const Turn& turn) {
  const double phi = middle_phi(r);
  const auto turned = [&](const Vec3d& v) {
    const Vec3d at_phi = physics::rotate_about(physics::rotate(v, r.misset), r.panel.spindle, phi);
    return physics::rotate_about(physics::rotate_about(at_phi, turn.axis, turn.angle_rad),
                                 r.panel.spindle, -phi);
  };
  const Vec3d x = turned({1, 0, 0}), y = turned({0, 1, 0}), z = turned({0, 0, 1});
  return misset_deg_of({{x.x, y.x, z.x}, {x.y, y.y, z.y}, {x.z, y.z, z.z}});
}

SeenAt seen_at(const Resolved& r, const PanelPoint& point) {
  const double wavelength_A = r.wavelength * 1e10;
  const Vec3d q = (1 / wavelength_A) * (direction_of(r, point) - r.panel.beam);
  const Mat3d axes = physics::rotate_about(r.axes.real_A, r.panel.spindle, middle_phi(r));
  return {1 / length(q), {dot(axes.a, q), dot(axes.b, q), dot(axes.c, q)}};
}

namespace {

/// Where the plane of a panel meets a ray.
std::optional<PanelPoint> met_by(const Panel& p, const Vec3d& ray) {
  const Vec3d normal = cross(p.fast, p.slow);
  const double along = dot(p.origin, normal) / dot(ray, normal);
  if (!(along > 0)) return std::nullopt;
  const Vec3d at = along * ray - p.origin;
  // The axes need not be at right angles.
  const double fs = dot(p.fast, p.slow), f = dot(at, p.fast), s = dot(at, p.slow);
  return PanelPoint{0, (f - fs * s) / (1 - fs * fs) / p.pixel,
                    (s - fs * f) / (1 - fs * fs) / p.slow_pixel};
}

/// Of a bent panel, on the way from the direct-beam spot by `azimuth` on its plane: where the ray
/// has turned away from the beam by so much, which grows along it.
std::optional<PanelPoint> turned_away(const Panel& p, double two_theta, double azimuth) {
  const auto at = [&](double way) {
    return PanelPoint{0, (p.beam_fast + way * std::cos(azimuth)) / p.pixel,
                      (p.beam_slow + way * std::sin(azimuth)) / p.slow_pixel};
  };
  const auto beyond = [&](double way) {
    const PanelPoint point = at(way);
    return dot(unit(place_on(p, point.fast_px, point.slow_px)), p.beam) < std::cos(two_theta);
  };
  double near = 0, far = 1.1 * two_theta * std::abs(p.distance);
  if (!beyond(far)) return std::nullopt;
  for (int i = 0; i < 50; ++i) {
    const double middle = (near + far) / 2;
    (beyond(middle) ? far : near) = middle;
  }
  return at(far);
}

}  // namespace

std::vector<std::vector<PanelPoint>> ring(const Resolved& r, double d_A) {
  const double sine = r.wavelength * 1e10 / (2 * d_A);
  std::vector<std::vector<PanelPoint>> parts;
  if (!(sine < 1)) return parts;
  const double two_theta = 2 * std::asin(sine);
  const Vec3d& beam = r.panel.beam;
  const Vec3d across = unit(r.panel.polarization_axis -
                            dot(r.panel.polarization_axis, beam) * beam),
              up = cross(beam, across);
  constexpr int steps = 720;
  for (std::size_t i = 0; i <= r.more_panels.size(); ++i) {
    const Panel& p = panel_of(r, i);
    bool goes_on = false;
    for (int k = 0; k <= steps; ++k) {
      const double azimuth = two_pi * k / steps;
      const std::optional<PanelPoint> at = p.curvature == Curvature::flat
                                               ? met_by(p, std::cos(two_theta) * beam +
                                                               std::sin(two_theta) *
                                                                   (std::cos(azimuth) * across +
                                                                    std::sin(azimuth) * up))
                                               : turned_away(p, two_theta, azimuth);
      const bool on_panel = at && at->fast_px >= 0 && at->fast_px <= p.fast_pixels &&
                            at->slow_px >= 0 && at->slow_px <= p.slow_pixels;
      if (on_panel && !goes_on) parts.emplace_back();
      if (on_panel) parts.back().push_back({static_cast<int>(i), at->fast_px, at->slow_px});
      goes_on = on_panel;
    }
  }
  return parts;
}

}  // namespace nablabragg::view
