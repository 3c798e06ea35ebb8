// -detector, -expt, -img of other formats, -sensor, and what -o writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "nablabragg/image_files.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

const std::string crystal =
    "-corrected -cell 50 60 70 80 90 100 -misset 10 20 30 -default_F 100 -N 5 -lambda 1.1 "
    "-oversample 1 -seed 7 -noprogress ";
const std::string square = "-distance 90 -pixel 0.5 -detpixels_f 60 -detpixels_s 50 ";
const std::string tilted = square + "-detector_rotx 3 -twotheta 10 ";

class GeometryFiles : public test::ProgramTest {
 protected:
  void expect_same_floats(const std::string& a, const std::string& b, double tolerance) const {
    const std::vector<float> x = test::read_floats(folder / a), y = test::read_floats(folder / b);
    ASSERT_EQ(x.size(), y.size());
    double largest = 0, off = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, double(x[i]));
      off = std::max(off, std::abs(double(x[i]) - double(y[i])));
    }
    EXPECT_GT(largest, 0);
    EXPECT_LE(off, tolerance * largest);
  }
};

// ---- Files out and in again ---------------------------------------------------------------------

TEST_F(GeometryFiles, AnImageThatIsWrittenGivesItsGeometryBack) {
  for (const std::string name : {"x.nxs", "x.cbf", "x_master.h5"}) {
    for (const std::string& panel : {square, tilted}) {
      good_run(crystal + panel + "-sensor Si 320 -floatfile a.bin -o " + name);
      const Outcome again = good_run(crystal + "-img " + name + " -floatfile b.bin");
      EXPECT_THAT(again.out, HasSubstr("-img " + name + ": 1 panel of 60 x 50 pixels"));
      // The crystal is stated in the frame of -mosflm, and the file's frame is another one.
      const Outcome turned = good_run(crystal + panel + "-sensor Si 320 -o x.expt -o " + name);
      EXPECT_THAT(turned.out, HasSubstr("writing x.expt"));
      good_run(
          "-corrected -default_F 100 -N 5 -oversample 1 -seed 7 -expt x.expt -floatfile c.bin");
      expect_same_floats("a.bin", "c.bin", 2e-4);
    }
  }
}

TEST_F(GeometryFiles, CountsHaveNoOffsetAndNoScaleAndPhotonsAreTheFloats) {
  good_run(crystal + square +
           "-sensor Si 320 -floatfile a.bin -noisefile n.img -adc 0 -o x.cbf -o y.nxs");
  const io::ImageFile cbf = io::read_image(folder / "x.cbf"),
                      nxs = io::read_image(folder / "y.nxs");
  const std::vector<std::uint16_t> noise = test::read_smv_pixels(folder / "n.img");
  ASSERT_EQ(cbf.pixels.size(), noise.size());
  for (std::size_t i = 0; i < noise.size(); ++i) {
    EXPECT_EQ(cbf.pixels[i], noise[i]);
    EXPECT_EQ(nxs.pixels[i], noise[i]);
  }
  good_run(crystal + square + "-sensor Si 320 -nonoise -o z.nxs");
  const io::ImageFile photons = io::read_image(folder / "z.nxs");
  const std::vector<float> floats = test::read_floats(folder / "a.bin");
  for (std::size_t i = 0; i < floats.size(); ++i) EXPECT_EQ(photons.pixels[i], double(floats[i]));
}

TEST_F(GeometryFiles, WithOneNothingIsWrittenThatNobodyNamedInEitherMode) {
  good_run("-cell 50 60 70 80 90 100 -default_F 100 -N 5 -detpixels 20 -nocache -o x_001.img");
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::ElementsAre("x_001.img"));
}

TEST_F(GeometryFiles, AnEndingOfNoFormatIsRefusedBeforeTheWork) {
  const Outcome outcome = run(crystal + square + "-o x.jpeg");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("no format is known by the ending of"));
  EXPECT_THAT(outcome.err, HasSubstr(".cbf (CBF)"));
}

