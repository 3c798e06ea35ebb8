// -spectrum: the light of a file, beside the list of sources that says the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "nablabragg/image_files.hpp"
#include "nablabragg/units.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::HasSubstr;
using testing::Not;

const std::string model =
    "-corrected -noprogress -cell 60 60 60 90 90 90 -misset 12 -7 33 -N 10 -gauss_xtal -distance "
    "60 "
    "-detpixels 64 -pixel 0.4 -default_F 100 -fluence 1e24 ";

class SpectrumFlag : public test::ProgramTest {
 protected:
  void SetUp() override {
    folder.file("shot.csv", "photon energy [eV],intensity\n12300,1\n12400,2\n12600,5\n");
  }
  void expect_refused(const std::string& arguments, const std::string& part, int code = 2) const {
    const Outcome outcome = run(model + "-floatfile a.bin " + arguments);
    EXPECT_EQ(outcome.exit_code, code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("nablabragg: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }
};

TEST_F(SpectrumFlag, MakesTheImageOfTheSourcesThatItStandsFor) {
  std::string list;
  for (const auto& [energy, weight] :
       {std::pair{12300, 1}, std::pair{12400, 2}, std::pair{12600, 5}}) {
    char line[100];
    std::snprintf(line, sizeof line, "-10 0 0 %d %.17ge-10\n", weight,
                  units::angstrom_from_ev(double(energy)));
    list += line;
  }
  folder.file("sources.txt", list);
  const Outcome outcome = good_run(model + "-spectrum shot.csv -floatfile a.bin");
  EXPECT_THAT(outcome.out, HasSubstr("created a total of 3 sources"));
  EXPECT_EQ(outcome.err, "");
  good_run(model + "-sourcefile sources.txt -lambda 0.987834 -floatfile b.bin");
  EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
  // Without -lambda the wavelength of headers is the mean; what is stated stays
  good_run(model + "-sensor Si 320 -spectrum shot.csv -o mean.cbf -seed 1");
  EXPECT_NEAR(io::read_geometry(folder / "mean.cbf").beam->wavelength_A, 0.990969, 1e-6);
}

TEST_F(SpectrumFlag, ThinsAndSaysWhatThatMoves) {
  std::string rows = "# eV\n";
  for (int i = 0; i < 1000; ++i) rows += std::to_string(12000 + i) + " 1\n";
  folder.file("many.txt", rows);
  const Outcome outcome = good_run(model +
                                   "-spectrum many.txt -spectrum_channels 10 -floatfile a.bin");
  EXPECT_THAT(outcome.out, HasSubstr("created a total of 10 sources"));
  EXPECT_THAT(
      outcome.err,
      HasSubstr("many.txt: 1000 channels became 10, which moves its light by 28.9 eV (rms)"));
  EXPECT_EQ(good_run(model + "-spectrum shot.csv -spectrum_channels 10 -floatfile a.bin").err, "");
}

TEST_F(SpectrumFlag, RefusesWhatContradictsIt) {
  folder.file("plain.txt", "12300 1\n");
  expect_refused("-spectrum plain.txt",
                 "plain.txt: does not say whether its rows are in eV, keV or Angstrom", 3);
  EXPECT_EQ(run(model + "-floatfile a.bin -spectrum plain.txt -spectrum_unit eV").exit_code, 0);
  expect_refused("-spectrum plain.txt -spectrum_unit nm", "-spectrum_unit");
  expect_refused("-spectrum shot.csv -dispersion 1",
                 "-spectrum says how much light each wavelength has, and so does -dispersion");
  folder.file("sources.txt", "-10 0 0 1 1e-10\n");
  expect_refused("-spectrum shot.csv -sourcefile sources.txt", "and so does -sourcefile");
  expect_refused("-spectrum shot.csv -divergence 1", "-spectrum is of a beam of one direction");
  expect_refused("-spectrum_channels 5",
                 "-spectrum_unit and -spectrum_channels are of -spectrum FILE");
  expect_refused("-spectrum shot.csv -spectrum_channels 0", "1 or more");
  expect_refused("-spectrum missing.txt", "missing.txt", 3);
  const Outcome compat = run(
      "-cell 60 60 60 90 90 90 -N 5 -default_F 1 -detpixels 8 -spectrum shot.csv");
  EXPECT_EQ(compat.exit_code, 2);
  EXPECT_THAT(compat.err, HasSubstr("-spectrum needs -corrected"));
  // A spectrum is not written over
  EXPECT_THAT(run(model + "-spectrum shot.csv -floatfile shot.csv").err,
              HasSubstr("-spectrum reads"));
}

}  // namespace
}  // namespace nablabragg
