// Finding the plugin that drives GPUs, and a GPU.
#pragma once
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include "engine/cuda/device.hpp"
#include "nablabragg/device_image.hpp"

namespace nablabragg::engine::cuda {

/// A GPU and what goes with it.  Several may use it at once: they take turns by `turn`.
struct OpenDevice {
  int index;
  const Plugin* plugin;
  std::unique_ptr<Device> device;
  std::mutex turn;
};

/// 0 where there is no plugin for them.
int device_count();

/// Why there is no GPU of this number, as a sentence; empty: there is one.  Starts no context.
std::string why_no_device(int index);

/// Opened when it is first asked for, which takes a quarter of a second, and kept.  Throws
/// UsageError where there is none, DeviceError where it does not start.
std::shared_ptr<OpenDevice> open_device(int index);

/// Opens it meanwhile, so that open_device() need not wait; its errors are those of open_device().
void begin_opening(int index);

inline DeviceMemory memory_of(const OpenDevice& opened) {
  return {opened.index, opened.device->has_host_memory()};
}

/// What was computed elsewhere, in the memory of that GPU: floats or doubles.
template <class Number>
DeviceImage image_on_device(int index, std::span<const Number> photons);

}  // namespace nablabragg::engine::cuda
