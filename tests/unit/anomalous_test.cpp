// F by energy, against numbers of other programs and against images of one energy each.
#include "nablabragg/anomalous.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "io/dispersion.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/sweep.hpp"
#include "nablabragg/units.hpp"
#include "plan/energy_terms.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"
#include "support/six_atoms.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using Complex = std::complex<double>;
using test::message_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// ---- Worked numbers
// ------------------------------------------------------------------------------

using test::six_atoms;

io::CalculatedFactors factors_of(const std::string& model, double dmin_A = 3) {
  const test::TempDir folder;
  folder.file("model.pdb", model);
  return io::calculate_structure_factors(folder / "model.pdb", dmin_A, {0, 0}, {},
                                         std::vector<std::string>{});
}

struct OfReflection {
  MillerIndex hkl;
  Complex F0, G_Fe, G_S;
  std::array<double, 2> moduli;       ///< of F at 7000 and at 7200 eV
  std::array<double, 2> mate_moduli;  ///< of its mate
};
const OfReflection worked[] = {{{1, 2, 3},
                                {-27.165796536, -23.350388963},
                                {-1.285455049, -0.187613894},
                                {-0.283127202, -0.871375928},
                                {32.155810541, 35.046294555},
                                {31.978891051, 29.554000208}},
                               {{4, -1, 2},
                                {39.551217551, -17.182570798},
                                {1.014844280, -1.045130593},
                                {0.805953644, -0.101815623},
                                {38.522372888, 40.939095941},
                                {38.178392804, 36.365625842}}};
const double two_energies[] = {7000, 7200};

TEST(AnomalousScattering, OfSixAtomsIsThatOfTheWorkedNumbers) {
  const io::CalculatedFactors factors = factors_of(six_atoms);
  ASSERT_EQ(factors.species.size(), 2u);
  const auto& S = factors.species[0];
  const auto& Fe = factors.species[1];
  EXPECT_EQ(S.element + Fe.element, "SFe");
  const auto grid = anomalous_grid(factors, {}, 0, two_energies);
  int found = 0;
  for (std::size_t i = 0; i < factors.reflections.size(); ++i)
    for (const OfReflection& r : worked) {
      if (factors.reflections[i].hkl != r.hkl) continue;
      ++found;
      EXPECT_LT(std::abs(factors.F0[i] - r.F0), 2e-4);  // of a grid
      EXPECT_LT(std::abs(Fe.G[i] - r.G_Fe), 2e-9);
      EXPECT_LT(std::abs(S.G[i] - r.G_S), 2e-9);
    }
  EXPECT_EQ(found, 2);
  for (std::size_t e = 0; e < 2; ++e) {
    const StructureFactorGrid F = amplitudes_at(*grid, two_energies[e]);
    for (const OfReflection& r : worked) {
      const auto& [h, k, l] = r.hkl;
      EXPECT_NEAR(F.at(h, k, l), r.moduli[e], 2e-4);
      EXPECT_NEAR(F.at(-h, -k, -l), r.mate_moduli[e], 2e-4);
    }
  }
}

/// A table of the worked reflections and their mates, with the given F0.
std::shared_ptr<const StructureFactorGrid> worked_grid(DispersionCurve Fe, DispersionCurve S) {
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-4, -2, -3}, MillerIndex{4, 2, 3},
                                                    0);
  auto factors = std::make_shared<AnomalousFactors>();
  const std::size_t entries = grid->values().size();
  factors->F0 = std::vector<Complex>(entries);
  factors->species = {{std::move(Fe), std::vector<Complex>(entries)},
                      {std::move(S), std::vector<Complex>(entries)}};
  for (const OfReflection& r : worked)
    for (const int sign : {1, -1}) {
      double& at = grid->at(sign * r.hkl[0], sign * r.hkl[1], sign * r.hkl[2]);
      const auto i = static_cast<std::size_t>(&at - grid->values().data());
      const auto of = [&](const Complex& x) { return sign > 0 ? x : std::conj(x); };
      at = std::abs(r.F0);
      factors->F0[i] = of(r.F0);
      factors->species[0].G[i] = of(r.G_Fe);
      factors->species[1].G[i] = of(r.G_S);
    }
  grid->set_anomalous(std::move(factors));
  return grid;
}

