// Bytes that claim to be a TIFF image.
#include "io/tiff.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nablabragg::fuzz::read_bytes(data, size, [](const std::string& path) {
    const nablabragg::io::ImageFile file = nablabragg::io::read_tiff(path);
    const nablabragg::GeometryPanel& panel = file.geometry.panels.at(0);
    if (file.pixels.size() !=
        static_cast<std::size_t>(panel.fast_pixels) * static_cast<std::size_t>(panel.slow_pixels))
      std::abort();
  });
  return 0;
}
