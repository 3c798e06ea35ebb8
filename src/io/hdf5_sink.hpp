// A driver of HDF5 that writes to a descriptor.
//
// HDF5's own drivers open files by name, which one that gets its name when it is complete has not;
// and where a disk is full they leave a file that HDF5 can neither write nor close: it is met
// again, and crashes, when the process ends.
#pragma once
#include "io/hdf5_handles.hpp"

namespace nablabragg::io::hdf5 {

/// The bytes behind a descriptor that is open for reading and writing.  What cannot be written is
/// kept as an error, and from then on everything is taken and dropped, so that HDF5 can come to an
/// end.  It outlives the file.
class Sink {
 public:
  explicit Sink(int descriptor) : descriptor_(descriptor) {}
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  /// What H5Fcreate() and H5Fopen() take.
  Properties access();
  /// errno of the first call that failed; 0: none.
  int error() const { return error_; }

  /// Whether bytes of data sets are left unwritten, so that they have their room and nothing in it.
  void leave_room(bool leaves) { leaves_room_ = leaves; }

  // For the driver
  int descriptor() const { return descriptor_; }
  void fail(int error) { error_ = error; }
  bool leaves_room() const { return leaves_room_; }

 private:
  int descriptor_;
  int error_ = 0;
  bool leaves_room_ = false;
};

}  // namespace nablabragg::io::hdf5
