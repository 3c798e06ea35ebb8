// Scales and rounding of the images of integers.  The worked image is noise-and-io.md 9 of the
// specification.
#include "readout/integer_image.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/engines.hpp"

namespace nablabragg::readout {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

TEST(IntegerScale, TakesWhatIsAskedElseBringsTheMaximumTo55000) {
  EXPECT_EQ(integer_scale(2.5, 100), 2.5);
  EXPECT_EQ(integer_scale(0, 100), 550);
  EXPECT_EQ(integer_scale(-1, 100), 550);
}

TEST(IntegerScale, IsOneForADarkImage) {
  EXPECT_EQ(integer_scale(0, 0), 1);
  EXPECT_EQ(integer_scale(0, -5), 1);
  EXPECT_EQ(integer_scale(0, nan), 1);
}

TEST(GreymapScale, TakesWhatIsAskedElseBringsFiveStandardDeviationsTo250) {
  EXPECT_EQ(greymap_scale(0.25, 10, 7), 0.25);
  EXPECT_EQ(greymap_scale(0, 10, 7), 5);
}

TEST(GreymapScale, IsTheIntegerScaleForAFlatImage) {
  EXPECT_EQ(greymap_scale(0, 0, 7), 7);
  EXPECT_EQ(greymap_scale(-1, nan, 7), 7);
}

TEST(GreymapScale, MatchesTheWorkedImage) {
  EXPECT_NEAR(greymap_scale(0, 138.773, 46.3506), 0.360301, 1e-6);
}

TEST(ToInteger, MatchesTheWorkedImage) {
  const std::vector<float> values{
      0.928887248F,  30.5520992F,  24.6871738F,  34.2811584F,  116.418526F,  0.0633344054F,
      1.89235461F,   0.505972981F, 0.042517297F, 28.9329586F,  0.986918271F, 0.0463715419F,
      1.43264437F,   6.71052122F,  3.71541476F,  0.377331734F, 0.347673118F, 0.023644777F,
      0.0877263099F, 2.07853532F,  7.39420748F,  1186.60803F,  8.05455971F,  0.483665258F};
  const std::vector<int> expected{83,  1456, 1184, 1629, 5436, 43, 128, 63,  42,  1381,  86,  42,
                                  106, 351,  212,  57,   56,   41, 44,  136, 383, 55040, 413, 62};
  const double scale = integer_scale(0, static_cast<double>(1186.60803F));
  EXPECT_NEAR(scale, 46.3506, 1e-4);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(to_integer(values[i], scale, 40), expected[i]) << "pixel " << i;
}

TEST(ToInteger, RoundsHalvesUp) {
  EXPECT_EQ(to_integer(2.5F, 1, 0), 3);
  EXPECT_EQ(to_integer(2.25F, 1, 0), 2);
  EXPECT_EQ(to_integer(0, 1, 40.6), 41);
}

TEST(ToInteger, RoundsThroughFloat) {
  // 65534.4981 + 0.5 is 65534.9981, whose nearest float is 65535.
  EXPECT_EQ(to_integer(0, 1, 65534.4981), 65535);
  EXPECT_EQ(to_integer(0, 1, 65534.495), 65534);
}

TEST(ToInteger, StaysWithinSixteenBits) {
  EXPECT_EQ(to_integer(1e30F, 1, 40), 65535);
  EXPECT_EQ(to_integer(std::numeric_limits<float>::infinity(), 1, 40), 65535);
  EXPECT_EQ(to_integer(0, 1, 65535), 65535);
  EXPECT_EQ(to_integer(0, 1, 65534.6), 65535);
  EXPECT_EQ(to_integer(-1e30F, 1, 40), 0);
  EXPECT_EQ(to_integer(0, 1, -0.4), 0);
  EXPECT_EQ(to_integer(std::numeric_limits<float>::quiet_NaN(), 1, 40), 0);
  EXPECT_EQ(to_integer(0, inf, 40), 0);
}

TEST(ToGrey, TruncatesAndStaysWithinAByte) {
  EXPECT_EQ(to_grey(1.99F, 1), 1);
  EXPECT_EQ(to_grey(3, 0.5), 1);
  EXPECT_EQ(to_grey(254.999F, 1), 254);
  EXPECT_EQ(to_grey(1e20F, 1), 255);
  EXPECT_EQ(to_grey(-3, 1), 0);
  EXPECT_EQ(to_grey(std::numeric_limits<float>::quiet_NaN(), 1), 0);
}

TEST(Rows, AreConvertedAsTheirPixelsByEveryInstructionSet) {
  std::vector<float> values{
      0, -1, 0.49F, 1e30F, -1e30F, static_cast<float>(nan), static_cast<float>(inf)};
  for (int i = 0; i < 1000; ++i) values.push_back(static_cast<float>(i) * 0.731F - 20);
  const std::vector<double> photons(values.begin(), values.end());
  for (const std::string& set : engine::instruction_sets()) {
    const test::ForcedTarget target(set);
    for (const double scale : {0.0, 0.37, 1.0, 250.0, inf})
      for (const double adc : {-3.0, 0.0, 40.6, 65535.0}) {
        std::vector<std::uint16_t> integers(values.size()), counts(values.size());
        std::vector<std::uint8_t> greys(values.size());
        to_integers(values, scale, adc, integers);
        to_greys(values, scale, greys);
        std::int64_t saturated = 0;
        const std::int64_t overloads = to_counts(photons, adc, counts);
        for (std::size_t i = 0; i < values.size(); ++i) {
          EXPECT_EQ(integers[i], to_integer(values[i], scale, adc)) << values[i] << ' ' << set;
          EXPECT_EQ(greys[i], to_grey(values[i], scale)) << values[i] << ' ' << set;
          EXPECT_EQ(counts[i], to_count(photons[i], adc)) << values[i] << ' ' << set;
          saturated += saturates(photons[i], adc) ? 1 : 0;
        }
        EXPECT_EQ(overloads, saturated) << set;
      }
  }
}

TEST(Rows, AreSummedToTheSameBitsByEveryInstructionSet) {
  std::vector<double> photons;
  for (int i = 0; i < 1003; ++i) photons.push_back(i % 17 * std::pow(3.0, i % 23));
  double exact = 0;
  for (const double count : photons) exact += count;
  for (const std::string& set : engine::instruction_sets()) {
    const test::ForcedTarget target(set);
    EXPECT_EQ(sum_of(photons), exact) << set;
    EXPECT_EQ(sum_of({}), 0) << set;
  }
}

TEST(ToCount, AddsTheOffsetAndTruncates) {
  EXPECT_EQ(to_count(3, 40), 43);
  EXPECT_EQ(to_count(0, 40.6), 40);
  EXPECT_EQ(to_count(65495, 40), 65535);
  EXPECT_FALSE(saturates(65495, 40));
}

TEST(ToCount, SaturatesAboveSixteenBits) {
  for (const double photons : {65496.0, inf}) {
    EXPECT_EQ(to_count(photons, 40), 65535);
    EXPECT_TRUE(saturates(photons, 40));
  }
}

TEST(ToCount, GivesZeroForNegativeValuesAndNotANumber) {
  EXPECT_EQ(to_count(3, -40), 0);
  EXPECT_EQ(to_count(nan, 40), 0);
  EXPECT_FALSE(saturates(nan, 40));
}

RC_GTEST_PROP(ToInteger, NeverDecreasesAndIsOffByNoMoreThanHalfAndTheFloatStep, ()) {
  const double v = *rc::gen::inRange(0, 65535000) / 1000.0;
  const int here = to_integer(0, 1, v), next = to_integer(0, 1, v + 0.001);
  RC_ASSERT(here <= next);
  RC_ASSERT(std::abs(here - v) <= 0.5 + 1.0 / 256);
}

}  // namespace
}  // namespace nablabragg::readout
