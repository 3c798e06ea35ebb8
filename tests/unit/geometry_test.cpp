// Experiments and the geometry that files state: there and back.
#include "nablabragg/geometry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nablabragg/error.hpp"
#include "nablabragg/simulate.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string tilted =
    "-cell 70 80 90 85 95 105 -misset 10 20 30 -default_F 100 -N 5 -lambda 1.2 -oversample 2 "
    "-corrected -distance 120 -detpixels_f 60 -detpixels_s 50 -pixel 0.8 -detector_rotx 4 "
    "-detector_roty -7 -twotheta 12 -Xbeam 3 -Ybeam 40 -phi 12 -osc 0.5 -phisteps 4 -polar 0.9 ";

void expect_near(const Vec3d& got, const Vec3d& expected) {
  EXPECT_NEAR(length(got - expected), 0, 1e-12 * (1 + length(expected)));
}

double largest_difference(const Image& a, const Image& b) {
  double largest = 0, brightest = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    largest = std::max(largest, std::abs(double(a.pixels[i]) - double(b.pixels[i])));
    brightest = std::max(brightest, double(a.pixels[i]));
  }
  return largest / brightest;
}

TEST(Geometry, OfAnExperimentMakesTheSameImage) {
  for (const char* convention : {"", "-adxv ", "-xds ", "-dials ", "-denzo "}) {
    const Experiment e = experiment_of(tilted + convention);
    Experiment again = with_geometry(e, geometry_of(e));
    again.scan.oscillation_deg = e.scan.oscillation_deg;
    EXPECT_LT(largest_difference(simulate(e).image, simulate(again).image), 1e-5) << convention;
  }
}

TEST(Geometry, TurnedIntoTheFrameOfImgCifMakesTheSameImage) {
  for (const char* convention : {"", "-adxv ", "-xds ", "-dials "}) {
    const Experiment e = experiment_of(tilted + convention);
    const Geometry g = in_imgcif_frame(geometry_of(e));
    expect_near(g.beam->direction, {0, 0, -1});
    EXPECT_NEAR(g.scan->spindle_axis.y, 0, 1e-12);
    Experiment again = with_geometry(e, g);
    again.scan.oscillation_deg = e.scan.oscillation_deg;
    EXPECT_LT(largest_difference(simulate(e).image, simulate(again).image), 1e-5) << convention;
  }
}

TEST(Geometry, SaysTheUnitsOfFiles) {
  const Geometry g = geometry_of(experiment_of(tilted + "-detector_thick 450 -detector_abs 300 "));
  ASSERT_EQ(g.panels.size(), 1U);
  EXPECT_EQ(g.panels[0].fast_pixels, 60);
  EXPECT_NEAR(g.panels[0].fast_pixel_mm, 0.8, 1e-12);
  EXPECT_NEAR(g.panels[0].sensor_thickness_mm, 0.45, 1e-12);
  EXPECT_NEAR(g.panels[0].attenuation_per_mm, 1 / 0.3, 1e-9);
  EXPECT_NEAR(g.beam->wavelength_A, 1.2, 1e-12);
  EXPECT_NEAR(*g.beam->polarization, 0.9, 1e-12);
  EXPECT_NEAR(g.scan->start_deg, 12, 1e-12);
  EXPECT_NEAR(g.scan->width_deg, 0.5, 1e-12);
}

TEST(Geometry, OfAScanThatTurnsBackwardsHasASpindleThatPointsTheOtherWay) {
  const Experiment e = experiment_of(tilted + "-osc -0.5 ");
  const Geometry g = geometry_of(e);
  EXPECT_NEAR(g.scan->width_deg, 0.5, 1e-12);
  EXPECT_NEAR(g.scan->start_deg, -12, 1e-12);
  Experiment again = with_geometry(e, g);
  again.scan.oscillation_deg.steps = 4;
  EXPECT_LT(largest_difference(simulate(e).image, simulate(again).image), 1e-5);
}

TEST(Geometry, KeepsGroupsWhereTheyHaveMovedTo) {
  Experiment e = experiment_of(tilted);
  e.detector.group = "inner";
  e.detector_groups = {{"outer", "", {100, 0, 0}, {1, 0, 0}, {0, 1, 0}, {7, 0, 0}, {0, 0, 3}},
                       {"inner", "outer", {90, 5, 0}, {1, 0, 0}, {0, 1, 0}, {0, 1, 0}, {0, 0, 90}}};
  const Geometry g = geometry_of(e);
  ASSERT_EQ(g.groups.size(), 2U);
  EXPECT_EQ(g.groups[1].parent, 0);
  EXPECT_EQ(g.panels[0].group, 1);
  expect_near(g.groups[0].origin_mm, {107, 0, 0});
  // Made of it again, everything stands where it stood, and nothing has moved.
  const Experiment again = with_geometry(e, g);
  EXPECT_EQ(again.detector_groups[1].rotation_deg, Vec3d{});
  EXPECT_EQ(again.detector_groups[1].parent, "outer");
  expect_near(resolve(again).panel.origin, resolve(e).panel.origin);
  expect_near(resolve(again).panel.slow, resolve(e).panel.slow);
}

