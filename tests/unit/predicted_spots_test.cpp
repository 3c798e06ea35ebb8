// Where reflections are by geometry alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "nablabragg/error.hpp"
#include "nablabragg/predicted_spots.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using test::message_of;
using testing::HasSubstr;
using testing::IsEmpty;

/// A cubic crystal of 10 A at 1 A, a panel of 200 mm at 100 mm.
Geometry cubic() {
  Geometry g;
  GeometryPanel panel;
  panel.fast_pixels = panel.slow_pixels = 2000;
  panel.fast_pixel_mm = panel.slow_pixel_mm = 0.1;
  panel.origin_mm = {-100, 100, -100};
  panel.fast_axis = {1, 0, 0};
  panel.slow_axis = {0, -1, 0};
  g.panels = {panel};
  g.beam = GeometryBeam{};
  g.beam->wavelength_A = 1;
  g.crystals = {{{{10, 0, 0}, {0, 10, 0}, {0, 0, 10}}, ""}};
  return g;
}

Geometry turning(double start_deg, double width_deg, int images) {
  Geometry g = cubic();
  g.scan = GeometryScan{};
  g.scan->start_deg = start_deg;
  g.scan->width_deg = width_deg;
  g.scan->images = images;
  return g;
}

TEST(PredictedSpots, OfAStillAreThoseNearTheEwaldSphere) {
  // 0 2 0 misses by its Bragg angle, arcsin(1/10) = 5.739 degrees.
  EXPECT_THAT(predicted_spots(cubic(), 4.9, 2), IsEmpty());
  const std::vector<PredictedSpot> spots = predicted_spots(cubic(), 4.9, 5.74);
  ASSERT_FALSE(spots.empty());
  bool seen = false;
  for (const PredictedSpot& s : spots)
    if (s.hkl == MillerIndex{0, 2, 0}) {
      seen = true;
      EXPECT_NEAR(s.fast_px, 1000, 1e-9);
      EXPECT_NEAR(s.slow_px, 1000 - 1000 * std::tan(2 * std::asin(0.1)), 1e-9);
    }
  EXPECT_TRUE(seen);
}

TEST(PredictedSpots, AreRefusedOnACurvedDetector) {
  Geometry g = cubic();
  g.panels[0].curved = true;
  EXPECT_THAT(message_of<UsageError>([&] { predicted_spots(g, 4.9, 5.74); }),
              HasSubstr("this detector is curved"));
}

TEST(PredictedSpots, OfAScanCrossTheSphereOnceForEachHalfTurn) {
  // 0 2 0 about x: up to the sphere after its Bragg angle, and again near the other side.
  const double bragg_deg = std::asin(0.1) * 180 / std::numbers::pi;
  std::vector<double> angles;
  for (const PredictedSpot& s : predicted_spots(turning(0, 1, 360), 4.9))
    if (s.hkl == MillerIndex{0, 2, 0}) {
      angles.push_back(s.phi_deg);
      EXPECT_NEAR(s.frame, s.phi_deg, 1e-9);
    }
  std::sort(angles.begin(), angles.end());
  ASSERT_EQ(angles.size(), 2u);
  EXPECT_NEAR(angles[0], bragg_deg, 1e-9);
  EXPECT_NEAR(angles[1], 180 - bragg_deg, 1e-9);
  EXPECT_THAT(predicted_spots(turning(bragg_deg + 0.01, 0.1, 3), 9.9), IsEmpty());
}

TEST(PredictedSpots, OfTwoTurnsAreListedTwice) {
  const std::size_t once = predicted_spots(turning(-30.123, 1, 360), 3).size();
  EXPECT_GT(once, 50u);
  EXPECT_EQ(predicted_spots(turning(-30.123, 1, 720), 3).size(), 2 * once);
}

TEST(PredictedSpots, LieDeeperInThickSensors) {
  Geometry g = turning(0, 1, 360);
  const std::vector<PredictedSpot> thin = predicted_spots(g, 2);
  g.panels[0].sensor_thickness_mm = 1;
  g.panels[0].attenuation_per_mm = 100;
  const std::vector<PredictedSpot> at_once = predicted_spots(g, 2);
  g.panels[0].attenuation_per_mm = 1e-9;
  const std::vector<PredictedSpot> even = predicted_spots(g, 2);
  ASSERT_EQ(thin.size(), at_once.size());
  ASSERT_EQ(thin.size(), even.size());
  for (std::size_t i = 0; i < thin.size(); ++i) {
    const double tangent = std::hypot(thin[i].fast_px - 1000, thin[i].slow_px - 1000) / 1000;
    const auto moved_mm = [&](const PredictedSpot& s) {
      return 0.1 * (std::hypot(s.fast_px - 1000, s.slow_px - 1000) - 1000 * tangent);
    };
    EXPECT_NEAR(moved_mm(at_once[i]), 0.01 * std::sin(std::atan(tangent)), 1e-6);
    EXPECT_NEAR(moved_mm(even[i]), 0.5 * tangent, 1e-6);
  }
}

TEST(PredictedSpots, OnMaskedPixelsAreLeftOut) {
  Geometry g = turning(0, 1, 360);
  const std::size_t all = predicted_spots(g, 3).size();
  g.panels[0].masked = {{0, 2000, 0, 1000}};
  const std::size_t lower = predicted_spots(g, 3).size();
  g.panels[0].masked = {{0, 2000, 1000, 2000}};
  EXPECT_EQ(lower + predicted_spots(g, 3).size(), all);
  EXPECT_GT(lower, 0u);
}

TEST(PredictedSpots, LieOnTheNearestPanel) {
  Geometry g = turning(0, 1, 360);
  g.panels.push_back(g.panels[0]);
  g.panels[1].origin_mm = {-100, 0, -80};
  int near = 0, far = 0;
  for (const PredictedSpot& s : predicted_spots(g, 3)) ++(s.panel == 1 ? near : far);
  EXPECT_GT(near, 10);
  EXPECT_GT(far, 10);
  for (const PredictedSpot& s : predicted_spots(g, 3))
    EXPECT_TRUE(s.panel == 1 || s.slow_px < 1000.001);
}

TEST(PredictedSpots, NeedABeamACrystalAndAResolution) {
  Geometry g = cubic();
  const auto refusal = [&](double min_d_A) {
    return message_of<UsageError>([&] { predicted_spots(g, min_d_A); });
  };
  EXPECT_THAT(refusal(0), HasSubstr("must be positive"));
  EXPECT_THAT(refusal(std::nan("")), HasSubstr("must be positive"));
  g.crystals[0].real_axes_A = {{1e4, 0, 0}, {0, 1e4, 0}, {0, 0, 1e4}};
  EXPECT_THAT(refusal(1), HasSubstr("too fine for the unit cell"));
  g.crystals.clear();
  EXPECT_THAT(refusal(1), HasSubstr("need a crystal"));
  g.beam.reset();
  EXPECT_THAT(refusal(1), HasSubstr("need a beam"));
}

}  // namespace
}  // namespace nablabragg
