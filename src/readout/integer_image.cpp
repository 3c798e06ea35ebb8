// Expected photons -> the integers of an image file, rounded as nanoBragg rounds them.
#include "readout/integer_image.hpp"

#include <algorithm>
#include <cstddef>  // for std::size_t

namespace nablabragg::readout {

namespace {

constexpr double largest = 65535;

}  // namespace

double integer_scale(double asked, double max) {
  constexpr double brightest = 55000;
  if (asked > 0) return asked;
  return max > 0 ? brightest / max : 1;
}

double greymap_scale(double asked, double rmsd, double integer_scale) {
  if (asked > 0) return asked;
  return rmsd > 0 ? 250 / (5 * rmsd) : integer_scale;
}

// No branch, so that the compiler may convert several pixels at a time; and through int, which
// truncates in one instruction.
std::uint16_t to_integer(float value, double scale, double adc) {
  const double v = static_cast<double>(value) * scale + adc;
  const double within = v > 0 ? std::min(v, largest) : 0.0;  // not a number becomes 0
  // Through float: near 65535 that rounds to 1/128 and so moves the border between two integers.
  // NOLINTNEXTLINE(bugprone-incorrect-roundings): nanoBragg's, and nothing here is negative
  return static_cast<std::uint16_t>(static_cast<int>(static_cast<float>(within + 0.5)));
}

std::uint8_t to_grey(float value, double scale) {
  const double v = static_cast<double>(value) * scale;
  return static_cast<std::uint8_t>(static_cast<int>(v > 0 ? std::min(v, 255.0) : 0.0));
}

void to_integers(std::span<const float> values, double scale, double adc,
                 std::span<std::uint16_t> integers) {
  for (std::size_t i = 0; i < values.size(); ++i) integers[i] = to_integer(values[i], scale, adc);
}

void to_greys(std::span<const float> values, double scale, std::span<std::uint8_t> greys) {
  for (std::size_t i = 0; i < values.size(); ++i) greys[i] = to_grey(values[i], scale);
}

std::uint16_t to_counts(double photons, double adc, std::int64_t& overloads) {
  const double v = photons + adc;
  if (v > largest) {
    ++overloads;
    return static_cast<std::uint16_t>(largest);
  }
  return v > 0 ? static_cast<std::uint16_t>(v) : std::uint16_t{0};
}

}  // namespace nablabragg::readout
