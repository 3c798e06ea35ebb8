// C++ values of a description <-> Python values: numbers, tuples, None, strings, arrays.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include "description/fields.hpp"
#include "description/quirk_names.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::python {

namespace py = pybind11;

using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

/// Of a str.
inline std::string text_of(py::handle x) { return py::reinterpret_borrow<py::str>(x); }

/// What a user gave, in few words: its text where that is short, else its type and size.
std::string described(py::handle value);

/// Throws py::type_error: "`what_needs` `kind`, not ...", as in "cell needs 6 numbers, not 3".
[[noreturn]] void fail(const std::string& what_needs, const std::string& kind, py::handle got);
/// "cell needs"
inline std::string needs(const char* field) { return std::string(field) + " needs"; }

/// A float64 array of anything that numpy takes for an array of real numbers, without losing
/// anything: complex numbers, truths, text and gaps of masked arrays are a py::type_error.
Doubles array_of(py::handle value, const std::string& what_needs, const std::string& kind);

template <class Number>
using Flat = py::array_t<Number, py::array::c_style | py::array::forcecast>;

/// "1, 2": the indices of an entry of an array of this shape, counted row by row.
std::string place_in(py::ssize_t entry, const std::vector<py::ssize_t>& shape);

/// Throws UsageError, naming the first entry, for numbers beyond the least and the largest that an
/// array of another type can hold: numpy would make other numbers of them, of 2^32 a 0.
void check_fits(const Doubles& values, double least, double largest, const std::string& what_needs);

/// An array of the image's shape, in one row.
template <class Number>
Flat<Number> image_like(py::handle given, const std::vector<py::ssize_t>& shape, const char* kind,
                        const std::string& name = "image") {
  const Doubles values = array_of(given, name + " needs", kind);
  const py::array array = py::module_::import("numpy").attr("asarray")(given);
  const py::object expected = py::tuple(py::cast(shape));
  if (!py::tuple(array.attr("shape")).equal(expected))
    throw UsageError(name + " needs the shape of the experiment's, " +
                     std::string(py::str(expected)) + ", not " +
                     std::string(py::str(array.attr("shape"))));
  check_fits(values, static_cast<double>(std::numeric_limits<Number>::lowest()),
             static_cast<double>(std::numeric_limits<Number>::max()), name + " needs " + kind);
  return Flat<Number>(array);
}

inline std::vector<float> floats_of(const Flat<float>& values) {
  return {values.data(), values.data() + values.size()};
}

/// Throws py::type_error for anything else.
const Experiment& experiment_of(py::handle x);

/// Of a str, bytes or os.PathLike.  Throws UsageError for one that no file can have.
std::string path_of(py::handle path);

/// Throw InputError, naming the indices, for an amplitude that is NaN or infinite.
void check_amplitude(double F, const MillerIndex& hkl);
void check_amplitudes(const StructureFactorGrid& grid);

/// The numbers of a sequence or an array, or of one number `count` times.  Throws py::type_error
/// that names the field.
std::vector<double> numbers(py::handle value, std::size_t count, const char* field);

/// How one type of field crosses the border.  `to` gives what a user reads, `from` takes what a
/// user writes; it throws py::type_error or UsageError, naming the field.
template <class T>
struct Convert;

template <>
struct Convert<double> {
  static py::object to(double x) { return py::float_(x); }
  static double from(py::handle x, const char* field);
};

template <>
struct Convert<int> {
  static py::object to(int x) { return py::int_(x); }
  static int from(py::handle x, const char* field);
};

template <>
struct Convert<std::int64_t> {
  static py::object to(std::int64_t x) { return py::int_(x); }
  static std::int64_t from(py::handle x, const char* field);
};

template <>
struct Convert<std::string> {
  static py::object to(const std::string& x) { return py::str(x); }
  static std::string from(py::handle x, const char* field);
};

template <>
struct Convert<bool> {
  static py::object to(bool x) { return py::bool_(x); }
  static bool from(py::handle x, const char* field);
};

