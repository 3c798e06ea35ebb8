// The point spread, against the numbers of the specification (realism.md 2, printed by
// oracle/realism.py) and direct sums.
#include "readout/point_spread.hpp"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>
#include <random>
#include <span>
#include <vector>

namespace nablabragg::readout {
namespace {

using Shape = PointSpread::Shape;

/// Pixels of 1 um, so that widths are in pixels.
constexpr PixelGrid square{64, 64, 1, 1};

std::vector<double> spread(const PointSpread& point_spread, const PixelGrid& grid,
                           std::span<const double> light) {
  std::vector<double> result(light.size());
  spread_panel(point_spread, grid, light, std::span(result));
  return result;
}

double sum(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// Random light, none of it in every second pixel.
std::vector<double> random_light(std::size_t pixels, unsigned seed) {
  std::mt19937 bits(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<double> light(pixels);
  for (double& x : light) x = std::max(uniform(bits), 0.0);
  return light;
}

/// Every pixel's light shared out, one by one.
std::vector<double> direct_sum(const PointSpread& point_spread, const PixelGrid& grid,
                               std::span<const double> light) {
  std::vector<double> result(light.size());
  for (int s = 0, from = 0; s < grid.slow_pixels; ++s)
    for (int f = 0; f < grid.fast_pixels; ++f, ++from)
      for (int t = 0, to = 0; t < grid.slow_pixels; ++t)
        for (int g = 0; g < grid.fast_pixels; ++g, ++to)
          result[static_cast<std::size_t>(to)] += light[static_cast<std::size_t>(from)] *
                                                  share_of_pixel(point_spread, grid, g - f, t - s);
  return result;
}

/// Light in two pixels of a panel of 64 x 64.
std::vector<double> two_spots() {
  std::vector<double> light(64 * 64);
  light[3 * 64 + 60] = 1000;
  light[30 * 64 + 31] = 500;
  return light;
}

TEST(PointSpread, OfAGaussianHasTheSharesOfTheErrorFunction) {
  struct Case {
    double width, shares[4];
  };
  // G(0), G(1), G(2), G(3) along one axis; the specification's smallest is a difference of numbers
  // next to 1
  for (const Case& c :
       {Case{0.46, {0.989520338017, 0.005239830992, 8.049117e-15, 0}},
        Case{1.5, {0.567511260680, 0.206978530784, 0.009222419945, 4.339934858e-05}},
        Case{3, {0.305289032090, 0.227839538230, 0.094655073052, 0.021856374338}}})
    for (int x = 0; x < 4; ++x)
      EXPECT_NEAR(share_of_pixel({Shape::gauss, c.width}, square, x, 0) / c.shares[0], c.shares[x],
                  c.shares[x] < 1e-10 ? 1e-16 : 1e-12)
          << c.width << " " << x;
}

TEST(PointSpread, OfAFibreHasTheSharesBetweenTheCornersOfPixels) {
  struct Case {
    double width;
    int x, y;
    double share, tolerance;
  };
  for (const Case& c :
       {Case{0.46, 0, 0, 0.525794716713, 1e-12}, Case{0.46, 1, 0, 0.054993655479, 1e-12},
        Case{0.46, 1, 1, 0.019259567178, 1e-12}, Case{0.46, 2, 0, 0.006299545585, 1e-12},
        Case{0.46, 10, 0, 4.787603880e-05, 1e-14}, Case{1.5, 0, 0, 0.132753563727, 1e-12},
        Case{1.5, 1, 0, 0.058068392832, 1e-12}, Case{1.5, 1, 1, 0.032476654708, 1e-12},
        Case{1.5, 2, 0, 0.014821330354, 1e-12}, Case{1.5, 10, 0, 1.540963490e-04, 1e-13},
        Case{1.5, 100, 0, 1.557284414e-07, 1e-16}, Case{1.5, 1000, 0, 1.557448067e-10, 1e-19},
        Case{1.5, 4000, 0, 2.433515026e-12, 1e-21}}) {
    EXPECT_NEAR(share_of_pixel({Shape::fiber, c.width}, square, c.x, c.y), c.share, c.tolerance)
        << c.width << " " << c.x << " " << c.y;
    EXPECT_EQ(share_of_pixel({Shape::fiber, c.width}, square, -c.y, c.x),
              share_of_pixel({Shape::fiber, c.width}, square, c.x, c.y));
  }
}

TEST(PointSpread, OfAFibreJoinsItsTwoFormulasWithoutAStep) {
  // 100 pixels away the corners' difference ends; along other directions it ends at 99.99
  const PointSpread fiber{Shape::fiber, 1.5};
  const double near = share_of_pixel(fiber, square, 99, 14),
               far = share_of_pixel(fiber, square, 99, 15);
  const auto density = [](double r2) {
    return 1.5 * 0.652383013252 / (2 * std::numbers::pi) * std::pow(r2, -1.5);
  };
  const double g2 = std::pow(1.5 * 0.652383013252, 2);
  EXPECT_NEAR(near / density(g2 + 99 * 99 + 14 * 14), far / density(g2 + 99 * 99 + 15 * 15), 3e-6);
}

TEST(PointSpread, LosesWhatLeavesThePanelAndNothingElse) {
  const PointSpread fiber{Shape::fiber, 1.5};
  const auto out = spread(fiber, square, two_spots());
  EXPECT_NEAR(sum(out), 1334.66971422, 1e-8);
  EXPECT_NEAR(out[3 * 64 + 60], 132.75481468, 1e-8);
  EXPECT_NEAR(out[60 * 64 + 60], 1.912037283e-03, 1e-12);
  EXPECT_NEAR(
      sum(out),
      1000 * share_on_panel(fiber, square, 60, 3) + 500 * share_on_panel(fiber, square, 31, 30),
      1e-9);
}

TEST(PointSpread, OfALargePanelLosesTheClosedFormsShare) {
  const PixelGrid ccd{4096, 4096, 73.2, 73.2};
  const PointSpread fiber{Shape::fiber, 100};
  // The number is of the middle of the panel, half a pixel from that of this pixel.
  EXPECT_NEAR(1 - share_on_panel(fiber, ccd, 2048, 2048), 3.917930227e-04, 1e-10);
  // Of a photon on an edge half and a little more; the middle of the first pixel is inside.
  const double at_edge = 1 - share_on_panel(fiber, ccd, 0, 2048);
  EXPECT_GT(at_edge, 0.25);
  EXPECT_LT(at_edge, 0.5);
}

TEST(PointSpread, AndItsLossAddUpToTheLightForAnyShapeWidthAndPixel) {
  for (const Shape shape : {Shape::gauss, Shape::fiber})
    for (const double width : {0.2, 1.5, 7.0, 80.0})
      for (const PixelGrid& grid : {PixelGrid{40, 28, 1, 1}, PixelGrid{33, 50, 1, 2.5}}) {
        const PointSpread point_spread{shape, width};
        const auto light = random_light(
            static_cast<std::size_t>(grid.fast_pixels * grid.slow_pixels), 3);
        double kept = 0;
        for (int s = 0, i = 0; s < grid.slow_pixels; ++s)
          for (int f = 0; f < grid.fast_pixels; ++f, ++i)
            kept += light[static_cast<std::size_t>(i)] * share_on_panel(point_spread, grid, f, s);
        EXPECT_NEAR(sum(spread(point_spread, grid, light)) / kept, 1, 1e-9)
            << static_cast<int>(shape) << " " << width << " " << grid.fast_pixels;
      }
}

TEST(PointSpread, SharesChangeWithItsWidthAsTheirDifferencesSay) {
  for (const Shape shape : {Shape::gauss, Shape::fiber})
    for (const double width : {0.4, 1.5, 7.0})
      for (const auto& [fast, slow] : {std::pair(0, 0), {1, 0}, {-2, 3}, {150, 4}}) {
        const PixelGrid grid{400, 400, 1, 1.3};
        const double step = 1e-5 * width;
        const double above = share_of_pixel({shape, width + step}, grid, fast, slow),
                     below = share_of_pixel({shape, width - step}, grid, fast, slow);
        const double slope = share_slope_of_pixel({shape, width}, grid, fast, slow);
        EXPECT_NEAR(slope, (above - below) / (2 * step), 1e-8 * std::abs(slope) + 1e-12)
            << static_cast<int>(shape) << " " << width << " " << fast << " " << slow;
      }
}

TEST(PointSpread, IsTheDirectSumOverAllPixels) {
  for (const Shape shape : {Shape::gauss, Shape::fiber})
    for (const PixelGrid& grid :
         {PixelGrid{40, 28, 1, 1}, PixelGrid{9, 31, 1, 1.7}, PixelGrid{1, 1, 1, 1}}) {
      const PointSpread point_spread{shape, 1.5};
      const auto light = random_light(static_cast<std::size_t>(grid.fast_pixels * grid.slow_pixels),
                                      5);
      const auto got = spread(point_spread, grid, light),
                 wanted = direct_sum(point_spread, grid, light);
      for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], 1e-13) << i;
    }
}

TEST(PointSpread, InSinglePrecisionIsThatInDouble) {
  for (const Shape shape : {Shape::gauss, Shape::fiber}) {
    const PointSpread point_spread{shape, 1.5};
    const auto light = two_spots();
    const std::vector<float> single(light.begin(), light.end());
    std::vector<float> got(light.size());
    spread_panel(point_spread, square, std::span<const float>(single), std::span(got));
    const auto wanted = spread(point_spread, square, light);
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], 1e-4) << i;
  }
}

