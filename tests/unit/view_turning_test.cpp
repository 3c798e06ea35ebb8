// A crystal that is turned by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"
#include "view/turning.hpp"

namespace nablabragg {
namespace {

Experiment tilted() {
  Experiment e;
  e.quirks = Quirks::corrected();
  e.crystal.cell = {70, 80, 95, 85, 92, 110};
  e.crystal.misset_deg = {10, 200, -70};
  e.crystal.cells = {5, 5, 5};
  e.beam.wavelength_A = 1.1;
  e.scan.phi_deg = 33;
  e.detector.fast_pixels = 100;
  e.detector.slow_pixels = 80;
  e.detector.pixel_mm = 1;
  e.detector.distance_mm = 90;
  e.detector.two_theta_deg = 12;
  return e;
}

Vec3d towards(const Resolved& r, const PanelPoint& point) {
  return unit(r.panel.origin + (point.fast_px * r.panel.pixel) * r.panel.fast +
              (point.slow_px * r.panel.slow_pixel) * r.panel.slow);
}

/// The axes where phi has them.
Mat3d axes_of(const Resolved& r) {
  return physics::rotate_about(r.axes.real_A, r.panel.spindle, r.phi.front());
}

Resolved turned(Experiment e, const view::Turn& turn) {
  e.crystal.misset_deg = view::turned_misset_deg(resolve(e), turn);
  return resolve(e);
}

using view::Turn;

TEST(ViewTurning, TakesWhatLiesAlongOnePointToTheOther) {
  const Resolved before = resolve(tilted());
  const PanelPoint from{0, 20, 30}, to{0, 27, 11};
  const Resolved after = turned(tilted(), view::turn_with_pointer(before, from, to));
  const Mat3d a = axes_of(before), b = axes_of(after);
  const Vec3d u = towards(before, from), v = towards(before, to);
  // The direction has the same components along the crystal's axes.
  EXPECT_NEAR(dot(a.a, u), dot(b.a, v), 1e-9);
  EXPECT_NEAR(dot(a.b, u), dot(b.b, v), 1e-9);
  EXPECT_NEAR(dot(a.c, u), dot(b.c, v), 1e-9);
}

TEST(ViewTurning, AboutTheBeamLeavesWhatLiesAlongTheBeam) {
  const Resolved before = resolve(tilted());
  const Turn turn = view::turn_about_beam(before, {0, 60, 30}, {0, 50, 60});
  EXPECT_GT(std::abs(turn.angle_rad), 0.1);
  const Resolved after = turned(tilted(), turn);
  const Mat3d a = axes_of(before), b = axes_of(after);
  for (const auto& [x, y] : {std::pair{a.a, b.a}, std::pair{a.b, b.b}, std::pair{a.c, b.c}})
    EXPECT_NEAR(dot(x, before.panel.beam), dot(y, before.panel.beam), 1e-9);
  EXPECT_GT(length(a.a - b.a), 1);
}

TEST(ViewTurning, AKeyTakesTheBeamTowardsAnAxisOfThePanel) {
  Experiment e = tilted();
  e.detector.two_theta_deg = 0;
  const Resolved r = resolve(e);
  const Turn turn = view::turn_towards(r, 1, 0, 0.01);
  const Vec3d moved = physics::rotate_about(r.panel.beam, turn.axis, turn.angle_rad);
  EXPECT_NEAR(dot(moved, r.panel.fast), std::sin(0.01), 1e-12);
  EXPECT_NEAR(dot(moved, r.panel.slow), 0, 1e-12);
}

TEST(ViewTurning, BackAndForthIsNoTurn) {
  Experiment e = tilted();
  const PanelPoint a{0, 20, 30}, b{0, 70, 60};
  const Mat3d before = axes_of(resolve(e));
  e.crystal.misset_deg = view::turned_misset_deg(resolve(e),
                                                 view::turn_with_pointer(resolve(e), a, b));
  e.crystal.misset_deg = view::turned_misset_deg(resolve(e),
                                                 view::turn_with_pointer(resolve(e), b, a));
  const Mat3d after = axes_of(resolve(e));
  EXPECT_NEAR(length(before.a - after.a) + length(before.b - after.b) + length(before.c - after.c),
              0, 1e-9);
}

TEST(ViewTurning, ARingBeyondTheWavelengthHasNoParts) {
  EXPECT_TRUE(view::ring(resolve(tilted()), 0.5).empty());
  EXPECT_FALSE(view::ring(resolve(tilted()), 3).empty());
}

TEST(ViewTurning, OnACurvedDetectorKnowsWhereThePixelsAre) {
  Experiment e = tilted();
  e.detector.two_theta_deg = 0;
  e.detector.curved = true;
  const Resolved r = resolve(e);
  const double fast = r.panel.beam_fast / r.panel.pixel, slow = r.panel.beam_slow / r.panel.pixel;
  // An arc of 90 mm is one radian.
  EXPECT_NEAR(view::seen_at(r, {0, fast + 40, slow}).d_A, 1.1 / (2 * std::sin(40.0 / 90 / 2)),
              1e-9);
  const auto parts = view::ring(r, 2.6);
  ASSERT_FALSE(parts.empty());
  for (const auto& part : parts)
    for (const PanelPoint& point : part) EXPECT_NEAR(view::seen_at(r, point).d_A, 2.6, 1e-6);
}

}  // namespace
}  // namespace nablabragg
