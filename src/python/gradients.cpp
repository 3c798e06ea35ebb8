// Parameters by name, and the derivatives of an image with respect to them.
#include "nablabragg/gradient.hpp"

#include <algorithm>
#include <map>

#include "description/parameter_table.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/parameters.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/fields.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

using Shapes = std::map<std::string, std::vector<std::size_t>, std::less<>>;
using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

/// A float, or an array of the parameter's shape.
py::object value_of(const std::vector<std::size_t>& shape, std::span<const double> values) {
  if (shape.empty()) return py::float_(values[0]);
  py::array_t<double> array(std::vector<py::ssize_t>(shape.begin(), shape.end()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

/// An array of `shape` made from what a user gave; one number stands for all.
Doubles shaped(py::handle given, const std::vector<py::ssize_t>& shape, const std::string& what) {
  auto array = Doubles::ensure(given);
  if (!array) {
    PyErr_Clear();
    throw py::type_error(what + " needs numbers, not " + std::string(py::repr(given)));
  }
  if (array.ndim() == 0) {
    Doubles all(shape);
    std::fill_n(all.mutable_data(), all.size(), *array.data());
    return all;
  }
  if (!std::equal(shape.begin(), shape.end(), array.shape(), array.shape() + array.ndim()))
    throw UsageError(what + " needs the shape " + std::string(py::str(py::tuple(py::cast(shape)))) +
                     ", not " + std::string(py::str(array.attr("shape"))));
  return array;
}

/// "cell [A A A deg deg deg]", "misset [deg]", "cells"
std::string what_of(const Parameter& p) {
  std::string units;
  for (const std::string& unit : p.units) units.append(units.empty() ? "" : " ").append(unit);
  const bool same = std::all_of(p.units.begin(), p.units.end(),
                                [&](const std::string& unit) { return unit == p.units[0]; });
  if (same) units = p.units[0];
  return units.empty() ? p.name : p.name + " [" + units + "]";
}

std::vector<double> values_for(const Parameter& parameter, py::handle given) {
  const auto array = shaped(given, {parameter.shape.begin(), parameter.shape.end()},
                            what_of(parameter));
  return {array.data(), array.data() + array.size()};
}

const StructureFactorGrid& table_of(const Experiment& e) {
  if (!e.structure_factors.grid)
    throw UsageError("the experiment has no table of structure factors, so no F; it has default_F");
  return *e.structure_factors.grid;
}

/// Other values on the table's box.
std::shared_ptr<StructureFactorGrid> table_like(const StructureFactorGrid& table, py::handle F) {
  const auto values = shaped(F, {table.extent(0), table.extent(1), table.extent(2)}, "F");
  return grid_from(values, table.min(), "F");
}

py::object get_parameter(const Experiment& e, const std::string& name) {
  if (name == "F") {
    table_of(e);
    return view_of(e.structure_factors.grid);
  }
  const Parameter p = parameter(e, name);
  return value_of(p.shape, p.values);
}

Experiment replace(const Experiment& experiment, const py::kwargs& keywords) {
  Experiment changed = experiment;
  const auto& fields = fields_of<Experiment>();
  const auto field_named = [&](const std::string& name) {
    return std::find_if(fields.begin(), fields.end(),
                        [&](const auto& field) { return name == field.name; });
  };
  // Whole parts first: a parameter named as well is one of theirs.
  for (const auto& [key, value] : keywords)
    if (const auto field = field_named(key.cast<std::string>()); field != fields.end())
      field->set(changed, value);
  std::optional<SettledExperiment> settled;
  for (const auto& [key, value] : keywords) {
    const auto name = key.cast<std::string>();
    if (field_named(name) != fields.end()) continue;
    if (name == "F") {
      changed.structure_factors.grid = table_like(table_of(changed), value);
    } else {
      if (!settled) changed = settled.emplace(changed).experiment();
      description::set_parameter(changed, name, values_for(parameter(*settled, name), value));
    }
  }
  resolve(changed);
  return changed;
}

/// Which pixels a call is about, and the shape of their arrays.
struct Selection {
  std::optional<std::vector<PixelIndex>> list;  ///< empty: the image
  std::vector<py::ssize_t> shape;
};

Selection selection_of(const SettledExperiment& e, const py::object& pixels) {
  Selection selection;
  if (pixels.is_none()) {
    const Panel& panel = e.resolved().panel;
    selection.shape = {panel.slow_pixels, panel.fast_pixels};
  } else {
    selection.list = pixels_of(pixels);
    selection.shape = {static_cast<py::ssize_t>(selection.list->size())};
  }
  return selection;
}

py::dict dict_of(const SettledExperiment& e, Gradient&& gradient) {
  py::dict named;
  for (const Parameter& p : parameters(e))
    if (const auto found = gradient.parameters.find(p.name); found != gradient.parameters.end())
      named[py::str(p.name)] = value_of(p.shape, found->second);
  if (const auto& table = gradient.structure_factors)
    named["F"] = array_from(std::move(table->values()),
                            {table->extent(0), table->extent(1), table->extent(2)});
  return named;
}

ValueAndGradient weighted(const SettledExperiment& e, const Selection& selection,
                          py::handle weights, const ComputeOptions& options,
                          const py::object& progress, Part part = {}) {
  const auto w = shaped(weights, selection.shape, "the weights");
  const std::span<const double> numbers(w.data(), static_cast<std::size_t>(w.size()));
  ValueAndGradient result;
  const auto work = [&](const ComputeOptions& all) {
    result = selection.list ? value_and_gradient(e, *selection.list, numbers, all)
                            : value_and_gradient(e, numbers, all);
  };
  run_interruptible(options, progress, work, part);
  return result;
}

py::array_t<double> photons_of(const SettledExperiment& e, const Selection& selection,
                               const ComputeOptions& options, const py::object& progress,
                               Part part) {
  std::vector<double> pixels;
  const auto work = [&](const ComputeOptions& all) {
    pixels = selection.list ? photons(e, *selection.list, all) : photons(e, all);
  };
  run_interruptible(options, progress, work, part);
  return array_from(std::move(pixels), selection.shape);
}

py::tuple py_value_and_gradient(const Experiment& experiment, const py::object& loss,
                                const py::object& dtype, int threads, const py::object& pixels,
                                const py::object& progress, const std::string& engine,
                                const py::object& device, const std::string& summation) {
  const ComputeOptions options = options_of(dtype, threads, engine, device, summation);
  const SettledExperiment e(experiment);
  const Selection selection = selection_of(e, pixels);
  if (!PyCallable_Check(loss.ptr())) {
    ValueAndGradient result = weighted(e, selection, loss, options, progress);
    return py::make_tuple(result.value, dict_of(e, std::move(result.gradient)));
  }
  // The user's function runs here, on the thread that called.
  constexpr double image_share = 1.0 / 3;  // the gradient takes about twice as long
  const py::object answer = loss(photons_of(e, selection, options, progress, {0, image_share}));
  if (!py::isinstance<py::tuple>(answer) || py::len(answer) != 2)
    throw py::type_error("the loss function returns (value, dvalue/dimage)");
  const auto pair = py::reinterpret_borrow<py::tuple>(answer);
  const double value = Convert<double>::from(pair[0], "the loss function's value");
  ValueAndGradient result = weighted(e, selection, pair[1], options, progress, {image_share, 1});
  return py::make_tuple(value, dict_of(e, std::move(result.gradient)));
}

py::tuple py_jacobian(const Experiment& experiment, const py::object& names,
                      const py::object& pixels, const py::object& dtype, int threads,
                      const py::object& progress, const std::string& engine,
                      const py::object& device, const std::string& summation) {
  const ComputeOptions options = options_of(dtype, threads, engine, device, summation);
  std::vector<std::string> wanted;
  if (py::isinstance<py::str>(names))
    wanted.push_back(names.cast<std::string>());
  else
    wanted = names.cast<std::vector<std::string>>();
  const SettledExperiment e(experiment);
  const std::vector<PixelIndex> list = pixels.is_none() ? visited_pixels(e) : pixels_of(pixels);
  Jacobian result;
  run_interruptible(options, progress,
                    [&](const ComputeOptions& all) { result = jacobian(e, wanted, list, all); });
  const auto rows = static_cast<py::ssize_t>(list.size());
  const auto columns = static_cast<py::ssize_t>(result.columns.size());
  py::array_t<py::ssize_t> indices({rows, py::ssize_t{2}});
  auto index = indices.mutable_unchecked<2>();
  for (py::ssize_t i = 0; i < rows; ++i) {
    index(i, 0) = list[static_cast<std::size_t>(i)].slow;
    index(i, 1) = list[static_cast<std::size_t>(i)].fast;
  }
  return py::make_tuple(array_from(std::move(result.photons), {rows}),
                        array_from(std::move(result.slopes), {rows, columns}),
                        py::tuple(py::cast(result.columns)), indices);
}

py::array py_jvp(const Experiment& experiment, const py::dict& direction, const py::object& dtype,
                 int threads, const py::object& pixels, const py::object& progress,
                 const std::string& engine, const py::object& device,
                 const std::string& summation) {
  const ComputeOptions options = options_of(dtype, threads, engine, device, summation);
  const SettledExperiment e(experiment);
  NamedValues named;
  std::shared_ptr<StructureFactorGrid> table;
  for (const auto& [key, value] : direction) {
    const std::string name = py::str(key);
    if (name == "F")
      table = table_like(table_of(experiment), value);
    else
      named[name] = values_for(parameter(e, name), value);
  }
  const std::vector<PixelIndex> list = pixels.is_none() ? visited_pixels(e) : pixels_of(pixels);
  std::vector<double> change;
  run_interruptible(options, progress, [&](const ComputeOptions& all) {
    change = jvp(e, named, list, all, table.get());
  });
  if (!pixels.is_none())
    return array_from(std::move(change), {static_cast<py::ssize_t>(list.size())});
  const std::vector<py::ssize_t> shape = selection_of(e, pixels).shape;
  std::vector<double> image(static_cast<std::size_t>(shape[0] * shape[1]));
  for (std::size_t i = 0; i < list.size(); ++i)
    image[static_cast<std::size_t>(list[i].slow * shape[1] + list[i].fast)] = change[i];
  return array_from(std::move(image), shape);
}

constexpr const char* common = R"(
dtype : 'float64' or 'float32'
    of the arithmetic; results are float64
pixels : int array (n, 2) of (slow, fast), or bool array (slow, fast)
    only these, in arrays of shape (n,)
threads, progress, engine, device, summation
    as simulate() takes them; by 'reference' the value is that of its own image

Raises what simulate() raises, and UsageError for wrong shapes and names.)";

}  // namespace

void bind_gradients(py::module_& module) {
  py::options doc;
  doc.disable_function_signatures();

  const py::object experiment = module.attr("Experiment");
  const auto method = [&](const char* name, auto function, const char* help) {
    experiment.attr(name) = py::cpp_function(function, py::name(name), py::is_method(experiment),
                                             py::sibling(py::none()), help);
  };
  const auto property = [&](const char* name, auto function, const char* help) {
    const py::object builtin = py::module_::import("builtins").attr("property");
    experiment.attr(name) = builtin(py::cpp_function(function, py::is_method(experiment)),
                                    py::none(), py::none(), help);
  };
  method("__getitem__", &get_parameter,
         "The value of one of parameters, or of the table of structure factors: \"F\".  Raises "
         "UsageError for other names.");
  method(
      "__contains__",
      [](const Experiment& e, const std::string& name) {
        if (name == "F") return e.structure_factors.grid != nullptr;
        const auto all = parameters(e);
        return std::any_of(all.begin(), all.end(), [&](const auto& p) { return p.name == name; });
      },
      "Whether there is a parameter of this name.");
  method(
      "replace", &replace,
      "replace(**changes)\n\nA copy with other parts (crystal=...) and other values of parameters "
      "(distance=91.2, cell=..., F=...), in their units.  A new wavelength leaves a lattice that "
      "is given as a matrix as it is.  Raises UsageError for names that are neither, wrong shapes "
      "and what describes no experiment.");
  property(
      "parameters",
      [](const Experiment& e) {
        py::dict values;
        for (const Parameter& p : parameters(e))
          values[py::str(p.name)] = value_of(p.shape, p.values);
        return values;
      },
      "dict of name to float or array: what the image depends on, structure factors of the table "
      "aside, as it is computed");
  property(
      "units",
      [](const Experiment& e) {
        py::dict units;
        for (const Parameter& p : parameters(e))
          units[py::str(p.name)] = p.shape.empty() ? py::object(py::str(p.units[0]))
                                                   : py::tuple(py::cast(p.units));
        return units;
      },
      "dict of name to unit (a str), or to a tuple of one for each number of the parameter");

  const auto keywords = [&](const char* name, auto function, const std::string& help,
                            const auto&... arguments) {
    module.def(name, function, py::arg("experiment"), arguments..., py::kw_only(),
               py::arg("dtype") = "float64", py::arg("threads") = 0, py::arg("pixels") = py::none(),
               py::arg("progress") = py::none(), py::arg("engine") = "cpu",
               py::arg("device") = py::none(), py::arg("summation") = "auto",
               (help + common).c_str());
  };
  keywords(
      "value_and_gradient", &py_value_and_gradient,
      R"(value_and_gradient(experiment, loss, *, dtype='float64', threads=0, pixels=None, progress=None, engine='cpu', device=None, summation='auto')

A number that depends on the image, and its derivative with respect to all that made the image:
(value, gradient), gradient a dict of the names, shapes and units of experiment.parameters, and F, an
array on the box of the table of structure factors, where there is one.

loss : array (slow, fast), or a function
    the weights w of sum(w * image); or a function image -> (value, dvalue/dimage), called once with
    the float64 image)",
      py::arg("loss"));
  keywords(
      "vjp",
      [](const Experiment& described, const py::object& weights, const py::object& dtype,
         int threads, const py::object& pixels, const py::object& progress,
         const std::string& engine, const py::object& device, const std::string& summation) {
        const ComputeOptions options = options_of(dtype, threads, engine, device, summation);
        const SettledExperiment e(described);
        return dict_of(e,
                       weighted(e, selection_of(e, pixels), weights, options, progress).gradient);
      },
      R"(vjp(experiment, weights, *, dtype='float64', threads=0, pixels=None, progress=None, engine='cpu', device=None, summation='auto')

Weights x Jacobian: the gradient of sum(weights * image) as value_and_gradient() gives it.

weights : array (slow, fast))",
      py::arg("weights"));
  keywords(
      "jvp", &py_jvp,
      R"(jvp(experiment, direction, *, dtype='float64', threads=0, pixels=None, progress=None, engine='cpu', device=None, summation='auto')

Jacobian x direction: how fast every pixel changes along a direction, an array (slow, fast).

direction : dict of name to number or array
    of some of experiment.parameters, in their shapes and units; F on the table's box)",
      py::arg("direction"));
  module.def("jacobian", &py_jacobian, py::arg("experiment"), py::arg("names"),
             py::arg("pixels") = py::none(), py::kw_only(), py::arg("dtype") = "float64",
             py::arg("threads") = 0, py::arg("progress") = py::none(), py::arg("engine") = "cpu",
             py::arg("device") = py::none(), py::arg("summation") = "auto");
}

}  // namespace nablabragg::python
