// The files of valgrind --tool=callgrind, with or without --dump-instr=yes.
#pragma once
#include <string>
#include <string_view>
#include "inventory/profile.hpp"

namespace nablabragg::inventory {

/// The first event of the file counts (Ir: instructions).  `file` is for messages: throws
/// InputError, naming the line.
Profile parse_callgrind(std::string_view text, const std::string& file);

}  // namespace nablabragg::inventory
