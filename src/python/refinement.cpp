// refine(): the same fit as the command's, with numbers as Python objects.
#include "nablabragg/refine.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>  // for max
#include <cctype>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "measured/counts.hpp"
#include "measured/measured_image.hpp"
#include "measured/observed_spots.hpp"
#include "nablabragg/error.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/detector_response.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

/// Options of the command as they are called here: "--image-number" is image_number.
std::string in_python(const std::string& sentence) {
  std::string text;
  for (std::size_t i = 0; i < sentence.size(); ++i) {
    const bool begins = sentence.compare(i, 2, "--") == 0 && i + 2 < sentence.size() &&
                        std::islower(static_cast<unsigned char>(sentence[i + 2]));
    if (!begins) {
      text += sentence[i];
      continue;
    }
    for (i += 2; i < sentence.size(); ++i) {
      const char c = sentence[i];
      if (!std::islower(static_cast<unsigned char>(c)) && c != '-') break;
      text += c == '-' ? '_' : c;
    }
    --i;
  }
  return text;
}

template <class Enum, std::size_t n>
Enum choice(const py::dict& asked, const char* name,
            const std::pair<const char*, Enum> (&choices)[n]) {
  const auto given = Convert<std::string>::from(asked[name], name);
  std::string names;
  for (const auto& [text, value] : choices) {
    if (given == text) return value;
    names.append(names.empty() ? "" : ", ").append(1, '"').append(text).append(1, '"');
  }
  throw UsageError(std::string(name) + " is one of " + names + R"(, not ")" + given + '"');
}

std::vector<std::string> names_of(const py::object& given, const char* what) {
  if (py::isinstance<py::str>(given)) return {text_of(given)};
  if (!py::isinstance<py::sequence>(given)) fail(std::string(what) + " needs", "names", given);
  std::vector<std::string> names;
  for (const py::handle name : given) names.push_back(Convert<std::string>::from(name, what));
  return names;
}

/// {"distance": (79, 81)}; None at either end.
std::vector<ParameterBounds> bounds_of(const py::object& given) {
  std::vector<ParameterBounds> bounds;
  if (given.is_none()) return bounds;
  if (!py::isinstance<py::dict>(given)) fail("bounds needs", "a dict of (lower, upper)", given);
  for (const auto& [name, pair] : py::reinterpret_borrow<py::dict>(given)) {
    const auto ends = Convert<std::pair<std::optional<double>, std::optional<double>>>::from(
        pair, "bounds");
    ParameterBounds b;
    b.name = Convert<std::string>::from(name, "bounds");
    if (ends.first) b.lower = *ends.first;
    if (ends.second) b.upper = *ends.second;
    bounds.push_back(b);
  }
  return bounds;
}

/// {"distance": 0.05} about the start, {"distance": (80, 0.05)} about a value.
std::vector<Restraint> restraints_of(const py::object& given) {
  std::vector<Restraint> restraints;
  if (given.is_none()) return restraints;
  if (!py::isinstance<py::dict>(given))
    fail("restraints needs", "a dict of deviations or (value, deviation)", given);
  for (const auto& [name, knowledge] : py::reinterpret_borrow<py::dict>(given)) {
    Restraint r;
    r.name = Convert<std::string>::from(name, "restraints");
    if (py::isinstance<py::tuple>(knowledge) || py::isinstance<py::list>(knowledge)) {
      const auto pair = Convert<std::pair<double, double>>::from(knowledge, "restraints");
      r.value = pair.first;
      r.deviation = pair.second;
    } else {
      r.deviation = Convert<double>::from(knowledge, "restraints");
    }
    restraints.push_back(r);
  }
  return restraints;
}

std::optional<double> positive(const py::dict& asked, const char* name) {
  const auto value = Convert<std::optional<double>>::from(asked[name], name);
  if (value && !(*value > 0)) throw UsageError(std::string(name) + " needs a positive number");
  return value;
}

int at_least(const py::dict& asked, const char* name, int least) {
  const int value = Convert<int>::from(asked[name], name);
  if (value < least)
    throw UsageError(std::string(name) + " is " + std::to_string(least) + " or more");
  return value;
}

