// The conventions by the names of their flags.
#pragma once
#include <array>
#include <optional>
#include <string_view>
#include <utility>                  // for std::pair
#include "nablabragg/detector.hpp"  // for Convention

namespace nablabragg {

inline constexpr std::array<std::pair<Convention, const char*>, 6> convention_names{
    {{Convention::adxv, "adxv"},
     {Convention::mosflm, "mosflm"},
     {Convention::denzo, "denzo"},
     {Convention::xds, "xds"},
     {Convention::dials, "dials"},
     {Convention::custom, "custom"}}};

constexpr std::string_view name_of(Convention convention) {
  for (const auto& [each, name] : convention_names)
    if (each == convention) return name;
  return {};
}

constexpr std::optional<Convention> convention_named(std::string_view text) {
  for (const auto& [each, name] : convention_names)
    if (name == text) return each;
  return std::nullopt;
}

}  // namespace nablabragg
