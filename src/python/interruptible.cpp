#include "python/interruptible.hpp"

#include <pybind11/numpy.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "nablabragg/error.hpp"
#include "python/convert.hpp"

namespace nablabragg::python {

namespace {

using namespace std::chrono_literals;

/// How often signals are looked for.
constexpr auto glance = 100ms;
/// How long work that has been told to stop is waited for before it is left to itself.
constexpr auto patience = 500ms;

/// Work on a thread of its own.
class Worker {
 public:
  explicit Worker(std::function<void()> work)
      : thread_([state = state_, work = std::move(work)] {
          std::exception_ptr thrown;
          try {
            work();
          } catch (...) {
            thrown = std::current_exception();
          }
          const std::lock_guard lock(state->mutex);
          state->failure = thrown;
          state->done = true;
          state->finished.notify_one();
        }) {}
  ~Worker() {
    if (thread_.joinable()) thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  bool done_within(std::chrono::milliseconds time) {
    std::unique_lock lock(state_->mutex);
    return state_->finished.wait_for(lock, time, [&] { return state_->done; });
  }
  /// Waits for the end; throws what the work threw.
  void finish() {
    thread_.join();
    if (state_->failure) std::rethrow_exception(state_->failure);
  }
  /// The work goes on; nobody waits for it.
  void abandon() { thread_.detach(); }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable finished;
    bool done = false;
    std::exception_ptr failure;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::thread thread_;
};

/// False: stop.  Throws what was raised.
bool may_go_on(const py::object& progress, double share) {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  return progress.is_none() || !progress(share).is(py::bool_(false));
}

}  // namespace

void run_interruptible(ComputeOptions options, const py::object& progress,
                       const std::function<void(const ComputeOptions&)>& work, Part part) {
  std::atomic<double> share{part.begin};
  std::atomic<bool> stop{false};
  options.progress = [&](double now) {
    share = part.begin + (part.end - part.begin) * now;
    return !stop;
  };
  std::optional<py::error_already_set> raised;
  {
    const py::gil_scoped_release release;
    Worker worker([&] { work(options); });
    while (!worker.done_within(glance)) {
      if (stop) continue;
      const py::gil_scoped_acquire acquire;
      try {
        if (!may_go_on(progress, share)) stop = true;
      } catch (py::error_already_set& error) {
        raised.emplace(std::move(error));
        stop = true;
      }
    }
    // What was raised comes before what the stopped work says of it.
    try {
      worker.finish();
    } catch (...) {
      if (!raised) throw;
    }
  }
  if (raised) throw std::move(*raised);
  if (!progress.is_none()) progress(part.end);
}

void run_apart(std::function<void(const std::function<bool()>& may_go_on)> work) {
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  std::optional<py::error_already_set> raised;
  {
    const py::gil_scoped_release release;
    Worker worker([stop, work = std::move(work)] { work([&] { return !*stop; }); });
    while (!worker.done_within(raised ? patience : glance)) {
      if (raised) {
        worker.abandon();
        break;
      }
      const py::gil_scoped_acquire acquire;
      if (PyErr_CheckSignals() == 0) continue;
      raised.emplace();
      *stop = true;
    }
    if (!raised) worker.finish();
  }
  if (raised) throw std::move(*raised);
}

Precision precision_of(const py::object& dtype) {
  std::string name;
  try {
    name = py::str(py::dtype::from_args(dtype).attr("name"));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
  }
  if (name == "float32") return Precision::float32;
  if (name == "float64") return Precision::float64;
  throw UsageError(R"(dtype is "float32" or "float64", not )" + described(dtype));
}

namespace {

void choose(const std::string& name, ComputeOptions& options) {
  if (choose_engine(name, options)) return;
  std::string names = R"("auto")";
  for (const EngineInfo& each : engines()) names += R"(, ")" + each.name + R"(")";
  throw UsageError("engine and device are one of " + names +
                   R"(, "cuda:1" for the second GPU, not ")" + name + R"(")");
}

}  // namespace

Experiment as_summed(Experiment experiment, const py::dict& asked) {
  const auto name = Convert<std::string>::from(asked["summation"], "summation");
  if (name == "closed")
    experiment.sampling.summation = Summation::closed;
  else if (name == "sampled")
    experiment.sampling.summation = Summation::sampled;
  else if (name != "auto")
    throw UsageError(R"(summation is "auto", "closed" or "sampled", not ")" + name + R"(")");
  return experiment;
}

ComputeOptions options_of(const py::dict& asked) {
  const int threads = Convert<int>::from(asked["threads"], "threads");
  const py::object device = asked["device"];
  if (threads < 0) throw UsageError("threads is 0, for all of the machine, or a positive number");
  ComputeOptions options;
  options.precision = precision_of(asked["dtype"]);
  options.threads = threads;
  const auto name = device.is_none() ? Convert<std::string>::from(asked["engine"], "engine")
                                     : Convert<std::string>::from(device, "device");
  choose(name, options);
  return options;
}

}  // namespace nablabragg::python
