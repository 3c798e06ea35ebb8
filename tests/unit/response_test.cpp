// What detectors record: means, variances and covariances against the closed forms of the
// specification (realism.md 2 and 3), within five standard errors of what is drawn; seeds are
// fixed.
#include "readout/response.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <numbers>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "api/response_steps.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/series.hpp"
#include "nablabragg/spread_pixels.hpp"
#include "readout/noise.hpp"
#include "readout/row_kernels.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using Kind = DetectorResponse::Kind;
using DeadTime = DetectorResponse::DeadTime;
using test::message_of;

struct Moments {
  double mean = 0, variance = 0, count = 0;
  double error_of_mean() const { return std::sqrt(variance / count); }
  /// Of nearly normal values.
  double error_of_variance() const { return variance * std::sqrt(2 / count); }
};

template <class Values>
Moments moments_of(const Values& values) {
  Moments m;
  for (const double x : values) m.mean += x;
  m.count = static_cast<double>(std::size(values));
  m.mean /= m.count;
  for (const double x : values) m.variance += (x - m.mean) * (x - m.mean);
  m.variance /= m.count - 1;
  return m;
}

void expect_moments(const Moments& m, double mean, double variance) {
  EXPECT_NEAR(m.mean, mean, 5 * m.error_of_mean());
  EXPECT_NEAR(m.variance, variance, 5 * variance * std::sqrt(2 / m.count));
}

/// Pixels of 1 um.
readout::RecordedPanel panel_of(int pixels, double gain = 1) {
  readout::RecordedPanel panel;
  panel.grid = {pixels, pixels, 1, 1};
  panel.gain = gain;
  panel.limit = std::numeric_limits<std::int32_t>::max();
  return panel;
}

std::vector<std::int32_t> record(const DetectorResponse& response,
                                 const readout::RecordedPanel& panel, std::int64_t seed,
                                 std::span<const float> light) {
  std::vector<std::int32_t> counts(light.size());
  readout::record_panel(response, panel, seed, light, counts);
  return counts;
}

std::vector<float> uniform_light(int pixels, float photons) {
  return std::vector<float>(static_cast<std::size_t>(pixels) * static_cast<std::size_t>(pixels),
                            photons);
}

/// mu 100, g 2, o 40, r 3
DetectorResponse integrating() {
  DetectorResponse r;
  r.kind = Kind::integrating;
  r.readout_noise = 3;
  return r;
}

