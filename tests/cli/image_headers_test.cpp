// What the headers of -img, -mask and of a measured image say, what they leave open, and what our
// own files say of how they were made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>  // for strchr
#include <set>

#include "flags/image_headers.hpp"
#include "io/smv_header.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/version.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::message_of;
using test::Outcome;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const std::string of_others =
    "PIXEL_SIZE=0.2;\nDISTANCE=250;\nWAVELENGTH=0.9795;\nBEAM_CENTER_X=1.6;\nBEAM_CENTER_Y=2.3;\n"
    "PHI=10;\nOSC_RANGE=0.5;\n";
/// With the key by which nanoBragg's headers are told: BEAM_CENTER is MOSFLM's.
const std::string geometry = of_others + "DENZO_X_BEAM=1.7;\nDENZO_Y_BEAM=2.4;\n";

/// 24 x 16 pixels of 1.
std::string image_with(const std::string& keys) {
  std::string bytes =
      "{\nHEADER_BYTES=1024;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\nSIZE1=24;\n"
      "SIZE2=16;\n" +
      keys + "}\f";
  bytes.resize(1024, ' ');
  for (int i = 0; i < 24 * 16; ++i) bytes += {'\1', '\0'};
  return bytes;
}

std::string without(const std::string& key) {
  const std::size_t at = geometry.find(key + '=');
  return geometry.substr(0, at) + geometry.substr(geometry.find('\n', at) + 1);
}

std::string changed(const std::string& key, const std::string& value) {
  return without(key) + key + '=' + value + ";\n";
}

class ImageHeaders : public testing::Test {
 protected:
  static constexpr int usage = 2, input = 3;
  const std::string crystal = "-default_F 100 -cell 40 50 60 90 90 90 -N 5 -oversample 27 ";
  const std::string corrected = crystal + "-corrected -floatfile f.bin ";
  const std::string compat = crystal + "-nocache -nonoise -nopgm -floatfile f.bin ";

  Outcome run(const std::string& line) const { return test::run_program(folder.path(), line); }
  void image(const std::string& keys) const { folder.file("a.img", image_with(keys)); }

  void expect_refusal(const std::string& line, int code, const std::string& sentence) const {
    SCOPED_TRACE(line);
    std::filesystem::remove(folder / "f.bin");
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, code);
    EXPECT_EQ(outcome.err, "nablabragg: error: " + sentence + '\n');
    EXPECT_FALSE(std::filesystem::exists(folder / "f.bin"));
  }
  void expect_said(const std::string& line, const std::string& sentence) const {
    SCOPED_TRACE(line);
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.err, HasSubstr("nablabragg: " + sentence + '\n'));
  }

  test::TempDir folder;
};

using NegativeScans = ImageHeaders;
using MeasuredImages = ImageHeaders;
using WrittenImages = ImageHeaders;
using CorrectedRuns = ImageHeaders;
using QuietRuns = ImageHeaders;
using SourceLists = ImageHeaders;

// ---- Braces, scans ---------------------------------------------------------------------------

TEST_F(ImageHeaders, AreReadToTheirEndWhereAValueHoldsBraces) {
  for (const std::string& keys :
       {"HYPX_NAMES={ Z X Y };\n" + geometry, geometry + "HYPX_NAMES={ Z X Y };\nTWOTHETA=0;\n"}) {
    image(keys);
    const Outcome outcome = run(corrected + "-img a.img");
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(outcome.out, HasSubstr("distance=0.25 detsize=0.0048x0.0032  pixel=0.0002"));
    EXPECT_THAT(outcome.out, HasSubstr("wave=9.795e-11"));
  }
}

TEST_F(ImageHeaders, WithANegativeOscillationTurnTheCrystalTheOtherWay) {
  image(changed("OSC_RANGE", "-0.10"));
  const Outcome outcome = run(corrected + "-img a.img -intfile i.img");
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("2 phi steps from 10 to 9.9 degrees"));
  EXPECT_THAT(folder.content("i.img"), HasSubstr("\nOSC_RANGE=-0.1;\n"));
  expect_said(compat + "-img a.img",
              "Q-45: a negative -osc or -phistep (OSC_RANGE) counts as not given: the scan is 0 "
              "degrees in 1 steps; -corrected puts it right");
}

TEST_F(NegativeScans, OfFlagsTurnTheCrystalTheOtherWay) {
  const std::string panel = "-detpixels 32 -pixel 3 ";
  for (const auto& [scan, steps] :
       {std::pair("-osc -1", "2 phi steps from 0 to -1 degrees"),
        std::pair("-osc -1 -phisteps 10", "10 phi steps from 0 to -1"),
        std::pair("-phistep -0.1 -phisteps 10", "10 phi steps from 0 to -1 degrees")}) {
    const Outcome outcome = run(corrected + panel + scan);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(steps));
  }
  expect_said(compat + panel + "-osc -1 -phisteps 10",
              "Q-45: a negative -osc or -phistep (OSC_RANGE) counts as not given: the scan is 1 "
              "degrees in 10 steps; -corrected puts it right");
  expect_refusal(corrected + panel + "-osc 1 -phistep -0.1", usage,
                 "-osc and -phistep turn opposite ways; leave one of the two out");
}

