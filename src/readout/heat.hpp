// Colours of pictures.
#pragma once
#include <array>

namespace nablabragg::readout {

/// Red, green and blue of sRGB, each from 0 to 1.
using Rgb = std::array<double, 3>;

/// The colour of a level from 0 to 1: black, violet, red, orange, white, each of the same distance
/// in CIELAB from the one before.
Rgb heat(double level);

}  // namespace nablabragg::readout