TEST(NormalDeviates, HaveTheMomentsAndTheTailsOfANormalDistribution) {
  constexpr std::size_t pixels = std::size_t{1} << 20;
  std::vector<double> z(pixels);
  readout::row_kernels().draw_normals(12345, 0, pixels, z.data());
  const double n = pixels;
  std::array<double, 5> powers{};
  double beyond_3 = 0;
  for (const double x : z) {
    for (std::size_t k = 1; k < powers.size(); ++k)
      powers[k] += std::pow(x, static_cast<double>(k)) / n;
    beyond_3 += std::abs(x) > 3 ? 1 : 0;
  }
  EXPECT_NEAR(powers[1], 0, 5 / std::sqrt(n));
  EXPECT_NEAR(powers[2], 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(powers[3], 0, 5 * std::sqrt(15 / n));
  EXPECT_NEAR(powers[4], 3, 5 * std::sqrt(96 / n));
  const double share = 2.6997960632601866e-3;
  EXPECT_NEAR(beyond_3 / n, share, 5 * std::sqrt(share / n));
}

TEST(NormalDeviates, OfTwoPixelsHaveNothingToDoWithEachOther) {
  constexpr std::size_t pixels = std::size_t{1} << 20;
  std::vector<double> z(pixels);
  readout::row_kernels().draw_normals(99, 0, pixels, z.data());
  for (const std::size_t apart : {1u, 2u, 7u, 8u, 9u, 16u, 256u}) {
    double product = 0, of_squares = 0;
    for (std::size_t i = 0; i + apart < pixels; ++i) {
      product += z[i] * z[i + apart];
      of_squares += (z[i] * z[i] - 1) * (z[i + apart] * z[i + apart] - 1);
    }
    EXPECT_LT(std::abs(product / std::sqrt(pixels)), 5) << apart;
    EXPECT_LT(std::abs(of_squares / 2 / std::sqrt(pixels)), 5) << apart;
  }
}

TEST(NormalDeviates, OfAPixelDoNotDependOnWhereTheDrawingBegins) {
  std::array<double, 64> all{};
  std::array<double, 16> some{};
  readout::row_kernels().draw_normals(7, 0, 64, all.data());
  readout::row_kernels().draw_normals(7, 32, 16, some.data());
  for (std::size_t i = 0; i < some.size(); ++i) EXPECT_EQ(some[i], all[32 + i]);
}

TEST(CountingDetector, WithoutStepsCountsAsTheNoiseImageDoes) {
  const auto light = uniform_light(40, 12.5F);
  const auto counts = record({}, panel_of(40), 17, light);
  std::vector<double> drawn(light.size());
  readout::KeyedPoisson{17}(std::span<const float>(light), 0, drawn);
  for (std::size_t i = 0; i < drawn.size(); ++i) ASSERT_EQ(counts[i], drawn[i]);
}

TEST(CountingDetector, WithAPointSpreadKeepsPoissonStatisticsWithoutCovariance) {
  DetectorResponse r;
  r.point_spread = PointSpread{PointSpread::Shape::gauss, 1.5};
  constexpr int n = 512;
  const auto counts = record(r, panel_of(n), 3, uniform_light(n, 100));
  std::vector<double> inside;
  double covariance = 0;
  for (int s = 8; s < n - 8; ++s)
    for (int f = 8; f < n - 8; ++f) {
      const auto i = static_cast<std::size_t>(s * n + f);
      inside.push_back(counts[i]);
      covariance += (counts[i] - 100.0) * (counts[i + 1] - 100.0);
    }
  expect_moments(moments_of(inside), 100, 100);
  const double pairs = static_cast<double>(inside.size());
  EXPECT_NEAR(covariance / pairs, 0, 5 * 100 / std::sqrt(pairs));
}

TEST(CountingDetector, LosesCountsToItsDeadTimeAndSpreadsLess) {
  // 1e6 photons a second for 0.01 s, 200 ns
  constexpr int n = 256;
  const auto light = uniform_light(n, 10000);
  auto panel = panel_of(n);
  panel.dead_time_share = 200e-9 / 0.01;
  DetectorResponse r;
  r.dead_time_ns = 200;
  const auto nonparalysable = moments_of(record(r, panel, 5, light));
  r.dead_time_model = DeadTime::paralysable;
  const auto paralysable = moments_of(record(r, panel, 5, light));
  // The rest of a photon that is drawn adds 1/6.
  expect_moments(nonparalysable, 8333.333333, 5787.037037 + 1.0 / 6);
  expect_moments(paralysable, 8187.307531, 5506.027347 + 1.0 / 6);
}

TEST(CountingDetector, LosesNothingToItsDeadTimeWhereItIsDark) {
  constexpr int n = 256;
  auto panel = panel_of(n);
  panel.dead_time_share = 200e-9 / 0.01;
  DetectorResponse r;
  r.dead_time_ns = 200;
  expect_moments(moments_of(record(r, panel, 5, uniform_light(n, 0.3F))), 0.3, 0.3);
}

TEST(IntegratingDetector, HasTheMeanAndVarianceOfPhotonsReadoutAndRounding) {
  constexpr int n = 1024;
  const auto counts = record(integrating(), panel_of(n, 2), 1, uniform_light(n, 100));
  expect_moments(moments_of(counts), 240, 409.083333);
}

TEST(IntegratingDetector, AddsTheSpreadOfTheSignalOfAPhoton) {
  constexpr int n = 1024;
  DetectorResponse r = integrating();
  r.photon_spread = 0.4;  // 0.8 counts of 2
  expect_moments(moments_of(record(r, panel_of(n, 2), 2, uniform_light(n, 100))), 240, 473.083333);
}

/// Over `images` images and the pixels of a small panel.
std::vector<std::vector<double>> many_images(const DetectorResponse& r, int pixels, int images) {
  std::vector<std::vector<double>> all;
  const auto light = uniform_light(pixels, 100);
  for (int i = 0; i < images; ++i) {
    const auto counts = record(r, panel_of(pixels, 2), seed_of_image(11, i), light);
    all.emplace_back(counts.begin(), counts.end());
  }
  return all;
}

TEST(IntegratingDetector, FlickersAsAWholeFromImageToImage) {
  DetectorResponse r = integrating();
  r.flicker = 0.02;
  constexpr int images = 20000, pixels = 4;
  const auto all = many_images(r, pixels, images);
  std::vector<double> one, other;
  for (const auto& image : all) {
    one.push_back(image[5]);
    other.push_back(image[10]);
  }
  const Moments a = moments_of(one), b = moments_of(other);
  expect_moments(a, 240, 425.083333);
  double covariance = 0;
  for (std::size_t i = 0; i < one.size(); ++i)
    covariance += (one[i] - a.mean) * (other[i] - b.mean) / images;
  EXPECT_NEAR(covariance, 16, 5 * 425 / std::sqrt(images));
}

TEST(IntegratingDetector, CalibratesWhatIsAbsorbedAndWhatIsAmplifiedWithPatternsThatStay) {
  // Over the pixels of one panel both give nearly the same variance; of one pixel over images only
  // the pattern of the gain multiplies the photons' noise.
  constexpr int images = 20000, pixels = 8;
  for (const bool of_gain : {false, true}) {
    DetectorResponse r = integrating();
    r.flicker = 0.02;
    (of_gain ? r.gain_spread : r.calibration) = 0.1;
    const auto all = many_images(r, pixels, images);
    for (const std::size_t pixel : {std::size_t{3}, std::size_t{20}, std::size_t{51}}) {
      std::vector<double> values;
      for (const auto& image : all) values.push_back(image[pixel]);
      const Moments m = moments_of(values);
      const double k = (m.mean - 40) / 200;  // to 0.1 %
      EXPECT_GT(std::abs(k - 1), 1e-3);      // the pattern is there
      const double before = 4 * (k * 100 + 0.0004 * k * k * 1e4) + 9 + 1.0 / 12,
                   after = 4 * k * k * (100 + 0.0004 * 1e4) + 9 + 1.0 / 12;
      EXPECT_NEAR(m.variance, of_gain ? after : before, 5 * m.error_of_variance());
    }
  }
}

TEST(IntegratingDetector, HasTheVarianceOfItsPatternOverThePanel) {
  constexpr int n = 1024;
  DetectorResponse r = integrating();
  r.calibration = 0.03;
  const auto counts = record(r, panel_of(n, 2), 4, uniform_light(n, 100));
  expect_moments(moments_of(counts), 240, 4 * (100 + 1e4 * 0.03 * 0.03) + 9 + 1.0 / 12);
  r.calibration_seed = 2;
  EXPECT_NE(record(r, panel_of(n, 2), 4, uniform_light(n, 100)), counts);
}

TEST(IntegratingDetector, CorrelatesNeighboursThroughItsPointSpread) {
  struct Case {
    PointSpread::Shape shape;
    double wanted[4], error;
    int edge;
  };
  // Covariance of pixels (0,0), (1,0), (1,1), (2,0) apart, over the mean, and its standard error on
  // 1024 x 1024 pixels
  constexpr int n = 1024;
  for (const Case& c : {Case{PointSpread::Shape::gauss,
                             {0.166398209, 0.097388211, 0.056998593, 0.021752599},
                             4e-4,
                             8},
                        Case{PointSpread::Shape::fiber,
                             {0.037862098, 0.027877368, 0.021581336, 0.014439295},
                             1.4e-4,
                             200}}) {
    DetectorResponse r;
    r.kind = Kind::integrating;
    r.point_spread = PointSpread{c.shape, 1.5};
    // So large a gain that rounding adds nothing
    const auto counts = record(r, panel_of(n, 1000), 6, uniform_light(n, 100));
    std::vector<double> inside(counts.begin(), counts.end());
    for (double& x : inside) x = (x - 40) / 1000;
    double mean = 0, pixels = 0;
    for (int s = c.edge; s < n - c.edge; ++s)
      for (int f = c.edge; f < n - c.edge; ++f, ++pixels)
        mean += inside[static_cast<std::size_t>(s * n + f)];
    mean /= pixels;
    const std::array<std::array<int, 2>, 4> apart{{{0, 0}, {1, 0}, {1, 1}, {2, 0}}};
    for (std::size_t k = 0; k < apart.size(); ++k) {
      double covariance = 0;
      for (int s = c.edge; s < n - c.edge; ++s)
        for (int f = c.edge; f < n - c.edge; ++f)
          covariance += (inside[static_cast<std::size_t>(s * n + f)] - mean) *
                        (inside[static_cast<std::size_t>((s + apart[k][1]) * n + f + apart[k][0])] -
                         mean);
      EXPECT_NEAR(covariance / pixels / 100, c.wanted[k], 5 * c.error * n / (n - 2 * c.edge))
          << k << " of " << static_cast<int>(c.shape);
    }
  }
}

TEST(IntegratingDetector, ClipsAtItsLargestCountAfterTheReadout) {
  // Normal values of mean 65000 and deviation 400 that end at 65535
  constexpr int n = 512;
  DetectorResponse r;
  r.kind = Kind::integrating;
  r.readout_noise = 400;
  r.offset = 65000;
  auto panel = panel_of(n);
  panel.limit = 65535;
  const auto light = uniform_light(n, 0);
  std::vector<std::int32_t> counts(light.size());
  const std::int64_t clipped = readout::record_panel(r, panel, 8, light, counts);
  const Moments m = moments_of(counts);
  const double pixels = static_cast<double>(light.size());
  EXPECT_NEAR(m.mean, 64983.193404, 5 * m.error_of_mean());
  EXPECT_NEAR(std::sqrt(m.variance), 369.108725, 5 * 369.1 / std::sqrt(2 * pixels));
  EXPECT_NEAR(static_cast<double>(clipped) / pixels, 0.090529741,
              5 * std::sqrt(0.09 / pixels) + 0.5 / 400);
  EXPECT_EQ(*std::ranges::max_element(counts), 65535);
}

TEST(IntegratingDetector, AddsItsDarkChargeWithTheNoiseOfItsElectrons) {
  // 2000 electrons, a photon is 100 of them: 20 photons, of variance 20/100
  constexpr int n = 1024;
  DetectorResponse r = integrating();
  r.photon_charge_e = 100;
  r.dark_current_e_s = 1;  // the panel states the charge
  auto panel = panel_of(n, 2);
  panel.dark_charge_e = 2000;
  const auto counts = record(r, panel, 9, uniform_light(n, 100));
  expect_moments(moments_of(counts), 280, 4 * (100 + 0.2) + 9 + 1.0 / 12);
  // Anew in each image
  EXPECT_NE(record(r, panel, 10, uniform_light(n, 0)), record(r, panel, 9, uniform_light(n, 0)));
}

TEST(IntegratingDetector, FillsItsWellBeforeItIsAmplified) {
  // Photons of mean and variance 10000 end at 10100: a normal value that ends one deviation above
  constexpr int n = 512;
  DetectorResponse r = integrating();
  r.photon_charge_e = 100;
  r.full_well_e = 10100 * 100;
  r.readout_noise = 0;
  r.offset = 0;
  const auto light = uniform_light(n, 10000);
  std::vector<std::int32_t> counts(light.size());
  const std::int64_t full = readout::record_panel(r, panel_of(n, 2), 8, light, counts);
  EXPECT_EQ(*std::ranges::max_element(counts), 20200);
  const double pixels = static_cast<double>(light.size());
  EXPECT_GE(std::ranges::count(counts, 20200), full);
  // Whole photons: those of 10101 and more
  const double share = 0.5 * std::erfc((10100.5 - 10000) / 100 / std::numbers::sqrt2);
  EXPECT_NEAR(static_cast<double>(full) / pixels, share, 5 * std::sqrt(share / pixels) + 2e-4);
  // The noise of the readout comes behind the well
  r.readout_noise = 3;
  const auto noisy = record(r, panel_of(n, 2), 8, light);
  EXPECT_GT(*std::ranges::max_element(noisy), 20200 + 10);
}

TEST(CountingDetector, HasDeadAndHotPixelsInTheirSharesAndThePlacesOfItsCalibrationSeed) {
  constexpr int n = 512;
  DetectorResponse r;
  r.dead_pixels = 0.02;
  r.hot_pixels = 0.01;
  auto panel = panel_of(n);
  panel.limit = 5000;
  const auto light = uniform_light(n, 100);
  const auto counts = record(r, panel, 1, light), again = record(r, panel, 2, light);
  const auto of_value = [](const auto& all, std::int32_t value) {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i] == value) places.push_back(i);
    return places;
  };
  const double pixels = static_cast<double>(light.size());
  for (const auto& [value, share] : {std::pair{0, 0.02}, std::pair{5000, 0.01}}) {
    const auto places = of_value(counts, value);
    EXPECT_NEAR(static_cast<double>(places.size()), share * pixels, 5 * std::sqrt(share * pixels));
    EXPECT_EQ(places, of_value(again, value));
    for (const std::size_t i : places)
      EXPECT_EQ(readout::pixel_state(r, 0, i), value == 0 ? PixelState::dead : PixelState::hot);
  }
  r.calibration_seed = 5;
  EXPECT_NE(of_value(record(r, panel, 1, light), 5000), of_value(counts, 5000));
}

