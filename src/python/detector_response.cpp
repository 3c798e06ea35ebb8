#include "python/detector_response.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "description/response_fields.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

template <class Enum>
Enum choice_of(const py::object& given, const char* name) {
  const std::string word = Convert<std::string>::from(given, name);
  std::string names;
  for (const auto& choice : description::Choices<Enum>::all) {
    if (word == choice.name) return choice.value;
    names.append(names.empty() ? "'" : " or '").append(choice.name).append("'");
  }
  throw UsageError(std::string(name) + " is " + names + ", not '" + word + "'");
}

}  // namespace

PointSpread point_spread_of(const py::object& shape, const py::object& fwhm_um) {
  return {choice_of<PointSpread::Shape>(shape, "point_spread"),
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
  description::for_each_field<DetectorResponse>([&](const auto& row) {
    using Value = typename std::remove_cvref_t<decltype(row)>::Member;
    Value value{};
    if constexpr (std::is_same_v<Value, std::optional<PointSpread>>) {
      if (const py::object shape = given.attr(row.name); !shape.is_none())
        value = point_spread_of(shape, given.attr("fwhm"));
    } else if constexpr (std::is_same_v<Value, std::shared_ptr<const PixelFactors>>) {
      value = factors_of_pixels(given.attr(row.name), e, row.name);
    } else if constexpr (std::is_same_v<Value, DetectorResponse::DeadTime>) {
      value = Convert<bool>::from(given.attr("paralysable"), "paralysable")
                  ? DetectorResponse::DeadTime::paralysable
                  : DetectorResponse::DeadTime::nonparalysable;
    } else if constexpr (std::is_enum_v<Value>) {
      value = choice_of<Value>(given.attr(row.name), row.name);
    } else {
      value = Convert<Value>::from(given.attr(row.name), row.name);
    }
    row.set(r, std::move(value));
  });
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

/// The factors of an array, in one row; null of None.
std::shared_ptr<const PixelFactors> factors_in(const py::object& map, const char* name) {
  if (map.is_none()) return nullptr;
  array_of(map, needs(name), "factors");
  return std::make_shared<const PixelFactors>(floats_of(Flat<float>(map)));
}

/// Arguments of the package's DetectorResponse; None where the text has no response.
py::object response_in(const py::object& text, const py::object& calibration_map,
                       const py::object& gain_map) {
  const auto response = response_from_json(
      Convert<std::string>::from(text, "text"),
      {factors_in(calibration_map, "calibration_map"), factors_in(gain_map, "gain_map")});
  if (!response) return py::none();
  py::dict arguments;
  description::for_each_field<DetectorResponse>([&](const auto& row) {
    using Value = typename std::remove_cvref_t<decltype(row)>::Member;
    const Value value = row.get(*response);
    if constexpr (std::is_same_v<Value, std::optional<PointSpread>>) {
      if (!value) return;
      arguments[row.name] = Convert<PointSpread::Shape>::to(value->shape);
      arguments["fwhm"] = value->fwhm_um;
    } else if constexpr (std::is_same_v<Value, std::shared_ptr<const PixelFactors>>) {
      arguments[row.name] = std::string_view(row.name) == "gain_map" ? gain_map : calibration_map;
    } else if constexpr (std::is_same_v<Value, DetectorResponse::DeadTime>) {
      arguments["paralysable"] = value == DetectorResponse::DeadTime::paralysable;
    } else {
      arguments[row.name] = Convert<Value>::to(value);
    }
  });
  return arguments;
}

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

void warn_of_saturation(std::int64_t pixels) {
  if (pixels > 0)
    warn(std::to_string(pixels) +
         " pixels would hold more counts than the detector can and hold its saturation");
}

void bind_response(py::module_& module) {
  module.def("pixel_states", &states_of_pixels);
  module.def("spread_light", &spread_image);
  module.def("expected_counts", &mean_counts);
  module.def("pull_back_counts", &pull_back);
  module.def("response_from_json", &response_in);
}

}  // namespace nablabragg::python
