#include "io/cbf_byte_offset.hpp"

#include <algorithm>
#include <bit>  // for std::endian
#include <cstring>
#include <limits>

namespace nablabragg::io {

namespace {

static_assert(std::endian::native == std::endian::little, "as CBF stores differences");

template <class Number>
constexpr Number escape = std::numeric_limits<Number>::min();

template <class Number>
void put(char*& to, std::int64_t value) {
  const auto number = static_cast<Number>(value);
  std::memcpy(to, &number, sizeof number);
  to += sizeof number;
}

/// Whether it is one of the numbers that stand for themselves.
template <class Number>
bool fits(std::int64_t value) {
  return value > escape<Number> && value <= std::numeric_limits<Number>::max();
}

/// Takes a difference of this width; false where there are not enough bytes.
template <class Number>
bool take(std::string_view& bytes, std::int64_t& difference) {
  Number number;
  if (bytes.size() < sizeof number) return false;
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  difference = number;
  return true;
}

bool take_difference(std::string_view& bytes, std::int64_t& difference) {
  if (!take<std::int8_t>(bytes, difference)) return false;
  if (difference != escape<std::int8_t>) return true;
  if (!take<std::int16_t>(bytes, difference)) return false;
  if (difference != escape<std::int16_t>) return true;
  if (!take<std::int32_t>(bytes, difference)) return false;
  if (difference != escape<std::int32_t>) return true;
  return take<std::int64_t>(bytes, difference);
}

}  // namespace

void compress_byte_offset(std::span<const std::int32_t> numbers, std::string& bytes) {
  constexpr std::size_t most_of_one = 15, block = 4096;
  std::uint32_t last = 0;
  for (std::size_t begin = 0; begin < numbers.size(); begin += block) {
    const auto some = numbers.subspan(begin, std::min(block, numbers.size() - begin));
    const std::size_t before = bytes.size();
    bytes.resize(before + most_of_one * some.size());
    char* to = bytes.data() + before;
    for (const std::int32_t number : some) {
      // Around at 32 bits, as readers add it up: not all of them know of eight bytes.
      const auto bits = static_cast<std::uint32_t>(number);
      const std::int64_t difference = static_cast<std::int32_t>(bits - last);
      last = bits;
      if (fits<std::int8_t>(difference)) {
        put<std::int8_t>(to, difference);
        continue;
      }
      put<std::int8_t>(to, escape<std::int8_t>);
      if (fits<std::int16_t>(difference)) {
        put<std::int16_t>(to, difference);
        continue;
      }
      put<std::int16_t>(to, escape<std::int16_t>);
      if (fits<std::int32_t>(difference)) {
        put<std::int32_t>(to, difference);
        continue;
      }
      put<std::int32_t>(to, escape<std::int32_t>);
      put<std::int64_t>(to, difference);
    }
    bytes.resize(static_cast<std::size_t>(to - bytes.data()));
  }
}

std::optional<std::vector<double>> expand_byte_offset(std::string_view bytes, std::size_t count,
                                                      std::int64_t least, std::int64_t most) {
  if (count > bytes.size()) return std::nullopt;
  std::vector<double> numbers(count);
  std::uint32_t sum = 0;
  for (double& number : numbers) {
    std::int64_t difference = 0;
    if (!take_difference(bytes, difference)) return std::nullopt;
    sum += static_cast<std::uint32_t>(difference);
    const std::int64_t value = least < 0 ? std::int64_t{static_cast<std::int32_t>(sum)}
                                         : std::int64_t{sum};
    if (value < least || value > most) return std::nullopt;
    number = static_cast<double>(value);
  }
  return numbers;
}

}  // namespace nablabragg::io
