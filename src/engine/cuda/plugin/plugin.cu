// One GPU behind the interface of device.hpp, and the plugin's entry.
#include <algorithm>
#include <limits>

#include "engine/cuda/plugin/launches.hpp"

namespace nablabragg::engine::cuda {

namespace {

int blocks_of(const RenderJob& job) {
  if (job.method != Method::fixed_point) return blocks_of<1>(job.pixels);
  return physics::with_shape(job.shape, [&]<class Shape>() {
    return blocks_of<Kind<Shape, Method::fixed_point>::pixels>(job.pixels);
  });
}

}  // namespace

// Small images do not fill a card, so their pairs are cut into parts.  Into how many depends on the
// job alone: an image has the same bits on cards of different size.
LaunchSize launch_size(const RenderJob& job) {
  constexpr int enough_blocks = 2112, most_parts = 64;
  LaunchSize size;
  size.blocks = blocks_of(job);
  if (job.method == Method::walk || size.blocks == 0) return size;
  size.parts = std::clamp(
      (enough_blocks + size.blocks - 1) / size.blocks, 1,
      std::min(most_parts, (job.pairs + terms_in_single - 1) / terms_in_single));
  return size;
}

void add_parts_of(const RenderJob& job, const LaunchSize& size, bool is_first, bool is_last) {
  launch(add_parts<1>, dim3(static_cast<unsigned>(blocks_of<1>(job.pixels))), threads_of_block,
         *job.plan, job.pixels, static_cast<const double*>(job.parts), size.parts, job.sums,
         is_first, is_last, job.values, job.double_values);
}

namespace {

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index) : index_(index) {
    select();
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, index), "say what it is");
    name_ = properties.name;
    // The context is made now, not at the first allocation.
    check(cudaFree(nullptr), "start a context");
    for (cudaEvent_t* event : {&begin_, &end_}) check(cudaEventCreate(event), "keep time");
  }
  ~CudaDevice() override {
    for (const cudaEvent_t event : {begin_, end_}) static_cast<void>(cudaEventDestroy(event));
  }

  std::string name() const override { return name_; }
  bool has_host_memory() const override { return memory_is_of_host; }
  std::size_t free_bytes() const override {
    select();
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "say how much memory is free");
    return free;
  }
  void* allocate(std::size_t bytes) override {
    select();
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes), "hand out memory");
    return memory;
  }
  // A destructor's call: what cannot be given back is lost anyway.
  void release(void* memory) noexcept override { static_cast<void>(cudaFree(memory)); }
  void upload(void* to, const void* from, std::size_t bytes) override {
    select();
    check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "take in data");
  }
  void download(void* to, const void* from, std::size_t bytes) override {
    select();
    check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "hand back data");
  }
  void clear(void* memory, std::size_t bytes) override {
    select();
    check(cudaMemset(memory, 0, bytes), "clear memory");
  }
  void copy_rows(void* to, std::size_t to_step, const void* from, std::size_t from_step,
                 std::size_t bytes_of_row, std::size_t rows) override {
    select();
    check(cudaMemcpy2D(to, to_step, from, from_step, bytes_of_row, rows, cudaMemcpyDeviceToDevice),
          "copy rows");
  }
  void render(const RenderJob& job) override {
    select();
    LaunchSize size = launch_size(job);
    size.parts = job.parts_count;
    if (size.blocks == 0) return;
    begin();
    physics::with_shape(job.shape, [&]<class Shape>() {
      if (job.method == Method::walk) {
        Launches<Shape>::walk(job, size);
        return;
      }
      const int whole_terms = (job.pairs + size.parts * terms_in_single - 1) /
                              (size.parts * terms_in_single);
      const TileOutput out{job.values,
                           job.double_values,
                           job.parts,
                           job.solid_angles,
                           job.first_pair,
                           job.pairs,
                           whole_terms * terms_in_single};
      if (job.closed)
        launch_closed(job, size, out);
      else if (job.plan->beams)
        launch_bands(job, size, out);
      else
        Launches<Shape>::tiles(job, size, out);
    });
    check(cudaGetLastError(), "start a kernel");
    if (!job.parts) return;
    add_parts_of(job, size, job.is_first, job.is_last);
    check(cudaGetLastError(), "start a kernel");
  }
  void differentiate(const GradientJob& job) override {
    select();
    begin();
    physics::with_shape(job.shape,
                        [&]<class Shape>() { GradientLaunches<Shape>::launch_one(job); });
    check(cudaGetLastError(), "start a kernel");
    if (!job.weights) return;
    add_blocks_of(job.of_blocks, job.blocks, sums_of_gradient(job), job.sums);
    check(cudaGetLastError(), "start a kernel");
  }
  void differentiate(const ClosedGradientJob& job) override {
    select();
    begin();
    launch_closed_gradient(job);
    check(cudaGetLastError(), "start a kernel");
  }
  void count(const CountJob& job) override {
    select();
    begin();
    launch_counts(job);
    check(cudaGetLastError(), "start a kernel");
  }
  double wait() override {
    select();
    float milliseconds = 0;
    if (is_running_) check(cudaEventRecord(end_), "keep time");
    check(cudaDeviceSynchronize(), "end a kernel");
    if (is_running_) check(cudaEventElapsedTime(&milliseconds, begin_, end_), "keep time");
    is_running_ = false;
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  /// Before the first kernel that wait() waits for.
  void begin() {
    if (!is_running_) check(cudaEventRecord(begin_), "keep time");
    is_running_ = true;
  }
  void select() const { check(cudaSetDevice(index_), "be selected"); }

  int index_;
  std::string name_;
  cudaEvent_t begin_{}, end_{};
  bool is_running_ = false;
};

int count(std::string& why_none) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess) {
    why_none = cudaGetErrorString(error);
    devices = 0;
  }
  return devices;
}

std::unique_ptr<Device> open(int index) { return std::make_unique<CudaDevice>(index); }

}  // namespace

}  // namespace nablabragg::engine::cuda

extern "C" const nablabragg::engine::cuda::Plugin* nablabragg_cuda_plugin();
extern "C" const nablabragg::engine::cuda::Plugin* nablabragg_cuda_plugin() {
  using namespace nablabragg::engine::cuda;
  static const Plugin plugin{plugin_version, launch_size, blocks_of_gradient, count, open};
  return &plugin;
}
