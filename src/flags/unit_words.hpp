// Units that are part of a flag's word: -energy_keV, -pixel_um.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include "flags/flags.hpp"

namespace nablabragg::flags {

struct UnitWord {
  std::string_view flag;   ///< the spelling that the word begins with
  std::string_view given;  ///< the unit in the word
  std::string_view taken;  ///< the unit of the flag's numbers; empty: they have none
  /// What turns the one into the other; empty: nothing does.
  std::optional<double> factor;
};

/// The unit of a flag's numbers; empty where they have none.
std::string unit_of(const Flag& flag);

/// The unit that a word says beside the flag which it means; empty: none.
std::optional<UnitWord> unit_in_word(const Flag& flag, std::string_view word);

/// "'-energy_keV' says keV ...": a sentence for a unit that is no help; empty: the flag's own.
std::string unit_problem(const UnitWord& unit, std::string_view word);

/// A sentence for a unit that stands behind the value of a flag and is not the flag's own; empty:
/// the word is no such unit.
std::string problem_of_unit_behind(const Flag& flag, std::string_view word);

}  // namespace nablabragg::flags
