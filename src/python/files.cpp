// Images in files of other programs, their geometry, and counts with noise.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cmath>  // for isnan, abs
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/image_series.hpp"
#include "io/named_files.hpp"
#include "nablabragg/detector_presets.hpp"
#include "nablabragg/detector_response.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/picture.hpp"
#include "nablabragg/pixel_truth.hpp"
#include "nablabragg/series.hpp"
#include "nablabragg/series_truth.hpp"
#include "nablabragg/simulate.hpp"
#include "nablabragg/version.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/detector_response.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

py::array count_image(const py::object& experiment, const py::object& photons,
                      const py::object& seed, const py::object& response) {
  const Experiment& e = experiment_of(experiment);
  const Resolved resolved = resolve(e);
  const auto shape = image_shape(resolved);
  const auto values = image_like<float>(photons, shape, "photons");
  Image image = image_of(resolved, floats_of(values));
  const std::int64_t number = Convert<std::int64_t>::from(seed, "seed");
  std::optional<DetectorResponse> detector;
  if (!response.is_none()) detector = response_of(response, e);
  CountedImage counted = result_apart([e, image = std::move(image), number, detector](const auto&) {
    return detector ? record_photons(e, image, *detector, number) : count_photons(e, image, number);
  });
  // A count of NaN would be 0; those of pixels that do not count are marks below it.
  for (std::size_t i = 0; i < counted.counts.size(); ++i)
    if (counted.counts[i] >= 0 && std::isnan(values.data()[i]))
      throw UsageError("the image is NaN in pixels that count, first at [" +
                       place_in(static_cast<py::ssize_t>(i), shape) +
                       "]; it needs photons there, or a mask");
  warn_of_saturation(counted.saturated);
  return array_from(std::move(counted.counts), shape);
}

/// (parts by name, in order; hkl or None; has_hkl or None; crystal or None)
py::tuple truth_of_pixels(const py::object& experiment, const py::object& threads) {
  const Experiment& e = experiment_of(experiment);
  const auto shape = image_shape(resolve(e));
  ComputeOptions options;
  if (!threads.is_none()) options.threads = Convert<int>::from(threads, "threads");
  PixelTruth truth = result_apart([e, options](const std::function<bool()>& may_go_on) {
    ComputeOptions stoppable = options;
    stoppable.progress = [may_go_on](double) { return may_go_on(); };
    return pixel_truth(e, stoppable);
  });
  py::list parts;
  for (PartOfLight& part : truth.parts)
    parts.append(py::make_tuple(part.name, array_from(std::move(part.photons), shape)));
  if (truth.hkl.empty()) return py::make_tuple(parts, py::none(), py::none(), py::none());
  const py::object crystal = truth.crystal.empty() ? py::object(py::none())
                                                   : array_from(std::move(truth.crystal), shape);
  std::vector<std::int32_t> indices;
  indices.reserve(3 * truth.hkl.size());
  for (const MillerIndex& hkl : truth.hkl) indices.insert(indices.end(), hkl.begin(), hkl.end());
  auto of_three = shape;
  of_three.push_back(3);
  return py::make_tuple(parts, array_from(std::move(indices), of_three),
                        array_from(std::move(truth.has_hkl), shape), crystal);
}

/// Where each image of a file begins: as wide a step behind the one before as the scan has.
std::vector<io::ImageState> states_of(const Geometry& geometry, std::int64_t images,
                                      const py::object& wavelengths) {
  std::vector<io::ImageState> states(static_cast<std::size_t>(images));
  if (geometry.scan)
    for (std::size_t i = 0; i < states.size(); ++i)
      states[i].phi_deg = geometry.scan->start_deg +
                          static_cast<double>(i) * geometry.scan->width_deg;
  if (!wavelengths.is_none()) {
    const auto given = numbers(wavelengths, states.size(), "wavelengths");
    for (std::size_t i = 0; i < states.size(); ++i) states[i].wavelength_A = given[i];
  }
  return states;
}

