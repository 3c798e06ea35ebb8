// Where the detector ends up.  The numbers were printed by the C program nanoBragg for the flags
// that stand next to them; a 256 x 256 detector of 0.1 mm pixels at 100 mm unless flags differ.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/smv_header.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "physics/rotation.hpp"
#include "support/experiment.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::panel_of;
using test::resolved_of;

constexpr Vec3d x{1, 0, 0}, y{0, 1, 0}, z{0, 0, 1};

Panel small_panel(const std::string& flags) { return panel_of("-detpixels 256 " + flags); }

/// The number after `key=` of the header that an image of these flags gets.
double header_value(const std::string& flags, const std::string& key) {
  const Experiment e = test::experiment_of(test::any_crystal + flags);
  io::SmvFile file;
  file.header = io::smv_header(e, resolve(e));
  return file.value(key, false).value();
}

// ---- Frames ---------------------------------------------------------------------------------

TEST(Panel, EachConventionHasItsFrame) {
  struct Frame {
    const char* flags;
    Vec3d beam, fast, slow, normal, two_theta_axis, polarization_axis, spindle;
    Pivot pivot;
  };
  const std::vector<Frame> frames = {
      {"-adxv", z, x, -y, z, -x, x, x, Pivot::beam},
      {"", x, z, -y, x, -z, z, z, Pivot::beam},
      {"-mosflm", x, z, -y, x, -z, z, z, Pivot::beam},
      {"-denzo", x, z, -y, x, -z, z, z, Pivot::beam},
      {"-xds", z, x, y, z, x, x, x, Pivot::sample},
      {"-dials", z, x, y, z, y, y, y, Pivot::sample},
      // Any vector flag makes the convention custom, whose axes do not come from another one.
      {"-pix0_vector 0 0 0", x, z, -y, x, y, z, z, Pivot::beam},
      {"-xds -spindle_axis 0 0 1", x, z, -y, x, y, z, z, Pivot::sample},
      {"-dials -spindle_axis 0 0 1", x, z, -y, x, y, z, z, Pivot::beam},
  };
  for (const Frame& expected : frames) {
    SCOPED_TRACE(expected.flags);
    const Panel p = small_panel(expected.flags);
    EXPECT_EQ(p.beam, expected.beam);
    EXPECT_EQ(p.fast, expected.fast);
    EXPECT_EQ(p.slow, expected.slow);
    EXPECT_EQ(p.normal, expected.normal);
    EXPECT_EQ(p.two_theta_axis, expected.two_theta_axis);
    EXPECT_EQ(p.polarization_axis, expected.polarization_axis);
    EXPECT_EQ(p.spindle, expected.spindle);
    EXPECT_EQ(p.vertical, cross(expected.beam, expected.polarization_axis));
    EXPECT_EQ(p.pivot, expected.pivot);
    EXPECT_FALSE(p.normal_generated);
  }
}

TEST(Panel, UserVectorsReplaceThoseOfTheCustomFrameOneByOneAndAreNormalized) {
  const Panel p = small_panel(
      "-beam_vector 2 0 0 -polar_vector 0 3 0 -spindle_axis 0 0 -4 -sdet_vector 0 -5 0");
  EXPECT_EQ(p.convention, Convention::custom);
  EXPECT_EQ(p.beam, x);
  EXPECT_EQ(p.polarization_axis, y);
  EXPECT_EQ(p.spindle, -z);
  EXPECT_EQ(p.slow, -y);
  EXPECT_EQ(p.fast, z);
  EXPECT_EQ(p.vertical, z);
}

TEST(Panel, AConventionAfterVectorsDiscardsThem) {
  EXPECT_CLOSE(small_panel("-fdet_vector 0 0 1 -xds").origin, (Vec3d{-0.0128, -0.0128, 0.1}));
  EXPECT_EQ(small_panel("-fdet_vector 0 0 1 -xds").pivot, Pivot::sample);
}

