// CrystFEL's geometry files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "io/crystfel_geometry.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string beam = "photon_energy = 10000 eV\nclen = 100 mm\n";
/// Two panels of 20 x 10 pixels of 0.1 mm, one above the other.
const std::string two_panels =
    "adu_per_photon = 5\nres = 10000 ; 0.1 mm\n"
    "upper/min_fs = 0\nupper/max_fs = 19\nupper/min_ss = 10\nupper/max_ss = 19\n"
    "upper/corner_x = -10.0\nupper/corner_y = 1\nupper/fs = x\nupper/ss = +y\n"
    "lower/min_fs = 0\nlower/max_fs = 19\nlower/min_ss = 0\nlower/max_ss = 9\n"
    "lower/corner_x = 10\nlower/corner_y = -1\nlower/fs = -1.0x\nlower/ss = - 0.6y + 0.8z\n"
    "lower/coffset = 0.002\n";

struct CrystfelGeometry : testing::Test {
  Geometry read(const std::string& text, const CrystfelValues& given = {}) {
    return read_crystfel_geometry(folder.file("a.geom", text), given);
  }
  std::string problem(const std::string& text) {
    return message_of<InputError>([&] { read(text); });
  }
  TempDir folder;
};

void expect_near(const Vec3d& a, const Vec3d& b, double tolerance = 1e-12) {
  EXPECT_NEAR(a.x, b.x, tolerance);
  EXPECT_NEAR(a.y, b.y, tolerance);
  EXPECT_NEAR(a.z, b.z, tolerance);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST_F(CrystfelGeometry, GivesPanelsAndBeam) {
  const Geometry g = read(beam + two_panels);
  ASSERT_EQ(g.panels.size(), 2u);
  const GeometryPanel &upper = g.panels[0], &lower = g.panels[1];
  EXPECT_EQ(upper.name, "upper");
  EXPECT_EQ(upper.fast_pixels, 20);
  EXPECT_EQ(upper.slow_pixels, 10);
  EXPECT_NEAR(upper.fast_pixel_mm, 0.1, 1e-15);
  expect_near(upper.origin_mm, {-1, 0.1, 100});
  EXPECT_EQ(upper.gain, 5);
  expect_near(lower.origin_mm, {1, -0.1, 102});
  expect_near(lower.fast_axis, {-1, 0, 0});
  expect_near(lower.slow_axis, {0, -0.6, 0.8});
  EXPECT_NEAR(g.beam->wavelength_A, 1.239842, 1e-9);
  EXPECT_EQ(g.beam->direction, (Vec3d{0, 0, 1}));
  EXPECT_THAT(g.notices, IsEmpty());
}

TEST_F(CrystfelGeometry, SaysWhichPixelsAPanelIsOfTheArrayOfAll) {
  const std::string path = folder.file("a.geom", "clen = /LCLS/EncoderValue\n" + two_panels);
  EXPECT_THAT(read_crystfel_places(path),
              ElementsAre(PixelRectangle{0, 20, 10, 20}, PixelRectangle{0, 20, 0, 10}));
}

TEST_F(CrystfelGeometry, RefusesToCutArraysWhoseRowsRunTheOtherWay) {
  const std::string usual = folder.file("a.geom", "dim0 = %\ndim1 = ss\ndim2 = fs\n" + two_panels);
  EXPECT_EQ(read_crystfel_places(usual).size(), 2u);
  const std::string turned = folder.file("b.geom", "dim1 = fs\ndim2 = ss\n" + two_panels);
  EXPECT_THAT(message_of<InputError>([&] { read_crystfel_places(turned); }),
              AllOf(HasSubstr("has dim1 = fs and dim2 = ss"), HasSubstr("not cut into panels")));
}

TEST_F(CrystfelGeometry, TakesUnitsOfLengthAndEnergy) {
  const auto distance = [&](const std::string& clen) {
    return read("photon_energy = 10 keV\nclen = " + clen + "\n" + two_panels).panels[0].origin_mm.z;
  };
  EXPECT_NEAR(distance("0.1"), 100, 1e-12);
  EXPECT_NEAR(distance("0.1 m"), 100, 1e-12);
  EXPECT_NEAR(distance("67.8e-3 ; comment"), 67.8, 1e-12);
  EXPECT_NEAR(distance("95.3 mm"), 95.3, 1e-12);
  const auto wavelength = [&](const std::string& line) {
    return read("clen = 1\n" + line + "\n" + two_panels).beam->wavelength_A;
  };
  EXPECT_NEAR(wavelength("wavelength = 1.3 A"), 1.3, 1e-12);
  EXPECT_NEAR(wavelength("wavelength = 1.3e-10 m"), 1.3, 1e-12);
  EXPECT_NEAR(wavelength("photon_energy = 12398.42"), 1, 1e-12);
  EXPECT_THAT(problem("clen = 1 cm\n" + two_panels), HasSubstr("'clen' has the unit \"cm\""));
  EXPECT_THAT(problem("clen = 1\nwavelength = 1\n" + two_panels),
              HasSubstr("'wavelength' has the"));
}

TEST_F(CrystfelGeometry, RefusesACameraLengthThatStandsInTheImages) {
  const std::string text = "photon_energy = /LCLS/photon_energy_eV\nclen = /LCLS/EncoderValue\n";
  EXPECT_THAT(
      problem(text + two_panels),
      HasSubstr("a.geom:2: 'clen' is \"/LCLS/EncoderValue\", a place in the image files: give "
                "the distance, or write it here (clen = 100 mm)"));
  const Geometry g = read(text + two_panels, {.camera_length_mm = 80});
  EXPECT_EQ(g.panels[1].origin_mm.z, 82);
  EXPECT_FALSE(g.beam);
  EXPECT_THAT(g.notices, ElementsAre(HasSubstr("its photon_energy is \"/LCLS/photon_energy_eV\"")));
  const Geometry given = read(text + two_panels, {80, 12398.42});
  EXPECT_NEAR(given.beam->wavelength_A, 1, 1e-12);
  EXPECT_THAT(given.notices, IsEmpty());
}

TEST_F(CrystfelGeometry, AppliesWhatStandsAtTheTopToPanelsThatAreNamedLater) {
  const Geometry g = read(beam + two_panels + "res = 5000\nmax_adu = 9000\nthird/min_fs = 0\n" +
                          "third/max_fs = 1\nthird/min_ss = 0\nthird/max_ss = 1\n"
                          "third/corner_x = 0\nthird/corner_y = 0\nthird/fs = x\nthird/ss = y\n");
  EXPECT_NEAR(g.panels[0].fast_pixel_mm, 0.1, 1e-15);
  EXPECT_FALSE(g.panels[0].saturation);
  EXPECT_NEAR(g.panels[2].fast_pixel_mm, 0.2, 1e-15);
  EXPECT_EQ(g.panels[2].saturation, 9000);
  EXPECT_EQ(g.panels[2].gain, 5);
}

TEST_F(CrystfelGeometry, GivesTheGainPerPhotonOfItsEnergy) {
  const std::string text = replaced(two_panels, "adu_per_photon = 5", "adu_per_eV = 0.0034");
  EXPECT_NEAR(read(beam + text).panels[0].gain, 34, 1e-9);
  const Geometry unknown = read("clen = 1\n" + text);
  EXPECT_EQ(unknown.panels[0].gain, 1);
  EXPECT_THAT(unknown.notices, Contains(HasSubstr("adu_per_eV is not taken")));
  EXPECT_THAT(problem(beam + replaced(two_panels, "photon = 5", "photon = 0")),
              HasSubstr("not positive"));
}

TEST_F(CrystfelGeometry, TakesLimitsFromFlagsAndMaxAdu) {
  const Geometry g = read(beam +
                          "flag_lessthan = -5\nflag_morethan = 60000\nmax_adu = 50000\n"
                          "flag_equal = 7\n" +
                          two_panels);
  EXPECT_EQ(g.panels[0].underload, -5);
  EXPECT_EQ(g.panels[0].saturation, 50000);
  EXPECT_THAT(g.notices, ElementsAre(HasSubstr("equal to \"7\" (flag_equal)")));
}

TEST_F(CrystfelGeometry, MasksBadRegionsOfTheData) {
  const Geometry g = read(beam + two_panels +
                          "bad_1/min_fs = 3\nbad_1/max_fs = 5\nbad_1/min_ss = 12\n"
                          "bad_1/max_ss = 300\nbad_1/panel = upper\n");
  EXPECT_THAT(g.panels[0].masked, ElementsAre(PixelRectangle{3, 6, 2, 10}));
  EXPECT_THAT(g.panels[1].masked, IsEmpty());
  const std::string region = "bad_1/min_fs = 3\nbad_1/max_fs = 5\nbad_1/min_ss = 0\n";
  EXPECT_THAT(problem(beam + two_panels + region + "bad_1/panel = upper\n"),
              HasSubstr("bad region \"bad_1\" has no 'max_ss'"));
  EXPECT_THAT(problem(beam + two_panels + region + "bad_1/max_ss = 3\n"),
              HasSubstr("names no 'panel'"));
  EXPECT_THAT(problem(beam + two_panels + region + "bad_1/max_ss = 3\nbad_1/panel = none\n"),
              HasSubstr("\"none\", which there is not"));
  EXPECT_THAT(problem(beam + two_panels + region +
                      "bad_1/max_ss = 3\nbad_1/panel = upper\nbad_1/min_x = 3\n"),
              HasSubstr("mixes x/y and fs/ss"));
}

/// As CrystFEL marks them: by the first corner of each pixel.
std::size_t masked_pixels(const GeometryPanel& panel) {
  std::size_t count = 0;
  for (const PixelRectangle& r : panel.masked)
    count += static_cast<std::size_t>((r.fast_end - r.fast_begin) * (r.slow_end - r.slow_begin));
  return count;
}

TEST_F(CrystfelGeometry, MasksBadRegionsOfTheLaboratoryOnAllPanels) {
  const Geometry g = read(beam + two_panels +
                          "bad_x/min_x = -2\nbad_x/max_x = 2\nbad_x/min_y = -3\nbad_x/max_y = 5\n");
  // upper: x of -10 + fs strictly between: fs 9 to 11; y of 1 + ss below 5: ss 0 to 3
  EXPECT_THAT(g.panels[0].masked, ElementsAre(PixelRectangle{9, 12, 0, 4}));
  // lower: x of 10 - fs; y of -1 - 0.6 ss above -3: ss 0 to 3
  EXPECT_THAT(g.panels[1].masked, ElementsAre(PixelRectangle{9, 12, 0, 4}));
}

TEST_F(CrystfelGeometry, MasksPixelsOfTurnedPanelsOneByOne) {
  const std::string turned =
      "p/min_fs = 0\np/max_fs = 99\np/min_ss = 0\np/max_ss = 79\n"
      "p/corner_x = -30.3\np/corner_y = -20.7\np/fs = 0.8x +0.6y\n"
      "p/ss = -0.6x +0.8y\nres = 10000\n";
  const Geometry g = read(beam + "res = 10000\n" + turned +
                          "bad/min_x = -12\nbad/max_x = 23\nbad/min_y = -5\nbad/max_y = 31\n");
  std::size_t expected = 0;
  for (int ss = 0; ss < 80; ++ss)
    for (int fs = 0; fs < 100; ++fs) {
      const double x = fs * 0.8 - ss * 0.6 - 30.3, y = fs * 0.6 + ss * 0.8 - 20.7;
      if (x > -12 && x < 23 && y > -5 && y < 31) ++expected;
    }
  EXPECT_GT(expected, 500u);
  EXPECT_EQ(masked_pixels(g.panels[0]), expected);
}

TEST_F(CrystfelGeometry, MasksPanelsAndTheirEdges) {
  const Geometry g = read(beam + two_panels +
                          "upper/mask_edge_pixels = 2\nlower/no_index = true\n");
  EXPECT_EQ(masked_pixels(g.panels[0]), 20u * 10 - 16 * 6);
  EXPECT_THAT(g.panels[1].masked, ElementsAre(PixelRectangle{0, 20, 0, 10}));
  EXPECT_EQ(masked_pixels(read(beam + two_panels + "upper/no_index = 0\n").panels[0]), 0u);
}

TEST_F(CrystfelGeometry, GivesGroupsOfBothKinds) {
  const Geometry rigid = read(beam + two_panels +
                              "rigid_group_q0 = upper\nrigid_group_q1 = lower\n"
                              "rigid_group_collection_quads = q0,q1\n");
  ASSERT_EQ(rigid.groups.size(), 2u);
  EXPECT_EQ(rigid.groups[0].name, "q0");
  EXPECT_EQ(rigid.panels[0].group, 0);
  EXPECT_EQ(rigid.panels[1].group, 1);
  expect_near(rigid.groups[0].origin_mm, {0, 0.6, 100});

  const Geometry nested = read(beam + two_panels +
                               "group_a = upper\ngroup_b = lower\ngroup_all = a, b\n");
  ASSERT_EQ(nested.groups.size(), 3u);
  EXPECT_EQ(nested.groups[0].name, "all");
  EXPECT_EQ(nested.groups[1].parent, 0);
  EXPECT_EQ(nested.panels[1].group, 2);
  EXPECT_THAT(problem(beam + two_panels + "group_a = upper,nobody\n"),
              HasSubstr("has a member \"nobody\""));
}

TEST_F(CrystfelGeometry, LeavesOutGroupsThatOverlapAndSaysSo) {
  const Geometry g = read(beam + two_panels +
                          "third/min_fs = 0\nthird/max_fs = 1\nthird/min_ss = 0\nthird/max_ss = 1\n"
                          "third/corner_x = 0\nthird/corner_y = 0\nthird/fs = x\nthird/ss = y\n"
                          "rigid_group_a = upper,lower\nrigid_group_b = lower,third\n");
  EXPECT_EQ(g.groups.size(), 1u);
  EXPECT_EQ(g.panels[2].group, -1);
  EXPECT_THAT(g.notices, ElementsAre(HasSubstr("its group \"b\" shares panels")));
}

TEST_F(CrystfelGeometry, SquaresPanelsOfRefinedAxesAboutTheirMiddlesAndSaysSo) {
  const std::string text = replaced(
      replaced(two_panels, "upper/fs = x", "upper/fs = 0.999x +0.002y"), "upper/ss = +y",
      "upper/ss = 0.001x +1.001y");
  const Geometry g = read(beam + text);
  const GeometryPanel& p = g.panels[0];
  EXPECT_NEAR(dot(p.fast_axis, p.slow_axis), 0, 1e-15);
  EXPECT_NEAR(p.slow_pixel_mm, 0.1 * std::sqrt(0.001 * 0.001 + 1.001 * 1.001), 1e-15);
  const Vec3d middle = p.origin_mm + 10 * p.fast_pixel_mm * p.fast_axis +
                       5 * p.slow_pixel_mm * p.slow_axis;
  expect_near(middle, {0.1 * (-10 + 9.99 + 0.005), 0.1 * (1 + 0.02 + 5.005), 100});
  EXPECT_THAT(g.notices, ElementsAre(HasSubstr("the axes of 1 panel are not quite")));
  EXPECT_THAT(problem(beam + replaced(two_panels, "upper/ss = +y", "upper/ss = y+0.1x")),
              HasSubstr("degrees apart; its pixels should be rectangles"));
}

TEST_F(CrystfelGeometry, ShiftsTheWholeDetector) {
  const Geometry g = read(beam + two_panels +
                          "detector_shift_x = 2 mm\ndetector_shift_y = 0.003\n");
  expect_near(g.panels[0].origin_mm, {1, 3.1, 100});
  EXPECT_THAT(read(beam + two_panels + "detector_shift_x = /path\n").notices,
              ElementsAre(HasSubstr("the shift of each image is not taken")));
}

TEST_F(CrystfelGeometry, SaysWhatIsNotTaken) {
  const Geometry g = read(beam +
                          "mask = /mask\nmask_good = 0x0\nbandwidth = 0.01\nfoo = 3\n"
                          "dim0 = %\ndim1 = ss\ndata = /data\n" +
                          two_panels);
  EXPECT_THAT(g.notices, Contains(HasSubstr("its masks (mask, mask_good...) are not taken")));
  EXPECT_THAT(g.notices, Contains(HasSubstr("bandwidth of 0.01")));
  EXPECT_THAT(g.notices, Contains(HasSubstr("its key \"foo\" is not known")));
  EXPECT_EQ(g.notices.size(), 3u);
}

TEST_F(CrystfelGeometry, NamesTheKeyThatIsMissingOrWrong) {
  const auto without = [&](const std::string& line) {
    return problem(beam + replaced(two_panels, line, ""));
  };
  EXPECT_THAT(without("upper/corner_x = -10.0\n"), HasSubstr("panel \"upper\" has no 'corner_x'"));
  EXPECT_THAT(without("res = 10000 ; 0.1 mm\n"), HasSubstr("panel \"upper\" has no 'res'"));
  EXPECT_THAT(without("lower/max_ss = 9\n"), HasSubstr("panel \"lower\" has no 'max_ss'"));
  EXPECT_THAT(without("upper/fs = x\n"), HasSubstr("panel \"upper\" has no 'fs'"));
  EXPECT_THAT(problem(two_panels), HasSubstr("states no 'clen'"));
  EXPECT_THAT(problem(""), HasSubstr("describes no panel"));
  EXPECT_THAT(problem("clen\n"), HasSubstr("a.geom:1: the line \"clen\" has no '='"));
  const auto with = [&](const std::string& from, const std::string& to) {
    return problem(beam + replaced(two_panels, from, to));
  };
  EXPECT_THAT(with("upper/fs = x", "upper/fs = 1f3x"), HasSubstr("should be like -0.005x +0.99y"));
  EXPECT_THAT(with("upper/fs = x", "upper/fs = q"), HasSubstr("'fs' is \"q\""));
  EXPECT_THAT(with("upper/fs = x", "upper/fs = 0x"), HasSubstr("'fs' is \"0x\""));
  EXPECT_THAT(with("upper/max_fs = 19", "upper/max_fs = 19.5"), HasSubstr("'upper/max_fs' is"));
  EXPECT_THAT(with("upper/max_fs = 19", "upper/max_fs = 1e9"), HasSubstr("number of a pixel"));
  EXPECT_THAT(with("upper/min_fs = 0", "upper/min_fs = 20"), HasSubstr("ends before its first"));
  EXPECT_THAT(with("res = 10000", "res = 0"), HasSubstr("'res' must be positive"));
  EXPECT_THAT(with("upper/corner_y = 1\n", "upper/corner_y = nan\n"), HasSubstr("'corner_y'"));
}

TEST_F(CrystfelGeometry, IsToldByItsContent) {
  EXPECT_TRUE(begins_as_crystfel_geometry("; Example\n\nclen = 0.1 ; m\nphoton_energy = 22000\n"));
  EXPECT_TRUE(begins_as_crystfel_geometry(two_panels));
  EXPECT_FALSE(begins_as_crystfel_geometry("{\nHEADER_BYTES=512;\nDIM=2;\n"));
  EXPECT_FALSE(begins_as_crystfel_geometry("1 2 3 4\n"));
  EXPECT_FALSE(begins_as_crystfel_geometry("data_x\n_cell.length_a 3\n"));
  EXPECT_FALSE(begins_as_crystfel_geometry(std::string_view("clen = 1\n\0", 10)));
  EXPECT_FALSE(begins_as_crystfel_geometry(""));
}

}  // namespace
}  // namespace nablabragg::io
