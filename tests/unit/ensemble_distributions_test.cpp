// The numbers that shots of an ensemble are drawn from.
#include "ensemble/distributions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "ensemble/keyed_draws.hpp"
#include "ensemble/labels.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/series.hpp"
#include "support/message_of.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::ensemble {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int many = 100000;

std::vector<double> draws(const Distribution& distribution) {
  std::vector<double> all;
  for (int shot = 0; shot < many; ++shot) all.push_back(drawn(distribution, 11, "name", shot)[0]);
  return all;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double x : values) sum += x;
  return sum / static_cast<double>(values.size());
}

double variance(const std::vector<double>& values) {
  const double middle = mean(values);
  double sum = 0;
  for (const double x : values) sum += (x - middle) * (x - middle);
  return sum / static_cast<double>(values.size());
}

/// sqrt(n) D of Kolmogorov's test: 1.95 is exceeded once in a thousand.
template <class Share>
double kolmogorov(std::vector<double> values, Share&& share_below) {
  std::ranges::sort(values);
  const auto n = static_cast<double>(values.size());
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = share_below(values[i]), below = static_cast<double>(i) / n;
    largest = std::max({largest, std::abs(expected - below), std::abs(expected - below - 1 / n)});
  }
  return std::sqrt(n) * largest;
}

TEST(KeyedDraws, AreThoseOfAnIndependentProgram) {
  EXPECT_EQ(stream_of("distance"), 0xdd6fbd38986b7842U);
  EXPECT_EQ(uniform(1, stream_of("distance"), 0, 0), 0.9974762054476117);
  EXPECT_EQ(uniform(1, stream_of("distance"), 17, 0), 0.8124373709104747);
  EXPECT_EQ(uniform(7, stream_of("cell[0]"), 99999, 3), 0.2694252567899237);
}

TEST(KeyedDraws, NormalQuantilesHaveSixteenDigits) {
  EXPECT_NEAR(normal_quantile(0.3), -0.5244005127080407, 1e-15);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 2e-15);
  EXPECT_NEAR(normal_quantile(0.01), -2.3263478740408408, 3e-15);
  EXPECT_NEAR(normal_quantile(1e-20), -9.262340089798408, 1e-14);
  EXPECT_EQ(normal_quantile(0.5), 0);
  for (const double x : {-7.5, -3.0, -0.2, 0.0, 1.0, 4.0})
    EXPECT_NEAR(normal_quantile(normal_share_below(x)), x, 1e-11);
}

TEST(Distributions, OfOneSeedNameAndShotAreOneNumber) {
  const Distribution d = Uniform{2, 5};
  const double one = drawn(d, 3, "distance", 7)[0];
  EXPECT_EQ(drawn(d, 3, "distance", 7)[0], one);
  EXPECT_NE(drawn(d, 4, "distance", 7)[0], one);
  EXPECT_NE(drawn(d, 3, "fluence", 7)[0], one);
  EXPECT_NE(drawn(d, 3, "distance", 8)[0], one);
}

TEST(Distributions, UniformNumbersAreUniform) {
  const std::vector<double> values = draws(Uniform{2, 5});
  EXPECT_LT(kolmogorov(values, [](double x) { return (x - 2) / 3; }), 1.95);
  EXPECT_NEAR(variance(values), 9.0 / 12, 0.01);
}

TEST(Distributions, NormalNumbersHaveTheirMeanAndDeviation) {
  const std::vector<double> values = draws(Normal{100, 0.5});
  EXPECT_NEAR(mean(values), 100, 5 * 0.5 / std::sqrt(many));
  EXPECT_NEAR(variance(values), 0.25, 5 * 0.25 * std::sqrt(2.0 / many));
  EXPECT_LT(kolmogorov(values, [](double x) { return normal_share_below((x - 100) / 0.5); }), 1.95);
}

TEST(Distributions, NormalNumbersWithinBoundsAreThoseOfTheWholeThatLieThere) {
  const Normal d{1, 2, 2, 8};
  const std::vector<double> values = draws(d);
  EXPECT_GE(*std::ranges::min_element(values), 2);
  EXPECT_LE(*std::ranges::max_element(values), 8);
  const double low = normal_share_below(0.5), high = normal_share_below(3.5);
  EXPECT_LT(
      kolmogorov(values,
                 [&](double x) { return (normal_share_below((x - 1) / 2) - low) / (high - low); }),
      1.95);
}

