// What a detector makes of 2048 x 2048 pixels of 10 to 30 photons, on as many threads as the
// argument says.
#include <benchmark/benchmark.h>
#include <tbb/global_control.h>

#include <cstddef>
#include <vector>

#include "nablabragg/detector_response.hpp"

namespace nablabragg {

namespace {

constexpr int width = 2048;

Experiment experiment() {
  Experiment e;
  e.crystal.cell = UnitCell{100, 100, 100, 90, 90, 90};
  e.structure_factors.default_F = 100;
  e.detector.fast_pixels = e.detector.slow_pixels = width;
  e.detector.pixel_mm = 0.0732;
  return e;
}

Image light() {
  Image image{width, width, std::vector<float>(std::size_t{width} * width)};
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = 10 + static_cast<float>(i * 7919 % 1000) / 50;
  return image;
}

using Kind = DetectorResponse::Kind;
using Shape = PointSpread::Shape;
constexpr double pixels_1_5 = 1.5 * 73.2;

DetectorResponse counting(std::optional<PointSpread> spread) {
  DetectorResponse r;
  r.point_spread = spread;
  r.flicker = 0.02;
  r.calibration = 0.03;
  r.dead_time_ns = 200;
  return r;
}

DetectorResponse integrating(std::optional<PointSpread> spread) {
  DetectorResponse r;
  r.kind = Kind::integrating;
  r.point_spread = spread;
  r.flicker = 0.02;
  r.calibration = 0.03;
  r.photon_spread = 0.4;
  r.gain_spread = 0.02;
  r.readout_noise = 3;
  return r;
}

/// noisify's steps.
DetectorResponse as_noisify() {
  DetectorResponse r;
  r.kind = Kind::integrating;
  r.point_spread = PointSpread{Shape::gauss, pixels_1_5};
  r.calibration = 0.03;
  r.readout_noise = 3;
  return r;
}

void record(benchmark::State& state, const DetectorResponse& response) {
  const tbb::global_control threads(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(state.range(0)));
  const Experiment e = experiment();
  const Image image = light();
  for (auto _ : state)
    benchmark::DoNotOptimize(record_photons(e, image, response, 1).counts.data());
}

void poisson_alone(benchmark::State& state) {
  const tbb::global_control threads(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(state.range(0)));
  const Experiment e = experiment();
  const Image image = light();
  for (auto _ : state) benchmark::DoNotOptimize(count_photons(e, image, 1).counts.data());
}

#define NABLA_RESPONSE(name, response)      \
  BENCHMARK_CAPTURE(record, name, response) \
      ->Arg(1)                              \
      ->Arg(2)                              \
      ->UseRealTime()                       \
      ->Unit(benchmark::kMillisecond)

BENCHMARK(poisson_alone)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
NABLA_RESPONSE(counting, counting({}));
NABLA_RESPONSE(counting_gauss, counting(PointSpread{Shape::gauss, pixels_1_5}));
NABLA_RESPONSE(counting_fiber, counting(PointSpread{Shape::fiber, pixels_1_5}));
NABLA_RESPONSE(integrating, integrating({}));
NABLA_RESPONSE(integrating_gauss, integrating(PointSpread{Shape::gauss, pixels_1_5}));
NABLA_RESPONSE(integrating_fiber, integrating(PointSpread{Shape::fiber, pixels_1_5}));
NABLA_RESPONSE(as_noisify, as_noisify());

}  // namespace

}  // namespace nablabragg
