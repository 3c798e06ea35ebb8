// How strongly the materials of sensors and phosphors take up X-rays.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg {

struct SensorMaterial {
  std::string_view name;     ///< "CdTe", as files call it
  std::string_view formula;  ///< what its attenuation is computed from
  double density_g_per_cm3;
  std::string_view source;                    ///< of the density
  std::vector<std::string_view> other_names;  ///< in lower case
};

/// Those that attenuation_per_mm() knows.
std::span<const SensorMaterial> sensor_materials();

/// As find_sensor_material(); null for what is none of them.
const SensorMaterial* sensor_material_named(std::string_view name);

/// The name "Si", "silicon" or "SI" as sensor_materials() has it.  Throws UsageError, which lists
/// the materials, for what is none of them.
const SensorMaterial& find_sensor_material(std::string_view name);

/// 1/mm: the probability of any interaction in a thin layer is this times its thickness.  From
/// xraylib's total cross sections; within 1 % of the tables of DIALS at the same density.  Throws
/// UsageError for a material that find_sensor_material() does not know and for energies that the
/// tables do not cover (100 eV to 800 keV).
double attenuation_per_mm(std::string_view material, double energy_eV);

}  // namespace nablabragg
