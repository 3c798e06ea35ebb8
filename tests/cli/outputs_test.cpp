// What a run writes: files, their bytes, standard output, traces, and what it says on the way.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>  // for WEXITSTATUS
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>  // for system
#include <cstring>  // for memcpy
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numbers>  // for pi
#include <regex>
#include <thread>

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/version.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

/// nanoBragg prints 97.2806 for its brightest pixel.
const std::string cubic =
    "-cell 100 100 100 90 90 90 -default_F 100 -N 5 -lambda 1 -distance 100 -pixel 0.1 "
    "-detpixels 32 -seed 1 ";
/// Its pixels are listed below.
const std::string with_roi =
    "-cell 100 -default_F 100 -N 5 -lambda 1 -distance 100 -pixel 0.1 -detpixels 16 "
    "-roi 3 6 5 7 -seed 7 -adc 40.6 ";

class Outputs : public test::ProgramTest {
 protected:
  std::vector<float> floats(const std::string& name) const {
    return test::read_floats(folder / name);
  }
  std::vector<std::uint16_t> counts(const std::string& name) const {
    return test::read_smv_pixels(folder / name);
  }
};

/// The number that follows a text.
double number_after(const std::string& text, const std::string& key) {
  const std::size_t at = text.find(key);
  EXPECT_NE(at, std::string::npos) << key << " is not in\n" << text;
  return at == std::string::npos ? NAN : std::strtod(text.c_str() + at + key.size(), nullptr);
}

// ---- Which files -----------------------------------------------------------------------------

TEST_F(Outputs, HaveTheirDefaultNamesWithoutBeingAskedForAsInNanoBragg) {
  good_run(cubic);
  EXPECT_THAT(folder.names(), UnorderedElementsAre("floatimage.bin", "intimage.img", "image.pgm",
                                                   "noiseimage.img"));
}

TEST_F(Outputs, AreOnlyThoseNamedWithCorrected) {
  good_run(cubic + "-corrected");
  EXPECT_THAT(folder.names(), IsEmpty());
  good_run(cubic + "-corrected -intfile i.img -pngfile p.png");
  EXPECT_THAT(folder.names(), UnorderedElementsAre("i.img", "p.png"));
}

TEST_F(Outputs, TakeTheNamesGiven) {
  good_run(cubic + "-floatfile f -intfile i -pgmfile p -noisefile n");
  EXPECT_THAT(folder.names(), UnorderedElementsAre("f", "i", "p", "n"));
}

TEST_F(Outputs, OfNoiseAndGreymapAreTurnedOffAndOnInOrder) {
  good_run(cubic + "-nopgm -nonoise");
  EXPECT_THAT(folder.names(), UnorderedElementsAre("floatimage.bin", "intimage.img"));
  good_run(cubic + "-nopgm -pgmscale 2 -nonoise -noisefile n");
  EXPECT_THAT(folder.names(),
              UnorderedElementsAre("floatimage.bin", "intimage.img", "image.pgm", "n"));
}

TEST_F(Outputs, WithPgmscaleAfterwardsTurnedOffAreAbsent) {
  good_run(cubic + "-pgmscale 2 -nopgm -noisefile n -nonoise");
  EXPECT_THAT(folder.names(), UnorderedElementsAre("floatimage.bin", "intimage.img"));
}

TEST_F(Outputs, OverwriteOldOnesAndLeaveNoTemporaryFiles) {
  folder.file("floatimage.bin", std::string(100000, 'x'));
  good_run(cubic);
  EXPECT_EQ(floats("floatimage.bin").size(), 32u * 32);
  EXPECT_THAT(folder.names(), Each(Not(testing::StartsWith("."))));
}

TEST_F(Outputs, AreWholeWhicheverStreamsAreClosed) {
  good_run(cubic + "-floatfile expected.bin");
  constexpr int unwritten_output = 4;
  for (const auto& [closed, code] : {std::pair{"<&-", 0},
                                     {"2>&-", 0},
                                     {"<&- 2>&-", 0},
                                     {">&-", unwritten_output},
                                     {"<&- >&-", unwritten_output},
                                     {"<&- >&- 2>&-", unwritten_output}}) {
    std::filesystem::remove(folder / "f.bin");
    const int status = std::system(("cd " + folder.path().string() + " && " + NABLA_PROGRAM + " " +
                                    cubic + "-floatfile f.bin > out 2> err " + closed)
                                       .c_str());
    EXPECT_EQ(WEXITSTATUS(status), code) << closed;
    EXPECT_EQ(floats("f.bin"), floats("expected.bin")) << closed;
  }
}

// ---- Their bytes -----------------------------------------------------------------------------

TEST_F(Outputs, OfFloatsAreRawPhotonsWithTheFastAxisFirst) {
  good_run(cubic + "-detpixels_f 20 -detpixels_s 12 -roi 3 17 2 9");
  const std::vector<float> image = floats("floatimage.bin");
  ASSERT_EQ(image.size(), 20u * 12);
  for (int slow = 0; slow < 12; ++slow)
    for (int fast = 0; fast < 20; ++fast) {
      const bool inside = fast >= 3 && fast <= 17 && slow >= 2 && slow <= 9;
      EXPECT_EQ(image[static_cast<std::size_t>(slow * 20 + fast)] > 0, inside)
          << fast << ' ' << slow;
    }
}