TEST(IntegratingDetector, ReadsItsOffsetAndItsDarkChargeInDeadPixels) {
  constexpr int n = 256;
  DetectorResponse r = integrating();
  r.dead_pixels = 1;
  expect_moments(moments_of(record(r, panel_of(n, 2), 1, uniform_light(n, 1000))), 40,
                 9 + 1.0 / 12);
}

TEST(IntegratingDetector, TakesMapsOfWhatItAbsorbsAndOfItsGain) {
  // Both halve the mean; the photons' noise is that of half as many, or halved
  constexpr int n = 512;
  const std::vector<float> half(static_cast<std::size_t>(n) * n, 0.5F);
  for (const bool of_gain : {false, true}) {
    auto panel = panel_of(n, 2);
    (of_gain ? panel.gain_map : panel.calibration_map) = half;
    const auto counts = record(integrating(), panel, 3, uniform_light(n, 100));
    expect_moments(moments_of(counts), 140, (of_gain ? 100 : 200) + 9 + 1.0 / 12);
  }
}

TEST(IntegratingDetector, RoundsHalvesUpAndNothingBelowZero) {
  const std::vector<double> values{2.5, 3.5, -0.4, -0.6, 7.49, std::nan(""), 1e30, 99.5, 98.5};
  std::vector<std::int32_t> counts(values.size());
  const std::int64_t above = readout::row_kernels().round_counts(values.data(), values.size(), 99,
                                                                 counts.data());
  EXPECT_EQ(counts, (std::vector<std::int32_t>{3, 4, 0, 0, 7, 0, 99, 99, 99}));
  EXPECT_EQ(above, 2);
}

