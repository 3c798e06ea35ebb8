// Polarization, solid angle and capture.  Numbers named C were printed by the C program nanoBragg.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "physics/detection.hpp"
#include "support/experiment.hpp"

namespace nablabragg {
namespace {

// ---- Polarization ---------------------------------------------------------------------------

/// The factor as the plan and the pixel loop put it together.
double polarization(const Vec3d& beam, const Vec3d& e_axis, const Vec3d& diffracted, double k) {
  const Vec3d i = unit(beam), d = unit(diffracted);
  return physics::kahn_polarization(dot(i, d), dot(d, unit(cross(e_axis, i))), k);
}

TEST(Polarization, IsKahnsFactor) {
  struct Row {
    Vec3d diffracted;
    double k_0, k_half, k_1, k_minus_1;
  };
  // C, the beam along x and the E vector along z
  // clang-format off
  const std::vector<Row> table = {
      {{1, 0, 0},
       1, 1, 1, 1},
      {{1, 0.2, 0},
       0.98076923076923073, 0.99038461538461542, 1, 0.96153846153846145},
      {{1, 0, 0.2},
       0.98076923076923073, 0.97115384615384603, 0.96153846153846145, 1},
      {{1, 0.3, -0.4},
       0.9, 0.886, 0.872, 0.928},
      {{0.1, 0.7, 0.2},
       0.5092592592592593, 0.71759259259259256, 0.92592592592592582, 0.092592592592592726},
      {{-0.5, 0.3, 0.9},
       0.60869565217391308, 0.45217391304347831, 0.29565217391304355, 0.92173913043478262},
  };
  // clang-format on
  for (const Row& row : table) {
    SCOPED_TRACE(testing::Message()
                 << row.diffracted.x << ' ' << row.diffracted.y << ' ' << row.diffracted.z);
    const auto factor = [&](double k) {
      return polarization({1, 0, 0}, {0, 0, 1}, row.diffracted, k);
    };
    EXPECT_CLOSE(factor(0), row.k_0);
    EXPECT_CLOSE(factor(0.5), row.k_half);
    EXPECT_CLOSE(factor(1), row.k_1);
    EXPECT_CLOSE(factor(-1), row.k_minus_1);
  }
}

TEST(Polarization, TakesTheEVectorsPartAcrossTheBeam) {
  EXPECT_CLOSE(polarization({1, 0.01, 0.02}, {0, 0, 1}, {1, 0.3, -0.4}, 0.9), 0.8625889239162039);
}

TEST(Polarization, AnEVectorAlongTheBeamHasNoDirection) {
  EXPECT_CLOSE(polarization({1, 0, 0}, {1, 0, 0}, {1, 0.3, -0.4}, 1), 0.8);
}

TEST(Polarization, IsUnpolarizedUnlessAskedAndAbsentWithNopolar) {
  const auto factor = [](const std::string& flags) {
    return test::pixel_of(test::any_crystal + "-oversample 1 " + flags, 1000, 200)
        .pixel.polarization;
  };
  const double none = factor("-polar 0");
  EXPECT_LT(none, 0.95);
  EXPECT_EQ(factor(""), none);
  EXPECT_EQ(factor("-nopolar"), 1);
  EXPECT_EQ(factor("-nopolar -polar 0"), none);
  EXPECT_EQ(factor("-polar 0 -nopolar"), 1);
  //
  EXPECT_EQ(factor("-nopolar -oversample_polar"), none);
  EXPECT_EQ(factor("-nopolar -oversample_polar -corrected"), 1);
}

// ---- Solid angle ----------------------------------------------------------------------------

TEST(SolidAngle, IsThePixelSeenObliquely) {
  struct Row {
    Vec3d position;
    double close, pixel, omega;
  };
  for (const Row& row : std::vector<Row>{
           {{0.15, 0, 0}, 0.15, 1e-4, 4.44444444444444e-07},
           {{0.1, 0.02, -0.03}, 0.1, 1e-4, 8.32496343702298e-07},
           {{0.15, 0.0264, 0.0088}, 0.15, 8e-4, 2.70366881715669e-05},
       }) {
    PlanFrame frame;
    frame.area = row.pixel * row.pixel;
    frame.close_distance = row.close;
    EXPECT_CLOSE(engine::solid_angle(frame, 1 / length(row.position), 0.0), row.omega);
  }
}

TEST(SolidAngle, OfAPointPixelLosesItsAreaAsInTheReference) {
  //
  PlanFrame frame;
  frame.area = 1e-8;
  frame.close_distance = 0.1;
  frame.solid_angle = SolidAngle::per_area;
  EXPECT_CLOSE(engine::solid_angle(frame, 1 / length(Vec3d{0.15, 0, 0}), 0.0), 44.4444444444444);
  EXPECT_CLOSE(engine::solid_angle(frame, 1 / length(Vec3d{0.1, 0.02, -0.03}), 0.0),
               88.4955752212389);
  frame.solid_angle = SolidAngle::facing;
  EXPECT_CLOSE(engine::solid_angle(frame, 1 / length(Vec3d{0.15, 0, 0}), 0.0), 44.4444444444444e-8);
}

TEST(SolidAngle, FlagsChooseTheKindOfPixel) {
  const auto kind = [](const std::string& flags) {
    const Experiment e = test::experiment_of(test::any_crystal + flags);
    return make_plan(e, resolve(e)).panels[0].frame.solid_angle;
  };
  EXPECT_EQ(kind(""), SolidAngle::oblique);
  EXPECT_EQ(kind("-point_pixel"), SolidAngle::per_area);
  EXPECT_EQ(kind("-point_pixel -corrected"), SolidAngle::facing);
}

TEST(SolidAngle, KeepsTheSignOfTheCloseDistance) {
  PlanFrame frame;
  frame.area = 1e-8;
  frame.close_distance = -0.1;
  EXPECT_LT(engine::solid_angle(frame, 0.1, 0.0), 0.0);
}

// ---- Capture --------------------------------------------------------------------------------

TEST(Capture, IsWhatALayerTakesOfTheRay) {
  using physics::capture_fraction;
  const double dz = 100e-6, mu = 1 / 400e-6;
  EXPECT_CLOSE(capture_fraction(0.0, dz, mu, 1.0), 0.221199216928595);
  EXPECT_CLOSE(capture_fraction(3.0, dz, mu, 1.0), 0.104487111569572);
  EXPECT_CLOSE(capture_fraction(2.0, dz, mu, std::cos(0.5)), 0.140223915420127);
  EXPECT_CLOSE(capture_fraction(0.0, 320e-6, 1 / 234e-6, 0.9), 0.781171768099645);
}

TEST(Capture, KeepsItsDigitsInAThinLayer) {
  EXPECT_CLOSE(physics::capture_fraction(0.0, 1e-12, 1.0, 1.0), 1e-12 - 0.5e-24);
}

/// The image of a sensor relative to one that captures all, at the direct beam.  A single cell
/// scatters the same everywhere, so that the layers differ by their capture alone.
double captured_share(const std::string& flags) {
  const std::string pixel = test::any_crystal +
                            "-detpixels 2 -Xbeam 0.05 -Ybeam 0.05 -oversample 1 -roi 1 1 1 1 ";
  return static_cast<double>(test::image_of(pixel + flags).image.at(1, 1)) /
         static_cast<double>(test::image_of(pixel).image.at(1, 1));
}

TEST(Capture, OfSeveralLayersIsThatOfTheLastOneForEachAsInTheReference) {
  //
  const std::string silicon = "-detector_thick 450 -detector_abs 234 ";
  const double x = 450.0 / 234;
  EXPECT_CLOSE_WITHIN(5e-6, captured_share(silicon), 2 * (std::exp(-x / 2) - std::exp(-x)));
  EXPECT_NEAR(captured_share(silicon), 0.4723, 0.0001);
  // The image that the reference was asked about reached off the beam, hence the last digits.
  EXPECT_NEAR(captured_share(silicon + "-thicksteps 5"), 0.27885, 0.00015);
  EXPECT_NEAR(captured_share(silicon + "-thicksteps 5 -oversample_thick"), 0.0618, 0.0001);
}

TEST(Capture, AddsUpOverTheLayersInTheCorrectedArithmetic) {
  // Deeper layers are also further away and see less: up to 1 part in 200 here.
  const std::string silicon = "-detector_thick 450 -detector_abs 234 -corrected ";
  EXPECT_NEAR(captured_share(silicon), 0.854, 0.005);
  EXPECT_NEAR(captured_share(silicon + "-thicksteps 7"), 1 - std::exp(-450.0 / 234), 0.005);
}

TEST(Capture, IsCompleteWhereNothingAbsorbs) {
  EXPECT_EQ(captured_share("-detector_abs 234"), 1);
  EXPECT_EQ(captured_share("-detector_thick 450 -detector_abs inf"), 1);
  // nanoBragg's image is black.
  EXPECT_EQ(captured_share("-detector_abs inf -detector_thick 450"), 1);
  EXPECT_EQ(captured_share("-oversample_thick"), 1);
}

}  // namespace
}  // namespace nablabragg
