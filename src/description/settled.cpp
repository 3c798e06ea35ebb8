#include "nablabragg/settled.hpp"

#include <array>
#include <optional>

#include "description/sensors.hpp"
#include "model/resolve.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg {

namespace {

/// Where the named beam centre is when nobody gives it; each number only where it would act.
void settle_beam_centre(const Quirks& quirks, const Panel& panel, Detector& d) {
  std::array<double, 2> standard = model::detail::default_named_beam(
      panel, quirks.default_beam_centre_offset);
  if (quirks.beam_centre_needs_pivot) {
    Detector bare = d;
    bare.beam_x_mm.reset();
    bare.beam_y_mm.reset();
    Panel centred = panel;
    model::detail::set_centres_as_nanobragg(quirks, bare, centred);
    standard = {centred.named_beam_x, centred.named_beam_y};
  }
  const auto settle = [](std::optional<double>& given, bool replaced, double value) {
    if (!given && !replaced) given = units::mm_from_metres(value);
  };
  // As intended, a near point stands for a beam spot that is not given.
  const bool swapped = d.convention == Convention::mosflm || d.convention == Convention::denzo;
  const bool as_intended = !quirks.beam_centre_needs_pivot;
  const bool fast_replaced = as_intended && (d.org_x_px || d.close_x_mm),
             slow_replaced = as_intended && (d.org_y_px || d.close_y_mm);
  settle(d.beam_x_mm, swapped ? slow_replaced : fast_replaced, standard[0]);
  settle(d.beam_y_mm, swapped ? fast_replaced : slow_replaced, standard[1]);
}

/// A normal that says nothing but what the axes say follows them when they change.
void settle_normal(const Experiment& e, Detector& d) {
  if (e.quirks.custom_normal_kept || !d.normal || (!d.fast_axis && !d.slow_axis)) return;
  Detector bare = d;
  bare.normal.reset();
  const auto normal_of = [&](const Detector& x) {
    Panel panel;
    model::detail::set_axes(e, x, panel);
    model::detail::set_normal(x, false, panel);
    return panel.normal;
  };
  if (length(normal_of(bare) - normal_of(d)) < 1e-6) d.normal.reset();
}

void settle_detector(const Experiment& e, const Panel& panel, Detector& d) {
  d.fast_pixels = panel.fast_pixels;
  d.slow_pixels = panel.slow_pixels;
  d.two_theta_axis = panel.two_theta_axis;
  if (d.sensor_thickness_um > 0 && !d.attenuation_depth_um)
    d.attenuation_depth_um = d.sensor_thickness_um;
  settle_beam_centre(e.quirks, panel, d);
  settle_normal(e, d);
}

Experiment settled(const Experiment& experiment, const Resolved& r) {
  Experiment e = experiment;
  description::settle_sensors(e);
  if (e.crystal.random_misset_seed && e.crystal.mosaic_seed > 0) {
    // A mosaic seed <= 0 would go on with the stream that the orientation was drawn from.
    e.crystal.misset_deg = {units::degrees_from_radians(r.misset.x),
                            units::degrees_from_radians(r.misset.y),
                            units::degrees_from_radians(r.misset.z)};
    e.crystal.random_misset_seed.reset();
  }
  e.crystal.cells = r.cells;
  e.crystal.blocks = r.blocks;
  e.crystal.size_mm = {};
  e.crystal.block_size_mm = 0;
  if (e.structure_factors.grid)
    e.structure_factors.interpolation = r.tricubic ? Interpolation::tricubic
                                                   : Interpolation::nearest;
  // In closed form each spot has its own sub-pixels, unless a number was given.
  if (!r.closed) e.sampling.oversample = r.oversample;
  e.sampling.summation = r.closed ? Summation::closed : Summation::sampled;
  e.scan.spindle_axis = r.panel.spindle;
  e.beam.direction = r.panel.beam;
  e.beam.polarization_axis = r.panel.polarization_axis;
  if (!e.beam.size_mm) e.beam.size_mm = 0.1;
  settle_detector(e, r.panel, e.detector);
  for (std::size_t i = 0; i < e.more_panels.size(); ++i)
    settle_detector(e, r.more_panels[i].panel, e.more_panels[i].detector);
  return e;
}

}  // namespace

SettledExperiment::SettledExperiment(const Experiment& experiment)
    : oversample_is_automatic_(experiment.sampling.oversample <= 0),
      resolved_(resolve(experiment)),
      experiment_(settled(experiment, resolved_)) {}

}  // namespace nablabragg
