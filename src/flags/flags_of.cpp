#include "flags/flags_of.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "description/fields.hpp"
#include "flags/command_line.hpp"
#include "model/panel.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::flags {

namespace {

using description::FieldFlags;
using description::FlagRule;

/// "-pivot beam" is two arguments.
void append_arguments(std::vector<std::string>& arguments, std::string_view text) {
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    arguments.emplace_back(text.substr(0, space));
    text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  }
}

/// A value's numbers as arguments; what is left open has none.
template <class T>
void append_numbers(std::vector<std::optional<std::string>>& numbers, const T& value) {
  if constexpr (description::is_optional<T>) {
    if (value)
      append_numbers(numbers, *value);
    else
      numbers.emplace_back();
  } else if constexpr (requires { value.first; }) {
    append_numbers(numbers, value.first);
    append_numbers(numbers, value.second);
  } else if constexpr (std::is_arithmetic_v<T>) {
    numbers.emplace_back(fmt::format("{}", value));
  } else {
    std::apply([&](const auto&... member) { (append_numbers(numbers, member), ...); },
               description::members(value));
  }
}

/// The arguments that set a field to `value`.
template <class T>
std::vector<std::string> arguments_of(const FieldFlags& flags, const T& value) {
  std::vector<std::string> arguments;
  if constexpr (description::is_optional<T>) {
    if (value) return arguments_of(flags, *value);
  } else if constexpr (std::is_same_v<T, bool>) {
    append_arguments(arguments, flags.list[value ? 1 : 0]);
  } else if constexpr (std::is_enum_v<T>) {
    append_arguments(arguments, flags.list[static_cast<std::size_t>(value)]);
  } else {
    std::vector<std::optional<std::string>> numbers;
    append_numbers(numbers, value);
    if (flags.count == 1) {
      append_arguments(arguments, flags.list[0]);
      for (const auto& number : numbers)
        if (number) arguments.push_back(*number);
    } else {
      for (std::size_t i = 0; i < flags.count; ++i) {
        if (!numbers[i] || flags.list[i].empty()) continue;
        append_arguments(arguments, flags.list[i]);
        arguments.push_back(*numbers[i]);
      }
    }
  }
  return arguments;
}

template <class T>
inline constexpr bool
    flags_can_hold = !description::is_vector<T> &&
                     !std::is_same_v<T, std::shared_ptr<const Mask>> &&
                     !std::is_same_v<T, std::shared_ptr<const StructureFactorGrid>> &&
                     !std::is_same_v<T, Quirks> && !std::is_same_v<T, std::string>;

template <class T>
bool are_whole(const T&) {
  return true;
}
bool are_whole(const Vec3d& v) {
  const auto whole = [](double x) { return std::nearbyint(x) == x; };
  return whole(v.x) && whole(v.y) && whole(v.z);
}

/// -more_crystal takes cells that are whole, and a mosaic spread behind them.
bool can_be_given(const FurtherCrystal& crystal) {
  return crystal.cells ? are_whole(*crystal.cells) : !crystal.mosaic_spread_deg;
}

/// What puts these crystals in the place of those that are there.
std::vector<std::string> arguments_of(const std::vector<FurtherCrystal>& crystals,
                                      bool there_are_some) {
  std::vector<std::string> arguments;
  if (there_are_some) arguments.emplace_back("-one_crystal");
  for (const FurtherCrystal& crystal : crystals) {
    std::vector<std::optional<std::string>> numbers;
    append_numbers(numbers, crystal.misset_deg);
    append_numbers(numbers, crystal.weight);
    if (crystal.cells) append_numbers(numbers, *crystal.cells);
    if (crystal.cells) append_numbers(numbers, crystal.mosaic_spread_deg);
    arguments.emplace_back("-more_crystal");
    for (const auto& number : numbers)
      if (number) arguments.push_back(*number);
  }
  return arguments;
}

/// Whether the flags can be given at all.
template <class T>
bool can_be_given(const FieldFlags& flags, const T& value, const Experiment& target) {
  switch (flags.rule) {
    case FlagRule::always:
      return flags.count > 0;
    case FlagRule::whole_numbers:
      return are_whole(value);
    case FlagRule::custom_frame:
      return target.detector.convention == Convention::custom;
    case FlagRule::file:
      break;
  }
  return false;
}

/// default_F is what a file's table gets where the file has nothing.
bool fills_table(std::string_view name, const Experiment& target) {
  return name == "default_F" && target.structure_factors.grid;
}

std::string why_not_in_flags(const std::string& name, const FieldFlags& flags,
                             const Experiment& target) {
  std::string all;
  for (std::size_t i = 0; i < flags.count; ++i)
    if (!flags.list[i].empty()) all.append(all.empty() ? "" : ", ").append(flags.list[i]);
  if (name == "more_crystals")
    return name + ": -more_crystal takes whole numbers of cells, and a mosaic spread behind them";
  if (name == "materials")
    return "materials: -background, -air and -ice add matter as it was, and no flag changes it";
  if (flags.count == 0) return name + " has no flag";
  if (fills_table(name, target))
    return name + ": " + all + " would fill the gaps of the table, too";
  if (flags.rule == FlagRule::file)
    return name + " is stated by a file (" + all + "), and this one is not the file's";
  if (flags.rule == FlagRule::whole_numbers) return name + ": " + all + " take whole numbers only";
  if (flags.rule == FlagRule::custom_frame && target.detector.convention != Convention::custom)
    return name + ": " + all + " would choose the custom convention, which is not this model's";
  return name + " is another one than " + all + " state together with the other flags";
}

