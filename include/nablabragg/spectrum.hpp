// The spectrum of the beam as a file states it: energies or wavelengths and how much light each
// has.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/vec3.hpp"  // for Vec3d

namespace nablabragg {

enum class SpectrumUnit { eV, keV, angstrom };

/// One number each for every channel, by falling wavelength; weights are positive.
struct Spectrum {
  std::vector<double> wavelength_A, weight;
};

/// Of an energy or wavelength.
double wavelength_A_of(double value, SpectrumUnit unit);

/// Throws UsageError for an energy or wavelength that is not positive or no X-ray, and for a
/// negative weight.
void check_channel(double value, double weight, SpectrumUnit unit);

/// Of energies or wavelengths in any order, those of weight 0 left out and equal ones as one.
/// Throws UsageError for what is not positive or no X-ray, for negative weights and for no light.
Spectrum spectrum_of(std::span<const double> values, std::span<const double> weights,
                     SpectrumUnit unit);

/// A text of two columns, energy or wavelength and weight, in any order of rows; white space,
/// commas and semicolons separate columns.  The unit is what a line before the rows says (eV, keV,
/// Angstrom, or A beside the word wavelength or lambda), or `unit`.  Channels of weight 0 are left
/// out; rows of the same energy are one channel.  Throws InputError for a file that states no unit,
/// or several, where `unit` is empty, and for rows that are none.
Spectrum read_spectrum(const std::string& path, std::optional<SpectrumUnit> unit = std::nullopt);

struct ThinnedSpectrum {
  Spectrum spectrum;
  /// By how much the energy of the light has moved, root of the mean square [eV].
  double moved_eV = 0;
};

/// As many channels at most, of equal widths in energy: the light of a channel goes to its mean
/// energy, so that none is lost and the mean energy stays.  Throws UsageError for no channels.
ThinnedSpectrum thinned(const Spectrum& spectrum, int channels);

/// By weight.
double mean_wavelength_A(const Spectrum& spectrum);

/// Throws UsageError for a beam that has divergence or dispersion, which a spectrum takes the place
/// of.
void check_takes_spectrum(const Beam& beam);

/// The experiment in a beam of one direction with this spectrum, and its mean as the wavelength; a
/// lattice that is given as a matrix stays as it is.  Sensors attenuate as their material does at
/// that wavelength, unless another attenuation depth is stated.  Throws UsageError for an
/// experiment that has divergence or dispersion.
Experiment with_spectrum(const Experiment& experiment, const Spectrum& spectrum);

/// Sources that all stand where `towards_source` leads from the sample.
std::vector<Source> sources_of(const Spectrum& spectrum, const Vec3d& towards_source);

}  // namespace nablabragg
