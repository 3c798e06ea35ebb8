#include "python/arrays.hpp"

#include <algorithm>
#include <limits>

#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "python/convert.hpp"

namespace nablabragg::python {

std::vector<PixelIndex> pixels_of(const py::object& pixels, const Experiment& experiment) {
  const py::module_ numpy = py::module_::import("numpy");
  const char* const needs =
      "pixels needs whole numbers of shape (n, 2), (slow, fast) in each row, or a "
      "bool array (slow, fast)";
  py::array given;
  try {
    given = numpy.attr("asarray")(pixels);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    throw UsageError(std::string(needs) + ", not " + described(pixels));
  }
  if (given.dtype().kind() == 'b') {
    const Panel panel = resolve(experiment).panel;
    const py::object shape = py::make_tuple(panel.slow_pixels, panel.fast_pixels);
    if (!py::tuple(given.attr("shape")).equal(shape))
      throw UsageError("pixels as a bool array needs the shape of the image, " +
                       std::string(py::str(shape)) + ", not " +
                       std::string(py::str(given.attr("shape"))));
    given = numpy.attr("argwhere")(given);
  }
  const bool whole = given.dtype().kind() == 'i' || given.dtype().kind() == 'u';
  if (!whole || given.ndim() != 2 || given.shape(1) != 2)
    throw UsageError(std::string(needs) + ", not " + described(pixels));
  using Rows = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
  const Rows rows(given);
  const auto at = rows.unchecked<2>();
  // What no int holds is on no panel, either.
  const auto index = [&](py::ssize_t row, py::ssize_t axis) {
    using Int = std::numeric_limits<int>;
    return static_cast<int>(std::clamp<std::int64_t>(at(row, axis), Int::min(), Int::max()));
  };
  std::vector<PixelIndex> list(static_cast<std::size_t>(rows.shape(0)));
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto row = static_cast<py::ssize_t>(i);
    list[i] = {.fast = index(row, 1), .slow = index(row, 0)};
  }
  return list;
}

}  // namespace nablabragg::python
