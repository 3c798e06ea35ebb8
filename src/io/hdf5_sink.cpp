#include "io/hdf5_sink.hpp"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif
#include <sys/stat.h>  // for fstat
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>  // for memset

namespace nablabragg::io::hdf5 {

namespace {

/// HDF5 looks at the first part alone.
struct OpenFile {
  H5FD_t common;
  Sink* sink;
  haddr_t allocated, written;  ///< HDF5's "end of allocation" and "end of file"
};

OpenFile& own(H5FD_t* file) { return *reinterpret_cast<OpenFile*>(file); }
const OpenFile& own(const H5FD_t* file) { return *reinterpret_cast<const OpenFile*>(file); }

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  Sink* const sink = *static_cast<Sink* const*>(H5Pget_driver_info(access));
  struct stat found {};
  if (fstat(sink->descriptor(), &found) != 0) sink->fail(errno);
  return &(new OpenFile{{}, sink, 0, static_cast<haddr_t>(found.st_size)})->common;
}

herr_t close_file(H5FD_t* file) {
  delete &own(file);
  return 0;
}

herr_t query(const H5FD_t*, unsigned long* features) {
  if (features)
    *features = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
                H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

haddr_t get_allocated(const H5FD_t* file, H5FD_mem_t) { return own(file).allocated; }

herr_t set_allocated(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  own(file).allocated = end;
  return 0;
}

haddr_t get_written(const H5FD_t* file, H5FD_mem_t) { return own(file).written; }

/// Calls call(bytes done so far) until all are done or it fails; 0 bytes end it, too.
template <class Call>
std::size_t in_parts(Sink& sink, std::size_t bytes, Call&& call) {
  std::size_t done = 0;
  while (done < bytes && sink.error() == 0) {
    const ssize_t part = call(done);
    if (part > 0)
      done += static_cast<std::size_t>(part);
    else if (part == 0)
      break;
    else if (errno != EINTR)
      sink.fail(errno);
  }
  return done;
}

herr_t read_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, std::size_t bytes, void* to) {
  Sink& sink = *own(file).sink;
  auto* const begin = static_cast<char*>(to);
  const std::size_t done = in_parts(sink, bytes, [&](std::size_t i) {
    return pread(sink.descriptor(), begin + i, bytes - i, static_cast<off_t>(at + i));
  });
  std::memset(begin + done, 0, bytes - done);  // behind the end
  return 0;
}

herr_t write_bytes(H5FD_t* file, H5FD_mem_t kind, hid_t, haddr_t at, std::size_t bytes,
                   const void* from) {
  Sink& sink = *own(file).sink;
  if (kind == H5FD_MEM_DRAW && sink.leaves_room()) return 0;
  const auto* const begin = static_cast<const char*>(from);
  in_parts(sink, bytes, [&](std::size_t i) {
    return pwrite(sink.descriptor(), begin + i, bytes - i, static_cast<off_t>(at + i));
  });
  own(file).written = std::max(own(file).written, at + bytes);
  return 0;
}

herr_t truncate_file(H5FD_t* file, hid_t, hbool_t) {
  Sink& sink = *own(file).sink;
  if (own(file).written != own(file).allocated && sink.error() == 0 &&
      ftruncate(sink.descriptor(), static_cast<off_t>(own(file).allocated)) != 0)
    sink.fail(errno);
  own(file).written = own(file).allocated;
  return 0;
}

hid_t driver() {
  static const hid_t registered = [] {
    H5FD_class_t driver{};
#ifdef H5FD_CLASS_VERSION
    driver.version = H5FD_CLASS_VERSION;
    driver.value = static_cast<H5FD_class_value_t>(600);  // of those that nobody has to ask for
#endif
    driver.name = "descriptor";
    driver.maxaddr = HADDR_MAX;
    driver.fc_degree = H5F_CLOSE_STRONG;
    driver.fapl_size = sizeof(Sink*);
    driver.open = open_file;
    driver.close = close_file;
    driver.query = query;
    driver.get_eoa = get_allocated;
    driver.set_eoa = set_allocated;
    driver.get_eof = get_written;
    driver.read = read_bytes;
    driver.write = write_bytes;
    driver.truncate = truncate_file;
    const H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
    std::copy(std::begin(map), std::end(map), driver.fl_map);
    return H5FDregister(&driver);
  }();
  return registered;
}

}  // namespace

Properties Sink::access() {
  Properties access(H5Pcreate(H5P_FILE_ACCESS));
  Sink* const self = this;
  H5Pset_driver(access.get(), driver(), &self);
  return access;
}

}  // namespace nablabragg::io::hdf5
