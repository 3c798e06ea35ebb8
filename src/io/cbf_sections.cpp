#include "io/cbf_sections.hpp"

#include <nettle/base64.h>
#include <nettle/md5.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "io/cbf_byte_offset.hpp"
#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "io/trimmed.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

constexpr std::string_view boundary = "--CIF-BINARY-FORMAT-SECTION--";
/// What stands before the bytes.
constexpr std::string_view mark = "\x0C\x1A\x04\xD5";
/// Readers that decompress by words may look beyond the end.
constexpr std::size_t padding = 4095;
constexpr std::uint64_t most_pixels = std::uint64_t{1} << 32;

/// As Content-MD5 has it.
std::string md5_text(std::string_view bytes) {
  md5_ctx context;
  md5_init(&context);
  md5_update(&context, bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
  std::array<std::uint8_t, MD5_DIGEST_SIZE> digest{};
  md5_digest(&context, digest.size(), digest.data());
  std::string text(BASE64_ENCODE_RAW_LENGTH(MD5_DIGEST_SIZE), '\0');
  base64_encode_raw(text.data(), digest.size(), digest.data());
  return text;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

/// What stands behind "key:"; a line that begins with a blank goes on with the one before.
std::optional<std::string> header_value(std::string_view header, std::string_view key) {
  Lines lines(header);
  std::optional<std::string> found;
  bool within = false;
  while (lines.next()) {
    const std::string_view line = lines.line();
    if (line.starts_with(' ') || line.starts_with('\t')) {
      if (within) *found += ' ' + std::string(trimmed(line));
      continue;
    }
    within = false;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !same_word(trimmed(line.substr(0, colon)), key))
      continue;
    found = std::string(trimmed(line.substr(colon + 1)));
    within = true;
  }
  return found;
}

std::optional<std::uint64_t> count_in(const std::string& path, std::string_view header,
                                      std::string_view key) {
  const auto text = header_value(header, key);
  if (!text) return std::nullopt;
  const auto count = parse_number<std::uint64_t>(*text);
  if (!count || *count == 0)
    throw InputError(path, 0, std::string(key) + " is no count: " + in_quotes(*text));
  return count;
}

CbfSection section_at(const std::string& path, std::string_view rest, std::size_t& length) {
  std::size_t header_end = rest.find("\r\n\r\n");
  std::size_t begin = header_end == std::string_view::npos ? header_end : header_end + 4;
  if (const std::size_t bare = rest.find("\n\n"); bare < header_end) {
    header_end = bare;
    begin = bare + 2;
  }
  if (header_end == std::string_view::npos)
    throw InputError(path, 0, "ends within the header of its pixels");
  CbfSection section;
  section.header = rest.substr(0, header_end);
  // A few bytes may stand before the mark.
  const std::size_t at = rest.substr(begin, 64).find(mark);
  if (at == std::string_view::npos)
    throw InputError(path, 0, "the bytes 0C 1A 04 D5 are missing before its pixels");
  begin += at + mark.size();
  const auto size = count_in(path, section.header, "X-Binary-Size");
  if (!size) throw InputError(path, 0, "the header of its pixels holds no X-Binary-Size");
  if (*size > rest.size() - begin)
    throw InputError(path, 0,
                     "is too short: X-Binary-Size is " + std::to_string(*size) + " and only " +
                         std::to_string(rest.size() - begin) + " bytes follow");
  section.bytes = rest.substr(begin, *size);
  const auto fast = count_in(path, section.header, "X-Binary-Size-Fastest-Dimension"),
             slow = count_in(path, section.header, "X-Binary-Size-Second-Dimension"),
             third = count_in(path, section.header, "X-Binary-Size-Third-Dimension");
  section.elements = count_in(path, section.header, "X-Binary-Number-of-Elements").value_or(0);
  section.fast = fast.value_or(0);
  section.slow = slow.value_or(fast ? 1 : 0);
  section.sections = third.value_or(1);
  const std::size_t end = rest.find(boundary, begin + *size);
  // A file may end with its pixels.
  length = end == std::string_view::npos ? rest.size() : end + boundary.size() + 2;
  return section;
}

template <class Number>
std::vector<double> plain_numbers(std::string_view bytes, std::size_t count, bool swapped) {
  std::vector<double> numbers(count);
  std::array<char, sizeof(Number)> one{};
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(one.data(), bytes.data() + i * one.size(), one.size());
    if (swapped) std::reverse(one.begin(), one.end());
    numbers[i] = static_cast<double>(std::bit_cast<Number>(one));
  }
  return numbers;
}

