// Quirks as users name them.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/quirks.hpp"

namespace nablabragg::description {

/// {"corrected"}, {"compat"}, or the identifiers of those that are on: {"Q-01", "Q-30"}.
std::vector<std::string> names_of(const Quirks& quirks);

/// The inverse; empty where one of the names is none.
std::optional<Quirks> quirks_named(std::span<const std::string> names);

/// What a message says that a mode is.
inline constexpr const char* mode_kind = R"("corrected", "compat" or identifiers such as "Q-01")";

}  // namespace nablabragg::description
