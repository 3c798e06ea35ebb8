// The lattice factor and the arithmetic below it.  Numbers named C were printed by the C program
// nanoBragg, which evaluates sin(pi N h)/sin(pi h) as it stands and so keeps a sign that no image
// shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>  // for max
#include <cmath>
#include <limits>
#include <numbers>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "nablabragg/error.hpp"
#include "physics/shapes.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using namespace physics;
using std::numbers::pi;

constexpr double infinity = std::numeric_limits<double>::infinity();

BlockNumbers<double> block(const Vec3d& cells, double fudge = 1) { return {cells, fudge}; }

/// The factor of one axis at the index h.
double square_factor(double h, double n) {
  return Square::factor(block({n, 1, 1}), Vec3d{h - round_half_down(h), 0, 0});
}

/// 27 cells at a distance whose squared radius this is.
template <class Shape>
double factor_at(double radius2, double fudge) {
  BlockNumbers<double> numbers = block({3, 3, 3}, fudge);
  numbers.metric.aa = radius2;
  return Shape::factor(numbers, Vec3d{1, 0, 0});
}

double ball(double x) { return ball_transform(x * x); }

// ---- Arithmetic -----------------------------------------------------------------------------

TEST(Lane, TheNearestIntegerIsTheLowerOneAtATie) {
  struct Case {
    double x, nearest;
  };
  for (const Case& c : std::vector<Case>{
           {0.5, 0},           {1.5, 1},        {2.5, 2},         {-0.5, -1},
           {-1.5, -2},         {-2.5, -3},      {0, 0},           {1, 1},
           {-1, -1},           {0.49, 0},       {0.51, 1},        {-0.49, 0},
           {-0.51, -1},        {7.2, 7},        {-7.2, -7},       {7.8, 8},
           {-7.8, -8},         {137.0017, 137}, {1e6 + 0.5, 1e6}, {-1e6 - 0.5, -1e6 - 1},
           {1e12 + 0.5, 1e12},
       })
    EXPECT_EQ(round_half_down(c.x), c.nearest) << c.x;
}

TEST(Lane, TheNearestIntegerIsTheCeilingOfXMinusAHalfForNeighboursOfEveryTie) {
  for (int i = -2000; i <= 2000; ++i)
    for (const double x :
         {i + 0.5, std::nextafter(i + 0.5, infinity), std::nextafter(i + 0.5, -infinity), double(i),
          std::nextafter(double(i), infinity), std::nextafter(double(i), -infinity)})
      ASSERT_EQ(round_half_down(x), std::ceil(x - 0.5)) << i << " and " << x - i;
}

TEST(Lane, FloorOfIsTheFloorForNeighboursOfEveryInteger) {
  for (int i = -2000; i <= 2000; ++i)
    for (const double x :
         {double(i), std::nextafter(double(i), infinity), std::nextafter(double(i), -infinity),
          i + 0.5, std::nextafter(i + 0.5, infinity), std::nextafter(i + 0.5, -infinity)})
      ASSERT_EQ(floor_of(x), std::floor(x)) << i << " and " << x - i;
}

TEST(Lane, RoundingHalfToEvenIsThatOfTheMachine) {
  for (double x = -50; x <= 50; x += 0.25) ASSERT_EQ(round_even(x), std::nearbyint(x)) << x;
  EXPECT_EQ(round_even(1e12 + 0.75), 1e12 + 1);
}

TEST(Lane, TheSineOfPiXIsGoodToFourUnitsInTheLastPlace) {
  // To two where it is short of its flat top, below which doubles are spaced most closely.
  const auto error_in_ulps = [](double x) {
    const long double exact = std::sin(std::numbers::pi_v<long double> *
                                       static_cast<long double>(x));
    const double rounded = std::abs(static_cast<double>(exact));
    const double ulp = std::nextafter(rounded, infinity) - rounded;
    return std::abs(static_cast<double>(static_cast<long double>(sin_pi(x)) - exact)) / ulp;
  };
  double steep = 0, flat = 0;
  for (int i = 1; i <= 50000; ++i)
    for (const double x : {i / 100000.0, -i / 100000.0}) {
      double& worst = std::abs(x) <= 0.25 ? steep : flat;
      worst = std::max(worst, error_in_ulps(x));
    }
  for (double x = 0.25; x > 1e-300; x *= 0.9)
    steep = std::max({steep, error_in_ulps(x), error_in_ulps(-x)});
  EXPECT_LE(steep, 2);
  EXPECT_LE(flat, 4);
}

