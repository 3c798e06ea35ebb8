// Text files as lines with numbers, lines as words, words as numbers.  What the columns mean is
// the readers' business.
#pragma once
#include <charconv>  // for std::from_chars
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>  // for std::move
#include "io/input_bytes.hpp"

namespace nablabragg::io {

/// A text file piece by piece: whole lines, as many as a large buffer holds.
class TextPieces {
 public:
  explicit TextPieces(Input input) : input_(std::move(input)) {}

  /// False after the last piece.  Throws InputError when the file cannot be read or is no text: at
  /// once where it holds bytes that no text has or a line without end, behind the last piece where
  /// lines do not end as they should.
  bool next();

  /// Ends with a newline or, the last one, before a zero.  A UTF-8 byte order mark is dropped.
  std::string_view piece() const { return std::string_view(buffer_).substr(0, used_); }
  /// Lines before the piece.
  long lines_before() const { return lines_before_; }
  /// Of the file, where it is known beforehand; else 0.
  std::uint64_t known_bytes() const { return input_.known_bytes(); }
  const std::string& path() const { return input_.path(); }

 private:
  void read_more(std::size_t bytes);

  Input input_;
  std::string buffer_;     ///< the piece and what was read behind it
  std::size_t used_ = 0;   ///< bytes of the piece
  std::size_t bytes_ = 0;  ///< read so far
  long lines_before_ = 0;
  long stray_return_ = 0;  ///< the first line with one; 0: none
  bool at_end_ = false;
};

/// The whole file.  Throws like Input and TextPieces.
std::string read_text(const std::string& path);

std::size_t count_newlines(std::string_view text);

/// The number, from 1, of the line that holds the byte at `offset`.
long line_at(std::string_view text, std::size_t offset);

/// Goes through a text line by line; accepts CR LF and a last line without a newline.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  /// False after the last line.
  bool next() {
    if (rest_.empty()) return false;
    const std::size_t end = rest_.find('\n');
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    while (line_.ends_with('\r')) line_.remove_suffix(1);
    ++number_;
    return true;
  }
  std::string_view line() const { return line_; }
  /// From 1.
  long number() const { return number_; }

 private:
  std::string_view rest_, line_;
  long number_ = 0;
};

inline std::string_view without_comment(std::string_view line) {
  return line.substr(0, line.find('#'));
}

/// Takes the next word off `rest`; empty when there is none.  White space separates words, and so
/// does each character of `punctuation`.
inline std::string_view next_word(std::string_view& rest, std::string_view punctuation = {}) {
  const auto separates = [punctuation](char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || punctuation.find(c) != std::string_view::npos;
  };
  std::size_t begin = 0;
  while (begin < rest.size() && separates(rest[begin])) ++begin;
  std::size_t end = begin;
  while (end < rest.size() && !separates(rest[end])) ++end;
  const std::string_view word = rest.substr(begin, end - begin);
  rest.remove_prefix(end);
  return word;
}

/// The word as a number when all of it is one: "+1.5" and "nan" are, "1.5x", "" and "1e999" are
/// not.
template <class Number>
std::optional<Number> parse_number(std::string_view word) {
  if (word.starts_with('+') && !word.starts_with("+-")) word.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

/// A finite number; throws InputError for anything else, calling it `name`.
double finite_number(const std::string& path, long line, const std::string& name,
                     std::string_view word);

}  // namespace nablabragg::io