TEST(DetectorResponse, HasTheSameCountsForAnyNumberOfThreads) {
  DetectorResponse r = integrating();
  r.flicker = r.calibration = r.gain_spread = r.photon_spread = 0.1;
  for (const auto shape : {PointSpread::Shape::gauss, PointSpread::Shape::fiber}) {
    r.point_spread = PointSpread{shape, 2};
    auto light = uniform_light(213, 5);
    light[1000] = 40000;
    const auto together = record(r, panel_of(213, 2), 9, light);
    const tbb::global_control alone(tbb::global_control::max_allowed_parallelism, 1);
    EXPECT_EQ(record(r, panel_of(213, 2), 9, light), together);
    EXPECT_NE(record(r, panel_of(213, 2), 10, light), together);
  }
}

Experiment small() {
  return test::experiment_of(
      "-corrected -cell 70 80 90 90 90 90 -default_F 100 -N 5 -lambda 1 "
      "-distance 100 -detpixels 32 -pixel 0.1");
}

Image light_of(const Experiment& e, float photons) {
  const Resolved resolved = resolve(e);
  return image_of(resolved,
                  std::vector<float>(static_cast<std::size_t>(resolved.panel.fast_pixels) *
                                         static_cast<std::size_t>(resolved.panel.slow_pixels),
                                     photons));
}

TEST(RecordedImages, MarkWhatIsNotComputedAndEndAtThePanelsSaturation) {
  Experiment e = small();
  e.sampling.roi = RegionOfInterest{4, 20, 3, 30};
  e.detector.saturation = 90;
  const CountedImage recorded = record_photons(e, light_of(e, 100), {}, 1);
  std::int64_t saturated = 0;
  for (int s = 0; s < 32; ++s)
    for (int f = 0; f < 32; ++f) {
      const std::int32_t count = recorded.counts[static_cast<std::size_t>(s * 32 + f)];
      if (f >= 4 && f <= 20 && s >= 3 && s <= 30) {
        EXPECT_GT(count, 40);
        EXPECT_LE(count, 90);
        saturated += count == 90 ? 1 : 0;
      } else {
        EXPECT_EQ(count, masked_pixel);
      }
    }
  EXPECT_GT(saturated, 300);
}

TEST(RecordedImages, HoldNoMoreThanTheirBits) {
  DetectorResponse r;
  r.bits = 6;
  const Experiment e = small();
  const CountedImage recorded = record_photons(e, light_of(e, 100), r, 1);
  EXPECT_EQ(recorded.saturated, 1024);
  EXPECT_TRUE(std::ranges::all_of(recorded.counts, [](int count) { return count == 63; }));
}

TEST(RecordedImages, RefuseWhatTheirDetectorDoesNotHave) {
  const Experiment e = small();
  const auto complaint = [&](DetectorResponse r, Experiment of) {
    return message_of<UsageError>([&] { check_response(r, of); });
  };
  DetectorResponse r;
  r.readout_noise = 3;
  EXPECT_EQ(complaint(r, e),
            "a detector with readout noise is integrating, and the response is of a counting one");
  r = {};
  r.kind = Kind::integrating;
  r.dead_time_ns = 100;
  EXPECT_EQ(complaint(r, e),
            "a detector with a dead time is counting, and the response is of an integrating one");
  r = {};
  r.point_spread = PointSpread{PointSpread::Shape::gauss, 0};
  EXPECT_EQ(
      complaint(r, e),
      "the full width at half maximum of a point spread is above 0 and at most 1e+05 um, not 0");
  r = {};
  r.flicker = 1.5;
  EXPECT_EQ(complaint(r, e), "the detector's flicker is 0 to 1, not 1.5");
  const auto integrates = [&](auto set) {
    DetectorResponse of;
    of.kind = Kind::integrating;
    set(of);
    return complaint(of, e);
  };
  EXPECT_EQ(integrates([](auto& of) { of.full_well_e = 1e5; }),
            "a dark current and a full well are told in electrons, and how many of them a photon "
            "sets free is not given (-photon_charge)");
  EXPECT_EQ(
      integrates([](auto& of) { of.photon_charge_e = 3400; }),
      "the charge of a photon is that of a dark current or a full well, and neither is given");
  EXPECT_EQ(integrates([](auto& of) { of.dead_pixels = 0.6, of.hot_pixels = 0.5; }),
            "the detector's share of dead and hot pixels is 0 to 1, not 1.1");
  EXPECT_EQ(integrates([](auto& of) {
              of.gain_map = std::make_shared<const PixelFactors>(PixelFactors(7, 1));
            }),
            "the detector's gain map has 7 pixels, and the experiment has 1024");
  EXPECT_EQ(integrates([](auto& of) {
              of.calibration_map = std::make_shared<const PixelFactors>(PixelFactors(1024, -1));
            }),
            "the detector's calibration map has no factor from 0 on in 1024 pixels");
  r = {};
  r.full_well_e = 1e5;
  EXPECT_EQ(complaint(r, e),
            "a detector with a full well is integrating, and the response is of a counting one");
  Experiment amplified = e;
  amplified.detector.gain = 2.5;
  EXPECT_EQ(
      complaint({}, amplified),
      "a counting detector counts a photon once, and panel 0 has a gain of 2.5 counts; take an "
      "integrating one, or a gain of 1");
}