TEST(PointSpread, IsItsOwnAdjoint) {
  const PixelGrid grid{37, 52, 1, 1.3};
  const auto u = random_light(37 * 52, 7), v = random_light(37 * 52, 8);
  for (const Shape shape : {Shape::gauss, Shape::fiber}) {
    const PointSpread point_spread{shape, 2.2};
    const auto ku = spread(point_spread, grid, u), kv = spread(point_spread, grid, v);
    const double one = std::inner_product(ku.begin(), ku.end(), v.begin(), 0.0),
                 other = std::inner_product(u.begin(), u.end(), kv.begin(), 0.0);
    EXPECT_NEAR(one / other, 1, 1e-12);
  }
}

TEST(PointSpread, HasTheSlopeByItsWidthOfDifferencesOfFourthOrder) {
  // Far enough along fast for both formulas of the fibre
  const PixelGrid grid{220, 9, 1, 1.5};
  constexpr double width = 2.3, step = 2e-3 * width;
  std::vector<double> one_pixel(220 * 9);
  one_pixel[3 * 220 + 5] = 1;
  for (const auto& light : {random_light(220 * 9, 10), one_pixel})
    for (const Shape shape : {Shape::gauss, Shape::fiber}) {
      const auto at = [&](double steps) {
        return spread({shape, width + steps * step}, grid, light);
      };
      const auto below2 = at(-2), below = at(-1), above = at(1), above2 = at(2);
      std::vector<double> slope(light.size());
      spread_panel_slope({shape, width}, grid, light, std::span(slope));
      double largest = 0;
      for (std::size_t i = 0; i < slope.size(); ++i) {
        const double wanted = (below2[i] - 8 * below[i] + 8 * above[i] - above2[i]) / (12 * step);
        largest = std::max(largest, std::abs(slope[i]));
        ASSERT_NEAR(slope[i], wanted, 1e-9 + 1e-5 * std::abs(wanted)) << i;
        // Light of one pixel is zero elsewhere, so that all digits are those of its tails
        if (light[i] == 0 && std::abs(wanted) > 1e-8) {
          ASSERT_NEAR(slope[i] / wanted, 1, 1e-4) << i;
        }
      }
      EXPECT_GT(largest, 0.02);
    }
}

TEST(PointSpread, HasTheSameBitsForAnyNumberOfThreads) {
  const PixelGrid grid{300, 270, 1, 1};
  const auto light = random_light(300 * 270, 9);
  for (const Shape shape : {Shape::gauss, Shape::fiber}) {
    const PointSpread point_spread{shape, 3};
    const auto together = spread(point_spread, grid, light);
    const tbb::global_control alone(tbb::global_control::max_allowed_parallelism, 1);
    EXPECT_EQ(spread(point_spread, grid, light), together);
  }
}

}  // namespace
}  // namespace nablabragg::readout
