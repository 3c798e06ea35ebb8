// Files of reflections as Python sees them: indices and amplitudes, and what the file says; and
// spectra.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/spectra.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

io::ReflectionFile read_reflections(const py::object& path, const py::object& column) {
  return result_apart(
      [name = path_of(path), wanted = Convert<std::string>::from(column, "column")](const auto&) {
        io::ReflectionFile file = io::read_reflections(name, wanted);
        refuse_doubtful(file);
        return file;
      });
}

std::optional<SpectrumUnit> unit_of(const py::object& given) {
  if (given.is_none()) return std::nullopt;
  const auto name = Convert<std::string>::from(given, "unit");
  if (name == "eV") return SpectrumUnit::eV;
  if (name == "keV") return SpectrumUnit::keV;
  if (name == "A") return SpectrumUnit::angstrom;
  throw UsageError(R"(unit is one of "eV", "keV", "A", not ")" + name + '"');
}

/// What a function read, whose errors name the flag of the command.
template <class Read>
auto with_unit_named(Read&& read) {
  try {
    return read();
  } catch (const InputError& error) {
    const std::string sentence = error.what(), flag = "-spectrum_unit eV, keV or A";
    const std::size_t at = sentence.find(flag);
    if (at == std::string::npos) throw;
    throw InputError(std::string(sentence).replace(at, flag.size(), "unit"));
  }
}

Experiment py_with_spectrum(const py::object& experiment, const py::object& given,
                            const py::object& unit, const py::object& channels) {
  const Experiment& before = experiment_of(experiment);
  const std::optional<SpectrumUnit> of_rows = unit_of(unit);
  Spectrum spectrum;
  if (py::isinstance<py::str>(given) || py::hasattr(given, "__fspath__")) {
    spectrum = with_unit_named([&] {
      return result_apart(
          [name = path_of(given), of_rows](const auto&) { return read_spectrum(name, of_rows); });
    });
  } else {
    const Doubles rows = array_of(given, "spectrum needs", "a path or rows of energy and weight");
    if (rows.ndim() != 2 || rows.shape(1) != 2)
      throw UsageError("spectrum needs the shape (n, 2): energy or wavelength, and weight");
    if (!of_rows) throw UsageError("unit says what the first column is: \"eV\", \"keV\" or \"A\"");
    std::vector<double> values, weights;
    for (py::ssize_t i = 0; i < rows.shape(0); ++i) {
      values.push_back(rows.at(i, 0));
      weights.push_back(rows.at(i, 1));
    }
    spectrum = spectrum_of(values, weights, *of_rows);
  }
  if (!channels.is_none())
    spectrum = thinned(spectrum, Convert<int>::from(channels, "channels")).spectrum;
  return with_spectrum(before, spectrum);
}

SpectraOptions spectra_options(const py::object& channels, const py::object& scale) {
  SpectraOptions options;
  if (!channels.is_none()) options.channels = Convert<int>::from(channels, "channels");
  const std::string name = Convert<std::string>::from(scale, "scale");
  if (name != "relative" && name != "absolute")
    throw UsageError("scale is 'relative' or 'absolute', not '" + name + "'");
  options.light = name == "relative" ? ShotLight::relative : ShotLight::absolute;
  return options;
}

std::shared_ptr<Spectra> spectra_from(const py::object& axis, const py::object& weights,
                                      const py::object& unit, const py::object& channels,
                                      const py::object& scale) {
  const Doubles values = array_of(axis, "axis needs", "an array (channels,)"),
                rows = array_of(weights, "weights need", "an array (shots, channels)");
  if (values.ndim() != 1) throw UsageError("axis needs the shape (channels,)");
  if (rows.ndim() != 2 || rows.shape(1) != values.shape(0))
    throw UsageError("weights need the shape (shots, channels), here (n, " +
                     std::to_string(values.shape(0)) + "): a row for each shot");
  const std::optional<SpectrumUnit> of_axis = unit_of(unit);
  if (!of_axis) throw UsageError("unit says what the axis is: \"eV\", \"keV\" or \"A\"");
  const auto numbers = [](const Doubles& a) {
    return std::span<const double>(a.data(), static_cast<std::size_t>(a.size()));
  };
  return std::make_shared<Spectra>(numbers(values), numbers(rows), *of_axis,
                                   spectra_options(channels, scale));
}

std::shared_ptr<Spectra> py_read_spectra(const py::object& path, const py::object& unit,
                                         const py::object& channels, const py::object& scale) {
  return with_unit_named([&] {
    return result_apart([name = path_of(path), of_axis = unit_of(unit),
                         options = spectra_options(channels, scale)](const auto&) {
      return std::make_shared<Spectra>(read_spectra(name, of_axis, options));
    });
  });
}

py::array rows_of(const Spectrum& spectrum) {
  std::vector<double> rows;
  for (std::size_t i = 0; i < spectrum.weight.size(); ++i)
    rows.insert(rows.end(), {spectrum.wavelength_A[i], spectrum.weight[i]});
  return array_from(std::move(rows), {static_cast<py::ssize_t>(spectrum.weight.size()), 2});
}