TEST(AnomalousScattering, MakesMatesDifferByTheWorkedNumbers) {
  const auto grid = worked_grid(dispersion_of_atom("FE", two_energies),
                                dispersion_of_atom("S", two_energies));
  for (std::size_t e = 0; e < 2; ++e) {
    const StructureFactorGrid F = amplitudes_at(*grid, two_energies[e]);
    for (const OfReflection& r : worked) {
      const auto& [h, k, l] = r.hkl;
      EXPECT_NEAR(F.at(h, k, l), r.moduli[e], 2e-8);
      EXPECT_NEAR(F.at(-h, -k, -l), r.mate_moduli[e], 2e-8);
    }
  }
  const StructureFactorGrid F = amplitudes_at(*grid, 7200);
  EXPECT_NEAR(F.at(1, 2, 3) * F.at(1, 2, 3) - F.at(-1, -2, -3) * F.at(-1, -2, -3), 354.80383369,
              2e-6);
}

TEST(AnomalousScattering, OfAChannelOnAnEdgeIsTheMeanOfItsIntensities) {
  std::vector<double> f1, f2;
  io::cromer_liberman(16, {7200}, f1, f2);
  const DispersionCurve S{"S", {7000, 7200}, {f1[0], f1[0]}, {f2[0], f2[0]}};
  struct Row {
    double width_eV, mean_I, I_of_mean;
  };
  for (const Row& row : {Row{1, 768.892786, 761.709271}, Row{5, 847.399827, 840.219685},
                         Row{20, 923.544734, 916.377371}}) {
    constexpr int points = 4000;
    DispersionCurve Fe{"Fe", {}, {}, {}};
    for (int i = 0; i < points; ++i)
      Fe.energy_eV.push_back(7112 + row.width_eV * ((i + 0.5) / points - 0.5));
    io::cromer_liberman(26, Fe.energy_eV, Fe.f_prime, Fe.f_double_prime);
    // The mean of the points, by the moments of each
    const DispersionCurve* const curves[] = {&Fe, &S};
    std::vector<double> mean(terms_of(2));
    for (const double energy : Fe.energy_eV) {
      const auto moments = channel_moments(curves, {energy, energy, energy});
      for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += moments[k] / points;
    }
    const OfReflection& r = worked[0];
    const Complex f(mean[1], mean[2]), f_S(mean[3], mean[4]);
    const Complex F = r.F0 + f * r.G_Fe + f_S * r.G_S;
    const double I_of_mean = std::norm(F), spread = std::norm(r.G_Fe) * (mean[5] - std::norm(f));
    EXPECT_NEAR(I_of_mean, row.I_of_mean, 2e-6);
    EXPECT_NEAR(I_of_mean + spread, row.mean_I, 2e-6);
    // A channel of straight lines between the points
    const auto between = channel_moments(curves, {7112, Fe.energy_eV.front(), Fe.energy_eV.back()});
    const Complex f_between(between[1], between[2]);
    EXPECT_NEAR(std::norm(r.F0 + f_between * r.G_Fe + f_S * r.G_S) +
                    std::norm(r.G_Fe) * (between[5] - std::norm(f_between)),
                row.mean_I, 3e-4 * row.mean_I);
  }
}

TEST(AnomalousScattering, OfAStraightLineHasTheVarianceOfItsChannel) {
  const DispersionCurve a{"Fe", {7000, 7100}, {-4, -6}, {1, 2}},
      b{"S", {6900, 7040, 7200}, {0, 2, 2}, {3, 3, 5}};
  const DispersionCurve* const curves[] = {&a, &b};
  const double width = 8, slope1 = -0.02, slope2 = 0.01;
  const auto m = channel_moments(curves, {7020, 7016, 7024});
  const Complex fa(-4.4, 1.2), fb(120.0 / 70, 3);
  EXPECT_NEAR(m[0], 1, 1e-14);
  EXPECT_NEAR(m[1], fa.real(), 1e-12);
  EXPECT_NEAR(m[2], fa.imag(), 1e-12);
  const double variance = width * width / 12;
  EXPECT_NEAR(m[5], std::norm(fa) + variance * (slope1 * slope1 + slope2 * slope2), 1e-12);
  const Complex product = std::conj(fa) * fb +
                          variance * Complex(slope1, -slope2) * Complex(2.0 / 140, 0);
  EXPECT_NEAR(m[7], product.real(), 1e-12);
  EXPECT_NEAR(m[8], product.imag(), 1e-12);
}