/// A file that Python fills: with images, with one that shows reflections or is drawn, or with none
/// where it holds the experiment alone.
class Writer {
 public:
  Writer(const py::object& path, const py::object& experiment, const py::object& images,
         const py::object& counts, const py::object& wavelengths, const py::object& expt,
         const py::object& compression, const py::object& orientations, const py::object& spectra,
         const py::object& response)
      : name_(path_of(path)),
        format_(io::format_to_write(name_)),
        experiment_(experiment_of(experiment)) {
    series_.spectra = spectra_of(spectra);
    if (series_.spectra) experiment_ = with_spectrum(experiment_, series_.spectra->mean());
    const SettledExperiment settled(experiment_);
    resolved_ = settled.resolved();
    shape_ = image_shape(resolved_);
    series_.geometry = in_imgcif_frame(geometry_of(settled));
    const std::int64_t number = Convert<std::int64_t>::from(images, "images");
    if (number < 1 || number > 100'000'000)
      throw UsageError("images needs a number from 1 to 100000000");
    if (number > 1 && format_.write_picture)
      throw UsageError(name_ + " is made from one image, not " + std::to_string(number));
    series_.images = states_of(series_.geometry, number, wavelengths);
    if (series_.spectra) set_wavelengths(wavelengths);
    if (series_.geometry.scan) series_.geometry.scan->images = static_cast<int>(number);
    set_series(static_cast<int>(number), orientations);
    series_.counts = Convert<bool>::from(counts, "counts");
    std::optional<DetectorResponse> detector;
    if (!response.is_none()) {
      detector = response_of(response, experiment_);
      check_response(*detector, experiment_);
      if (format_.open && !series_.counts)
        throw UsageError("a response is of counts, and counts=False of photons; leave one out");
      io::state_offset(series_, *detector);
    }
    series_.provenance = {"nablaBragg " + std::string(version()),
                          {},
                          0,
                          to_json(experiment_, detector),
                          io::date_now()};
    if (!expt.is_none()) {
      if (!format_.open) throw UsageError(name_ + " holds no images that expt could list");
      expt_ = path_of(expt);
    }
    if (!compression.is_none()) {
      series_.compression = Convert<std::string>::from(compression, "compression");
      if (format_.compressions.empty())
        throw UsageError(name_ + ": " + format_.name + " has no choice of compression");
    }
    if (const std::string why = format_.why_not(series_); !why.empty())
      throw UsageError(name_ + ": " + why);
    if (!expt_.empty()) check_expt_apart();
    if (format_.open) writer_ = format_.open(name_, series_);
  }

  void add(const py::object& image) {
    if (closed_) throw UsageError(name_ + " is closed and takes no more images");
    if (format_.write_experiment)
      throw UsageError(name_ + " holds the experiment and no pixels; leave the image out");
    if (added_ == series_.images.size())
      throw UsageError(name_ + " is for " + std::to_string(added_) + " images, and has them all");
    if (!writer_) {
      if (format_.write_true_spots && is_whole(image, "photons"))
        throw UsageError(name_ + " lists the reflections of photons (simulate()), not of counts");
      if (format_.write_true_spots && experiment_.water_um != 0)
        throw UsageError(name_ +
                         " lists the reflections of the lattice's light alone; give the "
                         "experiment, and the image of it, without water");
      image_ = image_of(resolved_, floats_of(image_like<float>(image, shape_, "photons")));
      if (truth_) {
        const int i = static_cast<int>(added_);
        const py::gil_scoped_release others_run;
        truth_->add(i, truth_->light_of(i, image_));
      }
    } else if (series_.counts) {
      if (!is_whole(image, "counts"))
        throw UsageError(name_ +
                         " takes counts, whole numbers (count_photons() draws them); give "
                         "counts=False for photons");
      add_values<std::int32_t>(image, "counts");
    } else {
      add_values<float>(image, "photons");
    }
    ++added_;
  }

  void close() {
    if (closed_) return;
    const std::size_t wanted = format_.write_experiment ? 0 : series_.images.size();
    if (added_ != wanted)
      throw UsageError(name_ + " is for " + std::to_string(wanted) + " images, and " +
                       std::to_string(added_) + " were added");
    closed_ = true;
    if (const std::unique_ptr<io::ImageWriter> writer = std::move(writer_)) {
      {
        const py::gil_scoped_release others_run;
        writer->close();
        if (!expt_.empty()) io::write_expt(expt_, series_, name_);
      }
      if (writer->clipped() > 0) warn(io::clipped_notice(writer->clipped(), name_));
      return;
    }
    const py::gil_scoped_release others_run;
    if (format_.write_experiment) {
      format_.write_experiment(name_, series_, "");
    } else if (format_.write_true_spots) {
      format_.write_true_spots(name_, truth_->spots(), series_);
    } else {
      const PictureStyle style;
      const Picture picture(resolved_, image_.pixels, style);
      format_.write_picture(
          name_, picture.width(), picture.height(), style.bits,
          [&](int y, std::span<std::uint16_t> row) { picture.fill_row(y, row); }, {},
          picture.channels());
    }
  }

