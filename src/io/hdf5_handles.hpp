// HDF5's C API with handles that close themselves and errors that are exceptions.
//
// The library keeps its state in globals, and not every build of it may be called from two threads:
// a Session holds a lock of ours while it lives.
#pragma once
#include <hdf5.h>

#include <cfenv>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>  // for std::exchange
#include <vector>

namespace nablabragg::io::hdf5 {

/// One at a time.  While it lives HDF5 prints nothing; afterwards it does what it did before, and
/// so does arithmetic: filters that are built with -ffast-math (Debian's bitshuffle is) let numbers
/// below 2e-308 be 0 once they are loaded.
class Session {
 public:
  Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

 private:
  std::unique_lock<std::recursive_mutex> held_;
  H5E_auto2_t print_ = nullptr;
  void* printed_to_ = nullptr;
  std::fenv_t arithmetic_{};
};

/// What HDF5 says about its last failure: the sentence of the function that failed first.
std::string last_problem();

/// An identifier of HDF5 and the function that gives it back.
template <herr_t (*close)(hid_t)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      id_ = std::exchange(other.id_, H5I_INVALID_HID);
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  /// What closing it reports: for a file, whether all was written.
  bool reset() { return id_ < 0 || close(std::exchange(id_, H5I_INVALID_HID)) >= 0; }

 private:
  hid_t id_ = H5I_INVALID_HID;
};

using File = Handle<H5Fclose>;
using Object = Handle<H5Oclose>;  ///< a group or a data set
using Attribute = Handle<H5Aclose>;
using Space = Handle<H5Sclose>;
using Type = Handle<H5Tclose>;
using Properties = Handle<H5Pclose>;

/// Lengths along the axes of a data set or attribute; empty for a scalar, nothing where it holds no
/// element or the space is none.
std::optional<std::vector<hsize_t>> shape_of(hid_t space);

/// A type of so many bytes of UTF-8.
Type text_type(std::size_t bytes);

}  // namespace nablabragg::io::hdf5
