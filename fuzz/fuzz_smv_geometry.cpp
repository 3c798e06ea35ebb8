// Bytes that claim to be an SMV image whose header says where the detector is.
#include <cmath>

#include "io/smv_images.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nablabragg::fuzz::read_bytes(data, size, [](const std::string& path) {
    const nablabragg::Geometry geometry = nablabragg::io::read_smv_geometry(path);
    const nablabragg::GeometryPanel& panel = geometry.panels.at(0);
    if (!(std::abs(length(panel.fast_axis) - 1) < 1e-6 && panel.fast_pixel_mm > 0)) std::abort();
    if (!geometry.beam || !(geometry.beam->wavelength_A > 0)) std::abort();
  });
  return 0;
}
