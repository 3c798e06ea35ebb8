#include "python/fields.hpp"

namespace nablabragg::python {

namespace {

template <class T>
struct Type {};

std::string kind_of(Type<double>, const std::string& unit) { return "number" + unit; }
std::string kind_of(Type<int>, const std::string&) { return "int"; }
std::string kind_of(Type<std::int64_t>, const std::string&) { return "int"; }
std::string kind_of(Type<bool>, const std::string&) { return "bool"; }
std::string kind_of(Type<std::string>, const std::string&) { return "str"; }
std::string kind_of(Type<Vec3d>, const std::string& unit) { return "3 numbers" + unit; }
std::string kind_of(Type<Mat3d>, const std::string&) { return "3 x 3 numbers"; }
std::string kind_of(Type<UnitCell>, const std::string& unit) { return "6 numbers" + unit; }
std::string kind_of(Type<SampledRange<double>>, const std::string& unit) {
  return "SampledRange" + unit + " or None";
}
std::string kind_of(Type<RegionOfInterest>, const std::string&) {
  return "(fast_min, fast_max, slow_min, slow_max)";
}
std::string kind_of(Type<std::shared_ptr<const Mask>>, const std::string&) {
  return "bool array (slow, fast) or None";
}
std::string kind_of(Type<std::vector<Source>>, const std::string& unit) {
  return "rows of 5 numbers: x, y, z, weight, wavelength" + unit;
}
std::string kind_of(Type<std::vector<double>>, const std::string& unit) { return "numbers" + unit; }
std::string kind_of(Type<Quirks>, const std::string&) { return description::mode_kind; }
std::string kind_of(Type<StructureFactors>, const std::string&) {
  return "StructureFactors, or a number: default_F";
}
template <class Enum>
requires std::is_enum_v<Enum> std::string kind_of(Type<Enum>, const std::string&) {
  return description::names_of<Enum>();
}
template <class T>
std::string kind_of(Type<std::optional<T>>, const std::string& unit) {
  return kind_of(Type<T>(), unit) + " or None";
}
template <class Part>
requires requires { class_name(static_cast<const Part*>(nullptr)); }
std::string kind_of(Type<Part>, const std::string&) {
  return class_name(static_cast<const Part*>(nullptr));
}

template <class Part>
requires requires { class_name(static_cast<const Part*>(nullptr)); }
std::string kind_of(Type<std::vector<Part>>, const std::string&) {
  return std::string("list of ") + class_name(static_cast<const Part*>(nullptr));
}

/// " [A A A deg deg deg]"
std::string in_brackets(const description::Units& units) {
  std::string text;
  for (std::size_t i = 0; i < units.count; ++i)
    text.append(text.empty() ? "" : " ").append(units.list[i]);
  return text.empty() ? text : " [" + text + "]";
}

/// "(fast, slow) [mm], or one number for both"
template <class Row>
std::string kind_of_pair(const Row& row) {
  using Value = typename Row::Member;
  const std::string both = std::string("(") + row.of_both[0] + ", " + row.of_both[1] + ")";
  if constexpr (description::is_optional<Value>)
    return both + in_brackets(row.units) + " or None";
  else if constexpr (std::is_same_v<Value, int>)
    return both + ", or one int for both";
  else
    return both + in_brackets(row.units) + ", or one number for both";
}

template <class Row>
std::string kind_of_row(const Row& row) {
  if constexpr (Row::is_pair)
    return kind_of_pair(row);
  else
    return kind_of(Type<typename Row::Type>(), in_brackets(row.units));
}

template <class Part, class Row>
void add(const Row& row, Fields<Part>& fields) {
  using Value = typename Row::Type;
  fields.push_back({row.name, kind_of_row(row), row.help,
                    [&row](const Part& part) { return Convert<Value>::to(row.get(part)); },
                    [&row](Part& part, py::handle value) {
                      row.set(part, Convert<Value>::from(value, row.name));
                    }});
}

/// A table is an array and the indices of its first entry.
template <>
void add(
    const description::Field<StructureFactors, std::shared_ptr<const StructureFactorGrid>, 1>& row,
    Fields<StructureFactors>& fields) {
  fields.push_back(
      {row.name, "array (h, k, l) or None", row.help,
       [](const StructureFactors& f) { return f.grid ? py::object(view_of(f.grid)) : py::none(); },
       nullptr});
  fields.push_back({"min", "3 ints or None",
                    "Miller indices of F[0, 0, 0]; None: F is centred on (0, 0, 0)",
                    [](const StructureFactors& f) -> py::object {
                      if (!f.grid) return py::none();
                      const MillerIndex& m = f.grid->min();
                      return py::make_tuple(m[0], m[1], m[2]);
                    },
                    nullptr});
}

}  // namespace

template <class Part>
const Fields<Part>& fields_of() {
  static const Fields<Part> fields = [] {
    Fields<Part> all;
    description::for_each_field<Part>([&](const auto& row) { add(row, all); });
    return all;
  }();
  return fields;
}

template const Fields<SampledRange<double>>& fields_of();
template const Fields<Crystal>& fields_of();
template const Fields<FurtherCrystal>& fields_of();
template const Fields<Beam>& fields_of();
template const Fields<Detector>& fields_of();
template const Fields<FurtherPanel>& fields_of();
template const Fields<DetectorGroup>& fields_of();
template const Fields<Material>& fields_of();
template const Fields<Beamstop>& fields_of();
template const Fields<Scan>& fields_of();
template const Fields<Sampling>& fields_of();
template const Fields<StructureFactors>& fields_of();
template const Fields<Experiment>& fields_of();

}  // namespace nablabragg::python
