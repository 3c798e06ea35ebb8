// Light of matter in the beam, against numbers worked out by other programs.
#include "nablabragg/background.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "engine/material_sum.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/simulate.hpp"
#include "physics/detection.hpp"
#include "physics/scattering.hpp"
#include "plan/scattering_curve.hpp"
#include "support/engines.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

/// Coarse liquid water, electrons a molecule.
Material water() {
  Material m;
  m.name = "water";
  m.stol_per_A = {0,     0.0365, 0.07, 0.12, 0.162, 0.18,  0.2,
                  0.216, 0.236,  0.28, 0.3,  0.345, 0.436, 0.5};
  m.F = {2.57, 2.58, 2.8, 5, 8, 7.32, 6.75, 6.75, 6.5, 4.5, 4.3, 4.36, 3.77, 3.17};
  m.thickness_mm = 1;
  m.molar_mass = 18;
  return m;
}

Material rows(std::vector<double> stol_per_A, std::vector<double> F,
              MaterialInterpolation interpolation = MaterialInterpolation::linear) {
  Material m = water();
  m.stol_per_A = std::move(stol_per_A);
  m.F = std::move(F);
  m.interpolation = interpolation;
  return m;
}
const std::vector<double> three_rows{0.1, 0.2, 0.3}, three_F{3, 5, 4},
    sharp_rows{0.124, 0.126, 0.127984, 0.128, 0.13, 0.132}, sharp_F{0, 0, 144.851, 0, 0, 0};

double F_at(const Material& m, double stol_per_A) {
  const ScatteringCurve curve(m.stol_per_A, m.F, m.interpolation);
  return engine::curve_at(curve.view(), stol_per_A * 1e10).F;
}

/// A panel across a beam along x, whose pixel (200, 300) lies at (100, 20.05, 30.05) mm; 1e12
/// photons, and a crystal that scatters none.
Experiment wet(std::vector<Material> materials) {
  Experiment e;
  e.crystal.cell = UnitCell{100, 100, 100, 90, 90, 90};
  e.structure_factors.default_F = 1e-30;
  e.detector.convention = Convention::custom;
  e.detector.fast_axis = Vec3d{0, 1, 0};
  e.detector.slow_axis = Vec3d{0, 0, 1};
  e.detector.normal = Vec3d{1, 0, 0};
  e.detector.origin_m = Vec3d{0.1, 0, 0};
  e.detector.fast_pixels = e.detector.slow_pixels = 512;
  e.beam.direction = Vec3d{1, 0, 0};
  e.beam.polarization_axis = Vec3d{0, 0, 1};
  e.beam.polarization_fraction = 0.9;
  e.beam.wavelength_A = 1;
  e.beam.flux_per_s = 1e12;
  e.beam.exposure_s = 1;
  e.beam.size_mm = 0.1;
  e.sampling.oversample = 1;
  e.materials = std::move(materials);
  return e;
}

double photons(const Experiment& e, const PixelIndex& at = {200, 300},
               const ComputeOptions& options = test::reference_engine()) {
  return double(simulate_pixels(e, std::array{at}, options)[0]);
}

constexpr double single = 1e-7;  // photons are in single precision

TEST(LightOfMatterInTheBeam, EqualsTheWorkedPixels) {
  Material table = water();
  EXPECT_NEAR(photons(wet({table})) / 11789.4099122, 1, single);
  table.interpolation = MaterialInterpolation::nonbragg;
  EXPECT_NEAR(photons(wet({table})) / 11903.7159175, 1, single);

  Experiment behind_silicon = wet({water()});
  behind_silicon.detector.sensor_thickness_um = 320;
  constexpr double per_m = 4211.0499839;
  behind_silicon.detector.attenuation_depth_um = 1e6 / per_m;
  behind_silicon.detector.sensor_layers = 1;
  // Light is caught behind the front, in the mean where the worked pixel lies
  behind_silicon.detector.origin_m->x -= physics::mean_capture_depth(320e-6, per_m);
  EXPECT_NEAR(photons(behind_silicon) / 8975.8964169, 1, single);

  Experiment three_rays = wet({water()});
  for (const auto& [wavelength, weight] : {std::pair{0.98, 1.0}, {1.0, 3.0}, {1.03, 2.0}})
    three_rays.beam.sources.push_back({{-10, 0, 0}, weight, wavelength});
  EXPECT_NEAR(photons(three_rays) / 11919.873133, 1, single);
}

