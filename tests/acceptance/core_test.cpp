// Acceptance tests of the simulation itself: geometry, sampling, structure factors, factors of a
// pixel, files, sources, precedence, statistics.  docs/acceptance.md lists them with the mode that
// each identifier holds in; where the two modes differ both are tested.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>  // for memcpy
#include <numbers>  // for pi
#include <numeric>
#include <set>

#include "nablabragg/io.hpp"
#include "support/experiment.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using std::numbers::pi;
using test::image_of;
using test::pixel_of;
using test::resolved_of;
using testing::HasSubstr;
using testing::SizeIs;

constexpr double degree = pi / 180;
const std::string corrected = " -corrected ";
/// 256 x 256 pixels of 0.1 mm at 100 mm.
const std::string cubic = "-cell 100 -default_F 100 -N 5 -detpixels 256 ";

double sum_of(const Image& image) {
  return std::accumulate(image.pixels.begin(), image.pixels.end(), 0.0);
}

/// p^2/R^2 C/R, the solid angle of a small flat pixel.
double oblique_solid_angle(double pixel, double close, double distance) {
  return pixel * pixel / (distance * distance) * close / distance;
}

// ---- Geometry and conventions ----------------------------------------------------------------

TEST(Acceptance, AT_GEO_001_MosflmBeamCentreMapsWithHalfAPixel) {
  for (const std::string& mode : {std::string(), corrected}) {
    const Panel panel = resolved_of("-mosflm -pixel 0.1 -distance 100 -Xbeam 51.2 -Ybeam 51.2" +
                                    mode)
                            .panel;
    EXPECT_CLOSE(panel.origin, (Vec3d{0.1, 0.05125, -0.05125}));
    EXPECT_CLOSE(panel.beam_fast, 0.05125);
    EXPECT_CLOSE(panel.beam_slow, 0.05125);
  }
}

TEST(Acceptance, AT_GEO_002_ExplicitPivotsAndDistancesChooseThePivotInCorrectedMode) {
  const auto pivot = [](const std::string& line) { return resolved_of(line).panel.pivot; };
  EXPECT_EQ(pivot("-distance 100" + corrected), Pivot::beam);
  EXPECT_EQ(pivot("-close_distance 100" + corrected), Pivot::sample);
  EXPECT_EQ(pivot("-pivot sample -distance 100" + corrected), Pivot::sample);
  EXPECT_EQ(pivot("-distance 100 -pivot sample" + corrected), Pivot::sample);
}

TEST(Acceptance, AT_GEO_002_ConventionsForceTheirPivotInCompatMode) {
  for (const char* flags : {"-distance 100", "-close_distance 100", "-pivot sample"}) {
    EXPECT_EQ(resolved_of(flags).panel.pivot, Pivot::beam) << flags;
    EXPECT_EQ(resolved_of(std::string("-xds ") + flags).panel.pivot, Pivot::sample) << flags;
  }
  // Only custom vectors leave it to the flags
  const std::string custom = "-spindle_axis 0 0 1 ";
  EXPECT_EQ(resolved_of(custom + "-distance 100").panel.pivot, Pivot::beam);
  EXPECT_EQ(resolved_of(custom + "-close_distance 100").panel.pivot, Pivot::sample);
  EXPECT_EQ(resolved_of(custom + "-distance 100 -pivot sample").panel.pivot, Pivot::sample);
}

const std::string tilted =
    "-detpixels 256 -close_distance 100 -detector_rotx 5 -detector_roty 3 -detector_rotz 2 ";

TEST(Acceptance, AT_GEO_003_DistanceIsCloseDistanceOverTheCosineInCorrectedMode) {
  for (const char* pivot : {"-pivot beam", "-pivot sample"}) {
    const Panel
        panel = resolved_of(tilted + "-twotheta 20 -Xbeam 10 -Ybeam 12 " + pivot + corrected).panel;
    const double r = dot(panel.beam, panel.normal);
    EXPECT_CLOSE(panel.close_distance, 0.1);
    EXPECT_CLOSE(panel.distance, 0.1 / r);
    // Where the beam meets the panel, from the panel itself
    const Vec3d spot = panel.distance * panel.beam - panel.origin;
    EXPECT_CLOSE(dot(spot, panel.fast), panel.beam_fast);
    EXPECT_CLOSE(dot(spot, panel.slow), panel.beam_slow);
    EXPECT_NEAR(dot(spot, panel.normal), 0, 1e-15);
  }
}

TEST(Acceptance, AT_GEO_003_BeamCentreStaysWithPivotBeamAndTheNearPointWithPivotSample) {
  const std::string line = tilted + "-twotheta 20 ";
  const Panel beam = resolved_of(line + "-Xbeam 10 -Ybeam 12 -pivot beam" + corrected).panel;
  EXPECT_CLOSE(beam.beam_fast, 12.05e-3);
  EXPECT_CLOSE(beam.beam_slow, 10.05e-3);
  const Panel sample = resolved_of(line + "-ORGX 90 -ORGY 100 -pivot sample" + corrected).panel;
  EXPECT_CLOSE(sample.near_fast, 8.95e-3);
  EXPECT_CLOSE(sample.near_slow, 9.95e-3);
  // compat: without two-theta, which it leaves out
  const Panel compat = resolved_of(tilted + "-Xbeam 10 -Ybeam 12").panel;
  EXPECT_CLOSE(compat.beam_fast, 12.05e-3);
  EXPECT_CLOSE(compat.distance, 0.1 / 0.998021196624068);
}

TEST(Acceptance, AT_GEO_004_TwoThetaTurnsAboutTheConventionsAxis) {
  struct Case {
    const char* flags;
    Vec3d axis, fast, slow;  // before the swing
  };
  const Vec3d x{1, 0, 0}, y{0, 1, 0}, z{0, 0, 1};
  for (const Case& c : {Case{"-mosflm", -z, z, -y}, Case{"-denzo", -z, z, -y},
                        Case{"-adxv", -x, x, -y}, Case{"-xds", x, x, y}, Case{"-dials", y, x, y}})
    for (const std::string& mode : {std::string(" "), corrected}) {
      const Panel panel = resolved_of(c.flags + mode + "-twotheta 1.5").panel;
      EXPECT_EQ(panel.two_theta_axis, c.axis) << c.flags;
      EXPECT_CLOSE(panel.two_theta, 1.5 * degree);
      const auto turned = [&](const Vec3d& v) {
        const double angle = 1.5 * degree;
        return (1 - std::cos(angle)) * dot(c.axis, v) * c.axis + std::cos(angle) * v +
               std::sin(angle) * cross(c.axis, v);
      };
      EXPECT_CLOSE(panel.fast, turned(c.fast));
      EXPECT_CLOSE(panel.slow, turned(c.slow));
    }
}

