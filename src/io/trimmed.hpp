#pragma once
#include <string_view>

namespace nablabragg::io {

constexpr std::string_view blanks = " \t\r\n\v\f";

/// Without what stands around it.
inline std::string_view trimmed(std::string_view text, std::string_view around = blanks) {
  const std::size_t begin = text.find_first_not_of(around);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(around) - begin + 1);
}

}  // namespace nablabragg::io
