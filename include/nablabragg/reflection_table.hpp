// From lists of reflections to the table of the pixel loop, and what the lists say twice.
#pragma once
#include <span>
#include <string>
#include "nablabragg/structure_factors.hpp"

namespace nablabragg {

/// Reflections that stand in a list more than once; the last of them counts.
struct Repeats {
  long reflections = 0;    ///< indices that stand there several times
  long contradicting = 0;  ///< those of them with several amplitudes
  MillerIndex first_contradiction{};
};

/// As StructureFactorGrid::from_reflections(); also counts what stands there several times.
StructureFactorGrid grid_of(std::span<const Reflection> reflections, double fill, Repeats& repeats,
                            std::size_t max_bytes = StructureFactorGrid::default_max_bytes());

/// In a sentence; empty where none contradict.
std::string notice_of(const Repeats& repeats);

}  // namespace nablabragg
