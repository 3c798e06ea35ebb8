// The header of a loop: its text, and how many turns it takes.
#pragma once
#include <clang-c/Index.h>

#include <optional>
#include <string>

namespace nablabragg::inventory {

/// The text from `begin` to the ')' that closes the first '('; no further than `end`, which is
/// not known of what a macro makes.
std::string up_to_closing(const std::string& text, std::size_t begin, std::size_t end);

/// Of `for (int i = A; i < B; ++i)` with constants A and B.
std::optional<long> trips_of_for(CXCursor loop, const std::string& header);

/// Of `for (x : array)` with an array or std::array of known length.
std::optional<long> trips_of_range(CXCursor loop);

}  // namespace nablabragg::inventory
