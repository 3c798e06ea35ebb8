// What is said of an image that holds NaN or infinity.
#include <algorithm>
#include <cmath>
#include <limits>

#include "description/digits.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg {

namespace {

using description::digits;

double largest_amplitude(const StructureFactors& factors) {
  double largest = std::abs(factors.default_F);
  if (factors.grid)
    for (const double F : factors.grid->values()) largest = std::max(largest, std::abs(F));
  return largest;
}

/// The place of a pixel in the image, panel by panel.
PixelIndex place_of(const Resolved& resolved, std::size_t pixel) {
  PixelIndex place;
  const Panel* panel = &resolved.panel;
  const auto pixels = [&] {
    return static_cast<std::size_t>(panel->fast_pixels) *
           static_cast<std::size_t>(panel->slow_pixels);
  };
  for (const auto& further : resolved.more_panels) {
    if (pixel < pixels()) break;
    pixel -= pixels();
    panel = &further.panel;
    ++place.panel;
  }
  const auto width = static_cast<std::size_t>(panel->fast_pixels);
  place.fast = static_cast<int>(pixel % width);
  place.slow = static_cast<int>(pixel / width);
  return place;
}

template <class Number>
std::string warning(const Experiment& experiment, std::span<const Number> photons,
                    std::span<const PixelIndex> pixels) {
  const auto is_wrong = [](Number x) { return !std::isfinite(x); };
  const auto first = std::find_if(photons.begin(), photons.end(), is_wrong);
  if (first == photons.end()) return {};
  const auto count = std::count_if(first, photons.end(), is_wrong);
  const auto index = static_cast<std::size_t>(first - photons.begin());
  const Resolved resolved = resolve(experiment);
  const PixelIndex place = pixels.empty() ? place_of(resolved, index) : pixels[index];
  return std::to_string(count) + " of " + std::to_string(photons.size()) +
         (count == 1 ? " pixels is" : " pixels are") + " NaN or infinite, first at pixel fast " +
         std::to_string(place.fast) + " slow " + std::to_string(place.slow) +
         (resolved.more_panels.empty() ? "" : " of panel " + std::to_string(place.panel)) +
         "; a pixel holds up to " +
         digits(static_cast<double>(std::numeric_limits<Number>::max())) +
         " photons: look at the structure factors (the largest is " +
         digits(largest_amplitude(experiment.structure_factors)) + " electrons), the fluence (" +
         digits(resolved.fluence) + " photons/m^2) and the numbers of cells (" +
         digits(resolved.cells.x) + " x " + digits(resolved.cells.y) + " x " +
         digits(resolved.cells.z) + ")";
}

}  // namespace

std::string not_finite_warning(const Experiment& experiment, std::span<const float> photons,
                               std::span<const PixelIndex> pixels) {
  return warning(experiment, photons, pixels);
}

std::string not_finite_warning(const Experiment& experiment, std::span<const double> photons,
                               std::span<const PixelIndex> pixels) {
  return warning(experiment, photons, pixels);
}

}  // namespace nablabragg