void bind_spectra(py::module_& module) {
  py::class_<Spectra, std::shared_ptr<Spectra>>(
      module, "Spectra",
      R"(Spectra(axis, weights, *, unit, channels=None, scale="relative")

The spectra of shots, on one axis: what series() takes, and read_spectra() gives.

axis : array (channels,)
    energies or wavelengths, in any order
weights : array (shots, channels)
    how much light each channel has, a row for each shot
unit : "eV", "keV" or "A"
    of the axis
channels : int, optional
    thins each shot to so many channels of equal widths in energy
scale : "relative" or "absolute"
    what the sum of a row says: nothing, every shot has the fluence of the experiment; or its photons,
    and the fluence of the experiment is that of the mean shot

Raises UsageError that names the number for negative weights, for what is no number or no X-ray, and
for shots without light.)")
      .def(py::init(&spectra_from), py::arg("axis"), py::arg("weights"), py::kw_only(),
           py::arg("unit") = py::none(), py::arg("channels") = py::none(),
           py::arg("scale") = "relative")
      .def("__len__", &Spectra::shots)
      .def(
          "shot", [](const Spectra& s, int i) { return rows_of(s.shot(i)); }, py::arg("i"),
          "array (n, 2): the wavelengths [Angstrom] of shot i, falling, and their weights, as "
          "with_spectrum() takes them with unit=\"A\"")
      .def(
          "mean", [](const Spectra& s) { return rows_of(s.mean()); },
          "array (n, 2): the same of all shots together")
      .def_property_readonly(
          "relative_light",
          [](const Spectra& s) {
            std::vector<double> light;
            for (int i = 0; i < s.shots(); ++i) light.push_back(s.relative_light(i));
            return array_from(std::move(light), {s.shots()});
          },
          "array (shots,): photons of each shot over those of the mean one; 1 of relative light")
      .def_property_readonly("moved_eV", &Spectra::moved_eV,
                             "float: by how much thinning moved the light of the shot that it "
                             "moved most, root of the mean square [eV]")
      .def("__repr__", [](const Spectra& s) {
        return "<Spectra of " + std::to_string(s.shots()) + " shots, " +
               std::to_string(s.most_channels()) + " channels>";
      });
  module.def("read_spectra", &py_read_spectra);
}

}  // namespace

void refuse_doubtful(const io::ReflectionFile& file) {
  if (!file.doubts.empty()) throw InputError(file.path, 0, file.doubts.front());
}

void bind_reflections(py::module_& module) {
  using File = io::ReflectionFile;
  py::class_<File>(module, "ReflectionFile",
                   "What read_reflections() found in a file: the reflections, and what the file "
                   "says of them.")
      .def_property_readonly(
          "hkl",
          [](const File& file) {
            std::vector<int> indices;
            indices.reserve(3 * file.reflections.size());
            for (const Reflection& r : file.reflections)
              indices.insert(indices.end(), r.hkl.begin(), r.hkl.end());
            const auto count = static_cast<py::ssize_t>(file.reflections.size());
            return array_from(std::move(indices), {count, 3});
          },
          "int array (n, 3): Miller indices of the whole P1 sphere, each once; of a text as it "
          "lists them")
      .def_property_readonly(
          "F",
          [](const File& file) {
            std::vector<double> amplitudes;
            amplitudes.reserve(file.reflections.size());
            for (const Reflection& r : file.reflections) amplitudes.push_back(r.amplitude);
            const auto count = static_cast<py::ssize_t>(amplitudes.size());
            return array_from(std::move(amplitudes), {count});
          },
          "float array (n,): amplitudes [electrons]")
      .def_readonly("path", &File::path, "str: the file")
      .def_readonly("format", &File::format, "str: MTZ, CIF, XDS_ASCII, CrystFEL, SHELX or text")
      .def_readonly("taken", &File::taken,
                    "str: the column or item that the amplitudes are; empty: F of a text")
      .def_readonly("anomalous", &File::anomalous, "bool: F(+) and F(-) are apart")
      .def_readonly("space_group", &File::space_group,
                    "str: by which the reflections were expanded; empty: not at all")
      .def_property_readonly(
          "cell",
          [](const File& file) -> py::object {
            if (!file.cell) return py::none();
            const io::CellNumbers& c = *file.cell;
            return py::make_tuple(c[0], c[1], c[2], c[3], c[4], c[5]);
          },
          "6 numbers or None: a, b, c [A], alpha, beta, gamma [degree] where the file says them")
      .def_property_readonly(
          "wavelength",
          [](const File& file) -> py::object {
            if (!(file.wavelength_A > 0)) return py::none();
            return py::float_(file.wavelength_A);
          },
          "number or None: the wavelength [A] of the measurement where the file says it")
      .def_readonly("missing", &File::missing, "int: rows without a value")
      .def_readonly("rejected", &File::rejected, "int: rows marked as unreliable or absent")
      .def_readonly("negative", &File::negative, "int: negative intensities, which are left out")
      .def_readonly("repeated", &File::repeated,
                    "int: reflections of several rows, the last of which counts")
      .def_readonly("contradicting", &File::contradicting, "int: those of them whose rows disagree")
      .def_readonly("hands_differ", &File::hands_differ,
                    "int: centric reflections with an F(+) and another F(-), which counts")
      .def_property_readonly(
          "notices", [](const File& file) { return py::tuple(py::cast(io::notices_of(file))); },
          "strings: what else a user should know")
      .def("__repr__", [](const File& file) {
        return "<ReflectionFile " + file.path + ": " + std::to_string(file.reflections.size()) +
               " reflections, " + (file.taken.empty() ? file.format : file.taken) + ">";
      });
  module.def("read_reflections", &read_reflections);
  module.def("with_spectrum", &py_with_spectrum);
  bind_spectra(module);
}

}  // namespace nablabragg::python
