// The parts of an experiment as Python classes, made from the tables of fields.
#include <pybind11/numpy.h>

#include "description/unit_cells.hpp"
#include "flags/command_line.hpp"
#include "flags/inputs.hpp"
#include "flags/notices.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/reflection_table.hpp"
#include "nablabragg/resolved.hpp"
#include "python/bindings.hpp"
#include "python/fields.hpp"
#include "python/reflections.hpp"

namespace nablabragg::python {

namespace {

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

template <class Part>
void assign(Part& part, const py::kwargs& keywords, const char* name) {
  set_fields(part, keywords, name);
}

/// F and its box are one field in two keywords.
void assign(StructureFactors& factors, const py::kwargs& keywords, const char* name) {
  py::kwargs rest;
  for (const auto& [key, value] : keywords) rest[key] = value;
  if (rest.contains("F") && !rest["F"].is_none()) {
    const py::object values = py::module_::import("numpy").attr("asarray")(rest["F"]);
    MillerIndex min{};
    if (rest.contains("min") && !rest["min"].is_none()) {
      const auto given = numbers(rest["min"], 3, "min");
      for (std::size_t axis = 0; axis < 3; ++axis) {
        min[axis] = static_cast<int>(given[axis]);
        if (given[axis] != min[axis]) throw UsageError("min needs three whole numbers");
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
    factors.grid = grid_from(values, min, "F");
  } else if (rest.contains("F")) {
    factors.grid = nullptr;
  }
  for (const char* done : {"F", "min"})
    if (rest.contains(done)) rest.attr("pop")(done);
  set_fields(factors, rest, name);
}

/// As resolve() and the program do, but when the experiment is made, not when it is simulated.
void check(const Experiment& experiment) {
  if (!experiment.structure_factors.grid && experiment.structure_factors.default_F == 0)
    throw UsageError(
        "there are no structure factors; give structure_factors=StructureFactors.read(FILE), or "
        "structure_factors=100 for the same amplitude everywhere");
  if (!experiment.more_panels.empty())
    throw UsageError("the experiment has " + std::to_string(experiment.more_panels.size() + 1) +
                     " panels, and an image in Python is one: leave more_panels out, and make an "
                     "experiment for each");
  resolve(experiment);
}

template <class Part>
Part make(const py::kwargs& keywords, const char* name) {
  Part part{};
  assign(part, keywords, name);
  if constexpr (std::is_same_v<Part, Experiment>) check(part);
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
  const Part standard{};
  std::string text;
  for (const Field<Part>& field : fields_of<Part>()) {
    const py::object value = field.get(part);
    if (same_value(value, field.get(standard))) continue;
    text.append(text.empty() ? "" : ", ").append(field.name).append("=");
    if (py::isinstance<py::array>(value))
      text.append("<array ").append(py::str(value.attr("shape"))).append(">");
    else
      text.append(py::repr(value));
  }
  return std::string(name) + '(' + text + ')';
}

template <class Part>
py::class_<Part> bind_part(py::module_& module, const char* name, const char* summary) {
  py::class_<Part> part(module, name, documentation<Part>(name, summary).c_str());
  part.def(py::init([=](const py::kwargs& keywords) { return make<Part>(keywords, name); }));
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
                        return make<Part>(py::kwargs(py::reinterpret_borrow<py::kwargs>(values)),
                                          name);
                      }));
  if constexpr (!std::is_same_v<Part, Experiment>)
    part.def(
        "replace",
        [=](const Part& self, const py::kwargs& keywords) {
          py::kwargs all;
          for (const auto& [key, value] : values_of(self)) all[key] = value;
          for (const auto& [key, value] : keywords) all[key] = value;
          return make<Part>(all, name);
        },
        "A copy with other values of the fields that the keywords name.");
  return part;
}

StructureFactors factors_of(std::shared_ptr<const StructureFactorGrid> grid, double default_F,
                            const std::string& interpolation) {
  return {std::move(grid), default_F,
          Convert<Interpolation>::from(py::str(interpolation), "interpolation")};
}

/// Warns of a cell that is a little off that of the file; throws InputError for another one.
void compare_cell(const py::object& given, const io::ReflectionFile& file) {
  if (given.is_none() || !file.cell) return;
  const std::vector<double> n = numbers(given, 6, "cell");
  const UnitCell cell{n[0], n[1], n[2], n[3], n[4], n[5]};
  const UnitCell held = description::unit_cell(*file.cell);
  const double difference = description::cell_difference(cell, held);
  const std::string problem = "is of the cell " + description::text_of(held) + ", and cell is " +
                              description::text_of(cell);
  if (difference > description::other_cell_difference)
    throw InputError(file.path, 0,
                     problem + ", more than 5 % from it; for isomorphous data leave cell out");
  if (difference > description::notable_cell_difference)
    warn(file.path + ": " + problem + ", more than 1 % from it");
}

StructureFactors read_factors(const py::object& path, const std::string& column, double default_F,
                              const std::string& interpolation, const py::object& cell) {
  const io::ReflectionFile file = read_reflections(path, column);
  compare_cell(cell, file);
  std::shared_ptr<StructureFactorGrid> grid;
  Repeats repeats;
  try {
    const py::gil_scoped_release release;
    grid = std::make_shared<StructureFactorGrid>(grid_of(file.reflections, default_F, repeats));
  } catch (const InputError& error) {
    throw InputError(file.path, 0, error.what());
  }
  for (const std::string& notice : io::notices_of(file)) warn(notice);
  if (const std::string notice = notice_of(repeats); !notice.empty())
    warn(file.path + ": " + notice);
  return factors_of(std::move(grid), default_F, interpolation);
}

StructureFactors from_reflections(
    const py::array_t<int, py::array::c_style | py::array::forcecast>& hkl,
    const py::array_t<double, py::array::c_style | py::array::forcecast>& F, double default_F,
    const std::string& interpolation) {
  if (hkl.ndim() != 2 || hkl.shape(1) != 3 || F.ndim() != 1 || F.shape(0) != hkl.shape(0))
    throw UsageError("hkl needs the shape (n, 3) and F the shape (n,)");
  std::vector<Reflection> reflections;
  const auto index = hkl.unchecked<2>();
  const auto amplitude = F.unchecked<1>();
  for (py::ssize_t i = 0; i < hkl.shape(0); ++i)
    reflections.push_back({{index(i, 0), index(i, 1), index(i, 2)}, amplitude(i)});
  Repeats repeats;
  auto grid = std::make_shared<StructureFactorGrid>(grid_of(reflections, default_F, repeats));
  if (const std::string notice = notice_of(repeats); !notice.empty()) warn(notice);
  return factors_of(std::move(grid), default_F, interpolation);
}

py::tuple calculate(const py::object& model, double dmin, double k_sol, double b_sol,
                    double default_F, const std::string& interpolation) {
  const std::string path = py::str(py::module_::import("os").attr("fspath")(model));
  if (!(dmin > 0)) throw UsageError("dmin is a resolution limit in Angstrom, above 0");
  io::CalculatedFactors calculated;
  std::shared_ptr<StructureFactorGrid> grid;
  {
    const py::gil_scoped_release release;
    calculated = io::calculate_structure_factors(path, dmin, {k_sol, b_sol});
    grid = std::make_shared<StructureFactorGrid>(
        StructureFactorGrid::from_reflections(calculated.reflections, default_F));
  }
  const auto& c = calculated.cell;
  return py::make_tuple(factors_of(std::move(grid), default_F, interpolation),
                        py::make_tuple(c[0], c[1], c[2], c[3], c[4], c[5]));
}

Experiment parse(const std::vector<std::string>& arguments, const py::object& notices) {
  flags::Request request;
  Resolved resolved;
  {
    const py::gil_scoped_release release;
    request = flags::parse_command_line(arguments);
    flags::load_inputs(request);
    resolved = resolve(request.experiment);
  }
  if (!notices.is_none()) {
    const auto say = [&](const std::string& line) { notices.attr("append")(line); };
    if (!request.table_origin.empty()) say(request.table_origin);
    for (const std::string& line : request.warnings) say(line);
    if (!request.cache_message.empty() && !request.writes_cache) say(request.cache_message);
    for (const std::string& line : resolved.warnings) say(line);
    for (const std::string& line : flags::quirk_notices(request, resolved)) say(line);
  }
  return request.experiment;
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
  bind_part<Beam>(module, "Beam", "The incident beam.");
  bind_part<Detector>(module, "Detector", "A flat (or curved) panel of square pixels.");
  bind_part<Scan>(module, "Scan", "The rotation about the spindle during the exposure.");
  bind_part<Sampling>(module, "Sampling", "Which pixels are computed, and how finely.");

  const char* reading =
      "\n\ndefault_F [electrons] stands for what the table does not hold.  Raises InputError for a "
      "file that cannot be read.";
  bind_part<StructureFactors>(module, "StructureFactors",
                              "Amplitudes of the P1 cell on a dense box of Miller indices.")
      .def_static(
          "read", &read_factors, py::arg("path"), py::kw_only(), py::arg("column") = "",
          py::arg("default_F") = 0.0, py::arg("interpolation") = "automatic",
          py::arg("cell") = py::none(),
          (std::string("read(path, *, column='', default_F=0, interpolation='automatic', "
                       "cell=None)"
                       "\n\nOf any file that read_reflections() reads, with its column; that also "
                       "says which one was taken, and the file's cell and wavelength.\n\ncell is "
                       "compared with that of the file: beyond 1 % a warning, beyond 5 % an "
                       "InputError.  What is left out or stands there twice is a UserWarning.") +
           reading)
              .c_str())
      .def_static(
          "from_reflections", &from_reflections, py::arg("hkl"), py::arg("F"), py::kw_only(),
          py::arg("default_F") = 0.0, py::arg("interpolation") = "automatic",
          "from_reflections(hkl, F, *, default_F=0, interpolation='automatic')\n\nOf indices, "
          "shape "
          "(n, 3), and amplitudes [electrons], shape (n,).  A later duplicate replaces an earlier "
          "one; where they disagree that is a UserWarning.  Raises UsageError for other shapes.");
  module.def("calculate_structure_factors", &calculate, py::arg("path"), py::arg("dmin"),
             py::kw_only(), py::arg("k_sol") = io::BulkSolvent{}.k_e_per_A3,
             py::arg("b_sol") = io::BulkSolvent{}.b_A2, py::arg("default_F") = 0.0,
             py::arg("interpolation") = "automatic",
             (std::string(
                  "calculate_structure_factors(path, dmin, *, k_sol=0.35, b_sol=46, default_F=0, "
                  "interpolation='automatic')\n\n(StructureFactors, cell) of an atomic model (PDB "
                  "or mmCIF, also gzipped) to the resolution dmin [A] with bulk solvent of density "
                  "k_sol [electrons/A^3] and temperature factor b_sol [A^2]; cell is for "
                  "Crystal(cell=...).") +
              reading)
                 .c_str());

  bind_part<Experiment>(module, "Experiment",
                        "Everything that makes an image.\n\nRaises UsageError for a description of "
                        "no experiment: no cell, no structure factors, impossible angles...")
      .def("to_json", &to_json,
           "The experiment as JSON text.  Numbers come back to the bit; mask and sources are "
           "inside; of "
           "a table of structure factors only the box and a checksum.  Raises UsageError for NaN.")
      .def_static(
          "from_json",
          [](const std::string& text, const StructureFactors* structure_factors) {
            Experiment e = experiment_from_json(
                text, structure_factors ? structure_factors->grid : nullptr);
            check(e);
            return e;
          },
          py::arg("text"), py::kw_only(), py::arg("structure_factors") = py::none(),
          "from_json(text, *, structure_factors=None)\n\nThe experiment of a text that to_json() "
          "made; what is left out has its default.\n\nstructure_factors : StructureFactors\n    "
          "whose "
          "table F the experiment has, where it has one\n\nRaises InputError, which names the key, "
          "for "
          "text that is no experiment and for another table, UsageError for what describes no "
          "experiment.")
      .def_property_readonly(
          "shape",
          [](const Experiment& e) {
            const Resolved resolved = resolve(e);
            return py::make_tuple(resolved.panel.slow_pixels, resolved.panel.fast_pixels);
          },
          "(slow, fast): pixels of the image")
      .def_property_readonly(
          "warnings",
          [](const Experiment& e) {
            py::list lines;
            for (const std::string& line : resolve(e).warnings) lines.append(line);
            return py::tuple(lines);
          },
          "tuple of str: choices that were made for the user");

  module.def("parse", &parse, py::arg("arguments"), py::arg("notices") = py::none());
}

}  // namespace nablabragg::python
