// C++ errors -> Python exceptions.
#include "nablabragg/error.hpp"

#include "python/bindings.hpp"

namespace nablabragg::python {

namespace {

py::handle make_exception(py::module_& module, const char* name, const char* help,
                          const py::tuple& bases) {
  const std::string full = std::string("nablabragg.") + name;
  PyObject* const type = PyErr_NewExceptionWithDoc(full.c_str(), help, bases.ptr(), nullptr);
  if (!type) throw py::error_already_set();
  module.attr(name) = py::reinterpret_steal<py::object>(type);
  return type;  // the module keeps it alive
}

struct Exceptions {
  py::handle error, usage, input, output, device, cancelled, warning;
} exceptions;

/// Names of files may hold bytes that are no UTF-8.
py::object text_of(const std::string& sentence) {
  return py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
      sentence.data(), static_cast<Py_ssize_t>(sentence.size()), "backslashreplace"));
}

void set_error(const py::handle& type, const std::string& sentence) {
  PyErr_SetObject(type.ptr(), text_of(sentence).ptr());
}

}  // namespace

void warn(const std::string& sentence) {
  // Seen from the module's own Python function, which called: its caller's line.
  constexpr py::ssize_t callers_caller = 2;
  if (PyErr_WarnFormat(exceptions.warning.ptr(), callers_caller, "%U", text_of(sentence).ptr()) !=
      0)
    throw py::error_already_set();
}

void bind_errors(py::module_& module) {
  const py::handle exception = PyExc_Exception, value_error = PyExc_ValueError;
  exceptions.error = make_exception(
      module, "Error", "Base of every error: one sentence that says what, where and what to do.",
      py::make_tuple(exception));
  exceptions.usage = make_exception(
      module, "UsageError",
      "A parameter, flag or combination of them that describes no experiment; also a ValueError.",
      py::make_tuple(exceptions.error, value_error));
  exceptions.input = make_exception(
      module, "InputError",
      "A file that cannot be read, or a file or table that does not hold what it should.",
      py::make_tuple(exceptions.error));
  exceptions.output = make_exception(module, "OutputError", "A file that cannot be written.",
                                     py::make_tuple(exceptions.error));
  exceptions.device = make_exception(module, "DeviceError", "A GPU or its driver that failed.",
                                     py::make_tuple(exceptions.error));
  exceptions.cancelled = make_exception(
      module, "Cancelled", "The progress function returned False.  Ctrl-C is a KeyboardInterrupt.",
      py::make_tuple(exceptions.error));

  const py::handle user_warning = PyExc_UserWarning;
  exceptions.warning = make_exception(
      module, "SimulationWarning",
      "What is worth knowing about an experiment or an image that was made all the same.",
      py::make_tuple(user_warning));

  // NOLINTNEXTLINE(performance-unnecessary-value-param): the type it must have
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const UsageError& error) {
      set_error(exceptions.usage, error.what());
    } catch (const InputError& error) {
      set_error(exceptions.input, error.what());
    } catch (const OutputError& error) {
      set_error(exceptions.output, error.what());
    } catch (const DeviceError& error) {
      set_error(exceptions.device, error.what());
    } catch (const Cancelled&) {
      set_error(exceptions.cancelled, "stopped before the image was complete");
    } catch (const Error& error) {
      set_error(exceptions.error, error.what());
    }
  });
}

}  // namespace nablabragg::python