TEST(AnomalousScattering, OfOneElementAtAnEdgeIsASumOfFourProducts) {
  const auto grid = worked_grid(dispersion_of_atom("Fe"),
                                {"S", {7000, 7200}, {0.4, 0.4}, {0.7, 0.7}});
  std::vector<double> wavenumbers, weights;
  for (int i = 0; i < 50; ++i) {
    wavenumbers.push_back((7100 + 0.5 * i) / (1e-10 * units::ev_angstrom));
    weights.push_back(1 + 0.1 * (i % 5));
  }
  const EnergyTerms terms(grid, 7, wavenumbers, weights);
  const LightTerms& light = terms.light_terms();
  ASSERT_EQ(light.terms, 4);
  const std::size_t entries = grid->values().size();
  ASSERT_EQ(light.of_reflections.size(), 4 * (entries + 1));
  for (std::size_t ray = 0; ray < 50; ++ray) {
    const StructureFactorGrid F = terms.amplitudes(terms.group_of_ray[ray]);
    for (std::size_t i = 0; i <= entries; ++i) {
      double F2 = 0;
      for (std::size_t k = 0; k < 4; ++k)
        F2 += light.of_reflections[4 * i + k] * light.of_rays[4 * ray + k];
      EXPECT_NEAR(F2, i < entries ? F.values()[i] * F.values()[i] : 49, 1e-9 * 2000);
    }
  }
}

TEST(AnomalousScattering, OfSymmetryEquivalentsIsThatOfTheModelInP1) {
  const std::string body = std::string(six_atoms).substr(std::string(six_atoms).find('\n') + 1);
  const std::string
      head = "CRYST1   20.000   24.000   30.000  90.00  90.00  90.00 P 21 21 21    4\n";
  const io::CalculatedFactors factors = factors_of(head + body, 4);
  // By the operators of P 21 21 21
  const std::array<Vec3d, 2> iron{Vec3d{0.1, 0.2, 0.3}, Vec3d{0.6, 0.35, 0.45}};
  const double B[] = {15, 20};
  ASSERT_EQ(factors.species[1].element, "Fe");
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < factors.reflections.size(); ++i) {
    const auto& [h, k, l] = factors.reflections[i].hkl;
    const double stol2 = 0.25 * (h * h / 400.0 + k * k / 576.0 + l * l / 900.0);
    Complex G;
    for (int a = 0; a < 2; ++a) {
      const auto& [x, y, z] = iron[static_cast<std::size_t>(a)];
      for (const Vec3d& at : {Vec3d{x, y, z}, Vec3d{0.5 - x, -y, 0.5 + z},
                              Vec3d{-x, 0.5 + y, 0.5 - z}, Vec3d{0.5 + x, 0.5 - y, -z}})
        G += std::polar(std::exp(-B[a] * stol2), 2 * M_PI * (h * at.x + k * at.y + l * at.z));
    }
    largest = std::max(largest, std::abs(G));
    worst = std::max(worst, std::abs(factors.species[1].G[i] - G));
  }
  EXPECT_GT(largest, 1);
  EXPECT_LT(worst, 1e-8);
}

// ---- f' and f''
// -----------------------------------------------------------------------------------

TEST(DispersionOfAtoms, IsGemmisAwayFromEdges) {
  const DispersionCurve Fe = dispersion_of_atom("fe");
  EXPECT_EQ(Fe.element, "Fe");
  int points = 0, coarse = 0;
  for (double energy = 3000; energy < 30000; energy += 7.3) {
    if (std::abs(energy - 7112) < 2) continue;
    std::vector<double> f1, f2;
    io::cromer_liberman(26, {energy}, f1, f2);
    const double error = std::abs(dispersion_at(Fe, energy) - Complex(f1[0], f2[0]));
    ++points;
    coarse += error > 4e-4;
    EXPECT_LT(error, 0.04) << energy;
  }
  // Where gemmi's own values jump
  EXPECT_LT(coarse, 0.005 * points);
}

