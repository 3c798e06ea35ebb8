// What the gradients of all shapes share.
#include <algorithm>

#include "engine/cuda/plugin/gradient_kernels.hpp"
#include "engine/cuda/plugin/launches.hpp"

namespace nablabragg::engine::cuda {

namespace {

/// Adds the blocks' sums in their order.
__global__ void add_blocks(const double* of_blocks, int blocks, int columns, double* sums) {
  const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (column >= columns) return;
  double sum = 0;
  for (int block = 0; block < blocks; ++block)
    sum += of_blocks[static_cast<long long>(block) * columns + column];
  sums[column] = sum;
}

}  // namespace

int blocks_of_gradient(const DevicePixels& pixels) {
  return std::min(gradient_tiles(pixels), most_gradient_blocks);
}

void add_blocks_of(const double* of_blocks, int blocks, int columns, double* sums) {
  constexpr int threads = 256;
  launch(add_blocks, dim3(static_cast<unsigned>((columns + threads - 1) / threads)), threads,
         of_blocks, blocks, columns, sums);
}

}  // namespace nablabragg::engine::cuda
