// How HDF5 ends with a process of ours.
#pragma once

namespace nablabragg::io {

/// Keeps HDF5 from closing what is open as the process ends, for programs whose files are all
/// closed by then.  Of a damaged file the library (1.10.8) may keep objects that it cannot close,
/// and then prints two lines about itself.  Before any other use of HDF5.
void leave_hdf5_at_exit();

}  // namespace nablabragg::io
