// The parts of an experiment as Python classes, made from the tables of fields.
#include <pybind11/numpy.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <tuple>

#include "description/unit_cells.hpp"
#include "flags/command_line.hpp"
#include "flags/flags.hpp"
#include "flags/inputs.hpp"
#include "flags/notices.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/reflection_table.hpp"
#include "nablabragg/resolved.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/detector_response.hpp"
#include "python/fields.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

/// No Miller index is larger.
constexpr double largest_index = 1e6;

bool same_value(const py::object& a, const py::object& b) {
  if (py::isinstance<py::array>(a) || py::isinstance<py::array>(b))
    return py::module_::import("numpy").attr("array_equal")(a, b).cast<bool>();
  return a.equal(b);
}

/// Class documentation: the keywords with their defaults, then one paragraph for each.
template <class Part>
std::string documentation(const char* name, const char* summary) {
  const Part standard{};
  std::string keywords, fields;
  for (const Field<Part>& field : fields_of<Part>()) {
    const std::string value = py::repr(field.get(standard));
    keywords.append(keywords.empty() ? "*, " : ", ").append(field.name).append("=").append(value);
    fields.append(field.name).append(" : ").append(field.kind);
    fields.append("\n    ").append(field.help).append("\n");
  }
  return std::string(name) + '(' + keywords + ")\n\n" + summary +
         "\n\nImmutable; replace() gives a changed copy.  A wrong kind of value is a "
         "TypeError.\n\n" +
         fields;
}

/// What inspect.signature() says of the class.
template <class Part>
py::object signature() {
  const Part standard{};
  const py::module_ inspect = py::module_::import("inspect");
  const py::object parameter = inspect.attr("Parameter");
  py::list keywords;
  for (const Field<Part>& field : fields_of<Part>())
    keywords.append(parameter(field.name, parameter.attr("KEYWORD_ONLY"),
                              py::arg("default") = field.get(standard)));
  return inspect.attr("Signature")(keywords);
}

template <class Part>
void assign(Part& part, const py::kwargs& keywords, const char* name) {
  set_fields(part, keywords, name);
}

/// F and its box are one field in two keywords.
void assign(StructureFactors& factors, const py::kwargs& keywords, const char* name) {
  py::kwargs rest;
  for (const auto& [key, value] : keywords) rest[key] = value;
  if (rest.contains("F") && !rest["F"].is_none()) {
    const py::object given_F = rest["F"];
    const Doubles values = array_of(given_F, "F needs", "an array of three axes, h x k x l");
    MillerIndex min{};
    if (rest.contains("min") && !rest["min"].is_none()) {
      const auto given = numbers(rest["min"], 3, "min");
      for (std::size_t axis = 0; axis < 3; ++axis) {
        if (!(std::abs(given[axis]) <= largest_index) || given[axis] != std::round(given[axis]))
          throw UsageError("min needs three whole numbers, the indices of F[0, 0, 0]");
        min[axis] = static_cast<int>(given[axis]);
      }
    } else {
      for (const auto& extent : py::tuple(values.attr("shape")))
        if (extent.cast<py::ssize_t>() % 2 == 0)
          throw UsageError(
              "F has an even number of indices along an axis: give min=(h, k, l), the indices of "
              "its first entry");
      const py::tuple shape = values.attr("shape");
      for (std::size_t axis = 0; axis < std::min<std::size_t>(3, shape.size()); ++axis)
        min[axis] = -shape[axis].cast<int>() / 2;
    }
    const auto grid = grid_from(values, min, "F");
    check_amplitudes(*grid);
    factors.grid = grid;
  } else if (rest.contains("F")) {
    factors.grid = nullptr;
  }
  for (const char* done : {"F", "min"})
    if (rest.contains(done)) rest.attr("pop")(done);
  set_fields(factors, rest, name);
}

}  // namespace

void check_statements(const Experiment& experiment) {
  for (const description::Doubt& doubt : description::doubts_of(experiment)) {
    if (doubt.refused && !experiment.quirks.implausible_numbers) throw UsageError(doubt.problem);
    warn(doubt.problem);
  }
}

void drop_stated_cell(Experiment& experiment) {
  const std::optional<UnitCell>& stated = experiment.structure_factors.stated_cell;
  if (!stated) return;
  const auto doubt = description::doubt_of_data(*stated, description::cell_of(experiment),
                                                "it is now");
  if (!doubt || !doubt->refused) return;
  warn("the structure factors are " + doubt->problem + "; stated_cell is None from here on");
  experiment.structure_factors.stated_cell.reset();
}

