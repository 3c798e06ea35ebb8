// A number for bytes, by which inputs are told apart and damage is seen.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

namespace nablabragg::refinement {

/// FNV-1a of 64 bits: against accidents, not against people.
class Digest {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes)
      value_ = (value_ ^ static_cast<unsigned char>(c)) * std::uint64_t{1099511628211U};
  }
  template <class Number>
  void add_number(Number x) {
    const auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(x);
    add({bytes.data(), bytes.size()});
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 14695981039346656037U;
};

}  // namespace nablabragg::refinement
