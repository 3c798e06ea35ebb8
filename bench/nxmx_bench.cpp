// What writing an image as NXmx costs beside compressing it.
#include <benchmark/benchmark.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "io/nxmx.hpp"
#include "io/shuffled_deflate.hpp"

namespace nablabragg {

namespace {

/// An EIGER2 4M: 2 x 4 modules of 1028 x 512 pixels with gaps of 12 and 38.
constexpr int fast_pixels = 2068, slow_pixels = 2162;
constexpr std::size_t pixels = std::size_t{fast_pixels} * slow_pixels;

io::ImageSeries eiger_series(std::size_t images) {
  io::ImageSeries series;
  GeometryPanel panel;
  panel.fast_pixels = fast_pixels;
  panel.slow_pixels = slow_pixels;
  panel.fast_pixel_mm = panel.slow_pixel_mm = 0.075;
  panel.origin_mm = {-77.5, 81, -200};
  panel.fast_axis = {1, 0, 0};
  panel.slow_axis = {0, -1, 0};
  panel.sensor_material = "Si";
  panel.sensor_thickness_mm = 0.45;
  panel.masked.push_back({1028, 1040, 0, slow_pixels});
  for (int i = 1; i < 4; ++i) panel.masked.push_back({0, fast_pixels, 550 * i - 38, 550 * i});
  series.geometry.panels = {panel};
  series.geometry.beam.emplace().wavelength_A = 1;
  series.images.resize(images);
  return series;
}

/// Background of 2 photons in the middle and less outside, and a strong spot now and then.
const std::vector<std::int32_t>& eiger_counts() {
  static const std::vector<std::int32_t> counts = [] {
    std::vector<std::int32_t> all(pixels);
    std::mt19937 random(1);
    for (int slow = 0; slow < slow_pixels; ++slow)
      for (int fast = 0; fast < fast_pixels; ++fast) {
        const double far = std::hypot(fast - fast_pixels / 2, slow - slow_pixels / 2);
        const double mean = 2 / (1 + far / 500) + (random() % 20000 == 0 ? 1000 : 0);
        all[static_cast<std::size_t>(slow) * fast_pixels +
            static_cast<std::size_t>(fast)] = std::poisson_distribution<std::int32_t>(mean)(random);
      }
    for (const PixelRectangle& gap : eiger_series(1).geometry.panels[0].masked)
      for (int slow = gap.slow_begin; slow < gap.slow_end; ++slow)
        std::fill_n(all.begin() + slow * fast_pixels + gap.fast_begin,
                    gap.fast_end - gap.fast_begin, gap_pixel);
    return all;
  }();
  return counts;
}

void report(benchmark::State& state, std::int64_t images) {
  state.counters["images/s"] = benchmark::Counter(static_cast<double>(state.iterations() * images),
                                                  benchmark::Counter::kIsRate);
}

/// What one thread takes for shuffle and zlib's level 1, by zlib's own function.
void compressing_an_image_by_one_thread(benchmark::State& state) {
  const auto* const bytes = reinterpret_cast<const Bytef*>(eiger_counts().data());
  std::vector<Bytef> shuffled(4 * pixels), packed(compressBound(4 * pixels));
  for (auto _ : state) {
    for (std::size_t byte = 0; byte < 4; ++byte)
      for (std::size_t i = 0; i < pixels; ++i) shuffled[byte * pixels + i] = bytes[4 * i + byte];
    uLongf length = packed.size();
    compress2(packed.data(), &length, shuffled.data(), shuffled.size(), 1);
    benchmark::DoNotOptimize(packed.data());
  }
  report(state, 1);
}
BENCHMARK(compressing_an_image_by_one_thread)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// The same by all threads.
void compressing_an_image(benchmark::State& state) {
  const auto bytes = std::as_bytes(std::span(eiger_counts()));
  for (auto _ : state)
    benchmark::DoNotOptimize(io::shuffle_and_deflate({bytes.begin(), bytes.end()}, 4, 1).data());
  report(state, 1);
}
BENCHMARK(compressing_an_image)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// A file of so many images, from its opening to its name.
void writing_nxmx(benchmark::State& state) {
  const auto images = static_cast<std::size_t>(state.range(0));
  const io::ImageSeries series = eiger_series(images);
  const std::vector<std::int32_t>& counts = eiger_counts();
  const std::string path = (std::filesystem::temp_directory_path() / "nablabragg-nxmx-bench.nxs")
                               .string();
  for (auto _ : state) {
    const auto writer = io::open_nxmx(path, series);
    for (std::size_t i = 0; i < images; ++i) writer->add(counts);
    writer->close();
  }
  std::filesystem::remove(path);
  report(state, static_cast<std::int64_t>(images));
}
BENCHMARK(writing_nxmx)
    ->Arg(1)
    ->Arg(10)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// The pixels of one, as numbers.
void reading_nxmx(benchmark::State& state) {
  const std::string path = (std::filesystem::temp_directory_path() / "nablabragg-nxmx-bench.nxs")
                               .string();
  const auto writer = io::open_nxmx(path, eiger_series(1));
  writer->add(eiger_counts());
  writer->close();
  for (auto _ : state) benchmark::DoNotOptimize(io::read_nxmx(path).pixels.data());
  std::filesystem::remove(path);
  report(state, 1);
}
BENCHMARK(reading_nxmx)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace

}  // namespace nablabragg