TEST_F(GeometryFiles, WhatAFormatCannotSayIsRefusedWithOneThatCan) {
  const Outcome outcome = run(crystal + tilted + "-o x_001.img");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("-o x_001.img: "));
  EXPECT_THAT(outcome.err, ContainsRegex("NXmx|CBF"));
  EXPECT_FALSE(std::filesystem::exists(folder / "x_001.img"));
}

TEST_F(GeometryFiles, WhatHoldsNoPixelsIsAFormatAsAnyOther) {
  const Outcome outcome = good_run(crystal + square +
                                   "-sensor Si 320 -o x.PNG -o x.nxs -o x.Poni -o x.Expt");
  EXPECT_THAT(outcome.out, HasSubstr("writing x.PNG as 8-bit grey"));
  EXPECT_TRUE(std::filesystem::exists(folder / "x.PNG"));
  EXPECT_THAT(test::read_file(folder / "x.Poni"), HasSubstr("poni_version: 2"));
  EXPECT_THAT(test::read_file(folder / "x.Expt"), HasSubstr("x.nxs"));
  const Outcome refused = run(crystal + "-detector MPCCD -distance 60 -o x.nxs -o several.poni");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("-o several.poni: a .poni holds one panel, and there are 8"));
  EXPECT_THAT(run(crystal + square + "-o x.jpeg").err,
              HasSubstr(".poni (pyFAI .poni) and .png (PNG)"));
}

TEST_F(GeometryFiles, AFormatThatIsOnlyReadIsNotWritten) {
  for (const std::string name : {"x.tif", "x.geom"})
    EXPECT_THAT(run(crystal + square + "-o " + name).err,
                HasSubstr("no format is known by the ending"));
}

TEST_F(GeometryFiles, APictureIsAFileThatWasNamed) {
  good_run("-cell 50 60 70 80 90 100 -default_F 100 -N 5 -detpixels 20 -nocache -o x.png");
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::ElementsAre("x.png"));
  good_run(crystal + square + "-o a.png -pngfile b.png");
  EXPECT_EQ(test::read_file(folder / "a.png").size(), test::read_file(folder / "b.png").size());
}

TEST_F(GeometryFiles, ImagesArePackedAsItIsAskedForWhereThatIsThere) {
  const std::string line = crystal + square + "-sensor Si 320 ";
  good_run(line + "-o plain.nxs");
  good_run(line + "-o deflated.nxs -compression deflate");
  EXPECT_EQ(io::read_image(folder / "plain.nxs").pixels,
            io::read_image(folder / "deflated.nxs").pixels);
  const Outcome packed = run(line + "-o x.nxs -o x_1.cbf -compression bitshuffle_lz4");
  if (packed.exit_code == 0) {
    EXPECT_NE(test::read_file(folder / "x.nxs").find("bitshuffle"), std::string::npos);
    EXPECT_EQ(io::read_image(folder / "plain.nxs").pixels, io::read_image(folder / "x.nxs").pixels);
  } else {
    EXPECT_EQ(packed.exit_code, 2);
    EXPECT_THAT(packed.err, HasSubstr("-o x.nxs: HDF5 has no filter bitshuffle (32008) here"));
    EXPECT_FALSE(std::filesystem::exists(folder / "x.nxs"));
  }
  const Outcome none = run(line + "-o x_1.cbf -compression bitshuffle_lz4");
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(
      none.err,
      HasSubstr("-compression bitshuffle_lz4 is for a file of -o whose format has a choice"));
  EXPECT_THAT(run(line + "-o x.nxs -compression gzip").err,
              HasSubstr("-compression needs one of: deflate, bitshuffle_lz4, not 'gzip'"));
}

