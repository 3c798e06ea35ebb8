// Experiment -> Plan: behind it no engine knows what a quirk is.
//
// Templated on the number type like the model: with dual numbers the slopes are the derivative of
// the plan.
#pragma once
#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include "model/crystal_axes.hpp"
#include "model/gaussian_spread.hpp"
#include "model/resolve.hpp"  // for alone
#include "model/spot_width.hpp"
#include "model/value_of.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image.hpp"  // for PixelIndex
#include "nablabragg/resolved.hpp"
#include "physics/diffuse.hpp"
#include "physics/matrix.hpp"
#include "physics/rotation.hpp"
#include "plan/halo_shares.hpp"
#include "plan/panel_places.hpp"
#include "plan/plan.hpp"

namespace nablabragg {

namespace plan_detail {

inline constexpr double thomson_m2 = 7.94079248018965e-30;  // r_e^2
inline constexpr double avogadro = 6.02214179e23;
inline constexpr double water_amplitude = 2.57;  // electrons per molecule at low angle
inline constexpr double water_molar_mass = 18.0;

/// Photons per steradian from a cube of water: F^2 r_e^2 fluence x molecules; 1e6 g/m^3.
template <class Real>
Real water_photons_per_sr(const Real& edge_um, const Real& fluence) {
  const Real edge = edge_um / 1e6;
  return water_amplitude * water_amplitude * thomson_m2 * fluence * (edge * edge * edge) * 1e6 *
         avogadro / water_molar_mass;
}

/// Photons per steradian that F = 1 scatters: r_e^2 fluence x molecules in the beam.
template <class Real>
Real material_photons_per_sr(const BasicMaterial<Real>& b, const Real& beam_size_mm,
                             const Real& fluence) {
  const bool has_path = !(b.start_mm == b.end_mm);
  const Real thickness = units::metres_from_mm(has_path ? b.end_mm - b.start_mm : b.thickness_mm),
             size = units::metres_from_mm(beam_size_mm);
  return thomson_m2 * fluence * (size * size * thickness) * (b.density_g_cm3 * 1e6) * avogadro /
         b.molar_mass;
}

/// Enough points that sums over a path are good to 1e-8 in all pixels of the panels, where F is
/// smooth.  Throws UsageError for a path that comes too close to a panel for that.
std::vector<PathPoint> points_of_path(const std::string& name, double start, double end,
                                      std::span<const PlanPanel> panels, const Vec3d& beam);

template <class Real>
physics::SpotMetric<Real> spot_metric(SpotMetricKind kind, const BasicResolved<Real>& r,
                                      const Vec3<Real>& n) {
  const Real none(0);
  if (kind == SpotMetricKind::cell) return {n.x * n.x, n.y * n.y, n.z * n.z, none, none, none};
  const Mat3<Real>& s = r.axes.reciprocal_per_A;
  const Real edge = model::round_edge_A(kind, r, n), edge2 = edge * edge;
  return {edge2 * dot(s.a, s.a), edge2 * dot(s.b, s.b), edge2 * dot(s.c, s.c),
          edge2 * dot(s.a, s.b), edge2 * dot(s.b, s.c), edge2 * dot(s.c, s.a)};
}

template <class Real>
BasicPlanFrame<Real> plan_frame(const Quirks& quirks, const BasicDetector<Real>& d,
                                const BasicPanel<Real>& p, int oversample) {
  BasicPlanFrame<Real> f = placed_frame(p);
  f.area = p.pixel * p.slow_pixel;
  if (d.slow_pixel_mm) {
    const Real edge = p.slow_pixel / p.pixel;
    using model::value_of;
    f.slow_edge = value_of(edge);
    f.slow = edge * p.slow;
  }
  f.subpixel = p.pixel / Real(oversample);
  f.close_distance = p.close_distance;
  if (f.curvature == Curvature::spherical) f.solid_angle = SolidAngle::facing;
  if (d.point_pixel)
    f.solid_angle = quirks.point_pixel_without_area ? SolidAngle::per_area : SolidAngle::facing;
  return f;
}

/// From the panel's surface to where its first layer's photons are captured.  On a sphere around
/// the sample a pixel is seen under the same angles at any depth.
template <class Real>
void set_back(BasicPlanFrame<Real>& f, const Real& depth) {
  f.origin = f.origin + depth * f.normal;
  f.close_distance = f.close_distance + depth;
}

template <class Real>
std::vector<BasicPlanPanel<Real>> plan_panels(const BasicExperiment<Real>& e,
                                              const BasicResolved<Real>& r) {
  std::vector<BasicPlanPanel<Real>> panels;
  const auto add = [&](const BasicDetector<Real>& detector, const BasicPanel<Real>& placed,
                       const BasicSensor<Real>& sensor, const RegionOfInterest& roi,
                       const std::shared_ptr<const Mask>& mask) {
    BasicPlanPanel<Real> panel;
    panel.frame = plan_frame(e.quirks, detector, placed, r.oversample);
    if (sensor.thickness > Real(0)) {
      panel.sensor = {sensor.layers, sensor.layer_step, sensor.absorption_per_m};
      set_back(panel.frame, sensor.first_depth);
    }
    panel.roi = roi;
    panel.mask = mask;
    if (!panels.empty()) panel.first_pixel = panels.back().first_pixel + panels.back().pixels();
    panels.push_back(std::move(panel));
  };
  add(e.detector, r.panel, r.sensor, r.roi, e.sampling.mask);
  for (std::size_t i = 0; i < r.more_panels.size(); ++i)
    add(e.more_panels[i].detector, r.more_panels[i].panel, r.more_panels[i].sensor,
        r.more_panels[i].roi, e.more_panels[i].mask);
  return panels;
}

template <class Real>
BasicPlanLight<Real> plan_light(const BasicExperiment<Real>& e, const BasicResolved<Real>& r) {
  BasicPlanLight<Real> light;
  light.rays.reserve(r.rays.size());
  for (const BasicRay<Real>& ray : r.rays) {
    const Vec3<Real> incident = -unit(ray.towards_source);
    light.rays.push_back({incident, unit(cross(r.panel.polarization_axis, incident)),
                          Real(1) / ray.wavelength, ray.weight});
  }
  light.shared_directions = e.beam.sources.empty();
  light.polarization_fraction = e.beam.polarization_fraction;
  return light;
}

template <class Real>
BasicPlanLattice<Real> plan_lattice(const BasicExperiment<Real>& e, const BasicResolved<Real>& r) {
  BasicPlanLattice<Real> lattice;
  lattice.shape = e.crystal.shape;
  lattice.cells = r.cells;
  lattice.fudge = e.crystal.fudge;
  lattice.metric = spot_metric(model::spot_metric_kind(e), r, r.cells);

  lattice.domains = static_cast<int>(r.domains.size());
  lattice.orientations.reserve(r.phi.size() * r.domains.size());
  const Mat3<Real> mean = model::axes_in_metres(r.axes);
  const Real metres(1e-10);
  for (const Real& phi : r.phi)
    for (std::size_t i = 0; i < r.domains.size(); ++i) {
      const Mat3<Real>& domain = r.domains[i];
      Mat3<Real> axes = mean;
      if (!r.domain_cells_A.empty()) {
        const Mat3<Real>& cell = r.domain_cells_A[i];
        axes = {metres * cell.a, metres * cell.b, metres * cell.c};
      }
      const auto turned = [&](const Mat3<Real>& m) {
        return physics::rotate_about(m, r.panel.spindle, phi);
      };
      const auto in_domain = [&](const Mat3<Real>& m) {
        return Mat3<Real>{domain * m.a, domain * m.b, domain * m.c};
      };
      // Gaussian domains turn with the crystal; nanoBragg's do not.
      lattice.orientations.push_back(e.crystal.mosaic_model == Distribution::gaussian
                                         ? turned(in_domain(axes))
                                         : in_domain(turned(axes)));
    }

  lattice.grid = e.structure_factors.grid;
  lattice.default_F = Real(e.structure_factors.default_F);
  lattice.tricubic = r.tricubic;
  lattice.out_of_range = e.quirks.interpolation_latch ? OutOfRange::nearest_for_all
                                                      : OutOfRange::default_F;
  return lattice;
}

/// What a closed sum integrates over.
template <class Real>
BasicPlanSpread<Real> plan_spread(const BasicExperiment<Real>& e, const BasicResolved<Real>& r,
                                  const std::vector<Mat3<Real>>& orientations) {
  BasicPlanSpread<Real> spread;
  spread.closed = true;
  spread.reason = r.summation_reason;
  spread.pixels_are_boxes = e.sampling.oversample <= 0;
  const auto square = [](const Real& x) { return x * x; };
  const Vec3<Real>& sigma = r.spread.mosaic;
  for (const Mat3<Real>& axes : orientations) {
    const Mat3<Real> frame = model::crystal_frame(axes);
    spread.mosaic.push_back(square(sigma.x) * outer_square(frame.a) +
                            square(sigma.y) * outer_square(frame.b) +
                            square(sigma.z) * outer_square(frame.c));
  }
  // The beam is turned up about the polarization axis, then across about the vertical.
  const auto& panel = r.panel;
  spread.divergence = square(r.spread.vertical) *
                          outer_square(cross(panel.polarization_axis, panel.beam)) +
                      square(r.spread.horizontal) * outer_square(cross(panel.vertical, panel.beam));
  spread.bandwidth2 = square(r.spread.bandwidth);
  spread.spindle = panel.spindle;
  spread.half_slice = r.scan.step / Real(2);
  return spread;
}

/// Of several number types: what sampling a path needs to know of the panels.
template <class Real>
std::vector<PlanPanel> places_of(const std::vector<BasicPlanPanel<Real>>& panels) {
  using model::value_of;
  std::vector<PlanPanel> places;
  for (const auto& panel : panels) {
    PlanFrame& f = places.emplace_back().frame;
    f.fast_pixels = panel.frame.fast_pixels;
    f.slow_pixels = panel.frame.slow_pixels;
    const auto value = [](const Vec3<Real>& v) {
      return Vec3d{double(value_of(v.x)), double(value_of(v.y)), double(value_of(v.z))};
    };
    f.origin = value(panel.frame.origin);
    f.fast = value(panel.frame.fast);
    f.slow = value(panel.frame.slow);
    f.pixel = double(value_of(panel.frame.pixel));
  }
  return places;
}

template <class Real>
BasicPlanBeamstop<Real> plan_beamstop(const BasicExperiment<Real>& e,
                                      const BasicResolved<Real>& r) {
  using std::cos, std::sin;
  BasicPlanBeamstop<Real> stop;
  const BasicBeamstop<Real>& b = e.beamstop;
  stop.present = b.radius_mm > Real(0);
  if (!stop.present) return stop;
  const Vec3<Real>& beam = r.panel.beam;
  const auto across = [&](const Vec3<Real>& v) { return v - dot(v, beam) * beam; };
  const auto along = [](const Vec3<Real>& v, const Vec3<Real>& axis) {
    return dot(v, axis) < Real(0) ? -v : v;
  };
  // Of a panel that is seen from the side one axis lies along the beam, and says nothing.
  // A panel that turns leaves the stop where it is: derivatives by panels know of panels alone.
  const auto held = [](const Vec3<Real>& v) {
    using model::value_of;
    return Vec3<Real>{Real(double(value_of(v.x))), Real(double(value_of(v.y))),
                      Real(double(value_of(v.z)))};
  };
  Vec3<Real> fast = across(held(r.panel.fast)), slow = across(held(r.panel.slow));
  if (dot(fast, fast) < dot(slow, slow)) {
    slow = unit(slow);
    fast = along(cross(beam, slow), r.panel.fast);
  } else {
    fast = unit(fast);
    slow = along(cross(beam, fast), r.panel.slow);
  }
  stop.beam = beam;
  stop.distance = units::metres_from_mm(b.distance_mm);
  stop.radius = units::metres_from_mm(b.radius_mm);
  stop.offset = units::metres_from_mm(b.offset_fast_mm) * fast +
                units::metres_from_mm(b.offset_slow_mm) * slow;
  stop.half_width = Real(0.5) * units::metres_from_mm(b.arm_width_mm);
  const Real angle = units::radians_from_degrees(b.arm_deg);
  stop.arm = cos(angle) * fast + sin(angle) * slow;
  stop.transmission = b.transmission;
  return stop;
}

/// Throws UsageError for a beamstop that stands behind all panels.
void check_is_before(double stop_m, std::span<const PlanPanel> panels, const Vec3d& beam);

/// Photons in a ring whose maximum is one photon/sr: the integral of a Gaussian of the angle to the
/// beam [rad] over all directions.
template <class Real>
Real photons_in_ring(const Real& middle, const Real& width) {
  using std::exp;
  using std::sin;
  constexpr double pi = 3.14159265358979323846, deviations = 8;
  constexpr int rows = 2001;
  Real from = middle - Real(deviations) * width, to = middle + Real(deviations) * width;
  if (from < Real(0)) from = Real(0);
  if (Real(pi) < to) to = Real(pi);
  const Real step = (to - from) / Real(rows - 1);
  Real photons(0);
  for (int i = 0; i < rows; ++i) {
    const Real angle = from + Real(i) * step, off = (angle - middle) / width;
    const Real weight = i == 0 || i == rows - 1 ? Real(0.5) : Real(1);
    photons = photons + weight * sin(angle) * exp(Real(-0.5) * off * off);
  }
  return Real(2 * pi) * step * photons;
}

template <class Real>
std::vector<BasicPlanMaterial<Real>> plan_materials(const BasicExperiment<Real>& e,
                                                    const BasicResolved<Real>& r,
                                                    const std::vector<BasicPlanPanel<Real>>& panels,
                                                    const BasicPlanLight<Real>& light,
                                                    const BasicPlanBeamstop<Real>& stop) {
  using model::value_of;
  std::vector<BasicPlanMaterial<Real>> materials;
  const auto value = [](const Vec3<Real>& v) {
    return Vec3d{double(value_of(v.x)), double(value_of(v.y)), double(value_of(v.z))};
  };
  const auto places = places_of(panels);
  const Vec3d beam = value(light.rays.front().incident);
  const auto sample_path = [&](BasicPlanMaterial<Real>& m, const std::string& name) {
    m.points = points_of_path(name, double(value_of(m.start)), double(value_of(m.end)), places,
                              beam);
  };
  const Real size_mm = e.beam.size_mm.value_or(Real(0.1));
  for (std::size_t number = 0; number < e.materials.size(); ++number) {
    const BasicMaterial<Real>& b = e.materials[number];
    BasicPlanMaterial<Real>& m = materials.emplace_back();
    m.number = number;
    m.per_sr = material_photons_per_sr(b, size_mm, r.fluence);
    m.start = units::metres_from_mm(b.start_mm);
    m.end = units::metres_from_mm(b.end_mm);
    m.compton = b.process == MaterialProcess::compton;
    m.curve = std::make_shared<const ScatteringCurve>(b.stol_per_A, b.F, b.interpolation);
    if (stop.present && stop.distance < m.end) {
      // Behind the stop the beam is what it lets through.
      BasicPlanMaterial<Real> behind = m;
      behind.per_sr = stop.transmission * m.per_sr;
      if (m.start < stop.distance) {
        const Real share = (stop.distance - m.start) / (m.end - m.start);
        m.per_sr = share * m.per_sr;
        m.end = behind.start = stop.distance;
        behind.per_sr = (Real(1) - share) * behind.per_sr;
        sample_path(behind, b.name);
        sample_path(m, b.name);
        materials.push_back(std::move(behind));
        continue;
      }
      m = std::move(behind);
    }
    sample_path(m, b.name);
  }
  if (stop.present && !(e.beamstop.ring_share == Real(0))) {
    BasicPlanMaterial<Real>& m = materials.emplace_back();
    m.number = e.materials.size();
    m.ring_middle = units::radians_from_degrees(e.beamstop.ring_deg);
    m.ring_width = units::radians_from_degrees(e.beamstop.ring_width_deg);
    m.ring_wavelength = r.wavelength;
    const Real size = units::metres_from_mm(size_mm);
    m.per_sr = e.beamstop.ring_share * r.fluence * size * size /
               photons_in_ring(m.ring_middle, m.ring_width);
    m.start = m.end = stop.distance;
    sample_path(m, "ring");
  }
  return materials;
}

/// The sum over some axes of scale^2 times the square of the index along each: a form of Miller
/// indices.
template <class Real>
physics::SpotMetric<Real> form_of_indices(const Mat3<Real>& frame, const Mat3<Real>& reciprocal,
                                          const Vec3<Real>& scale) {
  const auto row = [&](const Vec3<Real>& axis, const Real& by) {
    return by *
           Vec3<Real>{dot(axis, reciprocal.a), dot(axis, reciprocal.b), dot(axis, reciprocal.c)};
  };
  const Vec3<Real> a = row(frame.a, scale.x), b = row(frame.b, scale.y), c = row(frame.c, scale.z);
  const auto sum = [&](auto&& of) { return of(a) + of(b) + of(c); };
  using V = Vec3<Real>;
  return {sum([](const V& v) { return v.x * v.x; }), sum([](const V& v) { return v.y * v.y; }),
          sum([](const V& v) { return v.z * v.z; }), sum([](const V& v) { return v.x * v.y; }),
          sum([](const V& v) { return v.y * v.z; }), sum([](const V& v) { return v.z * v.x; })};
}

/// |q| that no spot of the sensor exceeds [1/m].
template <class Real>
double farthest_q(const std::vector<BasicPlanPanel<Real>>& panels,
                  const BasicPlanLight<Real>& light) {
  using model::value_of;
  const auto value = [](const Vec3<Real>& v) {
    return Vec3d{value_of(v.x), value_of(v.y), value_of(v.z)};
  };
  double farthest = 0;
  for (const auto& panel : panels) {
    const auto& f = panel.frame;
    const Vec3d origin = value(f.origin),
                fast = (f.fast_pixels * value_of(f.pixel)) * value(f.fast),
                slow = (f.slow_pixels * value_of(f.pixel)) * value(f.slow),
                deep = (panel.sensor.layers * value_of(panel.sensor.layer_step)) * value(f.normal);
    for (const auto& ray : light.rays) {
      const double k = value_of(ray.wavenumber);
      const Vec3d incident = value(ray.incident);
      for (int corner = 0; corner < 8; ++corner) {
        const Vec3d at = origin + double(corner & 1) * fast + double(corner >> 1 & 1) * slow +
                         double(corner >> 2) * deep;
        farthest = std::max(
            farthest, f.curvature == Curvature::flat ? k * length(unit(at) - incident) : 2 * k);
      }
    }
  }
  return farthest;
}

/// Throws UsageError for displacements so large that no order of them would be the last.
void check_orders(double largest_W);
/// A constant times a power of two, so that it seldom follows a cell that changes: spheres of its
/// radius hold 60 lattice points.
double thickness_of_shells(double volume_A3);

template <class Real>
BasicPlanDiffuse<Real> plan_diffuse(const BasicExperiment<Real>& e, const BasicResolved<Real>& r,
                                    const std::vector<BasicPlanPanel<Real>>& panels,
                                    const BasicPlanLight<Real>& light) {
  using model::value_of;
  constexpr double pi = 3.14159265358979323846, two_pi = 2 * pi;
  const auto& c = e.crystal;
  const Vec3<Real>&sigma = c.diffuse_sigma_A, &gamma = c.diffuse_gamma_A;
  BasicPlanDiffuse<Real> d;
  d.present = !(sigma.x == Real(0) && sigma.y == Real(0) && sigma.z == Real(0));
  if (!d.present) return d;
  d.motion = c.diffuse_motion;
  d.in_F = c.diffuse_in_F;
  d.isotropic = sigma.x == sigma.y && sigma.y == sigma.z && !model::has_cell_spread(c);
  d.stencil = c.diffuse_stencil;
  d.error = c.diffuse_error;
  const Mat3<Real> frame = model::crystal_frame(r.axes.real_A);
  const Mat3<Real>& reciprocal = r.axes.reciprocal_per_A;
  d.displacement = form_of_indices(frame, reciprocal, Real(two_pi) * sigma);
  d.correlation = form_of_indices(frame, reciprocal, Real(two_pi) * gamma);
  d.peak = Real(8 * pi) * gamma.x * gamma.y * gamma.z / r.axes.volume_A3;

  const double q = 1.0001 * farthest_q(panels, light), q_per_A = q * 1e-10,
               widest = std::max({value_of(sigma.x), value_of(sigma.y), value_of(sigma.z)}),
               largest_W = std::pow(two_pi * widest * q_per_A, 2);
  check_orders(largest_W);
  // The mean over a shell is that of all its lattice points, whatever light asks for it: those of
  // the next shell, too, between which and the last one the mean at q lies.
  const double shell_per_A = thickness_of_shells(value_of(r.axes.volume_A3));
  d.shell = 1e10 * shell_per_A;
  const auto reach = [&](const Vec3<Real>& axis) {
    return std::ceil((q_per_A + 2 * shell_per_A) * value_of(length(axis)));
  };
  const auto& axes = r.axes.real_A;
  d.reach = {reach(axes.a), reach(axes.b), reach(axes.c)};
  const auto per_m = [](const Vec3<Real>& v) {
    return 1e10 * Vec3d{value_of(v.x), value_of(v.y), value_of(v.z)};
  };
  d.reciprocal = {per_m(reciprocal.a), per_m(reciprocal.b), per_m(reciprocal.c)};
  d.farthest = q;
  d.edge = 1e-10 *
           std::max({value_of(length(axes.a)), value_of(length(axes.b)), value_of(length(axes.c))});
  d.longest = 1e-10 * two_pi *
              std::max({widest, value_of(gamma.x), value_of(gamma.y), value_of(gamma.z)});
  // |F|^2 between lattice points bends at each of them.
  if (d.motion == DiffuseMotion::rigid) d.longest = std::hypot(d.longest, 2 * d.edge);

  const auto orders = physics::orders_for(largest_W);
  d.outside.assign(orders, Real(1));
  if (!(d.peak > Real(0))) return d;
  physics::SpotMetric<double> at{};
  physics::for_each_number_of_metric([](double& to, const Real& x) { to = value_of(x); }, at,
                                     d.correlation);
  const auto shares = halo_shares(at, d.stencil + 0.5, orders);
  for (std::size_t n = 0; n < orders; ++n) {
    Real share(shares[n].value);
    auto slope = shares[n].slopes.begin();
    physics::for_each_number_of_metric(
        [&](const double& value, const Real& x) {
          share = share + Real(*slope++) * (x - Real(value));
        },
        at, d.correlation);
    d.outside[n] = Real(1) - d.peak * share;
  }
  return d;
}

/// The lattices of a crystal, one for each size of its blocks, and the factors on their photons.
template <class Real>
std::vector<BasicFurtherLattice<Real>> lattices_of_crystal(const BasicExperiment<Real>& e,
                                                           const BasicResolved<Real>& r,
                                                           const Real& scale) {
  BasicFurtherLattice<Real> one{plan_lattice(e, r), {}, scale};
  if (r.closed) one.spread = plan_spread(e, r, one.lattice.orientations);
  if (r.block_sizes.empty()) return {one};
  std::vector<BasicFurtherLattice<Real>> sizes;
  for (const auto& size : r.block_sizes) {
    auto& of_size = sizes.emplace_back(one);
    const Vec3<Real> cells{Real(size.cells.x), Real(size.cells.y), Real(size.cells.z)};
    of_size.lattice.cells = cells;
    of_size.lattice.metric = spot_metric(model::spot_metric_kind(e), r, cells);
    of_size.scale = scale * size.weight;
  }
  return sizes;
}

/// Of all crystals, those of Experiment::crystal first.
template <class Real>
std::vector<BasicFurtherLattice<Real>> all_lattices(const BasicExperiment<Real>& e,
                                                    const BasicResolved<Real>& r) {
  const auto scale_of = [&](const BasicResolved<Real>& crystal) {
    const auto steps = r.steps / static_cast<std::int64_t>(r.domains.size()) *
                       static_cast<std::int64_t>(crystal.domains.size());
    // The blocks multiply the lattice's light alone, at no price a step: the sum's scale has them,
    // and what every sum begins with gives them back.
    return thomson_m2 * r.fluence / Real(static_cast<double>(steps)) * r.blocks;
  };
  auto lattices = lattices_of_crystal(e, r, scale_of(r));
  for (std::size_t i = 0; i < r.more_crystals.size(); ++i) {
    const auto& single = r.more_crystals[i];
    auto more = lattices_of_crystal(model::alone(e, r, e.more_crystals[i]), single,
                                    e.more_crystals[i].weight * scale_of(single));
    lattices.insert(lattices.end(), more.begin(), more.end());
  }
  return lattices;
}

template <class Real>
FactorRules factor_rules(const BasicExperiment<Real>& e) {
  const Quirks& quirks = e.quirks;
  FactorRules rules;
  if (quirks.first_value_factors) {
    const auto rule = [&](bool at_each_subpixel) {
      if (!at_each_subpixel) return Apply::once;
      return quirks.running_products ? Apply::to_running_sum : Apply::to_each_term;
    };
    rules.solid_angle = rule(e.sampling.oversample_omega);
    rules.polarization = rule(e.sampling.oversample_polar);
    rules.capture = rule(e.sampling.oversample_thick);
  }
  if (!quirks.last_layer_capture && rules.capture == Apply::once)
    rules.capture = Apply::to_each_term;
  rules.polarized = e.beam.polarization_correction ||
                    (quirks.oversample_polar_polarizes && e.sampling.oversample_polar);
  return rules;
}

/// Where F follows the energy: what each ray has.
void follow_energy(const Experiment& e, Plan& plan);

}  // namespace plan_detail

/// `r` is resolve(e).
template <class Real>
BasicPlan<Real> make_plan(const BasicExperiment<Real>& e, const BasicResolved<Real>& r) {
  BasicPlan<Real> plan;
  plan.panels = plan_detail::plan_panels(e, r);
  plan.light = plan_detail::plan_light(e, r);
  auto lattices = plan_detail::all_lattices(e, r);
  plan.lattice = lattices.front().lattice;
  plan.spread = lattices.front().spread;
  plan.scale = lattices.front().scale;
  plan.more_lattices.assign(lattices.begin() + 1, lattices.end());
  if constexpr (std::is_same_v<Real, double>)
    if (plan.lattice.grid && plan.lattice.grid->anomalous()) plan_detail::follow_energy(e, plan);
  plan.beamstop = plan_detail::plan_beamstop(e, r);
  if constexpr (std::is_same_v<Real, double>)
    if (plan.beamstop.present)
      plan_detail::check_is_before(plan.beamstop.distance, plan.panels, plan.beamstop.beam);
  plan.materials = plan_detail::plan_materials(e, r, plan.panels, plan.light, plan.beamstop);
  plan.diffuse = plan_detail::plan_diffuse(e, r, plan.panels, plan.light);
  if (plan.diffuse.present && e.structure_factors.grid && e.structure_factors.grid->anomalous())
    throw UsageError(
        "diffuse scattering (-diffuse_sigma) knows one F of a reflection, and these follow the "
        "energy "
        "of the light (-model_dmin); calculate them at one energy (nablabragg fcalc -energy)");
  plan.rules = plan_detail::factor_rules(e);
  plan.oversample = r.oversample;
  plan.dmin = e.sampling.dmin_A * 1e-10;
  const Real water = plan_detail::water_photons_per_sr(e.water_um, r.fluence);
  if (e.quirks.water_scaled_twice)
    plan.background.starting_sum = water / r.blocks;
  else
    plan.background.per_sr = water;
  return plan;
}

extern template Plan make_plan(const Experiment&, const Resolved&);

/// Throws UsageError for a pixel that is on no panel.
void check_pixels(const Plan& plan, std::span<const PixelIndex> pixels);

}  // namespace nablabragg
