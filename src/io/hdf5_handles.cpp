#include "io/hdf5_handles.hpp"

#include "io/hdf5_exit.hpp"

void nablabragg::io::leave_hdf5_at_exit() { H5dont_atexit(); }

namespace nablabragg::io::hdf5 {

namespace {

std::recursive_mutex& library_lock() {
  static std::recursive_mutex lock;
  return lock;
}

}  // namespace

Session::Session() : held_(library_lock()) {
  std::fegetenv(&arithmetic_);
  H5Eget_auto2(H5E_DEFAULT, &print_, &printed_to_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Session::~Session() {
  H5Eset_auto2(H5E_DEFAULT, print_, printed_to_);
  std::fesetenv(&arithmetic_);
}

std::string last_problem() {
  std::string problem;
  const auto keep = [](unsigned, const H5E_error2_t* error, void* to) -> herr_t {
    if (error->desc) *static_cast<std::string*>(to) = error->desc;
    return 1;  // the first is the innermost
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep, &problem);
  return problem;
}

std::optional<std::vector<hsize_t>> shape_of(hid_t space) {
  const H5S_class_t kind = H5Sget_simple_extent_type(space);
  if (kind == H5S_SCALAR) return std::vector<hsize_t>{};
  const int rank = H5Sget_simple_extent_ndims(space);
  if (kind != H5S_SIMPLE || rank < 0) return std::nullopt;
  std::vector<hsize_t> shape(static_cast<std::size_t>(rank));
  if (H5Sget_simple_extent_dims(space, shape.data(), nullptr) < 0) return std::nullopt;
  for (const hsize_t length : shape)
    if (length == 0) return std::nullopt;
  return shape;
}

Type text_type(std::size_t bytes) {
  Type type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), bytes > 0 ? bytes : 1);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

}  // namespace nablabragg::io::hdf5