TEST(Distributions, FarBeyondTheMeanNumbersStillVary) {
  const std::vector<double> values = draws(Normal{0, 1, 20, 21});
  EXPECT_GE(*std::ranges::min_element(values), 20);
  EXPECT_LE(*std::ranges::max_element(values), 21);
  EXPECT_NEAR(mean(values), 20 + 1.0 / 20, 0.001);  // nearly exponential, at a rate of 20
}

TEST(Distributions, LogNormalNumbersHaveNormalLogarithms) {
  std::vector<double> values = draws(LogNormal{1e24, 0.5});
  for (double& x : values) x = std::log(x / 1e24);
  EXPECT_NEAR(mean(values), 0, 5 * 0.5 / std::sqrt(many));
  EXPECT_NEAR(variance(values), 0.25, 5 * 0.25 * std::sqrt(2.0 / many));
}

TEST(Distributions, ChoicesComeAsOftenAsTheirWeightsSay) {
  const Choice d{{{1, 2}, {3, 4}, {5, 6}}, {1, 0, 3}};
  EXPECT_EQ(numbers_of(d), 2U);
  int first = 0;
  for (int shot = 0; shot < many; ++shot) {
    const std::vector<double> values = drawn(d, 11, "cells", shot);
    ASSERT_EQ(values.size(), 2U);
    ASSERT_NE(values[0], 3) << "its weight is 0";
    first += values[0] == 1;
  }
  EXPECT_NEAR(first, many / 4.0, 5 * std::sqrt(many * 3.0 / 16));
}

TEST(Distributions, ColumnsOfAFileAreOfOneRow) {
  const test::TempDir folder;
  const std::string path = folder / "jet.txt";
  test::write_file(path, "# a jet\nx, y\n1 10\n2,20 # comment\n\n3 30\n");
  const auto table = std::make_shared<const Table>(read_table(path));
  EXPECT_THAT(table->names, ElementsAre("x", "y"));
  EXPECT_EQ(table->rows(), 3U);
  EXPECT_EQ(drawn(Column{table, 1, Rows::in_order}, 5, "y", 2)[0], 30);
  std::vector<int> counts(4);
  for (int shot = 0; shot < 3000; ++shot) {
    const double x = drawn(Column{table, 0, Rows::random}, 5, "x", shot)[0];
    ASSERT_EQ(drawn(Column{table, 1, Rows::random}, 5, "y", shot)[0], 10 * x);
    ++counts[static_cast<std::size_t>(x)];
  }
  for (int row = 1; row <= 3; ++row) EXPECT_NEAR(counts[static_cast<std::size_t>(row)], 1000, 130);
}

TEST(Distributions, TablesThatAreNoneAreRefusedByLine) {
  const test::TempDir folder;
  const std::string path = folder / "t";
  const auto complaint = [&](const std::string& text) {
    test::write_file(path, text);
    return test::message_of<InputError>([&] { read_table(path); });
  };
  EXPECT_THAT(complaint("x y\n1\n"), HasSubstr("t:2: has 1 numbers, and there are 2 columns"));
  EXPECT_THAT(complaint("x y\n1 two\n"), HasSubstr("t:2: "));
  EXPECT_THAT(complaint("x x\n1 2\n"), HasSubstr("two columns called"));
  EXPECT_THAT(complaint("x y\n"), HasSubstr("holds no table"));
}

