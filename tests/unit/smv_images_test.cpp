// SMV images with their geometry: whose beam centre is whose, what is written and clipped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "io/smv_images.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// An image of zeros with these lines.
std::string smv_with(const std::string& lines, int fast = 24, int slow = 16) {
  std::string bytes =
      "{\nHEADER_BYTES=2048;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;"
      "\nSIZE1=" +
      std::to_string(fast) + ";\nSIZE2=" + std::to_string(slow) + ";\n" + lines + "}\f";
  bytes.resize(2048, ' ');
  bytes.append(static_cast<std::size_t>(2 * fast * slow), '\0');
  return bytes;
}

Geometry geometry_of(const std::string& bytes) {
  const TempDir dir;
  return read_smv_geometry(dir.file("a.img", bytes));
}

std::string problem_of(const std::string& lines) {
  const TempDir dir;
  const std::string path = dir.file("a.img", smv_with(lines));
  const std::string problem = message_of<InputError>([&] { read_smv_geometry(path); });
  return problem.starts_with(path) ? "a.img" + problem.substr(path.size()) : problem;
}

/// Where the beam meets an untilted panel, in pixels.
std::pair<double, double> beam_px(const Geometry& geometry) {
  const GeometryPanel& panel = geometry.panels[0];
  return {-dot(panel.origin_mm, panel.fast_axis) / panel.fast_pixel_mm,
          -dot(panel.origin_mm, panel.slow_axis) / panel.slow_pixel_mm};
}

// ---- Reading ------------------------------------------------------------------------------------

TEST(SmvGeometry, OfAnAdscQ4HasItsBeamWhereItIsSeen) {
  // As the detector wrote it; the beam is seen at fast 1214, slow 1142.
  const std::string q4 = smv_with(
      "PIXEL_SIZE=0.0816;\nDISTANCE=250.000;\nWAVELENGTH=0.979500;\nPHI=1.000;\nOSC_START=1.000;\n"
      "OSC_RANGE=1.000;\nTIME=5.00;\nTWOTHETA=0;\nBEAM_CENTER_X=99.30;\nBEAM_CENTER_Y=94.70;\n"
      "DENZO_XBEAM=93.30;\nDENZO_YBEAM=99.30;\n",
      2304, 2304);
  const Geometry geometry = geometry_of(q4);
  const auto [fast, slow] = beam_px(geometry);
  EXPECT_NEAR(fast, 1214, 4);
  EXPECT_NEAR(slow, 1142, 4);
  EXPECT_THAT(geometry.notices,
              ElementsAre("the beam centre is at fast 1217, slow 1143 pixels: BEAM_CENTER_X counts "
                          "along the rows and BEAM_CENTER_Y from the last row, as DENZO_XBEAM and "
                          "DENZO_YBEAM agree"));
  EXPECT_EQ(geometry.scan->start_deg, 1);
  EXPECT_EQ(geometry.scan->width_deg, 1);
  EXPECT_EQ(geometry.scan->exposure_s, 5);
  EXPECT_EQ(geometry.panels[0].origin_mm.z, -250);
}

const std::string common = "PIXEL_SIZE=0.1;\nDISTANCE=100;\nWAVELENGTH=1;\n";

TEST(SmvGeometry, TakesABeamCentreAsDenzosWhereDenzosKeysSaySo) {
  const Geometry geometry = geometry_of(smv_with(
      common + "BEAM_CENTER_X=0.25;\nBEAM_CENTER_Y=2.0;\nDENZO_XBEAM=0.25;\nDENZO_YBEAM=2.0;\n"));
  EXPECT_DOUBLE_EQ(beam_px(geometry).first, 20);
  EXPECT_DOUBLE_EQ(beam_px(geometry).second, 2.5);
}

