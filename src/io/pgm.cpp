// Portable greymaps, byte for byte as nanoBragg writes them.
#include <array>
#include <charconv>  // for std::to_chars

#include "io/atomic_file.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

void write_pgm(const std::string& path, int fast_pixels, int slow_pixels, double scale,
               const FillRow<std::uint8_t>& fill) {
  // printf's %g, with a decimal point in every locale.
  std::array<char, 32> text{};
  char* const end = std::to_chars(text.data(), text.data() + text.size(), scale,
                                  std::chars_format::general, 6)
                        .ptr;
  AtomicFile file(path);
  file.write("P5\n" + std::to_string(fast_pixels) + " " + std::to_string(slow_pixels) +
             "\n# pixels scaled by " + std::string(text.data(), end) + "\n255\n");
  std::vector<std::uint8_t> row(static_cast<std::size_t>(fast_pixels));
  for (int slow = 0; slow < slow_pixels; ++slow) {
    fill(slow, row);
    file.write(std::as_bytes(std::span(row)));
  }
  file.commit();
}

}  // namespace nablabragg::io