  /// Without a file.
  void abandon() {
    writer_.reset();
    closed_ = true;
  }

 private:
  /// It is written last, and would take the place of images.
  void check_expt_apart() const {
    std::vector<io::NamedFile> outputs{{"expt", expt_}};
    const std::vector<std::string> images = format_.open_series
                                                ? std::vector<std::string>{name_}
                                                : io::files_of_series(name_, series_);
    for (const std::string& image : images) outputs.push_back({"path", image});
    io::check_distinct({}, outputs);
  }

  /// Those of the shots.
  void set_wavelengths(const py::object& wavelengths) {
    const Spectra& spectra = *series_.spectra;
    if (!wavelengths.is_none())
      throw UsageError("spectra have the wavelength of each image; leave wavelengths out");
    if (static_cast<std::size_t>(spectra.shots()) != series_.images.size())
      throw UsageError("there are " + std::to_string(spectra.shots()) + " spectra, and images is " +
                       std::to_string(series_.images.size()));
    for (int i = 0; i < spectra.shots(); ++i)
      series_.images[static_cast<std::size_t>(i)].wavelength_A = mean_wavelength_A(spectra.shot(i));
  }

  /// The crystals of stills, and what true reflections are of.
  void set_series(int images, const py::object& orientations) {
    std::optional<Series> series;
    if (series_.spectra && orientations.is_none() && !series_.geometry.scan)
      series.emplace(experiment_, series_.spectra);
    if (!orientations.is_none()) {
      const std::vector<Vec3d> missets_deg = missets_of(orientations);
      if (missets_deg.size() != static_cast<std::size_t>(images))
        throw UsageError("there are " + std::to_string(missets_deg.size()) +
                         " orientations, and images is " + std::to_string(images));
      series.emplace(experiment_, missets_deg);
      for (int i = 0; i < images; ++i)
        series_.images[static_cast<std::size_t>(i)]
            .crystals = in_imgcif_frame(geometry_of(series->experiment(i))).crystals;
    }
    if (!format_.write_true_spots) return;
    if (!series && images > 1 && !series_.geometry.scan)
      throw UsageError(name_ + " lists reflections of " + std::to_string(images) +
                       " stills, whose orientations are missing");
    if (!series) series.emplace(experiment_, images);
    if (series_.spectra) series = series->in_light_of(series_.spectra);
    truth_.emplace(*series);
  }

  static bool is_whole(const py::object& image, const char* kind) {
    array_of(image, "image needs", kind);
    const auto array = py::array(py::module_::import("numpy").attr("asarray")(image));
    return std::string_view("iu").find(array.dtype().kind()) != std::string_view::npos;
  }

  template <class Number>
  void add_values(const py::object& image, const char* kind) {
    const auto values = image_like<Number>(image, shape_, kind);
    const std::span<const Number> pixels(values.data(), static_cast<std::size_t>(values.size()));
    const py::gil_scoped_release others_run;
    writer_->add(pixels);
  }

  std::string name_, expt_;
  const io::FileFormat& format_;
  Experiment experiment_;
  Resolved resolved_;
  std::vector<py::ssize_t> shape_;
  io::ImageSeries series_;
  std::unique_ptr<io::ImageWriter> writer_;  ///< of images
  std::optional<SeriesTruth> truth_;         ///< of reflections
  Image image_;                              ///< that shows the reflections, or is drawn
  std::size_t added_ = 0;
  bool closed_ = false;
};

Experiment experiment_with_geometry(const py::object& experiment, const py::object& path,
                                    const py::object& number) {
  const Geometry geometry = result_apart(
      [name = path_of(path), which = Convert<int>::from(number, "number")](const auto&) {
        return io::read_geometry(name, which);
      });
  for (const std::string& notice : geometry.notices) warn(path_of(path) + ": " + notice);
  if (const std::string notice = unstated_sensors(geometry); !notice.empty())
    warn(path_of(path) + ": " + notice);
  Experiment e = with_geometry(experiment_of(experiment), geometry);
  resolve(e);
  return e;
}

