// Arrays of images and lists of pixels.
#pragma once
#include <pybind11/numpy.h>
#include <memory>
#include <utility>
#include <vector>
#include "nablabragg/resolved.hpp"
#include "nablabragg/simulate.hpp"
#include "nablabragg/spectra.hpp"
#include "nablabragg/vec3.hpp"  // for Vec3d

namespace nablabragg::python {

namespace py = pybind11;

/// An array that takes the vector's memory over; nothing is copied.
template <class Number>
py::array_t<Number> array_from(std::vector<Number>&& values,
                               const std::vector<py::ssize_t>& shape) {
  auto owned = std::make_unique<std::vector<Number>>(std::move(values));
  const Number* data = owned->data();
  const py::capsule owner(owned.release(),
                          [](void* p) { delete static_cast<std::vector<Number>*>(p); });
  return py::array_t<Number>(shape, data, owner);
}

/// Of an image: (slow, fast) of one panel, (panels, slow, fast) of several of one size, (pixels,)
/// of others, panel by panel.
std::vector<py::ssize_t> image_shape(const Resolved& resolved);

/// Of an integer array (n, 2) of (slow, fast), or (n, 3) of (panel, slow, fast), or a bool array of
/// the image's shape.  Throws UsageError.
std::vector<PixelIndex> pixels_of(const py::object& pixels, const Experiment& experiment);

/// Rotations of stills, as Series takes them, of an array (n, 3) of angles [degree] or (n, 3, 3) of
/// rotation matrices.  Throws UsageError.
std::vector<Vec3d> missets_of(const py::object& orientations);

/// Of a Spectra; null of None.  Throws py::type_error.
std::shared_ptr<const Spectra> spectra_of(const py::object& spectra);

}  // namespace nablabragg::python
