// Writing into the room of a file of HDF5, for any build of the library: that of the program, and
// the parallel one of the plugin for MPI.
#pragma once
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/hdf5_handles.hpp"
#include "io/laid_out_file.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io::hdf5 {

/// Whoever calls it holds a Session.
class RoomWriter {
 public:
  RoomWriter(std::string path, const Properties& access)
      : path_(std::move(path)), file_(H5Fopen(path_.c_str(), H5F_ACC_RDWR, access.get())) {}
  RoomWriter(const RoomWriter&) = delete;
  RoomWriter& operator=(const RoomWriter&) = delete;

  bool is_open() const { return static_cast<bool>(file_); }
  [[noreturn]] void fail() const {
    throw OutputError("cannot write " + path_ + ": " + last_problem());
  }

  void put_image(const std::string& data_set, std::uint64_t image,
                 std::span<const std::byte> packed) {
    const std::array<hsize_t, 3> begin = {image, 0, 0};
    check(H5Dwrite_chunk(opened(data_set).get(), H5P_DEFAULT, 0, begin.data(), packed.size(),
                         packed.data()));
  }

  void put_rows(const std::string& data_set, std::uint64_t first, std::span<const std::byte> rows) {
    const Object& data = opened(data_set);
    const Space space(H5Dget_space(data.get()));
    const Type type(H5Dget_type(data.get()));
    std::vector<hsize_t> count = shape_of(space.get()).value_or(std::vector<hsize_t>{1});
    std::vector<hsize_t> begin(count.size());
    std::size_t row_bytes = H5Tget_size(type.get());
    for (std::size_t i = 1; i < count.size(); ++i) row_bytes *= count[i];
    begin[0] = first;
    count[0] = rows.size() / row_bytes;
    check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, begin.data(), nullptr, count.data(),
                              nullptr));
    const Space memory(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr));
    check(H5Dwrite(data.get(), type.get(), memory.get(), space.get(), H5P_DEFAULT, rows.data()));
  }

  /// False: not all was written.
  bool close() {
    data_sets_.clear();
    return file_.reset();
  }

 private:
  void check(herr_t result) const {
    if (result < 0) fail();
  }
  const Object& opened(const std::string& data_set) {
    const auto found = data_sets_.find(data_set);
    if (found != data_sets_.end()) return found->second;
    Object data(H5Dopen2(file_.get(), data_set.c_str(), H5P_DEFAULT));
    if (!data) fail();
    return data_sets_.emplace(data_set, std::move(data)).first->second;
  }

  std::string path_;
  File file_;
  std::map<std::string, Object> data_sets_;
};

}  // namespace nablabragg::io::hdf5
