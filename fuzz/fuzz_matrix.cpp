// Bytes that claim to be an orientation matrix.
#include <cmath>

#include "nablabragg/io.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nablabragg::fuzz::read_bytes(data, size, [](const std::string& path) {
    const nablabragg::Mat3d m = nablabragg::io::read_mosflm_matrix(path).matrix;
    for (const auto& row : {m.a, m.b, m.c})
      if (!std::isfinite(row.x) || !std::isfinite(row.y) || !std::isfinite(row.z)) std::abort();
  });
  return 0;
}