TEST(LightOfMatterInTheBeam, IsTheSameOnAllEnginesInAllPrecisionsAndInClosedForm) {
  Experiment e = wet({water()});
  const std::vector<Material> air = gas_in_beam(-5, 30);
  e.materials.insert(e.materials.end(), air.begin(), air.end());
  e.materials.push_back(ice_rings({.thickness_um = 5}));
  const double expected = photons(e);
  for (const Precision precision : {Precision::float32, Precision::float64})
    EXPECT_NEAR(photons(e, {200, 300}, test::fast_engine(precision)) / expected, 1, 2 * single);
  e.crystal.shape = CrystalShape::gauss;
  e.crystal.mosaic_model = Distribution::gaussian;
  e.crystal.mosaic_spread_deg = 0.1;
  e.sampling.summation = Summation::closed;
  EXPECT_NEAR(photons(e, {200, 300}, test::cpu_engine(Precision::float32)) / expected, 1,
              2 * single);
}

TEST(LightOfMatterInTheBeam, DoesNotDependOnTheSizeOfTheBeamThatItFills) {
  Experiment e = wet({water()});
  const double wide = photons(e);
  e.beam.size_mm = 0.013;
  EXPECT_NEAR(photons(e) / wide, 1, single);
}

TEST(LightOfMatterInTheBeam, AddsUp) {
  const std::vector<Material> air = gas_in_beam(-5, 30);
  Experiment crystal = wet({});
  crystal.structure_factors.default_F = 3e5;
  Experiment all = crystal;
  all.materials = {water(), air[0], air[1]};
  double sum = photons(crystal);
  EXPECT_GT(sum, 0);
  for (const Material& m : all.materials) sum += photons(wet({m}));
  EXPECT_NEAR(photons(all) / sum, 1, 2 * single);
}

TEST(TablesOfF, AreStraightBetweenTheirRowsAndConstantOutside) {
  const Material table = water();
  EXPECT_NEAR(F_at(table, 0.02), 2.575479452, 1e-9);
  EXPECT_NEAR(F_at(table, 0.15), 7.142857143, 1e-9);
  EXPECT_NEAR(F_at(table, 0.47), 3.451250000, 1e-9);
  EXPECT_NEAR(F_at(table, 0.7), 3.17, 1e-12);
  EXPECT_NEAR(F_at(rows(three_rows, three_F), 0.02), 3, 1e-12);
  EXPECT_NEAR(F_at(rows(sharp_rows, sharp_F), 0.127), 73.0095766, 1e-7);
}

TEST(TablesOfF, MayBeReadAsNonBraggReadsThem) {
  Material table = water();
  table.interpolation = MaterialInterpolation::nonbragg;
  EXPECT_NEAR(F_at(table, 0.02), 2.545811549, 1e-9);
  EXPECT_NEAR(F_at(table, 0.15), 7.590122341, 1e-9);
  EXPECT_NEAR(F_at(table, 0.47), 3.470277827, 1e-9);
  EXPECT_NEAR(F_at(table, 0.7), 1.295, 1e-9);
  EXPECT_NEAR(F_at(table, 1.0), -1.5175, 1e-9);
  const auto nonbragg = MaterialInterpolation::nonbragg;
  EXPECT_NEAR(F_at(rows(three_rows, three_F, nonbragg), 0.02), 1.4, 1e-12);
  const Material sharp = rows(sharp_rows, sharp_F, nonbragg);
  EXPECT_NEAR(F_at(sharp, 0.127), 3436.06818, 1e-4);
  EXPECT_NEAR(F_at(sharp, 0.129), -3354.58297, 1e-4);
  // The same between the rows, but constant outside
  table = water();
  table.interpolation = MaterialInterpolation::cubic;
  EXPECT_NEAR(F_at(table, 0.15), 7.590122341, 1e-9);
  EXPECT_NEAR(F_at(table, 1.0), 3.17, 1e-12);
}

TEST(TablesOfF, MayHaveOneRow) {
  for (const auto how : {MaterialInterpolation::linear, MaterialInterpolation::cubic,
                         MaterialInterpolation::nonbragg})
    for (const double stol : {0.0, 0.2, 0.9})
      EXPECT_EQ(F_at(rows({0.2}, {7}, how), stol), 7) << stol;
}

TEST(TablesOfF, OfANegativeFTakeLightAway) {
  Material table = water();
  table.F.assign(table.F.size(), -3);
  Material twin = water();
  twin.F.assign(twin.F.size(), 3);
  EXPECT_EQ(photons(wet({table})), -photons(wet({twin})));
}

