// Bytes that claim to be reflections, in any of the formats that are told by their content.
#include <cmath>

#include "nablabragg/io.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nablabragg::fuzz::read_bytes(data, size, [](const std::string& path) {
    const auto reflections = nablabragg::io::read_reflections(path).reflections;
    if (reflections.empty()) std::abort();
    for (const auto& reflection : reflections)
      if (!std::isfinite(reflection.amplitude)) std::abort();
    // A stray index is refused by the table, with a limit that a fuzzer can afford.
    nablabragg::StructureFactorGrid::from_reflections(reflections, 0, std::size_t{1} << 24);
  });
  return 0;
}
