#include "nablabragg/predicted_spots.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "nablabragg/error.hpp"
#include "nablabragg/materials.hpp"
#include "nablabragg/units.hpp"
#include "physics/detection.hpp"

namespace nablabragg {

namespace {

/// A panel, and 1/mm of its sensor; 0: captured at the surface.
struct Target {
  const GeometryPanel* panel;
  double attenuation_per_mm;
};

struct Place {
  int panel = 0;
  double fast_px = 0, slow_px = 0;
};

/// How far photons go into a sensor on the mean, along their ray.
double mean_path_mm(const Target& target, double cosine) {
  const double longest = target.panel->sensor_thickness_mm / cosine, mu = target.attenuation_per_mm;
  return mu > 0 && longest > 0 ? physics::mean_capture_depth(longest, mu) : 0;
}

/// Where a ray from the sample is captured; of several panels in its way the nearest.
std::optional<Place> meet(const std::vector<Target>& targets, const Vec3d& ray) {
  std::optional<Place> found;
  double nearest_mm = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const GeometryPanel& panel = *targets[i].panel;
    const Vec3d normal = cross(panel.fast_axis, panel.slow_axis);
    const double towards = dot(ray, normal), distance_mm = dot(panel.origin_mm, normal) / towards;
    if (!(distance_mm > 0 && distance_mm < nearest_mm)) continue;
    const Vec3d in_panel = (distance_mm + mean_path_mm(targets[i], std::abs(towards))) * ray -
                           panel.origin_mm;
    const double fast = dot(in_panel, panel.fast_axis) / panel.fast_pixel_mm,
                 slow = dot(in_panel, panel.slow_axis) / panel.slow_pixel_mm;
    if (!(fast >= 0 && fast < panel.fast_pixels && slow >= 0 && slow < panel.slow_pixels)) continue;
    nearest_mm = distance_mm;
    found = Place{static_cast<int>(i), fast, slow};
  }
  if (!found) return found;
  for (const PixelRectangle& r : targets[static_cast<std::size_t>(found->panel)].panel->masked)
    if (found->fast_px >= r.fast_begin && found->fast_px < r.fast_end &&
        found->slow_px >= r.slow_begin && found->slow_px < r.slow_end)
      return std::nullopt;
  return found;
}

Vec3d turned(const Vec3d& v, const Vec3d& axis, double angle) {
  return std::cos(angle) * v + std::sin(angle) * cross(axis, v) +
         ((1 - std::cos(angle)) * dot(axis, v)) * axis;
}

/// The point of the Ewald sphere that a lattice point is turned to by the least angle, and that
/// angle.
struct OnSphere {
  Vec3d q;
  double missed_by_rad;
};

std::optional<OnSphere> turn_to_sphere(const Vec3d& q, const Vec3d& beam, double wavelength_A) {
  const double size = length(q), sine = size * wavelength_A / 2;  // of theta
  if (!(size > 0) || sine > 1) return std::nullopt;
  const Vec3d across = unit(q - dot(q, beam) * beam);
  if (length(across) == 0) return std::nullopt;
  const Vec3d there = size * (std::sqrt(1 - sine * sine) * across - sine * beam);
  return OnSphere{there, std::atan2(length(cross(q, there)), dot(q, there))};
}

class Prediction {
 public:
  Prediction(const Geometry& geometry, double most_missed_deg)
      : geometry_(geometry),
        beam_(unit(geometry.beam->direction)),
        wavelength_A_(geometry.beam->wavelength_A),
        most_missed_rad_(units::radians_from_degrees(most_missed_deg)) {
    for (const GeometryPanel& panel : geometry.panels) {
      double per_mm = panel.attenuation_per_mm;
      if (per_mm == 0 && panel.sensor_thickness_mm > 0 && !panel.sensor_material.empty())
        per_mm = attenuation_per_mm(panel.sensor_material, units::angstrom_from_ev(wavelength_A_));
      targets_.push_back({&panel, per_mm});
    }
  }

  void add(const MillerIndex& hkl, const Vec3d& q, int crystal) {
    if (geometry_.scan)
      add_of_scan(hkl, q, crystal);
    else if (const auto there = turn_to_sphere(q, beam_, wavelength_A_);
             there && there->missed_by_rad <= most_missed_rad_)
      add_spot(hkl, there->q, crystal, 0, 0);
  }

  std::vector<PredictedSpot> take() { return std::move(spots_); }

