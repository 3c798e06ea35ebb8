// -spectra: a series each of whose images has the light of its own shot.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "nablabragg/image_files.hpp"
#include "nablabragg/series.hpp"
#include "nablabragg/spectra.hpp"
#include "support/hdf5_file.hpp"
#include "support/npz_file.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string model =
    "-corrected -noprogress -cell 60 60 60 90 90 90 -N 10 -gauss_xtal -distance 60 -detpixels 64 "
    "-pixel 0.4 -default_F 100 -fluence 1e24 -oversample 1 -seed 7 ";
const std::string wavelength = "-lambda 1 ";
const test::Environment fixed_date = {{"SOURCE_DATE_EPOCH", "1700000000"}};
constexpr int usage = 2, input_file = 3;

class SpectraFlag : public test::ProgramTest {
 protected:
  static constexpr std::size_t channels = 4;
  const std::vector<double> axis{12300, 12400, 12350, 12500};
  const std::vector<double> weights{1, 0, 3, 2, 8, 1, 1, 0, 0, 0, 0, 3};

  void SetUp() override {
    write("shots.h5", weights);
    for (int i = 0; i < 3; ++i) {
      std::string rows = "# eV\n";
      for (std::size_t k = 0; k < channels; ++k) {
        char line[100];
        std::snprintf(line, sizeof line, "%.17g %.17g\n", axis[k],
                      weights[channels * static_cast<std::size_t>(i) + k]);
        rows += line;
      }
      folder.file("shot" + std::to_string(i) + ".txt", rows);
    }
    folder.file("stills.txt", "10 20 30\n1 2 3\n-40 5 60\n");
  }
  void write(const std::string& name, const std::vector<double>& rows) const {
    const test::Hdf5File file(folder / name);
    file.numbers("weights", rows, {rows.size() / channels, channels});
    file.numbers("energy_eV", axis, {channels});
  }
  void expect_refused(const std::string& arguments, const std::string& part,
                      int code = usage) const {
    const Outcome outcome = run(model + "-floatfile a_#.bin " + arguments);
    EXPECT_EQ(outcome.exit_code, code) << arguments << '\n' << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("nablabragg: error: "), HasSubstr(part)));
  }
  Outcome dated_run(const std::string& line) const {
    Outcome outcome = test::run_program(folder.path(), line, fixed_date);
    EXPECT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
    return outcome;
  }
  std::string bytes(const std::string& name) const { return folder.content(name); }
};

TEST_F(SpectraFlag, MakesTheImagesOfSingleCommandsEachWithItsOrientationAndItsSpectrum) {
  const std::string missets[] = {"10 20 30", "1 2 3", "-40 5 60"};
  for (const std::string& how : {std::string(), std::string("-threads 1 "),
                                 std::string("-engine reference "), std::string("-water 5 ")}) {
    const Outcome outcome = good_run(
        model + wavelength + how +
        "-spectra shots.h5 -orientations stills.txt -floatfile f_#.bin "
        "-noisefile n_#.img");
    EXPECT_THAT(outcome.out, HasSubstr("made 3 images"));
    EXPECT_THAT(outcome.err, Not(HasSubstr("shots.h5")));
    for (int i = 0; i < 3; ++i) {
      const std::string seed = std::to_string(seed_of_image(7, i));
      good_run(model + wavelength + how + "-misset " + missets[i] + " -spectrum shot" +
               std::to_string(i) + ".txt -floatfile one.bin -noisefile one.img -seed " + seed);
      const std::string number = std::to_string(i + 1);
      EXPECT_EQ(bytes("f_" + number + ".bin"), bytes("one.bin")) << how << i;
      EXPECT_EQ(test::read_smv_pixels(folder / ("n_" + number + ".img")),
                test::read_smv_pixels(folder / "one.img"))
          << how << i;
    }
  }
}

TEST_F(SpectraFlag, AloneMakesAStillOfEachShotInTheOrientationOfTheCrystal) {
  good_run(model + wavelength + "-misset 10 20 30 -spectra shots.h5 -floatfile f_#.bin");
  for (int i = 0; i < 3; ++i) {
    good_run(model + wavelength + "-misset 10 20 30 -floatfile one.bin -spectrum shot" +
             std::to_string(i) + ".txt");
    EXPECT_EQ(bytes("f_" + std::to_string(i + 1) + ".bin"), bytes("one.bin")) << i;
  }
}

TEST_F(SpectraFlag, GivesTheImagesOfAScanTheirLight) {
  const std::string scan = model + wavelength + "-misset 10 20 30 -osc 0.5 -phisteps 2 ";
  good_run(scan + "-phi 5 -images 3 -spectra shots.h5:/weights -floatfile f_#.bin");
  good_run(scan + "-phi 6 -spectrum shot2.txt -floatfile one.bin");
  EXPECT_EQ(bytes("f_3.bin"), bytes("one.bin"));
}

