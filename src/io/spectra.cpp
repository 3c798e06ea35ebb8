#include "io/spectra.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "io/hdf5_reader.hpp"
#include "io/input_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/spectra.hpp"

namespace nablabragg {

namespace {

using io::hdf5::Node, io::hdf5::Reader, io::hdf5::Shape;

constexpr const char* say_unit = "; -spectrum_unit eV, keV or A says what its axis is";

/// What an axis may be called, and the unit that the name says.
struct AxisName {
  const char* name;
  std::optional<SpectrumUnit> unit;
};
constexpr std::array axis_names = {AxisName{"energy_eV", SpectrumUnit::eV},
                                   AxisName{"energy_keV", SpectrumUnit::keV},
                                   AxisName{"wavelength_A", SpectrumUnit::angstrom},
                                   AxisName{"energy", {}},
                                   AxisName{"photon_energy", {}},
                                   AxisName{"wavelength", {}}};

std::optional<SpectrumUnit> unit_called(const std::string& name) {
  if (name == "eV") return SpectrumUnit::eV;
  if (name == "keV") return SpectrumUnit::keV;
  for (const char* angstrom :
       {"A", "angstrom", "Angstrom", "angstroms", "Angstroms", "\xC3\x85", "\xE2\x84\xAB"})
    if (name == angstrom) return SpectrumUnit::angstrom;
  return std::nullopt;
}

struct Axis {
  Node data;
  std::optional<SpectrumUnit> unit;  ///< that its name says
};

class SpectraReader {
 public:
  SpectraReader(const std::string& file, const std::string& data)
      : reader_(file), weights_(weights_at(data)) {
    reader_.need_data(weights_);
  }

  Spectra read(std::optional<SpectrumUnit> unit, const SpectraOptions& options) const {
    Shape shape = reader_.shape(weights_);
    if (shape.size() == 1) shape.insert(shape.begin(), 1);  // one shot
    if (shape.size() != 2)
      reader_.fail(weights_.path, "has " + std::to_string(shape.size()) +
                                      " dimensions; the weights of spectra have two, shots and "
                                      "channels");
    const Axis axis = axis_beside();
    const std::vector<double> values = reader_.numbers(axis.data);
    const Shape axis_shape = reader_.shape(axis.data);
    if (axis_shape.size() != 1)
      reader_.fail(axis.data.path, "is no axis: it has not one dimension");
    if (values.size() != shape[1])
      reader_.fail(
          weights_.path,
          "has " + std::to_string(shape[0]) + " rows of " + std::to_string(shape[1]) +
              " numbers, and " + io::quoted_name(axis.data.path) + " " +
              std::to_string(values.size()) + " channels" +
              (values.size() == shape[0] ? "; a shot is a row: turn rows and columns" : ""));
    const SpectrumUnit of_axis = unit ? *unit : stated_unit(axis);
    const std::vector<double> weights = reader_.numbers_up_to(weights_, io::hdf5::most_elements);
    try {
      return Spectra(values, weights, of_axis, options);
    } catch (const UsageError& error) {
      reader_.fail(weights_.path,
                   std::string("beside ") + io::quoted_name(axis.data.path) + ": " + error.what());
    }
  }

 private:
  Node weights_at(const std::string& path) const {
    if (!path.empty()) return reader_.needed(reader_.root(), path, "the weights of the spectra");
    Node found;
    for (const char* name : {"weights", "spectra"}) {
      Node node = reader_.find(reader_.root(), name);
      if (node && found)
        reader_.fail("holds both weights and spectra; FILE:/weights or FILE:/spectra says which");
      if (node) found = std::move(node);
    }
    if (!found)
      reader_.fail(
          "holds neither 'weights' nor 'spectra', the weights of shots and channels; "
          "FILE:/path/of/weights says where they are");
    return found;
  }

  /// As in NeXus "name" beside "name_weights"; else what is called an axis in the same group.
  Axis axis_beside() const {
    const std::size_t slash = weights_.path.rfind('/');
    const std::string folder = slash == 0 ? "/" : weights_.path.substr(0, slash),
                      name = weights_.path.substr(slash + 1);
    if (constexpr std::string_view ending = "_weights"; name.ends_with(ending))
      if (Node axis = reader_.find(
              reader_.root(),
              Reader::joined_path(folder, name.substr(0, name.size() - ending.size()))))
        return {std::move(axis), {}};
    Axis found;
    std::string names;
    for (const AxisName& axis : axis_names) {
      names += std::string(names.empty() ? "" : ", ") + axis.name;
      Node node = reader_.find(reader_.root(), Reader::joined_path(folder, axis.name));
      if (node && found.data)
        reader_.fail(io::quoted_name(found.data.path) + " and " + io::quoted_name(node.path) +
                     " might both be the axis of " + io::quoted_name(weights_.path) +
                     "; leave one in that group");
      if (node) found = {std::move(node), axis.unit};
    }
    if (!found.data)
      reader_.fail(weights_.path, "has no axis beside it, which would be called one of " + names);
    return found;
  }

  SpectrumUnit stated_unit(const Axis& axis) const {
    const std::optional<std::string> units = reader_.text_attribute(axis.data, "units");
    const std::optional<SpectrumUnit> stated = units ? unit_called(*units) : std::nullopt;
    if (units && !stated)
      reader_.fail(axis.data.path + "@units",
                   "is " + io::in_quotes(*units) + ", which is no unit of a spectrum" + say_unit);
    if (!stated && !axis.unit)
      reader_.fail(axis.data.path,
                   std::string("does not say whether it is in eV, keV or Angstrom, neither by an "
                               "attribute 'units' nor by its name") +
                       say_unit);
    if (stated && axis.unit && stated != axis.unit)
      reader_.fail(axis.data.path, "has another unit in its name than its attribute 'units', " +
                                       io::in_quotes(*units) + say_unit);
    return stated ? *stated : *axis.unit;
  }

  Reader reader_;
  Node weights_;
};

/// ZIP, as numpy's .npz is.
bool is_zip(const std::string& path) {
  if (std::error_code error; !std::filesystem::is_regular_file(path, error)) return false;
  io::InputFile file(path);
  std::array<char, 4> head{};
  return file.read(head.data(), head.size()) == head.size() &&
         std::string_view(head.data(), head.size()) == "PK\x03\x04";
}

}  // namespace

io::SpectraPlace io::place_of_spectra(const std::string& path) {
  std::error_code error;
  const std::size_t colon = path.rfind(":/");
  if (colon == std::string::npos || colon == 0 || std::filesystem::exists(path, error))
    return {path, {}};
  return {path.substr(0, colon), path.substr(colon + 1)};
}

Spectra read_spectra(const std::string& path, std::optional<SpectrumUnit> unit,
                     const SpectraOptions& options) {
  const auto [file, data] = io::place_of_spectra(path);
  if (is_zip(file))
    throw InputError(file, 0,
                     "is a ZIP archive, as numpy's .npz; spectra of the command are HDF5, which "
                     "takes the same arrays by the same names (h5py writes it), and in Python "
                     "nb.read_spectra reads a name that ends in .npz");
  const io::hdf5::Session session;
  return SpectraReader(file, data).read(unit, options);
}

}  // namespace nablabragg