TEST(Acceptance, AT_GEO_004_TwoThetaInTheHeaderIsTheOneGiven) {
  const test::TempDir folder;
  for (const char* mode : {"", "-corrected -intfile intimage.img "})
    for (const char* convention : {"-mosflm", "-xds", "-dials", "-adxv", "-denzo"}) {
      ASSERT_EQ(test::run_program(folder.path(), std::string(mode) + convention +
                                                     " -cell 100 -default_F 1 -detpixels 4 "
                                                     "-twotheta 1.5")
                    .exit_code,
                0);
      EXPECT_EQ(io::read_smv(folder / "intimage.img").value("TWOTHETA", false), 1.5);
    }
}

TEST(Acceptance, AT_GEO_005_CurvedDetectorHasAllPixelsAtOneDistance) {
  const std::string line = cubic + "-curved_det -oversample 1 -Xbeam 5 -Ybeam 8 ";
  for (const std::string& mode : {std::string(), corrected})
    for (const auto& [fast, slow] : {std::pair{0, 0}, {255, 0}, {130, 200}, {80, 50}, {3, 251}})
      EXPECT_CLOSE(pixel_of(line + mode, fast, slow).last().at.distance, 0.1);
}

TEST(Acceptance, AT_GEO_005_CurvedDetectorBendsByArcOverDistanceInCorrectedMode) {
  // Beam through the centre of pixel 80, 50
  const std::string line = cubic + "-curved_det -oversample 1 -Xbeam 5 -Ybeam 8" + corrected;
  for (const int off : {-50, -7, 1, 60, 150}) {
    const double arc = off * 1e-4 / 0.1;
    const Vec3d along_fast = pixel_of(line, 80 + off, 50).last().at.direction;
    EXPECT_CLOSE_WITHIN(1e-9, along_fast, (Vec3d{std::cos(arc), 0, std::sin(arc)}));
    const Vec3d along_slow = pixel_of(line, 80, 50 + off).last().at.direction;
    EXPECT_CLOSE_WITHIN(1e-9, along_slow, (Vec3d{std::cos(arc), -std::sin(arc), 0}));
    // A flat one has tangents instead
    const Vec3d flat = pixel_of(cubic + "-oversample 1 -Xbeam 5 -Ybeam 8", 80 + off, 50)
                           .last()
                           .at.direction;
    EXPECT_CLOSE_WITHIN(1e-9, flat.z / flat.x, arc);
  }
}

TEST(Acceptance, AT_GEO_006_PointPixelsLeaveOutObliquityAndInCompatModeTheArea) {
  const std::string line = cubic + "-detpixels 1024 -oversample 1 -Xbeam 5 -Ybeam 8 ";
  for (const auto& [fast, slow] : {std::pair{900, 1000}, {10, 700}}) {
    const double R = pixel_of(line, fast, slow).last().at.distance;
    const double expected = oblique_solid_angle(1e-4, 0.1, R);
    EXPECT_CLOSE(pixel_of(line, fast, slow).last().solid_angle, expected);
    EXPECT_CLOSE(pixel_of(line + corrected, fast, slow).last().solid_angle, expected);
    EXPECT_CLOSE(pixel_of(line + "-point_pixel", fast, slow).last().solid_angle, 1 / (R * R));
    EXPECT_CLOSE(pixel_of(line + "-point_pixel" + corrected, fast, slow).last().solid_angle,
                 1e-8 / (R * R));
  }
}

// ---- Sampling, normalization, absorption -----------------------------------------------------

TEST(Acceptance, AT_SAM_001_StepsThatAreAlikeAverageToOneOfThem) {
  const test::TempDir folder;
  const std::string two = folder.file("two.src", "-10 0 0\n-10 0 0\n");
  for (const std::string& mode : {std::string(), corrected}) {
    const std::vector<float> one = image_of(cubic + mode).image.pixels;
    EXPECT_EQ(image_of(cubic + mode + "-sourcefile " + two).image.pixels, one);
    // Two steps of no width are an error where phi steps are slices
    if (mode.empty()) {
      EXPECT_EQ(image_of(cubic + "-osc 0 -phisteps 2").image.pixels, one);
    }
  }
}

/// Short distance, coarse pixels: factors differ within one pixel.
const std::string close_up =
    "-cell 100 -default_F 100 -N 5 -detpixels 64 -pixel 0.5 -distance 20 -Xbeam 2 -Ybeam 4 "
    "-oversample 2 -polar 0.5 ";

double solid_angle_of(const engine::StepRecord& step) {
  return oblique_solid_angle(0.5e-3, 0.02, step.at.distance);
}
/// Kahn's factor from the ray alone; the beam is along x and E along z.
double polarization_of(const engine::StepRecord& step, double K) {
  const Vec3d& d = step.at.direction;
  return 0.5 * (1 + d.x * d.x - K * (d.z * d.z - d.y * d.y));
}

TEST(Acceptance, AT_SAM_002_FirstValuesStandForAPixelInCompatMode) {
  // The acceptance text says the last ones; the C program computes them once, at the first
  const auto watched = pixel_of(close_up, 60, 30);
  ASSERT_THAT(watched.steps, SizeIs(4));
  const auto& first = watched.steps.front();
  EXPECT_CLOSE_WITHIN(1e-12, watched.pixel.solid_angle, solid_angle_of(first));
  EXPECT_CLOSE_WITHIN(1e-12, watched.pixel.polarization, polarization_of(first, 0.5));
  double terms = 0;
  for (const auto& step : watched.steps) terms += step.term;
  EXPECT_CLOSE_WITHIN(
      1e-12, watched.pixel.photons,
      watched.plan.scale * terms * solid_angle_of(first) * polarization_of(first, 0.5));
}

TEST(Acceptance, AT_SAM_002_OversampleFlagsMultiplyTheRunningSumInCompatMode) {
  const auto watched = pixel_of(close_up + "-oversample_omega -oversample_polar", 60, 30);
  double sum = 0;
  for (const auto& step : watched.steps)
    sum = (sum + step.term) * (polarization_of(step, 0.5) * solid_angle_of(step));
  EXPECT_CLOSE_WITHIN(1e-12, watched.pixel.photons, watched.plan.scale * sum);
}

TEST(Acceptance, AT_SAM_002_EveryTermHasItsOwnFactorsInCorrectedMode) {
  for (const char* flags : {"", "-oversample_omega -oversample_polar"}) {
    const auto watched = pixel_of(close_up + corrected + flags, 60, 30);
    double sum = 0;
    for (const auto& step : watched.steps)
      sum += step.term * polarization_of(step, 0.5) * solid_angle_of(step);
    EXPECT_CLOSE_WITHIN(1e-12, watched.pixel.photons, watched.plan.scale * sum);
  }
}

/// 450 um of sensor that absorb over 234 um, seen under a slant.
const std::string sensor =
    "-cell 100 -default_F 100 -N 5 -detpixels 64 -pixel 1 -distance 50 -oversample 1 "
    "-detector_thick 450 -detector_abs 234 -thicksteps 5 ";

