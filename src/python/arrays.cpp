#include "python/arrays.hpp"

#include "nablabragg/error.hpp"

namespace nablabragg::python {

std::vector<PixelIndex> pixels_of(const py::object& pixels) {
  const py::module_ numpy = py::module_::import("numpy");
  py::array given = numpy.attr("asarray")(pixels);
  if (given.dtype().kind() == 'b' && given.ndim() == 2) given = numpy.attr("argwhere")(given);
  const bool whole = given.dtype().kind() == 'i' || given.dtype().kind() == 'u';
  if (!whole || given.ndim() != 2 || given.shape(1) != 2)
    throw UsageError(
        "pixels needs whole numbers of shape (n, 2), (slow, fast) in each row, or a "
        "bool array of two axes");
  const auto rows = py::array_t<int, py::array::c_style | py::array::forcecast>(given);
  const auto at = rows.unchecked<2>();
  std::vector<PixelIndex> list(static_cast<std::size_t>(rows.shape(0)));
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto row = static_cast<py::ssize_t>(i);
    list[i] = {.fast = at(row, 1), .slow = at(row, 0)};
  }
  return list;
}

}  // namespace nablabragg::python
