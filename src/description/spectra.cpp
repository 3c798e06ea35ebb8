#include "nablabragg/spectra.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "description/digits.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace {

std::string place(std::size_t row, std::size_t channel) {
  return "weights[" + std::to_string(row) + ", " + std::to_string(channel) + "] (row " +
         std::to_string(row + 1) + ", channel " + std::to_string(channel + 1) + ")";
}

/// The axis in wavelengths, and the channels in their order: those of equal wavelengths follow each
/// other.
struct Axis {
  std::vector<double> wavelength_A;
  std::vector<std::size_t> order;
};

Axis axis_of(std::span<const double> values, SpectrumUnit unit) {
  if (values.empty()) throw UsageError("the axis has no channels");
  Axis axis;
  for (std::size_t i = 0; i < values.size(); ++i) {
    try {
      check_channel(values[i], 0, unit);
    } catch (const UsageError& error) {
      throw UsageError("axis[" + std::to_string(i) + "] (channel " + std::to_string(i + 1) +
                       ") is " + description::digits(values[i]) + ": " + error.what());
    }
    axis.wavelength_A.push_back(wavelength_A_of(values[i], unit));
  }
  axis.order.resize(values.size());
  std::iota(axis.order.begin(), axis.order.end(), std::size_t{0});
  std::ranges::stable_sort(axis.order, std::ranges::greater(),
                           [&](std::size_t i) { return axis.wavelength_A[i]; });
  return axis;
}

}  // namespace

Spectra::Spectra(std::span<const double> axis, std::span<const double> weights, SpectrumUnit unit,
                 const SpectraOptions& options)
    : options_(options) {
  const Axis measured = axis_of(axis, unit);
  const std::size_t measured_channels = axis.size(), rows = weights.size() / measured_channels;
  if (weights.empty() || rows * measured_channels != weights.size())
    throw UsageError("the axis has " + std::to_string(measured_channels) + " channels, and " +
                     std::to_string(weights.size()) + " weights are no whole number of shots");
  // Channels of the same wavelength are one.
  std::vector<std::size_t> channel_of(measured_channels);
  for (const std::size_t i : measured.order) {
    if (wavelength_A_.empty() || wavelength_A_.back() != measured.wavelength_A[i])
      wavelength_A_.push_back(measured.wavelength_A[i]);
    channel_of[i] = wavelength_A_.size() - 1;
  }
  weights_.resize(rows * wavelength_A_.size());
  for (std::size_t row = 0; row < rows; ++row) {
    const std::span<const double> given = weights.subspan(row * measured_channels,
                                                          measured_channels);
    const std::span<double> taken = std::span(weights_).subspan(row * wavelength_A_.size(),
                                                                wavelength_A_.size());
    double light = 0;
    for (std::size_t i = 0; i < measured_channels; ++i) {
      if (!(given[i] >= 0 && std::isfinite(given[i])))
        throw UsageError(place(row, i) + " is " + description::digits(given[i]) +
                         ", and no channel has less than no light or one without a number: set "
                         "such weights to 0");
      taken[channel_of[i]] += given[i];
      light += given[i];
    }
    if (!(light > 0 && std::isfinite(light)))
      throw UsageError("weights[" + std::to_string(row) + "] (row " + std::to_string(row + 1) +
                       ") has no channel with light, and its image would be dark: leave such "
                       "shots out");
    relative_light_.push_back(light);
  }
  if (options_.light == ShotLight::absolute) {
    const double mean = std::accumulate(relative_light_.begin(), relative_light_.end(), 0.0) /
                        static_cast<double>(rows);
    for (double& light : relative_light_) light /= mean;
  } else {
    std::ranges::fill(relative_light_, 1.0);
  }
  for (int i = 0; i < shots(); ++i) {
    const ThinnedSpectrum shot = thinned_row(row(i));
    most_channels_ = std::max(most_channels_, shot.spectrum.weight.size());
    moved_eV_ = std::max(moved_eV_, shot.moved_eV);
  }
}

std::span<const double> Spectra::row(int i) const {
  if (i < 0 || i >= shots())
    throw UsageError("there is no shot " + std::to_string(i) + " among " + std::to_string(shots()) +
                     " spectra");
  return weights().subspan(static_cast<std::size_t>(i) * wavelength_A_.size(),
                           wavelength_A_.size());
}

ThinnedSpectrum Spectra::thinned_row(std::span<const double> weights) const {
  Spectrum spectrum;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    spectrum.wavelength_A.push_back(wavelength_A_[i]);
    spectrum.weight.push_back(weights[i]);
  }
  return options_.channels ? thinned(spectrum, *options_.channels)
                           : ThinnedSpectrum{std::move(spectrum), 0};
}

Spectrum Spectra::shot(int i) const { return thinned_row(row(i)).spectrum; }

double Spectra::relative_light(int i) const {
  row(i);
  return relative_light_[static_cast<std::size_t>(i)];
}

Spectrum Spectra::mean() const {
  std::vector<double> sums(wavelength_A_.size());
  for (int i = 0; i < shots(); ++i) {
    const std::span<const double> weights = row(i);
    // Of relative light each shot has as much as any other.
    const double scale = relative_light(i) / std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += scale * weights[k];
  }
  return thinned_row(sums).spectrum;
}

}  // namespace nablabragg
