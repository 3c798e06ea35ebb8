// For NABLA_INSTRUCTION_SETS=native: which kernels this machine's processor would choose.
#include <cstdio>

#include "simd/instruction_set.hpp"

int main() {
  using namespace nablabragg::simd;
  std::fputs(name_of(instruction_sets().front()), stdout);
}
