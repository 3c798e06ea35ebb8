#include "model/resolve.hpp"

#include <utility>

namespace nablabragg {

std::int64_t steps_of_all_crystals(const Resolved& resolved) {
  const auto steps_of = [&](const Resolved& crystal) {
    return resolved.steps / static_cast<std::int64_t>(resolved.domains.size()) *
           static_cast<std::int64_t>(crystal.domains.size()) *
           std::max<std::int64_t>(1, static_cast<std::int64_t>(crystal.block_sizes.size()));
  };
  std::int64_t steps = steps_of(resolved);
  for (const Resolved& further : resolved.more_crystals) steps += steps_of(further);
  return steps;
}

Image image_of(const Resolved& resolved, std::vector<float> pixels) {
  Image image{resolved.panel.fast_pixels, resolved.panel.slow_pixels, std::move(pixels)};
  for (const ResolvedPanel& further : resolved.more_panels)
    image.more_panels.push_back({further.panel.fast_pixels, further.panel.slow_pixels});
  return image;
}

bool has_panels_of(const Image& image, const Resolved& resolved) {
  if (image.panels() != 1 + resolved.more_panels.size()) return false;
  for (std::size_t i = 0; i < image.panels(); ++i) {
    const PanelImage seen = image.panel(i);
    const Panel& panel = panel_of(resolved, i);
    if (seen.fast_pixels != panel.fast_pixels || seen.slow_pixels != panel.slow_pixels)
      return false;
  }
  return true;
}

UnitCell unit_cell_of(const Mat3d& axes) {
  const double a = length(axes.a), b = length(axes.b), c = length(axes.c);
  const auto angle = [](const Vec3d& u, const Vec3d& v) {
    return units::degrees_from_radians(std::acos(std::clamp(dot(unit(u), unit(v)), -1.0, 1.0)));
  };
  return {a, b, c, angle(axes.b, axes.c), angle(axes.c, axes.a), angle(axes.a, axes.b)};
}

}  // namespace nablabragg
