// What the kernels ask of CUDA beyond C++: as the card has it, or as the host stand-in of the tests
// (tests/device/on_cpu), which runs the same sources as fibers of one CPU thread.
#pragma once
#include <cuda_runtime.h>

#include <cmath>
#include <string>

#include "engine/cuda/device.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::engine::cuda {

#ifdef __CUDACC__

#define NABLA_UNROLL_BY_2 _Pragma("unroll 2")
constexpr bool memory_is_of_host = false;

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, int threads, Arguments... arguments) {
  kernel<<<blocks, static_cast<unsigned>(threads)>>>(arguments...);
}

/// Keeps a value in its register: otherwise the compiler makes it anew at each step from what it
/// was made of.
__device__ __forceinline__ void pin(double& value) { asm volatile("" : "+d"(value)); }
__device__ __forceinline__ void pin(float& value) { asm volatile("" : "+f"(value)); }

/// Keeps what a pointer points at in memory, so that registers are left for what each step changes.
template <class T>
__device__ __forceinline__ T* in_memory(T* pointer) {
  asm volatile("" : "+l"(pointer));
  return pointer;
}

/// 1/x to an ulp, without the checks for what cannot come.
__device__ __forceinline__ float reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 2^x to 2 ulp.
__device__ __forceinline__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#else

#define NABLA_UNROLL_BY_2
constexpr bool memory_is_of_host = true;

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, int threads, Arguments... arguments) {
  on_cpu::run(blocks, threads, [=] { kernel(arguments...); });
}
inline void pin(double&) {}
inline void pin(float&) {}
template <class T>
T* in_memory(T* pointer) {
  return pointer;
}
inline float reciprocal(float x) { return 1 / x; }
inline float power_of_two(float x) { return std::exp2(x); }

#endif

/// Throws DeviceError; `doing` is what was asked of the driver.
inline void check(cudaError_t error, const char* doing) {
  if (error == cudaSuccess) return;
  std::string text = std::string("the GPU could not ") + doing + ": " + cudaGetErrorString(error) +
                     " (" + cudaGetErrorName(error) + ")";
  if (error == cudaErrorMemoryAllocation)
    text +=
        "; other programs may hold its memory: end them, render fewer pixels at once "
        "(-roi), or take -device cpu";
  else
    text += "; -device cpu does without it";
  throw DeviceError(text);
}

}  // namespace nablabragg::engine::cuda