TEST(Panel, TheDefaultBeamCentreOfEachConventionIsItsOwnMiddle) {
  // 100 x 60 pixels of 0.2 mm, so that the two directions can be told apart
  struct Centre {
    const char* flags;
    double beam_x, beam_y, beam_fast, beam_slow;
  };
  const std::vector<Centre> centres = {
      {"-adxv", 10.1, 5.9, 10.1, 6.1},  {"-mosflm", 6.1, 10.1, 10.2, 6.2},
      {"-denzo", 6.1, 10.1, 10.1, 6.1}, {"-xds", 10, 6, 10, 6},
      {"-dials", 10, 6, 10, 6},         {"-beam_vector 1 0 0", 10, 6, 10, 6},
  };
  for (const Centre& expected : centres) {
    SCOPED_TRACE(expected.flags);
    const Panel p = panel_of("-detpixels_f 100 -detpixels_s 60 -pixel 0.2 " +
                             std::string(expected.flags));
    EXPECT_CLOSE(p.named_beam_x, expected.beam_x / 1000);
    EXPECT_CLOSE(p.named_beam_y, expected.beam_y / 1000);
    EXPECT_CLOSE(p.beam_fast, expected.beam_fast / 1000);
    EXPECT_CLOSE(p.beam_slow, expected.beam_slow / 1000);
  }
}

TEST(Panel, PixelCountsFollowFromSizesUnlessTheyAreGiven) {
  struct Size {
    const char* flags;
    int fast, slow;
    double beam_x_mm, beam_y_mm;
  };
  const std::vector<Size> sizes = {
      {"", 1024, 1024, 51.25, 51.25},
      {"-detsize 50", 500, 500, 25.05, 25.05},
      {"-detsize 50 -pixel 0.07", 714, 714, 25.035, 25.035},
      {"-detsize_f 50 -detsize_s 60 -pixel 0.2", 250, 300, 30.1, 25.1},
      {"-detsize 0.25 -pixel 0.1", 2, 2, 0.175, 0.175},
      {"-detpixels_f 100", 100, 1024, 51.25, 5.05},
      {"-detpixels 40 -detsize 50", 40, 40, 2.05, 2.05},
      {"-detsize 50 -detpixels 40", 40, 40, 2.05, 2.05},
  };
  for (const Size& expected : sizes) {
    SCOPED_TRACE(expected.flags);
    const Panel p = panel_of(expected.flags);
    EXPECT_EQ(p.fast_pixels, expected.fast);
    EXPECT_EQ(p.slow_pixels, expected.slow);
    EXPECT_CLOSE(p.named_beam_x, expected.beam_x_mm / 1000);
    EXPECT_CLOSE(p.named_beam_y, expected.beam_y_mm / 1000);
  }
}

// ---- Beam centres ---------------------------------------------------------------------------

struct Placed {
  const char* flags;
  double beam_x, beam_y, beam_fast, beam_slow;  ///< [mm]
  Vec3d origin;                                 ///< [m]
  double org_x, org_y;                          ///< [pixel]
  Vec3d dials_origin;                           ///< [mm]
};