TEST(Lane, TheSineOfPiXHasItsWellKnownValues) {
  EXPECT_EQ(sin_pi(0.0), 0);
  EXPECT_NEAR(sin_pi(1.0 / 6), 0.5, 1e-16);
  EXPECT_NEAR(sin_pi(0.25), std::numbers::sqrt2 / 2, 2e-16);
  EXPECT_NEAR(sin_pi(0.5), 1, 3e-16);
  for (const double x : {0.1, 0.2, 0.3, 0.4, 0.5}) EXPECT_EQ(sin_pi(-x), -sin_pi(x));
}

// ---- The list of shapes ---------------------------------------------------------------------

TEST(Shapes, AreListedInTheOrderOfTheirNumbersUnderNamesOfTheirOwn) {
  std::vector<CrystalShape> numbers;
  std::set<std::string> names;
  for_each_shape([&]<class Shape>() {
    numbers.push_back(Shape::id);
    names.insert(Shape::name);
    EXPECT_EQ(with_shape(Shape::id, []<class Found>() { return std::string(Found::name); }),
              Shape::name);
  });
  for (std::size_t i = 0; i < numbers.size(); ++i)
    EXPECT_EQ(static_cast<std::size_t>(numbers[i]), i);
  EXPECT_EQ(names.size(), numbers.size());
}

TEST(Shapes, OneThatIsNotInTheListIsAnError) {
  const auto beyond = static_cast<CrystalShape>(99);
  EXPECT_THROW(with_shape(beyond, []<class Shape>() { return true; }), std::logic_error);
}

// ---- Square ---------------------------------------------------------------------------------

TEST(SquareLatticeFactor, IsNanobraggsAwayFromLatticePoints) {
  struct Row {
    double h, n2, n5, n10;  ///< C; where C has the rounding error of a zero, zero
    double relative;        ///< C loses digits near large integers
  };
  const std::vector<Row> table = {
      {0, 2, 5, 10, 1e-12},
      {0.001, 1.9999901304037162, 4.9998026101199065, 9.9983715937594173, 1e-12},
      {0.05, 1.9753766811902753, 4.5201470213402013, 6.3924532214996619, 1e-12},
      {0.1, 1.9021130325903073, 3.2360679774997898, 0, 1e-12},
      {0.25, 1.4142135623730951, -1, 1.4142135623730951, 1e-12},
      {1.0 / 3, 1, -1, -1, 1e-12},
      {0.5, 0, 1, 0, 1e-12},
      {0.9, -1.9021130325903073, 3.2360679774997889, 0, 1e-12},
      {10.02, 1.9960534568565433, 4.9213957248861684, 9.3610509468402388, 1e-12},
      {137.0017, -1.9999714769110783, 4.9994295552637222, -9.9952943345478378, 1e-10},
  };
  for (const Row& row : table)
    for (const auto& [n, expected] : {std::pair{2.0, row.n2}, {5.0, row.n5}, {10.0, row.n10}}) {
      SCOPED_TRACE(testing::Message() << "h " << row.h << " N " << n);
      const double got = std::abs(square_factor(row.h, n));
      if (expected == 0)
        EXPECT_LT(got, 2e-15 * n);
      else
        EXPECT_CLOSE_WITHIN(row.relative, got, std::abs(expected));
    }
}

TEST(SquareLatticeFactor, HasTheValuesThatTheFractionOfHGives) {
  struct Row {
    double n, d, factor;
  };
  for (const Row& row : std::vector<Row>{
           {5, 0.001, 4.99980261011991},
           {5, 0.01, 4.9802828594855},
           {5, 0.05, 4.5201470213402},
           {5, 0.1, 3.23606797749979},
           {5, 0.15, 1.55753651583505},
           {5, 0.25, -1},
           {5, 0.5, 1},
           {10, 0.001, 9.99837159375942},
           {10, 0.01, 9.83793462635928},
           {10, 0.05, 6.39245322149966},
           {10, 0.25, 1.4142135623731},
       }) {
    SCOPED_TRACE(testing::Message() << "N " << row.n << " d " << row.d);
    EXPECT_CLOSE(std::abs(square_factor(row.d, row.n)), std::abs(row.factor));
    EXPECT_EQ(std::abs(square_factor(-row.d, row.n)), std::abs(square_factor(row.d, row.n)));
  }
  EXPECT_LT(std::abs(square_factor(0.1, 10)), 1e-14);
  EXPECT_LT(std::abs(square_factor(0.5, 10)), 1e-14);
}

