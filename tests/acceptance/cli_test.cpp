// Acceptance tests of the command line: help, files, conventions, precedence, scaling, noise,
// errors.  docs/acceptance.md lists them with the mode that each identifier holds in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nablabragg/io.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using testing::HasSubstr;

const std::string corrected = " -corrected ";

class AcceptanceCli : public testing::Test {
 protected:
  std::string run(const std::string& line) const {
    const test::Outcome outcome = test::run_program(folder.path(), line);
    EXPECT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
    return outcome.out;
  }
  std::vector<float> floats(const std::string& name) const {
    return test::read_floats(folder / name);
  }
  std::vector<std::uint16_t> counts(const std::string& name) const {
    return test::read_smv_pixels(folder / name);
  }
  double key(const std::string& image, const std::string& name) const {
    return io::read_smv(folder / image).value(name, false).value();
  }

  test::TempDir folder;
};

const std::string small = "-cell 100 -default_F 100 -N 5 -detpixels 32 -pixel 0.1 -distance 100 ";

TEST_F(AcceptanceCli, AT_CLI_001_HelpListsTheFlagsAndSucceeds) {
  for (const char* flag : {"-h", "--help"}) {
    const std::string out = run(flag);
    EXPECT_THAT(out, HasSubstr("usage:"));
    for (const char* listed :
         {"-hkl",    "-mat",       "-cell",    "-pixel",     "-detpixels", "-distance", "-lambda",
          "-energy", "-floatfile", "-intfile", "-noisefile", "-pgmfile",   "-scale",    "-adc",
          "-mosflm", "-xds",       "-adxv",    "-denzo",     "-dials",     "-roi"})
      EXPECT_THAT(out, testing::ContainsRegex('\t' + std::string(listed) + "[ \n]"));
  }
}

TEST_F(AcceptanceCli, AT_CLI_002_AMinimalRunWritesBothFilesAndTheirHeader) {
  for (const std::string& mode : {std::string(), corrected}) {
    run(small + "-floatfile f.bin -intfile i.img" + mode);
    EXPECT_EQ(floats("f.bin").size(), 32u * 32);
    EXPECT_EQ(counts("i.img").size(), 32u * 32);
    EXPECT_EQ(key("i.img", "SIZE1"), 32);
    EXPECT_EQ(key("i.img", "SIZE2"), 32);
    EXPECT_EQ(key("i.img", "PIXEL_SIZE"), 0.1);
    EXPECT_EQ(key("i.img", "DISTANCE"), 100);
    EXPECT_EQ(key("i.img", "CLOSE_DISTANCE"), 100);
    EXPECT_EQ(key("i.img", "WAVELENGTH"), 1);
    EXPECT_EQ(key("i.img", "TWOTHETA"), 0);
  }
}

TEST_F(AcceptanceCli, AT_CLI_002_TheHeadersBeamCentresAreOneSpot) {
  for (const std::string& mode : {std::string(), corrected}) {
    run(small + "-Xbeam 1.2 -Ybeam 1.4 -intfile i.img" + mode);
    // MOSFLM: fast = Ybeam and slow = Xbeam, each half a pixel on
    if (mode == corrected) {
      // Other programs read the former as DENZO does
      EXPECT_EQ(key("i.img", "BEAM_CENTER_X"), 1.25);
      EXPECT_EQ(key("i.img", "BEAM_CENTER_Y"), 1.45);
      EXPECT_EQ(key("i.img", "CONVENTION_XBEAM"), 1.2);
      EXPECT_EQ(key("i.img", "CONVENTION_YBEAM"), 1.4);
    } else {
      EXPECT_EQ(key("i.img", "BEAM_CENTER_X"), 1.2);
      EXPECT_EQ(key("i.img", "BEAM_CENTER_Y"), 1.4);
    }
    EXPECT_EQ(key("i.img", "MOSFLM_CENTER_X"), 1.2);
    EXPECT_EQ(key("i.img", "MOSFLM_CENTER_Y"), 1.4);
    EXPECT_EQ(key("i.img", "DENZO_X_BEAM"), 1.25);
    EXPECT_EQ(key("i.img", "DENZO_Y_BEAM"), 1.45);
    EXPECT_EQ(key("i.img", "ADXV_CENTER_X"), 1.45);
    EXPECT_EQ(key("i.img", "ADXV_CENTER_Y"), 1.95);
    EXPECT_EQ(key("i.img", "XDS_ORGX"), 15);
    EXPECT_EQ(key("i.img", "XDS_ORGY"), 13);
    EXPECT_THAT(folder.content("i.img"), HasSubstr("DIALS_ORIGIN=-1.45,1.25,-100"));
  }
}

