#include "python/convert.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "nablabragg/error.hpp"

namespace nablabragg::python {

namespace {

/// Of its numbers, as numpy calls it: 'f', 'i', 'b', 'c'...
char kind_of(const py::array& array) { return array.dtype().kind(); }

/// Whether a number, array or tensor is of such numbers: "bool", "complex".
bool has_dtype(py::handle x, std::string_view word) {
  return py::hasattr(x, "dtype") &&
         std::string(py::str(x.attr("dtype"))).find(word) != std::string::npos;
}

bool is_bool(py::handle x) { return PyBool_Check(x.ptr()) || has_dtype(x, "bool"); }

/// Whether a value, or something in a list of them, is a truth, which numpy would take for 0 or 1.
bool holds_bool(py::handle x) {
  if (PyBool_Check(x.ptr())) return true;
  if (PyList_Check(x.ptr()) || PyTuple_Check(x.ptr())) {
    const auto items = py::reinterpret_borrow<py::sequence>(x);
    return std::any_of(items.begin(), items.end(),
                       [](py::handle item) { return holds_bool(item); });
  }
  return !PyFloat_CheckExact(x.ptr()) && !PyLong_CheckExact(x.ptr()) && is_bool(x);
}

}  // namespace

std::string described(py::handle value) {
  constexpr std::size_t longest = 60;
  const std::string type = Py_TYPE(value.ptr())->tp_name;
  if (py::hasattr(value, "shape") && py::hasattr(value, "dtype"))
    return "an array of " + std::string(py::str(value.attr("dtype"))) + " and shape " +
           std::string(py::str(py::tuple(value.attr("shape"))));
  const std::string text = py::repr(value);
  if (text.size() <= longest && text.find('\n') == std::string::npos) return text;
  if (py::isinstance<py::sequence>(value))
    return "a " + type + " of " + std::to_string(py::len(value)) + " items";
  return "an object of type " + type;
}

void fail(const std::string& what_needs, const std::string& kind, py::handle got) {
  throw py::type_error(what_needs + ' ' + kind + ", not " + described(got));
}

namespace {

/// What numpy makes of a value, without a loss.
py::array given_array(py::handle value, const std::string& what_needs,
                      const std::string& kind_of_it) {
  // numpy would take what is behind the gaps for numbers.
  if (py::hasattr(value, "filled") && py::hasattr(value, "mask"))
    throw py::type_error(what_needs +
                         " an array without gaps, not a masked one; fill them first: "
                         "array.filled(number)");
  try {
    return py::module_::import("numpy").attr("asarray")(value);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    fail(what_needs, kind_of_it, value);
  }
}

}  // namespace

Doubles array_of(py::handle value, const std::string& what_needs, const std::string& kind_of_it) {
  const py::array given = given_array(value, what_needs, kind_of_it);
  const char kind = kind_of(given);
  if (kind == 'b' || holds_bool(value)) fail(what_needs, kind_of_it, value);
  if (kind == 'c')
    throw py::type_error(what_needs +
                         " real numbers, not complex ones; numpy.abs() gives their "
                         "amplitudes");
  if (std::string_view("iufO").find(kind) == std::string_view::npos)
    fail(what_needs, kind_of_it, value);
  // numpy makes NaN of None, and numbers of text.
  if (kind == 'O')
    for (const py::handle item : py::object(given.attr("ravel")()))
      if (!PyNumber_Check(item.ptr()) || is_bool(item)) fail(what_needs, kind_of_it, value);
  auto array = Doubles::ensure(given);
  if (!array) {
    PyErr_Clear();
    fail(what_needs, kind_of_it, value);
  }
  return array;
}

std::string place_in(py::ssize_t entry, const std::vector<py::ssize_t>& shape) {
  std::string place;
  for (auto axis = shape.rbegin(); axis != shape.rend(); entry /= *axis++)
    place.insert(0, (axis + 1 == shape.rend() ? "" : ", ") + std::to_string(entry % *axis));
  return place;
}

void check_fits(const Doubles& values, double least, double largest,
                const std::string& what_needs) {
  const std::span<const double> all(values.data(), static_cast<std::size_t>(values.size()));
  const auto wrong = std::find_if(all.begin(), all.end(), [&](double v) {
    return std::isfinite(v) && !(v >= least && v <= largest);
  });
  if (wrong == all.end()) return;
  const std::vector<py::ssize_t> shape(values.shape(), values.shape() + values.ndim());
  throw UsageError(fmt::format("{} between {:.10g} and {:.10g}; [{}] is {:.16g}", what_needs, least,
                               largest, place_in(wrong - all.begin(), shape), *wrong));
}

namespace {

std::string plural(std::size_t count) {
  return count == 1 ? "a number" : std::to_string(count) + " numbers";
}

}  // namespace

std::vector<double> numbers(py::handle value, std::size_t count, const char* field) {
  if (value.is_none()) fail(needs(field), plural(count), value);
  const auto array = array_of(value, needs(field), plural(count));
  std::vector<double> values(count);
  if (array.ndim() == 0) {
    std::fill(values.begin(), values.end(), *array.data());
    return values;
  }
  if (static_cast<std::size_t>(array.size()) != count) fail(needs(field), plural(count), value);
  std::copy_n(array.data(), count, values.begin());
  return values;
}

double Convert<double>::from(py::handle x, const char* field) {
  if (py::isinstance<py::str>(x) && text_of(x) == "inf")
    return std::numeric_limits<double>::infinity();  // as JSON has it
  // float() of a complex number of numpy's leaves its imaginary part out.
  const bool is_number = !is_bool(x) && !has_dtype(x, "complex");
  const double value = is_number ? PyFloat_AsDouble(x.ptr()) : 0;
  if (!is_number || PyErr_Occurred()) {
    PyErr_Clear();
    fail(needs(field), "a number", x);
  }
  return value;
}

std::int64_t Convert<std::int64_t>::from(py::handle x, const char* field) {
  if (is_bool(x)) fail(needs(field), "a whole number", x);
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(x.ptr()));
  const long long value = index ? PyLong_AsLongLong(index.ptr()) : -1;
  if (PyErr_Occurred()) {
    const bool too_large = PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
    PyErr_Clear();
    fail(needs(field), too_large ? "a smaller number" : "a whole number", x);
  }
  return value;
}

