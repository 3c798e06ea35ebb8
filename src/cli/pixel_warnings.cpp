#include "cli/pixel_warnings.hpp"

#include <fmt/format.h>

#include <limits>

#include "nablabragg/gradient.hpp"  // for visited_pixels

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

}  // namespace

std::vector<std::string> pixel_warnings(const Measurement& m, const SettledExperiment& model) {
  // Images of another size than the model's are refused by whoever fits them
  if (!has_panels_of(m.counts, model.resolved())) return {};
  std::vector<PanelImage> panels;
  for (std::size_t i = 0; i < m.counts.panels(); ++i) panels.push_back(m.counts.panel(i));
  std::size_t pixels = 0, below = 0, at_largest = 0, marked = 0;
  double largest = -std::numeric_limits<double>::infinity();
  for (const PixelIndex& p : visited_pixels(model)) {
    const auto count = static_cast<double>(
        panels[static_cast<std::size_t>(p.panel)].at(p.fast, p.slow));
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