TEST_F(GeometryFiles, ASensorOfUnknownMatterIsSaidToBeLeftOut) {
  good_run(crystal + square + "-sensor Si 320 -o x.expt");
  auto list = nlohmann::json::parse(test::read_file(folder / "x.expt"));
  for (auto& panel : list["detector"][0]["panels"]) {
    panel["material"] = "";
    panel["mu"] = 0;
  }
  std::ofstream(folder / "x.expt") << list.dump();
  const std::string
      line = "-corrected -default_F 100 -N 5 -oversample 1 -expt x.expt -floatfile a.bin ";
  EXPECT_THAT(
      good_run(line).err,
      HasSubstr("x.expt: its sensor is 0.32 mm thick, of no stated material and attenuation: "
                "every photon is taken to be captured at its surface; -sensor MATERIAL um"));
  EXPECT_THAT(good_run(line + "-sensor Si 320").err, Not(HasSubstr("of no stated material")));
}

// ---- Detectors by their names -------------------------------------------------------------------

TEST_F(GeometryFiles, ADetectorHasItsPixelsGapsAndSensor) {
  const Outcome outcome = good_run(crystal +
                                   "-detector eiger2-1m -distance 150 -Xbeam 40 -Ybeam 38 "
                                   "-floatfile a.bin -o x.cbf");
  EXPECT_THAT(outcome.out, HasSubstr("-detector EIGER2 1M: 1 panel of 1028 x 1062 pixels"));
  EXPECT_THAT(outcome.out, HasSubstr("1028x1062 pixels"));
  EXPECT_THAT(outcome.out, HasSubstr("Xbeam=0.04 Ybeam=0.038"));
  const io::ImageFile image = io::read_image(folder / "x.cbf");
  const auto at = [&](int fast, int slow) {
    return image.pixels[static_cast<std::size_t>(slow) * 1028 + static_cast<std::size_t>(fast)];
  };
  EXPECT_TRUE(std::isnan(at(500, 530)));   // between the modules
  EXPECT_FALSE(std::isnan(at(500, 511)));  // the last row of the first
  EXPECT_NEAR(image.geometry.panels[0].sensor_thickness_mm, 0.45, 1e-9);
}

TEST_F(GeometryFiles, ADetectorOfSeveralPanelsIsDrawnWithAllOfThem) {
  const Outcome outcome = good_run(crystal +
                                   "-detector MPCCD -distance 60 -pngfile x.png -floatfile a.bin");
  EXPECT_THAT(outcome.out, HasSubstr("8 panels"));
  // Downstream of the sample
  EXPECT_THAT(outcome.out, HasSubstr("  distance=0.06 "));
  EXPECT_THAT(outcome.err, Not(HasSubstr("runs away from the detector")));
  EXPECT_EQ(test::read_floats(folder / "a.bin").size(), 8U * 512 * 1024);
  EXPECT_TRUE(std::filesystem::exists(folder / "x.png"));
  const Outcome refused = run(crystal + "-detector MPCCD -distance 60 -noisefile n.img");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("would hold one panel of 8"));
}

// ---- One panel of several -----------------------------------------------------------------------

/// Three panels of 30 x 20 pixels, and lines that compute them.
class PanelsOfAFile : public GeometryFiles {
 protected:
  static constexpr int width = 30, height = 20, area = width * height;

  PanelsOfAFile() {
    folder.file(
        "x.geom",
        "clen = 0.09\nres = 2000\nadu_per_photon = 1\nmin_fs = 0\nmax_fs = 29\n"
        "fs = x\nss = y\n"
        "left/min_ss = 0\nleft/max_ss = 19\nleft/corner_x = -40\nleft/corner_y = -10\n"
        "middle/min_ss = 20\nmiddle/max_ss = 39\nmiddle/corner_x = 5\nmiddle/corner_y = -10\n"
        "right/min_ss = 40\nright/max_ss = 59\nright/corner_x = 40\nright/corner_y = -10\n");
    good_run(line + "-floatfile all.bin");
    all = test::read_floats(folder / "all.bin");
  }

