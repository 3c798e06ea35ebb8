#include "simd/instruction_set.hpp"

#include <cstdlib>
#include <string_view>

#include "nablabragg/error.hpp"

namespace nablabragg::simd {

namespace {

// The features that the build's -march names (src/CMakeLists.txt) stand for.
#if NABLA_BUILT_SSE4 || NABLA_BUILT_AVX2 || NABLA_BUILT_AVX512
bool has_sse4() {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
         __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("aes") &&
         __builtin_cpu_supports("pclmul");
}
#endif
#if NABLA_BUILT_AVX2 || NABLA_BUILT_AVX512
bool has_avx2() {
  return has_sse4() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#endif
#if NABLA_BUILT_AVX512
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

struct Known {
  InstructionSet set;
  const char* name;
  bool (*runs_here)();
};

/// What the kernels were compiled for.
constexpr Known known[] = {
#if NABLA_BUILT_AVX512
    {InstructionSet::avx512, "avx512", has_avx512},
#endif
#if NABLA_BUILT_AVX2
    {InstructionSet::avx2, "avx2", has_avx2},
#endif
#if NABLA_BUILT_SSE4
    {InstructionSet::sse4, "sse4", has_sse4},
#endif
#if NABLA_BUILT_SCALAR
    {InstructionSet::scalar, "scalar", [] { return true; }},
#endif
};

}  // namespace

const char* name_of(InstructionSet set) {
  for (const Known& k : known)
    if (k.set == set) return k.name;
  return "";
}

std::vector<InstructionSet> instruction_sets() {
  std::vector<InstructionSet> sets;
  for (const Known& k : known)
    if (k.runs_here()) sets.push_back(k.set);
  return sets;
}

InstructionSet chosen_instruction_set() {
  const char* wanted = std::getenv("NABLABRAGG_TARGET");
  for (const Known& k : known)
    if (k.runs_here() && (!wanted || *wanted == '\0' || std::string_view(wanted) == k.name))
      return k.set;
  std::string names;
  if (instruction_sets().empty()) {
    for (const Known& k : known) names.append(names.empty() ? "" : ", ").append(k.name);
    throw UsageError("this program was compiled for " + names +
                     " only, which this processor does not run; compile it here, or for every "
                     "processor with cmake -DNABLA_INSTRUCTION_SETS=all");
  }
  for (const InstructionSet set : instruction_sets())
    names.append(names.empty() ? "" : ", ").append(name_of(set));
  throw UsageError(
      std::string("NABLABRAGG_TARGET is '") + wanted +
      "', which is no instruction set that this processor and this program have; there are " +
      names);
}

}  // namespace nablabragg::simd