struct ElementType {
  const char* name;
  std::size_t bytes;
  std::int64_t least, most;  ///< of integers
  std::vector<double> (*convert)(std::string_view bytes, std::size_t count, bool swapped);
};

template <class Number>
constexpr ElementType element_type(const char* name) {
  using Limits = std::numeric_limits<Number>;
  if constexpr (Limits::is_integer)
    return {name, sizeof(Number), Limits::min(), Limits::max(), &plain_numbers<Number>};
  else
    return {name, sizeof(Number), 1, 0, &plain_numbers<Number>};
}

const std::array element_types = {element_type<std::int8_t>("signed 8-bit integer"),
                                  element_type<std::uint8_t>("unsigned 8-bit integer"),
                                  element_type<std::int16_t>("signed 16-bit integer"),
                                  element_type<std::uint16_t>("unsigned 16-bit integer"),
                                  element_type<std::int32_t>("signed 32-bit integer"),
                                  element_type<std::uint32_t>("unsigned 32-bit integer"),
                                  element_type<float>("signed 32-bit real IEEE"),
                                  element_type<double>("signed 64-bit real IEEE")};

/// "x-CBF_BYTE_OFFSET" of "application/octet-stream; conversions="x-CBF_BYTE_OFFSET"".
std::string conversion_of(const CbfSection& section) {
  const std::string type = header_value(section.header, "Content-Type").value_or("");
  constexpr std::string_view key = "conversions=";
  const std::size_t at = type.find(key);
  if (at == std::string::npos) return "x-CBF_NONE";
  std::string_view rest = std::string_view(type).substr(at + key.size());
  return std::string(trimmed(next_word(rest, ";"), "\""));
}

}  // namespace

std::string cbf_lines(std::string text, CbfLines lines) {
  if (lines == CbfLines::bare) return text;
  std::string with_returns;
  with_returns.reserve(text.size() + text.size() / 16);
  for (const char c : text) {
    if (c == '\n') with_returns += '\r';
    with_returns += c;
  }
  return with_returns;
}

std::string cbf_section(std::span<const std::int32_t> pixels, int binary_id, int fast_pixels,
                        int slow_pixels, CbfLines lines) {
  std::string bytes;
  bytes.reserve(pixels.size() + pixels.size() / 4);
  compress_byte_offset(pixels, bytes);
  std::string header(boundary);
  const auto line = [&](const std::string& text) { header += '\n' + text; };
  line("Content-Type: application/octet-stream;");
  line("     conversions=\"x-CBF_BYTE_OFFSET\"");
  line("Content-Transfer-Encoding: BINARY");
  line("X-Binary-Size: " + std::to_string(bytes.size()));
  line("X-Binary-ID: " + std::to_string(binary_id));
  line("X-Binary-Element-Type: \"signed 32-bit integer\"");
  line("X-Binary-Element-Byte-Order: LITTLE_ENDIAN");
  line("Content-MD5: " + md5_text(bytes));
  line("X-Binary-Number-of-Elements: " + std::to_string(pixels.size()));
  line("X-Binary-Size-Fastest-Dimension: " + std::to_string(fast_pixels));
  line("X-Binary-Size-Second-Dimension: " + std::to_string(slow_pixels));
  line("X-Binary-Size-Third-Dimension: 1");
  line("X-Binary-Size-Padding: " + std::to_string(padding));
  header += "\n\n";
  std::string section = cbf_lines(std::move(header), lines);
  section.append(mark).append(bytes).append(padding, '\0');
  section += cbf_lines('\n' + std::string(boundary) + "--\n", lines);
  return section;
}

void read_cbf_file(const std::string& path, CbfFile& file) {
  file.path = path;
  Input input(path);
  file.bytes = input.read_rest(most_input_bytes);
  std::string_view rest = file.bytes;
  if (!rest.starts_with("###CBF") && !begins_as_cif(rest.substr(0, 4096)))
    throw InputError(path, 0, "is no CBF file: it should start with ###CBF");
  while (true) {
    const std::size_t at = rest.find(boundary);
    file.text += rest.substr(0, at);
    if (at == std::string_view::npos) break;
    rest.remove_prefix(at + boundary.size());
    file.text += "binary section " + std::to_string(file.sections.size()) + '\n';
    std::size_t length = 0;
    file.sections.push_back(section_at(path, rest, length));
    rest.remove_prefix(std::min(length, rest.size()));
    if (rest.empty()) file.text += ";\n";
  }
}

