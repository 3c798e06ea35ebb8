// Expected photons -> the integers of an image file, rounded as nanoBragg rounds them.
#include "readout/integer_image.hpp"

#include "readout/row_kernels.hpp"

namespace nablabragg::readout {

double integer_scale(double asked, double max) {
  constexpr double brightest = 55000;
  if (asked > 0) return asked;
  return max > 0 ? brightest / max : 1;
}

double greymap_scale(double asked, double rmsd, double integer_scale) {
  if (asked > 0) return asked;
  return rmsd > 0 ? 250 / (5 * rmsd) : integer_scale;
}

void to_integers(std::span<const float> values, double scale, double adc,
                 std::span<std::uint16_t> integers) {
  row_kernels().to_integers(values.data(), values.size(), scale, adc, integers.data());
}

void to_greys(std::span<const float> values, double scale, std::span<std::uint8_t> greys) {
  row_kernels().to_greys(values.data(), values.size(), scale, greys.data());
}

std::int64_t to_counts(std::span<const double> photons, double adc,
                       std::span<std::uint16_t> counts) {
  return row_kernels().to_counts(photons.data(), photons.size(), adc, counts.data());
}

double sum_of(std::span<const double> photons) {
  return row_kernels().sum_of(photons.data(), photons.size());
}

}  // namespace nablabragg::readout
