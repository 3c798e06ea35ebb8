// F that follows the energy of the light, from the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "support/program_test.hpp"
#include "support/six_atoms.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string image =
    "-corrected -noprogress -hkl six.pdb -model_dmin 2 -N 12 -gauss_xtal -misset 12 25 37 "
    "-distance 40 -detpixels 64 -pixel 0.9 -flux 1e18 -exposure 1 -beamsize 0.1 -nointerpolate "
    "-oversample 1 -floatfile a.bin ";

class AnomalousFlags : public test::ProgramTest {
 protected:
  void SetUp() override {
    folder.file("six.pdb", test::six_atoms);
    folder.file("iron", "energy f' f''\n7000 -3.8 0.5\n7110 -7 0.8\n7122 -7 3.6\n7300 -3.5 3.9\n");
    folder.file("light", "7100 1\n7105 2\n7110 3\n7115 3\n7120 2\n7125 1\n");
  }
  std::map<std::string, double> list(const std::string& name) const {
    std::istringstream in(folder.content(name));
    std::map<std::string, double> all;
    for (std::string line; std::getline(in, line) && line[0] != '#';)
      all[line.substr(0, line.rfind(' '))] = std::stod(line.substr(line.rfind(' ') + 1));
    return all;
  }
  void expect_refused(const std::string& line, const std::string& part) const {
    const Outcome outcome = run(line);
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_THAT(outcome.err, HasSubstr(part)) << line;
  }
};

TEST_F(AnomalousFlags, OfFcalcMakeMatesDiffer) {
  const Outcome outcome = good_run("fcalc six.pdb -dmin 3 -ksol 0 -energy 7200 -o at.hkl");
  EXPECT_THAT(outcome.out, HasSubstr("f' and f'' of S, Fe at 7200 eV: F(h) and F(-h) differ\n"));
  const auto F = list("at.hkl");
  EXPECT_NEAR(F.at("1 2 3"), 35.0463, 3e-4);
  EXPECT_NEAR(F.at("-1 -2 -3"), 29.5540, 3e-4);
  EXPECT_NEAR(F.at("4 -1 2"), 40.9391, 3e-4);
  good_run("fcalc six.pdb -dmin 3 -ksol 0 -o without.hkl");
  const auto F0 = list("without.hkl");
  EXPECT_EQ(F0.at("1 2 3"), F0.at("-1 -2 -3"));
  // As MTZ, F(+) and F(-), which -hkl reads
  good_run("fcalc six.pdb -dmin 3 -ksol 0 -energy 7200 -o at.mtz");
  const std::string
      rest = "-corrected -noprogress -N 5 -lambda 1.722 -distance 40 -detpixels 32 -pixel 1 ";
  const Outcome mtz = good_run(rest + "-hkl at.mtz -floatfile m.bin");
  EXPECT_THAT(mtz.out, HasSubstr("F(+)"));
  good_run(rest + "-cell 20 24 30 90 90 90 -hkl at.hkl -floatfile t.bin");
}

TEST_F(AnomalousFlags, OfFcalcTakeMeasuredCurves) {
  const Outcome near = good_run("fcalc six.pdb -dmin 3 -energy 7110 -o a.hkl");
  EXPECT_THAT(near.err, AllOf(HasSubstr("comes near the edge of Fe at 7112.0 eV"),
                              HasSubstr("-anomalous Fe FILE")));
  const Outcome measured = good_run(
      "fcalc six.pdb -dmin 3 --energy=7110 --anomalous FE iron -o b.hkl");
  EXPECT_THAT(measured.err, Not(HasSubstr("edge")));
  EXPECT_NE(list("a.hkl"), list("b.hkl"));
  expect_refused("fcalc six.pdb -dmin 3 -anomalous Fe iron -o c.hkl", "give -energy, in eV");
  expect_refused("fcalc six.pdb -dmin 3 -energy 7110 -o c.hkl -anomalous Fe",
                 "needs an element and a file");
  expect_refused("fcalc six.pdb -dmin 3 -energy 7110 -anomalous Zn iron -o c.hkl",
                 "the model has no such atom");
  expect_refused("fcalc six.pdb -dmin 3 -energy 6000 -anomalous Fe iron -o c.hkl",
                 "the light reaches 6000");
  expect_refused("fcalc six.pdb -dmin 3 -energy 7110 -anomalous Fe iron -o iron",
                 "-o would destroy what -anomalous reads");
}