TEST(RecordedImages, HaveOtherNumbersOnEachPanelAndNoLightOfAnother) {
  Experiment e = small();
  e.more_panels.push_back({e.detector, {}, {}});
  DetectorResponse r;
  r.kind = Kind::integrating;
  r.readout_noise = 3;
  r.gain_spread = 0.1;
  std::vector<float> photons(2 * 32 * 32);
  std::fill_n(photons.begin(), 32 * 32, 1000.0F);
  r.point_spread = PointSpread{PointSpread::Shape::fiber, 300};
  const CountedImage recorded = record_photons(e, image_of(resolve(e), photons), r, 1);
  const std::span counts(recorded.counts);
  EXPECT_GT(counts[32 * 32 - 1], 200);
  std::vector<std::int32_t> dark(counts.begin() + 32 * 32, counts.end());
  expect_moments(moments_of(dark), 40, 9 + 1.0 / 12);
  const CountedImage both_dark = record_photons(
      e, image_of(resolve(e), std::vector<float>(2 * 32 * 32)), r, 1);
  EXPECT_NE(std::vector(both_dark.counts.begin(), both_dark.counts.begin() + 32 * 32), dark);
}

TEST(RecordedImages, TakeEachPanelsPartOfAMap) {
  Experiment e = small();
  e.more_panels.push_back({e.detector, {}, {}});
  PixelFactors factors(2 * 32 * 32, 1);
  std::fill_n(factors.begin(), 32 * 32, 0.0F);
  DetectorResponse r;
  r.calibration_map = std::make_shared<const PixelFactors>(factors);
  const auto counts = record_photons(
                          e, image_of(resolve(e), std::vector<float>(factors.size(), 100)), r, 1)
                          .counts;
  EXPECT_EQ(*std::max_element(counts.begin(), counts.begin() + 32 * 32), 0);
  EXPECT_GT(*std::min_element(counts.begin() + 32 * 32, counts.end()), 50);
}

TEST(RecordedImages, SayWhichPixelsAreDeadOrHot) {
  Experiment e = small();
  e.more_panels.push_back({e.detector, {}, {}});
  DetectorResponse r;
  r.bits = 20;
  r.dead_pixels = r.hot_pixels = 0.1;
  const auto states = pixel_states(e, r);
  const auto counts = record_photons(e, image_of(resolve(e), std::vector<float>(2 * 32 * 32, 100)),
                                     r, 1)
                          .counts;
  ASSERT_EQ(states.size(), counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i)
    EXPECT_EQ(states[i], counts[i] == 0               ? PixelState::dead
                         : counts[i] == (1 << 20) - 1 ? PixelState::hot
                                                      : PixelState::good);
  EXPECT_FALSE(std::equal(states.begin(), states.begin() + 1024, states.begin() + 1024));
}

TEST(RecordedImages, SpreadLightOnEachPanelAlone) {
  const Experiment e = small();
  std::vector<double> light(32 * 32);
  light[16 * 32 + 16] = 1000;
  const auto spread = spread_light(e, {PointSpread::Shape::fiber, 150}, light);
  EXPECT_NEAR(spread[16 * 32 + 16], 132.753563727, 1e-8);  // 1.5 pixels
  EXPECT_EQ(message_of<UsageError>([&] { spread_light(e, {}, std::vector<double>(5)); }),
            "the light is that of 5 pixels, and the experiment has 1024");
}

// ---- On the mean ------------------------------------------------------------------------------

/// Two panels, and a light that is different in each pixel.
struct Lit {
  Experiment e = small();
  std::vector<double> light;
  Lit() {
    e.more_panels.push_back({e.detector, {}, {}});
    e.beam.exposure_s = 1e-3;
    for (int i = 0; i < 2 * 32 * 32; ++i) light.push_back(60 + 40 * std::sin(0.37 * i));
  }
};

DetectorResponse counter() {
  DetectorResponse r;
  r.point_spread = PointSpread{PointSpread::Shape::gauss, 80};
  r.calibration = 0.1;
  r.calibration_map = std::make_shared<const PixelFactors>(2 * 32 * 32, 0.9F);
  r.dead_time_ns = 200;
  r.dead_pixels = r.hot_pixels = 0.03;
  r.bits = 14;
  return r;
}

DetectorResponse integrator() {
  DetectorResponse r;
  r.kind = Kind::integrating;
  r.point_spread = PointSpread{PointSpread::Shape::fiber, 120};
  r.calibration = 0.1;
  r.gain_spread = 0.1;
  r.photon_spread = 0.3;
  r.photon_charge_e = 20;
  r.dark_current_e_s = 5e4;
  r.readout_noise = 2;
  r.dead_pixels = r.hot_pixels = 0.03;
  r.bits = 16;
  return r;
}

TEST(ExpectedCounts, AreTheMeanOfManyRecordedImages) {
  constexpr int images = 1000;
  for (const bool counting : {true, false}) {
    SCOPED_TRACE(counting ? "counting" : "integrating");
    Lit lit;
    const DetectorResponse r = counting ? counter() : integrator();
    if (!counting) lit.e.detector.gain = 2, lit.e.more_panels[0].detector.gain = 3;
    const std::vector<double> expected = expected_counts(lit.e, r, lit.light);
    const Image image = image_of(resolve(lit.e), {lit.light.begin(), lit.light.end()});
    std::vector<double> sum(expected.size()), squares(expected.size());
    for (int seed = 0; seed < images; ++seed) {
      const auto counts = record_photons(lit.e, image, r, seed).counts;
      for (std::size_t i = 0; i < counts.size(); ++i) {
        const double off = counts[i] - expected[i];
        sum[i] += off;
        squares[i] += off * off;
      }
    }
    double chi2 = 0, pixels = 0;
    for (std::size_t i = 0; i < sum.size(); ++i) {
      const double variance_of_sum = squares[i] - sum[i] * sum[i] / images;
      if (variance_of_sum == 0) {  // dead and hot ones
        EXPECT_EQ(sum[i], 0);
        continue;
      }
      const double z = sum[i] / std::sqrt(variance_of_sum);
      EXPECT_LT(std::abs(z), 5) << i;
      chi2 += z * z;
      ++pixels;
    }
    EXPECT_GT(pixels, 1800);
    // Neighbours of the integrating one go together, so that some 100 of its pixels are independent
    EXPECT_NEAR(chi2 / pixels, 1, counting ? 0.15 : 0.5);
  }
}