  /// What all.bin holds within a region of a panel, added to what `image` holds.
  void add(int panel, const RegionOfInterest& roi, std::vector<float>& image) const {
    for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow)
      for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast) {
        const auto i = static_cast<std::size_t>(panel * area + slow * width + fast);
        image[i] = all[i];
      }
  }

  const std::string line = crystal + "-detector x.geom -sensor Si 320 ";
  std::vector<float> all;
};

TEST_F(PanelsOfAFile, AreComputedWhereTheyHaveARegionOfInterest) {
  std::vector<float> expected(3 * area);
  add(2, {4, 22, 3, 15}, expected);
  good_run(line + "-panel right -roi 4 22 3 15 -floatfile a.bin -o x.nxs");
  EXPECT_EQ(test::read_floats(folder / "a.bin"), expected);
  const io::ImageFile counts = io::read_image(folder / "x.nxs");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const int fast = static_cast<int>(i) % width, slow = static_cast<int>(i) / width;
    const bool within = fast >= 4 && fast <= 22 && slow >= 43 && slow <= 55;
    EXPECT_EQ(std::isnan(counts.pixels[i]), !within) << i;
  }

  add(0, {0, 9, 0, 19}, expected);
  const Outcome two = good_run(line +
                               "-panel 2 -roi 4 22 3 15 -panel 0 -roi 0 9 -1 -1 -floatfile b.bin");
  EXPECT_EQ(test::read_floats(folder / "b.bin"), expected);
  EXPECT_THAT(two.out, HasSubstr("roi of panel 2: 4 < x < 23 && 3 < y < 16\n"));
  const auto brightest = std::ranges::max_element(expected) - expected.begin();
  EXPECT_THAT(two.out, HasSubstr("(pixel fast " + std::to_string(brightest % width) + " slow " +
                                 std::to_string(brightest / width % height) + " of panel " +
                                 std::to_string(brightest / area) + ")"));
}

TEST_F(PanelsOfAFile, NeedTheirNumberOrNameBesideAFlagOfOne) {
  for (const std::string flag : {"-roi 0 9 0 9 ", "-trace_pixel 5 5 ", "-printout_pixel 5 5 "})
    for (const std::string& order : {flag, flag + "-panel 1 "}) {
      const Outcome outcome = run(line + "-floatfile a.bin " + order);
      EXPECT_EQ(outcome.exit_code, 2);
      EXPECT_THAT(
          outcome.err,
          HasSubstr("is of one panel, and the detector has 3; give -panel and its number, 0 "
                    "to 2, or its name before it"));
    }
  for (const std::string name : {"3", "-1", "1.5", "centre"}) {
    const Outcome outcome = run(line + "-roi 0 9 0 9 -floatfile a.bin -panel " + name);
    EXPECT_EQ(outcome.exit_code, 2) << name;
  }
  EXPECT_THAT(run(line + "-floatfile a.bin -panel centre").err,
              HasSubstr("-panel needs a panel's number, 0 to 2, or its name, left to right, not "
                        "'centre'"));
  EXPECT_THAT(run(line + "-floatfile a.bin -panel 1 -trace_pixel 20 0").err,
              HasSubstr("-trace_pixel: pixel slow 20 fast 0 is not on the 30 x 20 (fast x slow) "
                        "panel 1"));
  EXPECT_THAT(run(line + "-floatfile a.bin -panel 1 -roi 40 50 0 0").err,
              HasSubstr("(-roi 40 50 0 0) holds no pixel of the 30 x 20 panel 1"));
}