TEST(Panel, AnUnrotatedDetectorLiesWhereItsConventionPutsTheBeam) {
  // clang-format off
  const std::vector<Placed> table = {
      {"-mosflm",
       12.85, 12.85, 12.9, 12.9, {0.1, 0.0129, -0.0129}, 129.5, 129.5, {-12.9, 12.9, -100}},
      {"-denzo",
       12.85, 12.85, 12.85, 12.85, {0.1, 0.01285, -0.01285}, 129, 129, {-12.85, 12.85, -100}},
      {"-adxv",
       12.85, 12.75, 12.85, 12.85, {-0.01285, 0.01285, 0.1}, 129, 129, {100, 12.85, 12.85}},
      {"-xds",
       12.8, 12.8, 12.8, 12.8, {-0.0128, -0.0128, 0.1}, 128.5, 128.5, {100, -12.8, 12.8}},
      {"-dials",
       12.8, 12.8, 12.8, 12.8, {-0.0128, -0.0128, 0.1}, 128.5, 128.5, {100, -12.8, 12.8}},
      {"-spindle_axis 0 0 1",
       12.8, 12.8, 12.8, 12.8, {0.1, 0.0128, -0.0128}, 128.5, 128.5, {-12.8, 12.8, -100}},
      {"-mosflm -Xbeam 10 -Ybeam 12",
       10, 12, 12.05, 10.05, {0.1, 0.01005, -0.01205}, 121, 101, {-12.05, 10.05, -100}},
      {"-xds -Xbeam 10 -Ybeam 12",
       10, 12, 12.8, 12.8, {-0.0128, -0.0128, 0.1}, 128.5, 128.5, {100, -12.8, 12.8}},
      // Here the two flags reach Xclose and Yclose, and through those only the names.
      {"-xds -Xclose 10 -Yclose 12",
       10, 12, 12.8, 12.8, {-0.0128, -0.0128, 0.1}, 128.5, 128.5, {100, -12.8, 12.8}},
      {"-xds -ORGX 100 -ORGY 120",
       9.95, 11.95, 9.95, 11.95, {-0.00995, -0.01195, 0.1}, 100, 120, {100, -11.95, 9.95}},
      {"-mosflm -ORGX 100 -ORGY 120",
       12.85, 12.85, 12.9, 12.9, {0.1, 0.0129, -0.0129}, 129.5, 129.5, {-12.9, 12.9, -100}},
      {"-spindle_axis 0 0 1 -Xclose 10 -Yclose 12 -pivot sample",
       10, 12, 10, 12, {0.1, 0.012, -0.01}, 100.5, 120.5, {-10, 12, -100}},
      {"-mosflm -close_distance 90",
       12.85, 12.85, 12.9, 12.9, {0.09, 0.0129, -0.0129}, 129.5, 129.5, {-12.9, 12.9, -90}},
  };
  // clang-format on
  for (const Placed& expected : table) {
    SCOPED_TRACE(expected.flags);
    const Panel p = small_panel(expected.flags);
    EXPECT_CLOSE(p.named_beam_x, expected.beam_x / 1000);
    EXPECT_CLOSE(p.named_beam_y, expected.beam_y / 1000);
    EXPECT_CLOSE(p.beam_fast, expected.beam_fast / 1000);
    EXPECT_CLOSE(p.beam_slow, expected.beam_slow / 1000);
    EXPECT_CLOSE(p.near_fast, expected.beam_fast / 1000);
    EXPECT_CLOSE(p.near_slow, expected.beam_slow / 1000);
    EXPECT_CLOSE(p.origin, expected.origin);
    EXPECT_CLOSE(p.org_x, expected.org_x);
    EXPECT_CLOSE(p.org_y, expected.org_y);
    EXPECT_CLOSE(p.dials_origin_mm, expected.dials_origin);
  }
}

TEST(Panel, TheDefaultBeamCentreOfTheWholeDetectorIsOnePixelOffItsMiddle) {
  const Panel p = panel_of("");
  EXPECT_CLOSE(p.named_beam_x, 0.05125);
  EXPECT_CLOSE(p.beam_fast, 0.0513);
  EXPECT_CLOSE(p.beam_slow, 0.0513);
  EXPECT_CLOSE(p.origin, (Vec3d{0.1, 0.0513, -0.0513}));
  EXPECT_CLOSE(p.org_x, 513.5);
  EXPECT_CLOSE(p.org_y, 513.5);
  EXPECT_CLOSE(panel_of("-Xbeam 51.2 -Ybeam 51.2").origin, (Vec3d{0.1, 0.05125, -0.05125}));

  // In pixels from the corner: the middle is 512
  EXPECT_CLOSE(p.beam_fast / p.pixel, 513.0);
  for (const char* flags : {"-denzo", "-adxv"})
    EXPECT_CLOSE(panel_of(flags).beam_fast / p.pixel, 512.5);
  for (const char* flags : {"-xds", "-dials", "-spindle_axis 0 0 1"})
    EXPECT_CLOSE(panel_of(flags).beam_fast / p.pixel, 512.0);
}

// ---- Rotations ------------------------------------------------------------------------------

TEST(Panel, RotationsTurnAboutXThenYThenZ) {
  const double degree = 1 / units::degrees_per_radian;
  const Vec3d tilt{5 * degree, 3 * degree, 2 * degree};
  EXPECT_CLOSE(physics::rotate(x, tilt),
               (Vec3d{0.998021196624068, 0.0348516681551873, -0.0523359562429438}));
  EXPECT_CLOSE(physics::rotate(y, tilt),
               (Vec3d{-0.0302080931112661, 0.99574703303416, 0.0870362988312832}));
  EXPECT_CLOSE(physics::rotate(z, tilt),
               (Vec3d{0.0551467333542405, -0.0852831016700733, 0.994829447880333}));
}