double captured(int layer, double layer_step, double rho) {
  const double mu = 1 / 234e-6;
  return std::exp(-layer * layer_step * mu / rho) - std::exp(-(layer + 1) * layer_step * mu / rho);
}

TEST(Acceptance, AT_ABS_001_LayersCaptureWhatTheyShouldAndAddUpInCorrectedMode) {
  for (const char* flags : {"", "-oversample_thick"}) {
    const auto watched = pixel_of(sensor + corrected + flags, 60, 50);
    ASSERT_THAT(watched.steps, SizeIs(5));
    double total = 0, sum = 0;
    for (const auto& step : watched.steps) {
      const double rho = step.at.direction.x;
      EXPECT_LT(rho, 0.85);
      EXPECT_CLOSE_WITHIN(1e-12, step.capture, captured(step.at.layer, 90e-6, rho));
      total += step.capture;
      sum += step.term * step.capture * step.solid_angle * step.polarization;
    }
    const double rho = watched.steps[2].at.direction.x;
    EXPECT_NEAR(total, 1 - std::exp(-450.0 / 234 / rho), 1e-3);
    EXPECT_CLOSE_WITHIN(1e-12, watched.pixel.photons, watched.plan.scale * sum);
  }
}

TEST(Acceptance, AT_ABS_001_TheLastLayersCaptureScalesAllInCompatMode) {
  // n layers are thickness/(n-1) apart there
  const auto watched = pixel_of(sensor, 60, 50);
  ASSERT_THAT(watched.steps, SizeIs(5));
  double terms = 0;
  for (const auto& step : watched.steps) terms += step.term;
  const auto& first = watched.steps.front();
  const auto& last = watched.steps.back();
  EXPECT_CLOSE_WITHIN(1e-12, watched.pixel.photons,
                      watched.plan.scale * terms * first.solid_angle * first.polarization *
                          captured(4, 112.5e-6, last.at.direction.x));
}

TEST(Acceptance, AT_ABS_001_OversampleThickMultipliesTheRunningSumInCompatMode) {
  const auto watched = pixel_of(sensor + "-oversample_thick", 60, 50);
  double sum = 0;
  for (const auto& step : watched.steps)
    sum = (sum + step.term) * captured(step.at.layer, 112.5e-6, step.at.direction.x);
  const auto& first = watched.steps.front();
  EXPECT_CLOSE_WITHIN(1e-12, watched.pixel.photons,
                      watched.plan.scale * sum * first.solid_angle * first.polarization);
}

TEST(Acceptance, AT_SAM_003_WhatScattersBeyondDminIsLeftOut) {
  const std::string line = cubic + "-detpixels 64 -pixel 1 -oversample 1 ";
  for (const std::string& mode : {std::string(), corrected}) {
    const Image all = image_of(line + mode).image, cut = image_of(line + mode + "-dmin 4").image;
    int dark = 0;
    for (int slow = 0; slow < 64; ++slow)
      for (int fast = 0; fast < 64; ++fast) {
        const Vec3d q = pixel_of(line + mode, fast, slow).last().q;
        const bool beyond = 1 / length(q) < 4e-10;
        dark += beyond;
        EXPECT_EQ(cut.at(fast, slow), beyond ? 0 : all.at(fast, slow)) << fast << ' ' << slow;
      }
    EXPECT_GT(dark, 100);
    EXPECT_LT(dark, 64 * 64 - 100);
  }
}

// ---- Structure factors -----------------------------------------------------------------------

class AcceptanceFiles : public testing::Test {
 protected:
  /// Beam along x, so the picture shows (0, k, l): k against the slow axis, l along the fast one.
  std::string with_table(const std::string& text) const {
    return "-cell 100 -N 5 -detpixels 64 -oversample 1 -Xbeam 3.2 -Ybeam 3.2 -hkl " +
           folder.file("F.hkl", text) + ' ';
  }
  test::Outcome run(const std::string& line) const {
    test::Outcome outcome = test::run_program(folder.path(), line);
    EXPECT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
    return outcome;
  }
  /// The program's standard output.
  std::string printed(const std::string& line) const { return run(line).out; }

  test::TempDir folder;
};

double table_value(const Vec3d& h, double otherwise) {
  if (h == Vec3d{0, 0, 0}) return 100;
  if (h == Vec3d{0, 2, 0}) return 80;
  if (h == Vec3d{0, 0, 2}) return 60;
  return otherwise;
}

TEST_F(AcceptanceFiles, AT_STR_001_NearestReflectionAndDefaultOutsideTheTable) {
  const std::string line = with_table("0 0 0 100\n0 2 0 80\n0 0 2 60\n") +
                           "-default_F 7 -nointerpolate ";
  for (const std::string& mode : {std::string(), corrected}) {
    std::set<double> met;
    for (int slow = 0; slow < 64; slow += 3)
      for (int fast = 0; fast < 64; fast += 3) {
        const auto step = pixel_of(line + mode, fast, slow).last();
        for (const auto& [index, nearest] :
             {std::pair{step.hkl.y, step.nearest.y}, std::pair{step.hkl.z, step.nearest.z}})
          EXPECT_EQ(nearest, std::ceil(index - 0.5));
        EXPECT_EQ(step.structure_factor, table_value(step.nearest, 7));
        met.insert(step.structure_factor);
      }
    EXPECT_THAT(met, testing::ElementsAre(7, 60, 80, 100));
  }
}

/// Every (h,k,l) up to `most`; F is linear in the indices, which a cubic reproduces exactly.
std::string linear_table(int most) {
  std::string text;
  for (int h = -most; h <= most; ++h)
    for (int k = -most; k <= most; ++k)
      for (int l = -most; l <= most; ++l)
        text += std::to_string(h) + ' ' + std::to_string(k) + ' ' + std::to_string(l) + ' ' +
                std::to_string(1000 + 50 * h + 20 * k + 10 * l) + '\n';
  return text;
}

TEST_F(AcceptanceFiles, AT_STR_002_TricubicInterpolationBetweenReflections) {
  const std::string line = with_table(linear_table(7)) + "-interpolate ";
  for (const std::string& mode : {std::string(), corrected})
    for (const auto& [fast, slow] : {std::pair{3, 5}, {37, 20}, {50, 61}}) {
      const auto step = pixel_of(line + mode, fast, slow).last();
      EXPECT_TRUE(step.interpolated);
      EXPECT_CLOSE_WITHIN(1e-9, step.structure_factor,
                          1000 + 50 * step.hkl.x + 20 * step.hkl.y + 10 * step.hkl.z);
    }
}

