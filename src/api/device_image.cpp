#include "nablabragg/device_image.hpp"

#include <optional>
#include <span>
#include <vector>

#include "api/cost.hpp"
#include "engine/cuda/open_device.hpp"
#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg {

namespace {

[[noreturn]] void throw_no_gpu() {
  throw UsageError("an image stays on a GPU where one computes it: take the device 'cuda'");
}

template <class Number>
DeviceImage sent_back(engine::Loaded& loaded, int device) {
  std::vector<Number> photons(loaded.plan().pixels());
  loaded.render({}, std::span(photons));
  return engine::cuda::image_on_device(device, std::span<const Number>(photons));
}

}  // namespace

DeviceImage simulate_on_device(const Experiment& experiment, const ComputeOptions& options) {
  const Resolved resolved = resolve(experiment);
  const Plan plan = make_plan(experiment, resolved);
  if (engine::engine_of(plan, options).id() != Engine::cuda) throw_no_gpu();
  check_cost(experiment, resolved, plan, {}, options);
  const auto loaded = engine::load(plan, options);
  const bool in_double = options.precision == Precision::float64;
  if (std::optional<DeviceImage> image = loaded->render_on_device(in_double)) return *image;
  return in_double ? sent_back<double>(*loaded, options.device)
                   : sent_back<float>(*loaded, options.device);
}

DeviceMemory memory_of_gpu(const ComputeOptions& options) {
  if (options.engine != Engine::cuda) throw_no_gpu();
  return engine::cuda::memory_of(*engine::cuda::open_device(options.device));
}

}  // namespace nablabragg