namespace {

/// What nothing else states is that of the structure factors, as in the program.
void use_stated_cell(Experiment& experiment) {
  const std::optional<UnitCell>& stated = experiment.structure_factors.stated_cell;
  if (!stated || experiment.crystal.cell || experiment.crystal.mosflm_matrix) return;
  if (!description::is_plausible(*stated))
    throw UsageError("the structure factors say that their cell is " +
                     description::text_of(*stated) +
                     ", which no crystal has; give Crystal(cell=...)");
  experiment.crystal.cell = stated;
  warn("the cell of the structure factors is taken, " + description::text_of(*stated) +
       "; Crystal(cell=...) gives another");
}

/// As resolve() and the program do, but when the experiment is made, not when it is simulated.
void check(const Experiment& experiment) {
  if (!experiment.structure_factors.grid && experiment.structure_factors.default_F == 0)
    throw UsageError(
        "there are no structure factors; give structure_factors=StructureFactors.read(FILE), or "
        "structure_factors=100 for the same amplitude everywhere");
  resolve(experiment);
}

enum class Statements {
  checked,
  known  ///< of an experiment that was made before
};

template <class Part>
Part make(const py::args& positional, const py::kwargs& keywords, const char* name,
          Statements statements = Statements::checked) {
  if (!positional.empty())
    throw py::type_error(std::string(name) + " takes keywords: " + name + '(' +
                         fields_of<Part>().front().name + "=...)");
  Part part{};
  assign(part, keywords, name);
  if constexpr (std::is_same_v<Part, Experiment>) {
    use_stated_cell(part);
    check(part);
    if (statements == Statements::checked) check_statements(part);
  }
  return part;
}

template <class Part>
py::dict values_of(const Part& part) {
  py::dict values;
  for (const Field<Part>& field : fields_of<Part>()) values[field.name] = field.get(part);
  return values;
}

template <class Part>
std::string representation(const Part& part, const char* name) {
  constexpr std::size_t most_shown = 20;
  const Part standard{};
  std::string text;
  for (const Field<Part>& field : fields_of<Part>()) {
    const py::object value = field.get(part);
    if (same_value(value, field.get(standard))) continue;
    text.append(text.empty() ? "" : ", ").append(field.name).append("=");
    if (py::isinstance<py::array>(value))
      text.append("<array ").append(py::str(value.attr("shape"))).append(">");
    else if (py::isinstance<py::tuple>(value) && py::len(value) > most_shown)
      text.append("<tuple of ").append(std::to_string(py::len(value))).append(">");
    else
      text.append(py::repr(value));
  }
  return std::string(name) + '(' + text + ')';
}

template <class Part>
py::class_<Part> bind_part(py::module_& module, const char* name, const char* summary) {
  py::class_<Part> part(module, name, documentation<Part>(name, summary).c_str());
  part.def(py::init([=](const py::args& positional, const py::kwargs& keywords) {
    return make<Part>(positional, keywords, name);
  }));
  part.attr("__signature__") = signature<Part>();
  py::list names;
  for (const Field<Part>& field : fields_of<Part>()) {
    names.append(field.name);
    part.def_property_readonly(
        field.name, [&field](const Part& self) { return field.get(self); },
        (std::string(field.kind) + ": " + field.help).c_str());
  }
  part.attr("fields") = py::tuple(names);
  part.def("__eq__", [](const Part& self, const py::object& other) -> py::object {
    if (!py::isinstance<Part>(other)) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
    const auto& that = other.cast<const Part&>();
    for (const Field<Part>& field : fields_of<Part>())
      if (!same_value(field.get(self), field.get(that))) return py::bool_(false);
    return py::bool_(true);
  });
  part.attr("__hash__") = py::none();
  part.def("__repr__", [=](const Part& self) { return representation(self, name); });
  part.def(py::pickle([](const Part& self) { return values_of(self); },
                      [=](const py::dict& values) {
                        return make<Part>({}, py::reinterpret_borrow<py::kwargs>(values), name,
                                          Statements::known);
                      }));
  if constexpr (!std::is_same_v<Part, Experiment>)
    part.def(
        "replace",
        [=](const Part& self, const py::args& positional, const py::kwargs& keywords) {
          py::kwargs all;
          for (const auto& [key, value] : values_of(self)) all[key] = value;
          for (const auto& [key, value] : keywords) all[key] = value;
          return make<Part>(positional, all, name);
        },
        "A copy with other values of the fields that the keywords name.");
  return part;
}

StructureFactors factors_of(std::shared_ptr<const StructureFactorGrid> grid, double default_F,
                            const py::object& interpolation,
                            const std::optional<io::CellNumbers>& cell = std::nullopt,
                            double wavelength_A = 0) {
  StructureFactors factors;
  factors.grid = std::move(grid);
  factors.default_F = default_F;
  factors.interpolation = Convert<Interpolation>::from(interpolation, "interpolation");
  if (cell) factors.stated_cell = description::unit_cell(*cell);
  // What no X-ray has says nothing.
  if (wavelength_A >= plausible::shortest_wavelength_A &&
      wavelength_A <= plausible::longest_wavelength_A)
    factors.stated_wavelength_A = wavelength_A;
  return factors;
}

/// Warns of a cell that is a little off that of the file; throws InputError for another one.
void compare_cell(const py::object& given, const io::ReflectionFile& file) {
  if (given.is_none()) return;
  const UnitCell cell = Convert<UnitCell>::from(given, "cell");
  if (!file.cell) return;
  const auto doubt = description::doubt_of_data(description::unit_cell(*file.cell), cell,
                                                "cell is");
  if (!doubt) return;
  const std::string problem = "is " + doubt->problem;
  if (doubt->refused)
    throw InputError(file.path, 0,
                     problem +
                         "; for isomorphous data leave cell out and give the experiment "
                         "structure_factors.replace(stated_cell=None)");
  warn(file.path + ": " + problem);
}

/// What is taken from a list of reflections.
struct Table {
  io::ReflectionFile file;
  std::shared_ptr<const StructureFactorGrid> grid;
  Repeats repeats;
};

StructureFactors read_factors(const py::object& path, const py::object& column,
                              const py::object& default_F, const py::object& interpolation,
                              const py::object& cell) {
  const auto fill = Convert<double>::from(default_F, "default_F");
  const Table table = result_apart(
      [name = path_of(path), fill,
       wanted = Convert<std::string>::from(column, "column")](const auto&) {
        Table read;
        read.file = io::read_reflections(name, wanted);
        refuse_doubtful(read.file);
        try {
          read.grid = std::make_shared<const StructureFactorGrid>(
              grid_of(read.file.reflections, fill, read.repeats));
        } catch (const InputError& error) {
          throw InputError(read.file.path, 0, error.what());
        }
        return read;
      });
  compare_cell(cell, table.file);
  for (const std::string& notice : io::notices_of(table.file)) warn(notice);
  if (const std::string notice = notice_of(table.repeats); !notice.empty())
    warn(table.file.path + ": " + notice);
  return factors_of(table.grid, fill, interpolation, table.file.cell, table.file.wavelength_A);
}

/// Whole numbers of shape (n, 3).
std::vector<MillerIndex> indices_of(const py::object& hkl) {
  const auto given = array_of(hkl, "hkl needs", "whole numbers of shape (n, 3)");
  if (given.ndim() != 2 || given.shape(1) != 3)
    throw UsageError("hkl needs the shape (n, 3), not " +
                     std::string(py::str(given.attr("shape"))));
  const auto at = given.unchecked<2>();
  std::vector<MillerIndex> list(static_cast<std::size_t>(given.shape(0)));
  for (py::ssize_t i = 0; i < given.shape(0); ++i)
    for (py::ssize_t axis = 0; axis < 3; ++axis) {
      const double index = at(i, axis);
      if (!(std::abs(index) <= largest_index) || index != std::round(index))
        throw UsageError("hkl needs whole numbers; row " + std::to_string(i) + " holds " +
                         std::string(py::str(py::float_(index))));
      list[static_cast<std::size_t>(i)][static_cast<std::size_t>(axis)] = static_cast<int>(index);
    }
  return list;
}

StructureFactors from_reflections(const py::object& hkl, const py::object& amplitudes,
                                  const py::object& default_F, const py::object& interpolation) {
  const std::vector<MillerIndex> indices = indices_of(hkl);
  const auto F = array_of(amplitudes, "F needs", "amplitudes of shape (n,)");
  if (F.ndim() != 1 || static_cast<std::size_t>(F.shape(0)) != indices.size())
    throw UsageError("F needs the shape (" + std::to_string(indices.size()) +
                     ",), one amplitude for each row of hkl, not " +
                     std::string(py::str(F.attr("shape"))));
  std::vector<Reflection> reflections;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const double amplitude = F.data()[i];
    check_amplitude(amplitude, indices[i]);
    reflections.push_back({indices[i], amplitude});
  }
  const auto fill = Convert<double>::from(default_F, "default_F");
  Repeats repeats;
  auto grid = std::make_shared<const StructureFactorGrid>(grid_of(reflections, fill, repeats));
  if (const std::string notice = notice_of(repeats); !notice.empty()) warn(notice);
  return factors_of(std::move(grid), fill, interpolation);
}

