#include "flags/unit_words.hpp"

#include <algorithm>
#include <array>

namespace nablabragg::flags {

namespace {

enum class Kind { length, energy, angle, time, share, pixels };

struct Unit {
  std::string_view name;
  Kind kind;
  double size;  ///< in the kind's first unit
};

constexpr std::array units = {
    // Sizes whose quotients are exact where they can be: in nanometres, eV, milliradians...
    Unit{"nm", Kind::length, 1},
    Unit{"pm", Kind::length, 1e-3},
    Unit{"A", Kind::length, 0.1},
    Unit{"Ang", Kind::length, 0.1},
    Unit{"Angstrom", Kind::length, 0.1},
    Unit{"Angstroms", Kind::length, 0.1},
    Unit{"um", Kind::length, 1e3},
    Unit{"micron", Kind::length, 1e3},
    Unit{"microns", Kind::length, 1e3},
    Unit{"mm", Kind::length, 1e6},
    Unit{"cm", Kind::length, 1e7},
    Unit{"m", Kind::length, 1e9},
    Unit{"eV", Kind::energy, 1},
    Unit{"keV", Kind::energy, 1e3},
    Unit{"MeV", Kind::energy, 1e6},
    Unit{"mrad", Kind::angle, 1},
    Unit{"urad", Kind::angle, 1e-3},
    Unit{"rad", Kind::angle, 1e3},
    Unit{"deg", Kind::angle, 17.453292519943295},
    Unit{"degree", Kind::angle, 17.453292519943295},
    Unit{"degrees", Kind::angle, 17.453292519943295},
    Unit{"s", Kind::time, 1},
    Unit{"sec", Kind::time, 1},
    Unit{"ms", Kind::time, 1e-3},
    Unit{"us", Kind::time, 1e-6},
    Unit{"min", Kind::time, 60},
    Unit{"percent", Kind::share, 1},
    Unit{"px", Kind::pixels, 1},
    Unit{"pix", Kind::pixels, 1},
    Unit{"pixel", Kind::pixels, 1},
    Unit{"pixels", Kind::pixels, 1},
};

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

/// As it is written; else whatever the case, which tells mm from Mm only where both are units.
const Unit* unit_named(std::string_view name) {
  for (const Unit& unit : units)
    if (unit.name == name) return &unit;
  for (const Unit& unit : units)
    if (same_letters(unit.name, name)) return &unit;
  return nullptr;
}

/// Of the numbers that a flag takes, where all have one.
const Unit* taken_by(const Flag& flag) {
  const std::string_view first = flag.spellings.front();
  if (first == "-cell") return unit_named("Angstrom");
  if (first == "-pix0_vector") return unit_named("m");
  return unit_named(flag.values.substr(0, flag.values.find(' ')));
}

}  // namespace

std::string unit_of(const Flag& flag) {
  const Unit* const unit = taken_by(flag);
  return unit ? std::string(unit->name) : std::string();
}

std::optional<UnitWord> unit_in_word(const Flag& flag, std::string_view word) {
  if (word.starts_with("--")) word.remove_prefix(1);
  std::string_view spelling;
  for (const std::string_view each : flag.spellings)
    if (word.starts_with(each) && each.size() > spelling.size()) spelling = each;
  std::string_view rest = word.substr(spelling.size());
  const bool apart = rest.starts_with('_') || rest.starts_with('-');
  if (apart) rest.remove_prefix(1);
  // One letter may be the flag's plural, or the next one of its name.
  if (rest.empty() || (!apart && rest.size() < 2)) return std::nullopt;
  const Unit* const given = unit_named(rest);
  if (!given) return std::nullopt;
  const Unit* const taken = taken_by(flag);
  UnitWord out{spelling, given->name, taken ? taken->name : "", std::nullopt};
  if (!taken) return out;
  const bool several = flag.most > 1;
  if (given->kind == taken->kind && (!several || given->size == taken->size))
    out.factor = given->size >= taken->size ? given->size / taken->size
                                            : 1 / (taken->size / given->size);
  return out;
}

std::string unit_problem(const UnitWord& unit, std::string_view word) {
  if (unit.factor == 1) return {};
  const std::string takes = unit.taken.empty() ? " is no number of " + std::string(unit.given)
                                               : " takes " + std::string(unit.taken);
  return std::string(word) + " says " + std::string(unit.given) + ", and " +
         std::string(unit.flag) + takes;
}

std::string problem_of_unit_behind(const Flag& flag, std::string_view word) {
  const Unit *const given = unit_named(word), *const taken = taken_by(flag);
  if (!given || flag.fewest == 0) return {};
  if (taken && given->kind == taken->kind && given->size == taken->size) return {};
  const std::string name(flag.spellings[0]);
  const std::string problem = '\'' + std::string(word) + "' follows the value of " + name;
  if (!taken) return problem + ", which has no unit; leave it out";
  return problem + ", which is in " + std::string(taken->name) + "; leave it out" +
         (given->kind == taken->kind && flag.most == 1
              ? ", or write " + name + '_' + std::string(given->name)
              : "");
}

}  // namespace nablabragg::flags
