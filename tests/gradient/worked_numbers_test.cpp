// The derivatives that the specification works out in numbers: a tilted triclinic crystal, 16 x 16
// pixels, nanoBragg's own arithmetic.
#include <gtest/gtest.h>

#include <numbers>

#include "nablabragg/gradient.hpp"
#include "support/experiment.hpp"

namespace nablabragg::test {
namespace {

const std::string small_tilted =
    "-cell 70 80 90 85 95 105 -misset 10 20 30 -default_F 100 -lambda 1.2 -distance 150 "
    "-detpixels 16 -pixel 0.8 -oversample 1 -polar 0.7 ";

/// Angles per radian, lengths of the detector per metre, the rest per field unit.
struct Expected {
  double value;
  std::array<double, 6> cell;
  std::array<double, 3> misset;
  double wavelength, distance, fbeam, sbeam;
  std::array<double, 3> rotation;
  std::array<double, 2> beam;  ///< y, z
  std::array<double, 3> cells;
  double fudge, polarization;
};

void expect_near(double got, double expected, const char* what) {
  EXPECT_NEAR(got, expected, 1e-6 * std::abs(expected) + 1e-4) << what;
}

void expect_gradient(const Experiment& e, const ValueAndGradient& got, const Expected& expected) {
  const auto& slopes = got.gradient.parameters;
  constexpr double degrees = 180 / std::numbers::pi, mm = 1000;
  expect_near(got.value, expected.value, "value");
  for (std::size_t i = 0; i < 6; ++i)
    expect_near(slopes.at("cell")[i] * (i < 3 ? 1 : degrees), expected.cell[i], "cell");
  for (std::size_t i = 0; i < 3; ++i) {
    expect_near(slopes.at("misset")[i] * degrees, expected.misset[i], "misset");
    expect_near(slopes.at("detector_rotation")[i] * degrees, expected.rotation[i], "rotation");
    expect_near(slopes.at("cells")[i], expected.cells[i], "cells");
  }
  expect_near(slopes.at("phi")[0] * degrees, expected.misset[2], "phi, about z like misset z");
  expect_near(slopes.at("wavelength")[0], expected.wavelength, "wavelength");
  expect_near(slopes.at("distance")[0] * mm, expected.distance, "distance");
  expect_near(slopes.at("beam_center")[0] * mm, expected.sbeam, "Xbeam, which is Sbeam here");
  expect_near(slopes.at("beam_center")[1] * mm, expected.fbeam, "Ybeam");
  expect_near(slopes.at("two_theta")[0] * degrees, -expected.rotation[2], "two-theta");
  expect_near(slopes.at("beam_direction")[1], expected.beam[0], "beam y");
  expect_near(slopes.at("beam_direction")[2], expected.beam[1], "beam z");
  if (slopes.contains("fudge")) expect_near(slopes.at("fudge")[0], expected.fudge, "fudge");
  expect_near(slopes.at("polarization")[0], expected.polarization, "K");
  expect_near(slopes.at("fluence")[0] * e.beam.fluence_per_m2, expected.value, "fluence");
  expect_near(slopes.at("default_F")[0] * 100, 2 * expected.value, "F");
}

ComputeOptions in_double() {
  ComputeOptions options;
  options.precision = Precision::float64;
  return options;
}

void expect_sum(const std::string& shape, const Expected& expected) {
  const Experiment e = experiment_of(small_tilted + shape);
  const std::vector<double> ones(256, 1.0);
  expect_gradient(e, value_and_gradient(e, ones, in_double()), expected);
}

TEST(WorkedGradients, OfTheSumOverAParallelepipedsImage) {
  expect_sum("-N 5",
             {12848.9640733,
              {96.38752378, 1650.71169, -84.04458205, 30234.04765, 37997.55606, 62723.98362},
              {-80858.69884, 106730.2125, -88695.53802},
              -109366.7079,
              -1046228.178,
              -16724815.57,
              3374746.12,
              {155843.7943, -1366.081675, 320.373143},
              {88375.16488, 31899.71078},
              {1802.958026, 3203.736755, 3798.703178},
              0,
              0.4718137568});
}

TEST(WorkedGradients, OfOnePixelOfAParallelepipedsImage) {
  const Experiment e = experiment_of(small_tilted + "-N 5");
  const std::vector<PixelIndex> pixel{{11, 3}};
  const std::vector<double> one{1.0};
  expect_gradient(e, value_and_gradient(e, pixel, one, in_double()),
                  {2955.40635785,
                   {-1.303454165, 572.7633331, 258.2979436, -15180.19586, 4135.799916, 11313.87596},
                   {-35747.16792, 26285.695, -7225.264982},
                   -57480.53315,
                   -499633.1937,
                   -15020014.54,
                   8862303.924,
                   {48363.45612, -1038.671806, 2285.077972},
                   {4940.18701, 1389.846359},
                   {1163.156277, 946.444517, 926.903228},
                   0,
                   1.008014584});
}

TEST(WorkedGradients, OfTheSumOverAnEllipsoidsImage) {
  expect_sum("-N 5 -round_xtal",
             {9597.19387545,
              {-43.36976259, 717.3973943, 23.99422949, 22623.00625, 7307.004061, 32558.15317},
              {-60406.35659, 44929.24398, -39808.69219},
              -47096.15735,
              -504124.2713,
              -5851387.261,
              -406887.6629,
              {90684.49776, -588.8903862, 142.8150719},
              {39665.87712, -1065.164237},
              {1742.80145, 3092.08831, 3156.046236},
              -8814.241635,
              -0.07892771672});
}

TEST(WorkedGradients, OfTheSumOverGaussianSpots) {
  expect_sum("-N 3 -gauss_xtal",
             {48089.0686143,
              {56.95241691, 32.57008967, 2.173094543, 615.8884123, -7.028733146, -1253.079899},
              {1001.31174, 644.7925988, -549.2775173},
              1946.355907,
              -623831.5524,
              41052.64479,
              84527.91269,
              {-425.3141649, 735.0271036, 771.4274931},
              {-222.1499758, 1726.260389},
              {29018.21842, 29018.21842, 29018.21842},
              -4561.740978,
              -0.04230893649});
}

TEST(WorkedGradients, OfTheCellWithoutNanoBraggsShortCStar) {
  Experiment e = experiment_of(small_tilted + "-N 5");
  e.quirks.triclinic_c_star = false;
  const auto got = value_and_gradient(e, std::vector<double>(256, 1.0), in_double());
  expect_near(got.value, 12846.7923844, "value");
  const auto& cell = got.gradient.parameters.at("cell");
  constexpr double degrees = 180 / std::numbers::pi;
  expect_near(cell[0], 93.96660091, "a");
  expect_near(cell[1], 1650.365734, "b");
  expect_near(cell[2], -84.04440333, "c");
  expect_near(cell[3] * degrees, 30015.09588, "alpha");
  expect_near(cell[4] * degrees, 37637.02264, "beta");
  expect_near(cell[5] * degrees, 62804.62507, "gamma");
}

}  // namespace
}  // namespace nablabragg::test
