// Tables of comma-separated values (RFC 4180): what we write, and reading that back.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::inventory {

/// A line with its end.  Fields are quoted where they need it; line breaks in them become blanks,
/// bytes beyond ASCII question marks.
std::string csv_line(const std::vector<std::string>& fields);

/// Lines of fields.  Throws InputError, naming `file`, for a quotation that does not end.
std::vector<std::vector<std::string>> parse_csv(std::string_view text, const std::string& file);

/// Bytes beyond ASCII as question marks.
std::string ascii(std::string_view text);

}  // namespace nablabragg::inventory
