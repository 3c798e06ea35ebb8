#include "python/interruptible.hpp"

#include <pybind11/numpy.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "nablabragg/error.hpp"

namespace nablabragg::python {

namespace {

/// False: stop.  Throws what was raised.
bool may_go_on(const py::object& progress, double share) {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  return progress.is_none() || !progress(share).is(py::bool_(false));
}

}  // namespace

void run_interruptible(ComputeOptions options, const py::object& progress,
                       const std::function<void(const ComputeOptions&)>& work, Part part) {
  std::mutex mutex;
  std::condition_variable finished;
  bool done = false;
  std::exception_ptr failure;
  std::atomic<double> share{part.begin};
  std::atomic<bool> stop{false};
  options.progress = [&](double now) {
    share = part.begin + (part.end - part.begin) * now;
    return !stop;
  };

  std::optional<py::error_already_set> raised;
  {
    const py::gil_scoped_release release;
    std::thread worker([&] {
      std::exception_ptr thrown;
      try {
        work(options);
      } catch (...) {
        thrown = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      failure = thrown;
      done = true;
      finished.notify_one();
    });
    std::unique_lock lock(mutex);
    while (!finished.wait_for(lock, std::chrono::milliseconds(100), [&] { return done; })) {
      if (stop) continue;
      lock.unlock();
      {
        const py::gil_scoped_acquire acquire;
        try {
          if (!may_go_on(progress, share)) stop = true;
        } catch (py::error_already_set& error) {
          raised.emplace(std::move(error));
          stop = true;
        }
      }
      lock.lock();
    }
    lock.unlock();
    worker.join();
  }
  if (raised) throw std::move(*raised);
  if (failure) std::rethrow_exception(failure);
  if (!progress.is_none()) progress(part.end);
}

Precision precision_of(const py::object& dtype) {
  std::string name;
  try {
    name = py::str(py::dtype::from_args(dtype).attr("name"));
  } catch (py::error_already_set&) {
    name = py::str(dtype);
  }
  if (name == "float32") return Precision::float32;
  if (name == "float64") return Precision::float64;
  throw UsageError(R"(dtype is "float32" or "float64", not )" + name);
}

namespace {

Engine engine_of(const std::string& name) {
  std::string names;
  for (const EngineInfo& each : engines()) {
    if (name == each.name) return each.engine;
    names += (names.empty() ? R"(")" : R"(" or ")") + each.name;
  }
  throw UsageError("engine is " + names + R"(", not ")" + name + R"(")");
}

}  // namespace

ComputeOptions options_of(const py::object& dtype, int threads, const std::string& engine,
                          const py::object& device, const std::string& summation) {
  if (threads < 0) throw UsageError("threads is 0, for all of the machine, or a positive number");
  if (summation == "closed")
    throw UsageError(
        R"(no sum in closed form is known to this library; take summation="sampled" or "auto")");
  if (summation != "auto" && summation != "sampled")
    throw UsageError(R"(summation is "auto" or "sampled", not ")" + summation + R"(")");
  ComputeOptions options;
  options.precision = precision_of(dtype);
  options.threads = threads;
  const std::string name = device.is_none() ? engine : std::string(py::str(device));
  if (device.is_none() || name != "auto") options.engine = engine_of(name);
  return options;
}

}  // namespace nablabragg::python
