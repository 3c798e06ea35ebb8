// What `perf script` prints of `perf record -g`: samples with their call chains.
#pragma once
#include <string>
#include <string_view>
#include "inventory/profile.hpp"

namespace nablabragg::inventory {

/// A sample weighs its period, or 1 where perf was asked for none.  `file` is for messages: throws
/// InputError, naming the line.
Profile parse_perf_script(std::string_view text, const std::string& file);

}  // namespace nablabragg::inventory
