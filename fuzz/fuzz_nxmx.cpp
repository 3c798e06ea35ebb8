// An NXmx file whose fields are replaced by others as the bytes say.  HDF5 itself is not what is
// looked for faults: its own bytes stay whole.
#include <stdlib.h>  // for mkdtemp

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "io/hdf5_handles.hpp"
#include "io/nxmx.hpp"
#include "nablabragg/error.hpp"

namespace {

using namespace nablabragg;

/// A sweep of two images on two panels of a group.
io::ImageSeries series() {
  io::ImageSeries series;
  series.geometry.groups = {{"arm", -1, {1, 2, -100}, {1, 0, 0}, {0, 1, 0}}};
  for (int i = 0; i < 2; ++i) {
    GeometryPanel panel;
    panel.group = 0;
    panel.fast_pixels = 4;
    panel.slow_pixels = 3;
    panel.fast_pixel_mm = panel.slow_pixel_mm = 0.1;
    panel.origin_mm = {1.0 * i, 2, -100};
    panel.fast_axis = {1, 0, 0};
    panel.slow_axis = {0, -1, 0};
    panel.sensor_material = "Si";
    panel.sensor_thickness_mm = 0.3;
    panel.saturation = 1000;
    panel.masked = {{1, 2, 0, 3}};
    series.geometry.panels.push_back(panel);
  }
  GeometryBeam& beam = series.geometry.beam.emplace();
  beam.wavelength_A = 1;
  beam.polarization = 0.9;
  beam.spectrum_A = {0.9, 1.1};
  beam.spectrum_weights = {1, 1};
  GeometryScan& scan = series.geometry.scan.emplace();
  scan.width_deg = 1;
  scan.exposure_s = 1;
  series.images = {{0, 0}, {1, 0}};
  return series;
}

/// Where the file is, and what it holds before it is changed.
struct Master {
  std::string path, bytes;
  std::vector<std::string> objects;

  Master() {
    std::string folder = "/tmp/nablabragg-fuzz-XXXXXX";
    if (!mkdtemp(folder.data())) std::abort();
    path = folder + "/image.nxs";
    const auto writer = io::open_nxmx(path, series());
    const std::vector<std::int32_t> counts(24, 7);
    for (int i = 0; i < 2; ++i) writer->add(counts);
    writer->close();
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
    const io::hdf5::Session session;
    const io::hdf5::File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
    const auto add = [](hid_t, const char* name, const H5O_info_t*, void* to) -> herr_t {
      if (std::strcmp(name, ".") != 0) static_cast<std::vector<std::string>*>(to)->push_back(name);
      return 0;
    };
    H5Ovisit2(file.get(), H5_INDEX_NAME, H5_ITER_INC, add, &objects, H5O_INFO_BASIC);
    for (const char* other :
         {"entry/instrument/beam/incident_wavelength_weights", "entry/data/data_offset",
          "entry/data/data_scaling_factor", "entry/instrument/detector/bit_depth_readout",
          "entry/instrument/detector/pixel_mask_1", "entry/data/data_000001"})
      objects.push_back(other);
  }
};

/// What is left of the input; zeros behind its end.
struct Bytes {
  const std::uint8_t* at;
  std::size_t left;

