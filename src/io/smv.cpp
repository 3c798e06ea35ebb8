// SMV (ADSC, d*TREK) images: a text header of KEY=value; lines padded with blanks, then the pixels.
#include <algorithm>
#include <array>
#include <bit>  // for std::endian
#include <cctype>
#include <cstring>  // for memcpy
#include <filesystem>
#include <limits>

#include "io/atomic_file.hpp"
#include "io/input_bytes.hpp"
#include "io/text_lines.hpp"
#include "io/trimmed.hpp"
#include "io/write_rows.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

static_assert(std::endian::native == std::endian::little,
              "pixels are written as they lie in memory");

namespace {

constexpr std::size_t usual_header_bytes = 512, most_header_bytes = std::size_t{1} << 20;

/// Without what pads it: a brace closes the header where an entry would begin, the last such one,
/// since values may hold braces, on lines of their own, too.
std::string_view body_of(std::string_view header) {
  for (std::size_t at = header.rfind('}'); at != std::string_view::npos && at > 0;
       at = header.rfind('}', at - 1)) {
    const std::size_t before = header.find_last_not_of(" \t\r", at - 1);
    if (before == std::string_view::npos || header[before] == '\n' || header[before] == ';')
      return header.substr(0, at);
  }
  return header;
}

/// Calls visit(key, value) for each entry in turn.
template <class Visit>
void for_each_entry(std::string_view header, Visit&& visit) {
  header = body_of(header);
  if (header.starts_with('{')) header.remove_prefix(1);
  while (!header.empty()) {
    const std::size_t end = header.find_first_of(";\n");
    const std::string_view entry = header.substr(0, end);
    header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
    const std::size_t equals = entry.find('=');
    if (equals != std::string_view::npos)
      visit(trimmed(entry.substr(0, equals)), trimmed(entry.substr(equals + 1)));
  }
}

/// What stands after "key="; of several places the last, as in nanoBragg.
std::optional<std::string_view> text_value(std::string_view header, std::string_view key) {
  std::optional<std::string_view> found;
  for_each_entry(header, [&](std::string_view name, std::string_view value) {
    if (name == key) found = value;
  });
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

/// Number of pixels of an axis, or of both.
int pixel_count(const SmvFile& file, const std::string& key) {
  double count = file.value(key, false).value_or(0);
  if (count == 0) count = file.value("DETECTOR_DIMENSIONS", false).value_or(0);
  if (!(count >= 1 && count <= 1e6 && count == static_cast<int>(count)))
    throw InputError(file.path, 0,
                     "the header gives no number of pixels: neither " + key +
                         " nor DETECTOR_DIMENSIONS is a whole number from 1 to 1000000");
  return static_cast<int>(count);
}

// ---- Pixels -----------------------------------------------------------------------------------

template <class Number>
void convert(const char* bytes, bool swapped, std::span<float> counts) {
  std::array<char, sizeof(Number)> one{};
  for (float& count : counts) {
    std::memcpy(one.data(), bytes, one.size());
    bytes += one.size();
    if (swapped) std::reverse(one.begin(), one.end());
    count = static_cast<float>(std::bit_cast<Number>(one));
  }
}

struct PixelType {
  std::size_t bytes;
  double largest;
  void (*convert)(const char* bytes, bool swapped, std::span<float> counts);

  friend bool operator==(const PixelType& a, const PixelType& b) { return a.convert == b.convert; }
};

template <class Number>
constexpr PixelType pixel_type = {sizeof(Number),
                                  std::numeric_limits<Number>::has_infinity
                                      ? std::numeric_limits<double>::infinity()
                                      : static_cast<double>(std::numeric_limits<Number>::max()),
                                  &convert<Number>};

/// By the words of ADSC (unsigned_short), d*TREK (unsigned short int, float IEEE), nanoBragg's
/// companions (long_integer) and numpy (uint16); a "long" has 32 bits in all of them.
std::optional<PixelType> pixel_type_named(std::string_view name) {
  std::string words;
  for (const char c : name)
    words += c == '_' || c == '-' || c == ' '
                 ? ' '
                 : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string_view rest = words;
  bool is_unsigned = false, is_signed = false;
  std::string kind;
  for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest)) {
    if (word == "unsigned")
      is_unsigned = true;
    else if (word == "signed")
      is_signed = true;
    else if (word == "ieee" || ((word == "int" || word == "integer") && !kind.empty()))
      continue;
    else if (kind.empty())
      kind = word;
    else
      return std::nullopt;
  }
  if (kind.starts_with("uint")) {
    is_unsigned = true;
    kind.erase(0, 1);
  }
  if (is_unsigned && is_signed) return std::nullopt;
  if (kind == "short" || kind == "int16")
    return is_unsigned ? pixel_type<std::uint16_t> : pixel_type<std::int16_t>;
  if (kind == "long" || kind == "int" || kind == "integer" || kind == "int32")
    return is_unsigned ? pixel_type<std::uint32_t> : pixel_type<std::int32_t>;
  if (kind == "char" || kind == "byte" || kind == "int8")
    return is_unsigned ? pixel_type<std::uint8_t> : pixel_type<std::int8_t>;
  if (is_unsigned || is_signed) return std::nullopt;
  if (kind == "float" || kind == "float32" || kind == "real") return pixel_type<float>;
  if (kind == "double" || kind == "float64") return pixel_type<double>;
  return std::nullopt;
}