TEST(DispersionOfAtoms, IsNeverThatOnAnEdge) {
  EXPECT_THAT(edges_eV("Fe"), testing::ElementsAre(testing::DoubleNear(7112, 0.1)));
  const DispersionCurve Fe = dispersion_of_atom("Fe", std::vector<double>{7112});
  EXPECT_GT(dispersion_at(Fe, 7112).real(), -12) << "gemmi has -21.56 there";
  EXPECT_THAT(message_of<UsageError>([] { dispersion_of_atom("He"); }),
              HasSubstr("f' and f'' are known of Li to U, and He is none of them"));
}

TEST(DispersionOfAtoms, LeapsAtNoEnergyAlone) {
  // Twice an edge, where gemmi has 17 electrons for iron and -1.4 for sulphur; and 1 eV beside it
  for (const auto& [element, twice_an_edge] :
       {std::pair{"Fe", 14224.0}, std::pair{"S", 4944.0}, std::pair{"Mn", 13078.0},
        std::pair{"P", 4291.0}, std::pair{"As", 3053.0}}) {
    const DispersionCurve curve = dispersion_of_atom(
        element, std::vector{twice_an_edge - 1, twice_an_edge, twice_an_edge + 1});
    const double there = dispersion_at(curve, twice_an_edge).real(),
                 below = dispersion_at(curve, twice_an_edge - 1).real(),
                 above = dispersion_at(curve, twice_an_edge + 1).real();
    EXPECT_NEAR(there, (below + above) / 2, 0.004) << element;
    EXPECT_NEAR(below, above, 0.01) << element;
  }
}

TEST(DispersionOfAtoms, EndsWhereGemmisTablesWereCheckedAndSaysWhatToGive) {
  const DispersionCurve S = dispersion_of_atom("S", std::vector{1.0, 7000.0, 1e5});
  EXPECT_EQ(S.energy_eV.front(), 2000);
  EXPECT_EQ(message_of<UsageError>([&] { dispersion_at(S, 1); }),
            "f' and f'' of S are known from 2000 to 60000 eV, and the light reaches 1 eV; a table "
            "(-anomalous S FILE) can go as far, and -noanomalous leaves them out");
}

TEST(DispersionFiles, HaveRowsOfEnergyAndFPrimeAndFDoublePrime) {
  const test::TempDir folder;
  folder.file("iron", "# measured\nenergy f' f''\n7200 -3.9 3.9\n7000,-3.8,0.5 # below\n");
  const DispersionCurve Fe = read_dispersion("FE", folder / "iron");
  EXPECT_EQ(Fe.element, "Fe");
  EXPECT_TRUE(Fe.measured);
  EXPECT_THAT(Fe.energy_eV, ElementsAre(7000, 7200));
  EXPECT_THAT(Fe.f_prime, ElementsAre(-3.8, -3.9));
  EXPECT_THAT(Fe.f_double_prime, ElementsAre(0.5, 3.9));
  EXPECT_NEAR(dispersion_at(Fe, 7050).imag(), 1.35, 1e-12);
  EXPECT_THAT(message_of<UsageError>([&] { dispersion_at(Fe, 7201); }),
              HasSubstr("and the light reaches 7201"));
  for (const auto& [text, part] :
       {std::pair("7000 1\n7100 1 1\n", "is no row of a table of f' and f''"),
        std::pair("7000 1 1\n7000 1 2\n", "repeats an energy"),
        std::pair("7.1 1 1\n7.2 1 2\n", "energies are in eV"),
        std::pair("7000 1 -1\n7100 1 2\n", "negative f''"),
        std::pair("7000 1 1\n", "two are the least")}) {
    folder.file("bad", text);
    EXPECT_THAT(message_of<InputError>([&] { read_dispersion("Fe", folder / "bad"); }),
                HasSubstr(part));
  }
}

TEST(EdgeWarnings, AreOfAtomsWithoutAFileFrom100EvBelowTo50Above) {
  const auto warnings_at = [](double energy, bool measured) {
    DispersionCurve Fe = dispersion_of_atom("Fe");
    Fe.measured = measured;
    return edge_warnings(*worked_grid(Fe, dispersion_of_atom("S")), {&energy, 1});
  };
  EXPECT_THAT(warnings_at(7011, false), IsEmpty());
  EXPECT_THAT(warnings_at(7013, false), ElementsAre(HasSubstr("the edge of Fe at 7112.0 eV")));
  EXPECT_THAT(warnings_at(7161, false), ElementsAre(HasSubstr("-anomalous Fe FILE")));
  EXPECT_THAT(warnings_at(7163, false), IsEmpty());
  EXPECT_THAT(warnings_at(7112, true), IsEmpty());
}