TEST_F(Outputs, OfIntegersAreTheFloatsScaledOffsetAndRounded) {
  good_run(with_roi);
  const std::vector<std::uint16_t> image = counts("intimage.img");
  ASSERT_EQ(image.size(), 16u * 16);
  const auto at = [&](int fast, int slow) {
    return image[static_cast<std::size_t>(slow * 16 + fast)];
  };
  const int expected[3][4] = {
      {6506, 6504, 8623, 11668}, {8799, 8797, 11668, 15795}, {30620, 30613, 40633, 55041}};
  for (int slow = 5; slow <= 7; ++slow)
    for (int fast = 3; fast <= 6; ++fast)
      EXPECT_EQ(at(fast, slow), expected[slow - 5][fast - 3]) << fast << ' ' << slow;
  // No offset outside the region of interest
  EXPECT_EQ(at(2, 5), 0);
  EXPECT_EQ(at(6, 8), 0);
}

TEST_F(Outputs, OfNoiseAreNanoBraggsPhotonsForTheSameSeed) {
  good_run(with_roi);
  const std::vector<std::uint16_t> image = counts("noiseimage.img");
  for (int slow = 5; slow <= 7; ++slow)
    for (int fast = 3; fast <= 6; ++fast) {
      int expected = 40;
      if ((fast == 5 && slow == 6) || (fast == 3 && slow == 7) || (fast == 5 && slow == 7))
        expected = 41;
      if (fast == 6 && slow == 7) expected = 42;
      EXPECT_EQ(image[static_cast<std::size_t>(slow * 16 + fast)], expected) << fast << ' ' << slow;
    }
  EXPECT_EQ(image[0], 0);
}

TEST_F(Outputs, OfGreymapsHaveNanoBraggsHeaderAndTruncatedPixels) {
  good_run(cubic + "-detpixels_f 20 -detpixels_s 12 -pgmscale 2.5");
  const std::string bytes = folder.content("image.pgm");
  const std::string header = "P5\n20 12\n# pixels scaled by 2.5\n255\n";
  ASSERT_TRUE(bytes.starts_with(header));
  ASSERT_EQ(bytes.size(), header.size() + 20 * 12);
  const std::vector<float> image = floats("floatimage.bin");
  for (std::size_t i = 0; i < image.size(); ++i)
    EXPECT_EQ(static_cast<unsigned char>(bytes[header.size() + i]),
              static_cast<int>(std::min(255.0, 2.5 * static_cast<double>(image[i]))));
}

TEST_F(Outputs, OfGreymapsAreScaledByFiveDeviationsWhereNothingIsSpecified) {
  const Outcome outcome = good_run(cubic);
  EXPECT_THAT(folder.content("image.pgm"),
              testing::StartsWith("P5\n32 32\n# pixels scaled by 2.79758\n255\n"));
  EXPECT_THAT(outcome.out, HasSubstr("pgm_scale = 2.79758\n"));
}

TEST_F(Outputs, OfSmvHaveNanoBraggsHeader) {
  good_run(
      "-cell 70 80 90 85 95 105 -misset 10 20 30 -default_F 10 -lambda 1.2 -distance 150 "
      "-detpixels 16 -pixel 0.8");
  const std::string expected =
      "{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\n"
      "SIZE1=16;\nSIZE2=16;\nPIXEL_SIZE=0.8;\nDISTANCE=150;\nWAVELENGTH=1.2;\n"
      "BEAM_CENTER_X=6.8;\nBEAM_CENTER_Y=6.8;\nADXV_CENTER_X=7.2;\nADXV_CENTER_Y=5.6;\n"
      "MOSFLM_CENTER_X=6.8;\nMOSFLM_CENTER_Y=6.8;\nDENZO_X_BEAM=7.2;\nDENZO_Y_BEAM=7.2;\n"
      "DIALS_ORIGIN=-7.2,7.2,-150\nXDS_ORGX=9.5;\nXDS_ORGY=9.5;\nCLOSE_DISTANCE=150;\n"
      "PHI=0;\nOSC_START=0;\nOSC_RANGE=0;\nTWOTHETA=0;\nDETECTOR_SN=000;\nBEAMLINE=fake;\n}\f";
  for (const char* name : {"intimage.img", "noiseimage.img"}) {
    const std::string bytes = folder.content(name);
    ASSERT_EQ(bytes.size(), 512u + 16 * 16 * 2);
    EXPECT_EQ(bytes.substr(0, expected.size()), expected);
    EXPECT_EQ(bytes.substr(expected.size(), 512 - expected.size()),
              std::string(512 - expected.size(), ' '));
  }
}

TEST_F(Outputs, OfSmvHeadersLongerThanABlockSayWhereTheirPixelsBegin) {
  // Six digits in every number; nanoBragg, and compat mode, neither pad nor say
  const std::string line =
      "-cell 100 -default_F 10 -lambda 1.23457 -distance 123.457 -detpixels 8 -pixel 0.123457 "
      "-Xbeam 0.412346 -Ybeam 0.512346 -detector_rotx 1.23457 -detector_roty 2.34568 "
      "-detector_rotz 3.45679 -phi 12.3457 -osc 0.123457 -phisteps 1 -twotheta 1.23457 ";
  good_run(line);
  const std::string compat = folder.content("intimage.img");
  EXPECT_GT(compat.find('\f'), 511u);
  EXPECT_EQ(compat.size(), compat.find('\f') + 1 + 8 * 8 * 2);
  good_run(line + "-corrected -intfile c.img");
  const std::string corrected = folder.content("c.img");
  const std::size_t header = test::smv_header_bytes(corrected);
  EXPECT_GE(header, 1024u);
  EXPECT_EQ(header % 512, 0u);
  EXPECT_EQ(corrected.size(), header + 8 * 8 * 2);
  EXPECT_EQ(io::read_smv(folder / "c.img").fast_pixels, 8);
  EXPECT_THAT(corrected, testing::ContainsRegex("DIALS_ORIGIN=[^\n]*;\n"));
}

