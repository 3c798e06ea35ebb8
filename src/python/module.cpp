#include "nablabragg/version.hpp"
#include "python/bindings.hpp"
#include "python/device_arrays.hpp"

PYBIND11_MODULE(_core, module) {
  namespace python = nablabragg::python;
  module.doc() = "The compiled part of nablabragg; import nablabragg instead.";
  module.attr("__version__") = nablabragg::version();
  python::bind_errors(module);
  python::bind_reflections(module);
  python::bind_description(module);
  python::bind_background(module);
  python::bind_images(module);
  python::bind_device_arrays(module);
  python::bind_files(module);
  python::bind_response(module);
  python::bind_gradients(module);
#if NABLA_ENSEMBLE
  python::bind_ensembles(module);
#endif
#if NABLA_REFINE
  python::bind_refinement(module);
#endif
}