// ---- Images
// ---------------------------------------------------------------------------------------

/// A crystal of the six atoms across the edge of iron.
Experiment crystal(const std::string& more, const std::vector<double>& energies_eV) {
  Experiment e = test::experiment_of(
      "-corrected -cell 20 24 30 90 90 90 -default_F 1 -N 12 -misset 12 25 37 -distance 40 "
      "-detpixels 96 -pixel 0.6 -flux 1e18 -exposure 1 -beamsize 0.1 -nointerpolate "
      "-oversample 1 " +
      more);
  static const auto grid = anomalous_grid(factors_of(six_atoms, 2.2), {}, 1);
  e.structure_factors.grid = grid;
  int i = 0;
  for (const double energy : energies_eV)
    e.beam.sources.push_back({{10, 0, 0}, 1.0 + 0.3 * (i++ % 3), units::ev_angstrom / energy});
  if (!energies_eV.empty()) e.beam.wavelength_A = e.beam.sources[0].wavelength_A;
  const Vec3d towards = -1 * resolve(e).panel.beam;
  for (Source& source : e.beam.sources) source.position = 10 * towards;
  return e;
}
std::vector<double> channels(int count, double step_eV = 1.7) {
  std::vector<double> energies;
  for (int i = 0; i < count; ++i) energies.push_back(7112.3 + step_eV * (i - count / 2));
  return energies;
}

/// The sum of images of one source each, whose table is that of its channel.
std::vector<double> sum_of_single_images(const Experiment& e) {
  const Resolved r = resolve(e);
  const Plan plan = make_plan(e, r);
  const EnergyTerms& terms = *plan.lattice.by_energy;
  double total = 0;
  for (const Source& source : e.beam.sources) total += source.weight;
  std::vector<double> sum;
  for (std::size_t i = 0; i < e.beam.sources.size(); ++i) {
    Experiment one = e;
    one.beam.sources = {e.beam.sources[i]};
    one.structure_factors.grid = std::make_shared<const StructureFactorGrid>(
        terms.amplitudes(terms.group_of_ray[i]));
    const auto photons = nablabragg::photons(SettledExperiment(one), test::reference_engine());
    sum.resize(photons.size());
    for (std::size_t j = 0; j < sum.size(); ++j)
      sum[j] += photons[j] * e.beam.sources[i].weight / total;
  }
  return sum;
}

void expect_same(const std::vector<double>& image, const std::vector<double>& expected,
                 double tolerance, const std::string& what) {
  const double largest = *std::max_element(expected.begin(), expected.end());
  ASSERT_GT(largest, 0);
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    worst = std::max(worst, std::abs(image[i] - expected[i]) / largest);
  EXPECT_LT(worst, tolerance) << what;
}

TEST(ImagesByEnergy, AreTheSumsOfTheirEnergies) {
  for (const std::string more :
       {"-gauss_xtal ", "-square_xtal ", "-gauss_xtal -mosaic 0.5 -mosaic_domains 3 ",
        "-gauss_xtal -water 50 ", "-gauss_xtal -interpolate ", "-gauss_xtal -dmin 3 "}) {
    const Experiment e = crystal(more, channels(30));
    const auto expected = sum_of_single_images(crystal(more, channels(30)));
    ComputeOptions reference = test::reference_engine();
    expect_same(photons(SettledExperiment(e), reference), expected, 1e-12, more + "reference");
    for (const std::string& target : test::tested_targets()) {
      const test::ForcedTarget forced(target);
      expect_same(photons(SettledExperiment(e), test::fast_engine(Precision::float64)), expected,
                  1e-6, more + target + " in double precision");
      expect_same(photons(SettledExperiment(e), test::fast_engine(Precision::float32)), expected,
                  4e-6, more + target);
    }
  }
}

