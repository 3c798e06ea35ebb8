#include "nablabragg/parameters.hpp"

#include "description/parameter_table.hpp"
#include "model/resolve.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace description {

namespace {

/// Where the named beam centre is when nobody gives it; each number only where it would act.
void settle_beam_centre(const Panel& panel, Experiment& e) {
  Detector& d = e.detector;
  std::array<double, 2> standard = model::detail::default_named_beam(
      panel, e.quirks.default_beam_centre_offset);
  if (e.quirks.beam_centre_needs_pivot) {
    Experiment bare = e;
    bare.detector.beam_x_mm.reset();
    bare.detector.beam_y_mm.reset();
    Panel centred = panel;
    model::detail::set_centres_as_nanobragg(bare, centred);
    standard = {centred.named_beam_x, centred.named_beam_y};
  }
  const auto settle = [](std::optional<double>& given, bool replaced, double value) {
    if (!given && !replaced) given = units::mm_from_metres(value);
  };
  // As meant, a near point stands for a beam spot that is not given.
  const bool swapped = d.convention == Convention::mosflm || d.convention == Convention::denzo;
  const bool as_meant = !e.quirks.beam_centre_needs_pivot;
  const bool fast_replaced = as_meant && (d.org_x_px || d.close_x_mm),
             slow_replaced = as_meant && (d.org_y_px || d.close_y_mm);
  settle(d.beam_x_mm, swapped ? slow_replaced : fast_replaced, standard[0]);
  settle(d.beam_y_mm, swapped ? fast_replaced : slow_replaced, standard[1]);
}

/// A normal that says nothing but what the axes say follows them when they change.
void settle_normal(Experiment& e) {
  Detector& d = e.detector;
  if (e.quirks.custom_normal_kept || !d.normal || (!d.fast_axis && !d.slow_axis)) return;
  Experiment bare = e;
  bare.detector.normal.reset();
  const auto normal_of = [](const Experiment& x) {
    Panel panel;
    model::detail::set_axes(x, panel);
    model::detail::set_normal(x.detector, false, panel);
    return panel.normal;
  };
  if (length(normal_of(bare) - normal_of(e)) < 1e-6) d.normal.reset();
}

Experiment settled(const Experiment& experiment, const Resolved& r) {
  Experiment e = experiment;
  if (e.crystal.random_misset_seed && e.crystal.mosaic_seed > 0) {
    // A mosaic seed <= 0 would go on with the stream that the orientation was drawn from.
    e.crystal.misset_deg = {units::degrees_from_radians(r.misset.x),
                            units::degrees_from_radians(r.misset.y),
                            units::degrees_from_radians(r.misset.z)};
    e.crystal.random_misset_seed.reset();
  }
  e.crystal.cells = r.cells;
  e.crystal.size_mm = {};
  if (e.structure_factors.grid)
    e.structure_factors.interpolation = r.tricubic ? Interpolation::tricubic
                                                   : Interpolation::nearest;
  e.sampling.oversample = r.oversample;
  e.scan.spindle_axis = r.panel.spindle;
  e.beam.direction = r.panel.beam;
  e.beam.polarization_axis = r.panel.polarization_axis;
  if (!e.beam.size_mm) e.beam.size_mm = 0.1;
  e.detector.fast_pixels = r.panel.fast_pixels;
  e.detector.slow_pixels = r.panel.slow_pixels;
  e.detector.two_theta_axis = r.panel.two_theta_axis;
  if (e.detector.sensor_thickness_um > 0 && !e.detector.attenuation_depth_um)
    e.detector.attenuation_depth_um = e.detector.sensor_thickness_um;
  settle_beam_centre(r.panel, e);
  settle_normal(e);
  return e;
}

/// Of a settled experiment.
std::vector<Parameter> parameters_of(const Experiment& e) {
  std::vector<Parameter> all;
  for_each_parameter(e,
                     [&](const char* name, const Units& units, const auto& shape, auto&& numbers) {
                       Parameter p{name, {}, shape, {}};
                       Experiment copy = e;
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

}  // namespace

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
  for_each_parameter(e, [&](const char* known, const Units&, const auto& shape, auto&& numbers) {
    if (known != name) return;
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

SettledExperiment::SettledExperiment(const Experiment& experiment)
    : resolved_(resolve(experiment)), experiment_(description::settled(experiment, resolved_)) {}

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

}  // namespace nablabragg
