// How much memory a large calculation may still take.
#pragma once
#include <sys/resource.h>  // for getrlimit
#include <unistd.h>        // for sysconf

#include <algorithm>  // for min
#include <fstream>
#include <limits>
#include <string>

namespace nablabragg::memory {

/// Bytes that the system can give without swapping, within the limits of this process; infinite
/// where nothing is known.
inline double available_bytes() {
  double bytes = std::numeric_limits<double>::infinity();
  std::ifstream meminfo("/proc/meminfo");
  std::string name;
  double kibibytes = 0;
  while (meminfo >> name >> kibibytes) {
    if (name == "MemAvailable:") bytes = 1024 * kibibytes;
    meminfo.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  double pages = 0;
  if (std::ifstream("/proc/self/statm") >> pages)
    if (rlimit limit{}; getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
      bytes = std::min(bytes, static_cast<double>(limit.rlim_cur) -
                                  pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
  // A container's share of the machine
  double most = 0, used = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> most &&
      std::ifstream("/sys/fs/cgroup/memory.current") >> used)
    bytes = std::min(bytes, most - used);
  return std::max(bytes, 0.0);
}

}  // namespace nablabragg::memory