TEST_F(NegativeScans, MakeTheImageOfTheScanBetweenTheSameAngles) {
  const std::string line = corrected + "-detpixels 32 -pixel 3 -phisteps 3 ";
  ASSERT_EQ(run(line + "-phi 2 -osc -1.5").exit_code, 0);
  const auto back = test::read_floats(folder / "f.bin");
  ASSERT_EQ(run(line + "-phi 0.5 -osc 1.5").exit_code, 0);
  const auto forth = test::read_floats(folder / "f.bin");
  ASSERT_EQ(run(line + "-phi 2 -osc 1.5").exit_code, 0);
  EXPECT_NE(test::read_floats(folder / "f.bin"), forth);
  ASSERT_EQ(back.size(), forth.size());
  const float brightest = *std::ranges::max_element(forth);
  for (std::size_t i = 0; i < back.size(); ++i) ASSERT_NEAR(back[i], forth[i], 1e-5F * brightest);
}

// ---- Numbers ---------------------------------------------------------------------------------

TEST_F(ImageHeaders, WhoseNumbersAreNoneAreRefusedByTheirKeyOrNoticed) {
  for (const std::string key :
       {"PIXEL_SIZE", "DISTANCE", "CLOSE_DISTANCE", "WAVELENGTH", "BEAM_CENTER_X", "BEAM_CENTER_Y",
        "XDS_ORGX", "XDS_ORGY", "ORGX", "ORGY", "PHI", "OSC_RANGE", "TWOTHETA"})
    for (const std::string value : {"nan", "inf", "-inf", "1e999", "word"})
      for (const std::string flag : {"-img", "-mask"}) {
        image(geometry + key + '=' + value + ";\n");
        expect_refusal(corrected + flag + " a.img", input,
                       "a.img: " + key + " is no finite number: \"" + value + '"');
      }
  for (const std::string key : {"BEAM_CENTER_X", "PHI"}) {
    image(geometry + key + "=nan;\n");
    expect_said(compat + "-img a.img",
                "a.img: " + key +
                    " is no finite number: \"nan\"; as in nanoBragg it counts all the same; "
                    "-corrected refuses it");
  }
}

TEST_F(ImageHeaders, WhoseNumbersCannotBeMeantAreRefusedUnlessAFlagReplacesThem) {
  image(changed("WAVELENGTH", "0"));
  expect_refusal(corrected + "-img a.img", input,
                 "a.img: WAVELENGTH=0 is not between 0.01 and 100 Angstrom; -lambda sets it");
  expect_refusal(corrected + "-phi 3 -mask a.img", input,
                 "a.img: WAVELENGTH=0 is not between 0.01 and 100 Angstrom; -lambda sets it");
  EXPECT_EQ(run(corrected + "-img a.img -lambda 1").err, "");
  EXPECT_EQ(run(corrected + "-img a.img -energy 12398.42").err, "");
  image(changed("WAVELENGTH", "12660"));
  expect_refusal(corrected + "-img a.img", input,
                 "a.img: WAVELENGTH=12660 is not between 0.01 and 100 Angstrom; -lambda sets it");
  image(changed("DISTANCE", "-250"));
  expect_refusal(corrected + "-img a.img", input,
                 "a.img: DISTANCE=-250 is not between 0.001 and 1e+06 mm; -distance sets it");
  image(changed("BEAM_CENTER_Y", "1e300"));
  expect_refusal(corrected + "-img a.img", input,
                 "a.img: BEAM_CENTER_Y=1e+300 is not between -1e+06 and 1e+06 mm; -Ybeam sets it");
  image(changed("PIXEL_SIZE", "0"));
  expect_refusal(corrected + "-img a.img", input,
                 "a.img: PIXEL_SIZE=0 is not between 0.0001 and 100 mm; -pixel sets it");
}

// ---- What is missing or not understood -------------------------------------------------------

TEST_F(ImageHeaders, ThatLeaveGeometryOpenAreRefusedByTheKeysThatAreMissing) {
  image(without("WAVELENGTH"));
  expect_refusal(corrected + "-img a.img", input,
                 "a.img: the header holds no WAVELENGTH, so give -lambda");
  image("BEAM_CENTER_X=1.6;\nBEAM_CENTER_Y=2.3;\n");
  expect_refusal(corrected + "-img a.img", input,
                 "a.img: the header holds no PIXEL_SIZE, DISTANCE and WAVELENGTH, so give -pixel, "
                 "-distance and -lambda");
  EXPECT_EQ(run(corrected + "-img a.img -pixel 0.2 -close_distance 100 -energy 12000").err, "");
  expect_said(compat + "-img a.img",
              "a.img: the header holds no PIXEL_SIZE, DISTANCE and WAVELENGTH, so the program's "
              "own is taken; -pixel, -distance and -lambda set them");
}

