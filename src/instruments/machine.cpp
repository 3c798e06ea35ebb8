#include "instruments/machine.hpp"

#include <fmt/chrono.h>
#include <sched.h>

#include <cstdlib>  // for getloadavg, strtoll
#include <ctime>
#include <fstream>
#include <string_view>

namespace nablabragg::instruments {

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

std::string instruction_set() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return "AVX-512";
  if (__builtin_cpu_supports("avx2")) return "AVX2";
  if (__builtin_cpu_supports("sse4.2")) return "SSE4.2";
#endif
  return "baseline";
}

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

std::int64_t peak_resident_bytes() {
  // Not getrusage(), which counts the caller that started the process as well
  constexpr std::string_view key = "VmHWM:";
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with(key)) return std::strtoll(line.c_str() + key.size(), nullptr, 10) * 1024;
  return 0;
}

std::array<double, 3> load_averages() {
  std::array<double, 3> loads{};
  if (getloadavg(loads.data(), 3) != 3) return {};
  return loads;
}

std::string compiler() { return NABLA_COMPILER; }
std::string compiler_flags() { return NABLA_COMPILER_FLAGS; }

std::string utc_time() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

std::string utc_time_compact() {
  return fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace nablabragg::instruments
