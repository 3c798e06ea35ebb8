// simulate(), and pictures.
#include <cmath>
#include <optional>

#include "description/doubts.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/picture.hpp"
#include "nablabragg/simulate.hpp"
#include "nablabragg/sweep.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/detector_response.hpp"
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
  const int number = Convert<int>::from(images, "images");
  if (number < 0) throw UsageError("images needs a number from 0, not " + std::to_string(number));
  const std::vector<Vec3d> missets = random_missets_deg(number,
                                                        Convert<std::int64_t>::from(seed, "seed"));
  std::vector<double> numbers;
  for (const Vec3d& m : missets) numbers.insert(numbers.end(), {m.x, m.y, m.z});
  return array_from(std::move(numbers), {static_cast<py::ssize_t>(missets.size()), 3});
}

/// What nablabragg.sweep() and nablabragg.series() walk over.
class SweepOfImages {
 public:
  SweepOfImages(const py::object& experiment, const py::object& images,
                const py::object& orientations, const py::object& spectra,
                const py::object& beam_jitter, const py::dict& asked)
      : options_(options_of(asked)) {
    if (const py::object progress = asked["progress"]; !progress.is_none())
      progress_ = py::cpp_function([this, progress](double share) {
        const py::object answer = progress(share);
        stopped_ = answer.is(py::bool_(false));
        return answer;
      });
    const Experiment e = as_summed(experiment_of(experiment), asked);
    Series series = series_of(e, images, orientations, spectra_of(spectra));
    if (!beam_jitter.is_none()) {
      const auto [mrad, seed] = Convert<std::pair<double, double>>::from(beam_jitter,
                                                                         "beam_jitter");
      if (std::nearbyint(seed) != seed)
        throw UsageError(
            "beam_jitter needs a standard deviation in mrad and a whole number, its seed");
      series = series.jittered(mrad, static_cast<std::int64_t>(seed));
    }
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
  /// As count_photons() draws them, where the engine can itself; else None.
  py::object counts(int i, const py::object& seed) {
    if (options_.precision == Precision::float64) return py::none();
    const std::int64_t number = Convert<std::int64_t>::from(seed, "seed");
    std::optional<CountedSimulation> made;
    run(i, [&] { made = sweep_->counted_by_engine(i, number); });
    if (!made) return py::none();
    warn_of_saturation(made->counted.saturated);
    return array_from(std::move(made->counted.counts), shape_);
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
  const bool in_colors = greys.ndim() == 3 && greys.shape(2) == 3;
  if ((greys.ndim() != 2 && !in_colors) ||
      (!is_byte && !greys.dtype().is(py::dtype::of<std::uint16_t>())))
    throw UsageError("a picture is an array (slow, fast) or (slow, fast, 3) of uint8 or uint16");
  const py::array_t<std::uint16_t, py::array::c_style | py::array::forcecast> values(greys);
  const auto fill = [&](int slow, std::span<std::uint16_t> row) {
    std::copy_n(values.data() + static_cast<std::ptrdiff_t>(row.size()) * slow, row.size(),
                row.begin());
  };
  io::write_png(name, static_cast<int>(values.shape(1)), static_cast<int>(values.shape(0)),
                is_byte ? 8 : 16, fill, {}, in_colors ? 3 : 1);
}

PictureStyle style_of(const py::dict& asked) {
  const auto choice = [&]<class T>(const char* name,
                                   std::initializer_list<std::pair<const char*, T>> choices) {
    const std::string given = Convert<std::string>::from(asked[name], name);
    std::string names;
    for (const auto& [known, value] : choices) {
      if (given == known) return value;
      names += (names.empty() ? "'" : ", '") + std::string(known) + "'";
    }
    throw UsageError(std::string(name) + " is one of " + names + ", not '" + given + "'");
  };
  PictureStyle style;
  style.scale = choice.operator()<PictureScale>(
      "scale",
      {{"linear", PictureScale::linear}, {"log", PictureScale::log}, {"sqrt", PictureScale::sqrt}});
  style.colors = choice.operator()<PictureColors>(
      "colors", {{"grey", PictureColors::grey}, {"heat", PictureColors::heat}});
  if (const py::object white = asked["white"]; !white.is_none()) {
    style.white_photons = Convert<double>::from(white, "white");
    if (!(style.white_photons > 0)) throw UsageError("white needs a positive number of photons");
  }
  style.bits = Convert<int>::from(asked["bits"], "bits");
  if (style.bits != 8 && style.bits != 16) throw UsageError("bits is 8 or 16");
  style.reduced = Convert<int>::from(asked["shrink"], "shrink");
  if (style.reduced < 1) throw UsageError("shrink needs a number of pixels, 1 or more");
  style.inverted = Convert<bool>::from(asked["inverted"], "inverted");
  style.axes = Convert<bool>::from(asked["axes"], "axes");
  style.rings_A = Convert<std::vector<double>>::from(asked["rings"], "rings");
  for (const double d_A : style.rings_A)
    if (!(d_A > 0)) throw UsageError("rings are d-spacings above 0 Angstrom");
  return style;
}

void write_picture(const py::object& path, const py::object& experiment, const py::object& photons,
                   const py::dict& asked) {
  const std::string name = path_of(path);
  const Experiment& e = experiment_of(experiment);
  const PictureStyle style = style_of(asked);
  check_picture(e, style);
  const Resolved resolved = resolve(e);
  array_of(photons, "image needs", "photons");
  const py::array_t<float, py::array::c_style | py::array::forcecast> values(photons);
  const py::object expected = py::tuple(py::cast(image_shape(resolved)));
  if (!py::tuple(values.attr("shape")).equal(expected))
    throw UsageError("image needs the shape of the experiment's, " +
                     std::string(py::str(expected)) + ", not " +
                     std::string(py::str(values.attr("shape"))));
  const Picture picture(resolved, {values.data(), static_cast<std::size_t>(values.size())}, style);
  io::write_png(
      name, picture.width(), picture.height(), style.bits,
      [&](int y, std::span<std::uint16_t> row) { picture.fill_row(y, row); }, {},
      picture.channels());
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
                    const py::object&, const py::dict&>())
      .def("experiment", &SweepOfImages::experiment)
      .def_property_readonly("images", &SweepOfImages::images)
      .def("image", &SweepOfImages::image)
      .def("counts", &SweepOfImages::counts)
      .def("lit_pixels", &SweepOfImages::lit_pixels);
  module.def("write_png", &write_png);
  module.def("write_picture", &write_picture);
}

}  // namespace nablabragg::python