py::tuple calculate(const py::object& model, const py::object& dmin, const py::object& k_sol,
                    const py::object& b_sol, const py::object& default_F,
                    const py::object& interpolation, const py::object& anomalous,
                    const py::object& energies) {
  const auto limit = Convert<double>::from(dmin, "dmin");
  if (!(limit > 0)) throw UsageError("dmin is a resolution limit in Angstrom, above 0");
  const io::BulkSolvent solvent{Convert<double>::from(k_sol, "k_sol"),
                                Convert<double>::from(b_sol, "b_sol")};
  const auto fill = Convert<double>::from(default_F, "default_F");
  std::optional<std::vector<std::string>> named;
  std::vector<DispersionCurve> curves;
  if (py::isinstance<py::dict>(anomalous)) {
    named.emplace();
    for (const auto& [element, file] : py::reinterpret_borrow<py::dict>(anomalous)) {
      named->push_back(py::str(element));
      curves.push_back(
          read_dispersion(named->back(), path_of(py::reinterpret_borrow<py::object>(file))));
    }
  } else if (Convert<bool>::from(anomalous, "anomalous")) {
    named.emplace();
  }
  std::vector<double> energies_eV;
  if (!energies.is_none()) {
    const auto array = array_of(energies, "energies need", "numbers");
    energies_eV.assign(array.data(), array.data() + array.size());
  }
  if (!energies_eV.empty() && !named)
    throw UsageError("energies are those of light that F follows; give anomalous=True");
  auto [grid, cell,
        notes] = result_apart([path = path_of(model), limit, solvent, fill, named, curves,
                               energies_eV](const std::function<bool()>& may_go_on) {
    const io::CalculatedFactors calculated = io::calculate_structure_factors(
        path, limit, solvent, [&](double) { return may_go_on(); }, named);
    auto table = named ? anomalous_grid(calculated, curves, fill, energies_eV)
                       : std::make_shared<const StructureFactorGrid>(
                             StructureFactorGrid::from_reflections(calculated.reflections, fill));
    return std::tuple(std::move(table), std::to_array(calculated.cell), calculated.notes);
  });
  for (const std::string& note : notes) warn(path_of(model) + ": " + note);
  if (named)
    for (const std::string& sentence : edge_warnings(*grid, energies_eV))
      warn(path_of(model) + ": " + sentence);
  return py::make_tuple(factors_of(std::move(grid), fill, interpolation, cell),
                        py::tuple(py::cast(cell)));
}

