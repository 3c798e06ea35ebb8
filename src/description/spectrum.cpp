#include "nablabragg/spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <string>

#include "description/digits.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg {

double wavelength_A_of(double value, SpectrumUnit unit) {
  switch (unit) {
    case SpectrumUnit::eV:
      return units::angstrom_from_ev(value);
    case SpectrumUnit::keV:
      return units::angstrom_from_ev(1000 * value);
    case SpectrumUnit::angstrom:
      return value;
  }
  return value;
}

void check_channel(double value, double weight, SpectrumUnit unit) {
  if (!(value > 0)) throw UsageError("the energy or wavelength is not positive");
  if (!(weight >= 0))
    throw UsageError(
        "the weight is negative or no number; no channel has less than no light: set such rows to "
        "0");
  const double wavelength = wavelength_A_of(value, unit);
  if (!(wavelength >= plausible::shortest_wavelength_A &&
        wavelength <= plausible::longest_wavelength_A))
    throw UsageError("would be a wavelength of " + description::digits(wavelength) +
                     " Angstrom; check the unit of the first column");
}

Spectrum spectrum_of(std::span<const double> values, std::span<const double> weights,
                     SpectrumUnit unit) {
  if (values.size() != weights.size())
    throw UsageError("there are " + std::to_string(values.size()) + " channels and " +
                     std::to_string(weights.size()) + " weights");
  std::map<double, double, std::greater<>> channels;  // by falling wavelength
  for (std::size_t i = 0; i < values.size(); ++i) {
    check_channel(values[i], weights[i], unit);
    if (weights[i] > 0) channels[wavelength_A_of(values[i], unit)] += weights[i];
  }
  if (channels.empty()) throw UsageError("has no channel with light");
  Spectrum spectrum;
  for (const auto& [wavelength, weight] : channels) {
    spectrum.wavelength_A.push_back(wavelength);
    spectrum.weight.push_back(weight);
  }
  return spectrum;
}

ThinnedSpectrum thinned(const Spectrum& spectrum, int channels) {
  if (channels < 1) throw UsageError("a spectrum has at least one channel");
  std::vector<double> energies;
  for (const double wavelength : spectrum.wavelength_A)
    energies.push_back(units::ev_angstrom / wavelength);
  if (energies.size() <= static_cast<std::size_t>(channels)) return {spectrum, 0};
  const auto [lowest, highest] = std::ranges::minmax(energies);
  struct Channel {
    double weight = 0, energies = 0, squares = 0;
  };
  std::vector<Channel> merged(static_cast<std::size_t>(channels));
  for (std::size_t i = 0; i < energies.size(); ++i) {
    const double place = channels * (energies[i] - lowest) / (highest - lowest);
    Channel& to = merged[std::min(static_cast<std::size_t>(place), merged.size() - 1)];
    // From the lower end, so that squares keep their digits
    const double above = energies[i] - lowest;
    to.weight += spectrum.weight[i];
    to.energies += spectrum.weight[i] * above;
    to.squares += spectrum.weight[i] * above * above;
  }
  ThinnedSpectrum result;
  double moved2 = 0, light = 0;
  for (const Channel& c : merged) {
    if (!(c.weight > 0)) continue;
    const double mean = c.energies / c.weight;
    result.spectrum.wavelength_A.push_back(units::angstrom_from_ev(lowest + mean));
    result.spectrum.weight.push_back(c.weight);
    moved2 += std::max(c.squares - mean * c.energies, 0.0);
    light += c.weight;
  }
  result.moved_eV = std::sqrt(moved2 / light);
  return result;
}

void check_takes_spectrum(const Beam& beam) {
  if (!beam.horizontal_divergence_mrad.empty() || !beam.vertical_divergence_mrad.empty() ||
      !beam.dispersion_percent.empty())
    throw UsageError(
        "a spectrum is of a beam without divergence and dispersion; leave these out, or list "
        "sources");
}

double mean_wavelength_A(const Spectrum& spectrum) {
  const double light = std::accumulate(spectrum.weight.begin(), spectrum.weight.end(), 0.0);
  return std::inner_product(spectrum.weight.begin(), spectrum.weight.end(),
                            spectrum.wavelength_A.begin(), 0.0) /
         light;
}

std::vector<Source> sources_of(const Spectrum& spectrum, const Vec3d& towards_source) {
  std::vector<Source> sources;
  for (std::size_t i = 0; i < spectrum.weight.size(); ++i)
    sources.push_back({towards_source, spectrum.weight[i], spectrum.wavelength_A[i]});
  return sources;
}

}  // namespace nablabragg
