// What the JSON of an experiment says the same in both directions.
#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include "nablabragg/structure_factors.hpp"

namespace nablabragg::description {

inline constexpr const char* schema = "nablabragg.experiment";
inline constexpr int schema_version = 1;

/// FNV-1a over the bits of the values: enough to tell one table from another.
inline std::string checksum(const StructureFactorGrid& table) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const double value : table.values()) {
    hash ^= std::bit_cast<std::uint64_t>(value);
    hash *= 0x100000001b3;
  }
  std::string digits(16, '0');
  for (std::size_t i = digits.size(); i-- > 0; hash >>= 4)
    digits[i] = "0123456789abcdef"[hash & 15];
  return digits;
}

/// The name of a part's value in errors: "beam.wavelength".
inline std::string below(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + '.' + name;
}

}  // namespace nablabragg::description
