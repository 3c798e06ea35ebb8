// Bounds of what an X-ray experiment can be, wherever a number of one is looked at.
#pragma once

namespace nablabragg::plausible {

/// Wavelengths of X-rays [Angstrom].
inline constexpr double shortest_wavelength_A = 0.01, longest_wavelength_A = 100;
/// Edges of the unit cell of any crystal [Angstrom].
inline constexpr double shortest_edge_A = 2, longest_edge_A = 10000;
/// Edges of a pixel [mm]: 1 nm, which only a thought experiment has, and 10 cm, a whole panel.
inline constexpr double smallest_pixel_mm = 1e-6, largest_pixel_mm = 100;
/// From the sample to a panel [mm]: a crystal on the sensor itself, and 1 km.
inline constexpr double nearest_mm = 1e-3, farthest_mm = 1e6;
/// Places on a panel, counted from anywhere [px].
inline constexpr double most_pixels = 1e7;
/// Angles that are turned through [degrees]; of more, sine and cosine lose the digits.
inline constexpr double most_degrees = 1e6;
/// Relative differences between what a file and a flag say: worth a word; of another experiment.
inline constexpr double notable_difference = 0.01, refused_difference = 0.05;

}  // namespace nablabragg::plausible