TEST_F(ImageHeaders, OfMasksThatLeaveGeometryOpenAreSaid) {
  image(without("DISTANCE"));
  expect_said(corrected + "-mask a.img",
              "a.img: the header holds no DISTANCE, so the program's own is taken; -distance sets "
              "it");
  EXPECT_EQ(run(corrected + "-mask a.img -distance 90").err, "");
}

TEST_F(ImageHeaders, WithoutABeamCentreSayWhatIsTaken) {
  image("PIXEL_SIZE=0.1;\nDISTANCE=50;\nWAVELENGTH=1;\n");
  expect_said(corrected + "-img a.img",
              "a.img: the header holds no beam centre (BEAM_CENTER_X, BEAM_CENTER_Y), so the "
              "convention's own is taken; -Xbeam and -Ybeam set it");
  EXPECT_EQ(run(corrected + "-img a.img -Xbeam 1.6 -Ybeam 1").err, "");
}

TEST_F(ImageHeaders, WithHalfABeamCentreNameTheHalfThatIsMissing) {
  for (const std::string& mode : {corrected, compat}) {
    image(without("BEAM_CENTER_Y"));
    expect_said(mode + "-img a.img",
                "a.img: the header holds no BEAM_CENTER_Y, so the convention's own is taken; "
                "-Ybeam sets it");
    EXPECT_THAT(run(mode + "-img a.img -Ybeam 1").err, Not(HasSubstr("the header holds no")));
    image(without("BEAM_CENTER_X"));
    expect_said(mode + "-img a.img",
                "a.img: the header holds no BEAM_CENTER_X, so the convention's own is taken; "
                "-Xbeam sets it");
    // A flag for the half that the header holds leaves the other one open.
    EXPECT_THAT(run(mode + "-img a.img -Ybeam 1").err, HasSubstr("holds no BEAM_CENTER_X"));
  }
}

TEST_F(ImageHeaders, OfDtrekNameTheKeysThatAreNotUnderstood) {
  const std::string dtrek =
      "Data_type=unsigned short int;\nDETECTOR_NAMES=CCD_;\nSOURCE_WAVELENGTH=1 1.5418;\n"
      "CCD_SPATIAL_DISTORTION_INFO=1.2 1.6 0.1 0.1;\nCCD_GONIO_VALUES=0 0 0 0 0 50;\n"
      "SCAN_ROTATION=10 10.5 0.5 1;\n";
  const std::string named =
      "SOURCE_WAVELENGTH, CCD_SPATIAL_DISTORTION_INFO, CCD_GONIO_VALUES and SCAN_ROTATION "
      "(d*TREK) are not understood";
  image(dtrek);
  expect_refusal(corrected + "-img a.img", input,
                 "a.img: the header holds no PIXEL_SIZE, DISTANCE and WAVELENGTH, so give -pixel, "
                 "-distance and -lambda; " +
                     named);
  expect_said(corrected + "-img a.img -pixel 0.1 -distance 50 -lambda 1.5418",
              "a.img: " + named + ", and what they say of the geometry is left out");
}

TEST_F(ImageHeaders, TakeTheStartOfTheScanForPhiWhereThatIsMissing) {
  image(without("PHI") + "OSC_START=30;\n");
  EXPECT_THAT(run(corrected + "-img a.img").out, HasSubstr("from 30 to 30.5 degrees"));
  image(geometry + "OSC_START=30;\n");
  expect_said(corrected + "-img a.img",
              "a.img: says PHI=10 and OSC_START=30; PHI counts, -phi sets it");
}

// ---- Beside flags ----------------------------------------------------------------------------