TEST_F(SpectraFlag, TakesTheArraysOfNumpy) {
  {
    test::NpzFile file(folder / "shots.npz");
    file.numbers("sase/weights", weights, "(3, 4)", Z_DEFLATED);
    file.numbers("sase/energy_eV", axis, "(4,)", Z_DEFLATED);
  }
  good_run(model + "-spectra shots.h5 -orientations stills.txt -floatfile f_#.bin");
  good_run(model + "-spectra shots.npz:/sase/weights -orientations stills.txt -floatfile g_#.bin");
  for (const std::string number : {"1", "2", "3"})
    EXPECT_EQ(bytes("f_" + number + ".bin"), bytes("g_" + number + ".bin"));
  EXPECT_THAT(run(model + "-spectra shots.npz:/sase/weights -o shots.npz").err,
              HasSubstr("-spectra reads"));
}

TEST_F(SpectraFlag, OfOneShotIsTheSpectrumOfAllImages) {
  write("one.h5", {1, 0, 3, 2});
  good_run(model + "-spectra one.h5 -orientations stills.txt -floatfile f_#.bin");
  good_run(model + "-spectrum shot0.txt -orientations stills.txt -floatfile g_#.bin");
  for (const char* number : {"1", "2", "3"})
    EXPECT_EQ(bytes("f_" + std::string(number) + ".bin"),
              bytes("g_" + std::string(number) + ".bin"));
}

TEST_F(SpectraFlag, StatesTheMeanOfAllShotsAsTheWavelengthAndThatOfEachInItsFiles) {
  good_run(model +
           "-sensor Si 450 -spectra shots.h5 -orientations stills.txt -o all.nxs -o one_#.cbf -o "
           "stills.expt -intfile i_#.img");
  const Spectra spectra = read_spectra(folder / "shots.h5");
  const auto file = nlohmann::json::parse(bytes("stills.expt"));
  for (int i = 0; i < 3; ++i) {
    const double mean_A = mean_wavelength_A(spectra.shot(i));
    const std::string number = std::to_string(i + 1);
    const GeometryBeam in_all = *io::read_image(folder / "all.nxs", i).geometry.beam;
    EXPECT_NEAR(in_all.wavelength_A, mean_A, 1e-12);
    // With the channels that have none of a shot's light
    double light = 0, of_wavelengths = 0;
    ASSERT_EQ(in_all.spectrum_A.size(), channels);
    for (std::size_t k = 0; k < channels; ++k) {
      light += in_all.spectrum_weights[k];
      of_wavelengths += in_all.spectrum_weights[k] * in_all.spectrum_A[k];
    }
    EXPECT_NEAR(of_wavelengths / light, mean_A, 1e-12);
    EXPECT_NEAR(io::read_image(folder / ("one_" + number + ".cbf")).geometry.beam->wavelength_A,
                mean_A, 1e-6);
    const std::string smv = bytes("i_" + number + ".img"), key = "WAVELENGTH=";
    ASSERT_NE(smv.find(key), smv.npos);
    EXPECT_NEAR(std::stod(smv.substr(smv.find(key) + key.size(), 20)), mean_A, 1e-12);
    const auto beam = file["experiment"][static_cast<std::size_t>(i)]["beam"].get<std::size_t>();
    EXPECT_NEAR(file["beam"][beam]["wavelength"].get<double>(), mean_A, 1e-12);
  }
  // One wavelength, and with it sub-pixels and sensors, for all of them
  const Outcome outcome = good_run(model + "-spectra shots.h5 -floatfile f_#.bin");
  char mean[50];
  std::snprintf(mean, sizeof mean, "wave=%g meters", 1e-10 * mean_wavelength_A(spectra.mean()));
  EXPECT_THAT(outcome.out, HasSubstr(mean));
}

TEST_F(SpectraFlag, ThinsEachShotAndSaysWhatThatMovesAtMost) {
  const Outcome outcome = good_run(model +
                                   "-sensor Si 450 -spectra shots.h5 -spectrum_channels 2 -o "
                                   "all.nxs -floatfile f_#.bin");
  const Spectra spectra = read_spectra(folder / "shots.h5", {}, {2, ShotLight::relative});
  ASSERT_GT(spectra.moved_eV(), 0);
  char text[200];
  std::snprintf(text, sizeof text,
                "shots.h5: the 4 channels of each shot became 2 at most, which moves its light by "
                "up to %.3g eV (rms)",
                spectra.moved_eV());
  EXPECT_THAT(outcome.err, HasSubstr(text));
  for (int i = 0; i < 3; ++i) {
    const GeometryBeam beam = *io::read_image(folder / "all.nxs", i).geometry.beam;
    const Spectrum shot = spectra.shot(i);
    ASSERT_EQ(beam.spectrum_A.size(), 2U);
    for (std::size_t k = 0; k < shot.weight.size(); ++k) {
      EXPECT_EQ(beam.spectrum_A[k], shot.wavelength_A[k]);
      EXPECT_EQ(beam.spectrum_weights[k], shot.weight[k]);
    }
  }
  EXPECT_THAT(good_run(model + "-spectra shots.h5 -spectrum_channels 20 -floatfile f_#.bin").err,
              Not(HasSubstr("channels")));
}

