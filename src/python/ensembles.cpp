// Shots of an ensemble as Python sees them.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <variant>

#include "ensemble/shot_maker.hpp"
#include "python/arrays.hpp"
#include "python/bindings.hpp"
#include "python/convert.hpp"
#include "python/interruptible.hpp"

namespace nablabragg::python {

namespace {

using ensemble::MadeShot;
using ensemble::ShotMaker;

/// Columns by name.  Of what is listed by rows each has all of them; of the shot its one row.
py::dict columns_of(io::ShotTable& table, bool one_row) {
  py::dict columns;
  for (io::ShotColumn& column : table.columns)
    std::visit(
        [&](auto& values) {
          std::vector<py::ssize_t> shape(column.row.begin(), column.row.end());
          py::ssize_t numbers = 1;
          for (const py::ssize_t length : shape) numbers *= length;
          if (!one_row)
            shape.insert(shape.begin(), static_cast<py::ssize_t>(values.size()) / numbers);
          columns[py::str(column.name)] = array_from(std::move(values), shape);
        },
        column.values);
  return columns;
}

/// (index, image, labels, reflections, mask)
py::tuple tuple_of(const ShotMaker& maker, MadeShot&& shot) {
  const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(maker.slow_pixels()),
                                       static_cast<py::ssize_t>(maker.fast_pixels())};
  py::object image, mask = py::none();
  if (maker.ensemble().description().counts)
    image = array_from(std::move(shot.counts), shape);
  else
    image = array_from(std::move(shot.photons), shape);
  if (!shot.spot_mask.empty()) mask = array_from(std::move(shot.spot_mask), shape);
  const py::dict reflections = shot.tables.size() > 1 ? columns_of(shot.tables[1], false)
                                                      : py::dict();
  return py::make_tuple(shot.index, image, columns_of(shot.tables[0], true), reflections, mask);
}

py::list make(const ShotMaker& maker, const std::vector<int>& numbers, int threads) {
  ComputeOptions options;
  options.threads = threads;
  std::vector<MadeShot> made;
  run_interruptible(options, py::none(),
                    [&](const ComputeOptions& all) { made = maker.make(numbers, all); });
  py::list shots;
  for (MadeShot& shot : made) shots.append(tuple_of(maker, std::move(shot)));
  return shots;
}

}  // namespace

void bind_ensembles(py::module_& module) {
  py::class_<ShotMaker>(module, "ShotMaker")
      .def(py::init([](const py::object& path) {
        return result_apart(
            [name = path_of(path)](const auto&) { return std::make_unique<ShotMaker>(name); });
      }))
      .def("__len__", [](const ShotMaker& maker) { return maker.ensemble().shots(); })
      .def("labels",
           [](const ShotMaker& maker) {
             std::vector<std::string> names;
             const std::vector<io::ShotTable> tables = tables_of(maker.ensemble(), {});
             for (const auto& column : tables[0].columns) names.push_back(column.name);
             if (maker.ensemble().description().spot_mask_photons) names.push_back("spot_mask");
             return names;
           })
      .def("make", &make);
}

}  // namespace nablabragg::python