/// The rotations of every number below
const std::string tilted = "-detector_rotx 5 -detector_roty 3 -detector_rotz 2 ";

TEST(Panel, ATiltedAndSwungDetectorTurnsAboutItsConventionsPivot) {
  struct Tilted {
    const char* flags;
    double ratio, distance_mm, close_mm;
    Vec3d origin;
  };
  constexpr double along_x = 0.998021196624068, along_z = 0.994829447880333;
  // clang-format off
  const std::vector<Tilted> table = {
      {"-mosflm", along_x, 100, 99.8021196624068,
       {0.098898922738595, 0.0139452887376846, -0.0117105316227327}},
      {"-mosflm -twotheta 20", along_x, 95.1636227372519, 94.9753126393135,
       {0.103734895475323, 0.0134808755242895, -0.0117105316227327}},
      {"-denzo", along_x, 100, 99.8021196624068,
       {0.0989031904799182, 0.0138912372309494, -0.0116651419652803}},
      {"-denzo -twotheta 20", along_x, 95.1636227372519, 94.9753126393135,
       {0.103720419136272, 0.0134286240687689, -0.0116651419652803}},
      {"-adxv", along_z, 100, 99.4829447880333,
       {-0.013212746373099, 0.0123475054386948, 0.101790933477704}},
      {"-adxv -twotheta 20", along_z, 96.9012760754227, 96.4002429770125,
       {-0.013212746373099, 0.0122153950705864, 0.0974598313934599}},
      {"-xds", along_z, 100, 99.4829447880333,
       {-0.00690184829544356, -0.0216758774700198, 0.0985243986518581}},
      {"-xds -twotheta 20", along_z, 100, 99.4829447880333,
       {-0.00690184829544356, -0.0540659910556209, 0.0851690636615143}},
      {"-dials", along_z, 100, 99.4829447880333,
       {-0.00690184829544356, -0.0216758774700198, 0.0985243986518581}},
      {"-dials -twotheta 20", along_z, 100, 99.4829447880333,
       {0.0272117130349717, -0.0216758774700198, 0.0949432215237398}},
  };
  // clang-format on
  for (const Tilted& expected : table) {
    SCOPED_TRACE(expected.flags);
    const Panel p = small_panel(tilted + expected.flags);
    EXPECT_CLOSE(p.close_distance / p.distance, expected.ratio);
    EXPECT_CLOSE(p.distance, expected.distance_mm / 1000);
    EXPECT_CLOSE(p.close_distance, expected.close_mm / 1000);
    EXPECT_CLOSE(p.origin, expected.origin);
  }
}

TEST(Panel, ATiltedCustomDetectorHasTheDialsOriginThatTheReferencePrinted) {
  const Panel p = small_panel(tilted + "-spindle_axis 0 0 1");
  EXPECT_CLOSE_WITHIN(5e-6, p.dials_origin_mm, (Vec3d{-11.6198, 13.8372, -98.9075}));
  EXPECT_CLOSE_WITHIN(5e-6, p.org_x, 73.3533);
  EXPECT_CLOSE_WITHIN(5e-6, p.org_y, 98.2919);
  EXPECT_CLOSE(p.distance, 0.1);
  EXPECT_CLOSE(p.close_distance / p.distance, 0.998021196624068);
}

TEST(Panel, TheNearPointAndTheBeamSpotOfATiltedDetectorAreApart) {
  const Panel p = small_panel(tilted);
  EXPECT_CLOSE(p.near_fast, 7.38532666457595e-3);
  EXPECT_CLOSE(p.near_slow, 9.87919068887339e-3);
  EXPECT_CLOSE(p.org_x, 74.3532666457595);
  EXPECT_CLOSE(p.org_y, 99.2919068887339);
  EXPECT_CLOSE(p.beam_fast, 12.9e-3);
  EXPECT_CLOSE(p.beam_slow, 12.9e-3);
}

