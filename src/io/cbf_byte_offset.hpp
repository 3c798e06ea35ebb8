// CBF's byte-offset compression: each number is the difference to the one before, in one byte where
// it fits, else in 2, 4 or 8 that follow the smallest value of the next shorter ones.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::io {

/// Appends the compressed numbers.
void compress_byte_offset(std::span<const std::int32_t> numbers, std::string& bytes);

/// So many numbers of a type that holds least to most; sums wrap around at 32 bits, as those of
/// programs do that compute in them.  Empty where the bytes end early or a number is outside.  Each
/// number takes at least a byte, so no more memory is taken than eight times what `bytes` has.
std::optional<std::vector<double>> expand_byte_offset(std::string_view bytes, std::size_t count,
                                                      std::int64_t least, std::int64_t most);

}  // namespace nablabragg::io
