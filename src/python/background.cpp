// Matter in the beam as Python sees it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "nablabragg/background.hpp"
#include "nablabragg/error.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

Material material_of(const py::object& path) {
  return result_apart([name = path_of(path)](const auto&) { return read_background(name); });
}

py::tuple py_gas_in_beam(const py::object& start, const py::object& end, const py::object& gas,
                         const py::object& temperature, const py::object& pressure) {
  GasState state;
  const auto name = Convert<std::string>::from(gas, "gas");
  if (name != "air" && name != "helium")
    throw UsageError("gas is one of \"air\", \"helium\", not \"" + name + '"');
  state.gas = name == "air" ? Gas::air : Gas::helium;
  state.temperature_K = Convert<double>::from(temperature, "temperature");
  state.pressure_kPa = Convert<double>::from(pressure, "pressure");
  return py::tuple(py::cast(gas_in_beam(Convert<double>::from(start, "start"),
                                        Convert<double>::from(end, "end"), state)));
}

Material py_compton_of(const py::object& formula, const py::object& material) {
  return compton_of(Convert<std::string>::from(formula, "formula"),
                    Convert<Material>::from(material, "material"));
}

Material py_ice_rings(const py::object& thickness, const py::object& cell, const py::object& size,
                      const py::object& B) {
  IceRings ice;
  ice.thickness_um = Convert<double>::from(thickness, "thickness");
  const auto edges = Convert<std::vector<double>>::from(cell, "cell");
  if (edges.size() != 2) throw UsageError("cell needs two edges of ice, a and c in Angstrom");
  ice.a_A = edges[0];
  ice.c_A = edges[1];
  ice.size_A = Convert<double>::from(size, "size");
  ice.B_A2 = Convert<double>::from(B, "B");
  return ice_rings(ice);
}

}  // namespace

void bind_background(py::module_& module) {
  module.def("read_background", &material_of);
  module.def("gas_in_beam", &py_gas_in_beam);
  module.def("compton_of", &py_compton_of);
  module.def("ice_rings", &py_ice_rings);
}

}  // namespace nablabragg::python
