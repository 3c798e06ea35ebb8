// Random bits that depend on a key and a number alone, in whatever order they are asked for.
#pragma once
#include <cstdint>

namespace nablabragg::readout {

/// 64 well-mixed bits of a counter (SplitMix64's output function, a bijection).
constexpr std::uint64_t mixed(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

/// What the counter of SplitMix64 grows by.
inline constexpr std::uint64_t golden = 0x9e3779b97f4a7c15U;

}  // namespace nablabragg::readout
