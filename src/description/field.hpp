// What one row of the table of fields (fields.hpp) says, and the walks over values that all uses of
// the table share.
#pragma once
#include <algorithm>  // for std::ranges::equal
#include <array>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#include "nablabragg/conventions.hpp"
#include "nablabragg/experiment.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::description {

/// One unit for all numbers of a field, or one for each.
struct Units {
  std::array<const char*, 6> list{};
  std::size_t count = 0;

  constexpr Units(const char* of_all) : list{of_all}, count(1) {}
  constexpr Units(std::initializer_list<const char*> of_each) {
    for (const char* unit : of_each) list[count++] = unit;
  }
  constexpr const char* of(std::size_t number) const { return list[count == 1 ? 0 : number]; }
};

/// Which numbers a field takes; NaN never is one.  The words say what a number outside may be.
struct Range {
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  double from = -infinity, to = infinity;
  bool without_from = false;  ///< from itself is outside
  bool or_infinity = false;
  bool or_zero = false;    ///< which says that there is none
  bool direction = false;  ///< of vectors: any but that of length zero
  const char *below = "", *above = "";
  const Range* angles = nullptr;  ///< of unit cells: that of the angles

  constexpr bool holds(double x) const {
    if (x == infinity || x == -infinity) return or_infinity && x > 0;
    if (or_zero && x == 0) return true;
    return (without_from ? x > from : x >= from) && x <= to;
  }
  constexpr bool bounded() const { return from > -infinity || to < infinity; }
};
inline constexpr Range positive{.from = 0, .without_from = true};
inline constexpr Range not_negative{.from = 0};
inline constexpr Range at_least_one{.from = 1};
inline constexpr Range a_direction{.direction = true};

/// What has to hold for a flag to say a field.
enum class FlagRule {
  always,
  whole_numbers,  ///< the flags take no other ones
  custom_frame,   ///< the flag chooses the custom convention, so it is for that one alone
  file            ///< the flag names a file that holds the field
};

/// How the command line sets a field: one flag for all of its numbers or one for each ("" for a
/// number that none sets); where it is a choice, a flag for each possibility in their order, no
/// and yes for a bool, "" for what needs none.
struct FieldFlags {
  std::array<std::string_view, 6> list{};
  std::size_t count = 0;
  FlagRule rule = FlagRule::always;
};

/// What a row says of its field, whatever the type of the values: code that asks no more than this
/// is compiled once and not for each field.
struct FieldFacts {
  const char* name;  ///< in Python and in JSON
  Units units;
  const char* help;
  FieldFlags flags{};
  const char* parameter = nullptr;                ///< null: images have no derivative by it
  bool (*exists)(const Experiment& e) = nullptr;  ///< as a parameter; null: where it has a value
  Range range{};                                  ///< outside, no experiment
  Range usual{};                                  ///< outside, most likely a mistake of the unit
  std::array<const char*, 2> of_both{};           ///< of two members, what each of them is
};

/// One field of a part.  Two members where users think of them as one.
template <class Part, class Value, std::size_t members_of_it>
struct Field : FieldFacts {
  static constexpr bool is_pair = members_of_it == 2;
  using Member = Value;
  using Type = std::conditional_t<is_pair, std::pair<Value, Value>, Value>;

  std::array<Value Part::*, members_of_it> members;

  /// The numbers that it takes; of a range that is sampled, its width and step.
  constexpr Field within(const Range& range_of_it) const {
    Field out = *this;
    out.range = range_of_it;
    return out;
  }
  constexpr Field usually(const Range& range_of_it) const {
    Field out = *this;
    out.usual = range_of_it;
    return out;
  }
  /// The flags that set it.
  constexpr Field by(std::initializer_list<std::string_view> flags_of_it,
                     FlagRule rule = FlagRule::always) const {
    return by(std::span(flags_of_it.begin(), flags_of_it.size()), rule);
  }
  constexpr Field by(std::span<const std::string_view> flags_of_it,
                     FlagRule rule = FlagRule::always) const {
    Field out = *this;
    for (const std::string_view flag : flags_of_it) out.flags.list[out.flags.count++] = flag;
    out.flags.rule = rule;
    return out;
  }
  /// A parameter, by its own name or another one.
  constexpr Field differentiable(bool (*where)(const Experiment&) = nullptr) const {
    return differentiable_as(name, where);
  }
  constexpr Field differentiable_as(const char* other_name,
                                    bool (*where)(const Experiment&) = nullptr) const {
    Field out = *this;
    out.parameter = other_name;
    out.exists = where;
    return out;
  }

  constexpr Type get(const Part& part) const {
    if constexpr (is_pair)
      return {part.*members[0], part.*members[1]};
    else
      return part.*members[0];
  }
  void set(Part& part, Type value) const {
    if constexpr (is_pair)
      std::tie(part.*members[0], part.*members[1]) = std::move(value);
    else
      part.*members[0] = std::move(value);
  }
};