TEST(ImagesByEnergy, AreTheSumsOfTheirEnergiesInBands) {
  for (const std::string more :
       {"-gauss_xtal -N 60 ", "-gauss_xtal -N 60 -mosaic 0.3 -mosaic_domains 5 -water 50 "}) {
    const Experiment e = crystal(more, channels(60));
    const auto expected = sum_of_single_images(e);
    for (const std::string& target : test::tested_targets()) {
      const test::ForcedTarget forced(target);
      const ComputeOptions options = test::fast_engine(Precision::float32);
      expect_same(photons(SettledExperiment(e), options), expected, 4e-6, more + target);
      if (test::tested_engine() == "cpu") {
        EXPECT_THAT(simulate(e, options).engine.kernel, HasSubstr("bands of wavelengths"));
        EXPECT_THAT(simulate(e, options).engine.reason, Not(HasSubstr("one after another")));
      }
    }
  }
}

TEST(ImagesByEnergy, AreThoseOfATableWhereTheLightHasOneEnergy) {
  for (const std::string more :
       {"-gauss_xtal ", "-square_xtal ", "-gauss_xtal -mosaic_model gaussian -mosaic 0.3 "}) {
    Experiment e = crystal(more + "-energy 7150", {});
    Experiment of_table = e;
    of_table.structure_factors.grid = std::make_shared<const StructureFactorGrid>(
        amplitudes_at(*e.structure_factors.grid, units::ev_angstrom / e.beam.wavelength_A));
    for (const auto& options : {test::reference_engine(), test::cpu_engine(Precision::float32)})
      EXPECT_EQ(simulate(e, options).image.pixels, simulate(of_table, options).image.pixels)
          << more;
  }
}

TEST(ImagesByEnergy, AreNotNanoBraggs) {
  Experiment e = crystal("-energy 7150", {});
  e.quirks = Quirks::compat();
  EXPECT_THAT(message_of<UsageError>([&] { simulate(e); }), HasSubstr("give -corrected"));
  e = crystal("-energy 1500", {});
  EXPECT_THAT(message_of<UsageError>([&] { simulate(e); }), HasSubstr("the light reaches 1500"));
}

TEST(ImagesByEnergy, InClosedFormHaveOneEnergy) {
  Experiment e = crystal("-gauss_xtal -energy 7150 -spectrum_model gaussian -dispersion 1", {});
  EXPECT_FALSE(resolve(e).closed);
  e.sampling.summation = Summation::closed;
  EXPECT_THAT(message_of<UsageError>([&] { resolve(e); }),
              HasSubstr("structure factors follow the energy of the light"));
}

TEST(ImagesByEnergy, OfASeriesAreThoseOfEachShot) {
  std::vector<double> axis = channels(30), weights;
  for (int i = 0; i < 60; ++i) weights.push_back(i == 17 || i > 29 ? (i % 7) : 0.0);
  const auto spectra = std::make_shared<const Spectra>(axis, weights, SpectrumUnit::eV);
  Experiment e = crystal("-gauss_xtal -energy 7112", {});
  const Series series(e, spectra);
  Sweep sweep(series);
  for (const int i : {0, 1, 0}) {
    std::vector<double> pixels(sweep.pixels());
    sweep.render(i, std::span(pixels));
    EXPECT_EQ(pixels, photons(SettledExperiment(series.experiment(i)))) << i;
  }
}

TEST(ImagesByEnergy, AreOfATableThatJsonKnowsByItsChecksum) {
  const Experiment e = crystal("-energy 7150", {});
  const std::string text = to_json(e);
  const Experiment back = experiment_from_json(text, e.structure_factors.grid);
  EXPECT_EQ(simulate(back).image.pixels, simulate(e).image.pixels);
  const auto plain = std::make_shared<const StructureFactorGrid>([&] {
    StructureFactorGrid copy = *e.structure_factors.grid;
    copy.set_anomalous(nullptr);
    return copy;
  }());
  EXPECT_THAT(message_of<InputError>([&] { experiment_from_json(text, plain); }),
              HasSubstr("a table with other values than the one given"));
}

// ---- Derivatives
// ----------------------------------------------------------------------------------

