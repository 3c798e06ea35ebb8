#include "python/detector_response.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "nablabragg/error.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

PointSpread point_spread_of(const py::object& shape, const py::object& fwhm_um) {
  const std::string name = Convert<std::string>::from(shape, "point_spread");
  if (name != "gauss" && name != "fiber")
    throw UsageError("point_spread is 'gauss' or 'fiber', not '" + name + "'");
  return {name == "gauss" ? PointSpread::Shape::gauss : PointSpread::Shape::fiber,
          Convert<double>::from(fwhm_um, "fwhm")};
}

namespace {

/// Of the experiment's shape; null: none.
std::shared_ptr<const PixelFactors> factors_of_pixels(const py::object& given, const Experiment& e,
                                                      const char* name) {
  if (given.is_none()) return nullptr;
  const auto values = image_like<float>(given, image_shape(resolve(e)), "factors", name);
  return std::make_shared<const PixelFactors>(floats_of(values));
}

}  // namespace

DetectorResponse response_of(const py::object& given, const Experiment& e) {
  const auto number = [&](const char* name) {
    return Convert<double>::from(given.attr(name), name);
  };
  DetectorResponse r;
  const std::string kind = Convert<std::string>::from(given.attr("kind"), "kind");
  if (kind != "counting" && kind != "integrating")
    throw UsageError("kind is 'counting' or 'integrating', not '" + kind + "'");
  r.kind = kind == "counting" ? DetectorResponse::Kind::counting
                              : DetectorResponse::Kind::integrating;
  if (const py::object shape = given.attr("point_spread"); !shape.is_none())
    r.point_spread = point_spread_of(shape, given.attr("fwhm"));
  r.flicker = number("flicker");
  r.calibration = number("calibration");
  r.calibration_seed = Convert<std::int64_t>::from(given.attr("calibration_seed"),
                                                   "calibration_seed");
  r.dead_time_ns = number("dead_time");
  r.dead_time_model = Convert<bool>::from(given.attr("paralysable"), "paralysable")
                          ? DetectorResponse::DeadTime::paralysable
                          : DetectorResponse::DeadTime::nonparalysable;
  r.photon_spread = number("photon_spread");
  r.gain_spread = number("gain_spread");
  r.readout_noise = number("readout_noise");
  r.photon_charge_e = number("photon_charge");
  r.dark_current_e_s = number("dark_current");
  r.full_well_e = number("full_well");
  r.dead_pixels = number("dead_pixels");
  r.hot_pixels = number("hot_pixels");
  r.calibration_map = factors_of_pixels(given.attr("calibration_map"), e, "calibration_map");
  r.gain_map = factors_of_pixels(given.attr("gain_map"), e, "gain_map");
  r.offset = number("offset");
  if (const py::object bits = given.attr("bits"); !bits.is_none())
    r.bits = Convert<int>::from(bits, "bits");
  // Whoever states a step of no effect means something else
  const auto refuse = [](bool stated, const char* sentence) {
    if (stated) throw UsageError(sentence);
  };
  refuse(!r.point_spread && number("fwhm") != PointSpread().fwhm_um,
         "fwhm is the width of point_spread, and none is given");
  refuse(r.kind == DetectorResponse::Kind::counting && r.offset != DetectorResponse().offset,
         "a counting detector has no offset");
  refuse(r.dead_time_ns == 0 && r.dead_time_model == DetectorResponse::DeadTime::paralysable,
         "paralysable is of a dead_time, and none is given");
  return r;
}

namespace {

py::array states_of_pixels(const py::object& experiment, const py::object& response) {
  const Experiment& e = experiment_of(experiment);
  const auto states = pixel_states(e, response_of(response, e));
  std::vector<std::uint8_t> numbers(states.size());
  std::ranges::transform(states, numbers.begin(),
                         [](PixelState s) { return static_cast<std::uint8_t>(s); });
  return array_from(std::move(numbers), image_shape(resolve(e)));
}

py::array spread_image(const py::object& experiment, const py::object& light,
                       const py::object& shape_of_spread, const py::object& fwhm) {
  const Experiment& e = experiment_of(experiment);
  const auto shape = image_shape(resolve(e));
  const auto values = image_like<double>(light, shape, "light");
  const PointSpread spread = point_spread_of(shape_of_spread, fwhm);
  std::vector<double> result = result_apart(
      [e, spread, given = std::vector<double>(values.data(), values.data() + values.size())](
          const auto&) { return spread_light(e, spread, given); });
  return array_from(std::move(result), shape);
}

py::array mean_counts(const py::object& experiment, const py::object& photons,
                      const py::object& response) {
  const Experiment& e = experiment_of(experiment);
  const auto shape = image_shape(resolve(e));
  const auto light = image_like<double>(photons, shape, "photons");
  std::vector<double> counts = result_apart(
      [e, detector = response_of(response, e),
       given = std::vector<double>(light.data(), light.data() + light.size())](const auto&) {
        return expected_counts(e, detector, given);
      });
  return array_from(std::move(counts), shape);
}

py::array pull_back(const py::object& experiment, const py::object& photons,
                    const py::object& slopes, const py::object& response) {
  const Experiment& e = experiment_of(experiment);
  const auto shape = image_shape(resolve(e));
  const auto light = image_like<double>(photons, shape, "photons"),
             by_counts = image_like<double>(slopes, shape, "slopes", "the derivative");
  const auto numbers = [](const auto& array) {
    return std::vector<double>(array.data(), array.data() + array.size());
  };
  std::vector<double> by_photons = result_apart([e, detector = response_of(response, e),
                                                 given = numbers(light),
                                                 weights = numbers(by_counts)](const auto&) {
    return pull_back_counts(e, detector, given, weights).light;
  });
  return array_from(std::move(by_photons), shape);
}

}  // namespace

void bind_response(py::module_& module) {
  module.def("pixel_states", &states_of_pixels);
  module.def("spread_light", &spread_image);
  module.def("expected_counts", &mean_counts);
  module.def("pull_back_counts", &pull_back);
}

}  // namespace nablabragg::python