/// `bytes` lie behind the header, for so many pixels.
PixelType type_of_pixels(const SmvFile& file, std::uint64_t pixels, std::uint64_t bytes) {
  std::optional<PixelType> type;
  std::string said_by;
  for (const char* key : {"TYPE", "Data_type", "DATA_TYPE"}) {
    const auto text = text_value(file.header, key);
    if (!text) continue;
    const std::string said = std::string(key) + '=' + std::string(*text);
    const auto named = pixel_type_named(*text);
    if (!named)
      throw InputError(file.path, 0,
                       said +
                           " cannot be read, only integers of 8, 16 and 32 bits, signed or "
                           "unsigned, float and double");
    if (type && !(*type == *named)) {
      // Programs that copy a header add their own key; the file's length knows which one holds.
      const bool first = bytes == pixels * type->bytes, second = bytes == pixels * named->bytes;
      if (first == second)
        throw InputError(file.path, 0, said_by + " and " + said + " contradict each other");
      if (first) continue;
    }
    type = named;
    said_by = said;
  }
  if (type) return *type;
  if (bytes == 4 * pixels || bytes == 8 * pixels)
    throw InputError(file.path, 0,
                     "the header has neither TYPE nor Data_type and " +
                         std::to_string(bytes / pixels) +
                         " bytes a pixel follow; write TYPE=long_integer or TYPE=float into it");
  return pixel_type<std::uint16_t>;
}

bool is_big_endian(const SmvFile& file) {
  const std::string_view order = text_value(file.header, "BYTE_ORDER").value_or("little_endian");
  if (order == "big_endian") return true;
  if (order != "little_endian")
    throw InputError(
        file.path, 0,
        "BYTE_ORDER=" + std::string(order) + " cannot be read, only little_endian and big_endian");
  return false;
}

