// Counts that are drawn on the device, and images that stay there, beside those that the processor
// draws from the same image.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "engine/engine.hpp"
#include "nablabragg/device_image.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"  // for photons
#include "nablabragg/series.hpp"
#include "nablabragg/sweep.hpp"
#include "support/cuda.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

const std::string stills =
    "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 5 -lambda 1 -distance 100 "
    "-detpixels_f 37 -detpixels_s 21 -pixel 1 -oversample 2 -fluence 1e28 ";

/// As many images of it, which differ in the orientation.
Series series_of(const Experiment& e, int images = 1) { return {e, random_missets_deg(images, 7)}; }

/// What is counted on the device, and what the processor counts of the image that was there.
struct Counted {
  std::optional<CountedSimulation> on_device;
  CountedImage of_image;
};
Counted counted(const Experiment& e, std::int64_t seed,
                const ComputeOptions& options = cuda_engine()) {
  Sweep sweep(series_of(e), options);
  Counted c;
  c.on_device = sweep.counted_by_engine(0, seed);
  c.of_image = count_photons(sweep.series().experiment(0), sweep.simulation(0).image, seed);
  return c;
}

void expect_the_same_counts(const Counted& c, const std::string& what) {
  ASSERT_TRUE(c.on_device) << what;
  EXPECT_EQ(c.on_device->counted.counts, c.of_image.counts) << what;
  EXPECT_EQ(c.on_device->counted.saturated, c.of_image.saturated) << what;
}

std::shared_ptr<const Mask> some_mask(int fast, int slow) {
  Mask mask{fast, slow, std::vector<std::uint8_t>(static_cast<std::size_t>(fast * slow), 1)};
  for (std::size_t i = 0; i < mask.keep.size(); i += 7) mask.keep[i] = 0;
  return std::make_shared<const Mask>(std::move(mask));
}

Experiment of_two_panels() {
  Experiment e = experiment_with_table(stills);
  FurtherPanel further;
  further.detector = e.detector;
  further.detector.fast_pixels = 20;
  further.detector.slow_pixels = 30;
  further.detector.distance_mm = 120;
  further.detector.gain = 1.5;
  e.more_panels.push_back(further);
  return e;
}

// ---- The same counts ----------------------------------------------------------------------------

TEST(CudaCounts, AreThoseOfTheProcessorFromTheSameImage) {
  for (const char* flags :
       {"", "-water 0.02 ", "-fluence 1e26 ", "-fluence 1e33 ", "-N 300 ", "-curved_det ",
        "-interpolate ", "-roi 3 33 2 18 ", "-gauss_xtal -mosaic 0.3 -mosaic_model gaussian "})
    for (const std::int64_t seed : {std::int64_t{1}, std::int64_t{-5}, std::int64_t{1} << 40})
      for (const Precision precision : {Precision::float32, Precision::float64})
        expect_the_same_counts(
            counted(experiment_with_table(stills + flags), seed, cuda_engine(precision)), flags);
}

TEST(CudaCounts, AreRoundedAsTheProcessorRoundsThem) {
  for (const double gain : {0.1, 0.5, 0.37, 1.5, 2.5, 1e6}) {
    Experiment e = experiment_with_table(stills + "-water 0.02 ");
    e.detector.gain = gain;
    expect_the_same_counts(counted(e, 4), std::to_string(gain));
  }
}

TEST(CudaCounts, HaveEveryKindOfMean) {
  const Counted c = counted(experiment_with_table(stills + "-water 0.01 "), 3);
  int none = 0, few = 0, many = 0;
  for (const std::int32_t count : c.of_image.counts) {
    none += count == 0;
    few += count > 0 && count < 10;
    many += count >= 10;
  }
  EXPECT_GT(none, 10);
  EXPECT_GT(few, 10);
  EXPECT_GT(many, 10);
}

TEST(CudaCounts, MarkWhatIsNotCounted) {
  for (const bool has_region : {false, true}) {
    Experiment e = experiment_with_table(stills);
    e.sampling.mask = some_mask(37, 21);
    if (has_region) e.sampling.roi = RegionOfInterest{3, 33, 2, 18};
    const Counted c = counted(e, 11);
    expect_the_same_counts(c, has_region ? "region" : "mask");
    EXPECT_THAT(c.on_device->counted.counts, testing::Contains(gap_pixel));
  }
}

