// Attenuation by sensors, against values of other programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nablabragg/error.hpp"
#include "nablabragg/materials.hpp"
#include "nablabragg/units.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using test::message_of;
using testing::HasSubstr;

double at_angstrom(const char* material, double wavelength_A) {
  return attenuation_per_mm(material, units::angstrom_from_ev(wavelength_A));
}

TEST(SensorMaterials, AttenuateSiliconAsDialsHasIt) {
  // cctbx.eltbx.attenuation_coefficient, which DIALS puts into its detectors
  for (const auto& [wavelength_A, per_mm] :
       {std::pair(0.5, 0.570049), std::pair(0.6894, 1.418355), std::pair(1.0, 4.207986),
        std::pair(1.5, 13.710049), std::pair(2.0, 31.202699)})
    EXPECT_NEAR(at_angstrom("Si", wavelength_A) / per_mm, 1, wavelength_A < 0.6 ? 0.015 : 0.003)
        << wavelength_A;
}

TEST(SensorMaterials, AttenuateCompoundsAsDialsHasThemAtTheSameDensity) {
  // cctbx takes 6.2 g/cm3 for CdTe, which the unit cell contradicts, and 5.32 for GaAs.
  for (const auto& [wavelength_A, cdte, gaas] :
       {std::tuple(1.0, 48.114638, 80.079986), std::tuple(1.5, 141.715108, 33.862156),
        std::tuple(2.0, 300.912504, 74.173978)}) {
    EXPECT_NEAR(at_angstrom("CdTe", wavelength_A) / cdte * 6.2 / 5.85, 1, 0.01) << wavelength_A;
    EXPECT_NEAR(at_angstrom("GaAs", wavelength_A) / gaas, 1, 0.01) << wavelength_A;
  }
}

TEST(SensorMaterials, HaveEdges) {
  EXPECT_GT(attenuation_per_mm("Se", 12700), 4 * attenuation_per_mm("Se", 12600));
  EXPECT_GT(attenuation_per_mm("Gd2O2S", 50300), 3 * attenuation_per_mm("Gd2O2S", 50100));
}

TEST(SensorMaterials, AreFoundByAllTheirNames) {
  EXPECT_EQ(find_sensor_material("silicon").name, "Si");
  EXPECT_EQ(find_sensor_material("CDTE").name, "CdTe");
  EXPECT_EQ(find_sensor_material("CZT").name, "CdZnTe");
  for (const SensorMaterial& material : sensor_materials()) {
    EXPECT_EQ(find_sensor_material(material.name).name, material.name);
    for (const std::string_view other : material.other_names)
      EXPECT_EQ(find_sensor_material(other).name, material.name) << other;
    EXPECT_GT(attenuation_per_mm(material.name, 12000), 0) << material.name;
  }
}

TEST(SensorMaterials, ThatAreUnknownAreRefusedWithTheListOfThoseThereAre) {
  EXPECT_EQ(message_of<UsageError>([] { attenuation_per_mm("Unobtainium", 12000); }),
            "the sensor material 'Unobtainium' is not known; there are: Si, Ge, GaAs, CdTe, "
            "CdZnTe, Gd2O2S, CsI, Se");
  EXPECT_THAT(message_of<UsageError>([] { attenuation_per_mm("", 12000); }), HasSubstr("Si, Ge"));
}

TEST(SensorMaterials, AreRefusedAtEnergiesOutsideTheTables) {
  for (const double energy_eV : {0.0, -1.0, 99.0, 8.1e5, std::nan("")})
    EXPECT_THAT(message_of<UsageError>([&] { attenuation_per_mm("Si", energy_eV); }),
                HasSubstr("the tables go from 100 eV to 800 keV"));
  for (const SensorMaterial& material : sensor_materials())
    EXPECT_GT(attenuation_per_mm(material.name, 100), attenuation_per_mm(material.name, 8e5));
}

}  // namespace
}  // namespace nablabragg
