// Bytes that claim to be an experiment list of dxtbx.
#include <cmath>

#include "io/expt.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nablabragg;
  fuzz::read_bytes(data, size, [](const std::string& path) {
    const Geometry geometry = io::read_expt_geometry(path);
    if (geometry.panels.empty()) std::abort();
    for (const GeometryPanel& panel : geometry.panels) {
      if (panel.fast_pixels < 1 || panel.slow_pixels < 1 || !(panel.fast_pixel_mm > 0))
        std::abort();
      if (panel.group >= static_cast<int>(geometry.groups.size())) std::abort();
      for (const PixelRectangle& r : panel.masked)
        if (r.fast_begin < 0 || r.fast_end > panel.fast_pixels || r.fast_begin >= r.fast_end)
          std::abort();
    }
    for (const GeometryCrystal& crystal : geometry.crystals)
      if (!std::isfinite(length(crystal.real_axes_A.a))) std::abort();
  });
  return 0;
}
