// Which instruction set's kernels run on this machine.
#include <cstdlib>
#include <string_view>

#include "engine/cpu/kernels.hpp"
#include "engine/engine.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::engine {

namespace {

// The features that the build's -march names (src/CMakeLists.txt) stand for.
#if NABLA_X86_KERNELS
bool has_sse4() {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
         __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("aes") &&
         __builtin_cpu_supports("pclmul");
}
bool has_avx2() {
  return has_sse4() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

struct Target {
  const char* name;
  bool (*runs_here)();
  const KernelSet& (*kernels)();
};

constexpr Target targets[] = {
#if NABLA_X86_KERNELS
    {"avx512", has_avx512, N_AVX3::kernel_set},
    {"avx2", has_avx2, N_AVX2::kernel_set},
    {"sse4", has_sse4, N_SSE4::kernel_set},
#endif
    {"scalar", [] { return true; }, N_SCALAR::kernel_set},
};

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Target& target : targets)
    if (target.runs_here()) names.emplace_back(target.name);
  return names;
}

const KernelSet& kernels_of_this_machine() {
  const char* wanted = std::getenv("NABLABRAGG_TARGET");
  for (const Target& target : targets)
    if (target.runs_here() &&
        (!wanted || *wanted == '\0' || std::string_view(wanted) == target.name))
      return target.kernels();
  std::string names;
  for (const std::string& name : instruction_sets())
    names.append(names.empty() ? "" : ", ").append(name);
  throw UsageError(std::string("NABLABRAGG_TARGET is '") + wanted +
                   "', which is no instruction set that this processor can run; there are " +
                   names);
}

}  // namespace nablabragg::engine
