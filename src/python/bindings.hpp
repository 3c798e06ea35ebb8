// What module.cpp puts together.
#pragma once
#include <pybind11/pybind11.h>

namespace nablabragg::python {

namespace py = pybind11;

void bind_errors(py::module_& module);
/// ReflectionFile, read_reflections().
void bind_reflections(py::module_& module);
/// SampledRange, Crystal, Beam, Detector, Scan, Sampling, StructureFactors, Experiment; parse().
void bind_description(py::module_& module);
/// simulate().
void bind_images(py::module_& module);
/// Parameters by name, value_and_gradient(), jacobian(), jvp().
void bind_gradients(py::module_& module);

}  // namespace nablabragg::python
