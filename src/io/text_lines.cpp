// Reading text files.
#include "io/text_lines.hpp"

#include <algorithm>
#include <cmath>  // for std::isfinite

#include "io/input_file.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 16;
// Ten times the longest list of reflections one can think of; an endless pipe must end somewhere.
constexpr std::size_t most_bytes = std::size_t{4} << 30;

/// Control bytes other than white space show that a file is binary.
bool is_rubbish(char c) {
  return static_cast<unsigned char>(c) < 0x20 && !(c >= '\t' && c <= '\r');
}

long line_at(std::string_view text, std::size_t offset) {
  return 1 + static_cast<long>(std::count(
                 text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

}  // namespace

std::string read_text(const std::string& path) {
  InputFile file(path);
  std::string text;
  for (std::size_t got = chunk_bytes; got == chunk_bytes;) {
    const std::size_t before = text.size();
    if (before + chunk_bytes > most_bytes)
      throw InputError(path, 0, "is longer than 4 GiB of text");
    text.resize(before + chunk_bytes);
    got = file.read(text.data() + before, chunk_bytes);
    text.resize(before + got);
    // Chunk by chunk, so that a device or a huge binary file is refused at once.
    const auto from = text.begin() + static_cast<std::ptrdiff_t>(before);
    const auto rubbish = std::find_if(from, text.end(), is_rubbish);
    if (rubbish != text.end())
      throw InputError(path, line_at(text, static_cast<std::size_t>(rubbish - text.begin())),
                       "holds control bytes, so it is not a text file");
  }
  // Lines of an old Mac would otherwise all be one.
  for (std::size_t at = text.find('\r'); at != std::string::npos; at = text.find('\r', at + 1))
    if (at + 1 < text.size() && text[at + 1] != '\n' && text[at + 1] != '\r')
      throw InputError(path, line_at(text, at),
                       "holds a carriage return inside a line; lines must end with LF or CR LF");
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
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
