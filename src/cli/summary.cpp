#include "cli/summary.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <numbers>
#include <thread>  // for hardware_concurrency

#include "io/quotes.hpp"
#include "model/crystal_axes.hpp"
#include "nablabragg/conventions.hpp"
#include "nablabragg/units.hpp"
#include "nablabragg/version.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::cli {

namespace {

void print_cell(std::ostream& out, const char* name, const UnitCell& c) {
  fmt::print(out, "{}: {:g} {:g} {:g} {:g} {:g} {:g}\n", name, c.a_A, c.b_A, c.c_A, c.alpha_deg,
             c.beta_deg, c.gamma_deg);
}

void print_columns(std::ostream& out, const Mat3d& m) {
  const auto row = [&](char axis, double a, double b, double c) {
    fmt::print(out, "{}: {:11.8f} {:11.8f} {:11.8f}\n", axis, a, b, c);
  };
  row('X', m.a.x, m.b.x, m.c.x);
  row('Y', m.a.y, m.b.y, m.c.y);
  row('Z', m.a.z, m.b.z, m.c.z);
}

void print_crystal(std::ostream& out, const flags::Request& request, const Resolved& r) {
  const auto deg = [](double rad) { return units::degrees_from_radians(rad); };
  if (request.random_misset)
    fmt::print(out, "random orientation misset angles: {:f} {:f} {:f} deg  (seed {})\n",
               deg(r.misset.x), deg(r.misset.y), deg(r.misset.z),
               *request.experiment.crystal.random_misset_seed);
  print_cell(out, "Unit Cell", unit_cell_of(r.axes.real_A));
  print_cell(out, "Recp Cell", unit_cell_of(r.axes.reciprocal_per_A));
  fmt::print(out, "volume = {:g} A^3\n", r.axes.volume_A3);
  fmt::print(out, "real-space cell vectors (Angstrom):\n     {:<10}  {:<10}  {:<10}\n", "a", "b",
             "c");
  print_columns(out, r.axes.real_A);
  fmt::print(out, "reciprocal-space cell vectors (Angstrom^-1):\n     {:<10}  {:<10}  {:<10}\n",
             "a_star", "b_star", "c_star");
  print_columns(out, r.axes.reciprocal_per_A);
  const Mat3d axes = model::axes_in_metres(r.axes);
  const Vec3d edge_um{r.cells.x * length(axes.a) * 1e6, r.cells.y * length(axes.b) * 1e6,
                      r.cells.z * length(axes.c) * 1e6};
  fmt::print(out, "crystal is {:g} x {:g} x {:g} microns\n", edge_um.x, edge_um.y, edge_um.z);
}

void print_steps(std::ostream& out, const flags::Request& request, const Resolved& r) {
  for (int i = 0; i < r.sensor.layers && r.sensor.thickness > 0; ++i)
    fmt::print(out, "thick{} = {:g} um\n", i,
               (r.sensor.first_depth + r.sensor.layer_step * i) * 1e6);
  for (std::size_t i = 0; i < r.phi.size(); ++i)
    fmt::print(out, "phi{} = {:g}\n", i, units::degrees_from_radians(r.phi[i]));
  if (!request.lists_sources()) {
    for (const auto& [h, v] : r.divergence)
      fmt::print(out, "divergence deviation: {:g} {:g}\n", h, v);
    for (std::size_t i = 0; i < r.wavelengths.size(); ++i)
      fmt::print(out, "lambda{} = {:.15g}\n", i, r.wavelengths[i]);
  }
  fmt::print(out, "  created a total of {} sources:\n", r.rays.size());
  constexpr std::size_t shown = 1000;
  for (std::size_t i = 0; i < r.rays.size() && i < shown; ++i) {
    const Ray& ray = r.rays[i];
    fmt::print(out, "{:g} {:g} {:g}   {:g} {:g}\n", ray.towards_source.x, ray.towards_source.y,
               ray.towards_source.z, ray.weight / static_cast<double>(r.rays.size()),
               ray.wavelength);
  }
  if (r.rays.size() > shown) fmt::print(out, "... and {} more\n", r.rays.size() - shown);
  fmt::print(out, "  created a total of {} mosaic domains\n", r.domains.size());
}

void print_panel(std::ostream& out, const Panel& p) {
  const auto vector = [&](const char* name, const Vec3d& v) {
    fmt::print(out, "  {}= {:g} {:g} {:g}\n", name, v.x, v.y, v.z);
  };
  fmt::print(out, "  distance={:g} detsize={:g}x{:g}  pixel={:g} meters ({}x{} pixels)\n",
             p.distance, p.fast_size, p.slow_size, p.pixel, p.fast_pixels, p.slow_pixels);
  fmt::print(out, "  Xbeam={:g} Ybeam={:g}\n  Fbeam={:g} Sbeam={:g}\n", p.named_beam_x,
             p.named_beam_y, p.beam_fast, p.beam_slow);
  fmt::print(out, "  Xclose={:g} Yclose={:g}\n  Fclose={:g} Sclose={:g}\n", p.named_close_x,
             p.named_close_y, p.near_fast, p.near_slow);
  vector("DIRECTION_OF_DETECTOR_X-AXIS", p.fast);
  vector("DIRECTION_OF_DETECTOR_Y-AXIS", p.slow);
  vector("DIRECTION_OF_DETECTOR_Z-AXIS", p.normal);
  vector("INCIDENT_BEAM_DIRECTION", p.beam);
  vector("spindle ROTATION_AXIS", p.spindle);
  vector("POLARIZATION_PLANE_NORMAL", p.vertical);
  vector("dials origin", p.dials_origin_mm);
  const double half = p.pixel / 2;
  fmt::print(
      out,
      "  beam centre: adxv {:g} {:g}  mosflm {:g} {:g}  denzo {:g} {:g} mm  xds {:g} {:g} pixels\n",
      p.beam_fast * 1000, (p.slow_size - p.beam_slow) * 1000, (p.beam_slow - half) * 1000,
      (p.beam_fast - half) * 1000, p.beam_slow * 1000, p.beam_fast * 1000, p.org_x, p.org_y);
}

void print_region(std::ostream& out, const std::string& name, const RegionOfInterest& roi) {
  if (roi == no_pixels)
    fmt::print(out, "  {}: none\n", name);
  else
    fmt::print(out, "  {}: {} < x < {} && {} < y < {}\n", name, roi.fast_min, roi.fast_max + 1,
               roi.slow_min, roi.slow_max + 1);
}

/// Matter in the beam, and how much of it.
void print_materials(std::ostream& out, const Experiment& e) {
  for (const Material& m : e.materials) {
    if (m.start_mm == m.end_mm)
      fmt::print(out, "  in the beam: {}, {:g} mm", io::printable(m.name), m.thickness_mm);
    else
      fmt::print(out, "  in the beam: {} from {:g} to {:g} mm", io::printable(m.name), m.start_mm,
                 m.end_mm);
    fmt::print(out, ", {:.6g} g/cm^3, {:g} g/mol, F at {} sin(theta)/lambda\n", m.density_g_cm3,
               m.molar_mass, m.F.size());
  }
}

void print_beamstop(std::ostream& out, const Beamstop& b) {
  if (b.radius_mm == 0) return;
  fmt::print(out, "  beamstop: a disk of radius {:g} mm, {:g} mm behind the sample", b.radius_mm,
             b.distance_mm);
  if (b.offset_fast_mm != 0 || b.offset_slow_mm != 0)
    fmt::print(out, ", {:g} {:g} mm (fast, slow) from the beam", b.offset_fast_mm,
               b.offset_slow_mm);
  if (b.transmission != 0) fmt::print(out, ", transmission {:g}", b.transmission);
  if (b.arm_width_mm != 0)
    fmt::print(out, ", an arm of {:g} mm at {:g} degree", b.arm_width_mm, b.arm_deg);
  if (b.ring_share != 0)
    fmt::print(out, ", {:g} of the beam in a ring at {:g} degree, {:g} wide", b.ring_share,
               b.ring_deg, b.ring_width_deg);
  fmt::print(out, "\n");
}

/// Displacements that scatter between the spots.
void print_diffuse(std::ostream& out, const Crystal& c) {
  const Vec3d &sigma = c.diffuse_sigma_A, &gamma = c.diffuse_gamma_A;
  if (sigma == Vec3d{}) return;
  constexpr double eight_pi2 = 78.95683520871486;
  const auto B = [](double x) { return eight_pi2 * x * x; };
  fmt::print(out,
             "  diffuse scattering: {}, sigma {:g} {:g} {:g} A (B {:.4g} {:.4g} {:.4g} A^2), gamma "
             "{:g} {:g} {:g} A; {}{}\n",
             c.diffuse_motion == DiffuseMotion::rigid ? "rigid cells" : "liquid-like motions",
             sigma.x, sigma.y, sigma.z, B(sigma.x), B(sigma.y), B(sigma.z), gamma.x, gamma.y,
             gamma.z,
             c.diffuse_in_F ? "F contains the motion (-diffuse_in_F)" : "spots are weakened by it",
             c.diffuse_error > 0
                 ? fmt::format("; halos may be wrong by {:g} of their peak (-diffuse_error)",
                               c.diffuse_error)
                 : "");
}

/// Sizes of blocks, and crystals beside the first.
void print_more_lattices(std::ostream& out, const Experiment& e, const Resolved& r) {
  const auto print_sizes = [&](const Resolved& crystal) {
    if (crystal.block_sizes.empty()) return;
    const Vec3d &least = crystal.block_sizes.front().cells,
                &most = crystal.block_sizes.back().cells;
    fmt::print(
        out,
        "  blocks of {} sizes, {:g}x{:g}x{:g} to {:g}x{:g}x{:g} cells: spread {:g} of ln(u), "
        "{} fixed\n",
        crystal.block_sizes.size(), least.x, least.y, least.z, most.x, most.y, most.z,
        e.crystal.block_size_spread,
        e.crystal.block_size_fixed == BlockSizeFixed::edge ? "mean edge" : "number of cells");
  };
  print_sizes(r);
  for (std::size_t i = 0; i < r.more_crystals.size(); ++i) {
    const Resolved& crystal = r.more_crystals[i];
    const Vec3d& misset = e.more_crystals[i].misset_deg;
    fmt::print(out,
               "  crystal {}: {:g}x{:g}x{:g} cells, misset {:g} {:g} {:g} degrees, weight {:g}",
               i + 1, crystal.cells.x, crystal.cells.y, crystal.cells.z, misset.x, misset.y,
               misset.z, e.more_crystals[i].weight);
    if (const auto& spread = e.more_crystals[i].mosaic_spread_deg)
      fmt::print(out, ", mosaic spread {:g} degrees", *spread);
    fmt::print(out, "\n");
    print_sizes(crystal);
  }
}

/// How rotations, wavelengths and directions are added up, where that is a question.
void print_summation(std::ostream& out, const flags::Request& request, const Resolved& r) {
  if (r.summation_reason.empty()) return;
  if (!r.closed) {
    fmt::print(out, "  summed step by step: {}\n", r.summation_reason);
    return;
  }
  const auto deg = [](double rad) { return units::degrees_from_radians(rad); };
  const Vec3d& mosaic = r.spread.mosaic;
  fmt::print(out,
             "  summed in closed form: {}\n"
             "  standard deviations: mosaic {:g} {:g} {:g} degrees, wavenumber {:g} %, divergence "
             "{:g} x {:g} mrad\n"
             "  spots end where they add less than {:g} photons to a pixel (-skip_below)\n",
             r.summation_reason, deg(mosaic.x), deg(mosaic.y), deg(mosaic.z),
             100 * r.spread.bandwidth, 1000 * r.spread.horizontal, 1000 * r.spread.vertical,
             request.skip_below.value_or(default_skip_below_closed));
}

double skipped_percent(const EngineUsed& used) {
  return used.steps > 0 ? 100 * static_cast<double>(used.skipped) / static_cast<double>(used.steps)
                        : 0;
}

const char* title_of(CrystalShape shape) {
  return physics::with_shape(shape, []<class Shape>() { return Shape::title; });
}

}  // namespace