TEST(SquareLatticeFactor, ALargeCrystalFarOutLosesNoDigits) {
  // C: 151.48195977118925; with the fraction in long double: -151.4819597702986
  EXPECT_CLOSE(std::abs(square_factor(137.0017, 1000)), 151.4819597702986);
  EXPECT_CLOSE_WITHIN(1e-11, std::abs(square_factor(137.0017, 1000)), 151.48195977118925);
}

TEST(SquareLatticeFactor, IsTheNumberOfCellsAtEveryLatticePoint) {
  // C: 14.670036240310372 at h = 3, N = 5, and -2624.5660883721425 at h = 1, N = 1000
  EXPECT_DOUBLE_EQ(square_factor(3, 5) * square_factor(3, 5), 25);
  EXPECT_DOUBLE_EQ(square_factor(1, 1000), 1000);
  EXPECT_DOUBLE_EQ(square_factor(-740, 12), 12);
  EXPECT_DOUBLE_EQ(Square::factor(block({3, 5, 7}), Vec3d{0, 0, 0}), 105);
}

TEST(SquareLatticeFactor, BendsDownFromItsPeakAsItsSeriesSays) {
  for (const double n : {2.0, 5.0, 50.0, 1000.0})
    for (double d = 1e-9; d <= 1e-3; d *= 1.7) {
      if (n * pi * d >= 1e-2) continue;
      const double series = 1 - (n * n - 1) * (pi * d) * (pi * d) / 6;
      ASSERT_NEAR(square_factor(d, n) / n, series, 1e-10) << "N " << n << " d " << d;
      ASSERT_NEAR(square_factor(-d, n) / n, series, 1e-10) << "N " << n << " d " << -d;
    }
}

TEST(SquareLatticeFactor, AnAxisOfOneCellDoesNotScatterDifferentlyAnywhere) {
  for (const double d : {-0.4999, -0.25, -1e-9, 0.0, 1e-90, 1e-5, 0.1, 0.5})
    EXPECT_EQ(Square::factor(block({1, 1, 1}), Vec3d{d, d, d}), 1) << d;
}

TEST(SquareLatticeFactor, IsTheProductOfItsAxes) {
  const Vec3d d{0.0139, -0.0483, -0.0501};
  EXPECT_CLOSE(Square::factor(block({5, 6, 7}), d),
               square_factor(d.x, 5) * square_factor(d.y, 6) * square_factor(d.z, 7));
}

// ---- Round ----------------------------------------------------------------------------------

TEST(RoundLatticeFactor, TheTransformOfABallHasItsExactValues) {
  struct Row {
    double x, value;
  };
  for (const Row& row : std::vector<Row>{
           {0, 1},
           {0.01, 0.99999000003571},  // C loses digits: 0.99999000003569982
           {0.1, 0.9990003570767271},
           {0.5, 0.975222183816399},
           {1, 0.9035060368192702},
           {2, 0.6530966624699874},
           {pi, 0.3039635509270133},
           {5, -0.05705364484750247},
           {10, 0.023540082539625463},
           {100, -0.00026021475860963446},
       })
    EXPECT_CLOSE_WITHIN(2e-14, ball(row.x), row.value);
  EXPECT_LT(std::abs(ball(4.493409457909064)), 1e-15);  // C: -4e-18
}

TEST(RoundLatticeFactor, TheTransformOfABallIsSmoothWhereItsClosedFormCancels) {
  // C: 0 at 1e-8, 1.00020 at 1e-6, 0.99999676 at 1e-5
  EXPECT_EQ(ball(1e-8), 1);
  EXPECT_NEAR(ball(1e-6), 1 - 1e-13, 1e-15);
  EXPECT_NEAR(ball(1e-5), 1 - 1e-11, 1e-15);
  EXPECT_NEAR(ball(1e-3), 1 - 1e-7 + 1e-12 / 280, 1e-15);
  EXPECT_NEAR(ball(0.1), 0.99900035707672712, 1e-15);
}

TEST(RoundLatticeFactor, TheSeriesMeetsTheClosedForm) {
  const double below = std::nextafter(0.25, 0.0);
  EXPECT_NEAR(ball_transform(below), ball_transform(0.25), 3e-14);
}

TEST(RoundLatticeFactor, PeaksAtTheVolumeTimesItsConstant) {
  EXPECT_CLOSE(Round::factor(block({3, 5, 7}), Vec3d{0, 0, 0}), 105 * 0.723601254558268);
}

TEST(RoundLatticeFactor, DependsOnTheDistanceScaledByCellsAndFudge) {
  // One cell counts along its axis too
  const double direct = 2 * 3 * 1 * 0.723601254558268 *
                        ball(pi * std::sqrt((0.04 + 0.81 + 0.0625) * 1.3));
  EXPECT_CLOSE(Round::factor(block({2, 3, 1}, 1.3), Vec3d{0.1, -0.3, 0.25}), direct);
}

