#include "description/ranges.hpp"

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string_view>

#include "description/digits.hpp"
#include "description/fields.hpp"

namespace nablabragg::description {

namespace {

std::string_view in_words(std::string_view unit) {
  if (unit == "A") return "Angstrom";
  if (unit == "deg") return "degrees";
  return unit;
}
std::string with_unit(double x, const char* unit) {
  const std::string_view words = in_words(unit);
  return digits(x, 6) + (words.empty() ? "" : " ") + std::string(words);
}

/// What the numbers of a vector or cell are called.
template <class T>
std::string name_of_number(std::size_t number) {
  if constexpr (is_optional<T>)
    return name_of_number<typename T::value_type>(number);
  else if constexpr (is_range<T>)
    return std::array{" range", " step", " steps"}[number];
  else if constexpr (std::is_same_v<T, UnitCell>)
    return std::array{" a", " b", " c", " alpha", " beta", " gamma"}[number];
  else if constexpr (std::is_same_v<T, Vec3d>)
    return std::array{" x", " y", " z"}[number];
  else if constexpr (std::is_same_v<T, Mat3d>)
    return " entry " + std::to_string(number + 1);
  else
    return {};
}

constexpr std::size_t every_number = 9;

/// What a number of a field is called besides the field; null: nothing of its own.
using NumberName = std::string (*)(std::size_t number);

template <class Row>
constexpr NumberName number_name_of() {
  return Row::is_pair ? nullptr : NumberName(name_of_number<typename Row::Member>);
}

/// "panel 1: the pixel size (-pixel)"; for a number that there is not, of all of them.
std::string subject(const FieldFacts& row, NumberName name_of, const std::string& where,
                    std::size_t number) {
  std::string name(row.name);
  for (char& c : name)
    if (c == '_') c = ' ';
  const bool of_all = number >= every_number;
  // A flag of its own names a number already.
  if (row.flags.count <= 1 && name_of && !of_all) name += name_of(number);
  std::string text = where + "the " + name;
  const FieldFlags& flags = row.flags;
  if (of_all) number = 0;
  const std::string_view flag = flags.count == 0 ? ""
                                                 : flags.list[flags.count > number ? number : 0];
  if (!flag.empty() && flags.rule != FlagRule::file) text.append(" (").append(flag).append(")");
  return text;
}

/// "the cells (-Na) are", "the phi (-phi) is"
bool is_plural(const FieldFacts& row) {
  const std::string_view name = row.name;
  return name.ends_with('s') && !name.ends_with("is") && !name.ends_with("ss");
}

/// Hears of each number that is outside its range.
using Said = std::function<void(const std::string& what, const Range& range, const char* unit,
                                double x)>;

/// Looks at the numbers of one field.
class FieldLook {
 public:
  FieldLook(const FieldFacts& row, NumberName name_of, bool sampled, const std::string& where,
            const Said& said)
      : row_(row), name_of_(name_of), sampled_(sampled), where_(where), said_(said) {}

  void operator()(double x, std::size_t number, const Range& range) {
    if (range.holds(x)) return;
    ++found_;
    if (last_ == x) return;  // of a cube, whose edges one flag gave
    last_ = x;
    const char* unit = !sampled_ ? row_.units.of(number) : number < 2 ? row_.units.of(0) : "";
    const bool plural = is_plural(row_);
    said_(subject(row_, name_of_, where_, number) + (plural ? " are " : " is ") +
              with_unit(x, unit) + (plural ? "; they " : "; it "),
          range, unit, x);
  }
  void has_length(std::string_view length, const Range& range) const {
    said_(subject(row_, name_of_, where_, every_number) + " has length " + std::string(length) +
              "; it ",
          range, "", 0.0);
  }
  /// How many numbers were outside.
  std::size_t found() const { return found_; }

