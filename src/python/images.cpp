// simulate(), and pictures.
#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/io.hpp"
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

void write_png(const py::object& path, const py::array& greys) {
  const std::string name = py::str(py::module_::import("os").attr("fspath")(path));
  const bool is_byte = greys.dtype().is(py::dtype::of<std::uint8_t>());
  if (greys.ndim() != 2 || (!is_byte && !greys.dtype().is(py::dtype::of<std::uint16_t>())))
    throw UsageError("a picture is an array (slow, fast) of uint8 or uint16");
  const auto values = py::array_t<std::uint16_t, py::array::forcecast>(greys);
  const auto at = values.unchecked<2>();
  const auto fill = [&](int slow, std::span<std::uint16_t> row) {
    for (std::size_t fast = 0; fast < row.size(); ++fast)
      row[fast] = at(slow, static_cast<py::ssize_t>(fast));
  };
  io::write_png(name, static_cast<int>(at.shape(1)), static_cast<int>(at.shape(0)),
                is_byte ? 8 : 16, fill);
}

}  // namespace

void bind_images(py::module_& module) {
  py::options options;
  options.disable_function_signatures();
  module.def(
      "simulate",
      [](const Experiment& e, const py::object& dtype, int threads, const py::object& pixels,
         const py::object& progress, const std::string& engine, const py::object& device,
         const std::string& summation) -> py::array {
        const ComputeOptions compute = options_of(dtype, threads, engine, device, summation);
        if (pixels.is_none()) return simulate_image(e, compute, progress);
        return simulate_list(e, compute, pixels_of(pixels), progress);
      },
      py::arg("experiment"), py::kw_only(), py::arg("dtype") = "float32", py::arg("threads") = 0,
      py::arg("pixels") = py::none(), py::arg("progress") = py::none(), py::arg("engine") = "cpu",
      py::arg("device") = py::none(), py::arg("summation") = "auto",
      R"(simulate(experiment, *, dtype='float32', threads=0, pixels=None, progress=None, engine='cpu', device=None, summation='auto')

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
    what computes; 'reference': double precision, plain loops
device : 'cpu' or 'auto'
    another name for engine, which it overrides; 'auto': what is fastest here
summation : 'auto' or 'sampled'
    how steps are summed: one by one is all that there is

Other Python threads run meanwhile, and Ctrl-C stops it.
Raises UsageError for a description of no experiment and for a pixel that is not on the panel.)");
  module.def("write_png", &write_png, py::arg("path"), py::arg("greys"),
             R"(write_png(path, greys)

Writes a grey picture, slow axis downwards.

greys : uint8 or uint16 array (slow, fast)
    0 is black

Raises OutputError for a file that cannot be written, UsageError for another array.)");
}

}  // namespace nablabragg::python
