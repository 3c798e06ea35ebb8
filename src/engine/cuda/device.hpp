// Between the program and the plugin that drives GPUs, which is opened at run time: the program
// itself needs no library of CUDA's.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include "engine/cuda/device_plan.hpp"
#include "engine/lookup.hpp"

namespace nablabragg::engine::cuda {

enum class Method {
  fixed_point,  ///< phases in 32 bits of fixed point, shapes and sums in single precision
  float32,      ///< phases in double precision, shapes and sums in single
  float64,      ///< all in double precision
  walk          ///< the reference's loop, in double precision: any plan
};

/// Whether there are kernels with phases in fixed point.  Single precision has too few digits for
/// the edge of a top hat, and interpolation wants the indices themselves.
constexpr bool has_fixed_point(CrystalShape shape, Lookup lookup) {
  return shape != CrystalShape::tophat && lookup != Lookup::tricubic;
}

/// What a launch computes: some pixels of a panel, all of their pairs of rays and orientations or
/// some, which are numbered with the orientations fastest.
struct RenderJob {
  Method method = Method::walk;
  CrystalShape shape = CrystalShape::square;
  Lookup lookup = Lookup::constant;
  const DevicePlan* plan = nullptr;  ///< on the host
  DevicePixels pixels;
  DeviceCutoff cutoff;  ///< of the walk
  int first_pair = 0, pairs = 0;
  /// One for each wanted pixel, floats or doubles; others are left alone.
  void* values = nullptr;
  bool double_values = false;
  /// Where sums are kept between launches over some of the pairs each, a double for each pixel.
  double* sums = nullptr;
  /// Of each pixel, a double for each part of the pairs; null: a pixel is finished at once, which
  /// only a launch over all pairs in one part can do, without background.
  double* parts = nullptr;
  int parts_count = 1;
  bool is_first = true, is_last = true;  ///< of the launches that share `sums`
  /// Of each block of threads, how much of the sensor its pixels see [sr]; may be null.
  double* solid_angles = nullptr;
};

/// What follows from a job alone, whatever the device, so that the same bits do.
struct LaunchSize {
  int blocks = 0;  ///< of threads, for the pixels
  int parts = 1;   ///< into which the pairs are best cut, of 32 or more; at most 64
};

/// One GPU.  Calls are made by one thread at a time.  All throw DeviceError.
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual std::string name() const = 0;
  virtual std::size_t free_bytes() const = 0;
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
  virtual void download(void* to, const void* from, std::size_t bytes) = 0;
  virtual void clear(void* memory, std::size_t bytes) = 0;
  /// Returns before it is done.
  virtual void render(const RenderJob& job) = 0;
  virtual void wait() = 0;

 protected:
  Device() = default;
};

/// What the plugin hands out.
struct Plugin {
  int version;  ///< plugin_version of its source
  LaunchSize (*launch_size)(const RenderJob& job);
  /// How many GPUs there are; where that cannot be said, 0 and a sentence.
  int (*count)(std::string& why_none);
  std::unique_ptr<Device> (*open)(int index);
};
/// Changes whenever anything here or in DevicePlan does.
inline constexpr int plugin_version = 1;
/// `extern "C" const nablabragg::engine::cuda::Plugin* nablabragg_cuda_plugin();`
inline constexpr const char* plugin_entry = "nablabragg_cuda_plugin";

/// Memory of a device, given back at the end.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Device& device, std::size_t count)
      : device_(&device),
        data_(count > 0 ? static_cast<T*>(device.allocate(count * sizeof(T))) : nullptr),
        count_(count) {}
  DeviceArray(DeviceArray&& from) noexcept { swap(from); }
  DeviceArray& operator=(DeviceArray&& from) noexcept {
    DeviceArray old(std::move(from));
    swap(old);
    return *this;
  }
  ~DeviceArray() {
    if (data_) device_->release(data_);
  }

  T* data() const { return data_; }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }

 private:
  void swap(DeviceArray& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  Device* device_ = nullptr;
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

template <class T>
DeviceArray<T> on_device(Device& device, const T* values, std::size_t count) {
  DeviceArray<T> array(device, count);
  if (count > 0) device.upload(array.data(), values, array.bytes());
  return array;
}

}  // namespace nablabragg::engine::cuda