/// Those of the arguments that ask for what parse() does not give.
std::string flags_without_effect(const std::vector<std::string>& arguments) {
  // -gain and -summation are the experiment's.
  constexpr std::string_view asks_for_nothing[] = {"-corrected", "-compat",     "-nonoise",
                                                   "-nopgm",     "-noprogress", "-progress",
                                                   "-gain",      "-summation"};
  std::string names;
  for (const std::string& argument : arguments) {
    const flags::Flag* const flag = flags::find_flag(argument);
    if (!flag) continue;
    if (flag->group != "Output" && flag->group != "Running" && flag->group != "Series" &&
        flag->group != "Detector response")
      continue;
    if (std::count(std::begin(asks_for_nothing), std::end(asks_for_nothing), flag->spellings[0]))
      continue;
    names.append(names.empty() ? "" : ", ").append(argument);
  }
  return names;
}

Experiment parse(const std::vector<std::string>& arguments, const py::object& notices) {
  auto [request, resolved] = result_apart([arguments](const auto&) {
    flags::Request read = flags::parse_command_line(arguments);
    if (!read.spectra_file.empty())
      throw UsageError(
          "parse() makes one experiment, and -spectra are of a series; series() takes spectra, and "
          "read_spectra() reads them");
    flags::load_inputs(read);
    Resolved settled = resolve(read.experiment);
    return std::pair(std::move(read), std::move(settled));
  });
  if (const std::string dropped = flags_without_effect(arguments); !dropped.empty())
    warn("parse() makes one experiment and writes nothing, so that " + dropped +
         (dropped.find(',') == std::string::npos ? " has" : " have") +
         " no effect; dtype, threads and engine are arguments of simulate(), images and "
         "orientations of series(), a DetectorResponse of count_photons()");
  if (!notices.is_none()) {
    const auto say = [&](const std::string& line) { notices.attr("append")(line); };
    if (!request.table_origin.empty()) say(request.table_origin);
    for (const std::string& line : request.warnings) say(line);
    if (!request.cache_message.empty() && !request.writes_cache) say(request.cache_message);
    for (const std::string& line : resolved.warnings) say(line);
    for (const std::string& line : flags::quirk_notices(request, resolved)) say(line);
  } else {
    // What was doubtful about the flags and files; the experiment itself knows the rest.
    for (const std::string& line : request.warnings) warn(line);
  }
  return std::move(request.experiment);
}