TEST_F(AcceptanceFiles, AT_STR_002_TheFirstMissTurnsInterpolationOffForTheImageInCompatMode) {
  // The lookup that misses takes the nearest reflection, not default_F as the acceptance text has
  // it; the first pixel misses here, so nothing is interpolated
  const std::string line = with_table(linear_table(3)) + "-default_F 7 -N 2 -nocache ";
  run(line + "-interpolate -floatfile a.bin");
  run(line + "-nointerpolate -floatfile b.bin");
  EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
}

TEST_F(AcceptanceFiles, AT_STR_002_OnlyTheLookupsThatMissTakeTheDefaultInCorrectedMode) {
  const std::string line = with_table(linear_table(3)) + "-default_F 7 -interpolate" + corrected;
  const auto outside = pixel_of(line, 0, 0).last(), inside = pixel_of(line, 30, 34).last();
  EXPECT_FALSE(outside.interpolated);
  EXPECT_EQ(outside.structure_factor, 7);
  EXPECT_TRUE(inside.interpolated);
  const std::string err = run(line + "-nocache").err;
  const std::size_t at = err.find("tricubic interpolation met the edge");
  EXPECT_NE(at, std::string::npos);
  EXPECT_EQ(err.find("tricubic interpolation met the edge", at + 1), std::string::npos);
}

TEST(Acceptance, AT_STR_003_CrystalShapesFollowTheirFormulas) {
  const std::string line =
      "-cell 100 80 50 -default_F 100 -Na 4 -Nb 5 -Nc 6 -detpixels 64 -oversample 1 -fudge 0.7 ";
  const auto sincg = [](double h, double N) { return std::sin(pi * N * h) / std::sin(pi * h); };
  for (const std::string& mode : {std::string(), corrected})
    for (const auto& [fast, slow] : {std::pair{33, 30}, {35, 36}, {10, 20}, {52, 21}}) {
      const auto square = pixel_of(line + mode, fast, slow).last();
      const Vec3d d = square.hkl - square.nearest;
      const double product = sincg(d.x, 4) * sincg(d.y, 5) * sincg(d.z, 6);
      // Only its square counts, so the sign is left open
      EXPECT_CLOSE_WITHIN(1e-9, std::abs(square.lattice_factor), std::abs(product));

      const double u = pi * std::sqrt(0.7 * (16 * d.x * d.x + 25 * d.y * d.y + 36 * d.z * d.z));
      EXPECT_CLOSE_WITHIN(1e-9,
                          pixel_of(line + mode + "-round_xtal", fast, slow).last().lattice_factor,
                          120 * 0.723601254558268 * 3 * (std::sin(u) / u - std::cos(u)) / (u * u));

      // nanoBragg measures these radii in 1/Angstrom, times the number of cells
      const double radius2 = mode.empty()
                                 ? 120.0 * 120 *
                                       (d.x * d.x / 1e4 + d.y * d.y / 6.4e3 + d.z * d.z / 2.5e3)
                                 : 16 * d.x * d.x + 25 * d.y * d.y + 36 * d.z * d.z;
      const auto gauss = pixel_of(line + mode + "-gauss_xtal", fast, slow);
      const double bell = 120 * std::exp(-radius2 / 0.63 * 0.7);
      if (gauss.steps.empty())
        EXPECT_LT(bell, 1e-300);
      else
        EXPECT_CLOSE_WITHIN(1e-8, gauss.last().lattice_factor, bell);
      const auto tophat = pixel_of(line + mode + "-tophat_spots", fast, slow);
      if (radius2 * 0.7 < 0.3969)
        EXPECT_EQ(tophat.last().lattice_factor, 120);
      else
        EXPECT_THAT(tophat.steps, SizeIs(0));
    }
}

TEST_F(AcceptanceFiles, AT_STR_004_ReflectionsThatAreMissingTakeTheDefault) {
  // (0, k, l) are the ones that this setting shows; one with F 100 everywhere leaves the squares
  const std::string sparse = with_table("0 0 0 100\n0 2 0 80\n0 0 2 60\n") + "-default_F 10 ";
  const std::string
      even = "-cell 100 -N 5 -detpixels 64 -oversample 1 -Xbeam 3.2 -Ybeam 3.2 -default_F 100 ";
  for (const std::string& mode : {std::string(), corrected}) {
    const Image image = image_of(sparse + mode).image, flat = image_of(even + mode).image;
    for (int slow = 0; slow < 64; ++slow)
      for (int fast = 0; fast < 64; ++fast) {
        const auto step = pixel_of(even + mode, fast, slow).last();
        const double expected = table_value(step.nearest, 10) / 100;
        EXPECT_NEAR(image.at(fast, slow), expected * expected * double(flat.at(fast, slow)),
                    1e-5 * double(flat.at(fast, slow)));
      }
    // I(0,0,0) / I(0,1,0), each divided by what geometry makes of it: (100/10)^2
    const double origin = double(image.at(32, 32)) / double(flat.at(32, 32)),
                 missing = double(image.at(32, 22)) / double(flat.at(32, 22));
    EXPECT_NEAR(origin / missing, 100, 0.01);
  }
}

// ---- Polarization ----------------------------------------------------------------------------

TEST(Acceptance, AT_POL_001_KahnsFactorFollowsItsFormula) {
  const std::string line = cubic + "-detpixels 64 -pixel 2 -oversample 1 ";
  for (const std::string& mode : {std::string(), corrected})
    for (const double K : {0.0, 0.3, 0.95, 1.0})
      for (const auto& [fast, slow] : {std::pair{60, 10}, {3, 30}, {33, 62}}) {
        const auto watched = pixel_of(line + mode + "-polar " + std::to_string(K), fast, slow);
        const Vec3d d = watched.last().at.direction;
        const double cos_2theta = d.x, sin2_2theta = 1 - d.x * d.x;
        const double psi = std::atan2(d.y, d.z);  // from the E vector, z
        const double expected = 0.5 *
                                (1 + cos_2theta * cos_2theta - K * std::cos(2 * psi) * sin2_2theta);
        EXPECT_CLOSE_WITHIN(1e-9, watched.last().polarization, expected);
        EXPECT_CLOSE_WITHIN(1e-12, watched.pixel.photons,
                            watched.plan.scale * watched.last().term * watched.last().solid_angle *
                                watched.last().polarization);
      }
}

TEST(Acceptance, AT_POL_001_NopolarMakesTheFactorOne) {
  const std::string line = cubic + "-detpixels 64 -pixel 2 -oversample 1 -polar 0.9 -nopolar ";
  for (const std::string& mode : {std::string(), corrected})
    EXPECT_EQ(pixel_of(line + mode, 60, 10).last().polarization, 1);
}

// ---- Background and noise --------------------------------------------------------------------

/// Photons per steradian of a cube of water of this edge, where r_e^2 times fluence is 1.
double water(double edge_um) {
  const double edge = edge_um * 1e-6;
  return 2.57 * 2.57 * edge * edge * edge * 1e6 * 6.02214179e23 / 18;
}