TEST(CudaCounts, OfEachPanelAreKeyedByItsPixels) {
  Experiment e = of_two_panels();
  expect_the_same_counts(counted(e, 5), "two panels");
  e.more_panels[0].mask = some_mask(20, 30);
  e.more_panels[0].roi = RegionOfInterest{2, 17, 4, 25};
  expect_the_same_counts(counted(e, 5), "two panels, region and mask");
}

TEST(CudaCounts, SaturateWithTheirDetector) {
  Experiment e = experiment_with_table(stills);
  e.detector.saturation = 50;
  const Counted c = counted(e, 1);
  expect_the_same_counts(c, "saturation");
  EXPECT_GT(c.on_device->counted.saturated, 0);
  EXPECT_EQ(*std::ranges::max_element(c.on_device->counted.counts), 50);
}

TEST(CudaCounts, FollowFromSeedAndNumberOfTheImage) {
  Sweep sweep(series_of(experiment_with_table(stills), 3), cuda_engine());
  for (const int i : {2, 0, 1}) {
    const std::int64_t seed = seed_of_image(17, i);
    const auto got = sweep.counted_by_engine(i, seed);
    ASSERT_TRUE(got);
    const Simulation image = simulate(sweep.series().experiment(i), cuda_engine());
    EXPECT_EQ(got->counted.counts,
              count_photons(sweep.series().experiment(i), image.image, seed).counts);
  }
}

TEST(CudaCounts, AreTheSameInWhateverOrderThreadsRun) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's threads can be told when to run";
  Experiment e = experiment_with_table(stills + "-water 0.02 ");
  e.detector.saturation = 50;
  e.sampling.mask = some_mask(37, 21);
  const Counted in_order = counted(e, 2);
  for (const char* order : {"7", "12345", "99"}) {
    const StandIn shuffled("NABLABRAGG_ON_CPU_ORDER", order);
    const Counted got = counted(e, 2);
    expect_the_same_counts(got, order);
    EXPECT_EQ(got.on_device->counted.counts, in_order.on_device->counted.counts);
  }
}

TEST(CudaCounts, AreTheSameWhereAnImageIsCut) {
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's memory can be made small";
  for (const char* flags : {"", "-roi 2 30 3 18 "}) {
    const Experiment e = experiment_with_table(stills + "-mosaic 0.4 -mosaic_domains 12 " + flags);
    const Counted whole = counted(e, 2);
    for (const char* bytes : {"400000", "40000", "25000"}) {
      const StandIn small("NABLABRAGG_ON_CPU_MEMORY", bytes);
      EXPECT_EQ(counted(e, 2).on_device->counted.counts, whole.of_image.counts) << bytes;
    }
  }
}

TEST(CudaCounts, DifferFromAnotherEnginesInOnePixelOf1e5ByOneCountAtMost) {
  const Experiment e = experiment_of(
      "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 5 -lambda 1 -distance 100 "
      "-detpixels 400 -pixel 0.1 -oversample 1 -default_F 100 -water 0.05 -fluence 3e28 ");
  Sweep sweep(series_of(e), cuda_engine());
  const Experiment turned = sweep.series().experiment(0);
  const Image by_cpu = simulate(turned, cpu_engine(Precision::float64)).image;
  ASSERT_NE(sweep.simulation(0).image.pixels, by_cpu.pixels);
  std::int64_t pixels = 0, different = 0;
  for (const std::int64_t seed : {1, 2, 3, 4, 5}) {
    const auto got = sweep.counted_by_engine(0, seed);
    ASSERT_TRUE(got);
    const CountedImage expected = count_photons(turned, by_cpu, seed);
    for (std::size_t i = 0; i < expected.counts.size(); ++i) {
      ++pixels;
      if (got->counted.counts[i] == expected.counts[i]) continue;
      ++different;
      EXPECT_LE(std::abs(got->counted.counts[i] - expected.counts[i]), 1);
    }
  }
  EXPECT_LE(double(different), 1e-5 * double(pixels)) << different;
}

// ---- What crosses the bus -----------------------------------------------------------------------