TEST(Panel, TwoThetaLeavesNanobraggsBeamSpotWhereTheBeamIsNot) {
  // the ratio of the distances leaves two-theta out
  const Panel p = small_panel(tilted + "-twotheta 20");
  EXPECT_CLOSE(p.beam_fast, 12.7904442555103e-3);
  EXPECT_CLOSE(p.beam_slow, 14.4098164852334e-3);
  EXPECT_CLOSE(p.org_x, 106.847560263028);
  EXPECT_CLOSE(p.org_y, 441.679220769783);
  EXPECT_CLOSE(p.fast, (Vec3d{0.0226524397369719, -0.099001194962862, 0.994829447880333}));
  EXPECT_CLOSE(p.slow, (Vec3d{-0.312179220769782, -0.946027915447173, -0.0870362988312832}));
  EXPECT_CLOSE(p.normal, (Vec3d{0.949753126393135, -0.308593497323911, -0.0523359562429438}));
}

TEST(Panel, TwoThetaTurnsAboutTheAxisOfTheConvention) {
  EXPECT_CLOSE(small_panel(tilted + "-adxv -twotheta 20").slow,
               (Vec3d{0.0302080931112661, -0.965464306512474, 0.258778175202179}));
  EXPECT_CLOSE(small_panel(tilted + "-xds -twotheta 20").fast,
               (Vec3d{0.998021196624068, 0.0506498066428063, -0.0372597393456927}));
  EXPECT_CLOSE(small_panel(tilted + "-dials -twotheta 20").fast,
               (Vec3d{0.919933202600262, 0.0348516681551873, -0.390523064594688}));
}

TEST(Panel, HeadersNameTheBeamSpotInEachProgramsWay) {
  const std::string flags = "-detpixels 256 -xds " + tilted;
  const Panel p = panel_of(flags);
  EXPECT_CLOSE(p.beam_fast, 7.56640437570562e-3);
  EXPECT_CLOSE(p.beam_slow, 21.5036298831283e-3);
  EXPECT_EQ(header_value(flags, "ADXV_CENTER_X"), 7.5664);
  EXPECT_EQ(header_value(flags, "ADXV_CENTER_Y"), 4.09637);
  EXPECT_EQ(header_value(flags, "MOSFLM_CENTER_X"), 21.4536);
  EXPECT_EQ(header_value(flags, "MOSFLM_CENTER_Y"), 7.5164);
  EXPECT_EQ(header_value(flags, "DENZO_X_BEAM"), 21.5036);
  EXPECT_EQ(header_value(flags, "DENZO_Y_BEAM"), 7.5664);
}

// ---- Pivots, order, vectors -----------------------------------------------------------------

TEST(Panel, PivotsAboutTheBeamSpotUnlessCustomVectorsSayOtherwise) {
  struct Surprise {
    const char* flags;
    Convention convention;
    Pivot pivot;
    Vec3d origin;
  };
  using enum Convention;
  // clang-format off
  const std::vector<Surprise> table = {
      {"-pivot sample", mosflm, Pivot::beam, {0.1, 0.0129, -0.0129}},
      {"-twotheta 20", mosflm, Pivot::beam, {0.104412059848901, 0.0121220348081382, -0.0129}},
      {"-twotheta 20 -pivot sample", mosflm, Pivot::beam,
       {0.104412059848901, 0.0121220348081382, -0.0129}},
      {"-twotheta 20 -pivot beam", mosflm, Pivot::beam,
       {0.104412059848901, 0.0121220348081382, -0.0129}},
      // The axis flag sets the angle as well, here to zero
      {"-twotheta 20 -twotheta_axis 0 0 -1", custom, Pivot::sample, {0.1, 0.0128, -0.0128}},
      {"-twotheta_axis 0 0 -1 -twotheta 20", custom, Pivot::sample,
       {0.0983471199131594, -0.0221739487865072, -0.0128}},
      {"-twotheta_axis 0 0 -1 -twotheta 20 -distance 100", custom, Pivot::beam,
       {0.104377857834569, 0.0120280655460596, -0.0128}},
      {"-twotheta_axis 0 0 -2 -twotheta 20 -pivot beam", custom, Pivot::beam,
       {0.108755715669137, 0.0120280655460596, -0.0151158033618211}},
      {"-pix0_vector 0.1 0.02 -0.02", custom, Pivot::beam, {0.1, 0.0128, -0.0128}},
      {"-pix0_vector_mm 100 20 -20", custom, Pivot::beam, {0.1, 0.0128, -0.0128}},
      {"-odet_vector 0.999 0.01 0", custom, Pivot::beam, {0.1, 0.0128, -0.0128}},
      {"-fdet_vector 1 0 0 -sdet_vector 0 1 0 -beam_vector 0 0 1", custom, Pivot::beam,
       {-0.0128, -0.0128, 0.1}},
      {"-xds -fdet_vector 0 0 1", custom, Pivot::sample, {0.1, 0.0128, -0.0128}},
      {"-fdet_vector 0 0 1 -xds", xds, Pivot::sample, {-0.0128, -0.0128, 0.1}},
      {"-close_distance 90 -detector_rotx 10", mosflm, Pivot::beam,
       {0.09, 0.0149440815057609, -0.0104639585219541}},
      {"-detector_roty 100", mosflm, Pivot::beam,
       {-0.112704020013857, 0.0129, 0.0022400614919034}},
  };
  // clang-format on
  for (const Surprise& expected : table) {
    SCOPED_TRACE(expected.flags);
    const Panel p = small_panel(expected.flags);
    EXPECT_EQ(p.convention, expected.convention);
    EXPECT_EQ(p.pivot, expected.pivot);
    EXPECT_CLOSE(p.origin, expected.origin);
  }
}