template <class Part, class Value>
constexpr Field<Part, Value, 1> field(const char* name, Value Part::*member, Units units,
                                      const char* help) {
  return {{name, units, help}, {member}};
}
template <class Part, class Value>
constexpr Field<Part, Value, 2> field(const char* name, std::array<const char*, 2> of_both,
                                      Value Part::*first, Value Part::*second, Units units,
                                      const char* help) {
  Field<Part, Value, 2> both{{name, units, help}, {first, second}};
  both.of_both = of_both;
  return both;
}

/// `rows`: the fields of a part, in fields.hpp.
template <class Part>
struct Fields;

template <class Part>
concept HasFields = requires {
  Fields<std::remove_const_t<Part>>::rows;
};

template <class Part>
constexpr const auto& rows_of() {
  return Fields<std::remove_const_t<Part>>::rows;
}

template <class Part>
inline constexpr std::size_t
    row_count = std::tuple_size_v<std::remove_cvref_t<decltype(rows_of<Part>())>>;

/// Calls f(i) with each index below `count`, as a constant.
template <std::size_t count, class F>
constexpr void for_each_index(F&& f) {
  [&]<std::size_t... i>(std::index_sequence<i...>) {
    (f(std::integral_constant<std::size_t, i>()), ...);
  }
  (std::make_index_sequence<count>());
}

/// Calls f(row) with each field of a part.
template <class Part, class F>
constexpr void for_each_field(F&& f) {
  std::apply([&](const auto&... row) { (f(row), ...); }, rows_of<Part>());
}

// ---- Values -------------------------------------------------------------------------------------

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
/// Parts of an experiment, not plain numbers.
template <class T>
inline constexpr bool is_list_of_parts = false;
template <class T>
inline constexpr bool is_list_of_parts<std::vector<T>> = !std::is_arithmetic_v<T>;
template <class T>
inline constexpr bool is_range = false;
template <class Real>
inline constexpr bool is_range<SampledRange<Real>> = true;
template <class T>
inline constexpr bool is_array = false;  ///< std::array, which is an aggregate and no struct
template <class T, std::size_t n>
inline constexpr bool is_array<std::array<T, n>> = true;

struct AnyValue {
  template <class T>
  operator T() const;
};
/// How many members a plain struct has: as many as can be given to it.
template <class T, class... Values>
consteval std::size_t count_members() {
  if constexpr (requires { T{Values()..., AnyValue()}; })
    return count_members<T, Values..., AnyValue>();
  else
    return sizeof...(Values);
}

/// The members of a small struct.  One with another number of members does not compile here.
template <class T>
constexpr auto members(T& value) {
  constexpr std::size_t count = count_members<std::remove_const_t<T>>();
  if constexpr (count == 3) {
    auto& [a, b, c] = value;
    return std::tie(a, b, c);
  } else if constexpr (count == 4) {
    auto& [a, b, c, d] = value;
    return std::tie(a, b, c, d);
  } else {
    auto& [a, b, c, d, e, f] = value;
    return std::tie(a, b, c, d, e, f);
  }
}

/// Calls f with each number of a value: of a range its width, of what is left open none.
template <class T, class F>
void for_each_number(T& value, F&& f) {
  using Plain = std::remove_const_t<T>;
  if constexpr (is_optional<Plain>) {
    if (value) for_each_number(*value, f);
  } else if constexpr (is_range<Plain>) {
    for_each_number(value.range, f);
  } else if constexpr (std::is_aggregate_v<Plain>) {
    std::apply([&](auto&... member) { (for_each_number(member, f), ...); }, members(value));
  } else {
    f(value);
  }
}

/// The extents of a value's numbers: {} of one, {3} of a vector, {3, 3} of a matrix.
template <class T>
std::vector<std::size_t> shape_of() {
  if constexpr (is_optional<T>) {
    return shape_of<typename T::value_type>();
  } else if constexpr (std::is_aggregate_v<T> && !is_range<T>) {
    std::vector<std::size_t> shape{count_members<T>()};
    T value{};
    auto all = members(value);
    const auto inner = shape_of<std::remove_reference_t<std::tuple_element_t<0, decltype(all)>>>();
    shape.insert(shape.end(), inner.begin(), inner.end());
    return shape;
  } else {
    return {};
  }
}