/// A device that counts the bytes that leave it.
class WatchedDevice final : public engine::cuda::Device {
 public:
  explicit WatchedDevice(std::unique_ptr<Device> device) : device_(std::move(device)) {}
  std::unique_ptr<Device> given_back() { return std::move(device_); }

  std::string name() const override { return device_->name(); }
  bool has_host_memory() const override { return device_->has_host_memory(); }
  std::size_t free_bytes() const override { return device_->free_bytes(); }
  void* allocate(std::size_t bytes) override { return device_->allocate(bytes); }
  void release(void* memory) noexcept override { device_->release(memory); }
  void upload(void* to, const void* from, std::size_t bytes) override {
    device_->upload(to, from, bytes);
  }
  void download(void* to, const void* from, std::size_t bytes) override {
    left += bytes;
    device_->download(to, from, bytes);
  }
  void clear(void* memory, std::size_t bytes) override { device_->clear(memory, bytes); }
  void copy_rows(void* to, std::size_t to_step, const void* from, std::size_t from_step,
                 std::size_t bytes_of_row, std::size_t rows) override {
    device_->copy_rows(to, to_step, from, from_step, bytes_of_row, rows);
  }
  void render(const engine::cuda::RenderJob& job) override { device_->render(job); }
  void differentiate(const engine::cuda::GradientJob& job) override { device_->differentiate(job); }
  void differentiate(const engine::cuda::ClosedGradientJob& job) override {
    device_->differentiate(job);
  }
  void count(const engine::cuda::CountJob& job) override { device_->count(job); }
  double wait() override { return device_->wait(); }

  std::size_t left = 0;

 private:
  std::unique_ptr<Device> device_;
};

/// For the life of the object the first device is watched.
class Watching {
 public:
  Watching() : opened_(first_device()) {
    auto watched = std::make_unique<WatchedDevice>(std::move(opened_->device));
    device = watched.get();
    opened_->device = std::move(watched);
  }
  ~Watching() { opened_->device = device->given_back(); }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

  WatchedDevice* device;

 private:
  std::shared_ptr<engine::cuda::OpenDevice> opened_;
};

TEST(CudaCounts, AreAllThatCrossesTheBus) {
  const Watching watching;
  Sweep sweep(series_of(experiment_with_table(stills), 2), cuda_engine());
  for (const int i : {0, 1}) {
    watching.device->left = 0;
    ASSERT_TRUE(sweep.counted_by_engine(i, 1));
    constexpr std::size_t tallies_and_solid_angles = 200;
    EXPECT_GE(watching.device->left, 37 * 21 * sizeof(std::int32_t));
    EXPECT_LE(watching.device->left, 37 * 21 * sizeof(std::int32_t) + tallies_and_solid_angles);
  }
}

// ---- What is drawn from the image, here ---------------------------------------------------------

TEST(CudaCounts, AreLeftToTheProcessorWhereTheImageHasToBeHere) {
  const auto draws = [](const Experiment& e, const ComputeOptions& options = cuda_engine()) {
    return Sweep(series_of(e), options).counted_by_engine(0, 1).has_value();
  };
  const Experiment e = experiment_with_table(stills);
  EXPECT_TRUE(draws(e));
  EXPECT_FALSE(draws(e, cpu_engine(Precision::float32)));
  EXPECT_FALSE(draws(e, reference_engine()));
  EXPECT_FALSE(draws(experiment_with_table(stills + "-diffuse_sigma 0.3 -diffuse_motion rigid ")));
  EXPECT_FALSE(draws(experiment_with_table(stills + "-compat -oversample 2 ")));
  Experiment dark = e;
  dark.beam.fluence_per_m2 = 0;
  EXPECT_FALSE(draws(dark));
  for (const double fluence : {1e37, 1e70}) {  // above 1e9 photons; infinite in single precision
    Experiment bright = e;
    bright.beam.fluence_per_m2 = fluence;
    EXPECT_FALSE(draws(bright)) << fluence;
  }
}

TEST(CudaCounts, TellWhatAnImageTells) {
  const Experiment e = experiment_with_table(stills + "-interpolate -misset 0 0 0 ");
  Sweep sweep(Series(e, {{0, 0, 0}}), cuda_engine());
  const Simulation image = sweep.simulation(0);
  const auto got = sweep.counted_by_engine(0, 1);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->simulation.warnings, image.warnings);
  EXPECT_EQ(got->simulation.table_miss.has_value(), image.table_miss.has_value());
  EXPECT_EQ(got->simulation.engine.kernel, image.engine.kernel);
  EXPECT_EQ(got->simulation.engine.steps, image.engine.steps);
  EXPECT_EQ(got->simulation.resolved.steps, image.resolved.steps);
}