void print_setup(std::ostream& out, const flags::Request& request, const Resolved& r) {
  const Experiment& e = request.experiment;
  const Panel& p = r.panel;
  fmt::print(out, "nablaBragg nanocrystal diffraction simulator - {} - {}\n", version(),
             e.quirks == Quirks::corrected() ? "corrected arithmetic" : "nanoBragg's arithmetic");
  fmt::print(out, "{} convention selected.\n", name_of(p.convention));
  fmt::print(out, "pivoting detector around {}\n",
             p.pivot == Pivot::sample ? "sample" : "direct beam spot");
  fmt::print(out, "XDS incident beam: {:g} {:g} {:g}\n", p.xds_beam.x, p.xds_beam.y, p.xds_beam.z);
  if (e.structure_factors.interpolation == Interpolation::automatic)
    fmt::print(out, "auto-selected {}\n",
               r.tricubic ? "tricubic interpolation of structure factors" : "no interpolation");
  if (!request.geometry_origin.empty())
    fmt::print(out, "{}\n", io::printable(request.geometry_origin));
  if (!request.matrix_file.empty())
    fmt::print(out, "reading {}\n", io::printable(request.matrix_file));
  print_crystal(out, request, r);
  if (e.sampling.oversample <= 0 && !r.closed)
    fmt::print(out, "auto-selected {}-fold oversampling\n", r.oversample);
  if (!request.cache_message.empty()) fmt::print(out, "{}\n", request.cache_message);
  print_steps(out, request, r);

  fmt::print(out, "  {} initialized hkls (all others ={:g})\n", request.table_entries,
             e.structure_factors.default_F);
  if (!request.table_origin.empty()) fmt::print(out, "  {}\n", request.table_origin);
  fmt::print(out, "  {} xtal: {:g}x{:g}x{:g} cells\n", title_of(e.crystal.shape), r.cells.x,
             r.cells.y, r.cells.z);
  if (r.blocks != 1) fmt::print(out, "  {:g} mosaic blocks of so many cells\n", r.blocks);
  print_more_lattices(out, e, r);
  print_summation(out, request, r);
  fmt::print(out, "  wave={:g} meters +/- {:g}% in {} steps\n", r.wavelength,
             r.dispersion.range * 100, r.dispersion.steps);
  if (e.beam.polarization_correction)
    fmt::print(out, "  Kahn polarization factor: {:f}\n", e.beam.polarization_fraction);
  else
    fmt::print(out, "  no polarization factor\n");
  if (e.detector.curved)
    fmt::print(out, "  curved detector: all pixels same distance from origin\n");
  if (e.detector.point_pixel) fmt::print(out, "  pixel obliquity effect turned off\n");
  fmt::print(out, "  incident fluence: {:g} photons/m^2\n", r.fluence);
  print_panel(out, p);
  fmt::print(out, "  sensor is {:g} m thick in {} layers with mu= {:g}\n", r.sensor.thickness,
             r.sensor.layers, r.sensor.absorption_per_m);
  print_region(out, "roi", r.roi);
  for (std::size_t i = 0; i < r.more_panels.size(); ++i)
    if (e.more_panels[i].roi && !(r.more_panels[i].roi == no_pixels))
      print_region(out, fmt::format("roi of panel {}", i + 1), r.more_panels[i].roi);
  fmt::print(out, "  hdivrange={:g} hdivstep={:g}  radians\n", r.horizontal.range,
             r.horizontal.step);
  fmt::print(out, "  vdivrange={:g} vdivstep={:g}  radians\n", r.vertical.range, r.vertical.step);
  fmt::print(out, "  {} divergence steps\n",
             !request.lists_sources() ? static_cast<std::int64_t>(r.divergence.size()) : -1);
  fmt::print(out, "  {} sources\n", r.rays.size());
  if (e.beam.tilt_horizontal_mrad != 0 || e.beam.tilt_vertical_mrad != 0)
    fmt::print(out, "  beam tilt: {:g} {:g} mrad (horizontal, vertical)\n",
               e.beam.tilt_horizontal_mrad, e.beam.tilt_vertical_mrad);
  if (request.beam_jitter_mrad != 0)
    fmt::print(out, "  beam jitter: {:g} mrad from image to image\n", request.beam_jitter_mrad);
  if (!r.closed)
    fmt::print(out, "  {} mosaic domains over mosaic spread of {:g} degrees  (seed {})\n",
               r.domains.size(), units::degrees_from_radians(r.mosaic_spread),
               e.crystal.mosaic_seed);
  fmt::print(out, "  {} phi {} from {:g} to {:g} degrees\n", r.phi.size(),
             r.closed ? "slices" : "steps", e.scan.phi_deg,
             e.scan.phi_deg + units::degrees_from_radians(r.scan.range));
  if (r.closed && e.sampling.oversample <= 0)
    fmt::print(out, "  sub-pixels as fine as each spot\n");
  else
    fmt::print(out, "  {0}x{0} pixel oversample steps{1}{2}{3}\n", r.oversample,
               e.sampling.oversample_thick ? " +thick" : "",
               e.sampling.oversample_polar ? " +polar" : "",
               e.sampling.oversample_omega ? " +omega" : "");
  if (!request.mask_file.empty())
    fmt::print(out, "  skipping zero-flagged pixels in {}\n", io::printable(request.mask_file));
  else if (e.sampling.mask)
    fmt::print(out, "  skipping pixels in gaps\n");
  fmt::print(out, "\n  noise image parameters:\n  seed: {}\n  water droplet size: {:g} m\n",
             -*request.seed, e.water_um * 1e-6);
  print_materials(out, e);
  print_beamstop(out, e.beamstop);
  print_diffuse(out, e.crystal);
  if (request.responds) fmt::print(out, "  detector response: {}\n", to_string(request.response));
}

