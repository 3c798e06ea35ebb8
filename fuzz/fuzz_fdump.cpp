// Bytes that claim to be a structure-factor cache.
#include "nablabragg/io.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nablabragg::fuzz::read_bytes(data, size, [size](const std::string& path) {
    const auto grid = nablabragg::io::read_fdump(path);
    // The file holds every value, so the table can be no larger.
    if (grid.values().size() * sizeof(double) > size) std::abort();
  });
  return 0;
}