TEST_F(Outputs, OfSmvAreReadBackAsGeometry) {
  good_run(cubic +
           "-lambda 1.2 -distance 150 -pixel 0.2 -detpixels 40 -Xbeam 3 -Ybeam 5 -intfile a.img");
  const Outcome again = good_run("-cell 100 -default_F 100 -N 5 -img a.img -floatfile b.bin");
  EXPECT_EQ(floats("b.bin"), floats("floatimage.bin"));
  EXPECT_THAT(again.out, HasSubstr("(40x40 pixels)"));
}

// ---- Pictures --------------------------------------------------------------------------------

struct Picture {
  std::uint32_t width = 0, height = 0;
  int bits = 0, colour = -1;
  std::vector<int> pixels;
};

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}

/// Undoes a row's filter; a is the byte to the left, b above, c above left.
int predicted(int filter, int a, int b, int c) {
  switch (filter) {
    case 1:
      return a;
    case 2:
      return b;
    case 3:
      return (a + b) / 2;
    case 4: {
      const int p = a + b - c;
      const int pa = std::abs(p - a), pb = std::abs(p - b), pc = std::abs(p - c);
      return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
    }
    default:
      return 0;
  }
}

/// A grey PNG by its specification, without the library that wrote it.
Picture decode_png(const std::string& bytes) {
  Picture picture;
  EXPECT_EQ(bytes.substr(0, 8), "\x89PNG\r\n\x1a\n");
  std::string packed;
  for (std::size_t at = 8; at < bytes.size();) {
    const std::uint32_t length = big_endian(bytes, at);
    const std::string kind = bytes.substr(at + 4, 4), data = bytes.substr(at + 8, length);
    const auto checksum = crc32(0, reinterpret_cast<const Bytef*>(bytes.data() + at + 4),
                                static_cast<uInt>(length + 4));
    EXPECT_EQ(big_endian(bytes, at + 8 + length), checksum) << kind;
    if (kind == "IHDR") {
      picture.width = big_endian(data, 0);
      picture.height = big_endian(data, 4);
      picture.bits = data[8];
      picture.colour = data[9];
    }
    if (kind == "IDAT") packed += data;
    at += 12 + length;
  }
  const std::size_t deep = static_cast<std::size_t>(picture.bits) / 8;
  const std::size_t row_bytes = picture.width * deep;
  std::string raw((row_bytes + 1) * picture.height, '\0');
  uLongf raw_size = raw.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(raw.data()), &raw_size,
                       reinterpret_cast<const Bytef*>(packed.data()), packed.size()),
            Z_OK);
  EXPECT_EQ(raw_size, raw.size());
  std::vector<int> above(row_bytes), row(row_bytes);
  for (std::size_t j = 0; j < picture.height; ++j) {
    const int filter = raw[j * (row_bytes + 1)];
    for (std::size_t i = 0; i < row_bytes; ++i) {
      const int left = i >= deep ? row[i - deep] : 0, corner = i >= deep ? above[i - deep] : 0;
      const int coded = static_cast<unsigned char>(raw[j * (row_bytes + 1) + 1 + i]);
      row[i] = (coded + predicted(filter, left, above[i], corner)) & 255;
    }
    for (std::size_t i = 0; i < row_bytes; i += deep)
      picture.pixels.push_back(deep == 1 ? row[i] : row[i] * 256 + row[i + 1]);
    above = row;
  }
  return picture;
}

TEST_F(Outputs, OfPicturesAreGreyPngOfEightOrSixteenBits) {
  const std::string line = cubic + "-detpixels_f 20 -detpixels_s 12 -pngwhite 50 -pngscale linear ";
  for (const int bits : {8, 16}) {
    const Outcome outcome = good_run(line + "-pngfile a.png -pngbits " + std::to_string(bits));
    EXPECT_THAT(outcome.out, HasSubstr("writing a.png as " + std::to_string(bits) +
                                       "-bit grey, white at 50 photons\n"));
    const Picture picture = decode_png(folder.content("a.png"));
    EXPECT_EQ(picture.width, 20u);
    EXPECT_EQ(picture.height, 12u);
    EXPECT_EQ(picture.bits, bits);
    EXPECT_EQ(picture.colour, 0);
    const std::vector<float> image = floats("floatimage.bin");
    ASSERT_EQ(picture.pixels.size(), image.size());
    const double top = bits == 8 ? 255 : 65535;
    for (std::size_t i = 0; i < image.size(); ++i)
      EXPECT_EQ(picture.pixels[i], std::lround(top * std::min(1.0, double(image[i]) / 50))) << i;
  }
}

