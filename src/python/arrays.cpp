#include "python/arrays.hpp"

#include <algorithm>
#include <limits>

#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/series.hpp"  // for is_rotation, misset_deg_of
#include "python/convert.hpp"

namespace nablabragg::python {

namespace {

/// (panel, slow, fast) of each pixel that a bool array of the image's shape holds True for.
py::object indices_of(const py::array& chosen, const Resolved& resolved) {
  const py::module_ numpy = py::module_::import("numpy");
  if (chosen.ndim() != 1) return numpy.attr("argwhere")(chosen);
  // Panels of different sizes
  const auto keep = py::array_t<bool, py::array::c_style | py::array::forcecast>(chosen);
  std::vector<std::int64_t> rows;
  const bool* next = keep.data();
  const auto add = [&](std::int64_t number, const Panel& panel) {
    for (int slow = 0; slow < panel.slow_pixels; ++slow)
      for (int fast = 0; fast < panel.fast_pixels; ++fast)
        if (*next++) rows.insert(rows.end(), {number, slow, fast});
  };
  std::int64_t number = 0;
  add(number, resolved.panel);
  for (const ResolvedPanel& further : resolved.more_panels) add(++number, further.panel);
  const auto count = static_cast<py::ssize_t>(rows.size() / 3);
  return array_from(std::move(rows), {count, 3});
}

}  // namespace

std::vector<py::ssize_t> image_shape(const Resolved& resolved) {
  const Panel& first = resolved.panel;
  if (resolved.more_panels.empty()) return {first.slow_pixels, first.fast_pixels};
  bool alike = true;
  std::size_t pixels = PanelExtent{first.fast_pixels, first.slow_pixels}.pixels();
  for (const auto& [panel, sensor, roi] : resolved.more_panels) {
    alike &= panel.fast_pixels == first.fast_pixels && panel.slow_pixels == first.slow_pixels;
    pixels += PanelExtent{panel.fast_pixels, panel.slow_pixels}.pixels();
  }
  if (!alike) return {static_cast<py::ssize_t>(pixels)};
  return {static_cast<py::ssize_t>(resolved.more_panels.size() + 1), first.slow_pixels,
          first.fast_pixels};
}

std::vector<PixelIndex> pixels_of(const py::object& pixels, const Experiment& experiment) {
  const py::module_ numpy = py::module_::import("numpy");
  const bool several = !experiment.more_panels.empty();
  const char* const
      needs = several
                  ? "pixels needs whole numbers of shape (n, 3), (panel, slow, fast) in each row, "
                    "or a bool "
                    "array of the image's shape"
                  : "pixels needs whole numbers of shape (n, 2), (slow, fast) in each row, or a "
                    "bool array (slow, fast)";
  py::array given;
  try {
    given = numpy.attr("asarray")(pixels);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    throw UsageError(std::string(needs) + ", not " + described(pixels));
  }
  if (given.dtype().kind() == 'b') {
    const Resolved resolved = resolve(experiment);
    const py::object shape = py::tuple(py::cast(image_shape(resolved)));
    if (!py::tuple(given.attr("shape")).equal(shape))
      throw UsageError("pixels as a bool array needs the shape of the image, " +
                       std::string(py::str(shape)) + ", not " +
                       std::string(py::str(given.attr("shape"))));
    given = indices_of(given, resolved);
  }
  const bool whole = given.dtype().kind() == 'i' || given.dtype().kind() == 'u';
  if (!whole || given.ndim() != 2 || given.shape(1) != (several ? 3 : 2))
    throw UsageError(std::string(needs) + ", not " + described(pixels));
  using Rows = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
  const Rows rows(given);
  const auto at = rows.unchecked<2>();
  // What no int holds is on no panel, either.
  const auto index = [&](py::ssize_t row, py::ssize_t axis) {
    using Int = std::numeric_limits<int>;
    return static_cast<int>(std::clamp<std::int64_t>(at(row, axis), Int::min(), Int::max()));
  };
  std::vector<PixelIndex> list(static_cast<std::size_t>(rows.shape(0)));
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto row = static_cast<py::ssize_t>(i);
    list[i] = several ? PixelIndex{index(row, 2), index(row, 1), index(row, 0)}
                      : PixelIndex{index(row, 1), index(row, 0), 0};
  }
  return list;
}

std::vector<Vec3d> missets_of(const py::object& orientations) {
  const auto numbers = py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(
      orientations);
  const bool angles = numbers && numbers.ndim() == 2 && numbers.shape(1) == 3;
  const bool matrices = numbers && numbers.ndim() == 3 && numbers.shape(1) == 3 &&
                        numbers.shape(2) == 3;
  if (!angles && !matrices)
    fail("orientations need", "an array (n, 3) of angles [degree] or (n, 3, 3) of rotations",
         orientations);
  std::vector<Vec3d> missets_deg;
  const double* at = numbers.data();
  for (py::ssize_t i = 0; i < numbers.shape(0); ++i) {
    const auto row = [&at] {
      at += 3;
      return Vec3d{at[-3], at[-2], at[-1]};
    };
    if (angles) {
      missets_deg.push_back(row());
      continue;
    }
    const Vec3d a = row(), b = row(), c = row();
    if (!is_rotation({a, b, c}))
      throw UsageError("orientations[" + std::to_string(i) +
                       "] is no rotation matrix: its rows are not at right angles, not 1 long or "
                       "left-handed");
    missets_deg.push_back(misset_deg_of({a, b, c}));
  }
  return missets_deg;
}

std::shared_ptr<const Spectra> spectra_of(const py::object& spectra) {
  if (spectra.is_none()) return nullptr;
  if (!py::isinstance<Spectra>(spectra))
    fail("spectra need", "Spectra, as Spectra() and read_spectra() make them", spectra);
  return spectra.cast<std::shared_ptr<Spectra>>();
}

}  // namespace nablabragg::python
