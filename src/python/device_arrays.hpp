// Images that stay on a GPU.
#pragma once
#include <pybind11/pybind11.h>

namespace nablabragg::python {

/// DeviceArray, simulate_on_device().
void bind_device_arrays(pybind11::module_& module);

}  // namespace nablabragg::python
