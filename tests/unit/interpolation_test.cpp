// Structure factors between the lattice points.  Numbers named C were printed by the C program
// nanoBragg.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "nablabragg/io.hpp"
#include "physics/interpolation.hpp"
#include "support/experiment.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using physics::cubic_weights;
using physics::tricubic;

/// Through four values at -1, 0, 1, 2.
double cubic(const std::array<double, 4>& values, double t) {
  const auto w = cubic_weights(t);
  return w[0] * values[0] + w[1] * values[1] + w[2] * values[2] + w[3] * values[3];
}

TEST(Interpolation, ACubicThroughFourPointsHasTheReferencesValues) {
  // C, with the nodes at 1..4 and t = x - 2
  const std::array<double, 4> values{10, 20, 15, 40};
  EXPECT_CLOSE(cubic(values, 0), 20.0);
  EXPECT_CLOSE(cubic(values, 0.25), 18.3984375);
  EXPECT_CLOSE(cubic(values, 0.5), 16.5625);
  EXPECT_CLOSE(cubic(values, 0.9), 14.8925);
  EXPECT_CLOSE(cubic(values, 1), 15.0);
}

TEST(Interpolation, NeighbouringCubicsMeetAtTheNode) {
  EXPECT_CLOSE(cubic({10, 20, 15, 40}, 1), cubic({20, 15, 40, 5}, 0));
}

TEST(Interpolation, WeightsAreThatOfAnInterpolation) {
  for (double t = 0; t < 1; t += 1.0 / 64) {
    const auto w = cubic_weights(t);
    EXPECT_NEAR(w[0] + w[1] + w[2] + w[3], 1, 1e-15);
    // Cubics are reproduced, so the mean node is t itself and its cube t^3
    EXPECT_NEAR(-w[0] + w[2] + 2 * w[3], t, 1e-15);
    EXPECT_NEAR(-w[0] + w[2] + 8 * w[3], t * t * t, 1e-15);
  }
  EXPECT_EQ(cubic_weights(0.0), (std::array<double, 4>{0, 1, 0, 0}));
}

TEST(Interpolation, ATricubicOverAGridHasTheReferencesValues) {
  // C, nodes at h -1..2, k 4..7, l -3..0
  const auto node = [](int i, int j, int k) {
    return 10.0 * i * i + 3.0 * j + double(i) * j * k + std::sin(k + 2.0 * i);
  };
  const auto at = [&](double h, double k, double l) {
    return tricubic(h - 0, k - 5, l - -2, node);
  };
  EXPECT_CLOSE(at(0.25, 5.5, -1.75), 22.069577742618542);
  EXPECT_CLOSE(at(0, 5, -2), 14.141120008059866);
  EXPECT_CLOSE(at(0.999, 5.001, -1.5), 45.27371520328515);
}

// ---- In a table -----------------------------------------------------------------------------

TEST(Interpolation, ATableIsInterpolatedAroundTheIndexAsInTheReference) {
  const auto grid = test::cube_table();
  const engine::GridView view(grid.get());
  EXPECT_CLOSE(engine::tricubic_structure_factor(
                   view, 0.0, Vec3d{0.0139589412153118, 1.95173116769531, 0.949852599987545}, true),
               99.3220419563471);
}

TEST(Interpolation, NodesOfTheTableAreReproducedExactly) {
  const auto grid = test::cube_table();
  const engine::GridView view(grid.get());
  for (int h = -5; h <= 4; ++h)
    for (int k = -5; k <= 4; ++k)
      for (int l = -5; l <= 4; ++l)
        ASSERT_EQ(engine::tricubic_structure_factor(view, 0.0,
                                                    Vec3d{double(h), double(k), double(l)}, true),
                  grid->at(h, k, l));
}

TEST(Interpolation, TheNearestLookupFallsBackOutsideTheTableOnly) {
  const auto grid = test::cube_table();
  const engine::GridView view(grid.get());
  EXPECT_EQ(engine::nearest_structure_factor(view, 77.0, Vec3d{6, -6, 6}), grid->at(6, -6, 6));
  for (const Vec3d& outside :
       {Vec3d{7, 0, 0}, {-7, 0, 0}, {0, 7, 0}, {0, -7, 0}, {0, 0, 7}, {0, 0, -7}})
    EXPECT_EQ(engine::nearest_structure_factor(view, 77.0, outside), 77);
  EXPECT_EQ(engine::nearest_structure_factor(engine::GridView(nullptr), 77.0, Vec3d{0, 0, 0}), 77);
}

