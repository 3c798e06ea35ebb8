// Bytes that claim to be a CBF image.
#include "io/cbf.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nablabragg::fuzz::read_bytes(data, size, [](const std::string& path) {
    const nablabragg::io::ImageFile file = nablabragg::io::read_cbf(path, 0);
    std::size_t pixels = 0;
    for (const nablabragg::GeometryPanel& panel : file.geometry.panels)
      pixels += static_cast<std::size_t>(panel.fast_pixels) *
                static_cast<std::size_t>(panel.slow_pixels);
    if (file.pixels.size() != pixels) std::abort();
  });
  nablabragg::fuzz::read_bytes(data, size, [](const std::string& path) {
    const nablabragg::Geometry geometry = nablabragg::io::read_cbf_geometry(path);
    for (const nablabragg::GeometryPanel& panel : geometry.panels)
      if (!(panel.fast_pixel_mm > 0 && panel.slow_pixel_mm > 0)) std::abort();
    if (!geometry.beam || !(geometry.beam->wavelength_A > 0)) std::abort();
  });
  return 0;
}
