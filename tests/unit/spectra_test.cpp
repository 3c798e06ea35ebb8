// Spectra of many shots: rows of weights on one axis, and the HDF5 and .npz files that hold them.
#include "nablabragg/spectra.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>

#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"
#include "support/hdf5_file.hpp"
#include "support/message_of.hpp"
#include "support/npz_file.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::bytes_of;
using test::Hdf5File;
using test::message_of;
using test::npy;
using test::NpzFile;
using test::TempDir;
using testing::AllOf;
using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using units::ev_angstrom;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

void expect_same(const Spectrum& a, const Spectrum& b) {
  EXPECT_EQ(a.wavelength_A, b.wavelength_A);
  EXPECT_EQ(a.weight, b.weight);
}

// ---- Rows --------------------------------------------------------------------------------------

TEST(Spectra, AreShotByShotTheSpectraOfTheirRows) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> energy(9000, 9100), weight(-1, 2);
  std::vector<double> axis(40), weights;
  for (double& e : axis) e = energy(random);
  axis[7] = axis[31];  // one channel
  for (int i = 0; i < 3 * 40; ++i) weights.push_back(std::max(0.0, weight(random)));
  for (const std::optional<int> channels : {std::optional<int>(), std::optional(6)}) {
    const Spectra spectra(axis, weights, SpectrumUnit::eV, {channels, ShotLight::relative});
    ASSERT_EQ(spectra.shots(), 3);
    double moved_eV = 0;
    std::size_t most = 0;
    for (int i = 0; i < 3; ++i) {
      const Spectrum row = spectrum_of(axis, std::span(weights).subspan(40 * std::size_t(i), 40),
                                       SpectrumUnit::eV);
      const ThinnedSpectrum expected = channels ? thinned(row, *channels) : ThinnedSpectrum{row, 0};
      expect_same(spectra.shot(i), expected.spectrum);
      EXPECT_EQ(spectra.relative_light(i), 1);
      moved_eV = std::max(moved_eV, expected.moved_eV);
      most = std::max(most, expected.spectrum.weight.size());
    }
    EXPECT_EQ(spectra.moved_eV(), moved_eV) << "of the shot that was moved most";
    EXPECT_EQ(spectra.most_channels(), most);
    EXPECT_EQ(moved_eV > 0, channels.has_value());
  }
}

TEST(Spectra, HaveTheirMeanByShotsOrByTheirLight) {
  const std::vector<double> axis{12, 10}, weights{1, 3, 20, 0};
  const Spectra relative(axis, weights, SpectrumUnit::keV);
  EXPECT_THAT(relative.mean().weight, ElementsAre(DoubleEq(0.75), DoubleEq(1.25)));
  EXPECT_THAT(relative.mean().wavelength_A,
              ElementsAre(DoubleEq(ev_angstrom / 10000), DoubleEq(ev_angstrom / 12000)));
  const Spectra absolute(axis, weights, SpectrumUnit::keV, {{}, ShotLight::absolute});
  EXPECT_THAT(absolute.relative_light(0), DoubleEq(4.0 / 12));
  EXPECT_THAT(absolute.relative_light(1), DoubleEq(20.0 / 12));
  const Spectrum mean = absolute.mean();
  EXPECT_NEAR(mean.weight[1] / mean.weight[0], 21.0 / 3, 1e-12);
  expect_same(absolute.shot(0), relative.shot(0));
}

