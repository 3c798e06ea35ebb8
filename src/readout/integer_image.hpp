// Expected photons -> the integers of an image file.
#pragma once
#include <cstdint>
#include <span>
#include "nablabragg/vec3.hpp"  // for NABLA_INLINE

namespace nablabragg::readout {

/// `asked` where positive; else what brings the largest pixel to 55000; else 1.
double integer_scale(double asked, double max);

/// `asked` where positive; else what brings five standard deviations to 250; else `integer_scale`.
double greymap_scale(double asked, double rmsd, double integer_scale);

inline constexpr double largest_integer = 65535;

// No branches, so that compilers convert several pixels at a time; and through int, which truncates
// in one instruction.

/// value x scale + adc, clamped to 0..65535 and rounded as nanoBragg rounds (through float).
NABLA_INLINE std::uint16_t to_integer(float value, double scale, double adc) {
  const double v = static_cast<double>(value) * scale + adc;
  const double positive = v > 0 ? v : 0.0;  // not a number becomes 0
  const double within = positive < largest_integer ? positive : largest_integer;
  // Through float: near 65535 that rounds to 1/128 and so moves the border between two integers.
  // NOLINTNEXTLINE(bugprone-incorrect-roundings): nanoBragg's, and nothing here is negative
  return static_cast<std::uint16_t>(static_cast<int>(static_cast<float>(within + 0.5)));
}

/// min(255, value x scale), truncated; negative and not-a-number give 0.
NABLA_INLINE std::uint8_t to_grey(float value, double scale) {
  const double v = static_cast<double>(value) * scale;
  const double positive = v > 0 ? v : 0.0;
  return static_cast<std::uint8_t>(static_cast<int>(positive < 255 ? positive : 255.0));
}

/// photons + adc, truncated; above 65535 it saturates.
NABLA_INLINE bool saturates(double photons, double adc) { return photons + adc > largest_integer; }
NABLA_INLINE std::uint16_t to_count(double photons, double adc) {
  const double v = photons + adc;
  const double positive = v > 0 ? v : 0.0;
  return static_cast<std::uint16_t>(
      static_cast<int>(positive < largest_integer ? positive : largest_integer));
}

/// The same for every pixel of a row.
void to_integers(std::span<const float> values, double scale, double adc,
                 std::span<std::uint16_t> integers);
void to_greys(std::span<const float> values, double scale, std::span<std::uint8_t> greys);
/// Returns how many saturate.
std::int64_t to_counts(std::span<const double> photons, double adc,
                       std::span<std::uint16_t> counts);
/// Of a row whose photons may be added in any order.
double sum_of(std::span<const double> photons);

}  // namespace nablabragg::readout