  std::uint8_t next() {
    if (left == 0) return 0;
    --left;
    return *at++;
  }
  double number() {
    switch (next() % 4) {
      case 0:
        return next();
      case 1:
        return -next();
      case 2:
        return next() / 64.0;
      default:
        break;
    }
    std::array<std::uint8_t, sizeof(double)> all{};
    for (std::uint8_t& byte : all) byte = next();
    double value = 0;
    std::memcpy(&value, all.data(), sizeof value);
    return value;
  }
  std::string word(const std::vector<std::string>& objects) {
    constexpr std::array words = {".",     "mm",         "deg",         "m",    "",      "rotation",
                                  "Si",    "NXmx",       "translation", "data", "omega", "angstrom",
                                  "pixel", "NXdetector", "NXdata",      "s"};
    const std::uint8_t which = next();
    if (which < 128) return words[which % words.size()];
    if (which < 220) return "/" + objects[next() % objects.size()];
    return std::string(next(), static_cast<char>(next()));
  }
};

void change(hid_t file, Bytes& bytes, const std::vector<std::string>& objects) {
  constexpr std::array attributes = {
      "units",  "vector",   "offset",  "offset_units",        "depends_on",
      "signal", "NX_class", "variant", "transformation_type", "equipment_component"};
  const std::string& name = objects[bytes.next() % objects.size()];
  const char* const attribute = attributes[bytes.next() % attributes.size()];
  const auto shape = [&] {
    std::vector<hsize_t> lengths(bytes.next() % 5);
    for (hsize_t& length : lengths) length = bytes.next() % 6;
    return lengths;
  };
  const auto space_of = [](const std::vector<hsize_t>& lengths) {
    return io::hdf5::Space(lengths.empty() ? H5Screate(H5S_SCALAR)
                                           : H5Screate_simple(static_cast<int>(lengths.size()),
                                                              lengths.data(), nullptr));
  };
  const auto numbers = [&](const std::vector<hsize_t>& lengths) {
    std::size_t count = 1;
    for (const hsize_t length : lengths) count *= length;
    std::vector<double> values(count + 1);
    for (double& value : values) value = bytes.number();
    return values;
  };
  const auto put = [&](hid_t type, hid_t memory, const io::hdf5::Space& space, const void* values) {
    const io::hdf5::Object made(
        H5Dcreate2(file, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Dwrite(made.get(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  };
  const auto put_attribute = [&](hid_t type, const io::hdf5::Space& space, const void* values) {
    H5Adelete_by_name(file, name.c_str(), attribute, H5P_DEFAULT);
    const io::hdf5::Attribute made(H5Acreate_by_name(
        file, name.c_str(), attribute, type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Awrite(made.get(), type, values);
  };
  switch (bytes.next() % 7) {
    case 0:
      H5Ldelete(file, name.c_str(), H5P_DEFAULT);
      break;
    case 1:
      H5Adelete_by_name(file, name.c_str(), attribute, H5P_DEFAULT);
      break;
    case 2: {
      H5Ldelete(file, name.c_str(), H5P_DEFAULT);
      const std::array types = {H5T_NATIVE_DOUBLE, H5T_STD_I32BE, H5T_STD_U64LE, H5T_STD_U8LE,
                                H5T_IEEE_F32LE};
      const hid_t type = types[bytes.next() % types.size()];
      const std::vector<hsize_t> lengths = shape();
      put(type, H5T_NATIVE_DOUBLE, space_of(lengths), numbers(lengths).data());
      break;
    }
    case 3: {
      H5Ldelete(file, name.c_str(), H5P_DEFAULT);
      const std::string word = bytes.word(objects);
      const io::hdf5::Type type = io::hdf5::text_type(word.size());
      put(type.get(), type.get(), space_of({}), word.c_str());
      break;
    }
    case 4: {
      const std::string word = bytes.word(objects);
      put_attribute(io::hdf5::text_type(word.size()).get(), space_of({}), word.c_str());
      break;
    }
    case 5: {
      const std::vector<hsize_t> lengths = bytes.next() % 2 ? shape() : std::vector<hsize_t>(1, 3);
      put_attribute(H5T_NATIVE_DOUBLE, space_of(lengths), numbers(lengths).data());
      break;
    }
    default:
      H5Ldelete(file, name.c_str(), H5P_DEFAULT);
      H5Lcreate_soft(bytes.word(objects).c_str(), file, name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Master master;
  std::ofstream(master.path, std::ios::binary) << master.bytes;
  Bytes bytes{data, size};
  {
    const io::hdf5::Session session;
    const io::hdf5::File file(H5Fopen(master.path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
    for (int i = 0; i < 8 && bytes.left > 0; ++i) change(file.get(), bytes, master.objects);
  }
  for (const bool pixels : {false, true}) {
    try {
      const Geometry geometry = pixels ? io::read_nxmx(master.path, 1).geometry
                                       : io::read_nxmx_geometry(master.path);
      if (geometry.panels.empty() || !geometry.beam) std::abort();
      for (const GeometryPanel& panel : geometry.panels)
        if (panel.group >= static_cast<int>(geometry.groups.size())) std::abort();
    } catch (const Error&) {
    }
  }
  return 0;
}