TEST_F(PanelsOfAFile, AreTracedAndPrintedPixelByPixel) {
  const float expected = all[static_cast<std::size_t>(area + 7 * width + 11)];
  ASSERT_GT(expected, 0);
  for (const std::string panel : {"1", "middle"}) {
    const Outcome json = good_run(line + "-engine reference -quiet -trace_format json -panel " +
                                  panel + " -trace_pixel 7 11");
    const auto document = nlohmann::json::parse(json.out);
    EXPECT_EQ(document["pixel"]["panel"], 1);
    EXPECT_NEAR(document["photons"].get<double>(), expected, 1e-4 * expected);
  }
  EXPECT_THAT(good_run(line + "-quiet -panel 1 -trace_pixel 7 11").out,
              HasSubstr("trace of pixel slow 7 fast 11 of panel 1: "));
  const Outcome printed = good_run(line + "-quiet -panel 1 -printout_pixel 11 7");
  EXPECT_THAT(printed.out, HasSubstr("  11    7 of panel 1 : stol = "));
  EXPECT_THAT(good_run(line + "-quiet -panel 2 -roi 3 4 5 5 -printout").out,
              testing::AllOf(HasSubstr("   3    5 of panel 2 : "),
                             HasSubstr("   4    5 of panel 2 : "), Not(HasSubstr("of panel 0"))));
}

TEST_F(PanelsOfAFile, AreNotMaskedByAnImageOfOnePanel) {
  good_run(
      "-corrected -cell 50 -default_F 1 -N 1 -lambda 1.1 -detpixels_f 30 -detpixels_s 20 "
      "-oversample 1 "
      "-intfile m.img");
  const Outcome outcome = run(line + "-floatfile a.bin -mask m.img");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("-mask m.img is of one panel, and the detector has 3"));
}

TEST_F(PanelsOfAFile, ThatNoFlagIsOfAreSaid) {
  const std::string
      idle = " has no effect, since no -roi, -trace_pixel or -printout_pixel follows it";
  EXPECT_THAT(good_run(line + "-floatfile a.bin -panel left").err, HasSubstr("-panel left" + idle));
  const Outcome two = good_run(line + "-floatfile a.bin -panel left -panel 2 -roi 0 5 0 5");
  EXPECT_THAT(two.err, HasSubstr("-panel left" + idle));
  EXPECT_THAT(two.err, Not(HasSubstr("-panel 2" + idle)));
}

TEST_F(GeometryFiles, APanelIsNamedWhereThereIsOneOnly) {
  good_run(crystal + square + "-panel 0 -roi 3 9 4 8 -floatfile a.bin");
  good_run(crystal + square + "-roi 3 9 4 8 -floatfile b.bin");
  expect_same_floats("a.bin", "b.bin", 0);
}

TEST_F(GeometryFiles, AGeomTakesTheDistanceThatItLeavesToTheImages) {
  folder.file("x.geom",
              "clen = /LCLS/detector/distance\nres = 10000\np0/min_fs = 0\np0/max_fs = 99\n"
              "p0/min_ss = 0\np0/max_ss = 79\np0/corner_x = 5\np0/corner_y = -40\np0/fs = x\n"
              "p0/ss = y\n");
  const std::string line = crystal + "-detector x.geom -floatfile a.bin ";
  EXPECT_THAT(run(line).err, HasSubstr("'clen' is"));
  EXPECT_THAT(good_run(line + "-distance 120").out, HasSubstr("  distance=0.12 "));
  // In CrystFEL's frame the beam runs along z.
  EXPECT_THAT(good_run(line + "-distance 120").out, HasSubstr("INCIDENT_BEAM_DIRECTION= 0 0 1\n"));
}