// ---- Gauss and top hat ----------------------------------------------------------------------

TEST(GaussLatticeFactor, FallsWithTheSquaredRadiusOverItsConstant) {
  EXPECT_EQ(factor_at<Gauss>(0.0, 1.3), 27);
  EXPECT_CLOSE(factor_at<Gauss>(0.2, 1.3), 27 * std::exp(-0.2 / 0.63 * 1.3));
}

TEST(TophatLatticeFactor, EndsBeforeItsEdge) {
  const double edge = 0.3969;
  EXPECT_EQ(factor_at<Tophat>(std::nextafter(edge, 0.0), 1.0), 27);
  EXPECT_EQ(factor_at<Tophat>(edge, 1.0), 0);
  EXPECT_EQ(factor_at<Tophat>(0.2, 1.9), 27);
  EXPECT_EQ(factor_at<Tophat>(0.2, 2.0), 0);
}

TEST(SpotMetric, MeasuresTheLengthOfTheReciprocalVectorScaledByTheNumberOfCells) {
  // 1/A times the product of the three numbers of cells
  const std::string flags =
      "-default_F 100 -cell 70 80 90 85 95 105 -misset 10 20 30 -gauss_xtal "
      "-Na 2 -Nb 3 -Nc 4 ";
  const auto metric_and_axes = [](const std::string& line) {
    const Experiment e = test::experiment_of(line);
    const Resolved r = resolve(e);
    return std::pair{make_plan(e, r).lattice.metric, r.axes.reciprocal_per_A};
  };
  const auto [metric, star] = metric_and_axes(flags);
  const Vec3d d{0.1, -0.2, 0.3};
  const Vec3d q = d.x * star.a + d.y * star.b + d.z * star.c;
  EXPECT_CLOSE(spot_radius2(metric, d), dot(q, q) * 24 * 24);

  // The corrected radius is in cells along each axis
  EXPECT_CLOSE(spot_radius2(metric_and_axes(flags + "-corrected").first, d), 0.04 + 0.36 + 1.44);
  const auto [corrected, axes] = metric_and_axes(flags + "-corrected -spot_metric reciprocal");
  const Vec3d there = d.x * axes.a + d.y * axes.b + d.z * axes.c;
  EXPECT_CLOSE(spot_radius2(corrected, d), dot(there, there) * 24 * 24);
}

/// A block and its cell's volume [A^3].
struct BlockOfCell {
  BlockNumbers<double> numbers;
  double volume;
};
BlockOfCell block_by(const std::string& flags) {
  const Experiment e = test::experiment_of("-corrected -default_F 100 " + flags);
  const Resolved r = resolve(e);
  const Mat3d& star = r.axes.reciprocal_per_A;
  return {make_plan(e, r).lattice, 1 / std::abs(dot(star.a, cross(star.b, star.c)))};
}

TEST(SpotMetric, OfEachKindHasTheWorkedNumbersOfAHexagonalCrystal) {
  // Derived by hand and by numpy, apart from this program. The second point is the first one turned
  // by 60 degrees about c*: h k l becomes -k, h + k, l.
  const Vec3d at{0.03, 0.01, 0.02}, turned{-0.01, 0.04, 0.02};
  struct Case {
    const char* kind;
    double radius2, gauss, radius2_turned, gauss_turned, tophat;
  };
  for (const Case& c : {Case{"cell", 0.19, 1109.464877, 0.26, 992.792793, 1500},
                        Case{"reciprocal", 0.64, 543.129277, 0.64, 543.129277, 0},
                        Case{"round", 0.240905223, 1023.344172, 0.240905223, 1023.344172, 1500}}) {
    SCOPED_TRACE(c.kind);
    const auto [block, volume] = block_by(
        "-cell 100 100 60 90 90 120 -misset 10 20 30 -gauss_xtal -Na 10 -Nb 10 -Nc 15 "
        "-spot_metric " +
        std::string(c.kind));
    EXPECT_NEAR(volume, 519615.242271, 1e-5);
    EXPECT_NEAR(spot_radius2(block.metric, at), c.radius2, 1e-9);
    EXPECT_NEAR(spot_radius2(block.metric, turned), c.radius2_turned, 1e-9);
    EXPECT_NEAR(Gauss::factor(block, at), c.gauss, 1e-6);
    EXPECT_NEAR(Gauss::factor(block, turned), c.gauss_turned, 1e-6);
    EXPECT_EQ(Tophat::factor(block, at), c.tophat);
    EXPECT_EQ(Tophat::factor(block, turned), c.tophat);
  }
}

