// An HDF5 file of numbers, for readers to read.
#pragma once
#include <string>
#include <vector>

#include "io/hdf5_handles.hpp"

namespace nablabragg::test {

class Hdf5File {
 public:
  explicit Hdf5File(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}

  /// In groups that are made as well; `units` empty: no such attribute.
  void numbers(const std::string& name, const std::vector<double>& values,
               const std::vector<hsize_t>& shape, const std::string& units = {}) const {
    namespace hdf5 = io::hdf5;
    const hdf5::Properties links(H5Pcreate(H5P_LINK_CREATE));
    H5Pset_create_intermediate_group(links.get(), 1);
    const hdf5::Space space(
        H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
    const hdf5::Object made(H5Dcreate2(file_.get(), name.c_str(), H5T_IEEE_F64LE, space.get(),
                                       links.get(), H5P_DEFAULT, H5P_DEFAULT));
    H5Dwrite(made.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    if (units.empty()) return;
    const hdf5::Type type = hdf5::text_type(units.size());
    const hdf5::Space scalar(H5Screate(H5S_SCALAR));
    const hdf5::Attribute attribute(
        H5Acreate2(made.get(), "units", type.get(), scalar.get(), H5P_DEFAULT, H5P_DEFAULT));
    H5Awrite(attribute.get(), type.get(), units.data());
  }

 private:
  const io::hdf5::Session session_;
  io::hdf5::File file_;
};

}  // namespace nablabragg::test
