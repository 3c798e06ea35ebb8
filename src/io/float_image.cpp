// The image as it was computed: bare floats, which many programs can read and none can misread.
#include <bit>  // for std::endian

#include "io/atomic_file.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

static_assert(std::endian::native == std::endian::little,
              "pixels are written as they lie in memory");

void write_float_image(const std::string& path, const Image& image) {
  AtomicFile file(path);
  const auto bytes = std::as_bytes(std::span(image.pixels));
  file.expect(bytes.size());
  file.write(bytes);
  file.commit();
}

}  // namespace nablabragg::io
