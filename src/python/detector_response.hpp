// A DetectorResponse of the package as one of the library.
#pragma once
#include <pybind11/pybind11.h>
#include <cstdint>
#include "nablabragg/detector_response.hpp"

namespace nablabragg::python {

/// From "gauss" or "fiber" and the full width at half maximum.
PointSpread point_spread_of(const pybind11::object& shape, const pybind11::object& fwhm_um);

/// Throws UsageError for what it cannot be, and for a step of no effect.
DetectorResponse response_of(const pybind11::object& given, const Experiment& e);

/// A warning where there are pixels that hold their detector's saturation.
void warn_of_saturation(std::int64_t pixels);

}  // namespace nablabragg::python
