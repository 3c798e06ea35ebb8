// simulate()
#include "nablabragg/gradient.hpp"
#include "nablabragg/simulate.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

py::array simulate_image(const Experiment& e, const ComputeOptions& options,
                         const py::object& progress) {
  if (options.precision == Precision::float64) {
    std::vector<double> pixels;
    run_interruptible(options, progress,
                      [&](const ComputeOptions& all) { pixels = photons(e, all); });
    const auto panel = resolve(e).panel;
    return array_from(std::move(pixels), {panel.slow_pixels, panel.fast_pixels});
  }
  Image image;
  run_interruptible(options, progress,
                    [&](const ComputeOptions& all) { image = simulate(e, all).image; });
  return array_from(std::move(image.pixels), {image.slow_pixels, image.fast_pixels});
}

py::array simulate_list(const Experiment& e, const ComputeOptions& options,
                        const std::vector<PixelIndex>& list, const py::object& progress) {
  const auto count = static_cast<py::ssize_t>(list.size());
  if (options.precision == Precision::float64) {
    std::vector<double> pixels;
    run_interruptible(options, progress,
                      [&](const ComputeOptions& all) { pixels = photons(e, list, all); });
    return array_from(std::move(pixels), {count});
  }
  std::vector<float> pixels;
  run_interruptible(options, progress,
                    [&](const ComputeOptions& all) { pixels = simulate_pixels(e, list, all); });
  return array_from(std::move(pixels), {count});
}

}  // namespace

void bind_images(py::module_& module) {
  py::options options;
  options.disable_function_signatures();
  module.def(
      "simulate",
      [](const Experiment& e, const py::object& dtype, int threads, const py::object& pixels,
         const py::object& progress, const std::string& engine) -> py::array {
        const ComputeOptions compute = options_of(dtype, threads, engine);
        if (pixels.is_none()) return simulate_image(e, compute, progress);
        return simulate_list(e, compute, pixels_of(pixels), progress);
      },
      py::arg("experiment"), py::kw_only(), py::arg("dtype") = "float32", py::arg("threads") = 0,
      py::arg("pixels") = py::none(), py::arg("progress") = py::none(), py::arg("engine") = "cpu",
      R"(simulate(experiment, *, dtype='float32', threads=0, pixels=None, progress=None, engine='cpu')

The image: photons of every pixel, an array (slow, fast) that owns its memory.

dtype : 'float32' or 'float64'
    of the arithmetic and of the array
threads : int
    0: as many as the machine has; the image does not depend on it
pixels : int array (n, 2) of (slow, fast), or bool array (slow, fast)
    only these; the result has the shape (n,), and the region of interest and the mask do not matter
progress : function of the share that is done, a float
    called ten times a second; stops the work by returning False (Cancelled) or by raising
engine : 'cpu' or 'reference'
    'reference': double precision, plain loops

Other Python threads run meanwhile, and Ctrl-C stops it.
Raises UsageError for a description of no experiment and for a pixel that is not on the panel.)");
}

}  // namespace nablabragg::python
