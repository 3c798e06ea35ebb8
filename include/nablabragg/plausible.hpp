// Bounds of what an X-ray experiment can be, wherever a number of one is looked at.
#pragma once

namespace nablabragg::plausible {

/// Wavelengths of X-rays [Angstrom].
inline constexpr double shortest_wavelength_A = 0.01, longest_wavelength_A = 100;
/// Edges of the unit cell of any crystal [Angstrom].
inline constexpr double shortest_edge_A = 2, longest_edge_A = 10000;
/// Relative differences between what a file and a flag say: worth a word; of another experiment.
inline constexpr double notable_difference = 0.01, refused_difference = 0.05;

}  // namespace nablabragg::plausible
