// Writing a file of HDF5: groups, data sets, attributes.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>  // for std::move
#include <vector>
#include "io/atomic_file.hpp"
#include "io/hdf5_handles.hpp"
#include "io/hdf5_sink.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/vec3.hpp"

namespace nablabragg::io::hdf5 {

inline constexpr int deflate_level = 1;
inline constexpr H5Z_filter_t bitshuffle_filter = 32008;

/// A file of HDF5 that gets its name when it is complete.
class Tree {
 public:
  explicit Tree(FileAside aside) : aside_(std::move(aside)), sink_(aside_.descriptor()) {
    const Session session;
    if (!aside_.replaces())
      throw OutputError("cannot write " + path() + ": HDF5 files can only be regular files");
    const Properties creation(H5Pcreate(H5P_FILE_CREATE));
    H5Pset_obj_track_times(creation.get(), false);
    file_ = File(H5Fcreate(path().c_str(), H5F_ACC_TRUNC, creation.get(), sink_.access().get()));
    check(file_.get());
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() {
    const Session session;
    file_.reset();
  }

  void check(int result) const { check(static_cast<hid_t>(result)); }
  void check(hid_t result) const {
    if (sink_.error() != 0) aside_.fail(sink_.error());
    if (result < 0) throw OutputError("cannot write " + path() + ": " + last_problem());
  }
  const std::string& path() const { return aside_.path(); }

  Object root() const { return checked(H5Gopen2(file_.get(), "/", H5P_DEFAULT)); }

  Object group(const Object& in, const std::string& name) const {
    return checked(H5Gcreate2(in.get(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }
  Object group(const Object& in, const std::string& name, const char* nexus) const {
    Object made = group(in, name);
    attribute(made, "NX_class", nexus);
    return made;
  }

  void attribute(const Object& of, const char* name, const std::string& text) const {
    const Type type = text_type(text.size());
    const Space scalar(H5Screate(H5S_SCALAR));
    put_attribute(of, name, type.get(), scalar.get(), text.c_str());
  }

  void attribute(const Object& of, const char* name, const Vec3d& v) const {
    const std::array<double, 3> numbers = {v.x, v.y, v.z};
    const hsize_t three = 3;
    const Space space(H5Screate_simple(1, &three, nullptr));
    put_attribute(of, name, H5T_NATIVE_DOUBLE, space.get(), numbers.data());
  }

  /// Of any shape; none is a scalar.
  template <class Number>
  Object numbers(const Object& in, const std::string& name, std::span<const Number> values,
                 std::vector<hsize_t> shape = {}) const {
    const Space space(
        shape.empty() ? H5Screate(H5S_SCALAR)
                      : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
    return data(in, name, number_type<Number>(), space.get(), values.data());
  }
  /// The same, shuffled and deflated in one piece.
  template <class Number>
  Object packed(const Object& in, const std::string& name, std::span<const Number> values,
                const std::vector<hsize_t>& shape) const {
    const Properties creation(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_obj_track_times(creation.get(), false);
    check(H5Pset_chunk(creation.get(), static_cast<int>(shape.size()), shape.data()));
    check(H5Pset_shuffle(creation.get()));
    check(H5Pset_deflate(creation.get(), deflate_level));
    const Space space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
    Object made = checked(H5Dcreate2(in.get(), name.c_str(), number_type<Number>(), space.get(),
                                     H5P_DEFAULT, creation.get(), H5P_DEFAULT));
    check(
        H5Dwrite(made.get(), number_type<Number>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
    return made;
  }
  template <class Number>
  Object number(const Object& in, const std::string& name, Number value) const {
    return numbers<Number>(in, name, {&value, 1});
  }
  void number(const Object& in, const std::string& name, double value,
              const std::string& unit) const {
    attribute(number(in, name, value), "units", unit);
  }

  Object text(const Object& in, const std::string& name, const std::string& value) const {
    const Type type = text_type(value.size());
    const Space scalar(H5Screate(H5S_SCALAR));
    return data(in, name, type.get(), scalar.get(), value.c_str());
  }

  /// [images, slow, fast], or [slow, fast] without images: a chunk an image.
  Object image_data(const Object& in, const char* name, hid_t type, hsize_t images, hsize_t slow,
                    hsize_t fast, bool bitshuffled) const {
    std::vector<hsize_t> shape, chunk;
    if (images > 0) {
      shape.push_back(images);
      chunk.push_back(1);
    }
    for (const hsize_t length : {slow, fast}) {
      shape.push_back(length);
      chunk.push_back(length);
    }
    const Properties creation(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_obj_track_times(creation.get(), false);
    H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
    check(H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()));
    if (bitshuffled) {
      const std::array<unsigned, 2> best_block_and_lz4 = {0, 2};
      check(H5Pset_filter(creation.get(), bitshuffle_filter, H5Z_FLAG_MANDATORY,
                          best_block_and_lz4.size(), best_block_and_lz4.data()));
    } else {
      check(H5Pset_shuffle(creation.get()));
      check(H5Pset_deflate(creation.get(), deflate_level));
    }
    const Space space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
    // A chunk is in the file when it was written.
    const Properties access(H5Pcreate(H5P_DATASET_ACCESS));
    check(H5Pset_chunk_cache(access.get(), H5D_CHUNK_CACHE_NSLOTS_DEFAULT, 0,
                             H5D_CHUNK_CACHE_W0_DEFAULT));
    return checked(
        H5Dcreate2(in.get(), name, type, space.get(), H5P_DEFAULT, creation.get(), access.get()));
  }

  /// Room for the packed bytes of an image, which somebody else writes.
  void image_room(const Object& images, hsize_t image, std::size_t bytes) {
    const std::vector<std::byte> nothing(bytes);
    const std::array<hsize_t, 3> begin = {image, 0, 0};
    sink_.leave_room(true);
    const herr_t made = H5Dwrite_chunk(images.get(), H5P_DEFAULT, 0, begin.data(), bytes,
                                       nothing.data());
    sink_.leave_room(false);
    check(made);
  }
  /// Room for numbers that somebody else writes.
  template <class Number>
  Object room(const Object& in, const std::string& name, const std::vector<hsize_t>& shape) const {
    const Properties creation(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_obj_track_times(creation.get(), false);
    H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
    check(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY));
    const Space space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
    return checked(H5Dcreate2(in.get(), name.c_str(), number_type<Number>(), space.get(),
                              H5P_DEFAULT, creation.get(), H5P_DEFAULT));
  }

  /// No more of it is written here.  What it has room for is taken from the disk.
  void close() {
    check(file_.reset() ? 0 : -1);
    aside_.take_room();
  }
  void commit() {
    check(file_.reset() ? 0 : -1);
    put_in_place(std::move(aside_));
  }

 private:
  Object checked(hid_t id) const {
    check(id);
    return Object(id);
  }

  template <class Number>
  static hid_t number_type() {
    if constexpr (std::is_same_v<Number, double>)
      return H5T_NATIVE_DOUBLE;
    else if constexpr (std::is_same_v<Number, float>)
      return H5T_NATIVE_FLOAT;
    else if constexpr (std::is_same_v<Number, std::uint8_t>)
      return H5T_NATIVE_UINT8;
    else if constexpr (std::is_same_v<Number, std::int64_t>)
      return H5T_NATIVE_INT64;
    else
      return H5T_NATIVE_INT32;
  }

  void put_attribute(const Object& of, const char* name, hid_t type, hid_t space,
                     const void* value) const {
    const Attribute made(H5Acreate2(of.get(), name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    check(made.get());
    check(H5Awrite(made.get(), type, value));
  }

  Object data(const Object& in, const std::string& name, hid_t type, hid_t space,
              const void* values) const {
    const Properties creation(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_obj_track_times(creation.get(), false);
    Object made = checked(
        H5Dcreate2(in.get(), name.c_str(), type, space, H5P_DEFAULT, creation.get(), H5P_DEFAULT));
    // Of no elements there is nothing to write.
    if (H5Sget_simple_extent_npoints(space) > 0)
      check(H5Dwrite(made.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
    return made;
  }

  FileAside aside_;
  Sink sink_;
  File file_;
};

}  // namespace nablabragg::io::hdf5