template <class T>
struct Convert<std::optional<T>> {
  static py::object to(const std::optional<T>& x) { return x ? Convert<T>::to(*x) : py::none(); }
  static std::optional<T> from(py::handle x, const char* field) {
    if (x.is_none()) return std::nullopt;
    return Convert<T>::from(x, field);
  }
};

template <>
struct Convert<Vec3d> {
  static py::object to(const Vec3d& v) { return py::make_tuple(v.x, v.y, v.z); }
  static Vec3d from(py::handle x, const char* field);
};

template <>
struct Convert<Mat3d> {
  static py::object to(const Mat3d& m) {
    return py::make_tuple(Convert<Vec3d>::to(m.a), Convert<Vec3d>::to(m.b),
                          Convert<Vec3d>::to(m.c));
  }
  static Mat3d from(py::handle x, const char* field);
};

template <>
struct Convert<UnitCell> {
  static py::object to(const UnitCell& c) {
    return py::make_tuple(c.a_A, c.b_A, c.c_A, c.alpha_deg, c.beta_deg, c.gamma_deg);
  }
  static UnitCell from(py::handle x, const char* field);
};

template <>
struct Convert<RegionOfInterest> {
  static py::object to(const RegionOfInterest& r) {
    return py::make_tuple(r.fast_min, r.fast_max, r.slow_min, r.slow_max);
  }
  static RegionOfInterest from(py::handle x, const char* field);
};

/// A number is a range; (range, steps) both; a dict or a SampledRange any of the three.
template <>
struct Convert<SampledRange<double>> {
  static py::object to(const SampledRange<double>& r) {
    return r.empty() ? py::object(py::none()) : py::cast(r);
  }
  static SampledRange<double> from(py::handle x, const char* field);
};

/// Rows x, y, z, weight, wavelength [Angstrom].
template <>
struct Convert<std::vector<Source>> {
  static py::object to(const std::vector<Source>& sources);
  static std::vector<Source> from(py::handle x, const char* field);
};

/// Columns of a table.
template <>
struct Convert<std::vector<double>> {
  static py::object to(const std::vector<double>& numbers);
  static std::vector<double> from(py::handle x, const char* field);
};

template <>
struct Convert<std::shared_ptr<const Mask>> {
  static py::object to(const std::shared_ptr<const Mask>& mask);
  static std::shared_ptr<const Mask> from(py::handle x, const char* field);
};

/// Both at once, for two members that are one field: (fast, slow), (x, y).
template <class T>
struct Convert<std::pair<T, T>> {
  static py::object to(const std::pair<T, T>& p) {
    return py::make_tuple(Convert<T>::to(p.first), Convert<T>::to(p.second));
  }
  static std::pair<T, T> from(py::handle x, const char* field) {
    const bool is_array = py::isinstance<py::array>(x);
    if (is_array ? py::reinterpret_borrow<py::array>(x).ndim() == 0
                 : !py::isinstance<py::sequence>(x)) {
      const T both = Convert<T>::from(x, field);
      return {both, both};
    }
    const auto items = py::reinterpret_borrow<py::sequence>(x);
    if (py::isinstance<py::str>(x) || items.size() != 2) fail(needs(field), "two values", x);
    return {Convert<T>::from(items[0], field), Convert<T>::from(items[1], field)};
  }
};

/// A pair of open choices: None where both are open.
template <class T>
struct Convert<std::pair<std::optional<T>, std::optional<T>>> {
  using Pair = std::pair<std::optional<T>, std::optional<T>>;
  static py::object to(const Pair& p) {
    if (!p.first && !p.second) return py::none();
    return py::make_tuple(Convert<std::optional<T>>::to(p.first),
                          Convert<std::optional<T>>::to(p.second));
  }
  static Pair from(py::handle x, const char* field) {
    if (x.is_none()) return {};
    const auto items = py::reinterpret_borrow<py::sequence>(x);
    if (!PySequence_Check(x.ptr()) || py::isinstance<py::str>(x) || items.size() != 2)
      fail(needs(field), "two numbers", x);
    return {Convert<std::optional<T>>::from(items[0], field),
            Convert<std::optional<T>>::from(items[1], field)};
  }
};

