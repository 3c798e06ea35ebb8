// Runs the cases: our program and a reference in turn, whole processes.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>
#include "instruments/bench_cases.hpp"         // for BenchCase
#include "instruments/child_process.hpp"       // for ChildCommand
#include "instruments/device_benchmark.hpp"    // for DeviceMeasurement
#include "instruments/gradient_benchmark.hpp"  // for GradientMeasurement
#include "instruments/stage_ranking.hpp"       // for StageTime

namespace nablabragg::instruments {

/// One program's seconds on one case.  `overhead` is what a run of a single pixel takes; a whole
/// run's seconds less that are the kernel's.
struct Timings {
  double cold = 0;               ///< of the first process
  std::vector<double> warm;      ///< of the processes after it
  std::vector<double> overhead;  ///< none for a case that is a single pixel anyway
  std::int64_t peak_bytes = 0;   ///< of the largest of the cold and warm processes
  /// A run on fewer pixels stands for the whole: kernel seconds times this are the image's.
  double pixel_factor = 1;

  double overhead_min() const;
  /// Of the fastest runs, and of the medians; not a number where the difference is not positive.
  double kernel_min() const;
  double kernel_median() const;
  /// Whole processes, of the whole image.
  double whole_cold() const;
  double whole_min() const;
  double whole_median() const;
  double whole_max() const;

 private:
  double whole(double seconds) const;
};

struct BenchResult {
  const BenchCase* bench_case = nullptr;
  int size = 0, threads = 0;
  std::int64_t steps = 0;
  std::vector<std::string> arguments;
  Timings ours;
  std::optional<Timings> reference;
  std::optional<int> region;  ///< edge of the square on which the reference was timed
  /// Of the images of the two programs, where both were computed; not a number without a reference
  /// or where the case has no parity.
  double correlation_cold, correlation_warm, sum_ratio;
  std::vector<StageTime> stages;  ///< of the run with -profile

  double speedup_cold() const;    ///< reference over ours, whole processes
  double speedup_warm() const;    ///< the same, fastest of the warm ones
  double kernel_speedup() const;  ///< fastest kernels
};

/// Whether the two images agree well enough: correlation of the warm ones at least 0.999, sums
/// within 0.5 percent.
bool has_parity(const BenchResult& result);

struct GradientResult {
  const BenchCase* bench_case = nullptr;
  int size = 0, threads = 0;
  std::string dtype;
  std::vector<std::string> arguments;
  GradientMeasurement ours;
  std::optional<GradientMeasurement> reference;

  double cost_ratio() const;    ///< gradient over image, fastest of each
  double speedup() const;       ///< reference's gradient over ours; not a number without one
  double memory_ratio() const;  ///< the same of peak memory
};

/// Of a GPU.
struct DeviceResult {
  const BenchCase* bench_case = nullptr;
  int size = 0;
  std::string dtype;
  std::vector<std::string> arguments;
  DeviceMeasurement ours;
  Timings process;  ///< of ours, without overhead; none where the engine cannot compute the case
  std::optional<Timings> reference;
  /// Of the images of the two programs; not a number where they were not both computed.
  double correlation, sum_ratio;

  double process_ratio() const;  ///< reference over ours, fastest of the warm ones
};

struct ScalingSeries {
  std::string name;                                     ///< what grows: "pixels"
  std::vector<std::pair<std::int64_t, double>> points;  ///< how many, fastest kernel seconds
};

/// The exponent between the two largest points: 1 is linear; not a number where it is unknown.
double last_exponent(const ScalingSeries& series);

class Benchmark {
 public:
  struct Options {
    std::string ours, reference;                  ///< programs; the reference may be empty
    std::string directory;                        ///< under it everything is written
    std::string hkl_file;                         ///< absolute; may be empty while no case needs it
    std::string device = "cpu";                   ///< what -device takes
    int iterations = 5;                           ///< warm runs
    bool profile = false, keep = false;           ///< keep: the images of every run
    std::vector<std::string> more_ours;           ///< flags for ours alone
    std::vector<std::string> gradient_reference;  ///< a command and its arguments; may be empty
    std::function<bool()> interrupted = [] { return false; };
  };
  explicit Benchmark(Options options) : options_(std::move(options)) {}

  /// Throws InputError when a program fails, Cancelled when `interrupted` says so.
  BenchResult run(const BenchCase& bench_case, int size, int threads);
  /// The gradient of a case, in a process of its own; the same of the gradients' reference.
  GradientResult run_gradient(const BenchCase& bench_case, int size, int threads,
                              const std::string& dtype);
  /// A case on the GPU; a case that cannot run there says why.
  DeviceResult run_on_device(const BenchCase& bench_case, int size, int threads,
                             const std::string& dtype);
  /// Our program while pixels, domains and sources grow one at a time.
  std::vector<ScalingSeries> run_scaling(int largest_size, int threads);

  /// Every command so far, as one would type it.
  const std::vector<std::string>& commands() const { return commands_; }

 private:
  ChildCommand ours(const std::vector<std::string>& arguments, const std::string& directory,
                    int threads) const;
  ChildCommand reference(const std::vector<std::string>& arguments, const std::string& directory,
                         int threads) const;
  ChildOutcome execute(ChildCommand command, const std::vector<std::string>& more);
  template <class Measurement>
  Measurement measured(ChildCommand command, Measurement (*read)(const std::string&));
  double fastest_kernel(const std::vector<std::string>& arguments, const std::string& directory,
                        int threads);

  Options options_;
  std::vector<std::string> commands_;
};

}  // namespace nablabragg::instruments