/// With other f' and f'' of the iron.
Experiment with_iron(const Experiment& e, const std::function<void(DispersionCurve&)>& change) {
  StructureFactorGrid grid = *e.structure_factors.grid;
  AnomalousFactors factors = *grid.anomalous();
  change(factors.species[1].curve);
  grid.set_anomalous(std::make_shared<const AnomalousFactors>(std::move(factors)));
  Experiment changed = e;
  changed.structure_factors.grid = std::make_shared<const StructureFactorGrid>(std::move(grid));
  return changed;
}

TEST(GradientsByEnergy, GoForwardsThroughAllCrystalsAndPastABeamstop) {
  Experiment e = with_iron(
      crystal("-gauss_xtal -detpixels 24 -pixel 2.4 -more_crystal 40 5 80 0.6 "
              "-beamstop_distance 20 -beamstop_radius 3 -beamstop_transmission 0.2 ",
              channels(3, 3.1)),
      [](DispersionCurve& curve) {
        curve = {"Fe", {7090, 7108, 7115, 7140}, {-7, -8, -7.5, -6}, {0.6, 0.9, 3.5, 4}};
      });
  const ComputeOptions options = test::cpu_engine(Precision::float64);
  const SettledExperiment settled(e);
  const auto shifted = [&](double shift) {
    return photons(SettledExperiment(with_iron(
                       e, [&](DispersionCurve& curve) { curve.f_double_prime[2] += shift; })),
                   options);
  };
  const double step = 1e-3;
  const auto more = shifted(step), less = shifted(-step);
  const auto slopes = jvp(settled, {{"f_double_prime[Fe]", {0, 0, 1, 0}}}, visited_pixels(settled),
                          options);
  ASSERT_EQ(slopes.size(), more.size());
  double largest = 0;
  for (const double x : slopes) largest = std::max(largest, std::abs(x));
  EXPECT_GT(largest, 0);
  // |F|^2 is quadratic in f'', so that this difference is exact
  for (std::size_t i = 0; i < slopes.size(); ++i)
    EXPECT_NEAR(slopes[i], (more[i] - less[i]) / (2 * step), 1e-7 * largest) << i;
  EXPECT_THAT(
      message_of<UsageError>([&] {
        jvp(settled, {{"f_prime[Fe]", {1}}}, visited_pixels(settled), options);
      }),
      testing::HasSubstr("the direction of 'f_prime[Fe]' has 1 numbers; the parameter has 4"));
  EXPECT_THAT(message_of<UsageError>([&] {
                jvp(settled, {{"f_prime[Xe]", {1}}}, visited_pixels(settled), options);
              }),
              testing::HasSubstr("f_prime[Xe]"));
}

