// Bytes that claim to be an SMV image.
#include "nablabragg/io.hpp"
#include "read_bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nablabragg::fuzz::read_bytes(data, size, [](const std::string& path) {
    const nablabragg::io::SmvFile file = nablabragg::io::read_smv(path);
    const auto fast = static_cast<std::size_t>(file.fast_pixels);
    if (file.pixels.size() != fast * static_cast<std::size_t>(file.slow_pixels)) std::abort();
    for (const char* key : {"DISTANCE", "ORGX", "BYTE_ORDER", "", "="})
      for (const bool by_substring : {false, true})
        static_cast<void>(file.value(key, by_substring));
  });
  return 0;
}
