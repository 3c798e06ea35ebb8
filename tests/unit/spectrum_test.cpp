// Spectra: texts of energies and weights, and fewer channels of them.
#include "nablabragg/spectrum.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/simulate.hpp"
#include "nablabragg/units.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::message_of;
using test::TempDir;
using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using units::ev_angstrom;

Spectrum read(const std::string& text, std::optional<SpectrumUnit> unit = {}) {
  const TempDir dir;
  return read_spectrum(dir.file("s.txt", text), unit);
}
std::string problem_of(const std::string& text) {
  const TempDir dir;
  const std::string path = dir.file("s.txt", text);
  const std::string message = message_of<InputError>([&] { read_spectrum(path); });
  return message.starts_with(path) ? message.substr(path.size()) : message;
}

TEST(ReadSpectrum, TakesTheUnitFromTheLinesAboveTheRows) {
  for (const std::string text :
       {"# energy (eV)  weight\n12000 1\n12400 3\n",
        "Photon energy [eV], intensity\n12000,1\n12400,3\n",
        "# shot 12, 5 keV more than last week\n#\n# E_eV w\n12000;1\n12400 ; 3\n",
        "\"energy_eV\",\"w\"\n\"12000\",\"1\"\n\"12400\",\"3\"\n",
        "energy_keV counts\n12.0 1\n12.4 3\n\n"}) {
    const Spectrum s = read(text);
    EXPECT_THAT(s.wavelength_A,
                ElementsAre(DoubleEq(ev_angstrom / 12000), DoubleEq(ev_angstrom / 12400)))
        << text;
    EXPECT_THAT(s.weight, ElementsAre(1, 3));
  }
  for (const std::string text :
       {"# wavelength (A), weight\n1.1 1\n1.2 3\n", "wavelength_A w\n1.2 3\n1.1 1\n",
        "# lambda [A]\n1.1 1\n1.2 3\n", "# Angstrom\n1.2 3\n1.1 1\n",
        "wavelength in \xC3\x85\n1.2 3\n1.1 1\n"}) {
    const Spectrum s = read(text);
    EXPECT_THAT(s.wavelength_A, ElementsAre(1.2, 1.1)) << text;
    EXPECT_THAT(s.weight, ElementsAre(3, 1));
  }
}

TEST(ReadSpectrum, GuessesNoUnit) {
  EXPECT_THAT(
      problem_of("12000 1\n12400 3\n"),
      HasSubstr("does not say whether its rows are in eV, keV or Angstrom; -spectrum_unit"));
  EXPECT_THAT(problem_of("# energy weight\n12 1\n"), HasSubstr("does not say"));
  EXPECT_THAT(problem_of("# a spectrum\n12 1\n"), HasSubstr("does not say"));
  EXPECT_THAT(problem_of("# energy_eV weight_per_keV\n12000 1\n"),
              HasSubstr("names several units above its rows"));
  EXPECT_THAT(read("12 1\n", SpectrumUnit::keV).wavelength_A,
              ElementsAre(DoubleEq(ev_angstrom / 12000)));
  // What the user says counts
  EXPECT_THAT(read("# keV\n1.5 1\n", SpectrumUnit::angstrom).wavelength_A, ElementsAre(1.5));
}

TEST(ReadSpectrum, RefusesWhatIsNoSpectrumWithItsLine) {
  EXPECT_EQ(problem_of("# eV\n12000 1\n12100\n"),
            ":3: has one column; a spectrum has two: energy or wavelength, and weight");
  EXPECT_EQ(problem_of("# eV\n1 12000 1\n"),
            ":2: has more than two columns; a spectrum has two: energy or wavelength, and weight");
  EXPECT_THAT(problem_of("# eV\n12000 1\nend 1\n"), HasSubstr(":3: "));
  EXPECT_THAT(problem_of("# eV\n12000 many\n"), HasSubstr(":2: "));
  EXPECT_EQ(problem_of("# eV\n12000 1\n12100 -0.5\n"),
            ":3: the weight is negative or no number; no channel has less than no light: set such "
            "rows to 0");
  EXPECT_EQ(problem_of("# eV\n0 1\n"), ":2: the energy or wavelength is not positive");
  EXPECT_EQ(problem_of("# eV\n12.4 1\n"),
            ":2: would be a wavelength of 1e+03 Angstrom; check the unit of the first column");
  EXPECT_EQ(problem_of("# eV\n12000 0\n"), ": has no channel with light");
  EXPECT_THAT(problem_of("# eV\n"), HasSubstr("holds no rows"));
  // The first row, too: it is no title
  for (const std::string row : {"1258O 1", "1.258D4 1", "12580eV 1", "-nan 1", "\"12x\",\"1\""})
    EXPECT_THAT(problem_of("# eV\n" + row + "\n12620 1\n"), HasSubstr(":2: ")) << row;
  EXPECT_THAT(problem_of(""), HasSubstr("holds no rows"));
}