 private:
  void add_spot(const MillerIndex& hkl, const Vec3d& q, int crystal, double frame, double phi_deg) {
    const auto place = meet(targets_, unit(beam_ / wavelength_A_ + q));
    if (!place) return;
    PredictedSpot spot;
    spot.hkl = hkl;
    spot.experiment = crystal;
    spot.panel = place->panel;
    spot.fast_px = place->fast_px;
    spot.slow_px = place->slow_px;
    spot.frame = frame;
    spot.wavelength_A = wavelength_A_;
    spot.phi_deg = phi_deg;
    spots_.push_back(spot);
  }

  /// Both crossings of the sphere: 2 s0.R(phi)q + q^2 = 0.
  void add_of_scan(const MillerIndex& hkl, const Vec3d& q, int crystal) {
    const GeometryScan& scan = *geometry_.scan;
    const Vec3d s0 = beam_ / wavelength_A_, axis = unit(scan.spindle_axis);
    const Vec3d along = dot(q, axis) * axis, across = q - along;
    const double a = dot(s0, across), b = dot(s0, cross(axis, across)),
                 c = -dot(q, q) / 2 - dot(s0, along), size = std::hypot(a, b);
    if (!(size > 0) || std::abs(c) > size) return;
    const double middle = std::atan2(b, a), half = std::acos(c / size);
    const double width_deg = scan.images * scan.width_deg;
    for (const double angle : {middle - half, middle + half}) {
      // The first time after the start; a scan may turn more than once.
      double phi_deg = units::degrees_from_radians(angle);
      phi_deg += 360 * std::ceil((scan.start_deg - phi_deg) / 360);
      for (; phi_deg < scan.start_deg + width_deg; phi_deg += 360)
        add_spot(hkl, turned(q, axis, angle), crystal, (phi_deg - scan.start_deg) / scan.width_deg,
                 phi_deg);
      if (half == 0) break;
    }
  }

  const Geometry& geometry_;
  Vec3d beam_;
  double wavelength_A_, most_missed_rad_;
  std::vector<Target> targets_;
  std::vector<PredictedSpot> spots_;
};

}  // namespace

std::vector<PredictedSpot> predicted_spots(const Geometry& geometry, double min_d_A,
                                           double most_missed_deg) {
  if (!geometry.beam || !(geometry.beam->wavelength_A > 0))
    throw UsageError("reflections need a beam with a wavelength, and the geometry has none");
  if (geometry.crystals.empty())
    throw UsageError("reflections need a crystal, and the geometry has none");
  for (const GeometryPanel& panel : geometry.panels)
    if (panel.curved)
      throw UsageError(
          "reflections are predicted on flat panels, and this detector is curved (-curved_det)");
  if (!(min_d_A > 0)) throw UsageError("the resolution limit of reflections must be positive");
  // Nothing scatters from below half the wavelength.
  const double limit_A = std::max(min_d_A, geometry.beam->wavelength_A / 2);
  Prediction prediction(geometry, most_missed_deg);
  for (std::size_t n = 0; n < geometry.crystals.size(); ++n) {
    const Mat3d& real = geometry.crystals[n].real_axes_A;
    const double volume = dot(cross(real.a, real.b), real.c);
    const Vec3d a = cross(real.b, real.c) / volume, b = cross(real.c, real.a) / volume,
                c = cross(real.a, real.b) / volume;
    constexpr double most_reflections = 1e8;
    if (!(4 * std::numbers::pi / 3 * std::abs(volume) / (limit_A * limit_A * limit_A) <
          most_reflections))
      throw UsageError("the resolution limit of reflections is too fine for the unit cell");
    // h = a . q, so that no index is larger than |a| / d.
    const int most_h = static_cast<int>(length(real.a) / limit_A),
              most_k = static_cast<int>(length(real.b) / limit_A),
              most_l = static_cast<int>(length(real.c) / limit_A);
    for (int h = -most_h; h <= most_h; ++h)
      for (int k = -most_k; k <= most_k; ++k)
        for (int l = -most_l; l <= most_l; ++l) {
          const Vec3d q = static_cast<double>(h) * a + static_cast<double>(k) * b +
                          static_cast<double>(l) * c;
          if (dot(q, q) * limit_A * limit_A > 1) continue;
          if (h != 0 || k != 0 || l != 0) prediction.add({h, k, l}, q, static_cast<int>(n));
        }
  }
  return prediction.take();
}

}  // namespace nablabragg
