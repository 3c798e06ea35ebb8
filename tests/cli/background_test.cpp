// -background, -air and -ice: matter in the beam, from the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::HasSubstr;
using testing::Not;

/// A panel across the beam; pixel slow 300 fast 200 at (100, 20.05, 30.05) mm.
const std::string model =
    "-corrected -noprogress -cell 100 100 100 90 90 90 -default_F 1e-9 -fdet_vector 0 1 0 "
    "-sdet_vector 0 0 1 -odet_vector 1 0 0 -beam_vector 1 0 0 -polar_vector 0 0 1 -pix0_vector "
    "0.1 0 0 -detpixels 512 -pixel 0.1 -lambda 1 -polar 0.9 -flux 1e12 -exposure 1 -beamsize 0.1 "
    "-oversample 1 -roi 200 200 300 300 -floatfile a.bin ";

class BackgroundFlags : public test::ProgramTest {
 protected:
  void SetUp() override {
    folder.file("water.stol",
                "0 2.57\n0.0365 2.58\n0.07 2.8\n0.12 5\n0.162 8\n0.18 7.32\n0.2 6.75\n0.216 6.75\n"
                "0.236 6.5\n0.28 4.5\n0.3 4.3\n0.345 4.36\n0.436 3.77\n0.5 3.17\n");
  }
  nlohmann::json trace(const std::string& arguments) const {
    const Outcome outcome = good_run(model + "-quiet -trace_pixel 300 200 -trace_format json " +
                                     arguments);
    return nlohmann::json::parse(outcome.out);
  }
  void expect_refused(const std::string& arguments, const std::string& part, int code = 2) const {
    std::filesystem::remove(folder / "a.bin");
    const Outcome outcome = run(model + arguments);
    EXPECT_EQ(outcome.exit_code, code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_THAT(folder.names(), Not(testing::Contains("a.bin")));
  }
};

TEST_F(BackgroundFlags, AddLightThatTheTraceTellsApart) {
  const auto alone = trace("-background water.stol 1 1 18");
  EXPECT_NEAR(alone["photons"].get<double>() / 11789.4099122, 1, 1e-7);
  const auto all = trace(
      "-background water.stol 1 1 18 H2O -background water.stol 0.5 1 18 "
      "-air -5 30 -ice 10");
  std::vector<std::string> names;
  double sum = 0;
  for (const auto& material : all["materials"]) {
    names.push_back(material["name"]);
    sum += material["photons"].get<double>();
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"water.stol", "Compton scattering of H2O", "water.stol",
                                      "air", "Compton scattering of air", "ice"}));
  EXPECT_NEAR(all["materials"][2]["photons"].get<double>() / (0.5 * 11789.4099122), 1, 1e-9);
  EXPECT_NEAR(all["photons"].get<double>() / sum, 1, 1e-7);
}

TEST_F(BackgroundFlags, StandInTheSummary) {
  const Outcome outcome = good_run(model + "-background water.stol 1 1 18 -air -5 30");
  EXPECT_THAT(outcome.out, HasSubstr("in the beam: water.stol, 1 mm, 1 g/cm^3, 18 g/mol, F at 14"));
  EXPECT_THAT(outcome.out, HasSubstr("in the beam: air from -5 to 30 mm, 0.00120347 g/cm^3"));
}

TEST_F(BackgroundFlags, ChooseTheInterpolation) {
  EXPECT_NEAR(trace("-background water.stol 1 1 18 -background_interpolation nonbragg")["photons"]
                      .get<double>() /
                  11903.7159175,
              1, 1e-7);
}

TEST_F(BackgroundFlags, TakeAFormulaOrTheWordThatFHoldsComptonScattering) {
  EXPECT_EQ(trace("-background water.stol 1 1 18 included")["materials"].size(), 1U);
  expect_refused("-background water.stol 1 1 18 Watr", "'Watr' is no chemical formula");
  expect_refused("-background water.stol 1 1 44 H2O", "H2O has 18.02 g/mol");
}

TEST_F(BackgroundFlags, SayWhereTheTableEnds) {
  std::string wide = model;
  wide.replace(wide.find("-pixel 0.1"), 10, "-pixel 0.4");
  const Outcome outcome = good_run(wide + "-background water.stol 1 1 18");
  EXPECT_THAT(outcome.err, HasSubstr("the table of water.stol ends at sin(theta)/lambda = 0.5"));
}

TEST_F(BackgroundFlags, AreRefusedWithASentenceWhereTheyMeanNothing) {
  expect_refused("-background none.stol 1 1 18", "none.stol", 3);
  expect_refused("-background water.stol 1 1", "needs 4 values");
  expect_refused("-background water.stol 1 1 0", "a density in g/cm^3 and a molar mass in g/mol");
  expect_refused("-background_interpolation cubic", "is of -background FILE, which is missing");
  expect_refused("-air 30 -5", "needs where the path begins");
  expect_refused("-air -5 101", "into the detector");
  expect_refused("-air_pressure 50", "-air_pressure is of -air FROM TO, which is missing");
  expect_refused("-ice_size 100", "-ice_size is of -ice UM, which is missing");
  expect_refused("-ice 10 -ice_size 5000", "too sharp");
  expect_refused("-ice 10 -ice_size 5", "hold no unit cell");
  folder.file("close.stol", "0 1\n1e-320 2\n");
  expect_refused("-background close.stol 1 1 18", "row 2 does not rise");
  expect_refused("-compat -air -5 30", "give -corrected");
}