TEST_F(AcceptanceFiles, AT_BKG_001_WaterStartsTheSumInCompatMode) {
  const auto watched = pixel_of(with_table("0 0 0 0\n") + "-water 10", 20, 30);
  EXPECT_CLOSE_WITHIN(1e-9, watched.pixel.sum, 220975801715394.47);
  EXPECT_CLOSE_WITHIN(1e-9, watched.pixel.sum, water(10));
  // ... and is divided by the steps
  const auto finer = pixel_of(with_table("0 0 0 0\n") + "-water 10 -oversample 2", 20, 30);
  EXPECT_NEAR(finer.pixel.photons / watched.pixel.photons, 0.25, 1e-3);
}

TEST_F(AcceptanceFiles, AT_BKG_001_WaterIsAddedOncePerPixelInCorrectedMode) {
  for (const char* flags : {"", "-oversample 2"}) {
    const auto watched = pixel_of(with_table("0 0 0 0\n") + "-water 10 " + flags + corrected, 20,
                                  30);
    EXPECT_CLOSE_WITHIN(1e-3, watched.pixel.photons,
                        water(10) * watched.pixel.solid_angle * watched.pixel.polarization);
  }
}

TEST_F(AcceptanceFiles, AT_NOISE_001_NoiseHasPoissonsMeanAndVarianceAtEveryLevel) {
  // The pixel nearest the beam holds 139 photons at the standard fluence
  for (const std::string& mode : {std::string(), corrected})
    for (const double level : {0.05, 1.0, 50.0}) {
      char fluence[40];
      std::snprintf(fluence, sizeof fluence, "%.6g", level * 1.25932e29);
      run("-cell 100 -default_F 100 -N 2 -detpixels 64 -seed 3 -adc 100 -nointerpolate -fluence " +
          std::string(fluence) + mode + " -floatfile f.bin -noisefile n.img");
      const std::vector<float> mean = test::read_floats(folder / "f.bin");
      const std::vector<std::uint16_t> counts = test::read_smv_pixels(folder / "n.img");
      double chi2 = 0, off = 0, variance = 0;
      for (std::size_t i = 0; i < mean.size(); ++i) {
        const double difference = counts[i] - 100.0 - double(mean[i]);
        chi2 += difference * difference;
        off += difference;
        variance += double(mean[i]);
      }
      // Five deviations of the sum; of its squares, Poisson's fourth moment is 3 m^2 + m
      EXPECT_LT(std::abs(off), 5 * std::sqrt(variance)) << mode << level;
      double fourth = 0;
      for (const float m : mean) fourth += 2 * double(m) * double(m) + double(m);
      EXPECT_LT(std::abs(chi2 - variance), 5 * std::sqrt(fourth)) << mode << level;
    }
}

TEST_F(AcceptanceFiles, AT_NOISE_001_NoiseAboveTheCountersRangeIsClippedAndCounted) {
  folder.file("F.hkl", "0 0 0 0\n");
  for (const std::string& mode : {std::string(), corrected}) {
    // Water alone, millions of photons in every pixel
    const std::string out = printed(
        "-cell 100 -hkl F.hkl -nocache -N 5 -detpixels 16 -nopolar -oversample 1 -water 10 -seed 1 "
        "-floatfile f.bin -noisefile n.img -fluence 1.2e28" +
        mode);
    const std::vector<float> mean = test::read_floats(folder / "f.bin");
    const double expected = std::accumulate(mean.begin(), mean.end(), 0.0);
    ASSERT_GT(mean[0], 1e6);
    EXPECT_THAT(out, HasSubstr("(256 overloads)"));
    EXPECT_THAT(test::read_smv_pixels(folder / "n.img"), testing::Each(65535));
    const std::size_t end = out.find(" photons on noise image");
    const double total = std::stod(out.substr(out.rfind('\n', end) + 1));
    EXPECT_NEAR(total, expected, 5 * std::sqrt(expected));
  }
}

// ---- Files -----------------------------------------------------------------------------------

TEST_F(AcceptanceFiles, AT_IO_001_SmvFilesHoldEveryKeyAndTheFastAxisFirst) {
  for (const std::string& mode : {std::string(), corrected}) {
    run("-cell 100 -default_F 100 -N 5 -detpixels_f 20 -detpixels_s 12 -scale 100 -adc 10 -seed 1 "
        "-floatfile f.bin -intfile i.img -noisefile n.img" +
        mode);
    const std::vector<float> image = test::read_floats(folder / "f.bin");
    for (const char* name : {"i.img", "n.img"}) {
      const io::SmvFile file = io::read_smv(folder / name);
      for (const char* key :
           {"HEADER_BYTES",    "DIM",           "SIZE1",          "SIZE2",
            "PIXEL_SIZE",      "DISTANCE",      "WAVELENGTH",     "BEAM_CENTER_X",
            "BEAM_CENTER_Y",   "ADXV_CENTER_X", "ADXV_CENTER_Y",  "MOSFLM_CENTER_X",
            "MOSFLM_CENTER_Y", "DENZO_X_BEAM",  "DENZO_Y_BEAM",   "DIALS_ORIGIN",
            "XDS_ORGX",        "XDS_ORGY",      "CLOSE_DISTANCE", "PHI",
            "OSC_START",       "OSC_RANGE",     "TWOTHETA",       "DETECTOR_SN"})
        EXPECT_TRUE(file.value(key, false)) << key;
      EXPECT_THAT(file.header, HasSubstr("BYTE_ORDER=little_endian;\n"));
      EXPECT_THAT(file.header, HasSubstr("TYPE=unsigned_short;\n"));
      if (mode == corrected) {
        EXPECT_EQ(file.header.size() % 512, 0u);  // it says how the image was made, too
        // By BEAMLINE=fake DIALS would take the beam centre for another program's
        EXPECT_THAT(file.header, testing::Not(HasSubstr("BEAMLINE")));
        EXPECT_EQ(file.value("IMAGE_PEDESTAL", false), 10);
      } else {
        EXPECT_EQ(file.header.size(), 512u);
        EXPECT_THAT(file.header, HasSubstr("BEAMLINE=fake;\n}\f"));
      }
      EXPECT_EQ(file.fast_pixels, 20);
      EXPECT_EQ(file.slow_pixels, 12);
    }
    const io::SmvFile integers = io::read_smv(folder / "i.img");
    for (std::size_t i = 0; i < image.size(); ++i)
      EXPECT_EQ(integers.pixels[i], std::floor(float(double(image[i]) * 100 + 10 + 0.5)));
  }
}

