// Long work without the interpreter's lock, which Ctrl-C and a progress function can stop.
#pragma once
#include <pybind11/pybind11.h>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
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

/// Runs `work`, of reading or of preparing, on a thread of its own and waits for it here.  A signal
/// handler's exception is raised within a second: `work` hears by its argument that it is to stop;
/// if it does not listen, as what reads from a pipe that nobody fills, it is left to itself.  So it
/// must own all that it uses.
void run_apart(std::function<void(const std::function<bool()>& may_go_on)> work);

/// The same for work with a result.
template <class Work>
auto result_apart(Work work) {
  using Result = decltype(work(std::function<bool()>()));
  const auto result = std::make_shared<std::optional<Result>>();
  run_apart([result, work = std::move(work)](const std::function<bool()>& may_go_on) {
    result->emplace(work(may_go_on));
  });
  return std::move(**result);
}

/// "float32" or "float64", as str, numpy.dtype or type.  Throws UsageError.
Precision precision_of(const py::object& dtype);

/// The experiment as "summation" wants its light added up; "auto": as its sampling says.  Throws
/// UsageError for another name.
Experiment as_summed(Experiment experiment, const py::dict& asked);

/// From "dtype", "threads", "engine" and "device", as simulate(), value_and_gradient() and their
/// like take them.  Throws py::type_error, and UsageError for an engine that does not exist.
ComputeOptions options_of(const py::dict& asked);

}  // namespace nablabragg::python
