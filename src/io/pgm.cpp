// Portable greymaps, byte for byte as nanoBragg writes them.
#include <array>
#include <charconv>  // for std::to_chars

#include "io/atomic_file.hpp"
#include "io/write_rows.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

void write_pgm(const std::string& path, int fast_pixels, int slow_pixels, double scale,
               const FillRow<std::uint8_t>& fill, RowOrder order) {
  // printf's %g, with a decimal point in every locale.
  std::array<char, 32> text{};
  char* const end = std::to_chars(text.data(), text.data() + text.size(), scale,
                                  std::chars_format::general, 6)
                        .ptr;
  const std::string header = "P5\n" + std::to_string(fast_pixels) + " " +
                             std::to_string(slow_pixels) + "\n# pixels scaled by " +
                             std::string(text.data(), end) + "\n255\n";
  AtomicFile file(path);
  write_rows(file, header, fast_pixels, slow_pixels, fill, order);
  file.commit();
}

}  // namespace nablabragg::io