/// Enumerations are strings.
template <class Enum>
requires std::is_enum_v<Enum>
struct Convert<Enum> {
  static py::object to(Enum value) {
    for (const auto& choice : description::Choices<Enum>::all)
      if (choice.value == value) return py::str(choice.name);
    return py::none();
  }
  static Enum from(py::handle x, const char* field) {
    if (py::isinstance<py::str>(x))
      for (const auto& choice : description::Choices<Enum>::all)
        if (text_of(x) == choice.name) return choice.value;
    throw py::value_error(std::string(field) + " is one of " + description::names_of<Enum>() +
                          ", not " + described(x));
  }
};

/// What is on: "corrected" (nothing), "compat" (everything), or a tuple of identifiers "Q-01"...
template <>
struct Convert<Quirks> {
  static py::object to(const Quirks& quirks);
  static Quirks from(py::handle x, const char* field);
};

/// Parts are classes of their own; their names.
inline const char* class_name(const Crystal*) { return "Crystal"; }
inline const char* class_name(const FurtherCrystal*) { return "FurtherCrystal"; }
inline const char* class_name(const Beam*) { return "Beam"; }
inline const char* class_name(const Detector*) { return "Detector"; }
inline const char* class_name(const FurtherPanel*) { return "FurtherPanel"; }
inline const char* class_name(const DetectorGroup*) { return "DetectorGroup"; }
inline const char* class_name(const Material*) { return "Material"; }
inline const char* class_name(const Beamstop*) { return "Beamstop"; }
inline const char* class_name(const Scan*) { return "Scan"; }
inline const char* class_name(const Sampling*) { return "Sampling"; }

template <class Part>
requires requires { class_name(static_cast<const Part*>(nullptr)); }
struct Convert<Part> {
  static constexpr const Part* tag = nullptr;
  static py::object to(const Part& part) { return py::cast(part); }
  static Part from(py::handle x, const char* field) {
    if (!py::isinstance<Part>(x)) fail(needs(field), std::string("a ") + class_name(tag), x);
    return x.cast<Part>();
  }
};

/// Lists of parts: tuples.
template <class Part>
requires requires { class_name(static_cast<const Part*>(nullptr)); }
struct Convert<std::vector<Part>> {
  static py::object to(const std::vector<Part>& parts) { return py::tuple(py::cast(parts)); }
  static std::vector<Part> from(py::handle x, const char* field) {
    std::vector<Part> parts;
    if (x.is_none()) return parts;
    if (!py::isinstance<py::sequence>(x) || py::isinstance<py::str>(x))
      fail(needs(field), "a list of " + std::string(class_name(static_cast<const Part*>(nullptr))),
           x);
    for (const py::handle item : x) parts.push_back(Convert<Part>::from(item, field));
    return parts;
  }
};

/// A number is default_F, without a table.
template <>
struct Convert<StructureFactors> {
  static py::object to(const StructureFactors& factors) { return py::cast(factors); }
  static StructureFactors from(py::handle x, const char* field) {
    if (py::isinstance<StructureFactors>(x)) return x.cast<StructureFactors>();
    if (!PyNumber_Check(x.ptr())) fail(needs(field), "StructureFactors or a number", x);
    StructureFactors factors;
    factors.default_F = Convert<double>::from(x, field);
    return factors;
  }
};

/// The array of a shared grid [h - hmin, k - kmin, l - lmin], read-only, without a copy.
py::array view_of(const std::shared_ptr<const StructureFactorGrid>& grid);

/// A grid of float64 from any array of three axes whose first entry is (h,k,l) = min.
std::shared_ptr<StructureFactorGrid> grid_from(py::handle values, const MillerIndex& min,
                                               const char* field);

}  // namespace nablabragg::python