TEST_F(ImageHeaders, ThatContradictAFlagBeforeThemAreRefusedAndOneBehindThemCounts) {
  image(geometry);
  expect_refusal(corrected + "-lambda 1.1 -img a.img", input,
                 "a.img: says WAVELENGTH=0.9795 where -lambda means 1.1 Angstrom, more than 5 % "
                 "apart; leave one out, or give -lambda after -img if it is meant");
  expect_refusal(corrected + "-pixel 0.1 -mask a.img", input,
                 "a.img: says PIXEL_SIZE=0.2 where -pixel means 0.1 mm, more than 5 % apart; leave "
                 "one out, or give -pixel after -mask if it is meant");
  expect_said(corrected + "-img a.img -lambda 1.1",
              "a.img: says WAVELENGTH=0.9795, and -lambda means 1.1 Angstrom, which counts");
  expect_said(corrected + "-lambda 1 -img a.img",
              "a.img: says WAVELENGTH=0.9795, and -lambda means 1 Angstrom, which counts");
  EXPECT_EQ(run(corrected + "-lambda 0.98 -img a.img").err, "");
  expect_said(corrected + "-img a.img -osc 2",
              "a.img: says OSC_RANGE=0.5, and -osc means 2 degrees, which counts");
  expect_said(corrected + "-distance 100 -img a.img",
              "a.img: says DISTANCE=250, and -distance means 100 mm, which counts");
  expect_said(corrected + "-img a.img -Xbeam 2.2",
              "a.img: says BEAM_CENTER_X=1.6, and -Xbeam means 2.2 mm, which counts");
  expect_said(compat + "-lambda 1.1 -img a.img",
              "a.img: says WAVELENGTH=0.9795, and -lambda means 1.1 Angstrom, which counts");
  expect_said(corrected + "-img a.img -detsize 20",
              "a.img: its number of pixels counts, not -detsize; -detpixels would");
  expect_said(corrected + "-img a.img -detpixels 20",
              "a.img: has 24 x 16 pixels, and the 20 x 20 that the flags give it count");
}

TEST_F(ImageHeaders, DoNotBeatADistanceOnTheCommandLineByTheirCloseDistance) {
  image(geometry + "CLOSE_DISTANCE=250;\n");
  EXPECT_THAT(run(corrected + "-img a.img -distance 90").out, HasSubstr("distance=0.09 "));
  EXPECT_THAT(run(corrected + "-distance 90 -img a.img").out, HasSubstr("distance=0.09 "));
}

TEST_F(ImageHeaders, ThatContradictEachOtherAreSaid) {
  image(geometry);
  folder.file("m.img", image_with(changed("DISTANCE", "90")));
  expect_said(corrected + "-img a.img -mask m.img",
              "a.img: says DISTANCE=250, and 90 of the other file counts");
  std::string narrow = image_with(geometry);
  narrow.replace(narrow.find("SIZE1=24"), 8, "SIZE1=16").resize(1024 + 2 * 16 * 16);
  folder.file("m.img", narrow);
  expect_said(corrected + "-img a.img -mask m.img",
              "a.img: has 24 x 16 pixels, and the 16 x 16 of m.img count");
}

TEST_F(ImageHeaders, OfAdscHaveTheirBeamCentreReconciledWithDenzosKeys) {
  // As ADSC writes them: BEAM_CENTER along the rows and from the last row
  const std::string adsc =
      "PIXEL_SIZE=0.2;\nDISTANCE=250;\nWAVELENGTH=0.9795;\n"
      "BEAM_CENTER_X=1.6;\nBEAM_CENTER_Y=2.2;\n";
  const auto beam = [&](const std::string& more) {
    const Panel panel = test::panel_of("-corrected -img " + folder / "a.img" + more);
    return std::pair(panel.beam_fast * 1e3, panel.beam_slow * 1e3);
  };
  const auto near = [](double fast, double slow) {
    return testing::Pair(testing::DoubleNear(fast, 1e-9), testing::DoubleNear(slow, 1e-9));
  };
  image(adsc + "DENZO_XBEAM=1.0;\nDENZO_YBEAM=1.6;\n");
  EXPECT_THAT(beam(""), near(1.6, 1.0));
  EXPECT_THAT(test::request_of("-corrected -img " + folder / "a.img").warnings,
              Contains(folder / "a.img" +
                       ": the beam centre is at fast 8, slow 5 pixels: BEAM_CENTER_X counts along "
                       "the rows and BEAM_CENTER_Y from the last row, as DENZO_XBEAM and "
                       "DENZO_YBEAM agree"));
  // A flag has the word
  EXPECT_THAT(beam(" -denzo"), near(2.2, 1.6));
  EXPECT_THAT(beam(" -adxv"), near(1.6, 1.0));
  EXPECT_THAT(beam(" -Xbeam 1.1 -Ybeam 1.3"), near(1.4, 1.2));
  // Others write DENZO's numbers into both
  image(adsc + "DENZO_XBEAM=1.6;\nDENZO_YBEAM=2.2;\n");
  EXPECT_THAT(beam(""), near(2.2, 1.6));
  image(adsc + "DENZO_XBEAM=0.2;\nDENZO_YBEAM=0.2;\n");
  expect_refusal(
      corrected + "-img a.img", input,
      "a.img: the beam centre cannot be told: BEAM_CENTER_X and BEAM_CENTER_Y do not "
      "agree with DENZO_XBEAM and DENZO_YBEAM in any convention; -Xbeam and -Ybeam set it");
  EXPECT_EQ(run(corrected + "-img a.img -Xbeam 1 -Ybeam 1").exit_code, 0);
}