TEST_F(AcceptanceFiles, AT_IO_002_GreymapsHoldTheirScaleAndTruncatedPixels) {
  for (const std::string& mode : {std::string(), corrected})
    for (const char* scale : {"", "-pgmscale 3 "}) {
      const std::string out = printed(
          "-cell 100 -default_F 100 -N 5 -detpixels_f 20 -detpixels_s 12 " + std::string(scale) +
          "-floatfile f.bin -pgmfile p.pgm" + mode);
      const std::string printed = out.substr(
          out.find("pgm_scale = ") + 12,
          out.find('\n', out.find("pgm_scale = ")) - out.find("pgm_scale = ") - 12);
      const std::string header = "P5\n20 12\n# pixels scaled by " + printed + "\n255\n";
      const std::string bytes = folder.content("p.pgm");
      ASSERT_TRUE(bytes.starts_with(header)) << bytes.substr(0, 60);
      ASSERT_EQ(bytes.size(), header.size() + 240);
      if (*scale) {
        EXPECT_EQ(printed, "3");
      }
      const std::vector<float> image = test::read_floats(folder / "f.bin");
      for (std::size_t i = 0; i < image.size(); ++i) {
        // The printed scale has six digits
        const double grey = std::min(255.0, double(image[i]) * std::stod(printed));
        EXPECT_NEAR(static_cast<unsigned char>(bytes[header.size() + i]), std::floor(grey),
                    *scale || grey - std::floor(grey) > 1e-3 ? 0 : 1);
      }
    }
}

TEST_F(AcceptanceFiles, AT_IO_003_TheCacheGivesTheImageAgain) {
  folder.file("F.hkl", "0 0 0 100\n0 2 0 80\n0 -1 2 60\n");
  for (const std::string& mode : {std::string(" -default_F 10 "), corrected + "-dump Fdump.bin "}) {
    const std::string line = "-cell 100 -N 5 -detpixels 64 -oversample 1" + mode;
    run(line + "-hkl F.hkl -floatfile a.bin");
    const std::string bytes = folder.content("Fdump.bin"), header = "0 0 -1 2 0 2\n\f";
    ASSERT_TRUE(bytes.starts_with(header));
    ASSERT_EQ(bytes.size(), header.size() + (1 + 1) * (4 + 1) * (3 + 1) * sizeof(double));
    const auto at = [&](std::size_t h, std::size_t k, std::size_t l) {
      double value;
      std::memcpy(&value, bytes.data() + header.size() + ((h * 5 + k + 1) * 4 + l) * sizeof value,
                  sizeof value);
      return value;
    };
    EXPECT_EQ(at(0, 0, 0), 100);
    EXPECT_EQ(at(0, 2, 0), 80);
    // What the list lacks holds default_F, the padding nothing
    EXPECT_EQ(at(0, 1, 0), mode == " -default_F 10 " ? 10 : 0);
    EXPECT_EQ(at(0, 0, 3), 0);
    EXPECT_EQ(at(1, 0, 0), 0);
    run(line + "-floatfile b.bin");
    EXPECT_EQ(folder.content("a.bin"), folder.content("b.bin"));
  }
}

TEST_F(AcceptanceFiles, AT_IO_004_FurtherColumnsOfAnHklFileChangeNothing) {
  // The C program slips out of step at a fifth column; here it is right in both modes
  folder.file("minimal.hkl", "0 0 0 100\n0 2 0 80\n0 -1 -2 60\n");
  folder.file("phase.hkl", "0 0 0 100 0\n0 2 0 80 45.5\n0 -1 -2 60 -180\n");
  folder.file("sigma.hkl", "0 0 0 100 1.5 0\n0 2 0 80 2 45.5\n0 -1 -2 60 3 -180\n");
  folder.file("real.hkl", "# h k l F\r\n 0.0 0.0 0.0 100.0\r\n0. 2. 0. 80\r\n0 -1 -2 6e1\r\n");
  for (const std::string& mode : {std::string(), corrected + "-dump Fdump.bin "}) {
    const std::string line = "-cell 100 -N 5 -detpixels 64 -oversample 1 " + mode;
    run(line + "-hkl minimal.hkl -floatfile a.bin");
    const std::string image = folder.content("a.bin"), cache = folder.content("Fdump.bin");
    for (const char* file : {"phase.hkl", "sigma.hkl", "real.hkl"}) {
      run(line + "-floatfile b.bin -hkl " + file);
      EXPECT_EQ(folder.content("b.bin"), image) << file;
      EXPECT_EQ(folder.content("Fdump.bin"), cache) << file;
      run(line + "-floatfile b.bin");
      EXPECT_EQ(folder.content("b.bin"), image) << file;
    }
  }
}

// ---- Sources ---------------------------------------------------------------------------------

class AcceptanceSources : public AcceptanceFiles {
 protected:
  /// Sum over the two sources of their own images, weighted.
  std::vector<double> mixture(const std::string& flags, const std::string& source1,
                              const std::string& source2, double w1, double w2) const {
    const std::string one = folder.file("one.src", source1), two = folder.file("two.src", source2);
    const Image a = image_of(flags + "-sourcefile " + one).image,
                b = image_of(flags + "-sourcefile " + two).image;
    std::vector<double> mixed;
    for (std::size_t i = 0; i < a.pixels.size(); ++i)
      mixed.push_back((w1 * double(a.pixels[i]) + w2 * double(b.pixels[i])) / (w1 + w2));
    return mixed;
  }
  void expect_image(const std::string& flags, const std::vector<double>& expected) const {
    const Image image = image_of(flags).image;
    const double most = *std::max_element(expected.begin(), expected.end());
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(image.pixels[i], expected[i], 1e-6 * most) << i;
  }
  const std::string
      line = "-cell 100 -default_F 100 -N 5 -detpixels 64 -oversample 1 -nopolar -lambda 1 ";
  const std::string first = "-10 0 0 1 1e-10\n", second = "-10 0.01 0 3 1.1e-10\n";
};

TEST_F(AcceptanceSources, AT_SRC_001_TwoSourcesCountAlikeWithTheirWavelengthsInCompatMode) {
  const std::string both = folder.file("both.src", first + second);
  expect_image(line + "-sourcefile " + both, mixture(line, first, second, 1, 1));
  EXPECT_EQ(resolved_of(line + "-sourcefile " + both).steps, 2);
}

TEST_F(AcceptanceSources, AT_SRC_001_TheFlagsWavelengthIsForAllSourcesWhereAskedFor) {
  // This is the acceptance text's reading; the C program uses the column
  const std::string both = folder.file("both.src", first + second);
  expect_image(line + "-source_lambda cli -sourcefile " + both,
               mixture(line, "-10 0 0 1 1e-10\n", "-10 0.01 0 1 1e-10\n", 1, 1));
}

TEST_F(AcceptanceSources, AT_SRC_001_WeightsCountInCorrectedMode) {
  const std::string both = folder.file("both.src", first + second);
  expect_image(line + corrected + "-sourcefile " + both,
               mixture(line + corrected, first, second, 1, 3));
}