int Convert<int>::from(py::handle x, const char* field) {
  const std::int64_t value = Convert<std::int64_t>::from(x, field);
  if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
    fail(needs(field), "a smaller number", x);
  return static_cast<int>(value);
}

bool Convert<bool>::from(py::handle x, const char* field) {
  if (is_bool(x)) {
    const int truth = PyObject_IsTrue(x.ptr());
    if (truth >= 0) return truth == 1;
    PyErr_Clear();  // of an array, which has many
  }
  // A text such as "False" has a truth as well, and it is the other one.
  const auto whole = py::reinterpret_steal<py::object>(PyNumber_Index(x.ptr()));
  if (!whole) PyErr_Clear();
  if (!whole || !(whole.equal(py::int_(0)) || whole.equal(py::int_(1))))
    fail(needs(field), "True or False", x);
  return whole.equal(py::int_(1));
}

std::string Convert<std::string>::from(py::handle x, const char* field) {
  if (!py::isinstance<py::str>(x)) fail(needs(field), "a str", x);
  return text_of(x);
}

const Experiment& experiment_of(py::handle x) {
  if (!py::isinstance<Experiment>(x)) fail("experiment needs", "an Experiment", x);
  return x.cast<const Experiment&>();
}

std::string path_of(py::handle path) {
  const auto bytes = py::module_::import("os").attr("fsencode")(path).cast<std::string>();
  if (bytes.find('\0') != std::string::npos)
    throw UsageError("the name of a file holds a zero byte");
  return bytes;
}

Vec3d Convert<Vec3d>::from(py::handle x, const char* field) {
  const auto v = numbers(x, 3, field);
  return {v[0], v[1], v[2]};
}

