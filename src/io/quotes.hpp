// Words of others in our messages and files.  C++17, for the readers behind gemmi.
#pragma once
#include <string>
#include <string_view>

namespace nablabragg::io {

/// For messages: in quotation marks, shortened, without bytes that a terminal would act on.
std::string in_quotes(std::string_view text);

}  // namespace nablabragg::io