Experiment experiment_with_detector(const py::object& experiment, const py::object& name,
                                    const py::object& distance, const py::object& beam_center_px) {
  const DetectorPreset preset = find_detector_preset(Convert<std::string>::from(name, "name"));
  std::optional<BeamOnDetector> beam;
  if (!beam_center_px.is_none()) {
    const auto [fast, slow] = Convert<std::pair<double, double>>::from(beam_center_px,
                                                                       "beam_center");
    beam = BeamOnDetector{fast, slow, LengthUnit::pixels};
  }
  Geometry geometry = detector_geometry(preset, Convert<double>::from(distance, "distance"), beam);
  Experiment e = experiment_of(experiment);
  // The panels stand in the frame whose beam runs along -z; so does all else from here on, the
  // spindle of a still as well.
  Experiment turning = e;
  turning.beam.tilt_horizontal_mrad = turning.beam.tilt_vertical_mrad = 0;
  const bool is_still = e.scan.oscillation_deg.range.value_or(0) == 0;
  if (is_still) turning.scan.oscillation_deg = {1.0, {}, {}};
  const Geometry own = in_imgcif_frame(geometry_of(turning));
  geometry.beam = own.beam;
  if (!is_still) geometry.scan = own.scan;
  geometry.crystals = own.crystals;
  const Scan scan_before = e.scan;
  const Beam beam_before = e.beam;
  const CrystalAxes axes_before = resolve(turning).axes;
  e = with_geometry(e, geometry);
  e.scan.spindle_axis = own.scan->spindle_axis;
  if (is_still) e.scan.phi_deg = scan_before.phi_deg;
  if (const auto& step = scan_before.oscillation_deg.step; step && !is_still)
    e.scan.oscillation_deg.step = std::abs(*step);
  e.beam.tilt_horizontal_mrad = beam_before.tilt_horizontal_mrad;
  e.beam.tilt_vertical_mrad = beam_before.tilt_vertical_mrad;
  // What was at v of the laboratory, by a crystal that was as `from` and is as in the geometry
  const auto turned = [&](std::size_t crystal, const CrystalAxes& from, const Vec3d& v) {
    const Mat3d& now = own.crystals.at(crystal).real_axes_A;
    const Vec3d cells = from.reciprocal_per_A * v;
    return cells.x * now.a + cells.y * now.b + cells.z * now.c;
  };
  e.beam.sources = beam_before.sources;
  for (Source& source : e.beam.sources) source.position = turned(0, axes_before, source.position);
  const CrystalAxes axes = resolve(e).axes;
  for (std::size_t k = 0; k < e.more_crystals.size(); ++k) {
    const Vec3d x = turned(k + 1, axes, {1, 0, 0}), y = turned(k + 1, axes, {0, 1, 0}),
                z = turned(k + 1, axes, {0, 0, 1});
    e.more_crystals[k].misset_deg = misset_deg_of(
        {{x.x, y.x, z.x}, {x.y, y.y, z.y}, {x.z, y.z, z.z}});
  }
  resolve(e);
  return e;
}

py::tuple read_image_file(const py::object& path, const py::object& image) {
  io::ImageFile file = result_apart(
      [name = path_of(path), number = Convert<int>::from(image, "image")](const auto&) {
        return io::read_image(name, number);
      });
  for (const std::string& notice : file.geometry.notices) warn(path_of(path) + ": " + notice);
  std::vector<py::ssize_t> shape;
  const auto& panels = file.geometry.panels;
  bool alike = !panels.empty();
  for (const GeometryPanel& p : panels)
    alike &= p.fast_pixels == panels[0].fast_pixels && p.slow_pixels == panels[0].slow_pixels;
  if (!alike)
    shape = {static_cast<py::ssize_t>(file.pixels.size())};
  else if (panels.size() == 1)
    shape = {panels[0].slow_pixels, panels[0].fast_pixels};
  else
    shape = {static_cast<py::ssize_t>(panels.size()), panels[0].slow_pixels, panels[0].fast_pixels};
  const int images = file.images;
  return py::make_tuple(array_from(std::move(file.pixels), shape), file.format, images);
}

}  // namespace

void bind_files(py::module_& module) {
  module.def("count_photons", &count_image);
  module.def("pixel_truth", &truth_of_pixels);
  module.def("read_image", &read_image_file);
  module.def("with_geometry", &experiment_with_geometry);
  module.def("with_detector", &experiment_with_detector);
  py::class_<Writer>(module, "ImageWriter")
      .def(py::init<const py::object&, const py::object&, const py::object&, const py::object&,
                    const py::object&, const py::object&, const py::object&, const py::object&,
                    const py::object&, const py::object&>())
      .def("add", &Writer::add)
      .def("close", &Writer::close)
      .def("abandon", &Writer::abandon);
}

}  // namespace nablabragg::python
