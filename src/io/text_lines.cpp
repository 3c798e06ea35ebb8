// Reading text files.
#include "io/text_lines.hpp"

#include <algorithm>
#include <cmath>  // for std::isfinite
#include <cstdint>

#include "io/input_file.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 16;
// Ten times the longest list of reflections one can think of; an endless pipe must end somewhere.
constexpr std::size_t most_bytes = std::size_t{4} << 30;

/// Control bytes other than white space show that a file is binary.  Told without branches, so that
/// compilers ask many bytes at a time.
bool is_rubbish(char c) {
  const auto byte = static_cast<unsigned char>(c),
             from_tab = static_cast<unsigned char>(byte - '\t');
  return (byte < 0x20) & (from_tab > '\r' - '\t');
}

bool holds_rubbish(std::string_view text) {
  unsigned char found = 0;
  for (const char c : text) found |= static_cast<unsigned char>(is_rubbish(c));
  return found != 0;
}

}  // namespace

std::string read_text(const std::string& path) {
  InputFile file(path);
  std::string text;
  for (std::size_t got = chunk_bytes; got == chunk_bytes;) {
    const std::size_t before = text.size();
    if (before + chunk_bytes > most_bytes)
      throw InputError(path, 0, "is longer than 4 GiB of text");
    // What is no text is found out before it is given room.
    if (before > 0) text.reserve(std::min(file.known_bytes() + chunk_bytes, most_bytes));
    text.resize(before + chunk_bytes);
    got = file.read(text.data() + before, chunk_bytes);
    text.resize(before + got);
    // Chunk by chunk, so that a device or a huge binary file is refused at once.
    if (holds_rubbish(std::string_view(text).substr(before))) {
      const auto rubbish = std::find_if(text.begin(), text.end(), is_rubbish);
      throw InputError(path, line_at(text, static_cast<std::size_t>(rubbish - text.begin())),
                       "holds control bytes, so it is not a text file");
    }
  }
  // Lines of an old Mac would otherwise all be one.
  for (std::size_t at = text.find('\r'); at != std::string::npos; at = text.find('\r', at + 1))
    if (at + 1 < text.size() && text[at + 1] != '\n' && text[at + 1] != '\r')
      throw InputError(path, line_at(text, at),
                       "holds a carriage return inside a line; lines must end with LF or CR LF");
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

std::size_t count_newlines(std::string_view text) {
  // Counted in bytes as long as they cannot overflow: sixteen and more at a time.
  std::size_t count = 0;
  for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(255, text.size()))) {
    std::uint8_t few = 0;
    for (const char c : text.substr(0, 255)) few = static_cast<std::uint8_t>(few + (c == '\n'));
    count += few;
  }
  return count;
}

long line_at(std::string_view text, std::size_t offset) {
  return 1 + static_cast<long>(count_newlines(text.substr(0, offset)));
}

double finite_number(const std::string& path, long line, const std::string& name,
                     std::string_view word) {
  const std::optional<double> value = parse_number<double>(word);
  if (!value || !std::isfinite(*value))
    throw InputError(path, line, name + " is no finite number: " + in_quotes(word));
  return *value;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t most = 60;
  std::string result(1, '"');
  for (const char c : text.substr(0, most))
    result += c == '\t' ? ' ' : c >= ' ' && c <= '~' ? c : '?';
  return result + (text.size() > most ? "...\"" : "\"");
}

}  // namespace nablabragg::io
