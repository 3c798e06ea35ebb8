// Which instruction set's kernels run on this machine.
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
#if NABLA_X86_KERNELS
    case simd::InstructionSet::avx512:
      return N_AVX3::kernel_set();
    case simd::InstructionSet::avx2:
      return N_AVX2::kernel_set();
    case simd::InstructionSet::sse4:
      return N_SSE4::kernel_set();
#endif
    default:
      return N_SCALAR::kernel_set();
  }
}

}  // namespace nablabragg::engine