TEST(Interpolation, ItsRangeIsOneIndexStricterThanItsNodesNeed) {
  const auto grid = test::cube_table();
  const engine::GridView view(grid.get());
  for (const double inside : {-4.0, 0.3, 4.0}) {
    EXPECT_TRUE(view.surrounds(Vec3d{inside, 0, 0}));
    EXPECT_TRUE(view.surrounds(Vec3d{0, inside, 0}));
    EXPECT_TRUE(view.surrounds(Vec3d{0, 0, inside}));
  }
  for (const double outside : {-4.0001, 4.0001, 5.0, -7.0, 100.0}) {
    EXPECT_FALSE(view.surrounds(Vec3d{outside, 0, 0}));
    EXPECT_FALSE(view.surrounds(Vec3d{0, outside, 0}));
    EXPECT_FALSE(view.surrounds(Vec3d{0, 0, outside}));
  }
}

// ---- The interpolation cutoff (Q-20) --------------------------------------------------------

const std::string
    cut_off_run = "-cell 100 -lambda 1 -distance 100 -pixel 0.8 -detpixels 16 -oversample 1 -N 2 ";

TEST(Interpolation, OneMissMakesEveryLaterPixelNearest) {
  Experiment tricubic_run = test::experiment_with_table(cut_off_run + "-Xbeam 0 -Ybeam 0");
  Experiment nearest_run = test::experiment_with_table(cut_off_run +
                                                       "-Xbeam 0 -Ybeam 0 -nointerpolate");
  Experiment always = tricubic_run;
  always.quirks.interpolation_latch = false;
  for (Experiment* e : {&tricubic_run, &nearest_run, &always}) e->structure_factors.default_F = 77;
  const Simulation got = test::image_of(tricubic_run), nearest = test::image_of(nearest_run),
                   each = test::image_of(always);

  ASSERT_TRUE(got.table_miss.has_value());
  const int first = got.table_miss->slow * 16 + got.table_miss->fast;
  EXPECT_GT(first, 0);
  EXPECT_EQ(got.table_miss->lookup, 0);
  for (int i = 0; i < 256; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(got.image.pixels[at], (i < first ? each : nearest).image.pixels[at]) << i;
  }
}

TEST(Interpolation, ACornerOutsideTheTableMakesTheWholeImageNearest) {
  const auto run = [](const char* flags) {
    return test::image_of(test::experiment_with_table(
        "-cell 100 -N 2 -detpixels 128 -oversample 1 -distance 100 " + std::string(flags)));
  };
  const Simulation got = run(""), nearest = run("-nointerpolate");
  ASSERT_TRUE(got.table_miss.has_value());
  EXPECT_EQ(got.table_miss->fast, 0);
  EXPECT_EQ(got.table_miss->slow, 0);
  EXPECT_EQ(got.image.pixels, nearest.image.pixels);
  EXPECT_FALSE(nearest.table_miss.has_value());
}

TEST(Interpolation, CorrectedArithmeticTakesDefaultFWhereTheTableEnds) {
  Experiment e = test::experiment_with_table(cut_off_run + "-Xbeam 0 -Ybeam 0 -corrected");
  e.structure_factors.default_F = 77;
  const auto watched = test::pixel_of(e, 15, 15);
  ASSERT_EQ(watched.steps.size(), 1U);
  EXPECT_FALSE(watched.last().interpolated);
  EXPECT_EQ(watched.last().structure_factor, 77);
}

// ---- Its cache ------------------------------------------------------------------------------

TEST(Interpolation, TheCacheOfATableHasOnePlaneOfPaddingAlongEachAxis) {
  const test::TempDir folder;
  io::write_fdump(folder / "Fdump.bin", *test::cube_table());
  EXPECT_EQ(folder.content("Fdump.bin").substr(0, 16), "-6 6 -6 6 -6 6\n\f");
  EXPECT_EQ(std::filesystem::file_size(folder / "Fdump.bin"), 16 + 14 * 14 * 14 * 8);
  EXPECT_EQ(std::filesystem::file_size(folder / "Fdump.bin"), 21968);
}

}  // namespace
}  // namespace nablabragg