TEST_F(ImageHeaders, WhoseBeamCentreMayBeMeantInTwoWaysSayWhichIsTaken) {
  const std::string doubt =
      ": the beam centre can be meant in two ways: by ADSC's convention it is at fast 8, slow 5 "
      "pixels, by DENZO's and DIALS' at fast 11, slow 8; -adxv or -denzo says which, or -Xbeam and "
      "-Ybeam set it; MOSFLM's, half a pixel from DENZO's, is taken";
  const auto warnings = [&](const std::string& more) {
    return test::request_of("-corrected -img " + folder / "a.img" + more).warnings;
  };
  image(of_others);
  EXPECT_THAT(warnings(""), Contains(folder / "a.img" + doubt));
  for (const char* const chosen : {" -adxv", " -denzo", " -Xbeam 1.6 -Ybeam 2.3"})
    EXPECT_THAT(warnings(chosen), Not(Contains(HasSubstr("two ways")))) << chosen;
  image(geometry);
  EXPECT_THAT(warnings(""), IsEmpty());
  std::string middle = of_others;  // is the same for all of them
  middle.replace(middle.find("2.3"), 3, "1.6");
  image(middle);
  EXPECT_THAT(warnings(""), IsEmpty());
}

// ---- Our own headers back --------------------------------------------------------------------

TEST_F(ImageHeaders, OfOurOwnGiveThePanelBackInEveryConvention) {
  for (const std::string convention : {"-mosflm", "-adxv", "-denzo", "-xds", "-dials"})
    for (const std::string turned :
         {"", " -detector_roty 5", " -detector_rotx 3 -detector_roty -4 -detector_rotz 20",
          " -twotheta 12 -detector_rotz 2", " -twotheta 12 -pivot beam",
          " -detector_roty 5 -pivot sample"}) {
      SCOPED_TRACE(convention + turned);
      const std::string line =
          "-corrected -lambda 1.2 -distance 150 -pixel 0.2 -detpixels_f 50 "
          "-detpixels_s 40 -Xbeam 3 -Ybeam 5 " +
          convention + turned;
      const Experiment e = test::experiment_of(test::any_crystal + line);
      const Resolved r = resolve(e);
      const std::string path = folder / "own.img";
      io::write_smv(path, io::smv_header(e, r), 50, 40, [](int, std::span<std::uint16_t>) {});
      const flags::Request back = test::request_of("-corrected -img " + path);
      EXPECT_THAT(back.warnings, IsEmpty());
      const Panel panel = test::panel_of("-corrected -img " + path);
      EXPECT_EQ(panel.convention, r.panel.convention);
      EXPECT_EQ(panel.pivot, r.panel.pivot);
      EXPECT_LT(length(panel.origin - r.panel.origin), 1e-12);
      EXPECT_LT(length(panel.fast - r.panel.fast), 1e-9);
      EXPECT_LT(length(panel.slow - r.panel.slow), 1e-9);
    }
}

TEST_F(ImageHeaders, OfOurOwnWithAnotherConventionOrVectorsOfTheirOwnAreNotTakenForThese) {
  ASSERT_EQ(run(corrected + "-detpixels 16 -xds -intfile x.img").exit_code, 0);
  expect_said(corrected + "-img x.img -mosflm",
              "x.img: was made with -xds, so its beam centre means another point in the "
              "convention that the flags choose");
  ASSERT_EQ(run(corrected + "-detpixels 16 -fdet_vector 0 0 1 -intfile c.img").exit_code, 0);
  expect_refusal(corrected + "-img c.img", input,
                 "c.img: was made with vectors of its own, which the header does not hold; give "
                 "-fdet_vector and the others that its COMMAND_LINE shows");
  EXPECT_EQ(run(corrected + "-img c.img -fdet_vector 0 0 1").exit_code, 0);
}

TEST_F(WrittenImages, WhenCorrectedAreReadByNanobraggsRulesToo) {
  // Which takes the last place that holds the text of a key.
  ASSERT_EQ(run(corrected + "-detpixels 16 -distance 77 -lambda 1.3 -phi 4 -intfile "
                            "PHI,DISTANCE,WAVELENGTH,HEADER_BYTES.img")
                .exit_code,
            0);
  const Experiment e = test::request_of("-img " +
                                        folder / "PHI,DISTANCE,WAVELENGTH,HEADER_BYTES.img")
                           .experiment;
  EXPECT_EQ(e.detector.distance_mm, 77);
  EXPECT_EQ(e.beam.wavelength_A, 1.3);
  EXPECT_EQ(e.scan.phi_deg, 4);
  EXPECT_EQ(e.detector.fast_pixels, 16);
  EXPECT_EQ(folder.content("PHI,DISTANCE,WAVELENGTH,HEADER_BYTES.img").rfind("HEADER_BYTES"), 2U);
}

// ---- A measured image beside its model -------------------------------------------------------