/// Whether two values are the same, where same(a, b) decides about real numbers.
template <class T, class Same>
bool same_value(const T& a, const T& b, const Same& same) {
  if constexpr (std::is_same_v<T, double>) {
    return same(a, b);
  } else if constexpr (is_optional<T>) {
    return a.has_value() == b.has_value() && (!a || same_value(*a, *b, same));
  } else if constexpr (is_vector<T>) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
      if (!same_value(a[i], b[i], same)) return false;
    return true;
  } else if constexpr (std::is_same_v<T, std::shared_ptr<const StructureFactorGrid>>) {
    return a == b || (a && b && a->min() == b->min() && a->max() == b->max() &&
                      std::ranges::equal(a->values(), b->values(), [&](double x, double y) {
                        return same_value(x, y, same);
                      }));
  } else if constexpr (std::is_same_v<T, std::shared_ptr<const Mask>>) {
    return a == b || (a && b && a->fast_pixels == b->fast_pixels &&
                      a->slow_pixels == b->slow_pixels && a->keep == b->keep);
  } else if constexpr (requires { a.first; }) {
    return same_value(a.first, b.first, same) && same_value(a.second, b.second, same);
  } else if constexpr (HasFields<T>) {
    bool all = true;
    for_each_field<T>([&](const auto& row) { all &= same_value(row.get(a), row.get(b), same); });
    return all;
  } else if constexpr (std::is_aggregate_v<T> && !std::is_same_v<T, Quirks>) {
    const auto of_a = members(a), of_b = members(b);
    bool all = true;
    for_each_index<std::tuple_size_v<decltype(members(a))>>(
        [&](auto i) { all &= same_value(std::get<i>(of_a), std::get<i>(of_b), same); });
    return all;
  } else {
    return a == b;
  }
}

/// The same to the last bit, but for the sign of zero.
template <class T>
bool same_value(const T& a, const T& b) {
  return same_value(a, b, [](double x, double y) { return x == y || (x != x && y != y); });
}

// ---- Choices ------------------------------------------------------------------------------------

/// What an enumeration may be, by name.
template <class Enum>
struct Choice {
  Enum value;
  const char* name;
};
template <class Enum>
Choice(Enum, const char*) -> Choice<Enum>;  // clang 14 does not find it by itself
template <class Enum>
struct Choices;  // `all`: an array of Choice<Enum> in the order of the enumeration

template <class... Shape>
constexpr auto choices_of(physics::ShapeList<Shape...>) {
  return std::array{Choice{Shape::id, Shape::name}...};
}
template <>
struct Choices<CrystalShape> {
  static constexpr auto all = choices_of(physics::Shapes());
};
template <>
struct Choices<SpotMetricKind> {
  static constexpr std::array all{Choice{SpotMetricKind::cell, "cell"},
                                  Choice{SpotMetricKind::reciprocal, "reciprocal"},
                                  Choice{SpotMetricKind::round, "round"}};
};
template <>
struct Choices<Convention> {
  static constexpr auto all = std::apply(
      [](const auto&... each) {
        return std::array{Choice{each.first, each.second}...};
      },
      convention_names);
};
template <>
struct Choices<Pivot> {
  static constexpr std::array all{Choice{Pivot::beam, "beam"}, Choice{Pivot::sample, "sample"}};
};
template <>
struct Choices<Distribution> {
  static constexpr std::array all{Choice{Distribution::uniform, "uniform"},
                                  Choice{Distribution::gaussian, "gaussian"}};
};
template <>
struct Choices<Summation> {
  static constexpr std::array all{Choice{Summation::automatic, "auto"},
                                  Choice{Summation::closed, "closed"},
                                  Choice{Summation::sampled, "sampled"}};
};
template <>
struct Choices<MaterialInterpolation> {
  static constexpr std::array all{Choice{MaterialInterpolation::linear, "linear"},
                                  Choice{MaterialInterpolation::cubic, "cubic"},
                                  Choice{MaterialInterpolation::nonbragg, "nonbragg"}};
};
template <>
struct Choices<BlockSizeFixed> {
  static constexpr std::array all{Choice{BlockSizeFixed::edge, "edge"},
                                  Choice{BlockSizeFixed::cells, "cells"}};
};
template <>
struct Choices<DiffuseMotion> {
  static constexpr std::array all{Choice{DiffuseMotion::liquid, "liquid"},
                                  Choice{DiffuseMotion::rigid, "rigid"}};
};
template <>
struct Choices<MaterialProcess> {
  static constexpr std::array all{Choice{MaterialProcess::coherent, "coherent"},
                                  Choice{MaterialProcess::compton, "compton"}};
};
template <>
struct Choices<Interpolation> {
  static constexpr std::array all{Choice{Interpolation::automatic, "automatic"},
                                  Choice{Interpolation::nearest, "nearest"},
                                  Choice{Interpolation::tricubic, "tricubic"}};
};

/// "square", "round", ...: what users may choose from.
template <class Enum>
std::string names_of() {
  std::string names;
  for (const auto& choice : Choices<Enum>::all)
    names.append(names.empty() ? "\"" : ", \"").append(choice.name).append(1, '"');
  return names;
}

}  // namespace nablabragg::description
