// simulate(), and pictures.
#include "description/doubts.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/simulate.hpp"
#include "nablabragg/sweep.hpp"
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

Series series_of(const Experiment& e, const py::object& images, const py::object& orientations) {
  if (orientations.is_none()) return Series(e, Convert<int>::from(images, "images"));
  std::vector<Vec3d> missets_deg = missets_of(orientations);
  if (!images.is_none()) {
    const int count = Convert<int>::from(images, "images");
    if (count < 0 || static_cast<std::size_t>(count) > missets_deg.size())
      throw UsageError("there are " + std::to_string(missets_deg.size()) +
                       " orientations, and images is " + std::to_string(count));
    missets_deg.resize(static_cast<std::size_t>(count));
  }
  return Series(e, std::move(missets_deg));
}

/// Each image in the light of its own shot.
Series series_of(const Experiment& e, const py::object& images, const py::object& orientations,
                 const std::shared_ptr<const Spectra>& spectra) {
  if (!spectra) return series_of(e, images, orientations);
  const Experiment lit = with_spectrum(e, spectra->mean());
  if (!orientations.is_none() || !e.scan.oscillation_deg.empty())
    return series_of(lit, images, orientations).in_light_of(spectra);
  Series series(lit, spectra);
  if (!images.is_none() && Convert<int>::from(images, "images") != series.images())
    throw UsageError("there are " + std::to_string(series.images()) + " spectra, and images is " +
                     std::string(py::str(images)));
  return series;
}

py::array random_orientations(const py::object& images, const py::object& seed) {
  const std::vector<Vec3d> missets = random_missets_deg(Convert<int>::from(images, "images"),
                                                        Convert<std::int64_t>::from(seed, "seed"));
  std::vector<double> numbers;
  for (const Vec3d& m : missets) numbers.insert(numbers.end(), {m.x, m.y, m.z});
  return array_from(std::move(numbers), {static_cast<py::ssize_t>(missets.size()), 3});
}

/// What nablabragg.sweep() and nablabragg.series() walk over.
class SweepOfImages {
 public:
  SweepOfImages(const py::object& experiment, const py::object& images,
                const py::object& orientations, const py::object& spectra, const py::dict& asked)
      : options_(options_of(asked)) {
    if (const py::object progress = asked["progress"]; !progress.is_none())
      progress_ = py::cpp_function([this, progress](double share) {
        const py::object answer = progress(share);
        stopped_ = answer.is(py::bool_(false));
        return answer;
      });
    const Experiment e = as_summed(experiment_of(experiment), asked);
    const Series series = series_of(e, images, orientations, spectra_of(spectra));
    ComputeOptions options = options_;
    options.progress = [this](double share) { return !go_on_ || go_on_(share); };
    sweep_ = result_apart(
        [series, options](const auto&) { return std::make_shared<Sweep>(series, options); });
    shape_ = image_shape(sweep_->resolved());
  }

  int images() const { return sweep_->images(); }
  Experiment experiment(int i) const { return sweep_->series().experiment(i); }

  /// A new array; or, with `reuse`, the sweep's own memory, for reading.
  py::array image(int i, bool reuse) {
    return options_.precision == Precision::float64 ? image_of<double>(i, reuse)
                                                    : image_of<float>(i, reuse);
  }
  /// (places, photons)
  py::tuple lit_pixels(int i) {
    return options_.precision == Precision::float64 ? lit_of<double>(i) : lit_of<float>(i);
  }

 private:
  void run(int i, const std::function<void()>& work) {
    const double count = images();
    run_interruptible(options_, progress_,
                      [&](const ComputeOptions& all) {
                        go_on_ = all.progress;
                        work();
                      },
                      {i / count, (i + 1) / count});
    // Small images are made before anybody is asked.
    if (stopped_ && i + 1 < images()) throw Cancelled();
  }
  template <class Number>
  py::array image_of(int i, bool reuse) {
    std::span<const Number> pixels;
    std::vector<Number> copy;
    run(i, [&] {
      pixels = sweep_->image<Number>(i);
      if (!reuse) copy.assign(pixels.begin(), pixels.end());
    });
    if (!reuse) return array_from(std::move(copy), shape_);
    // The array keeps the sweep alive.
    auto* const keeper = new std::shared_ptr<Sweep>(sweep_);
    const py::capsule owner(keeper,
                            [](void* p) { delete static_cast<std::shared_ptr<Sweep>*>(p); });
    py::array_t<Number> view(shape_, pixels.data(), owner);
    view.attr("flags").attr("writeable") = false;
    return view;
  }
  template <class Number>
  py::tuple lit_of(int i) {
    LitPixels<Number> lit;
    run(i, [&] { lit = sweep_->lit_pixels<Number>(i); });
    const auto count = static_cast<py::ssize_t>(lit.pixels.size());
    return py::make_tuple(array_from(std::move(lit.pixels), {count}),
                          array_from(std::move(lit.photons), {count}));
  }

  const ComputeOptions options_;
  py::object progress_ = py::none();
  bool stopped_ = false;  ///< by the last answer of progress
  std::function<bool(double)> go_on_;
  std::shared_ptr<Sweep> sweep_;
  std::vector<py::ssize_t> shape_;
};

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
  module.def("random_orientations", &random_orientations);
  module.def("seed_of_image", [](const py::object& seed, const py::object& image) {
    return seed_of_image(Convert<std::int64_t>::from(seed, "seed"),
                         Convert<int>::from(image, "image"));
  });
  py::class_<SweepOfImages>(module, "SweepOfImages")
      .def(py::init<const py::object&, const py::object&, const py::object&, const py::object&,
                    const py::dict&>())
      .def("experiment", &SweepOfImages::experiment)
      .def_property_readonly("images", &SweepOfImages::images)
      .def("image", &SweepOfImages::image)
      .def("lit_pixels", &SweepOfImages::lit_pixels);
  module.def("write_png", &write_png);
}

}  // namespace nablabragg::python