TEST_F(MeasuredImages, AreHeldAgainstTheModel) {
  const std::string
      model = "-corrected -detpixels 40 -lambda 1.2 -distance 150 -pixel 0.2 -Xbeam 3 -Ybeam 5 ";
  const auto said = [&](const std::string& truth, const std::string& start) {
    io::SmvFile file;
    const Experiment e = test::experiment_of(test::any_crystal + model + truth);
    file.path = "a.img";
    file.fast_pixels = file.slow_pixels = 40;
    file.header = io::smv_header(e, resolve(e));
    const Experiment with = test::experiment_of(test::any_crystal + model + start);
    return flags::contradictions(file, with, resolve(with));
  };
  EXPECT_THAT(said("", ""), IsEmpty());
  EXPECT_THAT(said("", "-xds -ORGX 27.5 -ORGY 17.5"), Not(Contains(HasSubstr("WAVELENGTH"))));
  EXPECT_THAT(said("-lambda 1.23", ""),
              ElementsAre("a.img: says WAVELENGTH=1.23 where the model has 1.2"));
  EXPECT_EQ(message_of<InputError>([&] { said("-lambda 1.3", ""); }),
            "a.img: says WAVELENGTH=1.3 where the model has 1.2, more than 5 % apart; give the "
            "model what the image says");
  EXPECT_EQ(message_of<InputError>([&] { said("-pixel 0.1", ""); }),
            "a.img: says PIXEL_SIZE=0.1 where the model has 0.2, more than 5 % apart; give the "
            "model what the image says");
  EXPECT_THAT(said("-lambda 1.3", "-compat"), Contains(HasSubstr("says WAVELENGTH=1.3")));
  EXPECT_THAT(said("-distance 200", ""),
              ElementsAre("a.img: says DISTANCE=200 where the model has 150"));
  EXPECT_THAT(said("-Xbeam 3.5", ""),
              ElementsAre(AllOf(HasSubstr("ADXV_CENTER_Y"), HasSubstr("where the model has"))));
  EXPECT_THAT(said("-Xbeam 3.02", ""), IsEmpty());
  EXPECT_THAT(said("-phi 5 -osc 1", ""),
              ElementsAre("a.img: says OSC_RANGE=1 where the model has 0",
                          "a.img: says PHI=5 where the model has 0"));
  // A still that the model turns, and a header by another program
  EXPECT_THAT(said("", "-osc 1"), ElementsAre("a.img: says OSC_RANGE=0 where the model has 1"));
  EXPECT_THAT(said("-osc 1", "-osc 0.5"),
              ElementsAre("a.img: says OSC_RANGE=1 where the model has 0.5"));
  EXPECT_THAT(said("-osc 1", "-phistep 0.5 -phisteps 2"), IsEmpty());
  io::SmvFile other;
  other.path = "b.img";
  other.header = "{\nOSC_START=30;\nOSC_RANGE=1;\n}\n";
  const Experiment still = test::experiment_of(test::any_crystal + model + "-phi 20 -osc 1");
  EXPECT_THAT(flags::contradictions(other, still, resolve(still)),
              ElementsAre("b.img: says OSC_START=30 where the model has 20"));
}

TEST_F(MeasuredImages, StopARefinementThatHasAnotherWavelength) {
  const std::string model = crystal + "-corrected -gauss_xtal -detpixels 32 -pixel 1 ";
  ASSERT_EQ(run(model + "-noisefile n.img -seed 1 -fluence 1e28").exit_code, 0);
  expect_refusal("refine --image n.img --parameters misset -- " + model + "-lambda 1.3", input,
                 "n.img: says WAVELENGTH=1 where the model has 1.3, more than 5 % apart; give the "
                 "model what the image says");
  EXPECT_THAT(folder.names(), ElementsAre("n.img"));
}

// ---- How an image was made -------------------------------------------------------------------

TEST_F(WrittenImages, SayHowTheyWereMadeWhenCorrected) {
  const std::string line = crystal +
                           "-corrected -detpixels 16 -noisefile n.img -intfile i.img -pngfile "
                           "p.png -seed 7";
  ASSERT_EQ(run(line).exit_code, 0);
  for (const char* const name : {"n.img", "i.img"}) {
    const io::SmvFile file = io::read_smv(folder / name);
    EXPECT_EQ(file.text("PROGRAM"), "nablaBragg " + std::string(version()));
    EXPECT_EQ(file.text("COMMAND_LINE"), "nablabragg " + line);
    EXPECT_EQ(file.text("SEED"), "7");
    EXPECT_EQ(file.header.size() % 512, 0U);
  }
  const std::string png = folder.content("p.png");
  const auto chunk = [](std::string keyword, const std::string& text) {
    keyword += '\0';
    return "tEXt" + keyword + text;
  };
  EXPECT_THAT(png, HasSubstr(chunk("Software", "nablaBragg " + std::string(version()))));
  EXPECT_THAT(png, HasSubstr(chunk("Comment", "nablabragg " + line)));
  EXPECT_THAT(png, HasSubstr(chunk("Seed", "7")));
}