TEST_F(Outputs, OfPicturesFollowTheirScaleAndInversion) {
  const std::string line = cubic + "-pngwhite 50 -pngbits 16 -pngfile ";
  good_run(line + "root.png -pngscale sqrt");
  good_run(line + "log.png -pngscale log");
  good_run(line + "inverted.png -pnginvert -pngscale linear");
  good_run(line + "linear.png -pngscale linear");
  const auto pixels = [&](const char* name) { return decode_png(folder.content(name)).pixels; };
  const std::vector<int> root = pixels("root.png"), log = pixels("log.png"),
                         inverted = pixels("inverted.png"), linear = pixels("linear.png");
  const std::vector<float> image = floats("floatimage.bin");
  for (std::size_t i = 0; i < image.size(); ++i) {
    const double share = std::min(1.0, double(image[i]) / 50);
    EXPECT_EQ(root[i], std::lround(65535 * std::sqrt(share)));
    EXPECT_NEAR(log[i], 65535 * std::log1p(1000 * share) / std::log1p(1000.0), 0.51);
    EXPECT_NEAR(inverted[i] + linear[i], 65535, 1);
  }
}

TEST_F(Outputs, OfPicturesAreTheRootOfThePhotonsUnlessTheirScaleIsNamed) {
  good_run(cubic + "-pngwhite 50 -pngfile unnamed.png");
  good_run(cubic + "-pngwhite 50 -pngfile named.png -pngscale sqrt");
  EXPECT_EQ(folder.content("unnamed.png"), folder.content("named.png"));
  const std::vector<int> pixels = decode_png(folder.content("unnamed.png")).pixels;
  const std::vector<float> image = floats("floatimage.bin");
  for (std::size_t i = 0; i < image.size(); ++i)
    EXPECT_EQ(pixels[i], std::lround(255 * std::sqrt(std::min(1.0, double(image[i]) / 50)))) << i;
}

TEST_F(Outputs, OfPicturesWithAxesRingsOrColorsHaveThreeChannels) {
  for (const char* more : {"-pngaxes", "-pngrings 20,40", "-pngcolors heat"})
    for (const int bits : {8, 16}) {
      const Outcome outcome = good_run(cubic + "-pngfile a.png " + more + " -pngbits " +
                                       std::to_string(bits));
      EXPECT_THAT(outcome.out,
                  HasSubstr("writing a.png as " + std::to_string(bits) + "-bit colours, white"));
      const std::string png = folder.content("a.png");
      EXPECT_EQ(int{png[24]}, bits) << more;
      EXPECT_EQ(int{png[25]}, 2) << more;
    }
}