struct GridCase {
  const char* flags;
  int steps;
  double range_mrad, step_mrad;
};

TEST(Acceptance, AT_SRC_002_CountRangeAndStepFollowFromEachOtherInCompatMode) {
  for (const GridCase& c : {GridCase{"", 1, 0, 0},
                            {"-hdivrange 2", 2, 2, 2},
                            {"-hdivrange 2 -hdivsteps 1", 2, 2, 2},
                            {"-hdivrange 2 -hdivsteps 3", 3, 2, 1},
                            {"-hdivrange 2 -hdivsteps 3 -hdivstep 0.5", 3, 2, 0.5},
                            {"-hdivrange 2 -hdivstep 5", 1, 2, 5},
                            {"-hdivrange 0.28 -hdivstep 0.02", 14, 0.28, 0.02},
                            {"-hdivstep 0.5", 2, 0.5, 0.5},
                            {"-hdivstep 0.5 -hdivsteps 7", 2, 0.5, 0.5},
                            {"-hdivsteps 3", 3, 1000, 1000.0 / 3},
                            {"-hdivsteps 1", 1, 1000, 1000},
                            {"-hdivrange 0 -hdivsteps 5", 1, 0, 0}}) {
    const Grid grid = resolved_of(c.flags).horizontal;
    EXPECT_EQ(grid.steps, c.steps) << c.flags;
    EXPECT_NEAR(grid.range, c.range_mrad / 1000, 1e-15) << c.flags;
    EXPECT_NEAR(grid.step, c.step_mrad / 1000, 1e-15) << c.flags;
  }
  EXPECT_THAT(resolved_of("-dispersion 2").wavelengths,
              testing::Pointwise(testing::DoubleEq(), {0.99e-10, 1.01e-10}));
  EXPECT_THAT(resolved_of("-dispersion 2 -dispsteps 3").wavelengths, SizeIs(3));
  EXPECT_THAT(resolved_of("-dispersion 2 -dispsteps 1").wavelengths, SizeIs(2));
  EXPECT_THAT(resolved_of("-dispsteps 5").wavelengths, SizeIs(1));
}

TEST(Acceptance, AT_SRC_002_SensorLayersFollowInCompatMode) {
  const auto sensor_of = [](const std::string& line) { return resolved_of(line).sensor; };
  EXPECT_EQ(sensor_of("-detector_thick 450").layers, 2);
  EXPECT_CLOSE(sensor_of("-detector_thick 450").layer_step, 225e-6);
  EXPECT_EQ(sensor_of("-detector_thick 450 -thicksteps 5").layers, 5);
  EXPECT_CLOSE(sensor_of("-detector_thick 450 -thicksteps 5").layer_step, 112.5e-6);
  EXPECT_EQ(sensor_of("-detector_thick 450 -thicksteps 1").layers, 2);
  EXPECT_CLOSE(sensor_of("-detector_thick 450 -thicksteps 1").layer_step, 450e-6);
  // A count alone gives one layer: the 0.5 um of the acceptance text cannot be reached in C
  EXPECT_EQ(sensor_of("-thicksteps 5").layers, 1);
  EXPECT_EQ(sensor_of("-thicksteps 5").thickness, 0);
}

TEST(Acceptance, AT_SRC_002_GridsAreSymmetricAndCountsNeedARangeInCorrectedMode) {
  const Resolved three = resolved_of("-hdivrange 2 -hdivsteps 3" + corrected);
  ASSERT_THAT(three.divergence, SizeIs(3));
  EXPECT_NEAR(three.divergence[0][0], -1e-3, 1e-15);
  EXPECT_NEAR(three.divergence[1][0], 0, 1e-15);
  EXPECT_NEAR(three.divergence[2][0], 1e-3, 1e-15);
  EXPECT_EQ(resolved_of("-hdivrange 2" + corrected).horizontal.steps, 2);
  EXPECT_EQ(resolved_of("-hdivstep 0.5" + corrected).horizontal.steps, 2);
  EXPECT_NEAR(resolved_of("-hdivstep 0.5" + corrected).horizontal.range, 0.5e-3, 1e-15);
  EXPECT_NEAR(resolved_of("-hdivrange 2 -hdivsteps 1" + corrected).divergence[0][0], 0, 1e-15);
  EXPECT_THROW(resolved_of("-hdivsteps 3" + corrected), UsageError);
  EXPECT_THROW(resolved_of("-dispsteps 3" + corrected), UsageError);
  const Sensor layers = resolved_of("-detector_thick 450 -thicksteps 5" + corrected).sensor;
  EXPECT_CLOSE(layers.layer_step, 90e-6);
}

// ---- Precedence, region of interest, mask ----------------------------------------------------

class AcceptanceHeaders : public AcceptanceFiles {
 protected:
  void SetUp() override {
    run("-cell 100 -default_F 1 -detpixels 16 -distance 150 -lambda 1.5 -Xbeam 0.7 -Ybeam 0.4 "
        "-corrected -intfile a.img");
    run("-cell 100 -default_F 1 -detpixels 16 -distance 90 -lambda 0.9 -Xbeam 0.6 -Ybeam 0.5 "
        "-corrected -intfile m.img");
  }
  Detector detector(const std::string& flags) const {
    return test::request_of(flags).experiment.detector;
  }
  std::string image() const { return "-img " + folder / "a.img" + ' '; }
  std::string mask() const { return "-mask " + folder / "m.img" + ' '; }
};

TEST_F(AcceptanceHeaders, AT_PRE_001_TheImageWinsInCompatModeAndTheLastFileInCorrected) {
  EXPECT_EQ(detector(image() + mask()).distance_mm, 150);
  EXPECT_EQ(detector(mask() + image()).distance_mm, 150);
  EXPECT_EQ(detector(image() + mask() + corrected).distance_mm, 90);
  EXPECT_EQ(detector(mask() + image() + corrected).distance_mm, 150);
}

TEST_F(AcceptanceHeaders, AT_PRE_001_AMasksBeamCentreCountsFromTheOtherEdge) {
  for (const std::string& mode : {std::string(), corrected}) {
    EXPECT_CLOSE(*detector(image() + mode).beam_y_mm, 0.4);
    EXPECT_CLOSE(*detector(mask() + mode).beam_x_mm, 0.6);
    EXPECT_CLOSE(*detector(mask() + mode).beam_y_mm, 1.6 - 0.5);
  }
}

