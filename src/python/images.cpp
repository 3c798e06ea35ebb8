// simulate(), and pictures.
#include "description/doubts.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/simulate.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

void warn_if_any(const std::string& sentence) {
  if (!sentence.empty()) warn(sentence);
}

py::array simulate_image(const Experiment& e, const ComputeOptions& options,
                         const py::object& progress) {
  if (options.precision == Precision::float64) {
    std::vector<double> pixels;
    run_interruptible(options, progress,
                      [&](const ComputeOptions& all) { pixels = photons(e, all); });
    warn_if_any(not_finite_warning(e, std::span<const double>(pixels)));
    warn_if_any(dark_warning(e, std::span<const double>(pixels)));
    return array_from(std::move(pixels), image_shape(resolve(e)));
  }
  Simulation simulation;
  run_interruptible(options, progress,
                    [&](const ComputeOptions& all) { simulation = simulate(e, all); });
  warn_if_any(simulation.not_finite);
  warn_if_any(simulation.dark);
  return array_from(std::move(simulation.image.pixels), image_shape(simulation.resolved));
}

py::array simulate_list(const Experiment& e, const ComputeOptions& options,
                        const std::vector<PixelIndex>& list, const py::object& progress) {
  const auto count = static_cast<py::ssize_t>(list.size());
  if (options.precision == Precision::float64) {
    std::vector<double> pixels;
    run_interruptible(options, progress,
                      [&](const ComputeOptions& all) { pixels = photons(e, list, all); });
    warn_if_any(not_finite_warning(e, std::span<const double>(pixels), list));
    return array_from(std::move(pixels), {count});
  }
  std::vector<float> pixels;
  run_interruptible(options, progress,
                    [&](const ComputeOptions& all) { pixels = simulate_pixels(e, list, all); });
  warn_if_any(not_finite_warning(e, std::span<const float>(pixels), list));
  return array_from(std::move(pixels), {count});
}

py::array simulate_pixels_or_image(const py::object& experiment, const py::dict& asked) {
  const Experiment e = as_summed(experiment_of(experiment), asked);
  const ComputeOptions options = options_of(asked);
  const py::object pixels = asked["pixels"], progress = asked["progress"];
  for (const auto& doubts :
       {description::doubts_about(e), description::doubts_about(e, resolve(e))})
    for (const std::string& sentence : doubts.unlikely) warn(sentence);
  if (pixels.is_none()) return simulate_image(e, options, progress);
  return simulate_list(e, options, pixels_of(pixels, e), progress);
}

void write_png(const py::object& path, const py::object& picture) {
  const std::string name = path_of(path);
  if (!py::isinstance<py::array>(picture)) fail("greys needs", "an array (slow, fast)", picture);
  const auto greys = py::reinterpret_borrow<py::array>(picture);
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
  module.def("simulate", &simulate_pixels_or_image);
  module.def("write_png", &write_png);
}

}  // namespace nablabragg::python
