#include "plan/make_plan.hpp"

#include "model/crystal_axes.hpp"
#include "physics/rotation.hpp"

namespace nablabragg {

namespace {

constexpr double thomson_m2 = 7.94079248018965e-30;  // r_e^2
constexpr double avogadro = 6.02214179e23;
constexpr double water_amplitude = 2.57;  // electrons per molecule at low angle
constexpr double water_molar_mass = 18.0;

/// Photons per steradian from a cube of water: F^2 r_e^2 fluence x molecules; 1e6 g/m^3.
double water_photons_per_sr(double edge_um, double fluence) {
  const double edge = edge_um / 1e6;
  return water_amplitude * water_amplitude * thomson_m2 * fluence * (edge * edge * edge) * 1e6 *
         avogadro / water_molar_mass;
}

physics::SpotMetric<double> spot_metric(const Resolved& r, bool volume_scaled) {
  const Vec3d& n = r.cells;
  if (!volume_scaled) return {n.x * n.x, n.y * n.y, n.z * n.z, 0, 0, 0};
  // nanoBragg measures the distance in reciprocal Angstrom and scales it by the number of cells
  //
  const Mat3d& s = r.axes.reciprocal_per_A;
  const double volume2 = n.x * n.x * n.y * n.y * n.z * n.z;
  return {volume2 * dot(s.a, s.a), volume2 * dot(s.b, s.b), volume2 * dot(s.c, s.c),
          volume2 * dot(s.a, s.b), volume2 * dot(s.b, s.c), volume2 * dot(s.c, s.a)};
}

PlanFrame plan_frame(const Experiment& e, const Panel& p, int oversample) {
  PlanFrame f;
  f.fast_pixels = p.fast_pixels;
  f.slow_pixels = p.slow_pixels;
  f.origin = p.origin;
  f.fast = p.fast;
  f.slow = p.slow;
  f.normal = p.normal;
  f.pixel = p.pixel;
  f.subpixel = p.pixel / oversample;
  f.close_distance = p.close_distance;
  if (e.detector.curved)
    f.curvature = e.quirks.curved_about_lab_axes ? Curvature::about_lab_axes : Curvature::spherical;
  f.beam = p.beam;
  f.radius = p.distance;
  f.beam_fast = p.beam_fast;
  f.beam_slow = p.beam_slow;
  f.handedness = dot(cross(p.fast, p.slow), p.beam) < 0 ? -1 : 1;
  if (f.curvature == Curvature::spherical) f.solid_angle = SolidAngle::facing;
  if (e.detector.point_pixel)
    f.solid_angle = e.quirks.point_pixel_without_area ? SolidAngle::per_area : SolidAngle::facing;
  return f;
}

}  // namespace

Plan make_plan(const Experiment& e, const Resolved& r) {
  const Quirks& quirks = e.quirks;
  Plan plan;
  plan.frame = plan_frame(e, r.panel, r.oversample);

  // Sensor
  if (r.sensor.thickness > 0)
    plan.sensor = {r.sensor.layers, r.sensor.layer_step, r.sensor.absorption_per_m};

  // Rays
  plan.rays.reserve(r.rays.size());
  for (const Ray& ray : r.rays) {
    const Vec3d incident = -unit(ray.towards_source);
    plan.rays.push_back({incident, unit(cross(r.panel.polarization_axis, incident)),
                         1 / ray.wavelength, ray.weight});
  }

  // Orientations
  const Mat3d axes = model::axes_in_metres(r.axes);
  plan.domains = static_cast<int>(r.domains.size());
  plan.orientations.reserve(r.phi.size() * r.domains.size());
  for (const double phi : r.phi) {
    // At exactly zero nothing is rotated, so nothing is rounded.
    const Mat3d turned = phi == 0 ? axes : physics::rotate_about(axes, r.panel.spindle, phi);
    for (const Mat3d& domain : r.domains)
      plan.orientations.push_back({domain * turned.a, domain * turned.b, domain * turned.c});
  }

  // Scattering
  plan.lattice = {e.crystal.shape, r.cells, e.crystal.fudge,
                  spot_metric(r, quirks.volume_scaled_spots)};
  plan.grid = e.structure_factors.grid;
  plan.default_F = e.structure_factors.default_F;
  plan.tricubic = r.tricubic;
  plan.out_of_range = quirks.interpolation_latch ? OutOfRange::nearest_for_all
                                                 : OutOfRange::default_F;
  plan.dmin = e.sampling.dmin_A * 1e-10;

  // Factors that vary over a pixel
  plan.oversample = r.oversample;
  if (quirks.first_value_factors) {
    const auto rule = [&](bool at_each_subpixel) {
      if (!at_each_subpixel) return Apply::once;
      return quirks.running_products ? Apply::to_running_sum : Apply::to_each_term;
    };
    plan.solid_angle = rule(e.sampling.oversample_omega);
    plan.polarization = rule(e.sampling.oversample_polar);
    plan.capture = rule(e.sampling.oversample_thick);
  }
  if (!quirks.last_layer_capture && plan.capture == Apply::once) plan.capture = Apply::to_each_term;
  plan.polarized = e.beam.polarization_correction ||
                   (quirks.oversample_polar_polarizes && e.sampling.oversample_polar);
  plan.polarization_fraction = e.beam.polarization_fraction;

  // Scale and background
  plan.scale = thomson_m2 * r.fluence / static_cast<double>(r.steps);
  const double water = water_photons_per_sr(e.water_um, r.fluence);
  (quirks.water_scaled_twice ? plan.starting_sum : plan.background_per_sr) = water;

  plan.roi = r.roi;
  plan.mask = e.sampling.mask;
  return plan;
}

}  // namespace nablabragg