PixelIndex pixel_number(std::size_t i) {
  const auto at = static_cast<int>(i % (32 * 32)), panel = static_cast<int>(i / (32 * 32));
  return {at % 32, at / 32, panel};
}

TEST(StepsOfAPixel, EndAtTheCountOfTheImageAndAtItsMean) {
  for (const bool counting : {true, false}) {
    SCOPED_TRACE(counting ? "counting" : "integrating");
    Lit lit;
    const DetectorResponse r = counting ? counter() : integrator();
    const Image image = image_of(resolve(lit.e), {lit.light.begin(), lit.light.end()});
    const auto counts = record_photons(lit.e, image, r, 7).counts;
    const std::vector<double> light(image.pixels.begin(), image.pixels.end()),
        expected = expected_counts(lit.e, r, light);
    const auto states = pixel_states(lit.e, r);
    std::array<int, 3> seen{};
    for (std::size_t i = 0; i < counts.size(); ++i) {
      int& of_state = seen[static_cast<std::size_t>(states[i])];
      if (of_state == 8) continue;
      ++of_state;
      const RecordedPixel pixel = record_pixel(lit.e, image, r, 7, pixel_number(i));
      EXPECT_EQ(pixel.count, counts[i]);
      EXPECT_EQ(pixel.steps.front().drawn, light[i]);
      EXPECT_EQ(pixel.steps.front().expected, light[i]);
      EXPECT_EQ(pixel.steps.back().drawn, counts[i]);
      EXPECT_EQ(pixel.steps.back().expected, expected[i]);
    }
    EXPECT_EQ(seen, (std::array{8, 8, 8}));
  }
}

TEST(StepsOfAPixel, AreThoseOfTheDetectorInTheirOrder) {
  const Lit lit;
  const Image image = image_of(resolve(lit.e), {lit.light.begin(), lit.light.end()});
  const auto names = [&](const DetectorResponse& r) {
    std::vector<std::string> all;
    for (const ResponseStep& step : record_pixel(lit.e, image, r, 1, {3, 4, 1}).steps)
      all.emplace_back(step.name);
    return all;
  };
  EXPECT_THAT(names({}), testing::ElementsAre("light", "photon statistics", "rounding, limit"));
  DetectorResponse r = counter();
  r.flicker = 0.1;
  r.dead_pixels = 1, r.hot_pixels = 0;
  EXPECT_THAT(names(r), testing::ElementsAre("light", "flicker", "point spread", "calibration",
                                             "photon statistics", "dead time", "dead pixel",
                                             "rounding, limit"));
  r = integrator();
  r.full_well_e = 1e5;
  r.dead_pixels = 0, r.hot_pixels = 1;
  EXPECT_THAT(names(r),
              testing::ElementsAre("light", "calibration", "photon statistics", "photon spread",
                                   "point spread", "dark charge", "full well", "gain",
                                   "offset, readout noise", "rounding, limit", "hot pixel"));
}

TEST(StepsOfAPixel, AreDrawnAboutWhatIsExpected) {
  constexpr int images = 400;
  for (const bool counting : {true, false}) {
    SCOPED_TRACE(counting ? "counting" : "integrating");
    Lit lit;
    DetectorResponse r = counting ? counter() : integrator();
    r.flicker = 0.05;
    r.dead_pixels = r.hot_pixels = 0;
    if (!counting) lit.e.more_panels[0].detector.gain = 3, r.full_well_e = 1e7;
    const Image image = image_of(resolve(lit.e), {lit.light.begin(), lit.light.end()});
    std::vector<std::vector<double>> drawn;
    std::vector<ResponseStep> steps;
    for (int seed = 0; seed < images; ++seed) {
      steps = record_pixel(lit.e, image, r, seed, {11, 17, 1}).steps;
      drawn.resize(steps.size());
      for (std::size_t i = 0; i < steps.size(); ++i) drawn[i].push_back(steps[i].drawn);
    }
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const Moments m = moments_of(drawn[i]);
      EXPECT_NEAR(m.mean, steps[i].expected, 5 * m.error_of_mean()) << steps[i].name;
      EXPECT_EQ(m.variance > 0, i > 0) << steps[i].name;
    }
  }
}

TEST(StepsOfAPixel, SayThatAPixelIsNotRecorded) {
  Lit lit;
  lit.e.sampling.roi = {{0, 15, 0, 31}};
  Image image = image_of(resolve(lit.e), {lit.light.begin(), lit.light.end()});
  EXPECT_EQ(record_pixel(lit.e, image, {}, 1, {16, 3, 0}).count, masked_pixel);
  EXPECT_THAT(message_of<UsageError>([&] {
                record_pixel(lit.e, image, {}, 1, {32, 3, 0});
              }),
              testing::HasSubstr("slow 3 fast 32"));
  EXPECT_THAT(message_of<UsageError>([&] {
                record_pixel(lit.e, image, {}, 1, {3, 3, 2});
              }),
              testing::HasSubstr("no panel 2"));
}