TEST_F(SpectraFlag, TakesTheSumsOfRowsForPhotonsWhereThatIsAsked) {
  const std::string line = model + wavelength + "-misset 10 20 30 ";
  good_run(line + "-spectra shots.h5 -spectra_scale absolute -floatfile f_#.bin");
  const double sums[] = {6, 10, 3};
  for (int i = 0; i < 3; ++i) {
    char fluence[50];
    std::snprintf(fluence, sizeof fluence, " -fluence %.17g", 1e24 * (sums[i] / (19.0 / 3)));
    good_run(line + "-floatfile one.bin -spectrum shot" + std::to_string(i) + ".txt" + fluence);
    EXPECT_EQ(bytes("f_" + std::to_string(i + 1) + ".bin"), bytes("one.bin")) << i;
  }
}

TEST_F(SpectraFlag, GoesOnToTheFilesOfARunThatWasNotInterrupted) {
  const std::string
      line = model +
             "-sensor Si 450 -spectra shots.h5 -orientations stills.txt -o all.nxs -floatfile "
             "f_#.bin ";
  dated_run(line);
  const std::string complete = bytes("all.nxs"), second = bytes("f_2.bin");
  std::filesystem::remove(folder / "f_2.bin");
  EXPECT_THAT(dated_run(line + "-continue").err, HasSubstr("2 of 3 images are complete"));
  EXPECT_EQ(bytes("all.nxs"), complete);
  EXPECT_EQ(bytes("f_2.bin"), second);
  // Other light is another series
  std::vector<double> other = weights;
  other[0] *= 1 + 1e-15;
  write("shots.h5", other);
  const Outcome outcome = run(line + "-continue");
  EXPECT_EQ(outcome.exit_code, input_file);
  EXPECT_THAT(outcome.err, HasSubstr("is of another series"));
}

TEST_F(SpectraFlag, ListsTheReflectionsOfEachShotsWavelength) {
  good_run(model +
           "-sensor Si 450 -spectra shots.h5 -orientations stills.txt -o all.nxs -o s.refl");
  EXPECT_GT(std::filesystem::file_size(folder / "s.refl"), 1000U);
  EXPECT_THAT(bytes("s.refl"), HasSubstr("wavelength"));
}

TEST_F(SpectraFlag, OfAScanIsForFilesOfAnImageEach) {
  const std::string scan = model +
                           "-sensor Si 450 -spectra shots.h5 -images 3 -osc 0.5 -phisteps 2 ";
  good_run(scan + "-o scan_#.cbf -o s.refl");
  EXPECT_THAT(run(scan + "-o s.expt -floatfile f_#.bin").err,
              HasSubstr("a wavelength for each image of a scan"));
  EXPECT_THAT(run(scan + "-o s.nxs").err,
              HasSubstr("the first wavelength for all images of a scan"));
}

TEST_F(SpectraFlag, RefusesWhatContradictsIt) {
  folder.file("two.txt", "1 2 3\n4 5 6\n");
  expect_refused("-spectra shots.h5 -orientations two.txt",
                 "shots.h5: holds the spectra of 3 shots, and the series has 2 images", input_file);
  expect_refused("-spectra shots.h5 -images 4", "3 shots, and the series has 4 images", input_file);
  expect_refused("-spectra shots.h5 -osc 1", "-images are missing");
  expect_refused("-spectra shots.h5 -spectrum shot0.txt", "-spectrum says how much light");
  expect_refused("-spectra shots.h5 -dispersion 1", "so does -dispersion");
  expect_refused("-spectra shots.h5 -divergence 1", "-spectra is of a beam of one direction");
  expect_refused("-spectra_scale absolute", "-spectra_scale is of -spectra FILE");
  expect_refused("-spectra missing.h5", "missing.h5", input_file);
  folder.file("cut.npz", std::string("PK\x03\x04\x14", 5) + std::string(200, 'x'));
  expect_refused("-spectra cut.npz", "cut.npz: cannot be opened as ZIP", input_file);
  expect_refused("-spectra shots.h5:/there", "/there", input_file);
  expect_refused("-spectra shots.h5 -trace_pixel 1 1", "-trace_pixel is of one image");
  write("dark.h5", {1, 0, 3, 2, 0, 0, 0, 0});
  expect_refused("-spectra dark.h5", "weights[1] (row 2) has no channel with light", input_file);
  const Outcome compat = run(
      "-cell 60 60 60 90 90 90 -N 5 -default_F 1 -detpixels 8 -spectra shots.h5 -floatfile "
      "a_#.bin");
  EXPECT_EQ(compat.exit_code, usage);
  EXPECT_THAT(compat.err, HasSubstr("-spectra needs -corrected"));
  // Nor are they written over
  EXPECT_THAT(run(model + "-spectra shots.h5:/weights -o shots.h5").err,
              HasSubstr("-spectra reads"));
  EXPECT_THAT(
      run("refine --image a.cbf --parameters fluence -- " + model + "-spectra shots.h5").err,
      HasSubstr("refine takes one spectrum for all images"));
}

}  // namespace
}  // namespace nablabragg
