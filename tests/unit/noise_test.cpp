// The random streams.  Numbers marked with a seed were printed by nanoBragg's C functions
// (noise-and-io.md 1, cli.md 8, geometry.md 9 of the specification); the other generator is held
// against the Poisson distribution.
#include "readout/noise.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/nanobragg_random.hpp"
#include "physics/poisson.hpp"
#include "support/engines.hpp"

namespace nablabragg::readout {
namespace {

using model::NanobraggRandom;

/// One pixel's count, of the generator keyed by pixel.
double pixel_poisson(double mean, std::uint64_t seed, std::uint64_t pixel) {
  double count = -1;
  KeyedPoisson{seed}(std::span<const double>(&mean, 1), pixel, std::span(&count, 1));
  return count;
}

/// The counts of pixels 0, 1... of the same mean.
std::vector<double> keyed_counts(double mean, std::uint64_t seed, std::size_t pixels) {
  std::vector<double> counts(pixels);
  const std::vector<double> means(pixels, mean);
  KeyedPoisson{seed}(std::span<const double>(means), 0, counts);
  return counts;
}

/// Every kind of mean, in an order in which no two neighbours are alike, and an odd number of them.
std::vector<float> mixed_means() {
  std::vector<float> means{0,
                           -1,
                           std::numeric_limits<float>::quiet_NaN(),
                           std::numeric_limits<float>::infinity(),
                           1e-30F,
                           2e9F,
                           1e9F,
                           10,
                           9.9999F};
  for (int i = 0; i < 20000; ++i)
    means.push_back(static_cast<float>(std::pow(10.0, (i * 7919 % 20011) / 20011.0 * 12 - 3)));
  return means;
}

NanobraggPoisson fresh(std::int64_t user_seed) { return {NanobraggRandom(), user_seed}; }

std::vector<float> uniforms(std::int64_t& seed, int count) {
  NanobraggRandom random;
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(random.uniform(seed));
  return values;
}

std::vector<float> counts(NanobraggPoisson& poisson, const std::vector<float>& means) {
  std::vector<float> values;
  for (const float mean : means) values.push_back(poisson(mean));
  return values;
}

// ---- Uniform deviates -------------------------------------------------------------------------

struct UniformCase {
  std::int64_t user_seed;
  std::vector<float> values;
  std::int64_t state;
};

TEST(NanobraggRandom, DrawsTheReferenceSequenceOfEachSeed) {
  const std::vector<UniformCase> cases{
      {1,
       {0.415999353F, 0.091964893F, 0.75641048F, 0.52970022F, 0.930436492F, 0.383502066F,
        0.653918982F, 0.0668422356F, 0.722660422F, 0.671149373F},
       937186357},
      {12345678,
       {0.765989304F, 0.023453664F, 0.589726627F, 0.535101593F, 0.982231438F, 0.693016112F,
        0.328146875F, 0.29564169F, 0.849917889F, 0.592261791F},
       1481110328},
      {12345,
       {0.923120558F, 0.333146602F, 0.197888419F, 0.949421704F, 0.783800364F, 0.983884633F,
        0.914130032F, 0.583283305F, 0.209134087F, 0.177782878F},
       1071170776},
      {54321,
       {0.800216615F, 0.0894772559F, 0.974007368F, 0.060061451F, 0.141819596F, 0.0113976113F,
        0.561932504F, 0.399304688F, 0.53195101F, 0.175931349F},
       652762815},
      {1234567,
       {0.424409598F, 0.819287896F, 0.586777568F, 0.927180767F, 0.00930042379F, 0.0667017251F,
        0.055879049F, 0.0519466102F, 0.225603953F, 0.805028975F},
       257355406},
      {123456789,
       {0.911977053F, 0.0617272295F, 0.396988481F, 0.351628661F, 0.822887301F, 0.754673481F,
        0.00183837116F, 0.185314119F, 0.574365854F, 0.840847433F},
       1770944023}};
  for (const UniformCase& c : cases) {
    std::int64_t seed = -c.user_seed;
    EXPECT_EQ(uniforms(seed, 10), c.values) << "seed " << c.user_seed;
    EXPECT_EQ(seed, c.state) << "seed " << c.user_seed;
  }
}

TEST(NanobraggRandom, RoundsToFloatExactly) {
  std::int64_t seed = -1;
  EXPECT_EQ(uniforms(seed, 5), (std::vector<float>{0x1.a9fbbcp-2F, 0x1.78b02ep-4F, 0x1.83483cp-1F,
                                                   0x1.0f34dep-1F, 0x1.dc622cp-1F}));
}

TEST(NanobraggRandom, ReachesTheReferenceValueAfterAThousandDraws) {
  std::int64_t seed = -1;
  EXPECT_EQ(uniforms(seed, 1000).back(), 0.576430082F);
  EXPECT_EQ(seed, 1222648128);
}

TEST(NanobraggRandom, TakesSeedZeroForSeedOne) {
  std::int64_t zero = 0, one = -1;
  EXPECT_EQ(uniforms(zero, 10), uniforms(one, 10));
  EXPECT_EQ(zero, one);
}

TEST(NanobraggRandom, ContinuesTheTableOfTheStreamBeforeUnderAPositiveState) {
  NanobraggRandom random;
  std::int64_t first = -1, second = 5;
  random.uniform(first);
  EXPECT_EQ(random.uniform(second), 0.091964893F);
  EXPECT_EQ(random.uniform(second), 0.75641048F);
  EXPECT_EQ(random.uniform(second), 0.52970022F);
}

TEST(NanobraggRandom, TakesAPositiveStateForSeedOneWhenItComesFirst) {
  std::int64_t positive = 5, one = -1;
  EXPECT_EQ(uniforms(positive, 10), uniforms(one, 10));
}

TEST(NanobraggRandom, LeavesTheStuckSeedByWayOfSeedOne) {
  std::int64_t stuck = -2147483647, one = -1;
  std::vector<float> expected{0.0F};
  for (const float x : uniforms(one, 9)) expected.push_back(x);
  EXPECT_EQ(uniforms(stuck, 10), expected);
}

TEST(NanobraggRandom, DrawsABlockAsItsSingleNumbers) {
  for (const std::int64_t state :
       {std::int64_t{-1}, std::int64_t{0}, std::int64_t{5}, std::int64_t{-12345},
        std::int64_t{-2147483647}, std::int64_t{-2147483646}, std::int64_t{2147483647},
        std::int64_t{-1} << 40, std::int64_t{1} << 40, std::int64_t{-4611686018427387904}}) {
    NanobraggRandom singly, together;
    std::int64_t single_seed = state, block_seed = state;
    NanobraggRandom::Block block;
    for (int draws = 0; draws < 3000; draws += block.size) {
      together.draw(block_seed, block);
      for (std::size_t i = 0; i < static_cast<std::size_t>(block.size); ++i) {
        ASSERT_EQ(block.values[i], singly.uniform(single_seed)) << state << ", draw " << draws;
        ASSERT_EQ(block.seeds[i], single_seed) << state << ", draw " << draws;
      }
      ASSERT_EQ(block_seed, single_seed) << state;
    }
    EXPECT_EQ(block.size, NanobraggRandom::Block::most) << state;
  }
}

TEST(NanobraggRandom, NeverReachesOne) {
  std::int64_t seed = -1;
  const std::vector<float> values = uniforms(seed, 1000000);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*least, 0.0F);
  EXPECT_LE(*most, 0.99999988F);
}

TEST(NanobraggRandom, DrawsTheReferenceNormalDeviates) {
  NanobraggRandom random;
  std::int64_t seed = -1;
  for (const float expected : {-0.836853981F, -0.172279969F, 0.187117606F, 1.61543977F,
                               -0.17677407F, 0.653144717F, -0.546363592F, 0.194145709F})
    EXPECT_EQ(random.gauss(seed), expected);
}

TEST(NanobraggRandom, KeepsTheSpareNormalDeviateWhenTheSeedChanges) {
  NanobraggRandom random;
  std::int64_t seed = -1, other = -99;
  random.gauss(seed);
  EXPECT_EQ(random.gauss(other), -0.172279969F);
  EXPECT_EQ(other, -99);
}

// ---- ln Gamma ---------------------------------------------------------------------------------

TEST(NanobraggLogGamma, RoundsAsTheReference) {
  const std::vector<std::pair<float, float>> cases{
      {1.5F, -0.120782241F}, {2.5F, 0.28468287F},   {12, 17.5023079F},   {13, 19.987215F},
      {13.5F, 21.2600765F},  {20.25F, 40.0841103F}, {50, 144.56575F},    {101, 363.73938F},
      {1001, 5912.12842F},   {1e5F, 1051287.75F},   {1000001, 12815518}, {1, 0},
      {2, -4.4408921e-16F}};
  for (const auto& [x, expected] : cases) EXPECT_EQ(nanobragg_log_gamma(x), expected) << x;
}

// ---- nanoBragg's Poisson deviates -------------------------------------------------------------

struct PoissonCase {
  float mean;
  std::int64_t user_seed;
  std::vector<float> values;
};

TEST(NanobraggPoisson, DrawsTheReferenceCountsOfEachMean) {
  const std::vector<PoissonCase> cases{
      {0.1F, 1, {0, 0, 0, 0, 1, 0, 0, 0, 0, 0}},
      {0.1F, 42, {0, 0, 0, 0, 1, 0, 0, 0, 0, 0}},
      {0.5F, 1, {0, 0, 1, 1, 1, 1, 0, 1, 0, 1}},
      {0.5F, 42, {0, 0, 1, 1, 0, 1, 0, 0, 0, 0}},
      {1, 1, {1, 3, 1, 2, 2, 1, 0, 3, 0, 1}},
      {1, 42, {1, 1, 2, 1, 0, 0, 1, 0, 1, 0}},
      {3.7F, 1, {3, 3, 7, 4, 4, 4, 4, 6, 4, 5}},
      {3.7F, 42, {5, 2, 0, 3, 4, 1, 2, 6, 2, 4}},
      {11.99F, 1, {15, 14, 12, 13, 16, 11, 10, 14, 13, 9}},
      {11.99F, 42, {10, 10, 12, 14, 11, 11, 8, 14, 11, 10}},
      {12, 1, {7, 10, 10, 13, 10, 9, 11, 7, 10, 5}},
      {12, 42, {6, 11, 13, 16, 8, 21, 14, 13, 8, 15}},
      {20, 1, {18, 17, 21, 17, 16, 19, 14, 18, 11, 19}},
      {20, 42, {13, 19, 21, 26, 14, 32, 22, 15, 24, 22}},
      {100, 1, {86, 96, 73, 94, 103, 95, 91, 99, 87, 95}},
      {100, 42, {84, 99, 103, 113, 88, 102, 96, 95, 78, 99}},
      {1234.5F, 1, {1186, 1223, 1139, 1215, 1246, 1217, 1283, 1208, 1244, 1235}},
      {1234.5F, 42, {1180, 1233, 1246, 1283, 1194, 1244, 1220, 1218, 1158, 1233}},
      {1e5F, 1, {99570, 99900, 99148, 99830, 100103, 99851, 100438, 99765, 100086, 99906}},
      {1e5F, 42, {99514, 99990, 100112, 100439, 99643, 100092, 99878, 99855, 99315, 99990}},
      {1e6F,
       1,
       {997306, 999464, 1000328, 999528, 1001388, 1000272, 998457, 999607, 1000147, 1001116}},
      {1e6F,
       42,
       {998465, 1001391, 998873, 1000291, 999615, 997836, 999970, 999940, 999348, 1000132}},
      {2e6F, 1, {1998816.5F, 1999756.38F, 2000264.62F, 2002284.62F, 1999750, 2000923.62F}},
      {2e6F, 42, {2003515.88F, 1997474, 1998887, 2000846.25F}},
      {0, 12345, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
      {0.5F, 12345, {1, 0, 4, 0, 0, 2, 0, 0, 0, 1}},
      {3, 12345, {4, 4, 2, 2, 6, 2, 2, 2, 1, 6}},
      {11.9F, 12345, {14, 13, 14, 13, 10, 12, 12, 19, 9, 5}},
      {12, 12345, {10, 10, 15, 10, 12, 10, 9, 20, 12, 20}},
      {50, 12345, {47, 47, 57, 47, 51, 47, 45, 51, 68, 55}},
      {1000, 12345, {988, 987, 1034, 990, 1004, 988, 979, 1008, 1080, 936}},
      {999999,
       12345,
       {999650, 1001012, 998857, 999607, 1001089, 999686, 1000151, 999919, 1001574, 1001349}},
      {2e6F,
       12345,
       {1999680.75F, 2000809.62F, 2000229, 2001138.62F, 1999210.62F, 1999287.38F, 2000255.62F,
        2000525.62F, 1999867.5F, 1999569.62F}}};
  for (const PoissonCase& c : cases) {
    NanobraggPoisson poisson = fresh(c.user_seed);
    const std::vector<float> drawn = counts(poisson, std::vector<float>(c.values.size(), c.mean));
    EXPECT_EQ(drawn, c.values) << "mean " << c.mean << " seed " << c.user_seed;
  }
}

TEST(NanobraggPoisson, DrawsMixedMeansFromOneStream) {
  NanobraggPoisson one = fresh(1);
  EXPECT_EQ(counts(one, {0, 0.1F, 0.5F, 1, 3.7F, 11.99F, 12, 20, 100, 1234.5F, 1e5F, 1e6F, 1000001,
                         2e6F, 5e7F}),
            (std::vector<float>{0, 0, 1, 1, 3, 14, 9, 19, 87, 1219, 99389, 999940, 998922.438F,
                                2000592.5F, 49996888}));
  EXPECT_EQ(one.state(), 500782188);

  const std::vector<float> means{0.25F,  3.5F, 11.999F,   12,   15.75F,
                                 250.5F, 1e4F, 999999.5F, 1e6F, 1000000.5F};
  NanobraggPoisson two = fresh(12345);
  EXPECT_EQ(counts(two, means),
            (std::vector<float>{1, 6, 13, 20, 16, 290, 9798, 1000718, 999985, 998362.438F}));
  EXPECT_EQ(counts(two, means),
            (std::vector<float>{0, 3, 14, 5, 19, 251, 9830, 999913, 1000714, 1001039.19F}));
  EXPECT_EQ(two.state(), 470318023);

  NanobraggPoisson three = fresh(42);
  EXPECT_EQ(counts(three, {1, 2, 0.5F, 13, 100, 5000, 2.5e6F, 7}),
            (std::vector<float>{1, 3, 0, 8, 101, 5043, 2498768.25F, 4}));
}

TEST(NanobraggPoisson, DrawsTheCountsOfTheWorkedImage) {
  // Rows 1 to 3 of the region of interest in noise-and-io.md 9, which -seed 7 begins with.
  const std::vector<float> means{
      0.928887248F,  30.5520992F,  24.6871738F,  34.2811584F,  116.418526F,  0.0633344054F,
      1.89235461F,   0.505972981F, 0.042517297F, 28.9329586F,  0.986918271F, 0.0463715419F,
      0.0723739043F, 5.82803345F,  2.26704168F,  1.42242396F,  11.0575953F,  0.284021676F,
      24.3720646F,   4.18282175F,  1.20962262F,  14.181839F,   0.750600457F, 0.00775871007F,
      1.43264437F,   6.71052122F,  3.71541476F,  0.377331734F, 0.347673118F, 0.023644777F,
      0.0877263099F, 2.07853532F,  7.39420748F,  1186.60803F,  8.05455971F,  0.483665258F};
  const std::vector<float> stored{40, 68, 62, 78, 145, 40, 41, 40, 40, 76,   41, 40,
                                  40, 49, 43, 41, 49,  41, 61, 46, 40, 52,   40, 40,
                                  40, 44, 42, 40, 42,  40, 40, 42, 43, 1225, 47, 40};
  NanobraggPoisson poisson = fresh(7);
  for (std::size_t i = 0; i < means.size(); ++i)
    EXPECT_EQ(poisson(means[i]) + 40, stored[i]) << "pixel " << i;
}

TEST(NanobraggPoisson, TakesOneDrawForNothing) {
  NanobraggRandom random;
  std::int64_t seed = -3;
  random.uniform(seed);
  NanobraggPoisson poisson = fresh(3);
  EXPECT_EQ(poisson(0), 0);
  EXPECT_EQ(poisson.state(), seed);
  EXPECT_EQ(random.uniform(seed), 0.558249116F);
}

TEST(NanobraggPoisson, TakesOneDrawForANegativeMean) {
  NanobraggPoisson poisson = fresh(3), nothing = fresh(3);
  EXPECT_EQ(poisson(-2.5F), 0);
  nothing(0);
  EXPECT_EQ(poisson.state(), nothing.state());
}

TEST(NanobraggPoisson, TakesTwoDrawsForNotANumberAndReturnsIt) {
  NanobraggRandom random;
  std::int64_t seed = -3;
  random.uniform(seed);
  random.uniform(seed);
  NanobraggPoisson poisson = fresh(3);
  EXPECT_TRUE(std::isnan(poisson(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_EQ(poisson.state(), seed);
}

TEST(NanobraggPoisson, ForgetsWhatEarlierStreamsLeftUnlessTheUserSeedIsNegative) {
  NanobraggRandom used;
  std::int64_t mosaic = -12345678;
  for (int i = 0; i < 3; ++i) used.uniform(mosaic);
  const std::vector<float> means{5, 50, 0.5F, 11};

  NanobraggPoisson positive(used, 7), untouched = fresh(7);
  EXPECT_EQ(counts(positive, means), counts(untouched, means));

  // -seed -7 goes on with the table of the mosaic stream.
  NanobraggPoisson negative(used, -7);
  std::int64_t state = 7;
  float expected = 0;
  for (float t = used.uniform(state); t > std::exp(-2.0F); t *= used.uniform(state)) ++expected;
  EXPECT_EQ(negative(2), expected);
  EXPECT_EQ(negative.state(), state);
}

TEST(NanobraggPoisson, DrawsARowAsItsPixels) {
  // Dark ones, which are taken together, bright ones, and both in turn
  std::vector<float> means = mixed_means();
  for (int i = 0; i < 20000; ++i)
    means.push_back(i % 700 < 650 ? 1e-4F * static_cast<float>(i % 331) : 30.0F);
  for (const std::size_t begin : {0U, 3U}) {
    const std::span<const float> row = std::span<const float>(means).subspan(begin);
    NanobraggPoisson together = fresh(77), singly = fresh(77);
    std::vector<double> drawn(row.size());
    together(row, drawn);
    for (std::size_t i = 0; i < row.size(); ++i) {
      const double count = singly(row[i]);
      ASSERT_TRUE(drawn[i] == count || (std::isnan(drawn[i]) && std::isnan(count))) << row[i];
    }
    EXPECT_EQ(together.state(), singly.state());
  }
}

TEST(NanobraggPoisson, SurvivesTheSeedThatHasNoNegative) {
  NanobraggPoisson poisson = fresh(std::numeric_limits<std::int64_t>::min());
  EXPECT_TRUE(std::isfinite(poisson(100)));
}

// ---- The generator keyed by pixel -------------------------------------------------------------

// Every statistical test below has fixed seeds, so it always gives the same answer; its limit says
// how rarely a correct generator would have to be given another seed.  Five standard deviations or
// p = 1e-6: with some twenty such comparisons the chance of one false alarm stays below 2e-5, while
// 200000 draws still show an error of 1 % of a standard deviation in the mean and 2 % in the
// variance.
constexpr std::uint64_t draws = 200000;
constexpr double limit_sigma = 5;

TEST(PixelPoisson, HasTheMeanAndVarianceOfThePoissonDistribution) {
  for (const double mean :
       {1e-3, 0.1, 1.0, 3.7, 11.99, 12.0, 20.0, 100.0, 1234.5, 1e6, 9.99e8, 1.01e9, 1e12}) {
    double sum = 0, squares = 0;
    for (const double count : keyed_counts(mean, 1, draws)) {
      const double deviation = count - mean;
      sum += deviation;
      squares += deviation * deviation;
    }
    const double n = static_cast<double>(draws);
    EXPECT_LT(std::abs(sum / n), limit_sigma * std::sqrt(mean / n)) << "mean " << mean;
    // The fourth central moment of a Poisson variable is mean + 3 mean^2.
    const double sigma_of_variance = std::sqrt((mean + 2 * mean * mean) / n);
    EXPECT_LT(std::abs(squares / n - mean), limit_sigma * sigma_of_variance) << "mean " << mean;
  }
}

/// Chi squared that a correct generator exceeds with probability 1e-6 (Wilson and Hilferty).
double chi_squared_limit(double degrees_of_freedom) {
  constexpr double normal_quantile = 4.753;
  const double v = 2 / (9 * degrees_of_freedom);
  return degrees_of_freedom * std::pow(1 - v + normal_quantile * std::sqrt(v), 3);
}

/// Natural logarithm of the probability of `count`, without the difference of large numbers that
/// the formula in the textbooks is.
double log_probability(double count, double mean) {
  if (count == 0) return -mean;
  const double x = (count - mean) / mean;
  const double deviance = count * std::log1p(x) - (count - mean);
  const double stirling = std::lgamma(count + 1) - (count * std::log(count) - count +
                                                    0.5 * std::log(2 * std::numbers::pi * count));
  // lgamma's own digits run out; the series does not.
  const double rest = count > 1000 ? 1 / (12 * count) : stirling;
  return -deviance - rest - 0.5 * std::log(2 * std::numbers::pi * count);
}

/// Chi squared over its limit of counts that are held against the Poisson distribution, in bins of
/// equal width, about 60 over the eight standard deviations around the mean; those that would be
/// filled poorly are one.
double chi_squared_over_limit(const std::vector<double>& counts, double mean) {
  const double width = std::max(1.0, std::floor(8 * std::sqrt(mean) / 60));
  const double begin = std::max(0.0, std::floor(mean - 8 * std::sqrt(mean)));
  const auto bins = static_cast<std::size_t>((mean + 8 * std::sqrt(mean) + 20 - begin) / width);
  std::vector<double> observed(bins), expected(bins);
  const auto n = static_cast<double>(counts.size());
  double other_observed = 0, other_expected = n;
  for (const double count : counts)
    if (count >= begin && count < begin + width * static_cast<double>(bins))
      observed[static_cast<std::size_t>((count - begin) / width)] += 1;
    else
      ++other_observed;
  double chi_squared = 0, used = 0;
  for (std::size_t bin = 0; bin < bins; ++bin) {
    for (double k = 0; k < width; ++k)
      expected[bin] += n * std::exp(
                               log_probability(begin + static_cast<double>(bin) * width + k, mean));
    if (expected[bin] < 20) {  // chi squared needs well-filled bins
      other_observed += observed[bin];
      continue;
    }
    chi_squared += std::pow(observed[bin] - expected[bin], 2) / expected[bin];
    other_expected -= expected[bin];
    ++used;
  }
  // What is left may be too little for chi squared: then it must be as little as that.
  if (other_expected >= 20)
    chi_squared += std::pow(other_observed - other_expected, 2) / other_expected;
  else if (other_observed > other_expected + 10 + 6 * std::sqrt(other_expected))
    return std::numeric_limits<double>::infinity();
  return chi_squared / chi_squared_limit(used);
}

TEST(PixelPoisson, FillsTheBinsOfThePoissonDistribution) {
  // 10 is where one algorithm ends and the other begins.
  for (const double mean : {0.01, 0.1,  0.5,  1.0,  3.7,   9.0,    9.999,   10.0, 10.5, 11.99,
                            12.0, 17.0, 25.0, 40.0, 100.0, 1000.0, 12345.6, 1e5,  1e6,  3e8})
    EXPECT_LT(chi_squared_over_limit(keyed_counts(mean, 2, draws), mean), 1) << "mean " << mean;
}

TEST(PixelPoisson, FillsTheBinsOfMillionsOfDraws) {
  // So many that leaving out Stirling's 1/(12 k) where candidates are accepted would show.
  const std::vector<std::pair<double, std::size_t>> cases{
      {0.7, 2000000}, {9.9, 2000000}, {10.0, 20000000}, {1e4, 2000000}};
  for (const auto& [mean, pixels] : cases)
    EXPECT_LT(chi_squared_over_limit(keyed_counts(mean, 8, pixels), mean), 1) << "mean " << mean;
}

TEST(PixelPoisson, DrawsTheSameCountsOnEveryInstructionSet) {
  const std::vector<float> means = mixed_means();
  std::vector<double> expected(means.size()), counts(means.size());
  {
    const test::ForcedTarget target(engine::instruction_sets().back());
    KeyedPoisson{9}(std::span<const float>(means), 12345, expected);
  }
  for (const std::string& set : engine::instruction_sets()) {
    const test::ForcedTarget target(set);
    KeyedPoisson{9}(std::span<const float>(means), 12345, counts);
    EXPECT_EQ(counts, expected) << set;
  }
}

// As a thread of a GPU does.
TEST(PixelPoisson, DrawsOneNumberAtATimeWhatRegistersDraw) {
  constexpr physics::PoissonTables tables;
  const std::vector<float> means = mixed_means();
  for (const std::uint64_t seed : {1U, 2U, 99U}) {
    std::vector<double> counts(means.size());
    KeyedPoisson{seed}(std::span<const float>(means), 1000, counts);
    for (std::size_t i = 0; i < means.size(); ++i) {
      const auto mean = static_cast<double>(means[i]);
      if (mean > physics::poisson_largest_mean) continue;
      EXPECT_EQ(physics::poisson_count(tables, KeyedPoisson::key_of(seed), 1000 + i, mean),
                counts[i])
          << mean;
    }
  }
}

TEST(PixelPoisson, DrawsARowAsItsPixels) {
  const std::vector<float> means = mixed_means();
  std::vector<double> row(means.size());
  KeyedPoisson{9}(std::span<const float>(means), 500, row);
  for (std::size_t i = 0; i < means.size(); ++i)
    ASSERT_EQ(row[i], pixel_poisson(static_cast<double>(means[i]), 9, 500 + i)) << means[i];
}

TEST(PixelPoisson, DrawsTheCountsThatItDrewBefore) {
  // A seed's image is the same from version to version; whoever changes it says so (CHANGELOG.md).
  std::vector<double> counts;
  for (const double mean : {0.5, 3.7, 9.99, 10.0, 100.0, 1234.5, 1e6, 9e8})
    counts.push_back(pixel_poisson(mean, 1, 2));
  EXPECT_EQ(counts, (std::vector<double>{1, 5, 13, 11, 95, 1218, 1001051, 900031541}));
}

TEST(PixelPoisson, DoesNotCorrelateNeighbours) {
  for (const std::size_t step : {1U, 2U, 1024U, 2463U}) {
    const std::vector<double> counts = keyed_counts(9, 3, draws + step);
    double sum = 0;
    for (std::size_t i = 0; i < draws; ++i) sum += (counts[i] - 9) * (counts[i + step] - 9);
    EXPECT_LT(std::abs(sum), limit_sigma * 9 * std::sqrt(static_cast<double>(draws))) << step;
  }
}

TEST(PixelPoisson, DoesNotCorrelateSeeds) {
  const std::vector<double> one = keyed_counts(9, 3, draws), other = keyed_counts(9, 4, draws);
  double sum = 0;
  for (std::size_t i = 0; i < one.size(); ++i) sum += (one[i] - 9) * (other[i] - 9);
  EXPECT_LT(std::abs(sum), limit_sigma * 9 * std::sqrt(static_cast<double>(draws)));
}

TEST(PixelPoisson, GivesAPixelTheSameCountWhateverElseIsDrawn) {
  std::vector<double> forward, backward;
  for (std::uint64_t pixel = 0; pixel < 1000; ++pixel)
    forward.push_back(pixel_poisson(50, 5, pixel));
  for (std::uint64_t pixel = 1000; pixel-- > 0;) {
    pixel_poisson(1e4, 5, pixel + 7);
    backward.push_back(pixel_poisson(50, 5, pixel));
  }
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
}

TEST(PixelPoisson, GivesZeroWhereNothingIsExpected) {
  EXPECT_EQ(pixel_poisson(0, 1, 2), 0);
  EXPECT_EQ(pixel_poisson(-3, 1, 2), 0);
  EXPECT_EQ(pixel_poisson(std::numeric_limits<double>::quiet_NaN(), 1, 2), 0);
  EXPECT_EQ(pixel_poisson(std::numeric_limits<double>::denorm_min(), 1, 2), 0);
}

TEST(PixelPoisson, ReturnsForEveryMean) {
  EXPECT_NEAR(pixel_poisson(1e15, 1, 2), 1e15, 10 * std::sqrt(1e15));
  EXPECT_NEAR(pixel_poisson(1e300, 1, 2), 1e300, 1e290);
  EXPECT_EQ(pixel_poisson(std::numeric_limits<double>::infinity(), 1, 2),
            std::numeric_limits<double>::infinity());
}

TEST(PixelPoisson, CountsWholePhotons) {
  for (const double mean : {0.3, 30.0, 3e5, 3e9})
    for (std::uint64_t pixel = 0; pixel < 100; ++pixel) {
      const double count = pixel_poisson(mean, 6, pixel);
      EXPECT_EQ(count, std::floor(count));
    }
}

}  // namespace
}  // namespace nablabragg::readout
