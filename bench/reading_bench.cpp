// How long structure factors take from a text file to the table.
#include <benchmark/benchmark.h>

#include <cstdio>  // for snprintf
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/threads.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/structure_factors.hpp"

namespace nablabragg {

namespace {

/// A file that is gone with the benchmark.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() / "nablabragg-reading-bench.hkl") {
    std::ofstream(path_) << text;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

/// Every reflection of a box, amplitudes with three decimals.
std::string dense_list(int most) {
  std::string text;
  char line[64];
  for (int h = -most; h <= most; ++h)
    for (int k = -most; k <= most; ++k)
      for (int l = -most; l <= most; ++l) {
        const double amplitude = 0.001 * ((h * 7919 + k * 104729 + l * 1299709) & 0x7ffff);
        std::snprintf(line, sizeof line, "%d %d %d %.3f\n", h, k, l, amplitude);
        text += line;
      }
  return text;
}

/// A cube of indices from -most to most: 27 for the list of the tricubic case of `bench`, 50 for a
/// million.  Nanoseconds a reflection are one over the items a second.
void reading_reflections(benchmark::State& state) {
  const auto most = static_cast<int>(state.range(0)), threads = static_cast<int>(state.range(1));
  const TemporaryFile file(dense_list(most));
  const auto read = [&] {
    return StructureFactorGrid::from_reflections(io::read_hkl(file.path()), 0);
  };
  for (auto _ : state)
    benchmark::DoNotOptimize(engine::with_threads(threads, read).values().data());
  const std::int64_t edge = 2 * most + 1;
  state.SetItemsProcessed(state.iterations() * edge * edge * edge);
}
BENCHMARK(reading_reflections)
    ->ArgNames({"most", "threads"})
    ->ArgsProduct({{27, 50}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

}  // namespace nablabragg