TEST(SpotMetric, OfIndicesMissesTheSixfoldAxisByAQuarterOfTheIntensity) {
  const auto block = block_by(
      "-cell 100 100 60 90 90 120 -gauss_xtal -Na 10 -Nb 10 -Nc 15 -spot_metric cell");
  const auto intensity = [&](const Vec3d& d) {
    const double factor = Gauss::factor(block.numbers, d);
    return factor * factor;
  };
  const double ratio = intensity({0.03, 0.01, 0.02}) / intensity({-0.01, 0.04, 0.02});
  EXPECT_NEAR(ratio, 1230912.3139 / (992.792793 * 992.792793), 1e-6);
  EXPECT_GT(ratio, 1.24);
}

/// The mean of F_latt^2 over the cell of one reflection, none of it being further than `reach` from
/// the lattice point.
template <class Shape>
double integrated(const BlockNumbers<double>& block, double reach) {
  constexpr int points = 96;
  double sum = 0;
  for (int i = 0; i < points; ++i)
    for (int j = 0; j < points; ++j)
      for (int k = 0; k < points; ++k) {
        const auto at = [&](int n) { return reach * (2 * (n + 0.5) / points - 1); };
        const double factor = Shape::factor(block, Vec3d{at(i), at(j), at(k)});
        sum += factor * factor;
      }
  return sum * std::pow(2 * reach / points, 3);
}

TEST(SpotMetric, OfIndicesAndTheRoundOneKeepTheIntegratedIntensityOfTheBlock) {
  const std::string crystal = "-cell 50 60 70 80 95 105 -gauss_xtal -Na 7 -Nb 8 -Nc 9 ";
  const double cells = 7 * 8 * 9;
  for (const std::string kind : {"cell", "round"}) {
    const auto block = block_by(crystal + "-spot_metric " + kind).numbers;
    EXPECT_NEAR(integrated<Gauss>(block, 0.5) / cells, 0.984443146218, 1e-5) << kind;
    EXPECT_NEAR(integrated<Tophat>(block, 0.13) / cells, 1.047394424336, 3e-3) << kind;
  }
  // nanoBragg's falls as the block grows
  const auto [block, volume] = block_by(crystal + "-spot_metric reciprocal");
  EXPECT_NEAR(integrated<Gauss>(block, 0.5) / (volume / cells), 0.984443146218, 1e-5);
}

TEST(SpotMetric, OfAnotherKindThanNanobraggsIsRefusedInCompatMode) {
  const std::string flags = "-cell 70 -default_F 1 -detpixels 16 -N 5 -gauss_xtal -spot_metric ";
  for (const std::string kind : {"cell", "round"})
    EXPECT_THAT(test::message_of<UsageError>([&] { resolve(test::experiment_of(flags + kind)); }),
                testing::HasSubstr("-corrected"))
        << kind;
  EXPECT_NO_THROW(resolve(test::experiment_of(flags + "reciprocal")));
}

TEST(SpotMetric, OfAShapeWithoutOneIsSaidToHaveNoEffect) {
  const auto warnings = [](const std::string& shape) {
    return resolve(test::experiment_of("-corrected -cell 70 -default_F 1 -detpixels 16 -N 5 "
                                       "-spot_metric round " +
                                       shape))
        .warnings;
  };
  EXPECT_THAT(warnings("-gauss_xtal"), testing::IsEmpty());
  EXPECT_THAT(warnings("-tophat_spots"), testing::IsEmpty());
  for (const char* shape : {"-square_xtal", "-round_xtal"})
    EXPECT_THAT(warnings(shape), testing::Contains(testing::HasSubstr("-spot_metric")));
}

TEST(SpotMetric, DecidesHowManySubPixelsAreRecommendedWhereSpotsAreNarrower) {
  const auto recommended = [](const std::string& flags) {
    return resolve(test::experiment_of("-corrected -cell 100 -default_F 1 -detpixels 16 -N 19 "
                                       "-lambda 1 -distance 100 -pixel 0.1 " +
                                       flags))
        .recommended_oversample;
  };
  // 3 x edge/(wavelength x distance/pixel): edges of 19 cells of 100 A, and of 6859 A
  EXPECT_EQ(recommended("-gauss_xtal"), 6);
  EXPECT_EQ(recommended("-gauss_xtal -spot_metric round"), 6);
  EXPECT_EQ(recommended("-gauss_xtal -spot_metric reciprocal"), 21);
  EXPECT_EQ(recommended("-spot_metric reciprocal"), 6);
}

}  // namespace
}  // namespace nablabragg
