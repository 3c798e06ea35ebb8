#include "io/spectra.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "io/hdf5_reader.hpp"
#include "io/input_file.hpp"
#include "io/npz.hpp"
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

/// A file of arrays, which have paths such as "/entry/weights".
class Arrays {
 public:
  explicit Arrays(const std::string& file) : file_(file) {}
  Arrays(const Arrays&) = delete;
  Arrays& operator=(const Arrays&) = delete;
  virtual ~Arrays() = default;

  [[noreturn]] void fail(const std::string& problem) const { throw InputError(file_, 0, problem); }
  [[noreturn]] void fail(const std::string& array, const std::string& problem) const {
    fail(io::quoted_name(array) + " " + problem);
  }
  virtual bool has(const std::string& path) const = 0;
  /// Throws where there is no such array, `what` it would be.
  virtual void need(const std::string& path, const std::string& what) const = 0;
  virtual Shape shape(const std::string& path) const = 0;
  virtual std::vector<double> numbers(const std::string& path) const = 0;
  virtual std::optional<std::string> units(const std::string& path) const = 0;
  /// How an array says its unit, where one does not.
  virtual const char* no_unit() const = 0;

 private:
  std::string file_;
};

class Hdf5Arrays : public Arrays {
 public:
  explicit Hdf5Arrays(const std::string& path) : Arrays(path), reader_(path) {}

  bool has(const std::string& path) const override { return static_cast<bool>(node(path)); }
  void need(const std::string& path, const std::string& what) const override {
    reader_.need_data(reader_.needed(reader_.root(), path, what));
  }
  Shape shape(const std::string& path) const override { return reader_.shape(node(path)); }
  std::vector<double> numbers(const std::string& path) const override {
    return reader_.numbers_up_to(node(path), io::hdf5::most_elements);
  }
  std::optional<std::string> units(const std::string& path) const override {
    return reader_.text_attribute(node(path), "units");
  }
  const char* no_unit() const override { return "neither by an attribute 'units' nor by its name"; }

 private:
  Node node(const std::string& path) const { return reader_.find(reader_.root(), path); }

  Reader reader_;
};

class NpzArrays : public Arrays {
 public:
  explicit NpzArrays(const std::string& path) : Arrays(path), npz_(path) {}

  bool has(const std::string& path) const override { return npz_.has(name(path)); }
  void need(const std::string& path, const std::string& what) const override {
    if (has(path)) return;
    const std::string all = npz_.names();
    fail(io::quoted_name(path) + ", " + what + ", is missing; the file has " +
         (all.empty() ? "no arrays" : all));
  }
  Shape shape(const std::string& path) const override { return npz_.shape(name(path)); }
  std::vector<double> numbers(const std::string& path) const override {
    return npz_.numbers(name(path), io::hdf5::most_elements);
  }
  /// Arrays of numpy have no attributes.
  std::optional<std::string> units(const std::string&) const override { return std::nullopt; }
  const char* no_unit() const override { return "which an array of numpy says by its name alone"; }

 private:
  static std::string name(const std::string& path) { return path.substr(path.starts_with('/')); }

  io::NpzFile npz_;
};

struct Axis {
  std::string path;
  std::optional<SpectrumUnit> unit;  ///< that its name says
};

class SpectraReader {
 public:
  SpectraReader(const Arrays& arrays, const std::string& weights)
      : arrays_(arrays), weights_(weights.empty() ? usual_weights() : weights) {
    arrays_.need(weights_, "the weights of the spectra");
  }

  Spectra read(std::optional<SpectrumUnit> unit, const SpectraOptions& options) const {
    Shape shape = arrays_.shape(weights_);
    if (shape.size() == 1) shape.insert(shape.begin(), 1);  // one shot
    if (shape.size() != 2)
      arrays_.fail(weights_, "has " + std::to_string(shape.size()) +
                                 " dimensions; the weights of spectra have two, shots and "
                                 "channels");
    const Axis axis = axis_beside();
    if (arrays_.shape(axis.path).size() != 1)
      arrays_.fail(axis.path, "is no axis: it has not one dimension");
    const std::vector<double> values = arrays_.numbers(axis.path);
    if (values.size() != shape[1])
      arrays_.fail(
          weights_,
          "has " + std::to_string(shape[0]) + " rows of " + std::to_string(shape[1]) +
              " numbers, and " + io::quoted_name(axis.path) + " " + std::to_string(values.size()) +
              " channels" +
              (values.size() == shape[0] ? "; a shot is a row: turn rows and columns" : ""));
    const SpectrumUnit of_axis = unit ? *unit : stated_unit(axis);
    const std::vector<double> weights = arrays_.numbers(weights_);
    try {
      return Spectra(values, weights, of_axis, options);
    } catch (const UsageError& error) {
      arrays_.fail(weights_,
                   std::string("beside ") + io::quoted_name(axis.path) + ": " + error.what());
    }
  }