TEST(Spectra, NameTheNumberThatIsNone) {
  const std::vector<double> axis{10, 11, 12};
  const auto problem = [&](const std::vector<double>& weights) {
    return message_of<UsageError>([&] { Spectra(axis, weights, SpectrumUnit::keV); });
  };
  EXPECT_THAT(problem({1, 2, 3, 4, -5, 6}), HasSubstr("weights[1, 1] (row 2, channel 2) is -5"));
  EXPECT_THAT(problem({1, 2, nan}), HasSubstr("weights[0, 2] (row 1, channel 3) is nan"));
  EXPECT_THAT(problem({1, 2, 3, 0, 0, 0}), HasSubstr("weights[1] (row 2) has no channel with "
                                                     "light"));
  EXPECT_THAT(problem({1, 2}), HasSubstr("3 channels, and 2 weights"));
  EXPECT_THAT(problem({}), HasSubstr("0 weights"));
  const std::vector<double> wrong{10, -11, 12}, one(3, 1.0);
  EXPECT_THAT(message_of<UsageError>([&] { Spectra(wrong, one, SpectrumUnit::keV); }),
              AllOf(HasSubstr("axis[1] (channel 2) is -11"), HasSubstr("not positive")));
  EXPECT_THAT(message_of<UsageError>([&] { Spectra(axis, one, SpectrumUnit::eV); }),
              HasSubstr("check the unit"));
  const Spectra good(axis, one, SpectrumUnit::keV);
  EXPECT_THAT(message_of<UsageError>([&] { good.shot(1); }), HasSubstr("no shot 1"));
  EXPECT_THAT(message_of<UsageError>([&] { good.relative_light(-1); }), HasSubstr("no shot -1"));
  EXPECT_THAT(message_of<UsageError>([&] {
                Spectra(axis, one, SpectrumUnit::keV, {0, ShotLight::relative});
              }),
              HasSubstr("at least one channel"));
}

// ---- Files -------------------------------------------------------------------------------------

class SpectraFile : public testing::Test {
 protected:
  std::string problem(const std::string& more = {}, std::optional<SpectrumUnit> unit = {}) const {
    const std::string message = message_of<InputError>([&] { read_spectra(path + more, unit); });
    EXPECT_TRUE(message.starts_with(path + ": ")) << message;
    return message;
  }

  TempDir folder;
  const std::string path = folder / "shots.h5";
  const std::vector<double> rows{1, 2, 3, 4, 5, 6};
};

TEST_F(SpectraFile, StatesItsUnitInTheNameOfItsAxisOrBesideIt) {
  const Spectra expected(std::vector<double>{9000, 9100, 9050}, rows, SpectrumUnit::eV);
  struct Case {
    std::string name, units;
    std::vector<double> axis;
  };
  for (const auto& [name, units, axis] :
       {Case{"energy_eV", "", {9000, 9100, 9050}}, Case{"energy_keV", "", {9, 9.1, 9.05}},
        Case{"energy", "eV", {9000, 9100, 9050}}, Case{"photon_energy", "keV", {9, 9.1, 9.05}},
        Case{"energy_eV", "eV", {9000, 9100, 9050}},
        Case{"wavelength_A", "", {ev_angstrom / 9000, ev_angstrom / 9100, ev_angstrom / 9050}},
        Case{"wavelength",
             "angstrom",
             {ev_angstrom / 9000, ev_angstrom / 9100, ev_angstrom / 9050}}})
    for (const std::string data : {"/weights", "/spectra", "/entry/sase/shots"}) {
      SCOPED_TRACE(name + " " + data);
      {
        const Hdf5File file(path);
        file.numbers(data, rows, {2, 3});
        file.numbers(data.substr(0, data.rfind('/') + 1) + name, axis, {3}, units);
      }
      const bool is_found = data != "/entry/sase/shots";
      const Spectra read = read_spectra(is_found ? path : path + ":" + data);
      ASSERT_EQ(read.shots(), 2);
      for (int i = 0; i < 2; ++i) {
        const Spectrum got = read.shot(i), wanted = expected.shot(i);
        EXPECT_EQ(got.weight, wanted.weight);
        for (std::size_t k = 0; k < 3; ++k)
          EXPECT_THAT(got.wavelength_A[k], DoubleNear(wanted.wavelength_A[k], 1e-15));
      }
      if (!is_found) {
        EXPECT_THAT(problem(), HasSubstr("neither 'weights' nor 'spectra'"));
        EXPECT_THAT(problem(":/entry/weights"), HasSubstr("is missing"));
      }
    }
}

TEST_F(SpectraFile, OfNeXusHasItsAxisByTheNameOfItsWeights) {
  {
    const Hdf5File file(path);
    file.numbers("/entry/beam/incident_wavelength_weights", rows, {2, 3});
    file.numbers("/entry/beam/incident_wavelength", {1.1, 1.2, 1.3}, {3}, "angstrom");
  }
  EXPECT_THAT(read_spectra(path + ":/entry/beam/incident_wavelength_weights").shot(1).weight,
              ElementsAre(6, 5, 4));
}