TEST(Geometry, MaskedRectanglesComeBackFromTheirMask) {
  GeometryPanel panel;
  panel.fast_pixels = 10;
  panel.slow_pixels = 8;
  panel.masked = {{2, 4, 0, 8}, {0, 2, 3, 5}, {4, 10, 3, 5}, {9, 10, 7, 8}};
  const auto mask = mask_of(panel);
  EXPECT_EQ(mask->keep[0], 1);
  EXPECT_EQ(mask->keep[2], 0);
  GeometryPanel again = panel;
  again.masked = masked_rectangles(*mask);
  EXPECT_EQ(mask_of(again)->keep, mask->keep);
  int covered = 0;
  for (const PixelRectangle& r : again.masked)
    covered += (r.fast_end - r.fast_begin) * (r.slow_end - r.slow_begin);
  EXPECT_EQ(covered, std::count(mask->keep.begin(), mask->keep.end(), 0));
  // A column above and below a bar across the panel, the bar, and a corner
  EXPECT_THAT(again.masked, testing::UnorderedElementsAre(
                                PixelRectangle{2, 4, 0, 3}, PixelRectangle{0, 10, 3, 5},
                                PixelRectangle{2, 4, 5, 8}, PixelRectangle{9, 10, 7, 8}));
}

TEST(Geometry, WithoutABeamHasItWhereItsFrameHasIt) {
  const Experiment e = experiment_of(tilted);
  for (const double along : {-1.0, 1.0}) {
    Geometry g = in_imgcif_frame(geometry_of(e));
    g.beam.reset();
    g.scan.reset();
    g.crystals.clear();
    g.beam_direction = {0, 0, along};
    for (GeometryPanel& panel : g.panels) panel.origin_mm.z *= -along;
    const Resolved r = resolve(with_geometry(e, g));
    EXPECT_GT(r.panel.distance, 0);
    // Neither runs along the beam, as those of the custom frame would.
    EXPECT_EQ(dot(r.panel.spindle, r.panel.beam), 0);
    EXPECT_EQ(dot(r.panel.polarization_axis, r.panel.beam), 0);
    EXPECT_EQ(in_imgcif_frame(g).beam_direction, (Vec3d{0, 0, -1}));
  }
}

TEST(Geometry, ThatIsInImgCifsFrameStaysThere) {
  // A still as dxtbx writes it: the normal of its polarization is y, the panel anywhere
  Geometry g;
  g.beam.emplace();
  g.beam->wavelength_A = 1.27;
  g.panels.emplace_back();
  g.panels[0].origin_mm = {10, -20, -130};
  g.panels[0].fast_axis = {0.6, 0.8, 0};
  g.panels[0].slow_axis = {0.8, -0.6, 0};
  const Geometry same = in_imgcif_frame(g);
  EXPECT_NEAR(length(same.panels[0].origin_mm - g.panels[0].origin_mm), 0, 1e-12);
  EXPECT_NEAR(length(same.panels[0].fast_axis - g.panels[0].fast_axis), 0, 1e-15);
  EXPECT_NEAR(length(same.beam->polarization_normal - g.beam->polarization_normal), 0, 1e-15);
}

TEST(Geometry, OnTheSourcesSideIsSaid) {
  Experiment e = experiment_of(tilted);
  const auto said = [&] { return testing::PrintToString(resolve(e).warnings); };
  EXPECT_THAT(said(), testing::Not(HasSubstr("runs away from the detector")));
  e.beam.direction = -1.0 * resolve(e).panel.beam;
  e.detector = with_geometry(experiment_of(tilted), geometry_of(experiment_of(tilted))).detector;
  EXPECT_THAT(said(), HasSubstr("the beam runs away from the detector"));
}

TEST(Geometry, OfALeftHandedCrystalIsRefused) {
  const Experiment e = experiment_of(tilted);
  Geometry g = geometry_of(e);
  g.crystals[0].real_axes_A.a = -g.crystals[0].real_axes_A.a;
  EXPECT_THAT(message_of<UsageError>([&] { with_geometry(e, g); }), HasSubstr("left-handed"));
}

TEST(Geometry, OfAPanelWithoutPixelsIsRefused) {
  const Experiment e = experiment_of(tilted);
  Geometry g = geometry_of(e);
  g.panels[0].slow_pixel_mm = 0;
  EXPECT_THAT(message_of<UsageError>([&] { with_geometry(e, g); }), HasSubstr("has no pixels"));
}

}  // namespace
}  // namespace nablabragg::test