TEST_F(GeometryFiles, ANameThatSeveralHaveIsAnsweredWithThem) {
  const Outcome outcome = run(crystal + "-detector EIGER2 -floatfile a.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("EIGER2 16M"));
}

TEST_F(GeometryFiles, ThePixelsOfADetectorAreNoFlagsBesideIt) {
  const Outcome outcome = run(crystal + "-detector EIGER2-1M -pixel 0.1 -floatfile a.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("-pixel and -detector EIGER2 1M both state the detector"));
}

TEST_F(GeometryFiles, ASensorOfAMaterialHasItsAttenuationAtTheWavelength) {
  // The depth that -detector_abs would be given: 1/e in silicon at 1 Angstrom, 4.208/mm in DIALS
  good_run(crystal + square + "-lambda 1 -sensor Si 300 -floatfile a.bin");
  good_run(crystal + square +
           "-lambda 1 -detector_thick 300 -detector_abs 237.6 -thicksteps 6 -floatfile b.bin");
  expect_same_floats("a.bin", "b.bin", 0.01);
  const Outcome outcome = run(crystal + square + "-sensor Unobtainium 300 -floatfile a.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("Unobtainium"));
}

// ---- Files that state everything ----------------------------------------------------------------

TEST_F(GeometryFiles, TwoThatStateTheDetectorAreRefused) {
  good_run(crystal + square + "-o x.expt");
  const Outcome outcome = run(crystal + "-expt x.expt -detector EIGER2-1M -floatfile a.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("-expt and -detector both state the detector"));
}

TEST_F(GeometryFiles, FlagsThatPlaceADetectorAreRefusedBesideAFileThatDoes) {
  good_run(crystal + square + "-o x.expt");
  const Outcome outcome = run(crystal + "-expt x.expt -distance 100 -floatfile a.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("-distance and -expt x.expt both state the detector"));
}

TEST_F(GeometryFiles, NanoBraggsDetectorIsNoneThatAFilePlaces) {
  good_run(crystal + square + "-o x.expt");
  const Outcome outcome = run("-default_F 100 -N 5 -nocache -expt x.expt -floatfile a.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("give -corrected"));
}

TEST_F(GeometryFiles, AnotherWavelengthKeepsTheLatticeOfTheFile) {
  good_run(crystal + square + "-o x.expt");
  const Outcome outcome = good_run(
      "-corrected -default_F 100 -N 5 -oversample 1 -noprogress -expt x.expt -lambda 1.3 -o "
      "y.expt");
  EXPECT_THAT(outcome.err,
              HasSubstr("x.expt: was measured at 1.1 Angstrom, and the wavelength is 1.3"));
  const Geometry before = io::read_geometry(folder / "x.expt"),
                 after = io::read_geometry(folder / "y.expt");
  EXPECT_NEAR(after.beam->wavelength_A, 1.3, 1e-12);
  EXPECT_NEAR(length(after.crystals[0].real_axes_A.a), 50, 1e-6);
  EXPECT_NEAR(length(after.crystals[0].real_axes_A.c - before.crystals[0].real_axes_A.c), 0, 1e-6);
}

TEST_F(GeometryFiles, AnotherWavelengthIsAttenuatedAsTheMaterialDoesThere) {
  good_run(crystal + square + "-sensor Si 320 -o x.expt");
  const std::string line = "-corrected -default_F 100 -N 5 -oversample 1 -expt x.expt -lambda 0.5 ";
  const Outcome known = good_run(line + "-floatfile a.bin");
  EXPECT_THAT(known.err, Not(HasSubstr("states no material")));
  good_run(line + "-sensor Si 320 -floatfile b.bin");
  expect_same_floats("a.bin", "b.bin", 0);

  auto list = nlohmann::json::parse(test::read_file(folder / "x.expt"));
  const double mu = list["detector"][0]["panels"][0]["mu"];
  list["detector"][0]["panels"][0]["material"] = "";
  std::ofstream(folder / "x.expt") << list.dump();
  EXPECT_THAT(good_run(line + "-floatfile c.bin").err,
              HasSubstr("x.expt: its sensor states no material that is known, so that its "
                        "attenuation stays that at 1.1 Angstrom; -sensor MATERIAL um"));
  good_run(line + "-detector_abs " + std::to_string(1000 / mu) + " -floatfile d.bin");
  expect_same_floats("c.bin", "d.bin", 1e-5);
}

TEST_F(GeometryFiles, WhatIsNeitherImageNorGeometryIsRefused) {
  std::ofstream(folder / "x.expt") << "h k l F\n";
  const Outcome outcome = run(crystal + "-expt x.expt -floatfile a.bin");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("is no image and no geometry that can be read"));
}

}  // namespace
}  // namespace nablabragg