TEST(SmvGeometry, DoesNotGuessWhatABeamCentreMeans) {
  EXPECT_EQ(
      problem_of(common + "BEAM_CENTER_X=0.25;\nBEAM_CENTER_Y=2.0;\n"),
      "a.img: the beam centre can be meant in two ways: by ADSC's convention it is at fast 3, "
      "slow -4 pixels, by DENZO's and DIALS' at fast 20, slow 3; -adxv or -denzo says which, "
      "or -Xbeam and -Ybeam set it");
  EXPECT_EQ(problem_of(common + "BEAM_CENTER_X=0.25;\nBEAM_CENTER_Y=2.0;\nDENZO_XBEAM=0.9;\n"
                                "DENZO_YBEAM=0.9;\n"),
            "a.img: the beam centre cannot be told: BEAM_CENTER_X and BEAM_CENTER_Y do not agree "
            "with DENZO_XBEAM and DENZO_YBEAM in any convention; -Xbeam and -Ybeam set it");
  // In the middle of a square all conventions agree.
  const Geometry geometry = geometry_of(
      smv_with(common + "BEAM_CENTER_X=0.8;\nBEAM_CENTER_Y=0.8;\n", 16, 16));
  EXPECT_DOUBLE_EQ(beam_px(geometry).first, 8);
}

TEST(SmvGeometry, NamesTheKeysThatAreMissing) {
  EXPECT_EQ(problem_of("PIXEL_SIZE=0.1;\n"),
            "a.img: the header holds no DISTANCE, WAVELENGTH, BEAM_CENTER_X and BEAM_CENTER_Y");
  const TempDir dir;
  const ImageFile image = read_smv_image(dir.file("a.img", smv_with("PIXEL_SIZE=0.1;\n")));
  EXPECT_THAT(image.geometry.notices, ElementsAre(HasSubstr("does not say where the detector is")));
  EXPECT_EQ(image.geometry.panels[0].fast_axis, (Vec3d{}));
  EXPECT_EQ(problem_of("DETECTOR_NAMES=CCD_;\nCCD_DETECTOR_VECTORS=1 0 0 0 1 0;\n"),
            "a.img: the header holds no CCD_SPATIAL_DISTORTION_INFO, CCD_GONIO_UNITS, "
            "CCD_GONIO_VALUES, CCD_GONIO_VECTORS, SOURCE_VECTORS and SOURCE_WAVELENGTH");
}

TEST(SmvGeometry, RefusesATiltThatTheHeaderDoesNotSayTheAxisOf) {
  const std::string centre = "DENZO_X_BEAM=1;\nDENZO_Y_BEAM=1;\n";
  EXPECT_EQ(
      problem_of(common + centre + "TWOTHETA=15;\n"),
      "a.img: TWOTHETA turns the detector, and the header does not say about which axis; give "
      "the geometry by flags or an .expt file");
  EXPECT_THAT(problem_of(common + centre + "CONVENTION=custom;\n"),
              HasSubstr("vectors of its own"));
}

TEST(SmvGeometry, KnowsTheFrameOfEachConventionOfOurHeaders) {
  const std::string centre = "DENZO_X_BEAM=0.5;\nDENZO_Y_BEAM=2;\nCONVENTION=";
  struct Case {
    const char* convention;
    Vec3d fast, slow;
  };
  for (const auto& [convention, fast, slow] :
       {Case{"mosflm", {1, 0, 0}, {0, -1, 0}}, Case{"xds", {1, 0, 0}, {0, -1, 0}},
        Case{"adxv", {1, 0, 0}, {0, 1, 0}}, Case{"dials", {0, 1, 0}, {1, 0, 0}}}) {
    const Geometry geometry = geometry_of(smv_with(common + centre + convention + ";\n"));
    EXPECT_EQ(geometry.panels[0].fast_axis, fast) << convention;
    EXPECT_EQ(geometry.panels[0].slow_axis, slow) << convention;
    EXPECT_DOUBLE_EQ(beam_px(geometry).first, 20);
    EXPECT_DOUBLE_EQ(beam_px(geometry).second, 5);
    EXPECT_THAT(geometry.notices, IsEmpty());
  }
}

