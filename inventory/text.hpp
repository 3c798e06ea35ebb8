// Pieces of text that several reports and readers need.
#pragma once
#include <cstddef>  // for std::size_t
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nablabragg::inventory {

/// Printable (io/quotes.hpp), with ? for each byte that is no ASCII, as all files of the inventory
/// are.
std::string ascii(std::string_view text);

/// Blanks and line ends become one blank, the rest is ascii(); at most `limit` bytes.
std::string one_line(const std::string& text, std::size_t limit = 120);

/// The same for a cell of a Markdown table, which a bar would end.
std::string cell(const std::string& text, std::size_t limit = 400);

/// With or without 0x; nothing, if the word is more or less than a hexadecimal number.
std::optional<std::uint64_t> hexadecimal(std::string_view word);

/// A file of this text, whole or not at all.  Throws OutputError.
void write_text(const std::string& path, const std::string& text);

}  // namespace nablabragg::inventory