TEST(TablesOfF, AreSortedAndRefusedWithTheLineThatIsWrong) {
  test::TempDir folder;
  const std::string path = folder.file("w.stol", "stol F\n0.3 4\n0.1 3 # low\n\n0.2,5\n");
  const Material table = read_background(path);
  EXPECT_EQ(table.stol_per_A, (std::vector{0.1, 0.2, 0.3}));
  EXPECT_EQ(table.F, (std::vector{3.0, 5.0, 4.0}));
  const auto complaint = [&](const std::string& rows) {
    const std::string name = folder.file("bad.stol", rows);
    return test::message_of<InputError>([&] { read_background(name); });
  };
  EXPECT_NE(complaint("0.1 3\n0.2 4\n0.1 5\n").find("bad.stol:3: repeats"), std::string::npos);
  EXPECT_NE(complaint("0.1 3\n-0.2 4\n").find("bad.stol:2: has a negative"), std::string::npos);
  EXPECT_NE(complaint("0.1 3\n0.2\n").find("bad.stol:2: has one column"), std::string::npos);
  EXPECT_NE(complaint("stol F\n").find("holds no rows of sin(theta)/lambda and F"),
            std::string::npos);
}

TEST(Air, ScattersAsItsMoleculesDo) {
  const std::vector<Material> air = gas_in_beam(-5, 30);
  EXPECT_NEAR(air[0].density_g_cm3, 0.001203468, 5e-10);
  EXPECT_NEAR(air[0].molar_mass, 28.949566, 5e-7);
  const auto F2 = [&](double stol) { return std::pow(F_at(air[0], stol), 2); };
  EXPECT_NEAR(F2(0), 209.448280, 2e-6 * 209);
  EXPECT_NEAR(F2(0.1), 141.221954, 1e-6 * 141);
  EXPECT_NEAR(F2(0.5), 9.483267, 1e-6 * 10);
}

/// 100 mm away and 50 mm off the axis, unpolarized.
Experiment beside_the_beam(std::vector<Material> materials) {
  Experiment e = wet(std::move(materials));
  e.detector.origin_m = Vec3d{0.1, -0.05e-3, -0.05e-3};
  e.beam.polarization_fraction = 0;
  return e;
}

TEST(Air, IsSeenFromAllAlongItsPath) {
  Material air = gas_in_beam(-5, 30)[0];
  const PixelIndex pixel{500, 0};
  EXPECT_NEAR(photons(beside_the_beam({air}), pixel) / 146.9063756, 1, 2e-6);
  air.thickness_mm = air.end_mm - air.start_mm;
  air.start_mm = air.end_mm = 0;
  EXPECT_NEAR(photons(beside_the_beam({air}), pixel) / 167.4853875, 1, 2e-6);
}

TEST(Air, MayReachAlmostToTheDetectorAndNotIntoIt) {
  const auto light = [](double end) {
    return photons(beside_the_beam({gas_in_beam(0, end)[0]}), {20, 0});
  };
  // In two parts, each of which is further from its singularity
  const double nearly = light(99), first = light(90);
  const double second = photons(beside_the_beam({gas_in_beam(90, 99)[0]}), {20, 0});
  EXPECT_NEAR(nearly / (first + second), 1, 1e-6);
  const std::string message = test::message_of<UsageError>([&] { light(100.5); });
  EXPECT_NE(message.find("into the detector"), std::string::npos) << message;
}

TEST(Air, IsSeenByAPanelBesideThePathAsWell) {
  // Along the beam, from 20 mm before the sample to 31 mm behind it, 40 mm beside it
  const auto light = [](double start, double end) {
    Experiment e = wet({gas_in_beam(start, end)[0]});
    e.detector.fast_axis = Vec3d{1, 0, 0};
    e.detector.slow_axis = Vec3d{0, 0, -1};
    e.detector.normal = Vec3d{0, 1, 0};
    e.detector.origin_m = Vec3d{-0.02, 0.04, 0.0256};
    e.detector.pivot = Pivot::sample;
    return photons(e, {250, 256});
  };
  EXPECT_NEAR(light(-15, 25) / (light(-15, 0) + light(0, 25)), 1, 1e-6);
}

TEST(Air, IsThinnerWhereItIsWarm) {
  const auto light = [](const GasState& state) {
    return photons(beside_the_beam({gas_in_beam(-5, 30, state)[0]}), {500, 0});
  };
  EXPECT_NEAR(light({Gas::air, 273.15}) / light({}), 1.073220, 1e-6);
  EXPECT_NEAR(light({Gas::air, 293.15, 50.6625}) / light({}), 0.5, 1e-6);
  // 2 electrons for 14
  EXPECT_LT(light({Gas::helium}) / light({}), 0.06);
}

Material of_mass(const std::string& atom) {
  Material m = water();
  m.molar_mass = atom == "H" ? 1.008 : atom == "C" ? 12.01 : atom == "N" ? 14.01 : 16;
  return m;
}

