// Divergence grids, spectra and source lists -> rays.  The numbers were printed by the C program
// nanoBragg for the flags that stand next to them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nablabragg/error.hpp"
#include "support/experiment.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::resolved_of;

std::size_t sources_of(const std::string& flags) { return resolved_of(flags).rays.size(); }

std::vector<Vec3d> directions_of(const std::string& flags) {
  std::vector<Vec3d> directions;
  for (const Ray& ray : resolved_of(flags).rays) directions.push_back(unit(ray.towards_source));
  return directions;
}

void expect_directions(const std::string& flags, const std::vector<Vec3d>& expected) {
  SCOPED_TRACE(flags);
  const auto got = directions_of(flags);
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_CLOSE(got[i], expected[i]);
}

// ---- Grids ----------------------------------------------------------------------------------

TEST(Rays, ARoundGridKeepsThePointsOfNanobraggsEllipse) {
  struct Count {
    int steps;
    std::size_t round, square;
  };
  for (const Count& expected : std::vector<Count>{{2, 4, 4},
                                                  {3, 5, 9},
                                                  {4, 12, 16},
                                                  {5, 13, 25},
                                                  {6, 24, 36},
                                                  {7, 29, 49},
                                                  {8, 44, 64},
                                                  {9, 57, 81},
                                                  {10, 76, 100},
                                                  {11, 89, 121},
                                                  {20, 316, 400},
                                                  {21, 349, 441}}) {
    SCOPED_TRACE(expected.steps);
    const std::string flags = "-divergence 2 -divsteps " + std::to_string(expected.steps);
    EXPECT_EQ(sources_of(flags), expected.round);
    EXPECT_EQ(sources_of(flags + " -round_div"), expected.round);
    EXPECT_EQ(sources_of(flags + " -square_div"), expected.square);
  }
}

TEST(Rays, TheEllipseFollowsUnequalCounts) {
  struct Count {
    const char* horizontal;
    const char* vertical;
    std::size_t sources;
  };
  for (const Count& expected : std::vector<Count>{{"3", "5", 7},
                                                  {"4", "6", 16},
                                                  {"5", "4", 12},
                                                  {"2", "9", 18},
                                                  {"7", "3", 9},
                                                  {"3", "2", 6}}) {
    const std::string flags = std::string("-divergence 2 -hdivsteps ") + expected.horizontal +
                              " -vdivsteps " + expected.vertical;
    EXPECT_EQ(sources_of(flags), expected.sources) << flags;
  }
}

TEST(Rays, StepsThatDoNotDivideTheRangeExactlyGiveNanobraggsCount) {
  const Resolved r = resolved_of("-hdivrange 0.28 -hdivstep 0.02 -vdivrange 0.28 -vdivstep 0.02");
  EXPECT_EQ(r.horizontal.steps, 14);
  EXPECT_EQ(r.vertical.steps, 14);
  EXPECT_EQ(r.rays.size(), 167U);
}

TEST(Rays, ACountAloneSpansARadian) { EXPECT_EQ(sources_of("-divsteps 3"), 4U); }

TEST(Rays, NothingIsTrimmedWhereOneRangeIsZero) {
  // The ellipse then compares with 0/0, which is never larger.
  EXPECT_EQ(sources_of("-hdivrange 2 -hdivsteps 5"), 5U);
  EXPECT_EQ(sources_of("-vdivrange 2 -vdivsteps 9"), 9U);
}

// ---- Order and directions -------------------------------------------------------------------

TEST(Rays, HorizontalAnglesVarySlowestInTheFrameOfEachConvention) {
  constexpr double e = 0.000999999833333342, c = 0.999999500000042;
  const std::string flags = "-divergence 2 -divsteps 3 ";
  for (const char* convention : {"-mosflm", "-denzo"})
    expect_directions(flags + convention,
                      {{-c, 0, e}, {-c, e, 0}, {-1, 0, 0}, {-c, -e, 0}, {-c, 0, -e}});
  for (const char* convention : {"-xds", "-adxv"})
    expect_directions(flags + convention,
                      {{e, 0, -c}, {0, -e, -c}, {0, 0, -1}, {0, e, -c}, {-e, 0, -c}});
  expect_directions(flags + "-dials",
                    {{0, e, -c}, {e, 0, -c}, {0, 0, -1}, {-e, 0, -c}, {0, -e, -c}});
}

TEST(Rays, TheCornersOfATwoByTwoGridComeVerticalFirst) {
  constexpr double x = 0.999999000000333, y = 0.000999999833333342, z = 0.000999999333333467;
  expect_directions("-hdivrange 2 -vdivrange 2",
                    {{-x, y, z}, {-x, -y, z}, {-x, y, -z}, {-x, -y, -z}});
}

TEST(Rays, WavelengthsVaryFastest) {
  const Resolved r = resolved_of("-hdivrange 2 -hdivsteps 2 -dispersion 10 -dispsteps 2");
  ASSERT_EQ(r.rays.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_CLOSE(r.rays[i].wavelength, i % 2 == 0 ? 0.95e-10 : 1.05e-10);
    EXPECT_EQ(r.rays[i].towards_source, r.rays[i < 2 ? 0 : 2].towards_source);
  }
  EXPECT_FALSE(r.rays[0].towards_source == r.rays[2].towards_source);
}

