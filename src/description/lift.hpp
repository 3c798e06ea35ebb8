// An experiment in another number type.
#pragma once
#include <optional>
#include <type_traits>
#include "nablabragg/experiment.hpp"

namespace nablabragg::description {

template <class Real>
struct Lift {
  Real operator()(double x) const { return Real(x); }
  Vec3<Real> operator()(const Vec3d& v) const { return {Real(v.x), Real(v.y), Real(v.z)}; }
  Mat3<Real> operator()(const Mat3d& m) const { return {(*this)(m.a), (*this)(m.b), (*this)(m.c)}; }
  SampledRange<Real> operator()(const SampledRange<double>& r) const {
    return {(*this)(r.range), (*this)(r.step), r.steps};
  }
  BasicSource<Real> operator()(const Source& s) const {
    return {(*this)(s.position), (*this)(s.weight), (*this)(s.wavelength_A)};
  }
  BasicUnitCell<Real> operator()(const UnitCell& c) const {
    return {Real(c.a_A),       Real(c.b_A),      Real(c.c_A),
            Real(c.alpha_deg), Real(c.beta_deg), Real(c.gamma_deg)};
  }
  template <class T>
  auto operator()(const std::optional<T>& x) const {
    using Lifted = std::remove_cvref_t<decltype((*this)(*x))>;
    return x ? std::optional<Lifted>((*this)(*x)) : std::nullopt;
  }

  BasicBeam<Real> operator()(const Beam& b) const {
    BasicBeam<Real> out;
    out.wavelength_A = (*this)(b.wavelength_A);
    out.direction = (*this)(b.direction);
    out.polarization_correction = b.polarization_correction;
    out.polarization_fraction = (*this)(b.polarization_fraction);
    out.polarization_axis = (*this)(b.polarization_axis);
    out.fluence_per_m2 = (*this)(b.fluence_per_m2);
    out.flux_per_s = (*this)(b.flux_per_s);
    out.exposure_s = (*this)(b.exposure_s);
    out.size_mm = (*this)(b.size_mm);
    out.horizontal_divergence_mrad = (*this)(b.horizontal_divergence_mrad);
    out.vertical_divergence_mrad = (*this)(b.vertical_divergence_mrad);
    out.round_divergence = b.round_divergence;
    out.dispersion_percent = (*this)(b.dispersion_percent);
    for (const Source& source : b.sources) out.sources.push_back((*this)(source));
    return out;
  }

  BasicCrystal<Real> operator()(const Crystal& c) const {
    BasicCrystal<Real> out;
    out.cell = (*this)(c.cell);
    out.mosflm_matrix = (*this)(c.mosflm_matrix);
    out.misset_deg = (*this)(c.misset_deg);
    out.random_misset_seed = c.random_misset_seed;
    out.cells = (*this)(c.cells);
    out.size_mm = (*this)(c.size_mm);
    out.shape = c.shape;
    out.fudge = (*this)(c.fudge);
    out.mosaic_spread_deg = (*this)(c.mosaic_spread_deg);
    out.mosaic_domains = c.mosaic_domains;
    out.mosaic_seed = c.mosaic_seed;
    return out;
  }

  BasicDetector<Real> operator()(const Detector& d) const {
    BasicDetector<Real> out;
    out.convention = d.convention;
    out.fast_pixels = d.fast_pixels;
    out.slow_pixels = d.slow_pixels;
    out.fast_size_mm = (*this)(d.fast_size_mm);
    out.slow_size_mm = (*this)(d.slow_size_mm);
    out.pixel_mm = (*this)(d.pixel_mm);
    out.distance_mm = (*this)(d.distance_mm);
    out.close_distance_mm = (*this)(d.close_distance_mm);
    out.pivot = d.pivot;
    out.beam_x_mm = (*this)(d.beam_x_mm);
    out.beam_y_mm = (*this)(d.beam_y_mm);
    out.close_x_mm = (*this)(d.close_x_mm);
    out.close_y_mm = (*this)(d.close_y_mm);
    out.org_x_px = (*this)(d.org_x_px);
    out.org_y_px = (*this)(d.org_y_px);
    out.origin_m = (*this)(d.origin_m);
    out.fast_axis = (*this)(d.fast_axis);
    out.slow_axis = (*this)(d.slow_axis);
    out.normal = (*this)(d.normal);
    out.two_theta_axis = (*this)(d.two_theta_axis);
    out.rotation_deg = (*this)(d.rotation_deg);
    out.two_theta_deg = (*this)(d.two_theta_deg);
    out.curved = d.curved;
    out.point_pixel = d.point_pixel;
    out.sensor_thickness_um = (*this)(d.sensor_thickness_um);
    out.attenuation_depth_um = (*this)(d.attenuation_depth_um);
    out.sensor_layers = d.sensor_layers;
    return out;
  }

  BasicExperiment<Real> operator()(const Experiment& e) const {
    BasicExperiment<Real> out;
    out.beam = (*this)(e.beam);
    out.crystal = (*this)(e.crystal);
    out.detector = (*this)(e.detector);
    out.scan.phi_deg = (*this)(e.scan.phi_deg);
    out.scan.oscillation_deg = (*this)(e.scan.oscillation_deg);
    out.scan.spindle_axis = (*this)(e.scan.spindle_axis);
    out.sampling = e.sampling;
    out.structure_factors = e.structure_factors;
    out.water_um = (*this)(e.water_um);
    out.quirks = e.quirks;
    return out;
  }
};

template <class Real>
BasicExperiment<Real> lifted(const Experiment& e) {
  return Lift<Real>()(e);
}

}  // namespace nablabragg::description