TEST(SmvGeometry, RefusesNumbersThatCannotBeMeant) {
  EXPECT_EQ(problem_of("PIXEL_SIZE=0;\n"), "a.img: PIXEL_SIZE cannot be meant: \"0\"");
  EXPECT_EQ(problem_of(common + "OSC_RANGE=1e300;\nDENZO_X_BEAM=1;\nDENZO_Y_BEAM=1;\nPHI=0;\n"),
            "a.img: OSC_RANGE cannot be meant: \"1e300\"");
  const std::string dtrek =
      "DETECTOR_NAMES=CCD_;\nCCD_DETECTOR_VECTORS=1 0 0 0 1 0;\n"
      "CCD_SPATIAL_DISTORTION_INFO=8 8 0.1 0.1;\nCCD_GONIO_UNITS=deg mm;\n"
      "CCD_GONIO_VALUES=0 100;\nCCD_GONIO_VECTORS=1 0 0 0 0 -1;\nSOURCE_VECTORS=0 0 1;\n";
  EXPECT_EQ(problem_of(dtrek + "SOURCE_WAVELENGTH=1 0;\n"),
            "a.img: SOURCE_WAVELENGTH cannot be meant: \"1 0\"");
  EXPECT_EQ(problem_of(dtrek + "SOURCE_WAVELENGTH=1;\n"),
            "a.img: SOURCE_WAVELENGTH should hold 2 numbers: \"1\"");
  EXPECT_EQ(
      problem_of(dtrek + "SCAN_WAVELENGTH=1;\nCCD_SPATIAL_DISTORTION_TYPE=Interp_spatial;\n"),
      "a.img: CCD_SPATIAL_DISTORTION_TYPE is \"Interp_spatial\", and only Simple_spatial can be "
      "read");
  const Geometry geometry = geometry_of(smv_with(dtrek + "SOURCE_WAVELENGTH=1 0.7;\n"));
  EXPECT_EQ(geometry.beam->wavelength_A, 0.7);
  EXPECT_EQ(geometry.panels[0].origin_mm, (Vec3d{-0.8, -0.8, -100}));
}

// ---- Writing ------------------------------------------------------------------------------------

ImageSeries flat_series() {
  ImageSeries series;
  GeometryPanel panel;
  panel.fast_pixels = 3;
  panel.slow_pixels = 2;
  panel.fast_pixel_mm = panel.slow_pixel_mm = 0.1;
  panel.origin_mm = {-0.05, 0.2, -150.25};
  panel.fast_axis = {1, 0, 0};
  panel.slow_axis = {0, -1, 0};
  series.geometry.panels = {panel};
  series.geometry.beam.emplace().wavelength_A = 1.5;
  GeometryScan& scan = series.geometry.scan.emplace();
  scan.start_deg = 5;
  scan.width_deg = 1;
  series.images = {{5, 0}};
  series.provenance = {"nablaBragg 0", "nablabragg -o 'a=b;{}' HEADER_BYTES=9", 0, "", ""};
  return series;
}

TEST(SmvFormat, ClipsAndCountsWhatSixteenBitsDoNotHold) {
  const TempDir dir;
  const auto writer = smv_format().open(dir / "a.img", flat_series());
  writer->add(std::vector<std::int32_t>{0, 65495, 65496, 2000000000, -1, -2});
  EXPECT_THAT(dir.names(), IsEmpty());
  writer->close();
  EXPECT_EQ(writer->clipped(), 2);
  const SmvFile file = read_smv(dir / "a.img");
  EXPECT_EQ(file.pixels, (std::vector<float>{40, 65535, 65535, 65535, 0, 0}));
  EXPECT_EQ(file.header.size() % 512, 0);
  EXPECT_EQ(file.text("DATE"), "Thu Jan 01 00:00:00 1970");
  EXPECT_EQ(file.text("COMMAND_LINE"), "nablabragg -o 'a?b??\?' ?EADER_BYTES?9");
  EXPECT_EQ(file.header.find("BEAMLINE"), std::string::npos);
  const ImageFile image = read_smv_image(dir / "a.img");
  EXPECT_EQ(image.pixels[0], 40);
  EXPECT_TRUE(std::isnan(image.pixels[4]));
  EXPECT_EQ(image.geometry.panels[0].pedestal, 40);
}

TEST(SmvFormat, SaysWhatProgramsWillNotFindInIt) {
  ImageSeries series = flat_series();
  EXPECT_THAT(smv_format().notices(series), IsEmpty());
  series.geometry.panels[0].sensor_thickness_mm = 0.45;
  series.geometry.scan.reset();
  series.geometry.beam->polarization = 0.5;
  EXPECT_THAT(smv_format().notices(series),
              ElementsAre(HasSubstr("polarization"), HasSubstr("sensor"), HasSubstr("no width")));
}

}  // namespace
}  // namespace nablabragg::io