TEST_F(AcceptanceCli, AT_CLI_003_ConventionsHaveTheirPivots) {
  // Without -distance, which in corrected mode would ask for the pivot about the beam spot
  const std::string line = "-cell 100 -default_F 100 -N 5 -detpixels 32 ";
  for (const std::string& mode : {std::string(), corrected}) {
    EXPECT_THAT(run(line + "-mosflm" + mode),
                HasSubstr("mosflm convention selected.\npivoting detector around direct beam"));
    EXPECT_THAT(run(line + "-xds" + mode),
                HasSubstr("xds convention selected.\npivoting detector around sample"));
  }
}

TEST_F(AcceptanceCli, AT_CLI_003_PivotOverridesInCorrectedModeAndIsReportedAsIgnoredInCompat) {
  EXPECT_THAT(run(small + "-mosflm -pivot sample" + corrected), HasSubstr("around sample"));
  EXPECT_THAT(run(small + "-xds -pivot beam" + corrected), HasSubstr("around direct beam spot"));
  const test::Outcome compat = test::run_program(folder.path(),
                                                 small + "-mosflm -pivot sample -detector_rotx 5");
  EXPECT_THAT(compat.out, HasSubstr("around direct beam spot"));
  EXPECT_THAT(compat.err, HasSubstr("Q-07"));
}

TEST_F(AcceptanceCli, AT_CLI_003_BothPivotsKeepWhatTheyTurnAbout) {
  const std::string turned = small + "-detector_rotx 5 -detector_roty 3 -intfile i.img" + corrected;
  run(turned + "-pivot beam -Xbeam 1.2 -Ybeam 1.4");
  EXPECT_EQ(key("i.img", "CONVENTION_XBEAM"), 1.2);
  EXPECT_EQ(key("i.img", "CONVENTION_YBEAM"), 1.4);
  EXPECT_EQ(key("i.img", "DISTANCE"), 100);
  run(turned + "-pivot sample -ORGX 15 -ORGY 13 -close_distance 100");
  EXPECT_EQ(key("i.img", "XDS_ORGX"), 15);
  EXPECT_EQ(key("i.img", "XDS_ORGY"), 13);
  EXPECT_EQ(key("i.img", "CLOSE_DISTANCE"), 100);
}

TEST_F(AcceptanceCli, AT_CLI_004_HeadersComeInOrderAndMasksDarkenPixels) {
  run(small + "-distance 150 -corrected -intfile a.img");
  run(small + "-distance 90 -corrected -adc 1 -intfile m.img");
  // A dark block at fast 10..12, slow 20..21
  std::string mask = folder.content("m.img");
  const auto masked = [](std::size_t i) {
    return i % 32 >= 10 && i % 32 <= 12 && i / 32 >= 20 && i / 32 <= 21;
  };
  const std::size_t header = test::smv_header_bytes(mask);
  for (std::size_t i = 0; i < 32 * 32; ++i) {
    mask[header + 2 * i] = masked(i) ? 0 : 1;
    mask[header + 1 + 2 * i] = 0;
  }
  folder.file("m.img", mask);
  const std::string crystal =
      "-cell 100 -default_F 100 -N 5 -roi 5 25 15 25 -floatfile f.bin "
      "-intfile i.img ";
  struct Case {
    std::string flags;
    double distance_mm;
  };
  for (const Case& c : {Case{"-img a.img -mask m.img", 150}, Case{"-mask m.img -img a.img", 150},
                        Case{"-img a.img -mask m.img" + corrected, 90},
                        Case{"-mask m.img -img a.img" + corrected, 150}}) {
    run(crystal + c.flags);
    EXPECT_EQ(key("i.img", "DISTANCE"), c.distance_mm) << c.flags;
    const std::vector<float> image = floats("f.bin");
    for (std::size_t i = 0; i < image.size(); ++i) {
      const bool in_roi = i % 32 >= 5 && i % 32 <= 25 && i / 32 >= 15 && i / 32 <= 25;
      EXPECT_EQ(image[i] > 0, in_roi && !masked(i)) << i;
    }
  }
}

TEST_F(AcceptanceCli, AT_CLI_005_OnlyTheRegionOfInterestIsLit) {
  for (const std::string& mode : {std::string(), corrected}) {
    run(small + "-roi 5 20 8 12 -seed 1 -floatfile f.bin -intfile i.img -noisefile n.img" + mode);
    const std::vector<float> image = floats("f.bin");
    const std::vector<std::uint16_t> integers = counts("i.img"), noise = counts("n.img");
    for (std::size_t i = 0; i < image.size(); ++i) {
      const bool inside = i % 32 >= 5 && i % 32 <= 20 && i / 32 >= 8 && i / 32 <= 12;
      EXPECT_EQ(image[i] != 0, inside);
      EXPECT_EQ(integers[i] != 0, inside);
      EXPECT_EQ(noise[i] != 0, inside);
    }
  }
}

