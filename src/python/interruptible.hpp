// Long work without the interpreter's lock, which Ctrl-C and a progress function can stop.
#pragma once
#include <pybind11/pybind11.h>
#include <functional>
#include "nablabragg/simulate.hpp"

namespace nablabragg::python {

namespace py = pybind11;

/// Which part of all the work a call does, for progress.
struct Part {
  double begin = 0, end = 1;
};

/// Runs `work` on a thread of its own with the options it is to use, and waits for it here, where
/// signals arrive.  `progress`, unless None, is called here ten times a second and at the end with
/// the share that is done; what it or a signal handler raises is raised when the work has stopped,
/// and False stops it with Cancelled.
void run_interruptible(ComputeOptions options, const py::object& progress,
                       const std::function<void(const ComputeOptions&)>& work, Part part = {});

/// "float32" or "float64", as str, numpy.dtype or type.  Throws UsageError.
Precision precision_of(const py::object& dtype);

/// The options of simulate(), value_and_gradient() and their like.
/// `device`, unless None, stands for `engine`: "auto" is what is fastest here.  Throws UsageError
/// for an engine or a summation that this library does not have.
ComputeOptions options_of(const py::object& dtype, int threads, const std::string& engine,
                          const py::object& device, const std::string& summation);

}  // namespace nablabragg::python