TEST(CudaCounts, LeaveNoMemoryBehind) {
  Experiment e = of_two_panels();
  const auto count_twice = [&] {
    Sweep sweep(series_of(e, 2), cuda_engine());
    sweep.counted_by_engine(0, 1);
    sweep.counted_by_engine(1, 1);
  };
  count_twice();  // kernels in use take some, once
  const std::size_t free = first_device()->device->free_bytes();
  for (int i = 0; i < 5; ++i) count_twice();
  EXPECT_EQ(first_device()->device->free_bytes(), free);
}

TEST(CudaCounts, StopWhenProgressSaysSo) {
  ComputeOptions options = cuda_engine();
  options.progress = [](double) { return false; };
  EXPECT_THROW(Sweep(series_of(experiment_with_table(stills)), options).counted_by_engine(0, 1),
               Cancelled);
}

// ---- Images that stay on the device -------------------------------------------------------------

template <class Number>
std::vector<Number> downloaded(const DeviceImage& image) {
  std::vector<Number> pixels(image.pixels);
  first_device()->device->download(pixels.data(), image.photons.get(),
                                   pixels.size() * sizeof(Number));
  return pixels;
}

TEST(DeviceImages, AreTheImagesOfSimulateToTheLastBit) {
  for (const char* flags :
       {"", "-roi 3 33 2 18 ", "-water 0.02 ", "-interpolate ",
        "-compat -oversample 2 -interpolate ", "-gauss_xtal -mosaic 0.3 -mosaic_model gaussian ",
        "-diffuse_sigma 0.3 -diffuse_motion rigid "}) {
    const Experiment e = experiment_with_table(stills + flags);
    const DeviceImage single = simulate_on_device(e, cuda_engine());
    EXPECT_FALSE(single.is_double);
    EXPECT_EQ(single.memory.is_of_host, is_stand_in());
    EXPECT_EQ(downloaded<float>(single), simulate(e, cuda_engine()).image.pixels) << flags;
    const DeviceImage wide = simulate_on_device(e, cuda_engine(Precision::float64));
    EXPECT_TRUE(wide.is_double);
    EXPECT_EQ(downloaded<double>(wide), photons(e, cuda_engine(Precision::float64))) << flags;
  }
  Experiment e = of_two_panels();
  e.more_panels[0].mask = some_mask(20, 30);
  EXPECT_EQ(downloaded<float>(simulate_on_device(e, cuda_engine())),
            simulate(e, cuda_engine()).image.pixels);
}

TEST(DeviceImages, DoNotLeaveTheDevice) {
  const Watching watching;
  const DeviceImage image = simulate_on_device(experiment_with_table(stills), cuda_engine());
  constexpr std::size_t solid_angles = 100;
  EXPECT_LE(watching.device->left, solid_angles);
}

TEST(DeviceImages, GiveTheirMemoryBackWithTheirLastOwner) {
  const Experiment e = experiment_with_table(stills);
  simulate_on_device(e, cuda_engine());  // kernels in use take some, once
  const std::size_t free = first_device()->device->free_bytes();
  {
    const DeviceImage image = simulate_on_device(e, cuda_engine());
    const DeviceImage another = image;
    EXPECT_LT(first_device()->device->free_bytes(), free);
  }
  EXPECT_EQ(first_device()->device->free_bytes(), free);
}

TEST(DeviceImages, WantAGpu) {
  EXPECT_EQ(message_of<UsageError>([] {
              simulate_on_device(experiment_with_table(stills), cpu_engine(Precision::float32));
            }),
            "an image stays on a GPU where one computes it: take the device 'cuda'");
  if (!is_stand_in()) GTEST_SKIP() << "only the stand-in's memory can be made small";
  const StandIn tiny("NABLABRAGG_ON_CPU_MEMORY", "1000");
  EXPECT_THROW(simulate_on_device(experiment_with_table(stills), cuda_engine()), DeviceError);
}

}  // namespace
}  // namespace nablabragg::test
