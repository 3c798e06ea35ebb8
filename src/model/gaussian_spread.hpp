// Gaussian mosaicity, spectrum and divergence: when they are summed in closed form, and the steps
// that stand for them where they are not.
#pragma once
#include <array>
#include <string>
#include <utility>
#include <vector>
#include "model/gaussian_samples.hpp"
#include "model/value_of.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"

namespace nablabragg::model {

/// A slice that is integrated in one piece: its arcs are straight, or parabolas, to a thousandth of
/// a spot's width for blocks of 40 000 Angstrom.
inline constexpr double widest_slice_deg = 0.5;
/// Beyond, rotations are not small: the closed form is 5 % off at 10 degrees.
inline constexpr double largest_closed_mosaicity_deg = 3;

template <class Real>
bool has_cell_spread(const BasicCrystal<Real>& c) {
  const auto any = [](const std::optional<Vec3<Real>>& sigma) {
    return sigma && (sigma->x > Real(0) || sigma->y > Real(0) || sigma->z > Real(0));
  };
  return any(c.cell_spread_A) || any(c.cell_angle_spread_deg);
}

/// Why the sum over steps has no closed form; empty: it has one.
template <class Real>
std::string why_not_closed(const BasicExperiment<Real>& e) {
  const auto is_wide = [](const auto& range) { return range.range.value_or(Real(0)) > Real(0); };
  const auto& beam = e.beam;
  if (e.crystal.shape != CrystalShape::gauss)
    return "the spots of the crystal's blocks are not Gaussian (-gauss_xtal)";
  if (e.crystal.mosaic_model != Distribution::gaussian &&
      e.crystal.mosaic_spread_deg.value_or(Real(0)) > Real(0))
    return "the mosaic spread is not Gaussian (-mosaic_model gaussian)";
  if (has_cell_spread(e.crystal))
    return "the cell differs from domain to domain (-unit_cell_spread, -unit_cell_angle_spread)";
  if (!(e.crystal.diffuse_sigma_A == Vec3<Real>{}))
    return "diffuse scattering is summed step by step (-diffuse_sigma)";
  if (!beam.sources.empty()) return "the light is a list of sources (-sourcefile, -spectrum)";
  if (beam.spectrum_model != Distribution::gaussian && is_wide(beam.dispersion_percent))
    return "the spectrum is not Gaussian (-spectrum_model gaussian)";
  if (beam.divergence_model != Distribution::gaussian &&
      (is_wide(beam.horizontal_divergence_mrad) || is_wide(beam.vertical_divergence_mrad)))
    return "the divergence is not Gaussian (-beam_model gaussian)";
  if (e.structure_factors.grid && e.structure_factors.interpolation == Interpolation::tricubic)
    return "structure factors are interpolated (-interpolate)";
  if (e.structure_factors.grid && e.structure_factors.grid->anomalous() &&
      is_wide(beam.dispersion_percent))
    return "structure factors follow the energy of the light (-model_dmin), which is not all one";
  return {};
}

template <class Real>
Vec3<Real> mosaic_sigmas(const BasicCrystal<Real>& crystal) {
  const Real all = crystal.mosaic_spread_deg.value_or(Real(0));
  const Vec3<Real> deg = crystal.mosaic_spread_axes_deg.value_or(Vec3<Real>{all, all, all});
  return {units::radians_from_degrees(deg.x), units::radians_from_degrees(deg.y),
          units::radians_from_degrees(deg.z)};
}

/// Closed or sampled, with the standard deviations.  Throws UsageError.
template <class Real>
void settle_summation(const BasicExperiment<Real>& e, BasicResolved<Real>& r) {
  const bool gaussian_mosaic = e.crystal.mosaic_model == Distribution::gaussian,
             gaussian = gaussian_mosaic || e.beam.spectrum_model == Distribution::gaussian ||
                        e.beam.divergence_model == Distribution::gaussian;
  const bool insists = e.sampling.summation == Summation::closed;
  if ((gaussian || insists) && !(e.quirks == Quirks::corrected()))
    throw UsageError(
        "Gaussian distributions (-mosaic_model, -spectrum_model, -beam_model) and -summation "
        "closed are not nanoBragg's; give -corrected");
  if (e.crystal.mosaic_spread_axes_deg && !gaussian_mosaic)
    throw UsageError(
        "three mosaic spreads (-mosaic_axes) are those of a Gaussian; give -mosaic_model "
        "gaussian, or one spread (-mosaic)");
  if (gaussian_mosaic) r.spread.mosaic = mosaic_sigmas(e.crystal);
  const double widest_deg = units::degrees_from_radians(std::max(
      {value_of(r.spread.mosaic.x), value_of(r.spread.mosaic.y), value_of(r.spread.mosaic.z)}));
  std::string reason = why_not_closed(e);
  if (insists) {
    if (!reason.empty()) throw UsageError("-summation closed: " + reason);
    r.closed = true;
    r.summation_reason = "-summation closed";
    if (widest_deg > largest_closed_mosaicity_deg)
      r.warnings.push_back("the mosaic spread is more than the " +
                           std::to_string(static_cast<int>(largest_closed_mosaicity_deg)) +
                           " degrees that the closed form is made for: -summation sampled is "
                           "exact");
    return;
  }
  if (!gaussian) return;
  if (reason.empty() && widest_deg > largest_closed_mosaicity_deg)
    reason = "the mosaic spread is larger than " +
             std::to_string(static_cast<int>(largest_closed_mosaicity_deg)) + " degrees";
  if (reason.empty() && e.sampling.summation == Summation::sampled) reason = "-summation sampled";
  r.closed = reason.empty();
  r.summation_reason = r.closed ? "all distributions are Gaussian" : reason;
}

/// Slices that are integrated, in place of steps.
template <class Real>
void integrate_scan(const BasicExperiment<Real>& e, BasicResolved<Real>& r) {
  using std::abs;
  if (e.scan.oscillation_deg.steps.value_or(0) > 1 || e.scan.oscillation_deg.step)
    r.warnings.emplace_back(
        "phi is integrated in closed form: a number of steps (-phisteps, -phistep) has no effect");
  const double degrees = units::degrees_from_radians(abs(value_of(r.scan.range)));
  const double tolerance = 1 - 1e-9;
  r.scan.steps = std::max(1, static_cast<int>(std::ceil(degrees * tolerance / widest_slice_deg)));
  r.scan.step = r.scan.range / Real(r.scan.steps);
}

/// One domain stands for all.
template <class Real>
std::pair<int, Real> closed_mosaicity(const BasicCrystal<Real>& crystal) {
  return {1, units::radians_from_degrees(crystal.mosaic_spread_deg.value_or(Real(0)))};
}

/// The crystal's own right-handed frame: rows along a, c* x a and c*.
template <class Real>
Mat3<Real> crystal_frame(const Mat3<Real>& axes) {
  const Vec3<Real> x = unit(axes.a), z = unit(cross(axes.a, axes.b));
  return {x, cross(z, x), z};
}

/// The rotation of each domain; the vectors along their axes are normal deviates.
template <class Real>
std::vector<Mat3<Real>> gaussian_rotations(int domains, const BasicResolved<Real>& r) {
  if (r.closed || domains == 1) return {Mat3<Real>::identity()};
  const Mat3<Real> frame = crystal_frame(r.axes.real_A);
  std::vector<Mat3<Real>> rotations;
  rotations.reserve(static_cast<std::size_t>(domains));
  for (const Vec3d& n : normal_vectors(domains)) {
    const Vec3<Real> turn = (r.spread.mosaic.x * n.x) * frame.a +
                            (r.spread.mosaic.y * n.y) * frame.b +
                            (r.spread.mosaic.z * n.z) * frame.c;
    const Real angle = length(turn);
    rotations.push_back(angle > Real(0)
                            ? physics::rotation_matrix(Real(Real(1) / angle) * turn, angle)
                            : Mat3<Real>::identity());
  }
  return rotations;
}

/// A range at half maximum and its number of samples; `step` is the standard deviation.
template <class Real>
BasicGrid<Real> gaussian_grid(const SampledRange<Real>& asked, bool closed,
                              const std::string& name) {
  if (asked.step)
    throw UsageError("a step of the " + name +
                     " has no meaning where it is Gaussian; give a range and a number of steps");
  const bool has_range = asked.range && *asked.range > Real(0);
  if (!has_range) {
    if (asked.steps && *asked.steps > 0 && !asked.range)
      throw UsageError("a number of " + name + " steps needs a " + name + " range");
    return {};
  }
  constexpr int usual = 10;
  const int steps = asked.steps.value_or(0) > 0 ? *asked.steps : usual;
  return {closed ? 1 : steps, *asked.range, *asked.range / fwhm_per_sigma};
}

/// Of wavenumbers that are normal deviates about 1/wavelength.
template <class Real>
std::vector<Real> gaussian_wavelengths(const BasicGrid<Real>& dispersion, const Real& wavelength) {
  std::vector<Real> wavelengths;
  for (const NormalPoint& point : normal_points(dispersion.steps))
    wavelengths.push_back(wavelength / (Real(1) + dispersion.step * point.z));
  return wavelengths;
}

/// (horizontal, vertical) [rad], horizontal slowest.
template <class Real>
std::vector<std::array<Real, 2>> gaussian_directions(const BasicGrid<Real>& horizontal,
                                                     const BasicGrid<Real>& vertical) {
  std::vector<std::array<Real, 2>> points;
  const std::vector<NormalPoint> ups = normal_points(vertical.steps);
  for (const NormalPoint& across : normal_points(horizontal.steps))
    for (const NormalPoint& up : ups)
      points.push_back({horizontal.step * across.z, vertical.step * up.z});
  return points;
}

/// The weights of rays that rays_of_grid() made from the above.
template <class Real>
void weigh_rays(const BasicBeam<Real>& beam, BasicResolved<Real>& r) {
  const auto weights = [](Distribution model, const BasicGrid<Real>& grid) {
    return model == Distribution::gaussian
               ? normal_points(grid.steps)
               : std::vector<NormalPoint>(static_cast<std::size_t>(grid.steps), {0, 1});
  };
  const auto of_wavelengths = weights(beam.spectrum_model, r.dispersion);
  const std::size_t wavelengths = of_wavelengths.size();
  for (std::size_t i = 0; i < r.rays.size(); ++i)
    r.rays[i].weight = Real(of_wavelengths[i % wavelengths].weight);
  if (beam.divergence_model != Distribution::gaussian) return;
  const auto across = weights(beam.divergence_model, r.horizontal),
             ups = weights(beam.divergence_model, r.vertical);
  for (std::size_t i = 0; i < r.rays.size(); ++i) {
    const std::size_t direction = i / wavelengths;
    r.rays[i].weight = r.rays[i].weight * Real(across[direction / ups.size()].weight *
                                               ups[direction % ups.size()].weight);
  }
}

}  // namespace nablabragg::model
