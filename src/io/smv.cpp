// SMV (ADSC) images: a text header of KEY=value; lines padded with blanks, then 16-bit pixels.
#include <array>
#include <bit>  // for std::endian
#include <cctype>

#include "io/atomic_file.hpp"
#include "io/input_file.hpp"
#include "io/text_lines.hpp"
#include "io/write_rows.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

static_assert(std::endian::native == std::endian::little,
              "pixels are written as they lie in memory");

namespace {

constexpr std::string_view blanks = " \t\r\n\v\f";
constexpr std::size_t usual_header_bytes = 512, most_header_bytes = std::size_t{1} << 20;

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

/// What stands after "key="; of several places the last, as in nanoBragg.
std::optional<std::string_view> text_value(std::string_view header, std::string_view key) {
  header = header.substr(0, header.find('}'));
  if (header.starts_with('{')) header.remove_prefix(1);
  std::optional<std::string_view> found;
  while (!header.empty()) {
    const std::size_t end = header.find_first_of(";\n");
    const std::string_view entry = header.substr(0, end);
    header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
    const std::size_t equals = entry.find('=');
    if (equals != std::string_view::npos && trimmed(entry.substr(0, equals)) == key)
      found = trimmed(entry.substr(equals + 1));
  }
  return found;
}

/// The number that the text starts with, whatever follows it.
std::optional<double> leading_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

bool contains(std::optional<std::string_view> text, std::string_view part) {
  return text && text->find(part) != std::string_view::npos;
}

/// Number of pixels of an axis, or of both.
int pixel_count(const SmvFile& file, const std::string& path, const std::string& key) {
  double count = file.value(key, false).value_or(0);
  if (count == 0) count = file.value("DETECTOR_DIMENSIONS", false).value_or(0);
  if (!(count >= 1 && count <= 1e6 && count == static_cast<int>(count)))
    throw InputError(path, 0,
                     "the header gives no number of pixels: neither " + key +
                         " nor DETECTOR_DIMENSIONS is a whole number from 1 to 1000000");
  return static_cast<int>(count);
}

}  // namespace

std::optional<double> SmvFile::value(const std::string& key, bool by_substring) const {
  if (!by_substring) {
    const auto text = text_value(header, key);
    return text ? leading_number(*text) : std::nullopt;
  }
  const std::size_t at = header.rfind(key);
  if (at == std::string::npos) return std::nullopt;
  const std::size_t equals = header.find('=', at);
  // What is there but is no number counts as zero, as atof has it.
  if (equals == std::string::npos) return 0.0;
  return leading_number(std::string_view(header).substr(equals + 1)).value_or(0.0);
}

SmvFile read_smv(const std::string& path) {
  InputFile input(path);
  SmvFile file;
  file.header.resize(usual_header_bytes);
  file.header.resize(input.read(file.header.data(), usual_header_bytes));
  constexpr std::string_view magic = "{\nHEADER_BYT";
  if (!file.header.starts_with(magic))
    throw InputError(path, 0,
                     "is no SMV image: it should start with a line \"{\" and then HEADER_BYTES=");

  const double header_bytes = file.value("HEADER_BYTES", false).value_or(0);
  // 512 in practice; a header that could not hold the number of pixels, or a rubbish one, is
  // refused.
  if (!(header_bytes >= 64 && header_bytes <= most_header_bytes &&
        header_bytes == static_cast<int>(header_bytes)))
    throw InputError(
        path, 0,
        "HEADER_BYTES must be a whole number from 64 to " + std::to_string(most_header_bytes));
  const auto offset = static_cast<std::size_t>(header_bytes);
  if (input.size() < offset) throw InputError(path, 0, "ends within its header");
  file.header.resize(offset);
  input.seek(0);
  if (input.read(file.header.data(), offset) != offset)
    throw InputError(path, 0, "ended while it was being read");

  for (const char* wide : {"long", "float", "double"})
    if (contains(text_value(file.header, "TYPE"), wide))
      throw InputError(path, 0,
                       "TYPE=" + std::string(*text_value(file.header, "TYPE")) +
                           " cannot be read, only unsigned_short");
  file.fast_pixels = pixel_count(file, path, "SIZE1");
  file.slow_pixels = pixel_count(file, path, "SIZE2");

  const auto pixels = static_cast<std::size_t>(file.fast_pixels) *
                      static_cast<std::size_t>(file.slow_pixels);
  const std::size_t bytes = pixels * sizeof(std::uint16_t);
  if (input.size() - offset < bytes)
    throw InputError(path, 0,
                     "is too short: " + std::to_string(file.fast_pixels) + " x " +
                         std::to_string(file.slow_pixels) + " pixels need " +
                         std::to_string(bytes) + " bytes after the header and there are " +
                         std::to_string(input.size() - offset));
  file.pixels.resize(pixels);
  if (input.read(file.pixels.data(), bytes) != bytes)
    throw InputError(path, 0, "ended while it was being read");
  if (contains(text_value(file.header, "BYTE_ORDER"), "big_endian"))
    for (std::uint16_t& pixel : file.pixels)
      pixel = static_cast<std::uint16_t>(pixel << 8 | pixel >> 8);
  return file;
}

void write_smv(const std::string& path, const std::string& header, int fast_pixels, int slow_pixels,
               const FillRow<std::uint16_t>& fill, RowOrder order) {
  AtomicFile file(path);
  write_rows(file, header, fast_pixels, slow_pixels, fill, order);
  file.commit();
}

}  // namespace nablabragg::io
