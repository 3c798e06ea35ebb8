// Photons to the integers of an image file, a row at a time.  This file is compiled once for each
// instruction set, all of it in the namespace of that set; the loops are the compiler's to
// vectorise.
#include <hwy/highway.h>  // for HWY_NAMESPACE

#include "readout/integer_image.hpp"
#include "readout/row_kernels.hpp"

namespace nablabragg::readout::HWY_NAMESPACE {

void to_integers(const float* values, std::size_t pixels, double scale, double adc,
                 std::uint16_t* integers) {
  for (std::size_t i = 0; i < pixels; ++i) integers[i] = readout::to_integer(values[i], scale, adc);
}

void to_greys(const float* values, std::size_t pixels, double scale, std::uint8_t* greys) {
  for (std::size_t i = 0; i < pixels; ++i) greys[i] = readout::to_grey(values[i], scale);
}

std::int64_t to_counts(const double* photons, std::size_t pixels, double adc,
                       std::uint16_t* counts) {
  std::int64_t overloads = 0;
  for (std::size_t i = 0; i < pixels; ++i) {
    overloads += saturates(photons[i], adc) ? 1 : 0;
    counts[i] = readout::to_count(photons[i], adc);
  }
  return overloads;
}

double sum_of(const double* photons, std::size_t pixels) {
  constexpr std::size_t sums = 8;
  double sum[sums] = {};
  std::size_t i = 0;
  for (; i + sums <= pixels; i += sums)
    for (std::size_t k = 0; k < sums; ++k) sum[k] += photons[i + k];
  for (; i < pixels; ++i) sum[0] += photons[i];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

}  // namespace nablabragg::readout::HWY_NAMESPACE
