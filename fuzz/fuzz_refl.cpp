// Bytes that claim to be a reflection table of DIALS.
#include "io/refl.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nablabragg::fuzz::read_bytes(data, size, [size](const std::string& path) {
    // A row has three indices or three numbers at least.
    if (nablabragg::io::read_refl(path).size() > size) std::abort();
  });
  return 0;
}