void print_plan(std::ostream& out, const flags::Request& request, const Resolved& r,
                const Simulation& s) {
  const EngineUsed& used = s.engine;
  const auto steps = static_cast<double>(used.steps);
  fmt::print(out, "\nplan:\n  summation: {}, {}\n", r.closed ? "closed form" : "step by step",
             r.summation_reason.empty() ? "no Gaussian model is asked for" : r.summation_reason);
  fmt::print(out, "  kernel: {}\n  why: {}\n", used.kernel, used.reason);
  if (used.device.empty())
    fmt::print(out, "  instruction set: {}\n",
               used.instruction_set.empty() ? "plain code" : used.instruction_set);
  else
    fmt::print(out, "  device: {}\n  kernels: {:.6f} s\n", used.device, used.device_seconds);
  const int threads = request.threads > 0 ? request.threads
                                          : static_cast<int>(std::thread::hardware_concurrency());
  fmt::print(out, "  threads: {}\n", threads);
  fmt::print(out, "  steps: {}\n  skipped: {} ({:.4g} %)\n", used.steps, used.skipped,
             skipped_percent(used));
  fmt::print(out, "  time: {:.6f} s\n  rate: {:.4g} steps/s\n", s.seconds,
             s.seconds > 0 ? steps / s.seconds : 0);
}

void print_statistics(std::ostream& out, const flags::Request& request, const Resolved& r,
                      const Simulation& s) {
  const double sphere = 100 * s.statistics.solid_angle_sr / 4 / std::numbers::pi;
  const double steps = static_cast<double>(steps_of_all_crystals(r)) * r.sensor.layers *
                       static_cast<double>(s.statistics.pixels);
  if (r.closed)
    fmt::print(out, "\nsimulate: {:.3f} s\n", s.seconds);
  else
    fmt::print(out, "\nsimulate: {:.3f} s, {:.4g} steps, {:.4g} steps/s\n", s.seconds, steps,
               s.seconds > 0 ? steps / s.seconds : 0);
  if (s.engine.skipped > 0)
    fmt::print(out,
               "skipped: {:.4g} % of the steps, known to add less than {:g} photons to a pixel\n",
               skipped_percent(s.engine), request.skip_below.value_or(default_skip_below));
  fmt::print(out, "solid angle subtended by detector = {:g} steradian ( {:g}% sphere)\n",
             s.statistics.solid_angle_sr, sphere);
}

}  // namespace nablabragg::cli