TEST(Rays, AGridByCountIsOneSided) {
  // -1/2, -1/6 and +1/6 rad
  expect_directions("-hdivsteps 3", {{-0.877582561890373, 0, 0.479425538604203},
                                     {-0.986143231562925, 0, 0.165896132693415},
                                     {-0.986143231562925, 0, -0.165896132693415}});
}

TEST(Rays, SourcesLieTenMetresUpTheBeam) {
  EXPECT_CLOSE(resolved_of("").rays.at(0).towards_source, (Vec3d{-10, 0, 0}));
  EXPECT_CLOSE(resolved_of("-beam_vector 3 0 4").rays.at(0).towards_source, (Vec3d{-6, 0, -8}));
}

// ---- Source lists ---------------------------------------------------------------------------

std::vector<Ray> rays_of_file(const std::string& text, const std::string& flags = "") {
  const test::TempDir folder;
  return resolved_of(flags + " -sourcefile " + folder.file("sources", text)).rays;
}

TEST(Rays, ASourceFileReplacesWhatFlagsWouldMake) {
  const auto rays = rays_of_file("-10 0 0 1.0 1e-10\n", "-divergence 2 -divsteps 5 -dispersion 10");
  ASSERT_EQ(rays.size(), 1U);
  EXPECT_CLOSE(rays[0].towards_source, (Vec3d{-10, 0, 0}));
  EXPECT_CLOSE(rays[0].wavelength, 1e-10);
}

TEST(Rays, ColumnsThatALineLeavesOutAreThoseOfTheBeam) {
  const auto mosflm = rays_of_file("-10\n", "-lambda 1.3");
  ASSERT_EQ(mosflm.size(), 1U);
  EXPECT_CLOSE(mosflm[0].towards_source, (Vec3d{-10, 0, 0}));
  EXPECT_CLOSE(mosflm[0].wavelength, 1.3e-10);
  const auto xds = rays_of_file("-3\n", "-xds");
  ASSERT_EQ(xds.size(), 1U);
  EXPECT_CLOSE(xds[0].towards_source, (Vec3d{-3, 0, -10}));
}

TEST(Rays, SourceFilesMayUsePunctuationBetweenColumns) {
  const auto rays = rays_of_file("-10,0,0;1.0:1.0e-10\n\n \t\n-9 ! 1 2 1 1.1E-10 this is extra\n");
  ASSERT_EQ(rays.size(), 2U);
  EXPECT_CLOSE(rays[0].towards_source, (Vec3d{-10, 0, 0}));
  EXPECT_CLOSE(rays[0].wavelength, 1e-10);
  EXPECT_CLOSE(rays[1].towards_source, (Vec3d{-9, 1, 2}));
  EXPECT_CLOSE(rays[1].wavelength, 1.1e-10);
}

TEST(Rays, WhatBlackensNanobraggsImageIsReadAsItIsMeant) {
  // there, each of these files has a source of wavelength zero.
  for (const char* text :
       {"# X Y Z weight lambda of each\n-10 0.1 0 1 1e-10\n", "-10 0.1 0 # note\n", "-10 0.1 0",
        "-10 0.1 0\r\n", "-10 0.1 0 1 1e-10\r\n"}) {
    SCOPED_TRACE(text);
    const auto rays = rays_of_file(text);
    ASSERT_EQ(rays.size(), 1U);
    EXPECT_CLOSE(rays[0].towards_source, (Vec3d{-10, 0.1, 0}));
    EXPECT_CLOSE(rays[0].wavelength, 1e-10);
    EXPECT_EQ(rays[0].weight, 1);
  }
}

TEST(Rays, AFileWithoutSourcesIsAnError) {
  EXPECT_THROW(rays_of_file(""), InputError);
  EXPECT_THROW(resolved_of("-sourcefile /nonexistent/sources"), InputError);
}

TEST(Rays, ListedWavelengthsCountAndListedWeightsDoNot) {
  //
  const std::string equal = "-10 0 0 1 1.2e-10\n-10 0.1 0 1 1.3e-10\n-10 0 0.1 1 1.1e-10\n";
  const std::string unequal = "-10 0 0 5 1.2e-10\n-10 0.1 0 1 1.3e-10\n-10 0 0.1 0.1 1.1e-10\n";
  const auto a = rays_of_file(equal), b = rays_of_file(unequal);
  ASSERT_EQ(a.size(), 3U);
  ASSERT_EQ(b.size(), 3U);
  const double wavelengths[] = {1.2e-10, 1.3e-10, 1.1e-10};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(b[i].weight, a[i].weight);
    EXPECT_DOUBLE_EQ(b[i].wavelength, wavelengths[i]);
  }
}

TEST(Rays, WeightsCountInTheCorrectedArithmetic) {
  const auto rays = rays_of_file("-10 0 0 5 1e-10\n-10 0.1 0 1 1e-10\n", "-corrected");
  ASSERT_EQ(rays.size(), 2U);
  EXPECT_CLOSE(rays[0].weight, 5.0 / 3);
  EXPECT_CLOSE(rays[1].weight, 1.0 / 3);
}

}  // namespace
}  // namespace nablabragg