TEST_F(Outputs, OfPicturesRefuseRingsThatNoLightReachesBeforeTheImageIsMade) {
  const Outcome beyond = run(cubic + "-pngfile a.png -pngrings 0.1");
  EXPECT_EQ(beyond.exit_code, 2);
  EXPECT_THAT(beyond.err, HasSubstr("a ring of 0.1 Angstrom is beyond half the wavelength"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.png"));
}

TEST_F(Outputs, ThatStateAGeometryRefuseACurvedDetector) {
  for (const std::string name : {"a.nxs", "a.cbf", "a.smv", "a.expt", "a.refl", "a.poni"}) {
    const Outcome outcome = run(cubic + "-corrected -sensor Si 450 -curved_det -o " + name);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.err, "nablabragg: error: -o " + name +
                               ": files state flat panels, and this detector is curved "
                               "(-curved_det); -floatfile holds its photons, and PNG (.png) a "
                               "picture\n");
    EXPECT_FALSE(std::filesystem::exists(folder / name));
  }
  good_run(cubic + "-corrected -curved_det -o a.png");
}

TEST_F(Outputs, OfPicturesNameTheRingsThatMissTheDetector) {
  EXPECT_THAT(good_run(cubic + "-pngfile a.png -pngrings 0.6").out,
              HasSubstr("no part of the ring of 0.6 Angstrom is on the detector\n"));
}

TEST_F(Outputs, OfPicturesAreWhiteWhereAThousandthOfTheLitPixelsIsBrighter) {
  for (const char* more : {"", "-roi 3 6 5 7 ", "-roi 4 4 4 4 ", "-roi 2 29 2 30 -water 3 "}) {
    const std::string out = good_run(cubic + "-corrected -floatfile a.f32 -pngfile a.png " + more)
                                .out;
    std::vector<float> lit = floats("a.f32");
    lit.erase(std::remove(lit.begin(), lit.end(), 0.0F), lit.end());
    std::sort(lit.begin(), lit.end());
    const auto rank = static_cast<std::size_t>(0.999 * static_cast<double>(lit.size() - 1));
    EXPECT_THAT(out, HasSubstr(fmt::format("white at {:g} photons\n", lit[rank]))) << more;
  }
}

TEST_F(Outputs, OfPicturesOfNoiseShowTheCountsOfTheNoiseImage) {
  good_run(cubic + "-adc 0 -pngnoise -pngwhite 100 -pngbits 16 -pngscale linear -pngfile n.png");
  const std::vector<int> picture = decode_png(folder.content("n.png")).pixels;
  const std::vector<std::uint16_t> noise = counts("noiseimage.img");
  for (std::size_t i = 0; i < noise.size(); ++i)
    EXPECT_EQ(picture[i], std::lround(65535 * std::min(1.0, noise[i] / 100.0))) << i;
}

// ---- Structure-factor cache ------------------------------------------------------------------

const std::string small_hkl = "# h k l F\n0 0 0 100\n0 1 0 50\n0 -1 0 25\n0 0 1 10\n0 0 -1 5\n";
const std::string with_table = "-cell 100 -N 5 -detpixels 32 -seed 1 ";

TEST_F(Outputs, OfTheCacheAreWrittenAndReadWithOneLineEach) {
  folder.file("F.hkl", small_hkl);
  const Outcome first = good_run(with_table + "-hkl F.hkl -floatfile a.bin");
  EXPECT_THAT(first.out, HasSubstr("writing the structure-factor cache Fdump.bin"));
  // Six numbers, newline, form feed; one plane of padding along each axis
  const std::string bytes = folder.content("Fdump.bin");
  const std::string header = "0 0 -1 1 -1 1\n\f";
  ASSERT_TRUE(bytes.starts_with(header));
  EXPECT_EQ(bytes.size(), header.size() + 2 * 4 * 4 * sizeof(double));
  double value;
  std::memcpy(&value, bytes.data() + header.size() + (1 * 4 + 1) * sizeof(double), sizeof value);
  EXPECT_EQ(value, 100);

  const Outcome second = good_run(with_table + "-floatfile b.bin");
  EXPECT_THAT(second.out, HasSubstr("reading structure factors from the cache Fdump.bin"));
  EXPECT_THAT(second.err, HasSubstr("Q-25"));
  EXPECT_THAT(second.err, HasSubstr("-nocache"));
  EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
}

TEST_F(Outputs, OfTheCacheAreLeftAloneWithNocache) {
  folder.file("F.hkl", small_hkl);
  good_run(with_table + "-hkl F.hkl -nocache");
  EXPECT_THAT(folder.names(), Not(testing::Contains("Fdump.bin")));
  good_run(with_table + "-hkl F.hkl");
  EXPECT_EQ(run(with_table + "-nocache").exit_code, 2);
  good_run(with_table + "-nocache -default_F 3 -floatfile a.bin");
  good_run(with_table + "-default_F 3 -floatfile b.bin");
  EXPECT_NE(folder.content("a.bin"), folder.content("b.bin"));
}

TEST_F(Outputs, OfTheCacheTakeTheNameOfDump) {
  folder.file("F.hkl", small_hkl);
  good_run(with_table + "-hkl F.hkl -dump my.bin -floatfile a.bin");
  EXPECT_THAT(folder.names(), testing::Contains("my.bin"));
  EXPECT_THAT(folder.names(), Not(testing::Contains("Fdump.bin")));
  const Outcome outcome = good_run(with_table + "-dump my.bin -floatfile b.bin");
  EXPECT_THAT(outcome.out, HasSubstr("from the cache my.bin"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("Q-25")));
  EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
}

TEST_F(Outputs, OfTheCacheNeedANameWithCorrected) {
  folder.file("F.hkl", small_hkl);
  good_run(with_table + "-corrected -hkl F.hkl -floatfile a.bin");
  EXPECT_THAT(folder.names(), UnorderedElementsAre("F.hkl", "a.bin"));
  good_run(with_table + "-corrected -hkl F.hkl -dump my.bin");
  EXPECT_THAT(folder.names(), UnorderedElementsAre("F.hkl", "a.bin", "my.bin"));
  good_run(with_table + "-corrected -dump my.bin -floatfile b.bin");
  EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
}

// ---- Traces ----------------------------------------------------------------------------------

nlohmann::json trace_of(const Outcome& outcome) {
  EXPECT_TRUE(nlohmann::json::accept(outcome.out)) << outcome.out.substr(0, 300);
  return nlohmann::json::parse(outcome.out, nullptr, false);
}

TEST_F(Outputs, OfATraceInJsonMultiplyToThePixelOfTheFloatImage) {
  for (const std::string mode : {"", "-corrected -floatfile floatimage.bin "}) {
    const Outcome outcome = good_run(
        cubic + mode +
        "-engine reference -trace_pixel 20 17 -trace_format json -polar 0.9 -mosaic 1 "
        "-mosaic_dom 3");
    const nlohmann::json trace = trace_of(outcome);
    const auto pixel = static_cast<double>(floats("floatimage.bin")[20 * 32 + 17]);
    EXPECT_EQ(trace.at("photons"), pixel);
    EXPECT_EQ(trace.at("pixel"), (nlohmann::json{{"slow", 20}, {"fast", 17}}));
    EXPECT_EQ(trace.at("steps"), 12);
    ASSERT_EQ(trace.at("trace").size(), 12u);

    // Each term is F_cell^2 F_latt^2, and their sum in order is the pixel's
    double sum = 0;
    for (const nlohmann::json& step : trace.at("trace")) {
      const double F = step.at("F_cell"), latt = step.at("F_latt"), term = step.at("term");
      EXPECT_NEAR(term, F * F * latt * latt, 1e-9 * term);
      sum += mode.empty()
                 ? term
                 : term * step.at("omega_sr").get<double>() *
                       step.at("polarization").get<double>() * step.at("capture").get<double>();
      EXPECT_NEAR(step.at("sum"), sum, 1e-12 * sum);
    }
    EXPECT_NEAR(trace.at("sum"), sum, 1e-12 * sum);
    double product = trace.at("scale").get<double>() * sum;
    if (mode.empty())
      product *= trace.at("omega_sr").get<double>() * trace.at("polarization").get<double>() *
                 trace.at("capture").get<double>();
    EXPECT_NEAR(product, pixel, 1e-6 * pixel);
  }
}

TEST_F(Outputs, OfATraceInJsonHaveStandardOutputToThemselves) {
  const Outcome outcome = good_run(cubic + "-trace_pixel 20 17 -trace_format json");
  EXPECT_THAT(outcome.out, testing::StartsWith("{\n"));
  EXPECT_THAT(outcome.err, HasSubstr("max_I ="));
  EXPECT_THAT(outcome.err, HasSubstr("writing floatimage.bin"));
}

TEST_F(Outputs, OfATraceShowAsManyStepsAsAskedFor) {
  const std::string line = cubic + "-oversample 11 -trace_pixel 20 17 -trace_format json ";
  EXPECT_EQ(trace_of(good_run(line)).at("trace").size(), 100u);
  const nlohmann::json two = trace_of(good_run(line + "-trace_steps 2"));
  EXPECT_EQ(two.at("trace").size(), 2u);
  EXPECT_EQ(two.at("steps_traced"), 2);
  EXPECT_EQ(two.at("steps"), 121);
  EXPECT_EQ(trace_of(good_run(line + "-trace_steps 0")).at("trace").size(), 121u);
}

TEST_F(Outputs, OfATraceAsATableFollowTheSummary) {
  const Outcome outcome = good_run(cubic + "-engine reference -trace_pixel 20 17 -trace_steps 3");
  EXPECT_THAT(outcome.out, HasSubstr("trace of pixel slow 20 fast 17: 4 steps that scatter\n"));
  EXPECT_THAT(outcome.out, HasSubstr("... and 1 more steps (-trace_steps 0 shows all)\n"));
  EXPECT_THAT(outcome.out, HasSubstr("writing floatimage.bin"));
  const std::string pixel = outcome.out.substr(outcome.out.rfind(": ") + 2);
  EXPECT_NEAR(std::stod(pixel), static_cast<double>(floats("floatimage.bin")[20 * 32 + 17]), 1e-7);
}

TEST_F(Outputs, OfATraceOfEitherNanoBraggSpellingAreTheSame) {
  const auto traced = [&](const std::string& flag) {
    const std::string out = good_run(cubic + flag + " 20 17").out;
    return out.substr(out.find("trace of pixel"));
  };
  EXPECT_EQ(traced("-trace_pixel"), traced("-dump_pixel"));
}

TEST_F(Outputs, OfPrintoutShowWhatMadeThePixel) {
  const Outcome outcome = good_run(cubic + "-oversample 1 -printout_pixel 17 20");
  // Fast comes first here
  EXPECT_THAT(outcome.out, HasSubstr("  17   20 : stol = "));
  EXPECT_THAT(outcome.out, HasSubstr(" F_cell=100  F_latt="));
  const double sum = number_after(outcome.out, "   I = "),
               polarization = number_after(outcome.out, "polar "),
               omega = number_after(outcome.out, "omega "),
               capture = number_after(outcome.out, "capfrac "),
               pixel = number_after(outcome.out, "pixel   ");
  const auto expected = static_cast<double>(floats("floatimage.bin")[20 * 32 + 17]);
  EXPECT_NEAR(pixel, expected, 1e-6 * expected);
  EXPECT_NEAR(sum * polarization * omega * capture, expected, 1e-5 * expected);
}

TEST_F(Outputs, OfPrintoutCoverTheRegionOfInterest) {
  const std::string out = good_run(cubic + "-printout -roi 3 5 7 8").out;
  const std::regex line(" +[0-9]+ +[0-9]+ : stol = ");
  EXPECT_EQ(std::distance(std::sregex_iterator(out.begin(), out.end(), line), {}), 6);
}

// ---- Standard output -------------------------------------------------------------------------

TEST_F(Outputs, OnTheTerminalHoldTheLinesThatNanoBraggsUsersSearchInThatOrder) {
  folder.file("F.hkl", small_hkl);
  folder.file("A.mat", "0.01 0 0\n0 0.01 0\n0 0 0.01\n");
  const std::string out = good_run(
                              "-mat A.mat -hkl F.hkl -N 2 -detpixels 32 -misset random "
                              "-misset_seed 12345 -phi 1 -osc 1 "
                              "-mosaic 0.5 -mosaic_dom 2 -detector_thick 450 -detector_abs 234 "
                              "-curved_det -point_pixel "
                              "-divergence 2 -divsteps 2 -dispersion 2 -dispsteps 2 -seed 1")
                              .out;
  std::size_t at = 0;
  for (const char* line :
       {"mosflm convention selected.\n",
        "pivoting detector around direct beam spot\n",
        "XDS incident beam: 0 0 1\n",
        "auto-selected tricubic interpolation",
        "reading A.mat\n",
        "random orientation misset angles: 105.720755 -34.951318 -97.823571 deg",
        "Unit Cell: ",
        "Recp Cell: ",
        "volume = 1e+06 A^3\n",
        "crystal is ",
        "microns\n",
        "auto-selected 1-fold oversampling\n",
        "thick0 = 0 um\n",
        "thick1 = 225 um\n",
        "phi0 = 1\n",
        "phi1 = 1.5\n",
        "divergence deviation: -0.001 -0.001\n",
        "lambda0 = 9.9e-11\n",
        "  created a total of 8 sources:\n",
        "  created a total of 2 mosaic domains\n",
        "  5 initialized hkls (all others =0)\n",
        "  parallelpiped xtal: 2x2x2 cells\n",
        "  wave=1e-10 meters +/- 2% in 2 steps\n",
        "  Kahn polarization factor: 0.000000\n",
        "  curved detector: all pixels same distance from origin\n",
        "  pixel obliquity effect turned off\n",
        "  incident fluence: 1.25932e+29 photons/m^2\n",
        "  distance=0.1 detsize=0.0032x0.0032  pixel=0.0001 meters (32x32 pixels)\n",
        "  Xbeam=0.00165 Ybeam=0.00165\n",
        "  Fbeam=0.0017 Sbeam=0.0017\n",
        "  Xclose=0.0016 Yclose=0.0016\n",
        "  Fclose=0.0017 Sclose=0.0017\n",
        "  DIRECTION_OF_DETECTOR_X-AXIS= 0 0 1\n",
        "  DIRECTION_OF_DETECTOR_Y-AXIS= 0 -1 0\n",
        "  DIRECTION_OF_DETECTOR_Z-AXIS= 1 0 0\n",
        "  INCIDENT_BEAM_DIRECTION= 1 0 0\n",
        "  spindle ROTATION_AXIS= 0 0 1\n",
        "  POLARIZATION_PLANE_NORMAL= 0 -1 0\n",
        "  dials origin= -1.7 1.7 -100\n",
        "  roi: 0 < x < 32 && 0 < y < 32\n",
        "  hdivrange=0.002 hdivstep=0.002  radians\n",
        "  vdivrange=0.002 vdivstep=0.002  radians\n",
        "  4 divergence steps\n",
        "  8 sources\n",
        "  2 mosaic domains over mosaic spread of 0.5 degrees",
        "  2 phi steps from 1 to 2 degrees\n",
        "  1x1 pixel oversample steps\n",
        "  noise image parameters:\n",
        "  seed: -1\n",
        "solid angle subtended by detector = ",
        "writing floatimage.bin as 1024 4-byte floats\n",
        "max_I = ",
        "mean= ",
        " rms= ",
        " rmsd= ",
        "intfile_scale = ",
        "writing intimage.img as 2-byte integers\n",
        "pgm_scale = ",
        "writing image.pgm as 1-byte integers\n",
        " photons on noise image (",
        " overloads)\n",
        "writing noiseimage.img as 2-byte integers\n"}) {
    const std::size_t found = out.find(line, at);
    EXPECT_NE(found, std::string::npos)
        << '"' << line << "\" is missing, or comes before the line expected before it:\n"
        << out;
    if (found == std::string::npos) break;
    at = found;
  }
}

TEST_F(Outputs, OnTheTerminalHaveNanoBraggsStatistics) {
  const std::string out = good_run(cubic).out;
  EXPECT_THAT(out, HasSubstr("max_I = 97.2806  at 0.001775 0.001775"));
  EXPECT_THAT(out, HasSubstr("mean= 5.5518 rms= 18.7158 rmsd= 17.8726\n"));
  EXPECT_THAT(out, HasSubstr("intfile_scale = 565.375\n"));
  EXPECT_THAT(out, HasSubstr("5784 photons on noise image (0 overloads)\n"));
  const std::string roi = good_run(with_roi).out;
  EXPECT_THAT(roi, HasSubstr("max_I = 0.725326"));
  EXPECT_THAT(roi, HasSubstr("mean= 0.258017 rms= 0.341395 rmsd= 0.209585\n"));
}

TEST_F(Outputs, OnTheTerminalSayWhatAQuirkDoesToThisImageOnOneLineEach) {
  const Outcome outcome = good_run(cubic + "-point_pixel -oversample 1");
  EXPECT_THAT(outcome.err, HasSubstr("nablabragg: Q-32: "));
  EXPECT_THAT(outcome.err, HasSubstr("-corrected"));
  const Outcome corrected = good_run(cubic + "-point_pixel -corrected");
  EXPECT_THAT(corrected.err, Not(HasSubstr("Q-")));
}

TEST_F(Outputs, OnATerminalThatIsNoneHaveNoProgressBar) {
  const Outcome outcome = good_run(cubic + "-detpixels 512 -progress");
  EXPECT_THAT(outcome.err + outcome.out, Not(HasSubstr("\r")));
  EXPECT_THAT(outcome.err + outcome.out, Not(HasSubstr("\033")));
}

TEST_F(Outputs, AreTheSameForAnyNumberOfThreads) {
  const std::string line = cubic + "-detpixels 64 -mosaic 1 -mosaic_dom 5 -threads ";
  good_run(line + "1 -floatfile a.bin -noisefile a.img");
  for (const char* threads : {"2", "7", "0"}) {
    good_run(line + threads + " -floatfile b.bin -noisefile b.img");
    EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin")) << threads;
    EXPECT_EQ(folder.content("a.img"), folder.content("b.img")) << threads;
  }
  EXPECT_EQ(run(line + "-1").exit_code, 2);
}

TEST_F(Outputs, OfNoiseFollowTheSeed) {
  for (const std::string mode : {"", "-corrected "}) {
    good_run(cubic + mode + "-noisefile a.img");
    good_run(cubic + mode + "-noisefile b.img");
    good_run(cubic + mode + "-noisefile c.img -seed 2");
    EXPECT_EQ(counts("a.img"), counts("b.img"));
    EXPECT_NE(counts("a.img"), counts("c.img"));
  }
}

TEST_F(Outputs, AreAbsentWhenTheRunIsInterrupted) {
  const Outcome outcome = test::run_interrupted(
      folder.path(), "-cell 100 -default_F 100 -N 5 -detpixels 2048 -mosaic 1 -mosaic_dom 1000",
      [](const std::filesystem::path& out) {
        // Until the summary is printed the run has not begun
        std::error_code error;
        if (std::filesystem::file_size(out, error) <= 1000 || error) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        return true;
      });
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("stopped before the image was complete"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

// ---- Subcommands and texts -------------------------------------------------------------------

TEST_F(Outputs, OfVersionAreOneLine) {
  for (const char* flag : {"--version", "-version"}) {
    const Outcome outcome = good_run(flag);
    EXPECT_EQ(outcome.out, "nablabragg " + std::string(version()) + "\n");
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(Outputs, OfHelpBeginWithTheUsage) {
  for (const char* flag : {"-h", "-help", "--help", "-cell 100 -help"}) {
    const Outcome outcome = good_run(flag);
    EXPECT_THAT(outcome.out, testing::StartsWith("usage: nablabragg -mat auto.mat -hkl Fs.hkl"));
    EXPECT_THAT(outcome.out, HasSubstr("\noptions:\n"));
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST_F(Outputs, OfDocsAreTheTrackedFiles) {
  const std::filesystem::path docs = std::filesystem::path(NABLA_SOURCE_DIR) / "docs";
  EXPECT_EQ(good_run("docs flags").out, test::read_file(docs / "flags.md"))
      << "write it again: nablabragg docs flags > docs/flags.md";
  EXPECT_EQ(good_run("docs differences").out, test::read_file(docs / "differences.md"))
      << "write it again: nablabragg docs differences > docs/differences.md";
  EXPECT_EQ(good_run("docs checks").out, test::read_file(docs / "checks.md"))
      << "write it again: nablabragg docs checks > docs/checks.md";
  EXPECT_EQ(good_run("docs detectors").out, test::read_file(docs / "detectors.md"))
      << "write it again: nablabragg docs detectors > docs/detectors.md";
  EXPECT_THAT(test::read_file(docs / "files.md"),
              HasSubstr("\n\n" + good_run("docs formats").out + "\n"))
      << "its table of formats is that of nablabragg docs formats";
}

// MTZ and SF-mmCIF files themselves are tested where they are read (tests/unit); here that -hkl
// finds its way to those readers by what the file holds.
TEST_F(Outputs, OfATableInMmcifAreThoseOfTheSameTableAsText) {
  folder.file("F.cif",
              "data_x\n_cell.length_a 100\n_cell.length_b 100\n_cell.length_c 100\n"
              "_cell.angle_alpha 90\n_cell.angle_beta 90\n_cell.angle_gamma 90\n"
              "_symmetry.space_group_name_H-M 'P 1'\nloop_\n_refln.index_h\n_refln.index_k\n"
              "_refln.index_l\n_refln.F_meas_au\n_refln.F_calc_au\n"
              "0 1 0 50 5\n0 0 1 10 1\n");
  folder.file("F.hkl", "0 1 0 50\n0 -1 0 50\n0 0 1 10\n0 0 -1 10\n");
  folder.file("C.hkl", "0 1 0 5\n0 -1 0 5\n0 0 1 1\n0 0 -1 1\n");
  good_run(with_table + "-nocache -hkl F.cif -floatfile a.bin");
  good_run(with_table + "-nocache -hkl F.hkl -floatfile b.bin");
  good_run(with_table + "-nocache -hkl F.cif -hkl_column F_calc_au -floatfile c.bin");
  good_run(with_table + "-nocache -hkl C.hkl -floatfile d.bin");
  EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
  EXPECT_EQ(folder.content("c.bin"), folder.content("d.bin"));
}

// tests/data/twelve.mtz: twelve reflections of a P 21 21 21 cell, FP = 10 h + 5 k + l and FC = 2
// FP, written with gemmi 0.5.7.
TEST_F(Outputs, OfAnMtzTableAreThoseOfItsReflectionsExpandedByHand) {
  std::string expanded;
  for (int h = -2; h <= 2; ++h)
    for (int k = -1; k <= 1; ++k)
      for (int l = -2; l <= 2; ++l)
        if (l != 0)
          expanded += fmt::format("{} {} {} {}\n", h, k, l,
                                  10 * std::abs(h) + 5 * std::abs(k) + std::abs(l));
  folder.file("F.hkl", expanded);
  const std::string mtz = "-nocache -hkl " NABLA_SOURCE_DIR "/tests/data/twelve.mtz ";
  good_run(with_table + "-nocache -hkl F.hkl -floatfile text.bin");
  good_run(with_table + mtz + "-floatfile first.bin");
  good_run(with_table + mtz + "-hkl_column FC -floatfile twice.bin");
  EXPECT_EQ(folder.content("first.bin"), folder.content("text.bin"));
  EXPECT_NE(folder.content("twice.bin"), folder.content("text.bin"));
  const Outcome outcome = run(with_table + mtz + "-hkl_column FX");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("FX"), HasSubstr("FP")));
}

TEST_F(Outputs, OfATableGoByWhatItHoldsNotByItsName) {
  folder.file("F.hkl", small_hkl);
  folder.file("F.mtz", small_hkl);
  good_run(with_table + "-nocache -hkl F.hkl -floatfile a.bin");
  good_run(with_table + "-nocache -hkl F.mtz -floatfile b.bin");
  EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
  folder.file("M.hkl", "MTZ and nothing more");
  const Outcome outcome = run(with_table + "-hkl M.hkl");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("M.hkl"));
}

}  // namespace
}  // namespace nablabragg
