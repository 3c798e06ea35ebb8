#include "python/device_arrays.hpp"

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nablabragg/device_image.hpp"
#include "python/arrays.hpp"
#include "python/convert.hpp"
#include "python/dlpack.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

/// A tensor that keeps the image alive for whoever has it.
struct KeptImage {
  DeviceImage image;
  std::vector<std::int64_t> shape;
  dlpack::ManagedTensor managed{};
};

dlpack::Device device_in(const DeviceMemory& memory) {
  if (memory.is_of_host) return {dlpack::on_cpu, 0};
  return {dlpack::on_cuda, memory.device};
}

/// What nobody took.
void end_capsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, "dltensor") == 0) return;
  auto* const managed = static_cast<dlpack::ManagedTensor*>(
      PyCapsule_GetPointer(capsule, "dltensor"));
  managed->deleter(managed);
}

class DeviceArray {
 public:
  DeviceArray(DeviceImage image, const std::vector<py::ssize_t>& shape)
      : image_(std::move(image)), shape_(shape.begin(), shape.end()) {}

  py::tuple shape() const { return py::tuple(py::cast(shape_)); }
  py::dtype dtype() const { return py::dtype(image_.is_double ? "float64" : "float32"); }
  std::string device() const { return "cuda:" + std::to_string(image_.memory.device); }
  std::string words() const {
    return "<DeviceArray " + std::string(py::str(shape())) + " " + std::string(py::str(dtype())) +
           " on " + device() + ">";
  }

  py::tuple dlpack_device() const {
    const dlpack::Device d = device_in(image_.memory);
    return py::make_tuple(static_cast<int>(d.type), d.number);
  }
  /// The image is complete, so there is no stream to wait for.
  py::capsule tensor(const py::object& /*stream*/, const py::object& /*max_version*/,
                     const py::object& device, const py::object& copy) const {
    if (!device.is_none() && !py::tuple(device).equal(dlpack_device()))
      throw py::buffer_error("the image is on " + this->device() + " and is handed out there");
    if (!copy.is_none() && py::cast<bool>(copy))
      throw py::buffer_error("the image is handed out as it is, without a copy");
    auto kept = std::make_unique<KeptImage>(KeptImage{image_, shape_, {}});
    dlpack::ManagedTensor& managed = kept->managed;
    managed.tensor.data = image_.photons.get();
    managed.tensor.device = device_in(image_.memory);
    managed.tensor.dimensions = static_cast<std::int32_t>(kept->shape.size());
    managed.tensor.type = {dlpack::floating_point,
                           static_cast<std::uint8_t>(image_.is_double ? 64 : 32), 1};
    managed.tensor.shape = kept->shape.data();
    managed.owner = kept.get();
    managed.deleter = [](dlpack::ManagedTensor* m) { delete static_cast<KeptImage*>(m->owner); };
    py::capsule capsule(&managed, "dltensor", &end_capsule);
    kept.release();
    return capsule;
  }

 private:
  DeviceImage image_;
  std::vector<std::int64_t> shape_;
};

DeviceArray simulate_there(const py::object& experiment, const py::dict& asked) {
  const Experiment e = as_summed(experiment_of(experiment), asked);
  DeviceImage image;
  run_interruptible(options_of(asked), asked["progress"],
                    [&](const ComputeOptions& all) { image = simulate_on_device(e, all); });
  return {std::move(image), image_shape(resolve(e))};
}

/// Where the images of an engine that is a GPU are, as DeviceArray tells it.
py::tuple dlpack_device_of(const py::dict& asked) {
  const dlpack::Device d = device_in(memory_of_gpu(options_of(asked)));
  return py::make_tuple(static_cast<int>(d.type), d.number);
}

}  // namespace

void bind_device_arrays(py::module_& module) {
  py::class_<DeviceArray>(module, "DeviceArray",
                          R"(An image in the memory of a GPU, as simulate_on_device() makes it.

Libraries that know DLPack take it as it is, without a copy: torch.from_dlpack(image),
cupy.from_dlpack(image).  The memory is given back when neither this nor anything made from it is
left.

shape : tuple of int
dtype : numpy.dtype
device : str
    "cuda:0" and so on)")
      .def_property_readonly("shape", &DeviceArray::shape)
      .def_property_readonly("dtype", &DeviceArray::dtype)
      .def_property_readonly("device", &DeviceArray::device)
      .def("__repr__", &DeviceArray::words)
      .def("__dlpack_device__", &DeviceArray::dlpack_device)
      .def("__dlpack__", &DeviceArray::tensor, py::kw_only(), py::arg("stream") = py::none(),
           py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
           py::arg("copy") = py::none());
  module.def("simulate_on_device", &simulate_there);
  module.def("dlpack_device_of", &dlpack_device_of);
}

}  // namespace nablabragg::python