/// To the last few bits: unit vectors are made again whenever they are read.
bool nearly(double a, double b) {
  constexpr double few_bits = 8 * std::numeric_limits<double>::epsilon();
  return a == b || std::abs(a - b) <= few_bits * std::max({std::abs(a), std::abs(b), 1e-3});
}

/// Calls visit(name, row, a's part, b's part) for each field of two parts, and of the parts in
/// them.
template <class Part, class Visit>
void for_each_pair(const Part& a, const Part& b, const std::string& prefix, Visit& visit) {
  description::for_each_field<Part>([&](const auto& row) {
    using Value = typename std::remove_cvref_t<decltype(row)>::Type;
    if constexpr (description::HasFields<Value> && !description::is_range<Value>)
      for_each_pair(a.*row.members[0], b.*row.members[0], std::string(row.name) + '.', visit);
    else
      visit(row.parameter ? row.parameter : prefix + row.name, row, a, b);
  });
}

/// What the arguments come to, with the files that they name as another experiment has them.
Experiment stated(std::span<const std::string> arguments, const Experiment& files) {
  const Request request = parse_command_line(arguments);
  Experiment e = request.experiment;
  // A random orientation without a seed of its own is another one in every run.
  if (request.random_misset) e.crystal.random_misset_seed = request.misset_seed;
  e.crystal.mosflm_matrix = files.crystal.mosflm_matrix;
  e.structure_factors.grid = files.structure_factors.grid;
  e.structure_factors.stated_cell = files.structure_factors.stated_cell;
  e.structure_factors.stated_wavelength_A = files.structure_factors.stated_wavelength_A;
  e.beam.sources = files.beam.sources;
  e.materials = files.materials;
  return e;
}

/// Settled, and with the pivot that a convention stands for.
Experiment settled_with_pivot(const SettledExperiment& settled) {
  Experiment e = settled.experiment();
  e.detector.pivot = settled.resolved().panel.pivot;
  return e;
}

}  // namespace

FlagsOf flags_of(const SettledExperiment& experiment, std::span<const std::string> arguments,
                 const Experiment& files) {
  const Experiment target = settled_with_pivot(experiment);
  FlagsOf out;
  std::vector<std::string> all(arguments.begin(), arguments.end());
  const auto append = [&](const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
    out.flags.insert(out.flags.end(), more.begin(), more.end());
  };

  // Flags touch each other's fields (-distance chooses a pivot), so that what they come to is
  // looked at again.
  constexpr int passes = 3;
  for (int pass = 0; pass < passes; ++pass) {
    const Experiment given = stated(all, files);
    const Experiment now = settled_with_pivot(given);
    bool changed = false;
    const auto append_flags = [&](const std::string&, const auto& row, const auto& want,
                                  const auto& have) {
      using Value = typename std::remove_cvref_t<decltype(row)>::Type;
      if constexpr (flags_can_hold<Value>) {
        const Value value = row.get(want);
        if (description::same_value(value, row.get(have)) ||
            !can_be_given(row.flags, value, target) || fills_table(row.name, target))
          return;
        const std::vector<std::string> of_field = arguments_of(row.flags, value);
        // Sizes replace the numbers of cells and of blocks.
        const bool of_blocks = given.crystal.block_size_mm != 0;
        const std::string_view name = row.name;
        if ((name == "cells" || (name == "blocks" && of_blocks)) &&
            !(given.crystal.size_mm == Vec3d{}))
          append({"-xtal_size", "0"});
        if ((name == "cells" || name == "blocks") && of_blocks) append({"-block_size", "0"});
        append(of_field);
        changed |= !of_field.empty();
      }
    };
    for_each_pair(target, now, "", append_flags);
    if (!description::same_value(target.more_crystals, now.more_crystals) &&
        std::ranges::all_of(target.more_crystals,
                            [](const FurtherCrystal& c) { return can_be_given(c); })) {
      append(arguments_of(target.more_crystals, !now.more_crystals.empty()));
      changed = true;
    }
    // A normal that follows from the axes
    if (!target.detector.normal && now.detector.normal) {
      Panel panel;
      model::detail::set_axes(target, target.detector, panel);
      model::detail::set_normal(target.detector, target.quirks.custom_normal_kept, panel);
      append(arguments_of(FieldFlags{{"-odet_vector"}, 1}, panel.normal));
      changed = true;
    }
    if (!changed) break;
  }

  const Experiment now = settled_with_pivot(stated(all, files));
  const auto name_difference = [&](const std::string& name, const auto& row, const auto& want,
                                   const auto& have) {
    if (!description::same_value(row.get(want), row.get(have), nearly))
      out.not_in_flags.push_back(why_not_in_flags(name, row.flags, target));
  };
  for_each_pair(target, now, "", name_difference);
  return out;
}

}  // namespace nablabragg::flags
