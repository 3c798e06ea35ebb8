// Reading reflections for Python.
#pragma once
#include <pybind11/pybind11.h>
#include <string>
#include "nablabragg/crystallography.hpp"

namespace nablabragg::python {

/// Without the interpreter's lock.  `path` is a str or os.PathLike.
io::ReflectionFile read_reflections(const pybind11::object& path, const std::string& column);

/// A UserWarning.
void warn(const std::string& text);

}  // namespace nablabragg::python
