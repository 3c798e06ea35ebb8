#include "nablabragg/panel_arrays.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "io/crystfel_geometry.hpp"
#include "io/input_bytes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

bool is_geom(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) &&
         begins_as_crystfel_geometry(Input(path).head());
}

}  // namespace

std::vector<PixelRectangle> panels_in_array(const std::string& path, const Geometry& detector) {
  if (detector.panels.size() < 2) return {};
  if (is_geom(path)) return read_crystfel_places(path);
  std::vector<PixelRectangle> places;
  int row = 0;
  for (const GeometryPanel& panel : detector.panels) {
    places.push_back({0, panel.fast_pixels, row, row + panel.slow_pixels});
    row += panel.slow_pixels;
  }
  return places;
}

std::vector<PixelRectangle> panels_in_array(const std::string& path,
                                            const SettledExperiment& experiment) {
  if (experiment.experiment().more_panels.empty()) return {};
  return panels_in_array(path, geometry_of(experiment));
}

bool cut_into_panels(ImageFile& image, const std::string& path,
                     std::span<const PixelRectangle> panels) {
  if (panels.empty() || image.geometry.panels.size() != 1) return false;
  const GeometryPanel whole = image.geometry.panels[0];
  if (length(whole.fast_axis) > 0) return false;
  int fast = 0, slow = 0;
  for (const PixelRectangle& place : panels) {
    fast = std::max(fast, place.fast_end);
    slow = std::max(slow, place.slow_end);
  }
  const auto refuse = [&](const std::string& problem) {
    throw InputError(path, 0,
                     "is one array of " + std::to_string(whole.fast_pixels) + " x " +
                         std::to_string(whole.slow_pixels) + " pixels, and the " +
                         std::to_string(panels.size()) + " panels of the detector " + problem);
  };
  if (fast != whole.fast_pixels || slow != whole.slow_pixels)
    refuse("make up " + std::to_string(fast) + " x " + std::to_string(slow));
  std::vector<bool> taken(image.pixels.size());
  std::vector<double> pixels;
  pixels.reserve(image.pixels.size());
  image.geometry.panels.assign(panels.size(), whole);
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const PixelRectangle& place = panels[i];
    image.geometry.panels[i].fast_pixels = place.fast_end - place.fast_begin;
    image.geometry.panels[i].slow_pixels = place.slow_end - place.slow_begin;
    for (int y = place.slow_begin; y < place.slow_end; ++y)
      for (int x = place.fast_begin; x < place.fast_end; ++x) {
        const auto at = static_cast<std::size_t>(y) * static_cast<std::size_t>(fast) +
                        static_cast<std::size_t>(x);
        if (taken[at]) refuse("share pixels of one array, as those of several arrays do");
        taken[at] = true;
        pixels.push_back(image.pixels[at]);
      }
  }
  image.pixels = std::move(pixels);
  return true;
}

}  // namespace nablabragg::io