TEST(ExpectedCounts, HaveTheDerivativesOfTheirDifferences) {
  for (DetectorResponse r : {counter(), integrator()})
    for (const DeadTime dead_time : {DeadTime::nonparalysable, DeadTime::paralysable}) {
      Lit lit;
      if (r.kind == Kind::integrating)
        lit.e.detector.gain = 2, lit.e.more_panels[0].detector.gain = 3;
      r.dead_time_model = dead_time;
      if (r.kind == Kind::counting) r.dead_time_ns = 4000;
      std::vector<double> weights, direction;
      for (std::size_t i = 0; i < lit.light.size(); ++i) {
        weights.push_back(std::cos(0.7 * static_cast<double>(i)));
        direction.push_back(std::sin(0.3 * static_cast<double>(i)));
      }
      const auto value = [&](const Experiment& e, const DetectorResponse& response, double step) {
        std::vector<double> light = lit.light;
        for (std::size_t i = 0; i < light.size(); ++i) light[i] += step * direction[i];
        const std::vector<double> counts = expected_counts(e, response, light);
        return std::inner_product(counts.begin(), counts.end(), weights.begin(), 0.0);
      };
      const ExpectedCountsSlopes slopes = pull_back_counts(lit.e, r, lit.light, weights);
      const double along = std::inner_product(direction.begin(), direction.end(),
                                              slopes.light.begin(), 0.0);
      EXPECT_NEAR(along, (value(lit.e, r, 1e-3) - value(lit.e, r, -1e-3)) / 2e-3,
                  1e-6 * (1 + std::abs(along)));
      // Pixel by pixel, as hot pixels drown differences
      const double fwhm_um = r.point_spread->fwhm_um, step_um = 2e-3 * fwhm_um;
      double by_differences = 0;
      for (const auto& [steps, factor] : {std::pair{-2, 1}, {-1, -8}, {1, 8}, {2, -1}}) {
        DetectorResponse other = r;
        other.point_spread->fwhm_um = fwhm_um + steps * step_um;
        const std::vector<double> here = expected_counts(lit.e, r, lit.light),
                                  there = expected_counts(lit.e, other, lit.light);
        for (std::size_t i = 0; i < there.size(); ++i)
          by_differences += weights[i] * factor * (there[i] - here[i]) / (12 * step_um);
      }
      EXPECT_GT(std::abs(slopes.fwhm_um), 1e-3);
      EXPECT_NEAR(slopes.fwhm_um / by_differences, 1, 1e-8);
      if (r.kind == Kind::counting) continue;
      // The rest is linear
      const double here = value(lit.e, r, 0);
      Experiment brighter = lit.e;
      brighter.more_panels[0].detector.gain += 1;
      EXPECT_NEAR(slopes.gain[1], value(brighter, r, 0) - here, 1e-7 * std::abs(here));
      DetectorResponse other = r;
      other.offset += 1;
      EXPECT_NEAR(slopes.offset, value(lit.e, other, 0) - here, 1e-7 * std::abs(here));
      other = r;
      other.dark_current_e_s += 1e4;
      EXPECT_NEAR(1e4 * slopes.dark_current_e_s, value(lit.e, other, 0) - here,
                  1e-7 * std::abs(here));
    }
}

TEST(ExpectedCounts, CarryDerivativesToTheParametersOfAnExperiment) {
  Experiment e = test::experiment_of(
      "-corrected -cell 70 80 90 90 90 90 -default_F 100 -N 5 -gauss_xtal -lambda 1 -misset 5 6 7 "
      "-distance 100 -detpixels 32 -pixel 0.4 -oversample 1 -fluence 1e26 -mosaic 0.5 "
      "-mosaic_domains 3 -dtype float64");
  e.detector.gain = 2;
  DetectorResponse r = integrator();
  r.dark_current_e_s = r.photon_charge_e = 0;
  r.hot_pixels = 0;  // whose square drowns differences
  const Loss loss = [](std::span<const double> counts, std::span<double> slopes) {
    double sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double off = counts[i] - 45;
      sum += off * off;
      slopes[i] = 2 * off;
    }
    return sum;
  };
  const ComputeOptions options{.precision = Precision::float64};
  ExpectedCountsSlopes by_response;
  const ValueAndGradient found = value_and_gradient(e, loss_of_counts(e, r, loss, &by_response),
                                                    options);
  const auto value = [&](double distance_mm, double offset) {
    const Experiment moved = with_parameter(e, "distance", std::vector<double>{distance_mm});
    DetectorResponse response = r;
    response.offset = offset;
    return value_and_gradient(moved, loss_of_counts(moved, response, loss), options).value;
  };
  const double slope = found.gradient.parameters.at("distance")[0];
  EXPECT_NEAR(slope, (value(100.0001, r.offset) - value(99.9999, r.offset)) / 2e-4,
              1e-5 * std::abs(slope));
  EXPECT_NE(by_response.fwhm_um, 0);
  EXPECT_NEAR(by_response.offset,
              (value(100, r.offset + 1e-3) - value(100, r.offset - 1e-3)) / 2e-3,
              1e-6 * std::abs(by_response.offset));
}

TEST(ExpectedCounts, OutsideTheRegionOfInterestDoNotCount) {
  Experiment e = small();
  e.sampling.roi = RegionOfInterest{4, 20, 5, 21};
  DetectorResponse r;
  const ExpectedCountsSlopes slopes = pull_back_counts(e, r, std::vector<double>(32 * 32, 10.0),
                                                       std::vector<double>(32 * 32, 1.0));
  EXPECT_EQ(slopes.fwhm_um, 0);  // of no point spread
  EXPECT_EQ(slopes.light[5 * 32 + 4], 1);
  EXPECT_EQ(slopes.light[4 * 32 + 4], 0);
  EXPECT_EQ(std::accumulate(slopes.light.begin(), slopes.light.end(), 0.0), 17 * 17);
  EXPECT_EQ(message_of<UsageError>([&] { expected_counts(e, r, std::vector<double>(5)); }),
            "the light is that of 5 pixels, and the experiment has 1024");
  EXPECT_EQ(message_of<UsageError>(
                [&] { pull_back_counts(e, r, std::vector<double>(1024), std::vector<double>(7)); }),
            "the derivative by the counts is that of 7 pixels, and the experiment has 1024");
}

// ---- Of some pixels ---------------------------------------------------------------------------

