#include "cli/pixel_warnings.hpp"

#include <fmt/format.h>

#include <limits>

namespace nablabragg::cli {

namespace {

/// Of nearly all pixels dark ones are near the offset, half of them below it where there is noise.
constexpr double most_below = 0.8;
/// As many share the largest count where a detector has one; of a symmetric image eight may.
constexpr std::size_t few = 10;
/// Photons differ from pixel to pixel where there are many.
constexpr double bright_counts = 50;
/// -2 as 16 bits: what integrating programs and converters write for a pixel that measures nothing.
/// 65535, -1, is left out as an overload.
constexpr double no_measurement = 65534;

bool is_masked(const Mask* mask, int fast, int slow) {
  return mask &&
         !mask->keep[static_cast<std::size_t>(slow) * static_cast<std::size_t>(mask->fast_pixels) +
                     static_cast<std::size_t>(fast)];
}

}  // namespace

std::vector<std::string> pixel_warnings(const Measurement& m, const Experiment& model,
                                        const RegionOfInterest& region) {
  const Image& counts = m.counts;
  const Mask* mask = model.sampling.mask.get();
  // Images of another size than the model's are refused by whoever fits them
  if (region.fast_max >= counts.fast_pixels || region.slow_max >= counts.slow_pixels) return {};
  std::size_t pixels = 0, below = 0, at_largest = 0, marked = 0;
  double largest = -std::numeric_limits<double>::infinity();
  for (int slow = region.slow_min; slow <= region.slow_max; ++slow)
    for (int fast = region.fast_min; fast <= region.fast_max; ++fast) {
      if (is_masked(mask, fast, slow)) continue;
      const auto count = static_cast<double>(counts.at(fast, slow));
      if (!(count < m.overload)) continue;
      ++pixels;
      if (count < m.offset) ++below;
      if (count == no_measurement) ++marked;
      if (count > largest) {
        largest = count;
        at_largest = 0;
      }
      if (count == largest) ++at_largest;
    }
  std::vector<std::string> lines;
  if (static_cast<double>(below) > most_below * static_cast<double>(pixels))
    lines.push_back(
        fmt::format("{} of {} pixels are below the {:g} counts of a dark pixel; --offset gives "
                    "what a dark pixel "
                    "has, --offset 0 for a detector without pedestal",
                    below, pixels, m.offset));
  if (marked >= few)
    lines.push_back(
        fmt::format("{} pixels have {:g} counts, which is -2 and marks pixels without a "
                    "measurement; leave them "
                    "out with -mask among the flags of the model",
                    marked, no_measurement));
  else if (at_largest >= few && largest - m.offset > bright_counts)
    lines.push_back(fmt::format(
        "{} pixels share the largest count, {:g}, so the detector seems to saturate there; "
        "--overload {:g} leaves them out",
        at_largest, largest, largest));
  return lines;
}

}  // namespace nablabragg::cli
