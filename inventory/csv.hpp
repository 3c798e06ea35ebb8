// Tables of comma-separated values (RFC 4180): what we write, and reading that back.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::inventory {

/// A line with its end.  Fields are printable (io/quotes.hpp), and quoted where they need it.
std::string csv_line(const std::vector<std::string>& fields);

/// Lines of fields.  Throws InputError, naming `file`, for a quotation that does not end.
std::vector<std::vector<std::string>> parse_csv(std::string_view text, const std::string& file);

}  // namespace nablabragg::inventory
