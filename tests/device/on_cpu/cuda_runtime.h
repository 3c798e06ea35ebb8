// A stand-in for CUDA, enough for this project's kernels: threads of a block are fibers of one CPU
// thread, switched where they wait for each other, and the device's memory is the host's.  So that
// the kernels' sources are tested where there is no GPU.  Slow, and no measure of speed.
//
// Read from the environment:
//   NABLABRAGG_ON_CPU_DEVICES   how many devices there are (1)
//   NABLABRAGG_ON_CPU_MEMORY    bytes of each (1 GiB)
//   NABLABRAGG_ON_CPU_ORDER     a number that decides in which order threads of a block run on; 0:
//                               in that of their numbers
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static  // of the one block that runs
#define __launch_bounds__(...)
#define __grid_constant__

struct double2 {
  double x, y;
};
struct dim3 {
  unsigned x, y, z;
  explicit dim3(unsigned of_x = 1, unsigned of_y = 1, unsigned of_z = 1)
      : x(of_x), y(of_y), z(of_z) {}
};
using std::max;
using std::min;

namespace on_cpu {

inline double number_of_environment(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atof(text) : otherwise;
}

// ---- Threads ------------------------------------------------------------------------------------

/// A fiber is begun by the ucontext functions and switched by jumps, which leave the signal mask to
/// itself: a system call less.
struct Fiber {
  ucontext_t beginning;
  jmp_buf place;
  std::unique_ptr<char[]> stack;
  bool begun = false, done = false;
};

/// Those who wait for each other.
struct Barrier {
  int waiting = 0, alive = 0;
  unsigned generation = 0;
  bool any = false, found = false;  ///< whether one of them says so, and whether one said so

  void open() {
    waiting = 0;
    found = any;
    any = false;
    ++generation;
  }
};

struct Machine {
  dim3 thread, block, blocks, threads;
  jmp_buf scheduler;
  std::vector<Fiber> fibers;
  std::size_t current = 0;
  Barrier all;
  std::vector<Barrier> warps;
  /// Between the lanes of a warp: as none of them is two exchanges ahead, two places do.
  std::vector<std::uint64_t> exchanged[2];
  std::vector<unsigned> exchanges;
  std::function<void()> kernel;

  Barrier& warp() { return warps[current / 32]; }
  void wait(Barrier& barrier) {
    const unsigned now = barrier.generation;
    if (++barrier.waiting == barrier.alive) {
      barrier.open();
    } else {
      while (barrier.generation == now) give_way();
    }
    thread = dim3(static_cast<unsigned>(current));
  }
  static void leave(Barrier& barrier) {
    if (--barrier.alive > 0 && barrier.waiting == barrier.alive) barrier.open();
  }
  void leave() {
    fibers[current].done = true;
    leave(warp());
    leave(all);
    _longjmp(scheduler, 1);
  }
  __attribute__((noinline)) void give_way() {
    if (_setjmp(fibers[current].place) == 0) _longjmp(scheduler, 1);
  }
  __attribute__((noinline)) void resume() {
    if (_setjmp(scheduler) != 0) return;
    Fiber& fiber = fibers[current];
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    setcontext(&fiber.beginning);
  }
  void run_block(std::uint64_t& order);
};
inline Machine machine;

inline void begin_fiber() {
  machine.kernel();
  machine.leave();
}

inline void Machine::run_block(std::uint64_t& order) {
  constexpr std::size_t stack_size = std::size_t{256} << 10;
  const std::size_t n = threads.x;
  all = Barrier();
  all.alive = static_cast<int>(n);
  warps.assign((n + 31) / 32, Barrier());
  for (std::size_t t = 0; t < n; ++t) ++warps[t / 32].alive;
  for (auto& of_parity : exchanged) of_parity.resize(n);
  exchanges.assign(n, 0);
  for (Fiber& fiber : fibers) {
    if (!fiber.stack) fiber.stack.reset(new char[stack_size]);
    fiber.begun = fiber.done = false;
    getcontext(&fiber.beginning);
    fiber.beginning.uc_stack.ss_sp = fiber.stack.get();
    fiber.beginning.uc_stack.ss_size = stack_size;
    fiber.beginning.uc_link = nullptr;
    makecontext(&fiber.beginning, begin_fiber, 0);
  }
  while (all.alive > 0) {
    // An odd stride visits each of 2^k threads once.
    if (order != 0) order = order * 6364136223846793005u + 1442695040888963407u;
    const std::size_t stride = order ? 2 * ((order >> 40) % n) + 1 : 1, start = (order >> 20) % n;
    for (std::size_t i = 0; i < n; ++i) {
      current = (i * stride + start) % n;
      if (fibers[current].done) continue;
      thread = dim3(static_cast<unsigned>(current));
      resume();
    }
  }
}

/// All blocks of a launch, in an order that follows from NABLABRAGG_ON_CPU_ORDER, too.
inline void run(dim3 blocks, int threads, std::function<void()> kernel) {
  auto order = static_cast<std::uint64_t>(number_of_environment("NABLABRAGG_ON_CPU_ORDER", 0));
  machine.kernel = std::move(kernel);
  machine.blocks = blocks;
  machine.threads = dim3(static_cast<unsigned>(threads));
  machine.fibers.resize(machine.threads.x);
  const unsigned count = blocks.x * blocks.y;
  for (unsigned i = 0; i < count; ++i) {
    const unsigned number = order == 0 ? i : count - 1 - i;
    machine.block = dim3(number % blocks.x, number / blocks.x, 0);
    machine.run_block(order);
  }
}

// ---- Memory -------------------------------------------------------------------------------------

struct Memory {
  std::mutex guard;
  std::map<void*, std::size_t> held;
  std::size_t bytes = 0;
};
inline Memory memory;
inline std::size_t memory_size() {
  return static_cast<std::size_t>(number_of_environment("NABLABRAGG_ON_CPU_MEMORY", 1 << 30));
}

}  // namespace on_cpu

