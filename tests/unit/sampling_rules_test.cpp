// What follows from ranges, steps and counts when some are left open.  The tables are the C
// program nanoBragg's, its examples were printed by it.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "model/sampling_rules.hpp"
#include "nablabragg/error.hpp"
#include "physics/detection.hpp"
#include "support/experiment.hpp"

namespace nablabragg {
namespace {

using test::resolved_of;
using Asked = SampledRange<double>;

constexpr std::nullopt_t open = std::nullopt;

void expect_grid(const Grid& got, int steps, double range, double step) {
  EXPECT_EQ(got.steps, steps);
  EXPECT_CLOSE(got.range, range);
  EXPECT_CLOSE(got.step, step);
}

/// Range and step scaled to the unit of the flags.
Grid in_unit(double unit, const Grid& grid) {
  return {grid.steps, grid.range * unit, grid.step * unit};
}

struct Row {
  std::optional<int> steps;
  std::optional<double> range, step;
  Grid expected;
};

// ---- Phi ------------------------------------------------------------------------------------

TEST(SamplingRules, PhiFillsInWhatIsLeftOpen) {
  const double third = 1.0 / 3;
  const std::vector<Row> table = {
      {open, open, open, {1, 0, 0}},   {-1, -1.0, -1.0, {1, 0, 0}},
      {open, open, 0.0, {1, 0, 0}},    {open, open, 0.3, {2, 0.3, 0.3}},
      {open, 1.0, open, {2, 1, 0.5}},  {open, 1.0, 0.0, {2, 1, 0.5}},
      {open, 0.0, open, {2, 0, 0}},    {open, 1.0, 0.3, {4, 1, 0.3}},
      {open, 1.0, 0.25, {4, 1, 0.25}}, {3, open, open, {3, 1, third}},
      {0, open, open, {1, 1, 1}},      {5, open, 0.1, {2, 0.1, 0.1}},
      {4, 2.0, open, {4, 2, 0.5}},     {4, 2.0, -1.0, {4, 2, 0.5}},
      {5, 1.0, 0.1, {5, 1, 0.1}},      {5, 1.0, 0.0, {5, 1, 0}},
  };
  for (const Row& row : table) {
    const Grid got = model::scan_as_nanobragg(Asked{row.range, row.step, row.steps}, 1.0);
    SCOPED_TRACE("row " + std::to_string(&row - table.data()));
    expect_grid(got, row.expected.steps, row.expected.range, row.expected.step);
  }
}

TEST(SamplingRules, FlagsOfTheScanGiveItsAngles) {
  struct Example {
    const char* flags;
    std::vector<double> phi_deg;
  };
  const std::vector<Example> table = {
      {"", {0}},
      {"-phi 3", {3}},
      {"-osc 1", {0, 0.5}},
      {"-phi 3 -osc 1", {3, 3.5}},
      {"-phisteps 3", {0, 1.0 / 3, 2.0 / 3}},
      {"-phistep 0.3 -osc 1", {0, 0.3, 0.6, 0.9}},
      {"-phistep 0.1 -phisteps 5", {0, 0.1}},
      {"-phistep 0.1 -phisteps 5 -osc 1", {0, 0.1, 0.2, 0.3, 0.4}},
      {"-osc 0", {0, 0}},
  };
  for (const Example& expected : table) {
    SCOPED_TRACE(expected.flags);
    const auto phi = resolved_of(expected.flags).phi;
    ASSERT_EQ(phi.size(), expected.phi_deg.size());
    for (std::size_t i = 0; i < phi.size(); ++i)
      EXPECT_CLOSE(phi[i] * units::degrees_per_radian, expected.phi_deg[i]);
  }
}

// ---- Divergence and dispersion --------------------------------------------------------------

TEST(SamplingRules, DivergenceFillsInWhatIsLeftOpen) {
  const std::vector<Row> table = {
      {open, open, open, {1, 0, 0}},
      {0, -1.0, 0.0, {1, 0, 0}},
      {open, open, 0.5, {2, 0.5, 0.5}},
      {open, 2.0, open, {2, 2, 2}},
      {-3, 2.0, -1.0, {2, 2, 2}},
      {open, 2.0, 0.5, {4, 2, 0.5}},
      {open, 2.0, 0.7, {3, 2, 0.7}},
      {3, open, open, {3, 1, 1.0 / 3}},
      {1, open, open, {1, 1, 1}},
      {7, open, 0.5, {2, 0.5, 0.5}},
      {1, 2.0, open, {2, 2, 2}},
      {5, 2.0, open, {5, 2, 0.5}},
      {3, 2.0, 0.5, {3, 2, 0.5}},
      // Nothing to step over
      {5, 0.0, open, {1, 0, 0}},
      {open, 0.0, open, {1, 0, 0}},
      {5, 0.0, 0.5, {1, 0, 0}},
  };
  for (const Row& row : table) {
    const Grid got = model::grid_as_nanobragg(Asked{row.range, row.step, row.steps}, 1.0);
    SCOPED_TRACE("row " + std::to_string(&row - table.data()));
    expect_grid(got, row.expected.steps, row.expected.range, row.expected.step);
  }
}

TEST(SamplingRules, FlagsOfTheDivergenceGiveItsGridAndAngles) {
  struct Example {
    const char* flags;
    Grid horizontal;                  ///< [mrad]
    std::vector<double> angles_mrad;  ///< first and last at least
  };
  const std::vector<Example> table = {
      {"-hdivrange 2", {2, 2, 2}, {-1, 1}},
      {"-hdivrange 2 -hdivsteps 1", {2, 2, 2}, {-1, 1}},
      {"-hdivrange 2 -hdivsteps 3 -hdivstep 0.5", {3, 2, 0.5}, {-1, -0.5, 0}},
      {"-hdivrange 2 -hdivstep 5", {1, 2, 5}, {-1}},
      {"-hdivstep 0.5", {2, 0.5, 0.5}, {-0.25, 0.25}},
      {"-hdivstep 0.5 -hdivsteps 7", {2, 0.5, 0.5}, {-0.25, 0.25}},
      {"-hdivsteps 3", {3, 1000, 1000.0 / 3}, {-500, -500.0 / 3, 500.0 / 3}},
      {"-hdivsteps 1", {1, 1000, 1000}, {-500}},
      {"-hdivrange 0 -hdivsteps 5", {1, 0, 0}, {0}},
      {"-divergence 2", {2, 2, 2}, {}},
      {"", {1, 0, 0}, {0}},
  };
  for (const Example& expected : table) {
    SCOPED_TRACE(expected.flags);
    const Resolved r = resolved_of(expected.flags);
    const Grid mrad = in_unit(1000, r.horizontal);
    expect_grid(mrad, expected.horizontal.steps, expected.horizontal.range,
                expected.horizontal.step);
    if (expected.angles_mrad.empty()) continue;
    ASSERT_EQ(r.divergence.size(), expected.angles_mrad.size());
    for (std::size_t i = 0; i < r.divergence.size(); ++i)
      EXPECT_CLOSE(r.divergence[i][0] * 1000, expected.angles_mrad[i]);
  }
}

TEST(SamplingRules, AGridThatDoesNotFitItsRangeIsAsymmetric) {
  const Resolved r = resolved_of("-hdivrange 0.28 -hdivstep 0.02");
  EXPECT_EQ(r.horizontal.steps, 14);
  ASSERT_EQ(r.divergence.size(), 14U);
  EXPECT_CLOSE(r.divergence.front()[0], -0.14e-3);
  EXPECT_CLOSE(r.divergence.back()[0], 0.12e-3);
}

TEST(SamplingRules, TheSpectrumIsSpreadOverTheDispersion) {
  struct Example {
    const char* flags;
    std::vector<double> angstrom;
  };
  const std::vector<Example> table = {
      {"", {1}},
      {"-dispersion 2", {0.99, 1.01}},
      {"-dispersion 2 -dispsteps 3", {0.99, 1, 1.01}},
      {"-dispersion 2 -dispsteps 1", {0.99, 1.01}},
      {"-dispersion 2 -dispsteps 0", {0.99, 1.01}},
      {"-dispsteps 5", {1}},
      {"-dispersion -2 -dispsteps 5", {1}},
  };
  for (const Example& expected : table) {
    SCOPED_TRACE(expected.flags);
    const auto wavelengths = resolved_of(expected.flags).wavelengths;
    ASSERT_EQ(wavelengths.size(), expected.angstrom.size());
    for (std::size_t i = 0; i < wavelengths.size(); ++i)
      EXPECT_CLOSE(wavelengths[i], expected.angstrom[i] * 1e-10);
  }
}

TEST(SamplingRules, StepsWithoutNumberAreAnError) {
  EXPECT_THROW(resolved_of("-hdivrange 1000 -hdivstep 1e-12"), UsageError);
  EXPECT_THROW(resolved_of("-osc 360 -phistep 1e-12"), UsageError);
}

TEST(SamplingRules, ANegativeScanTurnsTheOtherWayAsMeant) {
  const std::vector<Row> table = {
      {open, -1.0, open, {2, -1, -0.5}}, {10, -1.0, open, {10, -1, -0.1}},
      {10, open, -0.1, {10, -1, -0.1}},  {open, -1.0, -0.1, {10, -1, -0.1}},
      {10, -1.0, -0.1, {10, -1, -0.1}},  {open, open, -0.3, {1, -0.3, -0.3}},
      {1, -1.0, open, {1, -1, -1}},      {open, 1.0, 0.1, {10, 1, 0.1}},
  };
  for (const Row& row : table) {
    const Grid got = model::scan_as_meant(Asked{row.range, row.step, row.steps}, 1.0);
    SCOPED_TRACE("row " + std::to_string(&row - table.data()));
    expect_grid(got, row.expected.steps, row.expected.range, row.expected.step);
  }
  for (const auto& [range, step] : {std::pair(1.0, -0.1), std::pair(-1.0, 0.1)})
    EXPECT_THROW(model::scan_as_meant(Asked{range, step, open}, 1.0), UsageError);
  EXPECT_THROW(model::scan_as_meant(Asked{-1.0, -0.1, 5}, 1.0), UsageError);
}

// ---- Sensor ---------------------------------------------------------------------------------

TEST(SamplingRules, LayersFollowFromThicknessAndCount) {
  struct Layers {
    std::optional<int> asked;
    double thickness;
    int layers;
    double step;
  };
  const std::vector<Layers> table = {
      {open, 450, 2, 225}, {0, 450, 2, 225}, {-1, 450, 2, 225},
      {5, 450, 5, 112.5},  {1, 450, 2, 450}, {2, 450, 2, 450},
      {open, 0, 1, 0},     {7, 0, 1, 0},     {7, -1, 1, 0},
  };
  for (const Layers& row : table) {
    SCOPED_TRACE("row " + std::to_string(&row - table.data()));
    const Sensor sensor = model::layers_as_nanobragg(row.asked, row.thickness);
    EXPECT_EQ(sensor.layers, row.layers);
    EXPECT_CLOSE(sensor.layer_step, row.step);
    EXPECT_CLOSE(sensor.thickness, row.thickness > 0 ? row.thickness : 0);
  }
}

TEST(SamplingRules, FlagsOfTheSensorGiveItsLayers) {
  struct Example {
    const char* flags;
    int layers;
    double thickness_um, step_um, absorption_per_m;
  };
  const std::vector<Example> table = {
      {"", 1, 0, 0, -1},
      {"-detector_thick 450", 2, 450, 225, 2222.2222222222222},
      {"-detector_thick 450 -thicksteps 5", 5, 450, 112.5, 2222.2222222222222},
      {"-detector_thick 450 -thicksteps 1", 2, 450, 450, 2222.2222222222222},
      {"-detector_thick 450 -detector_abs 234", 2, 450, 225, 1e6 / 234},
      {"-detector_abs 234", 1, 0, 0, 1e6 / 234},
      {"-detector_thick 450 -detector_abs inf", 1, 0, 0, 0},
      {"-detector_thick 450 -detector_abs 0", 1, 0, 0, 0},
      // nanoBragg's image is black when the thickness comes last.
      {"-detector_abs inf -detector_thick 450", 1, 0, 0, 0},
  };
  for (const Example& expected : table) {
    SCOPED_TRACE(expected.flags);
    const Sensor sensor = resolved_of(expected.flags).sensor;
    EXPECT_EQ(sensor.layers, expected.layers);
    EXPECT_CLOSE(sensor.thickness, expected.thickness_um * 1e-6);
    EXPECT_CLOSE(sensor.layer_step, expected.step_um * 1e-6);
    EXPECT_CLOSE(sensor.absorption_per_m, expected.absorption_per_m);
  }
}

TEST(SamplingRules, AFirstLayerCatchesAtItsMeanDepthAndNanoBraggsAtItsFront) {
  const std::string sensor = "-detector_thick 450 -detector_abs 300 -thicksteps ";
  EXPECT_EQ(resolved_of(sensor + "1").sensor.first_depth, 0);
  // 300 - 450/(exp(1.5) - 1)
  EXPECT_CLOSE(resolved_of(sensor + "1 -corrected").sensor.first_depth, 170.7523874450093e-6);
  EXPECT_CLOSE(resolved_of(sensor + "9 -corrected").sensor.first_depth, 24.305876845127102e-6);
  // Layers and their fractions have the mean of the whole sensor.
  const Sensor nine = resolved_of(sensor + "9 -corrected").sensor;
  double mean = 0, captured = 0;
  for (int layer = 0; layer < nine.layers; ++layer) {
    const double here = physics::capture_fraction(double(layer), nine.layer_step,
                                                  nine.absorption_per_m, 1.0);
    mean += here * (nine.first_depth + layer * nine.layer_step);
    captured += here;
  }
  EXPECT_CLOSE(mean / captured, resolved_of(sensor + "1 -corrected").sensor.first_depth);
  EXPECT_CLOSE(mean / captured, nine.mean_depth);
}

TEST(SamplingRules, TheMeanDepthOfCaptureHasNoSeamWhereItsSeriesEnds) {
  for (const double t : {1e-12, 1e-3, 0.049999, 0.050001}) {
    // 1/2 - t/12 + t^3/720 - t^5/30240 + t^7/1209600
    const double series = 0.5 - t / 12 + std::pow(t, 3) / 720 - std::pow(t, 5) / 30240 +
                          std::pow(t, 7) / 1209600;
    EXPECT_NEAR(physics::mean_capture_depth(3.0, t / 3) / 3, series, 1e-14) << t;
  }
}

TEST(SamplingRules, AThicknessWithoutADepthSaysThatItIsTaken) {
  EXPECT_EQ(resolved_of("-detector_thick 450").warnings.size(), 1U);
  EXPECT_EQ(resolved_of("-detector_thick 450 -detector_abs 234").warnings.size(), 0U);
}

// ---- Beam -----------------------------------------------------------------------------------

TEST(SamplingRules, AFluxReplacesTheFluence) {
  EXPECT_EQ(resolved_of("").fluence, default_fluence);
  EXPECT_EQ(resolved_of("-fluence 1e24").fluence, 1e24);
  EXPECT_CLOSE(resolved_of("-flux 1e12 -exposure 0.1 -beamsize 0.05 -fluence 1e24").fluence,
               1e12 * 0.1 / 25e-10);
  EXPECT_CLOSE(resolved_of("-flux 1e12").fluence, 1e20);
  EXPECT_EQ(resolved_of("-flux 1e12 -exposure 0").fluence, default_fluence);
  EXPECT_EQ(resolved_of("-flux 0 -fluence 1e24").fluence, 1e24);
  // The other way round it is only printed.
  EXPECT_CLOSE(resolved_of("-fluence 1e24 -exposure 2 -beamsize 0.05").flux, 1e24 / 2 * 25e-10);
}

TEST(SamplingRules, TheDefaultFluenceUndoesTheThomsonCrossSection) {
  EXPECT_EQ(7.94079248018965e-30 * default_fluence, 1);
}

TEST(SamplingRules, TheLastOfWavelengthAndEnergyCounts) {
  EXPECT_CLOSE(resolved_of("-energy 12398.42").wavelength, 1e-10);
  EXPECT_CLOSE(resolved_of("-lambda 3 -energy 6199.21").wavelength, 2e-10);
  EXPECT_CLOSE(resolved_of("-energy 6199.21 -lambda 3").wavelength, 3e-10);
}

// ---- Region of interest ---------------------------------------------------------------------

TEST(SamplingRules, ANegativeLimitOfTheRegionMeansTheEdge) {
  const auto roi = [](const std::string& flags) {
    return resolved_of("-detpixels_f 40 -detpixels_s 30 " + flags).roi;
  };
  EXPECT_EQ(roi(""), (RegionOfInterest{0, 39, 0, 29}));
  EXPECT_EQ(roi("-roi -1 -1 -1 -1"), (RegionOfInterest{0, 39, 0, 29}));
  EXPECT_EQ(roi("-roi 3 6 5 7"), (RegionOfInterest{3, 6, 5, 7}));
  EXPECT_EQ(roi("-roi 3 400 5 -1"), (RegionOfInterest{3, 39, 5, 29}));
}

// ---- Interpolation --------------------------------------------------------------------------

/// With a table, without which nothing is interpolated.
bool interpolates(const std::string& flags, bool table = true) {
  Experiment e = test::experiment_of("-cell 100 80 50 90 90 90 -default_F 100 " + flags);
  if (table)
    e.structure_factors.grid = std::make_shared<StructureFactorGrid>(MillerIndex{-3, -3, -3},
                                                                     MillerIndex{3, 3, 3}, 100.0);
  return resolve(e).tricubic;
}

TEST(SamplingRules, FewCellsTurnInterpolationOn) {
  EXPECT_TRUE(interpolates(""));
  EXPECT_TRUE(interpolates("-N 2"));
  EXPECT_TRUE(interpolates("-N 5 -Nb 2"));
  EXPECT_FALSE(interpolates("-N 3"));
  EXPECT_TRUE(interpolates("-N 3 -interpolate"));
  EXPECT_FALSE(interpolates("-N 1 -nointerpolate"));
  EXPECT_FALSE(interpolates("-N 1 -interpolate -nointerpolate"));
  EXPECT_TRUE(interpolates("-N 3 -nointerpolate -interpolate"));
  EXPECT_FALSE(interpolates("-N 1", false));
  EXPECT_FALSE(interpolates("-N 1 -interpolate", false));
}

TEST(SamplingRules, ASizeLeavesTheNumberOfCellsUnknownWhenInterpolationIsDecided) {
  //
  EXPECT_TRUE(interpolates("-xtalsize 0.0005"));
  EXPECT_FALSE(interpolates("-xtalsize 0.0005 -N 3"));
  EXPECT_FALSE(interpolates("-xtalsize 0.0005 -corrected"));
}

// ---- Sub-pixels -----------------------------------------------------------------------------

TEST(SamplingRules, OversamplingResolvesTheFringes) {
  struct Example {
    const char* flags;
    int oversample;
  };
  const std::vector<Example> table = {
      {"-cell 100 -N 5 -lambda 1 -distance 100 -pixel 0.1", 2},
      {"-cell 100 -N 10 -lambda 1 -distance 100 -pixel 0.1", 3},
      {"-cell 100 -N 5 -lambda 6.2", 1},
      {"-cell 100 -N 5 -distance 50", 3},
      // By Q-06 the distance becomes 50 mm and -100 mm here
      {"-cell 100 -N 5 -distance 100 -twotheta 60", 3},
      {"-cell 100 -N 5 -detector_roty 100", 1},
      {"-cell 70 80 90 75 85 95 -N 5 -distance 150", 1},
      {"-cell 300 300 300 90 90 90 -N 10 -lambda 6", 2},
      {"-cell 100 80 50 90 90 90 -xtalsize 0.0005", 16},
      {"-cell 100 -N 5 -oversample 0", 2},
      {"-cell 100 -N 5 -oversample -3", 2},
      {"-cell 100 -N 5 -oversample 1", 1},
      {"-cell 100 -N 5 -oversample 7", 7},
  };
  for (const Example& expected : table) {
    SCOPED_TRACE(expected.flags);
    EXPECT_EQ(resolved_of(expected.flags).oversample, expected.oversample);
  }
  EXPECT_EQ(resolved_of("-cell 100 80 50 90 90 90 -xtalsize 0.0005").cells, (Vec3d{50, 63, 100}));
}

TEST(SamplingRules, TooFewSubPixelsAreAWarning) {
  EXPECT_EQ(resolved_of("-N 5 -oversample 1").warnings.size(), 1U);
  EXPECT_EQ(resolved_of("-N 5 -oversample 2").warnings.size(), 0U);
}

TEST(SamplingRules, StepsLeaveTheSensorsLayersOut) {
  //
  const Resolved r = resolved_of(
      "-divergence 2 -divsteps 3 -dispersion 1 -dispsteps 2 -mosaic 1 -mosaic_domains 7 "
      "-osc 1 -phisteps 3 -oversample 2 -detector_thick 450 -thicksteps 5");
  EXPECT_EQ(r.rays.size(), 10U);
  EXPECT_EQ(r.steps, 10 * 7 * 3 * 4);
}

TEST(SamplingRules, StepsDoNotOverflow) {
  // 3e9 does not fit nanoBragg's int
  const Resolved r = resolved_of(
      "-dispersion 1 -dispsteps 300 -mosaic 1 -mosaic_domains 1000 -osc 1 -phisteps 100 "
      "-oversample 10");
  EXPECT_EQ(r.steps, 3'000'000'000LL);
}

}  // namespace
}  // namespace nablabragg
