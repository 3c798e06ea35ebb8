// How many steps: what follows from a range, a step and a count when some are left open.
//
// nanoBragg's tables are reproduced case by case (`..._as_nanobragg`); the other functions
// are what the same words mean: grids that are symmetric, include their ends, and put a
// single step in the middle.
#pragma once
#include <cmath>
#include <string>
#include "model/value_of.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg::model {

template <class Real>
int steps_over(const Real& range, const Real& step) {
  using std::ceil;
  const Real n = ceil(range / step);
  if (!(n < Real(1e9)))
    throw UsageError("a range divided by its step gives more than 1e9 steps; check both");
  return static_cast<int>(value_of(n));
}

/// Phi: [rad].  Steps are at phi0 + step * t.
template <class Real>
BasicGrid<Real> scan_as_nanobragg(const SampledRange<Real>& asked, const Real& one_degree) {
  const bool has_range = asked.range && !(*asked.range < Real(0));
  const bool has_step = asked.step && *asked.step > Real(0);
  BasicGrid<Real> grid;
  if (!asked.steps || *asked.steps < 0) {
    if (!has_range) {
      if (has_step) grid = {2, *asked.step, *asked.step};
    } else if (has_step) {
      grid = {steps_over(*asked.range, *asked.step), *asked.range, *asked.step};
    } else {
      grid = {2, *asked.range, *asked.range / 2.0};
    }
  } else {
    const int steps = *asked.steps == 0 ? 1 : *asked.steps;
    if (!has_range)
      grid = has_step ? BasicGrid<Real>{2, *asked.step, *asked.step}
                      : BasicGrid<Real>{steps, one_degree, one_degree / Real(steps)};
    else if (asked.step && !(*asked.step < Real(0)))
      grid = {steps, *asked.range, *asked.step};
    else
      grid = {steps, *asked.range, *asked.range / Real(steps)};
  }
  if (grid.steps < 1) grid.steps = 1;
  return grid;
}

/// Phi, meant: slices of equal width that fill the range, in the direction of its sign.
template <class Real>
BasicGrid<Real> scan_as_meant(const SampledRange<Real>& asked, const Real& one_degree) {
  using std::abs;
  // Negative ones turn the other way.
  const bool has_range = asked.range && abs(*asked.range) > Real(0);
  const bool has_step = asked.step && abs(*asked.step) > Real(0);
  const int steps = asked.steps.value_or(0);
  if (has_range && has_step && (*asked.range > Real(0)) != (*asked.step > Real(0)))
    throw UsageError("-osc and -phistep turn opposite ways; leave one of the two out");
  const bool zero = (asked.range || asked.step) && !has_range && !has_step;
  if (steps > 1 && (zero || (asked.step && !has_step)))
    throw UsageError("the scan has " + std::to_string(steps) +
                     " steps of zero degrees; give -osc, or -phisteps 1 for a still");
  if (!has_range && !has_step)
    return steps > 0 && !zero ? BasicGrid<Real>{steps, one_degree, one_degree / Real(steps)}
                              : BasicGrid<Real>{};
  int slices = steps;
  if (steps <= 0) {
    // The tolerance keeps 1 degree in slices of 0.1 at ten of them.
    const Real sliver(1 - 1e-9);
    slices = has_step ? (has_range ? steps_over(*asked.range * sliver, *asked.step) : 1) : 2;
  }
  const Real range = has_range ? *asked.range : *asked.step * Real(slices);
  if (has_range && has_step && steps > 0 &&
      abs(*asked.step * Real(steps) - range) > Real(1e-6) * abs(range))
    throw UsageError("-phisteps times -phistep is not -osc; leave one of the three out");
  return {slices, range, range / Real(slices)};
}

/// Horizontal or vertical divergence [rad]; the count-only range is `default_range`.
template <class Real>
BasicGrid<Real> grid_as_nanobragg(const SampledRange<Real>& asked, const Real& default_range) {
  const bool has_range = asked.range && !(*asked.range < Real(0));
  const bool has_step = asked.step && *asked.step > Real(0);
  BasicGrid<Real> grid;
  if (!asked.steps || *asked.steps <= 0) {
    if (!has_range)
      grid = has_step ? BasicGrid<Real>{2, *asked.step, *asked.step} : BasicGrid<Real>{};
    else
      grid = has_step
                 ? BasicGrid<Real>{steps_over(*asked.range, *asked.step), *asked.range, *asked.step}
                 : BasicGrid<Real>{2, *asked.range, *asked.range};
  } else if (!has_range) {
    grid = has_step
               ? BasicGrid<Real>{2, *asked.step, *asked.step}
               : BasicGrid<Real>{*asked.steps, default_range, default_range / Real(*asked.steps)};
  } else if (has_step) {
    grid = {*asked.steps, *asked.range, *asked.step};
  } else {
    const int steps = *asked.steps <= 1 ? 2 : *asked.steps;
    grid = {steps, *asked.range, *asked.range / Real(steps - 1)};
  }
  if (!(grid.range > Real(0)) || !(grid.step > Real(0)) || grid.steps <= 0) grid = {};
  return grid;
}

/// A grid symmetric about zero with both ends included; one step sits at zero.
template <class Real>
BasicGrid<Real> grid_as_meant(const SampledRange<Real>& asked, const std::string& name) {
  const bool has_range = asked.range && *asked.range > Real(0);
  const bool has_step = asked.step && *asked.step > Real(0);
  if (!has_range && !has_step) {
    if (asked.steps && *asked.steps > 0 && !asked.range)
      throw UsageError("a number of " + name + " steps needs a " + name + " range");
    return {};
  }
  int steps = asked.steps.value_or(0);
  if (steps <= 0) {
    // The tolerance keeps 0.28/0.02 at 14 intervals.
    steps = has_range && has_step ? steps_over(*asked.range, *asked.step * Real(1 + 1e-9)) + 1 : 2;
  }
  const Real range = has_range ? *asked.range : *asked.step * Real(steps - 1 > 0 ? steps - 1 : 1);
  if (steps == 1) return {1, range, Real(0)};
  return {steps, range, range / Real(steps - 1)};
}

/// Sensor layers.  As nanoBragg: n layers a step of thickness/(n-1) apart.
template <class Real>
BasicSensor<Real> layers_as_nanobragg(const std::optional<int>& layers, const Real& thickness) {
  BasicSensor<Real> sensor;
  if (!(thickness > Real(0))) return sensor;
  sensor.thickness = thickness;
  if (!layers || *layers <= 0) {
    sensor.layers = 2;
    sensor.layer_step = thickness / 2.0;
  } else {
    sensor.layers = *layers < 2 ? 2 : *layers;
    sensor.layer_step = thickness / Real(sensor.layers - 1);
  }
  return sensor;
}

/// n layers that fill the thickness; two where nobody says.
template <class Real>
BasicSensor<Real> layers_as_meant(const std::optional<int>& layers, const Real& thickness) {
  BasicSensor<Real> sensor;
  if (!(thickness > Real(0))) return sensor;
  sensor.thickness = thickness;
  sensor.layers = layers && *layers > 0 ? *layers : 2;
  sensor.layer_step = thickness / Real(sensor.layers);
  return sensor;
}

}  // namespace nablabragg::model