RefineOptions refine_options(const py::dict& asked) {
  RefineOptions o;
  o.parameters = names_of(asked["parameters"], "parameters");
  o.own = names_of(asked["own"], "own");
  o.bounds = bounds_of(asked["bounds"]);
  o.restraints = restraints_of(asked["restraints"]);
  o.likelihood = choice<Likelihood>(
      asked, "likelihood", {{"poisson", Likelihood::poisson}, {"gauss", Likelihood::gauss}});
  o.background = choice<Background>(asked, "background",
                                    {{"none", Background::none},
                                     {"constant", Background::constant},
                                     {"plane", Background::plane}});
  o.intensities = choice<Intensities>(
      asked, "intensities", {{"model", Intensities::of_model}, {"free", Intensities::free}});
  o.centring = choice<Centring>(asked, "centring",
                                {{"P", Centring::P},
                                 {"A", Centring::A},
                                 {"B", Centring::B},
                                 {"C", Centring::C},
                                 {"I", Centring::I},
                                 {"F", Centring::F},
                                 {"R", Centring::R}});
  o.variances = choice<Variances>(asked, "variances",
                                  {{"counted", Variances::counted}, {"fitted", Variances::fitted}});
  o.saturated = choice<Saturated>(
      asked, "saturated", {{"censored", Saturated::censored}, {"left-out", Saturated::left_out}});
  o.equal = names_of(asked["equal"], "equal");
  o.spot_stage = Convert<bool>::from(asked["spot_stage"], "spot_stage");
  o.all_pixels = Convert<bool>::from(asked["all_pixels"], "all_pixels");
  o.shoebox_px = at_least(asked, "shoebox", 3);
  o.most_shoeboxes = at_least(asked, "spots", 1);
  o.iterations = at_least(asked, "iterations", 1);
  o.least_photons = positive(asked, "least_photons").value_or(o.least_photons);
  o.structure_factor_deviation = positive(asked, "structure_factors");
  if (!asked["resume"].is_none()) {
    try {
      o.resume = refine_state_from_json(Convert<std::string>::from(asked["resume"], "resume"));
    } catch (const UsageError& error) {
      throw UsageError(std::string("resume ") + error.what());
    }
  }
  o.compute = options_of(asked);
  return o;
}

measured::MeasuredImage image_options(const py::dict& asked) {
  measured::MeasuredImage image;
  if (!asked["image_number"].is_none()) image.number = at_least(asked, "image_number", 1);
  image.gain = positive(asked, "gain");
  image.offset = Convert<std::optional<double>>::from(asked["offset"], "offset");
  image.overload = Convert<std::optional<double>>::from(asked["overload"], "overload");
  image.readout_noise = Convert<double>::from(asked["readout_noise"], "readout_noise");
  if (!(image.readout_noise >= 0)) throw UsageError("readout_noise is 0 or more");
  if (const py::object shape = asked["point_spread"]; !shape.is_none())
    image.point_spread = point_spread_of(shape, asked["fwhm"]);
  return image;
}

bool is_path(const py::handle& image) {
  return py::isinstance<py::str>(image) || py::isinstance<py::bytes>(image) ||
         py::hasattr(image, "__fspath__");
}

/// An array of counts, of which nothing else is known.
measured::Reading reading_of(const py::handle& image, const measured::MeasuredImage& options,
                             const SettledExperiment& model) {
  if (options.number) throw UsageError("image_number is of a file, and the image is an array");
  array_of(image, "image needs", "counts");
  const auto shape = image_shape(model.resolved());
  const py::array array = py::module_::import("numpy").attr("asarray")(image);
  if (!py::tuple(array.attr("shape")).equal(py::tuple(py::cast(shape))))
    throw InputError("the image has the shape " + std::string(py::str(array.attr("shape"))) +
                     " and the model " + std::string(py::str(py::tuple(py::cast(shape)))));
  const py::array_t<float, py::array::c_style | py::array::forcecast> counts(array);
  measured::Reading r;
  Measurement& m = r.measurement;
  m.counts = image_of(model.resolved(), {counts.data(), counts.data() + counts.size()});
  m.counts_per_photon = options.gain.value_or(1);
  m.offset = options.offset.value_or(0);
  if (options.overload) m.overload = *options.overload;
  m.readout_noise = options.readout_noise;
  m.point_spread = options.point_spread;
  r.known = {true, true, options.overload.has_value(), 0};
  // As of a file that does not say how many bits a pixel has
  constexpr float of_16_bits = 65535;
  float largest = 0;
  for (const float count : m.counts.pixels) largest = std::max(largest, count);
  if (largest == of_16_bits || largest == of_16_bits - 1) r.known.largest_count = of_16_bits;
  return r;
}