Mat3d Convert<Mat3d>::from(py::handle x, const char* field) {
  const auto m = numbers(x, 9, field);
  return {{m[0], m[1], m[2]}, {m[3], m[4], m[5]}, {m[6], m[7], m[8]}};
}

UnitCell Convert<UnitCell>::from(py::handle x, const char* field) {
  if (!PySequence_Check(x.ptr())) fail(needs(field), "6 numbers", x);
  const auto c = numbers(x, 6, field);
  return {c[0], c[1], c[2], c[3], c[4], c[5]};
}

RegionOfInterest Convert<RegionOfInterest>::from(py::handle x, const char* field) {
  const std::string kind = "(fast_min, fast_max, slow_min, slow_max)";
  if (!PySequence_Check(x.ptr()) || py::len(x) != 4) fail(needs(field), kind, x);
  const auto items = py::reinterpret_borrow<py::sequence>(x);
  const auto at = [&](std::size_t i) { return Convert<int>::from(items[i], field); };
  return {at(0), at(1), at(2), at(3)};
}

SampledRange<double> Convert<SampledRange<double>>::from(py::handle x, const char* field) {
  if (x.is_none()) return {};
  if (py::isinstance<SampledRange<double>>(x)) return x.cast<SampledRange<double>>();
  SampledRange<double> range;
  const auto read = [&](py::handle value, auto& member) {
    member = Convert<std::decay_t<decltype(member)>>::from(value, field);
  };
  if (py::isinstance<py::dict>(x)) {
    for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(x)) {
      const std::string name = py::isinstance<py::str>(key) ? text_of(key) : "";
      if (name == "range")
        read(value, range.range);
      else if (name == "step")
        read(value, range.step);
      else if (name == "steps")
        read(value, range.steps);
      else
        fail(needs(field), "range, step or steps", key);
    }
  } else if (py::isinstance<py::tuple>(x) && py::len(x) == 2) {
    const auto pair = py::reinterpret_borrow<py::tuple>(x);
    read(pair[0], range.range);
    read(pair[1], range.steps);
  } else {
    read(x, range.range);
  }
  return range;
}

py::object Convert<std::vector<Source>>::to(const std::vector<Source>& sources) {
  py::list rows;
  for (const Source& s : sources)
    rows.append(py::make_tuple(s.position.x, s.position.y, s.position.z, s.weight, s.wavelength_A));
  return py::tuple(rows);
}

std::vector<Source> Convert<std::vector<Source>>::from(py::handle x, const char* field) {
  std::vector<Source> sources;
  if (x.is_none()) return sources;
  const std::string kind = "rows of five numbers: x, y, z, weight, wavelength";
  const auto array = array_of(x, needs(field), kind);
  if (array.size() == 0) return sources;
  if (array.ndim() != 2 || array.shape(1) != 5) fail(needs(field), kind, x);
  const auto rows = array.unchecked<2>();
  for (py::ssize_t i = 0; i < rows.shape(0); ++i)
    sources.push_back({{rows(i, 0), rows(i, 1), rows(i, 2)}, rows(i, 3), rows(i, 4)});
  return sources;
}

py::object Convert<std::vector<double>>::to(const std::vector<double>& numbers) {
  return py::tuple(py::cast(numbers));
}

std::vector<double> Convert<std::vector<double>>::from(py::handle x, const char* field) {
  const auto array = array_of(x, needs(field), "a list of numbers");
  if (array.ndim() != 1) fail(needs(field), "a list of numbers", x);
  return {array.data(), array.data() + array.size()};
}

py::object Convert<std::shared_ptr<const Mask>>::to(const std::shared_ptr<const Mask>& mask) {
  if (!mask) return py::none();
  py::array_t<bool> keep({mask->slow_pixels, mask->fast_pixels});
  std::transform(mask->keep.begin(), mask->keep.end(), keep.mutable_data(),
                 [](std::uint8_t k) { return k != 0; });
  return keep;
}