TEST(Panel, TheLastFlagWithAPivotCountsUnderTheCustomConvention) {
  struct Order {
    const char* flags;
    Pivot pivot;
  };
  const std::vector<Order> table = {
      {"", Pivot::beam},
      {"-Xclose 10", Pivot::sample},
      {"-Yclose 10", Pivot::sample},
      {"-ORGX 100", Pivot::sample},
      {"-ORGY 100", Pivot::sample},
      {"-close_distance 100", Pivot::sample},
      {"-twotheta 0", Pivot::sample},
      {"-ORGX 100 -Xbeam 10", Pivot::beam},
      {"-ORGX 100 -Ybeam 10", Pivot::beam},
      {"-ORGX 100 -distance 100", Pivot::beam},
      {"-distance 100 -ORGX 100", Pivot::sample},
      {"-detector_rotx 5 -detector_roty 5 -detector_rotz 5", Pivot::beam},
      {"-twotheta 5 -mosflm -spindle_axis 0 0 1", Pivot::beam},
  };
  for (const Order& expected : table) {
    SCOPED_TRACE(expected.flags);
    EXPECT_EQ(small_panel("-spindle_axis 0 0 1 " + std::string(expected.flags)).pivot,
              expected.pivot);
  }
}

TEST(Panel, TwoThetaAloneShortensNanobraggsDistance) {
  const Panel p = small_panel("-twotheta 20");
  EXPECT_CLOSE(p.distance, 93.9692620785908e-3);
  EXPECT_CLOSE(p.close_distance, 93.9692620785908e-3);
  EXPECT_CLOSE(p.beam_slow, 14.9626338482399e-3);
  EXPECT_CLOSE(p.org_y, 471.520143325669);
}

TEST(Panel, ASwungCustomDetectorKeepsItsDistanceFromTheSample) {
  const Panel p = small_panel("-twotheta_axis 0 0 -1 -twotheta 20");
  EXPECT_CLOSE(p.distance, 0.1);
  EXPECT_CLOSE(p.beam_slow, -21.4020143325669e-3);
}

TEST(Panel, ATwoThetaAxisThatIsNoUnitVectorStretchesThePanel) {
  const Panel p = small_panel("-twotheta_axis 0 0 -2 -twotheta 20 -pivot beam");
  EXPECT_CLOSE(p.fast, (Vec3d{0, 0, 1.18092213764227}));
}

TEST(Panel, ANormalThatIsNoUnitVectorIsMadeFromTheOtherAxes) {
  const Panel p = small_panel("-odet_vector 0.999 0.01 0");
  EXPECT_TRUE(p.normal_generated);
  EXPECT_EQ(p.normal, x);
}

TEST(Panel, CustomAxesKeepTheNormalAlongX) {
  // the beam then runs along the panel, and what is left of 1/0 places it all the same.
  const Panel p = small_panel("-fdet_vector 1 0 0 -sdet_vector 0 1 0 -beam_vector 0 0 1");
  EXPECT_EQ(p.normal, x);
  EXPECT_CLOSE(p.close_distance, -12.8e-3);
}

