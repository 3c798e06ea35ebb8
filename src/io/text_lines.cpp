// Reading text files.
#include "io/text_lines.hpp"

#include <algorithm>
#include <cmath>  // for std::isfinite
#include <cstdint>

#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

// Enough for some threads to share, and little enough to stay in a cache.
constexpr std::size_t piece_bytes = std::size_t{1} << 18, chunk_bytes = std::size_t{1} << 16;
// Ten times the longest list of reflections one can think of; an endless pipe must end somewhere.
constexpr std::size_t most_bytes = most_input_bytes;
// No line of a list is as long; what is, is something else.
constexpr std::size_t most_line_bytes = std::size_t{1} << 24;
// Matrices, sources and what refine left behind: a million sources are 100 MiB.
constexpr std::size_t most_whole_bytes = std::size_t{1} << 29;

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

void TextPieces::read_more(std::size_t bytes) {
  if (bytes_ + bytes > most_bytes) throw InputError(path(), 0, "is longer than 4 GiB of text");
  const std::size_t before = buffer_.size();
  buffer_.resize(before + bytes);
  const std::size_t got = input_.read(buffer_.data() + before, bytes);
  buffer_.resize(before + got);
  bytes_ += got;
  at_end_ = got < bytes;
  // Chunk by chunk, so that a device or a huge binary file is refused at once.
  if (holds_rubbish(std::string_view(buffer_).substr(before))) {
    if (lines_before_ == 0) refuse_binary(path(), buffer_, "not a text file");
    const auto rubbish = std::find_if(buffer_.begin(), buffer_.end(), is_rubbish);
    throw InputError(
        path(),
        lines_before_ + line_at(buffer_, static_cast<std::size_t>(rubbish - buffer_.begin())),
        "holds control bytes, so it is not a text file");
  }
}

bool TextPieces::next() {
  const bool is_first = bytes_ == 0;
  lines_before_ += static_cast<long>(count_newlines(piece()));
  buffer_.erase(0, used_);  // what is left holds no newline
  std::size_t end = 0;
  while (!at_end_ && (buffer_.size() < piece_bytes || end == 0)) {
    const std::size_t before = buffer_.size();
    read_more(chunk_bytes);
    const std::size_t newline = std::string_view(buffer_).substr(before).rfind('\n');
    if (newline != std::string_view::npos) end = before + newline + 1;
    if (buffer_.size() - end > most_line_bytes)
      throw InputError(path(), lines_before_ + line_at(buffer_, end),
                       "is longer than " + std::to_string(most_line_bytes >> 20) +
                           " MiB, so this is no list with a line for each entry");
  }
  used_ = at_end_ ? buffer_.size() : end;
  if (is_first && buffer_.starts_with("\xEF\xBB\xBF")) {
    buffer_.erase(0, 3);
    used_ -= 3;
  }
  // Lines of an old Mac would otherwise all be one.
  const std::string_view text = piece();
  for (std::size_t at = text.find('\r'); at != std::string::npos; at = text.find('\r', at + 1))
    if (at + 1 < text.size() && text[at + 1] != '\n' && text[at + 1] != '\r' && stray_return_ == 0)
      stray_return_ = lines_before_ + line_at(text, at);
  if (used_ == 0 && stray_return_ > 0)
    throw InputError(path(), stray_return_,
                     "holds a carriage return inside a line; lines must end with LF or CR LF");
  return used_ > 0;
}

std::string read_text(const std::string& path) {
  TextPieces pieces{Input(path)};
  std::string text;
  while (pieces.next()) {
    text += pieces.piece();
    if (text.size() > most_whole_bytes)
      throw InputError(path, 0,
                       "is longer than " + std::to_string(most_whole_bytes >> 20) +
                           " MiB, which no file of this kind is");
  }
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

}  // namespace nablabragg::io