TEST_F(WrittenImages, SayNothingOfTheKindInCompatMode) {
  ASSERT_EQ(run(crystal + "-nocache -detpixels 16 -seed 7 -pngfile p.png").exit_code, 0);
  EXPECT_EQ(io::read_smv(folder / "noiseimage.img").header.size(), 512U);
  EXPECT_THAT(folder.content("noiseimage.img"), Not(HasSubstr("COMMAND_LINE")));
  EXPECT_THAT(folder.content("p.png"), Not(HasSubstr("tEXt")));
}

TEST_F(WrittenImages, CannotBeBrokenByTheNameOfAFile) {
  for (const std::string& name :
       {std::string("a};\nPHI=90;\n}.img"), std::string("b=c.img"), std::string("d'\\e.img"),
        std::string("\xc3\xa9\t.img"), std::string(200, 'x'), std::string("sp ace.img")}) {
    SCOPED_TRACE(name);
    std::vector<std::string> line = test::split_arguments(crystal +
                                                          "-corrected -detpixels 16 -phi 3");
    line.insert(line.end(), {"-intfile", name});
    ASSERT_EQ(test::run_program(folder.path(), line).exit_code, 0);
    const io::SmvFile file = io::read_smv(folder / name);
    EXPECT_EQ(file.number("PHI", {}), 3);
    EXPECT_EQ(file.fast_pixels, 16);
    // dxtbx takes a line apart at every "=", and fails at the second.
    const std::string command = file.text("COMMAND_LINE").value();
    for (const char c : command) ASSERT_TRUE(c >= ' ' && c <= '~' && !std::strchr(";={}", c));
    // A shell gets the arguments back.
    const std::string script = "set -- " + command + "; printf '%s\\n' \"${@: -1}\"";
    folder.file("script", script);
    const std::string shell = "bash " + folder / "script" + " > " + folder / "last";
    ASSERT_EQ(std::system(shell.c_str()), 0);
    EXPECT_EQ(folder.content("last"), name + '\n');
  }
}

TEST_F(WrittenImages, HoldACommandLineOfAnyLength) {
  std::vector<std::string> line = test::split_arguments(crystal + "-corrected -detpixels 16");
  for (int i = 0; i < 5000; ++i) line.insert(line.end(), {"-distance", "123.456"});
  line.insert(line.end(), {"-intfile", "i.img"});
  ASSERT_EQ(test::run_program(folder.path(), line).exit_code, 0);
  const io::SmvFile file = io::read_smv(folder / "i.img");
  EXPECT_THAT(file.text("COMMAND_LINE").value(), testing::EndsWith(" ... (shortened)"));
  EXPECT_LT(file.header.size(), 65536U);
  EXPECT_EQ(file.number("DISTANCE", {}), 123.456);
}

TEST_F(WrittenImages, AreReadByFabio) {
  if (std::system("/usr/bin/python3 -c 'import fabio' 2> /dev/null") != 0)
    GTEST_SKIP() << "fabio is not installed";
  ASSERT_EQ(run(crystal + "-corrected -detpixels_f 24 -detpixels_s 16 -seed 1 -noisefile n_1.img")
                .exit_code,
            0);
  folder.file("read.py",
              "import fabio, sys\nimage = fabio.open(sys.argv[1])\n"
              "print(*image.data.shape, image.header['PHI'], image.header['SEED'],"
              " int(image.data.astype('u8').sum()))\n");
  const std::string read = "cd " + folder.path().string() +
                           " && /usr/bin/python3 read.py n_1.img > said 2> errors";
  ASSERT_EQ(std::system(read.c_str()), 0) << folder.content("errors");
  long sum = 0;
  for (const std::uint16_t count : test::read_smv_pixels(folder / "n_1.img")) sum += count;
  EXPECT_EQ(folder.content("said"), "16 24 0 1 " + std::to_string(sum) + '\n');
}

// ---- What a run says -------------------------------------------------------------------------

TEST_F(CorrectedRuns, WithoutAnOutputSaySo) {
  const Outcome outcome = run(crystal + "-corrected -detpixels 16");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err,
            "nablabragg: nothing is written, since no output was named; -floatfile, -intfile, "
            "-noisefile or -pngfile FILE names one\n");
  EXPECT_EQ(run(crystal + "-corrected -detpixels 16 -trace_pixel 3 3").err, "");
}

TEST_F(CorrectedRuns, SayHowManyPixelsAFileCannotHold) {
  const Outcome noise = run(crystal + "-corrected -detpixels 16 -fluence 1e33 -noisefile n.img");
  const auto counts = test::read_smv_pixels(folder / "n.img");
  const auto full = std::ranges::count(counts, 65535);
  ASSERT_GT(full, 1);
  EXPECT_EQ(noise.err, "nablabragg: " + std::to_string(full) +
                           " pixels of n.img would hold more than 65535 counts and hold 65535 "
                           "(overloads)\n");
  const Outcome integers = run(crystal + "-corrected -detpixels 16 -scale 1e6 -intfile i.img");
  EXPECT_THAT(integers.err, HasSubstr("of i.img would hold more than 65535 counts"));
  EXPECT_EQ(run(crystal + "-corrected -detpixels 16 -intfile i.img").err, "");
}