/// The table of structure factors whose box and checksum a text holds.
Experiment from_json(const py::object& text, const py::object& structure_factors) {
  std::shared_ptr<const StructureFactorGrid> grid;
  if (!structure_factors.is_none())
    grid = Convert<StructureFactors>::from(structure_factors, "structure_factors").grid;
  Experiment e = experiment_from_json(Convert<std::string>::from(text, "text"), grid);
  check(e);
  check_statements(e);
  return e;
}

}  // namespace

void bind_description(py::module_& module) {
  py::options options;
  options.disable_function_signatures();

  bind_part<SampledRange<double>>(module, "SampledRange",
                                  "A range that is sampled in steps; any of the three may be left "
                                  "open.\n\nFields that hold one "
                                  "also take a number (the range), (range, steps) or a dict.");
  bind_part<Crystal>(module, "Crystal", "One crystal block and its mosaic domains.");
  bind_part<FurtherCrystal>(module, "FurtherCrystal",
                            "A crystal of the same kind beside the first in the beam.");
  bind_part<Beam>(module, "Beam", "The incident beam.");
  bind_part<Detector>(module, "Detector", "A flat (or curved) panel of pixels.");
  bind_part<FurtherPanel>(module, "FurtherPanel", "A panel in addition to the first.");
  bind_part<DetectorGroup>(module, "DetectorGroup",
                           "Panels that move together: a frame, and how it has moved from there.");
  bind_part<Material>(module, "Material",
                      "Matter in the beam that is no crystal: what one molecule scatters, and "
                      "how much of it there is.");
  bind_part<Beamstop>(module, "Beamstop",
                      "What stops the direct beam: a disk and an arm across the beam, and a ring "
                      "of light from its edge.");
  bind_part<Scan>(module, "Scan", "The rotation about the spindle during the exposure.");
  bind_part<Sampling>(module, "Sampling", "Which pixels are computed, and how finely.");

  bind_part<StructureFactors>(module, "StructureFactors",
                              "Amplitudes of the P1 cell on a dense box of Miller indices.");
  module.def("read_structure_factors", &read_factors);
  module.def("structure_factors_from_reflections", &from_reflections);
  module.def("calculate_structure_factors", &calculate);

  bind_part<Experiment>(module, "Experiment",
                        "Everything that makes an image.\n\nRaises UsageError for a description of "
                        "no experiment: no cell, no structure factors, impossible angles...")
      .def(
          "to_json",
          [](const Experiment& e, const py::object& response) {
            return response.is_none() ? to_json(e) : to_json(e, response_of(response, e));
          },
          "The experiment as JSON text, with a DetectorResponse beside it where one is given.\n\n"
          "Numbers come back to the bit; mask and sources are inside; of a table of structure\n"
          "factors and of the maps of a response only the size and a checksum.  from_json() reads\n"
          "the experiment, DetectorResponse.from_json() the response.  Raises UsageError for NaN.",
          py::arg("response") = py::none())
      .def_property_readonly(
          "shape", [](const Experiment& e) { return py::tuple(py::cast(image_shape(resolve(e)))); },
          "of the image: (slow, fast) of one panel, (panels, slow, fast) of several of one size,\n"
          "(pixels,) of others, panel by panel")
      .def_property_readonly(
          "panel_shapes",
          [](const Experiment& e) {
            const Resolved resolved = resolve(e);
            py::list shapes;
            shapes.append(py::make_tuple(resolved.panel.slow_pixels, resolved.panel.fast_pixels));
            for (const ResolvedPanel& further : resolved.more_panels)
              shapes.append(py::make_tuple(further.panel.slow_pixels, further.panel.fast_pixels));
            return py::tuple(shapes);
          },
          "tuple of (slow, fast): pixels of each panel")
      .def_property_readonly(
          "warnings",
          [](const Experiment& e) {
            py::list lines;
            for (const std::string& line : resolve(e).warnings) lines.append(line);
            for (const description::Doubt& doubt : description::doubts_of(e))
              lines.append(doubt.problem);
            return py::tuple(lines);
          },
          "tuple of str: choices that were made for the user");

  module.def("experiment_from_json", &from_json);
  module.def("parse", &parse);
}

}  // namespace nablabragg::python
