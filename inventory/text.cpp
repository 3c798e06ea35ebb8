#include "inventory/text.hpp"

#include <cctype>
#include <charconv>

#include "io/atomic_file.hpp"
#include "io/quotes.hpp"

namespace nablabragg::inventory {

std::string ascii(std::string_view text) {
  std::string result = io::printable(text);
  for (char& c : result)
    if (static_cast<unsigned char>(c) >= 0x7F) c = '?';
  return result;
}

std::string one_line(const std::string& text, std::size_t limit) {
  std::string line;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0)
      line.push_back(c);
    else if (!line.empty() && line.back() != ' ')
      line.push_back(' ');
  }
  if (line.ends_with(' ')) line.pop_back();
  return io::shortened(ascii(line), limit);
}

std::string cell(const std::string& text, std::size_t limit) {
  std::string escaped;
  for (const char c : one_line(text, limit)) {
    if (c == '|') escaped.push_back('\\');
    escaped.push_back(c);
  }
  return escaped;
}

std::optional<std::uint64_t> hexadecimal(std::string_view word) {
  if (word.starts_with("0x")) word.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, 16);
  if (word.empty() || error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

void write_text(const std::string& path, const std::string& text) {
  io::AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace nablabragg::inventory
