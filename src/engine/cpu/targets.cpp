// Which instruction set's kernels run on this machine.
#include <stdexcept>

#include "engine/cpu/kernels.hpp"
#include "engine/engine.hpp"
#include "simd/instruction_set.hpp"

namespace nablabragg::engine {

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const simd::InstructionSet set : simd::instruction_sets())
    names.emplace_back(simd::name_of(set));
  return names;
}

const KernelSet& kernels_of_this_machine() {
  switch (simd::chosen_instruction_set()) {
#if NABLA_BUILT_AVX512
    case simd::InstructionSet::avx512:
      return N_AVX3::kernel_set();
#endif
#if NABLA_BUILT_AVX2
    case simd::InstructionSet::avx2:
      return N_AVX2::kernel_set();
#endif
#if NABLA_BUILT_SSE4
    case simd::InstructionSet::sse4:
      return N_SSE4::kernel_set();
#endif
#if NABLA_BUILT_SCALAR
    case simd::InstructionSet::scalar:
      return N_SCALAR::kernel_set();
#endif
    default:
      throw std::logic_error("no kernels for the chosen instruction set");
  }
}

}  // namespace nablabragg::engine
