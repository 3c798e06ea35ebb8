// What `nablabragg bench` runs.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::instruments {

struct BenchCase {
  std::string_view name, description;
  int headline_size;  ///< pixels along an edge where no size is asked for
  bool sized = true;  ///< false: its work does not depend on the size, and one size is run
  std::int64_t steps_per_pixel;
  std::string_view arguments;  ///< separated by blanks; HKL stands for the structure-factor file
  /// Pixels along the edge of the centred square on which the reference is timed; 0: the whole
  /// image while that takes at most `affordable_steps`.
  int reference_region = 0;
  std::string_view only_ours{};  ///< flags that the reference does not know, separated by blanks
  bool same_image = true;        ///< the two programs are to agree
  /// Where no case is named: whether its image and its gradient are measured.
  bool image_by_default = true, gradient_by_default = true;
  double gradient_aim = 3;  ///< image times that a gradient may take
};

/// More steps than this would take nanoBragg more than about ten seconds on one thread.
constexpr std::int64_t affordable_steps = 100'000'000;

std::span<const BenchCase> bench_cases();

/// What a GPU runs where no case is named.
struct DeviceCase {
  std::string_view name;  ///< of the BenchCase
  int size;
  std::string_view dtype;
  double kernel_aim_s;  ///< on an H100 [s]; 0: none
};
std::span<const DeviceCase> device_cases();

/// nanoBraggCUDA has no Gaussian spots and does not interpolate.
bool runs_on_nanobragg_cuda(const BenchCase& bench_case);

/// Those of `text`, separated by blanks.
std::vector<std::string> words_of(std::string_view text);

/// Null: there is none of this name.
const BenchCase* find_bench_case(std::string_view name);

/// The image covers 102.4 x 102.4 mm at 100 mm, whatever its number of pixels.
std::vector<std::string> bench_arguments(const BenchCase& bench_case, int size,
                                         const std::string& hkl_file);

bool needs_structure_factors(const BenchCase& bench_case);

/// Steps of the whole image, or of the one pixel of a case without sizes.
std::int64_t bench_steps(const BenchCase& bench_case, int size);

/// The edge of the centred square on which the reference is timed; empty: the whole image.
std::optional<int> reference_region(const BenchCase& bench_case, int size);

}  // namespace nablabragg::instruments