TEST(Covariance, OfDrawsIsTheOneThatWasAskedFor) {
  const std::vector<double> covariance{4, 1.2, -0.5, 1.2, 1, 0, -0.5, 0, 0.25};
  const auto lower = cholesky(covariance, 3);
  ASSERT_TRUE(lower);
  const std::vector<double> means{10, -3, 0};
  std::vector<double> sum(3), products(9);
  for (int shot = 0; shot < many; ++shot) {
    const std::vector<double> x = drawn_together(means, *lower, 2, "together", shot);
    for (std::size_t i = 0; i < 3; ++i) {
      sum[i] += x[i];
      for (std::size_t j = 0; j < 3; ++j)
        products[3 * i + j] += (x[i] - means[i]) * (x[j] - means[j]);
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const double variance_i = covariance[4 * i];
    EXPECT_NEAR(sum[i] / many, means[i], 5 * std::sqrt(variance_i / many));
    for (std::size_t j = 0; j < 3; ++j) {
      const double variance_j = covariance[4 * j], c = covariance[3 * i + j];
      EXPECT_NEAR(products[3 * i + j] / many, c,
                  5 * std::sqrt((variance_i * variance_j + c * c) / many));
    }
  }
}

TEST(Covariance, MayTieNumbersTogether) {
  // Edges a = b of a tetragonal cell, and one that does not vary
  const auto lower = cholesky(std::vector<double>{0.04, 0.04, 0, 0.04, 0.04, 0, 0, 0, 0}, 3);
  ASSERT_TRUE(lower);
  for (int shot = 0; shot < 100; ++shot) {
    const std::vector<double> x = drawn_together(std::vector<double>{78, 78, 37}, *lower, 2, "n",
                                                 shot);
    EXPECT_EQ(x[0], x[1]);
    EXPECT_NE(x[0], 78);
    EXPECT_EQ(x[2], 37);
  }
}

TEST(Covariance, ThatNoNumbersHaveIsNone) {
  EXPECT_FALSE(cholesky(std::vector<double>{1, 2, 2, 1}, 2));
  EXPECT_FALSE(cholesky(std::vector<double>{1, 0.5, 0.4, 1}, 2)) << "not symmetric";
  EXPECT_FALSE(cholesky(std::vector<double>{-1, 0, 0, 1}, 2));
  EXPECT_FALSE(cholesky(std::vector<double>{0, 0.1, 0.1, 1}, 2));
  EXPECT_TRUE(cholesky(std::vector<double>{1, 1, 1, 1}, 2));
}

// ---- Rotations ----------------------------------------------------------------------------------

TEST(RandomOrientations, AreUniformOverAllRotations) {
  std::vector<double> angles, sines, turns;
  double last = 0, last_square = 0, trace = 0, trace_square = 0;
  for (int shot = 0; shot < many; ++shot) {
    const Vec3d misset = random_misset_deg(shot, 5);
    const Mat3d r = rotation_of_misset(misset);
    const double t = r.a.x + r.b.y + r.c.z;
    last += r.c.z;
    last_square += r.c.z * r.c.z;
    trace += t;
    trace_square += t * t;
    angles.push_back(std::acos(std::clamp((t - 1) / 2, -1.0, 1.0)));
    sines.push_back(std::sin(misset.y * std::numbers::pi / 180));
    turns.push_back(misset.x);
  }
  constexpr double n = many;
  EXPECT_NEAR(last / n, 0, 5 * std::sqrt(1.0 / 3 / n));
  EXPECT_NEAR(last_square / n, 1.0 / 3, 5 * 0.298142397 / std::sqrt(n));
  EXPECT_NEAR(trace / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(trace_square / n, 1, 5 * 1.0 / std::sqrt(n));
  EXPECT_NEAR(mean(angles), std::numbers::pi / 2 + 2 / std::numbers::pi, 0.01);
  EXPECT_LT(kolmogorov(angles, [](double w) { return (w - std::sin(w)) / std::numbers::pi; }),
            1.95);
  EXPECT_LT(kolmogorov(sines, [](double s) { return (s + 1) / 2; }), 1.95);
  EXPECT_LT(kolmogorov(turns, [](double x) { return (x + 180) / 360; }), 1.95);
}

TEST(RandomOrientations, OfOneShotAreThoseOfAllOfThem) {
  const std::vector<Vec3d> all = random_missets_deg(20, 9);
  const Vec3d one = random_misset_deg(13, 9);
  EXPECT_EQ(one.x, all[13].x);
  EXPECT_EQ(one.y, all[13].y);
  EXPECT_EQ(one.z, all[13].z);
}

TEST(Rotations, ByMissetAnglesAreTheMatrixThatWasWorkedOut) {
  const Mat3d r = rotation_of_misset({-114.255944094, 13.175117810, 102.136136979});
  EXPECT_NEAR(r.a.x, -0.204701402164, 1e-10);
  EXPECT_NEAR(r.a.y, 0.445320332249, 1e-10);
  EXPECT_NEAR(r.b.x, 0.951917087550, 1e-10);
  EXPECT_NEAR(r.c.y, -0.887721130546, 1e-10);
  EXPECT_NEAR(r.c.z, -0.400000000000, 1e-10);
}

}  // namespace
}  // namespace nablabragg::ensemble