TEST_F(BackgroundFlags, LeaveTheReflectionsAndTheirLightAlone) {
  std::string image = model;
  image.replace(image.find("-roi 200 200 300 300"), 20, "");
  image.replace(image.find("-default_F 1e-9"), 15, "-default_F 300 -gauss_xtal -N 20");
  const auto columns = [&](const std::string& more) {
    good_run(image + "-seed 1 -o a.refl " + more);
    return folder.content("a.refl");
  };
  EXPECT_EQ(columns("-background water.stol 1 1 18"), columns(""));
}

class BeamstopFlags : public BackgroundFlags {};

TEST_F(BeamstopFlags, DimTheLightOfASampleAndOfAirAsTheTraceSays) {
  const std::string matter = "-water 100 -background water.stol 1 1 18 -air -5 40 ";
  // The pixel is 36 mm from the beam, whose shadow on the detector has a radius of 50
  const std::string stop = "-beamstop_distance 30 -beamstop_radius 15 ";
  const auto open = trace(matter), dark = trace(matter + stop),
             dim = trace(matter + stop + "-beamstop_transmission 0.25");
  EXPECT_EQ(dark["share_behind_beamstop"], 0);
  EXPECT_EQ(dark["photons"], 0);
  EXPECT_EQ(dim["share_behind_beamstop"], 0.25);
  EXPECT_NEAR(dim["photons"].get<double>() / open["photons"].get<double>(), 0.25, 1e-6);
  EXPECT_NEAR(dim["materials"][0]["photons"].get<double>(),
              0.25 * open["materials"][0]["photons"].get<double>(), 1e-6);
  EXPECT_FALSE(open.contains("share_behind_beamstop"));
  // Beside the shadow of the sample, air before the stop is hidden from 7.1 mm on
  const auto beside = trace(matter + "-beamstop_distance 30 -beamstop_radius 8.9 ");
  EXPECT_EQ(beside["share_behind_beamstop"], 1);
  EXPECT_EQ(beside["materials"][0], open["materials"][0]);
  EXPECT_LT(beside["materials"][1]["photons"], 0.8 * open["materials"][1]["photons"].get<double>());
  EXPECT_EQ(beside["materials"].size(), open["materials"].size());
}

TEST_F(BeamstopFlags, StandInTheSummary) {
  const Outcome outcome = good_run(model +
                                   "-beamstop_distance 30 -beamstop_radius 1.5 -beamstop_offset "
                                   "0.2 -0.1 -beamstop_transmission 0.01 -beamstop_arm_width 0.7 "
                                   "-beamstop_arm_angle 80 -beamstop_ring_share 1e-6 "
                                   "-beamstop_ring_angle 3 -beamstop_ring_width 0.4");
  EXPECT_THAT(outcome.out,
              HasSubstr("beamstop: a disk of radius 1.5 mm, 30 mm behind the sample, 0.2 -0.1 mm "
                        "(fast, slow) from the beam, transmission 0.01, an arm of 0.7 mm at 80 "
                        "degree, 1e-06 of the beam in a ring at 3 degree, 0.4 wide"));
}

TEST_F(BackgroundFlags, OfABeamThatIsTiltedOrJittersStandInTheSummary) {
  EXPECT_THAT(good_run(model + "-beam_tilt 0.25 -0.5").out,
              HasSubstr("  beam tilt: 0.25 -0.5 mrad (horizontal, vertical)\n"));
  EXPECT_THAT(good_run(model).out, testing::Not(HasSubstr("beam tilt")));
  std::string series = model;
  series.replace(series.find("-floatfile a.bin"), 16, "-floatfile all_#.bin");
  EXPECT_THAT(good_run(series + "-beam_jitter 0.2 -images 2 -osc 0.1").out,
              HasSubstr("  beam jitter: 0.2 mrad from image to image\n"));
}

TEST_F(BeamstopFlags, AreRefusedWithASentenceWhereTheyMeanNothing) {
  expect_refused("-beamstop_radius 2", "give -beamstop_distance in mm");
  expect_refused("-beamstop_distance 20", "give -beamstop_radius in mm");
  expect_refused("-beamstop_distance 200 -beamstop_radius 2", "the stop is to be before it");
  expect_refused("-beamstop_distance 20 -beamstop_radius 2 -beamstop_offset 3 0",
                 "the beam passes beside the beamstop");
  expect_refused("-beamstop_distance 20 -beamstop_radius 2 -beamstop_transmission 2",
                 "it must be between 0 and 1");
  expect_refused("-beamstop_distance 20 -beamstop_radius 2 -printout", "-trace_pixel shows");
  expect_refused("-compat -beamstop_distance 20 -beamstop_radius 2", "give -corrected");
  expect_refused("-beam_jitter 0.1", "-beam_jitter is of the images of a series");
  expect_refused("-compat -beam_tilt 0.1 0", "give -corrected");
}

TEST_F(BackgroundFlags, AreInEveryImageOfASeriesAsInOneAlone) {
  const std::string matter = "-background water.stol 1 1 18 -air -5 30 -osc 0.5 ";
  std::string image = model;
  image.replace(image.find("-default_F 1e-9"), 15, "-default_F 3e4 -N 10");
  image.replace(image.find("-roi 200 200 300 300 -floatfile a.bin"), 37, "-roi 0 99 0 99");
  good_run(image + matter + "-images 2 -floatfile all_#.bin");
  good_run(image + matter + "-phi 0.5 -floatfile one.bin");
  const std::string first = folder.content("all_1.bin"), second = folder.content("all_2.bin");
  EXPECT_TRUE(second == folder.content("one.bin"));
  EXPECT_FALSE(first == second);
}

}  // namespace
}  // namespace nablabragg
