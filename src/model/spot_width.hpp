// How wide the spots of a block are: by which metric, and as those of a block with which edges.
#pragma once
#include <cmath>
#include "model/crystal_axes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment.hpp"
#include "nablabragg/resolved.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::model {

template <class Real>
bool width_in_metric(const BasicExperiment<Real>& e) {
  return physics::with_shape(e.crystal.shape, []<class Shape>() { return Shape::width_in_metric; });
}

template <class Real>
SpotMetricKind spot_metric_kind(const BasicExperiment<Real>& e) {
  return e.crystal.spot_metric.value_or(e.quirks.volume_scaled_spots ? SpotMetricKind::reciprocal
                                                                     : SpotMetricKind::cell);
}

/// Throws UsageError where the quirks have another metric.
template <class Real>
void check_spot_metric(const BasicExperiment<Real>& e, BasicResolved<Real>& r) {
  if (!e.crystal.spot_metric) return;
  if (e.quirks.volume_scaled_spots && *e.crystal.spot_metric != SpotMetricKind::reciprocal)
    throw UsageError(
        "nanoBragg measures gauss and tophat spots in 1/Angstrom times Na Nb Nc (-spot_metric "
        "reciprocal); give -corrected for another metric");
  if (!width_in_metric(e))
    r.warnings.emplace_back(
        "-spot_metric has no effect: only gauss and tophat spots (-gauss_xtal, -tophat_spots) have "
        "a metric");
}

/// [A] What the distance in 1/Angstrom is multiplied by, of a metric that is round in it and a
/// block of `n` cells along each axis.
template <class Real>
Real round_edge_A(SpotMetricKind kind, const BasicResolved<Real>& r, const Vec3<Real>& n) {
  using std::abs;
  using std::cbrt;
  const Real cells = n.x * n.y * n.z;
  // nanoBragg's has the number of cells where a length belongs.
  if (kind == SpotMetricKind::reciprocal) return cells;
  const Mat3<Real>& s = r.axes.reciprocal_per_A;
  return cbrt(cells / abs(dot(s.a, cross(s.b, s.c))));
}

/// [m] Along a, b and c.
template <class Real>
Vec3<Real> block_edges_m(const BasicResolved<Real>& r) {
  const Mat3<Real> axes = axes_in_metres(r.axes);
  return {r.cells.x * length(axes.a), r.cells.y * length(axes.b), r.cells.z * length(axes.c)};
}

/// [m] Edges of a block whose spots are as wide as these.
template <class Real>
Vec3<Real> edges_of_spots_m(const BasicExperiment<Real>& e, const BasicResolved<Real>& r) {
  const SpotMetricKind kind = spot_metric_kind(e);
  if (!width_in_metric(e) || kind == SpotMetricKind::cell) return block_edges_m(r);
  const Real edge = Real(1e-10) * round_edge_A(kind, r, r.cells);
  return {edge, edge, edge};
}

}  // namespace nablabragg::model