TEST_F(AnomalousFlags, MakeEachRayHaveTheFOfItsEnergy) {
  const Outcome one = good_run(image + "-energy 7200");
  EXPECT_THAT(one.out,
              HasSubstr("six.pdb: F of 6 atoms to 2 A, with f' and f'' of S, Fe at the energy of "
                        "each ray\n"));
  EXPECT_THAT(one.err, Not(HasSubstr("edge")));
  const std::string at_7200 = folder.content("a.bin");
  // The table of fcalc is the same to its digits.
  good_run("fcalc six.pdb -dmin 2 -energy 7200 -o at.hkl");
  good_run(
      "-corrected -noprogress -hkl at.hkl -cell 20 24 30 90 90 90 -energy 7200 -N 12 "
      "-gauss_xtal -misset 12 25 37 -distance 40 -detpixels 64 -pixel 0.9 -flux 1e18 "
      "-exposure 1 -beamsize 0.1 -nointerpolate -oversample 1 -floatfile b.bin");
  const std::string of_table = folder.content("b.bin");
  double most = 0, worst = 0;
  for (std::size_t i = 0; i < at_7200.size(); i += 4) {
    float a = 0, b = 0;
    std::memcpy(&a, at_7200.data() + i, 4);
    std::memcpy(&b, of_table.data() + i, 4);
    most = std::max(most, double(a));
    worst = std::max(worst, std::abs(double(a) - double(b)));
  }
  EXPECT_GT(most, 0);
  EXPECT_LT(worst, 1e-3 * most);
  good_run(image + "-energy 7200 -noanomalous");
  EXPECT_NE(folder.content("a.bin"), at_7200);
  const Outcome spectrum = good_run(image + "-spectrum light -spectrum_unit eV");
  EXPECT_THAT(spectrum.err, HasSubstr("comes near the edge of Fe"));
  EXPECT_THAT(good_run(image + "-spectrum light -spectrum_unit eV -anomalous Fe iron").err,
              Not(HasSubstr("edge")));
}

TEST_F(AnomalousFlags, ShowTheFOfEachRayInATrace) {
  const std::string light = image + "-spectrum light -spectrum_unit eV -anomalous Fe iron ";
  good_run(light + "-engine reference");
  const std::string bytes = folder.content("a.bin");
  const std::size_t brightest = [&] {
    std::size_t best = 0;
    float most = 0;
    for (std::size_t i = 0; i < 64 * 64; ++i) {
      float value = 0;
      std::memcpy(&value, bytes.data() + 4 * i, 4);
      if (value > most) best = i;
      most = std::max(most, value);
    }
    return best;
  }();
  float photons = 0;
  std::memcpy(&photons, bytes.data() + 4 * brightest, 4);
  const Outcome outcome = good_run(light + "-quiet -trace_format json -trace_pixel " +
                                   std::to_string(brightest / 64) + ' ' +
                                   std::to_string(brightest % 64));
  const auto trace = nlohmann::json::parse(outcome.out);
  EXPECT_NEAR(trace["photons"].get<double>() / double(photons), 1, 1e-6);
  expect_refused(light + "-interpolate -trace_pixel 3 4", "each energy has its own");
}

TEST_F(AnomalousFlags, AreRefusedWhereTheyMeanNothing) {
  expect_refused("-corrected -hkl six.pdb -energy 7200", "fcalc six.pdb");
  expect_refused("-corrected -cell 50 -default_F 1 -model_dmin 2", "-hkl MODEL, which is missing");
  expect_refused("-corrected -cell 50 -default_F 1 -noanomalous", "-hkl MODEL with -model_dmin");
  expect_refused("-hkl six.pdb -model_dmin 2 -energy 7200 -N 5", "give -corrected");
  expect_refused(image + "-energy 7200 -hkl_column F", "-hkl_column is of a table");
  expect_refused(image + "-energy 7200 -anomalous Fe iron -noanomalous", "give one of them");
  expect_refused(image + "-energy 7200 -anomalous Fe six.pdb", "six.pdb");
  expect_refused(image + "-energy 7200 -model_dmin 0", "needs a resolution in Angstrom");
}

}  // namespace
}  // namespace nablabragg
