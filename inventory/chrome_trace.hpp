// Traces in Chrome's format, as `nablabragg -profile FILE` writes them.
#pragma once
#include <string>
#include <string_view>
#include "inventory/profile.hpp"

namespace nablabragg::inventory {

/// Complete events ("ph": "X"); those of a thread lie inside one another or apart.  `file` is for
/// messages: throws InputError.
Profile parse_chrome_trace(std::string_view text, const std::string& file);

}  // namespace nablabragg::inventory
