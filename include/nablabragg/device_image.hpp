// An image that stays in the memory of the GPU that computed it.
#pragma once
#include <cstddef>
#include <memory>
#include "nablabragg/experiment.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg {

struct DeviceMemory {
  int device = 0;           ///< the number of the GPU
  bool is_of_host = false;  ///< of a stand-in for a GPU, whose memory anybody may read
};

/// The pixels of an Image, in the same order.  Ready when it is handed out: whatever works on it
/// needs to wait for nothing.
struct DeviceImage {
  std::shared_ptr<void> photons;  ///< which its last owner gives back
  std::size_t pixels = 0;
  bool is_double = false;  ///< else single precision
  DeviceMemory memory;
};

/// The image of simulate(), or of photons() where the options want double precision, to the last
/// bit.  What a GPU does not add itself, diffuse scattering and the shadow of a beamstop for
/// example, is added here and goes back to it.  Throws UsageError as simulate() does and where the
/// options name no GPU, DeviceError where its memory does not suffice.
DeviceImage simulate_on_device(const Experiment& experiment, const ComputeOptions& options);

/// Where such an image is.  Throws UsageError where the options name no GPU.
DeviceMemory memory_of_gpu(const ComputeOptions& options);

}  // namespace nablabragg