/// What would make other numbers of the bytes.
void refuse_packed_pixels(const SmvFile& file) {
  for_each_entry(file.header, [&](std::string_view key, std::string_view value) {
    const auto refuse = [&](const char* why) {
      throw InputError(file.path, 0, std::string(key) + '=' + std::string(value) + ": " + why);
    };
    if (key == "DIM" && leading_number(value) != 2.0)
      refuse("only images of two dimensions are read");
    if ((key == "COMPRESSION" || key == "Compression") && value != "None" && value != "none" &&
        value != "NONE")
      refuse("compressed pixels cannot be read");
    if (key == "RAXIS_COMPRESSION_RATIO" && leading_number(value) != 1.0)
      refuse("pixels of an R-AXIS cannot be read, whose larger ones are packed by this ratio");
  });
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

std::optional<std::string> SmvFile::text(const std::string& key) const {
  const auto found = text_value(header, key);
  return found ? std::optional(std::string(*found)) : std::nullopt;
}

std::optional<double> SmvFile::number(const std::string& key,
                                      std::span<const std::string_view> units) const {
  std::optional<double> found;
  for_each_entry(header, [&](std::string_view name, std::string_view value) {
    if (name != key) return;
    const std::size_t unit = value.find_last_of(blanks);
    if (unit != std::string_view::npos &&
        std::ranges::find(units, value.substr(unit + 1)) != units.end())
      value = trimmed(value.substr(0, unit));
    const double number = finite_number(path, 0, key, value);
    if (found && *found != number)
      throw InputError(path, 0, key + " stands twice in the header, with different numbers");
    found = number;
  });
  return found;
}

std::vector<std::string> SmvFile::keys() const {
  std::vector<std::string> names;
  for_each_entry(header, [&](std::string_view key, std::string_view) { names.emplace_back(key); });
  return names;
}

SmvFile read_smv(const std::string& path) {
  Input input(path);
  SmvFile file;
  file.path = path;
  file.header = input.head(usual_header_bytes);
  if (std::error_code error;
      !begins_as_smv(file.header) && !std::filesystem::is_regular_file(path, error))
    throw InputError(path, 0,
                     "is no SMV image, and no image of another format can be read through a pipe; "
                     "give the file");
  if (!begins_as_smv(file.header))
    throw InputError(path, 0,
                     "is no SMV image: it should start with a line \"{\" and then HEADER_BYTES=");

  // The first line; behind a short header pixels might look like another one.
  const double header_bytes = leading_number(
                                  std::string_view(file.header).substr(file.header.find('=') + 1))
                                  .value_or(0);
  // 512 in practice; a header that could not hold the number of pixels, or a rubbish one, is
  // refused.
  if (!(header_bytes >= 64 && header_bytes <= most_header_bytes &&
        header_bytes == static_cast<int>(header_bytes)))
    throw InputError(
        path, 0,
        "HEADER_BYTES must be a whole number from 64 to " + std::to_string(most_header_bytes));
  const auto offset = static_cast<std::size_t>(header_bytes);
  file.header.resize(offset);
  if (input.read(file.header.data(), offset) != offset)
    throw InputError(path, 0, "ends within its header");

  file.fast_pixels = pixel_count(file, "SIZE1");
  file.slow_pixels = pixel_count(file, "SIZE2");
  refuse_packed_pixels(file);
  const bool swapped = is_big_endian(file);
  const auto row_pixels = static_cast<std::size_t>(file.fast_pixels);
  const std::size_t pixels = row_pixels * static_cast<std::size_t>(file.slow_pixels);
  // What comes through a pipe or is packed has its length when it has ended.
  const bool length_known = input.known_bytes() > 0;
  const std::string rest = length_known ? std::string() : input.read_rest(most_input_bytes);
  const std::uint64_t there = length_known ? input.known_bytes() - offset : rest.size();
  const PixelType type = type_of_pixels(file, pixels, there);
  if (there < pixels * type.bytes)
    throw InputError(path, 0,
                     "is too short: " + std::to_string(file.fast_pixels) + " x " +
                         std::to_string(file.slow_pixels) + " pixels need " +
                         std::to_string(pixels * type.bytes) +
                         " bytes after the header and there are " + std::to_string(there));
  file.largest_count = type.largest;
  file.pixels.resize(pixels);
  if (!length_known) {
    type.convert(rest.data(), swapped, file.pixels);
    return file;
  }
  std::vector<char> row(row_pixels * type.bytes);
  for (std::span<float> left(file.pixels); !left.empty(); left = left.subspan(row_pixels)) {
    if (input.read(row.data(), row.size()) != row.size())
      throw InputError(path, 0, "ended while it was being read");
    type.convert(row.data(), swapped, left.first(row_pixels));
  }
  return file;
}

void write_smv(const std::string& path, const std::string& header, int fast_pixels, int slow_pixels,
               const FillRow<std::uint16_t>& fill, RowOrder order) {
  AtomicFile file(path);
  write_rows(file, header, fast_pixels, slow_pixels, fill, order);
  file.commit();
}

}  // namespace nablabragg::io
