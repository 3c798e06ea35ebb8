// Expected photons -> the integers of an image file.
#pragma once
#include <cstdint>
#include <span>

namespace nablabragg::readout {

/// `asked` where positive; else what brings the largest pixel to 55000; else 1.
double integer_scale(double asked, double max);

/// `asked` where positive; else what brings five standard deviations to 250; else `integer_scale`.
double greymap_scale(double asked, double rmsd, double integer_scale);

/// value x scale + adc, clamped to 0..65535 and rounded as nanoBragg rounds (through float).
std::uint16_t to_integer(float value, double scale, double adc);

/// min(255, value x scale), truncated; negative and not-a-number give 0.
std::uint8_t to_grey(float value, double scale);

/// The same for every pixel of a row.
void to_integers(std::span<const float> values, double scale, double adc,
                 std::span<std::uint16_t> integers);
void to_greys(std::span<const float> values, double scale, std::span<std::uint8_t> greys);

/// photons + adc, truncated; above 65535 it saturates and `overloads` is counted up.
std::uint16_t to_counts(double photons, double adc, std::int64_t& overloads);

}  // namespace nablabragg::readout
