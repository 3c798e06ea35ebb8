// Between the program and the plugin that drives GPUs, which is opened at run time: the program
// itself needs no library of CUDA's.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include "engine/cuda/closed_gradient_job.hpp"
#include "engine/cuda/device_plan.hpp"
#include "engine/lookup.hpp"
#include "physics/photon_counter.hpp"

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

/// What a launch is about: some pixels of a panel, all of their pairs of rays and orientations or
/// some, which are numbered with the orientations fastest.
struct Job {
  Method method = Method::walk;
  CrystalShape shape = CrystalShape::square;
  Lookup lookup = Lookup::constant;
  const DevicePlan* plan = nullptr;  ///< on the host
  DevicePixels pixels;
  DeviceCutoff cutoff;
  int first_pair = 0, pairs = 0;
};

/// What a launch computes.
struct RenderJob : Job {
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
  /// On the host; null: a sum step by step.  In closed form a launch has one pair.
  const DeviceClosed* closed = nullptr;
};

/// What a launch differentiates, in reverse or forwards.  The method is float32 or float64.
struct GradientJob : Job {
  int first_ray = 0, rays = 0;  ///< of the pairs
  int blocks = 0;               ///< of threads, which share the tiles of pixels in a fixed way

  // In reverse: what the adjoints of all pixels come to
  const double* weights = nullptr;  ///< one for each pixel; null: forwards
  double* of_blocks = nullptr;      ///< blocks x sums_of_gradient()
  double* sums = nullptr;           ///< sums_of_gradient()
  /// Adjoints of the table's F times table_scale, as integers, whose sums have no order, in as many
  /// words as a precision wants: what is left of one, times next_word, goes to the next.  Word by
  /// word, with table_size of them each; may be null.
  unsigned long long* table = nullptr;
  long long table_size = 0;
  double table_scale = 0;

  // Forwards, for each pixel
  double* photons = nullptr;
  double* slopes = nullptr;  ///< columns of them for each pixel, of which these tangents' are added
                             ///< to
  int columns = 0, first_column = 0;
  const DeviceTangent* tangents = nullptr;  ///< on the device
  int tangent_count = 0;                    ///< at most most_tangents
};
inline constexpr int most_tangents = 4;
/// So small that 2^33 numbers can be added to a word.
inline constexpr double next_word = 0x1p30;
/// Of Gaussian spots, tails are looked at forty decades below the peak.
constexpr int words_of_table(Method method) { return method == Method::float32 ? 2 : 6; }

/// What is seen while pixels are counted.
struct CountTally {
  unsigned long long saturated = 0;
  unsigned long long lit = 0;      ///< blocks of threads that have a pixel which is not 0
  unsigned long long undrawn = 0;  ///< pixels that are NaN, infinite or too bright
};

/// Counts drawn about the values of a rectangle of pixels.
struct CountJob {
  DevicePixels pixels;
  const float* values = nullptr;  ///< row by row
  int fast_pixels = 0;            ///< of the panel
  /// Of the deviates, and the number of the panel's first pixel in it.
  std::uint64_t key = 0, first_pixel = 0;
  physics::PhotonCounter counter;
  std::int32_t* counts = nullptr;  ///< as the values; gap_pixel where the mask leaves a pixel out
  CountTally* tally = nullptr;     ///< added to
};

// Sums of a launch in reverse: first those of its numbers, of the ray that polarizes all, then
// those of each ray and of each pair.
inline constexpr int sums_of_numbers = 38, sums_of_first_ray = 6;
inline constexpr int sums_of_ray = 7;    ///< weight, incident and magnetic, of the polarization
inline constexpr int sums_of_pair = 12;  ///< adjoints of an index times the way to the spot, a, b,
                                         ///< c; those adjoints themselves
NABLA_INLINE int sums_of_gradient(const GradientJob& job) {
  return sums_of_numbers + sums_of_first_ray + sums_of_ray * job.rays + sums_of_pair * job.pairs;
}

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
  /// Whether the processor reads and writes its memory as its own.
  virtual bool has_host_memory() const = 0;
  virtual std::size_t free_bytes() const = 0;
  virtual void* allocate(std::size_t bytes) = 0;
  /// From any thread, at any time.
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
  virtual void download(void* to, const void* from, std::size_t bytes) = 0;
  virtual void clear(void* memory, std::size_t bytes) = 0;
  /// On the device: so many rows, which begin so many bytes apart.
  virtual void copy_rows(void* to, std::size_t to_step, const void* from, std::size_t from_step,
                         std::size_t bytes_of_row, std::size_t rows) = 0;
  /// They return before they are done.
  virtual void render(const RenderJob& job) = 0;
  virtual void differentiate(const GradientJob& job) = 0;
  virtual void differentiate(const ClosedGradientJob& job) = 0;
  virtual void count(const CountJob& job) = 0;
  /// Returns how long what was started since the last call took, by the device's clock [s].
  virtual double wait() = 0;

 protected:
  Device() = default;
};

/// What the plugin hands out.
struct Plugin {
  std::size_t version;  ///< plugin_version of its source
  LaunchSize (*launch_size)(const RenderJob& job);
  int (*blocks_of_gradient)(const DevicePixels& pixels);
  /// How many GPUs there are; where that cannot be said, 0 and a sentence.
  int (*count)(std::string& why_none);
  std::unique_ptr<Device> (*open)(int index);
};
/// Another one where any of these has another layout; the number in front is raised where their
/// meaning changes.
inline constexpr std::size_t plugin_version = [] {
  std::size_t version = 5;
  for (const std::size_t size :
       {sizeof(DevicePlan), sizeof(RenderJob), sizeof(DeviceClosed), sizeof(DeviceSpot<double>),
        sizeof(GradientJob), sizeof(ClosedGradientJob), sizeof(CountJob), sizeof(CountTally),
        sizeof(Plugin)})
    version = version * 4099 + size;
  return version;
}();
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