TEST(ReadSpectrum, JoinsRowsOfOneEnergyAndLeavesOutDarkOnes) {
  const Spectrum s = read("# eV\n12400 1\n12000 0\n12400 2\n");
  EXPECT_THAT(s.wavelength_A, ElementsAre(DoubleEq(ev_angstrom / 12400)));
  EXPECT_THAT(s.weight, ElementsAre(3));
  EXPECT_THAT(
      message_of<UsageError>([] {
        spectrum_of(std::vector<double>{1, 2}, std::vector<double>{1}, SpectrumUnit::angstrom);
      }),
      HasSubstr("2 channels and 1 weights"));
}

TEST(ThinnedSpectrum, KeepsLightAndMeanEnergyAndSaysHowFarItMoved) {
  std::vector<double> energies, weights;
  std::mt19937_64 random(3);
  std::exponential_distribution<double> spike(1);
  for (int i = 0; i < 3000; ++i) {
    energies.push_back(9000 + 0.01 * i);
    weights.push_back(spike(random) * std::exp(-std::pow((i - 1500) / 600.0, 2)));
  }
  const Spectrum all = spectrum_of(energies, weights, SpectrumUnit::eV);
  const auto moments = [](const Spectrum& s) {
    double light = 0, sum = 0, squares = 0;
    for (std::size_t i = 0; i < s.weight.size(); ++i) {
      const double above = ev_angstrom / s.wavelength_A[i] - 9000;
      light += s.weight[i];
      sum += s.weight[i] * above;
      squares += s.weight[i] * above * above;
    }
    return std::array{light, sum / light, squares / light};
  };
  const auto [light, mean, square] = moments(all);
  for (const int channels : {1, 10, 100}) {
    const ThinnedSpectrum few = thinned(all, channels);
    EXPECT_EQ(few.spectrum.weight.size(), static_cast<std::size_t>(channels));
    const auto [few_light, few_mean, few_square] = moments(few.spectrum);
    EXPECT_NEAR(few_light, light, 1e-12 * light);
    EXPECT_NEAR(few_mean, mean, 1e-8);
    // What was within a channel is no longer in the spread of the spectrum
    EXPECT_NEAR(few.moved_eV * few.moved_eV, square - few_square, 1e-6);
    // Evenly lit channels would move it by their width over the root of 12
    EXPECT_NEAR(few.moved_eV, 30.0 / channels / std::sqrt(12),
                channels == 1 ? 5 : 0.1 * 30.0 / channels);
  }
  EXPECT_EQ(thinned(all, 3000).moved_eV, 0);
  EXPECT_EQ(thinned(all, 4000).spectrum.wavelength_A, all.wavelength_A);
  EXPECT_THAT(message_of<UsageError>([&] { thinned(all, 0); }), HasSubstr("at least one channel"));
}

TEST(WithSpectrum, MakesTheMeanOfTheChannelsImages) {
  const std::string flags =
      "-corrected -cell 60 60 60 90 90 90 -misset 12 -7 33 -N 10 -gauss_xtal -distance 60 "
      "-detpixels 64 -pixel 0.4 -default_F 100 -lambda 1 -oversample 1 ";
  const Experiment e = test::experiment_of(flags);
  const Spectrum s = spectrum_of(std::vector<double>{12300, 12400, 12600},
                                 std::vector<double>{1, 2, 5}, SpectrumUnit::eV);
  const Experiment lit = with_spectrum(e, s);
  EXPECT_NEAR(lit.beam.wavelength_A, mean_wavelength_A(s), 1e-15);
  const Image image = test::image_of(lit).image;
  std::vector<double> expected(image.pixels.size());
  for (std::size_t i = 0; i < 3; ++i) {
    const Experiment one = with_parameter(e, "wavelength", std::array{s.wavelength_A[i]});
    const Image of_one = test::image_of(one).image;
    for (std::size_t p = 0; p < expected.size(); ++p)
      expected[p] += s.weight[i] / 8 * static_cast<double>(of_one.pixels[p]);
  }
  const double most = *std::ranges::max_element(expected);
  for (std::size_t p = 0; p < expected.size(); ++p)
    ASSERT_NEAR(image.pixels[p], expected[p], 1e-6 * most);
  EXPECT_THAT(message_of<UsageError>(
                  [&] { with_spectrum(test::experiment_of(flags + "-dispersion 1"), s); }),
              HasSubstr("without divergence and dispersion"));
}

TEST(WithSpectrum, LeavesALatticeThatIsAMatrixAsItIs) {
  Experiment e = test::experiment_of("-corrected -cell 60 -N 10 -lambda 1 -default_F 100 ");
  e.crystal.mosflm_matrix = Mat3d{{1e-2, 1e-3, 0}, {2e-3, 1.1e-2, 0}, {0, 1e-3, 1.2e-2}};
  e.crystal.cell.reset();
  const Mat3d before = resolve(e).axes.real_A;
  const Spectrum s = spectrum_of(std::vector<double>{1.3, 1.31}, std::vector<double>{1, 1},
                                 SpectrumUnit::angstrom);
  const Mat3d after = resolve(with_spectrum(e, s)).axes.real_A;
  EXPECT_NEAR(length(after.a - before.a), 0, 1e-9 * length(before.a));
  EXPECT_NEAR(length(after.c - before.c), 0, 1e-9 * length(before.c));
}

}  // namespace
}  // namespace nablabragg