TEST(Panel, ADetectorTurnedAwayFromTheBeamHasANegativeDistance) {
  const Panel p = small_panel("-detector_roty 100");
  EXPECT_CLOSE(p.distance, -0.1);
  EXPECT_CLOSE(p.close_distance, 17.364817766693e-3);
  EXPECT_CLOSE(p.close_distance / p.distance, -0.17364817766693);
}

// ---- Headers --------------------------------------------------------------------------------

TEST(Panel, AnImageHeaderGivesItsGeometryToTheNextRun) {
  // The header says DISTANCE twice; nanoBragg takes the one inside CLOSE_DISTANCE and does
  // nothing with TWOTHETA.
  const std::string flags =
      "-lambda 1.2 -distance 150 -pixel 0.2 -detpixels 40 -Xbeam 3 -Ybeam 5 -twotheta 7 "
      "-detector_rotx 10 -phi 3 -osc 0.5";
  EXPECT_EQ(header_value(flags, "DISTANCE"), 148.882);
  EXPECT_EQ(header_value(flags, "CLOSE_DISTANCE"), 148.882);
  EXPECT_EQ(header_value(flags, "TWOTHETA"), 7);

  const test::TempDir folder;
  const std::string file = folder / "h.img";
  const Experiment e = test::experiment_of(test::any_crystal + flags);
  io::write_smv(file, io::smv_header(e, resolve(e)), 40, 40, [](int, std::span<std::uint16_t> row) {
    for (std::uint16_t& pixel : row) pixel = 1;
  });

  const Resolved again = resolved_of("-img " + file);
  EXPECT_EQ(again.panel.fast_pixels, 40);
  EXPECT_EQ(again.panel.slow_pixels, 40);
  EXPECT_CLOSE(again.panel.pixel, 0.2e-3);
  EXPECT_CLOSE(again.wavelength, 1.2e-10);
  EXPECT_CLOSE(again.panel.distance, 148.882e-3);
  EXPECT_EQ(again.panel.two_theta, 0);
  EXPECT_CLOSE(again.panel.named_beam_x, 3e-3);
  EXPECT_CLOSE(again.panel.named_beam_y, 5e-3);
  EXPECT_CLOSE(again.panel.origin, (Vec3d{0.148882, 0.0031, -0.0051}));
  ASSERT_EQ(again.phi.size(), 2U);
  EXPECT_CLOSE(again.phi[0] * units::degrees_per_radian, 3.0);
  EXPECT_CLOSE(again.scan.step * units::degrees_per_radian, 0.25);

  EXPECT_CLOSE(panel_of("-mask " + file).named_beam_y, 3e-3);
  EXPECT_CLOSE(panel_of("-img " + file + " -mask " + file).named_beam_y, 5e-3);
  EXPECT_CLOSE(panel_of("-mask " + file + " -img " + file).named_beam_y, 5e-3);
  EXPECT_CLOSE_WITHIN(5e-6, panel_of("-img " + file + " -xds").org_x, 41.8718);
  EXPECT_CLOSE_WITHIN(5e-6, panel_of("-img " + file + " -xds").org_y, 106.013);
}

TEST(Panel, FlagsBeatAHeaderExceptForTheSize) {
  const test::TempDir folder;
  const std::string file = folder / "h.img";
  const Experiment e = test::experiment_of(test::any_crystal + "-detpixels 8 -pixel 0.2");
  io::write_smv(file, io::smv_header(e, resolve(e)), 8, 8, [](int, std::span<std::uint16_t>) {});
  for (const std::string& flags :
       {"-distance 70 -detsize 50 -img " + file, "-img " + file + " -distance 70 -detsize 50"}) {
    SCOPED_TRACE(flags);
    const Panel p = panel_of(flags);
    EXPECT_EQ(p.fast_pixels, 8);
    // The header's CLOSE_DISTANCE still beats any -distance.
    EXPECT_CLOSE(p.distance, 0.1);
    EXPECT_CLOSE(panel_of(flags + " -close_distance 70").distance, 0.07);
  }
}

}  // namespace
}  // namespace nablabragg
