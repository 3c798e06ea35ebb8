#include "readout/heat.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace nablabragg::readout {

namespace {

/// CIELAB (ISO/CIE 11664-4), in which equal distances look equally large.
using Lab = std::array<double, 3>;

/// Lightness rises steadily while the hue turns from violet by red to orange.  The colours stay
/// within what sRGB can show.
Lab path(double t) {
  constexpr double most_chroma = 60, first_hue_deg = 290, turn_deg = 160;
  const double chroma = most_chroma * std::sin(std::numbers::pi * t);
  const double hue = (first_hue_deg + turn_deg * t) * std::numbers::pi / 180;
  return {100 * t, chroma * std::cos(hue), chroma * std::sin(hue)};
}

/// IEC 61966-2-1, with its white point D65.
Rgb srgb_of(const Lab& lab) {
  const auto [lightness, a, b] = lab;
  const double fy = (lightness + 16) / 116;
  const auto undone = [](double f) {
    constexpr double delta = 6.0 / 29;
    return f > delta ? f * f * f : 3 * delta * delta * (f - 4.0 / 29);
  };
  const double x = 0.95047 * undone(fy + a / 500), y = undone(fy),
               z = 1.08883 * undone(fy - b / 200);
  const auto encoded = [](double linear) {
    const double u = std::clamp(linear, 0.0, 1.0);
    return u <= 0.0031308 ? 12.92 * u : 1.055 * std::pow(u, 1 / 2.4) - 0.055;
  };
  return {encoded(3.2404542 * x - 1.5371385 * y - 0.4985314 * z),
          encoded(-0.9692660 * x + 1.8760108 * y + 0.0415560 * z),
          encoded(0.0556434 * x - 0.2040259 * y + 1.0572252 * z)};
}

constexpr std::size_t steps = 1024;

std::array<Rgb, steps + 1> heat_table() {
  constexpr std::size_t fine = 16 * steps;
  std::array<double, fine + 1> way{};
  Lab before = path(0);
  for (std::size_t i = 1; i <= fine; ++i) {
    const Lab here = path(static_cast<double>(i) / fine);
    way[i] = way[i - 1] + std::hypot(here[0] - before[0], here[1] - before[1], here[2] - before[2]);
    before = here;
  }
  std::array<Rgb, steps + 1> table{};
  std::size_t i = 0;
  for (std::size_t step = 0; step <= steps; ++step) {
    const double wanted = way[fine] * static_cast<double>(step) / steps;
    while (i + 1 < fine && way[i + 1] < wanted) ++i;
    const double share = (wanted - way[i]) / (way[i + 1] - way[i]);
    table[step] = srgb_of(path((static_cast<double>(i) + share) / fine));
  }
  return table;
}

}  // namespace

Rgb heat(double level) {
  static const std::array<Rgb, steps + 1> table = heat_table();
  const double at = std::clamp(level, 0.0, 1.0) * steps;
  const auto below = std::min(static_cast<std::size_t>(at), steps - 1);
  const double share = at - static_cast<double>(below);
  Rgb color{};
  for (std::size_t i = 0; i < color.size(); ++i)
    color[i] = (1 - share) * table[below][i] + share * table[below + 1][i];
  return color;
}

}  // namespace nablabragg::readout