TEST(ComptonScattering, EqualsTheTablesOfItsAtoms) {
  struct Row {
    double stol, H, C, N, O;
  };
  for (const Row& row : {Row{0.05, 0.103284939, 0.308525140, 0.309924800, 0.270934261},
                         Row{0.1, 0.342227820, 1.038192290, 1.078952726, 0.976052605},
                         Row{0.3, 0.928740637, 3.611031153, 4.061493063, 4.255794416},
                         Row{0.5, 0.971423044, 4.371511088, 5.059108573, 5.689788646}}) {
    // At 1 Angstrom, unpolarized
    const double c = 1 - 2 * row.stol * row.stol, P = 0.5 * (1 + c * c);
    const auto lost = physics::scattered_ray(c, 0.0, 0.0, 1e10, true, true);
    for (const auto& [atom, F2] : {std::pair{"H", row.H}, {"C", row.C}, {"N", row.N}, {"O", row.O}})
      EXPECT_NEAR(
          std::pow(F_at(compton_of(atom, of_mass(atom)), row.stol), 2) * lost.value / P / F2, 1,
          1e-6)
          << atom << ' ' << row.stol;
  }
}

TEST(ComptonScattering, IsOfAllAtomsOfAMolecule) {
  const Material H = compton_of("H", of_mass("H")), O = compton_of("O", of_mass("O")),
                 molecule = compton_of("H2O", water());
  EXPECT_EQ(molecule.molar_mass, 18);
  EXPECT_EQ(molecule.thickness_mm, 1);
  for (const double stol : {0.1, 0.31, 0.7})
    EXPECT_NEAR(std::pow(F_at(molecule, stol), 2),
                2 * std::pow(F_at(H, stol), 2) + std::pow(F_at(O, stol), 2), 1e-5);
  const auto complaint = [](const char* formula) {
    return test::message_of<UsageError>([&] { compton_of(formula, water()); });
  };
  EXPECT_NE(complaint("Water").find("'Water' is no chemical formula"), std::string::npos);
  EXPECT_NE(complaint("CO2").find("CO2 has 44.01 g/mol, and its material says 18"),
            std::string::npos)
      << complaint("CO2");
}

TEST(IceRings, AreThoseOfThePowder) {
  const Material ice = ice_rings({.thickness_um = 10});
  EXPECT_NEAR(ice.density_g_cm3, 0.932875325, 1e-8);
  const auto F2 = [&](double stol) { return std::pow(F_at(ice, stol), 2); };
  EXPECT_NEAR(F2(0.12836) / 1048.026746, 1, 2e-6);
  EXPECT_NEAR(F2(0.1365) / 580.200098, 1, 2e-6);
  EXPECT_NEAR(F2(0.14542) / 624.462709, 1, 2e-6);
  EXPECT_NEAR(F2(0.2223) / 578.607171, 1, 2e-6);
  EXPECT_LT(F2(0.1), 1e-6);
}

TEST(IceRings, HaveTheWorkedNumberOfPhotons) {
  // The pixel whose middle sees the strongest ring at 100 mm
  Experiment e = wet({ice_rings({.thickness_um = 10})});
  const double stol = 0.12836, tangent = std::tan(2 * std::asin(stol));
  e.detector.origin_m = Vec3d{0.1, 0.1 * tangent - 0.05e-3, -0.05e-3};
  e.beam.polarization_fraction = 0;
  EXPECT_NEAR(photons(e, {0, 0}) / 2270.93458, 1, 2e-6);
}

TEST(MatterInTheBeam, ComesBackFromJsonToTheBit) {
  Experiment e = wet({water(), gas_in_beam(-5, 30)[1]});
  const Experiment back = experiment_from_json(to_json(e));
  EXPECT_EQ(photons(back), photons(e));
  EXPECT_EQ(to_json(back), to_json(e));
}

TEST(MatterInTheBeam, IsRefusedWithASentence) {
  const auto complaint = [](auto&& change) {
    Experiment e = wet({water()});
    change(e);
    return test::message_of<UsageError>([&] { resolve(e); });
  };
  const auto says = [&](auto&& change, const char* part) {
    const std::string message = complaint(change);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  says([](Experiment& e) { e.quirks = Quirks::compat(); }, "give -corrected");
  says([](Experiment& e) { e.materials[0].F.pop_back(); }, "has 14 rows");
  says(
      [](Experiment& e) {
        e.materials[0].F.clear();
        e.materials[0].stol_per_A.clear();
      },
      "\"water\" has no table of F");
  says([](Experiment& e) { e.materials[0].F[2] = std::nan(""); }, "row 3");
  says([](Experiment& e) { e.materials[0].stol_per_A[3] = 0.01; }, "row 4 does not rise");
  says([](Experiment& e) { e.materials[0].end_mm = 1; }, "a thickness and a path");
  says([](Experiment& e) { e.materials[0].start_mm = 1; }, "ends before it begins");
  says([](Experiment& e) { e.materials[0].molar_mass = 0; }, "molar mass");
  says(
      [](Experiment& e) {
        e.beam.flux_per_s.reset();
        e.beam.size_mm = 0;
      },
      "-beamsize");
}

}  // namespace
}  // namespace nablabragg