TEST_F(SpectraFile, OfOneShotMayBeARowAlone) {
  {
    const Hdf5File file(path);
    file.numbers("weights", {1, 2, 3}, {3});
    file.numbers("energy_eV", {9000, 9100, 9050}, {3});
  }
  const Spectra read = read_spectra(path, {}, {2, ShotLight::relative});
  EXPECT_EQ(read.shots(), 1);
  EXPECT_EQ(read.shot(0).weight.size(), 2u);
}

TEST_F(SpectraFile, WithoutAUnitOrWithTwoIsRefused) {
  const auto write = [&](const std::string& axis, const std::string& units) {
    const Hdf5File file(path);
    file.numbers("weights", rows, {2, 3});
    file.numbers(axis, {9000, 9100, 9050}, {3}, units);
  };
  write("energy", "");
  EXPECT_THAT(problem(), AllOf(HasSubstr("does not say whether it is in eV, keV or Angstrom"),
                               HasSubstr("-spectrum_unit")));
  EXPECT_EQ(read_spectra(path, SpectrumUnit::eV).shots(), 2);
  write("energy", "J");
  EXPECT_THAT(problem(), HasSubstr("no unit of a spectrum"));
  write("energy_eV", "keV");
  EXPECT_THAT(problem(), HasSubstr("another unit in its name"));
  EXPECT_EQ(read_spectra(path, SpectrumUnit::eV).shots(), 2) << "what is said counts";
}

TEST_F(SpectraFile, ThatIsNoneIsRefusedByName) {
  const auto write = [&](const std::vector<hsize_t>& shape, const std::vector<double>& axis,
                         const std::vector<double>& weights) {
    const Hdf5File file(path);
    file.numbers("weights", weights, shape);
    if (!axis.empty()) file.numbers("energy_eV", axis, {axis.size()});
  };
  write({2, 3}, {}, rows);
  EXPECT_THAT(problem(), AllOf(HasSubstr("\"/weights\" has no axis beside it"),
                               HasSubstr("energy_eV, energy_keV, wavelength_A")));
  write({3, 2}, {9000, 9001, 9002}, rows);
  EXPECT_THAT(problem(), AllOf(HasSubstr("3 rows of 2 numbers"), HasSubstr("3 channels"),
                               HasSubstr("turn rows and columns")));
  write({1, 2, 3}, {9000, 9001, 9002}, rows);
  EXPECT_THAT(problem(), HasSubstr("3 dimensions"));
  write({2, 3}, {9000, 9001, 9002}, {1, 2, 3, 4, nan, 6});
  EXPECT_THAT(problem(), HasSubstr("weights[1, 1] (row 2, channel 2) is nan"));
  {
    const Hdf5File file(path);
    file.numbers("weights", rows, {2, 3});
    file.numbers("spectra", rows, {2, 3});
  }
  EXPECT_THAT(problem(), HasSubstr("both weights and spectra"));
  {
    const Hdf5File file(path);
    file.numbers("weights", rows, {2, 3});
    file.numbers("energy_eV", {1, 2, 3}, {3});
    file.numbers("wavelength_A", {1, 2, 3}, {3});
  }
  EXPECT_THAT(problem(), HasSubstr("might both be the axis"));
  folder.file("shots.h5", "# eV\n9000 1\n");
  EXPECT_THAT(problem(), HasSubstr("cannot be opened as HDF5"));
}

// ---- Arrays of numpy ---------------------------------------------------------------------------

class NpzOfSpectra : public testing::Test {
 protected:
  std::string problem(const std::string& more = {}) const {
    const std::string message = message_of<InputError>([&] { read_spectra(path + more); });
    EXPECT_TRUE(message.starts_with(path + ": ")) << message;
    return message;
  }
  /// Of one array of weights beside the axis.
  Spectra read(const std::string& weights) const {
    write(weights);
    return read_spectra(path);
  }
  void write(const std::string& weights, int method = 0) const {
    NpzFile file(path);
    file.file("weights.npy", weights, method);
    file.numbers("energy_eV", axis, "(3,)", method);
  }

  TempDir folder;
  const std::string path = folder / "shots.npz";
  const std::vector<double> axis{9000, 9100, 9050}, rows{1, 2, 3, 4, 5, 6};
};