py::dict values_dict(const std::vector<std::pair<std::string, double>>& values) {
  py::dict named;
  for (const auto& [name, value] : values) named[py::str(name)] = value;
  return named;
}

/// What the user's function makes of the iterations.  It is called by the thread that works, with
/// the interpreter's lock; what it raises ends the work and is raised again.
class Listener {
 public:
  Listener(py::object function, py::object progress_type)
      : function_(std::move(function)), type_(std::move(progress_type)) {}

  bool operator()(const RefineProgress& p) {
    const py::gil_scoped_acquire acquire;
    try {
      const py::object progress = type_(name_of(p.stage), p.iteration, p.residual, p.change,
                                        values_dict(p.values), to_json(p.state));
      return !function_(progress).is(py::bool_(false));
    } catch (py::error_already_set& error) {
      raised_.emplace(std::move(error));
      return false;
    }
  }

  void rethrow() {
    if (raised_) throw std::move(*raised_);
  }

 private:
  py::object function_, type_;
  std::optional<py::error_already_set> raised_;
};

py::object found_spots_of(const Refinement& r) {
  if (!r.found_spots) return py::none();
  const FoundSpots& f = *r.found_spots;
  return py::make_tuple(f.found, f.placed, f.fast_rms_px, f.slow_rms_px);
}

py::tuple result_of(Refinement&& r) {
  py::list numbers, stages, warnings;
  for (const RefinedNumber& n : r.numbers)
    numbers.append(py::make_tuple(n.name, n.unit, n.start, n.value, n.deviation, n.at_bound));
  for (const StageReport& s : r.stages)
    stages.append(py::make_tuple(name_of(s.stage), s.iterations, s.spots, s.pixels,
                                 s.residual_before, s.residual, s.misfit_share, s.seconds,
                                 s.converged));
  for (const std::string& line : r.warnings) warnings.append(in_python(line));
  const auto count = static_cast<py::ssize_t>(r.numbers.size());
  r.correlations.resize(r.numbers.size() * r.numbers.size(),
                        std::numeric_limits<double>::quiet_NaN());  // of what was stopped
  const auto factors = static_cast<py::ssize_t>(r.factors.size());
  py::array_t<int> hkl({factors, py::ssize_t{3}});
  py::array_t<double> start(factors), value(factors), deviation(factors);
  for (py::ssize_t i = 0; i < factors; ++i) {
    const RefinedFactor& f = r.factors[static_cast<std::size_t>(i)];
    for (py::ssize_t k = 0; k < 3; ++k) hkl.mutable_at(i, k) = f.hkl[static_cast<std::size_t>(k)];
    start.mutable_at(i) = f.start;
    value.mutable_at(i) = f.value;
    deviation.mutable_at(i) = f.deviation;
  }
  return py::make_tuple(
      std::move(r.experiments), numbers, array_from(std::move(r.correlations), {count, count}),
      py::make_tuple(hkl, start, value, deviation), stages, py::tuple(py::cast(r.pixels_in_shadow)),
      found_spots_of(r), warnings, r.stopped, to_json(r.state));
}

bool is_list(const py::object& given) {
  return py::isinstance<py::list>(given) || py::isinstance<py::tuple>(given);
}

/// One experiment, or a list of them.
std::vector<Experiment> experiments_of(const py::object& given) {
  if (!is_list(given)) return {experiment_of(given)};
  std::vector<Experiment> all;
  for (const py::handle one : given)
    all.push_back(experiment_of(py::reinterpret_borrow<py::object>(one)));
  if (all.empty()) throw UsageError("experiment is an empty list; each image needs one");
  return all;
}

