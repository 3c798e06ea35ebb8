// How alike two images are, on images small enough to be worked out by hand.
#include "instruments/image_metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace nablabragg::instruments {
namespace {

using testing::ElementsAre;

PairStatistics pair_of(const std::vector<float>& reference, const std::vector<float>& image) {
  PairStatistics pair;
  pair.add(reference, image);
  return pair;
}

Image image_of(int fast, int slow, const std::vector<float>& pixels) {
  return {fast, slow, pixels};
}

Image constant(int edge, float value) {
  return {edge, edge, std::vector<float>(static_cast<std::size_t>(edge * edge), value)};
}

TEST(PairStatistics, OfASmallPairAreThoseWorkedOutByHand) {
  // Means 2.5 and 3; about them (-1.5 -0.5 0.5 1.5) and (-1 -2 2 1): products add up to 5,
  // squares to 5 and 10.  Differences 1 -1 2 0.
  const PairStatistics pair = pair_of({1, 2, 3, 4}, {2, 1, 5, 4});
  EXPECT_EQ(pair.count(), 4);
  EXPECT_DOUBLE_EQ(pair.sum_reference(), 10);
  EXPECT_DOUBLE_EQ(pair.sum_image(), 12);
  EXPECT_DOUBLE_EQ(pair.sum_ratio(), 1.2);
  EXPECT_DOUBLE_EQ(pair.correlation(), 5 / std::sqrt(50.0));
  EXPECT_DOUBLE_EQ(pair.rmse(), std::sqrt(6.0 / 4));
  EXPECT_EQ(pair.largest_difference(), 2);
  EXPECT_EQ(pair.largest_at(), 2);
}

TEST(PairStatistics, DoNotDependOnHowThePixelsArePartedIntoSpans) {
  PairStatistics parts;
  parts.add(std::vector<float>{1}, std::vector<float>{2});
  parts.add(std::vector<float>{}, std::vector<float>{});
  parts.add(std::vector<float>{2, 3, 4}, std::vector<float>{1, 5, 4});
  const PairStatistics whole = pair_of({1, 2, 3, 4}, {2, 1, 5, 4});
  EXPECT_NEAR(parts.correlation(), whole.correlation(), 1e-15);
  EXPECT_DOUBLE_EQ(parts.rmse(), whole.rmse());
  EXPECT_EQ(parts.largest_at(), 2);
}

TEST(PairStatistics, CorrelateToOneWithAnyMultipleAndToMinusOneWithTheNegative) {
  EXPECT_DOUBLE_EQ(pair_of({1, 5, 2}, {11, 51, 21}).correlation(), 1);
  EXPECT_DOUBLE_EQ(pair_of({1, 5, 2}, {-1, -5, -2}).correlation(), -1);
}

TEST(PairStatistics, KeepTheCorrelationOfAFaintSignalOnABrightBackground) {
  // Sums of squares in double would lose eight of the sixteen digits
  const float background = 1 << 22;
  EXPECT_NEAR(pair_of({background, background + 1, background + 2},
                      {background + 1, background, background + 2})
                  .correlation(),
              0.5, 1e-12);
}

TEST(PairStatistics, HaveNoCorrelationWithAConstantImageUnlessItIsTheSame) {
  EXPECT_TRUE(std::isnan(pair_of({1, 2, 3}, {7, 7, 7}).correlation()));
  EXPECT_EQ(pair_of({0, 0, 0}, {0, 0, 0}).correlation(), 1);
  EXPECT_TRUE(std::isnan(pair_of({0, 0}, {1, 2}).sum_ratio()));
}

TEST(PairStatistics, OfAnImageThatHoldsNoNumbersAreNone) {
  EXPECT_TRUE(std::isnan(pair_of({1, 2, 3}, {1, std::nanf(""), 3}).correlation()));
}

TEST(StructuralSimilarity, OfEqualImagesIsOne) {
  Image image = constant(20, 0);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<float>(i * i % 97);
  EXPECT_NEAR(structural_similarity(image, image), 1, 1e-12);
}

TEST(StructuralSimilarity, OfConstantImagesIsThatOfTheirMeans) {
  // No variance; L = 1, so C1 = 0.0001: (2 * 1 * 2 + C1) / (1 + 4 + C1), at the edges too
  EXPECT_NEAR(structural_similarity(constant(15, 1), constant(15, 2)), 4.0001 / 5.0001, 1e-12);
}

TEST(StructuralSimilarity, OfASinglePixelPairIsThatOfTheirValues) {
  EXPECT_NEAR(structural_similarity(constant(1, 3), constant(1, 1)), 6.0001 / 10.0001, 1e-12);
}

TEST(StructuralSimilarity, SeesANegativeWhereCorrelationIsMinusOne) {
  Image stripes = constant(24, 0), negative = stripes;
  for (std::size_t i = 0; i < stripes.pixels.size(); ++i) {
    stripes.pixels[i] = static_cast<float>(i % 2);
    negative.pixels[i] = 1 - stripes.pixels[i];
  }
  EXPECT_LT(structural_similarity(stripes, negative), -0.9);
}

TEST(BrightestPeaks, AreLocalMaximaBrightestFirst) {
  const Image image = image_of(5, 3,
                               {0, 0, 0, 0, 9,  //
                                0, 4, 3, 0, 8,  //
                                0, 0, 0, 0, 0});
  const std::vector<Peak> peaks = brightest_peaks(image, 10);
  ASSERT_EQ(peaks.size(), 2u);
  EXPECT_EQ(peaks[0].fast, 4);
  EXPECT_EQ(peaks[0].slow, 0);
  EXPECT_EQ(peaks[0].value, 9);
  EXPECT_EQ(peaks[1].fast, 1);
  EXPECT_EQ(peaks[1].slow, 1);
  EXPECT_EQ(brightest_peaks(image, 1).size(), 1u);
}

TEST(BrightestPeaks, CountTwoEqualNeighboursOnceAndADarkImageNever) {
  EXPECT_EQ(brightest_peaks(image_of(4, 1, {0, 5, 5, 0}), 10).size(), 1u);
  EXPECT_TRUE(brightest_peaks(constant(4, 0), 10).empty());
}

TEST(MatchedPeaks, TakeEachPeakOnce) {
  const std::vector<Peak> one{{5, 5, 1}}, two{{5, 4, 1}, {5, 6, 1}};
  EXPECT_EQ(matched_peaks(one, two, 1), 1u);
  EXPECT_EQ(matched_peaks(two, one, 1), 1u);
}

TEST(MatchedPeaks, AreAtMostThatFarApart) {
  EXPECT_EQ(matched_peaks({{5, 5, 1}}, {{6, 6, 1}}, 1), 0u);
  EXPECT_EQ(matched_peaks({{5, 5, 1}}, {{6, 6, 1}}, 1.5), 1u);
}

TEST(MatchedPeaks, AreAsManyAsCanBePairedWhateverTheOrder) {
  // The first could take either; taking the nearer to the second's only one would lose a pair
  const std::vector<Peak> reference{{1, 0, 2}, {3, 0, 1}}, image{{2, 0, 2}, {0, 0, 1}};
  EXPECT_EQ(matched_peaks(reference, image, 1), 2u);
}

TEST(Cropped, KeepsTheRegionWithBothItsEnds) {
  const Image part = cropped(image_of(3, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9}), {1, 2, 0, 1});
  EXPECT_EQ(part.fast_pixels, 2);
  EXPECT_EQ(part.slow_pixels, 2);
  EXPECT_THAT(part.pixels, ElementsAre(2, 3, 5, 6));
}