std::shared_ptr<const Mask> Convert<std::shared_ptr<const Mask>>::from(py::handle x,
                                                                       const char* field) {
  if (x.is_none()) return nullptr;
  const std::string kind = "a bool array of two axes, slow x fast";
  const py::array given = given_array(x, needs(field), kind);
  // What a float means here is not for us to say: 0.5, NaN.
  if (given.ndim() != 2 || std::string_view("biu").find(kind_of(given)) == std::string_view::npos)
    fail(needs(field), kind, x);
  const auto array = py::array_t<bool, py::array::c_style | py::array::forcecast>(given);
  auto mask = std::make_shared<Mask>();
  mask->slow_pixels = static_cast<int>(array.shape(0));
  mask->fast_pixels = static_cast<int>(array.shape(1));
  mask->keep.assign(array.data(), array.data() + array.size());
  return mask;
}

py::object Convert<Quirks>::to(const Quirks& quirks) {
  const std::vector<std::string> names = description::names_of(quirks);
  if (names.size() == 1 && !names[0].starts_with("Q-")) return py::str(names[0]);
  return py::tuple(py::cast(names));
}

Quirks Convert<Quirks>::from(py::handle x, const char* field) {
  std::vector<std::string> names;
  if (py::isinstance<py::str>(x))
    names.push_back(text_of(x));
  else if (PySequence_Check(x.ptr()))
    for (const py::handle item : py::reinterpret_borrow<py::sequence>(x))
      names.emplace_back(py::str(item));
  else
    fail(needs(field), description::mode_kind, x);
  const auto quirks = description::quirks_named(names);
  if (!quirks) fail(needs(field), description::mode_kind, x);
  return *quirks;
}

py::array view_of(const std::shared_ptr<const StructureFactorGrid>& grid) {
  using Owner = std::shared_ptr<const StructureFactorGrid>;
  const py::capsule owner(new Owner(grid), [](void* p) { delete static_cast<Owner*>(p); });
  py::array_t<double> view({grid->extent(0), grid->extent(1), grid->extent(2)},
                           grid->values().data(), owner);
  view.attr("setflags")(py::arg("write") = false);
  return view;
}

void check_amplitude(double F, const MillerIndex& hkl) {
  if (std::isfinite(F)) return;
  throw InputError("F of " + std::to_string(hkl[0]) + ' ' + std::to_string(hkl[1]) + ' ' +
                   std::to_string(hkl[2]) + " is " + (std::isnan(F) ? "NaN" : "infinite") +
                   "; give it a finite amplitude, or leave it out with "
                   "StructureFactors.from_reflections(), where default_F stands for it");
}

void check_amplitudes(const StructureFactorGrid& grid) {
  const auto values = grid.values();
  const auto wrong = std::find_if(values.begin(), values.end(),
                                  [](double F) { return !std::isfinite(F); });
  if (wrong == values.end()) return;
  // More entries than an int counts.
  std::ptrdiff_t offset = wrong - values.begin();
  MillerIndex hkl = grid.min();
  for (int axis = 2; axis >= 0; --axis) {
    hkl[static_cast<std::size_t>(axis)] += static_cast<int>(offset % grid.extent(axis));
    offset /= grid.extent(axis);
  }
  check_amplitude(*wrong, hkl);
}

std::shared_ptr<StructureFactorGrid> grid_from(py::handle values, const MillerIndex& min,
                                               const char* field) {
  const std::string kind = "an array of three axes, h x k x l";
  const auto array = array_of(values, needs(field), kind);
  if (array.ndim() != 3 || array.size() == 0) fail(needs(field), kind, values);
  MillerIndex max = min;
  for (std::size_t axis = 0; axis < 3; ++axis)
    max[axis] += static_cast<int>(array.shape(static_cast<py::ssize_t>(axis))) - 1;
  auto grid = std::make_shared<StructureFactorGrid>(min, max, 0.0);
  std::copy_n(array.data(), array.size(), grid->values().begin());
  return grid;
}

}  // namespace nablabragg::python
