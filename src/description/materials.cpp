#include "nablabragg/materials.hpp"

#include <xraylib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "description/digits.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace {

const std::array<SensorMaterial, 8>& materials() {
  static const std::array<SensorMaterial, 8> table = {{
      {"Si", "Si", 2.329, "CRC Handbook", {"silicon"}},
      {"Ge", "Ge", 5.323, "CRC Handbook", {"germanium"}},
      {"GaAs", "GaAs", 5.317, "CRC Handbook", {"gallium arsenide", "galliumarsenide"}},
      {"CdTe",
       "CdTe",
       5.85,
       "its unit cell, a = 6.48 A; tables that state 6.2 attenuate 6 % more",
       {"cadmium telluride", "cadmiumtelluride"}},
      {"CdZnTe",
       "Cd0.9Zn0.1Te",
       5.78,
       "Schlesinger et al., Mater. Sci. Eng. R 32, 103 (2001)",
       {"czt", "cadmium zinc telluride"}},
      {"Gd2O2S",
       "Gd2O2S",
       7.34,
       "of the crystal; a phosphor screen is packed to about half of it",
       {"gadox", "gos", "gadolinium oxysulfide", "gadolinium oxysulphide"}},
      {"CsI", "CsI", 4.51, "CRC Handbook", {"cesium iodide", "caesium iodide", "csi(tl)"}},
      {"Se", "Se", 4.28, "amorphous, as flat panels have it; CRC Handbook", {"selenium", "a-se"}},
  }};
  return table;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace

std::span<const SensorMaterial> sensor_materials() { return materials(); }

const SensorMaterial* sensor_material_named(std::string_view name) {
  const std::string wanted = lower_case(name);
  for (const SensorMaterial& material : materials())
    if (wanted == lower_case(material.name) ||
        std::find(material.other_names.begin(), material.other_names.end(), wanted) !=
            material.other_names.end())
      return &material;
  return nullptr;
}

const SensorMaterial& find_sensor_material(std::string_view name) {
  if (const SensorMaterial* const found = sensor_material_named(name)) return *found;
  std::string all;
  for (const SensorMaterial& material : materials())
    all.append(all.empty() ? "" : ", ").append(material.name);
  throw UsageError("the sensor material '" + std::string(name) +
                   "' is not known; there are: " + all);
}

double attenuation_per_mm(std::string_view material, double energy_eV) {
  const SensorMaterial& found = find_sensor_material(material);
  constexpr double least_eV = 100, most_eV = 8e5;
  if (!(energy_eV >= least_eV && energy_eV <= most_eV))
    throw UsageError("the attenuation by " + std::string(found.name) + " at " +
                     description::digits(energy_eV, 6) +
                     " eV is not known; the tables go from 100 eV to 800 keV");
  constexpr double mm_per_cm = 10, ev_per_kev = 1000;
  xrl_error* error = nullptr;
  const double cm2_per_g = CS_Total_CP(std::string(found.formula).c_str(), energy_eV / ev_per_kev,
                                       &error);
  if (error) {
    const std::string why = error->message;
    xrl_error_free(error);
    throw Error("xraylib has no attenuation of " + std::string(found.name) + ": " + why);
  }
  return cm2_per_g * found.density_g_per_cm3 / mm_per_cm;
}

}  // namespace nablabragg