TEST(AreaAveraged, ByAWholeFactorIsTheMeanOfEachBlock) {
  const Image small = area_averaged(image_of(4, 2, {1, 3, 10, 10, 5, 7, 20, 40}), 2, 1);
  EXPECT_THAT(small.pixels, ElementsAre(4, 20));
}

TEST(AreaAveraged, ByAFractionSharesThePixelBetween) {
  // Three pixels into two: the middle one counts half in both
  const Image small = area_averaged(image_of(3, 1, {3, 6, 9}), 2, 1);
  EXPECT_THAT(small.pixels, ElementsAre(4, 8));
}

TEST(AreaAveraged, KeepsAnImageOfThatSize) {
  EXPECT_THAT(area_averaged(image_of(2, 1, {1, 2}), 2, 1).pixels, ElementsAre(1, 2));
}

TEST(PercentileOfLit, LeavesOutDarkPixelsSignsAndWhatIsNoNumber) {
  EXPECT_EQ(percentile_of_lit(image_of(5, 1, {0, -3, 0, 1, 2}), 100), 3);
  EXPECT_EQ(percentile_of_lit(image_of(5, 1, {0, -3, 0, 1, 2}), 50), 2);
  EXPECT_EQ(percentile_of_lit(constant(3, 0), 99), 0);
  EXPECT_EQ(percentile_of_lit(image_of(2, 1, {std::nanf(""), 4}), 100), 4);
}

}  // namespace
}  // namespace nablabragg::instruments
