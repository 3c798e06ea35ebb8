// The parameters of an experiment: which there are, and where their numbers lie.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/parameters.hpp"

namespace nablabragg::description {

/// The experiment with every choice that the program would make stated, so that each of its
/// parameters has a number and counts stay what they are when it changes.
Experiment settled(const Experiment& experiment);

/// parameter() of an experiment that is settled already.
Parameter parameter_of(const Experiment& settled, std::string_view name);

/// Calls visit(name, unit, shape, numbers) for each parameter of a settled experiment, where
/// numbers(e, f) calls f for each of its numbers in an experiment of any number type.
template <class Visit>
void for_each_parameter(const Experiment& e, Visit&& visit) {
  using Shape = std::vector<std::size_t>;
  const Shape number{}, vector{3}, pair{2}, matrix{3, 3};
  const auto along = [](auto& v, auto&& f) {
    f(v.x);
    f(v.y);
    f(v.z);
  };
  const Beam& beam = e.beam;
  const Crystal& crystal = e.crystal;
  const Detector& detector = e.detector;
  const bool origin_given = detector.origin_m && !e.quirks.pix0_ignored;

  // Crystal
  if (crystal.cell)
    visit("cell", "A A A deg deg deg", Shape{6}, [](auto& x, auto&& f) {
      auto& cell = *x.crystal.cell;
      f(cell.a_A);
      f(cell.b_A);
      f(cell.c_A);
      f(cell.alpha_deg);
      f(cell.beta_deg);
      f(cell.gamma_deg);
    });
  if (crystal.mosflm_matrix)
    visit("a_matrix", "", matrix, [along](auto& x, auto&& f) {
      along(x.crystal.mosflm_matrix->a, f);
      along(x.crystal.mosflm_matrix->b, f);
      along(x.crystal.mosflm_matrix->c, f);
    });
  if (!crystal.random_misset_seed)
    visit("misset", "deg deg deg", vector,
          [along](auto& x, auto&& f) { along(x.crystal.misset_deg, f); });
  visit("cells", "", vector, [along](auto& x, auto&& f) { along(x.crystal.cells, f); });
  if (crystal.shape != CrystalShape::square)
    visit("fudge", "", number, [](auto& x, auto&& f) { f(x.crystal.fudge); });
  if (crystal.mosaic_spread_deg && *crystal.mosaic_spread_deg > 0)
    visit("mosaic_spread", "deg", number,
          [](auto& x, auto&& f) { f(*x.crystal.mosaic_spread_deg); });

  // Scan
  visit("phi", "deg", number, [](auto& x, auto&& f) { f(x.scan.phi_deg); });
  if (e.scan.oscillation_deg.range && *e.scan.oscillation_deg.range > 0)
    visit("oscillation", "deg", number,
          [](auto& x, auto&& f) { f(*x.scan.oscillation_deg.range); });
  visit("spindle_axis", "", vector, [along](auto& x, auto&& f) { along(*x.scan.spindle_axis, f); });

  // Beam
  if (beam.sources.empty()) {
    // The lattice behind a matrix, which holds reciprocal axes times the wavelength, stays.
    visit("wavelength", "A", number, [along](auto& x, auto&& f) {
      const auto before = x.beam.wavelength_A;
      f(x.beam.wavelength_A);
      if (!x.crystal.mosflm_matrix) return;
      const auto stretch = [&](auto& entry) { entry = entry * (x.beam.wavelength_A / before); };
      along(x.crystal.mosflm_matrix->a, stretch);
      along(x.crystal.mosflm_matrix->b, stretch);
      along(x.crystal.mosflm_matrix->c, stretch);
    });
    if (beam.dispersion_percent.range && *beam.dispersion_percent.range > 0)
      visit("dispersion", "percent", number,
            [](auto& x, auto&& f) { f(*x.beam.dispersion_percent.range); });
    if (beam.horizontal_divergence_mrad.range && *beam.horizontal_divergence_mrad.range > 0)
      visit("horizontal_divergence", "mrad", number,
            [](auto& x, auto&& f) { f(*x.beam.horizontal_divergence_mrad.range); });
    if (beam.vertical_divergence_mrad.range && *beam.vertical_divergence_mrad.range > 0)
      visit("vertical_divergence", "mrad", number,
            [](auto& x, auto&& f) { f(*x.beam.vertical_divergence_mrad.range); });
  } else {
    const std::size_t n = beam.sources.size();
    visit("source_directions", "", Shape{n, 3}, [along](auto& x, auto&& f) {
      for (auto& source : x.beam.sources) along(source.position, f);
    });
    visit("source_weights", "", Shape{n}, [](auto& x, auto&& f) {
      for (auto& source : x.beam.sources) f(source.weight);
    });
    visit("source_wavelengths", "A", Shape{n}, [](auto& x, auto&& f) {
      for (auto& source : x.beam.sources) f(source.wavelength_A);
    });
  }
  visit("beam_direction", "", vector, [along](auto& x, auto&& f) { along(*x.beam.direction, f); });
  if (beam.polarization_correction)
    visit("polarization", "", number, [](auto& x, auto&& f) { f(x.beam.polarization_fraction); });
  visit("polarization_axis", "", vector,
        [along](auto& x, auto&& f) { along(*x.beam.polarization_axis, f); });
  if (beam.flux_per_s && *beam.flux_per_s != 0 && beam.exposure_s > 0) {
    visit("flux", "photons/s", number, [](auto& x, auto&& f) { f(*x.beam.flux_per_s); });
    visit("exposure", "s", number, [](auto& x, auto&& f) { f(x.beam.exposure_s); });
    visit("beam_size", "mm", number, [](auto& x, auto&& f) { f(*x.beam.size_mm); });
  } else {
    visit("fluence", "photons/m^2", number, [](auto& x, auto&& f) { f(x.beam.fluence_per_m2); });
  }

  // Detector
  if (origin_given)
    visit("origin", "m m m", vector,
          [along](auto& x, auto&& f) { along(*x.detector.origin_m, f); });
  else if (detector.close_distance_mm)
    visit("close_distance", "mm", number,
          [](auto& x, auto&& f) { f(*x.detector.close_distance_mm); });
  else
    visit("distance", "mm", number, [](auto& x, auto&& f) { f(x.detector.distance_mm); });
  if (!origin_given) {
    if (detector.beam_x_mm && detector.beam_y_mm)
      visit("beam_center", "mm mm", pair, [](auto& x, auto&& f) {
        f(*x.detector.beam_x_mm);
        f(*x.detector.beam_y_mm);
      });
    if (detector.close_x_mm && detector.close_y_mm)
      visit("near_point", "mm mm", pair, [](auto& x, auto&& f) {
        f(*x.detector.close_x_mm);
        f(*x.detector.close_y_mm);
      });
    if (detector.org_x_px && detector.org_y_px)
      visit("org", "px px", pair, [](auto& x, auto&& f) {
        f(*x.detector.org_x_px);
        f(*x.detector.org_y_px);
      });
  }
  if (detector.fast_axis)
    visit("fast_axis", "", vector, [along](auto& x, auto&& f) { along(*x.detector.fast_axis, f); });
  if (detector.slow_axis)
    visit("slow_axis", "", vector, [along](auto& x, auto&& f) { along(*x.detector.slow_axis, f); });
  visit("detector_rotation", "deg deg deg", vector,
        [along](auto& x, auto&& f) { along(x.detector.rotation_deg, f); });
  visit("two_theta", "deg", number, [](auto& x, auto&& f) { f(x.detector.two_theta_deg); });
  visit("two_theta_axis", "", vector,
        [along](auto& x, auto&& f) { along(*x.detector.two_theta_axis, f); });
  visit("pixel_size", "mm", number, [](auto& x, auto&& f) { f(x.detector.pixel_mm); });
  if (detector.sensor_thickness_um > 0 && detector.attenuation_depth_um &&
      *detector.attenuation_depth_um > 0 && *detector.attenuation_depth_um < 1e300) {
    visit("sensor_thickness", "um", number,
          [](auto& x, auto&& f) { f(x.detector.sensor_thickness_um); });
    visit("attenuation_depth", "um", number,
          [](auto& x, auto&& f) { f(*x.detector.attenuation_depth_um); });
  }
  if (e.water_um != 0) visit("water", "um", number, [](auto& x, auto&& f) { f(x.water_um); });
}

/// default_F is a parameter as well, but no number type other than double ever holds it.
inline constexpr std::string_view default_F_name = "default_F";

}  // namespace nablabragg::description