TEST(GradientsByEnergy, AreThoseOfDifferences) {
  for (const auto& energies : {std::vector<double>{7120}, channels(6, 3.1)}) {
    Experiment e = with_iron(
        crystal("-gauss_xtal -detpixels 24 -pixel 2.4 ", energies), [](DispersionCurve& curve) {
          curve = {"Fe", {7090, 7108, 7115, 7140}, {-7, -8, -7.5, -6}, {0.6, 0.9, 3.5, 4}};
        });
    const ComputeOptions options = test::cpu_engine(Precision::float64);
    const SettledExperiment settled(e);
    std::vector<double> weights(24 * 24);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(1.3 * double(i)) + 0.2;
    const auto value_of = [&](const Experiment& changed) {
      const auto image = photons(SettledExperiment(changed), options);
      return std::inner_product(image.begin(), image.end(), weights.begin(), 0.0);
    };
    const auto difference = [&](auto&& at, double step) {
      return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
    };
    const ValueAndGradient got = value_and_gradient(settled, weights, options);
    EXPECT_NEAR(got.value, value_of(e), 1e-9 * std::abs(got.value));
    ASSERT_EQ(got.gradient.dispersion.size(), 2u);
    const DispersionSlopes& Fe = got.gradient.dispersion[1];
    double scale = 0;
    for (const auto* slopes : {&Fe.f_prime, &Fe.f_double_prime})
      for (const double x : *slopes) scale = std::max(scale, std::abs(x));
    EXPECT_GT(scale, 0);
    for (std::size_t row = 0; row < 4; ++row)
      for (const bool imaginary : {false, true}) {
        const auto at = [&](double shift) {
          return value_of(with_iron(e, [&](DispersionCurve& curve) {
            (imaginary ? curve.f_double_prime : curve.f_prime)[row] += shift;
          }));
        };
        EXPECT_NEAR((imaginary ? Fe.f_double_prime : Fe.f_prime)[row], difference(at, 1e-3),
                    1e-7 * scale)
            << energies.size() << " energies, row " << row;
      }
    // Forwards along f' and f'' of one element and f' of the other, and a parameter
    const std::vector<double> along{0.3, -1, 0.7, 0.2}, along_too{-0.4, 0.1, 2, -1};
    std::vector<double> along_other(got.gradient.dispersion[0].f_prime.size(), 0.5);
    const std::string other = "f_prime[" + got.gradient.dispersion[0].element + "]";
    const auto change = jvp(settled,
                            {{"f_prime[Fe]", along},
                             {"f_double_prime[Fe]", along_too},
                             {other, along_other},
                             {"distance", {0.01}}},
                            visited_pixels(settled), options);
    const auto product = [](const std::vector<double>& a, const std::vector<double>& b) {
      return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
    };
    const double backwards = product(along, Fe.f_prime) + product(along_too, Fe.f_double_prime) +
                             product(along_other, got.gradient.dispersion[0].f_prime) +
                             0.01 * got.gradient.parameters.at("distance")[0];
    EXPECT_NEAR(product(change, weights), backwards, 1e-9 * scale);
    EXPECT_GT(std::abs(product(along_other, got.gradient.dispersion[0].f_prime)), 1e-6 * scale);
    // A column each, between those of parameters
    const std::vector<std::string> names{"misset", "f_prime[Fe]", "distance", other,
                                         "f_double_prime[Fe]"};
    const Jacobian j = jacobian(settled, names, visited_pixels(settled), options);
    ASSERT_EQ(j.columns.size(), 3 + 4 + 1 + along_other.size() + 4);
    EXPECT_EQ(j.columns[2], "misset[2]");
    EXPECT_EQ(j.columns[3], "f_prime[Fe][0]");
    EXPECT_EQ(j.columns[7], "distance");
    EXPECT_EQ(j.columns.back(), "f_double_prime[Fe][3]");
    std::vector<double> backwards_of = got.gradient.parameters.at("misset");
    for (const auto& more : {Fe.f_prime, got.gradient.parameters.at("distance"),
                             got.gradient.dispersion[0].f_prime, Fe.f_double_prime})
      backwards_of.insert(backwards_of.end(), more.begin(), more.end());
    for (std::size_t column = 0; column < j.columns.size(); ++column) {
      double sum = 0;
      for (std::size_t i = 0; i < weights.size(); ++i)
        sum += weights[i] * j.slopes[i * j.columns.size() + column];
      EXPECT_NEAR(sum, backwards_of[column], 1e-9 * std::max(scale, std::abs(backwards_of[column])))
          << j.columns[column];
    }
    EXPECT_THAT(message_of<UsageError>([&] {
                  jacobian(settled, std::vector<std::string>{"f_prime[Xe]"},
                           visited_pixels(settled), options);
                }),
                testing::HasSubstr("f_prime[Xe]"));
    // The energies move F, too.
    const auto& slopes = got.gradient.parameters.at("source_wavelengths");
    double largest = 0;
    for (const double x : slopes) largest = std::max(largest, std::abs(x));
    for (std::size_t i = 0; i < energies.size(); ++i) {
      const auto at = [&](double shift) {
        Experiment moved = e;
        moved.beam.sources[i].wavelength_A += shift;
        return value_of(moved);
      };
      EXPECT_NEAR(slopes[i], difference(at, 1e-6), 1e-5 * largest) << i;
    }
    // Forwards as well
    const NamedValues direction{{"source_wavelengths", std::vector<double>(energies.size(), 1.0)}};
    const std::vector<PixelIndex> pixels = visited_pixels(settled);
    const auto forwards = jvp(settled, direction, pixels, options);
    EXPECT_NEAR(std::inner_product(forwards.begin(), forwards.end(), weights.begin(), 0.0),
                std::accumulate(slopes.begin(), slopes.end(), 0.0), 1e-8 * largest);
    EXPECT_EQ(got.gradient.structure_factors == nullptr, energies.size() > 1);
  }
}

}  // namespace
}  // namespace nablabragg