void check_dimensions(const CbfFile& file, const CbfSection& section) {
  const auto refuse = [&](const std::string& problem) { throw InputError(file.path, 0, problem); };
  if (section.fast == 0)
    refuse("the header of its pixels holds no X-Binary-Size-Fastest-Dimension");
  if (section.slow == 0) refuse("the header of its pixels holds no X-Binary-Size-Second-Dimension");
  if (section.sections != 1)
    refuse("holds " + std::to_string(section.sections) +
           " images in one section (X-Binary-Size-Third-Dimension), and only one can be read");
  if (section.fast > most_pixels || section.slow > most_pixels ||
      section.fast * section.slow > most_pixels)
    refuse("has more pixels than any detector");
  const std::uint64_t pixels = section.fast * section.slow;
  if (section.elements != 0 && section.elements != pixels)
    refuse("X-Binary-Number-of-Elements is " + std::to_string(section.elements) + " where " +
           std::to_string(section.fast) + " x " + std::to_string(section.slow) +
           " pixels are stated");
}

std::vector<double> pixels_of(const CbfFile& file, const CbfSection& section) {
  const auto refuse = [&](const std::string& problem) { throw InputError(file.path, 0, problem); };
  check_dimensions(file, section);
  const std::uint64_t pixels = section.fast * section.slow;
  const std::string said = header_value(section.header, "X-Binary-Element-Type")
                               .value_or("signed 32-bit integer");
  const std::string name(trimmed(said, "\" "));
  const auto type = std::find_if(element_types.begin(), element_types.end(),
                                 [&](const ElementType& t) { return same_word(t.name, name); });
  if (type == element_types.end())
    refuse("X-Binary-Element-Type is " + in_quotes(name) +
           ", and only integers of 8, 16 and 32 bits and reals of 32 and 64 bits can be read");
  const std::string encoding = header_value(section.header, "Content-Transfer-Encoding")
                                   .value_or("BINARY");
  if (!same_word(encoding, "BINARY"))
    refuse("Content-Transfer-Encoding is " + in_quotes(encoding) + ", and only BINARY can be read");
  const std::string order = header_value(section.header, "X-Binary-Element-Byte-Order")
                                .value_or("LITTLE_ENDIAN");
  const bool big = same_word(order, "BIG_ENDIAN");
  if (!big && !same_word(order, "LITTLE_ENDIAN"))
    refuse("X-Binary-Element-Byte-Order is " + in_quotes(order) +
           ", and only LITTLE_ENDIAN and BIG_ENDIAN can be read");
  if (const auto md5 = header_value(section.header, "Content-MD5");
      md5 && *md5 != md5_text(section.bytes))
    refuse("is damaged: its pixels are not those of its Content-MD5");

  const std::string conversion = conversion_of(section);
  if (same_word(conversion, "x-CBF_NONE")) {
    if (section.bytes.size() / type->bytes < pixels)
      refuse("is too short: " + std::to_string(pixels) + " pixels need " +
             std::to_string(pixels * type->bytes) + " bytes and X-Binary-Size is " +
             std::to_string(section.bytes.size()));
    return type->convert(section.bytes, pixels, big);
  }
  if (!same_word(conversion, "x-CBF_BYTE_OFFSET"))
    refuse("its pixels are compressed by " + in_quotes(conversion) +
           ", and only x-CBF_BYTE_OFFSET and x-CBF_NONE can be read; CBFlib's convert_image and "
           "fabio convert them");
  if (type->least > type->most)
    refuse("its pixels are reals by byte offsets, which are defined for integers alone");
  if (section.bytes.size() < pixels)
    refuse("is too short: " + std::to_string(pixels) +
           " pixels need at least a byte each and X-Binary-Size is " +
           std::to_string(section.bytes.size()));
  auto numbers = expand_byte_offset(section.bytes, pixels, type->least, type->most);
  if (!numbers)
    refuse("is damaged: its bytes do not hold " + std::to_string(pixels) + " pixels of the type " +
           in_quotes(name));
  return std::move(*numbers);
}

}  // namespace nablabragg::io
