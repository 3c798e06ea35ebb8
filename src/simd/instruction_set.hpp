// Which instruction sets this processor runs.  For code that is compiled once for each of them.
#pragma once
#include <string>
#include <vector>

namespace nablabragg::simd {

enum class InstructionSet { avx512, avx2, sse4, scalar };

const char* name_of(InstructionSet set);

/// Those that the program was compiled for and the processor runs, best first.
std::vector<InstructionSet> instruction_sets();

/// The best, or the one that the environment's NABLABRAGG_TARGET names; throws UsageError when
/// there is none.
InstructionSet chosen_instruction_set();

}  // namespace nablabragg::simd