TEST(Acceptance, AT_PRE_002_BeamCentreFlagsChooseThePivotInCorrectedMode) {
  const auto pivot = [](const std::string& line) { return resolved_of(line).panel.pivot; };
  for (const char* convention : {"-mosflm ", "-xds ", "-adxv "}) {
    for (const char* flag : {"-Xbeam 5", "-Ybeam 5"})
      EXPECT_EQ(pivot(convention + (flag + corrected)), Pivot::beam) << convention << flag;
    for (const char* flag : {"-Xclose 5", "-Yclose 5", "-ORGX 50", "-ORGY 50"})
      EXPECT_EQ(pivot(convention + (flag + corrected)), Pivot::sample) << convention << flag;
    EXPECT_EQ(pivot(convention + ("-pivot sample -Xbeam 5" + corrected)), Pivot::sample);
    EXPECT_EQ(pivot(convention + ("-Xclose 5 -pivot beam -ORGX 5" + corrected)), Pivot::beam);
  }
}

TEST(Acceptance, AT_PRE_002_BeamCentreFlagsChooseThePivotOfCustomVectorsInCompatMode) {
  const std::string custom = "-spindle_axis 0 0 1 ";
  EXPECT_EQ(resolved_of(custom + "-ORGX 5 -Xbeam 5").panel.pivot, Pivot::beam);
  EXPECT_EQ(resolved_of(custom + "-Xbeam 5 -ORGX 5").panel.pivot, Pivot::sample);
  EXPECT_EQ(resolved_of(custom + "-Xclose 5 -pivot beam").panel.pivot, Pivot::beam);
  // Every other convention overrules them
  EXPECT_EQ(resolved_of("-mosflm -ORGX 5").panel.pivot, Pivot::beam);
  EXPECT_EQ(resolved_of("-xds -Xbeam 5").panel.pivot, Pivot::sample);
}

TEST_F(AcceptanceHeaders, AT_ROI_001_PixelsOutsideTheRegionOrMaskedAreDarkAndNotCounted) {
  // A mask of the run's own size with a dark block at fast 4..6, slow 5..7
  std::string bytes = folder.content("m.img");
  const auto masked = [](int fast, int slow) {
    return fast >= 4 && fast <= 6 && slow >= 5 && slow <= 7;
  };
  const std::size_t header = test::smv_header_bytes(bytes);
  for (int slow = 0; slow < 16; ++slow)
    for (int fast = 0; fast < 16; ++fast) {
      const std::size_t pixel = header + 2 * static_cast<std::size_t>(slow * 16 + fast);
      bytes[pixel] = masked(fast, slow) ? 0 : 1;
      bytes[pixel + 1] = 0;
    }
  folder.file("m.img", bytes);
  for (const std::string& mode : {std::string(), corrected}) {
    const Simulation s = image_of("-cell 100 -default_F 100 -N 5 -roi 3 12 2 9 " + mask() + mode);
    double sum = 0, squares = 0;
    int count = 0;
    for (int slow = 0; slow < 16; ++slow)
      for (int fast = 0; fast < 16; ++fast) {
        const bool rendered = fast >= 3 && fast <= 12 && slow >= 2 && slow <= 9 &&
                              !masked(fast, slow);
        const auto value = double(s.image.at(fast, slow));
        EXPECT_EQ(value > 0, rendered) << fast << ' ' << slow;
        sum += value;
        squares += value * value;
        count += rendered;
      }
    EXPECT_EQ(s.statistics.pixels, count);
    EXPECT_CLOSE_WITHIN(1e-9, s.statistics.mean, sum / count);
    EXPECT_CLOSE_WITHIN(1e-6, s.statistics.rms, std::sqrt(squares / (count - 1)));
    // rmsd alone counts masked pixels in compat mode, as zeros
    const double mean = sum / count;
    const double deviations = squares - count * mean * mean + (mode.empty() ? 9 * mean * mean : 0);
    EXPECT_CLOSE_WITHIN(1e-6, s.statistics.rmsd,
                        std::sqrt(deviations / (count - 1 + (mode.empty() ? 9 : 0))));
  }
}

// ---- Fluence and statistics ------------------------------------------------------------------

TEST(Acceptance, AT_FLU_001_FluenceFollowsFromFluxExposureAndBeamSize) {
  for (const std::string& mode : {std::string(), corrected}) {
    const Resolved r = resolved_of("-fluence 1e15 -flux 1e12 -exposure 0.1 -beamsize 0.05" + mode);
    EXPECT_CLOSE(r.fluence, 1e12 * 0.1 / 25e-10);
    EXPECT_CLOSE(r.flux, 1e12);
    const Resolved given = resolved_of("-fluence 1e15 -exposure 2 -beamsize 0.05" + mode);
    EXPECT_CLOSE(given.fluence, 1e15);
    EXPECT_CLOSE(given.flux, 1e15 / 2 * 25e-10);
  }
}

TEST(Acceptance, AT_FLU_001_TheCrystalIsClippedToTheBeamInYAndZAndThatIsReported) {
  for (const std::string& mode : {std::string(), corrected}) {
    const Resolved r = resolved_of("-cell 100 80 50 -samplesize 0.0005 -beamsize 0.0003" + mode);
    EXPECT_EQ(r.cells, (Vec3d{50, 38, 60}));
    EXPECT_EQ(std::count_if(r.warnings.begin(), r.warnings.end(),
                            [](const std::string& w) {
                              return w.find("clipped to the beam size") != std::string::npos;
                            }),
              2);
  }
}

TEST(Acceptance, AT_STA_001_StatisticsAreThoseOfTheFloatImage) {
  for (const std::string& mode : {std::string(), corrected}) {
    const Simulation s = image_of(cubic + "-roi 100 140 90 150 -oversample 2" + mode);
    double sum = 0, squares = 0, most = 0;
    int max_fast = -1, max_slow = -1;
    for (int slow = 90; slow <= 150; ++slow)
      for (int fast = 100; fast <= 140; ++fast) {
        const auto value = double(s.image.at(fast, slow));
        sum += value;
        squares += value * value;
        if (value > most) {
          most = value;
          max_fast = fast;
          max_slow = slow;
        }
      }
    const double n = 41 * 61, mean = sum / n;
    EXPECT_EQ(s.statistics.pixels, n);
    EXPECT_EQ(s.statistics.max, most);
    EXPECT_EQ(s.statistics.max_fast, max_fast);
    EXPECT_EQ(s.statistics.max_slow, max_slow);
    // The second of two sub-pixels sits three quarters into its pixel
    EXPECT_NEAR(s.statistics.max_fast_m, (max_fast + 0.75) * 1e-4, 1e-12);
    EXPECT_NEAR(s.statistics.max_slow_m, (max_slow + 0.75) * 1e-4, 1e-12);
    EXPECT_CLOSE_WITHIN(1e-9, s.statistics.mean, mean);
    EXPECT_CLOSE_WITHIN(1e-6, s.statistics.rms, std::sqrt(squares / (n - 1)));
    EXPECT_CLOSE_WITHIN(1e-6, s.statistics.rmsd, std::sqrt((squares - n * mean * mean) / (n - 1)));
    EXPECT_CLOSE_WITHIN(1e-9, s.statistics.sum, sum_of(s.image));
  }
}

}  // namespace
}  // namespace nablabragg