TEST_F(AcceptanceCli, AT_CLI_006_TheIntegerImagesScaleIsAutomaticOrGiven) {
  for (const std::string& mode : {std::string(), corrected}) {
    run(small + "-adc 0 -intfile i.img" + mode);
    const std::vector<std::uint16_t> automatic = counts("i.img");
    EXPECT_EQ(*std::max_element(automatic.begin(), automatic.end()), 55000);
    run(small + "-scale 1000 -adc 7 -floatfile f.bin -intfile i.img" + mode);
    const std::vector<float> image = floats("f.bin");
    const std::vector<std::uint16_t> given = counts("i.img");
    bool clipped = false;
    for (std::size_t i = 0; i < image.size(); ++i) {
      // C rounds where the acceptance text truncates, through single precision
      const double v = std::min(65535.0, double(image[i]) * 1000 + 7);
      EXPECT_EQ(given[i], std::floor(static_cast<float>(v + 0.5)));
      clipped |= v == 65535;
    }
    EXPECT_TRUE(clipped);
  }
}

TEST_F(AcceptanceCli, AT_CLI_006_TheGreymapsScaleIsAutomaticOrGiven) {
  for (const std::string& mode : {std::string(), corrected}) {
    run(small + "-pgmscale 1.5 -floatfile f.bin -pgmfile p.pgm" + mode);
    const std::string bytes = folder.content("p.pgm"),
                      header = "P5\n32 32\n# pixels scaled by 1.5\n255\n";
    ASSERT_TRUE(bytes.starts_with(header));
    const std::vector<float> image = floats("f.bin");
    for (std::size_t i = 0; i < image.size(); ++i)
      EXPECT_EQ(static_cast<unsigned char>(bytes[header.size() + i]),
                std::floor(std::min(255.0, double(image[i]) * 1.5)));
    run(small + "-pgmfile p.pgm" + mode);
    EXPECT_THAT(folder.content("p.pgm"), testing::StartsWith("P5\n32 32\n# pixels scaled by "));
  }
}

TEST_F(AcceptanceCli, AT_CLI_007_NoiseFollowsTheSeed) {
  for (const std::string& mode : {std::string(), corrected}) {
    const auto overloads = [&](const std::string& flags) {
      const std::string out = run(small + "-roi 5 25 5 25 " + flags + mode);
      const std::size_t at = out.find(" photons on noise image");
      return out.substr(at, out.find('\n', at) - at);
    };
    const std::string first = overloads("-seed 4 -noisefile a.img");
    EXPECT_EQ(overloads("-seed 4 -noisefile b.img"), first);
    overloads("-seed 5 -noisefile c.img");
    EXPECT_EQ(counts("a.img"), counts("b.img"));
    EXPECT_NE(counts("a.img"), counts("c.img"));
  }
}

TEST_F(AcceptanceCli, AT_CLI_008_DminTakesAwayAtHighAnglesOnly) {
  const std::string line =
      "-cell 100 -default_F 100 -N 5 -detpixels 64 -pixel 1 -oversample 1 "
      "-Xbeam 32 -Ybeam 32 -engine reference -floatfile ";
  for (const std::string& mode : {std::string(), corrected}) {
    run(line + "a.bin" + mode);
    run(line + "b.bin -dmin 5" + mode);
    const std::vector<float> all = floats("a.bin"), cut = floats("b.bin");
    EXPECT_LT(std::accumulate(cut.begin(), cut.end(), 0.0),
              std::accumulate(all.begin(), all.end(), 0.0));
    // 2 theta of 5 Angstrom lies 20.3 pixels out
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double out = std::hypot(double(i % 64) - 32, double(i / 64) - 32);
      if (out < 19) {
        EXPECT_EQ(cut[i], all[i]);
      }
      if (out > 22) {
        EXPECT_EQ(cut[i], 0);
      }
    }
  }
}

TEST_F(AcceptanceCli, AT_CLI_009_NoStructureFactorsIsAnErrorThatSaysWhatIsNeeded) {
  for (const std::string& mode : {std::string(), corrected}) {
    const test::Outcome outcome = test::run_program(folder.path(), "-cell 100 -N 5" + mode);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, testing::AllOf(HasSubstr("-hkl"), HasSubstr("-default_F")));
  }
  // The whole help where there is nothing to go by
  EXPECT_THAT(test::run_program(folder.path(), "").out, HasSubstr("usage:"));
}

}  // namespace
}  // namespace nablabragg
