#include "python/convert.hpp"

#include <algorithm>
#include <limits>

#include "nablabragg/error.hpp"

namespace nablabragg::python {

namespace {

[[noreturn]] void fail(const char* field, const std::string& needs, py::handle got) {
  throw py::type_error(std::string(field) + " needs " + needs + ", not " +
                       std::string(py::repr(got)));
}

/// A float64 array of anything that numpy takes for one.
py::array_t<double> array_of(py::handle value, const char* field, const std::string& needs) {
  auto array = py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(value);
  if (!array) {
    PyErr_Clear();
    fail(field, needs, value);
  }
  return array;
}

std::string plural(std::size_t count) {
  return count == 1 ? "a number" : std::to_string(count) + " numbers";
}

}  // namespace

std::vector<double> numbers(py::handle value, std::size_t count, const char* field) {
  if (value.is_none() || py::isinstance<py::str>(value)) fail(field, plural(count), value);
  const auto array = array_of(value, field, plural(count));
  std::vector<double> values(count);
  if (array.ndim() == 0) {
    std::fill(values.begin(), values.end(), *array.data());
    return values;
  }
  if (static_cast<std::size_t>(array.size()) != count) fail(field, plural(count), value);
  std::copy_n(array.data(), count, values.begin());
  return values;
}

double Convert<double>::from(py::handle x, const char* field) {
  const double value = PyFloat_AsDouble(x.ptr());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    if (!py::isinstance<py::str>(x) || x.cast<std::string>() != "inf") fail(field, "a number", x);
    return std::numeric_limits<double>::infinity();  // as JSON has it
  }
  return value;
}

std::int64_t Convert<std::int64_t>::from(py::handle x, const char* field) {
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(x.ptr()));
  const long long value = index ? PyLong_AsLongLong(index.ptr()) : -1;
  if (PyErr_Occurred()) {
    PyErr_Clear();
    fail(field, "a whole number", x);
  }
  return value;
}

int Convert<int>::from(py::handle x, const char* field) {
  const std::int64_t value = Convert<std::int64_t>::from(x, field);
  if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
    fail(field, "a smaller number", x);
  return static_cast<int>(value);
}

bool Convert<bool>::from(py::handle x, const char* field) {
  const int truth = PyObject_IsTrue(x.ptr());
  if (truth < 0) {
    PyErr_Clear();
    fail(field, "True or False", x);
  }
  return truth == 1;
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
  if (!PySequence_Check(x.ptr())) fail(field, "6 numbers", x);
  const auto c = numbers(x, 6, field);
  return {c[0], c[1], c[2], c[3], c[4], c[5]};
}

RegionOfInterest Convert<RegionOfInterest>::from(py::handle x, const char* field) {
  const std::string needs = "(fast_min, fast_max, slow_min, slow_max)";
  if (!PySequence_Check(x.ptr()) || py::len(x) != 4) fail(field, needs, x);
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
      const auto name = key.cast<std::string>();
      if (name == "range")
        read(value, range.range);
      else if (name == "step")
        read(value, range.step);
      else if (name == "steps")
        read(value, range.steps);
      else
        fail(field, "range, step or steps", key);
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
  const std::string needs = "rows of five numbers: x, y, z, weight, wavelength";
  const auto array = array_of(x, field, needs);
  if (array.size() == 0) return sources;
  if (array.ndim() != 2 || array.shape(1) != 5) fail(field, needs, x);
  const auto rows = array.unchecked<2>();
  for (py::ssize_t i = 0; i < rows.shape(0); ++i)
    sources.push_back({{rows(i, 0), rows(i, 1), rows(i, 2)}, rows(i, 3), rows(i, 4)});
  return sources;
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
  const auto array = py::array_t<bool, py::array::c_style | py::array::forcecast>::ensure(x);
  if (!array || array.ndim() != 2) {
    PyErr_Clear();
    fail(field, "an array of two axes, slow x fast", x);
  }
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
    names.push_back(x.cast<std::string>());
  else if (PySequence_Check(x.ptr()))
    for (const py::handle item : py::reinterpret_borrow<py::sequence>(x))
      names.emplace_back(py::str(item));
  else
    fail(field, description::mode_kind, x);
  const auto quirks = description::quirks_named(names);
  if (!quirks) fail(field, description::mode_kind, x);
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

std::shared_ptr<StructureFactorGrid> grid_from(py::handle values, const MillerIndex& min,
                                               const char* field) {
  const std::string needs = "an array of three axes, h x k x l";
  const auto array = array_of(values, field, needs);
  if (array.ndim() != 3 || array.size() == 0) fail(field, needs, values);
  MillerIndex max = min;
  for (std::size_t axis = 0; axis < 3; ++axis)
    max[axis] += static_cast<int>(array.shape(static_cast<py::ssize_t>(axis))) - 1;
  auto grid = std::make_shared<StructureFactorGrid>(min, max, 0.0);
  std::copy_n(array.data(), array.size(), grid->values().begin());
  return grid;
}

}  // namespace nablabragg::python
