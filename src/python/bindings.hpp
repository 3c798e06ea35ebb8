// What module.cpp puts together.
#pragma once
#include <pybind11/pybind11.h>
#include <string>
#include "nablabragg/crystallography.hpp"
#include "nablabragg/experiment.hpp"

namespace nablabragg::python {

namespace py = pybind11;

void bind_errors(py::module_& module);
/// Warns with SimulationWarning on the line that called the module's Python function.  Throws what
/// a filter of warnings makes of it.
void warn(const std::string& sentence);

/// Cell beside matrix, cell and wavelength beside those of the structure factors: warns beyond 1 %,
/// throws UsageError for a cell beyond 5 %, but not in compat mode.
void check_statements(const Experiment& experiment);
/// A cell that parameters have moved beyond 5 % from that of the structure factors wins over it,
/// with a warning: an optimiser may go where it goes.
void drop_stated_cell(Experiment& experiment);

/// Throws InputError for what may be no list of amplitudes.
void refuse_doubtful(const io::ReflectionFile& file);

/// ReflectionFile, read_reflections().
void bind_reflections(py::module_& module);
void bind_background(py::module_& module);
/// SampledRange, Crystal, Beam, Detector, Scan, Sampling, StructureFactors, Experiment; parse().
void bind_description(py::module_& module);
/// simulate().
void bind_images(py::module_& module);
/// count_photons(), read_image(), ImageWriter, with_geometry(), with_detector().
void bind_files(py::module_& module);
/// expected_counts(), spread_light(), pixel_states().
void bind_response(py::module_& module);
/// Parameters by name, value_and_gradient(), jacobian(), jvp().
void bind_gradients(py::module_& module);
/// ShotMaker, in builds that have ensembles.
void bind_ensembles(py::module_& module);
/// refine(), in builds that have it.
void bind_refinement(py::module_& module);

}  // namespace nablabragg::python