TEST(SpreadPixels, HaveTheLightThatTheyHaveInTheWholeImage) {
  Lit lit;
  const std::vector<PixelIndex> some{{0, 0, 0}, {31, 7, 0}, {12, 15, 1}, {13, 15, 1}, {20, 31, 1}};
  for (const auto& [spread, within] :
       {std::pair(PointSpread{PointSpread::Shape::gauss, 150}, 2e-4),
        std::pair(PointSpread{PointSpread::Shape::fiber, 60}, 0.05)}) {
    const std::vector<double> whole = spread_light(lit.e, spread, lit.light);
    const SpreadPixels pixels(lit.e, spread, some);
    std::vector<double> of_sources;
    for (const PixelIndex& p : pixels.sources())
      of_sources.push_back(
          lit.light[static_cast<std::size_t>((p.panel * 32 + p.slow) * 32 + p.fast)]);
    const std::vector<double> here = pixels.spread(of_sources);
    for (std::size_t i = 0; i < some.size(); ++i) {
      const PixelIndex& p = some[i];
      const double there = whole[static_cast<std::size_t>((p.panel * 32 + p.slow) * 32 + p.fast)];
      EXPECT_NEAR(here[i], there, within * there) << i;
      EXPECT_LE(here[i], there * (1 + 1e-12));  // what comes from further away is missing
    }
  }
}

TEST(SpreadPixels, PullBackByTheAdjoint) {
  Lit lit;
  const SpreadPixels pixels(lit.e, PointSpread{PointSpread::Shape::fiber, 200},
                            {{0, 0, 0}, {31, 7, 0}, {12, 15, 1}, {13, 15, 1}});
  std::vector<double> u, v{0.3, -2, 1.7, 0.9};
  for (std::size_t i = 0; i < pixels.sources().size(); ++i)
    u.push_back(std::sin(static_cast<double>(i)));
  std::vector<double> back(u.size());
  pixels.pull_back(v, back);
  const std::vector<double> spread = pixels.spread(u);
  EXPECT_NEAR(std::inner_product(u.begin(), u.end(), back.begin(), 0.0),
              std::inner_product(v.begin(), v.end(), spread.begin(), 0.0), 1e-12);
  // Columns are spread one by one
  std::vector<double> two;
  for (const double x : u) two.insert(two.end(), {x, 3 * x});
  const std::vector<double> columns = pixels.spread(two, 2);
  for (std::size_t i = 0; i < v.size(); ++i) {
    EXPECT_DOUBLE_EQ(columns[2 * i], spread[i]);
    EXPECT_NEAR(columns[2 * i + 1], 3 * spread[i], 1e-14);
  }
}

TEST(SpreadPixels, HaveTheSlopesOfAnotherWidthsLight) {
  Lit lit;
  const std::vector<PixelIndex> some{{0, 0, 0}, {31, 7, 0}, {12, 15, 1}, {13, 15, 1}};
  for (const PointSpread::Shape shape : {PointSpread::Shape::gauss, PointSpread::Shape::fiber}) {
    SpreadPixels pixels(lit.e, PointSpread{shape, 150}, some);
    std::vector<double> light;
    for (const PixelIndex& p : pixels.sources())
      light.push_back(lit.light[static_cast<std::size_t>((p.panel * 32 + p.slow) * 32 + p.fast)]);
    const std::vector<double> before = pixels.spread(light), slopes = pixels.slopes_by_fwhm(light);
    constexpr double step_um = 1e-3;
    pixels.set_fwhm_um(150 + step_um);
    const std::vector<double> above = pixels.spread(light);
    pixels.set_fwhm_um(150 - step_um);
    const std::vector<double> below = pixels.spread(light);
    for (std::size_t i = 0; i < some.size(); ++i)
      EXPECT_NEAR(slopes[i], (above[i] - below[i]) / (2 * step_um), 1e-7 * before[i]);
    // Of as many sources: those of the width it began with
    pixels.set_fwhm_um(150);
    EXPECT_EQ(pixels.spread(light), before);
    EXPECT_EQ(message_of<UsageError>([&] { pixels.set_fwhm_um(0); }), message_of<UsageError>([&] {
                check_point_spread({shape, 0});
              }));
  }
  SpreadPixels without(lit.e, {}, some);
  EXPECT_EQ(without.slopes_by_fwhm(std::vector<double>(4, 1.0)), std::vector<double>(4));
  EXPECT_THAT(message_of<UsageError>([&] { without.set_fwhm_um(100); }),
              testing::HasSubstr("there is no point spread"));
}

TEST(SpreadPixels, WithoutAPointSpreadHaveTheirOwnLightAlone) {
  const SpreadPixels pixels(small(), {}, {{3, 4, 0}, {3, 4, 0}});
  EXPECT_EQ(pixels.sources().size(), 2U);
  EXPECT_EQ(pixels.spread({5, 6}), (std::vector<double>{5, 6}));
  EXPECT_EQ(message_of<UsageError>([] {
              SpreadPixels(small(), PointSpread{}, {{32, 4, 0}});
            }),
            "pixel (fast 32, slow 4) of panel 0 is not on the detector");
}

TEST(RecordedPhotons, AreRefusedWhereTheLightIsNoNumber) {
  const Experiment e = test::experiment_of(
      "-corrected -cell 50 -default_F 1 -N 5 -detpixels 16 -pixel 0.1 ");
  Image image = simulate(e).image;
  DetectorResponse response;
  response.point_spread = PointSpread{PointSpread::Shape::fiber, 100};
  for (const float none : {std::nanf(""), HUGE_VALF}) {
    image.pixels[17] = none;
    EXPECT_THAT(test::message_of<UsageError>([&] { record_photons(e, image, response, 1); }),
                testing::HasSubstr("the light is NaN or infinite in 1 pixel"));
    const std::vector<double> light(image.pixels.begin(), image.pixels.end());
    EXPECT_THAT(
        test::message_of<UsageError>([&] { spread_light(e, *response.point_spread, light); }),
        testing::HasSubstr("the light is NaN or infinite in 1 pixel"));
  }
}

}  // namespace
}  // namespace nablabragg
