#include "ensemble/labels.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "nablabragg/series.hpp"  // for rotation_of_misset

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

void append(std::vector<double>& numbers, const Mat3d& m) {
  for (const Vec3d& row : {m.a, m.b, m.c}) append(numbers, row);
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

/// How a crystal lies in each shot.
void add_columns_of_crystal(std::size_t crystal, const Ensemble& ensemble,
                            const std::vector<ShotLabels>& shots,
                            std::vector<ShotColumn>& columns) {
  std::vector<double> misset, orientation, axes;
  for (const ShotLabels& shot : shots) {
    const auto& [misset_deg, axes_A] = shot.crystals[crystal];
    append(misset, misset_deg);
    append(orientation, rotation_of_misset(misset_deg));
    append(axes, axes_A);
  }
  const std::string of = crystal == 0 ? "" : "crystal[" + std::to_string(crystal) + "].";
  // What varies has its column among the parameters.
  if (std::ranges::find(ensemble.varied(), of + "misset", &Parameter::name) ==
      ensemble.varied().end())
    columns.push_back({of + "misset", {3}, "deg", std::move(misset)});
  columns.push_back({of + "orientation", {3, 3}, "", std::move(orientation)});
  columns.push_back({of + "real_axes", {3, 3}, "angstrom", std::move(axes)});
}

io::ShotTable reflections_table(const std::vector<ShotLabels>& shots, bool several_crystals) {
  std::vector<std::int64_t> of_shot;
  std::vector<std::int32_t> hkl, panel, crystal;
  std::vector<double> centroid, photons, d_A;
  for (const ShotLabels& shot : shots) {
    const auto& [a, b, c] = shot.crystals.front().axes_A;  // all have one cell
    const double volume = dot(a, cross(b, c));
    for (const PredictedSpot& spot : shot.reflections) {
      of_shot.push_back(shot.index);
      hkl.insert(hkl.end(), spot.hkl.begin(), spot.hkl.end());
      panel.push_back(spot.panel);
      crystal.push_back(spot.experiment);
      centroid.insert(centroid.end(), {spot.fast_px, spot.slow_px});
      photons.push_back(spot.photons);
      const auto& [h, k, l] = spot.hkl;
      d_A.push_back(volume / length(h * cross(b, c) + k * cross(c, a) + l * cross(a, b)));
    }
  }
  io::ShotTable table{"shots/reflections",
                      {{"shot", {}, "", std::move(of_shot)},
                       {"hkl", {3}, "", std::move(hkl)},
                       {"panel", {}, "", std::move(panel)},
                       {"centroid", {2}, "pixel", std::move(centroid)},
                       {"photons", {}, "", std::move(photons)},
                       {"resolution", {}, "angstrom", std::move(d_A)}}};
  if (several_crystals) table.columns.push_back({"crystal", {}, "", std::move(crystal)});
  return table;
}

}  // namespace

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
  for (std::size_t c = 0; c < ensemble.crystals(); ++c)
    add_columns_of_crystal(c, ensemble, shots, columns);
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
  if (ensemble.description().reflections)
    tables.push_back(reflections_table(shots, ensemble.crystals() > 1));
  return tables;
}

}  // namespace nablabragg::ensemble
