// The incident beam: spectrum, divergence, polarization, fluence.
#pragma once
#include <optional>
#include <vector>
#include "nablabragg/sampled_range.hpp"  // for SampledRange
#include "nablabragg/vec3.hpp"           // for Vec3

namespace nablabragg {

/// 1 / r_e^2 [photons/m^2]: with this fluence one electron scatters one photon per steradian.
inline constexpr double default_fluence = 125932015286227086360700780544.0;

/// One ray of a source list.
template <class Real>
struct BasicSource {
  Vec3<Real> position;  ///< from the sample towards the source; only the direction counts
  Real weight{1};       ///< relative intensity
  Real wavelength_A{1};
};

template <class Real>
struct BasicBeam {
  Real wavelength_A{1};
  std::optional<Vec3<Real>> direction;  ///< of propagation; empty: the convention's
  /// By which the light comes in beside this direction: up about the E vector, then sideways about
  /// the vertical, as a ray of a divergent beam.  The detector stays where it is.
  Real tilt_horizontal_mrad{0}, tilt_vertical_mrad{0};
  bool polarization_correction = true;          ///< false: every polarization factor is 1
  Real polarization_fraction{0};                ///< Kahn factor: 0 unpolarized, 1 fully polarized
  std::optional<Vec3<Real>> polarization_axis;  ///< direction of the E vector; empty: the
                                                ///< convention's

  Real fluence_per_m2{default_fluence};  ///< photons; ignored when a flux is given
  std::optional<Real> flux_per_s;        ///< photons; with exposure and size replaces the fluence
  Real exposure_s{1};
  std::optional<Real> size_mm;  ///< edge of the square beam; 0.1 where a number is needed

  /// Full widths; of a Gaussian at half maximum.
  SampledRange<Real> horizontal_divergence_mrad, vertical_divergence_mrad;
  Distribution divergence_model = Distribution::uniform;
  bool round_divergence = true;  ///< only grid points inside the ellipse
  /// Full width of wavelength / wavelength; of a Gaussian, which is one in wavenumber, at half
  /// maximum.
  SampledRange<Real> dispersion_percent;
  Distribution spectrum_model = Distribution::uniform;

  std::vector<BasicSource<Real>> sources;  ///< when not empty, replaces divergence and dispersion
};

using Source = BasicSource<double>;
using Beam = BasicBeam<double>;

}  // namespace nablabragg