 private:
  const FieldFacts& row_;
  const NumberName name_of_;
  const bool sampled_;
  const std::string& where_;
  const Said& said_;
  std::size_t found_ = 0;
  std::optional<double> last_;
};

/// Calls f(x, number, range) with each number of a value, whose own range is `range`.
template <class T>
void for_each_checked(const T& value, const Range& range, std::size_t number, FieldLook& look) {
  if constexpr (is_optional<T>) {
    if (value) for_each_checked(*value, range, number, look);
  } else if constexpr (is_range<T>) {
    for_each_checked(value.range, range, 0, look);
    for_each_checked(value.step, range, 1, look);
    if (value.steps)
      look(double(*value.steps), 2, std::get<2>(rows_of<SampledRange<double>>()).range);
  } else if constexpr (std::is_same_v<T, double> || std::is_same_v<T, int>) {
    look(double(value), number, range);
  } else if constexpr (std::is_same_v<T, UnitCell>) {
    for_each_number(value, [&](const double& x) {
      look(x, number, number >= 3 && range.angles ? *range.angles : range);
      ++number;
    });
  } else if constexpr (std::is_same_v<T, Vec3d> || std::is_same_v<T, Mat3d>) {
    for_each_number(value, [&](const double& x) { look(x, number++, range); });
  }
}

template <class T>
inline constexpr bool is_sampled = is_range<T>;
template <class T>
inline constexpr bool is_sampled<std::optional<T>> = is_range<T>;

/// Of a vector, too short or too long to tell where it points, "zero" or "infinity"; else empty.
template <class T>
std::string_view impossible_length(const T& value) {
  if constexpr (is_optional<T>) {
    return value ? impossible_length(*value) : "";
  } else if constexpr (std::is_same_v<T, Vec3d>) {
    const double found = length(value);
    return !(found > 0) ? "zero" : std::isfinite(found) ? "" : "infinity";
  } else {
    return "";
  }
}

/// Calls said(what, range, unit, x) for each number of a part, and of the parts in it, that is
/// outside the range which `of` names.
template <class Part>
void look_at(const Part& part, const std::string& where, Range FieldFacts::*of, const Said& said) {
  for_each_field<Part>([&](const auto& row) {
    using Row = std::remove_cvref_t<decltype(row)>;
    using Member = typename Row::Member;
    if constexpr (is_vector<Member> && !is_list_of_parts<Member>) {
      return;  // rows of a table, which its reader has looked at
    } else if constexpr (is_vector<Member>) {
      const auto& list = part.*row.members[0];
      const std::string one_of = std::is_same_v<Member, std::vector<FurtherPanel>>     ? "panel "
                                 : std::is_same_v<Member, std::vector<FurtherCrystal>> ? "crystal "
                                 : std::is_same_v<Member, std::vector<DetectorGroup>>
                                     ? "detector group "
                                 : std::is_same_v<Member, std::vector<Material>> ? "material "
                                                                                 : "source ";
      for (std::size_t i = 0; i < list.size(); ++i)
        look_at(list[i], one_of + std::to_string(i + 1) + ": ", of, said);
    } else if constexpr (HasFields<Member> && !is_range<Member>) {
      look_at(part.*row.members[0], where, of, said);
    } else {
      std::size_t member_number = 0;
      const Range& range = row.*of;
      FieldLook look(row, number_name_of<Row>(), is_sampled<Member>, where, said);
      for (const auto member : row.members) {
        const std::size_t before = look.found();
        for_each_checked(part.*member, range, member_number++, look);
        const std::string_view length = impossible_length(part.*member);
        if (range.direction && !length.empty() && look.found() == before)
          look.has_length(length, range);
      }
    }
  });
}

/// "must be between -1 and 1"
std::string what_must_be(const Range& range, const char* unit,
                         double x = std::numeric_limits<double>::quiet_NaN()) {
  if (range.direction) return "must be a direction";
  if (x <= 0 && range.from >= 0) {
    if (range.holds(0)) return "must not be negative";
    return range.from < 1 ? "must be positive" : "must be at least " + with_unit(range.from, unit);
  }
  const bool has_from = range.from > -Range::infinity, has_to = range.to < Range::infinity;
  if (has_from && has_to)
    return "must be between " + digits(range.from, 6) + " and " + with_unit(range.to, unit) +
           (range.or_zero ? ", or 0" : "");
  if (range.or_infinity) return "must be at least " + with_unit(range.from, unit) + ", or infinite";
  if (has_to) return "must be at most " + with_unit(range.to, unit);
  if (!has_from) return "must be a finite number";
  if (range.from == 0) return range.without_from ? "must be positive" : "must not be negative";
  return "must be at least " + with_unit(range.from, unit);
}

const char* hint_of(const Range& range, double x) {
  // What is negative or zero is so in every unit.
  if (!std::isfinite(x) || (x <= 0 && range.from >= 0)) return "";
  return x < range.from ? range.below : range.above;
}

/// Whether a value has numbers that a range is about.
template <class T>
constexpr bool has_numbers() {
  if constexpr (is_optional<T>)
    return has_numbers<typename T::value_type>();
  else
    return is_range<T> || std::is_same_v<T, double> || std::is_same_v<T, int> ||
           std::is_same_v<T, Vec3d> || std::is_same_v<T, Mat3d> || std::is_same_v<T, UnitCell>;
}

std::string with_hints(const std::string& sentence, const Range& range) {
  const std::string below = range.below, above = range.above;
  if (below.empty() && above.empty()) return sentence;
  if (below.empty() || above.empty()) return sentence + " (" + below + above + ")";
  return sentence + " (below: " + below + " above: " + above + ")";
}

FieldChecks checks_of(const FieldFacts& row, NumberName name_of, const std::string& path) {
  const char* unit = row.units.of(0);
  const std::string name = subject(row, name_of, "", every_number);
  FieldChecks checks{path + row.name, "", ""};
  checks.wrong = row.range.direction
                     ? name + " has length zero; it must be a direction"
                     : with_hints(name + (is_plural(row) ? " are ...; they " : " is ...; it ") +
                                      what_must_be(row.range, unit),
                                  row.range);
  const auto unusual = [](const Range& range, const char* its_unit) {
    constexpr std::size_t must_be = 8;
    return with_hints(what_must_be(range, its_unit).substr(must_be), range);
  };
  if (row.usual.bounded()) checks.unusual = unusual(row.usual, unit);
  if (row.usual.angles) checks.unusual += "angles " + unusual(*row.usual.angles, row.units.of(3));
  return checks;
}

template <class Part>
void list_checks(const std::string& path, std::vector<FieldChecks>& all) {
  for_each_field<Part>([&](const auto& row) {
    using Member = typename std::remove_cvref_t<decltype(row)>::Member;
    if constexpr (std::is_same_v<Member, std::vector<Source>>) {
      list_checks<Source>(path + row.name + "[].", all);
    } else if constexpr (std::is_same_v<Member, std::vector<Material>>) {
      list_checks<Material>(path + row.name + "[].", all);
    } else if constexpr (std::is_same_v<Member, std::vector<FurtherCrystal>>) {
      list_checks<FurtherCrystal>(path + row.name + "[].", all);
    } else if constexpr (is_vector<Member>) {
      return;  // panels, whose fields are those of the detector
    } else if constexpr (HasFields<Member> && !is_range<Member>) {
      list_checks<Member>(path + row.name + '.', all);
    } else if constexpr (has_numbers<Member>()) {
      all.push_back(checks_of(row, number_name_of<std::remove_cvref_t<decltype(row)>>(), path));
    }
  });
}

}  // namespace

std::vector<FieldChecks> all_checks() {
  std::vector<FieldChecks> all;
  list_checks<Experiment>("", all);
  return all;
}

template <class Part>
std::vector<std::string> out_of_range(const Part& part) {
  std::vector<std::string> all;
  look_at(part, "", &FieldFacts::range,
          [&](const std::string& what, const Range& range, const char* unit, double x) {
            const std::string hint = hint_of(range, x);
            all.push_back(what + what_must_be(range, unit, x) +
                          (hint.empty() ? "" : " (" + hint + ")"));
          });
  return all;
}

std::vector<std::string> unusual_numbers(const Experiment& experiment) {
  std::vector<std::string> all;
  look_at(experiment, "", &FieldFacts::usual,
          [&](const std::string& what, const Range& range, const char*, double x) {
            // Zero says that there is none.
            if (std::isfinite(x) && x != 0)
              all.push_back(what.substr(0, what.rfind(';')) + "; " + hint_of(range, x));
          });
  return all;
}

template std::vector<std::string> out_of_range(const SampledRange<double>&);
template std::vector<std::string> out_of_range(const Crystal&);
template std::vector<std::string> out_of_range(const Beam&);
template std::vector<std::string> out_of_range(const Detector&);
template std::vector<std::string> out_of_range(const Scan&);
template std::vector<std::string> out_of_range(const Sampling&);
template std::vector<std::string> out_of_range(const StructureFactors&);
template std::vector<std::string> out_of_range(const Material&);
template std::vector<std::string> out_of_range(const Experiment&);

}  // namespace nablabragg::description