TEST_F(QuietRuns, PrintWarningsAndWhatWasAskedForAlone) {
  const Outcome outcome = run(corrected + "-quiet -progress -detpixels 16 -pixel 3 -oversample 1");
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("are finer than the steps of the sub-pixels"));
  EXPECT_EQ(run(compat + "-quiet -detpixels 16 -seed 1").out, "");
  const Outcome traced = run(corrected + "-quiet -detpixels 16 -trace_pixel 3 3");
  EXPECT_THAT(traced.out, Not(HasSubstr("convention selected")));
  EXPECT_THAT(traced.out, Not(IsEmpty()));
}

TEST_F(CorrectedRuns, OfOneSecondHaveSeedsOfTheirOwn) {
  std::set<std::string> seeds;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(run(crystal + "-corrected -detpixels 16 -noisefile n.img").exit_code, 0);
    seeds.insert(io::read_smv(folder / "n.img").text("SEED").value());
  }
  EXPECT_THAT(seeds, SizeIs(5));
  // The seed makes the same image again.
  const std::string first = folder.content("n.img");
  const std::string seed = io::read_smv(folder / "n.img").text("SEED").value();
  ASSERT_EQ(run(crystal + "-corrected -detpixels 16 -noisefile again.img -seed " + seed).exit_code,
            0);
  EXPECT_EQ(test::read_smv_pixels(folder / "again.img"), test::read_smv_pixels(folder / "n.img"));
}

// ---- Lists of sources ------------------------------------------------------------------------

TEST_F(SourceLists, OfOtherUnitsAreRefusedOrNoticed) {
  folder.file("angstrom.src", "-1 0 0 1 1.3051\n");
  folder.file("electronvolt.src", "-1 0 0 1 9500\n");
  const std::string sentence =
      ".src:1: the fifth column must be a wavelength in metres, like 1e-10; did you mean ";
  const std::string angstrom = "angstrom" + sentence + "1.3051 Angstrom? That is 1.3051e-10",
                    ev = "electronvolt" + sentence + "9500 eV? That is 1.3051e-10";
  expect_refusal(corrected + "-detpixels 16 -sourcefile angstrom.src", input, angstrom);
  expect_refusal(corrected + "-detpixels 16 -sourcefile electronvolt.src", input, ev);
  const std::string kept = "; it counts as in nanoBragg, -corrected refuses it";
  expect_said(compat + "-detpixels 16 -sourcefile angstrom.src", angstrom + kept);
  expect_said(compat + "-detpixels 16 -sourcefile electronvolt.src", ev + kept);
}

TEST_F(SourceLists, ComeThroughPipes) {
  const std::string list = folder.file("list.src", "-1 0 0 1 1e-10\n-1 0.01 0 2 1.1e-10\n");
  const std::string line = "-detpixels 16 -sourcefile ";
  ASSERT_EQ(run(corrected + line + "list.src").exit_code, 0);
  const auto expected = test::read_floats(folder / "f.bin");
  const std::string piped = "cd " + folder.path().string() +
                            " && cat list.src | " NABLA_PROGRAM " " + corrected + line +
                            "/dev/stdin > out 2> err";
  ASSERT_EQ(std::system(piped.c_str()), 0) << folder.content("err");
  EXPECT_EQ(test::read_floats(folder / "f.bin"), expected);
}

TEST_F(ImageHeaders, ComeThroughPipesAndUnpacked) {
  image(geometry);
  ASSERT_EQ(run(corrected + "-img a.img").exit_code, 0);
  const auto expected = test::read_floats(folder / "f.bin");
  for (const std::string how : {"cat a.img | ", "gzip -c a.img | "}) {
    const std::string piped = "cd " + folder.path().string() + " && " + how + NABLA_PROGRAM " " +
                              corrected + "-img /dev/stdin > out 2> err";
    ASSERT_EQ(std::system(piped.c_str()), 0) << folder.content("err");
    EXPECT_EQ(test::read_floats(folder / "f.bin"), expected);
  }
  const std::string other = "cd " + folder.path().string() + " && echo '###CBF: VERSION 1.5' | " +
                            NABLA_PROGRAM " " + corrected + "-img /dev/stdin > out 2> err";
  ASSERT_NE(std::system(other.c_str()), 0);
  EXPECT_THAT(folder.content("err"),
              HasSubstr("/dev/stdin: is no SMV image, and no image of another format can be read "
                        "through a pipe; give the file"));
}

}  // namespace
}  // namespace nablabragg
