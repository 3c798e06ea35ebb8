// What the JSON of an experiment says the same in both directions.
#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include "nablabragg/anomalous.hpp"
#include "nablabragg/detector_response.hpp"  // for PixelFactors
#include "nablabragg/structure_factors.hpp"

namespace nablabragg::description {

inline constexpr const char* schema = "nablabragg.experiment";
inline constexpr int schema_version = 1;
inline constexpr const char* response_key = "response";  ///< beside the parts of the experiment

/// FNV-1a over the bits of numbers: enough to tell one table from another.
class Checksum {
 public:
  void operator()(double value) {
    hash_ ^= std::bit_cast<std::uint64_t>(value);
    hash_ *= 0x100000001b3;
  }
  std::string digits() const {
    std::string digits(16, '0');
    std::uint64_t rest = hash_;
    for (std::size_t i = digits.size(); i-- > 0; rest >>= 4)
      digits[i] = "0123456789abcdef"[rest & 15];
    return digits;
  }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

inline std::string checksum(const PixelFactors& map) {
  Checksum add;
  for (const float factor : map) add(static_cast<double>(factor));
  return add.digits();
}
inline std::string checksum(const StructureFactorGrid& table) {
  Checksum add;
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
  return add.digits();
}

/// The name of a part's value in errors: "beam.wavelength".
inline std::string below(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + '.' + name;
}

}  // namespace nablabragg::description
