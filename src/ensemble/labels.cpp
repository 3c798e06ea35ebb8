#include "ensemble/labels.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"

namespace nablabragg::ensemble {

namespace {

using io::ShotColumn;

template <class Number, class Of>
ShotColumn column(const std::string& name, const std::string& unit,
                  const std::vector<ShotLabels>& shots, Of&& of) {
  std::vector<Number> values;
  for (const ShotLabels& shot : shots) values.push_back(static_cast<Number>(of(shot)));
  return {name, {}, unit, std::move(values)};
}

void append(std::vector<double>& numbers, const Vec3d& v) {
  numbers.insert(numbers.end(), {v.x, v.y, v.z});
}

/// Of the units of a parameter's numbers, those that all of them have.
std::string shared_unit(const Parameter& parameter) {
  const auto& units = parameter.units;
  const bool same = std::ranges::all_of(units, [&](const auto& u) { return u == units.front(); });
  if (same) return units.front();
  std::string all;
  for (const std::string& unit : units) all.append(all.empty() ? "" : ", ").append(unit);
  return all;
}

ShotColumn parameter_column(const Parameter& parameter, std::size_t which,
                            const std::vector<ShotLabels>& shots) {
  std::vector<double> numbers;
  for (const ShotLabels& shot : shots)
    numbers.insert(numbers.end(), shot.values[which].begin(), shot.values[which].end());
  std::string name = parameter.name;
  std::ranges::replace(name, '/', '_');  // which parts the names of HDF5's groups
  return {name, parameter.shape, shared_unit(parameter), std::move(numbers)};
}

io::ShotTable reflections_table(const std::vector<ShotLabels>& shots) {
  std::vector<std::int64_t> of_shot;
  std::vector<std::int32_t> hkl, panel;
  std::vector<double> centroid, photons, d_A;
  for (const ShotLabels& shot : shots) {
    const auto& [a, b, c] = shot.axes_A;
    const double volume = dot(a, cross(b, c));
    for (const PredictedSpot& spot : shot.reflections) {
      of_shot.push_back(shot.index);
      hkl.insert(hkl.end(), spot.hkl.begin(), spot.hkl.end());
      panel.push_back(spot.panel);
      centroid.insert(centroid.end(), {spot.fast_px, spot.slow_px});
      photons.push_back(spot.photons);
      const auto& [h, k, l] = spot.hkl;
      d_A.push_back(volume / length(h * cross(b, c) + k * cross(c, a) + l * cross(a, b)));
    }
  }
  return {"shots/reflections",
          {{"shot", {}, "", std::move(of_shot)},
           {"hkl", {3}, "", std::move(hkl)},
           {"panel", {}, "", std::move(panel)},
           {"centroid", {2}, "pixel", std::move(centroid)},
           {"photons", {}, "", std::move(photons)},
           {"resolution", {}, "angstrom", std::move(d_A)}}};
}

}  // namespace

Mat3d rotation_of(const Vec3d& misset_deg) {
  const Vec3d angle{units::radians_from_degrees(misset_deg.x),
                    units::radians_from_degrees(misset_deg.y),
                    units::radians_from_degrees(misset_deg.z)};
  const Vec3d x = physics::rotate(Vec3d{1, 0, 0}, angle),
              y = physics::rotate(Vec3d{0, 1, 0}, angle),
              z = physics::rotate(Vec3d{0, 0, 1}, angle);
  return {{x.x, y.x, z.x}, {x.y, y.y, z.y}, {x.z, y.z, z.z}};
}

std::vector<io::ShotTable> tables_of(const Ensemble& ensemble,
                                     const std::vector<ShotLabels>& shots) {
  io::ShotTable table{"shots", {}};
  std::vector<ShotColumn>& columns = table.columns;
  columns.push_back(
      column<std::int64_t>("index", "", shots, [](const auto& s) { return s.index; }));
  columns.push_back(column<std::int64_t>("seed", "", shots, [](const auto& s) { return s.seed; }));
  columns.push_back(column<std::uint8_t>("hit", "", shots, [](const auto& s) { return s.hit; }));
  columns.push_back(column<double>("photons", "", shots, [](const auto& s) { return s.photons; }));
  columns.push_back(
      column<double>("brightest", "", shots, [](const auto& s) { return s.brightest; }));
  columns.push_back(
      column<std::int64_t>("saturated", "pixel", shots, [](const auto& s) { return s.saturated; }));
  if (ensemble.description().spot_mask_photons)
    columns.push_back(column<double>("resolution", "angstrom", shots,
                                     [](const auto& s) { return s.resolution_A; }));
  std::vector<double> misset, orientation, axes;
  for (const ShotLabels& shot : shots) {
    append(misset, shot.misset_deg);
    const Mat3d turn = rotation_of(shot.misset_deg);
    for (const Vec3d& row : {turn.a, turn.b, turn.c}) append(orientation, row);
    for (const Vec3d& row : {shot.axes_A.a, shot.axes_A.b, shot.axes_A.c}) append(axes, row);
  }
  const auto varies = [&](const char* name) {
    return std::ranges::any_of(ensemble.varied(),
                               [&](const Parameter& p) { return p.name == name; });
  };
  if (!varies("misset")) columns.push_back({"misset", {3}, "deg", std::move(misset)});
  columns.push_back({"orientation", {3, 3}, "", std::move(orientation)});
  columns.push_back({"real_axes", {3, 3}, "angstrom", std::move(axes)});
  if (ensemble.request().spectra) {
    columns.push_back(
        column<std::int64_t>("spectrum", "", shots, [](const auto& s) { return s.spectrum; }));
    columns.push_back(column<double>("relative_light", "", shots,
                                     [](const auto& s) { return s.relative_light; }));
    columns.push_back(column<double>("wavelength", "angstrom", shots,
                                     [](const auto& s) { return s.wavelength_A; }));
  }
  for (std::size_t p = 0; p < ensemble.varied().size(); ++p)
    columns.push_back(parameter_column(ensemble.varied()[p], p, shots));
  std::vector<io::ShotTable> tables{std::move(table)};
  if (ensemble.description().reflections) tables.push_back(reflections_table(shots));
  return tables;
}

}  // namespace nablabragg::ensemble