TEST_F(NpzOfSpectra, AreThoseOfAnHdf5FileOfTheSameArrays) {
  for (const char* name : {"energy_eV", "energy_keV", "wavelength_A"})
    for (const int method : {0, Z_DEFLATED})
      for (const std::string place : {"", "entry/sase/"}) {
        SCOPED_TRACE(name);
        std::vector<double> values = axis;
        if (name != std::string("energy_eV"))
          for (double& x : values) x = name[0] == 'e' ? x / 1000 : ev_angstrom / x;
        const std::string other = folder / "shots.h5";
        {
          NpzFile file(path);
          file.numbers(place + "weights", rows, "(2, 3)", method);
          file.numbers(place + name, values, "(3,)", method);
          file.file("README.txt", "other files do not matter", method);
          const Hdf5File same(other);
          same.numbers("/" + place + "weights", rows, {2, 3});
          same.numbers("/" + place + name, values, {3});
        }
        const std::string data = place.empty() ? "" : ":/" + place + "weights";
        const Spectra read = read_spectra(path + data), expected = read_spectra(other + data);
        ASSERT_EQ(read.shots(), 2);
        for (int i = 0; i < 2; ++i) expect_same(read.shot(i), expected.shot(i));
      }
}

TEST_F(NpzOfSpectra, MayHaveAnyRealTypeAndAnyOrder) {
  const Spectra expected(axis, rows, SpectrumUnit::eV);
  const auto expect_rows = [&](const std::string& weights) {
    const Spectra got = read(weights);
    ASSERT_EQ(got.shots(), 2);
    for (int i = 0; i < 2; ++i) expect_same(got.shot(i), expected.shot(i));
  };
  const auto numbers = [&]<class T>(T) {
    return bytes_of(std::vector<T>(rows.begin(), rows.end()));
  };
  const auto swapped = [](std::string bytes, std::size_t width) {
    for (std::size_t i = 0; i < bytes.size(); i += width)
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                   bytes.begin() + static_cast<std::ptrdiff_t>(i + width));
    return bytes;
  };
  const auto in_both_orders = [&]<class T>(const char* type, T zero) {
    SCOPED_TRACE(type);
    expect_rows(npy(std::string("<") + type, "(2, 3)", numbers(zero)));
    expect_rows(npy(std::string(">") + type, "(2, 3)", swapped(numbers(zero), sizeof(T))));
  };
  in_both_orders("f8", double{});
  in_both_orders("f4", float{});
  in_both_orders("i8", std::int64_t{});
  in_both_orders("i4", std::int32_t{});
  in_both_orders("i2", std::int16_t{});
  in_both_orders("u8", std::uint64_t{});
  in_both_orders("u4", std::uint32_t{});
  in_both_orders("u2", std::uint16_t{});
  expect_rows(npy("|i1", "(2, 3)", numbers(std::int8_t{})));
  expect_rows(npy("|u1", "(2, 3)", numbers(std::uint8_t{})));
  // 1 to 6 in 16 bits: sign, exponent + 15, mantissa
  const std::vector<std::uint16_t> halves{0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};
  expect_rows(npy("<f2", "(2, 3)", bytes_of(halves)));
  expect_rows(npy("<f8", "(2, 3)", bytes_of(std::vector<double>{1, 4, 2, 5, 3, 6}), "True"));
  expect_rows(npy("<f8", "(2L, 3L)", bytes_of(rows)));  // numpy of Python 2
  EXPECT_EQ(read(npy("<f8", "(3,)", bytes_of(std::vector<double>{1, 2, 3}))).shots(), 1);
}

TEST_F(NpzOfSpectra, SayTheirUnitByTheNameOfTheAxisOrAreAskedForIt) {
  {
    NpzFile file(path);
    file.numbers("weights", rows, "(2, 3)");
    file.numbers("energy", axis, "(3,)");
  }
  EXPECT_THAT(problem(), AllOf(HasSubstr("\"/energy\" does not say whether it is in eV, keV or "
                                         "Angstrom"),
                               HasSubstr("-spectrum_unit")));
  EXPECT_EQ(read_spectra(path, SpectrumUnit::eV).shots(), 2);
  {
    NpzFile file(path);
    file.numbers("weights", rows, "(2, 3)");
    file.numbers("energy_eV", axis, "(3,)");
    file.numbers("wavelength_A", axis, "(3,)");
  }
  EXPECT_THAT(problem(), HasSubstr("might both be the axis"));
}