#define threadIdx (on_cpu::machine.thread)
#define blockIdx (on_cpu::machine.block)
#define gridDim (on_cpu::machine.blocks)
#define blockDim (on_cpu::machine.threads)

inline void __syncthreads() { on_cpu::machine.wait(on_cpu::machine.all); }
namespace on_cpu {
inline int wait_or(Barrier& barrier, int mine) {
  barrier.any = barrier.any || mine != 0;
  machine.wait(barrier);
  return barrier.found ? 1 : 0;
}
}  // namespace on_cpu
inline int __syncthreads_or(int mine) { return on_cpu::wait_or(on_cpu::machine.all, mine); }
inline int __any_sync(unsigned, int mine) { return on_cpu::wait_or(on_cpu::machine.warp(), mine); }
inline void __syncwarp() { on_cpu::machine.wait(on_cpu::machine.warp()); }
inline unsigned __ballot_sync(unsigned, int mine) {
  on_cpu::Machine& machine = on_cpu::machine;
  const std::size_t me = machine.current, first = me / 32 * 32;
  auto& between = machine.exchanged[machine.exchanges[me]++ % 2];
  between[me] = mine != 0;
  machine.wait(machine.warp());
  unsigned all = 0;
  for (std::size_t lane = 0; lane < 32; ++lane)
    all |= static_cast<unsigned>(between[first + lane]) << lane;
  return all;
}
inline int __popc(unsigned bits) { return std::popcount(bits); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  on_cpu::Machine& machine = on_cpu::machine;
  const std::size_t me = machine.current;
  auto& between = machine.exchanged[machine.exchanges[me]++ % 2];
  std::memcpy(&between[me], &value, sizeof value);
  machine.wait(machine.warp());
  T other;
  std::memcpy(&other, &between[me ^ static_cast<unsigned>(mask)], sizeof other);
  return other;
}
inline unsigned long long atomicAdd(unsigned long long* to, unsigned long long more) {
  const unsigned long long before = *to;
  *to += more;
  return before;
}
inline long long __double2ll_rn(double value) { return std::llrint(value); }
template <class T>
T __ldg(const T* value) {
  return *value;
}
inline int __double2loint(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<int>(static_cast<std::uint32_t>(bits));
}
inline int __double2hiint(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<int>(static_cast<std::uint32_t>(bits >> 32));
}
inline double rsqrt(double value) { return 1 / std::sqrt(value); }

// ---- The runtime --------------------------------------------------------------------------------

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation = 2, cudaErrorNoDevice = 100 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
struct cudaDeviceProp {
  char name[256];
};

inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory"
         : error == cudaErrorNoDevice       ? "no CUDA-capable device is detected"
                                            : "no error";
}
inline const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation"
         : error == cudaErrorNoDevice       ? "cudaErrorNoDevice"
                                            : "cudaSuccess";
}
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(on_cpu::number_of_environment("NABLABRAGG_ON_CPU_DEVICES", 1));
  return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "no GPU: the kernels' sources on one CPU thread");
  return cudaSuccess;
}
inline cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const std::lock_guard lock(on_cpu::memory.guard);
  if (on_cpu::memory.bytes + bytes > on_cpu::memory_size()) return cudaErrorMemoryAllocation;
  *memory = std::malloc(bytes + 1);
  std::memset(*memory, 0xff, bytes);  // what is read before it is written shows
  on_cpu::memory.held[*memory] = bytes;
  on_cpu::memory.bytes += bytes;
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* memory) {
  const std::lock_guard lock(on_cpu::memory.guard);
  const auto held = on_cpu::memory.held.find(memory);
  if (held == on_cpu::memory.held.end()) return cudaSuccess;
  on_cpu::memory.bytes -= held->second;
  on_cpu::memory.held.erase(held);
  std::free(memory);
  return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const std::lock_guard lock(on_cpu::memory.guard);
  *total = on_cpu::memory_size();
  *free = *total > on_cpu::memory.bytes ? *total - on_cpu::memory.bytes : 0;
  return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpy2D(void* to, std::size_t to_step, const void* from,
                                std::size_t from_step, std::size_t width, std::size_t height,
                                cudaMemcpyKind) {
  for (std::size_t row = 0; row < height; ++row)
    std::memcpy(static_cast<char*>(to) + row * to_step,
                static_cast<const char*>(from) + row * from_step, width);
  return cudaSuccess;
}
inline cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

using cudaEvent_t = std::chrono::steady_clock::time_point*;
inline cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new std::chrono::steady_clock::time_point;
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event) {
  *event = std::chrono::steady_clock::now();
  return cudaSuccess;
}
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = std::chrono::duration<float, std::milli>(*to - *from).count();
  return cudaSuccess;
}
