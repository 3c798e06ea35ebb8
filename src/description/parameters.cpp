#include "nablabragg/parameters.hpp"

#include "description/parameter_table.hpp"
#include "description/sensors.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/spectrum.hpp"

namespace nablabragg {

namespace description {

namespace {

/// Of a settled experiment.
std::vector<Parameter> parameters_of(const Experiment& e) {
  std::vector<Parameter> all;
  Experiment copy = e;
  for_each_parameter(
      e, [&](const ParameterKey& key, const Units& units, const auto& shape, auto&& numbers) {
        Parameter p{key.name(e), {}, shape, {}};
        numbers(copy, [&](double& x) {
          // The numbers of a list have the unit of their column
          p.units.emplace_back(units.of(p.values.size()));
          p.values.push_back(x);
        });
        all.push_back(std::move(p));
      });
  for_each_field<StructureFactors>([&](const auto& row) {
    if constexpr (std::is_same_v<typename std::remove_cvref_t<decltype(row)>::Type, double>)
      if (row.parameter)
        all.push_back({row.parameter, {row.units.of(0)}, {}, {row.get(e.structure_factors)}});
  });
  return all;
}

[[noreturn]] void throw_unknown(const Experiment& e, std::string_view name) {
  std::string names;
  for (const Parameter& p : parameters_of(e))
    names.append(names.empty() ? "" : ", ").append(p.name);
  throw UsageError("this experiment has no parameter '" + std::string(name) + "'; there are " +
                   names);
}

/// How a panel has moved by itself is said with its number, of the first panel as well.
bool takes_number_of_panel(std::string_view row) { return row == "shift" || row == "rotation"; }

}  // namespace

std::string ParameterKey::name(const Experiment& e) const {
  using Kind = ParameterOwner::Kind;
  if (owner.kind == Kind::group) return "group[" + e.detector_groups[owner.index].name + "]." + row;
  if (owner.kind == Kind::material) return "material[" + std::to_string(owner.index) + "]." + row;
  if (owner.kind == Kind::crystal) return "crystal[" + std::to_string(owner.index) + "]." + row;
  if (owner.kind == Kind::panel && (owner.index > 0 || takes_number_of_panel(row)))
    return "panel[" + std::to_string(owner.index) + "]." + row;
  return row;
}

void set_parameter(Experiment& e, std::string_view name, std::span<const double> values) {
  bool found = false;
  const auto check_count = [&](std::size_t wanted) {
    found = true;
    if (values.size() != wanted)
      throw UsageError("the parameter '" + std::string(name) + "' is " + std::to_string(wanted) +
                       (wanted == 1 ? " number" : " numbers") + ", not " +
                       std::to_string(values.size()));
  };
  Experiment changed = e;
  for_each_parameter(e,
                     [&](const ParameterKey& key, const Units&, const auto& shape, auto&& numbers) {
                       if (!name.ends_with(key.row) || key.name(e) != name) return;
                       std::size_t wanted = 1;
                       for (const std::size_t extent : shape) wanted *= extent;
                       check_count(wanted);
                       std::size_t next = 0;
                       numbers(changed, [&](double& x) { x = values[next++]; });
                     });
  if (name == default_F_name) {
    check_count(1);
    changed.structure_factors.default_F = values[0];
  }
  if (!found) throw_unknown(e, name);
  e = std::move(changed);
}

}  // namespace description

std::vector<Parameter> parameters(const SettledExperiment& experiment) {
  return description::parameters_of(experiment.experiment());
}

Parameter parameter(const SettledExperiment& experiment, std::string_view name) {
  for (Parameter& p : parameters(experiment))
    if (p.name == name) return std::move(p);
  description::throw_unknown(experiment.experiment(), name);
}

Experiment with_parameter(const SettledExperiment& experiment, std::string_view name,
                          std::span<const double> values) {
  Experiment changed = experiment.experiment();
  description::set_parameter(changed, name, values);
  return changed;
}

Experiment with_spectrum(const Experiment& experiment, const Spectrum& spectrum) {
  check_takes_spectrum(experiment.beam);
  constexpr double distance_m = 10;  // any: only the direction counts
  const Vec3d towards_source = -distance_m * resolve(experiment).panel.beam;
  Experiment e = experiment;
  description::reopen_sensors(e);
  const double mean_A = mean_wavelength_A(spectrum);
  description::set_parameter(e, "wavelength", {&mean_A, 1});
  e.beam.sources = sources_of(spectrum, towards_source);
  return e;
}

}  // namespace nablabragg
