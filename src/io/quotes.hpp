// Words of others in our messages and files: the one place that makes them fit to be printed.
// C++17, for the readers behind gemmi.
#pragma once
#include <cstddef>  // for std::size_t
#include <string>
#include <string_view>

namespace nablabragg::io {

/// On one line, and without what a terminal acts on: UTF-8 is kept; control characters, marks that
/// turn the direction of writing, and bytes that are no UTF-8 become \n, \t or \x1b.
std::string printable(std::string_view text);

/// The beginning, of no more bytes than `most`, "..." included; no character is cut in two.
std::string shortened(std::string_view text, std::size_t most);

/// What a file holds: printable, in quotation marks, shortened.
std::string in_quotes(std::string_view text);

/// What a file is called: printable, in quotation marks, whole.
std::string quoted_name(std::string_view path);

}  // namespace nablabragg::io
