// Bytes that claim to be a geometry of CrystFEL.
#include <cmath>

#include "io/crystfel_geometry.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nablabragg;
  fuzz::read_bytes(data, size, [](const std::string& path) {
    const Geometry geometry = io::read_crystfel_geometry(
        path, {.camera_length_mm = 100, .photon_energy_eV = 1e4});
    if (geometry.panels.empty()) std::abort();
    for (const GeometryPanel& panel : geometry.panels) {
      if (panel.group >= static_cast<int>(geometry.groups.size())) std::abort();
      if (!(std::abs(dot(panel.fast_axis, panel.slow_axis)) < 1e-6)) std::abort();
      for (const PixelRectangle& r : panel.masked)
        if (r.fast_begin < 0 || r.fast_end > panel.fast_pixels || r.slow_begin < 0 ||
            r.slow_end > panel.slow_pixels || r.fast_begin >= r.fast_end)
          std::abort();
    }
  });
  return 0;
}
