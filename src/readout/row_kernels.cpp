#include "readout/row_kernels.hpp"

#include <stdexcept>

#include "simd/instruction_set.hpp"

namespace nablabragg::readout {

RowKernels row_kernels() {
#define NABLA_ROW_KERNELS_OF(target)                                                            \
  {                                                                                             \
    target::draw_poisson, target::to_integers, target::to_greys, target::to_counts,             \
        target::sum_of, target::draw_normals, target::lose_to_dead_time, target::spread_signal, \
        target::round_counts, target::weighted_sum, target::sum_block, target::widen,           \
        target::narrow, target::multiply_by_pattern, target::amplify                            \
  }
  switch (simd::chosen_instruction_set()) {
#if NABLA_BUILT_AVX512
    case simd::InstructionSet::avx512:
      return NABLA_ROW_KERNELS_OF(N_AVX3);
#endif
#if NABLA_BUILT_AVX2
    case simd::InstructionSet::avx2:
      return NABLA_ROW_KERNELS_OF(N_AVX2);
#endif
#if NABLA_BUILT_SSE4
    case simd::InstructionSet::sse4:
      return NABLA_ROW_KERNELS_OF(N_SSE4);
#endif
#if NABLA_BUILT_SCALAR
    case simd::InstructionSet::scalar:
      return NABLA_ROW_KERNELS_OF(N_SCALAR);
#endif
    default:
      throw std::logic_error("no kernels for the chosen instruction set");
  }
#undef NABLA_ROW_KERNELS_OF
}

}  // namespace nablabragg::readout
