// Parameters by name, and the derivatives of an image with respect to them.
#include "nablabragg/gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "description/parameter_table.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/parameters.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/detector_response.hpp"
#include "python/fields.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

using Shapes = std::map<std::string, std::vector<std::size_t>, std::less<>>;

/// A float, or an array of the parameter's shape.
py::object value_of(const std::vector<std::size_t>& shape, std::span<const double> values) {
  if (shape.empty()) return py::float_(values[0]);
  py::array_t<double> array(std::vector<py::ssize_t>(shape.begin(), shape.end()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

/// An array of `shape` made from what a user gave; one number stands for all.
/// `what_needs`: "the weights need", "cell [A A A deg deg deg] needs".
Doubles shaped(py::handle given, const std::vector<py::ssize_t>& shape,
               const std::string& what_needs) {
  auto array = array_of(given, what_needs, "numbers");
  if (array.ndim() == 0) {
    Doubles all(shape);
    std::fill_n(all.mutable_data(), all.size(), *array.data());
    return all;
  }
  if (!std::equal(shape.begin(), shape.end(), array.shape(), array.shape() + array.ndim()))
    throw UsageError(what_needs + " the shape " + std::string(py::str(py::tuple(py::cast(shape)))) +
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
                            what_of(parameter) + " needs");
  return {array.data(), array.data() + array.size()};
}

const StructureFactorGrid& table_of(const Experiment& e) {
  if (!e.structure_factors.grid)
    throw UsageError("the experiment has no table of structure factors, so no F; it has default_F");
  return *e.structure_factors.grid;
}
void check_F_is_free(const Experiment& e) {
  if (table_of(e).anomalous())
    throw UsageError(
        "F follows the energy of the light, by f' and f''; it cannot be set or varied");
}

/// f' or f'' of an element, a number for each row of its curve, as gradients name them; empty: it
/// is neither.
std::optional<Parameter> curve_named(const Experiment& e, const std::string& name) {
  const auto& grid = e.structure_factors.grid;
  if (!grid || !grid->anomalous()) return std::nullopt;
  for (const AnomalousSpecies& species : grid->anomalous()->species) {
    const DispersionCurve& curve = species.curve;
    for (const auto& [numbers, begin] : {std::pair(&curve.f_prime, "f_prime["),
                                         std::pair(&curve.f_double_prime, "f_double_prime[")})
      if (name == begin + curve.element + "]")
        return Parameter{name, {"electrons"}, {numbers->size()}, *numbers};
  }
  return std::nullopt;
}

/// Other values on the table's box.
std::shared_ptr<StructureFactorGrid> table_like(const StructureFactorGrid& table, py::handle F) {
  const auto values = shaped(F, {table.extent(0), table.extent(1), table.extent(2)}, "F needs");
  return grid_from(values, table.min(), "F");
}

py::object get_parameter(const Experiment& e, const py::object& key) {
  const auto name = Convert<std::string>::from(key, "the name of a parameter");
  if (name == "F") {
    table_of(e);
    return view_of(e.structure_factors.grid);
  }
  const Parameter p = parameter(e, name);
  return value_of(p.shape, p.values);
}

Experiment replace(const Experiment& experiment, const py::args& positional,
                   const py::kwargs& keywords) {
  if (!positional.empty())
    throw py::type_error("replace() takes keywords: replace(distance=...), replace(crystal=...)");
  Experiment changed = experiment;
  const auto& fields = fields_of<Experiment>();
  const auto field_named = [&](const std::string& name) {
    return std::find_if(fields.begin(), fields.end(),
                        [&](const auto& field) { return name == field.name; });
  };
  // Whole parts first: a parameter named as well is one of theirs.
  bool parts = false;
  for (const auto& [key, value] : keywords)
    if (const auto field = field_named(text_of(key)); field != fields.end()) {
      field->set(changed, value);
      parts = true;
    }
  std::optional<SettledExperiment> settled;
  for (const auto& [key, value] : keywords) {
    const auto name = text_of(key);
    if (field_named(name) != fields.end()) continue;
    if (name == "F") {
      check_F_is_free(changed);
      const auto table = table_like(table_of(changed), value);
      check_amplitudes(*table);
      changed.structure_factors.grid = table;
    } else {
      if (!settled) changed = settled.emplace(changed).experiment();
      description::set_parameter(changed, name, values_for(parameter(*settled, name), value));
    }
  }
  resolve(changed);
  if (parts)
    check_statements(changed);
  else
    drop_stated_cell(changed);
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
    selection.shape = image_shape(e.resolved());
  } else {
    selection.list = pixels_of(pixels, e.experiment());
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
  for (const DispersionSlopes& slopes : gradient.dispersion) {
    const auto put = [&](const std::string& name, const std::vector<double>& values) {
      named[py::str(name + "[" + slopes.element + "]")] = value_of({values.size()}, values);
    };
    put("f_prime", slopes.f_prime);
    put("f_double_prime", slopes.f_double_prime);
  }
  return named;
}

constexpr const char* the_weights = "the weights need";

ValueAndGradient weighted(const SettledExperiment& e, const Selection& selection,
                          py::handle weights, const char* weights_need,
                          const ComputeOptions& options, const py::object& progress,
                          Part part = {}) {
  const auto w = shaped(weights, selection.shape, weights_need);
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

/// An experiment, the pixels that a call is about, and how to compute them.
struct Call {
  const SettledExperiment e;
  const ComputeOptions options;
  const py::object pixels, progress;

  Call(const py::object& experiment, const py::dict& asked)
      : e(as_summed(experiment_of(experiment), asked)),
        options(options_of(asked)),
        pixels(asked["pixels"]),
        progress(asked["progress"]) {}

  std::vector<PixelIndex> listed_or_visited() const {
    return pixels.is_none() ? visited_pixels(e) : pixels_of(pixels, e.experiment());
  }
};

/// The pair that a user's function of an image returned; empty where its value is not finite.
struct Answer {
  double value;
  std::optional<Doubles> slopes;
};
Answer answer_of(const py::object& answer, const std::vector<py::ssize_t>& shape,
                 const char* of_what) {
  if (!py::isinstance<py::tuple>(answer) || py::len(answer) != 2)
    throw py::type_error("the loss function returns (value, dvalue/d" + std::string(of_what) + ")");
  const auto pair = py::reinterpret_borrow<py::tuple>(answer);
  const double value = Convert<double>::from(pair[0], "the loss function's value");
  Doubles slopes = shaped(pair[1], shape, "the loss function's derivative needs");
  if (!std::isfinite(value)) return {value, {}};
  return {value, std::move(slopes)};
}

/// Of a function of the expected counts, or of weights of them.
py::tuple through_response(const Call& call, const DetectorResponse& response,
                           const py::object& loss) {
  const auto& [e, options, pixels, progress] = call;
  if (!pixels.is_none())
    throw UsageError("a response is of whole images; with pixels there is none");
  const Selection selection = selection_of(e, pixels);
  constexpr double image_share = 1.0 / 3;
  const py::array_t<double> photons = photons_of(e, selection, options, progress, {0, image_share});
  const std::span<const double> light(photons.data(), static_cast<std::size_t>(photons.size()));
  std::vector<double> counts = expected_counts(e.experiment(), response, light);
  Answer answer{0, {}};
  if (PyCallable_Check(loss.ptr())) {
    answer = answer_of(loss(array_from(std::move(counts), selection.shape)), selection.shape,
                       "counts");
  } else {
    answer.slopes = shaped(loss, selection.shape, the_weights);
    std::vector<std::size_t> first{0};
    for (std::size_t i = 0; i <= e.resolved().more_panels.size(); ++i) {
      const Panel& panel = panel_of(e.resolved(), i);
      first.push_back(first.back() + PanelExtent{panel.fast_pixels, panel.slow_pixels}.pixels());
    }
    for (const PixelIndex& p : visited_pixels(e)) {
      const auto panel = static_cast<std::size_t>(p.panel);
      const auto width = static_cast<std::size_t>(panel_of(e.resolved(), panel).fast_pixels);
      const std::size_t i = first[panel] + static_cast<std::size_t>(p.slow) * width +
                            static_cast<std::size_t>(p.fast);
      answer.value += answer.slopes->data()[i] * counts[i];
    }
    if (!std::isfinite(answer.value)) answer.slopes.reset();
  }
  ExpectedCountsSlopes by_response;
  py::dict named;
  if (answer.slopes) {
    by_response = pull_back_counts(
        e.experiment(), response, light,
        {answer.slopes->data(), static_cast<std::size_t>(answer.slopes->size())});
    const py::array_t<double> weights = array_from(std::move(by_response.light), selection.shape);
    named = dict_of(
        e,
        weighted(e, selection, weights, the_weights, options, progress, {image_share, 1}).gradient);
  } else {
    constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
    by_response.gain.assign(e.experiment().more_panels.size() + 1, undefined);
    by_response.offset = by_response.dark_current_e_s = by_response.fwhm_um = undefined;
    named = dict_of(e, undefined_gradient(e));
  }
  if (response.kind == DetectorResponse::Kind::integrating) {
    named["response.gain"] = value_of({by_response.gain.size()}, by_response.gain);
    named["response.offset"] = by_response.offset;
    named["response.dark_current"] = by_response.dark_current_e_s;
  }
  if (response.point_spread) named["response.fwhm"] = by_response.fwhm_um;
  return py::make_tuple(answer.value, named);
}

py::tuple py_value_and_gradient(const py::object& experiment, const py::object& loss,
                                const py::object& response, const py::dict& asked) {
  const Call call(experiment, asked);
  const auto& [e, options, pixels, progress] = call;
  if (!response.is_none())
    return through_response(call, response_of(response, e.experiment()), loss);
  const Selection selection = selection_of(e, pixels);
  if (!PyCallable_Check(loss.ptr())) {
    ValueAndGradient result = weighted(e, selection, loss, the_weights, options, progress);
    return py::make_tuple(result.value, dict_of(e, std::move(result.gradient)));
  }
  // The user's function runs here, on the thread that called.
  constexpr double image_share = 1.0 / 3;  // the gradient takes about twice as long
  const Answer answer = answer_of(
      loss(photons_of(e, selection, options, progress, {0, image_share})), selection.shape,
      "image");
  if (!answer.slopes) return py::make_tuple(answer.value, dict_of(e, undefined_gradient(e)));
  ValueAndGradient result = weighted(e, selection, *answer.slopes, the_weights, options, progress,
                                     {image_share, 1});
  return py::make_tuple(answer.value, dict_of(e, std::move(result.gradient)));
}

py::dict py_vjp(const py::object& experiment, const py::object& weights, const py::dict& asked) {
  const Call call(experiment, asked);
  return dict_of(call.e, weighted(call.e, selection_of(call.e, call.pixels), weights, the_weights,
                                  call.options, call.progress)
                             .gradient);
}

py::tuple py_jacobian(const py::object& experiment, const py::object& names,
                      const py::dict& asked) {
  const Call call(experiment, asked);
  const auto& [e, options, pixels, progress] = call;
  std::vector<std::string> wanted;
  if (py::isinstance<py::str>(names) || !PySequence_Check(names.ptr()))
    wanted.push_back(Convert<std::string>::from(names, "names"));
  else
    for (const py::handle name : names)
      wanted.push_back(Convert<std::string>::from(name, "the name of a parameter"));
  const std::vector<PixelIndex> list = call.listed_or_visited();
  Jacobian result;
  run_interruptible(options, progress, [&](const ComputeOptions& all) {
    result = jacobian(call.e, wanted, list, all);
  });
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

py::array py_jvp(const py::object& experiment, const py::object& direction, const py::dict& asked) {
  const Call call(experiment, asked);
  const auto& [e, options, pixels, progress] = call;
  if (!py::isinstance<py::dict>(direction)) fail("direction needs", "a dict of names", direction);
  NamedValues named;
  std::shared_ptr<StructureFactorGrid> table;
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(direction)) {
    const std::string name = py::str(key);
    if (name == "F") {
      check_F_is_free(e.experiment());
      table = table_like(table_of(e.experiment()), value);
    } else {
      const std::optional<Parameter> curve = curve_named(e.experiment(), name);
      named[name] = values_for(curve ? *curve : parameter(e, name), value);
    }
  }
  const std::vector<PixelIndex> list = call.listed_or_visited();
  std::vector<double> change;
  run_interruptible(options, progress, [&](const ComputeOptions& all) {
    change = jvp(call.e, named, list, all, table.get());
  });
  if (!pixels.is_none())
    return array_from(std::move(change), {static_cast<py::ssize_t>(list.size())});
  const std::vector<py::ssize_t> shape = selection_of(e, pixels).shape;
  std::vector<double> image(static_cast<std::size_t>(shape[0] * shape[1]));
  for (std::size_t i = 0; i < list.size(); ++i)
    image[static_cast<std::size_t>(list[i].slow * shape[1] + list[i].fast)] = change[i];
  return array_from(std::move(image), shape);
}

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
      [](const Experiment& e, const py::object& key) {
        if (!py::isinstance<py::str>(key)) return false;
        const auto name = text_of(key);
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

  module.def("value_and_gradient", &py_value_and_gradient);
  module.def("vjp", &py_vjp);
  module.def("jvp", &py_jvp);
  module.def("jacobian", &py_jacobian);
}

}  // namespace nablabragg::python
