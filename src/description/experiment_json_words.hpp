// What the JSON of an experiment says the same in both directions.
#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include "nablabragg/anomalous.hpp"
#include "nablabragg/structure_factors.hpp"

namespace nablabragg::description {

inline constexpr const char* schema = "nablabragg.experiment";
inline constexpr int schema_version = 1;

/// FNV-1a over the bits of the values: enough to tell one table from another.
inline std::string checksum(const StructureFactorGrid& table) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](double value) {
    hash ^= std::bit_cast<std::uint64_t>(value);
    hash *= 0x100000001b3;
  };
  for (const double value : table.values()) add(value);
  if (const auto& factors = table.anomalous())
    for (const AnomalousSpecies& species : factors->species) {
      const DispersionCurve& curve = species.curve;
      for (const auto* numbers : {&curve.energy_eV, &curve.f_prime, &curve.f_double_prime})
        for (const double value : *numbers) add(value);
      for (std::size_t i = 0; i < species.G.size(); ++i) {
        add(factors->F0[i].real());
        add(factors->F0[i].imag());
        add(species.G[i].real());
        add(species.G[i].imag());
      }
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
