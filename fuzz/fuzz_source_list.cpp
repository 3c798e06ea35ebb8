// Bytes that claim to be a list of sources, or a table of amorphous structure factors.
#include <cmath>

#include "nablabragg/io.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nablabragg::fuzz::read_bytes;
  read_bytes(data, size, [](const std::string& path) {
    nablabragg::Source defaults;
    defaults.position = {-10, 0, 0};
    const auto sources = nablabragg::io::read_source_list(path, defaults);
    if (sources.empty()) std::abort();
    for (const auto& source : sources) {
      const double wavelength = source.wavelength_A;
      if (source.position == nablabragg::Vec3d{} || !std::isfinite(source.weight)) std::abort();
      if (!(wavelength > 0) || !std::isfinite(wavelength)) std::abort();
    }
  });
  read_bytes(data, size, [](const std::string& path) { nablabragg::io::check_stol_table(path); });
  return 0;
}
