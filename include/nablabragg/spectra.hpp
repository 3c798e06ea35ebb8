// The spectra of many shots, as the spectrometer of an X-ray laser measures them: a row of weights
// for each.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/spectrum.hpp"

namespace nablabragg {

/// What the sum of a shot's weights says.
enum class ShotLight {
  relative,  ///< nothing: every shot has the fluence of the experiment
  absolute   ///< its photons: the fluence of the experiment is that of the mean shot
};

/// How rows of weights become spectra.
struct SpectraOptions {
  std::optional<int> channels;  ///< thins each shot, as thinned() does; empty: not
  ShotLight light = ShotLight::relative;
};

/// Shots that have one axis of energies or wavelengths.
class Spectra {
 public:
  /// `axis` in any order; `weights` has as many numbers for each shot, shot by shot.  Throws
  /// UsageError that names the number for an axis that is not positive or of no X-rays, for weights
  /// that are negative or no numbers, and for shots without light.
  Spectra(std::span<const double> axis, std::span<const double> weights, SpectrumUnit unit,
          const SpectraOptions& options = {});

  int shots() const { return static_cast<int>(relative_light_.size()); }
  /// What spectrum_of(), and thinned() where that was asked for, make of the shot's row.  Throws
  /// UsageError for a shot that there is not.
  Spectrum shot(int i) const;
  /// Photons of the shot over those of the mean one; 1 of relative light.
  double relative_light(int i) const;
  /// Of all shots together.
  Spectrum mean() const;

  const SpectraOptions& options() const { return options_; }
  /// The most channels that a shot has.
  std::size_t most_channels() const { return most_channels_; }
  /// By how much thinning has moved the light of the shot that it moved most, root of the mean
  /// square [eV].
  double moved_eV() const { return moved_eV_; }

  /// The axis that was measured, by falling wavelength, and the weights on it, shot by shot.
  const std::vector<double>& wavelength_A() const { return wavelength_A_; }
  std::span<const double> weights() const { return weights_; }

 private:
  ThinnedSpectrum thinned_row(std::span<const double> weights) const;
  std::span<const double> row(int i) const;

  SpectraOptions options_;
  std::vector<double> wavelength_A_, weights_;
  std::vector<double> relative_light_;
  std::size_t most_channels_ = 0;
  double moved_eV_ = 0;
};

/// From HDF5 or numpy's .npz: an array of weights [shots, channels] and, beside it, an axis of
/// energies or wavelengths (docs/series.md).  `path` is that of the file, or of file and data set,
/// "FILE:/path/of/weights".  The unit is what the name or the attribute `units` of the axis says,
/// or `unit`.  Throws InputError for a file that states no unit, or two, where `unit` is empty, and
/// for what is no spectra.
Spectra read_spectra(const std::string& path, std::optional<SpectrumUnit> unit = std::nullopt,
                     const SpectraOptions& options = {});

}  // namespace nablabragg