TEST_F(NpzOfSpectra, ThatAreNoneAreRefusedByName) {
  const std::string good = npy("<f8", "(2, 3)", bytes_of(rows));
  const auto problem_of = [&](const std::string& weights) {
    write(weights);
    return problem();
  };
  EXPECT_THAT(problem_of(npy("<f8", "(3, 2)", bytes_of(rows))), HasSubstr("turn rows and columns"));
  EXPECT_THAT(problem_of(npy("<f8", "(1, 2, 3)", bytes_of(rows))), HasSubstr("3 dimensions"));
  EXPECT_THAT(problem_of(npy("<f8", "()", bytes_of(rows))), HasSubstr("0 dimensions"));
  for (const char* type : {"<c8", "|O", "|b1", "<U3", "<f1", "<f16", "<f3", "f8", "<M8[ns]"})
    EXPECT_THAT(problem_of(npy(type, "(2, 3)", bytes_of(rows))), HasSubstr("no integers")) << type;
  EXPECT_THAT(problem_of(npy("<f4", "(2, 3)", bytes_of(rows))),
              HasSubstr("\"weights\" has 48 bytes of numbers, and its shape needs 24"));
  EXPECT_THAT(problem_of(npy("<f8", "(999999999999, 3)", bytes_of(rows))),
              HasSubstr("values of any array"));
  std::vector<double> negative = rows;
  negative[4] = -1;
  EXPECT_THAT(problem_of(npy("<f8", "(2, 3)", bytes_of(negative))),
              HasSubstr("weights[1, 1] (row 2, channel 2) is -1"));
  for (const char* shape :
       {"(2, 3", "(2 3)", "2, 3", "(-2, 3)", "(2, 99999999999999999999)", "[2]"})
    EXPECT_THAT(problem_of(npy("<f8", shape, bytes_of(rows))), HasSubstr("is no array of numbers"))
        << shape;
  EXPECT_THAT(problem_of(npy("<f8", "(2, 3)", bytes_of(rows), "false")),
              HasSubstr("is no array of numbers"));
  for (const std::string& content :
       {std::string(), std::string("9000 1\n9100 2\n"), good.substr(0, 9), good.substr(0, 40)})
    EXPECT_THAT(problem_of(content), HasSubstr("is no array of numbers")) << content;
  write(good);
  EXPECT_THAT(problem(":/there"), AllOf(HasSubstr("\"/there\", the weights of the spectra, is "
                                                  "missing"),
                                        HasSubstr("\"energy_eV\", \"weights\"")));
  {
    NpzFile file(path);
    file.file("weights.npy", good);
    file.file("weights.npy", good);
  }
  EXPECT_THAT(problem(), HasSubstr("\"weights\" is there twice"));
  { const NpzFile file(path); }
  EXPECT_THAT(problem(), HasSubstr("is a ZIP archive that holds nothing"));
  {
    NpzFile file(path);
    file.numbers("energy_eV", axis, "(3,)");
  }
  EXPECT_THAT(problem(), HasSubstr("neither 'weights' nor 'spectra'"));
  folder.file("shots.npz", good);
  EXPECT_THAT(problem(), AllOf(HasSubstr("is one array of numpy"), HasSubstr("np.savez")));
}

TEST_F(NpzOfSpectra, ThatAreDamagedAreReadAsTheyWereOrRefused) {
  for (const int method : {0, Z_DEFLATED}) {
    write(npy("<f8", "(2, 3)", bytes_of(rows)), method);
    const std::string whole = folder.content("shots.npz");
    const Spectra expected = read_spectra(path);
    const auto expect_no_other = [&](const std::string& bytes) {
      folder.file("shots.npz", bytes);
      try {
        const Spectra got = read_spectra(path);
        ASSERT_EQ(got.shots(), 2);
        for (int i = 0; i < 2; ++i) expect_same(got.shot(i), expected.shot(i));
      } catch (const InputError& error) {
        EXPECT_TRUE(std::string(error.what()).starts_with(path + ": ")) << error.what();
      }
    };
    for (std::size_t size = 0; size < whole.size(); size += 7)
      expect_no_other(whole.substr(0, size));
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string bytes = whole;
      bytes[at] ^= static_cast<char>(1 << at % 8);
      expect_no_other(bytes);
    }
  }
}

}  // namespace
}  // namespace nablabragg
