// A model that the cuda engine fits: in closed form, by its image and its derivatives.  On the host
// stand-in where there is no GPU, like cuda_test.cpp.
#include "nablabragg/refine.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/experiment.hpp"

namespace nablabragg::test {
namespace {

TEST(CudaRefine, FindsAStillInClosedFormAgainAsTheCpuEngineDoes) {
  const Experiment truth = experiment_with_table(
      "-corrected -cell 70 80 90 85 95 105 -misset 12 -7 33 -N 12 -gauss_xtal -lambda 1 -distance "
      "60 -detpixels 48 -pixel 0.3 -mosaic 0.4 -mosaic_model gaussian -dispersion 0.5 "
      "-spectrum_model gaussian -fluence 1e26 ");
  ComputeOptions exactly;
  exactly.precision = Precision::float64;
  Measurement measured;
  measured.counts = simulate(truth, exactly).image;
  for (float& counts : measured.counts.pixels) counts = std::floor(counts + 0.5f);
  Experiment start = truth;
  start.crystal.misset_deg = {12.03, -7.02, 33.04};
  start.crystal.mosaic_spread_deg = 0.35;
  RefineOptions options;
  options.parameters = {"misset", "mosaic_spread"};
  options.all_pixels = true;
  options.spot_stage = false;
  options.background = Background::none;
  options.compute = exactly;
  const Refinement by_cpu = refine(start, measured, options);
  ASSERT_TRUE(choose_engine("cuda", options.compute));
  const Refinement by_cuda = refine(start, measured, options);
  const std::vector<double> numbers{12, -7, 33, 0.4};
  ASSERT_EQ(by_cuda.numbers.size(), numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const RefinedNumber &got = by_cuda.numbers[i], &expected = by_cpu.numbers[i];
    EXPECT_NEAR(got.value, numbers[i], 3 * got.deviation) << i;
    EXPECT_NEAR(got.value, expected.value, 1e-3 * expected.deviation) << i;
    EXPECT_NEAR(got.deviation / expected.deviation, 1, 1e-6) << i;
  }
}

}  // namespace
}  // namespace nablabragg::test