 private:
  std::string usual_weights() const {
    std::string found;
    for (const char* path : {"/weights", "/spectra"}) {
      if (!arrays_.has(path)) continue;
      if (!found.empty())
        arrays_.fail("holds both weights and spectra; FILE:/weights or FILE:/spectra says which");
      found = path;
    }
    if (found.empty())
      arrays_.fail(
          "holds neither 'weights' nor 'spectra', the weights of shots and channels; "
          "FILE:/path/of/weights says where they are");
    return found;
  }

  /// As in NeXus "name" beside "name_weights"; else what is called an axis in the same group.
  Axis axis_beside() const {
    const std::size_t slash = weights_.rfind('/');
    const std::string folder = slash == 0 ? "/" : weights_.substr(0, slash),
                      name = weights_.substr(slash + 1);
    if (constexpr std::string_view ending = "_weights"; name.ends_with(ending))
      if (const std::string path = Reader::joined_path(folder,
                                                       name.substr(0, name.size() - ending.size()));
          arrays_.has(path))
        return {path, {}};
    Axis found;
    std::string names;
    for (const AxisName& axis : axis_names) {
      names += std::string(names.empty() ? "" : ", ") + axis.name;
      const std::string path = Reader::joined_path(folder, axis.name);
      if (!arrays_.has(path)) continue;
      if (!found.path.empty())
        arrays_.fail(io::quoted_name(found.path) + " and " + io::quoted_name(path) +
                     " might both be the axis of " + io::quoted_name(weights_) +
                     "; leave one in that group");
      found = {path, axis.unit};
    }
    if (found.path.empty())
      arrays_.fail(weights_, "has no axis beside it, which would be called one of " + names);
    return found;
  }

  SpectrumUnit stated_unit(const Axis& axis) const {
    const std::optional<std::string> units = arrays_.units(axis.path);
    const std::optional<SpectrumUnit> stated = units ? unit_called(*units) : std::nullopt;
    if (units && !stated)
      arrays_.fail(axis.path + "@units",
                   "is " + io::in_quotes(*units) + ", which is no unit of a spectrum" + say_unit);
    if (!stated && !axis.unit)
      arrays_.fail(axis.path, std::string("does not say whether it is in eV, keV or Angstrom, ") +
                                  arrays_.no_unit() + say_unit);
    if (stated && axis.unit && stated != axis.unit)
      arrays_.fail(axis.path, "has another unit in its name than its attribute 'units', " +
                                  io::in_quotes(*units) + say_unit);
    return stated ? *stated : *axis.unit;
  }

  const Arrays& arrays_;
  std::string weights_;
};

/// The first bytes of a regular file.
std::string head_of(const std::string& path) {
  if (std::error_code error; !std::filesystem::is_regular_file(path, error)) return {};
  std::string head(6, '\0');
  head.resize(io::InputFile(path).read(head.data(), head.size()));
  return head;
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
  const std::string head = head_of(file);
  if (head == "\x93NUMPY")
    throw InputError(file, 0,
                     "is one array of numpy; spectra are weights and their axis, which np.savez "
                     "writes to an .npz");
  if (head.starts_with("PK\x05\x06"))
    throw InputError(file, 0, "is a ZIP archive that holds nothing");
  const io::hdf5::Session session;
  if (head.starts_with("PK\x03\x04"))
    return SpectraReader(NpzArrays(file), data).read(unit, options);
  return SpectraReader(Hdf5Arrays(file), data).read(unit, options);
}

}  // namespace nablabragg