/// Of a list of experiments: one path for all, or one image for each.
std::vector<py::object> images_of(const py::object& given) {
  if (is_path(given)) return {given};
  if (!py::isinstance<py::sequence>(given) && !py::isinstance<py::array>(given))
    fail("image needs", "a path or a list of images, as experiment is one", given);
  std::vector<py::object> all;
  for (const py::handle one : given) all.push_back(py::reinterpret_borrow<py::object>(one));
  return all;
}

/// Counts of the images, and what was found in them, a sentence each.
std::vector<Measurement> measurements_of(const std::vector<py::object>& images,
                                         const measured::MeasuredImage& how,
                                         const std::vector<Experiment>& starts,
                                         std::vector<std::string>& found) {
  std::vector<std::string> names;
  for (const py::object& image : images)
    if (is_path(image)) names.push_back(path_of(image));
  if (!names.empty() && names.size() != images.size())
    throw UsageError("images are all paths or all arrays");
  if (names.empty() && images.size() != starts.size())
    throw UsageError("there are " + std::to_string(images.size()) + " images and " +
                     std::to_string(starts.size()) +
                     " experiments; each image needs the experiment that it is of");
  std::vector<measured::MeasuredImage> files;
  if (!names.empty()) files = measured::files_of_images(names, how, starts.size());
  std::vector<Measurement> all;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const SettledExperiment settled(starts[i]);
    std::string name = starts.size() > 1 ? "image " + std::to_string(i) : "the image";
    measured::Reading reading;
    if (!files.empty()) {
      name = files[i].path;
      reading = result_apart([file = files[i], settled](const auto&) {
        return measured::read_measurement(file, settled);
      });
    } else {
      reading = reading_of(images[i], how, settled);
    }
    found.insert(found.end(), reading.notices.begin(), reading.notices.end());
    for (std::string& line : measured::settle_counts(reading, name, settled))
      found.push_back(std::move(line));
    all.push_back(std::move(reading.measurement));
  }
  return all;
}

py::tuple py_refine(const py::object& experiment, const py::object& image, const py::dict& asked) {
  const std::vector<Experiment> starts = experiments_of(experiment);
  RefineOptions options = refine_options(asked);
  const measured::MeasuredImage how = image_options(asked);
  if (how.readout_noise > 0 && options.likelihood == Likelihood::poisson)
    throw UsageError(R"(readout_noise needs likelihood="gauss": photons alone have none)");
  std::optional<Listener> listener;
  if (!asked["progress"].is_none()) {
    listener.emplace(asked["progress"], asked["progress_type"]);
    options.progress = [&](const RefineProgress& p) { return (*listener)(p); };
  }
  std::vector<std::string> found;
  std::optional<Refinement> result;
  try {
    if (!asked["spots_of"].is_none())
      options.observed_spots = result_apart([file = path_of(asked["spots_of"]),
                                             experiment = at_least(asked, "spots_experiment", 0),
                                             number = how.number.value_or(1), starts](const auto&) {
        return measured::read_observed_spots(file, experiment, number, starts);
      });
    const std::vector<py::object> images = is_list(experiment) ? images_of(image)
                                                               : std::vector{image};
    const std::vector<Measurement> measurements = measurements_of(images, how, starts, found);
    const auto work = [&](const ComputeOptions& all) {
      options.compute = all;
      result = refine(starts, measurements, options);
    };
    run_interruptible(options.compute, py::none(), work);
  } catch (const InputError& error) {
    throw InputError(in_python(error.what()));
  } catch (const UsageError& error) {
    throw UsageError(in_python(error.what()));
  }
  if (listener) listener->rethrow();
  result->warnings.insert(result->warnings.begin(), found.begin(), found.end());
  for (const std::string& line : result->warnings) warn(in_python(line));
  return result_of(std::move(*result));
}

}  // namespace

void bind_refinement(py::module_& module) {
  module.def("refine", py_refine, py::arg("experiment"), py::arg("image"), py::arg("asked"));
}

}  // namespace nablabragg::python
